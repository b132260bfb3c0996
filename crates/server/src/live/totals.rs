//! Figures of all sessions together, for metrics.

use std::collections::BTreeMap;

use pipeline::{CALL_BOUNDS_S, GadgetStatistics};

use crate::live::SessionRecord;

/// Sums over sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub n_sessions: u64,
    pub n_failed: u64,
    pub n_readouts: u64,
    pub n_bytes_in: u64,
    pub n_images: u64,
    pub n_bytes_out: u64,
    pub n_warnings: u64,
    pub n_errors: u64,
    /// By gadget.
    pub gadgets: BTreeMap<String, GadgetTotals>,
}

/// Sums of one gadget.
#[derive(Clone, Debug, Default)]
pub(crate) struct GadgetTotals {
    pub messages_in: u64,
    pub faults: u64,
    pub busy_s: f64,
    /// Calls by how long they took: [`CALL_BOUNDS_S`], and those that took longer.
    pub calls: [u64; CALL_BOUNDS_S.len() + 1],
}

/// Names beyond this are counted together: a client's own chain can call its gadgets anything.
const MAX_GADGETS: usize = 200;

impl Totals {
    /// Adds a session as it is now.
    pub fn add(&mut self, record: &SessionRecord) {
        let [n_readouts, n_bytes_in, n_images, n_bytes_out] = record.totals();
        let [n_warnings, n_errors] = record.n_notices();
        self.n_sessions += 1;
        self.n_failed += u64::from(record.has_failed());
        self.n_readouts += n_readouts;
        self.n_bytes_in += n_bytes_in;
        self.n_images += n_images;
        self.n_bytes_out += n_bytes_out;
        self.n_warnings += n_warnings;
        self.n_errors += n_errors;
        for gadget in record.statistics().snapshot() {
            self.add_gadget(&gadget);
        }
    }

    fn add_gadget(&mut self, gadget: &GadgetStatistics) {
        let is_known = self.gadgets.contains_key(&gadget.gadget);
        let name = match is_known || self.gadgets.len() < MAX_GADGETS {
            true => gadget.gadget.clone(),
            false => "other".to_owned(),
        };
        let totals = self.gadgets.entry(name).or_default();
        totals.messages_in += gadget.messages_in;
        totals.faults += gadget.faults;
        totals.busy_s += gadget.busy.as_secs_f64();
        for (sum, n) in totals.calls.iter_mut().zip(gadget.calls) {
            *sum += n;
        }
    }
}
