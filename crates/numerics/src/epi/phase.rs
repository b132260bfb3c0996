//! Phases of echo-planar readouts, from navigators at the centre of k-space.

use ndarray::{Array1, ArrayView2, ArrayView3, ArrayViewMut2, Axis};
use num_complex::{Complex32, Complex64};

use crate::cholesky;

/// Phase that grows from echo to echo with the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum B0Correction {
    /// Left as it is.
    None,
    /// The same in all pixels.
    #[default]
    Mean,
    /// A straight line along the readout.
    Linear,
}

/// Phase between readouts of opposite directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OddEvenCorrection {
    /// Left as it is.
    None,
    /// The same in all pixels.
    Mean,
    /// A straight line along the readout: the two directions are shifted in k-space.
    Linear,
    /// A straight line, and a polynomial of fourth order for what it leaves.
    #[default]
    Polynomial,
}

/// What to find out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NavigatorOptions {
    /// From echo to echo.
    pub b0: B0Correction,
    /// From direction to direction.
    pub odd_even: OddEvenCorrection,
}

/// One number that navigators give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// Phase over the readout between every other navigator, rad over the field of view.
    B0Slope,
    /// Its constant part.
    B0Intercept,
    /// Phase over the readout between the directions, rad over the field of view.
    OddEvenSlope,
    /// Its constant part.
    OddEvenIntercept,
    /// Coefficient of this power of what is left.
    Polynomial(usize),
}

impl Parameter {
    pub(super) fn is_constant_phase(self) -> bool {
        matches!(self, Self::B0Intercept | Self::OddEvenIntercept)
    }
}

/// Navigators that say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} navigators; the phase between the readout directions needs at least 2")]
pub struct NavigatorError(pub usize);

/// Terms of the polynomial: up to the fourth power.
const N_TERMS: usize = 5;

/// Phases to take out of the readouts of one shot, pixel by pixel.
#[derive(Clone, Debug)]
pub struct PhaseCorrection {
    /// From one echo to the next.
    b0_rad: Vec<f64>,
    /// Of a reverse readout over a forward one.
    reverse_rad: Vec<f64>,
}

impl PhaseCorrection {
    /// Phases from the navigators of a shot.
    ///
    /// * `navigators`: `[navigator, channel, x]`, images along the readout; directions alternate.
    /// * `first_is_reverse`: direction of the first one.
    /// * `smooth`: makes of each parameter what is to be used, e.g. a mean over shots. Slopes
    ///   come before what depends on them.
    ///
    /// # Method
    /// Between navigator p and p + 2 the field turns the phase by two echoes. Navigator p + 1 is
    /// compared with the mean of its neighbours, both turned to its time; for two navigators
    /// there is but one neighbour. Products of an image with the conjugate of the other are
    /// summed over channels (and neighbours), so that bright pixels count most. The slope is the
    /// phase of the sum of products of neighbouring pixels, which wraps do not disturb; then the
    /// constant; then a polynomial by least squares, weighted with the magnitude of the first
    /// direction. As in Gadgetron's `EPICorr`; Bruder et al. 1992 for the idea.
    ///
    /// # Errors
    /// [`NavigatorError`] for fewer than two.
    pub fn estimate(
        navigators: ArrayView3<'_, Complex32>,
        first_is_reverse: bool,
        options: NavigatorOptions,
        mut smooth: impl FnMut(Parameter, f64) -> f64,
    ) -> Result<Self, NavigatorError> {
        let (n_navigators, _, n_pixels) = navigators.dim();
        if n_navigators < 2 {
            return Err(NavigatorError(n_navigators));
        }
        // From edge to edge, as Gadgetron counts it: the fit does not depend on it.
        let place: Vec<f64> =
            (0..n_pixels).map(|x| x as f64 / (n_pixels.max(2) - 1) as f64 - 0.5).collect();
        let b0_rad = match options.b0 {
            B0Correction::None => vec![0.0; n_pixels],
            mode => {
                let mut product = vec![Complex64::ZERO; n_pixels];
                for p in 0..n_navigators.saturating_sub(2) {
                    let [first, second] = [p, p + 2].map(|n| navigators.index_axis(Axis(0), n));
                    add_products(&mut product, first, second, |_| Complex64::ONE);
                }
                let slope = (mode == B0Correction::Linear)
                    .then(|| smooth(Parameter::B0Slope, slope(&product)));
                let slope = slope.unwrap_or(0.0);
                turn(&mut product, |x| -slope * place[x]);
                let intercept = product.iter().sum::<Complex64>().arg();
                let intercept = smooth(Parameter::B0Intercept, intercept);
                place.iter().map(|x| 0.5 * (slope * x + intercept)).collect()
            }
        };
        let mut reverse_rad = match options.odd_even {
            OddEvenCorrection::None => vec![0.0; n_pixels],
            mode => {
                let mut product = vec![Complex64::ZERO; n_pixels];
                let middles = if n_navigators == 2 { 1..2 } else { 1..n_navigators - 1 };
                for p in middles.step_by(2) {
                    let [before, middle] = [p - 1, p].map(|n| navigators.index_axis(Axis(0), n));
                    let one_echo = |x: usize| Complex64::from_polar(1.0, b0_rad[x]);
                    add_products(&mut product, before, middle, one_echo);
                    if p + 1 < n_navigators {
                        let after = navigators.index_axis(Axis(0), p + 1);
                        add_products(&mut product, after, middle, |x| one_echo(x).conj());
                    }
                }
                fit_odd_even(mode, product, &place, navigators, &mut smooth)
            }
        };
        if first_is_reverse {
            reverse_rad.iter_mut().for_each(|phase| *phase = -*phase);
        }
        Ok(Self { b0_rad, reverse_rad })
    }

