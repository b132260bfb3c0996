//! Maps of the diffusion tensor and of the heart's fibres.

use ismrmrd::{Image, ImageHeader, Meta};
use ndarray::{Array2, Array3, Axis, s};
use numerics::diffusion::{
    FitMethod, SlopeOptions, TensorPlan, Wall, WallError, eigen, fibre_angles, find_wall,
    fractional_anisotropy, helix_slope_percent, mean_diffusivity, mode, uncertainty,
};
use pipeline::palette::Colors;
use pipeline::{
    Gadget, ImageSeries, ParametricMap, Presentation, REMARK_KEY, Scan, Sink, Unit, Verdict, View,
    unprocessed,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::weighting::{self, REJECTED_KEY, SeriesError};

/// How the tensor is fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// To logarithms of the signals.
    Linear,
    /// To logarithms with the fitted signals as weights, found anew twice.
    #[default]
    Weighted,
    /// To the signals.
    NonLinear,
    /// To the signals, without those that are too far from the others (RESTORE).
    Robust,
}

/// Makes maps of a diffusion series.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the tensor is fitted.
    pub fit: Fit,
    /// Standard deviation of the noise in the images' unit, for the robust fit; [`None`]: from the
    /// residuals.
    pub noise_sd: Option<f64>,
    /// Pixels with less signal than this share of the bright end have no value.
    pub mask_share: f32,
    /// Name of the wall in the legend of labels that come before the series; without labels the wall
    /// is found in the maps themselves.
    pub wall: String,
    /// Share of the wall's thickness that the helix angle's slope leaves out at each border.
    pub slope_margin: f64,
    /// Whether the images are sent on.
    pub send_images: bool,
    /// Whether the standard deviations of MD, FA and helix angle are sent.
    pub send_sd_maps: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fit: Fit::Weighted,
            noise_sd: None,
            mask_share: 0.05,
            wall: "myocardium".to_owned(),
            slope_margin: 0.1,
            send_images: false,
            send_sd_maps: true,
        }
    }
}

pipeline::message_set! {
    /// A series, or labels of the heart that belong to the next one.
    pub enum SeriesOrLabels { ImageSeries, Image }
}

pipeline::message_set! {
    /// Maps, and what passes.
    pub enum SeriesMapOrImage { ImageSeries, ParametricMap, Image }
}

/// Makes maps of a diffusion series.
pub struct MapDiffusion {
    config: Config,
    labels: Option<Image>,
    n_maps: u16,
}

/// First series of the maps.
const FIRST_SERIES: u16 = 21;
/// Negative eigenvalues in the wall, share of pixels: to be looked at, of no use.
const NEGATIVE: [f64; 2] = [0.02, 0.15];
/// Median standard deviation of the helix angle, likewise, degrees.
const HELIX_SD_DEG: [f64; 2] = [12.0, 30.0];
/// Share of the images that were left out from which maps are to be looked at.
const REJECTED: f64 = 0.2;

impl Gadget for MapDiffusion {
    const NAME: &str = "map_diffusion";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = SeriesOrLabels;
    type Output = SeriesMapOrImage;
    type Error = SeriesError;

    fn new(config: Config, _scan: &Scan) -> Result<Self, SeriesError> {
        for (name, value, limit, allowed) in [
            ("mask_share", f64::from(config.mask_share), 1.0, "0 to below 1"),
            ("slope_margin", config.slope_margin, 0.4, "0 to below 0.4"),
            ("noise_sd", config.noise_sd.unwrap_or(0.0), 1e30, "0 or above"),
        ] {
            if !(0.0..limit).contains(&value) {
                return Err(SeriesError::Property { name, value, allowed });
            }
        }
        Ok(Self { config, labels: None, n_maps: 0 })
    }

    fn process(&mut self, input: SeriesOrLabels, out: &mut Sink<Self>) -> Result<(), SeriesError> {
        match input {
            SeriesOrLabels::Image(image) => {
                if image.meta.get("DataRole") == Some("Segmentation") {
                    self.labels = Some(image.clone());
                }
                out.push(image);
                Ok(())
            }
            SeriesOrLabels::ImageSeries(series) => {
                if !series.role.is_image() || series.meta.iter().any(unprocessed::is_marked) {
                    out.push(series);
                    return Ok(());
                }
                for map in self.maps(&series, out)? {
                    out.push(map);
                }
                if self.config.send_images {
                    out.push(series);
                }
                Ok(())
            }
        }
    }
}

