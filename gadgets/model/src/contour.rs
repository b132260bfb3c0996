//! Outlines of a mask, as scanners draw them over an image.

/// Points of an outline at most: longer ones are thinned.
const MAX_POINTS: usize = 256;

/// Outlines (x, y in px) of the pixels of a mask `[y, x]`, along their outer edges; outer ones
/// run one way round and holes the other. Those around fewer than `min_area_px` are left out;
/// the largest comes first.
///
/// # Method
/// Every edge between a pixel inside and one outside has a direction, the inside to its right;
/// edges are joined to loops, at a corner where two meet the one that turns right.
pub(crate) fn outlines(
    mask: &[bool],
    n_y: usize,
    n_x: usize,
    min_area_px: f64,
) -> Vec<Vec<(f32, f32)>> {
    let inside = |y: i64, x: i64| {
        y >= 0
            && x >= 0
            && (y as usize) < n_y
            && (x as usize) < n_x
            && mask.get(y as usize * n_x + x as usize).copied().unwrap_or(false)
    };
    // Directions of an edge from a corner: right, down, left, up, and the pixels on both sides.
    const STEPS: [(i64, i64); 4] = [(0, 1), (1, 0), (0, -1), (-1, 0)];
    const RIGHT: [(i64, i64); 4] = [(0, 0), (0, -1), (-1, -1), (-1, 0)];
    const LEFT: [(i64, i64); 4] = [(-1, 0), (0, 0), (0, -1), (-1, -1)];
    let is_edge = |y: i64, x: i64, direction: usize| {
        let (right, left) = (RIGHT[direction], LEFT[direction]);
        inside(y + right.0, x + right.1) && !inside(y + left.0, x + left.1)
    };
    let width = n_x + 1;
    let mut is_done = vec![[false; 4]; (n_y + 1) * width];
    let mut loops: Vec<(f64, Vec<(f32, f32)>)> = Vec::new();
    for start_y in 0..=n_y as i64 {
        for start_x in 0..=n_x as i64 {
            // Every loop has an edge that goes to the right.
            if !is_edge(start_y, start_x, 0)
                || is_done[start_y as usize * width + start_x as usize][0]
            {
                continue;
            }
            let (mut y, mut x, mut direction) = (start_y, start_x, 0);
            let (mut points, mut area) = (Vec::new(), 0.0);
            loop {
                is_done[y as usize * width + x as usize][direction] = true;
                let (dy, dx) = STEPS[direction];
                // Middle of the edge, in coordinates of pixel centres.
                points.push((
                    (x as f64 + dx as f64 / 2.0 - 0.5) as f32,
                    (y as f64 + dy as f64 / 2.0 - 0.5) as f32,
                ));
                area += (x * dy - y * dx) as f64 / 2.0;
                (y, x) = (y + dy, x + dx);
                let turns = [(direction + 1) % 4, direction, (direction + 3) % 4];
                let Some(next) = turns.into_iter().find(|next| is_edge(y, x, *next)) else { break };
                direction = next;
                if (y, x, direction) == (start_y, start_x, 0) {
                    break;
                }
            }
            if area.abs() >= min_area_px {
                loops.push((area.abs(), thinned(points)));
            }
        }
    }
    loops.sort_by(|a, b| b.0.total_cmp(&a.0));
    loops.into_iter().map(|(_, points)| points).collect()
}

fn thinned(points: Vec<(f32, f32)>) -> Vec<(f32, f32)> {
    let step = points.len().div_ceil(MAX_POINTS).max(1);
    points.into_iter().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(points: &[(f32, f32)]) -> f32 {
        let next = points.iter().cycle().skip(1);
        points.iter().zip(next).map(|(a, b)| (a.0 * b.1 - a.1 * b.0) / 2.0).sum::<f32>()
    }

    #[test]
    fn a_ring_has_an_outer_and_an_inner_outline() {
        let (n, center) = (40, 19.5_f32);
        let radius = |index: usize| {
            let (y, x) = ((index / n) as f32 - center, (index % n) as f32 - center);
            y.hypot(x)
        };
        let mask: Vec<bool> = (0..n * n).map(|i| (8.0..15.0).contains(&radius(i))).collect();
        let outlines = outlines(&mask, n, n, 4.0);
        assert_eq!(outlines.len(), 2);
        let pi = std::f32::consts::PI;
        let (outer, inner) = (area(&outlines[0]), area(&outlines[1]));
        assert!((outer.abs() / (pi * 225.0) - 1.0).abs() < 0.03, "{outer}");
        assert!((inner.abs() / (pi * 64.0) - 1.0).abs() < 0.05, "{inner}");
        assert!(outer * inner < 0.0, "a hole runs the other way round");
    }

    #[test]
    fn a_mask_up_to_the_edge_is_closed_and_specks_are_left_out() {
        let mut mask = vec![false; 36];
        mask[..12].fill(true);
        mask[35] = true;
        let outlines = outlines(&mask, 6, 6, 2.0);
        assert_eq!(outlines.len(), 1);
        assert!((area(&outlines[0]).abs() - 12.0).abs() < 1.1);
    }
}
