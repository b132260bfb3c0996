//! Series for T1 by saturation.

use super::draw::Draw;
use super::error::{DatasetError, check, check_count, check_range};
use super::series::SeriesKind;
use crate::sequence::{Sasha, Sequence};

/// SASHA series of a [`super::SeriesDataset`]: the times are `saturation_time_ms`, 10 000 for
/// the first image, which has none and is the reference; beside what all series have there are
/// `saturation_residual` and `flip_angle_deg`.
#[derive(Clone, Debug, PartialEq)]
pub struct SashaSeries {
    /// From the saturation to the centre of k-space of each image after the first, ms.
    pub saturation_times_ms: Vec<f64>,
    /// Smallest and largest part of the magnetisation that a saturation leaves.
    pub residual: [f64; 2],
    /// Smallest and largest flip angle of the readout.
    pub flip_angle_deg: [f64; 2],
}

impl Default for SashaSeries {
    fn default() -> Self {
        let Sasha { saturation_times_ms, readout, .. } = Sasha::default();
        Self {
            saturation_times_ms,
            residual: [0.0, 0.02],
            flip_angle_deg: [readout.flip_angle_deg; 2],
        }
    }
}

impl SeriesKind for SashaSeries {
    fn kind(&self) -> &'static str {
        "sasha"
    }

    fn times(&self) -> [&'static str; 2] {
        ["saturation_time_ms", "from the saturation to the centre of k-space; 10000: none"]
    }

    fn numbers(&self) -> &'static [[&'static str; 2]] {
        &[
            ["saturation_residual", "part of the magnetisation that a saturation leaves"],
            ["flip_angle_deg", "flip angle of the balanced readout in degrees"],
        ]
    }

    fn n_frames(&self) -> usize {
        1 + self.saturation_times_ms.len()
    }

    fn draw(&self, draw: &mut Draw) -> (Box<dyn Sequence>, Vec<f64>) {
        let mut sasha = Sasha {
            saturation_times_ms: self.saturation_times_ms.clone(),
            residual: draw.between(self.residual),
            ..Sasha::default()
        };
        sasha.readout.flip_angle_deg = draw.between(self.flip_angle_deg);
        let numbers = vec![sasha.residual, sasha.readout.flip_angle_deg];
        (Box::new(sasha), numbers)
    }

    fn check(&self) -> Result<(), DatasetError> {
        check_count("saturation times", self.saturation_times_ms.len(), 1, 63)?;
        for time_ms in &self.saturation_times_ms {
            check("a saturation time in ms", *time_ms, 30.0, 5000.0)?;
        }
        check_range("the residual of a saturation", self.residual, -1.0, 1.0)?;
        check_range("the flip angle in degrees", self.flip_angle_deg, 1.0, 120.0)
    }
}
