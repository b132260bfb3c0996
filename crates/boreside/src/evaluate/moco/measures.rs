//! What is measured of displacement fields.

use anyhow::Result;
use ndarray::{Array2, Array3, Array4, ArrayView3, Axis, s};
use num_complex::Complex32;
use numerics::relaxation::{FitOptions, Model, Plan, restore_polarity};

use super::super::averages::{mean, median, quantile};
use super::cases::Case;
use super::warped;

/// A T1 map is wrong for a pixel by more than this.
const WRONG_MS: f32 = 50.0;

/// Sums over cases of one method.
#[derive(Default)]
pub struct Sums {
    pub errors_px: Vec<f32>,
    pub dice_before: Vec<f64>,
    pub dice_after: Vec<f64>,
    pub r_squared: Vec<f32>,
    pub t1_errors_ms: Vec<f32>,
    pub n_fields: usize,
    pub n_folded: usize,
    pub still_px: Vec<f32>,
    pub lesions: Vec<f64>,
    pub times_ms: Vec<f64>,
}

impl Sums {
    pub fn add_t1(&mut self, found_ms: &[f32], truth_ms: &[f32]) {
        let errors = found_ms.iter().zip(truth_ms).filter(|(_, truth)| **truth > 0.0);
        self.t1_errors_ms.extend(errors.map(|(found, truth)| (found - truth).abs()));
    }

    /// The longest displacement within the heart.
    pub fn add_still(&mut self, fields: &Array4<f32>, heart: &Array2<bool>) {
        let mut longest = 0.0_f32;
        for field in fields.axis_iter(Axis(0)) {
            for ((y, x), is_heart) in heart.indexed_iter() {
                if *is_heart {
                    longest = longest.max(field[[0, y, x]].hypot(field[[1, y, x]]));
                }
            }
        }
        self.still_px.push(longest);
    }

    pub fn r_squared_mean(&self) -> f64 {
        mean(&double(&self.r_squared))
    }

    /// All of them; those that were not measured are left out.
    pub fn metrics(self) -> Vec<(&'static str, f64)> {
        let wrong = self.t1_errors_ms.iter().filter(|error| **error > WRONG_MS).count();
        let wrong_percent = 100.0 * wrong as f64 / self.t1_errors_ms.len().max(1) as f64;
        let still_max = self.still_px.iter().copied().fold(0.0, f32::max);
        let r_squared = self.r_squared_mean();
        let errors = double(&self.errors_px);
        let mut metrics = vec![
            ("epe_median_px", median(errors.clone())),
            ("epe_p95_px", quantile(errors, 0.95)),
            ("dice_before", mean(&self.dice_before)),
            ("dice_after", mean(&self.dice_after)),
            ("fit_r2_mean", r_squared),
            ("t1_error_median_ms", median(double(&self.t1_errors_ms))),
            ("t1_error_over_50_ms_percent", wrong_percent),
            ("folded_percent", 100.0 * self.n_folded as f64 / self.n_fields.max(1) as f64),
            ("still_max_px", f64::from(still_max)),
            ("still_max_median_px", median(double(&self.still_px))),
            ("lesion_contrast_percent", median(self.lesions)),
            ("time_ms", median(self.times_ms)),
        ];
        metrics.retain(|(_, value)| value.is_finite());
        metrics
    }
}

