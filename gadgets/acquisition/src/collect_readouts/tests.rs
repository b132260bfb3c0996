use super::*;
use ismrmrd::xml::{Encoding, EncodingLimits, Limit};
use ismrmrd::{AcquisitionFlags, AcquisitionHeader, EncodingCounters, Header, WaveformHeader};
use pipeline::{Message, run_gadget};

const LAST_IN_REPETITION: AcquisitionFlags = AcquisitionFlags::LAST_IN_REPETITION;
const LAST_IN_SLICE: AcquisitionFlags = AcquisitionFlags::LAST_IN_SLICE;

fn readout(flags: AcquisitionFlags, set: impl FnOnce(&mut EncodingCounters)) -> Readings {
    let mut idx = EncodingCounters::default();
    set(&mut idx);
    let header = AcquisitionHeader { flags, idx, ..AcquisitionHeader::default() };
    Acquisition::new(header, Default::default()).into()
}

fn plain(set: impl FnOnce(&mut EncodingCounters)) -> Readings {
    readout(AcquisitionFlags::NONE, set)
}

fn waveform(time_stamp: u32) -> Readings {
    let header = WaveformHeader { time_stamp, ..WaveformHeader::default() };
    Waveform { header, data: Default::default() }.into()
}

fn trigger(trigger: Dimension) -> Config {
    Config { trigger_dimension: Some(trigger), ..Config::default() }
}

fn scan(set: impl FnOnce(&mut EncodingLimits)) -> Scan {
    let mut encoding = Encoding::default();
    set(&mut encoding.encoding_limits);
    Scan::with_header(Header { encoding: vec![encoding], ..Header::default() })
}

/// Sizes of the buckets after each reading, and at the end.
fn releases(config: Config, scan: &Scan, inputs: Vec<Readings>) -> (Vec<Vec<usize>>, Vec<String>) {
    let mut gadget = CollectReadouts::new(config, scan).unwrap_or_else(|never| match never {});
    let mut warnings = Vec::new();
    let mut steps = Vec::new();
    for reading in inputs.into_iter().map(Some).chain([None]) {
        let mut sizes = Vec::new();
        let mut forward = |message| match message {
            Message::Bucket(bucket) => sizes.push(bucket.data.len()),
            other => panic!("{:?} came out", other.kind()),
        };
        let mut warn = |_, what, _| warnings.push(what);
        let mut sink = Sink::new(&mut forward, &mut warn);
        let done = match reading {
            Some(reading) => gadget.process(reading, &mut sink),
            None => gadget.finish(&mut sink),
        };
        done.unwrap_or_else(|never| match never {});
        steps.push(sizes);
    }
    (steps, warnings)
}

fn buckets(config: Config, inputs: Vec<Readings>) -> Vec<Bucket> {
    let (outputs, _) = run_gadget::<CollectReadouts>(config, &Scan::default(), inputs)
        .unwrap_or_else(|never| match never {});
    outputs
        .into_iter()
        .map(|message| match message {
            Message::Bucket(bucket) => bucket,
            other => panic!("{:?} came out", other.kind()),
        })
        .collect()
}

#[test]
fn a_change_of_the_counter_releases_one_bucket_per_sorting_value_in_ascending_order() {
    let config =
        Config { sorting_dimension: Some(Dimension::Slice), ..trigger(Dimension::Repetition) };
    let inputs = [(0, 2), (0, 0), (0, 2), (1, 1)]
        .map(|(repetition, slice)| {
            plain(|idx| {
                idx.repetition = repetition;
                idx.slice = slice;
            })
        })
        .into_iter()
        .collect();
    let (steps, warnings) = releases(config, &Scan::default(), inputs);
    assert_eq!(steps, [vec![], vec![], vec![], vec![1, 2], vec![1]]);
    assert!(warnings.is_empty());
}

#[test]
fn without_trigger_everything_waits_for_the_end() {
    let inputs = (0..3).map(|set| plain(|idx| idx.set = set)).collect();
    let (steps, _) = releases(Config::default(), &Scan::default(), inputs);
    assert_eq!(steps, [vec![], vec![], vec![], vec![3]]);
}

