//! Parallel imaging on the simulated scanner, whose answers are known.

use acquisition::{CollectReadouts, RemoveOversampling, SortKSpace, collect_readouts};
use cartesian::prepare_reference;
use cartesian::{CompressCoils, Grappa, PrepareReference, ReconstructCoils};
use cartesian::{compress_coils, grappa, reconstruct_coils};
use ismrmrd::xml::{
    AccelerationFactor, CalibrationMode, Encoding, EncodingLimits, EncodingSpace, FieldOfView,
    Header, MatrixSize, ParallelImaging, Trajectory,
};
use ismrmrd::{AcquisitionHeader, KSpaceBuffer, SamplingDescription, SamplingLimit};
use ndarray::{Array2, Array4, Array5, ArrayD, Axis, IxDyn, s};
use num_complex::Complex32;
use numerics::fft::Plan;
use phantom::{
    CalibrationLines, GradientEcho, LineOptions, Noise, Setup, SimulatedScan, Subject,
    Undersampling,
};
use pipeline::{Accept, Gadget, ImageRole, ImageSeries, KSpace, Message, Remedy, Scan, run_gadget};

/// Runs a gadget over all messages.
fn try_step<G: Gadget>(
    config: G::Config,
    scan: &Scan,
    messages: Vec<Message>,
) -> Result<Vec<Message>, G::Error> {
    let inputs = messages.into_iter().map(|message| match G::Input::accept(message) {
        Ok(input) => input,
        Err(other) => panic!("{} does not take {:?}", G::NAME, other.kind()),
    });
    let (outputs, warnings) = run_gadget::<G>(config, scan, inputs)?;
    assert!(warnings.is_empty(), "{}: {warnings:?}", G::NAME);
    Ok(outputs)
}

fn step<G: Gadget>(config: G::Config, scan: &Scan, messages: Vec<Message>) -> Vec<Message> {
    try_step::<G>(config, scan, messages).unwrap_or_else(|error| panic!("{error}"))
}

/// 64 × 64 pixels, 8 channels, without noise.
fn setup(acceleration: usize, calibration: CalibrationLines) -> Setup {
    Setup {
        matrix_size: [64, 64],
        n_channels: 8,
        lines: LineOptions {
            undersampling: Undersampling::Regular { acceleration },
            calibration,
            ..LineOptions::default()
        },
        ..Setup::new(Subject::SheppLogan)
    }
}

/// Sorted k-space with its prepared reference.
fn prepared(setup: Setup) -> (SimulatedScan, Scan, Vec<Message>) {
    let simulated = SimulatedScan::new(&GradientEcho::default(), setup).expect("the setup fits");
    let scan = Scan::with_header(simulated.header().clone());
    let messages = simulated.acquisitions().map(Message::from).collect();
    let messages = step::<RemoveOversampling>(Default::default(), &scan, messages);
    let messages = step::<CollectReadouts>(Default::default(), &scan, messages);
    let messages = step::<SortKSpace>(Default::default(), &scan, messages);
    let messages = step::<PrepareReference>(Default::default(), &scan, messages);
    (simulated, scan, messages)
}