    /// Phase from one echo to the next, rad: `[x]`.
    pub fn b0_rad(&self) -> &[f64] {
        &self.b0_rad
    }

    /// Phase of a reverse readout over a forward one, rad: `[x]`.
    pub fn reverse_rad(&self) -> &[f64] {
        &self.reverse_rad
    }

    /// Takes the phases out of a readout: half of the difference from each direction.
    ///
    /// * `pixels`: `[channel, x]`, its image along the readout.
    /// * `echo`: its number in the shot; phases are then those of echo 0.
    ///
    /// # Panics
    /// If the navigators had another number of pixels.
    pub fn apply(&self, mut pixels: ArrayViewMut2<'_, Complex32>, echo: usize, is_reverse: bool) {
        assert_eq!(pixels.ncols(), self.b0_rad.len(), "pixels of a readout");
        let half = if is_reverse { 0.5 } else { -0.5 };
        let factors: Array1<Complex32> = self
            .b0_rad
            .iter()
            .zip(&self.reverse_rad)
            .map(|(b0, reverse)| {
                let phase_rad = -(echo as f64) * b0 - half * reverse;
                Complex32::new(phase_rad.cos() as f32, phase_rad.sin() as f32)
            })
            .collect();
        pixels *= &factors;
    }
}

/// Phase of the navigators between those of the first direction over these: `[x]`.
fn fit_odd_even(
    mode: OddEvenCorrection,
    mut product: Vec<Complex64>,
    place: &[f64],
    navigators: ArrayView3<'_, Complex32>,
    smooth: &mut impl FnMut(Parameter, f64) -> f64,
) -> Vec<f64> {
    let slope = match mode {
        OddEvenCorrection::Linear | OddEvenCorrection::Polynomial => {
            smooth(Parameter::OddEvenSlope, slope(&product))
        }
        OddEvenCorrection::None | OddEvenCorrection::Mean => 0.0,
    };
    turn(&mut product, |x| -slope * place[x]);
    let intercept = product.iter().sum::<Complex64>().arg();
    let intercept = smooth(Parameter::OddEvenIntercept, intercept);
    let mut phase_rad: Vec<f64> = place.iter().map(|x| slope * x + intercept).collect();
    if mode == OddEvenCorrection::Polynomial {
        turn(&mut product, |_| -intercept);
        let residual: Vec<f64> = product.iter().map(|value| value.arg()).collect();
        if let Some(coefficients) = fit_polynomial(place, &residual, &magnitudes(navigators)) {
            let mut used = [0.0; N_TERMS];
            for (power, coefficient) in coefficients.into_iter().enumerate() {
                used[power] = smooth(Parameter::Polynomial(power), coefficient);
            }
            for (phase, x) in phase_rad.iter_mut().zip(place) {
                *phase += used.iter().rev().fold(0.0, |sum, c| sum * x + c);
            }
        }
    }
    phase_rad
}

/// Adds Σ conj(a·turn)·b over the channels to each pixel.
fn add_products(
    sum: &mut [Complex64],
    a: ArrayView2<'_, Complex32>,
    b: ArrayView2<'_, Complex32>,
    turn: impl Fn(usize) -> Complex64,
) {
    let double = |value: &Complex32| Complex64::new(value.re.into(), value.im.into());
    for (x, sum) in sum.iter_mut().enumerate() {
        let channels = a.column(x).into_iter().zip(b.column(x));
        let product: Complex64 = channels.map(|(a, b)| double(a).conj() * double(b)).sum();
        *sum += product * turn(x).conj();
    }
}

