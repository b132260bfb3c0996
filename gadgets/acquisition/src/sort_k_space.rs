//! Sorted k-space from buckets of readouts.

mod buffer;
mod error;
mod layout;

use std::collections::BTreeMap;

use ismrmrd::xml::Encoding;
use ismrmrd::{EncodingCounters, KSpaceBuffer};
use pipeline::{Acquisition, Bucket, Counter, Gadget, KSpace, Scan, ScanError, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use buffer::{Budget, Buffer, Placed, Spare};
pub use error::Error;
use layout::{Layout, Notes, Seen};

/// So many readouts must have a place for one without to be left out.
const MIN_READOUTS_PER_STRAY: usize = 20;

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

pipeline::counter_choice! {
    /// Counters that an axis of the buffer can follow.
    pub enum Dimension {
        Average,
        Contrast,
        Phase,
        Repetition,
        Set,
        Segment,
        Slice,
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
    spare: Spare,
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

/// Whose calibration the lines of a buffer go with: their own, else, of the same slice and
/// encoding space, that of the buffer that differs in the fewest counters, the first of equals.
/// Separate calibration is often acquired once for all sets, contrasts or phases.
fn reference_of(key: Key, has_data: bool, references: &BTreeMap<Key, KSpaceBuffer>) -> Option<Key> {
    if references.contains_key(&key) {
        return Some(key);
    }
    let fits =
        |other: &&Key| has_data && other.1 == key.1 && other.0[SLICE_OF_KEY] == key.0[SLICE_OF_KEY];
    let distance = |other: &Key| key.0.iter().zip(other.0).filter(|(a, b)| **a != *b).count();
    references.keys().filter(fits).min_by_key(|other| (distance(other), **other)).copied()
}

/// Place of the slice in a [`Key`].
const SLICE_OF_KEY: usize = 1;

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
                n: config.n_dimension.and_then(Dimension::counter),
                s: config.s_dimension.and_then(Dimension::counter),
                split_slices: config.split_slices,
                ignore_segment: config.ignore_segment,
            },
            max_buffer_gib: config.max_buffer_gib,
            encodings,
            fault,
            notes: Notes::default(),
            spare: Spare::default(),
        })
    }

    fn process(&mut self, bucket: Bucket, out: &mut Sink<Self>) -> Result<(), Error> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        if bucket.data.is_empty() && !bucket.reference.is_empty() {
            // Calibration before its data: these are yet to come.
            self.spare.prepare();
        }
        let mut budget = Budget::gib(self.max_buffer_gib);
        let mut pairs = BTreeMap::<Key, Pair>::new();
        self.fill(&mut pairs, bucket.reference, true, &mut budget)?;
        self.fill(&mut pairs, bucket.data, false, &mut budget)?;
        for (what, remedy) in self.notes.take() {
            out.warn(what, remedy);
        }
        let mut references = BTreeMap::<Key, KSpaceBuffer>::new();
        let mut data_of = Vec::with_capacity(pairs.len());
        for (key, pair) in pairs {
            if let Some(reference) = pair.reference {
                references.insert(key, reference.into_k_space());
            }
            data_of.push((key, pair.data));
        }
        let needed: Vec<Option<Key>> = data_of
            .iter()
            .map(|(key, data)| reference_of(*key, data.is_some(), &references))
            .collect();
        for (place, (key, data)) in data_of.into_iter().enumerate() {
            let encoding_space = key.1;
            let reference = needed[place].and_then(|source| {
                // The last one that needs it gets it without a copy.
                match needed[place + 1..].contains(&Some(source)) {
                    true => references.get(&source).cloned(),
                    false => references.remove(&source),
                }
            });
            let data = match (data, &reference) {
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
                waveforms: bucket.waveforms.clone(),
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
        let (n_readouts, mut n_strays) = (readouts.len(), 0);
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
                None => {
                    let spare = Some(&mut self.spare).filter(|_| !is_reference);
                    slot.insert(Buffer::new(layout, &readout, budget, spare)?)
                }
            };
            match buffer.place(layout, &readout) {
                Ok(Placed::Skipped(axis)) => self.notes.skipped(axis, &readout),
                Ok(_) => {}
                // One stray readout must not cost the image; many would make a wrong one of it.
                Err(error) => {
                    n_strays += 1;
                    if n_strays * MIN_READOUTS_PER_STRAY > n_readouts {
                        return Err(error);
                    }
                    self.notes.left_out(&error);
                }
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

#[cfg(test)]
mod tests;
