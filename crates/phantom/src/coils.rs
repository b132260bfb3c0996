//! Receive coils whose sensitivities are short sums of plane waves.
//!
//! A plane wave shifts the spectrum of what it multiplies, so the k-space of an analytic object
//! seen through such a coil is a sum of shifted spectra: exact, for every trajectory.

use std::f64::consts::{PI, TAU};

use ndarray::{Array2, Array3, ArrayView2, Axis};
use num_complex::{Complex32, Complex64};
use numerics::cholesky;

const ORDER: usize = CoilSensitivities::ORDER;

const N_WAVES: usize = CoilSensitivities::N_WAVES;

/// Coils on one ring; more are spread over several rings along the bore.
const MAX_PER_RING: usize = 16;

/// Radius of the rings over that of the object's disc.
const RING_RADIUS: f64 = 1.3;

/// Largest loop over the radius of the object's disc.
const MAX_LOOP_RADIUS: f64 = 0.6;

/// Straight pieces that make up a loop.
const N_SEGMENTS: usize = 48;

/// Points across the disc at which sensitivities are fitted: several per period of the
/// shortest wave.
const N_FIT_POINTS: usize = 40;

/// Weight of the coefficients' own size in the fit, over the mean square of a wave. Keeps the
/// sensitivities of the order of 1 outside the disc.
const REGULARISATION: f64 = 1e-6;

/// The sensitivities of a coil array in one slice.
#[derive(Clone, Debug, PartialEq)]
pub struct CoilSensitivities {
    /// Twice the field of view \[x, y\], mm.
    period_mm: [f64; 2],
    /// `[channel, wave along y, wave along x]`.
    coefficients: Array3<Complex64>,
}

impl CoilSensitivities {
    /// Most periods of a wave in twice the field of view: what the loops of a 16-channel ring
    /// need to be met within 1 % or so.
    pub const ORDER: usize = 4;

    /// Waves along each direction: −ORDER … ORDER periods.
    pub const N_WAVES: usize = 2 * Self::ORDER + 1;

    /// One channel that is 1 everywhere.
    pub fn uniform(field_of_view_mm: [f64; 2]) -> Self {
        let mut coefficients = Array3::zeros((1, N_WAVES, N_WAVES));
        coefficients[[0, ORDER, ORDER]] = Complex64::ONE;
        Self { period_mm: field_of_view_mm.map(|length| 2.0 * length), coefficients }
    }

    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.coefficients.len_of(Axis(0))
    }

    /// Periods \[x, y\] of the longest waves, mm.
    pub(crate) fn period_mm(&self) -> [f64; 2] {
        self.period_mm
    }

    /// Weights of the waves of a channel: `[wave along y, wave along x]`. That of
    /// exp(2πi (p·x/Lx + q·y/Ly)), with Lx and Ly twice the field of view, is at
    /// \[q + ORDER, p + ORDER\].
    pub fn coefficients(&self, channel: usize) -> ArrayView2<'_, Complex64> {
        self.coefficients.index_axis(Axis(0), channel)
    }

    /// Sensitivity of each channel on a grid of points: `[channel, y, x]`.
    pub fn on_grid(&self, x_mm: &[f64], y_mm: &[f64]) -> Array3<Complex64> {
        let x_waves = waves(x_mm, self.period_mm[0]);
        let y_waves = waves(y_mm, self.period_mm[1]);
        let mut maps = Array3::zeros((self.n_channels(), y_mm.len(), x_mm.len()));
        for (mut map, coefficients) in maps.outer_iter_mut().zip(self.coefficients.outer_iter()) {
            map.assign(&y_waves.dot(&coefficients).dot(&x_waves.t()));
        }
        maps
    }

    /// Coil maps at the centres of the pixels of an image: `[channel, y, x]`.
    ///
    /// * `matrix_size`: \[x, y\] pixels over the field of view; the origin is at pixel N/2.
    pub fn maps(&self, matrix_size: [usize; 2]) -> Array3<Complex32> {
        let [x_mm, y_mm] = [0, 1].map(|axis| {
            let n = matrix_size[axis];
            let pixel_mm = 0.5 * self.period_mm[axis] / n as f64;
            (0..n).map(|i| (i as f64 - (n / 2) as f64) * pixel_mm).collect::<Vec<_>>()
        });
        self.on_grid(&x_mm, &y_mm).mapv(|value| Complex32::new(value.re as f32, value.im as f32))
    }
}

/// exp(2πi l·x / period) for l = −ORDER … ORDER: `[point, wave]`.
fn waves(points_mm: &[f64], period_mm: f64) -> Array2<Complex64> {
    Array2::from_shape_fn((points_mm.len(), N_WAVES), |(point, wave)| {
        let periods = wave as f64 - ORDER as f64;
        Complex64::cis(TAU * periods * points_mm[point] / period_mm)
    })
}

