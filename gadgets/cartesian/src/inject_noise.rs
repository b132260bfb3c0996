//! Noise for experiments.

use ismrmrd::AcquisitionFlags;
use ismrmrd::xml::CalibrationMode;
use num_complex::Complex32;
use pipeline::{Acquisition, Gadget, Remedy, Scan, Sink};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64Mcg;
use schemars::JsonSchema;
use serde::Deserialize;

/// Adds white noise to readouts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Mean of what is added to the real and to the imaginary part.
    pub noise_mean: f32,
    /// Its standard deviation: 1 doubles the noise's power in whitened data.
    #[serde(alias = "noise_std")]
    pub noise_sd: f32,
    /// Whether separate and external calibration readouts get noise as well.
    #[serde(alias = "add_noise_ref")]
    pub noise_in_reference: bool,
    /// Seed of the noise.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { noise_mean: 0.0, noise_sd: 0.0, noise_in_reference: false, seed: 1 }
    }
}

/// Adds white noise to all readouts but those of noise and surface-coil scans.
pub struct InjectNoise {
    config: Config,
    has_own_calibration: bool,
    n_readouts: u64,
}

impl Gadget for InjectNoise {
    const NAME: &str = "inject_noise";
    const ALIASES: &'static [&'static str] = &["WhiteNoiseInjectorGadget"];
    type Config = Config;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let Config { noise_mean, noise_sd, .. } = config;
        if !(noise_mean.is_finite() && noise_sd.is_finite() && noise_sd >= 0.0) {
            return Err(Error { noise_mean, noise_sd });
        }
        let parallel =
            scan.encoding(0).ok().and_then(|encoding| encoding.parallel_imaging.as_ref());
        let mode = parallel.and_then(|parallel| parallel.calibration_mode);
        let has_own_calibration =
            matches!(mode, Some(CalibrationMode::Separate | CalibrationMode::External));
        Ok(Self { config, has_own_calibration, n_readouts: 0 })
    }

    fn process(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        let number = self.n_readouts;
        self.n_readouts += 1;
        if self.is_meant(&readout) {
            // Each readout has its own numbers, whatever came before.
            let state = (u128::from(self.config.seed) << 64) | u128::from(number);
            let mut random = Pcg64Mcg::new(state.wrapping_mul(MULTIPLIER));
            let Config { noise_mean, noise_sd, .. } = self.config;
            for sample in &mut readout.data {
                let re: f32 = StandardNormal.sample(&mut random);
                let im: f32 = StandardNormal.sample(&mut random);
                *sample += Complex32::new(noise_mean + noise_sd * re, noise_mean + noise_sd * im);
            }
        }
        out.push(readout);
        Ok(())
    }
}

/// Spreads seed and number over all bits of the generator's state (a multiplier of L'Ecuyer 1999).
const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

impl InjectNoise {
    fn is_meant(&self, readout: &Acquisition) -> bool {
        let header = &readout.header;
        let no_image = AcquisitionFlags::IS_NOISE_MEASUREMENT
            .union(AcquisitionFlags::IS_SURFACECOILCORRECTIONSCAN_DATA);
        let is_calibration_only = header.has_any(AcquisitionFlags::IS_PARALLEL_CALIBRATION)
            && !header.has_any(AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING);
        !header.has_any(no_image)
            && (self.config.noise_in_reference
                || !(is_calibration_only && self.has_own_calibration))
    }
}

/// Noise that is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("noise with a mean of {noise_mean} and a standard deviation of {noise_sd}")]
pub struct Error {
    noise_mean: f32,
    noise_sd: f32,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "set `noise_sd` to 0 or more"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::AcquisitionHeader;
    use ismrmrd::xml::{Encoding, ParallelImaging};
    use ndarray::Array2;
    use pipeline::{Message, run_gadget};

    fn readout(flags: AcquisitionFlags) -> Acquisition {
        let header = AcquisitionHeader { flags, ..AcquisitionHeader::default() };
        Acquisition::new(header, Array2::zeros((4, 512)))
    }

    fn inject(config: Config, scan: &Scan, inputs: Vec<Acquisition>) -> Vec<Acquisition> {
        let (outputs, _) = run_gadget::<InjectNoise>(config, scan, inputs)
            .unwrap_or_else(|error| panic!("{error}"));
        outputs
            .into_iter()
            .map(|message| match message {
                Message::Acquisition(readout) => readout,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect()
    }

    #[test]
    fn noise_has_the_mean_and_deviation_that_are_asked_for_and_is_new_in_every_readout() {
        let config = Config { noise_mean: 2.0, noise_sd: 0.5, ..Config::default() };
        let plain = AcquisitionFlags::default();
        let outputs =
            inject(config.clone(), &Scan::default(), vec![readout(plain), readout(plain)]);
        let parts: Vec<f64> =
            outputs[0].data.iter().flat_map(|s| [s.re, s.im]).map(f64::from).collect();
        let n = parts.len() as f64;
        let mean = parts.iter().sum::<f64>() / n;
        let sd = (parts.iter().map(|part| (part - mean).powi(2)).sum::<f64>() / n).sqrt();
        // 4096 numbers: 0.008 and 0.006 are the standard errors.
        assert!((mean - 2.0).abs() < 0.04 && (sd - 0.5).abs() < 0.03, "{mean}, {sd}");
        assert_ne!(outputs[0].data, outputs[1].data);
        let again = inject(config, &Scan::default(), vec![readout(plain)]);
        assert_eq!(outputs[0].data, again[0].data);
    }

    #[test]
    fn noise_scans_and_separate_calibration_are_left_alone() {
        let mut header = ismrmrd::Header::default();
        header.encoding.push(Encoding {
            parallel_imaging: Some(ParallelImaging {
                calibration_mode: Some(CalibrationMode::Separate),
                ..ParallelImaging::default()
            }),
            ..Encoding::default()
        });
        let scan = Scan::with_header(header);
        let flags = [
            (AcquisitionFlags::IS_NOISE_MEASUREMENT, false),
            (AcquisitionFlags::IS_SURFACECOILCORRECTIONSCAN_DATA, false),
            (AcquisitionFlags::IS_PARALLEL_CALIBRATION, false),
            (AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING, true),
            (AcquisitionFlags::default(), true),
        ];
        let config = Config { noise_sd: 1.0, ..Config::default() };
        let inputs = flags.iter().map(|(flags, _)| readout(*flags)).collect();
        let outputs = inject(config.clone(), &scan, inputs);
        for (output, (flags, is_noisy)) in outputs.iter().zip(flags) {
            let is_zero = output.data.iter().all(|sample| *sample == Complex32::ZERO);
            assert_eq!(!is_zero, is_noisy, "{flags:?}");
        }
        let config = Config { noise_in_reference: true, ..config };
        let calibration = readout(AcquisitionFlags::IS_PARALLEL_CALIBRATION);
        let output = inject(config, &scan, vec![calibration.clone()]).remove(0);
        assert_ne!(output.data, calibration.data);
        let nothing = inject(Config::default(), &scan, vec![calibration.clone()]).remove(0);
        assert_eq!(nothing.data, calibration.data);
        let bad = Config { noise_sd: f32::NAN, ..Config::default() };
        assert!(InjectNoise::new(bad, &Scan::default()).is_err());
    }
}
