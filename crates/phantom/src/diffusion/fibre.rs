//! The directions of cardiomyocytes and sheetlets in the wall.
//!
//! # Axes
//! x points to the right of the image, y down and z away from the viewer: the right-handed
//! third axis. With x to the patient's left and y to the back, z points to the head; in a
//! short-axis slice seen from the apex, as pictures of the heart are, to the base.
//!
//! # Handedness
//! Let r be the outward radius and l the long axis, either way along z. The wall's own axes are
//! circ = l × r and radi = −(circ × l), which points inwards. Take r = x and l = z: then
//! circ = z × x = y. A fibre with helix angle α at that place runs along cos α·y + sin α·z.
//! Followed for a small turn about l, from x towards y, it rises along +l if α > 0. A right hand
//! whose thumb points along l has its fingers turn from x towards y, because x × y = z; so the
//! fibre climbs as a right-handed screw does. With l = −z instead, circ = −z × x = −y; the same
//! fibre, pointed along +circ, is −(cos α·y + sin α·z) = cos α·circ + sin α·l: the same angle.
//! With y down and z *towards* the viewer the axes are left-handed, and every helix angle would
//! have the other sign. A mirror flips helix and transverse angle.
//!
//! The sign of the sheetlet angle does depend on which end of the long axis is the base, because
//! the vector across the fibre is made to point there; its magnitude, which is what is reported,
//! does not.
//!
//! # Source
//! Definitions of helix, transverse and sheetlet angle as in Ferreira et al. 2014 and in INDI.

use super::eigenvalues::Eigenvalues;

/// The axes of the wall at one place: orthogonal unit vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WallFrame {
    /// Along the circumference: long × outward radius.
    pub circumferential: [f64; 3],
    /// Along the ventricle, +z.
    pub longitudinal: [f64; 3],
    /// Inwards: −(circumferential × longitudinal).
    pub radial: [f64; 3],
}

/// One place in the myocardium.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fibre {
    /// From circumferential towards longitudinal, seen along the radius: −π/2 to π/2; above 0 is
    /// a right-handed helix.
    pub helix_angle_rad: f64,
    /// From circumferential towards the inside, seen along the long axis: between −π/2 and π/2.
    pub transverse_angle_rad: f64,
    /// Of the sheetlets from the wall's plane, −π/2 to π/2: 0 is parallel to the wall, ±π/2
    /// radial.
    pub e2_angle_rad: f64,
    /// Along and across.
    pub eigenvalues: Eigenvalues,
}

impl WallFrame {
    /// The axes where the outward radius points along \[`x`, `y`\], a vector of any length
    /// other than 0.
    pub fn at(x: f64, y: f64) -> Self {
        let length = x.hypot(y);
        let (x, y) = (x / length, y / length);
        Self { circumferential: [-y, x, 0.0], longitudinal: [0.0, 0.0, 1.0], radial: [-x, -y, 0.0] }
    }
}

impl Fibre {
    /// The eigenvectors: along the cardiomyocytes, within the sheetlet across them, and normal to
    /// it. The longitudinal component of the second one is not negative where the first lies in
    /// the wall, and e3 = e1 × e2.
    ///
    /// # Method
    /// With a, b, r the circumferential, longitudinal and radial axes, p = cos HA·a + sin HA·b
    /// and c = cos HA·b − sin HA·a: e1 ∝ p + τ·r with τ = cos HA·tan TA, whose projections
    /// onto (a, b) and (a, r) make the angles HA and TA with a exactly; e2 ∝ cos E2A·c +
    /// sin E2A·(r − τ·p), which is normal to e1 and whose projection onto (r, c) makes the angle
    /// E2A with c.
    pub fn eigenvectors(&self, frame: &WallFrame) -> [[f64; 3]; 3] {
        let (sin_ha, cos_ha) = self.helix_angle_rad.sin_cos();
        let (sin_e2, cos_e2) = self.e2_angle_rad.sin_cos();
        let slope = cos_ha * self.transverse_angle_rad.tan();
        let (a, b, r) = (frame.circumferential, frame.longitudinal, frame.radial);
        let along: [f64; 3] = std::array::from_fn(|i| cos_ha * a[i] + sin_ha * b[i]);
        let across: [f64; 3] = std::array::from_fn(|i| cos_ha * b[i] - sin_ha * a[i]);
        let e1 = unit(std::array::from_fn(|i| along[i] + slope * r[i]));
        let e2 =
            unit(std::array::from_fn(|i| cos_e2 * across[i] + sin_e2 * (r[i] - slope * along[i])));
        [e1, e2, cross(e1, e2)]
    }

    /// Σ λᵢ·eᵢ·eᵢᵀ in the order xx, xy, xz, yy, yz, zz, µm²/ms.
    pub fn tensor_um2_per_ms(&self, frame: &WallFrame) -> [f64; 6] {
        let eigenvectors = self.eigenvectors(frame);
        let element = |i: usize, j: usize| {
            std::iter::zip(&eigenvectors, &self.eigenvalues.0)
                .map(|(vector, value)| value * vector[i] * vector[j])
                .sum()
        };
        [element(0, 0), element(0, 1), element(0, 2), element(1, 1), element(1, 2), element(2, 2)]
    }
}

/// The angle of a line from −π/2 to below π/2, where half a turn makes no difference.
pub(super) fn wrapped(angle_rad: f64) -> f64 {
    use std::f64::consts::{FRAC_PI_2, PI};
    (angle_rad + FRAC_PI_2).rem_euclid(PI) - FRAC_PI_2
}

fn unit(vector: [f64; 3]) -> [f64; 3] {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    vector.map(|value| value / length)
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[cfg(test)]
mod tests;
