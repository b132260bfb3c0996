use acquisition::sort_k_space::Dimension;
use ndarray::{Array3, Axis};
use phantom::{
    CalibrationLines, LineOptions, LineOrder, Molli, Motion, Noise, Rhythm, Setup,
    ShortAxisOptions, SignalModel, SimulatedScan, Subject, Undersampling,
};
use pipeline::{Accept, Gadget, Message, Remedy, run_gadget};

use super::*;
use crate::unaliasing::simulated::{k_space_along, truth};
use crate::{CgSense, prepare_reference};

/// A MOLLI with every so many lines, other ones in each image.
fn molli(acceleration: usize, scheme: &str) -> SimulatedScan {
    let setup = Setup {
        matrix_size: [72, 64],
        n_channels: 8,
        lines: LineOptions {
            undersampling: Undersampling::Interleaved { acceleration },
            calibration: CalibrationLines::Embedded(16),
            order: LineOrder::Centric,
            ..LineOptions::default()
        },
        motion: Motion::still(Rhythm::default()),
        signal_model: SignalModel::Ideal,
        noise: Noise::SignalToNoise(20.0),
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
    let prepare =
        prepare_reference::Config { ref_fill_into_data_embedded: true, ..Default::default() };
    let (scan, messages) = k_space_along(Dimension::Set, prepare, simulated);
    let inputs = messages.into_iter().filter_map(|message| KSpace::accept(message).ok());
    let run = run_gadget::<G>(config, &scan, inputs.collect::<Vec<_>>());
    let (outputs, told) = run.unwrap_or_else(|error| panic!("{error}; {}", error.remedy()));
    let Some(Message::ImageSeries(series)) = outputs.into_iter().next() else {
        panic!("no images")
    };
    let n = series.data.shape()[2];
    (series.data.into_shape_with_order((n, 64, 72)).expect("n images of a slice"), told)
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
