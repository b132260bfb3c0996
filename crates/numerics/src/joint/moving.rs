//! Motion between the object and the coils.

use ndarray::{Array4, ArrayView3, ArrayView4, Axis, Zip};
use num_complex::Complex32;
use rayon::prelude::*;

use super::Normal;

/// Images of a resting object, which each frame sees where it has moved to.
pub struct Moving<'a, N> {
    inner: &'a N,
    /// Of each frame.
    samplers: Vec<Sampler>,
    gain: f32,
}

impl<'a, N: Normal> Moving<'a, N> {
    /// * `inner`: of the frames, single slices.
    /// * `displacements`: `[frame, 2, y, x]`, pixels along y and x: what is seen at a pixel of a
    ///   frame lies at that pixel plus the displacement in the resting object.
    ///
    /// # Panics
    /// If there are not two components.
    pub fn new(inner: &'a N, displacements: ArrayView4<'_, f32>) -> Self {
        assert_eq!(displacements.len_of(Axis(1)), 2, "components of the displacements");
        let samplers: Vec<_> = displacements.outer_iter().map(Sampler::new).collect();
        let gain = samplers.iter().map(Sampler::bound).fold(1.0, f32::max);
        Self { inner, samplers, gain }
    }

    /// What pixels that are brought together make eigenvalues larger by, at most. Samples and model
    /// are divided by its root: weights of what is assumed of the images are to be divided by it.
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// What the frames see of images of the resting object: both `[frame, 1, y, x]`.
    pub fn seen(&self, images: &Array4<Complex32>) -> Array4<Complex32> {
        self.warp(images, Sampler::gather)
    }

    /// The adjoint of [`seen`](Self::seen).
    pub fn returned(&self, images: &Array4<Complex32>) -> Array4<Complex32> {
        self.warp(images, Sampler::scatter)
    }

    /// Eᴴ y and ‖y‖² of the moving frames as those of the resting object, divided by
    /// [`gain`](Self::gain).
    pub fn right_side(&self, right: &Array4<Complex32>, squares: f64) -> (Array4<Complex32>, f64) {
        (self.returned(right) / Complex32::from(self.gain), squares / f64::from(self.gain))
    }

    fn warp(
        &self,
        images: &Array4<Complex32>,
        apply: impl Fn(&Sampler, &[Complex32], &mut [Complex32]) + Sync,
    ) -> Array4<Complex32> {
        let (n_frames, n_z, n_y, n_x) = images.dim();
        assert_eq!((n_frames, n_z), (self.samplers.len(), 1), "frames of one slice each");
        let images = images.as_standard_layout();
        let mut result = Array4::zeros((n_frames, n_z, n_y, n_x));
        let frames: Vec<_> = result.outer_iter_mut().zip(images.outer_iter()).collect();
        frames.into_par_iter().zip(&self.samplers).for_each(|((mut result, image), sampler)| {
            if let (Some(result), Some(image)) = (result.as_slice_mut(), image.as_slice()) {
                apply(sampler, image, result);
            }
        });
        result
    }
}

impl<N: Normal> Normal for Moving<'_, N> {
    fn apply(&self, images: &Array4<Complex32>, result: &mut Array4<Complex32>) {
        let seen = self.seen(images);
        let mut applied = Array4::zeros(seen.raw_dim());
        self.inner.apply(&seen, &mut applied);
        let returned = self.returned(&applied);
        Zip::from(result).and(&returned).for_each(|result, value| *result = value / self.gain);
    }
}

/// Cubic interpolation at displaced places (Keys 1981).
struct Sampler {
    /// Pixel, and weights along y and x, of the first of 4 × 4 pixels.
    places: Vec<([i32; 2], [[f32; 4]; 2])>,
    size: [usize; 2],
}

impl Sampler {
    /// * `displacement`: `[2, y, x]`.
    fn new(displacement: ArrayView3<'_, f32>) -> Self {
        let (_, n_y, n_x) = displacement.dim();
        let mut places = Vec::with_capacity(n_y * n_x);
        for y in 0..n_y {
            for x in 0..n_x {
                let along = |axis: usize, pixel: usize| {
                    let place = pixel as f32 + displacement[[axis, y, x]];
                    let below = place.floor();
                    ((below as i32).saturating_sub(1), weights(place - below))
                };
                let ((first_y, of_y), (first_x, of_x)) = (along(0, y), along(1, x));
                places.push(([first_y, first_x], [of_y, of_x]));
            }
        }
        Self { places, size: [n_y, n_x] }
    }

    fn gather(&self, image: &[Complex32], result: &mut [Complex32]) {
        for (place, target) in self.places.iter().zip(result) {
            self.for_each_pixel(place, |pixel, weight| *target += image[pixel] * weight);
        }
    }

    fn scatter(&self, image: &[Complex32], result: &mut [Complex32]) {
        for (place, value) in self.places.iter().zip(image) {
            self.for_each_pixel(place, |pixel, weight| result[pixel] += value * weight);
        }
    }

    /// ‖W‖² is not larger: the largest sum of a row times that of a column.
    fn bound(&self) -> f32 {
        let mut columns = vec![0.0_f32; self.size[0] * self.size[1]];
        let mut of_rows = 0.0_f32;
        for place in &self.places {
            let mut row = 0.0;
            self.for_each_pixel(place, |pixel, weight| {
                row += weight.abs();
                columns[pixel] += weight.abs();
            });
            of_rows = of_rows.max(row);
        }
        of_rows * columns.into_iter().fold(0.0, f32::max)
    }

