use ndarray::Array2;

use super::*;

/// Directions spread by a spiral, and one image without weighting.
fn encodings(n: usize, b: f64) -> Vec<BMatrix> {
    let spiral = (0..n).map(|k| {
        let z = (k as f64 + 0.5) / n as f64;
        let (sin, cos) = (2.4 * k as f64).sin_cos();
        let r = (1.0 - z * z).sqrt();
        BMatrix::along(b, [r * cos, r * sin, z])
    });
    std::iter::once(BMatrix::along(0.0, [f64::NAN; 3])).chain(spiral).collect()
}

fn signals(encodings: &[BMatrix], tensor: [f64; 6], s0: f64) -> Vec<f64> {
    let [xx, xy, xz, yy, yz, zz] = tensor;
    let parameters = [xx, xy, xz, yy, yz, zz, s0.ln()];
    encodings.iter().map(|encoding| fit::sum(&encoding.row(), &parameters).exp()).collect()
}

/// A tensor with these angles in the wall at outward normal (x, y), as the phantom makes it.
fn tensor(axes: &WallAxes, helix_deg: f64, e2_deg: f64, values: [f64; 3]) -> [f64; 6] {
    let ((sin, cos), (sin2, cos2)) =
        (helix_deg.to_radians().sin_cos(), e2_deg.to_radians().sin_cos());
    let (c, l, r) = (axes.circumferential, axes.longitudinal, axes.radial);
    let e1: [f64; 3] = std::array::from_fn(|i| cos * c[i] + sin * l[i]);
    let across: [f64; 3] = std::array::from_fn(|i| cos * l[i] - sin * c[i]);
    let e2: [f64; 3] = std::array::from_fn(|i| cos2 * across[i] + sin2 * r[i]);
    let e3 = eigen::cross(&e1, &e2);
    let element = |i: usize, j: usize| {
        values[0] * e1[i] * e1[j] + values[1] * e2[i] * e2[j] + values[2] * e3[i] * e3[j]
    };
    [element(0, 0), element(0, 1), element(0, 2), element(1, 1), element(1, 2), element(2, 2)]
}

const VALUES: [f64; 3] = [1.8, 1.2, 0.9];

#[test]
fn every_fit_finds_the_tensor_of_signals_without_noise() {
    let encodings = encodings(12, 500.0);
    let plan = TensorPlan::new(&encodings).expect("enough directions");
    let axes = WallAxes::of_short_axis(0.3, -1.0);
    let truth = tensor(&axes, 37.0, 52.0, VALUES);
    let signals = signals(&encodings, truth, 800.0);
    for method in [
        FitMethod::Linear,
        FitMethod::Weighted { reweightings: 2 },
        FitMethod::NonLinear,
        FitMethod::Robust { noise_sd: 5.0 },
    ] {
        let fit = plan.fit_pixel(&signals, method).expect("signal");
        for (found, expected) in fit.tensor.iter().zip(truth) {
            assert!((found - expected).abs() < 1e-12 * 1.8, "{method:?}: {found} {expected}");
        }
        assert!((fit.s0 / 800.0 - 1.0).abs() < 1e-12);
        assert!(fit.n_used == 13);
        let angles = fibre_angles(&eigen(&fit.tensor), &axes);
        assert!((angles.helix_deg - 37.0).abs() < 1e-9, "{angles:?}");
        assert!((angles.e2_deg - 52.0).abs() < 1e-9, "{angles:?}");
        assert!(angles.transverse_deg.abs() < 1e-9);
    }
}

