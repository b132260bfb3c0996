//! Whitening of the channels' noise.

use ismrmrd::{AcquisitionFlags, MAX_CHANNELS};
use numerics::whitening::{NoiseAccumulator, WhiteningMatrix, decouple_channels};
use pipeline::{Acquisition, Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Relative receiver noise bandwidth where the header has none.
const DEFAULT_BANDWIDTH_RATIO: f64 = 0.793;

/// Whitens the noise of the channels.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether to whiten at all. Noise readouts are taken out in any case.
    pub perform_noise_adjust: bool,
    /// Whether readouts whose number of channels is not that of the noise scan pass unchanged (one
    /// warning). Otherwise they are refused (one error).
    pub pass_nonconformant_data: bool,
    /// Names of coil elements as in the header's `coilLabel`, separated by commas, that are scaled
    /// to unit noise but not mixed with the others.
    pub scale_only_channels_by_name: String,
    /// Without effect, as in Gadgetron.
    pub noise_dependency_prefix: String,
    /// Without effect, as in Gadgetron.
    pub noise_dependency_folder: String,
    /// Without effect, as in Gadgetron.
    pub noise_dwell_time_us_preset: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            perform_noise_adjust: true,
            pass_nonconformant_data: true,
            scale_only_channels_by_name: String::new(),
            noise_dependency_prefix: "GadgetronNoiseCovarianceMatrix".to_owned(),
            noise_dependency_folder: String::new(),
            noise_dwell_time_us_preset: 0.0,
        }
    }
}

/// Learns the noise of the channels from the noise readouts, takes these out, and leaves the
/// channels of all others with independent noise of standard deviation 1 in the real and in the
/// imaginary part.
pub struct AdjustNoise {
    config: Config,
    bandwidth_ratio: f64,
    scale_only: Vec<usize>,
    /// Names that no coil of the header has, until they have been told.
    unknown_names: Vec<String>,
    state: State,
    told: Told,
    n_refused: u64,
}

enum State {
    Gathering(Option<Noise>),
    Whitening(WhiteningMatrix),
    /// The noise scan cannot be used, or is not wanted.
    Off,
}

struct Noise {
    accumulator: NoiseAccumulator,
    sample_time_us: f32,
}

/// What was told already.
#[derive(Default)]
struct Told {
    no_noise: bool,
    other_channels: bool,
    other_noise: bool,
}

impl Gadget for AdjustNoise {
    const NAME: &str = "adjust_noise";
    const ALIASES: &'static [&'static str] = &["NoiseAdjustGadget"];
    type Config = Config;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let system =
            scan.header.as_ref().and_then(|header| header.acquisition_system_information.as_ref());
        let bandwidth_ratio = system
            .and_then(|system| system.relative_receiver_noise_bandwidth)
            .map_or(DEFAULT_BANDWIDTH_RATIO, f64::from);
        let labels = system.map_or(&[][..], |system| &system.coil_label);
        let mut scale_only = Vec::new();
        let mut unknown_names = Vec::new();
        for name in config.scale_only_channels_by_name.split(',').map(str::trim) {
            match labels.iter().position(|label| label.coil_name == name) {
                Some(channel) => scale_only.push(channel),
                None if name.is_empty() => {}
                None => unknown_names.push(name.to_owned()),
            }
        }
        let state = if config.perform_noise_adjust { State::Gathering(None) } else { State::Off };
        Ok(Self {
            config,
            bandwidth_ratio,
            scale_only,
            unknown_names,
            state,
            told: Told::default(),
            n_refused: 0,
        })
    }

    fn process(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        if readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT) {
            self.gather(&readout, out);
            return Ok(());
        }
        if let State::Gathering(noise) = &mut self.state {
            match noise.take() {
                Some(noise) => {
                    self.state = self.learn(&noise, readout.header.sample_time_us, out);
                }
                None if !self.told.no_noise => {
                    self.told.no_noise = true;
                    out.warn(
                        "no noise scan came before the data; they pass without whitening",
                        "send noise readouts first, or take `adjust_noise` out of the chain",
                    );
                }
                None => {}
            }
        }
        if let State::Whitening(whitening) = &self.state {
            let expected = whitening.n_channels();
            let found = readout.n_channels();
            if found == expected {
                whitening.apply(readout.data.view_mut());
            } else if self.config.pass_nonconformant_data {
                if !self.told.other_channels {
                    self.told.other_channels = true;
                    out.warn(
                        format!(
                            "readouts of {found} channels pass without whitening: the noise scan \
                             has {expected}"
                        ),
                        "acquire the noise with the coils of the scan",
                    );
                }
            } else {
                self.n_refused += 1;
                return match self.n_refused {
                    1 => Err(Error::Channels { found, expected }),
                    _ => Ok(()),
                };
            }
        }
        out.push(readout);
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        if self.n_refused > 1 {
            out.warn(
                format!(
                    "{} readouts were refused: their channels are not those of the noise scan",
                    self.n_refused
                ),
                "acquire the noise with the coils of the scan",
            );
        }
        Ok(())
    }
}

