//! Headers as the C++ library, vendors' converters and careless programs write them.

use super::*;

const EVERY_ELEMENT: &str = include_str!("every_element.xml");

#[test]
fn every_element_of_the_schema_is_read() {
    let header = Header::from_xml(EVERY_ELEMENT).unwrap();
    assert_eq!(header.version, Some(2));

    let subject = header.subject_information.as_ref().unwrap();
    assert_eq!(subject.patient_weight_kg, Some(70.5));
    assert_eq!(subject.patient_height_m, Some(1.8));
    assert_eq!(subject.patient_gender.as_deref(), Some("O"));

    let study = header.study_information.as_ref().unwrap();
    assert_eq!(study.accession_number, Some(7_638_376_482));
    assert_eq!(study.body_part_examined.as_deref(), Some("HEART"));

    let measurement = header.measurement_information.as_ref().unwrap();
    assert_eq!(measurement.patient_position, Some(PatientPosition::Ffdl));
    assert_eq!(measurement.relative_table_position.unwrap().z, 10.0);
    assert_eq!(measurement.initial_series_number, Some(1));
    assert_eq!(measurement.measurement_dependency[1].dependency_type, "SurfaceCoilCorrection");
    assert_eq!(
        measurement.referenced_image_sequence.as_ref().unwrap().referenced_sop_instance_uid,
        ["1.2.1", "1.2.2"]
    );

    let system = header.acquisition_system_information.as_ref().unwrap();
    assert_eq!(system.system_field_strength_t, Some(1.494));
    assert_eq!(system.relative_receiver_noise_bandwidth, Some(0.79));
    assert_eq!(system.coil_label[1], CoilLabel { coil_number: 1, coil_name: "B 2".into() });
    assert_eq!(header.experimental_conditions.h1_resonance_frequency_hz, 63_642_459);

    let [first, second] = header.encoding.as_slice() else { panic!("two encodings") };
    assert_eq!(first.encoded_space.matrix_size, MatrixSize { x: 256, y: 140, z: 80 });
    assert_eq!(first.recon_space.field_of_view_mm, FieldOfView { x: 300.0, y: 271.875, z: 128.0 });
    assert_eq!(first.trajectory, Trajectory::GoldenAngle);
    let limits = &first.encoding_limits;
    assert_eq!(limits.kspace_encoding_step_0.unwrap().maximum, 255);
    assert_eq!(limits.kspace_encoding_step_1, Some(Limit { minimum: 1, maximum: 83, center: 28 }));
    assert_eq!(limits.user_7.unwrap().count(), 3);
    assert_eq!(limits.average, None);

    let description = second.trajectory_description.as_ref().unwrap();
    assert_eq!(description.identifier, "spiral-out");
    assert_eq!(description.user_parameter_long[0], UserParameter::new("interleaves", 16));
    assert_eq!(description.comment.as_deref(), Some("a < b & c"));
    let parallel = second.parallel_imaging.as_ref().unwrap();
    assert_eq!(parallel.acceleration_factor.kspace_encoding_step_2, 2);
    assert_eq!(parallel.calibration_mode, Some(CalibrationMode::Embedded));
    assert_eq!(parallel.interleaving_dimension, Some(InterleavingDimension::Repetition));
    let multiband = parallel.multiband.as_ref().unwrap();
    assert_eq!(multiband.spacing[1].dz, [0.0, 2.5]);
    assert_eq!(multiband.calibration, MultibandCalibration::Full3d);
    assert_eq!(second.echo_train_length, Some(12));

    let sequence = header.sequence_parameters.as_ref().unwrap();
    assert_eq!(sequence.te, [2.35, 4.35]);
    assert_eq!(sequence.echo_spacing, [0.5]);
    assert_eq!(sequence.diffusion_dimension, Some(DiffusionDimension::User3));
    assert_eq!(sequence.diffusion[0].gradient_direction.ap, 1.0);
    assert_eq!(sequence.diffusion[1].bvalue, 450.0);
    assert_eq!(sequence.diffusion_scheme.as_deref(), Some("bipolar"));

    assert_eq!(header.user_long("dev_long_1"), Some(789));
    assert_eq!(header.user_double("dev_double1"), Some(999.999));
    assert_eq!(header.user_double("dev_long_1"), Some(789.0));
    assert_eq!(header.user_string("FILTER_SHAPE"), Some("GAUSSIAN"));
    assert_eq!(header.user_parameters.as_ref().unwrap().base64("PROTOCOL"), Some("VGhpcw=="));
    assert_eq!(header.user_long("nothing"), None);
    assert_eq!(header.waveform_information[0].waveform_type, WaveformType::Ecg);
    assert_eq!(header.waveform_information.len(), 2);
}

