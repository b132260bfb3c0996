//! Numbers that other programs printed.

use super::*;

/// Echoes of `numbers` by their index in all echoes, to `tolerance` of the largest.
fn assert_echoes(all: &[Complex64], numbers: &[(usize, Complex64)], tolerance: f64) {
    for (index, number) in numbers {
        let difference = (all[*index] - number).norm();
        assert!(difference < tolerance * largest(all), "echo {index}: {} {number}", all[*index]);
    }
}

fn real(numbers: &[(usize, f64)]) -> Vec<(usize, Complex64)> {
    numbers.iter().map(|(index, value)| (*index, Complex64::from(*value))).collect()
}

/// mrpro 0.261015, double precision, 200 states: the sequence of `CardiacFingerprinting` with
/// TR 5 ms, TE 1.5 ms and T2 preparations of 30, 50 and 80 ms, its transverse states set to zero
/// after each `FispBlock`, `InversionBlock` and `T2PrepBlock`, times i.
#[test]
fn fingerprints_are_those_of_mrpro() {
    let shots = [0, 46, 47, 93, 94, 141, 188, 300, 500, 704];
    let rr_intervals_ms = [
        1033.9, 1362.8, 758.1, 1361.5, 883.9, 967.5, 1270.8, 956.9, 1062.2, 670.7, 1215.1, 1053.6,
        897.3, 1241.3,
    ];
    let of_mrpro = [
        (
            450.0,
            40.0,
            [
                -0.061347461,
                -0.004668491,
                0.054975772,
                0.113925856,
                0.030621969,
                0.015203166,
                0.008496117,
                0.11667676,
                -0.010275502,
                0.073747392,
            ],
        ),
        (
            1000.0,
            45.0,
            [
                -0.06479761,
                -0.048425596,
                0.024954442,
                0.06147375,
                0.026802471,
                0.012601293,
                0.008271549,
                0.064080791,
                -0.019942734,
                0.044809893,
            ],
        ),
        (
            1600.0,
            240.0,
            [
                -0.067599596,
                -0.064998922,
                0.001763091,
                0.030792594,
                0.033792829,
                0.03269758,
                0.035206852,
                0.00880445,
                -0.042341935,
                0.09778217,
            ],
        ),
        (
            300.0,
            80.0,
            [
                -0.059630248,
                0.023719644,
                0.06434943,
                0.142992068,
                0.046752903,
                0.033643467,
                0.024835853,
                0.121396704,
                0.001754884,
                0.119185169,
            ],
        ),
    ];
    let pauses_ms = rr_intervals_ms.map(|rr_interval_ms| rr_interval_ms - 47.0 * 5.0);
    let blocks = fingerprinting(&pauses_ms, 5.0, 1.5, [30.0, 50.0, 80.0]);
    for (t1_ms, t2_ms, values) in of_mrpro {
        let numbers = real(&std::array::from_fn::<_, 10, _>(|n| (shots[n], values[n])));
        // 705 pulses: what is lost beyond 64 turns is below 1e-5 and folded back below 3e-5.
        for (model, tolerance) in MODELS.into_iter().zip([1e-5, 5e-5, 1e-5]) {
            let all = echoes(model, &blocks, &tissue(t1_ms, t2_ms));
            assert_eq!(all.len(), 705);
            assert_echoes(&all, &numbers, tolerance);
        }
    }
}

/// `bart epg -B -1 1000 -2 45 -r 2.7 -e 1.35 -f 35 -n 66`, BART 0.8.00 (single precision).
#[test]
fn balanced_trains_are_those_of_barts_phase_graphs() {
    let numbers = real(&[
        (0, 0.29891816),
        (1, 0.29753059),
        (10, 0.28374383),
        (33, 0.25305301),
        (65, 0.2185346),
    ]);
    for model in [SignalModel::Bloch, SignalModel::Epg] {
        let blocks = [balanced(35.0, 2.7, 66, Startup::HalfAngle)];
        assert_echoes(&echoes(model, &blocks, &tissue(1000.0, 45.0)), &numbers, 5e-6);
    }
}

/// `bart epg -B -1 1600 -2 240 -r 2.7 -e 1.35 -f 35 -n 66 -o 0.05`: 50 Hz off resonance.
#[test]
fn off_resonance_has_the_sign_and_effect_of_barts_phase_graphs() {
    let numbers = [
        (0, Complex64::new(0.34382001, 0.02098576)),
        (1, Complex64::new(0.32783854, -0.02623022)),
        (10, Complex64::new(0.30279008, 0.01304117)),
        (33, Complex64::new(0.32730946, -0.01332161)),
        (65, Complex64::new(0.31752217, -0.00122685)),
    ];
    let tissue = Tissue { off_resonance_hz: 50.0, ..tissue(1600.0, 240.0) };
    for model in [SignalModel::Bloch, SignalModel::Epg] {
        let blocks = [balanced(35.0, 2.7, 66, Startup::HalfAngle)];
        assert_echoes(&echoes(model, &blocks, &tissue), &numbers, 5e-6);
    }
}

/// `bart sim --STM -1 1:1:1 -2 0.045:0.045:1 --seq IR-BSSFP,TR=0.0045,TE=0.00225,Nrep=66,pinv,`
/// `ipl=0,isp=0,ppl=0.00225,Trf=0.000001,FA=45,BWTP=1`, times −i. Its pulses last 1 µs.
#[test]
fn inversion_recovery_by_balanced_trains_is_that_of_barts_bloch_simulation() {
    let numbers = real(&[
        (0, -0.37366593),
        (1, -0.36566257),
        (10, -0.29620126),
        (33, -0.16394095),
        (65, -0.05235472),
    ]);
    let blocks = [Block::Inversion { factor: 1.0 }, balanced(45.0, 4.5, 66, Startup::HalfAngle)];
    for model in [SignalModel::Bloch, SignalModel::Epg] {
        assert_echoes(&echoes(model, &blocks, &tissue(1000.0, 45.0)), &numbers, 1e-4);
    }
}

/// `bart epg -F -s 0 -1 450 -2 40 -r 10 -e 2 -f 15 -n 66`, times i: right after the pulse.
#[test]
fn flash_is_that_of_barts_phase_graphs() {
    let numbers = real(&[
        (0, 0.25881904),
        (1, 0.2501938),
        (10, 0.19115303),
        (33, 0.12671535),
        (65, 0.10671856),
    ]);
    for model in MODELS {
        let blocks = [spoiled(vec![15.0; 66], 10.0, 0.0, Spoiling::Ideal)];
        assert_echoes(&echoes(model, &blocks, &tissue(450.0, 40.0)), &numbers, 5e-6);
    }
}
