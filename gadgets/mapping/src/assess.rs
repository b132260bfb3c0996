//! Which pixels are tissue, how much noise there is, and whether a map can be used.

use ndarray::{Array2, ArrayView2};
use numerics::relaxation::RelaxationFit;
use pipeline::Verdict;

/// Pixels whose signal is below this share of the brightest ones' are background, whatever the
/// noise.
const LEAST_SHARE: f32 = 0.02;
/// Pixels below this share of them are dim, and at so many of them noise is measured.
const DIM_SHARE: f32 = 0.1;
const LEAST_DIM: usize = 64;
/// Median R² of tissue below which a map is to be looked at, and below which it is of no use.
const R_SQUARED: [f32; 2] = [0.95, 0.85];
/// Median of standard deviation over value, likewise.
const RELATIVE_SD: [f32; 2] = [0.15, 0.30];
/// Share of the tissue without a value, likewise.
const WITHOUT_VALUE: [f64; 2] = [0.3, 0.6];
/// Corrected displacement in px from which a map is to be looked at.
pub(crate) const MOTION_PX: f64 = 8.0;
/// Share of the tissue that the value does not explain from which a map is to be looked at, and
/// from which it is of no use.
const UNEXPLAINED: [f64; 2] = [0.1, 0.5];
const EXACT: &str = "as many parameters as images: nothing tells whether the fit is right";
const NO_SIGNAL: &str =
    "there is no signal in the images above what fits leave of them: noise only, or wrong times";
/// With fewer pixels of tissue there is no patient in the image.
const LEAST_TISSUE: usize = 16;

/// The median of the numbers above 0, 0 where there is none.
pub(crate) fn median(values: impl Iterator<Item = f32>) -> f32 {
    median_of_all(values.filter(|value| *value > 0.0))
}

