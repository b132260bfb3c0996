//! The scanner's clock: when a simulated scan begins, and what its time stamps count.

/// Ticks of 2.5 ms, as Siemens scanners count them.
pub const TICK_MS: f64 = 2.5;

/// Time stamp of the start of every simulated scan: 10 o'clock in ticks since midnight.
pub const START_TICKS: u32 = 10 * 3600 * 400;

/// Time stamp of a moment: ticks of 2.5 ms since midnight.
///
/// * `t_ms`: from the start of the scan; a moment before it, down to 10 hours, is earlier than
///   [`START_TICKS`].
pub fn ticks(t_ms: f64) -> u32 {
    // A moment that is a whole number of ticks but for rounding is that tick.
    let since_start = (t_ms / TICK_MS + 1e-6).floor();
    (f64::from(START_TICKS) + since_start) as u32
}

/// Ticks in a stretch of time.
///
/// * `duration_ms`: 0 or more.
pub fn duration_ticks(duration_ms: f64) -> u32 {
    (duration_ms / TICK_MS + 1e-6).floor() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_lasts_two_and_a_half_milliseconds() {
        assert_eq!(ticks(0.0), START_TICKS);
        assert_eq!(ticks(2.4), START_TICKS);
        assert_eq!(ticks(2.5), START_TICKS + 1);
        assert_eq!(ticks(1000.0), START_TICKS + 400);
        assert_eq!(ticks(-2.5), START_TICKS - 1);
    }

    #[test]
    fn sums_of_durations_do_not_fall_below_their_tick() {
        let mut t_ms = 0.0;
        for tick in 0..10_000 {
            assert_eq!(ticks(t_ms), START_TICKS + tick / 25);
            t_ms += 0.1;
        }
    }
}
