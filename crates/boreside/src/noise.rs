//! Noise for chains that run in this process: files, and what earlier runs kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use pipeline::noise::{KeepError, NoiseCovariance, NoiseLimits, NoiseMemory, NoiseStore};
use server::NoiseArchive;

use crate::cli::DataFolder;

/// Name of the archive in the data folder.
pub const ARCHIVE: &str = "noise.redb";

#[derive(Args, Clone, Debug, Default)]
pub struct NoiseOptions {
    /// Noise covariance that goes before the scan's own (SFNDAM, as Gadgetron writes it)
    #[arg(long, value_name = "FILE")]
    pub noise_covariance_in: Option<PathBuf>,
    /// File for the scan's own noise covariance; replaced if it is there
    #[arg(long, value_name = "FILE")]
    pub noise_covariance_out: Option<PathBuf>,
}

impl NoiseOptions {
    /// Whether a file is named.
    pub fn is_given(&self) -> bool {
        self.noise_covariance_in.is_some() || self.noise_covariance_out.is_some()
    }

    /// Takes Gadgetron's `noisecovariancein=FILE` and `noisecovarianceout=FILE` out of the
    /// parameters.
    pub fn take_from(&mut self, parameters: &mut Vec<String>) {
        parameters.retain(|parameter| {
            let file = match parameter.split_once('=') {
                Some(("noisecovariancein", path)) => (&mut self.noise_covariance_in, path),
                Some(("noisecovarianceout", path)) => (&mut self.noise_covariance_out, path),
                _ => return true,
            };
            file.0.get_or_insert_with(|| PathBuf::from(file.1));
            false
        });
    }

    /// The store for a run here: that of the data folder where one is named, else one that lasts
    /// as long as the run, and the files before either.
    ///
    /// # Errors
    /// A file that is no noise covariance.
    pub fn store(&self, data: &DataFolder) -> Result<Arc<dyn NoiseStore>> {
        let kept: Arc<dyn NoiseStore> = match &data.data {
            Some(folder) => open(&folder.join(ARCHIVE), NoiseLimits::default()),
            None => Arc::new(NoiseMemory::default()),
        };
        if !self.is_given() {
            return Ok(kept);
        }
        let given = self.noise_covariance_in.as_ref().map(|path| {
            let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
            let noise = NoiseCovariance::read(std::io::BufReader::new(file));
            Ok::<_, anyhow::Error>(Arc::new(noise.with_context(|| path.display().to_string())?))
        });
        let output = self.noise_covariance_out.clone();
        Ok(Arc::new(WithFiles { kept, given: given.transpose()?, output }))
    }
}

/// The archive, or where it cannot be opened a store that lasts as long as the program.
fn open(path: &std::path::Path, limits: NoiseLimits) -> Arc<dyn NoiseStore> {
    match NoiseArchive::open(path, limits) {
        Ok(archive) => Arc::new(archive),
        Err(error) => {
            tracing::warn!("noise is kept as long as this program runs: {error}");
            Arc::new(NoiseMemory::new(limits))
        }
    }
}

/// A store with files before it.
#[derive(Debug)]
struct WithFiles {
    kept: Arc<dyn NoiseStore>,
    given: Option<Arc<NoiseCovariance>>,
    output: Option<PathBuf>,
}

impl NoiseStore for WithFiles {
    fn given(&self) -> Option<Arc<NoiseCovariance>> {
        self.given.clone()
    }

    fn find(&self, measurement_id: &str) -> Option<Arc<NoiseCovariance>> {
        self.kept.find(measurement_id)
    }

    fn keep(
        &self,
        measurement_id: Option<&str>,
        noise: Arc<NoiseCovariance>,
    ) -> Result<(), KeepError> {
        let Some(path) = &self.output else { return self.kept.keep(measurement_id, noise) };
        std::fs::write(path, noise.to_bytes())
            .map_err(|error| KeepError::File(format!("{}: {error}", path.display())))?;
        match self.kept.keep(measurement_id, noise) {
            // The file has it.
            Err(KeepError::NoMeasurementId) => Ok(()),
            kept => kept,
        }
    }

    fn list(&self) -> Vec<(String, Duration)> {
        self.kept.list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gadgetrons_parameters_name_the_files_unless_an_option_does() {
        let mut options =
            NoiseOptions { noise_covariance_out: Some("mine".into()), ..Default::default() };
        let mut parameters: Vec<String> =
            ["noisecovariancein=a=b", "x=1", "noisecovarianceout=theirs"]
                .map(str::to_owned)
                .to_vec();
        options.take_from(&mut parameters);
        assert_eq!(parameters, ["x=1"]);
        assert_eq!(options.noise_covariance_in, Some("a=b".into()));
        assert_eq!(options.noise_covariance_out, Some("mine".into()));
    }
}