/// Rings of loops around a disc, ready to be fitted in any slice.
#[derive(Clone, Debug)]
pub struct LoopArray {
    radius_mm: f64,
    field_of_view_mm: [f64; 2],
    /// Points of the fit.
    points_mm: Vec<[f64; 2]>,
    /// `[point, wave]`, waves along x fastest.
    basis: Array2<Complex64>,
    /// Cholesky factor of basisᴴ·basis with the regularisation.
    normal_factor: Array2<Complex64>,
    loops: Vec<Loop>,
}

#[derive(Clone, Copy, Debug)]
struct Loop {
    angle_rad: f64,
    z_mm: f64,
    radius_mm: f64,
}

impl LoopArray {
    /// Plans `n_channels` loops around the disc of `radius_mm` in the middle of the field of
    /// view, that fills no more than this field.
    ///
    /// # Panics
    /// If `n_channels` is 0 or a length is not a positive number.
    pub fn new(n_channels: usize, radius_mm: f64, field_of_view_mm: [f64; 2]) -> Self {
        assert!(n_channels > 0, "a coil array without channels");
        let lengths = [radius_mm, field_of_view_mm[0], field_of_view_mm[1]];
        assert!(lengths.iter().all(|&length| length > 0.0), "lengths {lengths:?} mm");
        let step = 2.0 / N_FIT_POINTS as f64;
        let along = |n: usize| (n as f64 + 0.5) * step - 1.0;
        let points_mm: Vec<[f64; 2]> = (0..N_FIT_POINTS * N_FIT_POINTS)
            .map(|n| [along(n % N_FIT_POINTS), along(n / N_FIT_POINTS)])
            .filter(|[x, y]| x * x + y * y <= 1.0)
            .map(|point| point.map(|length| length * radius_mm))
            .collect();
        let [x_waves, y_waves] = [0, 1].map(|axis| {
            let along: Vec<f64> = points_mm.iter().map(|point| point[axis]).collect();
            waves(&along, 2.0 * field_of_view_mm[axis])
        });
        let basis = Array2::from_shape_fn((points_mm.len(), N_WAVES * N_WAVES), |(point, wave)| {
            y_waves[[point, wave / N_WAVES]] * x_waves[[point, wave % N_WAVES]]
        });
        let mut normal = basis.t().mapv(|value| value.conj()).dot(&basis);
        normal.diag_mut().mapv_inplace(|value| value + REGULARISATION * points_mm.len() as f64);
        let normal_factor = cholesky::factor(normal.view())
            .expect("a Gram matrix plus a multiple of the unit matrix is positive definite");
        let loops = place_loops(n_channels, radius_mm);
        Self { radius_mm, field_of_view_mm, points_mm, basis, normal_factor, loops }
    }

    /// Sensitivities in the slice at `z_mm` along the bore. The sum over channels of their
    /// squared magnitudes is about 1 in the disc.
    ///
    /// # Method
    /// The transverse field Bx − iBy of each loop by Biot and Savart, divided by the root of
    /// the sum of squares over the loops, and fitted by least squares on a grid of points. The
    /// fit *is* the sensitivity: what it misses of the loop costs no exactness.
    pub fn sensitivities(&self, z_mm: f64) -> CoilSensitivities {
        let mut fields =
            Array2::from_shape_fn((self.points_mm.len(), self.loops.len()), |(point, channel)| {
                let [x, y] = self.points_mm[point];
                self.loops[channel].field([x, y, z_mm], RING_RADIUS * self.radius_mm)
            });
        for mut at_point in fields.rows_mut() {
            let sum_of_squares: f64 = at_point.iter().map(Complex64::norm_sqr).sum();
            let scale = 1.0 / sum_of_squares.sqrt();
            at_point.mapv_inplace(|value| value * scale);
        }
        let mut columns = self.basis.t().mapv(|value| value.conj()).dot(&fields);
        cholesky::solve(self.normal_factor.view(), columns.view_mut());
        let coefficients =
            Array3::from_shape_fn((self.loops.len(), N_WAVES, N_WAVES), |(channel, q, p)| {
                columns[[q * N_WAVES + p, channel]]
            });
        let period_mm = self.field_of_view_mm.map(|length| 2.0 * length);
        CoilSensitivities { period_mm, coefficients }
    }
}

/// Spreads the loops evenly over as few rings as possible.
fn place_loops(n_channels: usize, radius_mm: f64) -> Vec<Loop> {
    let n_rings = n_channels.div_ceil(MAX_PER_RING);
    (0..n_rings)
        .flat_map(|ring| {
            let n_on_ring = n_channels / n_rings + usize::from(ring < n_channels % n_rings);
            // Neighbours overlap a little, as they do to decouple.
            let spacing_mm = TAU * RING_RADIUS * radius_mm / n_on_ring as f64;
            let loop_radius_mm = (0.56 * spacing_mm).min(MAX_LOOP_RADIUS * radius_mm);
            let z_mm = (ring as f64 - 0.5 * (n_rings - 1) as f64) * 1.6 * loop_radius_mm;
            // Every other ring is shifted by half a loop.
            let offset = if ring % 2 == 0 { 0.25 } else { 0.75 };
            (0..n_on_ring).map(move |n| Loop {
                angle_rad: TAU * (n as f64 + offset) / n_on_ring as f64,
                z_mm,
                radius_mm: loop_radius_mm,
            })
        })
        .collect()
}

