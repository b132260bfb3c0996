//! The XML header of a scan.

use ismrmrd::Header;
use ismrmrd::xml::{
    AccelerationFactor, AcquisitionSystemInformation, CalibrationMode, CoilLabel, Encoding,
    EncodingLimits, EncodingSpace, ExperimentalConditions, FieldOfView, Limit, MatrixSize,
    MeasurementInformation, ParallelImaging, PatientPosition, StudyInformation, SubjectInformation,
    Trajectory,
};

use super::plan::{Content, Plan, Readout, Sampling};
use super::setup::Setup;
use crate::motion::waveform_information;
use crate::tissue::H1_HZ_PER_T;
use crate::trajectory::{CalibrationLines, Undersampling};

/// Start of the measurement as in [`crate::clock::START_TICKS`].
const START_TIME: &str = "10:00:00";

/// A date that is the same for every simulated scan.
const START_DATE: &str = "2025-01-01";

pub(super) fn header(setup: &Setup, plan: &Plan) -> Header {
    let names = &plan.names;
    let mut header = Header {
        // Gadgetron's noise adjustment takes no scan without.
        subject_information: Some(SubjectInformation {
            patient_name: Some("phantom".into()),
            patient_id: Some("phantom".into()),
            ..SubjectInformation::default()
        }),
        study_information: Some(StudyInformation {
            study_date: Some(START_DATE.into()),
            study_time: Some(START_TIME.into()),
            study_id: Some("1".into()),
            study_description: Some("simulated phantom".into()),
            body_part_examined: Some(setup.subject.body_part().into()),
            ..StudyInformation::default()
        }),
        measurement_information: Some(MeasurementInformation {
            measurement_id: Some(format!("phantom_{}", setup.measurement_uid)),
            series_date: Some(START_DATE.into()),
            series_time: Some(START_TIME.into()),
            patient_position: Some(PatientPosition::Hfs),
            initial_series_number: Some(1),
            protocol_name: Some(names.protocol.clone()),
            sequence_name: Some(names.sequence.clone()),
            series_description: Some(names.protocol.clone()),
            ..MeasurementInformation::default()
        }),
        acquisition_system_information: Some(system(setup)),
        experimental_conditions: ExperimentalConditions {
            h1_resonance_frequency_hz: (H1_HZ_PER_T * setup.field_strength.tesla()).round() as i64,
        },
        encoding: encodings(setup, plan),
        sequence_parameters: Some(plan.parameters.clone()),
        waveform_information: if setup.with_waveforms {
            waveform_information()
        } else {
            Vec::new()
        },
        ..Header::default()
    };
    for (name, value) in &plan.user_longs {
        header.set_user_long(name, *value);
    }
    for (name, value) in &plan.user_doubles {
        header.set_user_double(name, *value);
    }
    header
}

fn system(setup: &Setup) -> AcquisitionSystemInformation {
    let coil_label = (0..setup.n_channels as u16)
        .map(|channel| CoilLabel {
            coil_number: channel,
            coil_name: format!("loop_{:02}", channel + 1),
        })
        .collect();
    AcquisitionSystemInformation {
        system_vendor: Some("Boreside".into()),
        system_model: Some("phantom".into()),
        system_field_strength_t: Some(setup.field_strength.tesla() as f32),
        relative_receiver_noise_bandwidth: Some(setup.receiver_noise_bandwidth as f32),
        receiver_channels: Some(setup.n_channels as u16),
        coil_label,
        institution_name: Some("simulated".into()),
        station_name: Some("phantom".into()),
        device_id: Some("phantom".into()),
        ..AcquisitionSystemInformation::default()
    }
}

/// Encoding space of calibration lines that are no part of an echo-planar train.
pub(super) const CALIBRATION_SPACE: u16 = 1;

