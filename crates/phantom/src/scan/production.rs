//! Makes the readouts of a plan, with the k-space that several of them share kept as long as it
//! is needed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ndarray::{Array2, Array3, Array4, ArrayView3, s};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::SimulatedScan;
use super::plan::{Content, Readout, Sampling};
use crate::k_space::{CartesianSampler, PointSampler};
use crate::object::Component;

/// Samples of some positions of a moment with amplitude 1: `[ellipse, channel, sample]`.
type Basis = Array3<Complex32>;

/// Where a readout's samples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    /// All lines of a content.
    Frame(Content),
    /// All lines of each ellipse of a moment.
    Ellipses(usize),
    /// Some positions of each ellipse of a moment.
    Points { moment: usize, positions: usize },
    /// Some positions of an object on pixels.
    Pixels { content: Content, positions: usize },
}

/// What takes memory.
#[derive(PartialEq, Eq, Hash)]
enum Kept {
    Source(Source),
    Slice(usize),
}

/// K-space that was made for a [`Source`].
enum Made {
    /// `[line, channel, sample]`.
    Frame(Array3<Complex32>),
    /// `[ellipse, line, channel, sample]`.
    Ellipses(Array4<Complex32>),
    Points(Basis),
    /// `[channel, sample]`.
    Pixels(Array2<Complex32>),
}

/// The samplers of one slice.
pub(super) struct Samplers {
    pub cartesian: CartesianSampler,
    pub points: PointSampler,
}

/// K-space on the way from a plan to readouts.
pub(super) struct Production<'a> {
    scan: &'a SimulatedScan,
    /// Moments whose amplitudes change from line to line.
    line_by_line: Vec<bool>,
    /// Index of the last readout that needs a source.
    last_use: HashMap<Source, usize>,
    made: HashMap<Source, Made>,
    /// Index of the last readout of a slice.
    last_of_slice: HashMap<usize, usize>,
    samplers: HashMap<usize, Arc<Samplers>>,
}

impl<'a> Production<'a> {
    pub(super) fn new(scan: &'a SimulatedScan) -> Self {
        let line_by_line = line_by_line(scan);
        let mut production = Self {
            scan,
            line_by_line,
            last_use: HashMap::new(),
            made: HashMap::new(),
            last_of_slice: HashMap::new(),
            samplers: HashMap::new(),
        };
        for (index, readout) in scan.plan.readouts.iter().enumerate() {
            if let Some(source) = production.source(readout) {
                production.last_use.insert(source, index);
                production.last_of_slice.insert(production.slice(source), index);
            }
        }
        production
    }

    /// Samples of the readouts from `first` on, without noise: `[channel, sample]` each.
    pub(super) fn batch(&mut self, first: usize, last: usize) -> Vec<Array2<Complex32>> {
        let readouts = &self.scan.plan.readouts[first..last];
        self.prepare(readouts);
        let samples = readouts
            .par_iter()
            .map(|readout| {
                let mut samples = self.samples(readout);
                if readout.phase_rad != 0.0 {
                    let turn = Complex64::cis(readout.phase_rad);
                    let turn = Complex32::new(turn.re as f32, turn.im as f32);
                    samples.mapv_inplace(|sample| sample * turn);
                }
                samples
            })
            .collect();
        let (last_use, last_of_slice) = (&self.last_use, &self.last_of_slice);
        self.made.retain(|source, _| last_use[source] >= last);
        self.samplers.retain(|slice, _| last_of_slice[slice] >= last);
        samples
    }

    /// Most bytes of k-space and coil maps that are kept at a time.
    pub(super) fn peak_bytes(&self) -> usize {
        let readouts = &self.scan.plan.readouts;
        let mut change = vec![0_isize; readouts.len() + 1];
        let mut seen = HashSet::new();
        for (first, readout) in readouts.iter().enumerate() {
            let Some(source) = self.source(readout) else { continue };
            if seen.insert(Kept::Source(source)) {
                let bytes = self.bytes(source) as isize;
                change[first] += bytes;
                change[self.last_use[&source] + 1] -= bytes;
            }
            let slice = self.slice(source);
            if seen.insert(Kept::Slice(slice)) {
                let bytes = self.sampler_bytes() as isize;
                change[first] += bytes;
                change[self.last_of_slice[&slice] + 1] -= bytes;
            }
        }
        let mut kept = 0;
        let running = change.into_iter().map(|step| {
            kept += step;
            kept
        });
        usize::try_from(running.max().unwrap_or(0)).unwrap_or(0)
    }

