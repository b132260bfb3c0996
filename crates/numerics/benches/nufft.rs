//! `cargo bench -p numerics --bench nufft`: 16 channels on one thread and on two.

use divan::{Bencher, black_box};
use ndarray::{Array2, Array3};
use num_complex::Complex32;
use numerics::nufft::{Nufft, Options};

fn main() {
    divan::main();
}

/// Spiral arms: (image side, arms, samples of an arm, turns of an arm).
const SCANS: [(usize, usize, usize, f32); 2] = [(192, 48, 1000, 2.0), (256, 250, 4000, 2.0)];

const N_CHANNELS: usize = 16;

fn arms((side, n_arms, n_samples, turns): (usize, usize, usize, f32)) -> Vec<[f32; 2]> {
    (0..n_arms * n_samples)
        .map(|n| {
            let along = (n % n_samples) as f32 / n_samples as f32;
            let angle = turns * along + (n / n_samples) as f32 / n_arms as f32;
            let (sin, cos) = (std::f32::consts::TAU * angle).sin_cos();
            [0.5 * side as f32 * along * cos, 0.5 * side as f32 * along * sin]
        })
        .collect()
}

fn on<R: Send>(n_threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap().install(work)
}

/// (scan, threads, taps).
const CASES: [(usize, usize, usize); 8] =
    [(0, 1, 4), (0, 2, 4), (0, 1, 6), (0, 2, 6), (1, 1, 4), (1, 2, 4), (1, 1, 6), (1, 2, 6)];

fn plan(scan: usize, width: usize) -> Nufft {
    let side = SCANS[scan].0;
    let options = if width == 4 { Options::fast() } else { Options::accurate() };
    Nufft::new([side, side], &arms(SCANS[scan]), options).unwrap()
}

#[divan::bench(args = CASES, sample_count = 10)]
fn adjoint(bencher: Bencher, (scan, n_threads, width): (usize, usize, usize)) {
    let plan = plan(scan, width);
    let samples = Array2::from_elem((N_CHANNELS, plan.n_samples()), Complex32::new(0.5, 1.0));
    let [n_y, n_x] = plan.image_size();
    let mut images = Array3::zeros((N_CHANNELS, n_y, n_x));
    bencher.bench_local(|| {
        on(n_threads, || plan.adjoint(black_box(samples.view()), images.view_mut()))
    });
}

#[divan::bench(args = CASES, sample_count = 10)]
fn forward(bencher: Bencher, (scan, n_threads, width): (usize, usize, usize)) {
    let plan = plan(scan, width);
    let [n_y, n_x] = plan.image_size();
    let images = Array3::from_elem((N_CHANNELS, n_y, n_x), Complex32::new(0.5, 1.0));
    let mut samples = Array2::zeros((N_CHANNELS, plan.n_samples()));
    bencher.bench_local(|| {
        on(n_threads, || plan.forward(black_box(images.view()), samples.view_mut()))
    });
}

#[divan::bench(args = [(0, 4), (0, 6), (1, 4), (1, 6)], sample_count = 10)]
fn planning(bencher: Bencher, (scan, width): (usize, usize)) {
    let trajectory = arms(SCANS[scan]);
    let side = SCANS[scan].0;
    let options = if width == 4 { Options::fast() } else { Options::accurate() };
    bencher.bench_local(|| Nufft::new([side, side], black_box(&trajectory), options).unwrap());
}
