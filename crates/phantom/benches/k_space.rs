//! `cargo bench -p phantom --bench k_space`

use divan::{Bencher, black_box};
use ndarray::Array2;
use num_complex::{Complex32, Complex64};
use phantom::{
    CartesianGrid, CartesianSampler, CoilSensitivities, Component, Ellipse, LoopArray, Object,
    PixelObject, PointSampler, Spiral, SpiralOptions,
};

fn main() {
    divan::main();
}

/// A cardiac frame of 192 × 160 with twofold oversampling.
const GRID: CartesianGrid = CartesianGrid {
    matrix_size: [192, 160],
    field_of_view_mm: [360.0, 300.0],
    readout_oversampling: 2,
};

fn coils() -> CoilSensitivities {
    LoopArray::new(16, 150.0, GRID.field_of_view_mm).sensitivities(0.0)
}

fn ellipses(n: usize) -> Vec<Ellipse> {
    let part = |n: usize| n as f64 / 20.0;
    (0..n)
        .map(|n| Ellipse {
            semi_axes_mm: [140.0 - 120.0 * part(n), 110.0 - 100.0 * part(n)],
            center_mm: [12.0 * part(n), -25.0 * part(n)],
            angle_rad: part(n),
        })
        .collect()
}

fn amplitudes(n: usize) -> Vec<Complex64> {
    (0..n).map(|n| Complex64::cis(n as f64)).collect()
}

fn object(n: usize) -> Object {
    let components = ellipses(n).into_iter().zip(amplitudes(n));
    Object::Ellipses(
        components.map(|(ellipse, amplitude)| Component { ellipse, amplitude }).collect(),
    )
}

/// A frame of a series in which all 20 ellipses have moved.
#[divan::bench(sample_count = 20)]
fn molli_series_moving(bencher: Bencher) {
    let (sampler, object) = (CartesianSampler::new(GRID, &coils()), object(20));
    bencher.bench_local(|| sampler.k_space(black_box(&object)));
}

/// A frame of a series in which only the amplitudes of 20 ellipses have changed.
#[divan::bench(sample_count = 20)]
fn molli_series_static(bencher: Bencher) {
    let sampler = CartesianSampler::new(GRID, &coils());
    let (shapes, amplitudes) = (sampler.shapes(&ellipses(20)), amplitudes(20));
    bencher.bench_local(|| sampler.k_space_of_shapes(&shapes, black_box(&amplitudes)));
}

/// Each of 20 ellipses by itself, for amplitudes that change from line to line.
#[divan::bench(sample_count = 5)]
fn line_by_line_basis(bencher: Bencher) {
    let (sampler, ellipses) = (CartesianSampler::new(GRID, &coils()), ellipses(20));
    bencher.bench_local(|| sampler.basis(black_box(&ellipses)));
}

/// The sampler itself.
#[divan::bench(sample_count = 10)]
fn plan(bencher: Bencher) {
    let coils = coils();
    bencher.bench_local(|| CartesianSampler::new(GRID, black_box(&coils)));
}

fn pixels() -> Object {
    let values = Array2::from_shape_fn((512, 512), |(y, x)| {
        Complex32::new(((x / 16 + y / 16) % 2) as f32, (x * y % 7) as f32)
    });
    Object::Pixels(PixelObject { values, field_of_view_mm: [300.0, 300.0] })
}

/// A diffusion image of 512 × 512 pixels.
#[divan::bench(sample_count = 10)]
fn diffusion_pixels(bencher: Bencher) {
    let (sampler, object) = (CartesianSampler::new(GRID, &coils()), pixels());
    bencher.bench_local(|| sampler.k_space(black_box(&object)));
}

/// 48 spiral arms of 1000 samples.
fn arms() -> Vec<[f64; 2]> {
    let options = SpiralOptions {
        n_arms: 48,
        field_of_view_mm: 300.0,
        matrix_size: 192,
        dwell_time_us: 2.0,
        ..SpiralOptions::default()
    };
    let spiral = Spiral::new(options).unwrap();
    (0..48).flat_map(|arm| spiral.arm(arm).into_iter().cycle().take(1000)).collect()
}

/// All arms of an object of 15 ellipses.
#[divan::bench(sample_count = 5)]
fn spiral_samples(bencher: Bencher) {
    let (sampler, object, arms) = (PointSampler::new(GRID, &coils()), object(15), arms());
    bencher.bench_local(|| sampler.samples(black_box(&object), &arms));
}

/// All arms of each of 15 ellipses by itself.
#[divan::bench(sample_count = 3)]
fn spiral_basis(bencher: Bencher) {
    let (sampler, ellipses, arms) = (PointSampler::new(GRID, &coils()), ellipses(15), arms());
    bencher.bench_local(|| sampler.basis(black_box(&ellipses), &arms));
}

/// All arms of 512 × 512 pixels.
#[divan::bench(sample_count = 3)]
fn spiral_pixels(bencher: Bencher) {
    let (sampler, object, arms) = (PointSampler::new(GRID, &coils()), pixels(), arms());
    bencher.bench_local(|| sampler.samples(black_box(&object), &arms));
}
