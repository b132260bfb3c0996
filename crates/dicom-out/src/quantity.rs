//! What a map measures, in codes that archives and viewers know.

use dicom_dictionary_std::tags;
use pipeline::{ImageFacts, ImageKind};

use crate::dataset::Dataset;

/// Designator of the codes that no public scheme has; they are listed in `docs/dicom.md`.
pub const PRIVATE_SCHEME: &str = "99BORESIDE";

/// A code: value, scheme, meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Value of the code.
    pub value: String,
    /// Designator of its scheme.
    pub scheme: &'static str,
    /// What it means.
    pub meaning: String,
}

impl Code {
    fn new(value: &str, scheme: &'static str, meaning: &str) -> Self {
        Self { value: value.to_owned(), scheme, meaning: meaning.to_owned() }
    }

    /// As an item of a code sequence.
    pub(crate) fn item(&self) -> Dataset {
        let mut item = Dataset::default();
        item.sh(tags::CODE_VALUE, &self.value);
        item.sh(tags::CODING_SCHEME_DESIGNATOR, self.scheme);
        item.lo(tags::CODE_MEANING, &self.meaning);
        item
    }
}

/// What the values of an image are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// The quantity.
    pub quantity: Code,
    /// What of it: [`None`] for its value, else e.g. its standard deviation.
    pub derivation: Option<Code>,
    /// Unit (UCUM).
    pub unit: Code,
    /// Short name in capitals: `T1`, `T2_STAR`, `T1_SD`.
    pub label: String,
}

/// Codes of quantities by data role.
///
/// # Source
/// DICOM PS3.16, context group 7469; SNOMED CT for the standard deviation.
const QUANTITIES: [(&str, &str, &str, &str); 23] = [
    ("T1", "113063", "DCM", "T1"),
    ("T2", "113065", "DCM", "T2"),
    ("T2STAR", "113064", "DCM", "T2*"),
    ("PD", "113058", "DCM", "Proton Density"),
    ("R1", "126393", "DCM", "R1"),
    ("R2", "126394", "DCM", "R2"),
    ("R2STAR", "126395", "DCM", "R2*"),
    ("ADC", "113041", "DCM", "Apparent Diffusion Coefficient"),
    ("FA", "110808", "DCM", "Fractional Anisotropy"),
    ("MD", "113202", "DCM", "Mean Diffusivity"),
    ("RD", "113203", "DCM", "Radial Diffusivity"),
    ("AD", "113204", "DCM", "Axial Diffusivity"),
    ("ECV", "ECV", PRIVATE_SCHEME, "Extracellular Volume Fraction"),
    ("HA", "HA", PRIVATE_SCHEME, "Helix Angle"),
    ("TA", "TA", PRIVATE_SCHEME, "Transverse Angle"),
    ("E2A", "E2A", PRIVATE_SCHEME, "Secondary Eigenvector Angle"),
    ("ABS_E2A", "ABS_E2A", PRIVATE_SCHEME, "Absolute Secondary Eigenvector Angle"),
    ("HA_SLOPE", "HA_SLOPE", PRIVATE_SCHEME, "Transmural Slope of the Helix Angle"),
    ("MODE", "MODE", PRIVATE_SCHEME, "Mode of the Diffusion Tensor"),
    ("Gfactor", "GFACTOR", PRIVATE_SCHEME, "g-Factor of Parallel Imaging"),
    ("SNR_MAP", "SNR", PRIVATE_SCHEME, "Signal to Noise Ratio"),
    ("STD_MAP", "NOISE_SD", PRIVATE_SCHEME, "Standard Deviation of the Noise"),
    ("B1MAP", "B1", PRIVATE_SCHEME, "Relative B1+"),
];

/// Units as people read them, and their codes.
const UNITS: [(&str, &str, &str); 8] = [
    ("ms", "ms", "ms"),
    ("%", "%", "Percent"),
    ("deg", "deg", "degrees of plane angle"),
    ("deg/%", "deg/%", "degrees of plane angle per percent"),
    ("10^-3 mm^2/s", "um2/ms", "um2/ms"),
    ("Hz", "Hz", "Hertz"),
    ("1/s", "/s", "/s"),
    ("SNR", "1", "no units"),
];

impl Quantity {
    /// What the values of a map or of its companions are; [`None`] for pictures.
    pub fn of(facts: &ImageFacts) -> Option<Self> {
        let derivation = match facts.kind {
            ImageKind::Map => None,
            ImageKind::Uncertainty => Some(Code::new("386136009", "SCT", "Standard Deviation")),
            ImageKind::GoodnessOfFit => {
                Some(Code::new("R_SQUARED", PRIVATE_SCHEME, "Coefficient of Determination"))
            }
            ImageKind::Picture | ImageKind::Labels | ImageKind::Color => return None,
        };
        let known = QUANTITIES.iter().find(|(role, ..)| *role == facts.quantity);
        let quantity = match known {
            Some((_, value, scheme, meaning)) => Code::new(value, scheme, meaning),
            None => Code::new(&crate::text::code(&facts.quantity), PRIVATE_SCHEME, &facts.quantity),
        };
        let unit = UNITS.iter().find(|(symbol, ..)| *symbol == facts.unit);
        let unit = unit.map_or_else(
            || Code::new("1", "UCUM", "no units"),
            |(_, value, meaning)| Code::new(value, "UCUM", meaning),
        );
        let name = match facts.quantity.as_str() {
            "T2STAR" => "T2_STAR",
            "R2STAR" => "R2_STAR",
            other => other,
        };
        let suffix = match facts.kind {
            ImageKind::Uncertainty => "_SD",
            ImageKind::GoodnessOfFit => "_R2",
            _ => "",
        };
        let label = crate::text::code(&format!("{name}{suffix}"));
        Some(Self { quantity, derivation, unit, label })
    }

    /// Whether it needs codes of [`PRIVATE_SCHEME`].
    pub(crate) fn is_private(&self) -> bool {
        let codes = std::iter::once(&self.quantity).chain(&self.derivation);
        codes.into_iter().any(|code| code.scheme == PRIVATE_SCHEME)
    }

    /// An item of the Real World Value Mapping Sequence without the range of pixels that it is for.
    pub(crate) fn mapping(&self, slope: f64, intercept: f64) -> Dataset {
        let mut item = Dataset::default();
        let what = match &self.derivation {
            Some(derivation) => format!("{} of {}", derivation.meaning, self.quantity.meaning),
            None => self.quantity.meaning.clone(),
        };
        item.lo(tags::LUT_EXPLANATION, &what);
        item.sh(tags::LUT_LABEL, &self.label);
        item.fd(tags::REAL_WORLD_VALUE_INTERCEPT, &[intercept]);
        item.fd(tags::REAL_WORLD_VALUE_SLOPE, &[slope]);
        item.sq(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, vec![self.unit.item()]);
        let content = |name: Code, value: &Code| {
            let mut content = Dataset::default();
            content.cs(tags::VALUE_TYPE, &["CODE"]);
            content.sq(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![name.item()]);
            content.sq(tags::CONCEPT_CODE_SEQUENCE, vec![value.item()]);
            content
        };
        let mut definition =
            vec![content(Code::new("246205007", "SCT", "Quantity"), &self.quantity)];
        if let Some(derivation) = &self.derivation {
            definition.push(content(Code::new("121401", "DCM", "Derivation"), derivation));
        }
        item.sq(tags::QUANTITY_DEFINITION_SEQUENCE, definition);
        item
    }
}
