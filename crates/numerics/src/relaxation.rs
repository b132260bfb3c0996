//! T1, T2 and T2* of every pixel of a series of images, by variable projection.
//!
//! All models are S(t) = constant + exponential · e^(−t/T), with one or both of the factors free.
//! For a given T the factors are a linear problem with one answer, so that only T is searched
//! for: first on a table of exponentials that all pixels share, then by a few Newton steps.
//!
//! A [`Plan`] is built once for the times of a series. [`Plan::fit`] gives values with their
//! standard deviations and how good the fit is, [`Plan::twins`] the images that the model would
//! have given, which motion correction registers to. A [`T1T2Plan`] finds T1 and T2 together, of
//! images after saturations and T2 preparations.

mod conditional;
mod extracellular_volume;
mod fit;
mod model;
mod noise_floor;
mod plan;
mod polarity;
mod polynomial;
mod recovery_and_decay;
mod refine;
mod search;
#[cfg(test)]
mod tests;
mod truncation;
mod uncertainty;

pub use conditional::{Conditional, ConditionalRule};
pub use extracellular_volume::{
    EcvInputs, SyntheticHaematocrit, ValueWithSd, extracellular_volume, iron_mg_per_g,
};
pub use fit::RelaxationFit;
pub use model::{Model, SearchRange};
pub use noise_floor::NoiseFloor;
pub use plan::{FitOptions, Noise, Plan, PlanError, Polarity};
pub use polarity::restore_polarity;
pub use recovery_and_decay::{PreparedImage, PreparedPlanError, T1T2Fit, T1T2Plan};
pub use truncation::Truncation;
pub use uncertainty::cramer_rao_sd_ms;
