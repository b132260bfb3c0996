//! What a contrast agent does to T1.

use crate::tissue::Tissue;

/// What the agent adds to 1/T2 over what it adds to 1/T1.
const RELAXIVITY_RATIO: f64 = 1.2;

/// An extracellular gadolinium agent at equilibrium between blood and interstitium.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastAgent {
    /// Rise of 1/T1 in extracellular fluid, 1/ms.
    extracellular_rise_per_ms: f64,
}

/// Why blood tells nothing about an agent.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ContrastError {
    /// An agent shortens T1.
    #[error(
        "T1 of blood after contrast is {post_t1_ms} ms: it must lie above 0 and below the native {native_t1_ms} ms"
    )]
    BloodT1 {
        /// Asked for.
        post_t1_ms: f64,
        /// Of the same blood before.
        native_t1_ms: f64,
    },
    /// Blood needs plasma.
    #[error("the blood has an extracellular volume of {0:?} %: it must lie above 0 and up to 100")]
    BloodEcv(Option<f64>),
}

impl ContrastAgent {
    /// The agent that brings blood from its native T1 to `blood_t1_ms`.
    ///
    /// # Errors
    /// If that is no shortening, or the blood's extracellular volume is no fraction.
    pub fn from_blood(native_blood: &Tissue, blood_t1_ms: f64) -> Result<Self, ContrastError> {
        let native_t1_ms = native_blood.t1_ms;
        if !(blood_t1_ms > 0.0 && blood_t1_ms < native_t1_ms) {
            return Err(ContrastError::BloodT1 { post_t1_ms: blood_t1_ms, native_t1_ms });
        }
        match native_blood.ecv_percent {
            Some(ecv) if ecv > 0.0 && ecv <= 100.0 => {
                let rise_per_ms = 1.0 / blood_t1_ms - 1.0 / native_t1_ms;
                Ok(Self { extracellular_rise_per_ms: rise_per_ms * 100.0 / ecv })
            }
            ecv => Err(ContrastError::BloodEcv(ecv)),
        }
    }
}

impl Tissue {
    /// The tissue after the agent has spread.
    ///
    /// 1/T1 rises by that of the blood times ECV / (1 − haematocrit), so
    /// ECV = (1 − Hct) · ΔR1(tissue) / ΔR1(blood) is met exactly. 1/T2 and 1/T2* rise 1.2 times
    /// as much.
    ///
    /// # Assumptions
    /// Tissues without ECV (fat, lung, vials) take up nothing.
    ///
    /// # Source
    /// Arheden et al. 1999; Flett et al. 2010; relaxivities of gadobutrol: Rohrer et al. 2005.
    #[must_use]
    pub fn after_contrast(&self, agent: &ContrastAgent) -> Self {
        let share = self.ecv_percent.unwrap_or(0.0) / 100.0;
        let rise = share * agent.extracellular_rise_per_ms;
        let faster = |time_ms: f64, ratio: f64| 1.0 / (1.0 / time_ms + ratio * rise);
        Self {
            t1_ms: faster(self.t1_ms, 1.0),
            t2_ms: faster(self.t2_ms, RELAXIVITY_RATIO),
            t2_star_ms: faster(self.t2_star_ms, RELAXIVITY_RATIO),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tissue::{FieldStrength, LesionKind, TissueKind, TissueTable};

    fn table(field_strength: FieldStrength, haematocrit_percent: f64) -> TissueTable {
        TissueTable { field_strength, haematocrit_percent }
    }

    #[test]
    fn the_textbook_formula_gives_the_extracellular_volume_back() {
        for field in FieldStrength::ALL {
            let table = table(field, 38.0);
            let blood = table.tissue(TissueKind::LeftBlood);
            let agent = ContrastAgent::from_blood(&blood, table.post_contrast_blood_t1_ms())
                .expect("shorter");
            let rise = |t: &Tissue| 1.0 / t.after_contrast(&agent).t1_ms - 1.0 / t.t1_ms;
            assert!(
                (blood.after_contrast(&agent).t1_ms - table.post_contrast_blood_t1_ms()).abs()
                    < 1e-9
            );
            for kind in TissueKind::ALL {
                let tissue = table.tissue(kind);
                let after = tissue.after_contrast(&agent);
                assert!(after.t2_star_ms <= after.t2_ms && after.t2_ms < after.t1_ms, "{after:?}");
                let Some(expected) = tissue.ecv_percent else { continue };
                let ecv_percent = (100.0 - 38.0) * rise(&tissue) / rise(&blood);
                // Rounding only.
                assert!((ecv_percent - expected).abs() < 1e-9, "{kind:?}: {ecv_percent}");
            }
        }
    }

    #[test]
    fn normal_myocardium_ends_near_published_values_and_scar_is_shorter() {
        // Values of the table: 350, 450 and 645 ms. The formula and an ECV of 26 % need not
        // meet them exactly.
        for (field, published_ms) in FieldStrength::ALL.into_iter().zip([350.0, 450.0, 645.0]) {
            let table = table(field, TissueTable::HAEMATOCRIT_PERCENT);
            let blood = table.tissue(TissueKind::LeftBlood);
            let agent = ContrastAgent::from_blood(&blood, table.post_contrast_blood_t1_ms())
                .expect("shorter");
            let post = |kind| table.tissue(kind).after_contrast(&agent).t1_ms;
            let myocardium = post(TissueKind::Myocardium);
            assert!((myocardium / published_ms - 1.0).abs() < 0.06, "{field:?}: {myocardium}");
            assert!(post(TissueKind::Lesion(LesionKind::Infarct)) < 0.8 * myocardium);
            assert!(post(TissueKind::Lesion(LesionKind::Amyloid)) < 0.8 * myocardium);
        }
    }

    #[test]
    fn blood_that_tells_nothing_is_refused() {
        let blood = table(FieldStrength::Medium, 42.0).tissue(TissueKind::LeftBlood);
        for t1_ms in [0.0, -1.0, f64::NAN, 1600.0, f64::INFINITY] {
            assert!(ContrastAgent::from_blood(&blood, t1_ms).is_err(), "{t1_ms}");
        }
        for ecv_percent in [None, Some(0.0), Some(101.0), Some(f64::NAN)] {
            let blood = Tissue { ecv_percent, ..blood };
            assert!(ContrastAgent::from_blood(&blood, 300.0).is_err(), "{ecv_percent:?}");
        }
    }
}
