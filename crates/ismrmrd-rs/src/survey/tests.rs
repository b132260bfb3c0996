//! Scans made by hand, each with one thing wrong.

use ndarray::{Array2, Array4};
use num_complex::Complex32;

use super::*;
use crate::xml::{
    AccelerationFactor, AcquisitionSystemInformation, Encoding, Limit, MatrixSize,
    MeasurementDependency, MeasurementInformation, ParallelImaging, PatientPosition, Trajectory,
};
use crate::{ImageHeader, Meta, WaveformHeader};

/// 2 slices of 16 lines, 32 samples at an oversampling of 2, 2 channels.
fn header() -> Header {
    let mut encoding = Encoding::default();
    encoding.encoded_space.matrix_size = MatrixSize { x: 32, y: 16, z: 1 };
    encoding.recon_space.matrix_size = MatrixSize { x: 16, y: 16, z: 1 };
    for (space, x) in [(&mut encoding.encoded_space, 400.0), (&mut encoding.recon_space, 200.0)] {
        space.field_of_view_mm = crate::xml::FieldOfView { x, y: 200.0, z: 8.0 };
    }
    encoding.encoding_limits.kspace_encoding_step_1 = Some(Limit::up_to(15, 8));
    encoding.encoding_limits.slice = Some(Limit::up_to(1, 0));
    Header {
        measurement_information: Some(MeasurementInformation {
            protocol_name: Some("gre".into()),
            patient_position: Some(PatientPosition::Hfs),
            ..Default::default()
        }),
        acquisition_system_information: Some(AcquisitionSystemInformation {
            system_vendor: Some("Acme".into()),
            system_field_strength_t: Some(1.5),
            receiver_channels: Some(2),
            ..Default::default()
        }),
        encoding: vec![encoding],
        ..Default::default()
    }
}

/// The scan that [`header`] promises.
fn scan() -> Vec<Acquisition> {
    let mut scan = vec![readout(0, 0, 64)];
    scan[0].header.flags = AcquisitionFlags::IS_NOISE_MEASUREMENT;
    for slice in 0..2 {
        for line in 0..16 {
            scan.push(readout(slice, line, 32));
        }
        if let Some(last) = scan.last_mut() {
            last.header.flags = AcquisitionFlags::LAST_IN_SLICE;
        }
    }
    for (time, readout) in (1000..).zip(&mut scan) {
        readout.header.acquisition_time_stamp = time;
        readout.header.scan_counter = time;
    }
    scan
}

fn readout(slice: u16, line: u16, n_samples: usize) -> Acquisition {
    let mut header = AcquisitionHeader {
        center_sample: (n_samples / 2) as u16,
        sample_time_us: 5.0,
        read_dir: [1.0, 0.0, 0.0],
        phase_dir: [0.0, 1.0, 0.0],
        ..Default::default()
    };
    header.idx.slice = slice;
    header.idx.kspace_encode_step_1 = line;
    Acquisition::new(header, Array2::from_elem((2, n_samples), Complex32::new(1.0, 2.0)))
}

fn report(header: Option<&Header>, scan: &[Acquisition]) -> Report {
    let mut survey = Survey::new();
    for readout in scan {
        survey.observe_acquisition(readout);
    }
    survey.report(header)
}

/// Kinds of the warnings of the scan with a change.
fn kinds(change: impl FnOnce(&mut Header, &mut Vec<Acquisition>)) -> Vec<&'static str> {
    let (mut header, mut scan) = (header(), scan());
    change(&mut header, &mut scan);
    let report = report(Some(&header), &scan);
    let lines = report.to_string().lines().count();
    assert!(lines <= 40, "{lines} lines do not fit a screen:\n{report}");
    report.warnings.iter().map(|warning| warning.kind).collect()
}

#[test]
fn a_sound_scan_gives_numbers_and_no_warning() {
    let report = report(Some(&header()), &scan());
    assert_eq!(report.warnings, []);
    assert_eq!(report.n_readouts, 33);
    assert_eq!(report.duration_s, Some(32.0 * 0.0025));
    let encoding = &report.encodings[0];
    assert_eq!(encoding.oversampling, Some(2.0));
    assert_eq!((encoding.n_imaging, encoding.n_calibration), (32, 0));
    assert_eq!(encoding.samples, Some((32, 32)));
    assert_eq!((encoding.partial_fourier, encoding.echo_fraction), (Some(1.0), Some(1.0)));
    assert_eq!(encoding.counters[0].seen, Some((0, 15)));
    assert_eq!(encoding.counters[0].limit, Some((0, 15, 8)));
    assert_eq!(encoding.counters[1].name, "slice");
    let noise = report.noise.as_ref().unwrap();
    assert_eq!((noise.n_readouts, noise.samples), (1, Some((64, 64))));
    assert_eq!(
        report.flags,
        [("LAST_IN_SLICE".to_owned(), 2), ("IS_NOISE_MEASUREMENT".to_owned(), 1)]
    );
    assert_eq!(
        report.to_string(),
        "gre, Acme, 1.50 T\n\
         33 readouts in 0.08 s by their time stamps\n\
         encoding 0: cartesian, 32 imaging and 0 calibration readouts\n  \
           matrix 32 × 16 × 1 of 400 × 200 × 8 mm, image 16 × 16 × 1 of 200 × 200 × 8 mm, \
             oversampling 2.00\n  \
           32 samples, centre 16, 5 µs apart, 2 channels, trajectory of 0 dimensions\n  \
           kspace_encode_step_1 0–15, header 0–15, centre 8\n  \
           slice 0–1, header 0–1, centre 0\n\
         noise scan: 1 readouts, 64 samples, 2 channels, 5 µs\n\
         flags: LAST_IN_SLICE 2, IS_NOISE_MEASUREMENT 1\n"
    );
}

