//! Projections onto convex sets.

use ndarray::{ArrayView3, ArrayViewMut3, ArrayViewMutD, Axis};
use num_complex::Complex32;
use rayon::prelude::*;

use super::{Acquired, low_resolution_phase, phase_filters};
use crate::fft::{Direction, Plan, ThroughKSpace};

/// Choices of [`Pocs`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PocsOptions {
    /// Most iterations.
    pub n_iterations: usize,
    /// Relative change of the image below which the iterations stop.
    pub threshold: f64,
    /// Samples along \[z, y, x\] over which acquired data blend into estimated ones.
    pub transition: [usize; 3],
    /// Misfit ([`PocsOutcome::misfit`]) from which the image stays as it was; from three quarters
    /// of it on, it goes over into that. Not finite or 0 for never.
    pub max_misfit: f64,
}

/// Gadgetron's, but for the largest misfit, which Gadgetron does not look at.
impl Default for PocsOptions {
    fn default() -> Self {
        Self { n_iterations: 6, threshold: 0.01, transition: [16, 24, 24], max_misfit: 0.24 }
    }
}

/// How the iterations ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PocsOutcome {
    /// How many there were.
    pub n_iterations: usize,
    /// Relative change of the image in the last one.
    pub change: f64,
    /// How badly the smooth phase explains the acquired samples without a partner: the energy of
    /// what it leaves unexplained over theirs.
    pub misfit: f64,
    /// Share of the result in the image: 1 where the phase fits, 0 where it stayed as it was.
    pub weight: f64,
}

/// Fills the missing side of k-space of images whose phase is smooth.
///
/// # Method
/// The image takes the phase that the symmetric middle of k-space shows, k-space takes the
/// acquired samples back, and so on. At the end acquired samples fall into estimated ones over a
/// transition band. Only axes with missing samples are transformed: the projections commute with
/// the transform of the others.
///
/// Where the phase is not smooth (fat beside water, vessels), the image with the phase of the
/// middle does not have the acquired samples, and what it puts at the missing ones is worse than
/// nothing. The misfit tells: such an image stays zero-filled.
///
/// The image's scale stays. Where the zero-filled image had noise of standard deviation 1, the
/// noise in phase with the filled image has up to √((n + 3u) / n), with n acquired samples of which
/// u have no partner: the estimate repeats theirs ([`Pocs::noise_gain`]).
///
/// # Source
/// Haacke, Lindskog and Lin 1991.
#[derive(Clone, Debug)]
pub struct Pocs {
    acquired: [Acquired; 3],
    options: PocsOptions,
    phase_filters: Vec<(Axis, ThroughKSpace)>,
    /// Axes with missing samples.
    partial: Vec<usize>,
    /// Transform of these, as one row.
    plan: Plan,
    /// Weight of acquired samples in the result, as one row.
    transition: Vec<f32>,
    /// Whether a sample was acquired, as one row.
    is_acquired: Vec<bool>,
    /// Whether it was and its partner was not, as one row.
    is_unpaired: Vec<bool>,
}

impl Pocs {
    /// Plans images of which `acquired`, \[z, y, x\], was sampled.
    pub fn new(acquired: [Acquired; 3], options: PocsOptions) -> Self {
        let partial: Vec<usize> = (0..3).filter(|&axis| !acquired[axis].is_whole()).collect();
        let lengths: Vec<usize> = partial.iter().map(|&axis| acquired[axis].len()).collect();
        let axes: Vec<Axis> = (0..partial.len()).map(Axis).collect();
        let mut transition = vec![1.0];
        let mut is_acquired = vec![true];
        let mut is_paired = vec![true];
        for &axis in &partial {
            let weights = acquired[axis].transition(options.transition[axis]);
            transition =
                transition.iter().flat_map(|a| weights.iter().map(move |b| a * b)).collect();
            let (range, len) = (acquired[axis].range(), acquired[axis].len());
            is_acquired = outer_and(&is_acquired, len, |k| range.contains(&k));
            let reach = acquired[axis].n_paired();
            is_paired = outer_and(&is_paired, len, |k| k.abs_diff(len / 2) <= reach);
        }
        let is_unpaired =
            is_acquired.iter().zip(&is_paired).map(|(acquired, paired)| *acquired && !paired);
        let is_unpaired = is_unpaired.collect();
        Self {
            acquired,
            options,
            phase_filters: phase_filters(acquired),
            plan: Plan::new(&lengths, &axes),
            partial,
            transition,
            is_acquired,
            is_unpaired,
        }
    }

