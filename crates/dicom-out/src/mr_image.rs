//! MR Image Storage: one plane as integers of 16 bits that lead back to its values.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use ismrmrd::xml::SequenceParameters;
use ismrmrd::{Header, Image};
use pipeline::ImageFacts;

use crate::dataset::Dataset;
use crate::modules::{self, Form};
use crate::pixels::{self, StoredPlane};
use crate::place::PlanePlace;
use crate::quantity::Quantity;
use crate::study::Study;

/// The data set of one plane, without its UIDs.
pub(crate) fn plane(
    study: &Study,
    image: &Image,
    facts: &ImageFacts,
    stored: StoredPlane,
    place: &PlanePlace,
    window: [f64; 2],
) -> Dataset {
    let mut data = Dataset::default();
    let quantity = Quantity::of(facts);
    modules::patient_and_study(&mut data, study);
    modules::series(&mut data, study, image, facts, Form::Mr);
    modules::equipment(&mut data, study, facts);
    modules::acquisition_time(&mut data, study, &image.header);
    general_image(&mut data, image, facts, quantity.as_ref());
    image_plane(&mut data, place);
    mr(&mut data, &study.header, image, facts);
    let [.., rows, columns] = image.pixels.shape();
    data.us(tags::SAMPLES_PER_PIXEL, 1);
    data.cs(tags::PHOTOMETRIC_INTERPRETATION, &["MONOCHROME2"]);
    data.us(tags::ROWS, u16::try_from(rows).unwrap_or(u16::MAX));
    data.us(tags::COLUMNS, u16::try_from(columns).unwrap_or(u16::MAX));
    data.us(tags::BITS_ALLOCATED, 16);
    data.us(tags::BITS_STORED, 16);
    data.us(tags::HIGH_BIT, 15);
    data.us(tags::PIXEL_REPRESENTATION, stored.is_signed.into());
    let StoredPlane { pixels, is_signed, slope, intercept, padding, .. } = stored;
    if let Some(padding) = padding {
        data.us_or_ss(tags::PIXEL_PADDING_VALUE, padding, is_signed);
    }
    modules::window(&mut data, window);
    // Integers that stand for themselves need no mapping.
    if quantity.is_some() || slope != 1.0 || intercept != 0.0 {
        data.ds(tags::RESCALE_SLOPE, &[slope]);
        data.ds(tags::RESCALE_INTERCEPT, &[intercept]);
        data.lo(tags::RESCALE_TYPE, rescale_type(&facts.unit));
    }
    if let Some(quantity) = quantity {
        let mut mapping = quantity.mapping(slope, intercept);
        let (first, last) = mapped_range(&pixels, is_signed, padding);
        mapping.us_or_ss(tags::REAL_WORLD_VALUE_FIRST_VALUE_MAPPED, first, is_signed);
        mapping.us_or_ss(tags::REAL_WORLD_VALUE_LAST_VALUE_MAPPED, last, is_signed);
        data.sq(tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE, vec![mapping]);
    }
    data.ow(tags::PIXEL_DATA, pixels);
    data
}

