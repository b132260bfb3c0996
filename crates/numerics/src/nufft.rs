//! Fourier transforms between images and samples anywhere in k-space.
//!
//! Signs, centre and scale are those of [`crate::fft`]: a trajectory that visits the points of
//! the Cartesian grid gives its result.
//!
//! forward: y\[j\] = 1/√(N_y·N_x) · Σ x\[n_y, n_x\] · exp(−2πi (k_x·(n_x − c_x)/N_x + k_y·(n_y − c_y)/N_y)),
//! c = ⌊N/2⌋, k in cycles per field of view: −N/2 to N/2 is what the image can tell. Beyond,
//! the sum is periodic. The adjoint is the conjugate transpose, without density compensation.
//!
//! # Method
//! The image is divided by the transform of a Kaiser-Bessel kernel, transformed onto a finer grid
//! and read with the kernel; the adjoint goes the other way. Samples are sorted into tiles of the
//! grid, channels lie side by side in each cell.
//!
//! # Source
//! Beatty, Nishimura and Pauly 2005; Fessler and Sutton 2003.

mod density;
mod kernel;
mod places;
mod sense;
mod spread;
#[cfg(test)]
mod tests;
mod toeplitz;
mod transform;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3};
use num_complex::Complex32;
use rayon::prelude::*;

use kernel::Kernel;
use places::{Grid, Places};
pub use sense::{SenseOptions, SenseReport, cg_sense};
pub use toeplitz::Toeplitz;
use transform::{AxisTransform, GridTransform};

/// Longest side of an image.
pub const MAX_PIXELS: usize = 4096;

/// Most samples of a trajectory.
const MAX_SAMPLES: usize = 1 << 28;

/// What accuracy costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Taps of the kernel along each axis, 4 to 6.
    pub width: usize,
    /// Cells of the grid per pixel, 1.25 to 2.5. The grid is made a little larger where that
    /// makes its transform faster.
    pub oversampling: f64,
}

impl Options {
    /// Relative error below 10⁻³: enough for images.
    pub const fn fast() -> Self {
        Self { width: 4, oversampling: 2.0 }
    }

    /// Relative error below 10⁻⁵.
    pub const fn accurate() -> Self {
        Self { width: 6, oversampling: 2.0 }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::fast()
    }
}

/// A trajectory or size that no plan can be made for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// An image without pixels or a very large one.
    #[error("an image of {0} × {1} pixels (x × y), expected 1 to {MAX_PIXELS} along each axis")]
    ImageSize(usize, usize),
    /// More samples than an index holds.
    #[error("a trajectory of {0} samples, at most {MAX_SAMPLES} are taken")]
    TooManySamples(usize),
    /// Not a place in k-space.
    #[error("sample {sample} of the trajectory is not a finite number")]
    NotFinite {
        /// Its index.
        sample: usize,
    },
    /// Options outside their range.
    #[error("a kernel of {0} taps and an oversampling of {1}, expected 4 to 6 and 1.25 to 2.5")]
    Options(usize, f64),
}

/// Transform between images of one size and the samples of one trajectory.
///
/// Shared between threads. Batches are spread over the current rayon pool, as is the work within
/// a few channels; the number of threads changes no bit.
pub struct Nufft {
    image: [usize; 2],
    n_samples: usize,
    width: usize,
    grid: Grid,
    places: Places,
    transform: GridTransform,
    /// Integral of the kernel along y and x, cells.
    kernel_integral: [f64; 2],
    /// Memory of finished transforms.
    rooms: Mutex<Vec<Room>>,
}

/// What a transform of some channels works in.
#[derive(Default)]
struct Room {
    cells: Vec<f32>,
    between: Vec<Complex32>,
    samples: Vec<f32>,
}

impl Room {
    fn resize(&mut self, n_cells: usize, n_between: usize, n_samples: usize) {
        self.cells.resize(n_cells, 0.0);
        self.between.resize(n_between, Complex32::ZERO);
        self.samples.resize(n_samples, 0.0);
    }
}

/// Calls a function with the width and the numbers per cell as constants.
macro_rules! with_constants {
    ($width:expr, $numbers:expr, |$w:ident, $l:ident| $call:expr) => {
        with_constants!(@width $width, $numbers, $w, $l, $call, 4 5 6)
    };
    (@width $width:expr, $numbers:expr, $w:ident, $l:ident, $call:expr, $($value:literal)*) => {
        match $width {
            $($value => {
                const $w: usize = $value;
                match $numbers {
                    2 => { const $l: usize = 2; $call }
                    4 => { const $l: usize = 4; $call }
                    _ => { const $l: usize = 8; $call }
                }
            })*
            width => unreachable!("a width of {width} is refused by `Nufft::new`"),
        }
    };
}

