//! Displacement fields of one plane: sampling, composing, inverting, folding.

use crate::plane::{Kernel, Size, SmoothingRoom, smooth};

/// Where in the moving image to look for what the fixed one shows, as (dy, dx) in px.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub size: Size,
    pub dy: Vec<f32>,
    pub dx: Vec<f32>,
}

impl Field {
    pub fn zero(size: Size) -> Self {
        Self { size, dy: vec![0.0; size.len()], dx: vec![0.0; size.len()] }
    }

    /// The field on a grid of twice the density, in its pixels.
    pub fn doubled(&self, size: Size) -> Self {
        Self {
            size,
            dy: doubled(&self.dy, self.size, size),
            dx: doubled(&self.dx, self.size, size),
        }
    }

    /// The field on a grid of half the density, in its pixels.
    pub fn halved(&self) -> Self {
        let size = self.size.halved();
        let halve = |plane: &[f32]| {
            let mut plane = crate::plane::halve(plane, self.size);
            plane.iter_mut().for_each(|value| *value *= 0.5);
            plane
        };
        Self { size, dy: halve(&self.dy), dx: halve(&self.dx) }
    }

    /// `self` followed by `inner`: u(x) ← v(x) + u(x + v(x)).
    pub fn after(&self, inner: &Self) -> Self {
        let mut out = Self::zero(self.size);
        warp_pair(&self.dy, &self.dx, self.size, inner, &mut out.dy, &mut out.dx);
        for (value, step) in out.dy.iter_mut().zip(&inner.dy) {
            *value += step;
        }
        for (value, step) in out.dx.iter_mut().zip(&inner.dx) {
            *value += step;
        }
        out
    }

    /// The field that undoes it: v(x) = −u(x + v(x)), by fixed-point iteration.
    pub fn inverse(&self) -> Self {
        let mut inverse = Self::zero(self.size);
        let mut next = inverse.clone();
        for _ in 0..12 {
            warp_pair(&self.dy, &self.dx, self.size, &inverse, &mut next.dy, &mut next.dx);
            for (value, new) in inverse.dy.iter_mut().zip(&next.dy) {
                *value = -new;
            }
            for (value, new) in inverse.dx.iter_mut().zip(&next.dx) {
                *value = -new;
            }
        }
        inverse
    }

    pub fn smooth(&mut self, kernel: &Kernel, room: &mut SmoothingRoom) {
        smooth(&mut self.dy, self.size, kernel, room);
        smooth(&mut self.dx, self.size, kernel, room);
    }

    /// Smallest determinant of the Jacobian of x + u(x) by forward differences: 0 and less is a
    /// fold.
    pub fn least_jacobian(&self) -> f32 {
        let Size { n_y, n_x } = self.size;
        let mut least = f32::INFINITY;
        for y in 0..n_y.saturating_sub(1) {
            for x in 0..n_x.saturating_sub(1) {
                let at = y * n_x + x;
                let [yy, xy] = [self.dy[at + n_x] - self.dy[at], self.dx[at + n_x] - self.dx[at]];
                let [yx, xx] = [self.dy[at + 1] - self.dy[at], self.dx[at + 1] - self.dx[at]];
                least = least.min((1.0 + yy) * (1.0 + xx) - xy * yx);
            }
        }
        least
    }

    /// Largest length, px.
    pub fn largest(&self) -> f32 {
        let squares = self.dy.iter().zip(&self.dx).map(|(dy, dx)| dy * dy + dx * dx);
        squares.fold(0.0, f32::max).sqrt()
    }
}

/// Values on a grid of twice the density, which are twice as large: those of displacements.
fn doubled(plane: &[f32], coarse: Size, fine: Size) -> Vec<f32> {
    let mut out = Vec::with_capacity(fine.len());
    for y in 0..fine.n_y {
        let place_y = (y as f32 - 0.5) / 2.0;
        for x in 0..fine.n_x {
            out.push(2.0 * sample(plane, coarse, place_y, (x as f32 - 0.5) / 2.0));
        }
    }
    out
}

/// Bilinear interpolation; border pixels go on outside.
pub(super) fn sample(plane: &[f32], size: Size, y: f32, x: f32) -> f32 {
    let (at, [ty, tx], [down, right]) = corner(size, y, x);
    let top = plane[at] + tx * (plane[at + right] - plane[at]);
    let bottom = plane[at + down] + tx * (plane[at + down + right] - plane[at + down]);
    top + ty * (bottom - top)
}

/// The pixel above and to the left of a place, the place's distance from it, and the steps to
/// the next pixels.
fn corner(size: Size, y: f32, x: f32) -> (usize, [f32; 2], [usize; 2]) {
    // The order makes 0 of what is no number.
    let y = y.max(0.0).min((size.n_y - 1) as f32);
    let x = x.max(0.0).min((size.n_x - 1) as f32);
    let (iy, ix) = (y as usize, x as usize);
    let down = if iy + 1 < size.n_y { size.n_x } else { 0 };
    let right = usize::from(ix + 1 < size.n_x);
    (iy * size.n_x + ix, [y - iy as f32, x - ix as f32], [down, right])
}

/// An image looked up where the field says: cubic convolution (Keys 1981), as what bilinear
/// interpolation takes from edges would be taken for motion; bilinear at the border.
pub(super) fn warp(plane: &[f32], field: &Field, out: &mut [f32]) {
    let size = field.size;
    let n_x = size.n_x;
    for y in 0..size.n_y {
        let row = y * n_x..(y + 1) * n_x;
        let steps = field.dy[row.clone()].iter().zip(&field.dx[row.clone()]);
        for ((x, value), (dy, dx)) in out[row].iter_mut().enumerate().zip(steps) {
            let (place_y, place_x) = (y as f32 + dy, x as f32 + dx);
            let (at, [ty, tx], _) = corner(size, place_y, place_x);
            let (iy, ix) = (at / n_x, at % n_x);
            if iy < 1 || ix < 1 || iy + 2 >= size.n_y || ix + 2 >= n_x {
                *value = sample(plane, size, place_y, place_x);
                continue;
            }
            let (weights_y, weights_x) = (cubic(ty), cubic(tx));
            let first = at - n_x - 1;
            *value = 0.0;
            for (line, weight) in weights_y.into_iter().enumerate() {
                let pixels = &plane[first + line * n_x..first + line * n_x + 4];
                let sum: f32 = pixels.iter().zip(&weights_x).map(|(pixel, w)| pixel * w).sum();
                *value += weight * sum;
            }
        }
    }
}

/// Weights of the four pixels around a place, `t` behind the second.
fn cubic(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    [
        -0.5 * t * s * s,
        1.0 + t * t * (1.5 * t - 2.5),
        1.0 + s * s * (1.5 * s - 2.5),
        -0.5 * s * t * t,
    ]
}

/// Two planes looked up where the field says.
fn warp_pair(
    a: &[f32],
    b: &[f32],
    size: Size,
    field: &Field,
    out_a: &mut [f32],
    out_b: &mut [f32],
) {
    for y in 0..size.n_y {
        for x in 0..size.n_x {
            let pixel = y * size.n_x + x;
            let place = [y as f32 + field.dy[pixel], x as f32 + field.dx[pixel]];
            let (at, [ty, tx], [down, right]) = corner(size, place[0], place[1]);
            let look_up = |plane: &[f32]| {
                let top = plane[at] + tx * (plane[at + right] - plane[at]);
                let bottom = plane[at + down] + tx * (plane[at + down + right] - plane[at + down]);
                top + ty * (bottom - top)
            };
            out_a[pixel] = look_up(a);
            out_b[pixel] = look_up(b);
        }
    }
}
