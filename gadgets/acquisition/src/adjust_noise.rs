//! Whitening of the channels' noise.

mod stored;

use ismrmrd::{AcquisitionFlags, MAX_CHANNELS};
use ndarray::Array2;
use num_complex::Complex64;
use numerics::whitening::{NoiseAccumulator, WhiteningMatrix, decouple_channels};
use pipeline::noise::{KeepError, NoiseCovariance};
use pipeline::{Acquisition, Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use stored::{Found, Stored};

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

/// Learns the noise of the channels from the noise readouts or takes that of an earlier
/// measurement, takes noise readouts out, and leaves the channels of all others with independent
/// noise of standard deviation 1 in the real and in the imaginary part.
pub struct AdjustNoise {
    config: Config,
    bandwidth_ratio: f64,
    scale_only: Vec<usize>,
    /// Names that no coil of the header has, until they have been told.
    unknown_names: Vec<String>,
    stored: Stored,
    state: State,
    /// Why the noise that the header names is not used, until it has been told.
    unusable: Option<String>,
    told: Told,
    n_refused: u64,
}

enum State {
    Gathering(Option<Noise>),
    /// Noise of another measurement, and which.
    Found(NoiseCovariance, String),
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
        let labels: Vec<String> = labels.iter().map(|label| label.coil_name.clone()).collect();
        let stored = Stored::new(scan, labels);
        let (state, unusable) = if !config.perform_noise_adjust {
            (State::Off, None)
        } else {
            match stored.find(scan) {
                Found::Nothing => (State::Gathering(None), None),
                Found::Noise { noise, source } => (State::Found(noise, source), None),
                Found::Unusable(why) => (State::Gathering(None), Some(why)),
            }
        };
        Ok(Self {
            config,
            bandwidth_ratio,
            scale_only,
            unknown_names,
            stored,
            state,
            unusable,
            told: Told::default(),
            n_refused: 0,
        })
    }

    fn process(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        if readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT) {
            self.gather(&readout, out);
            return Ok(());
        }
        if !matches!(self.state, State::Whitening(_) | State::Off) {
            self.begin(readout.header.sample_time_us, out);
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
        if let State::Gathering(Some(noise)) = &self.state
            && let Some(noise) = noise.finished(self.bandwidth_ratio)
        {
            self.keep_noise_scan(noise, out);
        }
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

    /// At the first readout that is not noise: makes the whitening matrix of what noise there is.
    fn begin(&mut self, sample_time_us: f32, out: &mut Sink<Self>) {
        let (noise, source) = match std::mem::replace(&mut self.state, State::Off) {
            State::Gathering(Some(noise)) => {
                let Some(noise) = noise.finished(self.bandwidth_ratio) else {
                    self.state = refuse("the noise scan has fewer than two samples", out);
                    return;
                };
                match self.stored.keep(noise.clone()) {
                    Ok(_) => {}
                    Err(KeepError::NoMeasurementId) => out.inform(
                        "the noise of this scan is not kept for later ones: its header has no \
                         measurementID",
                    ),
                    Err(error) => out.warn(
                        format!("the noise of this scan is not kept for later ones: {error}"),
                        error.remedy(),
                    ),
                }
                (noise, "its own noise readouts".to_owned())
            }
            State::Found(noise, source) => (noise, source),
            State::Gathering(None) => {
                if !std::mem::replace(&mut self.told.no_noise, true) {
                    match self.unusable.take() {
                        Some(why) => out.warn(
                            format!(
                                "{why}, and the scan has none of its own; the data pass without \
                                 whitening"
                            ),
                            "repeat the noise measurement with this server and the chain \
                             `default_measurement_dependencies.xml`, then this scan",
                        ),
                        // Many scans have none, and nothing is wrong with them.
                        None => out.inform(
                            "no noise scan came before the data; they pass without whitening, so \
                             images are not in units of the noise",
                        ),
                    }
                }
                // Noise may still come.
                self.state = State::Gathering(None);
                return;
            }
            other => {
                self.state = other;
                return;
            }
        };
        if let Some(why) = self.unusable.take() {
            out.inform(format!("{why}; the scan is whitened with {source}"));
        }
        self.state = self.learn(&noise, sample_time_us, out);
    }

    /// The scan had noise readouts and nothing else: it is there for later ones.
    fn keep_noise_scan(&self, noise: NoiseCovariance, out: &mut Sink<Self>) {
        let (n_channels, n_samples) = (noise.n_channels(), noise.n_samples);
        match self.stored.keep(noise) {
            Ok(Some(id)) => out.inform(format!(
                "the noise of {n_channels} channels, {n_samples} samples, is kept as {id}"
            )),
            Ok(None) => out.warn(
                "this scan has noise readouts only, and no noise is kept here",
                "run it on a server, or name a file with --noise-covariance-out",
            ),
            Err(error) => {
                out.warn(format!("the noise of this scan is not kept: {error}"), error.remedy());
            }
        }
    }

    /// The whitening matrix for data of this sample time.
    fn learn(
        &mut self,
        noise: &NoiseCovariance,
        sample_time_us: f32,
        out: &mut Sink<Self>,
    ) -> State {
        for name in self.unknown_names.drain(..) {
            out.warn(
                format!("no coil of the header is called \"{name}\""),
                "correct `scale_only_channels_by_name`",
            );
        }
        let covariance = decouple_channels(noise.covariance.clone(), &self.scale_only);
        let dwell_ratio = f64::from(sample_time_us) / f64::from(noise.sample_time_us);
        let scale = if sample_time_us > 0.0 && noise.sample_time_us > 0.0 {
            (2.0 * dwell_ratio * self.bandwidth_ratio).sqrt()
        } else {
            1.0
        };
        match WhiteningMatrix::with_scale(covariance.view(), scale) {
            Ok(whitening) => State::Whitening(whitening),
            Err(error) => refuse(error.to_string(), out),
        }
    }
}

fn refuse(reason: impl std::fmt::Display, out: &mut Sink<AdjustNoise>) -> State {
    out.warn(
        format!("the data pass without whitening: {reason}"),
        "check the coils and repeat the noise scan",
    );
    State::Off
}

impl Noise {
    /// What was learned, [`None`] of fewer than two samples.
    fn finished(&self, bandwidth_ratio: f64) -> Option<NoiseCovariance> {
        let covariance: Array2<Complex64> = self.accumulator.covariance()?;
        Some(NoiseCovariance {
            covariance,
            labels: Vec::new(),
            n_samples: self.accumulator.n_samples() as u64,
            sample_time_us: self.sample_time_us,
            bandwidth_ratio: bandwidth_ratio as f32,
        })
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