    /// By how much the standard deviation of the noise in phase with the image grows in so many
    /// iterations, as [`PocsOutcome`] counts them: divide by it to stay in units of SNR. Exact
    /// for one direction of partial Fourier but for the transition band.
    pub fn noise_gain(&self, n_iterations: usize) -> f64 {
        if n_iterations == 0 {
            return 1.0;
        }
        // An estimate is the mean of the one before and the acquired partner.
        let estimated = 1.0 - 0.5_f64.powf(n_iterations as f64);
        let power = |axis: &Acquired| {
            let n = axis.n_acquired() as f64;
            let n_unpaired = n - (2 * axis.n_paired() + 1) as f64;
            let gain = (1.0 + estimated).powi(2) - 1.0;
            1.0 + if axis.is_whole() { 0.0 } else { gain * n_unpaired / n }
        };
        self.acquired.iter().map(power).product::<f64>().sqrt()
    }

    /// Fills `image`, `[z, y, x]`.
    ///
    /// # Panics
    /// If its shape is not the plan's.
    pub fn run(&self, mut image: ArrayViewMut3<'_, Complex32>) -> PocsOutcome {
        assert_eq!(image.shape(), self.acquired.map(Acquired::len), "shape of the image");
        if self.partial.is_empty() || self.options.n_iterations == 0 || image.is_empty() {
            return PocsOutcome { n_iterations: 0, change: 0.0, misfit: 0.0, weight: 1.0 };
        }
        let phase = low_resolution_phase(image.view(), &self.phase_filters);
        let phase = self.rows(phase.view());
        let mut rows = self.rows(image.view());
        let row_len = self.row_len();
        let mut acquired = rows.clone();
        acquired.par_chunks_mut(row_len).for_each(|row| self.transform(Direction::Forward, row));
        let mut estimate = vec![Complex32::ZERO; rows.len()];

        let mut outcome =
            PocsOutcome { n_iterations: 0, change: f64::INFINITY, misfit: 0.0, weight: 1.0 };
        while outcome.n_iterations < self.options.n_iterations
            && outcome.change >= self.options.threshold
        {
            outcome.change = self.iterate(&mut rows, &phase, &acquired, &mut estimate);
            outcome.n_iterations += 1;
        }
        outcome.misfit = self.misfit(&estimate, &acquired);
        outcome.weight = self.weight_of(outcome.misfit);
        if outcome.weight == 0.0 {
            return outcome;
        }

        let share = outcome.weight as f32;
        let blend = |(estimate, acquired): (&mut [Complex32], &[Complex32])| {
            for ((value, acquired), weight) in
                estimate.iter_mut().zip(acquired).zip(&self.transition)
            {
                *value += (acquired - *value) * weight;
                *value = acquired + (*value - acquired) * share;
            }
            self.transform(Direction::Inverse, estimate);
        };
        estimate.par_chunks_mut(row_len).zip(acquired.par_chunks(row_len)).for_each(blend);
        self.put_back(&estimate, &mut image);
        outcome
    }

