//! Parallel imaging as a whole: calibration, filling, combination.

use std::f64::consts::TAU;

use ndarray::{Array2, Array3, Array4, ArrayView4, Axis, Zip, s};
use num_complex::{Complex32, Complex64};
use numerics::fft;
use numerics::grappa::{CalibrationOptions, Kernel, unmixing};

/// A number between −0.5 and 0.5 that looks random.
fn hash(seed: usize) -> f32 {
    let mixed = (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed >> 40) as f32) / (1 << 24) as f32 - 0.5
}

/// Coils around the field of view with Σ|s|² = 1, `[channel, z, y, x]`.
fn coils(n_channels: usize, [n_z, n_y, n_x]: [usize; 3]) -> Array4<Complex32> {
    let mut maps = Array4::from_shape_fn((n_channels, n_z, n_y, n_x), |(channel, z, y, x)| {
        let angle = TAU * channel as f64 / n_channels as f64;
        let place = |i: usize, n: usize| if n == 1 { 0.0 } else { i as f64 / n as f64 - 0.5 };
        let (z, y, x) = (place(z, n_z), place(y, n_y), place(x, n_x));
        let shift = if channel % 2 == 0 { 0.3 } else { -0.3 };
        let distance =
            (x - 0.6 * angle.cos()).powi(2) + (y - 0.6 * angle.sin()).powi(2) + (z - shift).powi(2);
        let value =
            Complex64::from_polar((-2.0 * distance).exp(), angle + x - 0.7 * y * angle.sin());
        Complex32::new(value.re as f32, value.im as f32)
    });
    for z in 0..n_z {
        for y in 0..n_y {
            for x in 0..n_x {
                let mut pixel = maps.slice_mut(s![.., z, y, x]);
                let norm = pixel.iter().map(|v| v.norm_sqr()).sum::<f32>().sqrt();
                pixel.mapv_inplace(|v| v / norm);
            }
        }
    }
    maps
}

/// An ellipsoid with structure and a smooth phase.
fn object([n_z, n_y, n_x]: [usize; 3]) -> Array3<Complex32> {
    Array3::from_shape_fn((n_z, n_y, n_x), |(z, y, x)| {
        let place = |i: usize, n: usize| if n == 1 { 0.0 } else { 2.0 * i as f32 / n as f32 - 1.0 };
        let (z, y, x) = (place(z, n_z), place(y, n_y), place(x, n_x));
        let radius = (z / 0.85).powi(2) + (y / 0.85).powi(2) + (x / 0.8).powi(2);
        let size = if radius < 1.0 { 1.0 + 0.5 * (9.0 * x + 4.0 * y).sin() } else { 0.0 };
        Complex32::from_polar(size, 0.8 * x - 0.5 * y)
    })
}

fn coil_images(object: &Array3<Complex32>, maps: &Array4<Complex32>) -> Array4<Complex32> {
    let mut images = maps.clone();
    for mut channel in images.axis_iter_mut(Axis(0)) {
        channel.zip_mut_with(object, |map, object| *map *= object);
    }
    images
}

fn combine(
    images: ArrayView4<'_, Complex32>,
    weights: ArrayView4<'_, Complex32>,
) -> Array3<Complex32> {
    let mut sum = Array3::zeros(images.index_axis(Axis(0), 0).raw_dim());
    for (image, weight) in images.axis_iter(Axis(0)).zip(weights.axis_iter(Axis(0))) {
        Zip::from(&mut sum).and(&image).and(&weight).for_each(|sum, a, w| *sum += a * w);
    }
    sum
}

fn nrmse<'a>(
    a: impl IntoIterator<Item = &'a Complex32>,
    truth: impl IntoIterator<Item = &'a Complex32>,
) -> f64 {
    let (mut error, mut size) = (0.0, 0.0);
    for (a, truth) in a.into_iter().zip(truth) {
        error += f64::from((a - truth).norm_sqr());
        size += f64::from(truth.norm_sqr());
    }
    (error / size).sqrt()
}

