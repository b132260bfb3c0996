//! T1 map of the four or five images after one inversion, by a network.

mod network;
mod readout;
mod recovery;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use inference::{InferenceError, Model, Models};
use ndarray::{Array2, ArrayView3};
use pipeline::times::TimesFrom;
use pipeline::{Gadget, ImageSeries, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::map_t1::{Config as MapT1Config, MapT1, SeriesAndMap};
use crate::results::Fitted;
use crate::source::{Signs, Source};
use crate::{Error, Recovery};

pub use network::{FewImages, T1Estimates, UntrainedError, estimate};
pub use readout::Readout;
use recovery::recovery_of_known_t1;

/// Residuals above so many standard deviations of the noise are no noise: one pixel in 8000 has
/// them by chance with four images.
const MOST_NOISE_SDS: f32 = 3.0;
/// Share of a pixel's signal by which a Look-Locker recovery differs from what a readout makes of it.
const MODEL_ERROR: f32 = 0.01;

/// Makes a T1 map of the four or five images after one inversion.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The network. Without one, or for a series that it was not trained for, the fit of `map_t1`
    /// makes the map, and a warning says so.
    pub network: String,
    /// T1 is multiplied by this, as in `map_t1`: 1 over the inversion factor.
    pub correction_factor: f64,
    /// How signs are found.
    pub signs: Signs,
    /// A pixel with a longer T1 is invalid (0 in the map), ms.
    pub max_t1_ms: f64,
    /// A pixel is background where its signal is below this many standard deviations of the noise.
    pub mask_noise_sds: f64,
    /// Standard deviation of the noise in a pixel, in the images' unit. Where it is not given, what
    /// fits of three parameters leave in all pixels says it.
    pub noise_sd: Option<f64>,
    /// Where the inversion times are taken from.
    pub times_from: TimesFrom,
    /// Whether the images are sent on, in the order of their times.
    pub send_images: bool,
    /// Whether the images are sent with their signs, as a series of real images.
    pub send_psir: bool,
    /// What is added to these, so that integers can hold them.
    pub psir_offset: f32,
    /// Whether the map of standard deviations is sent.
    pub send_sd_map: bool,
    /// Whether the map of R² is sent.
    pub send_r_squared_map: bool,
    /// Series with this meta attribute pass.
    pub skip_processing_meta_field: String,
}

impl Default for Config {
    fn default() -> Self {
        let usual = MapT1Config::default();
        Self {
            network: "t1_from_few_images".to_owned(),
            correction_factor: usual.correction_factor,
            signs: usual.signs,
            max_t1_ms: usual.max_t1_ms,
            mask_noise_sds: usual.mask_noise_sds,
            noise_sd: usual.noise_sd,
            times_from: usual.times_from,
            send_images: usual.send_images,
            send_psir: usual.send_psir,
            psir_offset: usual.psir_offset,
            send_sd_map: usual.send_sd_map,
            send_r_squared_map: usual.send_r_squared_map,
            skip_processing_meta_field: usual.skip_processing_meta_field,
        }
    }
}

/// Makes a T1 map of the four or five images after one inversion.
pub struct EstimateT1 {
    map_t1: MapT1,
    network: Network,
    scan: Scan,
}

/// What asks the network.
struct Network {
    name: String,
    models: Option<Arc<Models>>,
    session: u64,
    correction_factor: f32,
}

