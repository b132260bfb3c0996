//! How sure a fit is.

use nalgebra::{SMatrix, SVector};

use super::angles::WallAxes;
use super::eigen::{Eigen, dot};
use super::encoding::TensorPlan;
use super::fit::{PixelFit, mirror, sum};
use super::scalars::fractional_anisotropy;

/// Standard deviations of what is read off a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Uncertainty {
    /// µm²/ms.
    pub mean_diffusivity: f64,
    /// Of the fractional anisotropy.
    pub fractional_anisotropy: f64,
    /// At most 52: that of a helix angle of which nothing is known. 0 outside the wall.
    pub helix_deg: f64,
}

/// A line of which nothing is known: 180°/√12.
const LARGEST_DEG: f64 = 51.96;

/// Standard deviations by propagation of the noise through the fit.
///
/// * `variance`: of the noise of a signal, e.g. [`PixelFit::squares`] over the images in excess of
///   7, or of all pixels.
/// * `axes`: of the wall; [`None`] outside.
///
/// Gives [`None`] where the fit tells nothing.
///
/// # Method
/// Covariance of the parameters σ²·(XᵀS²X)⁻¹ with the fitted signals S; derivatives of the mean,
/// of FA (A/|A|² − D/|D|² times FA with the deviator A) and of the first eigenvector (first-order
/// perturbation, Koay et al. 2007).
pub fn uncertainty(
    plan: &TensorPlan,
    fit: &PixelFit,
    eigen: &Eigen,
    axes: Option<&WallAxes>,
    variance: f64,
) -> Option<Uncertainty> {
    let [xx, xy, xz, yy, yz, zz] = fit.tensor;
    let parameters = [xx, xy, xz, yy, yz, zz, fit.s0.ln()];
    let mut normal = SMatrix::<f64, 7, 7>::zeros();
    for row in &plan.rows {
        let squared = (2.0 * sum(row, &parameters)).exp();
        for i in 0..7 {
            for j in 0..=i {
                normal[(i, j)] += squared * row[i] * row[j];
            }
        }
    }
    mirror(&mut normal);
    // Images that were left out tell nothing.
    let share = fit.n_used as f64 / plan.n_images() as f64;
    let factor = normal.cholesky()?;
    let sd = |gradient: [f64; 6]| {
        let [a, b, c, d, e, f] = gradient;
        let gradient = SVector::<f64, 7>::from([a, b, c, d, e, f, 0.0]);
        let variance = variance / share * gradient.dot(&factor.solve(&gradient));
        variance.max(0.0).sqrt()
    };
    let third = 1.0 / 3.0;
    let mean_diffusivity = sd([third, 0.0, 0.0, third, 0.0, third]);
    let fa = fractional_anisotropy(&eigen.values);
    let mean = (xx + yy + zz) * third;
    let deviator = [xx - mean, xy, xz, yy - mean, yz, zz - mean];
    // Elements off the diagonal stand for two.
    const COUNTS: [f64; 6] = [1.0, 2.0, 2.0, 1.0, 2.0, 1.0];
    let squares = |t: &[f64; 6]| t.iter().zip(COUNTS).map(|(v, n)| n * v * v).sum::<f64>();
    let (of_deviator, of_tensor) = (squares(&deviator), squares(&fit.tensor));
    let fractional_anisotropy = if of_deviator > 0.0 {
        sd(std::array::from_fn(|i| {
            fa * COUNTS[i] * (deviator[i] / of_deviator - fit.tensor[i] / of_tensor)
        }))
    } else {
        0.0
    };
    let helix_deg = axes.map_or(0.0, |axes| {
        let (circ, long) = (&axes.circumferential, &axes.longitudinal);
        let [e1, ..] = &eigen.vectors;
        let (c, l) = (dot(e1, circ), dot(e1, long));
        let in_wall = (c * c + l * l).max(1e-6);
        let mut gradient = [0.0; 6];
        for j in 1..3 {
            let other = &eigen.vectors[j];
            let turn = (c * dot(other, long) - l * dot(other, circ)) / in_wall;
            let gap = (eigen.values[0] - eigen.values[j]).max(1e-6);
            for (k, (p, q)) in
                [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)].into_iter().enumerate()
            {
                let symmetric = 0.5 * (other[p] * e1[q] + other[q] * e1[p]);
                gradient[k] += turn / gap * COUNTS[k] * symmetric;
            }
        }
        sd(gradient).to_degrees().min(LARGEST_DEG)
    });
    Some(Uncertainty { mean_diffusivity, fractional_anisotropy, helix_deg })
}
