//! True displacement fields between two poses.

use ndarray::{Array3, Axis};
use rayon::prelude::*;

use crate::anatomy::{Anatomy, Deformation};
use crate::motion::Pose;
use crate::raster::PixelGrid;

/// Where in the image of the pose to look for what the reference shows in a pixel:
/// `[2, y, x]` as (dy, dx), px.
///
/// Exact in all tissue; 0 in chest and air. Of what the moving heart covers or uncovers beside
/// it, no field can tell: there the chest's own 0 stands.
///
/// # Panics
/// As [`Deformation::new`].
pub fn displacement_field_px(anatomy: &Anatomy, pose: &Pose, grid: PixelGrid) -> Array3<f32> {
    displacement_field_between_px(anatomy, &Pose::default(), pose, grid)
}

/// Where in the image of the pose `moving` to look for what the pose `fixed` shows in a pixel:
/// `[2, y, x]` as (dy, dx), px.
///
/// # Panics
/// As [`Deformation::new`].
pub fn displacement_field_between_px(
    anatomy: &Anatomy,
    fixed: &Pose,
    moving: &Pose,
    grid: PixelGrid,
) -> Array3<f32> {
    let from = Deformation::new(anatomy, fixed);
    let to = Deformation::new(anatomy, moving);
    let (x_mm, y_mm) = (grid.x_mm(), grid.y_mm());
    let pixel_mm = grid.pixel_mm();
    let mut field = Array3::zeros((2, y_mm.len(), x_mm.len()));
    let (mut dy, mut dx) = field.view_mut().split_at(Axis(0), 1);
    let rows = dy.as_slice_mut().expect("contiguous").par_chunks_exact_mut(x_mm.len());
    let columns = dx.as_slice_mut().expect("contiguous").par_chunks_exact_mut(x_mm.len());
    rows.zip(columns).zip(&y_mm).for_each(|((dy, dx), &y)| {
        for ((dy, dx), &x) in dy.iter_mut().zip(dx).zip(&x_mm) {
            let reference = from.reference_of([x, y]);
            let moved = to.displacement_mm(reference);
            let displacement = [0, 1].map(|axis| reference[axis] + moved[axis] - [x, y][axis]);
            *dx = (displacement[0] / pixel_mm[0]) as f32;
            *dy = (displacement[1] / pixel_mm[1]) as f32;
        }
    });
    field
}
