//! A short-axis slice through the heart of a patient on the back.

use std::f64::consts::PI;

use crate::anatomy::layout::{Layout, RightVentricle};
use crate::anatomy::{Anatomy, LeftVentricle, Lesion, LesionError, NestingError};
use crate::ellipse::Ellipse;
use crate::tissue::{
    ContrastAgent, ContrastError, FieldStrength, LesionKind, TissueKind, TissueTable,
};

/// Where the measures of the options are those of the slice.
const MIDDLE: f64 = 0.5;

/// Length of the half ellipsoid that the ventricle is, over that from base to apex slice.
const ELLIPSOID_LENGTH: f64 = 1.15;

/// Above this level, the right ventricle is as narrow as a tenth of its width and left out.
const RIGHT_APEX: f64 = 0.95;

/// A right ventricle narrower than this is left out, mm.
const NARROWEST_RIGHT_MM: f64 = 5.0;

/// Whether there is a contrast agent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Contrast {
    /// None.
    #[default]
    Native,
    /// As much as makes T1 of blood this short.
    Agent {
        /// T1 of blood. `None` for what is usual ten minutes after the injection.
        blood_t1_ms: Option<f64>,
    },
}

/// A short-axis slice. The default is the middle of a healthy heart at 1.5 T.
#[derive(Clone, Debug, PartialEq)]
pub struct ShortAxisOptions {
    /// Of the scanner.
    pub field_strength: FieldStrength,
    /// Native or after contrast.
    pub contrast: Contrast,
    /// Volume of red cells, 10 to 70.
    pub haematocrit_percent: f64,
    /// Of the left ventricle's blood pool in the middle slice, 8 to 45.
    pub endocardial_radius_mm: f64,
    /// Of the left ventricle in the middle slice, 3 to 30.
    pub wall_thickness_mm: f64,
    /// Blood of the right ventricle from septum to free wall in the middle slice, 10 to 60.
    pub right_ventricle_width_mm: f64,
    /// Where along the long axis: 0 at the base, ½ in the middle, 1 at the apex.
    pub level: f64,
    /// What is wrong with the whole myocardium.
    pub diffuse: Option<LesionKind>,
    /// What is wrong with parts of it.
    pub lesions: Vec<Lesion>,
    /// Whether four vials of known T1 and T2 lie beside the body.
    pub vials: bool,
}

impl Default for ShortAxisOptions {
    fn default() -> Self {
        Self {
            field_strength: FieldStrength::default(),
            contrast: Contrast::Native,
            haematocrit_percent: TissueTable::HAEMATOCRIT_PERCENT,
            endocardial_radius_mm: 22.0,
            wall_thickness_mm: 10.0,
            right_ventricle_width_mm: 36.0,
            level: MIDDLE,
            diffuse: None,
            lesions: Vec::new(),
            vials: false,
        }
    }
}

