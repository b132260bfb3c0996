//! Natural cubic splines through values at given places.

/// Weights of the values for one place: a spline is linear in the values that it goes through.
///
/// * `knots`: places of the values, strictly increasing, at least one.
/// * `place`: where the spline is wanted; outside of the knots it keeps the value of the nearest.
///
/// Returns a weight for each knot. Two knots are joined by a line; the second derivative is 0 at
/// both ends.
///
/// # Source
/// de Boor, A Practical Guide to Splines, 1978: the tridiagonal system of the second derivatives,
/// solved here for the place instead of for the values.
pub fn natural_cubic_weights(knots: &[f64], place: f64) -> Vec<f64> {
    let n = knots.len();
    let mut weights = vec![0.0; n];
    if n < 2 || place <= knots[0] {
        weights.iter_mut().take(1).for_each(|weight| *weight = 1.0);
        return weights;
    }
    if place >= knots[n - 1] {
        weights[n - 1] = 1.0;
        return weights;
    }
    let left = knots.partition_point(|knot| *knot <= place) - 1;
    let step = |i: usize| knots[i + 1] - knots[i];
    let h = step(left);
    let (a, b) = ((knots[left + 1] - place) / h, (place - knots[left]) / h);
    weights[left] = a;
    weights[left + 1] = b;
    // Of the second derivatives at both ends of the interval.
    let c = [(a * a * a - a) * h * h / 6.0, (b * b * b - b) * h * h / 6.0];
    // The symmetric system of the inner knots 1 to n − 2 for the row c · (second derivatives).
    let n_inner = n - 2;
    let mut row = vec![0.0; n_inner];
    for (knot, c) in [(left, c[0]), (left + 1, c[1])] {
        if (1..=n_inner).contains(&knot) {
            row[knot - 1] = c;
        }
    }
    let mut diagonal: Vec<_> = (0..n_inner).map(|i| (step(i) + step(i + 1)) / 3.0).collect();
    for i in 1..n_inner {
        let off = step(i) / 6.0;
        let factor = off / diagonal[i - 1];
        diagonal[i] -= factor * off;
        row[i] -= factor * row[i - 1];
    }
    for i in (0..n_inner).rev() {
        let next = if i + 1 < n_inner { row[i + 1] * step(i + 1) / 6.0 } else { 0.0 };
        row[i] = (row[i] - next) / diagonal[i];
    }
    for (i, value) in row.into_iter().enumerate() {
        let (before, after) = (value / step(i), value / step(i + 1));
        weights[i] += before;
        weights[i + 1] -= before + after;
        weights[i + 2] += after;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOTS: [f64; 7] = [0.0, 1.0, 1.5, 3.0, 4.2, 5.0, 7.0];

    fn spline(of: impl Fn(f64) -> f64, place: f64) -> f64 {
        let weights = natural_cubic_weights(&KNOTS, place);
        weights.iter().zip(KNOTS).map(|(weight, knot)| weight * of(knot)).sum()
    }

    #[test]
    fn it_goes_through_the_values_and_keeps_lines() {
        for knot in KNOTS {
            assert!((spline(|x| x * x - 3.0 * x, knot) - (knot * knot - 3.0 * knot)).abs() < 1e-12);
        }
        for place in [0.1, 1.2, 2.9, 4.9, 6.9] {
            assert!((spline(|x| 2.0 - 0.7 * x, place) - (2.0 - 0.7 * place)).abs() < 1e-12);
        }
        assert_eq!(spline(|x| x, -3.0), 0.0);
        assert_eq!(spline(|x| x, 30.0), 7.0);
    }

    #[test]
    fn second_derivatives_are_continuous_and_0_at_the_ends() {
        let value = |place| spline(f64::sin, place);
        let second = |place: f64| {
            let h = 1e-3;
            (value(place - h) - 2.0 * value(place) + value(place + h)) / (h * h)
        };
        // Linear between knots: from both sides to the same value.
        for knot in &KNOTS[1..6] {
            let (h, d) = (2e-3, 1e-2);
            let from_left = second(knot - h) + (second(knot - h) - second(knot - h - d)) / d * h;
            let from_right = second(knot + h) - (second(knot + h + d) - second(knot + h)) / d * h;
            assert!((from_left - from_right).abs() < 1e-4, "{knot}: {from_left}, {from_right}");
        }
        assert!(second(0.002).abs() < 5e-3 && second(6.998).abs() < 5e-3);
    }

    #[test]
    fn a_sine_of_20_knots_comes_back_within_a_thousandth() {
        let knots: Vec<_> = (0..=60).map(|i| f64::from(i) / 20.0).collect();
        for i in 0..40 {
            let place = 1.0 + f64::from(i) / 40.0 + 0.007;
            let weights = natural_cubic_weights(&knots, place);
            let sine = |x: f64| (std::f64::consts::TAU * x).sin();
            let value: f64 = weights.iter().zip(&knots).map(|(w, knot)| w * sine(*knot)).sum();
            assert!((value - sine(place)).abs() < 1e-3, "{value} at {place}");
        }
    }

    #[test]
    fn one_and_two_values_are_enough() {
        assert_eq!(natural_cubic_weights(&[3.0], 9.0), [1.0]);
        assert_eq!(natural_cubic_weights(&[2.0, 4.0], 2.5), [0.75, 0.25]);
        assert!(natural_cubic_weights(&[], 1.0).is_empty());
    }
}
