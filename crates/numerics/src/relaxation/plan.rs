//! What depends on the times of a series only.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};
use rayon::prelude::*;

use super::fit::{PixelFit, RelaxationFit};
use super::model::{Model, SearchRange};
use super::refine::refine;
use super::search::{LANES, Table};
use super::uncertainty::{describe, residual_sd};

/// Pixels of a task: a multiple of [`LANES`].
const TASK_PIXELS: usize = 16 * LANES;

/// Whether the signs of the signals are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Polarity {
    /// The samples have their signs.
    #[default]
    Signed,
    /// The samples are magnitudes: those before the zero crossing are made negative, wherever it
    /// fits best (Nekolla et al. 1992).
    Magnitude,
}

/// Where the standard deviation of the noise in a sample comes from.
#[derive(Clone, Copy, Debug, Default)]
pub enum Noise<'a> {
    /// From the residuals of the pixel: the median of their magnitudes without the p − 1 smallest,
    /// over 0.6745 (Kellman, Arai, Xue 2013).
    #[default]
    Residuals,
    /// The same everywhere.
    Known(f32),
    /// Of each pixel: `[y, x]`.
    Map(ArrayView2<'a, f32>),
}

/// How a series is fitted.
#[derive(Clone, Copy, Debug, Default)]
pub struct FitOptions<'a> {
    /// Whether signs are known.
    pub polarity: Polarity,
    /// Where the noise is known from.
    pub noise: Noise<'a>,
    /// Pixels to fit, `[y, x]`; all of them where it is not given.
    pub mask: Option<ArrayView2<'a, bool>>,
}

impl FitOptions<'_> {
    /// The same for other pixels.
    pub(super) fn within<'b>(&self, mask: ArrayView2<'b, bool>) -> FitOptions<'b>
    where
        Self: 'b,
    {
        let noise = match self.noise {
            Noise::Residuals => Noise::Residuals,
            Noise::Known(sd) => Noise::Known(sd),
            Noise::Map(map) => Noise::Map(map.reborrow()),
        };
        FitOptions { polarity: self.polarity, noise, mask: Some(mask) }
    }
}

/// A plan that cannot be made of these times.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// More parameters than different times.
    #[error("{n_different} different times in {n_times}, the model needs {n_needed}")]
    TooFewTimes {
        /// Times.
        n_times: usize,
        /// Different ones.
        n_different: usize,
        /// Parameters of the model.
        n_needed: usize,
    },
    /// A time that is none.
    #[error("time {index} is {time_ms} ms")]
    Time {
        /// Which, from 0.
        index: usize,
        /// It.
        time_ms: f64,
    },
    /// A range in which nothing can be searched.
    #[error("the values searched for lie between {shortest_ms} and {longest_ms} ms")]
    Range {
        /// Shortest value.
        shortest_ms: f64,
        /// Longest value.
        longest_ms: f64,
    },
}

/// A fit to series with these times.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) model: Model,
    pub(super) times_ms: Vec<f64>,
    /// Indices of the times, shortest first.
    ascending: Vec<usize>,
    pub(super) table: Table,
}

impl Plan {
    /// A plan for images with these preparation times.
    ///
    /// * `times_ms`: one for each image, in any order; infinite for an image without preparation
    ///   (the anchor of a saturation recovery).
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(model: Model, times_ms: &[f64], range: SearchRange) -> Result<Self, PlanError> {
        for (index, &time_ms) in times_ms.iter().enumerate() {
            if time_ms.is_nan() || time_ms < 0.0 {
                return Err(PlanError::Time { index, time_ms });
            }
        }
        let SearchRange { shortest_ms, longest_ms } = range;
        if !(shortest_ms > 0.0 && longest_ms > 1.01 * shortest_ms && longest_ms.is_finite()) {
            return Err(PlanError::Range { shortest_ms, longest_ms });
        }
        let mut ascending: Vec<usize> = (0..times_ms.len()).collect();
        ascending.sort_by(|&a, &b| times_ms[a].total_cmp(&times_ms[b]));
        let mut different: Vec<f64> = ascending.iter().map(|&index| times_ms[index]).collect();
        different.dedup();
        let n_needed = model.n_parameters();
        if different.len() < n_needed {
            let (n_times, n_different) = (times_ms.len(), different.len());
            return Err(PlanError::TooFewTimes { n_times, n_different, n_needed });
        }
        let table = Table::new(model, times_ms, range);
        Ok(Self { model, times_ms: times_ms.to_vec(), ascending, table })
    }

    /// The model.
    pub fn model(&self) -> Model {
        self.model
    }

    /// The times, as they were given.
    pub fn times_ms(&self) -> &[f64] {
        &self.times_ms
    }