#[test]
fn calibration_that_is_given_early_changes_no_bit() {
    let noise = Noise::Sd(0.01);
    // Separate calibration comes once, so there is none that is like the one before.
    for (calibration, prepare_ref_always, n_given_early) in [
        (CalibrationLines::Embedded(24), true, 2),
        (CalibrationLines::Embedded(24), false, 2),
        (CalibrationLines::Separate(24), true, 0),
    ] {
        let setup = Setup { n_slices: 2, noise, ..setup(2, calibration) };
        let sequence = GradientEcho { n_repetitions: 3, ..GradientEcho::default() };
        let simulated = SimulatedScan::new(&sequence, setup).expect("the setup fits");
        let scan = Scan::with_header(simulated.header().clone());
        let images = |release_calibration_early: bool| {
            let messages = simulated.acquisitions().map(Message::from).collect();
            let messages = step::<RemoveOversampling>(Default::default(), &scan, messages);
            let collect = collect_readouts::Config {
                trigger_dimension: Some(collect_readouts::Dimension::Repetition),
                release_calibration_early,
                ..Default::default()
            };
            let messages = step::<CollectReadouts>(collect, &scan, messages);
            let messages = step::<SortKSpace>(Default::default(), &scan, messages);
            let prepare = prepare_reference::Config { prepare_ref_always, ..Default::default() };
            let messages = step::<PrepareReference>(prepare, &scan, messages);
            let messages = step::<CompressCoils>(Default::default(), &scan, messages);
            let n_k_spaces = messages.len();
            let images = series(step::<Grappa>(Default::default(), &scan, messages));
            (n_k_spaces, images.into_iter().map(|series| series.data).collect::<Vec<_>>())
        };
        let ((n_together, together), (n_early, early)) = (images(false), images(true));
        assert_eq!((n_together, n_early), (3, 3 + n_given_early), "{calibration:?}");
        assert!(together == early, "{calibration:?}, prepare_ref_always {prepare_ref_always}");
    }
}

fn series(messages: Vec<Message>) -> Vec<ImageSeries> {
    messages
        .into_iter()
        .map(|message| match message {
            Message::ImageSeries(series) => series,
            other => panic!("{:?} came out", other.kind()),
        })
        .collect()
}

fn one_k_space(messages: Vec<Message>) -> KSpace {
    let mut messages = messages.into_iter();
    match (messages.next(), messages.next()) {
        (Some(Message::KSpace(k_space)), None) => k_space,
        _ => panic!("not one k-space"),
    }
}

/// What the channels show together: `[y, x]`.
fn root_sum_of_squares(simulated: &SimulatedScan) -> Array2<f32> {
    simulated.coil_images(0).map_axis(Axis(0), |channels| {
        channels.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt()
    })
}

fn magnitude(series: &ImageSeries) -> Array2<f32> {
    series.data.slice(s![0, 0, 0, 0, 0, .., ..]).map(|value| value.norm())
}

/// ‖found − expected‖ / ‖expected‖ after the best real factor.
fn error_after_scale(found: &Array2<f32>, expected: &Array2<f32>) -> f64 {
    let dot = |a: &Array2<f32>, b: &Array2<f32>| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let factor = dot(found, expected) / dot(found, found);
    let found = found.mapv(|value| (f64::from(value) * factor) as f32);
    let difference = &found - expected;
    (dot(&difference, &difference) / dot(expected, expected)).sqrt()
}

#[test]
fn undersampled_scans_give_the_image_of_the_whole_one() {
    // What is left is the regularisation of the kernel and the phantom's sharp edges, which few
    // calibration lines see little of.
    for (acceleration, calibration, tolerance) in [
        (2, CalibrationLines::Embedded(24), 0.03),
        (2, CalibrationLines::Separate(24), 0.03),
        (3, CalibrationLines::Embedded(28), 0.06),
        (4, CalibrationLines::Embedded(32), 0.10),
        (4, CalibrationLines::Separate(32), 0.10),
    ] {
        let (simulated, scan, messages) = prepared(setup(acceleration, calibration));
        let messages = step::<CompressCoils>(Default::default(), &scan, messages);
        let [images] = &series(step::<Grappa>(Default::default(), &scan, messages))[..] else {
            panic!("not one series");
        };
        assert_eq!(images.data.shape(), [1, 1, 1, 1, 1, 64, 64]);
        let found = magnitude(images);
        let error = error_after_scale(&found, &root_sum_of_squares(&simulated));
        println!("R = {acceleration}, {calibration:?}: {error:.4}");
        assert!(error < tolerance, "R = {acceleration}, {calibration:?}: {error}");
        // SNR units: 1/√R of the whole scan's signal.
        let factor = found.sum() / root_sum_of_squares(&simulated).sum();
        let expected = 1.0 / (acceleration as f32).sqrt();
        assert!((factor / expected - 1.0).abs() < 0.05, "R = {acceleration}: {factor}");
    }
}

