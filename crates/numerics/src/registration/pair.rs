//! Motion between two images of other contrasts, e.g. T1 maps before and after contrast agent.

use ndarray::{Array3, ArrayView2, Axis};

use super::field::{Field, warp};
use super::flow::{Flow, FlowOptions, FlowRoom};
use super::series::{
    MAX_STEP_PX, MOTION_PX, STEP_SMOOTHING_PX, WIDE, WIDE_WEIGHT, limited, root_mean, unfold,
};
use super::support::kept_share;
use crate::plane::{Kernel, Size, SmoothingRoom, halve};

/// Halvings of the images on the coarsest level.
const COARSEST: usize = 3;
/// Levels with fewer pixels along an axis are left out.
const LEAST_LEVEL_PX: usize = 12;
/// Rounds of a mapping of contrasts and steps towards it, from the finest level on.
const N_ROUNDS: [usize; COARSEST + 1] = [3, 6, 8, 8];
const N_STEPS: usize = 3;
/// Classes of the moving image's values.
const N_CLASSES: usize = 64;
/// Classes are joined with two neighbours on each side, where these differ by no more than this.
const N_NEIGHBOURS: usize = 2;
const NEAR: f32 = 0.15;
/// Wider than those of a series: one image says less than ten.
const WINDOW_PX: f32 = 4.0;
const ELASTIC_PX: f32 = 1.5;
/// Maps differ by so much at least, whatever their noise.
const LEAST_SPREAD: f32 = 0.02;
/// Window in which motion must be supported, and by what share of the residual's square.
const SUPPORT_WINDOW_PX: f32 = 5.0;
const GAIN: [f32; 2] = [0.05, 0.25];

/// The motion between two images.
#[derive(Clone, Debug)]
pub struct PairMotion {
    /// Where in the moving image to look for what the fixed one shows: `[2, y, x]` as (dy, dx),
    /// px.
    pub field: Array3<f32>,
    /// Root mean square of what the moving image's values do not tell of the fixed one, without
    /// and with the field, in the fixed image's unit.
    pub residual: [f32; 2],
}

/// Registers an image to one of another contrast.
///
/// * `fixed`, `moving`: `[y, x]`; 0 is air or invalid. What has one value in the moving image
///   should have one value in the fixed one: of T1 maps the one before contrast agent moves, as
///   blood and fat have one T1 after it.
/// * `max_displacement_px`: no displacement becomes longer.
///
/// # Method
/// In turn the moving image's values are exchanged for the mean of the fixed image over all pixels
/// of that value (the correlation ratio's regression: Roche et al. 1998; Guimond et al. 2001), and
/// diffeomorphic steps are made as in [`super::register_series`], coarse to fine.
///
/// # Panics
/// If the images have other sizes.
pub fn register_pair(
    fixed: ArrayView2<'_, f32>,
    moving: ArrayView2<'_, f32>,
    max_displacement_px: f32,
) -> PairMotion {
    assert_eq!(fixed.dim(), moving.dim(), "images of one size");
    let (n_y, n_x) = fixed.dim();
    let plane = |image: ArrayView2<'_, f32>| -> Vec<f32> {
        image.iter().map(|value| if value.is_finite() { *value } else { 0.0 }).collect()
    };
    let mut levels = vec![(Size { n_y, n_x }, plane(fixed), plane(moving))];
    while let [.., (size, fixed, moving)] = &levels[..]
        && levels.len() <= COARSEST
        && size.n_y.min(size.n_x) >= 2 * LEAST_LEVEL_PX
    {
        levels.push((size.halved(), halve(fixed, *size), halve(moving, *size)));
    }
    let flow = Flow::new(FlowOptions {
        window_px: WINDOW_PX,
        wide_px: WIDE * WINDOW_PX,
        wide_weight: WIDE_WEIGHT,
        motion_px: MOTION_PX,
        smooth_px: STEP_SMOOTHING_PX,
        elastic_px: ELASTIC_PX,
        max_step_px: MAX_STEP_PX,
    });
    let mut field = Field::zero(levels[levels.len() - 1].0);
    for (level, (size, fixed, moving)) in levels.iter().enumerate().rev() {
        if field.size != *size {
            field = field.doubled(*size);
        }
        let classes = Classes::of(moving);
        let mut room = FlowRoom::new(*size);
        for _ in 0..N_ROUNDS[level] {
            let translated = classes.translated(fixed, moving, &field);
            let noise_sd = spread(fixed, &translated, &field);
            flow.run(&translated, fixed, noise_sd, N_STEPS, &mut field, &mut room);
        }
    }
    let (size, fixed, moving) = &levels[0];
    let classes = Classes::of(moving);
    let squares = |field: &Field| {
        let mut told = vec![0.0; size.len()];
        warp(&classes.translated(fixed, moving, field), field, &mut told);
        told.iter_mut().zip(fixed).for_each(|(told, fixed)| *told = (*told - fixed).powi(2));
        told
    };
    let without = squares(&Field::zero(*size));
    // What brings the images no nearer to each other is taken away.
    let noise_sd = spread(fixed, &classes.translated(fixed, moving, &field), &field);
    let kept = kept_share(
        without.clone(),
        squares(&field),
        *size,
        &Kernel::gaussian(SUPPORT_WINDOW_PX),
        GAIN,
        noise_sd.powi(2),
        &mut SmoothingRoom::default(),
    );
    for (n, (dy, dx)) in field.dy.iter_mut().zip(&mut field.dx).enumerate() {
        *dy *= kept[n];
        *dx *= kept[n];
    }
    limited(&mut field, max_displacement_px);
    unfold(&mut field);
    let residual = [root_mean(&[without]), root_mean(&[squares(&field)])];
    let mut array = Array3::zeros((2, n_y, n_x));
    for (mut target, values) in array.axis_iter_mut(Axis(0)).zip([&field.dy, &field.dx]) {
        target.iter_mut().zip(values).for_each(|(target, value)| *target = *value);
    }
    PairMotion { field: array, residual }
}

