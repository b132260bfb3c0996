//! Lines of a k-space buffer: the shape of the buffer, and which of its lines were read.

use ismrmrd::{AcquisitionFlags, AcquisitionHeader, KSpaceBuffer};
use ndarray::{Array2, ArrayView2, s};
use num_complex::Complex32;

/// Lengths of a buffer's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferShape {
    /// `[slice, s, n]`.
    pub(crate) outer: [usize; 3],
    pub(crate) n_channels: usize,
    /// `[encoding_step_2, encoding_step_1, readout]`.
    pub(crate) k_space: [usize; 3],
}

/// Axes are missing, or samples and headers do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "k-space of shape {data:?} with headers of shape {headers:?}, expected (slice, s, n, channel, \
     encoding_step_2, encoding_step_1, readout) with a header for each line"
)]
pub struct BufferShapeError {
    data: Vec<usize>,
    headers: Vec<usize>,
}

impl BufferShapeError {
    /// What to do about it.
    pub(crate) const REMEDY: &'static str =
        "put `sort_k_space` before it, and correct the gadget or the client that made the k-space";
}

impl BufferShape {
    /// The shape of a buffer that has samples.
    pub(crate) fn of(buffer: &KSpaceBuffer) -> Result<Self, BufferShapeError> {
        let error = || BufferShapeError {
            data: buffer.data.shape().to_vec(),
            headers: buffer.headers.shape().to_vec(),
        };
        let &[slice, s, n, n_channels, e2, e1, readout] = buffer.data.shape() else {
            return Err(error());
        };
        if buffer.headers.shape() != [slice, s, n, e2, e1] || buffer.data.is_empty() {
            return Err(error());
        }
        Ok(Self { outer: [slice, s, n], n_channels, k_space: [e2, e1, readout] })
    }

    /// All `[slice, s, n]` in their order in memory.
    pub(crate) fn images(self) -> impl Iterator<Item = [usize; 3]> {
        let [n_slices, n_s, n_n] = self.outer;
        (0..n_slices * n_s * n_n).map(move |image| {
            let (rest, n) = (image / n_n, image % n_n);
            [rest / n_s, rest % n_s, n]
        })
    }
}

/// Whether a header is that of a line that was read; the others are all zero.
pub(crate) fn was_read(line: &AcquisitionHeader) -> bool {
    line.version != 0
}

/// Headers of the lines of one image: `[encoding_step_2, encoding_step_1]`.
pub(crate) fn headers_of(
    buffer: &KSpaceBuffer,
    [slice, s, n]: [usize; 3],
) -> ArrayView2<'_, AcquisitionHeader> {
    buffer.headers.slice(s![slice, s, n, .., ..])
}

/// Which lines of an image were read: `[encoding_step_2, encoding_step_1]`.
pub(crate) fn lines_read(buffer: &KSpaceBuffer, image: [usize; 3]) -> Array2<bool> {
    headers_of(buffer, image).map(was_read)
}

/// The header of the first line that was read.
pub(crate) fn first_read(buffer: &KSpaceBuffer) -> Option<AcquisitionHeader> {
    buffer.headers.iter().find(|line| was_read(line)).copied()
}

/// Looks for lines that were read backwards and not flipped, once in a scan.
#[derive(Debug, Default)]
pub(crate) struct BackwardLines {
    was_told: bool,
}

impl BackwardLines {
    /// What to say of the buffer, and what to do about it.
    pub(crate) fn complaint(
        &mut self,
        buffer: &KSpaceBuffer,
    ) -> Option<(&'static str, &'static str)> {
        let is_backward =
            |line: &AcquisitionHeader| line.flags.contains(AcquisitionFlags::IS_REVERSE);
        if self.was_told || !buffer.headers.iter().any(is_backward) {
            return None;
        }
        self.was_told = true;
        Some((
            "lines were read backwards, as in echo-planar imaging, and no gadget has turned them",
            "do not trust these images: put `regrid_epi`, `correct_epi_phase` and \
             `transform_readout` before `collect_readouts`",
        ))
    }
}

/// The samples, in standard order: they are copied only where they are not.
pub(crate) fn into_standard_layout(data: ndarray::ArrayD<Complex32>) -> ndarray::ArrayD<Complex32> {
    if data.is_standard_layout() { data } else { data.as_standard_layout().into_owned() }
}
