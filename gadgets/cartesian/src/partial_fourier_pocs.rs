//! Partial Fourier by projections.

use ndarray::ArrayViewMut3;
use numerics::partial_fourier::{Acquired, Pocs, PocsOptions};
use pipeline::{Gadget, ImageSeries, Remedy, Scan, Sink};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sampled_images::{
    Accelerations, SKIP_FIELD, SeriesError, is_to_be_filtered, partial, shape, volumes,
};

/// Most iterations that a chain may ask for.
const MAX_ITERATIONS: usize = 1000;

/// Fills the side of k-space that partial Fourier left out, by projections.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most iterations.
    #[serde(alias = "partial_fourier_POCS_iters")]
    #[schemars(range(min = 0, max = 1000))]
    pub n_iterations: usize,
    /// Relative change of the image below which the iterations stop.
    #[serde(alias = "partial_fourier_POCS_thres")]
    pub threshold: f64,
    /// Lines (and samples of a readout) over which acquired data blend into estimated ones.
    #[serde(alias = "partial_fourier_POCS_transitBand")]
    pub transition_band: usize,
    /// The same along encoding step 2.
    #[serde(alias = "partial_fourier_POCS_transitBand_E2")]
    pub transition_band_encoding_step_2: usize,
    /// Whether to divide by the growth of the noise, so that the magnitude stays in units of SNR.
    /// Gadgetron does not.
    pub snr_units: bool,
    /// Share of the energy of the acquired samples without a partner that a smooth phase may leave
    /// unexplained: images with more stay as they are, those with a little less in part. 0 to
    /// fill all, as Gadgetron does.
    #[schemars(range(min = 0.0))]
    pub max_misfit: f64,
    /// Series whose meta attributes have this name pass.
    #[serde(alias = "skip_processing_meta_field")]
    pub skip_field: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            n_iterations: 6,
            threshold: 0.01,
            transition_band: 24,
            transition_band_encoding_step_2: 16,
            snr_units: false,
            max_misfit: PocsOptions::default().max_misfit,
            skip_field: SKIP_FIELD.to_owned(),
        }
    }
}

/// Fills the missing side of k-space of each image of a series. Series without one, maps and
/// marked series pass.
pub struct PartialFourierPocs {
    config: Config,
    accelerations: Accelerations,
    plan: Option<([Acquired; 3], Pocs)>,
    told_misfit: bool,
}

impl Gadget for PartialFourierPocs {
    const NAME: &str = "partial_fourier_pocs";
    const ALIASES: &'static [&'static str] = &["GenericReconPartialFourierHandlingPOCSGadget"];
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, channel, z, y, x]
    type Output = ImageSeries;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        if config.n_iterations > MAX_ITERATIONS {
            return Err(Error::Iterations(config.n_iterations));
        }
        Ok(Self { config, accelerations: Accelerations::of(scan), plan: None, told_misfit: false })
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let shape = shape(&series)?;
        let axes = partial(&series, shape, &self.accelerations);
        let is_whole = axes.iter().all(|axis| axis.is_whole());
        if !is_whole && is_to_be_filtered(&series, &self.config.skip_field) {
            let misfit = self.fill(&mut series, axes);
            if let Some(misfit) = misfit
                && !std::mem::replace(&mut self.told_misfit, true)
            {
                out.warn(
                    format!(
                        "the phase is not smooth: {:.0} % of the energy of the lines without a \
                         partner do not fit it; partial Fourier is not filled there, or in part",
                        100.0 * misfit
                    ),
                    "look for fat beside water and for noise; `max_misfit = 0` fills nevertheless, at the risk of \
                     artefacts",
                );
            }
        }
        out.push(series);
        Ok(())
    }
}

impl PartialFourierPocs {
    /// Fills what can be filled; gives the largest misfit of the images that stay as they were, or
    /// are filled in part only.
    fn fill(&mut self, series: &mut ImageSeries, axes: [Acquired; 3]) -> Option<f64> {
        let config = &self.config;
        let transition = [
            config.transition_band_encoding_step_2,
            config.transition_band,
            config.transition_band,
        ];
        let pocs = match &mut self.plan {
            Some((planned, pocs)) if *planned == axes => pocs,
            plan => {
                let options = PocsOptions {
                    n_iterations: config.n_iterations,
                    threshold: config.threshold,
                    transition,
                    max_misfit: config.max_misfit,
                };
                &plan.insert((axes, Pocs::new(axes, options))).1
            }
        };
        let volume = axes.map(Acquired::len);
        let images = volumes(series).par_chunks_exact_mut(volume.iter().product());
        let misfits = images.map(|pixels| {
            let mut image = ArrayViewMut3::from_shape(volume, pixels).ok()?;
            let outcome = pocs.run(image.view_mut());
            if config.snr_units {
                let gain = 1.0 + outcome.weight * (pocs.noise_gain(outcome.n_iterations) - 1.0);
                let scale = (1.0 / gain) as f32;
                image.mapv_inplace(|value| value * scale);
            }
            (outcome.weight < 1.0).then_some(outcome.misfit)
        });
        misfits.flatten().max_by(f64::total_cmp)
    }
}

