//! Parametric Map Storage: all planes of a map as 32-bit floats in one object.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use ismrmrd::Image;
use ndarray::Array2;
use pipeline::ImageFacts;

use crate::dataset::Dataset;
use crate::modules::{self, Form};
use crate::pixels;
use crate::place::PlanePlace;
use crate::quantity::{Code, Quantity};
use crate::study::Study;
use crate::uid;

/// The data set of all planes of a map, without its UIDs. [`None`] for what is no map.
///
/// * `planes`: place and values of each, NaN where there is none.
pub(crate) fn planes(
    study: &Study,
    image: &Image,
    facts: &ImageFacts,
    planes: &[(PlanePlace, Array2<f32>)],
) -> Option<Dataset> {
    let quantity = Quantity::of(facts)?;
    let (first, values) = planes.first()?;
    let (rows, columns) = values.dim();
    let mut data = Dataset::default();
    modules::patient_and_study(&mut data, study);
    modules::series(&mut data, study, image, facts, Form::ParametricMap);
    enhanced_equipment(&mut data, study, facts);
    modules::acquisition_time(&mut data, study, &image.header);
    // Parametric Map Image.
    let image_type = ["DERIVED", "PRIMARY", "QUANTITY", "NONE"];
    data.cs(tags::IMAGE_TYPE, &image_type);
    data.is(tags::INSTANCE_NUMBER, i64::from(image.header.image_index.max(1)));
    data.cs(tags::CONTENT_LABEL, &[&quantity.label]);
    data.lo(tags::CONTENT_DESCRIPTION, &facts.title);
    data.pn(tags::CONTENT_CREATOR_NAME, "");
    data.cs(tags::CONTENT_QUALIFICATION, &["RESEARCH"]);
    data.cs(tags::BURNED_IN_ANNOTATION, &["NO"]);
    data.cs(tags::RECOGNIZABLE_VISUAL_FEATURES, &["NO"]);
    data.cs(tags::LOSSY_IMAGE_COMPRESSION, &["00"]);
    data.cs(tags::PRESENTATION_LUT_SHAPE, &["IDENTITY"]);
    let comments = modules::comments(image, facts);
    if !comments.is_empty() {
        data.lt(tags::IMAGE_COMMENTS, &comments);
    }
    data.sq(tags::ACQUISITION_CONTEXT_SEQUENCE, Vec::new());
    // Floating Point Image Pixel.
    data.us(tags::SAMPLES_PER_PIXEL, 1);
    data.cs(tags::PHOTOMETRIC_INTERPRETATION, &["MONOCHROME2"]);
    data.is(tags::NUMBER_OF_FRAMES, planes.len() as i64);
    data.us(tags::ROWS, u16::try_from(rows).ok()?);
    data.us(tags::COLUMNS, u16::try_from(columns).ok()?);
    data.us(tags::BITS_ALLOCATED, 32);
    data.fl(tags::FLOAT_PIXEL_PADDING_VALUE, f32::NAN);
    // Validators want both ends of the range.
    data.fl(tags::FLOAT_PIXEL_PADDING_RANGE_LIMIT, f32::NAN);
    let pixels: Vec<f32> = planes.iter().flat_map(|(_, values)| values.iter().copied()).collect();
    let (low, high) = pixels
        .iter()
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(f64::from(*value)), high.max(f64::from(*value)))
        });
    let range = if low <= high { [low, high] } else { [0.0, 0.0] };
    let all = Array2::from_shape_vec((planes.len() * rows, columns), pixels.clone()).ok()?;
    let window_of_all = pixels::window(facts, &all);
    data.of(tags::FLOAT_PIXEL_DATA, pixels);
    dimensions(&mut data, study, image);
    // What all frames share.
    let mut shared = Dataset::default();
    let mut measures = Dataset::default();
    measures.ds(tags::PIXEL_SPACING, &first.spacing_mm);
    let thickness = if first.thickness_mm > 0.0 { first.thickness_mm } else { 1.0 };
    measures.ds(tags::SLICE_THICKNESS, &[thickness]);
    if planes.len() > 1 {
        measures.ds(tags::SPACING_BETWEEN_SLICES, &[thickness]);
    }
    shared.sq(tags::PIXEL_MEASURES_SEQUENCE, vec![measures]);
    let mut orientation = Dataset::default();
    orientation.ds(tags::IMAGE_ORIENTATION_PATIENT, &first.orientation());
    shared.sq(tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation]);
    let mut frame_type = Dataset::default();
    frame_type.cs(tags::FRAME_TYPE, &image_type);
    shared.sq(tags::PARAMETRIC_MAP_FRAME_TYPE_SEQUENCE, vec![frame_type]);
    let mut anatomy = Dataset::default();
    anatomy.cs(tags::FRAME_LATERALITY, &["U"]);
    let region =
        Code { value: "38266002".to_owned(), scheme: "SCT", meaning: "Entire body".to_owned() };
    anatomy.sq(tags::ANATOMIC_REGION_SEQUENCE, vec![region.item()]);
    shared.sq(tags::FRAME_ANATOMY_SEQUENCE, vec![anatomy]);
    let mut identity = Dataset::default();
    identity.ds(tags::RESCALE_INTERCEPT, &[0.0]);
    identity.ds(tags::RESCALE_SLOPE, &[1.0]);
    identity.lo(tags::RESCALE_TYPE, "US");
    shared.sq(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![identity]);
    let mut window = Dataset::default();
    modules::window(&mut window, window_of_all);
    shared.sq(tags::FRAME_VOILUT_SEQUENCE, vec![window]);
    let mut mapping = quantity.mapping(1.0, 0.0);
    mapping.fd(tags::DOUBLE_FLOAT_REAL_WORLD_VALUE_FIRST_VALUE_MAPPED, &range[..1]);
    mapping.fd(tags::DOUBLE_FLOAT_REAL_WORLD_VALUE_LAST_VALUE_MAPPED, &range[1..]);
    shared.sq(tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE, vec![mapping]);
    data.sq(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
    let frame = |(number, (place, _)): (usize, &(PlanePlace, Array2<f32>))| {
        let mut frame = Dataset::default();
        let mut content = Dataset::default();
        let stack = u32::try_from(number + 1).unwrap_or(u32::MAX);
        content.ul(tags::DIMENSION_INDEX_VALUES, &[1, stack]);
        content.sh(tags::STACK_ID, "1");
        content.ul(tags::IN_STACK_POSITION_NUMBER, &[stack]);
        frame.sq(tags::FRAME_CONTENT_SEQUENCE, vec![content]);
        let mut position = Dataset::default();
        position.ds(tags::IMAGE_POSITION_PATIENT, &place.position_mm);
        frame.sq(tags::PLANE_POSITION_SEQUENCE, vec![position]);
        frame
    };
    let frames = planes.iter().enumerate().map(frame).collect();
    data.sq(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames);
    Some(data)
}

