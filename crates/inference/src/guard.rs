//! What is asked before a network runs, and of what comes out of it.

use std::fmt;

use regex_lite::Regex;

use crate::Tensor;
use crate::features::{distance, features};
use crate::manifest::{Axis, Input, Manifest, Output, OutputKind};

/// What a guard found to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What was asked, e.g. `range of image`.
    pub guard: String,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guard, self.what)
    }
}

/// What a scan tells of itself; what it does not tell is [`None`].
#[derive(Clone, Debug, Default)]
pub struct ScanConditions {
    /// Main field in tesla.
    pub field_strength_t: Option<f64>,
    /// Names of the protocol and of the sequence.
    pub sequence_names: Vec<String>,
    /// Images of the series.
    pub n_frames: Option<usize>,
    /// Pixel spacing `[x, y]`.
    pub spacing_mm: Option<[f64; 2]>,
}

/// Fields that count as the same.
const FIELD_TOLERANCE: f64 = 0.1;

/// Asks whether a model was made for this scan. What the scan does not tell cannot be refused.
///
/// # Errors
/// The first condition that is not met.
pub fn check_conditions(manifest: &Manifest, scan: &ScanConditions) -> Result<(), Breach> {
    let conditions = &manifest.conditions;
    let fail = |guard: &str, what: String| Err(Breach { guard: guard.to_owned(), what });
    let fields = &conditions.field_strength_t;
    if let Some(field) = scan.field_strength_t
        && !fields.is_empty()
        && !fields.iter().any(|known| (field / known - 1.0).abs() <= FIELD_TOLERANCE)
    {
        let fields: Vec<_> = fields.iter().map(f64::to_string).collect();
        let what = format!("{field:.2} T, the model was made for {} T", fields.join(", "));
        return fail("field strength", what);
    }
    if let Some(pattern) = &conditions.sequence_name
        && let Ok(regex) = Regex::new(pattern)
        && !scan.sequence_names.is_empty()
        && !scan.sequence_names.iter().any(|name| regex.is_match(name))
    {
        let what = format!("{} does not match {pattern}", scan.sequence_names.join(", "));
        return fail("sequence name", what);
    }
    if let Some(n) = scan.n_frames {
        if conditions.min_frames.is_some_and(|least| n < least) {
            return fail("number of images", format!("{n} are too few"));
        }
        if conditions.max_frames.is_some_and(|most| n > most) {
            return fail("number of images", format!("{n} are too many"));
        }
    }
    for input in &manifest.inputs {
        if let (Some(expected), Some(found), false) =
            (input.spacing_mm, scan.spacing_mm, input.resample)
        {
            let part = input.spacing_tolerance_percent / 100.0;
            if !expected.iter().zip(found).all(|(a, b)| (b / a - 1.0).abs() <= part) {
                let what = format!(
                    "{:.2} mm by {:.2} mm, the model was made for {:.2} mm by {:.2} mm",
                    found[0], found[1], expected[0], expected[1]
                );
                return fail("pixel spacing", what);
            }
        }
    }
    Ok(())
}

/// Asks whether the values of an input, before its transform, are in its unit's range.
///
/// # Errors
/// Values that are no numbers, or too many outside of the range.
pub fn check_values(input: &Input, values: &[f32]) -> Result<(), Breach> {
    let fail = |what: String| Err(Breach { guard: format!("range of {}", input.name), what });
    if values.is_empty() {
        return fail("there are no values".to_owned());
    }
    let n_bad = count(values, |value| !value.is_finite());
    if n_bad > 0 {
        return fail(format!("{n_bad} of {} values are no numbers", values.len()));
    }
    let Some([low, high]) = input.range else { return Ok(()) };
    let is_outside = outside([low, high]);
    let n_outside = count(values, &is_outside);
    if n_outside as f64 > input.max_outside_share * values.len() as f64 {
        let extreme = values
            .iter()
            .copied()
            .filter(|v| is_outside(*v))
            .max_by(|a, b| a.abs().total_cmp(&b.abs()));
        return fail(format!(
            "{n_outside} of {} values, as {:.4}, are outside of {low} to {high} {}",
            values.len(),
            extreme.unwrap_or_default(),
            input.unit
        ));
    }
    Ok(())
}

