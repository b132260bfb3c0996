//! Maps of T1 and T2 of a cardiac fingerprint.

mod quality;

use std::f32::consts::SQRT_2;
use std::sync::Arc;
use std::time::Instant;

use inference::{InferenceError, Model, Models};
use ismrmrd::{ImageHeader, Meta};
use ndarray::{Array2, Array3, Axis};
use num_complex::Complex32;
use numerics::fingerprint::{Dictionary, Grid, MatchOptions, Matches};
use pipeline::appearance::{of_t1, of_t2};
use pipeline::{
    Gadget, ImageSeries, ParametricMap, Presentation, Remedy, Scan, Sink, Unit, Verdict, View,
    unprocessed,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, positive};
use crate::network::{check, estimate};
use crate::numbers::Numbers;
use crate::played::Played;
use quality::{Quality, smoothed_noise};

/// How T1 and T2 are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By the dictionary of the scan's own rhythm.
    #[default]
    Dictionary,
    /// By a network that knows all rhythms; by the dictionary where it cannot be asked.
    Network,
    /// Both: maps of the dictionary, and maps of the network in series of their own.
    Both,
}

/// Makes maps of T1 and T2 of a fingerprint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How T1 and T2 are found.
    pub method: Method,
    /// The network.
    pub network: String,
    /// Least and largest T1 of the dictionary.
    pub t1_range_ms: [f64; 2],
    /// Least and largest T2 of the dictionary.
    pub t2_range_ms: [f64; 2],
    /// Step of both from entry to entry; between the entries is interpolated.
    pub step_percent: f64,
    /// Whether the grid of PTB's dictionary is taken instead, 22 988 entries.
    pub ptb_grid: bool,
    /// Whether background is left out of the maps.
    pub mapping_with_masking: bool,
    /// A pixel is background where its magnetisation is below this part of the brightest ones'.
    pub mask_share: f64,
    /// Whether the map of the equilibrium magnetisation is sent, in arbitrary units.
    pub send_m0_map: bool,
    /// Whether the maps of standard deviations are sent.
    pub send_sd_map: bool,
    /// Whether the map of R², how much of a voxel its match explains, is sent.
    pub send_r_squared_map: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            method: Method::Dictionary,
            network: "fingerprint_t1_t2".to_owned(),
            t1_range_ms: [50.0, 4000.0],
            t2_range_ms: [5.0, 1000.0],
            step_percent: 4.0,
            ptb_grid: false,
            mapping_with_masking: true,
            mask_share: 0.05,
            send_m0_map: true,
            send_sd_map: true,
            send_r_squared_map: true,
        }
    }
}

/// Series of maps, standard deviations and R²: T1, T2, M0; then those of the network beside the
/// dictionary's.
const T1_SERIES: [u16; 3] = [11, 12, 13];
const T2_SERIES: [u16; 3] = [14, 15, 16];
const M0_SERIES: u16 = 17;
const NETWORK_OFFSET: u16 = 20;
/// Centre and width of the window of T2, ms.
const T2_WINDOW: [f64; 2] = [60.0, 120.0];

pipeline::message_set! {
    /// Images that are no fingerprint, and maps.
    pub enum SeriesOrMap { ImageSeries, ParametricMap }
}

/// Makes maps of T1 and T2 of a cardiac fingerprint.
pub struct MapFingerprint {
    config: Config,
    grid: Grid,
    scan: Scan,
    models: Option<Arc<Models>>,
    n_sent: u16,
}

/// Values of the pixels of a slice, `[y, x]`, and how they were found.
struct Found {
    t1_ms: Array2<f32>,
    t2_ms: Array2<f32>,
    t1_sd_ms: Array2<f32>,
    t2_sd_ms: Array2<f32>,
    /// Of the step that found them.
    time_ms: f64,
    method: String,
    model: Option<String>,
}

/// What all maps of a slice have in common.
struct Slice {
    header: ImageHeader,
    meta: Meta,
    is_tissue: Array2<bool>,
    r_squared: Array2<f32>,
}

impl Gadget for MapFingerprint {
    const NAME: &str = "map_fingerprint";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [1, 1, number, 1, 1, y, x]
    type Output = SeriesOrMap;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        positive("step_percent", config.step_percent)?;
        positive("mask_share", config.mask_share)?;
        let grid = if config.ptb_grid {
            Grid::ptb()
        } else {
            Grid::logarithmic(config.t1_range_ms, config.t2_range_ms, config.step_percent)?
        };
        let models = scan.services.get::<Models>();
        let gadget = Self { config, grid, scan: scan.clone(), models, n_sent: 0 };
        // Loading goes on while the scan arrives; what is wrong is told with the first images.
        if gadget.config.method != Method::Dictionary {
            let _ = gadget.model();
        }
        Ok(gadget)
    }

    fn process(&mut self, series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let played = series.meta.first().and_then(Played::read);
        let is_marked = series.meta.iter().any(unprocessed::is_marked);
        let Some(played) = played.filter(|_| !is_marked) else {
            out.push(series);
            return Ok(());
        };
        let maps = self.maps(&series, &played?, out)?;
        maps.into_iter().for_each(|map| out.push(map));
        Ok(())
    }
}

