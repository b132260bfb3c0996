use std::f64::consts::PI;

use super::*;
use crate::anatomy::{Label, Lesion, ShortAxisOptions, short_axis};
use crate::ellipse::Ellipse;
use crate::tissue::LesionKind;

fn ill_heart() -> Anatomy {
    let lesion = |angle_rad, extent_rad, transmural| Lesion {
        kind: LesionKind::Infarct,
        angle_rad,
        extent_rad,
        transmural,
    };
    let lesions = vec![
        lesion(0.4, 1.2, [0.0, 0.6]),
        lesion(2.4, 0.9, [0.0, 1.0]),
        lesion(-1.8, 1.0, [0.4, 0.7]),
    ];
    short_axis(&ShortAxisOptions { lesions, vials: true, ..ShortAxisOptions::default() })
        .expect("fits")
}

fn pose(x: f64, y: f64, rotation_rad: f64, endocardial_scale: f64) -> Pose {
    Pose { shift_mm: [x, y], rotation_rad, endocardial_scale }
}

const POSES: [[f64; 4]; 9] = [
    [0.0, 0.0, 0.0, 1.0],
    [0.0, 0.0, 0.0, 0.6],
    [0.0, 0.0, 0.0, 1.15],
    [15.0, 0.0, 0.05, 0.9],
    [-15.0, 0.0, -0.05, 1.0],
    [0.0, 15.0, 0.05, 0.65],
    [0.0, -15.0, -0.05, 1.1],
    [10.0, 10.0, 0.1, 0.8],
    [-10.0, -10.0, 0.0, 1.1],
];

fn poses() -> impl Iterator<Item = Pose> {
    POSES.into_iter().map(|[x, y, rotation_rad, scale]| pose(x, y, rotation_rad, scale))
}

/// Points that cover the body evenly.
fn points(n: i32) -> impl Iterator<Item = [f64; 2]> {
    (0..n).map(|n| {
        let [x, y] = [0.754_877_666, 0.569_840_29].map(|step| (f64::from(n) * step).fract());
        [360.0 * x - 180.0, 250.0 * y - 125.0]
    })
}

/// Distance of a point from the nearest edge of any region.
fn to_an_edge_mm(anatomy: &Anatomy, [x, y]: [f64; 2]) -> f64 {
    let scaled = |ellipse: &Ellipse| {
        let (sin, cos) = ellipse.angle_rad.sin_cos();
        let [dx, dy] = [x - ellipse.center_mm[0], y - ellipse.center_mm[1]];
        let [a, b] = ellipse.semi_axes_mm;
        let level = ((dx * cos + dy * sin) / a).hypot((dy * cos - dx * sin) / b);
        // Not above the true distance.
        (level - 1.0).abs() * a.min(b)
    };
    anatomy.regions.iter().map(|region| scaled(&region.ellipse)).fold(f64::INFINITY, f64::min)
}

#[test]
fn parts_stay_nested_when_the_heart_moves_by_15_mm_and_beats() {
    let anatomy = ill_heart();
    for pose in poses() {
        let posed = anatomy.posed(&pose);
        assert_eq!(posed.check_nesting(0.0), Ok(()), "{pose:?}");
        assert!(anatomy.allows(&pose));
        assert_eq!(anatomy.nearest_allowed(&pose), pose);
    }
}

#[test]
fn a_point_keeps_its_region() {
    let anatomy = ill_heart();
    for pose in poses() {
        let deformation = Deformation::new(&anatomy, &pose);
        for from in points(20_000) {
            let region = anatomy.region_at(from[0], from[1]);
            let moved = deformation.displacement_mm(from);
            let to = [from[0] + moved[0], from[1] + moved[1]];
            let posed = deformation.posed();
            let attachment = region.map(|n| anatomy.regions[n].attachment);
            // The moving heart covers part of the chest.
            if matches!(attachment, None | Some(Attachment::Chest)) {
                assert_eq!(moved, [0.0; 2]);
                continue;
            }
            let found = posed.region_at(to[0], to[1]);
            if found == region {
                continue;
            }
            let label = |n: Option<usize>| n.map(|n| anatomy.regions[n].label);
            let is_wall = |label| matches!(label, Some(Label::Lesion(_) | Label::Myocardium));
            // Lesions are exact to first order only.
            let tolerance_mm =
                if is_wall(label(region)) && is_wall(label(found)) { 0.6 } else { 1e-6 };
            let distance_mm = to_an_edge_mm(posed, to);
            assert!(
                distance_mm < tolerance_mm,
                "{pose:?} {from:?}: {:?}, {:?} {distance_mm}",
                label(region),
                label(found)
            );
        }
    }
}

