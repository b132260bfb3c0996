//! What sequences play against what they should.

use ismrmrd::AcquisitionFlags;
use num_complex::Complex64;

use super::*;
use crate::anatomy::{Contrast, Label, Lesion, ShortAxisOptions};
use crate::diffusion::MixingTime;
use crate::motion::{CardiacCycle, Motion, Rhythm, RhythmOptions};
use crate::physics::SignalModel;
use crate::scan::{Content, Frame, Orientation, Readout, Sampling, SimulatedScan, Subject};
use crate::tissue::{LesionKind, Tissue};
use crate::trajectory::{
    CalibrationLines, EpiOptions, LineOptions, LineOrder, SpiralOptions, SpokeAngles, Undersampling,
};

fn heart(options: ShortAxisOptions) -> Setup {
    Setup {
        matrix_size: [48, 40],
        field_of_view_mm: [360.0, 300.0],
        n_channels: 2,
        lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
        signal_model: SignalModel::Ideal,
        ..Setup::new(Subject::ShortAxis(options))
    }
}

fn play(sequence: &dyn Sequence, change: impl FnOnce(&mut Setup)) -> SimulatedScan {
    let mut setup = heart(ShortAxisOptions::default());
    change(&mut setup);
    SimulatedScan::new(sequence, setup).expect("a good setup")
}

fn irregular() -> Motion {
    let rhythm = Rhythm::new(&RhythmOptions {
        rr_interval_ms: 900.0,
        variability: 0.08,
        ectopic_probability: 0.1,
        missed_trigger_probability: 0.1,
        seed: 5,
        ..RhythmOptions::default()
    });
    Motion::still(rhythm.expect("good options"))
}

/// A region's label, tissue and signal.
type Signal = (Label, Tissue, Complex64);

/// Every frame with the signals of its regions.
fn signals(scan: &SimulatedScan) -> Vec<(&Frame, Vec<Signal>)> {
    scan.plan()
        .frames
        .iter()
        .map(|frame| {
            let Content::Body { moment, signals } = frame.content else {
                panic!("frames of these sequences show bodies");
            };
            let slice = scan.plan().moments[moment].slice;
            let Body::Anatomy(anatomy) = &scan.bodies()[slice] else { panic!("an anatomy") };
            let of_regions = anatomy
                .regions
                .iter()
                .zip(&scan.plan().signals[signals])
                .map(|(region, signal)| (region.label, region.tissue, *signal))
                .collect();
            (frame, of_regions)
        })
        .collect()
}

/// All signals of all frames against a model of the tissue and the frame's first value.
fn must_follow(scan: &SimulatedScan, model: impl Fn(&Tissue, f64) -> f64) {
    for (frame, regions) in signals(scan) {
        let value = frame.values.first().map_or(0.0, |(_, value)| *value);
        for (label, tissue, signal) in regions {
            let expected = tissue.proton_density * model(&tissue, value);
            // Fat precesses; its magnitude follows.
            let signal = if signal.im == 0.0 { signal.re } else { signal.norm() };
            assert!(
                (signal - expected).abs() < 1e-9,
                "{label:?}, {value}: {signal}, expected {expected}"
            );
        }
    }
}

fn image_readouts(scan: &SimulatedScan) -> impl Iterator<Item = &Readout> {
    scan.plan().readouts.iter().filter(|readout| readout.content != Content::Noise)
}

#[test]
fn molli_counts_beats_as_its_scheme_says() {
    let beats = |scheme: &str| -> Vec<usize> {
        let sequence = Molli { scheme: scheme.parse().expect("a scheme"), ..Molli::default() };
        let scan = play(&sequence, |_| ());
        let first_ms = scan.plan().frames[0].time_ms;
        let beat = |frame: &Frame| ((frame.time_ms - first_ms) / 1000.0).round() as usize;
        scan.plan().frames.iter().map(beat).collect()
    };
    assert_eq!(beats("5(3)3"), [0, 1, 2, 3, 4, 8, 9, 10]);
    assert_eq!(beats("4(1)3(1)2"), [0, 1, 2, 3, 5, 6, 7, 9, 10]);
    assert_eq!(beats("5(1)1(1)1"), [0, 1, 2, 3, 4, 6, 8]);
    assert_eq!(beats("3(3)3(3)5"), [0, 1, 2, 6, 7, 8, 12, 13, 14, 15, 16]);
    // The last train ends some 100 ms after its centre, and three seconds later comes the
    // fourth R wave.
    assert_eq!(beats("5(3s)3"), [0, 1, 2, 3, 4, 8, 9, 10]);
}

