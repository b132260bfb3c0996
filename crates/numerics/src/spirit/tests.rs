use ndarray::{Array2, Array3, Array4, Array5, Axis, s};
use num_complex::{Complex32, Complex64};
use proptest::prelude::*;

use super::column::{Consistency, Mixing};
use super::*;
use crate::fft;
use crate::line_transform::LineTransform;
use crate::wavelet::ShrinkageOptions;

/// Values without structure, between −½ and ½.
fn noise(seed: u64) -> impl FnMut() -> Complex32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    move || Complex32::new(next(), next())
}

fn random_kernel(n_channels: usize, size: [usize; 3], seed: u64) -> Kernel {
    let mut next = noise(seed);
    let shape = (n_channels, n_channels, size[0], size[1], size[2]);
    Kernel::from_weights(Array5::from_shape_fn(shape, |_| next()))
}

/// (G − I) k by its definition, periodic: `[channel, e2, e1, readout]`.
fn contradiction(kernel: &Kernel, k_space: &Array4<Complex32>) -> Array4<Complex32> {
    let weights = kernel.weights();
    let (_, _, k2, k1, kx) = weights.dim();
    let (_, n2, n1, nx) = k_space.dim();
    Array4::from_shape_fn(k_space.dim(), |(target, e2, e1, x)| {
        let mut sum = -k_space[[target, e2, e1, x]];
        for ((source, d2, d1, d), weight) in weights.index_axis(Axis(0), target).indexed_iter() {
            let at = |k: usize, d: usize, half: usize, n: usize| (k + d + n * half - half) % n;
            let (e2, e1) = (at(e2, d2, k2 / 2, n2), at(e1, d1, k1 / 2, n1));
            sum += weight * k_space[[source, e2, e1, at(x, d, kx / 2, nx)]];
        }
        sum
    })
}

fn square(values: &Array4<Complex32>) -> f64 {
    values.iter().map(|value| f64::from(value.norm_sqr())).sum()
}

/// Smooth sensitivities of `n_channels` coils around the image: `[channel, y, x]`, Σ|s|² = 1.
fn coil_maps(n_channels: usize, [ny, nx]: [usize; 2]) -> Array3<Complex32> {
    let mut maps = Array3::from_shape_fn((n_channels, ny, nx), |(channel, y, x)| {
        let angle_rad = std::f32::consts::TAU * channel as f32 / n_channels as f32;
        let (v, u) = (y as f32 / ny as f32 - 0.5, x as f32 / nx as f32 - 0.5);
        let (dv, du) = (v - 0.6 * angle_rad.sin(), u - 0.6 * angle_rad.cos());
        Complex32::from_polar((-2.0 * (dv * dv + du * du)).exp(), angle_rad + 2.0 * (u * dv + v))
    });
    for mut pixel in maps.lanes_mut(Axis(0)) {
        let norm = pixel.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt();
        pixel.mapv_inplace(|value| value / norm);
    }
    maps
}

/// A disc with structure inside: `[y, x]`.
fn object([ny, nx]: [usize; 2]) -> Array2<f32> {
    Array2::from_shape_fn((ny, nx), |(y, x)| {
        let (v, u) = (2.2 * y as f32 / ny as f32 - 1.1, 2.2 * x as f32 / nx as f32 - 1.1);
        let inside = v * v + u * u < 0.8;
        let spot = (v - 0.3).powi(2) + (u + 0.2).powi(2) < 0.05;
        f32::from(inside) * (1.0 + 0.5 * (4.0 * u).sin()) + f32::from(spot)
    })
}

/// K-space, `[channel, 1, y, x]`, and the same after the transform along the readout.
fn scan(n_channels: usize, size: [usize; 2]) -> (Array4<Complex32>, Array4<Complex32>) {
    let (maps, object) = (coil_maps(n_channels, size), object(size));
    let mut hybrid = (maps * object.mapv(Complex32::from)).insert_axis(Axis(1));
    fft::forward_axes(hybrid.view_mut().into_dyn(), &[Axis(2)]);
    let mut k_space = hybrid.clone();
    fft::forward_axes(k_space.view_mut().into_dyn(), &[Axis(3)]);
    (k_space, hybrid)
}

