//! Decay without the late echoes that the noise floor has reached.

use ndarray::{Array2, ArrayView3, Axis, Slice};

use super::fit::RelaxationFit;
use super::model::{Model, SearchRange};
use super::plan::{FitOptions, Plan, PlanError};

/// Fits of A e^(−t/T) that leave out late images, pixel by pixel, until the rest is a decay.
///
/// # Source
/// He et al. 2008: the last echo is left out while R² is below 0.995.
#[derive(Clone, Debug)]
pub struct Truncation {
    /// With all images, with one less, …
    plans: Vec<Plan>,
    /// Images, earliest first.
    ascending: Vec<usize>,
    least_r_squared: f32,
}

impl Truncation {
    /// Fits to images with these echo times.
    ///
    /// * `least_r_squared`: a fit with less loses its last image.
    /// * `least_images`: that many are kept whatever R² is.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(
        times_ms: &[f64],
        range: SearchRange,
        least_r_squared: f32,
        least_images: usize,
    ) -> Result<Self, PlanError> {
        let mut ascending: Vec<usize> = (0..times_ms.len()).collect();
        ascending.sort_by(|&a, &b| times_ms[a].total_cmp(&times_ms[b]));
        let sorted: Vec<f64> = ascending.iter().map(|&image| times_ms[image]).collect();
        let mut plans = vec![Plan::new(Model::Decay, &sorted, range)?];
        for n in (least_images.max(2)..sorted.len()).rev() {
            // Fewer images may have too few different times: then there are no shorter fits.
            let Ok(plan) = Plan::new(Model::Decay, &sorted[..n], range) else { break };
            plans.push(plan);
        }
        Ok(Self { plans, ascending, least_r_squared })
    }

    /// Fits every pixel.
    ///
    /// * `images`: `[image, y, x]`.
    ///
    /// # Panics
    /// As [`Plan::fit`].
    pub fn fit(&self, images: ArrayView3<'_, f32>, options: &FitOptions<'_>) -> RelaxationFit {
        let images = images.select(Axis(0), &self.ascending);
        let (n_images, height, width) = images.dim();
        let mut best: Option<RelaxationFit> = None;
        let mut is_open = match options.mask {
            Some(mask) => mask.to_owned(),
            None => Array2::from_elem((height, width), true),
        };
        for (n_left_out, plan) in self.plans.iter().enumerate() {
            let kept = images.slice_axis(Axis(0), Slice::from(..n_images - n_left_out));
            let options = options.within(is_open.view());
            let fit = plan.fit(kept, &options);
            let mut any = false;
            let before = best.get_or_insert_with(|| fit.clone());
            for ((y, x), open) in is_open.indexed_iter_mut().filter(|(_, open)| **open) {
                let new = fit.get([y, x]);
                // Where none is good enough, the best of the bad ones stays.
                if new.value_ms > 0.0 && new.r_squared > before.r_squared[[y, x]] {
                    before.set([y, x], new);
                }
                *open = !(new.value_ms > 0.0 && new.r_squared >= self.least_r_squared);
                any |= *open;
            }
            if !any {
                break;
            }
        }
        best.unwrap_or_else(|| RelaxationFit::new(Vec::new(), (0, 0)))
    }
}
