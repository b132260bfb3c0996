//! A network that says what series look like.

use inference::{EngineError, InferenceError, Model, Provenance, Request, ShapeError, Tensor};
use ndarray::{Array3, Array4, ArrayView1, ArrayView3, Axis};
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

/// Images that it is shown at once, so that a volume needs no more memory and time than that.
const MOST_SHOWN: usize = 16;

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
    /// What the noise that it is told is multiplied by, above 0.
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
                let (denoised, provenance) = self.denoise(images, &sizes, &noise_sds, step)?;
                whole = whole.followed_by(provenance);
                Ok(Denoised { trust: denoised.trust / gain, ..denoised })
            })?;
        Ok((images, report, whole))
    }

    /// The mean of its answers to all views of a step.
    fn denoise(
        &self,
        images: &Array4<Complex32>,
        sizes: &[f32],
        noise_sds: &[f32],
        step: usize,
    ) -> Result<(Denoised, Provenance), InferenceError> {
        let (_, n_z, n_y, n_x) = images.dim();
        let views = VIEWS[step];
        let shown: Vec<(View, usize)> =
            views.iter().flat_map(|view| (0..n_z).map(|z| (*view, z))).collect();
        let modes = Modes { images, phases: phases(images), sizes, noise_sds };
        let mut mean = Denoised { images: Array4::zeros(images.raw_dim()), trust: 0.0 };
        let mut whole = Provenance::default();
        for shown in shown.chunks(MOST_SHOWN) {
            // The network halves the resolution: an odd edge is repeated.
            let edges = [n_y.next_multiple_of(2), n_x.next_multiple_of(2)];
            let inputs = self.inputs(&modes, step, shown, edges)?;
            let answer = self.model.run(Request { inputs, session: self.session, time: None })?;
            let shape = [shown.len(), 2 * N_MODES, edges[0], edges[1]];
            let denoised = answer
                .output("denoised")
                .filter(|tensor| tensor.shape() == shape)
                .map(Tensor::to_f32)
                .filter(|values| values.iter().all(|value| value.is_finite()))
                .ok_or_else(|| self.unfit(&"its output is no image of each mode"))?;
            mean.trust = answer
                .output("trust")
                .and_then(|tensor| tensor.to_f32().first().copied())
                .filter(|trust| trust.is_finite() && *trust > 0.0)
                .ok_or_else(|| self.unfit(&"it does not say how much it is to be trusted"))?;
            let n_pixels = edges[0] * edges[1];
            for ((view, z), of_image) in shown.iter().zip(denoised.chunks(2 * N_MODES * n_pixels)) {
                let parts = of_image.chunks(2 * n_pixels).zip(mean.images.outer_iter_mut());
                for ((parts, mut mean), size) in parts.zip(sizes) {
                    let scale = size / views.len() as f32;
                    for ((y, x), mean) in mean.index_axis_mut(Axis(0), *z).indexed_iter_mut() {
                        let [shown_y, shown_x] = view.of([y, x], edges);
                        let pixel = shown_y * edges[1] + shown_x;
                        let value = Complex32::new(parts[pixel], parts[n_pixels + pixel]);
                        *mean += value * modes.phases[[*z, y, x]] * scale;
                    }
                }
            }
            whole = whole.followed_by(answer.provenance);
        }
        Ok((mean, whole))
    }

    /// What it is shown of images: values without the first mode's phase and over the modes' sizes,
    /// noise over the same, and the step.
    fn inputs(
        &self,
        of: &Modes<'_>,
        step: usize,
        shown: &[(View, usize)],
        edges: [usize; 2],
    ) -> Result<Vec<(String, Tensor)>, InferenceError> {
        let (_, _, n_y, n_x) = of.images.dim();
        let n_pixels = edges[0] * edges[1];
        let mut modes = vec![0.0_f32; shown.len() * 2 * N_MODES * n_pixels];
        let mut noise = vec![0.0_f32; shown.len() * N_MODES * n_pixels];
        let of_images = modes.chunks_mut(2 * N_MODES * n_pixels);
        let of_images = of_images.zip(noise.chunks_mut(N_MODES * n_pixels)).zip(shown);
        for ((modes, noise), (view, z)) in of_images {
            let of_modes = modes.chunks_mut(2 * n_pixels).zip(noise.chunks_mut(n_pixels));
            let of_modes =
                of_modes.zip(of.images.outer_iter()).zip(of.sizes.iter().zip(of.noise_sds));
            for (((parts, noise), images), (size, noise_sd)) in of_modes {
                let scale = if *size > 0.0 { size.recip() } else { 0.0 };
                for y in 0..edges[0] {
                    for x in 0..edges[1] {
                        let at = [*z, y.min(n_y - 1), x.min(n_x - 1)];
                        let value = images[at] * of.phases[at].conj() * scale;
                        let [shown_y, shown_x] = view.of([y, x], edges);
                        let pixel = shown_y * edges[1] + shown_x;
                        parts[pixel] = value.re;
                        parts[n_pixels + pixel] = value.im;
                    }
                }
                noise.fill(self.noise_factor * noise_sd * scale);
            }
        }
        let step = vec![step as f32 / VIEWS.len() as f32; shown.len() * n_pixels];
        let tensor = |channels: usize, values: Vec<f32>| {
            Tensor::from_f32(&[shown.len(), channels, edges[0], edges[1]], values)
        };
        [("modes", 2 * N_MODES, modes), ("noise", N_MODES, noise), ("step", 1, step)]
            .into_iter()
            .map(|(name, channels, values)| Ok((name.to_owned(), tensor(channels, values)?)))
            .collect::<Result<Vec<_>, ShapeError>>()
            .map_err(|error| self.unfit(&error))
    }

    fn unfit(&self, what: &dyn std::fmt::Display) -> InferenceError {
        InferenceError::Engine {
            model: self.model.manifest().name.clone(),
            error: EngineError::Call(what.to_string()),
        }
    }
}

