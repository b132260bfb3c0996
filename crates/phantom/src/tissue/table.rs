//! Relaxation and density of the tissues of the chest, healthy and ill.

use crate::tissue::{FieldStrength, H1_HZ_PER_T, LesionKind, Tissue};

/// Resonance of fat's main peak from that of water.
const FAT_SHIFT: f64 = -3.4e-6;

/// T2 of blood of the right ventricle, which is not oxygenated, over that of the left.
const VENOUS_T2_RATIO: f64 = 0.8;

/// Change of the infarct's T1: the middle of +200 … +300 ms.
const INFARCT_T1_RISE_MS: f64 = 250.0;

/// Change of T1 in amyloidosis: the middle of +150 … +200 ms.
const AMYLOID_T1_RISE_MS: f64 = 175.0;

/// Which tissue of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TissueKind {
    /// Subcutaneous fat.
    Fat,
    /// Skeletal muscle.
    Muscle,
    /// Lung.
    Lung,
    /// Liver.
    Liver,
    /// Healthy myocardium, papillary muscle, wall of the right ventricle.
    Myocardium,
    /// Blood of the left ventricle and the aorta.
    LeftBlood,
    /// Blood of the right ventricle.
    RightBlood,
    /// Myocardium that is ill.
    Lesion(LesionKind),
}

impl TissueKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Fat,
        Self::Muscle,
        Self::Lung,
        Self::Liver,
        Self::Myocardium,
        Self::LeftBlood,
        Self::RightBlood,
        Self::Lesion(LesionKind::Infarct),
        Self::Lesion(LesionKind::AcuteInfarct),
        Self::Lesion(LesionKind::Fibrosis),
        Self::Lesion(LesionKind::Oedema),
        Self::Lesion(LesionKind::Iron),
        Self::Lesion(LesionKind::Amyloid),
        Self::Lesion(LesionKind::Fabry),
    ];
}

/// The tissues of one body in one scanner, before contrast.
///
/// # Source
/// T1 and T2 at 1.5 and 3 T follow Dabir 2014, Gottbrecht 2019, Hanson 2020 and Roy 2017.
///
/// # Assumptions
/// All of 0.55 T, all T2* and densities, fat, liver, muscle and lung are plausible inputs, not
/// reference values. So are the ECV of liver (28 %) and muscle (15 %).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TissueTable {
    /// Of the scanner.
    pub field_strength: FieldStrength,
    /// Volume of the red cells over that of the blood.
    pub haematocrit_percent: f64,
}

impl Default for TissueTable {
    fn default() -> Self {
        Self {
            field_strength: FieldStrength::default(),
            haematocrit_percent: Self::HAEMATOCRIT_PERCENT,
        }
    }
}

impl TissueTable {
    /// Of a healthy adult.
    pub const HAEMATOCRIT_PERCENT: f64 = 42.0;

    /// A tissue without contrast agent.
    pub fn tissue(&self, kind: TissueKind) -> Tissue {
        match kind {
            TissueKind::Lesion(lesion) => self.lesion(lesion),
            TissueKind::Fat => {
                let frequency_hz = H1_HZ_PER_T * self.field_strength.tesla();
                Tissue { off_resonance_hz: FAT_SHIFT * frequency_hz, ..self.healthy(kind) }
            }
            TissueKind::RightBlood => {
                let blood = self.healthy(TissueKind::LeftBlood);
                blood.with_t2(VENOUS_T2_RATIO * blood.t2_ms)
            }
            _ => self.healthy(kind),
        }
    }

    /// T1 of blood some ten minutes after a usual dose of gadolinium.
    pub fn post_contrast_blood_t1_ms(&self) -> f64 {
        match self.field_strength {
            FieldStrength::Low => 230.0,
            FieldStrength::Medium => 300.0,
            FieldStrength::High => 508.0,
        }
    }

    /// What the table holds; for all others, myocardium.
    fn healthy(&self, kind: TissueKind) -> Tissue {
        let field = match self.field_strength {
            FieldStrength::Low => 0,
            FieldStrength::Medium => 1,
            FieldStrength::High => 2,
        };
        // T1, T2 and T2* in ms.
        let (times_ms, proton_density, ecv_percent) = match kind {
            TissueKind::Fat => {
                ([[190.0, 90.0, 50.0], [260.0, 80.0, 40.0], [370.0, 80.0, 30.0]], 0.90, None)
            }
            TissueKind::Muscle => (
                [[700.0, 40.0, 32.0], [1000.0, 35.0, 28.0], [1400.0, 30.0, 22.0]],
                0.78,
                Some(15.0),
            ),
            TissueKind::Lung => {
                ([[900.0, 50.0, 8.0], [1200.0, 30.0, 2.0], [1300.0, 25.0, 1.0]], 0.20, None)
            }
            TissueKind::Liver => {
                ([[340.0, 65.0, 40.0], [590.0, 45.0, 28.0], [800.0, 35.0, 18.0]], 0.75, Some(28.0))
            }
            TissueKind::LeftBlood | TissueKind::RightBlood => (
                [[1120.0, 260.0, 150.0], [1600.0, 240.0, 120.0], [1850.0, 150.0, 70.0]],
                1.00,
                Some(100.0 - self.haematocrit_percent),
            ),
            TissueKind::Myocardium | TissueKind::Lesion(_) => (
                [[700.0, 58.0, 45.0], [1000.0, 50.0, 35.0], [1200.0, 46.0, 25.0]],
                0.80,
                Some(26.0),
            ),
        };
        let [t1_ms, t2_ms, t2_star_ms] = times_ms[field];
        Tissue { t1_ms, t2_ms, t2_star_ms, proton_density, off_resonance_hz: 0.0, ecv_percent }
    }

