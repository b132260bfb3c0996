//! Real images with signs from complex ones.

use ndarray::{Array3, ArrayView3, Axis};
use num_complex::Complex32;

use crate::plane::{Kernel, Size, SmoothingRoom, smooth};

/// Standard deviation with which the reference's phase is smoothed, px.
const PHASE_SMOOTHING_PX: f32 = 2.0;
/// Images with more of their energy beside the reference's phase have phases of their own.
const MAX_BESIDE: f64 = 0.25;

/// Images as registration wants them: the part along the reference's smoothed phase, so that
/// signals keep their sign and noise its mean of 0; magnitudes where phases do not fit.
///
/// * `images`: `[frame, y, x]`.
///
/// # Panics
/// If there is no image `reference`.
pub fn signed_images(images: ArrayView3<'_, Complex32>, reference: usize) -> Array3<f32> {
    let (_, n_y, n_x) = images.dim();
    let is_real = images.iter().all(|value| value.im == 0.0);
    if is_real {
        return images.mapv(|value| value.re);
    }
    let size = Size { n_y, n_x };
    let phase = images.index_axis(Axis(0), reference);
    let mut parts: [Vec<f32>; 2] = [
        phase.iter().map(|value| value.re).collect(),
        phase.iter().map(|value| value.im).collect(),
    ];
    let kernel = Kernel::gaussian(PHASE_SMOOTHING_PX);
    let mut room = SmoothingRoom::default();
    parts.iter_mut().for_each(|part| smooth(part, size, &kernel, &mut room));
    let turn: Vec<Complex32> = parts[0]
        .iter()
        .zip(&parts[1])
        .map(|(re, im)| {
            let value = Complex32::new(*re, *im);
            value.conj() / value.norm().max(f32::MIN_POSITIVE)
        })
        .collect();
    let mut signed = Array3::zeros(images.dim());
    let (mut beside, mut all) = (0.0_f64, 0.0_f64);
    for (mut target, image) in signed.axis_iter_mut(Axis(0)).zip(images.axis_iter(Axis(0))) {
        for ((value, pixel), turn) in target.iter_mut().zip(image).zip(&turn) {
            let turned = pixel * turn;
            *value = turned.re;
            beside += f64::from(turned.im * turned.im);
            all += f64::from(turned.norm_sqr());
        }
    }
    if beside > MAX_BESIDE * all { images.mapv(Complex32::norm) } else { signed }
}
