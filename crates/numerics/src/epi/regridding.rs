//! Pixels along the readout from samples that are not evenly spaced.

use std::f64::consts::PI;

use nalgebra::DMatrix;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};
use num_complex::{Complex32, Complex64};

/// Which places the pixels have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PixelGrid {
    /// Pixel m of N lies at (m − ⌊N/2⌋)/N of the field of view: that of a Fourier transform.
    #[default]
    Centred,
    /// Gadgetron's: from −1/2 to (N − 1)/(2N) of the encoded field of view in even steps. They
    /// are wider than a pixel by N − 1/2 over N − 1, so that what lies at the right edge appears
    /// half a pixel too far to the left. The reconstructed field of view is not looked at.
    Stretched,
}

/// Sizes and places of a regridding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegriddingOptions {
    /// Pixels of the encoded matrix along the readout, 1 or more.
    pub n_encoded: usize,
    /// Pixels to give, 1 or more.
    pub n_pixels: usize,
    /// Field of view of the pixels over the encoded one.
    pub field_of_view_ratio: f64,
    /// Where the pixels lie.
    pub grid: PixelGrid,
}

/// Samples or pixels that no matrix can be made for.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum RegriddingError {
    /// A size is 0 or out of proportion.
    #[error(
        "{n_samples} samples for {n_encoded} encoded and {n_pixels} reconstructed pixels; each \
         must be from 1 to 8192"
    )]
    Size {
        /// Samples of a readout.
        n_samples: usize,
        /// Pixels of the encoded matrix.
        n_encoded: usize,
        /// Pixels to give.
        n_pixels: usize,
    },
    /// A position is not a number, or the samples do not move through k-space.
    #[error("the samples of a readout do not move through k-space")]
    Positions,
    /// The pseudo-inverse was not found.
    #[error("the matrix of the samples has no pseudo-inverse")]
    NoInverse,
}

/// Largest number of samples or pixels.
const MAX_SIZE: usize = 8192;

/// From the samples of a readout to pixels along it.
///
/// # Method
/// What is sampled at k is Σ sinc(k − q)·s\[q\] of the even samples s at q = −⌊n/2⌋ … ⌊n/2⌋ of an
/// object inside the encoded field of view. The pseudo-inverse of that matrix finds s in the
/// sense of least squares, and a discrete Fourier transform, scaled by 1/√(2⌊n/2⌋ + 1), the
/// pixels: the method of Gadgetron's `EPIReconX`. It needs no density compensation and is exact
/// where the samples are dense enough.
///
/// The receiver of an off-centre slice demodulates as if the gradient were at its full height
/// all the time; the difference to where k really is becomes a phase, which is taken out.
#[derive(Clone, Debug)]
pub struct Regridding {
    /// `[sample, pixel]` for a forward and a reverse readout.
    matrices: [Array2<Complex32>; 2],
    /// How far k is from what the receiver took it for at each sample of a forward readout,
    /// cycles per field of view.
    receiver_error: Vec<f64>,
}

impl Regridding {
    /// The matrices for samples at `positions`, k in cycles per encoded field of view.
    ///
    /// # Errors
    /// [`RegriddingError`].
    pub fn new(positions: &[f64], options: &RegriddingOptions) -> Result<Self, RegriddingError> {
        let &RegriddingOptions { n_encoded, n_pixels, .. } = options;
        let n_samples = positions.len();
        if ![n_samples, n_encoded, n_pixels].iter().all(|size| (1..=MAX_SIZE).contains(size)) {
            return Err(RegriddingError::Size { n_samples, n_encoded, n_pixels });
        }
        let steps = positions.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        let largest_step = steps.fold(0.0, f64::max);
        let is_usable = positions.iter().all(|k| k.is_finite()) && largest_step > 0.0;
        if !is_usable || !options.field_of_view_ratio.is_finite() {
            return Err(RegriddingError::Positions);
        }
        let middle = zero_crossing(positions);
        let receiver_error = positions
            .iter()
            .enumerate()
            .map(|(sample, k)| k - (sample as f64 - middle) * largest_step)
            .collect();
        let even_samples = pseudo_inverse(positions, n_encoded / 2)?;
        let forward = matrix(&even_samples, options, false);
        let reverse = matrix(&even_samples, options, true);
        Ok(Self { matrices: [forward, reverse], receiver_error })
    }

