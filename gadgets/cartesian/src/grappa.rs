//! Images of undersampled Cartesian k-space.

mod calibration;
mod error;
mod lattice;

use std::sync::Arc;

use ismrmrd::KSpaceBuffer;
use ndarray::{Array2, Array4, ArrayD, ArrayView4, ArrayViewMut4, Axis, IxDyn, s};
use num_complex::Complex32;
use numerics::coil_compression::Keep;
use numerics::coil_maps::combine;
use numerics::fft::{Centered, Plan};
use numerics::grappa::CalibrationOptions;
use pipeline::{Gadget, ImageRole, ImageSeries, KSpace, Scan, Sink};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coil_combination::{
    CoilMapAlgorithm, CoilMapOptions, fingerprint, noise_scaling, samples_of, serving, slice_of,
};
use crate::lines::{BackwardLines, BufferShape, into_standard_layout, lines_read};
use crate::series::Describer;
use crate::suitability::{Suitability, Takes};
use calibration::{Calibration, Calibrations, Method, Source};
pub use error::Error;
use lattice::{Lattice, examine};

/// GRAPPA and combination of the channels.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Added to the numbers of all series: images are series 1 of encoding space 0.
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
    /// Whether the noise amplification is sent, as a series of its own.
    pub send_out_gfactor: bool,
    /// Whether images over noise amplification are sent, as a series of their own: the signal in
    /// multiples of the noise.
    pub send_out_snr_map: bool,
    /// Kernel along the readout, samples.
    #[serde(alias = "grappa_kSize_RO")]
    #[schemars(range(min = 1, max = 31))]
    pub grappa_ksize_ro: usize,
    /// Kernel along encoding step 1, sampled lines.
    #[serde(alias = "grappa_kSize_E1")]
    #[schemars(range(min = 2, max = 16))]
    pub grappa_ksize_e1: usize,
    /// Kernel along encoding step 2, sampled partitions.
    #[serde(alias = "grappa_kSize_E2")]
    #[schemars(range(min = 1, max = 16))]
    pub grappa_ksize_e2: usize,
    /// Regularisation over the mean of the normal matrix's diagonal.
    #[schemars(range(min = 0.0))]
    pub grappa_reg_lamda: f64,
    /// Most equations per unknown weight: more of the readout than that is not looked at.
    #[schemars(range(min = 0.0))]
    pub grappa_calib_over_determine_ratio: f64,
    /// Whether missing lines are made for the strongest modes of the channels only.
    pub downstream_coil_compression: bool,
    /// Eigenvalue over the largest one from which a mode is kept.
    pub downstream_coil_compression_thres: f32,
    /// Modes that are kept where the threshold is not positive; 0 for all.
    #[serde(alias = "downstream_coil_compression_num_modesKept")]
    pub downstream_coil_compression_num_modes_kept: usize,
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
            coil_map_algorithm: CoilMapAlgorithm::Inati,
            coil_map_kernel_size_readout: 7,
            coil_map_kernel_size_phase: 5,
            coil_map_num_iter: 10,
            coil_map_thres_iter: 1e-4,
            send_out_gfactor: false,
            send_out_snr_map: false,
            grappa_ksize_ro: 5,
            grappa_ksize_e1: 4,
            grappa_ksize_e2: 4,
            grappa_reg_lamda: 5e-4,
            grappa_calib_over_determine_ratio: 45.0,
            downstream_coil_compression: true,
            downstream_coil_compression_thres: 0.002,
            downstream_coil_compression_num_modes_kept: 0,
            verbose: false,
            debug_folder: String::new(),
            perform_timing: false,
            time_tick: 2.5,
        }
    }
}

impl Config {
    fn check(&self) -> Result<(), Error> {
        for (property, value, min, max) in [
            ("coil_map_kernel_size_readout", self.coil_map_kernel_size_readout, 1, 63),
            ("coil_map_kernel_size_phase", self.coil_map_kernel_size_phase, 1, 63),
            ("grappa_ksize_ro", self.grappa_ksize_ro, 1, 31),
            ("grappa_ksize_e1", self.grappa_ksize_e1, 2, 16),
            ("grappa_ksize_e2", self.grappa_ksize_e2, 1, 16),
        ] {
            if !(min..=max).contains(&value) {
                return Err(Error::Size { property, value, min, max });
            }
        }
        Ok(())
    }

