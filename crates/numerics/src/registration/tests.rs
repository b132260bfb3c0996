use ndarray::{Array2, Array3, Array4, Axis, s};
use num_complex::Complex32;

use super::*;

const SHAPE: (usize, usize) = (96, 80);
const TIMES_MS: [f64; 8] = [110.0, 190.0, 900.0, 1000.0, 1700.0, 1800.0, 2500.0, 3300.0];

/// A number from −0.5 to 0.5 that follows from its place alone.
fn uniform(place: u64) -> f32 {
    let mut x = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 31;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 29;
    ((x >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) as f32
}

/// Sums of twelve are normal to a per cent.
fn normal(place: u64) -> f32 {
    (0..12).map(|n| uniform(12 * place + n)).sum()
}

/// 1 inside of a soft edge.
fn inside(distance: f32) -> f32 {
    1.0 / (1.0 + (2.0 * distance).exp())
}

/// How much of chest, wall, blood, other blood and lesion a place of the heart's pose holds.
fn tissues(y: f32, x: f32) -> [f32; 5] {
    let chest = inside(y.hypot(0.9 * x) - 38.0);
    let heart = inside((y + 2.0).hypot(x + 2.0) - 24.0);
    let outer = inside(y.hypot(x) - 15.0);
    let inner = inside(y.hypot(x) - 9.0);
    let lesion = inside((y - 12.0).hypot(x) - 2.0);
    let wall = outer * (1.0 - inner);
    [chest * (1.0 - heart), wall * (1.0 - lesion), inner, heart * (1.0 - outer), wall * lesion]
}

/// Signals of a look-locker-like recovery of each tissue, two per inversion.
fn signal(tissue: usize, time_ms: f64) -> f32 {
    let (size, t1_ms) =
        [(0.9, 260.0), (0.7, 1000.0), (1.0, 1600.0), (0.95, 1500.0), (0.7, 1250.0)][tissue];
    (size * (1.0 - 1.9 * (-time_ms / t1_ms).exp())) as f32
}

/// A series whose heart is shifted by `shift` px in each frame, chest still.
fn series(shifts: &[[f32; 2]], noise_sd: f32) -> Array3<f32> {
    Array3::from_shape_fn((shifts.len(), SHAPE.0, SHAPE.1), |(frame, y, x)| {
        let place = [y as f32 - 48.0, x as f32 - 40.0];
        let [dy, dx] = shifts[frame];
        // The heart's shift fades towards the chest.
        let fade = inside((place[0].hypot(place[1]) - 30.0) / 2.0);
        let parts = tissues(place[0] - fade * dy, place[1] - fade * dx);
        let value: f32 = (0..5).map(|tissue| parts[tissue] * signal(tissue, TIMES_MS[frame])).sum();
        value + noise_sd * normal(((frame * SHAPE.0 + y) * SHAPE.1 + x) as u64)
    })
}

fn wall() -> Array2<bool> {
    Array2::from_shape_fn(SHAPE, |(y, x)| {
        let distance = (y as f32 - 48.0).hypot(x as f32 - 40.0);
        (9.0..15.0).contains(&distance)
    })
}

/// Median and largest error in the wall.
fn errors(fields: &Array4<f32>, shifts: &[[f32; 2]]) -> [f32; 2] {
    let wall = wall();
    let mut errors: Vec<f32> = Vec::new();
    for (field, [dy, dx]) in fields.axis_iter(Axis(0)).zip(shifts) {
        for ((y, x), is_wall) in wall.indexed_iter() {
            if *is_wall {
                errors.push((field[[0, y, x]] - dy).hypot(field[[1, y, x]] - dx));
            }
        }
    }
    errors.sort_by(f32::total_cmp);
    [errors[errors.len() / 2], errors[errors.len() - 1]]
}

const SHIFTS: [[f32; 2]; 8] = [
    [3.0, -2.0],
    [-2.0, 1.0],
    [0.0, 4.0],
    [1.0, -1.0],
    [-3.0, -2.0],
    [2.0, 2.0],
    [0.5, 0.0],
    [0.0, 0.0],
];

#[test]
fn known_shifts_of_the_heart_come_back_without_folds() {
    let frames = series(&SHIFTS, 0.02);
    let motion = register_series(frames.view(), &TIMES_MS, &SeriesOptions::to(7));
    let [median, largest] = errors(&motion.fields, &SHIFTS);
    // Shifts are up to 4 px; the noise of an image is 1/35 of the blood.
    assert!(median < 0.4 && largest < 1.5, "{median} {largest}");
    assert!(motion.least_jacobian > 0.0, "{}", motion.least_jacobian);
    assert!(motion.residual[1] < 0.7 * motion.residual[0], "{:?}", motion.residual);
    assert!(motion.fields.index_axis(Axis(0), 7).iter().all(|value| *value == 0.0));
}

#[test]
fn fields_that_are_nearly_right_are_refined() {
    let frames = series(&SHIFTS, 0.02);
    let start = Array4::from_shape_fn((8, 2, SHAPE.0, SHAPE.1), |(frame, component, y, x)| {
        let fade = inside(((y as f32 - 48.0).hypot(x as f32 - 40.0) - 30.0) / 2.0);
        let wave =
            ((y + 9 * frame) as f32 / 12.0).sin() + ((x + 5 * component) as f32 / 14.0).sin();
        fade * SHIFTS[frame][component] + if frame == 7 { 0.0 } else { 0.6 * wave }
    });
    let [before, _] = errors(&start, &SHIFTS);
    let motion = refine_series(frames.view(), &TIMES_MS, &SeriesOptions::to(7), start.view());
    let [median, _] = errors(&motion.fields, &SHIFTS);
    assert!(median < 0.95 * before, "{median} of {before}");
    assert!(motion.least_jacobian > 0.0);
}

#[test]
fn a_still_series_stays_still() {
    let frames = series(&[[0.0; 2]; 8], 0.035);
    let motion = register_series(frames.view(), &TIMES_MS, &SeriesOptions::to(7));
    let heart = s![.., .., 30..66, 22..58];
    let largest = motion.fields.slice(heart).iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    assert!(largest < 0.3, "{largest}");
}

#[test]
fn the_fields_are_bitwise_the_same_on_one_thread_and_on_four() {
    let frames = series(&SHIFTS, 0.02);
    let on = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
        pool.expect("threads")
            .install(|| register_series(frames.view(), &TIMES_MS, &SeriesOptions::to(7)).fields)
    };
    assert_eq!(on(1), on(4));
}

