use super::*;
use ismrmrd::xml::{
    AccelerationFactor, CalibrationMode, EncodingLimits, EncodingSpace, FieldOfView, Limit,
    MatrixSize, ParallelImaging, Trajectory,
};
use ismrmrd::{AcquisitionHeader, Header};
use ndarray::{Array2, s};
use num_complex::Complex32;
use pipeline::{Message, run_gadget};
use proptest::prelude::*;

const N_SAMPLES: usize = 8;

/// A scan of 6 lines, one partition, without limits.
fn encoding() -> Encoding {
    let space = |x| EncodingSpace {
        matrix_size: MatrixSize { x, y: 6, z: 1 },
        field_of_view_mm: FieldOfView { x: f32::from(x) * 10.0, y: 60.0, z: 5.0 },
    };
    Encoding {
        encoded_space: space(16),
        recon_space: space(8),
        encoding_limits: EncodingLimits {
            kspace_encoding_step_1: Some(Limit::up_to(5, 3)),
            kspace_encoding_step_2: Some(Limit::default()),
            ..EncodingLimits::default()
        },
        trajectory: Trajectory::Cartesian,
        ..Encoding::default()
    }
}

fn accelerated(mode: Option<CalibrationMode>) -> Encoding {
    let imaging = ParallelImaging {
        acceleration_factor: AccelerationFactor {
            kspace_encoding_step_1: 2,
            kspace_encoding_step_2: 1,
        },
        calibration_mode: mode,
        ..ParallelImaging::default()
    };
    Encoding { parallel_imaging: Some(imaging), ..encoding() }
}

fn scan(encoding: Encoding) -> Scan {
    Scan::with_header(Header { encoding: vec![encoding], ..Header::default() })
}

/// A readout of one channel whose samples all are `value`.
fn readout(value: f32, set: impl FnOnce(&mut EncodingCounters)) -> Acquisition {
    let mut header = AcquisitionHeader {
        scan_counter: value as u32,
        center_sample: N_SAMPLES as u16 / 2,
        ..AcquisitionHeader::default()
    };
    let mut idx = header.idx;
    set(&mut idx);
    header.idx = idx;
    Acquisition::new(header, Array2::from_elem((1, N_SAMPLES), Complex32::from(value)))
}

fn line(line: u16) -> Acquisition {
    readout(f32::from(line) + 1.0, |idx| idx.kspace_encode_step_1 = line)
}

fn sort(config: Config, scan: &Scan, bucket: Bucket) -> Result<(Vec<KSpace>, Vec<String>), Error> {
    let (outputs, warnings) = run_gadget::<SortKSpace>(config, scan, [bucket])?;
    let sorted = outputs
        .into_iter()
        .map(|message| match message {
            Message::KSpace(k_space) => k_space,
            other => panic!("{:?} came out", other.kind()),
        })
        .collect();
    Ok((sorted, warnings))
}

fn data(data: Vec<Acquisition>) -> Bucket {
    Bucket { data, ..Bucket::default() }
}

/// Value of each line of the first image's first channel and partition, at the middle sample.
fn values(buffer: &ismrmrd::KSpaceBuffer) -> Vec<f32> {
    let middle = buffer.data.shape()[6] / 2;
    buffer.data.slice(s![0, 0, 0, 0, 0, .., middle]).iter().map(|value| value.re).collect()
}

fn one(config: Config, encoding: Encoding, bucket: Bucket) -> KSpace {
    let (mut sorted, warnings) = sort(config, &scan(encoding), bucket).expect("it sorts");
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(sorted.len(), 1);
    sorted.remove(0)
}

