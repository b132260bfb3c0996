//! Synthetic twins: what each image of a series should look like if nothing had moved.

use rayon::prelude::*;

use crate::plane::Size;

/// Pixels that are fitted together.
const BLOCK: usize = 256;

/// A frame that leaves itself out is trusted at most so far: 1/(1 − h) ends here.
const MAX_LEAVE_OUT: f32 = 3.0;

/// Curves that signals are combinations of: for each of a list of relaxation times a plane (or a
/// line) in the space of the frames.
#[derive(Clone, Debug)]
pub(super) struct Subspaces {
    n_frames: usize,
    /// Of each relaxation time, orthonormal \[curve\]\[frame\]; a second curve of 0 where there
    /// is one only.
    curves: Vec<[Vec<f32>; 2]>,
    /// Square roots of the frames' weights.
    root_weights: Vec<f32>,
}

impl Subspaces {
    /// * `times`: of the frames, in the unit of `relaxation_times`.
    /// * `has_offset`: a + b·exp(−t/T); else b·exp(−t/T).
    /// * `weights`: of the frames.
    pub fn exponential(
        times: &[f64],
        relaxation_times: &[f64],
        has_offset: bool,
        weights: &[f32],
    ) -> Self {
        let root_weights: Vec<f32> = weights.iter().map(|weight| weight.max(1e-6).sqrt()).collect();
        let weighted = |curve: Vec<f64>| -> Vec<f64> {
            curve.iter().zip(&root_weights).map(|(value, root)| value * f64::from(*root)).collect()
        };
        let normal = |mut curve: Vec<f64>| {
            let norm = curve.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12);
            curve.iter_mut().for_each(|value| *value /= norm);
            curve
        };
        let single = |curve: &[f64]| curve.iter().map(|value| *value as f32).collect::<Vec<_>>();
        let curves = relaxation_times
            .iter()
            .map(|relaxation| {
                let decay = weighted(times.iter().map(|time| (-time / relaxation).exp()).collect());
                if !has_offset {
                    return [single(&normal(decay)), vec![0.0; times.len()]];
                }
                let flat = normal(weighted(vec![1.0; times.len()]));
                let along: f64 = flat.iter().zip(&decay).map(|(a, b)| a * b).sum();
                let rest = decay.iter().zip(&flat).map(|(value, flat)| value - along * flat);
                [single(&flat), single(&normal(rest.collect()))]
            })
            .collect();
        Self { n_frames: times.len(), curves, root_weights }
    }

    /// What the best combination of curves says of each frame: `[frame][pixel]`.
    ///
    /// * `frames`: `[frame][pixel]`, signed.
    /// * `leave_out`: each frame is told by the others (at the relaxation time of all).
    pub fn predict(&self, frames: &[Vec<f32>], leave_out: bool) -> Vec<Vec<f32>> {
        let n_pixels = frames.first().map_or(0, Vec::len);
        let mut twins: Vec<Vec<f32>> = frames.iter().map(|_| vec![0.0; n_pixels]).collect();
        let mut blocks: Vec<Vec<&mut [f32]>> =
            (0..n_pixels.div_ceil(BLOCK)).map(|_| Vec::with_capacity(self.n_frames)).collect();
        for twin in &mut twins {
            for (block, part) in blocks.iter_mut().zip(twin.chunks_mut(BLOCK)) {
                block.push(part);
            }
        }
        blocks.into_par_iter().enumerate().for_each(|(number, block)| {
            let from = number * BLOCK;
            self.predict_block(frames, from, block, leave_out);
        });
        twins
    }

    fn predict_block(
        &self,
        frames: &[Vec<f32>],
        from: usize,
        mut twins: Vec<&mut [f32]>,
        leave_out: bool,
    ) {
        let n = twins[0].len();
        let (mut energy, mut best) = ([-1.0_f32; BLOCK], [0_u32; BLOCK]);
        let mut coefficients = [[0.0_f32; BLOCK]; 2];
        let mut tried = [[0.0_f32; BLOCK]; 2];
        for (place, curves) in self.curves.iter().enumerate() {
            tried.iter_mut().for_each(|values| values[..n].fill(0.0));
            let [first, second] = &mut tried;
            for (frame, pixels) in frames.iter().enumerate() {
                let root = self.root_weights[frame];
                let (a, b) = (root * curves[0][frame], root * curves[1][frame]);
                add(&pixels[from..from + n], [a, b], &mut first[..n], &mut second[..n]);
            }
            for pixel in 0..n {
                let found = first[pixel] * first[pixel] + second[pixel] * second[pixel];
                if found > energy[pixel] {
                    energy[pixel] = found;
                    best[pixel] = place as u32;
                    coefficients[0][pixel] = first[pixel];
                    coefficients[1][pixel] = second[pixel];
                }
            }
        }
        for (frame, twin) in twins.iter_mut().enumerate() {
            let pixels = &frames[frame][from..from + n];
            let root = self.root_weights[frame];
            for (pixel, value) in twin.iter_mut().enumerate() {
                let [a, b] = &self.curves[best[pixel] as usize];
                let (a, b) = (a[frame], b[frame]);
                let fitted = (a * coefficients[0][pixel] + b * coefficients[1][pixel]) / root;
                let left_out = if leave_out {
                    (1.0 / (1.0 - a * a - b * b).max(1e-3)).min(MAX_LEAVE_OUT)
                } else {
                    1.0
                };
                *value = pixels[pixel] + left_out * (fitted - pixels[pixel]);
            }
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn add(pixels: &[f32], [a, b]: [f32; 2], first: &mut [f32], second: &mut [f32]) {
    for ((pixel, first), second) in pixels.iter().zip(first).zip(second) {
        *first += a * pixel;
        *second += b * pixel;
    }
}

/// Directions in the space of the frames that all signals of a series are made of.
#[derive(Clone, Debug)]
pub(super) struct LowRank {
    /// Orthonormal, `[direction][frame]`.
    directions: Vec<Vec<f32>>,
}

/// Pixels count as outliers of the low rank beyond so many times the median residual.
const OUTLIER: f32 = 3.0;

impl LowRank {
    /// The directions that most of the pixels' signals are made of; pixels that do not fit them,
    /// like edges that move, count less in each of a few repetitions.
    ///
    /// * `frames`: `[frame][pixel]`.
    /// * `own`: weights of the pixels.
    pub fn weighted(frames: &[Vec<f32>], own: &[f32], rank: usize, n_robust: usize) -> Self {
        let n_frames = frames.len();
        let n_pixels = frames.first().map_or(0, Vec::len);
        let rank = rank.min(n_frames);
        let mut weights = own.to_vec();
        let mut found = Self { directions: Vec::new() };
        for repetition in 0..=n_robust {
            let rows: Vec<Vec<f64>> = (0..n_frames)
                .map(|a| {
                    let pixels = &frames[a];
                    let weighted: Vec<f32> =
                        pixels.iter().zip(&weights).map(|(v, w)| v * w).collect();
                    (0..=a).map(|b| dot(&weighted, &frames[b])).collect()
                })
                .collect();
            let matrix = nalgebra::DMatrix::from_fn(n_frames, n_frames, |a, b| {
                if a >= b { rows[a][b] } else { rows[b][a] }
            });
            let eigen = nalgebra::SymmetricEigen::new(matrix);
            let mut order: Vec<usize> = (0..n_frames).collect();
            order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
            found.directions = order[..rank]
                .iter()
                .map(|n| eigen.eigenvectors.column(*n).iter().map(|v| *v as f32).collect())
                .collect();
            if repetition < n_robust {
                let residual = found.residual_squares(frames);
                let mut sorted = residual.clone();
                let middle = n_pixels / 2;
                let median = if n_pixels == 0 {
                    0.0
                } else {
                    *sorted.select_nth_unstable_by(middle, f32::total_cmp).1
                };
                let scale = 1.0 / (OUTLIER * OUTLIER * median).max(f32::MIN_POSITIVE);
                for ((weight, square), own) in weights.iter_mut().zip(&residual).zip(own) {
                    *weight = own * (1.0 / (1.0 + scale * square)).powi(2);
                }
            }
        }
        found
    }

    /// Share of frame `n`'s own pixel in what is told of it.
    fn own_share(&self, frame: usize) -> f32 {
        self.directions.iter().map(|direction| direction[frame].powi(2)).sum()
    }

    fn coefficients(&self, frames: &[Vec<f32>]) -> Vec<Vec<f32>> {
        self.directions
            .iter()
            .map(|direction| {
                let mut sum = vec![0.0; frames.first().map_or(0, Vec::len)];
                for (pixels, weight) in frames.iter().zip(direction) {
                    accumulate(&mut sum, pixels, *weight);
                }
                sum
            })
            .collect()
    }

    fn residual_squares(&self, frames: &[Vec<f32>]) -> Vec<f32> {
        let mut squares = vec![0.0; frames.first().map_or(0, Vec::len)];
        for pixels in frames {
            for (square, pixel) in squares.iter_mut().zip(pixels) {
                *square += pixel * pixel;
            }
        }
        for coefficient in self.coefficients(frames) {
            for (square, value) in squares.iter_mut().zip(&coefficient) {
                *square -= value * value;
            }
        }
        squares.iter_mut().for_each(|square| *square = square.max(0.0));
        squares
    }

    /// What the other frames say of each frame: `[frame][pixel]`.
    pub fn predict(&self, frames: &[Vec<f32>], leave_out: bool) -> Vec<Vec<f32>> {
        let coefficients = self.coefficients(frames);
        frames
            .iter()
            .enumerate()
            .map(|(frame, pixels)| {
                let mut twin = vec![0.0; pixels.len()];
                for (direction, values) in self.directions.iter().zip(&coefficients) {
                    accumulate(&mut twin, values, direction[frame]);
                }
                if leave_out {
                    let factor = (1.0 / (1.0 - self.own_share(frame)).max(1e-3)).min(MAX_LEAVE_OUT);
                    for (value, pixel) in twin.iter_mut().zip(pixels) {
                        *value = pixel + factor * (*value - pixel);
                    }
                }
                twin
            })
            .collect()
    }
}

#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn accumulate(sum: &mut [f32], values: &[f32], weight: f32) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

/// Sums in fixed chunks, added in order.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.chunks(64)
        .zip(b.chunks(64))
        .map(|(a, b)| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()))
        .sum()
}

