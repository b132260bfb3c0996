//! Where the blood of a heart lies in two T1 maps, and how far these overlap.

use ndarray::{Array2, Array3, ArrayView2, Axis};

use crate::assess::median;

/// Blood of the left ventricle, as far as two T1 maps show it: the largest connected region, near
/// the middle of the image, whose relaxation rate has changed most, without its edge. `[z, y, x]`.
pub(super) fn blood_pool(native: &Array3<f32>, post: &Array3<f32>, above_ms: f32) -> Array3<bool> {
    let mut blood = Array3::from_elem(native.dim(), false);
    let planes = native.axis_iter(Axis(0)).zip(post.axis_iter(Axis(0)));
    for ((native, post), mut found) in planes.zip(blood.axis_iter_mut(Axis(0))) {
        let (height, width) = native.dim();
        // Blood has a long T1 before contrast agent and the largest change of its rate with it.
        let change = Array2::from_shape_fn((height, width), |place| {
            let (before, after) = (native[place], post[place]);
            if before > above_ms && after > 0.0 { 1.0 / after - 1.0 / before } else { 0.0 }
        });
        let typical = median(change.iter().copied());
        let is_candidate = change.mapv(|value| value > 0.7 * typical && typical > 0.0);
        // Its edge is mixed with the wall.
        let is_core = core_of(is_candidate.view());
        let mut best: (f64, Vec<(usize, usize)>) = (0.0, Vec::new());
        let mut seen = Array2::from_elem((height, width), false);
        for start in ndarray::indices((height, width)) {
            if !is_core[start] || std::mem::replace(&mut seen[start], true) {
                continue;
            }
            let mut region = vec![start];
            let mut next = 0;
            while let Some(&(y, x)) = region.get(next) {
                next += 1;
                let around =
                    [(y.wrapping_sub(1), x), (y + 1, x), (y, x.wrapping_sub(1)), (y, x + 1)];
                for place in around.into_iter().filter(|(y, x)| *y < height && *x < width) {
                    if is_core[place] && !std::mem::replace(&mut seen[place], true) {
                        region.push(place);
                    }
                }
            }
            let n = region.len() as f64;
            let y = region.iter().map(|place| place.0 as f64).sum::<f64>() / n;
            let x = region.iter().map(|place| place.1 as f64).sum::<f64>() / n;
            let (h, w) = (height as f64, width as f64);
            let distance = ((y / h - 0.5).powi(2) + (x / w - 0.5).powi(2)).sqrt();
            let score = n * (1.0 - 1.5 * distance).max(0.0);
            if score > best.0 {
                best = (score, region);
            }
        }
        for place in best.1 {
            found[place] = true;
        }
    }
    blood
}

/// A region without its edge.
fn core_of(region: ArrayView2<'_, bool>) -> Array2<bool> {
    let (height, width) = region.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        let inside = y > 0 && x > 0 && y + 1 < height && x + 1 < width;
        inside
            && region[[y, x]]
            && region[[y - 1, x]]
            && region[[y + 1, x]]
            && region[[y, x - 1]]
            && region[[y, x + 1]]
    })
}

/// What of a region, without its edge, is connected with a seed, as far as half the seed's height
/// and width beyond it. `[z, y, x]`.
pub(super) fn grown(seed: &Array3<bool>, region: &Array3<bool>) -> Array3<bool> {
    let mut found = Array3::from_elem(seed.dim(), false);
    let planes = seed.axis_iter(Axis(0)).zip(region.axis_iter(Axis(0)));
    for ((seed, region), mut found) in planes.zip(found.axis_iter_mut(Axis(0))) {
        let core = core_of(region);
        let mut front: Vec<(usize, usize)> =
            seed.indexed_iter().filter(|(_, is)| **is).map(|(place, _)| place).collect();
        let range = |of: fn(&(usize, usize)) -> usize| {
            let least = front.iter().map(of).min().unwrap_or(0);
            let most = front.iter().map(of).max().unwrap_or(0);
            let beyond = (most - least) / 2 + 1;
            least.saturating_sub(beyond)..=most + beyond
        };
        let (rows, columns) = (range(|place| place.0), range(|place| place.1));
        front.retain(|place| core[*place]);
        front.iter().for_each(|place| found[*place] = true);
        while let Some((y, x)) = front.pop() {
            let around = [(y.wrapping_sub(1), x), (y + 1, x), (y, x.wrapping_sub(1)), (y, x + 1)];
            for place in around {
                let is_near = rows.contains(&place.0) && columns.contains(&place.1);
                if is_near && core.get(place) == Some(&true) && !found[place] {
                    found[place] = true;
                    front.push(place);
                }
            }
        }
    }
    found
}

/// Twice what two regions share over what they have together; 1 where both are empty.
pub(super) fn dice(a: &Array3<bool>, b: &Array3<bool>) -> f64 {
    let count = |region: &Array3<bool>| region.iter().filter(|is| **is).count();
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    match count(a) + count(b) {
        0 => 1.0,
        sum => 2.0 * both as f64 / sum as f64,
    }
}
