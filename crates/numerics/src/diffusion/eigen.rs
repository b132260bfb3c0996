//! Eigenvalues and eigenvectors of a symmetric matrix of three rows, in closed form.

use std::f64::consts::TAU;

/// Eigenvalues and eigenvectors of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eigen {
    /// Largest first.
    pub values: [f64; 3],
    /// Unit vectors, one for each value; e3 = e1 × e2.
    pub vectors: [[f64; 3]; 3],
}

/// Eigenvalues and eigenvectors of a tensor xx, xy, xz, yy, yz, zz.
///
/// Equal eigenvalues have orthogonal unit vectors of some direction. A tensor that is no number
/// has eigenvalues that are none, and the axes as vectors.
///
/// # Method
/// Eigenvalues as the three real roots of the characteristic polynomial (Smith 1961), of the
/// deviator divided by its largest element. The eigenvector of the root that stands apart is the
/// longest cross product of two rows; the other two come from the 2 × 2 problem in the plane normal
/// to it (Eberly 2021), so that nearly equal roots do no harm.
pub fn eigen(tensor: &[f64; 6]) -> Eigen {
    const AXES: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let [xx, xy, xz, yy, yz, zz] = *tensor;
    let mean = (xx + yy + zz) / 3.0;
    let deviator = [xx - mean, xy, xz, yy - mean, yz, zz - mean];
    let largest = deviator.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let is_finite = tensor.iter().all(|value| value.is_finite());
    if !is_finite || largest <= f64::EPSILON * mean.abs() || largest < f64::MIN_POSITIVE {
        let value = if is_finite { mean } else { f64::NAN };
        return Eigen { values: [value; 3], vectors: AXES };
    }
    let a = deviator.map(|value| value / largest);
    // The largest element is 1: the norm is 1 to 3.
    let squares =
        a[0] * a[0] + a[3] * a[3] + a[5] * a[5] + 2.0 * (a[1] * a[1] + a[2] * a[2] + a[4] * a[4]);
    let p = (squares / 6.0).sqrt();
    let half_determinant = (a[0] * (a[3] * a[5] - a[4] * a[4])
        - a[1] * (a[1] * a[5] - a[4] * a[2])
        + a[2] * (a[1] * a[4] - a[3] * a[2]))
        / (2.0 * p * p * p);
    let angle = half_determinant.clamp(-1.0, 1.0).acos() / 3.0;
    let first = 2.0 * angle.cos();
    let third = 2.0 * (angle + TAU / 3.0).cos();
    // The root that stands apart: the first of prolate, the third of oblate tensors.
    let is_first_apart = half_determinant >= 0.0;
    let apart = null_vector(&a, p * if is_first_apart { first } else { third });
    let (u, v) = complement(&apart);
    let (au, av) = (times(&a, &u), times(&a, &v));
    let (uu, uv, vv) = (dot(&u, &au), dot(&u, &av), dot(&v, &av));
    let half_difference = 0.5 * (uu - vv);
    let radius = half_difference.hypot(uv);
    let middle = 0.5 * (uu + vv);
    // Half of the angle to the first axis of the ellipse.
    let (sin, cos) =
        if radius > 0.0 { (0.5 * uv.atan2(half_difference)).sin_cos() } else { (0.0, 1.0) };
    let long: [f64; 3] = std::array::from_fn(|i| cos * u[i] + sin * v[i]);
    let short: [f64; 3] = std::array::from_fn(|i| cos * v[i] - sin * u[i]);
    let of_apart = dot(&apart, &times(&a, &apart));
    let (values, e1, e2) = if is_first_apart {
        ([of_apart, middle + radius, middle - radius], apart, long)
    } else {
        ([middle + radius, middle - radius, of_apart], long, short)
    };
    Eigen { values: values.map(|value| mean + largest * value), vectors: [e1, e2, cross(&e1, &e2)] }
}