#[test]
fn schemes_are_read_and_written() {
    for text in ["5(3)3", "4(1)3(1)2", "5(1)1(1)1", "5(2.5s)3", "8"] {
        assert_eq!(text.parse::<MolliScheme>().expect("a scheme").to_string(), text);
    }
    assert_eq!("5(3)3".parse(), Ok(MolliScheme::native()));
    for text in
        ["", "5(3", "5()3", "5(3)", "(3)3", "0(3)3", "5(99s)3", "five", "5(-1s)3", "5(NaNs)1"]
    {
        let error = text.parse::<MolliScheme>().expect_err("no scheme").to_string();
        assert!(error.contains("write images and pauses in turn"), "{error}");
    }
}

#[test]
fn ideal_molli_is_the_model_that_is_fitted() {
    for factor in [1.0, 0.96] {
        let sequence = Molli { inversion_factor: factor, ..Molli::default() };
        let scan = play(&sequence, |setup| setup.motion = irregular());
        let sin = 35_f64.to_radians().sin();
        must_follow(&scan, |tissue, time_ms| {
            sin * (1.0 - (1.0 + factor) * (-time_ms / tissue.t1_ms).exp())
        });
    }
}

#[test]
fn inversion_times_follow_from_stamps_by_gadgetrons_rule() {
    let scan = play(&Molli::default(), |setup| setup.motion = irregular());
    let mut first_stamp = std::collections::HashMap::new();
    let mut by_rule = vec![f64::NAN; scan.plan().frames.len()];
    for readout in scan.acquisitions() {
        let header = readout.header;
        let (user_int, stamp) = ({ header.user_int }, { header.acquisition_time_stamp });
        if header.has_any(AcquisitionFlags::LAST_IN_SLICE) {
            let first = *first_stamp.entry(user_int[5]).or_insert(stamp);
            by_rule[usize::from(header.idx.set)] =
                f64::from(stamp - first) * 2.5 + f64::from(user_int[4]);
        }
    }
    let listed = &scan.header().sequence_parameters.as_ref().expect("parameters").ti;
    assert_eq!(listed.len(), 8);
    for ((frame, by_rule), listed) in scan.plan().frames.iter().zip(by_rule).zip(listed) {
        let ("InversionTime", exact) = frame.values[0] else { panic!("an inversion time") };
        assert!((f64::from(*listed) - exact).abs() < 1e-3);
        // Two stamps are rounded down to a tick each.
        assert!((by_rule - exact).abs() < 2.5, "{by_rule} and {exact}");
    }
}

#[test]
fn the_reference_of_molli_is_its_longest_inversion_time() {
    let scan = play(&Molli::default(), |_| ());
    assert_eq!(scan.plan().reference_frame, 4);
}

#[test]
fn ideal_saturation_recovery_and_its_anchor() {
    let scan = play(&Sasha::default(), |setup| setup.motion = irregular());
    let sin = 70_f64.to_radians().sin();
    must_follow(&scan, |tissue, time_ms| match time_ms {
        Sasha::ANCHOR_TIME_MS => sin,
        _ => sin * (1.0 - (-time_ms / tissue.t1_ms).exp()),
    });
    let times = &scan.header().sequence_parameters.as_ref().expect("parameters").ti;
    assert_eq!(times[..3], [10_000.0, 120.0, 180.0]);
    let saturated = scan.acquisitions().filter(|readout| readout.header.idx.set == 1);
    assert!(saturated.into_iter().all(|readout| { readout.header.user_int }[7] == 120_000));
}

