//! One call at a time on a device, in the order in which they were asked for.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A queue for a device.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Tickets that wait, the one whose turn it is first.
    waiting: VecDeque<u64>,
}

/// The device, until it is dropped.
pub(crate) struct Turn<'a>(&'a Turns, u64);

impl Turns {
    /// Waits for the device; [`None`] where it was not to be had until `deadline`.
    pub fn wait(&self, deadline: Instant) -> Option<Turn<'_>> {
        let mut state = self.lock();
        let ticket = state.next;
        state.next += 1;
        state.waiting.push_back(ticket);
        // Gives the place up on every way out.
        let turn = Turn(self, ticket);
        while state.waiting.front() != Some(&ticket) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                drop(state);
                drop(turn);
                return None;
            };
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(turn)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Self(turns, ticket) = self;
        turns.lock().waiting.retain(|waiting| waiting != ticket);
        turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_device_has_one_user_and_waiting_ends_at_the_deadline() {
        let turns = Turns::default();
        let soon = || Instant::now() + Duration::from_millis(1);
        let first = turns.wait(soon()).expect("it is free");
        assert!(turns.wait(soon()).is_none());
        drop(first);
        assert!(turns.wait(soon()).is_some());
    }
}
