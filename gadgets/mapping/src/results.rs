//! From fits to a map.

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip};
use numerics::relaxation::{FitOptions, Noise, RelaxationFit};
use pipeline::{ParametricMap, Presentation, Unit};

use crate::assess::{Quality, clear, dim_noise_sd, fill_holes, noise_sd, tissue};
use crate::source::Source;

/// A fit of so many samples and parameters knows its own noise too badly: that of all pixels counts.
const FEW_DEGREES_OF_FREEDOM: usize = 3;

/// What all maps have in common.
pub(crate) struct Finish {
    pub quantity: &'static str,
    /// [`None`]: background counts as tissue.
    pub mask_noise_sds: Option<f32>,
    pub longest_ms: f32,
    pub noise_sd: Option<f32>,
    /// Pixels of the largest hole that is filled.
    pub largest_hole: usize,
    pub send_sd_map: bool,
    pub send_r_squared_map: bool,
    /// Maps so far: their numbers in their series.
    pub n_sent: u16,
}

/// The fitted planes of a map.
#[derive(Default)]
pub(crate) struct Planes {
    values: Vec<Array2<f32>>,
    sd: Vec<Array2<f32>>,
    r_squared: Vec<Array2<f32>>,
    quality: Quality,
    /// Whether nothing tells how much noise there is, so that no standard deviation can be told.
    is_noise_unknown: bool,
}

/// A fitted plane, with all of its pixels.
pub(crate) struct Fitted {
    pub fit: RelaxationFit,
    /// Standard deviation of the noise in a sample: given, or what the fits leave.
    pub noise_sd: f32,
    /// Which pixels have signal.
    pub tissue: Array2<bool>,
    /// Pixels whose samples are further from the fit than noise explains, where that is looked at.
    pub unexplained: Option<Array2<bool>>,
    degrees_of_freedom: usize,
    /// Whether nothing tells how much noise there is.
    is_noise_unknown: bool,
    /// Standard deviations by what the samples allow, ms: images that were made together agree with
    /// each other, and with a fit, better than they are known. Which values count, and the verdict,
    /// are decided without: a cautious error takes none away.
    least_sd_ms: Option<Array2<f32>>,
}

impl Fitted {
    /// The same plane with another fit, and what that does not explain.
    pub fn with(&self, fit: RelaxationFit, unexplained: Array2<bool>) -> Self {
        Self {
            fit,
            noise_sd: self.noise_sd,
            tissue: self.tissue.clone(),
            unexplained: Some(unexplained),
            degrees_of_freedom: self.degrees_of_freedom,
            is_noise_unknown: self.is_noise_unknown,
            least_sd_ms: None,
        }
    }
}

