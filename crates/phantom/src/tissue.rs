//! What a tissue is to an MR scanner.

mod contrast;
mod table;

pub use contrast::{ContrastAgent, ContrastError};
pub use table::{TissueKind, TissueTable};

/// Gyromagnetic ratio of ¹H over 2π, Hz/T.
pub const H1_HZ_PER_T: f64 = 42_577_478.461;

/// The field that the scanner has: the phantoms know their tissues at each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FieldStrength {
    /// 0.55 T.
    Low,
    /// 1.5 T.
    #[default]
    Medium,
    /// 3 T.
    High,
}

impl FieldStrength {
    /// All of them, weakest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The main field, T.
    pub fn tesla(self) -> f64 {
        match self {
            Self::Low => 0.55,
            Self::Medium => 1.5,
            Self::High => 3.0,
        }
    }
}

/// What is wrong with a part of the myocardium, or with all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LesionKind {
    /// Chronic scar.
    Infarct,
    /// Scar of some days, with oedema.
    AcuteInfarct,
    /// Diffuse fibrosis.
    Fibrosis,
    /// Acute oedema.
    Oedema,
    /// Iron overload.
    Iron,
    /// Amyloid.
    Amyloid,
    /// Fabry's disease: stored lipid.
    Fabry,
}

impl LesionKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Infarct,
        Self::AcuteInfarct,
        Self::Fibrosis,
        Self::Oedema,
        Self::Iron,
        Self::Amyloid,
        Self::Fabry,
    ];
}

/// Relaxation and density of a tissue at one field strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tissue {
    /// Longitudinal relaxation time, above 0.
    pub t1_ms: f64,
    /// Transverse relaxation time of spins, above 0.
    pub t2_ms: f64,
    /// Decay time of a gradient echo, at most `t2_ms`.
    pub t2_star_ms: f64,
    /// Density of spins; 1 is blood, 0 gives no signal.
    pub proton_density: f64,
    /// Resonance over that of water in the scanner's field.
    pub off_resonance_hz: f64,
    /// Extracellular volume fraction; for blood 100 − haematocrit. `None` where it has no meaning.
    pub ecv_percent: Option<f64>,
}
