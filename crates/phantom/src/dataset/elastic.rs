//! A smooth displacement on top of what the heart does.

use ndarray::{Array2, ArrayView2, ArrayViewMut3, s};
use num_complex::Complex32;

use super::draw::Draw;
use crate::raster::PixelGrid;

/// Steps of the inversion: each leaves less than half of the error.
const N_STEPS: usize = 12;

/// Change of a step after which it is done, px.
const TOLERANCE_PX: f32 = 5e-4;

/// Largest slope of the displacement along each axis: from ½ on it could fold.
const MAX_SLOPE: f64 = 0.4;

/// Where in a picture to look for what the deformed picture shows: a cubic B-spline with
/// control points some centimetres apart (Rueckert 1999), sampled at the centres of pixels and
/// bilinear in between.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Elastic {
    /// dy, px: `[y, x]`.
    dy: Array2<f32>,
    /// dx, px: `[y, x]`.
    dx: Array2<f32>,
}

impl Elastic {
    /// Draws one.
    ///
    /// * `amplitude_mm`: largest displacement of a control point along each axis; less where
    ///   control points are so close that the picture could fold.
    /// * `spacing_mm`: from one control point to the next.
    pub fn draw(draw: &mut Draw, grid: PixelGrid, amplitude_mm: f64, spacing_mm: f64) -> Self {
        // No slope of a cubic B-spline is steeper than 3/2 of the largest coefficient per spacing.
        let amplitude_mm = amplitude_mm.min(MAX_SLOPE / 1.5 * spacing_mm);
        let spacing_px = grid.pixel_mm().map(|pixel_mm| spacing_mm / pixel_mm);
        let n_points = [0, 1]
            .map(|axis| (grid.matrix_size[axis] as f64 / spacing_px[axis]).ceil() as usize + 4);
        let [x_weights, y_weights] =
            [0, 1].map(|axis| weights(grid.matrix_size[axis], spacing_px[axis], n_points[axis]));
        let mut component = |axis: usize| {
            let largest_px = amplitude_mm / grid.pixel_mm()[axis];
            let control = Array2::from_shape_simple_fn((n_points[1], n_points[0]), || {
                draw.between([-largest_px, largest_px]) as f32
            });
            y_weights.dot(&control).dot(&x_weights.t())
        };
        Self { dy: component(1), dx: component(0) }
    }

    /// The displacement at a place in pixels, (dy, dx). Beyond the edge that of the edge.
    fn at(&self, y: f32, x: f32) -> [f32; 2] {
        let (n_rows, n_columns) = self.dy.dim();
        let (row, down) = place(y, n_rows);
        let (column, right) = place(x, n_columns);
        let (below, beside) = ((row + 1).min(n_rows - 1), (column + 1).min(n_columns - 1));
        [&self.dy, &self.dx].map(|map| {
            let upper = map[[row, column]] * (1.0 - right) + map[[row, beside]] * right;
            let lower = map[[below, column]] * (1.0 - right) + map[[below, beside]] * right;
            upper * (1.0 - down) + lower * down
        })
    }

    /// Carries on a displacement field, `[2, y, x]` as (dy, dx), px: what it points at in the
    /// picture that is still to be deformed has moved.
    pub fn follow(&self, mut field: ArrayViewMut3<'_, f32>) {
        let (mut dy, mut dx) = field.multi_slice_mut((s![0, .., ..], s![1, .., ..]));
        for ((row, column), dy) in dy.indexed_iter_mut() {
            let dx = &mut dx[[row, column]];
            // z + w with w = −s(z + w), where s is the displacement of this picture.
            let (z_y, z_x) = (row as f32 + *dy, column as f32 + *dx);
            let (mut w_y, mut w_x) = (0.0, 0.0);
            for _ in 0..N_STEPS {
                let [s_y, s_x] = self.at(z_y + w_y, z_x + w_x);
                let change = (w_y + s_y).abs().max((w_x + s_x).abs());
                (w_y, w_x) = (-s_y, -s_x);
                if change < TOLERANCE_PX {
                    break;
                }
            }
            *dy += w_y;
            *dx += w_x;
        }
    }

