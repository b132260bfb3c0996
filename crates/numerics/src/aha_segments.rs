//! The segments of the left ventricle's wall in a short axis.
//!
//! # Source
//! Cerqueira et al., Circulation 105:539 (2002): 17 segments, of which a short axis shows six at
//! the base and in the middle, four at the apex.

use std::f64::consts::TAU;

use ndarray::{Array2, ArrayView2};

/// Where along the ventricle a short axis lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// Segments 1 to 6.
    Basal,
    /// Segments 7 to 12.
    #[default]
    Mid,
    /// Segments 13 to 16.
    Apical,
}

/// Walls in the order in which they follow the middle of the septum, towards the front: numbers
/// beyond the level's first, and names.
const SIX: [(u8, &str); 6] = [
    (1, "anteroseptal"),
    (0, "anterior"),
    (5, "anterolateral"),
    (4, "inferolateral"),
    (3, "inferior"),
    (2, "inferoseptal"),
];
const FOUR: [(u8, &str); 4] = [(1, "septal"), (0, "anterior"), (3, "lateral"), (2, "inferior")];

impl Level {
    /// Numbers and names of its segments, in the order of their numbers.
    pub fn segments(self) -> Vec<(u8, String)> {
        let (first, word, walls): (u8, &str, &[(u8, &str)]) = match self {
            Self::Basal => (1, "basal", &SIX),
            Self::Mid => (7, "mid", &SIX),
            Self::Apical => (13, "apical", &FOUR),
        };
        let mut segments: Vec<_> =
            walls.iter().map(|(number, name)| (first + number, format!("{word} {name}"))).collect();
        segments.sort_unstable();
        segments
    }

    /// The segment at an angle from the middle of the septum, towards the front.
    fn at(self, angle_rad: f64) -> u8 {
        let turn = angle_rad.rem_euclid(TAU) / TAU;
        let place = |n: usize, turn: f64| ((turn * n as f64) as usize).min(n - 1);
        match self {
            Self::Basal => 1 + SIX[place(6, turn)].0,
            Self::Mid => 7 + SIX[place(6, turn)].0,
            // The septal one lies around the middle of the septum.
            Self::Apical => 13 + FOUR[place(4, (turn + 0.125).fract())].0,
        }
    }
}

/// Why a heart has no segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentsError {
    /// No wall, or no blood in it.
    #[error("there is no ventricle in the image")]
    NoVentricle,
    /// Where the septum is, the right ventricle tells.
    #[error("there is no right ventricle in the image")]
    NoRightVentricle,
    /// The image lies such that front and back of the heart are the same.
    #[error("the image's orientation does not tell where the front of the heart is")]
    NoFront,
}

/// The segment of each pixel of the wall, 0 elsewhere and in the outer parts of the wall.
///
/// * `wall`, `left_blood`, `right_blood`: masks `[y, x]` of one shape.
/// * `front`: direction (dy, dx) in the image that leads to the patient's front, best with
///   something of the way to the head.
/// * `margin`: share of the wall's thickness that is left out at its inner and at its outer
///   border, where pixels are part blood.
///
/// The middle of the septum lies where the line from the centre of the left to that of the right
/// ventricle's blood crosses the wall.
///
/// # Errors
/// [`SegmentsError`].
pub fn aha_segments(
    wall: ArrayView2<'_, bool>,
    left_blood: ArrayView2<'_, bool>,
    right_blood: ArrayView2<'_, bool>,
    front: [f64; 2],
    level: Level,
    margin: f64,
) -> Result<Array2<u8>, SegmentsError> {
    let center = centroid(left_blood).ok_or(SegmentsError::NoVentricle)?;
    if !wall.iter().any(|is_wall| *is_wall) {
        return Err(SegmentsError::NoVentricle);
    }
    let right = centroid(right_blood).ok_or(SegmentsError::NoRightVentricle)?;
    let septum = [right[0] - center[0], right[1] - center[1]];
    // Of the two directions across, the one that leads to the front.
    let across = [-septum[1], septum[0]];
    let toward_front = across[0] * front[0] + across[1] * front[1];
    if toward_front.abs() < 1e-6 || !toward_front.is_finite() {
        return Err(SegmentsError::NoFront);
    }
    let sense = toward_front.signum();
    let polar = |y: usize, x: usize| {
        let (dy, dx) = (y as f64 - center[0], x as f64 - center[1]);
        let along = dy * septum[0] + dx * septum[1];
        let beside = sense * (dy * across[0] + dx * across[1]);
        (dy.hypot(dx), beside.atan2(along).rem_euclid(TAU))
    };
    let borders = Borders::of(wall, polar);
    Ok(Array2::from_shape_fn(wall.dim(), |(y, x)| {
        if !wall[[y, x]] {
            return 0;
        }
        let (radius_px, angle_rad) = polar(y, x);
        let depth = borders.depth(radius_px, angle_rad);
        if depth < margin || depth > 1.0 - margin { 0 } else { level.at(angle_rad) }
    }))
}

fn centroid(mask: ArrayView2<'_, bool>) -> Option<[f64; 2]> {
    let (mut n, mut sum) = (0.0, [0.0; 2]);
    for ((y, x), _) in mask.indexed_iter().filter(|(_, is_in)| **is_in) {
        n += 1.0;
        sum[0] += y as f64;
        sum[1] += x as f64;
    }
    (n > 0.0).then(|| sum.map(|sum| sum / n))
}

/// Radii of the wall's borders by angle.
struct Borders([[f64; 2]; Self::N_ANGLES]);

