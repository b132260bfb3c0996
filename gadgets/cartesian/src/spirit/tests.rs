use phantom::{CalibrationLines, GradientEcho, LineOptions, SimulatedScan, Undersampling};
use pipeline::run_gadget;

use super::*;
use crate::Grappa;
use crate::unaliasing::simulated::{error, image, k_space, reconstruct, setup, truth};

fn lines(acceleration: usize) -> LineOptions {
    LineOptions {
        undersampling: Undersampling::Regular { acceleration },
        calibration: CalibrationLines::Embedded(24),
        ..LineOptions::default()
    }
}

#[test]
fn images_of_every_second_to_fourth_line_are_close_to_the_truth_and_to_grappas_intensity() {
    for (acceleration, limit) in [(1, 0.02), (2, 0.03), (3, 0.05), (4, 0.08)] {
        let simulated = SimulatedScan::new(&GradientEcho::default(), setup(lines(acceleration)))
            .expect("the setup fits");
        let (series, reports) =
            reconstruct::<Spirit>(Config::default(), &simulated).expect("it runs");
        assert_eq!(reports, Vec::<String>::new());
        assert_eq!(series.data.shape(), [1, 1, 1, 1, 1, 64, 64]);
        assert_eq!({ series.headers[[0, 0, 0]].image_series_index }, 1);
        let truth = truth(&simulated, 0);
        let (of_spirit, factor) = error(&image(&series, 0), &truth);
        assert!(of_spirit < limit, "acceleration {acceleration}: {of_spirit}");
        let (grappa, _) = reconstruct::<Grappa>(Default::default(), &simulated).expect("it runs");
        let (of_grappa, factor_of_grappa) = error(&image(&grappa, 0), &truth);
        println!("acceleration {acceleration}: SPIRiT {of_spirit:.4}, GRAPPA {of_grappa:.4}");
        assert!((factor / factor_of_grappa - 1.0).abs() < 0.02, "{factor} {factor_of_grappa}");
    }
}

#[test]
fn gadgetrons_scale_is_that_of_the_noise_times_the_acceleration() {
    let simulated =
        SimulatedScan::new(&GradientEcho::default(), setup(lines(3))).expect("the setup fits");
    let with = |scale| {
        let config = Config { scale, ..Config::default() };
        image(&reconstruct::<Spirit>(config, &simulated).expect("it runs").0, 0)
    };
    let (snr, gadgetron) = (with(IntensityScale::Snr), with(IntensityScale::Gadgetron));
    for (snr, gadgetron) in snr.iter().zip(&gadgetron) {
        assert!((snr * 3.0 - gadgetron).norm() <= 1e-5 * gadgetron.norm());
    }
}

#[test]
fn lines_at_random_are_filled_as_well() {
    let lines = LineOptions {
        undersampling: Undersampling::VariableDensity {
            acceleration: 2.0,
            n_center_lines: 16,
            k0_lines: 12.0,
            power: 1.5,
            seed: 4,
        },
        calibration: CalibrationLines::Embedded(16),
        ..LineOptions::default()
    };
    let simulated =
        SimulatedScan::new(&GradientEcho::default(), setup(lines)).expect("the setup fits");
    let config = Config { spirit_print_iter: true, ..Config::default() };
    let (series, reports) = reconstruct::<Spirit>(config, &simulated).expect("it runs");
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("of 64 readout positions"), "{reports:?}");
    let (error, _) = error(&image(&series, 0), &truth(&simulated, 0));
    assert!(error < 0.08, "{error}");
}

#[test]
fn lines_that_partial_fourier_leaves_out_stay_empty_for_the_gadgets_for_that() {
    let lines = LineOptions { partial_fourier: 0.75, ..lines(2) };
    let simulated =
        SimulatedScan::new(&GradientEcho::default(), setup(lines)).expect("the setup fits");
    let (series, _) = reconstruct::<Spirit>(Config::default(), &simulated).expect("it runs");
    let mut k_space = image(&series, 0);
    numerics::fft::forward_2d(k_space.view_mut());
    // The maps multiply the image, which spreads k-space a little; far out nothing is left.
    let energy = |range: std::ops::Range<usize>| -> f32 {
        k_space.slice(ndarray::s![range, ..]).iter().map(|value| value.norm_sqr()).sum()
    };
    let (outside, inside) = (energy(0..10), energy(54..64));
    assert!(outside < 0.25 * inside, "{outside} {inside}");
    let sampling = series.sampling.expect("partial Fourier needs it");
    assert_eq!({ sampling.limits[1].min }, 16);
}

#[test]
fn what_is_missing_is_named_with_a_remedy() {
    let lines = LineOptions { calibration: CalibrationLines::Embedded(6), ..lines(2) };
    let simulated =
        SimulatedScan::new(&GradientEcho::default(), setup(lines)).expect("the setup fits");
    let error = reconstruct::<Spirit>(Config::default(), &simulated).expect_err("too few lines");
    assert!(error.to_string().starts_with("slice 0: "), "{error}");
    assert!(error.to_string().contains("a kernel of 7 needs"), "{error}");

    let (scan, messages) = k_space(&simulated);
    let without = messages.into_iter().filter_map(|message| match message {
        pipeline::Message::KSpace(mut k_space) => {
            k_space.reference = None;
            Some(k_space)
        }
        _ => None,
    });
    let error = run_gadget::<Spirit>(Config::default(), &scan, without).expect_err("none");
    assert_eq!(error, Error::NoCalibration { slice: 0 });

    let even = Config { spirit_ksize_e1: 6, ..Config::default() };
    let error = run_gadget::<Spirit>(even, &scan, []).expect_err("even");
    assert_eq!(error.to_string(), "`spirit_kSize_E1` is 6, it must be odd, 1 to 31");
}
