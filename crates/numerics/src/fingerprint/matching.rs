//! The T1 and T2 that pixels fit best.

use ndarray::ArrayView2;
use num_complex::Complex32;
use rayon::prelude::*;

use super::dictionary::Dictionary;
use super::interpolation::Stencil;

/// Pixels that are searched for side by side.
const LANES: usize = 16;
/// Every so many of the T1 and T2 of a grid are tried at first.
const COARSENESS: usize = 3;
/// Steps between the entries.
const MAX_STEPS: usize = 12;
/// A step as short as this, in logarithms of T1 and T2, is the last.
const LAST_STEP: f32 = 2e-5;

/// What is known beside the pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MatchOptions {
    /// Standard deviation of the noise in the real and in the imaginary part of each number;
    /// [`None`]: what the match leaves of the pixel tells it.
    pub noise_sd: Option<f32>,
}

/// What pixels match, one value for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches {
    /// T1; 0 for a pixel without signal.
    pub t1_ms: Vec<f32>,
    /// T2, at most T1; 0 for a pixel without signal.
    pub t2_ms: Vec<f32>,
    /// Equilibrium magnetisation, with the pixel's phase.
    pub m0: Vec<Complex32>,
    /// Standard deviation of T1; infinite at the edge of the dictionary.
    pub t1_sd_ms: Vec<f32>,
    /// Standard deviation of T2; infinite at the edge of the dictionary.
    pub t2_sd_ms: Vec<f32>,
    /// Part of the pixel that the entry explains, 0 to 1: the cosine between both.
    pub correlation: Vec<f32>,
    /// What is left, per real number and degree of freedom.
    pub residual_sd: Vec<f32>,
}

/// The match of one pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Match {
    t1_ms: f32,
    t2_ms: f32,
    m0: Complex32,
    t1_sd_ms: f32,
    t2_sd_ms: f32,
    correlation: f32,
    residual_sd: f32,
}

impl Dictionary {
    /// Matches pixels.
    ///
    /// * `pixels`: `[mode, pixel]`, with white noise.
    ///
    /// # Panics
    /// If the pixels have other modes than the dictionary.
    ///
    /// # Method
    /// The entry with the largest |⟨entry, pixel⟩|/|entry|, from every third T1 and T2, then from
    /// neighbour to neighbour; then between the entries, which cubic polynomials join, by
    /// Gauss-Newton steps on log T1 and log T2 with the amplitude eliminated (Kaufman 1975). The
    /// standard deviations are those of Cramér and Rao at the place found.
    ///
    /// # Source
    /// Ma et al. 2013 for the match.
    pub fn match_pixels(
        &self,
        pixels: ArrayView2<'_, Complex32>,
        options: &MatchOptions,
    ) -> Matches {
        let (n_modes, n_pixels) = pixels.dim();
        assert_eq!(n_modes, self.n_modes, "modes of the pixels");
        let search = Search::new(self);
        let groups: Vec<Vec<Match>> = (0..n_pixels.div_ceil(LANES))
            .into_par_iter()
            .map(|group| {
                let first = group * LANES;
                let n = LANES.min(n_pixels - first);
                let mut samples = vec![[[0.0_f32; LANES]; 2]; n_modes];
                for (mode, samples) in samples.iter_mut().enumerate() {
                    for lane in 0..n {
                        let value = pixels[[mode, first + lane]];
                        samples[0][lane] = value.re;
                        samples[1][lane] = value.im;
                    }
                }
                let mut best = [0_u32; LANES];
                search_coarsely(&search.units, n_modes, &samples, &mut best);
                (0..n)
                    .map(|lane| {
                        let pixel: Vec<Complex32> = samples
                            .iter()
                            .map(|[re, im]| Complex32::new(re[lane], im[lane]))
                            .collect();
                        search.refined(search.places[best[lane] as usize], &pixel, options)
                    })
                    .collect()
            })
            .collect();
        let all = || groups.iter().flatten();
        Matches {
            t1_ms: all().map(|found| found.t1_ms).collect(),
            t2_ms: all().map(|found| found.t2_ms).collect(),
            m0: all().map(|found| found.m0).collect(),
            t1_sd_ms: all().map(|found| found.t1_sd_ms).collect(),
            t2_sd_ms: all().map(|found| found.t2_sd_ms).collect(),
            correlation: all().map(|found| found.correlation).collect(),
            residual_sd: all().map(|found| found.residual_sd).collect(),
        }
    }
}

struct Search<'a> {
    dictionary: &'a Dictionary,
    log_t1: Vec<f32>,
    log_t2: Vec<f32>,
    /// The entries that are tried at first, `[t1, t2]`, and their numbers as unit vectors.
    places: Vec<[usize; 2]>,
    units: Vec<f32>,
}

/// The signal between entries, and how it changes.
#[derive(Default)]
struct Between {
    signal: Vec<f32>,
    by_log_t1: Vec<f32>,
    by_log_t2: Vec<f32>,
}

