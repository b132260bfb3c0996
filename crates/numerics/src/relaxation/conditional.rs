//! Inversions that are used only where the recovery between them was complete.

use ndarray::{Array2, ArrayView3, Axis};

use super::fit::RelaxationFit;
use super::model::{Model, SearchRange};
use super::plan::{FitOptions, Plan, PlanError};

/// When the samples after a later inversion count.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionalRule {
    /// For the second inversion, the third, …: T1 must be shorter than this share of the heart's
    /// period. The last one counts for all that follow.
    pub t1_over_rr: Vec<f64>,
    /// A fit with more samples counts if its residuals are at most this many times those of the
    /// fit without them.
    pub residual_ratio: f32,
}

impl Default for ConditionalRule {
    fn default() -> Self {
        Self { t1_over_rr: vec![1.0, 0.4], residual_ratio: 1.0 }
    }
}

/// ShMOLLI: the pauses between its inversions are too short for long T1, for which only the first
/// inversion counts.
///
/// # Source
/// Piechnik et al. 2010.
#[derive(Clone, Debug)]
pub struct Conditional {
    /// With the first inversion, with the first two, …
    plans: Vec<(Plan, Vec<usize>)>,
    rr_interval_ms: f64,
    rule: ConditionalRule,
}

impl Conditional {
    /// Fits to images with these times.
    ///
    /// * `times_ms`: one for each image.
    /// * `inversions`: number of the inversion before each image, ascending with its time.
    /// * `rr_interval_ms`: the heart's period.
    ///
    /// # Errors
    /// [`PlanError`]: the first inversion alone must be enough.
    ///
    /// # Panics
    /// If there is not an inversion for each time.
    pub fn new(
        model: Model,
        times_ms: &[f64],
        inversions: &[i32],
        rr_interval_ms: f64,
        range: SearchRange,
        rule: ConditionalRule,
    ) -> Result<Self, PlanError> {
        assert_eq!(times_ms.len(), inversions.len(), "an inversion for each image");
        let mut numbers = inversions.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        let mut plans = Vec::new();
        for &last in &numbers {
            let images: Vec<usize> =
                (0..times_ms.len()).filter(|&image| inversions[image] <= last).collect();
            let times: Vec<f64> = images.iter().map(|&image| times_ms[image]).collect();
            plans.push((Plan::new(model, &times, range)?, images));
        }
        if plans.is_empty() {
            let n_needed = model.n_parameters();
            return Err(PlanError::TooFewTimes { n_times: 0, n_different: 0, n_needed });
        }
        Ok(Self { plans, rr_interval_ms, rule })
    }

    /// Images after the first inversion, which every pixel's fit has.
    pub fn n_first_images(&self) -> usize {
        self.plans.first().map_or(0, |(_, images)| images.len())
    }

    /// Fits every pixel.
    ///
    /// * `images`: `[image, y, x]`.
    ///
    /// # Panics
    /// As [`Plan::fit`].
    pub fn fit(&self, images: ArrayView3<'_, f32>, options: &FitOptions<'_>) -> RelaxationFit {
        let (_, height, width) = images.dim();
        let [first, later @ ..] = &self.plans[..] else {
            return RelaxationFit::new(Vec::new(), (0, 0));
        };
        let mut best = first.0.fit(images.select(Axis(0), &first.1).view(), options);
        let mut is_open = Array2::from_elem((height, width), true);
        for (place, (plan, chosen)) in later.iter().enumerate() {
            let limits = &self.rule.t1_over_rr;
            let limit = limits.get(place).or(limits.last()).copied().unwrap_or(1.0);
            let limit_ms = (limit * self.rr_interval_ms) as f32;
            for ((y, x), open) in is_open.indexed_iter_mut() {
                let value = best.value_ms[[y, x]];
                *open &= value > 0.0 && value < limit_ms;
            }
            if !is_open.iter().any(|open| *open) {
                break;
            }
            let options = options.within(is_open.view());
            let fit = plan.fit(images.select(Axis(0), chosen).view(), &options);
            for ((y, x), open) in is_open.indexed_iter_mut().filter(|(_, open)| **open) {
                let new = fit.get([y, x]);
                let residual = self.rule.residual_ratio * best.residual_sd[[y, x]];
                // Exact signals leave residuals of rounding only.
                let rounding = 1e-5 * new.exponential.abs();
                *open = new.value_ms > 0.0 && new.residual_sd <= residual.max(rounding);
                if *open {
                    best.set([y, x], new);
                }
            }
        }
        best
    }
}