fn calibration(k_space: &Array4<Complex32>, n_lines: usize) -> Kernel {
    let first = k_space.len_of(Axis(2)) / 2 - n_lines / 2;
    let lines = k_space.slice(s![.., .., first..first + n_lines, ..]);
    let options = CalibrationOptions { regularisation: 1e-4, ..CalibrationOptions::default() };
    Kernel::calibrate(lines, &options).expect("enough lines")
}

fn relative_error(found: &Array4<Complex32>, truth: &Array4<Complex32>) -> f64 {
    (square(&(found - truth)) / square(truth)).sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_pixelwise_operator_is_the_kernel_by_its_definition_and_hermitian(
        n2 in 1..4_usize, n1 in 1..9_usize, nx in 1..7_usize, n_channels in 1..4_usize,
        k2 in 0..2_usize, k1 in 0..3_usize, kx in 0..3_usize, seed in 0..1000_u64,
    ) {
        let kernel = random_kernel(n_channels, [2 * k2 + 1, 2 * k1 + 1, 2 * kx + 1], seed);
        let transform = LineTransform::new([n2, n1]);
        let mut next = noise(seed + 1);
        let mut make = || Array4::from_shape_fn((n_channels, n2, n1, nx), |_| next());
        let (a, b) = (make(), make());
        // H a, position by position after the transform along the readout.
        let apply = |k_space: &Array4<Complex32>| {
            let mut hybrid = k_space.clone();
            fft::inverse_axes(hybrid.view_mut().into_dyn(), &[Axis(3)]);
            let mut work = Mixing::default();
            for x in 0..nx {
                let place = [x, nx];
                let consistency =
                    Consistency::new(&kernel, place, &transform, [n2, n1], &mut work.transform);
                let mut position: Vec<_> =
                    hybrid.index_axis(Axis(3), x).iter().copied().collect();
                let mut image = position.clone();
                consistency.apply_to_k_space(&mut position, &mut image, &transform, &mut work);
                let mut target = hybrid.index_axis_mut(Axis(3), x);
                target.iter_mut().zip(position).for_each(|(target, value)| *target = value);
            }
            fft::forward_axes(hybrid.view_mut().into_dyn(), &[Axis(3)]);
            hybrid
        };
        let inner = |a: &Array4<Complex32>, b: &Array4<Complex32>| -> Complex64 {
            a.iter().zip(b).map(|(a, b)| {
                let widen = |v: &Complex32| Complex64::new(v.re.into(), v.im.into());
                widen(a).conj() * widen(b)
            }).sum()
        };
        let (ha, hb) = (apply(&a), apply(&b));
        let (ka, kb) = (contradiction(&kernel, &a), contradiction(&kernel, &b));
        let size = (square(&ka) * square(&kb)).sqrt() + 1e-6;
        // Single precision, some hundred terms.
        prop_assert!((inner(&a, &hb) - inner(&ka, &kb)).norm() < 1e-4 * size);
        prop_assert!((inner(&ha, &b) - inner(&a, &hb)).norm() < 1e-4 * size);
    }
}

