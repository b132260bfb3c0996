//! Echo-planar scans through `epi.xml`: what Gadgetron 4.7.2 made of a recorded one, and trains
//! of the simulated scanner whose delays and phases are known.

use std::path::{Path, PathBuf};

use acquisition::{AdjustNoise, CollectReadouts, SortKSpace};
use cartesian::{
    CombineChannels, CompressCoils, CorrectEpiPhase, Grappa, MergeEncodingSpaces, PrepareReference,
    RegridEpi, TransformKSpace, TransformReadout,
};
use image::{AutoScale, ConvertToU16, Extract, FinishImages, SplitSeries};
use ismrmrd::hdf5::FileReader;
use ismrmrd::{Image, ImageHeader};
use ndarray::{Array2, Axis};
use phantom::{
    CalibrationLines, Encoding, EpiOptions, GradientEcho, LineOptions, Setup, SimulatedScan,
    Subject, Undersampling,
};
use pipeline::chain::ChainFile;
use pipeline::{Chain, Fault, Message, Registry, Scan, Severity};
use tokio::sync::mpsc;

/// `epi.xml`.
fn chain_text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/epi.xml");
    std::fs::read_to_string(&path).expect("the chain is there")
}

/// `epi.xml` with pixels where the image's header says.
fn exact_chain_text() -> String {
    let text = chain_text();
    let exact = text.replace(r#"value="gadgetron""#, r#"value="exact""#);
    assert_ne!(text, exact);
    exact
}

fn run(text: &str, scan: &Scan, inputs: Vec<Message>) -> (Vec<Image>, Vec<Fault>) {
    let registry = Registry::new()
        .with::<AdjustNoise>()
        .with::<AutoScale>()
        .with::<CollectReadouts>()
        .with::<CombineChannels>()
        .with::<CompressCoils>()
        .with::<ConvertToU16>()
        .with::<CorrectEpiPhase>()
        .with::<Extract>()
        .with::<FinishImages>()
        .with::<Grappa>()
        .with::<MergeEncodingSpaces>()
        .with::<PrepareReference>()
        .with::<RegridEpi>()
        .with::<SortKSpace>()
        .with::<SplitSeries>()
        .with::<TransformKSpace>()
        .with::<TransformReadout>();
    let name = if text.starts_with("<?xml") { "epi.xml" } else { "epi.toml" };
    let file = ChainFile::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
    let chain = Chain::check(&file, &registry).unwrap_or_else(|error| panic!("{error}"));
    let (output, mut results) = mpsc::channel(4);
    let (faults, mut reported) = mpsc::unbounded_channel();
    let (input, run) = chain.start(scan, output, faults).expect("the chain fits the scan");
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
    let faults = std::iter::from_fn(|| reported.try_recv().ok());
    // What is only good to know, as that there is no noise scan, is no fault.
    (images, faults.filter(|fault| fault.severity != Severity::Info).collect())
}

fn magnitudes(image: &Image) -> Array2<f32> {
    let pixels = image.pixels.to_magnitude();
    pixels.index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0)
}

fn energy(values: &Array2<f32>) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum()
}

fn product(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn relative_l2(found: &Array2<f32>, expected: &Array2<f32>) -> f64 {
    (energy(&(found - expected)) / energy(expected)).sqrt()
}

/// [`relative_l2`] after the factor that makes it least.
fn scaled_relative_l2(found: &Array2<f32>, expected: &Array2<f32>) -> f64 {
    let factor = product(found, expected) / energy(found);
    relative_l2(&(found * factor as f32), expected)
}

fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path)
}

