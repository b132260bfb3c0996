//! A network that says what series look like.

use inference::{EngineError, InferenceError, Model, Provenance, Request, ShapeError, Tensor};
use ndarray::{Array4, ArrayView1, ArrayView3, Axis};
use num_complex::Complex32;
use numerics::joint::{AlternationOptions, Denoised, Normal, Report, alternate};
use numerics::percentile::percentile;

use super::method::Noise;

/// Modes that the network takes; of a series of fewer images the rest is empty.
pub(super) const N_MODES: usize = 4;

/// As it was trained.
const OPTIONS: AlternationOptions =
    AlternationOptions { n_iterations: VIEWS.len(), n_inner: 5, n_first: 20 };

/// Which way round it is shown the images, in each step. Its answers differ a little by that, as by
/// noise of its own: another way in each step, and in the last, which says the most, the mean of
/// all four.
const VIEWS: [&[View]; 3] = [
    &[View { mirrored_y: false, mirrored_x: false }],
    &[View { mirrored_y: true, mirrored_x: false }],
    &[
        View { mirrored_y: false, mirrored_x: false },
        View { mirrored_y: true, mirrored_x: false },
        View { mirrored_y: false, mirrored_x: true },
        View { mirrored_y: true, mirrored_x: true },
    ],
];

/// One way round.
#[derive(Clone, Copy)]
struct View {
    mirrored_y: bool,
    mirrored_x: bool,
}

impl View {
    /// Where a pixel of the images, `[y, x]`, lies in what is shown, of so many rows and columns.
    /// It is its own inverse.
    fn of(self, [y, x]: [usize; 2], [n_y, n_x]: [usize; 2]) -> [usize; 2] {
        let place = |at, n: usize, mirrored| if mirrored { n - 1 - at } else { at };
        [place(y, n_y, self.mirrored_y), place(x, n_x, self.mirrored_x)]
    }
}

/// A network and a session that asks it.
pub(super) struct Network<'a> {
    pub(super) model: &'a Model,
    pub(super) session: u64,
    /// How many times as large as it is it is told the noise is, above 0.
    pub(super) noise_factor: f32,
}

