//! How breathing stretches lungs and liver, and what a linear map makes of an ellipse.

use crate::ellipse::Ellipse;

/// The motion of what breathing stretches: displacement grows linearly from 0 at the far side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    center_mm: [f64; 2],
    shift_mm: [f64; 2],
    /// Gradient of the share of the shift, 1/mm. The share is ½ at the centre.
    gradient: [f64; 2],
}

impl Stretch {
    pub(super) fn new(ellipse: &Ellipse, heart_mm: [f64; 2], shift_mm: [f64; 2]) -> Self {
        let center_mm = ellipse.center_mm;
        let towards = [heart_mm[0] - center_mm[0], heart_mm[1] - center_mm[1]];
        let distance = towards[0].hypot(towards[1]);
        let direction = if distance > 0.0 { towards.map(|x| x / distance) } else { [1.0, 0.0] };
        let half_width = ellipse.half_width_mm(direction);
        let gradient = direction.map(|x| 0.5 * x / half_width);
        Self { center_mm, shift_mm, gradient }
    }

    pub(super) fn ellipse(&self, ellipse: &Ellipse) -> Ellipse {
        let [[sx, sy], [gx, gy]] = [self.shift_mm, self.gradient];
        let matrix = [[1.0 + sx * gx, sx * gy], [sy * gx, 1.0 + sy * gy]];
        ellipse.mapped(matrix, self.forward(ellipse.center_mm))
    }

    pub(super) fn forward(&self, point_mm: [f64; 2]) -> [f64; 2] {
        let share = 0.5 + self.along(point_mm);
        [0, 1].map(|axis| point_mm[axis] + share * self.shift_mm[axis])
    }

    pub(super) fn inverse(&self, point_mm: [f64; 2]) -> [f64; 2] {
        // share = ½ + g·(p' − share·s − c) solved for the share.
        let share = (0.5 + self.along(point_mm)) / self.determinant();
        [0, 1].map(|axis| point_mm[axis] - share * self.shift_mm[axis])
    }

    pub(super) fn determinant(&self) -> f64 {
        1.0 + self.shift_mm[0] * self.gradient[0] + self.shift_mm[1] * self.gradient[1]
    }

    fn along(&self, point_mm: [f64; 2]) -> f64 {
        (0..2).map(|n| self.gradient[n] * (point_mm[n] - self.center_mm[n])).sum()
    }
}

impl Ellipse {
    /// Its image under a linear map, with another centre. The longer axis becomes the first.
    pub(super) fn mapped(&self, matrix: [[f64; 2]; 2], center_mm: [f64; 2]) -> Self {
        let (sin, cos) = self.angle_rad.sin_cos();
        let [a, b] = self.semi_axes_mm;
        let apply = |x: f64, y: f64| matrix.map(|row| row[0] * x + row[1] * y);
        let (u, v) = (apply(a * cos, a * sin), apply(-b * sin, b * cos));
        // Eigenvalues of u uᵀ + v vᵀ are the squares of the axes.
        let (xx, yy, xy) =
            (u[0] * u[0] + v[0] * v[0], u[1] * u[1] + v[1] * v[1], u[0] * u[1] + v[0] * v[1]);
        let spread = (0.5 * (xx - yy)).hypot(xy);
        let longer = (0.5 * (xx + yy) + spread).sqrt();
        let shorter = (u[0] * v[1] - u[1] * v[0]).abs() / longer;
        Self {
            semi_axes_mm: [longer, shorter],
            center_mm,
            angle_rad: 0.5 * (2.0 * xy).atan2(xx - yy),
        }
    }
}
