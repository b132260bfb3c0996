//! Scaling of series for integers.

use std::collections::BTreeMap;
use std::convert::Infallible;

use ismrmrd::Meta;
use pipeline::image_notes::scale_noise_sd;
use pipeline::{Gadget, ImageRole, ImageSeries, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sampled_images::encoding_space;

/// What the peak becomes where it lies outside the range of images in units of SNR.
const PEAK: f32 = 2048.0;

/// Factor of images in units of SNR, where it is found automatically.
const SNR_FACTOR: f32 = 4.0;

/// Volumes in the middle of a series whose peak counts.
const N_PEAK_VOLUMES: usize = 24;

/// Meta attributes that are pixel values, in both vocabularies.
const WINDOWS: [&str; 4] =
    ["GADGETRON_WindowCenter", "WindowCenter", "GADGETRON_WindowWidth", "WindowWidth"];

/// Scales series by a factor that depends on what they are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether images are scaled by `factor`; otherwise one is found from their peak.
    #[serde(alias = "use_constant_scalingFactor")]
    pub use_constant_factor: bool,
    /// Factor of images. 0 or less: it is found from their peak.
    #[serde(alias = "scalingFactor")]
    pub factor: f32,
    /// Peaks below this are taken as images that are not in units of SNR.
    #[serde(alias = "min_intensity_value")]
    pub min_intensity: f32,
    /// Peaks above this are as well; the largest pixel value that is wanted.
    #[serde(alias = "max_intensity_value")]
    pub max_intensity: f32,
    /// Whether the factor that was found for the first series of an encoding space is kept for
    /// the others, so that series of one scan compare.
    #[serde(alias = "auto_scaling_only_once")]
    pub find_factor_only_once: bool,
    /// Series whose meta attributes have this name are scaled by `dedicated_factor`.
    #[serde(alias = "use_dedicated_scalingFactor_meta_field")]
    pub dedicated_field: String,
    /// Factor of series with that attribute.
    #[serde(alias = "scalingFactor_dedicated")]
    pub dedicated_factor: f32,
    /// Factor of g-factor maps.
    #[serde(alias = "scalingFactor_gfactor_map")]
    pub g_factor_factor: f32,
    /// Factor of SNR maps.
    #[serde(alias = "scalingFactor_snr_map")]
    pub snr_factor: f32,
    /// Factor of maps of the noise's standard deviation.
    #[serde(alias = "scalingFactor_snr_std_map")]
    pub noise_sd_factor: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            use_constant_factor: true,
            factor: SNR_FACTOR,
            min_intensity: 64.0,
            max_intensity: 4095.0,
            find_factor_only_once: true,
            dedicated_field: "Use_dedicated_scaling_factor".to_owned(),
            dedicated_factor: 100.0,
            g_factor_factor: 100.0,
            snr_factor: 10.0,
            noise_sd_factor: 1000.0,
        }
    }
}

/// Scales all images of a series by one factor and writes it into their meta attributes.
pub struct ScaleSeries {
    config: Config,
    /// Factors that were found, by encoding space.
    found: BTreeMap<usize, f32>,
}

impl Gadget for ScaleSeries {
    const NAME: &str = "scale_series";
    const ALIASES: &'static [&'static str] = &["GenericReconImageArrayScalingGadget"];
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, channel, z, y, x]
    type Output = ImageSeries;
    type Error = Infallible;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self { config, found: BTreeMap::new() })
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let factor = self.factor(&series);
        if factor != 1.0 {
            series.data.mapv_inplace(|value| value * factor);
        }
        let is_map = !series.role.is_image();
        for meta in &mut series.meta {
            scale_noise_sd(meta, factor.into());
            describe(meta, factor, is_map);
        }
        out.push(series);
        Ok(())
    }
}

