//! Motion from image to image of a series.

use ndarray::{Array2, Array4, ArrayView3, ArrayView4, Axis};
use num_complex::Complex32;
use numerics::joint::PrincipalModes;
use numerics::registration::{
    BSplineImage, SeriesOptions, extent_px, inverse_fields, register_series, signed_images,
};

use super::frames::courses_of_neighbourhoods;
use super::method::Noise;

/// Less is none, px.
const LEAST_PX: f32 = 0.5;

/// The motion of a slice's images, and the images without it.
pub(super) struct Motion {
    /// What is seen at a pixel of an image lies at that pixel plus this in the pose of the
    /// reference: `[frame, 2, y, x]`, px.
    pub(super) fields: Array4<f32>,
    /// Longest displacement where there is signal.
    pub(super) longest_px: f32,
    /// In one pose, `[frame, pixel]`.
    resting: Array2<Complex32>,
}

impl Motion {
    /// * `planes`: `[frame, y, x]`.
    ///
    /// [`None`] where nothing moves.
    pub(super) fn of(planes: ArrayView3<'_, Complex32>) -> Option<Self> {
        let (n_frames, n_y, n_x) = planes.dim();
        // The brightest image tells most.
        let energy = |frame: usize| -> f64 {
            planes.index_axis(Axis(0), frame).iter().map(|value| f64::from(value.norm_sqr())).sum()
        };
        let reference = (0..n_frames).max_by(|&a, &b| energy(a).total_cmp(&energy(b)))?;
        let signed = signed_images(planes, reference);
        let times_ms = vec![0.0; n_frames];
        let options = SeriesOptions::to(reference);
        let motion = register_series(signed.view(), &times_ms, &options);
        let magnitude = planes.index_axis(Axis(0), reference).mapv(|value| value.norm());
        let [longest_px, _] = extent_px(&motion.fields, &magnitude);
        if longest_px < LEAST_PX {
            return None;
        }
        let mut resting = Array2::zeros((n_frames, n_y * n_x));
        let frames = planes.outer_iter().zip(motion.fields.outer_iter());
        for (mut resting, (image, field)) in resting.outer_iter_mut().zip(frames) {
            let warped = BSplineImage::new(image).warped(field);
            resting.iter_mut().zip(&warped).for_each(|(target, value)| *target = *value);
        }
        let fields: ArrayView4<'_, f32> = motion.fields.view();
        Some(Self { fields: inverse_fields(fields), longest_px, resting })
    }

    /// The courses of the images in one pose.
    pub(super) fn modes(&self, noise: &Noise, n_modes: usize) -> PrincipalModes {
        courses_of_neighbourhoods(self.resting.view(), noise, n_modes)
    }
}
