//! Redundant Daubechies wavelets of complex arrays in up to three dimensions.
//!
//! Nothing is left out between levels ("à trous"), so a shift of the array shifts its
//! coefficients, and shrinking them leaves no blocks behind. The transform is a Parseval frame:
//! the energy of the coefficients is that of the array, and the adjoint gives the array back.
//! Arrays are taken as periodic.
//!
//! # Source
//! Filters: Daubechies 1988. Without decimation: Shensa 1992; Coifman and Donoho 1995.

mod filters;
mod shrink;

pub use filters::Family;
pub use shrink::{Shrinkage, ShrinkageOptions};

use num_complex::Complex32;

/// Splits along `axis` of `[n0, n1, n2]` into low and high pass, `dilation` samples between the
/// taps of the filters.
pub(crate) fn analyse(
    data: &[Complex32],
    shape: [usize; 3],
    axis: usize,
    family: Family,
    dilation: usize,
    low: &mut [Complex32],
    high: &mut [Complex32],
) {
    let [len, inner] = [shape[axis], shape[axis + 1..].iter().product()];
    let (low_pass, high_pass) = family.filters();
    if inner == 1 {
        let mut row = Vec::new();
        let reach = (low_pass.len() - 1) * dilation;
        for ((data, low), high) in
            data.chunks_exact(len).zip(low.chunks_exact_mut(len)).zip(high.chunks_exact_mut(len))
        {
            row.clear();
            row.extend(data.iter().cycle().take(len + reach));
            low.fill(Complex32::ZERO);
            high.fill(Complex32::ZERO);
            for (tap, (l, h)) in low_pass.iter().zip(high_pass).enumerate() {
                let shifted = &row[tap * dilation..][..len];
                add_twice(shifted, [*l, *h], low, high);
            }
        }
        return;
    }
    let block = len * inner;
    for ((data, low), high) in
        data.chunks_exact(block).zip(low.chunks_exact_mut(block)).zip(high.chunks_exact_mut(block))
    {
        for (n, (low, high)) in
            low.chunks_exact_mut(inner).zip(high.chunks_exact_mut(inner)).enumerate()
        {
            low.fill(Complex32::ZERO);
            high.fill(Complex32::ZERO);
            for (tap, (l, h)) in low_pass.iter().zip(high_pass).enumerate() {
                let source = (n + tap * dilation) % len;
                add_twice(&data[source * inner..][..inner], [*l, *h], low, high);
            }
        }
    }
}

/// Adjoint, and so inverse, of [`analyse`].
pub(crate) fn synthesise(
    low: &[Complex32],
    high: &[Complex32],
    shape: [usize; 3],
    axis: usize,
    family: Family,
    dilation: usize,
    data: &mut [Complex32],
) {
    let [len, inner] = [shape[axis], shape[axis + 1..].iter().product()];
    let (low_pass, high_pass) = family.filters();
    if inner == 1 {
        let reach = (low_pass.len() - 1) * dilation;
        let mut rows = [Vec::new(), Vec::new()];
        // Sample n needs coefficients n − tap · dilation: the rows begin `reach` before 0.
        let first = (len - reach % len) % len;
        for ((data, low), high) in
            data.chunks_exact_mut(len).zip(low.chunks_exact(len)).zip(high.chunks_exact(len))
        {
            for (row, values) in rows.iter_mut().zip([low, high]) {
                row.clear();
                row.extend(values.iter().cycle().skip(first).take(len + reach));
            }
            data.fill(Complex32::ZERO);
            for (tap, (l, h)) in low_pass.iter().zip(high_pass).enumerate() {
                let start = reach - tap * dilation;
                add_both(&rows[0][start..][..len], &rows[1][start..][..len], [*l, *h], data);
            }
        }
        return;
    }
    let block = len * inner;
    for ((data, low), high) in
        data.chunks_exact_mut(block).zip(low.chunks_exact(block)).zip(high.chunks_exact(block))
    {
        for (n, data) in data.chunks_exact_mut(inner).enumerate() {
            data.fill(Complex32::ZERO);
            for (tap, (l, h)) in low_pass.iter().zip(high_pass).enumerate() {
                let source = (n + len - (tap * dilation) % len) % len;
                let at = source * inner;
                add_both(&low[at..][..inner], &high[at..][..inner], [*l, *h], data);
            }
        }
    }
}

fn add_twice(
    source: &[Complex32],
    factors: [f32; 2],
    first: &mut [Complex32],
    second: &mut [Complex32],
) {
    for ((value, a), b) in source.iter().zip(first).zip(second) {
        *a += value * factors[0];
        *b += value * factors[1];
    }
}

fn add_both(
    first: &[Complex32],
    second: &[Complex32],
    factors: [f32; 2],
    target: &mut [Complex32],
) {
    for ((a, b), value) in first.iter().zip(second).zip(target) {
        *value += a * factors[0] + b * factors[1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(n: usize) -> Complex32 {
        let n = n as f32;
        Complex32::new((n * 0.37).sin(), (n * 0.91).cos())
    }

    fn energy(values: &[Complex32]) -> f64 {
        values.iter().map(|value| f64::from(value.norm_sqr())).sum()
    }

    #[test]
    fn an_array_comes_back_and_its_energy_is_that_of_its_coefficients() {
        // Lengths shorter than the filters wrap around more than once.
        for shape in [[6, 5, 8], [3, 1, 2], [1, 4, 1]] {
            let n: usize = shape.iter().product();
            let data: Vec<_> = (0..n).map(sample).collect();
            for family in Family::ALL {
                for (axis, dilation) in [(0, 1), (1, 1), (2, 1), (0, 2), (1, 4), (2, 2)] {
                    let [mut low, mut high, mut back] = [0, 1, 2].map(|_| vec![sample(7); n]);
                    analyse(&data, shape, axis, family, dilation, &mut low, &mut high);
                    let sum = energy(&low) + energy(&high);
                    assert!((sum / energy(&data) - 1.0).abs() < 1e-5, "{family:?} {shape:?}");
                    synthesise(&low, &high, shape, axis, family, dilation, &mut back);
                    for (back, data) in back.iter().zip(&data) {
                        assert!((back - data).norm() < 2e-6, "{family:?} {shape:?} {axis}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_high_pass_of_db_p_ignores_polynomials_below_degree_p() {
        for (order, family) in Family::ALL.into_iter().enumerate() {
            let len = 40;
            for degree in 0..=order {
                let value = |n: usize| Complex32::from((n as f32 / 10.0).powi(degree as i32));
                let data: Vec<_> = (0..len).map(value).collect();
                let [mut low, mut high] = [0, 1].map(|_| vec![Complex32::ZERO; len]);
                analyse(&data, [1, 1, len], 2, family, 1, &mut low, &mut high);
                // Away from where the end meets the beginning; values are up to 4^degree.
                for value in &high[..len - 10] {
                    assert!(
                        value.norm() < 3e-5 * 4.0_f32.powi(degree as i32),
                        "{family:?} {value}"
                    );
                }
            }
        }
    }
}
