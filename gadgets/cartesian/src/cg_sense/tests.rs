use phantom::{CalibrationLines, GradientEcho, LineOptions, SimulatedScan, Undersampling};

use super::*;
use crate::unaliasing::simulated::{error, image, reconstruct, setup, truth};

#[test]
fn regular_and_random_lines_give_the_truth() {
    let regular = |acceleration| Undersampling::Regular { acceleration };
    let random = Undersampling::VariableDensity {
        acceleration: 2.0,
        n_center_lines: 16,
        k0_lines: 12.0,
        power: 1.5,
        seed: 4,
    };
    for (undersampling, limit) in [(regular(1), 0.02), (regular(3), 0.08), (random, 0.08)] {
        let calibration = CalibrationLines::Embedded(16);
        let lines = LineOptions { undersampling, calibration, ..LineOptions::default() };
        let simulated =
            SimulatedScan::new(&GradientEcho::default(), setup(lines)).expect("the setup fits");
        let config = Config { print_iterations: true, ..Config::default() };
        let (series, reports) = reconstruct::<CgSense>(config, &simulated).expect("it runs");
        assert_eq!(reports.len(), 1);
        assert_eq!(series.data.shape(), [1, 1, 1, 1, 1, 64, 64]);
        let (error, _) = error(&image(&series, 0), &truth(&simulated, 0));
        println!("{undersampling:?}: {error:.4}");
        assert!(error < limit, "{undersampling:?}: {error}");
    }
}