/// Twins from what is of low rank in each of a grid of overlapping tiles: the few tissues of one
/// place are told by fewer directions than those of the whole picture.
///
/// * `spacing`: of the tiles, px; each is twice as wide and has a window of raised cosines, whose
///   sum is 1 everywhere.
pub(super) fn tiled_low_rank(
    frames: &[Vec<f32>],
    size: Size,
    spacing: usize,
    rank: usize,
    n_robust: usize,
    leave_out: bool,
) -> Vec<Vec<f32>> {
    let n_frames = frames.len();
    let places = |n: usize| n.div_ceil(spacing) + 1;
    let (rows, columns) = (places(size.n_y), places(size.n_x));
    let window = |at: usize, tile: usize| -> f32 {
        let distance = (at as f32 + 0.5 - (tile * spacing) as f32) / spacing as f32;
        0.5 * (1.0 + (std::f32::consts::PI * distance.clamp(-1.0, 1.0)).cos())
    };
    let tiles: Vec<(Vec<usize>, Vec<Vec<f32>>)> = (0..rows * columns)
        .into_par_iter()
        .map(|tile| {
            let (row, column) = (tile / columns, tile % columns);
            let range = |tile: usize, n: usize| {
                (tile * spacing).saturating_sub(spacing)..((tile + 1) * spacing).min(n)
            };
            let mut pixels = Vec::new();
            let mut weights = Vec::new();
            for y in range(row, size.n_y) {
                for x in range(column, size.n_x) {
                    pixels.push(y * size.n_x + x);
                    weights.push(window(y, row) * window(x, column));
                }
            }
            let cut: Vec<Vec<f32>> =
                frames.iter().map(|frame| pixels.iter().map(|at| frame[*at]).collect()).collect();
            let found = LowRank::weighted(&cut, &weights, rank, n_robust);
            let mut twins = found.predict(&cut, leave_out);
            for twin in &mut twins {
                twin.iter_mut().zip(&weights).for_each(|(value, weight)| *value *= weight);
            }
            (pixels, twins)
        })
        .collect();
    let mut out = vec![vec![0.0; size.len()]; n_frames];
    for (pixels, twins) in tiles {
        for (target, twin) in out.iter_mut().zip(&twins) {
            for (at, value) in pixels.iter().zip(twin) {
                target[*at] += value;
            }
        }
    }
    out
}
