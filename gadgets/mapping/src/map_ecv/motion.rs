//! A T1 map brought to where the heart lies in another.

use ndarray::{Array2, Array3, Axis};
use numerics::registration::register_pair;
use pipeline::map_store::KeptMap;

/// No displacement between both maps becomes longer, px.
const MAX_DISPLACEMENT_PX: f32 = 16.0;

/// The map before contrast agent where the heart lies in the one after it, and how far each pixel
/// was moved, px. What has no value beside it takes that of the nearest pixel, so that edges
/// of what is valid do not become tissue.
pub(super) fn brought_to(native: &KeptMap, post: &KeptMap) -> (KeptMap, Array3<f32>) {
    let mut moved = native.clone();
    let mut lengths_px = Array3::zeros(native.values.dim());
    for z in 0..native.values.len_of(Axis(0)) {
        let plane = |map: &Array3<f32>| map.index_axis(Axis(0), z).to_owned();
        let values = plane(&native.values);
        let motion = register_pair(plane(&post.values).view(), values.view(), MAX_DISPLACEMENT_PX);
        let sd = plane(&native.sd);
        for ((y, x), target) in moved.values.index_axis_mut(Axis(0), z).indexed_iter_mut() {
            let place = [y as f32 + motion.field[[0, y, x]], x as f32 + motion.field[[1, y, x]]];
            let look_up = |map: &Array2<f32>| between(map, &values, place);
            *target = look_up(&values);
            moved.sd[[z, y, x]] = look_up(&sd);
            lengths_px[[z, y, x]] = motion.field[[0, y, x]].hypot(motion.field[[1, y, x]]);
        }
    }
    (moved, lengths_px)
}

/// A map between its pixels, or that of the nearest where one of the four around has no value.
fn between(map: &Array2<f32>, values: &Array2<f32>, [y, x]: [f32; 2]) -> f32 {
    let (height, width) = map.dim();
    let (y, x) = (y.clamp(0.0, (height - 1) as f32), x.clamp(0.0, (width - 1) as f32));
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = ((top + 1).min(height - 1), (left + 1).min(width - 1));
    let (ty, tx) = (y - top as f32, x - left as f32);
    let corners = [[top, left], [top, right], [bottom, left], [bottom, right]];
    if corners.iter().any(|corner| values[*corner] <= 0.0) {
        return map[[y.round() as usize, x.round() as usize]];
    }
    let [a, b, c, d] = corners.map(|corner| map[corner]);
    (a * (1.0 - tx) + b * tx) * (1.0 - ty) + (c * (1.0 - tx) + d * tx) * ty
}
