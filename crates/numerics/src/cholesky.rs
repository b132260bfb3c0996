//! Cholesky factorisation of small Hermitian matrices in double precision.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use num_complex::Complex64;

/// The matrix is not positive definite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of the matrix depends on the rows before it, is zero or not finite")]
pub struct NotPositiveDefinite {
    /// First row whose pivot is not positive.
    pub row: usize,
}

/// Lower triangular L with L·Lᴴ = `matrix`.
///
/// * `matrix`: `[n, n]`, Hermitian; only its lower triangle is read.
///
/// # Errors
/// [`NotPositiveDefinite`] names the first row whose pivot is not above the rounding error.
///
/// # Panics
/// If `matrix` is not square.
pub fn factor(matrix: ArrayView2<'_, Complex64>) -> Result<Array2<Complex64>, NotPositiveDefinite> {
    let n = matrix.nrows();
    assert_eq!(matrix.dim(), (n, n), "a Cholesky factor of a matrix that is not square");
    let mut lower = Array2::<Complex64>::zeros((n, n));
    for row in 0..n {
        for column in 0..row {
            let sum: Complex64 =
                (0..column).map(|k| lower[[row, k]] * lower[[column, k]].conj()).sum();
            lower[[row, column]] = (matrix[[row, column]] - sum) / lower[[column, column]].re;
        }
        let diagonal = matrix[[row, row]].re;
        let pivot = diagonal - (0..row).map(|k| lower[[row, k]].norm_sqr()).sum::<f64>();
        // A NaN is not above the limit either.
        let limit = diagonal.abs() * f64::EPSILON * (n + 8) as f64;
        if pivot.is_nan() || pivot <= limit || pivot.is_infinite() {
            return Err(NotPositiveDefinite { row });
        }
        lower[[row, row]] = pivot.sqrt().into();
    }
    Ok(lower)
}

/// L⁻¹ of a lower triangular L, `[n, n]`, with a diagonal that is not zero.
///
/// # Panics
/// If `lower` is not square.
pub fn invert_lower(lower: ArrayView2<'_, Complex64>) -> Array2<Complex64> {
    let n = lower.nrows();
    let mut inverse = Array2::from_diag_elem(n, Complex64::ONE);
    substitute_forward(lower, inverse.view_mut());
    inverse
}

/// Solves L·Lᴴ·X = B in place.
///
/// * `lower`: L, `[n, n]`, from [`factor`].
/// * `columns`: B on entry and X on return, `[n, right-hand side]`.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn solve(lower: ArrayView2<'_, Complex64>, mut columns: ArrayViewMut2<'_, Complex64>) {
    substitute_forward(lower, columns.view_mut());
    let n = lower.nrows();
    for row in (0..n).rev() {
        for below in row + 1..n {
            let factor = lower[[below, row]].conj();
            let (mut target, source) =
                columns.multi_slice_mut((ndarray::s![row, ..], ndarray::s![below, ..]));
            target.zip_mut_with(&source, |a, b| *a -= factor * b);
        }
        let diagonal = lower[[row, row]].conj();
        columns.row_mut(row).mapv_inplace(|value| value / diagonal);
    }
}

/// Solves L·X = B in place.
fn substitute_forward(lower: ArrayView2<'_, Complex64>, mut columns: ArrayViewMut2<'_, Complex64>) {
    let n = lower.nrows();
    assert_eq!(lower.dim(), (n, n), "a triangular matrix that is not square");
    assert_eq!(columns.nrows(), n, "rows of the right-hand sides");
    for row in 0..n {
        for above in 0..row {
            let factor = lower[[row, above]];
            let (mut target, source) =
                columns.multi_slice_mut((ndarray::s![row, ..], ndarray::s![above, ..]));
            target.zip_mut_with(&source, |a, b| *a -= factor * b);
        }
        let diagonal = lower[[row, row]];
        columns.row_mut(row).mapv_inplace(|value| value / diagonal);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn c(re: f64, im: f64) -> Complex64 {
        Complex64::new(re, im)
    }

    fn hermitian() -> Array2<Complex64> {
        array![
            [c(4.0, 0.0), c(1.0, 2.0), c(0.5, -1.0)],
            [c(1.0, -2.0), c(6.0, 0.0), c(-1.0, 0.3)],
            [c(0.5, 1.0), c(-1.0, -0.3), c(3.0, 0.0)],
        ]
    }

    fn largest_difference(a: &Array2<Complex64>, b: &Array2<Complex64>) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max)
    }

    #[test]
    fn factor_times_its_adjoint_is_the_matrix() {
        let lower = factor(hermitian().view()).expect("positive definite");
        let product = lower.dot(&lower.t().mapv(|value| value.conj()));
        assert!(largest_difference(&product, &hermitian()) < 1e-14);
        assert_eq!(lower[[0, 2]], Complex64::ZERO);
    }

    #[test]
    fn inverse_and_solution_undo_the_matrix() {
        let lower = factor(hermitian().view()).expect("positive definite");
        let unit = Array2::from_diag_elem(3, Complex64::ONE);
        assert!(largest_difference(&invert_lower(lower.view()).dot(&lower), &unit) < 1e-14);
        let truth = array![
            [c(1.0, 2.0), c(0.0, 1.0)],
            [c(3.0, 0.0), c(1.0, 1.0)],
            [c(-1.0, 1.0), c(2.0, 0.0)]
        ];
        let mut columns = hermitian().dot(&truth);
        solve(lower.view(), columns.view_mut());
        assert!(largest_difference(&columns, &truth) < 1e-14);
    }

    #[test]
    fn dependent_zero_and_not_finite_rows_are_named() {
        let mut dependent = hermitian();
        let (first, second) = (dependent.row(0).to_owned(), dependent.column(0).to_owned());
        dependent.row_mut(2).assign(&first);
        dependent.column_mut(2).assign(&second);
        dependent[[2, 2]] = dependent[[0, 0]];
        assert_eq!(factor(dependent.view()), Err(NotPositiveDefinite { row: 2 }));

        let mut dead = hermitian();
        dead.row_mut(1).fill(Complex64::ZERO);
        dead.column_mut(1).fill(Complex64::ZERO);
        assert_eq!(factor(dead.view()), Err(NotPositiveDefinite { row: 1 }));

        let mut broken = hermitian();
        broken[[1, 0]] = c(f64::NAN, 0.0);
        assert_eq!(factor(broken.view()), Err(NotPositiveDefinite { row: 1 }));
    }
}