    fn method(&self) -> Method {
        let downstream = self.downstream_coil_compression.then(|| {
            let count = self.downstream_coil_compression_num_modes_kept;
            match self.downstream_coil_compression_thres {
                threshold if threshold > 0.0 => Keep::Threshold(threshold),
                _ if count > 0 => Keep::Count(count),
                _ => Keep::All,
            }
        });
        Method {
            kernel: CalibrationOptions {
                kernel_readout: self.grappa_ksize_ro,
                kernel_e1: self.grappa_ksize_e1,
                kernel_e2: self.grappa_ksize_e2,
                regularisation: self.grappa_reg_lamda,
                overdetermination: self.grappa_calib_over_determine_ratio,
                n_targets: None,
            },
            coil_maps: CoilMapOptions {
                algorithm: self.coil_map_algorithm,
                kernel_readout: self.coil_map_kernel_size_readout,
                kernel_phase: self.coil_map_kernel_size_phase,
                iterations: self.coil_map_num_iter,
                threshold: self.coil_map_thres_iter,
            },
            downstream,
            with_g_factor: self.send_out_gfactor || self.send_out_snr_map,
        }
    }
}

/// Reconstructs undersampled Cartesian k-space: fills the missing lines with GRAPPA, transforms,
/// and combines the channels with their coil maps.
pub struct Grappa {
    config: Config,
    method: Method,
    /// Along encoding step 1 and 2, of each encoding space.
    accelerations: Vec<[usize; 2]>,
    describer: Describer,
    calibrations: Calibrations,
    plan: Option<Plan>,
    /// Of the image before, kept for its memory.
    filled: Array4<Complex32>,
    told_gaps: bool,
    backward: BackwardLines,
    suitability: Suitability,
}

impl Gadget for Grappa {
    const NAME: &str = "grappa";
    const ALIASES: &'static [&'static str] = &["GenericReconCartesianGrappaGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace;
    type Output = ImageSeries; // [slice, s, n, channel = 1, z, y, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        config.check()?;
        let accelerations = scan.header().map(|header| {
            let factors = header.encoding.iter().map(|encoding| {
                let imaging = encoding.parallel_imaging.as_ref();
                imaging.map_or([1, 1], |imaging| {
                    let factor = imaging.acceleration_factor;
                    [factor.kspace_encoding_step_1, factor.kspace_encoding_step_2]
                        .map(|factor| usize::from(factor).max(1))
                })
            });
            factors.collect()
        });
        let takes = Takes { undersampled: true, echo_planar: true };
        let suitability = Suitability::of(scan, takes);
        Ok(Self {
            method: config.method(),
            config,
            accelerations: accelerations.unwrap_or_default(),
            describer: Describer::new(scan),
            calibrations: Calibrations::default(),
            plan: None,
            filled: Array4::default((0, 0, 0, 0)),
            told_gaps: false,
            backward: BackwardLines::default(),
            suitability,
        })
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        let KSpace { encoding_space, s, n, data: mut buffer, reference, waveforms } = k_space;
        let acceleration = self.accelerations.get(encoding_space).copied().unwrap_or([1, 1]);
        let reference = reference.filter(|reference| !reference.data.is_empty());
        if buffer.data.is_empty() {
            // Calibration that came before its data: the next k-space finds it done. What is wrong
            // with it is said when there is an image that needs it.
            if let Some(reference) = reference {
                let _ = self.calibrate_all(&reference, encoding_space, acceleration);
            }
            return Ok(());
        }
        self.suitability.tell(out);
        let shape = BufferShape::of(&buffer)?;
        if let Some((what, remedy)) = self.backward.complaint(&buffer) {
            out.warn(what, remedy);
        }
        buffer.data = into_standard_layout(buffer.data);
        let reference = match reference {
            Some(reference) => reference,
            None if acceleration == [1, 1] => buffer.clone(),
            None => return Err(Error::NoCalibration { acceleration, slice: slice_of(&buffer) }),
        };
        let reference_shape = BufferShape::of(&reference)?;
        if reference_shape.n_channels != shape.n_channels {
            return Err(Error::Channels {
                data: shape.n_channels,
                reference: reference_shape.n_channels,
            });
        }
        let mut plan = Vec::with_capacity(shape.outer.iter().product());
        for image in shape.images() {
            let sampled = lines_read(&buffer, image);
            if !sampled.iter().any(|read| *read) {
                plan.push(None);
                continue;
            }
            self.check_lattice(&sampled, acceleration, image[0], out)?;
            let serving = serving(&reference, reference_shape, &buffer, shape, image);
            let serving = serving
                .ok_or_else(|| Error::NoCalibration { acceleration, slice: slice_of(&buffer) })?;
            let calibration =
                self.calibration(&reference, serving, encoding_space, acceleration, shape.k_space)?;
            plan.push(Some((sampled, serving, calibration)));
        }

        let (noise_scaling, lines) = noise_scaling(&buffer, shape);
        // Where lines are missing, the filled image has √(R1·R2) times the noise of a whole one.
        let n_images_of_lines = (acceleration[0] * acceleration[1]) as f32;
        let scale = if lines > 1.0 { noise_scaling / n_images_of_lines } else { noise_scaling };
        let [z, y, x] = shape.k_space;
        let outer = shape.outer;
        let mut images =
            ArrayD::<Complex32>::zeros(IxDyn(&[outer[0], outer[1], outer[2], 1, z, y, x]));
        let n_pixels = z * y * x;
        if let Some(pixels) = images.as_slice_mut() {
            let targets = pixels.chunks_exact_mut(n_pixels);
            for ((image, steps), target) in shape.images().zip(&plan).zip(targets) {
                let Some((sampled, _, calibration)) = steps else { continue };
                let [slice, s, n] = image;
                let samples = buffer.data.slice_mut(s![slice, s, n, .., .., .., ..]);
                self.reconstruct(samples, sampled, calibration, scale, target);
            }
        }

        let description = self.describer.describe(&buffer, shape, encoding_space);
        let series = self.config.image_series;
        let encoding = encoding_space as i64;
        let sampling = Some(buffer.sampling);
        if self.config.send_out_gfactor && acceleration != [1, 1] {
            let (data, outer) = g_factor_maps(&plan, shape);
            let number = series + 10 * (encoding + 2);
            let first = description.first_of(outer);
            let mut maps = first.series(ImageRole::GFactor, number, data, [s, n]);
            maps.sampling = sampling;
            out.push(maps);
        }
        if self.config.send_out_snr_map {
            let data = snr_maps(&images, &plan, n_pixels);
            let number = series + 100 * (encoding + 3);
            let mut maps = description.series(ImageRole::SnrMap, number, data, [s, n]);
            maps.sampling = sampling;
            out.push(maps);
        }
        let mut result =
            description.series(ImageRole::Image, series + encoding + 1, images, [s, n]);
        result.sampling = sampling;
        result.waveforms = waveforms;
        result.acquisition_headers = Some(buffer.headers);
        out.push(result);
        Ok(())
    }
}

