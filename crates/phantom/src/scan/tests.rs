//! The scan against its own truth and against independent sums.

use std::f64::consts::TAU;

use ismrmrd::AcquisitionFlags;
use ndarray::s;
use num_complex::Complex64;
use numerics::fft::{CropReadout, inverse_2d};
use numerics::whitening::{NoiseAccumulator, WhiteningMatrix};

use super::*;
use crate::anatomy::ShortAxisOptions;
use crate::motion::{BreathHold, Breathing, BreathingOptions, BreathingPattern, Motion};
use crate::sequence::{GradientEcho, Molli, SingleShot};
use crate::shepp_logan::shepp_logan;
use crate::trajectory::{CalibrationLines, Undersampling};

/// A scan of the Shepp-Logan phantom with some repetitions.
fn scan_of(n_repetitions: usize, change: impl FnOnce(&mut Setup)) -> SimulatedScan {
    let mut setup =
        Setup { n_channels: 4, matrix_size: [64, 48], ..Setup::new(Subject::SheppLogan) };
    change(&mut setup);
    let sequence = GradientEcho { n_repetitions, ..GradientEcho::default() };
    SimulatedScan::new(&sequence, setup).expect("a good setup")
}

fn scan(change: impl FnOnce(&mut Setup)) -> SimulatedScan {
    scan_of(1, change)
}

/// All image readouts of one slice and repetition, transformed: `[channel, y, x]`.
fn reconstruct(scan: &SimulatedScan, slice: u16, repetition: u16) -> Array3<Complex32> {
    let space = &scan.header().encoding[0];
    let (encoded, recon) = (space.encoded_space.matrix_size, space.recon_space.matrix_size);
    let (nx, ny) = (usize::from(recon.x), usize::from(recon.y));
    let crop = CropReadout::new(encoded.x.into(), nx).expect("lengths");
    let mut scratch = vec![Complex32::ZERO; crop.scratch_len()];
    let mut images = Array3::zeros((scan.setup().n_channels, ny, nx));
    for acquisition in scan.acquisitions() {
        let idx = acquisition.header.idx;
        let other =
            AcquisitionFlags::IS_NOISE_MEASUREMENT | AcquisitionFlags::IS_PARALLEL_CALIBRATION;
        if !acquisition.header.has_any(other) && (idx.slice, idx.repetition) == (slice, repetition)
        {
            let line = usize::from(idx.kspace_encode_step_1);
            crop.process(acquisition.data.view(), images.slice_mut(s![.., line, ..]), &mut scratch);
        }
    }
    inverse_2d(images.view_mut());
    images
}

fn nrmse<'a>(
    values: impl IntoIterator<Item = &'a Complex32>,
    truth: impl IntoIterator<Item = &'a Complex32>,
) -> f64 {
    let (mut difference, mut total) = (0.0, 0.0);
    for (value, truth) in values.into_iter().zip(truth) {
        difference += f64::from((value - truth).norm_sqr());
        total += f64::from(truth.norm_sqr());
    }
    (difference / total).sqrt()
}

#[test]
fn one_channel_gives_back_the_truth() {
    for oversampling in [1, 2] {
        let scan = scan(|setup| {
            (setup.n_channels, setup.n_slices) = (1, 2);
            setup.readout_oversampling = oversampling;
        });
        for slice in 0..2 {
            let images = reconstruct(&scan, slice, 0);
            // The same arithmetic, so only rounding is left.
            assert!(nrmse(&images, &scan.object_image(slice.into())) < 1e-6);
        }
    }
}