/// What the fit of a pixel gives: maps in the order of [`QUANTITIES`], then standard deviations.
#[derive(Clone, Copy, Default)]
struct Pixel {
    is_fitted: bool,
    has_negative: bool,
    values: [f32; 8],
    sd: [f32; 3],
}

struct Quantity {
    name: &'static str,
    unit: Unit,
    /// Centre and width; a width of 0: none.
    window: [f64; 2],
    /// What is added where values become integers.
    offset: f32,
    /// Of the standard deviations in [`Pixel`].
    sd: Option<usize>,
    is_of_wall: bool,
    /// [`None`]: grey.
    colors: Option<Colors>,
}

const fn of_all(name: &'static str, unit: Unit, window: [f64; 2], sd: Option<usize>) -> Quantity {
    let colors = Some(Colors::Batlow);
    Quantity { name, unit, window, offset: 0.0, sd, is_of_wall: false, colors }
}

const fn angle(name: &'static str, sd: Option<usize>) -> Quantity {
    let window = [0.0, 180.0];
    // −90° and 90° are one line.
    let colors = Some(Colors::VikO);
    Quantity { name, unit: Unit::Deg, window, offset: 90.0, sd, is_of_wall: true, colors }
}

const QUANTITIES: [Quantity; 8] = [
    of_all("MD", Unit::MicrometerSquaredPerMs, [1.5, 3.0], Some(0)),
    of_all("FA", Unit::Ratio, [0.5, 1.0], Some(1)),
    Quantity {
        offset: 1.0,
        colors: Some(Colors::Vik),
        ..of_all("MODE", Unit::Ratio, [0.0, 2.0], None)
    },
    Quantity { colors: None, ..of_all("S0", Unit::Ratio, [0.0, 0.0], None) },
    angle("HA", Some(2)),
    angle("TA", None),
    angle("E2A", None),
    Quantity {
        offset: 0.0,
        window: [45.0, 90.0],
        colors: Some(Colors::Batlow),
        ..angle("ABS_E2A", None)
    },
];
/// Slopes below minus this have no integer.
const SLOPE_OFFSET: f32 = 2.0;

