//! The lines of small frames, and of many random ones.

use super::*;

fn pattern(n_lines: usize, change: impl FnOnce(&mut LineOptions)) -> LinePattern {
    let mut options = LineOptions::default();
    change(&mut options);
    LinePattern::new(n_lines, options).expect("lines")
}

/// The first frame of a pattern of 16 lines.
fn frame(change: impl FnOnce(&mut LineOptions)) -> Vec<AcquiredLine> {
    pattern(16, change).frame(0)
}

fn regular(acceleration: usize) -> Undersampling {
    Undersampling::Regular { acceleration }
}

fn indices(lines: &[AcquiredLine]) -> Vec<usize> {
    lines.iter().map(|acquired| acquired.line).collect()
}

fn with_role(frame: &[AcquiredLine], role: LineRole) -> Vec<usize> {
    let lines = frame.iter().filter(|acquired| acquired.role == role);
    lines.map(|acquired| acquired.line).collect()
}

#[test]
fn embedded_calibration_fills_the_gaps_around_the_centre() {
    let pattern = pattern(16, |options| {
        options.undersampling = regular(4);
        options.calibration = CalibrationLines::Embedded(6);
    });
    let lines = pattern.frame(0);
    assert_eq!(indices(&lines), [0, 4, 5, 6, 7, 8, 9, 10, 12]);
    assert_eq!(with_role(&lines, LineRole::CalibrationAndImage), [8]);
    assert_eq!(with_role(&lines, LineRole::Calibration), [5, 6, 7, 9, 10]);
    assert_eq!(with_role(&lines, LineRole::Image), [0, 4, 12]);
    assert!(pattern.separate_calibration().is_empty());
}

#[test]
fn regular_lines_include_the_centre_and_are_as_far_apart_as_asked_for() {
    for n_lines in [1, 2, 15, 16, 17, 18] {
        for acceleration in 1..=8 {
            let pattern = pattern(n_lines, |o| o.undersampling = regular(acceleration));
            let lines = indices(&pattern.frame(0));
            assert!(lines.contains(&(n_lines / 2)));
            assert!(lines.windows(2).all(|pair| pair[1] - pair[0] == acceleration));
            assert!(lines[0] < acceleration && lines[lines.len() - 1] + acceleration >= n_lines);
        }
    }
}

#[test]
fn separate_calibration_is_no_part_of_the_frame() {
    let pattern = pattern(16, |options| {
        options.undersampling = regular(4);
        options.calibration = CalibrationLines::Separate(3);
    });
    let lines = pattern.frame(0);
    assert_eq!(indices(&lines), [0, 4, 8, 12]);
    assert!(lines.iter().all(|acquired| acquired.role == LineRole::Image));
    assert_eq!(pattern.separate_calibration(), 7..10);
}

#[test]
fn interleaved_frames_have_all_lines_together() {
    let options = |options: &mut LineOptions| {
        options.undersampling = Undersampling::Interleaved { acceleration: 4 };
    };
    let pattern = pattern(16, options);
    assert_eq!(indices(&pattern.frame(0)), [0, 4, 8, 12]);
    assert_eq!(indices(&pattern.frame(3)), [3, 7, 11, 15]);
    assert_eq!(pattern.frame(5), pattern.frame(1));
    let mut all: Vec<usize> = (0..4).flat_map(|n| indices(&pattern.frame(n))).collect();
    all.sort_unstable();
    assert_eq!(all, (0..16).collect::<Vec<_>>());
}

#[test]
fn partial_fourier_leaves_out_low_lines_and_keeps_the_centre() {
    for (fraction, first) in [(1.0, 0), (0.75, 4), (0.625, 6), (0.5, 8)] {
        let lines = frame(|options| options.partial_fourier = fraction);
        assert_eq!(indices(&lines), (first..16).collect::<Vec<_>>());
    }
    let odd = pattern(15, |options| options.partial_fourier = 0.5).frame(0);
    assert_eq!(indices(&odd), (7..15).collect::<Vec<_>>());
    let undersampled = frame(|options| {
        (options.partial_fourier, options.undersampling) = (0.75, regular(2));
        options.calibration = CalibrationLines::Embedded(4);
    });
    assert_eq!(indices(&undersampled), [4, 6, 7, 8, 9, 10, 12, 14]);
}

