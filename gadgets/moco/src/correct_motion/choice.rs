//! Which of two motions is used.

use ndarray::{ArrayView3, Axis};
use num_complex::Complex32;

use crate::motion::{Found, Method};

/// Images and their twins must come nearer by this share of their difference, or hardly have been
/// moved.
const LEAST_GAIN: f32 = 0.02;
/// Displacements that need no gain, px.
const HARDLY_MOVED_PX: f32 = 1.0;
/// Displacements that are none, px: half of what the eye sees, and of what maps show.
const STILL_PX: f32 = 0.5;
/// Difference of twins and images that do not move, over the noise: twins have noise of their own.
const NOISE_OF_DIFFERENCE: f32 = 1.2;
/// The same over the images themselves: ringing and signals that are not quite of three courses.
const MODEL_ERROR: f32 = 0.005;
/// What is left of the standard deviation of white noise in images of half the resolution, at which
/// residuals are taken.
const NOISE_OF_RESIDUAL: f32 = 0.3125;

/// What is said of a choice.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Nothing,
    /// Good to know; all is well.
    Information(String),
    /// Why the network's motion is not used, and what to do.
    Fault {
        reason: String,
        remedy: String,
    },
}

/// How well images fit their twins where nothing moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreement {
    /// Root mean square of the images.
    size: f32,
    /// That of their difference from their twins, at most.
    most: f32,
}

impl Agreement {
    /// * `images`: `[frame, y, x]`.
    pub fn of(images: ArrayView3<'_, Complex32>) -> Self {
        let sum: f64 = images.iter().map(|value| f64::from(value.norm_sqr())).sum();
        let size = (sum / images.len().max(1) as f64).sqrt() as f32;
        let mut sds: Vec<f32> = images.axis_iter(Axis(0)).map(|image| noise_sd(&image)).collect();
        let middle = sds.len() / 2;
        let noise_sd = if sds.is_empty() {
            0.0
        } else {
            *sds.select_nth_unstable_by(middle, f32::total_cmp).1
        };
        let of_noise = NOISE_OF_DIFFERENCE * NOISE_OF_RESIDUAL * noise_sd;
        Self { size, most: of_noise.max(MODEL_ERROR * size) }
    }

    fn percent(&self, residual: f32) -> f32 {
        100.0 * residual / self.size.max(f32::MIN_POSITIVE)
    }
}

/// Standard deviation of the noise in a part of complex pixels: the middle of what diagonal neighbours
/// differ by (Donoho and Johnstone 1994).
fn noise_sd(image: &ndarray::ArrayView2<'_, Complex32>) -> f32 {
    let blocks = image.windows((2, 2));
    let differences = blocks
        .into_iter()
        .map(|w| (w[[0, 0]] - w[[0, 1]] - w[[1, 0]] + w[[1, 1]]).norm_sqr() / 4.0);
    let mut squares: Vec<f32> = differences.collect();
    if squares.is_empty() {
        return 0.0;
    }
    let middle = squares.len() / 2;
    let median = *squares.select_nth_unstable_by(middle, f32::total_cmp).1;
    // The median of |z|² is 2 ln 2 times the variance of its parts.
    (median / (2.0 * std::f32::consts::LN_2)).sqrt()
}

/// The network's motion where it makes images fit their twins better than they were, or leaves
/// them; else the better one of the two, or none where both are worse than that; and what is said of
/// it. Images of a heart at rest are left, and that is no fault.
pub(super) fn choose(
    network: Found,
    classical: impl FnOnce() -> Found,
    agreement: &Agreement,
) -> (Found, Told) {
    let [before, after] = network.motion.residual;
    let has_gained = after <= (1.0 - LEAST_GAIN) * before;
    let is_still = network.motion.largest_px < HARDLY_MOVED_PX && after <= before;
    if has_gained || is_still {
        return (network, Told::Nothing);
    }
    let other = classical();
    let [_, by_registration] = other.motion.residual;
    let best = [after, by_registration].into_iter().fold(before, f32::min);
    if best == after {
        return (network, Told::Nothing);
    }
    let longest_px = network.motion.largest_px.max(other.motion.largest_px);
    let is_at_rest = before <= agreement.most || longest_px < STILL_PX;
    if is_at_rest && by_registration > (1.0 - LEAST_GAIN) * before {
        let what = format!(
            "nothing moves: uncorrected, images differ from their twins by {:.2} % of their size, and motion \
             brings them no nearer; images left as they are",
            agreement.percent(before)
        );
        return (left(network), Told::Information(what));
    }
    let reason = format!(
        "{}: images differ from their twins by {:.2} % of their size with its motion, by {:.2} % with \
         registration alone, by {:.2} % uncorrected",
        network.method.name(),
        agreement.percent(after),
        agreement.percent(by_registration),
        agreement.percent(before)
    );
    let remedy = "look at the corrected images before reading the map".to_owned();
    let used = if best == by_registration { other } else { left(network) };
    (used, Told::Fault { reason, remedy })
}