#[test]
fn truth_is_the_sum_of_the_analytic_spectrum() {
    let scan = scan(|setup| {
        setup.matrix_size = [24, 20];
        setup.field_of_view_mm = [240.0, 220.0];
        setup.n_slices = 3;
    });
    let ellipses = shepp_logan(110.0, 1, 3);
    let image = scan.object_image(1);
    let (dkx, dky) = (1.0 / 480.0, 1.0 / 220.0);
    for (y, x) in [(10, 12), (2, 12), (17, 6), (10, 9), (5, 20), (0, 0)] {
        let (x_mm, y_mm) = ((x as f64 - 12.0) * 10.0, (y as f64 - 10.0) * 11.0);
        let mut sum = Complex64::ZERO;
        for line in 0..20 {
            for sample in 0..48 {
                let k = [(f64::from(sample) - 24.0) * dkx, (f64::from(line) - 10.0) * dky];
                let spectrum: Complex64 =
                    ellipses.iter().map(|e| e.amplitude * e.ellipse.spectrum(k)).sum();
                sum += spectrum * Complex64::cis(TAU * (k[0] * x_mm + k[1] * y_mm)) * dkx * dky;
            }
        }
        let truth = image[[y, x]];
        let difference = (Complex64::new(truth.re.into(), truth.im.into()) - sum).norm();
        // Rounding of values up to 1 in single precision.
        assert!(difference < 1e-5, "pixel {x}, {y}: {truth} and {sum}");
    }
}

#[test]
fn truth_approaches_the_phantom_with_its_size() {
    let scan = scan(|setup| (setup.matrix_size, setup.n_channels) = ([256, 256], 1));
    let truth = scan.object_image(0);
    let pixel_mm = 300.0 / 256.0;
    let at = |x_mm: f64, y_mm: f64| {
        let pixel = |mm: f64| (128.0 + mm / pixel_mm).round() as usize;
        truth[[pixel(y_mm), pixel(x_mm)]].re
    };
    // Plateaus some pixels wide; ringing of the skull reaches them with a few hundredths.
    for (x_mm, y_mm, intensity) in
        [(0.0, 120.0, 0.2), (33.0, 0.0, 0.0), (0.0, -55.0, 0.3), (-140.0, -140.0, 0.0)]
    {
        assert!((at(x_mm, y_mm) - intensity).abs() < 0.03, "{x_mm}, {y_mm}: {}", at(x_mm, y_mm));
    }
}

#[test]
fn sixteen_channels_combine_to_the_truth() {
    let scan = scan(|setup| (setup.matrix_size, setup.n_channels) = ([128, 128], 16));
    let images = reconstruct(&scan, 0, 0);
    assert!(nrmse(&images, &scan.coil_images(0)) < 1e-6);
    let maps = scan.coil_maps(0);
    let mut combined = Array2::zeros((128, 128));
    for ((y, x), value) in combined.indexed_iter_mut() {
        let (mut sum, mut weight) = (Complex32::ZERO, 0.0);
        for channel in 0..16 {
            sum += maps[[channel, y, x]].conj() * images[[channel, y, x]];
            weight += maps[[channel, y, x]].norm_sqr();
        }
        *value = sum / weight;
    }
    // Rounding in single precision: acceptance of the simulator is 1e-4.
    assert!(nrmse(&combined, &scan.image(0)) < 1e-6);
    let error = nrmse(&combined, &scan.object_image(0));
    // The scan's resolution is that of object times sensitivity, not of the object alone: at the
    // skull the ringing is weighted by the sensitivity where the edge is, not where it shows.
    assert!(error < 0.012, "{error}");
}

