//! The head phantom of Shepp and Logan.

use num_complex::Complex64;

use crate::ellipse::Ellipse;
use crate::object::Component;

/// Intensity, half axes, centre (y up) and turn in degrees (counter-clockwise) in units of half
/// the field of view.
const ELLIPSES: [(f64, [f64; 2], [f64; 2], f64); 10] = [
    (1.0, [0.69, 0.92], [0.0, 0.0], 0.0),
    (-0.8, [0.6624, 0.874], [0.0, -0.0184], 0.0),
    (-0.2, [0.11, 0.31], [0.22, 0.0], -18.0),
    (-0.2, [0.16, 0.41], [-0.22, 0.0], 18.0),
    (0.1, [0.21, 0.25], [0.0, 0.35], 0.0),
    (0.1, [0.046, 0.046], [0.0, 0.1], 0.0),
    (0.1, [0.046, 0.046], [0.0, -0.1], 0.0),
    (0.1, [0.046, 0.023], [-0.08, -0.605], 0.0),
    (0.1, [0.023, 0.023], [0.0, -0.606], 0.0),
    (0.1, [0.023, 0.046], [0.06, -0.605], 0.0),
];

/// Turn from one slice to the next.
const TURN_PER_SLICE_DEG: f64 = 10.0;

/// What the last of very many slices is smaller by.
const SHRINKAGE: f64 = 0.3;

/// The phantom with the contrasts that show on a screen: skull 1, brain 0.2, ventricles 0.
///
/// * `radius_mm`: half the field of view that the phantom fills to 92 %.
/// * `slice` of `n_slices`: slice 0 is the classical picture; each further one is turned by 10°
///   more and a little smaller, so that no two are alike.
///
/// # Source
/// Shepp and Logan 1974; intensities of Toft 1996.
pub fn shepp_logan(radius_mm: f64, slice: usize, n_slices: usize) -> Vec<Component> {
    let turn_rad = (TURN_PER_SLICE_DEG * slice as f64).to_radians();
    let scale = 1.0 - SHRINKAGE * slice as f64 / n_slices.max(1) as f64;
    ELLIPSES
        .iter()
        .map(|&(intensity, semi_axes, [x, y], turn_deg)| {
            let ellipse = Ellipse {
                semi_axes_mm: semi_axes.map(|length| length * radius_mm),
                // Images have y down.
                center_mm: [x * radius_mm, -y * radius_mm],
                angle_rad: -turn_deg.to_radians(),
            }
            .turned_and_scaled(turn_rad, scale);
            Component { ellipse, amplitude: Complex64::from(intensity) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intensity(components: &[Component], x_mm: f64, y_mm: f64) -> f64 {
        let inside = components.iter().filter(|part| part.ellipse.contains(x_mm, y_mm));
        inside.map(|part| part.amplitude.re).sum()
    }

    #[test]
    fn first_slice_is_the_classical_picture() {
        let ellipses = shepp_logan(100.0, 0, 3);
        let at = |x, y| (intensity(&ellipses, x, y) * 100.0).round();
        assert_eq!(at(0.0, -91.0), 100.0, "skull");
        assert_eq!(at(0.0, 80.0), 20.0, "brain");
        assert_eq!(at(22.0, 0.0), 0.0, "right ventricle");
        assert_eq!(at(-22.0, 0.0), 0.0, "left ventricle");
        assert_eq!(at(0.0, -45.0), 30.0, "large disc, at the top");
        assert_eq!(at(0.0, 60.6), 30.0, "small disc, at the bottom");
        assert_eq!(at(-70.0, -70.0), 0.0, "air");
        // The ventricles lean outwards at the top: the left of the picture is the larger one.
        assert_eq!((at(-32.0, -32.0), at(-12.0, -34.0)), (0.0, 20.0 + 10.0));
    }

    #[test]
    fn slices_differ_and_stay_inside_the_field_of_view() {
        for slice in 0..40 {
            let outer = shepp_logan(100.0, slice, 40)[0].ellipse;
            assert!(outer.semi_axes_mm[1] <= 92.0);
            assert_ne!(outer, shepp_logan(100.0, slice + 1, 40)[0].ellipse);
        }
    }
}
