//! `cargo bench -p phantom --bench raster`

use divan::{Bencher, black_box};
use ndarray::{Array2, Array3};
use num_complex::{Complex32, Complex64};
use phantom::{
    Anatomy, Component, Coverage, PixelGrid, Pose, RandomAnatomy, RandomOptions, ShortAxisOptions,
    TissueMaps, band_limited, displacement_field_px, random_anatomy, rasterise, rasterise_shapes,
    short_axis,
};

const GRID: PixelGrid = PixelGrid { matrix_size: [192, 160], field_of_view_mm: [360.0, 300.0] };

fn main() {
    divan::main();
}

/// 16 ellipses: a chest with vials.
fn chest() -> Anatomy {
    short_axis(&ShortAxisOptions { vials: true, ..ShortAxisOptions::default() }).expect("fits")
}

fn components() -> Vec<Component> {
    let anatomy = chest();
    let signals: Vec<Complex64> =
        anatomy.regions.iter().map(|region| Complex64::from(region.tissue.t2_ms)).collect();
    anatomy.components(&signals)
}

#[divan::bench]
fn picture(bencher: Bencher) {
    let components = components();
    bencher.bench_local(|| -> Array2<Complex32> { rasterise(black_box(&components), GRID) });
}

#[divan::bench]
fn picture_of_known_shapes(bencher: Bencher) {
    let components = components();
    let shapes: Vec<Coverage> =
        components.iter().map(|part| Coverage::new(&part.ellipse, GRID)).collect();
    let amplitudes: Vec<Complex64> = components.iter().map(|part| part.amplitude).collect();
    bencher.bench_local(|| rasterise_shapes(black_box(&shapes), &amplitudes, GRID));
}

#[divan::bench]
fn band_limited_picture(bencher: Bencher) {
    let components = components();
    bencher.bench_local(|| -> Array2<Complex32> { band_limited(black_box(&components), GRID) });
}

#[divan::bench]
fn tissue_maps(bencher: Bencher) {
    let anatomy = chest();
    bencher.bench_local(|| TissueMaps::new(black_box(&anatomy), GRID));
}

#[divan::bench]
fn displacement_field(bencher: Bencher) {
    let anatomy = chest();
    let pose = Pose { shift_mm: [3.0, 8.0], rotation_rad: 0.03, endocardial_scale: 0.9 };
    bencher
        .bench_local(|| -> Array3<f32> { displacement_field_px(black_box(&anatomy), &pose, GRID) });
}

#[divan::bench]
fn drawing_an_anatomy(bencher: Bencher) {
    let options = RandomOptions::default();
    let mut index = 0;
    bencher.bench_local(|| -> RandomAnatomy {
        index += 1;
        random_anatomy(1, index, &options).expect("options in range")
    });
}

#[divan::bench]
fn posing(bencher: Bencher) {
    let anatomy = chest();
    let pose = Pose { shift_mm: [3.0, 8.0], rotation_rad: 0.03, endocardial_scale: 0.9 };
    bencher.bench_local(|| black_box(&anatomy).allows(&pose));
}
