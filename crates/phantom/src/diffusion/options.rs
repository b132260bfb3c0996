//! What can be chosen about the diffusion of a heart.

use super::eigenvalues::Eigenvalues;
use super::error::{DiffusionError, check_range};
use crate::anatomy::Label;
use crate::tissue::LesionKind;

/// Choices of a [`super::DiffusionHeart`].
#[derive(Clone, Debug, PartialEq)]
pub struct DiffusionOptions {
    /// Helix angle at the endocardium, which falls linearly to its negative at the
    /// epicardium, −90 to 90.
    pub helix_angle_deg: f64,
    /// What is added to it everywhere, −30 to 30.
    pub helix_angle_offset_deg: f64,
    /// From the circumference towards the inside, −60 to 60.
    pub transverse_angle_deg: f64,
    /// Of the sheetlets from the wall's plane, −90 to 90: 10 to 25 in diastole, 50 to 65 in
    /// systole.
    pub e2_angle_deg: f64,
    /// Standard deviation of a smooth change of helix and sheetlet angle along the wall, 0 to
    /// 30.
    pub angle_variability_deg: f64,
    /// Of the healthy wall.
    pub eigenvalues: Eigenvalues,
    /// Parts of the wall that are changed.
    pub patches: Vec<FibrePatch>,
    /// Of everything else.
    pub isotropic: IsotropicDiffusivities,
    /// Of the smooth changes.
    pub seed: u64,
}

/// A sector of the wall of other diffusion: an infarct.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FibrePatch {
    /// Its middle: angle from the anterior insertion of the right ventricle, from x towards y.
    pub angle_rad: f64,
    /// Half of its width, above 0 to π.
    pub half_width_rad: f64,
    /// How deep it reaches from the endocardium, 0 to 1.
    pub transmural_extent: f64,
    /// What becomes of diffusion there.
    pub change: FibreChange,
}

/// What a lesion makes of the diffusion in the wall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FibreChange {
    /// Mean diffusivity over that of healthy wall, 0.5 to 2.
    pub mean_factor: f64,
    /// Fractional anisotropy over that of healthy wall, 0 to 1.5.
    pub anisotropy_factor: f64,
    /// Standard deviation of what is added to helix and sheetlet angle, smooth along the wall, 0
    /// to 60.
    pub disturbance_deg: f64,
}

/// How fast water diffuses where there are no fibres, µm²/ms, 0 to 4 each. Both walls' tissue
/// outside the left ventricle's ring, right wall and papillary muscles, has the mean of its
/// eigenvalues.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IsotropicDiffusivities {
    /// Of blood. It moves, so its signal is lost faster still in a real heart.
    pub blood: f64,
    /// Of skeletal muscle.
    pub muscle: f64,
    /// Of the liver.
    pub liver: f64,
    /// Of the lungs.
    pub lung: f64,
    /// Of fat.
    pub fat: f64,
    /// Of the fluids of a system phantom.
    pub vial: f64,
}

impl FibreChange {
    /// A chronic infarct: mean diffusivity +30 %, anisotropy −40 %, fibres in disarray.
    pub const INFARCT: Self =
        Self { mean_factor: 1.3, anisotropy_factor: 0.6, disturbance_deg: 20.0 };

    /// No change.
    pub const NONE: Self = Self { mean_factor: 1.0, anisotropy_factor: 1.0, disturbance_deg: 0.0 };

    /// What a lesion of the anatomy does. Those but the infarct are inputs for simulations, no
    /// reference values.
    pub fn of(kind: LesionKind) -> Self {
        let (mean_factor, anisotropy_factor, disturbance_deg) = match kind {
            LesionKind::Infarct | LesionKind::AcuteInfarct => return Self::INFARCT,
            LesionKind::Fibrosis => (1.1, 0.9, 5.0),
            LesionKind::Oedema => (1.2, 0.85, 0.0),
            LesionKind::Amyloid => (1.2, 0.75, 5.0),
            LesionKind::Iron | LesionKind::Fabry => return Self::NONE,
        };
        Self { mean_factor, anisotropy_factor, disturbance_deg }
    }
}

impl Default for IsotropicDiffusivities {
    fn default() -> Self {
        Self { blood: 3.0, muscle: 1.5, liver: 1.1, lung: 1.5, fat: 0.05, vial: 2.0 }
    }
}

impl Default for DiffusionOptions {
    /// A healthy heart in systole, as a motion-compensated spin echo sees it.
    fn default() -> Self {
        Self {
            helix_angle_deg: 60.0,
            helix_angle_offset_deg: 0.0,
            transverse_angle_deg: 0.0,
            e2_angle_deg: 55.0,
            angle_variability_deg: 0.0,
            eigenvalues: Eigenvalues::SPIN_ECHO,
            patches: Vec::new(),
            isotropic: IsotropicDiffusivities::default(),
            seed: 0,
        }
    }
}

impl DiffusionOptions {
    /// A healthy heart in diastole, as a stimulated echo sees it.
    pub fn stimulated_echo() -> Self {
        Self { e2_angle_deg: 18.0, eigenvalues: Eigenvalues::STIMULATED_ECHO, ..Self::default() }
    }

