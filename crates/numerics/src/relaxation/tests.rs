//! The fits against signals whose answer is known.

use ndarray::{Array2, Array3, s};
use num_complex::Complex32;

use super::*;

/// 5(3)3 at 60 beats a minute.
const MOLLI: [f64; 8] = [100.0, 1100.0, 2100.0, 3100.0, 4100.0, 180.0, 1180.0, 2180.0];
const SASHA: [f64; 10] =
    [f64::INFINITY, 120.0, 184.0, 249.0, 313.0, 378.0, 442.0, 507.0, 571.0, 700.0];
const ECHOES: [f64; 8] = [2.6, 4.6, 6.6, 8.6, 10.7, 12.7, 14.7, 16.7];

/// A normal number from two of a counter's, so that tests need no generator.
fn normal(index: u64) -> f64 {
    let uniform = |salt: u64| {
        let mut bits = index.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt << 32 | salt);
        for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9_u64), (27, 0x94d0_49bb_1331_11eb)] {
            bits = (bits ^ bits >> shift).wrapping_mul(factor);
        }
        ((bits ^ bits >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    };
    (-2.0 * (1.0 - uniform(1)).ln()).sqrt() * (std::f64::consts::TAU * uniform(2)).cos()
}

/// `n` pixels of this signal with noise: `[image, 1, pixel]`.
fn noisy(times_ms: &[f64], parameters: [f64; 3], noise_sd: f64, n: usize) -> Array3<f32> {
    let [constant, exponential, time_ms] = parameters;
    Array3::from_shape_fn((times_ms.len(), 1, n), |(image, _, pixel)| {
        let signal = constant + exponential * (-times_ms[image] / time_ms).exp();
        (signal + noise_sd * normal((image * n + pixel) as u64)) as f32
    })
}

fn plan(model: Model, times_ms: &[f64]) -> Plan {
    Plan::new(model, times_ms, model.usual_range()).expect("enough times")
}

/// Apparent time and B of a T1 in MOLLI with B/A 1.9.
fn look_locker(t1_ms: f64) -> [f64; 3] {
    [100.0, -190.0, t1_ms / 0.9]
}

#[test]
fn exact_signals_come_back_within_a_ten_thousandth() {
    // The promise is a thousandth; samples are rounded to 24 bits.
    let look = Model::LookLocker { inversion_factor: 1.0 };
    let sr = Model::RecoveryOfKnownDepth { depth: 1.0 };
    let ir = Model::RecoveryOfKnownDepth { depth: 2.0 };
    for t1 in [150.0, 300.0, 450.0, 1000.0, 1200.0, 1600.0, 2200.0] {
        let cases: [(Model, &[f64], [f64; 3]); 5] = [
            (look, &MOLLI, look_locker(t1)),
            (Model::Recovery, &MOLLI, [80.0, -155.0, t1]),
            (Model::Recovery, &SASHA, [80.0, -77.0, t1]),
            (sr, &SASHA, [80.0, -80.0, t1]),
            (ir, &MOLLI, [80.0, -160.0, t1]),
        ];
        for (model, times, parameters) in cases {
            let fit = plan(model, times)
                .fit(noisy(times, parameters, 0.0, 3).view(), &FitOptions::default());
            assert!((f64::from(fit.value_ms[[0, 2]]) / t1 - 1.0).abs() < 1e-4, "{model:?} {t1}");
            assert!(fit.r_squared[[0, 0]] > 0.999_999);
        }
    }
    for t2 in [4.0, 10.0, 35.0, 50.0, 120.0] {
        for (model, offset) in [(Model::Decay, 0.0), (Model::DecayWithOffset, 7.0)] {
            let images = noisy(&ECHOES, [offset, 90.0, t2], 0.0, 1);
            let fit = plan(model, &ECHOES).fit(images.view(), &FitOptions::default());
            assert!((f64::from(fit.value_ms[[0, 0]]) / t2 - 1.0).abs() < 1e-3, "{model:?} {t2}");
        }
    }
}

#[test]
fn the_inversion_factor_divides_t1() {
    let model = Model::LookLocker { inversion_factor: 0.96 };
    let images = noisy(&MOLLI, look_locker(1000.0), 0.0, 1);
    let fit = plan(model, &MOLLI).fit(images.view(), &FitOptions::default());
    assert!((fit.value_ms[[0, 0]] - 1000.0 / 0.96).abs() < 0.1);
}

