//! What each gadget of a running chain has done so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the classes that calls are counted in by how long they took, s. A last class
/// has those that took longer.
pub const CALL_BOUNDS_S: [f64; 9] = [1e-5, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

/// The class of a call.
fn class_of(busy: Duration) -> usize {
    let busy_s = busy.as_secs_f64();
    CALL_BOUNDS_S.iter().position(|bound| busy_s <= *bound).unwrap_or(CALL_BOUNDS_S.len())
}

/// Counts and times of one gadget; it is read while the chain runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    faults: AtomicU64,
    busy_ns: AtomicU64,
    longest_ns: AtomicU64,
    calls: [AtomicU64; CALL_BOUNDS_S.len() + 1],
}

impl Counters {
    /// One call that took `busy`, the gadgets after it not counted.
    pub fn add(&self, messages_in: u64, messages_out: u64, busy: Duration) {
        let busy_ns = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        self.messages_in.fetch_add(messages_in, Ordering::Relaxed);
        self.messages_out.fetch_add(messages_out, Ordering::Relaxed);
        self.busy_ns.fetch_add(busy_ns, Ordering::Relaxed);
        self.longest_ns.fetch_max(busy_ns, Ordering::Relaxed);
        self.calls[class_of(busy)].fetch_add(1, Ordering::Relaxed);
    }

    pub fn add_fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }
}

/// Statistics of all gadgets of a run, in the order of the chain.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    pub(crate) gadgets: Vec<(String, Arc<Counters>)>,
}

/// What one gadget has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GadgetStatistics {
    /// Its name in the chain.
    pub gadget: String,
    /// Messages that it took.
    pub messages_in: u64,
    /// Messages that it gave.
    pub messages_out: u64,
    /// Warnings and errors.
    pub faults: u64,
    /// Time in the gadget itself, the gadgets after it not counted.
    pub busy: Duration,
    /// Longest single call.
    pub longest: Duration,
    /// Calls by how long they took: up to each of [`CALL_BOUNDS_S`], and longer.
    pub calls: [u64; CALL_BOUNDS_S.len() + 1],
}

impl Statistics {
    /// The figures now.
    pub fn snapshot(&self) -> Vec<GadgetStatistics> {
        let read = |(name, counters): &(String, Arc<Counters>)| GadgetStatistics {
            gadget: name.clone(),
            messages_in: counters.messages_in.load(Ordering::Relaxed),
            messages_out: counters.messages_out.load(Ordering::Relaxed),
            faults: counters.faults.load(Ordering::Relaxed),
            busy: Duration::from_nanos(counters.busy_ns.load(Ordering::Relaxed)),
            longest: Duration::from_nanos(counters.longest_ns.load(Ordering::Relaxed)),
            calls: std::array::from_fn(|class| counters.calls[class].load(Ordering::Relaxed)),
        };
        self.gadgets.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_how_long_they_took() {
        let counters = Arc::new(Counters::default());
        for us in [0, 10, 11, 2000, 4_000_000] {
            counters.add(1, 1, Duration::from_micros(us));
        }
        let statistics = Statistics { gadgets: vec![("x".to_owned(), counters)] };
        let [gadget] = &statistics.snapshot()[..] else { panic!("one gadget") };
        assert_eq!(gadget.calls, [2, 1, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(gadget.longest, Duration::from_secs(4));
    }
}