#[test]
fn the_fast_fit_of_all_pixels_is_that_of_each() {
    let encodings = encodings(30, 450.0);
    let plan = TensorPlan::new(&encodings).expect("enough directions");
    // More pixels than a block, some of them without signal, one that is no number.
    let n_pixels = 1100;
    let images = Array2::from_shape_fn((31, n_pixels), |(image, pixel)| {
        let tilt = pixel as f64;
        let axes = WallAxes::of_short_axis((0.1 * tilt).cos(), (0.1 * tilt).sin());
        let truth = tensor(&axes, 60.0 - 0.1 * tilt, 30.0, VALUES);
        let noise = ((image * n_pixels + pixel) as f64 * 0.7311).sin();
        let signal = signals(&encodings[image..=image], truth, 300.0)[0] + 8.0 * noise;
        match pixel {
            7 => 0.0,
            9 => f32::NAN,
            _ => signal as f32,
        }
    });
    let fast = plan.fit_linear(images.view());
    for pixel in [0, 8, 511, 512, 1023, 1024, 1099] {
        let signals: Vec<f64> = images.column(pixel).iter().map(|v| f64::from(*v)).collect();
        let exact = plan.fit_pixel(&signals, FitMethod::Linear).expect("signal");
        let decomposed = eigen(&exact.tensor);
        for element in 0..6 {
            let error = f64::from(fast.tensor[[element, pixel]]) - exact.tensor[element];
            assert!(error.abs() < 1e-5, "pixel {pixel}: {error}");
        }
        assert!((f64::from(fast.s0[pixel]) / exact.s0 - 1.0).abs() < 1e-5);
        let mean = mean_diffusivity(&decomposed.values);
        assert!((f64::from(fast.mean_diffusivity[pixel]) - mean).abs() < 1e-5);
        let along: f64 = (0..3)
            .map(|i| f64::from(fast.eigenvectors[[i, pixel]]) * decomposed.vectors[0][i])
            .sum();
        assert!(along.abs() > 1.0 - 1e-6);
    }
    for pixel in [7, 9] {
        assert!(fast.tensor.column(pixel).iter().all(|value| *value == 0.0), "{pixel}");
    }
}

#[test]
fn a_turned_heart_has_the_same_scalars_and_angles_and_a_mirrored_one_the_other_helix() {
    let encodings = encodings(12, 500.0);
    for turn_deg in [0.0_f64, 30.0, 111.0, 250.0] {
        let turn = turn_deg.to_radians();
        // The heart turns, the gradients stay.
        let axes = WallAxes::of_short_axis((0.4 + turn).cos(), (0.4 + turn).sin());
        let plan = TensorPlan::new(&encodings).expect("enough directions");
        let signals = signals(&encodings, tensor(&axes, -42.0, 35.0, VALUES), 100.0);
        let fit = plan.fit_pixel(&signals, FitMethod::NonLinear).expect("signal");
        let decomposed = eigen(&fit.tensor);
        let angles = fibre_angles(&decomposed, &axes);
        assert!((mean_diffusivity(&decomposed.values) - 1.3).abs() < 1e-9);
        assert!((fractional_anisotropy(&decomposed.values) - 0.338_754).abs() < 1e-5);
        assert!((angles.helix_deg + 42.0).abs() < 1e-8 && (angles.e2_deg - 35.0).abs() < 1e-8);
        // The same with gradients that turn with the heart.
        let turned: Vec<_> = encodings.iter().map(|encoding| encoding.rotated(turn)).collect();
        let plan = TensorPlan::new(&turned).expect("enough directions");
        let same = WallAxes::of_short_axis(0.4_f64.cos(), 0.4_f64.sin());
        let unturned = super::tests::signals(&encodings, tensor(&same, -42.0, 35.0, VALUES), 100.0);
        let fit = plan.fit_pixel(&unturned, FitMethod::Linear).expect("signal");
        let angles = fibre_angles(&eigen(&fit.tensor), &axes);
        assert!((angles.helix_deg + 42.0).abs() < 1e-8, "{angles:?}");
        // A mirror takes x to −x: of the tensor, and of the place.
        let [xx, xy, xz, yy, yz, zz] = tensor(&same, -42.0, 35.0, VALUES);
        let mirrored = eigen(&[xx, -xy, -xz, yy, yz, zz]);
        let axes = WallAxes::of_short_axis(-0.4_f64.cos(), 0.4_f64.sin());
        let angles = fibre_angles(&mirrored, &axes);
        assert!((angles.helix_deg - 42.0).abs() < 1e-8, "{angles:?}");
        assert!((angles.e2_deg.abs() - 35.0).abs() < 1e-8, "{angles:?}");
    }
}

