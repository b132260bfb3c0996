use ndarray::{Array2, s};
use num_complex::Complex32;

use super::*;
use crate::bloch::Decay;
use crate::epg::States;

/// Beats of a heart that is not regular.
const RR_MS: [f64; 14] = [
    1000.0, 940.0, 1080.0, 700.0, 1300.0, 990.0, 1010.0, 2050.0, 960.0, 1030.0, 880.0, 1120.0,
    1000.0, 970.0,
];

fn first_pulses_ms(rr_ms: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut now_ms = 400.0;
    let mut times = vec![now_ms];
    times.extend(rr_ms.into_iter().map(|rr_ms| {
        now_ms += rr_ms;
        now_ms
    }));
    times
}

fn course_of(rr_ms: impl IntoIterator<Item = f64>) -> Course {
    let table = PulseTable::fifteen_beats(5.1, 1.52);
    Course::new(table, &first_pulses_ms(rr_ms), Imperfections::default()).expect("a good course")
}

/// The same by the complex phase graph, one step after the other.
fn by_steps(course: &Course, [t1_ms, t2_ms]: [f64; 2]) -> Vec<f64> {
    let table = &course.table;
    let over = |duration_ms| Decay::over(duration_ms, t1_ms, t2_ms);
    let mut states = States::equilibrium(400);
    let mut echoes = Vec::new();
    for (beat, wait_ms) in table.beats.iter().zip(&course.waits_ms) {
        states.spoil();
        states.relax(over(*wait_ms));
        match beat.preparation {
            Preparation::None => {}
            Preparation::Inversion { inversion_time_ms } => {
                states.prepare(-course.imperfections.inversion_factor, 0.0);
                states.relax(over(inversion_time_ms));
            }
            Preparation::T2 { echo_time_ms } => {
                states.prepare((-echo_time_ms / t2_ms).exp(), 0.0);
            }
        }
        for angle_deg in &beat.flip_angles_deg {
            states.rf((angle_deg * course.imperfections.b1).to_radians(), 0.0);
            states.relax(over(table.echo_time_ms));
            echoes.push(-states.signal().im);
            states.relax(over(table.repetition_time_ms - table.echo_time_ms));
            states.shift();
        }
    }
    echoes
}

#[test]
fn signals_of_many_are_those_of_each_by_the_complex_phase_graph() {
    let mut course = course_of(RR_MS);
    course.imperfections.inversion_factor = 0.95;
    course.imperfections.b1 = 0.93;
    // More than one block, and one that is not full.
    let tissues: Vec<[f64; 2]> =
        (0..19).map(|n| [250.0 + 110.0 * f64::from(n), 20.0 + 11.0 * f64::from(n)]).collect();
    let all = signals(&course, &tissues);
    for n in [0, 7, 15, 16, 18] {
        for (echo, expected) in by_steps(&course, tissues[n]).into_iter().enumerate() {
            let off = (f64::from(all[[n, echo]]) - expected).abs();
            // The orders that are left out, at T2 of up to 218 ms; and single precision.
            assert!(off < 2e-5, "tissue {n}, echo {echo}: {off}");
        }
    }
}

#[test]
fn signals_are_those_of_mrpro() {
    // mrpro 0.261015, its `CardiacFingerprinting.sequence` in double precision with 64 states, RR
    // of [`RR_MS`], TR 5.1, TE 1.52, T2 preparations of 30, 50 and 100 ms, in magnitude with the
    // sign of -Im: echoes 0, 46, 47, 100, 140, 187, 234, 235, 422, 563, 704.
    const ECHOES: [usize; 11] = [0, 46, 47, 100, 140, 187, 234, 235, 422, 563, 704];
    const MRPRO: &[([f64; 2], [f64; 11])] = &[
        (
            [1000.0, 46.0],
            [
                -0.0648164, -0.0476977, 0.0234612, 0.0638753, 0.0684007, 0.0570212, 0.0391593,
                -0.0451412, 0.0630687, 0.0635686, 0.0404391,
            ],
        ),
        (
            [1600.0, 240.0],
            [
                -0.0675940, -0.0645263, 0.0032621, 0.0725097, 0.0711876, 0.0951255, 0.0813273,
                -0.0441615, 0.1157396, 0.0360680, 0.0870611,
            ],
        ),
        (
            [300.0, 20.0],
            [
                -0.0563123, 0.0304727, 0.0603877, 0.0531958, 0.0883833, 0.0827946, 0.0798025,
                -0.0549818, 0.0829255, 0.1130167, 0.0798319,
            ],
        ),
        (
            [2500.0, 60.0],
            [
                -0.0669277, -0.0756766, -0.0131822, 0.0248445, 0.0243053, 0.0336249, 0.0212113,
                -0.0263613, 0.0467663, 0.0223574, 0.0231742,
            ],
        ),
    ];
    let mut course = course_of(RR_MS);
    course.table.transverse = Transverse::Kept;
    for (tissue, expected) in MRPRO {
        let found = signals(&course, &[*tissue]);
        for (echo, expected) in ECHOES.into_iter().zip(expected) {
            let off = (f64::from(found[[0, echo]]) - expected).abs();
            // Single precision over 705 echoes.
            assert!(off < 1e-5, "{tissue:?}, echo {echo}: {off}");
        }
    }
}

