//! The three models against each other.

use std::f64::consts::TAU;

use super::*;

const T1_T2_MS: [(f64, f64); 8] = [
    (50.0, 10.0),
    (260.0, 80.0),
    (450.0, 40.0),
    (1000.0, 45.0),
    (1600.0, 240.0),
    (1850.0, 150.0),
    (3000.0, 30.0),
    (3000.0, 300.0),
];

#[test]
fn isochromats_and_phase_graphs_agree_on_fingerprints() {
    for (tr_ms, t2_prep_ms) in [(5.0, [30.0, 50.0, 80.0]), (10.0, [30.0, 50.0, 100.0])] {
        // A beat for each preparation, at an uneven rhythm, and a second inversion.
        let pauses_ms = [430.0, 810.0, 590.0, 300.0, 700.0];
        let blocks = fingerprinting(&pauses_ms, tr_ms, 1.5, t2_prep_ms);
        for (t1_ms, t2_ms) in T1_T2_MS {
            let tissue = tissue(t1_ms, t2_ms);
            let [closed, bloch, epg] = MODELS.map(|model| echoes(model, &blocks, &tissue));
            let scale = largest(&epg);
            // Turns of dephasing beyond the last are dropped by one and folded back by the
            // other: 1e-5 where T1 is 3000 ms and T2 300 ms, nothing to speak of elsewhere.
            let difference = largest_difference(&bloch, &epg) / scale;
            assert!(difference < 5e-5, "{t1_ms} {t2_ms} {tr_ms}: {difference}");
            let difference = largest_difference(&closed, &epg) / scale;
            assert!(difference < 1e-12, "{t1_ms} {t2_ms} {tr_ms}: {difference}");
        }
    }
}

#[test]
fn isochromats_and_phase_graphs_agree_on_balanced_trains_at_any_resonance() {
    for startup in [Startup::HalfAngle, Startup::Ramp(1), Startup::Ramp(5)] {
        for off_resonance_hz in [0.0, 40.0, -170.0] {
            let blocks = [
                Block::Inversion { factor: 0.96 },
                wait(120.0),
                balanced(35.0, 2.7, 66, startup),
                wait(700.0),
                balanced(70.0, 3.2, 66, startup),
            ];
            for (t1_ms, t2_ms) in T1_T2_MS {
                let tissue = Tissue { off_resonance_hz, ..tissue(t1_ms, t2_ms) };
                let bloch = echoes(SignalModel::Bloch, &blocks, &tissue);
                let epg = echoes(SignalModel::Epg, &blocks, &tissue);
                assert!(largest_difference(&bloch, &epg) < 1e-12);
            }
        }
    }
}

#[test]
fn formulas_of_balanced_trains_are_right_to_about_a_hundredth_of_the_equilibrium() {
    // The magnetisation does not lie exactly half an angle from z: TR/T2 off, which is the
    // error's order.
    for (startup, echo_tolerance) in [(Startup::HalfAngle, 0.009), (Startup::Ramp(5), 0.013)] {
        for (t1_ms, t2_ms) in [(450.0, 40.0), (1000.0, 50.0), (1600.0, 200.0), (450.0, 200.0)] {
            for flip_deg in [35.0, 50.0] {
                for before in [-1.0, -0.4, 0.0, 0.5, 1.0] {
                    let blocks = [
                        Block::Saturation { residual: before },
                        balanced(flip_deg, 2.7, 66, startup),
                    ];
                    let [closed, bloch] =
                        [SignalModel::ClosedForm, SignalModel::Bloch].map(|model| {
                            let mut it = Magnetization::equilibrium(model, &tissue(t1_ms, t2_ms));
                            let mut echoes = Vec::new();
                            blocks.iter().for_each(|block| it.play(block, &mut echoes));
                            (echoes, it.longitudinal())
                        });
                    let difference = largest_difference(&closed.0, &bloch.0);
                    assert!(difference < echo_tolerance, "{t1_ms} {t2_ms}: {difference}");
                    let difference = (closed.1 - bloch.1).abs();
                    assert!(difference < 0.016, "{t1_ms} {t2_ms} {flip_deg}: {difference}");
                }
            }
        }
    }
}

#[test]
fn all_agree_on_ideally_spoiled_trains_and_on_preparations() {
    let blocks = [
        Block::Inversion { factor: 0.93 },
        wait(200.0),
        Block::T2Preparation { echo_time_ms: 50.0, efficiency: 0.95, offset: 0.3 },
        Block::SpoiledTrain(SpoiledTrain {
            flip_angles_deg: (0..60).map(|n| 5.0 + 0.3 * f64::from(n)).collect(),
            repetition_time_ms: 20.0,
            echo_times_ms: vec![2.0, 4.5, 7.0],
            spoiling: Spoiling::Ideal,
            n_dummies: 10,
        }),
        Block::Saturation { residual: 0.02 },
        Block::T2Preparation { echo_time_ms: 0.0, efficiency: 0.95, offset: 0.3 },
        wait(400.0),
        spoiled(vec![12.0; 40], 6.0, 2.0, Spoiling::Ideal),
    ];
    for (t1_ms, t2_ms) in T1_T2_MS {
        let tissue =
            Tissue { t2_star_ms: 0.6 * t2_ms, off_resonance_hz: 63.0, ..tissue(t1_ms, t2_ms) };
        let [closed, bloch, epg] = MODELS.map(|model| echoes(model, &blocks, &tissue));
        assert!(largest_difference(&closed, &bloch) < 1e-12);
        assert!(largest_difference(&closed, &epg) < 1e-12);
    }
}

