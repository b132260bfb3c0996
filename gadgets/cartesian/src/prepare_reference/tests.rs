use super::*;

use bytemuck::Zeroable;
use ismrmrd::xml::{
    AccelerationFactor, EncodingLimits, EncodingSpace, FieldOfView, Header, Limit, MatrixSize,
    ParallelImaging,
};
use ismrmrd::{AcquisitionHeader, SamplingDescription, SamplingLimit};
use ndarray::{Array5, ArrayD, IxDyn, s};
use num_complex::Complex32;
use pipeline::{Message, run_gadget};

const N_LINES: usize = 16;
const N_READOUT: usize = 8;

fn scan(mode: Option<CalibrationMode>, acceleration: u16) -> Scan {
    let space = EncodingSpace {
        matrix_size: MatrixSize { x: N_READOUT as u16, y: N_LINES as u16, z: 1 },
        field_of_view_mm: FieldOfView { x: 300.0, y: 300.0, z: 5.0 },
    };
    Scan::with_header(Header {
        encoding: vec![Encoding {
            encoded_space: space,
            recon_space: space,
            encoding_limits: EncodingLimits {
                kspace_encoding_step_1: Some(Limit::up_to(N_LINES as u16 - 1, N_LINES as u16 / 2)),
                ..EncodingLimits::default()
            },
            trajectory: Trajectory::Cartesian,
            trajectory_description: None,
            parallel_imaging: Some(ParallelImaging {
                acceleration_factor: AccelerationFactor {
                    kspace_encoding_step_1: acceleration,
                    kspace_encoding_step_2: 1,
                },
                calibration_mode: mode,
                ..ParallelImaging::default()
            }),
            echo_train_length: None,
        }],
        ..Header::default()
    })
}

/// A buffer of `n` images and `n_lines` places in which the lines of `read(n)` were read, each
/// with `value(n, line)` in all samples of the first channel and twice that in the second.
fn buffer(
    n_images: usize,
    n_lines: usize,
    read: impl Fn(usize) -> Vec<usize>,
    value: impl Fn(usize, usize) -> f32,
) -> KSpaceBuffer {
    let mut data = ArrayD::zeros(IxDyn(&[1, 1, n_images, 2, 1, n_lines, N_READOUT]));
    let mut headers =
        Array5::from_shape_fn((1, 1, n_images, 1, n_lines), |_| AcquisitionHeader::zeroed());
    for n in 0..n_images {
        for line in read(n) {
            let mut header = AcquisitionHeader { scan_counter: 1, ..AcquisitionHeader::default() };
            header.idx.kspace_encode_step_1 = line as u16;
            header.idx.set = n as u16;
            headers[[0, 0, n, 0, line]] = header;
            for channel in 0..2 {
                let value = Complex32::from(value(n, line) * (channel + 1) as f32);
                data.slice_mut(s![0, 0, n, channel, 0, line, ..]).fill(value);
            }
        }
    }
    let limit =
        |len: usize| SamplingLimit { min: 0, center: (len / 2) as u16, max: (len - 1) as u16 };
    KSpaceBuffer {
        data,
        trajectory: None,
        density: None,
        headers,
        sampling: SamplingDescription {
            encoded_matrix_size: [N_READOUT as u16, N_LINES as u16, 1],
            limits: [limit(N_READOUT), limit(N_LINES), limit(1)],
            ..SamplingDescription::default()
        },
    }
}

fn k_space(data: KSpaceBuffer, reference: Option<KSpaceBuffer>) -> KSpace {
    KSpace { encoding_space: 0, s: None, n: None, data, reference, waveforms: Vec::new() }
}

fn run(config: Config, scan: &Scan, inputs: Vec<KSpace>) -> Vec<KSpace> {
    let (outputs, warnings) =
        run_gadget::<PrepareReference>(config, scan, inputs).expect("it is prepared");
    assert_eq!(warnings, Vec::<String>::new());
    outputs
        .into_iter()
        .map(|message| match message {
            Message::KSpace(k_space) => k_space,
            other => panic!("{:?} came out", other.kind()),
        })
        .collect()
}

fn every_second(_: usize) -> Vec<usize> {
    (0..N_LINES).step_by(2).collect()
}

/// The first sample of each line of an image.
fn line_values(buffer: &KSpaceBuffer, n: usize, channel: usize) -> Vec<f32> {
    buffer.data.slice(s![0, 0, n, channel, 0, .., 0]).iter().map(|value| value.re).collect()
}

fn limits(buffer: &KSpaceBuffer) -> (u16, u16, u16) {
    let limit = buffer.sampling.limits[1];
    (limit.min, limit.center, limit.max)
}

