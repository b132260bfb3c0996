//! All images of a series from a fraction of their lines, together.

mod frames;
mod method;
mod motion;
mod network;
mod notes;
mod told;

use std::cell::OnceCell;
use std::sync::Arc;

use inference::guard::ScanConditions;
use inference::{InferenceError, Model, Models, Provenance};
use ndarray::{Array2, Array4, Axis, s};
use num_complex::Complex32;
use numerics::joint::{
    Moving, Normal, PrincipalModes, ProximalOptions, Report, SeriesEncoding, Structure, Subspace,
    noise_sd, reconstruct, structure_of_residual,
};
use numerics::registration::LEAST_OF_LOW_RANK;
use pipeline::{Gadget, ImageSeries, KSpace, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coil_combination::{CoilMapAlgorithm, CoilMapOptions};
use crate::suitability::{Suitability, Takes};
pub use crate::unaliasing::Error;
use crate::unaliasing::{Kept, Unaliasing, empty_images, scale, slice_of};
use frames::{Frames, courses_of_neighbourhoods};
pub use method::Method;
use method::Noise;
use motion::Motion;
use network::Network;
use notes::Notes;
use told::{Told, not_used};

/// What is assumed about the series, and how the images are found.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Added to the numbers of the series: images are series 1 of encoding space 0.
    pub image_series: i64,
    /// What images of a series have in common.
    pub method: Method,
    /// Model that `method = "network"` asks, by name; one that takes the same as `series_regulariser`
    /// and is asked in as many turns.
    pub network: String,
    /// How much noise is suppressed: 1 suits each method, 2 is twice its threshold, 0 none. The
    /// threshold is in units of the noise, which is estimated from the outermost lines. `network` is
    /// told that noise is so many times as large; its trust in itself follows from that too.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub regularisation: f32,
    /// Most steps; 0 for as many as the method needs as a rule. Without effect on `network`.
    #[schemars(range(max = 1000))]
    pub max_iterations: usize,
    /// Relative change of the images in a step, or the residual of `sense`, that ends them. Without
    /// effect on `network`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f32,
    /// Pixels of a neighbourhood of `locally_low_rank`, or of a patch of `patch_low_rank`, along
    /// each axis; 0 for 4 and 5.
    #[schemars(range(max = 64))]
    pub block_size: usize,
    /// Courses of `subspace`; 0 for as many as stand out of the noise of the calibration lines, 3 at
    /// least. `network` takes the four strongest.
    #[schemars(range(max = 64))]
    pub n_modes: usize,
    /// Whether motion from image to image is found and put into the model: the images then show one
    /// pose. Looked for in slices of five images and more, not in volumes; where less than half a
    /// pixel is found, the model stays as it is.
    pub correct_motion: bool,
    /// How coil maps are made.
    pub coil_map_algorithm: CoilMapAlgorithm,
    /// Window of the coil maps in plane, pixels.
    #[schemars(range(min = 1, max = 63))]
    pub coil_map_kernel_size_readout: usize,
    /// Window of the coil maps across partitions, for `inati_iter` across lines too, pixels.
    #[schemars(range(min = 1, max = 63))]
    pub coil_map_kernel_size_phase: usize,
    /// Most iterations of `inati_iter`.
    pub coil_map_num_iter: usize,
    /// Relative change that ends `inati_iter`.
    pub coil_map_thres_iter: f32,
    /// Whether steps, noise, and how well the images fit the samples are reported.
    pub print_iterations: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            image_series: 0,
            method: Method::default(),
            network: "series_regulariser".to_owned(),
            regularisation: 1.0,
            max_iterations: 0,
            threshold: 2e-3,
            block_size: 0,
            n_modes: 0,
            correct_motion: false,
            coil_map_algorithm: CoilMapAlgorithm::Inati,
            coil_map_kernel_size_readout: 7,
            coil_map_kernel_size_phase: 5,
            coil_map_num_iter: 10,
            coil_map_thres_iter: 1e-4,
            print_iterations: false,
        }
    }
}

