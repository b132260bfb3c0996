//! What leaves the server: images that a scanner accepts, and never fewer than there are.

mod support;

use ismrmrd::wire::Message;
use ismrmrd::{Image, ImageHeader, ImageType, Meta, Pixels};
use ndarray::Array4;
use pipeline::unprocessed;
use support::{Client, TestServer, images, small_scan, texts};

/// A chain of images with these gadgets between the transform and the conversion.
fn chain(middle: &str) -> String {
    format!(
        "[[gadget]]\nuse = \"remove_oversampling\"\n[[gadget]]\nuse = \"collect_readouts\"\n\
         trigger_dimension = \"repetition\"\n[[gadget]]\nuse = \"sort_k_space\"\n[[gadget]]\n\
         use = \"reconstruct_fft\"\n{middle}"
    )
}

/// Sends a scan through a chain given as text.
fn reconstruct_with(server: &TestServer, chain: &str, n_repetitions: usize) -> Vec<Message> {
    let scan = small_scan(n_repetitions);
    let mut client = Client::open_with(server, chain, &scan.header().to_xml());
    for readout in scan.acquisitions() {
        client.send(readout);
    }
    client.send(Message::Close);
    client.read_to_close()
}

const SPLIT: &str = "[[gadget]]\nuse = \"split_series\"\n";
const EXTRACT: &str = "[[gadget]]\nuse = \"extract\"\n";
const SCALE: &str = "[[gadget]]\nuse = \"auto_scale\"\n";
const CONVERT: &str = "[[gadget]]\nuse = \"convert_to_u16\"\n";

fn fault(how: &str, after: usize) -> String {
    format!("[[gadget]]\nuse = \"inject_fault\"\nhow = \"{how}\"\nafter = {after}\n")
}

fn is_seen(image: &Image) -> bool {
    let Pixels::U16(pixels) = &image.pixels else { panic!("16-bit integers were promised") };
    pixels.iter().max().is_some_and(|peak| (64..=4095).contains(peak))
}

#[test]
fn an_image_whose_gadget_fails_is_sent_without_it_and_marked() {
    let server = TestServer::start(&[]);
    for (place, middle) in [
        ("series", [&fault("error", 1), SPLIT, EXTRACT, SCALE, CONVERT].concat()),
        ("image", [SPLIT, &fault("error", 1), EXTRACT, SCALE, CONVERT].concat()),
        ("magnitude", [SPLIT, EXTRACT, &fault("error", 1), SCALE, CONVERT].concat()),
        ("integers", [SPLIT, EXTRACT, SCALE, CONVERT, &fault("error", 1)].concat()),
    ] {
        let answer = reconstruct_with(&server, &chain(&middle), 3);
        let told = texts(&answer);
        assert_eq!(told.len(), 1, "{place}: {told:?}");
        assert!(told[0].starts_with("ERROR    session"), "{place}: {told:?}");
        assert!(told[0].contains("inject_fault, slice 0, repetition 1: "), "{place}: {told:?}");
        assert!(told[0].contains("the images go on without it"), "{place}: {told:?}");
        let images = images(answer);
        assert_eq!(images.len(), 3, "{place}");
        let marked: Vec<_> =
            images.iter().map(|image| unprocessed::is_marked(&image.meta)).collect();
        assert_eq!(marked, [false, true, false], "{place}");
        assert!(images.iter().all(is_seen), "{place}");
        let meta = &images[1].meta;
        let text = "unprocessed: inject_fault: the chain asked for a fault here";
        assert_eq!(meta.get("ImageComments"), Some(text), "{place}");
        assert_eq!(meta.get("GADGETRON_ImageComment"), Some(text), "{place}");
        assert_eq!(meta.get("SeriesDescription"), Some(text), "{place}");
        // The pixels are those of its neighbours: the object does not move.
        assert_eq!(images[1].pixels, images[0].pixels, "{place}");
        let series: Vec<_> = images.iter().map(|image| image.header.image_series_index).collect();
        assert_eq!(series, [0, 100, 0], "{place}: apart from what was processed");
    }
    server.stop();
}