fn turn(values: &mut [Complex64], phase_rad: impl Fn(usize) -> f64) {
    for (x, value) in values.iter_mut().enumerate() {
        *value *= Complex64::from_polar(1.0, phase_rad(x));
    }
}

/// Phase that pixels gain from edge to edge.
fn slope(values: &[Complex64]) -> f64 {
    let step: Complex64 = values.windows(2).map(|pair| pair[0].conj() * pair[1]).sum();
    step.arg() * values.len().saturating_sub(1) as f64
}

/// Mean magnitude of the navigators of the first direction: `[x]`.
fn magnitudes(navigators: ArrayView3<'_, Complex32>) -> Vec<f64> {
    let (n_navigators, _, n_pixels) = navigators.dim();
    let mut sum = vec![0.0; n_pixels];
    let mut add = |navigator: usize| {
        let image = navigators.index_axis(Axis(0), navigator);
        for (x, sum) in sum.iter_mut().enumerate() {
            let power: f64 = image.column(x).iter().map(|v| f64::from(v.norm_sqr())).sum();
            *sum += 0.5 * power.sqrt();
        }
    };
    if n_navigators == 2 {
        add(0);
    }
    for p in (0..n_navigators.saturating_sub(2)).step_by(2) {
        add(p);
        add(p + 2);
    }
    sum
}