/// `[e2, e1]`, every R-th line from `first`.
fn lattice([n_e2, n_e1]: [usize; 2], [r1, r2]: [usize; 2], first: [usize; 2]) -> Array2<bool> {
    Array2::from_shape_fn((n_e2, n_e1), |(e2, e1)| e1 % r1 == first[0] && e2 % r2 == first[1])
}

fn zero_missing(k_space: &mut Array4<Complex32>, sampled: &Array2<bool>) {
    for ((e2, e1), &sampled) in sampled.indexed_iter() {
        if !sampled {
            k_space.slice_mut(s![.., e2, e1, ..]).fill(Complex32::ZERO);
        }
    }
}

/// Any kernel at all: filling and combining is the same as unmixing the aliased images.
#[test]
fn filling_equals_unmixing() {
    for (matrix, acceleration, first, n_targets) in [
        ([1, 24, 20], [2, 1], [0, 0], 4),
        ([1, 24, 21], [3, 1], [2, 0], 3),
        ([1, 30, 20], [2, 1], [1, 0], 2),
        ([8, 12, 10], [2, 2], [1, 1], 4),
        ([8, 9, 10], [1, 2], [0, 1], 4),
        ([6, 12, 11], [2, 3], [0, 2], 3),
    ] {
        let noise = |shape: (usize, usize, usize, usize), seed: usize| {
            let mut n = seed;
            Array4::from_shape_simple_fn(shape, || {
                n += 2;
                Complex32::new(hash(n), hash(n + 1))
            })
        };
        let [n_z, n_y, n_x] = matrix;
        let n_z_calibration = if n_z == 1 { 1 } else { 16 };
        let calibration = noise((4, n_z_calibration, 22, 19), 1);
        let options =
            CalibrationOptions { n_targets: Some(n_targets), ..CalibrationOptions::default() };
        let kernel = Kernel::calibrate(calibration.view(), acceleration, &options).unwrap();
        let maps = coils(n_targets, matrix);
        let sampled = lattice([n_z, n_y], acceleration, first);
        let mut k_space = noise((4, n_z, n_y, n_x), 77_777);
        zero_missing(&mut k_space, &sampled);

        let mut hybrid = k_space.clone();
        fft::inverse_axes(hybrid.view_mut().into_dyn(), &[Axis(3)]);
        let mut filled = kernel.fill(hybrid.view(), sampled.view());
        fft::inverse_axes(filled.view_mut().into_dyn(), &[Axis(1), Axis(2)]);
        let by_filling = combine(filled.view(), maps.mapv(|v| v.conj()).view());

        fft::inverse_axes(k_space.view_mut().into_dyn(), &[Axis(1), Axis(2), Axis(3)]);
        let weights = unmixing(&kernel, maps.view());
        let by_unmixing = combine(k_space.view(), weights.view());
        // Sums of some hundred products in single precision.
        let error = nrmse(&by_filling, &by_unmixing);
        assert!(error < 3e-6, "{matrix:?} {acceleration:?}: {error}");
    }
}

#[test]
fn a_smooth_phantom_comes_back_from_half_and_a_third_of_its_lines() {
    let matrix = [1, 64, 64];
    let (maps, object) = (coils(8, matrix), object(matrix));
    let images = coil_images(&object, &maps);
    let mut k_space = images.clone();
    fft::forward_axes(k_space.view_mut().into_dyn(), &[Axis(2), Axis(3)]);
    let calibration = k_space.slice(s![.., .., 20..44, ..]).to_owned();
    for (acceleration, tolerance) in [(2, 0.02), (3, 0.05)] {
        let options = CalibrationOptions { regularisation: 1e-6, ..CalibrationOptions::default() };
        let kernel = Kernel::calibrate(calibration.view(), [acceleration, 1], &options).unwrap();
        let mut hybrid = k_space.clone();
        let sampled = lattice([1, 64], [acceleration, 1], [1, 0]);
        zero_missing(&mut hybrid, &sampled);
        fft::inverse_axes(hybrid.view_mut().into_dyn(), &[Axis(3)]);
        let mut filled = kernel.fill(hybrid.view(), sampled.view());
        fft::inverse_axes(filled.view_mut().into_dyn(), &[Axis(2)]);
        let error = nrmse(&filled, &images);
        assert!(error < tolerance, "R = {acceleration}: {error}");
    }
}
