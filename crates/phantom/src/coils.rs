//! Receive coils whose sensitivities are short sums of plane waves.
//!
//! A plane wave shifts the spectrum of what it multiplies, so the k-space of an analytic object
//! seen through such a coil is a sum of shifted spectra: exact, for every trajectory.

mod background;

use std::f64::consts::{PI, TAU};

use ndarray::{Array2, Array3, ArrayView2, Axis};
use num_complex::{Complex32, Complex64};
use numerics::cholesky;

pub use background::Background;

const ORDER: usize = CoilSensitivities::ORDER;

const N_WAVES: usize = CoilSensitivities::N_WAVES;

/// Coils on one ring; more are spread over several rings along the bore.
const MAX_PER_RING: usize = 16;

/// Half axes of the rings over those of the object's ellipse.
const RING_RADIUS: f64 = 1.3;

/// Largest loop over the shorter half axis of the object's ellipse.
const MAX_LOOP_RADIUS: f64 = 0.6;

/// Straight pieces that make up a loop.
const N_SEGMENTS: usize = 48;

/// Fitted extent over the field of view: what lies just outside is seen too, and folds in.
const FIT_EXTENT: f64 = 1.2;

/// Weight of points outside the ellipse: enough to tame the fit there, too little to disturb it
/// inside.
const OUTSIDE_WEIGHT: f64 = 0.01;

/// Points across the fitted extent at which sensitivities are fitted: many per period of the
/// shortest wave.
const N_FIT_POINTS: usize = 40;

