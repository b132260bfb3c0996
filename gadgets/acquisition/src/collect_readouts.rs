//! Buckets of readouts that belong together.

mod completion;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use ismrmrd::xml::CalibrationMode;
use pipeline::{Acquisition, Bucket, Counter, Gadget, Scan, Sink, Waveform};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bucket_rule::{Place, SurfaceCoilNote};
use completion::{Completion, Each};

/// Room for readouts that is set aside for a bucket because the one before had as many.
const MAX_RESERVED: usize = 1 << 16;

/// Collects readouts into buckets.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Counter whose change releases the buckets, or `n_acquisitions`. Without one they are
    /// released at the end of the scan.
    pub trigger_dimension: Option<Dimension>,
    /// Counter whose values get a bucket each.
    pub sorting_dimension: Option<Dimension>,
    /// With `n_acquisitions`: readouts before the first release.
    pub n_acquisitions_before_trigger: u64,
    /// With `n_acquisitions`: readouts before each later release.
    pub n_acquisitions_before_ongoing_trigger: u64,
    /// Whether to release as soon as the trigger counter's LAST_IN_* flag says that everything
    /// is there. Otherwise the next readout or the end of the scan does it.
    pub release_early: bool,
    /// Without `trigger_dimension`: counter that releases everything as soon as it moves on, where
    /// nothing more can come of its value by what the header announces. What cannot be told waits
    /// for the end of the scan. Calibration goes with every bucket that has none of its own.
    pub release_each: Option<Counter>,
    /// Whether calibration readouts are given once more by themselves, as soon as imaging goes on
    /// after as many and the same as the release before had. `grappa` then has its kernel and coil
    /// maps ready before the last readout arrives; other methods gain nothing.
    pub release_calibration_early: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trigger_dimension: None,
            sorting_dimension: None,
            n_acquisitions_before_trigger: 40,
            n_acquisitions_before_ongoing_trigger: 40,
            release_early: true,
            release_each: None,
            release_calibration_early: false,
        }
    }
}

pipeline::counter_choice! {
    /// What buckets are released and sorted by.
    pub enum Dimension {
        EncodingStep1,
        EncodingStep2,
        Average,
        Slice,
        Contrast,
        Phase,
        Repetition,
        Set,
        Segment,
        User0,
        User1,
        User2,
        User3,
        User4,
        User5,
        User6,
        User7,
        _ => /// Number of readouts.
        NAcquisitions = "n_acquisitions",
    }
}

pipeline::message_set! {
    /// Readouts and waveforms.
    pub enum Readings { Acquisition, Waveform }
}

/// Collects readouts into buckets and gives them when a counter changes or is complete.
pub struct CollectReadouts {
    trigger: Trigger,
    sorting: Option<Counter>,
    buckets: BTreeMap<u16, Bucket>,
    waveforms: Vec<Waveform>,
    /// Readouts in the largest bucket of the last release.
    last_len: usize,
    /// [`None`] where it is not asked for.
    early_calibration: Option<EarlyCalibration>,
    surface_coil: SurfaceCoilNote,
}

/// When calibration is whole before its data are.
#[derive(Default)]
struct EarlyCalibration {
    /// Which calibration readouts the last release that had any had.
    expected: Vec<Line>,
    was_given: bool,
}

/// Which line a readout is: its counters but for repetition and trigger.
type Line = [u16; LINE_COUNTERS.len()];

const LINE_COUNTERS: [Counter; 8] = [
    Counter::EncodingStep1,
    Counter::EncodingStep2,
    Counter::Average,
    Counter::Slice,
    Counter::Contrast,
    Counter::Phase,
    Counter::Set,
    Counter::Segment,
];

/// What releases the buckets.
enum Trigger {
    End,
    Count { seen: u64, target: u64, ongoing: u64 },
    Counter(CounterTrigger),
    Each(EachTrigger),
}

struct CounterTrigger {
    counter: Counter,
    /// Value of the readout before.
    previous: Option<u16>,
    completion: Option<Completion>,
    /// Value that was released because it was complete.
    released: Option<u16>,
    told_late: bool,
}

/// Releases whole values of a counter.
struct EachTrigger {
    each: Each,
    released: BTreeSet<u16>,
    told_late: bool,
    /// Calibration of the last buckets that had any, by the sorting counter; [`None`] where every
    /// value has its own.
    reference: Option<BTreeMap<u16, Vec<Acquisition>>>,
}

