//! How much noise there is around pixels of tissue, and whether maps can be used.

use ndarray::{Array1, Array2};
use numerics::percentile::percentile;
use pipeline::Verdict;

/// With fewer pixels of tissue there is no patient in the image.
const LEAST_TISSUE: usize = 16;
/// Median R² of tissue below which maps are to be looked at, and below which they are of no use.
const R_SQUARED: [f32; 2] = [0.97, 0.90];
/// What matches leave over the noise: from here on R² counts; it is what noise makes of it below, and
/// from the second on, with an R² below the third number, the pulse table is not that of the scan.
const MISFIT: [f32; 3] = [1.5, 8.0, 0.998];
/// Part of the samples' energy above noise that the images leave, likewise.
const UNEXPLAINED: [f64; 2] = [0.01, 0.06];
/// Median of standard deviation over T1, likewise.
const RELATIVE_SD: [f32; 2] = [0.15, 0.30];
/// Pixels to each side over which noise is averaged.
const REACH: usize = 2;

/// Standard deviation of the noise around each pixel of tissue, from what matches leave: that of one
/// pixel has too few degrees of freedom.
pub(super) fn smoothed_noise(residual_sd: &Array2<f32>, is_tissue: &Array2<bool>) -> Array2<f32> {
    let (n_y, n_x) = residual_sd.dim();
    Array2::from_shape_fn((n_y, n_x), |(y, x)| {
        let (mut sum, mut n) = (0.0_f32, 0_u32);
        for y in y.saturating_sub(REACH)..(y + REACH + 1).min(n_y) {
            for x in x.saturating_sub(REACH)..(x + REACH + 1).min(n_x) {
                let residual = residual_sd[[y, x]];
                if is_tissue[[y, x]] && residual.is_finite() {
                    sum += residual * residual;
                    n += 1;
                }
            }
        }
        if n > 0 { (sum / n as f32).sqrt() } else { residual_sd[[y, x]] }
    })
}

/// What a verdict is made of.
pub(super) struct Quality {
    r_squared: f32,
    /// Median of what matches leave over the noise.
    misfit: f32,
    unexplained: f64,
}

impl Quality {
    /// * `misfit`: what matches leave over the noise, where that is known.
    pub fn of(
        r_squared: &Array2<f32>,
        misfit: Option<&Array2<f32>>,
        is_tissue: &Array2<bool>,
        unexplained: f64,
    ) -> Self {
        let misfit = misfit.map_or(MISFIT[0], |misfit| median(inside(misfit, is_tissue)));
        Self { r_squared: median(inside(r_squared, is_tissue)), misfit, unexplained }
    }

    /// Whether maps can be used, and the worst reason why not.
    pub fn verdict(
        &self,
        t1_ms: &Array2<f32>,
        t1_sd_ms: &Array2<f32>,
        is_tissue: &Array2<bool>,
        problems: &[String],
    ) -> Verdict {
        let n_tissue = is_tissue.iter().filter(|is| **is).count();
        if n_tissue < LEAST_TISSUE {
            return Verdict::Repeat("there is no signal in the images".to_owned());
        }
        let pairs = t1_ms.iter().zip(t1_sd_ms).filter(|(t1, sd)| **t1 > 0.0 && **sd > 0.0);
        let relative: Vec<f32> = pairs.map(|(t1, sd)| sd / t1).collect();
        let relative_sd = median(relative);
        let does_not_fit = format!(
            "signals do not follow the pulse table (median R² {:.2}, {:.1} % of the data \
             unexplained): another sequence, wrong times, or motion",
            self.r_squared,
            100.0 * self.unexplained
        );
        let uncertain = format!("T1 is uncertain by {:.0} %: too much noise", 100.0 * relative_sd);
        let is_below = |least: f32| self.r_squared < least && self.misfit >= MISFIT[0];
        if is_below(R_SQUARED[1]) || self.unexplained > UNEXPLAINED[1] {
            return Verdict::Repeat(does_not_fit);
        }
        if relative_sd > RELATIVE_SD[1] {
            return Verdict::Repeat(uncertain);
        }
        if let Some(problem) = problems.first() {
            return Verdict::Check(problem.clone());
        }
        let is_another_table = self.misfit >= MISFIT[1] && self.r_squared < MISFIT[2];
        if is_another_table || is_below(R_SQUARED[0]) || self.unexplained > UNEXPLAINED[0] {
            return Verdict::Check(does_not_fit);
        }
        if relative_sd > RELATIVE_SD[0] {
            return Verdict::Check(uncertain);
        }
        Verdict::Accept
    }
}

fn inside(values: &Array2<f32>, is_tissue: &Array2<bool>) -> Vec<f32> {
    values.iter().zip(is_tissue).filter(|(_, is)| **is).map(|(value, _)| *value).collect()
}

fn median(values: Vec<f32>) -> f32 {
    percentile(Array1::from(values).view(), 0.5).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_reason_decides() {
        let is_tissue = Array2::from_elem((8, 8), true);
        let t1_ms = Array2::from_elem((8, 8), 1000.0);
        let with_misfit = |misfit: f32, r_squared, unexplained, sd_ms, problems: &[String]| {
            let misfit = Array2::from_elem((8, 8), misfit);
            let r_squared = Array2::from_elem((8, 8), r_squared);
            let quality = Quality::of(&r_squared, Some(&misfit), &is_tissue, unexplained);
            quality.verdict(&t1_ms, &Array2::from_elem((8, 8), sd_ms), &is_tissue, problems)
        };
        let verdict = |r_squared, unexplained, sd_ms, problems: &[String]| {
            with_misfit(5.0, r_squared, unexplained, sd_ms, problems)
        };
        assert_eq!(verdict(0.999, 0.001, 10.0, &[]), Verdict::Accept);
        assert!(matches!(with_misfit(20.0, 0.996, 0.001, 10.0, &[]), Verdict::Check(_)));
        // Noise alone leaves 0.9 to 1.1 and makes R² what it is; a wrong table leaves more, which counts.
        assert_eq!(with_misfit(0.9, 0.5, 0.001, 10.0, &[]), Verdict::Accept);
        assert!(matches!(with_misfit(2.5, 0.75, 0.0, 10.0, &[]), Verdict::Repeat(_)));
        assert!(matches!(with_misfit(1.6, 0.963, 0.0, 10.0, &[]), Verdict::Check(_)));
        let problem = ["12 of 15 beats arrived".to_owned()];
        assert_eq!(verdict(0.999, 0.001, 10.0, &problem), Verdict::Check(problem[0].clone()));
        assert!(matches!(verdict(0.80, 0.001, 10.0, &problem), Verdict::Repeat(_)));
        assert!(matches!(verdict(0.999, 0.2, 10.0, &[]), Verdict::Repeat(_)));
        assert!(matches!(verdict(0.999, 0.03, 10.0, &[]), Verdict::Check(_)));
        assert!(matches!(verdict(0.999, 0.001, 400.0, &[]), Verdict::Repeat(_)));
    }

    #[test]
    fn noise_is_averaged_over_tissue_only() {
        let is_tissue = Array2::from_shape_fn((6, 6), |(y, _)| y < 3);
        let residual = is_tissue.mapv(|is| if is { 2.0 } else { 9.0 });
        let noise = smoothed_noise(&residual, &is_tissue);
        assert_eq!((noise[[0, 0]], noise[[2, 3]], noise[[5, 5]]), (2.0, 2.0, 9.0));
    }
}