/// What one image is made with: its lines, the image of the reference that serves it, and the
/// calibration from that. [`None`] for an image without lines.
type Step = Option<(Array2<bool>, [usize; 3], Arc<Calibration>)>;

impl Grappa {
    fn calibrate_all(
        &mut self,
        reference: &KSpaceBuffer,
        encoding_space: usize,
        acceleration: [usize; 2],
    ) -> Result<(), Error> {
        let shape = BufferShape::of(reference)?;
        let [x, y, z] = reference.sampling.encoded_matrix_size.map(|len| usize::from(len).max(1));
        for image in shape.images() {
            if lines_read(reference, image).iter().any(|read| *read) {
                self.calibration(reference, image, encoding_space, acceleration, [z, y, x])?;
            }
        }
        Ok(())
    }

    fn calibration(
        &mut self,
        reference: &KSpaceBuffer,
        image: [usize; 3],
        encoding_space: usize,
        acceleration: [usize; 2],
        matrix: [usize; 3],
    ) -> Result<Arc<Calibration>, Error> {
        let source = Source { fingerprint: fingerprint(reference, image), acceleration, matrix };
        let key = (encoding_space, slice_of(reference), image);
        let method = &self.method;
        self.calibrations.get(key, source, || {
            let samples = samples_of(reference, image);
            let limits = reference.sampling.limits;
            method.calibrate(samples, limits, acceleration, matrix).map_err(|cause| {
                let lines = lines_read(reference, image);
                let slice = reference
                    .headers
                    .index_axis(Axis(0), image[0])
                    .iter()
                    .find(|line| line.version != 0)
                    .map_or(0, |line| line.idx.slice);
                if lines.iter().any(|read| *read) {
                    Error::Calibration { slice, cause }
                } else {
                    Error::NoCalibration { acceleration, slice }
                }
            })
        })
    }

    fn check_lattice(
        &mut self,
        sampled: &Array2<bool>,
        acceleration: [usize; 2],
        slice: usize,
        out: &mut Sink<Self>,
    ) -> Result<(), Error> {
        match examine(sampled.view(), acceleration) {
            Lattice::Whole => {}
            Lattice::Gaps(n_missing) => {
                if !std::mem::replace(&mut self.told_gaps, true) {
                    out.warn(
                        format!(
                            "slice {slice}: {n_missing} lines of the sampling pattern did not \
                             arrive; the lines around them stay empty"
                        ),
                        "look for artefacts, and for lost readouts on the way from the scanner",
                    );
                }
            }
            Lattice::Other { steps, is_regular } => {
                return Err(Error::Lattice { header: acceleration, steps, is_regular });
            }
        }
        Ok(())
    }

