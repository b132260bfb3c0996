//! Motion correction of image series, classical and by a network whose proposal is refined.

mod correct_motion;
pub mod motion;

pub use correct_motion::{
    Config as CorrectMotionConfig, CorrectMotion, Error as CorrectMotionError,
};
