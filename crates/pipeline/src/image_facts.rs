//! What an image says of itself: from its header and its meta attributes.

use ismrmrd::{Image, ImageType, Meta, Pixels};

use crate::palette::Colors;
use crate::{ImageRole, Verdict, unprocessed};

/// What the pixels of an image stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// A picture, whose scale is arbitrary.
    Picture,
    /// Values with a unit.
    Map,
    /// Standard deviations of such values.
    Uncertainty,
    /// R² of the fits that gave them.
    GoodnessOfFit,
    /// Numbers of regions.
    Labels,
    /// Red, green, blue.
    Color,
}

impl ImageKind {
    /// Whether the values are a map's or what belongs to one, and not a picture's.
    pub fn is_of_map(self) -> bool {
        matches!(self, Self::Map | Self::Uncertainty | Self::GoodnessOfFit)
    }
}

/// What an image says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFacts {
    /// What the pixels stand for.
    pub kind: ImageKind,
    /// Gadgetron's data role, `Image` where there is none.
    pub role: String,
    /// The role, where it is one of ours.
    pub role_of: Option<ImageRole>,
    /// What a map or its companions are of, e.g. `T1`; empty otherwise.
    pub quantity: String,
    /// Name for people.
    pub title: String,
    /// Unit of the values as people read it; empty for pictures and ratios.
    pub unit: String,
    /// Whether 0 means that there is no value.
    pub zero_is_invalid: bool,
    /// Centre and width of the window, in the unit.
    pub window: Option<[f64; 2]>,
    /// A name of [`Colors`], or `grey`.
    pub palette: &'static str,
    /// Whether a map can be used.
    pub verdict: Option<Verdict>,
    /// Comments that are not empty.
    pub comments: Vec<String>,
    /// Gadgets that the image had to leave out.
    pub unprocessed: Vec<String>,
    /// How the values were found.
    pub method: String,
    /// The networks that touched the image.
    pub models: Vec<ModelFacts>,
    /// Inversion, echo or other times of the series behind a map.
    pub times_ms: Vec<f64>,
}

/// What is said of a network that touched an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFacts {
    /// Name and version.
    pub model: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// What it ran on.
    pub provider: String,
    /// What ran it.
    pub runtime: String,
    /// Time that it took.
    pub time_ms: f64,
    /// Time that it waited for others.
    pub waited_ms: f64,
    /// What its guards said.
    pub guards: String,
    /// Why something else was used instead; empty where it was used.
    pub fallback: String,
}

impl ImageFacts {
    /// Reads them.
    pub fn of(image: &Image) -> Self {
        let meta = &image.meta;
        let (kind, role, role_of) = (kind(image), role(meta), ImageRole::of(meta));
        let quantity = match kind {
            ImageKind::Map => role.clone(),
            ImageKind::Uncertainty => role.strip_suffix("SD").unwrap_or(&role).to_owned(),
            ImageKind::GoodnessOfFit => role.strip_suffix("R2").unwrap_or(&role).to_owned(),
            _ => String::new(),
        };
        let mut comments = meta.values("ImageComments").to_vec();
        comments.retain(|comment| !comment.is_empty());
        Self {
            kind,
            title: title(kind, &role, &quantity, role_of, meta),
            unit: unit(kind, role_of, meta).to_owned(),
            zero_is_invalid: matches!(kind, ImageKind::Map | ImageKind::Uncertainty),
            window: crate::window_of(meta),
            palette: palette(kind, meta),
            verdict: meta.get("BoresideVerdict").and_then(verdict),
            comments,
            unprocessed: meta.values(unprocessed::KEY).to_vec(),
            method: meta.get("BoresideMethod").unwrap_or_default().to_owned(),
            models: models(meta),
            times_ms: numbers(meta.get("BoresideTimesMs").unwrap_or_default()),
            role,
            role_of,
            quantity,
        }
    }
}

