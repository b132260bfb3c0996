use super::*;
use ismrmrd::xml::{Encoding, Trajectory, TrajectoryDescription, UserParameter};
use ismrmrd::{AcquisitionHeader, Header};
use ndarray::Array2;
use num_complex::Complex32;
use pipeline::{Message, run_gadget};

const N: usize = 32;

fn scan(n_navigators: Option<i64>) -> Scan {
    let number = |value| UserParameter { name: "numberOfNavigators".to_owned(), value };
    let encoding = Encoding {
        trajectory: Trajectory::Epi,
        trajectory_description: Some(TrajectoryDescription {
            identifier: "ConventionalEPI".into(),
            user_parameter_long: n_navigators.map(number).into_iter().collect(),
            ..TrajectoryDescription::default()
        }),
        ..Encoding::default()
    };
    Scan::with_header(Header { encoding: vec![encoding], ..Header::default() })
}

/// A readout of the object, `echo` echoes after the first line, with 0.1 rad from echo to echo
/// and 0.5 rad and a slope of 6 rad between the directions.
fn readout(slice: u16, echo: f32, is_reverse: bool, is_navigator: bool) -> Acquisition {
    let mut header = AcquisitionHeader::default();
    header.idx.slice = slice;
    let mut flags = AcquisitionFlags::NONE;
    if is_reverse {
        flags = flags.union(AcquisitionFlags::IS_REVERSE);
    }
    if is_navigator {
        flags = flags.union(AcquisitionFlags::IS_PHASECORR_DATA);
    }
    header.flags = flags;
    let data = Array2::from_shape_fn((2, N), |(channel, x)| {
        let place = x as f32 / (N - 1) as f32 - 0.5;
        let half = if is_reverse { 0.5 } else { -0.5 };
        let phase_rad = 0.1 * echo + half * (0.5 + 6.0 * place);
        Complex32::from_polar(f32::from(slice) + 1.0 + channel as f32, phase_rad)
    });
    Acquisition::new(header, data)
}

/// A shot: navigators -n to -1, then echoes 0 to 4; forwards where the number is even.
fn shot(slice: u16, n_navigators: i32) -> Vec<Acquisition> {
    let echoes = (-n_navigators..5).map(|echo| (echo, echo < 0));
    echoes
        .map(|(echo, is_navigator)| {
            readout(slice, echo as f32, echo.rem_euclid(2) == 1, is_navigator)
        })
        .collect()
}

fn run(
    config: Config,
    scan: &Scan,
    readouts: Vec<Acquisition>,
) -> Result<(Vec<Acquisition>, Vec<String>), Error> {
    let (outputs, warnings) = run_gadget::<CorrectEpiPhase>(config, scan, readouts)?;
    let readouts = outputs
        .into_iter()
        .map(|message| match message {
            Message::Acquisition(readout) => readout,
            other => panic!("{:?} came out", other.kind()),
        })
        .collect();
    Ok((readouts, warnings))
}

/// Largest phase that a readout has, rad.
fn largest_phase(readouts: &[Acquisition]) -> f32 {
    readouts
        .iter()
        .flat_map(|readout| readout.data.iter())
        .map(|value| value.arg().abs())
        .fold(0.0, f32::max)
}

#[test]
fn navigators_correct_their_shot_and_are_gone() {
    let readouts = [shot(0, 3), shot(1, 3), shot(0, 3)].concat();
    let (readouts, warnings) = run(Config::default(), &scan(Some(3)), readouts).expect("it runs");
    assert!(warnings.is_empty());
    assert_eq!(readouts.len(), 15);
    assert!(largest_phase(&readouts) < 1e-4);
    for readout in &readouts {
        assert!(!readout.header.flags.intersects(AcquisitionFlags::IS_REVERSE));
    }
    let slices: Vec<u16> = readouts.iter().map(|readout| readout.header.idx.slice).collect();
    assert_eq!(slices, [[0; 5], [1; 5], [0; 5]].concat());
}

