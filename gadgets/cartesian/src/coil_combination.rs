//! Coil maps from calibration lines, and combination of coil images with them.

use ismrmrd::{KSpaceBuffer, SamplingLimit};
use ndarray::{Array4, ArrayView4, Axis, s};
use num_complex::Complex32;
use numerics::coil_maps::{
    InatiIterativeOptions, InatiOptions, WalshOptions, inati, inati_iterative, walsh,
};
use numerics::fft::{Centered, Plan};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lines::{BufferShape, first_read};

/// Most pixels from one to the next of those whose surroundings are looked at for a coil map.
const MAX_SPACING: usize = 4;

/// How coil maps are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CoilMapAlgorithm {
    /// The dominant mode of each pixel's surroundings (Inati et al. 2013).
    #[default]
    #[serde(alias = "Inati")]
    Inati,
    /// An image and smooth maps that explain the coil images together (Inati et al. 2014).
    #[serde(alias = "Inati_Iter", alias = "InatiIter")]
    InatiIter,
    /// The adaptive filter of each pixel's surroundings (Walsh et al. 2000): the combined image
    /// keeps the object's phase.
    #[serde(alias = "Walsh")]
    Walsh,
}

/// How coil maps are made, with the sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoilMapOptions {
    pub(crate) algorithm: CoilMapAlgorithm,
    pub(crate) kernel_readout: usize,
    pub(crate) kernel_phase: usize,
    pub(crate) iterations: usize,
    pub(crate) threshold: f32,
}

impl CoilMapOptions {
    /// Maps `[channel, z, y, x]` with Σ|s|² = 1 of the samples of a reference; their arguments
    /// are those of [`reference_images`].
    pub(crate) fn maps(
        &self,
        samples: ArrayView4<'_, Complex32>,
        limits: [SamplingLimit; 3],
        matrix: [usize; 3],
    ) -> Array4<Complex32> {
        let images = reference_images(samples, limits, matrix);
        let images = images.view();
        // Gadgetron's window is square in plane; `kernel_phase` is its size along z.
        let along_z = match self.algorithm {
            CoilMapAlgorithm::Walsh => self.kernel_readout,
            CoilMapAlgorithm::Inati | CoilMapAlgorithm::InatiIter => self.kernel_phase,
        };
        let window = [along_z, self.kernel_readout, self.kernel_readout];
        let (_, n_e2, n_e1, n_readout) = samples.dim();
        let spacing = |axis: usize, n_samples: usize| {
            // The window is not larger than the images.
            if window[axis].min(matrix[axis]) < 5 {
                return 1;
            }
            // Products of images of few samples change slowly.
            (matrix[axis] / (2 * n_samples).max(1)).clamp(2, MAX_SPACING)
        };
        let spacing = [spacing(0, n_e2), spacing(1, n_e1), spacing(2, n_readout)];
        match self.algorithm {
            CoilMapAlgorithm::Inati => inati(
                images,
                &InatiOptions {
                    kernel_partition: window[0],
                    kernel_phase: window[1],
                    kernel_readout: window[2],
                    power: 3,
                    spacing,
                },
            ),
            CoilMapAlgorithm::InatiIter => inati_iterative(
                images,
                &InatiIterativeOptions {
                    kernel_readout: self.kernel_readout,
                    kernel_phase: self.kernel_phase,
                    kernel_partition: self.kernel_phase,
                    iterations: self.iterations,
                    threshold: self.threshold,
                },
            ),
            CoilMapAlgorithm::Walsh => {
                walsh(images, &WalshOptions { block: self.kernel_readout, power: 3, spacing })
            }
        }
    }
}

/// Samples of one image of a buffer: `[channel, encoding_step_2, encoding_step_1, readout]`.
pub(crate) fn samples_of(
    buffer: &KSpaceBuffer,
    [slice, s, n]: [usize; 3],
) -> ArrayView4<'_, Complex32> {
    buffer.data.slice(s![slice, s, n, .., .., .., ..])
}

/// The image of the reference that calibrates image `place` of the data: of the same slice, and
/// along `s` and `n` the same or the last. [`None`] where the reference has not that slice.
pub(crate) fn serving(
    reference: &KSpaceBuffer,
    reference_shape: BufferShape,
    data: &KSpaceBuffer,
    data_shape: BufferShape,
    [slice, s, n]: [usize; 3],
) -> Option<[usize; 3]> {
    let [n_slices, n_s, n_n] = reference_shape.outer;
    let serving_slice = if n_slices == 1 && data_shape.outer[0] == 1 {
        0
    } else {
        let counter = |buffer: &KSpaceBuffer, slice: usize| {
            let lines = buffer.headers.index_axis(Axis(0), slice);
            lines.iter().find(|line| line.version != 0).map(|line| line.idx.slice)
        };
        match counter(data, slice) {
            Some(wanted) => (0..n_slices).find(|slice| counter(reference, *slice) == Some(wanted)),
            // Nothing of it was read: any will do.
            None => Some(slice.min(n_slices - 1)),
        }?
    };
    Some([serving_slice, s.min(n_s - 1), n.min(n_n - 1)])
}

