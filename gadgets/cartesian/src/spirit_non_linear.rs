//! Images of k-space that agrees with itself, sparse over space and time.

use std::sync::Arc;

use ndarray::{Array4, Axis};
use num_complex::Complex32;
use numerics::spirit::{CoilMode, Kernel, NonLinear, NonLinearOptions, SparsityUnit};
use numerics::wavelet::{Family, ShrinkageOptions};
use pipeline::{Gadget, ImageSeries, KSpace, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::coil_combination::{CoilMapAlgorithm, CoilMapOptions};
use crate::spirit::LinearMethod;
use crate::suitability::{Suitability, Takes};
pub use crate::unaliasing::Error;
use crate::unaliasing::{IntensityScale, Kept, Unaliasing, slice_of};

/// Bytes of a plan: a matrix of channels for each pixel.
const MAX_PLAN_BYTES: usize = 4 << 30;

/// Daubechies' wavelets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wavelet {
    /// Haar's.
    #[default]
    Db1,
    /// Two vanishing moments.
    Db2,
    /// Three.
    Db3,
    /// Four.
    Db4,
    /// Five.
    Db5,
}

/// SPIRiT with wavelets over space and time.
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
    /// Weight of the samples' agreement with each other.
    #[schemars(range(min = 0.0))]
    pub spirit_parallel_imaging_lamda: f64,
    /// Weight of the wavelets; 0 for the automatic value: 0.00005, or 0.002 with
    /// `spirit_reg_estimate_noise_floor`; with `spirit_reg_proximity_across_cha` 0.0002 or 0.001.
    #[schemars(range(min = 0.0))]
    pub spirit_image_reg_lamda: f64,
    /// Weight of the images' agreement with the acquired samples.
    #[schemars(range(min = 0.0))]
    pub spirit_data_fidelity_lamda: f64,
    /// Most steps; 0 for 15.
    pub spirit_nl_iter_max: usize,
    /// Change of the images in a step over that in the first one which ends them; 0 for 0.004.
    #[schemars(range(min = 0.0))]
    pub spirit_nl_iter_thres: f64,
    /// The wavelet.
    pub spirit_reg_name: Wavelet,
    /// Levels of the wavelets.
    #[schemars(range(min = 1, max = 5))]
    pub spirit_reg_level: usize,
    /// Whether the low pass of the last level is left as it is.
    pub spirit_reg_keep_approx_coeff: bool,
    /// Whether differences between the last image of the series and the first are shrunk like
    /// those between others: for series that are whole cycles.
    pub spirit_reg_keep_redundant_dimension_coeff: bool,
    /// Whether the channels' coefficients shrink together.
    pub spirit_reg_proximity_across_cha: bool,
    /// Whether the wavelets are those of the combined image instead of each channel's.
    pub spirit_reg_use_coil_sen_map: bool,
    /// Whether `spirit_image_reg_lamda` is relative to the noise, estimated from the differences
    /// of neighbouring images, instead of to the brightest pixel.
    pub spirit_reg_estimate_noise_floor: bool,
    /// Images that this estimate needs; of fewer, the brightest pixel counts.
    pub spirit_reg_minimal_num_images_for_noise_floor: usize,
    /// Factor for wavelets along the readout.
    #[serde(alias = "spirit_reg_RO_weighting_ratio")]
    #[schemars(range(min = 0.0))]
    pub spirit_reg_ro_weighting_ratio: f64,
    /// Factor for wavelets along encoding step 1.
    #[serde(alias = "spirit_reg_E1_weighting_ratio")]
    #[schemars(range(min = 0.0))]
    pub spirit_reg_e1_weighting_ratio: f64,
    /// Factor for wavelets along the series of images; 0 for 10, or 20 above an acceleration of 5.
    #[serde(alias = "spirit_reg_N_weighting_ratio")]
    #[schemars(range(min = 0.0))]
    pub spirit_reg_n_weighting_ratio: f64,
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
            spirit_parallel_imaging_lamda: 1.0,
            spirit_image_reg_lamda: 0.0,
            spirit_data_fidelity_lamda: 1.0,
            spirit_nl_iter_max: 0,
            spirit_nl_iter_thres: 0.0,
            spirit_reg_name: Wavelet::Db1,
            spirit_reg_level: 1,
            spirit_reg_keep_approx_coeff: true,
            spirit_reg_keep_redundant_dimension_coeff: false,
            spirit_reg_proximity_across_cha: false,
            spirit_reg_use_coil_sen_map: false,
            spirit_reg_estimate_noise_floor: false,
            spirit_reg_minimal_num_images_for_noise_floor: 16,
            spirit_reg_ro_weighting_ratio: 1.0,
            spirit_reg_e1_weighting_ratio: 1.0,
            spirit_reg_n_weighting_ratio: 0.0,
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

    fn check(&self) -> Result<(), Error> {
        self.coil_maps().check()?;
        self.method().check()?;
        for (property, value) in [
            ("spirit_parallel_imaging_lamda", self.spirit_parallel_imaging_lamda),
            ("spirit_image_reg_lamda", self.spirit_image_reg_lamda),
            ("spirit_data_fidelity_lamda", self.spirit_data_fidelity_lamda),
            ("spirit_nl_iter_thres", self.spirit_nl_iter_thres),
            ("spirit_reg_RO_weighting_ratio", self.spirit_reg_ro_weighting_ratio),
            ("spirit_reg_E1_weighting_ratio", self.spirit_reg_e1_weighting_ratio),
            ("spirit_reg_N_weighting_ratio", self.spirit_reg_n_weighting_ratio),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::Property { property, value, allowed: "0 or more" });
            }
        }
        if !(1..=5).contains(&self.spirit_reg_level) {
            let (property, value) = ("spirit_reg_level", self.spirit_reg_level as f64);
            return Err(Error::Property { property, value, allowed: "1 to 5" });
        }
        Ok(())
    }

    /// The three terms for `n_images` along the series, with automatic values where 0 stands.
    fn options(&self, acceleration: [usize; 2], n_images: usize) -> NonLinearOptions {
        let or = |value: f64, automatic: f64| if value > 0.0 { value } else { automatic } as f32;
        let by_noise = self.spirit_reg_estimate_noise_floor
            && n_images >= self.spirit_reg_minimal_num_images_for_noise_floor.max(2);
        let sparsity = match (self.spirit_reg_proximity_across_cha, by_noise) {
            (false, false) => 0.00005,
            (false, true) => 0.002,
            (true, false) => 0.0002,
            (true, true) => 0.001,
        };
        let along_n = if acceleration[0] > 5 { 20.0 } else { 10.0 };
        NonLinearOptions {
            parallel_imaging: self.spirit_parallel_imaging_lamda as f32,
            data_fidelity: self.spirit_data_fidelity_lamda as f32,
            sparsity: or(self.spirit_image_reg_lamda, sparsity),
            unit: if by_noise { SparsityUnit::Noise } else { SparsityUnit::BrightestPixel },
            wavelets: ShrinkageOptions {
                family: match self.spirit_reg_name {
                    Wavelet::Db1 => Family::Db1,
                    Wavelet::Db2 => Family::Db2,
                    Wavelet::Db3 => Family::Db3,
                    Wavelet::Db4 => Family::Db4,
                    Wavelet::Db5 => Family::Db5,
                },
                levels: self.spirit_reg_level,
                axis_weights: [
                    self.spirit_reg_ro_weighting_ratio as f32,
                    or(self.spirit_reg_n_weighting_ratio, along_n),
                    self.spirit_reg_e1_weighting_ratio as f32,
                ],
                keep_approximation: self.spirit_reg_keep_approx_coeff,
                periodic: [true, self.spirit_reg_keep_redundant_dimension_coeff, true],
            },
            max_iterations: if self.spirit_nl_iter_max == 0 { 15 } else { self.spirit_nl_iter_max },
            threshold: or(self.spirit_nl_iter_thres, 0.004),
        }
    }
}

