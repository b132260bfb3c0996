//! What gadgets that solve for images have in common: everything but the solving.

#[cfg(test)]
pub(crate) mod simulated;

use std::collections::BTreeMap;
use std::sync::Arc;

use ismrmrd::{KSpaceBuffer, Waveform};
use ndarray::{Array3, Array4, ArrayD, ArrayViewMut5, Axis, IxDyn, s};
use num_complex::Complex32;
use numerics::coil_maps::combine;
use numerics::fft::Plan;
use numerics::spirit::CalibrationError;
use pipeline::{Counter, ImageRole, ImageSeries, KSpace, Remedy, Scan};

use crate::coil_combination::{CoilMapOptions, fingerprint, noise_scaling, samples_of, serving};
use crate::lines::{BufferShape, BufferShapeError, into_standard_layout, lines_read};
use crate::series::Describer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Calibrations that are kept.
const MAX_KEPT: usize = 64;

impl CoilMapOptions {
    /// Whether the sizes are those of a window.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (property, size) in [
            ("coil_map_kernel_size_readout", self.kernel_readout),
            ("coil_map_kernel_size_phase", self.kernel_phase),
        ] {
            if !(1..=63).contains(&size) {
                return Err(Error::Property { property, value: size as f64, allowed: "1 to 63" });
            }
        }
        Ok(())
    }
}

/// From k-space to the problems to be solved, and from their solutions to a series.
pub(crate) struct Unaliasing {
    /// Along encoding step 1 and 2, of each encoding space.
    accelerations: Vec<[usize; 2]>,
    describer: Describer,
    coil_maps: CoilMapOptions,
    image_series: i64,
    scale: IntensityScale,
}

/// What intensities are relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntensityScale {
    /// The noise of a whitened scan, times its amplification: as after `grappa`.
    #[default]
    Snr,
    /// Gadgetron's after SPIRiT, where lines are missing: as many times that as the acceleration.
    Gadgetron,
}

/// K-space after the transform along the readout, and what calibrates it.
pub(crate) struct Job {
    pub(crate) encoding_space: usize,
    /// Along encoding step 1 and 2, by the header.
    pub(crate) acceleration: [usize; 2],
    pub(crate) shape: BufferShape,
    /// `[slice, s, n, channel, encoding_step_2, encoding_step_1, x]`.
    pub(crate) buffer: KSpaceBuffer,
    pub(crate) reference: KSpaceBuffer,
    pub(crate) groups: Vec<Group>,
    counters: [Option<Counter>; 2],
    waveforms: Vec<Waveform>,
}

/// Images along `n` that one image of the reference calibrates.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) slice: usize,
    pub(crate) s: usize,
    pub(crate) n: std::ops::Range<usize>,
    /// That image: `[slice, s, n]`.
    pub(crate) serving: [usize; 3],
    /// `[n, encoding_step_2, encoding_step_1]`.
    pub(crate) sampled: Array3<bool>,
}

impl Group {
    /// Whether a line is missing.
    pub(crate) fn has_gaps(&self) -> bool {
        self.sampled.iter().any(|sampled| !sampled)
    }
}

impl Job {
    /// Samples of a group: `[n, channel, encoding_step_2, encoding_step_1, x]`.
    pub(crate) fn samples(&mut self, group: &Group) -> ArrayViewMut5<'_, Complex32> {
        let Group { slice, s, n, .. } = group.clone();
        self.buffer.data.slice_mut(s![slice, s, n, .., .., .., ..])
    }
}

impl Unaliasing {
    pub(crate) fn new(scan: &Scan, coil_maps: CoilMapOptions, image_series: i64) -> Self {
        let encodings = scan.header.as_ref().map_or(&[][..], |header| &header.encoding[..]);
        let accelerations = encodings.iter().map(|encoding| {
            encoding.parallel_imaging.as_ref().map_or([1, 1], |imaging| {
                let factor = imaging.acceleration_factor;
                [factor.kspace_encoding_step_1, factor.kspace_encoding_step_2]
                    .map(|factor| usize::from(factor).max(1))
            })
        });
        Self {
            accelerations: accelerations.collect(),
            describer: Describer::new(scan),
            coil_maps,
            image_series,
            scale: IntensityScale::default(),
        }
    }

    /// With intensities on this scale.
    pub(crate) fn with_scale(self, scale: IntensityScale) -> Self {
        Self { scale, ..self }
    }

