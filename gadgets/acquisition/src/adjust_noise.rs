//! Whitening of the channels' noise.

use ismrmrd::AcquisitionFlags;
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
    /// Whether readouts whose channels are not those of the noise scan pass unchanged. Otherwise
    /// they are refused.
    pub pass_nonconformant_data: bool,
    /// Names of coil elements, separated by commas, that are scaled to unit noise but not mixed
    /// with the others.
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
mod tests {
    use super::*;
    use ismrmrd::xml::{AcquisitionSystemInformation, CoilLabel};
    use ismrmrd::{AcquisitionHeader, Header};
    use ndarray::{Array2, array};
    use num_complex::Complex32;
    use pipeline::{Message, run_gadget};

    const SAMPLES: usize = 4096;

    /// Two independent normal numbers per sample from the sum of uniform ones: close enough to
    /// normal for second moments, which are all that counts here.
    fn white(seed: u64, n_channels: usize) -> Array2<Complex32> {
        let mut state = seed;
        let mut uniform = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let mut normal = move || (0..12).map(|_| uniform()).sum::<f32>();
        Array2::from_shape_simple_fn((n_channels, SAMPLES), || Complex32::new(normal(), normal()))
    }

    /// Channels with noise of standard deviation 2 and 3 that share some of it.
    fn correlated(seed: u64) -> Array2<Complex32> {
        let mixing = array![
            [Complex32::new(2.0, 0.0), Complex32::new(0.0, 0.0)],
            [Complex32::new(1.0, 1.5), Complex32::new(3.0, 0.0)],
        ];
        mixing.dot(&white(seed, 2))
    }

    fn noise(data: Array2<Complex32>, sample_time_us: f32) -> Acquisition {
        let header = AcquisitionHeader {
            flags: AcquisitionFlags::IS_NOISE_MEASUREMENT,
            sample_time_us,
            ..AcquisitionHeader::default()
        };
        Acquisition::new(header, data)
    }

    fn imaging(data: Array2<Complex32>, sample_time_us: f32) -> Acquisition {
        Acquisition::new(AcquisitionHeader { sample_time_us, ..Default::default() }, data)
    }

