//! Rigid motion of one organ through a series, by twins that a model tells.

use ndarray::{Array4, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

use super::field::{Field, sample, warp};
use crate::plane::Size;

/// A rotation about a centre, then a shift: where in a frame to look for what the reference shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RigidMotion {
    /// Along y, px.
    pub dy_px: f32,
    /// Along x, px.
    pub dx_px: f32,
    /// From x towards y.
    pub angle_rad: f32,
}

/// Twins of frames `[frame][pixel]` from which the motions told so far have been taken out; only
/// pixels of the window are given.
pub type PredictMoved<'a> = dyn Fn(&[Vec<f32>], &[RigidMotion]) -> Vec<Vec<f32>> + Sync + 'a;

/// How rigid motion is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RigidOptions {
    /// Centre of the organ, y and x, px.
    pub center_px: [f32; 2],
    /// No shift becomes longer, px.
    pub max_shift_px: f32,
    /// No rotation becomes larger.
    pub max_angle_rad: f32,
}

/// Twins are told anew so many times.
const N_ROUNDS: usize = 6;
/// Means are made anew so many times before.
const N_MEANS: usize = 2;
const N_STEPS: usize = 4;
/// Standard deviations of what is likely: px, and rad.
const LIKELY: [f64; 3] = [4.0, 4.0, 0.06];
/// Shifts by whole pixels have to be better than none by this share.
const LEAST_GAIN: f64 = 0.002;

/// Rigid motion of the frames inside a window.
///
/// * `frames`: `[frame, y, x]`.
/// * `window`: `[y, x]`, 0 to 1: what belongs to the organ.
/// * `is_alike`: which frames have nearly one contrast, so that their mean is a twin of each.
/// * `predict`: tells the twins; it is given the motions because a contrast that depends on the
///   direction in the scanner turns in the organ when that turns.
///
/// The pose that is kept is the mean one of the frames that are alike.
///
/// # Method
/// Frames that are alike go to their own mean, by whole pixels of the best correlation and
/// Gauss-Newton steps for shift and rotation with the gain left free; the others to that mean by
/// mutual information; then all to the twins of the model, told anew after each round.
///
/// # Panics
/// If window and frames have different shapes, or `is_alike` another number of frames.
pub fn register_rigid(
    frames: ArrayView3<'_, f32>,
    window: ArrayView2<'_, f32>,
    is_alike: &[bool],
    options: &RigidOptions,
    predict: &PredictMoved<'_>,
) -> Vec<RigidMotion> {
    let (n_frames, n_y, n_x) = frames.dim();
    assert_eq!(window.dim(), (n_y, n_x), "a window of the frames' shape");
    assert_eq!(is_alike.len(), n_frames, "a word for each frame");
    let size = Size { n_y, n_x };
    let finite = |value: &f32| if value.is_finite() { *value } else { 0.0 };
    let images: Vec<Vec<f32>> =
        frames.axis_iter(Axis(0)).map(|frame| frame.iter().map(finite).collect()).collect();
    // Only pixels of the window count.
    let inside: Vec<(usize, f64)> = window
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(at, weight)| (at, f64::from(*weight)))
        .collect();
    let mut motions = vec![RigidMotion::default(); n_frames];
    if inside.is_empty() {
        return motions;
    }
    let moved = |motions: &[RigidMotion]| -> Vec<Vec<f32>> {
        let pairs = images.par_iter().zip(motions);
        pairs
            .map(|(image, motion)| {
                let mut out = vec![0.0; size.len()];
                warp(image, &motion.field(size, options.center_px), &mut out);
                // Only the window's pixels have to be told.
                inside.iter().map(|(at, _)| out[*at]).collect()
            })
            .collect()
    };
    let search = |frame: usize, twin: &[f32], change: &dyn Fn(&Search<'_>) -> RigidMotion| {
        let image = &images[frame];
        change(&Search { image, twin, inside: &inside, size, options })
    };
    // To the mean of those that look alike, then the others to the better mean.
    for _ in 0..N_MEANS {
        let mean = mean_of(&moved(&motions), is_alike);
        let start = motions.clone();
        motions.par_iter_mut().enumerate().filter(|(frame, _)| is_alike[*frame]).for_each(
            |(frame, motion)| {
                *motion = search(frame, &mean, &|search| {
                    let mut motion = search.whole_pixels(start[frame], Search::correlation);
                    for _ in 0..N_STEPS {
                        motion = search.step(motion);
                    }
                    motion
                });
            },
        );
    }
    let mean = mean_of(&moved(&motions), is_alike);
    motions.par_iter_mut().enumerate().filter(|(frame, _)| !is_alike[*frame]).for_each(
        |(frame, motion)| {
            *motion = search(frame, &mean, &|search| {
                search.whole_pixels(RigidMotion::default(), Search::mutual_information)
            });
        },
    );
    for _ in 0..N_ROUNDS {
        let twins = predict(&moved(&motions), &motions);
        motions.par_iter_mut().enumerate().for_each(|(frame, motion)| {
            *motion = search(frame, &twins[frame], &|search| {
                let mut motion = *motion;
                for _ in 0..N_STEPS {
                    motion = search.step(motion);
                }
                motion
            });
        });
    }
    motions
}

