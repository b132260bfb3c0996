//! A smooth factor over the picture.

use std::f64::consts::PI;

use ndarray::Array2;

use crate::anatomy::random::{Random, RandomOptions};
use crate::raster::PixelGrid;

/// Highest number of half waves over the field of view, along x and y together.
const ORDER: usize = 2;

/// A factor that changes slowly over the picture: exp(Σ c\[q, p\] cos(πp u) cos(πq v)), with u
/// and v from 0 at the left and upper edge of a field of view to 1 at the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BiasField {
    /// \[half waves along y, half waves along x\]; 0 for more than 2 in all.
    pub coefficients: [[f64; ORDER + 1]; ORDER + 1],
    /// Where u and v go from 0 to 1 \[x, y\], around the origin, mm.
    pub field_of_view_mm: [f64; 2],
}

impl BiasField {
    /// The factor at \[x, y\].
    pub fn value(&self, point_mm: [f64; 2]) -> f64 {
        let [u, v] = [0, 1].map(|axis| point_mm[axis] / self.field_of_view_mm[axis] + 0.5);
        let mut exponent = 0.0;
        for (q, row) in self.coefficients.iter().enumerate() {
            for (p, coefficient) in row.iter().enumerate() {
                exponent += coefficient * (PI * p as f64 * u).cos() * (PI * q as f64 * v).cos();
            }
        }
        exponent.exp()
    }

    /// The factor at the centres of the pixels: `[y, x]`.
    pub fn on_grid(&self, grid: PixelGrid) -> Array2<f32> {
        let (x_mm, y_mm) = (grid.x_mm(), grid.y_mm());
        Array2::from_shape_fn(grid.shape(), |(row, column)| {
            self.value([x_mm[column], y_mm[row]]) as f32
        })
    }

    /// Coefficients whose sizes add up to the amplitude of the options at most.
    pub(super) fn draw(random: &mut Random, options: &RandomOptions) -> Self {
        let mut coefficients = [[0.0; ORDER + 1]; ORDER + 1];
        for (q, row) in coefficients.iter_mut().enumerate() {
            for (p, coefficient) in row.iter_mut().enumerate() {
                if (1..=ORDER).contains(&(p + q)) {
                    *coefficient = random.between(-1.0, 1.0);
                }
            }
        }
        let sum: f64 = coefficients.iter().flatten().map(|c| c.abs()).sum();
        let scale = options.bias_amplitude * random.between(0.0, 1.0) / sum.max(1e-9);
        let coefficients = coefficients.map(|row| row.map(|c| c * scale));
        Self { coefficients, field_of_view_mm: options.field_of_view_mm }
    }
}
