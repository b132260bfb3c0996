//! T1 and T2 by a network that knows all rhythms.

use inference::{EngineError, InferenceError, Model, Provenance, Request, ShapeError, Tensor};
use ndarray::{Array2, ArrayView2};
use num_complex::Complex32;
use numerics::fingerprint::PulseTable;

use crate::courses::Courses;
use crate::played::Played;

/// What the network was trained with.
/// Noise of a window over the length of all windows: the least that it was trained with.
const LEAST_NOISE: f32 = 2e-5;
/// It was trained with noise that grows from mode to mode, by 1.3 on the mean, and told the mean of
/// all. A scan's is the same in all modes, of which the first few decide: with the mean of 1.3ⁿ as
/// it was, theirs was less by about this factor.
const NOISE_OF_LEADING_MODES: f32 = 1.8;
/// Preparations, ms.
const PREPARATIONS_MS: [f64; 5] = [-1.0, 0.0, 30.0, 50.0, 100.0];
const REPETITION_TIME_MS: f64 = 5.1;
const ECHO_TIME_MS: f64 = 1.52;

/// What a network says of voxels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Estimates {
    pub t1_ms: Vec<f32>,
    pub t2_ms: Vec<f32>,
    pub t1_sd_ms: Vec<f32>,
    pub t2_sd_ms: Vec<f32>,
}

/// Whether the network knows what was played; why not.
pub(crate) fn check(played: &Played) -> Result<(), String> {
    let near = |a: f64, b: f64| (a - b).abs() <= 0.005 * b.abs() + 1e-6;
    let expected = PulseTable::fifteen_beats(REPETITION_TIME_MS, ECHO_TIME_MS);
    let known = PREPARATIONS_MS.iter().cycle();
    let is_prepared = played.preparations_ms.len() == expected.beats.len()
        && played.preparations_ms.iter().zip(known).all(|(a, b)| near(*a, *b));
    let has_angles = expected.beats.iter().zip(&played.flip_angles_deg).all(|(beat, angles)| {
        beat.flip_angles_deg.len() == angles.len()
            && beat.flip_angles_deg.iter().zip(angles).all(|(a, b)| near(*b, *a))
    });
    let has_times = near(played.repetition_time_ms, REPETITION_TIME_MS)
        && (played.echo_time_ms - ECHO_TIME_MS).abs() < 0.1
        && (played.inversion_time_ms - 20.0).abs() < 2.0;
    let is_nominal = near(played.b1, 1.0) && played.slice_profile.iter().all(|s| near(*s, 1.0));
    let has_factor = (0.9..=1.0).contains(&played.inversion_factor);
    if !(is_prepared && has_angles && has_times) {
        return Err("the pulse table is not that of its training".to_owned());
    }
    if !(is_nominal && has_factor) {
        return Err(
            "it was trained for nominal angles and inversion factors from 0.9 to 1".to_owned()
        );
    }
    if played.is_truncated {
        return Err("it was trained on whole scans".to_owned());
    }
    Ok(())
}

/// Asks the network about pixels.
///
/// * `reduction`: `[number, echo]`: what made the pixels of the echoes.
/// * `pixels`: `[number, pixel]`.
/// * `noise_sds`: of each pixel, the factor of the noise's covariance, as a standard deviation.
pub(crate) fn estimate(
    model: &Model,
    played: &Played,
    reduction: ArrayView2<'_, f32>,
    pixels: ArrayView2<'_, Complex32>,
    noise_sds: &[f32],
    session: u64,
) -> Result<(Estimates, Provenance), InferenceError> {
    let table = PulseTable::fifteen_beats(REPETITION_TIME_MS, ECHO_TIME_MS);
    let n_numbers = pixels.nrows();
    let unfit = |what: &dyn std::fmt::Display| InferenceError::Engine {
        model: model.manifest().name.clone(),
        error: EngineError::Call(what.to_string()),
    };
    let courses = Courses::new(played, reduction, &table)
        .filter(|courses| courses.to_windows.ncols() == n_numbers)
        .ok_or_else(|| unfit(&"windows other than those of its training"))?;
    let n_windows = courses.n_windows();
    let covariance =
        Array2::from_shape_vec((n_numbers, n_numbers), played.noise_covariance.clone())
            .map_err(|error| unfit(&error))?
            .mapv(|value| value as f32);
    let to_windows = &courses.to_windows;
    let of_windows = to_windows.dot(&covariance).dot(&to_windows.t());
    let spread = (of_windows.diag().sum() / n_windows as f32).max(0.0).sqrt();
    let n_pixels = pixels.ncols();
    let mut windows = Vec::with_capacity(n_pixels * n_windows);
    let mut conditions = Vec::with_capacity(2 * n_pixels);
    for (pixel, noise_sd) in pixels.columns().into_iter().zip(noise_sds) {
        let (course, length) = courses.of_pixel(pixel);
        windows.extend(course);
        let noise = (NOISE_OF_LEADING_MODES * noise_sd * spread / length).max(LEAST_NOISE);
        conditions.extend([played.inversion_factor as f32, noise.ln()]);
    }
    let between = played.first_pulses_ms.windows(2).map(|pair| ((pair[1] - pair[0]) * 1e-3) as f32);
    let between: Vec<f32> = between.collect();
    let n_between = between.len();
    let inputs = [
        ("windows", n_windows, windows),
        ("between_s", n_between, between.repeat(n_pixels)),
        ("conditions", 2, conditions),
    ];
    let inputs = inputs
        .into_iter()
        .map(|(name, n, values)| Ok((name.to_owned(), Tensor::from_f32(&[n_pixels, n], values)?)))
        .collect::<Result<Vec<_>, ShapeError>>()
        .map_err(|error| unfit(&error))?;
    let answer = model.run(Request { inputs, session, time: None })?;
    let table = answer.output("estimates").and_then(|tensor| {
        let is_right = tensor.shape() == [n_pixels, 4];
        is_right.then(|| tensor.to_f32())
    });
    let table = table.ok_or_else(|| unfit(&"its output is no table of four numbers"))?;
    let mut estimates = Estimates::default();
    for row in table.chunks_exact(4) {
        let (t1_ms, t2_ms) = (row[0].exp(), row[1].exp());
        estimates.t1_ms.push(t1_ms);
        estimates.t2_ms.push(t2_ms);
        estimates.t1_sd_ms.push(t1_ms * row[2].exp());
        estimates.t2_sd_ms.push(t2_ms * row[3].exp());
    }
    Ok((estimates, answer.provenance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::played::Reduction;
    use numerics::fingerprint::Imperfections;

    #[test]
    fn other_pulse_tables_are_not_for_the_network() {
        let times: Vec<f64> = (0..15).map(|beat| 1000.0 * f64::from(beat)).collect();
        let of = |table: &PulseTable, imperfections: Imperfections| {
            Played::new(table, &imperfections, times.clone(), Reduction::Modes(8))
        };
        let usual = PulseTable::fifteen_beats(5.1, 1.52);
        assert_eq!(check(&of(&usual, Imperfections::default())), Ok(()));
        let slow = PulseTable::fifteen_beats(10.0, 1.52);
        assert!(check(&of(&slow, Imperfections::default())).is_err());
        let weak = Imperfections { b1: 0.9, ..Imperfections::default() };
        assert!(check(&of(&usual, weak)).is_err());
        let mut short = usual;
        short.beats.pop();
        assert!(check(&of(&short, Imperfections::default())).is_err());
    }
}