/// Mean of the frames that look alike: \[pixel\].
fn mean_of(frames: &[Vec<f32>], is_alike: &[bool]) -> Vec<f32> {
    let mut mean = vec![0.0; frames.first().map_or(0, Vec::len)];
    let mut n = 0.0_f32;
    for (frame, _) in frames.iter().zip(is_alike).filter(|(_, is_alike)| **is_alike) {
        mean.iter_mut().zip(frame).for_each(|(mean, value)| *mean += value);
        n += 1.0;
    }
    mean.iter_mut().for_each(|value| *value /= n.max(1.0));
    mean
}

/// Displacement fields of rigid motions: `[frame, 2, y, x]`.
pub fn rigid_fields(
    motions: &[RigidMotion],
    center_px: [f32; 2],
    [n_y, n_x]: [usize; 2],
) -> Array4<f32> {
    let size = Size { n_y, n_x };
    let mut fields = Array4::zeros((motions.len(), 2, n_y, n_x));
    for (motion, mut target) in motions.iter().zip(fields.axis_iter_mut(Axis(0))) {
        let field = motion.field(size, center_px);
        let values = field.dy.iter().chain(&field.dx);
        target.iter_mut().zip(values).for_each(|(target, value)| *target = *value);
    }
    fields
}

impl RigidMotion {
    fn field(&self, size: Size, [center_y, center_x]: [f32; 2]) -> Field {
        let mut field = Field::zero(size);
        let (sin, cos) = self.angle_rad.sin_cos();
        for y in 0..size.n_y {
            for x in 0..size.n_x {
                let (v, u) = (y as f32 - center_y, x as f32 - center_x);
                let at = y * size.n_x + x;
                field.dx[at] = cos * u - sin * v - u + self.dx_px;
                field.dy[at] = sin * u + cos * v - v + self.dy_px;
            }
        }
        field
    }

    fn limited(self, options: &RigidOptions) -> Self {
        let length = self.dy_px.hypot(self.dx_px);
        let kept = options.max_shift_px / length.max(options.max_shift_px);
        let limit = options.max_angle_rad;
        Self {
            dy_px: kept * self.dy_px,
            dx_px: kept * self.dx_px,
            angle_rad: self.angle_rad.clamp(-limit, limit),
        }
    }
}

struct Search<'a> {
    image: &'a [f32],
    /// Of the pixels inside.
    twin: &'a [f32],
    inside: &'a [(usize, f64)],
    size: Size,
    options: &'a RigidOptions,
}

