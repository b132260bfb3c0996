//! Parallel imaging as a whole: calibration, filling, combination.

use std::f64::consts::TAU;

use ndarray::{Array2, Array3, Array4, ArrayView4, Axis, Zip, s};
use num_complex::{Complex32, Complex64};
use numerics::fft;
use numerics::grappa::{CalibrationOptions, Kernel, g_factor, unmixing};

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

/// K-space of coils whose sensitivities along y (and z) are 1 and one harmonic, with as many
/// coils as harmonics: then a kernel of 2 (× 2) lines fills in exactly, with one set of weights.
/// Gives `[channel, e2, e1, readout]` and the sensitivities `[channel, z, y, x]`.
fn exactly_linked(matrix: [usize; 3]) -> (Array4<Complex32>, Array4<Complex32>) {
    let [n_z, n_y, n_x] = matrix;
    let along_z = if n_z == 1 { 1 } else { 2 };
    let n_channels = 2 * along_z;
    let mixing = |channel: usize, harmonic: usize| {
        let size = if channel == harmonic { 1.0 } else { 0.25 };
        Complex32::from_polar(size, (1 + channel * 2 + harmonic * 3) as f32)
    };
    let spectrum = Array3::from_shape_fn((n_z, n_y, n_x), |(z, y, x)| {
        let n = 2 * ((z * n_y + y) * n_x + x);
        Complex32::new(hash(n), hash(n + 1))
    });
    let k_space = Array4::from_shape_fn((n_channels, n_z, n_y, n_x), |(channel, z, y, x)| {
        (0..n_channels)
            .map(|harmonic| {
                let (y, z) = ((y + n_y - harmonic % 2) % n_y, (z + n_z - harmonic / 2) % n_z);
                mixing(channel, harmonic) * spectrum[[z, y, x]]
            })
            .sum()
    });
    let maps = Array4::from_shape_fn((n_channels, n_z, n_y, n_x), |(channel, z, y, _)| {
        let turn = |i: usize, n: usize| TAU as f32 * (i as f32 - (n / 2) as f32) / n as f32;
        (0..n_channels)
            .map(|harmonic| {
                let (h1, h2) = ((harmonic % 2) as f32, (harmonic / 2) as f32);
                let angle = h1 * turn(y, n_y) + h2 * turn(z, n_z);
                mixing(channel, harmonic) * Complex32::from_polar(1.0, angle)
            })
            .sum()
    });
    (k_space, maps)
}

fn exact_kernel(k_space: &Array4<Complex32>, acceleration: [usize; 2]) -> Kernel {
    let options = CalibrationOptions {
        kernel_readout: 1,
        // As many sources as there are unknown samples of the object behind them.
        kernel_e1: acceleration[0].min(2),
        kernel_e2: acceleration[1].min(2),
        regularisation: 1e-9,
        ..CalibrationOptions::default()
    };
    let part = k_space.slice(s![.., .., 3..19, ..]);
    Kernel::calibrate(part, acceleration, &options).unwrap()
}

#[test]
fn lines_that_obey_a_kernel_come_back_exactly() {
    for (matrix, acceleration, first) in [
        ([1, 24, 16], [2, 1], [0, 0]),
        ([1, 24, 33], [2, 1], [1, 0]),
        ([10, 24, 12], [2, 2], [1, 0]),
        ([10, 24, 12], [1, 2], [0, 1]),
    ] {
        let (k_space, _) = exactly_linked(matrix);
        let kernel = exact_kernel(&k_space, acceleration);
        let mut sampled = lattice([matrix[0], matrix[1]], acceleration, first);
        // Calibration lines inside do not disturb, and pass as they are.
        sampled.slice_mut(s![.., 10..14]).fill(true);
        let mut hybrid = k_space.clone();
        zero_missing(&mut hybrid, &sampled);
        // What is not sampled is not read.
        hybrid.mapv_inplace(|v| if v == Complex32::ZERO { Complex32::from(1e9) } else { v });
        fft::inverse_axes(hybrid.view_mut().into_dyn(), &[Axis(3)]);
        let filled = kernel.fill(hybrid.view(), sampled.view());
        let mut truth = k_space;
        fft::inverse_axes(truth.view_mut().into_dyn(), &[Axis(3)]);
        // The system's condition is below 100.
        let error = nrmse(&filled, &truth);
        assert!(error < 2e-5, "{matrix:?} {acceleration:?}: {error}");
    }
}

