//! The spectrum of an object of pixels on the refined grid.

use std::f64::consts::PI;

use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::fourier::{self, Table, fast_len};
use super::refined::RefinedGrid;
use crate::object::PixelObject;

/// The scaled spectrum of the pixels as points of their area, in the form of
/// [`RefinedGrid::spectrum`].
///
/// Any extent and number of pixels will do: what lies outside the field of view folds into it,
/// as it does in a scanner.
pub(super) fn spectrum(object: &PixelObject, refined: &RefinedGrid) -> Vec<Complex32> {
    let (n_y, n_x) = object.values.dim();
    let values = object.values.as_standard_layout();
    let pixel_mm = object.pixel_mm();
    let [along_x, along_y] = [
        ChirpTransform::new(
            n_x,
            n_x / 2,
            refined.x.n_points,
            refined.x.origin,
            pixel_mm[0] * refined.steps_per_mm[0],
            refined.scale * pixel_mm[0] * pixel_mm[1],
        ),
        ChirpTransform::new(
            n_y,
            n_y / 2,
            refined.y.n_points,
            refined.y.origin,
            pixel_mm[1] * refined.steps_per_mm[1],
            1.0,
        ),
    ];
    let (n_kx, n_ky) = (refined.x.n_points, refined.y.n_points);
    let padded = refined.x.padded;
    let mut rows = vec![Complex32::ZERO; refined.n_row_pairs() * 2 * padded];
    if n_x == 0 || n_y == 0 {
        return rows;
    }
    // `[y, kx]`, then `[kx, ky]`.
    let mut hybrid = vec![Complex32::ZERO; n_y * n_kx];
    let values = values.as_slice().expect("standard layout");
    hybrid.par_chunks_exact_mut(n_kx).zip(values.par_chunks_exact(n_x)).for_each_init(
        || along_x.workspace(),
        |workspace, (target, row)| along_x.process(row.iter().copied(), target, workspace),
    );
    let mut columns = vec![Complex32::ZERO; n_kx * n_ky];
    columns.par_chunks_exact_mut(n_ky).enumerate().for_each_init(
        || along_y.workspace(),
        |workspace, (kx, target)| {
            let column = hybrid[kx..].iter().step_by(n_kx).copied();
            along_y.process(column, target, workspace);
        },
    );
    rows.par_chunks_exact_mut(2 * padded).enumerate().for_each(|(pair, rows)| {
        for (ky, row) in refined.rows(pair).into_iter().zip(rows.chunks_exact_mut(padded)) {
            let Some(ky) = ky else { continue };
            for (value, column) in row.iter_mut().zip(columns.chunks_exact(n_ky)) {
                *value = column[ky];
            }
        }
    });
    rows
}

/// Sums Σₙ x\[n\]·exp(−2πi w (n − n₀)(k − k₀)) for steps w that are no fraction of 1/N.
///
/// # Source
/// Bluestein 1970: 2nk = n² + k² − (k − n)² makes the sum a convolution.
struct ChirpTransform {
    n_out: usize,
    forward: Table,
    inverse: Table,
    /// exp(−πi w (n − n₀)²).
    before: Vec<Complex32>,
    /// Transform of the chirp, over the length.
    filter: Vec<Complex32>,
    /// exp(−πi w (k − k₀)²) times the scale.
    after: Vec<Complex32>,
}

