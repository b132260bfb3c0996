use acquisition::sort_k_space::Dimension;
use ndarray::{Array3, Axis};
use phantom::{
    Breathing, BreathingOptions, BreathingPattern, CalibrationLines, FreeBreathing, LineOptions,
    LineOrder, Molli, Motion, Noise, Rhythm, Setup, ShortAxisOptions, SignalModel, SimulatedScan,
    Subject, Undersampling,
};
use pipeline::image_notes::{FAULT_KEY, MOTION_PX_KEY, NOISE_SD_KEY, RECONSTRUCTION_KEY};
use pipeline::{Accept, Gadget, Message, Remedy, run_gadget};

use super::*;
use crate::unaliasing::simulated::{k_space_along, truth};
use crate::{CgSense, prepare_reference};

/// A MOLLI with every so many lines, other ones in each image.
fn molli(acceleration: usize, scheme: &str) -> SimulatedScan {
    let still = Motion::still(Rhythm::default());
    scan(acceleration, scheme, CalibrationLines::Embedded(16), still, 20.0)
}

fn scan(
    acceleration: usize,
    scheme: &str,
    calibration: CalibrationLines,
    motion: Motion,
    signal_to_noise: f64,
) -> SimulatedScan {
    let setup = Setup {
        matrix_size: [72, 64],
        n_channels: 8,
        lines: LineOptions {
            undersampling: Undersampling::Interleaved { acceleration },
            calibration,
            order: LineOrder::Centric,
            ..LineOptions::default()
        },
        motion,
        signal_model: SignalModel::Ideal,
        noise: Noise::SignalToNoise(signal_to_noise),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    let molli = Molli { scheme: scheme.parse().expect("a scheme"), ..Molli::default() };
    SimulatedScan::new(&molli, setup).expect("the setup fits")
}

/// What a gadget makes of it, `[n, y, x]`, and what it told.
fn images<G: Gadget<Input = KSpace>>(
    config: G::Config,
    simulated: &SimulatedScan,
) -> (Array3<Complex32>, Vec<String>) {
    let (series, told) = series::<G>(config, simulated);
    let n = series.data.shape()[2];
    (series.data.into_shape_with_order((n, 64, 72)).expect("n images of a slice"), told)
}

/// The same with all that it says of the images.
fn series<G: Gadget<Input = KSpace>>(
    config: G::Config,
    simulated: &SimulatedScan,
) -> (ImageSeries, Vec<String>) {
    let prepare =
        prepare_reference::Config { ref_fill_into_data_embedded: true, ..Default::default() };
    let (scan, messages) = k_space_along(Dimension::Set, prepare, simulated);
    let inputs = messages.into_iter().filter_map(|message| KSpace::accept(message).ok());
    let run = run_gadget::<G>(config, &scan, inputs.collect::<Vec<_>>());
    let (outputs, told) = run.unwrap_or_else(|error| panic!("{error}; {}", error.remedy()));
    let Some(Message::ImageSeries(series)) = outputs.into_iter().next() else {
        panic!("no images")
    };
    (series, told)
}

/// ‖found·f − truth‖ / ‖truth‖ of the magnitudes of all images with the best factor f.
fn error(found: &Array3<Complex32>, simulated: &SimulatedScan) -> f64 {
    let truth: Vec<f64> = (0..found.len_of(Axis(0)))
        .flat_map(|n| truth(simulated, n))
        .map(|value| f64::from(value.norm()))
        .collect();
    let pairs = || found.iter().map(|value| f64::from(value.norm())).zip(&truth);
    let (product, square) = pairs().fold((0.0, 0.0), |(p, s), (a, b)| (p + a * b, s + a * a));
    let factor = product / square;
    let (misfit, energy) =
        pairs().fold((0.0, 0.0), |(m, e), (a, b)| (m + (a * factor - b).powi(2), e + b * b));
    (misfit / energy).sqrt()
}

fn config(method: Method) -> Config {
    Config { method, print_iterations: true, ..Config::default() }
}

#[test]
fn what_images_share_makes_up_for_lines_that_are_missing() {
    let simulated = molli(4, "5(3)3");
    let (alone, _) = images::<CgSense>(Default::default(), &simulated);
    let alone = error(&alone, &simulated);
    for (method, limit) in [
        (Method::Sense, 1.05),
        (Method::TotalVariation, 0.8),
        (Method::Wavelets, 0.8),
        (Method::LocallyLowRank, 0.65),
        (Method::Subspace, 0.65),
        (Method::PatchLowRank, 0.8),
    ] {
        let (found, told) = images::<ReconstructSeries>(config(method), &simulated);
        let together = error(&found, &simulated);
        println!("{method:?}: {together:.4}, cg_sense {alone:.4}; {told:?}");
        assert_eq!(told.len(), 1);
        assert!(together < limit * alone, "{method:?}: {together} {alone}");
    }
}

#[test]
fn the_images_fit_the_samples_as_well_as_noise_lets_them() {
    let simulated = molli(3, "5(3)3");
    let (_, told) = images::<ReconstructSeries>(config(Method::LocallyLowRank), &simulated);
    let text = &told[0];
    let misfit = text.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok());
    // Unknowns take up some of the noise; coil maps of few lines add to it.
    let misfit = misfit.expect("a number");
    assert!((0.6..1.5).contains(&misfit), "{text}");
}