/// Weight of the coefficients' own size in the fit, over the mean square of a wave. Keeps the
/// sensitivities of the order of 1 outside the ellipse.
const REGULARISATION: f64 = 1e-4;

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
    /// need to be met within a few %.
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
        let mut maps = Array3::zeros((self.n_channels(), y_mm.len(), x_mm.len()));
        for (channel, mut map) in maps.outer_iter_mut().enumerate() {
            map.assign(&self.map_on_grid(channel, x_mm, y_mm));
        }
        maps
    }

    /// [`CoilSensitivities::on_grid`] of one channel: `[y, x]`.
    pub(crate) fn map_on_grid(
        &self,
        channel: usize,
        x_mm: &[f64],
        y_mm: &[f64],
    ) -> Array2<Complex64> {
        let x_waves = waves(x_mm, self.period_mm[0]);
        let y_waves = waves(y_mm, self.period_mm[1]);
        y_waves.dot(&self.coefficients(channel)).dot(&x_waves.t())
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

/// Rings of loops around an ellipse, ready to be fitted in any slice.
#[derive(Clone, Debug)]
pub struct LoopArray {
    field_of_view_mm: [f64; 2],
    points: Vec<FitPoint>,
    /// `[wave, point]`, waves along x fastest: conjugate waves times the points' weights.
    weighted: Array2<Complex64>,
    /// Cholesky factor of the weighted Gram matrix of the waves with the regularisation.
    normal_factor: Array2<Complex64>,
    loops: Vec<Loop>,
}

/// A point of the fit.
#[derive(Clone, Copy, Debug)]
struct FitPoint {
    point_mm: [f64; 2],
    /// Where the loops' field is taken: the point itself in the ellipse, and the ellipse's edge
    /// towards the centre for a point outside. Loops lie out there, where their fields are no
    /// sum of few waves.
    source_mm: [f64; 2],
    weight: f64,
}

impl FitPoint {
    fn new(point_mm: [f64; 2], semi_axes_mm: [f64; 2], center_mm: [f64; 2]) -> Self {
        let from_center = [0, 1].map(|axis| point_mm[axis] - center_mm[axis]);
        let radius = (from_center[0] / semi_axes_mm[0]).hypot(from_center[1] / semi_axes_mm[1]);
        if radius <= 1.0 {
            return Self { point_mm, source_mm: point_mm, weight: 1.0 };
        }
        let source_mm = [0, 1].map(|axis| center_mm[axis] + from_center[axis] / radius);
        Self { point_mm, source_mm, weight: OUTSIDE_WEIGHT }
    }
}

/// A loop in the plane of the ring's tangent and of the bore's axis.
#[derive(Clone, Copy, Debug)]
struct Loop {
    center_mm: [f64; 3],
    /// Unit vector along the ring.
    tangent: [f64; 2],
    radius_mm: f64,
}

impl LoopArray {
    /// [`LoopArray::around`] the disc of `radius_mm` in the middle of the field of view.
    ///
    /// # Panics
    /// If `n_channels` is 0 or a length is not a positive number.
    pub fn new(n_channels: usize, radius_mm: f64, field_of_view_mm: [f64; 2]) -> Self {
        Self::around(n_channels, [radius_mm; 2], [0.0; 2], field_of_view_mm)
    }

    /// Plans `n_channels` loops around an ellipse.
    ///
    /// * `semi_axes_mm`, `center_mm`: the ellipse, along x and y, no larger than the field of
    ///   view. The sensitivities are loops' there, and smooth and of the order of 1 in the rest
    ///   of the field of view.
    ///
    /// # Panics
    /// If `n_channels` is 0 or a length is not a positive number.
    pub fn around(
        n_channels: usize,
        semi_axes_mm: [f64; 2],
        center_mm: [f64; 2],
        field_of_view_mm: [f64; 2],
    ) -> Self {
        assert!(n_channels > 0, "a coil array without channels");
        let lengths = [semi_axes_mm, field_of_view_mm].concat();
        let positive = lengths.iter().all(|&length| length > 0.0 && length.is_finite());
        assert!(positive, "lengths {lengths:?} mm");
        let along = |n: usize| {
            let half = FIT_EXTENT * (2.0 * (n as f64 + 0.5) / N_FIT_POINTS as f64 - 1.0);
            field_of_view_mm.map(|length| 0.5 * length * half)
        };
        let points: Vec<FitPoint> = (0..N_FIT_POINTS * N_FIT_POINTS)
            .map(|n| [along(n % N_FIT_POINTS)[0], along(n / N_FIT_POINTS)[1]])
            .map(|point_mm| FitPoint::new(point_mm, semi_axes_mm, center_mm))
            .collect();
        let points_mm: Vec<[f64; 2]> = points.iter().map(|point| point.point_mm).collect();
        let [x_waves, y_waves] = [0, 1].map(|axis| {
            let along: Vec<f64> = points_mm.iter().map(|point| point[axis]).collect();
            waves(&along, 2.0 * field_of_view_mm[axis])
        });
        let basis = Array2::from_shape_fn((points_mm.len(), N_WAVES * N_WAVES), |(point, wave)| {
            y_waves[[point, wave / N_WAVES]] * x_waves[[point, wave % N_WAVES]]
        });
        let mut weighted = basis.t().mapv(|value: Complex64| value.conj());
        for (mut column, point) in weighted.columns_mut().into_iter().zip(&points) {
            column.mapv_inplace(|value| value * point.weight);
        }
        let mut normal = weighted.dot(&basis);
        let regularisation = REGULARISATION * points.iter().map(|point| point.weight).sum::<f64>();
        normal.diag_mut().mapv_inplace(|value| value + regularisation);
        let normal_factor = cholesky::factor(normal.view())
            .expect("a Gram matrix plus a multiple of the unit matrix is positive definite");
        let loops = place_loops(n_channels, semi_axes_mm, center_mm);
        Self { field_of_view_mm, points, weighted, normal_factor, loops }
    }

    /// Sensitivities in the slice at `z_mm` along the bore. The sum over channels of their
    /// squared magnitudes is about 1 in the ellipse.
    ///
    /// # Method
    /// The transverse field Bx − iBy of each loop by Biot and Savart, divided by the root of
    /// the sum of squares over the loops, and fitted by least squares on a grid of points. The
    /// fit *is* the sensitivity: what it misses of the loop costs no exactness.
    pub fn sensitivities(&self, z_mm: f64) -> CoilSensitivities {
        self.fit(self.normalised_fields(z_mm))
    }

    /// [`LoopArray::sensitivities`] times a smooth phase and bias of the object, which is the
    /// same for all channels.
    pub fn sensitivities_with(&self, z_mm: f64, background: &Background) -> CoilSensitivities {
        let mut fields = self.normalised_fields(z_mm);
        for (mut at_point, factor) in fields.rows_mut().into_iter().zip(self.factors(background)) {
            at_point.mapv_inplace(|value| value * factor);
        }
        self.fit(fields)
    }

    /// A single channel that is `background` alone.
    pub fn uniform_with(&self, background: &Background) -> CoilSensitivities {
        let factors: Vec<Complex64> = self.factors(background).collect();
        self.fit(Array2::from_shape_fn((factors.len(), 1), |(point, _)| factors[point]))
    }

    fn factors(&self, background: &Background) -> impl Iterator<Item = Complex64> {
        let half = self.field_of_view_mm.map(|length| 0.5 * length);
        let shape = background.shape();
        let points = self.points.iter().map(|point| point.point_mm);
        points.map(move |[x, y]| shape.at([x / half[0], y / half[1]]))
    }

    /// `[point, channel]`.
    fn normalised_fields(&self, z_mm: f64) -> Array2<Complex64> {
        let shape = (self.points.len(), self.loops.len());
        let mut fields = Array2::from_shape_fn(shape, |(point, channel)| {
            let [x, y] = self.points[point].source_mm;
            self.loops[channel].field([x, y, z_mm])
        });
        for mut at_point in fields.rows_mut() {
            let sum_of_squares: f64 = at_point.iter().map(Complex64::norm_sqr).sum();
            let scale = 1.0 / sum_of_squares.sqrt();
            at_point.mapv_inplace(|value| value * scale);
        }
        fields
    }

    /// Least squares for `[point, channel]`.
    fn fit(&self, fields: Array2<Complex64>) -> CoilSensitivities {
        let mut columns = self.weighted.dot(&fields);
        cholesky::solve(self.normal_factor.view(), columns.view_mut());
        let coefficients =
            Array3::from_shape_fn((fields.ncols(), N_WAVES, N_WAVES), |(channel, q, p)| {
                columns[[q * N_WAVES + p, channel]]
            });
        let period_mm = self.field_of_view_mm.map(|length| 2.0 * length);
        CoilSensitivities { period_mm, coefficients }
    }
}

/// Spreads the loops evenly over as few rings as possible.
fn place_loops(n_channels: usize, semi_axes_mm: [f64; 2], center_mm: [f64; 2]) -> Vec<Loop> {
    let n_rings = n_channels.div_ceil(MAX_PER_RING);
    let ring = Ring::new(semi_axes_mm.map(|length| RING_RADIUS * length));
    let max_radius_mm = MAX_LOOP_RADIUS * semi_axes_mm[0].min(semi_axes_mm[1]);
    (0..n_rings)
        .flat_map(|n_ring| {
            let n_on_ring = n_channels / n_rings + usize::from(n_ring < n_channels % n_rings);
            // Neighbours overlap a little, as they do to decouple.
            let spacing_mm = ring.length_mm() / n_on_ring as f64;
            let radius_mm = (0.56 * spacing_mm).min(max_radius_mm);
            let z_mm = (n_ring as f64 - 0.5 * (n_rings - 1) as f64) * 1.6 * radius_mm;
            // Every other ring is shifted by half a loop.
            let offset = if n_ring % 2 == 0 { 0.25 } else { 0.75 };
            let ring = &ring;
            (0..n_on_ring).map(move |n| {
                let ([x, y], tangent) = ring.at((n as f64 + offset) / n_on_ring as f64);
                let center_mm = [center_mm[0] + x, center_mm[1] + y, z_mm];
                Loop { center_mm, tangent, radius_mm }
            })
        })
        .collect()
}

/// An ellipse by the length along it.
struct Ring {
    semi_axes_mm: [f64; 2],
    /// Length from angle 0 to that of each of its straight pieces' ends.
    lengths_mm: Vec<f64>,
}

impl Ring {
    const N_PIECES: usize = 720;

    fn new(semi_axes_mm: [f64; 2]) -> Self {
        let mut lengths_mm = vec![0.0];
        let [a, b] = semi_axes_mm;
        for piece in 0..Self::N_PIECES {
            let (sin, cos) = (TAU * (piece as f64 + 0.5) / Self::N_PIECES as f64).sin_cos();
            let length = TAU / Self::N_PIECES as f64 * (a * sin).hypot(b * cos);
            lengths_mm.push(lengths_mm[piece] + length);
        }
        Self { semi_axes_mm, lengths_mm }
    }

    fn length_mm(&self) -> f64 {
        self.lengths_mm[Self::N_PIECES]
    }

    /// Point and unit tangent at a share of the length.
    fn at(&self, share: f64) -> ([f64; 2], [f64; 2]) {
        let length_mm = share * self.length_mm();
        let piece = self.lengths_mm.partition_point(|&end| end <= length_mm);
        let piece = piece.clamp(1, Self::N_PIECES);
        let [before, after] = [self.lengths_mm[piece - 1], self.lengths_mm[piece]];
        let within = (length_mm - before) / (after - before);
        let (sin, cos) = (TAU * (piece as f64 - 1.0 + within) / Self::N_PIECES as f64).sin_cos();
        let [a, b] = self.semi_axes_mm;
        let speed = (a * sin).hypot(b * cos);
        ([a * cos, b * sin], [-a * sin / speed, b * cos / speed])
    }
}

impl Loop {
    /// Bx − iBy at `point_mm` of unit current, in arbitrary units.
    fn field(&self, point_mm: [f64; 3]) -> Complex64 {
        let [tangent_x, tangent_y] = self.tangent;
        let [center_x, center_y, center_z] = self.center_mm;
        let mut sum = [0.0; 2];
        for segment in 0..N_SEGMENTS {
            let (s, c) = (TAU * (segment as f64 + 0.5) / N_SEGMENTS as f64).sin_cos();
            let along = self.radius_mm * c;
            let piece = [
                center_x + along * tangent_x,
                center_y + along * tangent_y,
                center_z + self.radius_mm * s,
            ];
            let current = [-s * tangent_x, -s * tangent_y, c];
            let d = [0, 1, 2].map(|axis| point_mm[axis] - piece[axis]);
            let distance_squared: f64 = d.iter().map(|x| x * x).sum();
            let weight = 1.0 / (distance_squared * distance_squared.sqrt());
            sum[0] += weight * (current[1] * d[2] - current[2] * d[1]);
            sum[1] += weight * (current[2] * d[0] - current[0] * d[2]);
        }
        Complex64::new(sum[0], -sum[1]) * (2.0 * PI * self.radius_mm / N_SEGMENTS as f64)
    }
}

#[cfg(test)]
mod tests;
