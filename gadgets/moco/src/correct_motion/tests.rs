use super::*;
use ismrmrd::xml::{Header, SequenceParameters};
use ndarray::{ArrayD, IxDyn};
use pipeline::{Message, run_gadget};

const N_Y: usize = 64;
const N_X: usize = 72;
const TIMES_MS: [f64; 8] = [110.0, 1110.0, 2110.0, 3110.0, 4110.0, 190.0, 1190.0, 2190.0];

/// A heart in a body, moved by (dy, dx), after an inversion. Its phase is that of the receiver.
fn image(time_ms: f64, [dy, dx]: [f64; 2]) -> impl Fn(usize, usize) -> Complex32 {
    move |y, x| {
        let at = |cy: f64, cx: f64| (y as f64 - cy).hypot(x as f64 - cx);
        let edge = |radius: f64, distance: f64| 1.0 / (1.0 + ((distance - radius) / 0.6).exp());
        let recover = |t1_ms: f64| 1.0 - 2.0 * (-time_ms / t1_ms).exp();
        let heart = at(32.0 + dy, 36.0 + dx);
        let (blood, wall) = (edge(7.0, heart), edge(13.0, heart));
        let liver = edge(6.0, at(48.0 + dy, 22.0 + dx));
        let signal = 0.3 * recover(700.0) * (1.0 - wall) * (1.0 - liver)
            + 0.8 * recover(1100.0) * (wall - blood)
            + 1.0 * recover(1600.0) * blood
            + 0.7 * recover(500.0) * liver;
        let phase = 0.02 * y as f64 - 0.01 * x as f64;
        Complex32::new((signal * phase.cos()) as f32, (signal * phase.sin()) as f32)
    }
}

fn series(motion: impl Fn(usize) -> [f64; 2]) -> ImageSeries {
    let images: Vec<_> =
        TIMES_MS.iter().enumerate().map(|(n, time)| image(*time, motion(n))).collect();
    let shape = IxDyn(&[1, 1, TIMES_MS.len(), 1, 1, N_Y, N_X]);
    // A little noise: without any, images of four tissues at rest are made of four courses.
    let mut state = 5_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * 3e-4
    };
    ImageSeries {
        role: ImageRole::Image,
        s: None,
        n: None,
        data: ArrayD::from_shape_fn(shape, |at| {
            images[at[2]](at[5], at[6]) + Complex32::new(noise(), noise())
        }),
        headers: Array3::default((1, 1, TIMES_MS.len())),
        meta: vec![Meta::new(); TIMES_MS.len()],
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    }
}

fn scan() -> Scan {
    let ti = TIMES_MS.iter().map(|time| *time as f32).collect();
    let parameters = SequenceParameters { ti, ..Default::default() };
    Scan::with_header(Header { sequence_parameters: Some(parameters), ..Default::default() })
}

/// What comes out, and what was reported.
fn run(config: Config, series: ImageSeries) -> (Vec<ImageSeries>, Vec<String>) {
    let (outputs, reports) =
        run_gadget::<CorrectMotion>(config, &scan(), [series]).expect("it runs");
    let outputs = outputs.into_iter().map(|message| match message {
        Message::ImageSeries(series) => series,
        other => panic!("{:?} came out", other.kind()),
    });
    (outputs.collect(), reports)
}

/// Root mean square difference of the images from those without motion, around the heart.
fn error(series: &ImageSeries) -> f64 {
    let mut sum = 0.0;
    for (n, time) in TIMES_MS.iter().enumerate() {
        let truth = image(*time, [0.0; 2]);
        for y in 14..50 {
            for x in 18..54 {
                sum += f64::from((series.data[[0, 0, n, 0, 0, y, x]] - truth(y, x)).norm_sqr());
            }
        }
    }
    (sum / (36.0 * 36.0 * TIMES_MS.len() as f64)).sqrt()
}

fn without_network() -> Config {
    Config { network: String::new(), ..Config::default() }
}

#[test]
fn a_heart_that_moves_comes_to_rest_where_the_longest_time_saw_it() {
    let moving =
        series(|n| if n == 4 { [0.0; 2] } else { [(n % 3) as f64 - 1.0, 2.0 - n as f64 % 4.0] });
    let before = error(&moving);
    let (sent, reports) = run(without_network(), moving.clone());
    assert!(reports.is_empty(), "{reports:?}");
    let [original, corrected] = sent.as_slice() else { panic!("two series") };
    assert_eq!(
        (original.role, corrected.role),
        (ImageRole::Uncorrected, ImageRole::MotionCorrected)
    );
    assert_eq!(original.data, moving.data);
    let after = error(corrected);
    assert!(after < 0.3 * before, "{before} before, {after} after");
    // The reference is not sampled anew.
    let reference = |series: &ImageSeries| series.data.index_axis(Axis(2), 4).to_owned();
    assert_eq!(reference(corrected), reference(&moving));
    let meta = &corrected.meta[0];
    assert_eq!(meta.get("BoresideMotionMethod"), Some("registration without a network"));
    let longest = meta.get_f64(MOTION_PX_KEY).expect("its extent");
    assert!((1.5..4.0).contains(&longest), "{longest} px");
    let numbers = [original, corrected].map(|series| series.headers[[0, 0, 0]].image_series_index);
    assert_eq!(numbers, SERIES);
}