#[test]
fn sixteen_channels_of_a_heart_combine_to_the_sum_of_the_analytic_spectrum() {
    let heart = Subject::ShortAxis(ShortAxisOptions::default());
    let (n_x, n_y, fov_mm) = (24_i32, 20_i32, [360.0, 300.0]);
    let setup = Setup {
        matrix_size: [24, 20],
        field_of_view_mm: fov_mm,
        n_channels: 16,
        ..Setup::new(heart)
    };
    let scan = SimulatedScan::new(&GradientEcho::default(), setup).expect("a good setup");
    let parts =
        scan.bodies()[0].components(&crate::motion::Pose::default(), &scan.plan().signals[0]);
    let combined = scan.image(0);
    let coils = &scan.coils[0];
    let order = CoilSensitivities::ORDER as f64;
    let n_waves = CoilSensitivities::N_WAVES;
    // Of every sample: where it is, and what each wave shifts onto it.
    let samples: Vec<([f64; 2], Vec<Complex64>)> = (0..n_y)
        .flat_map(|line| (0..2 * n_x).map(move |sample| (line, sample)))
        .map(|(line, sample)| {
            let k = [
                f64::from(sample - n_x) / (2.0 * fov_mm[0]),
                f64::from(line - n_y / 2) / fov_mm[1],
            ];
            let shifted = |wave: usize| {
                let (q, p) = ((wave / n_waves) as f64 - order, (wave % n_waves) as f64 - order);
                let k = [k[0] - p / (2.0 * fov_mm[0]), k[1] - q / (2.0 * fov_mm[1])];
                parts.iter().map(|e| e.amplitude * e.ellipse.spectrum(k)).sum()
            };
            (k, (0..n_waves * n_waves).map(shifted).collect())
        })
        .collect();
    for (y, x) in [(10, 12), (9, 14), (4, 5), (16, 17)] {
        let (x_mm, y_mm) = (f64::from(x - 12) * 15.0, f64::from(y - 10) * 15.0);
        let sensitivities = coils.on_grid(&[x_mm], &[y_mm]);
        let (mut sum, mut weight) = (Complex64::ZERO, 0.0);
        for channel in 0..16 {
            let mut image = Complex64::ZERO;
            for (k, shifted) in &samples {
                let waves = coils.coefficients(channel).into_iter().zip(shifted);
                let sampled: Complex64 = waves.map(|(weight, object)| weight * object).sum();
                image += sampled * Complex64::cis(TAU * (k[0] * x_mm + k[1] * y_mm));
            }
            let sensitivity = sensitivities[[channel, 0, 0]];
            sum += sensitivity.conj() * image / (2.0 * fov_mm[0] * fov_mm[1]);
            weight += sensitivity.norm_sqr();
        }
        let (expected, value) = (sum / weight, combined[[y as usize, x as usize]]);
        let difference = (Complex64::new(value.re.into(), value.im.into()) - expected).norm();
        // Rounding in single precision of values up to 0.1.
        assert!(difference < 1e-6, "pixel {x}, {y}: {value} and {expected}");
    }
}

#[test]
fn noise_has_the_level_that_was_asked_for_and_repetitions_differ() {
    let noisy = scan_of(2, |setup| setup.noise = Noise::Sd(0.02));
    let clean = scan(|_| ());
    let mut squares = 0.0;
    let mut n = 0;
    for (noisy, truth) in noisy.acquisitions().zip(clean.acquisitions()) {
        let noise = noisy.data - &truth.data;
        squares += noise.iter().map(|value| f64::from(value.norm_sqr())).sum::<f64>();
        n += 2 * noise.len();
    }
    let sd = (squares / n as f64).sqrt();
    // 49152 numbers: standard error 0.3 %.
    assert!((sd / 0.02 - 1.0).abs() < 0.015, "{sd}");
    // The image has the same noise: removal of oversampling and transforms are unitary.
    let difference = reconstruct(&noisy, 0, 0) - reconstruct(&noisy, 0, 1);
    let squares: f64 = difference.iter().map(|value| f64::from(value.norm_sqr())).sum();
    let sd = (squares / (4 * difference.len()) as f64).sqrt();
    assert!((sd / 0.02 - 1.0).abs() < 0.02, "{sd}");
}

#[test]
fn noise_scan_whitens_the_scan() {
    let scan = scan(|setup| {
        setup.noise = Noise::Sd(0.1);
        let mut covariance = Array2::eye(4);
        covariance[[0, 1]] = Complex64::new(0.2, 0.3);
        covariance[[1, 0]] = Complex64::new(0.2, -0.3);
        setup.noise_covariance = Some(covariance);
        setup.noise_scan = Some(NoiseScan { n_readouts: 200, sample_time_us: 2.5 });
    });
    let mut accumulator = NoiseAccumulator::new(4);
    let readouts: Vec<_> = scan.acquisitions().collect();
    for noise in &readouts[..200] {
        assert_eq!({ noise.header.flags }, AcquisitionFlags::IS_NOISE_MEASUREMENT);
        assert_eq!({ noise.header.sample_time_us }, 2.5);
        accumulator.add(noise.data.view());
    }
    let covariance = accumulator.covariance().expect("samples");
    let whitening = WhiteningMatrix::new(covariance.view(), 5.0 / 2.5, 0.793).expect("definite");
    let mut whitened = NoiseAccumulator::new(4);
    let clean = self::scan(|_| ());
    for (noisy, clean) in readouts[200..].iter().zip(clean.acquisitions()) {
        let mut noise = &noisy.data - &clean.data;
        whitening.apply(noise.view_mut());
        whitened.add(noise.view());
    }
    let covariance = whitened.covariance().expect("samples");
    for ((i, j), value) in covariance.indexed_iter() {
        let expected = if i == j { 2.0 } else { 0.0 };
        // Standard error of 6144 samples: 1.3 % of 2; the noise scan's own is half of it.
        assert!((value - expected).norm() < 0.12, "{covariance}");
    }
}

