use super::*;

fn intervals(options: &RhythmOptions, n: usize) -> Vec<f64> {
    let rhythm = Rhythm::new(options).expect("options");
    rhythm.beats().take(n).map(|beat| beat.rr_interval_ms).collect()
}

#[test]
fn a_regular_rhythm_has_r_waves_at_multiples_of_the_interval() {
    let options = RhythmOptions { first_r_wave_ms: 300.0, ..RhythmOptions::default() };
    let rhythm = Rhythm::new(&options).expect("options");
    let times: Vec<f64> = rhythm.r_waves_ms().take(4).collect();
    assert_eq!(times, [300.0, 1300.0, 2300.0, 3300.0]);
    assert_eq!(rhythm.phase_at(1550.0), 0.25);
    assert_eq!(rhythm.since_trigger_ms(1550.0), 250.0);
    // Before the first R wave the rhythm was there as well.
    assert_eq!(rhythm.phase_at(0.0), 0.7);
    assert_eq!(rhythm.since_trigger_ms(0.0), 700.0);
    assert_eq!(rhythm.beat(-1).r_wave_ms, -700.0);
}

#[test]
fn intervals_have_the_mean_and_deviation_that_were_asked_for() {
    let options = RhythmOptions { variability: 0.1, seed: 4, ..RhythmOptions::default() };
    let intervals = intervals(&options, N_BEATS);
    let n = intervals.len() as f64;
    let mean = intervals.iter().sum::<f64>() / n;
    let sd = (intervals.iter().map(|rr| (rr - mean).powi(2)).sum::<f64>() / n).sqrt();
    // Standard errors 1.6 and 1.1 ms; clipping at three deviations takes 1.3 % of the latter.
    assert!((mean - 1000.0).abs() < 6.0, "{mean}");
    assert!((sd - 99.0).abs() < 4.0, "{sd}");
}

#[test]
fn breathing_modulates_the_intervals() {
    let options = RhythmOptions {
        respiratory_modulation: 0.1,
        respiratory_period_ms: 4000.0,
        ..RhythmOptions::default()
    };
    let intervals = intervals(&options, 50);
    let extremes =
        intervals.iter().fold([f64::MAX, f64::MIN], |[low, high], &rr| [low.min(rr), high.max(rr)]);
    assert!((900.0..920.0).contains(&extremes[0]), "{extremes:?}");
    assert!((1080.0..=1100.0).contains(&extremes[1]), "{extremes:?}");
}

#[test]
fn an_ectopic_beat_comes_early_and_is_followed_by_a_compensatory_pause() {
    let options = RhythmOptions { ectopic_probability: 0.1, seed: 2, ..RhythmOptions::default() };
    let rhythm = Rhythm::new(&options).expect("options");
    let ectopic: Vec<Beat> = rhythm.beats().take(N_BEATS).filter(|beat| beat.is_ectopic).collect();
    // 10 % of the beats that may be followed by one, standard error 0.5 % of all.
    assert!((340..410).contains(&ectopic.len()), "{}", ectopic.len());
    for beat in ectopic {
        let before = rhythm.beat(beat.index - 1);
        assert!((before.rr_interval_ms - 600.0).abs() < 1e-6);
        assert!((beat.rr_interval_ms - 1400.0).abs() < 1e-6);
        assert!(!before.is_ectopic && !rhythm.beat(beat.index + 1).is_ectopic);
    }
}

#[test]
fn a_missed_trigger_doubles_the_interval_that_the_scanner_sees() {
    let rhythm = Rhythm::from_intervals(&[1000.0; 5], &[2]).expect("intervals");
    let triggers: Vec<f64> = rhythm.triggers_ms().take(4).collect();
    assert_eq!(triggers, [0.0, 1000.0, 3000.0, 4000.0]);
    assert_eq!(rhythm.since_trigger_ms(2500.0), 1500.0);
    assert_eq!(rhythm.phase_at(2500.0), 0.5);
    assert_eq!(rhythm.next_trigger_ms(1000.0), 1000.0);
    assert_eq!(rhythm.next_trigger_ms(1000.5), 3000.0);

    let options =
        RhythmOptions { missed_trigger_probability: 0.2, seed: 5, ..RhythmOptions::default() };
    let rhythm = Rhythm::new(&options).expect("options");
    let missed = rhythm.beats().take(N_BEATS).filter(|beat| !beat.is_seen).count();
    // Standard error 26.
    assert!((720..920).contains(&missed), "{missed}");
}

