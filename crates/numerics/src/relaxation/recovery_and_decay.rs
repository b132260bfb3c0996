//! T1 and T2 of every pixel of one series of saturation recovery with T2 preparations.

use ndarray::ArrayView3;
use rayon::prelude::*;

use super::fit::{PixelFit, RelaxationFit};
use super::model::{Model, SearchRange};
use super::plan::Noise;
use super::search::{LANES, search};
use super::uncertainty::residual_sd;

/// Pixels of a task: a multiple of [`LANES`].
const TASK_PIXELS: usize = 16 * LANES;
/// Amplitude, T1 and T2.
const N_PARAMETERS: usize = 3;
/// Largest steps between neighbours in the table, of ln T1 and of ln T2: Gauss-Newton steps
/// converge from there.
const STEPS: [f64; 2] = [0.15, 0.25];
/// Steps of the refinement at most; five are usual.
const MAX_STEPS: usize = 50;
/// A step of ln T1 and ln T2 after which there is no other.
const LAST_STEP: f64 = 1e-7;
/// Share of a range's logarithm from its ends, within which a value counts as beyond the range.
const EDGE: f64 = 1e-3;
/// Determinant of the normalised normal matrix below which T1 and T2 cannot be told apart.
const LEAST_DETERMINANT: f64 = 1e-10;

/// How the magnetisation of an image was prepared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PreparedImage {
    /// TS: from the saturation to the centre of k-space, ms; infinite without a saturation.
    pub saturation_time_ms: f64,
    /// TE: echo time of the T2 preparation, which is how long it lasts, ms; 0 without one.
    pub t2_preparation_ms: f64,
}

/// Times of which T1 and T2 cannot both be found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PreparedPlanError {
    /// Fewer images than parameters.
    #[error("{n_different} images that differ in their times, T1 and T2 together need 3")]
    TooFewImages {
        /// Images with different times.
        n_different: usize,
    },
    /// Nothing to find T2 from.
    #[error("all T2 preparations last {0} ms, T2 needs two that differ")]
    OneT2Preparation(f64),
    /// Nothing to find T1 from.
    #[error("all saturation times are {0} ms, T1 needs two that differ")]
    OneSaturationTime(f64),
    /// Times that are none, or that do not fit into each other.
    #[error(
        "image {index} has the saturation time {saturation_time_ms} ms and the T2 preparation {t2_preparation_ms} ms, {delay_ms} ms before the centre of k-space"
    )]
    Times {
        /// Which image, from 0.
        index: usize,
        /// Its saturation time.
        saturation_time_ms: f64,
        /// Its T2 preparation.
        t2_preparation_ms: f64,
        /// From the end of the preparation to the centre of k-space.
        delay_ms: f64,
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

/// Fits of every pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct T1T2Fit {
    /// T1; the constant is the amplitude, the exponential minus it: the recovery without T2
    /// preparation.
    pub t1: RelaxationFit,
    /// T2; the exponential is the amplitude: the decay of all magnetisation. R² and residuals are
    /// those of T1, the fit is one.
    pub t2: RelaxationFit,
}

/// A fit of amplitude, T1 and T2 to series with these times.
///
/// The longitudinal magnetisation recovers for TS − TE − TD after the saturation, decays by T2 for
/// TE while the preparation has it in the transverse plane, and recovers for TD from its end to the
/// centre of k-space:
///
/// S = A {1 − [1 − (1 − e^(−(TS − TE − TD)/T1)) e^(−TE/T2)] e^(−TD/T1)}
///
/// Without T2 preparation that is A (1 − e^(−TS/T1)), and A without a saturation as well. The
/// amplitude is a linear problem with one answer for given T1 and T2, so that only these two are
/// searched for: on a table that all pixels share, then by damped Gauss-Newton steps.
///
/// # Source
/// Chow et al. 2022 (mSASHA, three parameters); variable projection: Golub, Pereyra 1973, with the
/// Jacobian of Kaufman 1975.
#[derive(Clone, Debug)]
pub struct T1T2Plan {
    images: Vec<PreparedImage>,
    delay_ms: f64,
    ranges: [SearchRange; 2],
    /// `[entry of T1, entry of T2, image]`, each of length 1.
    basis: Vec<f32>,
    /// Entries.
    n: [usize; 2],
    /// Steps of ln T1 and ln T2 between entries.
    step_log: [f64; 2],
}

