//! `cargo bench -p phantom --bench cartesian`

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use phantom::{CartesianOptions, CartesianScan};

fn main() {
    divan::main();
}

fn options(noise_sd: f64, n_repetitions: usize) -> CartesianOptions {
    CartesianOptions { n_channels: 16, noise_sd, n_repetitions, ..CartesianOptions::default() }
}

/// K-space, truth and header of one slice of 256 × 256 with 16 channels.
#[divan::bench(sample_count = 10)]
fn plan() -> CartesianScan {
    CartesianScan::new(options(0.0, 1)).unwrap()
}

/// All readouts of 40 repetitions, 671 MB, made and dropped.
#[divan::bench(args = [0.0, 0.02], sample_count = 5)]
fn readouts_of_40_repetitions(bencher: Bencher, noise_sd: f64) {
    let scan = CartesianScan::new(options(noise_sd, 40)).unwrap();
    let bytes = scan.n_acquisitions() * scan.acquisition(0).data.len() * 8;
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| scan.acquisitions().for_each(|readout| drop(black_box(readout))));
}
