//! Denoising of diffusion-weighted series.

use std::sync::Arc;

use inference::{EngineError, InferenceError, Model, Models, Request, ShapeError, Tensor};
use ismrmrd::Meta;
use ndarray::{Array2, Array3, ArrayView3, Axis, s};
use num_complex::Complex32;
use numerics::denoise::{mp_pca, non_local_means};
use numerics::diffusion::{Averages, BMatrix, TensorPlan};
use pipeline::{Gadget, ImageRole, ImageSeries, Remedy, Scan, Sink, unprocessed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::weighting::{self, REJECTED_KEY, SeriesError};

/// Meta attribute: how a series was denoised.
const METHOD_KEY: &str = "BoresideDenoising";
/// Pixels with less than this part of the brightest images' signal tell nothing of the noise.
const BRIGHT: f32 = 0.15;

/// How noise is taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DenoisingMethod {
    /// A network that is told the tensor and its noise; MP-PCA where it cannot be asked.
    #[default]
    Network,
    /// Principal components of patches that noise does not explain.
    MpPca,
    /// Means of what looks alike, in each image for itself.
    NonLocalMeans,
    /// Not at all.
    None,
}

/// Takes noise out of the diffusion-weighted images of a slice.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How.
    pub method: DenoisingMethod,
    /// The network.
    pub network: String,
    /// Standard deviation of the noise of one image in its real and in its imaginary part: 1 for
    /// images in SNR units, times the g-factor where a map of it came before. [`None`]: that of a
    /// noise map that came before, or what MP-PCA finds.
    pub noise_sd: Option<f32>,
    /// Pixels to each side of a patch's centre, for MP-PCA.
    #[schemars(range(min = 1, max = 7))]
    pub patch_radius: usize,
    /// Pixels to each side of a pixel that are searched for the like, for non-local means.
    #[schemars(range(min = 2, max = 50))]
    pub search_radius: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            method: DenoisingMethod::Network,
            network: "diffusion_denoising".to_owned(),
            noise_sd: None,
            patch_radius: 2,
            search_radius: 7,
        }
    }
}

/// Takes noise out of the diffusion-weighted images of a slice.
pub struct DenoiseDiffusion {
    config: Config,
    session: u64,
    models: Option<Arc<Models>>,
    /// The last map of noise or its amplification, with its role: `[y, x]`.
    noise_map: Option<(ImageRole, u16, Array2<f32>)>,
}

impl Gadget for DenoiseDiffusion {
    const NAME: &str = "denoise_diffusion";
    const HEAVY: bool = true;
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [1, 1, image, 1, z, y, x]
    type Output = ImageSeries;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let noise_sd = f64::from(config.noise_sd.unwrap_or(1.0));
        let (patch, search) = (config.patch_radius, config.search_radius);
        for (is_allowed, name, value, allowed) in [
            (noise_sd.is_finite() && noise_sd > 0.0, "noise_sd", noise_sd, "above 0"),
            ((1..=7).contains(&patch), "patch_radius", patch as f64, "1 to 7"),
            ((2..=50).contains(&search), "search_radius", search as f64, "2 to 50"),
        ] {
            if !is_allowed {
                return Err(SeriesError::Property { name, value, allowed }.into());
            }
        }
        let models = scan.services.get::<Models>();
        let gadget = Self { config, session: scan.session, models, noise_map: None };
        // Loading goes on while the scan arrives; what is wrong is told with the first series.
        if gadget.config.method == DenoisingMethod::Network {
            let _ = gadget.model();
        }
        Ok(gadget)
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        if matches!(series.role, ImageRole::NoiseSd | ImageRole::GFactor) {
            self.keep(&series);
        }
        let is_marked = series.meta.iter().any(unprocessed::is_marked);
        let is_left = self.config.method == DenoisingMethod::None || is_marked;
        if !series.role.is_image() || is_left {
            out.push(series);
            return Ok(());
        }
        let encodings = weighting::of_series(&series)?;
        let is_kept = |image: &usize| {
            series.meta.get(*image).is_none_or(|meta| meta.get(REJECTED_KEY).is_none())
        };
        let kept: Vec<usize> = (0..encodings.len()).filter(is_kept).collect();
        let slice = series.headers.first().map_or(0, |header| header.slice);
        for z in 0..series.data.shape()[4] {
            let images = weighting::images_of(&weighting::magnitudes(&series, z), &kept);
            let noise = self.noise_of(slice, images.view())?;
            let kept_encodings: Vec<BMatrix> = kept.iter().map(|image| encodings[*image]).collect();
            let (denoised, method) = self.denoise(&kept_encodings, images.view(), &noise, out)?;
            for (image, place) in denoised.axis_iter(Axis(0)).zip(&kept) {
                let target = s![0, 0, *place, 0, z, .., ..];
                series.data.slice_mut(target).assign(&image.mapv(Complex32::from));
            }
            for meta in &mut series.meta {
                meta.set(METHOD_KEY, method.as_str());
            }
        }
        series.meta.iter_mut().for_each(|meta: &mut Meta| {
            meta.append("ImageProcessingHistory", "DENOISE");
        });
        out.push(series);
        Ok(())
    }
}

