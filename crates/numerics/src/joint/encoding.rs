//! From images to the samples of their lines.

use ndarray::{
    Array2, Array4, Array5, ArrayView3, ArrayView4, ArrayView5, ArrayViewMut3, ArrayViewMut4, Axis,
};
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

    /// What the lines of all frames make of one mode in another: `[mode][mode][line]`.
    fn coupling(&self, modes: &Array2<f32>) -> Vec<f32> {
        let n_lines = self.phases.len();
        let n_modes = modes.nrows();
        let mut coupling = vec![0.0; n_modes * n_modes * n_lines];
        for (frame, sampled) in self.sampled.chunks_exact(n_lines).enumerate() {
            for (pair, coupling) in coupling.chunks_exact_mut(n_lines).enumerate() {
                let product = modes[[pair / n_modes, frame]] * modes[[pair % n_modes, frame]];
                for (value, sampled) in coupling.iter_mut().zip(sampled) {
                    *value += if *sampled { product } else { 0.0 };
                }
            }
        }
        coupling
    }

    fn maps_of(&self, x: usize) -> &[Complex32] {
        let n = self.n_channels * self.phases.len();
        &self.maps[x * n..][..n]
    }
}

impl Normal for SeriesEncoding {
    fn apply(&self, images: &Array4<Complex32>, result: &mut Array4<Complex32>) {
        let n_lines = self.phases.len();
        for_portions(images, result, |portion, images, mut result| {
            let n_positions = images.len_of(Axis(3));
            let mut work = Workspace::default();
            let mut channels = vec![Complex32::ZERO; self.n_channels * n_lines];
            // `[position][line]` of a frame.
            let mut gathered = vec![Complex32::ZERO; n_positions * n_lines];
            for (frame, sampled) in self.sampled.chunks_exact(n_lines).enumerate() {
                gather(images.index_axis(Axis(0), frame), &mut gathered);
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
                put_back(&gathered, result.index_axis_mut(Axis(0), frame));
            }
        });
    }

    /// Transforms modes instead of frames: the lines of the frames couple the modes of a line with
    /// each other (Tamir et al. 2017).
    fn apply_in_modes(
        &self,
        modes: &Array2<f32>,
        images: &Array4<Complex32>,
        result: &mut Array4<Complex32>,
    ) {
        let n_lines = self.phases.len();
        let n_modes = modes.nrows();
        let coupling = self.coupling(modes);
        for_portions(images, result, |portion, images, mut result| {
            let n_positions = images.len_of(Axis(3));
            let of_position = n_positions * n_lines;
            let mut work = Workspace::default();
            // `[mode][position][line]`, `[mode][line]` of a channel, and what becomes of these.
            let mut gathered = vec![Complex32::ZERO; n_modes * of_position];
            let mut channel = vec![Complex32::ZERO; n_modes * n_lines];
            let mut mixed = channel.clone();
            for (mode, gathered) in gathered.chunks_exact_mut(of_position).enumerate() {
                gather(images.index_axis(Axis(0), mode), gathered);
            }
            let mut sums = vec![Complex32::ZERO; n_modes * of_position];
            for position in 0..n_positions {
                let here = |mode: usize| (mode * n_positions + position) * n_lines;
                let maps = self.maps_of(portion * POSITIONS + position);
                for map in maps.chunks_exact(n_lines) {
                    for (mode, channel) in channel.chunks_exact_mut(n_lines).enumerate() {
                        spread(map, &gathered[here(mode)..][..n_lines], channel);
                    }
                    self.transform.forward(&mut channel, &mut work);
                    couple(&coupling, &channel, &mut mixed, n_lines);
                    self.transform.inverse(&mut mixed, &mut work);
                    for (mode, mixed) in mixed.chunks_exact(n_lines).enumerate() {
                        add(map, mixed, &mut sums[here(mode)..][..n_lines]);
                    }
                }
            }
            for (mode, sums) in sums.chunks_exact(of_position).enumerate() {
                put_back(sums, result.index_axis_mut(Axis(0), mode));
            }
        });
    }
}

