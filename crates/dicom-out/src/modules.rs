//! The modules that all objects share: patient, study, series, frame of reference, equipment, and
//! what an object says of itself.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use ismrmrd::{Image, ImageHeader};
use pipeline::{ImageFacts, ImageKind, ModelFacts, Verdict};

use crate::dataset::Dataset;
use crate::quantity::{Code, PRIVATE_SCHEME, Quantity};
use crate::study::Study;
use crate::text;

/// This program, as objects name it.
pub(crate) const PRODUCT: &str = "Boreside";

/// Patient, General Study and Patient Study: what the header says, empty where it is silent.
pub(crate) fn patient_and_study(data: &mut Dataset, study: &Study) {
    let subject = study.header.subject_information.clone().unwrap_or_default();
    let about = study.header.study_information.clone().unwrap_or_default();
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    data.pn(tags::PATIENT_NAME, &or_empty(subject.patient_name));
    data.lo(tags::PATIENT_ID, &or_empty(subject.patient_id));
    data.da(tags::PATIENT_BIRTH_DATE, subject.patient_birthdate.as_deref().and_then(text::date));
    match subject.patient_gender.as_deref().map(str::trim) {
        Some(sex @ ("M" | "F" | "O")) => data.cs(tags::PATIENT_SEX, &[sex]),
        _ => data.empty(tags::PATIENT_SEX, VR::CS),
    }
    for (tag, value) in [
        (tags::PATIENT_WEIGHT, subject.patient_weight_kg),
        (tags::PATIENT_SIZE, subject.patient_height_m),
    ] {
        if let Some(value) = value.filter(|value| *value > 0.0) {
            data.ds(tag, &[f64::from(value)]);
        }
    }
    data.ui(tags::STUDY_INSTANCE_UID, &study.study_uid);
    let date = about.study_date.as_deref().and_then(text::date);
    data.da(tags::STUDY_DATE, date);
    data.tm(tags::STUDY_TIME, about.study_time.as_deref().and_then(text::time));
    data.pn(tags::REFERRING_PHYSICIAN_NAME, &or_empty(about.referring_physician_name));
    data.sh(tags::STUDY_ID, &or_empty(about.study_id));
    let accession = about.accession_number.map(|number| number.to_string());
    data.sh(tags::ACCESSION_NUMBER, &or_empty(accession));
    if let Some(description) = about.study_description {
        data.lo(tags::STUDY_DESCRIPTION, &description);
    }
    if let Some(part) = about.body_part_examined {
        data.cs(tags::BODY_PART_EXAMINED, &[&part]);
    }
}

/// Parts of the body that there are two of.
const PAIRED: [&str; 16] = [
    "ANKLE", "ARM", "BREAST", "EAR", "ELBOW", "EYE", "FOOT", "FOREARM", "HAND", "HIP", "KIDNEY",
    "KNEE", "LEG", "SHOULDER", "THIGH", "WRIST",
];

/// General Series and Frame of Reference. `form` tells the objects of one image apart.
pub(crate) fn series(
    data: &mut Dataset,
    study: &Study,
    image: &Image,
    facts: &ImageFacts,
    form: Form,
) {
    let about = study.header.measurement_information.clone().unwrap_or_default();
    let series = image.header.image_series_index;
    data.cs(tags::MODALITY, &["MR"]);
    data.ui(tags::SERIES_INSTANCE_UID, &study.series_uid(series, form.name()));
    data.is(tags::SERIES_NUMBER, study.series_number(series) + form.series_offset());
    let description = description(study, image, facts);
    data.lo(tags::SERIES_DESCRIPTION, &format!("{description}{}", form.suffix()));
    let day = about.series_date.as_deref().and_then(text::date);
    if let Some(day) = day {
        data.da(tags::SERIES_DATE, Some(day));
    }
    if let Some(time) = about.series_time.as_deref().and_then(text::time) {
        data.tm(tags::SERIES_TIME, Some(time));
    }
    if let Some(name) = &about.protocol_name {
        data.lo(tags::PROTOCOL_NAME, name);
    }
    match about.patient_position {
        Some(position) => data.cs(tags::PATIENT_POSITION, &[position.as_str()]),
        None => data.empty(tags::PATIENT_POSITION, VR::CS),
    }
    // It may be one of two; MRD does not say which. Frames of a Parametric Map say so themselves.
    let part =
        study.header.study_information.as_ref().and_then(|s| s.body_part_examined.as_deref());
    let may_be_paired = part.is_none_or(|part| PAIRED.contains(&text::code(part).as_str()));
    if may_be_paired && form != Form::ParametricMap {
        data.empty(tags::LATERALITY, VR::CS);
    }
    data.ui(tags::FRAME_OF_REFERENCE_UID, &study.frame_of_reference_uid);
    data.empty(tags::POSITION_REFERENCE_INDICATOR, VR::LO);
}

