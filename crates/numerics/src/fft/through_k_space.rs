//! One axis of an image to k-space, weighted, and back, with more or fewer pixels.

use std::cell::RefCell;
use std::f64::consts::TAU;
use std::fmt;
use std::sync::Arc;

use ndarray::{Array, ArrayView, ArrayViewMut, Axis, Dimension};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;
use rustfft::Fft;

use super::{Centered, Direction};

/// Lines that are gathered and worked on together: two cache lines wide.
const LINES: usize = 16;

/// Added to the distance of gathered lines, so that they do not all lie in the same cache sets.
const PADDING: usize = 8;

/// Samples below which threads cost more than they bring.
const PARALLEL_FROM: usize = 1 << 15;

/// Error of the position of the outermost pixel, in pixels, that whole numbers may bring.
const POSITION_TOLERANCE_PX: f64 = 0.01;

thread_local! {
    static WORKSPACE: RefCell<Vec<Complex32>> = const { RefCell::new(Vec::new()) };
}

/// Takes lines of an image to k-space, weights them and brings them back, all in the cache.
///
/// The centre of the image, pixel N/2 (rounded down), stays what it is: input and output are the
/// same object about the same point. Brightness stays where pixels become smaller (zero filling);
/// where they become larger, the noise's standard deviation stays and the signal rises with the
/// root of the pixel's size.
///
/// # Method
/// Weights are applied in the order of the plain transform, and shifts of the origin are phases
/// folded into them. Where the new pixels do not divide the field of view, the way back is a
/// chirp transform (Rabiner, Schafer and Rader 1969), so that positions are exact.
#[derive(Clone)]
pub struct ThroughKSpace {
    n_in: usize,
    n_out: usize,
    forward: Arc<dyn Fft<f32>>,
    /// Weights of k = 0, 1, … and then of the negative ones, the last being −1.
    weights: Vec<Complex32>,
    n_negative: usize,
    back: Back,
}

#[derive(Clone)]
enum Back {
    /// An inverse transform of `len`; `from` of it goes to `to` of the output.
    Inverse { len: usize, fft: Arc<dyn Fft<f32>>, from: usize, to: usize, n_copied: usize },
    /// A convolution with a chirp.
    Chirp {
        len: usize,
        forward: Arc<dyn Fft<f32>>,
        inverse: Arc<dyn Fft<f32>>,
        /// Transform of the chirp.
        chirp: Vec<Complex32>,
        /// Factor of each output pixel, 0 outside the input's field of view.
        out: Vec<Complex32>,
    },
}

/// Lengths or weights that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ThroughKSpaceError {
    /// A line without samples.
    #[error("lines of {n_in} pixels cannot become lines of {n_out}")]
    Empty {
        /// Pixels before.
        n_in: usize,
        /// Pixels after.
        n_out: usize,
    },
    /// The pixels have no size.
    #[error("pixels of {0} fields of view")]
    PixelSize(f64),
    /// Not one weight for each sample.
    #[error("{weights} weights for {samples} samples")]
    Weights {
        /// How many weights.
        weights: usize,
        /// How many samples.
        samples: usize,
    },
}

impl ThroughKSpace {
    /// Multiplies k-space by `weights`, centred order (k = 0 at N/2). Lines keep their pixels.
    ///
    /// # Errors
    /// Where there is no weight.
    pub fn filter(weights: &[f32]) -> Result<Self, ThroughKSpaceError> {
        let n = weights.len();
        Self::new(n, Some(weights), n, 1.0 / n.max(1) as f64)
    }

