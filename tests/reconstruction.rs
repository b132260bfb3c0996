//! Pictures against their truth, and against what Gadgetron made of the same recordings.

mod support;

use std::path::Path;

use ismrmrd::Image;
use ismrmrd::hdf5::FileReader;
use ndarray::{Axis, s};
use phantom::{
    CalibrationLines, GradientEcho, LineOptions, Noise, NoiseScan, Setup, SimulatedScan, Subject,
    Undersampling,
};
use support::{TestServer, images, reconstruct, relative_error, run_well, shared};

#[test]
fn default_xml_gives_the_root_sum_of_squares_of_the_coil_images() {
    let server = TestServer::start(&[]);
    let setup = Setup {
        matrix_size: [96, 64],
        n_channels: 6,
        n_slices: 2,
        ..Setup::new(Subject::SheppLogan)
    };
    let sequence = GradientEcho { n_repetitions: 2, ..GradientEcho::default() };
    let scan = SimulatedScan::new(&sequence, setup).expect("a good setup");
    let answer = images(reconstruct(&server, "default.xml", &scan));
    assert_eq!(answer.len(), 4);
    for image in &answer {
        let slice = usize::from(image.header.slice);
        let coils = scan.coil_images(slice);
        let truth = coils.mapv(|pixel| pixel.norm_sqr()).sum_axis(Axis(0)).mapv(f32::sqrt);
        let pixels = image.pixels.to_magnitude();
        let error = relative_error(pixels.slice(s![0, 0, .., ..]), &truth);
        // Single precision, three transforms.
        assert!(error < 1e-5, "slice {slice}: {error}");
        assert_eq!({ image.header.matrix_size }, [96, 64, 1]);
    }
    server.stop();
}

#[test]
fn cartesian_grappa_is_closer_to_the_truth_than_gadgetrons_settings_with_few_calibration_lines() {
    let server = TestServer::start(&[]);
    let setup = Setup {
        matrix_size: [96, 96],
        n_channels: 8,
        noise: Noise::SignalToNoise(60.0),
        noise_scan: Some(NoiseScan { n_readouts: 32, sample_time_us: 5.0 }),
        lines: LineOptions {
            undersampling: Undersampling::Regular { acceleration: 4 },
            calibration: CalibrationLines::Embedded(24),
            ..LineOptions::default()
        },
        ..Setup::new(Subject::ShortAxis(Default::default()))
    };
    let scan = SimulatedScan::new(&GradientEcho::default(), setup).expect("a good setup");
    let coils = scan.coil_images(0);
    let truth = coils.mapv(|pixel| pixel.norm_sqr()).sum_axis(Axis(0)).mapv(f32::sqrt);
    let error = |chain| {
        let answer = images(reconstruct(&server, chain, &scan));
        let [image] = &answer[..] else { panic!("one image of {chain}") };
        let pixels = image.pixels.to_magnitude();
        let pixels = pixels.slice(s![0, 0, .., ..]);
        let factor = (&pixels * &truth).sum() / (&pixels * &pixels).sum();
        relative_error(&pixels.mapv(|value| value * factor), &truth)
    };
    let (ours, theirs) = (error("cartesian_grappa"), error("Generic_Cartesian_Grappa.xml"));
    // Half of it; what is left is noise and the phantom's edges.
    assert!(ours < 0.75 * theirs && ours < 0.1, "{ours} and {theirs}");
    server.stop();
}

#[test]
fn noise_comes_out_with_the_standard_deviation_of_snr_units() {
    let server = TestServer::start(&[]);
    let setup = Setup {
        matrix_size: [64, 64],
        n_channels: 2,
        // As strong as the object, whose ripples in the air around it then do not count.
        noise: Noise::Sd(1.0),
        noise_scan: Some(NoiseScan { n_readouts: 128, sample_time_us: 5.0 }),
        ..Setup::new(Subject::SheppLogan)
    };
    let chain = "[[gadget]]\nuse = \"adjust_noise\"\n[[gadget]]\nuse = \"remove_oversampling\"\n[[gadget]]\nuse = \"collect_readouts\"\ntrigger_dimension = \"repetition\"\n[[gadget]]\nuse = \"sort_k_space\"\n[[gadget]]\nuse = \"reconstruct_fft\"\n[[gadget]]\nuse = \"split_series\"\n[[gadget]]\nuse = \"extract\"\n";
    let sequence = GradientEcho { n_repetitions: 6, ..GradientEcho::default() };
    let scan = SimulatedScan::new(&sequence, setup).expect("a good setup");
    let mut client = support::Client::open_with(&server, chain, &scan.header().to_xml());
    for readout in scan.acquisitions() {
        client.send(readout);
    }
    client.send(ismrmrd::wire::Message::Close);
    let images = images(client.read_to_close());
    assert_eq!(images.len(), 6);
    // In the air around the object the mean square of a channel's real and imaginary part is 1.
    let mut powers = Vec::new();
    for image in &images {
        let pixels = image.pixels.to_magnitude();
        powers.extend(pixels.slice(s![0, 0, 0..6, ..]).iter().map(|v| f64::from(v * v) / 4.0));
    }
    let sd = (powers.iter().sum::<f64>() / powers.len() as f64).sqrt();
    assert!((sd - 1.0).abs() < 0.05, "standard deviation {sd}");
    server.stop();
}

