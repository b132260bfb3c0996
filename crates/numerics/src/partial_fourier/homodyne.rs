//! Homodyne detection.

use ndarray::{ArrayViewMut3, Axis, Zip};
use num_complex::Complex32;

use super::{Acquired, low_resolution_phase, phase_filters};
use crate::fft::ThroughKSpace;

/// Homodyne reconstruction of images with one direction of partial Fourier.
///
/// # Method
/// What lies beyond the samples with a partner gets weight 2, a ramp leads down across them, and
/// the part of the image in phase with its symmetric middle is kept. That is a real image; the
/// phase of the middle is put back, so that it stays a complex one.
///
/// # Source
/// Noll, Nishimura and Macovski 1991.
#[derive(Clone, Debug)]
pub struct Homodyne {
    acquired: [Acquired; 3],
    phase_filters: Vec<(Axis, ThroughKSpace)>,
    weighting: Option<(Axis, ThroughKSpace)>,
    noise_gain: f64,
}

impl Homodyne {
    /// Plans images of which `acquired`, \[z, y, x\], was sampled. The direction with the smallest
    /// part acquired is the one that is treated; others stay zero-filled.
    pub fn new(acquired: [Acquired; 3]) -> Self {
        let part =
            |axis: &usize| acquired[*axis].n_acquired() as f64 / acquired[*axis].len() as f64;
        let axis = (0..3)
            .filter(|&axis| !acquired[axis].is_whole())
            .min_by(|a, b| part(a).total_cmp(&part(b)));
        let weights = axis.map(|axis| acquired[axis].homodyne());
        let noise_gain = weights.as_ref().zip(axis).map_or(1.0, |(weights, axis)| {
            let power: f64 = weights.iter().map(|weight| weight * weight).sum();
            (power / acquired[axis].n_acquired() as f64).sqrt()
        });
        let weighting = axis.zip(weights).and_then(|(axis, weights)| {
            let weights: Vec<f32> = weights.into_iter().map(|weight| weight as f32).collect();
            Some((Axis(axis), ThroughKSpace::filter(&weights).ok()?))
        });
        Self { acquired, phase_filters: phase_filters(acquired), weighting, noise_gain }
    }

    /// By how much the standard deviation of the noise grows: divide by it to stay in units of
    /// SNR.
    pub fn noise_gain(&self) -> f64 {
        self.noise_gain
    }

    /// Reconstructs `image`, `[z, y, x]`.
    ///
    /// # Panics
    /// If its shape is not the plan's.
    pub fn run(&self, mut image: ArrayViewMut3<'_, Complex32>) {
        assert_eq!(image.shape(), self.acquired.map(Acquired::len), "shape of the image");
        let Some((axis, weighting)) = &self.weighting else { return };
        let phase = low_resolution_phase(image.view(), &self.phase_filters);
        weighting.apply_in_place(image.view_mut(), *axis);
        Zip::from(&mut image).and(&phase).for_each(|value, phase: &Complex32| {
            *value = phase * (*value * phase.conj()).re;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partial_fourier::testing::{Scene, zero_fill};

    #[test]
    fn three_quarters_of_k_space_give_less_than_half_the_error_of_zero_filling() {
        for range in [(24, 95), (0, 71)] {
            let y = Acquired::new(96, range.0, range.1).expect("a range");
            for acquired in [
                [Acquired::whole(1), y, Acquired::whole(80)],
                [Acquired::whole(1), Acquired::whole(80), y],
            ] {
                let scene = Scene::new(acquired.map(Acquired::len));
                let zero_filled = zero_fill(&scene.truth, acquired);
                let mut image = zero_filled.clone();
                Homodyne::new(acquired).run(image.view_mut());
                let (before, after) = (scene.error(&zero_filled), scene.error(&image));
                assert!(after < 0.5 * before, "{acquired:?}: {after:.4} against {before:.4}");
            }
        }
    }

    #[test]
    fn the_noise_grows_by_what_is_said() {
        let acquired = [
            Acquired::whole(1),
            Acquired::new(512, 128, 511).expect("a range"),
            Acquired::whole(8),
        ];
        let homodyne = Homodyne::new(acquired);
        // A quarter with weight 2, a ramp of mean square 4/3 over half: √((1 + 2/3) / 0.75).
        assert!((homodyne.noise_gain() - (20.0_f64 / 9.0).sqrt()).abs() < 0.01);
        assert_eq!(Homodyne::new([1, 8, 8].map(Acquired::whole)).noise_gain(), 1.0);
    }
}