    /// Gives lines of `n_in` pixels that span a field of view `n_out` pixels, each
    /// `pixel_size` of that field of view, about the same centre. Pixels outside the field of
    /// view are 0. `weights`, if any, are as for [`ThroughKSpace::filter`].
    ///
    /// # Errors
    /// Where a length or the size of the pixels is 0, or there is not a weight for each sample.
    pub fn new(
        n_in: usize,
        weights: Option<&[f32]>,
        n_out: usize,
        pixel_size: f64,
    ) -> Result<Self, ThroughKSpaceError> {
        if n_in == 0 || n_out == 0 {
            return Err(ThroughKSpaceError::Empty { n_in, n_out });
        }
        if !(pixel_size.is_finite() && pixel_size > 0.0) {
            return Err(ThroughKSpaceError::PixelSize(pixel_size));
        }
        if let Some(weights) = weights
            && weights.len() != n_in
        {
            return Err(ThroughKSpaceError::Weights { weights: weights.len(), samples: n_in });
        }
        // Pixels that the new size has in the whole field of view.
        let n_field = 1.0 / pixel_size;
        let whole = n_field.round().max(1.0);
        let is_whole =
            (whole * pixel_size - 1.0).abs() * n_out as f64 / 2.0 <= POSITION_TOLERANCE_PX;
        let n_kept = (whole.min(n_in as f64)) as usize;
        let (n_positive, n_negative) = (n_kept - n_kept / 2, n_kept / 2);
        let frequencies = (0..n_positive as i64).chain(-(n_negative as i64)..0);

        // Shift of the origin: the input's centre, and with an inverse transform the output's.
        let mut turn = (n_in / 2) as f64 / n_in as f64;
        if is_whole {
            turn -= (whole / 2.0).floor() / whole;
        }
        let scale = (n_in as f64 / n_kept as f64).sqrt() / n_in as f64;
        let weights = frequencies
            .map(|k| {
                let index = (k + (n_in / 2) as i64) as usize;
                let weight = weights.map_or(1.0, |weights| f64::from(weights[index]));
                // A chirp's k² turns go in here as well.
                let chirp = if is_whole { 0.0 } else { 0.5 * (k * k) as f64 * pixel_size };
                turns(k as f64 * turn + chirp) * (weight * scale)
            })
            .map(narrow)
            .collect();
        let back = if is_whole {
            let len = whole as usize;
            let (centre, centre_out) = (len / 2, n_out / 2);
            let (from, to) = (centre.saturating_sub(centre_out), centre_out.saturating_sub(centre));
            let n_copied = (len - from).min(n_out - to);
            let fft = Centered::new(len).shared(Direction::Inverse);
            Back::Inverse { len, fft, from, to, n_copied }
        } else {
            Back::chirp(n_kept, n_out, pixel_size)
        };
        let forward = Centered::new(n_in).shared(Direction::Forward);
        Ok(Self { n_in, n_out, forward, weights, n_negative, back })
    }

    /// Pixels of a line before.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// Pixels of a line after.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// `data` with its `axis` taken through k-space.
    ///
    /// # Panics
    /// If the axis has not [`ThroughKSpace::n_in`] pixels.
    pub fn apply<D: Dimension>(
        &self,
        data: ArrayView<'_, Complex32, D>,
        axis: Axis,
    ) -> Array<Complex32, D> {
        assert_eq!(data.len_of(axis), self.n_in, "pixels along {axis:?}");
        let mut dim = data.raw_dim();
        dim[axis.index()] = self.n_out;
        let mut result = Array::zeros(dim);
        let stride = data.shape()[axis.index() + 1..].iter().product();
        let source = data.as_standard_layout();
        if let (Some(source), Some(target)) = (source.as_slice(), result.as_slice_mut())
            && !source.is_empty()
        {
            self.process(Some(source), target, stride);
        }
        result
    }

    /// Takes `axis` of `data` through k-space in place, where the number of pixels stays.
    ///
    /// # Panics
    /// If the axis has not [`ThroughKSpace::n_in`] pixels, or that number changes.
    pub fn apply_in_place<D: Dimension>(
        &self,
        mut data: ArrayViewMut<'_, Complex32, D>,
        axis: Axis,
    ) {
        assert_eq!(data.len_of(axis), self.n_in, "pixels along {axis:?}");
        assert_eq!(self.n_in, self.n_out, "pixels before and after");
        let stride = data.shape()[axis.index() + 1..].iter().product();
        if let Some(samples) = data.as_slice_mut() {
            if !samples.is_empty() {
                self.process(None, samples, stride);
            }
        } else {
            let result = self.apply(data.view(), axis);
            data.assign(&result);
        }
    }

    /// Works on all lines. `source`, `[outer, n_in, stride]`, is `target` itself where [`None`].
    fn process(&self, source: Option<&[Complex32]>, target: &mut [Complex32], stride: usize) {
        // Rows go in blocks, so that each job is worth a thread.
        let planes = if stride == 1 { LINES } else { 1 };
        let (len_in, len_out) = (planes * self.n_in * stride, planes * self.n_out * stride);
        let n_jobs = target.len().div_ceil(len_out);
        let run = |(job, target): (usize, &mut [Complex32])| {
            let source = source.map(|source| {
                let first = job * len_in;
                &source[first..source.len().min(first + len_in)]
            });
            WORKSPACE.with_borrow_mut(|workspace| {
                workspace.resize(self.workspace_len().max(workspace.len()), Complex32::ZERO);
                if stride == 1 {
                    self.rows(source, target, workspace);
                } else {
                    self.plane(source, target, stride, workspace);
                }
            });
        };
        let is_parallel = target.len() >= PARALLEL_FROM && n_jobs > 1;
        if is_parallel && rayon::current_num_threads() > 1 {
            target.par_chunks_mut(len_out).enumerate().for_each(run);
        } else {
            target.chunks_mut(len_out).enumerate().for_each(run);
        }
    }

