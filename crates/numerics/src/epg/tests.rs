use std::f64::consts::{FRAC_PI_2, PI};

use num_complex::Complex64;
use proptest::prelude::*;

use super::*;
use crate::bloch::Isochromats;

/// A repetition: angle and phase of the pulse, phase of off-resonance, time, and whether a
/// gradient, a preparation or nothing ends it.
#[derive(Clone, Copy, Debug)]
struct Repetition {
    flip_rad: f64,
    phase_rad: f64,
    off_resonance_rad: f64,
    duration_ms: f64,
    end: u8,
}

fn repetitions(n: usize) -> impl Strategy<Value = Vec<Repetition>> {
    let repetition = (-PI..PI, -PI..PI, -PI..PI, 0.0..50.0, 0_u8..8).prop_map(
        |(flip_rad, phase_rad, off_resonance_rad, duration_ms, end)| Repetition {
            flip_rad,
            phase_rad,
            off_resonance_rad,
            duration_ms,
            end,
        },
    );
    prop::collection::vec(repetition, 1..n)
}

/// Transverse and longitudinal magnetisation after every pulse.
fn by_isochromats(sequence: &[Repetition], t1_ms: f64, t2_ms: f64) -> Vec<(Complex64, f64)> {
    let mut spins = Isochromats::equilibrium(sequence.len() + 1);
    let mut play = |it: &Repetition| {
        spins.rf(it.flip_rad, it.phase_rad);
        let magnetization = (spins.signal(), spins.longitudinal());
        spins.relax(Decay::over(it.duration_ms, t1_ms, t2_ms));
        spins.precess(it.off_resonance_rad);
        match it.end {
            0 => spins.prepare(-0.9, 0.05),
            1 => spins.spoil(),
            2 => {}
            _ => spins.dephase(),
        }
        magnetization
    };
    sequence.iter().map(&mut play).collect()
}

fn by_states(
    sequence: &[Repetition],
    t1_ms: f64,
    t2_ms: f64,
    n_orders: usize,
) -> Vec<(Complex64, f64)> {
    let mut states = States::equilibrium(n_orders);
    let mut play = |it: &Repetition| {
        states.rf(it.flip_rad, it.phase_rad);
        let magnetization = (states.signal(), states.longitudinal());
        states.relax(Decay::over(it.duration_ms, t1_ms, t2_ms));
        states.precess(it.off_resonance_rad);
        match it.end {
            0 => states.prepare(-0.9, 0.05),
            1 => states.spoil(),
            2 => {}
            _ => states.shift(),
        }
        magnetization
    };
    sequence.iter().map(&mut play).collect()
}

fn largest_difference(a: &[(Complex64, f64)], b: &[(Complex64, f64)]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a.0 - b.0).norm().max((a.1 - b.1).abs())).fold(0.0, f64::max)
}