#[test]
fn each_fault_gives_its_warning() {
    assert_eq!(kinds(|_, scan| drop(scan.remove(0))), ["no_noise"]);
    assert_eq!(
        kinds(|header, scan| {
            scan.remove(0);
            let dependency = MeasurementDependency {
                dependency_type: "Noise".into(),
                measurement_id: "1".into(),
            };
            let measurement = header.measurement_information.as_mut().unwrap();
            measurement.measurement_dependency.push(dependency);
        }),
        ["noise_elsewhere"]
    );
    assert_eq!(
        kinds(|_, scan| scan
            .iter_mut()
            .skip(1)
            .for_each(|r| r.header.flags = AcquisitionFlags::NONE)),
        ["no_last_flags"]
    );
    assert_eq!(
        kinds(|_, scan| scan.iter_mut().for_each(|r| r.data.fill(Complex32::ZERO))),
        ["all_zero"]
    );
    assert_eq!(kinds(|_, scan| scan[5].data.fill(Complex32::new(f32::NAN, 0.0))), ["not_finite"]);
    assert_eq!(
        kinds(|_, scan| scan.iter_mut().for_each(|r| r.header.acquisition_time_stamp = 7)),
        ["no_time_stamps"]
    );
    assert_eq!(kinds(|_, scan| scan[3].header.sample_time_us = 0.0), ["no_sample_time"]);
    assert_eq!(kinds(|_, scan| scan[3].header.read_dir = [0.0; 3]), ["no_directions"]);
    assert_eq!(
        kinds(|header, _| {
            header.measurement_information.as_mut().unwrap().patient_position = None;
        }),
        ["no_patient_position"]
    );
    assert_eq!(kinds(|header, _| header.encoding[0].encoding_limits.slice = None), ["no_limit"]);
    assert_eq!(
        kinds(|header, _| {
            header.encoding[0].encoding_limits.slice = Some(Limit::up_to(0, 0));
        }),
        ["beyond_limit"]
    );
    assert_eq!(
        kinds(|header, _| header.encoding[0].trajectory = Trajectory::Spiral),
        ["no_trajectory"]
    );
    assert_eq!(
        kinds(|header, _| header.encoding[0].trajectory = Trajectory::Epi),
        ["no_phase_correction", "echo_planar"]
    );
    assert_eq!(
        kinds(|header, _| {
            header.acquisition_system_information.as_mut().unwrap().receiver_channels = Some(32);
        }),
        ["channels_differ"]
    );
    assert_eq!(
        kinds(|header, _| {
            let factor =
                AccelerationFactor { kspace_encoding_step_1: 2, kspace_encoding_step_2: 1 };
            let parallel = ParallelImaging { acceleration_factor: factor, ..Default::default() };
            header.encoding[0].parallel_imaging = Some(parallel);
        }),
        ["no_calibration"]
    );
    assert_eq!(
        kinds(|_, scan| {
            let mut navigator = scan[1].clone();
            navigator.header.flags = AcquisitionFlags::IS_NAVIGATION_DATA;
            navigator.header.idx.kspace_encode_step_1 = 900;
            scan.push(navigator);
        }),
        ["not_imaging"]
    );
    assert_eq!(kinds(|header, _| header.encoding.clear()), ["unknown_encoding"]);
}

#[test]
fn faults_of_the_readout_are_told_apart() {
    let shortened = |n_samples: usize, center_sample: u16| {
        kinds(|_, scan| {
            for old in scan.iter_mut().skip(1) {
                let mut header = old.header;
                header.center_sample = center_sample;
                let data = Array2::from_elem((2, n_samples), Complex32::ONE);
                *old = Acquisition::new(header, data);
            }
        })
    };
    assert_eq!(shortened(24, 8), ["asymmetric_echo"]);
    assert_eq!(shortened(16, 8), ["oversampling_removed"]);
    assert_eq!(shortened(40, 20), ["too_many_samples"]);
    let vary = kinds(|_, scan| scan[4] = Acquisition::new(scan[4].header, Array2::ones((2, 30))));
    assert_eq!(vary, ["samples_vary"]);
    let vary = kinds(|_, scan| scan[4] = Acquisition::new(scan[4].header, Array2::ones((1, 32))));
    assert_eq!(vary, ["channels_vary"]);
    assert_eq!(
        kinds(|header, _| header.encoding[0].recon_space.matrix_size.x = 64),
        ["interpolated"]
    );
}

