//! SPIRiT with wavelets over space and time.

use ndarray::{ArrayView3, ArrayViewMut5};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::Kernel;
use super::column::{Consistency, Mixing};
use crate::line_transform::{LineTransform, for_each_position};
use crate::wavelet::{Family, Shrinkage, ShrinkageOptions};

/// Readout positions whose wavelets are taken together, without those on either side.
const SLAB: usize = 16;

/// Which images are sparse.
#[derive(Clone, Copy, Debug)]
pub enum CoilMode<'a> {
    /// Each channel's on its own.
    Each,
    /// All channels' in the same places: their coefficients shrink together.
    Joint,
    /// That which the channels show together, weighted with the conjugates of these maps,
    /// `[channel, y, x]`, Σ|s|² = 1.
    Combined(ArrayView3<'a, Complex32>),
}

/// What the weight of the wavelets is relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SparsityUnit {
    /// The brightest pixel of the images that it starts from.
    #[default]
    BrightestPixel,
    /// The noise of the images that it starts from: the median of the magnitudes of the
    /// differences between neighbouring frames, as for independent complex noise.
    Noise,
}

/// Weights of the three terms, and when to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonLinearOptions {
    /// Weight of ½ ‖(G − I) x‖².
    pub parallel_imaging: f32,
    /// Weight of ½ ‖D x − d‖² over the acquired samples d.
    pub data_fidelity: f32,
    /// Weight of the sum of the coefficients' magnitudes, over `unit`.
    pub sparsity: f32,
    /// What that weight is relative to.
    pub unit: SparsityUnit,
    /// The wavelets and the weights of their axes `[x, frame, y]`. The series of frames has an
    /// end unless `periodic` says that the last one is followed by the first.
    pub wavelets: ShrinkageOptions,
    /// At most so many steps.
    pub max_iterations: usize,
    /// Stop where a step changes the images by less than this part of what the first one did.
    pub threshold: f32,
}

impl Default for NonLinearOptions {
    fn default() -> Self {
        Self {
            parallel_imaging: 1.0,
            data_fidelity: 1.0,
            sparsity: 0.00005,
            unit: SparsityUnit::BrightestPixel,
            wavelets: ShrinkageOptions {
                family: Family::Db1,
                axis_weights: [1.0, 10.0, 1.0],
                periodic: [true, false, true],
                ..ShrinkageOptions::default()
            },
            max_iterations: 15,
            threshold: 0.004,
        }
    }
}

/// What it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NonLinearReport {
    /// Steps.
    pub n_iterations: usize,
    /// Change of the images in the last step over that in the first.
    pub last_change: f32,
}

/// Samples of each readout position: `[frame, channel, line or pixel]`.
type Positions = Vec<Vec<Complex32>>;

/// SPIRiT whose images have few wavelet coefficients: a plan for one kernel and shape.
pub struct NonLinear {
    transform: LineTransform,
    consistency: Vec<Consistency>,
    n_channels: usize,
    n_lines: usize,
    /// Of (G − I)ᴴ(G − I).
    largest_eigenvalue: f32,
    /// From the plain transform of lines to the centred one: the wavelets need the images'
    /// own phase.
    phases: Vec<Complex32>,
}

impl NonLinear {
    /// Plans for frames of `[n_lines, n_readout]`.
    ///
    /// # Panics
    /// If the kernel has more than one line along encoding step 2.
    pub fn new(kernel: &Kernel, [n_lines, n_readout]: [usize; 2]) -> Self {
        assert_eq!(kernel.weights().dim().2, 1, "a kernel of two dimensions");
        let transform = LineTransform::new([1, n_lines]);
        let consistency: Vec<Consistency> = (0..n_readout)
            .into_par_iter()
            .map(|x| {
                let mut work = Default::default();
                Consistency::new(kernel, [x, n_readout], &transform, [1, n_lines], &mut work)
            })
            .collect();
        let eigenvalues: Vec<f32> =
            consistency.par_iter().map(Consistency::largest_eigenvalue).collect();
        let phases = (0..n_lines)
            .map(|pixel| {
                let turns = (n_lines / 2 * pixel) as f64 / n_lines as f64;
                let phase = Complex64::from_polar(1.0, -std::f64::consts::TAU * turns);
                Complex32::new(phase.re as f32, phase.im as f32)
            })
            .collect();
        Self {
            transform,
            consistency,
            n_channels: kernel.n_channels(),
            n_lines,
            // The power iteration comes from below.
            largest_eigenvalue: 1.05 * eigenvalues.into_iter().fold(0.0, f32::max),
            phases,
        }
    }

