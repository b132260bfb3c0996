//! A heart that moves while its maps are measured, through the real server.

mod support;

use ismrmrd::wire::Message;
use ismrmrd::{Image, Pixels};
use phantom::{
    Breathing, BreathingOptions, BreathingPattern, FreeBreathing, LineOptions, LineOrder, Molli,
    Motion, Noise, NoiseScan, Rhythm, Setup, ShortAxisOptions, SignalModel, SimulatedScan, Subject,
};
use support::{Client, TestServer, images, run, texts};

fn molli(pattern: BreathingPattern) -> SimulatedScan {
    let breathing = Breathing::new(&BreathingOptions { pattern, ..BreathingOptions::default() })
        .expect("the options are good");
    let setup = Setup {
        matrix_size: [144, 144],
        n_channels: 4,
        lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
        motion: Motion { breathing, ..Motion::still(Rhythm::default()) },
        signal_model: SignalModel::Ideal,
        noise: Noise::Sd(1e-3),
        noise_scan: Some(NoiseScan { n_readouts: 64, sample_time_us: 5.0 }),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    SimulatedScan::new(&Molli::default(), setup).expect("a good setup")
}

fn send(server: &TestServer, chain: &str, scan: &SimulatedScan) -> (Vec<Image>, Vec<String>) {
    let mut client = Client::open_with(server, chain, &scan.header().to_xml());
    scan.acquisitions().for_each(|readout| client.send(readout));
    client.send(Message::Close);
    let answer = client.read_to_close();
    let told = texts(&answer).into_iter().map(str::to_owned).collect();
    (images(answer), told)
}

/// The built-in chain, with another value of `network`, or without the correction.
fn chain(change: impl Fn(String) -> String) -> String {
    let shown = run(&["chains", "show", "molli_t1"]);
    change(String::from_utf8(shown.stdout).expect("UTF-8"))
}

fn with_role<'a>(images: &'a [Image], role: &str) -> &'a Image {
    let found = images.iter().find(|image| image.meta.get("GADGETRON_DataRole") == Some(role));
    found.unwrap_or_else(|| panic!("no {role}"))
}

/// Mean R² of the fits in and around the heart, which lies in the middle.
fn r_squared(images: &[Image]) -> f64 {
    let Pixels::F32(pixels) = &with_role(images, "T1R2").pixels else { panic!("floats") };
    let (_, _, height, width) = pixels.dim();
    let middle = pixels.slice(ndarray::s![
        0,
        0,
        height / 2 - 20..height / 2 + 20,
        width / 2 - 20..width / 2 + 20
    ]);
    f64::from(middle.sum()) / middle.len() as f64
}

fn without(text: String) -> String {
    let block = "[[gadget]]\nuse = \"correct_motion\"\ncontrast = \"inversion\"\n";
    assert!(text.contains(block), "{text}");
    text.replace(block, "")
}

fn by_registration(text: String) -> String {
    text.replace("use = \"correct_motion\"\n", "use = \"correct_motion\"\nnetwork = \"\"\n")
}

#[test]
fn the_map_of_a_heart_that_breathes_is_better_with_motion_correction() {
    let server = TestServer::start(&[]);
    let breath = FreeBreathing { amplitude_mm: 8.0, ..FreeBreathing::default() };
    let scan = molli(BreathingPattern::Free(breath));
    let (uncorrected, _) = send(&server, &chain(without), &scan);
    let (registered, told) = send(&server, &chain(by_registration), &scan);
    assert!(told.is_empty(), "{told:?}");
    let (by_network, told) = send(&server, &chain(|text| text), &scan);
    let found = [&uncorrected, &registered, &by_network].map(|images| r_squared(images));
    println!("R² uncorrected, by registration, by network: {found:.4?}");
    let [before, registration, network] = found.map(|r_squared| 1.0 - r_squared);
    assert!(registration < 0.5 * before, "{found:?}");
    assert!(network < 0.5 * before, "{found:?}");
    let corrected = with_role(&by_network, "ImageMoCo");
    let method = corrected.meta.get("BoresideMotionMethod").expect("its method");
    let has_runtime = run(&["models", "runtime", "--no-models"]).status.success();
    if has_runtime {
        assert!(method.starts_with("motion_of_series"), "{method}: {told:?}");
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(corrected.meta.get("BoresideModelFallback"), Some("none"));
    } else {
        assert_eq!(method, "registration without a network");
        assert!(told.iter().any(|text| text.contains("motion_of_series")), "{told:?}");
    }
    let moved = corrected.meta.get_f64("BoresideMotionPx").expect("its extent");
    // 8 mm of breath are about 4 px here.
    assert!((1.0..6.0).contains(&moved), "{moved} px");
    server.stop();
}

#[test]
fn a_heart_that_rests_is_left_where_it_is() {
    let server = TestServer::start(&[]);
    let scan = molli(BreathingPattern::Still);
    let (images, told) = send(&server, &chain(|text| text), &scan);
    let corrected = with_role(&images, "ImageMoCo");
    let moved = corrected.meta.get_f64("BoresideMotionPx").expect("px");
    assert!(moved < 0.3, "{moved} px");
    // Where nothing moves there is nothing to look at, and the network has not failed.
    if run(&["models", "runtime", "--no-models"]).status.success() {
        assert!(!told.iter().any(|text| text.contains("look at")), "{told:?}");
        let fallback = corrected.meta.get("BoresideModelFallback").unwrap_or("none");
        assert_eq!(fallback, "none");
    }
    let verdict = with_role(&images, "T1").meta.get("BoresideVerdict");
    assert_eq!(verdict, Some("accept"));
    server.stop();
}

#[test]
fn a_network_says_which_map_motion_has_spoiled() {
    if !run(&["models", "runtime", "--no-models"]).status.success() {
        println!("skipped: no runtime for networks");
        return;
    }
    let server = TestServer::start(&[]);
    let scored = |text: String| {
        let (maps, rest) = without(text)
            .split_once("[[gadget]]\nuse = \"split_series\"")
            .map(|(maps, rest)| (maps.to_owned(), rest.to_owned()))
            .expect("the chain splits its series");
        let model = "use = \"apply_model\"\nmodel = \"t1_map_quality\"\nselect = \"T1\"\nkeep_source = true\n";
        format!("{maps}[[gadget]]\n{model}\n[[gadget]]\nuse = \"split_series\"{rest}")
    };
    let chain = chain(scored);
    let breath = FreeBreathing { amplitude_mm: 8.0, ..FreeBreathing::default() };
    let patterns = [BreathingPattern::Still, BreathingPattern::Free(breath)];
    let [still, moved] = patterns.map(|pattern| {
        let (images, told) = send(&server, &chain, &molli(pattern));
        assert!(told.is_empty(), "{told:?}");
        assert!(with_role(&images, "where the fault is seen").meta.get("BoresideModel").is_some());
        let measured = with_role(&images, "T1").meta.get("BoresideMeasurement").map(str::to_owned);
        let measured = measured.expect("its score");
        let score = measured.split_once("probability of a fault by motion\":").expect("named").1;
        score.split_once(',').expect("more follows").0.parse::<f64>().expect("a number")
    });
    println!("probability of a fault: still {still:.3}, moved {moved:.3}");
    // The threshold of the manifest is 0.5.
    assert!(still < 0.4 && moved > 0.6, "{still} and {moved}");
    server.stop();
}
