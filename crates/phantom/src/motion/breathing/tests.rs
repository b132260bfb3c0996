use super::*;

fn free(free: FreeBreathing, seed: u64) -> Breathing {
    let pattern = BreathingPattern::Free(free);
    Breathing::new(&BreathingOptions { pattern, seed, ..BreathingOptions::default() })
        .expect("options")
}

fn hold(hold: BreathHold, seed: u64) -> Breathing {
    let pattern = BreathingPattern::Hold(hold);
    Breathing::new(&BreathingOptions { pattern, seed, ..BreathingOptions::default() })
        .expect("options")
}

#[test]
fn free_breathing_is_lujans_curve() {
    let breathing = free(FreeBreathing { exponent: 3, ..FreeBreathing::default() }, 0);
    assert_eq!(breathing.position_mm(0.0), 0.0);
    assert!((breathing.position_mm(2000.0) - 10.0).abs() < 1e-12);
    // A quarter of a breath: sin⁶(π/4) = 1/8.
    assert!((breathing.position_mm(1000.0) - 1.25).abs() < 1e-12);
    assert!((breathing.position_mm(9000.0) - 1.25).abs() < 1e-12);
    assert!((breathing.position_mm(-1000.0) - 1.25).abs() < 1e-12);
}

#[test]
fn the_heart_stays_near_the_end_of_expiration_longer_the_larger_the_exponent() {
    let part_below_a_tenth = |exponent| {
        let breathing = free(FreeBreathing { exponent, ..FreeBreathing::default() }, 0);
        (0..4000).filter(|&ms| breathing.position_mm(f64::from(ms)) < 1.0).count() as f64 / 4000.0
    };
    let parts = [1, 2, 4].map(part_below_a_tenth);
    // 2/π · asin(0.1^(1/2n)).
    for (part, exact) in parts.iter().zip([0.2048, 0.3802, 0.5391]) {
        assert!((part - exact).abs() < 0.002, "{parts:?}");
    }
}

#[test]
fn breaths_differ_by_the_variability() {
    let breathing = free(FreeBreathing { variability: 0.2, ..FreeBreathing::default() }, 7);
    let Course::Breaths { starts_ms, amplitudes_mm, .. } = &breathing.course else {
        panic!("breaths");
    };
    let n = amplitudes_mm.len() as f64;
    let mean = amplitudes_mm.iter().sum::<f64>() / n;
    let sd = (amplitudes_mm.iter().map(|mm| (mm - mean).powi(2)).sum::<f64>() / n).sqrt();
    // Clipping at 1.8 deviations leaves 0.92 of the deviation; standard errors 0.06 and 0.04.
    assert!((mean - 10.0).abs() < 0.25 && (sd - 1.84).abs() < 0.16, "{mean} {sd}");
    assert!((starts_ms[1024] / 1024.0 - 4000.0).abs() < 100.0);
}

#[test]
fn the_position_never_jumps_in_free_breathing() {
    let options = FreeBreathing { variability: 0.5, start_phase: 0.3, ..FreeBreathing::default() };
    let breathing = free(options, 1);
    let mut before = breathing.position_mm(0.0);
    for ms in 1..200_000 {
        let now = breathing.position_mm(f64::from(ms));
        // The largest breath, 19 mm in 400 ms, has slope 1.3·π·19/400 mm/ms.
        assert!((now - before).abs() < 0.2, "{ms}");
        before = now;
    }
}

#[test]
fn a_hold_drifts_and_jumps_as_told() {
    let breathing = hold(
        BreathHold {
            drift_mm_per_s: 0.5,
            jumps: vec![(6000.0, -2.0), (3000.0, 4.0)],
            ..BreathHold::default()
        },
        0,
    );
    assert!((breathing.position_mm(2000.0) - 1.0).abs() < 1e-12);
    assert!((breathing.position_mm(4000.0) - 6.0).abs() < 1e-12);
    assert!((breathing.position_mm(8000.0) - 6.0).abs() < 1e-12);
    let [x, y] = breathing.shift_mm(4000.0);
    assert!((x.hypot(y) - 6.0).abs() < 1e-12 && y > x && x > 0.0);
}

#[test]
fn random_jumps_come_as_often_as_asked_for() {
    let options =
        BreathHold { jump_probability_per_s: 0.25, jump_sd_mm: 2.0, ..BreathHold::default() };
    let Course::Jumps(jumps) = hold(options.clone(), 3).course else { panic!("jumps") };
    // 150 of 600, standard error 10.6.
    assert!((115..185).contains(&jumps.len()), "{}", jumps.len());
    assert!(jumps.is_sorted_by(|a, b| a.0 <= b.0));
    assert_eq!(hold(options.clone(), 3), hold(options.clone(), 3));
    assert_ne!(hold(options.clone(), 3), hold(options, 4));
}

#[test]
fn impossible_options_are_refused() {
    let refuse = |pattern| {
        let options = BreathingOptions { pattern, ..BreathingOptions::default() };
        let error = Breathing::new(&options).expect_err("impossible");
        assert!(matches!(error, BreathingError::OutOfRange { .. }), "{error}");
    };
    let base = FreeBreathing::default();
    refuse(BreathingPattern::Free(FreeBreathing { period_ms: 0.0, ..base }));
    refuse(BreathingPattern::Free(FreeBreathing { amplitude_mm: f64::NAN, ..base }));
    refuse(BreathingPattern::Free(FreeBreathing { exponent: 0, ..base }));
    refuse(BreathingPattern::Free(FreeBreathing { variability: 0.6, ..base }));
    let base = BreathHold::default();
    refuse(BreathingPattern::Hold(BreathHold { jump_probability_per_s: 2.0, ..base.clone() }));
    refuse(BreathingPattern::Hold(BreathHold { jumps: vec![(0.0, f64::INFINITY)], ..base }));
    for direction in [[0.0, 0.0], [f64::NAN, 1.0]] {
        let options = BreathingOptions { direction, ..BreathingOptions::default() };
        assert!(matches!(Breathing::new(&options), Err(BreathingError::Direction(_))));
    }
}
