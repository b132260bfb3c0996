//! Focal lesions: ellipses side by side in the wall of the left ventricle.

use std::f64::consts::TAU;

use crate::anatomy::LeftVentricle;
use crate::ellipse::Ellipse;
use crate::tissue::LesionKind;

/// Least distance of a lesion from the edges of the wall, mm.
const INSET_MM: f64 = 0.2;

/// Gap between the ellipses of a lesion, mm.
const GAP_MM: f64 = 0.2;

/// Square of an ellipse's tangential half axis over that at which its ends would reach beyond
/// the circle around its outermost point. Below 1 so that it stays inside when the wall gets
/// thinner.
const ROUNDNESS: f64 = 0.8;

/// Where in the wall a lesion is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lesion {
    /// What it is.
    pub kind: LesionKind,
    /// Direction of its middle from the centre of the left ventricle, from x towards y.
    pub angle_rad: f64,
    /// The angle that it spans, above 0 and up to 2π.
    pub extent_rad: f64,
    /// Its inner and outer edge: 0 is endocardium, 1 is epicardium.
    pub transmural: [f64; 2],
}

/// Why a lesion does not fit into the wall.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LesionError {
    /// The angles.
    #[error(
        "a lesion spans {:.4}° at {:.4}°: it must span more than 0° and at most 360°",
        extent_rad.to_degrees(), angle_rad.to_degrees()
    )]
    Extent {
        /// Of the middle.
        angle_rad: f64,
        /// From end to end.
        extent_rad: f64,
    },
    /// The depth.
    #[error(
        "a lesion reaches from {} to {} of the wall: give two ascending numbers from 0 (endocardium) to 1 (epicardium)",
        transmural[0], transmural[1]
    )]
    Transmural {
        /// Inner and outer edge.
        transmural: [f64; 2],
    },
    /// The depth in mm.
    #[error("a lesion is {thickness_mm:.2} mm thick, at least 0.4 mm are needed")]
    TooThin {
        /// Of the lesion, without its distance from the edges of the wall.
        thickness_mm: f64,
    },
}

impl Lesion {
    /// The ellipses that make it up: each lies in the wall and touches no other.
    ///
    /// # Errors
    /// [`LesionError`] for numbers that describe no place in the wall.
    pub(crate) fn ellipses(&self, wall: &LeftVentricle) -> Result<Vec<Ellipse>, LesionError> {
        let Self { angle_rad, extent_rad, transmural, .. } = *self;
        if !(angle_rad.is_finite() && extent_rad > 0.0 && extent_rad <= TAU) {
            return Err(LesionError::Extent { angle_rad, extent_rad });
        }
        let [inner, outer] = transmural;
        if !(inner >= 0.0 && inner < outer && outer <= 1.0) {
            return Err(LesionError::Transmural { transmural });
        }
        let (endo_mm, epi_mm) = (wall.endocardial_radius_mm, wall.epicardial_radius_mm);
        let at = |depth: f64| endo_mm + depth * (epi_mm - endo_mm);
        let inner_mm = at(inner).max(endo_mm + INSET_MM);
        let outer_mm = at(outer).min(epi_mm - INSET_MM);
        let thickness_mm = outer_mm - inner_mm;
        if thickness_mm < 2.0 * INSET_MM {
            return Err(LesionError::TooThin { thickness_mm });
        }

        let (radial_mm, middle_mm) = (0.5 * thickness_mm, 0.5 * (inner_mm + outer_mm));
        // Lines from the centre that touch the ellipse: tan² = b² / (r² − a²).
        let tangent_mm = (inner_mm * outer_mm).sqrt();
        let largest_mm = (ROUNDNESS * radial_mm * outer_mm).sqrt();
        let largest_rad = 2.0 * (largest_mm / tangent_mm).atan();
        let n_ellipses = (extent_rad / largest_rad).ceil().max(1.0);
        let wedge_rad = extent_rad / n_ellipses;
        let free_rad = (wedge_rad - GAP_MM / middle_mm).max(0.5 * wedge_rad);
        let tangential_mm = tangent_mm * (0.5 * free_rad).tan();
        let first_rad = angle_rad - 0.5 * (extent_rad - wedge_rad);
        let ellipses = (0..n_ellipses as usize).map(|n| {
            let direction_rad = first_rad + n as f64 * wedge_rad;
            let (sin, cos) = direction_rad.sin_cos();
            Ellipse {
                semi_axes_mm: [radial_mm, tangential_mm],
                center_mm: [
                    wall.center_mm[0] + middle_mm * cos,
                    wall.center_mm[1] + middle_mm * sin,
                ],
                angle_rad: direction_rad,
            }
        });
        Ok(ellipses.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: LeftVentricle = LeftVentricle {
        center_mm: [3.0, -4.0],
        endocardial_radius_mm: 22.0,
        epicardial_radius_mm: 32.0,
        insertion_angle_rad: 0.0,
    };

    fn lesion(extent_rad: f64, transmural: [f64; 2]) -> Lesion {
        Lesion { kind: LesionKind::Infarct, angle_rad: 0.8, extent_rad, transmural }
    }

    #[test]
    fn ellipses_lie_within_the_depth_that_was_asked_for_and_apart() {
        for extent_rad in [0.1, 0.7, 2.0, TAU] {
            for transmural in [[0.0, 0.3], [0.0, 1.0], [0.4, 0.6], [0.9, 1.0]] {
                let ellipses = lesion(extent_rad, transmural).ellipses(&WALL).expect("fits");
                let circle = |depth: f64| {
                    let radius_mm = 22.0 + 10.0 * depth;
                    Ellipse {
                        semi_axes_mm: [radius_mm; 2],
                        center_mm: WALL.center_mm,
                        angle_rad: 0.0,
                    }
                };
                for (n, ellipse) in ellipses.iter().enumerate() {
                    assert!(ellipse.clearance_inside(&circle(transmural[1])) > -1e-9);
                    assert!(ellipse.clearance_from(&circle(transmural[0])) > -1e-9);
                    for other in &ellipses[..n] {
                        assert!(ellipse.clearance_from(other) > 0.1, "{extent_rad} {transmural:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_lesion_fills_most_of_its_sector() {
        let ellipses = lesion(1.5, [0.0, 0.5]).ellipses(&WALL).expect("fits");
        let area: f64 =
            ellipses.iter().map(|e| 0.5 * TAU * e.semi_axes_mm[0] * e.semi_axes_mm[1]).sum();
        let sector = 0.5 * 1.5 * (27.0_f64.powi(2) - 22.0_f64.powi(2));
        // π/4 of a rectangle, less the gaps and the inset.
        assert!(area / sector > 0.65 && area / sector < 0.79, "{}", area / sector);
    }

    #[test]
    fn places_that_are_not_in_the_wall_are_refused() {
        for (extent_rad, transmural) in [
            (0.0, [0.0, 1.0]),
            (7.0, [0.0, 1.0]),
            (f64::NAN, [0.0, 1.0]),
            (1.0, [0.5, 0.5]),
            (1.0, [-0.1, 0.5]),
            (1.0, [0.5, 1.1]),
            (1.0, [0.5, 0.52]),
            (1.0, [f64::NAN, 0.5]),
        ] {
            assert!(lesion(extent_rad, transmural).ellipses(&WALL).is_err(), "{transmural:?}");
        }
    }
}