#[test]
fn saturation_and_t2_preparation_act_one_after_the_other() {
    let sequence = Sasha::t1_and_t2();
    let preparations = [[0.0; 6].as_slice(), &sequence.t2_preparation_times_ms[5..]].concat();
    let sin = 70_f64.to_radians().sin();
    let scan = play(&sequence, |setup| setup.motion = irregular());
    let delay_ms = scan.header().user_double("T2PrepDelay").expect("the delay");
    let signal = |tissue: &Tissue, saturation_ms: f64, echo_time_ms: f64| {
        if saturation_ms == Sasha::ANCHOR_TIME_MS {
            return sin;
        }
        if echo_time_ms == 0.0 {
            return sin * (1.0 - (-saturation_ms / tissue.t1_ms).exp());
        }
        let recovery =
            |from: f64, time_ms: f64| 1.0 - (1.0 - from) * (-time_ms / tissue.t1_ms).exp();
        let before = recovery(0.0, saturation_ms - echo_time_ms - delay_ms);
        sin * recovery(before * (-echo_time_ms / tissue.t2_ms).exp(), delay_ms)
    };
    for (number, (frame, regions)) in signals(&scan).into_iter().enumerate() {
        let ("SaturationTime", saturation_ms) = frame.values[0] else { panic!("its time") };
        let echo_time_ms = preparations[number];
        let name = format!("T2PrepDuration_{number}");
        assert_eq!(scan.header().user_double(&name), Some(echo_time_ms));
        let told = frame.values.iter().find(|(name, _)| *name == "T2PreparationTime");
        assert_eq!(told.map_or(0.0, |(_, time_ms)| *time_ms), echo_time_ms);
        for (label, tissue, found) in regions {
            let expected = tissue.proton_density * signal(&tissue, saturation_ms, echo_time_ms);
            // Fat precesses; its magnitude follows.
            let found = if found.im == 0.0 { found.re } else { found.norm() };
            assert!((found - expected).abs() < 1e-9, "{label:?} {number}: {found} {expected}");
        }
    }
    let ti = &scan.header().sequence_parameters.as_ref().expect("parameters").ti;
    assert_eq!(ti.len(), preparations.len());
}

#[test]
fn ideal_t2_and_t2_star_decay() {
    let scan = play(&T2Prepared::default(), |_| ());
    let sin = 70_f64.to_radians().sin();
    must_follow(&scan, |tissue, time_ms| sin * (-time_ms / tissue.t2_ms).exp());
    assert_eq!(scan.header().user_double("T2PrepDuration_1"), Some(25.0));
    let beats = scan.plan().frames.windows(2).map(|pair| pair[1].time_ms - pair[0].time_ms);
    for step_ms in beats {
        assert!((step_ms - 3000.0).abs() < 1e-6);
    }

    let sequence = MultiEcho::default();
    let scan = play(&sequence, |_| ());
    assert_eq!(scan.plan().frames.len(), 8);
    let sin = 18_f64.to_radians().sin();
    must_follow(&scan, |tissue, time_ms| sin * (-time_ms / tissue.t2_star_ms).exp());
    assert_eq!(scan.header().encoding[0].echo_train_length, Some(8));
    // Every line is read at all echo times after one pulse.
    let mut times: Vec<(u16, usize, f64)> = image_readouts(&scan)
        .map(|readout| {
            let Sampling::Line { line, .. } = readout.sampling else { panic!("a line") };
            (readout.counters.contrast, line, readout.start_ms)
        })
        .collect();
    times.sort_by_key(|&(contrast, line, _)| (line, contrast));
    for echoes in times.chunks(8) {
        for (echo, (contrast, _, start_ms)) in echoes.iter().enumerate() {
            assert_eq!(usize::from(*contrast), echo);
            assert!((start_ms - echoes[0].2 - 2.0 * echo as f64).abs() < 1e-9);
        }
    }
}

