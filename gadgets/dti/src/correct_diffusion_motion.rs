//! Diffusion-weighted images as if the heart had not moved between them.

use ndarray::{Axis, s};
use numerics::diffusion::{
    DiffusionMotion, MotionOptions, TensorPlan, find_wall, outliers, register_diffusion,
};
use numerics::registration::BSplineImage;
use pipeline::image_notes::MOTION_PX_KEY;
use pipeline::{Gadget, ImageRole, ImageSeries, Scan, Sink, unprocessed};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::weighting::{self, REJECTED_KEY, SeriesError};

/// Registers the diffusion-weighted images of a slice to each other and marks those that are
/// corrupted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether images are registered.
    pub register: bool,
    /// Whether rigid motion is refined by a deformation.
    pub deform: bool,
    /// No displacement becomes longer, px.
    pub max_displacement_px: f32,
    /// No rotation becomes larger, degrees.
    pub max_rotation_deg: f32,
    /// Radius of what moves with the heart, mm.
    pub heart_radius_mm: f64,
    /// Whether images whose signal in the heart is not that of the others are left out.
    pub reject: bool,
    /// How many robust standard deviations of the other images theirs has to be off.
    pub rejection_sds: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            register: true,
            deform: true,
            max_displacement_px: 8.0,
            max_rotation_deg: 10.0,
            heart_radius_mm: 65.0,
            reject: true,
            rejection_sds: 4.0,
        }
    }
}

/// Registers the diffusion-weighted images of a slice.
pub struct CorrectDiffusionMotion {
    config: Config,
}

/// Pixels that rejection looks at, at most.
const MOST_PIXELS: usize = 400;

impl Gadget for CorrectDiffusionMotion {
    const NAME: &str = "correct_diffusion_motion";
    const HEAVY: bool = true;
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [1, 1, image, 1, z, y, x]
    type Output = ImageSeries;
    type Error = SeriesError;

    fn new(config: Config, _scan: &Scan) -> Result<Self, SeriesError> {
        let is_length = |value: f64| value > 0.0 && value < 1e4;
        for (name, value) in [
            ("max_displacement_px", f64::from(config.max_displacement_px)),
            ("max_rotation_deg", f64::from(config.max_rotation_deg)),
            ("heart_radius_mm", config.heart_radius_mm),
            ("rejection_sds", config.rejection_sds),
        ] {
            if !is_length(value) {
                return Err(SeriesError::Property { name, value, allowed: "above 0" });
            }
        }
        Ok(Self { config })
    }