    /// Pixels and weights of a place. Beyond the image is nothing.
    fn for_each_pixel(
        &self,
        ([first_y, first_x], [of_y, of_x]): &([i32; 2], [[f32; 4]; 2]),
        mut take: impl FnMut(usize, f32),
    ) {
        let [n_y, n_x] = self.size;
        let within = |first: i32, step: usize, n: usize| {
            usize::try_from(first.saturating_add(step as i32)).ok().filter(|pixel| *pixel < n)
        };
        for (i, weight_y) in of_y.iter().enumerate() {
            let Some(y) = within(*first_y, i, n_y) else { continue };
            for (j, weight_x) in of_x.iter().enumerate() {
                if let Some(x) = within(*first_x, j, n_x) {
                    take(y * n_x + x, weight_y * weight_x);
                }
            }
        }
    }
}

/// Of the pixels at −1, 0, 1 and 2 for a place between 0 and 1.
fn weights(t: f32) -> [f32; 4] {
    let t = if t.is_finite() { t } else { 0.0 };
    [
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::testing::Scan;
    use crate::joint::{
        ProximalOptions, Regulariser, SeriesEncoding, StopRule, conjugate_gradients, reconstruct,
    };

    #[test]
    fn whole_pixels_move_and_the_adjoint_is_one() {
        let scan = Scan::new([2, 1, 12, 14], 4, 11);
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let fields = Array4::from_shape_fn((2, 2, 12, 14), |(frame, axis, y, x)| match frame {
            0 => [2.0, -1.0][axis],
            _ => (y as f32 * 0.1 - 0.7) * (axis as f32 + 0.5) + x as f32 * 0.05,
        });
        let moving = Moving::new(&encoding, fields.view());
        let seen = moving.seen(&scan.images);
        assert_eq!(seen[[0, 0, 4, 6]], scan.images[[0, 0, 6, 5]]);
        let other = Scan::new([2, 1, 12, 14], 1, 12).images;
        let inner = |a: &Array4<Complex32>, b: &Array4<Complex32>| {
            a.iter().zip(b).map(|(a, b)| a.conj() * b).sum::<Complex32>()
        };
        let (one, two) = (inner(&other, &seen), inner(&moving.returned(&other), &scan.images));
        assert!((one - two).norm() < 1e-3, "{one} {two}");
    }

    #[test]
    fn a_resting_object_is_found_from_frames_that_moved() {
        let mut scan = Scan::new([2, 1, 24, 20], 6, 13);
        let smooth = |_: usize, y: f32, x: f32| {
            let bump = |y0: f32, x0: f32| (-((y - y0).powi(2) + (x - x0).powi(2)) / 14.0).exp();
            Complex32::new(bump(11.0, 9.0), 0.5 * bump(13.0, 12.0))
        };
        let rest =
            Array4::from_shape_fn((2, 1, 24, 20), |(f, _, y, x)| smooth(f, y as f32, x as f32));
        let shift = [1.4, -0.8];
        let fields =
            Array4::from_shape_fn((2, 2, 24, 20), |(frame, axis, _, _)| shift[axis] * frame as f32);
        scan.images = Array4::from_shape_fn((2, 1, 24, 20), |(f, _, y, x)| {
            let at = |axis: usize, p: usize| p as f32 + shift[axis] * f as f32;
            smooth(f, at(0, y), at(1, x))
        });
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let (right, squares) = encoding.adjoint(scan.samples().view());
        let moving = Moving::new(&encoding, fields.view());
        let (right, _) = moving.right_side(&right, squares);
        let mut found = Array4::zeros(right.raw_dim());
        let stop = StopRule { max_iterations: 100, threshold: 1e-4 };
        conjugate_gradients(&moving, 1e-3, &right, &mut found, stop);
        for y in 6..18 {
            for x in 4..16 {
                let error = (found[[1, 0, y, x]] - rest[[1, 0, y, x]]).norm();
                assert!(error < 0.02, "{y} {x}: {error}");
            }
        }
    }

    #[test]
    fn pixels_that_come_together_do_not_make_it_diverge() {
        let mut scan = Scan::new([2, 1, 24, 20], 6, 14);
        scan.sample_every(2);
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        // Eight pixels towards the edge, less and less: many see the same.
        let fields = Array4::from_shape_fn((2, 2, 24, 20), |(frame, axis, y, _)| {
            if axis == 0 { 8.0 * frame as f32 * (1.0 - y as f32 / 24.0) } else { 0.0 }
        });
        let moving = Moving::new(&encoding, fields.view());
        let (right, squares) = encoding.adjoint(scan.samples().view());
        let (right, squares) = moving.right_side(&right, squares);
        let options = ProximalOptions {
            regulariser: Regulariser::TotalVariation,
            weight: 1e-3 / moving.gain(),
            max_iterations: 200,
            threshold: 0.0,
        };
        let (found, report) = reconstruct(&moving, &right, squares, &options);
        assert!(found.iter().all(|value| value.norm().is_finite()), "{report:?}");
        assert!(report.last_change < 0.01 && report.misfit < 0.5, "{report:?}");
    }
}
