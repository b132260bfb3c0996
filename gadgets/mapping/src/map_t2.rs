//! T2 map of a series of T2-prepared images, or of spin echoes.

use ndarray::Axis;
use numerics::relaxation::{FitOptions, Model, Plan, SearchRange};
use pipeline::times::{Preparation, TimesFrom};
use pipeline::{Gadget, ImageSeries, ParametricMap, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Error;
use crate::error::positive;
use crate::map_t1::SeriesAndMap;
use crate::results::{Finish, Planes};
use crate::source::{Reference, Source, is_mapped, sources};
use pipeline::appearance::{Overrides, of_t2};

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
            self.finish.plane(fit, brightest, freedom, source.noise_sd, &mut planes);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EDGE, noise, scan, series, sorted};
    use num_complex::Complex32;
    use pipeline::run_gadget;

    #[test]
    fn t2_comes_back_and_noise_of_few_images_is_that_of_all_pixels() {
        let times = [0.0, 25.0, 55.0];
        let series_of = |size: f32| {
            series(3, |image, y, x| {
                let signal = 60.0 * (-times[image] / 48.0_f64).exp() as f32;
                let number = 2 * ((image * EDGE + y) * EDGE + x);
                Complex32::from_polar(signal, 0.1 * y as f32)
                    + size * Complex32::new(noise(number), noise(number + 1))
            })
        };
        let run = |series| {
            let (outputs, _) =
                run_gadget::<MapT2>(Config::default(), &scan(&[], &times, &[]), [series])
                    .expect("a map");
            sorted(outputs).1.remove(0)
        };
        let exact = run(series_of(0.0));
        assert!(exact.values.iter().all(|value| (value / 48.0 - 1.0).abs() < 1e-3));
        // Evenly from -3 to 3: a standard deviation of 1.73.
        let noisy = run(series_of(3.0));
        let sd = noisy.sd.expect("it is sent");
        let pairs = noisy.values.iter().zip(&sd);
        let covered = pairs.filter(|(value, sd)| (*value - 48.0).abs() <= **sd).count();
        let share = covered as f64 / (EDGE * EDGE) as f64;
        assert!((0.6..0.76).contains(&share), "{share}");
    }

    #[test]
    fn holes_are_filled_only_where_that_is_asked_for() {
        let times = [0.0, 25.0, 55.0, 80.0];
        let holed = || {
            series(4, |image, y, x| {
                let is_hole = (10..12).contains(&y) && (10..13).contains(&x);
                // Growing: no decay.
                let time_ms = if is_hole { -times[image] } else { times[image] };
                Complex32::from(60.0 * (-time_ms / 48.0_f64).exp() as f32)
            })
        };
        let run = |config| {
            let scan = scan(&[], &times, &[]);
            let (outputs, _) = run_gadget::<MapT2>(config, &scan, [holed()]).expect("a map");
            sorted(outputs).1.remove(0).values[[0, 11, 11]]
        };
        assert_eq!(run(Config::default()), 0.0);
        let filled = run(Config { perform_hole_filling: true, ..Config::default() });
        assert!((filled / 48.0 - 1.0).abs() < 1e-3, "{filled}");
    }
}
