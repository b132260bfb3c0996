//! T2* map of a series of gradient echoes.

use ndarray::{Array2, Axis};
use numerics::relaxation::{
    FitOptions, Model, Noise, NoiseFloor, Plan, RelaxationFit, SearchRange, Truncation,
};
use pipeline::times::{Preparation, TimesFrom};
use pipeline::{Gadget, ImageSeries, ParametricMap, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::assess::noise_sd;
use crate::error::positive;
use crate::map_t1::SeriesAndMap;
use crate::results::{Finish, Planes};
use crate::source::{Reference, Source, is_mapped, sources};
use pipeline::appearance::of_t2;

/// How the noise floor of magnitudes is dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Floor {
    /// Magnitudes are held against the mean that noise gives them (Rice).
    #[default]
    Rice,
    /// Late echoes are left out while R² is below 0.995.
    Truncation,
    /// A constant beside the decay.
    Offset,
    /// Not at all.
    Ignored,
}

/// Makes a T2* map of gradient echoes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the noise floor is dealt with.
    pub noise_floor: Floor,
    /// Standard deviation of the noise in the real and in the imaginary part of a pixel, in the
    /// images' unit. Where it is not given, the residuals of the images say it.
    pub noise_sd: Option<f64>,
    /// Where the echo times are taken from.
    pub times_from: TimesFrom,
    /// A pixel with a longer T2* is invalid (0 in the map), ms.
    pub max_t2_star_ms: f64,
    /// A pixel is background where its signal is below this many standard deviations of the noise.
    pub mask_noise_sds: f64,
    /// Whether the images are sent on, in the order of their times.
    pub send_images: bool,
    /// Whether the map of standard deviations is sent.
    pub send_sd_map: bool,
    /// Whether the map of R² is sent.
    pub send_r_squared_map: bool,
    /// Series with this meta attribute pass.
    pub skip_processing_meta_field: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            noise_floor: Floor::Rice,
            noise_sd: None,
            times_from: TimesFrom::Auto,
            max_t2_star_ms: 200.0,
            mask_noise_sds: 3.0,
            send_images: true,
            send_sd_map: true,
            send_r_squared_map: false,
            skip_processing_meta_field: "Skip_processing_after_recon".to_owned(),
        }
    }
}

/// Series of map, standard deviation and R².
const SERIES: [u16; 3] = [11, 12, 13];
/// Centre and width of the window, ms.
const WINDOW: [f64; 2] = [30.0, 60.0];
/// R² below which an echo is left out, and how many are kept whatever it is.
const TRUNCATION: (f32, usize) = (0.995, 3);

/// Makes a T2* map of gradient echoes.
pub struct MapT2Star {
    config: Config,
    scan: Scan,
    finish: Finish,
}

impl Gadget for MapT2Star {
    const NAME: &str = "map_t2_star";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, 1, z, y, x]
    type Output = SeriesAndMap;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        positive("max_t2_star_ms", config.max_t2_star_ms)?;
        let finish = Finish {
            quantity: "T2STAR",
            mask_noise_sds: Some(config.mask_noise_sds as f32),
            longest_ms: config.max_t2_star_ms as f32,
            noise_sd: config.noise_sd.map(|sd| sd as f32),
            largest_hole: 0,
            send_sd_map: config.send_sd_map,
            send_r_squared_map: config.send_r_squared_map,
            n_sent: 0,
        };
        Ok(Self { config, scan: scan.clone(), finish })
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        if !is_mapped(&series, &self.config.skip_processing_meta_field) {
            out.push(series);
            return Ok(());
        }
        let from = self.config.times_from;
        let (sources, notes) =
            sources(&mut series, &self.scan, Preparation::Echo, from, Reference::Shortest)?;
        let maps: Result<Vec<_>, Error> =
            sources.into_iter().map(|source| self.map(source)).collect();
        let maps = maps?;
        notes.into_iter().for_each(|note| out.inform(note));
        if self.config.send_images {
            out.push(series);
        }
        maps.into_iter().for_each(|map| out.push(map));
        Ok(())
    }
}

