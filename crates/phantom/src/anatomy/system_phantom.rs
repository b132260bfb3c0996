//! The system phantom of ISMRM and NIST: one plate of spheres in water.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, TAU};

use crate::anatomy::{Anatomy, Attachment, Label, Region};
use crate::ellipse::Ellipse;
use crate::tissue::{FieldStrength, Tissue};

/// Of the shell, which is filled with water.
const SHELL_RADIUS_MM: f64 = 95.0;

const SPHERE_RADIUS_MM: f64 = 7.5;

const OUTER_RING_MM: f64 = 50.0;

const INNER_RING_MM: f64 = 20.0;

const N_OUTER: usize = 10;

const N_SPHERES: usize = 14;

/// Which plate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SphereArray {
    /// Solutions of NiCl₂: T1 from 2 s to 22 ms.
    T1,
    /// Solutions of MnCl₂: T2 from 0.9 s to 6 ms.
    T2,
}

/// Why there is no such phantom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemPhantomError {
    /// No published times at this field.
    #[error(
        "the spheres of the system phantom have no published T1 and T2 at 0.55 T: choose 1.5 or 3 T"
    )]
    NoReference,
}

/// T1 and T2 of the spheres 1 to 14 at 20 °C, ms.
///
/// # Errors
/// If nobody has published them for this field.
///
/// # Source
/// Stupic et al. 2021, as collected in PhantomViewer of NIST. Of the first sphere of the T2
/// array at 1.5 T, sources give a T1 of 2376 and of 2736 ms.
pub fn sphere_times_ms(
    array: SphereArray,
    field_strength: FieldStrength,
) -> Result<[[f64; 2]; N_SPHERES], SystemPhantomError> {
    let (t1_ms, t2_ms) = match (array, field_strength) {
        (_, FieldStrength::Low) => return Err(SystemPhantomError::NoReference),
        (SphereArray::T1, FieldStrength::Medium) => (
            [
                2033.0, 1489.0, 1012.0, 730.8, 514.1, 367.9, 260.1, 184.6, 132.7, 92.7, 65.4,
                46.32, 32.45, 22.859,
            ],
            [
                1669.0, 1244.0, 859.3, 628.5, 446.3, 321.2, 227.7, 161.9, 117.1, 81.9, 57.7, 41.0,
                28.7, 20.2,
            ],
        ),
        (SphereArray::T1, FieldStrength::High) => (
            [
                1989.0, 1454.0, 984.1, 706.0, 496.7, 351.5, 247.13, 175.3, 125.9, 89.0, 62.7,
                44.53, 30.84, 21.719,
            ],
            [
                1465.0, 1076.0, 717.9, 510.1, 359.6, 255.5, 180.8, 127.3, 90.3, 64.3, 45.7, 31.86,
                22.38, 15.83,
            ],
        ),
        (SphereArray::T2, FieldStrength::Medium) => (
            [
                2376.0, 2183.0, 1870.0, 1539.0, 1237.0, 1030.0, 752.2, 550.2, 413.4, 292.9, 194.9,
                160.2, 106.4, 83.33,
            ],
            [
                939.4, 594.3, 416.5, 267.0, 184.9, 140.6, 91.76, 64.84, 45.28, 30.62, 19.76, 15.99,
                10.47, 8.15,
            ],
        ),
        (SphereArray::T2, FieldStrength::High) => (
            [
                2480.0, 2173.0, 1907.0, 1604.0, 1332.0, 1044.0, 801.7, 608.6, 458.4, 336.5, 244.2,
                176.6, 126.9, 90.9,
            ],
            [
                581.3, 403.5, 278.1, 190.94, 133.27, 96.89, 64.07, 46.42, 31.97, 22.56, 15.813,
                11.237, 7.911, 5.592,
            ],
        ),
    };
    Ok(std::array::from_fn(|n| [t1_ms[n], t2_ms[n]]))
}

/// The plate in the middle of the image: region 0 is the water, region n is sphere n.
///
/// Spheres 1 to 10 lie on a ring, clockwise from the top; 11 to 14 on one within, clockwise
/// from the top right. All are cut through their middle, 15 mm across.
///
/// # Assumptions
/// Rings of 50 and 20 mm and a shell of 190 mm; water of T1 2800 and T2 2000 ms; density 1
/// everywhere; T2* is T2, as in a perfect shim.
///
/// # Errors
/// As [`sphere_times_ms`].
pub fn system_phantom(
    array: SphereArray,
    field_strength: FieldStrength,
) -> Result<Anatomy, SystemPhantomError> {
    let times_ms = sphere_times_ms(array, field_strength)?;
    let region = |number: u8, center_mm, radius_mm, [t1_ms, t2_ms]: [f64; 2]| Region {
        label: Label::Vial(number),
        ellipse: Ellipse { semi_axes_mm: [radius_mm; 2], center_mm, angle_rad: 0.0 },
        parent: (number > 0).then_some(0),
        tissue: Tissue {
            t1_ms,
            t2_ms,
            t2_star_ms: t2_ms,
            proton_density: 1.0,
            off_resonance_hz: 0.0,
            ecv_percent: None,
        },
        attachment: Attachment::Chest,
    };
    let water = region(0, [0.0; 2], SHELL_RADIUS_MM, [2800.0, 2000.0]);
    let spheres = (1..).zip(times_ms).enumerate().map(|(n, (number, times_ms))| {
        region(number, sphere_center_mm(n), SPHERE_RADIUS_MM, times_ms)
    });
    Ok(Anatomy { regions: std::iter::once(water).chain(spheres).collect(), left_ventricle: None })
}

/// Of the sphere counted from 0.
fn sphere_center_mm(sphere: usize) -> [f64; 2] {
    let (radius_mm, angle_rad) = if sphere < N_OUTER {
        (OUTER_RING_MM, TAU * sphere as f64 / N_OUTER as f64 - FRAC_PI_2)
    } else {
        let n_inner = (N_SPHERES - N_OUTER) as f64;
        (INNER_RING_MM, TAU * (sphere - N_OUTER) as f64 / n_inner - FRAC_PI_4)
    };
    let (sin, cos) = angle_rad.sin_cos();
    [radius_mm * cos, radius_mm * sin]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spheres_lie_apart_in_the_water_and_have_their_times() {
        for array in [SphereArray::T1, SphereArray::T2] {
            for field in [FieldStrength::Medium, FieldStrength::High] {
                let phantom = system_phantom(array, field).expect("published");
                phantom.check_nesting(5.0).expect("apart");
                assert_eq!(phantom.regions.len(), 15);
                for (region, times) in phantom.regions[1..].iter().zip(phantom.regions[2..].iter())
                {
                    // Every column of the tables falls from sphere to sphere.
                    assert!(region.tissue.t1_ms > times.tissue.t1_ms);
                    assert!(region.tissue.t2_ms > times.tissue.t2_ms);
                }
                assert!(phantom.regions.iter().all(|r| r.tissue.t2_ms < r.tissue.t1_ms));
            }
        }
        let phantom = system_phantom(SphereArray::T2, FieldStrength::High).expect("published");
        let fifth = phantom.regions[5];
        assert_eq!((fifth.tissue.t1_ms, fifth.tissue.t2_ms), (1332.0, 133.27));
        assert_eq!(fifth.label, Label::Vial(5));
    }

    #[test]
    fn a_field_without_published_times_is_refused() {
        let refused = system_phantom(SphereArray::T1, FieldStrength::Low);
        assert_eq!(refused, Err(SystemPhantomError::NoReference));
    }
}