#[test]
fn embedded_lines_are_averaged_along_n_and_cut_to_where_they_lie() {
    let reference = buffer(3, N_LINES, |_| (6..10).collect(), |n, line| (10 * n + line) as f32);
    let data = buffer(3, N_LINES, every_second, |_, _| 1.0);
    let scan = scan(Some(CalibrationMode::Embedded), 2);
    let out = run(Config::default(), &scan, vec![k_space(data, Some(reference))]).remove(0);
    let reference = out.reference.expect("it is there");
    assert_eq!(reference.data.shape(), [1, 1, 1, 2, 1, 4, N_READOUT]);
    assert_eq!(line_values(&reference, 0, 0), [16.0, 17.0, 18.0, 19.0], "mean of n = 0, 1, 2");
    assert_eq!(line_values(&reference, 0, 1), [32.0, 34.0, 36.0, 38.0]);
    assert_eq!(limits(&reference), (6, 8, 9));
    assert_eq!(out.data.data.shape()[5], N_LINES, "the data stay");
}

#[test]
fn lines_of_n_are_kept_apart_or_one_is_taken_on_demand() {
    let reference = || buffer(3, N_LINES, |_| (6..10).collect(), |n, _| n as f32);
    let data = || buffer(3, N_LINES, every_second, |_, _| 1.0);
    let scan = scan(Some(CalibrationMode::Embedded), 2);
    let values = |config: Config| -> Vec<f32> {
        let out = run(config, &scan, vec![k_space(data(), Some(reference()))]).remove(0);
        let reference = out.reference.expect("it is there");
        (0..reference.data.shape()[2]).map(|n| line_values(&reference, n, 0)[0]).collect()
    };
    let apart = Config { average_all_ref_n: false, ..Config::default() };
    assert_eq!(values(apart), [0.0, 1.0, 2.0]);
    assert_eq!(values(Config { n_for_ref: 2, ..Config::default() }), [2.0]);
    assert_eq!(values(Config { n_for_ref: 3, ..Config::default() }), [1.0], "no such n: the mean");
}

#[test]
fn images_without_calibration_are_no_part_of_the_mean_and_borrow_it() {
    let only_second = |n: usize| if n == 1 { (6..10).collect() } else { Vec::new() };
    let reference = || buffer(3, N_LINES, only_second, |_, line| line as f32);
    let data = || buffer(3, N_LINES, every_second, |_, _| 1.0);
    let scan = scan(Some(CalibrationMode::Embedded), 2);
    for average_all_ref_n in [true, false] {
        let config = Config { average_all_ref_n, ..Config::default() };
        let out = run(config, &scan, vec![k_space(data(), Some(reference()))]).remove(0);
        let reference = out.reference.expect("it is there");
        for n in 0..reference.data.shape()[2] {
            assert_eq!(line_values(&reference, n, 0), [6.0, 7.0, 8.0, 9.0]);
        }
    }
}

#[test]
fn interleaved_frames_together_are_the_calibration_each_line_as_often_as_it_was_read() {
    // Three frames at R = 2: the even lines were read twice.
    let lines = |n: usize| (n % 2..N_LINES).step_by(2).collect::<Vec<_>>();
    let data = buffer(3, N_LINES, lines, |n, line| (line + n) as f32);
    let scan = scan(Some(CalibrationMode::Interleaved), 2);
    let out = run(Config::default(), &scan, vec![k_space(data, None)]).remove(0);
    let reference = out.reference.expect("the data are");
    // n = 0 and 2 have even lines: mean line + 1; n = 1 has the odd ones: line + 1.
    let expected: Vec<f32> = (0..N_LINES).map(|line| line as f32 + 1.0).collect();
    assert_eq!(line_values(&reference, 0, 0), expected);
}

#[test]
fn without_acceleration_the_data_are_the_reference() {
    let data = buffer(1, N_LINES, |_| (4..N_LINES).collect(), |_, line| line as f32);
    let scan = scan(None, 1);
    let out = run(Config::default(), &scan, vec![k_space(data, None)]).remove(0);
    let reference = out.reference.expect("the data are");
    assert_eq!(reference.data.shape()[5], 12, "partial Fourier is cut");
    assert_eq!(limits(&reference), (4, 8, 15));
}

#[test]
fn lines_of_their_own_lie_by_their_numbers_or_in_the_middle() {
    let scan = scan(Some(CalibrationMode::Separate), 2);
    for (first_number, expected) in [(5, (5, 8, 10)), (0, (5, 8, 10)), (6, (6, 8, 11))] {
        let mut reference = buffer(1, 6, |_| (0..6).collect(), |_, _| 1.0);
        for ((.., line), header) in reference.headers.indexed_iter_mut() {
            header.idx.kspace_encode_step_1 = (first_number + line) as u16;
        }
        let data = buffer(1, N_LINES, every_second, |_, _| 1.0);
        let out = run(Config::default(), &scan, vec![k_space(data, Some(reference))]).remove(0);
        let reference = out.reference.expect("it is there");
        assert_eq!(limits(&reference), expected, "first line {first_number}");
    }
}

