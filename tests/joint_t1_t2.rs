//! T1 and T2 of one breath-hold through the real server: multiparametric SASHA with all of its
//! lines and with a quarter of them.

mod support;

use phantom::{
    CalibrationLines, Label, LineOptions, LineOrder, Motion, Noise, NoiseScan, Rhythm, Sasha,
    Setup, ShortAxisOptions, SignalModel, SimulatedScan, Subject, Undersampling,
};
use support::TestServer;
use support::recording::{Recording, inside, median_inside, with_role};

const WHOLE: Undersampling = Undersampling::Regular { acceleration: 1 };

/// A still heart.
fn heart(
    sequence: &Sasha,
    undersampling: Undersampling,
    signal_model: SignalModel,
) -> SimulatedScan {
    let is_whole = undersampling == WHOLE;
    let calibration =
        if is_whole { CalibrationLines::None } else { CalibrationLines::Embedded(20) };
    let setup = Setup {
        matrix_size: [96, 80],
        n_channels: 12,
        lines: LineOptions {
            undersampling,
            calibration,
            order: LineOrder::Centric,
            ..LineOptions::default()
        },
        motion: Motion::still(Rhythm::default()),
        signal_model,
        noise: Noise::SignalToNoise(30.0),
        noise_scan: Some(NoiseScan { n_readouts: 64, sample_time_us: 5.0 }),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    SimulatedScan::new(sequence, setup).expect("a good setup")
}

#[test]
fn t1_and_t2_of_one_breath_hold_are_those_of_the_tissue() {
    let server = TestServer::start(&[]);
    for (undersampling, chain) in [
        (WHOLE, "sasha_t1_t2"),
        (Undersampling::Interleaved { acceleration: 4 }, "sasha_t1_t2_accelerated"),
    ] {
        let scan = heart(&Sasha::t1_and_t2(), undersampling, SignalModel::Ideal);
        let wall = inside(&scan, Label::Myocardium);
        let (images, told) = Recording::of(&scan).through(&server, chain);
        // Ringing and what lies around the wall, and noise, which T2 feels more.
        for (role, truth, tolerance) in [("T1", 1000.0, 0.05), ("T2", 50.0, 0.08)] {
            let map = with_role(&images, role).unwrap_or_else(|| panic!("{chain}: {told:?}"));
            let median = median_inside(map, &wall);
            let verdict = map.meta.get("BoresideVerdict");
            println!("{chain}: {role} {median} ms, {verdict:?}");
            assert_eq!(map.meta.get("BoresideUnit"), Some("ms"));
            assert!((median / truth - 1.0).abs() < tolerance, "{chain}: {role} {median} ms");
        }
    }
    server.stop();
}

#[test]
fn balanced_readouts_that_change_what_they_read_keep_t1_and_t2_near() {
    let server = TestServer::start(&[]);
    let scan = heart(&Sasha::t1_and_t2(), WHOLE, SignalModel::Bloch);
    let wall = inside(&scan, Label::Myocardium);
    let (images, told) = Recording::of(&scan).through(&server, "sasha_t1_t2");
    for (role, truth, tolerance) in [("T1", 1000.0, 0.05), ("T2", 50.0, 0.08)] {
        let map = with_role(&images, role).unwrap_or_else(|| panic!("{told:?}"));
        let median = median_inside(map, &wall);
        println!("bloch: {role} {median} ms");
        assert!((median / truth - 1.0).abs() < tolerance, "{role} {median} ms");
    }
    server.stop();
}

#[test]
fn a_scan_without_t2_preparations_keeps_its_images_and_says_what_is_missing() {
    let server = TestServer::start(&[]);
    let scan = heart(&Sasha::default(), WHOLE, SignalModel::Ideal);
    let (images, told) = Recording::of(&scan).through(&server, "sasha_t1_t2");
    assert!(with_role(&images, "T2").is_none());
    assert!(!images.is_empty(), "{told:?}");
    assert!(
        told.iter().any(|text| text.contains("map_t1_t2")
            && text.contains("no T2 preparation times for 10 images")),
        "{told:?}"
    );
    server.stop();
}