impl Borders {
    const N_ANGLES: usize = 36;

    fn of(wall: ArrayView2<'_, bool>, polar: impl Fn(usize, usize) -> (f64, f64)) -> Self {
        let mut radii = [[f64::MAX, 0.0_f64]; Self::N_ANGLES];
        for ((y, x), _) in wall.indexed_iter().filter(|(_, is_wall)| **is_wall) {
            let (radius_px, angle_rad) = polar(y, x);
            let [inner, outer] = &mut radii[Self::place(angle_rad)];
            // A pixel reaches half of its edge beyond its centre.
            *inner = inner.min(radius_px - 0.5);
            *outer = outer.max(radius_px + 0.5);
        }
        Self(radii)
    }

    fn place(angle_rad: f64) -> usize {
        ((angle_rad / TAU * Self::N_ANGLES as f64) as usize).min(Self::N_ANGLES - 1)
    }

    /// 0 at the inner border, 1 at the outer one.
    fn depth(&self, radius_px: f64, angle_rad: f64) -> f64 {
        let [inner, outer] = self.0[Self::place(angle_rad)];
        (radius_px - inner) / (outer - inner).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring about (40, 50), a right ventricle in the direction (dy, dx).
    fn masks(right: [f64; 2]) -> [Array2<bool>; 3] {
        let ring = |low: f64, high: f64, [cy, cx]: [f64; 2]| {
            Array2::from_shape_fn((90, 100), |(y, x)| {
                let radius = (y as f64 - cy).hypot(x as f64 - cx);
                (low..high).contains(&radius)
            })
        };
        let center = [40.0, 50.0];
        let right = [center[0] + 25.0 * right[0], center[1] + 25.0 * right[1]];
        [ring(10.0, 20.0, center), ring(0.0, 10.0, center), ring(0.0, 5.0, right)]
    }

    fn segments(right: [f64; 2], front: [f64; 2], level: Level, margin: f64) -> Array2<u8> {
        let [wall, left, right] = masks(right);
        aha_segments(wall.view(), left.view(), right.view(), front, level, margin).expect("a heart")
    }

    #[test]
    fn walls_lie_where_cerqueira_has_drawn_them() {
        // As a short axis is looked at: the right ventricle on the left, the front above.
        let found = segments([0.0, -1.0], [-1.0, 0.0], Level::Mid, 0.0);
        // Above the centre, then counter-clockwise.
        let at = |dy: isize, dx: isize| {
            found[[40_usize.wrapping_add_signed(dy), 50_usize.wrapping_add_signed(dx)]]
        };
        assert_eq!(at(-15, 0), 7, "anterior");
        assert_eq!(at(-6, -13), 8, "anteroseptal");
        assert_eq!(at(6, -13), 9, "inferoseptal");
        assert_eq!(at(15, 0), 10, "inferior");
        assert_eq!(at(6, 13), 11, "inferolateral");
        assert_eq!(at(-6, 13), 12, "anterolateral");
        assert_eq!(at(0, 0), 0, "blood");
        let apical = segments([0.0, -1.0], [-1.0, 0.0], Level::Apical, 0.0);
        for (place, number) in [([25, 50], 13), ([40, 35], 14), ([55, 50], 15), ([40, 65], 16)] {
            assert_eq!(apical[place], number);
        }
    }

    #[test]
    fn segments_turn_and_are_mirrored_with_the_image() {
        // Mirrored left to right, and turned by a quarter.
        let mirrored = segments([0.0, 1.0], [-1.0, 0.0], Level::Mid, 0.0);
        assert_eq!((mirrored[[34, 63]], mirrored[[34, 37]]), (8, 12));
        let turned = segments([1.0, 0.0], [0.0, -1.0], Level::Mid, 0.0);
        assert_eq!((turned[[40, 35]], turned[[53, 44]]), (7, 8));
    }

    #[test]
    fn segments_of_a_ring_are_of_one_size_and_leave_out_its_borders() {
        let whole = segments([0.3, -0.9], [-1.0, 0.2], Level::Basal, 0.0);
        let inner = segments([0.3, -0.9], [-1.0, 0.2], Level::Basal, 0.2);
        let count = |of: &Array2<u8>, n: u8| of.iter().filter(|found| **found == n).count() as f64;
        let area = std::f64::consts::PI * (400.0 - 100.0) / 6.0;
        for segment in 1..=6 {
            assert!((count(&whole, segment) / area - 1.0).abs() < 0.05);
            let share = count(&inner, segment) / count(&whole, segment);
            assert!((0.5..0.7).contains(&share), "three fifths of the thickness: {share}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let [wall, left, right] = masks([0.0, -1.0]);
        let none = Array2::from_elem(wall.dim(), false);
        let run = |left: &Array2<bool>, right: &Array2<bool>, front| {
            aha_segments(wall.view(), left.view(), right.view(), front, Level::Mid, 0.0)
        };
        assert_eq!(run(&none, &right, [-1.0, 0.0]), Err(SegmentsError::NoVentricle));
        assert_eq!(run(&left, &none, [-1.0, 0.0]), Err(SegmentsError::NoRightVentricle));
        assert_eq!(run(&left, &right, [0.0, 1.0]), Err(SegmentsError::NoFront));
    }

    #[test]
    fn numbers_have_their_names() {
        let names: Vec<_> = Level::Mid.segments();
        assert_eq!(names[0], (7, "mid anterior".to_owned()));
        assert_eq!(names[2], (9, "mid inferoseptal".to_owned()));
        assert_eq!(Level::Apical.segments().len(), 4);
    }
}
