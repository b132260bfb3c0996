//! What is known about the body in a case.

use super::values::{ArrayDescription, Element, Values, flat, number};
use crate::anatomy::{Contrast, RandomAnatomy};
use crate::maps::TissueMaps;
use crate::raster::PixelGrid;

/// A map of a tissue's property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Map {
    T1,
    T2,
    T2Star,
}

impl Map {
    fn description(self, grid: PixelGrid) -> ArrayDescription {
        let (name, meaning) = match self {
            Self::T1 => ("t1_map_ms", "T1 in the reference pose; 0 in air"),
            Self::T2 => ("t2_map_ms", "T2 in the reference pose; 0 in air"),
            Self::T2Star => ("t2_star_map_ms", "T2* in the reference pose; 0 in air"),
        };
        image(name, Element::F32, grid, "ms", meaning)
    }

    fn values(self, maps: &TissueMaps) -> Values {
        let map = match self {
            Self::T1 => &maps.t1_map_ms,
            Self::T2 => &maps.t2_map_ms,
            Self::T2Star => &maps.t2_star_map_ms,
        };
        Values::F32(flat(map.clone()))
    }
}

/// An array of one image per case.
pub(super) fn image(
    name: &'static str,
    element: Element,
    grid: PixelGrid,
    unit: &'static str,
    meaning: &str,
) -> ArrayDescription {
    let (n_rows, n_columns) = grid.shape();
    ArrayDescription::array(name, element, [("y", n_rows), ("x", n_columns)], unit, meaning)
}

/// Maps, labels, masks and what is known about body and scanner.
pub(super) fn descriptions(maps: &[Map], grid: PixelGrid) -> Vec<ArrayDescription> {
    let mut arrays: Vec<ArrayDescription> = maps.iter().map(|map| map.description(grid)).collect();
    arrays.push(image(
        "labels",
        Element::U16,
        grid,
        "",
        "0 air, 1 fat, 2 muscle, 3 lung, 4 liver, 5 aorta, 6 wall and 7 blood of the right \
         ventricle, 8 wall and 9 blood of the left, 10 papillary muscle; lesions: 20 infarct, 21 \
         acute infarct, 22 fibrosis, 23 oedema, 24 iron, 25 amyloid, 26 Fabry",
    ));
    for (name, meaning) in [
        ("myocardium_mask", "wall of the left ventricle with its lesions, no papillary muscle"),
        ("left_blood_mask", "blood of the left ventricle"),
        ("right_blood_mask", "blood of the right ventricle"),
        ("lesion_mask", "focal lesions"),
    ] {
        arrays.push(image(name, Element::Bool, grid, "", meaning));
    }
    arrays.push(ArrayDescription::scalar(
        "field_strength_t",
        Element::F32,
        "T",
        "main field of the scanner",
    ));
    arrays.push(ArrayDescription::scalar(
        "is_after_contrast",
        Element::Bool,
        "",
        "whether a contrast agent shortens T1",
    ));
    arrays
}

/// The values of [`descriptions`].
///
/// * `tissues`: of the body in its reference pose.
pub(super) fn values(kinds: &[Map], body: &RandomAnatomy, tissues: &TissueMaps) -> Vec<Values> {
    let mut values: Vec<Values> = kinds.iter().map(|map| map.values(tissues)).collect();
    values.push(Values::U16(flat(tissues.labels.clone())));
    let masks =
        [tissues.myocardium(), tissues.left_blood(), tissues.right_blood(), tissues.lesions()];
    values.extend(masks.map(|mask| Values::Bool(flat(mask))));
    values.push(number(body.field_strength.tesla()));
    values.push(Values::Bool(vec![body.contrast != Contrast::Native]));
    values
}
