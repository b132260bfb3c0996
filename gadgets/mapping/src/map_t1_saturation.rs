//! T1 map of a series after saturations: SASHA and its like, or repetition times.

use ndarray::Axis;
use numerics::relaxation::{FitOptions, Model, Plan, SearchRange};
use pipeline::times::{Preparation, TimesFrom};
use pipeline::{Gadget, ImageSeries, ParametricMap, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::positive;
use crate::map_t1::SeriesAndMap;
use crate::results::{Finish, Planes};
use crate::source::{Reference, Signs, Source, is_mapped, sources};
use pipeline::appearance::{Overrides, of_t1};

/// What the magnetisation recovers from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// A saturation pulse.
    #[default]
    Saturation,
    /// The excitation before: images differ in their repetition time.
    Repetition,
}

/// Makes a T1 map of the images after saturations.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the magnetisation recovers from.
    pub after: After,
    /// 3 for A (1 - B e^(-t/T1)), which is exact; 2 for B = 1, which is more precise and, with a
    /// balanced readout, some percent too short.
    pub parameters: u8,
    /// Index of the image without saturation, -1 where there is none.
    pub anchor_image_index: i32,
    /// Saturation time of that image, ms; where it is not given it has all its magnetisation.
    /// (Gadgetron takes 10000.)
    #[serde(rename = "anchor_TS", alias = "anchor_ts_ms")]
    pub anchor_ts_ms: Option<f64>,
    /// Whether saturation times come from the scan's header (true) or from `user_int[7]` of the
    /// images, µs (false). Where it is not given, both are looked at and must agree.
    pub imaging_prep_time_from_protocol: Option<bool>,
    /// Where the times are taken from, if not as `imaging_prep_time_from_protocol` says.
    pub times_from: TimesFrom,
    /// A pixel with a longer T1 is invalid (0 in the map), ms.
    #[serde(alias = "max_T1")]
    pub max_t1_ms: f64,
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
            after: After::Saturation,
            parameters: 3,
            anchor_image_index: 0,
            anchor_ts_ms: None,
            imaging_prep_time_from_protocol: None,
            times_from: TimesFrom::Auto,
            max_t1_ms: 4000.0,
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

/// Series of map, standard deviation and R², as Gadgetron's chain numbers them.
const SERIES: [u16; 3] = [11, 12, 13];

/// Makes a T1 map of the images after saturations.
pub struct MapT1Saturation {
    config: Config,
    model: Model,
    scan: Scan,
    finish: Finish,
}