impl ScaleSeries {
    fn factor(&mut self, series: &ImageSeries) -> f32 {
        let config = &self.config;
        let is_dedicated = series
            .meta
            .first()
            .is_some_and(|meta| !meta.values(&config.dedicated_field).is_empty());
        match series.role {
            ImageRole::GFactor => return config.g_factor_factor,
            ImageRole::SnrMap => return config.snr_factor,
            ImageRole::NoiseSd => return config.noise_sd_factor,
            _ if is_dedicated => return config.dedicated_factor,
            _ if config.use_constant_factor && config.factor > 0.0 => return config.factor,
            _ => {}
        }
        let encoding = encoding_space(series);
        if let Some(factor) = self.found.get(&encoding)
            && config.find_factor_only_once
        {
            return *factor;
        }
        let factor = config.factor_of_peak(peak(series));
        self.found.insert(encoding, factor);
        factor
    }
}

impl Config {
    /// The factor of images with this peak: 4 where they can be in units of SNR, halved while they
    /// would be cut; what brings the peak to a usual value otherwise.
    fn factor_of_peak(&self, peak: f32) -> f32 {
        if peak < self.min_intensity || peak > self.max_intensity {
            return PEAK / peak;
        }
        let mut factor = SNR_FACTOR;
        while peak * factor > self.max_intensity && factor >= 2.0 {
            factor /= 2.0;
        }
        if peak * factor > self.max_intensity { self.max_intensity / peak } else { factor }
    }
}

/// Largest magnitude in the middle of a series, 1 where it is black.
fn peak(series: &ImageSeries) -> f32 {
    let shape = series.data.shape();
    let volume_len: usize = shape.iter().rev().take(3).product();
    let n_volumes = series.data.len().checked_div(volume_len).unwrap_or(0);
    let n_peak = n_volumes.min(N_PEAK_VOLUMES);
    let first = if n_volumes > N_PEAK_VOLUMES { n_volumes / 2 - N_PEAK_VOLUMES / 2 } else { 0 };
    let pixels = series.data.iter().skip(first * volume_len).take(n_peak * volume_len);
    // A maximum passes over what is no number.
    let power = pixels.map(|value| value.norm_sqr()).fold(0.0, f32::max);
    let peak = power.sqrt();
    if peak.is_finite() && peak >= f32::EPSILON { peak } else { 1.0 }
}

/// Writes what was done to the pixels: comment, ratio, windows; maps get the slope that leads back
/// to their values.
fn describe(meta: &mut Meta, factor: f32, is_map: bool) {
    let comment = format!("x{}", four_digits(factor));
    meta.append("GADGETRON_ImageComment", comment.as_str());
    meta.append("ImageComments", comment);
    meta.set("GADGETRON_ScaleRatio", factor);
    if is_map && factor != 0.0 {
        meta.set("RescaleSlope", 1.0 / f64::from(factor));
        meta.set("RescaleIntercept", 0);
    }
    for key in WINDOWS {
        if let Some(value) = meta.get_f64(key) {
            meta.set(key, (value * f64::from(factor)).round());
        }
    }
}

