//! Undersampled series through the real server: maps as good as their few lines allow, and what is
//! said of scans that cannot be reconstructed together.

mod support;

use ismrmrd::{AcquisitionFlags, Image};
use ndarray::Array2;
use phantom::{
    Breathing, BreathingOptions, BreathingPattern, CalibrationLines, FreeBreathing, Label,
    LineOptions, LineOrder, Molli, Motion, MultiEcho, Noise, NoiseScan, Rhythm, Sasha, Sequence,
    Setup, ShortAxisOptions, SignalModel, SimulatedScan, Subject, T2Prepared, Undersampling,
};
use support::TestServer;
use support::networks::has_runtime;
use support::recording::{Recording, inside, median_inside, values, with_role};

/// A still heart of which every image has a quarter of the lines, other ones than the next.
fn heart(sequence: &dyn Sequence) -> SimulatedScan {
    scan(sequence, [96, 80], 25.0, 4, Motion::still(Rhythm::default()))
}

fn scan(
    sequence: &dyn Sequence,
    matrix_size: [usize; 2],
    signal_to_noise: f64,
    acceleration: usize,
    motion: Motion,
) -> SimulatedScan {
    let setup = Setup {
        matrix_size,
        n_channels: 12,
        lines: LineOptions {
            undersampling: Undersampling::Interleaved { acceleration },
            calibration: CalibrationLines::Embedded(20),
            order: LineOrder::Centric,
            ..LineOptions::default()
        },
        motion,
        signal_model: SignalModel::Ideal,
        noise: Noise::SignalToNoise(signal_to_noise),
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

/// The chain with another way to reconstruct.
fn by(method: &str) -> String {
    let chain = include_str!("../config/molli_t1_accelerated.toml");
    let (before, after) = chain.split_once("use = \"reconstruct_series\"\n").expect("the gadget");
    let after = after.split_once('\n').expect("its method").1;
    format!(
        "{before}use = \"reconstruct_series\"\nmethod = \"{method}\"\nprint_iterations = true\n{after}"
    )
}

#[test]
fn a_network_lowers_the_error_and_agrees_with_the_samples_to_the_noise() {
    if !has_runtime() {
        return;
    }
    let server = TestServer::start(&[]);
    // Pixels as fine as the network has seen them, and noise above the ringing that both have.
    let molli = Molli { scheme: "3(3)3(3)5".parse().expect("a scheme"), ..Molli::default() };
    let scan = scan(&molli, [160, 160], 10.0, 6, Motion::still(Rhythm::default()));
    let wall = inside(&scan, Label::Myocardium);
    let [model, network] = ["subspace", "network"].map(|method| {
        let (images, told) = Recording::of(&scan).through_text(&server, &by(method));
        let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{method}: {told:?}"));
        println!("{method}: {told:?}");
        (median_error(map, &wall, 1000.0), told)
    });
    println!("subspace {}, network {}", model.0, network.0);
    assert!(network.0 < 0.9 * model.0, "subspace {}, network {}", model.0, network.0);
    let told = network.1.iter().find(|text| text.contains("by `network`")).expect("a report");
    let numbers = |before: &str, after: &str| -> Vec<f32> {
        let (_, text) = told.split_once(before).expect("the numbers");
        let (text, _) = text.split_once(after).expect("their end");
        text.split(' ').map(|number| number.parse().expect("a number")).collect()
    };
    // Network and samples come nearer to each other in every step.
    let apart = numbers("denoised images and samples ", " apart, ");
    assert_eq!(apart.len(), 3, "{told}");
    assert!(apart.is_sorted_by(|a, b| a > b), "{told}");
    // The first images fit the noise of the samples too; no step goes past where noise puts them, to
    // which coil maps of few lines add.
    let misfits = numbers(" apart, ", " step by step");
    assert_eq!(misfits.len(), 3, "{told}");
    assert!(misfits.iter().all(|misfit| (0.8..1.05).contains(misfit)), "{told}");
    // From next to no denoising to much of it: finite, and T1 not lost.
    for regularisation in ["0.0", "2.0"] {
        let method =
            format!("network\"\nregularisation = {regularisation}\nnetwork = \"series_regulariser");
        let (images, told) = Recording::of(&scan).through_text(&server, &by(&method));
        assert!(told.iter().any(|text| text.contains("by `network`")), "{told:?}");
        let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{told:?}"));
        let median = median_inside(map, &wall);
        println!("regularisation {regularisation}: {median} ms");
        assert!((median / 1000.0 - 1.0).abs() < 0.1, "{regularisation}: {median} ms");
    }
    // Lines farther apart than any it has seen: reconstructed, told, and to be checked.
    let sparse = self::scan(&molli, [160, 160], 15.0, 10, Motion::still(Rhythm::default()));
    let (images, told) = Recording::of(&sparse).through_text(&server, &by("network"));
    let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{told:?}"));
    assert!(
        told.iter().any(|text| text.contains("acceleration 10: the network was trained")),
        "{told:?}"
    );
    let verdict = map.meta.get("BoresideVerdict").unwrap_or_default();
    assert!(verdict.contains("acceleration 10"), "{:?}", map.meta);
    server.stop();
}

#[test]
fn coarse_pixels_are_not_for_the_network_and_that_is_told() {
    if !has_runtime() {
        return;
    }
    let server = TestServer::start(&[]);
    let (images, told) =
        Recording::of(&heart(&Molli::default())).through_text(&server, &by("network"));
    assert!(
        told.iter().any(|text| text.contains("pixel spacing") && text.contains("`subspace`")),
        "{told:?}"
    );
    assert!(with_role(&images, "T1").is_some());
    server.stop();
}

#[test]
fn without_its_network_a_series_is_reconstructed_and_that_is_told() {
    let server = TestServer::start(&[]);
    let chain = by("network\"\nnetwork = \"nowhere");
    let scan = heart(&Molli::default());
    let (images, told) = Recording::of(&scan).through_text(&server, &chain);
    assert!(told.iter().any(|text| text.contains("`subspace` is used instead")), "{told:?}");
    assert!(told.iter().any(|text| text.contains("by `subspace`")), "{told:?}");
    let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{told:?}"));
    let median = median_inside(map, &inside(&scan, Label::Myocardium));
    assert!((median / 1000.0 - 1.0).abs() < 0.05, "{median}");
    server.stop();
}

/// Part of the wall whose T1 is right to 50 ms, where the wall lies best: the pose that a map shows
/// is one of many.
fn share_of_wall(map: &Image, wall: &Array2<bool>) -> f32 {
    let map = values(map);
    let pixels: Vec<_> = wall.indexed_iter().filter(|(_, is)| **is).map(|(at, _)| at).collect();
    let shifts = -8..=8_isize;
    let right = |dy: isize, dx: isize| {
        let t1_ms = pixels
            .iter()
            .map(|(y, x)| map[[0, 0, y.saturating_add_signed(dy), x.saturating_add_signed(dx)]]);
        t1_ms.filter(|t1_ms| (t1_ms - 1000.0).abs() < 50.0).count()
    };
    let best = shifts.clone().flat_map(|dy| shifts.clone().map(move |dx| (dy, dx)));
    let best = best.map(|(dy, dx)| right(dy, dx)).max().unwrap_or(0);
    best as f32 / pixels.len() as f32
}

#[test]
fn motion_in_the_model_keeps_the_wall_of_a_breathing_heart_together() {
    let server = TestServer::start(&[]);
    let breath = FreeBreathing { amplitude_mm: 12.0, ..FreeBreathing::default() };
    let pattern = BreathingPattern::Free(breath);
    let breathing = Breathing::new(&BreathingOptions { pattern, ..BreathingOptions::default() });
    let breathing = breathing.expect("good options");
    let motion = Motion { breathing, ..Motion::still(Rhythm::default()) };
    let scan = scan(&Molli::default(), [160, 160], 40.0, 3, motion);
    let wall = inside(&scan, Label::Myocardium);
    let chain = include_str!("../config/molli_t1_accelerated.toml");
    let chain =
        chain.replace("correct_motion = true", "correct_motion = true\nprint_iterations = true");
    let by_model = chain.replace("method = \"network\"", "method = \"subspace\"");
    let still = by_model.replace("correct_motion = true", "correct_motion = false");
    let [apart, together, by_network] = [&still, &by_model, &chain].map(|chain| {
        let (images, told) = Recording::of(&scan).through_text(&server, chain);
        let map = with_role(&images, "T1").unwrap_or_else(|| panic!("{told:?}"));
        println!("{told:?}");
        let is_in_model = told.iter().any(|text| text.contains("moving by up to"));
        assert_eq!(is_in_model, *chain != still);
        share_of_wall(map, &wall)
    });
    // Where there is no runtime, `subspace` stands in for the network.
    println!(
        "right T1 in {apart} of the wall without, {together} with motion in the model, {by_network} by network"
    );
    for together in [together, by_network] {
        assert!(together > 0.8 && together > apart + 0.1, "{apart} {together}");
    }
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

/// A chain of maps with `reconstruct_series` in the place of its own reconstruction.
fn exchanged(chain: &str, method: &str) -> String {
    let (before, after) = chain.split_once("[[gadget]]\nuse = \"grappa\"\n").expect("its own");
    let (_, after) = after.split_once("[[gadget]]\n").expect("what follows");
    let gadget = format!("[[gadget]]\nuse = \"reconstruct_series\"\nmethod = \"{method}\"\n\n");
    format!("{before}{gadget}[[gadget]]\n{after}")
}

#[test]
fn every_chain_of_maps_takes_undersampled_series_with_this_gadget_in_the_place_of_its_own() {
    let server = TestServer::start(&[]);
    let short: Molli = Molli { scheme: "5(1)1(1)1".parse().expect("a scheme"), ..Molli::default() };
    // Echoes of one excitation have the same lines, and courses of off-resonance beside their decay:
    // each stands for itself.
    let together = (4, "locally_low_rank");
    let alone = (2, "sense");
    type Case<'a> = (&'a dyn Sequence, (usize, &'a str), &'a str, &'a str, f32, f32);
    let cases: [Case<'_>; 5] = [
        (&Molli::default(), together, include_str!("../config/molli_t1.toml"), "T1", 1000.0, 0.05),
        (&short, together, include_str!("../config/shmolli_t1.toml"), "T1", 1000.0, 0.05),
        (&Sasha::default(), together, include_str!("../config/sasha_t1.toml"), "T1", 1000.0, 0.1),
        (&T2Prepared::default(), together, include_str!("../config/t2.toml"), "T2", 50.0, 0.05),
        (&MultiEcho::default(), alone, include_str!("../config/t2_star.toml"), "T2STAR", 35.0, 0.1),
    ];
    for (sequence, (acceleration, method), chain, role, expected, tolerance) in cases {
        let still = Motion::still(Rhythm::default());
        let scan = scan(sequence, [96, 80], 25.0, acceleration, still);
        let (images, told) = Recording::of(&scan).through_text(&server, &exchanged(chain, method));
        let map = with_role(&images, role).unwrap_or_else(|| panic!("{role}: {told:?}"));
        let made_by = map.meta.get("BoresideReconstruction");
        assert_eq!(made_by, Some(method), "{role}: {told:?}");
        let median = median_inside(map, &inside(&scan, Label::Myocardium));
        println!("{role}: {median} ms of {expected}");
        assert!((median / expected - 1.0).abs() < tolerance, "{role}: {median} ms, {told:?}");
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
