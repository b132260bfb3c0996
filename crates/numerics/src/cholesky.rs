//! Cholesky factorisation of small Hermitian matrices in double precision.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use num_complex::Complex64;
use pulp::{Arch, Simd, WithSimd};

/// `f64` in one register of the widest processors.
const REGISTER: usize = 8;

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
    let mut lower = Rows::zeros(n, n);
    Arch::new().dispatch(Factor { matrix, lower: &mut lower })?;
    Ok(Array2::from_shape_fn((n, n), |(row, column)| lower.get(row, column)))
}

/// L⁻¹ of a lower triangular L, `[n, n]`, with a diagonal that is not zero.
///
/// # Panics
/// If `lower` is not square.
pub fn invert_lower(lower: ArrayView2<'_, Complex64>) -> Array2<Complex64> {
    let n = lower.nrows();
    let mut inverse = Array2::from_diag_elem(n, Complex64::ONE);
    substitute(lower, inverse.view_mut(), false);
    inverse
}

/// Solves L·Lᴴ·X = B in place.
///
/// * `lower`: L, `[n, n]`, from [`factor`].
/// * `columns`: B on entry and X on return, `[n, right-hand side]`.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn solve(lower: ArrayView2<'_, Complex64>, columns: ArrayViewMut2<'_, Complex64>) {
    substitute(lower, columns, true);
}

/// Solves L·X = B in place, or L·Lᴴ·X = B if `both`.
fn substitute(
    lower: ArrayView2<'_, Complex64>,
    mut columns: ArrayViewMut2<'_, Complex64>,
    both: bool,
) {
    let n = lower.nrows();
    assert_eq!(lower.dim(), (n, n), "a triangular matrix that is not square");
    assert_eq!(columns.nrows(), n, "rows of the right-hand sides");
    let mut rows = Rows::zeros(n, n);
    for ((row, column), &value) in lower.indexed_iter() {
        // The diagonal is kept apart, so that whole registers can be read beyond it.
        if column < row {
            rows.set(row, column, value);
        }
    }
    let diagonal: Vec<_> = lower.diag().to_vec();
    let mut sides = Rows::zeros(columns.ncols(), n);
    for ((row, side), &value) in columns.indexed_iter() {
        sides.set(side, row, value);
    }
    Arch::new().dispatch(Substitute { lower: &rows, diagonal: &diagonal, sides: &mut sides, both });
    for ((row, side), value) in columns.indexed_iter_mut() {
        *value = sides.get(side, row);
    }
}

/// A matrix with real and imaginary parts apart and rows padded with zeros to whole registers.
struct Rows {
    stride: usize,
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Rows {
    fn zeros(n_rows: usize, n_columns: usize) -> Self {
        let stride = n_columns.next_multiple_of(REGISTER);
        Self { stride, re: vec![0.0; n_rows * stride], im: vec![0.0; n_rows * stride] }
    }

    fn get(&self, row: usize, column: usize) -> Complex64 {
        let index = row * self.stride + column;
        Complex64::new(self.re[index], self.im[index])
    }

    fn set(&mut self, row: usize, column: usize, value: Complex64) {
        let index = row * self.stride + column;
        (self.re[index], self.im[index]) = (value.re, value.im);
    }

    /// Real and imaginary part of the first columns of a row, at least `n`, in whole registers.
    #[inline(always)]
    fn registers<S: Simd>(&self, row: usize, n: usize) -> (&[S::f64s], &[S::f64s]) {
        let range = row * self.stride..row * self.stride + n.next_multiple_of(REGISTER);
        (S::as_simd_f64s(&self.re[range.clone()]).0, S::as_simd_f64s(&self.im[range]).0)
    }
}

/// [`factor`]: two columns after the other, two rows at a time.
struct Factor<'a> {
    matrix: ArrayView2<'a, Complex64>,
    lower: &'a mut Rows,
}

