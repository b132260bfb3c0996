//! Eigenvalues and eigenvectors of a symmetric matrix of three rows, in closed form.

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
/// Eigenvalues as the real roots of the characteristic polynomial (Smith 1961), of the deviator
/// divided by its largest element. The eigenvector of the root that stands apart is the longest
/// cross product of two rows; the other two come from the 2 × 2 problem in the plane normal to it
/// (Eberly 2021), so that nearly equal roots do no harm.
// Without branches: a loop over pixels that it is inlined into finds several tensors at once.
#[inline(always)]
pub fn eigen(tensor: &[f64; 6]) -> Eigen {
    const AXES: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    /// Stands in for what has no directions.
    const ANY: [f64; 6] = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0];
    let [xx, xy, xz, yy, yz, zz] = *tensor;
    let mean = (xx + yy + zz) / 3.0;
    let deviator = [xx - mean, xy, xz, yy - mean, yz, zz - mean];
    let largest = deviator.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let is_finite = tensor.iter().fold(true, |all, value| all & value.is_finite());
    let is_round =
        !is_finite | (largest <= f64::EPSILON * mean.abs()) | (largest < f64::MIN_POSITIVE);
    let scale = 1.0 / largest;
    let a: [f64; 6] = std::array::from_fn(|k| if is_round { ANY[k] } else { scale * deviator[k] });
    // The largest element is 1: the norm is 1 to 3.
    let squares =
        a[0] * a[0] + a[3] * a[3] + a[5] * a[5] + 2.0 * (a[1] * a[1] + a[2] * a[2] + a[4] * a[4]);
    let p = (squares / 6.0).sqrt();
    let half_determinant = (a[0] * (a[3] * a[5] - a[4] * a[4])
        - a[1] * (a[1] * a[5] - a[4] * a[2])
        + a[2] * (a[1] * a[4] - a[3] * a[2]))
        / (2.0 * p * p * p);
    // The root that stands apart: the first of prolate, the third of oblate tensors.
    let is_first_apart = half_determinant >= 0.0;
    let root = 2.0 * p * cosine_of_third(half_determinant.abs().min(1.0));
    let apart = null_vector(&a, if is_first_apart { root } else { -root });
    let (u, v) = complement(&apart);
    let (au, av) = (times(&a, &u), times(&a, &v));
    let (uu, uv, vv) = (dot(&u, &au), dot(&u, &av), dot(&v, &av));
    let half_difference = 0.5 * (uu - vv);
    let radius = (half_difference * half_difference + uv * uv).sqrt();
    let middle = 0.5 * (uu + vv);
    // Half of the angle to the first axis of the ellipse: the larger of its sine and cosine from the
    // angle's cosine, the other one from its sine.
    let is_wide = half_difference < 0.0;
    let larger = (0.5 + 0.5 * half_difference.abs() / radius).sqrt();
    let smaller = 0.5 * uv.abs() / (radius * larger);
    let sign = if uv < 0.0 { -1.0 } else { 1.0 };
    let (cos, sin) = if is_wide { (smaller, sign * larger) } else { (larger, sign * smaller) };
    let is_circle = radius <= 0.0;
    let (cos, sin) = (if is_circle { 1.0 } else { cos }, if is_circle { 0.0 } else { sin });
    let long: [f64; 3] = std::array::from_fn(|i| cos * u[i] + sin * v[i]);
    let short: [f64; 3] = std::array::from_fn(|i| cos * v[i] - sin * u[i]);
    let of_apart = dot(&apart, &times(&a, &apart));
    let choose = |first: f64, second: f64| if is_first_apart { first } else { second };
    let values = [
        choose(of_apart, middle + radius),
        choose(middle + radius, middle - radius),
        choose(middle - radius, of_apart),
    ];
    let e1: [f64; 3] = std::array::from_fn(|i| choose(apart[i], long[i]));
    let e2: [f64; 3] = std::array::from_fn(|i| choose(long[i], short[i]));
    let e3 = cross(&e1, &e2);
    let of_round = if is_finite { mean } else { f64::NAN };
    let known = [e1, e2, e3];
    Eigen {
        values: values.map(|value| if is_round { of_round } else { mean + largest * value }),
        vectors: std::array::from_fn(|k| {
            std::array::from_fn(|i| if is_round { AXES[k][i] } else { known[k][i] })
        }),
    }
}

/// cos(arccos(x)/3) of 0 to 1, without either.
#[inline(always)]
fn cosine_of_third(x: f64) -> f64 {
    // The largest root of 4y³ − 3y = x: a cubic that is off by less than 7·10⁻⁵, and two of Newton's
    // steps, each of which squares that.
    let start = 0.866_092_54 + x * (0.165_214_61 + x * (-0.040_630_35 + x * 0.009_374_43));
    let step = |y: f64| y - (y * (4.0 * y * y - 3.0) - x) / (12.0 * y * y - 3.0);
    step(step(start))
}

/// A unit vector that A − value·1 makes nothing of.
#[inline(always)]
fn null_vector(a: &[f64; 6], value: f64) -> [f64; 3] {
    let rows = [[a[0] - value, a[1], a[2]], [a[1], a[3] - value, a[4]], [a[2], a[4], a[5] - value]];
    let longer = |best: [f64; 3], other: [f64; 3]| -> [f64; 3] {
        let is_other = dot(&other, &other) > dot(&best, &best);
        std::array::from_fn(|i| if is_other { other[i] } else { best[i] })
    };
    let products =
        [cross(&rows[0], &rows[1]), cross(&rows[0], &rows[2]), cross(&rows[1], &rows[2])];
    let best = longer(longer(products[0], products[1]), products[2]);
    let scale = 1.0 / dot(&best, &best).sqrt();
    best.map(|value| scale * value)
}

/// Two unit vectors normal to a unit vector w and to each other: u × v = w.
#[inline(always)]
fn complement(w: &[f64; 3]) -> ([f64; 3], [f64; 3]) {
    let is_x = w[0].abs() > w[1].abs();
    let along = if is_x { w[0] } else { w[1] };
    let scale = 1.0 / (along * along + w[2] * w[2]).sqrt();
    let u = [
        if is_x { -w[2] * scale } else { 0.0 },
        if is_x { 0.0 } else { w[2] * scale },
        if is_x { w[0] * scale } else { -w[1] * scale },
    ];
    (u, cross(w, &u))
}

#[inline(always)]
fn times(a: &[f64; 6], v: &[f64; 3]) -> [f64; 3] {
    [
        a[0] * v[0] + a[1] * v[1] + a[2] * v[2],
        a[1] * v[0] + a[3] * v[1] + a[4] * v[2],
        a[2] * v[0] + a[4] * v[1] + a[5] * v[2],
    ]
}

#[inline(always)]
pub(super) fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline(always)]
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
