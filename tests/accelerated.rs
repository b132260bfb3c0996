//! Undersampled series through the real server: maps as good as their few lines allow, and what is
//! said of scans that cannot be reconstructed together.

mod support;

use ismrmrd::{AcquisitionFlags, Image};
use ndarray::Array2;
use phantom::{
    CalibrationLines, Label, LineOptions, LineOrder, Molli, Motion, Noise, NoiseScan, Rhythm,
    Sasha, Sequence, Setup, ShortAxisOptions, SignalModel, SimulatedScan, Subject, T2Prepared,
    Undersampling,
};
use support::TestServer;
use support::recording::{Recording, inside, median_inside, values, with_role};

/// A still heart of which every image has a quarter of the lines, other ones than the next.
fn heart(sequence: &dyn Sequence) -> SimulatedScan {
    let setup = Setup {
        matrix_size: [96, 80],
        n_channels: 12,
        lines: LineOptions {
            undersampling: Undersampling::Interleaved { acceleration: 4 },
            calibration: CalibrationLines::Embedded(20),
            order: LineOrder::Centric,
            ..LineOptions::default()
        },
        motion: Motion::still(Rhythm::default()),
        signal_model: SignalModel::Ideal,
        noise: Noise::SignalToNoise(25.0),
        noise_scan: Some(NoiseScan { n_readouts: 64, sample_time_us: 5.0 }),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    SimulatedScan::new(sequence, setup).expect("a good setup")
}

/// Median of |map − truth| over truth.
fn median_error(map: &Image, wall: &Array2<bool>, truth: f32) -> f32 {
    let map = values(map);
    let inside = wall.indexed_iter().filter(|(_, is)| **is);
    let mut errors: Vec<f32> =
        inside.map(|((y, x), _)| (map[[0, 0, y, x]] / truth - 1.0).abs()).collect();
    errors.sort_by(f32::total_cmp);
    errors[errors.len() / 2]
}

#[test]
fn t1_of_a_quarter_of_the_lines_is_that_of_the_tissue_and_better_than_by_grappa() {
    let server = TestServer::start(&[]);
    let scan = heart(&Molli::default());
    let wall = inside(&scan, Label::Myocardium);
    let [alone, together] = ["molli_t1", "molli_t1_accelerated"].map(|chain| {
        let (images, told) = Recording::of(&scan).through(&server, chain);
        let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{chain}: {told:?}"));
        let median = median_inside(map, &wall);
        println!("{chain}: {median} ms, {told:?}");
        assert_eq!(map.meta.get("BoresideUnit"), Some("ms"));
        assert!(with_role(&images, "PSIR").is_some());
        (median, median_error(map, &wall, 1000.0))
    });
    println!("grappa {alone:?}, together {together:?}");
    // Ringing and what lies around the wall, as where all lines are there, and noise.
    assert!((together.0 / 1000.0 - 1.0).abs() < 0.05, "{together:?}");
    assert!(together.1 < 0.7 * alone.1, "grappa {alone:?}, together {together:?}");
    server.stop();
}

#[test]
fn the_other_maps_take_undersampled_series_as_well() {
    let server = TestServer::start(&[]);
    let cases: [(&dyn Sequence, &str, &str, f32); 2] = [
        (&Sasha::default(), "sasha_t1_accelerated", "T1", 1000.0),
        (&T2Prepared::default(), "t2_accelerated", "T2", 50.0),
    ];
    for (sequence, chain, role, expected) in cases {
        let scan = heart(sequence);
        let (images, told) = Recording::of(&scan).through(&server, chain);
        let map = with_role(&images, role).unwrap_or_else(|| panic!("{chain}: {told:?}"));
        let median = median_inside(map, &inside(&scan, Label::Myocardium));
        println!("{chain}: {median} ms");
        assert!((median / expected - 1.0).abs() < 0.08, "{chain}: {median} ms");
    }
    server.stop();
}

#[test]
fn a_scan_without_calibration_lines_is_an_error_that_says_so() {
    let server = TestServer::start(&[]);
    let calibrates = AcquisitionFlags::IS_PARALLEL_CALIBRATION;
    let both = AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING;
    let bare = Recording::of(&heart(&Molli::default())).spoilt(|readouts| {
        readouts.retain(|readout| !readout.header.has_any(calibrates));
        readouts.iter_mut().for_each(|readout| readout.header.clear_flags(both));
    });
    let (images, told) = bare.through(&server, "molli_t1_accelerated");
    assert!(images.is_empty(), "{} images", images.len());
    assert!(
        told.iter().any(|text| text.contains("reconstruct_series")
            && text.contains("lines are missing, and there are no calibration lines")),
        "{told:?}"
    );
    server.stop();
}

#[test]
fn a_single_image_is_reconstructed_and_it_is_told_that_it_is_alone() {
    let server = TestServer::start(&[]);
    let first = Recording::of(&heart(&Molli::default()))
        .spoilt(|readouts| readouts.retain(|readout| readout.header.idx.set == 0));
    let (images, told) = first.through(&server, "molli_t1_accelerated");
    assert!(told.iter().any(|text| text.contains("has one image")), "{told:?}");
    assert!(with_role(&images, "T1").is_none());
    assert!(!images.is_empty(), "{told:?}");
    server.stop();
}
