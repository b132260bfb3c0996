//! Images of the modes of a fingerprint from few arms each.

mod normal;
mod preconditioner;
#[cfg(test)]
mod tests;
mod whitening;

use ndarray::{Array2, Array3, Array4, ArrayView2, ArrayView3, ArrayView4, Axis};
use num_complex::Complex32;
use rayon::prelude::*;

use crate::nufft::{self, Nufft};
use normal::Normal;
use preconditioner::Preconditioner;
use whitening::Whitening;

/// An arm that was read at an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    /// Index of the arm.
    pub arm: usize,
    /// Index of the echo in the basis.
    pub echo: usize,
}

/// When conjugate gradients stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubspaceOptions {
    /// At most so many steps.
    pub max_iterations: usize,
    /// Stop where the preconditioned residual falls below this part of what it was.
    pub threshold: f32,
    /// How often the images are looked at for few courses in every neighbourhood; 0 for images
    /// that only the samples decide on.
    pub n_low_rank: usize,
}

impl Default for SubspaceOptions {
    fn default() -> Self {
        Self { max_iterations: 20, threshold: 1e-3, n_low_rank: 0 }
    }
}

/// Images of the modes, and what is known of them.
#[derive(Clone, Debug)]
pub struct SubspaceImages {
    /// `[mode, y, x]`, in the intensities of the object where Σ|s|² = 1.
    pub images: Array3<Complex32>,
    /// Steps taken.
    pub n_iterations: usize,
    /// Sum of squares of the samples, each times the part of k-space that is its own.
    pub energy: f64,
    /// The same of what the images leave of the samples: noise, and what the modes are not made for.
    pub residual: f64,
    /// The same of noise of standard deviation 1 in every real number.
    pub noise: f64,
    /// What is left of noise in the directions that few courses do not need, over what there was:
    /// 1 of images that only the samples decide on.
    pub noise_left: f64,
}

/// What depends on arms and basis only.
pub struct Subspace {
    image: [usize; 2],
    /// Transform of all places of all arms, and where each arm's begin.
    nufft: Nufft,
    first: Vec<usize>,
    trajectory: Vec<[f32; 2]>,
    /// Of each place: what part of k-space is its own, 1 on the mean.
    weights: Vec<f32>,
    shots: Vec<Shot>,
    modes: Array2<f32>,
    normal: Normal,
    preconditioner: Preconditioner,
}

impl Subspace {
    /// Plans.
    ///
    /// * `image`: pixels along y and x.
    /// * `arms`: places of the samples of each arm, `[kx, ky]`, cycles per field of view.
    /// * `shots`: which arm was read at which echo, in any order.
    /// * `modes`: `[mode, echo]`, orthonormal.
    /// * `regularisation`: λ of (AᴴA + λ) x = Aᴴ y, in units of the mean of AᴴA's diagonal; 0.05 is
    ///   a good one.
    ///
    /// # Errors
    /// [`nufft::Error`] for places that are none.
    ///
    /// # Panics
    /// If a shot names an arm or echo that is not there.
    ///
    /// # Method
    /// Shots of one arm share its places, so that transforms see each place once, however often it
    /// was read. AᴴA is a convolution for each pair of modes (Tamir et al. 2017; Wajer and
    /// Pruessmann 2001 for the convolution).
    pub fn new(
        image: [usize; 2],
        arms: &[Vec<[f32; 2]>],
        shots: Vec<Shot>,
        modes: Array2<f32>,
        regularisation: f32,
    ) -> Result<Self, nufft::Error> {
        let mut first = vec![0];
        let mut trajectory = Vec::new();
        for arm in arms {
            trajectory.extend_from_slice(arm);
            first.push(trajectory.len());
        }
        let nufft = Nufft::new(image, &trajectory, nufft::Options::fast())?;
        // Σ over the shots of an arm of the product of two modes: `[pair, arm]`.
        let n_modes = modes.nrows();
        let pairs: Vec<[usize; 2]> =
            (0..n_modes).flat_map(|k| (k..n_modes).map(move |l| [k, l])).collect();
        let mut products = Array2::<f32>::zeros((pairs.len(), arms.len()));
        for (mut row, [k, l]) in products.outer_iter_mut().zip(&pairs) {
            for shot in &shots {
                row[shot.arm] += modes[[*k, shot.echo]] * modes[[*l, shot.echo]];
            }
        }
        let weights = density_weights(&nufft);
        let mut arm_of = Vec::with_capacity(trajectory.len());
        for (arm, places) in arms.iter().enumerate() {
            arm_of.resize(arm_of.len() + places.len(), arm);
        }
        let normal = Normal::new(image, &trajectory, n_modes, |pair, sample| {
            weights[sample] * products[[pair, arm_of[sample]]]
        })?;
        let preconditioner = Preconditioner::new(&normal, regularisation);
        Ok(Self { image, nufft, first, trajectory, weights, shots, modes, normal, preconditioner })
    }