impl Loop {
    /// Bx − iBy at `point_mm` of unit current, in arbitrary units.
    fn field(&self, point_mm: [f64; 3], ring_radius_mm: f64) -> Complex64 {
        let (sin, cos) = self.angle_rad.sin_cos();
        let mut sum = [0.0; 2];
        for segment in 0..N_SEGMENTS {
            // The loop lies in the plane of the tangent to the ring and of the bore's axis.
            let (s, c) = (TAU * (segment as f64 + 0.5) / N_SEGMENTS as f64).sin_cos();
            let along = self.radius_mm * c;
            let piece = [
                ring_radius_mm * cos - along * sin,
                ring_radius_mm * sin + along * cos,
                self.z_mm + self.radius_mm * s,
            ];
            let tangent = [s * sin, -s * cos, c];
            let d = [0, 1, 2].map(|axis| point_mm[axis] - piece[axis]);
            let distance_squared: f64 = d.iter().map(|x| x * x).sum();
            let weight = 1.0 / (distance_squared * distance_squared.sqrt());
            sum[0] += weight * (tangent[1] * d[2] - tangent[2] * d[1]);
            sum[1] += weight * (tangent[2] * d[0] - tangent[0] * d[2]);
        }
        Complex64::new(sum[0], -sum[1]) * (2.0 * PI * self.radius_mm / N_SEGMENTS as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn magnitudes_in_disc(n_channels: usize, z_mm: f64) -> Vec<f64> {
        let coils = LoopArray::new(n_channels, 135.0, [300.0, 280.0]).sensitivities(z_mm);
        assert_eq!(coils.n_channels(), n_channels);
        let maps = coils.maps([60, 56]);
        let mut rss = Vec::new();
        for y in 0..56 {
            for x in 0..60 {
                let (x_mm, y_mm) = (5.0 * (x as f64 - 30.0), 5.0 * (y as f64 - 28.0));
                if x_mm.hypot(y_mm) < 135.0 {
                    let squares = (0..n_channels).map(|c| f64::from(maps[[c, y, x]].norm_sqr()));
                    rss.push(squares.sum::<f64>().sqrt());
                }
            }
        }
        rss
    }

    #[test]
    fn root_sum_of_squares_is_about_one_in_the_disc() {
        for n_channels in [1, 2, 3, 4, 8, 16, 32, 64] {
            for z_mm in [0.0, 40.0] {
                let rss = magnitudes_in_disc(n_channels, z_mm);
                let worst = rss.iter().map(|value| (value - 1.0).abs()).fold(0.0, f64::max);
                // What nine waves in each direction miss of the loops nearest to the edge.
                assert!(worst < 0.02, "{n_channels} channels at {z_mm} mm: {worst}");
            }
        }
    }

    #[test]
    fn maps_are_the_sum_of_waves() {
        let coils = LoopArray::new(4, 100.0, [240.0, 220.0]).sensitivities(10.0);
        let maps = coils.maps([12, 11]);
        let (x_mm, y_mm) = (3.0 * 20.0, -2.0 * 20.0);
        let mut sum = Complex64::ZERO;
        for ((q, p), coefficient) in coils.coefficients(2).indexed_iter() {
            let (p, q) = (p as f64 - ORDER as f64, q as f64 - ORDER as f64);
            sum += coefficient * Complex64::cis(TAU * (p * x_mm / 480.0 + q * y_mm / 440.0));
        }
        let map = maps[[2, 3, 9]];
        assert!((Complex64::new(map.re.into(), map.im.into()) - sum).norm() < 1e-6);
    }

    #[test]
    fn each_loop_sees_best_what_is_near_it() {
        let n_channels = 8;
        let array = LoopArray::new(n_channels, 100.0, [200.0, 200.0]);
        let coils = array.sensitivities(0.0);
        for (channel, near) in array.loops.iter().enumerate() {
            let (sin, cos) = near.angle_rad.sin_cos();
            let at = |radius_mm: f64| {
                coils.on_grid(&[radius_mm * cos], &[radius_mm * sin])[[channel, 0, 0]].norm()
            };
            assert!(at(90.0) > 1.5 * at(0.0) && at(0.0) > 1.5 * at(-90.0), "channel {channel}");
        }
    }

    #[test]
    fn a_uniform_coil_is_one_everywhere() {
        let maps = CoilSensitivities::uniform([300.0, 200.0]).maps([9, 8]);
        assert!(maps.iter().all(|value| (value - Complex32::ONE).norm() < 1e-6));
    }
}