/// What there is at a place between the entries.
struct Fit {
    amplitude: Complex32,
    /// Of the pixel, what the signal explains.
    explained: f32,
    /// Of the sum of squares by log T1 and log T2.
    gradient: [f32; 2],
    /// \[11, 12, 22\].
    hessian: [f32; 3],
}

impl<'a> Search<'a> {
    fn new(dictionary: &'a Dictionary) -> Self {
        let logs = |values: &[f64]| values.iter().map(|value| value.ln() as f32).collect();
        let grid = dictionary.grid();
        let thinned = |n: usize| (0..n).filter(move |i| i % COARSENESS == COARSENESS / 2);
        let (n_t1, n_t2) = (grid.t1_ms().len(), grid.t2_ms().len());
        let places: Vec<[usize; 2]> = thinned(n_t1)
            .flat_map(|t1| thinned(n_t2).map(move |t2| [t1, t2]))
            .filter(|place| grid.is_entry(*place))
            .collect();
        // A grid whose T2 are all above its T1 has no entry.
        let places = if places.is_empty() { vec![[n_t1 - 1, 0]] } else { places };
        let units = places
            .iter()
            .flat_map(|place| {
                let entry = dictionary.entry(*place);
                let length = squares(entry).sqrt();
                let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
                entry.iter().map(move |value| factor * value)
            })
            .collect();
        let (log_t1, log_t2) = (logs(grid.t1_ms()), logs(grid.t2_ms()));
        Self { dictionary, log_t1, log_t2, places, units }
    }

    /// Square of the part of a pixel that lies along an entry.
    fn score(&self, place: [usize; 2], pixel: &[Complex32]) -> f32 {
        let entry = self.dictionary.entry(place);
        let along: Complex32 = entry.iter().zip(pixel).map(|(entry, pixel)| pixel * entry).sum();
        along.norm_sqr() / squares(entry).max(f32::MIN_POSITIVE)
    }

    /// The best entry in the neighbourhood of the neighbourhood…
    fn climbed(&self, mut place: [usize; 2], pixel: &[Complex32]) -> [usize; 2] {
        let grid = self.dictionary.grid();
        let n = [grid.t1_ms().len(), grid.t2_ms().len()];
        let mut score = self.score(place, pixel);
        // It grows with each step, so it ends.
        loop {
            let from = place;
            for t1 in from[0].saturating_sub(1)..=(from[0] + 1).min(n[0] - 1) {
                for t2 in from[1].saturating_sub(1)..=(from[1] + 1).min(n[1] - 1) {
                    if [t1, t2] == from || !grid.is_entry([t1, t2]) {
                        continue;
                    }
                    let other = self.score([t1, t2], pixel);
                    if other > score {
                        (place, score) = ([t1, t2], other);
                    }
                }
            }
            if place == from {
                return place;
            }
        }
    }

    fn refined(&self, coarse: [usize; 2], pixel: &[Complex32], options: &MatchOptions) -> Match {
        let energy: f32 = pixel.iter().map(|value| value.norm_sqr()).sum();
        if !(energy > 0.0 && energy.is_finite()) {
            return Match::default();
        }
        let [t1, t2] = self.climbed(coarse, pixel);
        let mut place = [self.log_t1[t1], self.log_t2[t2]];
        let mut between = Between::default();
        let mut fit = self.fit(place, pixel, &mut between);
        let mut damping = 1.0;
        for _ in 0..MAX_STEPS {
            let Some(step) = fit.step() else { break };
            let longest = step[0].abs().max(step[1].abs());
            // Not out of the neighbourhood at once.
            let factor = damping * (0.3 / longest).min(1.0);
            let next = self.inside([place[0] + factor * step[0], place[1] + factor * step[1]]);
            let moved = (next[0] - place[0]).abs().max((next[1] - place[1]).abs());
            if moved < LAST_STEP {
                break;
            }
            let trial = self.fit(next, pixel, &mut between);
            if trial.explained >= fit.explained {
                (place, fit, damping) = (next, trial, 1.0);
            } else {
                damping *= 0.3;
            }
        }
        let residual = (energy - fit.explained).max(0.0);
        // Amplitude, phase, T1 and T2 are taken from two numbers for each mode.
        let freedom = (2 * pixel.len()).saturating_sub(4).max(1) as f32;
        let residual_sd = (residual / freedom).sqrt();
        let sd = options.noise_sd.unwrap_or(residual_sd);
        let [t1_ms, t2_ms] = place.map(f32::exp);
        let [a, b, c] = fit.hessian;
        let determinant = a * c - b * b;
        let is_at_edge = self.is_at_edge(place);
        let spread = |cofactor: f32| {
            let variance = cofactor / determinant;
            if determinant > 0.0 && !is_at_edge { sd * variance.sqrt() } else { f32::INFINITY }
        };
        Match {
            t1_ms,
            t2_ms,
            m0: fit.amplitude,
            t1_sd_ms: t1_ms * spread(c),
            t2_sd_ms: t2_ms * spread(a),
            correlation: (fit.explained / energy).clamp(0.0, 1.0).sqrt(),
            residual_sd,
        }
    }

