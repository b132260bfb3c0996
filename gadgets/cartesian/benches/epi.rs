//! A readout of an echo-planar train: regridding and phase correction. `cargo bench -p cartesian
//! --bench epi`

use divan::{Bencher, black_box};
use ndarray::{Array2, Array3};
use num_complex::Complex32;
use numerics::epi::{
    NavigatorOptions, PhaseCorrection, PixelGrid, Regridding, RegriddingOptions, Trapezoid,
};

fn main() {
    divan::main();
}

/// 128 pixels of 256 samples.
fn regridding() -> Regridding {
    let trapezoid = Trapezoid {
        ramp_up_time_us: 120.0,
        flat_top_time_us: 392.0,
        ramp_down_time_us: 120.0,
        dwell_time_us: 2.0,
        n_samples: 256,
    };
    let positions = trapezoid.positions(128).expect("a gradient");
    let options = RegriddingOptions {
        n_encoded: 128,
        n_pixels: 128,
        field_of_view_ratio: 1.0,
        grid: PixelGrid::Centred,
    };
    Regridding::new(&positions, &options).expect("a matrix")
}

#[divan::bench]
fn plan_of_256_samples(bencher: Bencher) {
    bencher.bench(regridding);
}

#[divan::bench(args = [1, 16, 32])]
fn regrid_a_readout(bencher: Bencher, n_channels: usize) {
    let regridding = regridding();
    let samples = Array2::from_elem((n_channels, 256), Complex32::new(0.3, -0.2));
    bencher.bench(|| regridding.run(black_box(samples.view()), true, 0.1));
}

#[divan::bench(args = [1, 16, 32])]
fn correct_a_readout(bencher: Bencher, n_channels: usize) {
    let navigators = Array3::from_elem((3, n_channels, 128), Complex32::new(0.3, -0.2));
    let options = NavigatorOptions::default();
    let correction =
        PhaseCorrection::estimate(navigators.view(), true, options, |_, v| v).expect("navigators");
    let pixels = Array2::from_elem((n_channels, 128), Complex32::new(0.3, -0.2));
    bencher.with_inputs(|| pixels.clone()).bench_refs(|pixels| {
        correction.apply(pixels.view_mut(), 20, true);
    });
}

#[divan::bench]
fn estimate_of_16_channels(bencher: Bencher) {
    let navigators = Array3::from_elem((3, 16, 128), Complex32::new(0.3, -0.2));
    bencher.bench(|| {
        PhaseCorrection::estimate(
            black_box(navigators.view()),
            true,
            NavigatorOptions::default(),
            |_, value| value,
        )
    });
}