    /// The picture, deformed.
    ///
    /// * `picture`: `[y, x]`, `refinement` times as many pixels along each axis as the grid.
    pub fn deform(
        &self,
        picture: ArrayView2<'_, Complex32>,
        refinement: usize,
    ) -> Array2<Complex32> {
        let (n_rows, n_columns) = picture.dim();
        let pixels = picture.to_slice().expect("a picture without gaps");
        let (map_rows, map_columns) = self.dy.dim();
        // The displacement is linear between two rows of the map and between two columns.
        let rows = places(n_rows, map_rows, refinement);
        let columns = places(n_columns, map_columns, refinement);
        let mut deformed = Array2::zeros((n_rows, n_columns));
        let mut between = [(); 2].map(|()| vec![0.0; map_columns + 1]);
        for (row, (mut target, (upper, down))) in
            deformed.rows_mut().into_iter().zip(rows).enumerate()
        {
            let lower = (upper + 1).min(map_rows - 1);
            for (line, map) in between.iter_mut().zip([&self.dy, &self.dx]) {
                let pairs = map.row(upper).into_iter().zip(map.row(lower));
                for (value, (a, b)) in line.iter_mut().zip(pairs) {
                    *value = refinement as f32 * (a * (1.0 - down) + b * down);
                }
                // Beyond the edge that of the edge.
                line[map_columns] = line[map_columns - 1];
            }
            let [dy, dx] = &between;
            for (column, (pixel, &(left, right))) in target.iter_mut().zip(&columns).enumerate() {
                let at = |line: &[f32]| line[left] * (1.0 - right) + line[left + 1] * right;
                let (y, x) = (row as f32 + at(dy), column as f32 + at(dx));
                *pixel = sample(pixels, [n_rows, n_columns], y, x);
            }
        }
        deformed
    }
}

/// For each of `n` fine pixels the pixel of a map of `n_map` before it and the way on.
fn places(n: usize, n_map: usize, refinement: usize) -> Vec<(usize, f32)> {
    let at = |fine: usize| {
        (fine as f32 - (n / 2) as f32) / refinement as f32 + (n / refinement / 2) as f32
    };
    (0..n).map(|fine| place(at(fine), n_map)).collect()
}

/// A picture between its pixels, 0 outside (Keys 1981).
fn sample(pixels: &[Complex32], [n_rows, n_columns]: [usize; 2], y: f32, x: f32) -> Complex32 {
    let (top, left) = (y.floor(), x.floor());
    let (y_taps, x_taps) = (cubic(y - top), cubic(x - left));
    let (top, left) = (top as isize - 1, left as isize - 1);
    let is_inside = |at: isize, n: usize| (0..n as isize).contains(&at);
    if is_inside(top, n_rows - 3) && is_inside(left, n_columns - 3) {
        let block = &pixels[top as usize * n_columns + left as usize..];
        let mut sum = Complex32::ZERO;
        for (line, y_weight) in block.chunks(n_columns).zip(y_taps) {
            let [a, b, c, d] = line[..4] else { unreachable!("four of them") };
            let [p, q, r, s] = x_taps;
            sum += (a * p + b * q + c * r + d * s) * y_weight;
        }
        return sum;
    }
    let mut sum = Complex32::ZERO;
    for (row, y_weight) in (top..).zip(y_taps).filter(|(row, _)| is_inside(*row, n_rows)) {
        for (column, x_weight) in (left..).zip(x_taps) {
            if is_inside(column, n_columns) {
                sum += pixels[row as usize * n_columns + column as usize] * (y_weight * x_weight);
            }
        }
    }
    sum
}

/// Index of the sample before a place and the way on to the next, kept inside.
fn place(at: f32, n: usize) -> (usize, f32) {
    let at = at.clamp(0.0, (n - 1) as f32);
    let index = at as usize;
    (index, at - index as f32)
}