#[test]
fn signs_come_back_from_magnitudes_and_from_phases() {
    let look = Model::LookLocker { inversion_factor: 1.0 };
    for t1 in [300.0, 700.0, 1150.0, 1600.0] {
        let signed = noisy(&MOLLI, look_locker(t1), 1.0, 64);
        let truth = plan(look, &MOLLI).fit(signed.view(), &FitOptions::default());
        let magnitude = FitOptions { polarity: Polarity::Magnitude, ..FitOptions::default() };
        let fit = plan(look, &MOLLI).fit(signed.mapv(f32::abs).view(), &magnitude);
        assert_eq!(fit.value_ms, truth.value_ms, "{t1}");
        let n_negative = signed.slice(s![.., 0, 7]).iter().filter(|value| **value < 0.0).count();
        assert_eq!(usize::from(fit.n_negated[[0, 7]]), n_negative);
        let turned = signed.mapv(|value| value * Complex32::from_polar(1.0, 2.3));
        let restored = restore_polarity(turned.view(), 4);
        assert!((&restored - &signed).iter().all(|difference| difference.abs() < 1e-4));
    }
}

/// Spread over the Cramér-Rao bound, and the share of pixels whose standard deviation covers the
/// truth in percent.
fn spread(model: Model, times: &[f64], parameters: [f64; 3], noise_sd: f64) -> (f64, f64) {
    let n = 20_000;
    let fit = plan(model, times)
        .fit(noisy(times, parameters, noise_sd, n).view(), &FitOptions::default());
    let [constant, exponential, time_ms] = parameters;
    let bound = cramer_rao_sd_ms(model, times, constant, exponential, time_ms, noise_sd);
    let (truth, _) = model.value(constant, exponential, time_ms);
    let errors: Vec<f64> = fit.value_ms.iter().map(|value| f64::from(*value) - truth).collect();
    let variance = errors.iter().map(|error| error * error).sum::<f64>() / n as f64;
    let covered =
        errors.iter().zip(&fit.sd_ms).filter(|(e, sd)| e.abs() <= f64::from(**sd)).count();
    (variance.sqrt() / bound.expect("a bound"), 100.0 * covered as f64 / n as f64)
}

#[test]
fn spread_is_the_cramer_rao_bound_and_one_sigma_covers_two_thirds() {
    let look = Model::LookLocker { inversion_factor: 1.0 };
    let cases: [(Model, &[f64], [f64; 3], f64); 6] = [
        (look, &MOLLI, look_locker(1000.0), 2.0),
        (look, &MOLLI, look_locker(1200.0), 2.0),
        (look, &MOLLI, look_locker(450.0), 2.0),
        (Model::Recovery, &SASHA, [100.0, -98.0, 1000.0], 1.0),
        (Model::RecoveryOfKnownDepth { depth: 1.0 }, &SASHA, [100.0, -100.0, 1000.0], 2.0),
        (Model::Decay, &ECHOES, [0.0, 100.0, 12.0], 2.0),
    ];
    for (model, times, parameters, noise_sd) in cases {
        let (ratio, coverage) = spread(model, times, parameters, noise_sd);
        println!("{model:?} {parameters:?}: {ratio:.3} of the bound, {coverage:.1} % covered");
        assert!((ratio - 1.0).abs() < 0.05, "{model:?}: {ratio}");
        assert!((63.0..73.0).contains(&coverage), "{model:?}: {coverage}");
    }
}

#[test]
fn cramer_rao_bounds_are_those_that_others_found() {
    // clinical literature: MOLLI 5(3)3, RR 1000 ms, B/A 1.9, SNR 25 and 50.
    let look = Model::LookLocker { inversion_factor: 1.0 };
    for (t1, noise_sd, sd_ms) in [(1000.0, 4.0, 36.0), (1000.0, 2.0, 18.0), (1200.0, 2.0, 20.0)] {
        let [a, b, time] = look_locker(t1);
        let bound = cramer_rao_sd_ms(look, &MOLLI, a, b, time, noise_sd).expect("a bound");
        assert!((bound / sd_ms - 1.0).abs() < 0.03, "{t1}: {bound}");
    }
}