#[test]
fn late_enhancement_nulls_healthy_myocardium_and_shows_the_scar() {
    let scar = Lesion {
        kind: LesionKind::Infarct,
        angle_rad: -1.2,
        extent_rad: 0.8,
        transmural: [0.0, 0.6],
    };
    for signal_model in [SignalModel::Ideal, SignalModel::ClosedForm, SignalModel::Bloch] {
        let setup = Setup {
            signal_model,
            ..heart(ShortAxisOptions {
                contrast: Contrast::Agent { blood_t1_ms: None },
                lesions: vec![scar],
                ..ShortAxisOptions::default()
            })
        };
        let scan = SimulatedScan::new(&LateEnhancement::default(), setup).expect("a good setup");
        let frames = signals(&scan);
        assert_eq!(frames.len(), 2);
        let of = |set: usize, label: Label| {
            frames[set].1.iter().find(|(of, ..)| *of == label).expect("the region").2.re
        };
        let scar = of(0, Label::Lesion(LesionKind::Infarct));
        // The pulses of the train shift the null a little.
        let healthy = of(0, Label::Myocardium);
        assert!(healthy.abs() < 0.2 * scar, "{signal_model:?}: {healthy} and {scar}");
        // The reference has the sign of everything right.
        assert!(of(1, Label::Myocardium) > 0.0 && of(1, Label::LeftBlood) > 0.0);
    }
}

#[test]
fn cine_shows_the_beat() {
    let setup = |setup: &mut Setup| {
        setup.motion = Motion { cycle: CardiacCycle::default(), ..Motion::default() };
        setup.signal_model = SignalModel::ClosedForm;
    };
    let segmented = Gating::Segmented { n_lines_per_segment: 10 };
    let scan = play(&Cine { gating: segmented, ..Cine::default() }, setup);
    // 30 ms per phase in 900 ms.
    assert_eq!(scan.plan().frames.len(), 30);
    let scales: Vec<f64> = scan
        .plan()
        .frames
        .iter()
        .map(|frame| {
            let Content::Body { moment, .. } = frame.content else { panic!("a body") };
            scan.plan().moments[moment].pose.endocardial_scale
        })
        .collect();
    let end_systole = (0..30).min_by(|&a, &b| scales[a].total_cmp(&scales[b])).expect("phases");
    // 300 to 350 ms after the R wave.
    assert!((9..=12).contains(&end_systole), "{end_systole}");
    assert!(scales[end_systole] < 0.7 && scales[29] > 0.95);
    let per_phase = image_readouts(&scan).filter(|readout| readout.counters.phase == 7).count();
    assert_eq!(per_phase, 40);
    let triggers = image_readouts(&scan).filter(|readout| readout.counters.phase == 0);
    assert!(triggers.into_iter().all(|readout| readout.since_trigger_ms < 30.0));

    let scan = play(&Cine { gating: Gating::RealTime { n_images: 20 }, ..Cine::default() }, setup);
    assert_eq!(scan.plan().frames.len(), 20);
    let last = scan.plan().readouts.last().expect("readouts");
    assert_eq!(last.counters.phase, 19);
}

#[test]
fn steady_states_of_blood_and_myocardium_are_those_of_the_formula() {
    let setup = |setup: &mut Setup| setup.signal_model = SignalModel::ClosedForm;
    let scan = play(&Cine::default(), setup);
    let (sin, cos) = 50_f64.to_radians().sin_cos();
    for (label, tissue, signal) in &signals(&scan)[0].1 {
        let (e1, e2) = ((-3.0 / tissue.t1_ms).exp(), (-3.0 / tissue.t2_ms).exp());
        // Freeman and Hill 1971, at the echo in the middle of the repetition.
        let expected = tissue.proton_density * sin * (1.0 - e1) * e2.sqrt()
            / (1.0 - (e1 - e2) * cos - e1 * e2);
        assert!((signal.norm() / expected - 1.0).abs() < 1e-3, "{label:?}: {signal}, {expected}");
    }
}

