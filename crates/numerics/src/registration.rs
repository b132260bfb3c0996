//! Registration of the images of a series whose contrast changes from image to image.
//!
//! Each image is registered to its synthetic twin: what it should look like in the pose of a
//! reference image, told by the other images. Displacement fields are `[2, y, x]` as (dy, dx) in
//! px: where in the image to look for what the reference shows. A pair of images of two contrasts
//! has no twins: [`register_pair`].

mod extent;
mod field;
mod flow;
mod inverse;
mod pair;
mod rigid;
mod series;
mod signs;
mod spline_warp;
mod support;
#[cfg(test)]
mod tests;
mod twin;

pub use extent::extent_px;
pub use inverse::inverse_fields;
pub use pair::{PairMotion, register_pair};
pub use rigid::{PredictMoved, RigidMotion, RigidOptions, register_rigid, rigid_fields};
pub use series::{
    LEAST_OF_LOW_RANK, Predict, SeriesMotion, SeriesOptions, TwinModel, refine_series,
    register_predicted, register_series,
};
pub use signs::signed_images;
pub use spline_warp::{BSplineImage, least_jacobian};