#[test]
fn a_known_noise_level_covers_68_percent() {
    let images = noisy(&ECHOES, [0.0, 100.0, 12.0], 2.0, 20_000);
    let options = FitOptions { noise: Noise::Known(2.0), ..FitOptions::default() };
    let fit = plan(Model::Decay, &ECHOES).fit(images.view(), &options);
    let covered = fit.value_ms.iter().zip(&fit.sd_ms).filter(|(t, sd)| (*t - 12.0).abs() <= **sd);
    let share = covered.count() as f64 / 20_000.0;
    assert!((share - 0.683).abs() < 0.02, "{share}");
}

#[test]
fn pixels_without_an_answer_have_none() {
    let look = Model::LookLocker { inversion_factor: 1.0 };
    let mut images = Array3::zeros((8, 1, 4));
    images.slice_mut(s![.., 0, 1]).fill(5.0);
    images.slice_mut(s![.., 0, 2]).assign(&noisy(&MOLLI, look_locker(900.0), 0.0, 1).slice(s![
        ..,
        0,
        0
    ]));
    images[[3, 0, 2]] = f32::NAN;
    // A decay where a recovery is due.
    images.slice_mut(s![.., 0, 3]).assign(&noisy(&MOLLI, [1.0, 50.0, 900.0], 0.0, 1).slice(s![
        ..,
        0,
        0
    ]));
    for polarity in [Polarity::Signed, Polarity::Magnitude] {
        let options = FitOptions { polarity, ..FitOptions::default() };
        let fit = plan(look, &MOLLI).fit(images.view(), &options);
        let n_valid = if polarity == Polarity::Signed { 4 } else { 3 };
        for pixel in 0..n_valid {
            assert_eq!(fit.value_ms[[0, pixel]], 0.0, "{polarity:?}, pixel {pixel}");
            assert_eq!(fit.sd_ms[[0, pixel]], 0.0);
        }
    }
}

#[test]
fn a_time_beyond_the_range_is_none() {
    let range = SearchRange { shortest_ms: 100.0, longest_ms: 2000.0 };
    let plan = Plan::new(Model::Recovery, &MOLLI, range).expect("enough times");
    for (t1, is_inside) in [(60.0, false), (110.0, true), (1900.0, true), (2500.0, false)] {
        let fit = plan.fit(noisy(&MOLLI, [10.0, -20.0, t1], 0.0, 1).view(), &FitOptions::default());
        assert_eq!(fit.value_ms[[0, 0]] > 0.0, is_inside, "{t1}");
    }
}

#[test]
fn a_plan_needs_as_many_different_times_as_parameters() {
    let new = |times: &[f64]| Plan::new(Model::Recovery, times, Model::Recovery.usual_range());
    assert!(matches!(new(&[1.0, 2.0, 2.0]), Err(PlanError::TooFewTimes { n_different: 2, .. })));
    assert!(matches!(new(&[]), Err(PlanError::TooFewTimes { n_times: 0, .. })));
    assert!(matches!(new(&[1.0, f64::NAN, 3.0]), Err(PlanError::Time { index: 1, .. })));
    assert!(matches!(new(&[1.0, -2.0, 3.0]), Err(PlanError::Time { index: 1, .. })));
    assert!(new(&[3.0, 1.0, 2.0]).is_ok());
}

#[test]
fn twins_are_the_models_images() {
    let look = Model::LookLocker { inversion_factor: 1.0 };
    let images = noisy(&MOLLI, look_locker(1130.0), 0.0, 70);
    let twins = plan(look, &MOLLI).twins(images.view(), Polarity::Signed);
    let largest = (&twins - &images).iter().fold(0.0_f32, |most, d| most.max(d.abs()));
    // Half a step of the table away from the best T, of amplitudes of 100.
    assert!(largest < 0.5, "{largest}");
    let fit = plan(look, &MOLLI).fit(images.view(), &FitOptions::default());
    let largest =
        (&fit.predict(&MOLLI) - &images).iter().fold(0.0_f32, |most, d| most.max(d.abs()));
    assert!(largest < 1e-3, "{largest}");
    let from_magnitudes =
        plan(look, &MOLLI).twins(images.mapv(f32::abs).view(), Polarity::Magnitude);
    assert_eq!(from_magnitudes, twins);
}

