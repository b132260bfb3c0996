//! The kernel at one readout position: a matrix of channels per pixel.

use num_complex::Complex32;

use super::Kernel;
use crate::line_transform::{LineTransform, Workspace};

/// Pixels that are worked on at a time.
const LANES: usize = 16;

/// Values of neighbouring pixels, real and imaginary parts apart.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Lanes {
    re: [f32; LANES],
    im: [f32; LANES],
}

impl Lanes {
    const ZERO: Self = Self { re: [0.0; LANES], im: [0.0; LANES] };
}

/// (G − I)ᴴ(G − I) of the kernel G at one readout position: how much k-space contradicts itself.
/// A Hermitian matrix `[channel, channel]` per pixel of the lines' transform.
pub(super) struct Consistency {
    n_channels: usize,
    n_pixels: usize,
    /// `[block of pixels, channel, channel]`.
    elements: Vec<Lanes>,
}

/// Memory that a [`Consistency`] works in.
#[derive(Default)]
pub(super) struct Mixing {
    before: Vec<Lanes>,
    after: Vec<Lanes>,
    pub(super) transform: Workspace,
}

impl Consistency {
    /// The operator of `kernel` at readout position `x` of `n_readout`.
    pub(super) fn new(
        kernel: &Kernel,
        [x, n_readout]: [usize; 2],
        transform: &LineTransform,
        [n_e2, n_e1]: [usize; 2],
        work: &mut Workspace,
    ) -> Self {
        let weights = kernel.weights();
        let (n_channels, _, k2, k1, kx) = weights.dim();
        let n_pixels = transform.n_lines();
        let n_blocks = n_pixels.div_ceil(LANES);
        let phases: Vec<Complex32> = (0..kx)
            .map(|tap| {
                let (tap, x) = (tap as f64 - (kx / 2) as f64, x as f64 - (n_readout / 2) as f64);
                let phase_rad = -std::f64::consts::TAU * tap * x / n_readout as f64;
                Complex32::new(phase_rad.cos() as f32, phase_rad.sin() as f32)
            })
            .collect();
        let place = |tap: usize, k: usize, n: usize| (tap + n * k - k / 2) % n;

        // G − I: [block, target, source].
        let mut difference = vec![Lanes::ZERO; n_blocks * n_channels * n_channels];
        let mut pixels = vec![Complex32::ZERO; n_pixels];
        for (target, weights) in weights.outer_iter().enumerate() {
            for (source, weights) in weights.outer_iter().enumerate() {
                pixels.fill(Complex32::ZERO);
                for d2 in 0..k2 {
                    for d1 in 0..k1 {
                        let value: Complex32 =
                            phases.iter().enumerate().map(|(d, p)| weights[[d2, d1, d]] * p).sum();
                        pixels[place(d2, k2, n_e2) * n_e1 + place(d1, k1, n_e1)] += value;
                    }
                }
                if target == source {
                    pixels[0] -= Complex32::ONE;
                }
                transform.forward(&mut pixels, work);
                for (block, pixels) in pixels.chunks(LANES).enumerate() {
                    let lanes =
                        &mut difference[(block * n_channels + target) * n_channels + source];
                    for (lane, value) in pixels.iter().enumerate() {
                        (lanes.re[lane], lanes.im[lane]) = (value.re, value.im);
                    }
                }
            }
        }
        let mut elements = vec![Lanes::ZERO; difference.len()];
        for (elements, difference) in elements
            .chunks_exact_mut(n_channels * n_channels)
            .zip(difference.chunks_exact(n_channels * n_channels))
        {
            multiply_adjoint(difference, n_channels, elements);
        }
        Self { n_channels, n_pixels, elements }
    }

    /// Applies the operator to `image`, `[channel, pixel]`, into `result`, which may be longer.
    pub(super) fn apply_to_image(
        &self,
        image: &[Complex32],
        result: &mut [Complex32],
        work: &mut Mixing,
    ) {
        let n_blocks = self.n_pixels.div_ceil(LANES);
        work.before.resize(n_blocks * self.n_channels, Lanes::ZERO);
        work.after.resize(n_blocks * self.n_channels, Lanes::ZERO);
        for (channel, pixels) in image.chunks_exact(self.n_pixels).enumerate() {
            for (block, pixels) in pixels.chunks(LANES).enumerate() {
                let lanes = &mut work.before[block * self.n_channels + channel];
                for (lane, value) in pixels.iter().enumerate() {
                    (lanes.re[lane], lanes.im[lane]) = (value.re, value.im);
                }
            }
        }
        mix(&self.elements, self.n_channels, &work.before, &mut work.after);
        for (channel, pixels) in result.chunks_exact_mut(self.n_pixels).enumerate() {
            for (block, pixels) in pixels.chunks_mut(LANES).enumerate() {
                let lanes = &work.after[block * self.n_channels + channel];
                for (lane, value) in pixels.iter_mut().enumerate() {
                    *value = Complex32::new(lanes.re[lane], lanes.im[lane]);
                }
            }
        }
    }

