//! What a network says of the motion of a series.

use inference::guard::{check_statistics, check_values};
use inference::{EngineError, InferenceError, Model, Provenance, Request, Tensor};
use ndarray::{Array4, ArrayView3, ArrayView4, Axis, s};

/// Height and width that the network takes are multiples of this.
const MULTIPLE: usize = 16;
/// Pixels of the image for one of the network's field.
const COARSENESS: usize = 4;

/// Displacement fields that are about right.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Where in each image to look for what the reference shows: `[frame, 2, y, x]` as (dy, dx),
    /// px.
    pub fields: Array4<f32>,
    /// What ran.
    pub provenance: Provenance,
}

/// Asks a network of the kind of `motion_of_series` for the motion of a series.
///
/// * `magnitudes`: `[frame, y, x]`.
/// * `times_ms`: finite, one for each frame.
///
/// # Errors
/// [`InferenceError`].
pub fn propose(
    model: &Model,
    magnitudes: ArrayView3<'_, f32>,
    reference: usize,
    times_ms: &[f64],
    session: u64,
) -> Result<Proposal, InferenceError> {
    let (n_frames, n_y, n_x) = magnitudes.dim();
    let guarded = |breach| InferenceError::Guard { model: model.manifest().name.clone(), breach };
    let unfit = |error: &dyn std::fmt::Display| InferenceError::Engine {
        model: model.manifest().name.clone(),
        error: EngineError::Call(error.to_string()),
    };
    let [height, width] = [n_y, n_x].map(|n| n.next_multiple_of(MULTIPLE));
    let frames = normalised(magnitudes);
    let mut guards = Vec::new();
    if let Some(input) = model.manifest().inputs.iter().find(|input| input.name == "frames") {
        check_values(input, &frames).map_err(guarded)?;
        if let Some(distance) = check_statistics(input, &frames, n_y, n_x).map_err(guarded)? {
            guards.push(format!("statistics of frames at distance {distance:.2}"));
        }
    }
    let padded = padded(&frames, [n_y, n_x], [height, width]);
    let plane = height * width;
    let of_reference = padded[reference * plane..(reference + 1) * plane].to_vec();
    let times = times_ms.iter().map(|time| *time as f32).collect();
    let inputs = [
        ("frames", vec![n_frames, 1, height, width], padded),
        ("reference", vec![1, 1, height, width], of_reference),
        ("times_ms", vec![n_frames], times),
    ];
    let inputs = inputs
        .into_iter()
        .map(|(name, shape, values)| Ok((name.to_owned(), Tensor::from_f32(&shape, values)?)))
        .collect::<Result<Vec<_>, inference::ShapeError>>()
        .map_err(|error| unfit(&error))?;
    let answer = model.run(Request { inputs, session, time: None })?;
    let field = answer.output("displacement").and_then(|tensor| {
        let &[n, 2, y, x] = tensor.shape() else { return None };
        let is_right = [n, y, x] == [n_frames, height / COARSENESS, width / COARSENESS];
        let values = is_right.then(|| tensor.to_f32())?;
        Array4::from_shape_vec((n, 2, y, x), values).ok()
    });
    let field = field.ok_or_else(|| unfit(&"its output is no field of displacements"))?;
    let mut fields = refined(field.view(), [n_y, n_x]);
    fields.index_axis_mut(Axis(0), reference).fill(0.0);
    let mut provenance = answer.provenance;
    guards.push("outputs passed".to_owned());
    provenance.guards = guards;
    Ok(Proposal { fields, provenance })
}

/// Divided by the 99th percentile of all.
fn normalised(magnitudes: ArrayView3<'_, f32>) -> Vec<f32> {
    let values: Vec<f32> = magnitudes.iter().copied().collect();
    let mut sorted = values.clone();
    let place = sorted.len().saturating_sub(1) * 99 / 100;
    let bright = *sorted.select_nth_unstable_by(place, f32::total_cmp).1;
    let scale = if bright > 0.0 { 1.0 / bright } else { 1.0 };
    values.into_iter().map(|value| scale * value).collect()
}

/// Planes with their last row and column repeated.
fn padded(values: &[f32], [n_y, n_x]: [usize; 2], [height, width]: [usize; 2]) -> Vec<f32> {
    values
        .chunks_exact((n_y * n_x).max(1))
        .flat_map(|plane| {
            (0..height).flat_map(move |y| {
                let row = &plane[y.min(n_y - 1) * n_x..][..n_x];
                (0..width).map(move |x| row[x.min(n_x - 1)])
            })
        })
        .collect()
}

/// A coarse field on the grid of the image: linear between the centres of its blocks.
fn refined(coarse: ArrayView4<'_, f32>, [n_y, n_x]: [usize; 2]) -> Array4<f32> {
    let (n_frames, components, coarse_y, coarse_x) = coarse.dim();
    let between = |at: usize, len: usize| {
        let place = ((at as f32 + 0.5) / COARSENESS as f32 - 0.5).clamp(0.0, (len - 1) as f32);
        let low = (place as usize).min(len.saturating_sub(2));
        (low, place - low as f32)
    };
    let columns: Vec<_> = (0..n_x).map(|x| between(x, coarse_x)).collect();
    let mut fine = Array4::zeros((n_frames, components, n_y, n_x));
    for frame in 0..n_frames {
        for component in 0..components {
            let from = coarse.slice(s![frame, component, .., ..]);
            let mut to = fine.slice_mut(s![frame, component, .., ..]);
            for (y, mut row) in to.axis_iter_mut(Axis(0)).enumerate() {
                let (above, down) = between(y, coarse_y);
                let below = (above + 1).min(coarse_y - 1);
                for (value, &(left, along)) in row.iter_mut().zip(&columns) {
                    let right = (left + 1).min(coarse_x - 1);
                    let upper = from[[above, left]] * (1.0 - along) + from[[above, right]] * along;
                    let lower = from[[below, left]] * (1.0 - along) + from[[below, right]] * along;
                    *value = upper * (1.0 - down) + lower * down;
                }
            }
        }
    }
    fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_field_is_linear_between_the_centres_of_its_blocks() {
        // dy = 2 + 0.5 y, at block centres y = 4 i + 1.5.
        let coarse = Array4::from_shape_fn((1, 2, 6, 5), |(_, component, y, x)| match component {
            0 => 2.0 + 0.5 * (4 * y) as f32 + 0.75,
            _ => -0.25 * ((4 * x) as f32 + 1.5),
        });
        let fine = refined(coarse.view(), [22, 17]);
        for y in 2..21 {
            for x in 2..17 {
                assert!((fine[[0, 0, y, x]] - 2.0 - 0.5 * y as f32).abs() < 1e-5);
                assert!((fine[[0, 1, y, x]] + 0.25 * x as f32).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_edge_goes_on_in_the_padding() {
        let got = padded(&[1.0, 2.0, 3.0, 4.0], [2, 2], [3, 4]);
        assert_eq!(got, [1.0, 2.0, 2.0, 2.0, 3.0, 4.0, 4.0, 4.0, 3.0, 4.0, 4.0, 4.0]);
    }
}
