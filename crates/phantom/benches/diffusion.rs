//! `cargo bench -p phantom --bench diffusion`

use divan::{Bencher, black_box};
use num_complex::Complex64;
use phantom::{
    Anatomy, DiffusionEncoding, DiffusionHeart, DiffusionOptions, Motion, PixelObject,
    ShortAxisOptions, ShotOptions, gradient_directions, physiology_waveforms, short_axis,
};

fn main() {
    divan::main();
}

const MATRIX_SIZE: [usize; 2] = [512, 512];

const FIELD_OF_VIEW_MM: [f64; 2] = [360.0, 360.0];

fn anatomy() -> Anatomy {
    short_axis(&ShortAxisOptions::default()).unwrap()
}

fn heart(anatomy: &Anatomy) -> DiffusionHeart {
    let options = DiffusionOptions { angle_variability_deg: 5.0, ..DiffusionOptions::default() };
    DiffusionHeart::new(anatomy, &options, MATRIX_SIZE, FIELD_OF_VIEW_MM).unwrap()
}

/// Tensors and angles of 512 × 512 pixels.
#[divan::bench(sample_count = 20)]
fn tensors(bencher: Bencher) {
    let anatomy = anatomy();
    bencher.bench_local(|| heart(black_box(&anatomy)));
}

/// One shot of 512 × 512 pixels: diffusion weighting, phase and loss.
#[divan::bench(sample_count = 50)]
fn diffusion_weighted_object(bencher: Bencher) {
    let anatomy = anatomy();
    let heart = heart(&anatomy);
    let base = heart.base_image(&vec![Complex64::ONE; anatomy.regions.len()]);
    let encoding = DiffusionEncoding { b_value_s_per_mm2: 500.0, direction: [0.6, 0.0, 0.8] };
    let shot = ShotOptions::default().shot(1, &encoding);
    bencher.bench_local(|| -> PixelObject {
        let mut object = heart.signal(black_box(&encoding), base.view());
        shot.apply(&heart, object.values.view_mut());
        object
    });
}

/// Electrostatic repulsion.
#[divan::bench(args = [12, 64], sample_count = 5)]
fn directions(n_directions: usize) -> Vec<[f64; 3]> {
    gradient_directions(n_directions).unwrap()
}

/// Electrocardiogram and respiration of one minute.
#[divan::bench(sample_count = 10)]
fn one_minute_of_physiology(bencher: Bencher) {
    let motion = Motion::default();
    bencher.bench_local(|| physiology_waveforms(black_box(&motion), 60_000.0, 1, 0));
}
