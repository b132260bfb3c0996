//! Buckets of readouts that belong together.

mod completion;
mod dimension;

use std::collections::BTreeMap;
use std::convert::Infallible;

use ismrmrd::AcquisitionFlags;
use pipeline::{Acquisition, Bucket, Counter, Gadget, Scan, Sink, Waveform};
use schemars::JsonSchema;
use serde::Deserialize;

use completion::Completion;
pub use dimension::Dimension;

/// Readouts that are no part of an image.
const NOT_IMAGED: AcquisitionFlags = AcquisitionFlags::IS_NOISE_MEASUREMENT
    .union(AcquisitionFlags::IS_DUMMYSCAN_DATA)
    .union(AcquisitionFlags::IS_NAVIGATION_DATA)
    .union(AcquisitionFlags::IS_HPFEEDBACK_DATA)
    .union(AcquisitionFlags::IS_RTFEEDBACK_DATA);

const CALIBRATION: AcquisitionFlags = AcquisitionFlags::IS_PARALLEL_CALIBRATION
    .union(AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING);

const NOT_DATA: AcquisitionFlags =
    AcquisitionFlags::IS_PARALLEL_CALIBRATION.union(AcquisitionFlags::IS_PHASECORR_DATA);

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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trigger_dimension: None,
            sorting_dimension: None,
            n_acquisitions_before_trigger: 40,
            n_acquisitions_before_ongoing_trigger: 40,
            release_early: true,
        }
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
}

/// What releases the buckets.
enum Trigger {
    End,
    Count { seen: u64, target: u64, ongoing: u64 },
    Counter(CounterTrigger),
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

impl Gadget for CollectReadouts {
    const NAME: &str = "collect_readouts";
    const ALIASES: &'static [&'static str] = &["AcquisitionAccumulateTriggerGadget"];
    type Config = Config;
    type Input = Readings;
    type Output = Bucket;
    type Error = Infallible;

    fn new(config: Config, scan: &Scan) -> Result<Self, Infallible> {
        let trigger = match config.trigger_dimension {
            None => Trigger::End,
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
        if flags.intersects(NOT_IMAGED) {
            return Ok(());
        }
        if self.trigger.before(&readout, out) {
            self.release(out);
        }
        let complete = self.trigger.after(&readout);
        self.add(readout, flags);
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
    /// Puts a readout where its flags say: with the calibration, with the data, or with both.
    fn add(&mut self, readout: Acquisition, flags: AcquisitionFlags) {
        let is_calibration = flags.intersects(CALIBRATION);
        let is_data = !flags.intersects(NOT_DATA);
        if !is_calibration && !is_data {
            return;
        }
        let index = self.sorting.map_or(0, |counter| counter.of(&readout.header.idx));
        let reserved = self.last_len.min(MAX_RESERVED);
        let bucket = self
            .buckets
            .entry(index)
            .or_insert_with(|| Bucket { data: Vec::with_capacity(reserved), ..Bucket::default() });
        match (is_calibration, is_data) {
            (true, true) => {
                bucket.reference.push(readout.clone());
                bucket.data.push(readout);
            }
            (true, false) => bucket.reference.push(readout),
            (false, _) => bucket.data.push(readout),
        }
    }

    fn release(&mut self, out: &mut Sink<Self>) {
        if let Trigger::Counter(trigger) = &mut self.trigger
            && let Some(completion) = &mut trigger.completion
        {
            completion.clear();
        }
        let buckets = std::mem::take(&mut self.buckets);
        if buckets.is_empty() {
            return;
        }
        self.last_len = buckets.values().map(|bucket| bucket.data.len()).max().unwrap_or(0);
        for mut bucket in buckets.into_values() {
            bucket.waveforms = std::mem::take(&mut self.waveforms);
            out.push(bucket);
        }
    }
}

impl Trigger {
    /// Whether the buckets are to be released before this readout.
    fn before(&mut self, readout: &Acquisition, out: &mut Sink<CollectReadouts>) -> bool {
        let Self::Counter(trigger) = self else {
            return false;
        };
        let value = trigger.counter.of(&readout.header.idx);
        let changed = trigger.previous.replace(value).is_some_and(|previous| previous != value);
        let flags = readout.header.flags;
        let stored = flags.intersects(CALIBRATION) || !flags.intersects(NOT_DATA);
        if changed {
            trigger.released = None;
        } else if trigger.released == Some(value) && stored && !trigger.told_late {
            trigger.told_late = true;
            let name = Dimension::name(trigger.counter);
            out.warn(
                format!(
                    "readouts of {name} {value} arrive after the one that was flagged as its \
                     last; they make a bucket of their own"
                ),
                "flag only the last readout, or set `release_early = false` for \
                 `collect_readouts`",
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
                if header.has_any(NOT_DATA) || !completion.is_complete_with(header) {
                    return false;
                }
                trigger.released = trigger.previous;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
