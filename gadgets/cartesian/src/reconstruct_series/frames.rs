//! The images of one slice as frames of a series.

use ndarray::{Array3, Array5, Axis, s};
use num_complex::Complex32;

use crate::unaliasing::{Group, Job};

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
            match slices.last_mut() {
                Some(last) if last.slice == group.slice => {
                    last.places.extend(places);
                    let both =
                        ndarray::concatenate(Axis(0), &[last.sampled.view(), group.sampled.view()]);
                    last.sampled = both.expect("all images of a buffer have as many lines");
                }
                _ => slices.push(Self {
                    slice: group.slice,
                    places: places.collect(),
                    serving: group.serving,
                    sampled: group.sampled.clone(),
                }),
            }
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
}
