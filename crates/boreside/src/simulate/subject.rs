//! Who lies in the simulated scanner.

use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use phantom::{
    Contrast, FieldStrength, Lesion, LesionKind, RandomOptions, Setup, ShortAxisOptions,
    SphereArray, Subject, random_anatomy,
};

#[derive(Args)]
#[command(next_help_heading = "Patient")]
pub struct SubjectOptions {
    /// Who lies in the scanner [default: short-axis; shepp-logan for gre]
    #[arg(long, value_enum)]
    phantom: Option<Phantom>,
    /// Main field in T
    #[arg(long, value_enum, default_value = "1.5", value_name = "T")]
    field_strength: Field,
    /// After contrast agent
    #[arg(long)]
    contrast_agent: bool,
    /// T1 of blood after contrast agent in ms [default: usual for the field]
    #[arg(long, value_name = "MS", requires = "contrast_agent")]
    blood_t1_ms: Option<f64>,
    /// Volume of red blood cells in percent [default: 42]
    #[arg(long, value_name = "PERCENT")]
    haematocrit: Option<f64>,
    /// Lesion in the wall: KIND[@ANGLE[:EXTENT[:FROM-TO]]] in degrees from the patient's left
    /// towards the back, and parts of the wall from 0 (inside) to 1; may be given several times
    #[arg(long, value_name = "LESION")]
    lesion: Vec<LesionText>,
    /// Disease of the whole myocardium
    #[arg(long, value_enum, value_name = "KIND")]
    diffuse: Option<Kind>,
    /// Thickness of the left ventricle's wall in mm [default: 10]
    #[arg(long, value_name = "MM")]
    wall_mm: Option<f64>,
    /// Vials of known T1 and T2 beside the patient
    #[arg(long)]
    vials: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Phantom {
    /// The head phantom of Shepp and Logan; its intensities do not depend on the sequence
    SheppLogan,
    /// Short-axis slices of a heart in a chest
    ShortAxis,
    /// The T1 spheres of the ISMRM/NIST system phantom
    SystemT1,
    /// The T2 spheres of the ISMRM/NIST system phantom
    SystemT2,
    /// A heart that --seed makes up
    Random,
}

#[derive(Clone, Copy, ValueEnum)]
enum Field {
    #[value(name = "0.55")]
    Low,
    #[value(name = "1.5")]
    Medium,
    #[value(name = "3")]
    High,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Infarct,
    AcuteInfarct,
    Fibrosis,
    Oedema,
    Iron,
    Amyloid,
    Fabry,
}

impl Phantom {
    /// Whether it is a chest.
    pub fn is_body(self) -> bool {
        matches!(self, Self::ShortAxis | Self::Random)
    }
}

impl From<Kind> for LesionKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Infarct => Self::Infarct,
            Kind::AcuteInfarct => Self::AcuteInfarct,
            Kind::Fibrosis => Self::Fibrosis,
            Kind::Oedema => Self::Oedema,
            Kind::Iron => Self::Iron,
            Kind::Amyloid => Self::Amyloid,
            Kind::Fabry => Self::Fabry,
        }
    }
}

/// A lesion as it is written on the command line.
#[derive(Clone)]
struct LesionText(Lesion);

impl FromStr for LesionText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || {
            format!(
                "{text:?} is no lesion: write KIND[@ANGLE[:EXTENT[:FROM-TO]]], like infarct@-90:40:0-0.5"
            )
        };
        let (kind, place) = text.split_once('@').unwrap_or((text, "0"));
        let kind = Kind::from_str(kind, true).map_err(|_| fault())?;
        let mut parts = place.split(':');
        let mut number = |default: f64| match parts.next() {
            None => Ok(default),
            Some(part) => part.parse::<f64>().map_err(|_| fault()),
        };
        let (angle_deg, extent_deg) = (number(0.0)?, number(40.0)?);
        let transmural = match place.split(':').nth(2) {
            None => [0.0, 0.6],
            Some(part) => {
                let (from, to) = part.split_once('-').ok_or_else(fault)?;
                [from.parse().map_err(|_| fault())?, to.parse().map_err(|_| fault())?]
            }
        };
        Ok(Self(Lesion {
            kind: kind.into(),
            angle_rad: angle_deg.to_radians(),
            extent_rad: extent_deg.to_radians(),
            transmural,
        }))
    }
}

impl SubjectOptions {
    pub fn field_strength(&self) -> FieldStrength {
        match self.field_strength {
            Field::Low => FieldStrength::Low,
            Field::Medium => FieldStrength::Medium,
            Field::High => FieldStrength::High,
        }
    }

    pub fn phantom(&self) -> Option<Phantom> {
        self.phantom
    }

    pub fn has_contrast_agent(&self) -> bool {
        self.contrast_agent
    }

    /// * `default`: who it is when the command line does not say.
    /// * `contrast_agent`: whether the sequence implies it.
    /// * `setup`: the rest of the scan.
    pub fn subject(
        &self,
        default: Phantom,
        contrast_agent: bool,
        setup: &Setup,
    ) -> Result<Subject> {
        let phantom = self.phantom.unwrap_or(default);
        if phantom == Phantom::SheppLogan && default != Phantom::SheppLogan {
            bail!(
                "the intensities of shepp-logan do not depend on the sequence: choose short-axis"
            );
        }
        if phantom != Phantom::ShortAxis {
            let only_heart = [
                ("--lesion", !self.lesion.is_empty()),
                ("--diffuse", self.diffuse.is_some()),
                ("--contrast-agent", self.contrast_agent && phantom != Phantom::Random),
                ("--vials", self.vials),
                ("--wall-mm", self.wall_mm.is_some()),
                ("--haematocrit", self.haematocrit.is_some()),
                ("--blood-t1-ms", self.blood_t1_ms.is_some()),
            ];
            if let Some((option, _)) = only_heart.iter().find(|(_, given)| *given) {
                bail!("{option} is for --phantom short-axis");
            }
        }
        let contrast_agent = contrast_agent || self.contrast_agent;
        let contrast = if contrast_agent {
            Contrast::Agent { blood_t1_ms: self.blood_t1_ms }
        } else {
            Contrast::Native
        };
        let usual = ShortAxisOptions::default();
        Ok(match phantom {
            Phantom::SheppLogan => Subject::SheppLogan,
            Phantom::SystemT1 => Subject::SystemPhantom(SphereArray::T1),
            Phantom::SystemT2 => Subject::SystemPhantom(SphereArray::T2),
            Phantom::Random => {
                let options = RandomOptions {
                    field_strengths: vec![self.field_strength()],
                    contrast_probability: if contrast_agent { 1.0 } else { 0.0 },
                    field_of_view_mm: setup.field_of_view_mm,
                    ..RandomOptions::default()
                };
                let slices = 0..setup.n_slices.min(Setup::MAX_SLICES) as u64;
                let anatomies = slices
                    .map(|slice| Ok(random_anatomy(setup.seed, slice, &options)?.anatomy))
                    .collect::<Result<_>>()?;
                Subject::Anatomies(anatomies)
            }
            Phantom::ShortAxis => Subject::ShortAxis(ShortAxisOptions {
                field_strength: self.field_strength(),
                contrast,
                haematocrit_percent: self.haematocrit.unwrap_or(usual.haematocrit_percent),
                wall_thickness_mm: self.wall_mm.unwrap_or(usual.wall_thickness_mm),
                diffuse: self.diffuse.map(Into::into),
                lesions: self.lesion.iter().map(|LesionText(lesion)| *lesion).collect(),
                vials: self.vials,
                ..usual
            }),
        })
    }
}