#[test]
fn all_agree_on_spin_and_stimulated_echoes_whatever_the_angles() {
    for b1_scale in [1.0, 0.8, 1.1] {
        let imperfections = Imperfections { b1_scale, ..Imperfections::default() };
        for block in [
            Block::SpinEcho { echo_time_ms: 60.0 },
            Block::StimulatedEcho { echo_time_ms: 40.0, mixing_time_ms: 900.0 },
        ] {
            // What is before and after sees Mz only.
            let flash = spoiled(vec![10.0; 3], 5.0, 2.0, Spoiling::Ideal);
            let blocks = [Block::Inversion { factor: 0.9 }, wait(300.0), block, wait(9.0), flash];
            let tissue = Tissue { off_resonance_hz: 25.0, ..tissue(800.0, 55.0) };
            let [closed, bloch, epg] =
                MODELS.map(|model| imperfect_echoes(model, &blocks, &tissue, &imperfections));
            assert!(largest_difference(&closed, &epg) < 1e-12, "{b1_scale} {closed:?} {epg:?}");
            assert!(largest_difference(&closed, &bloch) < 1e-12, "{b1_scale}");
        }
    }
}

#[test]
fn off_resonance_is_a_mere_phase_of_gradient_echoes() {
    let blocks = fingerprinting(&[430.0, 810.0], 5.0, 1.5, [30.0, 50.0, 80.0]);
    for model in MODELS {
        let on = echoes(model, &blocks, &tissue(1000.0, 45.0));
        let off_tissue = Tissue { off_resonance_hz: 87.0, ..tissue(1000.0, 45.0) };
        let off = echoes(model, &blocks, &off_tissue);
        let turn = Complex64::cis(TAU * 87.0 * 1.5e-3);
        let expected: Vec<Complex64> = on.iter().map(|echo| echo * turn).collect();
        assert!(largest_difference(&off, &expected) < 1e-5 * largest(&on));
    }
}

#[test]
fn the_formula_has_the_phase_of_balanced_echoes_where_the_pass_band_is_flat() {
    let train = |echo_time_ms| {
        [Block::BalancedTrain(BalancedTrain {
            flip_angle_deg: 50.0,
            repetition_time_ms: 3.0,
            echo_time_ms,
            n_echoes: 400,
            startup: Startup::HalfAngle,
        })]
    };
    let tissue = Tissue { off_resonance_hz: 20.0, ..tissue(300.0, 250.0) };
    for echo_time_ms in [0.5, 1.5, 2.5] {
        let [closed, bloch] = [SignalModel::ClosedForm, SignalModel::Bloch]
            .map(|model| echoes(model, &train(echo_time_ms), &tissue)[399]);
        // A turn of 0.06 per repetition, of which the pass band keeps the phase to 2 %.
        assert!((closed.arg() - bloch.arg()).abs() < 0.004, "{closed} {bloch}");
        assert!((closed.norm() / bloch.norm() - 1.0).abs() < 0.03, "{closed} {bloch}");
    }
}

#[test]
fn what_one_gradient_spoiled_train_leaves_the_next_one_finds_in_all_models() {
    let fisp = spoiled(vec![25.0; 40], 5.0, 1.5, Spoiling::Gradient);
    let between = [
        wait(60.0),
        Block::Inversion { factor: 1.0 },
        Block::T2Preparation { echo_time_ms: 30.0, efficiency: 0.9, offset: 0.1 },
        spoiled(vec![10.0; 20], 4.0, 1.0, Spoiling::Ideal),
    ];
    for block in between {
        let blocks = [fisp.clone(), block.clone(), fisp.clone()];
        let [closed, bloch, epg] =
            MODELS.map(|model| echoes(model, &blocks, &tissue(1600.0, 200.0)));
        assert!(largest_difference(&closed, &epg) < 1e-12, "{block:?}");
        assert!(largest_difference(&bloch, &epg) < 1e-5, "{block:?}");
    }
    let blocks = [fisp.clone(), balanced(40.0, 3.0, 30, Startup::Ramp(5)), fisp];
    let [closed, bloch, epg] = MODELS.map(|model| echoes(model, &blocks, &tissue(1600.0, 200.0)));
    assert!(largest_difference(&bloch, &epg) < 1e-5);
    assert!(largest_difference(&closed, &epg) < 0.01);
}

#[test]
fn the_magnetization_of_isochromats_and_phase_graphs_agrees_after_every_block() {
    let blocks = fingerprinting(&[430.0, 810.0, 590.0], 5.0, 1.5, [30.0, 50.0, 80.0]);
    let [mut closed, mut bloch, mut epg] =
        MODELS.map(|model| Magnetization::equilibrium(model, &tissue(1000.0, 45.0)));
    for block in &blocks {
        for it in [&mut closed, &mut bloch, &mut epg] {
            it.play(block, &mut Vec::new());
        }
        assert!((bloch.longitudinal() - epg.longitudinal()).abs() < 1e-6);
        assert!((closed.longitudinal() - epg.longitudinal()).abs() < 1e-12);
    }
}
