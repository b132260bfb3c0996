//! Images of a series as if nothing had moved between them.

mod choice;
mod few_courses;

use std::sync::Arc;
use std::time::Instant;

use inference::{InferenceError, Model, Models, Provenance};
use ismrmrd::Meta;
use ndarray::{Array3, Axis};
use num_complex::Complex32;
use numerics::registration::{LEAST_OF_LOW_RANK, TwinModel, extent_px};
use pipeline::image_notes::{FAULT_KEY, MOTION_PX_KEY};
use pipeline::times::{Preparation, TimesFrom, preparation_times};
use pipeline::{
    Gadget, ImageRole, ImageSeries, Remedy, Scan, SeriesShapeError, Sink, Stack, unprocessed,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::motion::{Found, Method, Series};
use choice::{Agreement, Told, choose};
use few_courses::few_courses;

/// What makes the images of a series differ, besides motion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Contrast {
    /// What the times of the series tell.
    #[default]
    Auto,
    /// Inversions: the image with the longest time keeps its pose.
    Inversion,
    /// Saturations: the image without, or with the longest time, keeps its pose.
    Saturation,
    /// T2 preparations: the shortest one keeps its pose.
    T2Preparation,
    /// Echo times: the first echo keeps its pose.
    Echo,
    /// Nothing that times tell: the first image keeps its pose.
    Any,
}

/// Corrects the motion between the images of a series.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What makes the images differ, besides motion.
    pub contrast: Contrast,
    /// The network that proposes motion, which is then refined; empty: registration from nothing.
    pub network: String,
    /// Index of the image without saturation.
    pub anchor: usize,
    /// No displacement becomes longer, px.
    pub max_displacement_px: f32,
    /// Whether the images as they were are sent before those that are corrected.
    pub send_originals: bool,
    /// Where times are taken from.
    pub times_from: TimesFrom,
    /// Series with this meta attribute pass.
    pub skip_processing_meta_field: String,
    /// Gadgetron's; without effect here, as its registration is another one.
    pub iterations: Option<u32>,
    /// As `iterations`.
    pub demons_iterations: Option<u32>,
    /// As `iterations`.
    pub regularization_sigma: Option<f32>,
    /// As `iterations`.
    pub step_size: Option<f32>,
    /// As `iterations`.
    pub scales: Option<u32>,
    /// As `iterations`.
    pub noise_sigma: Option<f32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            contrast: Contrast::Auto,
            network: "motion_of_series".to_owned(),
            anchor: 0,
            max_displacement_px: 16.0,
            send_originals: true,
            times_from: TimesFrom::Auto,
            skip_processing_meta_field: "Skip_processing_after_recon".to_owned(),
            iterations: None,
            demons_iterations: None,
            regularization_sigma: None,
            step_size: None,
            scales: None,
            noise_sigma: None,
        }
    }
}

/// Series of the originals and of the corrected images, as Gadgetron's MOLLI chain numbers them.
const SERIES: [u16; 2] = [1, 2];

/// Corrects the motion between the images of a series.
pub struct CorrectMotion {
    config: Config,
    scan: Scan,
    models: Option<Arc<Models>>,
}

/// Meta attribute: how motion was corrected.
const METHOD_KEY: &str = "BoresideMotionMethod";

/// What was done to the images of a stack.
#[derive(Default)]
struct Outcome {
    /// One for each plane.
    methods: Vec<Method>,
    longest_px: f32,
    median_px: f32,
    time_ms: f64,
    /// Why the network's motion is not used, and what was done instead.
    refusal: Option<String>,
}

/// What is known of the frames of a stack.
struct Frames {
    times_ms: Vec<f64>,
    reference: usize,
    contrast: Contrast,
}