/// First and last pixel that the mapping is for. A padding of 0 is among them: it would stand for 0, and
/// readers that apply the mapping before they look for padding refuse pixels outside.
fn mapped_range(pixels: &[u16], is_signed: bool, padding: Option<i32>) -> (i32, i32) {
    let value =
        |pixel: &u16| if is_signed { i32::from(pixel.cast_signed()) } else { i32::from(*pixel) };
    let values = pixels.iter().map(value).filter(|value| *value == 0 || Some(*value) != padding);
    let (first, last) =
        values.fold((i32::MAX, i32::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if first <= last { (first, last) } else { (0, 0) }
}

/// DICOM has no term for most units: then the unit itself.
fn rescale_type(unit: &str) -> &str {
    match unit {
        "" | "SNR" => "US",
        "%" => "PCT",
        "10^-3 mm^2/s" => "um2/ms",
        other => other,
    }
}

fn general_image(
    data: &mut Dataset,
    image: &Image,
    facts: &ImageFacts,
    quantity: Option<&Quantity>,
) {
    let component = pixels::component(image);
    match quantity {
        Some(quantity) => {
            data.cs(tags::IMAGE_TYPE, &["DERIVED", "PRIMARY", component, &quantity.label]);
        }
        None => {
            let role = image_role(facts);
            let origin = if role == "NONE" { "ORIGINAL" } else { "DERIVED" };
            data.cs(tags::IMAGE_TYPE, &[origin, "PRIMARY", component, &role]);
        }
    }
    if let Some(derivation) = modules::derivation(facts) {
        data.st(tags::DERIVATION_DESCRIPTION, &derivation);
    }
    let comments = modules::comments(image, facts);
    if !comments.is_empty() {
        data.lt(tags::IMAGE_COMMENTS, &comments);
    }
    data.cs(tags::BURNED_IN_ANNOTATION, &["NO"]);
    data.cs(tags::LOSSY_IMAGE_COMPRESSION, &["00"]);
}

/// The fourth value of Image Type for pictures: Gadgetron's data role where it says more than "image".
fn image_role(facts: &ImageFacts) -> String {
    use pipeline::ImageRole;
    match facts.role_of {
        Some(ImageRole::MotionCorrected) => "MOCO".to_owned(),
        _ if facts.role == "Image" => "NONE".to_owned(),
        _ => facts.role.to_ascii_uppercase(),
    }
}

fn image_plane(data: &mut Dataset, place: &PlanePlace) {
    data.ds(tags::PIXEL_SPACING, &place.spacing_mm);
    data.ds(tags::IMAGE_ORIENTATION_PATIENT, &place.orientation());
    data.ds(tags::IMAGE_POSITION_PATIENT, &place.position_mm);
    if place.thickness_mm > 0.0 {
        data.ds(tags::SLICE_THICKNESS, &[place.thickness_mm]);
    } else {
        data.empty(tags::SLICE_THICKNESS, VR::DS);
    }
    data.ds(tags::SLICE_LOCATION, &[place.location_mm]);
}

/// The MR Image module: how the signal was made.
fn mr(data: &mut Dataset, header: &Header, image: &Image, facts: &ImageFacts) {
    let sequence = header.sequence_parameters.clone().unwrap_or_default();
    let about = header.measurement_information.clone().unwrap_or_default();
    let encoding = header.encoding.first();
    let is_echo_planar = encoding.is_some_and(|e| e.trajectory.as_str() == "epi");
    let (kinds, variant) = scanning(&sequence, is_echo_planar);
    data.cs(tags::SCANNING_SEQUENCE, &kinds);
    data.cs(tags::SEQUENCE_VARIANT, &[variant]);
    // Ticks of 2.5 ms since the R wave; with it DICOM wants to hear of the gating.
    let [since_r_wave, ..] = image.header.physiology_time_stamp;
    if since_r_wave > 0 && since_r_wave < 100_000 {
        data.cs(tags::SCAN_OPTIONS, &["CG"]);
        data.ds(tags::TRIGGER_TIME, &[f64::from(since_r_wave) * 2.5]);
    } else {
        data.empty(tags::SCAN_OPTIONS, VR::CS);
    }
    let is_3d = encoding.is_some_and(|e| e.encoded_space.matrix_size.z > 1);
    data.cs(tags::MR_ACQUISITION_TYPE, &[if is_3d { "3D" } else { "2D" }]);
    if let Some(name) = about.sequence_name {
        data.sh(tags::SEQUENCE_NAME, &name);
    }
    let of_meta = |keys: [&str; 2]| keys.into_iter().find_map(|key| image.meta.get_f64(key));
    let is_map = modules::is_map(facts);
    // A map of several times has none of its own.
    let time = |keys, times: &[f32], at: usize| {
        let of_header = match times {
            [only] => Some(f64::from(*only)),
            _ if is_map => None,
            times => times.get(at).map(|time| f64::from(*time)),
        };
        let of_image = if is_map { None } else { of_meta(keys) };
        of_image.or(of_header).filter(|time| time.is_finite() && *time >= 0.0)
    };
    let contrast = usize::from(image.header.contrast);
    let set = usize::from(image.header.set);
    let repetition_time = sequence.tr.first().map(|time| f64::from(*time));
    or_empty(data, tags::REPETITION_TIME, repetition_time);
    or_empty(data, tags::ECHO_TIME, time(["EchoTime", "GADGETRON_TE"], &sequence.te, contrast));
    data.empty(tags::ECHO_TRAIN_LENGTH, VR::IS);
    let inversion = time(["InversionTime", "GADGETRON_TI"], &sequence.ti, set.max(contrast));
    if let Some(inversion) = inversion {
        data.ds(tags::INVERSION_TIME, &[inversion]);
    } else if kinds.contains(&"IR") {
        data.empty(tags::INVERSION_TIME, VR::DS);
    }
    if let Some(angle) = sequence.flip_angle_deg.first().filter(|angle| **angle > 0.0) {
        data.ds(tags::FLIP_ANGLE, &[f64::from(*angle)]);
    }
    if !is_map {
        data.is(tags::ECHO_NUMBERS, i64::from(image.header.contrast) + 1);
    }
    let system = header.acquisition_system_information.as_ref();
    if let Some(field) = system.and_then(|system| system.system_field_strength_t) {
        data.ds(tags::MAGNETIC_FIELD_STRENGTH, &[f64::from(field)]);
    }
    let frequency = header.experimental_conditions.h1_resonance_frequency_hz;
    if frequency > 0 {
        data.ds(tags::IMAGING_FREQUENCY, &[frequency as f64 / 1e6]);
        data.sh(tags::IMAGED_NUCLEUS, "1H");
    }
}

fn or_empty(data: &mut Dataset, tag: dicom_core::Tag, value: Option<f64>) {
    match value {
        Some(value) => data.ds(tag, &[value]),
        None => data.empty(tag, VR::DS),
    }
}

/// Scanning Sequence and Sequence Variant by the header's word for the sequence; RM, research mode,
/// where it says nothing that DICOM knows.
fn scanning(
    sequence: &SequenceParameters,
    is_echo_planar: bool,
) -> (Vec<&'static str>, &'static str) {
    let word = sequence.sequence_type.as_deref().unwrap_or_default().to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|known| word.contains(known));
    let (kind, variant) = if has(&["truefisp", "trufi", "ssfp", "fiesta"]) {
        ("GR", "SS")
    } else if has(&["flash", "spgr", "ffe", "gradient", "gre"]) {
        ("GR", "SP")
    } else if has(&["tse", "fse", "spin", "haste"]) || word == "se" {
        ("SE", "NONE")
    } else {
        ("RM", "NONE")
    };
    let mut kinds = match (kind, is_echo_planar) {
        ("RM", true) => vec!["EP"],
        (kind, true) => vec![kind, "EP"],
        (kind, false) => vec![kind],
    };
    if sequence.ti.iter().any(|time| *time > 0.0) {
        kinds.push("IR");
    }
    (kinds, variant)
}
