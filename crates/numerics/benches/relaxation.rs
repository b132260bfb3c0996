//! `cargo bench -p numerics --bench relaxation`

use divan::{Bencher, black_box};
use ndarray::{Array2, Array3};
use numerics::relaxation::{FitOptions, Model, NoiseFloor, Plan, Polarity};

fn main() {
    divan::main();
}

const MOLLI: [f64; 11] =
    [100.0, 1100.0, 2100.0, 3100.0, 4100.0, 180.0, 1180.0, 2180.0, 260.0, 1260.0, 2260.0];
const ECHOES: [f64; 8] = [2.6, 4.6, 6.6, 8.6, 10.7, 12.7, 14.7, 16.7];
const LOOK_LOCKER: Model = Model::LookLocker { inversion_factor: 1.0 };

/// Images of 192 x 160 whose every pixel has another T, with something like noise.
fn series(times_ms: &[f64], constant: f64, exponential: f64, longest_ms: f64) -> Array3<f32> {
    Array3::from_shape_fn((times_ms.len(), 160, 192), |(image, y, x)| {
        let time_ms = longest_ms * (0.2 + 0.8 * ((y * 192 + x) % 977) as f64 / 977.0);
        let noise = (((image * 160 + y) * 192 + x) as f64 * 0.7311).sin();
        (constant + exponential * (-times_ms[image] / time_ms).exp() + 2.0 * noise) as f32
    })
}

fn molli() -> (Plan, Array3<f32>) {
    let plan = Plan::new(LOOK_LOCKER, &MOLLI, LOOK_LOCKER.usual_range()).unwrap();
    (plan, series(&MOLLI, 100.0, -190.0, 1800.0))
}

/// 11 images of 192 x 160 with signs: T1, standard deviation, R².
#[divan::bench]
fn molli_signed(bencher: Bencher) {
    let (plan, images) = molli();
    bencher.bench_local(|| plan.fit(black_box(images.view()), &FitOptions::default()));
}

/// The same from magnitudes.
#[divan::bench]
fn molli_magnitude(bencher: Bencher) {
    let (plan, images) = molli();
    let images = images.mapv(f32::abs);
    let options = FitOptions { polarity: Polarity::Magnitude, ..FitOptions::default() };
    bencher.bench_local(|| plan.fit(black_box(images.view()), &options));
}

/// The images that the model would have given.
#[divan::bench]
fn molli_twins(bencher: Bencher) {
    let (plan, images) = molli();
    bencher.bench_local(|| plan.twins(black_box(images.view()), Polarity::Signed));
}

/// 8 echoes of 192 x 160, T2* by their mean under noise.
#[divan::bench]
fn t2_star_noise_floor(bencher: Bencher) {
    let floor = NoiseFloor::new(&ECHOES, Model::Decay.usual_range()).unwrap();
    let images = series(&ECHOES, 0.0, 60.0, 40.0).mapv(f32::abs);
    let noise = Array2::from_elem((160, 192), 1.0);
    bencher.bench_local(|| floor.fit(black_box(images.view()), noise.view(), None));
}

/// 8 echoes of 192 x 160, two parameters.
#[divan::bench]
fn t2_star_decay(bencher: Bencher) {
    let plan = Plan::new(Model::Decay, &ECHOES, Model::Decay.usual_range()).unwrap();
    let images = series(&ECHOES, 0.0, 60.0, 40.0);
    bencher.bench_local(|| plan.fit(black_box(images.view()), &FitOptions::default()));
}
