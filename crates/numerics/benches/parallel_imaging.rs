//! `cargo bench -p numerics --bench parallel_imaging`: on one thread.

use divan::{Bencher, black_box};
use ndarray::{Array2, Array4, Axis, s};
use num_complex::{Complex32, Complex64};
use numerics::coil_compression::{Compression, Keep};
use numerics::coil_maps::{InatiOptions, inati};
use numerics::grappa::{CalibrationOptions, Kernel, unmixing};
use numerics::{cholesky, fft};

fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    divan::main();
}

/// Coils times an object, 256 × 256, with some noise.
fn images(n_channels: usize) -> Array4<Complex32> {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.02
    };
    Array4::from_shape_fn((n_channels, 1, 256, 256), |(channel, _, y, x)| {
        let (y, x) = (y as f32 / 128.0 - 1.0, x as f32 / 128.0 - 1.0);
        let angle = std::f32::consts::TAU * channel as f32 / n_channels as f32;
        let distance = (x - 1.2 * angle.cos()).powi(2) + (y - 1.2 * angle.sin()).powi(2);
        let object = if x * x + y * y < 0.7 { 1.0 + 0.5 * (20.0 * x * y).sin() } else { 0.0 };
        Complex32::from_polar(object * (-distance).exp(), angle + x)
            + Complex32::new(noise(), noise())
    })
}

fn k_space(n_channels: usize) -> Array4<Complex32> {
    let mut data = images(n_channels);
    fft::forward_axes(data.view_mut().into_dyn(), &[Axis(2), Axis(3)]);
    data
}

fn kernel(k_space: &Array4<Complex32>) -> Kernel {
    let calibration = k_space.slice(s![.., .., 116..140, ..]);
    Kernel::calibrate(calibration, [2, 1], &CalibrationOptions::default()).unwrap()
}

/// 24 lines of 256 samples, R = 2, kernel 5 × 4.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn calibrate_24_lines(bencher: Bencher, n_channels: usize) {
    let k_space = k_space(n_channels);
    bencher.bench_local(|| kernel(black_box(&k_space)));
}

/// Transform of the kernel's readout taps to 256 pixels.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn hybrid_kernel_256(bencher: Bencher, n_channels: usize) {
    let kernel = kernel(&k_space(n_channels));
    bencher.bench_local(|| kernel.in_hybrid_space(black_box(256)));
}

/// 256 × 256, every second line, all channels as targets.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn fill_256(bencher: Bencher, n_channels: usize) {
    let mut data = k_space(n_channels);
    let kernel = kernel(&data).in_hybrid_space(256);
    fft::inverse_axes(data.view_mut().into_dyn(), &[Axis(3)]);
    let sampled = Array2::from_shape_fn((1, 256), |(_, line)| line % 2 == 0);
    let mut filled = Array4::zeros(data.raw_dim());
    bencher.bench_local(|| {
        kernel.fill_into(black_box(data.view()), sampled.view(), filled.view_mut());
    });
}

/// 256 × 256, R = 2.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn unmixing_256(bencher: Bencher, n_channels: usize) {
    let kernel = kernel(&k_space(n_channels));
    let maps = inati(images(n_channels).view(), &InatiOptions::default());
    bencher.bench_local(|| unmixing(&kernel, black_box(maps.view())));
}

/// Modes of 24 lines of 256 samples.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn compression_from_24_lines(bencher: Bencher, n_channels: usize) {
    let k_space = k_space(n_channels);
    let reference = k_space.slice(s![.., .., 116..140, ..]);
    bencher.bench_local(|| {
        Compression::from_reference(black_box(reference.view()), Axis(0), Keep::All)
    });
}

/// 256 × 256, all modes.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn compress_256(bencher: Bencher, n_channels: usize) {
    let k_space = k_space(n_channels);
    let compression = Compression::from_reference(k_space.view(), Axis(0), Keep::All).unwrap();
    bencher.bench_local(|| compression.apply(black_box(k_space.view()), Axis(0)));
}

/// Factor and solution for 16 right-hand sides.
#[divan::bench(args = [200, 320, 400, 640], sample_count = 10)]
fn cholesky_solve(bencher: Bencher, n: usize) {
    let matrix = Array2::from_shape_fn((n, n), |(i, j)| {
        let distance = i as f64 - j as f64;
        let diagonal = if i == j { n as f64 } else { 0.0 };
        Complex64::new(distance.cos() + diagonal, distance.sin())
    });
    let columns = Array2::from_shape_fn((n, 16), |(i, j)| Complex64::new(i as f64, j as f64));
    bencher.bench_local(|| {
        let lower = cholesky::factor(black_box(matrix.view())).unwrap();
        let mut columns = columns.clone();
        cholesky::solve(lower.view(), columns.view_mut());
        columns
    });
}

/// Centred transform of both axes of all channels.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn fft_256(bencher: Bencher, n_channels: usize) {
    let mut data = images(n_channels);
    let plan = fft::Plan::new(data.shape(), &[Axis(2), Axis(3)]);
    bencher.bench_local(|| plan.forward(black_box(data.view_mut())));
}