#[test]
fn a_robust_fit_leaves_out_what_was_lost() {
    let encodings: Vec<_> = encodings(12, 500.0).repeat(3);
    let plan = TensorPlan::new(&encodings).expect("enough directions");
    let truth = tensor(&WallAxes::of_short_axis(1.0, 0.2), 20.0, 40.0, VALUES);
    let mut signals = signals(&encodings, truth, 500.0);
    signals.iter_mut().enumerate().for_each(|(k, s)| *s += 4.0 * (k as f64 * 1.7).sin());
    signals[5] *= 0.4;
    signals[17] *= 0.5;
    let error = |method| {
        let fit = plan.fit_pixel(&signals, method).expect("signal");
        let pairs = fit.tensor.iter().zip(truth);
        (pairs.fold(0.0_f64, |worst, (a, b)| worst.max((a - b).abs())), fit.n_used)
    };
    let (plain, _) = error(FitMethod::NonLinear);
    let (robust, n_used) = error(FitMethod::Robust { noise_sd: 4.0 });
    assert!(plain > 0.1 && robust < 0.03, "{plain} {robust}");
    assert_eq!(n_used, 37);
    let (found, ratios) = outliers(&plan, &vec![signals; 20], 4.0);
    assert_eq!(found, [5, 17]);
    assert!((ratios[5] - 0.4).abs() < 0.03, "{}", ratios[5]);
}

#[test]
fn weightings_that_tell_no_tensor_are_refused() {
    assert_eq!(TensorPlan::new(&encodings(5, 500.0)).err(), Some(EncodingError::TooFew(6)));
    let few: Vec<_> = encodings(4, 500.0).repeat(4);
    assert_eq!(TensorPlan::new(&few).err(), Some(EncodingError::Rank { n_images: 20, rank: 5 }));
    let one_shell = &encodings(12, 500.0)[1..];
    assert_eq!(
        TensorPlan::new(one_shell).err(),
        Some(EncodingError::Rank { n_images: 12, rank: 6 })
    );
    let mut broken = encodings(12, 500.0);
    broken[3] = BMatrix::along(500.0, [f64::NAN, 0.0, 0.0]);
    assert_eq!(TensorPlan::new(&broken).err(), Some(EncodingError::NotFinite(4)));
    let mut none = encodings(12, 500.0);
    none[3] = BMatrix::along(500.0, [0.0; 3]);
    assert_eq!(TensorPlan::new(&none).err(), Some(EncodingError::NotFinite(4)));
}

#[test]
fn the_uncertainty_is_the_scatter_of_fits_to_noise() {
    let encodings: Vec<_> = encodings(12, 500.0).repeat(4);
    let plan = TensorPlan::new(&encodings).expect("enough directions");
    let axes = WallAxes::of_short_axis(1.0, 0.0);
    let clean = signals(&encodings, tensor(&axes, 30.0, 45.0, VALUES), 100.0);
    let mut state = 1_u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    // Sums of twelve: a standard deviation of 1, times 3.
    let mut noise = || 3.0 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0);
    let mut found: Vec<[f64; 3]> = Vec::new();
    let mut told = [0.0; 3];
    const N: usize = 400;
    for _ in 0..N {
        let noisy: Vec<f64> = clean.iter().map(|signal| signal + noise()).collect();
        let fit = plan.fit_pixel(&noisy, FitMethod::NonLinear).expect("signal");
        let decomposed = eigen(&fit.tensor);
        let variance = fit.squares / (noisy.len() - 7) as f64;
        let sd = uncertainty(&plan, &fit, &decomposed, Some(&axes), variance).expect("a fit");
        let sds = [sd.mean_diffusivity, sd.fractional_anisotropy, sd.helix_deg];
        told.iter_mut().zip(sds).for_each(|(told, sd)| *told += sd / N as f64);
        found.push([
            mean_diffusivity(&decomposed.values),
            fractional_anisotropy(&decomposed.values),
            fibre_angles(&decomposed, &axes).helix_deg,
        ]);
    }
    for value in 0..3 {
        let mean = found.iter().map(|f| f[value]).sum::<f64>() / N as f64;
        let sd = (found.iter().map(|f| (f[value] - mean).powi(2)).sum::<f64>() / N as f64).sqrt();
        // Standard error of a standard deviation of 400: 3.5 %.
        assert!((told[value] / sd - 1.0).abs() < 0.15, "{value}: {} {sd}", told[value]);
    }
}