    /// One iteration over all rows; gives the relative change of the image.
    fn iterate(
        &self,
        rows: &mut [Complex32],
        phase: &[Complex32],
        acquired: &[Complex32],
        estimate: &mut [Complex32],
    ) -> f64 {
        let row_len = self.row_len();
        let sums: Vec<(f64, f64)> = rows
            .par_chunks_mut(row_len)
            .zip(phase.par_chunks(row_len))
            .zip(acquired.par_chunks(row_len))
            .zip(estimate.par_chunks_mut(row_len))
            .map_init(
                || vec![Complex32::ZERO; row_len],
                |next, (((row, phase), acquired), estimate)| {
                    for ((next, value), phase) in next.iter_mut().zip(&*row).zip(phase) {
                        *next = phase * value.norm_sqr().sqrt();
                    }
                    self.transform(Direction::Forward, next);
                    estimate.copy_from_slice(next);
                    for ((next, acquired), is_acquired) in
                        next.iter_mut().zip(acquired).zip(&self.is_acquired)
                    {
                        if *is_acquired {
                            *next = *acquired;
                        }
                    }
                    self.transform(Direction::Inverse, next);
                    let (mut difference, mut before) = (0.0_f64, 0.0_f64);
                    for (value, next) in row.iter().zip(&*next) {
                        difference += f64::from((next - value).norm_sqr());
                        before += f64::from(value.norm_sqr());
                    }
                    row.copy_from_slice(next);
                    (difference, before)
                },
            )
            .collect();
        // Added in the order of the rows, whoever computed them.
        let (difference, before) =
            sums.iter().fold((0.0, 0.0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
        if before > 0.0 { (difference / before).sqrt() } else { 0.0 }
    }

    /// Energy of the acquired samples without a partner that the estimate leaves, over theirs.
    fn misfit(&self, estimate: &[Complex32], acquired: &[Complex32]) -> f64 {
        let row_len = self.row_len();
        let rows = estimate.par_chunks(row_len).zip(acquired.par_chunks(row_len));
        let sums: Vec<(f64, f64)> = rows
            .map(|(estimate, acquired)| {
                let samples = estimate.iter().zip(acquired).zip(&self.is_unpaired);
                let unpaired = samples.filter(|(_, is_unpaired)| **is_unpaired);
                unpaired.fold((0.0, 0.0), |(left, all), ((estimate, acquired), _)| {
                    let difference = f64::from((estimate - acquired).norm_sqr());
                    (left + difference, all + f64::from(acquired.norm_sqr()))
                })
            })
            .collect();
        let (left, all) = sums.iter().fold((0.0, 0.0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
        if all > 0.0 { left / all } else { 0.0 }
    }

    fn weight_of(&self, misfit: f64) -> f64 {
        let limit = self.options.max_misfit;
        if limit > 0.0 && limit.is_finite() {
            ((limit - misfit) / (0.25 * limit)).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }

    fn row_len(&self) -> usize {
        self.transition.len()
    }

    fn transform(&self, direction: Direction, row: &mut [Complex32]) {
        if let Ok(block) = ArrayViewMutD::from_shape(self.plan.shape(), row) {
            self.plan.process(direction, block);
        }
    }

    /// Order of the axes with those that are whole first.
    fn order(&self) -> [usize; 3] {
        let mut order = [0, 1, 2];
        order.sort_by_key(|axis| self.partial.contains(axis));
        order
    }

    /// Pixels `[whole axes, partial axes]`.
    fn rows(&self, image: ArrayView3<'_, Complex32>) -> Vec<Complex32> {
        image.permuted_axes(self.order()).iter().copied().collect()
    }

    fn put_back(&self, rows: &[Complex32], image: &mut ArrayViewMut3<'_, Complex32>) {
        let ordered = image.view_mut().permuted_axes(self.order());
        for (pixel, value) in ordered.into_iter().zip(rows) {
            *pixel = *value;
        }
    }
}

/// Each of `rows` with each sample of a further axis.
fn outer_and(rows: &[bool], len: usize, of_sample: impl Fn(usize) -> bool) -> Vec<bool> {
    let of_axis: Vec<bool> = (0..len).map(of_sample).collect();
    rows.iter().flat_map(|a| of_axis.iter().map(move |b| *a && *b)).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::partial_fourier::testing::{Scene, zero_fill};

    fn check(acquired: [Acquired; 3], limit: f64) {
        let scene = Scene::new(acquired.map(Acquired::len));
        let zero_filled = zero_fill(&scene.truth, acquired);
        let mut filled = zero_filled.clone();
        let outcome = Pocs::new(acquired, PocsOptions::default()).run(filled.view_mut());
        let (before, after) = (scene.error(&zero_filled), scene.error(&filled));
        assert!(after < limit * before, "{acquired:?}: {after:.4} against {before:.4}");
        assert!(outcome.n_iterations >= 1 && outcome.n_iterations <= 6);
    }

    #[test]
    fn three_quarters_of_k_space_give_less_than_half_the_error_of_zero_filling() {
        let y = |first, last| Acquired::new(96, first, last).expect("a range");
        let whole = Acquired::whole(80);
        // Either side of the phase encoding.
        check([Acquired::whole(1), y(24, 95), whole], 0.5);
        check([Acquired::whole(1), y(0, 71), whole], 0.5);
        // Asymmetric echo.
        check([Acquired::whole(1), Acquired::whole(80), y(24, 95)], 0.5);
        // Partitions.
        check([Acquired::new(24, 6, 23).expect("a range"), Acquired::whole(40), whole], 0.5);
    }

    #[test]
    fn two_directions_at_once_are_better_than_zero_filling() {
        let quarter = Acquired::new(96, 24, 95).expect("a range");
        check([Acquired::whole(1), quarter, quarter], 0.8);
    }

    #[test]
    fn without_iterations_nothing_changes_and_nothing_is_held_back() {
        let acquired =
            [Acquired::whole(1), Acquired::new(32, 8, 31).expect("a range"), Acquired::whole(16)];
        let options = PocsOptions { n_iterations: 0, ..PocsOptions::default() };
        let before = zero_fill(&Scene::new([1, 32, 16]).truth, acquired);
        let mut image = before.clone();
        let outcome = Pocs::new(acquired, options).run(image.view_mut());
        assert_eq!((outcome.n_iterations, outcome.weight), (0, 1.0));
        assert_eq!(image, before);
    }

    #[test]
    fn a_phase_that_is_not_smooth_leaves_the_image_as_it_was() {
        let acquired =
            [Acquired::whole(1), Acquired::new(96, 24, 95).expect("a range"), Acquired::whole(80)];
        let mut scene = Scene::new([1, 96, 80]);
        let smooth = Pocs::new(acquired, PocsOptions::default())
            .run(zero_fill(&scene.truth, acquired).view_mut());
        assert!(smooth.weight == 1.0 && smooth.misfit < 0.1, "{smooth:?}");
        // Fat out of phase in stripes and squares, as fine as the missing lines.
        for ((_, y, x), value) in scene.truth.indexed_iter_mut() {
            if (y / 3 + x / 5) % 2 == 0 {
                *value *= Complex32::from_polar(1.0, 2.4);
            }
        }
        let zero_filled = zero_fill(&scene.truth, acquired);
        let run = |max_misfit| {
            let mut image = zero_filled.clone();
            let options = PocsOptions { max_misfit, ..PocsOptions::default() };
            let outcome = Pocs::new(acquired, options).run(image.view_mut());
            (outcome, image)
        };
        let (outcome, image) = run(PocsOptions::default().max_misfit);
        assert_eq!((outcome.weight, &image), (0.0, &zero_filled), "{outcome:?}");
        let (outcome, filled) = run(0.0);
        assert_eq!(outcome.weight, 1.0);
        assert!(scene.error(&filled) > scene.error(&zero_filled), "it would have been worse");
        // In between, in between.
        let (outcome, between) = run(outcome.misfit / 0.875);
        assert!((outcome.weight - 0.5).abs() < 1e-6, "{outcome:?}");
        let mean = (&filled + &zero_filled) * Complex32::new(0.5, 0.0);
        let difference = (&between - &mean).iter().map(|value| value.norm()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn acquired_samples_stay_outside_the_transition() {
        let acquired =
            [Acquired::whole(1), Acquired::new(64, 16, 63).expect("a range"), Acquired::whole(32)];
        let scene = Scene::new([1, 64, 32]);
        let mut filled = zero_fill(&scene.truth, acquired);
        Pocs::new(acquired, PocsOptions { transition: [4; 3], ..PocsOptions::default() })
            .run(filled.view_mut());
        let (mut before, mut after) = (scene.truth.clone(), filled);
        let plan = Plan::new(&[1, 64, 32], &[Axis(1)]);
        plan.forward(before.view_mut());
        plan.forward(after.view_mut());
        let scale = before.iter().map(|value| value.norm()).fold(0.0, f32::max);
        for y in 20..64 {
            for x in 0..32 {
                let difference = (before[[0, y, x]] - after[[0, y, x]]).norm();
                assert!(difference < 1e-5 * scale, "line {y}: {difference}");
            }
        }
    }

    #[test]
    fn the_noise_in_phase_with_the_image_grows_by_what_is_said() {
        let acquired =
            [Acquired::whole(1), Acquired::new(96, 24, 95).expect("a range"), Acquired::whole(64)];
        // The unpaired lines of this image are nothing but noise, which no phase explains.
        let pocs = |threshold| {
            let options = PocsOptions { threshold, max_misfit: 0.0, ..PocsOptions::default() };
            Pocs::new(acquired, options)
        };
        // n = 72 of which 23 have no partner: √(1 + 3 · 23 / 72).
        assert!((pocs(0.01).noise_gain(50) - 1.399).abs() < 0.001);
        // A bright even image: what changes is noise.
        let run = |pocs: &Pocs, noise: f32| {
            let mut state = 1_u32;
            let mut uniform = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            };
            // Uniform numbers of standard deviation 1.
            let mut next = || 12.0_f32.sqrt() * uniform();
            let image = Array3::from_shape_simple_fn((1, 96, 64), || {
                Complex32::new(300.0, 0.0) + Complex32::new(next(), next()) * noise
            });
            let mut image = zero_fill(&image, acquired);
            // In units of SNR: 72 of 96 lines.
            image.mapv_inplace(|value| value * (96.0_f32 / 72.0).sqrt());
            let outcome = pocs.run(image.view_mut());
            (image, outcome.n_iterations)
        };
        // The noise hardly changes a bright image: the usual threshold ends the iterations early.
        for (pocs, expected_iterations) in [(pocs(0.01), 1), (pocs(0.0), 6)] {
            let ((with, n_iterations), (without, _)) = (run(&pocs, 1.0), run(&pocs, 0.0));
            assert_eq!(n_iterations, expected_iterations);
            let power: f32 =
                with.iter().zip(&without).map(|(a, b)| (a.norm() - b.norm()).powi(2)).sum();
            let sd = f64::from(power / (96.0 * 64.0)).sqrt();
            // The transition band, and a phase that takes some of the noise.
            let expected = pocs.noise_gain(n_iterations);
            assert!((sd / expected - 1.0).abs() < 0.06, "{sd} for {expected}");
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit_and_whole_images_pass() {
        let acquired =
            [Acquired::whole(1), Acquired::new(64, 16, 63).expect("a range"), Acquired::whole(48)];
        let scene = Scene::new([1, 64, 48]);
        let zero_filled = zero_fill(&scene.truth, acquired);
        let pocs = Pocs::new(acquired, PocsOptions::default());
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let mut image = zero_filled.clone();
            pool.install(|| pocs.run(image.view_mut()));
            image
        };
        assert_eq!(on(1), on(8));
        let whole = [1, 64, 48].map(Acquired::whole);
        let mut image = scene.truth.clone();
        let outcome = Pocs::new(whole, PocsOptions::default()).run(image.view_mut());
        assert_eq!((outcome.n_iterations, image), (0, scene.truth));
        let mut black = Array3::zeros((1, 64, 48));
        pocs.run(black.view_mut());
        assert!(black.iter().all(|value| *value == Complex32::ZERO));
    }
}