/// Coefficients, from the constant up, of the polynomial that has the least Σ (w·(y − p(x)))².
/// [`None`] where the weights do not determine it.
fn fit_polynomial(x: &[f64], y: &[f64], weights: &[f64]) -> Option<[f64; N_TERMS]> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if !(largest > 0.0 && largest.is_finite()) {
        return None;
    }
    let mut normal = ndarray::Array2::<Complex64>::zeros((N_TERMS, N_TERMS));
    let mut right = ndarray::Array2::<Complex64>::zeros((N_TERMS, 1));
    for ((x, y), weight) in x.iter().zip(y).zip(weights) {
        let weight = (weight / largest).powi(2);
        for row in 0..N_TERMS {
            right[[row, 0]] += weight * y * x.powi(row as i32);
            for column in 0..=row {
                normal[[row, column]] += weight * x.powi((row + column) as i32);
            }
        }
    }
    let lower = cholesky::factor(normal.view()).ok()?;
    cholesky::solve(lower.view(), right.view_mut());
    let coefficients: [f64; N_TERMS] = std::array::from_fn(|power| right[[power, 0]].re);
    coefficients.iter().all(|c| c.is_finite()).then_some(coefficients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    const N: usize = 64;

    fn place(x: usize) -> f64 {
        x as f64 / (N - 1) as f64 - 0.5
    }

    /// An object of two channels with a phase of its own.
    fn object(channel: usize, x: usize) -> Complex64 {
        let inside = (x as f64 - 30.0).abs() < 22.0;
        let magnitude = if inside { 1.0 + 0.3 * (x as f64 * 0.2).sin() } else { 0.0 };
        Complex64::from_polar(magnitude, 0.7 * channel as f64 + 0.03 * x as f64)
    }

    fn readout(
        echo: f64,
        is_reverse: bool,
        b0: impl Fn(f64) -> f64,
        reverse: impl Fn(f64) -> f64,
    ) -> ndarray::Array2<Complex32> {
        ndarray::Array2::from_shape_fn((2, N), |(channel, x)| {
            let phase = echo * b0(place(x)) + if is_reverse { reverse(place(x)) } else { 0.0 };
            let value = object(channel, x) * Complex64::from_polar(1.0, phase);
            Complex32::new(value.re as f32, value.im as f32)
        })
    }

    fn navigators(
        n: usize,
        first_is_reverse: bool,
        b0: impl Fn(f64) -> f64 + Copy,
        reverse: impl Fn(f64) -> f64 + Copy,
    ) -> Array3<Complex32> {
        let mut navigators = Array3::zeros((n, 2, N));
        for p in 0..n {
            let is_reverse = first_is_reverse != (p % 2 == 1);
            navigators.index_axis_mut(Axis(0), p).assign(&readout(
                p as f64 - n as f64,
                is_reverse,
                b0,
                reverse,
            ));
        }
        navigators
    }

    /// Largest difference of the two directions after the correction.
    fn left_over(
        n: usize,
        first_is_reverse: bool,
        options: NavigatorOptions,
        b0: impl Fn(f64) -> f64 + Copy,
        reverse: impl Fn(f64) -> f64 + Copy,
    ) -> f32 {
        let navigators = navigators(n, first_is_reverse, b0, reverse);
        let correction =
            PhaseCorrection::estimate(navigators.view(), first_is_reverse, options, |_, v| v)
                .expect("enough navigators");
        let mut largest = 0.0_f32;
        let mut first = readout(0.0, false, b0, reverse);
        correction.apply(first.view_mut(), 0, false);
        for echo in [1, 2, 7] {
            for is_reverse in [false, true] {
                let mut line = readout(echo as f64, is_reverse, b0, reverse);
                correction.apply(line.view_mut(), echo, is_reverse);
                let error = (&line - &first).iter().map(|v| v.norm()).fold(0.0, f32::max);
                largest = largest.max(error);
            }
        }
        largest
    }

    #[test]
    fn delays_and_constant_phases_are_taken_out() {
        let linear =
            NavigatorOptions { b0: B0Correction::Linear, odd_even: OddEvenCorrection::Linear };
        for n in [3, 4, 5] {
            for first_is_reverse in [false, true] {
                // The delay wraps the phase more than once over the field of view.
                let error =
                    left_over(n, first_is_reverse, linear, |x| 0.2 + 0.1 * x, |x| 1.1 + 15.0 * x);
                assert!(error < 1e-4, "{n} navigators, {first_is_reverse}: {error}");
            }
        }
    }

    #[test]
    fn a_polynomial_takes_out_what_a_line_leaves() {
        let reverse = |x: f64| 0.4 + 3.0 * x + 0.8 * x * x - 1.5 * x * x * x;
        let with = |odd_even| NavigatorOptions { b0: B0Correction::Mean, odd_even };
        let line = left_over(3, true, with(OddEvenCorrection::Linear), |_| 0.15, reverse);
        let polynomial = left_over(3, true, with(OddEvenCorrection::Polynomial), |_| 0.15, reverse);
        // Two thirds of the line's error are gone at worst; the fit has no residual.
        assert!(line > 0.05 && polynomial < 1e-3, "{line} {polynomial}");
    }

    #[test]
    fn modes_leave_alone_what_they_are_not_for() {
        let none = NavigatorOptions { b0: B0Correction::None, odd_even: OddEvenCorrection::None };
        let error = left_over(3, false, none, |_| 0.0, |_| 0.5);
        assert!((error - 1.29 * 2.0 * 0.25_f32.sin()).abs() < 0.01, "{error}");
        let mean = NavigatorOptions { odd_even: OddEvenCorrection::Mean, ..none };
        assert!(left_over(3, false, mean, |_| 0.0, |_| 0.5) < 1e-5);
        assert!(left_over(3, false, mean, |_| 0.0, |x| 4.0 * x) > 0.5);
    }

    #[test]
    fn two_navigators_give_the_phase_between_directions() {
        let error = left_over(2, true, NavigatorOptions::default(), |_| 0.0, |x| 0.3 + 5.0 * x);
        assert!(error < 1e-4, "{error}");
        let one = navigators(1, true, |_| 0.0, |_| 0.0);
        let result =
            PhaseCorrection::estimate(one.view(), true, NavigatorOptions::default(), |_, v| v);
        assert_eq!(result.err(), Some(NavigatorError(1)));
    }

    #[test]
    fn silence_changes_nothing() {
        let silent = Array3::zeros((3, 2, N));
        let correction =
            PhaseCorrection::estimate(silent.view(), true, NavigatorOptions::default(), |_, v| v)
                .expect("three navigators");
        assert!(correction.b0_rad().iter().chain(correction.reverse_rad()).all(|p| *p == 0.0));
    }

    #[test]
    fn every_parameter_can_be_smoothed() {
        let navigators = navigators(3, false, |_| 0.1, |x| 2.0 * x);
        let mut seen = Vec::new();
        let options =
            NavigatorOptions { b0: B0Correction::Linear, odd_even: OddEvenCorrection::Polynomial };
        let correction =
            PhaseCorrection::estimate(navigators.view(), false, options, |parameter, _| {
                seen.push(parameter);
                0.0
            })
            .expect("three navigators");
        assert_eq!(seen.len(), 4 + N_TERMS);
        assert!(correction.reverse_rad().iter().all(|phase| *phase == 0.0));
    }
}