/// Classes of values that hold about as many pixels each; what is 0 has its own, the first.
struct Classes {
    /// A value of each, ascending. A pixel belongs to the nearest.
    values: Vec<f32>,
}

impl Classes {
    fn of(image: &[f32]) -> Self {
        let mut sorted: Vec<f32> = image.iter().copied().filter(|value| *value > 0.0).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let quantiles = (0..N_CLASSES)
            .filter_map(|class| sorted.get(sorted.len() * (2 * class + 1) / (2 * N_CLASSES)));
        let mut values: Vec<f32> = std::iter::once(0.0).chain(quantiles.copied()).collect();
        values.dedup();
        Self { values }
    }

    fn class(&self, value: f32) -> usize {
        let above = self.values.partition_point(|other| *other < value);
        match (above.checked_sub(1), self.values.get(above)) {
            (Some(below), Some(next)) if value - self.values[below] > next - value => above,
            (Some(below), _) => below,
            (None, _) => above,
        }
    }

    /// The moving image with the fixed one's mean over the pixels of each class, where the field
    /// brings these together.
    fn translated(&self, fixed: &[f32], moving: &[f32], field: &Field) -> Vec<f32> {
        let mut warped = vec![0.0; moving.len()];
        warp(moving, field, &mut warped);
        let mut sums = vec![[0.0_f64; 2]; self.values.len()];
        for (moving, fixed) in warped.iter().zip(fixed) {
            let [sum, n] = &mut sums[self.class(*moving)];
            *sum += f64::from(*fixed);
            *n += 1.0;
        }
        let last = sums.len() - 1;
        let means: Vec<f32> = (0..=last)
            .map(|class| {
                let is_near = |other: &usize| {
                    (self.values[*other] - self.values[class]).abs() <= NEAR * self.values[class]
                };
                let range = class.saturating_sub(N_NEIGHBOURS)..=(class + N_NEIGHBOURS).min(last);
                let sums = range.filter(is_near).map(|other| sums[other]);
                let [sum, n] = sums.fold([0.0, 0.0], |[a, b], [c, d]| [a + c, b + d]);
                if n > 0.0 { (sum / n) as f32 } else { 0.0 }
            })
            .collect();
        moving.iter().map(|value| means[self.class(*value)]).collect()
    }
}

/// Standard deviation of the fixed image about what is told of it, by the median of those pixels
/// that hold something, and no less than a share of their own median.
fn spread(fixed: &[f32], translated: &[f32], field: &Field) -> f32 {
    let mut told = vec![0.0; fixed.len()];
    warp(translated, field, &mut told);
    let pairs = fixed.iter().zip(&told).filter(|(fixed, _)| **fixed > 0.0);
    let (mut off, mut values): (Vec<f32>, Vec<f32>) =
        pairs.map(|(fixed, told)| ((fixed - told).abs(), *fixed)).unzip();
    let middle = off.len() / 2;
    let median = |values: &mut [f32]| match values.is_empty() {
        true => 0.0,
        false => *values.select_nth_unstable_by(middle, f32::total_cmp).1,
    };
    (median(&mut off) / 0.6745).max(LEAST_SPREAD * median(&mut values))
}
