//! Series for T2*.

use super::draw::Draw;
use super::error::{DatasetError, check, check_count, check_range};
use super::series::SeriesKind;
use crate::sequence::{MultiEcho, Sequence};

/// Multi-echo series of a [`super::SeriesDataset`]: the times are `echo_time_ms`, and beside
/// what all series have there is `flip_angle_deg`. The reference is the first echo. Each echo
/// moves as if it were an image of its own; with a motion of strength 0 all are in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct T2StarSeries {
    /// Echo times, ms, ascending.
    pub echo_times_ms: Vec<f64>,
    /// Smallest and largest flip angle.
    pub flip_angle_deg: [f64; 2],
}

impl Default for T2StarSeries {
    fn default() -> Self {
        let MultiEcho { echo_times_ms, flip_angle_deg, .. } = MultiEcho::default();
        Self { echo_times_ms, flip_angle_deg: [flip_angle_deg; 2] }
    }
}

impl SeriesKind for T2StarSeries {
    fn kind(&self) -> &'static str {
        "t2-star"
    }

    fn times(&self) -> [&'static str; 2] {
        ["echo_time_ms", "from the pulse to the echo"]
    }

    fn numbers(&self) -> &'static [[&'static str; 2]] {
        &[["flip_angle_deg", "flip angle of the pulses in degrees"]]
    }

    fn n_frames(&self) -> usize {
        self.echo_times_ms.len()
    }

    fn draw(&self, draw: &mut Draw) -> (Box<dyn Sequence>, Vec<f64>) {
        let flip_angle_deg = draw.between(self.flip_angle_deg);
        let last_ms = self.echo_times_ms.last().copied().unwrap_or(0.0);
        let multi_echo = MultiEcho {
            echo_times_ms: self.echo_times_ms.clone(),
            // Room for the last echo's readout.
            repetition_time_ms: last_ms + 2.4,
            flip_angle_deg,
            ..MultiEcho::default()
        };
        (Box::new(multi_echo), vec![flip_angle_deg])
    }

    fn check(&self) -> Result<(), DatasetError> {
        check_count("echo times", self.echo_times_ms.len(), 2, 64)?;
        for time_ms in &self.echo_times_ms {
            check("an echo time in ms", *time_ms, 0.5, 100.0)?;
        }
        for pair in self.echo_times_ms.windows(2) {
            check("the time from one echo to the next in ms", pair[1] - pair[0], 0.2, 100.0)?;
        }
        check_range("the flip angle in degrees", self.flip_angle_deg, 1.0, 90.0)
    }
}
