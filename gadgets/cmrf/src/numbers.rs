//! The numbers of a slice's voxels, as `reconstruct_fingerprint` gives them, and which of them are tissue.

use ndarray::{Array1, Array2, Ix2};
use num_complex::{Complex32, Complex64};
use numerics::cholesky;
use numerics::fingerprint::Course;
use numerics::joint::{BlockOptions, noise_sd_of_blocks};
use numerics::percentile::percentile;
use pipeline::ImageSeries;

use crate::error::Error;
use crate::played::Played;

/// Pixels along each axis of a neighbourhood that noise is measured in.
const BLOCK: usize = 8;
/// A pixel is signal from so many times on what noise makes of it.
const LEAST_SIGNAL: f32 = 3.0;

/// The numbers of all voxels of a slice.
pub(crate) struct Numbers {
    /// What made them of the echoes: `[number, echo]`.
    pub reduction: Array2<f32>,
    /// `[number, pixel]`.
    pub pixels: Array2<Complex32>,
    /// What makes their noise white: `[number, number]`.
    pub white: Array2<f32>,
    /// `[number, pixel]`.
    pub whitened: Array2<Complex32>,
    /// Standard deviation of the white noise, where it can be told.
    pub floor: Option<f32>,
    /// `[y, x]`.
    pub is_tissue: Array2<bool>,
}

impl Numbers {
    /// * `series`: `[1, 1, number, 1, 1, y, x]`.
    /// * `share`: part of the magnetisation of the brightest pixels below which there is no tissue.
    ///
    /// # Errors
    /// Images of another shape than what was played says.
    pub fn of(
        series: &ImageSeries,
        played: &Played,
        course: &Course,
        share: f64,
    ) -> Result<Self, Error> {
        let &[1, 1, n, 1, 1, n_y, n_x] = series.data.shape() else {
            return Err(Error::Description(format!("images of shape {:?}", series.data.shape())));
        };
        let reduction = played.reduction(course);
        if reduction.nrows() != n {
            return Err(Error::Description(format!("{n} images of {} numbers", reduction.nrows())));
        }
        let pixels = series
            .data
            .to_shape((n, n_y * n_x))
            .and_then(|pixels| pixels.into_owned().into_dimensionality::<Ix2>())
            .map_err(|error| Error::Description(error.to_string()))?;
        let white = whitening(&played.noise_covariance, n)?;
        let whitened = white.mapv(Complex32::from).dot(&pixels);
        let shape = (n_y, n_x);
        let floor = noise_floor(&whitened, shape);
        let size = |pixels: &Array2<Complex32>, place: usize| {
            pixels.column(place).iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt()
        };
        let sizes = Array2::from_shape_fn(shape, |(y, x)| {
            let size_in_noise = size(&whitened, y * n_x + x);
            let is_noise = size_in_noise < LEAST_SIGNAL * floor.unwrap_or(0.0) * (n as f32).sqrt();
            if is_noise { 0.0 } else { size(&pixels, y * n_x + x) }
        });
        let is_tissue = tissue(&sizes, share as f32);
        Ok(Self { reduction, pixels, white, whitened, floor, is_tissue })
    }
}

/// Pixels with signal: those whose size is above a share of what a hundredth of the pixels are above.
fn tissue(sizes: &Array2<f32>, share: f32) -> Array2<bool> {
    let finite: Array1<f32> = sizes.iter().copied().filter(|size| size.is_finite()).collect();
    let bright = percentile(finite.view(), 0.99).unwrap_or(f32::INFINITY);
    sizes.mapv(|size| size.is_finite() && size > 0.0 && size >= share * bright)
}

/// Standard deviation of the noise of images that are white, `[number, pixel]`, by what is smallest in
/// every neighbourhood. [`None`] of so many images that a neighbourhood has no room for noise beside
/// the signals, and where there is none.
fn noise_floor(whitened: &Array2<Complex32>, (n_y, n_x): (usize, usize)) -> Option<f32> {
    let n = whitened.nrows();
    let images = whitened.to_shape((n, 1, n_y, n_x)).ok()?.into_owned();
    let blocks = BlockOptions { size: [1, BLOCK, BLOCK], shift: [0; 3] };
    (4 * n <= BLOCK * BLOCK)
        .then(|| noise_sd_of_blocks(&images, blocks))
        .filter(|floor| *floor > 0.0 && floor.is_finite())
}

/// What makes noise of this covariance white: `[number, number]`.
fn whitening(covariance: &[f64], n: usize) -> Result<Array2<f32>, Error> {
    let matrix = Array2::from_shape_vec((n, n), covariance.to_vec()).map_err(|_| {
        Error::Description(format!("a covariance of {} values of {n} images", covariance.len()))
    })?;
    let lower = cholesky::factor(matrix.mapv(Complex64::from).view())
        .map_err(|error| Error::Description(format!("the noise's covariance: {error}")))?;
    Ok(cholesky::invert_lower(lower.view()).mapv(|value| value.re as f32))
}
