//! Partial Fourier by homodyne detection.

use ndarray::ArrayViewMut3;
use numerics::partial_fourier::{Acquired, Homodyne};
use pipeline::{Gadget, ImageSeries, Remedy, Scan, Sink};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sampled_images::{
    Accelerations, SKIP_FIELD, SeriesError, is_to_be_filtered, partial, shape, volumes,
};

/// Reconstructs images with partial Fourier by homodyne detection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether to divide by the growth of the noise, so that the magnitude stays in units of SNR.
    pub snr_units: bool,
    /// Series whose meta attributes have this name pass.
    #[serde(alias = "skip_processing_meta_field")]
    pub skip_field: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { snr_units: false, skip_field: SKIP_FIELD.to_owned() }
    }
}

/// Keeps the part of each image in phase with the symmetric middle of k-space. Series with whole
/// k-space, maps and marked series pass.
pub struct PartialFourierHomodyne {
    config: Config,
    accelerations: Accelerations,
    plan: Option<([Acquired; 3], Homodyne)>,
    told_two_axes: bool,
}

impl Gadget for PartialFourierHomodyne {
    const NAME: &str = "partial_fourier_homodyne";
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, channel, z, y, x]
    type Output = ImageSeries;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let accelerations = Accelerations::of(scan);
        Ok(Self { config, accelerations, plan: None, told_two_axes: false })
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let shape = shape(&series)?;
        let axes = partial(&series, shape, &self.accelerations);
        let n_partial = axes.iter().filter(|axis| !axis.is_whole()).count();
        if n_partial > 0 && is_to_be_filtered(&series, &self.config.skip_field) {
            if n_partial > 1 && !std::mem::replace(&mut self.told_two_axes, true) {
                out.warn(
                    "k-space is partial along more than one direction: homodyne detection treats \
                     the one with the smallest part, others stay zero-filled",
                    "use `partial_fourier_pocs`, which treats them all",
                );
            }
            self.reconstruct(&mut series, axes);
        }
        out.push(series);
        Ok(())
    }
}

impl PartialFourierHomodyne {
    fn reconstruct(&mut self, series: &mut ImageSeries, axes: [Acquired; 3]) {
        let homodyne = match &mut self.plan {
            Some((planned, homodyne)) if *planned == axes => homodyne,
            plan => &plan.insert((axes, Homodyne::new(axes))).1,
        };
        let gain = if self.config.snr_units { homodyne.noise_gain() } else { 1.0 };
        let scale = (1.0 / gain) as f32;
        let volume = axes.map(Acquired::len);
        volumes(series).par_chunks_exact_mut(volume.iter().product()).for_each(|pixels| {
            if let Ok(mut image) = ArrayViewMut3::from_shape(volume, pixels) {
                homodyne.run(image.view_mut());
                if scale != 1.0 {
                    image.mapv_inplace(|value| value * scale);
                }
            }
        });
    }
}

/// A series that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] SeriesError);

impl Remedy for Error {
    fn remedy(&self) -> &str {
        SeriesError::REMEDY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled_images::testing;
    use ndarray::{Array3, Axis, s};
    use num_complex::Complex32;
    use numerics::fft::Plan;
    use pipeline::{Message, run_gadget};

    #[test]
    fn a_smooth_object_comes_back_and_keeps_its_phase() {
        // A Gaussian blob: 3/4 of its k-space along y.
        let truth = Array3::from_shape_fn((1, 64, 48), |(_, y, x)| {
            let (y, x) = (y as f32 - 30.0, x as f32 - 25.0);
            Complex32::from_polar((-(y * y + x * x) / 8.0).exp(), 0.7 + 0.01 * y)
        });
        let mut series = testing::series([1, 1, 1, 1, 1, 64, 48]);
        let mut image = truth.clone();
        let plan = Plan::new(&[1, 64, 48], &[Axis(1)]);
        plan.forward(image.view_mut());
        image.slice_mut(s![.., ..26, ..]).fill(Complex32::ZERO);
        plan.inverse(image.view_mut());
        series.data.slice_mut(s![0, 0, 0, 0, .., .., ..]).assign(&image);
        series.sampling.as_mut().expect("it is there").limits[1].min = 26;
        let distance = |image: &ImageSeries| {
            let image = image.data.slice(s![0, 0, 0, 0, .., .., ..]);
            let sum: f32 = truth.iter().zip(&image).map(|(a, b)| (a - b).norm_sqr()).sum();
            (sum / truth.iter().map(Complex32::norm_sqr).sum::<f32>()).sqrt()
        };
        let before = distance(&series);
        let config = Config::default();
        let result =
            testing::run::<PartialFourierHomodyne>(config, &Scan::default(), series.clone())
                .remove(0);
        let after = distance(&result);
        assert!(after < 0.5 * before, "{after} against {before}");

        series.sampling.as_mut().expect("it is there").limits[0].min = 12;
        let (outputs, reports) =
            run_gadget::<PartialFourierHomodyne>(Config::default(), &Scan::default(), [series])
                .expect("it runs");
        assert!(matches!(outputs[..], [Message::ImageSeries(_)]));
        assert!(reports[0].contains("more than one direction"), "{reports:?}");
    }
}
