//! From images to the samples of their lines.

use ndarray::{Array4, Array5, ArrayView3, ArrayView4, ArrayView5, Axis, Zip};
use num_complex::Complex32;
use rayon::prelude::*;

use super::Normal;
use crate::line_transform::{LineTransform, Workspace};

/// Readout positions that are gathered at a time: a cache line of each line.
const POSITIONS: usize = 8;

/// E: coil maps, Fourier transform along the lines, and the lines of each frame.
///
/// The transform is [`crate::fft`]'s, centred and unitary. The readout's axis stays in image
/// space.
pub struct SeriesEncoding {
    transform: LineTransform,
    /// `[x][channel][line]`: coil maps times the phases and the scale that make the plain transform
    /// a centred one.
    maps: Vec<Complex32>,
    /// `[frame][line]`.
    sampled: Vec<bool>,
    /// `[line]`: of the transform's result.
    phases: Vec<Complex32>,
    /// `[frame, z, y, x]`.
    shape: [usize; 4],
    n_channels: usize,
}

impl SeriesEncoding {
    /// * `sampled`: `[frame, encoding_step_2, encoding_step_1]`.
    /// * `coil_maps`: `[channel, z, y, x]`, Σ|s|² = 1 or 0.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn new(sampled: ArrayView3<'_, bool>, coil_maps: ArrayView4<'_, Complex32>) -> Self {
        let (n_channels, n_z, n_y, n_x) = coil_maps.dim();
        let (n_frames, n_e2, n_e1) = sampled.dim();
        assert_eq!([n_z, n_y], [n_e2, n_e1], "lines of the sampling and of the coil maps");
        let n_lines = n_z * n_y;
        let scale = (n_lines.max(1) as f32).sqrt().recip();
        let turn = |n: usize, j: usize| (n / 2 * j) as f64 / n as f64;
        let unit = |turns: f64| {
            let angle_rad = std::f64::consts::TAU * turns;
            Complex32::new(angle_rad.cos() as f32, angle_rad.sin() as f32)
        };
        let constant = [n_z, n_y].map(|n| (n / 2 * (n / 2)) as f64 / n.max(1) as f64);
        let of_lines: Vec<f64> =
            (0..n_lines).map(|line| turn(n_z, line / n_y) + turn(n_y, line % n_y)).collect();
        let phases = of_lines.iter().map(|turns| unit(turns - constant[0] - constant[1])).collect();
        let before: Vec<Complex32> = of_lines.iter().map(|turns| unit(*turns) * scale).collect();
        let mut maps = Vec::with_capacity(n_x * n_channels * n_lines);
        for x in 0..n_x {
            for channel in coil_maps.outer_iter() {
                let pixels = channel.into_iter().skip(x).step_by(n_x.max(1));
                maps.extend(pixels.zip(&before).map(|(map, phase)| map * phase));
            }
        }
        Self {
            transform: LineTransform::new([n_e2, n_e1]),
            maps,
            sampled: sampled.iter().copied().collect(),
            phases,
            shape: [n_frames, n_z, n_y, n_x],
            n_channels,
        }
    }

    /// `[frame, z, y, x]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Eᴴ of samples: images, `[frame, z, y, x]`, and the sum of the samples' squares.
    ///
    /// * `data`: `[frame, channel, encoding_step_2, encoding_step_1, x]`, after the inverse
    ///   transform along the readout. What stands in lines that are not sampled is not read.
    ///
    /// # Panics
    /// If the shape is not that of the encoding.
    pub fn adjoint(&self, data: ArrayView5<'_, Complex32>) -> (Array4<Complex32>, f64) {
        let [n_frames, n_z, n_y, n_x] = self.shape;
        assert_eq!(data.dim(), (n_frames, self.n_channels, n_z, n_y, n_x), "shape of the samples");
        let n_lines = n_z * n_y;
        let mut images = Array4::zeros(self.shape);
        let mut squares = vec![0.0_f64; n_x.div_ceil(POSITIONS)];
        let portions: Vec<_> = images
            .axis_chunks_iter_mut(Axis(3), POSITIONS)
            .zip(data.axis_chunks_iter(Axis(4), POSITIONS))
            .zip(&mut squares)
            .collect();
        portions.into_par_iter().enumerate().for_each(
            |(portion, ((mut images, data), squares))| {
                let mut work = Workspace::default();
                let mut channels = vec![Complex32::ZERO; self.n_channels * n_lines];
                let mut image = vec![Complex32::ZERO; n_lines];
                for position in 0..data.len_of(Axis(4)) {
                    let maps = self.maps_of(portion * POSITIONS + position);
                    for (frame, sampled) in self.sampled.chunks_exact(n_lines).enumerate() {
                        let data = data.index_axis(Axis(4), position);
                        let data = data.index_axis(Axis(0), frame);
                        for (n, (target, value)) in channels.iter_mut().zip(data).enumerate() {
                            let line = n % n_lines;
                            *target = if sampled[line] {
                                *squares += f64::from(value.norm_sqr());
                                value * self.phases[line].conj()
                            } else {
                                Complex32::ZERO
                            };
                        }
                        self.transform.inverse(&mut channels, &mut work);
                        combine(maps, &channels, &mut image);
                        let mut target = images.index_axis_mut(Axis(3), position);
                        let mut target = target.index_axis_mut(Axis(0), frame);
                        target.iter_mut().zip(&image).for_each(|(target, value)| *target = *value);
                    }
                }
            },
        );
        (images, squares.iter().sum())
    }

    /// E of images: samples, `[frame, channel, encoding_step_2, encoding_step_1, x]`, 0 in lines
    /// that are not sampled.
    ///
    /// # Panics
    /// If the shape is not that of the encoding.
    pub fn samples(&self, images: ArrayView4<'_, Complex32>) -> Array5<Complex32> {
        let [n_frames, n_z, n_y, n_x] = self.shape;
        assert_eq!(images.dim(), (n_frames, n_z, n_y, n_x), "shape of the images");
        let n_lines = n_z * n_y;
        let mut data = Array5::zeros((n_frames, self.n_channels, n_z, n_y, n_x));
        let positions: Vec<_> = data.axis_iter_mut(Axis(4)).collect();
        positions.into_par_iter().enumerate().for_each(|(x, mut data)| {
            let mut work = Workspace::default();
            let mut channels = vec![Complex32::ZERO; self.n_channels * n_lines];
            for (frame, sampled) in self.sampled.chunks_exact(n_lines).enumerate() {
                let image = images.index_axis(Axis(3), x);
                let image: Vec<Complex32> =
                    image.index_axis(Axis(0), frame).iter().copied().collect();
                spread(self.maps_of(x), &image, &mut channels);
                self.transform.forward(&mut channels, &mut work);
                let mut data = data.index_axis_mut(Axis(0), frame);
                for (n, (target, value)) in data.iter_mut().zip(&channels).enumerate() {
                    let line = n % n_lines;
                    if sampled[line] {
                        *target = value * self.phases[line];
                    }
                }
            }
        });
        data
    }

    fn maps_of(&self, x: usize) -> &[Complex32] {
        let n = self.n_channels * self.phases.len();
        &self.maps[x * n..][..n]
    }
}