/// Images of the modes, `[mode, z, y, x]`, and what is known of them.
struct Modes<'a> {
    images: &'a Array4<Complex32>,
    /// [`phases`] of the images.
    phases: Array3<Complex32>,
    /// Of each mode.
    sizes: &'a [f32],
    noise_sds: &'a [f32],
}

/// The phase of the first mode, `[z, y, x]`, as numbers of length 1.
fn phases(images: &Array4<Complex32>) -> Array3<Complex32> {
    images.index_axis(Axis(0), 0).mapv(|value| {
        let size = value.norm();
        if size > 0.0 { value / size } else { Complex32::ONE }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_sees_all_four_ways_round_and_each_leads_back() {
        let edges = [4, 6];
        let mut corners: Vec<[usize; 2]> = Vec::new();
        for view in VIEWS[VIEWS.len() - 1] {
            for at in [[0, 0], [1, 4], [3, 5]] {
                assert_eq!(view.of(view.of(at, edges), edges), at);
            }
            corners.push(view.of([0, 0], edges));
        }
        corners.sort_unstable();
        assert_eq!(corners, [[0, 0], [0, 5], [3, 0], [3, 5]]);
    }

    #[test]
    fn a_size_is_that_of_what_stands_out_and_not_less_than_noise() {
        let mut modes = Array4::zeros((2, 1, 4, 4));
        for x in 0..4 {
            modes[[0, 0, 1, x]] = Complex32::new(0.0, 10.0);
            modes[[1, 0, 1, x]] = Complex32::new(0.5, 0.0);
        }
        // Bright, but little of it: a median does not see it.
        modes[[0, 0, 1, 0]] = Complex32::new(1e3, 0.0);
        assert_eq!(sizes_of(&modes, &[1.0, 0.2]), [10.0, 0.5]);
        assert_eq!(sizes_of(&modes, &[1.0, 0.9]), [10.0, 0.9]);
    }
}
