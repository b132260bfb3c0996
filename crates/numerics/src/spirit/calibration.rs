//! Weights from calibration lines.

use ndarray::{Array2, Array5, ArrayView4, Axis, s};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use crate::cholesky;

/// Unknown weights per channel: their matrix has this many rows, 16 bytes an element.
const MAX_WEIGHTS: usize = 6144;

/// Sums of products that stay in registers.
const LANES: usize = 8;

/// Choices of the calibration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationOptions {
    /// Samples along the readout that a sample is made of, odd.
    pub kernel_readout: usize,
    /// Lines along encoding step 1, odd.
    pub kernel_e1: usize,
    /// Lines along encoding step 2, odd; 1 is taken where the calibration has one.
    pub kernel_e2: usize,
    /// Tikhonov's regularisation, relative to the mean of the diagonal of the normal matrix.
    pub regularisation: f64,
    /// Equations per unknown, at most: the calibration is cut along the readout around its
    /// centre.
    pub overdetermination: f64,
}

impl Default for CalibrationOptions {
    fn default() -> Self {
        Self {
            kernel_readout: 7,
            kernel_e1: 7,
            kernel_e2: 5,
            regularisation: 0.005,
            overdetermination: 45.0,
        }
    }
}

/// Calibration lines that no weights can be fitted to.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// A kernel needs a centre.
    #[error("a kernel of {0} samples has no centre: its sizes must be odd and not 0")]
    EvenKernel(usize),
    /// The kernel does not fit into the calibration.
    #[error("{available} calibration {what}, a kernel of {needed} needs that many and more")]
    TooFewLines {
        /// Lines of encoding step 1, of encoding step 2, or samples.
        what: &'static str,
        /// How many there are.
        available: usize,
        /// How many the kernel spans.
        needed: usize,
    },
    /// Too many weights for the memory.
    #[error("{weights} weights per channel, at most {MAX_WEIGHTS} are possible")]
    TooManyWeights {
        /// Channels times samples of the kernel.
        weights: usize,
    },
    /// Lines of zeros or of what is not finite.
    #[error("the calibration lines hold no signal, or values that are not finite")]
    NoSignal,
}

/// Weights that make a sample out of its neighbours in all channels:
/// `[target channel, source channel, encoding_step_2, encoding_step_1, readout]`, the sample
/// itself in the middle with weight 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    weights: Array5<Complex32>,
}

impl Kernel {
    /// A kernel of given weights: `[target channel, source channel, encoding_step_2,
    /// encoding_step_1, readout]`, each of the last three axes odd.
    ///
    /// # Panics
    /// If an axis is even or targets and sources are not the same channels.
    pub fn from_weights(weights: Array5<Complex32>) -> Self {
        let (targets, sources, e2, e1, readout) = weights.dim();
        assert_eq!(targets, sources, "targets and sources");
        assert!([e2, e1, readout].iter().all(|len| len % 2 == 1), "sizes of the kernel");
        Self { weights }
    }

    /// The weights: `[target channel, source channel, encoding_step_2, encoding_step_1,
    /// readout]`.
    pub fn weights(&self) -> &Array5<Complex32> {
        &self.weights
    }

    /// Channels that it mixes.
    pub fn n_channels(&self) -> usize {
        self.weights.len_of(Axis(0))
    }