/// A unit vector that A − value·1 makes nothing of.
fn null_vector(a: &[f64; 6], value: f64) -> [f64; 3] {
    let rows = [[a[0] - value, a[1], a[2]], [a[1], a[3] - value, a[4]], [a[2], a[4], a[5] - value]];
    let products =
        [cross(&rows[0], &rows[1]), cross(&rows[0], &rows[2]), cross(&rows[1], &rows[2])];
    let mut best = (0.0, [1.0, 0.0, 0.0]);
    for product in products {
        let squared = dot(&product, &product);
        if squared > best.0 {
            best = (squared, product);
        }
    }
    let length = dot(&best.1, &best.1).sqrt();
    best.1.map(|value| value / length)
}

/// Two unit vectors normal to a unit vector w and to each other: u × v = w.
fn complement(w: &[f64; 3]) -> ([f64; 3], [f64; 3]) {
    let u = if w[0].abs() > w[1].abs() {
        let length = w[0].hypot(w[2]);
        [-w[2] / length, 0.0, w[0] / length]
    } else {
        let length = w[1].hypot(w[2]);
        [0.0, w[2] / length, -w[1] / length]
    };
    (u, cross(w, &u))
}

fn times(a: &[f64; 6], v: &[f64; 3]) -> [f64; 3] {
    [
        a[0] * v[0] + a[1] * v[1] + a[2] * v[2],
        a[1] * v[0] + a[3] * v[1] + a[4] * v[2],
        a[2] * v[0] + a[4] * v[1] + a[5] * v[2],
    ]
}

pub(super) fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn cross(a: &[f64; 3], b: &[f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(tensor: [f64; 6]) {
        let Eigen { values, vectors } = eigen(&tensor);
        assert!(values[0] >= values[1] && values[1] >= values[2], "{tensor:?}: {values:?}");
        let size = tensor.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
        for (i, vector) in vectors.iter().enumerate() {
            for (j, other) in vectors.iter().enumerate() {
                let expected = f64::from(u8::from(i == j));
                assert!((dot(vector, other) - expected).abs() < 1e-12, "{tensor:?}: {vectors:?}");
            }
        }
        for (k, (i, j)) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)].into_iter().enumerate()
        {
            let sum: f64 = vectors
                .iter()
                .zip(values)
                .map(|(vector, value)| value * vector[i] * vector[j])
                .sum();
            assert!((sum - tensor[k]).abs() <= 1e-12 * size, "{tensor:?}: {sum} at {k}");
        }
    }

    #[test]
    fn degenerate_tensors_have_orthogonal_vectors_too() {
        for tensor in [
            [0.0; 6],
            [1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
            [1.0, 0.0, 0.0, 1.0, 0.0, 2.0],
            [2.0, 0.0, 0.0, 1.0, 0.0, 1.0],
            [1.0, 1e-17, 0.0, 1.0, 1e-16, 1.0 + 1e-15],
            [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            [-1.0, 0.0, 0.0, -1.0, 0.0, -3.0],
            [1e-300, 0.0, 0.0, 2e-300, 0.0, 0.0],
            [1e150, 2e150, 0.0, 0.0, 0.0, 0.0],
            [1.0, 1e-9, 0.0, 1.0, 0.0, 0.3],
        ] {
            check(tensor);
        }
        let none = eigen(&[f64::NAN, 0.0, 0.0, 1.0, 0.0, 1.0]);
        assert!(none.values.iter().all(|value| value.is_nan()));
        assert_eq!(none.vectors[1], [0.0, 1.0, 0.0]);
    }

    proptest! {
        #[test]
        fn any_tensor_is_the_sum_of_its_parts(
            tensor in prop::array::uniform6(-3.0_f64..3.0), scale in -9_i32..9
        ) {
            check(tensor.map(|value| value * 10_f64.powi(scale)));
        }

        #[test]
        fn nearly_equal_eigenvalues_do_no_harm(
            tensor in prop::array::uniform6(-1.0_f64..1.0), gap in -16_i32..0
        ) {
            let small = tensor.map(|value| value * 10_f64.powi(gap));
            check([1.0 + small[0], small[1], small[2], 1.0 + small[3], small[4], 1.0 + small[5]]);
            check([2.0 + small[0], small[1], small[2], 1.0 + small[3], small[4], 1.0 + small[5]]);
        }
    }
}