    fn rows(
        &self,
        source: Option<&[Complex32]>,
        target: &mut [Complex32],
        workspace: &mut [Complex32],
    ) {
        let (line, workspace) = workspace.split_at_mut(self.n_in);
        for (index, target) in target.chunks_exact_mut(self.n_out).enumerate() {
            let source = source.map(|source| &source[index * self.n_in..][..self.n_in]);
            line.copy_from_slice(source.unwrap_or(target));
            self.line(line, target, workspace);
        }
    }

    /// Lines along the first axis of `[len, stride]`, a few neighbours at a time.
    fn plane(
        &self,
        source: Option<&[Complex32]>,
        target: &mut [Complex32],
        stride: usize,
        workspace: &mut [Complex32],
    ) {
        let (pitch_in, pitch_out) = (self.n_in + PADDING, self.n_out + PADDING);
        let (lines, workspace) = workspace.split_at_mut(LINES * pitch_in);
        let (results, workspace) = workspace.split_at_mut(LINES * pitch_out);
        for first in (0..stride).step_by(LINES) {
            let n_lines = LINES.min(stride - first);
            let from = source.unwrap_or(target);
            for (row, pixels) in from.chunks_exact(stride).enumerate() {
                for (line, pixel) in pixels[first..first + n_lines].iter().enumerate() {
                    lines[line * pitch_in + row] = *pixel;
                }
            }
            for line in 0..n_lines {
                let pixels = &mut lines[line * pitch_in..][..self.n_in];
                let result = &mut results[line * pitch_out..][..self.n_out];
                self.line(pixels, result, workspace);
            }
            for (row, pixels) in target.chunks_exact_mut(stride).enumerate() {
                for (line, pixel) in pixels[first..first + n_lines].iter_mut().enumerate() {
                    *pixel = results[line * pitch_out + row];
                }
            }
        }
    }

    /// One line. `line` is used up.
    fn line(&self, line: &mut [Complex32], target: &mut [Complex32], workspace: &mut [Complex32]) {
        self.forward.process_with_scratch(line, workspace);
        let n_positive = self.weights.len() - self.n_negative;
        let (positive, negative) = self.weights.split_at(n_positive);
        match &self.back {
            Back::Inverse { len, fft, from, to, n_copied } if *len == self.n_in => {
                for (sample, weight) in line.iter_mut().zip(&self.weights) {
                    *sample *= weight;
                }
                fft.process_with_scratch(line, workspace);
                target[..*to].fill(Complex32::ZERO);
                target[*to..to + n_copied].copy_from_slice(&line[*from..from + n_copied]);
                target[to + n_copied..].fill(Complex32::ZERO);
            }
            Back::Inverse { len, fft, from, to, n_copied } => {
                let (longer, workspace) = workspace.split_at_mut(*len);
                spread(line, longer, positive, negative);
                fft.process_with_scratch(longer, workspace);
                target[..*to].fill(Complex32::ZERO);
                target[*to..to + n_copied].copy_from_slice(&longer[*from..from + n_copied]);
                target[to + n_copied..].fill(Complex32::ZERO);
            }
            Back::Chirp { len, forward, inverse, chirp, out } => {
                let (longer, workspace) = workspace.split_at_mut(*len);
                spread(line, longer, positive, negative);
                forward.process_with_scratch(longer, workspace);
                for (sample, weight) in longer.iter_mut().zip(chirp) {
                    *sample *= weight;
                }
                inverse.process_with_scratch(longer, workspace);
                for ((pixel, sample), weight) in target.iter_mut().zip(longer).zip(out) {
                    *pixel = *sample * weight;
                }
            }
        }
    }

