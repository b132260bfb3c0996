use ndarray::{Array2, Array3, Axis, s};
use num_complex::{Complex32, Complex64};

use super::*;

fn random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn complex(seed: u64) -> impl FnMut() -> Complex32 {
    let mut next = random(seed);
    move || Complex32::new(next(), next())
}

/// Anywhere, beyond the edge of k-space too, with points on the edge and in the middle.
fn trajectory(n: usize, [n_y, n_x]: [usize; 2]) -> Vec<[f32; 2]> {
    let mut next = random(7);
    let half = [0.5 * n_x as f32, 0.5 * n_y as f32];
    let mut trajectory: Vec<[f32; 2]> =
        (0..n).map(|_| [1.05 * half[0] * next(), 1.05 * half[1] * next()]).collect();
    trajectory[..4].copy_from_slice(&[[0.0; 2], half, half.map(|k| -k), [half[0], -half[1]]]);
    trajectory
}

fn exponential(k: [f32; 2], y: usize, x: usize, [n_y, n_x]: [usize; 2]) -> Complex64 {
    let along =
        |k: f32, n: usize, len: usize| f64::from(k) * (n as f64 - (len / 2) as f64) / len as f64;
    let turns = along(k[0], x, n_x) + along(k[1], y, n_y);
    Complex64::cis(-std::f64::consts::TAU * turns) / ((n_y * n_x) as f64).sqrt()
}

fn wide(value: Complex32) -> Complex64 {
    Complex64::new(value.re.into(), value.im.into())
}

fn relative_error<'a>(
    found: impl IntoIterator<Item = &'a Complex32>,
    truth: impl IntoIterator<Item = Complex64>,
) -> f64 {
    let (mut error, mut norm) = (0.0, 0.0);
    for (found, truth) in found.into_iter().zip(truth) {
        error += (wide(*found) - truth).norm_sqr();
        norm += truth.norm_sqr();
    }
    (error / norm).sqrt()
}

/// The forward and the adjoint transform's error against the sum.
fn errors(image: [usize; 2], n_channels: usize, options: Options) -> [f64; 2] {
    let trajectory = trajectory(300, image);
    let plan = Nufft::new(image, &trajectory, options).expect("a plan");
    let [n_y, n_x] = image;
    let images = Array3::from_shape_simple_fn((n_channels, n_y, n_x), complex(1));
    let samples = Array2::from_shape_simple_fn((n_channels, trajectory.len()), complex(2));
    let mut found = Array2::zeros(samples.dim());
    plan.forward(images.view(), found.view_mut());
    let truth = (0..n_channels).flat_map(|channel| {
        let image_of = images.index_axis(Axis(0), channel);
        trajectory.iter().map(move |k| {
            let pixels = image_of.indexed_iter();
            pixels.map(|((y, x), value)| wide(*value) * exponential(*k, y, x, image)).sum()
        })
    });
    let forward = relative_error(&found, truth);
    let mut found = Array3::zeros(images.dim());
    plan.adjoint(samples.view(), found.view_mut());
    let truth = images.indexed_iter().map(|((channel, y, x), _)| {
        let of_channel = samples.index_axis(Axis(0), channel);
        let terms = trajectory.iter().zip(of_channel);
        terms.map(|(k, value)| wide(*value) * exponential(*k, y, x, image).conj()).sum()
    });
    [forward, relative_error(&found, truth)]
}

#[test]
fn both_directions_are_the_sum_for_even_odd_and_oblong_images() {
    for (options, allowed) in [(Options::fast(), 1e-3), (Options::accurate(), 1e-5)] {
        for (image, n_channels) in [
            ([32, 32], 1),
            ([33, 24], 2),
            ([17, 40], 3),
            ([20, 31], 5),
            ([1, 16], 1),
            ([64, 48], 4),
        ] {
            for error in errors(image, n_channels, options) {
                assert!(
                    error < allowed,
                    "{image:?}, {n_channels} channels, {options:?}: {error:e}"
                );
            }
        }
    }
}

#[test]
fn every_width_has_the_accuracy_of_its_kernel() {
    // Beatty 2005, figure 3: an order of magnitude for each tap.
    for (width, oversampling, allowed) in [(5, 2.0, 1e-4), (5, 1.5, 1e-3), (6, 1.25, 1e-3)] {
        for error in errors([30, 36], 2, Options { width, oversampling }) {
            assert!(error < allowed, "{width}, {oversampling}: {error:e}");
        }
    }
}

#[test]
fn the_adjoint_is_the_conjugate_transpose() {
    let image = [48, 40];
    let trajectory = trajectory(2000, image);
    for options in [Options::fast(), Options::accurate()] {
        let plan = Nufft::new(image, &trajectory, options).expect("a plan");
        let x = Array3::from_shape_simple_fn((3, 48, 40), complex(3));
        let y = Array2::from_shape_simple_fn((3, 2000), complex(4));
        let mut ax = Array2::zeros(y.dim());
        plan.forward(x.view(), ax.view_mut());
        let mut ahy = Array3::zeros(x.dim());
        plan.adjoint(y.view(), ahy.view_mut());
        let dot = |a: &mut dyn Iterator<Item = (&Complex32, &Complex32)>| {
            a.map(|(a, b)| wide(*a).conj() * wide(*b)).sum::<Complex64>()
        };
        let left = dot(&mut y.iter().zip(&ax));
        let right = dot(&mut ahy.iter().zip(&x));
        // Single precision, a few thousand terms.
        let scale = y.iter().map(|v| wide(*v).norm_sqr()).sum::<f64>();
        assert!((left - right).norm() < 1e-6 * scale, "{left} and {right}");
    }
}

