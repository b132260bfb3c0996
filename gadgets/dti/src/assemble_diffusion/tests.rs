use ismrmrd::xml::{GradientDirection, SequenceParameters, UserParameter, UserParameters};
use ismrmrd::{Header, Pixels};
use pipeline::{Message, run_gadget};

use super::*;
use crate::test_heart;

fn header(table: &[(f64, [f64; 3])]) -> Header {
    let entry = |&(b, [rl, ap, fh]): &(f64, [f64; 3])| Diffusion {
        gradient_direction: GradientDirection { rl: rl as f32, ap: ap as f32, fh: fh as f32 },
        bvalue: b as f32,
    };
    Header {
        sequence_parameters: Some(SequenceParameters {
            diffusion: table.iter().map(entry).collect(),
            ..SequenceParameters::default()
        }),
        ..Header::default()
    }
}

fn series() -> ImageSeries {
    test_heart::series(&test_heart::images(&test_heart::encodings(12), |_| [0.0; 2]))
}

fn run(
    config: Config,
    header: Option<Header>,
    inputs: impl IntoIterator<Item = SeriesOrImage>,
) -> Result<(ImageSeries, Vec<String>), Error> {
    let scan = header.map_or_else(Scan::default, Scan::with_header);
    let (mut messages, notes) = run_gadget::<AssembleDiffusion>(config, &scan, inputs)?;
    let Some(Message::ImageSeries(series)) = messages.pop() else { panic!("a series") };
    Ok((series, notes))
}

fn of_table(table: &[(f64, [f64; 3])], series: ImageSeries) -> Result<ImageSeries, Error> {
    let input = SeriesOrImage::ImageSeries(series);
    run(Config::default(), Some(header(table)), [input]).map(|(series, _)| series)
}

