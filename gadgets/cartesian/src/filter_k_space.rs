//! Windows over k-space.

use ndarray::Axis;
use numerics::fft::{ThroughKSpace, ThroughKSpaceError};
use numerics::partial_fourier::Acquired;
use numerics::windows::Window;
use pipeline::{Gadget, ImageSeries, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sampled_images::{SKIP_FIELD, SeriesError, acquired, is_to_be_filtered, shape, volumes};

/// Multiplies windows onto the k-space of images, axis by axis.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Window along the readout.
    #[serde(alias = "filterRO")]
    pub readout_window: WindowKind,
    /// Sigma of a Gaussian window: 1 leaves 0.61 at the ends of k-space, 1.5 leaves 0.32.
    #[serde(alias = "filterRO_sigma")]
    pub readout_sigma: f64,
    /// Length of either end of a tapered window over that of the axis.
    #[serde(alias = "filterRO_width")]
    pub readout_width: f64,
    /// Window along encoding step 1.
    #[serde(alias = "filterE1")]
    pub encoding_step_1_window: WindowKind,
    /// Its sigma.
    #[serde(alias = "filterE1_sigma")]
    pub encoding_step_1_sigma: f64,
    /// Length of its ends.
    #[serde(alias = "filterE1_width")]
    pub encoding_step_1_width: f64,
    /// Window along encoding step 2.
    #[serde(alias = "filterE2")]
    pub encoding_step_2_window: WindowKind,
    /// Its sigma.
    #[serde(alias = "filterE2_sigma")]
    pub encoding_step_2_sigma: f64,
    /// Length of its ends.
    #[serde(alias = "filterE2_width")]
    pub encoding_step_2_width: f64,
    /// Series whose meta attributes have this name pass.
    #[serde(alias = "skip_processing_meta_field")]
    pub skip_field: String,
}

/// Which window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// exp(−sigma² x² / 2).
    #[default]
    #[serde(alias = "Gaussian")]
    Gaussian,
    /// A cosine over all of the axis.
    #[serde(alias = "Hanning")]
    Hanning,
    /// A cosine at either end.
    #[serde(alias = "TaperedHanning")]
    TaperedHanning,
    /// None: the axis is left alone.
    #[serde(alias = "None")]
    None,
}

impl Default for Config {
    fn default() -> Self {
        let (window, sigma, width) = (WindowKind::default(), 1.0, 0.15);
        Self {
            readout_window: window,
            readout_sigma: sigma,
            readout_width: width,
            encoding_step_1_window: window,
            encoding_step_1_sigma: sigma,
            encoding_step_1_width: width,
            encoding_step_2_window: window,
            encoding_step_2_sigma: sigma,
            encoding_step_2_width: width,
            skip_field: SKIP_FIELD.to_owned(),
        }
    }
}

/// What was acquired along the axes, and the transforms that go with it.
type PlanFor = ([Acquired; 3], Vec<(Axis, ThroughKSpace)>);

/// Filters all images of a series. Maps and marked series pass.
pub struct FilterKSpace {
    config: Config,
    /// Filters of the axes z, y, x that have one.
    plan: Option<PlanFor>,
}

impl Gadget for FilterKSpace {
    const NAME: &str = "filter_k_space";
    const ALIASES: &'static [&'static str] = &["GenericReconKSpaceFilteringGadget"];
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, channel, z, y, x]
    type Output = ImageSeries;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        Ok(Self { config, plan: None })
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let shape = shape(&series)?;
        if is_to_be_filtered(&series, &self.config.skip_field) {
            let axes = acquired(&series, shape);
            // The filters want lines without gaps.
            volumes(&mut series);
            for (axis, filter) in self.filters(axes)? {
                filter.apply_in_place(series.data.view_mut(), *axis);
            }
        }
        out.push(series);
        Ok(())
    }
}

impl FilterKSpace {
    fn filters(&mut self, axes: [Acquired; 3]) -> Result<&[(Axis, ThroughKSpace)], Error> {
        let is_planned = self.plan.as_ref().is_some_and(|(planned, _)| *planned == axes);
        if !is_planned {
            let windows = self.config.windows();
            let mut filters = Vec::new();
            for (index, (axis, window)) in axes.into_iter().zip(windows).enumerate() {
                if let Some(window) = window
                    && axis.len() > 1
                {
                    let weights = window.snr_weights(axis.len(), axis.range());
                    filters.push((Axis(4 + index), ThroughKSpace::filter(&weights)?));
                }
            }
            self.plan = Some((axes, filters));
        }
        Ok(self.plan.as_ref().map_or(&[], |(_, filters)| filters))
    }
}

impl Config {
    /// Along z, y, x.
    fn windows(&self) -> [Option<Window>; 3] {
        let window = |kind, sigma, width| match kind {
            WindowKind::Gaussian => Some(Window::Gaussian { sigma }),
            WindowKind::Hanning => Some(Window::Hanning),
            WindowKind::TaperedHanning => Some(Window::TaperedHanning { width }),
            WindowKind::None => None,
        };
        [
            window(
                self.encoding_step_2_window,
                self.encoding_step_2_sigma,
                self.encoding_step_2_width,
            ),
            window(
                self.encoding_step_1_window,
                self.encoding_step_1_sigma,
                self.encoding_step_1_width,
            ),
            window(self.readout_window, self.readout_sigma, self.readout_width),
        ]
    }
}

