//! What navigators say, smoothed over the shots of a scan.

use super::Parameter;

/// Fits a straight line to the last values of each parameter and gives what it is now.
///
/// # Method
/// Weighted least squares over the last `length` shots, each with the signal of its navigator as
/// its weight; constant phases are fitted as complex numbers, so that wraps do no harm. As in
/// Gadgetron's `EPICorr`.
#[derive(Clone, Debug)]
pub struct NavigatorFilter {
    length: usize,
    n_excluded: usize,
    /// Shots so far.
    n_shots: usize,
    weights: Vec<f64>,
    values: Vec<(Parameter, Vec<f64>)>,
}

impl NavigatorFilter {
    /// Smooths over `length` shots (0 and 1 smooth nothing) and leaves the first `n_excluded` of
    /// the scan alone.
    pub fn new(length: usize, n_excluded: usize) -> Self {
        Self { length, n_excluded, n_shots: 0, weights: Vec::new(), values: Vec::new() }
    }

    /// The next shot, whose navigator has this signal.
    pub fn begin_shot(&mut self, weight: f64) {
        self.n_shots += 1;
        keep_last(&mut self.weights, weight, self.length);
    }

    /// The smoothed value of a parameter of this shot.
    pub fn smooth(&mut self, parameter: Parameter, value: f64) -> f64 {
        if self.length < 2 {
            return value;
        }
        let index = self.values.iter().position(|(known, _)| *known == parameter);
        let index = index.unwrap_or_else(|| {
            self.values.push((parameter, Vec::new()));
            self.values.len() - 1
        });
        let history = &mut self.values[index].1;
        keep_last(history, value, self.length);
        let n_used = history.len().min(self.n_shots.saturating_sub(self.n_excluded));
        if n_used < 2 {
            return value;
        }
        // Newest first.
        let points = self.weights.iter().rev().zip(history.iter().rev()).take(n_used);
        let newest = if parameter.is_constant_phase() {
            let (re, im): (Vec<_>, Vec<_>) = points
                .map(|(weight, phase_rad)| ((*weight, phase_rad.cos()), (*weight, phase_rad.sin())))
                .unzip();
            intercept(&re).zip(intercept(&im)).map(|(re, im)| im.atan2(re))
        } else {
            intercept(&points.map(|(weight, value)| (*weight, *value)).collect::<Vec<_>>())
        };
        newest.unwrap_or(value)
    }
}

fn keep_last(values: &mut Vec<f64>, value: f64, length: usize) {
    if values.len() == length.max(1) {
        values.remove(0);
    }
    values.push(value);
}

/// Where the line through (weight, value) of times 0, 1, 2, … passes time 0. [`None`] where no
/// two points have a weight.
fn intercept(points: &[(f64, f64)]) -> Option<f64> {
    let [mut s0, mut s1, mut s2, mut y0, mut y1] = [0.0; 5];
    for (time, (weight, value)) in points.iter().enumerate() {
        let (time, weight) = (time as f64, weight * weight);
        s0 += weight;
        s1 += weight * time;
        s2 += weight * time * time;
        y0 += weight * value;
        y1 += weight * value * time;
    }
    let determinant = s0 * s2 - s1 * s1;
    (determinant > 1e-12 * s0 * s2).then(|| (s2 * y0 - s1 * y1) / determinant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drift_is_followed_without_lag_and_noise_is_averaged() {
        let mut filter = NavigatorFilter::new(5, 0);
        for shot in 0..12 {
            filter.begin_shot(1.0);
            let drift = 0.3 * f64::from(shot);
            let smoothed = filter.smooth(Parameter::OddEvenSlope, drift);
            assert!((smoothed - drift).abs() < 1e-9, "{shot}: {smoothed}");
        }
        let mut filter = NavigatorFilter::new(4, 0);
        let mut last = 0.0;
        for value in [1.0, -1.0, 1.0, -1.0] {
            filter.begin_shot(1.0);
            last = filter.smooth(Parameter::B0Slope, value);
        }
        // A line through -1, 1, -1, 1 (newest first) starts at -0.6.
        assert!((last + 0.6).abs() < 1e-12, "{last}");
    }

    #[test]
    fn phases_wrap_and_the_first_shots_are_left_alone() {
        let mut filter = NavigatorFilter::new(3, 1);
        for (shot, phase_rad) in [1.0, 3.1, -3.1, 3.1].into_iter().enumerate() {
            filter.begin_shot(2.0);
            let smoothed = filter.smooth(Parameter::B0Intercept, phase_rad);
            if shot < 2 {
                assert_eq!(smoothed, phase_rad);
            } else {
                assert!(smoothed.abs() > 3.0, "{shot}: {smoothed}");
            }
        }
    }

    #[test]
    fn shots_without_signal_have_no_say() {
        let mut filter = NavigatorFilter::new(3, 0);
        for (weight, value) in [(1.0, 2.0), (0.0, 100.0), (1.0, 2.0)] {
            filter.begin_shot(weight);
            let smoothed = filter.smooth(Parameter::OddEvenSlope, value);
            if weight > 0.0 {
                assert!((smoothed - 2.0).abs() < 1e-9);
            }
        }
    }
}
