//! The XML header of a Cartesian scan.

use ismrmrd::Header;
use ismrmrd::xml::{
    AccelerationFactor, AcquisitionSystemInformation, CalibrationMode, CoilLabel, Encoding,
    EncodingLimits, EncodingSpace, ExperimentalConditions, FieldOfView, Limit, MatrixSize,
    MeasurementInformation, ParallelImaging, PatientPosition, SequenceParameters, StudyInformation,
    Trajectory,
};

use super::options::{Calibration, CartesianOptions};
use crate::tissue::H1_HZ_PER_T;

/// Start of the measurement as in [`crate::clock::START_TICKS`].
const START_TIME: &str = "10:00:00";

/// A date that is the same for every simulated scan.
const START_DATE: &str = "2025-01-01";

pub(super) fn header(options: &CartesianOptions) -> Header {
    Header {
        study_information: Some(StudyInformation {
            study_date: Some(START_DATE.into()),
            study_time: Some(START_TIME.into()),
            study_id: Some("1".into()),
            study_description: Some("simulated phantom".into()),
            body_part_examined: Some("HEAD".into()),
            ..StudyInformation::default()
        }),
        measurement_information: Some(MeasurementInformation {
            measurement_id: Some(format!("phantom_{}", options.measurement_uid)),
            series_date: Some(START_DATE.into()),
            series_time: Some(START_TIME.into()),
            patient_position: Some(PatientPosition::Hfs),
            initial_series_number: Some(1),
            protocol_name: Some("shepp_logan".into()),
            sequence_name: Some("cartesian_flash".into()),
            series_description: Some("shepp_logan".into()),
            ..MeasurementInformation::default()
        }),
        acquisition_system_information: Some(system(options)),
        experimental_conditions: ExperimentalConditions {
            h1_resonance_frequency_hz: (H1_HZ_PER_T * options.field_strength_t).round() as i64,
        },
        encoding: vec![encoding(options)],
        sequence_parameters: Some(SequenceParameters {
            tr: vec![options.repetition_time_ms as f32],
            te: vec![options.echo_time_ms as f32],
            flip_angle_deg: vec![options.flip_angle_deg as f32],
            sequence_type: Some("Flash".into()),
            ..SequenceParameters::default()
        }),
        ..Header::default()
    }
}

fn system(options: &CartesianOptions) -> AcquisitionSystemInformation {
    let coil_label = (0..options.n_channels as u16)
        .map(|channel| CoilLabel {
            coil_number: channel,
            coil_name: format!("loop_{:02}", channel + 1),
        })
        .collect();
    AcquisitionSystemInformation {
        system_vendor: Some("Boreside".into()),
        system_model: Some("phantom".into()),
        system_field_strength_t: Some(options.field_strength_t as f32),
        relative_receiver_noise_bandwidth: Some(options.receiver_noise_bandwidth as f32),
        receiver_channels: Some(options.n_channels as u16),
        coil_label,
        institution_name: Some("simulated".into()),
        station_name: Some("phantom".into()),
        device_id: Some("phantom".into()),
        ..AcquisitionSystemInformation::default()
    }
}

fn encoding(options: &CartesianOptions) -> Encoding {
    let [nx, ny] = options.matrix_size;
    let [x_mm, y_mm] = options.field_of_view_mm;
    let space = |n_x: usize, x_mm: f64| EncodingSpace {
        matrix_size: MatrixSize { x: n_x as u16, y: ny as u16, z: 1 },
        field_of_view_mm: FieldOfView {
            x: x_mm as f32,
            y: y_mm as f32,
            z: options.slice_thickness_mm as f32,
        },
    };
    let n_samples = options.grid().n_samples();
    let indices = |count: usize| Some(Limit::up_to((count - 1) as u16, 0));
    let centered = |count: usize| Some(Limit::up_to((count - 1) as u16, (count / 2) as u16));
    let calibration_mode = match (options.n_calibration_lines, options.calibration) {
        (0, _) => CalibrationMode::Other,
        (_, Calibration::Embedded) => CalibrationMode::Embedded,
        (_, Calibration::Separate) => CalibrationMode::Separate,
    };
    Encoding {
        encoded_space: space(n_samples, x_mm * options.readout_oversampling as f64),
        recon_space: space(nx, x_mm),
        encoding_limits: EncodingLimits {
            kspace_encoding_step_0: centered(n_samples),
            kspace_encoding_step_1: centered(ny),
            kspace_encoding_step_2: indices(1),
            average: indices(1),
            slice: indices(options.n_slices),
            contrast: indices(1),
            phase: indices(1),
            repetition: indices(options.n_repetitions),
            set: indices(1),
            segment: indices(1),
            ..EncodingLimits::default()
        },
        trajectory: Trajectory::Cartesian,
        parallel_imaging: Some(ParallelImaging {
            acceleration_factor: AccelerationFactor {
                kspace_encoding_step_1: options.acceleration as u16,
                kspace_encoding_step_2: 1,
            },
            calibration_mode: Some(calibration_mode),
            ..ParallelImaging::default()
        }),
        echo_train_length: Some(1),
        ..Encoding::default()
    }
}
