//! Random scans.

use ndarray::{Array3, Array4, Array5, Axis};
use num_complex::Complex32;

use crate::fft;

/// A series, coil maps and lines.
pub(crate) struct Scan {
    /// `[frame, z, y, x]`, real and imaginary part uniform from −½ to ½.
    pub images: Array4<Complex32>,
    /// `[channel, z, y, x]`, Σ|s|² = 1.
    pub maps: Array4<Complex32>,
    /// `[frame, encoding_step_2, encoding_step_1]`, about two thirds.
    pub sampled: Array3<bool>,
}

impl Scan {
    /// * `shape`: `[frame, z, y, x]`.
    pub fn new(shape: [usize; 4], n_channels: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let [n_frames, n_z, n_y, n_x] = shape;
        let images = Array4::from_shape_simple_fn(shape, || Complex32::new(next(), next()));
        let mut maps = Array4::from_shape_simple_fn((n_channels, n_z, n_y, n_x), || {
            Complex32::new(next(), next())
        });
        for mut pixel in maps.lanes_mut(Axis(0)) {
            let norm = pixel.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt();
            pixel.mapv_inplace(|value| value / norm);
        }
        let sampled = Array3::from_shape_simple_fn((n_frames, n_z, n_y), || next() > -1.0 / 6.0);
        Self { images, maps, sampled }
    }

    /// One of so many lines in a random order of its own in every frame, and the central ones.
    pub fn sample_every(&mut self, acceleration: usize) {
        let n_lines = self.sampled.len_of(Axis(2));
        for ((frame, _, line), sampled) in self.sampled.indexed_iter_mut() {
            let is_central = line.abs_diff(n_lines / 2) < 2;
            let block = line / acceleration;
            let chosen = (frame * 7 + block * 5 + frame * block) % acceleration;
            *sampled = is_central || line % acceleration == chosen;
        }
    }

    /// `[frame, channel, encoding_step_2, encoding_step_1, x]`: after the readout's transform.
    pub fn samples(&self) -> Array5<Complex32> {
        let images = self.images.view().insert_axis(Axis(1));
        let maps = self.maps.view().insert_axis(Axis(0));
        let mut data = &images * &maps;
        fft::forward_axes(data.view_mut().into_dyn(), &[Axis(2), Axis(3)]);
        for ((frame, _, e2, e1, _), value) in data.indexed_iter_mut() {
            if !self.sampled[[frame, e2, e1]] {
                *value = Complex32::ZERO;
            }
        }
        data
    }
}
