//! Cardiac fingerprints through the real server: T1 and T2 of the tissue whatever the rhythm, and
//! what becomes of scans that are wrong.

mod support;

use ismrmrd::{Acquisition, Image};
use ndarray::Array2;
use phantom::{
    Fingerprinting, Label, Molli, Motion, Noise, NoiseScan, Rhythm, Setup, ShortAxisOptions,
    SimulatedScan, SpiralOptions, Subject,
};
use support::networks::has_runtime;
use support::recording::{Recording, inside, median_inside, wall_ecv_percent, with_role};
use support::{TestServer, run, run_well};

/// Small enough to be quick in a debug build, large enough for the wall to have an inside.
const MATRIX: usize = 96;
/// A rhythm with an early beat and a missed one.
const RR_MS: [f64; 16] = [
    900.0, 840.0, 950.0, 620.0, 1180.0, 890.0, 910.0, 1800.0, 860.0, 930.0, 880.0, 920.0, 900.0,
    870.0, 900.0, 900.0,
];

/// A still heart.
fn heart(noise: Noise) -> SimulatedScan {
    scan_of(ShortAxisOptions::default(), noise, 1)
}

fn scan_of(options: ShortAxisOptions, noise: Noise, n_slices: usize) -> SimulatedScan {
    let rhythm = Rhythm::from_intervals(&RR_MS.repeat(2), &[]).expect("a good rhythm");
    let setup = Setup {
        matrix_size: [MATRIX; 2],
        field_of_view_mm: [360.0; 2],
        n_channels: 6,
        motion: Motion::still(rhythm),
        noise,
        noise_scan: (noise != Noise::Sd(0.0))
            .then_some(NoiseScan { n_readouts: 16, sample_time_us: 5.0 }),
        n_slices,
        ..Setup::new(Subject::ShortAxis(options))
    };
    let sequence = Fingerprinting {
        spiral: SpiralOptions { n_arms: 32, ..SpiralOptions::default() },
        ..Fingerprinting::default()
    };
    SimulatedScan::new(&sequence, setup).expect("a good setup")
}

fn verdict(images: &[Image]) -> String {
    let map = with_role(images, "T1").expect("a T1 map");
    map.meta.get("BoresideVerdict").unwrap_or_default().to_owned()
}

#[test]
fn t1_and_t2_are_those_of_the_tissue_in_any_rhythm_by_dictionary_and_by_network() {
    let server = TestServer::start(&[]);
    let has_runtime = has_runtime();
    let scan = heart(Noise::Sd(0.0));
    let recording = Recording::of(&scan);
    let (images, told) = recording.through(&server, "cmrf_t1_t2_both");
    assert!(verdict(&images).starts_with("accept"), "{} {told:?}", verdict(&images));
    let tissues = [
        (Label::Liver, 590.0, 45.0),
        (Label::LeftBlood, 1600.0, 240.0),
        (Label::Muscle, 1000.0, 35.0),
    ];
    for (series, by) in [(11, "dictionary"), (31, "network")] {
        let of = |role: &str, series: u16| {
            let mut maps = images.iter().filter(|image| {
                image.meta.get("GADGETRON_DataRole") == Some(role) && {
                    image.header.image_series_index
                } == series
            });
            maps.next().cloned()
        };
        let (Some(t1), Some(t2)) = (of("T1", series), of("T2", series + 3)) else {
            assert!(by == "network" && !has_runtime, "no maps by {by}: {told:?}");
            assert!(told.iter().any(|text| text.contains("dictionary is used")), "{told:?}");
            continue;
        };
        for (label, t1_ms, t2_ms) in tissues {
            let inside = inside(&scan, label);
            let found = [median_inside(&t1, &inside), median_inside(&t2, &inside)];
            // Ringing of edges 4 mm apart; the network adds its own percent.
            assert!((found[0] / t1_ms - 1.0).abs() < 0.03, "{by} {label:?}: T1 {found:?}");
            assert!((found[1] / t2_ms - 1.0).abs() < 0.06, "{by} {label:?}: T2 {found:?}");
        }
        assert_eq!(t1.meta.get("BoresideUnit"), Some("ms"));
        assert_eq!(t1.meta.get("DataRole"), Some("Quantitative"));
    }
    server.stop();
}