/// Without its motion.
fn left(mut found: Found) -> Found {
    let [before, _] = found.motion.residual;
    found.motion.fields.fill(0.0);
    found.motion.residual = [before; 2];
    (found.motion.largest_px, found.motion.least_jacobian) = (0.0, 1.0);
    found.method = Method::Left;
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use inference::Provenance;
    use ndarray::{Array3, Array4};
    use numerics::registration::SeriesMotion;

    /// Images of size 20 that may differ from their twins by 0.1 at rest.
    const AGREEMENT: Agreement = Agreement { size: 20.0, most: 0.1 };

    fn found(method: Method, residual: [f32; 2], largest_px: f32) -> Found {
        let fields = Array4::zeros((1, 2, 1, 1));
        Found { motion: SeriesMotion { fields, least_jacobian: 1.0, largest_px, residual }, method }
    }

    fn by_network(residual: [f32; 2], largest_px: f32) -> Found {
        found(Method::Network(Provenance::default()), residual, largest_px)
    }

    #[test]
    fn a_network_that_helps_is_not_held_against_another() {
        let never = || panic!("it costs time");
        assert_eq!(choose(by_network([1.0, 0.5], 6.0), never, &AGREEMENT).1, Told::Nothing);
        // A series that does not move.
        assert_eq!(choose(by_network([1.0, 1.0], 0.1), never, &AGREEMENT).1, Told::Nothing);
    }

    #[test]
    fn of_a_network_that_does_not_help_and_registration_the_better_one_is_used() {
        let classical = |after| move || found(Method::Classical, [1.0, after], 5.0);
        let (used, told) = choose(by_network([1.0, 1.2], 6.0), classical(0.6), &AGREEMENT);
        assert_eq!(used.method, Method::Classical);
        let Told::Fault { reason, .. } = told else { panic!("{told:?}") };
        assert!(reason.contains("6.00 % of their size with its motion, by 3.00 %"), "{reason}");
        let (used, told) = choose(by_network([1.0, 0.99], 6.0), classical(1.0), &AGREEMENT);
        assert!(matches!(used.method, Method::Network(_)) && told == Told::Nothing);
        let (used, told) = choose(by_network([1.0, 1.2], 6.0), classical(1.3), &AGREEMENT);
        assert!(used.method == Method::Left && matches!(told, Told::Fault { .. }));
        assert_eq!(used.motion.largest_px, 0.0);
    }

    #[test]
    fn images_of_a_heart_at_rest_are_left_without_a_fault() {
        let classical = |after, px| move || found(Method::Classical, [0.08, after], px);
        // They agree with their twins as well as noise lets them, whatever motion is found.
        let (used, told) = choose(by_network([0.08, 0.12], 3.0), classical(0.09, 2.0), &AGREEMENT);
        assert_eq!((used.method, used.motion.largest_px), (Method::Left, 0.0));
        let Told::Information(what) = told else { panic!("{told:?}") };
        assert!(what.starts_with("nothing moves") && what.contains("0.40 %"), "{what}");
        // They do not, and still nothing is found that moves by half a pixel.
        let none = || found(Method::Classical, [1.0, 1.0], 0.0);
        let (used, told) = choose(by_network([1.0, 1.1], 0.3), none, &AGREEMENT);
        assert!(used.method == Method::Left && matches!(told, Told::Information(_)));
        // What brings them nearer by more than chance is motion all the same.
        let (used, _) = choose(by_network([0.08, 0.12], 3.0), classical(0.06, 2.0), &AGREEMENT);
        assert_eq!(used.method, Method::Classical);
    }

    #[test]
    fn noise_and_size_say_how_well_images_at_rest_agree() {
        let even = Array3::from_elem((3, 32, 32), Complex32::new(8.0, 6.0));
        let agreement = Agreement::of(even.view());
        assert!((agreement.size - 10.0).abs() < 1e-4 && (agreement.most - 0.05).abs() < 1e-6);
        // A chessboard of ±2 in the real part: diagonal neighbours differ by 8/2, |z|² = 16 throughout.
        let board = Array3::from_shape_fn((3, 32, 32), |(_, y, x)| {
            Complex32::new(if (y + x) % 2 == 0 { 2.0 } else { -2.0 }, 0.0)
        });
        let sd = (16.0_f32 / (2.0 * std::f32::consts::LN_2)).sqrt();
        let most = NOISE_OF_DIFFERENCE * NOISE_OF_RESIDUAL * sd;
        assert!((Agreement::of(board.view()).most - most).abs() < 1e-4);
    }
}