    /// Applies the operator to `k_space`, `[channel, line]`, in place.
    pub(super) fn apply_to_k_space(
        &self,
        k_space: &mut [Complex32],
        image: &mut [Complex32],
        transform: &LineTransform,
        work: &mut Mixing,
    ) {
        image.copy_from_slice(k_space);
        transform.inverse(image, &mut work.transform);
        self.apply_to_image(image, k_space, work);
        transform.forward(k_space, &mut work.transform);
        let scale = 1.0 / self.n_pixels as f32;
        for value in k_space {
            *value *= scale;
        }
    }

    /// An upper estimate of the largest eigenvalue of any pixel's matrix.
    pub(super) fn largest_eigenvalue(&self) -> f32 {
        const ROUNDS: usize = 12;
        let n = self.n_channels;
        self.elements
            .chunks_exact(n * n)
            .enumerate()
            .map(|(block, elements)| {
                let n_lanes = LANES.min(self.n_pixels - block * LANES);
                // Something that no eigenvector is likely to be orthogonal to.
                let mut vector: Vec<Lanes> = (0..n)
                    .map(|channel| {
                        let angle_rad = 2.4 * channel as f32;
                        Lanes { re: [angle_rad.cos(); LANES], im: [angle_rad.sin(); LANES] }
                    })
                    .collect();
                let mut image = vec![Lanes::ZERO; n];
                let mut largest = 0.0_f32;
                for _ in 0..ROUNDS {
                    mix(elements, n, &vector, &mut image);
                    largest = 0.0;
                    for lane in 0..n_lanes {
                        let square =
                            |lanes: &Lanes| lanes.re[lane].powi(2) + lanes.im[lane].powi(2);
                        let before: f32 = vector.iter().map(square).sum();
                        let after: f32 = image.iter().map(square).sum();
                        largest = largest.max((after / before.max(f32::MIN_POSITIVE)).sqrt());
                        let scale = after.sqrt().max(f32::MIN_POSITIVE).recip();
                        for (vector, image) in vector.iter_mut().zip(&image) {
                            vector.re[lane] = image.re[lane] * scale;
                            vector.im[lane] = image.im[lane] * scale;
                        }
                    }
                }
                largest
            })
            .fold(0.0, f32::max)
    }
}

/// `after` = `elements` · `before` for each block: `[block, channel, channel]` times
/// `[block, channel]`.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn mix(elements: &[Lanes], n_channels: usize, before: &[Lanes], after: &mut [Lanes]) {
    let blocks = elements.chunks_exact(n_channels * n_channels);
    let vectors = before.chunks_exact(n_channels).zip(after.chunks_exact_mut(n_channels));
    for (elements, (before, after)) in blocks.zip(vectors) {
        for (row, after) in elements.chunks_exact(n_channels).zip(after) {
            let (mut re, mut im) = ([0.0_f32; LANES], [0.0_f32; LANES]);
            for (element, before) in row.iter().zip(before) {
                for lane in 0..LANES {
                    re[lane] += element.re[lane] * before.re[lane];
                    re[lane] -= element.im[lane] * before.im[lane];
                    im[lane] += element.re[lane] * before.im[lane];
                    im[lane] += element.im[lane] * before.re[lane];
                }
            }
            *after = Lanes { re, im };
        }
    }
}

/// `product` = `matrix`ᴴ · `matrix`, both `[channel, channel]` of one block.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn multiply_adjoint(matrix: &[Lanes], n_channels: usize, product: &mut [Lanes]) {
    for a in 0..n_channels {
        for b in 0..=a {
            let (mut re, mut im) = ([0.0_f32; LANES], [0.0_f32; LANES]);
            for row in matrix.chunks_exact(n_channels) {
                let (x, y) = (&row[a], &row[b]);
                for lane in 0..LANES {
                    re[lane] += x.re[lane] * y.re[lane] + x.im[lane] * y.im[lane];
                    im[lane] += x.re[lane] * y.im[lane] - x.im[lane] * y.re[lane];
                }
            }
            product[a * n_channels + b] = Lanes { re, im };
            product[b * n_channels + a] = Lanes { re, im: im.map(|value| -value) };
        }
    }
}
