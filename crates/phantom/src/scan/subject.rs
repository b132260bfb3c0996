//! Who lies in the scanner.

use num_complex::Complex64;

use super::error::SetupError;
use super::setup::Setup;
use crate::anatomy::{Anatomy, ShortAxisOptions, SphereArray, short_axis, system_phantom};
use crate::ellipse::Ellipse;
use crate::motion::Pose;
use crate::object::Component;
use crate::shepp_logan::shepp_logan;
use crate::spheres::{Sphere, cut};
use crate::tissue::Tissue;

/// From the base of the left ventricle to its apex, mm: what slices of a stack are spread over.
const LONG_AXIS_MM: f64 = 80.0;

/// Who lies in the scanner.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// The head phantom of Shepp and Logan: fixed intensities, as large as the field of view.
    SheppLogan,
    /// Short-axis slices of a heart. The slices of a stack are cut where they are along the long
    /// axis; the options give the middle one.
    ShortAxis(ShortAxisOptions),
    /// The plate of spheres of the ISMRM/NIST system phantom; all slices are alike.
    SystemPhantom(SphereArray),
    /// Any anatomies, one per slice.
    Anatomies(Vec<Anatomy>),
    /// Spheres at places of the patient, cut by the slices wherever these lie: for geometry.
    Spheres(Vec<Sphere>),
}

impl Subject {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SheppLogan => "shepp_logan",
            Self::ShortAxis(_) => "short_axis",
            Self::SystemPhantom(_) => "system_phantom",
            Self::Anatomies(_) => "anatomy",
            Self::Spheres(_) => "spheres",
        }
    }

    /// Part of the body, as headers say it.
    pub(super) fn body_part(&self) -> &'static str {
        match self {
            Self::SheppLogan => "HEAD",
            Self::ShortAxis(_) => "HEART",
            Self::SystemPhantom(_) => "PHANTOM",
            Self::Anatomies(_) => "HEART",
            Self::Spheres(_) => "PHANTOM",
        }
    }

    /// Its slices.
    ///
    /// # Errors
    /// [`SetupError`] for a body that cannot be, or not as many anatomies as slices.
    pub(super) fn bodies(&self, setup: &Setup) -> Result<Vec<Body>, SetupError> {
        let n_slices = setup.n_slices;
        match self {
            Self::SheppLogan => {
                let radius_mm = 0.5 * setup.field_of_view_mm[0].min(setup.field_of_view_mm[1]);
                let of_slice = |slice| Body::Picture(shepp_logan(radius_mm, slice, n_slices));
                Ok((0..n_slices).map(of_slice).collect())
            }
            Self::ShortAxis(options) => (0..n_slices)
                .map(|slice| {
                    let along = setup.slice_offset_mm(slice) / LONG_AXIS_MM;
                    let level = (options.level + along).clamp(0.0, 1.0);
                    let options = ShortAxisOptions {
                        level,
                        field_strength: setup.field_strength,
                        ..options.clone()
                    };
                    Ok(Body::Anatomy(short_axis(&options)?))
                })
                .collect(),
            Self::SystemPhantom(array) => {
                let phantom = system_phantom(*array, setup.field_strength)?;
                Ok(vec![Body::Anatomy(phantom); n_slices])
            }
            Self::Anatomies(anatomies) => {
                if anatomies.len() != n_slices {
                    return Err(SetupError::OutOfRange {
                        what: "the number of anatomies",
                        value: anatomies.len(),
                        minimum: n_slices,
                        maximum: n_slices,
                    });
                }
                Ok(anatomies.iter().cloned().map(Body::Anatomy).collect())
            }
            Self::Spheres(spheres) => {
                let [read, phase, _] = setup.orientation.directions();
                let of_slice = |slice| {
                    let center_mm = setup.slice_center_mm(slice);
                    Body::Picture(cut(spheres, center_mm, read, phase))
                };
                Ok((0..n_slices).map(of_slice).collect())
            }
        }
    }
}

/// One slice of who lies in the scanner.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Regions of tissue whose signals follow from the sequence.
    Anatomy(Anatomy),
    /// Fixed intensities, whatever the sequence does: one signal scales them all.
    Picture(Vec<Component>),
}

impl Body {
    /// The ellipse that holds all of it: what coils surround. `None` for an empty body.
    pub fn outline(&self) -> Option<Ellipse> {
        let ellipses: Vec<Ellipse> = match self {
            Self::Anatomy(anatomy) => anatomy.regions.iter().map(|r| r.ellipse).collect(),
            Self::Picture(components) => components.iter().map(|part| part.ellipse).collect(),
        };
        let area = |ellipse: &Ellipse| ellipse.semi_axes_mm[0] * ellipse.semi_axes_mm[1];
        ellipses.into_iter().max_by(|a, b| area(a).total_cmp(&area(b)))
    }

    /// Ellipses that it consists of.
    pub(super) fn n_ellipses(&self) -> usize {
        match self {
            Self::Anatomy(anatomy) => anatomy.regions.len(),
            Self::Picture(components) => components.len(),
        }
    }

    /// Signals that [`Body::components`] takes.
    pub fn n_signals(&self) -> usize {
        match self {
            Self::Anatomy(anatomy) => anatomy.regions.len(),
            Self::Picture(_) => 1,
        }
    }

    /// Signals of all regions, from a function of the tissue. Those of a picture are 1.
    pub fn signals(&self, mut of: impl FnMut(&Tissue) -> Complex64) -> Vec<Complex64> {
        match self {
            Self::Anatomy(anatomy) => {
                anatomy.regions.iter().map(|region| of(&region.tissue)).collect()
            }
            Self::Picture(_) => vec![Complex64::ONE],
        }
    }

    /// The slice in a pose, as ellipses that add up to the given signals.
    ///
    /// # Panics
    /// If the number of signals is not [`Body::n_signals`].
    pub fn components(&self, pose: &Pose, signals: &[Complex64]) -> Vec<Component> {
        match self {
            Self::Anatomy(anatomy) => anatomy.posed(pose).components(signals),
            Self::Picture(components) => {
                let [scale] = signals else { panic!("{} signals for a picture", signals.len()) };
                let scaled =
                    |part: &Component| Component { amplitude: part.amplitude * scale, ..*part };
                components.iter().map(scaled).collect()
            }
        }
    }
}