/// Multi-frame Dimension: frames are counted within one stack.
fn dimensions(data: &mut Dataset, study: &Study, image: &Image) {
    let series = study.series_uid(image.header.image_series_index, Form::ParametricMap.name());
    let organization = uid::derived(&[b"dimensions", series.as_bytes()]);
    let mut item = Dataset::default();
    item.ui(tags::DIMENSION_ORGANIZATION_UID, &organization);
    data.sq(tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![item]);
    let index = |pointer: Tag, label: &str| {
        let mut item = Dataset::default();
        item.at(tags::DIMENSION_INDEX_POINTER, pointer);
        item.at(tags::FUNCTIONAL_GROUP_POINTER, tags::FRAME_CONTENT_SEQUENCE);
        item.ui(tags::DIMENSION_ORGANIZATION_UID, &organization);
        item.lo(tags::DIMENSION_DESCRIPTION_LABEL, label);
        item
    };
    let indices = vec![
        index(tags::STACK_ID, "stack"),
        index(tags::IN_STACK_POSITION_NUMBER, "position in the stack"),
    ];
    data.sq(tags::DIMENSION_INDEX_SEQUENCE, indices);
}

/// Enhanced General Equipment: what is not known of the scanner is that of this program, which made the
/// map.
fn enhanced_equipment(data: &mut Dataset, study: &Study, facts: &ImageFacts) {
    modules::equipment(data, study, facts);
    let system = study.header.acquisition_system_information.clone().unwrap_or_default();
    let known = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let own = modules::PRODUCT;
    data.lo(tags::MANUFACTURER, known(system.system_vendor).as_deref().unwrap_or(own));
    data.lo(tags::MANUFACTURER_MODEL_NAME, known(system.system_model).as_deref().unwrap_or(own));
    let serial = known(system.device_serial_number).or(known(system.device_id));
    data.lo(tags::DEVICE_SERIAL_NUMBER, serial.as_deref().unwrap_or("unknown"));
    data.lo(tags::SOFTWARE_VERSIONS, &format!("{own} {}", env!("CARGO_PKG_VERSION")));
}
