//! K-space of an object as coils see it, exact up to rounding: on the grid of a Cartesian scan
//! and at any other points.
//!
//! # Scale
//! The spectrum in mm² times Δkx·Δky·√(samples · lines) of a [`CartesianGrid`]: the unitary
//! inverse transform of all its lines and samples has the object's own intensities times the
//! sensitivity.

mod cartesian;
#[cfg(test)]
mod direct;
mod fourier;
mod pixel_points;
mod pixels;
mod points;
mod refined;
mod shapes;

pub use cartesian::CartesianSampler;
pub use points::PointSampler;
pub use shapes::Shapes;

/// Where a two-dimensional Cartesian scan samples k-space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CartesianGrid {
    /// Pixels \[x, y\] of the image without oversampling.
    pub matrix_size: [usize; 2],
    /// Extent \[x, y\] of this image, mm.
    pub field_of_view_mm: [f64; 2],
    /// Samples of a readout over pixels along x.
    pub readout_oversampling: usize,
}

impl CartesianGrid {
    /// Samples of a readout.
    pub fn n_samples(&self) -> usize {
        self.matrix_size[0] * self.readout_oversampling
    }

    /// Lines, which is pixels along y.
    pub fn n_lines(&self) -> usize {
        self.matrix_size[1]
    }

    /// From one sample and from one line to the next, cycles per mm: \[Δkx, Δky\].
    pub fn steps_per_mm(&self) -> [f64; 2] {
        let [x_mm, y_mm] = self.field_of_view_mm;
        [1.0 / (x_mm * self.readout_oversampling as f64), 1.0 / y_mm]
    }

    /// Place in k-space of a sample of a line, cycles per mm: the centre is at sample
    /// `n_samples()/2` of line `n_lines()/2`.
    pub fn k_per_mm(&self, line: usize, sample: usize) -> [f64; 2] {
        let [dkx, dky] = self.steps_per_mm();
        let from_center = |n: usize, of: usize| n as f64 - (of / 2) as f64;
        [from_center(sample, self.n_samples()) * dkx, from_center(line, self.n_lines()) * dky]
    }

    /// What a spectrum in mm² is multiplied by.
    pub(crate) fn scale(&self) -> f64 {
        let [dkx, dky] = self.steps_per_mm();
        dkx * dky * ((self.n_samples() * self.n_lines()) as f64).sqrt()
    }
}