    fn bytes(&self, source: Source) -> usize {
        let setup = &self.scan.setup;
        let per_sample = setup.n_channels * size_of::<Complex32>();
        let frame = setup.matrix_size[1] * setup.grid().n_samples() * per_sample;
        let positions = &self.scan.plan.sample_positions;
        match source {
            Source::Frame(_) => frame,
            Source::Ellipses(moment) => self.n_ellipses(moment) * frame,
            Source::Points { moment, positions: set } => {
                self.n_ellipses(moment) * positions.n_samples(set) * per_sample
            }
            Source::Pixels { positions: set, .. } => positions.n_samples(set) * per_sample,
        }
    }

    /// Coil maps on the refined grid, two by two for a sample.
    fn sampler_bytes(&self) -> usize {
        let setup = &self.scan.setup;
        let n_samples = setup.grid().n_samples().max(2 * setup.matrix_size[0]);
        2 * setup.matrix_size[1] * n_samples * setup.n_channels * size_of::<Complex32>()
    }

    fn n_ellipses(&self, moment: usize) -> usize {
        self.scan.bodies[self.scan.plan.moments[moment].slice].n_ellipses()
    }

    fn slice(&self, source: Source) -> usize {
        let of_content = |content| match content {
            Content::Noise => 0,
            Content::Body { moment, .. } => self.scan.plan.moments[moment].slice,
            Content::Pixels { slice, .. } => slice,
        };
        match source {
            Source::Frame(content) | Source::Pixels { content, .. } => of_content(content),
            Source::Ellipses(moment) | Source::Points { moment, .. } => {
                self.scan.plan.moments[moment].slice
            }
        }
    }

    fn samplers(&mut self, slice: usize) -> Arc<Samplers> {
        let known = self.samplers.entry(slice).or_insert_with(|| self.scan.samplers(slice));
        Arc::clone(known)
    }

    /// Pieces of k-space that are kept.
    #[cfg(test)]
    pub(super) fn n_kept(&self) -> usize {
        self.made.len()
    }

    fn source(&self, readout: &Readout) -> Option<Source> {
        let content = readout.content;
        Some(match (content, readout.sampling) {
            (Content::Noise, _) => return None,
            (Content::Body { moment, .. }, Sampling::Line { .. }) => {
                if self.line_by_line[moment] {
                    Source::Ellipses(moment)
                } else {
                    Source::Frame(content)
                }
            }
            (Content::Pixels { .. }, Sampling::Line { .. }) => Source::Frame(content),
            (Content::Body { moment, .. }, Sampling::Points { positions, .. }) => {
                Source::Points { moment, positions }
            }
            (Content::Pixels { .. }, Sampling::Points { positions, .. }) => {
                Source::Pixels { content, positions }
            }
        })
    }

    /// Makes what the readouts need and is not there. Each piece is made on all threads.
    fn prepare(&mut self, readouts: &[Readout]) {
        let mut missing: Vec<Source> = Vec::new();
        for readout in readouts {
            if let Some(source) = self.source(readout)
                && !self.made.contains_key(&source)
                && !missing.contains(&source)
            {
                missing.push(source);
            }
        }
        // Positions of one moment or object are sampled together: that saves transforms.
        let mut points: Vec<(Source, Vec<usize>)> = Vec::new();
        for source in missing {
            let (same, positions) = match source {
                Source::Frame(content) => {
                    let made = Made::Frame(self.frame(content));
                    self.made.insert(source, made);
                    continue;
                }
                Source::Ellipses(moment) => {
                    let made = self.samplers(self.scan.plan.moments[moment].slice);
                    let ellipses: Vec<_> =
                        self.unit_components(moment).iter().map(|part| part.ellipse).collect();
                    let made = Made::Ellipses(made.cartesian.basis(&ellipses));
                    self.made.insert(source, made);
                    continue;
                }
                Source::Points { moment, positions } => {
                    (Source::Points { moment, positions: 0 }, positions)
                }
                Source::Pixels { content, positions } => {
                    (Source::Pixels { content, positions: 0 }, positions)
                }
            };
            match points.iter_mut().find(|(other, _)| *other == same) {
                Some((_, all)) => all.push(positions),
                None => points.push((same, vec![positions])),
            }
        }
        for (source, positions) in points {
            self.make_points(source, &positions);
        }
    }

