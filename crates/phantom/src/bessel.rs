//! The Bessel function J₁, as the spectrum of a disc needs it.

use std::f64::consts::{FRAC_2_PI, PI};
use std::sync::LazyLock;

/// Where the power series hands over to the expansion for large arguments. Either is good to
/// about 1e-12 there.
const LARGE: f64 = 14.0;

/// Terms of each of the two sums for large arguments.
const N_TERMS: usize = 8;

/// Coefficients of the expansion for large arguments: a₀, a₂, … with alternating signs, and
/// a₁, a₃, … likewise, where aₖ = Π (4 − (2j − 1)²) / (8 j) over j = 1…k.
const COEFFICIENTS: ([f64; N_TERMS], [f64; N_TERMS]) = {
    let (mut even, mut odd) = ([0.0; N_TERMS], [0.0; N_TERMS]);
    let mut a = 1.0;
    let mut k = 0;
    while k < 2 * N_TERMS {
        let sign = if (k / 2).is_multiple_of(2) { 1.0 } else { -1.0 };
        if k.is_multiple_of(2) {
            even[k / 2] = sign * a;
        } else {
            odd[k / 2] = sign * a;
        }
        k += 1;
        let m = (2 * k - 1) as f64;
        a *= (4.0 - m * m) / (8.0 * k as f64);
    }
    (even, odd)
};

/// 2·J₁(u)/u, 1 at u = 0, with an absolute error below 1e-12.
///
/// # Source
/// Abramowitz and Stegun 1964, 9.1.10 for |u| below 14 and 9.2.5 to 9.2.10 beyond.
pub(crate) fn disc_spectrum(u: f64) -> f64 {
    let u = u.abs();
    if u < LARGE {
        let quarter = -0.25 * u * u;
        let (mut term, mut sum) = (1.0, 1.0);
        let mut m = 1.0;
        while f64::abs(term) > 1e-17 * f64::abs(sum).max(1e-3) {
            term *= quarter / (m * (m + 1.0));
            sum += term;
            m += 1.0;
        }
        return sum;
    }
    let inverse = 1.0 / u;
    let inverse_squared = inverse * inverse;
    let horner = |coefficients: &[f64; N_TERMS]| {
        coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * inverse_squared + coefficient)
    };
    let (even, odd) = (horner(&COEFFICIENTS.0), horner(&COEFFICIENTS.1) * inverse);
    let (sin, cos) = (u - 0.75 * PI).sin_cos();
    2.0 * inverse * (FRAC_2_PI * inverse).sqrt() * (even * cos - odd * sin)
}

/// Pieces of the table per unit of the argument.
const PIECES_PER_UNIT: f64 = 4.0;

/// Where the table ends: about what the largest ellipse of a body reaches at the edge of
/// k-space.
const TABLE_END: f64 = 1024.0;

/// Degree of each piece's polynomial plus 1.
const N_COEFFICIENTS: usize = 6;

/// [`disc_spectrum`] from a table of polynomials, with an absolute error below 3e-11.
pub(crate) struct DiscSpectrum {
    /// Coefficients in powers of the distance from the middle of the piece, −1 to 1.
    pieces: Vec<[f64; N_COEFFICIENTS]>,
}

impl DiscSpectrum {
    /// The table, made once.
    pub(crate) fn table() -> &'static Self {
        // Only a memo of a function without parameters.
        static TABLE: LazyLock<DiscSpectrum> = LazyLock::new(DiscSpectrum::new);
        &TABLE
    }

    fn new() -> Self {
        let n_pieces = (TABLE_END * PIECES_PER_UNIT) as usize;
        let pieces = (0..n_pieces)
            .map(|piece| {
                chebyshev_fit(|t| disc_spectrum((piece as f64 + 0.5 + 0.5 * t) / PIECES_PER_UNIT))
            })
            .collect();
        Self { pieces }
    }

    /// 2·J₁(u)/u of a `u` of 0 or more.
    #[inline]
    pub(crate) fn at(&self, u: f64) -> f64 {
        let position = u * PIECES_PER_UNIT;
        let piece = position as usize;
        match self.pieces.get(piece) {
            Some(c) => {
                let t = 2.0 * (position - piece as f64) - 1.0;
                let t2 = t * t;
                // Shorter chains of dependent steps than Horner's.
                (c[0] + c[1] * t) + t2 * ((c[2] + c[3] * t) + t2 * (c[4] + c[5] * t))
            }
            None => disc_spectrum(u),
        }
    }
}

