//! Registration of one image to its twin: Gauss-Newton steps in Gaussian windows.

use super::field::{Field, warp};
use crate::plane::{Kernel, Size, SmoothingRoom, gradient, smooth};

/// How steps are made on one level.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowOptions {
    /// Standard deviation of the windows in which one displacement is sought, px.
    pub window_px: f32,
    /// Standard deviation of the wide windows that decide where the narrow ones cannot.
    pub wide_px: f32,
    /// Weight of the wide windows.
    pub wide_weight: f32,
    /// Standard deviation of what a pixel may move on its own, px; steps are held back where
    /// noise would make larger ones.
    pub motion_px: f32,
    /// Standard deviation with which steps are smoothed, px.
    pub smooth_px: f32,
    /// Standard deviation with which the whole field is smoothed in each step, px.
    pub elastic_px: f32,
    /// Longest step, px.
    pub max_step_px: f32,
}

/// Room for the steps of one image.
pub(super) struct FlowRoom {
    warped: Vec<f32>,
    gradient: [Vec<f32>; 2],
    own: [Vec<f32>; 2],
    tensor: [Vec<f32>; 5],
    wide: [Vec<f32>; 5],
    smoothing: SmoothingRoom,
    step: Field,
}

impl FlowRoom {
    pub fn new(size: Size) -> Self {
        let plane = || vec![0.0; size.len()];
        Self {
            warped: plane(),
            gradient: [plane(), plane()],
            own: [plane(), plane()],
            tensor: std::array::from_fn(|_| plane()),
            wide: std::array::from_fn(|_| plane()),
            smoothing: SmoothingRoom::default(),
            step: Field::zero(size),
        }
    }
}

/// The kernels of [`FlowOptions`].
pub(super) struct Flow {
    options: FlowOptions,
    window: Kernel,
    wide: Kernel,
    smooth: Kernel,
    elastic: Kernel,
}

impl Flow {
    pub fn new(options: FlowOptions) -> Self {
        let wide_px = (options.wide_px.powi(2) - options.window_px.powi(2)).max(0.0).sqrt();
        Self {
            window: Kernel::gaussian(options.window_px),
            // The narrow windows' sums are smoothed on to the wide ones'.
            wide: Kernel::gaussian(wide_px),
            smooth: Kernel::gaussian(options.smooth_px),
            elastic: Kernel::gaussian(options.elastic_px),
            options,
        }
    }

    /// Moves the field by `n_steps` Gauss-Newton steps towards `moving` looking like `twin`.
    ///
    /// * `noise_sd`: of the difference between the two.
    /// * `twin`: gives the fixed image, from the warped moving one where it depends on it.
    ///
    /// In each window the displacement d is sought for which twin − warped = gᵀ d, with g the
    /// mean of both gradients (as in Vercauteren 2009, so that steps converge quadratically);
    /// the field becomes (id + d) after the field before.
    pub fn run(
        &self,
        moving: &[f32],
        twin: &[f32],
        noise_sd: f32,
        n_steps: usize,
        field: &mut Field,
        room: &mut FlowRoom,
    ) {
        let size = field.size;
        let [gy, gx] = &mut room.gradient;
        gradient(twin, size, gy, gx);
        for _ in 0..n_steps {
            warp(moving, field, &mut room.warped);
            self.step(twin, noise_sd, field, room);
        }
    }

    /// One step; `room.warped` and `room.gradient` of the twin are given.
    fn step(&self, twin: &[f32], noise_sd: f32, field: &mut Field, room: &mut FlowRoom) {
        let size = field.size;
        let FlowRoom { warped, gradient: [gy, gx], own: [oy, ox], tensor, wide, smoothing, step } =
            room;
        gradient(warped, size, oy, ox);
        products(twin, warped, [gy, gx], [oy, ox], tensor);
        for plane in tensor.iter_mut() {
            smooth(plane, size, &self.window, smoothing);
        }
        let weight = self.options.wide_weight;
        if weight > 0.0 {
            for (wide, narrow) in wide.iter_mut().zip(tensor.iter()) {
                wide.copy_from_slice(narrow);
                smooth(wide, size, &self.wide, smoothing);
            }
            for (narrow, wide) in tensor.iter_mut().zip(wide.iter()) {
                for (value, wide) in narrow.iter_mut().zip(wide) {
                    *value += weight * wide;
                }
            }
        }
        let hold = (noise_sd / self.options.motion_px).powi(2) + f32::MIN_POSITIVE;
        solve(tensor, hold, self.options.max_step_px, step);
        step.smooth(&self.smooth, smoothing);
        *field = field.after(step);
        field.smooth(&self.elastic, smoothing);
    }
}

/// The products whose sums over windows make the normal equations.
fn products(
    twin: &[f32],
    warped: &[f32],
    [gy, gx]: [&[f32]; 2],
    [oy, ox]: [&[f32]; 2],
    [yy, yx, xx, by, bx]: &mut [Vec<f32>; 5],
) {
    for n in 0..twin.len() {
        let (y, x) = (0.5 * (gy[n] + oy[n]), 0.5 * (gx[n] + ox[n]));
        let difference = twin[n] - warped[n];
        yy[n] = y * y;
        yx[n] = y * x;
        xx[n] = x * x;
        by[n] = y * difference;
        bx[n] = x * difference;
    }
}

/// The displacement of each window, no longer than `max_step`.
fn solve([yy, yx, xx, by, bx]: &[Vec<f32>; 5], hold: f32, max_step: f32, step: &mut Field) {
    let n_pixels = step.dy.len();
    for n in 0..n_pixels {
        let (a, b, c) = (yy[n] + hold, yx[n], xx[n] + hold);
        let scale = 1.0 / (a * c - b * b).max(f32::MIN_POSITIVE);
        let (dy, dx) = (scale * (c * by[n] - b * bx[n]), scale * (a * bx[n] - b * by[n]));
        let length = (dy * dy + dx * dx).sqrt();
        let kept = max_step / length.max(max_step);
        step.dy[n] = kept * dy;
        step.dx[n] = kept * dx;
    }
}