struct Workspace {
    values: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl ChirpTransform {
    fn new(
        n_in: usize,
        in_origin: usize,
        n_out: usize,
        out_origin: usize,
        step: f64,
        scale: f64,
    ) -> Self {
        let len = fast_len((n_in + n_out).saturating_sub(1));
        let chirp = |distance: f64| Complex64::cis(PI * step * distance * distance);
        let single = |value: Complex64| Complex32::new(value.re as f32, value.im as f32);
        let offset = in_origin as f64 - out_origin as f64;
        let mut filter = vec![Complex32::ZERO; len];
        for (k, value) in filter[..n_out].iter_mut().enumerate() {
            *value = single(chirp(k as f64 + offset) / len as f64);
        }
        for n in 1..n_in {
            filter[len - n] = single(chirp(offset - n as f64) / len as f64);
        }
        let forward = fourier::forward(len);
        forward.process(&mut filter);
        let from = |n: usize, origin: usize| n as f64 - origin as f64;
        Self {
            n_out,
            forward,
            inverse: fourier::inverse(len),
            before: (0..n_in).map(|n| single(chirp(from(n, in_origin)).conj())).collect(),
            filter,
            after: (0..n_out).map(|k| single(chirp(from(k, out_origin)).conj() * scale)).collect(),
        }
    }

    fn workspace(&self) -> Workspace {
        let scratch = self.forward.get_inplace_scratch_len();
        let scratch = scratch.max(self.inverse.get_inplace_scratch_len());
        Workspace {
            values: vec![Complex32::ZERO; self.filter.len()],
            scratch: vec![Complex32::ZERO; scratch],
        }
    }

    fn process(
        &self,
        input: impl Iterator<Item = Complex32>,
        output: &mut [Complex32],
        Workspace { values, scratch }: &mut Workspace,
    ) {
        values.fill(Complex32::ZERO);
        for ((value, sample), chirp) in values.iter_mut().zip(input).zip(&self.before) {
            *value = sample * chirp;
        }
        self.forward.process_with_scratch(values, scratch);
        values.iter_mut().zip(&self.filter).for_each(|(value, filter)| *value *= filter);
        self.inverse.process_with_scratch(values, scratch);
        for ((target, value), chirp) in
            output[..self.n_out].iter_mut().zip(&*values).zip(&self.after)
        {
            *target = value * chirp;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::coils::LoopArray;
    use crate::ellipse::Ellipse;
    use crate::k_space::{CartesianGrid, CartesianSampler};
    use crate::object::{Component, Object};

    #[test]
    fn pixels_are_points_seen_through_the_coils() {
        let coils = LoopArray::new(3, 100.0, [240.0, 200.0]).sensitivities(0.0);
        // Pixels that fit neither the scan's field of view nor its resolution; two are set.
        for (shape, field_of_view_mm, oversampling) in [
            ((44, 61), [183.0, 130.0], 2),
            ((50, 60), [240.0, 200.0], 1),
            ((7, 30), [300.0, 290.0], 3),
        ] {
            let grid = CartesianGrid {
                matrix_size: [24, 21],
                field_of_view_mm: [240.0, 200.0],
                readout_oversampling: oversampling,
            };
            let mut values = Array2::zeros(shape);
            values[[1, 20]] = Complex32::new(2.0, -1.0);
            values[[6, 3]] = Complex32::new(0.0, 3.0);
            let object = PixelObject { values, field_of_view_mm };
            let k_space = CartesianSampler::new(grid, &coils).k_space(&Object::Pixels(object));
            let pixel_mm =
                [field_of_view_mm[0] / shape.1 as f64, field_of_view_mm[1] / shape.0 as f64];
            let points = [(1, 20, Complex64::new(2.0, -1.0)), (6, 3, Complex64::new(0.0, 3.0))]
                .map(|(y, x, value): (usize, usize, Complex64)| {
                    let x_mm = (x as f64 - (shape.1 / 2) as f64) * pixel_mm[0];
                    let y_mm = (y as f64 - (shape.0 / 2) as f64) * pixel_mm[1];
                    let area = pixel_mm[0] * pixel_mm[1] * grid.scale();
                    (x_mm, y_mm, value * area)
                });
            for ((line, channel, sample), value) in k_space.indexed_iter() {
                let [kx, ky] = grid.k_per_mm(line, sample);
                let sum: Complex64 = points
                    .iter()
                    .map(|&(x, y, value)| {
                        let seen = coils.on_grid(&[x], &[y])[[channel, 0, 0]];
                        seen * value * Complex64::cis(-2.0 * PI * (kx * x + ky * y))
                    })
                    .sum();
                let value = Complex64::new(value.re.into(), value.im.into());
                let peak: f64 = points.iter().map(|point| point.2.norm()).sum();
                // Some roundings to single precision, each of the size of all pixels together.
                assert!((value - sum).norm() < 2e-6 * peak, "{value} and {sum} of {peak}");
            }
        }
    }

    #[test]
    fn small_pixels_approach_the_ellipse() {
        let coils = LoopArray::new(2, 100.0, [240.0, 200.0]).sensitivities(0.0);
        let grid = CartesianGrid {
            matrix_size: [32, 24],
            field_of_view_mm: [240.0, 200.0],
            readout_oversampling: 2,
        };
        let ellipse =
            Ellipse { semi_axes_mm: [60.0, 45.0], center_mm: [10.0, 20.0], angle_rad: 0.5 };
        let values = Array2::from_shape_fn((500, 512), |(y, x)| {
            let (x_mm, y_mm) = (0.5 * (x as f64 - 256.0), 0.4 * (y as f64 - 250.0));
            Complex32::from(if ellipse.contains(x_mm, y_mm) { 1.0 } else { 0.0 })
        });
        let pixels = Object::Pixels(PixelObject { values, field_of_view_mm: [256.0, 200.0] });
        let amplitude = Complex64::ONE;
        let exact = Object::Ellipses(vec![Component { ellipse, amplitude }]);
        let sampler = CartesianSampler::new(grid, &coils);
        let (pixels, exact) = (sampler.k_space(&pixels), sampler.k_space(&exact));
        let peak = exact.iter().map(|value| value.norm()).fold(0.0, f32::max);
        for (pixels, exact) in pixels.iter().zip(&exact) {
            // Pixels of the edge, 330 mm long, are in or out at random: half of the root of
            // their number of some 42 000.
            assert!((pixels - exact).norm() < 1.5e-3 * peak, "{pixels} and {exact} of {peak}");
        }
    }

    #[test]
    fn no_pixels_give_no_signal() {
        let coils = LoopArray::new(2, 100.0, [240.0, 200.0]).sensitivities(0.0);
        let grid = CartesianGrid {
            matrix_size: [8, 8],
            field_of_view_mm: [240.0, 200.0],
            readout_oversampling: 2,
        };
        let object = PixelObject { values: Array2::zeros((0, 4)), field_of_view_mm: [100.0; 2] };
        let k_space = CartesianSampler::new(grid, &coils).k_space(&Object::Pixels(object));
        assert!(k_space.iter().all(|value| *value == Complex32::ZERO));
    }
}