#[test]
fn times_of_another_rhythm_give_another_t1() {
    let server = TestServer::start(&[]);
    let scan = heart(Noise::Sd(0.0));
    let recording = Recording::of(&scan);
    let muscle = inside(&scan, Label::Muscle);
    let (images, _) = recording.through(&server, "cmrf_t1_t2");
    let right = median_inside(with_role(&images, "T1").expect("a map"), &muscle);
    assert!((right / 1000.0 - 1.0).abs() < 0.03, "{right}");
    // As if every beat had lasted 1300 ms.
    let regular = recording.spoilt(|readouts| {
        for readout in readouts {
            let (beat, echo) = (readout.header.idx.repetition, readout.header.idx.segment);
            let time_ms = 1300.0 * f64::from(beat) + 5.1 * f64::from(echo);
            readout.header.acquisition_time_stamp = 1_000_000 + (time_ms / 2.5) as u32;
        }
    });
    let (images, _) = regular.through(&server, "cmrf_t1_t2");
    let wrong = median_inside(with_role(&images, "T1").expect("a map"), &muscle);
    assert!((wrong / right - 1.0).abs() > 0.05, "{wrong} and {right}: the times are not used");
    server.stop();
}

#[test]
fn scans_that_are_wrong_give_an_error_or_a_verdict_and_no_silent_nonsense() {
    let server = TestServer::start(&[]);
    let recording = Recording::of(&heart(Noise::Sd(0.0)));
    let beat_of = |readout: &Acquisition| readout.header.idx.repetition;
    let constant = recording.spoilt(|readouts| {
        readouts.iter_mut().for_each(|readout| readout.header.acquisition_time_stamp = 5);
    });
    let missing = recording.spoilt(|readouts| readouts.retain(|readout| beat_of(readout) != 6));
    let short = recording.spoilt(|readouts| readouts.retain(|readout| beat_of(readout) < 8));
    let mut lost = recording.clone();
    lost.readouts.iter_mut().for_each(|readout| {
        readout.trajectory = Array2::zeros((0, 0));
        readout.header.trajectory_dimensions = 0;
    });
    let mut paced = recording.clone();
    paced.header.sequence_parameters.as_mut().expect("some").tr = vec![10.0];
    let mut torn = recording.clone();
    torn.header.sequence_parameters.as_mut().expect("some").flip_angle_deg.pop();
    for (spoilt, expected) in [
        (constant, "same acquisition time stamp"),
        (missing, "beat 7 of 15 did not arrive"),
        (short, "8 of 15 beats arrived"),
        (lost, "positions"),
        (paced, "time stamps of beat 1 advance by 5.1"),
        (torn, "flip angles for 15 beats"),
    ] {
        let (images, told) = spoilt.through(&server, "cmrf_t1_t2");
        assert!(told.iter().any(|text| text.contains(expected)), "{told:?}, expected {expected:?}");
        assert!(with_role(&images, "T1").is_none(), "{expected}");
    }
    // Two beats less are less certain, and that is said.
    let ended = recording.spoilt(|readouts| readouts.retain(|readout| beat_of(readout) < 13));
    let (images, _) = ended.through(&server, "cmrf_t1_t2");
    assert_eq!(verdict(&images), "check: 13 of 15 beats arrived");
    // A table whose inversions come a beat later than they did.
    let mut other = recording.clone();
    for beat in 0..15 {
        let value = [0.0, -1.0, 30.0, 50.0, 100.0][beat % 5];
        other.header.set_user_double(&format!("Preparation_{beat}"), value);
    }
    let (images, _) = other.through(&server, "cmrf_t1_t2");
    let found = verdict(&images);
    assert!(found.contains("do not follow the pulse table"), "{found}");
    // T2 preparations that are a little longer than those that were played.
    for beat in 0..15 {
        let value = [-1.0, 0.0, 40.0, 60.0, 80.0][beat % 5];
        other.header.set_user_double(&format!("Preparation_{beat}"), value);
    }
    let (images, _) = other.through(&server, "cmrf_t1_t2");
    let found = verdict(&images);
    assert!(found.contains("do not follow the pulse table"), "{found}");
    server.stop();
}

/// Thermal noise is no reason to doubt a scan, and does not hide a wrong table.
#[test]
fn noise_is_not_taken_for_another_sequence_and_another_sequence_not_for_noise() {
    let server = TestServer::start(&[]);
    let wrong = "do not follow the pulse table";
    for snr in [10.0, 30.0, 100.0] {
        let recording = Recording::of(&heart(Noise::SignalToNoise(snr)));
        let (images, told) = recording.through(&server, "cmrf_t1_t2");
        let right = verdict(&images);
        assert!(right.starts_with("accept"), "SNR {snr}: {right} {told:?}");
        // Inversions a beat later than they came.
        let mut shifted = recording.clone();
        for beat in 0..15 {
            let value = [0.0, -1.0, 30.0, 50.0, 100.0][beat % 5];
            shifted.header.set_user_double(&format!("Preparation_{beat}"), value);
        }
        let (images, _) = shifted.through(&server, "cmrf_t1_t2");
        let found = verdict(&images);
        assert!(found.contains(wrong), "SNR {snr}: {found}");
        // Pulses 180 ms later than they came; an SNR of 10 hides that.
        if snr > 10.0 {
            let mut late = recording.clone();
            late.header.set_user_double("InversionTime_ms", 200.0);
            let (images, _) = late.through(&server, "cmrf_t1_t2");
            let found = verdict(&images);
            assert!(found.contains(wrong), "SNR {snr}: {found}");
        }
    }
    server.stop();
}

