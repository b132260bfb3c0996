//! `cargo bench -p numerics --bench fft`

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ndarray::{Array2, Array3, Axis};
use num_complex::Complex32;
use numerics::fft::{CropReadout, Plan};

fn main() {
    divan::main();
}

fn sample(n: usize) -> Complex32 {
    let n = n as f32;
    Complex32::new((n * 0.37).sin(), (n * 0.91).cos())
}

/// 16 coils of 256 × 256, items are samples.
#[divan::bench(args = [1, 2])]
fn inverse_2d_256_256_16(bencher: Bencher, n_threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    let shape = [16, 256, 256];
    let plan = Plan::new(&shape, &[Axis(1), Axis(2)]);
    let mut data = Array3::from_shape_fn(shape, |(c, y, x)| sample((c * 256 + y) * 256 + x));
    bencher
        .counter(ItemsCount::new(data.len()))
        .bench_local(|| pool.install(|| plan.inverse(black_box(data.view_mut()))));
}

/// One readout of 16 channels on one thread, items are rows.
#[divan::bench(args = [(512, 256), (384, 256), (768, 384)])]
fn crop_readout_16(bencher: Bencher, (n_in, n_out): (usize, usize)) {
    let plan = CropReadout::new(n_in, n_out).unwrap();
    let source = Array2::from_shape_fn((16, n_in), |(c, x)| sample(c * n_in + x));
    let mut target = Array2::zeros((16, n_out));
    let mut scratch = vec![Complex32::ZERO; plan.scratch_len()];
    bencher.counter(ItemsCount::new(16_usize)).bench_local(|| {
        plan.process(black_box(source.view()), target.view_mut(), &mut scratch);
    });
}