#[test]
fn readouts_are_counted_for_n_acquisitions() {
    let config = Config {
        n_acquisitions_before_trigger: 2,
        n_acquisitions_before_ongoing_trigger: 1,
        ..trigger(Dimension::NAcquisitions)
    };
    let inputs = (0..4).map(|_| plain(|_| {})).collect();
    let (steps, _) = releases(config, &Scan::default(), inputs);
    assert_eq!(steps, [vec![], vec![2], vec![1], vec![1], vec![]]);
}

#[test]
fn flags_say_what_is_data_and_what_is_calibration() {
    use AcquisitionFlags as Flags;
    let cases = [
        (Flags::NONE, 1, 0),
        (Flags::IS_PARALLEL_CALIBRATION, 0, 1),
        (Flags::IS_PARALLEL_CALIBRATION_AND_IMAGING, 1, 1),
        (Flags::IS_PARALLEL_CALIBRATION | Flags::IS_PARALLEL_CALIBRATION_AND_IMAGING, 0, 1),
        (Flags::IS_PHASECORR_DATA, 0, 0),
        (Flags::IS_PHASECORR_DATA | Flags::IS_PARALLEL_CALIBRATION, 0, 1),
        (Flags::IS_REVERSE | Flags::LAST_IN_SLICE, 1, 0),
        (Flags::IS_NOISE_MEASUREMENT, 0, 0),
        (Flags::IS_DUMMYSCAN_DATA, 0, 0),
        (Flags::IS_NAVIGATION_DATA, 0, 0),
        (Flags::IS_HPFEEDBACK_DATA, 0, 0),
        (Flags::IS_RTFEEDBACK_DATA | Flags::IS_PARALLEL_CALIBRATION, 0, 0),
    ];
    for (flags, n_data, n_reference) in cases {
        let buckets = buckets(Config::default(), vec![readout(flags, |_| {})]);
        let found =
            buckets.first().map_or((0, 0), |bucket| (bucket.data.len(), bucket.reference.len()));
        assert_eq!(found, (n_data, n_reference), "{flags:?}");
        assert_eq!(buckets.is_empty(), n_data + n_reference == 0, "no empty bucket: {flags:?}");
    }
}

#[test]
fn waveforms_go_with_the_first_bucket_of_a_release() {
    let config =
        Config { sorting_dimension: Some(Dimension::Slice), ..trigger(Dimension::Repetition) };
    let inputs = vec![
        plain(|idx| idx.slice = 1),
        waveform(1),
        plain(|idx| idx.slice = 0),
        waveform(2),
        plain(|idx| idx.repetition = 1),
    ];
    let buckets = buckets(config, inputs);
    let counts: Vec<_> = buckets.iter().map(|bucket| bucket.waveforms.len()).collect();
    assert_eq!(counts, [2, 0, 0]);
    assert_eq!(buckets[0].data[0].header.idx.slice, 0);
}

#[test]
fn waveforms_alone_come_in_a_bucket_without_readouts() {
    let buckets = buckets(trigger(Dimension::Slice), vec![waveform(1)]);
    assert_eq!(buckets.len(), 1);
    assert_eq!((buckets[0].data.len(), buckets[0].waveforms.len()), (0, 1));
}

#[test]
fn the_flag_of_the_trigger_releases_at_once() {
    let inputs = || {
        (0..2)
            .flat_map(|repetition| {
                [AcquisitionFlags::NONE, LAST_IN_REPETITION]
                    .map(|flags| readout(flags, |idx| idx.repetition = repetition))
            })
            .collect()
    };
    let config = trigger(Dimension::Repetition);
    let (steps, warnings) = releases(config.clone(), &Scan::default(), inputs());
    assert_eq!(steps, [vec![], vec![2], vec![], vec![2], vec![]]);
    assert!(warnings.is_empty());
    let config = Config { release_early: false, ..config };
    let (steps, _) = releases(config, &Scan::default(), inputs());
    assert_eq!(steps, [vec![], vec![], vec![2], vec![], vec![2]]);
}

#[test]
fn other_flags_release_nothing() {
    let inputs = vec![
        readout(LAST_IN_SLICE, |_| {}),
        readout(AcquisitionFlags::LAST_IN_MEASUREMENT, |_| {}),
    ];
    let (steps, _) = releases(trigger(Dimension::Repetition), &Scan::default(), inputs);
    assert_eq!(steps, [vec![], vec![], vec![2]]);
}

