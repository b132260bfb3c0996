//! Sending what waits for one archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::delivery::{self, Delivery, DeliveryError};
use crate::destination::Destination;
use crate::outbox::{LOOK_EVERY, OutboxSettings};
use crate::spool::SpoolFolder;

/// Objects that are sent in one association.
const BATCH: usize = 200;
/// Objects that were not taken in a row before a connection is given up.
const MAX_POSTPONED: usize = 3;
/// A program that ends goes on sending for so long.
const CLOSING: Duration = Duration::from_secs(5);

/// Wakes those who send.
#[derive(Default)]
pub(crate) struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

#[derive(Default)]
struct BellState {
    n_rings: u64,
    is_closing: bool,
    /// When what still waits is left to the next start.
    over_at: Option<Instant>,
}

impl Bell {
    fn state(&self) -> MutexGuard<'_, BellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes them; `closing`: for the last time.
    pub fn ring(&self, closing: bool) {
        let mut state = self.state();
        state.n_rings += 1;
        if closing && !state.is_closing {
            state.is_closing = true;
            state.over_at = Instant::now().checked_add(CLOSING);
        }
        self.rung.notify_all();
    }

    /// Whether the program has been ending for long enough.
    pub fn is_over(&self) -> bool {
        self.state().over_at.is_some_and(|at| Instant::now() >= at)
    }

    /// Waits for a ring after `seen`, or for the end of the program; gives what there is now.
    pub fn wait(&self, seen: u64, patience: Duration, only_for_the_end: bool) -> (u64, bool) {
        let started = Instant::now();
        let mut state = self.state();
        while !state.is_closing && (only_for_the_end || state.n_rings == seen) {
            let Some(left) = patience.checked_sub(started.elapsed()) else { break };
            state = self.rung.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        (state.n_rings, state.is_closing)
    }
}

/// Sends what waits for one archive until the program ends.
pub(crate) fn send_all(
    spool: &SpoolFolder,
    to: &Destination,
    settings: &OutboxSettings,
    bell: &Bell,
    freed: &dyn Fn(u64),
) {
    let label = to.label();
    let (mut seen, mut wait, mut n_failures) = (0, settings.first_wait, 0_u32);
    loop {
        if bell.is_over() {
            return;
        }
        let waiting = spool.waiting();
        let Some(batch) = waiting.chunks(BATCH).next() else {
            let is_closing;
            (seen, is_closing) = bell.wait(seen, LOOK_EVERY, false);
            if is_closing && spool.waiting().is_empty() {
                return;
            }
            continue;
        };
        match send_batch(spool, to, batch, bell, freed) {
            Ok(n_sent) => {
                if n_failures > 0 {
                    tracing::info!("{label} is back and has taken {n_sent} DICOM objects");
                }
                (wait, n_failures) = (settings.first_wait, 0);
            }
            Err(reason) => {
                n_failures += 1;
                // A night without the archive must not fill the log.
                if n_failures.is_power_of_two() {
                    tracing::warn!(
                        "{} DICOM objects wait for {label}: {reason}; the next attempt is in {} s",
                        spool.waiting().len(),
                        wait.as_secs_f32()
                    );
                }
                let is_closing;
                (seen, is_closing) = bell.wait(seen, wait, true);
                if is_closing {
                    return;
                }
                wait = (wait * 2).min(settings.longest_wait);
            }
        }
    }
}

/// Sends some objects on one connection; how many were taken. Those that are refused are put away.
fn send_batch(
    spool: &SpoolFolder,
    to: &Destination,
    batch: &[PathBuf],
    bell: &Bell,
    freed: &dyn Fn(u64),
) -> Result<usize, String> {
    let refuse = |path: &Path, reason: &str| {
        tracing::warn!(
            "{} does not take a DICOM object: {reason}; it is in {}/refused",
            to.label(),
            spool.path().display()
        );
        spool
            .refuse(path, reason)
            .map(freed)
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    let mut files = Vec::with_capacity(batch.len());
    let mut classes: Vec<String> = Vec::new();
    for path in batch {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        match delivery::sop_class(&bytes) {
            Ok(class) => {
                if !classes.contains(&class) {
                    classes.push(class);
                }
                files.push((path, bytes.len() as u64));
            }
            Err(error) => refuse(path, &error.to_string())?,
        }
    }
    if files.is_empty() {
        return Ok(0);
    }
    let mut delivery = match Delivery::open(to, &classes) {
        Ok(delivery) => delivery,
        // The archive takes none of these classes.
        Err(DeliveryError::Refused(reason)) => {
            files.iter().try_for_each(|(path, _)| refuse(path, &reason))?;
            return Ok(0);
        }
        Err(DeliveryError::Later(reason)) => return Err(reason),
    };
    let (mut n_sent, mut n_in_a_row, mut postponed) = (0, 0, None);
    for (path, n_bytes) in files {
        if bell.is_over() {
            break;
        }
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        match delivery.store(&bytes) {
            Ok(()) => {
                fs::remove_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
                freed(n_bytes);
                (n_sent, n_in_a_row) = (n_sent + 1, 0);
            }
            Err(DeliveryError::Refused(reason)) => {
                refuse(path, &reason)?;
                n_in_a_row = 0;
            }
            Err(DeliveryError::Later(reason)) => {
                postponed = Some(reason);
                n_in_a_row += 1;
                if !delivery.is_usable() {
                    break;
                }
                // One that is not taken now must not hold up those behind it.
                spool.put_behind(path).map_err(|error| format!("{}: {error}", path.display()))?;
                if n_in_a_row == MAX_POSTPONED {
                    break;
                }
            }
        }
    }
    delivery.close();
    match postponed {
        Some(reason) if n_sent == 0 => Err(reason),
        _ => Ok(n_sent),
    }
}