#[test]
fn the_map_is_bitwise_the_same_on_one_thread_and_on_eight() {
    let look = Model::LookLocker { inversion_factor: 1.0 };
    let images = noisy(&MOLLI, look_locker(1130.0), 3.0, 3000);
    let images = images.into_shape_with_order((8, 50, 60)).expect("as many");
    let on = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads");
        pool.install(|| plan(look, &MOLLI).fit(images.view(), &FitOptions::default()))
    };
    assert_eq!(on(1), on(8));
}

/// Magnitudes of a complex decay with noise, `[echo, 1, pixel]`.
fn magnitudes(t2_star_ms: f64, snr: f64, n: usize) -> Array3<f32> {
    Array3::from_shape_fn((ECHOES.len(), 1, n), |(echo, _, pixel)| {
        let signal = snr * (-ECHOES[echo] / t2_star_ms).exp();
        let index = 2 * (echo * n + pixel) as u64;
        (signal + normal(index)).hypot(normal(index + 1)) as f32
    })
}

fn median(values: &Array2<f32>) -> f64 {
    let mut values: Vec<f32> = values.iter().copied().filter(|value| *value > 0.0).collect();
    values.sort_by(f32::total_cmp);
    f64::from(values[values.len() / 2])
}

#[test]
fn the_noise_floor_does_not_lengthen_t2_star() {
    let range = SearchRange { shortest_ms: 0.5, longest_ms: 200.0 };
    let floor = NoiseFloor::new(&ECHOES, range).expect("enough echoes");
    let naive = Plan::new(Model::Decay, &ECHOES, range).expect("enough echoes");
    let n = 4000;
    for (t2_star, snr, naive_least) in [(6.0, 20.0, 1.03), (12.0, 20.0, 0.99), (40.0, 60.0, 0.99)] {
        let images = magnitudes(t2_star, snr, n);
        let fit = floor.fit(images.view(), Array2::ones((1, n)).view(), None);
        let ratio = median(&fit.value_ms) / t2_star;
        // The promise: 5 % for T2* from 6 ms at SNR 20.
        assert!((ratio - 1.0).abs() < 0.02, "{t2_star} ms at SNR {snr}: {ratio}");
        let plain = naive.fit(images.view(), &FitOptions::default());
        assert!(median(&plain.value_ms) / t2_star > naive_least);
        let covered = fit.value_ms.iter().zip(&fit.sd_ms);
        let covered = covered.filter(|(t, sd)| (f64::from(**t) - t2_star).abs() <= f64::from(**sd));
        let share = covered.count() as f64 / n as f64;
        assert!((0.63..0.73).contains(&share), "{t2_star} ms at SNR {snr}: {share} covered");
    }
    let exact = noisy(&ECHOES, [0.0, 90.0, 8.0], 0.0, 1);
    let fit = floor.fit(exact.view(), Array2::zeros((1, 1)).view(), None);
    assert!((fit.value_ms[[0, 0]] - 8.0).abs() < 8e-3);
}

#[test]
fn truncation_leaves_out_the_floor() {
    let range = SearchRange { shortest_ms: 0.5, longest_ms: 200.0 };
    let truncation = Truncation::new(&ECHOES, range, 0.995, 3).expect("enough echoes");
    let n = 2000;
    let images = magnitudes(4.0, 60.0, n);
    let cut = truncation.fit(images.view(), &FitOptions::default());
    let naive = Plan::new(Model::Decay, &ECHOES, range).expect("enough echoes");
    let plain = naive.fit(images.view(), &FitOptions::default());
    let (cut, plain) = (median(&cut.value_ms), median(&plain.value_ms));
    assert!((cut - 4.0).abs() < (plain - 4.0).abs(), "{cut} and {plain}");
    assert!((cut / 4.0 - 1.0).abs() < 0.04, "{cut}");
}