#[test]
fn readouts_agree_with_the_header() {
    let scan = scan_of(2, |setup| {
        setup.lines.undersampling = Undersampling::Regular { acceleration: 2 };
        setup.lines.calibration = CalibrationLines::Embedded(8);
        setup.n_slices = 3;
        setup.noise = Noise::Sd(0.01);
        setup.noise_scan = Some(NoiseScan::default());
    });
    let header = scan.header();
    let encoding = &header.encoding[0];
    let limits = &encoding.encoding_limits;
    let within = |limit: Option<ismrmrd::xml::Limit>, value: u16| {
        let limit = limit.expect("a limit");
        assert!((limit.minimum..=limit.maximum).contains(&value));
    };
    let mut ticks = 0;
    for (index, acquisition) in scan.acquisitions().enumerate() {
        let head = acquisition.header;
        assert_eq!(acquisition.n_samples(), usize::from(encoding.encoded_space.matrix_size.x));
        assert_eq!({ head.center_sample }, 64);
        assert_eq!({ head.scan_counter } as usize, index + 1);
        assert_eq!({ head.active_channels }, 4);
        assert_eq!({ head.channel_mask }[0], 0b1111);
        let idx = head.idx;
        within(limits.kspace_encoding_step_1, idx.kspace_encode_step_1);
        within(limits.kspace_encoding_step_2, idx.kspace_encode_step_2);
        within(limits.slice, idx.slice);
        within(limits.repetition, idx.repetition);
        let stamp = head.acquisition_time_stamp;
        assert!(stamp >= ticks);
        ticks = stamp;
        assert_eq!(stamp - clock::START_TICKS, (scan.start_time(index).as_micros() / 2500) as u32);
        if head.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT) {
            assert!(index < 16);
        } else {
            assert_eq!(idx.user[5], 24);
            assert_eq!({ head.position }[2], (f32::from(idx.slice) - 1.0) * 8.0);
        }
    }
    assert_eq!(scan.n_acquisitions(), 16 + 2 * 3 * (24 + 4));
    assert_eq!(encoding.encoded_space.field_of_view_mm.x, 600.0);
    assert_eq!(encoding.recon_space.matrix_size.x, 64);
    let system = header.acquisition_system_information.as_ref().expect("a system");
    assert_eq!(system.coil_label.len(), 4);
}

#[test]
fn header_survives_its_text() {
    let header = scan(|setup| setup.n_slices = 2).header().clone();
    let mut read = Header::from_xml(&header.to_xml()).expect("a header");
    read.version = header.version;
    assert_eq!(read, header);
}

#[test]
fn scan_is_bitwise_the_same_on_one_thread_and_on_eight() {
    let readouts = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| {
            let scan = scan(|setup| (setup.noise, setup.seed) = (Noise::Sd(0.1), 5));
            scan.acquisitions().collect::<Vec<_>>()
        })
    };
    let one = readouts(1);
    assert_eq!(one, readouts(8));
    let other = scan(|setup| (setup.noise, setup.seed) = (Noise::Sd(0.1), 6));
    assert_ne!(Some(&one[0]), other.acquisitions().next().as_ref());
}

