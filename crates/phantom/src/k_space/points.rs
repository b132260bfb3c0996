//! K-space at any points.

use ndarray::{Array2, Array3};
use num_complex::{Complex32, Complex64};

use super::CartesianGrid;
use crate::coils::CoilSensitivities;
use crate::ellipse::Ellipse;
use crate::object::Object;

/// Samples objects at any points of k-space.
pub struct PointSampler {
    scale: f64,
    coils: CoilSensitivities,
}

impl PointSampler {
    /// * `grid_for_scale`: the Cartesian scan whose scale the samples have; its field of view
    ///   need not be the coils'.
    pub fn new(grid_for_scale: CartesianGrid, coils: &CoilSensitivities) -> Self {
        Self { scale: grid_for_scale.scale(), coils: coils.clone() }
    }

    /// K-space of `object` as the coils see it: `[channel, sample]`.
    ///
    /// * `k_per_mm`: \[kx, ky\] of each sample, cycles per mm.
    pub fn samples(&self, object: &Object, k_per_mm: &[[f64; 2]]) -> Array2<Complex32> {
        let Object::Ellipses(components) = object else {
            return Array2::zeros((self.coils.n_channels(), k_per_mm.len()));
        };
        let [px, py] = self.coils.period_mm();
        Array2::from_shape_fn((self.coils.n_channels(), k_per_mm.len()), |(channel, sample)| {
            let mut sum = Complex64::ZERO;
            for ((q, p), coefficient) in self.coils.coefficients(channel).indexed_iter() {
                let k = [
                    k_per_mm[sample][0] - (p as f64 - 4.0) / px,
                    k_per_mm[sample][1] - (q as f64 - 4.0) / py,
                ];
                for part in components {
                    sum += coefficient * part.amplitude * part.ellipse.spectrum(k);
                }
            }
            sum *= self.scale;
            Complex32::new(sum.re as f32, sum.im as f32)
        })
    }

    /// K-space of each ellipse with amplitude 1: `[ellipse, channel, sample]`.
    pub fn basis(&self, ellipses: &[Ellipse], k_per_mm: &[[f64; 2]]) -> Array3<Complex32> {
        Array3::zeros((ellipses.len(), self.coils.n_channels(), k_per_mm.len()))
    }
}
