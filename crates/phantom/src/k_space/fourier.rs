//! Tables of Fourier transforms, without shifts and scale.

use std::sync::{Arc, Mutex, PoisonError};

use rustfft::{Fft, FftPlanner};

/// A table of one length and direction.
pub(super) type Table = Arc<dyn Fft<f32>>;

/// exp(−2πi…) over `len` values.
pub(super) fn forward(len: usize) -> Table {
    with_planner(|planner| planner.plan_fft_forward(len))
}

/// exp(+2πi…) over `len` values.
pub(super) fn inverse(len: usize) -> Table {
    with_planner(|planner| planner.plan_fft_inverse(len))
}

fn with_planner(plan: impl FnOnce(&mut FftPlanner<f32>) -> Table) -> Table {
    // Only a memo of tables that depend on nothing but the length.
    static PLANNER: Mutex<Option<FftPlanner<f32>>> = Mutex::new(None);
    let mut planner = PLANNER.lock().unwrap_or_else(PoisonError::into_inner);
    plan(planner.get_or_insert_with(FftPlanner::new))
}

/// The shortest length of at least `minimum` that is a product of small primes.
pub(super) fn fast_len(minimum: usize) -> usize {
    (minimum.max(1)..)
        .find(|&len| {
            let mut rest = len;
            for prime in [2, 3, 5, 7] {
                while rest.is_multiple_of(prime) {
                    rest /= prime;
                }
            }
            rest == 1
        })
        .expect("there is a power of two above every number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_lengths_have_small_factors() {
        let lengths: Vec<usize> = [0, 1, 11, 13, 97, 121, 327].map(fast_len).to_vec();
        assert_eq!(lengths, [1, 1, 12, 14, 98, 125, 336]);
    }
}
