//! Where an image lies: numbers that a scanner can use, and the same in the meta attributes.

use ismrmrd::{ImageHeader, Meta};

use super::violation::Violation;

/// Deviation of lengths and cosines that single precision explains.
const EXACT: f64 = 1e-4;
/// Up to this the directions are meant and only badly written.
const MEANT: f64 = 0.05;
/// Keys of the directions of rows (x), columns (y) and slices (z).
const KEYS: [&str; 3] = ["ImageRowDir", "ImageColumnDir", "ImageSliceNormDir"];

type Vector = [f64; 3];

/// Puts position and directions right where that is possible.
pub(super) fn check_header(header: &mut ImageHeader, found: &mut dyn FnMut(Violation)) {
    let position = header.position;
    if !is_finite(position) {
        header.position = [0.0; 3];
        found(Violation::Position);
    }
    let extent = header.field_of_view;
    if !extent.iter().all(|extent| extent.is_finite() && *extent > 0.0) {
        found(Violation::FieldOfView);
    }
    let directions = directions_of(header);
    match deviation(directions) {
        deviation if deviation <= EXACT => {}
        deviation if deviation <= MEANT => {
            found(Violation::DirectionsInexact);
            let [row, column, slice] = orthonormal(directions);
            header.read_dir = row.map(|value| value as f32);
            header.phase_dir = column.map(|value| value as f32);
            header.slice_dir = slice.map(|value| value as f32);
        }
        _ => {
            found(Violation::DirectionsWrong);
            // No direction is better than one that is no number.
            if directions.iter().flatten().any(|value| !value.is_finite()) {
                (header.read_dir, header.phase_dir, header.slice_dir) =
                    ([0.0; 3], [0.0; 3], [0.0; 3]);
            }
        }
    }
}

/// Writes the directions into the meta attributes with 18 decimals, unless they stand there as
/// exactly. Directions that a scanner cannot use are left out.
pub(super) fn check_texts(header: &ImageHeader, meta: &mut Meta, found: &mut dyn FnMut(Violation)) {
    let directions = directions_of(header);
    let are_usable = deviation(directions) <= EXACT;
    let mut differ = false;
    for (key, direction) in KEYS.into_iter().zip(directions) {
        let texts = meta.values(key);
        let agree = texts.len() == 3
            && texts.iter().zip(direction).all(|(text, value)| {
                text.trim().parse::<f64>().is_ok_and(|text| (text - value).abs() <= EXACT)
            });
        differ |= !texts.is_empty() && !agree;
        let has_decimals =
            |text: &String| text.split_once('.').is_some_and(|(_, decimals)| decimals.len() >= 18);
        if !are_usable {
            meta.remove(key);
        } else if !agree || !texts.iter().all(has_decimals) {
            meta.set_all(key, direction.map(|value| format!("{value:.18}")));
        }
    }
    if differ {
        found(Violation::DirectionTexts);
    }
}

/// Whether slices follow each other against the right-hand rule of rows and columns.
pub(super) fn is_left_handed(header: &ImageHeader) -> bool {
    let [row, column, slice] = directions_of(header);
    dot(cross(row, column), slice) < 0.0
}

fn directions_of(header: &ImageHeader) -> [Vector; 3] {
    [header.read_dir, header.phase_dir, header.slice_dir].map(|vector| vector.map(f64::from))
}

fn is_finite(vector: [f32; 3]) -> bool {
    vector.iter().all(|value| value.is_finite())
}

/// How far the vectors are from unit vectors at right angles: 0 for such.
fn deviation(directions: [Vector; 3]) -> f64 {
    let [row, column, slice] = directions;
    let lengths = directions.map(|vector| (dot(vector, vector).sqrt() - 1.0).abs());
    let cosines = [dot(row, column), dot(row, slice), dot(column, slice)].map(f64::abs);
    let all = lengths.into_iter().chain(cosines);
    // A maximum would lose what is no number.
    all.fold(0.0, |worst, value| if value.is_nan() || value > worst { value } else { worst })
}

/// Unit vectors at right angles, of the same handedness, near to these: the row keeps its
/// direction, the column its plane (Gram-Schmidt).
fn orthonormal(directions: [Vector; 3]) -> [Vector; 3] {
    let [row, column, slice] = directions;
    let row = unit(row);
    let along = dot(row, column);
    let column = unit(std::array::from_fn(|axis| column[axis] - along * row[axis]));
    let normal = cross(row, column);
    let sign = if dot(normal, slice) < 0.0 { -1.0 } else { 1.0 };
    [row, column, normal.map(|value| sign * value)]
}