#[test]
fn fingerprinting_follows_the_rhythm() {
    let spiral = SpiralOptions { n_arms: 16, ..SpiralOptions::default() };
    let sequence = Fingerprinting { spiral, ..Fingerprinting::default() };
    let scan = play(&sequence, |setup| {
        setup.motion = irregular();
        setup.matrix_size = [32, 32];
        setup.field_of_view_mm = [360.0, 360.0];
    });
    assert_eq!(scan.n_acquisitions(), 705);
    let readouts = &scan.plan().readouts;
    for beat in readouts.chunks(47) {
        // Every beat begins at the same delay, and goes on by the repetition time.
        assert!((beat[0].since_trigger_ms - readouts[0].since_trigger_ms).abs() < 1e-6);
        assert!((beat[46].start_ms - beat[0].start_ms - 46.0 * 5.1).abs() < 1e-6);
    }
    let angles = &scan.header().sequence_parameters.as_ref().expect("parameters").flip_angle_deg;
    assert_eq!(angles.len(), 705);
    assert_eq!((angles[0], angles[15], angles[46], angles[47 + 30]), (4.0, 12.5, 12.5, 18.75));
    assert_eq!(scan.header().user_double("Preparation_0"), Some(-1.0));
    assert_eq!(scan.header().user_double("Preparation_4"), Some(100.0));
    let readout = scan.acquisitions().next().expect("a readout");
    assert_eq!(readout.trajectory.ncols(), 2);
    assert_eq!({ readout.header.trajectory_dimensions }, 2);
    let farthest = readout.trajectory.iter().fold(0.0_f32, |far, k| far.max(k.abs()));
    assert!((0.4..=0.5).contains(&farthest), "{farthest}");
}

