//! Removal of readout oversampling.

use ndarray::{ArrayView2, ArrayViewMut2};
use num_complex::{Complex32, Complex64};

use super::{Centered, Direction};

/// Cuts the field of view along the readout: inverse transform of `n_in` samples, the middle
/// `n_out` of them, forward transform of these, all centred and unitary.
///
/// # Method
/// The signs of the four shifts cancel, so for even lengths the raw transforms suffice. With
/// twofold oversampling the even samples pass through unchanged but for the scale, and only
/// the odd ones are interpolated: with E and O the spectra of even and odd samples, the middle
/// of the image is E ± t·O, t\[n\] = exp(2πi n / n_in), and the forward transform gives back the
/// even samples from E. That is two transforms of length n_in/2 in place of one of n_in and one
/// of n_in/2.
#[derive(Clone, Debug)]
pub struct CropReadout {
    n_in: usize,
    n_out: usize,
    method: Method,
}

#[derive(Clone, Debug)]
enum Method {
    /// Nothing to cut.
    Copy,
    /// `n_in` = 2 `n_out`, both even.
    Half { fft: Centered, twiddles: Vec<Complex32>, even_scale: f32 },
    /// Everything else.
    Full { before: Centered, after: Centered },
}

/// A readout cannot be cut to more samples than it has, or to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a readout of {n_in} samples cannot be cut to {n_out}: keep between 1 and {n_in}")]
pub struct CropReadoutError {
    /// Samples of the readout.
    pub n_in: usize,
    /// Samples that were asked for.
    pub n_out: usize,
}

impl CropReadout {
    /// Plans the cut from `n_in` to `n_out` samples.
    ///
    /// # Errors
    /// [`CropReadoutError`] if `n_out` is 0 or larger than `n_in`.
    pub fn new(n_in: usize, n_out: usize) -> Result<Self, CropReadoutError> {
        if n_out == 0 || n_out > n_in {
            return Err(CropReadoutError { n_in, n_out });
        }
        let method = if n_in == n_out {
            Method::Copy
        } else if n_in == 2 * n_out && n_out.is_multiple_of(2) {
            let scale = 1.0 / ((n_in as f64).sqrt() * (n_out as f64).sqrt());
            let twiddles = (0..n_out)
                .map(|n| {
                    let phase_rad = 2.0 * std::f64::consts::PI * n as f64 / n_in as f64;
                    let sign = if n < n_out / 2 { 1.0 } else { -1.0 };
                    let twiddle = Complex64::from_polar(sign * scale, phase_rad);
                    Complex32::new(twiddle.re as f32, twiddle.im as f32)
                })
                .collect();
            let even_scale = std::f64::consts::FRAC_1_SQRT_2 as f32;
            Method::Half { fft: Centered::new(n_out), twiddles, even_scale }
        } else {
            Method::Full { before: Centered::new(n_in), after: Centered::new(n_out) }
        };
        Ok(Self { n_in, n_out, method })
    }

    /// Samples per row before the cut.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// Samples per row after the cut.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// Elements of workspace that [`CropReadout::process`] needs.
    pub fn scratch_len(&self) -> usize {
        match &self.method {
            Method::Copy => 0,
            Method::Half { fft, .. } => fft.scratch_len(),
            Method::Full { before, after } => {
                self.n_in + before.scratch_len().max(after.scratch_len())
            }
        }
    }

    /// Cuts the rows of `source`, `[channel, n_in]`, into `target`, `[channel, n_out]`.
    ///
    /// # Panics
    /// If the shapes are others or `scratch` is shorter than [`CropReadout::scratch_len`].
    pub fn process(
        &self,
        source: ArrayView2<'_, Complex32>,
        mut target: ArrayViewMut2<'_, Complex32>,
        scratch: &mut [Complex32],
    ) {
        assert_eq!(source.ncols(), self.n_in, "samples per row of the source");
        assert_eq!(target.dim(), (source.nrows(), self.n_out), "shape of the target");
        for (source, mut target) in source.rows().into_iter().zip(target.rows_mut()) {
            match (source.as_slice(), target.as_slice_mut()) {
                (Some(source), Some(target)) => self.process_row(source, target, scratch),
                _ => {
                    let mut row = vec![Complex32::ZERO; self.n_out];
                    self.process_row(&source.to_vec(), &mut row, scratch);
                    target.assign(&ndarray::ArrayView1::from(&row));
                }
            }
        }
    }