/// Reconstructs series of undersampled slices, such as a real-time cine: fills the missing lines
/// with linear SPIRiT, then looks for images that agree with the samples and with the kernel and
/// have few wavelet coefficients over space and time; combines the channels.
pub struct SpiritNonLinear {
    config: Config,
    method: LinearMethod,
    unaliasing: Unaliasing,
    calibrations: Kept<Calibration>,
    suitability: Suitability,
}

/// What is made of calibration lines.
struct Calibration {
    /// With its plan; [`None`] where no line is missing.
    kernel: Option<(Kernel, NonLinear)>,
    /// `[channel, z, y, x]`.
    maps: Arc<Array4<Complex32>>,
}

impl Gadget for SpiritNonLinear {
    const NAME: &str = "spirit_non_linear";
    const ALIASES: &'static [&'static str] = &["GenericReconCartesianNonLinearSpirit2DTGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace;
    type Output = ImageSeries; // [slice, s, n, channel = 1, z, y, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        config.check()?;
        let unaliasing =
            Unaliasing::new(scan, config.coil_maps(), config.image_series).with_scale(config.scale);
        let takes = Takes { undersampled: true, echo_planar: true };
        let suitability = Suitability::of(scan, takes);
        let (method, calibrations) = (config.method(), Kept::default());
        Ok(Self { method, config, unaliasing, calibrations, suitability })
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        self.suitability.tell(out);
        let Some(mut job) = self.unaliasing.begin(k_space)? else { return Ok(()) };
        let [n_e2, n_e1, n_readout] = job.shape.k_space;
        if n_e2 > 1 {
            return Err(Error::Partitions(n_e2));
        }
        let n_channels = job.shape.n_channels;
        let bytes = 8 * n_channels * n_channels * n_readout * n_e1.next_multiple_of(16);
        if bytes > MAX_PLAN_BYTES {
            let gibibytes = bytes as f64 / f64::from(1 << 30);
            return Err(Error::TooLarge { n_channels, x: n_readout, y: n_e1, gibibytes });
        }
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
                        let kernel =
                            method.calibrate(&job.reference, group.serving, job.acceleration)?;
                        let plan = NonLinear::new(&kernel, [n_e1, n_readout]);
                        Some((kernel, plan))
                    } else {
                        None
                    };
                    let maps =
                        unaliasing.coil_maps(&job.reference, group.serving, job.shape.k_space);
                    Ok(Calibration { kernel, maps: Arc::new(maps) })
                },
            )?;
            if let Some((kernel, plan)) = &calibration.kernel {
                let solver = self.method.solver(job.acceleration);
                let linear = kernel.fill(job.samples(&group), group.sampled.view(), &solver);
                let coils = if self.config.spirit_reg_use_coil_sen_map {
                    CoilMode::Combined(calibration.maps.index_axis(Axis(1), 0))
                } else if self.config.spirit_reg_proximity_across_cha {
                    CoilMode::Joint
                } else {
                    CoilMode::Each
                };
                let options = self.config.options(job.acceleration, group.n.len());
                let report =
                    plan.refine(job.samples(&group), group.sampled.view(), coils, &options);
                if self.config.spirit_print_iter {
                    out.inform(format!(
                        "slice {}: {:.1} linear steps on average, {} with wavelets; the last one \
                         changed the images by {:.4} of what the first one did",
                        slice_of(&job.buffer, group.slice),
                        linear.mean_iterations,
                        report.n_iterations,
                        report.last_change,
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
