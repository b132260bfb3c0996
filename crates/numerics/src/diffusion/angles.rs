//! Angles of fibres and sheetlets in the wall of the heart.

use super::eigen::{Eigen, cross, dot};

/// The axes of the wall at one place: orthogonal unit vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WallAxes {
    /// Along the circumference: long × outward radius.
    pub circumferential: [f64; 3],
    /// Along the ventricle.
    pub longitudinal: [f64; 3],
    /// Inwards: −(circumferential × longitudinal).
    pub radial: [f64; 3],
}

impl WallAxes {
    /// The axes of a short-axis slice where the outward normal of the wall points along \[`x`,
    /// `y`\], a vector of any length other than 0; the long axis is z.
    pub fn of_short_axis(x: f64, y: f64) -> Self {
        let length = x.hypot(y);
        let (x, y) = (x / length, y / length);
        Self { circumferential: [-y, x, 0.0], longitudinal: [0.0, 0.0, 1.0], radial: [-x, -y, 0.0] }
    }
}

/// Angles of a pixel of the wall, degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FibreAngles {
    /// From circumferential towards longitudinal, −90 to 90: above 0 is a right-handed helix.
    pub helix_deg: f64,
    /// From circumferential towards the inside, −90 to 90.
    pub transverse_deg: f64,
    /// Of the sheetlets from the wall's plane, −90 to 90: 0 is parallel to the wall, ±90 radial.
    pub e2_deg: f64,
}

/// Angles of a tensor in the wall.
///
/// * Helix angle: of the first eigenvector projected onto the circumferential-longitudinal plane.
/// * Transverse angle: of it projected onto the circumferential-radial plane.
/// * E2A: of the second eigenvector projected onto the plane normal to the fibre's projection into
///   the wall, measured from the wall: 0 where sheetlets lie in the wall, ±90 where they are
///   radial. (The opening of Khalique et al. 2018 words it the other way round.)
///
/// # Source
/// Ferreira et al. 2014; in the signs of INDI.
pub fn fibre_angles(eigen: &Eigen, axes: &WallAxes) -> FibreAngles {
    let [e1, e2, _] = &eigen.vectors;
    let (circ, long, radi) = (&axes.circumferential, &axes.longitudinal, &axes.radial);
    let (c, l, r) = (dot(e1, circ), dot(e1, long), dot(e1, radi));
    let from_circ = |towards: f64| fractional_angle(towards, c).to_degrees();
    let in_wall: [f64; 3] = std::array::from_fn(|i| c * circ[i] + l * long[i]);
    let mut across = cross(radi, &in_wall);
    if across[2] < 0.0 {
        across = across.map(|value| -value);
    }
    let length = dot(&across, &across).sqrt();
    let along_across = if length > 0.0 { dot(e2, &across) / length } else { 0.0 };
    // From the wall: towards the radius over along the wall.
    let e2_deg = fractional_angle(dot(e2, radi), along_across).to_degrees();
    FibreAngles { helix_deg: from_circ(l), transverse_deg: from_circ(r), e2_deg }
}

/// The angle of a line with these two components, −π/2 to π/2; 0 where both are 0.
pub fn fractional_angle(towards: f64, along: f64) -> f64 {
    if along < 0.0 { (-towards).atan2(-along) } else { towards.atan2(along) }
}