/// Lines × echoes of one slice; the last line of every echo is flagged.
fn multi_echo(interleaved: bool) -> Vec<Readings> {
    let (n_lines, n_echoes) = (3, 3);
    let one = |line: u16, echo: u16| {
        let flags = if line + 1 == n_lines { LAST_IN_SLICE } else { AcquisitionFlags::NONE };
        readout(flags, |idx| {
            idx.kspace_encode_step_1 = line;
            idx.contrast = echo;
        })
    };
    if interleaved {
        (0..n_lines).flat_map(|line| (0..n_echoes).map(move |echo| one(line, echo))).collect()
    } else {
        (0..n_echoes).flat_map(|echo| (0..n_lines).map(move |line| one(line, echo))).collect()
    }
}

#[test]
fn a_flag_per_echo_does_not_tear_the_echoes_apart() {
    let config = trigger(Dimension::Slice);
    let three_echoes = scan(|limits| limits.contrast = Some(Limit::up_to(2, 0)));
    for (interleaved, scan) in
        [(true, &Scan::default()), (true, &three_echoes), (false, &three_echoes)]
    {
        let (steps, warnings) = releases(config.clone(), scan, multi_echo(interleaved));
        let expected: Vec<Vec<usize>> =
            (0..10).map(|step| if step == 8 { vec![9] } else { vec![] }).collect();
        assert_eq!(steps, expected, "interleaved {interleaved}");
        assert!(warnings.is_empty());
    }
}

#[test]
fn one_flag_at_the_very_end_releases_groups_of_equal_size() {
    let mut inputs = multi_echo(true);
    for reading in &mut inputs[..8] {
        if let Readings::Acquisition(readout) = reading {
            readout.header.flags = AcquisitionFlags::NONE;
        }
    }
    let (steps, _) = releases(trigger(Dimension::Slice), &Scan::default(), inputs);
    assert_eq!(steps[8], [9]);
}

#[test]
fn echoes_that_the_header_did_not_announce_make_a_bucket_of_their_own_with_one_warning() {
    let (steps, warnings) =
        releases(trigger(Dimension::Slice), &Scan::default(), multi_echo(false));
    assert_eq!((&steps[2][..], &steps[5][..], &steps[8][..]), (&[3][..], &[3][..], &[3][..]));
    assert_eq!(
        warnings,
        [
            "readouts of slice 0 arrive after everything of it seemed to be there; they make a bucket \
          of their own"
        ]
    );
}

#[test]
fn all_slices_sets_and_repetitions_of_the_header_are_waited_for() {
    type Case = (fn(&mut EncodingLimits), fn(&mut EncodingCounters));
    let counters: [Case; 5] = [
        (|limits| limits.set = Some(Limit::up_to(1, 0)), |idx| idx.set = 1),
        (|limits| limits.phase = Some(Limit::up_to(1, 0)), |idx| idx.phase = 1),
        (|limits| limits.average = Some(Limit::up_to(1, 0)), |idx| idx.average = 1),
        (|limits| limits.contrast = Some(Limit::up_to(1, 0)), |idx| idx.contrast = 1),
        (|limits| limits.repetition = Some(Limit::up_to(1, 0)), |idx| idx.repetition = 1),
    ];
    for (limit, set) in counters {
        let inputs = vec![readout(LAST_IN_SLICE, |_| {}), readout(LAST_IN_SLICE, set)];
        let (steps, _) = releases(trigger(Dimension::Slice), &scan(limit), inputs);
        assert_eq!(steps, [vec![], vec![2], vec![]]);
    }
}

#[test]
fn a_flag_per_partition_or_segment_waits_for_all_of_them() {
    type Case = (fn(&mut EncodingLimits), fn(&mut EncodingCounters, u16));
    let cases: [Case; 2] = [
        (
            |limits| limits.kspace_encoding_step_2 = Some(Limit::up_to(3, 2)),
            |idx, value| idx.kspace_encode_step_2 = value,
        ),
        (|limits| limits.segment = Some(Limit::up_to(3, 0)), |idx, value| idx.segment = value),
    ];
    for (limit, set) in cases {
        let inputs = (0..4).map(|value| readout(LAST_IN_SLICE, |idx| set(idx, value))).collect();
        let (steps, _) = releases(trigger(Dimension::Slice), &scan(limit), inputs);
        assert_eq!(steps, [vec![], vec![], vec![], vec![4], vec![]]);
    }
}

