//! What is put into networks in chains of the real server: series with their times, images of
//! other series, tiles; and models in the server's own process.

mod support;

use ismrmrd::wire::Message;
use ismrmrd::{Image, ImageHeader, ImageType, Meta};
use ndarray::Array4;
use pipeline::unprocessed;
use support::networks::{apply, gadget, has_runtime, pixels, send, serve, untouched};
use support::onnx::{self, Folder};
use support::{Client, images, small_scan, texts};

/// The images of all repetitions in one series.
const SERIES: &str = "[[gadget]]\nuse = \"remove_oversampling\"\n[[gadget]]\n\
    use = \"collect_readouts\"\n[[gadget]]\nuse = \"sort_k_space\"\nn_dimension = \"repetition\"\n\
    [[gadget]]\nuse = \"reconstruct_fft\"\n";
const LAST: &str = "[[gadget]]\nuse = \"split_series\"\n[[gadget]]\nuse = \"extract\"\n";

/// A model of frames and their times.
fn over_times(manifest: String) -> String {
    manifest
        .replacen("role = \"image\"", "role = \"frames\"", 1)
        .replacen("\"channel\", \"y\"", "\"frame\", \"y\"", 1)
        .replacen("[\"n\", 1,", "[\"n\", \"frames\",", 1)
        .replace(
            "[[output]]",
            "[[input]]\nname = \"times\"\nrole = \"times_ms\"\naxes = [\"frame\", \"y\", \"x\"]\n\
             shape = [\"frames\", 1, 1]\n[[output]]",
        )
}

#[test]
fn a_series_goes_into_a_network_with_its_times() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    folder.put("weighted", &onnx::sum_over_times(), over_times);
    let server = serve(&folder, &[]);
    let original = untouched(&server);
    let chain = format!("{SERIES}{}{LAST}", gadget("weighted"));
    let scan = small_scan(3);
    let ask = |times_ms: &[f32]| {
        let mut header = scan.header().clone();
        let parameters = header.sequence_parameters.get_or_insert_default();
        parameters.ti = times_ms.to_vec();
        let mut client = Client::open_with(&server, &chain, &header.to_xml());
        scan.acquisitions().for_each(|readout| client.send(readout));
        client.send(Message::Close);
        client.read_to_close()
    };
    let answer = ask(&[100.0, 180.0, 1100.0]);
    assert!(texts(&answer).is_empty(), "{:?}", texts(&answer));
    let (results, sources): (Vec<_>, Vec<_>) =
        images(answer).into_iter().partition(|image| image.header.image_series_index > 1);
    assert_eq!((results.len(), sources.len()), (1, 3), "one image made of three, beside them");
    assert_eq!(results[0].meta.get("BoresideModel"), Some("weighted 1.2.3"));
    assert!(sources.iter().all(|source| pixels(source) == original));
    // The repetitions of a scan without noise are the same.
    let most = original.iter().copied().fold(0.0, f32::max);
    for (got, original) in pixels(&results[0]).iter().zip(&original) {
        assert!((got - 1380.0 * original).abs() < 1e-4 * 1380.0 * most, "{got}, {original}");
    }
    // Without a time for each image, the series goes on as it was.
    let answer = ask(&[]);
    let told = texts(&answer).join("\n");
    assert!(told.contains("apply_model") && told.contains("times"), "{told}");
    let results = images(answer);
    assert_eq!(results.len(), 3, "no image is lost");
    assert!(results.iter().all(|image| unprocessed::is_marked(&image.meta)));
    server.stop();
}

fn image(role: &str, position_mm: f32, value: f32) -> Image {
    let header = ImageHeader {
        version: 1,
        field_of_view: [32.0, 24.0, 8.0],
        position: [position_mm, 0.0, 0.0],
        read_dir: [1.0, 0.0, 0.0],
        phase_dir: [0.0, 1.0, 0.0],
        slice_dir: [0.0, 0.0, 1.0],
        image_type: ImageType::Magnitude as u16,
        image_index: 1,
        image_series_index: if role == "Image" { 1 } else { 2 },
        ..ImageHeader::default()
    };
    let pixels = Array4::from_shape_fn((1, 1, 12, 16), |(_, _, y, x)| value + (y * 16 + x) as f32);
    Image::new(header, Meta::from_iter([("GADGETRON_DataRole", role)]), pixels)
}

#[test]
fn an_image_goes_into_a_network_beside_one_of_another_series() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    folder.put("sum", &onnx::sum_of_two(), |manifest| {
        manifest.replace(
            "[[output]]",
            "[[input]]\nname = \"companion\"\nrole = \"companion\"\nseries = \"PD\"\n\
             axes = [\"batch\", \"channel\", \"y\", \"x\"]\n\
             shape = [\"n\", 1, \"height\", \"width\"]\n[[output]]",
        )
    });
    let server = serve(&folder, &[]);
    let ask = |companion: Image| {
        let header = small_scan(1).header().to_xml();
        let mut client = Client::open_with(&server, &gadget("sum"), &header);
        client.send(companion);
        client.send(image("Image", 0.0, 5.0));
        client.send(Message::Close);
        client.read_to_close()
    };
    let answer = ask(image("PD", 0.0, 1000.0));
    assert!(texts(&answer).is_empty(), "{:?}", texts(&answer));
    let results = images(answer);
    assert_eq!(results.len(), 2);
    let sums: Vec<f32> = (0..192).map(|place| 1005.0 + 2.0 * place as f32).collect();
    assert_eq!(pixels(&results[1]), sums);
    // Another slice of the body is no companion.
    let answer = ask(image("PD", 40.0, 1000.0));
    let told = texts(&answer).join("\n");
    assert!(told.contains("no image of series PD"), "{told}");
    let results = images(answer);
    assert_eq!(pixels(&results[1]), pixels(&image("Image", 0.0, 5.0)));
    assert!(unprocessed::is_marked(&results[1].meta));
    server.stop();
}

#[test]
fn a_large_image_goes_through_a_network_in_tiles_without_seams() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    folder.put("doubling", &onnx::doubling(), |manifest| {
        manifest.replace("[[output]]", "tiles = { size_px = 16, overlap_px = 4 }\n[[output]]")
    });
    let server = serve(&folder, &[]);
    let original = untouched(&server);
    let answer = send(&server, &apply("doubling"), 1);
    assert!(texts(&answer).is_empty(), "{:?}", texts(&answer));
    let results = images(answer);
    let most = original.iter().copied().fold(0.0, f32::max);
    for (got, original) in pixels(&results[0]).iter().zip(&original) {
        assert!((got - 2.0 * original).abs() <= 1e-6 * most, "{got}, {original}");
    }
    server.stop();
}

#[test]
fn a_model_in_the_servers_process_gives_the_same_and_keeps_its_time() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    folder.put("doubling", &onnx::doubling(), |manifest| manifest);
    folder
        .put("slow", &onnx::slow(), |manifest| manifest.replace("time_ms = 20000", "time_ms = 60"));
    let server = serve(&folder, &["--models-in-process"]);
    let original = untouched(&server);
    let answer = send(&server, &apply("doubling"), 1);
    assert!(texts(&answer).is_empty(), "{:?}", texts(&answer));
    let doubled: Vec<f32> = original.iter().map(|value| 2.0 * value).collect();
    assert_eq!(pixels(&images(answer)[0]), doubled);
    let answer = send(&server, &apply("slow"), 1);
    let told = texts(&answer).join("\n");
    assert!(told.contains("did not answer within 60 ms"), "{told}");
    assert_eq!(pixels(&images(answer)[0]), original);
    server.stop();
}