    /// Fits the weights to `calibration`: `[channel, encoding_step_2, encoding_step_1, readout]`,
    /// k-space without gaps.
    ///
    /// # Errors
    /// [`CalibrationError`].
    ///
    /// # Method
    /// Minimises ‖A w − a‖² + λ ‖w‖² for each channel. All of them share one matrix: with
    /// B = (AᴴA + λ I)⁻¹ over all samples of the kernel, the weights that leave out sample p are
    /// −B\[·, p\] / B\[p, p\], so one Cholesky factor serves all. AᴴA is made of correlations
    /// between pairs of rows: neighbouring elements differ by the products at the two ends.
    pub fn calibrate(
        calibration: ArrayView4<'_, Complex32>,
        options: &CalibrationOptions,
    ) -> Result<Self, CalibrationError> {
        let (n_channels, n_e2, n_e1, n_readout) = calibration.dim();
        let kernel_e2 = if n_e2 == 1 { 1 } else { options.kernel_e2 };
        let size = [kernel_e2, options.kernel_e1, options.kernel_readout];
        if let Some(&even) = size.iter().find(|len| **len % 2 == 0) {
            return Err(CalibrationError::EvenKernel(even));
        }
        let names = ["lines of encoding step 2", "lines of encoding step 1", "samples"];
        for ((what, available), needed) in names.into_iter().zip([n_e2, n_e1, n_readout]).zip(size)
        {
            if available < needed {
                return Err(CalibrationError::TooFewLines { what, available, needed });
            }
        }
        let n_taps: usize = size.iter().product();
        let n_weights = n_channels.saturating_mul(n_taps);
        if n_weights > MAX_WEIGHTS {
            return Err(CalibrationError::TooManyWeights { weights: n_weights });
        }

        let windows_per_sample = (n_e2 - size[0] + 1) * (n_e1 - size[1] + 1);
        let wanted = (options.overdetermination * n_weights as f64 / windows_per_sample as f64)
            .ceil()
            .clamp(1.0, (n_readout - size[2] + 1) as f64) as usize;
        let first = (n_readout - (wanted + size[2] - 1)) / 2;
        let rows =
            Rows::new(calibration.slice(s![.., .., .., first..first + wanted + size[2] - 1]));

        let mut normal = normal_matrix(&rows, n_channels, size);
        let mean_diagonal =
            normal.diag().iter().map(|value| value.re).sum::<f64>() / n_weights as f64;
        if mean_diagonal <= 0.0 || !mean_diagonal.is_finite() {
            return Err(CalibrationError::NoSignal);
        }
        for value in normal.diag_mut() {
            *value += options.regularisation * mean_diagonal;
        }
        let lower = cholesky::factor(normal.view()).map_err(|_| CalibrationError::NoSignal)?;
        drop(normal);
        let center = n_taps / 2;
        let mut columns = Array2::<Complex64>::zeros((n_weights, n_channels));
        for channel in 0..n_channels {
            columns[[channel * n_taps + center, channel]] = Complex64::ONE;
        }
        cholesky::solve(lower.view(), columns.view_mut());

        let mut weights = Array5::zeros((n_channels, n_channels, size[0], size[1], size[2]));
        for (target, mut weights) in weights.outer_iter_mut().enumerate() {
            let own = target * n_taps + center;
            let scale = -1.0 / columns[[own, target]].re;
            for (row, weight) in weights.iter_mut().enumerate() {
                let value =
                    if row == own { Complex64::ZERO } else { columns[[row, target]] * scale };
                *weight = Complex32::new(value.re as f32, value.im as f32);
            }
        }
        Ok(Self { weights })
    }
}

/// Real and imaginary parts apart: `[channel, e2, e1]` rows of `len` samples.
struct Rows {
    re: Vec<f32>,
    im: Vec<f32>,
    n_e2: usize,
    n_e1: usize,
    len: usize,
}

impl Rows {
    fn new(calibration: ArrayView4<'_, Complex32>) -> Self {
        let (_, n_e2, n_e1, len) = calibration.dim();
        let re = calibration.iter().map(|value| value.re).collect();
        let im = calibration.iter().map(|value| value.im).collect();
        Self { re, im, n_e2, n_e1, len }
    }

    fn row(&self, channel: usize, e2: usize, e1: usize) -> (&[f32], &[f32]) {
        let first = ((channel * self.n_e2 + e2) * self.n_e1 + e1) * self.len;
        (&self.re[first..first + self.len], &self.im[first..first + self.len])
    }
}

/// AᴴA: `[source channel and sample, source channel and sample]`.
fn normal_matrix(rows: &Rows, n_channels: usize, size: [usize; 3]) -> Array2<Complex64> {
    let n_taps: usize = size.iter().product();
    let pairs: Vec<(usize, usize)> =
        (0..n_channels).flat_map(|a| (0..=a).map(move |b| (a, b))).collect();
    let mut normal = Array2::zeros((n_channels * n_taps, n_channels * n_taps));
    // In portions, so that few blocks lie in memory twice.
    for pairs in pairs.chunks(64) {
        let blocks: Vec<_> =
            pairs.par_iter().map(|&(a, b)| channel_block(rows, a, b, size)).collect();
        for (&(a, b), block) in pairs.iter().zip(blocks) {
            for ((i, j), value) in block.indexed_iter() {
                normal[[a * n_taps + i, b * n_taps + j]] = *value;
                normal[[b * n_taps + j, a * n_taps + i]] = value.conj();
            }
        }
    }
    normal
}

