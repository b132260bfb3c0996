//! What is scanned, and the fit that makes its map.

use anyhow::Result;
use clap::ValueEnum;
use ndarray::{Array2, Array3};
use num_complex::Complex32;
use numerics::relaxation::{FitOptions, Model, Noise, Plan, RelaxationFit, restore_polarity};
use phantom::{Molli, MolliScheme, Sasha, Sequence, T2Prepared, Tissue};

/// A map and the series that it is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Scanned {
    /// T1 by inversions (MOLLI)
    #[default]
    Molli,
    /// T1 by saturations, one image without and nine after one (SASHA)
    Sasha,
    /// T2 by three T2-prepared images
    T2,
}

/// A lesion has so much more of it than the wall.
const LESION_MORE_T1_MS: f64 = 150.0;
const LESION_MORE_T2_MS: f64 = 7.5;

impl Scanned {
    /// The series.
    ///
    /// * `scheme`: of a MOLLI.
    pub(super) fn sequence(self, scheme: &MolliScheme) -> Box<dyn Sequence> {
        match self {
            Self::Molli => Box::new(Molli { scheme: scheme.clone(), ..Molli::default() }),
            Self::Sasha => Box::new(Sasha::default()),
            Self::T2 => Box::new(T2Prepared::default()),
        }
    }

    /// The times of the images, ms; infinite for one without a saturation.
    ///
    /// * `inversion_times_ms`: as the header has them.
    pub(super) fn times_ms(self, inversion_times_ms: Vec<f64>) -> Vec<f64> {
        match self {
            Self::Molli => inversion_times_ms,
            Self::Sasha => {
                let saturations = Sasha::default().saturation_times_ms;
                std::iter::once(f64::INFINITY).chain(saturations).collect()
            }
            Self::T2 => T2Prepared::default().preparation_times_ms,
        }
    }

    /// Gives a tissue more of what is mapped.
    pub(super) fn prolong(self, tissue: &mut Tissue) {
        match self {
            Self::Molli | Self::Sasha => tissue.t1_ms += LESION_MORE_T1_MS,
            Self::T2 => tissue.t2_ms += LESION_MORE_T2_MS,
        }
    }

    fn model(self) -> Model {
        match self {
            Self::Molli => Model::LookLocker { inversion_factor: 1.0 },
            Self::Sasha => Model::Recovery,
            Self::T2 => Model::Decay,
        }
    }

    /// The map of the wall; its standard deviation as the gadget has it, by what the fit leaves and
    /// not less than by what the samples allow.
    ///
    /// * `images`: `[image, y, x]`.
    ///
    /// # Errors
    /// Times that make no plan.
    pub(super) fn fit(
        self,
        images: &Array3<Complex32>,
        times_ms: &[f64],
        wall: &Array2<bool>,
        noise_sd: Option<f32>,
    ) -> Result<RelaxationFit> {
        let places = 0..times_ms.len();
        let by_time = |a: &usize, b: &usize| times_ms[*a].total_cmp(&times_ms[*b]);
        // The image that is positive everywhere.
        let reference = match self {
            Self::Molli | Self::Sasha => places.max_by(by_time),
            Self::T2 => places.min_by(by_time),
        };
        let signed = restore_polarity(images.view(), reference.unwrap_or(0));
        let model = self.model();
        let plan = Plan::new(model, times_ms, model.usual_range())?;
        let by = |noise| {
            let options = FitOptions { mask: Some(wall.view()), noise, ..FitOptions::default() };
            plan.fit(signed.view(), &options)
        };
        let mut fit = by(Noise::Residuals);
        if let Some(noise_sd) = noise_sd {
            let least = by(Noise::Known(noise_sd)).sd_ms;
            fit.sd_ms.zip_mut_with(&least, |sd, least| *sd = sd.max(*least));
        }
        Ok(fit)
    }
}
