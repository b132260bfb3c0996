//! Noisy copies of k-space.

use ismrmrd::KSpaceBuffer;
use num_complex::Complex32;
use pipeline::{Gadget, KSpace, Remedy, Scan, Sink};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// Most copies that a chain may ask for.
const MAX_REPETITIONS: usize = 100_000;

/// Sends k-space and copies of it with added noise.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Copies with noise.
    #[schemars(range(min = 0, max = 100_000))]
    pub repetitions: usize,
    /// Standard deviation of the noise in the real and in the imaginary part: 1 is that of
    /// whitened data.
    pub noise_sd: f32,
    /// Whether the calibration lines get noise as well: the calibration of each copy is another
    /// one then.
    pub noise_in_reference: bool,
    /// Seed of the noise.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { repetitions: 10, noise_sd: 1.0, noise_in_reference: false, seed: 1 }
    }
}

/// Sends whitened k-space once as it is and then `repetitions` times with white noise on the lines
/// that were read.
pub struct PseudoReplica {
    config: Config,
    /// K-spaces so far: each has noise of its own.
    n_k_spaces: u64,
}

impl Gadget for PseudoReplica {
    const NAME: &str = "pseudo_replica";
    const ALIASES: &'static [&'static str] = &["PseudoReplicatorGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace;
    type Output = KSpace;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        if config.repetitions > MAX_REPETITIONS {
            return Err(Error::Repetitions(config.repetitions));
        }
        if !(config.noise_sd.is_finite() && config.noise_sd >= 0.0) {
            return Err(Error::NoiseSd(config.noise_sd));
        }
        Ok(Self { config, n_k_spaces: 0 })
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        out.push(k_space.clone());
        if k_space.data.data.is_empty() {
            // Calibration lines only.
            return Ok(());
        }
        let k_space_number = self.n_k_spaces;
        self.n_k_spaces += 1;
        for repetition in 0..self.config.repetitions as u64 {
            let mut copy = k_space.clone();
            copy.waveforms.clear();
            self.add_noise(&mut copy.data, [k_space_number, repetition, 0]);
            if let Some(reference) = copy.reference.as_mut()
                && self.config.noise_in_reference
            {
                self.add_noise(reference, [k_space_number, repetition, 1]);
            }
            out.push(copy);
        }
        Ok(())
    }
}

impl PseudoReplica {
    /// Adds noise to the sampled part of the lines that were read.
    fn add_noise(&self, buffer: &mut KSpaceBuffer, stream: [u64; 3]) {
        let &[slice, s, n, n_channels, e2, e1, n_samples] = buffer.data.shape() else { return };
        if buffer.headers.shape() != [slice, s, n, e2, e1] {
            return;
        }
        let limit = buffer.sampling.limits[0];
        let (first, last) = (usize::from(limit.min), usize::from(limit.max));
        let sampled = if first < last && last < n_samples { first..last + 1 } else { 0..n_samples };
        let was_read: Vec<bool> = buffer.headers.iter().map(|line| line.version != 0).collect();
        if !buffer.data.is_standard_layout() {
            buffer.data = buffer.data.as_standard_layout().into_owned();
        }
        let (lines_per_channel, sd) = (e2 * e1, self.config.noise_sd);
        let Some(samples) = buffer.data.as_slice_mut() else { return };
        let channel_len = lines_per_channel * n_samples;
        if channel_len == 0 {
            return;
        }
        // Random numbers belong to a channel of an image, whichever thread draws them.
        samples.par_chunks_exact_mut(channel_len).enumerate().for_each(|(index, samples)| {
            let image = index / n_channels;
            let was_read = &was_read[image * lines_per_channel..][..lines_per_channel];
            let mut random = random_numbers(self.config.seed, stream, index as u64);
            for (line, was_read) in samples.chunks_exact_mut(n_samples).zip(was_read) {
                if *was_read {
                    for sample in &mut line[sampled.clone()] {
                        let re: f32 = StandardNormal.sample(&mut random);
                        let im: f32 = StandardNormal.sample(&mut random);
                        *sample += Complex32::new(re, im) * sd;
                    }
                }
            }
        });
    }
}

