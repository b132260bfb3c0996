//! What follows the transform, on the simulated scanner and through whole chains.

use std::path::Path;

use acquisition::{
    AdjustNoise, CollectReadouts, CompressChannels, RemoveOversampling, SelectChannels, SortKSpace,
};
use cartesian::{
    AdjustFieldOfView, FilterKSpace, GatherReplicas, ImageToKSpace, PartialFourierFilter,
    PartialFourierPocs, PseudoReplica, ReconstructFft, ScaleSeries,
};
use image::{ComplexToFloat, ConvertToU16, FinishImages, SplitSeries};
use ismrmrd::{Image, ImageHeader, ImageType, Meta, Pixels, SamplingDescription, SamplingLimit};
use ndarray::{Array2, Array3, Array4, Axis};
use num_complex::Complex32;
use numerics::fft::Plan;
use phantom::{GradientEcho, Noise, NoiseScan, Setup, SimulatedScan, Subject};
use pipeline::chain::ChainFile;
use pipeline::{Chain, Fault, Gadget, ImageRole, ImageSeries, Message, Registry, Scan, run_gadget};
use tokio::sync::mpsc;

/// One turn of fat against water: it precesses 3.4 ppm slower, 217.1 Hz at 1.5 T.
const IN_PHASE_MS: f64 = 1000.0 / 217.1;

fn load(name: &str) -> Chain {
    let registry = Registry::new()
        .with::<AdjustFieldOfView>()
        .with::<AdjustNoise>()
        .with::<CollectReadouts>()
        .with::<ComplexToFloat>()
        .with::<CompressChannels>()
        .with::<ConvertToU16>()
        .with::<FinishImages>()
        .with::<GatherReplicas>()
        .with::<ImageToKSpace>()
        .with::<PseudoReplica>()
        .with::<ReconstructFft>()
        .with::<RemoveOversampling>()
        .with::<ScaleSeries>()
        .with::<SelectChannels>()
        .with::<SortKSpace>()
        .with::<SplitSeries>();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(name);
    let text = std::fs::read_to_string(&path).expect("the chain is there");
    let file = ChainFile::parse(name, &text).unwrap_or_else(|error| panic!("{error}"));
    Chain::check(&file, &registry).unwrap_or_else(|error| panic!("{error}"))
}

fn run_chain(name: &str, scan: &Scan, inputs: Vec<Message>) -> (Vec<Message>, Vec<Fault>) {
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
    let mut outputs = Vec::new();
    while let Some(message) = results.blocking_recv() {
        outputs.push(message);
    }
    feeder.join().expect("the feeder ends");
    let mut faults = Vec::new();
    while let Ok(fault) = reported.try_recv() {
        faults.push(fault);
    }
    (outputs, faults)
}

fn images(messages: Vec<Message>) -> Vec<Image> {
    let image = |message| match message {
        Message::Image(image) => image,
        other => panic!("{:?} came out", other.kind()),
    };
    messages.into_iter().map(image).collect()
}

fn step<G: Gadget<Input = ImageSeries>>(config: G::Config, series: ImageSeries) -> ImageSeries {
    let (mut outputs, reports) = run_gadget::<G>(config, &Scan::default(), [series])
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(reports.is_empty(), "{reports:?}");
    match outputs.remove(0) {
        Message::ImageSeries(series) => series,
        other => panic!("{:?} came out", other.kind()),
    }
}

/// A series of one image `[y, x]` whose lines from `first_line` on were acquired.
fn series(image: &Array2<Complex32>, first_line: usize) -> ImageSeries {
    let (ny, nx) = image.dim();
    let limit = |min: usize, len: usize| SamplingLimit {
        min: min as u16,
        center: (len / 2) as u16,
        max: (len - 1) as u16,
    };
    let mut data = image.clone();
    let plan = Plan::new(&[ny, nx], &[Axis(0)]);
    plan.forward(data.view_mut());
    data.slice_axis_mut(Axis(0), (..first_line).into()).fill(Complex32::ZERO);
    plan.inverse(data.view_mut());
    ImageSeries {
        role: ImageRole::Image,
        s: None,
        n: None,
        data: data.into_shape_with_order(vec![1, 1, 1, 1, 1, ny, nx]).expect("as many pixels"),
        headers: Array3::from_elem((1, 1, 1), ImageHeader::default()),
        meta: vec![Meta::new()],
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: Some(SamplingDescription {
            encoded_field_of_view_mm: [300.0, 300.0, 6.0],
            recon_field_of_view_mm: [300.0, 300.0, 6.0],
            encoded_matrix_size: [nx as u16, ny as u16, 1],
            recon_matrix_size: [nx as u16, ny as u16, 1],
            limits: [limit(0, nx), limit(first_line, ny), limit(0, 1)],
            ..SamplingDescription::default()
        }),
    }
}

