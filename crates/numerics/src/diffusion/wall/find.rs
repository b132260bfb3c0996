//! The wall where no mask shows it.

use std::f64::consts::TAU;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{N_RAYS, Wall, WallError};

/// Water that diffuses faster is blood, µm²/ms.
const BLOOD_FROM: f32 = 2.0;
/// Radii of the blood pool at its centre, and thicknesses of the wall, mm.
const POOL_MM: [f64; 2] = [8.0, 34.0];
const THICKNESS_MM: [f64; 2] = [5.0, 18.0];
/// Part of the picture, around its centre, where the ventricle is looked for.
const CENTRAL: f64 = 0.7;
/// Pixels of less signal than this share of the bright end are no tissue.
const TISSUE_FROM: f32 = 0.12;
/// Anisotropy that is surely a fibre's.
const FULL_ANISOTROPY: f32 = 0.35;
/// Least score: a sum of four shares.
const LEAST_SCORE: f64 = 1.2;
/// How far a border may lie from the circle that was found, mm.
const BORDER_MM: f64 = 8.0;

/// Where along rays blood and fibres are.
struct Features {
    blood: Array2<f32>,
    fibres: Array2<f32>,
    pixel_mm: [f64; 2],
}

/// Finds the left ventricle's wall: fibres in a ring around blood.
///
/// * `s0`, `mean_diffusivity`, `fractional_anisotropy`: `[y, x]`, of a fit to all images.
/// * `pixel_mm`: edges y and x.
///
/// # Errors
/// [`WallError::NotFound`], and what [`Wall::from_mask`] says of the ring that was found.
///
/// # Method
/// For centres and pairs of radii, the share of fast water inside, of anisotropic slow water in the
/// ring and their lack just outside; then both borders are moved along each ray to where these
/// change most, with smooth curves through them.
pub fn find_wall(
    s0: ArrayView2<'_, f32>,
    mean_diffusivity: ArrayView2<'_, f32>,
    fractional_anisotropy: ArrayView2<'_, f32>,
    pixel_mm: [f64; 2],
) -> Result<Wall, WallError> {
    let (n_y, n_x) = s0.dim();
    let mut sorted: Vec<f32> = s0.iter().copied().filter(|s| s.is_finite() && *s > 0.0).collect();
    if sorted.len() < 64 || n_y < 16 || n_x < 16 {
        return Err(WallError::NotFound);
    }
    let place = sorted.len() * 95 / 100;
    let bright = *sorted.select_nth_unstable_by(place, f32::total_cmp).1;
    let smooth_diffusivity = mean_of_three(mean_diffusivity);
    let smooth_anisotropy = mean_of_three(fractional_anisotropy);
    let smooth_signal = mean_of_three(s0);
    let features = Features {
        blood: Array2::from_shape_fn((n_y, n_x), |place| {
            let is_tissue = smooth_signal[place] > TISSUE_FROM * bright;
            let share = (smooth_diffusivity[place] - BLOOD_FROM) / 0.6 + 0.5;
            if is_tissue { share.clamp(0.0, 1.0) } else { 0.0 }
        }),
        fibres: Array2::from_shape_fn((n_y, n_x), |place| {
            let is_tissue = smooth_signal[place] > TISSUE_FROM * bright;
            let slow = ((BLOOD_FROM - smooth_diffusivity[place]) / 0.6 + 0.5).clamp(0.0, 1.0);
            let anisotropic = (smooth_anisotropy[place] / FULL_ANISOTROPY).clamp(0.0, 1.0);
            if is_tissue { slow * anisotropic } else { 0.0 }
        }),
        pixel_mm,
    };
    let half = |n: usize| (0.5 * (1.0 - CENTRAL) * n as f64) as usize;
    let centers: Vec<[f64; 2]> = (half(n_y)..n_y - half(n_y))
        .step_by(2)
        .flat_map(|y| (half(n_x)..n_x - half(n_x)).step_by(2).map(move |x| [y as f64, x as f64]))
        .collect();
    let best = centers.par_iter().map(|center| features.ring(*center)).reduce(
        || Ring { score: f64::MIN, ..Ring::default() },
        |a, b| if b.score > a.score { b } else { a },
    );
    if best.score < LEAST_SCORE {
        return Err(WallError::NotFound);
    }
    let mask = features.refined(&best);
    Wall::from_mask(mask.view(), pixel_mm)
}

#[derive(Clone, Copy, Default)]
struct Ring {
    score: f64,
    center_px: [f64; 2],
    inner_mm: f64,
    outer_mm: f64,
}

/// Step along rays, mm.
const STEP_MM: f64 = 1.0;
const N_STEPS: usize = 64;
const N_COARSE_RAYS: usize = 32;

impl Features {
    fn at(&self, of: &Array2<f32>, center_px: [f64; 2], angle: f64, radius_mm: f64) -> f64 {
        let (sin, cos) = angle.sin_cos();
        let y = (center_px[0] + radius_mm * sin / self.pixel_mm[0]).round();
        let x = (center_px[1] + radius_mm * cos / self.pixel_mm[1]).round();
        let (n_y, n_x) = of.dim();
        let is_inside = y >= 0.0 && x >= 0.0 && (y as usize) < n_y && (x as usize) < n_x;
        if is_inside { f64::from(of[[y as usize, x as usize]]) } else { 0.0 }
    }

