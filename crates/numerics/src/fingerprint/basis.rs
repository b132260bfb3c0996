//! The shapes that all signals of a course are made of.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, ArrayView2};

use super::pulse_table::Course;
use super::signals::signals;

/// Orthonormal courses, the most important first.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// `[mode, echo]`.
    pub modes: Array2<f32>,
    /// Share of the signals' energy that is not in the modes.
    pub energy_left_out: f64,
}

/// Directions beside the wanted ones, so that these converge.
const SPARE: usize = 8;
/// Multiplications by the signals' covariance: the singular values fall by a factor of three from
/// mode to mode.
const PASSES: usize = 4;

impl Basis {
    /// That of tissues evenly spread over the logarithms of T1 and T2, from 50 to 4000 and 5 to
    /// 1500 ms: beyond the range of any map, so that water and vials beside the patient do not leak
    /// into it.
    ///
    /// * `n_modes`: how many; fewer where there are not so many echoes.
    pub fn of_course(course: &Course, n_modes: usize) -> Self {
        const N: usize = 24;
        const T1_MS: [f64; 2] = [50.0, 4000.0];
        const T2_MS: [f64; 2] = [5.0, 1500.0];
        let at = |[first, last]: [f64; 2], n: usize| {
            first * (last / first).powf(n as f64 / (N - 1) as f64)
        };
        let tissues: Vec<[f64; 2]> = (0..N)
            .flat_map(|i| (0..N).map(move |j| [at(T1_MS, i), at(T2_MS, j)]))
            .filter(|[t1_ms, t2_ms]| t2_ms <= t1_ms)
            .collect();
        Self::of_signals(signals(course, &tissues).view(), n_modes)
    }

    /// That of signals, each of which counts the same, however strong it is.
    ///
    /// * `signals`: `[signal, echo]`.
    ///
    /// # Method
    /// Subspace iteration (Halko, Martinsson and Tropp 2011) from fixed directions.
    pub fn of_signals(signals: ArrayView2<'_, f32>, n_modes: usize) -> Self {
        let (n_signals, n_echoes) = signals.dim();
        let n_modes = n_modes.min(n_echoes).min(n_signals);
        if n_modes == 0 {
            return Self { modes: Array2::zeros((0, n_echoes)), energy_left_out: 1.0 };
        }
        let lengths: Vec<f64> = signals
            .outer_iter()
            .map(|row| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt())
            .map(|length| if length > 0.0 { length } else { 1.0 })
            .collect();
        let units =
            DMatrix::from_fn(n_signals, n_echoes, |i, j| f64::from(signals[[i, j]]) / lengths[i]);
        let n_directions = (n_modes + SPARE).min(n_echoes).min(n_signals);
        let mut state = 1_u64;
        let mut directions = DMatrix::from_fn(n_echoes, n_directions, |_, _| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 40) as f64 / (1_u64 << 23) as f64 - 1.0
        });
        for _ in 0..PASSES {
            directions = (units.transpose() * (&units * &directions)).qr().q();
        }
        let seen = &units * &directions;
        let eigen = SymmetricEigen::new(seen.transpose() * &seen);
        let mut order: Vec<usize> = (0..n_directions).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let modes = Array2::from_shape_fn((n_modes, n_echoes), |(mode, echo)| {
            let column = eigen.eigenvectors.column(order[mode]);
            let value = directions.row(echo).transpose().dot(&column);
            // The sign is free: on the whole, a mode is positive.
            let total: f64 = directions.row_sum().transpose().dot(&column);
            (if total < 0.0 { -value } else { value }) as f32
        });
        let kept: f64 = order[..n_modes].iter().map(|&mode| eigen.eigenvalues[mode]).sum();
        let energy_left_out = (1.0 - kept / units.norm_squared()).max(0.0);
        Self { modes, energy_left_out }
    }

    /// How many modes there are.
    pub fn n_modes(&self) -> usize {
        self.modes.nrows()
    }
}