#[test]
fn a_heart_at_rest_is_left_alone() {
    let still = series(|_| [0.0; 2]);
    let (sent, _) = run(without_network(), still);
    assert!(error(&sent[1]) < 1e-3);
    let longest = sent[1].meta[0].get_f64(MOTION_PX_KEY).expect("its extent");
    assert!(longest < 0.1, "{longest} px");
}

/// The images as combinations of three time courses: what `reconstruct_series` leaves by `subspace`.
fn of_three_courses(mut series: ImageSeries) -> ImageSeries {
    let n = TIMES_MS.len();
    let courses = [300.0_f64, 1000.0, 2500.0]
        .map(|t1_ms| TIMES_MS.map(|time| (1.0 - 2.0 * (-time / t1_ms).exp()) as f32));
    let mut basis: Vec<Vec<f32>> = Vec::new();
    for course in courses {
        let mut course = course.to_vec();
        for other in &basis {
            let along: f32 = course.iter().zip(other).map(|(a, b)| a * b).sum();
            course.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
        let size = course.iter().map(|value| value * value).sum::<f32>().sqrt();
        course.iter_mut().for_each(|value| *value /= size);
        basis.push(course);
    }
    let whole = series.data.clone();
    for frame in 0..n {
        let mut image = ArrayD::zeros(whole.index_axis(Axis(2), frame).shape());
        for course in &basis {
            for (other, weight) in course.iter().enumerate() {
                image
                    .scaled_add((weight * course[frame]).into(), &whole.index_axis(Axis(2), other));
            }
        }
        series.data.index_axis_mut(Axis(2), frame).assign(&image);
    }
    series
}

#[test]
fn images_of_few_courses_are_not_registered_and_what_to_do_is_told() {
    let moving = of_three_courses(series(|n| [(n % 3) as f64 - 1.0, 0.0]));
    // The network is not asked: whether it is there does not matter.
    for config in [without_network(), Config::default()] {
        let (sent, reports) = run(config, moving.clone());
        assert_eq!((sent.len(), sent[0].role), (1, ImageRole::Image));
        assert_eq!(sent[0].data, moving.data);
        assert_eq!(sent[0].meta[0].get(METHOD_KEY), Some("none"));
        assert_eq!(sent[0].meta[0].get("BoresideModelFallback"), None);
        let [report] = reports.as_slice() else { panic!("{reports:?}") };
        assert!(report.contains("all 8 images are made of 3 time courses"), "{report}");
        let fault = sent[0].meta[0].get(FAULT_KEY).expect("maps say it too");
        assert!(fault.contains("motion is not corrected"), "{fault}");
    }
}

#[test]
fn a_network_that_is_not_there_is_told_and_replaced() {
    let moving = series(|n| if n == 2 { [2.0, -1.0] } else { [0.0; 2] });
    let (sent, reports) = run(Config::default(), moving.clone());
    let (without, _) = run(without_network(), moving);
    assert_eq!(sent[1].data, without[1].data);
    assert!(reports[0].contains("motion_of_series"), "{reports:?}");
    let fallback = sent[1].meta[0].get("BoresideModelFallback").expect("it is said");
    assert!(fallback.contains("registration without a network"), "{fallback}");
}

#[test]
fn images_that_hold_nothing_stay_and_disturb_no_other() {
    let mut moving = series(|n| if n == 1 { [2.0, 1.0] } else { [0.0; 2] });
    moving.data.index_axis_mut(Axis(2), 6).fill(Complex32::default());
    moving.data.index_axis_mut(Axis(2), 5).fill(Complex32::new(f32::NAN, 0.0));
    let (sent, _) = run(without_network(), moving);
    let corrected = &sent[1].data;
    assert!(corrected.index_axis(Axis(2), 6).iter().all(|value| value.norm() == 0.0));
    assert!(corrected.index_axis(Axis(2), 1).iter().all(|value| value.is_finite()));
}

#[test]
fn a_recovery_of_few_images_is_left_alone_and_says_so() {
    let mut still = series(|_| [0.0; 2]);
    still.data = still.data.slice_axis(Axis(2), ndarray::Slice::from(0..3)).to_owned();
    still.headers = Array3::default((1, 1, 3));
    still.meta.truncate(3);
    let original = still.data.clone();
    let config = Config { contrast: Contrast::Any, ..without_network() };
    let (sent, reports) = run(config, still);
    assert_eq!((sent.len(), sent[0].role), (1, ImageRole::Image));
    assert_eq!(sent[0].data, original);
    assert_eq!(sent[0].meta[0].get(METHOD_KEY), Some("none"));
    assert!(reports[0].contains("3 images are too few, 5 are needed"), "{reports:?}");
}

#[test]
fn series_of_other_kinds_pass() {
    let mut map = series(|_| [0.0; 2]);
    map.role = ImageRole::GFactor;
    let (sent, _) = run(without_network(), map);
    assert_eq!((sent.len(), sent[0].role), (1, ImageRole::GFactor));
}
