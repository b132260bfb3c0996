//! Series for T2 by preparation.

use super::draw::Draw;
use super::error::{DatasetError, check, check_count, check_range};
use super::series::SeriesKind;
use crate::sequence::{Sequence, T2Prepared};

/// T2-prepared series of a [`super::SeriesDataset`]: the times are `preparation_time_ms`, and
/// beside what all series have there are `preparation_efficiency` and `flip_angle_deg`. The
/// reference is the first image.
#[derive(Clone, Debug, PartialEq)]
pub struct T2Series {
    /// Echo time of each image's preparation, ms; 0 means none.
    pub preparation_times_ms: Vec<f64>,
    /// Beats from one image to the next.
    pub n_recovery_beats: usize,
    /// Smallest and largest part of the magnetisation that pulses of a preparation leave.
    pub efficiency: [f64; 2],
    /// Smallest and largest flip angle of the readout.
    pub flip_angle_deg: [f64; 2],
}

impl Default for T2Series {
    fn default() -> Self {
        let T2Prepared { preparation_times_ms, n_recovery_beats, readout, .. } =
            T2Prepared::default();
        Self {
            preparation_times_ms,
            n_recovery_beats,
            efficiency: [0.95, 1.0],
            flip_angle_deg: [readout.flip_angle_deg; 2],
        }
    }
}

impl SeriesKind for T2Series {
    fn kind(&self) -> &'static str {
        "t2"
    }

    fn times(&self) -> [&'static str; 2] {
        ["preparation_time_ms", "echo time of the T2 preparation; 0: none"]
    }

    fn numbers(&self) -> &'static [[&'static str; 2]] {
        &[
            [
                "preparation_efficiency",
                "part of the magnetisation that a preparation's pulses leave",
            ],
            ["flip_angle_deg", "flip angle of the balanced readout in degrees"],
        ]
    }

    fn n_frames(&self) -> usize {
        self.preparation_times_ms.len()
    }

    fn draw(&self, draw: &mut Draw) -> (Box<dyn Sequence>, Vec<f64>) {
        let mut prepared = T2Prepared {
            preparation_times_ms: self.preparation_times_ms.clone(),
            n_recovery_beats: self.n_recovery_beats,
            efficiency: draw.between(self.efficiency),
            ..T2Prepared::default()
        };
        prepared.readout.flip_angle_deg = draw.between(self.flip_angle_deg);
        let numbers = vec![prepared.efficiency, prepared.readout.flip_angle_deg];
        (Box::new(prepared), numbers)
    }

    fn check(&self) -> Result<(), DatasetError> {
        check_count("preparation times", self.preparation_times_ms.len(), 2, 64)?;
        for time_ms in &self.preparation_times_ms {
            check("a preparation time in ms", *time_ms, 0.0, 200.0)?;
        }
        check_count("beats of recovery", self.n_recovery_beats, 1, 20)?;
        check_range("the efficiency of a preparation", self.efficiency, 0.1, 1.0)?;
        check_range("the flip angle in degrees", self.flip_angle_deg, 1.0, 120.0)
    }
}