#[test]
fn a_cartesian_trajectory_gives_the_transform_of_fft() {
    let (n_y, n_x) = (20, 25);
    let trajectory: Vec<[f32; 2]> =
        (0..n_y).flat_map(|y| (0..n_x).map(move |x| [x as f32 - 12.0, y as f32 - 10.0])).collect();
    let plan = Nufft::new([n_y, n_x], &trajectory, Options::accurate()).expect("a plan");
    let images = Array3::from_shape_simple_fn((1, n_y, n_x), complex(5));
    let mut samples = Array2::zeros((1, n_y * n_x));
    plan.forward(images.view(), samples.view_mut());
    let mut truth = images;
    crate::fft::forward_2d(truth.view_mut());
    let error = relative_error(&samples, truth.iter().map(|value| wide(*value)));
    // Every sample lies on a cell of the grid, where the kernel is worst: √2 times 7.3e-6.
    assert!(error < 1.1e-5, "{error:e}");
}

#[test]
fn threads_and_the_rest_of_the_batch_change_no_bit() {
    let image = [64, 70];
    let trajectory = trajectory(20_000, image);
    let plan = Nufft::new(image, &trajectory, Options::fast()).expect("a plan");
    let images = Array3::from_shape_simple_fn((6, 64, 70), complex(8));
    let on = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| {
            let mut samples = Array2::zeros((6, trajectory.len()));
            plan.forward(images.view(), samples.view_mut());
            let mut back = Array3::zeros(images.dim());
            plan.adjoint(samples.view(), back.view_mut());
            (samples, back)
        })
    };
    let (samples, back) = on(1);
    assert_eq!((samples.clone(), back.clone()), on(3));
    let mut first = Array3::zeros((4, 64, 70));
    plan.adjoint(samples.slice(s![..4, ..]), first.view_mut());
    assert_eq!(first, back.slice(s![..4, .., ..]));
}

#[test]
fn weights_multiply_the_samples_and_arrays_may_have_any_order() {
    let image = [16, 24];
    let trajectory = trajectory(500, image);
    let plan = Nufft::new(image, &trajectory, Options::fast()).expect("a plan");
    let samples = Array2::from_shape_simple_fn((2, 500), complex(9));
    let weights: Vec<f32> = (0..500).map(|n| n as f32 * 0.01).collect();
    let mut weighted = Array3::zeros((2, 16, 24));
    plan.weighted_adjoint(samples.view(), Some(&weights), weighted.view_mut());
    let product = Array2::from_shape_fn((2, 500), |(c, n)| samples[[c, n]] * weights[n]);
    let mut plain = Array3::zeros((2, 16, 24));
    plan.adjoint(product.view(), plain.view_mut());
    assert_eq!(weighted, plain);
    let mut transposed = Array3::zeros((24, 16, 2));
    plan.adjoint(product.view(), transposed.view_mut().reversed_axes());
    assert_eq!(transposed.view().reversed_axes(), plain);
}

#[test]
fn what_no_plan_can_be_made_for_is_refused() {
    let plan = |image, k: f32, options| Nufft::new(image, &[[0.0; 2], [k, 0.0]], options).err();
    let options = Options::fast();
    assert_eq!(plan([0, 8], 0.0, options), Some(Error::ImageSize(8, 0)));
    assert_eq!(plan([8, 70_000], 0.0, options), Some(Error::ImageSize(70_000, 8)));
    assert_eq!(plan([8, 8], f32::NAN, options), Some(Error::NotFinite { sample: 1 }));
    assert_eq!(plan([8, 8], f32::INFINITY, options), Some(Error::NotFinite { sample: 1 }));
    assert!(plan([8, 8], 0.0, Options { width: 9, ..options }).is_some());
    assert!(plan([8, 8], 0.0, Options { oversampling: f64::NAN, ..options }).is_some());
    assert_eq!(plan([8, 8], f32::MAX, options), None, "periodic, far away too");
    let empty = Nufft::new([8, 8], &[], options).expect("a plan");
    let mut image = Array3::from_elem((1, 8, 8), Complex32::ONE);
    empty.adjoint(Array2::zeros((1, 0)).view(), image.view_mut());
    assert!(image.iter().all(|pixel| *pixel == Complex32::ZERO));
}

#[test]
fn grids_are_fast_to_transform_and_large_enough() {
    assert_eq!(grid_size(384.0, 8), 384);
    assert_eq!(grid_size(2.0, 8), 8);
    assert_eq!(grid_size(440.0, 8), 450);
    assert_eq!(grid_size(254.0, 8), 256);
}