#[test]
fn lines_lie_where_their_counters_say_and_headers_with_them() {
    let sorted = one(Config::default(), encoding(), data([4, 0, 2, 1].map(line).to_vec()));
    assert_eq!(sorted.data.data.shape(), [1, 1, 1, 1, 1, 6, N_SAMPLES]);
    assert_eq!(values(&sorted.data), [1.0, 2.0, 3.0, 0.0, 5.0, 0.0]);
    let headers = &sorted.data.headers;
    assert_eq!({ headers[[0, 0, 0, 0, 4]].scan_counter }, 5);
    assert_eq!({ headers[[0, 0, 0, 0, 3]].version }, 0, "no line was read here");
    let [readout, e1, e2] = sorted.data.sampling.limits;
    assert_eq!((readout.min, readout.center, readout.max), (0, 4, 7));
    // Line 5 was announced and did not come.
    assert_eq!((e1.min, e1.center, e1.max), (0, 3, 4));
    assert_eq!((e2.min, e2.center, e2.max), (0, 0, 0));
    assert_eq!(sorted.data.sampling.encoded_matrix_size, [8, 6, 1], "no oversampling is left");
    assert_eq!(sorted.data.sampling.encoded_field_of_view_mm, [80.0, 60.0, 5.0]);
}

#[test]
fn the_headers_centre_goes_to_the_middle_of_the_matrix() {
    // Partial Fourier: lines 0 to 3 with the centre at 1, of a matrix of 6 (centre 3).
    let mut encoding = accelerated(None);
    encoding.encoding_limits.kspace_encoding_step_1 = Some(Limit::up_to(3, 1));
    let sorted = one(Config::default(), encoding.clone(), data((0..4).map(line).collect()));
    assert_eq!(values(&sorted.data), [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    let e1 = sorted.data.sampling.limits[1];
    assert_eq!((e1.min, e1.center, e1.max), (2, 3, 5));
    // The same without `parallelImaging`: no line is lost.
    encoding.parallel_imaging = None;
    let sorted = one(Config::default(), encoding, data((0..4).map(line).collect()));
    assert_eq!(values(&sorted.data), [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn without_parallel_imaging_the_limits_size_the_buffer() {
    let mut encoding = encoding();
    encoding.encoding_limits.kspace_encoding_step_1 = Some(Limit::up_to(4, 3));
    let sorted = one(Config::default(), encoding, data((0..5).map(line).collect()));
    assert_eq!(values(&sorted.data), [1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn counters_that_are_no_axis_make_buffers_in_ascending_order() {
    let readouts = [(1, 1), (0, 1), (1, 0), (0, 0)].map(|(slice, contrast)| {
        readout(f32::from(10 * slice + contrast + 1), |idx| {
            idx.slice = slice;
            idx.contrast = contrast;
        })
    });
    let config = Config { split_slices: true, ..Config::default() };
    let (sorted, _) = sort(config, &scan(encoding()), data(readouts.to_vec())).expect("it sorts");
    let firsts: Vec<f32> = sorted.iter().map(|k_space| values(&k_space.data)[0]).collect();
    assert_eq!(firsts, [1.0, 2.0, 11.0, 12.0]);
    // Without `split_slices` the slices are an axis.
    let (sorted, _) =
        sort(Config::default(), &scan(encoding()), data(readouts.to_vec())).expect("it sorts");
    assert_eq!(sorted.len(), 2);
    assert_eq!(sorted[1].data.data.shape()[0], 2);
    assert_eq!(sorted[1].data.data[[1, 0, 0, 0, 0, 0, 0]].re, 12.0);
}

#[test]
fn axes_span_what_was_seen_and_begin_there() {
    let readouts = [(3, 7), (5, 8)].map(|(set, segment)| {
        readout(f32::from(set), |idx| {
            idx.set = set;
            idx.segment = segment;
        })
    });
    let config = Config {
        n_dimension: Some(Dimension::Set),
        s_dimension: Some(Dimension::Segment),
        ..Config::default()
    };
    let sorted = one(config, encoding(), data(readouts.to_vec()));
    assert_eq!(sorted.data.data.shape()[..3], [1, 2, 3]);
    assert_eq!(sorted.data.data[[0, 0, 0, 0, 0, 0, 0]].re, 3.0);
    assert_eq!(sorted.data.data[[0, 1, 2, 0, 0, 0, 0]].re, 5.0);
    assert_eq!((sorted.n, sorted.s), (Some(Counter::Set), Some(Counter::Segment)));
}

#[test]
fn segments_share_a_buffer_where_they_are_ignored() {
    let readouts: Vec<_> = (0..2)
        .map(|segment| {
            readout(f32::from(segment) + 1.0, |idx| {
                idx.segment = segment;
                idx.kspace_encode_step_1 = segment;
            })
        })
        .collect();
    let (sorted, _) =
        sort(Config::default(), &scan(encoding()), data(readouts.clone())).expect("it sorts");
    assert_eq!(sorted.len(), 2);
    let config = Config { ignore_segment: true, ..Config::default() };
    let sorted = one(config, encoding(), data(readouts));
    assert_eq!(values(&sorted.data)[..2], [1.0, 2.0]);
}

#[test]
fn embedded_calibration_lies_with_the_data_and_separate_begins_at_its_first_line() {
    let bucket = || Bucket {
        data: [1, 3, 5].map(line).to_vec(),
        reference: [2, 3].map(line).to_vec(),
        ..Bucket::default()
    };
    let mut shifted = accelerated(Some(CalibrationMode::Embedded));
    shifted.encoding_limits.kspace_encoding_step_1 = Some(Limit::up_to(5, 4));
    let sorted =
        one(Config::default(), shifted, Bucket { data: vec![line(1), line(3)], ..bucket() });
    let reference = sorted.reference.expect("there is calibration");
    assert_eq!(values(&sorted.data), [2.0, 0.0, 4.0, 0.0, 0.0, 0.0]);
    assert_eq!(values(&reference), [0.0, 3.0, 4.0, 0.0, 0.0, 0.0]);

    let separate = accelerated(Some(CalibrationMode::Separate));
    let reference = one(Config::default(), separate, bucket()).reference.expect("there is some");
    assert_eq!(values(&reference), [3.0, 4.0]);

    let other = accelerated(Some(CalibrationMode::Other));
    let reference = one(Config::default(), other, bucket()).reference.expect("there is some");
    assert_eq!(values(&reference), [0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);

    let (sorted, warnings) = sort(Config::default(), &scan(encoding()), bucket()).expect("sorts");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(sorted[0].reference.is_some());
}

#[test]
fn calibration_without_data_comes_with_an_empty_buffer() {
    let bucket = Bucket { reference: vec![line(2)], ..Bucket::default() };
    let sorted = one(Config::default(), accelerated(Some(CalibrationMode::Embedded)), bucket);
    assert!(sorted.data.data.is_empty());
    assert!(sorted.reference.is_some());
}

#[test]
fn discarded_samples_are_left_out() {
    let mut readout = line(0);
    readout.data =
        Array2::from_shape_fn((1, N_SAMPLES), |(_, sample)| Complex32::from(sample as f32));
    readout.header.discard_pre = 2;
    readout.header.discard_post = 1;
    // With parallel imaging they keep their place, as zeros.
    let sorted = one(Config::default(), accelerated(None), data(vec![readout.clone()]));
    let samples: Vec<f32> =
        sorted.data.data.slice(s![0, 0, 0, 0, 0, 0, ..]).iter().map(|value| value.re).collect();
    assert_eq!(samples, [0.0, 0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0]);
    let limits = sorted.data.sampling.limits[0];
    assert_eq!((limits.min, limits.center, limits.max), (2, 4, 6));
    // Without, only what is kept has a place.
    let sorted = one(Config::default(), encoding(), data(vec![readout]));
    assert_eq!(sorted.data.data.shape()[6], 5);
    assert_eq!(sorted.data.data[[0, 0, 0, 0, 0, 0, 0]].re, 2.0);
}

#[test]
fn an_echo_that_cannot_be_centred_is_refused() {
    let mut readout = line(0);
    readout.header.center_sample = 2;
    let error = sort(Config::default(), &scan(encoding()), data(vec![readout]))
        .expect_err("there is no room to shift");
    assert!(matches!(error, Error::DoesNotFit { center_sample: 2, .. }), "{error}");
}

#[test]
fn spirals_begin_at_the_first_line_and_keep_their_trajectory() {
    let mut encoding = encoding();
    encoding.trajectory = Trajectory::Spiral;
    encoding.encoding_limits.kspace_encoding_step_1 = None;
    let mut readouts = [4, 6].map(line);
    for readout in &mut readouts {
        readout.trajectory = Array2::from_shape_fn((N_SAMPLES, 2), |(sample, dimension)| {
            (2 * sample + dimension) as f32
        });
    }
    let sorted = one(Config::default(), encoding.clone(), data(readouts.to_vec()));
    assert_eq!(values(&sorted.data), [5.0, 0.0, 7.0]);
    let trajectory = sorted.data.trajectory.expect("there is one");
    assert_eq!(trajectory.shape(), [1, 1, 1, 1, 3, N_SAMPLES, 2]);
    assert_eq!(trajectory[[0, 0, 0, 0, 2, 3, 1]], 7.0);
    readouts[1].trajectory = Array2::zeros((3, 2));
    let error = sort(Config::default(), &scan(encoding), data(readouts.to_vec()))
        .expect_err("the trajectory is too short");
    assert!(matches!(error, Error::Trajectory { scan_counter: 7, .. }), "{error}");
}

#[test]
fn missing_limits_are_told_once_and_the_lines_taken_as_they_are() {
    let mut encoding = encoding();
    encoding.encoding_limits.kspace_encoding_step_1 = None;
    let scan = scan(encoding);
    let buckets = [data((0..6).map(line).collect()), data((0..6).map(line).collect())];
    let (outputs, warnings) =
        run_gadget::<SortKSpace>(Config::default(), &scan, buckets).expect("it sorts");
    assert_eq!(outputs.len(), 2);
    assert_eq!(
        warnings,
        ["the header has no limits of encoding step 1; took lines 0 to 5 as they came, with the \
          centre of k-space at line 3"]
    );
    let error = sort(Config::default(), &scan, data(vec![line(6)])).expect_err("it is outside");
    assert_eq!(
        error.to_string(),
        "readout 7: line 6 of encoding step 1 lies outside the encoded matrix of 6 lines"
    );
}

#[test]
fn a_line_beyond_the_limits_is_an_error_that_names_it() {
    let error = sort(Config::default(), &scan(encoding()), data(vec![line(0), line(9)]))
        .expect_err("line 9 is not announced");
    assert_eq!(
        error.to_string(),
        "readout 10: line 9 of encoding step 1 lies outside the header's limits 0 to 5"
    );
}

#[test]
fn an_announced_line_outside_the_matrix_is_left_out_with_a_warning() {
    let mut encoding = accelerated(None);
    encoding.encoding_limits.kspace_encoding_step_1 = Some(Limit::up_to(7, 4));
    let bucket = data((0..8).map(line).collect());
    let (sorted, warnings) = sort(Config::default(), &scan(encoding), bucket).expect("it sorts");
    assert_eq!(values(&sorted[0].data), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("readout 1: line 0 of encoding step 1"), "{warnings:?}");
}

#[test]
fn limits_without_their_centre_are_refused() {
    let mut encoding = encoding();
    encoding.encoding_limits.kspace_encoding_step_1 =
        Some(Limit { minimum: 0, maximum: 2, center: 5 });
    let error = sort(Config::default(), &scan(encoding), data(vec![line(0)]))
        .expect_err("the centre is outside");
    assert!(matches!(error, Error::CentreOutsideLimits { center: 5, .. }), "{error}");
}

#[test]
fn partitions_are_held_to_their_own_matrix() {
    let mut encoding = encoding();
    encoding.encoded_space.matrix_size = MatrixSize { x: 16, y: 6, z: 12 };
    encoding.encoding_limits.kspace_encoding_step_2 =
        Some(Limit { minimum: 0, maximum: 11, center: 6 });
    let readouts = [0, 6, 11].map(|partition| {
        readout(f32::from(partition) + 1.0, |idx| {
            idx.kspace_encode_step_1 = 3;
            idx.kspace_encode_step_2 = partition;
        })
    });
    let sorted = one(Config::default(), encoding, data(readouts.to_vec()));
    assert_eq!(sorted.data.data.shape()[4], 12);
    assert_eq!(sorted.data.data[[0, 0, 0, 0, 11, 3, 0]].re, 12.0);
    let e2 = sorted.data.sampling.limits[2];
    assert_eq!((e2.min, e2.center, e2.max), (0, 6, 11));
}

#[test]
fn channels_that_change_within_an_image_are_refused() {
    let mut other = line(1);
    other.data = Array2::zeros((3, N_SAMPLES));
    let error = sort(Config::default(), &scan(encoding()), data(vec![line(0), other]))
        .expect_err("the channels differ");
    assert_eq!(error, Error::Channels { scan_counter: 2, found: 3, expected: 1 });
}

#[test]
fn readouts_of_an_unknown_encoding_are_refused() {
    let mut readout = line(0);
    readout.header.encoding_space_ref = 3;
    let error = sort(Config::default(), &scan(encoding()), data(vec![readout]))
        .expect_err("there is one encoding");
    assert_eq!(error, Error::Scan(ScanError::NoEncoding { index: 3, n_encodings: 1 }));
}

#[test]
fn a_bucket_that_asks_for_too_much_is_refused_before_memory_is_taken() {
    let config = Config {
        n_dimension: Some(Dimension::Set),
        s_dimension: Some(Dimension::Phase),
        ..Config::default()
    };
    let far = readout(1.0, |idx| {
        idx.set = u16::MAX;
        idx.phase = u16::MAX;
        idx.slice = u16::MAX;
    });
    let error = sort(config, &scan(encoding()), data(vec![line(0), far])).expect_err("too large");
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    // Many small buffers are counted together.
    let many: Vec<_> = (0..200).map(|set| readout(1.0, |idx| idx.set = set)).collect();
    let config = Config { max_buffer_gib: 1e-4, ..Config::default() };
    let error = sort(config, &scan(encoding()), data(many)).expect_err("too large");
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[test]
fn both_axes_cannot_follow_one_counter() {
    let config = Config {
        n_dimension: Some(Dimension::Set),
        s_dimension: Some(Dimension::Set),
        ..Config::default()
    };
    let error = sort(config, &scan(encoding()), Bucket::default()).expect_err("it is one counter");
    assert_eq!(error, Error::SameAxis);
}

#[test]
fn without_a_header_nothing_can_be_sorted() {
    let error = sort(Config::default(), &Scan::default(), data(vec![line(0)]))
        .expect_err("there is no header");
    assert_eq!(error, Error::Scan(ScanError::NoHeader));
}

fn any_limit() -> impl Strategy<Value = Option<Limit>> {
    let value = || prop_oneof![0_u16..8, any::<u16>()];
    proptest::option::of((value(), value(), value()).prop_map(|(minimum, maximum, center)| Limit {
        minimum,
        maximum,
        center,
    }))
}

proptest! {
    #[test]
    fn no_header_and_no_counters_make_it_panic_or_take_more_than_allowed(
        (y, z) in (any::<u16>(), prop_oneof![0_u16..4, any::<u16>()]),
        limits in (any_limit(), any_limit(), any_limit()),
        trajectory in 0..3,
        mode in 0..6,
        lines in proptest::collection::vec(
            (any::<[u16; 9]>(), any::<[u16; 4]>(), 0_usize..40, 0_usize..3, any::<bool>()), 1..12),
        small in any::<bool>(),
    ) {
        let mut encoding = match mode {
            0 => encoding(),
            1 => accelerated(None),
            2 => accelerated(Some(CalibrationMode::Embedded)),
            3 => accelerated(Some(CalibrationMode::Separate)),
            _ => accelerated(Some(CalibrationMode::Other)),
        };
        encoding.encoded_space.matrix_size = MatrixSize { x: y, y, z };
        encoding.encoding_limits.kspace_encoding_step_1 = limits.0;
        encoding.encoding_limits.kspace_encoding_step_2 = limits.1;
        encoding.encoding_limits.slice = limits.2;
        encoding.trajectory = match trajectory {
            0 => Trajectory::Cartesian,
            1 => Trajectory::Epi,
            _ => Trajectory::Spiral,
        };
        let mut bucket = Bucket::default();
        for (counters, head, n_samples, n_channels, is_reference) in lines {
            let at = |n: usize| if small { counters[n] % 3 } else { counters[n] };
            let mut readout = readout(1.0, |idx| {
                idx.kspace_encode_step_1 = at(0);
                idx.kspace_encode_step_2 = at(1);
                idx.average = at(2);
                idx.slice = at(3);
                idx.contrast = at(4);
                idx.phase = at(5);
                idx.repetition = at(6);
                idx.set = at(7);
                idx.segment = at(8);
            });
            readout.header.discard_pre = head[0] % 8;
            readout.header.discard_post = head[1] % 8;
            readout.header.center_sample = head[2] % 64;
            readout.data = Array2::zeros((n_channels, n_samples));
            readout.trajectory = Array2::zeros((n_samples, usize::from(head[3] % 2)));
            if is_reference { bucket.reference.push(readout) } else { bucket.data.push(readout) }
        }
        let config = Config {
            n_dimension: Some(Dimension::Set),
            s_dimension: Some(Dimension::Average),
            max_buffer_gib: 0.01,
            ..Config::default()
        };
        if let Ok((sorted, _)) = sort(config, &scan(encoding), bucket) {
            let bytes: usize = sorted.iter().map(|k_space| k_space.data.data.len() * 8).sum();
            prop_assert!(bytes <= 11_000_000);
        }
    }
}

#[test]
fn calibration_of_one_set_serves_the_sets_that_have_none() {
    let of_set = |set, value| {
        readout(value, |idx| {
            idx.kspace_encode_step_1 = 2;
            idx.set = set;
        })
    };
    let bucket = Bucket {
        data: (0..3).map(|set| of_set(set, 1.0)).collect(),
        reference: vec![of_set(0, 5.0), of_set(2, 7.0)],
        ..Bucket::default()
    };
    let scan = scan(accelerated(Some(CalibrationMode::Embedded)));
    let (sorted, _) = sort(Config::default(), &scan, bucket).expect("sorted");
    let values: Vec<f32> = sorted
        .iter()
        .map(|k_space| {
            let reference = k_space.reference.as_ref().expect("each set has calibration");
            reference.data[[0, 0, 0, 0, 0, 2, 0]].re
        })
        .collect();
    assert_eq!(values, [5.0, 5.0, 7.0]);
}

#[test]
fn calibration_of_another_slice_or_encoding_space_serves_nobody() {
    let of_slice = |slice, value| {
        readout(value, |idx| {
            idx.kspace_encode_step_1 = 2;
            idx.slice = slice;
        })
    };
    let bucket = || Bucket {
        data: vec![of_slice(0, 1.0), of_slice(1, 1.0)],
        reference: vec![of_slice(1, 5.0)],
        ..Bucket::default()
    };
    let config = Config { split_slices: true, ..Config::default() };
    let with_calibration = accelerated(Some(CalibrationMode::Embedded));
    let (sorted, _) =
        sort(config.clone(), &scan(with_calibration.clone()), bucket()).expect("sorted");
    let has: Vec<bool> = sorted.iter().map(|k_space| k_space.reference.is_some()).collect();
    assert_eq!(has, [false, true]);

    let two = Scan::with_header(Header {
        encoding: vec![with_calibration.clone(), with_calibration],
        ..Header::default()
    });
    let mut other = bucket();
    other.reference[0].header.encoding_space_ref = 1;
    let (sorted, _) = sort(config, &two, other).expect("sorted");
    let has: Vec<_> = sorted.iter().map(|k| (k.encoding_space, k.reference.is_some())).collect();
    assert_eq!(has, [(0, false), (0, false), (1, true)]);
}

#[test]
fn an_asymmetric_echo_that_was_filled_up_keeps_its_place_without_parallel_imaging() {
    let mut filled = line(0);
    filled.header.discard_pre = 3;
    let sorted = one(Config::default(), encoding(), data(vec![filled]));
    let samples: Vec<f32> =
        sorted.data.data.slice(s![0, 0, 0, 0, 0, 0, ..]).iter().map(|value| value.re).collect();
    assert_eq!(samples, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    let limits = sorted.data.sampling.limits[0];
    assert_eq!((limits.min, limits.center, limits.max), (3, 4, 7));
}
