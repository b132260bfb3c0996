//! Signs of complex images.

use ndarray::{Array3, ArrayView3, Axis, Zip};
use num_complex::Complex32;

/// Real images with the signs that complex ones have against a reference: the real part of each
/// after the reference's phase is taken from it.
///
/// * `images`: `[image, y, x]`.
/// * `reference`: the image whose phase counts as that of positive signal: the one with the longest
///   inversion time.
///
/// # Panics
/// If there is no such image.
///
/// # Source
/// Kellman et al. 2002 (phase-sensitive inversion recovery), Xue et al. 2013.
pub fn restore_polarity(images: ArrayView3<'_, Complex32>, reference: usize) -> Array3<f32> {
    let phase = images.index_axis(Axis(0), reference).mapv(|value| {
        let length = value.norm();
        if length > 0.0 { value.conj() / length } else { Complex32::ONE }
    });
    let mut signed = Array3::zeros(images.dim());
    for (mut signed, image) in signed.axis_iter_mut(Axis(0)).zip(images.axis_iter(Axis(0))) {
        Zip::from(&mut signed).and(image).and(&phase).for_each(|signed, value, phase| {
            *signed = (value * phase).re;
        });
    }
    signed
}
