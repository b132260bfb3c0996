//! One axis: transforms of contiguous rows.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

/// Which way to transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Image to k-space, exp(−2πi…).
    Forward,
    /// K-space to image, exp(+2πi…).
    Inverse,
}

/// Centred unitary transform of rows of one length.
///
/// Cheap to clone; clones share their tables. Plans of the same length share them too.
#[derive(Clone)]
pub struct Centered {
    len: usize,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
}

impl Centered {
    /// Plans rows of `len` samples. Any length works, products of small primes are fastest.
    pub fn new(len: usize) -> Self {
        // Only a memo of tables that depend on nothing but the length.
        static PLANNER: Mutex<Option<FftPlanner<f32>>> = Mutex::new(None);
        let mut planner = PLANNER.lock().unwrap_or_else(PoisonError::into_inner);
        let planner = planner.get_or_insert_with(FftPlanner::new);
        let (forward, inverse) = (planner.plan_fft_forward(len), planner.plan_fft_inverse(len));
        Self { len, forward, inverse }
    }

    /// Samples per row.
    #[allow(clippy::len_without_is_empty, reason = "a plan is no collection")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Elements of workspace that the transforms need.
    pub fn scratch_len(&self) -> usize {
        let forward = self.forward.get_inplace_scratch_len();
        forward.max(self.inverse.get_inplace_scratch_len())
    }

    /// Transforms each row of `rows`, `[row, sample]` without gaps, from image to k-space, in
    /// place.
    ///
    /// # Panics
    /// If `rows` is no whole number of rows or `scratch` is shorter than
    /// [`Centered::scratch_len`].
    pub fn forward_rows(&self, rows: &mut [Complex32], scratch: &mut [Complex32]) {
        self.process_rows(Direction::Forward, rows, scratch);
    }

    /// Transforms each row of `rows`, `[row, sample]` without gaps, from k-space to image, in
    /// place.
    ///
    /// # Panics
    /// As [`Centered::forward_rows`].
    pub fn inverse_rows(&self, rows: &mut [Complex32], scratch: &mut [Complex32]) {
        self.process_rows(Direction::Inverse, rows, scratch);
    }

    /// [`Centered::forward_rows`] or [`Centered::inverse_rows`].
    ///
    /// # Panics
    /// As these.
    pub fn process_rows(
        &self,
        direction: Direction,
        rows: &mut [Complex32],
        scratch: &mut [Complex32],
    ) {
        self.process_rows_scaled(direction, rows, self.unitary_scale() as f32, scratch);
    }

    /// 1/√N.
    pub(super) fn unitary_scale(&self) -> f64 {
        1.0 / (self.len.max(1) as f64).sqrt()
    }

    /// The table without shifts and scale.
    pub(super) fn raw(&self, direction: Direction) -> &dyn Fft<f32> {
        match direction {
            Direction::Forward => &*self.forward,
            Direction::Inverse => &*self.inverse,
        }
    }

    /// [`Centered::raw`] to keep.
    pub(crate) fn shared(&self, direction: Direction) -> Arc<dyn Fft<f32>> {
        match direction {
            Direction::Forward => self.forward.clone(),
            Direction::Inverse => self.inverse.clone(),
        }
    }

    /// As [`Centered::process_rows`] with `scale` in place of 1/√N.
    pub(super) fn process_rows_scaled(
        &self,
        direction: Direction,
        rows: &mut [Complex32],
        scale: f32,
        scratch: &mut [Complex32],
    ) {
        if self.len == 0 {
            assert!(rows.is_empty(), "rows of length 0 hold {} samples", rows.len());
            return;
        }
        assert!(
            rows.len().is_multiple_of(self.len),
            "{} samples are no whole number of rows of {}",
            rows.len(),
            self.len
        );
        let fft = self.raw(direction);
        let centre = self.len / 2;
        for row in rows.chunks_exact_mut(self.len) {
            if self.len.is_multiple_of(2) {
                fft.process_with_scratch(row, scratch);
                swap_halves_with_signs(row, scale);
            } else {
                row.rotate_left(centre);
                fft.process_with_scratch(row, scratch);
                row.rotate_right(centre);
                row.iter_mut().for_each(|sample| *sample *= scale);
            }
        }
    }
}

impl fmt::Debug for Centered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Centered").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Centres the raw transform of an even-length row: X\[k\] = (−1)^(k + N/2) · F\[k + N/2\].
fn swap_halves_with_signs(row: &mut [Complex32], scale: f32) {
    let half = row.len() / 2;
    let (low, high) = row.split_at_mut(half);
    // The sign is (−1)^k for what comes from the low half and (−1)^(k + N/2) for the rest.
    let upper = if half.is_multiple_of(2) { scale } else { -scale };
    let (mut low_pairs, mut high_pairs) = (low.chunks_exact_mut(2), high.chunks_exact_mut(2));
    for (a, b) in (&mut low_pairs).zip(&mut high_pairs) {
        (a[0], b[0]) = (b[0] * upper, a[0] * scale);
        (a[1], b[1]) = (b[1] * -upper, a[1] * -scale);
    }
    for (a, b) in low_pairs.into_remainder().iter_mut().zip(high_pairs.into_remainder()) {
        (*a, *b) = (*b * upper, *a * scale);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;

    use super::super::reference::{array, dft, relative_error};
    use super::*;

    /// Single precision rounds each of the log N steps to 6e-8; 1e-6 leaves room for the
    /// longer algorithms of prime lengths.
    const TOLERANCE: f64 = 1e-6;

    #[test]
    fn rows_of_even_odd_and_prime_length_agree_with_the_definition() {
        for len in [1, 2, 3, 4, 6, 7, 8, 15, 16, 30, 97, 101, 128, 250, 256, 257] {
            let fft = Centered::new(len);
            let mut scratch = vec![Complex32::ZERO; fft.scratch_len()];
            for direction in [Direction::Forward, Direction::Inverse] {
                let mut data = array(&[3, len]);
                let truth = dft(direction, &data, &[Axis(1)]);
                let rows = data.as_slice_mut().expect("standard order");
                fft.process_rows(direction, rows, &mut scratch);
                let error = relative_error(&data, &truth);
                assert!(error < TOLERANCE, "{direction:?} of {len}: {error:e}");
            }
        }
    }

    #[test]
    fn a_constant_becomes_a_peak_at_the_centre() {
        for len in [6, 7, 8] {
            let fft = Centered::new(len);
            let mut row = vec![Complex32::ONE; len];
            fft.forward_rows(&mut row, &mut vec![Complex32::ZERO; fft.scratch_len()]);
            for (k, value) in row.iter().enumerate() {
                let expected = if k == len / 2 { (len as f32).sqrt() } else { 0.0 };
                assert!((value - expected).norm() < 1e-6, "{len}: {row:?}");
            }
        }
    }

    #[test]
    fn rows_of_length_zero_are_left_alone() {
        Centered::new(0).forward_rows(&mut [], &mut []);
    }

    #[test]
    #[should_panic(expected = "no whole number of rows")]
    fn a_part_of_a_row_is_refused() {
        let fft = Centered::new(4);
        fft.forward_rows(&mut [Complex32::ONE; 6], &mut vec![Complex32::ZERO; fft.scratch_len()]);
    }
}
