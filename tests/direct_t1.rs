//! T1 of four heartbeats through the real server: near what the whole MOLLI and the tissue have, and
//! what becomes of scans that the network does not know.

mod support;

use ndarray::Array2;
use phantom::{
    Label, LineOptions, LineOrder, Molli, MolliScheme, Motion, Noise, NoiseScan, Rhythm, Setup,
    ShortAxisOptions, SignalModel, SimulatedScan, Subject,
};
use support::networks::has_runtime;
use support::recording::{Recording, inside, median_inside, values, with_role};
use support::{TestServer, run_well};

/// An irregular rhythm.
const RR_MS: [f64; 12] =
    [930.0, 880.0, 1010.0, 900.0, 950.0, 870.0, 990.0, 920.0, 900.0, 960.0, 940.0, 890.0];

/// A still heart whose signals are those of Bloch's equations.
fn heart(scheme: &str) -> SimulatedScan {
    let setup = Setup {
        matrix_size: [96, 72],
        n_channels: 4,
        lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
        motion: Motion::still(Rhythm::from_intervals(&RR_MS, &[]).expect("a good rhythm")),
        signal_model: SignalModel::Bloch,
        noise: Noise::SignalToNoise(30.0),
        noise_scan: Some(NoiseScan { n_readouts: 64, sample_time_us: 5.0 }),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    let scheme: MolliScheme = scheme.parse().expect("a scheme");
    let molli = Molli { scheme, first_inversion_time_ms: 120.0, ..Molli::default() };
    SimulatedScan::new(&molli, setup).expect("a good setup")
}

/// Middle of the standard deviations over some pixels, and of T1's own spread there.
fn spread(map: &ismrmrd::Image, pixels: &Array2<bool>) -> f32 {
    let map = values(map);
    let own = pixels.indexed_iter().filter(|(_, is)| **is);
    let mut values: Vec<f32> = own.map(|((y, x), _)| map[[0, 0, y, x]]).collect();
    values.sort_by(f32::total_cmp);
    0.5 * (values[values.len() * 84 / 100] - values[values.len() * 16 / 100])
}

#[test]
fn four_heartbeats_give_the_t1_of_eleven_and_more_precisely_than_a_fit_of_the_same() {
    let server = TestServer::start(&[]);
    let whole = heart("5(3)3");
    let (images, told) = Recording::of(&whole).through(&server, "molli_t1");
    let molli = with_role(&images, "T1").unwrap_or_else(|| panic!("{told:?}")).clone();
    let four = heart("4");
    let recording = Recording::of(&four);
    let (images, _) = recording.through(&server, "molli_t1");
    let fit = with_role(&images, "T1").expect("a map by fit").clone();
    let (images, told) = recording.through(&server, "molli_t1_four_beats");
    let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{told:?}"));
    let method = map.meta.get("BoresideMethod").unwrap_or_default();
    if !has_runtime() {
        assert!(method.contains("3 parameters"), "{method}");
        assert!(told.iter().any(|text| text.contains("instead")), "{told:?}");
        server.stop();
        return;
    }
    assert!(
        method.contains("network t1_from_few_images") && method.contains("4 images"),
        "{method}"
    );
    assert!(!method.contains("not known"), "the readout is told: {method}");
    assert!(!told.iter().any(|text| text.contains("instead")), "{told:?}");
    // True T1, ms; MOLLI is 5 to 10 % below it.
    for (label, t1_ms) in [(Label::Myocardium, 1000.0), (Label::LeftBlood, 1600.0)] {
        let pixels = inside(&four, label);
        let found = median_inside(map, &pixels);
        let usual = median_inside(&molli, &pixels);
        println!("{label:?}: {found} ms of four images, {usual} ms of eight, {t1_ms} ms true");
        // Noise leaves 1 % of a median, ringing differs between the images, and the network is
        // right within 2 %.
        assert!((found / usual - 1.0).abs() < 0.05, "{label:?}: {found} and {usual} ms");
        assert!((0.85..1.03).contains(&(found / t1_ms)), "{label:?}: {found} ms");
    }
    let blood = inside(&four, Label::LeftBlood);
    let (by_fit, by_network) = (spread(&fit, &blood), spread(map, &blood));
    assert!(by_network < by_fit, "{by_network} ms and by fit {by_fit} ms");
    assert_eq!(map.meta.get("BoresideUnit"), Some("ms"));
    assert_eq!(map.meta.get("DataRole"), Some("Quantitative"));
    let verdict = map.meta.get("BoresideVerdict").unwrap_or_default();
    assert!(verdict.starts_with("accept"), "{verdict}");
    // One series number for the standard deviation, as of `map_t1`.
    assert!(images.iter().any(|image| { image.header.image_series_index } == 4));
    server.stop();
}

#[test]
fn what_the_network_does_not_know_is_fitted_and_told() {
    let server = TestServer::start(&[]);
    for (scheme, expected) in
        [("5(3)3", "these come after 2"), ("3", "of 4 or 5 images, 3 can be used")]
    {
        let recording = Recording::of(&heart(scheme));
        let (images, told) = recording.through(&server, "molli_t1_four_beats");
        let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{scheme}: {told:?}"));
        let is_told = |text: &String| text.contains(expected) && text.contains("instead");
        assert!(told.iter().any(is_told), "{scheme}: {told:?}");
        let method = map.meta.get("BoresideMethod").unwrap_or_default();
        assert!(method.contains("3 parameters") && !method.contains("network"), "{method}");
    }
    server.stop();
}

#[test]
fn the_simulator_writes_scans_of_four_and_five_heartbeats() {
    let folder = tempfile::tempdir().expect("a folder");
    for scheme in ["4", "5"] {
        let path = folder.path().join(format!("{scheme}.h5"));
        let path = path.to_str().expect("a path");
        let arguments = ["simulate", "molli", "--scheme", scheme, "--matrix", "64x48", "-o", path];
        run_well(&arguments);
        let text = run_well(&["inspect", path]);
        assert!(text.contains(&format!("MOLLI_{scheme}")), "{text}");
    }
}
