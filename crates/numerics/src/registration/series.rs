//! Motion of a series: each image is registered to its synthetic twin, coarse to fine.

use ndarray::{Array4, ArrayView3, ArrayView4, Axis};
use rayon::prelude::*;

use super::field::{Field, warp};
use super::flow::{Flow, FlowOptions, FlowRoom};
use super::support::kept_share;
use super::twin::{Subspaces, tiled_low_rank};
use crate::plane::{HALVING_NOISE_GAIN, Kernel, Size, SmoothingRoom, halve};

/// Of fewer images contrast cannot be told from motion by the images themselves.
pub const LEAST_OF_LOW_RANK: usize = 5;

/// What twins are told by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TwinModel {
    /// The few signals that all pixels of a place are made of, found in the series itself: any
    /// series of [`LEAST_OF_LOW_RANK`] images or more.
    #[default]
    LowRank,
    /// Signals that decay with one time each: short series of T2 or T2*.
    Decay,
}

/// How a series is registered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesOptions {
    /// The image whose pose is kept.
    pub reference: usize,
    /// What twins are told by.
    pub model: TwinModel,
    /// No displacement becomes longer, px.
    pub max_displacement_px: f32,
}

impl SeriesOptions {
    /// Registration to the pose of an image, up to 16 px.
    pub fn to(reference: usize) -> Self {
        Self { reference, model: TwinModel::default(), max_displacement_px: 16.0 }
    }
}

/// The motion of a series.
#[derive(Clone, Debug)]
pub struct SeriesMotion {
    /// Where in each image to look for what the reference shows: `[frame, 2, y, x]` as (dy, dx),
    /// px.
    pub fields: Array4<f32>,
    /// Smallest determinant of the fields' Jacobians; above 0 nothing is folded.
    pub least_jacobian: f32,
    /// Longest displacement, px.
    pub largest_px: f32,
    /// Root mean square of images and their twins' difference, without and with the fields, in
    /// the images' unit.
    pub residual: [f32; 2],
}

/// A part of the way: rounds of twins, each followed by steps towards them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// Halvings of the images.
    pub level: usize,
    pub n_rounds: usize,
    pub n_steps: usize,
    /// In pixels of the level, as all lengths here.
    pub window_px: f32,
    pub elastic_px: f32,
    pub rank: usize,
    pub tile_px: usize,
}

/// From nothing. A rank of two tells contrast from motion; a third direction in between takes up
/// what two do not tell, and tiles of few tissues at the end what a rank of three would take for
/// contrast although it is motion.
pub(super) const FROM_NOTHING: &[Stage] = &[
    Stage {
        level: 3,
        n_rounds: 6,
        n_steps: 4,
        window_px: 1.5,
        elastic_px: 1.0,
        rank: 2,
        tile_px: 4,
    },
    Stage {
        level: 2,
        n_rounds: 8,
        n_steps: 2,
        window_px: 2.0,
        elastic_px: 1.2,
        rank: 2,
        tile_px: 6,
    },
    Stage {
        level: 2,
        n_rounds: 3,
        n_steps: 2,
        window_px: 2.0,
        elastic_px: 1.2,
        rank: 3,
        tile_px: 6,
    },
    Stage {
        level: 1,
        n_rounds: 3,
        n_steps: 2,
        window_px: 3.0,
        elastic_px: 1.5,
        rank: 3,
        tile_px: 12,
    },
    Stage {
        level: 1,
        n_rounds: 8,
        n_steps: 2,
        window_px: 3.0,
        elastic_px: 1.0,
        rank: 2,
        tile_px: 6,
    },
    Stage {
        level: 0,
        n_rounds: 4,
        n_steps: 2,
        window_px: 5.0,
        elastic_px: 1.2,
        rank: 2,
        tile_px: 6,
    },
];

/// From fields that are right to a pixel or so.
pub(super) const FROM_FIELDS: &[Stage] = &[
    Stage {
        level: 2,
        n_rounds: 8,
        n_steps: 2,
        window_px: 2.0,
        elastic_px: 1.2,
        rank: 2,
        tile_px: 6,
    },
    Stage {
        level: 2,
        n_rounds: 3,
        n_steps: 2,
        window_px: 2.0,
        elastic_px: 1.2,
        rank: 3,
        tile_px: 6,
    },
    Stage {
        level: 1,
        n_rounds: 6,
        n_steps: 2,
        window_px: 3.0,
        elastic_px: 1.0,
        rank: 2,
        tile_px: 6,
    },
    Stage {
        level: 0,
        n_rounds: 3,
        n_steps: 2,
        window_px: 5.0,
        elastic_px: 1.2,
        rank: 2,
        tile_px: 6,
    },
];

