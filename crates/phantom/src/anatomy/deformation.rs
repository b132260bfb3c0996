//! Where each point of the body goes when the heart moves.

use crate::anatomy::{Anatomy, Attachment, LeftVentricle, Region};
use crate::ellipse::Ellipse;
use crate::motion::Pose;

/// The motion of a body from its reference to a pose, and back.
///
/// # Method
/// In the heart, with r the distance from the centre of the left ventricle, R and E the radii
/// of blood pool and wall and R' = scale · R:
///
/// * blood pool: r' = r · R'/R;
/// * wall: r' = √(r² + R'² − R²), which keeps every area;
/// * outside the wall: r' = r · E'/E with E' that of the wall's edge, so the right ventricle
///   stays around the left one however wide it gets;
///
/// then a turn about that centre and a shift. This is continuous, one to one, and never
/// folds. Of lungs and liver, the side towards the heart moves as far as the heart is shifted
/// and the far side stays with the chest; in between displacement is linear. The chest does
/// not move: along the edges of heart, lungs and liver it slides, so there the displacement
/// jumps.
#[derive(Clone, Debug)]
pub struct Deformation<'a> {
    reference: &'a Anatomy,
    posed: Anatomy,
    heart: HeartMap,
    shift_mm: [f64; 2],
}

impl<'a> Deformation<'a> {
    /// The motion of `anatomy` to `pose`.
    ///
    /// # Panics
    /// If the pose has numbers that are not finite or a scale that is not above 0.
    pub fn new(anatomy: &'a Anatomy, pose: &Pose) -> Self {
        assert!(pose.is_possible(), "no pose of a heart: {pose:?}");
        let heart = HeartMap::new(anatomy.left_ventricle, pose);
        let center_mm = heart.center_mm;
        let regions = anatomy
            .regions
            .iter()
            .map(|region| {
                let ellipse = match region.attachment {
                    Attachment::Chest => region.ellipse,
                    Attachment::Diaphragm => {
                        Stretch::new(&region.ellipse, center_mm, pose.shift_mm)
                            .ellipse(&region.ellipse)
                    }
                    Attachment::Heart => heart.around_the_wall(&region.ellipse),
                    Attachment::LeftVentricle => heart.in_the_wall(&region.ellipse),
                };
                Region { ellipse, ..*region }
            })
            .collect();
        let left_ventricle = anatomy.left_ventricle.map(|ventricle| LeftVentricle {
            center_mm: heart.forward(ventricle.center_mm),
            endocardial_radius_mm: heart.radius(ventricle.endocardial_radius_mm),
            epicardial_radius_mm: heart.radius(ventricle.epicardial_radius_mm),
            insertion_angle_rad: ventricle.insertion_angle_rad + pose.rotation_rad,
        });
        let posed = Anatomy { regions, left_ventricle };
        Self { reference: anatomy, posed, heart, shift_mm: pose.shift_mm }
    }

    /// The body in the pose.
    pub fn posed(&self) -> &Anatomy {
        &self.posed
    }

    /// How far the material point that lies at \[x, y\] in the reference has moved, mm: exact
    /// for all points. 0 in the chest and in air.
    pub fn displacement_mm(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let region = self.reference.region_at(point_mm[0], point_mm[1]);
        let to = self.moved(point_mm, region);
        [to[0] - point_mm[0], to[1] - point_mm[1]]
    }

    /// Where in the reference the point lies that is at \[x, y\] in the pose.
    ///
    /// Lesions are ellipses in every pose, which their exact shape would not be; the points
    /// themselves follow the wall exactly.
    pub fn reference_of(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let Some(region) = self.posed.region_at(point_mm[0], point_mm[1]) else {
            return point_mm;
        };
        let region = &self.reference.regions[region];
        match region.attachment {
            Attachment::Chest => point_mm,
            Attachment::Diaphragm => self.stretch(&region.ellipse).inverse(point_mm),
            Attachment::Heart | Attachment::LeftVentricle => self.heart.inverse(point_mm),
        }
    }

    /// Whether a lung or the liver is turned inside out.
    fn folds(&self) -> bool {
        let stretched = |region: &&Region| region.attachment == Attachment::Diaphragm;
        let mut regions = self.reference.regions.iter().filter(stretched);
        regions.any(|region| self.stretch(&region.ellipse).determinant() <= 0.0)
    }