#[test]
fn without_a_number_in_the_header_the_first_line_ends_the_navigators() {
    for number in [None, Some(0)] {
        let readouts = [shot(0, 3), shot(1, 5)].concat();
        let (readouts, warnings) =
            run(Config::default(), &scan(number), readouts).expect("it runs");
        assert!(warnings.is_empty());
        assert!(readouts.len() == 10 && largest_phase(&readouts) < 1e-4);
    }
}

#[test]
fn lines_wait_for_navigators_that_come_after_them() {
    let mut readouts = shot(0, 3);
    readouts.rotate_left(3);
    let (readouts, warnings) = run(Config::default(), &scan(Some(3)), readouts).expect("it runs");
    assert!(warnings.is_empty());
    assert!(readouts.len() == 5 && largest_phase(&readouts) < 1e-4);
}

#[test]
fn missing_navigators_are_told_once_and_no_readout_is_lost() {
    let bare = |slice| shot(slice, 3)[3..].to_vec();
    for number in [Some(0), Some(3)] {
        let readouts = [bare(0), bare(1)].concat();
        let (readouts, warnings) =
            run(Config::default(), &scan(number), readouts).expect("it runs");
        assert_eq!((readouts.len(), warnings.len()), (10, 1));
        assert!(warnings[0].contains("expect ghosts"), "{warnings:?}");
        assert!(largest_phase(&readouts) > 0.5);
    }
    // A shot that lost one of its three takes the two that are there.
    let readouts = [shot(0, 3)[1..].to_vec(), shot(1, 3)].concat();
    let (readouts, warnings) = run(Config::default(), &scan(Some(3)), readouts).expect("it runs");
    assert_eq!((readouts.len(), warnings.len()), (10, 1));
    assert!(warnings[0].contains("were used"), "{warnings:?}");
    assert!(largest_phase(&readouts[5..]) < 1e-4);
}

#[test]
fn modes_and_smoothing_follow_gadgetrons_names() {
    let properties = r#"{"B0CorrectionMode": "none", "OEPhaseCorrectionMode": "linear",
        "navigatorParameterFilterLength": 4, "navigatorParameterFilterExcludeVols": 1,
        "referenceNavigatorNumber": 2, "verboseMode": true}"#;
    let config: Config = serde_json::from_str(properties).expect("names are known");
    assert_eq!(config.b0_correction, B0Mode::None);
    // Four equal shots: smoothing changes nothing, and the drift stays.
    let readouts: Vec<Acquisition> = (0..4).flat_map(|_| shot(0, 3)).collect();
    let (readouts, _) = run(config, &scan(Some(3)), readouts).expect("it runs");
    assert!((largest_phase(&readouts) - 0.4).abs() < 0.06, "{}", largest_phase(&readouts));
}

#[test]
fn other_spaces_and_noise_pass() {
    let mut calibration = readout(0, 0.0, true, false);
    calibration.header.encoding_space_ref = 1;
    let mut noise = readout(0, 0.0, false, false);
    noise.header.flags = AcquisitionFlags::IS_NOISE_MEASUREMENT;
    let inputs = vec![calibration, noise];
    let (outputs, _) = run(Config::default(), &scan(Some(3)), inputs.clone()).expect("it runs");
    assert_eq!(outputs, inputs);
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let mut readouts = shot(0, 3);
    readouts[4].data = Array2::zeros((2, N / 2));
    let error = run(Config::default(), &scan(Some(3)), readouts).expect_err("too short");
    assert!(matches!(error, Error::Readout { found: 16, expected: 32, .. }));
    let mut readouts = shot(0, 3);
    readouts[1].data = Array2::zeros((1, N));
    let error = run(Config::default(), &scan(Some(3)), readouts).expect_err("a channel is missing");
    assert!(matches!(error, Error::Navigator { found: (1, 32), .. }));
    let config = Config { reference_navigator: 3, navigator_filter_length: 2, ..Config::default() };
    let error = CorrectEpiPhase::new(config, &scan(Some(3))).err().expect("no such navigator");
    assert_eq!(error, Error::NoReference { reference: 3, n_navigators: 3 });
}