#[test]
fn shmolli_uses_later_inversions_for_short_t1_only() {
    // 5(1)1(1)1 at 60 beats a minute; the later samples are wrong by much.
    let times = [100.0, 1100.0, 2100.0, 3100.0, 4100.0, 180.0, 260.0];
    let look = Model::LookLocker { inversion_factor: 1.0 };
    let inversions = [0, 0, 0, 0, 0, 1, 2];
    let fit = |t1: f64, is_wrong: bool| {
        let mut images = noisy(&times, look_locker(t1), 0.0, 1);
        if is_wrong {
            images.slice_mut(s![5.., .., ..]).fill(40.0);
        }
        let rule = ConditionalRule::default();
        let plan = Conditional::new(look, &times, &inversions, 1000.0, look.usual_range(), rule)
            .expect("it fits");
        plan.fit(images.view(), &FitOptions::default()).value_ms[[0, 0]]
    };
    for (t1, is_wrong) in [(1200.0, true), (600.0, true), (600.0, false), (300.0, false)] {
        let found = f64::from(fit(t1, is_wrong));
        assert!((found / t1 - 1.0).abs() < 1e-3, "{t1}: {found}");
    }
}

#[test]
fn extracellular_volume_is_that_of_the_formula() {
    let inputs = EcvInputs {
        native_t1_ms: ValueWithSd::new(1000.0, 18.0),
        post_contrast_t1_ms: ValueWithSd::new(450.0, 11.0),
        native_blood_t1_ms: ValueWithSd::new(1600.0, 35.0),
        post_contrast_blood_t1_ms: ValueWithSd::new(300.0, 7.0),
        haematocrit: ValueWithSd::new(0.42, 0.0),
    };
    let ecv = extracellular_volume(&inputs).expect("a value");
    let expected = 58.0 * (1.0 / 450.0 - 1.0 / 1000.0) / (1.0 / 300.0 - 1.0 / 1600.0);
    assert!((ecv.value - expected).abs() < 1e-9);
    // clinical literature: one pixel has 1.4 percentage points.
    assert!((ecv.sd - 1.4).abs() < 0.1, "{}", ecv.sd);
    let with_sd = EcvInputs { haematocrit: ValueWithSd::new(0.42, 0.02), ..inputs };
    let with_sd = extracellular_volume(&with_sd).expect("a value");
    assert!((with_sd.sd.hypot(0.0) - ecv.sd.hypot(0.9)).abs() < 0.05);
    let invalid = EcvInputs { native_t1_ms: ValueWithSd::default(), ..inputs };
    assert_eq!(extracellular_volume(&invalid), None);
    let formula = SyntheticHaematocrit { offset: -0.1232, native_ms: 866.0, post_contrast_ms: 0.0 };
    assert!((formula.from_blood(1600.0, 300.0).expect("a value") - 0.418).abs() < 1e-3);
    assert_eq!(formula.from_blood(200.0, 300.0), None);
    assert!((iron_mg_per_g(20.0).expect("a value") - 1.164).abs() < 0.01);
}

#[test]
fn an_image_with_a_phase_of_its_own_keeps_its_whole_signal() {
    // Signals of both signs beside each other, in an image whose phase drifts from the reference's.
    let (n_y, n_x) = (24, 48);
    let signal = |x: usize| if (x / 6).is_multiple_of(2) { 1.0_f32 } else { -0.7 };
    let images = ndarray::Array3::from_shape_fn((2, n_y, n_x), |(image, y, x)| {
        let common = Complex32::from_polar(1.0, 0.05 * y as f32);
        let own = Complex32::from_polar(1.0, 0.5 + 0.008 * x as f32);
        if image == 1 { common * 2.0 } else { common * own * signal(x) }
    });
    let restored = restore_polarity(images.view(), 1);
    for ((image, _, x), value) in restored.indexed_iter() {
        let truth = if image == 1 { 2.0 } else { signal(x) };
        // The real part alone is up to 37 % too small.
        assert!((value - truth).abs() < 0.01, "{image} {x}: {value} for {truth}");
    }
}

#[test]
fn a_phase_that_drifts_through_a_quarter_turn_makes_no_jump() {
    let images = ndarray::Array3::from_shape_fn((2, 8, 120), |(image, _, x)| {
        let own = if image == 1 { 0.0 } else { 0.02 * x as f32 + 0.4 };
        Complex32::from_polar(1.0, own)
    });
    let restored = restore_polarity(images.view(), 1);
    for x in 1..120 {
        let step = restored[[0, 4, x]] - restored[[0, 4, x - 1]];
        assert!(step.abs() < 0.15, "{step} at {x}");
    }
    assert!(restored[[0, 4, 2]] > 0.98 && restored[[0, 4, 117]] < -0.8);
    assert!(restore_polarity(ndarray::Array3::zeros((2, 0, 3)).view(), 1).is_empty());
}