#[test]
fn headers_and_attributes_are_those_of_the_line_at_the_centre() {
    let setup = Setup { measurement_uid: 77, ..setup(2, CalibrationLines::Embedded(24)) };
    let (_, scan, messages) = prepared(setup);
    let config = grappa::Config { image_series: 5, ..Default::default() };
    let images = series(step::<Grappa>(config, &scan, messages)).remove(0);
    let header = images.headers[[0, 0, 0]];
    assert_eq!(({ header.image_series_index }, { header.image_index }), (6, 1));
    assert_eq!({ header.matrix_size }, [64, 64, 1]);
    assert_eq!({ header.field_of_view }, [300.0, 300.0, 6.0]);
    assert_eq!({ header.measurement_uid }, 77);
    assert_eq!(images.role, ImageRole::Image);
    let lines = images.acquisition_headers.as_ref().expect("they go along");
    let central = lines[[0, 0, 0, 0, 32]];
    assert_eq!({ header.acquisition_time_stamp }, { central.acquisition_time_stamp });
    assert_eq!({ header.physiology_time_stamp }, { central.physiology_time_stamp });
    assert!(images.sampling.is_some());
    let meta = &images.meta[0];
    for (key, expected) in [
        ("encoding", "0"),
        ("recon_matrix", "64"),
        ("DataRole", "Image"),
        ("GADGETRON_DataRole", "Image"),
        ("GADGETRON_ImageNumber", "1"),
        ("measurementID", "phantom_77"),
        ("patient_position", "HFS"),
        (
            "protocolName",
            scan.header
                .as_ref()
                .and_then(|header| {
                    header.measurement_information.as_ref()?.protocol_name.as_deref()
                })
                .expect("the phantom names it"),
        ),
    ] {
        assert_eq!(meta.get(key), Some(expected), "{key}");
    }
    assert_eq!(meta.values("sampling_limits_E1"), ["0", "32", "62"]);
    assert_eq!(meta.values("recon_FOV"), ["300", "300", "6"]);
    assert_eq!(meta.values("slice_dir"), ["0", "0", "1"]);
    let range = meta.values("acquisition_time_range");
    assert!(range.len() == 2 && range[0] < range[1], "{range:?}");
    // A header without an identifier.
    let mut header = scan.header.clone().expect("there is one");
    header.measurement_information = None;
    let (_, _, messages) = prepared(self::setup(2, CalibrationLines::Embedded(24)));
    let scan = Scan::with_header(header);
    let images = series(step::<Grappa>(Default::default(), &scan, messages)).remove(0);
    assert_eq!(images.meta[0].get("measurementID"), None);
}

#[test]
fn maps_of_g_factor_and_snr_are_series_of_their_own() {
    let (_, scan, messages) = prepared(setup(3, CalibrationLines::Embedded(28)));
    let config =
        grappa::Config { send_out_gfactor: true, send_out_snr_map: true, ..Default::default() };
    let all = series(step::<Grappa>(config, &scan, messages));
    let found: Vec<(ImageRole, u16)> = all
        .iter()
        .map(|series| (series.role, series.headers[[0, 0, 0]].image_series_index))
        .collect();
    let expected = [(ImageRole::GFactor, 20), (ImageRole::SnrMap, 300), (ImageRole::Image, 1)];
    assert_eq!(found, expected);
    assert_eq!(all[0].meta[0].get("GADGETRON_DataRole"), Some("Gfactor"));
    assert_eq!(all[0].meta[0].get("DataRole"), Some("Quantitative"));
    for ((g_factor, snr), image) in all[0].data.iter().zip(&all[1].data).zip(&all[2].data) {
        assert!((snr * g_factor - image).norm() <= 1e-4 * image.norm() + 1e-6);
        assert_eq!(g_factor.im, 0.0);
    }
    let inside = all[0].data[[0, 0, 0, 0, 0, 32, 32]].re;
    assert!((1.0..3.0).contains(&inside), "g = {inside}");
}