impl AdjustNoise {
    fn gather(&mut self, readout: &Acquisition, out: &mut Sink<Self>) {
        let State::Gathering(noise) = &mut self.state else {
            return;
        };
        if readout.n_channels() > MAX_CHANNELS {
            out.warn(
                format!(
                    "a noise readout of {} channels is ignored, {MAX_CHANNELS} are the limit",
                    readout.n_channels()
                ),
                "check the readouts' headers",
            );
            return;
        }
        let noise = noise.get_or_insert_with(|| Noise {
            accumulator: NoiseAccumulator::new(readout.n_channels()),
            sample_time_us: 0.0,
        });
        if readout.n_channels() == noise.accumulator.n_channels() {
            if noise.sample_time_us == 0.0 {
                noise.sample_time_us = readout.header.sample_time_us;
            }
            noise.accumulator.add(readout.data.view());
        } else if !self.told.other_noise {
            self.told.other_noise = true;
            let (found, expected) = (readout.n_channels(), noise.accumulator.n_channels());
            out.warn(
                format!(
                    "a noise readout of {found} channels among others of {expected} is ignored"
                ),
                "acquire all noise with the same coils",
            );
        }
    }

    /// The whitening matrix for data of this sample time.
    fn learn(&mut self, noise: &Noise, sample_time_us: f32, out: &mut Sink<Self>) -> State {
        for name in self.unknown_names.drain(..) {
            out.warn(
                format!("no coil of the header is called \"{name}\""),
                "correct `scale_only_channels_by_name`",
            );
        }
        let whitening = match noise.accumulator.covariance() {
            None => Err("the noise scan has fewer than two samples".to_owned()),
            Some(covariance) => {
                let covariance = decouple_channels(covariance, &self.scale_only);
                let dwell_ratio = f64::from(sample_time_us) / f64::from(noise.sample_time_us);
                let scale = if sample_time_us > 0.0 && noise.sample_time_us > 0.0 {
                    (2.0 * dwell_ratio * self.bandwidth_ratio).sqrt()
                } else {
                    1.0
                };
                WhiteningMatrix::with_scale(covariance.view(), scale)
                    .map_err(|error| error.to_string())
            }
        };
        match whitening {
            Ok(whitening) => State::Whitening(whitening),
            Err(reason) => {
                out.warn(
                    format!("the data pass without whitening: {reason}"),
                    "check the coils and repeat the noise scan",
                );
                State::Off
            }
        }
    }
}

/// Why a readout is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Other channels than the noise scan.
    #[error(
        "a readout of {found} channels cannot be whitened with a noise scan of {expected}; this \
         and all like it are left out"
    )]
    Channels {
        /// Channels of the readout.
        found: usize,
        /// Channels of the noise scan.
        expected: usize,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "acquire the noise with the coils of the scan, or set `pass_nonconformant_data`"
    }
}

#[cfg(test)]
mod tests;
