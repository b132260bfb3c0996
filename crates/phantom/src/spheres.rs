//! Spheres at places of the patient.

use num_complex::Complex64;

use crate::ellipse::Ellipse;
use crate::object::Component;

/// A sphere of even intensity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sphere {
    /// Its centre in the patient \[left, posterior, superior\], mm.
    pub center_mm: [f64; 3],
    /// Its radius, mm.
    pub radius_mm: f64,
    /// Its intensity. Where spheres overlap they add up.
    pub intensity: f64,
}

/// The discs that a plane cuts out of spheres, in its own coordinates.
///
/// * `center_mm`: origin of the plane in the patient, mm.
/// * `read`, `phase`: its axes, unit vectors at right angles.
pub(crate) fn cut(
    spheres: &[Sphere],
    center_mm: [f64; 3],
    read: [f64; 3],
    phase: [f64; 3],
) -> Vec<Component> {
    let along = |a: [f64; 3], b: [f64; 3]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    spheres
        .iter()
        .filter_map(|sphere| {
            let from_center = [0, 1, 2].map(|axis| sphere.center_mm[axis] - center_mm[axis]);
            let (x, y) = (along(from_center, read), along(from_center, phase));
            let distance_squared = along(from_center, from_center) - x * x - y * y;
            let radius_squared = sphere.radius_mm * sphere.radius_mm - distance_squared;
            (radius_squared > 0.0).then(|| Component {
                ellipse: Ellipse {
                    semi_axes_mm: [radius_squared.sqrt(); 2],
                    center_mm: [x, y],
                    angle_rad: 0.0,
                },
                amplitude: Complex64::from(sphere.intensity),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_cuts_discs_where_the_spheres_are() {
        let sphere = Sphere { center_mm: [10.0, -4.0, 33.0], radius_mm: 5.0, intensity: 2.0 };
        // Sagittal, 3 mm beside the sphere's centre: x to the back, y to the feet.
        let (read, phase) = ([0.0, 1.0, 0.0], [0.0, 0.0, -1.0]);
        let discs = cut(&[sphere], [13.0, 1.0, 30.0], read, phase);
        let [disc] = discs[..] else { panic!("{} discs", discs.len()) };
        let Ellipse { semi_axes_mm: [radius, _], center_mm: [x, y], .. } = disc.ellipse;
        assert!((radius - 4.0).abs() < 1e-12 && (x + 5.0).abs() < 1e-12 && (y + 3.0).abs() < 1e-12);
        assert!(cut(&[sphere], [16.0, 0.0, 0.0], read, phase).is_empty());
    }
}