impl T1T2Plan {
    /// A plan for images with these times.
    ///
    /// * `images`: in any order.
    /// * `delay_ms`: TD, from the end of the T2 preparation to the centre of k-space.
    /// * `ranges`: T1 and T2 that are looked for.
    ///
    /// # Errors
    /// [`PreparedPlanError`].
    pub fn new(
        images: &[PreparedImage],
        delay_ms: f64,
        ranges: [SearchRange; 2],
    ) -> Result<Self, PreparedPlanError> {
        check(images, delay_ms)?;
        for SearchRange { shortest_ms, longest_ms } in ranges {
            if !(shortest_ms > 0.0 && longest_ms > 1.01 * shortest_ms && longest_ms.is_finite()) {
                return Err(PreparedPlanError::Range { shortest_ms, longest_ms });
            }
        }
        let lengths = ranges.map(|range| (range.longest_ms / range.shortest_ms).ln());
        let n = [0, 1].map(|k| ((lengths[k] / STEPS[k]).ceil() as usize).max(2) + 1);
        let step_log = [0, 1].map(|k| lengths[k] / (n[k] - 1) as f64);
        let mut plan =
            Self { images: images.to_vec(), delay_ms, ranges, basis: Vec::new(), n, step_log };
        let mut basis = Vec::with_capacity(n[0] * n[1] * images.len());
        for entry in 0..n[0] * n[1] {
            let logs = plan.logs_of(entry);
            let signals: Vec<f64> =
                images.iter().map(|image| plan.signal(*image, logs.map(f64::exp))[0]).collect();
            let length = signals.iter().map(|signal| signal * signal).sum::<f64>().sqrt();
            let factor = if length > 1e-12 { 1.0 / length } else { 0.0 };
            basis.extend(signals.into_iter().map(|signal| (factor * signal) as f32));
        }
        plan.basis = basis;
        Ok(plan)
    }

    /// The usual ranges: T1 from 20 to 8000 ms, T2 from 3 to 1500 ms.
    pub fn usual_ranges() -> [SearchRange; 2] {
        [Model::Recovery.usual_range(), SearchRange { shortest_ms: 3.0, longest_ms: 1500.0 }]
    }

    /// Fits every pixel.
    ///
    /// * `samples`: `[image, y, x]`, with signs, in the order of the plan's images. A pixel with a
    ///   sample that is no number, or whose T1 or T2 lies outside of the ranges, has no fit.
    /// * `noise`: what standard deviations are made of.
    ///
    /// # Panics
    /// If there are not as many images as in the plan, or a noise map is of another size.
    pub fn fit(&self, samples: ArrayView3<'_, f32>, noise: Noise<'_>) -> T1T2Fit {
        let (n_images, height, width) = samples.dim();
        assert_eq!(n_images, self.images.len(), "an image for each pair of times");
        if let Noise::Map(map) = noise {
            assert_eq!(map.dim(), (height, width), "a noise map as large as the images");
        }
        let n_pixels = height * width;
        let standard = samples.as_standard_layout();
        let all = standard.as_slice().unwrap_or(&[]);
        let mut fits = vec![[PixelFit::default(); 2]; n_pixels];
        fits.par_chunks_mut(TASK_PIXELS).enumerate().for_each(|(task, fits)| {
            let mut block_samples = vec![[0.0_f32; LANES]; n_images];
            let mut workspace = Workspace::new(n_images);
            let (mut peak, mut index) = ([0.0_f32; LANES], [0_u32; LANES]);
            for (block, fits) in fits.chunks_mut(LANES).enumerate() {
                let first = task * TASK_PIXELS + block * LANES;
                for (image, lanes) in block_samples.iter_mut().enumerate() {
                    let start = image * n_pixels + first;
                    lanes.fill(0.0);
                    lanes[..fits.len()].copy_from_slice(&all[start..start + fits.len()]);
                }
                search(&self.basis, n_images, &block_samples, &mut peak, &mut index);
                for (lane, fit) in fits.iter_mut().enumerate() {
                    let pixel = first + lane;
                    let noise_sd = match noise {
                        Noise::Residuals => None,
                        Noise::Known(sd) => Some(f64::from(sd)),
                        Noise::Map(map) => Some(f64::from(map[[pixel / width, pixel % width]])),
                    };
                    // Not above 0 also where it is no number.
                    if peak[lane] > 0.0 {
                        let line = block_samples.iter().map(|lanes| f64::from(lanes[lane]));
                        workspace.samples.clear();
                        workspace.samples.extend(line);
                        *fit = self
                            .fit_pixel(&mut workspace, index[lane] as usize, noise_sd)
                            .unwrap_or_default();
                    }
                }
            }
        });
        let of = |which: usize| {
            let fits: Vec<PixelFit> = fits.iter().map(|both| both[which]).collect();
            RelaxationFit::new(fits, (height, width))
        };
        T1T2Fit { t1: of(0), t2: of(1) }
    }

