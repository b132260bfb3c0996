//! Sorted k-space from buckets of readouts.

mod buffer;
mod layout;

use std::collections::BTreeMap;

use ismrmrd::EncodingCounters;
use ismrmrd::xml::Encoding;
use pipeline::{Acquisition, Bucket, Counter, Gadget, KSpace, Remedy, Scan, ScanError, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use buffer::{Budget, Buffer, Placed};
use layout::{Layout, Notes, Seen};

/// Sorts readouts into k-space.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Counter along axis `n` of the buffer.
    #[serde(alias = "N_dimension")]
    pub n_dimension: Option<Dimension>,
    /// Counter along axis `s` of the buffer.
    #[serde(alias = "S_dimension")]
    pub s_dimension: Option<Dimension>,
    /// Whether every slice gets a buffer of its own.
    pub split_slices: bool,
    /// Whether segments share a buffer.
    pub ignore_segment: bool,
    /// The most that the buffers of one bucket may take, GiB. It guards against counters and
    /// headers that ask for more than there is.
    #[schemars(range(min = 0.0))]
    pub max_buffer_gib: f64,
    /// Without effect; in Gadgetron's chain files it fills the log.
    pub verbose: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            n_dimension: None,
            s_dimension: None,
            split_slices: false,
            ignore_segment: false,
            max_buffer_gib: 4.0,
            verbose: false,
        }
    }
}

/// Counters that an axis of the buffer can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Average.
    Average,
    /// Contrast, e.g. the echo.
    Contrast,
    /// Cardiac phase.
    Phase,
    /// Repetition.
    Repetition,
    /// Set, e.g. the inversion time.
    Set,
    /// Segment.
    Segment,
    /// Slice.
    Slice,
}

impl Dimension {
    fn counter(self) -> Counter {
        match self {
            Self::Average => Counter::Average,
            Self::Contrast => Counter::Contrast,
            Self::Phase => Counter::Phase,
            Self::Repetition => Counter::Repetition,
            Self::Set => Counter::Set,
            Self::Segment => Counter::Segment,
            Self::Slice => Counter::Slice,
        }
    }
}

/// Sorts the readouts of a bucket into arrays, one for each combination of counters that is not
/// an axis of them.
pub struct SortKSpace {
    axes: Axes,
    max_buffer_gib: f64,
    encodings: Vec<Encoding>,
    /// Why there are no encodings.
    fault: Option<ScanError>,
    notes: Notes,
}

/// Which counters are axes of the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axes {
    n: Option<Counter>,
    s: Option<Counter>,
    split_slices: bool,
    ignore_segment: bool,
}

/// What buffers are told apart by, in order of their sending: average, slice, contrast, phase,
/// repetition, set, segment, then the encoding space.
type Key = ([u16; 7], u16);

#[derive(Default)]
struct Pair {
    data: Option<Buffer>,
    reference: Option<Buffer>,
}

impl Gadget for SortKSpace {
    const NAME: &str = "sort_k_space";
    const ALIASES: &'static [&'static str] = &["BucketToBufferGadget"];
    type Config = Config;
    type Input = Bucket;
    type Output = KSpace; // [slice, s, n, channel, encoding_step_2, encoding_step_1, readout]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        if let (Some(n), Some(s)) = (config.n_dimension, config.s_dimension)
            && n == s
        {
            return Err(Error::SameAxis);
        }
        // A scan of images only needs no header.
        let (encodings, fault) = match scan.header() {
            Ok(header) => (header.encoding.clone(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Ok(Self {
            axes: Axes {
                n: config.n_dimension.map(Dimension::counter),
                s: config.s_dimension.map(Dimension::counter),
                split_slices: config.split_slices,
                ignore_segment: config.ignore_segment,
            },
            max_buffer_gib: config.max_buffer_gib,
            encodings,
            fault,
            notes: Notes::default(),
        })
    }

    fn process(&mut self, bucket: Bucket, out: &mut Sink<Self>) -> Result<(), Error> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        let mut budget = Budget::gib(self.max_buffer_gib);
        let mut pairs = BTreeMap::<Key, Pair>::new();
        self.fill(&mut pairs, bucket.reference, true, &mut budget)?;
        self.fill(&mut pairs, bucket.data, false, &mut budget)?;
        for (what, remedy) in self.notes.take() {
            out.warn(what, remedy);
        }
        for ((_, encoding_space), pair) in pairs {
            let reference = pair.reference.map(Buffer::into_k_space);
            let data = match (pair.data, &reference) {
                (Some(data), _) => data.into_k_space(),
                (None, Some(reference)) => buffer::empty(reference.sampling),
                (None, None) => continue,
            };
            let shape = data.data.shape();
            out.push(KSpace {
                encoding_space: usize::from(encoding_space),
                s: self.axes.s.filter(|_| shape[1] > 1),
                n: self.axes.n.filter(|_| shape[2] > 1),
                data,
                reference,
            });
        }
        Ok(())
    }
}