#[test]
fn a_panic_in_an_image_gadget_costs_no_image() {
    let server = TestServer::start(&[]);
    let middle = [SPLIT, EXTRACT, &fault("panic", 1), SCALE, CONVERT].concat();
    let answer = reconstruct_with(&server, &chain(&middle), 4);
    let told = texts(&answer);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("panicked: the chain asked for a fault here"), "{told:?}");
    let images = images(answer);
    let marked: Vec<_> = images.iter().map(|image| unprocessed::is_marked(&image.meta)).collect();
    assert_eq!(marked, [false, true, true, true], "those after the panic leave it out, too");
    assert!(images.iter().all(is_seen));
    server.stop();
}

/// Images of a type that `convert_to_u16` has no rule for, and that no scaling has brought into
/// the range of integers.
#[test]
fn a_conversion_that_fails_still_gives_the_integers_that_the_chain_promises() {
    let server = TestServer::start(&[]);
    let chain = format!("input = [\"image\"]\n{SCALE}{CONVERT}");
    let header = small_scan(1).header().to_xml();
    let mut client = Client::open_with(&server, &chain, &header);
    let pixels = Array4::from_shape_fn((1, 1, 4, 4), |(.., y, x)| (4 * y + x) as f32 * 1e-6);
    let mut image = Image::new(good_header(), Meta::new(), pixels);
    image.header.image_type = 77;
    client.send(image);
    client.send(Message::Close);
    let answer = client.read_to_close();
    assert!(texts(&answer)[0].contains("the image type 77"), "{:?}", texts(&answer));
    let images = images(answer);
    assert_eq!(images.len(), 1);
    assert!(is_seen(&images[0]));
    assert!(images[0].meta.values("ImageComments")[1].starts_with("scaled by 2.73"));
    server.stop();
}

fn good_header() -> ImageHeader {
    ImageHeader {
        field_of_view: [300.0, 300.0, 8.0],
        read_dir: [1.0, 0.0, 0.0],
        phase_dir: [0.0, 1.0, 0.0],
        slice_dir: [0.0, 0.0, 1.0],
        image_type: ImageType::Magnitude as u16,
        image_index: 1,
        ..ImageHeader::default()
    }
}

#[test]
fn images_that_break_a_scanners_rules_are_put_right_and_each_rule_is_told_once() {
    let server = TestServer::start(&[]);
    let chain = "input = [\"image\"]\n[[gadget]]\nuse = \"finish_images\"\n";
    let mut client = Client::open_with(&server, chain, &small_scan(1).header().to_xml());
    let pixels = Array4::from_elem((1, 1, 4, 4), 7_u16);
    for _ in 0..3 {
        let mut image = Image::new(good_header(), Meta::new(), pixels.clone());
        image.header.position = [0.0, f32::NAN, 0.0];
        image.header.read_dir = [1.01, 0.0, 0.0];
        image.meta.set("WindowCenter", "100.4");
        client.send(image);
    }
    client.send(Message::Close);
    let answer = client.read_to_close();
    let told = texts(&answer);
    for word in
        ["the centre of an image", "not exactly unit vectors", "the same number", "a window"]
    {
        let n = told.iter().filter(|text| text.contains(word)).count();
        assert_eq!(n, 1, "{word}: {told:?}");
    }
    let images = images(answer);
    let numbers: Vec<_> = images.iter().map(|image| image.header.image_index).collect();
    assert_eq!(numbers, [1, 2, 3]);
    for image in &images {
        assert_eq!(image.pixels, pixels.clone().into());
        assert_eq!({ image.header.position }, [0.0; 3]);
        assert_eq!({ image.header.read_dir }, [1.0, 0.0, 0.0]);
        assert_eq!(image.meta.get("WindowCenter"), Some("100"));
        assert_eq!(image.meta.get("GADGETRON_WindowCenter"), Some("100"));
    }
    server.stop();
}

#[test]
fn every_image_of_default_xml_speaks_both_vocabularies() {
    let server = TestServer::start(&[]);
    let answer = support::reconstruct(&server, "default.xml", &small_scan(2));
    assert!(texts(&answer).is_empty(), "a good scan gives no warning: {:?}", texts(&answer));
    for image in images(answer) {
        for key in ["DataRole", "GADGETRON_DataRole"] {
            assert_eq!(image.meta.get(key), Some("Image"));
        }
        let directions = [
            ("ImageRowDir", image.header.read_dir),
            ("ImageColumnDir", image.header.phase_dir),
            ("ImageSliceNormDir", image.header.slice_dir),
        ];
        for (key, direction) in directions {
            let texts = direction.map(|value| format!("{:.18}", f64::from(value)));
            assert_eq!(image.meta.values(key), texts);
        }
    }
    server.stop();
}
