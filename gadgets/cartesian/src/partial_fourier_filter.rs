//! Partial Fourier that stays zero-filled, with less ringing.

use ndarray::Axis;
use numerics::fft::{ThroughKSpace, ThroughKSpaceError};
use numerics::partial_fourier::Acquired;
use pipeline::{Gadget, ImageSeries, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sampled_images::{
    Accelerations, SKIP_FIELD, SeriesError, is_to_be_filtered, partial, shape, volumes,
};

/// Lets k-space fall to 0 where partial Fourier ends it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Length of the fall over that of the axis, along the readout.
    #[serde(alias = "partial_fourier_filter_RO_width")]
    pub readout_width: f64,
    /// The same along encoding step 1.
    #[serde(alias = "partial_fourier_filter_E1_width")]
    pub encoding_step_1_width: f64,
    /// The same along encoding step 2.
    #[serde(alias = "partial_fourier_filter_E2_width")]
    pub encoding_step_2_width: f64,
    /// Whether samples whose partner is missing get twice the weight.
    #[serde(alias = "partial_fourier_filter_densityComp")]
    pub density_compensation: bool,
    /// Series whose meta attributes have this name pass.
    #[serde(alias = "skip_processing_meta_field")]
    pub skip_field: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            readout_width: 0.15,
            encoding_step_1_width: 0.15,
            encoding_step_2_width: 0.15,
            density_compensation: false,
            skip_field: SKIP_FIELD.to_owned(),
        }
    }
}

/// What was acquired along the axes, and the transforms that go with it.
type PlanFor = ([Acquired; 3], Vec<(Axis, ThroughKSpace)>);

/// Multiplies a taper onto those axes of k-space that are partial. Series with whole k-space, maps
/// and marked series pass.
pub struct PartialFourierFilter {
    config: Config,
    accelerations: Accelerations,
    /// Of the axes z, y, x, as far as they are partial.
    plan: Option<PlanFor>,
}

impl Gadget for PartialFourierFilter {
    const NAME: &str = "partial_fourier_filter";
    const ALIASES: &'static [&'static str] = &["GenericReconPartialFourierHandlingFilterGadget"];
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, channel, z, y, x]
    type Output = ImageSeries;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        Ok(Self { config, accelerations: Accelerations::of(scan), plan: None })
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let shape = shape(&series)?;
        let axes = partial(&series, shape, &self.accelerations);
        let is_whole = axes.iter().all(|axis| axis.is_whole());
        if !is_whole && is_to_be_filtered(&series, &self.config.skip_field) {
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

impl PartialFourierFilter {
    fn filters(&mut self, axes: [Acquired; 3]) -> Result<&[(Axis, ThroughKSpace)], Error> {
        let is_planned = self.plan.as_ref().is_some_and(|(planned, _)| *planned == axes);
        if !is_planned {
            let widths = [
                self.config.encoding_step_2_width,
                self.config.encoding_step_1_width,
                self.config.readout_width,
            ];
            let mut filters = Vec::new();
            for (index, (axis, width)) in axes.into_iter().zip(widths).enumerate() {
                if !axis.is_whole() {
                    let weights = axis.taper(width, self.config.density_compensation);
                    filters.push((Axis(4 + index), ThroughKSpace::filter(&weights)?));
                }
            }
            self.plan = Some((axes, filters));
        }
        Ok(self.plan.as_ref().map_or(&[], |(_, filters)| filters))
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
    use ndarray::{ArrayD, IxDyn, s};
    use num_complex::Complex32;
    use numerics::fft::forward_2d;

    #[test]
    fn noise_of_the_acquired_lines_keeps_its_standard_deviation() {
        let shape = [1, 1, 1, 1, 1, 128, 96];
        let mut k_space = ArrayD::from_shape_vec(IxDyn(&shape), noise(128 * 96)).expect("pixels");
        // Unit noise of 96 of 128 lines, scaled up as a reconstruction in units of SNR does.
        k_space.slice_mut(s![.., .., .., .., .., ..32, ..]).fill(Complex32::ZERO);
        k_space.mapv_inplace(|value| value * (128.0_f32 / 96.0).sqrt());
        let mut series = testing::series(shape);
        series.data = k_space.clone();
        numerics::fft::inverse_2d(series.data.view_mut());
        series.sampling.as_mut().expect("it is there").limits[1].min = 32;
        for density_compensation in [false, true] {
            let config = Config { density_compensation, ..Config::default() };
            let mut result =
                testing::run::<PartialFourierFilter>(config, &Scan::default(), series.clone())
                    .remove(0);
            // 9216 samples: a standard deviation of the estimate of 0.5 %.
            let sd = sd(&result.data);
            assert!((sd - 1.0).abs() < 0.02, "{sd}");
            forward_2d(result.data.view_mut());
            let line = |index: usize| {
                let ratio = |x: usize| result.data[[0, 0, 0, 0, 0, index, x]].norm();
                ratio(50) / k_space[[0, 0, 0, 0, 0, index, 50]].norm()
            };
            assert!(line(32) < 0.05 && line(33) > line(32), "the end that was cut");
            assert!(line(127) > 0.9, "the other end");
        }
    }
}