/// The median of all numbers, also of those below 0; 0 where there is none.
fn median_of_all(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Standard deviation of the noise in a sample, from what fits leave: most pixels of an image are
/// fitted as well as noise lets them be. 0 where no fit leaves anything.
///
/// * `degrees_of_freedom`: samples less parameters.
pub(crate) fn noise_sd(fit: &RelaxationFit, degrees_of_freedom: usize) -> f32 {
    median(fit.residual_sd.iter().copied()) / median_of_chi(degrees_of_freedom)
}

/// The same from dim pixels only. What a wrong time leaves in tissue is no noise, and must not
/// become the limit below which tissue is background. [`None`] where too few are dim.
pub(crate) fn dim_noise_sd(
    fit: &RelaxationFit,
    brightest: ArrayView2<'_, f32>,
    degrees_of_freedom: usize,
) -> Option<f32> {
    let limit = DIM_SHARE * bright(brightest);
    let pixels = brightest.iter().zip(&fit.residual_sd);
    let dim = pixels.filter(|(value, residual)| value.abs() < limit && **residual > 0.0);
    let residuals: Vec<f32> = dim.map(|(_, residual)| *residual).collect();
    (residuals.len() >= LEAST_DIM)
        .then(|| median(residuals.into_iter()) / median_of_chi(degrees_of_freedom))
}

fn median_of_chi(degrees_of_freedom: usize) -> f32 {
    // The median of χ²/k lies below 1 (Wilson, Hilferty 1931).
    let k = degrees_of_freedom.max(1) as f32;
    (1.0 - 2.0 / (9.0 * k)).powf(1.5)
}

/// Pixels with signal.
///
/// * `brightest`: magnitude of the image with the most signal.
/// * `n_sds`: at least that many standard deviations of the noise.
pub(crate) fn tissue(brightest: ArrayView2<'_, f32>, noise_sd: f32, n_sds: f32) -> Array2<bool> {
    let limit = (n_sds * noise_sd).max(LEAST_SHARE * bright(brightest));
    brightest.mapv(|value| value.abs() > limit)
}

/// Magnitude that a hundredth of the pixels have or are above.
fn bright(image: ArrayView2<'_, f32>) -> f32 {
    let mut sorted: Vec<f32> = image.iter().map(|value| value.abs()).collect();
    if sorted.is_empty() {
        return 0.0;
    }
    let place = (sorted.len() * 99 / 100).min(sorted.len() - 1);
    *sorted.select_nth_unstable_by(place, f32::total_cmp).1
}

/// Takes the values that nobody should read out of a fit: background, values above the longest,
/// and those less certain than their own size.
pub(crate) fn clear(fit: &mut RelaxationFit, tissue: &Array2<bool>, longest_ms: f32) {
    let is_invalid = Array2::from_shape_fn(tissue.dim(), |place| {
        let (value, sd) = (fit.value_ms[place], fit.sd_ms[place]);
        !tissue[place] || value > longest_ms || sd > value
    });
    fit.clear(|y, x| is_invalid[[y, x]]);
}

/// Gives holes in the tissue, of at most so many pixels, the mean of the valid pixels around them,
/// from the edge inwards.
pub(crate) fn fill_holes(fit: &mut RelaxationFit, tissue: &Array2<bool>, largest: usize) {
    let (height, width) = tissue.dim();
    let is_hole =
        Array2::from_shape_fn((height, width), |place| tissue[place] && fit.value_ms[place] <= 0.0);
    let mut seen = Array2::from_elem((height, width), false);
    let around = |(y, x): (usize, usize)| {
        let rows = y.saturating_sub(1)..=(y + 1).min(height - 1);
        let columns = x.saturating_sub(1)..=(x + 1).min(width - 1);
        rows.flat_map(move |row| columns.clone().map(move |column| (row, column)))
            .filter(move |place| *place != (y, x))
    };
    for start in ndarray::indices((height, width)) {
        if !is_hole[start] || seen[start] {
            continue;
        }
        let mut hole = vec![start];
        seen[start] = true;
        let mut next = 0;
        while let Some(&place) = hole.get(next) {
            next += 1;
            for neighbour in around(place) {
                if is_hole[neighbour] && !std::mem::replace(&mut seen[neighbour], true) {
                    hole.push(neighbour);
                }
            }
        }
        if hole.len() > largest {
            continue;
        }
        while !hole.is_empty() {
            let before = hole.len();
            let filled: Vec<_> = hole
                .iter()
                .filter_map(|&place| {
                    let valid = || around(place).filter(|at| fit.value_ms[*at] > 0.0);
                    let n = valid().count() as f32;
                    let mean = |map: &Array2<f32>| valid().map(|at| map[at]).sum::<f32>() / n;
                    (n > 0.0).then(|| (place, [mean(&fit.value_ms), mean(&fit.sd_ms)]))
                })
                .collect();
            for &(place, [value, sd]) in &filled {
                fit.value_ms[place] = value;
                fit.sd_ms[place] = sd;
            }
            hole.retain(|place| fit.value_ms[*place] <= 0.0);
            if hole.len() == before {
                break;
            }
        }
    }
}

/// What a verdict is made of, over all planes of a map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quality {
    r_squared: Vec<f32>,
    relative_sd: Vec<f32>,
    n_tissue: usize,
    n_valid: usize,
    /// Pixels of the tissue whose images differ from what their value means by more than noise.
    n_unexplained: usize,
    /// A fit with as many parameters as images says nothing of how good it is.
    is_exact: bool,
}

impl Quality {
    /// Adds a plane.
    pub fn add(&mut self, fit: &RelaxationFit, tissue: &Array2<bool>, is_exact: bool) {
        self.is_exact |= is_exact;
        for (place, _) in tissue.indexed_iter().filter(|(_, is_tissue)| **is_tissue) {
            self.n_tissue += 1;
            let value = fit.value_ms[place];
            if value > 0.0 {
                self.n_valid += 1;
                self.r_squared.push(fit.r_squared[place]);
                self.relative_sd.push(fit.sd_ms[place] / value);
            }
        }
    }

    /// Adds what the values of a plane do not explain.
    pub fn add_unexplained(&mut self, unexplained: &Array2<bool>, tissue: &Array2<bool>) {
        let both =
            unexplained.iter().zip(tissue).filter(|(is_off, is_tissue)| **is_off && **is_tissue);
        self.n_unexplained += both.count();
    }

