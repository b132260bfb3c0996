use phantom::{CalibrationLines, Cine, Gating, LineOptions, Noise, SimulatedScan, Undersampling};

use super::*;
use crate::unaliasing::simulated::{error, image, reconstruct, setup, truth};
use crate::{Spirit, spirit};

fn cine() -> SimulatedScan {
    let lines = LineOptions {
        undersampling: Undersampling::VariableDensity {
            acceleration: 3.0,
            n_center_lines: 12,
            k0_lines: 8.0,
            power: 1.5,
            seed: 2,
        },
        calibration: CalibrationLines::Embedded(12),
        ..LineOptions::default()
    };
    let cine = Cine { gating: Gating::RealTime { n_images: 8 }, ..Cine::default() };
    let setup = phantom::Setup {
        subject: phantom::Subject::ShortAxis(Default::default()),
        noise: Noise::SignalToNoise(10.0),
        ..setup(lines)
    };
    SimulatedScan::new(&cine, setup).expect("the setup fits")
}

#[test]
fn a_real_time_cine_has_less_error_than_with_linear_spirit() {
    let simulated = cine();
    let (linear, _) =
        reconstruct::<Spirit>(spirit::Config::default(), &simulated).expect("it runs");
    let mean = |series: &ImageSeries| {
        let errors = (0..8).map(|n| error(&image(series, n), &truth(&simulated, n)).0);
        errors.sum::<f64>() / 8.0
    };
    let of_linear = mean(&linear);
    for config in [
        Config::default(),
        Config { spirit_reg_proximity_across_cha: true, ..Config::default() },
        Config { spirit_reg_use_coil_sen_map: true, ..Config::default() },
        Config {
            spirit_reg_estimate_noise_floor: true,
            spirit_reg_minimal_num_images_for_noise_floor: 4,
            ..Config::default()
        },
    ] {
        let (series, _) = reconstruct::<SpiritNonLinear>(config, &simulated).expect("it runs");
        assert_eq!(series.data.shape(), [1, 1, 8, 1, 1, 64, 64]);
        let of_wavelets = mean(&series);
        println!("linear {of_linear:.4}, wavelets {of_wavelets:.4}");
        assert!(of_wavelets < of_linear, "{of_wavelets}, linear {of_linear}");
    }
}

#[test]
fn automatic_values_are_gadgetrons() {
    let options = Config::default().options([4, 1], 30);
    assert_eq!(options.sparsity, 0.00005);
    assert_eq!(options.wavelets.axis_weights, [1.0, 10.0, 1.0]);
    assert_eq!((options.max_iterations, options.threshold), (15, 0.004));
    assert_eq!(Config::default().options([6, 1], 30).wavelets.axis_weights[1], 20.0);
    let noise = Config { spirit_reg_estimate_noise_floor: true, ..Config::default() };
    assert_eq!(noise.options([4, 1], 16).sparsity, 0.002);
    assert_eq!(noise.options([4, 1], 15).sparsity, 0.00005, "too few images");
    let joint = Config { spirit_reg_proximity_across_cha: true, ..noise };
    assert_eq!(joint.options([4, 1], 16).sparsity, 0.001);
}
