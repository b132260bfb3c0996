//! Whole chains from `config/` on the simulated scanner, whose answers are known.

use std::path::Path;

use acquisition::{
    AdjustAsymmetricEcho, AdjustNoise, CollectReadouts, Discard, InjectFault, Passthrough,
    RemoveOversampling, SaveData, SortKSpace,
};
use cartesian::ReconstructFft;
use image::{
    AutoScale, ComplexToFloat, ConvertToI16, ConvertToI32, ConvertToU16, ConvertToU32,
    DescribeImages, Extract, FinishImages, InvertContrast, Scale, SplitSeries,
};
use ismrmrd::{Image, ImageType, Pixels};
use ndarray::{Array2, Array3, Axis};
use num_complex::Complex64;
use phantom::{GradientEcho, Noise, NoiseScan, Setup, SimulatedScan, Subject};
use pipeline::chain::ChainFile;
use pipeline::{Chain, Fault, Message, Registry, Scan};
use tokio::sync::mpsc;

fn registry() -> Registry {
    Registry::new()
        .with::<AdjustAsymmetricEcho>()
        .with::<AdjustNoise>()
        .with::<CollectReadouts>()
        .with::<Discard>()
        .with::<InjectFault>()
        .with::<Passthrough>()
        .with::<RemoveOversampling>()
        .with::<SaveData>()
        .with::<SortKSpace>()
        .with::<ReconstructFft>()
        .with::<AutoScale>()
        .with::<ComplexToFloat>()
        .with::<ConvertToI16>()
        .with::<ConvertToI32>()
        .with::<ConvertToU16>()
        .with::<ConvertToU32>()
        .with::<DescribeImages>()
        .with::<Extract>()
        .with::<FinishImages>()
        .with::<InvertContrast>()
        .with::<Scale>()
        .with::<SplitSeries>()
}

fn load(name: &str) -> Chain {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(name);
    let text = std::fs::read_to_string(&path).expect("the chain is there");
    let file = ChainFile::parse(name, &text).unwrap_or_else(|error| panic!("{error}"));
    Chain::check(&file, &registry()).unwrap_or_else(|error| panic!("{error}"))
}

fn run(name: &str, scan: &Scan, inputs: Vec<Message>) -> (Vec<Image>, Vec<Fault>) {
    let (output, mut results) = mpsc::channel(4);
    let (faults, mut reported) = mpsc::unbounded_channel();
    let (input, run) = load(name).start(scan, output, faults).expect("the chain fits the scan");
    let feeder = std::thread::spawn(move || {
        for message in inputs {
            if input.blocking_send(message).is_err() {
                break;
            }
        }
        drop(input);
        run.join();
    });
    let mut images = Vec::new();
    while let Some(message) = results.blocking_recv() {
        match message {
            Message::Image(image) => images.push(image),
            other => panic!("{:?} came out", other.kind()),
        }
    }
    feeder.join().expect("the feeder ends");
    let mut faults = Vec::new();
    while let Ok(fault) = reported.try_recv() {
        faults.push(fault);
    }
    (images, faults)
}

fn simulate(n_repetitions: usize, setup: Setup) -> (SimulatedScan, Scan, Vec<Message>) {
    let sequence = GradientEcho { n_repetitions, ..GradientEcho::default() };
    let simulated = SimulatedScan::new(&sequence, setup).expect("the setup fits");
    let scan = Scan::with_header(simulated.header().clone());
    let readouts = simulated.acquisitions().map(Message::from).collect();
    (simulated, scan, readouts)
}

/// What the channels show together: `[y, x]`.
fn root_sum_of_squares(coil_images: &Array3<num_complex::Complex32>) -> Array2<f32> {
    coil_images.map_axis(Axis(0), |channels| {
        channels.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt()
    })
}

fn magnitudes(image: &Image) -> Array2<f32> {
    assert_eq!(image.image_type(), Some(ImageType::Magnitude));
    let pixels = image.pixels.to_magnitude();
    assert_eq!((pixels.len_of(Axis(0)), pixels.len_of(Axis(1))), (1, 1));
    pixels.index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0)
}

fn relative_l2(found: &Array2<f32>, expected: &Array2<f32>) -> f64 {
    assert_eq!(found.dim(), expected.dim());
    let squares = |values: &Array2<f32>| -> f64 {
        values.iter().map(|value| f64::from(*value).powi(2)).sum()
    };
    (squares(&(found - expected)) / squares(expected)).sqrt()
}

fn small() -> Setup {
    Setup { matrix_size: [64, 48], n_channels: 4, ..Setup::new(Subject::SheppLogan) }
}

#[test]
fn the_chains_of_these_gadgets_load() {
    for name in [
        "cartesian_fft.toml",
        "default.xml",
        "default_short.xml",
        "invertcontrast.toml",
        "null.toml",
        "savedataonly.toml",
        "simplefft.toml",
    ] {
        load(name);
    }
}

