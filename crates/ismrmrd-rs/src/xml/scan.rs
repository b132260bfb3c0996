//! Who was scanned, when, where and on what: subject, study, measurement, system, field.

use super::element::{element, enumeration};

element! {
    /// The patient or object. Personal data: never in logs or error messages.
    pub struct SubjectInformation {
        /// Name.
        patient_name: Option<String> = "patientName",
        /// Weight, kg.
        patient_weight_kg: Option<f32> = "patientWeight_kg" or absent,
        /// Height, m.
        patient_height_m: Option<f32> = "patientHeight_m" or absent,
        /// Identifier.
        patient_id: Option<String> = "patientID",
        /// Day of birth, `YYYY-MM-DD`.
        patient_birthdate: Option<String> = "patientBirthdate",
        /// `M`, `F` or `O`.
        patient_gender: Option<String> = "patientGender",
    }
}

element! {
    /// The study that the measurement belongs to.
    pub struct StudyInformation {
        /// `YYYY-MM-DD`.
        study_date: Option<String> = "studyDate",
        /// `hh:mm:ss`.
        study_time: Option<String> = "studyTime",
        /// Identifier.
        study_id: Option<String> = "studyID",
        /// Accession number. One with letters, which the schema forbids, reads as absent.
        accession_number: Option<i64> = "accessionNumber" or absent,
        /// Referring physician.
        referring_physician_name: Option<String> = "referringPhysicianName",
        /// Description.
        study_description: Option<String> = "studyDescription",
        /// DICOM UID of the study.
        study_instance_uid: Option<String> = "studyInstanceUID",
        /// Body part.
        body_part_examined: Option<String> = "bodyPartExamined",
    }
}

element! {
    /// The measurement itself.
    pub struct MeasurementInformation {
        /// Identifier; Siemens: device, patient, study and measurement joined by `_`.
        measurement_id: Option<String> = "measurementID",
        /// `YYYY-MM-DD`.
        series_date: Option<String> = "seriesDate",
        /// `hh:mm:ss`.
        series_time: Option<String> = "seriesTime",
        /// How the patient lies. The schema wants it and the C++ library refuses a header without
        /// it, but files in the field lack it.
        patient_position: Option<PatientPosition> = "patientPosition",
        /// Table position, mm.
        relative_table_position: Option<ThreeDimensionalFloat> = "relativeTablePosition",
        /// Number of the first series.
        initial_series_number: Option<i64> = "initialSeriesNumber" or absent,
        /// Name of the protocol.
        protocol_name: Option<String> = "protocolName",
        /// Name of the sequence.
        sequence_name: Option<String> = "sequenceName",
        /// Description of the series.
        series_description: Option<String> = "seriesDescription",
        /// Measurements that this one needs, e.g. a noise scan.
        measurement_dependency: Vec<MeasurementDependency> = "measurementDependency",
        /// Root of the DICOM UIDs of the series.
        series_instance_uid_root: Option<String> = "seriesInstanceUIDRoot",
        /// DICOM UID of the frame of reference.
        frame_of_reference_uid: Option<String> = "frameOfReferenceUID",
        /// Images that this measurement was planned on.
        referenced_image_sequence: Option<ReferencedImageSequence> = "referencedImageSequence",
    }
}

enumeration! {
    /// How the patient lies: head or feet first; supine, prone, on the right or left side.
    pub enum PatientPosition {
        /// Head first, supine.
        Hfs = "HFS",
        /// Head first, prone.
        Hfp = "HFP",
        /// Head first, decubitus right.
        Hfdr = "HFDR",
        /// Head first, decubitus left.
        Hfdl = "HFDL",
        /// Feet first, supine.
        Ffs = "FFS",
        /// Feet first, prone.
        Ffp = "FFP",
        /// Feet first, decubitus right.
        Ffdr = "FFDR",
        /// Feet first, decubitus left.
        Ffdl = "FFDL",
    }
}

element! {
    /// Three numbers.
    #[derive(Copy)]
    pub struct ThreeDimensionalFloat {
        /// Along x.
        x: f32 = "x" or 0.0,
        /// Along y.
        y: f32 = "y" or 0.0,
        /// Along z.
        z: f32 = "z" or 0.0,
    }
}

element! {
    /// Another measurement that this one needs.
    pub struct MeasurementDependency {
        /// Kind, e.g. `Noise`.
        dependency_type: String = "dependencyType" or default,
        /// Its identifier.
        measurement_id: String = "measurementID" or default,
    }
}

element! {
    /// DICOM UIDs of images.
    pub struct ReferencedImageSequence {
        /// The UIDs.
        referenced_sop_instance_uid: Vec<String> = "referencedSOPInstanceUID",
    }
}

element! {
    /// The scanner.
    pub struct AcquisitionSystemInformation {
        /// Vendor.
        system_vendor: Option<String> = "systemVendor",
        /// Model.
        system_model: Option<String> = "systemModel",
        /// Main field, T.
        system_field_strength_t: Option<f32> = "systemFieldStrength_T",
        /// Width of the receiver's noise band over that of the samples.
        relative_receiver_noise_bandwidth: Option<f32> = "relativeReceiverNoiseBandwidth",
        /// Channels.
        receiver_channels: Option<u16> = "receiverChannels",
        /// Names of the channels.
        coil_label: Vec<CoilLabel> = "coilLabel",
        /// Institution.
        institution_name: Option<String> = "institutionName",
        /// Station.
        station_name: Option<String> = "stationName",
        /// Identifier of the scanner.
        device_id: Option<String> = "deviceID",
        /// Serial number of the scanner.
        device_serial_number: Option<String> = "deviceSerialNumber",
    }
}

element! {
    /// Name of a channel.
    pub struct CoilLabel {
        /// Number of the channel.
        coil_number: u16 = "coilNumber" or 0,
        /// Name of the coil element.
        coil_name: String = "coilName" or default,
    }
}

element! {
    /// The main field as protons see it.
    #[derive(Copy, Eq)]
    pub struct ExperimentalConditions {
        /// Larmor frequency of water, Hz. 0 where the header does not say.
        h1_resonance_frequency_hz: i64 = "H1resonanceFrequency_Hz" or 0,
    }
}