/// Independent normal numbers of standard deviation 1 per component (Box and Muller 1958).
fn noise(n: usize, seed: u64) -> Vec<Complex32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    (0..n)
        .map(|_| {
            let radius = (-2.0 * uniform().ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * uniform()).sin_cos();
            Complex32::new((radius * cos) as f32, (radius * sin) as f32)
        })
        .collect()
}

/// Puts noise in place of the samples that were read.
fn only_noise(mut k_space: KSpace, seed: u64) -> KSpace {
    let limit = k_space.data.sampling.limits[0];
    let (first, last) = (usize::from(limit.min), usize::from(limit.max));
    let mut noise = noise(k_space.data.data.len(), seed).into_iter();
    let headers = &k_space.data.headers;
    for (place, value) in k_space.data.data.indexed_iter_mut() {
        let line = &headers[[place[0], place[1], place[2], place[4], place[5]]];
        let is_sampled = line.version != 0 && (first..=last).contains(&place[6]);
        *value = if is_sampled { noise.next().expect("as many") } else { Complex32::ZERO };
    }
    k_space
}

/// Root mean square of real and imaginary parts over their expected deviation.
fn deviation(image: &ImageSeries, expected: impl Fn(usize) -> f32) -> f64 {
    let mut sum = 0.0;
    let mut count = 0;
    for (pixel, value) in image.data.iter().enumerate() {
        let expected = expected(pixel);
        if expected > 0.0 {
            sum += f64::from((value / expected).norm_sqr());
            count += 2;
        }
    }
    (sum / f64::from(count)).sqrt()
}

#[test]
fn noise_keeps_its_deviation_and_grows_with_the_g_factor() {
    // 64 × 64 pixels with two components: a standard error of 0.8 %, more where the kernel
    // makes neighbours alike.
    let lines = |acceleration, calibration, partial_fourier| LineOptions {
        partial_fourier,
        ..setup(acceleration, calibration).lines
    };
    for (lines, n_left_out) in [
        (lines(1, CalibrationLines::None, 1.0), 0),
        (lines(1, CalibrationLines::None, 0.75), 0),
        (lines(1, CalibrationLines::None, 1.0), 32),
        (lines(2, CalibrationLines::Embedded(24), 1.0), 0),
        (lines(3, CalibrationLines::Separate(28), 1.0), 0),
        (lines(2, CalibrationLines::Embedded(24), 0.75), 0),
    ] {
        let setup =
            Setup { lines, n_samples_left_out: n_left_out, ..setup(1, CalibrationLines::None) };
        let simulated = SimulatedScan::new(&GradientEcho::default(), setup).expect("it fits");
        let scan = Scan::with_header(simulated.header().clone());
        let mut messages: Vec<Message> = Vec::new();
        for mut readout in simulated.acquisitions() {
            if n_left_out > 0 {
                // What `adjust_asymmetric_echo` does.
                let (n_channels, n) = readout.data.dim();
                let mut data = Array2::zeros((n_channels, n + n_left_out));
                data.slice_mut(s![.., n_left_out..]).assign(&readout.data);
                let header = AcquisitionHeader {
                    discard_pre: n_left_out as u16,
                    center_sample: ((n + n_left_out) / 2) as u16,
                    number_of_samples: (n + n_left_out) as u16,
                    ..readout.header
                };
                readout = ismrmrd::Acquisition { header, data, ..readout };
            }
            messages.push(readout.into());
        }
        let messages = step::<RemoveOversampling>(Default::default(), &scan, messages);
        let messages = step::<CollectReadouts>(Default::default(), &scan, messages);
        let messages = step::<SortKSpace>(Default::default(), &scan, messages);
        let messages = step::<PrepareReference>(Default::default(), &scan, messages);
        let messages = step::<CompressCoils>(Default::default(), &scan, messages);
        let k_space = only_noise(one_k_space(messages), 7);
        let config = grappa::Config { send_out_gfactor: true, ..Default::default() };
        let all = series(step::<Grappa>(config, &scan, vec![Message::KSpace(k_space.clone())]));
        let image = all.last().expect("there is one");
        let g_factor = (all.len() == 2).then(|| &all[0]);
        let sd = deviation(image, |pixel| {
            g_factor.map_or(1.0, |g| g.data.as_slice().expect("standard order")[pixel].re)
        });
        println!("{lines:?}, {n_left_out} samples left out: {sd:.3}");
        // Partial Fourier and lattices leave fewer independent samples than pixels.
        assert!((sd - 1.0).abs() < 0.04, "{lines:?}: {sd}");
        if g_factor.is_none() {
            let all =
                step::<ReconstructCoils>(Default::default(), &scan, vec![Message::KSpace(k_space)]);
            let sd = deviation(&series(all)[0], |_| 1.0);
            assert!((sd - 1.0).abs() < 0.04, "{lines:?}: {sd}");
        }
    }
}

