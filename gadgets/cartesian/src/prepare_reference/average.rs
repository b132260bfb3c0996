//! Averages of calibration lines over the images of a buffer.

use std::ops::Range;

use ismrmrd::KSpaceBuffer;
use ndarray::{Array5, ArrayD, IxDyn, s};
use num_complex::Complex32;

use super::region::Region;
use crate::lines::{BufferShape, was_read};

/// What becomes of an axis of the calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Every index calibrates its own images.
    Keep,
    /// All are averaged.
    Average,
    /// One serves all.
    Only(usize),
}

impl Choice {
    pub(super) fn new(only: i64, average: bool, len: usize) -> Self {
        match usize::try_from(only) {
            Ok(only) if only < len => Self::Only(only),
            _ if average => Self::Average,
            _ => Self::Keep,
        }
    }

    /// Indices that become one, in the order of the result.
    pub(super) fn groups(self, len: usize) -> Vec<Range<usize>> {
        match self {
            Self::Keep => (0..len).map(|index| index..index + 1).collect(),
            Self::Average => std::iter::once(0..len).collect(),
            Self::Only(index) => std::iter::once(index..index + 1).collect(),
        }
    }
}

/// The region of the reference, averaged. A line is averaged over the images that have it; an
/// image without lines takes those of the image before it, or of the first that has some.
pub(super) fn prepared(
    reference: KSpaceBuffer,
    shape: BufferShape,
    region: &Region,
    along_s: Choice,
    along_n: Choice,
) -> KSpaceBuffer {
    let [n_slices, n_s, n_n] = shape.outer;
    let (s_groups, n_groups) = (along_s.groups(n_s), along_n.groups(n_n));
    let outer = [n_slices, s_groups.len(), n_groups.len()];
    let inner = [region.e2.len(), region.e1.len(), region.readout.len()];
    if outer == shape.outer && inner == shape.k_space {
        // Nothing to take apart.
        let mut whole = KSpaceBuffer { trajectory: None, density: None, ..reference };
        lend(&mut whole, outer);
        return whole;
    }
    let [n_e2, n_e1, n_readout] = inner;
    let mut data = ArrayD::<Complex32>::zeros(IxDyn(&[
        n_slices,
        outer[1],
        outer[2],
        shape.n_channels,
        n_e2,
        n_e1,
        n_readout,
    ]));
    let mut headers = Array5::from_shape_fn((n_slices, outer[1], outer[2], n_e2, n_e1), |_| {
        bytemuck::Zeroable::zeroed()
    });
    let readout = region.readout.clone();
    for (place, header) in headers.indexed_iter_mut() {
        let (slice, s_group, n_group, e2, e1) = place;
        let (from_e2, from_e1) = (region.e2.start + e2, region.e1.start + e1);
        let mut target = data.slice_mut(s![slice, s_group, n_group, .., e2, e1, ..]);
        let mut n_lines = 0_usize;
        for s in s_groups[s_group].clone() {
            for n in n_groups[n_group].clone() {
                let source = &reference.headers[(slice, s, n, from_e2, from_e1)];
                if !was_read(source) {
                    continue;
                }
                let samples =
                    reference.data.slice(s![slice, s, n, .., from_e2, from_e1, readout.clone()]);
                if n_lines == 0 {
                    *header = *source;
                    target.assign(&samples);
                } else {
                    target += &samples;
                }
                n_lines += 1;
            }
        }
        if n_lines > 1 {
            let weight = 1.0 / n_lines as f32;
            target.mapv_inplace(|value| value * weight);
        }
    }
    let mut result = KSpaceBuffer {
        data,
        trajectory: None,
        density: None,
        headers,
        sampling: reference.sampling,
    };
    lend(&mut result, outer);
    result
}

/// Gives images without a line the calibration of another of their slice.
fn lend(reference: &mut KSpaceBuffer, [n_slices, n_s, n_n]: [usize; 3]) {
    for slice in 0..n_slices {
        let images: Vec<(usize, usize)> =
            (0..n_s).flat_map(|s| (0..n_n).map(move |n| (s, n))).collect();
        let has_lines: Vec<bool> = images
            .iter()
            .map(|&(s, n)| reference.headers.slice(s![slice, s, n, .., ..]).iter().any(was_read))
            .collect();
        let Some(first) = has_lines.iter().position(|has| *has) else { continue };
        let mut lender = first;
        for (image, &(s, n)) in images.iter().enumerate() {
            if has_lines[image] {
                lender = image;
                continue;
            }
            let (from_s, from_n) = images[lender];
            let samples =
                reference.data.slice(s![slice, from_s, from_n, .., .., .., ..]).to_owned();
            reference.data.slice_mut(s![slice, s, n, .., .., .., ..]).assign(&samples);
            let lines = reference.headers.slice(s![slice, from_s, from_n, .., ..]).to_owned();
            reference.headers.slice_mut(s![slice, s, n, .., ..]).assign(&lines);
        }
    }
}