    /// Covariance of the modes' noise in a pixel, `[mode, mode]`, but for a factor: where the channels
    /// have Σ|s|² = 1, without what they add where they resolve aliasing.
    pub fn noise_covariance(&self) -> Array2<f64> {
        self.preconditioner.covariance()
    }

    /// Aᴴ of the samples without coil maps: `[mode, channel, y, x]`.
    ///
    /// * `samples`: of each shot `[channel, sample]`.
    fn adjoint(&self, samples: &[ArrayView2<'_, Complex32>]) -> Array4<Complex32> {
        let n_channels = samples.first().map_or(0, |samples| samples.nrows());
        let [n_y, n_x] = self.image;
        let mut images = Array4::zeros((self.modes.nrows(), n_channels, n_y, n_x));
        for (mut images, mode) in images.outer_iter_mut().zip(self.modes.outer_iter()) {
            let sums = self.sums(samples, |echo| mode[echo]);
            let weights = Some(&self.weights[..]);
            self.nufft.weighted_adjoint(sums.view(), weights, images.view_mut());
        }
        images
    }

    /// Of each place, Σ over the shots of its arm of weight times sample: `[channel, sample]`.
    fn sums(
        &self,
        samples: &[ArrayView2<'_, Complex32>],
        weight: impl Fn(usize) -> f32 + Sync,
    ) -> Array2<Complex32> {
        let n_channels = samples.first().map_or(0, |samples| samples.nrows());
        let mut sums = Array2::zeros((n_channels, self.nufft.n_samples()));
        let rows: Vec<_> = sums.outer_iter_mut().collect();
        rows.into_par_iter().enumerate().for_each(|(channel, mut row)| {
            for (shot, samples) in self.shots.iter().zip(samples) {
                let weight = weight(shot.echo);
                let place = self.first[shot.arm]..self.first[shot.arm + 1];
                let target = row.slice_mut(ndarray::s![place]);
                for (sum, sample) in target.into_iter().zip(samples.row(channel)) {
                    *sum += weight * sample;
                }
            }
        });
        sums
    }

    /// Images of the channels with the resolution that all arms together have twice over, of the
    /// first mode: for coil maps. `[channel, 1, y, x]`.
    ///
    /// * `samples`: of each shot `[channel, sample]`.
    pub fn calibration(&self, samples: &[ArrayView2<'_, Complex32>]) -> Array4<Complex32> {
        let sums = self.sums(samples, |echo| self.modes[[0, echo]]);
        // How often an arm has seen the mode.
        let mut seen = vec![0.0_f32; self.first.len() - 1];
        for shot in &self.shots {
            seen[shot.arm] += self.modes[[0, shot.echo]].powi(2);
        }
        let limit = self.image[0].min(self.image[1]) as f32 / CALIBRATION_SHARE;
        let mut weights = vec![0.0; self.trajectory.len()];
        for (arm, seen) in seen.iter().enumerate() {
            let samples = self.first[arm]..self.first[arm + 1];
            let of_arm = weights[samples.clone()].iter_mut();
            for (weight, sample) in of_arm.zip(samples) {
                let [kx, ky] = self.trajectory[sample];
                let radius = kx.hypot(ky) / limit;
                if radius < 1.0 && *seen > 0.0 {
                    let window = 0.5 + 0.5 * (std::f32::consts::PI * radius).cos();
                    *weight = window * self.weights[sample] / seen;
                }
            }
        }
        let [n_y, n_x] = self.image;
        let mut images = Array3::zeros((sums.nrows(), n_y, n_x));
        self.nufft.weighted_adjoint(sums.view(), Some(&weights), images.view_mut());
        images.insert_axis(Axis(1))
    }

    /// The images of the modes.
    ///
    /// * `samples`: of each shot `[channel, sample]`, whitened.
    /// * `coil_maps`: `[channel, 1, y, x]`.
    ///
    /// # Panics
    /// If shots, channels or pixels do not fit each other.
    ///
    /// # Method
    /// Conjugate gradients with a preconditioner that would be the solution if all channels saw the
    /// whole image; then, [`SubspaceOptions::n_low_rank`] times, few courses in every neighbourhood
    /// (Zhang, Pauly and Levesque 2015), which λ draws the images to.
    pub fn solve(
        &self,
        samples: &[ArrayView2<'_, Complex32>],
        coil_maps: ArrayView4<'_, Complex32>,
        options: &SubspaceOptions,
    ) -> SubspaceImages {
        assert_eq!(samples.len(), self.shots.len(), "samples of every shot");
        let [n_y, n_x] = self.image;
        let n_channels = samples.first().map_or(0, |samples| samples.nrows());
        assert_eq!(coil_maps.dim(), (n_channels, 1, n_y, n_x), "coil maps");
        let maps = coil_maps.index_axis(Axis(1), 0);
        let maps: Array3<Complex32> = maps.as_standard_layout().into_owned();
        let right = self.combined(&self.adjoint(samples), maps.view());
        let lambda = self.preconditioner.lambda();
        let mut image = vec![Complex32::ZERO; right.len()];
        let solve = |right: &[Complex32], image: &mut Vec<Complex32>| {
            self.conjugate_gradients(right, maps.view(), image, options)
        };
        let (mut n_iterations, mut residual) = solve(&right, &mut image);
        let whitening = (options.n_low_rank > 0).then(|| Whitening::new(self.noise_covariance()));
        let mut noise_sds = Vec::new();
        for (round, whitening) in
            whitening.iter().flatten().cycle().take(options.n_low_rank).enumerate()
        {
            // λ draws the images to their few courses now, no longer to 0.
            noise_sds.push(whitening.shrink(&mut image, self.image, round));
            let mut side = right.clone();
            add(&mut side, lambda, &image);
            let (steps, _) = solve(&side, &mut image);
            n_iterations += steps;
            // Aᴴy − (AᴴA + λ) x.
            residual = self.normal.apply(&image, maps.view());
            add(&mut residual, lambda, &image);
            residual.iter_mut().zip(&right).for_each(|(value, right)| *value = right - *value);
        }
        let noise_left = match (noise_sds.first(), whitening.flatten()) {
            (Some(&before), Some(whitening)) if before > 0.0 => {
                f64::from(whitening.noise_sd(&image, self.image) / before)
            }
            _ => 1.0,
        };
        // |y − A x|² = |y|² − Re⟨x, 2 Aᴴy − AᴴA x⟩, and the residual is Aᴴy − AᴴA x − λ x.
        let (mut energy, mut noise) = (0.0, 0.0);
        for (shot, samples) in self.shots.iter().zip(samples) {
            let weights = &self.weights[self.first[shot.arm]..self.first[shot.arm + 1]];
            for channel in samples.outer_iter() {
                let terms = channel.iter().zip(weights);
                energy += terms.map(|(v, w)| f64::from(v.norm_sqr() * w)).sum::<f64>();
                noise += weights.iter().map(|w| 2.0 * f64::from(*w)).sum::<f64>();
            }
        }
        let explained =
            dot(&image, &right) + dot(&image, &residual) + f64::from(lambda) * dot(&image, &image);
        let images = Array3::from_shape_vec((self.modes.nrows(), n_y, n_x), image);
        SubspaceImages {
            images: images.unwrap_or_else(|_| Array3::zeros((0, 0, 0))),
            n_iterations,
            energy,
            residual: (energy - explained).max(0.0),
            noise,
            noise_left,
        }
    }

    /// Improves `image` as a solution of (AᴴA + λ) x = right. Gives the number of steps and the
    /// residual.
    fn conjugate_gradients(
        &self,
        right: &[Complex32],
        maps: ArrayView3<'_, Complex32>,
        image: &mut [Complex32],
        options: &SubspaceOptions,
    ) -> (usize, Vec<Complex32>) {
        let lambda = self.preconditioner.lambda();
        let mut residual = right.to_vec();
        let start = self.preconditioner.apply(&residual);
        let limit = dot(&residual, &start) * f64::from(options.threshold).powi(2);
        if image.iter().any(|value| *value != Complex32::ZERO) {
            let applied = self.normal.apply(image, maps);
            add(&mut residual, -1.0, &applied);
            add(&mut residual, -lambda, image);
        }
        let mut direction = self.preconditioner.apply(&residual);
        let mut square = dot(&residual, &direction);
        let mut n_iterations = 0;
        while n_iterations < options.max_iterations && square > limit && square > 0.0 {
            n_iterations += 1;
            let mut applied = self.normal.apply(&direction, maps);
            add(&mut applied, lambda, &direction);
            let curvature = dot(&direction, &applied);
            if !(curvature > 0.0 && curvature.is_finite()) {
                break;
            }
            let step = (square / curvature) as f32;
            add(image, step, &direction);
            add(&mut residual, -step, &applied);
            let solved = self.preconditioner.apply(&residual);
            let next = dot(&residual, &solved);
            let factor = (next / square) as f32;
            direction.par_iter_mut().zip(&solved).for_each(|(d, s)| *d = s + *d * factor);
            square = next;
        }
        (n_iterations, residual)
    }

    /// Σ over the channels of s* times image: `[mode, y, x]`.
    fn combined(
        &self,
        images: &Array4<Complex32>,
        maps: ArrayView3<'_, Complex32>,
    ) -> Vec<Complex32> {
        let n_pixels = self.image[0] * self.image[1];
        let mut sums = vec![Complex32::ZERO; images.shape()[0] * n_pixels];
        for (sums, mode) in sums.chunks_exact_mut(n_pixels.max(1)).zip(images.outer_iter()) {
            for (channel, map) in mode.outer_iter().zip(maps.outer_iter()) {
                sums.iter_mut().zip(channel).zip(map).for_each(|((s, c), m)| *s += m.conj() * c);
            }
        }
        sums
    }
}

/// Of the radius of k-space of the images that coil maps are made from, image pixels over this.
const CALIBRATION_SHARE: f32 = 8.0;

/// Steps of the density compensation.
const DENSITY_STEPS: usize = 12;

/// Part of k-space that belongs to each sample, 1 on the mean: [`Nufft::density_compensation`],
/// whose absolute scale a kernel of few taps does not hold.
fn density_weights(nufft: &Nufft) -> Vec<f32> {
    let mut weights = nufft.density_compensation(DENSITY_STEPS);
    let mean = weights.iter().map(|w| f64::from(*w)).sum::<f64>() / weights.len().max(1) as f64;
    let scale = if mean > 0.0 { (1.0 / mean) as f32 } else { 0.0 };
    weights.iter_mut().for_each(|weight| *weight *= scale);
    weights
}

fn dot(a: &[Complex32], b: &[Complex32]) -> f64 {
    // In fixed pieces, so that the number of threads changes no bit.
    let pieces: Vec<f64> = a
        .par_chunks(1 << 14)
        .zip(b.par_chunks(1 << 14))
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| f64::from(a.re * b.re + a.im * b.im)).sum())
        .collect();
    pieces.into_iter().sum()
}

fn add(to: &mut [Complex32], factor: f32, what: &[Complex32]) {
    to.par_iter_mut().zip(what).for_each(|(to, what)| *to += factor * what);
}
