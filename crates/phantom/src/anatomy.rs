//! The parts of a body in one slice: which tissue lies where, and what moves with what.
//!
//! Parts are nested: an ellipse lies wholly inside its parent and touches none of its siblings.
//! So a part's signal minus that of its parent, times its ellipse, sums up to the picture, and
//! its k-space is exact (Shepp and Logan 1974).

mod deformation;
mod layout;
mod lesion;
mod nesting;
mod random;
mod short_axis;
mod system_phantom;
mod transform;

pub use deformation::Deformation;
pub use lesion::{Lesion, LesionError};
pub use nesting::NestingError;
pub use random::{BiasField, RandomAnatomy, RandomOptions, RandomOptionsError, random_anatomy};
pub use short_axis::{Contrast, ShortAxisError, ShortAxisOptions, short_axis};
pub use system_phantom::{SphereArray, SystemPhantomError, sphere_times_ms, system_phantom};

use num_complex::Complex64;

use crate::ellipse::Ellipse;
use crate::object::Component;
use crate::tissue::{LesionKind, Tissue};

/// What a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// Subcutaneous fat.
    Fat,
    /// Muscle of the chest wall.
    Muscle,
    /// Lung.
    Lung,
    /// Liver.
    Liver,
    /// Blood of the descending aorta.
    Aorta,
    /// Wall of the right ventricle.
    RightWall,
    /// Blood of the right ventricle.
    RightBlood,
    /// Wall of the left ventricle.
    Myocardium,
    /// Blood of the left ventricle.
    LeftBlood,
    /// Papillary muscle.
    Papillary,
    /// A lesion in the wall of the left ventricle.
    Lesion(LesionKind),
    /// A sphere of a system phantom, counted from 1, or what surrounds the spheres, 0.
    Vial(u8),
}

impl Label {
    /// Code of the first kind of lesion.
    pub const FIRST_LESION_CODE: u16 = 20;

    /// Code of what surrounds the spheres of a system phantom. Sphere n has n more.
    pub const FIRST_VIAL_CODE: u16 = 100;

    /// Number that stands for it in a map of labels; 0 is air.
    ///
    /// 1 fat, 2 muscle, 3 lung, 4 liver, 5 aorta, 6 wall and 7 blood of the right ventricle,
    /// 8 wall and 9 blood of the left, 10 papillary muscle; lesions: 20 infarct, 21 acute
    /// infarct, 22 fibrosis, 23 oedema, 24 iron, 25 amyloid, 26 Fabry; vials: 100 and up.
    pub fn code(self) -> u16 {
        match self {
            Self::Fat => 1,
            Self::Muscle => 2,
            Self::Lung => 3,
            Self::Liver => 4,
            Self::Aorta => 5,
            Self::RightWall => 6,
            Self::RightBlood => 7,
            Self::Myocardium => 8,
            Self::LeftBlood => 9,
            Self::Papillary => 10,
            Self::Lesion(kind) => {
                Self::FIRST_LESION_CODE
                    + match kind {
                        LesionKind::Infarct => 0,
                        LesionKind::AcuteInfarct => 1,
                        LesionKind::Fibrosis => 2,
                        LesionKind::Oedema => 3,
                        LesionKind::Iron => 4,
                        LesionKind::Amyloid => 5,
                        LesionKind::Fabry => 6,
                    }
            }
            Self::Vial(number) => Self::FIRST_VIAL_CODE + u16::from(number),
        }
    }
}

/// What a region moves with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attachment {
    /// The chest: never moves.
    Chest,
    /// What breathing stretches: the side towards the heart moves with it, without its beat,
    /// and the far side stays with the chest. Liver and lungs.
    Diaphragm,
    /// The heart outside the left ventricle: breathing, and the widening of what it encloses.
    Heart,
    /// The left ventricle and what lies in it: breathing and beat.
    LeftVentricle,
}

/// A part of the body of one tissue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// What it is.
    pub label: Label,
    /// Where it is in the reference pose.
    pub ellipse: Ellipse,
    /// The region that surrounds it, an index below its own. `None` in air.
    pub parent: Option<usize>,
    /// What it is made of.
    pub tissue: Tissue,
    /// What it moves with.
    pub attachment: Attachment,
}

/// The regions of one slice, parents first.
#[derive(Clone, Debug, PartialEq)]
pub struct Anatomy {
    /// Parents come before what they surround.
    pub regions: Vec<Region>,
    /// Where the left ventricle is, where the slice cuts one.
    pub left_ventricle: Option<LeftVentricle>,
}

/// The ring of the left ventricle in the reference pose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeftVentricle {
    /// Centre \[x, y\], mm.
    pub center_mm: [f64; 2],
    /// Radius of the blood pool.
    pub endocardial_radius_mm: f64,
    /// Outer radius of the wall.
    pub epicardial_radius_mm: f64,
    /// Where the right ventricle's wall meets the left one's at the front: angle from x
    /// towards y of the anterior insertion point.
    pub insertion_angle_rad: f64,
}

impl Anatomy {
    /// The object that shows `signals`, one per region.
    ///
    /// # Panics
    /// If there is not one signal per region.
    pub fn components(&self, signals: &[Complex64]) -> Vec<Component> {
        assert_eq!(signals.len(), self.regions.len(), "one signal per region");
        let surrounding = |region: &Region| region.parent.map_or(Complex64::ZERO, |p| signals[p]);
        self.regions
            .iter()
            .zip(signals)
            .map(|(region, signal)| Component {
                ellipse: region.ellipse,
                amplitude: signal - surrounding(region),
            })
            .collect()
    }

    /// The innermost region at a point, `None` in air.
    pub fn region_at(&self, x_mm: f64, y_mm: f64) -> Option<usize> {
        self.regions.iter().rposition(|region| region.ellipse.contains(x_mm, y_mm))
    }
}