impl WithSimd for Factor<'_> {
    type Output = Result<(), NotPositiveDefinite>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let n = self.matrix.nrows();
        for column in (0..n).step_by(2) {
            let columns = [column, (column + 1).min(n - 1)];
            let sums = conjugated_products(simd, self.lower, columns, columns, column);
            let first = self.pivot(columns[0], sums[0][0].re)?;
            self.lower.set(columns[0], columns[0], first.into());
            if columns[1] == columns[0] {
                break;
            }
            let between = (self.matrix[[columns[1], columns[0]]] - sums[1][0]) / first;
            self.lower.set(columns[1], columns[0], between);
            let second = self.pivot(columns[1], sums[1][1].re + between.norm_sqr())?;
            self.lower.set(columns[1], columns[1], second.into());
            for row in (column + 2..n).step_by(2) {
                let rows = [row, (row + 1).min(n - 1)];
                let sums = conjugated_products(simd, self.lower, rows, columns, column);
                for (row, sums) in rows.into_iter().zip(sums) {
                    let left = (self.matrix[[row, columns[0]]] - sums[0]) / first;
                    let right = self.matrix[[row, columns[1]]] - sums[1] - left * between.conj();
                    self.lower.set(row, columns[0], left);
                    self.lower.set(row, columns[1], right / second);
                }
            }
        }
        Ok(())
    }
}

impl Factor<'_> {
    /// Diagonal element of a row whose elements before it have this sum of squares.
    fn pivot(&self, row: usize, squares: f64) -> Result<f64, NotPositiveDefinite> {
        let diagonal = self.matrix[[row, row]].re;
        let pivot = diagonal - squares;
        // A NaN is not above the limit either.
        let limit = diagonal.abs() * f64::EPSILON * (self.matrix.nrows() + 8) as f64;
        if pivot.is_nan() || pivot <= limit || pivot.is_infinite() {
            return Err(NotPositiveDefinite { row });
        }
        Ok(pivot.sqrt())
    }
}

/// Σ a·conj(b) over the first `n` columns (those beyond must be 0 in `a` or `b`) for two rows a
/// and two rows b: `[a][b]`.
#[inline(always)]
fn conjugated_products<S: Simd>(
    simd: S,
    matrix: &Rows,
    a: [usize; 2],
    b: [usize; 2],
    n: usize,
) -> [[Complex64; 2]; 2] {
    let a = [matrix.registers::<S>(a[0], n), matrix.registers::<S>(a[1], n)];
    let b = [matrix.registers::<S>(b[0], n), matrix.registers::<S>(b[1], n)];
    let mut sums = [[[simd.splat_f64s(0.0); 2]; 2]; 2];
    let a = a[0].0.iter().zip(a[0].1).zip(a[1].0.iter().zip(a[1].1));
    let b = b[0].0.iter().zip(b[0].1).zip(b[1].0.iter().zip(b[1].1));
    for ((a0, a1), (b0, b1)) in a.zip(b) {
        multiply_conjugated(simd, &mut sums[0][0], a0, b0);
        multiply_conjugated(simd, &mut sums[0][1], a0, b1);
        multiply_conjugated(simd, &mut sums[1][0], a1, b0);
        multiply_conjugated(simd, &mut sums[1][1], a1, b1);
    }
    let mut products = [[Complex64::ZERO; 2]; 2];
    for (products, sums) in products.iter_mut().zip(sums) {
        for (product, [re, im]) in products.iter_mut().zip(sums) {
            *product = Complex64::new(simd.reduce_sum_f64s(re), simd.reduce_sum_f64s(im));
        }
    }
    products
}

/// sum += a·conj(b).
#[inline(always)]
fn multiply_conjugated<S: Simd>(
    simd: S,
    sum: &mut [S::f64s; 2],
    a: (&S::f64s, &S::f64s),
    b: (&S::f64s, &S::f64s),
) {
    sum[0] = simd.mul_add_f64s(*a.0, *b.0, sum[0]);
    sum[1] = simd.mul_add_f64s(*a.1, *b.0, sum[1]);
    sum[0] = simd.mul_add_f64s(*a.1, *b.1, sum[0]);
    sum[1] = simd.negate_mul_add_f64s(*a.0, *b.1, sum[1]);
}