#[test]
fn a_recorded_product_epi_agrees_with_gadgetron() {
    let scan = shared("raw/siemens_ep2d_bold_2ch.h5");
    let reference = shared("reference/gadgetron_siemens_ep2d_bold_2ch.h5");
    if !scan.exists() || !reference.exists() {
        println!("skipped: siemens_ep2d_bold_2ch is not there");
        return;
    }
    let file = FileReader::open(&scan).expect("the scan opens");
    let header = file.header().expect("the header reads").expect("there is a header");
    let readouts = file.acquisitions().expect("there are readouts");
    let readouts: Vec<Message> =
        readouts.map(|readout| readout.expect("it reads").into()).collect();
    let theirs: Vec<Image> = FileReader::open(&reference)
        .expect("the reference opens")
        .images("image_0")
        .expect("it has images")
        .collect::<Result<_, _>>()
        .expect("they read");
    let scan = Scan::with_header(header);
    let (ours, faults) = run(&chain_text(), &scan, readouts.clone());
    assert_eq!(faults, []);
    assert_eq!((ours.len(), theirs.len()), (1, 1));
    let comparable = |image: &Image| ImageHeader {
        // Gadgetron's FFT leaves the number of the measurement out.
        measurement_uid: 0,
        image_series_index: 0,
        attribute_string_len: 0,
        ..image.header
    };
    assert_eq!(comparable(&ours[0]), comparable(&theirs[0]));
    let (ours, theirs) = (magnitudes(&ours[0]), magnitudes(&theirs[0]));
    let difference = relative_l2(&ours, &theirs);
    let largest = (&ours - &theirs).iter().map(|d| d.abs()).fold(0.0, f32::max);
    println!(
        "siemens_ep2d_bold_2ch: headers equal, relative difference {difference:.1e}, largest \
         {largest} of {}",
        theirs.iter().copied().fold(0.0, f32::max)
    );
    // Both round to integers: one unit where a pixel lies between two.
    assert!(difference < 1e-3 && largest <= 1.0);

    // Pixels where the header says they are: near by, and not the same.
    let (exact, _) = run(&exact_chain_text(), &scan, readouts);
    let difference = relative_l2(&magnitudes(&exact[0]), &theirs);
    println!("siemens_ep2d_bold_2ch, pixel_grid exact: relative difference {difference:.1e}");
    assert!((0.01..0.1).contains(&difference));
}

/// A train of 96 × 80 pixels whose readouts sample half of each ramp.
const TRAIN: EpiOptions = EpiOptions {
    encoded_matrix_size: [96, 80],
    encoded_field_of_view_mm: [288.0, 240.0],
    n_samples: 192,
    dwell_time_us: 2.0,
    ramp_up_time_us: 120,
    flat_top_time_us: 264,
    ramp_down_time_us: 120,
    echo_spacing_us: 504.0,
    n_navigators: 3,
    gradient_delay_us: 0.0,
    phase_difference_rad: 0.0,
};

fn simulate(train: EpiOptions) -> (SimulatedScan, Scan, Vec<Message>) {
    simulate_lines(train, 1, LineOptions::default())
}

fn simulate_lines(
    train: EpiOptions,
    n_repetitions: usize,
    lines: LineOptions,
) -> (SimulatedScan, Scan, Vec<Message>) {
    let sequence = GradientEcho {
        n_repetitions,
        repetition_time_ms: 100.0,
        echo_time_ms: 40.0,
        encoding: Encoding::Epi(train),
        ..GradientEcho::default()
    };
    let setup = Setup {
        matrix_size: train.encoded_matrix_size,
        field_of_view_mm: train.encoded_field_of_view_mm,
        n_channels: 8,
        lines,
        ..Setup::new(Subject::SheppLogan)
    };
    let simulated = SimulatedScan::new(&sequence, setup).expect("the setup fits");
    let scan = Scan::with_header(simulated.header().clone());
    let readouts = simulated.acquisitions().map(Message::from).collect();
    (simulated, scan, readouts)
}

#[test]
fn a_simulated_train_gives_the_phantom_where_it_is() {
    let (simulated, scan, readouts) = simulate(TRAIN);
    let (images, faults) = run(&exact_chain_text(), &scan, readouts);
    assert_eq!(faults, []);
    let truth = simulated.coil_images(0).map_axis(Axis(0), |channels| {
        channels.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt()
    });
    let error = scaled_relative_l2(&magnitudes(&images[0]), &truth);
    println!("Shepp-Logan by EPI against the truth of all lines: {error:.1e}");
    // The edges of k-space are sampled, and counted, at both ends.
    assert!(error < 0.02, "{error}");
}