impl Gadget for CollectReadouts {
    const NAME: &str = "collect_readouts";
    const ALIASES: &'static [&'static str] = &["AcquisitionAccumulateTriggerGadget"];
    type Config = Config;
    type Input = Readings;
    type Output = Bucket;
    type Error = Infallible;

    fn new(config: Config, scan: &Scan) -> Result<Self, Infallible> {
        let trigger = match config.trigger_dimension {
            None => match config.release_each {
                None => Trigger::End,
                Some(counter) => Trigger::Each(EachTrigger {
                    each: Each::new(counter, scan.header.as_ref()),
                    released: BTreeSet::new(),
                    told_late: false,
                    reference: is_calibrated_once(scan).then(BTreeMap::new),
                }),
            },
            Some(dimension) => match dimension.counter() {
                None => Trigger::Count {
                    seen: 0,
                    target: config.n_acquisitions_before_trigger,
                    ongoing: config.n_acquisitions_before_ongoing_trigger,
                },
                Some(counter) => Trigger::Counter(CounterTrigger {
                    counter,
                    previous: None,
                    completion: Some(counter)
                        .filter(|_| config.release_early)
                        .and_then(|counter| Completion::new(counter, scan.header.as_ref())),
                    released: None,
                    told_late: false,
                }),
            },
        };
        Ok(Self {
            trigger,
            sorting: config.sorting_dimension.and_then(Dimension::counter),
            buckets: BTreeMap::new(),
            waveforms: Vec::new(),
            last_len: 0,
            early_calibration: config.release_calibration_early.then(EarlyCalibration::default),
            surface_coil: SurfaceCoilNote::default(),
        })
    }

    fn process(&mut self, reading: Readings, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let readout = match reading {
            Readings::Waveform(waveform) => {
                self.waveforms.push(waveform);
                return Ok(());
            }
            Readings::Acquisition(readout) => readout,
        };
        let flags = readout.header.flags;
        if let Some(note) = self.surface_coil.of(flags) {
            out.inform(note);
        }
        let place = Place::of(flags);
        if place == Place::Nowhere {
            return Ok(());
        }
        if self.trigger.before(&readout, out) {
            self.release(out);
        }
        if place == Place::Data {
            self.give_calibration(out);
        }
        let complete = self.trigger.after(&readout);
        self.add(readout, place);
        if complete {
            self.release(out);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Infallible> {
        if self.buckets.is_empty() && !self.waveforms.is_empty() {
            self.buckets.insert(0, Bucket::default());
        }
        self.release(out);
        Ok(())
    }
}

impl CollectReadouts {
    fn add(&mut self, readout: Acquisition, place: Place) {
        let index = self.sorting.map_or(0, |counter| counter.of(&readout.header.idx));
        let reserved = self.last_len.min(MAX_RESERVED);
        let bucket = self
            .buckets
            .entry(index)
            .or_insert_with(|| Bucket { data: Vec::with_capacity(reserved), ..Bucket::default() });
        place.put(readout, bucket);
    }

    /// Gives the calibration that is there, if it is whole and has not been given.
    fn give_calibration(&mut self, out: &mut Sink<Self>) {
        let Some(early) = self.early_calibration.as_mut().filter(|early| !early.was_given) else {
            return;
        };
        let n_readouts: usize = self.buckets.values().map(|bucket| bucket.reference.len()).sum();
        if n_readouts == 0 || n_readouts != early.expected.len() {
            return;
        }
        // Other lines than before may be fewer than there will be.
        early.was_given = true;
        let trigger = self.trigger.counter();
        if !calibration_lines(&self.buckets, trigger).eq(early.expected.iter().copied()) {
            return;
        }
        for bucket in self.buckets.values().filter(|bucket| !bucket.reference.is_empty()) {
            out.push(Bucket { reference: bucket.reference.clone(), ..Bucket::default() });
        }
    }

    fn release(&mut self, out: &mut Sink<Self>) {
        match &mut self.trigger {
            Trigger::Counter(CounterTrigger { completion: Some(completion), .. }) => {
                completion.clear();
            }
            Trigger::Each(trigger) => trigger.each.clear(),
            _ => {}
        }
        let buckets = std::mem::take(&mut self.buckets);
        if buckets.is_empty() {
            return;
        }
        self.last_len = buckets.values().map(|bucket| bucket.data.len()).max().unwrap_or(0);
        if let Some(early) = &mut self.early_calibration {
            let lines: Vec<_> = calibration_lines(&buckets, self.trigger.counter()).collect();
            if !lines.is_empty() {
                early.expected = lines;
            }
            early.was_given = false;
        }
        for (index, mut bucket) in buckets {
            if let Trigger::Each(trigger) = &mut self.trigger {
                trigger.share_reference(index, &mut bucket);
            }
            bucket.waveforms = std::mem::take(&mut self.waveforms);
            out.push(bucket);
        }
    }
}

/// The calibration readouts of the buckets, one after the other.
fn calibration_lines(
    buckets: &BTreeMap<u16, Bucket>,
    trigger: Option<Counter>,
) -> impl Iterator<Item = Line> {
    buckets.values().flat_map(|bucket| &bucket.reference).map(move |readout| {
        LINE_COUNTERS.map(|counter| {
            if trigger == Some(counter) { 0 } else { counter.of(&readout.header.idx) }
        })
    })
}

impl Trigger {
    fn counter(&self) -> Option<Counter> {
        match self {
            Self::End | Self::Count { .. } => None,
            Self::Counter(trigger) => Some(trigger.counter),
            Self::Each(trigger) => Some(trigger.each.counter()),
        }
    }

    /// Whether the buckets are to be released before this readout, which has a place in them.
    fn before(&mut self, readout: &Acquisition, out: &mut Sink<CollectReadouts>) -> bool {
        let trigger = match self {
            Self::Counter(trigger) => trigger,
            Self::Each(trigger) => return trigger.before(readout, out),
            Self::End | Self::Count { .. } => return false,
        };
        let value = trigger.counter.of(&readout.header.idx);
        let changed = trigger.previous.replace(value).is_some_and(|previous| previous != value);
        if changed {
            trigger.released = None;
        } else if trigger.released == Some(value) && !trigger.told_late {
            trigger.told_late = true;
            warn_of_late(
                trigger.counter,
                value,
                "flag only the last readout, or set `release_early = false` for `collect_readouts`",
                out,
            );
        }
        changed
    }

    /// Whether the buckets are to be released after this readout.
    fn after(&mut self, readout: &Acquisition) -> bool {
        match self {
            Self::End => false,
            Self::Count { seen, target, ongoing } => {
                *seen += 1;
                let reached = *seen >= *target;
                if reached {
                    *seen = 0;
                    *target = *ongoing;
                }
                reached
            }
            Self::Counter(trigger) => {
                let Some(completion) = &mut trigger.completion else {
                    return false;
                };
                let header = &readout.header;
                if !Place::of(header.flags).is_data() || !completion.is_complete_with(header) {
                    return false;
                }
                trigger.released = trigger.previous;
                true
            }
            Self::Each(trigger) => {
                let header = &readout.header;
                if !Place::of(header.flags).is_data() || !trigger.each.is_complete_with(header) {
                    return false;
                }
                trigger.released.extend(trigger.each.take_value());
                true
            }
        }
    }
}

impl EachTrigger {
    fn before(&mut self, readout: &Acquisition, out: &mut Sink<CollectReadouts>) -> bool {
        // Calibration is often numbered on its own.
        if !Place::of(readout.header.flags).is_data() {
            return false;
        }
        let (value, left) = self.each.moves_on(&readout.header);
        let is_over = left.is_some();
        self.released.extend(left);
        if self.released.contains(&value) && !std::mem::replace(&mut self.told_late, true) {
            warn_of_late(
                self.each.counter(),
                value,
                "write all counters' `encodingLimits` into the header, or take `release_each` of \
                 `collect_readouts` out of the chain",
                out,
            );
        }
        is_over
    }

    /// Gives the bucket the calibration of those before it where it has none.
    fn share_reference(&mut self, index: u16, bucket: &mut Bucket) {
        let Some(shared) = &mut self.reference else { return };
        if !bucket.reference.is_empty() {
            shared.insert(index, bucket.reference.clone());
        } else if let Some(reference) = shared.get(&index) {
            bucket.reference.clone_from(reference);
        }
    }
}

/// Whether calibration may have been acquired once for all values of a counter: not where the
/// header says that it is embedded in all of the data.
fn is_calibrated_once(scan: &Scan) -> bool {
    let encodings = scan.header.as_ref().map_or(&[][..], |header| &header.encoding);
    let mut modes = encodings.iter().map(|encoding| {
        encoding.parallel_imaging.as_ref().and_then(|imaging| imaging.calibration_mode)
    });
    modes.any(|mode| mode != Some(CalibrationMode::Embedded))
}

fn warn_of_late(counter: Counter, value: u16, remedy: &str, out: &mut Sink<CollectReadouts>) {
    let name = counter.name();
    out.warn(
        format!(
            "readouts of {name} {value} arrive after everything of it seemed to be there; they \
             make a bucket of their own"
        ),
        remedy,
    );
}

#[cfg(test)]
mod tests;