    fn stretch(&self, ellipse: &Ellipse) -> Stretch {
        Stretch::new(ellipse, self.heart.center_mm, self.shift_mm)
    }

    fn moved(&self, point_mm: [f64; 2], region: Option<usize>) -> [f64; 2] {
        let Some(region) = region.map(|index| &self.reference.regions[index]) else {
            return point_mm;
        };
        match region.attachment {
            Attachment::Chest => point_mm,
            Attachment::Diaphragm => self.stretch(&region.ellipse).forward(point_mm),
            Attachment::Heart | Attachment::LeftVentricle => self.heart.forward(point_mm),
        }
    }
}

impl Anatomy {
    /// The body in another pose than its reference. Shapes stay ellipses:
    ///
    /// * exactly in the chest, lungs, liver, right ventricle, blood and papillary muscles;
    /// * lesions to first order about their centre, with their innermost and outermost points
    ///   where the wall takes them.
    ///
    /// # Panics
    /// As [`Deformation::new`].
    #[must_use]
    pub fn posed(&self, pose: &Pose) -> Self {
        Deformation::new(self, pose).posed
    }

    /// [`Deformation::displacement_mm`] of one point.
    ///
    /// # Panics
    /// As [`Deformation::new`].
    pub fn displacement_mm(&self, pose: &Pose, point_mm: [f64; 2]) -> [f64; 2] {
        Deformation::new(self, pose).displacement_mm(point_mm)
    }

    /// [`Deformation::reference_of`] of one point.
    ///
    /// # Panics
    /// As [`Deformation::new`].
    pub fn reference_of(&self, pose: &Pose, point_mm: [f64; 2]) -> [f64; 2] {
        Deformation::new(self, pose).reference_of(point_mm)
    }

    /// Whether every part still lies in its parent in this pose, and none meets another.
    pub fn allows(&self, pose: &Pose) -> bool {
        if !pose.is_possible() {
            return false;
        }
        let deformation = Deformation::new(self, pose);
        !deformation.folds() && deformation.posed.check_nesting(0.0).is_ok()
    }

    /// The pose, or where it is not allowed the farthest one on the straight way from the
    /// reference to it that is, to a thousandth of the way.
    ///
    /// # Panics
    /// As [`Deformation::new`].
    #[must_use]
    pub fn nearest_allowed(&self, pose: &Pose) -> Pose {
        if self.allows(pose) {
            return *pose;
        }
        let (mut allowed, mut refused) = (0.0, 1.0);
        while refused - allowed > 1e-3 {
            let middle = 0.5 * (allowed + refused);
            if self.allows(&pose.fraction(middle)) {
                allowed = middle;
            } else {
                refused = middle;
            }
        }
        pose.fraction(allowed)
    }
}

/// The motion of the heart.
#[derive(Clone, Copy, Debug)]
struct HeartMap {
    center_mm: [f64; 2],
    shift_mm: [f64; 2],
    rotation_rad: f64,
    /// Of the blood pool: reference and pose, mm.
    endocardial_mm: [f64; 2],
    /// Of the wall: reference and pose, mm.
    epicardial_mm: [f64; 2],
}