fn unit(vector: Vector) -> Vector {
    let length = dot(vector, vector).sqrt();
    vector.map(|value| value / length)
}

fn dot(a: Vector, b: Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(directions: [[f32; 3]; 3]) -> ImageHeader {
        let [read_dir, phase_dir, slice_dir] = directions;
        let field_of_view = [300.0, 300.0, 8.0];
        ImageHeader { read_dir, phase_dir, slice_dir, field_of_view, ..ImageHeader::default() }
    }

    fn checked(mut header: ImageHeader) -> (ImageHeader, Vec<Violation>) {
        let mut violations = Vec::new();
        check_header(&mut header, &mut |violation| violations.push(violation));
        (header, violations)
    }

    /// Turned by 30° about z.
    const TURNED: [[f32; 3]; 3] =
        [[0.866_025_4, 0.5, 0.0], [-0.5, 0.866_025_4, 0.0], [0.0, 0.0, 1.0]];

    #[test]
    fn good_directions_of_both_hands_stay_as_they_are() {
        for slice in [1.0, -1.0] {
            let good = header([TURNED[0], TURNED[1], [0.0, 0.0, slice]]);
            assert_eq!(checked(good), (good, Vec::new()));
            assert_eq!(is_left_handed(&good), slice < 0.0);
        }
    }

    #[test]
    fn inexact_directions_become_the_nearest_good_ones() {
        for slice in [1.02, -0.99] {
            let inexact = header([[0.88, 0.5, 0.01], [-0.5, 0.866, 0.0], [0.0, 0.0, slice]]);
            let (corrected, violations) = checked(inexact);
            assert_eq!(violations, [Violation::DirectionsInexact]);
            assert!(deviation(directions_of(&corrected)) < 1e-6);
            assert_eq!(is_left_handed(&corrected), slice < 0.0);
            for (before, after) in directions_of(&inexact).iter().zip(directions_of(&corrected)) {
                let cosine = dot(unit(*before), after);
                assert!(cosine > 0.999, "turned by {} rad", cosine.acos());
            }
        }
    }

    #[test]
    fn wrong_directions_are_never_invented() {
        let missing = header([[0.0; 3]; 3]);
        assert_eq!(checked(missing), (missing, vec![Violation::DirectionsWrong]));
        let nan = header([[f32::NAN, 0.0, 0.0], TURNED[1], TURNED[2]]);
        assert_eq!(checked(nan), (missing, vec![Violation::DirectionsWrong]));
        let mut meta = Meta::from_iter([("ImageRowDir", "1")]);
        check_texts(&missing, &mut meta, &mut |_| {});
        assert!(meta.is_empty(), "no text for a direction that is not known");
    }

    #[test]
    fn a_position_that_is_no_number_and_an_empty_field_of_view_are_found() {
        let mut bad = header(TURNED);
        bad.position = [1.0, f32::INFINITY, 2.0];
        bad.field_of_view = [300.0, 0.0, 8.0];
        let (corrected, violations) = checked(bad);
        assert_eq!(violations, [Violation::Position, Violation::FieldOfView]);
        assert_eq!({ corrected.position }, [0.0; 3]);
    }

    #[test]
    fn texts_are_those_of_the_header_with_18_decimals() {
        let mut meta = Meta::new();
        check_texts(&header(TURNED), &mut meta, &mut |violation| panic!("{violation:?}"));
        assert_eq!(
            meta.values("ImageRowDir"),
            ["0.866025388240814209", "0.500000000000000000", "0.000000000000000000"]
        );
        assert_eq!(meta.values("ImageSliceNormDir")[2], "1.000000000000000000");
        let as_written = meta.clone();
        meta.set_all("ImageRowDir", TURNED[0]);
        check_texts(&header(TURNED), &mut meta, &mut |violation| panic!("{violation:?}"));
        assert_eq!(meta, as_written, "too few decimals");
        // What stands there and agrees stays: a scanner's own texts are more exact.
        meta.set_all(
            "ImageRowDir",
            ["0.866025403784438597", "0.500000000000000000", "0.000000000000000000"],
        );
        let before = meta.clone();
        check_texts(&header(TURNED), &mut meta, &mut |violation| panic!("{violation:?}"));
        assert_eq!(meta, before);
        meta.set_all("ImageColumnDir", ["0.5", "-0.866", "0"]);
        let mut violations = Vec::new();
        check_texts(&header(TURNED), &mut meta, &mut |violation| violations.push(violation));
        assert_eq!((violations, meta), (vec![Violation::DirectionTexts], before));
    }
}
