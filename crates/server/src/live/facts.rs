//! What is said of an image: from its header and its meta attributes.

use ismrmrd::{DataType, Image, ImageHeader, ImageType, Meta};
use pipeline::{ImageRole, unprocessed};

use crate::live::values;
use crate::proto::{self, Component, ImageKind, MotionState, verdict::Decision};

/// What an image says of itself; its numbers, times and latency are the caller's.
pub(crate) fn of(image: &Image, hides_patients: bool) -> proto::Image {
    let Image { header, meta, pixels } = image;
    let kind = kind(image);
    let role = role(meta);
    let role_of = ImageRole::of(meta);
    let motion = match role_of {
        Some(ImageRole::Uncorrected) => MotionState::Uncorrected,
        Some(ImageRole::MotionCorrected) => MotionState::Corrected,
        _ => MotionState::Unspecified,
    };
    let quantity = match kind {
        ImageKind::Map => role.clone(),
        ImageKind::Uncertainty => role.strip_suffix("SD").unwrap_or(&role).to_owned(),
        ImageKind::GoodnessOfFit => role.strip_suffix("R2").unwrap_or(&role).to_owned(),
        _ => String::new(),
    };
    let mut comments = meta.values("ImageComments").to_vec();
    comments.retain(|comment| !comment.is_empty());
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
        kind: kind.into(),
        component: component(image).into(),
        title: title(kind, &role, &quantity, role_of, meta),
        role,
        quantity,
        motion: motion.into(),
        unit: unit(kind, role_of, meta),
        zero_is_invalid: matches!(kind, ImageKind::Map | ImageKind::Uncertainty),
        window: window(meta),
        palette: palette(kind, meta).to_owned(),
        verdict: meta.get("BoresideVerdict").and_then(verdict),
        comments,
        unprocessed: meta.values(unprocessed::KEY).to_vec(),
        method: meta.get("BoresideMethod").unwrap_or_default().to_owned(),
        models: models(meta),
        shape: values::shape(pixels),
        element_type: values::element_type(pixels).into(),
        n_bytes: values::n_bytes(pixels) as u64,
        stored_type: type_name(pixels.data_type()).to_owned(),
        geometry: Some(geometry(header)),
        times_ms: numbers(meta.get("BoresideTimesMs").unwrap_or_default()),
        meta: entries(meta, hides_patients),
        ..proto::Image::default()
    }
}

fn role(meta: &Meta) -> String {
    let role = meta.get("GADGETRON_DataRole").or_else(|| meta.get("DataRole"));
    role.unwrap_or("Image").to_owned()
}