#[test]
fn user_counters_have_no_flag_and_wait_for_a_change() {
    let inputs = (0..2)
        .map(|value| readout(AcquisitionFlags(u64::MAX >> 46), |idx| idx.user[3] = value))
        .collect();
    let (steps, _) = releases(trigger(Dimension::User3), &Scan::default(), inputs);
    assert_eq!(steps, [vec![], vec![1], vec![1]]);
}

#[test]
fn gadgetrons_dimension_names_are_read() {
    for (text, expected) in [
        ("kspace_encode_step_1", Dimension::EncodingStep1),
        ("encoding_step_2", Dimension::EncodingStep2),
        ("n_acquisitions", Dimension::NAcquisitions),
        ("user_7", Dimension::User7),
    ] {
        let property = pipeline::properties::Property {
            name: "trigger_dimension".to_owned(),
            value: text.into(),
            text_is_untyped: true,
            line: 1,
        };
        let config: Config = pipeline::properties::read_config(&[property]).expect("it is known");
        assert_eq!(config.trigger_dimension, Some(expected), "{text}");
    }
}

fn each(counter: Counter) -> Config {
    Config { release_each: Some(counter), ..Config::default() }
}

/// Two repetitions of three lines in the order of `loops`: which of the two is outermost.
fn two_by_three(repetition_is_outermost: bool, flags: AcquisitionFlags) -> Vec<Readings> {
    let one = |repetition: u16, line: u16| {
        let flags = if line == 2 { flags } else { AcquisitionFlags::NONE };
        readout(flags, |idx| {
            idx.repetition = repetition;
            idx.kspace_encode_step_1 = line;
        })
    };
    if repetition_is_outermost {
        (0..2).flat_map(|repetition| (0..3).map(move |line| one(repetition, line))).collect()
    } else {
        (0..3).flat_map(|line| (0..2).map(move |repetition| one(repetition, line))).collect()
    }
}

fn three_lines(limits: &mut EncodingLimits) {
    limits.kspace_encoding_step_1 = Some(Limit::up_to(2, 1));
    limits.repetition = Some(Limit::up_to(1, 0));
}

#[test]
fn each_repetition_is_released_when_the_next_begins_or_its_flag_comes() {
    let config = each(Counter::Repetition);
    let none = vec![];
    let (steps, told) =
        releases(config.clone(), &scan(three_lines), two_by_three(true, AcquisitionFlags::NONE));
    assert_eq!(
        steps,
        [none.clone(), none.clone(), none.clone(), vec![3], none.clone(), none.clone(), vec![3]]
    );
    assert!(told.is_empty());
    let (steps, _) = releases(config, &scan(three_lines), two_by_three(true, LAST_IN_REPETITION));
    assert_eq!(
        steps,
        [none.clone(), none.clone(), vec![3], none.clone(), none.clone(), vec![3], none]
    );
}

#[test]
fn loops_outside_of_the_released_counter_hold_everything_back() {
    let config = each(Counter::Repetition);
    let at_the_end =
        |steps: Vec<Vec<usize>>| steps.into_iter().flatten().collect::<Vec<_>>() == [6];
    // Lines outside of repetitions: a segmented or interleaved scan.
    let inputs = two_by_three(false, AcquisitionFlags::NONE);
    assert!(at_the_end(releases(config.clone(), &scan(three_lines), inputs).0));
    // Averages outside of repetitions, one line each.
    type Case = (fn(&mut EncodingLimits), fn(&mut EncodingCounters, u16));
    let cases: [Case; 4] = [
        (|limits| limits.average = Some(Limit::up_to(2, 0)), |idx, n| idx.average = n),
        (|limits| limits.slice = Some(Limit::up_to(2, 0)), |idx, n| idx.slice = n),
        (|limits| limits.segment = Some(Limit::up_to(2, 0)), |idx, n| idx.segment = n),
        (
            |limits| limits.kspace_encoding_step_2 = Some(Limit::up_to(2, 1)),
            |idx, n| idx.kspace_encode_step_2 = n,
        ),
    ];
    for (limit, set) in cases {
        let inputs = (0..3).flat_map(|outer| {
            (0..2).map(move |repetition| {
                readout(LAST_IN_REPETITION, |idx| {
                    idx.repetition = repetition;
                    set(idx, outer);
                })
            })
        });
        let (steps, told) = releases(config.clone(), &scan(limit), inputs.collect());
        assert!(at_the_end(steps));
        assert!(told.is_empty());
    }
}