    /// Refines filled k-space.
    ///
    /// * `data`: `[frame, channel, encoding_step_2 = 1, encoding_step_1, x]`, k-space after the
    ///   inverse transform along the readout, the missing lines as [`Kernel::fill`] leaves them.
    ///   On return all lines are what the three terms agree on, the acquired ones too.
    /// * `sampled`: `[frame, encoding_step_2 = 1, encoding_step_1]`, which lines were acquired.
    ///
    /// # Panics
    /// If the shapes do not fit the plan or each other.
    ///
    /// # Method
    /// Minimises λₚ/2 ‖(G − I) x‖² + λ_d/2 ‖D x − d‖² + λ ‖W x‖₁ by accelerated proximal steps
    /// (FISTA; Beck and Teboulle 2009), of length 1 over λₚ times the largest eigenvalue of
    /// (G − I)ᴴ(G − I) plus λ_d. W are redundant wavelets over x, y and frames; shrinking their
    /// coefficients takes the place of the exact proximal map, as W is a Parseval frame.
    ///
    /// # Source
    /// Lustig and Pauly 2010, section on ℓ1-SPIRiT.
    pub fn refine(
        &self,
        mut data: ArrayViewMut5<'_, Complex32>,
        sampled: ArrayView3<'_, bool>,
        coils: CoilMode<'_>,
        options: &NonLinearOptions,
    ) -> NonLinearReport {
        let (n_frames, n_channels, n_e2, n_e1, n_readout) = data.dim();
        assert_eq!((n_channels, n_e2, n_e1), (self.n_channels, 1, self.n_lines), "shape");
        assert_eq!(n_readout, self.consistency.len(), "readout positions");
        assert_eq!(sampled.dim(), (n_frames, 1, n_e1), "frames and lines of the sampling");
        if let CoilMode::Combined(maps) = coils {
            assert_eq!(maps.dim(), (n_channels, n_e1, n_readout), "shape of the coil maps");
        }
        if data.is_empty() || options.max_iterations == 0 {
            return NonLinearReport::default();
        }
        let sampled: Vec<bool> = sampled.iter().copied().collect();
        let acquired: Positions = for_each_position(data.view_mut(), |_, k| k.to_vec());
        let mut images: Positions = acquired.clone();
        images.par_iter_mut().for_each(|k_space| {
            self.to_image(k_space, &mut Mixing::default());
        });
        let weight = options.parallel_imaging * self.largest_eigenvalue + options.data_fidelity;
        let step = 1.0 / weight.max(f32::MIN_POSITIVE);
        let unit = match options.unit {
            SparsityUnit::BrightestPixel => self.brightest(&images, coils),
            SparsityUnit::Noise => self.noise(&images, coils),
        };
        let threshold = step * options.sparsity * unit;

        let mut previous = images.clone();
        let mut point: Positions = images.iter().map(|x| vec![Complex32::ZERO; x.len()]).collect();
        let (mut time, mut momentum) = (1.0_f32, 0.0_f32);
        let mut first_change = None;
        let mut report = NonLinearReport::default();
        for _ in 0..options.max_iterations {
            point.par_iter_mut().enumerate().for_each(|(x, point)| {
                for ((point, new), old) in point.iter_mut().zip(&images[x]).zip(&previous[x]) {
                    *point = new + (new - old) * momentum;
                }
                self.descend(x, point, &acquired[x], &sampled, step, options);
            });
            std::mem::swap(&mut images, &mut previous);
            self.shrink(&point, &mut images, coils, n_frames, threshold, &options.wavelets);
            let next = 0.5 * (1.0 + (1.0 + 4.0 * time * time).sqrt());
            (momentum, time) = ((time - 1.0) / next, next);

            report.n_iterations += 1;
            let change = distance(&images, &previous);
            let first = *first_change.get_or_insert(change);
            report.last_change = if first > 0.0 { (change / first) as f32 } else { 0.0 };
            if report.last_change < options.threshold {
                break;
            }
        }
        let scale = (n_e1 as f32).sqrt().recip();
        for_each_position(data, |x, k_space| {
            k_space.copy_from_slice(&images[x]);
            self.to_k_space(k_space, scale, &mut Mixing::default());
        });
        report
    }

