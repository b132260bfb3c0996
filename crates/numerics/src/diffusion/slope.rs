//! How the helix angle falls through the wall.

use std::f64::consts::TAU;

use ndarray::ArrayView2;

use super::wall::Wall;

/// How the slope is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlopeOptions {
    /// Sectors around the ventricle, each with a line of its own.
    pub n_sectors: usize,
    /// Share of the wall's thickness that is left out at each border.
    pub margin: f64,
}

impl Default for SlopeOptions {
    fn default() -> Self {
        Self { n_sectors: 12, margin: 0.1 }
    }
}

/// Pixels of a sector that tell a line.
const LEAST_PIXELS: usize = 6;

/// Fall of the helix angle from endocardium to epicardium, degrees per percent of the wall's
/// thickness, of each sector from x towards y: above 0 in healthy hearts (1.1 at 3 T by Phipps et
/// al. 2021). [`None`] where too few pixels tell a line.
///
/// * `helix_deg`: `[y, x]`; what is no number is left out.
///
/// # Method
/// Lines by least squares. An angle is the same half a turn on, so after each of three fits angles
/// move by half turns to where they are nearest to the line.
pub fn helix_slope_percent(
    wall: &Wall,
    helix_deg: ArrayView2<'_, f32>,
    options: &SlopeOptions,
) -> Vec<Option<f64>> {
    let n_sectors = options.n_sectors.max(1);
    let mut sectors: Vec<Vec<(f64, f64)>> = vec![Vec::new(); n_sectors];
    for ((y, x), is_wall) in wall.mask.indexed_iter() {
        let angle = f64::from(helix_deg[[y, x]]);
        let depth = wall.depth(y, x);
        let is_inside = depth >= options.margin && depth <= 1.0 - options.margin;
        if *is_wall && is_inside && angle.is_finite() {
            sectors[sector(wall, y, x, n_sectors)].push((100.0 * depth, angle));
        }
    }
    sectors.into_iter().map(|mut points| line(&mut points)).collect()
}

/// The sector that a pixel lies in.
pub(crate) fn sector(wall: &Wall, y: usize, x: usize, n_sectors: usize) -> usize {
    let share = wall.polar(y, x).0.rem_euclid(TAU) / TAU;
    ((share * n_sectors as f64) as usize).min(n_sectors - 1)
}

fn line(points: &mut [(f64, f64)]) -> Option<f64> {
    if points.len() < LEAST_PIXELS {
        return None;
    }
    let n = points.len() as f64;
    let mut slope = None;
    for _ in 0..4 {
        let depth = points.iter().map(|point| point.0).sum::<f64>() / n;
        let angle = points.iter().map(|point| point.1).sum::<f64>() / n;
        let spread: f64 = points.iter().map(|point| (point.0 - depth).powi(2)).sum();
        // Pixels of one depth tell nothing.
        if spread < 25.0 * n {
            return None;
        }
        let product: f64 = points.iter().map(|p| (p.0 - depth) * (p.1 - angle)).sum();
        let fitted = product / spread;
        slope = Some(-fitted);
        for point in points.iter_mut() {
            let expected = angle + fitted * (point.0 - depth);
            point.1 -= 180.0 * ((point.1 - expected) / 180.0).round();
        }
    }
    slope
}
