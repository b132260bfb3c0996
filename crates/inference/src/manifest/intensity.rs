//! What is done to the values of an image before a network sees them, and back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done to the values before the network sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "transform", rename_all = "snake_case", deny_unknown_fields)]
pub enum Intensity {
    /// Nothing.
    #[default]
    None,
    /// value · factor + offset.
    Linear {
        /// The factor.
        factor: f32,
        /// What is added then.
        offset: f32,
    },
    /// `low` becomes 0 and `high` 1; values beyond are cut where `cut` says so.
    Range {
        /// What becomes 0.
        low: f32,
        /// What becomes 1.
        high: f32,
        /// What they become, where it is not 0 and 1.
        #[serde(default)]
        to: Option<[f32; 2]>,
        /// Least and largest value afterwards.
        #[serde(default)]
        cut: Option<[f32; 2]>,
    },
    /// The same with percentiles of the image.
    Percentile {
        /// Percentile that becomes 0.
        low: f32,
        /// Percentile that becomes 1.
        high: f32,
        /// What they become, where it is not 0 and 1.
        #[serde(default)]
        to: Option<[f32; 2]>,
        /// Least and largest value afterwards.
        #[serde(default)]
        cut: Option<[f32; 2]>,
    },
    /// The image's mean becomes 0, its standard deviation 1.
    ZScore,
}

/// value · factor + offset, then cut: a transform with the numbers of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// The factor.
    pub factor: f32,
    /// What is added then.
    pub offset: f32,
    /// Least and largest value afterwards.
    pub cut: Option<[f32; 2]>,
}

impl Linear {
    /// Transforms values in place.
    pub fn apply(&self, values: &mut [f32]) {
        for value in values {
            *value = *value * self.factor + self.offset;
            if let Some([low, high]) = self.cut {
                *value = value.clamp(low, high);
            }
        }
    }

    /// Takes values back to the image's own scale.
    pub fn undo(&self, values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value = (*value - self.offset) / self.factor);
    }
}

impl Intensity {
    /// The transform for this image. Percentiles are interpolated between values in order, as
    /// numpy does; an image of one value only becomes 0.
    pub fn of(&self, image: &[f32]) -> Linear {
        let between = |low: f32, high: f32, to: Option<[f32; 2]>, cut: Option<[f32; 2]>| {
            let [from, to] = to.unwrap_or([0.0, 1.0]);
            let factor = (to - from) / (high - low).max(1e-12);
            Linear { factor, offset: from - low * factor, cut }
        };
        match *self {
            Self::None => Linear { factor: 1.0, offset: 0.0, cut: None },
            Self::Linear { factor, offset } => Linear { factor, offset, cut: None },
            Self::Range { low, high, to, cut } => between(low, high, to, cut),
            Self::Percentile { low, high, to, cut } => {
                let mut values: Vec<f32> =
                    image.iter().copied().filter(|value| value.is_finite()).collect();
                let low = percentile(&mut values, low);
                let high = percentile(&mut values, high);
                between(low, high, to, cut)
            }
            Self::ZScore => {
                let n = image.len().max(1) as f64;
                let mean = image.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
                let variance =
                    image.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / n;
                let factor = 1.0 / variance.sqrt().max(1e-12);
                Linear { factor: factor as f32, offset: (-mean * factor) as f32, cut: None }
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match *self {
            Self::None | Self::ZScore => Ok(()),
            Self::Linear { factor, .. } if factor == 0.0 || !factor.is_finite() => {
                Err(format!("intensity.factor = {factor} loses the image"))
            }
            Self::Linear { .. } => Ok(()),
            Self::Range { to: Some([from, to]), .. }
            | Self::Percentile { to: Some([from, to]), .. }
                if from >= to =>
            {
                Err(format!("intensity.to: {from} to {to} is no range"))
            }
            Self::Range { low, high, .. } if low < high => Ok(()),
            Self::Percentile { low, high, .. } if 0.0 <= low && low < high && high <= 100.0 => {
                Ok(())
            }
            Self::Range { low, high, .. } | Self::Percentile { low, high, .. } => {
                Err(format!("intensity: {low} to {high} is no range"))
            }
        }
    }
}

/// Percentile `q` of values, interpolated; 0 without values. Changes their order.
fn percentile(values: &mut [f32], q: f32) -> f32 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let place = f64::from(q) / 100.0 * last as f64;
    let below = (place.floor() as usize).min(last);
    let (_, low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let low = *low;
    let next = above.iter().copied().reduce(f32::min).unwrap_or(low);
    low + (next - low) * (place - below as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([4, 1, 3, 2], [0, 10, 50, 100])
        for (q, expected) in [(0.0, 1.0), (10.0, 1.3), (50.0, 2.5), (100.0, 4.0)] {
            let got = percentile(&mut [4.0, 1.0, 3.0, 2.0], q);
            assert!((got - expected).abs() < 1e-6, "{q}: {got}");
        }
        assert_eq!(percentile(&mut [], 50.0), 0.0);
    }

    #[test]
    fn a_transform_can_be_undone() {
        let image = [10.0, 20.0, 30.0, 40.0];
        for intensity in [
            Intensity::Linear { factor: 2.0, offset: 1.0 },
            Intensity::Range { low: 10.0, high: 20.0, to: None, cut: None },
            Intensity::Percentile { low: 25.0, high: 75.0, to: Some([-1.0, 1.0]), cut: None },
            Intensity::ZScore,
        ] {
            let linear = intensity.of(&image);
            let mut values = image;
            linear.apply(&mut values);
            linear.undo(&mut values);
            for (value, before) in values.iter().zip(image) {
                assert!((value - before).abs() < 1e-4, "{intensity:?}");
            }
        }
        let mut flat = [7.0; 3];
        Intensity::ZScore.of(&flat).apply(&mut flat);
        assert_eq!(flat, [0.0; 3]);
    }
}
