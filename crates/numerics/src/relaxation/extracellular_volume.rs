//! What T1 and T2* say of tissue: extracellular volume, iron.

/// A value and its standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ValueWithSd {
    /// The value.
    pub value: f64,
    /// Its standard deviation.
    pub sd: f64,
}

impl ValueWithSd {
    /// A value with its standard deviation.
    pub fn new(value: f64, sd: f64) -> Self {
        Self { value, sd }
    }
}

/// What the extracellular volume of a pixel follows from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EcvInputs {
    /// T1 of the pixel before the contrast agent, ms.
    pub native_t1_ms: ValueWithSd,
    /// T1 of the pixel after it, ms.
    pub post_contrast_t1_ms: ValueWithSd,
    /// T1 of blood before, ms.
    pub native_blood_t1_ms: ValueWithSd,
    /// T1 of blood after, ms.
    pub post_contrast_blood_t1_ms: ValueWithSd,
    /// Volume fraction of red cells, 0 to 1.
    pub haematocrit: ValueWithSd,
}

/// Extracellular volume fraction in percent, with its standard deviation by the chain rule:
/// 100 (1 − haematocrit) ΔR1 / ΔR1 of blood. [`None`] where that is no number or below 0.
///
/// # Source
/// Arheden et al. 1999; Kellman et al. 2012.
pub fn extracellular_volume(inputs: &EcvInputs) -> Option<ValueWithSd> {
    let EcvInputs {
        native_t1_ms: native,
        post_contrast_t1_ms: post,
        native_blood_t1_ms: native_blood,
        post_contrast_blood_t1_ms: post_blood,
        haematocrit,
    } = *inputs;
    let times = [native, post, native_blood, post_blood];
    if !times.iter().all(|time| time.value > 0.0) {
        return None;
    }
    let change = 1.0 / post.value - 1.0 / native.value;
    let change_of_blood = 1.0 / post_blood.value - 1.0 / native_blood.value;
    let plasma = 100.0 * (1.0 - haematocrit.value);
    let value = plasma * change / change_of_blood;
    if !(value >= 0.0 && value.is_finite()) {
        return None;
    }
    let scale = plasma / change_of_blood;
    let ratio = change / change_of_blood;
    let terms = [
        scale * post.sd / post.value.powi(2),
        scale * native.sd / native.value.powi(2),
        scale * ratio * post_blood.sd / post_blood.value.powi(2),
        scale * ratio * native_blood.sd / native_blood.value.powi(2),
        100.0 * ratio * haematocrit.sd,
    ];
    let sd = terms.iter().map(|term| term * term).sum::<f64>().sqrt();
    Some(ValueWithSd { value, sd })
}

/// Haematocrit from the T1 of blood: `offset + native / T1 + post_contrast / T1 after contrast`.
/// It depends on field strength, sequence and vendor, and is wrong in anaemia.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SyntheticHaematocrit {
    /// Constant.
    pub offset: f64,
    /// Factor of 1 / T1 of blood before contrast agent, ms.
    pub native_ms: f64,
    /// Factor of 1 / T1 of blood after it, ms.
    pub post_contrast_ms: f64,
}

impl SyntheticHaematocrit {
    /// The haematocrit, between 0 and 1; [`None`] where the formula gives none that people have
    /// (0.15 to 0.70).
    pub fn from_blood(&self, native_t1_ms: f64, post_contrast_t1_ms: f64) -> Option<f64> {
        let value = self.offset
            + self.native_ms / native_t1_ms
            + self.post_contrast_ms / post_contrast_t1_ms;
        (0.15..=0.70).contains(&value).then_some(value)
    }
}

/// Iron of heart muscle at 1.5 T, mg per g of dry weight: 45.0 · T2*^−1.22. [`None`] where T2* is
/// not above 0.
///
/// # Source
/// Carpenter et al. 2011.
pub fn iron_mg_per_g(t2_star_ms: f64) -> Option<f64> {
    (t2_star_ms > 0.0).then(|| 45.0 * t2_star_ms.powf(-1.22))
}
