//! Series for T1 by inversion.

use super::draw::Draw;
use super::error::{DatasetError, check_range};
use super::series::SeriesKind;
use crate::sequence::{Molli, MolliScheme, Sequence};

/// MOLLI series of a [`super::SeriesDataset`]: the times are `inversion_time_ms`, and beside
/// what all series have there are `inversion_factor` and `flip_angle_deg`. The reference is the
/// frame of the longest inversion time.
#[derive(Clone, Debug, PartialEq)]
pub struct MolliSeries {
    /// Images and pauses.
    pub scheme: MolliScheme,
    /// Smallest and largest first inversion time, ms.
    pub first_inversion_time_ms: [f64; 2],
    /// Smallest and largest step from group to group, ms.
    pub inversion_time_step_ms: [f64; 2],
    /// Smallest and largest inversion factor: Mz after the inversion is minus this times that
    /// before it.
    pub inversion_factor: [f64; 2],
    /// Smallest and largest flip angle of the readout.
    pub flip_angle_deg: [f64; 2],
}

impl Default for MolliSeries {
    fn default() -> Self {
        Self {
            scheme: MolliScheme::native(),
            first_inversion_time_ms: [100.0, 120.0],
            inversion_time_step_ms: [80.0, 80.0],
            inversion_factor: [0.9, 1.0],
            flip_angle_deg: [35.0, 35.0],
        }
    }
}

impl SeriesKind for MolliSeries {
    fn kind(&self) -> &'static str {
        "molli"
    }

    fn times(&self) -> [&'static str; 2] {
        ["inversion_time_ms", "from the inversion of its group to the centre of k-space"]
    }

    fn numbers(&self) -> &'static [[&'static str; 2]] {
        &[
            [
                "inversion_factor",
                "magnetisation after an inversion is minus this times that before",
            ],
            ["flip_angle_deg", "flip angle of the balanced readout in degrees"],
        ]
    }

    fn n_frames(&self) -> usize {
        self.scheme.n_images()
    }

    fn draw(&self, draw: &mut Draw) -> (Box<dyn Sequence>, Vec<f64>) {
        let mut molli = Molli {
            scheme: self.scheme.clone(),
            first_inversion_time_ms: draw.between(self.first_inversion_time_ms),
            inversion_time_step_ms: draw.between(self.inversion_time_step_ms),
            inversion_factor: draw.between(self.inversion_factor),
            ..Molli::default()
        };
        molli.readout.flip_angle_deg = draw.between(self.flip_angle_deg);
        let numbers = vec![molli.inversion_factor, molli.readout.flip_angle_deg];
        (Box::new(molli), numbers)
    }

    fn check(&self) -> Result<(), DatasetError> {
        check_range("the first inversion time in ms", self.first_inversion_time_ms, 50.0, 500.0)?;
        check_range("the step of inversion times in ms", self.inversion_time_step_ms, 0.0, 500.0)?;
        check_range("the inversion factor", self.inversion_factor, 0.0, 1.0)?;
        check_range("the flip angle in degrees", self.flip_angle_deg, 1.0, 120.0)
    }
}