fn error(series: &ImageSeries, truth: &Array2<Complex32>) -> f64 {
    let power = |values: &mut dyn Iterator<Item = Complex32>| -> f64 {
        values.map(|value| f64::from(value.norm_sqr())).sum()
    };
    let difference = power(&mut series.data.iter().zip(truth).map(|(a, b)| a - b));
    (difference / power(&mut truth.iter().copied())).sqrt()
}

#[test]
fn projections_of_three_quarters_of_the_lines_leave_less_than_half_the_error_of_zeros() {
    for subject in [Subject::SheppLogan, Subject::ShortAxis(Default::default())] {
        let name = subject.name();
        let setup = Setup {
            matrix_size: [128, 128],
            n_channels: 1,
            object_phase_rad: std::f64::consts::FRAC_PI_3,
            ..Setup::new(subject)
        };
        // Fat in phase with water: at other echo times the phase jumps where they meet.
        let sequence = GradientEcho { echo_time_ms: IN_PHASE_MS, ..GradientEcho::default() };
        let scan = SimulatedScan::new(&sequence, setup).expect("the setup fits");
        let truth = scan.object_image(0);
        let zero_filled = series(&truth, 32);
        let filled = step::<PartialFourierPocs>(Default::default(), zero_filled.clone());
        let (before, after) = (error(&zero_filled, &truth), error(&filled, &truth));
        println!("{name}: zeros {before:.4}, projections {after:.4}");
        assert!(after < 0.5 * before, "{name}: {after:.4} against {before:.4}");
    }
}

#[test]
fn unit_noise_stays_unit_noise_through_filter_and_field_of_view() {
    let mut state = 7_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    let noise = Array2::from_shape_simple_fn((120, 128), || {
        let radius = (-2.0 * uniform().ln()).sqrt();
        Complex32::from_polar(radius as f32, (std::f64::consts::TAU * uniform()) as f32)
    });
    let sd = |series: &ImageSeries| {
        let power: f32 = series.data.iter().map(|value| value.norm_sqr()).sum();
        (f64::from(power) / (2.0 * series.data.len() as f64)).sqrt()
    };
    // In units of SNR: 90 of 120 lines, scaled up.
    let mut partial = series(&noise, 30);
    partial.data.mapv_inplace(|value| value * (120.0_f32 / 90.0).sqrt());
    let sampling = partial.sampling.as_mut().expect("it is there");
    sampling.encoded_field_of_view_mm = [300.0, 360.0, 6.0];
    sampling.recon_matrix_size = [192, 160, 1];
    let tapered = step::<PartialFourierFilter>(Default::default(), partial);
    let filtered = step::<FilterKSpace>(Default::default(), tapered.clone());
    let adjusted = step::<AdjustFieldOfView>(Default::default(), filtered.clone());
    assert_eq!(adjusted.data.shape()[5..], [160, 192]);
    for (stage, series) in [("taper", &tapered), ("filter", &filtered), ("adjust", &adjusted)] {
        // 11520 samples: 0.7 %; the windows of taper and filter do not know of each other.
        let sd = sd(series);
        println!("{stage}: {sd:.4}");
        assert!((sd - 1.0).abs() < 0.04, "{stage}: {sd}");
    }
}