/// What one image can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Mr,
    ParametricMap,
    Color,
}

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Self::Mr => "MR",
            Self::ParametricMap => "parametric map",
            Self::Color => "color",
        }
    }

    /// Series of other forms have numbers of their own, away from those of a measurement.
    fn series_offset(self) -> i64 {
        match self {
            Self::Mr => 0,
            Self::ParametricMap => 1_000_000,
            Self::Color => 2_000_000,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Mr => "",
            Self::ParametricMap => " float",
            Self::Color => " color",
        }
    }
}

/// Name of the series for people: the protocol's, and what the images are.
pub(crate) fn description(study: &Study, image: &Image, facts: &ImageFacts) -> String {
    let about = study.header.measurement_information.as_ref();
    let given = |text: Option<&String>| text.cloned().filter(|text| !text.trim().is_empty());
    let of_meta = image.meta.get("SeriesDescription").map(str::to_owned);
    let base = of_meta
        .or_else(|| given(about.and_then(|about| about.series_description.as_ref())))
        .or_else(|| given(about.and_then(|about| about.protocol_name.as_ref())))
        .unwrap_or_default();
    let title = if facts.title == "images" { "" } else { &facts.title };
    // The end says what it is: it must not be cut off.
    let room = 56_usize.saturating_sub(title.chars().count());
    let base: String = base.chars().take(room).collect();
    let text = format!("{base} {title}").trim().to_owned();
    if text.is_empty() { "MR images".to_owned() } else { text }
}

/// General Equipment: the scanner as the header names it; and this program with the networks that
/// touched the image.
pub(crate) fn equipment(data: &mut Dataset, study: &Study, facts: &ImageFacts) {
    let system = study.header.acquisition_system_information.clone().unwrap_or_default();
    data.lo(tags::MANUFACTURER, &system.system_vendor.unwrap_or_default());
    for (tag, text) in [
        (tags::MANUFACTURER_MODEL_NAME, system.system_model),
        (tags::INSTITUTION_NAME, system.institution_name),
        (tags::DEVICE_SERIAL_NUMBER, system.device_serial_number.or(system.device_id)),
    ] {
        if let Some(text) = text {
            data.lo(tag, &text);
        }
    }
    if let Some(station) = system.station_name {
        data.sh(tags::STATION_NAME, &station);
    }
    let processing = Code {
        value: "109102".to_owned(),
        scheme: "DCM",
        meaning: "Processing Equipment".to_owned(),
    };
    let contributor = |name: &str, version: &str, description: &str| {
        let mut item = Dataset::default();
        item.sq(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![processing.item()]);
        item.lo(tags::MANUFACTURER, PRODUCT);
        item.lo(tags::MANUFACTURER_MODEL_NAME, name);
        item.lo(tags::SOFTWARE_VERSIONS, version);
        item.st(tags::CONTRIBUTION_DESCRIPTION, description);
        item
    };
    let own = contributor(PRODUCT, env!("CARGO_PKG_VERSION"), "image reconstruction");
    let models = facts
        .models
        .iter()
        .map(|model| contributor(&model.model, &model.runtime, &provenance(model)));
    data.sq(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, std::iter::once(own).chain(models).collect());
}

fn provenance(model: &ModelFacts) -> String {
    let ModelFacts { model: name, sha256, provider, guards, fallback, .. } = model;
    let told = |what: &str, text: &str| match text {
        // One that did not run has none of it.
        "" | "none" => String::new(),
        text => format!("{what} {text}"),
    };
    let facts = [told(" on", provider), told(", SHA-256", sha256), told(", guards:", guards)];
    let used = match fallback.as_str() {
        "" => "its result is used".to_owned(),
        fallback => format!("its result is not used: {fallback}"),
    };
    format!("network {name}{}; {used}", facts.concat())
}

