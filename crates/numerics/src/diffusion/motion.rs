//! Motion of the heart between diffusion-weighted images.

use ndarray::{Array2, Array4, ArrayView3};

use super::encoding::{BMatrix, TensorPlan};
use crate::registration::{
    RigidMotion, RigidOptions, SeriesOptions, register_predicted, register_rigid, rigid_fields,
};

/// How motion is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionOptions {
    /// Centre of the heart, y and x, px.
    pub center_px: [f32; 2],
    /// Radius of what moves with it, px.
    pub radius_px: f32,
    /// No displacement becomes longer, px.
    pub max_displacement_px: f32,
    /// No rotation becomes larger.
    pub max_angle_rad: f32,
    /// Whether rigid motion is refined by a deformation.
    pub is_deformable: bool,
}

/// The motion of a series.
#[derive(Clone, Debug)]
pub struct DiffusionMotion {
    /// Where in each image to look for what the mean pose of the weighted ones shows:
    /// `[image, 2, y, x]` as (dy, dx), px.
    pub fields: Array4<f32>,
    /// The rigid part.
    pub rigid: Vec<RigidMotion>,
    /// Weightings of the images after the rotation of their contents has been undone.
    pub encodings: Vec<BMatrix>,
}

/// Registers diffusion-weighted images to each other without a template.
///
/// * `images`: magnitudes `[image, y, x]`.
///
/// # Method
/// Twins are told by the tensor that the other images have in the pose of the moment, in rounds:
/// first rigid motion of the heart inside a smooth window (the chest stays), then a deformation by
/// `numerics::registration`. Before that weighted images go to their mean, and those without
/// weighting, which look different, to it by mutual information. As Wang et al. 2024 in that images are registered to what a tensor
/// predicts; without a network. Where the heart turned, so did its tensor: the b-matrix turns back.
///
/// # Panics
/// If there is not one image for each weighting.
pub fn register_diffusion(
    images: ArrayView3<'_, f32>,
    plan: &TensorPlan,
    options: &MotionOptions,
) -> DiffusionMotion {
    let (n_images, n_y, n_x) = images.dim();
    assert_eq!(n_images, plan.n_images(), "an image for each weighting");
    let b_values: Vec<f64> = plan.encodings().iter().map(BMatrix::b_value_s_per_mm2).collect();
    let largest = b_values.iter().copied().fold(0.0, f64::max);
    let is_alike: Vec<bool> = b_values.iter().map(|b| *b > 0.5 * largest).collect();
    let [center_y, center_x] = options.center_px;
    // Flat over the heart, a cosine's edge around it.
    let window = Array2::from_shape_fn((n_y, n_x), |(y, x)| {
        let share = (y as f32 - center_y).hypot(x as f32 - center_x) / options.radius_px;
        match share {
            share if share <= 0.8 => 1.0,
            share if share < 1.0 => 0.5 + 0.5 * (std::f32::consts::PI * (share - 0.8) / 0.2).cos(),
            _ => 0.0,
        }
    });
    let turned = |motions: &[RigidMotion]| -> Vec<BMatrix> {
        let pairs = plan.encodings().iter().zip(motions);
        pairs.map(|(b, motion)| b.rotated(-f64::from(motion.angle_rad))).collect()
    };
    // Twins by the weightings in the pose of the moment: in a heart that has been turned back the
    // pattern of bright and dark walls is that of gradients turned back, too. Without that the
    // pattern, which stays with the gradients, would hold the heart fast.
    let turned_plan = |motions: &[RigidMotion]| {
        TensorPlan::new(&turned(motions)).unwrap_or_else(|_| plan.clone())
    };
    let rigid = register_rigid(
        images,
        window.view(),
        &is_alike,
        &RigidOptions {
            center_px: options.center_px,
            max_shift_px: options.max_displacement_px,
            max_angle_rad: options.max_angle_rad,
        },
        &|images, motions| turned_plan(motions).predict(images),
    );
    // The image that has moved least from the mean pose: its own pose is kept.
    let moved = |motion: &RigidMotion| {
        motion.dy_px.hypot(motion.dx_px) + options.radius_px * motion.angle_rad.abs()
    };
    let reference = (0..n_images)
        .filter(|image| is_alike[*image])
        .min_by(|a, b| moved(&rigid[*a]).total_cmp(&moved(&rigid[*b])))
        .unwrap_or(0);
    let start = rigid_fields(&rigid, options.center_px, [n_y, n_x]);
    let fields = if options.is_deformable {
        let series = SeriesOptions {
            max_displacement_px: options.max_displacement_px,
            ..SeriesOptions::to(reference)
        };
        let plan = turned_plan(&rigid);
        register_predicted(images, &series, start.view(), &|images| plan.predict(images)).fields
    } else {
        start
    };
    let encodings = turned(&rigid);
    DiffusionMotion { fields, rigid, encodings }
}