    fn workspace_len(&self) -> usize {
        let (len, scratch) = match &self.back {
            Back::Inverse { len, fft, .. } => (*len, fft.get_inplace_scratch_len()),
            Back::Chirp { len, forward, inverse, .. } => {
                let scratch = forward.get_inplace_scratch_len();
                (*len, scratch.max(inverse.get_inplace_scratch_len()))
            }
        };
        let lines = LINES * (self.n_in + self.n_out + 2 * PADDING);
        lines + len + scratch.max(self.forward.get_inplace_scratch_len())
    }
}

impl Back {
    /// Output pixel p is Σ x\[k\] exp(2πi k (p − c) a) for pixels of `a` fields of view. With
    /// k (p − c) = (k² + (p − c)² − (k − (p − c))²) / 2 that is a convolution; the k² is in the
    /// weights.
    fn chirp(n_kept: usize, n_out: usize, pixel_size: f64) -> Self {
        let len = (n_kept + n_out - 1).next_power_of_two();
        let centre = (n_out / 2) as i64;
        let plan = Centered::new(len);
        let (forward, inverse) = (plan.shared(Direction::Forward), plan.shared(Direction::Inverse));
        let mut chirp = vec![Complex32::ZERO; len];
        let (lowest, highest) = (-((n_kept / 2) as i64), (n_kept - n_kept / 2) as i64 - 1);
        // Output pixel p reads x[k] at distance p − k, which is counted round the circle.
        for distance in -highest..n_out as i64 - lowest {
            let offset = (distance - centre) as f64;
            let index = distance.rem_euclid(len as i64) as usize;
            chirp[index] = narrow(turns(-0.5 * offset * offset * pixel_size) / len as f64);
        }
        forward.process(&mut chirp);
        let out = (0..n_out as i64)
            .map(|pixel| {
                let offset = (pixel - centre) as f64;
                let is_inside = (offset * pixel_size).abs() <= 0.5;
                let factor = turns(0.5 * offset * offset * pixel_size);
                if is_inside { narrow(factor) } else { Complex32::ZERO }
            })
            .collect();
        Self::Chirp { len, forward, inverse, chirp, out }
    }
}

impl fmt::Debug for ThroughKSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThroughKSpace")
            .field("n_in", &self.n_in)
            .field("n_out", &self.n_out)
            .finish_non_exhaustive()
    }
}

/// Puts weighted samples to both ends of `longer`, zeros between.
fn spread(
    line: &[Complex32],
    longer: &mut [Complex32],
    positive: &[Complex32],
    negative: &[Complex32],
) {
    let (low, rest) = longer.split_at_mut(positive.len());
    let (middle, high) = rest.split_at_mut(rest.len() - negative.len());
    for ((target, sample), weight) in low.iter_mut().zip(line).zip(positive) {
        *target = *sample * weight;
    }
    middle.fill(Complex32::ZERO);
    let last = &line[line.len() - negative.len()..];
    for ((target, sample), weight) in high.iter_mut().zip(last).zip(negative) {
        *target = *sample * weight;
    }
}

/// exp(2πi · `turns`), exact for many turns.
fn turns(turns: f64) -> Complex64 {
    Complex64::cis(TAU * turns.rem_euclid(1.0))
}