#[test]
fn weights_are_those_of_the_regularised_equations_written_out() {
    let mut next = noise(5);
    let data = Array4::from_shape_fn((2, 3, 4, 9), |_| next());
    let options = CalibrationOptions {
        kernel_readout: 3,
        kernel_e1: 3,
        kernel_e2: 3,
        regularisation: 0.01,
        overdetermination: 1e9,
    };
    let kernel = Kernel::calibrate(data.view(), &options).expect("enough lines");
    let at = |w: [usize; 3], c: usize, d: [usize; 3]| {
        let value = data[[c, w[0] + d[0], w[1] + d[1], w[2] + d[2]]];
        Complex64::new(value.re.into(), value.im.into())
    };
    let windows = || (0..2).flat_map(|y| (0..7).map(move |x| [0, y, x]));
    let taps: Vec<(usize, [usize; 3])> =
        (0..54).map(|n| (n / 27, [n / 9 % 3, n / 3 % 3, n % 3])).collect();
    let energy: f64 =
        taps.iter().map(|(c, d)| windows().map(|w| at(w, *c, *d).norm_sqr()).sum::<f64>()).sum();
    let lambda = 0.01 * energy / 54.0;
    for target in 0..2 {
        let weights = kernel.weights().index_axis(Axis(0), target);
        let weight = |(c, d): &(usize, [usize; 3])| {
            let value = weights[[*c, d[0], d[1], d[2]]];
            Complex64::new(value.re.into(), value.im.into())
        };
        assert_eq!(weights[[target, 1, 1, 1]], Complex32::ZERO);
        let misfit: Vec<Complex64> = windows()
            .map(|w| {
                let sum: Complex64 = taps.iter().map(|tap| at(w, tap.0, tap.1) * weight(tap)).sum();
                sum - at(w, target, [1, 1, 1])
            })
            .collect();
        // The gradient is zero for every free weight.
        for tap in taps.iter().filter(|tap| **tap != (target, [1, 1, 1])) {
            let slope: Complex64 =
                windows().zip(&misfit).map(|(w, m)| at(w, tap.0, tap.1).conj() * m).sum();
            let slope = slope + weight(tap) * lambda;
            assert!(slope.norm() < 1e-5 * energy, "{tap:?}: {slope} of {energy}");
        }
    }
}

#[test]
fn missing_lines_of_regular_and_random_patterns_come_back() {
    let size = [48, 40];
    let (k_space, hybrid) = scan(8, size);
    let kernel = calibration(&k_space, 20);
    let mut next = noise(3);
    let random: Vec<bool> = (0..48).map(|_| next().re > 0.1).collect();
    let is_center = |line: usize| (20..28).contains(&line);
    let sampled = Array3::from_shape_fn((3, 1, 48), |(frame, _, line)| {
        let of_pattern = match frame {
            0 => line % 2 == 0,
            1 => line % 3 == 0,
            _ => random[line],
        };
        of_pattern || is_center(line)
    });
    let mut data = Array5::zeros((3, 8, 1, 48, 40));
    for mut frame in data.outer_iter_mut() {
        frame.assign(&hybrid);
    }
    // What stands where nothing was acquired must not matter.
    for ((frame, _, line), sampled) in sampled.indexed_iter() {
        if !sampled {
            data.slice_mut(s![frame, .., 0, line, ..]).fill(Complex32::new(f32::NAN, 7.0));
        }
    }
    let options = SolverOptions { max_iterations: 200, threshold: 1e-4 };
    let report = kernel.fill(data.view_mut(), sampled.view(), &options);
    assert_eq!(report.n_positions, 120);
    for ((frame, _, line), sampled) in sampled.indexed_iter() {
        if *sampled {
            let (found, truth) =
                (data.slice(s![frame, .., 0, line, ..]), hybrid.slice(s![.., 0, line, ..]));
            assert_eq!(found, truth, "an acquired line stays");
        }
    }
    // Without noise, how well a kernel of 7 x 7 describes these coils; the random pattern keeps
    // two lines of five and has wide gaps.
    for (frame, limit) in [(0, 0.01), (1, 0.02), (2, 0.05)] {
        let error = relative_error(&data.index_axis(Axis(0), frame).to_owned(), &hybrid);
        assert!(error < limit, "pattern {frame}: {error}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (k_space, hybrid) = scan(4, [24, 20]);
    let run = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| {
            let kernel = calibration(&k_space, 12);
            let sampled = Array3::from_shape_fn((2, 1, 24), |(f, _, line)| (line + f) % 2 == 0);
            let mut data = hybrid.broadcast((2, 4, 1, 24, 20)).expect("frames").to_owned();
            kernel.fill(data.view_mut(), sampled.view(), &SolverOptions::default());
            let plan = NonLinear::new(&kernel, [24, 20]);
            let options = NonLinearOptions { max_iterations: 3, ..Default::default() };
            plan.refine(data.view_mut(), sampled.view(), CoilMode::Each, &options);
            data
        })
    };
    assert_eq!(run(1), run(8));
}

