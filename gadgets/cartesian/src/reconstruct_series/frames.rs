//! The images of one slice as frames of a series.

use ndarray::{Array2, Array3, Array5, ArrayView2, Axis, s};
use num_complex::Complex32;
use numerics::joint::{PrincipalModes, principal_modes};

use super::method::Noise;
use crate::unaliasing::{Group, Job};

/// Modes that a series has where noise hides them: a relaxation has a level, a height and a time.
const LEAST_MODES: usize = 3;

/// All images of a slice that have lines.
pub(super) struct Frames {
    pub(super) slice: usize,
    /// `[s, n]` of each.
    pub(super) places: Vec<[usize; 2]>,
    /// The image of the reference that calibrates them: `[slice, s, n]`.
    pub(super) serving: [usize; 3],
    /// `[frame, encoding_step_2, encoding_step_1]`.
    pub(super) sampled: Array3<bool>,
}

impl Frames {
    /// Of each slice; a slice that has no lines has no frames.
    pub(super) fn of(groups: &[Group]) -> Vec<Self> {
        let mut slices: Vec<Self> = Vec::new();
        for group in groups {
            let places = group.n.clone().map(|n| [group.s, n]);
            if let Some(last) = slices.last_mut()
                && last.slice == group.slice
                && last.sampled.append(Axis(0), group.sampled.view()).is_ok()
            {
                last.places.extend(places);
                continue;
            }
            slices.push(Self {
                slice: group.slice,
                places: places.collect(),
                serving: group.serving,
                sampled: group.sampled.clone(),
            });
        }
        slices
    }

    /// Their samples: `[frame, channel, encoding_step_2, encoding_step_1, x]`.
    pub(super) fn samples(&self, job: &Job) -> Array5<Complex32> {
        let [e2, e1, x] = job.shape.k_space;
        let mut samples = Array5::zeros((self.places.len(), job.shape.n_channels, e2, e1, x));
        for (mut target, [s, n]) in samples.outer_iter_mut().zip(&self.places) {
            target.assign(&job.buffer.data.slice(s![self.slice, *s, *n, .., .., .., ..]));
        }
        samples
    }

    /// Whether any line was acquired in all images.
    pub(super) fn have_lines_in_common(&self) -> bool {
        self.in_all().iter().any(|in_all| *in_all)
    }

    /// Lines that were acquired in all images, `[z, y]`.
    fn in_all(&self) -> Array2<bool> {
        self.sampled.map_axis(Axis(0), |frames| frames.iter().all(|read| *read))
    }

    /// The courses that their lines in common are made of; [`None`] where they have none.
    pub(super) fn modes(
        &self,
        samples: &Array5<Complex32>,
        noise: &Noise,
        n_modes: usize,
    ) -> Option<PrincipalModes> {
        let n_frames = self.places.len();
        let in_all = self.in_all();
        let common: Vec<[usize; 2]> =
            in_all.indexed_iter().filter(|(_, all)| **all).map(|((e2, e1), _)| [e2, e1]).collect();
        if common.is_empty() {
            return None;
        }
        let mut courses = Vec::new();
        for frame in samples.outer_iter() {
            for [e2, e1] in &common {
                courses.extend(frame.slice(s![.., *e2, *e1, ..]).iter());
            }
        }
        let n = courses.len() / n_frames;
        let courses = Array2::from_shape_vec((n_frames, n), courses).ok()?;
        Some(courses_of(courses.view(), 2.0 * f64::from(noise.sd).powi(2), n_modes))
    }
}

/// The courses that images by `locally_low_rank` are made of.
///
/// * `images`: `[frame, pixel]`.
pub(super) fn courses_of_neighbourhoods(
    images: ArrayView2<'_, Complex32>,
    noise: &Noise,
    n_modes: usize,
) -> PrincipalModes {
    let variance = f64::from(NOISE_LEFT * noise.of_mode()).powi(2);
    courses_of(images, variance, n_modes)
}

/// Part of the noise that `locally_low_rank` leaves in its images, as the errors of T1 are of those
/// that `sense` leaves (`boreside evaluate accelerated`).
const NOISE_LEFT: f32 = 0.5;

/// The courses that samples or pixels are made of.
///
/// * `values`: `[frame, sample]`, with noise of `variance` in both parts together.
/// * `n_modes`: so many; 0: those that stand out of the noise, [`LEAST_MODES`] at least.
fn courses_of(values: ArrayView2<'_, Complex32>, variance: f64, n_modes: usize) -> PrincipalModes {
    let modes = principal_modes(values, variance, n_modes);
    if n_modes == 0 && modes.courses.nrows() < LEAST_MODES {
        return principal_modes(values, variance, LEAST_MODES);
    }
    modes
}