impl MapDiffusion {
    fn maps(
        &mut self,
        series: &ImageSeries,
        out: &mut Sink<Self>,
    ) -> Result<Vec<ParametricMap>, SeriesError> {
        let encodings = weighting::of_series(series)?;
        let kept: Vec<usize> = (0..encodings.len())
            .filter(|image| series.meta[*image].get(REJECTED_KEY).is_none())
            .collect();
        let n_rejected = encodings.len() - kept.len();
        let encodings: Vec<_> = kept.iter().map(|image| encodings[*image]).collect();
        let plan = TensorPlan::new(&encodings)?;
        let header = kept.first().map_or_else(ImageHeader::default, |n| series.headers[[0, 0, *n]]);
        let pixel_mm = weighting::pixel_mm(series);
        let shape = series.data.shape();
        let (n_z, n_y, n_x) = (shape[4], shape[5], shape[6]);
        let mut values = vec![Array3::<f32>::zeros((n_z, n_y, n_x)); QUANTITIES.len()];
        let mut sds = vec![Array3::<f32>::zeros((n_z, n_y, n_x)); 3];
        let mut negative = Array3::<f32>::zeros((n_z, n_y, n_x));
        let mut slope = Array3::<f32>::zeros((n_z, n_y, n_x));
        let mut remarks = Vec::new();
        let mut verdict = Verdict::Accept;
        let mut has_wall = true;
        for z in 0..n_z {
            let images = weighting::images_of(&weighting::magnitudes(series, z), &kept);
            let flat = images
                .to_shape((kept.len(), n_y * n_x))
                .map_err(|_| SeriesError::NoWeighting)?
                .to_owned();
            let first = plan.fit_linear(flat.view());
            let plane = |row: &ndarray::Array1<f32>| {
                Array2::from_shape_fn((n_y, n_x), |(y, x)| row[y * n_x + x])
            };
            let (s0, md, fa) = (
                plane(&first.s0),
                plane(&first.mean_diffusivity),
                plane(&first.fractional_anisotropy),
            );
            let wall = match self.labelled(&header, [n_y, n_x]) {
                Some(mask) => Wall::from_mask(mask.view(), pixel_mm),
                None => find_wall(s0.view(), md.view(), fa.view(), pixel_mm).inspect(|_| {
                    remarks.push("wall found in the maps themselves".to_owned());
                }),
            };
            let wall = match wall {
                Ok(wall) => Some(wall),
                Err(error) => {
                    has_wall = false;
                    out.warn(format!("no angles of fibres: {error}"), wall_remedy(&error));
                    None
                }
            };
            let mut bright: Vec<f32> = s0.iter().copied().filter(|v| *v > 0.0).collect();
            let at = bright.len() * 95 / 100;
            let least = if bright.is_empty() {
                f32::INFINITY
            } else {
                self.config.mask_share * *bright.select_nth_unstable_by(at, f32::total_cmp).1
            };
            let pixels = self.fit(&plan, &flat, &s0, least, wall.as_ref());
            for (number, pixel) in pixels.iter().enumerate() {
                let place = [z, number / n_x, number % n_x];
                for (map, value) in values.iter_mut().zip(pixel.values) {
                    map[place] = value;
                }
                for (map, value) in sds.iter_mut().zip(pixel.sd) {
                    map[place] = value;
                }
                negative[place] = f32::from(u8::from(pixel.has_negative));
            }
            if let Some(wall) = &wall {
                let helix = Array2::from_shape_fn((n_y, n_x), |(y, x)| {
                    let pixel = &pixels[y * n_x + x];
                    if pixel.is_fitted { pixel.values[4] } else { f32::NAN }
                });
                let options =
                    SlopeOptions { margin: self.config.slope_margin, ..SlopeOptions::default() };
                let slopes = helix_slope_percent(wall, helix.view(), &options);
                paint(&mut slope, z, wall, &slopes);
                let (judged, told) = judge(wall, &pixels, n_x, &slopes);
                verdict = worse(verdict, judged);
                remarks.push(told);
            }
        }
        if !has_wall {
            verdict =
                worse(verdict, Verdict::Check("the heart's wall was not found: no angles".into()));
        }
        let n_images = kept.len() + n_rejected;
        if n_rejected > 0 {
            let told = format!("{n_rejected} of {n_images} images left out");
            if n_rejected as f64 > REJECTED * n_images as f64 {
                verdict = worse(verdict, Verdict::Check(told.clone()));
            }
            remarks.push(told);
        }
        let meta = self.meta(series, &kept, &plan, &remarks);
        self.n_maps = self.n_maps.saturating_add(1);
        let header = ImageHeader { image_index: self.n_maps, ..header };
        let mut maps = Vec::new();
        let mut push = |quantity: &Quantity, values: Array3<f32>, sd: Option<Array3<f32>>| {
            let &Quantity { name, unit, window, offset, colors, .. } = quantity;
            let series_index = FIRST_SERIES + 2 * maps.len() as u16;
            let view = |window: [f64; 2], offset, colors: Option<Colors>, series_index| View {
                color_map: colors.map(Colors::name),
                window: Some(window).filter(|window| window[1] > 0.0),
                series_index: Some(series_index),
                // The images' own unit may be any.
                integer_scale: (name == "S0").then(|| integer_scale(&values)),
                integer_offset: offset,
                ..View::default()
            };
            let presentation = Presentation {
                values: view(window, offset, colors, series_index),
                sd: view(
                    [window[1] / 20.0, window[1] / 10.0],
                    0.0,
                    colors.map(|_| Colors::Batlow),
                    series_index + 1,
                ),
                r_squared: View::default(),
            };
            maps.push(ParametricMap {
                quantity: name.to_owned(),
                unit,
                header,
                meta: meta.clone(),
                values,
                sd,
                r_squared: None,
                verdict: Some(verdict.clone()),
                presentation,
            });
        };
        for (quantity, values) in QUANTITIES.iter().zip(values) {
            if quantity.is_of_wall && !has_wall {
                continue;
            }
            let sd = quantity.sd.filter(|_| self.config.send_sd_maps);
            push(quantity, values, sd.map(|n| sds[n].clone()));
        }
        if has_wall {
            let of_slope = of_all("HA_SLOPE", Unit::DegPerPercent, [0.0, 4.0], None);
            let colors = Some(Colors::Vik);
            push(&Quantity { offset: SLOPE_OFFSET, colors, ..of_slope }, slope, None);
        }
        let of_negative = of_all("NEGATIVE_EIGENVALUES", Unit::Ratio, [0.5, 1.0], None);
        push(&Quantity { colors: None, ..of_negative }, negative, None);
        Ok(maps)
    }