/// What images are allowed to differ from their twins, over the image's bright end: signals are
/// not exactly of a low rank.
const MODEL_ERROR: f32 = 0.02;
/// Standard deviation of a pixel's motion where it is lost in noise, px.
pub(super) const MOTION_PX: f32 = 1.0;
/// Twins of leave-one-out have more noise than images.
const NOISE_OF_DIFFERENCE: f32 = 1.2;
/// Wide windows over narrow ones, and their weight.
pub(super) const WIDE: f32 = 2.5;
pub(super) const WIDE_WEIGHT: f32 = 1.0;
/// Steps are smoothed, px.
pub(super) const STEP_SMOOTHING_PX: f32 = 0.7;
/// Longest step, px of its level.
pub(super) const MAX_STEP_PX: f32 = 0.7;
/// Level and window at which motion must be supported, and by what share of the residual.
const SUPPORT_LEVEL: usize = 1;
const SUPPORT_WINDOW_PX: f32 = 5.0;
/// Twins that know contrast best: what they leave is motion or noise.
const SUPPORT_RANK: usize = 3;
const SUPPORT_TILE_PX: usize = 12;
const SERIES_GAIN: [f32; 2] = [0.15, 0.35];
const FRAME_GAIN: [f32; 2] = [0.1, 0.3];
/// No Jacobian is less.
const LEAST_JACOBIAN: f32 = 0.05;

/// Registers a series to the pose of its reference from nothing.
///
/// * `frames`: `[frame, y, x]`, with signs where they are known ([`super::signed_images`]).
/// * `times_ms`: of the frames; only [`TwinModel::Decay`] asks for them.
///
/// # Method
/// As Xue et al. 2012 (synthetic image estimation), with twins of a locally low rank that leave
/// the image itself out in place of a fitted recovery: signals of single-shot series differ from
/// a + b·exp(−t/T) by more than a low contrast's edges allow. Steps are those of symmetric
/// diffeomorphic demons (Vercauteren et al. 2009) in Gaussian windows (Lucas, Kanade 1981); after
/// each round fields are made relative to the reference's own. What lowers the residual by no
/// more than noise does is taken away at the end.
///
/// # Panics
/// If there is no frame `reference`, or not a time for each frame.
pub fn register_series(
    frames: ArrayView3<'_, f32>,
    times_ms: &[f64],
    options: &SeriesOptions,
) -> SeriesMotion {
    Registration::new(frames, times_ms, options, FROM_NOTHING).run(None, FROM_NOTHING)
}

/// Registers a series from fields that are nearly right, e.g. a network's.
///
/// * `start`: `[frame, 2, y, x]`, px.
///
/// # Panics
/// As [`register_series`], and if `start` has another shape.
pub fn refine_series(
    frames: ArrayView3<'_, f32>,
    times_ms: &[f64],
    options: &SeriesOptions,
    start: ArrayView4<'_, f32>,
) -> SeriesMotion {
    let (n_frames, n_y, n_x) = frames.dim();
    assert_eq!(start.dim(), (n_frames, 2, n_y, n_x), "a field for each frame");
    Registration::new(frames, times_ms, options, FROM_FIELDS).run(Some(start), FROM_FIELDS)
}

/// Registers a series whose twins are told by a model of its own, from fields that are nearly right,
/// e.g. rigid ones.
///
/// * `frames`: `[frame, y, x]`.
/// * `start`: `[frame, 2, y, x]`, px.
/// * `predict`: from the frames in the reference's pose, pixel by pixel in any order and number, to
///   what each should be as told by the others.
///
/// # Panics
/// As [`refine_series`].
pub fn register_predicted(
    frames: ArrayView3<'_, f32>,
    options: &SeriesOptions,
    start: ArrayView4<'_, f32>,
    predict: &Predict<'_>,
) -> SeriesMotion {
    let (n_frames, n_y, n_x) = frames.dim();
    assert_eq!(start.dim(), (n_frames, 2, n_y, n_x), "a field for each frame");
    let times_ms = vec![0.0; n_frames];
    let mut registration = Registration::new(frames, &times_ms, options, OF_A_MODEL);
    registration.predict = Some(predict);
    registration.run(Some(start), OF_A_MODEL)
}