impl Gadget for CorrectMotion {
    const NAME: &str = "correct_motion";
    const HEAVY: bool = true;
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, channel, z, y, x]
    type Output = ImageSeries;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        if !(config.max_displacement_px > 0.0 && config.max_displacement_px < 1e4) {
            return Err(Error::Property("max_displacement_px", config.max_displacement_px));
        }
        let gadget = Self { config, scan: scan.clone(), models: scan.services.get::<Models>() };
        // Loading goes on while the scan arrives; what is wrong is told with the first series.
        let _ = gadget.network();
        Ok(gadget)
    }

    fn process(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let is_skipped = series.meta.iter().any(|meta| {
            unprocessed::is_marked(meta)
                || !meta.values(&self.config.skip_processing_meta_field).is_empty()
        });
        if !series.role.is_image() || series.role == ImageRole::MotionCorrected || is_skipped {
            out.push(series);
            return Ok(());
        }
        let stacks = series.stacks()?;
        series.meta.resize(series.headers.len(), Meta::new());
        if stacks.iter().all(|stack| stack.n_frames < 2) {
            out.push(series);
            return Ok(());
        }
        let mut corrected = series.clone();
        corrected.role = ImageRole::MotionCorrected;
        let mut is_any_corrected = false;
        for stack in &stacks {
            let frames = self.frames(&series, stack);
            match self.correct(&series, stack, &frames, &mut corrected, out) {
                Ok(outcome) => {
                    is_any_corrected = true;
                    for frame in 0..stack.n_frames {
                        if let Some(meta) = corrected.frame_meta_mut(stack, frame) {
                            self.describe(meta, &outcome);
                        }
                    }
                }
                Err(why) => {
                    match why.remedy() {
                        Some(remedy) => out.warn(format!("motion is not corrected: {why}"), remedy),
                        None => out.inform(format!("motion is not corrected: {why}")),
                    }
                    // Nobody may take a map of a heart that moved for one of a heart that did not.
                    let fault = why.remedy().map(|_| format!("motion is not corrected: {why}"));
                    for frame in 0..stack.n_frames {
                        for of in [&mut series, &mut corrected] {
                            if let Some(meta) = of.frame_meta_mut(stack, frame) {
                                meta.set(METHOD_KEY, "none");
                                if let Some(fault) = &fault {
                                    meta.append(FAULT_KEY, fault.as_str());
                                }
                            }
                        }
                    }
                }
            }
        }
        if !is_any_corrected {
            out.push(series);
            return Ok(());
        }
        number(&mut corrected, SERIES[1]);
        if self.config.send_originals {
            series.role = ImageRole::Uncorrected;
            number(&mut series, SERIES[0]);
            out.push(series);
        }
        out.push(corrected);
        Ok(())
    }
}

/// Of fewer images none can be told by the others: a decay has two unknowns.
const LEAST_OF_DECAY: usize = 3;

fn number(series: &mut ImageSeries, index: u16) {
    series.headers.iter_mut().for_each(|header| header.image_series_index = index);
    // Single images know what they are from their meta attributes only.
    let role = series.role;
    series.meta.iter_mut().for_each(|meta| role.write(meta));
}

impl CorrectMotion {
    fn network(&self) -> Option<Result<Arc<Model>, InferenceError>> {
        let name = &self.config.network;
        if name.is_empty() {
            return None;
        }
        let models = self.models.as_ref().ok_or_else(|| InferenceError::NoModels(name.clone()));
        Some(models.and_then(|models| models.open(name)))
    }

    /// Times of the frames, and the one whose pose is kept. Frames whose times are not known are
    /// registered all the same.
    fn frames(&self, series: &ImageSeries, stack: &Stack) -> Frames {
        let of = |contrast: Contrast| {
            let preparation = match contrast {
                Contrast::Inversion => Preparation::Inversion,
                Contrast::Saturation => {
                    Preparation::Saturation { anchor: Some(self.config.anchor) }
                }
                Contrast::T2Preparation => Preparation::T2Preparation,
                Contrast::Echo => Preparation::Echo,
                Contrast::Auto | Contrast::Any => return None,
            };
            let from = self.config.times_from;
            let times = preparation_times(series, stack, &self.scan, preparation, from).ok()?;
            let is_longest = matches!(contrast, Contrast::Inversion | Contrast::Saturation);
            let sign = if is_longest { -1.0 } else { 1.0 };
            let usable =
                |frame: &usize| !series.is_blank(stack, *frame) && series.is_finite(stack, *frame);
            let frames = (0..stack.n_frames).filter(usable);
            let times_ms = times.times_ms;
            let reference =
                frames.min_by(|&a, &b| (sign * times_ms[a]).total_cmp(&(sign * times_ms[b])))?;
            Some(Frames { times_ms, reference, contrast })
        };
        let found = match self.config.contrast {
            Contrast::Auto => {
                let all = [Contrast::Inversion, Contrast::T2Preparation, Contrast::Echo];
                all.into_iter().find_map(of)
            }
            contrast => of(contrast),
        };
        found.unwrap_or_else(|| Frames {
            times_ms: (0..stack.n_frames).map(|frame| frame as f64).collect(),
            reference: 0,
            contrast: Contrast::Any,
        })
    }

