//! What is left of a Look-Locker recovery whose T1 is known from elsewhere.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use numerics::relaxation::RelaxationFit;

/// T1/T1* = B/A − 1 of readouts that hold the recovery back little (weak inversions) and much.
const RATIOS: [f64; 2] = [0.5, 2.5];
/// Steps of the search between them: 4 % each, which is refined by a parabola.
const N_RATIOS: usize = 41;

/// The recovery A − B e^(−t/T1*) with T1 = T1* (B/A − 1) that is nearest to each pixel's samples,
/// where T1 is not fitted but given. R² and the standard deviation of the residuals, √(RSS/(n − 2)),
/// say how far the samples are from what this T1 allows.
///
/// * `times_ms`: of the images.
/// * `images`: `[image, y, x]`, with signs.
/// * `t1_ms`, `sd_ms`: `[y, x]`; a pixel of 0 has no fit.
///
/// # Panics
/// If there are not as many images as times, or the maps are of another size.
pub(super) fn recovery_of_known_t1(
    times_ms: &[f64],
    images: ArrayView3<'_, f32>,
    t1_ms: ArrayView2<'_, f32>,
    sd_ms: ArrayView2<'_, f32>,
) -> RelaxationFit {
    let (n_images, height, width) = images.dim();
    assert_eq!(n_images, times_ms.len(), "an image for each time");
    assert_eq!(t1_ms.dim(), (height, width), "a map as large as the images");
    assert_eq!(sd_ms.dim(), (height, width), "a map as large as the images");
    let zeros = || Array2::zeros((height, width));
    let mut fit = RelaxationFit {
        value_ms: zeros(),
        sd_ms: zeros(),
        r_squared: zeros(),
        residual_sd: zeros(),
        constant: zeros(),
        exponential: zeros(),
        time_ms: zeros(),
        n_negated: Array2::zeros((height, width)),
    };
    for ((y, x), &t1_ms) in t1_ms.indexed_iter() {
        let samples = images.index_axis(Axis(1), y);
        let samples: Vec<f64> = samples.column(x).iter().map(|value| f64::from(*value)).collect();
        let Some(found) = fit_pixel(times_ms, &samples, t1_ms.into()) else { continue };
        let place = [y, x];
        fit.value_ms[place] = t1_ms;
        fit.sd_ms[place] = sd_ms[place];
        fit.r_squared[place] = found.r_squared as f32;
        fit.residual_sd[place] = found.residual_sd as f32;
        fit.constant[place] = found.constant as f32;
        fit.exponential[place] = (-found.constant * (1.0 + found.ratio)) as f32;
        fit.time_ms[place] = (f64::from(t1_ms) / found.ratio) as f32;
    }
    fit
}

/// What is found of a pixel: A, T1/T1*, and how far the samples are from them.
struct PixelFit {
    constant: f64,
    ratio: f64,
    r_squared: f64,
    residual_sd: f64,
}

fn fit_pixel(times_ms: &[f64], samples: &[f64], t1_ms: f64) -> Option<PixelFit> {
    if !(t1_ms > 0.0 && t1_ms.is_finite() && samples.iter().all(|sample| sample.is_finite())) {
        return None;
    }
    let power: f64 = samples.iter().map(|sample| sample * sample).sum();
    // A and the sum of squares that it leaves, for a ratio T1/T1*.
    let of = |ratio: f64| {
        let (mut along, mut length) = (0.0, 0.0);
        for (time_ms, sample) in times_ms.iter().zip(samples) {
            let shape = 1.0 - (1.0 + ratio) * (-time_ms * ratio / t1_ms).exp();
            along += shape * sample;
            length += shape * shape;
        }
        let constant = (along / length.max(f64::MIN_POSITIVE)).max(0.0);
        (constant, power - constant * (2.0 * along - constant * length))
    };
    let step = (RATIOS[1] / RATIOS[0]).ln() / (N_RATIOS - 1) as f64;
    let ratio = |place: f64| RATIOS[0] * (step * place).exp();
    let left: Vec<f64> = (0..N_RATIOS).map(|place| of(ratio(place as f64)).1).collect();
    let best = (0..N_RATIOS).min_by(|&a, &b| left[a].total_cmp(&left[b]))?;
    let mut place = best as f64;
    if let (Some(before), Some(after)) = (best.checked_sub(1), left.get(best + 1)) {
        let curvature = left[before] - 2.0 * left[best] + after;
        if curvature > 0.0 {
            place += 0.5 * (left[before] - after) / curvature;
        }
    }
    let (constant, rest) = of(ratio(place));
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    let variance: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    let freedom = samples.len().saturating_sub(2);
    let rest = rest.max(0.0);
    Some(PixelFit {
        constant,
        ratio: ratio(place),
        r_squared: if variance > 0.0 { 1.0 - rest / variance } else { 0.0 },
        residual_sd: if freedom > 0 { (rest / freedom as f64).sqrt() } else { 0.0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    const TIMES_MS: [f64; 4] = [100.0, 1050.0, 1980.0, 3010.0];

    fn images(ratio: f64, t1_ms: f64) -> Array3<f32> {
        Array3::from_shape_fn((4, 1, 2), |(image, _, _)| {
            (50.0 * (1.0 - (1.0 + ratio) * (-TIMES_MS[image] * ratio / t1_ms).exp())) as f32
        })
    }

    #[test]
    fn the_right_t1_leaves_nothing_and_a_wrong_one_more_than_noise() {
        let images = images(0.92, 1000.0);
        let fit = |t1_ms: f32| {
            let map = Array2::from_shape_fn((1, 2), |(_, x)| if x == 0 { t1_ms } else { 0.0 });
            recovery_of_known_t1(&TIMES_MS, images.view(), map.view(), map.view())
        };
        let right = fit(1000.0);
        // Steps of 4 % with a parabola: a thousandth of the signal.
        assert!(right.residual_sd[[0, 0]] < 0.05, "{right:?}");
        assert!((right.constant[[0, 0]] / 50.0 - 1.0).abs() < 2e-3, "{right:?}");
        assert!((right.time_ms[[0, 0]] / (1000.0 / 0.92) - 1.0).abs() < 5e-3, "{right:?}");
        assert_eq!(right.value_ms[[0, 1]], 0.0, "no fit without a T1");
        let wrong = fit(1500.0);
        assert!(wrong.residual_sd[[0, 0]] > 2.0, "{wrong:?}");
        assert!(wrong.r_squared[[0, 0]] < right.r_squared[[0, 0]]);
    }
}