    /// Samples of a readout.
    pub fn n_samples(&self) -> usize {
        self.matrices[0].nrows()
    }

    /// Pixels that it gives.
    pub fn n_pixels(&self) -> usize {
        self.matrices[0].ncols()
    }

    /// Pixels of a readout: `[channel, x]`, x in the direction of a forward readout.
    ///
    /// * `samples`: `[channel, sample]` in the order of time.
    /// * `off_center`: from the isocentre to the middle of the image along the readout, over the
    ///   encoded field of view.
    ///
    /// # Panics
    /// If there are not [`Regridding::n_samples`].
    pub fn run(
        &self,
        samples: ArrayView2<'_, Complex32>,
        is_reverse: bool,
        off_center: f64,
    ) -> Array2<Complex32> {
        assert_eq!(samples.ncols(), self.n_samples(), "samples of a readout");
        let mut pixels = Array2::zeros((samples.nrows(), self.n_pixels()));
        let matrix = &self.matrices[usize::from(is_reverse)];
        if off_center == 0.0 {
            general_mat_mul(Complex32::ONE, &samples, matrix, Complex32::ZERO, &mut pixels);
            return pixels;
        }
        let sign = if is_reverse { 2.0 * PI } else { -2.0 * PI };
        let mut demodulated = samples.to_owned();
        for (mut column, error) in demodulated.columns_mut().into_iter().zip(&self.receiver_error) {
            let phase_rad = sign * off_center * error;
            let factor = Complex32::new(phase_rad.cos() as f32, phase_rad.sin() as f32);
            column.mapv_inplace(|sample| sample * factor);
        }
        general_mat_mul(Complex32::ONE, &demodulated, matrix, Complex32::ZERO, &mut pixels);
        pixels
    }
}

/// Sample, with its fraction, at which k is 0.
fn zero_crossing(positions: &[f64]) -> f64 {
    for (sample, pair) in positions.windows(2).enumerate() {
        if pair[0] == 0.0 {
            return sample as f64;
        }
        if pair[0] * pair[1] < 0.0 {
            return sample as f64 + pair[0] / (pair[0] - pair[1]);
        }
    }
    let smallest = positions.iter().enumerate().min_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    smallest.map_or(0.0, |(sample, _)| sample as f64)
}

/// `[even sample, sample]`: pseudo-inverse of sinc(kₛ − q), q from −`half` to `half`. Directions
/// whose singular value is below the rounding error are left out.
fn pseudo_inverse(positions: &[f64], half: usize) -> Result<DMatrix<f64>, RegriddingError> {
    let n_even = 2 * half + 1;
    let sinc = DMatrix::from_fn(positions.len(), n_even, |sample, even| {
        let x = PI * (positions[sample] - (even as f64 - half as f64));
        if x == 0.0 { 1.0 } else { x.sin() / x }
    });
    let largest_dimension = positions.len().max(n_even) as f64;
    let svd = sinc.try_svd(true, true, f64::EPSILON, 0).ok_or(RegriddingError::NoInverse)?;
    let limit = largest_dimension * f64::EPSILON * svd.singular_values.max();
    svd.pseudo_inverse(limit).map_err(|_| RegriddingError::NoInverse)
}