/// What frames should be as the others tell: \[frame\]\[pixel\].
pub type Predict<'a> = dyn Fn(&[Vec<f32>]) -> Vec<Vec<f32>> + Sync + 'a;

/// With twins by a model: rank and tile do not matter.
const OF_A_MODEL: &[Stage] = &[
    Stage {
        level: 2,
        n_rounds: 3,
        n_steps: 2,
        window_px: 2.0,
        elastic_px: 1.2,
        rank: 0,
        tile_px: 0,
    },
    Stage {
        level: 1,
        n_rounds: 2,
        n_steps: 2,
        window_px: 3.0,
        elastic_px: 1.5,
        rank: 0,
        tile_px: 0,
    },
];

/// Images of one level.
struct Level {
    size: Size,
    images: Vec<Vec<f32>>,
    noise_sd: f32,
}

pub(super) struct Registration<'a> {
    size: Size,
    levels: Vec<Level>,
    times_ms: &'a [f64],
    options: &'a SeriesOptions,
    /// Tells twins where the series has a model of its own.
    predict: Option<&'a Predict<'a>>,
    /// Model error in the images' unit.
    floor: f32,
}

impl<'a> Registration<'a> {
    pub fn new(
        frames: ArrayView3<'_, f32>,
        times_ms: &'a [f64],
        options: &'a SeriesOptions,
        stages: &[Stage],
    ) -> Self {
        let (n_frames, n_y, n_x) = frames.dim();
        assert!(options.reference < n_frames, "a frame that is there");
        assert_eq!(times_ms.len(), n_frames, "a time for each frame");
        let size = Size { n_y, n_x };
        let images: Vec<Vec<f32>> = frames
            .axis_iter(Axis(0))
            .map(|frame| {
                frame.iter().map(|value| if value.is_finite() { *value } else { 0.0 }).collect()
            })
            .collect();
        let mut sds: Vec<f32> = images.par_iter().map(|image| noise_sd(image, size)).collect();
        let middle = sds.len() / 2;
        let noise_sd = *sds.select_nth_unstable_by(middle, f32::total_cmp).1;
        let mut bright: Vec<f32> = images[options.reference].iter().map(|v| v.abs()).collect();
        let place = bright.len() * 9 / 10;
        let bright = *bright.select_nth_unstable_by(place, f32::total_cmp).1;
        let coarsest = stages.iter().map(|stage| stage.level).max().unwrap_or(0).max(SUPPORT_LEVEL);
        let mut levels = vec![Level { size, images, noise_sd }];
        for _ in 0..coarsest {
            let finer = &levels[levels.len() - 1];
            levels.push(Level {
                size: finer.size.halved(),
                images: finer.images.par_iter().map(|image| halve(image, finer.size)).collect(),
                noise_sd: finer.noise_sd * HALVING_NOISE_GAIN,
            });
        }
        Self { size, levels, times_ms, options, predict: None, floor: MODEL_ERROR * bright }
    }

    pub fn run(&self, start: Option<ArrayView4<'_, f32>>, stages: &[Stage]) -> SeriesMotion {
        let first = stages.first().map_or(SUPPORT_LEVEL, |stage| stage.level);
        let mut at = first;
        let mut fields = self.start(start, first);
        for stage in stages {
            self.change_level(&mut fields, &mut at, stage.level);
            self.stage(stage, &mut fields);
        }
        self.change_level(&mut fields, &mut at, SUPPORT_LEVEL);
        let residual = self.shrink(&mut fields, SUPPORT_RANK, SUPPORT_TILE_PX);
        self.change_level(&mut fields, &mut at, 0);
        self.finish(fields, residual)
    }

    fn start(&self, start: Option<ArrayView4<'_, f32>>, level: usize) -> Vec<Field> {
        let Some(start) = start else {
            return vec![Field::zero(self.levels[level].size); self.levels[0].images.len()];
        };
        let limit = self.options.max_displacement_px;
        start
            .axis_iter(Axis(0))
            .map(|field| {
                let plane = |component| {
                    field
                        .index_axis(Axis(0), component)
                        .iter()
                        .map(|v| if v.is_finite() { v.clamp(-limit, limit) } else { 0.0 })
                        .collect()
                };
                let mut field = Field { size: self.size, dy: plane(0), dx: plane(1) };
                for _ in 0..level {
                    field = field.halved();
                }
                field
            })
            .collect()
    }

