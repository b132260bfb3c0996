//! How much noise there is.

use ndarray::{ArrayView1, ArrayView3, ArrayView5};
use num_complex::Complex32;

use crate::percentile::percentile;

/// Share of a frame's lines that are looked at, on either side.
const OUTERMOST: usize = 16;

/// Standard deviation of the noise in real and imaginary part, from the lines farthest from the
/// centre: there is little else in them. What there is makes it a few per cent too large.
///
/// * `data`: `[frame, channel, encoding_step_2, encoding_step_1, x]`, whitened.
/// * `sampled`: `[frame, encoding_step_2, encoding_step_1]`.
///
/// [`None`] where nothing was sampled.
pub fn noise_sd(data: ArrayView5<'_, Complex32>, sampled: ArrayView3<'_, bool>) -> Option<f32> {
    let mut values = Vec::new();
    for (frame, sampled) in data.outer_iter().zip(sampled.outer_iter()) {
        let n_e1 = sampled.ncols();
        let any = |e1: usize| sampled.column(e1).iter().any(|sampled| *sampled);
        let lines: Vec<usize> = (0..n_e1).filter(|e1| any(*e1)).collect();
        let n = lines.len().div_ceil(OUTERMOST).min(lines.len().div_ceil(2));
        for e1 in lines.iter().take(n).chain(lines.iter().rev().take(n)) {
            for (e2, _) in sampled.column(*e1).iter().enumerate().filter(|(_, sampled)| **sampled) {
                let line = frame.slice(ndarray::s![.., e2, *e1, ..]);
                values.extend(line.iter().flat_map(|value| [value.re.abs(), value.im.abs()]));
            }
        }
    }
    values.retain(|value| value.is_finite());
    // The median of the absolute value of a standard normal variable.
    percentile(ArrayView1::from(&values), 0.5).map(|median| median / 0.674_49)
}
