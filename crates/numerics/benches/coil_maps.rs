//! `cargo bench -p numerics --bench coil_maps`: on one thread.

use divan::{Bencher, black_box};
use ndarray::Array4;
use num_complex::Complex32;
use numerics::coil_maps::{
    InatiIterativeOptions, InatiOptions, WalshOptions, inati, inati_iterative, walsh,
};

fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    divan::main();
}

fn images(n_channels: usize) -> Array4<Complex32> {
    Array4::from_shape_fn((n_channels, 1, 256, 256), |(channel, _, y, x)| {
        let n = ((channel * 256 + y) * 256 + x) as f32;
        Complex32::new((n * 0.37).sin() + 1.0, (n * 0.91).cos() + 0.1 * channel as f32)
    })
}

/// 256 × 256, 7 × 7.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn inati_256(bencher: Bencher, n_channels: usize) {
    let images = images(n_channels);
    bencher.bench_local(|| inati(black_box(images.view()), &InatiOptions::default()));
}

/// 256 × 256, 7 × 7, every fourth row and every second column.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn inati_256_spaced(bencher: Bencher, n_channels: usize) {
    let images = images(n_channels);
    let options = InatiOptions { spacing: [1, 4, 2], ..InatiOptions::default() };
    bencher.bench_local(|| inati(black_box(images.view()), &options));
}

/// 256 × 256, 5 × 5.
#[divan::bench(args = [10, 16, 32], sample_count = 20)]
fn walsh_256(bencher: Bencher, n_channels: usize) {
    let images = images(n_channels);
    bencher.bench_local(|| walsh(black_box(images.view()), &WalshOptions::default()));
}

/// 256 × 256, 7 × 5, until it stops.
#[divan::bench(args = [10], sample_count = 10)]
fn inati_iterative_256(bencher: Bencher, n_channels: usize) {
    let images = images(n_channels);
    bencher.bench_local(|| {
        inati_iterative(black_box(images.view()), &InatiIterativeOptions::default())
    });
}