impl Nufft {
    /// Channels that share a grid.
    const CHANNELS: usize = 4;

    /// Plans the transform.
    ///
    /// * `image`: pixels along y and x.
    /// * `trajectory`: `[kx, ky]` of each sample, cycles per field of view.
    ///
    /// # Errors
    /// [`Error`] for sizes, options and places outside their range.
    pub fn new(
        image: [usize; 2],
        trajectory: &[[f32; 2]],
        options: Options,
    ) -> Result<Self, Error> {
        if image.iter().any(|n| !(1..=MAX_PIXELS).contains(n)) {
            return Err(Error::ImageSize(image[1], image[0]));
        }
        if trajectory.len() > MAX_SAMPLES {
            return Err(Error::TooManySamples(trajectory.len()));
        }
        let Options { width, oversampling } = options;
        if !(4..=6).contains(&width) || !(1.25..=2.5).contains(&oversampling) {
            return Err(Error::Options(width, oversampling));
        }
        let size = image.map(|n| grid_size(oversampling * n as f64, 2 * width));
        let kernels = [0, 1].map(|axis| Kernel::new(width, size[axis] as f64 / image[axis] as f64));
        let grid = Grid::new(size, width);
        let places = with_constants!(width, 2, |W, _L| {
            Places::new::<W>(trajectory, image, &grid, &kernels)
        })?;
        let [y, x] = [0, 1].map(|axis| AxisTransform::new(image[axis], size[axis], &kernels[axis]));
        Ok(Self {
            image,
            n_samples: trajectory.len(),
            width,
            grid,
            places,
            transform: GridTransform { y, x, grid },
            kernel_integral: [0, 1].map(|axis| kernels[axis].transform(0.0)),
            rooms: Mutex::default(),
        })
    }

    /// Pixels along y and x.
    pub fn image_size(&self) -> [usize; 2] {
        self.image
    }

    /// Samples of the trajectory.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Type 2: the samples of images.
    ///
    /// * `images`: `[channel, y, x]`.
    /// * `samples`: `[channel, sample]`, overwritten.
    ///
    /// # Panics
    /// If shapes are not the plan's or differ in the number of channels.
    pub fn forward(
        &self,
        images: ArrayView3<'_, Complex32>,
        mut samples: ArrayViewMut2<'_, Complex32>,
    ) {
        self.check(images.dim(), samples.dim());
        if samples.is_empty() {
            return;
        }
        let images = images.as_standard_layout();
        let pixels: &[Complex32] = images.as_slice().unwrap_or_default();
        let pixels: Vec<_> = pixels.chunks_exact(self.image[0] * self.image[1]).collect();
        let mut targets: Vec<_> = samples.outer_iter_mut().collect();
        targets.par_chunks_mut(Self::CHANNELS).zip(pixels.par_chunks(Self::CHANNELS)).for_each(
            |(targets, images)| {
                let mut room = self.room();
                with_constants!(self.width, numbers_per_cell(images.len()), |W, L| {
                    room.resize(
                        self.grid.n_padded() * L,
                        self.transform.between_len(images.len()),
                        self.n_samples * L,
                    );
                    let Room { cells, between, samples } = &mut room;
                    self.transform.grid::<L>(images, between, cells);
                    let (samples, _) = samples.as_chunks_mut::<L>();
                    spread::gather::<W, L>(&self.places, &self.grid, cells, samples);
                    for (channel, target) in targets.iter_mut().enumerate() {
                        for (target, rank) in target.iter_mut().zip(&self.places.rank) {
                            let value = &samples[*rank as usize];
                            *target = Complex32::new(value[2 * channel], value[2 * channel + 1]);
                        }
                    }
                });
                self.keep(room);
            },
        );
    }

    /// Type 1: the conjugate transpose of [`Nufft::forward`].
    ///
    /// * `samples`: `[channel, sample]`.
    /// * `images`: `[channel, y, x]`, overwritten.
    ///
    /// # Panics
    /// As [`Nufft::forward`].
    pub fn adjoint(
        &self,
        samples: ArrayView2<'_, Complex32>,
        images: ArrayViewMut3<'_, Complex32>,
    ) {
        self.weighted_adjoint(samples, None, images);
    }

