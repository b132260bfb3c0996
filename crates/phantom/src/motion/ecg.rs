//! The electrocardiogram of a rhythm.

use super::{Beat, Rhythm};

/// Electrodes' signals that are recorded.
pub(super) const N_LEADS: usize = 4;

/// A wave of the electrocardiogram: a Gaussian.
struct Wave {
    /// Of its peak from the R wave, ms, at 60 beats per minute.
    time_ms: f64,
    /// Whether its distance follows the root of the RR interval, as the QT interval does
    /// (Bazett 1920); the QRS complex does not.
    follows_rate: bool,
    /// Standard deviation, ms.
    width_ms: f64,
    /// Peak in each lead, mV.
    peaks_mv: [f64; N_LEADS],
}

/// P, Q, R, S and T, after the model of McSharry et al. 2003. T is larger than outside a
/// magnet, where flowing blood adds no voltage to it.
const SINUS: [Wave; 5] = [
    wave(-160.0, true, 22.0, [0.10, 0.14, 0.08, 0.05]),
    wave(-24.0, false, 8.0, [-0.08, -0.12, -0.05, -0.02]),
    wave(0.0, false, 10.0, [0.90, 1.20, 0.60, -0.50]),
    wave(26.0, false, 9.0, [-0.20, -0.25, -0.35, 0.25]),
    wave(290.0, true, 45.0, [0.30, 0.40, 0.25, -0.15]),
];

/// A beat from the ventricle: no P wave, a broad complex and a T wave of the other sign.
const ECTOPIC: [Wave; 3] = [
    wave(0.0, false, 32.0, [1.30, 1.00, -0.80, 0.90]),
    wave(70.0, false, 30.0, [-0.40, -0.50, 0.30, -0.30]),
    wave(300.0, true, 55.0, [-0.40, -0.35, 0.30, -0.25]),
];

const fn wave(time_ms: f64, follows_rate: bool, width_ms: f64, peaks_mv: [f64; N_LEADS]) -> Wave {
    Wave { time_ms, follows_rate, width_ms, peaks_mv }
}

/// The voltage of all leads at a moment, mV, without noise and drift.
pub(super) fn leads_mv(rhythm: &Rhythm, t_ms: f64) -> [f64; N_LEADS] {
    let current = rhythm.beat_at(t_ms).index;
    let mut leads_mv = [0.0; N_LEADS];
    // The P wave of the next beat and the T wave of the last one can reach into this one.
    for index in current - 1..=current + 1 {
        add(&rhythm.beat(index), rhythm.beat(index - 1).rr_interval_ms, t_ms, &mut leads_mv);
    }
    leads_mv
}

fn add(beat: &Beat, rr_interval_before_ms: f64, t_ms: f64, leads_mv: &mut [f64; N_LEADS]) {
    let waves: &[Wave] = if beat.is_ectopic { &ECTOPIC } else { &SINUS };
    // Repolarisation knows the interval that has been, not the one to come.
    let stretch = (rr_interval_before_ms / 1000.0).sqrt().clamp(0.6, 1.2);
    for wave in waves {
        let scale = if wave.follows_rate { stretch } else { 1.0 };
        let deviation = (t_ms - beat.r_wave_ms - scale * wave.time_ms) / (scale * wave.width_ms);
        if deviation.abs() < 6.0 {
            let height = (-0.5 * deviation * deviation).exp();
            for (lead, peak) in leads_mv.iter_mut().zip(wave.peaks_mv) {
                *lead += height * peak;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::RhythmOptions;

    #[test]
    fn the_largest_voltage_is_at_the_r_wave_of_every_sinus_beat() {
        for rr_interval_ms in [400.0, 700.0, 1000.0, 1600.0] {
            let rhythm = Rhythm::from_intervals(&[rr_interval_ms], &[]).expect("intervals");
            let voltage = |ms: f64| leads_mv(&rhythm, 3.0 * rr_interval_ms + ms)[1];
            let peak = voltage(0.0);
            for ms in 1..rr_interval_ms as usize {
                assert!(voltage(ms as f64) < peak, "{rr_interval_ms}: {ms}");
            }
            assert!((1.1..1.3).contains(&peak), "{peak}");
        }
    }

    #[test]
    fn waves_are_continuous_across_beats() {
        let options = RhythmOptions {
            rr_interval_ms: 600.0,
            variability: 0.2,
            ectopic_probability: 0.3,
            ..RhythmOptions::default()
        };
        let rhythm = Rhythm::new(&options).expect("options");
        let mut before = leads_mv(&rhythm, 0.0);
        for step in 1..60_000 {
            let now = leads_mv(&rhythm, f64::from(step) * 0.5);
            for (one, other) in std::iter::zip(before, now) {
                // The R wave's steepest half millisecond: 1.2 mV · 0.61/10 ms · 0.5 ms, and
                // Q and S beside it.
                assert!((one - other).abs() < 0.06, "{step}: {one} {other}");
            }
            before = now;
        }
    }

    #[test]
    fn an_ectopic_beat_is_broad_and_has_no_p_wave() {
        let options =
            RhythmOptions { ectopic_probability: 0.2, seed: 1, ..RhythmOptions::default() };
        let rhythm = Rhythm::new(&options).expect("options");
        let ectopic = rhythm.beats().find(|beat| beat.is_ectopic).expect("a fifth of them");
        let sinus = rhythm.beat(0);
        assert!(!sinus.is_ectopic);
        let half_height = |beat: &Beat| {
            let peak = leads_mv(&rhythm, beat.r_wave_ms)[0];
            (-100..100)
                .filter(|&ms| leads_mv(&rhythm, beat.r_wave_ms + f64::from(ms))[0] > 0.5 * peak)
                .count()
        };
        // Gaussians of 10 and 32 ms, cut into by Q and S.
        assert!((15..25).contains(&half_height(&sinus)), "{}", half_height(&sinus));
        assert!((50..80).contains(&half_height(&ectopic)), "{}", half_height(&ectopic));
        let before_mv = leads_mv(&rhythm, ectopic.r_wave_ms - 160.0)[1];
        assert!(before_mv.abs() < 0.03, "{before_mv}");
    }
}
