//! A copy of the client's data as an ISMRMRD file, while the chain goes on.

use std::convert::Infallible;

use pipeline::{Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::SaveData;
use crate::save_data::{Config as SaveConfig, Error as SaveError, Saved};

/// Saves what the client sends and passes it on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether waveforms are passed on.
    pub pass_waveform_downstream: bool,
    /// Gadgetron's folder. Files go to the server's folder for data whatever it says: a client must
    /// not choose where a server writes.
    pub folder: String,
    /// Gadgetron's beginning of the file's name: no effect.
    pub file_prefix: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pass_waveform_downstream: true,
            folder: String::new(),
            file_prefix: "ISMRMRD_DUMP".to_owned(),
        }
    }
}

/// Writes readouts, waveforms and images to a new ISMRMRD HDF5 file in the server's folder for
/// data, and passes them on. Where that fails the scan goes on without a copy.
pub struct SaveCopy {
    config: Config,
    copy: Result<SaveData, SaveError>,
    is_told: bool,
}

impl Gadget for SaveCopy {
    const NAME: &str = "save_copy";
    const ALIASES: &'static [&'static str] = &["IsmrmrdDumpGadget"];
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = Saved;
    type Output = Saved;
    type Error = Infallible;

    fn new(config: Config, scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self { config, copy: SaveData::new(SaveConfig {}, scan), is_told: false })
    }

    fn process(&mut self, message: Saved, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let saved = match &mut self.copy {
            Ok(copy) => {
                copy.save(&message).map_err(|error| (error.to_string(), error.remedy().to_owned()))
            }
            Err(error) => Err((error.to_string(), error.remedy().to_owned())),
        };
        if let Err((what, remedy)) = saved
            && !std::mem::replace(&mut self.is_told, true)
        {
            out.warn(format!("no copy of the data is saved: {what}"), remedy);
        }
        if self.config.pass_waveform_downstream || !matches!(message, Saved::Waveform(_)) {
            out.push(message);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Infallible> {
        if let Ok(copy) = &mut self.copy {
            match copy.close() {
                Ok(Some(what)) => out.inform(what),
                Ok(None) => {}
                Err(error) => out.warn(error.to_string(), error.remedy()),
            }
        }
        Ok(())
    }
}
