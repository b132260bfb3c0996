//! The definition, summed directly in double precision: what the tests compare with.

use ndarray::{ArrayD, ArrayView1, Axis};
use num_complex::{Complex32, Complex64};
use std::f64::consts::TAU;

use super::Direction;

/// Values without symmetry that are the same in each run.
pub(super) fn samples(n: usize) -> Vec<Complex32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| Complex32::new(next(), next())).collect()
}

/// Array of [`samples`].
pub(super) fn array(shape: &[usize]) -> ArrayD<Complex32> {
    ArrayD::from_shape_vec(shape, samples(shape.iter().product())).expect("as many as the shape")
}

fn dft_row(direction: Direction, row: ArrayView1<'_, Complex64>) -> Vec<Complex64> {
    let n = row.len();
    let centre = (n / 2) as i64;
    let sign = if direction == Direction::Forward { -1.0 } else { 1.0 };
    (0..n as i64)
        .map(|k| {
            let sum: Complex64 = (0_i64..)
                .zip(row)
                .map(|(x, value)| {
                    let turns = ((k - centre) * (x - centre)) as f64 / n as f64;
                    value * Complex64::cis(sign * TAU * turns)
                })
                .sum();
            sum / (n as f64).sqrt()
        })
        .collect()
}

/// Centred unitary transform of `axes` by its definition.
pub(super) fn dft(
    direction: Direction,
    data: &ArrayD<Complex32>,
    axes: &[Axis],
) -> ArrayD<Complex64> {
    let mut result = data.mapv(|value| Complex64::new(value.re.into(), value.im.into()));
    for &axis in axes {
        for mut lane in result.lanes_mut(axis) {
            let transformed = dft_row(direction, lane.view());
            lane.assign(&ArrayView1::from(&transformed));
        }
    }
    result
}

/// Root of the summed squared difference over that of the summed squared truth.
pub(super) fn relative_error(data: &ArrayD<Complex32>, truth: &ArrayD<Complex64>) -> f64 {
    assert_eq!(data.shape(), truth.shape());
    let difference: f64 = data
        .iter()
        .zip(truth)
        .map(|(a, b)| (Complex64::new(a.re.into(), a.im.into()) - b).norm_sqr())
        .sum();
    (difference / truth.iter().map(Complex64::norm_sqr).sum::<f64>()).sqrt()
}