impl MapT2Star {
    fn map(&mut self, source: Source) -> Result<ParametricMap, Error> {
        let usual = Model::Decay.usual_range();
        let longest_ms = 2.0 * self.config.max_t2_star_ms;
        let range = SearchRange { shortest_ms: 0.5 * usual.shortest_ms, longest_ms };
        let times = &source.times_ms;
        let fitting = match self.config.noise_floor {
            Floor::Rice => Fitting::Rice(NoiseFloor::new(times, range)?),
            Floor::Truncation => {
                Fitting::Truncation(Truncation::new(times, range, TRUNCATION.0, TRUNCATION.1)?)
            }
            Floor::Offset => Fitting::Plan(Plan::new(Model::DecayWithOffset, times, range)?),
            Floor::Ignored => Fitting::Plan(Plan::new(Model::Decay, times, range)?),
        };
        // How much noise there is, a decay with an offset tells: the floor is no misfit to it.
        let for_noise = Plan::new(Model::DecayWithOffset, times, range)
            .or_else(|_| Plan::new(Model::Decay, times, range))?;
        let n_parameters = if self.config.noise_floor == Floor::Offset { 3 } else { 2 };
        let freedom = times.len().saturating_sub(n_parameters);
        let mut planes = Planes::default();
        for z in 0..source.shape().0 {
            let images = source.magnitudes(z);
            let brightest = images.index_axis(Axis(0), 0);
            let known = self.config.noise_sd.map(|sd| sd as f32);
            let sd = known.unwrap_or_else(|| {
                let freedom = times.len().saturating_sub(for_noise.model().n_parameters());
                noise_sd(&for_noise.fit(images.view(), &FitOptions::default()), freedom)
            });
            let fit = |options: FitOptions<'_>| -> RelaxationFit {
                match &fitting {
                    Fitting::Rice(floor) => {
                        let sd = match options.noise {
                            Noise::Known(sd) => sd,
                            _ => sd,
                        };
                        let map = Array2::from_elem(brightest.dim(), sd);
                        floor.fit(images.view(), map.view(), None)
                    }
                    Fitting::Truncation(truncation) => truncation.fit(images.view(), &options),
                    Fitting::Plan(plan) => plan.fit(images.view(), &options),
                }
            };
            self.finish.plane(fit, brightest, freedom, source.noise_sd, &mut planes);
        }
        let floor = match self.config.noise_floor {
            Floor::Rice => "Rice's mean",
            Floor::Truncation => "late echoes left out below R² 0.995",
            Floor::Offset => "with an offset",
            Floor::Ignored => "two parameters",
        };
        let method = format!("T2*: decay, {floor}, {} echoes", times.len());
        let mut map = self.finish.map(source, planes, &method);
        map.presentation = of_t2(&self.scan, WINDOW, SERIES);
        Ok(map)
    }
}

enum Fitting {
    Rice(NoiseFloor),
    Truncation(Truncation),
    Plan(Plan),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EDGE, noise, scan, series, sorted};
    use num_complex::Complex32;
    use pipeline::run_gadget;

    #[test]
    fn the_noise_floor_is_found_by_itself_and_does_not_lengthen_t2_star() {
        let times: Vec<f64> = (0..8).map(|n| 2.6 + 2.0 * f64::from(n)).collect();
        let decay = || {
            series(8, |image, y, x| {
                let signal = 40.0 * (-times[image] / 6.0).exp() as f32;
                // Sums of even numbers are as good as normal; standard deviation 1.
                let normal = |k: usize| -> f32 {
                    let number = 32 * ((image * EDGE + y) * EDGE + x) + 12 * k;
                    0.5 * (0..12).map(|n| noise(number + n)).sum::<f32>()
                };
                Complex32::new(signal + normal(0), normal(1))
            })
        };
        let median_of = |noise_floor| {
            let config = Config { noise_floor, ..Config::default() };
            let scan = scan(&[], &times, &[]);
            let (outputs, _) = run_gadget::<MapT2Star>(config, &scan, [decay()]).expect("a map");
            crate::assess::median(sorted(outputs).1[0].values.iter().copied())
        };
        let (rice, ignored) = (median_of(Floor::Rice), median_of(Floor::Ignored));
        assert!((rice / 6.0 - 1.0).abs() < 0.03, "{rice}");
        assert!(ignored > rice, "{ignored}");
        assert!((median_of(Floor::Truncation) / 6.0 - 1.0).abs() < 0.1);
        assert!((median_of(Floor::Offset) / 6.0 - 1.0).abs() < 0.1);
    }
}