impl Config {
    fn coil_maps(&self) -> CoilMapOptions {
        CoilMapOptions {
            algorithm: self.coil_map_algorithm,
            kernel_readout: self.coil_map_kernel_size_readout,
            kernel_phase: self.coil_map_kernel_size_phase,
            iterations: self.coil_map_num_iter,
            threshold: self.coil_map_thres_iter,
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.coil_maps().check()?;
        let at_most = |property, value: f64, most: f64, allowed| {
            // Not a number is not in the range either.
            if (0.0..=most).contains(&value) {
                Ok(())
            } else {
                Err(Error::Property { property, value, allowed })
            }
        };
        at_most("regularisation", self.regularisation.into(), 100.0, "0 to 100")?;
        at_most("threshold", self.threshold.into(), 1.0, "0 to 1")?;
        at_most("max_iterations", self.max_iterations as f64, 1000.0, "0 to 1000")?;
        at_most("block_size", self.block_size as f64, 64.0, "0 to 64")?;
        at_most("n_modes", self.n_modes as f64, 64.0, "0 to 64")
    }
}

/// Reconstructs all images of each slice together from undersampled Cartesian k-space: what they
/// have in common makes up for missing lines, best where other lines are missing in each.
pub struct ReconstructSeries {
    config: Config,
    session: u64,
    models: Option<Arc<Models>>,
    /// Of the images of each encoding space \[x, y\], where the header tells it.
    spacings_mm: Vec<Option<[f64; 2]>>,
    unaliasing: Unaliasing,
    /// `[channel, z, y, x]`.
    maps: Kept<Array4<Complex32>>,
    suitability: Suitability,
    told: Told,
}

/// Pixels of the images as the header has them: of the encoded grid, which they are on here.
fn spacings_mm(scan: &Scan) -> Vec<Option<[f64; 2]>> {
    let encodings = scan.header.as_ref().map_or(&[][..], |header| &header.encoding[..]);
    let of = |encoding: &ismrmrd::xml::Encoding| {
        let space = &encoding.encoded_space;
        let (matrix, field) = (&space.matrix_size, &space.field_of_view_mm);
        let spacing_mm = [(field.x, matrix.x), (field.y, matrix.y)]
            .map(|(field, matrix)| f64::from(field) / f64::from(matrix.max(1)));
        spacing_mm.iter().all(|edge| edge.is_finite() && *edge > 0.0).then_some(spacing_mm)
    };
    encodings.iter().map(of).collect()
}

/// What is to be solved of the images of one slice.
struct Problem<'a, N> {
    normal: &'a N,
    /// Eᴴ y, `[frame, z, y, x]`, and ‖y‖².
    right: Array4<Complex32>,
    squares: f64,
    noise: &'a Noise,
    /// What normal operator, right side and squares are divided by.
    gain: f32,
    /// So many courses of the series; 0: those that stand out.
    modes: &'a dyn Fn(usize) -> PrincipalModes,
}

struct Solution {
    /// `[frame, z, y, x]`.
    images: Array4<Complex32>,
    report: Report,
    /// Courses that they are made of; 0: any.
    n_modes: usize,
    /// What they leave of the samples, where they are made of few courses.
    structure: Option<Structure>,
    provenance: Option<Provenance>,
}

/// Part of the noise that a network is told at least: it divides by what it is told.
const LEAST_NOISE: f32 = 1e-2;