    /// Mean diffusivity of a healthy tissue, µm²/ms.
    pub(super) fn diffusivity_um2_per_ms(&self, label: Label) -> f64 {
        let isotropic = &self.isotropic;
        match label {
            Label::Myocardium | Label::Lesion(_) | Label::RightWall | Label::Papillary => {
                self.eigenvalues.mean()
            }
            Label::Aorta | Label::RightBlood | Label::LeftBlood => isotropic.blood,
            Label::Muscle => isotropic.muscle,
            Label::Liver => isotropic.liver,
            Label::Lung => isotropic.lung,
            Label::Fat => isotropic.fat,
            Label::Vial(_) => isotropic.vial,
        }
    }

    /// Whether a heart can be made of them.
    ///
    /// # Errors
    /// [`DiffusionError`] for the first choice outside its range.
    pub fn check(&self) -> Result<(), DiffusionError> {
        check_range("helix angle in degrees", self.helix_angle_deg, -90.0, 90.0)?;
        check_range(
            "offset of the helix angle in degrees",
            self.helix_angle_offset_deg,
            -30.0,
            30.0,
        )?;
        check_range("transverse angle in degrees", self.transverse_angle_deg, -60.0, 60.0)?;
        check_range("sheetlet angle in degrees", self.e2_angle_deg, -90.0, 90.0)?;
        check_range("variability of angles in degrees", self.angle_variability_deg, 0.0, 30.0)?;
        self.eigenvalues.checked()?;
        let isotropic = &self.isotropic;
        for (what, value) in [
            ("diffusivity of blood in µm²/ms", isotropic.blood),
            ("diffusivity of muscle in µm²/ms", isotropic.muscle),
            ("diffusivity of the liver in µm²/ms", isotropic.liver),
            ("diffusivity of the lungs in µm²/ms", isotropic.lung),
            ("diffusivity of fat in µm²/ms", isotropic.fat),
            ("diffusivity of vials in µm²/ms", isotropic.vial),
        ] {
            check_range(what, value, 0.0, 4.0)?;
        }
        self.patches.iter().try_for_each(FibrePatch::check)
    }
}

impl FibrePatch {
    /// An infarct.
    ///
    /// * `angle_rad`, `half_width_rad`, `transmural_extent`: as in [`FibrePatch`].
    pub fn infarct(angle_rad: f64, half_width_rad: f64, transmural_extent: f64) -> Self {
        Self { angle_rad, half_width_rad, transmural_extent, change: FibreChange::INFARCT }
    }

    /// Whether a place in the wall lies in the patch.
    ///
    /// * `angle_rad`: from the anterior insertion, from x towards y.
    /// * `depth`: 0 at the endocardium, 1 at the epicardium.
    pub fn contains(&self, angle_rad: f64, depth: f64) -> bool {
        use std::f64::consts::{PI, TAU};
        let turn = (angle_rad - self.angle_rad + PI).rem_euclid(TAU) - PI;
        turn.abs() <= self.half_width_rad && depth <= self.transmural_extent
    }

    fn check(&self) -> Result<(), DiffusionError> {
        use std::f64::consts::PI;
        check_range("angle of a patch in rad", self.angle_rad, -1e3, 1e3)?;
        check_range("half width of a patch in rad", self.half_width_rad, 1e-3, PI)?;
        check_range("transmural extent of a patch", self.transmural_extent, 0.0, 1.0)?;
        check_range("mean diffusivity factor of a patch", self.change.mean_factor, 0.5, 2.0)?;
        check_range("anisotropy factor of a patch", self.change.anisotropy_factor, 0.0, 1.5)?;
        check_range("disturbance of a patch in degrees", self.change.disturbance_deg, 0.0, 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_a_sector_of_the_inner_wall() {
        let patch = FibrePatch::infarct(3.0, 0.5, 0.6);
        assert!(patch.contains(3.4, 0.3) && patch.contains(-3.2, 0.0));
        assert!(!patch.contains(3.6, 0.3) && !patch.contains(3.0, 0.7));
    }

    #[test]
    fn impossible_options_are_refused() {
        let base = DiffusionOptions::default();
        assert_eq!(base.check(), Ok(()));
        assert_eq!(DiffusionOptions::stimulated_echo().check(), Ok(()));
        for wrong in [
            DiffusionOptions { helix_angle_deg: 91.0, ..base.clone() },
            DiffusionOptions { transverse_angle_deg: f64::NAN, ..base.clone() },
            DiffusionOptions { e2_angle_deg: -95.0, ..base.clone() },
            DiffusionOptions { eigenvalues: Eigenvalues([1.0, 1.2, 0.5]), ..base.clone() },
            DiffusionOptions { eigenvalues: Eigenvalues([1.0, 0.5, 0.0]), ..base.clone() },
            DiffusionOptions { eigenvalues: Eigenvalues([f64::NAN; 3]), ..base.clone() },
            DiffusionOptions { patches: vec![FibrePatch::infarct(0.0, 0.5, 1.5)], ..base.clone() },
            DiffusionOptions {
                isotropic: IsotropicDiffusivities { blood: 5.0, ..base.isotropic },
                ..base.clone()
            },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
