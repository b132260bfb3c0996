//! Gadgets that run networks by their manifests: what a model takes and gives is data.

mod apply_model;
mod companions;
mod contour;
mod geometry;
mod prepare;
mod results;
mod tiles;

pub use apply_model::{ApplyModel, Config, Error, Images};
