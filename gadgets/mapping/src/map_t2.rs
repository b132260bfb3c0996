//! T2 map of a series of T2-prepared images, or of spin echoes.

use ndarray::Axis;
use numerics::relaxation::{FitOptions, Model, Plan, SearchRange};
use pipeline::times::{Preparation, TimesFrom};
use pipeline::{Gadget, ImageSeries, ParametricMap, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Error;
use crate::appearance::{Overrides, of_t2};
use crate::error::positive;
use crate::map_t1::SeriesAndMap;
use crate::results::{Finish, Planes};
use crate::source::{Reference, Source, is_mapped, sources};

/// Makes a T2 map of T2-prepared images.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// 2 for A e^(-t/T2); 3 for an offset beside it, which takes the recovery during the readout.
    pub parameters: u8,
    /// Where the preparation or echo times are taken from.
    pub times_from: TimesFrom,
    /// Gadgetron's word for it: true is the scan's header.
    pub imaging_prep_time_from_protocol: Option<bool>,
    /// A pixel with a longer T2 is invalid (0 in the map), ms. (Gadgetron takes 4000.)
    #[serde(alias = "max_T2")]
    pub max_t2_ms: f64,
    /// Standard deviation of the noise in a pixel, in the images' unit. Where it is not given, the
    /// residuals say it.
    pub noise_sd: Option<f64>,
    /// Whether the images are sent on, in the order of their times.
    pub send_images: bool,
    /// Whether the map is sent.
    pub send_map: bool,
    /// Whether the map of standard deviations is sent.
    pub send_sd_map: bool,
    /// Whether the map of R² is sent.
    pub send_r_squared_map: bool,
    /// Series with this meta attribute pass.
    pub skip_processing_meta_field: String,
    /// Whether background is left out of the map.
    pub mapping_with_masking: bool,
    /// A pixel is background where its signal is below this many standard deviations of the noise.
    #[serde(alias = "std_thres_masking")]
    pub mask_noise_sds: f64,
    /// Whether small holes are filled from around. Gadgetron does so unless told otherwise; here a
    /// pixel without a value of its own has none, unless this is asked for.
    pub perform_hole_filling: bool,
    /// Largest hole that is filled, pixels.
    pub max_size_hole: usize,
    /// Palette file of the map at 1.5 T.
    pub color_lut_map: Option<String>,
    /// Palette file of the map at other field strengths.
    #[serde(rename = "color_lut_map_3T", alias = "color_lut_map_3t")]
    pub color_lut_map_3t: Option<String>,
    /// Centre of the map's window at 1.5 T.
    pub window_center_map: Option<f64>,
    /// Width of the map's window at 1.5 T.
    pub window_width_map: Option<f64>,
    /// Centre of the map's window at other field strengths.
    #[serde(rename = "window_center_map_3T", alias = "window_center_map_3t")]
    pub window_center_map_3t: Option<f64>,
    /// Width of the map's window at other field strengths.
    #[serde(rename = "window_width_map_3T", alias = "window_width_map_3t")]
    pub window_width_map_3t: Option<f64>,
    /// What milliseconds are multiplied by where the map becomes integers.
    pub scaling_factor_map: f32,
    /// Palette file of the map of standard deviations.
    pub color_lut_sd_map: Option<String>,
    /// Centre of the window of standard deviations.
    pub window_center_sd_map: Option<f64>,
    /// Width of the window of standard deviations.
    pub window_width_sd_map: Option<f64>,
    /// What their milliseconds are multiplied by where they become integers.
    pub scaling_factor_sd_map: f32,
    /// Gadgetron's limit for its iterations. The search here ends by itself: no effect.
    pub max_iter: u32,
    /// Gadgetron's threshold for them: no effect.
    pub thres_func: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            parameters: 2,
            times_from: TimesFrom::Auto,
            imaging_prep_time_from_protocol: None,
            max_t2_ms: 4000.0,
            noise_sd: None,
            send_images: true,
            send_map: true,
            send_sd_map: true,
            send_r_squared_map: false,
            skip_processing_meta_field: "Skip_processing_after_recon".to_owned(),
            mapping_with_masking: true,
            mask_noise_sds: 3.0,
            perform_hole_filling: false,
            max_size_hole: 20,
            color_lut_map: None,
            color_lut_map_3t: None,
            window_center_map: None,
            window_width_map: None,
            window_center_map_3t: None,
            window_width_map_3t: None,
            scaling_factor_map: 1.0,
            color_lut_sd_map: None,
            window_center_sd_map: None,
            window_width_sd_map: None,
            scaling_factor_sd_map: 1.0,
            max_iter: 150,
            thres_func: 1e-4,
        }
    }
}