/// SOP Common, and when the object was made.
pub(crate) fn sop_common(
    data: &mut Dataset,
    study: &Study,
    class: &str,
    instance: &str,
    quantity: Option<&Quantity>,
) {
    data.cs(tags::SPECIFIC_CHARACTER_SET, &["ISO_IR 192"]);
    data.ui(tags::SOP_CLASS_UID, class);
    data.ui(tags::SOP_INSTANCE_UID, instance);
    let (day, time) = created(study);
    data.da(tags::INSTANCE_CREATION_DATE, Some(day.clone()));
    data.tm(tags::INSTANCE_CREATION_TIME, Some(time.clone()));
    data.da(tags::CONTENT_DATE, Some(day));
    data.tm(tags::CONTENT_TIME, Some(time));
    if quantity.is_some_and(Quantity::is_private) {
        let mut scheme = Dataset::default();
        scheme.sh(tags::CODING_SCHEME_DESIGNATOR, PRIVATE_SCHEME);
        scheme.st(tags::CODING_SCHEME_NAME, "Codes of Boreside");
        scheme.st(tags::CODING_SCHEME_RESPONSIBLE_ORGANIZATION, PRODUCT);
        data.sq(tags::CODING_SCHEME_IDENTIFICATION_SEQUENCE, vec![scheme]);
    }
}

/// Date and time at which the objects of this study are made.
pub(crate) fn created(study: &Study) -> (String, String) {
    (study.created.format("%Y%m%d").to_string(), study.created.format("%H%M%S%.6f").to_string())
}

/// Acquisition date and time, as far as they are known.
pub(crate) fn acquisition_time(data: &mut Dataset, study: &Study, header: &ImageHeader) {
    let about = study.header.measurement_information.as_ref();
    let of_study = study.header.study_information.as_ref();
    let day = about.and_then(|about| about.series_date.as_deref()).and_then(text::date);
    let day = day.or_else(|| of_study?.study_date.as_deref().and_then(text::date));
    if let Some(day) = day {
        data.da(tags::ACQUISITION_DATE, Some(day));
    }
    if let Some(time) = study.acquisition_time(header.acquisition_time_stamp) {
        data.tm(tags::ACQUISITION_TIME, Some(time));
    }
}

/// A window: centre and width, in the image's unit.
pub(crate) fn window(data: &mut Dataset, [center, width]: [f64; 2]) {
    data.ds(tags::WINDOW_CENTER, &[center]);
    data.ds(tags::WINDOW_WIDTH, &[width]);
    // The usual function, of whole numbers, knows no width below 1.
    if width < 1.0 {
        data.cs(tags::VOILUT_FUNCTION, &["LINEAR_EXACT"]);
    }
}

/// How a map was made, in one text.
pub(crate) fn derivation(facts: &ImageFacts) -> Option<String> {
    if !is_map(facts) {
        return None;
    }
    let mut text = match facts.method.as_str() {
        "" => format!("{} map", facts.title),
        method => format!("{}: {method}", facts.title),
    };
    if !facts.times_ms.is_empty() {
        let times: Vec<_> = facts.times_ms.iter().map(|time| format!("{time:.1}")).collect();
        text = format!("{text}; times {} ms", times.join(", "));
    }
    Some(text)
}

/// Comments of an image: the verdict first, then what was left out, then what its gadgets say.
pub(crate) fn comments(image: &Image, facts: &ImageFacts) -> String {
    let verdict = match &facts.verdict {
        Some(Verdict::Accept) => Some("accept".to_owned()),
        Some(Verdict::Check(reason)) => Some(format!("CHECK: {reason}")),
        Some(Verdict::Repeat(reason)) => Some(format!("REPEAT: {reason}")),
        None => None,
    };
    let is_verdict = |comment: &String| {
        ["accept", "check: ", "repeat: "].iter().any(|word| comment.starts_with(word))
    };
    let is_complex = matches!(image.pixels, ismrmrd::Pixels::C32(_) | ismrmrd::Pixels::C64(_));
    let mut comments: Vec<String> = verdict.into_iter().collect();
    if is_complex {
        comments.push("magnitude of complex pixels".to_owned());
    }
    // A gadget that was left out is told by a comment, or else here.
    let told = |gadget: &String| facts.comments.iter().any(|comment| comment.contains(gadget));
    comments.extend(
        facts
            .unprocessed
            .iter()
            .filter(|gadget| !told(gadget))
            .map(|g| format!("unprocessed: {g}")),
    );
    let has_verdict = facts.verdict.is_some();
    comments.extend(
        facts.comments.iter().filter(|comment| !(has_verdict && is_verdict(comment))).cloned(),
    );
    comments.extend(facts.models.iter().map(provenance));
    comments.join("; ")
}

/// The class of objects that a form is of.
pub(crate) fn sop_class(form: Form) -> &'static str {
    match form {
        Form::Mr => uids::MR_IMAGE_STORAGE,
        Form::ParametricMap => uids::PARAMETRIC_MAP_STORAGE,
        Form::Color => uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    }
}

/// Whether an image's values are a map's or its companions'.
pub(crate) fn is_map(facts: &ImageFacts) -> bool {
    matches!(facts.kind, ImageKind::Map | ImageKind::Uncertainty | ImageKind::GoodnessOfFit)
}
