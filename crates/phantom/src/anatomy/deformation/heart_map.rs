//! How the heart beats, turns and shifts.

use crate::anatomy::LeftVentricle;
use crate::ellipse::Ellipse;
use crate::motion::Pose;

/// The motion of the heart.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeartMap {
    pub(super) center_mm: [f64; 2],
    shift_mm: [f64; 2],
    rotation_rad: f64,
    /// Of the blood pool: reference and pose, mm.
    endocardial_mm: [f64; 2],
    /// Of the wall: reference and pose, mm.
    epicardial_mm: [f64; 2],
}

impl HeartMap {
    pub(super) fn new(left_ventricle: Option<LeftVentricle>, pose: &Pose) -> Self {
        // Without a left ventricle, nothing widens.
        let (center_mm, endo, epi, scale) =
            left_ventricle.map_or(([0.0; 2], 1.0, 1.0, 1.0), |ventricle| {
                let radii = (ventricle.endocardial_radius_mm, ventricle.epicardial_radius_mm);
                (ventricle.center_mm, radii.0, radii.1, pose.endocardial_scale)
            });
        let posed_endo = scale * endo;
        let posed_epi = (epi * epi + posed_endo * posed_endo - endo * endo).sqrt();
        Self {
            center_mm,
            shift_mm: pose.shift_mm,
            rotation_rad: pose.rotation_rad,
            endocardial_mm: [endo, posed_endo],
            epicardial_mm: [epi, posed_epi],
        }
    }

    /// Distance from the centre in the pose.
    pub(super) fn radius(&self, reference_mm: f64) -> f64 {
        radius_from(reference_mm, self.endocardial_mm, self.epicardial_mm)
    }

    pub(super) fn forward(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let from = [point_mm[0] - self.center_mm[0], point_mm[1] - self.center_mm[1]];
        let r = from[0].hypot(from[1]);
        let ratio = if r > 0.0 { self.radius(r) / r } else { 0.0 };
        let turned = turn(from, self.rotation_rad);
        [0, 1].map(|axis| self.center_mm[axis] + self.shift_mm[axis] + ratio * turned[axis])
    }

    pub(super) fn inverse(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let from = [0, 1].map(|axis| point_mm[axis] - self.center_mm[axis] - self.shift_mm[axis]);
        let r = from[0].hypot(from[1]);
        let swap = |[reference, posed]: [f64; 2]| [posed, reference];
        let back = radius_from(r, swap(self.endocardial_mm), swap(self.epicardial_mm));
        let ratio = if r > 0.0 { back / r } else { 0.0 };
        let turned = turn(from, -self.rotation_rad);
        [0, 1].map(|axis| self.center_mm[axis] + ratio * turned[axis])
    }

    /// Shape outside the wall: similar to that of the reference.
    pub(super) fn around_the_wall(&self, ellipse: &Ellipse) -> Ellipse {
        self.similar(ellipse, self.epicardial_mm[1] / self.epicardial_mm[0])
    }

    /// Shape of the wall and of what lies in it.
    pub(super) fn in_the_wall(&self, ellipse: &Ellipse) -> Ellipse {
        let from = [0, 1].map(|axis| ellipse.center_mm[axis] - self.center_mm[axis]);
        let r = from[0].hypot(from[1]);
        let [a, b] = ellipse.semi_axes_mm;
        if r < 1e-9 * a && (a - b).abs() < 1e-9 * a {
            return self.similar(ellipse, self.radius(a) / a);
        }
        let outward = if r > 0.0 { [from[0] / r, from[1] / r] } else { [1.0, 0.0] };
        let reach = ellipse.half_width_mm(outward);
        if r <= self.endocardial_mm[0] {
            return self.similar(ellipse, self.endocardial_mm[1] / self.endocardial_mm[0]);
        }
        let (inner, outer) = (self.radius(r - reach), self.radius(r + reach));
        let radial = (outer - inner) / (2.0 * reach);
        // A shape whose axes point outwards and around keeps the angle that it spans: lesions
        // side by side never meet.
        let tangential = (inner * outer / ((r - reach) * (r + reach))).sqrt();
        // radial · n nᵀ + tangential · (1 − n nᵀ), then the turn.
        let [x, y] = outward;
        let stretch = [
            [tangential + (radial - tangential) * x * x, (radial - tangential) * x * y],
            [(radial - tangential) * x * y, tangential + (radial - tangential) * y * y],
        ];
        let middle = turn(outward, self.rotation_rad).map(|n| 0.5 * (inner + outer) * n);
        let center_mm =
            [0, 1].map(|axis| self.center_mm[axis] + self.shift_mm[axis] + middle[axis]);
        let mapped = ellipse.mapped(stretch, center_mm);
        Ellipse { angle_rad: mapped.angle_rad + self.rotation_rad, ..mapped }
    }

    fn similar(&self, ellipse: &Ellipse, scale: f64) -> Ellipse {
        let from = [0, 1].map(|axis| ellipse.center_mm[axis] - self.center_mm[axis]);
        let turned = turn(from, self.rotation_rad);
        Ellipse {
            semi_axes_mm: ellipse.semi_axes_mm.map(|length| scale * length),
            center_mm: [0, 1]
                .map(|axis| self.center_mm[axis] + self.shift_mm[axis] + scale * turned[axis]),
            angle_rad: ellipse.angle_rad + self.rotation_rad,
        }
    }
}

/// Where the distance `r` goes when blood pool and wall go from the first of their radii to
/// the second.
fn radius_from(r: f64, endocardial_mm: [f64; 2], epicardial_mm: [f64; 2]) -> f64 {
    if r <= endocardial_mm[0] {
        r * endocardial_mm[1] / endocardial_mm[0]
    } else if r <= epicardial_mm[0] {
        let [from, to] = endocardial_mm;
        (r * r + (to * to - from * from)).sqrt()
    } else {
        r * epicardial_mm[1] / epicardial_mm[0]
    }
}

fn turn([x, y]: [f64; 2], angle_rad: f64) -> [f64; 2] {
    let (sin, cos) = angle_rad.sin_cos();
    [x * cos - y * sin, x * sin + y * cos]
}