#[test]
fn eighty_frames_do_not_pile_up() {
    let frames = scan(|limits| {
        three_lines(limits);
        limits.phase = Some(Limit::up_to(79, 0));
        limits.repetition = None;
    });
    let inputs = (0..80).flat_map(|phase| {
        (0..3).map(move |line| {
            plain(|idx| {
                idx.phase = phase;
                idx.kspace_encode_step_1 = line;
            })
        })
    });
    let (steps, _) = releases(each(Counter::Phase), &frames, inputs.collect());
    assert_eq!(steps.iter().flatten().count(), 80);
    assert!(steps.iter().flatten().all(|&size| size == 3));
}

#[test]
fn separate_calibration_goes_with_every_later_bucket() {
    let calibration = AcquisitionFlags::IS_PARALLEL_CALIBRATION;
    let mut inputs: Vec<_> =
        (0..2).map(|line| readout(calibration, |idx| idx.kspace_encode_step_1 = line)).collect();
    inputs.extend(two_by_three(true, AcquisitionFlags::NONE));
    let (outputs, _) =
        run_gadget::<CollectReadouts>(each(Counter::Repetition), &scan(three_lines), inputs)
            .unwrap_or_else(|never| match never {});
    let sizes: Vec<_> = outputs
        .into_iter()
        .map(|message| match message {
            Message::Bucket(bucket) => (bucket.data.len(), bucket.reference.len()),
            other => panic!("{:?} came out", other.kind()),
        })
        .collect();
    assert_eq!(sizes, [(3, 2), (3, 2)]);
}

#[test]
fn calibration_is_given_early_once_it_is_that_of_the_frame_before() {
    let both = AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING;
    // Two slices one after the other, in both repetitions; the middle lines calibrate.
    let inputs = || {
        (0..16).map(|n| {
            let (repetition, slice, line) = (n / 8, n / 4 % 2, n % 4);
            let flags = match (line, slice) {
                (1 | 2, _) => both,
                (3, 1) => LAST_IN_REPETITION,
                _ => AcquisitionFlags::NONE,
            };
            readout(flags, |idx| {
                idx.repetition = repetition;
                idx.slice = slice;
                idx.kspace_encode_step_1 = line;
            })
        })
    };
    let sizes = |release_calibration_early: bool| {
        let config = Config { release_calibration_early, ..trigger(Dimension::Repetition) };
        let buckets = buckets(config, inputs().collect()).into_iter();
        buckets.map(|bucket| (bucket.data.len(), bucket.reference.len())).collect::<Vec<_>>()
    };
    // It is not known yet that the first frame has two slices.
    assert_eq!(sizes(true), [(8, 4), (0, 4), (8, 4)]);
    assert_eq!(sizes(false), [(8, 4), (8, 4)]);
}

#[test]
fn a_value_that_comes_back_makes_a_bucket_of_its_own_with_one_warning() {
    let inputs = [0, 1, 0, 1]
        .map(|repetition| plain(|idx| idx.repetition = repetition))
        .into_iter()
        .collect();
    let (steps, told) = releases(each(Counter::Repetition), &Scan::default(), inputs);
    assert_eq!(steps.iter().flatten().count(), 4);
    assert_eq!(told.len(), 1);
}

#[test]
fn surface_coil_correction_is_left_out_with_one_word() {
    let inputs = vec![
        readout(AcquisitionFlags::IS_SURFACECOILCORRECTIONSCAN_DATA, |_| {}),
        readout(AcquisitionFlags::IS_SURFACECOILCORRECTIONSCAN_DATA, |_| {}),
        plain(|_| {}),
    ];
    let (steps, told) = releases(Config::default(), &Scan::default(), inputs);
    assert_eq!(steps.concat(), [1]);
    assert_eq!(told.len(), 1);
}