impl SortKSpace {
    /// Copies the readouts to their places and frees them one by one.
    fn fill(
        &mut self,
        pairs: &mut BTreeMap<Key, Pair>,
        readouts: Vec<Acquisition>,
        is_reference: bool,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let mut seen = vec![None::<Seen>; self.encodings.len()];
        for readout in &readouts {
            let encoding = usize::from(readout.header.encoding_space_ref);
            let n_encodings = self.encodings.len();
            let seen = seen
                .get_mut(encoding)
                .ok_or(ScanError::NoEncoding { index: encoding, n_encodings })?;
            Seen::add(seen, self.axes, &readout.header.idx);
        }
        let mut layouts = Vec::with_capacity(seen.len());
        for (encoding, seen) in self.encodings.iter().zip(&seen) {
            layouts.push(match seen {
                Some(seen) => {
                    Some(Layout::new(encoding, seen, self.axes, is_reference, &mut self.notes)?)
                }
                None => None,
            });
        }
        for readout in readouts {
            let encoding_space = readout.header.encoding_space_ref;
            let Some(Some(layout)) = layouts.get(usize::from(encoding_space)) else {
                continue;
            };
            let pair = pairs.entry((self.axes.key(&readout.header.idx), encoding_space));
            let pair = pair.or_default();
            let slot = if is_reference { &mut pair.reference } else { &mut pair.data };
            let buffer = match slot {
                Some(buffer) => buffer,
                None => slot.insert(Buffer::new(layout, &readout, budget)?),
            };
            if let Placed::Skipped(axis) = buffer.place(layout, &readout)? {
                self.notes.skipped(axis, &readout);
            }
        }
        Ok(())
    }
}

impl Axes {
    /// The counters that tell buffers apart; those along an axis are 0.
    fn key(&self, idx: &EncodingCounters) -> [u16; 7] {
        let value = |counter: Counter| {
            let shared = self.n == Some(counter)
                || self.s == Some(counter)
                || counter == Counter::Slice && !self.split_slices
                || counter == Counter::Segment && self.ignore_segment;
            if shared { 0 } else { counter.of(idx) }
        };
        [
            Counter::Average,
            Counter::Slice,
            Counter::Contrast,
            Counter::Phase,
            Counter::Repetition,
            Counter::Set,
            Counter::Segment,
        ]
        .map(value)
    }

    /// Whether slices have the axis of their own.
    fn has_slices(&self) -> bool {
        !self.split_slices && self.n != Some(Counter::Slice) && self.s != Some(Counter::Slice)
    }
}

