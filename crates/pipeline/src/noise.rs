//! Noise of the channels that a scan leaves for later ones.

mod covariance;
mod memory;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use covariance::{CovarianceError, NoiseCovariance};
pub use memory::{NoiseLimits, NoiseMemory};

use crate::Remedy;

/// Longest measurement id that noise is kept under, bytes.
pub const MAX_MEASUREMENT_ID_BYTES: usize = 256;

/// Where the noise of earlier scans is found and that of this one is kept. Several scans share
/// one store; it answers at once, whatever lies behind it.
pub trait NoiseStore: fmt::Debug + Send + Sync {
    /// Noise that goes before all that headers name, e.g. that of a file; [`None`] where nobody
    /// gave any.
    fn given(&self) -> Option<Arc<NoiseCovariance>> {
        None
    }

    /// Noise of the measurement with this id, [`None`] where it was not kept, or not so long.
    fn find(&self, measurement_id: &str) -> Option<Arc<NoiseCovariance>>;

    /// Keeps the noise of a measurement, instead of what was kept under its id before.
    ///
    /// # Errors
    /// [`KeepError`]: the scan goes on without.
    fn keep(
        &self,
        measurement_id: Option<&str>,
        noise: Arc<NoiseCovariance>,
    ) -> Result<(), KeepError>;

    /// What is kept, by measurement id in ascending order, with its age.
    fn list(&self) -> Vec<(String, Duration)>;
}

/// Noise that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// There is nothing to find it by.
    #[error("the header has no `measurementID`")]
    NoMeasurementId,
    /// The id is too long.
    #[error("the header's `measurementID` has {0} bytes, {MAX_MEASUREMENT_ID_BYTES} are the limit")]
    LongMeasurementId(usize),
    /// The store is too small for it.
    #[error("the noise of {n_channels} channels is more than the store holds")]
    TooLarge {
        /// Channels.
        n_channels: usize,
    },
    /// A file that cannot be written.
    #[error("{0}")]
    File(String),
}

impl Remedy for KeepError {
    fn remedy(&self) -> &str {
        match self {
            Self::NoMeasurementId | Self::LongMeasurementId(_) => {
                "let the converter write `measurementInformation/measurementID` into the header"
            }
            Self::TooLarge { .. } => "raise the store's size",
            Self::File(_) => "choose a file that can be written",
        }
    }
}