    /// Whether the map can be used, and the worst reason why not.
    pub fn verdict(&self, problem: Option<&str>, motion_px: Option<f64>) -> Verdict {
        if self.n_tissue < LEAST_TISSUE {
            return Verdict::Repeat(NO_SIGNAL.to_owned());
        }
        let without = 1.0 - self.n_valid as f64 / self.n_tissue as f64;
        let r_squared =
            if self.is_exact { 1.0 } else { median_of_all(self.r_squared.iter().copied()) };
        let relative_sd = median(self.relative_sd.iter().copied());
        let bad_fit = format!(
            "the images do not follow the model (median R² {r_squared:.2}): motion, or wrong times"
        );
        let unexplained = self.n_unexplained as f64 / self.n_tissue as f64;
        let off = format!(
            "{:.0} % of the tissue differs from what its value means by more than noise: motion, wrong times, or a scan unlike those of the training",
            100.0 * unexplained
        );
        let no_value = format!("{:.0} % of the tissue has no value", 100.0 * without);
        let uncertain =
            format!("values are uncertain by {:.0} %: too much noise", 100.0 * relative_sd);
        if without > WITHOUT_VALUE[1] {
            return Verdict::Repeat(format!("{no_value}: motion, or wrong times"));
        }
        if r_squared < R_SQUARED[1] {
            return Verdict::Repeat(bad_fit);
        }
        if unexplained > UNEXPLAINED[1] {
            return Verdict::Repeat(off);
        }
        if relative_sd > RELATIVE_SD[1] {
            return Verdict::Repeat(uncertain);
        }
        if let Some(problem) = problem {
            return Verdict::Check(problem.to_owned());
        }
        if self.is_exact {
            return Verdict::Check(EXACT.to_owned());
        }
        if r_squared < R_SQUARED[0] {
            return Verdict::Check(bad_fit);
        }
        if unexplained > UNEXPLAINED[0] {
            return Verdict::Check(off);
        }
        if without > WITHOUT_VALUE[0] {
            return Verdict::Check(no_value);
        }
        if relative_sd > RELATIVE_SD[0] {
            return Verdict::Check(uncertain);
        }
        match motion_px.filter(|motion| *motion > MOTION_PX) {
            Some(motion) => {
                Verdict::Check(format!("motion of {motion:.0} px was corrected: look at the edges"))
            }
            None => Verdict::Accept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_is_below_the_noise_or_far_below_the_brightest() {
        let brightest = Array2::from_shape_fn((10, 10), |(y, _)| [0.1, 1.0, 2.9, 3.1, 50.0][y / 2]);
        assert_eq!(tissue(brightest.view(), 1.0, 3.0).iter().filter(|is| **is).count(), 40);
        assert_eq!(tissue(brightest.view(), 0.0, 3.0).iter().filter(|is| **is).count(), 60);
    }

    #[test]
    fn the_verdict_names_the_worst_reason() {
        let quality = |r_squared, relative_sd, n_valid| Quality {
            r_squared: vec![r_squared; 100],
            relative_sd: vec![relative_sd; 100],
            n_tissue: 100,
            n_valid,
            n_unexplained: 0,
            is_exact: false,
        };
        assert_eq!(quality(0.99, 0.03, 98).verdict(None, Some(3.0)), Verdict::Accept);
        let reason = |verdict| match verdict {
            Verdict::Accept => panic!("accepted"),
            Verdict::Check(reason) => format!("check: {reason}"),
            Verdict::Repeat(reason) => format!("repeat: {reason}"),
        };
        for (quality, problem, motion, expected) in [
            (Quality::default(), None, None, "repeat: there is no signal"),
            (quality(0.5, 0.03, 98), Some("x"), None, "repeat: the images do not follow the model"),
            (quality(0.9, 0.03, 98), None, None, "check: the images do not follow the model"),
            (quality(0.99, 0.5, 98), None, None, "repeat: values are uncertain by 50 %"),
            (quality(0.99, 0.2, 98), None, None, "check: values are uncertain by 20 %"),
            (quality(0.99, 0.03, 20), None, None, "repeat: 80 % of the tissue has no value"),
            (quality(0.99, 0.03, 60), None, None, "check: 40 % of the tissue has no value"),
            (quality(0.99, 0.03, 98), Some("image 3 of 8"), None, "check: image 3 of 8"),
            (quality(0.99, 0.03, 98), None, Some(12.0), "check: motion of 12 px"),
        ] {
            let text = reason(quality.verdict(problem, motion));
            assert!(text.starts_with(expected), "{text}");
        }
        let exact = Quality { is_exact: true, ..quality(1.0, 0.0, 100) };
        assert!(reason(exact.verdict(None, None)).starts_with("check: as many parameters"));
        let off = |n_unexplained| Quality { n_unexplained, ..quality(0.99, 0.03, 98) };
        assert_eq!(off(9).verdict(None, None), Verdict::Accept);
        assert!(
            reason(off(11).verdict(None, None)).starts_with("check: 11 % of the tissue differs")
        );
        assert!(reason(off(51).verdict(None, None)).starts_with("repeat: 51 % of the tissue"));
        let worse_than_the_mean = quality(-0.4, 0.03, 98).verdict(None, None);
        assert!(reason(worse_than_the_mean).contains("median R² -0.40"));
    }
}