    /// What is known: T1 of all; T2 of acute infarct and oedema; ECV of infarct, fibrosis and
    /// amyloid; T2* of iron at 1.5 T. Assumed: the same changes at all fields, no change of T2
    /// in scar, fibrosis, amyloid and Fabry's disease, ECV of oedema 30 % and of iron and
    /// Fabry's disease as healthy, an iron T2 of 30 ms, and that what iron adds to 1/T1 and
    /// 1/T2 does not depend on the field while what it adds to 1/T2* − 1/T2 grows with it.
    fn lesion(&self, lesion: LesionKind) -> Tissue {
        let healthy = self.healthy(TissueKind::Myocardium);
        let changed = |t1_rise_ms: f64, t2_rise_ms: f64, ecv_percent: f64| {
            let t1_ms = healthy.t1_ms + t1_rise_ms;
            let changed = Tissue { t1_ms, ecv_percent: Some(ecv_percent), ..healthy };
            changed.with_t2(healthy.t2_ms + t2_rise_ms)
        };
        match lesion {
            LesionKind::Infarct => changed(INFARCT_T1_RISE_MS, 0.0, 50.0),
            LesionKind::AcuteInfarct => changed(INFARCT_T1_RISE_MS, 15.0, 50.0),
            LesionKind::Fibrosis => changed(60.0, 0.0, 32.0),
            LesionKind::Oedema => changed(100.0, 18.0, 30.0),
            LesionKind::Amyloid => changed(AMYLOID_T1_RISE_MS, 0.0, 50.0),
            LesionKind::Fabry => changed(-100.0, 0.0, 26.0),
            LesionKind::Iron => {
                let at_1_5_t = Self { field_strength: FieldStrength::Medium, ..*self };
                let usual = at_1_5_t.healthy(TissueKind::Myocardium);
                let [t1_ms, t2_ms, t2_star_ms] = [700.0, 30.0, 8.0];
                let r1 = 1.0 / healthy.t1_ms + 1.0 / t1_ms - 1.0 / usual.t1_ms;
                let r2 = 1.0 / healthy.t2_ms + 1.0 / t2_ms - 1.0 / usual.t2_ms;
                let field_ratio = self.field_strength.tesla() / FieldStrength::Medium.tesla();
                let dephasing = field_ratio * (1.0 / t2_star_ms - 1.0 / t2_ms);
                Tissue {
                    t1_ms: 1.0 / r1,
                    t2_ms: 1.0 / r2,
                    t2_star_ms: 1.0 / (r2 + dephasing),
                    ..healthy
                }
            }
        }
    }
}

impl Tissue {
    /// The tissue with another T2 and the same dephasing 1/T2* − 1/T2.
    #[must_use]
    pub fn with_t2(&self, t2_ms: f64) -> Self {
        let dephasing = 1.0 / self.t2_star_ms - 1.0 / self.t2_ms;
        Self { t2_ms, t2_star_ms: 1.0 / (1.0 / t2_ms + dephasing), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(field_strength: FieldStrength) -> TissueTable {
        TissueTable { field_strength, ..TissueTable::default() }
    }

    #[test]
    fn every_tissue_can_exist() {
        for field in FieldStrength::ALL {
            for kind in TissueKind::ALL {
                let tissue = table(field).tissue(kind);
                assert!(tissue.t2_ms < tissue.t1_ms, "{field:?} {kind:?}: {tissue:?}");
                assert!(tissue.t2_star_ms > 0.0 && tissue.t2_star_ms <= tissue.t2_ms);
                assert!(tissue.proton_density > 0.0 && tissue.proton_density <= 1.0);
                assert!(tissue.ecv_percent.is_none_or(|ecv| ecv > 0.0 && ecv < 100.0));
            }
        }
    }

    #[test]
    fn fat_resonates_217_hz_below_water_at_1_5_t() {
        let fat = table(FieldStrength::Medium).tissue(TissueKind::Fat);
        assert!((fat.off_resonance_hz + 217.1).abs() < 0.1, "{}", fat.off_resonance_hz);
    }

    #[test]
    fn iron_has_the_published_times_at_1_5_t_and_a_shorter_echo_decay_at_3_t() {
        let iron = |field| table(field).tissue(TissueKind::Lesion(LesionKind::Iron));
        let medium = iron(FieldStrength::Medium);
        assert!((medium.t1_ms - 700.0).abs() < 1e-9 && (medium.t2_star_ms - 8.0).abs() < 1e-9);
        assert!(iron(FieldStrength::High).t2_star_ms < 5.5);
        assert!(iron(FieldStrength::Low).t2_star_ms > 12.0);
    }

    #[test]
    fn blood_keeps_its_plasma() {
        let table = TissueTable { haematocrit_percent: 37.0, ..TissueTable::default() };
        for kind in [TissueKind::LeftBlood, TissueKind::RightBlood] {
            assert_eq!(table.tissue(kind).ecv_percent, Some(63.0));
        }
        assert_eq!(table.tissue(TissueKind::RightBlood).t2_ms, 0.8 * 240.0);
    }
}