/// Random numbers of one channel of one copy.
fn random_numbers(seed: u64, stream: [u64; 3], channel: u64) -> Pcg64Mcg {
    // Each word is spread over all bits (Steele, Lea and Flood 2014), so that neighbours share
    // nothing.
    let mix = |state: u64, word: u64| {
        let mut z = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let [k_space, repetition, part] = stream;
    let low = [k_space, repetition, part, channel].into_iter().fold(mix(0, seed), mix);
    Pcg64Mcg::new((u128::from(mix(low, 1)) << 64) | u128::from(low))
}

/// A configuration that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// So many would never end.
    #[error("{0} repetitions, at most {MAX_REPETITIONS} are sensible")]
    Repetitions(usize),
    /// Not a standard deviation.
    #[error("noise with a standard deviation of {0}")]
    NoiseSd(f32),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Repetitions(_) => "lower `repetitions`; 100 to 200 are usual",
            Self::NoiseSd(_) => "set `noise_sd` to 1 for whitened data",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled_images::testing::sd;
    use ismrmrd::{AcquisitionHeader, SamplingDescription, SamplingLimit};
    use ndarray::{Array5, ArrayD, Axis, IxDyn};
    use pipeline::{Message, run_gadget};

    /// Every second of 32 lines was read, from sample 8 on.
    fn k_space() -> KSpace {
        let shape = [1, 1, 1, 2, 1, 32, 64];
        let mut headers = Array5::from_elem((1, 1, 1, 1, 32), AcquisitionHeader::default());
        for mut line in headers.axis_chunks_iter_mut(Axis(4), 1).skip(1).step_by(2) {
            line.fill(AcquisitionHeader { version: 0, ..AcquisitionHeader::default() });
        }
        let limit = SamplingLimit { min: 8, center: 32, max: 63 };
        let data = KSpaceBuffer {
            data: ArrayD::zeros(IxDyn(&shape)),
            trajectory: None,
            density: None,
            headers,
            sampling: SamplingDescription {
                limits: [limit, SamplingLimit::default(), SamplingLimit::default()],
                ..SamplingDescription::default()
            },
        };
        let reference = Some(data.clone());
        KSpace { encoding_space: 0, s: None, n: None, data, reference, waveforms: Vec::new() }
    }

    fn replicate(config: Config, inputs: Vec<KSpace>) -> Vec<KSpace> {
        let (outputs, _) = run_gadget::<PseudoReplica>(config, &Scan::default(), inputs)
            .unwrap_or_else(|error| panic!("{error}"));
        outputs
            .into_iter()
            .map(|message| match message {
                Message::KSpace(k_space) => k_space,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect()
    }

    #[test]
    fn the_first_is_as_it_was_and_copies_have_unit_noise_where_samples_were_read() {
        let outputs = replicate(Config::default(), vec![k_space()]);
        assert_eq!(outputs.len(), 11);
        assert_eq!(outputs[0].data, k_space().data);
        for copy in &outputs[1..] {
            let is_sampled = |place: &IxDyn| place[5].is_multiple_of(2) && place[6] >= 8;
            let (sampled, others): (Vec<_>, Vec<_>) =
                copy.data.data.indexed_iter().partition(|(place, _)| is_sampled(place));
            // 3584 numbers: a standard deviation of the estimate of 1.2 %.
            let sd = sd(sampled.into_iter().map(|(_, value)| value));
            assert!((sd - 1.0).abs() < 0.05, "{sd}");
            assert!(others.into_iter().all(|(_, value)| *value == Complex32::ZERO));
            assert_eq!(copy.reference, k_space().reference);
        }
    }

    #[test]
    fn noise_is_another_in_every_copy_and_the_same_in_every_run_and_on_every_thread() {
        let config = Config { repetitions: 2, noise_in_reference: true, ..Config::default() };
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| replicate(config.clone(), vec![k_space(), k_space()]))
        };
        let (once, again) = (on(1), on(8));
        let mut seen = Vec::new();
        for (one, other) in once.iter().zip(&again) {
            assert_eq!(one.data, other.data);
            assert_eq!(one.reference, other.reference);
            let reference = one.reference.as_ref().expect("it has one");
            for buffer in [&one.data, reference] {
                seen.push(buffer.data[[0, 0, 0, 0, 0, 0, 20]]);
            }
        }
        seen.retain(|value| *value != Complex32::ZERO);
        let n_noisy = seen.len();
        seen.sort_by(|a, b| a.re.total_cmp(&b.re));
        seen.dedup();
        assert_eq!((n_noisy, seen.len()), (8, 8), "two k-spaces, two copies, two buffers");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for config in [
            Config { repetitions: 1_000_000, ..Config::default() },
            Config { noise_sd: -1.0, ..Config::default() },
            Config { noise_sd: f32::NAN, ..Config::default() },
        ] {
            assert!(PseudoReplica::new(config, &Scan::default()).is_err());
        }
    }
}