#[test]
fn orders_are_permutations() {
    let order = |order| indices(&frame(|options| options.order = order));
    assert_eq!(order(LineOrder::Reverse), (0..16).rev().collect::<Vec<_>>());
    let centric = order(LineOrder::Centric);
    assert_eq!(centric[..5], [8, 7, 9, 6, 10]);
    let mut sorted = centric;
    sorted.sort_unstable();
    assert_eq!(sorted, order(LineOrder::Linear));
}

fn random(acceleration: f64) -> LinePattern {
    let undersampling = random_undersampling(acceleration);
    pattern(161, |options| options.undersampling = undersampling)
}

fn random_undersampling(acceleration: f64) -> Undersampling {
    Undersampling::VariableDensity {
        acceleration,
        n_center_lines: 8,
        k0_lines: 20.0,
        power: 2.0,
        seed: 4,
    }
}

#[test]
fn random_frames_meet_the_acceleration_and_differ() {
    for acceleration in [1.0, 2.5, 6.0, 8.0] {
        let pattern = random(acceleration);
        let frames: Vec<Vec<usize>> = (0..4).map(|n| indices(&pattern.frame(n))).collect();
        for lines in &frames {
            assert_eq!(lines.len(), (161.0 / acceleration).round() as usize);
            assert!((76..84).all(|line| lines.contains(&line)));
            assert!(lines.is_sorted());
        }
        assert_eq!(frames[0] != frames[1], acceleration > 1.0);
        assert_eq!(frames[2], indices(&pattern.frame(2)));
    }
}

#[test]
fn random_lines_have_the_density_that_was_asked_for() {
    let pattern = random(6.0);
    let n_frames = 2000;
    let mut hits = [0.0; 161];
    for n in 0..n_frames {
        for acquired in pattern.frame(n) {
            hits[acquired.line] += 1.0;
        }
    }
    // Ten lines on either side at 20 and at 60: densities 1/4 and 1/16. Without
    // replacement the dense part saturates a little.
    let sum = |from: usize| hits[80 + from..90 + from].iter().sum::<f64>();
    let ratio = sum(15) / sum(55);
    assert!((2.9..4.2).contains(&ratio), "{ratio}");
}

#[test]
fn an_asymmetric_echo_moves_the_centre() {
    let window = ReadoutWindow::asymmetric_echo(256, 40).expect("samples");
    assert_eq!((window.first_sample, window.n_samples, window.center_sample), (40, 216, 88));
    assert_eq!(ReadoutWindow::full(256).expect("samples").center_sample, 128);
    assert!(ReadoutWindow::asymmetric_echo(256, 129).is_err());
    assert!(ReadoutWindow::full(0).is_err());
}

#[test]
fn faults_say_what_to_choose() {
    let error = |change: fn(&mut LineOptions)| {
        let mut options = LineOptions::default();
        change(&mut options);
        LinePattern::new(16, options).expect_err("a fault").to_string()
    };
    let empty = LinePattern::new(0, LineOptions::default()).expect_err("a fault");
    assert_eq!(empty.to_string(), "the number of lines is 0: choose 1 to 4096");
    assert_eq!(error(|o| o.undersampling = regular(0)), "the acceleration is 0: choose 1 to 16");
    assert_eq!(
        error(|o| o.partial_fourier = f64::NAN),
        "the partial Fourier fraction is NaN: choose 0.5 to 1"
    );
    assert_eq!(
        error(|o| {
            (o.partial_fourier, o.calibration) = (0.5, CalibrationLines::Embedded(8));
        }),
        "8 calibration lines reach below line 8, where partial Fourier begins: \
         choose fewer, a larger fraction, or separate calibration"
    );
    assert_eq!(
        error(|o| o.undersampling = random_undersampling(8.0)),
        "8 lines of the centre are more than the 2 that the acceleration leaves: \
         choose fewer lines or a smaller acceleration"
    );
}