/// Distance of a transformed image `[image, y, x]` from the training set, [`None`] where the
/// manifest does not describe that.
///
/// # Errors
/// A distance beyond the manifest's.
pub fn check_statistics(
    input: &Input,
    values: &[f32],
    n_y: usize,
    n_x: usize,
) -> Result<Option<f64>, Breach> {
    let Some(statistics) = &input.statistics else { return Ok(None) };
    let found = distance(&features(values, n_y, n_x), &statistics.mean, &statistics.precision);
    // What is no number is no distance either.
    if found <= statistics.max_distance {
        return Ok(Some(found));
    }
    Err(Breach {
        guard: format!("statistics of {}", input.name),
        what: format!(
            "the image is {found:.1} away from those of the training set, {:.1} is the limit",
            statistics.max_distance
        ),
    })
}

/// Asks whether an output can be believed.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_output(output: &Output, tensor: &Tensor) -> Result<(), Breach> {
    let guard = &output.guard;
    let values = tensor.as_floats();
    let fail = |guard: &str, what: String| {
        Err(Breach { guard: format!("{guard} of {}", output.name), what })
    };
    let n = values.len();
    let n_nan = count(&values, |value| !value.is_finite());
    if n_nan as f64 > guard.max_nan_share * n as f64 {
        return fail("values", format!("{n_nan} of {n} are no numbers"));
    }
    if let Some([low, high]) = guard.range {
        let is_beyond = outside([low, high]);
        let is_outside = |value: f32| is_beyond(value) & value.is_finite();
        let n_outside = count(&values, is_outside);
        if n_outside as f64 > guard.max_outside_share * n as f64 {
            let first = values.iter().copied().find(|v| is_outside(*v)).unwrap_or_default();
            let what =
                format!("{n_outside} of {n} values, as {first}, are outside of {low} to {high}");
            return fail("range", what);
        }
    }
    if let Some(most) = guard.max_mean {
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / n.max(1) as f64;
        if mean > most || mean.is_nan() {
            return fail("mean", format!("{mean:.3} is above {most}"));
        }
    }
    let channel = output.axis(Axis::Channel);
    if let (Some(tolerance), Some(axis)) = (guard.sum_tolerance, channel)
        && let Some(sum) = sum_off_one(&values, tensor.shape(), axis, tolerance)
    {
        return fail("sum of probabilities", format!("it is {sum:.3}, not 1"));
    }
    if output.kind == OutputKind::Field {
        check_field(output, tensor, &values)?;
    }
    Ok(())
}

/// How many values are so. In blocks with a short counter, which the compiler makes vectors of.
fn count(values: &[f32], is_so: impl Fn(f32) -> bool) -> usize {
    values
        .chunks(1 << 12)
        .map(|block| block.iter().map(|value| u32::from(is_so(*value))).sum::<u32>() as usize)
        .sum()
}

/// Whether a value is outside of a range; what is no number is not.
fn outside([low, high]: [f64; 2]) -> impl Fn(f32) -> bool {
    // As many digits as the values have: a bound that is no such number moves to the nearest.
    let (low, high) = (low as f32, high as f32);
    move |value| (value < low) | (value > high)
}

/// The first sum along an axis that is off 1 by more than the tolerance, or no number.
fn sum_off_one(values: &[f32], shape: &[usize], axis: usize, tolerance: f64) -> Option<f32> {
    let inner: usize = shape.iter().skip(axis + 1).product::<usize>().max(1);
    let len = shape.get(axis).copied().unwrap_or(1).max(1);
    let tolerance = tolerance as f32;
    let is_close = |sum: f32| (sum - 1.0).abs() <= tolerance;
    let mut sums = vec![0.0_f32; inner];
    for block in values.chunks(len * inner) {
        sums.fill(0.0);
        for row in block.chunks(inner) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        if count(&sums, is_close) < inner {
            return sums.into_iter().find(|sum| !is_close(*sum));
        }
    }
    None
}