/// Slope and intercept that lead from the stored pixels of an image to its values.
pub fn rescale(image: &Image) -> (f64, f64) {
    let is_float =
        matches!(image.pixels, Pixels::F32(_) | Pixels::F64(_) | Pixels::C32(_) | Pixels::C64(_));
    // The scale of plain images is arbitrary, and floats are values already.
    if is_float || image.meta.get("DataRole") != Some("Quantitative") {
        return (1.0, 0.0);
    }
    let number = |key| image.meta.get_f64(key).filter(|value: &f64| value.is_finite());
    let slope = number("RescaleSlope").filter(|slope| *slope != 0.0).unwrap_or(1.0);
    (slope, number("RescaleIntercept").unwrap_or(0.0))
}

/// Whether pixels that are stored as 0 have no value although 0 would stand for another one: maps
/// whose values have a sign are lifted above 0 where they become integers
/// ([`crate::View::integer_offset`]).
pub fn stored_zero_is_none(image: &Image) -> bool {
    rescale(image).1 != 0.0 && image.meta.get("BoresideUnit").is_some()
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

fn unit(kind: ImageKind, role: Option<ImageRole>, meta: &Meta) -> &str {
    match (meta.get("BoresideUnit"), role, kind) {
        (_, _, ImageKind::Picture | ImageKind::Labels | ImageKind::Color) => "",
        (Some(unit), ..) => unit,
        (None, Some(ImageRole::SnrMap), _) => "SNR",
        _ => "",
    }
}

fn palette(kind: ImageKind, meta: &Meta) -> &'static str {
    if let Some(colors) = meta.get("BoresideColorMap").and_then(Colors::from_name) {
        return colors.name();
    }
    let is_t1 = || meta.get("LUTFileName").is_some_and(|file| file.contains("T1"));
    if kind == ImageKind::Map && is_t1() { Colors::Lipari.name() } else { "grey" }
}

fn verdict(text: &str) -> Option<Verdict> {
    let (word, reason) = text.split_once(": ").unwrap_or((text, ""));
    match word {
        "accept" => Some(Verdict::Accept),
        "check" => Some(Verdict::Check(reason.to_owned())),
        "repeat" => Some(Verdict::Repeat(reason.to_owned())),
        _ => None,
    }
}

/// The networks that touched the image: each of `inference::Provenance`'s keys has a value for each.
fn models(meta: &Meta) -> Vec<ModelFacts> {
    let value = |key: &str, n: usize| meta.values(key).get(n).cloned().unwrap_or_default();
    let number = |key: &str, n| value(key, n).parse().unwrap_or(0.0);
    let model = |(n, model): (usize, &String)| ModelFacts {
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

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::ImageHeader;
    use ndarray::Array4;

    #[test]
    fn a_scanners_map_without_our_words_is_a_map_with_its_slope() {
        let meta = Meta::from_iter([
            ("DataRole", "Quantitative"),
            ("GADGETRON_DataRole", "T2STAR"),
            ("RescaleSlope", "0.1"),
            ("LUTFileName", "GadgetronParametricMap.pal"),
        ]);
        let image = Image::new(ImageHeader::default(), meta, Array4::<u16>::zeros((1, 1, 1, 1)));
        let facts = ImageFacts::of(&image);
        assert_eq!((facts.kind, facts.title.as_str()), (ImageKind::Map, "T2*"));
        assert_eq!((facts.unit.as_str(), facts.palette), ("", "grey"));
        assert_eq!(rescale(&image), (0.1, 0.0));
    }

    #[test]
    fn a_pictures_slope_is_for_the_scanner() {
        let meta = Meta::from_iter([("DataRole", "Image"), ("RescaleSlope", "0.1")]);
        let image = Image::new(ImageHeader::default(), meta, Array4::<u16>::zeros((1, 1, 1, 1)));
        assert_eq!(rescale(&image), (1.0, 0.0));
        assert_eq!(ImageFacts::of(&image).kind, ImageKind::Picture);
    }
}
