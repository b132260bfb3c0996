//! Recorded scans against the images that Gadgetron 4.7.2 made of them with its `default.xml`.

use std::path::{Path, PathBuf};

use acquisition::{
    CollectReadouts, RemoveOversampling, SortKSpace, collect_readouts, sort_k_space,
};
use cartesian::ReconstructFft;
use image::{Extract, SplitSeries};
use ismrmrd::hdf5::FileReader;
use ismrmrd::{Image, ImageHeader};
use pipeline::{Accept, Gadget, Message, Scan, run_gadget};

/// Largest relative difference ‖ours − theirs‖ / ‖theirs‖: single precision and two transforms
/// of other libraries.
const TOLERANCE: f64 = 1e-5;

fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path)
}

/// Runs a gadget over all messages. Those that it does not take pass by it.
fn step<G: Gadget>(config: G::Config, scan: &Scan, messages: Vec<Message>) -> Vec<Message> {
    let (mut inputs, mut others) = (Vec::new(), Vec::new());
    for message in messages {
        match G::Input::accept(message) {
            Ok(input) => inputs.push(input),
            Err(other) => others.push(other),
        }
    }
    assert!(others.is_empty(), "{} takes {} only", G::NAME, G::Input::KINDS);
    let (outputs, warnings) =
        run_gadget::<G>(config, scan, inputs).unwrap_or_else(|error| panic!("{error}"));
    assert!(warnings.is_empty(), "{}: {warnings:?}", G::NAME);
    outputs
}

fn reconstruct(path: &Path) -> Vec<Image> {
    let file = FileReader::open(path).expect("the scan opens");
    let header = file.header().expect("the header reads").expect("there is a header");
    let scan = Scan::with_header(header);
    let readouts = file.acquisitions().expect("there are readouts");
    let messages = readouts.map(|readout| readout.expect("it reads").into()).collect();

    let messages = step::<RemoveOversampling>(Default::default(), &scan, messages);
    let config = collect_readouts::Config {
        trigger_dimension: Some(collect_readouts::Dimension::Repetition),
        sorting_dimension: Some(collect_readouts::Dimension::Slice),
        ..Default::default()
    };
    let messages = step::<CollectReadouts>(config, &scan, messages);
    let config = sort_k_space::Config { split_slices: true, ..Default::default() };
    let messages = step::<SortKSpace>(config, &scan, messages);
    let messages = step::<ReconstructFft>(Default::default(), &scan, messages);
    let messages = step::<SplitSeries>(Default::default(), &scan, messages);
    let messages = step::<Extract>(Default::default(), &scan, messages);
    messages
        .into_iter()
        .map(|message| match message {
            Message::Image(image) => image,
            other => panic!("{:?} came out", other.kind()),
        })
        .collect()
}

/// The header without what depends on the client and on the length of the meta attributes.
fn comparable(image: &Image) -> ImageHeader {
    ImageHeader { image_series_index: 0, attribute_string_len: 0, ..image.header }
}

fn agrees_with_gadgetron(name: &str) {
    let scan = shared(&format!("raw/{name}.h5"));
    let reference = shared(&format!("reference/gadgetron_{name}.h5"));
    if !scan.exists() || !reference.exists() {
        println!("skipped: {name} is not there");
        return;
    }
    let ours = reconstruct(&scan);
    let theirs: Vec<Image> = FileReader::open(&reference)
        .expect("the reference opens")
        .images("image_0")
        .expect("it has images")
        .collect::<Result<_, _>>()
        .expect("they read");
    assert_eq!(ours.len(), theirs.len(), "{name}: number of images");
    let (mut difference, mut energy) = (0.0, 0.0);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(comparable(ours), comparable(theirs), "{name}: headers");
        let (ours, theirs) = (ours.pixels.to_magnitude(), theirs.pixels.to_magnitude());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            difference += f64::from(ours - theirs).powi(2);
            energy += f64::from(*theirs).powi(2);
        }
    }
    let relative = (difference / energy).sqrt();
    println!("{name}: {} images, headers equal, relative difference {relative:.1e}", ours.len());
    assert!(relative < TOLERANCE, "{name}: {relative}");
}

#[test]
fn siemens_gre_of_two_channels_agrees_with_gadgetron() {
    agrees_with_gadgetron("siemens_gre_2ch");
}

#[test]
fn siemens_gre_of_two_repetitions_agrees_with_gadgetron() {
    agrees_with_gadgetron("siemens_gre_bodycoil_2rep");
}

#[test]
fn pulseq_gre_of_three_echoes_agrees_with_gadgetron() {
    agrees_with_gadgetron("pulseq_gre_3echo");
}

#[test]
fn bruker_saturation_recovery_agrees_with_gadgetron() {
    agrees_with_gadgetron("rat_saturation_recovery_10tr");
}

#[test]
fn bruker_multi_echo_agrees_with_gadgetron() {
    agrees_with_gadgetron("rat_multi_echo_15te");
}
