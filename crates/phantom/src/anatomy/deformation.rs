//! Where each point of the body goes when the heart moves.

mod heart_map;
mod stretch;
#[cfg(test)]
mod tests;

use heart_map::HeartMap;
use stretch::Stretch;

use crate::anatomy::{Anatomy, Attachment, LeftVentricle, Region};
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
    /// One per region.
    maps: Vec<RegionMap>,
}

/// Where the points of a region go.
#[derive(Clone, Copy, Debug)]
enum RegionMap {
    Still,
    Stretch(Stretch),
    Heart(HeartMap),
}

impl<'a> Deformation<'a> {
    /// The motion of `anatomy` to `pose`.
    ///
    /// # Panics
    /// If the pose has numbers that are not finite or a scale that is not above 0.
    pub fn new(anatomy: &'a Anatomy, pose: &Pose) -> Self {
        assert!(pose.is_possible(), "no pose of a heart: {pose:?}");
        let heart = HeartMap::new(anatomy.left_ventricle, pose);
        let (maps, regions) = anatomy
            .regions
            .iter()
            .map(|region| {
                let shape = region.ellipse;
                let (map, ellipse) = match region.attachment {
                    Attachment::Chest => (RegionMap::Still, shape),
                    Attachment::Diaphragm => {
                        let stretch = Stretch::new(&shape, heart.center_mm, pose.shift_mm);
                        (RegionMap::Stretch(stretch), stretch.ellipse(&shape))
                    }
                    Attachment::Heart => (RegionMap::Heart(heart), heart.around_the_wall(&shape)),
                    Attachment::LeftVentricle => {
                        (RegionMap::Heart(heart), heart.in_the_wall(&shape))
                    }
                };
                (map, Region { ellipse, ..*region })
            })
            .unzip();
        let left_ventricle = anatomy.left_ventricle.map(|ventricle| LeftVentricle {
            center_mm: heart.forward(ventricle.center_mm),
            endocardial_radius_mm: heart.radius(ventricle.endocardial_radius_mm),
            epicardial_radius_mm: heart.radius(ventricle.epicardial_radius_mm),
            insertion_angle_rad: ventricle.insertion_angle_rad + pose.rotation_rad,
        });
        Self { reference: anatomy, posed: Anatomy { regions, left_ventricle }, maps }
    }

    /// The body in the pose.
    pub fn posed(&self) -> &Anatomy {
        &self.posed
    }

    /// How far the material point that lies at \[x, y\] in the reference has moved, mm: exact
    /// for all points. 0 in the chest and in air.
    pub fn displacement_mm(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let region = self.reference.region_at(point_mm[0], point_mm[1]);
        let to = region.map_or(point_mm, |region| self.moved(region, point_mm));
        [to[0] - point_mm[0], to[1] - point_mm[1]]
    }

    /// Where in the reference the point lies that is at \[x, y\] in the pose.
    ///
    /// Lesions are ellipses in every pose, which their exact shape would not be; the points
    /// themselves follow the wall exactly.
    pub fn reference_of(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let region = self.posed.region_at(point_mm[0], point_mm[1]);
        region.map_or(point_mm, |region| self.origin(region, point_mm))
    }

    /// Where a point of a region of the reference is in the pose.
    pub(crate) fn moved(&self, region: usize, point_mm: [f64; 2]) -> [f64; 2] {
        match &self.maps[region] {
            RegionMap::Still => point_mm,
            RegionMap::Stretch(stretch) => stretch.forward(point_mm),
            RegionMap::Heart(heart) => heart.forward(point_mm),
        }
    }

    /// Where a point of a region of the pose is in the reference.
    pub(crate) fn origin(&self, region: usize, point_mm: [f64; 2]) -> [f64; 2] {
        match &self.maps[region] {
            RegionMap::Still => point_mm,
            RegionMap::Stretch(stretch) => stretch.inverse(point_mm),
            RegionMap::Heart(heart) => heart.inverse(point_mm),
        }
    }

    /// Whether a lung or the liver is turned inside out.
    fn folds(&self) -> bool {
        self.maps
            .iter()
            .any(|map| matches!(map, RegionMap::Stretch(stretch) if stretch.determinant() <= 0.0))
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