    /// Transforms along the readout and finds the calibration of every image. [`None`] where
    /// there are calibration lines only.
    pub(crate) fn begin(&self, k_space: KSpace) -> Result<Option<Job>, Error> {
        let KSpace { encoding_space, s, n, data: mut buffer, reference, waveforms } = k_space;
        if buffer.data.is_empty() {
            return Ok(None);
        }
        let shape = BufferShape::of(&buffer)?;
        buffer.data = into_standard_layout(buffer.data);
        let acceleration = self.accelerations.get(encoding_space).copied().unwrap_or([1, 1]);
        let reference = reference.filter(|reference| !reference.data.is_empty());
        let is_whole = |buffer: &KSpaceBuffer| {
            shape.images().all(|image| {
                let lines = lines_read(buffer, image);
                lines.iter().all(|read| *read) || lines.iter().all(|read| !read)
            })
        };
        let reference = match reference {
            Some(reference) => reference,
            // Only the coil maps are needed.
            None if is_whole(&buffer) => buffer.clone(),
            None => return Err(Error::NoCalibration { slice: slice_of(&buffer, 0) }),
        };
        let reference_shape = BufferShape::of(&reference)?;
        if reference_shape.n_channels != shape.n_channels {
            let (data, reference) = (shape.n_channels, reference_shape.n_channels);
            return Err(Error::Channels { data, reference });
        }
        let mut groups: Vec<Group> = Vec::new();
        for [slice, s, n] in shape.images() {
            let lines = lines_read(&buffer, [slice, s, n]);
            if lines.iter().all(|read| !read) {
                continue;
            }
            let serving = serving(&reference, reference_shape, &buffer, shape, [slice, s, n])
                .ok_or_else(|| Error::NoCalibration { slice: slice_of(&buffer, slice) })?;
            let lines = lines.insert_axis(Axis(0));
            match groups.last_mut() {
                Some(last)
                    if (last.slice, last.s, last.n.end, last.serving) == (slice, s, n, serving) =>
                {
                    last.n.end += 1;
                    if last.sampled.append(Axis(0), lines.view()).is_err() {
                        return Err(Error::NoCalibration { slice: slice_of(&buffer, slice) });
                    }
                }
                _ => groups.push(Group { slice, s, n: n..n + 1, serving, sampled: lines }),
            }
        }
        Plan::new(buffer.data.shape(), &[Axis(6)]).inverse(buffer.data.view_mut());
        Ok(Some(Job {
            encoding_space,
            acceleration,
            shape,
            buffer,
            reference,
            groups,
            counters: [s, n],
            waveforms,
        }))
    }

    /// Coil maps of an image of the reference at the size of the data: `[channel, z, y, x]`.
    pub(crate) fn coil_maps(
        &self,
        reference: &KSpaceBuffer,
        serving: [usize; 3],
        matrix: [usize; 3],
    ) -> Array4<Complex32> {
        let samples = samples_of(reference, serving);
        self.coil_maps.maps(samples, reference.sampling.limits, matrix)
    }

    /// Images of filled k-space, combined with the maps of each group.
    pub(crate) fn combine(&self, mut job: Job, maps: &[Arc<Array4<Complex32>>]) -> ImageSeries {
        clear_beyond_limits(&mut job.buffer);
        let data = &mut job.buffer.data;
        Plan::new(data.shape(), &[Axis(4), Axis(5)]).inverse(data.view_mut());
        let scale = match self.scale {
            IntensityScale::Snr => scale(&job),
            IntensityScale::Gadgetron => noise_scaling(&job.buffer, job.shape).0,
        };
        let mut images = empty_images(job.shape);
        let n_pixels: usize = job.shape.k_space.iter().product();
        let [_, n_s, n_n] = job.shape.outer;
        if let Some(pixels) = images.as_slice_mut() {
            for (group, maps) in job.groups.iter().zip(maps) {
                for n in group.n.clone() {
                    let place = (group.slice * n_s + group.s) * n_n + n;
                    let target = &mut pixels[place * n_pixels..][..n_pixels];
                    let samples = samples_of(&job.buffer, [group.slice, group.s, n]);
                    combine(samples, maps.view(), scale, target);
                }
            }
        }
        self.series(job, images)
    }

    /// A series of images `[slice, s, n, 1, z, y, x]` that are in units of the noise already.
    pub(crate) fn series(&self, job: Job, images: ArrayD<Complex32>) -> ImageSeries {
        let description = self.describer.describe(&job.buffer, job.shape, job.encoding_space);
        let number = self.image_series + job.encoding_space as i64 + 1;
        ImageSeries {
            sampling: Some(job.buffer.sampling),
            waveforms: job.waveforms,
            acquisition_headers: Some(job.buffer.headers),
            ..description.series(ImageRole::Image, number, images, job.counters)
        }
    }
}

/// What takes the intensities of filled k-space to Gadgetron's units, in which the noise of a
/// whitened scan has the standard deviation g, its amplification: the same as after `grappa`.
pub(crate) fn scale(job: &Job) -> f32 {
    let (noise_scaling, lines) = noise_scaling(&job.buffer, job.shape);
    let acceleration = (job.acceleration[0] * job.acceleration[1]) as f32;
    if lines > 1.0 { noise_scaling / acceleration } else { noise_scaling }
}

/// `[slice, s, n, 1, z, y, x]` of zeros.
pub(crate) fn empty_images(shape: BufferShape) -> ArrayD<Complex32> {
    let ([slice, s, n], [z, y, x]) = (shape.outer, shape.k_space);
    ArrayD::zeros(IxDyn(&[slice, s, n, 1, z, y, x]))
}