fn encodings(setup: &Setup, plan: &Plan) -> Vec<Encoding> {
    let train = encoding(setup, plan);
    let calibrates = plan.readouts.iter().any(|readout| readout.separate_calibration);
    if plan.trajectory != Trajectory::Epi || !calibrates {
        return vec![train];
    }
    let mut calibration = Encoding {
        trajectory: Trajectory::Cartesian,
        trajectory_description: None,
        echo_train_length: Some(1),
        ..train.clone()
    };
    let (encoded, oversampling) = (&mut calibration.encoded_space, setup.readout_oversampling);
    encoded.matrix_size.x = (setup.matrix_size[0] * oversampling) as u16;
    encoded.field_of_view_mm.x = (setup.field_of_view_mm[0] * oversampling as f64) as f32;
    vec![train, calibration]
}

fn encoding(setup: &Setup, plan: &Plan) -> Encoding {
    let [nx, ny] = setup.matrix_size;
    let [x_mm, y_mm] = setup.field_of_view_mm;
    let space = |n_x: usize, x_mm: f64| EncodingSpace {
        matrix_size: MatrixSize { x: n_x as u16, y: ny as u16, z: 1 },
        field_of_view_mm: FieldOfView {
            x: x_mm as f32,
            y: y_mm as f32,
            z: setup.slice_thickness_mm as f32,
        },
    };
    let n_samples = setup.grid().n_samples();
    let centered = |count: usize| Some(Limit::up_to((count - 1) as u16, (count / 2) as u16));
    let calibration_mode = match (setup.lines.calibration, setup.lines.undersampling) {
        (CalibrationLines::None, Undersampling::Interleaved { .. }) => CalibrationMode::Interleaved,
        (CalibrationLines::None, _) => CalibrationMode::Other,
        (CalibrationLines::Embedded(_), _) => CalibrationMode::Embedded,
        (CalibrationLines::Separate(_), _) => CalibrationMode::Separate,
    };
    // Repetitions and the like are counted by what the readouts say.
    let largest = |of: fn(&Readout) -> u16| {
        let body = plan.readouts.iter().filter(|readout| readout.content != Content::Noise);
        Some(Limit::up_to(body.map(of).max().unwrap_or(0), 0))
    };
    let on_lines = |readout: &Readout| matches!(readout.sampling, Sampling::Line { .. });
    let is_cartesian =
        plan.readouts.iter().filter(|readout| readout.content != Content::Noise).all(on_lines);
    let step_1 = if is_cartesian || plan.trajectory == Trajectory::Epi {
        centered(ny)
    } else {
        largest(|readout| match readout.sampling {
            Sampling::Line { line, .. } | Sampling::Points { line, .. } => line as u16,
        })
    };
    // Echo-planar and spiral readouts are not even along x: oversampling has no meaning there.
    let is_oversampled =
        is_cartesian || plan.trajectory != Trajectory::Epi && plan.trajectory != Trajectory::Spiral;
    let oversampling = if is_oversampled { setup.readout_oversampling } else { 1 };
    Encoding {
        encoded_space: space(nx * oversampling, x_mm * oversampling as f64),
        recon_space: space(nx, x_mm),
        encoding_limits: EncodingLimits {
            kspace_encoding_step_0: centered(n_samples),
            kspace_encoding_step_1: step_1,
            kspace_encoding_step_2: Some(Limit::up_to(0, 0)),
            average: largest(|readout| readout.counters.average),
            slice: Some(Limit::up_to((setup.n_slices - 1) as u16, 0)),
            contrast: largest(|readout| readout.counters.contrast),
            phase: largest(|readout| readout.counters.phase),
            repetition: largest(|readout| readout.counters.repetition),
            set: largest(|readout| readout.counters.set),
            segment: largest(|readout| readout.counters.segment),
            ..EncodingLimits::default()
        },
        trajectory: plan.trajectory,
        trajectory_description: plan.trajectory_description.clone(),
        parallel_imaging: Some(ParallelImaging {
            acceleration_factor: AccelerationFactor {
                kspace_encoding_step_1: setup.acceleration() as u16,
                kspace_encoding_step_2: 1,
            },
            calibration_mode: Some(calibration_mode),
            ..ParallelImaging::default()
        }),
        echo_train_length: Some(plan.echo_train_length as i64),
    }
}