impl Normal for SeriesEncoding {
    fn apply(&self, images: &Array4<Complex32>, result: &mut Array4<Complex32>) {
        let n_lines = self.phases.len();
        let portions: Vec<_> = result
            .axis_chunks_iter_mut(Axis(3), POSITIONS)
            .zip(images.axis_chunks_iter(Axis(3), POSITIONS))
            .collect();
        portions.into_par_iter().enumerate().for_each(|(portion, (mut result, images))| {
            let n_positions = images.len_of(Axis(3));
            let mut work = Workspace::default();
            let mut channels = vec![Complex32::ZERO; self.n_channels * n_lines];
            // `[position][line]` of a frame.
            let mut gathered = vec![Complex32::ZERO; n_positions * n_lines];
            for (frame, sampled) in self.sampled.chunks_exact(n_lines).enumerate() {
                let image = images.index_axis(Axis(0), frame);
                for (line, values) in image.lanes(Axis(2)).into_iter().enumerate() {
                    for (position, value) in values.iter().enumerate() {
                        gathered[position * n_lines + line] = *value;
                    }
                }
                for (position, image) in gathered.chunks_exact_mut(n_lines).enumerate() {
                    let maps = self.maps_of(portion * POSITIONS + position);
                    spread(maps, image, &mut channels);
                    self.transform.forward(&mut channels, &mut work);
                    for channel in channels.chunks_exact_mut(n_lines) {
                        for (value, sampled) in channel.iter_mut().zip(sampled) {
                            if !sampled {
                                *value = Complex32::ZERO;
                            }
                        }
                    }
                    self.transform.inverse(&mut channels, &mut work);
                    combine(maps, &channels, image);
                }
                let mut target = result.index_axis_mut(Axis(0), frame);
                Zip::indexed(target.lanes_mut(Axis(2))).for_each(|(z, y), mut values| {
                    let line = z * self.shape[2] + y;
                    for (position, value) in values.iter_mut().enumerate() {
                        *value = gathered[position * n_lines + line];
                    }
                });
            }
        });
    }
}

/// Channels of an image.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn spread(maps: &[Complex32], image: &[Complex32], channels: &mut [Complex32]) {
    let n_lines = image.len();
    for (maps, channel) in maps.chunks_exact(n_lines).zip(channels.chunks_exact_mut(n_lines)) {
        for ((target, map), value) in channel.iter_mut().zip(maps).zip(image) {
            *target = map * value;
        }
    }
}

/// Σ conj(map) · channel.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn combine(maps: &[Complex32], channels: &[Complex32], image: &mut [Complex32]) {
    image.fill(Complex32::ZERO);
    let n_lines = image.len();
    for (maps, channel) in maps.chunks_exact(n_lines).zip(channels.chunks_exact(n_lines)) {
        for ((sum, map), value) in image.iter_mut().zip(maps).zip(channel) {
            *sum += map.conj() * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::testing::Scan;

    #[test]
    fn samples_are_those_of_the_centred_transform() {
        for shape in [[2, 1, 18, 5], [1, 4, 7, 3]] {
            let scan = Scan::new(shape, 3, 1);
            let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
            let found = encoding.samples(scan.images.view());
            for (found, truth) in found.iter().zip(&scan.samples()) {
                assert!((found - truth).norm() < 1e-5, "{shape:?}: {found} {truth}");
            }
        }
    }

    #[test]
    fn the_adjoint_and_the_normal_operator_are_those_of_the_encoding() {
        let scan = Scan::new([3, 2, 9, 11], 4, 2);
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let data = scan.samples();
        let (adjoint, squares) = encoding.adjoint(data.view());
        // ⟨E x, y⟩ = ⟨x, Eᴴ y⟩ for y = E x.
        let inner: Complex32 =
            scan.images.iter().zip(&adjoint).map(|(image, value)| image.conj() * value).sum();
        assert!((f64::from(inner.re) - squares).abs() < 1e-4 * squares, "{inner} {squares}");
        let mut normal = Array4::zeros(adjoint.raw_dim());
        encoding.apply(&scan.images, &mut normal);
        for (normal, adjoint) in normal.iter().zip(&adjoint) {
            assert!((normal - adjoint).norm() < 1e-5, "{normal} {adjoint}");
        }
    }
}
