//! Noise of another measurement, or of a file.

use std::sync::Arc;

use pipeline::Scan;
use pipeline::noise::{NoiseCovariance, NoiseStore};

/// Kind of dependency that names a noise scan, in any case.
const NOISE: &str = "noise";

/// Longest id in a message.
const MAX_SHOWN: usize = 64;

/// What the scan has to do with noise that is kept.
pub(super) struct Stored {
    store: Option<Arc<dyn NoiseStore>>,
    /// Id that this scan's noise is kept under.
    measurement_id: Option<String>,
    /// Names of this scan's channels.
    labels: Vec<String>,
}

/// What was found.
pub(super) enum Found {
    /// No other noise is named.
    Nothing,
    /// Noise for the channels of this scan, and where it is from.
    Noise { noise: NoiseCovariance, source: String },
    /// Other noise is named but cannot be used, for this reason.
    Unusable(String),
}

impl Stored {
    pub(super) fn new(scan: &Scan, labels: Vec<String>) -> Self {
        let measurement =
            scan.header.as_ref().and_then(|header| header.measurement_information.as_ref());
        let measurement_id = measurement
            .and_then(|measurement| measurement.measurement_id.clone())
            .filter(|id| !id.is_empty());
        Self { store: scan.noise.clone(), measurement_id, labels }
    }

    /// The noise that was given for this scan, or that of the measurement that its header names.
    pub(super) fn find(&self, scan: &Scan) -> Found {
        if let Some(given) = self.store.as_ref().and_then(|store| store.given()) {
            return self.fit(&given, "the noise covariance that was given".to_owned());
        }
        let measurement =
            scan.header.as_ref().and_then(|header| header.measurement_information.as_ref());
        let dependency = measurement.and_then(|measurement| {
            measurement
                .measurement_dependency
                .iter()
                .find(|dependency| dependency.dependency_type.trim().eq_ignore_ascii_case(NOISE))
        });
        let Some(dependency) = dependency else { return Found::Nothing };
        let shown: String = dependency.measurement_id.chars().take(MAX_SHOWN).collect();
        let source = format!("the noise of measurement {shown}");
        match self.store.as_ref().map(|store| store.find(&dependency.measurement_id)) {
            Some(Some(noise)) => self.fit(&noise, source),
            Some(None) => Found::Unusable(format!("{source} is not kept here")),
            None => Found::Unusable(format!("{source} is wanted, and no noise is kept here")),
        }
    }

    fn fit(&self, noise: &NoiseCovariance, source: String) -> Found {
        match noise.for_channels(&self.labels) {
            Some(noise) => Found::Noise { noise, source },
            None => Found::Unusable(format!(
                "{source} is of other coils: the header names some that it does not have"
            )),
        }
    }

    /// Keeps this scan's own noise. Says whether there is a place for it, and its id.
    ///
    /// # Errors
    /// Why it is not kept, and what to do.
    pub(super) fn keep(
        &self,
        mut noise: NoiseCovariance,
    ) -> Result<Option<&str>, pipeline::noise::KeepError> {
        let Some(store) = &self.store else { return Ok(None) };
        if self.labels.len() == noise.n_channels() {
            noise.labels.clone_from(&self.labels);
        }
        store.keep(self.measurement_id.as_deref(), Arc::new(noise))?;
        Ok(Some(self.measurement_id.as_deref().unwrap_or("the file")))
    }
}
