//! GRAPPA as a multiplication of aliased coil images.

use std::f64::consts::TAU;

use ndarray::{Array3, Array4, Array5, ArrayView4, Axis, Zip};
use num_complex::{Complex32, Complex64};

use super::Kernel;
use super::kernel::source_offset;

impl Kernel {
    /// Weights of the aliased images for each pixel: `[target, channel, z, y, x]`.
    ///
    /// * `matrix`: size along z, y and x.
    ///
    /// A filled image of a target is Σ weight · aliased image over the channels, with the
    /// aliased images transformed from k-space that is 0 in the missing lines. Needs
    /// targets × channels images of memory: [`unmixing`] does without.
    pub fn image_domain(&self, matrix: [usize; 3]) -> Array5<Complex32> {
        let (n_missing, n_targets, n_channels, n_a2, n_a1, n_a0) = self.weights.dim();
        let [n_z, n_y, n_x] = matrix;
        let mut images = Array5::zeros((n_targets, n_channels, n_z, n_y, n_x));
        let phasor = |offset: isize, i: usize, n: usize| {
            Complex64::cis(-TAU * offset as f64 * (i as f64 - (n / 2) as f64) / n as f64)
        };
        for ((target, channel, z, y, x), value) in images.indexed_iter_mut() {
            let mut sum = Complex64::from(if target == channel { 1.0 } else { 0.0 });
            for m in 0..n_missing {
                let (o1, o2) = self.missing_line(m);
                for a2 in 0..n_a2 {
                    for a1 in 0..n_a1 {
                        for a0 in 0..n_a0 {
                            let d2 = source_offset(a2, n_a2, self.acceleration[1]) - o2 as isize;
                            let d1 = source_offset(a1, n_a1, self.acceleration[0]) - o1 as isize;
                            let d0 = source_offset(a0, n_a0, 1);
                            let weight = self.weights[[m, target, channel, a2, a1, a0]];
                            sum += phasor(d2, z, n_z)
                                * phasor(d1, y, n_y)
                                * phasor(d0, x, n_x)
                                * Complex64::new(f64::from(weight.re), f64::from(weight.im));
                        }
                    }
                }
            }
            *value = Complex32::new(sum.re as f32, sum.im as f32);
        }
        images
    }
}

/// Weights of the aliased coil images that give the filled and combined image:
/// u_c = Σⱼ conj(sⱼ) · k_jc, `[channel, z, y, x]`.
///
/// * `kernel`: GRAPPA weights.
/// * `coil_map`: `[target, z, y, x]`, Σ|s|² = 1, on the matrix of the images.
///
/// The combined image is Σ u_c · a_c with the aliased images a_c from k-space that is 0 in the
/// missing lines.
///
/// # Panics
/// If `coil_map` has not the kernel's number of targets.
pub fn unmixing(kernel: &Kernel, coil_map: ArrayView4<'_, Complex32>) -> Array4<Complex32> {
    let (n_targets, n_z, n_y, n_x) = coil_map.dim();
    assert_eq!(n_targets, kernel.n_targets(), "channels of the coil map");
    let images = kernel.image_domain([n_z, n_y, n_x]);
    let mut unmixing = Array4::zeros((kernel.n_channels(), n_z, n_y, n_x));
    for (target, map) in images.axis_iter(Axis(0)).zip(coil_map.axis_iter(Axis(0))) {
        for (mut sum, weights) in unmixing.axis_iter_mut(Axis(0)).zip(target.axis_iter(Axis(0))) {
            Zip::from(&mut sum).and(&weights).and(&map).for_each(|sum, weight, map| {
                *sum += map.conj() * weight;
            });
        }
    }
    unmixing
}

/// Noise amplification g = √(Σ|u_c|²) / R: `[z, y, x]`.
///
/// * `unmixing`: `[channel, z, y, x]`, of coil maps with Σ|s|² = 1; 0 where these are 0.
/// * `acceleration`: along encoding_step_1 and encoding_step_2, R is their product.
///
/// # Source
/// Breuer et al. 2009.
pub fn g_factor(unmixing: ArrayView4<'_, Complex32>, acceleration: [usize; 2]) -> Array3<f32> {
    let scale = 1.0 / (acceleration[0] * acceleration[1]) as f32;
    let (_, n_z, n_y, n_x) = unmixing.dim();
    let mut squares = Array3::<f32>::zeros((n_z, n_y, n_x));
    for channel in unmixing.axis_iter(Axis(0)) {
        squares.zip_mut_with(&channel, |sum, weight| *sum += weight.norm_sqr());
    }
    squares.mapv_inplace(|sum| sum.sqrt() * scale);
    squares
}