#[test]
fn lines_have_the_signals_of_their_own_moment() {
    let heart = Subject::ShortAxis(ShortAxisOptions::default());
    let setup = Setup { matrix_size: [32, 24], n_channels: 3, ..Setup::new(heart) };
    let of_scan = |line_by_line: bool| {
        let readout = SingleShot { line_by_line, ..SingleShot::default() };
        let sequence = Molli { readout, ..Molli::default() };
        SimulatedScan::new(&sequence, setup.clone()).expect("a good setup")
    };
    let (by_line, by_frame) = (of_scan(true), of_scan(false));
    let rows = |scan: &SimulatedScan| scan.plan().signals.len();
    assert!(rows(&by_line) > 8 * 20 && rows(&by_frame) == 8);
    let ellipses: Vec<_> = match &by_line.bodies()[0] {
        Body::Anatomy(anatomy) => anatomy.regions.iter().map(|region| region.ellipse).collect(),
        Body::Picture(_) => panic!("an anatomy"),
    };
    let sampler = &by_line.samplers(0).cartesian;
    let basis = sampler.basis(&ellipses);
    let mut largest = 0.0_f32;
    for (acquisition, readout) in by_line.acquisitions().zip(&by_line.plan().readouts) {
        let (Content::Body { signals, .. }, Sampling::Line { line, .. }) =
            (readout.content, readout.sampling)
        else {
            panic!("lines of a body");
        };
        let pose = crate::motion::Pose::default();
        let parts = by_line.bodies()[0].components(&pose, &by_line.plan().signals[signals]);
        let mut expected = Array2::<Complex32>::zeros(acquisition.data.dim());
        for (part, of_ellipse) in parts.iter().zip(basis.outer_iter()) {
            let amplitude = Complex32::new(part.amplitude.re as f32, part.amplitude.im as f32);
            expected.scaled_add(amplitude, &of_ellipse.index_axis(Axis(0), line));
        }
        let difference = (&acquisition.data - &expected).mapv(|value| value.norm());
        largest = largest.max(difference.iter().copied().fold(0.0, f32::max));
    }
    // Rounding of values of the order of 1.
    assert!(largest < 1e-5, "{largest}");
    // Lines at the centre agree with those of whole frames.
    let at_center = |scan: &SimulatedScan| {
        let lines = scan.acquisitions().filter(|a| a.header.idx.kspace_encode_step_1 == 12);
        lines.map(|acquisition| acquisition.data).collect::<Vec<_>>()
    };
    for (a, b) in at_center(&by_line).iter().zip(&at_center(&by_frame)) {
        assert!((a - b).iter().all(|difference| difference.norm() < 1e-5));
    }
}

#[test]
fn k_space_is_dropped_after_its_last_readout() {
    let heart = Subject::ShortAxis(ShortAxisOptions::default());
    let setup = Setup { matrix_size: [32, 24], n_channels: 2, ..Setup::new(heart) };
    let scan = SimulatedScan::new(&Molli::default(), setup).expect("a good setup");
    let mut production = Production::new(&scan);
    let n = scan.n_acquisitions();
    for first in (0..n).step_by(10) {
        production.batch(first, n.min(first + 10));
        assert!(production.n_kept() <= 1, "{} frames are kept", production.n_kept());
    }
    assert_eq!(production.n_kept(), 0);
}

#[test]
fn a_heart_that_would_leave_its_place_is_refused() {
    let heart = Subject::ShortAxis(ShortAxisOptions::default());
    let pattern =
        BreathingPattern::Hold(BreathHold { drift_mm_per_s: 10.0, ..BreathHold::default() });
    let breathing = Breathing::new(&BreathingOptions { pattern, ..BreathingOptions::default() });
    let motion = Motion { breathing: breathing.expect("good options"), ..Motion::default() };
    let setup = Setup { matrix_size: [32, 24], motion, ..Setup::new(heart) };
    let error = SimulatedScan::new(&Molli::default(), setup).err().expect("too much motion");
    let error = error.to_string();
    assert!(error.contains("leaves its place") && error.contains("less breathing"), "{error}");
}

#[test]
fn waveforms_come_between_readouts_in_the_order_of_time() {
    let heart = Subject::ShortAxis(ShortAxisOptions::default());
    let setup =
        Setup { matrix_size: [32, 24], n_channels: 1, with_waveforms: true, ..Setup::new(heart) };
    let scan = SimulatedScan::new(&Molli::default(), setup).expect("a good setup");
    let times: Vec<Duration> = scan.events().map(|(at, _)| at).collect();
    assert!(times.is_sorted());
    let n_waveforms = times.len() - scan.n_acquisitions();
    // An electrocardiogram and a respiration every 100 ms of 10 s.
    assert!((180..=240).contains(&n_waveforms), "{n_waveforms}");
    assert_eq!(scan.header().waveform_information.len(), 2);
}
