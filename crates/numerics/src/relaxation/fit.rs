//! What a fit gives.

use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;

/// The fit of one pixel; all 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct PixelFit {
    pub(super) value_ms: f32,
    pub(super) sd_ms: f32,
    pub(super) r_squared: f32,
    pub(super) residual_sd: f32,
    pub(super) constant: f32,
    pub(super) exponential: f32,
    pub(super) time_ms: f32,
    pub(super) n_negated: u8,
}

/// Fitted values of every pixel, `[y, x]` each. A pixel without a fit is 0 in all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct RelaxationFit {
    /// T1, T2 or T2*: for [`Model::LookLocker`] the corrected T1.
    pub value_ms: Array2<f32>,
    /// Its standard deviation.
    pub sd_ms: Array2<f32>,
    /// R²: 1 less the share of the samples' variance that the fit leaves.
    pub r_squared: Array2<f32>,
    /// Standard deviation of a sample from the residuals, √(RSS / (n − p)); 0 where n = p.
    pub residual_sd: Array2<f32>,
    /// The constant of constant + exponential · e^(−t/time).
    pub constant: Array2<f32>,
    /// The factor of the exponential.
    pub exponential: Array2<f32>,
    /// The time of the exponential: T1* for [`Model::LookLocker`].
    pub time_ms: Array2<f32>,
    /// Samples that were made negative, the shortest times first.
    pub n_negated: Array2<u8>,
}

impl RelaxationFit {
    pub(super) fn new(fits: Vec<PixelFit>, shape: (usize, usize)) -> Self {
        let map = |value: fn(&PixelFit) -> f32| {
            let values = fits.iter().map(value).collect();
            Array2::from_shape_vec(shape, values).unwrap_or_else(|_| Array2::zeros(shape))
        };
        let n_negated = fits.iter().map(|fit| fit.n_negated).collect();
        Self {
            value_ms: map(|fit| fit.value_ms),
            sd_ms: map(|fit| fit.sd_ms),
            r_squared: map(|fit| fit.r_squared),
            residual_sd: map(|fit| fit.residual_sd),
            constant: map(|fit| fit.constant),
            exponential: map(|fit| fit.exponential),
            time_ms: map(|fit| fit.time_ms),
            n_negated: Array2::from_shape_vec(shape, n_negated)
                .unwrap_or_else(|_| Array2::zeros(shape)),
        }
    }

    /// The signal, with its sign, that the fit has at these times: `[time, y, x]`, 0 where there
    /// is no fit.
    pub fn predict(&self, times_ms: &[f64]) -> Array3<f32> {
        let (height, width) = self.value_ms.dim();
        let mut images = Array3::zeros((times_ms.len(), height, width));
        let views: Vec<_> = images.axis_iter_mut(Axis(0)).collect();
        views.into_par_iter().zip(times_ms).for_each(|(mut image, &after_ms)| {
            let parameters = self.constant.iter().zip(&self.exponential).zip(&self.time_ms);
            for (pixel, ((constant, exponential), time_ms)) in image.iter_mut().zip(parameters) {
                if *time_ms > 0.0 {
                    *pixel = constant + exponential * (-(after_ms as f32) / time_ms).exp();
                }
            }
        });
        images
    }

    /// Leaves these pixels without a fit.
    pub fn clear(&mut self, is_invalid: impl Fn(usize, usize) -> bool) {
        let (height, width) = self.value_ms.dim();
        for y in 0..height {
            for x in 0..width {
                if is_invalid(y, x) {
                    self.set([y, x], PixelFit::default());
                }
            }
        }
    }

    pub(super) fn set(&mut self, place: [usize; 2], fit: PixelFit) {
        self.value_ms[place] = fit.value_ms;
        self.sd_ms[place] = fit.sd_ms;
        self.r_squared[place] = fit.r_squared;
        self.residual_sd[place] = fit.residual_sd;
        self.constant[place] = fit.constant;
        self.exponential[place] = fit.exponential;
        self.time_ms[place] = fit.time_ms;
        self.n_negated[place] = fit.n_negated;
    }

    pub(super) fn get(&self, place: [usize; 2]) -> PixelFit {
        PixelFit {
            value_ms: self.value_ms[place],
            sd_ms: self.sd_ms[place],
            r_squared: self.r_squared[place],
            residual_sd: self.residual_sd[place],
            constant: self.constant[place],
            exponential: self.exponential[place],
            time_ms: self.time_ms[place],
            n_negated: self.n_negated[place],
        }
    }
}
