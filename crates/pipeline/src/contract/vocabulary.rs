//! Meta attributes in the words of both kinds of client.
//!
//! FIRE and OpenRecon read one set of keys, Gadgetron's clients another for the same ideas. What
//! stands in one is copied to the other; where both have a word, both stay.

use ismrmrd::{DataType, Meta};

use super::violation::Violation;
use crate::ImageRole;

/// The same idea in FIRE's and in Gadgetron's words.
const PAIRS: [(&str, &str); 8] = [
    ("ImageComments", "GADGETRON_ImageComment"),
    ("ImageProcessingHistory", "GADGETRON_ImageProcessingHistory"),
    ("SequenceDescriptionAdditional", "GADGETRON_SeqDescription"),
    ("WindowCenter", "GADGETRON_WindowCenter"),
    ("WindowWidth", "GADGETRON_WindowWidth"),
    ("LUTFileName", "GADGETRON_ColorMap"),
    ("EchoTime", "GADGETRON_TE"),
    ("InversionTime", "GADGETRON_TI"),
];
/// How this program signs.
const SIGNATURE: &str = "BORESIDE";

/// Completes the attributes. `max_stored` is the largest integer that clients show.
pub(super) fn check(
    meta: &mut Meta,
    pixels: DataType,
    max_stored: i64,
    found: &mut dyn FnMut(Violation),
) {
    role(meta);
    if !meta.values("ImageProcessingHistory").iter().any(|step| step == SIGNATURE) {
        // Gadgetron's word first, so that the signature stands at the end of the whole history.
        mirror(meta, "GADGETRON_ImageProcessingHistory", "ImageProcessingHistory");
        meta.append("ImageProcessingHistory", SIGNATURE);
    }
    for (fire, gadgetron) in PAIRS {
        // The map's unit is too coarse for its window: none is better than another one.
        if fire.starts_with("Window") && meta.get(crate::WINDOW_KEY).is_some() {
            continue;
        }
        mirror(meta, gadgetron, fire);
        if fire == "SequenceDescriptionAdditional" && meta.get(fire).is_none() {
            // Some releases write "None" behind the name of a series that says nothing.
            meta.set(fire, SIGNATURE);
        }
        mirror(meta, fire, gadgetron);
    }
    scale(meta);
    let is_integer =
        matches!(pixels, DataType::U16 | DataType::I16 | DataType::U32 | DataType::I32);
    let slope = meta.get_f64("RescaleSlope").unwrap_or(1.0);
    let intercept = meta.get_f64("RescaleIntercept").unwrap_or(0.0);
    // A window is in rescaled units, and may have its centre outside of what is stored.
    let limit = is_integer && slope == 1.0 && intercept == 0.0;
    let (width, center) = match limit {
        true => ((1, max_stored + 1), (-max_stored, max_stored)),
        false => ((1, i64::MAX), (i64::MIN, i64::MAX)),
    };
    let mut is_wrong = false;
    for (key, (low, high)) in [
        ("WindowCenter", center),
        ("GADGETRON_WindowCenter", center),
        ("WindowWidth", width),
        ("GADGETRON_WindowWidth", width),
    ] {
        let Some(text) = meta.get(key) else { continue };
        if text.trim().parse::<i64>().is_ok_and(|value| (low..=high).contains(&value)) {
            continue;
        }
        is_wrong = true;
        match meta.get_f64(key).filter(|value| value.is_finite()) {
            // The cast saturates.
            Some(value) => meta.set(key, (value.round() as i64).clamp(low, high)),
            None => _ = meta.remove(key),
        }
    }
    if is_wrong {
        found(Violation::Window);
    }
}

fn mirror(meta: &mut Meta, from: &str, to: &str) {
    if meta.get(to).is_none() && !meta.values(from).is_empty() {
        let values = meta.values(from).to_vec();
        meta.set_all(to, values);
    }
}

/// What the pixels are. A role that we do not know is a map's.
fn role(meta: &mut Meta) {
    match (meta.get("DataRole"), meta.get("GADGETRON_DataRole")) {
        (Some(_), Some(_)) => {}
        (None, Some(_)) => {
            let fire = ImageRole::of(meta).map_or("Quantitative", ImageRole::fire_name);
            meta.set("DataRole", fire);
        }
        (Some(_), None) => mirror(meta, "DataRole", "GADGETRON_DataRole"),
        (None, None) => ImageRole::Image.write(meta),
    }
}