#[test]
fn a_cartesian_scan_is_told_that_it_is_one_and_which_chains_take_it() {
    let setup = Setup {
        matrix_size: [64, 48],
        n_channels: 2,
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    let scan = SimulatedScan::new(&Molli::default(), setup).expect("a good setup");
    let server = TestServer::start(&[]);
    let (_, told) = Recording::of(&scan).through(&server, "cmrf_t1_t2");
    let told = told.join("\n");
    assert!(told.contains("scan is Cartesian") && told.contains("`molli_t1`"), "{told}");
    server.stop();
}

/// `cmrf_t1_t2` with another reconstruction.
const SLIDING_WINDOW: &str = r#"
[[gadget]]
use = "adjust_noise"
[[gadget]]
use = "collect_readouts"
trigger_dimension = "slice"
[[gadget]]
use = "reconstruct_fingerprint"
reconstruction = "sliding_window"
[[gadget]]
use = "map_fingerprint"
[[gadget]]
use = "split_series"
[[gadget]]
use = "complex_to_float"
[[gadget]]
use = "finish_images"
"#;

#[test]
fn sliding_windows_show_t1_too_with_more_aliasing() {
    let server = TestServer::start(&[]);
    let scan = heart(Noise::Sd(0.0));
    let (images, told) = Recording::of(&scan).through_text(&server, SLIDING_WINDOW);
    let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{told:?}"));
    let found = median_inside(map, &inside(&scan, Label::Muscle));
    assert!((found / 1000.0 - 1.0).abs() < 0.06, "{found}");
    server.stop();
}

#[test]
fn every_slice_has_maps() {
    let server = TestServer::start(&[]);
    let scan = scan_of(ShortAxisOptions::default(), Noise::Sd(0.0), 2);
    let (images, told) = Recording::of(&scan).through(&server, "cmrf_t1_t2");
    let maps: Vec<&Image> =
        images.iter().filter(|image| image.meta.get("GADGETRON_DataRole") == Some("T1")).collect();
    let slices: Vec<u16> = maps.iter().map(|map| map.header.slice).collect();
    assert_eq!(slices, [0, 1], "{told:?}");
    let [first, second] = [0, 1].map(|n: usize| maps[n].header.position);
    assert_ne!(first, second);
    let muscle = inside(&scan, Label::Muscle);
    for map in maps {
        let found = median_inside(map, &muscle);
        assert!((found / 1000.0 - 1.0).abs() < 0.03, "{found}");
    }
    server.stop();
}

#[test]
fn fingerprints_before_and_after_contrast_give_the_extracellular_volume() {
    let server = TestServer::start(&[]);
    let scan =
        |contrast| scan_of(ShortAxisOptions { contrast, ..Default::default() }, Noise::Sd(0.0), 1);
    let native = scan(phantom::Contrast::Native);
    let (images, told) = Recording::of_patient(&native).through(&server, "cmrf_ecv");
    assert!(with_role(&images, "T1").is_some() && with_role(&images, "ECV").is_none(), "{told:?}");
    let after = scan(phantom::Contrast::Agent { blood_t1_ms: None });
    let (images, told) = Recording::of_patient(&after).through(&server, "cmrf_ecv");
    let ecv = with_role(&images, "ECV").unwrap_or_else(|| panic!("{told:?}"));
    let median = median_inside(ecv, &inside(&native, Label::Myocardium));
    let truth = wall_ecv_percent(&native);
    // The wall is three of these pixels wide, and the blood beside it has a T1 of its own.
    assert!((f64::from(median) - truth).abs() < 4.0, "{median} %, true {truth} %");
    server.stop();
}

/// Label images of a scan's results.
fn labels(images: &[Image]) -> Vec<&Image> {
    images.iter().filter(|image| image.meta.get("DataRole") == Some("Segmentation")).collect()
}

/// Part of some pixels, five at least, that have this label.
fn share_labelled(image: &Image, inside: &Array2<bool>, label: u16) -> f64 {
    let ismrmrd::Pixels::U16(pixels) = &image.pixels else { panic!("labels are integers") };
    let places: Vec<_> = inside.indexed_iter().filter(|(_, is)| **is).collect();
    assert!(places.len() >= 5, "{} pixels", places.len());
    let right = places.iter().filter(|((y, x), _)| pixels[[0, 0, *y, *x]] == label).count();
    right as f64 / places.len() as f64
}

#[test]
fn tissues_are_told_by_their_whole_course_and_the_maps_come_too() {
    let server = TestServer::start(&[]);
    let scan = heart(Noise::SignalToNoise(40.0));
    let (images, told) = Recording::of(&scan).through(&server, "cmrf_t1_t2_tissues");
    assert!(with_role(&images, "T1").is_some() && with_role(&images, "T2").is_some(), "{told:?}");
    let [tissues] = labels(&images)[..] else { panic!("one image of labels: {told:?}") };
    let comment = tissues.meta.get("ImageComments").expect("a comment");
    for (label, name) in [
        (Label::LeftBlood, "blood"),
        (Label::Myocardium, "myocardium"),
        (Label::Liver, "liver"),
        (Label::Muscle, "muscle"),
        (Label::Fat, "fat"),
    ] {
        let number = (1..=6).find(|number| comment.contains(&format!("{number} {name}")));
        let number = number.unwrap_or_else(|| panic!("{name} is not in {comment}"));
        let share = share_labelled(tissues, &inside(&scan, label), number);
        assert!(share > 0.9, "{name}: {share}");
    }
    server.stop();
}

#[test]
fn a_classifier_is_trained_from_labelled_scans_and_used_for_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let simulate = |number: u32, heart_rate: &str| {
        let (scan, truth) = (path(&format!("{number}.h5")), path(&format!("truth{number}.h5")));
        let seed = number.to_string();
        let options = ["--matrix", "64", "--channels", "4", "--snr", "60", "--still-heart"];
        let mut arguments = vec!["simulate", "cmrf", "--arms", "24", "--phantom", "short-axis"];
        arguments.extend(options);
        arguments.extend(["--seed", &seed, "--heart-rate", heart_rate, "-o", &scan]);
        arguments.extend(["--truth", &truth]);
        run_well(&arguments);
        (scan, truth)
    };
    let scans = [simulate(1, "60"), simulate(2, "75"), simulate(3, "90")];
    let file = path("classifier.toml");
    let mut arguments = vec!["classifier", "train", "-o", &file];
    for (scan, truth) in &scans[..2] {
        arguments.extend(["--scan", scan, "--labels", truth]);
    }
    let without_classes = run(&arguments);
    let told = String::from_utf8_lossy(&without_classes.stderr).into_owned();
    assert!(!without_classes.status.success() && told.contains("--class LABEL=NAME"), "{told}");
    arguments.extend(["--class", "4=liver", "--class", "9=blood", "--class", "7=blood"]);
    let table = run_well(&arguments);
    assert!(table.contains("examples of liver") && table.contains("error, mean"), "{table}");
    let error: f64 = table
        .split("error, mean of the classes: ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no error in {table}"));
    assert!(error < 5.0, "{table}");
    assert!(run_well(&["classifier", "show", &file]).contains("label 2 blood"));
    let results = path("results.h5");
    let chosen = format!("classifier={file}");
    let replay = ["replay", &scans[2].0, "-c", "cmrf_t1_t2_tissues", "-p", &chosen];
    run_well(&[&replay[..], &["-o", &results]].concat());
    let read = ismrmrd::hdf5::FileReader::open(std::path::Path::new(&results)).expect("results");
    let names = read.image_names().expect("names");
    let images: Vec<Image> = names
        .iter()
        .flat_map(|name| read.images(name).expect("images"))
        .map(|image| image.expect("an image"))
        .collect();
    let [tissues] = labels(&images)[..] else { panic!("one image of labels") };
    assert_eq!(
        tissues.meta.get("ImageComments"),
        Some("labels: 0 not classified, 1 liver, 2 blood")
    );
    // Nothing is overwritten, and a scan without its labels is said so.
    let told = String::from_utf8_lossy(&run(&arguments).stderr).into_owned();
    assert!(told.contains("is there already"), "{told}");
    let other = path("other.toml");
    let lonely = run(&["classifier", "train", "--scan", &scans[0].0, "-o", &other]);
    let told = String::from_utf8_lossy(&lonely.stderr).into_owned();
    assert!(told.contains("each --scan needs its --labels"), "{told}");
}
