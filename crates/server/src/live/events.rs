//! What happened, in order, as far back as is kept.

use std::collections::{BTreeMap, HashMap};

/// Events that are kept.
const MAX_EVENTS: usize = 8192;

/// What happened; how it is now is looked up when it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// This session began, went on or ended.
    Session(u64),
    /// This image is new.
    Image(u64),
    /// These images are gone.
    Removed(Vec<u64>),
}

/// An event with its number and time.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub sequence: u64,
    pub unix_ms: f64,
    pub what: Happening,
}

/// The newest events; of each session only the newest one, which says all.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    /// By number.
    events: BTreeMap<u64, Logged>,
    last: u64,
    /// The newest event that had to go although nothing came in its place.
    last_gone: u64,
    /// Number of each session's event.
    of_session: HashMap<u64, u64>,
}

impl EventLog {
    /// Adds an event; gives its number.
    pub fn push(&mut self, unix_ms: f64, what: Happening) -> u64 {
        self.last += 1;
        if let Happening::Session(id) = what
            && let Some(before) = self.of_session.insert(id, self.last)
        {
            self.events.remove(&before);
        }
        self.events.insert(self.last, Logged { sequence: self.last, unix_ms, what });
        if self.events.len() > MAX_EVENTS
            && let Some((sequence, oldest)) = self.events.pop_first()
        {
            self.last_gone = sequence;
            if let Happening::Session(id) = oldest.what {
                self.of_session.remove(&id);
            }
        }
        self.last
    }

    /// Number of the newest event, 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Events after this number, each session once; [`None`] where some of them are not kept any
    /// more, or where the number is none of this log's.
    pub fn after(&self, sequence: u64) -> Option<impl Iterator<Item = &Logged>> {
        let is_known = (self.last_gone..=self.last).contains(&sequence);
        is_known.then(|| self.events.range(sequence + 1..).map(|(_, event)| event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(log: &EventLog, after: u64) -> Option<Vec<u64>> {
        Some(log.after(after)?.map(|event| event.sequence).collect())
    }

    #[test]
    fn events_follow_without_a_gap_and_a_session_is_told_once() {
        let mut log = EventLog::default();
        assert_eq!(sequences(&log, 0), Some(vec![]));
        for what in
            [Happening::Session(5), Happening::Image(1), Happening::Session(5), Happening::Image(2)]
        {
            log.push(0.0, what);
        }
        assert_eq!(sequences(&log, 0), Some(vec![2, 3, 4]));
        assert_eq!(sequences(&log, 2), Some(vec![3, 4]));
        assert_eq!(sequences(&log, 4), Some(vec![]));
        assert_eq!(sequences(&log, 5), None, "a number of another log");
    }

    #[test]
    fn who_was_away_too_long_is_told_so() {
        let mut log = EventLog::default();
        for id in 0..MAX_EVENTS as u64 + 3 {
            log.push(0.0, Happening::Image(id));
        }
        assert_eq!(sequences(&log, 2), None);
        assert_eq!(sequences(&log, 3).map(|events| events.len()), Some(MAX_EVENTS));
    }

    #[test]
    fn sessions_that_go_on_for_long_push_no_image_out() {
        let mut log = EventLog::default();
        let image = log.push(0.0, Happening::Image(1));
        for n in 0..3 * MAX_EVENTS as u64 {
            log.push(0.0, Happening::Session(n % 20));
        }
        assert_eq!(sequences(&log, 0).map(|events| (events.len(), events[0])), Some((21, image)));
    }
}