#[test]
fn calibration_that_came_before_its_data_gives_the_same_image_bit_for_bit() {
    let (_, scan, messages) = prepared(setup(2, CalibrationLines::Separate(24)));
    let k_space = one_k_space(messages);
    let mut calibration = k_space.clone();
    calibration.data.data = ArrayD::zeros(IxDyn(&[0; 7]));
    calibration.data.headers = Array5::from_elem((0, 0, 0, 0, 0), AcquisitionHeader::default());
    let image = |inputs: Vec<KSpace>| {
        let inputs = inputs.into_iter().map(Message::KSpace).collect();
        let all = series(step::<Grappa>(Default::default(), &scan, inputs));
        assert_eq!(all.len(), 1);
        all[0].data.clone()
    };
    assert_eq!(image(vec![k_space.clone()]), image(vec![calibration, k_space]));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (_, scan, messages) = prepared(setup(3, CalibrationLines::Embedded(28)));
    let k_space = one_k_space(messages);
    let run = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
        pool.expect("threads").install(|| {
            let inputs = vec![Message::KSpace(k_space.clone())];
            let messages = step::<CompressCoils>(Default::default(), &scan, inputs);
            series(step::<Grappa>(Default::default(), &scan, messages)).remove(0).data
        })
    };
    assert_eq!(run(1), run(8));
}

#[test]
fn too_few_calibration_lines_and_none_are_errors_that_say_what_is_needed() {
    let (_, scan, messages) = prepared(setup(4, CalibrationLines::Embedded(8)));
    let error = try_step::<Grappa>(Default::default(), &scan, messages).expect_err("too few");
    assert_eq!(
        error.to_string(),
        "slice 0: the calibration has 8 samples along encoding_step_1, acceleration 4 with this \
         kernel needs at least 13"
    );
    let (_, scan, messages) = prepared(setup(2, CalibrationLines::Embedded(24)));
    let without = KSpace { reference: None, ..one_k_space(messages) };
    // It waits for calibration, and comes at the end.
    let messages =
        step::<PrepareReference>(Default::default(), &scan, vec![Message::KSpace(without)]);
    let messages = step::<CompressCoils>(Default::default(), &scan, messages);
    let error = try_step::<Grappa>(Default::default(), &scan, messages).expect_err("none");
    assert_eq!(error.to_string(), "slice 0: acceleration 2 without calibration lines");
    assert!(error.remedy().starts_with("acquire calibration lines"), "{}", error.remedy());
}