    fn make_points(&mut self, source: Source, sets: &[usize]) {
        let plan = &self.scan.plan;
        let k_per_mm: Vec<[f64; 2]> =
            sets.iter().flat_map(|&set| plan.sample_positions.get(set).into_owned()).collect();
        let mut first = 0;
        let mut range = |set: usize| {
            let start = first;
            first += plan.sample_positions.n_samples(set);
            start..first
        };
        match source {
            Source::Points { moment, .. } => {
                let samplers = self.samplers(plan.moments[moment].slice);
                let ellipses: Vec<_> =
                    self.unit_components(moment).iter().map(|part| part.ellipse).collect();
                let basis = samplers.points.basis(&ellipses, &k_per_mm);
                for &positions in sets {
                    let part = basis.slice(s![.., .., range(positions)]).to_owned();
                    self.made.insert(Source::Points { moment, positions }, Made::Points(part));
                }
            }
            Source::Pixels { content, .. } => {
                let (slice, object) = self.scan.object(content);
                let samples = self.samplers(slice).points.samples(&object, &k_per_mm);
                for &positions in sets {
                    let part = samples.slice(s![.., range(positions)]).to_owned();
                    self.made.insert(Source::Pixels { content, positions }, Made::Pixels(part));
                }
            }
            Source::Frame(_) | Source::Ellipses(_) => unreachable!("no positions"),
        }
    }

    fn frame(&mut self, content: Content) -> Array3<Complex32> {
        let (slice, object) = self.scan.object(content);
        self.samplers(slice).cartesian.k_space(&object)
    }

    /// The parts of a moment.
    fn unit_components(&self, moment: usize) -> Vec<Component> {
        let moment = self.scan.plan.moments[moment];
        let body = &self.scan.bodies[moment.slice];
        body.components(&moment.pose, &vec![Complex64::ONE; body.n_signals()])
    }

    fn amplitudes(&self, moment: usize, signals: usize) -> Vec<Complex32> {
        let plan = &self.scan.plan;
        let moment = plan.moments[moment];
        self.scan.bodies[moment.slice]
            .components(&moment.pose, &plan.signals[signals])
            .iter()
            .map(|part| Complex32::new(part.amplitude.re as f32, part.amplitude.im as f32))
            .collect()
    }

    fn samples(&self, readout: &Readout) -> Array2<Complex32> {
        let Some(source) = self.source(readout) else {
            let n_samples = self.scan.setup.grid().n_samples();
            return Array2::zeros((self.scan.setup.n_channels, n_samples));
        };
        let made = &self.made[&source];
        let signals = |content| match content {
            Content::Body { moment, signals } => self.amplitudes(moment, signals),
            Content::Noise | Content::Pixels { .. } => unreachable!("no regions"),
        };
        match (made, readout.sampling) {
            (Made::Frame(k_space), Sampling::Line { line, first_sample }) => {
                k_space.slice(s![line, .., first_sample..]).to_owned()
            }
            (Made::Ellipses(basis), Sampling::Line { line, first_sample }) => {
                let basis = basis.slice(s![.., line, .., first_sample..]);
                weighted_sum(basis, &signals(readout.content))
            }
            (Made::Points(basis), Sampling::Points { .. }) => {
                weighted_sum(basis.view(), &signals(readout.content))
            }
            (Made::Pixels(samples), Sampling::Points { .. }) => samples.clone(),
            _ => unreachable!("lines come from frames and positions from points"),
        }
    }
}

/// Σ weight · basis over the first axis.
fn weighted_sum(basis: ArrayView3<'_, Complex32>, weights: &[Complex32]) -> Array2<Complex32> {
    let (_, n_channels, n_samples) = basis.dim();
    let mut sum = Array2::zeros((n_channels, n_samples));
    for (part, &weight) in basis.outer_iter().zip(weights) {
        sum.scaled_add(weight, &part);
    }
    sum
}

/// Whether a moment has more sets of signals on its lines than ellipses: then it is cheaper to
/// transform each ellipse once.
fn line_by_line(scan: &SimulatedScan) -> Vec<bool> {
    let mut rows = vec![Vec::new(); scan.plan.moments.len()];
    for readout in &scan.plan.readouts {
        if let (Content::Body { moment, signals }, Sampling::Line { .. }) =
            (readout.content, readout.sampling)
            && rows[moment].last() != Some(&signals)
        {
            rows[moment].push(signals);
        }
    }
    rows.into_iter()
        .zip(&scan.plan.moments)
        .map(|(mut rows, moment)| {
            rows.sort_unstable();
            rows.dedup();
            rows.len() > scan.bodies[moment.slice].n_ellipses()
        })
        .collect()
}