/// Coefficients in powers of t of the polynomial that meets `function` at the Chebyshev nodes
/// of −1 to 1.
fn chebyshev_fit(function: impl Fn(f64) -> f64) -> [f64; N_COEFFICIENTS] {
    let n = N_COEFFICIENTS as f64;
    let angles: [f64; N_COEFFICIENTS] = std::array::from_fn(|node| PI * (node as f64 + 0.5) / n);
    let values = angles.map(|angle| function(angle.cos()));
    let mut sum = [0.0; N_COEFFICIENTS];
    // T₀ and T₁, then by T₍ₖ₊₁₎ = 2 t Tₖ − T₍ₖ₋₁₎.
    let (mut previous, mut current) = ([0.0; N_COEFFICIENTS], [0.0; N_COEFFICIENTS]);
    current[0] = 1.0;
    for degree in 0..N_COEFFICIENTS {
        let order = degree as f64;
        let projection: f64 =
            angles.iter().zip(values).map(|(angle, value)| value * (order * angle).cos()).sum();
        let weight = projection * if degree == 0 { 1.0 } else { 2.0 } / n;
        for (sum, power) in sum.iter_mut().zip(current) {
            *sum += weight * power;
        }
        let factor = if degree == 0 { 1.0 } else { 2.0 };
        let mut next = previous.map(|power: f64| -power);
        for power in 1..N_COEFFICIENTS {
            next[power] += factor * current[power - 1];
        }
        (previous, current) = (current, next);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_tables() {
        let table = [
            (0.001, 0.000_499_999_937_500_002_6),
            (1.0, 0.440_050_585_744_933_5),
            (3.8317, 2.404_559_043_103_632e-6),
            (5.0, -0.32757913759146522),
            (10.0, 0.043_472_746_168_861_44),
            (13.9, 0.11652489036905639),
            (14.1, 0.14878435129739386),
            (20.0, 0.066_833_124_175_850_05),
            (50.0, -0.097_511_828_125_175_14),
            (100.0, -0.077_145_352_014_112_16),
        ];
        for (u, j1) in table {
            let error = disc_spectrum(u) - 2.0 * j1 / u;
            assert!(error.abs() < 1e-12, "J1({u}): {error:e}");
        }
        assert_eq!(disc_spectrum(0.0), 1.0);
        assert_eq!(disc_spectrum(-3.0), disc_spectrum(3.0));
    }

    #[test]
    fn the_table_is_right_between_and_at_the_ends_of_its_pieces() {
        let table = DiscSpectrum::table();
        for n in 0..200_000 {
            let u = f64::from(n) * 0.007_31;
            let error = table.at(u) - disc_spectrum(u);
            assert!(error.abs() < 3e-11, "u = {u}: {error:e}");
        }
        for end in 0..4100 {
            for u in [f64::from(end) / 4.0, (f64::from(end) / 4.0).next_down().max(0.0)] {
                assert!((table.at(u) - disc_spectrum(u)).abs() < 3e-11, "u = {u}");
            }
        }
    }

    #[test]
    fn series_and_expansion_meet() {
        let step = disc_spectrum(LARGE) - disc_spectrum(LARGE - 1e-9);
        // The slope there is below 0.02.
        assert!(step.abs() < 2e-11 + 2e-12, "{step:e}");
    }
}