/// Lines outside the sampled range (partial Fourier) are left to the gadgets for that.
fn clear_beyond_limits(buffer: &mut KSpaceBuffer) {
    for (axis, limit) in [(5, buffer.sampling.limits[1]), (4, buffer.sampling.limits[2])] {
        let (first, last) = (usize::from(limit.min), usize::from(limit.max));
        let len = buffer.data.len_of(Axis(axis));
        if first < last && last < len {
            let mut clear = |range: std::ops::Range<usize>| {
                buffer.data.slice_axis_mut(Axis(axis), range.into()).fill(Complex32::ZERO);
            };
            clear(0..first);
            clear(last + 1..len);
        }
    }
}

/// Slice counter of the first line of slice `index` of a buffer.
pub(crate) fn slice_of(buffer: &KSpaceBuffer, index: usize) -> u16 {
    let lines = buffer.headers.index_axis(Axis(0), index);
    lines.iter().find(|line| crate::lines::was_read(line)).map_or(0, |line| line.idx.slice)
}

/// Encoding space and whether it is for calibration, slice, image.
type Place = ((usize, bool), u16, [usize; 3]);
/// Fingerprint of what it was made of, the shape that it is for, and the thing.
type Made<T> = (u64, [usize; 3], Arc<T>);

/// What was made of calibration lines, kept for k-space that has the same ones.
pub(crate) struct Kept<T> {
    /// By encoding space and whether lines are missing, slice, and place in the reference; with
    /// what tells the lines from others.
    known: BTreeMap<Place, Made<T>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { known: BTreeMap::new() }
    }
}

impl<T> Kept<T> {
    /// What is known of these lines for images of this `matrix`, or else what `make` gives.
    pub(crate) fn get(
        &mut self,
        reference: &KSpaceBuffer,
        serving: [usize; 3],
        encoding_space: (usize, bool),
        matrix: [usize; 3],
        make: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Arc<T>, Error> {
        let key = (encoding_space, slice_of(reference, serving[0]), serving);
        let fingerprint = fingerprint(reference, serving);
        if let Some((known, of_matrix, made)) = self.known.get(&key)
            && (*known, *of_matrix) == (fingerprint, matrix)
        {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(make()?);
        if self.known.len() >= MAX_KEPT {
            self.known.pop_first();
        }
        self.known.insert(key, (fingerprint, matrix, Arc::clone(&made)));
        Ok(made)
    }
}

/// K-space that cannot be solved for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Axes are missing.
    #[error(transparent)]
    Shape(#[from] BufferShapeError),
    /// Lines are missing, and nothing says how the channels see the object.
    #[error("slice {slice}: lines are missing, and there are no calibration lines")]
    NoCalibration {
        /// Its counter.
        slice: u16,
    },
    /// Data and calibration come from different coils.
    #[error("the data have {data} channels, their calibration has {reference}")]
    Channels {
        /// Channels of the data.
        data: usize,
        /// Channels of the calibration.
        reference: usize,
    },
    /// No kernel can be made.
    #[error("slice {slice}: {cause}")]
    Calibration {
        /// Its counter.
        slice: u16,
        /// Why.
        cause: CalibrationError,
    },
    /// A property outside its range.
    #[error("`{property}` is {value}, it must be {allowed}")]
    Property {
        /// Its name.
        property: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        allowed: &'static str,
    },
    /// Partitions, for a method of single slices.
    #[error("k-space has {0} partitions, this method is for slices over time")]
    Partitions(usize),
    /// More memory than a server should give.
    #[error(
        "{n_channels} channels of {x} x {y} pixels need {gibibytes:.1} GiB, at most 4 are given"
    )]
    TooLarge {
        /// Channels.
        n_channels: usize,
        /// Pixels along the readout.
        x: usize,
        /// Lines.
        y: usize,
        /// What they need.
        gibibytes: f64,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Shape(_) => BufferShapeError::REMEDY,
            Self::NoCalibration { .. } => {
                "put `prepare_reference` before it, and acquire calibration lines (embedded, \
                 separate or interleaved) as the header says"
            }
            Self::Channels { .. } => {
                "compress the coils of data and calibration together, with `compress_coils`"
            }
            Self::Calibration { cause: CalibrationError::TooFewLines { .. }, .. } => {
                "acquire more calibration lines, or choose a smaller kernel"
            }
            Self::Calibration { cause: CalibrationError::EvenKernel(_), .. } => {
                "choose odd kernel sizes"
            }
            Self::Calibration { cause: CalibrationError::TooManyWeights { .. }, .. } => {
                "compress the coils with `compress_coils`, or choose a smaller kernel"
            }
            Self::Calibration { cause: CalibrationError::NoSignal, .. } => {
                "check that the calibration lines were acquired and that no coil is unplugged"
            }
            Self::Property { .. } => "correct it in the chain file",
            Self::Partitions(_) => "use `spirit` or `grappa`",
            Self::TooLarge { .. } => "compress the coils with `compress_coils`, or use `spirit`",
        }
    }
}
