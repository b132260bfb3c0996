//! Which region each pixel of a grid lies in, row by row.

use ndarray::Array2;
use rayon::prelude::*;

use crate::anatomy::Region;
use crate::raster::PixelGrid;

/// In place of the index of a region.
pub(crate) const AIR: u16 = u16::MAX;

/// Index of the innermost region at the centre of each pixel, [`AIR`] where there is none:
/// `[y, x]`.
pub(crate) fn region_indices(regions: &[Region], grid: PixelGrid) -> Array2<u16> {
    let interiors: Vec<Interior> = regions.iter().map(Interior::new).collect();
    let (x_mm, y_mm) = (grid.x_mm(), grid.y_mm());
    let mut indices = Array2::from_elem(grid.shape(), AIR);
    let rows = indices.as_slice_mut().expect("a new array is contiguous");
    rows.par_chunks_mut(x_mm.len()).zip(&y_mm).for_each(|(indices, &y_mm)| {
        for (index, interior) in interiors.iter().enumerate() {
            // Parents come first, so what they surround is painted over them.
            if let Some([first, end]) = columns(interior, &x_mm, y_mm) {
                indices[first..end].fill(index as u16);
            }
        }
    });
    indices
}

/// The columns whose centres lie in an ellipse, as the first one and the one after the last.
fn columns(interior: &Interior, x_mm: &[f64], y_mm: f64) -> Option<[usize; 2]> {
    let [left_mm, right_mm] = interior.span_mm(y_mm)?;
    let mut first = x_mm.partition_point(|&x| x < left_mm);
    let mut end = x_mm.partition_point(|&x| x <= right_mm);
    // A centre right on the edge falls to the side that the ellipse itself says.
    let contains = |column: usize| interior.contains(x_mm[column], y_mm);
    while first > 0 && contains(first - 1) {
        first -= 1;
    }
    while first < end && !contains(first) {
        first += 1;
    }
    while end < x_mm.len() && contains(end) {
        end += 1;
    }
    while end > first && !contains(end - 1) {
        end -= 1;
    }
    (first < end).then_some([first, end])
}

/// An ellipse whose sine and cosine are known, because a picture asks it often.
struct Interior {
    center_mm: [f64; 2],
    /// Unit vectors along the axes over the axes' lengths.
    axes: [[f64; 2]; 2],
}

impl Interior {
    fn new(region: &Region) -> Self {
        let ellipse = &region.ellipse;
        let (sin, cos) = ellipse.angle_rad.sin_cos();
        let [a, b] = ellipse.semi_axes_mm;
        Self { center_mm: ellipse.center_mm, axes: [[cos / a, sin / a], [-sin / b, cos / b]] }
    }

    fn contains(&self, x_mm: f64, y_mm: f64) -> bool {
        let (x, y) = (x_mm - self.center_mm[0], y_mm - self.center_mm[1]);
        let [u, v] = self.axes.map(|axis| axis[0] * x + axis[1] * y);
        u * u + v * v <= 1.0
    }

    /// Where a row enters and leaves the ellipse.
    fn span_mm(&self, y_mm: f64) -> Option<[f64; 2]> {
        // u² + v² = 1 is a quadratic equation in x.
        let [[ax, ay], [bx, by]] = self.axes;
        let y = y_mm - self.center_mm[1];
        let square = ax * ax + bx * bx;
        let half_linear = (ax * ay + bx * by) * y;
        let constant = (ay * ay + by * by) * y * y - 1.0;
        let discriminant = half_linear * half_linear - square * constant;
        // Of a row that just touches, rounding decides; `contains` has the last word.
        let root = discriminant.max(0.0).sqrt();
        (discriminant > -1e-12).then(|| {
            [-1.0, 1.0].map(|sign| self.center_mm[0] + (sign * root - half_linear) / square)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::{ShortAxisOptions, short_axis};
    use crate::motion::Pose;

    #[test]
    fn each_pixel_has_the_innermost_region_at_its_centre() {
        let anatomy = short_axis(&ShortAxisOptions::default()).expect("options");
        let pose = Pose { shift_mm: [1.0, 3.0], rotation_rad: 0.1, endocardial_scale: 0.8 };
        for anatomy in [anatomy.posed(&pose), anatomy] {
            for matrix_size in [[181, 90], [64, 257], [1, 3]] {
                let grid = PixelGrid { matrix_size, field_of_view_mm: [360.0, 270.0] };
                let indices = region_indices(&anatomy.regions, grid);
                let (x_mm, y_mm) = (grid.x_mm(), grid.y_mm());
                for ((row, column), &index) in indices.indexed_iter() {
                    let expected = anatomy.region_at(x_mm[column], y_mm[row]);
                    let index = (index != u16::MAX).then_some(usize::from(index));
                    assert_eq!(index, expected, "{row} {column}");
                }
            }
        }
    }
}
