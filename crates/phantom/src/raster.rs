//! Ellipses on a grid of pixels, without k-space.

mod band_limited;
mod coverage;

pub use band_limited::band_limited;
pub use coverage::Coverage;

use ndarray::Array2;
use num_complex::{Complex32, Complex64};

use crate::object::Component;

/// The pixels of an image. The origin is at the centre of pixel N/2 (rounded down) of each
/// axis; x points right and y down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelGrid {
    /// Pixels \[x, y\].
    pub matrix_size: [usize; 2],
    /// Extent \[x, y\], mm.
    pub field_of_view_mm: [f64; 2],
}

impl PixelGrid {
    /// Size \[x, y\] of a pixel, mm.
    pub fn pixel_mm(&self) -> [f64; 2] {
        [0, 1].map(|axis| self.field_of_view_mm[axis] / self.matrix_size[axis] as f64)
    }

    /// Centres of the columns, mm.
    pub fn x_mm(&self) -> Vec<f64> {
        self.centers_mm(0)
    }

    /// Centres of the rows, mm.
    pub fn y_mm(&self) -> Vec<f64> {
        self.centers_mm(1)
    }

    /// `[y, x]`.
    pub fn shape(&self) -> (usize, usize) {
        (self.matrix_size[1], self.matrix_size[0])
    }

    /// The grid with `factor` times as many pixels along each axis over the same extent.
    #[must_use]
    pub fn refined(&self, factor: usize) -> Self {
        Self { matrix_size: self.matrix_size.map(|n| n * factor), ..*self }
    }

    fn centers_mm(&self, axis: usize) -> Vec<f64> {
        let n = self.matrix_size[axis];
        let pixel_mm = self.pixel_mm()[axis];
        (0..n).map(|i| (i as f64 - (n / 2) as f64) * pixel_mm).collect()
    }
}

/// Picture of a sum of ellipses: `[y, x]`. A pixel on an edge gets as much as the ellipse
/// covers of its area.
///
/// It is sharper than what a scan of this grid can show: see [`band_limited`].
pub fn rasterise(components: &[Component], grid: PixelGrid) -> Array2<Complex32> {
    let mut image = Array2::zeros(grid.shape());
    for part in components {
        Coverage::new(&part.ellipse, grid).add_to(image.view_mut(), part.amplitude);
    }
    image
}

/// [`rasterise`] of shapes whose coverage is known: frames of a series that differ in contrast
/// only.
///
/// # Panics
/// If there is not one amplitude per shape, or they are on another grid.
pub fn rasterise_shapes(
    shapes: &[Coverage],
    amplitudes: &[Complex64],
    grid: PixelGrid,
) -> Array2<Complex32> {
    assert_eq!(shapes.len(), amplitudes.len(), "one amplitude per shape");
    let mut image = Array2::zeros(grid.shape());
    for (shape, amplitude) in shapes.iter().zip(amplitudes) {
        shape.add_to(image.view_mut(), *amplitude);
    }
    image
}
