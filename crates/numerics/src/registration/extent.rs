//! How far things moved.

use ndarray::{Array2, Array4, Axis};

/// Longest and median displacement of the frames where the reference has signal, px: what lies in
/// air says nothing.
///
/// * `fields`: `[frame, 2, y, x]`.
/// * `reference`: magnitude `[y, x]`.
pub fn extent_px(fields: &Array4<f32>, reference: &Array2<f32>) -> [f32; 2] {
    let brightest = reference.iter().copied().fold(0.0, f32::max);
    let mut lengths: Vec<f32> = fields
        .axis_iter(Axis(0))
        .flat_map(|field| {
            let (dy, dx) = (field.index_axis_move(Axis(0), 0), field.index_axis_move(Axis(0), 1));
            let pairs = dy.into_iter().zip(dx).zip(reference);
            let lengths = pairs.filter(|(_, signal)| **signal > 0.1 * brightest);
            lengths.map(|((dy, dx), _)| dy.hypot(*dx)).collect::<Vec<_>>()
        })
        .collect();
    if lengths.is_empty() {
        return [0.0; 2];
    }
    lengths.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| lengths[((lengths.len() - 1) as f64 * share) as usize];
    // Not the very longest: single pixels at edges of the body.
    [at(0.99), at(0.5)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_air_and_single_pixels_do_not_count() {
        let mut fields = Array4::zeros((1, 2, 20, 20));
        let mut reference = Array2::zeros((20, 20));
        for y in 0..20 {
            for x in 0..20 {
                // The left half has signal and moves by 5 px, air seems to by 50.
                let moved = if x < 10 { [3.0, 4.0] } else { [30.0, 40.0] };
                reference[[y, x]] = if x < 10 { 1.0 } else { 0.05 };
                fields[[0, 0, y, x]] = moved[0];
                fields[[0, 1, y, x]] = moved[1];
            }
        }
        fields[[0, 0, 0, 0]] = 100.0;
        assert_eq!(extent_px(&fields, &reference), [5.0, 5.0]);
        assert_eq!(extent_px(&fields, &Array2::zeros((20, 20))), [0.0; 2]);
    }
}