impl Search<'_> {
    /// The image's pixel for each one inside, shifted by whole pixels.
    fn shifted(&self, dy: i64, dx: i64) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        let [n_y, n_x] = [self.size.n_y as i64, self.size.n_x as i64];
        // Every second pixel is enough for whole ones.
        self.inside.iter().zip(self.twin).step_by(2).map(move |((at, weight), twin)| {
            let y = ((at / self.size.n_x) as i64 + dy).clamp(0, n_y - 1);
            let x = ((at % self.size.n_x) as i64 + dx).clamp(0, n_x - 1);
            (*weight, f64::from(self.image[(y * n_x + x) as usize]), f64::from(*twin))
        })
    }

    fn correlation(&self, dy: i64, dx: i64) -> f64 {
        let (mut product, mut squares, mut twins) = (0.0, 1e-30, 1e-30);
        for (weight, value, twin) in self.shifted(dy, dx) {
            product += weight * value * twin;
            squares += weight * value * value;
            twins += weight * twin * twin;
        }
        product / (squares * twins).sqrt()
    }

    /// For contrasts of two kinds.
    fn mutual_information(&self, dy: i64, dx: i64) -> f64 {
        const N: usize = 24;
        let brightest = |values: &mut dyn Iterator<Item = f64>| values.fold(1e-30, f64::max);
        let limit = brightest(&mut self.shifted(0, 0).map(|(_, value, _)| value));
        let twin_limit = brightest(&mut self.twin.iter().map(|value| f64::from(*value)));
        let bin =
            |value: f64, limit: f64| ((value / limit * N as f64).max(0.0) as usize).min(N - 1);
        let mut counts = [[0.0_f64; N]; N];
        let mut total = 0.0;
        for (weight, value, twin) in self.shifted(dy, dx) {
            counts[bin(value, limit)][bin(twin, twin_limit)] += weight;
            total += weight;
        }
        let entropy =
            |count: f64| if count > 0.0 { -count / total * (count / total).ln() } else { 0.0 };
        let rows: f64 = counts.iter().map(|row| entropy(row.iter().sum())).sum();
        let columns: f64 =
            (0..N).map(|column| entropy(counts.iter().map(|row| row[column]).sum())).sum();
        let both: f64 = counts.iter().flatten().map(|count| entropy(*count)).sum();
        rows + columns - both
    }

    /// The shift by whole pixels with the best likeness, and by parts of one as a parabola says.
    fn whole_pixels(
        &self,
        start: RigidMotion,
        likeness: impl Fn(&Self, i64, i64) -> f64,
    ) -> RigidMotion {
        let reach = self.options.max_shift_px.floor() as i64;
        let from = [start.dy_px, start.dx_px].map(|shift| shift.round() as i64);
        let unmoved = likeness(self, from[0], from[1]);
        let mut best = (unmoved, from[0], from[1]);
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                if dy * dy + dx * dx <= reach * reach {
                    let found = likeness(self, dy, dx);
                    if found
                        > best.0
                            + LEAST_GAIN * unmoved.abs() * f64::from(u8::from(best.0 == unmoved))
                    {
                        best = (found, dy, dx);
                    }
                }
            }
        }
        let (at, dy, dx) = best;
        let top = |before: f64, after: f64| {
            let bend = before + after - 2.0 * at;
            if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) as f32 } else { 0.0 }
        };
        let part_y = top(likeness(self, dy - 1, dx), likeness(self, dy + 1, dx));
        let part_x = top(likeness(self, dy, dx - 1), likeness(self, dy, dx + 1));
        RigidMotion { dy_px: dy as f32 + part_y, dx_px: dx as f32 + part_x, ..start }
    }

    /// A Gauss-Newton step.
    fn step(&self, motion: RigidMotion) -> RigidMotion {
        let [center_y, center_x] = self.options.center_px;
        let (sin, cos) = motion.angle_rad.sin_cos();
        let look = |y: f32, x: f32| f64::from(sample(self.image, self.size, y, x));
        let mut values = Vec::with_capacity(self.inside.len());
        let (mut product, mut squares) = (0.0, 1e-30);
        for ((at, weight), twin) in self.inside.iter().zip(self.twin) {
            let (v, u) =
                ((at / self.size.n_x) as f32 - center_y, (at % self.size.n_x) as f32 - center_x);
            let x = center_x + cos * u - sin * v + motion.dx_px;
            let y = center_y + sin * u + cos * v + motion.dy_px;
            let value = look(y, x);
            let along_y = 0.5 * (look(y + 1.0, x) - look(y - 1.0, x));
            let along_x = 0.5 * (look(y, x + 1.0) - look(y, x - 1.0));
            // Turning moves a place by this much.
            let turned =
                along_y * f64::from(cos * u - sin * v) - along_x * f64::from(sin * u + cos * v);
            values.push((value, [along_y, along_x, turned]));
            product += weight * value * f64::from(*twin);
            squares += weight * value * value;
        }
        let gain = product / squares;
        let mut normal = nalgebra::Matrix3::<f64>::zeros();
        let mut right = nalgebra::Vector3::<f64>::zeros();
        let mut residual = 0.0;
        let mut total = 0.0;
        for (((_, weight), twin), (value, slopes)) in self.inside.iter().zip(self.twin).zip(&values)
        {
            let slopes = nalgebra::Vector3::from(slopes.map(|slope| gain * slope));
            let difference = f64::from(*twin) - gain * value;
            normal += *weight * slopes * slopes.transpose();
            right += *weight * difference * slopes;
            residual += weight * difference * difference;
            total += weight;
        }
        let variance = residual / total.max(1.0);
        let at = [f64::from(motion.dy_px), f64::from(motion.dx_px), f64::from(motion.angle_rad)];
        for (k, likely) in LIKELY.into_iter().enumerate() {
            let stiffness = variance / (likely * likely);
            normal[(k, k)] += stiffness;
            right[k] -= stiffness * at[k];
        }
        let Some(factor) = normal.cholesky() else { return motion };
        let step = factor.solve(&right);
        let next = RigidMotion {
            dy_px: motion.dy_px + step[0].clamp(-1.0, 1.0) as f32,
            dx_px: motion.dx_px + step[1].clamp(-1.0, 1.0) as f32,
            angle_rad: motion.angle_rad + step[2].clamp(-0.05, 0.05) as f32,
        };
        next.limited(self.options)
    }
}