/// Coil images of a reference at the size of the data: tapered, filled up with zeros and
/// transformed.
///
/// * `samples`: `[channel, encoding_step_2, encoding_step_1, readout]`.
/// * `limits`: where these lie, along readout, encoding step 1 and 2.
/// * `matrix`: `[z, y, x]` of the images.
///
/// # Method
/// A Hann window around the centre of k-space, 0 just beyond the last sample, along each axis:
/// without it the edge of the calibrated region rings through the maps.
fn reference_images(
    samples: ArrayView4<'_, Complex32>,
    limits: [SamplingLimit; 3],
    matrix: [usize; 3],
) -> Array4<Complex32> {
    let (n_channels, n_e2, n_e1, n_readout) = samples.dim();
    let [n_z, n_y, n_x] = matrix;
    let axes = [
        Placed::new(limits[2], n_e2, n_z),
        Placed::new(limits[1], n_e1, n_y),
        Placed::new(limits[0], n_readout, n_x),
    ];
    let fft = Centered::new(n_x);
    let mut images = Array4::<Complex32>::zeros((n_channels, n_z, n_y, n_x));
    let [along_z, along_y, along_x] = &axes;
    let along_x: Vec<_> = along_x.places().collect();
    if let Some(images) = images.as_slice_mut() {
        images.par_chunks_exact_mut(n_z * n_y * n_x).enumerate().for_each(|(channel, image)| {
            let samples = samples.index_axis(Axis(0), channel);
            let mut scratch = vec![Complex32::ZERO; fft.scratch_len()];
            for (e2, z, weight_z) in along_z.places() {
                for (e1, y, weight_y) in along_y.places() {
                    let line = &mut image[(z * n_y + y) * n_x..][..n_x];
                    let readout = samples.slice(s![e2, e1, ..]);
                    for &(sample, x, weight_x) in &along_x {
                        line[x] = readout[sample] * (weight_z * weight_y * weight_x);
                    }
                    fft.inverse_rows(line, &mut scratch);
                }
            }
        });
    }
    Plan::new(images.shape(), &[Axis(1), Axis(2)]).inverse(images.view_mut());
    images
}

/// Where the samples of an axis go in the matrix of the image, and their weights.
struct Placed {
    /// Place of sample 0.
    first: isize,
    len: usize,
    matrix: usize,
    /// Distance from the centre at which the window is 0.
    half_width: f64,
}

impl Placed {
    fn new(limit: SamplingLimit, len: usize, matrix: usize) -> Self {
        let center = matrix as isize / 2;
        // Limits that are not those of these samples say nothing: in the middle, then.
        let fits = usize::from(limit.max) + 1 == usize::from(limit.min) + len;
        let first = if fits {
            center + usize::from(limit.min) as isize - usize::from(limit.center) as isize
        } else {
            center - len as isize / 2
        };
        let last = first + len as isize - 1;
        let half_width = (center - first).abs().max((last - center).abs()) as f64 + 1.0;
        Self { first, len, matrix, half_width }
    }

    /// Sample, its place and its weight.
    fn places(&self) -> impl Iterator<Item = (usize, usize, f32)> + '_ {
        (0..self.len).filter_map(|sample| {
            let place = usize::try_from(self.first + sample as isize).ok()?;
            if place >= self.matrix {
                return None;
            }
            if self.len == 1 {
                return Some((sample, place, 1.0));
            }
            let distance = place.abs_diff(self.matrix / 2) as f64 / self.half_width;
            let weight = 0.5 * (1.0 + (std::f64::consts::PI * distance).cos());
            Some((sample, place, weight as f32))
        })
    }
}

/// What keeps the noise of an image at the standard deviation of its samples when zeros stand
/// for some of them: √(samples of the matrix / samples read), with the share of the lines that
/// were read, over all images that have any, apart: (√ of both together, share of the lines).
pub(crate) fn noise_scaling(buffer: &KSpaceBuffer, shape: BufferShape) -> (f32, f64) {
    let [n_e2, n_e1, n_readout] = shape.k_space;
    let (mut n_images, mut n_lines) = (0_usize, 0_usize);
    for image in shape.images() {
        let lines = crate::lines::headers_of(buffer, image);
        let read = lines.iter().filter(|line| crate::lines::was_read(line)).count();
        if read > 0 {
            n_images += 1;
            n_lines += read;
        }
    }
    if n_lines == 0 {
        return (1.0, 1.0);
    }
    let lines = (n_images * n_e1 * n_e2) as f64 / n_lines as f64;
    let limit = buffer.sampling.limits[0];
    let n_sampled = (usize::from(limit.max) + 1).saturating_sub(usize::from(limit.min));
    let readout = if n_sampled > 1 && usize::from(limit.max) < n_readout {
        n_readout as f64 / n_sampled as f64
    } else {
        1.0
    };
    ((readout * lines).sqrt() as f32, lines)
}

/// What tells one calibration from another: its readouts, and a few of its samples, for scans
/// whose readouts are not numbered.
pub(crate) fn fingerprint(reference: &KSpaceBuffer, image: [usize; 3]) -> u64 {
    // FNV-1a, on words.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |word: u64| hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    let samples = samples_of(reference, image);
    samples.shape().iter().for_each(|len| add(*len as u64));
    for line in crate::lines::headers_of(reference, image) {
        add(u64::from(line.scan_counter) << 32 | u64::from(line.measurement_uid));
    }
    let step = (samples.len_of(Axis(3)) / 8).max(1);
    for value in samples.slice(s![.., .., .., ..;step]) {
        add(u64::from(value.re.to_bits()) << 32 | u64::from(value.im.to_bits()));
    }
    hash
}

/// Slice counter of a buffer's first line.
pub(crate) fn slice_of(buffer: &KSpaceBuffer) -> u16 {
    first_read(buffer).map_or(0, |line| line.idx.slice)
}
