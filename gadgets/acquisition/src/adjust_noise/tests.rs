use super::*;
use ismrmrd::xml::{AcquisitionSystemInformation, CoilLabel};
use ismrmrd::{AcquisitionHeader, Header};
use ndarray::{Array2, array};
use num_complex::Complex32;
use pipeline::{Message, run_gadget};

const SAMPLES: usize = 4096;

/// Two independent normal numbers per sample from the sum of uniform ones: close enough to
/// normal for second moments, which are all that counts here.
fn white(seed: u64, n_channels: usize) -> Array2<Complex32> {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut normal = move || (0..12).map(|_| uniform()).sum::<f32>();
    Array2::from_shape_simple_fn((n_channels, SAMPLES), || Complex32::new(normal(), normal()))
}

/// Channels with noise of standard deviation 2 and 3 that share some of it.
fn correlated(seed: u64) -> Array2<Complex32> {
    let mixing = array![
        [Complex32::new(2.0, 0.0), Complex32::new(0.0, 0.0)],
        [Complex32::new(1.0, 1.5), Complex32::new(3.0, 0.0)],
    ];
    mixing.dot(&white(seed, 2))
}

fn noise(data: Array2<Complex32>, sample_time_us: f32) -> Acquisition {
    let header = AcquisitionHeader {
        flags: AcquisitionFlags::IS_NOISE_MEASUREMENT,
        sample_time_us,
        ..AcquisitionHeader::default()
    };
    Acquisition::new(header, data)
}

fn imaging(data: Array2<Complex32>, sample_time_us: f32) -> Acquisition {
    Acquisition::new(AcquisitionHeader { sample_time_us, ..Default::default() }, data)
}

fn run(
    config: Config,
    scan: &Scan,
    inputs: Vec<Acquisition>,
) -> Result<(Vec<Acquisition>, Vec<String>), Error> {
    let (outputs, warnings) = run_gadget::<AdjustNoise>(config, scan, inputs)?;
    let readouts = outputs
        .into_iter()
        .map(|message| match message {
            Message::Acquisition(readout) => readout,
            other => panic!("{:?} came out", other.kind()),
        })
        .collect();
    Ok((readouts, warnings))
}

fn scan(bandwidth_ratio: f32, names: &[&str]) -> Scan {
    let coil_label = names
        .iter()
        .map(|name| CoilLabel { coil_number: 0, coil_name: (*name).to_owned() })
        .collect();
    let system = AcquisitionSystemInformation {
        relative_receiver_noise_bandwidth: Some(bandwidth_ratio),
        coil_label,
        ..AcquisitionSystemInformation::default()
    };
    Scan::with_header(Header { acquisition_system_information: Some(system), ..Header::default() })
}

/// Σ xᵢ·conj(xⱼ) / N.
fn moment(data: &Array2<Complex32>, i: usize, j: usize) -> Complex32 {
    let products = data.row(i).iter().zip(data.row(j)).map(|(a, b)| a * b.conj()).sum();
    let sum: Complex32 = products;
    sum / data.ncols() as f32
}

#[test]
fn the_noise_scan_itself_comes_out_independent_with_deviation_one_per_component() {
    let readout = correlated(1);
    let inputs = vec![noise(readout.clone(), 5.0), imaging(readout, 5.0)];
    let (outputs, warnings) = run(Config::default(), &scan(1.0, &[]), inputs).expect("runs");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(outputs.len(), 1, "noise is taken out");
    // E|x|² is 2: 1 in the real and 1 in the imaginary part. The same samples give the
    // covariance, so only N/(N-1) and rounding are left.
    for channel in 0..2 {
        assert!((moment(&outputs[0].data, channel, channel).re - 2.0).abs() < 2e-3);
    }
    assert!(moment(&outputs[0].data, 0, 1).norm() < 2e-3);
}