    /// Brings fields to another level.
    fn change_level(&self, fields: &mut [Field], at: &mut usize, level: usize) {
        while *at > level {
            *at -= 1;
            let size = self.levels[*at].size;
            fields.par_iter_mut().for_each(|field| *field = field.doubled(size));
        }
        while *at < level {
            *at += 1;
            fields.par_iter_mut().for_each(|field| *field = field.halved());
        }
    }

    /// Standard deviation of the difference of an image and its twin.
    fn difference_sd(&self, level: usize) -> f32 {
        (NOISE_OF_DIFFERENCE * self.levels[level].noise_sd).hypot(self.floor)
    }

    fn stage(&self, stage: &Stage, fields: &mut [Field]) {
        let level = &self.levels[stage.level];
        let flow = Flow::new(FlowOptions {
            window_px: stage.window_px,
            wide_px: WIDE * stage.window_px,
            wide_weight: WIDE_WEIGHT,
            motion_px: MOTION_PX,
            smooth_px: STEP_SMOOTHING_PX,
            elastic_px: stage.elastic_px,
            max_step_px: MAX_STEP_PX,
        });
        let noise_sd = self.difference_sd(stage.level);
        for _ in 0..stage.n_rounds {
            let twins = self.twins(stage.level, fields, stage.rank, stage.tile_px);
            fields.par_iter_mut().enumerate().for_each_init(
                || FlowRoom::new(level.size),
                |room, (frame, field)| {
                    let (image, twin) = (&level.images[frame], &twins[frame]);
                    flow.run(image, twin, noise_sd, stage.n_steps, field, room);
                },
            );
            self.recentre(fields);
        }
    }

    /// The twin of each frame in the reference's pose.
    fn twins(&self, level: usize, fields: &[Field], rank: usize, tile_px: usize) -> Vec<Vec<f32>> {
        let Level { size, images, .. } = &self.levels[level];
        let warped: Vec<Vec<f32>> = images
            .par_iter()
            .zip(fields)
            .map(|(image, field)| {
                let mut out = vec![0.0; size.len()];
                warp(image, field, &mut out);
                out
            })
            .collect();
        let n_frames = images.len();
        if let Some(predict) = self.predict {
            return predict(&warped);
        }
        match self.options.model {
            TwinModel::Decay => {
                let weights = vec![1.0; n_frames];
                let longest = self.times_ms.iter().copied().fold(1.0, f64::max);
                let relaxation: Vec<f64> =
                    (0..32).map(|n| 0.1 * longest * 100.0_f64.powf(f64::from(n) / 31.0)).collect();
                let curves = Subspaces::exponential(self.times_ms, &relaxation, false, &weights);
                curves.predict(&warped, n_frames > 2)
            }
            TwinModel::LowRank => {
                let rank = rank.min(n_frames.saturating_sub(2)).max(1);
                tiled_low_rank(&warped, *size, tile_px, rank, 1, n_frames > 2)
            }
        }
    }

    /// Makes all fields relative to the pose of the reference.
    fn recentre(&self, fields: &mut [Field]) {
        let reference = self.options.reference;
        let undo = fields[reference].inverse();
        fields.par_iter_mut().enumerate().for_each(|(frame, field)| {
            *field = if frame == reference { Field::zero(field.size) } else { field.after(&undo) };
        });
    }

    /// Takes away what images do not support, and gives the residuals without fields and with.
    fn shrink(&self, fields: &mut [Field], rank: usize, tile_px: usize) -> [f32; 2] {
        let level = &self.levels[SUPPORT_LEVEL];
        let still = vec![Field::zero(level.size); fields.len()];
        let still_twins = self.twins(SUPPORT_LEVEL, &still, rank, tile_px);
        let without = self.squares(&still, &still_twins);
        let twins = self.twins(SUPPORT_LEVEL, fields, rank, tile_px);
        let with = self.squares(fields, &twins);
        let window = Kernel::gaussian(SUPPORT_WINDOW_PX);
        let variance = self.difference_sd(SUPPORT_LEVEL).powi(2);
        // First of the series as a whole, against the series as it would be if nothing moved.
        let mut room = SmoothingRoom::default();
        let floor = fields.len() as f32 * variance;
        let kept = kept_share(
            sum(&without),
            sum(&with),
            level.size,
            &window,
            SERIES_GAIN,
            floor,
            &mut room,
        );
        // Then of each image, against its twin.
        fields.par_iter_mut().enumerate().for_each_init(
            SmoothingRoom::default,
            |room, (frame, field)| {
                let (image, twin) = (&level.images[frame], &twins[frame]);
                let unmoved = image.iter().zip(twin).map(|(a, b)| (a - b) * (a - b)).collect();
                let own = kept_share(
                    unmoved,
                    with[frame].clone(),
                    level.size,
                    &window,
                    FRAME_GAIN,
                    variance,
                    room,
                );
                for (n, (dy, dx)) in field.dy.iter_mut().zip(&mut field.dx).enumerate() {
                    *dy *= kept[n] * own[n];
                    *dx *= kept[n] * own[n];
                }
            },
        );
        [root_mean(&without), root_mean(&with)]
    }