#[test]
fn what_is_read_is_written_and_read_again() {
    let header = Header { version: None, ..Header::from_xml(EVERY_ELEMENT).unwrap() };
    let text = header.to_xml();
    assert_eq!(Header::from_xml(&text).unwrap(), header);
    assert_eq!(Header::from_xml(&text).unwrap().to_xml(), text);
}

/// The C++ library and xsdata take sequences in the order of the schema only.
#[test]
fn elements_are_written_in_the_order_of_the_schema() {
    let text = Header::from_xml(EVERY_ELEMENT).unwrap().to_xml();
    let order = [
        "<subjectInformation>",
        "<studyInformation>",
        "<measurementInformation>",
        "<seriesDescription>",
        "<measurementDependency>",
        "<referencedImageSequence>",
        "<acquisitionSystemInformation>",
        "<receiverChannels>",
        "<coilLabel>",
        "<institutionName>",
        "<experimentalConditions>",
        "<encoding>",
        "<sequenceParameters>",
        "<flipAngle_deg>",
        "<sequence_type>",
        "<echo_spacing>",
        "<diffusionDimension>",
        "<gradientDirection>",
        "<bvalue>",
        "<diffusionScheme>",
        "<waveformInformation>",
    ];
    let places: Vec<usize> = order.iter().map(|tag| text.find(tag).expect(tag)).collect();
    assert!(places.is_sorted(), "{places:?}");
}

const MINIMAL: &str = "<ismrmrdHeader><encoding>\
    <trajectory> cartesian\n</trajectory>\
    <reconSpace><fieldOfView_mm><z>1</z><y>2</y><x>3</x></fieldOfView_mm>\
        <matrixSize><x>4</x></matrixSize></reconSpace>\
    <encodedSpace><matrixSize><x> 8.0 </x><y/></matrixSize>\
        <fieldOfView_mm><x>1e2</x><y>2.5</y><z>INF</z></fieldOfView_mm></encodedSpace>\
    </encoding></ismrmrdHeader>";

#[test]
fn order_blanks_decimals_and_absent_sections_are_tolerated() {
    let header = Header::from_xml(MINIMAL).unwrap();
    let encoding = &header.encoding[0];
    assert_eq!(encoding.encoded_space.matrix_size, MatrixSize { x: 8, y: 1, z: 1 });
    assert_eq!(encoding.encoded_space.field_of_view_mm.x, 100.0);
    assert_eq!(encoding.encoding_limits, EncodingLimits::default());
    assert_eq!(header.experimental_conditions.h1_resonance_frequency_hz, 0);
}

#[test]
fn prefixes_unknown_elements_and_interleaved_repeats_are_tolerated() {
    let text = MINIMAL
        .replace("</encoding>", "<newThing><x>1</x></newThing></encoding><new/>")
        .replace("<ismrmrdHeader>", "<ismrmrdHeader><sequenceParameters><TE>1</TE><TR>9</TR><TE>2</TE></sequenceParameters>");
    let prefixed = text.replace("</", "\0").replace('<', "<m:").replace('\0', "</m:");
    for text in [text, prefixed] {
        let header = Header::from_xml(&text).unwrap();
        let sequence = header.sequence_parameters.unwrap();
        assert_eq!(sequence.te, [1.0, 2.0]);
        assert_eq!(sequence.tr, [9.0]);
    }
}