/// Why there is no such slice.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ShortAxisError {
    /// A number that no heart has.
    #[error("{name} is {value}: it must lie between {least} and {most}")]
    Range {
        /// The option.
        name: &'static str,
        /// Asked for.
        value: f64,
        /// Allowed.
        least: f64,
        /// Allowed.
        most: f64,
    },
    /// The contrast agent.
    #[error(transparent)]
    Contrast(#[from] ContrastError),
    /// A lesion outside the wall.
    #[error(transparent)]
    Lesion(#[from] LesionError),
    /// Parts that do not fit into each other: a heart too large, lesions that overlap.
    #[error("the parts do not fit into each other: {0}")]
    Nesting(#[from] NestingError),
}

/// The slice: x to the patient's left, which is the right of the image, and y to the back.
///
/// The field of view 360 mm × 270 mm holds all of it.
///
/// # Errors
/// [`ShortAxisError`] for options that describe no heart, or one that does not fit.
pub fn short_axis(options: &ShortAxisOptions) -> Result<Anatomy, ShortAxisError> {
    options.check()?;
    let table = TissueTable {
        field_strength: options.field_strength,
        haematocrit_percent: options.haematocrit_percent,
    };
    let agent = options.contrast.agent(&table)?;
    let tissue = |kind: TissueKind| {
        let native = table.tissue(kind);
        agent.map_or(native, |agent| native.after_contrast(&agent))
    };
    let anatomy = options.layout().anatomy(tissue, options.diffuse)?;
    anatomy.check_nesting(0.0)?;
    Ok(anatomy)
}

impl Contrast {
    /// The agent in a body of `table`, `None` without.
    ///
    /// # Errors
    /// If the blood's T1 is not shortened.
    pub fn agent(self, table: &TissueTable) -> Result<Option<ContrastAgent>, ContrastError> {
        let Self::Agent { blood_t1_ms } = self else { return Ok(None) };
        let blood_t1_ms = blood_t1_ms.unwrap_or(table.post_contrast_blood_t1_ms());
        ContrastAgent::from_blood(&table.tissue(TissueKind::LeftBlood), blood_t1_ms).map(Some)
    }
}

impl ShortAxisOptions {
    fn check(&self) -> Result<(), ShortAxisError> {
        let ranges = [
            ("haematocrit_percent", self.haematocrit_percent, 10.0, 70.0),
            ("endocardial_radius_mm", self.endocardial_radius_mm, 8.0, 45.0),
            ("wall_thickness_mm", self.wall_thickness_mm, 3.0, 30.0),
            ("right_ventricle_width_mm", self.right_ventricle_width_mm, 10.0, 60.0),
            ("level", self.level, 0.0, 1.0),
        ];
        for (name, value, least, most) in ranges {
            if !(value >= least && value <= most) {
                return Err(ShortAxisError::Range { name, value, least, most });
            }
        }
        Ok(())
    }

    /// The measures of this slice.
    ///
    /// The ventricle is half an ellipsoid whose wall gets thinner by a quarter from the middle
    /// to the apex. Papillary muscles are cut between 0.15 and 0.85. The chest is that of the
    /// middle slice at all levels, but lungs and liver follow the size of the heart.
    pub(super) fn layout(&self) -> Layout {
        let radius_at = |level: f64| (1.0 - (level / ELLIPSOID_LENGTH).powi(2)).sqrt();
        let taper = radius_at(self.level) / radius_at(MIDDLE);
        let towards_apex = ((self.level - MIDDLE) / (1.0 - MIDDLE)).max(0.0);
        let endo_mm = self.endocardial_radius_mm * taper;
        let left_ventricle = LeftVentricle {
            center_mm: [0.0; 2],
            endocardial_radius_mm: endo_mm,
            epicardial_radius_mm: endo_mm + self.wall_thickness_mm * (1.0 - 0.25 * towards_apex),
            // The septum spans a third of the wall, around the direction of the right ventricle.
            insertion_angle_rad: PI / 3.0 - PI,
        };
        let narrowing = ((RIGHT_APEX - self.level) / (RIGHT_APEX - MIDDLE)).min(1.1);
        let right_ventricle = RightVentricle {
            width_mm: self.right_ventricle_width_mm * narrowing,
            height_ratio: 1.05,
            wall_thickness_mm: 3.0,
            direction_rad: PI,
        };
        let right_ventricle =
            (right_ventricle.width_mm > NARROWEST_RIGHT_MM).then_some(right_ventricle);

        // What surrounds a heart of the usual size keeps its distance from this one.
        let epi_mm = left_ventricle.epicardial_radius_mm;
        let [left_mm, right_mm, down_mm] = right_ventricle.map_or([epi_mm; 3], |right| {
            let shape = right.ellipse(&left_ventricle);
            let thickness_mm = right.wall_thickness_mm;
            [
                epi_mm + right.width_mm + thickness_mm,
                epi_mm + thickness_mm,
                shape.semi_axes_mm[1] + thickness_mm,
            ]
        });
        let follow = |growth_mm: f64| if growth_mm < 0.0 { 0.5 * growth_mm } else { growth_mm };
        let [left_mm, right_mm, down_mm] =
            [follow(left_mm - 71.0), follow(right_mm - 35.0), follow(down_mm - 45.0)];
        let ellipse = |x: f64, y: f64, a: f64, b: f64| Ellipse {
            semi_axes_mm: [a, b],
            center_mm: [x, y],
            angle_rad: 0.0,
        };
        let relative = endo_mm / 22.0;
        let papillaries = if (0.15..=0.85).contains(&self.level) {
            [[9.0, 11.0], [-8.0, 12.0]]
                .map(|[x, y]| ellipse(relative * x, relative * y, 4.0 * relative, 4.0 * relative))
                .to_vec()
        } else {
            Vec::new()
        };
        let vials = if self.vials {
            [[-158.0, -112.0], [138.0, -112.0], [-158.0, 112.0], [138.0, 112.0]]
                .map(|[x, y]| ellipse(x, y, 9.0, 9.0))
                .to_vec()
        } else {
            Vec::new()
        };
        Layout {
            fat: ellipse(-10.0, 0.0, 165.0, 115.0),
            muscle: ellipse(-10.0, 0.0, 150.0, 100.0),
            lungs: vec![
                ellipse(90.0 + 0.5 * right_mm, 5.0, 38.0 - 0.5 * right_mm, 50.0),
                ellipse(-115.0 - 0.5 * left_mm, -15.0, 32.0 - 0.5 * left_mm, 46.0),
            ],
            liver: Some(ellipse(-68.0, 64.0 + 0.5 * down_mm, 42.0, 18.0 - 0.5 * down_mm)),
            aorta: Some(ellipse(20.0, 68.0 + down_mm.max(0.0), 11.0, 11.0)),
            left_ventricle,
            right_ventricle,
            papillaries,
            lesions: self.lesions.clone(),
            vials,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::Label;
    use crate::tissue::Tissue;

    fn anatomy(options: &ShortAxisOptions) -> Anatomy {
        short_axis(options).expect("fits")
    }

    #[test]
    fn the_default_has_the_published_geometry() {
        let anatomy = anatomy(&ShortAxisOptions::default());
        let expected = [
            (Label::Fat, [-10.0, 0.0], [165.0, 115.0]),
            (Label::Muscle, [-10.0, 0.0], [150.0, 100.0]),
            (Label::Lung, [90.0, 5.0], [38.0, 50.0]),
            (Label::Lung, [-115.0, -15.0], [32.0, 46.0]),
            (Label::Liver, [-68.0, 64.0], [42.0, 18.0]),
            (Label::Aorta, [20.0, 68.0], [11.0, 11.0]),
            (Label::RightWall, [-18.0, 0.0], [53.0, 45.0]),
            (Label::RightBlood, [-18.0, 0.0], [50.0, 42.0]),
            (Label::Myocardium, [0.0, 0.0], [32.0, 32.0]),
            (Label::LeftBlood, [0.0, 0.0], [22.0, 22.0]),
            (Label::Papillary, [9.0, 11.0], [4.0, 4.0]),
            (Label::Papillary, [-8.0, 12.0], [4.0, 4.0]),
        ];
        assert_eq!(anatomy.regions.len(), expected.len());
        for (region, (label, center, axes)) in anatomy.regions.iter().zip(expected) {
            assert_eq!(region.label, label);
            let numbers = region.ellipse.center_mm.into_iter().chain(region.ellipse.semi_axes_mm);
            for (number, expected) in numbers.zip(center.into_iter().chain(axes)) {
                assert!((number - expected).abs() < 1e-9, "{label:?}: {:?}", region.ellipse);
            }
            assert!(region.ellipse.angle_rad.abs() < 1e-9);
        }
    }

    #[test]
    fn right_is_left_of_left_and_the_liver_below_it() {
        let anatomy = anatomy(&ShortAxisOptions::default());
        let at = |x, y| anatomy.region_at(x, y).map(|n| anatomy.regions[n].label);
        assert_eq!(at(0.0, 0.0), Some(Label::LeftBlood));
        assert_eq!(at(-27.0, 0.0), Some(Label::Myocardium));
        assert_eq!(at(-50.0, 0.0), Some(Label::RightBlood));
        assert_eq!(at(-68.0, 64.0), Some(Label::Liver));
        let insertion = anatomy.left_ventricle.expect("cut").insertion_angle_rad;
        // In front is up, to the right is left.
        assert!(insertion.cos() < 0.0 && insertion.sin() < 0.0);
    }

    #[test]
    fn all_levels_and_sizes_are_nested_and_smaller_towards_the_apex() {
        let mut last_mm = f64::INFINITY;
        for level in (0..=20).map(|n| f64::from(n) / 20.0) {
            for [endo_mm, wall_mm, right_mm] in
                [[22.0, 10.0, 36.0], [16.0, 6.0, 20.0], [28.0, 8.0, 30.0], [20.0, 16.0, 30.0]]
            {
                let anatomy = anatomy(&ShortAxisOptions {
                    endocardial_radius_mm: endo_mm,
                    wall_thickness_mm: wall_mm,
                    right_ventricle_width_mm: right_mm,
                    level,
                    vials: true,
                    ..ShortAxisOptions::default()
                });
                let pose = crate::motion::Pose {
                    shift_mm: [2.0, 10.0],
                    rotation_rad: 0.04,
                    endocardial_scale: 0.7,
                };
                assert!(anatomy.allows(&pose), "{level} {endo_mm}");
                let radius_mm = anatomy.left_ventricle.expect("cut").endocardial_radius_mm;
                if endo_mm == 22.0 {
                    assert!(radius_mm < last_mm);
                    last_mm = radius_mm;
                }
            }
        }
    }

    #[test]
    fn after_contrast_scar_is_bright_when_healthy_myocardium_is_nulled() {
        let lesion = Lesion {
            kind: LesionKind::Infarct,
            angle_rad: 0.0,
            extent_rad: 1.0,
            transmural: [0.0, 0.75],
        };
        for field_strength in FieldStrength::ALL {
            let anatomy = anatomy(&ShortAxisOptions {
                field_strength,
                contrast: Contrast::Agent { blood_t1_ms: None },
                lesions: vec![lesion],
                ..ShortAxisOptions::default()
            });
            let tissue = |wanted: Label| {
                let region = anatomy.regions.iter().find(|region| region.label == wanted);
                region.expect("there").tissue
            };
            let null_ms = tissue(Label::Myocardium).t1_ms * 2.0_f64.ln();
            let recovered = |tissue: Tissue| 1.0 - 2.0 * (-null_ms / tissue.t1_ms).exp();
            let scar = recovered(tissue(Label::Lesion(LesionKind::Infarct)));
            assert!(recovered(tissue(Label::Myocardium)).abs() < 1e-12);
            assert!(scar > 0.15, "{field_strength:?}: {scar}");
        }
    }

    #[test]
    fn a_disease_of_the_whole_myocardium_changes_all_of_it() {
        let options =
            ShortAxisOptions { diffuse: Some(LesionKind::Amyloid), ..ShortAxisOptions::default() };
        let muscle = [Label::Myocardium, Label::RightWall, Label::Papillary];
        for region in anatomy(&options).regions {
            if muscle.contains(&region.label) {
                assert_eq!(region.tissue.ecv_percent, Some(50.0));
            }
        }
    }

    #[test]
    fn what_is_no_heart_is_refused_by_name() {
        let usual = ShortAxisOptions::default;
        let lesion = |angle_rad| Lesion {
            kind: LesionKind::Infarct,
            angle_rad,
            extent_rad: 0.8,
            transmural: [0.0, 1.0],
        };
        let refused = [
            (ShortAxisOptions { level: 1.1, ..usual() }, "level is 1.1"),
            (ShortAxisOptions { wall_thickness_mm: f64::NAN, ..usual() }, "wall_thickness_mm"),
            (ShortAxisOptions { haematocrit_percent: 0.0, ..usual() }, "haematocrit_percent"),
            (
                ShortAxisOptions {
                    contrast: Contrast::Agent { blood_t1_ms: Some(1700.0) },
                    ..usual()
                },
                "T1 of blood after contrast is 1700 ms",
            ),
            (
                ShortAxisOptions { lesions: vec![lesion(0.0), lesion(0.4)], ..usual() },
                "do not fit into each other: regions",
            ),
            (
                ShortAxisOptions {
                    endocardial_radius_mm: 45.0,
                    wall_thickness_mm: 30.0,
                    right_ventricle_width_mm: 60.0,
                    ..usual()
                },
                "do not fit",
            ),
        ];
        for (options, text) in refused {
            let error = short_axis(&options).expect_err("refused").to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