/// A series that is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The parts of the series do not belong together.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// Its lines cannot be filtered.
    #[error(transparent)]
    Lines(#[from] ThroughKSpaceError),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        SeriesError::REMEDY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled_images::testing::{self, noise, sd};
    use ndarray::{ArrayD, IxDyn};
    use num_complex::Complex32;
    use numerics::fft::forward_axes;
    use pipeline::ImageRole;
    use serde_json::json;

    fn noise_series(shape: [usize; 7]) -> ImageSeries {
        let mut series = testing::series(shape);
        let n = shape.iter().product();
        series.data = ArrayD::from_shape_vec(IxDyn(&shape), noise(n)).expect("as many pixels");
        series
    }

    fn filter(config: Config, series: ImageSeries) -> ImageSeries {
        testing::run::<FilterKSpace>(config, &Scan::default(), series).remove(0)
    }

    #[test]
    fn noise_keeps_its_standard_deviation_with_every_window() {
        let series = noise_series([1, 1, 1, 1, 1, 120, 100]);
        for window in [WindowKind::Gaussian, WindowKind::Hanning, WindowKind::TaperedHanning] {
            let config = Config {
                readout_window: window,
                encoding_step_1_window: window,
                ..Config::default()
            };
            let filtered = filter(config, series.clone());
            // 12000 pixels, fewer independent ones with a Hanning window.
            let sd = sd(&filtered.data);
            assert!((sd - 1.0).abs() < 0.03, "{window:?}: {sd}");
            assert_ne!(filtered.data, series.data);
        }
    }

    #[test]
    fn k_space_is_multiplied_by_the_window_along_the_chosen_axes_only() {
        let shape = [1, 1, 2, 1, 12, 16, 20];
        let series = noise_series(shape);
        let axes = [Axis(4), Axis(5), Axis(6)];
        let mut before = series.data.clone();
        forward_axes(before.view_mut(), &axes);
        let config = Config {
            readout_window: WindowKind::None,
            encoding_step_1_sigma: 1.5,
            encoding_step_2_window: WindowKind::Hanning,
            ..Config::default()
        };
        let mut after = filter(config, series).data;
        forward_axes(after.view_mut(), &axes);
        let along_y = Window::Gaussian { sigma: 1.5 }.snr_weights(16, 0..=15);
        let along_z = Window::Hanning.snr_weights(12, 0..=11);
        for (place, value) in after.indexed_iter() {
            let expected = before[place.clone()] * along_y[place[5]] * along_z[place[4]];
            assert!((value - expected).norm() < 1e-4, "{place:?}: {value} for {expected}");
        }
    }

    #[test]
    fn maps_marked_series_and_no_window_pass_bit_for_bit() {
        let series = noise_series([1, 1, 1, 1, 1, 8, 8]);
        let mut map = series.clone();
        map.role = ImageRole::GFactor;
        assert_eq!(filter(Config::default(), map).data, series.data);
        // An SNR map is to be that of the filtered image.
        let mut map = series.clone();
        map.role = ImageRole::SnrMap;
        let filtered = filter(Config::default(), series.clone()).data;
        assert_ne!(filtered, series.data);
        assert_eq!(filter(Config::default(), map).data, filtered);
        let mut marked = series.clone();
        marked.meta[0].set("keep", 1);
        let config = Config { skip_field: "keep".to_owned(), ..Config::default() };
        assert_eq!(filter(config, marked).data, series.data);
        let none = Config {
            readout_window: WindowKind::None,
            encoding_step_1_window: WindowKind::None,
            encoding_step_2_window: WindowKind::None,
            ..Config::default()
        };
        assert_eq!(filter(none, series.clone()).data, series.data);
    }

    #[test]
    fn a_series_in_another_order_of_memory_is_filtered_as_well() {
        let series = noise_series([1, 1, 2, 1, 1, 8, 6]);
        let mut turned = series.clone();
        let mut data = ArrayD::<Complex32>::zeros(IxDyn(&[1, 1, 2, 1, 1, 6, 8]));
        data.swap_axes(5, 6);
        data.assign(&series.data);
        turned.data = data;
        let expected = filter(Config::default(), series).data;
        assert_eq!(filter(Config::default(), turned).data, expected);
    }

    #[test]
    fn gadgetrons_names_are_understood() {
        let config: Config = serde_json::from_value(json!({
            "filterRO": "TaperedHanning", "filterRO_width": 0.2,
            "filterE1": "None", "filterE2": "Hanning", "filterE1_sigma": 1.5,
        }))
        .expect("they are aliases");
        assert_eq!(config.readout_window, WindowKind::TaperedHanning);
        assert_eq!(config.encoding_step_1_window, WindowKind::None);
        assert_eq!((config.readout_width, config.encoding_step_1_sigma), (0.2, 1.5));
    }
}
