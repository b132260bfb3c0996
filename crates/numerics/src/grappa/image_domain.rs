//! GRAPPA as a multiplication of aliased coil images.

use ndarray::{Array3, Array4, Array5, ArrayView4, ArrayViewMut4, Axis};
use num_complex::{Complex32, Complex64};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Kernel;
use super::hybrid::{HybridKernel, LANES, multiply_add, phasor};
use super::kernel::source_offset;

impl Kernel {
    /// Weights of the aliased images for each pixel: `[target, channel, z, y, x]`.
    ///
    /// * `matrix`: size along z, y and x.
    ///
    /// A filled image of a target is Σ weight · aliased image over the channels, with the
    /// aliased images transformed from k-space that is 0 in the missing lines. Needs
    /// targets × channels images of memory and is made for looking at kernels: [`unmixing`] does
    /// without.
    pub fn image_domain(&self, matrix: [usize; 3]) -> Array5<Complex32> {
        let [n_z, n_y, n_x] = matrix;
        let mut images = Array5::zeros((self.n_targets(), self.n_channels(), n_z, n_y, n_x));
        for (target, mut image) in images.axis_iter_mut(Axis(0)).enumerate() {
            // The unmixing of a coil map that has this target only.
            let mut map = Array4::zeros((self.n_targets(), n_z, n_y, n_x));
            map.index_axis_mut(Axis(0), target).fill(Complex32::ONE);
            image.assign(&unmixing(self, map.view()));
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
/// # Method
/// The kernel is transformed along the readout once, along z once for each plane, and along y
/// as it is summed up: its few lines cost less that way than images of targets × channels.
///
/// # Panics
/// If `coil_map` has not the kernel's number of targets.
pub fn unmixing(kernel: &Kernel, coil_map: ArrayView4<'_, Complex32>) -> Array4<Complex32> {
    let (n_targets, n_z, n_y, n_x) = coil_map.dim();
    assert_eq!(n_targets, kernel.n_targets(), "channels of the coil map");
    let n_channels = kernel.n_channels();
    let hybrid = kernel.in_hybrid_space(n_x);
    let mut weights = Array4::zeros((n_channels, n_z, n_y, n_x));
    let [r1, r2] = kernel.acceleration();
    let [n_a2, n_a1] = hybrid.size;
    // Distinct offsets along y, from each source line to each line of the cell.
    let offsets: Vec<isize> = (0..r1)
        .flat_map(|o1| (0..n_a1).map(move |a1| source_offset(a1, n_a1, r1) - o1 as isize))
        .collect();
    let phasors_y: Vec<[f32; 2]> = (0..n_y)
        .flat_map(|y| offsets.iter().map(move |&offset| parts(phasor(offset, y, n_y))))
        .collect();
    // `[z, o2, source e2]`.
    let phasors_z: Vec<[f32; 2]> = (0..n_z)
        .flat_map(|z| {
            (0..r2).flat_map(move |o2| {
                (0..n_a2).map(move |a2| {
                    let offset = source_offset(a2, n_a2, r2) - o2 as isize;
                    parts(phasor(offset, z, n_z))
                })
            })
        })
        .collect();
    let columns: Vec<_> = weights.axis_chunks_iter_mut(Axis(3), LANES).collect();
    columns.into_par_iter().enumerate().for_each(|(block, weights)| {
        Arch::new().dispatch(UnmixingBlock {
            kernel: &hybrid,
            block,
            phasors_y: &phasors_y,
            phasors_z: &phasors_z,
            coil_map,
            weights,
        });
    });
    weights
}

fn parts(value: Complex64) -> [f32; 2] {
    [value.re as f32, value.im as f32]
}

/// The unmixing of a block of pixels along x.
struct UnmixingBlock<'a> {
    kernel: &'a HybridKernel,
    block: usize,
    /// `[y, o1 and source e1]`.
    phasors_y: &'a [[f32; 2]],
    /// `[z, o2, source e2]`.
    phasors_z: &'a [[f32; 2]],
    /// Whole: `[target, z, y, x]`.
    coil_map: ArrayView4<'a, Complex32>,
    /// Of the block: `[channel, z, y, x]`.
    weights: ArrayViewMut4<'a, Complex32>,
}

impl WithSimd for UnmixingBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (n_targets, n_z, n_y, _) = self.coil_map.dim();
        let n_channels = self.kernel.n_channels;
        let n_terms = self.kernel.acceleration[0] * self.kernel.size[1];
        let registers = LANES / S::F32_LANES;
        // `[channel, target, term, re or im, lane]`.
        let mut plane = vec![0.0; n_channels * n_targets * n_terms * 2 * LANES];
        // `[row, target, re or im, lane]`.
        let mut maps = vec![0.0; 2 * n_targets * 2 * LANES];
        for z in 0..n_z {
            self.transform_along_z(simd, z, &mut plane);
            for y in (0..n_y).step_by(2) {
                // Two rows at a time: the weights are loaded once for both.
                let rows = [y, (y + 1).min(n_y - 1)];
                for (&y, maps) in rows.iter().zip(maps.chunks_exact_mut(n_targets * 2 * LANES)) {
                    self.load_maps(z, y, maps);
                }
                let (above, below) = maps.split_at(n_targets * 2 * LANES);
                let phasors = rows.map(|y| &self.phasors_y[y * n_terms..(y + 1) * n_terms]);
                let terms = phasors[0].iter().zip(phasors[1]);
                let plane = plane.chunks_exact(n_targets * n_terms * 2 * LANES);
                for (channel, plane) in plane.enumerate() {
                    let mut lines = [[0.0; 2 * LANES]; 2];
                    for register in 0..registers {
                        let zero = simd.splat_f32s(0.0);
                        let mut sums = [[zero; 2]; 2];
                        let maps = above.chunks_exact(2 * LANES).zip(below.chunks_exact(2 * LANES));
                        let targets = plane.chunks_exact(n_terms * 2 * LANES).zip(maps);
                        for (target, (plane, maps)) in targets.enumerate() {
                            let own = simd.splat_f32s(if target == channel { 1.0 } else { 0.0 });
                            let mut weights = [[own, zero], [own, zero]];
                            let plane = S::as_simd_f32s(plane).0.chunks_exact(2 * registers);
                            for (plane, (p0, p1)) in plane.zip(terms.clone()) {
                                let w = [plane[register], plane[registers + register]];
                                let p0 = [simd.splat_f32s(p0[0]), simd.splat_f32s(p0[1])];
                                let p1 = [simd.splat_f32s(p1[0]), simd.splat_f32s(p1[1])];
                                multiply_add(simd, &mut weights[0], w, p0);
                                multiply_add(simd, &mut weights[1], w, p1);
                            }
                            let m0 = S::as_simd_f32s(maps.0).0;
                            let m1 = S::as_simd_f32s(maps.1).0;
                            let m0 = [m0[register], m0[registers + register]];
                            let m1 = [m1[register], m1[registers + register]];
                            multiply_add(simd, &mut sums[0], m0, weights[0]);
                            multiply_add(simd, &mut sums[1], m1, weights[1]);
                        }
                        for (line, sum) in lines.iter_mut().zip(sums) {
                            let line = S::as_mut_simd_f32s(line).0;
                            (line[register], line[registers + register]) = (sum[0], sum[1]);
                        }
                    }
                    for (&y, line) in rows.iter().zip(&lines) {
                        self.store(channel, z, y, line);
                    }
                }
            }
        }
    }
}