#[test]
fn given_intervals_are_kept_and_repeated() {
    let rhythm = Rhythm::from_intervals(&[800.0, 1200.0, 600.0], &[]).expect("intervals");
    let times: Vec<f64> = rhythm.r_waves_ms().take(5).collect();
    assert_eq!(times, [0.0, 800.0, 2000.0, 2600.0, 3400.0]);
    assert_eq!(rhythm.beat(-1).rr_interval_ms, 600.0);
}

#[test]
fn every_moment_lies_in_its_beat() {
    let options = RhythmOptions {
        rr_interval_ms: 731.3,
        variability: 0.3,
        ectopic_probability: 0.3,
        missed_trigger_probability: 0.3,
        first_r_wave_ms: 123.4,
        seed: 9,
        ..RhythmOptions::default()
    };
    let rhythm = Rhythm::new(&options).expect("options");
    let check = |t_ms: f64| {
        let beat = rhythm.beat_at(t_ms);
        let next_ms = rhythm.beat(beat.index + 1).r_wave_ms;
        assert!(beat.r_wave_ms <= t_ms && t_ms < next_ms, "{t_ms}: {beat:?}");
        assert!((0.0..1.0).contains(&rhythm.phase_at(t_ms)), "{t_ms}");
        assert!(rhythm.last_trigger_ms(t_ms) <= t_ms);
        assert!(rhythm.next_trigger_ms(t_ms) >= t_ms);
    };
    (-2000..20_000).for_each(|n| check(f64::from(n) * 317.77));
    // At each R wave and right beside it, far from the start as well.
    for index in (-10_000..10_000).step_by(7) {
        let beat = rhythm.beat(index);
        assert_eq!(rhythm.beat_at(beat.r_wave_ms), beat);
        assert_eq!(rhythm.beat_at(beat.r_wave_ms.next_down()).index, index - 1);
    }
}

#[test]
fn the_seed_decides_and_other_options_change_no_random_number() {
    let options = RhythmOptions { variability: 0.2, ..RhythmOptions::default() };
    assert_eq!(Rhythm::new(&options), Rhythm::new(&options));
    assert_ne!(Rhythm::new(&options), Rhythm::new(&RhythmOptions { seed: 1, ..options }));
    let slower = RhythmOptions { rr_interval_ms: 2000.0, ..options };
    for (one, other) in intervals(&options, 100).into_iter().zip(intervals(&slower, 100)) {
        assert!((2.0 * one - other).abs() < 1e-6);
    }
}

#[test]
fn impossible_options_are_refused() {
    let refuse = |options: RhythmOptions| {
        let error = Rhythm::new(&options).expect_err("impossible");
        assert!(matches!(error, RhythmError::OutOfRange { .. }), "{error}");
    };
    let base = RhythmOptions::default();
    refuse(RhythmOptions { rr_interval_ms: 349.0, ..base });
    refuse(RhythmOptions { rr_interval_ms: f64::NAN, ..base });
    refuse(RhythmOptions { variability: 0.31, ..base });
    refuse(RhythmOptions { ectopic_probability: -0.1, ..base });
    refuse(RhythmOptions { missed_trigger_probability: 1.0, ..base });
    refuse(RhythmOptions { respiratory_period_ms: 0.0, ..base });
    refuse(RhythmOptions { first_r_wave_ms: f64::INFINITY, ..base });
    assert_eq!(Rhythm::from_intervals(&[], &[]), Err(RhythmError::NoIntervals));
    assert_eq!(
        Rhythm::from_intervals(&[900.0, 0.0], &[]),
        Err(RhythmError::Interval { index: 1, value: 0.0 })
    );
    assert_eq!(Rhythm::from_intervals(&[900.0], &[0]), Err(RhythmError::AllMissed(1)));
    assert_eq!(
        Rhythm::from_intervals(&[900.0], &[3]),
        Err(RhythmError::NoSuchBeat { index: 3, n_beats: 1 })
    );
    let message = RhythmError::Interval { index: 1, value: 0.0 }.to_string();
    assert_eq!(message, "RR interval 1 is 0 ms: choose 200 to 10000 ms");
}