#[test]
fn empty_elements_count_as_absent() {
    let text = MINIMAL.replace(
        "<ismrmrdHeader>",
        "<ismrmrdHeader><version/><measurementInformation><patientPosition/><protocolName> \
         </protocolName></measurementInformation><studyInformation>\
         <accessionNumber>AB12</accessionNumber></studyInformation>",
    );
    let header = Header::from_xml(&text).unwrap();
    assert_eq!(header.version, None);
    assert_eq!(header.measurement_information, Some(MeasurementInformation::default()));
    assert_eq!(header.study_information, Some(StudyInformation::default()));
}

#[test]
fn unreadable_user_parameters_are_left_out() {
    let text = MINIMAL.replace(
        "<ismrmrdHeader>",
        "<ismrmrdHeader><userParameters>\
         <userParameterLong><name>gpu</name><value>true</value></userParameterLong>\
         <userParameterLong><name>n</name><value>1.0</value></userParameterLong>\
         <userParameterString><name>s</name><value/></userParameterString>\
         <userParameterDouble><value>1</value></userParameterDouble></userParameters>",
    );
    let header = Header::from_xml(&text).unwrap();
    assert_eq!(header.user_long("gpu"), None);
    assert_eq!(header.user_long("n"), Some(1));
    assert_eq!(header.user_string("s"), Some(""));
    assert!(header.user_parameters.unwrap().user_parameter_double.is_empty());
}

#[test]
fn faults_name_the_element_and_what_it_should_hold() {
    let message = |from: &str, to: &str| {
        assert!(MINIMAL.contains(from));
        Header::from_xml(&MINIMAL.replace(from, to)).unwrap_err().to_string()
    };
    assert_eq!(
        message("<trajectory> cartesian\n</trajectory>", ""),
        "MRD header: `ismrmrdHeader/encoding[0]/trajectory` is missing; \
         the sender has to fill it in"
    );
    assert_eq!(
        message(" cartesian\n", "rosette"),
        "MRD header: `ismrmrdHeader/encoding[0]/trajectory` is `rosette`, expected one of \
         cartesian epi radial goldenangle spiral other"
    );
    assert_eq!(
        message("<x>4</x>", "<x>70000</x>"),
        "MRD header: `ismrmrdHeader/encoding[0]/reconSpace/matrixSize/x` is `70000`, expected \
         a whole number from 0 to 65535"
    );
    assert_eq!(
        message("<y>2</y>", "<y>wide</y>"),
        "MRD header: `ismrmrdHeader/encoding[0]/reconSpace/fieldOfView_mm/y` is `wide`, \
         expected a number"
    );
    assert_eq!(
        Header::from_xml("<html></html>").unwrap_err().to_string(),
        "MRD header: the document's element is `html`, expected `ismrmrdHeader`"
    );
    assert_eq!(
        Header::from_xml("Dummy XML header").unwrap_err().to_string(),
        "MRD header: the text holds no XML element"
    );
}

#[test]
fn any_version_is_read_and_none_is_written() {
    let text = MINIMAL.replace("<ismrmrdHeader>", "<ismrmrdHeader><version>1</version>");
    let header = Header::from_xml(&text).unwrap();
    assert_eq!(header.version, Some(1));
    assert!(!header.to_xml().contains("<version>"));
}

#[test]
fn user_parameters_are_set_once_each() {
    let mut header = Header::default();
    header.set_user_long("n", 1);
    header.set_user_long("n", 2);
    header.set_user_double("x", 0.5);
    header.set_user_string("s", "t");
    assert_eq!(header.user_long("n"), Some(2));
    assert_eq!(header.user_parameters.as_ref().unwrap().user_parameter_long.len(), 1);
    assert_eq!((header.user_double("x"), header.user_string("s")), (Some(0.5), Some("t")));
}
