//! Pulse sequences: what they excite when, and which readouts and images that gives.

mod builder;
mod cine;
mod diffusion;
mod epi_train;
mod fingerprinting;
mod gradient_echo;
mod late_enhancement;
mod molli;
mod multi_echo;
mod sasha;
mod single_shot;
mod t2_prepared;
mod timeline;

use crate::scan::{Body, Plan, Setup, SetupError};

pub use cine::{Cine, Gating};
pub use diffusion::{Diffusion, Weighting};
pub use fingerprinting::{Fingerprinting, Preparation};
pub use gradient_echo::{Encoding, GradientEcho};
pub use late_enhancement::LateEnhancement;
pub use molli::{Molli, MolliScheme, SchemeError};
pub use multi_echo::MultiEcho;
pub use sasha::Sasha;
pub use single_shot::SingleShot;
pub use t2_prepared::T2Prepared;

/// A pulse sequence.
pub trait Sequence {
    /// Plays it on a subject.
    ///
    /// * `bodies`: the subject's slices in the reference pose.
    ///
    /// # Errors
    /// [`SetupError`] for times and counts that make no sequence.
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError>;
}

#[cfg(test)]
mod tests;