/// Displacements `[…, 2, y, x]` as (dy, dx) in px: how large, and whether they fold.
fn check_field(output: &Output, tensor: &Tensor, values: &[f32]) -> Result<(), Breach> {
    let fail = |guard: &str, what: String| {
        Err(Breach { guard: format!("{guard} of {}", output.name), what })
    };
    let &[.., 2, n_y, n_x] = tensor.shape() else {
        return fail("shape", format!("{:?} is no field of displacements", tensor.shape()));
    };
    let plane = n_y * n_x;
    if plane == 0 {
        return Ok(());
    }
    for field in values.chunks_exact(2 * plane) {
        let (dy, dx) = field.split_at(plane);
        if let Some(most) = output.guard.max_displacement_px {
            let length = |(a, b): (&f32, &f32)| f64::from(a.hypot(*b));
            let largest = dy.iter().zip(dx).map(length).fold(0.0, f64::max);
            if largest > most {
                let what = format!("{largest:.1} px, its guard is {most} px");
                return fail("displacement", what);
            }
        }
        if output.guard.no_folding {
            for y in 0..n_y.saturating_sub(1) {
                for x in 0..n_x.saturating_sub(1) {
                    let here = y * n_x + x;
                    let (right, below) = (here + 1, here + n_x);
                    let jacobian = (1.0 + dy[below] - dy[here]) * (1.0 + dx[right] - dx[here])
                        - (dy[right] - dy[here]) * (dx[below] - dx[here]);
                    if jacobian <= 0.0 {
                        return fail("folding", format!("the field folds at y = {y}, x = {x}"));
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(kind: &str, axes: &str, guard: &str) -> Output {
        let text = format!("name = \"y\"\nkind = \"{kind}\"\naxes = {axes}\nguard = {guard}\n");
        toml::from_str(&text).expect("an output")
    }

    fn breach(output: &Output, shape: &[usize], values: &[f32]) -> Option<String> {
        let tensor = Tensor::from_f32(shape, values.to_vec()).expect("as many elements");
        check_output(output, &tensor).err().map(|breach| breach.to_string())
    }

    #[test]
    fn values_outside_of_a_range_are_counted_and_named() {
        let output = output("image", "[\"x\"]", "{ range = [0.0, 1.0], max_outside_share = 0.25 }");
        assert_eq!(breach(&output, &[4], &[0.0, 1.0, 0.5, 7.5]), None);
        let found = breach(&output, &[4], &[0.0, 1.0, -1.0, 7.5]).expect("two of four");
        assert!(found.contains("2 of 4 values, as -1, are outside of 0 to 1"), "{found}");
    }

    #[test]
    fn what_is_no_number_is_refused_up_to_its_share() {
        let strict = output("image", "[\"x\"]", "{}");
        assert_eq!(breach(&strict, &[2], &[1e30, -1e30]), None);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let found = breach(&strict, &[2], &[bad, 0.0]).expect("half of it");
            assert!(found.contains("1 of 2 are no numbers"), "{found}");
        }
        let lenient = output("image", "[\"x\"]", "{ max_nan_share = 0.5, range = [0.0, 1.0] }");
        assert_eq!(breach(&lenient, &[2], &[f32::NAN, 0.0]), None);
    }

    #[test]
    fn probabilities_sum_to_one_in_each_pixel() {
        let output =
            output("probability", "[\"batch\", \"channel\", \"x\"]", "{ sum_tolerance = 0.01 }");
        // Two images of two classes and three pixels.
        let mut values = [0.2, 0.5, 1.0, 0.8, 0.5, 0.0, 0.2, 0.5, 1.0, 0.8, 0.5, 0.0];
        assert_eq!(breach(&output, &[2, 2, 3], &values), None);
        values[10] = 0.6;
        let found = breach(&output, &[2, 2, 3], &values).expect("one pixel of the second");
        assert!(found.contains("sum of probabilities of y") && found.contains("1.100"), "{found}");
    }

    #[test]
    fn a_field_that_folds_or_reaches_too_far_is_refused() {
        let output = output(
            "field",
            "[\"batch\", \"channel\", \"y\", \"x\"]",
            "{ max_displacement_px = 5.0, no_folding = true }",
        );
        let shape = [1, 2, 2, 3];
        let still = [0.0; 12];
        assert_eq!(breach(&output, &shape, &still), None);
        let mut far = still;
        far[..6].fill(-3.0);
        far[6..].fill(4.5);
        let found = breach(&output, &shape, &far).expect("5.4 px");
        assert!(found.contains("5.4 px, its guard is 5 px"), "{found}");
        let mut folding = still;
        // The pixels of the first row exchange their places.
        folding[6..9].copy_from_slice(&[2.0, 0.0, -2.0]);
        let found = breach(&output, &shape, &folding).expect("it folds");
        assert!(found.contains("folds at y = 0, x = 0"), "{found}");
    }

    #[test]
    fn an_input_is_held_against_its_range() {
        let input: Input =
            toml::from_str("name = \"x\"\nrole = \"image\"\nunit = \"ms\"\nrange = [0.0, 5.0]\n")
                .expect("an input");
        assert_eq!(check_values(&input, &[0.0, 5.0]), Ok(()));
        let found = check_values(&input, &[1.0, -0.5, 9.0]).expect_err("two outside").to_string();
        assert!(found.contains("2 of 3 values, as 9.0000, are outside of 0 to 5 ms"), "{found}");
        assert!(check_values(&input, &[f32::NAN]).is_err());
        assert!(check_values(&input, &[]).is_err());
    }
}