    /// ln T1 and ln T2 of an entry of the table.
    fn logs_of(&self, entry: usize) -> [f64; 2] {
        let entries = [entry / self.n[1], entry % self.n[1]];
        [0, 1].map(|k| self.ranges[k].shortest_ms.ln() + entries[k] as f64 * self.step_log[k])
    }

    /// Signal for an amplitude of 1, and its derivatives by ln T1 and ln T2.
    fn signal(&self, image: PreparedImage, [t1_ms, t2_ms]: [f64; 2]) -> [f64; 3] {
        let PreparedImage { saturation_time_ms, t2_preparation_ms: echo_time_ms } = image;
        let delay_ms = if echo_time_ms > 0.0 { self.delay_ms } else { 0.0 };
        // What is left of something after a time, and its derivative by the logarithm of T.
        let left = |time_ms: f64, of_ms: f64| {
            let x = time_ms / of_ms;
            // Nothing is left of an infinite time.
            let left = if x < 700.0 { (-x).exp() } else { 0.0 };
            (left, if left > 0.0 { left * x } else { 0.0 })
        };
        let (unrecovered, by_t1_before) = left(saturation_time_ms - echo_time_ms - delay_ms, t1_ms);
        let (transverse, by_t2) = left(echo_time_ms, t2_ms);
        let (after, by_t1_after) = left(delay_ms, t1_ms);
        let lacking = 1.0 - (1.0 - unrecovered) * transverse;
        [
            1.0 - lacking * after,
            -transverse * by_t1_before * after - lacking * by_t1_after,
            (1.0 - unrecovered) * by_t2 * after,
        ]
    }

    /// From the best entry of the table to T1 and T2, each with what follows from them.
    fn fit_pixel(
        &self,
        workspace: &mut Workspace,
        entry: usize,
        noise_sd: Option<f64>,
    ) -> Option<[PixelFit; 2]> {
        if !workspace.samples.iter().all(|sample| sample.is_finite()) {
            return None;
        }
        let mut logs = self.logs_of(entry);
        let mut state = self.project(workspace, logs)?;
        let mut damping = 1e-3;
        for _ in 0..MAX_STEPS {
            let step = state.step(damping)?;
            let next: [f64; 2] = [0, 1].map(|k| {
                let SearchRange { shortest_ms, longest_ms } = self.ranges[k];
                (logs[k] + step[k]).clamp(shortest_ms.ln(), longest_ms.ln())
            });
            let length = (next[0] - logs[0]).abs().max((next[1] - logs[1]).abs());
            match self.project(workspace, next) {
                Some(better) if better.left <= state.left => {
                    (logs, state) = (next, better);
                    damping = (0.1 * damping).max(1e-12);
                }
                _ => damping *= 10.0,
            }
            if length < LAST_STEP || damping > 1e9 {
                break;
            }
        }
        for (k, log) in logs.iter().enumerate() {
            let SearchRange { shortest_ms, longest_ms } = self.ranges[k];
            let margin = EDGE * self.step_log[k];
            if *log < shortest_ms.ln() + margin || *log > longest_ms.ln() - margin {
                return None;
            }
        }
        self.describe(workspace, logs, noise_sd)
    }