#[test]
fn lines_that_are_not_those_of_the_header_are_refused() {
    let (simulated, _, messages) = prepared(setup(3, CalibrationLines::Embedded(28)));
    let mut header = simulated.header().clone();
    for (acceleration, text) in [
        (1, "the header says acceleration 1, but the lines are 3 apart"),
        (2, "the header says acceleration 2, but the lines are 3 apart"),
    ] {
        let imaging = header.encoding[0].parallel_imaging.as_mut().expect("the phantom has it");
        imaging.acceleration_factor.kspace_encoding_step_1 = acceleration;
        let scan = Scan::with_header(header.clone());
        let error = try_step::<Grappa>(Default::default(), &scan, messages.clone())
            .expect_err("the header is wrong");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn an_image_without_lines_stays_black_and_the_others_come() {
    let (_, scan, messages) = prepared(setup(2, CalibrationLines::Embedded(24)));
    let mut k_space = one_k_space(messages);
    let blank = |buffer: &mut KSpaceBuffer| {
        let data = ndarray::concatenate![
            Axis(2),
            buffer.data.view(),
            ArrayD::<Complex32>::zeros(buffer.data.raw_dim())
        ];
        let zeroed = buffer.headers.mapv(|mut header| {
            header.version = 0;
            header
        });
        buffer.headers = ndarray::concatenate![Axis(2), buffer.headers.view(), zeroed.view()];
        buffer.data = data;
    };
    blank(&mut k_space.data);
    let images =
        series(step::<Grappa>(Default::default(), &scan, vec![Message::KSpace(k_space)])).remove(0);
    let energy = |n: usize| -> f32 {
        images.data.slice(s![0, 0, n, .., .., .., ..]).iter().map(|v| v.norm_sqr()).sum()
    };
    assert!(energy(0) > 1.0);
    assert_eq!(energy(1), 0.0);
}

#[test]
fn whole_scans_are_combined_with_their_maps() {
    let (simulated, scan, messages) = prepared(setup(1, CalibrationLines::None));
    let expected = root_sum_of_squares(&simulated);
    for iterative in [false, true] {
        let algorithm = if iterative { "inati_iter" } else { "inati" };
        let (mut fft, mut grappa) =
            (reconstruct_coils::Config::default(), grappa::Config::default());
        if iterative {
            fft.coil_map_algorithm = cartesian::CoilMapAlgorithm::InatiIter;
            grappa.coil_map_algorithm = cartesian::CoilMapAlgorithm::InatiIter;
        }
        let ours = series(step::<ReconstructCoils>(fft, &scan, messages.clone())).remove(0);
        let error = error_after_scale(&magnitude(&ours), &expected);
        println!("{algorithm}: {error:.4}");
        // Estimated maps lose a little where the object's edges lie.
        assert!(error < 0.02, "{algorithm}: {error}");
        assert_eq!({ ours.headers[[0, 0, 0]].image_series_index }, 1);
        let without = series(step::<Grappa>(grappa, &scan, messages.clone())).remove(0);
        let difference: f32 =
            ours.data.iter().zip(&without.data).map(|(a, b)| (a - b).norm_sqr()).sum();
        let energy: f32 = ours.data.iter().map(|value| value.norm_sqr()).sum();
        assert!(difference < 1e-10 * energy, "grappa without acceleration is the same");
    }
}

#[test]
fn compressed_channels_keep_the_signal_strongest_first() {
    let (_, scan, messages) = prepared(setup(2, CalibrationLines::Embedded(24)));
    let before = one_k_space(messages.clone());
    let energies = |buffer: &KSpaceBuffer| -> Vec<f64> {
        buffer
            .data
            .axis_iter(Axis(3))
            .map(|channel| channel.iter().map(|v| f64::from(v.norm_sqr())).sum())
            .collect()
    };
    let compress = |config: compress_coils::Config| {
        one_k_space(step::<CompressCoils>(config, &scan, messages.clone()))
    };
    let all = compress(Default::default());
    assert_eq!(all.data.data.shape(), before.data.data.shape());
    let (from, to) = (before.reference.as_ref(), all.reference.as_ref());
    let (from, to) = (from.expect("it is there"), to.expect("it is there"));
    let total = |energies: Vec<f64>| energies.iter().sum::<f64>();
    assert!((total(energies(to)) / total(energies(from)) - 1.0).abs() < 1e-5, "a rotation");
    let modes = energies(to);
    assert!(modes.windows(2).all(|pair| pair[0] >= pair[1]), "{modes:?}");
    let few = compress(compress_coils::Config {
        upstream_coil_compression_num_modes_kept: 3,
        ..Default::default()
    });
    assert_eq!(few.data.data.shape()[3], 3);
    let first = all.data.data.slice(s![.., .., .., ..3, .., .., ..]);
    assert!(few.data.data.iter().zip(first).all(|(a, b)| (a - b).norm() < 1e-5));
    let threshold = compress(compress_coils::Config {
        upstream_coil_compression_thres: 0.01,
        ..Default::default()
    });
    let expected = modes.iter().filter(|energy| **energy >= 0.01 * modes[0]).count();
    assert_eq!(threshold.data.data.shape()[3], expected);
    let off =
        compress(compress_coils::Config { upstream_coil_compression: false, ..Default::default() });
    assert_eq!(off.data.data, before.data.data);
}

#[test]
fn modes_stay_for_what_follows_unless_they_are_to_be_updated() {
    let (_, scan, messages) = prepared(setup(2, CalibrationLines::Embedded(24)));
    let first = one_k_space(messages);
    let mut second = first.clone();
    // The channels in another order.
    if let Some(reference) = &mut second.reference {
        reference.data.invert_axis(Axis(3));
    }
    let data = |update: bool| {
        let config = compress_coils::Config {
            update_eigen_channel_coefficients: update,
            ..Default::default()
        };
        let inputs = vec![Message::KSpace(first.clone()), Message::KSpace(second.clone())];
        let outputs = step::<CompressCoils>(config, &scan, inputs);
        let Some(Message::KSpace(k_space)) = outputs.into_iter().nth(1) else { panic!("two") };
        k_space.data.data
    };
    let stays = one_k_space(step::<CompressCoils>(
        Default::default(),
        &scan,
        vec![Message::KSpace(first.clone())],
    ));
    assert_eq!(data(false), stays.data.data);
    assert_ne!(data(true), stays.data.data);
}

/// A 3-D scan of smooth coils: k-space of all lines, and what the channels show together.
fn volume(n_channels: usize, [nz, ny, nx]: [usize; 3]) -> (Array4<Complex32>, Vec<f32>) {
    let place = |index: usize, len: usize| 2.0 * (index as f32 / len as f32) - 1.0;
    let mut k_space = Array4::from_shape_fn((n_channels, nz, ny, nx), |(channel, z, y, x)| {
        let position = [place(z, nz), place(y, ny), place(x, nx)];
        let distance = |center: [f32; 3]| -> f32 {
            position.iter().zip(center).map(|(a, b)| (a - b).powi(2)).sum()
        };
        let object =
            (-distance([0.0; 3]) / 0.12).exp() + 0.5 * (-distance([0.3, 0.2, 0.1]) / 0.02).exp();
        let angle = std::f32::consts::TAU * channel as f32 / n_channels as f32;
        let side = if channel % 2 == 0 { 0.9 } else { -0.9 };
        let coil = (-distance([side, 1.2 * angle.sin(), 1.2 * angle.cos()]) / 1.5).exp();
        Complex32::from_polar(object * coil, 0.7 * position[1] * angle.cos())
    });
    let together = (0..nz * ny * nx)
        .map(|pixel| {
            let channels = k_space.as_slice().expect("standard order").chunks(nz * ny * nx);
            channels.map(|channel| channel[pixel].norm_sqr()).sum::<f32>().sqrt()
        })
        .collect();
    Plan::new(k_space.shape(), &[Axis(1), Axis(2), Axis(3)]).forward(k_space.view_mut());
    (k_space, together)
}

#[test]
fn partitions_that_were_left_out_come_back_too() {
    let [nz, ny, nx] = [20, 24, 24];
    let (whole, expected) = volume(8, [nz, ny, nx]);
    let space = EncodingSpace {
        matrix_size: MatrixSize { x: nx as u16, y: ny as u16, z: nz as u16 },
        field_of_view_mm: FieldOfView { x: 240.0, y: 240.0, z: 200.0 },
    };
    let scan = Scan::with_header(Header {
        encoding: vec![Encoding {
            encoded_space: space,
            recon_space: space,
            encoding_limits: EncodingLimits::default(),
            trajectory: Trajectory::Cartesian,
            trajectory_description: None,
            parallel_imaging: Some(ParallelImaging {
                acceleration_factor: AccelerationFactor {
                    kspace_encoding_step_1: 2,
                    kspace_encoding_step_2: 2,
                },
                calibration_mode: Some(CalibrationMode::Embedded),
                ..ParallelImaging::default()
            }),
            echo_train_length: None,
        }],
        ..Header::default()
    });
    let buffer = |is_read: &dyn Fn(usize, usize) -> bool| {
        let mut data = ArrayD::zeros(IxDyn(&[1, 1, 1, 8, nz, ny, nx]));
        let mut headers = Array5::from_shape_fn((1, 1, 1, nz, ny), |_| AcquisitionHeader {
            version: 0,
            ..AcquisitionHeader::default()
        });
        for z in 0..nz {
            for y in 0..ny {
                if is_read(z, y) {
                    headers[[0, 0, 0, z, y]].version = 1;
                    data.slice_mut(s![0, 0, 0, .., z, y, ..]).assign(&whole.slice(s![
                        ..,
                        z,
                        y,
                        ..
                    ]));
                }
            }
        }
        let limit =
            |len: usize| SamplingLimit { min: 0, center: (len / 2) as u16, max: (len - 1) as u16 };
        KSpaceBuffer {
            data,
            trajectory: None,
            density: None,
            headers,
            sampling: SamplingDescription {
                encoded_matrix_size: [nx as u16, ny as u16, nz as u16],
                recon_matrix_size: [nx as u16, ny as u16, nz as u16],
                limits: [limit(nx), limit(ny), limit(nz)],
                ..SamplingDescription::default()
            },
        }
    };
    let k_space = KSpace {
        encoding_space: 0,
        s: None,
        n: None,
        data: buffer(&|z, y| z % 2 == 0 && y % 2 == 1),
        reference: Some(buffer(&|z, y| (5..15).contains(&z) && (7..17).contains(&y))),
        waveforms: Vec::new(),
    };
    let messages =
        step::<PrepareReference>(Default::default(), &scan, vec![Message::KSpace(k_space)]);
    let config = grappa::Config {
        grappa_ksize_ro: 3,
        grappa_ksize_e1: 2,
        grappa_ksize_e2: 2,
        ..Default::default()
    };
    let images = series(step::<Grappa>(config, &scan, messages)).remove(0);
    assert_eq!(images.data.shape(), [1, 1, 1, 1, nz, ny, nx]);
    let found: Vec<f32> = images.data.iter().map(|value| value.norm()).collect();
    let shape = (1, found.len());
    let found = Array2::from_shape_vec(shape, found).expect("as many");
    let expected = Array2::from_shape_vec(shape, expected).expect("as many");
    let error = error_after_scale(&found, &expected);
    println!("R = 2 × 2: {error:.4}");
    // Smooth coils and a smooth object.
    assert!(error < 0.03, "{error}");
}

#[test]
fn noisy_scans_are_no_worse_than_their_g_factor_says() {
    // SNR 30 at R = 2: the error is that of noise, g·√R times the noise of the whole scan.
    let noisy = Setup { noise: Noise::Sd(0.02), ..setup(2, CalibrationLines::Embedded(24)) };
    let (simulated, scan, messages) = prepared(noisy);
    let messages = step::<CompressCoils>(Default::default(), &scan, messages);
    let images = series(step::<Grappa>(Default::default(), &scan, messages)).remove(0);
    let expected = root_sum_of_squares(&simulated);
    let difference: Vec<f64> = magnitude(&images)
        .iter()
        .zip(&expected)
        .filter(|(_, expected)| **expected > 0.3)
        .map(|(found, expected)| f64::from(found * 2.0_f32.sqrt() - expected))
        .collect();
    let sd = (difference.iter().map(|d| d * d).sum::<f64>() / difference.len() as f64).sqrt();
    println!("SD {sd:.4} in {} pixels", difference.len());
    assert!(sd < 1.4 * 0.02 * 2.0_f64.sqrt(), "{sd}");
}
