//! How the body moves: poses of the heart, breathing, the rhythm of the heart.

mod breathing;
mod course;
mod cycle;
mod ecg;
mod physiology;
mod pose;
mod rhythm;

pub use breathing::{
    BreathHold, Breathing, BreathingError, BreathingOptions, BreathingPattern, FreeBreathing,
};
pub use course::Motion;
pub use cycle::{CardiacCycle, CardiacCycleError};
pub use physiology::{physiology_waveforms, waveform_information};
pub use pose::Pose;
pub use rhythm::{Beat, Rhythm, RhythmError, RhythmOptions};