    /// Puts the corrected images of a stack into the corrected series.
    ///
    /// # Errors
    /// Why they cannot be corrected.
    fn correct(
        &self,
        series: &ImageSeries,
        stack: &Stack,
        frames: &Frames,
        corrected: &mut ImageSeries,
        out: &mut Sink<Self>,
    ) -> Result<Outcome, Uncorrected> {
        let start = Instant::now();
        // Images that hold nothing tell nothing, and stay.
        let usable: Vec<usize> = (0..stack.n_frames)
            .filter(|&frame| !series.is_blank(stack, frame) && series.is_finite(stack, frame))
            .collect();
        let reference = usable
            .iter()
            .position(|&frame| frame == frames.reference)
            .ok_or(Uncorrected::EmptyReference)?;
        let decays = matches!(frames.contrast, Contrast::T2Preparation | Contrast::Echo);
        let (model, least) = if decays && usable.len() < LEAST_OF_LOW_RANK {
            (TwinModel::Decay, LEAST_OF_DECAY)
        } else {
            (TwinModel::LowRank, LEAST_OF_LOW_RANK)
        };
        if usable.len() < least {
            return Err(Uncorrected::TooFew { n_images: usable.len(), least });
        }
        let n_z = series.data.shape()[4];
        for z in 0..n_z {
            let planes = planes_of(series, stack, &usable, z);
            if let Some(n_courses) = planes.first().and_then(|images| few_courses(images.view())) {
                return Err(Uncorrected::FewCourses { n_images: usable.len(), n_courses });
            }
        }
        let times_ms: Vec<f64> = usable.iter().map(|&frame| frames.times_ms[frame]).collect();
        let mut outcome = Outcome::default();
        for z in 0..n_z {
            let planes: Vec<Array3<Complex32>> = planes_of(series, stack, &usable, z);
            let images = planes.first().ok_or(Uncorrected::EmptyReference)?;
            let job = Series {
                images: images.view(),
                times_ms: &times_ms,
                reference,
                is_inverted: matches!(frames.contrast, Contrast::Inversion | Contrast::Saturation),
                model,
                max_displacement_px: self.config.max_displacement_px,
            };
            let (found, told) = self.find(&job, series, frames.contrast);
            match told {
                Told::Nothing => {}
                Told::Information(what) => out.inform(what),
                Told::Fault { reason, remedy } => {
                    out.warn(format!("{reason}; used instead: {}", found.method.name()), remedy);
                    outcome.refusal = Some(format!("{reason}; {}", found.method.name()));
                }
            }
            let magnitude = images.index_axis(Axis(0), reference).mapv(|value| value.norm());
            let [longest, median] = extent_px(&found.motion.fields, &magnitude);
            outcome.longest_px = outcome.longest_px.max(longest);
            outcome.median_px = outcome.median_px.max(median);
            for (channel, images) in planes.iter().enumerate() {
                let job = Series { images: images.view(), ..job };
                for (image, &frame) in job.corrected(&found.motion).iter().zip(&usable) {
                    let [slice, s, n] = stack.place(frame);
                    let place = ndarray::s![slice, s, n, channel, z, .., ..];
                    corrected.data.slice_mut(place).assign(image);
                }
            }
            outcome.methods.push(found.method);
        }
        outcome.time_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(outcome)
    }

    /// The motion by the network where that is good, else by registration from nothing; and what is
    /// to be told of it: why not by the network where one was wanted.
    fn find(&self, job: &Series<'_>, series: &ImageSeries, contrast: Contrast) -> (Found, Told) {
        let classical = || Found { motion: job.register(), method: Method::Classical };
        let Some(model) = self.network() else { return (classical(), Told::Nothing) };
        if contrast == Contrast::Any {
            return (classical(), Told::Nothing);
        }
        let proposed = model.and_then(|model| {
            model.check_conditions(&self.conditions(series, job.times_ms.len()))?;
            job.by_network(&model, self.scan.session)
        });
        match proposed {
            Ok(found) => choose(found, classical, &Agreement::of(job.images)),
            Err(error) => {
                let remedy = error.remedy().to_owned();
                (classical(), Told::Fault { reason: error.to_string(), remedy })
            }
        }
    }

