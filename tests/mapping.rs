//! Maps through the real server: their values, their words, and what becomes of scans that are
//! wrong.

mod support;

use ismrmrd::hdf5::FileReader;
use ismrmrd::wire::Message;
use ismrmrd::{Acquisition, AcquisitionFlags, Image, Pixels};
use phantom::{
    Label, LineOptions, LineOrder, Molli, MolliScheme, Motion, MultiEcho, Noise, NoiseScan, Rhythm,
    Sasha, Sequence, Setup, ShortAxisOptions, SignalModel, SimulatedScan, Subject, T2Prepared,
};
use support::recording::{Recording, inside, median_inside, values, wall_ecv_percent, with_role};
use support::{Client, TestServer, images, shared, texts};

/// A still heart whose signals are those of the fits' models.
fn heart(sequence: &dyn Sequence) -> SimulatedScan {
    let setup = Setup {
        matrix_size: [96, 72],
        n_channels: 4,
        // Else an image does not fit between an inversion and 100 ms after it.
        lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
        motion: Motion::still(Rhythm::default()),
        signal_model: SignalModel::Ideal,
        noise: Noise::Sd(1e-3),
        noise_scan: Some(NoiseScan { n_readouts: 64, sample_time_us: 5.0 }),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    SimulatedScan::new(sequence, setup).expect("a good setup")
}

/// Without what Siemens' MOLLI writes into its readouts.
fn without_user_int(recording: &Recording) -> Recording {
    recording.spoilt(|readouts| readouts.iter_mut().for_each(|r| r.header.user_int = [0; 8]))
}

/// The inversion times that its header tells.
fn times(recording: &mut Recording) -> &mut Vec<f32> {
    &mut recording.header.sequence_parameters.as_mut().expect("there are some").ti
}

#[track_caller]
fn assert_verdict(images: &[Image], role: &str, expected: &str) {
    let map = with_role(images, role).unwrap_or_else(|| panic!("a {role} map"));
    let verdict = map.meta.get("BoresideVerdict").unwrap_or_default();
    assert!(verdict.starts_with(expected), "{verdict:?}, expected {expected:?}");
    if expected != "accept" {
        assert_eq!(map.meta.values("ImageComments").get(1).map(String::as_str), Some(verdict));
    }
}

fn shmolli() -> Molli {
    Molli { scheme: MolliScheme::shmolli(), ..Molli::default() }
}

#[test]
fn maps_of_all_kinds_have_the_values_of_the_tissue_their_units_and_their_verdicts() {
    let server = TestServer::start(&[]);
    let cases: [(&dyn Sequence, &str, &str, f32, &str); 7] = [
        (&Molli::default(), "molli_t1", "T1", 1000.0, "lipari"),
        (&shmolli(), "shmolli_t1", "T1", 1000.0, "lipari"),
        (&Sasha::default(), "sasha_t1", "T1", 1000.0, "lipari"),
        (&T2Prepared::default(), "t2", "T2", 50.0, "navia"),
        (&MultiEcho::default(), "t2_star", "T2STAR", 35.0, "navia"),
        (&Molli::default(), "MOLLI_T1_Moco.xml", "T1", 1036.5, "lipari"),
        (&Molli::default(), "MOLLI_T1_Moco_istore.xml", "T1", 1036.5, "lipari"),
    ];
    for (sequence, chain, role, expected, colors) in cases {
        let scan = heart(sequence);
        let (images, told) = Recording::of(&scan).through(&server, chain);
        let map = with_role(&images, role).unwrap_or_else(|| panic!("{chain}: {told:?}"));
        let median = median_inside(map, &inside(&scan, Label::Myocardium));
        // Ringing of the wall's edges, three pixels apart, and of what lies around it.
        assert!((median / expected - 1.0).abs() < 0.05, "{chain}: {median} ms");
        assert_verdict(&images, role, "accept");
        let meta = &map.meta;
        assert_eq!(meta.get("DataRole"), Some("Quantitative"));
        assert_eq!(meta.get_f64("RescaleSlope"), Some(1.0), "{chain}");
        assert_eq!(meta.get("BoresideUnit"), Some("ms"));
        assert_eq!(meta.get("BoresideColorMap"), Some(colors));
        assert_eq!(meta.get("WindowCenter"), meta.get("GADGETRON_WindowCenter"));
        assert!(meta.get("LUTFileName").is_some_and(|file| file.ends_with(".pal")));
        let sd = with_role(&images, &format!("{role}SD")).expect("a map of standard deviations");
        let sd_median = median_inside(sd, &inside(&scan, Label::Myocardium));
        assert!(sd_median > 0.0 && sd_median < 0.1 * expected, "{chain}: {sd_median} ms");
        let source = with_role(&images, "Image").expect("source images");
        assert_eq!({ map.header.position }, { source.header.position });
        assert_eq!({ map.header.field_of_view }, { source.header.field_of_view });
        let is_integer = chain.ends_with(".xml");
        assert_eq!(matches!(map.pixels, Pixels::U16(_)), is_integer, "{chain}");
        if role == "T1" && !chain.starts_with("sasha") {
            let psir = with_role(&images, "PSIR").expect("images with signs");
            let darkest = values(psir).iter().copied().fold(f32::INFINITY, f32::min);
            assert!(if is_integer { darkest < 4096.0 && darkest > 0.0 } else { darkest < 0.0 });
        }
    }
    server.stop();
}

#[test]
fn the_sasha_chain_of_gadgetron_numbers_its_series_as_gadgetron_does() {
    let server = TestServer::start(&[]);
    let scan = heart(&Sasha::default());
    let (images, _) = Recording::of(&scan).through(&server, "CMR_2DT_T1Mapping_SASHA.xml");
    let series = |role| with_role(&images, role).map(|image| image.header.image_series_index);
    assert_eq!((series("T1"), series("T1SD")), (Some(11), Some(12)));
    let map = with_role(&images, "T1").expect("a map");
    let median = median_inside(map, &inside(&scan, Label::Myocardium));
    assert!((median / 1000.0 - 1.0).abs() < 0.05, "{median}");
    server.stop();
}

#[test]
fn times_that_are_missing_or_disagree_are_an_error_that_says_which_and_the_images_come() {
    let server = TestServer::start(&[]);
    let scan = heart(&Molli::default());
    let mut missing = without_user_int(&Recording::of(&scan));
    times(&mut missing).clear();
    let mut shuffled = Recording::of(&scan);
    times(&mut shuffled).swap(1, 5);
    let mut wrong = Recording::of(&scan);
    wrong.readouts.iter_mut().for_each(|readout| readout.header.user_int[4] += 60);
    let mut negative = without_user_int(&Recording::of(&scan));
    times(&mut negative)[2] = -1100.0;
    for (recording, expected) in [
        (missing, "no inversion times for 8 images"),
        (shuffled, "image 2 of 8 has inversion times 180.0 ms by the scan's header and 1100.0 ms"),
        (wrong, "image 1 of 8 has inversion times 100.0 ms by the scan's header and 160.0 ms"),
        (negative, "image 3 of 8 has inversion times -1100.0 ms"),
    ] {
        let (images, told) = recording.through(&server, "molli_t1");
        assert!(told.iter().any(|text| text.contains(expected)), "{told:?}, expected {expected:?}");
        assert!(with_role(&images, "T1").is_none(), "{expected}");
        // Motion may be corrected without times; then the originals come as well, as they were.
        let is_original = |image: &&Image| image.meta.get("BoresideUncorrected").is_some();
        let (originals, others): (Vec<_>, Vec<_>) = images.iter().partition(is_original);
        assert!([0, 8].contains(&originals.len()), "{expected}");
        assert_eq!(others.len(), 8, "{expected}");
        assert!(others.iter().all(|image| image.meta.get("BoresideUnprocessed").is_some()));
    }
    server.stop();
}

#[test]
fn shuffled_times_that_nothing_contradicts_are_told_by_the_fit() {
    let server = TestServer::start(&[]);
    for (sequence, chain, role) in [
        (&Molli::default() as &dyn Sequence, "molli_t1", "T1"),
        (&Sasha::default(), "sasha_t1", "T1"),
    ] {
        let mut recording = without_user_int(&Recording::of(&heart(sequence)));
        let listed = times(&mut recording);
        let n = listed.len();
        listed.swap(1, n - 1);
        listed.swap(2, n - 2);
        let (images, _) = recording.through(&server, chain);
        assert_verdict(&images, role, "repeat: ");
    }
    server.stop();
}

#[test]
fn an_image_that_is_missing_or_empty_or_no_number_is_left_out_and_named() {
    let server = TestServer::start(&[]);
    let scan = heart(&Molli::default());
    let is_third = |readout: &Acquisition| {
        let idx = readout.header.idx;
        idx.set == 2 && !readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT)
    };
    let mut missing = Recording::of(&scan);
    missing.readouts.retain(|readout| !is_third(readout));
    let mut last = Recording::of(&scan);
    last.readouts.retain(|readout| readout.header.idx.set != 7);
    let mut zero = Recording::of(&scan);
    zero.readouts.iter_mut().filter(|r| is_third(r)).for_each(|r| r.data.fill(Default::default()));
    for (recording, expected) in [
        (missing, "check: image 3 of 8 holds nothing and is left out"),
        (zero, "check: image 3 of 8 holds nothing and is left out"),
        (last, "check: 7 of 8 images arrived"),
    ] {
        let (images, told) = recording.through(&server, "molli_t1");
        assert!(with_role(&images, "T1").is_some(), "{told:?}");
        assert_verdict(&images, "T1", expected);
        let map = with_role(&images, "T1").expect("a map");
        let median = median_inside(map, &inside(&scan, Label::Myocardium));
        assert!((median / 1000.0 - 1.0).abs() < 0.03, "{median} ms");
    }
    let mut broken = Recording::of(&scan);
    if let Some(readout) = broken.readouts.iter_mut().filter(|readout| is_third(readout)).nth(30) {
        readout.data.fill(num_complex::Complex32::new(f32::NAN, 0.0));
    }
    // It has spoilt the calibration of all images.
    let (images, told) = broken.through(&server, "molli_t1");
    assert!(with_role(&images, "T1").is_none());
    assert!(told.iter().any(|text| text.contains("infinite or no numbers")), "{told:?}");
    assert!(told.iter().any(|text| text.starts_with("ERROR")), "{told:?}");
    server.stop();
}

