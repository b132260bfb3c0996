use ismrmrd::ImageHeader;
use ndarray::{ArrayD, IxDyn};
use pipeline::{Message, run_gadget};

use super::*;

const SIZE: usize = 32;
const SD: f32 = 6.0;

fn encodings() -> Vec<BMatrix> {
    let directions = (0..12).map(|k| {
        let z = (k as f64 + 0.5) / 12.0;
        let (sin, cos) = (2.4 * k as f64).sin_cos();
        let r = (1.0 - z * z).sqrt();
        BMatrix::along(500.0, [r * cos, r * sin, z])
    });
    std::iter::once(BMatrix::along(0.0, [0.0; 3])).chain(directions).collect()
}

/// A disc with a tensor that turns with the angle around its centre.
fn clean() -> Array3<f32> {
    let plan = TensorPlan::new(&encodings()).expect("a tensor");
    let values = Array2::from_shape_fn((7, SIZE * SIZE), |(value, pixel)| {
        let (y, x) = ((pixel / SIZE) as f32 - 15.5, (pixel % SIZE) as f32 - 15.5);
        let (sin, cos) = y.atan2(x).sin_cos();
        let inside = if y.hypot(x) < 12.0 { 1.0 } else { 0.2 };
        [0.9 + 0.9 * sin * sin, -0.9 * sin * cos, 0.0, 0.9 + 0.9 * cos * cos, 0.0, 0.9, inside]
            [value]
    });
    let images = plan.images_of(values.view(), 100.0);
    images.into_shape_with_order((13, SIZE, SIZE)).expect("planes")
}

fn noisy(clean: &Array3<f32>) -> Array3<f32> {
    let mut state = 11_u64;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as f64 + 0.5) / f64::from(1_u32 << 31)
    };
    clean.mapv(|value| {
        let (radius, turn) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        (value + SD * (radius * turn.cos()) as f32).hypot(SD * (radius * turn.sin()) as f32)
    })
}

fn series(images: &Array3<f32>) -> ImageSeries {
    let (n, n_y, n_x) = images.dim();
    let data = ArrayD::from_shape_fn(IxDyn(&[1, 1, n, 1, 1, n_y, n_x]), |place| {
        Complex32::from(images[[place[2], place[5], place[6]]])
    });
    let meta = encodings().into_iter().map(|encoding| {
        let mut meta = Meta::new();
        weighting::write(&mut meta, &encoding);
        meta
    });
    ImageSeries {
        role: ImageRole::Image,
        s: None,
        n: None,
        data,
        headers: Array3::from_elem((1, 1, n), ImageHeader::default()),
        meta: meta.collect(),
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    }
}

/// Root mean square of the errors inside the disc.
fn error(series: &ImageSeries, clean: &Array3<f32>) -> f32 {
    let inside = |y: usize, x: usize| (y as f32 - 15.5).hypot(x as f32 - 15.5) < 10.0;
    let of = clean.indexed_iter().filter(|((_, y, x), _)| inside(*y, *x));
    let squares: Vec<f32> = of
        .map(|((n, y, x), clean)| (series.data[[0, 0, n, 0, 0, y, x]].re - clean).powi(2))
        .collect();
    (squares.iter().sum::<f32>() / squares.len() as f32).sqrt()
}

fn run(method: DenoisingMethod, input: ImageSeries) -> (ImageSeries, usize) {
    let config = Config { method, ..Config::default() };
    let (mut messages, notes) =
        run_gadget::<DenoiseDiffusion>(config, &Scan::default(), [input]).expect("it runs");
    let Message::ImageSeries(series) = messages.remove(0) else { panic!("a series") };
    (series, notes.len())
}

#[test]
fn noise_becomes_less_and_is_estimated() {
    let clean = clean();
    let noisy = noisy(&clean);
    let sd = estimated_noise_sd(noisy.view(), 2).expect("patches fit");
    // Only 13 eigenvalues of 25 samples in each patch.
    assert!((sd / SD - 1.0).abs() < 0.15, "{sd}");
    let before = error(&series(&noisy), &clean);
    for (method, share) in [(DenoisingMethod::MpPca, 0.85), (DenoisingMethod::NonLocalMeans, 0.85)]
    {
        let (denoised, n_notes) = run(method, series(&noisy));
        let after = error(&denoised, &clean);
        assert!(after < share * before, "{method:?}: {before} {after}");
        assert_eq!(n_notes, 0);
        assert!(denoised.meta.iter().all(|meta| meta.get(METHOD_KEY).is_some()));
    }
    let (same, _) = run(DenoisingMethod::None, series(&noisy));
    assert_eq!(same.data, series(&noisy).data);
}

#[test]
fn without_a_network_mp_pca_is_used_and_a_warning_says_so() {
    let noisy = noisy(&clean());
    let (by_pca, _) = run(DenoisingMethod::MpPca, series(&noisy));
    let (instead, n_notes) = run(DenoisingMethod::Network, series(&noisy));
    assert_eq!(instead.data, by_pca.data);
    assert_eq!(instead.meta[0].get(METHOD_KEY), Some("MP-PCA"));
    assert_eq!(n_notes, 1);
}

#[test]
fn rejected_images_stay_as_they_are() {
    let noisy = noisy(&clean());
    let mut input = series(&noisy);
    input.meta[4].set(REJECTED_KEY, "12 % of the expected signal");
    let (denoised, _) = run(DenoisingMethod::MpPca, input.clone());
    let image = |series: &ImageSeries, n: usize| series.data.index_axis(Axis(2), n).to_owned();
    assert_eq!(image(&denoised, 4), image(&input, 4));
    assert_ne!(image(&denoised, 5), image(&input, 5));
}

#[test]
fn what_cannot_be_denoised_is_refused_with_what_to_do() {
    for config in [
        Config { noise_sd: Some(0.0), ..Config::default() },
        Config { noise_sd: Some(f32::NAN), ..Config::default() },
        Config { patch_radius: 0, ..Config::default() },
        Config { search_radius: 500, ..Config::default() },
    ] {
        assert!(DenoiseDiffusion::new(config, &Scan::default()).is_err());
    }
    let mut input = series(&noisy(&clean()));
    input.meta.clear();
    let run = run_gadget::<DenoiseDiffusion>(Config::default(), &Scan::default(), [input]);
    assert!(run.is_err());
}
