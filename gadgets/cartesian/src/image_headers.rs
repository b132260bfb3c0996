//! Headers of images from the headers of their lines.

use ismrmrd::{AcquisitionHeader, DataType, ImageHeader, KSpaceBuffer, SamplingDescription};
use ndarray::Axis;

/// Header of the line at the centre of k-space of one image, or, where that was not read, of the
/// one nearest to it.
pub(crate) fn central_line(buffer: &KSpaceBuffer, [slice, s, n]: [usize; 3]) -> AcquisitionHeader {
    let [_, e1, e2] = buffer.sampling.limits.map(|limit| usize::from(limit.center));
    let lines = buffer.headers.index_axis(Axis(0), slice);
    let lines = lines.index_axis(Axis(0), s);
    let lines = lines.index_axis(Axis(0), n);
    let was_read = |line: &&AcquisitionHeader| line.version != 0;
    if let Some(line) = lines.get((e2, e1)).filter(was_read) {
        return *line;
    }
    lines
        .indexed_iter()
        .filter(|(_, line)| was_read(line))
        .min_by_key(|((line_e2, line_e1), _)| line_e2.abs_diff(e2) + line_e1.abs_diff(e1))
        .map_or_else(AcquisitionHeader::default, |(_, line)| *line)
}

/// Header of a complex image whose central line is `line`: geometry, counters and time. Matrix
/// and field of view along `[x, y, z]`; the channels, the series and the number are left to the
/// caller.
pub(crate) fn image_header(
    line: &AcquisitionHeader,
    sampling: &SamplingDescription,
    matrix_size: [u16; 3],
) -> ImageHeader {
    ImageHeader {
        data_type: DataType::C32 as u16,
        matrix_size,
        field_of_view: sampling.recon_field_of_view_mm,
        ..ImageHeader::of_line(line)
    }
}