    fn fit(
        &self,
        plan: &TensorPlan,
        flat: &Array2<f32>,
        s0: &Array2<f32>,
        least: f32,
        wall: Option<&Wall>,
    ) -> Vec<Pixel> {
        let (_, n_x) = s0.dim();
        let n_free = plan.n_images().saturating_sub(7);
        let signals = |number: usize| -> Vec<f64> {
            flat.column(number).iter().map(|value| f64::from(*value)).collect()
        };
        // With few images more than unknowns, all pixels tell the noise together.
        let noise_sd = self.config.noise_sd.filter(|sd| *sd > 0.0).unwrap_or_else(|| {
            let mut squares: Vec<f64> = (0..flat.ncols())
                .step_by(7)
                .filter(|number| s0[[number / n_x, number % n_x]] > least)
                .filter_map(|number| plan.fit_pixel(&signals(number), FitMethod::Linear))
                .map(|fit| fit.squares / n_free.max(1) as f64)
                .collect();
            let middle = squares.len() / 2;
            if squares.is_empty() || n_free == 0 {
                0.0
            } else {
                squares.select_nth_unstable_by(middle, f64::total_cmp).1.sqrt()
            }
        });
        let method = match self.config.fit {
            Fit::Linear => FitMethod::Linear,
            Fit::Weighted => FitMethod::Weighted { reweightings: 2 },
            Fit::NonLinear => FitMethod::NonLinear,
            Fit::Robust => FitMethod::Robust { noise_sd },
        };
        let fit_one = |number: usize| -> Option<Pixel> {
            let (y, x) = (number / n_x, number % n_x);
            let is_wall = wall.is_some_and(|wall| wall.mask[[y, x]]);
            if !(s0[[y, x]] > least || is_wall) {
                return None;
            }
            let fit = plan.fit_pixel(&signals(number), method)?;
            let mut found = eigen(&fit.tensor);
            let has_negative = found.values.iter().any(|value| *value < 0.0);
            found.values.iter_mut().for_each(|value| *value = value.max(1e-6));
            let axes = wall.filter(|_| is_wall).map(|wall| wall.axes(y, x));
            let variance = if n_free >= 6 && fit.n_used > 12 {
                fit.squares / (fit.n_used - 7) as f64
            } else {
                noise_sd * noise_sd
            };
            let sd = uncertainty(plan, &fit, &found, axes.as_ref(), variance).unwrap_or_default();
            let angles = axes.map(|axes| fibre_angles(&found, &axes));
            let [helix, transverse, e2] =
                angles.map_or([0.0; 3], |a| [a.helix_deg, a.transverse_deg, a.e2_deg]);
            let values = [
                mean_diffusivity(&found.values),
                fractional_anisotropy(&found.values),
                mode(&found.values),
                fit.s0,
                helix,
                transverse,
                e2,
                e2.abs(),
            ];
            let sd = [sd.mean_diffusivity, sd.fractional_anisotropy, sd.helix_deg];
            Some(Pixel {
                is_fitted: true,
                has_negative,
                values: values.map(|value| value as f32),
                sd: sd.map(|value| value as f32),
            })
        };
        numerics::diffusion::each_pixel(flat.ncols(), |number| fit_one(number).unwrap_or_default())
    }

    /// The wall in labels of the same place.
    fn labelled(&self, header: &ImageHeader, [n_y, n_x]: [usize; 2]) -> Option<Array2<bool>> {
        let image = self.labels.as_ref()?;
        let comments = image.meta.values("ImageComments");
        let legend = comments.iter().find_map(|comment| comment.strip_prefix("labels: "))?;
        let number: f32 = legend.split(',').find_map(|part| {
            let (number, name) = part.trim().split_once(' ')?;
            (name == self.config.wall).then(|| number.parse().ok())?
        })?;
        let pixels = image.pixels.to_magnitude();
        let (slice, own) = ({ image.header.slice }, { header.slice });
        (pixels.dim().2 == n_y && pixels.dim().3 == n_x && slice == own)
            .then(|| pixels.slice(s![0, 0, .., ..]).mapv(|value| value == number))
    }