    /// One image: transform along the readout, missing lines, transform along the others, sum
    /// over the channels.
    fn reconstruct(
        &mut self,
        mut samples: ArrayViewMut4<'_, Complex32>,
        sampled: &Array2<bool>,
        calibration: &Calibration,
        scale: f32,
        image: &mut [Complex32],
    ) {
        transform_readouts(samples.view_mut(), sampled);
        let Some(kernel) = &calibration.kernel else {
            self.plan(samples.shape()).inverse(samples.view_mut());
            combine(samples.view(), calibration.maps.view(), scale, image);
            return;
        };
        let rotated =
            calibration.rotation.as_ref().map(|rotation| rotation.apply(samples.view(), Axis(0)));
        let samples: ArrayView4<'_, Complex32> =
            rotated.as_ref().map_or(samples.view(), |rotated| rotated.view());
        let (_, n_e2, n_e1, n_x) = samples.dim();
        let shape = (kernel.n_targets(), n_e2, n_e1, n_x);
        let mut filled = std::mem::take(&mut self.filled);
        if filled.dim() != shape {
            filled = Array4::zeros(shape);
        }
        kernel.fill_into(samples, sampled.view(), filled.view_mut());
        self.plan(filled.shape()).inverse(filled.view_mut());
        combine(filled.view(), calibration.maps.view(), scale, image);
        self.filled = filled;
    }

    /// The transform along both encoding steps.
    fn plan(&mut self, shape: &[usize]) -> &Plan {
        if self.plan.as_ref().is_some_and(|plan| plan.shape() != shape) {
            self.plan = None;
        }
        self.plan.get_or_insert_with(|| Plan::new(shape, &[Axis(1), Axis(2)]))
    }
}

/// Transforms the lines that were read along the readout.
fn transform_readouts(mut samples: ArrayViewMut4<'_, Complex32>, sampled: &Array2<bool>) {
    let (_, n_e2, n_e1, n_x) = samples.dim();
    let fft = Centered::new(n_x);
    let Some(samples) = samples.as_slice_mut() else { return };
    samples.par_chunks_exact_mut(n_e2 * n_e1 * n_x).for_each(|channel| {
        let mut scratch = vec![Complex32::ZERO; fft.scratch_len()];
        for (line, _) in channel.chunks_exact_mut(n_x).zip(sampled).filter(|(_, read)| **read) {
            fft.inverse_rows(line, &mut scratch);
        }
    });
}

/// The g-factor of each image of the reference that was used: `[slice, s, n, 1, z, y, x]`.
fn g_factor_maps(plan: &[Step], shape: BufferShape) -> (ArrayD<Complex32>, [usize; 3]) {
    let used = |axis: usize| {
        let places = plan.iter().flatten().map(|(_, serving, _)| serving[axis] + 1);
        places.max().unwrap_or(1).min(shape.outer[axis])
    };
    let outer = [shape.outer[0], used(1), used(2)];
    let [z, y, x] = shape.k_space;
    let mut maps = ArrayD::zeros(IxDyn(&[outer[0], outer[1], outer[2], 1, z, y, x]));
    for (image, step) in shape.images().zip(plan) {
        let [slice, s, n] = image;
        if let Some((_, _, calibration)) = step
            && s < outer[1]
            && n < outer[2]
            && let Some(g_factor) = &calibration.g_factor
        {
            let map = g_factor.mapv(Complex32::from);
            maps.slice_mut(ndarray::s![slice, s, n, 0, .., .., ..]).assign(&map);
        }
    }
    (maps, outer)
}

/// Images over their g-factor, 0 where that is 0.
fn snr_maps(images: &ArrayD<Complex32>, plan: &[Step], n_pixels: usize) -> ArrayD<Complex32> {
    let mut maps = images.clone();
    if let Some(pixels) = maps.as_slice_mut() {
        for (map, step) in pixels.chunks_exact_mut(n_pixels).zip(plan) {
            let Some((_, _, calibration)) = step else { continue };
            let Some(g_factor) = &calibration.g_factor else { continue };
            for (value, g_factor) in map.iter_mut().zip(g_factor) {
                *value = if *g_factor > 0.0 { *value / *g_factor } else { Complex32::ZERO };
            }
        }
    }
    maps
}
