//! Fewer channels that keep most of the signal.

use std::collections::BTreeMap;

use ismrmrd::KSpaceBuffer;
use ndarray::{Array2, ArrayD, Axis, IxDyn};
use num_complex::Complex64;
use numerics::coil_compression::{Compression, CompressionError, Keep, covariance};
use pipeline::{Gadget, KSpace, Remedy, Scan, Sink};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coil_combination::{samples_of, slice_of};
use crate::lines::{BufferShape, BufferShapeError, headers_of, into_standard_layout, was_read};

/// Upstream coil compression.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether images along `n` share their modes.
    #[serde(alias = "average_all_ref_N")]
    pub average_all_ref_n: bool,
    /// Whether images along `s` share their modes.
    #[serde(alias = "average_all_ref_S")]
    pub average_all_ref_s: bool,
    /// Whether the modes are found anew from each calibration. Otherwise those of the first of
    /// each slice stay.
    pub update_eigen_channel_coefficients: bool,
    /// Whether to compress at all.
    pub upstream_coil_compression: bool,
    /// Eigenvalue over the largest one from which a mode is kept; where it is not positive, see
    /// the number.
    pub upstream_coil_compression_thres: f32,
    /// Modes that are kept where the threshold is not positive; 0 or less for all.
    #[serde(alias = "upstream_coil_compression_num_modesKept")]
    pub upstream_coil_compression_num_modes_kept: i64,
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
            average_all_ref_n: true,
            average_all_ref_s: false,
            update_eigen_channel_coefficients: false,
            upstream_coil_compression: true,
            upstream_coil_compression_thres: -1.0,
            upstream_coil_compression_num_modes_kept: 0,
            verbose: false,
            debug_folder: String::new(),
            perform_timing: false,
            time_tick: 2.5,
        }
    }
}

impl Config {
    fn keep(&self) -> Keep {
        match self.upstream_coil_compression_thres {
            threshold if threshold > 0.0 => Keep::Threshold(threshold),
            _ => match usize::try_from(self.upstream_coil_compression_num_modes_kept) {
                Ok(count) if count > 0 => Keep::Count(count),
                _ => Keep::All,
            },
        }
    }
}

/// Turns the channels of data and calibration into the modes of the calibration, strongest first,
/// and drops the weakest.
pub struct CompressCoils {
    config: Config,
    known: BTreeMap<(usize, u16), Modes>,
}

/// Modes of the images of one reference.
struct Modes {
    /// Channels that they were found for.
    n_channels: usize,
    n_modes: usize,
    /// `[slice, s, n]` of the images with modes of their own.
    outer: [usize; 3],
    /// Slice counters along `slice`.
    slices: Vec<Option<u16>>,
    /// In the order of `outer`.
    compressions: Vec<Compression>,
}

impl Gadget for CompressCoils {
    const NAME: &str = "compress_coils";
    const ALIASES: &'static [&'static str] = &["GenericReconEigenChannelGadget"];
    type Config = Config;
    type Input = KSpace;
    type Output = KSpace;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        Ok(Self { config, known: BTreeMap::new() })
    }

    fn process(&mut self, mut k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        let reference = k_space.reference.take().filter(|reference| !reference.data.is_empty());
        let has_data = !k_space.data.data.is_empty();
        if !self.config.upstream_coil_compression || !has_data && reference.is_none() {
            k_space.reference = reference;
            out.push(k_space);
            return Ok(());
        }
        let source = reference.as_ref().unwrap_or(&k_space.data);
        let shape = BufferShape::of(source)?;
        let key = (k_space.encoding_space, slice_of(source));
        let is_fresh = reference.is_some() && self.config.update_eigen_channel_coefficients;
        let is_known = self.known.get(&key).is_some_and(|modes| {
            modes.n_channels == shape.n_channels && !is_fresh && modes.covers(source, shape)
        });
        if !is_known {
            self.known.insert(key, self.modes(source, shape)?);
        }
        let Some(modes) = self.known.get(&key) else { return Ok(()) };
        if let Some(reference) = reference {
            k_space.reference = Some(modes.apply(reference)?);
        }
        if has_data {
            k_space.data = modes.apply(k_space.data)?;
        }
        out.push(k_space);
        Ok(())
    }
}