/// Σ over windows of conj(a\[window + tap\]) · b\[window + tap'\]: `[tap, tap']`.
fn channel_block(rows: &Rows, a: usize, b: usize, size: [usize; 3]) -> Array2<Complex64> {
    let [k2, k1, kx] = size;
    let n_taps = k2 * k1 * kx;
    let mut block = Array2::<Complex64>::zeros((n_taps, n_taps));
    let mut products = vec![Complex64::ZERO; kx * kx];
    // Kernel rows d that a row r of the calibration can be, so that its whole window lies within.
    let places = |r: usize, n: usize, k: usize| (r + k).saturating_sub(n)..k.min(r + 1);
    for a2 in 0..rows.n_e2 {
        for a1 in 0..rows.n_e1 {
            for b2 in (a2 + 1).saturating_sub(k2)..rows.n_e2.min(a2 + k2) {
                for b1 in (a1 + 1).saturating_sub(k1)..rows.n_e1.min(a1 + k1) {
                    row_products(rows.row(a, a2, a1), rows.row(b, b2, b1), kx, &mut products);
                    for d2 in places(a2, rows.n_e2, k2) {
                        let Some(c2) = (d2 + b2).checked_sub(a2).filter(|c2| *c2 < k2) else {
                            continue;
                        };
                        for d1 in places(a1, rows.n_e1, k1) {
                            let Some(c1) = (d1 + b1).checked_sub(a1).filter(|c1| *c1 < k1) else {
                                continue;
                            };
                            let (i, j) = ((d2 * k1 + d1) * kx, (c2 * k1 + c1) * kx);
                            let mut part = block.slice_mut(s![i..i + kx, j..j + kx]);
                            for (sum, product) in part.iter_mut().zip(&products) {
                                *sum += product;
                            }
                        }
                    }
                }
            }
        }
    }
    block
}

/// Σₓ conj(a\[x + i\]) · b\[x + j\] over the windows of a row: `[i, j]`.
fn row_products(a: (&[f32], &[f32]), b: (&[f32], &[f32]), kx: usize, products: &mut [Complex64]) {
    let n_windows = a.0.len() - kx + 1;
    let product = |x: usize, y: usize| {
        let a = Complex64::new(f64::from(a.0[x]), f64::from(a.1[x]));
        let b = Complex64::new(f64::from(b.0[y]), f64::from(b.1[y]));
        a.conj() * b
    };
    for lag in 1 - (kx as isize)..kx as isize {
        let (mut i, mut j) = if lag < 0 { (lag.unsigned_abs(), 0) } else { (0, lag as usize) };
        let mut sum = correlate(
            (&a.0[i..i + n_windows], &a.1[i..i + n_windows]),
            (&b.0[j..j + n_windows], &b.1[j..j + n_windows]),
        );
        loop {
            products[i * kx + j] = sum;
            if i + 1 == kx || j + 1 == kx {
                break;
            }
            sum += product(i + n_windows, j + n_windows) - product(i, j);
            (i, j) = (i + 1, j + 1);
        }
    }
}

/// Σ conj(a) · b, in single precision over stretches of 64 samples at most.
fn correlate(a: (&[f32], &[f32]), b: (&[f32], &[f32])) -> Complex64 {
    let mut total = Complex64::ZERO;
    for first in (0..a.0.len()).step_by(8 * LANES) {
        let last = a.0.len().min(first + 8 * LANES);
        let (mut re, mut im) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        let rows = [&a.0[first..last], &a.1[first..last], &b.0[first..last], &b.1[first..last]];
        let [mut ar, mut ai, mut br, mut bi] = rows.map(|row| row.chunks_exact(LANES));
        for (((ar, ai), br), bi) in (&mut ar).zip(&mut ai).zip(&mut br).zip(&mut bi) {
            for lane in 0..LANES {
                re[lane] += ar[lane] * br[lane] + ai[lane] * bi[lane];
                im[lane] += ar[lane] * bi[lane] - ai[lane] * br[lane];
            }
        }
        let rest = [ar.remainder(), ai.remainder(), br.remainder(), bi.remainder()];
        for lane in 0..rest[0].len() {
            let [ar, ai, br, bi] = rest.map(|row| row[lane]);
            re[lane] += ar * br + ai * bi;
            im[lane] += ar * bi - ai * br;
        }
        let sum = |lanes: [f32; LANES]| f64::from(lanes.iter().sum::<f32>());
        total += Complex64::new(sum(re), sum(im));
    }
    total
}