    /// The best ring around a centre.
    fn ring(&self, center_px: [f64; 2]) -> Ring {
        if self.at(&self.blood, center_px, 0.0, 0.0) < 0.3 {
            return Ring { score: f64::MIN, ..Ring::default() };
        }
        // Sums over the discs within each radius.
        let mut sums = [[0.0; N_STEPS + 1]; 3];
        for step in 0..N_STEPS {
            let radius_mm = (step as f64 + 0.5) * STEP_MM;
            let (mut blood, mut fibres) = (0.0, 0.0);
            for ray in 0..N_COARSE_RAYS {
                let angle = TAU * ray as f64 / N_COARSE_RAYS as f64;
                blood += self.at(&self.blood, center_px, angle, radius_mm);
                fibres += self.at(&self.fibres, center_px, angle, radius_mm);
            }
            for (sum, value) in sums.iter_mut().zip([blood, fibres, N_COARSE_RAYS as f64]) {
                sum[step + 1] = sum[step] + radius_mm * value;
            }
        }
        let share = |which: usize, from: usize, to: usize| {
            (sums[which][to] - sums[which][from]) / (sums[2][to] - sums[2][from]).max(1e-9)
        };
        let mut best = Ring { score: f64::MIN, center_px, ..Ring::default() };
        for inner in POOL_MM[0] as usize..=POOL_MM[1] as usize {
            for outer in inner + THICKNESS_MM[0] as usize..=inner + THICKNESS_MM[1] as usize {
                if outer + 4 > N_STEPS {
                    break;
                }
                // Of the pool only its inner half may be all blood: papillary muscles.
                let score = share(0, 0, inner) + share(1, inner, outer)
                    - share(0, inner, outer)
                    - share(1, outer, outer + 4)
                    + 0.5 * (1.0 - share(1, 0, inner))
                    + 0.3;
                if score > best.score {
                    best = Ring {
                        score,
                        center_px,
                        inner_mm: inner as f64 * STEP_MM,
                        outer_mm: outer as f64 * STEP_MM,
                    };
                }
            }
        }
        best
    }

    /// The wall's pixels, with borders moved along each ray.
    fn refined(&self, ring: &Ring) -> Array2<bool> {
        let border = |ray: usize, about_mm: f64, change: &dyn Fn(f64, f64) -> f64| {
            let angle = TAU * ray as f64 / N_RAYS as f64;
            let steps = (-2.0 * BORDER_MM) as i32..=(2.0 * BORDER_MM) as i32;
            let radii = steps.map(|step| about_mm + 0.5 * f64::from(step));
            let scored = radii.filter(|radius| *radius > 3.0).map(|radius| {
                // Near to the circle, all else being equal.
                let far = ((radius - about_mm) / BORDER_MM).powi(2);
                (radius, change(angle, radius) - 0.6 * far)
            });
            scored.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(about_mm, |best| best.0)
        };
        let mean = |of: &Array2<f32>, angle: f64, from_mm: f64, to_mm: f64| {
            let n = ((to_mm - from_mm) / 0.5) as usize;
            let sum: f64 = (0..n)
                .map(|k| self.at(of, ring.center_px, angle, from_mm + (k as f64 + 0.5) * 0.5))
                .sum();
            sum / n.max(1) as f64
        };
        let inner = |angle: f64, radius: f64| {
            mean(&self.blood, angle, (radius - 4.0).max(0.0), radius)
                - mean(&self.blood, angle, radius, radius + 4.0)
                + 0.5 * mean(&self.fibres, angle, radius, radius + 4.0)
                - 0.5 * mean(&self.fibres, angle, (radius - 4.0).max(0.0), radius)
        };
        let outer = |angle: f64, radius: f64| {
            mean(&self.fibres, angle, (radius - 4.0).max(0.0), radius)
                - mean(&self.fibres, angle, radius, radius + 4.0)
        };
        let inner: Vec<f64> = (0..N_RAYS).map(|ray| border(ray, ring.inner_mm, &inner)).collect();
        let outer: Vec<f64> = (0..N_RAYS).map(|ray| border(ray, ring.outer_mm, &outer)).collect();
        let (inner, outer) = (medians(&inner), medians(&outer));
        let smooth = |radii: &[f64]| {
            super::Contour::through(
                radii.iter().enumerate().map(|(ray, r)| (TAU * ray as f64 / N_RAYS as f64, *r)),
            )
        };
        let (Some(inner), Some(outer)) = (smooth(&inner), smooth(&outer)) else {
            return Array2::from_elem(self.blood.dim(), false);
        };
        Array2::from_shape_fn(self.blood.dim(), |(y, x)| {
            let dy = (y as f64 - ring.center_px[0]) * self.pixel_mm[0];
            let dx = (x as f64 - ring.center_px[1]) * self.pixel_mm[1];
            let (angle, radius) = (dy.atan2(dx), dx.hypot(dy));
            radius > inner.radius(angle) && radius < outer.radius(angle) && self.blood[[y, x]] < 0.5
        })
    }
}

/// Medians of nine neighbours around the circle.
fn medians(radii: &[f64]) -> Vec<f64> {
    let n = radii.len();
    (0..n)
        .map(|ray| {
            let mut near: [f64; 9] = std::array::from_fn(|k| radii[(ray + n + k - 4) % n]);
            near.sort_unstable_by(f64::total_cmp);
            near[4]
        })
        .collect()
}

/// Means of 3 × 3 pixels, of those that are numbers.
fn mean_of_three(image: ArrayView2<'_, f32>) -> Array2<f32> {
    let (n_y, n_x) = image.dim();
    Array2::from_shape_fn((n_y, n_x), |(y, x)| {
        let (mut sum, mut n) = (0.0, 0.0_f32);
        for y in y.saturating_sub(1)..(y + 2).min(n_y) {
            for x in x.saturating_sub(1)..(x + 2).min(n_x) {
                if image[[y, x]].is_finite() {
                    sum += image[[y, x]];
                    n += 1.0;
                }
            }
        }
        sum / n.max(1.0)
    })
}
