//! What is said of an image: from its header and its meta attributes.

use ismrmrd::{DataType, Image, ImageHeader, ImageType, Meta};
use pipeline::{ImageFacts, ImageRole, ModelFacts, Verdict};

use crate::live::values;
use crate::proto::{self, Component, ImageKind, MotionState, verdict::Decision};

/// What an image says of itself; its numbers, times and latency are the caller's.
pub(crate) fn of(image: &Image, hides_patients: bool) -> proto::Image {
    let Image { header, meta, pixels } = image;
    let facts = ImageFacts::of(image);
    let motion = match facts.role_of {
        Some(ImageRole::Uncorrected) => MotionState::Uncorrected,
        Some(ImageRole::MotionCorrected) => MotionState::Corrected,
        _ => MotionState::Unspecified,
    };
    proto::Image {
        series: header.image_series_index.into(),
        index: header.image_index.into(),
        counters: Some(proto::Counters {
            average: header.average.into(),
            slice: header.slice.into(),
            contrast: header.contrast.into(),
            phase: header.phase.into(),
            repetition: header.repetition.into(),
            set: header.set.into(),
        }),
        kind: kind(facts.kind).into(),
        component: component(image).into(),
        title: facts.title,
        role: facts.role,
        quantity: facts.quantity,
        motion: motion.into(),
        unit: facts.unit,
        zero_is_invalid: facts.zero_is_invalid,
        window: facts.window.map(|[center, width]| proto::Window { center, width }),
        palette: facts.palette.to_owned(),
        verdict: facts.verdict.map(verdict),
        comments: facts.comments,
        unprocessed: facts.unprocessed,
        method: facts.method,
        models: facts.models.into_iter().map(model).collect(),
        shape: values::shape(pixels),
        element_type: values::element_type(pixels).into(),
        n_bytes: values::n_bytes(pixels) as u64,
        stored_type: type_name(pixels.data_type()).to_owned(),
        geometry: Some(geometry(header)),
        times_ms: facts.times_ms,
        meta: entries(meta, hides_patients),
        ..proto::Image::default()
    }
}

fn kind(kind: pipeline::ImageKind) -> ImageKind {
    match kind {
        pipeline::ImageKind::Picture => ImageKind::Picture,
        pipeline::ImageKind::Map => ImageKind::Map,
        pipeline::ImageKind::Uncertainty => ImageKind::Uncertainty,
        pipeline::ImageKind::GoodnessOfFit => ImageKind::GoodnessOfFit,
        pipeline::ImageKind::Labels => ImageKind::Labels,
        pipeline::ImageKind::Color => ImageKind::Color,
    }
}

fn verdict(verdict: Verdict) -> proto::Verdict {
    let (decision, reason) = match verdict {
        Verdict::Accept => (Decision::Accept, String::new()),
        Verdict::Check(reason) => (Decision::Check, reason),
        Verdict::Repeat(reason) => (Decision::Repeat, reason),
    };
    proto::Verdict { decision: decision.into(), reason }
}

fn model(facts: ModelFacts) -> proto::Provenance {
    let ModelFacts { model, sha256, provider, runtime, time_ms, waited_ms, guards, fallback } =
        facts;
    proto::Provenance { model, sha256, provider, runtime, time_ms, waited_ms, guards, fallback }
}

fn component(image: &Image) -> Component {
    match image.image_type() {
        Some(ImageType::Magnitude) => Component::Magnitude,
        Some(ImageType::Phase) => Component::Phase,
        Some(ImageType::Real) => Component::Real,
        Some(ImageType::Imag) => Component::Imaginary,
        Some(ImageType::Complex) => Component::Complex,
        Some(ImageType::Rgb) => Component::Rgb,
        None => Component::Unspecified,
    }
}

/// Whether a meta attribute of this name tells who the patient is.
pub(crate) fn is_personal(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["patientname", "patientid", "patientbirth"].iter().any(|start| key.contains(start))
}

fn entries(meta: &Meta, hides_patients: bool) -> Vec<proto::MetaEntry> {
    meta.iter()
        .filter(|(key, _)| !(hides_patients && is_personal(key)))
        .map(|(key, values)| proto::MetaEntry { key: key.to_owned(), values: values.to_vec() })
        .collect()
}

fn type_name(kind: DataType) -> &'static str {
    match kind {
        DataType::U16 => "u16",
        DataType::I16 => "i16",
        DataType::U32 => "u32",
        DataType::I32 => "i32",
        DataType::F32 => "f32",
        DataType::F64 => "f64",
        DataType::C32 => "c32",
        DataType::C64 => "c64",
    }
}