/// Weights of the four samples around a place, `t` behind the second.
fn cubic(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        -0.5 * t + t2 - 0.5 * t3,
        1.0 - 2.5 * t2 + 1.5 * t3,
        0.5 * t + 2.0 * t2 - 1.5 * t3,
        -0.5 * t2 + 0.5 * t3,
    ]
}

/// Values of the B-splines of all control points at the pixels: `[pixel, point]`.
fn weights(n_pixels: usize, spacing_px: f64, n_points: usize) -> Array2<f32> {
    let mut weights = Array2::zeros((n_pixels, n_points));
    for pixel in 0..n_pixels {
        let at = pixel as f64 / spacing_px;
        let t = at.fract();
        let u = 1.0 - t;
        let values = [
            u * u * u / 6.0,
            (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
            (3.0 * u * u * u - 6.0 * u * u + 4.0) / 6.0,
            t * t * t / 6.0,
        ];
        for (point, value) in (at as usize..).zip(values) {
            weights[[pixel, point]] = value as f32;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    const GRID: PixelGrid = PixelGrid { matrix_size: [96, 80], field_of_view_mm: [192.0, 160.0] };

    fn some() -> Elastic {
        Elastic::draw(&mut Draw::new(3, b"elastic.", 5), GRID, 4.0, 30.0)
    }

    #[test]
    fn it_is_as_large_as_asked_for_and_smooth() {
        let elastic = some();
        let largest = elastic.dy.iter().chain(&elastic.dx).fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!((0.5..2.0).contains(&largest), "{largest}");
        for map in [&elastic.dy, &elastic.dx] {
            for row in map.rows() {
                // Twice 4 mm per 30 mm.
                assert!(row.windows(2).into_iter().all(|w| (w[1] - w[0]).abs() < 0.27));
            }
        }
        let tight = Elastic::draw(&mut Draw::new(3, b"elastic.", 5), GRID, 40.0, 20.0);
        let slope = tight.dx.rows().into_iter().flat_map(|row| {
            row.windows(2).into_iter().map(|w| (w[1] - w[0]).abs()).collect::<Vec<_>>()
        });
        assert!(slope.fold(0.0, f32::max) < 0.45);
    }

    #[test]
    fn a_deformed_picture_looks_as_the_field_says() {
        let elastic = some();
        let refinement = 2;
        // A smooth picture, so that looking it up costs nothing.
        let value = |y: f32, x: f32| Complex32::new((0.11 * y).sin() + (0.09 * x).cos(), 0.02 * x);
        let fine = Array2::from_shape_fn((160, 192), |(row, column)| {
            value(0.5 * row as f32, 0.5 * column as f32)
        });
        let deformed = elastic.deform(fine.view(), refinement);
        let mut field = Array3::zeros((2, 80, 96));
        elastic.follow(field.view_mut());
        for row in 10..70 {
            for column in 10..86 {
                // Where the picture's pixel has gone in the deformed one.
                let y = 2.0 * (row as f32 + field[[0, row, column]]);
                let x = 2.0 * (column as f32 + field[[1, row, column]]);
                let (top, left) = (y.floor(), x.floor());
                let (ys, xs) = (cubic(y - top), cubic(x - left));
                let mut sum = Complex32::ZERO;
                for (j, wy) in ys.iter().enumerate() {
                    for (i, wx) in xs.iter().enumerate() {
                        sum += deformed[[top as usize + j - 1, left as usize + i - 1]] * wx * wy;
                    }
                }
                let expected = value(row as f32, column as f32);
                assert!((sum - expected).norm() < 2e-3, "{row} {column}: {sum} {expected}");
            }
        }
    }

    #[test]
    fn the_taps_add_up_to_one() {
        for t in [0.0, 0.3, 0.99] {
            assert!((cubic(t).iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        let weights = weights(50, 7.3, 12);
        assert!(weights.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-6));
    }
}
