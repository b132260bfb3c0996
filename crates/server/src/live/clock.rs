//! One clock for all that the control plane tells: it never goes backwards, whatever is done to
//! the machine's.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the server started, and what time that was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_unix_ms: f64,
}

impl Clock {
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_unix_ms: since_1970.as_secs_f64() * 1e3 }
    }

    /// µs since the start; never 0, which stands for `not yet`.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// ms since 1970 of a time in µs since the start; 0 for `not yet`.
    pub fn unix_ms(&self, us: u64) -> f64 {
        if us == 0 { 0.0 } else { self.started_unix_ms + us as f64 / 1e3 }
    }

    pub fn now_unix_ms(&self) -> f64 {
        self.unix_ms(self.now_us())
    }

    pub fn started_unix_ms(&self) -> f64 {
        self.started_unix_ms
    }
}
