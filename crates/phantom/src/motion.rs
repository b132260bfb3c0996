//! How the body moves: poses of the heart, breathing, the rhythm of the heart.

mod pose;

pub use pose::Pose;