    /// A step against the gradient of the two smooth terms, in place.
    fn descend(
        &self,
        x: usize,
        images: &mut [Complex32],
        acquired: &[Complex32],
        sampled: &[bool],
        step: f32,
        options: &NonLinearOptions,
    ) {
        let n_frame = self.n_channels * self.n_lines;
        let mut work = Mixing::default();
        let mut gradient = vec![Complex32::ZERO; n_frame];
        let mut misfit = vec![Complex32::ZERO; n_frame];
        let scale = (self.n_lines as f32).sqrt().recip();
        for ((image, acquired), sampled) in images
            .chunks_exact_mut(n_frame)
            .zip(acquired.chunks_exact(n_frame))
            .zip(sampled.chunks_exact(self.n_lines))
        {
            self.consistency[x].apply_to_image(image, &mut gradient, &mut work);
            misfit.copy_from_slice(image);
            self.to_k_space(&mut misfit, scale, &mut work);
            for (misfit, acquired) in
                misfit.chunks_exact_mut(self.n_lines).zip(acquired.chunks_exact(self.n_lines))
            {
                for ((misfit, acquired), sampled) in misfit.iter_mut().zip(acquired).zip(sampled) {
                    *misfit = if *sampled { *misfit - acquired } else { Complex32::ZERO };
                }
            }
            self.to_image(&mut misfit, &mut work);
            for ((value, gradient), misfit) in image.iter_mut().zip(&gradient).zip(&misfit) {
                let slope = gradient * options.parallel_imaging + misfit * options.data_fidelity;
                *value -= slope * step;
            }
        }
    }

    /// Shrinks the wavelet coefficients of `point` into `images`.
    fn shrink(
        &self,
        point: &Positions,
        images: &mut Positions,
        coils: CoilMode<'_>,
        n_frames: usize,
        threshold: f32,
        options: &ShrinkageOptions,
    ) {
        let n_positions = point.len();
        let reach = Shrinkage::reach(options);
        let (slab, reach) = if n_positions > SLAB + 2 * reach {
            (SLAB, reach)
        } else {
            // One that holds everything is periodic by itself.
            (n_positions, 0)
        };
        let (n_channels, n_lines) = (self.n_channels, self.n_lines);
        images.par_chunks_mut(slab).enumerate().for_each(|(number, images)| {
            let first = number * slab;
            let n_slab = images.len() + 2 * reach;
            let shape = [n_slab, n_frames, n_lines];
            let shrinkage = Shrinkage::new(shape, *options);
            let position = |n: usize| (first + n + n_positions - reach) % n_positions;
            let gather = |channel: usize| {
                let mut block = Vec::with_capacity(n_slab * n_frames * n_lines);
                for n in 0..n_slab {
                    for frame in point[position(n)].chunks_exact(n_channels * n_lines) {
                        block.extend_from_slice(&frame[channel * n_lines..][..n_lines]);
                    }
                }
                block
            };
            let inner = reach * n_frames * n_lines..(n_slab - reach) * n_frames * n_lines;
            let mut put_back = |channel: usize, block: &[Complex32]| {
                let mut rows = block[inner.clone()].chunks_exact(n_lines);
                for image in images.iter_mut() {
                    for frame in image.chunks_exact_mut(n_channels * n_lines) {
                        if let Some(row) = rows.next() {
                            frame[channel * n_lines..][..n_lines].copy_from_slice(row);
                        }
                    }
                }
            };
            match coils {
                CoilMode::Each => {
                    for channel in 0..n_channels {
                        let mut block = gather(channel);
                        shrinkage.apply(&mut [&mut block], threshold);
                        put_back(channel, &block);
                    }
                }
                CoilMode::Joint => {
                    let mut blocks: Vec<_> = (0..n_channels).map(gather).collect();
                    let mut channels: Vec<_> = blocks.iter_mut().map(|b| &mut b[..]).collect();
                    shrinkage.apply(&mut channels, threshold);
                    for (channel, block) in blocks.iter().enumerate() {
                        put_back(channel, block);
                    }
                }
                CoilMode::Combined(maps) => {
                    let map = |channel: usize, n: usize| {
                        let (x, line) = (position(n / (n_frames * n_lines)), n % n_lines);
                        maps[[channel, (line + n_lines / 2) % n_lines, x]]
                    };
                    let mut blocks: Vec<_> = (0..n_channels).map(gather).collect();
                    let mut combined = vec![Complex32::ZERO; n_slab * n_frames * n_lines];
                    for (channel, block) in blocks.iter().enumerate() {
                        for (n, (sum, value)) in combined.iter_mut().zip(block).enumerate() {
                            *sum += map(channel, n).conj() * value;
                        }
                    }
                    let mut shrunk = combined.clone();
                    shrinkage.apply(&mut [&mut shrunk], threshold);
                    for (channel, block) in blocks.iter_mut().enumerate() {
                        let changes = shrunk.iter().zip(&combined).map(|(new, old)| new - old);
                        for (n, (value, change)) in block.iter_mut().zip(changes).enumerate() {
                            *value += map(channel, n) * change;
                        }
                        put_back(channel, block);
                    }
                }
            }
        });
    }

