//! Which of two motions is used.

use crate::motion::{Found, Method};

/// Images and their twins must come nearer by this share of their difference, or hardly have been
/// moved.
const LEAST_GAIN: f32 = 0.02;
/// Displacements that need no gain, px.
const HARDLY_MOVED_PX: f32 = 1.0;

/// The network's motion where it makes images fit their twins better than they were, or leaves
/// them; else the better one of the two, or none where both are worse than that; and why.
pub(super) fn choose(
    network: Found,
    classical: impl FnOnce() -> Found,
) -> (Found, Option<(String, String)>) {
    let [before, after] = network.motion.residual;
    let has_gained = after <= (1.0 - LEAST_GAIN) * before;
    let is_still = network.motion.largest_px < HARDLY_MOVED_PX && after <= before;
    if has_gained || is_still {
        return (network, None);
    }
    let other = classical();
    let [_, by_registration] = other.motion.residual;
    let best = [after, by_registration].into_iter().fold(before, f32::min);
    if best == after {
        return (network, None);
    }
    let reason = format!(
        "{}: images differ from their twins by {after:.3} with its motion, by \
         {by_registration:.3} with registration alone, by {before:.3} uncorrected",
        network.method.name()
    );
    let remedy = "look at the corrected images before reading the map".to_owned();
    if best == by_registration {
        return (other, Some((reason, remedy)));
    }
    let mut left = network;
    left.motion.fields.fill(0.0);
    left.motion.residual = [before; 2];
    (left.motion.largest_px, left.motion.least_jacobian) = (0.0, 1.0);
    left.method = Method::Left;
    (left, Some((reason, remedy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use inference::Provenance;
    use ndarray::Array4;
    use numerics::registration::SeriesMotion;

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
        assert!(choose(by_network([1.0, 0.5], 6.0), never).1.is_none());
        // A series that does not move.
        assert!(choose(by_network([1.0, 1.0], 0.1), never).1.is_none());
    }

    #[test]
    fn of_a_network_that_does_not_help_and_registration_the_better_one_is_used() {
        let classical = |after| move || found(Method::Classical, [1.0, after], 5.0);
        let (used, why) = choose(by_network([1.0, 1.2], 6.0), classical(0.6));
        assert_eq!(used.method, Method::Classical);
        assert!(why.expect("a reason").0.contains("1.200"));
        let (used, why) = choose(by_network([1.0, 0.99], 6.0), classical(1.0));
        assert!(matches!(used.method, Method::Network(_)) && why.is_none());
        let (used, why) = choose(by_network([1.0, 1.2], 6.0), classical(1.3));
        assert!(used.method == Method::Left && why.is_some());
        assert_eq!(used.motion.largest_px, 0.0);
    }
}