    /// Fits every pixel.
    ///
    /// * `images`: `[image, y, x]`, in the order of the times. A pixel with a sample that is no
    ///   number is invalid.
    ///
    /// # Panics
    /// If there are not as many images as times, or a mask or noise map is of another size.
    pub fn fit(&self, images: ArrayView3<'_, f32>, options: &FitOptions<'_>) -> RelaxationFit {
        let (n_images, height, width) = images.dim();
        assert_eq!(n_images, self.times_ms.len(), "an image for each time");
        if let Some(mask) = options.mask {
            assert_eq!(mask.dim(), (height, width), "a mask as large as the images");
        }
        if let Noise::Map(map) = options.noise {
            assert_eq!(map.dim(), (height, width), "a noise map as large as the images");
        }
        let standard = images.as_standard_layout();
        let pixels = Pixels { all: standard.as_slice().unwrap_or(&[]), n: height * width };
        let mut fits = vec![PixelFit::default(); height * width];
        fits.par_chunks_mut(TASK_PIXELS).enumerate().for_each(|(task, fits)| {
            let mut scratch = Scratch::new(n_images);
            for (block, fits) in fits.chunks_mut(LANES).enumerate() {
                let first = task * TASK_PIXELS + block * LANES;
                let is_wanted = |lane: usize| {
                    let pixel = first + lane;
                    options.mask.is_none_or(|mask| mask[[pixel / width, pixel % width]])
                };
                if !(0..fits.len()).any(is_wanted) {
                    continue;
                }
                self.locate(&pixels, first, fits.len(), options.polarity, &mut scratch);
                for (lane, fit) in fits.iter_mut().enumerate().filter(|(lane, _)| is_wanted(*lane))
                {
                    let pixel = first + lane;
                    let noise_sd = match options.noise {
                        Noise::Residuals => None,
                        Noise::Known(sd) => Some(f64::from(sd)),
                        Noise::Map(map) => Some(f64::from(map[[pixel / width, pixel % width]])),
                    };
                    *fit = self.fit_pixel(&mut scratch, lane, noise_sd).unwrap_or_default();
                }
            }
        });
        RelaxationFit::new(fits, (height, width))
    }

    /// The images that the model would have given: each pixel's samples, projected on what the
    /// model can do with its best T of the table. No Newton steps and no standard deviations: for
    /// the twins that motion correction registers images to.
    ///
    /// * `images`: `[image, y, x]`. Magnitudes get twins with signs as well.
    ///
    /// Returns `[image, y, x]`. A pixel that the model does not fit at all is as it was.
    ///
    /// # Panics
    /// If there are not as many images as times.
    pub fn twins(&self, images: ArrayView3<'_, f32>, polarity: Polarity) -> Array3<f32> {
        let (n_images, height, width) = images.dim();
        assert_eq!(n_images, self.times_ms.len(), "an image for each time");
        let standard = images.as_standard_layout();
        let n = height * width;
        let pixels = Pixels { all: standard.as_slice().unwrap_or(&[]), n };
        // Pixel by pixel first, so that tasks write into memory of their own.
        let mut twins = vec![0.0_f32; n_images * n];
        twins.par_chunks_mut(TASK_PIXELS * n_images.max(1)).enumerate().for_each(
            |(task, twins)| {
                let mut scratch = Scratch::new(n_images);
                for (block, twins) in twins.chunks_mut(LANES * n_images).enumerate() {
                    let first = task * TASK_PIXELS + block * LANES;
                    let n_lanes = twins.len() / n_images;
                    self.locate(&pixels, first, n_lanes, polarity, &mut scratch);
                    for (lane, twin) in twins.chunks_mut(n_images).enumerate() {
                        let row = self.table.row(scratch.index[lane]);
                        let along = scratch.peak[lane].max(0.0);
                        for ((twin, basis), samples) in
                            twin.iter_mut().zip(row).zip(&scratch.samples)
                        {
                            let is_fitted = along > 0.0;
                            *twin = if is_fitted {
                                scratch.mean[lane] + along * basis
                            } else {
                                samples[lane]
                            };
                        }
                    }
                }
            },
        );
        Array2::from_shape_vec((n, n_images), twins)
            .map(|twins| twins.t().as_standard_layout().into_owned())
            .and_then(|twins| twins.into_shape_with_order((n_images, height, width)))
            .unwrap_or_else(|_| Array3::zeros((n_images, height, width)))
    }