impl Network<'_> {
    /// Asks the network and the samples in turn for the images of the modes, `[mode, z, y, x]`.
    ///
    /// * `normal`, `right`, `squares_of_data`: of the images of the modes.
    /// * `energies`: of the modes, as [`numerics::joint::PrincipalModes`] has them.
    /// * `gain`: what model and samples are divided by the root of.
    ///
    /// # Errors
    /// Those of asking the network, or of an answer that is none; no noise, or more modes than it
    /// takes, which it was not made for.
    pub(super) fn reconstruct(
        &self,
        normal: &impl Normal,
        right: &Array4<Complex32>,
        squares_of_data: f64,
        noise: &Noise,
        energies: &[f64],
        gain: f32,
    ) -> Result<(Array4<Complex32>, Report, Provenance), InferenceError> {
        if right.len_of(Axis(0)) > N_MODES {
            // Samples that are no numbers have no few courses.
            return Err(self.unfit(&"the courses of the images cannot be told of their lines"));
        }
        if noise.of_mode().is_nan() || noise.of_mode() <= 0.0 {
            return Err(self.unfit(&"the noise of the samples is not known"));
        }
        let (_, n_z, n_y, n_x) = right.dim();
        let damping = noise.damping(energies, n_z * n_y * n_x);
        let noise_sds: Vec<f32> = damping.iter().map(|of| noise.of_damped_mode(*of)).collect();
        let damping: Vec<f32> = damping.iter().map(|of| of / gain).collect();
        let mut sizes: Vec<f32> = Vec::new();
        let mut whole = Provenance::default();
        let (images, report) =
            alternate(normal, right, squares_of_data, &damping, &OPTIONS, |images, step| {
                if step == 0 {
                    sizes = sizes_of(images, &noise_sds);
                }
                let views = VIEWS.get(step).copied().unwrap_or_default();
                let share = 1.0 / views.len() as f32;
                let mut mean = Denoised { images: Array4::zeros(images.raw_dim()), trust: 0.0 };
                for view in views {
                    let (denoised, provenance) =
                        self.denoise(images, &sizes, &noise_sds, step, *view)?;
                    mean.images.scaled_add(share.into(), &denoised.images);
                    mean.trust += share * denoised.trust / gain;
                    whole = Provenance {
                        time_ms: whole.time_ms + provenance.time_ms,
                        waited_ms: whole.waited_ms + provenance.waited_ms,
                        ..provenance
                    };
                }
                Ok(mean)
            })?;
        Ok((images, report, whole))
    }

    fn denoise(
        &self,
        images: &Array4<Complex32>,
        sizes: &[f32],
        noise_sds: &[f32],
        step: usize,
        view: View,
    ) -> Result<(Denoised, Provenance), InferenceError> {
        let (n_modes, n_z, n_y, n_x) = images.dim();
        // The network halves the resolution: an odd edge is repeated.
        let (even_y, even_x) = (n_y.next_multiple_of(2), n_x.next_multiple_of(2));
        let at = |y: usize, x: usize| (y.min(n_y - 1), x.min(n_x - 1));
        let turn = |z: usize, y: usize, x: usize| {
            let first = images[[0, z, y, x]];
            let size = first.norm();
            if size > 0.0 { first / size } else { Complex32::ONE }
        };
        let n_pixels = even_y * even_x;
        let mut modes = vec![0.0_f32; n_z * 2 * N_MODES * n_pixels];
        let mut noise = vec![0.0_f32; n_z * N_MODES * n_pixels];
        for z in 0..n_z {
            for (mode, (size, noise_sd)) in sizes.iter().zip(noise_sds).enumerate() {
                let scale = if *size > 0.0 { size.recip() } else { 0.0 };
                let real = (z * 2 * N_MODES + 2 * mode) * n_pixels;
                for y in 0..even_y {
                    for x in 0..even_x {
                        let (from_y, from_x) = at(y, x);
                        let value = images[[mode, z, from_y, from_x]]
                            * turn(z, from_y, from_x).conj()
                            * scale;
                        let [y, x] = view.of([y, x], [even_y, even_x]);
                        let pixel = y * even_x + x;
                        modes[real + pixel] = value.re;
                        modes[real + n_pixels + pixel] = value.im;
                    }
                }
                let noise_sd = self.noise_factor * noise_sd * scale;
                noise[(z * N_MODES + mode) * n_pixels..][..n_pixels].fill(noise_sd);
            }
        }
        let step = vec![step as f32 / OPTIONS.n_iterations as f32; n_z * n_pixels];
        let tensor = |channels: usize, values: Vec<f32>| {
            Tensor::from_f32(&[n_z, channels, even_y, even_x], values)
        };
        let inputs = [("modes", 2 * N_MODES, modes), ("noise", N_MODES, noise), ("step", 1, step)]
            .into_iter()
            .map(|(name, channels, values)| Ok((name.to_owned(), tensor(channels, values)?)))
            .collect::<Result<Vec<_>, ShapeError>>()
            .map_err(|error| self.unfit(&error))?;
        let answer = self.model.run(Request { inputs, session: self.session, time: None })?;
        let denoised = answer
            .output("denoised")
            .filter(|tensor| tensor.shape() == [n_z, 2 * N_MODES, even_y, even_x])
            .map(Tensor::to_f32)
            .filter(|values| values.iter().all(|value| value.is_finite()))
            .ok_or_else(|| self.unfit(&"its output is no image of each mode"))?;
        let trust = answer
            .output("trust")
            .and_then(|tensor| tensor.to_f32().first().copied())
            .filter(|trust| trust.is_finite() && *trust > 0.0)
            .ok_or_else(|| self.unfit(&"it does not say how much it is to be trusted"))?;
        let images = Array4::from_shape_fn((n_modes, n_z, n_y, n_x), |(mode, z, y, x)| {
            let [shown_y, shown_x] = view.of([y, x], [even_y, even_x]);
            let real = (z * 2 * N_MODES + 2 * mode) * n_pixels + shown_y * even_x + shown_x;
            let value = Complex32::new(denoised[real], denoised[real + n_pixels]);
            value * turn(z, y, x) * sizes[mode]
        });
        Ok((Denoised { images, trust }, answer.provenance))
    }

    fn unfit(&self, what: &dyn std::fmt::Display) -> InferenceError {
        InferenceError::Engine {
            model: self.model.manifest().name.clone(),
            error: EngineError::Call(what.to_string()),
        }
    }
}

/// How many times the noise the first mode of what counts as tissue is.
const TISSUE_SDS: f32 = 5.0;

/// Of each mode the median amount in tissue, and not less than its noise: what lies close to the
/// coils is bright and says nothing of the heart.
fn sizes_of(modes: &Array4<Complex32>, noise_sds: &[f32]) -> Vec<f32> {
    let first = modes.index_axis(Axis(0), 0);
    let limit = TISSUE_SDS * noise_sds.first().copied().unwrap_or(0.0);
    let mut is_tissue = first.mapv(|value| value.norm() > limit);
    if !is_tissue.iter().any(|is_tissue| *is_tissue) {
        is_tissue.fill(true);
    }
    let of_mode = |(mode, noise_sd): (ArrayView3<'_, Complex32>, &f32)| {
        let tissue = mode.iter().zip(&is_tissue).filter(|(_, is_tissue)| **is_tissue);
        let amounts: Vec<f32> = tissue.map(|(value, _)| value.norm()).collect();
        percentile(ArrayView1::from(&amounts), 0.5).unwrap_or(0.0).max(*noise_sd)
    };
    modes.outer_iter().zip(noise_sds).map(of_mode).collect()
}
