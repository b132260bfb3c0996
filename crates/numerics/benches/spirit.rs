//! `cargo bench -p numerics --bench spirit`

use divan::{Bencher, black_box};
use ndarray::{Array3, Array4, Array5};
use num_complex::Complex32;
use numerics::sense::{SenseOptions, cg_sense};
use numerics::spirit::{
    CalibrationOptions, CoilMode, Kernel, NonLinear, NonLinearOptions, SolverOptions,
};

fn main() {
    divan::main();
}

/// Smooth and noisy in part, so that the solvers have something to do.
fn sample(n: usize) -> Complex32 {
    let n = n as f32;
    Complex32::new((n * 0.37).sin(), (n * 0.91).cos())
}

fn calibration(n_channels: usize) -> Array4<Complex32> {
    let mut n = 0;
    Array4::from_shape_simple_fn((n_channels, 1, 24, 192), || {
        n += 1;
        sample(n)
    })
}

fn cine(n_frames: usize) -> (Array5<Complex32>, Array3<bool>) {
    let data = Array5::from_shape_fn((n_frames, 12, 1, 144, 192), |(f, c, _, y, x)| {
        sample(((f * 12 + c) * 144 + y) * 192 + x)
    });
    (data, Array3::from_shape_fn((n_frames, 1, 144), |(_, _, line)| line % 4 == 0))
}

/// 24 lines of 192 samples, a kernel of 7 x 7.
#[divan::bench(args = [8, 12, 16], sample_count = 3)]
fn calibrate(bencher: Bencher, n_channels: usize) {
    let lines = calibration(n_channels);
    bencher.bench_local(|| {
        Kernel::calibrate(black_box(lines.view()), &CalibrationOptions::default()).unwrap()
    });
}

/// 192 x 144, 12 channels, every fourth line, 100 steps at most, all threads; the argument is
/// the number of frames.
#[divan::bench(args = [1, 30], sample_count = 3)]
fn fill_12_channels(bencher: Bencher, n_frames: usize) {
    let kernel = Kernel::calibrate(calibration(12).view(), &CalibrationOptions::default()).unwrap();
    let (data, sampled) = cine(n_frames);
    let options = SolverOptions::automatic([4, 1]);
    bencher.with_inputs(|| data.clone()).bench_local_values(|mut data| {
        kernel.fill(data.view_mut(), sampled.view(), &options);
        data
    });
}

/// The same 30 frames, one step of Haar wavelets in each channel, plan included.
#[divan::bench(args = [1, 3], sample_count = 3)]
fn refine_12_channels_30_frames(bencher: Bencher, n_steps: usize) {
    let kernel = Kernel::calibrate(calibration(12).view(), &CalibrationOptions::default()).unwrap();
    let (data, sampled) = cine(30);
    let options =
        NonLinearOptions { max_iterations: n_steps, threshold: 0.0, ..Default::default() };
    bencher.with_inputs(|| data.clone()).bench_local_values(|mut data| {
        let plan = NonLinear::new(&kernel, [144, 192]);
        plan.refine(data.view_mut(), sampled.view(), CoilMode::Each, &options);
        data
    });
}

/// 192 x 144, 12 channels, every fourth line.
#[divan::bench(args = [1, 30], sample_count = 3)]
fn sense_12_channels(bencher: Bencher, n_frames: usize) {
    let (data, sampled) = cine(n_frames);
    let maps = Array4::from_shape_fn((12, 1, 144, 192), |(c, _, y, x)| {
        let phase_rad = 0.5 * c as f32 + 0.01 * (y + c * x) as f32;
        Complex32::from_polar(12.0_f32.sqrt().recip(), phase_rad)
    });
    bencher.with_inputs(|| data.clone()).bench_local_values(|mut data| {
        cg_sense(data.view_mut(), sampled.view(), maps.view(), &SenseOptions::default())
    });
}