/// A ring of fibres on 96 × 96 pixels: mask, then helix angle.
fn ring(center: [f64; 2]) -> (Array2<bool>, Array2<f32>) {
    let depth =
        |(y, x): (usize, usize)| ((y as f64 - center[0]).hypot(x as f64 - center[1]) - 10.0) / 8.0;
    let mask = Array2::from_shape_fn((96, 96), |place| (0.0..=1.0).contains(&depth(place)));
    (mask, Array2::from_shape_fn((96, 96), |place| (60.0 - 120.0 * depth(place)) as f32))
}

#[test]
fn a_ring_has_a_centre_axes_depth_and_slope() {
    let center = [45.3, 52.1];
    let (mask, helix) = ring(center);
    let wall = Wall::from_mask(mask.view(), [2.5, 2.5]).expect("a ring");
    assert!((wall.center_px[0] - center[0]).abs() < 0.2, "{:?}", wall.center_px);
    assert!((wall.center_px[1] - center[1]).abs() < 0.2);
    assert!((wall.thickness_mm() / 20.0 - 1.0).abs() < 0.1, "{}", wall.thickness_mm());
    for ((y, x), _) in mask.indexed_iter().filter(|(_, is_wall)| **is_wall) {
        let expected = WallAxes::of_short_axis(x as f64 - center[1], y as f64 - center[0]);
        let along: f64 = (0..3).map(|i| expected.radial[i] * wall.axes(y, x).radial[i]).sum();
        assert!(along > 4.0_f64.to_radians().cos(), "{y} {x}: {along}");
    }
    let slopes = helix_slope_percent(&wall, helix.view(), &SlopeOptions::default());
    assert_eq!(slopes.len(), 12);
    for slope in slopes {
        assert!((slope.expect("a line") - 1.2).abs() < 0.15, "{slope:?}");
    }
    // Half of a ring is none.
    let mut half = mask.clone();
    half.slice_mut(ndarray::s![.., 52..]).fill(false);
    assert!(Wall::from_mask(half.view(), [2.5, 2.5]).is_err());
    assert_eq!(
        Wall::from_mask(Array2::from_elem((9, 9), false).view(), [1.0; 2]).err(),
        Some(WallError::TooFewPixels(0))
    );
}

#[test]
fn the_wall_is_found_as_fibres_around_blood_and_nothing_where_there_are_none() {
    let center = [40.0, 55.0];
    let (mask, _) = ring(center);
    let inside = |y: usize, x: usize| (y as f64 - center[0]).hypot(x as f64 - center[1]) < 10.0;
    let s0 = Array2::from_elem((96, 96), 100.0_f32);
    let md = Array2::from_shape_fn((96, 96), |(y, x)| {
        if inside(y, x) {
            3.0
        } else if mask[[y, x]] {
            1.3
        } else {
            1.5
        }
    });
    let fa = mask.mapv(|is_wall| if is_wall { 0.35_f32 } else { 0.08 });
    let wall = find_wall(s0.view(), md.view(), fa.view(), [2.5, 2.5]).expect("a wall");
    let both = wall.mask.iter().zip(&mask).filter(|(a, b)| **a && **b).count();
    let sum = wall.mask.iter().filter(|m| **m).count() + mask.iter().filter(|m| **m).count();
    assert!(2.0 * both as f64 / sum as f64 > 0.85, "{}", 2.0 * both as f64 / sum as f64);
    let flat = Array2::from_elem((96, 96), 1.3_f32);
    let result = find_wall(s0.view(), flat.view(), fa.mapv(|_| 0.1).view(), [2.5, 2.5]);
    assert_eq!(result.err(), Some(WallError::NotFound));
}

