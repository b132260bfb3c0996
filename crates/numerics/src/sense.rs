//! Iterative SENSE: the image that the channels' samples agree on, given their sensitivities.

use ndarray::{Array4, ArrayView3, ArrayView4, ArrayViewMut5};
use num_complex::Complex32;
use rayon::prelude::*;

use crate::line_transform::{LineTransform, Workspace, for_each_position};

/// When the conjugate gradients stop, and what keeps them from amplifying noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SenseOptions {
    /// λ of (EᴴE + λ) x = Eᴴ y. Eᴴ E has eigenvalues of 0 to 1 where Σ|s|² = 1.
    pub regularisation: f32,
    /// At most so many steps.
    pub max_iterations: usize,
    /// Stop where the residual of a readout position falls below this part of what it was.
    pub threshold: f32,
}

impl Default for SenseOptions {
    fn default() -> Self {
        Self { regularisation: 0.001, max_iterations: 50, threshold: 0.001 }
    }
}

/// What it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SenseReport {
    /// Mean number of steps of a readout position and frame.
    pub mean_iterations: f32,
    /// Readout positions of frames that had not reached the threshold at the last step.
    pub n_unfinished: usize,
    /// How many there were.
    pub n_positions: usize,
}

/// Solves for the images of any pattern of lines.
///
/// * `data`: `[frame, channel, encoding_step_2, encoding_step_1, x]`: k-space after the inverse
///   transform along the readout ([`crate::fft`]), whitened. What stands in lines that are not
///   sampled is not read. Its memory is used.
/// * `sampled`: `[frame, encoding_step_2, encoding_step_1]`.
/// * `coil_maps`: `[channel, z, y, x]`.
///
/// Returns the images, `[frame, z, y, x]`, in the intensities of the object where Σ|s|² = 1 and
/// λ = 0, and what it took. Pixels without sensitivity are 0.
///
/// # Panics
/// If the shapes do not fit each other.
///
/// # Method
/// Conjugate gradients for (EᴴE + λ) x = Eᴴ y from 0, E = sampling · transform · maps, at each
/// readout position on its own.
///
/// # Source
/// Pruessmann et al. 2001, without density and intensity correction.
pub fn cg_sense(
    mut data: ArrayViewMut5<'_, Complex32>,
    sampled: ArrayView3<'_, bool>,
    coil_maps: ArrayView4<'_, Complex32>,
    options: &SenseOptions,
) -> (Array4<Complex32>, SenseReport) {
    let (n_frames, n_channels, n_e2, n_e1, n_readout) = data.dim();
    assert_eq!(sampled.dim(), (n_frames, n_e2, n_e1), "frames and lines of the sampling");
    assert_eq!(coil_maps.dim(), (n_channels, n_e2, n_e1, n_readout), "shape of the coil maps");
    let mut images = Array4::zeros((n_frames, n_e2, n_e1, n_readout));
    if data.is_empty() {
        return (images, SenseReport::default());
    }
    let sampled: Vec<bool> = sampled.iter().copied().collect();
    let encoding = LineTransform::new([n_e2, n_e1]);
    let n_lines = n_e2 * n_e1;
    // From the pixels of the plain transform to those of the centred one.
    let pixel = |plain: usize| {
        let (z, y) = (plain / n_e1, plain % n_e1);
        [(z + n_e2 / 2) % n_e2, (y + n_e1 / 2) % n_e1]
    };
    let solved = for_each_position(data.view_mut(), |x, samples| {
        let maps: Vec<Complex32> = (0..n_channels * n_lines)
            .map(|n| {
                let [z, y] = pixel(n % n_lines);
                coil_maps[[n / n_lines, z, y, x]]
            })
            .collect();
        let mut solver =
            Solver { maps, transform: &encoding, channels: Vec::new(), work: Workspace::default() };
        samples
            .chunks_exact_mut(n_channels * n_lines)
            .zip(sampled.chunks_exact(n_lines))
            .map(|(frame, sampled)| solver.solve(frame, sampled, options))
            .collect::<Vec<_>>()
    });
    // The centred transform differs from the plain one by a phase for each pixel.
    let phase = |plain: usize| {
        let turns = (n_e2 / 2 * (plain / n_e1)) as f64 / n_e2 as f64
            + (n_e1 / 2 * (plain % n_e1)) as f64 / n_e1 as f64;
        let angle_rad = -std::f64::consts::TAU * turns;
        Complex32::new(angle_rad.cos() as f32, angle_rad.sin() as f32)
    };
    let phases: Vec<Complex32> = (0..n_lines).map(phase).collect();
    let frames: Vec<_> = images.outer_iter_mut().collect();
    frames.into_par_iter().enumerate().for_each(|(frame, mut image)| {
        for (x, frames) in solved.iter().enumerate() {
            for (plain, (value, phase)) in frames[frame].0.iter().zip(&phases).enumerate() {
                let [z, y] = pixel(plain);
                image[[z, y, x]] = value * phase;
            }
        }
    });
    let steps = || solved.iter().flatten();
    let n_positions = steps().count();
    let sum: usize = steps().map(|(_, steps, _)| steps).sum();
    let report = SenseReport {
        mean_iterations: sum as f32 / n_positions as f32,
        n_unfinished: steps().filter(|(_, _, finished)| !finished).count(),
        n_positions,
    };
    (images, report)
}

