//! Images that the channels' samples agree on.

use std::sync::Arc;

use ndarray::{Array4, s};
use num_complex::Complex32;
use numerics::sense::{SenseOptions, cg_sense};
use pipeline::{Gadget, ImageSeries, KSpace, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coil_combination::{CoilMapAlgorithm, CoilMapOptions};
use crate::suitability::{Suitability, Takes};
pub use crate::unaliasing::Error;
use crate::unaliasing::{Kept, Unaliasing, empty_images, scale, slice_of};

/// Iterative SENSE.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Added to the numbers of the series: images are series 1 of encoding space 0.
    pub image_series: i64,
    /// How coil maps are made.
    pub coil_map_algorithm: CoilMapAlgorithm,
    /// Window of the coil maps in plane, pixels.
    #[schemars(range(min = 1, max = 63))]
    pub coil_map_kernel_size_readout: usize,
    /// Window of the coil maps across partitions, for `inati_iter` across lines too, pixels.
    #[schemars(range(min = 1, max = 63))]
    pub coil_map_kernel_size_phase: usize,
    /// Most iterations of `inati_iter`.
    pub coil_map_num_iter: usize,
    /// Relative change that ends `inati_iter`.
    pub coil_map_thres_iter: f32,
    /// λ of (EᴴE + λ) x = Eᴴ y: what keeps noise from being amplified. The eigenvalues of EᴴE are
    /// 0 to 1.
    #[schemars(range(min = 0.0))]
    pub regularisation: f32,
    /// Most steps of the conjugate gradients.
    pub max_iterations: usize,
    /// Residual over that at the start which ends them.
    #[schemars(range(min = 0.0))]
    pub threshold: f32,
    /// Whether the number of steps is reported.
    pub print_iterations: bool,
}

impl Default for Config {
    fn default() -> Self {
        let SenseOptions { regularisation, max_iterations, threshold } = SenseOptions::default();
        Self {
            image_series: 0,
            coil_map_algorithm: CoilMapAlgorithm::Inati,
            coil_map_kernel_size_readout: 7,
            coil_map_kernel_size_phase: 5,
            coil_map_num_iter: 10,
            coil_map_thres_iter: 1e-4,
            regularisation,
            max_iterations,
            threshold,
            print_iterations: false,
        }
    }
}

impl Config {
    fn coil_maps(&self) -> CoilMapOptions {
        CoilMapOptions {
            algorithm: self.coil_map_algorithm,
            kernel_readout: self.coil_map_kernel_size_readout,
            kernel_phase: self.coil_map_kernel_size_phase,
            iterations: self.coil_map_num_iter,
            threshold: self.coil_map_thres_iter,
        }
    }
}

/// Reconstructs undersampled Cartesian k-space, whatever the pattern of its lines, with the coil
/// maps of its calibration lines.
pub struct CgSense {
    config: Config,
    unaliasing: Unaliasing,
    /// `[channel, z, y, x]`.
    maps: Kept<Array4<Complex32>>,
    suitability: Suitability,
}

impl Gadget for CgSense {
    const NAME: &str = "cg_sense";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace;
    type Output = ImageSeries; // [slice, s, n, channel = 1, z, y, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        config.coil_maps().check()?;
        for (property, value) in
            [("regularisation", config.regularisation), ("threshold", config.threshold)]
        {
            if !(value >= 0.0 && value.is_finite()) {
                let value = f64::from(value);
                return Err(Error::Property { property, value, allowed: "0 or more" });
            }
        }
        let unaliasing = Unaliasing::new(scan, config.coil_maps(), config.image_series);
        let takes = Takes { undersampled: true, echo_planar: true };
        let suitability = Suitability::of(scan, takes);
        Ok(Self { config, unaliasing, maps: Kept::default(), suitability })
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        self.suitability.tell(out);
        let Some(mut job) = self.unaliasing.begin(k_space)? else { return Ok(()) };
        let options = SenseOptions {
            regularisation: self.config.regularisation,
            max_iterations: self.config.max_iterations,
            threshold: self.config.threshold,
        };
        let scale = scale(&job);
        let mut images = empty_images(job.shape);
        for group in job.groups.clone() {
            let unaliasing = &self.unaliasing;
            let maps: Arc<_> = self.maps.get(
                &job.reference,
                group.serving,
                (job.encoding_space, false),
                job.shape.k_space,
                || Ok(unaliasing.coil_maps(&job.reference, group.serving, job.shape.k_space)),
            )?;
            let (solved, report) =
                cg_sense(job.samples(&group), group.sampled.view(), maps.view(), &options);
            let mut target =
                images.slice_mut(s![group.slice, group.s, group.n.clone(), 0, .., .., ..]);
            target.zip_mut_with(&solved, |target, value| *target = value * scale);
            if self.config.print_iterations {
                out.inform(format!(
                    "slice {}: {:.1} steps on average; {} of {} readout positions reached the \
                     last one of {}",
                    slice_of(&job.buffer, group.slice),
                    report.mean_iterations,
                    report.n_unfinished,
                    report.n_positions,
                    options.max_iterations,
                ));
            }
        }
        out.push(self.unaliasing.series(job, images));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
