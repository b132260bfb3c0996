//! Images that do not fit the others.

use super::encoding::TensorPlan;

/// Largest share of the images that is left out.
const MOST: f64 = 0.3;
/// A loss of signal below this is not worth an image.
const LEAST_DIFFERENCE: f64 = 0.08;

/// Images whose signal in the wall is not that of the tensor which the others tell: lost by
/// motion, or corrupted.
///
/// * `plan`: of all images.
/// * `signals`: `[pixel][image]` of pixels of the wall.
/// * `sds`: robust standard deviations of the other images beyond which an image is left out.
///
/// Gives their indices, worst first, at most 30 % of all and never so many that the rest tells no
/// tensor; and the median ratio of signal to fit of each image.
///
/// # Method
/// Each pixel is fitted without regard to outliers (weights of Geman and McClure, in a few rounds
/// over the whole images); an image's ratio is the median over the pixels of signal over fit.
pub fn outliers(plan: &TensorPlan, signals: &[Vec<f64>], sds: f64) -> (Vec<usize>, Vec<f64>) {
    let n_images = plan.n_images();
    let mut weights = vec![1.0; n_images];
    let mut ratios = vec![1.0; n_images];
    for _ in 0..6 {
        let mut all: Vec<Vec<f64>> = vec![Vec::with_capacity(signals.len()); n_images];
        for pixel in signals {
            let Some(logs) = plan.log_residuals(pixel, &weights) else { continue };
            for (all, log) in all.iter_mut().zip(logs) {
                all.push(log);
            }
        }
        if all.iter().any(Vec::is_empty) {
            return (Vec::new(), ratios);
        }
        ratios = all.into_iter().map(|mut logs| median(&mut logs).exp()).collect();
        let mut sizes: Vec<f64> = ratios.iter().map(|ratio| ratio.ln().abs()).collect();
        let scale = (1.4826 * median(&mut sizes)).max(0.01);
        for (weight, ratio) in weights.iter_mut().zip(&ratios) {
            *weight = (1.0 + (ratio.ln() / (2.0 * scale)).powi(2)).powi(-2);
        }
    }
    let mut sizes: Vec<f64> = ratios.iter().map(|ratio| ratio.ln().abs()).collect();
    let limit = (sds * 1.4826 * median(&mut sizes)).max(LEAST_DIFFERENCE);
    let mut found: Vec<usize> =
        (0..n_images).filter(|&image| ratios[image].ln().abs() > limit).collect();
    found.sort_by(|&a, &b| ratios[b].ln().abs().total_cmp(&ratios[a].ln().abs()));
    found.truncate((MOST * n_images as f64) as usize);
    while !found.is_empty() {
        let kept: Vec<_> = (0..n_images)
            .filter(|image| !found.contains(image))
            .map(|image| plan.encodings()[image])
            .collect();
        if TensorPlan::new(&kept).is_ok() {
            break;
        }
        found.pop();
    }
    (found, ratios)
}

fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
