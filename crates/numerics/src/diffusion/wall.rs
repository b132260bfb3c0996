//! The wall of the left ventricle in a short-axis slice: its borders, its axes, its depth.

mod find;

use std::f64::consts::TAU;

use nalgebra::{SMatrix, SVector};
use ndarray::{Array2, ArrayView2};

use super::angles::WallAxes;

pub use find::find_wall;

/// No wall.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum WallError {
    /// Too few pixels.
    #[error("the mask of the heart's wall has {0} pixels, {least} are the least", least = LEAST_PIXELS)]
    TooFewPixels(usize),
    /// No ring.
    #[error(
        "the mask of the heart's wall goes round {covered_percent} % of its centre, {least} % are \
         the least",
        least = LEAST_COVERED_PERCENT
    )]
    NoRing {
        /// How much of the circle has wall.
        covered_percent: usize,
    },
    /// Nothing like a ventricle.
    #[error("no ring of wall around blood is found in the diffusion-weighted images")]
    NotFound,
}

const LEAST_PIXELS: usize = 24;
const LEAST_COVERED_PERCENT: usize = 70;
/// Rays from the centre.
const N_RAYS: usize = 96;
/// Unknowns of a contour: a mean, and sine and cosine of 1 to 4 turns.
const N_TERMS: usize = 9;

/// The wall of the left ventricle.
#[derive(Clone, Debug)]
pub struct Wall {
    /// Pixels of the wall: `[y, x]`.
    pub mask: Array2<bool>,
    /// Centre of the blood pool, y and x, px.
    pub center_px: [f64; 2],
    pixel_mm: [f64; 2],
    endocardium: Contour,
    epicardium: Contour,
}

/// A closed curve around a centre: its radius in mm as a sum of waves.
#[derive(Clone, Copy, Debug)]
struct Contour([f64; N_TERMS]);

fn waves(angle: f64) -> [f64; N_TERMS] {
    let mut waves = [1.0; N_TERMS];
    for turn in 1..=N_TERMS / 2 {
        let (sin, cos) = (turn as f64 * angle).sin_cos();
        (waves[2 * turn - 1], waves[2 * turn]) = (cos, sin);
    }
    waves
}

impl Contour {
    /// Through points (angle, radius).
    fn through(points: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        let mut normal = SMatrix::<f64, N_TERMS, N_TERMS>::zeros();
        let mut right = SVector::<f64, N_TERMS>::zeros();
        let mut n = 0.0;
        for (angle, radius) in points {
            let waves = SVector::from(waves(angle));
            normal += waves * waves.transpose();
            right += waves * radius;
            n += 1.0;
        }
        // Fast waves are dear where points are missing.
        for term in 1..N_TERMS {
            normal[(term, term)] += 1e-3 * n * (term as f64).powi(2) / N_TERMS as f64;
        }
        Some(Self(normal.cholesky()?.solve(&right).into()))
    }

    fn radius(&self, angle: f64) -> f64 {
        self.0.iter().zip(waves(angle)).map(|(a, b)| a * b).sum()
    }

    /// Derivative of the radius.
    fn slope(&self, angle: f64) -> f64 {
        (1..=N_TERMS / 2)
            .map(|turn| {
                let (sin, cos) = (turn as f64 * angle).sin_cos();
                turn as f64 * (self.0[2 * turn] * cos - self.0[2 * turn - 1] * sin)
            })
            .sum()
    }
}

impl Wall {
    /// The wall of a mask.
    ///
    /// * `mask`: `[y, x]`, pixels of the wall.
    /// * `pixel_mm`: edges y and x.
    ///
    /// # Errors
    /// [`WallError`]: too few pixels, or no ring.
    pub fn from_mask(mask: ArrayView2<'_, bool>, pixel_mm: [f64; 2]) -> Result<Self, WallError> {
        let pixels: Vec<(usize, usize)> =
            mask.indexed_iter().filter(|(_, is_wall)| **is_wall).map(|(place, _)| place).collect();
        if pixels.len() < LEAST_PIXELS {
            return Err(WallError::TooFewPixels(pixels.len()));
        }
        let n = pixels.len() as f64;
        let mut center_px = [
            pixels.iter().map(|(y, _)| *y as f64).sum::<f64>() / n,
            pixels.iter().map(|(_, x)| *x as f64).sum::<f64>() / n,
        ];
        let mut found = None;
        for _ in 0..4 {
            let borders = borders(mask, center_px, pixel_mm);
            let covered_percent = 100 * borders.len() / N_RAYS;
            if covered_percent < LEAST_COVERED_PERCENT {
                return Err(WallError::NoRing { covered_percent });
            }
            let of = |which: fn(&[f64; 3]) -> f64| {
                Contour::through(borders.iter().map(|border| (border[0], which(border))))
            };
            let (Some(endocardium), Some(epicardium)) = (of(|b| b[1]), of(|b| b[2])) else {
                return Err(WallError::NoRing { covered_percent });
            };
            found = Some((center_px, endocardium, epicardium));
            let shift_mm = centroid_mm(&endocardium);
            center_px = [
                center_px[0] + shift_mm[0] / pixel_mm[0],
                center_px[1] + shift_mm[1] / pixel_mm[1],
            ];
        }
        let (center_px, endocardium, epicardium) = found.ok_or(WallError::NotFound)?;
        Ok(Self { mask: mask.to_owned(), center_px, pixel_mm, endocardium, epicardium })
    }