/// Images of all series of the file, by name.
fn images_of(path: &Path, group: &str) -> Vec<Image> {
    let file = FileReader::open_group(path, group).expect("a file of images");
    let names = file.image_names().expect("readable");
    assert!(!names.is_empty(), "{} has images", path.display());
    let of = |name: &String| {
        let images = file.images(name).expect("the series is there");
        images.collect::<Result<Vec<_>, _>>().expect("readable")
    };
    names.iter().flat_map(of).collect()
}

/// The file through `default.xml`, by `replay` here and by a server, against Gadgetron's answer.
fn assert_as_gadgetron(name: &str) {
    let raw = shared(&format!("raw/{name}.h5"));
    let reference = shared(&format!("reference/gadgetron_{name}.h5"));
    let (Some(raw), Some(reference)) = (raw, reference) else { return };
    let group = FileReader::groups(&reference).expect("readable").remove(0);
    let reference = images_of(&reference, &group);
    let folder = tempfile::tempdir().expect("a folder");
    let server = TestServer::start(&[]);
    for (way, to) in [("here", vec![]), ("server", vec!["--to", server.address.as_str()])] {
        let out = folder.path().join(format!("{way}.h5"));
        let (raw, out_path) = (raw.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
        let arguments = ["replay", raw, "--chain", "default.xml", "-o", out_path, "--log", "warn"];
        run_well(&[&arguments[..], &to].concat());
        let ours = images_of(&out, "dataset");
        assert_eq!(ours.len(), reference.len(), "{name} {way}");
        let mut worst = 0.0_f64;
        for (ours, theirs) in ours.iter().zip(&reference) {
            let (a, b) = (ours.pixels.to_magnitude(), theirs.pixels.to_magnitude());
            assert_eq!(a.dim(), b.dim());
            worst = worst.max(relative_error(&a, &b));
            let mut header = ours.header;
            header.attribute_string_len = theirs.header.attribute_string_len;
            assert_eq!(header, theirs.header, "{name} {way}");
        }
        println!("{name} {way}: {} images, relative error {worst:.1e}", ours.len());
        assert!(worst < 1e-5, "{name} {way}: {worst}");
    }
    server.stop();
}

#[test]
fn siemens_gre_2ch_is_as_gadgetron_has_it() {
    assert_as_gadgetron("siemens_gre_2ch");
}

#[test]
fn siemens_gre_bodycoil_2rep_is_as_gadgetron_has_it() {
    assert_as_gadgetron("siemens_gre_bodycoil_2rep");
}

#[test]
fn pulseq_gre_3echo_is_as_gadgetron_has_it() {
    assert_as_gadgetron("pulseq_gre_3echo");
}

#[test]
fn rat_saturation_recovery_10tr_is_as_gadgetron_has_it() {
    assert_as_gadgetron("rat_saturation_recovery_10tr");
}

#[test]
fn rat_multi_echo_15te_is_as_gadgetron_has_it() {
    assert_as_gadgetron("rat_multi_echo_15te");
}

#[test]
fn chains_that_share_out_give_what_default_xml_gives() {
    let server = TestServer::start(&[]);
    let setup = Setup {
        matrix_size: [48, 32],
        n_channels: 3,
        n_slices: 3,
        ..Setup::new(Subject::SheppLogan)
    };
    let sequence = GradientEcho { n_repetitions: 2, ..GradientEcho::default() };
    let scan = SimulatedScan::new(&sequence, setup).expect("a good setup");
    let mut plain = images(reconstruct(&server, "default.xml", &scan));
    let unsorted = images(reconstruct(&server, "external_equivalent_example", &scan));
    assert_eq!(unsorted.len(), plain.len());
    plain.sort_by_key(|image| image.header.slice);
    for chain in
        ["distributed_default", "distributed_generic_default.xml", "distributed_image_default"]
    {
        let sorted = images(reconstruct(&server, chain, &scan));
        assert_eq!(sorted.len(), plain.len());
        for (number, (ours, plain)) in sorted.iter().zip(&plain).enumerate() {
            assert_eq!(ours.pixels, plain.pixels, "{chain}");
            assert_eq!({ ours.header.slice }, { plain.header.slice }, "{chain}");
            if chain != "distributed_image_default" {
                assert_eq!(usize::from(ours.header.image_index), number + 1, "{chain}");
            }
        }
    }
    server.stop();
}

#[test]
fn the_bypass_example_gives_images_and_their_negatives_as_two_channels() {
    let server = TestServer::start(&[]);
    let setup = Setup { matrix_size: [48, 32], n_channels: 2, ..Setup::new(Subject::SheppLogan) };
    let scan = SimulatedScan::new(&GradientEcho::default(), setup).expect("a good setup");
    let plain = images(reconstruct(&server, "default.xml", &scan));
    let layered = images(reconstruct(&server, "parallel_bypass_example.xml", &scan));
    assert_eq!(layered.len(), plain.len());
    assert_eq!({ layered[0].header.channels }, 2);
    let (plain, layered) = (plain[0].pixels.to_magnitude(), layered[0].pixels.to_magnitude());
    assert_eq!(layered.index_axis(Axis(0), 0), plain.index_axis(Axis(0), 0));
    let largest = plain.iter().copied().fold(0.0, f32::max);
    for (pixel, negative) in plain.iter().zip(layered.index_axis(Axis(0), 1)) {
        assert_eq!(*negative, largest - pixel);
    }
    server.stop();
}