impl MapFingerprint {
    fn model(&self) -> Result<Arc<Model>, InferenceError> {
        let name = &self.config.network;
        let models = self.models.as_ref().ok_or_else(|| InferenceError::NoModels(name.clone()))?;
        models.open(name)
    }

    fn maps(
        &mut self,
        series: &ImageSeries,
        played: &Played,
        out: &mut Sink<Self>,
    ) -> Result<Vec<ParametricMap>, Error> {
        let course = played.course()?;
        let share = if self.config.mapping_with_masking { self.config.mask_share } else { 0.0 };
        let Numbers { reduction, pixels, white, whitened, floor, is_tissue } =
            Numbers::of(series, played, &course, share)?;
        let shape = is_tissue.dim();
        let places: Vec<usize> =
            is_tissue.iter().enumerate().filter(|(_, is)| **is).map(|(place, _)| place).collect();
        let of_tissue = pixels.select(Axis(1), &places);
        let plane = |values: &[f32]| spread(values, &places, shape);
        let started = Instant::now();
        let dictionary = Dictionary::new(&course, self.grid.clone(), white.dot(&reduction).view());
        let whitened = whitened.select(Axis(1), &places);
        let matches = dictionary.match_pixels(whitened.view(), &MatchOptions::default());
        let dictionary_ms = started.elapsed().as_secs_f64() * 1e3;
        let m0 = plane(&matches.m0.iter().map(|m0| m0.norm()).collect::<Vec<_>>());
        // What images of few courses leave of noise lies more in the directions that signals take
        // than in the others, which it is measured in: the mean of all and nothing of what went.
        let hidden = played.noise_left.clamp(0.01, 1.0).sqrt().recip() as f32;
        let noise = smoothed_noise(&plane(&matches.residual_sd), &is_tissue) * hidden;
        let mut header = series.headers.first().copied().unwrap_or_default();
        let mut meta = series.meta.first().cloned().unwrap_or_default();
        Played::forget(&mut meta);
        meta.set("BoresideVersion", env!("CARGO_PKG_VERSION"));
        meta.set("BoresideUnexplainedPercent", format!("{:.3}", 100.0 * played.unexplained));
        self.n_sent = self.n_sent.saturating_add(1);
        header.image_index = self.n_sent;
        let r_squared = plane(&matches.correlation).mapv(|correlation| correlation * correlation);
        let slice = Slice { header, meta, is_tissue, r_squared };
        let misfit = floor.map(|floor| plane(&matches.residual_sd) * (SQRT_2 / floor));
        let quality =
            Quality::of(&slice.r_squared, misfit.as_ref(), &slice.is_tissue, played.unexplained);
        let verdict = |found: &Found| {
            quality.verdict(&found.t1_ms, &found.t1_sd_ms, &slice.is_tissue, &played.problems)
        };
        let of_match = self.of_match(&matches, &places, &noise, dictionary_ms, played);
        let mut maps = Vec::new();
        let wants_network = self.config.method != Method::Dictionary;
        let by_network = if wants_network {
            match self.by_network(played, &reduction, &of_tissue, &places, &noise) {
                Ok(found) => Some(found),
                Err((reason, remedy)) => {
                    out.warn(format!("{reason}; the dictionary is used instead"), remedy);
                    None
                }
            }
        } else {
            None
        };
        let both = self.config.method == Method::Both;
        if both || by_network.is_none() {
            maps.extend(self.pair(&slice, &of_match, &verdict(&of_match), 0));
        }
        if let Some(found) = &by_network {
            let offset = if both { NETWORK_OFFSET } else { 0 };
            maps.extend(self.pair(&slice, found, &verdict(found), offset));
        }
        if self.config.send_m0_map {
            let bright = m0.iter().copied().fold(0.0_f32, f32::max);
            let view = View {
                window: Some([f64::from(bright) / 2.0, f64::from(bright)]),
                series_index: Some(M0_SERIES),
                ..View::default()
            };
            let presentation = Presentation { values: view, ..Presentation::default() };
            let map = self.map(&slice, "M0", Unit::Ratio, &m0, presentation);
            maps.push(ParametricMap { verdict: Some(verdict(&of_match)), ..map });
        }
        Ok(maps)
    }