/// Where the image lies.
fn geometry(header: &ImageHeader) -> proto::Geometry {
    let rows = header.patient_from_voxel();
    let patient_from_voxel = [rows[0], rows[1], rows[2], [0.0, 0.0, 0.0, 1.0]].concat();
    proto::Geometry {
        position_mm: Vec::from(header.position),
        read_dir: Vec::from(header.read_dir),
        phase_dir: Vec::from(header.phase_dir),
        slice_dir: Vec::from(header.slice_dir),
        field_of_view_mm: Vec::from(header.field_of_view),
        voxel_size_mm: header.voxel_size_mm().to_vec(),
        patient_from_voxel,
        patient_table_position_mm: Vec::from(header.patient_table_position),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Array4};
    use pipeline::{ParametricMap, Presentation, Unit, Verdict, View};

    #[test]
    fn a_map_and_its_uncertainty_say_quantity_unit_window_colours_and_verdict() {
        let header = ImageHeader {
            position: [10.0, 20.0, 30.0],
            read_dir: [1.0, 0.0, 0.0],
            phase_dir: [0.0, 1.0, 0.0],
            slice_dir: [0.0, 0.0, 1.0],
            field_of_view: [8.0, 6.0, 5.0],
            ..ImageHeader::default()
        };
        let view =
            View { window: Some([1300.0, 1300.0]), color_map: Some("lipari"), ..View::default() };
        let map = ParametricMap {
            quantity: "T1".to_owned(),
            unit: Unit::Ms,
            header,
            meta: Meta::from_iter([("PatientName", "Somebody")]),
            values: Array3::from_elem((1, 3, 4), 1200.0),
            sd: Some(Array3::from_elem((1, 3, 4), 20.0)),
            r_squared: None,
            verdict: Some(Verdict::Check("motion of 4 px".to_owned())),
            presentation: Presentation { values: view, ..Presentation::default() },
        };
        let images = map.into_images();
        let [map, sd] = [of(&images[0], true), of(&images[1], true)];
        assert_eq!((map.kind(), sd.kind()), (ImageKind::Map, ImageKind::Uncertainty));
        assert_eq!((map.quantity.as_str(), sd.quantity.as_str()), ("T1", "T1"));
        assert_eq!((map.unit.as_str(), map.palette.as_str()), ("ms", "lipari"));
        assert_eq!(map.window, Some(proto::Window { center: 1300.0, width: 1300.0 }));
        let verdict = map.verdict.expect("it was judged");
        assert_eq!(verdict.decision(), Decision::Check);
        assert_eq!(verdict.reason, "motion of 4 px");
        assert!(map.zero_is_invalid);
        assert!(map.meta.iter().all(|entry| entry.key != "PatientName"));
        let shown = of(&images[0], false);
        assert!(shown.meta.iter().any(|entry| entry.key == "PatientName"));
        // The pixel in the middle of 4 × 3 × 1 is number 2, 1, 0; pixels are 2 × 2 × 5 mm.
        let matrix = map.geometry.expect("it has one").patient_from_voxel;
        let at = |row: usize| {
            let row = &matrix[4 * row..4 * row + 4];
            row[0] * 2.0 + row[1] * 1.0 + row[3]
        };
        assert_eq!([at(0), at(1), at(2)], [10.0, 20.0, 30.0]);
        assert_eq!([matrix[0], matrix[5], matrix[10]], [2.0, 2.0, 5.0]);
    }

    #[test]
    fn networks_are_told_apart() {
        let mut meta = Meta::new();
        for (key, values) in [
            ("BoresideModel", ["a 1", "b 2"]),
            ("BoresideModelProvider", ["cpu", "none"]),
            ("BoresideModelTimeMs", ["12.5", "0.000"]),
            ("BoresideModelFallback", ["none", "too slow"]),
        ] {
            meta.set_all(key, values);
        }
        let image = Image::new(ImageHeader::default(), meta, Array4::<f32>::zeros((1, 1, 2, 2)));
        let facts = of(&image, true);
        let found: Vec<_> = facts
            .models
            .iter()
            .map(|m| (m.model.as_str(), m.time_ms, m.fallback.as_str()))
            .collect();
        assert_eq!(found, [("a 1", 12.5, ""), ("b 2", 0.0, "too slow")]);
        assert_eq!(facts.kind(), ImageKind::Picture);
    }
}
