//! What a scan consists of, gathered while it passes by, and what about it will trip a
//! reconstruction.
//!
//! ```
//! use ismrmrd::{Acquisition, AcquisitionHeader, Survey};
//!
//! let mut survey = Survey::new();
//! let samples = ndarray::Array2::zeros((8, 256));
//! survey.observe_acquisition(&Acquisition::new(AcquisitionHeader::default(), samples));
//!
//! let report = survey.report(None);
//! assert_eq!(report.n_readouts, 1);
//! assert!(report.warnings.iter().any(|warning| warning.kind == "all_zero"));
//! println!("{report}");
//! ```

mod display;
mod lines;
mod report;
mod tally;
mod warnings;

use std::collections::BTreeMap;

pub use report::{
    CounterReport, EncodingReport, ImageReport, MissingLines, NoiseReport, Report, WaveformReport,
};
pub use warnings::Warning;

use lines::LineSet;
use tally::{Range, Tally};

use crate::wire::Message;
use crate::{
    Acquisition, AcquisitionFlags, AcquisitionHeader, EncodingCounters, Header, Image, Waveform,
};

/// Readouts that no image is made of.
const NOT_IMAGING: AcquisitionFlags = AcquisitionFlags::IS_NOISE_MEASUREMENT
    .union(AcquisitionFlags::IS_PARALLEL_CALIBRATION)
    .union(AcquisitionFlags::IS_NAVIGATION_DATA)
    .union(AcquisitionFlags::IS_PHASECORR_DATA)
    .union(AcquisitionFlags::IS_HPFEEDBACK_DATA)
    .union(AcquisitionFlags::IS_DUMMYSCAN_DATA)
    .union(AcquisitionFlags::IS_RTFEEDBACK_DATA)
    .union(AcquisitionFlags::IS_SURFACECOILCORRECTIONSCAN_DATA)
    .union(AcquisitionFlags::IS_PHASE_STABILIZATION_REFERENCE)
    .union(AcquisitionFlags::IS_PHASE_STABILIZATION);

/// Readouts that carry k-space lines.
const LINES: AcquisitionFlags = AcquisitionFlags::IS_PARALLEL_CALIBRATION;

/// Samples of each readout that are looked at.
const N_PROBES: usize = 32;

/// Seconds of a tick of the clock on Siemens scanners, which others imitate.
pub(crate) const TICK_S: f64 = 2.5e-3;

/// Encoding spaces, waveforms and series of images that are told apart; more are counted only.
const MAX_KINDS: usize = 16;

/// Counters of readouts in the order of their names.
pub(crate) const COUNTER_NAMES: [&str; 17] = [
    "kspace_encode_step_1",
    "kspace_encode_step_2",
    "average",
    "slice",
    "contrast",
    "phase",
    "repetition",
    "set",
    "segment",
    "user_0",
    "user_1",
    "user_2",
    "user_3",
    "user_4",
    "user_5",
    "user_6",
    "user_7",
];

/// Gathers what passes by. Cheap enough to watch every readout: it keeps ranges and counts, never
/// samples, and its memory is bounded.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    encodings: BTreeMap<u16, EncodingSeen>,
    noise: Option<Lengths>,
    n_noise: u64,
    n_readouts: u64,
    flags: FlagCounts,
    /// Of readouts that are not for phase correction, which some vendors flag as more than that.
    flags_of_others: FlagCounts,
    time_stamps: Range<u32>,
    waveforms: BTreeMap<u16, WaveformSeen>,
    images: BTreeMap<u16, ImagesSeen>,
    n_not_told_apart: u64,
    has_signal: bool,
    first_not_finite: Option<u32>,
    n_without_directions: u64,
}

/// How often each flag was set.
#[derive(Clone, Debug)]
struct FlagCounts([u64; 64]);

impl Default for FlagCounts {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl FlagCounts {
    fn add(&mut self, flags: AcquisitionFlags) {
        // Mostly one or two are set.
        let mut bits = flags.0;
        while bits != 0 {
            self.0[bits.trailing_zeros() as usize] += 1;
            bits &= bits - 1;
        }
    }

    /// The largest count among `flags`.
    fn of(&self, flags: AcquisitionFlags) -> u64 {
        let set = (0..64).filter(|bit| flags.0 >> bit & 1 == 1);
        set.map(|bit: usize| self.0[bit]).max().unwrap_or(0)
    }
}

/// Lengths of readouts.
#[derive(Clone, Debug, Default)]
struct Lengths {
    samples: Range<u16>,
    channels: Range<u16>,
    sample_time_us: Range<f32>,
}

/// The readouts of one encoding space.
#[derive(Clone, Debug, Default)]
struct EncodingSeen {
    n_imaging: u64,
    n_calibration: u64,
    lengths: Lengths,
    center_sample: Range<u16>,
    /// Samples that are not to be discarded.
    used_samples: Range<u16>,
    trajectory_dimensions: Range<u16>,
    counters: [Range<u16>; 17],
    /// Lines by slice and partition.
    lines: Tally<(u16, u16), LineSet>,
    /// Readouts by slice, contrast, phase, repetition and set.
    per_image: Tally<[u16; 5], u64>,
}

/// The messages of one kind of waveform.
#[derive(Clone, Debug, Default)]
struct WaveformSeen {
    n_messages: u64,
    n_samples: u64,
    channels: Range<u16>,
    sample_time_us: Range<f32>,
}

/// The images of one series.
#[derive(Clone, Debug)]
struct ImagesSeen {
    n_images: u64,
    shape: [usize; 4],
    data_type: crate::DataType,
    image_type: u16,
    varies: bool,
}

impl Survey {
    /// A survey of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of readouts, waveforms and images; other messages do not matter.
    pub fn observe(&mut self, message: &Message) {
        match message {
            Message::Acquisition(acquisition) => self.observe_acquisition(acquisition),
            Message::Waveform(waveform) => self.observe_waveform(waveform),
            Message::Image(image) => self.observe_image(image),
            _ => {}
        }
    }