#[test]
fn every_slice_and_repetition_of_the_phantom_comes_back_with_its_header() {
    let (simulated, scan, readouts) = simulate(2, Setup { n_slices: 3, ..small() });
    let (images, faults) = run("default.xml", &scan, readouts);
    assert_eq!(faults, []);
    assert_eq!(images.len(), 6);
    for (number, image) in images.iter().enumerate() {
        let (repetition, slice) = (number / 3, number % 3);
        let header = image.header;
        assert_eq!(usize::from(header.repetition), repetition);
        assert_eq!(usize::from(header.slice), slice);
        assert_eq!(usize::from(header.image_index), number + 1);
        assert_eq!({ header.field_of_view }, [300.0, 300.0, 6.0]);
        assert_eq!({ header.matrix_size }, [64, 48, 1]);
        let expected = root_sum_of_squares(&simulated.coil_images(slice));
        let error = relative_l2(&magnitudes(image), &expected);
        // Two transforms in single precision.
        assert!(error < 1e-6, "slice {slice}: {error}");
    }
}

#[test]
fn with_a_noise_scan_the_images_are_in_units_of_the_noise() {
    // Two channels that share noise. A bright pixel of √Σ|x|² varies as one component of the
    // noise does: with standard deviation 1 after whitening.
    let covariance = ndarray::arr2(&[
        [Complex64::new(1.0, 0.0), Complex64::new(0.3, 0.4)],
        [Complex64::new(0.3, -0.4), Complex64::new(2.0, 0.0)],
    ]);
    let setup = Setup {
        n_channels: 2,
        noise: Noise::Sd(0.01),
        noise_covariance: Some(covariance),
        noise_scan: Some(NoiseScan { n_readouts: 64, sample_time_us: 4.0 }),
        ..small()
    };
    let (_, scan, readouts) = simulate(2, setup);
    let (images, faults) = run("cartesian_fft.toml", &scan, readouts);
    assert_eq!(faults, []);
    let [first, second] = [0, 1].map(|n| magnitudes(&images[n]));
    let bright: Vec<f64> = first
        .iter()
        .zip(&second)
        .filter(|(a, b)| **a + **b > 20.0)
        .map(|(a, b)| f64::from(a - b))
        .collect();
    let variance = bright.iter().map(|difference| difference * difference).sum::<f64>()
        / (2.0 * bright.len() as f64);
    // Some 1000 pixels: the standard error of the deviation is 2 %; the noise scan adds 1 %.
    assert!(bright.len() > 500, "{} pixels", bright.len());
    assert!((variance.sqrt() - 1.0).abs() < 0.08, "deviation {}", variance.sqrt());
}

#[test]
fn integers_keep_the_picture() {
    let (simulated, scan, readouts) = simulate(1, small());
    let expected = root_sum_of_squares(&simulated.coil_images(0));
    for (name, largest) in [("default_short.xml", None), ("simplefft.toml", Some(4095.0))] {
        let (images, faults) = run(name, &scan, readouts.clone());
        assert_eq!(faults, []);
        let found = magnitudes(&images[0]);
        let brightest = |values: &Array2<f32>| values.iter().copied().fold(0.0, f32::max);
        if let Some(largest) = largest {
            assert_eq!(brightest(&found), largest);
        }
        // The factor is the image's own: compare at equal energy. Rounding is 0.3 of some 1000.
        let factor = found.iter().zip(&expected).map(|(a, b)| a * b).sum::<f32>()
            / expected.iter().map(|value| value * value).sum::<f32>();
        let error = relative_l2(&found, &(&expected * factor));
        assert!(error < 2e-3, "{name}: {error}");
    }
}

#[test]
fn simplefft_and_invertcontrast_speak_fires_words() {
    let (_, scan, readouts) = simulate(1, small());
    let (images, _) = run("simplefft.toml", &scan, readouts.clone());
    let [image] = &images[..] else { panic!("{} images", images.len()) };
    assert!(matches!(image.pixels, Pixels::I16(_)));
    assert_eq!(image.meta.get("DataRole"), Some("Image"));
    assert_eq!(image.meta.get("WindowCenter"), Some("2048"));
    assert_eq!(image.meta.values("ImageRowDir"), ["1", "0", "0"]);
    let (inverted, faults) = run("invertcontrast.toml", &scan, readouts);
    assert_eq!(faults, []);
    assert_eq!(inverted[0].meta.get("Keep_image_geometry"), Some("1"));
    // Turned about the centre: a pixel is that on the other side of it.
    let (inverted, upright) = (magnitudes(&inverted[0]), magnitudes(image));
    let (ny, nx) = upright.dim();
    for ((y, x), value) in inverted.indexed_iter() {
        let sum = value + upright[[(ny - y) % ny, (nx - x) % nx]];
        assert!((sum - 4095.0).abs() <= 1.0, "white for black: {sum}");
    }
}

#[test]
fn images_are_inverted_without_an_mrd_header() {
    let (_, scan, readouts) = simulate(1, small());
    let (images, _) = run("default_short.xml", &scan, readouts);
    let inputs = images.iter().cloned().map(Message::from).collect();
    let dummy = Scan { header_text: "Dummy XML header".to_owned(), ..Scan::default() };
    let (inverted, faults) = run("invertcontrast.toml", &dummy, inputs);
    assert_eq!(faults, []);
    assert_eq!({ inverted[0].header.position }, { images[0].header.position });
    let brightest = magnitudes(&images[0]).iter().copied().fold(0.0, f32::max);
    for (inverted, value) in magnitudes(&inverted[0]).iter().zip(&magnitudes(&images[0])) {
        assert!((inverted - 4095.0 * (1.0 - value / brightest)).abs() <= 0.501);
    }
}

#[test]
fn null_gives_nothing() {
    let (_, scan, readouts) = simulate(1, small());
    let (images, faults) = run("null.toml", &scan, readouts);
    assert!(images.is_empty() && faults.is_empty());
}