    fn meta(
        &self,
        series: &ImageSeries,
        kept: &[usize],
        plan: &TensorPlan,
        remarks: &[String],
    ) -> Meta {
        let mut meta = kept.first().and_then(|n| series.meta.get(*n)).cloned().unwrap_or_default();
        for key in [weighting::B_MATRIX_KEY, "DiffusionBValue", "DiffusionGradientOrientation"] {
            meta.remove(key);
        }
        let b = plan.encodings().iter().map(|b| b.b_value_s_per_mm2()).fold(0.0, f64::max);
        let fit = match self.config.fit {
            Fit::Linear => "linear",
            Fit::Weighted => "weighted linear",
            Fit::NonLinear => "non-linear",
            Fit::Robust => "robust non-linear",
        };
        meta.set(
            "BoresideMethod",
            format!("diffusion tensor: {fit} fit, {} images, b to {b:.0} s/mm²", plan.n_images()),
        );
        meta.set("BoresideVersion", env!("CARGO_PKG_VERSION"));
        for key in ["ImageProcessingHistory", "GADGETRON_ImageProcessingHistory"] {
            meta.append(key, "DTI");
        }
        for remark in remarks {
            meta.append(REMARK_KEY, remark.as_str());
        }
        meta
    }
}

/// The power of ten that keeps all values within 12 bits.
fn integer_scale(values: &Array3<f32>) -> f32 {
    let largest = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f32::max);
    if largest > 0.0 {
        10.0_f32.powf((4000.0 / largest).log10().floor().clamp(-9.0, 9.0))
    } else {
        1.0
    }
}

/// Paints the slope of each sector into the wall.
fn paint(map: &mut Array3<f32>, z: usize, wall: &Wall, slopes: &[Option<f64>]) {
    let mut plane = map.index_axis_mut(Axis(0), z);
    for ((y, x), _) in wall.mask.indexed_iter().filter(|(_, is_wall)| **is_wall) {
        let turn = wall.polar(y, x).0.rem_euclid(std::f64::consts::TAU) / std::f64::consts::TAU;
        let sector = ((turn * slopes.len() as f64) as usize).min(slopes.len() - 1);
        plane[[y, x]] = slopes[sector].unwrap_or(0.0) as f32;
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

/// What the wall's pixels say of the maps, and their medians in words.
fn judge(wall: &Wall, pixels: &[Pixel], n_x: usize, slopes: &[Option<f64>]) -> (Verdict, String) {
    let inside: Vec<&Pixel> = wall
        .mask
        .indexed_iter()
        .filter(|(_, is_wall)| **is_wall)
        .map(|((y, x), _)| &pixels[y * n_x + x])
        .filter(|pixel| pixel.is_fitted)
        .collect();
    let of =
        |value: fn(&Pixel) -> f32| median(inside.iter().map(|p| f64::from(value(p))).collect());
    let n_negative = inside.iter().filter(|pixel| pixel.has_negative).count();
    let negative = n_negative as f64 / inside.len().max(1) as f64;
    let helix_sd = of(|pixel| pixel.sd[2]);
    let slope = median(slopes.iter().flatten().copied().collect());
    let told = format!(
        "wall, medians: MD {:.2} um2/ms, FA {:.2}, |E2A| {:.0} deg, helix slope {slope:.2} deg/%, \
         negative eigenvalues {:.1} %",
        of(|pixel| pixel.values[0]),
        of(|pixel| pixel.values[1]),
        of(|pixel| pixel.values[7]),
        100.0 * negative
    );
    let why = [
        (
            negative,
            NEGATIVE,
            format!("{:.0} % of the wall has negative eigenvalues", 100.0 * negative),
        ),
        (helix_sd, HELIX_SD_DEG, format!("helix angles are sure to {helix_sd:.0} deg only")),
    ];
    let mut verdict = Verdict::Accept;
    for (value, [check, repeat], reason) in why {
        if value > repeat {
            verdict = worse(verdict, Verdict::Repeat(reason));
        } else if value > check {
            verdict = worse(verdict, Verdict::Check(reason));
        }
    }
    (verdict, told)
}

fn worse(a: Verdict, b: Verdict) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Accept => 0,
        Verdict::Check(_) => 1,
        Verdict::Repeat(_) => 2,
    };
    if rank(&b) > rank(&a) { b } else { a }
}

fn wall_remedy(error: &WallError) -> &'static str {
    match error {
        WallError::NotFound => "send labels of the heart's wall before the images",
        WallError::TooFewPixels(_) | WallError::NoRing { .. } => {
            "correct the labels: the wall has to go round the blood pool"
        }
    }
}

#[cfg(test)]
mod tests;
