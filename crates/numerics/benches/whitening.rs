//! `cargo bench -p numerics --bench whitening`

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ndarray::Array2;
use num_complex::{Complex32, Complex64};
use numerics::whitening::{NoiseAccumulator, WhiteningMatrix};

fn main() {
    divan::main();
}

fn readout(n_channels: usize) -> Array2<Complex32> {
    Array2::from_shape_fn((n_channels, 256), |(channel, sample)| {
        let n = (channel * 256 + sample) as f32;
        Complex32::new((n * 0.37).sin(), (n * 0.91).cos())
    })
}

/// One readout of 256 samples on one thread, items are samples of all channels.
#[divan::bench(args = [8, 16, 32, 64])]
fn apply_256(bencher: Bencher, n_channels: usize) {
    let covariance = Array2::from_diag_elem(n_channels, Complex64::from(2.0));
    let whitening = WhiteningMatrix::new(covariance.view(), 1.0, 0.793).unwrap();
    let mut data = readout(n_channels);
    bencher.counter(ItemsCount::new(data.len())).bench_local(|| {
        whitening.apply(black_box(data.view_mut()));
        data[[0, 0]] = Complex32::ONE;
    });
}

/// One noise readout of 256 samples on one thread, items are samples of all channels.
#[divan::bench(args = [8, 16, 32, 64])]
fn accumulate_256(bencher: Bencher, n_channels: usize) {
    let data = readout(n_channels);
    let mut accumulator = NoiseAccumulator::new(n_channels);
    bencher
        .counter(ItemsCount::new(data.len()))
        .bench_local(|| accumulator.add(black_box(data.view())));
}