    fn process(
        &mut self,
        mut series: ImageSeries,
        out: &mut Sink<Self>,
    ) -> Result<(), SeriesError> {
        if !series.role.is_image() || series.meta.iter().any(unprocessed::is_marked) {
            out.push(series);
            return Ok(());
        }
        let encodings = weighting::of_series(&series)?;
        let mut plan = TensorPlan::new(&encodings)?;
        let pixel_mm = weighting::pixel_mm(&series);
        let mut longest_px = 0.0_f32;
        for z in 0..series.data.shape()[4] {
            let images = weighting::magnitudes(&series, z);
            let (n_images, n_y, n_x) = images.dim();
            let flat =
                images.to_shape((n_images, n_y * n_x)).map_err(|_| SeriesError::NoWeighting)?;
            let fit = plan.fit_linear(flat.view());
            let plane =
                |values: &ndarray::Array1<f32>| values.to_shape((n_y, n_x)).map(|a| a.to_owned());
            let (Ok(s0), Ok(md), Ok(fa)) =
                (plane(&fit.s0), plane(&fit.mean_diffusivity), plane(&fit.fractional_anisotropy))
            else {
                return Err(SeriesError::NoWeighting);
            };
            let wall = find_wall(s0.view(), md.view(), fa.view(), pixel_mm).ok();
            let center_px =
                wall.as_ref().map_or([n_y as f64 / 2.0, n_x as f64 / 2.0], |wall| wall.center_px);
            if self.config.register {
                let options = MotionOptions {
                    center_px: center_px.map(|place| place as f32),
                    radius_px: (self.config.heart_radius_mm / pixel_mm[0].max(pixel_mm[1])) as f32,
                    max_displacement_px: self.config.max_displacement_px,
                    max_angle_rad: self.config.max_rotation_deg.to_radians(),
                    is_deformable: self.config.deform,
                };
                let motion = register_diffusion(images.view(), &plan, &options);
                longest_px = longest_px.max(longest(&motion));
                for (image, field) in motion.fields.axis_iter(Axis(0)).enumerate() {
                    let place = s![0, 0, image, 0, z, .., ..];
                    // Magnitudes: the phase of single shots differs and says nothing.
                    let before =
                        images.index_axis(Axis(0), image).mapv(num_complex::Complex32::from);
                    let warped = BSplineImage::new(before.view()).warped(field);
                    series.data.slice_mut(place).assign(&warped.mapv(|v| v.re.max(0.0).into()));
                }
                if z == 0 {
                    for (meta, encoding) in series.meta.iter_mut().zip(&motion.encodings) {
                        weighting::write(meta, encoding);
                    }
                    if let Ok(turned) = TensorPlan::new(&motion.encodings) {
                        plan = turned;
                    }
                }
            }
            if self.config.reject {
                let images = weighting::magnitudes(&series, z);
                let pixels = places(wall.as_ref(), &s0, center_px);
                let signals: Vec<Vec<f64>> = pixels
                    .iter()
                    .map(|(y, x)| {
                        images.slice(s![.., *y, *x]).iter().map(|v| f64::from(*v)).collect()
                    })
                    .collect();
                let (rejected, ratios) = outliers(&plan, &signals, self.config.rejection_sds);
                for image in &rejected {
                    let why = format!("{:.0} % of the expected signal", 100.0 * ratios[*image]);
                    if let Some(meta) = series.meta.get_mut(*image) {
                        meta.set(REJECTED_KEY, why);
                    }
                }
                if !rejected.is_empty() {
                    let names: Vec<String> = rejected
                        .iter()
                        .map(|image| format!("{} ({:.0} %)", image + 1, 100.0 * ratios[*image]))
                        .collect();
                    out.inform(format!(
                        "{} of {n_images} images have another signal in the heart than the others \
                         tell and are left out: {}",
                        rejected.len(),
                        names.join(", ")
                    ));
                }
            }
        }
        if self.config.register {
            for meta in &mut series.meta {
                meta.set(MOTION_PX_KEY, format!("{longest_px:.2}"));
                meta.append("ImageProcessingHistory", "MOCO");
            }
            series.role = ImageRole::MotionCorrected;
            let role = series.role;
            series.meta.iter_mut().for_each(|meta| role.write(meta));
        }
        out.push(series);
        Ok(())
    }
}

fn longest(motion: &DiffusionMotion) -> f32 {
    let lengths = motion.rigid.iter().map(|motion| motion.dy_px.hypot(motion.dx_px));
    lengths.fold(0.0, f32::max)
}

/// Pixels of the wall; where none was found, bright ones around the centre.
fn places(
    wall: Option<&numerics::diffusion::Wall>,
    s0: &ndarray::Array2<f32>,
    center_px: [f64; 2],
) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = match wall {
        Some(wall) => wall.mask.indexed_iter().filter(|(_, is)| **is).map(|(at, _)| at).collect(),
        None => {
            let reach = 0.15 * s0.nrows().min(s0.ncols()) as f64;
            let brightest = s0.iter().copied().filter(|v| v.is_finite()).fold(0.0, f32::max);
            s0.indexed_iter()
                .filter(|((y, x), value)| {
                    let far = (*y as f64 - center_px[0]).hypot(*x as f64 - center_px[1]);
                    far < reach && **value > 0.1 * brightest
                })
                .map(|(at, _)| at)
                .collect()
        }
    };
    let step = places.len().div_ceil(MOST_PIXELS).max(1);
    places = places.into_iter().step_by(step).collect();
    places
}

#[cfg(test)]
mod tests;