    fn run(
        config: Config,
        scan: &Scan,
        inputs: Vec<Acquisition>,
    ) -> Result<(Vec<Acquisition>, Vec<String>), Error> {
        let (outputs, warnings) = run_gadget::<AdjustNoise>(config, scan, inputs)?;
        let readouts = outputs
            .into_iter()
            .map(|message| match message {
                Message::Acquisition(readout) => readout,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect();
        Ok((readouts, warnings))
    }

    fn scan(bandwidth_ratio: f32, names: &[&str]) -> Scan {
        let coil_label = names
            .iter()
            .map(|name| CoilLabel { coil_number: 0, coil_name: (*name).to_owned() })
            .collect();
        let system = AcquisitionSystemInformation {
            relative_receiver_noise_bandwidth: Some(bandwidth_ratio),
            coil_label,
            ..AcquisitionSystemInformation::default()
        };
        Scan::with_header(Header {
            acquisition_system_information: Some(system),
            ..Header::default()
        })
    }

    /// Σ xᵢ·conj(xⱼ) / N.
    fn moment(data: &Array2<Complex32>, i: usize, j: usize) -> Complex32 {
        let products = data.row(i).iter().zip(data.row(j)).map(|(a, b)| a * b.conj()).sum();
        let sum: Complex32 = products;
        sum / data.ncols() as f32
    }

    #[test]
    fn the_noise_scan_itself_comes_out_independent_with_deviation_one_per_component() {
        let readout = correlated(1);
        let inputs = vec![noise(readout.clone(), 5.0), imaging(readout, 5.0)];
        let (outputs, warnings) = run(Config::default(), &scan(1.0, &[]), inputs).expect("runs");
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(outputs.len(), 1, "noise is taken out");
        // E|x|² is 2: 1 in the real and 1 in the imaginary part. The same samples give the
        // covariance, so only N/(N-1) and rounding are left.
        for channel in 0..2 {
            assert!((moment(&outputs[0].data, channel, channel).re - 2.0).abs() < 2e-3);
        }
        assert!(moment(&outputs[0].data, 0, 1).norm() < 2e-3);
    }

    #[test]
    fn shorter_samples_and_a_narrower_receiver_scale_as_they_should() {
        let readout = correlated(2);
        let inputs =
            |imaging_us| vec![noise(readout.clone(), 5.0), imaging(readout.clone(), imaging_us)];
        let power = |scan: &Scan, imaging_us| {
            let (outputs, _) = run(Config::default(), scan, inputs(imaging_us)).expect("runs");
            moment(&outputs[0].data, 0, 0).re
        };
        let reference = power(&scan(1.0, &[]), 5.0);
        assert!((power(&scan(1.0, &[]), 10.0) / reference - 2.0).abs() < 1e-4);
        assert!((power(&scan(0.5, &[]), 5.0) / reference - 0.5).abs() < 1e-4);
        assert!((power(&Scan::default(), 5.0) / reference - 0.793).abs() < 1e-4);
        assert!((power(&scan(1.0, &[]), 0.0) / reference - 0.5).abs() < 1e-4, "factor 1");
    }

    #[test]
    fn named_channels_are_only_scaled() {
        let readout = correlated(3);
        let config =
            Config { scale_only_channels_by_name: "Body, Nobody".to_owned(), ..Config::default() };
        let inputs = vec![noise(readout.clone(), 5.0), imaging(readout.clone(), 5.0)];
        let (outputs, warnings) = run(config, &scan(1.0, &["Head", "Body"]), inputs).expect("runs");
        assert_eq!(warnings, ["no coil of the header is called \"Nobody\""]);
        let ratio = outputs[0].data[[1, 7]] / readout[[1, 7]];
        assert!(ratio.im.abs() < 1e-5, "no other channel is mixed in");
        assert!((moment(&outputs[0].data, 1, 1).re - 2.0).abs() < 2e-3);
    }

    #[test]
    fn without_noise_readouts_the_data_pass_unchanged_with_one_warning() {
        let inputs = vec![imaging(correlated(4), 5.0), imaging(correlated(5), 5.0)];
        let (outputs, warnings) =
            run(Config::default(), &Scan::default(), inputs.clone()).expect("runs");
        assert_eq!(outputs, inputs);
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn other_channels_pass_or_are_refused() {
        let other = imaging(white(7, 3), 5.0);
        let inputs = vec![noise(correlated(6), 5.0), other.clone(), other.clone(), other.clone()];
        let (outputs, warnings) =
            run(Config::default(), &Scan::default(), inputs.clone()).expect("runs");
        assert_eq!(outputs[0], other);
        assert_eq!((outputs.len(), warnings.len()), (3, 1));

        let config = Config { pass_nonconformant_data: false, ..Config::default() };
        let error = run(config, &Scan::default(), inputs).expect_err("the channels differ");
        assert_eq!(error, Error::Channels { found: 3, expected: 2 });
    }

    #[test]
    fn a_dead_channel_is_told_and_the_data_pass() {
        let mut dead = correlated(8);
        dead.row_mut(1).fill(Complex32::ZERO);
        let data = imaging(correlated(9), 5.0);
        let inputs = vec![noise(dead, 5.0), data.clone(), data.clone()];
        let (outputs, warnings) = run(Config::default(), &Scan::default(), inputs).expect("runs");
        assert_eq!(outputs, [data.clone(), data]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("channel 1"), "{warnings:?}");
    }

    #[test]
    fn switched_off_it_only_takes_the_noise_out() {
        let config = Config { perform_noise_adjust: false, ..Config::default() };
        let data = imaging(correlated(11), 5.0);
        let inputs = vec![noise(correlated(10), 5.0), data.clone()];
        let (outputs, warnings) = run(config, &Scan::default(), inputs).expect("runs");
        assert_eq!(outputs, [data]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn noise_of_changing_or_no_channels_does_not_panic() {
        let inputs = vec![
            noise(Array2::zeros((0, 0)), 5.0),
            noise(white(1, 3), 5.0),
            imaging(white(2, 3), 5.0),
        ];
        run(Config::default(), &Scan::default(), inputs).expect("it runs");
    }
}