impl Gadget for EstimateT1 {
    const NAME: &str = "estimate_t1";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, 1, z, y, x]
    type Output = SeriesAndMap;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let network = Network {
            name: config.network.clone(),
            models: scan.services.get::<Models>(),
            session: scan.session,
            correction_factor: config.correction_factor as f32,
        };
        let config = MapT1Config {
            recovery: Recovery::LookLocker,
            correction_factor: config.correction_factor,
            signs: config.signs,
            max_t1_ms: config.max_t1_ms,
            mask_noise_sds: config.mask_noise_sds,
            noise_sd: config.noise_sd,
            times_from: config.times_from,
            send_images: config.send_images,
            send_psir: config.send_psir,
            psir_offset: config.psir_offset,
            send_sd_map: config.send_sd_map,
            send_r_squared_map: config.send_r_squared_map,
            skip_processing_meta_field: config.skip_processing_meta_field,
            ..MapT1Config::default()
        };
        let map_t1 = MapT1::new(config, scan)?;
        // Loading goes on while the scan arrives; what is wrong is told with the first series.
        let _ = network.model();
        Ok(Self { map_t1, network, scan: scan.clone() })
    }

    fn process(&mut self, series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let readout = Readout::of(&series, &self.scan);
        let mut instead = Vec::new();
        let network = &self.network;
        let mut replace =
            |source: &Source, images: ArrayView3<'_, f32>, fitted: Fitted| match network.replaced(
                source,
                images,
                readout.as_ref(),
                &fitted,
            ) {
                Ok((replaced, method)) => (replaced, Some(method)),
                Err(why) => {
                    instead.push(why);
                    (fitted, None)
                }
            };
        let results = self.map_t1.results(series, &mut replace)?;
        instead.dedup();
        for Why { what, remedy } in instead {
            out.warn(format!("{what}; a fit of three parameters makes the T1 map instead"), remedy);
        }
        results.notes.into_iter().for_each(|note| out.inform(note));
        results.outputs.into_iter().for_each(|output| out.push(output));
        Ok(())
    }
}

/// Why the network is not asked, and what to do.
#[derive(PartialEq)]
struct Why {
    what: String,
    remedy: String,
}

impl<E: std::error::Error + Remedy> From<E> for Why {
    fn from(error: E) -> Self {
        Self { what: error.to_string(), remedy: error.remedy().to_owned() }
    }
}

impl Network {
    fn model(&self) -> Result<Arc<Model>, InferenceError> {
        let models = self.models.as_ref();
        models.ok_or_else(|| InferenceError::NoModels(self.name.clone()))?.open(&self.name)
    }

    /// The network's T1 in the place of the fit's, and how it was made.
    fn replaced(
        &self,
        source: &Source,
        images: ArrayView3<'_, f32>,
        readout: Option<&Readout>,
        fitted: &Fitted,
    ) -> Result<(Fitted, String), Why> {
        let few = FewImages::new(&source.times_ms, &source.inversions, readout)?;
        // Images that were made together agree better than they are known.
        let noise_sd = fitted.noise_sd.max(source.noise_sd.unwrap_or(0.0));
        let model = self.model()?;
        let tissue = fitted.tissue.view();
        let (estimates, version) = estimate(&model, &few, images, noise_sd, tissue, self.session)?;
        let mut replaced = explained(images, &source.times_ms, estimates, fitted);
        let factor = self.correction_factor;
        replaced.fit.value_ms.mapv_inplace(|value| factor * value);
        replaced.fit.sd_ms.mapv_inplace(|sd| factor * sd);
        let known = if readout.is_some() { "" } else { ", readout not known" };
        Ok((replaced, format!("network {version}{known}")))
    }
}

/// The estimates as a fit: with the recovery that they mean, and how far the images are from it.
/// Where that is more than noise explains, the standard deviation grows with the residuals.
fn explained(
    images: ArrayView3<'_, f32>,
    times_ms: &[f64],
    estimates: T1Estimates,
    fitted: &Fitted,
) -> Fitted {
    let T1Estimates { t1_ms, sd_ms } = estimates;
    let mut fit = recovery_of_known_t1(times_ms, images, t1_ms.view(), sd_ms.view());
    let mut unexplained = Array2::from_elem(t1_ms.dim(), false);
    for (place, is_off) in unexplained.indexed_iter_mut() {
        let expected = fitted.noise_sd.hypot(MODEL_ERROR * fit.constant[place]);
        let excess = fit.residual_sd[place] / expected.max(f32::MIN_POSITIVE);
        if t1_ms[place] > 0.0 && excess > MOST_NOISE_SDS {
            *is_off = true;
            fit.sd_ms[place] *= excess;
        }
    }
    fitted.with(fit, unexplained)
}