/// Largest difference of the weightings that were written from these, s/mm².
#[track_caller]
fn difference(series: &ImageSeries, expected: &[BMatrix]) -> f64 {
    let found = weighting::of_series(series).expect("each image has a weighting");
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected).flat_map(|(a, b)| a.0.iter().zip(b.0));
    pairs.map(|(a, b)| 1e3 * (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn each_image_gets_its_b_matrix_in_its_own_axes() {
    let gradients = test_heart::gradients(12);
    let found = of_table(&gradients, series()).expect("a table");
    // The header has single precision.
    assert!(difference(&found, &test_heart::encodings(12)) < 1e-3);
    // Rows run down the patient's left side, columns to the head: x is -y, y is z, z is -x.
    let mut turned = series();
    for header in &mut turned.headers {
        (header.read_dir, header.phase_dir) = ([0.0, -1.0, 0.0], [0.0, 0.0, 1.0]);
        // Whichever way slices are counted.
        header.slice_dir = [1.0, 0.0, 0.0];
    }
    let found = of_table(&gradients, turned).expect("a table");
    let expected: Vec<BMatrix> =
        gradients.iter().map(|&(b, [x, y, z])| BMatrix::along(b, [-y, z, -x])).collect();
    assert!(difference(&found, &expected) < 1e-3);
}

#[test]
fn weightings_come_from_properties_and_from_the_images_too() {
    let gradients = test_heart::gradients(12);
    let encodings = test_heart::encodings(12);
    let of_properties = Config {
        b_values_s_per_mm2: gradients.iter().map(|g| g.0).collect(),
        directions: gradients.iter().map(|g| g.1).collect(),
        ..Config::default()
    };
    let of_matrices = Config {
        b_matrices_s_per_mm2: encodings.iter().map(|b| b.0.map(|value| 1e3 * value)).collect(),
        ..Config::default()
    };
    for config in [of_properties, of_matrices] {
        let (found, _) =
            run(config, None, [SeriesOrImage::ImageSeries(series())]).expect("a table");
        assert!(difference(&found, &encodings) < 1e-5);
    }
    // Single images in any order, in DICOM's words; a map among them passes.
    let whole = series();
    let single = |n: usize| {
        let (b, [x, y, z]) = gradients[n];
        let pixels = whole.data.slice(s![0, 0, n, .., .., .., ..]).mapv(|value| value.re);
        let mut meta = Meta::new();
        meta.set("DiffusionBValue", b);
        if b > 0.0 {
            meta.set("DiffusionGradientOrientation", format!("{x}\\{y}\\{z}"));
        }
        SeriesOrImage::Image(Image::new(whole.headers[[0, 0, n]], meta, pixels))
    };
    let (found, _) = run(Config::default(), None, (0..13).rev().map(single)).expect("attributes");
    assert!(difference(&found, &encodings) < 1e-5);
    assert_eq!(found.data, whole.data, "in the order of the counter");
}

#[test]
fn stimulated_echoes_follow_the_interval_of_r_waves() {
    let gradients = test_heart::gradients(12);
    let (delta_ms, t1_ms) = (3.0, 1000.0);
    let rr_ms = |n: usize| 800.0 + 30.0 * (n % 5) as f64;
    // What a scanner with these intervals measures.
    let actual: Vec<BMatrix> = test_heart::encodings(12)
        .into_iter()
        .enumerate()
        .map(|(n, b)| BMatrix(b.0.map(|v| v * (rr_ms(n) - 1.0) / (1000.0 - 1.0))))
        .collect();
    let still = test_heart::images(&actual, |_| [0.0; 2]);
    let mut images = still.clone();
    for (n, mut image) in images.outer_iter_mut().enumerate() {
        image.mapv_inplace(|value| value * (-rr_ms(n) / t1_ms).exp() as f32);
    }
    let mut series = test_heart::series(&images);
    for (n, header) in series.headers.iter_mut().enumerate() {
        let mut user = { header.user_int };
        user[7] = (1e3 * rr_ms(n)) as i32;
        header.user_int = user;
    }
    let mut header = header(&gradients);
    if let Some(parameters) = &mut header.sequence_parameters {
        parameters.diffusion_scheme = Some("STEAM".to_owned());
    }
    header.user_parameters = Some(UserParameters {
        user_parameter_double: vec![UserParameter::new("DiffusionGradientDuration_ms", delta_ms)],
        ..UserParameters::default()
    });
    let input = || SeriesOrImage::ImageSeries(series.clone());
    let (found, notes) = run(Config::default(), Some(header.clone()), [input()]).expect("a scan");
    assert!(notes.iter().any(|note| note.contains("800 to 920 ms")), "{notes:?}");
    assert!(difference(&found, &actual) < 1e-3);
    // One gain for all: the decay of the mean interval stays.
    let mean = (0..13).map(rr_ms).sum::<f64>() / 13.0;
    let gain = (-mean / t1_ms).exp() as f32;
    for (n, image) in still.outer_iter().enumerate() {
        let signal = found.data[[0, 0, n, 0, 0, 31, 43]].re;
        assert!((signal / (gain * image[[31, 43]]) - 1.0).abs() < 1e-5, "{n}");
    }
    // Asked not to, it leaves both alone.
    let config = Config { correct_stimulated_echo: false, ..Config::default() };
    let (found, _) = run(config, Some(header.clone()), [input()]).expect("a scan");
    assert!(difference(&found, &test_heart::encodings(12)) < 1e-3);
    // Without intervals it says so.
    series.headers.iter_mut().for_each(|header| header.user_int = [0; 8]);
    let input = SeriesOrImage::ImageSeries(series);
    let (_, notes) = run(Config::default(), Some(header), [input]).expect("a scan");
    assert!(notes.iter().any(|note| note.contains("without their intervals")), "{notes:?}");
}

#[test]
fn averages_join_the_other_images_and_blank_ones_are_left_out() {
    let encodings = test_heart::encodings(12);
    let images = test_heart::images(&encodings, |_| [0.0; 2]);
    let one = test_heart::series(&images);
    let mut two = one.clone();
    let stacked = [one.data.view(), one.data.view()];
    two.data = ndarray::concatenate(Axis(1), &stacked).expect("one shape");
    two.headers =
        Array3::from_shape_fn((1, 2, 13), |(_, _, repetition)| one.headers[[0, 0, repetition]]);
    two.meta = vec![Meta::new(); 26];
    // The second average stopped before its last image.
    two.data.slice_mut(s![0, 1, 12, .., .., .., ..]).fill(Complex32::ZERO);
    let input = SeriesOrImage::ImageSeries(two);
    let header = header(&test_heart::gradients(12));
    let (found, notes) = run(Config::default(), Some(header), [input]).expect("a table");
    assert_eq!(found.data.shape()[..3], [1, 1, 25]);
    assert!(notes.iter().any(|note| note.starts_with("1 images hold nothing")), "{notes:?}");
    let expected: Vec<BMatrix> = encodings.iter().chain(&encodings[..12]).copied().collect();
    assert!(difference(&found, &expected) < 1e-3);
}

#[test]
fn what_is_missing_or_contradicts_is_an_error_that_says_what_and_what_to_do() {
    let gradients = test_heart::gradients(12);
    let error = |table: &[(f64, [f64; 3])], series: ImageSeries| {
        let error = of_table(table, series).expect_err("no tensor can be told");
        assert!(!error.remedy().is_empty());
        error
    };
    // Nothing tells weightings.
    assert_eq!(error(&[], series()), Error::NoTable);
    // A counter beyond the table.
    assert_eq!(error(&gradients[..9], series()), Error::NotInTable { image: 10, counter: 9, n: 9 });
    // A table in another order than the images.
    let mut swapped = gradients.clone();
    swapped.swap(0, 5);
    assert!(matches!(error(&swapped, series()), Error::Dark { image: 6, b } if b == 0.0));
    // Images that say themselves that the table is wrong.
    let mut contradicting = series();
    contradicting.meta[3].set("DiffusionBValue", 150);
    assert_eq!(
        error(&gradients, contradicting),
        Error::Contradiction { image: 4, b: 500.0, own_b: 150.0 }
    );
    // Missing directions, all alike, or too few images.
    let mut alike = gradients.clone();
    alike[2..].fill(gradients[1]);
    let Error::Encodings(EncodingError::Rank { n_images, rank }) = error(&alike, series()) else {
        panic!("a tensor of one direction")
    };
    assert_eq!((n_images, rank), (13, 2));
    let few = test_heart::images(&test_heart::encodings(5), |_| [0.0; 2]);
    assert_eq!(
        error(&test_heart::gradients(5), test_heart::series(&few)),
        Error::Encodings(EncodingError::TooFew(6))
    );
    // Channels that are not one yet.
    let mut channels = series();
    let stacked = [channels.data.view(), channels.data.view()];
    channels.data = ndarray::concatenate(Axis(3), &stacked).expect("one shape");
    assert_eq!(error(&gradients, channels), Error::Channels(2));
}

#[test]
fn properties_without_sense_and_images_of_two_sizes_are_refused() {
    for (config, expected) in [
        (
            Config { b_values_s_per_mm2: vec![0.0, 500.0], ..Config::default() },
            Error::Lengths(2, 0),
        ),
        (Config { t1_ms: Some(0.0), ..Config::default() }, Error::Property("t1_ms")),
        (
            Config { assumed_rr_interval_ms: Some(f64::NAN), ..Config::default() },
            Error::Property("assumed_rr_interval_ms"),
        ),
    ] {
        let error = AssembleDiffusion::new(config, &Scan::default()).err();
        assert_eq!(error, Some(expected));
    }
    let image = |edge: usize| {
        let pixels = ndarray::Array4::<f32>::ones((1, 1, edge, edge));
        let header = ImageHeader { channels: 1, ..ImageHeader::default() };
        SeriesOrImage::Image(Image::new(header, Meta::new(), Pixels::F32(pixels)))
    };
    let error = run(Config::default(), None, [image(8), image(9)]).err();
    assert_eq!(error, Some(Error::Sizes((1, 1, 8, 8), (1, 1, 9, 9))));
}
