//! From the measures of a chest to its regions.

use crate::anatomy::{Anatomy, Attachment, Label, LeftVentricle, Lesion, LesionError, Region};
use crate::ellipse::Ellipse;
use crate::tissue::{LesionKind, Tissue, TissueKind};

/// T1 and T2 of the vials beside the body, ms: as of myocardium and blood at 1.5 T, before
/// contrast and after (Captur et al. 2016 chose theirs so).
pub(crate) const VIALS_MS: [[f64; 2]; 4] =
    [[1000.0, 48.0], [1550.0, 230.0], [450.0, 45.0], [300.0, 180.0]];

/// A chest in one slice, as measures.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub fat: Ellipse,
    pub muscle: Ellipse,
    pub lungs: Vec<Ellipse>,
    pub liver: Option<Ellipse>,
    pub aorta: Option<Ellipse>,
    pub left_ventricle: LeftVentricle,
    pub right_ventricle: Option<RightVentricle>,
    pub papillaries: Vec<Ellipse>,
    pub lesions: Vec<Lesion>,
    /// One per entry of [`VIALS_MS`], or none.
    pub vials: Vec<Ellipse>,
}

/// The right ventricle: an ellipse that holds the left one and touches it on the far side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RightVentricle {
    /// Blood between septum and free wall along the line through both ventricles.
    pub width_mm: f64,
    /// Height over the least one that holds the left ventricle, above 1.
    pub height_ratio: f64,
    pub wall_thickness_mm: f64,
    /// Direction from the left to the right ventricle, from x towards y.
    pub direction_rad: f64,
}

impl RightVentricle {
    /// Blood pool with the left ventricle in it.
    pub fn ellipse(&self, left: &LeftVentricle) -> Ellipse {
        let epi_mm = left.epicardial_radius_mm;
        let (sin, cos) = self.direction_rad.sin_cos();
        let a = epi_mm + 0.5 * self.width_mm;
        // The radius of curvature at the far end, b²/a, must not be below that of the wall.
        let b = self.height_ratio * (a * epi_mm).sqrt();
        let offset_mm = 0.5 * self.width_mm;
        Ellipse {
            semi_axes_mm: [a, b],
            center_mm: [left.center_mm[0] + offset_mm * cos, left.center_mm[1] + offset_mm * sin],
            angle_rad: self.direction_rad - std::f64::consts::PI,
        }
    }
}

impl Layout {
    /// The regions, parents first.
    ///
    /// * `tissue`: what each kind is made of.
    /// * `diffuse`: what is wrong with the whole myocardium.
    ///
    /// # Errors
    /// If a lesion is nowhere in the wall. Nesting is not checked.
    pub fn anatomy(
        &self,
        tissue: impl Fn(TissueKind) -> Tissue,
        diffuse: Option<LesionKind>,
    ) -> Result<Anatomy, LesionError> {
        use Attachment::{Chest, Diaphragm, Heart, LeftVentricle};

        let myocardium = tissue(diffuse.map_or(TissueKind::Myocardium, TissueKind::Lesion));
        let mut regions: Vec<Region> = Vec::new();
        let mut add = |label, ellipse, parent, tissue, attachment| {
            regions.push(Region { label, ellipse, parent, tissue, attachment });
            regions.len() - 1
        };
        let fat = add(Label::Fat, self.fat, None, tissue(TissueKind::Fat), Chest);
        let muscle = add(Label::Muscle, self.muscle, Some(fat), tissue(TissueKind::Muscle), Chest);
        for lung in &self.lungs {
            add(Label::Lung, *lung, Some(muscle), tissue(TissueKind::Lung), Diaphragm);
        }
        if let Some(liver) = self.liver {
            add(Label::Liver, liver, Some(muscle), tissue(TissueKind::Liver), Diaphragm);
        }
        if let Some(aorta) = self.aorta {
            add(Label::Aorta, aorta, Some(muscle), tissue(TissueKind::LeftBlood), Chest);
        }
        let around = self.right_ventricle.map_or(muscle, |right| {
            let blood = right.ellipse(&self.left_ventricle);
            let wall = Ellipse {
                semi_axes_mm: blood.semi_axes_mm.map(|axis| axis + right.wall_thickness_mm),
                ..blood
            };
            let wall = add(Label::RightWall, wall, Some(muscle), myocardium, Heart);
            add(Label::RightBlood, blood, Some(wall), tissue(TissueKind::RightBlood), Heart)
        });
        let circle = |radius_mm: f64| Ellipse {
            semi_axes_mm: [radius_mm; 2],
            center_mm: self.left_ventricle.center_mm,
            angle_rad: 0.0,
        };
        let wall = circle(self.left_ventricle.epicardial_radius_mm);
        let wall = add(Label::Myocardium, wall, Some(around), myocardium, LeftVentricle);
        for lesion in &self.lesions {
            for ellipse in lesion.ellipses(&self.left_ventricle)? {
                let ill = tissue(TissueKind::Lesion(lesion.kind));
                add(Label::Lesion(lesion.kind), ellipse, Some(wall), ill, LeftVentricle);
            }
        }
        let blood = circle(self.left_ventricle.endocardial_radius_mm);
        let blood =
            add(Label::LeftBlood, blood, Some(wall), tissue(TissueKind::LeftBlood), LeftVentricle);
        for papillary in &self.papillaries {
            add(Label::Papillary, *papillary, Some(blood), myocardium, LeftVentricle);
        }
        for (number, (vial, [t1_ms, t2_ms])) in (1..).zip(self.vials.iter().zip(VIALS_MS)) {
            let contents = Tissue {
                t1_ms,
                t2_ms,
                t2_star_ms: t2_ms,
                proton_density: 1.0,
                off_resonance_hz: 0.0,
                ecv_percent: None,
            };
            add(Label::Vial(number), *vial, None, contents, Chest);
        }
        Ok(Anatomy { regions, left_ventricle: Some(self.left_ventricle) })
    }
}