    /// Magnitude of the brightest pixel of those images that are to be sparse.
    fn brightest(&self, images: &Positions, coils: CoilMode<'_>) -> f32 {
        let (n_channels, n_lines) = (self.n_channels, self.n_lines);
        let of_frame = |x: usize, frame: &[Complex32]| {
            let pixel = |line: usize| {
                let values = (0..n_channels).map(|channel| frame[channel * n_lines + line]);
                match coils {
                    CoilMode::Each => values.map(|value| value.norm_sqr()).fold(0.0, f32::max),
                    CoilMode::Joint => values.map(|value| value.norm_sqr()).sum(),
                    CoilMode::Combined(maps) => {
                        let y = (line + n_lines / 2) % n_lines;
                        let sum: Complex32 = values
                            .enumerate()
                            .map(|(channel, value)| maps[[channel, y, x]].conj() * value)
                            .sum();
                        sum.norm_sqr()
                    }
                }
            };
            (0..n_lines).map(pixel).fold(0.0, f32::max)
        };
        let squares: Vec<f32> = images
            .par_iter()
            .enumerate()
            .map(|(x, images)| {
                let frames = images.chunks_exact(n_channels * n_lines);
                frames.map(|frame| of_frame(x, frame)).fold(0.0, f32::max)
            })
            .collect();
        squares.into_iter().fold(0.0, f32::max).sqrt()
    }

    /// Standard deviation of the noise, per component, of those images that are to be sparse.
    fn noise(&self, images: &Positions, coils: CoilMode<'_>) -> f32 {
        let n_frame = self.n_channels * self.n_lines;
        let combined = |frame: &[Complex32], x: usize| -> Vec<Complex32> {
            let CoilMode::Combined(maps) = coils else { return frame.to_vec() };
            let pixel = |line: usize| {
                let y = (line + self.n_lines / 2) % self.n_lines;
                let channels = (0..self.n_channels).map(|channel| {
                    maps[[channel, y, x]].conj() * frame[channel * self.n_lines + line]
                });
                channels.sum()
            };
            (0..self.n_lines).map(pixel).collect()
        };
        let mut differences: Vec<f32> = images
            .par_iter()
            .enumerate()
            .map(|(x, images)| {
                let frames: Vec<_> =
                    images.chunks_exact(n_frame).map(|frame| combined(frame, x)).collect();
                let pairs = frames.windows(2);
                pairs
                    .flat_map(|pair| pair[0].iter().zip(&pair[1]).map(|(a, b)| (a - b).norm()))
                    .collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
            .concat();
        if differences.is_empty() {
            return 0.0;
        }
        let middle = differences.len() / 2;
        let (_, median, _) = differences.select_nth_unstable_by(middle, f32::total_cmp);
        // The median of a Rayleigh distribution is √(2 ln 2) σ; a difference has √2 the noise.
        *median / (2.0 * std::f32::consts::LN_2.sqrt())
    }

    /// Centred but for a rotation of the pixels, which periodic wavelets do not see.
    fn to_image(&self, data: &mut [Complex32], work: &mut Mixing) {
        self.transform.inverse(data, &mut work.transform);
        let scale = (self.n_lines as f32).sqrt().recip();
        for pixels in data.chunks_exact_mut(self.n_lines) {
            for (value, phase) in pixels.iter_mut().zip(&self.phases) {
                *value *= phase * scale;
            }
        }
    }

    fn to_k_space(&self, data: &mut [Complex32], scale: f32, work: &mut Mixing) {
        for pixels in data.chunks_exact_mut(self.n_lines) {
            for (value, phase) in pixels.iter_mut().zip(&self.phases) {
                *value *= phase.conj() * scale;
            }
        }
        self.transform.forward(data, &mut work.transform);
    }
}

/// Root of the sum of the squares of the differences.
fn distance(a: &Positions, b: &Positions) -> f64 {
    let squares: Vec<f64> = a
        .par_iter()
        .zip(b)
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| f64::from((a - b).norm_sqr())).sum())
        .collect();
    squares.into_iter().sum::<f64>().sqrt()
}