impl Gadget for ReconstructSeries {
    const NAME: &str = "reconstruct_series";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace;
    type Output = ImageSeries; // [slice, s, n, channel = 1, z, y, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        config.check()?;
        let unaliasing = Unaliasing::new(scan, config.coil_maps(), config.image_series);
        let takes = Takes { undersampled: true, echo_planar: true };
        let suitability = Suitability::of(scan, takes);
        let gadget = Self {
            config,
            session: scan.session,
            models: scan.services.get::<Models>(),
            spacings_mm: spacings_mm(scan),
            unaliasing,
            maps: Kept::default(),
            suitability,
            told: Told::default(),
        };
        // Loading goes on while the scan arrives; what is wrong is told with the first series.
        if gadget.config.method == Method::Network {
            let _ = gadget.model();
        }
        Ok(gadget)
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        self.suitability.tell(out);
        let Some(job) = self.unaliasing.begin(k_space)? else { return Ok(()) };
        let scale = scale(&job);
        let spacing_mm = self.spacings_mm.get(job.encoding_space).copied().flatten();
        let mut images = empty_images(job.shape);
        let mut notes = Vec::new();
        for frames in Frames::of(&job.groups) {
            let slice = slice_of(&job.buffer, frames.slice);
            let (method, instead) = self.method_for(&frames, out);
            let unaliasing = &self.unaliasing;
            let maps = self.maps.get(
                &job.reference,
                frames.serving,
                (job.encoding_space, false),
                job.shape.k_space,
                || Ok(unaliasing.coil_maps(&job.reference, frames.serving, job.shape.k_space)),
            )?;
            let samples = frames.samples(&job);
            let sampled = frames.sampled.view();
            let encoding = SeriesEncoding::new(sampled, maps.view());
            let (right, squares) = encoding.adjoint(samples.view());
            let noise = Noise::new(
                noise_sd(samples.view(), sampled).unwrap_or(0.0),
                sampled,
                squares,
                job.shape.n_channels * job.shape.k_space[2],
            );
            let noise = &noise;
            // Of images of all poses, and of those without a line in common, neighbourhoods have
            // something in common. Properties are those of the method that was asked for.
            let found = OnceCell::new();
            let by_neighbourhoods = || {
                found.get_or_init(|| {
                    let usual = Config::default();
                    let options = Method::LocallyLowRank.options(&usual, noise, encoding.shape());
                    of_neighbourhoods(&encoding, &right, squares, &options)
                })
            };
            let motion = self.motion_of(encoding.shape(), by_neighbourhoods, out);
            let (solution, method) = match &motion {
                Some(motion) => {
                    let moving = Moving::new(&encoding, motion.fields.view());
                    let (right, squares) = moving.right_side(&right, squares);
                    let modes = |n| motion.modes(noise, n);
                    let normal = &moving;
                    let problem = Problem {
                        normal,
                        right,
                        squares,
                        noise,
                        gain: moving.gain(),
                        modes: &modes,
                    };
                    self.solve(method, &problem, spacing_mm, out)
                }
                None => {
                    let modes = |n| {
                        frames.modes(&samples, noise, n).unwrap_or_else(|| {
                            courses_of_neighbourhoods(by_neighbourhoods().view(), noise, n)
                        })
                    };
                    let right = right.clone();
                    let normal = &encoding;
                    let problem =
                        Problem { normal, right, squares, noise, gain: 1.0, modes: &modes };
                    self.solve(method, &problem, spacing_mm, out)
                }
            };
            for (frame, [s, n]) in solution.images.outer_iter().zip(&frames.places) {
                let mut target = images.slice_mut(s![frames.slice, *s, *n, 0, .., .., ..]);
                target.zip_mut_with(&frame, |target, value| *target = *value * scale);
            }
            let motion_px = motion.map(|motion| motion.longest_px);
            if self.config.print_iterations {
                out.inform(report(&solution, method, slice, noise, motion_px));
            }
            let faults = self.faults(&solution, method, &job, noise, out);
            notes.push((
                frames,
                Notes {
                    made_by: made_by(&solution, method),
                    noise_sd: noise.of_images() * scale,
                    motion_px,
                    provenance: solution.provenance.or(instead),
                    faults,
                },
            ));
        }
        let mut series = self.unaliasing.series(job, images);
        let [_, n_s, n_n] = [0, 1, 2].map(|axis| series.headers.len_of(Axis(axis)));
        for (frames, notes) in &notes {
            for [s, n] in &frames.places {
                if let Some(meta) = series.meta.get_mut((frames.slice * n_s + s) * n_n + n) {
                    notes.write(meta);
                }
            }
        }
        out.push(series);
        Ok(())
    }
}

/// Images by what their neighbourhoods have in common, `[frame, pixel]`.
fn of_neighbourhoods(
    encoding: &SeriesEncoding,
    right: &Array4<Complex32>,
    squares: f64,
    options: &ProximalOptions,
) -> Array2<Complex32> {
    let (images, _) = reconstruct(encoding, right, squares, options);
    let [n_frames, n_z, n_y, n_x] = encoding.shape();
    let shape = (n_frames, n_z * n_y * n_x);
    images.into_shape_with_order(shape).unwrap_or_else(|_| Array2::zeros(shape))
}

/// What made the images, for people.
fn made_by(solution: &Solution, method: Method) -> String {
    match &solution.provenance {
        Some(Provenance { model, version, fallback: None, .. }) => {
            format!("{} {model} {version}", method.name())
        }
        _ => method.name().to_owned(),
    }
}

/// How the images of a slice came about, for `print_iterations`.
fn report(
    solution: &Solution,
    method: Method,
    slice: u16,
    noise: &Noise,
    motion_px: Option<f32>,
) -> String {
    let Solution { images, report, n_modes, structure, .. } = solution;
    let moving = motion_px.map_or(String::new(), |px| format!(", moving by up to {px:.1} px"));
    let modes = if *n_modes > 0 { format!(" of {n_modes} modes") } else { String::new() };
    let mut text = format!(
        "slice {slice}: {} images by `{}`{modes}{moving}, {} steps, the last one changed them by \
         {:.4}; noise {:.3}",
        images.len_of(Axis(0)),
        method.name(),
        report.n_iterations,
        report.last_change,
        noise.sd,
    );
    if let Some(Structure { noise_sds, of_signal }) = structure {
        let percent = 100.0 * of_signal;
        text += &format!(
            ", {noise_sds:.1} standard deviations and {percent:.2} % of the signal left at most"
        );
    }
    if !report.misfits.is_empty() {
        let misfits = report.misfits.iter().map(|misfit| noise.misfit(*misfit));
        let misfits: Vec<_> = misfits.map(|misfit| format!("{misfit:.3}")).collect();
        let apart: Vec<_> =
            report.disagreements.iter().map(|apart| format!("{apart:.4}")).collect();
        text += &format!(
            ", denoised images and samples {} apart, {} step by step",
            apart.join(" "),
            misfits.join(" ")
        );
    }
    let misfit = noise.misfit(report.misfit);
    text + &format!(", distance from the samples over that of noise {misfit:.2}")
}