    /// Squared differences of warped images and their twins at the level of support.
    fn squares(&self, fields: &[Field], twins: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let Level { size, images, .. } = &self.levels[SUPPORT_LEVEL];
        images
            .par_iter()
            .zip(fields)
            .zip(twins)
            .map(|((image, field), twin)| {
                let mut out = vec![0.0; size.len()];
                warp(image, field, &mut out);
                out.iter_mut().zip(twin).for_each(|(value, twin)| *value = (*value - twin).powi(2));
                out
            })
            .collect()
    }

    /// The guards, and the result as one array.
    fn finish(&self, mut fields: Vec<Field>, residual: [f32; 2]) -> SeriesMotion {
        let limit = self.options.max_displacement_px;
        fields.par_iter_mut().for_each(|field| {
            limited(field, limit);
            unfold(field);
        });
        let jacobians = fields.iter().map(Field::least_jacobian);
        let least_jacobian = jacobians.fold(f32::INFINITY, f32::min);
        let largest_px = fields.iter().map(Field::largest).fold(0.0, f32::max);
        let Size { n_y, n_x } = self.size;
        let mut array = Array4::zeros((fields.len(), 2, n_y, n_x));
        for (field, mut target) in fields.iter().zip(array.axis_iter_mut(Axis(0))) {
            let values = field.dy.iter().chain(&field.dx);
            target.iter_mut().zip(values).for_each(|(target, value)| *target = *value);
        }
        SeriesMotion { fields: array, least_jacobian, largest_px, residual }
    }
}

fn sum(planes: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vec![0.0; planes.first().map_or(0, Vec::len)];
    for plane in planes {
        sum.iter_mut().zip(plane).for_each(|(sum, value)| *sum += value);
    }
    sum
}

/// Makes displacements no longer than `limit` px.
pub(super) fn limited(field: &mut Field, limit: f32) {
    for (dy, dx) in field.dy.iter_mut().zip(&mut field.dx) {
        let kept = limit / (*dy * *dy + *dx * *dx).sqrt().max(limit);
        *dy *= kept;
        *dx *= kept;
    }
}

pub(super) fn root_mean(squares: &[Vec<f32>]) -> f32 {
    let n: usize = squares.iter().map(Vec::len).sum();
    let sum: f64 = squares.iter().flatten().map(|square| f64::from(*square)).sum();
    (sum / n.max(1) as f64).sqrt() as f32
}

/// Smooths a field until nothing is folded.
pub(super) fn unfold(field: &mut Field) {
    let mut room = SmoothingRoom::default();
    for n in 0..6 {
        if field.least_jacobian() >= LEAST_JACOBIAN {
            return;
        }
        field.smooth(&Kernel::gaussian(2.0 * 1.5_f32.powi(n)), &mut room);
    }
    if field.least_jacobian() < LEAST_JACOBIAN {
        *field = Field::zero(field.size);
    }
}

/// Standard deviation of white noise: median absolute difference of diagonal neighbours
/// (Donoho and Johnstone 1994).
fn noise_sd(image: &[f32], size: Size) -> f32 {
    let mut differences = Vec::with_capacity(size.len() / 4);
    for y in (0..size.n_y.saturating_sub(1)).step_by(2) {
        for x in (0..size.n_x.saturating_sub(1)).step_by(2) {
            let at = y * size.n_x + x;
            let below = at + size.n_x;
            let difference = image[at] - image[at + 1] - image[below] + image[below + 1];
            differences.push(0.5 * difference.abs());
        }
    }
    if differences.is_empty() {
        return 0.0;
    }
    let middle = differences.len() / 2;
    *differences.select_nth_unstable_by(middle, f32::total_cmp).1 / 0.6745
}