/// With as many coils as aliased pixels there is only one unmixing, so GRAPPA's is SENSE's.
#[test]
fn g_factor_is_that_of_sense_where_both_are_exact() {
    let matrix = [1, 32, 8];
    let (k_space, mut maps) = exactly_linked(matrix);
    let kernel = exact_kernel(&k_space, [2, 1]);
    for y in 0..32 {
        let mut row = maps.slice_mut(s![.., 0, y, ..]);
        let norm = row.column(0).iter().map(|v| v.norm_sqr()).sum::<f32>().sqrt();
        row.mapv_inplace(|v| v / norm);
    }
    let g = g_factor(unmixing(&kernel, maps.view()).view(), [2, 1]);
    for ((_, y, x), &g) in g.indexed_iter() {
        let here = maps.slice(s![.., 0, y, x]);
        let alias = maps.slice(s![.., 0, (y + 16) % 32, x]);
        let overlap: Complex32 = here.iter().zip(alias).map(|(a, b)| a.conj() * b).sum();
        // [(SᴴS)⁻¹]₁₁ of unit columns.
        let truth = 1.0 / (1.0 - overlap.norm_sqr()).sqrt();
        assert!((g / truth - 1.0).abs() < 1e-4, "{g} and {truth} at {y}, {x}");
    }
}

#[test]
fn unsampled_ends_of_k_space_stay_zero() {
    let (k_space, _) = exactly_linked([1, 24, 16]);
    let kernel = exact_kernel(&k_space, [2, 1]);
    let mut sampled = lattice([1, 24], [2, 1], [1, 0]);
    sampled.slice_mut(s![.., ..7]).fill(false);
    let mut data = k_space;
    zero_missing(&mut data, &sampled);
    let filled = kernel.fill(data.view(), sampled.view());
    for line in 0..24 {
        let energy: f32 = filled.slice(s![.., 0, line, ..]).iter().map(|v| v.norm_sqr()).sum();
        // Line 7 is the first that is sampled.
        assert_eq!(energy > 0.0, line >= 7, "line {line}");
    }
}

#[test]
fn acceleration_one_passes_the_first_targets_through() {
    let (k_space, maps) = exactly_linked([1, 24, 16]);
    let options = CalibrationOptions { n_targets: Some(1), ..CalibrationOptions::default() };
    let kernel = Kernel::calibrate(k_space.view(), [1, 1], &options).unwrap();
    assert_eq!((kernel.n_targets(), kernel.n_channels()), (1, 2));
    let filled = kernel.fill(k_space.view(), lattice([1, 24], [1, 1], [0, 0]).view());
    assert_eq!(filled, k_space.slice(s![..1, .., .., ..]));
    let weights = unmixing(&kernel, maps.slice(s![..1, .., .., ..]));
    assert_eq!(weights.index_axis(Axis(0), 0), maps.index_axis(Axis(0), 0).mapv(|v| v.conj()));
    assert!(weights.index_axis(Axis(0), 1).iter().all(|v| *v == Complex32::ZERO));
}

#[test]
fn kernel_images_multiply_aliased_images_to_filled_ones() {
    let matrix = [1, 24, 18];
    let (k_space, _) = exactly_linked(matrix);
    let kernel = exact_kernel(&k_space, [2, 1]);
    let sampled = lattice([1, 24], [2, 1], [0, 0]);
    let mut aliased = k_space.clone();
    zero_missing(&mut aliased, &sampled);
    fft::inverse_axes(aliased.view_mut().into_dyn(), &[Axis(2), Axis(3)]);
    let mut truth = k_space;
    fft::inverse_axes(truth.view_mut().into_dyn(), &[Axis(2), Axis(3)]);
    let weights = kernel.image_domain(matrix);
    for (weights, truth) in weights.outer_iter().zip(truth.outer_iter()) {
        let error = nrmse(&combine(aliased.view(), weights), truth);
        assert!(error < 2e-5, "{error}");
    }
}

#[test]
fn threads_change_no_bit() {
    let (k_space, maps) = exactly_linked([10, 24, 40]);
    let sampled = lattice([10, 24], [2, 2], [1, 1]);
    let on = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
        pool.expect("a pool").install(|| {
            let kernel =
                Kernel::calibrate(k_space.view(), [2, 2], &CalibrationOptions::default()).unwrap();
            (kernel.fill(k_space.view(), sampled.view()), unmixing(&kernel, maps.view()), kernel)
        })
    };
    assert_eq!(on(1), on(3));
}