#[test]
fn the_pseudo_replica_chain_gives_the_noise_of_whitened_images_slice_by_slice() {
    let setup = Setup {
        matrix_size: [48, 40],
        n_channels: 4,
        n_slices: 2,
        noise: Noise::SignalToNoise(50.0),
        noise_scan: Some(NoiseScan { n_readouts: 64, sample_time_us: 5.0 }),
        ..Setup::new(Subject::SheppLogan)
    };
    let simulated = SimulatedScan::new(&GradientEcho::default(), setup).expect("the setup fits");
    let scan = Scan::with_header(simulated.header().clone());
    let readouts = simulated.acquisitions().map(Message::from).collect();
    let (outputs, faults) = run_chain("pseudoreplica.xml", &scan, readouts);
    assert_eq!(faults, []);
    let maps = images(outputs);
    assert_eq!(maps.iter().map(|map| map.header.slice).collect::<Vec<_>>(), [0, 1]);
    for map in &maps {
        assert_eq!(map.image_type(), Some(ImageType::Magnitude));
        let truth = simulated.object_image(usize::from(map.header.slice));
        let sd = map.pixels.to_magnitude();
        let bright: Vec<f32> = sd
            .iter()
            .zip(&truth)
            .filter(|(_, truth)| truth.norm() > 0.15)
            .map(|(sd, _)| *sd)
            .collect();
        let mean = bright.iter().sum::<f32>() / bright.len() as f32;
        // A root sum of squares with signal varies as one part of the noise does, which is 1
        // after whitening.
        assert!(bright.len() > 200 && (mean - 1.0).abs() < 0.03, "{mean} of {}", bright.len());
    }
}

fn client_image(image_type: ImageType) -> Image {
    let header = ImageHeader { image_type: image_type as u16, ..ImageHeader::default() };
    let pixels = Array4::from_shape_fn((1, 1, 6, 8), |(.., y, x)| {
        Complex32::new(3.0 * x as f32, -4.0 * y as f32)
    });
    Image::new(header, Meta::new(), pixels)
}

#[test]
fn clients_send_images_and_arrays_through_the_stream_chains() {
    let scan = Scan::default();
    let inputs = vec![client_image(ImageType::Imag).into()];
    let (outputs, faults) = run_chain("stream_complex_to_float.xml", &scan, inputs);
    assert_eq!(faults, []);
    let floats = images(outputs).remove(0);
    let Pixels::F32(values) = &floats.pixels else { panic!("floats") };
    assert_eq!(values[[0, 0, 2, 5]], -8.0);

    let mut magnitude = floats.clone();
    magnitude.header.image_type = ImageType::Magnitude as u16;
    magnitude.pixels = Array4::from_elem((1, 1, 2, 2), 20_000.4_f32).into();
    let (outputs, faults) = run_chain("stream_float_to_short.xml", &scan, vec![magnitude.into()]);
    assert_eq!(faults, []);
    let integers = images(outputs).remove(0);
    assert_eq!(integers.pixels, Array4::from_elem((1, 1, 2, 2), 20_000_u16).into());

    let array = series(&Array2::from_elem((4, 4), Complex32::new(0.0, 2.0)), 0);
    let (outputs, faults) =
        run_chain("stream_image_array_scaling.xml", &scan, vec![array.clone().into()]);
    assert_eq!(faults, []);
    let [Message::ImageSeries(scaled)] = &outputs[..] else { panic!("one series") };
    assert_eq!(scaled.data[[0, 0, 0, 0, 0, 1, 1]], Complex32::new(0.0, 20.0));
    assert_eq!(scaled.meta[0].get("GADGETRON_ImageComment"), Some("x10"));

    let (outputs, faults) = run_chain("stream_image_array_split.xml", &scan, vec![array.into()]);
    assert_eq!(faults, []);
    assert_eq!(images(outputs).len(), 1);
}

#[test]
fn the_image_chain_gives_the_magnitude_of_k_space_as_integers() {
    let mut image = client_image(ImageType::Complex);
    image.pixels = Array4::from_elem((1, 1, 6, 8), Complex32::new(0.0, 10.0)).into();
    let (outputs, faults) =
        run_chain("Generic_Cartesian_Image_Chain_FFT.xml", &Scan::default(), vec![image.into()]);
    assert_eq!(faults, []);
    let Pixels::U16(values) = images(outputs).remove(0).pixels else { panic!("integers") };
    for ((_, _, y, x), value) in values.indexed_iter() {
        // 10 · √48 = 69.28.
        assert_eq!(*value, if (y, x) == (3, 4) { 69 } else { 0 }, "{y}, {x}");
    }
}