#[test]
fn a_lesion_of_three_pixels_keeps_its_contrast() {
    let frames = series(&SHIFTS, 0.01);
    let motion = register_series(frames.view(), &TIMES_MS, &SeriesOptions::to(7));
    let still = series(&[[0.0; 2]; 8], 0.0);
    let contrast = |frames: &Array3<f32>| -> f32 {
        // At 900 ms, lesion and wall on the other side.
        frames[[2, 60, 40]] - frames[[2, 36, 40]]
    };
    let warped = Array3::from_shape_fn(frames.dim(), |_| 0.0);
    let mut warped = warped;
    for (frame, mut target) in warped.axis_iter_mut(Axis(0)).enumerate() {
        let image = series(&SHIFTS, 0.0).index_axis(Axis(0), frame).mapv(Complex32::from);
        let image = BSplineImage::new(image.view());
        target.assign(&image.warped(motion.fields.index_axis(Axis(0), frame)).mapv(|v| v.re));
    }
    let kept = contrast(&warped) / contrast(&still);
    assert!((0.8..1.2).contains(&kept), "{kept}");
}

#[test]
fn a_spline_goes_through_its_image_and_keeps_what_is_smooth() {
    // Cycles over 40 and 30 pixels: up to two thirds of the highest frequency.
    let waves = [(0.0, 0.0, 1.0), (3.0, -2.0, 0.5), (-9.0, 7.0, 0.3), (13.0, 10.0, 0.2)];
    let wave = |y: f32, x: f32| -> Complex32 {
        let turn = |cycles: f32, at: f32, n: f32| std::f32::consts::TAU * cycles * at / n;
        let phase = |ky, kx| turn(ky, y, 40.0) + turn(kx, x, 30.0);
        waves.iter().map(|(ky, kx, size)| Complex32::from_polar(*size, phase(*ky, *kx))).sum()
    };
    let image = Array2::from_shape_fn((40, 30), |(y, x)| wave(y as f32, x as f32));
    let spline = BSplineImage::new(image.view());
    let at_home = spline.warped(Array3::zeros((2, 40, 30)).view());
    assert!(at_home.iter().zip(&image).all(|(a, b)| (a - b).norm() < 5e-6));
    let moved = spline.warped(Array3::from_elem((2, 40, 30), 0.4).view());
    for ((y, x), value) in moved.indexed_iter() {
        if (5..34).contains(&y) && (5..24).contains(&x) {
            let error = (value - wave(y as f32 + 0.4, x as f32 + 0.4)).norm();
            // A cubic spline on the image's own grid is off by up to 0.05 here.
            assert!(error < 3e-3, "{error} at {y}, {x}");
        }
    }
    let odd = BSplineImage::new(Array2::from_elem((1, 3), Complex32::ONE).view());
    let outside = odd.warped(Array3::from_elem((2, 1, 3), f32::NAN).view());
    assert!(outside.iter().all(|value| value.is_finite()));
}

