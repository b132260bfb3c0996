//! The sum over waves, term by term: what the fast ways are held against.

use ndarray::Array2;
use num_complex::Complex64;

use super::CartesianGrid;
use crate::coils::CoilSensitivities;
use crate::object::Component;

/// `[channel, sample]` at any points, cycles per mm.
pub(super) fn samples(
    components: &[Component],
    coils: &CoilSensitivities,
    grid_for_scale: CartesianGrid,
    k_per_mm: &[[f64; 2]],
) -> Array2<Complex64> {
    let order = CoilSensitivities::ORDER as f64;
    let period_mm = coils.period_mm();
    Array2::from_shape_fn((coils.n_channels(), k_per_mm.len()), |(channel, sample)| {
        let mut sum = Complex64::ZERO;
        for ((q, p), coefficient) in coils.coefficients(channel).indexed_iter() {
            let [kx, ky] = k_per_mm[sample];
            let shifted =
                [kx - (p as f64 - order) / period_mm[0], ky - (q as f64 - order) / period_mm[1]];
            for part in components {
                sum += coefficient * part.amplitude * part.ellipse.spectrum(shifted);
            }
        }
        sum * grid_for_scale.scale()
    })
}