#[test]
fn wavelets_over_time_take_noise_away_that_linear_spirit_leaves() {
    let (size, n_frames, n_channels) = ([32, 40], 8, 6);
    let (k_space, hybrid) = scan(n_channels, size);
    let kernel = calibration(&k_space, 16);
    let maps = coil_maps(n_channels, size);
    let mut next = noise(9);
    let mut data = Array5::from_shape_fn((n_frames, n_channels, 1, size[0], size[1]), |at| {
        hybrid[[at.1, at.2, at.3, at.4]] + next() * 0.2
    });
    let sampled = Array3::from_shape_fn((n_frames, 1, size[0]), |(frame, _, line)| {
        (line + frame) % 3 == 0 || (14..18).contains(&line)
    });
    kernel.fill(data.view_mut(), sampled.view(), &SolverOptions::default());
    let error = |data: &Array5<Complex32>| {
        let frame = data.index_axis(Axis(0), 3).to_owned();
        relative_error(&frame, &hybrid)
    };
    let linear = error(&data);
    let plan = NonLinear::new(&kernel, size);
    for coils in [CoilMode::Each, CoilMode::Joint, CoilMode::Combined(maps.view())] {
        let mut refined = data.clone();
        let options = NonLinearOptions { sparsity: 0.001, ..Default::default() };
        plan.refine(refined.view_mut(), sampled.view(), coils, &options);
        let error = error(&refined);
        assert!(error < 0.8 * linear, "{coils:?}: {error} after {linear}");
    }
    // Nothing to shrink and nothing to contradict: the noiseless scan stays.
    let mut clean = hybrid.broadcast(data.dim()).expect("frames").to_owned();
    let wavelets = ShrinkageOptions::default();
    let options = NonLinearOptions { sparsity: 0.0, wavelets, ..Default::default() };
    plan.refine(clean.view_mut(), sampled.view(), CoilMode::Each, &options);
    assert!(error(&clean) < 0.01, "{}", error(&clean));
}

#[test]
fn calibrations_that_cannot_work_are_refused_with_their_reason() {
    let options = CalibrationOptions::default();
    let few = Kernel::calibrate(Array4::ones((2, 1, 6, 32)).view(), &options);
    assert_eq!(
        few.expect_err("too few").to_string(),
        "6 calibration lines of encoding step 1, a kernel of 7 needs that many and more"
    );
    let empty = Kernel::calibrate(Array4::zeros((2, 1, 12, 32)).view(), &options);
    assert_eq!(empty, Err(CalibrationError::NoSignal));
    let mut broken = Array4::ones((2, 1, 12, 32));
    broken[[0, 0, 3, 16]] = Complex32::new(f32::NAN, 0.0);
    assert_eq!(Kernel::calibrate(broken.view(), &options), Err(CalibrationError::NoSignal));
    let even = CalibrationOptions { kernel_e1: 4, ..options };
    let refused = Kernel::calibrate(Array4::ones((2, 1, 12, 32)).view(), &even);
    assert_eq!(refused, Err(CalibrationError::EvenKernel(4)));
    let many = Kernel::calibrate(Array4::ones((32, 8, 12, 32)).view(), &options);
    assert_eq!(many, Err(CalibrationError::TooManyWeights { weights: 32 * 245 }));
}
