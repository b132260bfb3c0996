//! Rotation of the channels to principal components.

use std::collections::BTreeMap;

use ismrmrd::AcquisitionFlags;
use ndarray::{Array2, Axis, s};
use num_complex::Complex32;
use numerics::coil_compression::{Compression, CompressionError, Keep, covariance};
use pipeline::{Acquisition, Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Readouts that a slice's components are learned from at most.
const MAX_LEARNED: usize = 100;
/// Readouts that are held back in all.
const MAX_HELD: usize = 4096;
/// Samples around the echo that are looked at.
const N_AROUND_ECHO: usize = 16;
/// Of fewer readouts all samples are looked at.
const MIN_READOUTS: usize = 16;

/// Readouts that the components are not learned from.
const NOT_LEARNED: AcquisitionFlags = AcquisitionFlags::IS_DUMMYSCAN_DATA
    .union(AcquisitionFlags::IS_NAVIGATION_DATA)
    .union(AcquisitionFlags::IS_HPFEEDBACK_DATA)
    .union(AcquisitionFlags::IS_RTFEEDBACK_DATA);

/// Rotates the channels to principal components.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names of coil elements as in the header's `coilLabel`, separated by commas, that are not
    /// mixed with the others. They come first, in the order of the header.
    pub uncombined_channels_by_name: String,
    /// Without effect: in Gadgetron the gadget itself sets it.
    pub present_uncombined_channels: i64,
}

/// Rotates the channels of each slice to principal components, strongest first: what
/// `select_channels` then leaves out is what carries least.
pub struct CompressChannels {
    /// Channels that are not mixed, in ascending order.
    uncombined: Vec<usize>,
    /// Names that no coil of the header has, until they have been told.
    unknown_names: Vec<String>,
    slices: BTreeMap<u16, Slice>,
    n_held: usize,
    told_channels: bool,
}

enum Slice {
    /// Readouts are held back until there are enough to learn from.
    Learning(Vec<Acquisition>),
    Known(Components),
}

/// What the channels of a slice become.
struct Components {
    uncombined: Vec<usize>,
    others: Vec<usize>,
    compression: Compression,
}