#[test]
fn the_way_back_undoes_the_way_there() {
    let anatomy = ill_heart();
    for pose in poses() {
        let deformation = Deformation::new(&anatomy, &pose);
        for from in points(5_000) {
            let region = anatomy.region_at(from[0], from[1]);
            let attachment = region.map(|n| anatomy.regions[n].attachment);
            if matches!(attachment, None | Some(Attachment::Chest)) {
                continue;
            }
            let moved = deformation.displacement_mm(from);
            let back = deformation.reference_of([from[0] + moved[0], from[1] + moved[1]]);
            let error_mm = (back[0] - from[0]).hypot(back[1] - from[1]);
            assert!(error_mm < 1e-9, "{pose:?} {from:?}: {back:?}");
        }
    }
}

#[test]
fn the_wall_keeps_its_area_and_nothing_folds() {
    let anatomy = ill_heart();
    let step_mm = 1e-4;
    for pose in poses() {
        let deformation = Deformation::new(&anatomy, &pose);
        let at = |p: [f64; 2]| {
            let moved = deformation.displacement_mm(p);
            [p[0] + moved[0], p[1] + moved[1]]
        };
        for [x, y] in points(5_000) {
            if to_an_edge_mm(&anatomy, [x, y]) < 0.01 {
                continue;
            }
            let (left, right) = (at([x - step_mm, y]), at([x + step_mm, y]));
            let (upper, lower) = (at([x, y - step_mm]), at([x, y + step_mm]));
            let along_x = [right[0] - left[0], right[1] - left[1]];
            let along_y = [lower[0] - upper[0], lower[1] - upper[1]];
            let jacobian =
                (along_x[0] * along_y[1] - along_x[1] * along_y[0]) / (4.0 * step_mm * step_mm);
            assert!(jacobian > 0.1, "{pose:?} {x} {y}: {jacobian}");
            let region = anatomy.region_at(x, y).map(|n| anatomy.regions[n].label);
            if matches!(region, Some(Label::Myocardium | Label::Lesion(_))) {
                // Central differences over 0.2 µm, rounding of 1e-14 mm over it.
                assert!((jacobian - 1.0).abs() < 1e-6, "{pose:?} {x} {y}: {jacobian}");
            }
        }
        let ring = |anatomy: &Anatomy| {
            let ventricle = anatomy.left_ventricle.expect("cut");
            PI * (ventricle.epicardial_radius_mm.powi(2) - ventricle.endocardial_radius_mm.powi(2))
        };
        assert!((ring(deformation.posed()) / ring(&anatomy) - 1.0).abs() < 1e-12);
    }
}

#[test]
fn displacement_is_continuous_in_the_heart() {
    let anatomy = ill_heart();
    let deformation = Deformation::new(&anatomy, &pose(4.0, -7.0, 0.1, 0.7));
    let heart = |p: [f64; 2]| {
        let region = anatomy.region_at(p[0], p[1]);
        region.is_some_and(|n| {
            matches!(anatomy.regions[n].attachment, Attachment::Heart | Attachment::LeftVentricle)
        })
    };
    for from in points(20_000) {
        let next = [from[0] + 0.01, from[1] + 0.01];
        if heart(from) && heart(next) {
            let [a, b] = [from, next].map(|p| deformation.displacement_mm(p));
            // No strain above 1 in this pose.
            assert!((a[0] - b[0]).hypot(a[1] - b[1]) < 0.015, "{from:?}");
        }
    }
}

#[test]
fn a_pose_too_far_is_brought_back_to_where_it_is_allowed() {
    let anatomy = ill_heart();
    for far in [pose(0.0, 60.0, 0.0, 1.0), pose(-80.0, 3.0, 0.3, 1.2), pose(0.0, 0.0, 0.0, 3.0)] {
        assert!(!anatomy.allows(&far), "{far:?}");
        let near = anatomy.nearest_allowed(&far);
        assert!(anatomy.allows(&near) && near != Pose::default(), "{near:?}");
    }
    for impossible in
        [pose(f64::NAN, 0.0, 0.0, 1.0), pose(0.0, 0.0, 0.0, 0.0), pose(0.0, 0.0, 0.0, -1.0)]
    {
        assert!(!anatomy.allows(&impossible));
    }
}

#[test]
fn the_reference_pose_moves_nothing() {
    let anatomy = ill_heart();
    let deformation = Deformation::new(&anatomy, &Pose::default());
    for point in points(2_000) {
        let moved = deformation.displacement_mm(point);
        // Rounding of 100 mm.
        assert!(moved[0].hypot(moved[1]) < 1e-12, "{point:?}: {moved:?}");
    }
}
