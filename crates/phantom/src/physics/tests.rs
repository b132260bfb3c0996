mod agreement;
mod peers;
mod textbook;

use num_complex::Complex64;

use super::*;
use crate::tissue::Tissue;

const MODELS: [SignalModel; 3] = [SignalModel::ClosedForm, SignalModel::Bloch, SignalModel::Epg];

fn tissue(t1_ms: f64, t2_ms: f64) -> Tissue {
    Tissue {
        t1_ms,
        t2_ms,
        t2_star_ms: t2_ms,
        proton_density: 1.0,
        off_resonance_hz: 0.0,
        ecv_percent: None,
    }
}

fn wait(duration_ms: f64) -> Block {
    Block::Wait { duration_ms }
}

/// With echoes half-way between pulses.
fn balanced(flip_angle_deg: f64, tr_ms: f64, n_echoes: usize, startup: Startup) -> Block {
    Block::BalancedTrain(BalancedTrain {
        flip_angle_deg,
        repetition_time_ms: tr_ms,
        echo_time_ms: tr_ms / 2.0,
        n_echoes,
        startup,
    })
}

fn spoiled(flip_angles_deg: Vec<f64>, tr_ms: f64, te_ms: f64, spoiling: Spoiling) -> Block {
    Block::SpoiledTrain(SpoiledTrain {
        flip_angles_deg,
        repetition_time_ms: tr_ms,
        echo_times_ms: vec![te_ms],
        spoiling,
        n_dummies: 0,
    })
}

/// Fingerprinting: a beat each with an inversion, nothing, and three T2 preparations, thrice
/// (Hamilton 2017), 47 pulses a beat.
///
/// * `pauses_ms`: from the end of a beat to the start of the next, its preparation included.
fn fingerprinting(pauses_ms: &[f64], tr_ms: f64, te_ms: f64, t2_prep_ms: [f64; 3]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for beat in 0..=pauses_ms.len() {
        let preparation_ms = match beat % 5 {
            0 => 20.0,
            1 => 0.0,
            n => t2_prep_ms[n - 2],
        };
        if beat > 0 {
            blocks.push(wait(pauses_ms[beat - 1] - preparation_ms));
        }
        match beat % 5 {
            0 => blocks.extend([Block::Inversion { factor: 1.0 }, wait(preparation_ms)]),
            1 => {}
            _ => blocks.push(Block::T2Preparation {
                echo_time_ms: preparation_ms,
                efficiency: 1.0,
                offset: 0.0,
            }),
        }
        let max_deg = [12.5, 18.75, 25.0, 25.0, 25.0][beat % 5];
        let ramp = (0..16).map(|n| 4.0 + (max_deg - 4.0) * f64::from(n) / 15.0);
        let flips_deg = ramp.chain(std::iter::repeat_n(max_deg, 31)).collect();
        blocks.push(spoiled(flips_deg, tr_ms, te_ms, Spoiling::Gradient));
    }
    blocks
}

fn largest(echoes: &[Complex64]) -> f64 {
    echoes.iter().map(|echo| echo.norm()).fold(0.0, f64::max)
}

fn largest_difference(a: &[Complex64], b: &[Complex64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max)
}

#[test]
fn the_proton_density_scales_the_echoes_and_none_gives_none() {
    let blocks =
        [balanced(35.0, 2.7, 5, Startup::HalfAngle), Block::SpinEcho { echo_time_ms: 50.0 }];
    for model in MODELS {
        let one = echoes(model, &blocks, &tissue(1000.0, 50.0));
        let half = Tissue { proton_density: 0.5, ..tissue(1000.0, 50.0) };
        let halves: Vec<Complex64> = one.iter().map(|echo| echo * 0.5).collect();
        assert_eq!(echoes(model, &blocks, &half), halves);
        let nothing = Tissue { proton_density: 0.0, ..tissue(1000.0, 50.0) };
        assert_eq!(largest(&echoes(model, &blocks, &nothing)), 0.0);
    }
}

#[test]
fn every_block_records_the_echoes_that_it_announces_and_keeps_its_time() {
    let blocks = [
        wait(10.0),
        Block::Inversion { factor: 0.96 },
        Block::Saturation { residual: 0.02 },
        Block::T2Preparation { echo_time_ms: 40.0, efficiency: 0.95, offset: 0.2 },
        balanced(50.0, 3.0, 7, Startup::Ramp(4)),
        balanced(50.0, 3.0, 0, Startup::HalfAngle),
        Block::SpoiledTrain(SpoiledTrain {
            flip_angles_deg: vec![10.0, 20.0, 30.0, 40.0],
            repetition_time_ms: 20.0,
            echo_times_ms: vec![2.0, 5.0, 20.0],
            spoiling: Spoiling::Gradient,
            n_dummies: 2,
        }),
        Block::SpinEcho { echo_time_ms: 30.0 },
        Block::StimulatedEcho { echo_time_ms: 30.0, mixing_time_ms: 800.0 },
    ];
    assert_eq!(check(&blocks), Ok(()));
    let n_echoes: Vec<usize> = blocks.iter().map(Block::n_echoes).collect();
    assert_eq!(n_echoes, [0, 0, 0, 0, 7, 0, 6, 1, 1]);
    for model in MODELS {
        let mut magnetization = Magnetization::equilibrium(model, &tissue(900.0, 60.0));
        for (block, n_echoes) in blocks.iter().zip(&n_echoes) {
            let mut echoes = Vec::new();
            magnetization.play(block, &mut echoes);
            assert_eq!(echoes.len(), *n_echoes, "{block:?}");
            assert!(echoes.iter().all(|echo| echo.norm() <= 1.0));
            assert!(magnetization.longitudinal().abs() <= 1.0, "{block:?}");
        }
    }
}

#[test]
fn a_train_without_angle_is_a_pause_of_its_duration() {
    // Mz recovers for as long as the block says that it takes. The formulas of a balanced train
    // are no such check: they take TR ≪ T2.
    for model in [SignalModel::Bloch, SignalModel::Epg] {
        for block in [
            balanced(0.0, 3.0, 40, Startup::Ramp(4)),
            balanced(0.0, 3.0, 40, Startup::HalfAngle),
            spoiled(vec![0.0; 30], 8.0, 3.0, Spoiling::Gradient),
            spoiled(vec![0.0; 30], 8.0, 3.0, Spoiling::Ideal),
        ] {
            let recovered = |block: &Block| {
                let mut magnetization = Magnetization::equilibrium(model, &tissue(900.0, 60.0));
                magnetization.play(&Block::Inversion { factor: 1.0 }, &mut Vec::new());
                magnetization.play(block, &mut Vec::new());
                magnetization.longitudinal()
            };
            let expected = recovered(&wait(block.duration_ms()));
            assert!((recovered(&block) - expected).abs() < 1e-12, "{block:?}");
        }
    }
}
