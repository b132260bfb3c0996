//! The simulated scanner from its command line to what comes out of a chain.

mod support;

use std::path::Path;

use ismrmrd::Image;
use ismrmrd::hdf5::FileReader;
use ismrmrd::wire::Message;
use ndarray::s;
use support::{TestServer, boreside, relative_error, run, run_well};

/// Every sequence with options that make it small, and the number of its images.
const SEQUENCES: [(&str, &[&str], usize); 12] = [
    ("gre", &["--matrix", "32x24", "--phantom", "short-axis"], 1),
    ("gre", &["--matrix", "32", "--trajectory", "radial", "--arms", "20"], 1),
    ("gre", &["--matrix", "32", "--trajectory", "spiral", "--arms", "8"], 1),
    ("gre", &["--matrix", "32", "--trajectory", "epi", "--phantom", "system-t2"], 1),
    ("cine", &["--matrix", "32x24"], 25),
    ("molli", &["--matrix", "32x24", "--phantom", "random", "--breathing", "free"], 8),
    ("sasha", &["--matrix", "32x24", "--signals", "bloch"], 10),
    ("t2", &["--matrix", "32x24", "--signals", "epg", "--waveforms"], 3),
    ("t2-star", &["--matrix", "32x24"], 8),
    ("lge", &["--matrix", "32x24", "--contrast-agent", "--lesion", "infarct@-40"], 2),
    ("cmrf", &["--matrix", "32", "--arms", "12", "--rr-variability", "0.1"], 15),
    ("dti", &["--matrix", "32", "--snr", "20"], 13),
];

fn simulate(sequence: &str, options: &[&str], scan: &Path, truth: &Path) {
    let (scan, truth) = (scan.to_str().expect("UTF-8"), truth.to_str().expect("UTF-8"));
    let common = ["--channels", "3", "-o", scan, "--truth", truth];
    run_well(&[&["simulate", sequence], options, &common].concat());
}

fn messages(path: &Path) -> Vec<Message> {
    let file = FileReader::open(path).expect("an MRD file");
    let messages = file.messages().expect("messages");
    messages.map(|message| message.expect("a message")).collect()
}

fn series(path: &Path, name: &str) -> Vec<Image> {
    let file = FileReader::open(path).expect("an MRD file");
    file.images(name).expect("the series").map(|image| image.expect("an image")).collect()
}

#[test]
fn every_sequence_makes_a_scan_and_its_truth() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (sequence, options, n_images)) in SEQUENCES.into_iter().enumerate() {
        let scan = folder.path().join(format!("{number}.h5"));
        let truth = folder.path().join(format!("{number}_truth.h5"));
        simulate(sequence, options, &scan, &truth);

        let readouts = messages(&scan);
        let n_readouts = readouts.iter().filter(|m| matches!(m, Message::Acquisition(_))).count();
        assert!(n_readouts >= 8, "{sequence} {options:?}: {n_readouts} readouts");
        let n_waveforms = readouts.iter().filter(|m| matches!(m, Message::Waveform(_))).count();
        assert_eq!(n_waveforms > 0, options.contains(&"--waveforms"));
        assert_eq!(series(&truth, "image").len(), n_images, "{sequence} {options:?}");
        assert_eq!(series(&truth, "coil_map")[0].pixels.shape()[0], 3);
        let names = FileReader::open(&truth).expect("an MRD file").image_names().expect("names");
        let has = |name: &str| names.iter().any(|other| other == name);
        let is_anatomy = sequence != "gre" || options.contains(&"--phantom");
        assert_eq!(has("t1_map_ms"), is_anatomy, "{sequence} {options:?}");
        assert_eq!(has("displacement_field_px"), ["cine", "molli", "cmrf"].contains(&sequence));
        assert_eq!(has("helix_angle_map_deg"), sequence == "dti");
        run_well(&["inspect", scan.to_str().expect("UTF-8")]);
    }
}

