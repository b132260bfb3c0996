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
    let n_bad = values.iter().filter(|value| !value.is_finite()).count();
    if n_bad > 0 {
        return fail(format!("{n_bad} of {} values are no numbers", values.len()));
    }
    let Some([low, high]) = input.range else { return Ok(()) };
    let is_outside = |value: &&f32| !(low..=high).contains(&f64::from(**value));
    let n_outside = values.iter().filter(is_outside).count();
    if n_outside as f64 > input.max_outside_share * values.len() as f64 {
        let extreme =
            values.iter().filter(is_outside).copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
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
    let n_nan = values.iter().filter(|value| !value.is_finite()).count();
    if n_nan as f64 > guard.max_nan_share * n as f64 {
        return fail("values", format!("{n_nan} of {n} are no numbers"));
    }
    if let Some([low, high]) = guard.range {
        let is_outside =
            |value: &&f32| value.is_finite() && !(low..=high).contains(&f64::from(**value));
        let n_outside = values.iter().filter(is_outside).count();
        if n_outside as f64 > guard.max_outside_share * n as f64 {
            let first = values.iter().find(is_outside).copied().unwrap_or_default();
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
    if let (Some(tolerance), Some(axis)) = (guard.sum_tolerance, channel) {
        let worst = sums_along(&values, tensor.shape(), axis)
            .map(|sum| (sum - 1.0).abs())
            .fold(0.0, |worst: f64, off| if off <= worst { worst } else { off });
        if worst > tolerance || worst.is_nan() {
            return fail("sum of probabilities", format!("it is off 1 by {worst:.3}"));
        }
    }
    if output.kind == OutputKind::Field {
        check_field(output, tensor, &values)?;
    }
    Ok(())
}

/// Sums of the values along an axis.
fn sums_along(values: &[f32], shape: &[usize], axis: usize) -> impl Iterator<Item = f64> {
    let inner: usize = shape.iter().skip(axis + 1).product();
    let len = shape.get(axis).copied().unwrap_or(1);
    values.chunks((len * inner).max(1)).flat_map(move |block| {
        (0..inner).map(move |place| {
            (0..len)
                .filter_map(|n| block.get(n * inner + place))
                .map(|value| f64::from(*value))
                .sum()
        })
    })
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