fn double(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Length of the difference to the true field in the wall, in all frames but the reference.
pub fn errors_px(fields: &Array4<f32>, case: &Case) -> Vec<f32> {
    let mut errors = Vec::new();
    for frame in (0..fields.len_of(Axis(0))).filter(|frame| *frame != case.reference) {
        for ((y, x), is_wall) in case.myocardium.indexed_iter() {
            if *is_wall {
                let error = |part| fields[[frame, part, y, x]] - case.truth[[frame, part, y, x]];
                errors.push(error(0).hypot(error(1)));
            }
        }
    }
    errors
}

/// Overlap of the reference's wall with that of the frames after correction, mean over the frames
/// but the reference.
pub fn dice(fields: &Array4<f32>, case: &Case) -> f64 {
    let (n_frames, _, n_y, n_x) = fields.dim();
    let frames = (0..n_frames).filter(|frame| *frame != case.reference);
    let scores = frames.map(|frame| {
        let truth = case.truth.index_axis(Axis(0), frame);
        let (mut both, mut either) = (0_usize, 0_usize);
        for y in 0..n_y {
            for x in 0..n_x {
                let place =
                    [y as f32 + fields[[frame, 0, y, x]], x as f32 + fields[[frame, 1, y, x]]];
                let origin = origin(truth, place);
                let at = |value: f32, n: usize| value.round().clamp(0.0, (n - 1) as f32) as usize;
                let is_wall = case.myocardium[[at(origin[0], n_y), at(origin[1], n_x)]];
                let was_wall = case.myocardium[[y, x]];
                both += usize::from(is_wall && was_wall);
                either += usize::from(is_wall) + usize::from(was_wall);
            }
        }
        2.0 * both as f64 / either.max(1) as f64
    });
    mean(&scores.collect::<Vec<_>>())
}

/// The place in the reference that a frame shows at `place`: z with z + u(z) = place.
pub fn origin(field: ArrayView3<'_, f32>, place: [f32; 2]) -> [f32; 2] {
    let mut origin = place;
    for _ in 0..15 {
        let displacement = [0, 1].map(|part| bilinear(field, part, origin));
        origin = [place[0] - displacement[0], place[1] - displacement[1]];
    }
    origin
}

fn bilinear(field: ArrayView3<'_, f32>, part: usize, [y, x]: [f32; 2]) -> f32 {
    let (_, n_y, n_x) = field.dim();
    let (y, x) = (y.clamp(0.0, (n_y - 1) as f32), x.clamp(0.0, (n_x - 1) as f32));
    let (iy, ix) = (y as usize, x as usize);
    let (ny, nx) = ((iy + 1).min(n_y - 1), (ix + 1).min(n_x - 1));
    let (ty, tx) = (y - iy as f32, x - ix as f32);
    let row = |at: usize| field[[part, at, ix]] * (1.0 - tx) + field[[part, at, nx]] * tx;
    row(iy) * (1.0 - ty) + row(ny) * ty
}

/// T1 and R² of the wall's pixels, in the same order for all series of a case; 0 is invalid.
pub struct Fitted {
    pub t1_ms: Vec<f32>,
    pub r_squared: Vec<f32>,
}

/// Fits the wall of a series, after correction where there are fields.
pub fn t1_and_r_squared(
    images: &Array3<Complex32>,
    case: &Case,
    fields: Option<&Array4<f32>>,
) -> Result<Fitted> {
    let fit = fit(images, case, fields, &case.myocardium)?;
    let wall = |map: &Array2<f32>| -> Vec<f32> {
        let pixels = map.iter().zip(&case.myocardium).filter(|(_, is_wall)| **is_wall);
        pixels.map(|(value, _)| *value).collect()
    };
    Ok(Fitted { t1_ms: wall(&fit.value_ms), r_squared: wall(&fit.r_squared) })
}

/// The Look-Locker fit of a series within a mask.
pub fn fit(
    images: &Array3<Complex32>,
    case: &Case,
    fields: Option<&Array4<f32>>,
    mask: &Array2<bool>,
) -> Result<numerics::relaxation::RelaxationFit> {
    let corrected = fields.map(|fields| warped(images, fields));
    let signed = restore_polarity(corrected.as_ref().unwrap_or(images).view(), case.reference);
    let model = Model::LookLocker { inversion_factor: 1.0 };
    let n = case.n_fitted;
    let plan = Plan::new(model, &case.times_ms[..n], model.usual_range())?;
    let options = FitOptions { mask: Some(mask.view()), ..FitOptions::default() };
    Ok(plan.fit(signed.slice(s![..n, .., ..]), &options))
}

#[cfg(test)]
mod tests {
    use super::super::cases::Cases;
    use super::*;

    #[test]
    fn true_fields_have_no_error_and_bring_the_wall_and_its_t1_back() {
        let case = Cases::new(1, 1.0).and_then(|cases| cases.case(1)).expect("a series");
        let none = Array4::zeros(case.truth.dim());
        assert!(errors_px(&case.truth, &case).iter().all(|error| *error == 0.0));
        assert!(dice(&case.truth, &case) > 0.97 && dice(&none, &case) < 0.9);
        let still = t1_and_r_squared(&case.clean_still, &case, None).expect("it is fitted");
        let error_ms = |fields: &Array4<f32>| {
            let moved = t1_and_r_squared(&case.clean, &case, Some(fields)).expect("it is fitted");
            let mut sums = Sums::default();
            sums.add_t1(&moved.t1_ms, &still.t1_ms);
            median(double(&sums.t1_errors_ms))
        };
        let (corrected, uncorrected) = (error_ms(&case.truth), error_ms(&none));
        assert!(corrected < 10.0 && uncorrected > 20.0, "{corrected} and {uncorrected} ms");
    }
}