#[test]
fn a_reconstruction_meets_the_truth_of_a_heart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (scan, truth) = (folder.path().join("scan.h5"), folder.path().join("truth.h5"));
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let options = ["--matrix", "96x80", "--channels", "1", "--signals", "ideal"];
    let files = ["-o", &path(&scan), "--truth", &path(&truth)];
    run_well(&[&["simulate", "molli"], &options[..], &files].concat());
    let answer = folder.path().join("answer.h5");
    run_well(&["replay", &path(&scan), "--chain", "default.xml", "-o", &path(&answer)]);

    let expected = series(&truth, "object");
    let names = FileReader::open(&answer).expect("an MRD file").image_names().expect("names");
    let images: Vec<Image> = names.iter().flat_map(|name| series(&answer, name)).collect();
    assert_eq!(images.len(), 8);
    for image in &images {
        let set = image.header.set;
        let expected = expected.iter().find(|truth| truth.header.set == set).expect("the set");
        let (image, expected) = (image.pixels.to_magnitude(), expected.pixels.to_magnitude());
        let expected = expected.slice(s![0, 0, .., ..]);
        let error = relative_error(image.slice(s![0, 0, .., ..]), expected);
        // Single precision. The simulator's own acceptance is 1e-4.
        assert!(error < 2e-6, "set {set}: {error}");
    }

    // The middle of the picture is blood of the left ventricle, far from edges.
    let middle = |name: &str| {
        let image = series(&truth, name).remove(0);
        f64::from(image.pixels.to_magnitude()[[0, 0, 40, 48]])
    };
    assert_eq!(middle("left_blood_mask"), 1.0);
    let t1_ms = middle("t1_map_ms");
    assert_eq!(t1_ms, 1600.0);
    for image in &expected {
        let time_ms = image.meta.get_f64("InversionTime").expect("a time");
        let model = 35_f64.to_radians().sin() * (1.0 - 2.0 * (-time_ms / t1_ms).exp()).abs();
        let pixel = f64::from(image.pixels.to_magnitude()[[0, 0, 40, 48]]);
        // What is left there of the ringing of edges.
        assert!((pixel - model).abs() < 0.02, "{time_ms} ms: {pixel} and {model}");
    }
}

#[test]
fn options_reach_the_readouts_and_the_truth() {
    let folder = tempfile::tempdir().expect("a folder");
    let number = std::cell::Cell::new(0);
    let make = |sequence: &str, options: &[&str]| {
        number.set(number.get() + 1);
        let scan = folder.path().join(format!("{}.h5", number.get()));
        let truth = folder.path().join(format!("{}_truth.h5", number.get()));
        let options = [&["--matrix", "32x24"], options].concat();
        simulate(sequence, &options, &scan, &truth);
        (messages(&scan), truth)
    };
    let first = |messages: &[Message]| {
        let mut readouts = messages.iter().filter_map(|message| match message {
            Message::Acquisition(readout) => Some(readout.header),
            _ => None,
        });
        readouts.next().expect("a readout")
    };
    let coronal = first(&make("molli", &["--orientation", "coronal"]).0);
    assert_eq!({ coronal.phase_dir }, [0.0, 0.0, -1.0]);
    assert_eq!({ coronal.slice_dir }, [0.0, 1.0, 0.0]);
    let asymmetric = first(&make("gre", &["--asymmetric-echo", "12"]).0);
    assert_eq!(({ asymmetric.number_of_samples }, { asymmetric.center_sample }), (52, 20));

    let largest_shift = |options: &[&str]| {
        let (_, truth) = make("molli", options);
        let names = FileReader::open(&truth).expect("an MRD file").image_names().expect("names");
        if !names.iter().any(|name| name == "displacement_field_px") {
            return 0.0;
        }
        let fields = series(&truth, "displacement_field_px");
        let magnitudes = fields.iter().map(|field| field.pixels.to_magnitude());
        magnitudes.flat_map(|field| field.into_iter()).fold(0.0_f32, |far, px| far.max(px.abs()))
    };
    assert_eq!(largest_shift(&[]), 0.0);
    // 6 mm of which 12.5 mm are a pixel down the image.
    let jump = largest_shift(&["--still-heart", "--breathing", "hold", "--jump", "3000:6"]);
    assert!((0.4..0.6).contains(&jump), "{jump}");
    assert!(largest_shift(&["--beat-variability", "0.03"]) > 0.02);
    let missed = make("molli", &["--missed", "0.4", "--seed", "3"]).1;
    let regular = make("molli", &["--seed", "3"]).1;
    let times = |path: &Path| -> Vec<f64> {
        let images = series(path, "object");
        images.iter().filter_map(|image| image.meta.get_f64("InversionTime")).collect()
    };
    assert_eq!(times(&regular)[..3], [100.0, 1100.0, 2100.0]);
    assert!(times(&missed)[4] > 4101.0, "{:?}", times(&missed));
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |name: &str, threads: &str, seed: &str| {
        let path = folder.path().join(name);
        let output = boreside()
            .env("RAYON_NUM_THREADS", threads)
            .args(["simulate", "cine", "--matrix", "32x24", "--channels", "2", "--snr", "20"])
            .args(["--rr-variability", "0.1", "--breathing", "free", "--seed", seed, "-o"])
            .arg(&path)
            .output()
            .expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        messages(&path)
    };
    let one = make("one.h5", "1", "7");
    assert_eq!(one, make("four.h5", "4", "7"));
    assert_ne!(one, make("other.h5", "1", "8"));
}

