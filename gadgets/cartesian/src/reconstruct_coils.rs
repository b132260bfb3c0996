//! Images of fully sampled Cartesian k-space, combined with coil maps.

use std::collections::BTreeMap;

use ndarray::{Array4, ArrayD, Axis, IxDyn, s};
use num_complex::Complex32;
use numerics::coil_maps::combine;
use numerics::fft::Plan;
use pipeline::{Gadget, ImageRole, ImageSeries, KSpace, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coil_combination::{
    CoilMapAlgorithm, CoilMapOptions, fingerprint, noise_scaling, samples_of, serving, slice_of,
};
use crate::lines::{BackwardLines, BufferShape, BufferShapeError, into_standard_layout};
use crate::series::Describer;
use crate::suitability::{Suitability, Takes};

/// Inverse Fourier transform and combination of the channels.
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
            verbose: false,
            debug_folder: String::new(),
            perform_timing: false,
            time_tick: 2.5,
        }
    }
}

/// Encoding space, slice and place in the reference.
type Key = (usize, u16, [usize; 3]);

/// Fingerprint of the reference and matrix `[z, y, x]` of the images.
type MadeOf = (u64, [usize; 3]);

/// Reconstructs fully sampled Cartesian k-space: inverse transform along all encoded axes, then
/// the sum of the channels weighted with the conjugates of their coil maps.
pub struct ReconstructCoils {
    config: Config,
    options: CoilMapOptions,
    describer: Describer,
    /// The last maps of each image of the references, with what they were made of and for.
    maps: BTreeMap<Key, (MadeOf, Array4<Complex32>)>,
    plan: Option<Plan>,
    backward: BackwardLines,
    suitability: Suitability,
}

impl Gadget for ReconstructCoils {
    const NAME: &str = "reconstruct_coils";
    const ALIASES: &'static [&'static str] = &["GenericReconCartesianFFTGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace;
    type Output = ImageSeries; // [slice, s, n, channel = 1, z, y, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        for (property, value) in [
            ("coil_map_kernel_size_readout", config.coil_map_kernel_size_readout),
            ("coil_map_kernel_size_phase", config.coil_map_kernel_size_phase),
        ] {
            if !(1..=63).contains(&value) {
                return Err(Error::Size { property, value });
            }
        }
        let options = CoilMapOptions {
            algorithm: config.coil_map_algorithm,
            kernel_readout: config.coil_map_kernel_size_readout,
            kernel_phase: config.coil_map_kernel_size_phase,
            iterations: config.coil_map_num_iter,
            threshold: config.coil_map_thres_iter,
        };
        let describer = Describer::new(scan);
        let backward = BackwardLines::default();
        let suitability = Suitability::of(scan, Takes::default());
        let maps = BTreeMap::new();
        Ok(Self { config, options, describer, maps, plan: None, backward, suitability })
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        let KSpace { encoding_space, s, n, data: mut buffer, reference, waveforms } = k_space;
        if buffer.data.is_empty() {
            return Ok(());
        }
        self.suitability.tell(out);
        let shape = BufferShape::of(&buffer)?;
        if let Some((what, remedy)) = self.backward.complaint(&buffer) {
            out.warn(what, remedy);
        }
        buffer.data = into_standard_layout(buffer.data);
        let reference = reference.filter(|reference| !reference.data.is_empty());
        let reference = reference.unwrap_or_else(|| buffer.clone());
        let reference_shape = BufferShape::of(&reference)?;
        if reference_shape.n_channels != shape.n_channels {
            return Err(Error::Channels {
                data: shape.n_channels,
                reference: reference_shape.n_channels,
            });
        }
        let plan = match &mut self.plan {
            Some(plan) if plan.shape() == buffer.data.shape() => plan,
            plan => plan.insert(Plan::new(buffer.data.shape(), &[Axis(4), Axis(5), Axis(6)])),
        };
        plan.inverse(buffer.data.view_mut());
        let [z, y, x] = shape.k_space;
        let [n_slices, n_s, n_n] = shape.outer;
        let (scale, _) = noise_scaling(&buffer, shape);
        let mut images = ArrayD::<Complex32>::zeros(IxDyn(&[n_slices, n_s, n_n, 1, z, y, x]));
        for image in shape.images() {
            let serving = serving(&reference, reference_shape, &buffer, shape, image);
            let serving = serving.ok_or_else(|| Error::Slice { slice: slice_of(&buffer) })?;
            let key = (encoding_space, slice_of(&reference), serving);
            let source = (fingerprint(&reference, serving), shape.k_space);
            if self.maps.get(&key).is_none_or(|(known, _)| *known != source) {
                let limits = reference.sampling.limits;
                let samples = samples_of(&reference, serving);
                let maps = self.options.maps(samples, limits, [z, y, x]);
                self.maps.insert(key, (source, maps));
            }
            let Some((_, maps)) = self.maps.get(&key) else { continue };
            let [slice, s, n] = image;
            let mut target = images.slice_mut(s![slice, s, n, 0, .., .., ..]);
            if let Some(target) = target.as_slice_mut() {
                combine(samples_of(&buffer, image), maps.view(), scale, target);
            }
        }
        let number = self.config.image_series + encoding_space as i64 + 1;
        let description = self.describer.describe(&buffer, shape, encoding_space);
        let mut series = description.series(ImageRole::Image, number, images, [s, n]);
        series.sampling = Some(buffer.sampling);
        series.waveforms = waveforms;
        series.acquisition_headers = Some(buffer.headers);
        out.push(series);
        Ok(())
    }
}

/// K-space that cannot be reconstructed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A property is out of its range.
    #[error("`{property}` is {value}, expected 1 to 63")]
    Size {
        /// Its name.
        property: &'static str,
        /// Its value.
        value: usize,
    },
    /// Axes are missing.
    #[error(transparent)]
    Shape(#[from] BufferShapeError),
    /// A reference of other slices.
    #[error("slice {slice}: the calibration is of other slices")]
    Slice {
        /// The slice counter.
        slice: u16,
    },
    /// Data and calibration are not of the same receivers.
    #[error("the data have {data} channels, their calibration has {reference}")]
    Channels {
        /// Channels of the data.
        data: usize,
        /// Channels of the calibration.
        reference: usize,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Size { .. } => "correct the property in the chain file",
            Self::Shape(_) => BufferShapeError::REMEDY,
            Self::Slice { .. } => "acquire calibration lines of all slices, or none",
            Self::Channels { .. } => {
                "put `compress_coils` after `prepare_reference`, and measure both with the same coils"
            }
        }
    }
}