#[test]
fn a_single_image_is_told_and_reconstructed() {
    let simulated = molli(2, "1");
    let (found, told) = images::<ReconstructSeries>(Config::default(), &simulated);
    assert!(told.iter().any(|text| text.contains("has one image")), "{told:?}");
    let error = error(&found, &simulated);
    assert!(error < 0.15, "{error}");
}

#[test]
fn without_calibration_lines_it_is_said_what_is_missing() {
    let simulated = molli(2, "5(3)3");
    let (scan, messages) = k_space_along(Dimension::Set, Default::default(), &simulated);
    let inputs = messages.into_iter().filter_map(|message| KSpace::accept(message).ok());
    let bare: Vec<_> = inputs.map(|k_space| KSpace { reference: None, ..k_space }).collect();
    let error = run_gadget::<ReconstructSeries>(Config::default(), &scan, bare).err();
    let error = error.expect("no coil maps");
    assert!(error.to_string().contains("no calibration lines"), "{error}");
    assert!(error.remedy().contains("prepare_reference"));
}

#[test]
fn properties_outside_their_range_are_refused() {
    let scan = Scan::default();
    for config in [
        Config { regularisation: -1.0, ..Config::default() },
        Config { regularisation: f32::NAN, ..Config::default() },
        Config { threshold: 2.0, ..Config::default() },
        Config { max_iterations: 100_000, ..Config::default() },
        Config { block_size: 1000, ..Config::default() },
        Config { coil_map_kernel_size_readout: 0, ..Config::default() },
    ] {
        let refused = ReconstructSeries::new(config.clone(), &scan);
        assert!(matches!(refused, Err(Error::Property { .. })), "{config:?}");
    }
}

#[test]
fn images_say_what_made_them_and_how_much_noise_their_samples_allow() {
    let noise_sd = |acceleration| {
        let still = Motion::still(Rhythm::default());
        // So much noise that nothing else is in the outermost lines.
        let scan = scan(acceleration, "5(3)3", CalibrationLines::Embedded(16), still, 6.0);
        let (series, _) = series::<ReconstructSeries>(config(Method::Subspace), &scan);
        for meta in &series.meta {
            assert_eq!(meta.get(RECONSTRUCTION_KEY), Some("subspace"));
            assert_eq!(meta.get(FAULT_KEY), None);
            assert_eq!(meta.get(MOTION_PX_KEY), None);
        }
        // Images of fewer lines are darker.
        let brightness = series.data.iter().map(|value| f64::from(value.norm())).sum::<f64>();
        series.meta[0].get_f64(NOISE_SD_KEY).expect("noise") / brightness
    };
    // Of 64 lines 16 are there in every image, and a quarter of the others.
    let (all, few) = (noise_sd(1), noise_sd(4));
    let expected = (64.0_f64 / 28.0).sqrt();
    assert!((few / all / expected - 1.0).abs() < 0.1, "{all} {few}, {expected}");
}

#[test]
fn motion_that_is_not_in_the_model_is_seen_in_what_the_images_leave() {
    let breath = FreeBreathing { amplitude_mm: 12.0, ..FreeBreathing::default() };
    let options =
        BreathingOptions { pattern: BreathingPattern::Free(breath), ..BreathingOptions::default() };
    let breathing = Breathing::new(&options).expect("good options");
    let motion = Motion { breathing, ..Motion::still(Rhythm::default()) };
    let scan = scan(2, "5(3)3", CalibrationLines::Embedded(16), motion, 60.0);
    let with = |correct_motion| {
        let config = Config { correct_motion, ..config(Method::Subspace) };
        series::<ReconstructSeries>(config, &scan)
    };
    let (apart, told) = with(false);
    let fault = apart.meta[0].get(FAULT_KEY).unwrap_or_else(|| panic!("no fault: {told:?}"));
    assert!(fault.contains("something is not in the images"), "{fault}");
    assert!(told.iter().any(|text| text == fault), "{told:?}");
    let (together, told) = with(true);
    let moved = together.meta[0].get_f64(MOTION_PX_KEY);
    let moved = moved.unwrap_or_else(|| panic!("no motion: {told:?}"));
    // Twice the amplitude at most, on pixels of 5 mm.
    assert!((0.5..8.0).contains(&moved), "{moved}");
}

#[test]
fn where_motion_cannot_be_looked_for_it_is_told() {
    let config = Config { correct_motion: true, ..config(Method::Subspace) };
    let (series, told) = series::<ReconstructSeries>(config, &molli(2, "4"));
    assert!(told.iter().any(|text| text.contains("4 images are too few")), "{told:?}");
    assert_eq!(series.meta[0].get(MOTION_PX_KEY), None);
}

#[test]
fn images_without_a_line_in_common_are_not_for_the_network_and_say_so() {
    let still = Motion::still(Rhythm::default());
    let scan = scan(2, "5(3)3", CalibrationLines::Separate(16), still, 20.0);
    let (series, told) = series::<ReconstructSeries>(config(Method::Network), &scan);
    assert!(told.iter().any(|text| text.contains("no lines in common")), "{told:?}");
    let meta = &series.meta[0];
    assert_eq!(meta.get(RECONSTRUCTION_KEY), Some("subspace"));
    let fallback = meta.get("BoresideModelFallback").expect("why not by the network");
    assert!(fallback.contains("no lines in common"), "{fallback}");
}