/// A heart with fibres in a body, each image moved and turned: images, motions.
fn moved_heart(encodings: &[BMatrix], motion: impl Fn(usize) -> [f64; 3]) -> ndarray::Array3<f32> {
    ndarray::Array3::from_shape_fn((encodings.len(), 64, 64), |(image, y, x)| {
        let [dy, dx, angle] = motion(image);
        let (sin, cos) = angle.sin_cos();
        // Where the image shows what the heart at rest has here.
        let (v, u) = (y as f64 - 32.0 - dy, x as f64 - 32.0 - dx);
        let (u, v) = (cos * u + sin * v, cos * v - sin * u);
        let radius = u.hypot(1.3 * v).max(1e-6);
        let soft = |edge: f64| 1.0 / (1.0 + (2.0 * (radius - edge)).exp());
        let wall_share = soft(17.0) - soft(9.0);
        let axes = WallAxes::of_short_axis(u + 1e-9, 1.69 * v);
        let local = tensor(&axes, 60.0 - 15.0 * (radius - 9.0), 40.0, VALUES);
        // The tensor turns with the heart: so does the weighting, the other way.
        let weighting = encodings[image].rotated(-angle);
        let wall = signals(&[weighting], local, 100.0)[0];
        let b = 1e-3 * encodings[image].b_value_s_per_mm2();
        let blood = 160.0 * (-3.0 * b).exp();
        (wall_share * wall + soft(9.0) * blood + 15.0) as f32
    })
}

#[test]
fn motion_that_was_made_is_found_and_undone_with_its_rotation() {
    let encodings: Vec<_> = encodings(12, 450.0).repeat(2);
    let motion = |image: usize| {
        let t = image as f64;
        if image == 0 {
            [0.0; 3]
        } else {
            [2.5 * (1.3 * t).sin(), 3.0 * (0.7 * t).cos(), 0.06 * t.sin()]
        }
    };
    let images = moved_heart(&encodings, motion);
    let plan = TensorPlan::new(&encodings).expect("enough directions");
    let options = MotionOptions {
        center_px: [32.0, 32.0],
        radius_px: 26.0,
        max_displacement_px: 8.0,
        max_angle_rad: 0.2,
        is_deformable: true,
    };
    let found = register_diffusion(images.view(), &plan, &options);
    // The pose that is kept is the mean one: differences between images count.
    let n = found.rigid.len() as f64;
    let mean = |of: &dyn Fn(usize) -> f64| (0..found.rigid.len()).map(of).sum::<f64>() / n;
    for part in 0..3 {
        let of = |image: usize| {
            let rigid = found.rigid[image];
            f64::from([rigid.dy_px, rigid.dx_px, rigid.angle_rad][part]) - motion(image)[part]
        };
        let offset = mean(&of);
        let errors = (0..found.rigid.len()).map(|image| (of(image) - offset).abs());
        println!("part {part}: off by {:.4} at most", errors.fold(0.0, f64::max));
        // The turn of a heart that is nearly round is hard to tell.
        let limit = if part == 2 { 0.035 } else { 0.35 };
        for image in 0..found.rigid.len() {
            let error = of(image) - offset;
            assert!(error.abs() < limit, "image {image}, part {part}: {error}");
        }
    }
    // Nothing moves where nothing moved.
    let still = moved_heart(&encodings, |_| [0.0; 3]);
    let found = register_diffusion(still.view(), &plan, &options);
    let longest = found.fields.iter().fold(0.0_f32, |longest, step| longest.max(step.abs()));
    assert!(longest < 0.3, "{longest}");
}