impl UnmixingBlock<'_> {
    /// Σ over the sources along encoding_step_2 and the lines of the cell along it.
    #[inline(always)]
    fn transform_along_z<S: Simd>(&self, simd: S, z: usize, plane: &mut [f32]) {
        let HybridKernel { n_channels, n_targets, .. } = *self.kernel;
        let [r1, r2] = self.kernel.acceleration;
        let [n_a2, n_a1] = self.kernel.size;
        let registers = LANES / S::F32_LANES;
        plane.fill(0.0);
        let phasors = &self.phasors_z[z * r2 * n_a2..(z + 1) * r2 * n_a2];
        for m in 0..self.kernel.n_missing {
            let (o1, o2) = ((m + 1) % r1, (m + 1) / r1);
            for target in 0..n_targets {
                let weights = self.kernel.block(self.block, m, target);
                for (index, weights) in weights.chunks_exact(2 * LANES).enumerate() {
                    let channel = index % n_channels;
                    let (a2, a1) = (index / n_channels / n_a1, index / n_channels % n_a1);
                    let term = o1 * n_a1 + a1;
                    let [re, im] = phasors[o2 * n_a2 + a2];
                    let factor = [simd.splat_f32s(re), simd.splat_f32s(im)];
                    let n_terms = r1 * n_a1;
                    let start = ((channel * n_targets + target) * n_terms + term) * 2 * LANES;
                    let sums = S::as_mut_simd_f32s(&mut plane[start..start + 2 * LANES]).0;
                    let weights = S::as_simd_f32s(weights).0;
                    for register in 0..registers {
                        let mut sum = [sums[register], sums[registers + register]];
                        let weight = [weights[register], weights[registers + register]];
                        multiply_add(simd, &mut sum, factor, weight);
                        (sums[register], sums[registers + register]) = (sum[0], sum[1]);
                    }
                }
            }
        }
    }

    /// Conjugated coil maps of a line of the block: `[target, re or im, lane]`.
    fn load_maps(&self, z: usize, y: usize, maps: &mut [f32]) {
        let (.., n_x) = self.coil_map.dim();
        let first = self.block * LANES;
        let n = LANES.min(n_x - first);
        let lines = self.coil_map.slice(ndarray::s![.., z, y, first..first + n]);
        for (line, maps) in lines.rows().into_iter().zip(maps.chunks_exact_mut(2 * LANES)) {
            let (re, im) = maps.split_at_mut(LANES);
            for ((re, im), value) in re.iter_mut().zip(im).zip(line) {
                (*re, *im) = (value.re, -value.im);
            }
        }
    }

    fn store(&mut self, channel: usize, z: usize, y: usize, line: &[f32; 2 * LANES]) {
        let (re, im) = line.split_at(LANES);
        let mut pixels = self.weights.slice_mut(ndarray::s![channel, z, y, ..]);
        for ((pixel, &re), &im) in pixels.iter_mut().zip(re).zip(im) {
            *pixel = Complex32::new(re, im);
        }
    }
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