/// Gadgetron: pixel = value · ratio + offset. FIRE: value = pixel · slope + intercept. A scanner
/// applies slopes to what it shows, so plain images, whose scale is arbitrary, get none.
fn scale(meta: &mut Meta) {
    let is_map = meta.get("DataRole") == Some("Quantitative");
    let ratio = meta.get_f64("GADGETRON_ScaleRatio").filter(|ratio| *ratio != 0.0);
    if let (true, Some(ratio), None) = (is_map, ratio, meta.get("RescaleSlope")) {
        let offset = meta.get_f64("GADGETRON_ScaleOffset").unwrap_or(0.0);
        meta.set("RescaleSlope", 1.0 / ratio);
        meta.set("RescaleIntercept", -offset / ratio);
    }
    let slope = meta.get_f64("RescaleSlope").filter(|slope| *slope != 0.0);
    if let (Some(slope), None) = (slope, meta.get("GADGETRON_ScaleRatio")) {
        let intercept = meta.get_f64("RescaleIntercept").unwrap_or(0.0);
        meta.set("GADGETRON_ScaleRatio", 1.0 / slope);
        meta.set("GADGETRON_ScaleOffset", (0.0 - intercept) / slope);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(pairs: &[(&str, &str)]) -> (Meta, Vec<Violation>) {
        let mut meta = Meta::from_iter(pairs.iter().copied());
        let mut violations = Vec::new();
        check(&mut meta, DataType::U16, 4095, &mut |violation| violations.push(violation));
        (meta, violations)
    }

    #[test]
    fn an_image_that_says_nothing_gets_role_history_and_description() {
        let (meta, violations) = checked(&[]);
        let expected = [
            ("DataRole", "Image"),
            ("GADGETRON_DataRole", "Image"),
            ("GADGETRON_ImageProcessingHistory", "BORESIDE"),
            ("GADGETRON_SeqDescription", "BORESIDE"),
            ("ImageProcessingHistory", "BORESIDE"),
            ("SequenceDescriptionAdditional", "BORESIDE"),
        ];
        assert_eq!(meta, Meta::from_iter(expected));
        assert!(violations.is_empty());
    }

    #[test]
    fn what_one_vocabulary_says_the_other_says_too() {
        let (meta, violations) = checked(&[
            ("GADGETRON_DataRole", "SNR_MAP"),
            ("GADGETRON_ImageComment", "SNR_MAP"),
            ("GADGETRON_ImageComment", "x10"),
            ("GADGETRON_ImageProcessingHistory", "FIL"),
            ("WindowCenter", "200"),
            ("GADGETRON_WindowWidth", "400"),
            ("GADGETRON_ColorMap", "map.pal"),
            ("GADGETRON_ScaleRatio", "10"),
            ("InversionTime", "120"),
        ]);
        assert!(violations.is_empty());
        assert_eq!(meta.get("DataRole"), Some("Quantitative"));
        assert_eq!(meta.values("ImageComments"), ["SNR_MAP", "x10"]);
        assert_eq!(meta.values("ImageProcessingHistory"), ["FIL", "BORESIDE"]);
        assert_eq!(meta.get("GADGETRON_WindowCenter"), Some("200"));
        assert_eq!(meta.get("WindowWidth"), Some("400"));
        assert_eq!(meta.get("LUTFileName"), Some("map.pal"));
        assert_eq!(meta.get("RescaleSlope"), Some("0.1"));
        assert_eq!(meta.get("GADGETRON_TI"), Some("120"));
    }

    #[test]
    fn a_plain_image_gets_no_slope_and_a_maps_slope_becomes_gadgetrons_ratio() {
        let (meta, _) = checked(&[("GADGETRON_DataRole", "Image"), ("GADGETRON_ScaleRatio", "4")]);
        assert_eq!(meta.get("RescaleSlope"), None);
        let (meta, _) = checked(&[("DataRole", "Quantitative"), ("RescaleSlope", "0.5")]);
        assert_eq!(meta.get("GADGETRON_ScaleRatio"), Some("2"));
    }

    #[test]
    fn windows_become_whole_numbers_within_the_bits_that_are_stored() {
        let (meta, violations) = checked(&[
            ("WindowCenter", "2068.5"),
            ("WindowWidth", "65536"),
            ("GADGETRON_WindowCenter", "nothing"),
            ("GADGETRON_WindowWidth", "0"),
        ]);
        assert_eq!(violations, [Violation::Window]);
        assert_eq!(meta.get("WindowCenter"), Some("2069"));
        assert_eq!(meta.get("WindowWidth"), Some("4096"));
        assert_eq!(meta.get("GADGETRON_WindowCenter"), None);
        assert_eq!(meta.get("GADGETRON_WindowWidth"), Some("1"));
        // In rescaled units more than the stored bits may be meant.
        let (meta, violations) =
            checked(&[("WindowCenter", "5000"), ("RescaleSlope", "2"), ("WindowWidth", "9000")]);
        assert!(violations.is_empty());
        assert_eq!(meta.get("WindowCenter"), Some("5000"));
    }
}