    /// The best amplitude for a T1 and a T2, and what the samples say of a better pair. [`None`]
    /// where the samples have nothing of such a signal.
    fn project(&self, workspace: &mut Workspace, logs: [f64; 2]) -> Option<Projection> {
        let times_ms = logs.map(f64::exp);
        let Workspace { samples, signals, residuals } = workspace;
        signals.clear();
        signals.extend(self.images.iter().map(|image| self.signal(*image, times_ms)));
        let (mut ss, mut with, mut slopes_with) = (0.0, 0.0, [0.0; 2]);
        for ([signal, slopes @ ..], sample) in signals.iter().zip(samples.iter()) {
            ss += signal * signal;
            with += signal * sample;
            slopes_with = [0, 1].map(|k| slopes_with[k] + signal * slopes[k]);
        }
        let amplitude = with / ss;
        if !(amplitude > 0.0 && amplitude.is_finite()) {
            return None;
        }
        let along = slopes_with.map(|sum| sum / ss);
        let mut projection =
            Projection { amplitude, left: 0.0, normal: [0.0; 3], gradient: [0.0; 2] };
        residuals.clear();
        for ([signal, slopes @ ..], sample) in signals.iter().zip(samples.iter()) {
            let residual = sample - amplitude * signal;
            let [by_t1, by_t2] = [0, 1].map(|k| amplitude * (slopes[k] - along[k] * signal));
            residuals.push(residual);
            projection.left += residual * residual;
            projection.normal[0] += by_t1 * by_t1;
            projection.normal[1] += by_t1 * by_t2;
            projection.normal[2] += by_t2 * by_t2;
            projection.gradient[0] += by_t1 * residual;
            projection.gradient[1] += by_t2 * residual;
        }
        Some(projection)
    }

    fn describe(
        &self,
        workspace: &mut Workspace,
        logs: [f64; 2],
        noise_sd: Option<f64>,
    ) -> Option<[PixelFit; 2]> {
        let Projection { amplitude, left, normal: [a, b, c], .. } =
            self.project(workspace, logs)?;
        // What is left of the normal matrix after the amplitude is that of ln T1 and ln T2.
        let determinant = a * c - b * b;
        if !(determinant > LEAST_DETERMINANT * a * c && determinant.is_finite()) {
            return None;
        }
        let samples = &workspace.samples;
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        let total: f64 = samples.iter().map(|sample| (sample - mean) * (sample - mean)).sum();
        let r_squared = if total > 0.0 { 1.0 - left / total } else { 0.0 };
        let freedom = samples.len() - N_PARAMETERS;
        let residual_rms = if freedom > 0 { (left / freedom as f64).sqrt() } else { 0.0 };
        let noise_sd =
            noise_sd.unwrap_or_else(|| residual_sd(&mut workspace.residuals, N_PARAMETERS));
        let fit = |log: f64, variance: f64, [constant, exponential]: [f64; 2]| PixelFit {
            value_ms: log.exp() as f32,
            sd_ms: (log.exp() * noise_sd * variance.sqrt()) as f32,
            r_squared: r_squared as f32,
            residual_sd: residual_rms as f32,
            constant: constant as f32,
            exponential: exponential as f32,
            time_ms: log.exp() as f32,
            n_negated: 0,
        };
        Some([
            fit(logs[0], c / determinant, [amplitude, -amplitude]),
            fit(logs[1], a / determinant, [0.0, amplitude]),
        ])
    }
}

/// What the samples of a pixel are to a T1 and a T2.
struct Projection {
    amplitude: f64,
    /// Sum of squares that is left.
    left: f64,
    /// Normal matrix of ln T1 and ln T2: its first row, and the end of its second.
    normal: [f64; 3],
    /// Jacobian by residuals.
    gradient: [f64; 2],
}

impl Projection {
    /// The damped Gauss-Newton step (Levenberg, Marquardt), at most 1 in ln T1 and ln T2. [`None`]
    /// where the samples depend on neither.
    fn step(&self, damping: f64) -> Option<[f64; 2]> {
        let [a, b, c] = self.normal;
        let (a, c) = (a * (1.0 + damping), c * (1.0 + damping));
        let determinant = a * c - b * b;
        let [g, h] = self.gradient;
        let step = [(c * g - b * h) / determinant, (a * h - b * g) / determinant];
        step.iter().all(|part| part.is_finite()).then(|| step.map(|part| part.clamp(-1.0, 1.0)))
    }
}

/// Of one thread, image by image.
struct Workspace {
    samples: Vec<f64>,
    signals: Vec<[f64; 3]>,
    residuals: Vec<f64>,
}

impl Workspace {
    fn new(n_images: usize) -> Self {
        Self {
            samples: Vec::with_capacity(n_images),
            signals: Vec::with_capacity(n_images),
            residuals: Vec::with_capacity(n_images),
        }
    }
}

