//! Whether images support the motion that was found.

use crate::plane::{Kernel, Size, SmoothingRoom, smooth};

/// Share of a field that is kept: 0 where images look no more like their twins with it than
/// without it, 1 where they do.
///
/// * `without`, `with`: squared differences of image and twin, `[y, x]`.
/// * `window`: over which they are compared.
/// * `gain`: share by which the residual must fall: below the first number nothing is kept, above
///   the second all.
/// * `floor`: no square counts as smaller: noise and what twins do not tell.
///
/// A field made of noise lowers the residual's square by its own degrees of freedom over the
/// pixels of a window, some per cent; motion lowers it by the contrast that it explains.
pub(super) fn kept_share(
    mut without: Vec<f32>,
    mut with: Vec<f32>,
    size: Size,
    window: &Kernel,
    gain: [f32; 2],
    floor: f32,
    room: &mut SmoothingRoom,
) -> Vec<f32> {
    smooth(&mut with, size, window, room);
    smooth(&mut without, size, window, room);
    let mut kept: Vec<f32> = without
        .iter()
        .zip(&with)
        .map(|(without, with)| {
            let share = (without - with) / with.max(floor).max(f32::MIN_POSITIVE);
            let t = ((share - gain[0]) / (gain[1] - gain[0])).clamp(0.0, 1.0);
            t * t * (3.0 - 2.0 * t)
        })
        .collect();
    smooth(&mut kept, size, window, room);
    kept
}