#[test]
fn a_slice_profile_is_the_mean_of_its_angles() {
    let mut course = course_of(RR_MS);
    course.imperfections.slice_profile = vec![0.5, 1.0];
    let both = signals(&course, &[[1000.0, 50.0]]);
    let of = |b1| {
        let mut course = course_of(RR_MS);
        course.imperfections.b1 = b1;
        signals(&course, &[[1000.0, 50.0]])
    };
    let mean = (of(0.5) + of(1.0)) / 2.0;
    assert!(both.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn waits_are_what_the_echoes_and_the_preparation_leave() {
    let course = course_of([1000.0; 14]);
    let train_ms = 47.0 * 5.1;
    let expected = [0.0, 1000.0 - train_ms, 970.0 - train_ms, 950.0 - train_ms, 900.0 - train_ms];
    for (wait_ms, expected) in course.waits_ms.iter().zip(expected) {
        assert!((wait_ms - expected).abs() < 1e-9);
    }
    assert!((course.waits_ms[5] - (980.0 - train_ms)).abs() < 1e-9);
}

#[test]
fn times_that_cannot_be_are_refused() {
    let table = PulseTable::fifteen_beats(5.1, 1.52);
    let new = |times: &[f64]| Course::new(table.clone(), times, Imperfections::default());
    let mut times = first_pulses_ms(RR_MS);
    assert_eq!(new(&times[1..]), Err(CourseError::Count { found: 14, expected: 15 }));
    times[4] = times[3] + 300.0;
    let Err(CourseError::Overlap { beat: 5, .. }) = new(&times) else { panic!("{times:?}") };
    times[4] = f64::NAN;
    assert!(matches!(new(&times), Err(CourseError::Value { .. })));
    let imperfections = Imperfections { b1: f64::NAN, ..Imperfections::default() };
    assert!(Course::new(table, &first_pulses_ms(RR_MS), imperfections).is_err());
}

#[test]
fn the_grid_of_ptb_has_22_988_entries() {
    let grid = Grid::ptb();
    assert_eq!((grid.t1_ms().len(), grid.t2_ms().len()), (286, 83));
    assert_eq!(grid.n_entries(), 22_988);
    assert!(Grid::logarithmic([100.0, 50.0], [5.0, 500.0], 4.0).is_err());
    assert!(Grid::logarithmic([100.0, 3000.0], [5.0, 500.0], 0.0).is_err());
    let grid = Grid::logarithmic([100.0, 3000.0], [5.0, 500.0], 4.0).expect("a good one");
    let factors = grid.t1_ms().windows(2).map(|pair| pair[1] / pair[0]);
    assert!(factors.into_iter().all(|factor| factor > 1.03 && factor <= 1.04 + 1e-9));
}

#[test]
fn modes_are_orthonormal_and_hold_as_much_as_they_say() {
    let course = course_of(RR_MS);
    let basis = Basis::of_course(&course, 10);
    for a in 0..10 {
        for b in 0..10 {
            let dot = basis.modes.row(a).dot(&basis.modes.row(b));
            assert!((dot - f32::from(u8::from(a == b))).abs() < 1e-5);
        }
    }
    // Of tissues beyond those of the body, too: 2.2e-4.
    assert!(basis.energy_left_out < 3e-4, "{}", basis.energy_left_out);
    let signal = signals(&course, &[[950.0, 47.0]]);
    let kept = basis.modes.dot(&signal.row(0));
    let left = 1.0 - kept.dot(&kept) / signal.row(0).dot(&signal.row(0));
    assert!(left < 2e-4, "{left}");
}

/// Reduced signals of tissues, `[mode, tissue]`, with an amplitude and phase.
fn pixels(course: &Course, basis: &Basis, tissues: &[[f64; 2]]) -> Array2<Complex32> {
    let reduced = basis.modes.dot(&signals(course, tissues).t());
    reduced.mapv(|value| Complex32::from_polar(30.0, 0.7) * value)
}

fn dictionary(course: &Course, basis: &Basis) -> Dictionary {
    let grid = Grid::logarithmic([50.0, 4000.0], [5.0, 600.0], 5.0).expect("a good grid");
    Dictionary::new(course, grid, basis.modes.view())
}

#[test]
fn t1_and_t2_between_the_entries_come_back_without_noise() {
    let course = course_of(RR_MS);
    let basis = Basis::of_course(&course, 12);
    let dictionary = dictionary(&course, &basis);
    let tissues: Vec<[f64; 2]> = (0..200)
        .map(|n| {
            let [a, b] = [f64::from(n) * 0.618_034 % 1.0, f64::from(n) * 0.414_214 % 1.0];
            let t1_ms = 150.0 * 20.0_f64.powf(a);
            [t1_ms, (10.0 * 40.0_f64.powf(b)).min(0.8 * t1_ms)]
        })
        .collect();
    let found =
        dictionary.match_pixels(pixels(&course, &basis, &tissues).view(), &MatchOptions::default());
    for (n, [t1_ms, t2_ms]) in tissues.iter().enumerate() {
        let off =
            [f64::from(found.t1_ms[n]) / t1_ms - 1.0, f64::from(found.t2_ms[n]) / t2_ms - 1.0];
        // Cubic polynomials over steps of 5 %, and single precision: near its top a sum of squares
        // is flat.
        assert!(off[0].abs() < 2e-3 && off[1].abs() < 5e-3, "{t1_ms} {t2_ms}: {off:?}");
        assert!((found.m0[n] - Complex32::from_polar(30.0, 0.7)).norm() < 0.05);
        assert!(found.correlation[n] > 0.999_99);
    }
}

#[test]
fn the_best_of_all_entries_is_found_and_uncertainties_are_those_of_repeated_scans() {
    let course = course_of(RR_MS);
    let basis = Basis::of_course(&course, 10);
    let dictionary = dictionary(&course, &basis);
    let mut state = 7_u64;
    let mut normal = || {
        let mut sum = 0.0_f32;
        for _ in 0..12 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            sum += (state >> 40) as f32 / (1 << 24) as f32 - 0.5;
        }
        sum
    };
    // As at a signal-to-noise ratio of 10 in each echo.
    let mut pixels = pixels(&course, &basis, &vec![[1000.0, 46.0]; 3000]);
    let noise_sd = 30.0 * 0.18 / 10.0;
    pixels.mapv_inplace(|value| value + noise_sd * Complex32::new(normal(), normal()));
    let found = dictionary.match_pixels(pixels.view(), &MatchOptions { noise_sd: Some(noise_sd) });
    for (values, sds, truth) in
        [(&found.t1_ms, &found.t1_sd_ms, 1000.0), (&found.t2_ms, &found.t2_sd_ms, 46.0)]
    {
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        let sd = (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / n).sqrt();
        let told = sds.iter().sum::<f32>() / n;
        // 3000 of them: the standard error of a spread is 1.3 %, of the mean 0.02 of the spread.
        assert!((sd / told - 1.0).abs() < 0.05, "{sd} and {told}");
        assert!((mean - truth).abs() < 0.08 * sd, "{mean}");
        let covered = values.iter().zip(sds).filter(|(v, sd)| (**v - truth).abs() < **sd).count();
        assert!((0.65..0.715).contains(&(covered as f32 / n)), "{covered}");
    }
    // What is left is the noise, and no entry of all fits better than the place between them.
    let mean = found.residual_sd.iter().map(|sd| sd * sd).sum::<f32>() / 3000.0;
    assert!((mean.sqrt() / noise_sd - 1.0).abs() < 0.02, "{mean}");
    for n in (0..3000).step_by(100) {
        let pixel = pixels.slice(s![.., n]);
        let energy: f32 = pixel.iter().map(|value| value.norm_sqr()).sum();
        let grid = dictionary.grid();
        let best = (0..grid.t1_ms().len())
            .flat_map(|t1| (0..grid.t2_ms().len()).map(move |t2| [t1, t2]))
            .filter(|place| grid.is_entry(*place))
            .map(|place| {
                let entry = dictionary.entry(place);
                let along: Complex32 = entry.iter().zip(pixel).map(|(e, p)| p * e).sum();
                along.norm() / (energy * entry.iter().map(|e| e * e).sum::<f32>()).sqrt()
            })
            .fold(0.0, f32::max);
        assert!(found.correlation[n] >= best - 1e-6, "{} and {best}", found.correlation[n]);
    }
}

#[test]
fn pixels_without_signal_have_no_value_and_those_beyond_the_grid_no_certainty() {
    let course = course_of(RR_MS);
    let basis = Basis::of_course(&course, 8);
    let grid = Grid::logarithmic([200.0, 2000.0], [20.0, 200.0], 6.0).expect("a good grid");
    let dictionary = Dictionary::new(&course, grid, basis.modes.view());
    let mut pixels = pixels(&course, &basis, &[[3500.0, 60.0], [900.0, 50.0], [900.0, 50.0]]);
    pixels.slice_mut(s![.., 1]).fill(Complex32::ZERO);
    pixels.slice_mut(s![.., 2]).fill(Complex32::new(f32::NAN, 0.0));
    let found = dictionary.match_pixels(pixels.view(), &MatchOptions::default());
    assert!((found.t1_ms[0] - 2000.0).abs() < 0.1, "{}", found.t1_ms[0]);
    assert!(found.t1_sd_ms[0].is_infinite());
    assert_eq!(found.t1_ms[1..], [0.0, 0.0]);
}