fn check(images: &[PreparedImage], delay_ms: f64) -> Result<(), PreparedPlanError> {
    for (index, image) in images.iter().enumerate() {
        let PreparedImage { saturation_time_ms, t2_preparation_ms } = *image;
        let prepared_ms = if t2_preparation_ms > 0.0 { t2_preparation_ms + delay_ms } else { 0.0 };
        let is_good = t2_preparation_ms >= 0.0
            && t2_preparation_ms.is_finite()
            && (0.0..f64::INFINITY).contains(&delay_ms)
            && saturation_time_ms >= prepared_ms;
        if !is_good {
            return Err(PreparedPlanError::Times {
                index,
                saturation_time_ms,
                t2_preparation_ms,
                delay_ms,
            });
        }
    }
    let different = |time: fn(&PreparedImage) -> f64| {
        let mut times: Vec<f64> = images.iter().map(time).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        times
    };
    let mut pairs: Vec<_> =
        (images.iter()).map(|image| (image.saturation_time_ms, image.t2_preparation_ms)).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    pairs.dedup();
    if pairs.len() < N_PARAMETERS {
        return Err(PreparedPlanError::TooFewImages { n_different: pairs.len() });
    }
    if let [one] = different(|image| image.t2_preparation_ms)[..] {
        return Err(PreparedPlanError::OneT2Preparation(one));
    }
    if let [one] = different(|image| image.saturation_time_ms)[..] {
        return Err(PreparedPlanError::OneSaturationTime(one));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    const DELAY_MS: f64 = 15.0;

    /// Anchor, five saturation recoveries, five with T2 preparation as well.
    fn images() -> Vec<PreparedImage> {
        let image = |saturation_time_ms, t2_preparation_ms| PreparedImage {
            saturation_time_ms,
            t2_preparation_ms,
        };
        let mut images = vec![image(f64::INFINITY, 0.0)];
        images.extend([120.0, 240.0, 360.0, 480.0, 600.0].map(|time_ms| image(time_ms, 0.0)));
        images.extend([25.0, 40.0, 55.0, 70.0, 80.0].map(|time_ms| image(600.0, time_ms)));
        images
    }

    /// The formula, written once more.
    fn signal(image: PreparedImage, t1_ms: f64, t2_ms: f64) -> f64 {
        let PreparedImage { saturation_time_ms, t2_preparation_ms } = image;
        if t2_preparation_ms == 0.0 {
            return 1.0 - (-saturation_time_ms / t1_ms).exp();
        }
        let before_ms = saturation_time_ms - t2_preparation_ms - DELAY_MS;
        let prepared = (1.0 - (-before_ms / t1_ms).exp()) * (-t2_preparation_ms / t2_ms).exp();
        1.0 - (1.0 - prepared) * (-DELAY_MS / t1_ms).exp()
    }

    fn plan() -> T1T2Plan {
        T1T2Plan::new(&images(), DELAY_MS, T1T2Plan::usual_ranges()).expect("good times")
    }

    #[test]
    fn t1_and_t2_of_samples_without_noise_come_back() {
        let t1 = |y: usize| 300.0 + 200.0 * y as f64;
        let t2 = |x: usize| 20.0 + 15.0 * x as f64;
        let images = images();
        let samples = Array3::from_shape_fn((11, 12, 13), |(image, y, x)| {
            (70.0 * signal(images[image], t1(y), t2(x))) as f32
        });
        let fit = plan().fit(samples.view(), Noise::Residuals);
        for ((y, x), t1_ms) in fit.t1.value_ms.indexed_iter() {
            let t2_ms = fit.t2.value_ms[[y, x]];
            // Samples are single precision: T2 of 200 ms at 80 ms multiplies that by some tens.
            assert!((f64::from(*t1_ms) / t1(y) - 1.0).abs() < 1e-4, "{} {} {t1_ms}", t1(y), t2(x));
            assert!((f64::from(t2_ms) / t2(x) - 1.0).abs() < 1e-4, "{} {} {t2_ms}", t1(y), t2(x));
            assert!(fit.t1.r_squared[[y, x]] > 0.999_99);
            assert!((fit.t1.constant[[y, x]] / 70.0 - 1.0).abs() < 1e-4);
        }
    }

    /// Normal numbers of standard deviation 1, by their number.
    fn normal(n: usize) -> f64 {
        let uniform = |n: u64| {
            let mut bits = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((bits ^ bits >> 31) >> 11) as f64 / (1_u64 << 53) as f64
        };
        let (radius, angle) = (uniform(2 * n as u64), uniform(2 * n as u64 + 1));
        (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    #[test]
    fn standard_deviations_cover_two_thirds_of_the_errors() {
        let images = images();
        // Amplitude over noise of 60: T1 to some percent, T2 to some percent.
        let samples = Array3::from_shape_fn((11, 64, 64), |(image, y, x)| {
            let number = (image * 64 + y) * 64 + x;
            (60.0 * signal(images[image], 1000.0, 50.0) + normal(number)) as f32
        });
        let share = |fit: &RelaxationFit, truth: f32| {
            let pairs = fit.value_ms.iter().zip(&fit.sd_ms);
            let covered = pairs.filter(|(value, sd)| (*value - truth).abs() <= **sd).count();
            covered as f64 / fit.value_ms.len() as f64
        };
        // 4096 pixels leave a standard deviation of 0.007; a median of eleven residuals scatters.
        for (noise, tolerance) in [(Noise::Known(1.0), 0.03), (Noise::Residuals, 0.1)] {
            let fit = plan().fit(samples.view(), noise);
            let shares = [share(&fit.t1, 1000.0), share(&fit.t2, 50.0)];
            println!("{noise:?}: covered {shares:?}");
            assert!(shares.iter().all(|share| (share - 0.683).abs() < tolerance), "{shares:?}");
        }
        let fit = plan().fit(samples.view(), Noise::Known(1.0));
        for (fit, truth) in [(&fit.t1, 1000.0), (&fit.t2, 50.0)] {
            let mean = fit.value_ms.mean().expect("pixels");
            let sd = fit.value_ms.std(0.0);
            println!("truth {truth}: mean {mean}, sd {sd}");
            // The mean is known to sd / 64; a fit is biased by about sd² / truth.
            assert!((mean - truth).abs() < 0.07 * sd + 2.0 * sd * sd / truth, "{mean} {sd}");
        }
    }

    #[test]
    fn samples_of_nothing_have_no_fit() {
        let mut samples = Array3::<f32>::zeros((11, 1, 6));
        samples.slice_mut(ndarray::s![.., 0, 1]).fill(f32::NAN);
        samples.slice_mut(ndarray::s![.., 0, 2]).fill(f32::INFINITY);
        samples.slice_mut(ndarray::s![.., 0, 3]).fill(-5.0);
        // One and the same signal: no recovery, no decay.
        samples.slice_mut(ndarray::s![.., 0, 4]).fill(5.0);
        samples[[3, 0, 5]] = f32::NAN;
        let fit = plan().fit(samples.view(), Noise::Residuals);
        for fit in [fit.t1, fit.t2] {
            assert!(fit.value_ms.iter().chain(&fit.sd_ms).all(|value| *value == 0.0), "{fit:?}");
        }
        let empty = plan().fit(Array3::zeros((11, 0, 0)).view(), Noise::Residuals);
        assert!(empty.t1.value_ms.is_empty());
    }

    #[test]
    fn times_that_do_not_tell_both_are_refused() {
        let refused = |images: &[PreparedImage], delay_ms| {
            T1T2Plan::new(images, delay_ms, T1T2Plan::usual_ranges()).expect_err("bad times")
        };
        let all = images();
        assert_eq!(refused(&[], 0.0), PreparedPlanError::TooFewImages { n_different: 0 });
        let twice = [all[0], all[1], all[1]];
        assert_eq!(refused(&twice, 0.0), PreparedPlanError::TooFewImages { n_different: 2 });
        assert_eq!(refused(&all[..6], 15.0), PreparedPlanError::OneT2Preparation(0.0));
        assert_eq!(refused(&all[6..], 15.0), PreparedPlanError::OneSaturationTime(600.0));
        for delay_ms in [540.0, -1.0, f64::NAN] {
            assert!(matches!(refused(&all, delay_ms), PreparedPlanError::Times { .. }));
        }
        for (saturation_time_ms, t2_preparation_ms) in
            [(f64::NAN, 0.0), (-1.0, 0.0), (600.0, f64::INFINITY), (600.0, -1.0), (50.0, 60.0)]
        {
            let mut images = images();
            images[7] = PreparedImage { saturation_time_ms, t2_preparation_ms };
            let error = refused(&images, 15.0);
            assert!(matches!(error, PreparedPlanError::Times { index: 7, .. }), "{error}");
        }
        let ranges = [SearchRange { shortest_ms: 5.0, longest_ms: 5.0 }; 2];
        let error = T1T2Plan::new(&all, 15.0, ranges).expect_err("a bad range");
        assert!(matches!(error, PreparedPlanError::Range { .. }));
    }
}