    fn process_row(
        &self,
        source: &[Complex32],
        target: &mut [Complex32],
        scratch: &mut [Complex32],
    ) {
        match &self.method {
            Method::Copy => target.copy_from_slice(source),
            Method::Half { fft, twiddles, even_scale } => {
                for (odd, pair) in target.iter_mut().zip(source.chunks_exact(2)) {
                    *odd = pair[1];
                }
                fft.raw(Direction::Inverse).process_with_scratch(target, scratch);
                for (value, twiddle) in target.iter_mut().zip(twiddles) {
                    *value *= twiddle;
                }
                fft.raw(Direction::Forward).process_with_scratch(target, scratch);
                for (value, pair) in target.iter_mut().zip(source.chunks_exact(2)) {
                    *value += pair[0] * even_scale;
                }
            }
            Method::Full { before, after } => {
                let (row, scratch) = scratch.split_at_mut(self.n_in);
                row.copy_from_slice(source);
                before.inverse_rows(row, scratch);
                let first = self.n_in / 2 - self.n_out / 2;
                target.copy_from_slice(&row[first..first + self.n_out]);
                after.forward_rows(target, scratch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, Ix2, s};

    use super::super::reference::{array, dft, relative_error};
    use super::*;

    fn crop(n_in: usize, n_out: usize, source: ArrayView2<'_, Complex32>) -> Array2<Complex32> {
        let plan = CropReadout::new(n_in, n_out).expect("lengths");
        let mut target = Array2::zeros((source.nrows(), n_out));
        let mut scratch = vec![Complex32::ZERO; plan.scratch_len()];
        plan.process(source, target.view_mut(), &mut scratch);
        target
    }

    #[test]
    fn result_is_inverse_crop_and_forward_by_their_definition() {
        let cases = [
            (512, 256),
            (20, 10),
            (12, 6),
            (8, 4),
            (4, 2),
            (384, 256),
            (768, 384),
            (30, 15),
            (31, 15),
            (15, 8),
            (17, 17),
            (100, 1),
            (14, 7),
            (256, 128),
        ];
        for (n_in, n_out) in cases {
            let source = array(&[3, n_in]);
            let image = dft(Direction::Inverse, &source, &[Axis(1)]);
            let first = n_in / 2 - n_out / 2;
            let middle = image.slice(s![.., first..first + n_out]);
            let middle = middle.mapv(|value| Complex32::new(value.re as f32, value.im as f32));
            let truth = dft(Direction::Forward, &middle.into_dyn(), &[Axis(1)]);
            let source = source.into_dimensionality::<Ix2>().expect("two axes");
            let error = relative_error(&crop(n_in, n_out, source.view()).into_dyn(), &truth);
            // Rounding of two transforms and of the narrowed reference.
            assert!(error < 1e-6, "{n_in} to {n_out}: {error:e}");
        }
    }

    #[test]
    fn a_source_with_gaps_gives_the_same() {
        let wide = array(&[3, 64]).into_dimensionality::<Ix2>().expect("two axes");
        let gaps = wide.slice(s![.., ..;2]);
        assert_eq!(crop(32, 16, gaps), crop(32, 16, gaps.to_owned().view()));
    }

    #[test]
    fn rows_do_not_depend_on_their_neighbours() {
        let all = array(&[5, 512]).into_dimensionality::<Ix2>().expect("two axes");
        let together = crop(512, 256, all.view());
        assert_eq!(together.slice(s![3..4, ..]), crop(512, 256, all.slice(s![3..4, ..])));
    }

    #[test]
    fn more_samples_than_there_are_and_none_are_refused() {
        let error = CropReadout::new(256, 512).expect_err("too many");
        assert_eq!(
            error.to_string(),
            "a readout of 256 samples cannot be cut to 512: keep between 1 and 256"
        );
        assert!(CropReadout::new(256, 0).is_err());
    }
}