#[test]
fn a_t1_beyond_the_limit_is_no_value_and_never_another_one() {
    let server = TestServer::start(&[]);
    let scan = heart(&Molli::default());
    // Three times as long: blood has 4800 ms.
    let mut recording = without_user_int(&Recording::of(&scan));
    times(&mut recording).iter_mut().for_each(|time| *time *= 3.0);
    for chain in ["molli_t1", "MOLLI_T1_Moco.xml"] {
        let (images, _) = recording.through(&server, chain);
        let map = with_role(&images, "T1").expect("a map");
        assert_eq!(median_inside(map, &inside(&scan, Label::LeftBlood)), 0.0, "{chain}");
        assert!(values(map).iter().all(|value| *value <= 4000.0), "{chain}");
        let wall = median_inside(map, &inside(&scan, Label::Myocardium));
        assert!(wall > 2800.0, "{chain}: {wall}");
    }
    server.stop();
}

#[test]
fn the_second_scan_of_a_patient_brings_the_extracellular_volume() {
    let server = TestServer::start(&[]);
    let scan = |is_after: bool| {
        let agent = phantom::Contrast::Agent { blood_t1_ms: None };
        let contrast = if is_after { agent } else { phantom::Contrast::Native };
        let options = ShortAxisOptions { contrast, ..ShortAxisOptions::default() };
        let setup = Setup { ..heart(&Molli::default()).setup().clone() };
        let setup = Setup { subject: Subject::ShortAxis(options), ..setup };
        let scheme = if is_after { MolliScheme::after_contrast() } else { MolliScheme::native() };
        let scan =
            SimulatedScan::new(&Molli { scheme, ..Molli::default() }, setup).expect("a good setup");
        let recording = Recording::of_patient(&scan);
        (scan, recording)
    };
    let (native, recording) = scan(false);
    let (images, told) = recording.through(&server, "ecv");
    assert!(with_role(&images, "T1").is_some() && with_role(&images, "ECV").is_none(), "{told:?}");
    let (_, recording) = scan(true);
    let (images, told) = recording.through(&server, "ecv");
    let ecv = with_role(&images, "ECV").unwrap_or_else(|| panic!("{told:?}"));
    let median = median_inside(ecv, &inside(&native, Label::Myocardium));
    let truth = wall_ecv_percent(&native);
    // Partial volume with blood, and 1.5 points of noise for each pixel.
    assert!((f64::from(median) - truth).abs() < 3.0, "{median} %, true {truth} %");
    assert_verdict(&images, "ECV", "accept");
    assert_eq!(ecv.meta.get("BoresideUnit"), Some("%"));
    assert!(with_role(&images, "ECVSD").is_some());
    server.stop();
}