impl Finish {
    /// Fits a plane and leaves out what is no tissue. `fit` is called with where noise is known
    /// from; `of_samples` is [`Source::noise_sd`].
    pub fn plane(
        &self,
        fit: impl Fn(FitOptions<'_>) -> RelaxationFit,
        brightest: ArrayView2<'_, f32>,
        degrees_of_freedom: usize,
        of_samples: Option<f32>,
        planes: &mut Planes,
    ) {
        let fitted = self.fit(fit, brightest, degrees_of_freedom, of_samples);
        self.add(fitted, planes);
    }

    /// Fits a plane and finds what is tissue in it.
    pub fn fit(
        &self,
        fit: impl Fn(FitOptions<'_>) -> RelaxationFit,
        brightest: ArrayView2<'_, f32>,
        degrees_of_freedom: usize,
        of_samples: Option<f32>,
    ) -> Fitted {
        let options = |noise| FitOptions { noise, ..FitOptions::default() };
        let known = self.noise_sd.filter(|sd| *sd > 0.0);
        let mut fitted = match known {
            Some(sd) => fit(options(Noise::Known(sd))),
            None => fit(options(Noise::Residuals)),
        };
        let noise = known.unwrap_or_else(|| noise_sd(&fitted, degrees_of_freedom));
        let is_common =
            known.is_none() && degrees_of_freedom < FEW_DEGREES_OF_FREEDOM && noise > 0.0;
        if is_common {
            fitted = fit(options(Noise::Known(noise)));
        }
        let of_samples = of_samples.filter(|_| known.is_none());
        let least_sd_ms = of_samples.map(|sd| fit(options(Noise::Known(sd))).sd_ms);
        let tissue = match self.mask_noise_sds {
            Some(n_sds) => {
                let of_mask =
                    known.or_else(|| dim_noise_sd(&fitted, brightest, degrees_of_freedom));
                tissue(brightest, of_mask.unwrap_or(noise), n_sds)
            }
            None => Array2::from_elem(brightest.dim(), true),
        };
        Fitted {
            fit: fitted,
            noise_sd: noise,
            tissue,
            unexplained: None,
            degrees_of_freedom,
            is_noise_unknown: known.or(of_samples).is_none() && degrees_of_freedom == 0,
            least_sd_ms,
        }
    }

    /// Adds a plane to a map, without what is no tissue.
    pub fn add(&self, fitted: Fitted, planes: &mut Planes) {
        let Fitted {
            mut fit,
            tissue,
            unexplained,
            degrees_of_freedom,
            is_noise_unknown,
            least_sd_ms,
            ..
        } = fitted;
        planes.is_noise_unknown |= is_noise_unknown;
        clear(&mut fit, &tissue, self.longest_ms);
        planes.quality.add(&fit, &tissue, degrees_of_freedom == 0);
        if let Some(least_sd_ms) = least_sd_ms {
            let pixels = Zip::from(&mut fit.sd_ms).and(&least_sd_ms).and(&fit.value_ms);
            // Values that are taken out have no standard deviation either.
            pixels.for_each(|sd_ms, least, value| {
                *sd_ms = if *value > 0.0 { sd_ms.max(*least) } else { *sd_ms };
            });
        }
        if let Some(unexplained) = unexplained {
            planes.quality.add_unexplained(&unexplained, &tissue);
        }
        if self.largest_hole > 0 {
            fill_holes(&mut fit, &tissue, self.largest_hole);
        }
        planes.values.push(fit.value_ms);
        planes.sd.push(fit.sd_ms);
        planes.r_squared.push(fit.r_squared);
    }

    /// The map of these planes.
    pub fn map(&mut self, source: Source, planes: Planes, method: &str) -> ParametricMap {
        let Planes { values, sd, r_squared, quality, is_noise_unknown } = planes;
        let verdict = quality.verdict(source.problem.as_deref(), source.motion_px);
        let Source { mut header, mut meta, times_from, times_ms, .. } = source;
        self.n_sent = self.n_sent.saturating_add(1);
        header.image_index = self.n_sent;
        meta.set("BoresideMethod", method);
        meta.set("BoresideVersion", env!("CARGO_PKG_VERSION"));
        meta.set("BoresideTimesFrom", format!("{times_from:?}"));
        let times = times_ms.iter().map(|time| format!("{time:.1}")).collect::<Vec<_>>();
        meta.set("BoresideTimesMs", times.join(" "));
        for key in ["ImageProcessingHistory", "GADGETRON_ImageProcessingHistory"] {
            meta.append(key, self.quantity);
        }
        ParametricMap {
            quantity: self.quantity.to_owned(),
            unit: Unit::Ms,
            header,
            meta,
            values: stacked(values),
            sd: (self.send_sd_map && !is_noise_unknown).then(|| stacked(sd)),
            r_squared: self.send_r_squared_map.then(|| stacked(r_squared)),
            verdict: Some(verdict),
            presentation: Presentation::default(),
        }
    }
}

/// Planes as `[z, y, x]`.
fn stacked(planes: Vec<Array2<f32>>) -> Array3<f32> {
    let views: Vec<_> = planes.iter().map(|plane| plane.view()).collect();
    ndarray::stack(Axis(0), &views).unwrap_or_else(|_| Array3::zeros((0, 0, 0)))
}
