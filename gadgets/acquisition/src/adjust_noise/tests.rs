use super::*;
use ismrmrd::xml::{AcquisitionSystemInformation, CoilLabel};
use ismrmrd::{AcquisitionHeader, Header};
use ndarray::{Array2, array};
use num_complex::Complex32;
use std::sync::Arc;

use ismrmrd::xml::{MeasurementDependency, MeasurementInformation};
use pipeline::noise::{NoiseMemory, NoiseStore};
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

/// A scan with a measurement id that needs the noise of others, and their store.
fn stored_scan(
    names: &[&str],
    measurement_id: Option<&str>,
    needs: &[(&str, &str)],
    store: &Arc<NoiseMemory>,
) -> Scan {
    let mut scan = scan(1.0, names);
    let measurement = MeasurementInformation {
        measurement_id: measurement_id.map(str::to_owned),
        measurement_dependency: needs
            .iter()
            .map(|(kind, id)| MeasurementDependency {
                dependency_type: (*kind).to_owned(),
                measurement_id: (*id).to_owned(),
            })
            .collect(),
        ..MeasurementInformation::default()
    };
    if let Some(header) = &mut scan.header {
        header.measurement_information = Some(measurement);
    }
    scan.noise = Some(store.clone());
    scan
}

#[test]
fn the_noise_of_one_scan_whitens_a_later_one_with_its_channels_in_another_order() {
    let store = Arc::new(NoiseMemory::default());
    let measured = correlated(7);
    let noise_scan = stored_scan(&["Head", "Body"], Some("a_b_1"), &[], &store);
    let inputs = vec![noise(measured.clone(), 5.0)];
    let (outputs, told) = run(Config::default(), &noise_scan, inputs).expect("runs");
    assert!(outputs.is_empty());
    assert_eq!(told, ["the noise of 2 channels, 4096 samples, is kept as a_b_1"]);

    let mut swapped = measured.clone();
    swapped.row_mut(0).assign(&measured.row(1));
    swapped.row_mut(1).assign(&measured.row(0));
    let needs = [("SenMap", "a_b_0"), ("NOISE", "a_b_1")];
    let later = stored_scan(&["Body", "Head"], Some("a_b_2"), &needs, &store);
    let inputs = vec![imaging(swapped, 5.0)];
    let (outputs, told) = run(Config::default(), &later, inputs).expect("runs");
    assert!(told.is_empty(), "{told:?}");
    for channel in 0..2 {
        assert!((moment(&outputs[0].data, channel, channel).re - 2.0).abs() < 2e-3);
    }
    assert!(moment(&outputs[0].data, 0, 1).norm() < 2e-3);
    // One coil of the two was switched off.
    let fewer = stored_scan(&["Body"], None, &needs, &store);
    let inputs = vec![imaging(measured.slice(ndarray::s![1..2, ..]).to_owned(), 5.0)];
    let (outputs, _) = run(Config::default(), &fewer, inputs).expect("runs");
    assert!((moment(&outputs[0].data, 0, 0).re - 2.0).abs() < 2e-3);
}

#[test]
fn noise_that_is_not_kept_falls_back_to_the_scans_own_and_else_passes_with_a_warning() {
    let store = Arc::new(NoiseMemory::default());
    let needs = [("Noise", "gone")];
    let scan = stored_scan(&[], None, &needs, &store);
    let readout = correlated(8);
    let inputs = vec![noise(readout.clone(), 5.0), imaging(readout.clone(), 5.0)];
    let (outputs, told) = run(Config::default(), &scan, inputs).expect("runs");
    assert!((moment(&outputs[0].data, 0, 0).re - 2.0).abs() < 2e-3);
    assert_eq!(
        told,
        [
            "the noise of this scan is not kept for later ones: its header has no measurementID",
            "the noise of measurement gone is not kept here; the scan is whitened with its own \
             noise readouts",
        ]
    );
    let inputs = vec![imaging(readout.clone(), 5.0), imaging(readout.clone(), 5.0)];
    let (outputs, told) = run(Config::default(), &scan, inputs).expect("runs");
    assert_eq!(outputs[1].data, readout);
    assert_eq!(
        told,
        ["the noise of measurement gone is not kept here, and the scan has none of its own; the \
          data pass without whitening"]
    );
}

#[test]
fn noise_of_other_coils_is_not_used() {
    let store = Arc::new(NoiseMemory::default());
    let noise_scan = stored_scan(&["Head", "Body"], Some("n"), &[], &store);
    run(Config::default(), &noise_scan, vec![noise(correlated(9), 5.0)]).expect("runs");
    let scan = stored_scan(&["Head", "Knee"], None, &[("Noise", "n")], &store);
    let readout = correlated(9);
    let (outputs, told) =
        run(Config::default(), &scan, vec![imaging(readout.clone(), 5.0)]).expect("runs");
    assert_eq!(outputs[0].data, readout);
    assert!(told[0].contains("is of other coils"), "{told:?}");
}

#[test]
fn a_scan_with_noise_and_data_keeps_its_noise_as_well() {
    let store = Arc::new(NoiseMemory::default());
    let scan = stored_scan(&["Head", "Body"], Some("both"), &[], &store);
    let inputs = vec![noise(correlated(1), 5.0), imaging(correlated(2), 5.0)];
    let (_, told) = run(Config::default(), &scan, inputs).expect("runs");
    assert!(told.is_empty(), "{told:?}");
    let kept = store.find("both").expect("it is kept");
    assert_eq!((kept.n_samples, kept.sample_time_us), (SAMPLES as u64, 5.0));
    assert_eq!(kept.labels, ["Head", "Body"]);
    // Deviations 2 and √(1 + 1.5² + 3²) per component, √2 of that for a complex sample.
    let deviations: Vec<f64> = kept.deviations().collect();
    assert!((deviations[0] / (2.0 * 2_f64.sqrt()) - 1.0).abs() < 0.03, "{deviations:?}");
    assert!((deviations[1] / 24.5_f64.sqrt() - 1.0).abs() < 0.03, "{deviations:?}");
}

#[test]
fn a_noise_scan_without_id_or_store_says_so_and_is_no_error() {
    let store = Arc::new(NoiseMemory::default());
    let nameless = stored_scan(&[], None, &[], &store);
    let inputs = || vec![noise(correlated(3), 5.0)];
    let (_, told) = run(Config::default(), &nameless, inputs()).expect("runs");
    assert_eq!(told, ["the noise of this scan is not kept: the header has no `measurementID`"]);
    let (_, told) = run(Config::default(), &Scan::default(), inputs()).expect("runs");
    assert_eq!(told, ["this scan has noise readouts only, and no noise is kept here"]);
}