#[test]
fn a_scan_is_streamed_to_a_server() {
    let server = TestServer::start(&[]);
    let table = run_well(&[
        "simulate",
        "gre",
        "--matrix",
        "32x16",
        "--channels",
        "2",
        "--waveforms",
        "--pace",
        "realtime",
        "--to",
        &server.address.to_string(),
        "--chain",
        "default.xml",
    ]);
    assert!(table.contains("32x16x1"), "{table}");
}

#[test]
fn what_makes_no_scan_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scan.h5");
    let path = path.to_str().expect("UTF-8");
    let cases: [(&[&str], &str); 36] = [
        (&["molli", "--matrix", "4"], "choose 8 to 2048"),
        (&["molli", "--channels", "0"], "choose 1 to 64"),
        (&["molli", "--order", "linear"], "too late"),
        (&["molli", "--heart-rate", "0"], "choose 30 to 170"),
        (&["molli", "--heart-rate", "NaN"], "choose 30 to 170"),
        (&["molli", "--scheme", "5(3"], "write images and pauses in turn"),
        (&["molli", "--lesion", "hole"], "KIND[@ANGLE"),
        (&["molli", "--lesion", "infarct@0:400"], "at most 360°"),
        (&["molli", "--phantom", "system-t1", "--vials"], "--phantom short-axis"),
        (&["molli", "--breathing", "hold", "--drift", "20"], "leaves its place"),
        (&["gre", "--acceleration", "4", "--calibration-lines", "0"], "calibration lines"),
        (&["gre", "--phantom", "system-t1", "--field-strength", "0.55"], "choose 1.5 or 3 T"),
        (&["dti", "--phantom", "system-t1"], "needs a heart"),
        (&["dti", "--directions", "3"], "number of directions"),
        (&["gre", "--trajectory", "radial", "--arms", "1000000000"], "choose 1 to 65536"),
        (&["gre", "--repetitions", "65536"], "readouts are more than"),
        (&["cine", "--real-time", "1000000"], "choose 1 to 65536"),
        (&["cine", "--real-time", "0"], "choose 1 to 65536"),
        (&["cine", "--lines-per-segment", "0"], "choose 1 to 65536"),
        (&["gre", "--object-phase", "nan"], "the object's phase"),
        (&["gre", "--field-of-view-mm", "1e30"], "choose 0 to 5000"),
        (&["gre", "--random-lines"], "--acceleration above 1"),
        (&["gre", "--trajectory", "spiral", "--acceleration", "2"], "straight lines"),
        (&["gre", "--trajectory", "epi", "--echo-time", "3"], "echo-planar train"),
        (&["lge", "--inversion-time", "1e6"], "choose 1 to 10000"),
        (&["molli", "--phantom", "shepp-logan"], "do not depend on the sequence"),
        (&["dti", "--matrix", "1100"], "pixels of the object"),
        (&["dti", "--field-of-view-mm", "0.5"], "field of view"),
        (&["molli", "--channels", "100000", "--noise-correlation", "0.3"], "choose 1 to 64"),
        (&["molli", "--phantom", "random", "--slices", "100000000"], "choose 1 to 1024"),
        (&["t2", "--recovery-beats", "1000000000000"], "choose 1 to 100"),
        (&["gre", "--slice-spacing", "1e300", "--slices", "3"], "choose 0 to 1000"),
        (&["gre", "--acceleration", "2.5"], "choose a whole number"),
        (&["gre", "--trajectory", "radial", "--matrix", "64x128"], "square images"),
        (&["molli", "--trigger-delay", "nan"], "the trigger delay"),
        (&["gre", "--repetitions", "2", "--slices", "200", "--channels", "64"], "bytes"),
    ];
    for (arguments, reason) in cases {
        let output = run(&[&["simulate"], arguments, &["-o", path]].concat());
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(!output.status.success(), "{arguments:?} is refused");
        assert!(stderr.contains(reason), "{arguments:?}: no {reason:?} in {stderr}");
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
        assert!(!Path::new(path).exists(), "{arguments:?} leaves no file");
    }
}