#[test]
fn shorter_samples_and_a_narrower_receiver_scale_as_they_should() {
    let readout = correlated(2);
    let inputs =
        |imaging_us| vec![noise(readout.clone(), 5.0), imaging(readout.clone(), imaging_us)];
    let power = |scan: &Scan, imaging_us| {
        let (outputs, _) = run(Config::default(), scan, inputs(imaging_us)).expect("runs");
        moment(&outputs[0].data, 0, 0).re
    };
    let reference = power(&scan(1.0, &[]), 5.0);
    assert!((power(&scan(1.0, &[]), 10.0) / reference - 2.0).abs() < 1e-4);
    assert!((power(&scan(0.5, &[]), 5.0) / reference - 0.5).abs() < 1e-4);
    assert!((power(&Scan::default(), 5.0) / reference - 0.793).abs() < 1e-4);
    assert!((power(&scan(1.0, &[]), 0.0) / reference - 0.5).abs() < 1e-4, "factor 1");
}

#[test]
fn named_channels_are_only_scaled() {
    let readout = correlated(3);
    let config =
        Config { scale_only_channels_by_name: "Body, Nobody".to_owned(), ..Config::default() };
    let inputs = vec![noise(readout.clone(), 5.0), imaging(readout.clone(), 5.0)];
    let (outputs, warnings) = run(config, &scan(1.0, &["Head", "Body"]), inputs).expect("runs");
    assert_eq!(warnings, ["no coil of the header is called \"Nobody\""]);
    let ratio = outputs[0].data[[1, 7]] / readout[[1, 7]];
    assert!(ratio.im.abs() < 1e-5, "no other channel is mixed in");
    assert!((moment(&outputs[0].data, 1, 1).re - 2.0).abs() < 2e-3);
}

#[test]
fn without_noise_readouts_the_data_pass_unchanged_with_one_warning() {
    let inputs = vec![imaging(correlated(4), 5.0), imaging(correlated(5), 5.0)];
    let (outputs, warnings) =
        run(Config::default(), &Scan::default(), inputs.clone()).expect("runs");
    assert_eq!(outputs, inputs);
    assert_eq!(warnings.len(), 1);
}

#[test]
fn other_channels_pass_or_are_refused() {
    let other = imaging(white(7, 3), 5.0);
    let inputs = vec![noise(correlated(6), 5.0), other.clone(), other.clone(), other.clone()];
    let (outputs, warnings) =
        run(Config::default(), &Scan::default(), inputs.clone()).expect("runs");
    assert_eq!(outputs[0], other);
    assert_eq!((outputs.len(), warnings.len()), (3, 1));

    let config = Config { pass_nonconformant_data: false, ..Config::default() };
    let error = run(config, &Scan::default(), inputs).expect_err("the channels differ");
    assert_eq!(error, Error::Channels { found: 3, expected: 2 });
}

#[test]
fn a_dead_channel_is_told_and_the_data_pass() {
    let mut dead = correlated(8);
    dead.row_mut(1).fill(Complex32::ZERO);
    let data = imaging(correlated(9), 5.0);
    let inputs = vec![noise(dead, 5.0), data.clone(), data.clone()];
    let (outputs, warnings) = run(Config::default(), &Scan::default(), inputs).expect("runs");
    assert_eq!(outputs, [data.clone(), data]);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("channel 1"), "{warnings:?}");
}

#[test]
fn switched_off_it_only_takes_the_noise_out() {
    let config = Config { perform_noise_adjust: false, ..Config::default() };
    let data = imaging(correlated(11), 5.0);
    let inputs = vec![noise(correlated(10), 5.0), data.clone()];
    let (outputs, warnings) = run(config, &Scan::default(), inputs).expect("runs");
    assert_eq!(outputs, [data]);
    assert!(warnings.is_empty());
}

#[test]
fn noise_of_changing_or_no_channels_does_not_panic() {
    let inputs =
        vec![noise(Array2::zeros((0, 0)), 5.0), noise(white(1, 3), 5.0), imaging(white(2, 3), 5.0)];
    run(Config::default(), &Scan::default(), inputs).expect("it runs");
}