/// A bucket that cannot be sorted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The header says too little.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Both axes follow one counter.
    #[error("axes `n` and `s` follow the same counter")]
    SameAxis,
    /// The limits do not hold the centre of the encoded matrix.
    #[error(
        "the header's limits of {axis} are {minimum} to {maximum} with the centre at {center}: \
         the centre lies outside"
    )]
    CentreOutsideLimits {
        /// Which encoding step.
        axis: &'static str,
        /// First line.
        minimum: u16,
        /// Last line.
        maximum: u16,
        /// Centre.
        center: u16,
    },
    /// A line that the header does not announce.
    #[error(
        "readout {scan_counter}: line {line} of {axis} lies outside the header's limits \
         {minimum} to {maximum}"
    )]
    OutsideLimits {
        /// Number of the readout.
        scan_counter: u32,
        /// Which encoding step.
        axis: &'static str,
        /// Its counter.
        line: u16,
        /// First line.
        minimum: u16,
        /// Last line.
        maximum: u16,
    },
    /// A line beyond the matrix, where the header has no limits.
    #[error(
        "readout {scan_counter}: line {line} of {axis} lies outside the encoded matrix of \
         {n_lines} lines"
    )]
    OutsideMatrix {
        /// Number of the readout.
        scan_counter: u32,
        /// Which encoding step.
        axis: &'static str,
        /// Its counter.
        line: u16,
        /// Lines of the matrix.
        n_lines: usize,
    },
    /// The samples do not fit along the readout.
    #[error(
        "readout {scan_counter}: {n_kept} samples with the echo at {center_sample} do not fit \
         {n_readout} places with the echo in the middle"
    )]
    DoesNotFit {
        /// Number of the readout.
        scan_counter: u32,
        /// Samples without the discarded ones.
        n_kept: usize,
        /// Index of the echo.
        center_sample: u16,
        /// Places along the readout.
        n_readout: usize,
    },
    /// Everything is to be discarded.
    #[error("readout {scan_counter}: {discarded} of {n_samples} samples are to be discarded")]
    NothingKept {
        /// Number of the readout.
        scan_counter: u32,
        /// Samples to discard.
        discarded: usize,
        /// Samples.
        n_samples: usize,
    },
    /// Channels come and go.
    #[error(
        "readout {scan_counter} has {found} channels, those before it in the same image have \
         {expected}"
    )]
    Channels {
        /// Number of the readout.
        scan_counter: u32,
        /// Its channels.
        found: usize,
        /// Channels of the first readout.
        expected: usize,
    },
    /// The trajectory's shape changes.
    #[error(
        "readout {scan_counter} has a trajectory of {n_samples} × {n_dimensions}, expected \
         {expected_samples} × {expected_dimensions}"
    )]
    Trajectory {
        /// Number of the readout.
        scan_counter: u32,
        /// Samples of the trajectory.
        n_samples: usize,
        /// Numbers per sample.
        n_dimensions: usize,
        /// Samples of the readout.
        expected_samples: usize,
        /// Numbers per sample of the first readout.
        expected_dimensions: usize,
    },
    /// More memory than allowed.
    #[error(
        "k-space of {shape:?} (slice, s, n, channel, encoding_step_2, encoding_step_1, readout) \
         brings the bucket to more than {limit_gib} GiB"
    )]
    TooLarge {
        /// Shape of the buffer that is too much.
        shape: [usize; 7],
        /// What is allowed, GiB.
        limit_gib: f64,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Scan(error) => error.remedy(),
            Self::SameAxis => "give `n_dimension` and `s_dimension` different counters",
            Self::CentreOutsideLimits { .. } => {
                "correct `encodingLimits` in the header; the centre is the line at k = 0"
            }
            Self::OutsideLimits { .. } => {
                "correct `encodingLimits` in the header, or the counter in the sequence"
            }
            Self::OutsideMatrix { .. } => {
                "write `encodingLimits` into the header, or correct its matrix size"
            }
            Self::DoesNotFit { .. } => {
                "fill up asymmetric echoes before `sort_k_space`, or correct `center_sample`"
            }
            Self::NothingKept { .. } => "correct `discard_pre` and `discard_post` in the readouts",
            Self::Channels { .. } => "send all readouts of an image with the same channels",
            Self::Trajectory { .. } => "send all readouts of an image with a trajectory, or none",
            Self::TooLarge { .. } => {
                "check the counters and the matrix size, or raise `max_buffer_gib`"
            }
        }
    }
}

#[cfg(test)]
mod tests;