impl CompressCoils {
    fn modes(&self, source: &KSpaceBuffer, shape: BufferShape) -> Result<Modes, Error> {
        let [n_slices, n_s, n_n] = shape.outer;
        let shared = |is_shared: bool, len: usize| if is_shared { 1 } else { len };
        let outer = [
            n_slices,
            shared(self.config.average_all_ref_s, n_s),
            shared(self.config.average_all_ref_n, n_n),
        ];
        let of_images: Vec<Array2<Complex64>> = shape
            .images()
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|image| covariance(samples_of(source, image), Axis(0)))
            .collect();
        let empty = || Array2::<Complex64>::zeros((shape.n_channels, shape.n_channels));
        let mut covariances = vec![empty(); outer.iter().product()];
        for ([slice, s, n], covariance) in shape.images().zip(&of_images) {
            let (s, n) = (s.min(outer[1] - 1), n.min(outer[2] - 1));
            covariances[(slice * outer[1] + s) * outer[2] + n] += covariance;
        }
        let find = |keep: Keep| -> Result<Vec<Compression>, CompressionError> {
            covariances
                .iter()
                .map(|covariance| Compression::from_covariance(covariance.view(), keep))
                .collect()
        };
        let mut compressions = find(self.config.keep())?;
        // One array holds them all: the image that needs most modes decides.
        let n_modes = compressions.iter().map(Compression::n_modes).max().unwrap_or(1);
        if compressions.iter().any(|compression| compression.n_modes() != n_modes) {
            compressions = find(Keep::Count(n_modes))?;
        }
        let slices = (0..n_slices).map(|slice| slice_counter(source, slice)).collect();
        Ok(Modes { n_channels: shape.n_channels, n_modes, outer, slices, compressions })
    }
}

fn slice_counter(buffer: &KSpaceBuffer, slice: usize) -> Option<u16> {
    let lines = buffer.headers.index_axis(Axis(0), slice);
    lines.iter().find(|line| was_read(line)).map(|line| line.idx.slice)
}

impl Modes {
    /// Whether there are modes for every slice of the buffer.
    fn covers(&self, buffer: &KSpaceBuffer, shape: BufferShape) -> bool {
        (0..shape.outer[0]).all(|slice| {
            slice_counter(buffer, slice).is_none_or(|counter| self.slices.contains(&Some(counter)))
        })
    }

    fn of_image(&self, slice: Option<u16>, [place, s, n]: [usize; 3]) -> &Compression {
        let [n_slices, n_s, n_n] = self.outer;
        let by_counter = slice.and_then(|slice| self.slices.iter().position(|s| *s == Some(slice)));
        let slice = by_counter.unwrap_or(place.min(n_slices - 1));
        &self.compressions[(slice * n_s + s.min(n_s - 1)) * n_n + n.min(n_n - 1)]
    }

    /// The buffer with modes for channels.
    fn apply(&self, mut buffer: KSpaceBuffer) -> Result<KSpaceBuffer, Error> {
        let shape = BufferShape::of(&buffer)?;
        if shape.n_channels != self.n_channels {
            return Err(Error::Channels { found: shape.n_channels, expected: self.n_channels });
        }
        let [n_slices, n_s, n_n] = shape.outer;
        let [n_e2, n_e1, n_readout] = shape.k_space;
        let slices: Vec<_> = (0..n_slices).map(|slice| slice_counter(&buffer, slice)).collect();
        let data = std::mem::take(&mut buffer.data);
        let (mut samples, offset) = into_standard_layout(data).into_raw_vec_and_offset();
        samples.drain(..offset.unwrap_or(0));
        let channel_len = n_e2 * n_e1 * n_readout;
        let (image_len, modes_len) = (shape.n_channels * channel_len, self.n_modes * channel_len);
        for (number, image) in shape.images().enumerate() {
            let source = &mut samples[number * image_len..][..image_len];
            let compression = self.of_image(slices[image[0]], image);
            let read = headers_of(&buffer, image);
            let mut lines: Vec<_> = read.iter().map(|_| Vec::new()).collect();
            for channel in source.chunks_exact_mut(channel_len.max(1)) {
                for (line, samples) in lines.iter_mut().zip(channel.chunks_exact_mut(n_readout)) {
                    line.push(samples);
                }
            }
            // Lines that were not read are 0 and stay so.
            let lines: Vec<_> =
                lines.into_iter().zip(read).filter(|(_, line)| was_read(line)).collect();
            lines.into_par_iter().for_each_init(Vec::new, |workspace, (mut channels, _)| {
                compression.apply_in_place(&mut channels, workspace);
            });
            samples.copy_within(
                number * image_len..number * image_len + modes_len,
                number * modes_len,
            );
        }
        samples.truncate(shape.outer.iter().product::<usize>() * modes_len);
        let axes = [n_slices, n_s, n_n, self.n_modes, n_e2, n_e1, n_readout];
        let data = ArrayD::from_shape_vec(IxDyn(&axes), samples)
            .unwrap_or_else(|error| unreachable!("the vector was cut to this shape: {error}"));
        Ok(KSpaceBuffer { data, ..buffer })
    }
}

/// Channels that cannot be compressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Axes are missing.
    #[error(transparent)]
    Shape(#[from] BufferShapeError),
    /// The calibration has no modes.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// Data and calibration are not of the same receivers.
    #[error("{found} channels, the calibration that the modes were found from has {expected}")]
    Channels {
        /// Channels of the data.
        found: usize,
        /// Channels of the calibration.
        expected: usize,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Shape(_) => BufferShapeError::REMEDY,
            Self::Compression(_) => "look at the calibration lines for samples that are no numbers",
            Self::Channels { .. } => "measure data and calibration with the same coils",
        }
    }
}
