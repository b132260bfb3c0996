//! Which echo of which beat each readout is, and when the beats were.

use std::collections::HashSet;

use ismrmrd::{Acquisition, AcquisitionHeader};
use numerics::fingerprint::PulseTable;

use crate::error::Error;

/// Readouts with their place in the pulse table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    /// Echo of each readout, counted over all beats.
    pub echoes: Vec<usize>,
    /// First pulse of each beat, less the time from a pulse to its readout.
    pub first_pulses_ms: Vec<f64>,
    /// Whether beats are missing at the end.
    pub is_truncated: bool,
    /// What is to be known of the scan.
    pub problems: Vec<String>,
}

/// Ticks in a day at 2.5 ms; clocks start again at midnight.
const DAY_MS: f64 = 86_400_000.0;
/// Part of the beats that must be there.
const LEAST_SHARE: f64 = 2.0 / 3.0;
/// Part of the readouts that may be missing without a word.
const MISSING_SHARE: f64 = 0.01;
/// How far the pace of time stamps may be from the repetition time.
const PACE_TOLERANCE: f64 = 0.04;
/// A gap of so many repetition times ends a beat.
const GAP: f64 = 5.0;

/// Places the readouts of a slice, in the order of their arrival.
pub(crate) fn place(
    readouts: &[&Acquisition],
    table: &PulseTable,
    tick_ms: f64,
) -> Result<Placed, Error> {
    let of_beat = table.beats.first().map_or(1, |beat| beat.flip_angles_deg.len());
    let n_beats = table.beats.len();
    let headers: Vec<&AcquisitionHeader> = readouts.iter().map(|readout| &readout.header).collect();
    let times_ms = times(&headers, tick_ms);
    let is_constant = times_ms.iter().all(|time_ms| *time_ms == times_ms[0]);
    if readouts.len() > 1 && is_constant {
        return Err(Error::SameTime(readouts.len()));
    }
    let places = by_counters(&headers, n_beats, of_beat)
        .map_or_else(|| by_order(&times_ms, table, of_beat), Ok)?;
    let mut problems = Vec::new();
    let mut starts: Vec<Option<f64>> = Vec::with_capacity(n_beats);
    for beat in 0..n_beats {
        let of_this: Vec<(usize, f64)> = places
            .iter()
            .zip(&times_ms)
            .filter(|([its_beat, _], _)| *its_beat == beat)
            .map(|([_, echo], time_ms)| (*echo, *time_ms))
            .collect();
        check_pace(beat, &of_this, table.repetition_time_ms, tick_ms)?;
        let n = of_this.len() as f64;
        let sum: f64 = of_this
            .iter()
            .map(|(echo, time_ms)| time_ms - *echo as f64 * table.repetition_time_ms)
            .sum();
        starts.push((!of_this.is_empty()).then(|| sum / n));
    }
    let found = starts.iter().flatten().count();
    let last = starts.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let least = (LEAST_SHARE * n_beats as f64).ceil() as usize;
    if let Some(beat) = starts[..last].iter().position(Option::is_none) {
        return Err(Error::MissingBeat { beat: beat + 1, n_beats });
    }
    if found < least {
        return Err(Error::Truncated { found, n_beats, least });
    }
    if found < n_beats {
        problems.push(format!("{found} of {n_beats} beats arrived"));
    }
    let expected = found * of_beat;
    if (expected.saturating_sub(readouts.len())) as f64 > MISSING_SHARE * expected as f64 {
        problems.push(format!("{} of {expected} readouts arrived", readouts.len()));
    }
    // What comes after the last readout changes nothing that was seen: any time will do.
    let mut first_pulses_ms: Vec<f64> = starts.into_iter().flatten().collect();
    let first_ms = first_pulses_ms.first().copied().unwrap_or(0.0);
    while first_pulses_ms.len() < n_beats {
        let last_ms = first_pulses_ms.last().copied().unwrap_or(0.0);
        first_pulses_ms.push(last_ms + 2.0 * table.train_ms(0) + 1000.0);
    }
    first_pulses_ms.iter_mut().for_each(|time_ms| *time_ms -= first_ms);
    let echoes = places.iter().map(|[beat, echo]| beat * of_beat + echo).collect();
    Ok(Placed { echoes, first_pulses_ms, is_truncated: found < n_beats, problems })
}