    /// Angle from x towards y, and distance from the centre in mm, of a pixel.
    pub fn polar(&self, y: usize, x: usize) -> (f64, f64) {
        let dy = (y as f64 - self.center_px[0]) * self.pixel_mm[0];
        let dx = (x as f64 - self.center_px[1]) * self.pixel_mm[1];
        (dy.atan2(dx), dx.hypot(dy))
    }

    /// The wall's axes at a pixel: the circumference runs along the curve between both borders.
    pub fn axes(&self, y: usize, x: usize) -> WallAxes {
        let (angle, _) = self.polar(y, x);
        let depth = self.depth(y, x).clamp(0.0, 1.0);
        let blend = |of: fn(&Contour, f64) -> f64| {
            (1.0 - depth) * of(&self.endocardium, angle) + depth * of(&self.epicardium, angle)
        };
        let (radius, slope) = (blend(Contour::radius).max(1e-3), blend(Contour::slope));
        let (sin, cos) = angle.sin_cos();
        // The normal of r(θ): r·(outwards) − r'·(around).
        WallAxes::of_short_axis(radius * cos + slope * sin, radius * sin - slope * cos)
    }

    /// 0 at the endocardium, 1 at the epicardium.
    pub fn depth(&self, y: usize, x: usize) -> f64 {
        let (angle, radius) = self.polar(y, x);
        let inner = self.endocardium.radius(angle);
        let thickness = (self.epicardium.radius(angle) - inner).max(1e-3);
        (radius - inner) / thickness
    }

    /// Mean thickness, mm.
    pub fn thickness_mm(&self) -> f64 {
        self.epicardium.0[0] - self.endocardium.0[0]
    }
}

/// Angle, first and last radius of the wall in mm, along each ray that meets it.
fn borders(mask: ArrayView2<'_, bool>, center_px: [f64; 2], pixel_mm: [f64; 2]) -> Vec<[f64; 3]> {
    let (n_y, n_x) = mask.dim();
    let step_mm = 0.2 * pixel_mm[0].min(pixel_mm[1]);
    let longest_mm = (n_y as f64 * pixel_mm[0]).hypot(n_x as f64 * pixel_mm[1]);
    let n_steps = (longest_mm / step_mm) as usize;
    (0..N_RAYS)
        .filter_map(|ray| {
            let angle = TAU * ray as f64 / N_RAYS as f64;
            let (sin, cos) = angle.sin_cos();
            let is_wall = |step: &usize| {
                let radius_mm = *step as f64 * step_mm;
                let y = (center_px[0] + radius_mm * sin / pixel_mm[0]).round();
                let x = (center_px[1] + radius_mm * cos / pixel_mm[1]).round();
                let is_inside = y >= 0.0 && x >= 0.0 && (y as usize) < n_y && (x as usize) < n_x;
                is_inside && mask[[y as usize, x as usize]]
            };
            let first = (0..n_steps).find(is_wall)?;
            let last = (first..n_steps).rev().find(is_wall)?;
            Some([angle, first as f64 * step_mm, (last + 1) as f64 * step_mm])
        })
        .collect()
}

/// Centre of gravity of what a contour encloses, y and x, mm from its centre.
fn centroid_mm(contour: &Contour) -> [f64; 2] {
    let (mut area, mut y, mut x) = (0.0, 0.0, 0.0);
    for ray in 0..N_RAYS {
        let angle = TAU * ray as f64 / N_RAYS as f64;
        let radius = contour.radius(angle);
        area += radius.powi(2) / 2.0;
        y += radius.powi(3) / 3.0 * angle.sin();
        x += radius.powi(3) / 3.0 * angle.cos();
    }
    if area > 0.0 { [y / area, x / area] } else { [0.0; 2] }
}
