//! The tissues of one random body.

use crate::anatomy::Contrast;
use crate::anatomy::random::{Random, RandomOptions};
use crate::tissue::{ContrastAgent, FieldStrength, LesionKind, Tissue, TissueKind, TissueTable};

/// How ill a lesion is: 1 as in the table, 0 healthy.
const SEVERITIES: [f64; 2] = [0.5, 1.2];

/// Red cells, %.
const HAEMATOCRITS_PERCENT: [f64; 2] = [34.0, 50.0];

/// T1 of blood after contrast over the usual one.
const CONTRAST_T1_RATIOS: [f64; 2] = [0.75, 1.4];

/// The table with changes of its own.
pub(super) struct Tissues {
    table: TissueTable,
    agent: Option<ContrastAgent>,
    pub contrast: Contrast,
    pub diffuse: Option<LesionKind>,
    /// Factors of T1, T2, density and ECV, in the order of [`TissueKind::ALL`].
    factors: [[f64; 4]; TissueKind::ALL.len()],
    /// Of each lesion, in the order of [`LesionKind::ALL`].
    severities: [f64; LesionKind::ALL.len()],
}

pub(super) fn draw(random: &mut Random, options: &RandomOptions) -> Tissues {
    let [low, high] = HAEMATOCRITS_PERCENT;
    let table = TissueTable {
        field_strength: random.one_of(&options.field_strengths),
        haematocrit_percent: random.between(low, high),
    };
    let diffuse = random.happens(options.diffuse_probability).then(|| {
        random.one_of(&[
            LesionKind::Fibrosis,
            LesionKind::Oedema,
            LesionKind::Iron,
            LesionKind::Amyloid,
            LesionKind::Fabry,
        ])
    });
    let with_contrast = random.happens(options.contrast_probability);
    let [low, high] = CONTRAST_T1_RATIOS;
    let usual_ms = table.post_contrast_blood_t1_ms();
    let post_t1_ms = random.between(low * usual_ms, high * usual_ms);
    let variation = options.tissue_variation;
    let factors = std::array::from_fn(|_| {
        std::array::from_fn(|_| random.between(1.0 - variation, 1.0 + variation))
    });
    let [low, high] = SEVERITIES;
    let severities = std::array::from_fn(|_| random.between(low, high));
    let mut tissues =
        Tissues { table, agent: None, contrast: Contrast::Native, diffuse, factors, severities };
    if with_contrast {
        let blood = tissues.tissue(TissueKind::LeftBlood);
        let agent = ContrastAgent::from_blood(&blood, post_t1_ms);
        tissues.agent = Some(agent.expect("at most half of blood's native T1"));
        tissues.contrast = Contrast::Agent { blood_t1_ms: Some(post_t1_ms) };
    }
    tissues
}

impl Tissues {
    pub fn field_strength(&self) -> FieldStrength {
        self.table.field_strength
    }

    pub fn haematocrit_percent(&self) -> f64 {
        self.table.haematocrit_percent
    }

    pub fn tissue(&self, kind: TissueKind) -> Tissue {
        let usual = self.table.tissue(kind);
        let native = match kind {
            TissueKind::Lesion(lesion) => {
                // As far from this body's myocardium as the table's lesion is from the table's.
                let healthy = self.table.tissue(TissueKind::Myocardium);
                let severity = self.severities[position(&LesionKind::ALL, lesion)];
                let own = self.varied(healthy, TissueKind::Myocardium);
                let changed =
                    |own: f64, ill: f64, healthy: f64| own * (ill / healthy).powf(severity);
                let dephasing = |tissue: &Tissue| 1.0 / tissue.t2_star_ms - 1.0 / tissue.t2_ms;
                let t2_ms = changed(own.t2_ms, usual.t2_ms, healthy.t2_ms);
                let rate = changed(dephasing(&own), dephasing(&usual), dephasing(&healthy));
                Tissue {
                    t1_ms: changed(own.t1_ms, usual.t1_ms, healthy.t1_ms),
                    t2_ms,
                    t2_star_ms: 1.0 / (1.0 / t2_ms + rate),
                    ecv_percent: own
                        .ecv_percent
                        .zip(usual.ecv_percent.zip(healthy.ecv_percent))
                        .map(|(own, (ill, healthy))| changed(own, ill, healthy).min(90.0)),
                    ..own
                }
            }
            _ => self.varied(usual, kind),
        };
        self.agent.map_or(native, |agent| native.after_contrast(&agent))
    }

    /// A tissue of the table with this body's factors.
    fn varied(&self, usual: Tissue, kind: TissueKind) -> Tissue {
        let [t1, t2, density, ecv] = self.factors[position(&TissueKind::ALL, kind)];
        // Blood's extracellular volume is known from its haematocrit; its kinds share one T1.
        let is_blood = matches!(kind, TissueKind::LeftBlood | TissueKind::RightBlood);
        let ecv = if is_blood { 1.0 } else { ecv };
        Tissue {
            t1_ms: t1 * usual.t1_ms,
            t2_ms: t2 * usual.t2_ms,
            t2_star_ms: t2 * usual.t2_star_ms,
            proton_density: density * usual.proton_density,
            ecv_percent: usual.ecv_percent.map(|percent| ecv * percent),
            ..usual
        }
    }
}

fn position<T: PartialEq>(all: &[T], wanted: T) -> usize {
    all.iter().position(|one| *one == wanted).expect("all kinds are listed")
}