    /// Finds the best entry of the table for a block of pixels, and the signs of their samples.
    fn locate(
        &self,
        pixels: &Pixels<'_>,
        first: usize,
        n_lanes: usize,
        polarity: Polarity,
        scratch: &mut Scratch,
    ) {
        let n_images = self.times_ms.len();
        for (image, samples) in scratch.samples.iter_mut().enumerate() {
            let start = image * pixels.n + first;
            samples.fill(0.0);
            samples[..n_lanes].copy_from_slice(&pixels.all[start..start + n_lanes]);
        }
        match polarity {
            Polarity::Signed => {
                let center = self.model.has_free_constant();
                scratch.center(center);
                self.table.search(&scratch.centered, &mut scratch.peak, &mut scratch.index);
            }
            Polarity::Magnitude => {
                scratch.magnitudes.clone_from(&scratch.samples);
                scratch.smallest(&self.ascending);
                let mut best_energy = [f32::NEG_INFINITY; LANES];
                let mut best = (scratch.mean, scratch.peak, scratch.index, scratch.n_negated);
                // The zero crossing is beside the smallest magnitude, or one further with noise.
                for offset in -1_isize..=2 {
                    let smallest = scratch.smallest;
                    let n_negated =
                        smallest.map(|place| place.saturating_add_signed(offset).min(n_images));
                    scratch.negate(&self.ascending, &n_negated);
                    scratch.center(self.model.has_free_constant());
                    self.table.search(&scratch.centered, &mut scratch.peak, &mut scratch.index);
                    for lane in 0..LANES {
                        let energy = scratch.peak[lane] * scratch.peak[lane]
                            + n_images as f32 * scratch.mean[lane] * scratch.mean[lane];
                        if scratch.peak[lane] > 0.0 && energy > best_energy[lane] {
                            best_energy[lane] = energy;
                            best.0[lane] = scratch.mean[lane];
                            best.1[lane] = scratch.peak[lane];
                            best.2[lane] = scratch.index[lane];
                            best.3[lane] = n_negated[lane];
                        }
                    }
                }
                for (lane, energy) in best_energy.iter().enumerate() {
                    if *energy == f32::NEG_INFINITY {
                        best.1[lane] = 0.0;
                        best.3[lane] = 0;
                    }
                }
                (scratch.mean, scratch.peak, scratch.index, scratch.n_negated) = best;
                let n_negated = scratch.n_negated;
                scratch.negate(&self.ascending, &n_negated);
                scratch.center(self.model.has_free_constant());
            }
        }
    }

    /// The fit of one pixel of the block that [`Plan::locate`] has seen. [`None`] if it has none.
    fn fit_pixel(
        &self,
        scratch: &mut Scratch,
        lane: usize,
        noise_sd: Option<f64>,
    ) -> Option<PixelFit> {
        let peak = scratch.peak[lane];
        if peak.is_nan() || peak <= 0.0 {
            return None;
        }
        let Scratch { samples, line, residuals, .. } = scratch;
        for (line, samples) in line.iter_mut().zip(samples.iter()) {
            *line = f64::from(samples[lane]);
        }
        if !line.iter().all(|sample| sample.is_finite()) {
            return None;
        }
        let parameters = refine(self, line, scratch.index[lane])?;
        let fit = describe(self.model, &self.times_ms, line, parameters, residuals, |residuals| {
            noise_sd.unwrap_or_else(|| residual_sd(residuals, self.model.n_parameters()))
        })?;
        Some(PixelFit { n_negated: scratch.n_negated[lane].min(255) as u8, ..fit })
    }
}

/// A series, image by image.
struct Pixels<'a> {
    all: &'a [f32],
    /// Pixels of an image.
    n: usize,
}

/// What a block of pixels needs, image by image.
struct Scratch {
    samples: Vec<[f32; LANES]>,
    magnitudes: Vec<[f32; LANES]>,
    centered: Vec<[f32; LANES]>,
    mean: [f32; LANES],
    peak: [f32; LANES],
    index: [u32; LANES],
    smallest: [usize; LANES],
    n_negated: [usize; LANES],
    line: Vec<f64>,
    residuals: Vec<f64>,
}

impl Scratch {
    fn new(n_images: usize) -> Self {
        Self {
            samples: vec![[0.0; LANES]; n_images],
            magnitudes: Vec::new(),
            centered: vec![[0.0; LANES]; n_images],
            mean: [0.0; LANES],
            peak: [0.0; LANES],
            index: [0; LANES],
            smallest: [0; LANES],
            n_negated: [0; LANES],
            line: vec![0.0; n_images],
            residuals: Vec::with_capacity(n_images),
        }
    }

    /// The samples without their mean where the model has a constant of its own.
    fn center(&mut self, is_centered: bool) {
        self.mean = [0.0; LANES];
        if is_centered {
            for samples in &self.samples {
                for (mean, sample) in self.mean.iter_mut().zip(samples) {
                    *mean += sample;
                }
            }
            let n = self.samples.len() as f32;
            self.mean = self.mean.map(|sum| sum / n);
        }
        for (centered, samples) in self.centered.iter_mut().zip(&self.samples) {
            for ((centered, sample), mean) in centered.iter_mut().zip(samples).zip(&self.mean) {
                *centered = sample - mean;
            }
        }
    }

    /// Place of the smallest magnitude in the order of the times.
    fn smallest(&mut self, ascending: &[usize]) {
        self.smallest = [0; LANES];
        let mut least = [f32::INFINITY; LANES];
        for (place, &image) in ascending.iter().enumerate() {
            for (lane, value) in self.magnitudes[image].iter().enumerate() {
                if value.abs() < least[lane] {
                    least[lane] = value.abs();
                    self.smallest[lane] = place;
                }
            }
        }
    }

    /// The magnitudes with the first ones of each pixel made negative.
    fn negate(&mut self, ascending: &[usize], n_negated: &[usize; LANES]) {
        for (place, &image) in ascending.iter().enumerate() {
            let (samples, magnitudes) = (&mut self.samples[image], &self.magnitudes[image]);
            for lane in 0..LANES {
                let magnitude = magnitudes[lane].abs();
                samples[lane] = if place < n_negated[lane] { -magnitude } else { magnitude };
            }
        }
    }
}
