//! When everything of one value of the trigger counter is there.

use std::collections::HashMap;

use ismrmrd::xml::{EncodingLimits, Limit};
use ismrmrd::{AcquisitionFlags, AcquisitionHeader, Header};
use pipeline::Counter;

/// Counters that tell one image from another.
const IMAGE_COUNTERS: [Counter; 6] = [
    Counter::Average,
    Counter::Slice,
    Counter::Contrast,
    Counter::Phase,
    Counter::Repetition,
    Counter::Set,
];

/// Above this many groups only their flags are looked at, not their sizes.
const MAX_COMPARED: usize = 4096;

/// Watches the imaging readouts of one value of the trigger counter.
///
/// Everything is there when a readout has the trigger counter's LAST_IN_* flag, and
///
/// * of every counter of an image other than the trigger, and of partitions and segments, as many
///   values were seen as the header announces, if it does, and
/// * every group of readouts that differ in no counter of an image has had a readout with the
///   flag, or is as large as the group of the flagged readout.
///
/// So an echo that is flagged as the last of its slice does not release the echoes after it.
pub(super) struct Completion {
    /// [`None`] for a counter without.
    flag: Option<AcquisitionFlags>,
    counters: Vec<Watched>,
    /// Partitions and segments, where there is more than one.
    parts: Vec<Watched>,
    groups: Vec<Group>,
    index: HashMap<Key, usize>,
    /// Group of the readout before.
    current: Option<(Key, usize)>,
    n_unflagged: usize,
}

/// Values of the counters, 0 for the trigger.
type Key = [u16; IMAGE_COUNTERS.len()];

struct Group {
    n_readouts: u64,
    flagged: bool,
}

/// The values of one counter that were seen.
struct Watched {
    counter: Counter,
    /// Values that the header announces, 0 if it says nothing.
    n_expected: usize,
    n_seen: usize,
    seen: Vec<u64>,
}

impl Watched {
    fn new(counter: Counter, n_expected: usize) -> Self {
        Self { counter, n_expected, n_seen: 0, seen: Vec::new() }
    }

    fn see(&mut self, header: &AcquisitionHeader) {
        let value = usize::from(self.counter.of(&header.idx));
        let (word, bit) = (value / 64, 1 << (value % 64));
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            self.n_seen += 1;
        }
    }

    fn is_complete(&self) -> bool {
        self.n_seen >= self.n_expected
    }

    fn clear(&mut self) {
        self.seen.fill(0);
        self.n_seen = 0;
    }
}

impl Completion {
    /// For the buckets that `trigger` releases; [`None`] where it has no flag.
    pub(super) fn new(trigger: Counter, header: Option<&Header>) -> Option<Self> {
        trigger.last_flag().map(|_| Self::of_any(trigger, header))
    }

    fn of_any(trigger: Counter, header: Option<&Header>) -> Self {
        let encodings = header.map_or(&[][..], |header| &header.encoding);
        let expected = |counter| {
            encodings
                .iter()
                .filter_map(|encoding| limit(&encoding.encoding_limits, counter))
                .map(|limit| limit.count())
                .max()
                .unwrap_or(0)
        };
        let counters = IMAGE_COUNTERS
            .into_iter()
            .filter(|counter| *counter != trigger)
            .map(|counter| Watched::new(counter, expected(counter)))
            .collect();
        let acceleration = encodings
            .iter()
            .filter_map(|encoding| encoding.parallel_imaging.as_ref())
            .map(|imaging| usize::from(imaging.acceleration_factor.kspace_encoding_step_2))
            .max()
            .unwrap_or(1)
            .max(1);
        let n_partitions = expected(Counter::EncodingStep2).div_ceil(acceleration);
        let parts = [
            (Counter::EncodingStep2, n_partitions),
            (Counter::Segment, expected(Counter::Segment)),
        ]
        .into_iter()
        .filter(|(counter, n_expected)| *counter != trigger && *n_expected > 1)
        .map(|(counter, n_expected)| Watched::new(counter, n_expected))
        .collect();
        Self {
            flag: trigger.last_flag(),
            counters,
            parts,
            groups: Vec::new(),
            index: HashMap::new(),
            current: None,
            n_unflagged: 0,
        }
    }

    /// Counts an imaging readout. Returns whether everything is there with it.
    pub(super) fn is_complete_with(&mut self, header: &AcquisitionHeader) -> bool {
        let n_readouts = self.see(header);
        if !self.flag.is_some_and(|flag| header.has_any(flag)) {
            return false;
        }
        if let Some((_, group)) = self.current {
            let group = &mut self.groups[group];
            if !group.flagged {
                group.flagged = true;
                self.n_unflagged -= 1;
            }
        }
        self.all_are_seen() && self.all_groups_are_complete(n_readouts)
    }