impl HeartMap {
    fn new(left_ventricle: Option<LeftVentricle>, pose: &Pose) -> Self {
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
    fn radius(&self, reference_mm: f64) -> f64 {
        radius_from(reference_mm, self.endocardial_mm, self.epicardial_mm)
    }

    fn forward(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let from = [point_mm[0] - self.center_mm[0], point_mm[1] - self.center_mm[1]];
        let r = from[0].hypot(from[1]);
        let ratio = if r > 0.0 { self.radius(r) / r } else { 0.0 };
        let turned = turn(from, self.rotation_rad);
        [0, 1].map(|axis| self.center_mm[axis] + self.shift_mm[axis] + ratio * turned[axis])
    }

    fn inverse(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let from = [0, 1].map(|axis| point_mm[axis] - self.center_mm[axis] - self.shift_mm[axis]);
        let r = from[0].hypot(from[1]);
        let swap = |[reference, posed]: [f64; 2]| [posed, reference];
        let back = radius_from(r, swap(self.endocardial_mm), swap(self.epicardial_mm));
        let ratio = if r > 0.0 { back / r } else { 0.0 };
        let turned = turn(from, -self.rotation_rad);
        [0, 1].map(|axis| self.center_mm[axis] + ratio * turned[axis])
    }

    /// Shape outside the wall: similar to that of the reference.
    fn around_the_wall(&self, ellipse: &Ellipse) -> Ellipse {
        self.similar(ellipse, self.epicardial_mm[1] / self.epicardial_mm[0])
    }

    /// Shape of the wall and of what lies in it.
    fn in_the_wall(&self, ellipse: &Ellipse) -> Ellipse {
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

/// The motion of what breathing stretches: displacement grows linearly from 0 at the far side.
struct Stretch {
    center_mm: [f64; 2],
    shift_mm: [f64; 2],
    /// Gradient of the share of the shift, 1/mm. The share is ½ at the centre.
    gradient: [f64; 2],
}

impl Stretch {
    fn new(ellipse: &Ellipse, heart_mm: [f64; 2], shift_mm: [f64; 2]) -> Self {
        let center_mm = ellipse.center_mm;
        let towards = [heart_mm[0] - center_mm[0], heart_mm[1] - center_mm[1]];
        let distance = towards[0].hypot(towards[1]);
        let direction = if distance > 0.0 { towards.map(|x| x / distance) } else { [1.0, 0.0] };
        let half_width = ellipse.half_width_mm(direction);
        let gradient = direction.map(|x| 0.5 * x / half_width);
        Self { center_mm, shift_mm, gradient }
    }

    fn ellipse(&self, ellipse: &Ellipse) -> Ellipse {
        let [[sx, sy], [gx, gy]] = [self.shift_mm, self.gradient];
        let matrix = [[1.0 + sx * gx, sx * gy], [sy * gx, 1.0 + sy * gy]];
        ellipse.mapped(matrix, self.forward(ellipse.center_mm))
    }

    fn forward(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let share = 0.5 + self.along(point_mm);
        [0, 1].map(|axis| point_mm[axis] + share * self.shift_mm[axis])
    }

    fn inverse(&self, point_mm: [f64; 2]) -> [f64; 2] {
        // share = ½ + g·(p' − share·s − c) solved for the share.
        let share = (0.5 + self.along(point_mm)) / self.determinant();
        [0, 1].map(|axis| point_mm[axis] - share * self.shift_mm[axis])
    }

    fn determinant(&self) -> f64 {
        1.0 + self.shift_mm[0] * self.gradient[0] + self.shift_mm[1] * self.gradient[1]
    }

    fn along(&self, point_mm: [f64; 2]) -> f64 {
        (0..2).map(|n| self.gradient[n] * (point_mm[n] - self.center_mm[n])).sum()
    }
}

impl Ellipse {
    /// Its image under a linear map, with another centre. The longer axis becomes the first.
    fn mapped(&self, matrix: [[f64; 2]; 2], center_mm: [f64; 2]) -> Self {
        let (sin, cos) = self.angle_rad.sin_cos();
        let [a, b] = self.semi_axes_mm;
        let apply = |x: f64, y: f64| matrix.map(|row| row[0] * x + row[1] * y);
        let (u, v) = (apply(a * cos, a * sin), apply(-b * sin, b * cos));
        // Eigenvalues of u uᵀ + v vᵀ are the squares of the axes.
        let (xx, yy, xy) =
            (u[0] * u[0] + v[0] * v[0], u[1] * u[1] + v[1] * v[1], u[0] * u[1] + v[0] * v[1]);
        let spread = (0.5 * (xx - yy)).hypot(xy);
        let longer = (0.5 * (xx + yy) + spread).sqrt();
        let shorter = (u[0] * v[1] - u[1] * v[0]).abs() / longer;
        Self {
            semi_axes_mm: [longer, shorter],
            center_mm,
            angle_rad: 0.5 * (2.0 * xy).atan2(xx - yy),
        }
    }
}

fn turn([x, y]: [f64; 2], angle_rad: f64) -> [f64; 2] {
    let (sin, cos) = angle_rad.sin_cos();
    [x * cos - y * sin, x * sin + y * cos]
}

#[cfg(test)]
mod tests;