fn narrow(value: Complex64) -> Complex32 {
    Complex32::new(value.re as f32, value.im as f32)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array3, ArrayD, IxDyn};

    use super::super::reference::{array, relative_error};
    use super::*;

    /// The definition: centred transform, weights, and the sum over k at each output pixel.
    fn direct(
        line: &Array1<Complex32>,
        weights: Option<&[f32]>,
        n_out: usize,
        pixel_size: f64,
    ) -> ArrayD<Complex64> {
        let n = line.len() as i64;
        let n_kept = ((1.0 / pixel_size).round() as i64).min(n);
        let mut result = ArrayD::zeros(IxDyn(&[n_out]));
        for k in -(n_kept / 2)..n_kept - n_kept / 2 {
            let mut sample = Complex64::ZERO;
            for (x, value) in (-(n / 2)..).zip(line) {
                let value = Complex64::new(value.re.into(), value.im.into());
                sample += value * turns(-((k * x) as f64) / n as f64);
            }
            sample *= weights.map_or(1.0, |w| f64::from(w[(k + n / 2) as usize])) / n as f64;
            for (p, value) in (-((n_out / 2) as i64)..).zip(result.iter_mut()) {
                *value += sample * turns((k * p) as f64 * pixel_size);
            }
        }
        for (p, value) in (-((n_out / 2) as i64)..).zip(result.iter_mut()) {
            *value *= (n as f64 / n_kept as f64).sqrt();
            if (p as f64 * pixel_size).abs() > 0.5 {
                *value = Complex64::ZERO;
            }
        }
        result
    }

    #[test]
    fn any_lengths_and_pixel_sizes_agree_with_the_definition() {
        let cases: [(usize, usize, f64); 14] = [
            (32, 32, 1.0 / 32.0),
            (31, 31, 1.0 / 31.0),
            (32, 48, 1.0 / 48.0),
            (32, 45, 1.0 / 45.0),
            (31, 45, 1.0 / 45.0),
            (31, 44, 1.0 / 44.0),
            (32, 24, 1.0 / 48.0),
            (45, 20, 1.0 / 45.0),
            (48, 32, 1.0 / 32.0),
            (48, 21, 1.0 / 33.0),
            (32, 40, 1.0 / 36.0),
            // Pixels that do not divide the field of view.
            (32, 30, 1.0 / 41.3),
            (33, 47, 1.0 / 44.7),
            (48, 30, 1.0 / 35.4),
        ];
        for (n_in, n_out, pixel_size) in cases {
            let line = array(&[n_in]).into_dimensionality().expect("one axis");
            let weights: Vec<f32> = (0..n_in).map(|k| 1.0 + (k as f32 * 0.3).sin()).collect();
            for weights in [None, Some(&weights[..])] {
                let plan = ThroughKSpace::new(n_in, weights, n_out, pixel_size).expect("a plan");
                let mut truth = direct(&line, weights, n_out, pixel_size);
                let mut result = plan.apply(line.view(), Axis(0)).into_dyn();
                if n_out > (1.0 / pixel_size).round() as usize {
                    // The pixel at either edge of the field of view is a matter of rounding.
                    for edge in 0..n_out {
                        let offset = (edge as f64 - (n_out / 2) as f64) * pixel_size;
                        if offset.abs() > 0.49 {
                            (truth[[edge]], result[[edge]]) = (Complex64::ZERO, Complex32::ZERO);
                        }
                    }
                }
                let error = relative_error(&result, &truth);
                // Single precision through two or three transforms.
                assert!(error < 2e-6, "{n_in} to {n_out} of {pixel_size}: {error:e}");
            }
        }
    }

    #[test]
    fn rows_and_columns_of_an_array_are_the_same_lines() {
        let weights: Vec<f32> = (0..20).map(|k| 1.0 / (1.0 + k as f32)).collect();
        let plan = ThroughKSpace::new(20, Some(&weights), 26, 1.0 / 30.0).expect("a plan");
        let data: Array3<Complex32> = array(&[3, 20, 37]).into_dimensionality().expect("3 axes");
        let columns = plan.apply(data.view(), Axis(1));
        assert_eq!(columns.dim(), (3, 26, 37));
        let rows = plan.apply(data.view().permuted_axes([0, 2, 1]), Axis(2));
        assert_eq!(columns, rows.permuted_axes([0, 2, 1]));
    }

    #[test]
    fn a_filter_works_in_place_and_of_ones_changes_nothing() {
        let data = array(&[2, 40, 24]);
        let ones = ThroughKSpace::filter(&[1.0; 40]).expect("a plan");
        let mut same = data.clone();
        ones.apply_in_place(same.view_mut(), Axis(1));
        let truth = data.mapv(|value| Complex64::new(value.re.into(), value.im.into()));
        assert!(relative_error(&same, &truth) < 1e-6);
        let weights: Vec<f32> = (0..24).map(|k| k as f32).collect();
        let plan = ThroughKSpace::filter(&weights).expect("a plan");
        let mut filtered = data.clone();
        plan.apply_in_place(filtered.view_mut(), Axis(2));
        assert_eq!(filtered, plan.apply(data.view(), Axis(2)));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let data = array(&[9, 64, 80]);
        let plan = ThroughKSpace::new(64, None, 96, 1.0 / 96.0).expect("a plan");
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| plan.apply(data.view(), Axis(1)))
        };
        assert_eq!(on(1), on(8));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(ThroughKSpace::filter(&[]).is_err());
        assert!(ThroughKSpace::new(4, None, 4, 0.0).is_err());
        assert!(ThroughKSpace::new(4, None, 4, f64::NAN).is_err());
        let error = ThroughKSpace::new(4, Some(&[1.0; 3]), 4, 0.25).expect_err("3 weights");
        assert_eq!(error.to_string(), "3 weights for 4 samples");
    }
}
