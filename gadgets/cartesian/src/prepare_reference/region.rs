//! Where the calibration lies.

use std::ops::Range;

use ismrmrd::{KSpaceBuffer, SamplingDescription, SamplingLimit};
use ndarray::{Array2, s};

use super::average::Choice;
use crate::lines::{BufferShape, lines_read};

/// Places in the buffer that are sampled without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) e2: Range<usize>,
    pub(super) e1: Range<usize>,
    pub(super) readout: Range<usize>,
}

/// The region that every image of the result has without a gap, [`None`] where there is no line.
pub(super) fn complete_region(
    reference: &KSpaceBuffer,
    shape: BufferShape,
    along_s: Choice,
    along_n: Choice,
) -> Option<Region> {
    let [n_slices, n_s, n_n] = shape.outer;
    let [n_e2, n_e1, n_readout] = shape.k_space;
    let mut complete = Array2::from_elem((n_e2, n_e1), true);
    let mut is_empty = true;
    for slice in 0..n_slices {
        for s in along_s.groups(n_s) {
            for n in along_n.groups(n_n) {
                let mut lines = Array2::from_elem((n_e2, n_e1), false);
                for s in s.clone() {
                    for n in n.clone() {
                        lines.zip_mut_with(&lines_read(reference, [slice, s, n]), |a, b| *a |= b);
                    }
                }
                // An image without a line takes another's calibration.
                if lines.iter().any(|read| *read) {
                    complete.zip_mut_with(&lines, |a, b| *a &= b);
                    is_empty = false;
                }
            }
        }
    }
    if is_empty {
        return None;
    }
    let center = reference.sampling.limits.map(|limit| usize::from(limit.center));
    let (e2, e1) = largest_full(&complete, [center[2], center[1]])?;
    let limit = reference.sampling.limits[0];
    let readout = usize::from(limit.min)..usize::from(limit.max) + 1;
    let fits = readout.start < readout.end && readout.end <= n_readout;
    Some(Region { e2, e1, readout: if fits { readout } else { 0..n_readout } })
}

/// A rectangle without gaps: in one plane the longest run of lines; in a volume, from the smallest that holds all lines, the side that misses most
/// is taken away until nothing is missing.
fn largest_full(
    complete: &Array2<bool>,
    [center_e2, center_e1]: [usize; 2],
) -> Option<(Range<usize>, Range<usize>)> {
    let span = |places: &mut dyn Iterator<Item = usize>| {
        places.fold(None, |span: Option<Range<usize>>, place| match span {
            Some(span) => Some(span.start.min(place)..span.end.max(place + 1)),
            None => Some(place..place + 1),
        })
    };
    let of = |axis: usize| {
        let mut places =
            complete.indexed_iter().filter(|(_, read)| **read).map(|((e2, e1), _)| [e2, e1][axis]);
        span(&mut places)
    };
    let (mut e2, mut e1) = (of(0)?, of(1)?);
    if e2.len() == 1 {
        let longest = longest_run(complete.row(e2.start).iter().copied(), center_e1)?;
        return Some((e2, longest));
    }
    loop {
        let inside = complete.slice(s![e2.clone(), e1.clone()]);
        let missing = |lines: ndarray::ArrayView1<'_, bool>| {
            let missing = lines.iter().filter(|read| !**read).count();
            missing as f64 / lines.len() as f64
        };
        if inside.iter().all(|read| *read) {
            return Some((e2, e1));
        }
        let (last_e2, last_e1) = (inside.nrows() - 1, inside.ncols() - 1);
        // Where two sides miss as much, the farther from the centre of k-space goes.
        let sides = [
            (last_e2 > 0, missing(inside.row(0)), center_e2.abs_diff(e2.start)),
            (last_e2 > 0, missing(inside.row(last_e2)), center_e2.abs_diff(e2.end - 1)),
            (last_e1 > 0, missing(inside.column(0)), center_e1.abs_diff(e1.start)),
            (last_e1 > 0, missing(inside.column(last_e1)), center_e1.abs_diff(e1.end - 1)),
        ];
        let worst = (0..sides.len()).filter(|side| sides[*side].0).max_by(|a, b| {
            let (a, b) = (sides[*a], sides[*b]);
            a.1.total_cmp(&b.1).then(a.2.cmp(&b.2))
        })?;
        match worst {
            0 => e2.start += 1,
            1 => e2.end -= 1,
            2 => e1.start += 1,
            _ => e1.end -= 1,
        }
    }
}

/// The longest run of lines, of equals the one nearest to the centre of k-space.
fn longest_run(lines: impl Iterator<Item = bool>, center: usize) -> Option<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (line, _) in lines.enumerate().filter(|(_, read)| *read) {
        match runs.last_mut() {
            Some(run) if run.end == line => run.end = line + 1,
            _ => runs.push(line..line + 1),
        }
    }
    runs.into_iter().max_by_key(|run| {
        let middle = run.start + run.len() / 2;
        (run.len(), std::cmp::Reverse(middle.abs_diff(center)))
    })
}

/// Sets the sampling limits to where the region lies in the matrix of the data.
///
/// * `numbering`: the line numbers of place 0, `[encoding_step_1, encoding_step_2]`, of
///   calibration that does not lie in the matrix of the data.
pub(super) fn place_limits(
    sampling: &mut SamplingDescription,
    region: &Region,
    shape: BufferShape,
    numbering: Option<[i64; 2]>,
) {
    let ranges = [&region.readout, &region.e1, &region.e2];
    let [n_e2, n_e1, n_readout] = shape.k_space;
    for (axis, range) in ranges.into_iter().enumerate() {
        let limit = &mut sampling.limits[axis];
        let last = [n_readout, n_e1, n_e2][axis] - 1;
        let (start, end) = (range.start as i64, range.end as i64);
        let offset = match numbering {
            Some(first_line) if axis > 0 => {
                // Lines of their own: where their numbers hold the centre of k-space, it is that
                // one, else the middle of them.
                let by_number = i64::from(limit.center) - first_line[axis - 1];
                let middle = start + (end - start) / 2;
                let center = if (start..end).contains(&by_number) { by_number } else { middle };
                let matrix_center = i64::from(sampling.encoded_matrix_size[axis] / 2);
                limit.center = clamp(matrix_center);
                matrix_center - center
            }
            _ => 0,
        };
        let last = if numbering.is_some() && axis > 0 {
            i64::from(sampling.encoded_matrix_size[axis]).max(1) - 1
        } else {
            last as i64
        };
        let inside = |place: i64| clamp((place + offset).clamp(0, last));
        *limit = SamplingLimit { min: inside(start), center: limit.center, max: inside(end - 1) };
    }
}

fn clamp(place: i64) -> u16 {
    u16::try_from(place.max(0)).unwrap_or(u16::MAX)
}