proptest! {
    /// As many orders as pulses, and more isochromats than gradients: both are exact, so only
    /// rounding remains.
    #[test]
    fn states_are_the_fourier_series_of_isochromats(
        sequence in repetitions(24), t1_ms in 20.0..3000.0, t2_ms in 5.0..500.0,
    ) {
        let states = by_states(&sequence, t1_ms, t2_ms, sequence.len() + 1);
        let isochromats = by_isochromats(&sequence, t1_ms, t2_ms);
        prop_assert!(largest_difference(&states, &isochromats) < 1e-12);
    }

    /// An order beyond half of the gradients never comes back.
    #[test]
    fn half_as_many_orders_as_gradients_lose_nothing(sequence in repetitions(24)) {
        let few = by_states(&sequence, 800.0, 60.0, sequence.len() / 2 + 1);
        let many = by_states(&sequence, 800.0, 60.0, sequence.len() + 1);
        prop_assert!(largest_difference(&few, &many) < 1e-13);
    }

    #[test]
    fn real_states_are_states_for_pulses_of_one_phase(
        sequence in repetitions(40), t1_ms in 20.0..3000.0, t2_ms in 5.0..500.0,
    ) {
        let (t1_ms, t2_ms) = ([t1_ms, 1000.0, 300.0], [t2_ms, 45.0, 200.0]);
        // Few orders, so that the truncation is seen to be the same too.
        let mut real = RealStates::<f64, 3>::equilibrium(7);
        let mut complex: Vec<States> = (0..3).map(|_| States::equilibrium(7)).collect();
        for it in &sequence {
            let decay = RealDecay::over(it.duration_ms, &t1_ms, &t2_ms);
            real.rf(it.flip_rad);
            real.relax(&decay);
            match it.end {
                0 => real.prepare(&[-0.9, 0.5, 0.0], &[0.05; 3]),
                1 => real.spoil(),
                2 => {}
                _ => real.shift(),
            }
            for (n, states) in complex.iter_mut().enumerate() {
                states.rf(it.flip_rad, 0.0);
                states.relax(Decay::over(it.duration_ms, t1_ms[n], t2_ms[n]));
                match it.end {
                    0 => states.prepare([-0.9, 0.5, 0.0][n], 0.05),
                    1 => states.spoil(),
                    2 => {}
                    _ => states.shift(),
                }
                let expected = states.signal() * Complex64::I;
                prop_assert!((expected - real.signal()[n]).norm() < 1e-12);
                prop_assert!((states.longitudinal() - real.longitudinal()[n]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_repetition_in_one_pass_is_its_steps(
        flips_rad in prop::collection::vec(-1.5..1.5, 1..40), n_orders in 1_usize..12,
    ) {
        let over = |duration_ms| {
            RealDecay::<f64, 2>::over(duration_ms, &[1000.0, 80.0], &[45.0, 30.0])
        };
        let (to_echo, to_end, whole) = (over(1.5), over(3.5), over(5.0));
        let mut steps = RealStates::equilibrium(n_orders);
        let mut passes = steps.clone();
        for flip_rad in flips_rad {
            steps.rf(flip_rad);
            steps.relax(&to_echo);
            let echo = steps.signal();
            steps.relax(&to_end);
            steps.shift();
            let of_pass = passes.repeat(flip_rad, &to_echo, &whole);
            for n in 0..2 {
                prop_assert!((of_pass[n] - echo[n]).abs() < 1e-13);
                prop_assert!((passes.signal()[n] - steps.signal()[n]).abs() < 1e-13);
                prop_assert!((passes.longitudinal()[n] - steps.longitudinal()[n]).abs() < 1e-13);
            }
        }
    }

    /// Parseval: without relaxation the mean square of the magnetisation stays 1. F₊ and F₋ of
    /// order 0 are one state; Z of order k stands for −k too.
    #[test]
    fn pulses_and_gradients_keep_the_energy(sequence in repetitions(16)) {
        let mut states = States::equilibrium(sequence.len() + 1);
        for it in &sequence {
            states.rf(it.flip_rad, it.phase_rad);
            states.precess(it.off_resonance_rad);
            states.shift();
        }
        let sum = |values: &[Complex64]| values.iter().map(Complex64::norm_sqr).sum::<f64>();
        let transverse = sum(&states.dephasing) + sum(&states.rephasing[1..]);
        let longitudinal = states.longitudinal[0].norm_sqr() + 2.0 * sum(&states.longitudinal[1..]);
        prop_assert!((transverse + longitudinal - 1.0).abs() < 1e-12);
    }
}

#[test]
fn any_two_pulses_give_hahns_echo() {
    // Hahn 1950: sin α·sin²(β/2).
    let (alpha, beta) = (0.8_f64, 1.9_f64);
    let mut states = States::equilibrium(3);
    states.rf(alpha, 0.0);
    states.shift();
    states.rf(beta, 0.7);
    states.shift();
    let expected = alpha.sin() * (beta / 2.0).sin().powi(2);
    assert!((states.signal().norm() - expected).abs() < 1e-15);
}

#[test]
fn three_pulses_give_a_stimulated_echo_of_half() {
    let mut states = States::equilibrium(3);
    states.rf(FRAC_PI_2, 0.0);
    states.shift();
    states.rf(FRAC_PI_2, 0.0);
    states.spoil();
    states.relax(Decay::over(500.0, 1000.0, 50.0));
    states.rf(FRAC_PI_2, 0.0);
    states.shift();
    assert!((states.signal().norm() - 0.5 * (-0.5_f64).exp()).abs() < 1e-15);
}

#[test]
fn more_orders_change_nothing_that_is_there() {
    let mut states = States::equilibrium(2);
    states.rf(0.4, 0.2);
    states.shift();
    let mut more = states.clone();
    more.extend(9);
    more.extend(3);
    assert_eq!(more.n_orders(), 9);
    for it in [&mut states, &mut more] {
        it.rf(0.7, -0.3);
        it.shift();
    }
    assert_eq!(states.signal(), more.signal());
    assert_eq!(states.longitudinal(), more.longitudinal());
}

#[test]
fn single_precision_keeps_five_digits_over_a_fingerprint() {
    let mut single = RealStates::<f32, 1>::equilibrium(20);
    let mut double = RealStates::<f64, 1>::equilibrium(20);
    for shot in 0..705 {
        if shot % 235 == 0 {
            single.prepare(&[-1.0], &[0.0]);
            double.prepare(&[-1.0], &[0.0]);
        }
        let flip_rad = f64::from(4 + shot % 47 / 2).to_radians();
        let decay = |duration_ms| RealDecay::over(duration_ms, &[1000.0], &[45.0]);
        let [a] = single.repeat(
            flip_rad,
            &RealDecay::over(1.5, &[1000.0], &[45.0]),
            &RealDecay::over(5.0, &[1000.0], &[45.0]),
        );
        let [b] = double.repeat(flip_rad, &decay(1.5), &decay(5.0));
        // Rounding of 6e-8 per step, damped by T1 within 200 of them.
        assert!((f64::from(a) - b).abs() < 2e-6, "{shot}: {a} and {b}");
    }
}
