//! Percentiles of image intensities, to choose a scale for display.

use ndarray::{ArrayView, Dimension};

/// Share of the values that [`auto_scale`] leaves below the maximum it scales to.
const AUTO_SCALE_FRACTION: f64 = 0.99;

/// Factor by which Gadgetron's `AutoScaleGadget` multiplies a magnitude image.
///
/// * `magnitudes`: an image of any shape, values of 0 or more. What is not a number counts as 0.
/// * `max_value`: what the bright end is scaled to, 2048 by default there.
/// * `n_bins`: bins of the histogram from 0 to the largest value, 100 by default there.
///
/// `None` if there is nothing to scale: no value above 0, one that is infinite, or no bin.
///
/// # Method
/// Bins are counted from below until they hold 99 % of the values. With b the index of the
/// last of them, the bright end is taken as (b + 2) bins, one more than its upper edge.
pub fn auto_scale<D: Dimension>(
    magnitudes: ArrayView<'_, f32, D>,
    max_value: f32,
    n_bins: usize,
) -> Option<f32> {
    let largest = magnitudes.iter().copied().fold(0.0, f32::max);
    if n_bins == 0 || largest <= 0.0 || !largest.is_finite() {
        return None;
    }
    let mut histogram = vec![0_usize; n_bins];
    for magnitude in &magnitudes {
        // A cast to an integer clips what lies outside its range and takes NaN to 0.
        let bin = (magnitude / largest * n_bins as f32).floor() as usize;
        histogram[bin.min(n_bins - 1)] += 1;
    }
    let enough = AUTO_SCALE_FRACTION * magnitudes.len() as f64;
    let mut below = 0;
    let last = histogram.iter().position(|&count| {
        below += count;
        below as f64 >= enough
    });
    let bright_end = (last.unwrap_or(n_bins - 1) + 2) as f32 * (largest / n_bins as f32);
    Some(max_value / bright_end)
}

/// The value that the share `fraction` (0 to 1) of `values`, of any shape, lies below.
///
/// `None` of no values. Values that are not numbers are greater than all others.
///
/// # Method
/// Linear interpolation between the sorted values, the n-th of N (from 1) at n/(N + 1), as in
/// Gadgetron: its `ScaleGadget` scales magnitudes by 2048 / `percentile(magnitudes, 0.985)`.
pub fn percentile<D: Dimension>(values: ArrayView<'_, f32, D>, fraction: f64) -> Option<f32> {
    let mut values: Vec<f32> = values.iter().copied().collect();
    let n_values = values.len();
    if n_values == 0 {
        return None;
    }
    let position = (fraction * (n_values + 1) as f64).clamp(1.0, n_values as f64);
    let below = position.floor() as usize - 1;
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
    let share = (position - position.floor()) as f32;
    Some(low + (high - low) * share)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, array};

    use super::*;

    #[test]
    fn bright_end_is_one_bin_above_that_which_completes_99_percent() {
        // 0, 1, … 99: the largest is 99, each bin of 0.99 holds one, but for the last.
        let ramp = Array1::from_iter((0..100).map(|n| n as f32));
        let scale = auto_scale(ramp.view(), 2048.0, 100).expect("values");
        // The 99 values below 98.01 end in bin 98 (98 lies in bin 98): (98 + 2) · 0.99.
        assert!((scale - 2048.0 / 99.0).abs() < 1e-4, "{scale}");
    }

    #[test]
    fn one_bright_pixel_does_not_darken_the_image() {
        let mut image = Array2::from_elem((20, 20), 10.0);
        image[[3, 4]] = 1000.0;
        // The 399 pixels of 10 lie in bin 1 of width 10: bright end 30.
        assert_eq!(auto_scale(image.view(), 2048.0, 100), Some(2048.0 / 30.0));
    }

    #[test]
    fn nothing_to_scale_is_none() {
        assert_eq!(auto_scale(array![0.0, 0.0].view(), 2048.0, 100), None);
        assert_eq!(auto_scale(array![0.0, f32::INFINITY].view(), 2048.0, 100), None);
        assert_eq!(auto_scale(array![1.0].view(), 2048.0, 0), None);
        assert_eq!(auto_scale(Array1::zeros(0).view(), 2048.0, 100), None);
        assert!(auto_scale(array![1.0, f32::NAN].view(), 2048.0, 100).is_some());
    }

    #[test]
    fn percentile_interpolates_between_sorted_values() {
        let values = array![[4.0, 1.0], [3.0, 2.0]];
        assert_eq!(percentile(values.view(), 0.5), Some(2.5));
        assert_eq!(percentile(values.view(), 0.3), Some(1.5));
        assert_eq!(percentile(values.view(), 0.0), Some(1.0));
        assert_eq!(percentile(values.view(), 0.1), Some(1.0));
        assert_eq!(percentile(values.view(), 1.0), Some(4.0));
        assert_eq!(percentile(Array1::zeros(0).view(), 0.5), None);
    }
}