    /// [`Nufft::adjoint`] of samples times `weights`.
    ///
    /// # Panics
    /// As [`Nufft::forward`], and if there are not as many weights as samples.
    pub fn weighted_adjoint(
        &self,
        samples: ArrayView2<'_, Complex32>,
        weights: Option<&[f32]>,
        mut images: ArrayViewMut3<'_, Complex32>,
    ) {
        self.check(images.dim(), samples.dim());
        if let Some(weights) = weights {
            assert_eq!(weights.len(), self.n_samples, "weights of the trajectory");
        }
        if images.is_empty() {
            return;
        }
        let samples = samples.as_standard_layout();
        let values: &[Complex32] = samples.as_slice().unwrap_or_default();
        let n_pixels = self.image[0] * self.image[1];
        let write = |pixels: &mut [Complex32]| {
            let mut targets: Vec<_> = pixels.chunks_exact_mut(n_pixels).collect();
            targets.par_chunks_mut(Self::CHANNELS).enumerate().for_each(|(group, images)| {
                let first = group * Self::CHANNELS * self.n_samples;
                let values = &values[first..first + images.len() * self.n_samples];
                let mut room = self.room();
                with_constants!(self.width, numbers_per_cell(images.len()), |W, L| {
                    let between_len = self.transform.between_len(images.len());
                    room.resize(self.grid.n_padded() * L, between_len, 0);
                    let Room { cells, between, .. } = &mut room;
                    cells.fill(0.0);
                    let value = |sample: usize| {
                        let weight = weights.map_or(1.0, |weights| weights[sample]);
                        let mut value = [0.0_f32; L];
                        let (pairs, _) = value.as_chunks_mut::<2>();
                        let channels = values.chunks_exact(self.n_samples);
                        for (pair, channel) in pairs.iter_mut().zip(channels) {
                            let sample = channel[sample] * weight;
                            *pair = [sample.re, sample.im];
                        }
                        value
                    };
                    spread::spread::<W, L>(&self.places, &self.grid, cells, &value);
                    self.transform.images::<L>(cells, between, images);
                });
                self.keep(room);
            });
        };
        if let Some(pixels) = images.as_slice_mut() {
            write(pixels);
        } else {
            let mut copy = images.as_standard_layout().into_owned();
            if let Some(pixels) = copy.as_slice_mut() {
                write(pixels);
            }
            images.assign(&copy);
        }
    }

    /// Puts values onto the grid and reads it at the samples: Σ_j value_j · (kernel ∗ kernel)
    /// between each sample and the others, without any transform.
    ///
    /// # Panics
    /// If there are not as many values as samples.
    fn neighbourhood(&self, values: &[f32]) -> Vec<f32> {
        assert_eq!(values.len(), self.n_samples, "values of the trajectory");
        let mut room = self.room();
        let mut sums = vec![0.0; self.n_samples];
        with_constants!(self.width, 2, |W, L| {
            room.resize(self.grid.n_padded() * L, 0, self.n_samples * L);
            let Room { cells, samples, .. } = &mut room;
            cells.fill(0.0);
            let value = |sample: usize| {
                let mut value = [0.0_f32; L];
                value[0] = values[sample];
                value
            };
            spread::spread::<W, L>(&self.places, &self.grid, cells, &value);
            self.transform.wrap::<L>(cells);
            let (samples, _) = samples.as_chunks_mut::<L>();
            spread::gather::<W, L>(&self.places, &self.grid, cells, samples);
            for (sum, rank) in sums.iter_mut().zip(&self.places.rank) {
                *sum = samples[*rank as usize][0];
            }
        });
        self.keep(room);
        sums
    }

    /// The integral of what [`Nufft::neighbourhood`] adds up, in cells of one cycle per field of
    /// view.
    fn neighbourhood_area(&self) -> f64 {
        let axis = |axis: usize| {
            self.kernel_integral[axis].powi(2) * self.image[axis] as f64
                / self.grid.size[axis] as f64
        };
        axis(0) * axis(1)
    }

    fn check(&self, images: (usize, usize, usize), samples: (usize, usize)) {
        let [n_y, n_x] = self.image;
        assert_eq!((images.1, images.2), (n_y, n_x), "size of the images and of the plan");
        assert_eq!(samples.1, self.n_samples, "samples of the data and of the plan");
        assert_eq!(images.0, samples.0, "channels of images and samples");
    }

    fn room(&self) -> Room {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn keep(&self, room: Room) {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).push(room);
    }
}

impl fmt::Debug for Nufft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nufft")
            .field("image", &self.image)
            .field("n_samples", &self.n_samples)
            .field("width", &self.width)
            .field("grid", &self.grid.size)
            .finish_non_exhaustive()
    }
}

fn numbers_per_cell(n_channels: usize) -> usize {
    match n_channels {
        0 | 1 => 2,
        2 => 4,
        _ => 8,
    }
}

/// The smallest even product of 2, 3 and 5 that is not below either limit.
fn grid_size(at_least: f64, or: usize) -> usize {
    let at_least = ((at_least - 1e-9).ceil() as usize).max(or);
    let mut best = at_least.next_power_of_two();
    let mut fives = 2;
    while fives < best {
        let mut threes = fives;
        while threes < best {
            let mut size = threes;
            while size < at_least {
                size *= 2;
            }
            best = best.min(size);
            threes *= 3;
        }
        fives *= 5;
    }
    best
}