impl ReconstructSeries {
    fn model(&self) -> Result<Arc<Model>, InferenceError> {
        let name = &self.config.network;
        let models = self.models.as_ref().ok_or_else(|| InferenceError::NoModels(name.clone()))?;
        models.open(name)
    }

    /// The motion of the images, where it is to be in the model and there is any. Where it cannot
    /// be looked for, that is told once.
    ///
    /// * `images`: of a first reconstruction, `[frame, pixel]`.
    fn motion_of<'a>(
        &mut self,
        [n_frames, n_z, n_y, n_x]: [usize; 4],
        images: impl FnOnce() -> &'a Array2<Complex32>,
        out: &mut Sink<Self>,
    ) -> Option<Motion> {
        if !self.config.correct_motion {
            return None;
        }
        if n_z > 1 || n_frames < LEAST_OF_LOW_RANK {
            if !std::mem::replace(&mut self.told.motion, true) {
                let text = if n_z > 1 {
                    "motion from image to image is looked for in slices, not in volumes".to_owned()
                } else {
                    format!(
                        "{n_frames} images are too few to find their motion by, \
                         {LEAST_OF_LOW_RANK} are needed"
                    )
                };
                out.inform(format!("{text}: it is not in the model"));
            }
            return None;
        }
        Motion::of(images().to_shape((n_frames, n_y, n_x)).ok()?.view())
    }

    /// The images by a method, and that which gave them.
    fn solve(
        &mut self,
        method: Method,
        problem: &Problem<'_, impl Normal>,
        spacing_mm: Option<[f64; 2]>,
        out: &mut Sink<Self>,
    ) -> (Solution, Method) {
        if method != Method::Network {
            return (self.by_model(method, problem), method);
        }
        match self.model().and_then(|model| self.by_network(&model, problem, spacing_mm)) {
            Ok(solution) => (solution, method),
            Err(error) => {
                let text = format!("{error}; `subspace` is used instead");
                if !std::mem::replace(&mut self.told.network, true) {
                    out.warn(text.clone(), error.remedy().to_owned());
                }
                let provenance = Some(not_used(&self.config.network, text));
                let solution = self.by_model(Method::Subspace, problem);
                (Solution { provenance, ..solution }, Method::Subspace)
            }
        }
    }

    fn by_model(&self, method: Method, problem: &Problem<'_, impl Normal>) -> Solution {
        let Problem { normal, right, squares, noise, gain, modes } = problem;
        let (n_frames, n_z, n_y, n_x) = right.dim();
        let mut options = method.options(&self.config, noise, [n_frames, n_z, n_y, n_x]);
        options.weight /= gain;
        if method != Method::Subspace {
            let (images, report) = reconstruct(*normal, right, *squares, &options);
            return Solution { images, report, n_modes: 0, structure: None, provenance: None };
        }
        let modes = modes(self.config.n_modes).courses;
        let subspace = Subspace::new(*normal, &modes);
        let reduced = subspace.reduce(right.view());
        let (found, report) = reconstruct(&subspace, &reduced, *squares, &options);
        let images = subspace.expand(found.view());
        let structure = structure_of_residual(*normal, right, &images, noise.of_windows / gain);
        Solution {
            images,
            report,
            n_modes: modes.nrows(),
            structure: Some(structure),
            provenance: None,
        }
    }

    fn by_network(
        &self,
        model: &Model,
        problem: &Problem<'_, impl Normal>,
        spacing_mm: Option<[f64; 2]>,
    ) -> Result<Solution, InferenceError> {
        let Problem { normal, right, squares, noise, gain, modes } = problem;
        model.check_conditions(&ScanConditions {
            n_frames: Some(right.len_of(Axis(0))),
            spacing_mm,
            ..ScanConditions::default()
        })?;
        let PrincipalModes { courses: modes, energies } =
            modes(network::N_MODES.min(right.len_of(Axis(0))));
        let subspace = Subspace::new(*normal, &modes);
        let reduced = subspace.reduce(right.view());
        let noise_factor = self.config.regularisation.max(LEAST_NOISE);
        let network = Network { model, session: self.session, noise_factor };
        let (found, report, provenance) =
            network.reconstruct(&subspace, &reduced, *squares, noise, &energies, *gain)?;
        let images = subspace.expand(found.view());
        let structure = structure_of_residual(*normal, right, &images, noise.of_windows / gain);
        Ok(Solution {
            images,
            report,
            n_modes: modes.nrows(),
            structure: Some(structure),
            provenance: Some(provenance),
        })
    }
}

#[cfg(test)]
mod tests;
