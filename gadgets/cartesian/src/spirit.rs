//! Images of k-space that agrees with itself.

mod method;

use std::sync::Arc;

use ndarray::Array4;
use num_complex::Complex32;
use pipeline::{Gadget, ImageSeries, KSpace, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coil_combination::{CoilMapAlgorithm, CoilMapOptions};
use crate::suitability::{Suitability, Takes};
pub use crate::unaliasing::Error;
use crate::unaliasing::{IntensityScale, Kept, Unaliasing, slice_of};
pub(crate) use method::LinearMethod;
use numerics::spirit::Kernel;

/// Linear SPIRiT and combination of the channels.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Added to the numbers of the series: images are series 1 of encoding space 0.
    pub image_series: i64,
    /// What intensities are relative to.
    pub scale: IntensityScale,
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
    /// Kernel along the readout, samples, odd.
    #[serde(alias = "spirit_kSize_RO")]
    #[schemars(range(min = 1, max = 31))]
    pub spirit_ksize_ro: usize,
    /// Kernel along encoding step 1, lines, odd.
    #[serde(alias = "spirit_kSize_E1")]
    #[schemars(range(min = 1, max = 31))]
    pub spirit_ksize_e1: usize,
    /// Kernel along encoding step 2, partitions, odd.
    #[serde(alias = "spirit_kSize_E2")]
    #[schemars(range(min = 1, max = 31))]
    pub spirit_ksize_e2: usize,
    /// Regularisation of the kernel over the mean of the normal matrix's diagonal; 0 for 0.005,
    /// or 0.01 where partitions are left out.
    #[schemars(range(min = 0.0))]
    pub spirit_reg_lamda: f64,
    /// Most equations per unknown weight: more of the readout than that is not looked at.
    #[schemars(range(min = 0.0))]
    pub spirit_calib_over_determine_ratio: f64,
    /// Most steps of the conjugate gradients; 0 for 50, or 60, 100, 120 and 150 from an
    /// acceleration of 3, 4, 5 and 6 on.
    pub spirit_iter_max: usize,
    /// Residual over that at the start which ends them; 0 for 0.0015.
    #[schemars(range(min = 0.0))]
    pub spirit_iter_thres: f32,
    /// Whether the number of steps is reported.
    pub spirit_print_iter: bool,
    /// Without effect; in Gadgetron it fills the log.
    pub verbose: bool,
    /// Without effect; in Gadgetron it stores intermediate data.
    pub debug_folder: String,
    /// Without effect; in Gadgetron it fills the log.
    pub perform_timing: bool,
    /// Without effect; Gadgetron's clock tick, ms.
    pub time_tick: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            image_series: 0,
            scale: IntensityScale::Snr,
            coil_map_algorithm: CoilMapAlgorithm::Inati,
            coil_map_kernel_size_readout: 7,
            coil_map_kernel_size_phase: 5,
            coil_map_num_iter: 10,
            coil_map_thres_iter: 1e-4,
            spirit_ksize_ro: 7,
            spirit_ksize_e1: 7,
            spirit_ksize_e2: 5,
            spirit_reg_lamda: 0.0,
            spirit_calib_over_determine_ratio: 45.0,
            spirit_iter_max: 0,
            spirit_iter_thres: 0.0,
            spirit_print_iter: false,
            verbose: false,
            debug_folder: String::new(),
            perform_timing: false,
            time_tick: 2.5,
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

    fn method(&self) -> LinearMethod {
        LinearMethod {
            kernel: [self.spirit_ksize_ro, self.spirit_ksize_e1, self.spirit_ksize_e2],
            regularisation: self.spirit_reg_lamda,
            overdetermination: self.spirit_calib_over_determine_ratio,
            max_iterations: self.spirit_iter_max,
            threshold: self.spirit_iter_thres,
        }
    }
}

/// Reconstructs undersampled Cartesian k-space, whatever the pattern of its lines: fills the
/// missing ones with SPIRiT, transforms, and combines the channels with their coil maps.
pub struct Spirit {
    config: Config,
    method: LinearMethod,
    unaliasing: Unaliasing,
    calibrations: Kept<Calibration>,
    suitability: Suitability,
}

/// What is made of calibration lines.
struct Calibration {
    /// [`None`] where no line is missing.
    kernel: Option<Kernel>,
    /// `[channel, z, y, x]`.
    maps: Arc<Array4<Complex32>>,
}

impl Gadget for Spirit {
    const NAME: &str = "spirit";
    const ALIASES: &'static [&'static str] = &["GenericReconCartesianSpiritGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace;
    type Output = ImageSeries; // [slice, s, n, channel = 1, z, y, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let (coil_maps, method) = (config.coil_maps(), config.method());
        coil_maps.check()?;
        method.check()?;
        let unaliasing =
            Unaliasing::new(scan, coil_maps, config.image_series).with_scale(config.scale);
        let takes = Takes { undersampled: true, echo_planar: true };
        let suitability = Suitability::of(scan, takes);
        Ok(Self { config, method, unaliasing, calibrations: Kept::default(), suitability })
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        self.suitability.tell(out);
        let Some(mut job) = self.unaliasing.begin(k_space)? else { return Ok(()) };
        let mut maps = Vec::with_capacity(job.groups.len());
        for group in job.groups.clone() {
            let has_gaps = group.has_gaps();
            let (unaliasing, method) = (&self.unaliasing, &self.method);
            let calibration = self.calibrations.get(
                &job.reference,
                group.serving,
                (job.encoding_space, has_gaps),
                job.shape.k_space,
                || {
                    let kernel = if has_gaps {
                        Some(method.calibrate(&job.reference, group.serving, job.acceleration)?)
                    } else {
                        None
                    };
                    let maps =
                        unaliasing.coil_maps(&job.reference, group.serving, job.shape.k_space);
                    Ok(Calibration { kernel, maps: Arc::new(maps) })
                },
            )?;
            if let Some(kernel) = &calibration.kernel {
                let options = self.method.solver(job.acceleration);
                let report = kernel.fill(job.samples(&group), group.sampled.view(), &options);
                if self.config.spirit_print_iter {
                    out.inform(format!(
                        "slice {}: {:.1} steps on average; {} of {} readout positions reached \
                         the last one of {}",
                        slice_of(&job.buffer, group.slice),
                        report.mean_iterations,
                        report.n_unfinished,
                        report.n_positions,
                        options.max_iterations,
                    ));
                }
            }
            maps.push(Arc::clone(&calibration.maps));
        }
        out.push(self.unaliasing.combine(job, &maps));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
