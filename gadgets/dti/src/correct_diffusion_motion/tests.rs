use ndarray::Array3;
use pipeline::{Message, run_gadget};

use super::*;
use crate::test_heart::{self, encodings, weighted_series};

fn run(config: Config, input: ImageSeries) -> (ImageSeries, Vec<String>) {
    let (mut messages, notes) =
        run_gadget::<CorrectDiffusionMotion>(config, &Scan::default(), [input]).expect("it runs");
    let Some(Message::ImageSeries(series)) = messages.pop() else { panic!("a series") };
    (series, notes)
}

/// Relative difference of the images in the wall, root mean square.
fn difference(series: &ImageSeries, still: &Array3<f32>) -> f64 {
    let (mut squares, mut all) = (0.0, 0.0);
    for (y, x) in test_heart::wall(1.0) {
        for n in 0..still.dim().0 {
            let expected = f64::from(still[[n, y, x]]);
            squares += (f64::from(series.data[[0, 0, n, 0, 0, y, x]].re) - expected).powi(2);
            all += expected * expected;
        }
    }
    (squares / all).sqrt()
}

#[test]
fn a_heart_that_was_shifted_comes_back_to_where_the_others_are() {
    let encodings: Vec<_> = encodings(12).repeat(2);
    let still = test_heart::images(&encodings, |_| [0.0; 2]);
    // Of no mean but for one image that is where the mean is: its pose is the one that is kept.
    let shift = |n: usize| {
        let turn = std::f64::consts::TAU * (n % 13) as f64 / 12.0;
        let length = if n == 14 { 0.0 } else { 1.6 };
        [length * turn.sin(), length * turn.cos()]
    };
    let moved = weighted_series(&test_heart::images(&encodings, shift), &encodings);
    let before = difference(&moved, &still);
    let (corrected, _) = run(Config { reject: false, ..Config::default() }, moved.clone());
    assert_eq!(corrected.role, ImageRole::MotionCorrected);
    assert!(corrected.meta.iter().all(|meta| meta.get("BoresideMotionPx").is_some()));
    let after = difference(&corrected, &still);
    println!("moved {before:.3}, corrected {after:.3}");
    // A sixth of a pixel in a wall of five.
    assert!(before > 0.1 && after < 0.3 * before, "{before} {after}");
    // Asked not to, it leaves them where they are.
    let config = Config { register: false, reject: false, ..Config::default() };
    let (left, _) = run(config, moved.clone());
    assert_eq!((left.role, left.data), (ImageRole::Image, moved.data));
}

#[test]
fn images_that_lost_their_signal_are_marked_and_told() {
    let encodings: Vec<_> = encodings(12).repeat(2);
    let mut images = test_heart::images(&encodings, |_| [0.0; 2]);
    for (lost, share) in [(4, 0.5), (17, 0.6)] {
        images.index_axis_mut(Axis(0), lost).mapv_inplace(|value| share * value);
    }
    let config = Config { register: false, ..Config::default() };
    let (series, notes) = run(config.clone(), weighted_series(&images, &encodings));
    let rejected: Vec<usize> =
        (0..26).filter(|n| series.meta[*n].get(REJECTED_KEY).is_some()).collect();
    assert_eq!(rejected, [4, 17]);
    let told = notes.iter().find(|note| note.contains("2 of 26 images")).expect("it is told");
    assert!(told.contains("5 (5") && told.contains("18 (6"), "with their share: {told}");
    let whole = weighted_series(&test_heart::images(&encodings, |_| [0.0; 2]), &encodings);
    let (series, notes) = run(config, whole);
    assert!(series.meta.iter().all(|meta| meta.get(REJECTED_KEY).is_none()), "{notes:?}");
}

#[test]
fn what_cannot_be_corrected_is_refused_and_what_is_no_image_passes() {
    for config in [
        Config { max_displacement_px: 0.0, ..Config::default() },
        Config { max_rotation_deg: f32::NAN, ..Config::default() },
        Config { heart_radius_mm: -1.0, ..Config::default() },
        Config { rejection_sds: 1e9, ..Config::default() },
    ] {
        let error = CorrectDiffusionMotion::new(config, &Scan::default()).err();
        assert!(matches!(error, Some(SeriesError::Property { .. })), "{error:?}");
    }
    let images = test_heart::images(&encodings(12), |_| [0.0; 2]);
    let error = |input| {
        run_gadget::<CorrectDiffusionMotion>(Config::default(), &Scan::default(), [input]).err()
    };
    assert_eq!(error(test_heart::series(&images)), Some(SeriesError::NoWeighting));
    let few = encodings(5);
    let images_of_few = test_heart::images(&few, |_| [0.0; 2]);
    let refused = error(weighted_series(&images_of_few, &few));
    assert!(matches!(refused, Some(SeriesError::Encodings(_))), "{refused:?}");
    let map = ImageSeries { role: ImageRole::GFactor, ..test_heart::series(&images) };
    let (passed, _) = run(Config::default(), map.clone());
    assert_eq!((passed.role, passed.data), (map.role, map.data));
}
