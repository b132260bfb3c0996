//! What happened, in order, as far back as is kept.

use std::collections::{HashMap, VecDeque};

/// Events that are kept: minutes of twenty busy sessions.
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

/// The newest events.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    events: VecDeque<Logged>,
    last: u64,
    /// Newest event of each session: of several only that one is told, which says all.
    newest: HashMap<u64, u64>,
}

impl EventLog {
    /// Adds an event; gives its number.
    pub fn push(&mut self, unix_ms: f64, what: Happening) -> u64 {
        self.last += 1;
        if let Happening::Session(id) = what {
            self.newest.insert(id, self.last);
        }
        self.events.push_back(Logged { sequence: self.last, unix_ms, what });
        if self.events.len() > MAX_EVENTS
            && let Some(oldest) = self.events.pop_front()
            && let Happening::Session(id) = oldest.what
            && self.newest.get(&id) == Some(&oldest.sequence)
        {
            self.newest.remove(&id);
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
        let first_kept = self.events.front().map_or(self.last + 1, |event| event.sequence);
        if sequence > self.last || sequence + 1 < first_kept {
            return None;
        }
        let skip = usize::try_from(sequence + 1 - first_kept).unwrap_or(usize::MAX);
        let is_newest = |event: &&Logged| match event.what {
            Happening::Session(id) => self.newest.get(&id) == Some(&event.sequence),
            _ => true,
        };
        Some(self.events.iter().skip(skip).filter(is_newest))
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
}
