//! Signs of complex images.

use ndarray::{Array3, ArrayView2, ArrayView3, Axis, Zip};
use num_complex::Complex32;
use rayon::prelude::*;

use crate::plane::{Kernel, Size, SmoothingRoom, smooth};

/// Standard deviation of the windows in which an image's own phase is found, px.
const PHASE_WINDOW_PX: f32 = 5.0;
/// Share of the reference's power that holds an image's phase to the reference's, where the image
/// has little signal of its own.
const HELD_POWER: f32 = 0.01;

/// Cosine of the phase up to which all of it is taken away: 60°.
const FULL_FROM: f32 = 0.5;

/// Real images with the signs that complex ones have against a reference: the real part of each
/// after the reference's phase is taken from it, and then what is left of a smooth phase of its
/// own up to ±60°, less of it up to ±90°.
///
/// An image that was moved onto another brings the coils' phase from elsewhere; its real part
/// alone would be too small by the cosine of the difference.
///
/// * `images`: `[image, y, x]`.
/// * `reference`: the image whose phase counts as that of positive signal: the one with the longest
///   inversion time.
///
/// # Panics
/// If there is no such image.
///
/// # Source
/// Kellman et al. 2002 (phase-sensitive inversion recovery), Xue et al. 2013. The own phase is half
/// that of the square's sum in Gaussian windows, which signals of either sign add to alike.
pub fn restore_polarity(images: ArrayView3<'_, Complex32>, reference: usize) -> Array3<f32> {
    let phase = images.index_axis(Axis(0), reference).mapv(|value| {
        let length = value.norm();
        if length > 0.0 { value.conj() / length } else { Complex32::ONE }
    });
    if images.is_empty() {
        return Array3::zeros(images.dim());
    }
    let kernel = Kernel::gaussian(PHASE_WINDOW_PX);
    let power = images.index_axis(Axis(0), reference);
    let mut held: Vec<f32> = power.iter().map(|value| HELD_POWER * value.norm_sqr()).collect();
    let (_, n_y, n_x) = images.dim();
    let size = Size { n_y, n_x };
    smooth(&mut held, size, &kernel, &mut SmoothingRoom::default());
    let mut signed = Array3::zeros(images.dim());
    let pairs: Vec<_> = signed.axis_iter_mut(Axis(0)).zip(images.axis_iter(Axis(0))).collect();
    pairs.into_par_iter().enumerate().for_each_init(
        SmoothingRoom::default,
        |room, (index, (mut signed, image))| {
            if index == reference {
                Zip::from(&mut signed).and(image).for_each(|signed, value| *signed = value.norm());
                return;
            }
            let turned = Zip::from(image).and(&phase).map_collect(|value, phase| value * phase);
            let own = own_phase(turned.view(), &held, &kernel, room);
            for ((signed, value), own) in signed.iter_mut().zip(&turned).zip(own) {
                *signed = (value * own).re;
            }
        },
    );
    signed
}

/// What turns an image's smooth phase to 0, of length 1 and with a real part of 0 or more.
fn own_phase(
    image: ArrayView2<'_, Complex32>,
    held: &[f32],
    kernel: &Kernel,
    room: &mut SmoothingRoom,
) -> impl Iterator<Item = Complex32> {
    let (n_y, n_x) = image.dim();
    let size = Size { n_y, n_x };
    let squares = image.iter().map(|value| value * value);
    let (mut re, mut im): (Vec<f32>, Vec<f32>) =
        squares.map(|square| (square.re, square.im)).unzip();
    smooth(&mut re, size, kernel, room);
    smooth(&mut im, size, kernel, room);
    re.into_iter().zip(im).zip(held).map(|((re, im), held)| {
        // The principal root: within ±90°.
        let root = Complex32::new(re + held, im).sqrt();
        let length = root.norm();
        if length <= 0.0 {
            return Complex32::ONE;
        }
        let turn = root.conj() / length;
        // Near ±90° the root jumps from one end to the other: there no phase is taken away, and a
        // signal passes through 0 as its real part does.
        let t = (turn.re / FULL_FROM).min(1.0);
        let share = t * t * (3.0 - 2.0 * t);
        let blend = turn * share + Complex32::from(1.0 - share);
        blend / blend.norm().max(f32::MIN_POSITIVE)
    })
}
