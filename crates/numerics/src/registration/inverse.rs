//! Fields the other way.

use ndarray::{Array3, Array4, ArrayView4, Axis};

use super::field::Field;
use crate::plane::Size;

/// Where the reference shows what an image shows in a pixel, from where the image shows what the
/// reference does: both `[frame, 2, y, x]` as (dy, dx), px.
///
/// # Panics
/// If there are not two components.
pub fn inverse_fields(fields: ArrayView4<'_, f32>) -> Array4<f32> {
    let (_, n_components, n_y, n_x) = fields.dim();
    assert_eq!(n_components, 2, "components of the fields");
    let mut result = Array4::zeros(fields.raw_dim());
    for (mut result, field) in result.outer_iter_mut().zip(fields.outer_iter()) {
        let [dy, dx] = [0, 1].map(|axis| field.index_axis(Axis(0), axis).iter().copied().collect());
        let Field { dy, dx, .. } = Field { size: Size { n_y, n_x }, dy, dx }.inverse();
        let values = dy.into_iter().chain(dx).collect();
        if let Ok(inverse) = Array3::from_shape_vec((2, n_y, n_x), values) {
            result.assign(&inverse);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_is_where_one_was() {
        let fields = Array4::from_shape_fn((1, 2, 30, 26), |(_, axis, y, x)| {
            let (y, x) = (y as f32 - 15.0, x as f32 - 13.0);
            [3.0, -1.5][axis] * (-(y * y + x * x) / 90.0).exp()
        });
        let back = inverse_fields(fields.view());
        for y in 8..22 {
            for x in 7..19 {
                let [dy, dx] = [0, 1].map(|axis| back[[0, axis, y, x]]);
                // Between pixels by the formula itself.
                let (fy, fx) = (y as f32 + dy - 15.0, x as f32 + dx - 13.0);
                let there = (-(fy * fy + fx * fx) / 90.0).exp();
                let off = (dy + 3.0 * there).hypot(dx - 1.5 * there);
                assert!(off < 0.05, "{y} {x}: {off}");
            }
        }
    }
}