/// Calls `work` with the number of a few neighbouring positions along x, and these.
fn for_portions(
    images: &Array4<Complex32>,
    result: &mut Array4<Complex32>,
    work: impl Fn(usize, ArrayView4<'_, Complex32>, ArrayViewMut4<'_, Complex32>) + Sync,
) {
    let portions: Vec<_> = result
        .axis_chunks_iter_mut(Axis(3), POSITIONS)
        .zip(images.axis_chunks_iter(Axis(3), POSITIONS))
        .collect();
    portions
        .into_par_iter()
        .enumerate()
        .for_each(|(portion, (result, images))| work(portion, images, result));
}

/// `[z, y, position]` as `[position][line]`.
fn gather(image: ArrayView3<'_, Complex32>, gathered: &mut [Complex32]) {
    let n_lines = image.len_of(Axis(0)) * image.len_of(Axis(1));
    for (line, values) in image.lanes(Axis(2)).into_iter().enumerate() {
        for (position, value) in values.iter().enumerate() {
            gathered[position * n_lines + line] = *value;
        }
    }
}

/// `[position][line]` as `[z, y, position]`.
fn put_back(gathered: &[Complex32], mut image: ArrayViewMut3<'_, Complex32>) {
    let n_lines = image.len_of(Axis(0)) * image.len_of(Axis(1));
    for (line, mut values) in image.lanes_mut(Axis(2)).into_iter().enumerate() {
        for (position, value) in values.iter_mut().enumerate() {
            *value = gathered[position * n_lines + line];
        }
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
fn combine(maps: &[Complex32], channels: &[Complex32], image: &mut [Complex32]) {
    image.fill(Complex32::ZERO);
    let n_lines = image.len();
    for (map, channel) in maps.chunks_exact(n_lines).zip(channels.chunks_exact(n_lines)) {
        add(map, channel, image);
    }
}

/// Adds conj(map) · channel.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn add(map: &[Complex32], channel: &[Complex32], image: &mut [Complex32]) {
    for ((sum, map), value) in image.iter_mut().zip(map).zip(channel) {
        *sum += map.conj() * value;
    }
}

/// Sums over modes, of each line.
///
/// * `coupling`: `[mode][mode][line]`.
/// * `modes`, `mixed`: `[mode][line]`.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn couple(coupling: &[f32], modes: &[Complex32], mixed: &mut [Complex32], n_lines: usize) {
    mixed.fill(Complex32::ZERO);
    let n_modes = modes.len() / n_lines;
    for (mixed, coupling) in
        mixed.chunks_exact_mut(n_lines).zip(coupling.chunks_exact(n_modes * n_lines))
    {
        for (mode, coupling) in modes.chunks_exact(n_lines).zip(coupling.chunks_exact(n_lines)) {
            for ((sum, value), weight) in mixed.iter_mut().zip(mode).zip(coupling) {
                *sum += value * weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::mix;
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

    #[test]
    fn modes_are_transformed_as_their_frames_are() {
        let scan = Scan::new([5, 2, 9, 11], 3, 4);
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let modes = Array2::from_shape_fn((2, 5), |(mode, frame)| match mode {
            0 => 0.2_f32.sqrt(),
            _ => (frame as f32 - 2.0) / 10.0_f32.sqrt(),
        });
        let images = Scan::new([2, 2, 9, 11], 1, 5).images;
        let mut found = Array4::zeros(images.raw_dim());
        encoding.apply_in_modes(&modes, &images, &mut found);
        let frames = mix(modes.t(), images.view());
        let mut applied = Array4::zeros(frames.raw_dim());
        encoding.apply(&frames, &mut applied);
        let expected = mix(modes.view(), applied.view());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).norm() < 1e-5, "{found} {expected}");
        }
    }
}