/// [`substitute`].
struct Substitute<'a> {
    /// Without its diagonal.
    lower: &'a Rows,
    diagonal: &'a [Complex64],
    /// `[right-hand side, n]`.
    sides: &'a mut Rows,
    both: bool,
}

impl WithSimd for Substitute<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n_sides = self.sides.re.len().checked_div(self.sides.stride).unwrap_or(0);
        for side in 0..n_sides {
            for (row, diagonal) in self.diagonal.iter().enumerate() {
                let (l_re, l_im) = self.lower.registers::<S>(row, row);
                let (x_re, x_im) = self.sides.registers::<S>(side, row);
                // Four sums: none waits for another.
                let mut sums = [simd.splat_f64s(0.0); 4];
                for ((&l_re, &l_im), (&x_re, &x_im)) in
                    l_re.iter().zip(l_im).zip(x_re.iter().zip(x_im))
                {
                    sums[0] = simd.mul_add_f64s(l_re, x_re, sums[0]);
                    sums[1] = simd.mul_add_f64s(l_im, x_im, sums[1]);
                    sums[2] = simd.mul_add_f64s(l_re, x_im, sums[2]);
                    sums[3] = simd.mul_add_f64s(l_im, x_re, sums[3]);
                }
                let re = simd.reduce_sum_f64s(simd.sub_f64s(sums[0], sums[1]));
                let im = simd.reduce_sum_f64s(simd.add_f64s(sums[2], sums[3]));
                let value = (self.sides.get(side, row) - Complex64::new(re, im)) / diagonal;
                self.sides.set(side, row, value);
            }
            if !self.both {
                continue;
            }
            for (row, diagonal) in self.diagonal.iter().enumerate().rev() {
                let value = self.sides.get(side, row) / diagonal.conj();
                let (l_re, l_im) = self.lower.registers::<S>(row, row);
                let start = side * self.sides.stride;
                let range = start..start + row.next_multiple_of(REGISTER);
                let x_re = S::as_mut_simd_f64s(&mut self.sides.re[range.clone()]).0;
                let x_im = S::as_mut_simd_f64s(&mut self.sides.im[range]).0;
                let (re, im) = (simd.splat_f64s(value.re), simd.splat_f64s(value.im));
                // x −= conj(l)·value.
                for ((&l_re, &l_im), (x_re, x_im)) in
                    l_re.iter().zip(l_im).zip(x_re.iter_mut().zip(x_im))
                {
                    *x_re = simd.negate_mul_add_f64s(l_re, re, *x_re);
                    *x_im = simd.negate_mul_add_f64s(l_re, im, *x_im);
                    *x_re = simd.negate_mul_add_f64s(l_im, im, *x_re);
                    *x_im = simd.mul_add_f64s(l_im, re, *x_im);
                }
                self.sides.set(side, row, value);
            }
        }
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
    fn sizes_that_fill_no_register_are_solved_too() {
        for n in [1, 2, 7, 8, 9, 16, 31] {
            let root = Array2::from_shape_fn((n, n), |(i, j)| {
                c((i as f64 * 0.7 + j as f64).sin(), (i as f64 - 1.3 * j as f64).cos())
            });
            let unit = Array2::from_diag_elem(n, Complex64::ONE);
            let matrix = root.dot(&root.t().mapv(|value| value.conj())) + &unit;
            let lower = factor(matrix.view()).expect("positive definite");
            let product = lower.dot(&lower.t().mapv(|value| value.conj()));
            assert!(largest_difference(&product, &matrix) < 1e-12, "{n}");
            let truth = Array2::from_shape_fn((n, 3), |(i, j)| c(i as f64, 1.0 - j as f64));
            let mut columns = matrix.dot(&truth);
            solve(lower.view(), columns.view_mut());
            // The condition of the matrix is below 1000.
            assert!(largest_difference(&columns, &truth) < 1e-11, "{n}");
            let inverse = invert_lower(lower.view());
            assert!(largest_difference(&inverse.dot(&lower), &unit) < 1e-12, "{n}");
        }
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