#[test]
fn a_gap_is_closed_by_a_line_of_the_image_or_cut_off() {
    let scan = scan(Some(CalibrationMode::Embedded), 2);
    let gap = || buffer(1, N_LINES, |_| vec![5, 6, 7, 9, 10], |_, line| line as f32);
    let even = buffer(1, N_LINES, every_second, |_, line| line as f32);
    let out = run(Config::default(), &scan, vec![k_space(even, Some(gap()))]).remove(0);
    let reference = out.reference.expect("it is there");
    assert_eq!(line_values(&reference, 0, 0), [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]);
    // The image has the odd lines, so line 8 is missing for good.
    let odd = buffer(1, N_LINES, |_| (1..N_LINES).step_by(2).collect(), |_, line| line as f32);
    let out = run(Config::default(), &scan, vec![k_space(odd, Some(gap()))]).remove(0);
    let reference = out.reference.expect("it is there");
    assert_eq!(line_values(&reference, 0, 0), [5.0, 6.0, 7.0]);
}

#[test]
fn one_calibration_serves_what_comes_before_and_after_it_of_the_same_slice() {
    let scan = scan(Some(CalibrationMode::Separate), 2);
    let marked = |slice: u16, value: f32| {
        let mut data = buffer(1, N_LINES, every_second, |_, _| value);
        data.headers.iter_mut().filter(|line| was_read(line)).for_each(|l| l.idx.slice = slice);
        data
    };
    let mut reference = buffer(1, 6, |_| (0..6).collect(), |_, _| 7.0);
    reference.headers.iter_mut().for_each(|line| line.idx.slice = 1);
    let inputs = vec![
        k_space(marked(0, 0.0), None),
        k_space(marked(1, 1.0), None),
        k_space(marked(1, 2.0), Some(reference)),
        k_space(marked(1, 3.0), None),
    ];
    let out = run(Config::default(), &scan, inputs);
    let seen: Vec<(f32, bool)> =
        out.iter().map(|k| (line_values(&k.data, 0, 0)[0], k.reference.is_some())).collect();
    // Slice 0 has none: it comes at the end, without.
    assert_eq!(seen, [(1.0, true), (2.0, true), (3.0, true), (0.0, false)]);
}

#[test]
fn the_first_calibration_stays_where_it_is_to_be_prepared_once() {
    let scan = scan(Some(CalibrationMode::Embedded), 2);
    let input = |value: f32| {
        let reference = buffer(1, N_LINES, |_| (6..10).collect(), move |_, _| value);
        k_space(buffer(1, N_LINES, every_second, |_, _| 1.0), Some(reference))
    };
    let once = Config { prepare_ref_always: false, ..Config::default() };
    for (config, expected) in [(once, [1.0, 1.0]), (Config::default(), [1.0, 2.0])] {
        let out = run(config, &scan, vec![input(1.0), input(2.0)]);
        let values: Vec<f32> = out
            .iter()
            .map(|k| line_values(k.reference.as_ref().expect("it is there"), 0, 0)[0])
            .collect();
        assert_eq!(values, expected);
    }
}

#[test]
fn embedded_lines_fill_the_data_on_demand() {
    let scan = scan(Some(CalibrationMode::Embedded), 2);
    let reference = buffer(1, N_LINES, |_| (6..10).collect(), |_, _| 5.0);
    let data = buffer(1, N_LINES, every_second, |_, _| 1.0);
    let config = Config { ref_fill_into_data_embedded: true, ..Config::default() };
    let out = run(config, &scan, vec![k_space(data, Some(reference))]).remove(0);
    assert_eq!(line_values(&out.data, 0, 0)[5..11], [0.0, 1.0, 5.0, 1.0, 5.0, 1.0]);
    assert!(was_read(&out.data.headers[[0, 0, 0, 0, 7]]));
}

#[test]
fn k_space_without_its_axes_is_refused() {
    let mut flat = buffer(1, N_LINES, every_second, |_, _| 1.0);
    flat.data = ArrayD::zeros(IxDyn(&[2, 2]));
    let scan = scan(None, 1);
    let error = run_gadget::<PrepareReference>(Config::default(), &scan, [k_space(flat, None)])
        .expect_err("axes are missing");
    assert!(error.to_string().starts_with("k-space of shape [2, 2]"), "{error}");
}

#[test]
fn interleaved_frames_that_come_one_by_one_wait_until_all_lines_were_seen() {
    let scan = scan(Some(CalibrationMode::Interleaved), 2);
    let frame = |n: usize| {
        let lines = move |_| (n % 2..N_LINES).step_by(2).collect::<Vec<_>>();
        k_space(buffer(1, N_LINES, lines, |_, _| n as f32), None)
    };
    let out = run(Config::default(), &scan, (0..4).map(frame).collect());
    assert_eq!(out.len(), 4);
    let calibration: Vec<[f32; 2]> = out
        .iter()
        .map(|k_space| {
            let lines = line_values(k_space.reference.as_ref().expect("it is there"), 0, 0);
            assert_eq!(lines.len(), N_LINES);
            [lines[0], lines[1]]
        })
        .collect();
    // The first frame waits for the second; then the newest lines are taken.
    assert_eq!(calibration, [[0.0, 1.0], [0.0, 1.0], [2.0, 1.0], [2.0, 3.0]]);
}