#[test]
fn small_and_odd_series_and_pixels_that_are_no_numbers_do_no_harm() {
    for shape in [(2, 1, 1), (1, 5, 9), (3, 17, 3), (4, 16, 16)] {
        let mut frames = Array3::from_shape_fn(shape, |(n, y, x)| (n + y * x) as f32);
        frames[[0, 0, 0]] = f32::NAN;
        let times = vec![100.0; shape.0];
        for model in [TwinModel::LowRank, TwinModel::Decay] {
            let options = SeriesOptions { model, ..SeriesOptions::to(0) };
            let motion = register_series(frames.view(), &times, &options);
            assert!(motion.fields.iter().all(|value| value.is_finite()), "{shape:?} {model:?}");
        }
    }
}

#[test]
fn signs_come_from_the_phase_of_the_reference_where_images_have_one() {
    let phase = |y: usize, x: usize| Complex32::from_polar(1.0, 0.02 * (y + 2 * x) as f32);
    let images = Array3::from_shape_fn((2, 20, 20), |(n, y, x)| {
        phase(y, x) * if n == 0 { -0.5 } else { 1.0 }
    });
    let signed = signed_images(images.view(), 1);
    assert!((signed[[0, 10, 10]] + 0.5).abs() < 0.01 && (signed[[1, 10, 10]] - 1.0).abs() < 0.01);
    let own = Array3::from_shape_fn((2, 20, 20), |(n, y, x)| {
        if n == 0 { Complex32::new(0.0, 0.5) * phase(y, x) } else { phase(y, x) }
    });
    let beside = signed_images(own.view(), 1);
    // A fifth of the energy lies beside: signs still count.
    assert!(beside[[0, 10, 10]].abs() < 0.05);
    let noise = Array3::from_shape_fn((3, 20, 20), |(n, y, x)| {
        Complex32::from_polar(1.0, 40.0 * uniform((n * 400 + y * 20 + x) as u64))
    });
    assert!(signed_images(noise.view(), 1).iter().all(|value| (*value - 1.0).abs() < 1e-5));
}

/// T1 maps of the same hearts before or after contrast agent, of a heart that is shifted and wider.
fn t1_map(after: bool, [dy, dx]: [f32; 2], noise_ms: f32) -> Array2<f32> {
    // Chest, wall, blood, other blood, lesion.
    let t1_ms = if after {
        [280.0, 450.0, 300.0, 305.0, 380.0]
    } else {
        [260.0, 1000.0, 1600.0, 1580.0, 1150.0]
    };
    Array2::from_shape_fn(SHAPE, |(y, x)| {
        let place = [y as f32 - 48.0, x as f32 - 40.0];
        let fade = inside((place[0].hypot(place[1]) - 30.0) / 2.0);
        let parts = tissues(place[0] - fade * dy, place[1] - fade * dx);
        let whole: f32 = parts.iter().sum();
        if whole < 0.5 {
            return 0.0;
        }
        let value: f32 = parts.iter().zip(t1_ms).map(|(part, t1_ms)| part * t1_ms).sum();
        let seed = (usize::from(after) * SHAPE.0 + y) * SHAPE.1 + x;
        (value / whole + noise_ms * normal(seed as u64)).max(1.0)
    })
}

#[test]
fn maps_of_two_contrasts_find_each_other() {
    for shift in [[5.0, -3.0], [-2.0, 6.0], [0.0, 0.0]] {
        let (fixed, moving) = (t1_map(true, [0.0; 2], 15.0), t1_map(false, shift, 50.0));
        let motion = register_pair(fixed.view(), moving.view(), 16.0);
        let mut errors = Vec::new();
        for ((y, x), is_wall) in wall().indexed_iter() {
            if *is_wall {
                let error = |part: usize| motion.field[[part, y, x]] - shift[part];
                errors.push(error(0).hypot(error(1)));
            }
        }
        errors.sort_by(f32::total_cmp);
        let (median, worst) = (errors[errors.len() / 2], errors[errors.len() * 95 / 100]);
        println!("{shift:?}: {median} px, 95 % {worst} px, residual {:?}", motion.residual);
        assert!(median < 0.7 && worst < 1.7, "{shift:?}: {median} {worst}");
        assert!(least_jacobian(motion.field.view()) > 0.0);
        let [without, with] = motion.residual;
        if shift != [0.0; 2] {
            assert!(with < 0.75 * without, "{with} of {without}");
        }
        if shift == [0.0; 2] {
            assert!(worst < 0.4, "a heart that rests is moved by {worst} px");
        }
    }
}