/// Series of map, standard deviation and R², as Gadgetron numbers them.
const SERIES: [u16; 3] = [11, 12, 13];
/// Centre and width of the window, ms.
const WINDOW: [f64; 2] = [60.0, 120.0];

/// Makes a T2 map of T2-prepared images.
pub struct MapT2 {
    config: Config,
    model: Model,
    scan: Scan,
    finish: Finish,
}

impl Gadget for MapT2 {
    const NAME: &str = "map_t2";
    const ALIASES: &'static [&'static str] = &["CmrParametricT2MappingGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, 1, z, y, x]
    type Output = SeriesAndMap;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        positive("max_t2_ms", config.max_t2_ms)?;
        positive("scaling_factor_map", config.scaling_factor_map.into())?;
        positive("scaling_factor_sd_map", config.scaling_factor_sd_map.into())?;
        let model = match config.parameters {
            2 => Model::Decay,
            3 => Model::DecayWithOffset,
            other => {
                return Err(Error::Property { property: "parameters", value: other.to_string() });
            }
        };
        let finish = Finish {
            quantity: "T2",
            mask_noise_sds: if config.mapping_with_masking {
                Some(config.mask_noise_sds as f32)
            } else {
                None
            },
            longest_ms: config.max_t2_ms as f32,
            noise_sd: config.noise_sd.map(|sd| sd as f32),
            largest_hole: if config.perform_hole_filling { config.max_size_hole } else { 0 },
            send_sd_map: config.send_sd_map,
            send_r_squared_map: config.send_r_squared_map,
            n_sent: 0,
        };
        Ok(Self { config, model, scan: scan.clone(), finish })
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        if !is_mapped(&series, &self.config.skip_processing_meta_field) {
            out.push(series);
            return Ok(());
        }
        let from = match (self.config.times_from, self.config.imaging_prep_time_from_protocol) {
            (TimesFrom::Auto, Some(true)) => TimesFrom::Header,
            (from, _) => from,
        };
        let (sources, notes) = sources(
            &mut series,
            &self.scan,
            Preparation::T2Preparation,
            from,
            Reference::Shortest,
        )?;
        let maps: Result<Vec<_>, Error> =
            sources.into_iter().map(|source| self.map(source)).collect();
        let maps = maps?;
        notes.into_iter().for_each(|note| out.inform(note));
        if self.config.send_images {
            out.push(series);
        }
        if self.config.send_map {
            maps.into_iter().for_each(|map| out.push(map));
        }
        Ok(())
    }
}

impl MapT2 {
    fn map(&mut self, source: Source) -> Result<ParametricMap, Error> {
        let usual = self.model.usual_range();
        let longest_ms = usual.longest_ms.max(1.5 * self.config.max_t2_ms);
        let plan = Plan::new(self.model, &source.times_ms, SearchRange { longest_ms, ..usual })?;
        let freedom = source.times_ms.len().saturating_sub(self.model.n_parameters());
        let mut planes = Planes::default();
        for z in 0..source.shape().0 {
            // With the phase of the first image, noise of late ones stays around 0.
            let images = source.decaying(z);
            let brightest = images.index_axis(Axis(0), 0);
            let fit = |options: FitOptions<'_>| plan.fit(images.view(), &options);
            self.finish.plane(fit, brightest, freedom, &mut planes);
        }
        let method = format!(
            "T2: decay, {} parameters, {} images",
            self.config.parameters,
            source.times_ms.len()
        );
        let mut map = self.finish.map(source, planes, &method);
        map.presentation = of_t2(&self.scan, WINDOW, SERIES);
        let overrides = Overrides {
            palette_files: [&self.config.color_lut_map, &self.config.color_lut_map_3t],
            centers: [self.config.window_center_map, self.config.window_center_map_3t],
            widths: [self.config.window_width_map, self.config.window_width_map_3t],
            scale: self.config.scaling_factor_map,
            sd_palette_file: &self.config.color_lut_sd_map,
            sd_window: [self.config.window_center_sd_map, self.config.window_width_sd_map],
            sd_scale: self.config.scaling_factor_sd_map,
        };
        overrides.apply(&self.scan, &mut map.presentation);
        Ok(map)
    }
}