/// Since the first readout.
fn times(headers: &[&AcquisitionHeader], tick_ms: f64) -> Vec<f64> {
    let Some(first) = headers.first() else { return Vec::new() };
    let first = i64::from(first.acquisition_time_stamp);
    let since = |header: &&AcquisitionHeader| {
        let ticks = i64::from(header.acquisition_time_stamp) - first;
        let time_ms = ticks as f64 * tick_ms;
        if time_ms < -DAY_MS / 2.0 { time_ms + DAY_MS } else { time_ms }
    };
    headers.iter().map(since).collect()
}

/// \[beat, echo\] by repetition and segment, where these tell all readouts apart.
fn by_counters(
    headers: &[&AcquisitionHeader],
    n_beats: usize,
    of_beat: usize,
) -> Option<Vec<[usize; 2]>> {
    let places: Vec<[usize; 2]> = headers
        .iter()
        .map(|header| [usize::from(header.idx.repetition), usize::from(header.idx.segment)])
        .collect();
    let fits = places.iter().all(|[beat, echo]| *beat < n_beats && *echo < of_beat);
    let distinct: HashSet<_> = places.iter().collect();
    (fits && distinct.len() == places.len()).then_some(places)
}

/// \[beat, echo\] by the order of arrival and the gaps between the beats.
fn by_order(
    times_ms: &[f64],
    table: &PulseTable,
    of_beat: usize,
) -> Result<Vec<[usize; 2]>, Error> {
    let gap_ms = GAP * table.repetition_time_ms;
    let mut beats = vec![0_usize];
    for pair in times_ms.windows(2) {
        if let Some(last) = beats.last_mut() {
            *last += 1;
        }
        if pair[1] - pair[0] > gap_ms {
            beats.push(0);
        }
    }
    if let Some(last) = beats.last_mut() {
        *last += 1;
    }
    let (last, whole) = beats.split_last().unwrap_or((&0, &[]));
    let fits = whole.iter().all(|n| *n == of_beat) && *last <= of_beat;
    if !fits || beats.len() > table.beats.len() {
        let (found, expected) = (times_ms.len(), table.n_echoes());
        beats.truncate(5);
        return Err(Error::Readouts { found, beats, expected, of_beat });
    }
    Ok((0..times_ms.len()).map(|n| [n / of_beat, n % of_beat]).collect())
}