    fn conditions(
        &self,
        series: &ImageSeries,
        n_frames: usize,
    ) -> inference::guard::ScanConditions {
        let header = self.scan.header.as_ref();
        let system = header.and_then(|header| header.acquisition_system_information.as_ref());
        let spacing_mm = series.headers.first().map(|header| {
            let ([x, y, _], [fov_x, fov_y, _]) = (header.matrix_size, header.field_of_view);
            [f64::from(fov_x) / f64::from(x.max(1)), f64::from(fov_y) / f64::from(y.max(1))]
        });
        inference::guard::ScanConditions {
            field_strength_t: system
                .and_then(|system| system.system_field_strength_t)
                .map(f64::from),
            n_frames: Some(n_frames),
            spacing_mm: spacing_mm.filter(|spacing| spacing.iter().all(|edge| *edge > 0.0)),
            ..Default::default()
        }
    }

    fn describe(&self, meta: &mut Meta, outcome: &Outcome) {
        let mut names: Vec<String> = outcome.methods.iter().map(Method::name).collect();
        names.dedup();
        for method in &outcome.methods {
            if let Method::Network(provenance) = method {
                provenance.write(meta);
            }
        }
        if let Some(reason) = &outcome.refusal {
            let provenance = Provenance {
                model: self.config.network.clone(),
                fallback: Some(reason.clone()),
                ..Provenance::default()
            };
            provenance.write(meta);
        }
        meta.set(METHOD_KEY, names.join("; "));
        meta.set(MOTION_PX_KEY, format!("{:.2}", outcome.longest_px));
        meta.set("BoresideMotionMedianPx", format!("{:.2}", outcome.median_px));
        meta.set("BoresideMotionTimeMs", format!("{:.1}", outcome.time_ms));
        for key in ["ImageProcessingHistory", "GADGETRON_ImageProcessingHistory"] {
            meta.append(key, "MOCO");
        }
        for key in ["SequenceDescriptionAdditional", "GADGETRON_SeqDescription"] {
            meta.append(key, "MOCO");
        }
    }
}

/// The usable frames of one plane, channel by channel: `[frame, y, x]`.
fn planes_of(
    series: &ImageSeries,
    stack: &Stack,
    frames: &[usize],
    z: usize,
) -> Vec<Array3<Complex32>> {
    let shape = series.data.shape();
    let (n_channels, n_y, n_x) = (shape[3], shape[5], shape[6]);
    let plane = |channel: usize| {
        let mut images = Array3::zeros((frames.len(), n_y, n_x));
        for (mut image, &frame) in images.axis_iter_mut(Axis(0)).zip(frames) {
            let [slice, s, n] = stack.place(frame);
            image.assign(&series.data.slice(ndarray::s![slice, s, n, channel, z, .., ..]));
        }
        images
    };
    (0..n_channels).map(plane).collect()
}

/// Why the images of a stack stay as they are.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum Uncorrected {
    #[error("the image whose pose would be kept holds nothing, or there is no channel")]
    EmptyReference,
    #[error("{n_images} images are too few, {least} are needed")]
    TooFew { n_images: usize, least: usize },
    #[error(
        "all {n_images} images are made of {n_courses} time courses, as `reconstruct_series` makes them by \
         `subspace` or `network`: images of such a reconstruction cannot be registered afterwards"
    )]
    FewCourses { n_images: usize, n_courses: usize },
}

impl Uncorrected {
    /// Where something can be done: a heart that moved is wrong in the map.
    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::EmptyReference | Self::TooFew { .. } => None,
            Self::FewCourses { .. } => Some(
                "if the heart moved, set `correct_motion = true` of `reconstruct_series`, which puts motion \
                 into the model, or take a chain that does (`molli_t1_accelerated`)",
            ),
        }
    }
}

/// Why no motion is corrected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A property.
    #[error("`{0}` is {1}")]
    Property(&'static str, f32),
    /// Parts that do not belong together.
    #[error(transparent)]
    Shape(#[from] SeriesShapeError),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Property(..) => "write a length above 0, e.g. 16",
            Self::Shape(_) => "correct the gadget or the client that made the series",
        }
    }
}

#[cfg(test)]
mod tests;