/// Medians of what is brighter than a tenth of the brightest in the first source image.
fn median_of_tissue(images: &[Image], role: &str, is_brightest_last: bool) -> f32 {
    let map = values(with_role(images, role).expect("a map"));
    let mut sources =
        images.iter().filter(|image| image.meta.get("GADGETRON_DataRole") == Some("Image"));
    let source = if is_brightest_last { sources.next_back() } else { sources.next() };
    let source = values(source.expect("a source image"));
    let peak = source.iter().copied().fold(0.0, f32::max);
    let pixels = map.iter().zip(&source).filter(|(value, s)| **value > 0.0 && **s > 0.1 * peak);
    let mut found: Vec<f32> = pixels.map(|(value, _)| *value).collect();
    found.sort_by(f32::total_cmp);
    found[found.len() / 2]
}

#[test]
fn the_rat_brains_have_the_medians_that_others_found() {
    let (Some(saturation), Some(echoes)) =
        (shared("raw/rat_saturation_recovery_10tr.h5"), shared("raw/rat_multi_echo_15te.h5"))
    else {
        return;
    };
    let chain = |n_dimension: &str, trigger: &str, gadget: &str| {
        format!(
            "output = [\"image\"]\n[[gadget]]\nuse = \"remove_oversampling\"\n[[gadget]]\nuse = \
             \"collect_readouts\"\n{trigger}\n[[gadget]]\nuse = \"sort_k_space\"\nn_dimension = \
             \"{n_dimension}\"\nignore_segment = true\n[[gadget]]\nuse = \"reconstruct_fft\"\n\
             [[gadget]]\n{gadget}\n[[gadget]]\nuse = \"split_series\"\n[[gadget]]\nuse = \
             \"complex_to_float\"\n"
        )
    };
    let server = TestServer::start(&[]);
    for (file, chain, role, is_brightest_last, expected, tolerance) in [
        (
            saturation,
            chain(
                "set",
                "",
                "use = \"map_t1_saturation\"\nafter = \"repetition\"\nparameters = 2\nmax_t1_ms = 8000.0",
            ),
            "T1",
            true,
            2200.0,
            0.06,
        ),
        (
            echoes,
            chain("contrast", "", "use = \"map_t2_star\"\nnoise_floor = \"ignored\""),
            "T2STAR",
            false,
            35.6,
            0.06,
        ),
    ] {
        let file = FileReader::open(&file).expect("an MRD file");
        let header = file.header().expect("a header").expect("it is there");
        let mut client = Client::open_with(&server, &chain, &header.to_xml());
        for readout in file.acquisitions().expect("readouts") {
            client.send(readout.expect("a readout"));
        }
        client.send(Message::Close);
        let answer = client.read_to_close();
        let told: Vec<String> = texts(&answer).into_iter().map(str::to_owned).collect();
        let images = images(answer);
        assert!(with_role(&images, role).is_some(), "{told:?}");
        let median = median_of_tissue(&images, role, is_brightest_last);
        println!("{role}: median {median:.1} ms, others found {expected} ms");
        assert!((median / expected - 1.0).abs() < tolerance, "{median} ms");
    }
    server.stop();
}