/// Whether time stamps advance as the pulse table says.
fn check_pace(
    beat: usize,
    readouts: &[(usize, f64)],
    expected_ms: f64,
    tick_ms: f64,
) -> Result<(), Error> {
    let (Some((first, from_ms)), Some((last, to_ms))) = (readouts.first(), readouts.last()) else {
        return Ok(());
    };
    let n = last.abs_diff(*first) as f64;
    if n < 2.0 {
        return Ok(());
    }
    let found_ms = (to_ms - from_ms) / (*last as f64 - *first as f64);
    let tolerance_ms = (PACE_TOLERANCE * expected_ms).max(1.5 * tick_ms / n);
    if (found_ms - expected_ms).abs() <= tolerance_ms {
        Ok(())
    } else {
        Err(Error::Pace { beat: beat + 1, found_ms, expected_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    const TICK_MS: f64 = 2.5;

    fn table() -> PulseTable {
        PulseTable::fifteen_beats(5.1, 1.52)
    }

    /// Readouts of beats that begin at these times, without counters where `counted` is not set.
    fn readouts(starts_ms: &[f64], counted: bool) -> Vec<Acquisition> {
        let one = |beat: usize, echo: usize| {
            let time_ms = 36_000_000.0 + starts_ms[beat] + 5.1 * echo as f64;
            let mut header = AcquisitionHeader {
                acquisition_time_stamp: (time_ms / TICK_MS).floor() as u32,
                ..AcquisitionHeader::default()
            };
            if counted {
                (header.idx.repetition, header.idx.segment) = (beat as u16, echo as u16);
            }
            Acquisition::new(header, Array2::zeros((1, 1)))
        };
        (0..starts_ms.len())
            .flat_map(|beat| (0..47).map(move |echo| (beat, echo)))
            .map(|(beat, echo)| one(beat, echo))
            .collect()
    }

    fn starts() -> Vec<f64> {
        (0..15).map(|beat| 1003.7 * f64::from(beat) + f64::from(beat * beat % 7) * 31.3).collect()
    }

    fn placed(readouts: &[Acquisition]) -> Result<Placed, Error> {
        place(&readouts.iter().collect::<Vec<_>>(), &table(), TICK_MS)
    }

    #[test]
    fn beats_are_known_better_than_a_tick_with_and_without_counters() {
        for counted in [false, true] {
            let placed = placed(&readouts(&starts(), counted)).expect("a good scan");
            assert_eq!(placed.echoes, (0..705).collect::<Vec<_>>());
            assert!(placed.problems.is_empty());
            for (found, truth) in placed.first_pulses_ms.iter().zip(starts()) {
                assert!((found - truth).abs() < 0.3, "{found} for {truth}");
            }
        }
    }

    #[test]
    fn a_scan_that_ended_early_is_told_and_one_with_too_few_beats_refused() {
        let found = placed(&readouts(&starts()[..12], true)).expect("enough");
        assert_eq!(found.problems, ["12 of 15 beats arrived"]);
        let few = placed(&readouts(&starts()[..9], false));
        assert_eq!(few, Err(Error::Truncated { found: 9, n_beats: 15, least: 10 }));
    }

    #[test]
    fn a_beat_that_is_missing_between_others_is_an_error() {
        let mut all = readouts(&starts(), true);
        all.retain(|readout| readout.header.idx.repetition != 6);
        assert_eq!(placed(&all), Err(Error::MissingBeat { beat: 7, n_beats: 15 }));
        // Without counters nothing tells which one: the times of the others do not either.
        let mut all = readouts(&starts(), false);
        all.drain(100..103);
        assert!(matches!(placed(&all), Err(Error::Readouts { found: 702, .. })));
    }

    #[test]
    fn times_that_stand_still_or_run_at_another_pace_are_errors() {
        let mut all = readouts(&starts(), true);
        all.iter_mut().for_each(|readout| readout.header.acquisition_time_stamp = 7);
        assert_eq!(placed(&all), Err(Error::SameTime(705)));
        let all = readouts(&starts(), true);
        let views: Vec<_> = all.iter().collect();
        let slow = PulseTable::fifteen_beats(10.0, 1.52);
        let Err(Error::Pace { beat: 1, found_ms, .. }) = place(&views, &slow, TICK_MS) else {
            panic!("half of the repetition time")
        };
        assert!((found_ms - 5.1).abs() < 0.1);
    }

    #[test]
    fn a_scan_over_midnight_goes_on() {
        let mut all = readouts(&starts(), true);
        let shift = 34_560_000 - 36_000_000 / 5 * 2 - 2000;
        for readout in &mut all {
            let ticks = readout.header.acquisition_time_stamp + shift;
            readout.header.acquisition_time_stamp = ticks % 34_560_000;
        }
        assert!(all.last().expect("some").header.acquisition_time_stamp < 10_000);
        let found = placed(&all).expect("a good scan");
        assert!((found.first_pulses_ms[14] - starts()[14]).abs() < 0.3);
    }
}