    /// Takes note of a readout: of its header, and of a few of its samples to find scans without
    /// signal and samples that are no numbers.
    pub fn observe_acquisition(&mut self, acquisition: &Acquisition) {
        self.observe_header(&acquisition.header);
        let Some(samples) = acquisition.data.as_slice() else { return };
        let step = (samples.len() / N_PROBES).max(1);
        // A sum is no number where one of its terms is none.
        let sum: f32 =
            samples.iter().step_by(step).map(|sample| sample.re.abs() + sample.im.abs()).sum();
        self.has_signal |= sum != 0.0;
        if !sum.is_finite() && self.first_not_finite.is_none() {
            self.first_not_finite = Some(acquisition.header.scan_counter);
        }
    }

    /// Takes note of the header of a readout.
    pub fn observe_header(&mut self, header: &AcquisitionHeader) {
        self.n_readouts += 1;
        self.flags.add(header.flags);
        if !header.has_any(AcquisitionFlags::IS_PHASECORR_DATA) {
            self.flags_of_others.add(header.flags);
        }
        self.time_stamps.add(header.acquisition_time_stamp);
        if header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT) {
            self.n_noise += 1;
            self.noise.get_or_insert_default().add(header);
            return;
        }
        if header.has_any(NOT_IMAGING.without(LINES)) {
            return;
        }
        let encoding = header.encoding_space_ref;
        if self.encodings.len() >= MAX_KINDS && !self.encodings.contains_key(&encoding) {
            self.n_not_told_apart += 1;
            return;
        }
        if { header.read_dir } == [0.0; 3] || { header.phase_dir } == [0.0; 3] {
            self.n_without_directions += 1;
        }
        self.encodings.entry(encoding).or_default().add(header);
    }

    /// Takes note of a waveform.
    pub fn observe_waveform(&mut self, waveform: &Waveform) {
        let header = waveform.header;
        if self.waveforms.len() >= MAX_KINDS && !self.waveforms.contains_key(&header.waveform_id) {
            self.n_not_told_apart += 1;
            return;
        }
        let seen = self.waveforms.entry(header.waveform_id).or_default();
        seen.n_messages += 1;
        seen.n_samples += u64::from(header.number_of_samples);
        seen.channels.add(header.channels);
        seen.sample_time_us.add(header.sample_time_us);
    }

    /// Takes note of an image.
    pub fn observe_image(&mut self, image: &Image) {
        let series = image.header.image_series_index;
        if self.images.len() >= MAX_KINDS && !self.images.contains_key(&series) {
            self.n_not_told_apart += 1;
            return;
        }
        let (shape, data_type) = (image.pixels.shape(), image.pixels.data_type());
        let seen = self.images.entry(series).or_insert(ImagesSeen {
            n_images: 0,
            shape,
            data_type,
            image_type: image.header.image_type,
            varies: false,
        });
        seen.n_images += 1;
        seen.varies |= seen.shape != shape || seen.data_type != data_type;
    }

    /// What was seen, compared with the header.
    pub fn report(&self, header: Option<&Header>) -> Report {
        Report::new(self, header)
    }
}

impl Lengths {
    fn add(&mut self, header: &AcquisitionHeader) {
        self.samples.add(header.number_of_samples);
        self.channels.add(header.active_channels);
        self.sample_time_us.add(header.sample_time_us);
    }
}

impl EncodingSeen {
    fn add(&mut self, header: &AcquisitionHeader) {
        let idx = header.idx;
        let both = AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING;
        let is_calibration = header.has_any(AcquisitionFlags::IS_PARALLEL_CALIBRATION);
        if is_calibration || header.has_any(both) {
            self.n_calibration += 1;
        }
        self.lengths.add(header);
        let cut = header.discard_pre.saturating_add(header.discard_post);
        self.used_samples.add(header.number_of_samples.saturating_sub(cut));
        self.trajectory_dimensions.add(header.trajectory_dimensions);
        if !header.has_any(AcquisitionFlags::IS_REVERSE) {
            self.center_sample.add(header.center_sample);
        }
        if is_calibration {
            return;
        }
        self.n_imaging += 1;
        for (range, counter) in self.counters.iter_mut().zip(counters(&idx)) {
            range.add(counter);
        }
        if let Some(lines) = self.lines.get((idx.slice, idx.kspace_encode_step_2)) {
            lines.insert(idx.kspace_encode_step_1);
        }
        let image = [idx.slice, idx.contrast, idx.phase, idx.repetition, idx.set];
        if let Some(count) = self.per_image.get(image) {
            *count += 1;
        }
    }
}

/// The counters in the order of [`COUNTER_NAMES`].
fn counters(idx: &EncodingCounters) -> [u16; 17] {
    let [u0, u1, u2, u3, u4, u5, u6, u7] = idx.user;
    [
        idx.kspace_encode_step_1,
        idx.kspace_encode_step_2,
        idx.average,
        idx.slice,
        idx.contrast,
        idx.phase,
        idx.repetition,
        idx.set,
        idx.segment,
        u0,
        u1,
        u2,
        u3,
        u4,
        u5,
        u6,
        u7,
    ]
}

#[cfg(test)]
mod tests;