struct Solver<'a> {
    /// `[channel, pixel]`.
    maps: Vec<Complex32>,
    transform: &'a LineTransform,
    channels: Vec<Complex32>,
    work: Workspace,
}

impl Solver<'_> {
    /// The image of one frame, `[pixel]`, the steps, and whether they sufficed.
    fn solve(
        &mut self,
        data: &mut [Complex32],
        sampled: &[bool],
        options: &SenseOptions,
    ) -> (Vec<Complex32>, usize, bool) {
        mask(data, sampled);
        let n_lines = sampled.len();
        let scale = (n_lines as f32).sqrt().recip();
        self.transform.inverse(data, &mut self.work);
        let mut residual = vec![Complex32::ZERO; n_lines];
        self.combine(data, scale, &mut residual);
        let mut image = vec![Complex32::ZERO; n_lines];
        let mut direction = residual.clone();
        let mut applied = residual.clone();
        let mut square = squares(&residual);
        let limit = square * f64::from(options.threshold).powi(2);
        for step in 0..options.max_iterations {
            if square <= limit {
                return (image, step, true);
            }
            self.apply(&direction, sampled, &mut applied);
            for (value, direction) in applied.iter_mut().zip(&direction) {
                *value += direction * options.regularisation;
            }
            let curvature: f64 =
                direction.iter().zip(&applied).map(|(a, b)| f64::from((a.conj() * b).re)).sum();
            if curvature <= 0.0 || !curvature.is_finite() {
                return (image, step, false);
            }
            let length = (square / curvature) as f32;
            for (value, direction) in image.iter_mut().zip(&direction) {
                *value += direction * length;
            }
            for (value, applied) in residual.iter_mut().zip(&applied) {
                *value -= applied * length;
            }
            let before = std::mem::replace(&mut square, squares(&residual));
            let memory = (square / before) as f32;
            for (value, residual) in direction.iter_mut().zip(&residual) {
                *value = residual + *value * memory;
            }
        }
        (image, options.max_iterations, square <= limit)
    }

    /// Eᴴ E.
    fn apply(&mut self, image: &[Complex32], sampled: &[bool], result: &mut [Complex32]) {
        let mut channels = std::mem::take(&mut self.channels);
        channels.clear();
        for maps in self.maps.chunks_exact(image.len()) {
            channels.extend(maps.iter().zip(image).map(|(map, value)| map * value));
        }
        self.transform.forward(&mut channels, &mut self.work);
        mask(&mut channels, sampled);
        self.transform.inverse(&mut channels, &mut self.work);
        self.combine(&channels, (image.len() as f32).recip(), result);
        self.channels = channels;
    }

    /// Σ conj(map) · channel.
    fn combine(&self, channels: &[Complex32], scale: f32, result: &mut [Complex32]) {
        result.fill(Complex32::ZERO);
        let n_lines = result.len();
        for (maps, channel) in self.maps.chunks_exact(n_lines).zip(channels.chunks_exact(n_lines)) {
            for ((sum, map), value) in result.iter_mut().zip(maps).zip(channel) {
                *sum += map.conj() * value * scale;
            }
        }
    }
}

fn mask(data: &mut [Complex32], sampled: &[bool]) {
    for lines in data.chunks_exact_mut(sampled.len()) {
        for (value, _) in lines.iter_mut().zip(sampled).filter(|(_, sampled)| !**sampled) {
            *value = Complex32::ZERO;
        }
    }
}