    /// The nearest place that the grid covers.
    fn inside(&self, [log_t1, log_t2]: [f32; 2]) -> [f32; 2] {
        let between = |value: f32, nodes: &[f32]| value.clamp(nodes[0], nodes[nodes.len() - 1]);
        let log_t1 = between(log_t1, &self.log_t1);
        [log_t1, between(log_t2, &self.log_t2).min(log_t1.max(self.log_t2[0]))]
    }

    fn is_at_edge(&self, [log_t1, log_t2]: [f32; 2]) -> bool {
        let touches = |value: f32, nodes: &[f32]| {
            value <= nodes[0] + LAST_STEP || value >= nodes[nodes.len() - 1] - LAST_STEP
        };
        touches(log_t1, &self.log_t1) || touches(log_t2, &self.log_t2)
    }

    fn fit(&self, place: [f32; 2], pixel: &[Complex32], between: &mut Between) -> Fit {
        self.interpolate(place, between);
        let Between { signal, by_log_t1, by_log_t2 } = between;
        let energy = squares(signal).max(f32::MIN_POSITIVE);
        let along: Complex32 = signal.iter().zip(pixel).map(|(signal, pixel)| pixel * signal).sum();
        let amplitude = along / energy;
        let dot = |a: &[f32]| -> f32 { a.iter().zip(&*signal).map(|(a, b)| a * b).sum() };
        let (share_1, share_2) = (dot(by_log_t1) / energy, dot(by_log_t2) / energy);
        let (mut gradient, mut hessian) = ([0.0; 2], [0.0; 3]);
        let parts = signal.iter().zip(by_log_t1.iter().zip(by_log_t2.iter())).zip(pixel);
        for ((signal, (by_log_t1, by_log_t2)), pixel) in parts {
            let left = pixel - amplitude * signal;
            let real = amplitude.re * left.re + amplitude.im * left.im;
            let across = [by_log_t1 - share_1 * signal, by_log_t2 - share_2 * signal];
            gradient[0] += across[0] * real;
            gradient[1] += across[1] * real;
            hessian[0] += across[0] * across[0];
            hessian[1] += across[0] * across[1];
            hessian[2] += across[1] * across[1];
        }
        let hessian = hessian.map(|value| value * amplitude.norm_sqr());
        Fit { amplitude, explained: along.norm_sqr() / energy, gradient, hessian }
    }

    fn interpolate(&self, place: [f32; 2], between: &mut Between) {
        let n_modes = self.dictionary.n_modes;
        let t1 = Stencil::at(&self.log_t1, place[0]);
        let t2 = Stencil::at(&self.log_t2, place[1]);
        for values in [&mut between.signal, &mut between.by_log_t1, &mut between.by_log_t2] {
            values.clear();
            values.resize(n_modes, 0.0);
        }
        for i in 0..4 {
            for j in 0..4 {
                let entry = self.dictionary.entry([t1.first + i, t2.first + j]);
                let value = t1.value[i] * t2.value[j];
                let slope_1 = t1.slope[i] * t2.value[j];
                let slope_2 = t1.value[i] * t2.slope[j];
                for (mode, entry) in entry.iter().enumerate() {
                    between.signal[mode] += value * entry;
                    between.by_log_t1[mode] += slope_1 * entry;
                    between.by_log_t2[mode] += slope_2 * entry;
                }
            }
        }
    }
}

impl Fit {
    /// The step of Gauss and Newton; [`None`] where the signal does not depend on both.
    fn step(&self) -> Option<[f32; 2]> {
        let [a, b, c] = self.hessian;
        let determinant = a * c - b * b;
        let [g, h] = self.gradient;
        (determinant > 0.0)
            .then(|| [(c * g - b * h) / determinant, (a * h - b * g) / determinant])
            .filter(|step| step.iter().all(|value| value.is_finite()))
    }
}

fn squares(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum()
}

/// For each pixel the unit vector that it has most of.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "x86_64+avx"))]
fn search_coarsely(
    units: &[f32],
    n_modes: usize,
    samples: &[[[f32; LANES]; 2]],
    best: &mut [u32; LANES],
) {
    let mut peak = [0.0_f32; LANES];
    for (entry, unit) in units.chunks_exact(n_modes.max(1)).enumerate() {
        let mut re = [0.0_f32; LANES];
        let mut im = [0.0_f32; LANES];
        for (value, samples) in unit.iter().zip(samples) {
            for lane in 0..LANES {
                re[lane] += value * samples[0][lane];
                im[lane] += value * samples[1][lane];
            }
        }
        for lane in 0..LANES {
            let score = re[lane] * re[lane] + im[lane] * im[lane];
            let is_better = score > peak[lane];
            peak[lane] = if is_better { score } else { peak[lane] };
            best[lane] = if is_better { entry as u32 } else { best[lane] };
        }
    }
}