    fn of_match(
        &self,
        matches: &Matches,
        places: &[usize],
        noise: &Array2<f32>,
        time_ms: f64,
        played: &Played,
    ) -> Found {
        let shape = noise.dim();
        let value = |values: &[f32], limit: f64| {
            let inside = |value: &f32| if f64::from(*value) < limit { *value } else { 0.0 };
            spread(&values.iter().map(inside).collect::<Vec<_>>(), places, shape)
        };
        let sd = |sds: &[f32]| {
            let pixels = sds.iter().zip(&matches.residual_sd).zip(places);
            // That of the pixel's own residual, in that of its surroundings.
            let sds = pixels.map(|((sd, own), place)| {
                let around = noise[[place / shape.1, place % shape.1]];
                let sd = sd * if *own > 0.0 { around / own } else { 1.0 };
                if sd.is_finite() { sd } else { 0.0 }
            });
            spread(&sds.collect::<Vec<_>>(), places, shape)
        };
        let [_, t1_limit] = self.config.t1_range_ms;
        let [_, t2_limit] = self.config.t2_range_ms;
        Found {
            t1_ms: value(&matches.t1_ms, 0.999 * t1_limit),
            t2_ms: value(&matches.t2_ms, 0.999 * t2_limit),
            t1_sd_ms: sd(&matches.t1_sd_ms),
            t2_sd_ms: sd(&matches.t2_sd_ms),
            time_ms,
            method: format!(
                "fingerprint: dictionary of {} entries, {} beats",
                self.grid.n_entries(),
                played.preparations_ms.len()
            ),
            model: None,
        }
    }

    /// By the network; why not, and what to do.
    ///
    /// * `pixels`: of `places`, `[number, pixel]`.
    fn by_network(
        &self,
        played: &Played,
        reduction: &Array2<f32>,
        pixels: &Array2<Complex32>,
        places: &[usize],
        noise: &Array2<f32>,
    ) -> Result<Found, (String, String)> {
        let unfit = |why: String| (why, "take `method = \"dictionary\"` for such scans".to_owned());
        check(played).map_err(|why| unfit(format!("no maps by network: {why}")))?;
        if places.is_empty() {
            return Err(unfit("no maps by network: there is no signal".to_owned()));
        }
        let started = Instant::now();
        let shape = noise.dim();
        let noise_sds: Vec<f32> =
            places.iter().map(|place| noise[[place / shape.1, place % shape.1]]).collect();
        let asked = self.model().and_then(|model| {
            let session = self.scan.session;
            estimate(&model, played, reduction.view(), pixels.view(), &noise_sds, session)
        });
        let (estimates, provenance) =
            asked.map_err(|error| (error.to_string(), error.remedy().to_owned()))?;
        let time_ms = started.elapsed().as_secs_f64() * 1e3;
        let plane = |values: &[f32]| {
            spread(values, places, shape).mapv(|value| if value.is_finite() { value } else { 0.0 })
        };
        Ok(Found {
            t1_ms: plane(&estimates.t1_ms),
            t2_ms: plane(&estimates.t2_ms),
            t1_sd_ms: plane(&estimates.t1_sd_ms),
            t2_sd_ms: plane(&estimates.t2_sd_ms),
            time_ms,
            method: format!("fingerprint: network {} {}", provenance.model, provenance.version),
            model: Some(format!("{provenance:?}")),
        })
    }

    /// The maps of T1 and T2.
    fn pair(
        &self,
        slice: &Slice,
        found: &Found,
        verdict: &Verdict,
        offset: u16,
    ) -> [ParametricMap; 2] {
        let of = |quantity, values: &Array2<f32>, sd: &Array2<f32>, presentation| {
            let mut map = self.map(slice, quantity, Unit::Ms, values, presentation);
            map.meta.set("BoresideMethod", found.method.as_str());
            map.meta.set("BoresideStepMs", format!("{:.1}", found.time_ms));
            if let Some(model) = &found.model {
                map.meta.set("BoresideModelRun", model.as_str());
            }
            map.sd = self.config.send_sd_map.then(|| sd.clone().insert_axis(Axis(0)));
            map.verdict = Some(verdict.clone());
            let r_squared = || slice.r_squared.clone().insert_axis(Axis(0));
            map.r_squared = (self.config.send_r_squared_map && quantity == "T1").then(r_squared);
            map
        };
        let t1: Array3<f32> = found.t1_ms.clone().insert_axis(Axis(0));
        let t1_series = T1_SERIES.map(|series| series + offset);
        let t2_series = T2_SERIES.map(|series| series + offset);
        [
            of("T1", &found.t1_ms, &found.t1_sd_ms, of_t1(&self.scan, &t1, "IR", t1_series)),
            of("T2", &found.t2_ms, &found.t2_sd_ms, of_t2(&self.scan, T2_WINDOW, t2_series)),
        ]
    }

    fn map(
        &self,
        slice: &Slice,
        quantity: &str,
        unit: Unit,
        values: &Array2<f32>,
        presentation: Presentation,
    ) -> ParametricMap {
        let mut meta = slice.meta.clone();
        for key in ["ImageProcessingHistory", "GADGETRON_ImageProcessingHistory"] {
            meta.append(key, quantity);
        }
        ParametricMap {
            quantity: quantity.to_owned(),
            unit,
            header: slice.header,
            meta,
            values: values.clone().insert_axis(Axis(0)),
            sd: None,
            r_squared: None,
            verdict: None,
            presentation,
        }
    }
}

/// An image with these values at these places, and 0 elsewhere.
fn spread(values: &[f32], places: &[usize], shape: (usize, usize)) -> Array2<f32> {
    let mut plane = Array2::zeros(shape);
    for (place, value) in places.iter().zip(values) {
        plane[[place / shape.1, place % shape.1]] = *value;
    }
    plane
}