fn squares(values: &[Complex32]) -> f64 {
    values.iter().map(|value| f64::from(value.norm_sqr())).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Array5, Axis, s};

    use super::*;
    use crate::fft;

    fn noise(seed: u64) -> impl FnMut() -> Complex32 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        move || Complex32::new(next(), next())
    }

    /// Random maps with Σ|s|² = 1, an image, and its lines after the readout's transform.
    fn scan(shape: [usize; 4]) -> (Array4<Complex32>, Array4<Complex32>, Array5<Complex32>) {
        let [n_channels, z, y, x] = shape;
        let mut next = noise(4);
        let mut maps = Array4::from_shape_fn(shape, |_| next());
        for mut pixel in maps.lanes_mut(Axis(0)) {
            let norm = pixel.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt();
            pixel.mapv_inplace(|value| value / norm);
        }
        let image = Array4::from_shape_fn((1, z, y, x), |_| next());
        let mut data = (&maps * &image).insert_axis(Axis(0));
        assert_eq!(data.dim(), (1, n_channels, z, y, x));
        fft::forward_axes(data.view_mut().into_dyn(), &[Axis(2), Axis(3)]);
        (maps, image, data)
    }

    #[test]
    fn noiseless_lines_of_any_pattern_give_the_image_back() {
        for (shape, seed) in [([8, 1, 18, 5], 1), ([8, 4, 12, 3], 2), ([6, 3, 7, 2], 3)] {
            let (maps, image, mut data) = scan(shape);
            let mut next = noise(seed);
            let sampled = Array3::from_shape_fn((1, shape[1], shape[2]), |_| next().re > -0.1);
            for ((_, e2, e1), sampled) in sampled.indexed_iter() {
                if !sampled {
                    data.slice_mut(s![0, .., e2, e1, ..]).fill(Complex32::new(f32::NAN, 0.0));
                }
            }
            let options =
                SenseOptions { regularisation: 0.0, max_iterations: 200, threshold: 1e-6 };
            let (found, report) = cg_sense(data.view_mut(), sampled.view(), maps.view(), &options);
            assert_eq!(report.n_positions, shape[3]);
            for (found, truth) in found.iter().zip(&image) {
                assert!((found - truth).norm() < 1e-3, "{shape:?}: {found} {truth}");
            }
        }
    }

    #[test]
    fn of_every_second_line_with_noise_it_is_the_closed_form() {
        // Pixels y and y + 8 fold onto each other: two unknowns per channel equations.
        let (maps, _, mut data) = scan([4, 1, 16, 3]);
        let mut next = noise(8);
        data.mapv_inplace(|value| value + next());
        let sampled = Array3::from_shape_fn((1, 1, 16), |(_, _, line)| line % 2 == 0);
        let lambda = 0.05;
        let mut aliased = data.clone();
        for line in (1..16).step_by(2) {
            aliased.slice_mut(s![.., .., .., line, ..]).fill(Complex32::ZERO);
        }
        fft::inverse_axes(aliased.view_mut().into_dyn(), &[Axis(3)]);
        let options = SenseOptions { regularisation: lambda, max_iterations: 100, threshold: 1e-6 };
        let (found, _) = cg_sense(data.view_mut(), sampled.view(), maps.view(), &options);
        for y in 0..8 {
            for x in 0..3 {
                // The aliased image holds ½ (s₁ m₁ + s₂ m₂): (½ SᴴS + λ) m = Sᴴ a.
                let s = |pixel: usize, c: usize| maps[[c, 0, pixel, x]];
                let sum = |f: &dyn Fn(usize) -> Complex32| (0..4).map(f).sum::<Complex32>();
                let a = |c: usize| aliased[[0, c, 0, y, x]];
                let right = [sum(&|c| s(y, c).conj() * a(c)), sum(&|c| s(y + 8, c).conj() * a(c))];
                let cross = sum(&|c| s(y, c).conj() * s(y + 8, c)) * 0.5;
                let diagonal = 0.5 + lambda;
                let determinant = diagonal * diagonal - cross.norm_sqr();
                let truth = [
                    (right[0] * diagonal - cross * right[1]) / determinant,
                    (right[1] * diagonal - cross.conj() * right[0]) / determinant,
                ];
                for (pixel, truth) in [(y, truth[0]), (y + 8, truth[1])] {
                    let found = found[[0, 0, pixel, x]];
                    assert!((found - truth).norm() < 1e-4, "{pixel}: {found} {truth}");
                }
            }
        }
    }

    #[test]
    fn pixels_without_sensitivity_are_zero() {
        let (mut maps, _, mut data) = scan([4, 1, 8, 2]);
        maps.slice_mut(s![.., 0, 3, 1]).fill(Complex32::ZERO);
        let sampled = Array3::from_elem((1, 1, 8), true);
        let (found, _) =
            cg_sense(data.view_mut(), sampled.view(), maps.view(), &SenseOptions::default());
        assert_eq!(found[[0, 0, 3, 1]], Complex32::ZERO);
        assert!(found[[0, 0, 3, 0]].norm() > 0.0);
    }
}