/// `[sample, pixel]`: discrete Fourier transform of the even samples.
fn matrix(
    even_samples: &DMatrix<f64>,
    options: &RegriddingOptions,
    is_reverse: bool,
) -> Array2<Complex32> {
    let (n_even, n_samples) = even_samples.shape();
    let half = (n_even / 2) as f64;
    let n_pixels = options.n_pixels;
    let place = |pixel: usize| match options.grid {
        PixelGrid::Centred => {
            (pixel as f64 - (n_pixels / 2) as f64) / n_pixels as f64 * options.field_of_view_ratio
        }
        PixelGrid::Stretched => {
            let n = n_pixels as f64;
            let step = if n_pixels > 1 { (n - 0.5) / (n * (n - 1.0)) } else { 0.0 };
            pixel as f64 * step - 0.5
        }
    };
    // Reverse readouts go from +k to −k.
    let sign = if is_reverse { -1.0 } else { 1.0 };
    let scale = 1.0 / (n_even as f64).sqrt();
    let transform = DMatrix::from_fn(n_pixels, n_even, |pixel, even| {
        Complex64::from_polar(scale, sign * 2.0 * PI * (even as f64 - half) * place(pixel))
    });
    let real = transform.map(|value| value.re) * even_samples;
    let imag = transform.map(|value| value.im) * even_samples;
    Array2::from_shape_fn((n_samples, n_pixels), |(sample, pixel)| {
        Complex32::new(real[(pixel, sample)] as f32, imag[(pixel, sample)] as f32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epi::Trapezoid;

    const RAMPS: Trapezoid = Trapezoid {
        ramp_up_time_us: 160.0,
        flat_top_time_us: 240.0,
        ramp_down_time_us: 160.0,
        dwell_time_us: 3.1,
        n_samples: 160,
    };

    fn options() -> RegriddingOptions {
        RegriddingOptions {
            n_encoded: 80,
            n_pixels: 80,
            field_of_view_ratio: 1.0,
            grid: PixelGrid::Centred,
        }
    }

    /// Samples of points (place over the field of view, amplitude).
    fn samples(positions: &[f64], points: &[(f64, f64)]) -> Array2<Complex32> {
        Array2::from_shape_fn((1, positions.len()), |(_, sample)| {
            let sum: Complex64 = points
                .iter()
                .map(|(x, a)| Complex64::from_polar(*a, -2.0 * PI * positions[sample] * x))
                .sum();
            Complex32::new(sum.re as f32, sum.im as f32)
        })
    }

    /// What the pixels of these points are: the sum of the even samples.
    fn expected(x: f64, points: &[(f64, f64)]) -> Complex64 {
        let sum: Complex64 = (-40..=40)
            .flat_map(|k| {
                points.iter().map(move |(place, a)| {
                    Complex64::from_polar(*a, 2.0 * PI * f64::from(k) * (x - place))
                })
            })
            .sum();
        sum / 9.0
    }

    #[test]
    fn a_smooth_object_comes_back_in_both_directions() {
        let positions = RAMPS.positions(80).expect("a readout");
        let regridding = Regridding::new(&positions, &options()).expect("a matrix");
        let reversed: Vec<f64> = positions.iter().map(|k| -k).collect();
        // Gaussian of 8 pixels, whose k-space is far from the edge.
        let points: Vec<(f64, f64)> = (-20..=20)
            .map(|n| (0.1 + f64::from(n) / 160.0, (-f64::from(n * n) / 128.0).exp()))
            .collect();
        for (positions, is_reverse) in [(&positions, false), (&reversed, true)] {
            let pixels = regridding.run(samples(positions, &points).view(), is_reverse, 0.0);
            let peak = expected(0.1, &points).norm();
            for (m, pixel) in pixels.iter().enumerate() {
                let truth = expected((m as f64 - 40.0) / 80.0, &points);
                let error = (Complex64::new(pixel.re.into(), pixel.im.into()) - truth).norm();
                // Points beyond the band of the matrix are what is left: 1e-3 of the peak.
                assert!(error < 1e-3 * peak, "pixel {m}, reverse {is_reverse}: {error} of {peak}");
            }
        }
    }

    #[test]
    fn even_samples_are_interpolated_exactly() {
        // Samples at the even places themselves: the pseudo-inverse is their selection.
        let positions: Vec<f64> = (-4..=4).map(f64::from).collect();
        let options = RegriddingOptions { n_encoded: 8, n_pixels: 8, ..options() };
        let regridding = Regridding::new(&positions, &options).expect("a matrix");
        let mut line = Array2::zeros((2, 9));
        line[[1, 4]] = Complex32::new(3.0, 0.0);
        let pixels = regridding.run(line.view(), false, 0.0);
        for pixel in 0..8 {
            assert_eq!(pixels[[0, pixel]], Complex32::ZERO);
            assert!((pixels[[1, pixel]] - Complex32::ONE).norm() < 1e-6);
        }
    }

    #[test]
    fn the_receiver_of_an_off_centre_slice_is_followed() {
        let positions = RAMPS.positions(80).expect("a readout");
        let regridding = Regridding::new(&positions, &options()).expect("a matrix");
        let points = [(0.2, 1.0), (-0.1, 2.0)];
        // The receiver mixes with the frequency of the slice's centre at full gradient: relative
        // to that, a sample has the phase of k minus an even k.
        let step = positions.windows(2).map(|p| p[1] - p[0]).fold(0.0, f64::max);
        for is_reverse in [false, true] {
            let sign = if is_reverse { -1.0 } else { 1.0 };
            let there: Vec<f64> = positions.iter().map(|k| sign * k).collect();
            let still = samples(&there, &points);
            let mut mixed = still.clone();
            for (n, sample) in mixed.iter_mut().enumerate() {
                let assumed = sign * (n as f64 - 79.0) * step;
                let phase_rad = 2.0 * PI * 0.3 * (there[n] - assumed);
                *sample *= Complex32::from_polar(1.0, phase_rad as f32);
            }
            let still = regridding.run(still.view(), is_reverse, 0.0);
            let mixed = regridding.run(mixed.view(), is_reverse, 0.3);
            let error = (&still - &mixed).iter().map(|v| v.norm()).fold(0.0, f32::max);
            assert!(error < 1e-4, "{error}");
        }
    }

    #[test]
    fn gadgetrons_grid_is_wider_by_half_a_pixel() {
        let positions = RAMPS.positions(80).expect("a readout");
        let stretched = RegriddingOptions { grid: PixelGrid::Stretched, ..options() };
        let regridding = Regridding::new(&positions, &stretched).expect("a matrix");
        let points = [(0.3, 1.0)];
        let pixels = regridding.run(samples(&positions, &points).view(), false, 0.0);
        let largest = pixels.iter().enumerate().max_by(|a, b| a.1.norm().total_cmp(&b.1.norm()));
        let pixel = largest.expect("pixels").0 as f64;
        // 0.8 of the field of view is pixel 64 of 80, and 63.6 of the wider steps.
        assert!((pixel - 0.8 / (79.5 / (80.0 * 79.0))).abs() < 0.5, "{pixel}");
    }

    #[test]
    fn a_cut_field_of_view_keeps_its_centre() {
        let positions = RAMPS.positions(80).expect("a readout");
        let half = RegriddingOptions { n_pixels: 40, field_of_view_ratio: 0.5, ..options() };
        let whole = Regridding::new(&positions, &options()).expect("a matrix");
        let half = Regridding::new(&positions, &half).expect("a matrix");
        let line = samples(&positions, &[(0.05, 1.0), (-0.2, 0.7)]);
        let (whole, half) = (whole.run(line.view(), false, 0.0), half.run(line.view(), false, 0.0));
        for pixel in 0..40 {
            assert!((half[[0, pixel]] - whole[[0, pixel + 20]]).norm() < 1e-5);
        }
    }

    #[test]
    fn sizes_and_positions_are_checked() {
        let none = RegriddingOptions { n_pixels: 0, ..options() };
        assert!(matches!(
            Regridding::new(&[0.0, 1.0], &none),
            Err(RegriddingError::Size { n_pixels: 0, .. })
        ));
        for positions in [[0.0, 0.0], [0.0, f64::NAN]] {
            let result = Regridding::new(&positions, &options());
            assert!(matches!(result, Err(RegriddingError::Positions)));
        }
    }

    #[test]
    fn fewer_samples_than_pixels_give_the_smallest_solution() {
        // 80 even samples for 81 unknowns: the edge that is missing is 0.
        let positions: Vec<f64> = (0..80).map(|n| f64::from(n) + 1.0 - 40.0).collect();
        let regridding = Regridding::new(&positions, &options()).expect("a matrix");
        let line = Array2::from_elem((1, 80), Complex32::ONE);
        let pixels = regridding.run(line.view(), false, 0.0);
        assert!((pixels[[0, 40]].re - 80.0 / 9.0).abs() < 1e-4);
    }
}
