//! Whether a small lesion outlives motion correction.

use anyhow::Result;
use ndarray::{Array2, Array3, Array4, Axis};
use num_complex::Complex32;

use super::cases::Case;
use super::measures::{fit, origin};

/// Diameter of the lesion, px.
const DIAMETER_PX: f32 = 3.0;
/// How much longer its T1 is.
const LONGER_MS: f32 = 150.0;
/// Pixels whose middle is so near to the lesion's are its inside.
const INSIDE_PX: f32 = 1.0;
/// Subdivisions of a pixel along an axis.
const FINE: usize = 4;

/// How much of a lesion's contrast is left in the T1 map after correction, %: a disc of 3 px in
/// the middle of the wall whose T1 is 150 ms longer, that moves with the wall.
///
/// * `find`: fields of a noisy series.
///
/// The lesion's signal is that of the fit's own model: constant and exponential of the wall at its
/// place, with a longer time. Contrast is T1 with the lesion less T1 without, by the same fields,
/// over the same of the series that does not move. [`None`] where the wall cannot be fitted.
pub fn kept_contrast(
    case: &Case,
    find: impl Fn(&Array3<Complex32>) -> Result<Array4<f32>>,
) -> Result<Option<f64>> {
    let Some(centre) = middle_of_wall(&case.myocardium) else { return Ok(None) };
    let inside = Array2::from_shape_fn(case.myocardium.dim(), |(y, x)| {
        (y as f32 - centre[0]).hypot(x as f32 - centre[1]) <= INSIDE_PX
    });
    let at = [centre[0] as usize, centre[1] as usize];
    let plain = fit(&case.clean_still, case, None, &inside)?;
    let t1_ms = plain.value_ms[at];
    if t1_ms <= 0.0 {
        return Ok(None);
    }
    let (time_ms, exponential) = (plain.time_ms[at], plain.exponential[at]);
    let longer_ms = time_ms * (t1_ms + LONGER_MS) / t1_ms;
    let phase = case.clean_still[[case.reference, at[0], at[1]]];
    let phase = phase / phase.norm().max(f32::MIN_POSITIVE);
    let added = |frame: usize| -> Complex32 {
        let time = case.times_ms[frame] as f32;
        phase * (exponential * ((-time / longer_ms).exp() - (-time / time_ms).exp()))
    };
    let with_lesion = |images: &Array3<Complex32>, moves: bool| {
        let mut images = images.clone();
        for (frame, mut image) in images.axis_iter_mut(Axis(0)).enumerate() {
            let truth = case.truth.index_axis(Axis(0), frame);
            for ((y, x), pixel) in image.indexed_iter_mut() {
                let far = (y as f32 - centre[0]).hypot(x as f32 - centre[1]) > 40.0;
                if far {
                    continue;
                }
                let mut covered = 0_usize;
                for part in 0..FINE * FINE {
                    let offset = |n: usize| (n as f32 + 0.5) / FINE as f32 - 0.5;
                    let place = [y as f32 + offset(part / FINE), x as f32 + offset(part % FINE)];
                    let place = if moves { origin(truth, place) } else { place };
                    let distance = (place[0] - centre[0]).hypot(place[1] - centre[1]);
                    covered += usize::from(distance <= 0.5 * DIAMETER_PX);
                }
                *pixel += added(frame) * (covered as f32 / (FINE * FINE) as f32);
            }
        }
        images
    };
    let mean = |images: &Array3<Complex32>, fields: Option<&Array4<f32>>| -> Result<f64> {
        let map = fit(images, case, fields, &inside)?.value_ms;
        let values: Vec<f64> = map
            .iter()
            .zip(&inside)
            .filter(|(_, is_inside)| **is_inside)
            .map(|(value, _)| f64::from(*value))
            .collect();
        Ok(values.iter().sum::<f64>() / values.len().max(1) as f64)
    };
    let whole =
        mean(&with_lesion(&case.clean_still, false), None)? - mean(&case.clean_still, None)?;
    let fields = find(&with_lesion(&case.noisy, true))?;
    let kept =
        mean(&with_lesion(&case.clean, true), Some(&fields))? - mean(&case.clean, Some(&fields))?;
    Ok((whole > 0.0).then(|| 100.0 * kept / whole))
}

/// The pixel of the wall that is farthest from its edges.
fn middle_of_wall(wall: &Array2<bool>) -> Option<[f32; 2]> {
    let (n_y, n_x) = wall.dim();
    let depth = |y: usize, x: usize| -> usize {
        (1..8)
            .take_while(|radius| {
                let r = *radius as isize;
                (-r..=r).all(|dy| {
                    (-r..=r).all(|dx| {
                        let (y, x) = (y as isize + dy, x as isize + dx);
                        dy * dy + dx * dx > r * r
                            || wall.get([y as usize, x as usize]).copied().unwrap_or(false)
                    })
                })
            })
            .count()
    };
    let pixels = (0..n_y).flat_map(|y| (0..n_x).map(move |x| (y, x)));
    let inside = pixels.filter(|(y, x)| wall[[*y, *x]]);
    inside.max_by_key(|(y, x)| depth(*y, *x)).map(|(y, x)| [y as f32, x as f32])
}