impl DenoiseDiffusion {
    fn model(&self) -> Result<Arc<Model>, InferenceError> {
        let name = &self.config.network;
        let models = self.models.as_ref().ok_or_else(|| InferenceError::NoModels(name.clone()))?;
        models.open(name)
    }

    fn keep(&mut self, series: &ImageSeries) {
        let shape = series.data.shape();
        if let &[_, _, _, _, 1, n_y, n_x] = shape {
            let plane = series.data.iter().take(n_y * n_x).map(|value| value.re).collect();
            let slice = series.headers.first().map_or(0, |header| header.slice);
            if let Ok(plane) = Array2::from_shape_vec((n_y, n_x), plane) {
                self.noise_map = Some((series.role, slice, plane));
            }
        }
    }

    /// Standard deviation of the noise of one image at each pixel.
    fn noise_of(&self, slice: u16, images: ArrayView3<'_, f32>) -> Result<Vec<f32>, Error> {
        let (_, n_y, n_x) = images.dim();
        let map = self.noise_map.as_ref().filter(|(_, of, map)| {
            *of == slice && map.dim() == (n_y, n_x) && map.iter().all(|v| v.is_finite())
        });
        match (self.config.noise_sd, map) {
            (Some(sd), Some((ImageRole::GFactor, _, map))) => {
                Ok(map.iter().map(|g| sd * g.max(1.0)).collect())
            }
            (Some(sd), _) => Ok(vec![sd; n_y * n_x]),
            (None, Some((ImageRole::NoiseSd, _, map))) => Ok(map.iter().copied().collect()),
            (None, _) => {
                let sd = estimated_noise_sd(images, self.config.patch_radius)?;
                Ok(vec![sd; n_y * n_x])
            }
        }
    }

    /// The images without noise, and how that was done.
    fn denoise(
        &self,
        encodings: &[BMatrix],
        images: ArrayView3<'_, f32>,
        noise_sd: &[f32],
        out: &mut Sink<Self>,
    ) -> Result<(Array3<f32>, String), Error> {
        let middle = noise_sd[noise_sd.len() / 2];
        match self.config.method {
            DenoisingMethod::None => Ok((images.to_owned(), "none".to_owned())),
            DenoisingMethod::MpPca => {
                Ok((by_mp_pca(images, self.config.patch_radius)?, "MP-PCA".to_owned()))
            }
            DenoisingMethod::NonLocalMeans => {
                let denoised = by_non_local_means(images, noise_sd, self.config.search_radius);
                Ok((denoised, format!("non-local means, noise {middle:.3}")))
            }
            DenoisingMethod::Network => {
                let plan = TensorPlan::new(encodings).map_err(SeriesError::from)?;
                let asked = self.model().and_then(|model| {
                    by_network(&model, &plan, images, noise_sd, self.session)
                        .map(|(images, version)| (images, format!("{version}, noise {middle:.3}")))
                });
                asked.or_else(|error| {
                    out.warn(format!("{error}; MP-PCA is used instead"), error.remedy().to_owned());
                    Ok((by_mp_pca(images, self.config.patch_radius)?, "MP-PCA".to_owned()))
                })
            }
        }
    }
}

/// Standard deviation of the noise of one image, as MP-PCA finds it where there is signal.
///
/// * `images`: `[image, y, x]`, magnitudes.
///
/// # Errors
/// [`Error::Patch`]: the images are smaller than a patch, or there is one.
pub fn estimated_noise_sd(images: ArrayView3<'_, f32>, patch_radius: usize) -> Result<f32, Error> {
    let found = mp_pca(images.insert_axis(Axis(1)), [0, patch_radius, patch_radius]);
    let found = found.map_err(|error| Error::Patch(error.to_string()))?;
    let mean = images.mean_axis(Axis(0)).unwrap_or_default();
    let brightest = mean.iter().copied().fold(0.0, f32::max);
    let pairs = mean.iter().zip(&found.noise_sd);
    let mut sds: Vec<f32> =
        pairs.filter(|(signal, _)| **signal > BRIGHT * brightest).map(|(_, sd)| *sd).collect();
    sds.sort_by(f32::total_cmp);
    Ok(sds.get(sds.len() / 2).copied().unwrap_or(0.0))
}

