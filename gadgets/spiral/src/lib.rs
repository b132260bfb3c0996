//! Gadgets for spirals, spokes and any other samples of k-space.

pub mod add_trajectory;
mod frame;
pub mod reconstruct_non_cartesian;
mod spiral_design;

pub use add_trajectory::AddTrajectory;
pub use frame::FrameError;
pub use reconstruct_non_cartesian::ReconstructNonCartesian;