#[test]
fn delays_and_phases_between_the_directions_leave_no_ghost() {
    let (_, scan, perfect) = simulate(TRAIN);
    let (perfect, _) = run(&exact_chain_text(), &scan, perfect);
    let perfect = magnitudes(&perfect[0]);
    let properties = concat!(
        r#"<classname>EPICorrGadget</classname>"#,
        r#"<property name="B0CorrectionMode" value="none"/>"#,
        r#"<property name="OEPhaseCorrectionMode" value="none"/>"#
    );
    let without = exact_chain_text().replace("<classname>EPICorrGadget</classname>", properties);
    // A delay moves samples on the ramps by less than those on the flat top, which no phase across
    // the image puts right.
    for (gradient_delay_us, limit) in [(0.0, 0.01), (1.0, 0.02), (2.5, 0.05)] {
        let ghosts = EpiOptions { gradient_delay_us, phase_difference_rad: 0.7, ..TRAIN };
        let (_, scan, readouts) = simulate(ghosts);
        let (corrected, faults) = run(&exact_chain_text(), &scan, readouts.clone());
        assert_eq!(faults, []);
        let left = scaled_relative_l2(&magnitudes(&corrected[0]), &perfect);
        let (uncorrected, _) = run(&without, &scan, readouts);
        let before = scaled_relative_l2(&magnitudes(&uncorrected[0]), &perfect);
        println!(
            "ghost of {gradient_delay_us} µs and 0.7 rad: {before:.2} of the image before, \
             {left:.1e} after"
        );
        assert!(before > 0.2 && left < limit, "{gradient_delay_us} µs: {before} {left}");
    }
}

/// The middle of Gadgetron's `Generic_Cartesian_Grappa_EPI.xml`, in our words.
const GRAPPA_CHAIN: &str = r#"
[[gadget]]
use = "regrid_epi"
[[gadget]]
use = "correct_epi_phase"
[[gadget]]
use = "transform_readout"
[[gadget]]
use = "merge_encoding_spaces"
[[gadget]]
use = "collect_readouts"
trigger_dimension = "repetition"
[[gadget]]
use = "sort_k_space"
n_dimension = "repetition"
ignore_segment = true
[[gadget]]
use = "prepare_reference"
[[gadget]]
use = "compress_coils"
[[gadget]]
use = "grappa"
[[gadget]]
use = "split_series"
[[gadget]]
use = "extract"
"#;

#[test]
fn undersampled_trains_unfold_in_every_repetition() {
    // A ghost that must be corrected before lines are filled in.
    let train = EpiOptions { gradient_delay_us: 1.5, phase_difference_rad: 0.5, ..TRAIN };
    for (acceleration, limit) in [(1, 0.04), (2, 0.04), (3, 0.06)] {
        for calibration in [CalibrationLines::Separate(32), CalibrationLines::Embedded(32)] {
            let lines = LineOptions {
                undersampling: Undersampling::Regular { acceleration },
                calibration,
                ..LineOptions::default()
            };
            let (simulated, scan, readouts) = simulate_lines(train, 2, lines);
            let (images, faults) = run(GRAPPA_CHAIN, &scan, readouts);
            assert_eq!(faults, []);
            assert_eq!(images.len(), 2);
            let truth = simulated.image(0).mapv(|value| value.norm());
            for image in &images {
                let error = scaled_relative_l2(&magnitudes(image), &truth);
                println!("R = {acceleration}, {calibration:?}: {error:.3} of the truth");
                assert!(error < limit, "R = {acceleration}, {calibration:?}: {error}");
            }
        }
    }
}

#[test]
fn a_cartesian_scan_is_refused_with_what_to_do() {
    let setup = Setup { matrix_size: [16, 16], ..Setup::new(Subject::SheppLogan) };
    let simulated = SimulatedScan::new(&GradientEcho::default(), setup).expect("it fits");
    let scan = Scan::with_header(simulated.header().clone());
    let error = <RegridEpi as pipeline::Gadget>::new(Default::default(), &scan).err();
    let error = error.expect("there is no train");
    assert!(error.to_string().starts_with("the scan is cartesian"), "{error}");
    assert!(pipeline::Remedy::remedy(&error).contains("default.xml"));
}