#[test]
fn diffusion_tells_directions_in_the_patient() {
    let sequence = Diffusion { n_averages: 2, epi: None, refinement: 1, ..Diffusion::default() };
    for orientation in [Orientation::Transverse, Orientation::ShortAxis] {
        let scan = play(&sequence, |setup| setup.orientation = orientation);
        assert_eq!(scan.plan().frames.len(), 26);
        let parameters = scan.header().sequence_parameters.as_ref().expect("parameters");
        assert_eq!(parameters.diffusion.len(), 13);
        assert_eq!(parameters.diffusion[0].bvalue, 0.0);
        let [read, phase, slice] = orientation.directions();
        let directions = crate::diffusion::gradient_directions(12).expect("directions");
        for (listed, [x, y, z]) in parameters.diffusion[1..].iter().zip(directions) {
            let patient = [0, 1, 2].map(|n| x * read[n] + y * phase[n] + z * slice[n]);
            let g = listed.gradient_direction;
            for (listed, patient) in [g.rl, g.ap, g.fh].into_iter().zip(patient) {
                assert!((f64::from(listed) - patient).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn stimulated_echoes_are_weighted_by_the_beat_they_waited() {
    let sequence = Diffusion {
        weighting: Weighting::StimulatedEcho(MixingTime::default()),
        epi: None,
        refinement: 1,
        ..Diffusion::default()
    };
    let scan = play(&sequence, |setup| {
        let rhythm = Rhythm::from_intervals(&[800.0, 1000.0, 1200.0], &[]);
        setup.motion = Motion::still(rhythm.expect("intervals"));
    });
    let weights: Vec<f64> = scan.plan().frames[1..].iter().map(|f| f.values[0].1).collect();
    let mut seen: Vec<f64> = weights.iter().map(|b| (b / 450.0 * 10.0).round() / 10.0).collect();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    assert_eq!(seen, [0.8, 1.0, 1.2]);
}

#[test]
fn echo_planar_trains_alternate_and_show_where_the_centre_is() {
    let train = EpiOptions {
        n_samples: 96,
        ramp_up_time_us: 40,
        flat_top_time_us: 152,
        ramp_down_time_us: 40,
        echo_spacing_us: 240.0,
        ..EpiOptions::default()
    };
    let sequence = GradientEcho {
        repetition_time_ms: 40.0,
        echo_time_ms: 15.0,
        encoding: Encoding::Epi(train),
        ..GradientEcho::default()
    };
    let scan = play(&sequence, |setup| setup.lines.order = LineOrder::Linear);
    let readouts: Vec<_> = scan.acquisitions().collect();
    assert_eq!(readouts.len(), 43);
    for (n, readout) in readouts.iter().enumerate() {
        let header = readout.header;
        assert_eq!(header.has_any(AcquisitionFlags::IS_REVERSE), n % 2 == 1);
        assert_eq!(header.has_any(AcquisitionFlags::IS_PHASECORR_DATA), n < 3);
        assert_eq!({ header.idx.segment }, (n % 2) as u16);
    }
    let encoding = &scan.header().encoding[0];
    assert_eq!(encoding.encoded_space.matrix_size.x, 48);
    assert_eq!(encoding.echo_train_length, Some(40));
    let description = encoding.trajectory_description.as_ref().expect("a description");
    assert_eq!(description.identifier, "ConventionalEPI");
}

#[test]
fn golden_spokes_go_on_and_arms_come_again() {
    let radial = GradientEcho {
        n_repetitions: 2,
        encoding: Encoding::Radial { n_spokes: 30, angles: SpokeAngles::Golden },
        ..GradientEcho::default()
    };
    let square = |setup: &mut Setup| {
        (setup.matrix_size, setup.field_of_view_mm) = ([40, 40], [360.0, 360.0]);
    };
    let scan = play(&radial, square);
    let angle = |readout: &ismrmrd::Acquisition| {
        let last = readout.trajectory.nrows() - 1;
        readout.trajectory[[last, 1]].atan2(readout.trajectory[[last, 0]])
    };
    let angles: Vec<f32> = scan.acquisitions().map(|readout| angle(&readout)).collect();
    assert_eq!(angles.len(), 60);
    let step = (angles[31] - angles[30]).rem_euclid(std::f32::consts::PI);
    assert!((step.to_degrees() - 111.246).abs() < 0.01, "{step}");

    let spiral = SpiralOptions { n_arms: 12, ..SpiralOptions::default() };
    let spiral = GradientEcho {
        n_repetitions: 2,
        repetition_time_ms: 12.0,
        encoding: Encoding::Spiral(spiral),
        ..GradientEcho::default()
    };
    let scan = play(&spiral, square);
    let angles: Vec<f32> = scan.acquisitions().map(|readout| angle(&readout)).collect();
    assert_eq!(angles[..12], angles[12..]);
}

/// Readouts of one uniform channel against Σ amplitude · spectrum at their own positions.
#[test]
fn arms_spokes_and_trains_sample_the_object_where_they_say() {
    let train = EpiOptions {
        n_samples: 80,
        ramp_up_time_us: 40,
        flat_top_time_us: 120,
        ramp_down_time_us: 40,
        echo_spacing_us: 210.0,
        gradient_delay_us: 2.0,
        phase_difference_rad: 0.3,
        ..EpiOptions::default()
    };
    let spiral = SpiralOptions { n_arms: 12, ..SpiralOptions::default() };
    let encodings = [
        Encoding::Radial { n_spokes: 20, angles: SpokeAngles::Golden },
        Encoding::Spiral(spiral),
        Encoding::Epi(train),
    ];
    for encoding in encodings {
        let is_epi = matches!(encoding, Encoding::Epi(_));
        let sequence = GradientEcho {
            repetition_time_ms: 30.0,
            echo_time_ms: 12.0,
            encoding,
            ..GradientEcho::default()
        };
        let scan = play(&sequence, |setup| {
            (setup.matrix_size, setup.field_of_view_mm) = ([40, 40], [360.0, 360.0]);
            setup.n_channels = 1;
        });
        let plan = scan.plan();
        // Scaled as on the Cartesian grid of 80 by 40 samples: Δkx · Δky · √(80 · 40).
        let scale = f64::sqrt(80.0 * 40.0) / (720.0 * 360.0);
        for (acquisition, readout) in scan.acquisitions().zip(&plan.readouts).step_by(7) {
            let (Content::Body { moment, signals }, Sampling::Points { positions, .. }) =
                (readout.content, readout.sampling)
            else {
                panic!("points of a body");
            };
            let pose = plan.moments[moment].pose;
            let parts = scan.bodies()[0].components(&pose, &plan.signals[signals]);
            let positions = plan.sample_positions.get(positions);
            assert_eq!(acquisition.data.ncols(), positions.len());
            for (sample, k) in positions.iter().enumerate().step_by(5) {
                let object: Complex64 =
                    parts.iter().map(|e| e.amplitude * e.ellipse.spectrum(*k)).sum();
                let is_late = is_epi && acquisition.header.has_any(AcquisitionFlags::IS_REVERSE);
                let turn = Complex64::cis(if is_late { 0.3 } else { 0.0 });
                let (expected, value) = (object * turn * scale, acquisition.data[[0, sample]]);
                let value = Complex64::new(value.re.into(), value.im.into());
                // Of samples at the centre of some units.
                assert!((value - expected).norm() < 1e-5, "{sample}: {value}, {expected}");
                if acquisition.trajectory.nrows() > 0 {
                    let carried = f64::from(acquisition.trajectory[[sample, 0]]) / 9.0;
                    assert!((carried - k[0]).abs() < 1e-7);
                }
            }
        }
    }
}

#[test]
fn readouts_lie_between_their_pulses() {
    let refused = |sequence: &dyn Sequence, sample_time_us: f64| {
        let setup = Setup { sample_time_us, ..heart(ShortAxisOptions::default()) };
        SimulatedScan::new(sequence, setup).err().expect("no room").to_string()
    };
    // 96 samples of 40 µs: 3.84 ms.
    let sequences: [(&dyn Sequence, f64); 5] = [
        (&Molli::default(), 40.0),
        (&Cine::default(), 40.0),
        (&LateEnhancement::default(), 60.0),
        (&GradientEcho { echo_time_ms: 0.1, ..GradientEcho::default() }, 5.0),
        (&GradientEcho { echo_time_ms: 5.9, ..GradientEcho::default() }, 5.0),
    ];
    for (sequence, sample_time_us) in sequences {
        let error = refused(sequence, sample_time_us);
        assert!(error.contains("of a readout comes"), "{error}");
    }
    let late = Diffusion { echo_time_ms: 3.0, ..Diffusion::default() };
    let error = refused(&late, 2.0);
    assert!(error.contains("the last pulse before the readouts"), "{error}");
}

#[test]
fn realistic_molli_fits_between_inversion_and_first_image() {
    let scan = play(&Molli::default(), |setup| {
        setup.matrix_size = [192, 160];
        setup.signal_model = SignalModel::Bloch;
        setup.lines = LineOptions {
            undersampling: Undersampling::Regular { acceleration: 2 },
            calibration: CalibrationLines::Separate(24),
            partial_fourier: 0.75,
            ..LineOptions::default()
        };
    });
    // 60 of 160 lines in each of 8 images, and 24 before.
    assert_eq!(scan.n_acquisitions(), 24 + 8 * 60);
    let calibration = scan.plan().readouts.iter().filter(|r| r.separate_calibration).count();
    assert_eq!(calibration, 24);
}

#[test]
fn a_sequence_without_time_says_what_is_late() {
    let setup = Setup { matrix_size: [192, 160], ..heart(ShortAxisOptions::default()) };
    let linear = LineOptions { order: LineOrder::Linear, ..setup.lines };
    let setup = Setup { lines: linear, ..setup };
    let error = SimulatedScan::new(&Molli::default(), setup).err().expect("no time");
    let error = error.to_string();
    assert!(error.starts_with("an image after its inversion comes 139.40 ms too late"), "{error}");
}