fn kind(image: &Image) -> ImageKind {
    let meta = &image.meta;
    if image.image_type() == Some(ImageType::Rgb) {
        return ImageKind::Color;
    }
    match meta.get("DataRole") {
        Some("Segmentation") => ImageKind::Labels,
        Some("Quantitative") => {
            let role = role(meta);
            // Only a map's own companions have the unit in our words.
            match meta.get("BoresideUnit") {
                Some(_) if role.ends_with("SD") => ImageKind::Uncertainty,
                Some(_) if role.ends_with("R2") => ImageKind::GoodnessOfFit,
                _ => ImageKind::Map,
            }
        }
        _ => ImageKind::Picture,
    }
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

fn title(
    kind: ImageKind,
    role: &str,
    quantity: &str,
    role_of: Option<ImageRole>,
    meta: &Meta,
) -> String {
    let readable = |quantity: &str| match quantity {
        "T2STAR" => "T2*".to_owned(),
        other => other.to_owned(),
    };
    let described = || {
        let text = meta.get("SequenceDescriptionAdditional")?;
        (!["BORESIDE", "", "None"].contains(&text)).then(|| text.to_owned())
    };
    match (kind, role_of) {
        (ImageKind::Uncertainty, _) => format!("{} uncertainty", readable(quantity)),
        (ImageKind::GoodnessOfFit, _) => format!("{} goodness of fit", readable(quantity)),
        (_, Some(ImageRole::Uncorrected)) => "before motion correction".to_owned(),
        (_, Some(ImageRole::MotionCorrected)) => "motion corrected".to_owned(),
        (_, Some(ImageRole::Psir)) => "PSIR".to_owned(),
        (_, Some(ImageRole::GFactor)) => "g-factor".to_owned(),
        (_, Some(ImageRole::SnrMap)) => "SNR".to_owned(),
        (_, Some(ImageRole::NoiseSd)) => "noise".to_owned(),
        (ImageKind::Map, _) => readable(quantity),
        (ImageKind::Labels, _) => described().unwrap_or_else(|| role.to_owned()),
        _ => described().unwrap_or_else(|| "images".to_owned()),
    }
}

fn unit(kind: ImageKind, role: Option<ImageRole>, meta: &Meta) -> String {
    match (meta.get("BoresideUnit"), role, kind) {
        (_, _, ImageKind::Picture | ImageKind::Labels | ImageKind::Color) => "",
        (Some(unit), ..) => unit,
        (None, Some(ImageRole::SnrMap), _) => "SNR",
        _ => "",
    }
    .to_owned()
}

fn window(meta: &Meta) -> Option<proto::Window> {
    let number = |key| meta.get_f64(key).filter(|value: &f64| value.is_finite());
    let width = number("WindowWidth").filter(|width| *width > 0.0)?;
    Some(proto::Window { center: number("WindowCenter")?, width })
}

fn palette(kind: ImageKind, meta: &Meta) -> &str {
    match (meta.get("BoresideColorMap"), kind) {
        (Some(name @ ("lipari" | "navia")), _) => name,
        (_, ImageKind::Map) if meta.get("LUTFileName").is_some_and(|file| file.contains("T1")) => {
            "lipari"
        }
        _ => "grey",
    }
}

fn verdict(text: &str) -> Option<proto::Verdict> {
    let (word, reason) = text.split_once(": ").unwrap_or((text, ""));
    let decision = match word {
        "accept" => Decision::Accept,
        "check" => Decision::Check,
        "repeat" => Decision::Repeat,
        _ => return None,
    };
    Some(proto::Verdict { decision: decision.into(), reason: reason.to_owned() })
}

/// The networks that touched the image: each of `inference::Provenance`'s keys has a value for each.
fn models(meta: &Meta) -> Vec<proto::Provenance> {
    let value = |key: &str, n: usize| meta.values(key).get(n).cloned().unwrap_or_default();
    let number = |key: &str, n| value(key, n).parse().unwrap_or(0.0);
    let model = |(n, model): (usize, &String)| proto::Provenance {
        model: model.clone(),
        sha256: value("BoresideModelSha256", n),
        provider: value("BoresideModelProvider", n),
        runtime: value("BoresideModelRuntime", n),
        time_ms: number("BoresideModelTimeMs", n),
        waited_ms: number("BoresideModelWaitedMs", n),
        guards: value("BoresideModelGuards", n),
        fallback: Some(value("BoresideModelFallback", n))
            .filter(|fallback| fallback != "none")
            .unwrap_or_default(),
    };
    meta.values("BoresideModel").iter().enumerate().map(model).collect()
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn entries(meta: &Meta, hides_patients: bool) -> Vec<proto::MetaEntry> {
    let is_personal = |key: &str| {
        ["PatientName", "PatientID", "PatientBirth"]
            .iter()
            .any(|start| key.to_ascii_lowercase().contains(&start.to_ascii_lowercase()))
    };
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

/// Where the image lies. The header's position is that of the pixel in the transform's centre,
/// which is number n/2 along each axis.
fn geometry(header: &ImageHeader) -> proto::Geometry {
    let directions = [header.read_dir, header.phase_dir, header.slice_dir];
    let n = header.matrix_size.map(|n| n.max(1));
    let voxel_mm: [f32; 3] =
        std::array::from_fn(|axis| header.field_of_view[axis] / f32::from(n[axis]));
    let mut patient_from_voxel = vec![0.0; 16];
    for row in 0..3 {
        let mut origin = f64::from(header.position[row]);
        for axis in 0..3 {
            let step = f64::from(directions[axis][row]) * f64::from(voxel_mm[axis]);
            patient_from_voxel[4 * row + axis] = step;
            origin -= step * f64::from(n[axis] / 2);
        }
        patient_from_voxel[4 * row + 3] = origin;
    }
    patient_from_voxel[15] = 1.0;
    proto::Geometry {
        position_mm: Vec::from(header.position),
        read_dir: Vec::from(header.read_dir),
        phase_dir: Vec::from(header.phase_dir),
        slice_dir: Vec::from(header.slice_dir),
        field_of_view_mm: Vec::from(header.field_of_view),
        voxel_size_mm: voxel_mm.to_vec(),
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
