//! Whether the lines of an image are those that the header's acceleration announces.

use ndarray::ArrayView2;
use numerics::grappa::lattice_offset;

/// Share of the lattice's lines that may be missing: single readouts get lost.
const MAX_MISSING: f64 = 0.05;

/// How the lines lie.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lattice {
    /// Every line that the acceleration asks for, from the first to the last.
    Whole,
    /// So many of them are missing.
    Gaps(usize),
    /// Another lattice or none: how many lines apart most neighbours are along encoding step 1
    /// and 2, and whether they are all so.
    Other { steps: [usize; 2], is_regular: bool },
}

/// Looks at the lines of one image, `[encoding_step_2, encoding_step_1]`.
pub(super) fn examine(sampled: ArrayView2<'_, bool>, acceleration: [usize; 2]) -> Lattice {
    let [r1, r2] = acceleration;
    let [first1, first2] = lattice_offset(sampled, acceleration);
    let (n_e2, n_e1) = sampled.dim();
    // The covered part is convex along each axis: partial Fourier, or corners left out.
    let (mut n_expected, mut n_missing) = (0, 0);
    let mut count = |lines: &mut dyn Iterator<Item = bool>| {
        let lines: Vec<bool> = lines.collect();
        let first = lines.iter().position(|read| *read);
        let last = lines.iter().rposition(|read| *read);
        if let (Some(first), Some(last)) = (first, last) {
            n_expected += last - first + 1;
            n_missing += lines[first..=last].iter().filter(|read| !**read).count();
        }
    };
    for e2 in (first2..n_e2).step_by(r2) {
        count(&mut (first1..n_e1).step_by(r1).map(|e1| sampled[[e2, e1]]));
    }
    if n_e2 > 1 {
        for e1 in (first1..n_e1).step_by(r1) {
            count(&mut (first2..n_e2).step_by(r2).map(|e2| sampled[[e2, e1]]));
        }
    }
    if n_missing == 0 {
        return Lattice::Whole;
    }
    if (n_missing as f64) <= MAX_MISSING * n_expected as f64 {
        return Lattice::Gaps(n_missing);
    }
    let along = |axis: usize| {
        let mut counts = Vec::<usize>::new();
        for lane in sampled.lanes(ndarray::Axis(axis)) {
            let places = lane.iter().enumerate().filter(|(_, read)| **read).map(|(place, _)| place);
            let places: Vec<usize> = places.collect();
            for pair in places.windows(2) {
                let step = pair[1] - pair[0];
                counts.resize(counts.len().max(step + 1), 0);
                counts[step] += 1;
            }
        }
        // Neighbours of calibration lines among the image's are no lattice.
        let total: usize = counts.iter().skip(2).sum();
        let most = (2..counts.len()).max_by_key(|step| counts[*step]);
        most.map_or((1, true), |step| (step, 10 * counts[step] >= 9 * total))
    };
    let (step1, regular1) = along(1);
    let (step2, regular2) = if n_e2 > 1 { along(0) } else { (1, true) };
    Lattice::Other { steps: [step1, step2], is_regular: regular1 && regular2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn lines(n: usize, is_read: impl Fn(usize) -> bool) -> Array2<bool> {
        Array2::from_shape_fn((1, n), |(_, line)| is_read(line))
    }

    #[test]
    fn lattices_with_calibration_and_partial_fourier_are_whole() {
        let every_second = lines(64, |line| line >= 20 && line % 2 == 0);
        assert_eq!(examine(every_second.view(), [2, 1]), Lattice::Whole);
        let with_calibration = lines(64, |line| line % 3 == 2 || (24..40).contains(&line));
        assert_eq!(examine(with_calibration.view(), [3, 1]), Lattice::Whole);
        let everything = lines(64, |_| true);
        assert_eq!(examine(everything.view(), [4, 1]), Lattice::Whole);
        let corners = Array2::from_shape_fn((16, 16), |(e2, e1)| {
            e2 % 2 == 0 && e1 % 2 == 0 && e2.abs_diff(8) + e1.abs_diff(8) < 12
        });
        assert_eq!(examine(corners.view(), [2, 2]), Lattice::Whole);
    }

    #[test]
    fn another_acceleration_is_named() {
        let every_third = lines(63, |line| line % 3 == 1);
        for announced in [1, 2, 4] {
            assert_eq!(
                examine(every_third.view(), [announced, 1]),
                Lattice::Other { steps: [3, 1], is_regular: true }
            );
        }
        let random = lines(64, |line| [0, 3, 5, 11, 13, 16, 17, 25, 29, 36, 38].contains(&line));
        let found = examine(random.view(), [2, 1]);
        assert!(matches!(found, Lattice::Other { is_regular: false, .. }), "{found:?}");
    }

    #[test]
    fn a_lost_readout_is_a_gap() {
        let lossy = lines(128, |line| line % 2 == 0 && line != 30);
        assert_eq!(examine(lossy.view(), [2, 1]), Lattice::Gaps(1));
    }
}