/// A series or a configuration that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The parts of the series do not belong together.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// So many would never end.
    #[error("{0} iterations, at most {MAX_ITERATIONS} are sensible")]
    Iterations(usize),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Series(_) => SeriesError::REMEDY,
            Self::Iterations(_) => "lower `n_iterations`; 6 are usual",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled_images::testing;
    use ndarray::{Array3, Axis, s};
    use num_complex::Complex32;
    use numerics::fft::Plan;
    use pipeline::{ImageRole, run_gadget};

    /// A disc with a hole and a smooth phase, `[z, y, x]`.
    fn truth(shape: [usize; 3]) -> Array3<Complex32> {
        Array3::from_shape_fn(shape, |(_, y, x)| {
            let y = (y as f32 - shape[1] as f32 / 2.0) / shape[1] as f32;
            let x = (x as f32 - shape[2] as f32 / 2.0) / shape[2] as f32;
            let is_inside = y.hypot(x) < 0.38 && y.hypot(x - 0.1) > 0.12;
            Complex32::from_polar(if is_inside { 1.0 } else { 0.0 }, 1.5 * y + 0.8 * x)
        })
    }

    fn partial_series(first_line: usize) -> (Array3<Complex32>, ImageSeries) {
        let truth = truth([1, 64, 48]);
        let mut series = testing::series([1, 1, 2, 1, 1, 64, 48]);
        let plan = Plan::new(&[1, 64, 48], &[Axis(1)]);
        let mut image = truth.clone();
        plan.forward(image.view_mut());
        image.slice_mut(s![.., ..first_line, ..]).fill(Complex32::ZERO);
        plan.inverse(image.view_mut());
        for n in 0..2 {
            series.data.slice_mut(s![0, 0, n, 0, .., .., ..]).assign(&image);
        }
        let sampling = series.sampling.as_mut().expect("it is there");
        sampling.limits[1].min = first_line as u16;
        (truth, series)
    }

    fn error(truth: &Array3<Complex32>, series: &ImageSeries, n: usize) -> f32 {
        let image = series.data.slice(s![0, 0, n, 0, .., .., ..]);
        let difference: f32 =
            truth.iter().zip(&image).map(|(a, b)| (a.norm() - b.norm()).powi(2)).sum();
        (difference / truth.iter().map(Complex32::norm_sqr).sum::<f32>()).sqrt()
    }

    #[test]
    fn every_image_of_a_series_is_filled() {
        let (truth, series) = partial_series(16);
        let before = error(&truth, &series, 0);
        let filled =
            testing::run::<PartialFourierPocs>(Config::default(), &Scan::default(), series)
                .remove(0);
        for n in 0..2 {
            let after = error(&truth, &filled, n);
            assert!(after < 0.5 * before, "image {n}: {after} against {before}");
        }
    }

    #[test]
    fn whole_k_space_maps_and_marked_series_pass_bit_for_bit() {
        let run = |series: &ImageSeries| {
            testing::run::<PartialFourierPocs>(Config::default(), &Scan::default(), series.clone())
                .remove(0)
        };
        let (_, whole) = partial_series(1);
        assert_eq!(run(&whole).data, whole.data);
        let (_, mut map) = partial_series(16);
        map.role = ImageRole::GFactor;
        assert_eq!(run(&map).data, map.data);
        let (_, mut marked) = partial_series(16);
        marked.meta[0].set(SKIP_FIELD, 1);
        assert_eq!(run(&marked).data, marked.data);
        marked.meta[0].remove(SKIP_FIELD);
        assert_ne!(run(&marked).data, marked.data);
    }

    #[test]
    fn endless_iterations_are_refused() {
        let config = Config { n_iterations: 1_000_000, ..Config::default() };
        let error = run_gadget::<PartialFourierPocs>(config, &Scan::default(), [])
            .expect_err("that would never end");
        assert_eq!(error, Error::Iterations(1_000_000));
    }
}