    /// Counts an imaging readout. Returns how many there are in its group.
    fn see(&mut self, header: &AcquisitionHeader) -> u64 {
        self.parts.iter_mut().for_each(|part| part.see(header));
        let mut key = Key::default();
        for (value, watched) in key.iter_mut().zip(&self.counters) {
            *value = watched.counter.of(&header.idx);
        }
        let group = match self.current {
            Some((current, group)) if current == key => group,
            _ => self.find(key, header),
        };
        let group = &mut self.groups[group];
        group.n_readouts += 1;
        group.n_readouts
    }

    /// Whether all values that the header announces were seen.
    fn all_are_seen(&self) -> bool {
        self.counters.iter().chain(&self.parts).all(Watched::is_complete)
    }

    /// Forgets what was seen.
    pub(super) fn clear(&mut self) {
        self.counters.iter_mut().chain(&mut self.parts).for_each(Watched::clear);
        self.groups.clear();
        self.index.clear();
        self.current = None;
        self.n_unflagged = 0;
    }

    fn find(&mut self, key: Key, header: &AcquisitionHeader) -> usize {
        let group = *self.index.entry(key).or_insert_with(|| {
            self.groups.push(Group { n_readouts: 0, flagged: false });
            self.n_unflagged += 1;
            self.counters.iter_mut().for_each(|watched| watched.see(header));
            self.groups.len() - 1
        });
        self.current = Some((key, group));
        group
    }

    fn all_groups_are_complete(&self, n_readouts: u64) -> bool {
        self.n_unflagged == 0
            || self.groups.len() <= MAX_COMPARED
                && self.groups.iter().all(|group| group.flagged || group.n_readouts == n_readouts)
    }
}

/// Of the lines that the header announces, divided by their acceleration, so many at least make
/// an image: partial Fourier leaves some out, and fewer are a segment of an interleaved scan.
const MIN_LINES: f64 = 0.6;

/// Watches the imaging readouts of a scan whose values of one counter are to be released one by
/// one.
///
/// When the counter moves on, everything of the value before is there if of every other counter
/// of an image, of partitions and segments, as many values were seen as the header announces, and
/// enough lines. If not, other loops lie outside of this one: nothing can be told from then on.
pub(super) struct Each {
    counter: Counter,
    completion: Completion,
    lines: Watched,
    /// Value of the readouts now, [`None`] after their release.
    value: Option<u16>,
    /// Whether nothing can be told any more.
    holds: bool,
}

impl Each {
    pub(super) fn new(counter: Counter, header: Option<&Header>) -> Self {
        let encodings = header.map_or(&[][..], |header| &header.encoding);
        let n_lines = encodings
            .iter()
            .filter_map(|encoding| {
                let limit = encoding.encoding_limits.kspace_encoding_step_1?;
                let imaging = encoding.parallel_imaging.as_ref();
                let acceleration = imaging
                    .map_or(1, |imaging| imaging.acceleration_factor.kspace_encoding_step_1.max(1));
                let n_lines = limit.count() as f64 / f64::from(acceleration);
                Some((n_lines * MIN_LINES).ceil() as usize)
            })
            .max()
            .unwrap_or(0);
        let completion = Completion::of_any(counter, header);
        let lines = Watched::new(Counter::EncodingStep1, n_lines);
        Self { counter, completion, lines, value: None, holds: false }
    }

    pub(super) fn counter(&self) -> Counter {
        self.counter
    }

    /// Value of this imaging readout, and the value before if it is whole and to be released.
    pub(super) fn moves_on(&mut self, header: &AcquisitionHeader) -> (u16, Option<u16>) {
        let value = self.counter.of(&header.idx);
        match self.value.replace(value) {
            Some(before) if before != value && !self.holds => {
                self.holds = !self.completion.all_are_seen() || !self.lines.is_complete();
                (value, Some(before).filter(|_| !self.holds))
            }
            _ => (value, None),
        }
    }

    /// Counts an imaging readout. Returns whether its flag says that everything is there.
    pub(super) fn is_complete_with(&mut self, header: &AcquisitionHeader) -> bool {
        if self.holds {
            return false;
        }
        self.lines.see(header);
        self.completion.is_complete_with(header) && self.lines.is_complete()
    }

    /// The value that is released now.
    pub(super) fn take_value(&mut self) -> Option<u16> {
        self.value.take()
    }

    /// Forgets what was seen.
    pub(super) fn clear(&mut self) {
        self.completion.clear();
        self.lines.clear();
    }
}

/// Range of a counter in the header.
fn limit(limits: &EncodingLimits, counter: Counter) -> Option<Limit> {
    match counter {
        Counter::EncodingStep2 => limits.kspace_encoding_step_2,
        Counter::Average => limits.average,
        Counter::Slice => limits.slice,
        Counter::Contrast => limits.contrast,
        Counter::Phase => limits.phase,
        Counter::Repetition => limits.repetition,
        Counter::Set => limits.set,
        Counter::Segment => limits.segment,
        _ => None,
    }
}