/// MP-PCA of the images of one plane: `[image, y, x]`.
///
/// # Errors
/// [`Error::Patch`]: the images are smaller than a patch, or there is one.
pub fn by_mp_pca(images: ArrayView3<'_, f32>, patch_radius: usize) -> Result<Array3<f32>, Error> {
    let found = mp_pca(images.insert_axis(Axis(1)), [0, patch_radius, patch_radius]);
    let found = found.map_err(|error| Error::Patch(error.to_string()))?;
    Ok(found.images.remove_axis(Axis(1)))
}

/// Non-local means of each image, without what noise adds to magnitudes: `[image, y, x]`.
///
/// * `noise_sd`: of each pixel in the real and in the imaginary part.
pub fn by_non_local_means(
    images: ArrayView3<'_, f32>,
    noise_sd: &[f32],
    search_radius: usize,
) -> Array3<f32> {
    let mut sorted = noise_sd.to_vec();
    sorted.sort_by(f32::total_cmp);
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let mut denoised = images.to_owned();
    for mut image in denoised.axis_iter_mut(Axis(0)) {
        let complex = image.mapv(Complex32::from);
        let means = non_local_means(complex.view(), middle * middle, 2 * search_radius + 1);
        for ((pixel, mean), sd) in image.iter_mut().zip(&means).zip(noise_sd) {
            *pixel = (mean.re * mean.re - sd * sd).max(0.0).sqrt();
        }
    }
    denoised
}

/// The images that the network's tensors make: `[image, y, x]`; and its name and version.
///
/// * `noise_sd`: of one image at each pixel in the real and in the imaginary part.
///
/// # Errors
/// [`InferenceError`]: it cannot be asked, or answers what is no number.
pub fn by_network(
    model: &Model,
    plan: &TensorPlan,
    images: ArrayView3<'_, f32>,
    noise_sd: &[f32],
    session: u64,
) -> Result<(Array3<f32>, String), InferenceError> {
    let unfit = |what: &dyn std::fmt::Display| InferenceError::Engine {
        model: model.manifest().name.clone(),
        error: EngineError::Call(what.to_string()),
    };
    let (n_images, n_y, n_x) = images.dim();
    let flat = images.to_shape((n_images, n_y * n_x)).map_err(|error| unfit(&error))?;
    let averages = Averages::new(plan, flat.view(), noise_sd).map_err(|error| unfit(&error))?;
    let tensor = averages.tensor(noise_sd);
    // The network halves the resolution: an odd edge is repeated.
    let (even_y, even_x) = (n_y.next_multiple_of(2), n_x.next_multiple_of(2));
    let padded = |values: &Array2<f32>| {
        let mut planes = Vec::with_capacity(values.nrows() * even_y * even_x);
        for row in values.rows() {
            for y in 0..even_y {
                planes.extend((0..even_x).map(|x| row[y.min(n_y - 1) * n_x + x.min(n_x - 1)]));
            }
        }
        planes
    };
    let inputs = [("values", &tensor.values), ("noise", &tensor.noise_sd)];
    let inputs = inputs
        .into_iter()
        .map(|(name, values)| {
            let shape = [1, values.nrows(), even_y, even_x];
            Ok((name.to_owned(), Tensor::from_f32(&shape, padded(values))?))
        })
        .collect::<Result<Vec<_>, ShapeError>>()
        .map_err(|error| unfit(&error))?;
    let answer = model.run(Request { inputs, session, time: None })?;
    let denoised = answer
        .output("denoised")
        .filter(|tensor| tensor.shape() == [1, 7, even_y, even_x])
        .map(Tensor::to_f32)
        .filter(|values| values.iter().all(|value| value.is_finite()))
        .ok_or_else(|| unfit(&"its output is no tensor at each pixel"))?;
    let values = Array2::from_shape_fn((7, n_y * n_x), |(value, pixel)| {
        denoised[(value * even_y + pixel / n_x) * even_x + pixel % n_x]
    });
    let made = plan.images_of(values.view(), tensor.scale);
    let made = made.into_shape_with_order((n_images, n_y, n_x)).map_err(|error| unfit(&error))?;
    let provenance = answer.provenance;
    Ok((made, format!("network {} {}", provenance.model, provenance.version)))
}

/// Why a series is not denoised.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A property, or weightings.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// Images that hold no patch.
    #[error("MP-PCA: {0}")]
    Patch(String),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Series(error) => error.remedy(),
            Self::Patch(_) => "set a smaller `patch_radius`, or take `denoise_diffusion` out",
        }
    }
}

#[cfg(test)]
mod tests;
