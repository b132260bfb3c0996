//! Transform, weights and adjoint in one: a convolution.

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut3, Axis, Zip, s};
use num_complex::Complex32;
use rayon::prelude::*;

use super::{Error, Nufft, Options};
use crate::fft::Plan;

/// Aᴴ W A of a trajectory with weights: what a forward transform, weights and the adjoint do to
/// an image, by two fast transforms of twice the size.
#[derive(Clone, Debug)]
pub struct Toeplitz {
    image: [usize; 2],
    /// `[2 y, 2 x]`, real: the transform of the point spread function.
    transfer: Array2<f32>,
    plan: Plan,
}

impl Toeplitz {
    /// Plans the convolution; as [`Nufft::new`].
    ///
    /// * `weights`: of each sample.
    ///
    /// # Errors
    /// Those of [`Nufft::new`] for images of twice the size.
    ///
    /// # Panics
    /// If there are not as many weights as samples.
    ///
    /// # Source
    /// Wajer and Pruessmann 2001; Fessler et al. 2005.
    pub fn new(
        image: [usize; 2],
        trajectory: &[[f32; 2]],
        weights: &[f32],
        options: Options,
    ) -> Result<Self, Error> {
        assert_eq!(weights.len(), trajectory.len(), "weights of the trajectory");
        let [n_y, n_x] = image.map(|n| 2 * n);
        // The same places in cycles of twice the field of view.
        let doubled: Vec<[f32; 2]> = trajectory.iter().map(|k| k.map(|k| 2.0 * k)).collect();
        let nufft = Nufft::new([n_y, n_x], &doubled, options)?;
        let ones: Vec<Complex32> = weights.iter().map(|weight| Complex32::from(*weight)).collect();
        let mut spread = Array3::zeros((1, n_y, n_x));
        if let Ok(ones) = ArrayView2::from_shape((1, ones.len()), &ones) {
            nufft.adjoint(ones, spread.view_mut());
        }
        // Displacements of −N have no counterpart at +N.
        spread.slice_mut(s![0, 0, ..]).fill(Complex32::ZERO);
        spread.slice_mut(s![0, .., 0]).fill(Complex32::ZERO);
        let plan = Plan::new(&[n_y, n_x], &[Axis(0), Axis(1)]);
        let mut spread = spread.index_axis_move(Axis(0), 0);
        plan.forward(spread.view_mut());
        // The adjoint's scale is 1/√(n_y n_x), the point spread function's 4/(n_y n_x); a product
        // of unitary transforms is √(n_y n_x) times too small.
        let transfer = spread.mapv(|value| 4.0 * value.re);
        Ok(Self { image, transfer, plan })
    }

    /// Applies it to images, in place.
    ///
    /// * `images`: `[channel, y, x]`.
    ///
    /// # Panics
    /// If the size of the images is not the plan's.
    pub fn apply(&self, mut images: ArrayViewMut3<'_, Complex32>) {
        let [n_y, n_x] = self.image;
        assert_eq!(images.dim().1, n_y, "rows of the images and of the plan");
        assert_eq!(images.dim().2, n_x, "columns of the images and of the plan");
        let images: Vec<_> = images.outer_iter_mut().collect();
        images.into_par_iter().for_each_init(
            || Array2::zeros((2 * n_y, 2 * n_x)),
            |padded, mut image| {
                let [y, x] = [n_y - n_y / 2, n_x - n_x / 2];
                let window = s![y..y + n_y, x..x + n_x];
                padded.fill(Complex32::ZERO);
                padded.slice_mut(window).assign(&image);
                self.plan.forward(padded.view_mut());
                Zip::from(&mut *padded).and(&self.transfer).for_each(|value, transfer| {
                    *value *= *transfer;
                });
                self.plan.inverse(padded.view_mut());
                image.assign(&padded.slice(window));
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complex, trajectory};
    use super::*;

    #[test]
    fn it_is_the_forward_transform_the_weights_and_the_adjoint() {
        for image in [[32, 24], [21, 30]] {
            let trajectory = trajectory(900, image);
            let weights: Vec<f32> = (0..900).map(|n| 0.1 + (n % 7) as f32).collect();
            let options = Options::accurate();
            let nufft = Nufft::new(image, &trajectory, options).expect("a plan");
            let toeplitz = Toeplitz::new(image, &trajectory, &weights, options).expect("a plan");
            let mut images = Array3::from_shape_simple_fn((2, image[0], image[1]), complex(3));
            let mut samples = Array2::zeros((2, 900));
            nufft.forward(images.view(), samples.view_mut());
            let mut truth = Array3::zeros(images.dim());
            nufft.weighted_adjoint(samples.view(), Some(&weights), truth.view_mut());
            toeplitz.apply(images.view_mut());
            let norm = |a: &Array3<Complex32>| a.iter().map(|v| v.norm_sqr()).sum::<f32>().sqrt();
            let error = norm(&(&images - &truth)) / norm(&truth);
            // Three transforms with errors below 1e-5 each.
            assert!(error < 3e-5, "{image:?}: {error:e}");
        }
    }
}
