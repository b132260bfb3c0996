//! The course of a voxel as a few real numbers that mean the same in every scan of a pulse table,
//! whatever its rhythm was and however its images were reduced.

use ndarray::{Array2, ArrayView1, ArrayView2};
use num_complex::Complex32;
use numerics::fingerprint::PulseTable;

use crate::played::{Played, Reduction, windows};

/// Echoes of a window, and from window to window.
pub(crate) const WINDOW_ECHOES: usize = 20;
pub(crate) const WINDOW_STEP: usize = 10;

/// Averages over windows of echoes, out of a voxel's numbers.
pub(crate) struct Courses {
    /// `[window, number]`.
    pub to_windows: Array2<f32>,
}

impl Courses {
    /// [`None`] of images that are averages over other windows.
    ///
    /// * `reduction`: `[number, echo]`: what made the pixels of the echoes.
    pub fn new(
        played: &Played,
        reduction: ArrayView2<'_, f32>,
        table: &PulseTable,
    ) -> Option<Self> {
        let rows = windows(table, WINDOW_ECHOES, WINDOW_STEP);
        // Through the echoes, of which the modes are a basis.
        let to_windows = match played.reduction {
            Reduction::Modes(_) => rows.dot(&reduction.t()),
            Reduction::Windows { n_echoes: WINDOW_ECHOES, step: WINDOW_STEP } => {
                Array2::eye(rows.nrows())
            }
            Reduction::Windows { .. } => return None,
        };
        Some(Self { to_windows })
    }

    pub fn n_windows(&self) -> usize {
        self.to_windows.nrows()
    }

    /// The windows of a pixel, real and of length 1, and the length that they had.
    pub fn of_pixel(&self, pixel: ArrayView1<'_, Complex32>) -> (Vec<f32>, f32) {
        let value = |row: ArrayView1<'_, f32>| {
            row.iter().zip(&pixel).map(|(weight, number)| number * weight).sum()
        };
        let values: Vec<Complex32> = self.to_windows.outer_iter().map(value).collect();
        let turn = turn_to_real(&values);
        let mut real: Vec<f32> = values.iter().map(|value| (value * turn).re).collect();
        let length = real.iter().map(|value| value * value).sum::<f32>().sqrt();
        let length = length.max(f32::MIN_POSITIVE);
        real.iter_mut().for_each(|value| *value /= length);
        (real, length)
    }
}

/// What takes the common phase from values whose signs are their own, such that most are positive.
fn turn_to_real(values: &[Complex32]) -> Complex32 {
    let square: Complex32 = values.iter().map(|value| value * value).sum();
    let turn = Complex32::from_polar(1.0, -0.5 * square.arg());
    let sum: f32 = values.iter().map(|value| (value * turn).re).sum();
    if sum < 0.0 { -turn } else { turn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_of_signals_with_signs_is_taken_away() {
        let signals = [-0.5_f32, -0.1, 0.6, 0.9, 1.0];
        for phase in [0.0, 0.7, 2.0, 3.1, -1.5, -2.8] {
            let values = signals.map(|signal| Complex32::from_polar(1.0, phase) * signal);
            let turn = turn_to_real(&values);
            for (value, signal) in values.iter().zip(signals) {
                assert!((value * turn - signal).norm() < 1e-6);
            }
        }
    }

    #[test]
    fn windows_are_real_and_of_length_one() {
        let courses = Courses { to_windows: Array2::eye(2) };
        let pixel = [3.0, -4.0].map(|value| Complex32::from_polar(1.0, 0.4) * value);
        let (real, length) = courses.of_pixel(ArrayView1::from(&pixel));
        assert!((length - 5.0).abs() < 1e-5);
        // Most of it is positive, so the larger one is.
        assert!((real[0] + 0.6).abs() < 1e-6 && (real[1] - 0.8).abs() < 1e-6, "{real:?}");
        let (real, _) = courses.of_pixel(ArrayView1::from(&[Complex32::ZERO; 2]));
        assert_eq!(real, [0.0, 0.0]);
    }
}