impl Gadget for CompressChannels {
    const NAME: &str = "compress_channels";
    const ALIASES: &'static [&'static str] = &["PCACoilGadget"];
    type Config = Config;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let system =
            scan.header.as_ref().and_then(|header| header.acquisition_system_information.as_ref());
        let labels = system.map_or(&[][..], |system| &system.coil_label);
        let (mut uncombined, mut unknown_names) = (Vec::new(), Vec::new());
        for name in config.uncombined_channels_by_name.split(',').map(str::trim) {
            match labels.iter().position(|label| label.coil_name == name) {
                Some(channel) => uncombined.push(channel),
                None if name.is_empty() => {}
                None => unknown_names.push(name.to_owned()),
            }
        }
        uncombined.sort_unstable();
        uncombined.dedup();
        let slices = BTreeMap::new();
        Ok(Self { uncombined, unknown_names, slices, n_held: 0, told_channels: false })
    }

    fn process(&mut self, readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        for name in self.unknown_names.drain(..) {
            out.warn(
                format!("no coil of the header is called \"{name}\""),
                "correct `uncombined_channels_by_name`",
            );
        }
        if readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT) {
            out.push(readout);
            return Ok(());
        }
        let number = readout.header.idx.slice;
        let is_last = readout.header.has_any(AcquisitionFlags::LAST_IN_SLICE);
        match self.slices.entry(number).or_insert_with(|| Slice::Learning(Vec::new())) {
            Slice::Known(components) => {
                pass(components, readout, &mut self.told_channels, out);
                Ok(())
            }
            Slice::Learning(held) => {
                held.push(readout);
                self.n_held += 1;
                if is_last || held.len() >= MAX_LEARNED || self.n_held >= MAX_HELD {
                    return self.learn(number, out);
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        let numbers: Vec<u16> = self.slices.keys().copied().collect();
        // Every slice gives what it holds back, whatever is wrong with another.
        let results: Vec<_> = numbers.into_iter().map(|number| self.learn(number, out)).collect();
        results.into_iter().collect()
    }
}

impl CompressChannels {
    /// Learns a slice's components and lets go what was held back for it.
    fn learn(&mut self, number: u16, out: &mut Sink<Self>) -> Result<(), Error> {
        let Some(Slice::Learning(held)) = self.slices.get_mut(&number) else { return Ok(()) };
        let held = std::mem::take(held);
        self.n_held -= held.len();
        if held.is_empty() {
            return Ok(());
        }
        let components = Components::learn(&held, &self.uncombined)?;
        for readout in held {
            pass(&components, readout, &mut self.told_channels, out);
        }
        self.slices.insert(number, Slice::Known(components));
        Ok(())
    }
}

/// Sends a readout on, with its components in place of its channels.
fn pass(
    components: &Components,
    mut readout: Acquisition,
    told: &mut bool,
    out: &mut Sink<CompressChannels>,
) {
    let (found, expected) = (readout.n_channels(), components.n_channels());
    if found == expected {
        readout.data = components.apply(&readout.data);
    } else if !std::mem::replace(told, true) {
        out.warn(
            format!(
                "readouts of {found} channels pass as they are: the first ones of their slice \
                 have {expected}"
            ),
            "acquire a slice with the same coils throughout",
        );
    }
    out.push(readout);
}

impl Components {
    /// From the samples around the echoes, with the mean of each channel taken off.
    fn learn(held: &[Acquisition], uncombined: &[usize]) -> Result<Self, Error> {
        let n_channels = held[0].n_channels();
        let is_learned = |readout: &&Acquisition| {
            readout.n_channels() == n_channels && !readout.header.has_any(NOT_LEARNED)
        };
        let mut learned: Vec<&Acquisition> = held.iter().filter(is_learned).collect();
        if learned.is_empty() {
            learned = held.iter().filter(|readout| readout.n_channels() == n_channels).collect();
        }
        let takes_all = learned.len() < MIN_READOUTS;
        let ranges: Vec<_> = learned
            .iter()
            .map(|readout| {
                let n_samples = readout.n_samples();
                if takes_all || n_samples <= N_AROUND_ECHO {
                    return 0..n_samples;
                }
                let center_sample = usize::from(readout.header.center_sample);
                let first = center_sample.saturating_sub(N_AROUND_ECHO / 2);
                let first = first.min(n_samples - N_AROUND_ECHO);
                first..first + N_AROUND_ECHO
            })
            .collect();
        let uncombined: Vec<usize> =
            uncombined.iter().copied().filter(|&channel| channel < n_channels).collect();
        let others: Vec<usize> =
            (0..n_channels).filter(|channel| !uncombined.contains(channel)).collect();
        let n_samples = ranges.iter().map(ExactSizeIterator::len).sum();
        let mut samples = Array2::<Complex32>::zeros((others.len(), n_samples));
        let mut place = 0;
        for (readout, range) in learned.into_iter().zip(ranges) {
            let width = range.len();
            for (mut row, &channel) in samples.rows_mut().into_iter().zip(&others) {
                let source = readout.data.slice(s![channel, range.clone()]);
                row.slice_mut(s![place..place + width]).assign(&source);
            }
            place += width;
        }
        for mut row in samples.rows_mut() {
            if let Some(mean) = row.mean() {
                row.mapv_inplace(|sample| sample - mean);
            }
        }
        let covariance = covariance(samples.view(), Axis(0));
        let compression = Compression::from_covariance(covariance.view(), Keep::All)?;
        Ok(Self { uncombined, others, compression })
    }

    fn n_channels(&self) -> usize {
        self.uncombined.len() + self.others.len()
    }

    /// `[channel, sample]` as it was and as it becomes.
    fn apply(&self, data: &Array2<Complex32>) -> Array2<Complex32> {
        if self.uncombined.is_empty() {
            return self.compression.apply(data.view(), Axis(0));
        }
        let n_uncombined = self.uncombined.len();
        let mut result = Array2::zeros(data.raw_dim());
        let alone = data.select(Axis(0), &self.uncombined);
        result.slice_mut(s![..n_uncombined, ..]).assign(&alone);
        let mixed = self.compression.apply(data.select(Axis(0), &self.others).view(), Axis(0));
        result.slice_mut(s![n_uncombined.., ..]).assign(&mixed);
        result
    }
}

/// A slice whose components cannot be learned. The readouts that were held back are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the principal components of a slice's channels cannot be found: {0}")]
pub struct Error(#[from] CompressionError);

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "check the receive channels, or take `compress_channels` out of the chain"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::xml::{AcquisitionSystemInformation, CoilLabel};
    use ismrmrd::{AcquisitionHeader, Header};
    use pipeline::{Message, run_gadget};

    const N_CHANNELS: usize = 4;
    const N_SAMPLES: usize = 32;

    /// Two signals on four channels.
    fn readout(line: usize, slice: u16, flags: AcquisitionFlags) -> Acquisition {
        let mut header = AcquisitionHeader {
            flags,
            center_sample: (N_SAMPLES / 2) as u16,
            ..AcquisitionHeader::default()
        };
        header.idx.slice = slice;
        let data = Array2::from_shape_fn((N_CHANNELS, N_SAMPLES), |(channel, sample)| {
            let time = (line * N_SAMPLES + sample) as f32;
            let strong = Complex32::from_polar(10.0, 0.9 * time);
            let weak = Complex32::from_polar(1.0, -2.3 * time * time);
            strong * Complex32::from_polar(1.0, channel as f32) + weak * (channel as f32 - 1.0)
        });
        Acquisition::new(header, data)
    }

    fn run(
        config: Config,
        scan: &Scan,
        inputs: Vec<Acquisition>,
    ) -> (Vec<Acquisition>, Vec<String>) {
        let (outputs, told) = run_gadget::<CompressChannels>(config, scan, inputs).expect("runs");
        let readouts = outputs
            .into_iter()
            .map(|message| match message {
                Message::Acquisition(readout) => readout,
                other => panic!("{other:?} came out"),
            })
            .collect();
        (readouts, told)
    }

    fn power(readouts: &[Acquisition], channel: usize) -> f32 {
        readouts.iter().flat_map(|r| r.data.row(channel).to_vec()).map(|v| v.norm_sqr()).sum()
    }

    #[test]
    fn two_signals_become_two_channels_and_no_power_is_lost() {
        let inputs: Vec<_> =
            (0..120).map(|line| readout(line, 0, AcquisitionFlags::NONE)).collect();
        let (outputs, told) = run(Config::default(), &Scan::default(), inputs.clone());
        assert!(told.is_empty());
        assert_eq!(outputs.len(), 120);
        let powers: Vec<f32> = (0..N_CHANNELS).map(|channel| power(&outputs, channel)).collect();
        let before: f32 = (0..N_CHANNELS).map(|channel| power(&inputs, channel)).sum();
        assert!((powers.iter().sum::<f32>() / before - 1.0).abs() < 1e-5);
        assert!(powers[0] > 10.0 * powers[1], "{powers:?}");
        // The components are learned from a part: rounding and that are left.
        assert!(powers[2] + powers[3] < 1e-6 * before, "{powers:?}");
    }

    #[test]
    fn readouts_are_held_until_the_slice_is_known_and_come_in_their_order() {
        let scan = Scan::default();
        let mut gadget = CompressChannels::new(Config::default(), &scan).expect("made");
        let mut counts = Vec::new();
        for line in 0..5 {
            let flags =
                if line == 2 { AcquisitionFlags::LAST_IN_SLICE } else { AcquisitionFlags::NONE };
            let mut n_out = 0;
            let mut forward = |_| n_out += 1;
            let mut report = |_, what, _| panic!("{what}");
            let mut sink = Sink::new(&mut forward, &mut report);
            gadget.process(readout(line, 0, flags), &mut sink).expect("runs");
            counts.push(n_out);
        }
        assert_eq!(counts, [0, 0, 3, 1, 1]);
    }

    #[test]
    fn each_slice_has_components_of_its_own_and_the_end_lets_all_go() {
        let inputs = (0..6).map(|line| readout(line, (line % 2) as u16, AcquisitionFlags::NONE));
        let (outputs, _) = run(Config::default(), &Scan::default(), inputs.collect());
        let slices: Vec<u16> = outputs.iter().map(|readout| readout.header.idx.slice).collect();
        assert_eq!(slices, [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn uncombined_channels_come_first_and_unmixed() {
        let coil_label = ["A", "B", "C", "D"]
            .map(|name| CoilLabel { coil_number: 0, coil_name: name.to_owned() })
            .to_vec();
        let system =
            AcquisitionSystemInformation { coil_label, ..AcquisitionSystemInformation::default() };
        let scan = Scan::with_header(Header {
            acquisition_system_information: Some(system),
            ..Header::default()
        });
        let config = Config { uncombined_channels_by_name: "C, X".to_owned(), ..Config::default() };
        let inputs: Vec<_> = (0..20).map(|line| readout(line, 0, AcquisitionFlags::NONE)).collect();
        let (outputs, told) = run(config, &scan, inputs.clone());
        assert_eq!(told, ["no coil of the header is called \"X\""]);
        assert_eq!(outputs[3].data.row(0), inputs[3].data.row(2));
        assert!(power(&outputs, 1) > power(&outputs, 2));
        let [before, after] = [&inputs, &outputs]
            .map(|all| (0..N_CHANNELS).map(|channel| power(all, channel)).sum::<f32>());
        assert!((after / before - 1.0).abs() < 1e-5);
    }

    #[test]
    fn noise_passes_by_and_other_channel_numbers_pass_with_one_warning() {
        let noise = readout(0, 0, AcquisitionFlags::IS_NOISE_MEASUREMENT);
        let mut odd = readout(1, 0, AcquisitionFlags::NONE);
        odd.data = odd.data.slice(s![..2, ..]).to_owned();
        let inputs = vec![
            noise.clone(),
            readout(2, 0, AcquisitionFlags::LAST_IN_SLICE),
            odd.clone(),
            odd.clone(),
        ];
        let (outputs, told) = run(Config::default(), &Scan::default(), inputs);
        assert_eq!(outputs[0], noise);
        assert_eq!((&outputs[2], &outputs[3]), (&odd, &odd));
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn samples_that_are_not_finite_and_readouts_without_channels_are_errors() {
        let mut bad = readout(0, 0, AcquisitionFlags::LAST_IN_SLICE);
        bad.data[[1, 3]] = Complex32::new(f32::NAN, 0.0);
        let run = |readout| {
            run_gadget::<CompressChannels>(Config::default(), &Scan::default(), [readout])
        };
        assert_eq!(run(bad).map(|_| ()), Err(Error(CompressionError::NotFinite)));
        let empty = Acquisition::new(
            AcquisitionHeader { flags: AcquisitionFlags::LAST_IN_SLICE, ..Default::default() },
            Array2::zeros((0, 4)),
        );
        assert_eq!(run(empty).map(|_| ()), Err(Error(CompressionError::NoChannel)));
    }
}
