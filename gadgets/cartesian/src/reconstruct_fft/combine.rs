//! One image of those of all channels.

use ndarray::{ArrayD, IxDyn};
use num_complex::Complex32;
use rayon::prelude::*;

use super::Shape;

/// Pixels that one thread combines at a time.
const CHUNK: usize = 4096;

/// √Σ|x|² over the channels of each image, in the order of the channels:
/// `[slice, s, n, 1, z, y, x]` of the pixels in `window`.
pub(super) fn combine(
    data: &ArrayD<Complex32>,
    shape: Shape,
    window: [(usize, usize); 3],
    rotate: bool,
) -> ArrayD<Complex32> {
    let [n_slices, n_s, n_n] = shape.outer;
    let [(_, z), (_, y), (first_x, x)] = window;
    let mut combined = ArrayD::<Complex32>::zeros(IxDyn(&[n_slices, n_s, n_n, 1, z, y, x]));
    let data = data.as_standard_layout();
    let (Some(source), Some(target)) = (data.as_slice(), combined.as_slice_mut()) else {
        return combined;
    };
    let row_len = shape.image[2];
    let image_len: usize = shape.image.iter().product();
    let rows = Rows { shape, window, rotate };
    let n_rows = (CHUNK / x).max(1);
    for (image, target) in target.chunks_exact_mut(z * y * x).enumerate() {
        let channels = &source[image * shape.n_channels * image_len..];
        target.par_chunks_mut(n_rows * x).enumerate().for_each(|(chunk, target)| {
            for (row, target) in target.chunks_exact_mut(x).enumerate() {
                let start = rows.start(chunk * n_rows + row);
                for channel in 0..shape.n_channels {
                    let source = &channels[channel * image_len + start..][..row_len];
                    if rotate {
                        for (place, sum) in target.iter_mut().enumerate() {
                            sum.re += source[opposite(first_x + place, row_len)].norm_sqr();
                        }
                    } else {
                        for (sum, value) in target.iter_mut().zip(&source[first_x..]) {
                            sum.re += value.norm_sqr();
                        }
                    }
                }
                target.iter_mut().for_each(|sum| sum.re = sum.re.sqrt());
            }
        });
    }
    combined
}

/// Rows of the pixels that are kept.
struct Rows {
    shape: Shape,
    window: [(usize, usize); 3],
    rotate: bool,
}

impl Rows {
    /// Where in the whole image the row begins that is kept as this one.
    fn start(&self, row: usize) -> usize {
        let [(first_z, _), (first_y, n_y), _] = self.window;
        let [_, y, x] = self.shape.image;
        let row_y = first_y + row % n_y;
        let row_y = if self.rotate { opposite(row_y, y) } else { row_y };
        ((first_z + row / n_y) * y + row_y) * x
    }
}

/// Pixel on the other side of the centre, len/2, of the transform.
fn opposite(pixel: usize, len: usize) -> usize {
    (2 * (len / 2) + len - pixel) % len
}