impl Gadget for MapT1Saturation {
    const NAME: &str = "map_t1_saturation";
    const ALIASES: &'static [&'static str] = &["CmrParametricT1SRMappingGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, 1, z, y, x]
    type Output = SeriesAndMap;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        positive("max_t1_ms", config.max_t1_ms)?;
        positive("scaling_factor_map", config.scaling_factor_map.into())?;
        positive("scaling_factor_sd_map", config.scaling_factor_sd_map.into())?;
        let model = match config.parameters {
            2 => Model::RecoveryOfKnownDepth { depth: 1.0 },
            3 => Model::Recovery,
            other => {
                return Err(Error::Property { property: "parameters", value: other.to_string() });
            }
        };
        let finish = Finish {
            quantity: "T1",
            mask_noise_sds: if config.mapping_with_masking {
                Some(config.mask_noise_sds as f32)
            } else {
                None
            },
            longest_ms: config.max_t1_ms as f32,
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
        let preparation = match self.config.after {
            After::Repetition => Preparation::Repetition,
            After::Saturation => Preparation::Saturation {
                anchor: usize::try_from(self.config.anchor_image_index).ok(),
            },
        };
        let from = match (self.config.times_from, self.config.imaging_prep_time_from_protocol) {
            (TimesFrom::Auto, Some(true)) => TimesFrom::Header,
            (TimesFrom::Auto, Some(false)) => TimesFrom::UserInt,
            (from, _) => from,
        };
        let (sources, notes) =
            sources(&mut series, &self.scan, preparation, from, Reference::Longest)?;
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

impl MapT1Saturation {
    fn map(&mut self, mut source: Source) -> Result<ParametricMap, Error> {
        if let Some(anchor_ms) = self.config.anchor_ts_ms {
            for time_ms in source.times_ms.iter_mut().filter(|time_ms| time_ms.is_infinite()) {
                *time_ms = anchor_ms;
            }
        }
        let usual = self.model.usual_range();
        let longest_ms = usual.longest_ms.max(1.5 * self.config.max_t1_ms);
        let plan = Plan::new(self.model, &source.times_ms, SearchRange { longest_ms, ..usual })?;
        let freedom = source.times_ms.len().saturating_sub(self.model.n_parameters());
        let mut planes = Planes::default();
        for z in 0..source.shape().0 {
            // A recovery from saturation has no signs to find: the phase of the brightest image
            // keeps the noise of dark ones from being made positive.
            let (images, _) = source.recovering(z, Signs::Auto);
            let brightest = images.index_axis(Axis(0), source.times_ms.len() - 1);
            let fit = |options: FitOptions<'_>| plan.fit(images.view(), &options);
            self.finish.plane(fit, brightest, freedom, source.noise_sd, &mut planes);
        }
        let after = match self.config.after {
            After::Saturation => "saturation recovery",
            After::Repetition => "recovery between excitations",
        };
        let method = format!(
            "T1: {after}, {} parameters, {} images",
            self.config.parameters,
            source.times_ms.len()
        );
        let mut map = self.finish.map(source, planes, &method);
        map.presentation = of_t1(&self.scan, &map.values, "SR", SERIES);
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
    use crate::testing::{scan, series, sorted};
    use num_complex::Complex32;
    use pipeline::run_gadget;

    const TIMES: [f64; 6] = [10_000.0, 120.0, 250.0, 380.0, 510.0, 640.0];

    fn sasha(residual: f64) -> ImageSeries {
        series(6, |image, _, x| {
            let time_ms = if image == 0 { f64::INFINITY } else { TIMES[image] };
            let signal = 80.0 * (1.0 - (1.0 - residual) * (-time_ms / 1200.0).exp());
            Complex32::from_polar(signal as f32, 0.1 * x as f32)
        })
    }

    fn t1(config: Config, scan: &Scan, series: ImageSeries) -> f32 {
        let (outputs, _) = run_gadget::<MapT1Saturation>(config, scan, [series]).expect("a map");
        sorted(outputs).1[0].values[[0, 5, 5]]
    }

    #[test]
    fn three_parameters_are_exact_with_a_bad_saturation_and_two_are_not() {
        let scan = scan(&TIMES, &[], &[]);
        let two = Config { parameters: 2, ..Config::default() };
        assert!((t1(Config::default(), &scan, sasha(0.05)) / 1200.0 - 1.0).abs() < 1e-3);
        assert!((t1(two.clone(), &scan, sasha(0.0)) / 1200.0 - 1.0).abs() < 1e-3);
        assert!((t1(two, &scan, sasha(0.05)) / 1200.0 - 1.0).abs() > 0.05);
    }

    #[test]
    fn seconds_of_the_header_are_told() {
        let seconds = TIMES.map(|time| time / 1000.0);
        let scan = scan(&seconds, &[], &[]);
        let (outputs, reports) =
            run_gadget::<MapT1Saturation>(Config::default(), &scan, [sasha(0.0)]).expect("a map");
        assert!((sorted(outputs).1[0].values[[0, 5, 5]] / 1200.0 - 1.0).abs() < 1e-3);
        assert!(reports[0].contains("taken for seconds"), "{reports:?}");
    }

    #[test]
    fn repetition_times_are_fitted_without_an_anchor() {
        let tr = [100.0, 400.0, 800.0, 1500.0, 4000.0];
        let series = series(5, |image, _, _| {
            Complex32::from(50.0 * (1.0 - (-tr[image] / 900.0_f64).exp()) as f32)
        });
        let config = Config { after: After::Repetition, parameters: 2, ..Config::default() };
        assert!((t1(config, &scan(&[], &[], &tr), series) / 900.0 - 1.0).abs() < 1e-3);
    }
}
