//! What lies in the scanner at one moment, as k-space sees it.

use ndarray::Array2;
use num_complex::{Complex32, Complex64};

use crate::ellipse::Ellipse;

/// An ellipse and what it adds to the signal inside it. Components that overlap add up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Component {
    /// Where.
    pub ellipse: Ellipse,
    /// How much.
    pub amplitude: Complex64,
}

/// An object in one slice.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A sum of ellipses: its k-space is known exactly anywhere.
    Ellipses(Vec<Component>),
    /// Pixels much smaller than those of the scan, for what no ellipse describes.
    Pixels(PixelObject),
}

/// An object given by its values on a fine grid.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelObject {
    /// Signal: `[y, x]`; the origin is at pixel N/2 of each axis. In k-space each pixel is a
    /// point of its area.
    pub values: Array2<Complex32>,
    /// Extent \[x, y\] of all pixels, mm.
    pub field_of_view_mm: [f64; 2],
}

impl PixelObject {
    /// Extent \[x, y\] of a pixel, mm.
    pub fn pixel_mm(&self) -> [f64; 2] {
        let (n_y, n_x) = self.values.dim();
        let [x_mm, y_mm] = self.field_of_view_mm;
        [x_mm / n_x as f64, y_mm / n_y as f64]
    }
}