/// A number to four digits, as C's `%.4g` has it for sizes that factors have.
fn four_digits(value: f32) -> f64 {
    format!("{value:.3e}").parse().unwrap_or_else(|_| value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled_images::testing;
    use num_complex::Complex32;
    use pipeline::image_notes::NOISE_SD_KEY;
    use pipeline::{Message, run_gadget};

    fn series(peak: f32) -> ImageSeries {
        let mut series = testing::series([1, 1, 2, 1, 1, 4, 4]);
        series.data[[0, 0, 1, 0, 0, 2, 1]] = Complex32::new(0.6 * peak, -0.8 * peak);
        series
    }

    fn scale(config: Config, inputs: Vec<ImageSeries>) -> Vec<ImageSeries> {
        let Ok((outputs, _)) = run_gadget::<ScaleSeries>(config, &Scan::default(), inputs);
        outputs
            .into_iter()
            .map(|message| match message {
                Message::ImageSeries(series) => series,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect()
    }

    #[test]
    fn roles_have_factors_of_their_own_and_the_meta_attributes_say_so() {
        let with_role = |role| ImageSeries { role, ..series(2.0) };
        let mut dedicated = series(2.0);
        dedicated.meta[0].set("Use_dedicated_scaling_factor", 1);
        for (input, factor, comment) in [
            (series(2.0), 4.0, "x4"),
            (with_role(ImageRole::MotionCorrected), 4.0, "x4"),
            (with_role(ImageRole::GFactor), 100.0, "x100"),
            (with_role(ImageRole::SnrMap), 10.0, "x10"),
            (with_role(ImageRole::NoiseSd), 1000.0, "x1000"),
            (dedicated, 100.0, "x100"),
        ] {
            let is_map = !input.role.is_image();
            let mut input = input;
            input.meta.iter_mut().for_each(|meta| meta.set(NOISE_SD_KEY, 0.5));
            let scaled = scale(Config::default(), vec![input]).remove(0);
            let value = scaled.data[[0, 0, 1, 0, 0, 2, 1]];
            assert!((value - Complex32::new(1.2, -1.6) * factor).norm() < 1e-4 * factor);
            for meta in &scaled.meta {
                assert_eq!(meta.values("GADGETRON_ImageComment"), [comment]);
                assert_eq!(meta.values("ImageComments"), [comment]);
                assert_eq!(meta.get_f64(NOISE_SD_KEY), Some(f64::from(factor) / 2.0));
                assert_eq!(meta.get_f64("GADGETRON_ScaleRatio"), Some(factor.into()));
                assert_eq!(meta.get_f64("RescaleSlope"), is_map.then(|| 1.0 / f64::from(factor)));
            }
        }
    }

    #[test]
    fn a_factor_is_found_from_the_peak() {
        // Gadgetron's rule: peak, factor.
        for (peak, factor) in [
            (10.0, 204.8),
            (100.0, 4.0),
            (1000.0, 4.0),
            (1500.0, 2.0),
            (3000.0, 1.0),
            (4095.0, 1.0),
            (8192.0, 0.25),
            (0.0, 2048.0),
        ] {
            let config = Config { use_constant_factor: false, ..Config::default() };
            let scaled = scale(config, vec![series(peak)]).remove(0);
            let ratio = scaled.meta[0].get_f64("GADGETRON_ScaleRatio").expect("it is there");
            assert!((ratio / factor - 1.0).abs() < 1e-6, "{peak}: {ratio}");
        }
        let config = Config { factor: 0.0, ..Config::default() };
        let scaled = scale(config, vec![series(3.0)]).remove(0);
        assert_eq!(scaled.meta[1].values("GADGETRON_ImageComment"), ["x682.7"]);
    }

    #[test]
    fn the_factor_of_an_encoding_space_stays_unless_it_is_to_be_found_anew() {
        let ratios = |config: Config| -> Vec<f64> {
            let mut other_space = series(10.0);
            other_space.meta[0].set("encoding", 1);
            scale(config, vec![series(1024.0), series(2048.0), other_space])
                .iter()
                .map(|series| series.meta[0].get_f64("GADGETRON_ScaleRatio").expect("it is there"))
                .map(|ratio| (ratio * 1000.0).round() / 1000.0)
                .collect()
        };
        let once = Config { use_constant_factor: false, ..Config::default() };
        assert_eq!(ratios(once.clone()), [2.0, 2.0, 204.8]);
        let anew = Config { find_factor_only_once: false, ..once };
        assert_eq!(ratios(anew), [2.0, 1.0, 204.8]);
    }

    #[test]
    fn only_the_middle_of_a_long_series_counts() {
        let mut long = testing::series([1, 1, 30, 1, 1, 2, 2]);
        long.data[[0, 0, 2, 0, 0, 0, 0]] = Complex32::new(4000.0, 0.0);
        long.data[[0, 0, 3, 0, 0, 0, 0]] = Complex32::new(1000.0, 0.0);
        assert_eq!(peak(&long), 1000.0);
        long.data[[0, 0, 10, 0, 0, 0, 0]] = Complex32::new(f32::NAN, 0.0);
        assert_eq!(peak(&long), 1000.0);
    }

    #[test]
    fn windows_are_scaled_with_the_pixels() {
        let mut windowed = series(2.0);
        windowed.meta[0].set("WindowCenter", 120.4);
        windowed.meta[0].set("GADGETRON_WindowWidth", 300);
        let scaled = scale(Config::default(), vec![windowed]).remove(0);
        assert_eq!(scaled.meta[0].get("WindowCenter"), Some("482"));
        assert_eq!(scaled.meta[0].get("GADGETRON_WindowWidth"), Some("1200"));
        assert_eq!(scaled.meta[0].get("WindowWidth"), None);
    }
}
