//! The motion of a series: a network's proposal, refined; or registration from nothing.

mod proposal;

use inference::{InferenceError, Model, Provenance};
use ndarray::{Array2, ArrayView3, Axis};
use num_complex::Complex32;
use numerics::registration::{
    BSplineImage, SeriesMotion, SeriesOptions, TwinModel, refine_series, register_series,
    signed_images,
};

pub use proposal::{Proposal, propose};

/// A series of complex images of one plane.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// `[frame, y, x]`.
    pub images: ArrayView3<'a, Complex32>,
    /// Preparation or echo times; one for each frame, infinite without preparation.
    pub times_ms: &'a [f64],
    /// The frame whose pose is kept.
    pub reference: usize,
    /// Whether signals recover from below zero, so that images have signs.
    pub is_inverted: bool,
    /// What twins are told by.
    pub model: TwinModel,
    /// Longest displacement, px.
    pub max_displacement_px: f32,
}

/// How a motion was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// A network's proposal, refined.
    Network(Provenance),
    /// Registration from nothing.
    Classical,
    /// None: no motion brought the images nearer to each other.
    Left,
}

impl Method {
    /// In words.
    pub fn name(&self) -> String {
        match self {
            Self::Network(about) => format!("{} {}, refined", about.model, about.version),
            Self::Classical => "registration without a network".to_owned(),
            Self::Left => "images left as they are".to_owned(),
        }
    }
}

/// The motion of a series, and how it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The motion.
    pub motion: SeriesMotion,
    /// How.
    pub method: Method,
}

impl Series<'_> {
    /// Registers from nothing.
    pub fn register(&self) -> SeriesMotion {
        register_series(self.signed().view(), &self.finite_times(), &self.options())
    }

    /// Refines a proposal.
    pub fn refine(&self, proposal: &Proposal) -> SeriesMotion {
        let fields = proposal.fields.view();
        refine_series(self.signed().view(), &self.finite_times(), &self.options(), fields)
    }

    /// A network's proposal, refined.
    ///
    /// # Errors
    /// [`InferenceError`]: the classical method has to run.
    pub fn by_network(&self, model: &Model, session: u64) -> Result<Found, InferenceError> {
        let magnitudes = self.images.mapv(|value| value.norm());
        let times_ms = self.finite_times();
        let proposal = propose(model, magnitudes.view(), self.reference, &times_ms, session)?;
        let motion = self.refine(&proposal);
        Ok(Found { motion, method: Method::Network(proposal.provenance) })
    }

    /// The images as they would be without motion: each is sampled once, by cubic B-splines.
    pub fn corrected(&self, motion: &SeriesMotion) -> Vec<Array2<Complex32>> {
        let frames = self.images.axis_iter(Axis(0)).zip(motion.fields.axis_iter(Axis(0)));
        frames
            .map(|(image, field)| {
                let is_still = field.iter().all(|displacement| *displacement == 0.0);
                if is_still { image.to_owned() } else { BSplineImage::new(image).warped(field) }
            })
            .collect()
    }

    fn signed(&self) -> ndarray::Array3<f32> {
        if self.is_inverted {
            signed_images(self.images, self.reference)
        } else {
            self.images.mapv(|value| value.norm())
        }
    }

    fn finite_times(&self) -> Vec<f64> {
        self.times_ms.iter().map(|time| time.clamp(0.0, LONGEST_MS)).collect()
    }

    fn options(&self) -> SeriesOptions {
        SeriesOptions {
            reference: self.reference,
            model: self.model,
            max_displacement_px: self.max_displacement_px,
        }
    }
}

/// Stands for an image without preparation.
const LONGEST_MS: f64 = 10_000.0;