#[test]
fn impossible_fields_of_view_are_noticed() {
    let with = |x: f32, y: f32, z: f32| {
        kinds(|header, _| {
            let space = &mut header.encoding[0].recon_space;
            space.field_of_view_mm = crate::xml::FieldOfView { x, y, z };
            space.matrix_size = MatrixSize { x: 16, y: 16, z: 1 };
        })
    };
    assert!(with(16.0, 16.0, 1.0).contains(&"placeholder_field_of_view"));
    assert!(with(0.2, 0.2, 0.008).contains(&"field_of_view_unit"));
    assert!(with(200.0, 0.0, 8.0).contains(&"field_of_view"));
}

#[test]
fn missing_lines_are_listed_by_slice() {
    let (header, mut scan) = (header(), scan());
    scan.retain(|r| {
        r.header.idx.slice == 0 || !(3..7).contains(&r.header.idx.kspace_encode_step_1)
    });
    let report = report(Some(&header), &scan);
    let missing = &report.encodings[0].missing_lines;
    assert_eq!(missing.len(), 1);
    assert_eq!((missing[0].slice, missing[0].count, missing[0].lines.as_str()), (1, 4, "3–6"));
    let messages: Vec<&str> = report.warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "encoding 0: 4 lines within the limits never came, in slice 1 lines 3–6",
            "encoding 0: images have 12 to 16 readouts; the fewest are in slice 1, contrast 0, \
             phase 0, repetition 0, set 0"
        ]
    );
}

#[test]
fn undersampling_and_partial_fourier_miss_no_lines() {
    let (mut header, mut scan) = (header(), scan());
    let factor = AccelerationFactor { kspace_encoding_step_1: 2, kspace_encoding_step_2: 1 };
    header.encoding[0].parallel_imaging =
        Some(ParallelImaging { acceleration_factor: factor, ..Default::default() });
    header.encoding[0].encoding_limits.kspace_encoding_step_1 =
        Some(Limit { minimum: 5, maximum: 15, center: 8 });
    scan.retain_mut(|readout| {
        let line = readout.header.idx.kspace_encode_step_1;
        if (7..=9).contains(&line) {
            let calibration = match line % 2 {
                0 => AcquisitionFlags::IS_PARALLEL_CALIBRATION,
                _ => AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING,
            };
            readout.header.set_flags(calibration);
        }
        line == 0 && readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT)
            || line == 8
            || line >= 5 && line % 2 == 1
    });
    let report = report(Some(&header), &scan);
    assert_eq!(report.warnings, []);
    let encoding = &report.encodings[0];
    assert_eq!((encoding.n_imaging, encoding.n_calibration), (12, 6));
    // 11 lines, 3 below the centre and 8 from it on.
    assert_eq!(encoding.partial_fourier, Some(11.0 / 16.0));
}

#[test]
fn the_last_line_that_undersampling_skips_makes_no_partial_fourier() {
    let (mut header, mut scan) = (header(), scan());
    let factor = AccelerationFactor { kspace_encoding_step_1: 2, kspace_encoding_step_2: 1 };
    header.encoding[0].parallel_imaging =
        Some(ParallelImaging { acceleration_factor: factor, ..Default::default() });
    scan.retain(|readout| readout.header.idx.kspace_encode_step_1 % 2 == 0);
    let report = report(Some(&header), &scan);
    assert_eq!(report.encodings[0].partial_fourier, Some(1.0));
}

#[test]
fn an_echo_planar_scan_is_said_to_need_more_than_a_transform() {
    let mut header = header();
    header.encoding[0].trajectory = Trajectory::Epi;
    let report = report(Some(&header), &scan());
    assert!(report.warnings.iter().any(|warning| warning.kind == "echo_planar"));
}

#[test]
fn waveforms_and_images_are_listed() {
    let mut survey = Survey::new();
    let header = WaveformHeader {
        number_of_samples: 400,
        channels: 5,
        sample_time_us: 2500.0,
        ..Default::default()
    };
    let waveform = Waveform { header, data: Array2::zeros((5, 400)) };
    for _ in 0..3 {
        survey.observe(&waveform.clone().into());
    }
    for width in [8, 8, 9] {
        let header = ImageHeader { image_series_index: 2, image_type: 1, ..Default::default() };
        let pixels = Array4::<u16>::zeros((1, 1, 4, width));
        survey.observe(&Image::new(header, Meta::new(), pixels).into());
    }
    let report = survey.report(None);
    assert_eq!(report.waveforms[0].duration_s, 3.0);
    assert_eq!(report.images[0].n_images, 3);
    let text = report.to_string();
    assert!(text.contains("waveform 0 (ECG): 3 messages, 5 channels, 3.00 s"), "{text}");
    assert!(text.contains("series 2: 3 of 8 × 4 × 1, 1 channels, u16 magnitude"), "{text}");
    let kinds: Vec<&str> = report.warnings.iter().map(|warning| warning.kind).collect();
    assert_eq!(kinds, ["no_header", "images_vary"]);
}
