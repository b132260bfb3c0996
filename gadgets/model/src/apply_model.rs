//! Any network as a gadget, from its manifest alone.

use std::sync::Arc;
use std::time::Duration;

use inference::guard::ScanConditions;
use inference::manifest::{InputRole, OutputKind};
use inference::{InferenceError, Manifest, Model, Models, Provenance, Provider, Request};
use ismrmrd::{ImageHeader, ImageType, Meta, Pixels};
use ndarray::{Array3, Array4};
use num_complex::Complex32;
use pipeline::times::{Preparation, TimesFrom, preparation_times};
use pipeline::{
    Gadget, Image, ImageRole, ImageSeries, ParametricMap, Remedy, Scan, Sink, unprocessed,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::companions::Companions;
use crate::geometry::Planes;
use crate::prepare::{Misfit, Prepared, Source, Surroundings, prepare};
use crate::results::{Finished, Joined, derived, describe, measure};

/// Runs a network on each image.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the model: `boreside models list` names all of them.
    pub model: String,
    /// Data role of the images that it works on, e.g. `T1`; others pass. Where it is not given,
    /// images pass to it and maps do not.
    pub select: Option<String>,
    /// What the model must run on: `cuda`, `tensorrt`, `cpu` or `embedded`. The chain does not
    /// start without it.
    pub require: Option<Provider>,
    /// Time for one image in ms, where it is not the manifest's.
    pub time_ms: Option<f64>,
    /// Standard deviation of the noise in the pixels' unit: 1 in SNR units. Where it is not
    /// given it is estimated from each image.
    pub noise_sd: Option<f64>,
    /// Whether the image is sent beside the one that a network made of it.
    pub keep_source: bool,
}

pipeline::message_set! {
    /// An image, a series or a map.
    pub enum Images { Image, ImageSeries, ParametricMap }
}

/// Runs a network on each image.
pub struct ApplyModel {
    config: Config,
    models: Option<Arc<Models>>,
    session: u64,
    conditions: ScanConditions,
    scan: Scan,
    companions: Companions,
}

/// What a network made of images.
struct Outcome<'a> {
    finished: Vec<Finished<'a>>,
    provenance: Provenance,
}

impl Gadget for ApplyModel {
    const NAME: &str = "apply_model";
    const HEAVY: bool = true;
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = Images;
    type Output = Images;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        if config.model.is_empty() {
            return Err(Error::NoName);
        }
        if let Some(time_ms) = config.time_ms
            && !(time_ms > 0.0 && time_ms < 1e9)
        {
            return Err(Error::Time(time_ms));
        }
        let models = scan.services.get::<Models>();
        let header = scan.header.as_ref();
        let measurement = header.and_then(|header| header.measurement_information.as_ref());
        let names =
            measurement.map(|about| [about.protocol_name.clone(), about.sequence_name.clone()]);
        let system = header.and_then(|header| header.acquisition_system_information.as_ref());
        let conditions = ScanConditions {
            field_strength_t: system
                .and_then(|system| system.system_field_strength_t)
                .map(f64::from),
            sequence_names: names.into_iter().flatten().flatten().collect(),
            ..ScanConditions::default()
        };
        let mut gadget = Self {
            models,
            session: scan.session,
            conditions,
            scan: scan.clone(),
            companions: Companions::default(),
            config,
        };
        // Loading goes on while the scan arrives. What is wrong is told with the first image,
        // which goes on without the model; only what the chain insists on keeps it from starting.
        match (gadget.open(), gadget.config.require) {
            (Ok(model), required) => {
                gadget.companions = Companions::of(model.manifest());
                if required.is_some() {
                    model.require(required)?;
                }
            }
            (Err(error), Some(_)) => return Err(error.into()),
            (Err(_), None) => {}
        }
        Ok(gadget)
    }

    fn process(&mut self, images: Images, out: &mut Sink<Self>) -> Result<(), Error> {
        match images {
            Images::Image(image) => self.process_image(image, out),
            Images::ImageSeries(series) => self.process_series(series, out),
            Images::ParametricMap(map) => self.process_map(map, out),
        }
        Ok(())
    }
}

impl ApplyModel {
    fn open(&self) -> Result<Arc<Model>, InferenceError> {
        let name = &self.config.model;
        let models = self.models.as_ref();
        models.ok_or_else(|| InferenceError::NoModels(name.clone()))?.open(name)
    }

    fn process_image(&mut self, mut image: Image, out: &mut Sink<Self>) {
        let role = image.meta.get("GADGETRON_DataRole").or_else(|| image.meta.get("DataRole"));
        let role = role.unwrap_or("Image").to_owned();
        let is_wanted = match &self.config.select {
            Some(select) => *select == role,
            None => ImageRole::of(&image.meta).unwrap_or_default().is_image(),
        };
        let is_companion = self.companions.keep(&role, &image);
        let has_magnitude = !matches!(image.image_type(), Some(ImageType::Phase | ImageType::Rgb));
        if !is_wanted || is_companion || !has_magnitude || unprocessed::is_marked(&image.meta) {
            return out.push(image);
        }
        let [channels, z, n_y, n_x] = image.pixels.shape();
        let is_signed = matches!(image.image_type(), Some(ImageType::Real | ImageType::Imag));
        let values = match &image.pixels {
            Pixels::F32(pixels) if is_signed => pixels.iter().copied().collect(),
            pixels => pixels.to_magnitude().iter().copied().collect(),
        };
        let n = channels * z;
        let source = Source {
            planes: Planes { values, n, n_y, n_x },
            n_groups: n,
            n_frames: 1,
            header: image.header,
            spacing_mm: spacing_of(&image.header, [n_x, n_y]),
        };
        let model = self.open();
        let done = self.try_run(&model, &source, Vec::new());
        let (manifest, Outcome { finished, provenance }) = match done {
            Ok(done) => done,
            Err(misfit) => {
                self.fall_back(&mut [&mut image.meta], model.as_deref().ok(), &misfit, out);
                return out.push(image);
            }
        };
        let plain = image.meta.clone();
        let mut derived_images = Vec::new();
        for (place, part) in finished.iter().enumerate().filter(|(_, part)| part.output.is_sent) {
            if part.output.kind != OutputKind::Image {
                let headers = [image.header];
                let shape = [channels, z];
                derived_images.extend(derived(part, place, &headers, &plain, shape, &provenance));
                continue;
            }
            let Some(planes) = &part.planes else { continue };
            let pixels = Array4::from_shape_vec(
                (channels, z, planes.n_y, planes.n_x),
                planes.values.clone(),
            );
            let Ok(pixels) = pixels else { continue };
            let mut header = image.header;
            let mut meta = plain.clone();
            if part.output.is_synthetic || part.output.series_offset != 0 {
                describe(&mut meta, part.output, false);
            }
            if !is_signed {
                header.image_type = ImageType::Magnitude as u16;
            }
            if self.config.keep_source {
                let offset = part.output.series_offset.max(1);
                header.image_series_index = header.image_series_index.wrapping_add(offset);
            }
            provenance.write(&mut meta);
            derived_images.push(Image::new(header, meta, pixels));
        }
        let is_replaced = finished.iter().any(|part| part.output.kind == OutputKind::Image);
        if !is_replaced || self.config.keep_source {
            measure(manifest, &finished, source.spacing_mm, &mut image.meta);
            provenance.write(&mut image.meta);
            out.push(image);
        }
        derived_images.into_iter().for_each(|image| out.push(image));
    }

    fn process_map(&mut self, mut map: ParametricMap, out: &mut Sink<Self>) {
        if self.config.select.as_ref() != Some(&map.quantity) || unprocessed::is_marked(&map.meta) {
            return out.push(map);
        }
        let (z, n_y, n_x) = map.values.dim();
        let source = Source {
            planes: Planes { values: map.values.iter().copied().collect(), n: z, n_y, n_x },
            n_groups: z,
            n_frames: 1,
            header: map.header,
            spacing_mm: spacing_of(&map.header, [n_x, n_y]),
        };
        let model = self.open();
        let done = self.try_run(&model, &source, Vec::new());
        let (manifest, Outcome { finished, provenance }) = match done {
            Ok(done) => done,
            Err(misfit) => {
                self.fall_back(&mut [&mut map.meta], model.as_deref().ok(), &misfit, out);
                return out.push(map);
            }
        };
        let plain = map.meta.clone();
        measure(manifest, &finished, source.spacing_mm, &mut map.meta);
        provenance.write(&mut map.meta);
        let header = map.header;
        for part in finished.iter().filter(|part| part.output.kind == OutputKind::Image) {
            let planes = part.planes.as_ref();
            let values = planes
                .and_then(|p| Array3::from_shape_vec((z, p.n_y, p.n_x), p.values.clone()).ok());
            if let Some(values) = values {
                map.values = values;
            }
        }
        out.push(map);
        for (place, part) in finished.iter().enumerate() {
            if part.output.is_sent && part.output.kind != OutputKind::Image {
                for image in derived(part, place, &[header], &plain, [1, z], &provenance) {
                    out.push(image);
                }
            }
        }
    }

    fn process_series(&mut self, mut series: ImageSeries, out: &mut Sink<Self>) {
        let role = series.role.gadgetron_name();
        let is_wanted = match &self.config.select {
            Some(select) => select == role,
            None => series.role.is_image(),
        };
        let &[n_slices, n_s, n_n, channels, z, n_y, n_x] = series.data.shape() else {
            return out.push(series);
        };
        let is_whole = series.headers.dim() == (n_slices, n_s, n_n);
        let is_marked = series.meta.iter().any(unprocessed::is_marked);
        if !is_wanted || !is_whole || series.data.is_empty() || is_marked {
            return out.push(series);
        }
        series.meta.resize(series.headers.len(), Meta::new());
        let model = self.open();
        let takes_frames = model.as_ref().is_ok_and(|model| {
            model.manifest().inputs.iter().any(|input| input.role == InputRole::Frames)
        });
        // Frames lie along n, or along s where n has one image only.
        let along_s = takes_frames && n_n == 1;
        let order = match (takes_frames, along_s) {
            (true, true) => [0, 2, 3, 4, 1, 5, 6],
            (true, false) => [0, 1, 3, 4, 2, 5, 6],
            (false, _) => [0, 1, 2, 3, 4, 5, 6],
        };
        let n_frames = match (takes_frames, along_s) {
            (true, true) => n_s,
            (true, false) => n_n,
            (false, _) => 1,
        };
        let permuted = series.data.view().permuted_axes(order.as_slice());
        let values: Vec<f32> = permuted.iter().map(|value| value.norm()).collect();
        let n = values.len() / (n_y * n_x).max(1);
        let Some(first) = series.headers.first().copied() else { return out.push(series) };
        let source = Source {
            planes: Planes { values, n, n_y, n_x },
            n_groups: n / n_frames.max(1),
            n_frames,
            header: first,
            spacing_mm: spacing_of(&first, [n_x, n_y]),
        };
        let times_ms = self.times_of(&series, n_frames);
        let done = self.try_run(&model, &source, times_ms);
        let (manifest, Outcome { finished, provenance }) = match done {
            Ok(done) => done,
            Err(misfit) => {
                let mut metas: Vec<&mut Meta> = series.meta.iter_mut().collect();
                self.fall_back(&mut metas, model.as_deref().ok(), &misfit, out);
                return out.push(series);
            }
        };
        // One image of the result for each series of frames; its header is the first frame's.
        let headers: Vec<ImageHeader> = match (takes_frames, along_s) {
            (true, true) => {
                series.headers.index_axis(ndarray::Axis(1), 0).iter().copied().collect()
            }
            (true, false) => {
                series.headers.index_axis(ndarray::Axis(2), 0).iter().copied().collect()
            }
            (false, _) => series.headers.iter().copied().collect(),
        };
        let plain = series.meta.first().cloned().unwrap_or_default();
        if let Some(meta) = series.meta.first_mut() {
            measure(manifest, &finished, source.spacing_mm, meta);
        }
        // Images for the series' own take their place; one made of several images is beside them.
        let n_values = series.data.len();
        let replaces = |part: &Finished| {
            let len = part.planes.as_ref().map(|planes| planes.values.len());
            part.output.kind == OutputKind::Image && len == Some(n_values)
        };
        for part in finished.iter().filter(|part| replaces(part)) {
            let Some(planes) = part.planes.as_ref() else { continue };
            // The new magnitude with the phase that was.
            let permuted = series.data.view_mut().permuted_axes(order.as_slice());
            for (pixel, magnitude) in permuted.into_iter().zip(&planes.values) {
                let norm = pixel.norm();
                *pixel = if norm > 0.0 {
                    *pixel * (magnitude / norm)
                } else {
                    Complex32::new(*magnitude, 0.0)
                };
            }
        }
        series.meta.iter_mut().for_each(|meta| provenance.write(meta));
        out.push(series);
        for (place, part) in finished.iter().enumerate() {
            if part.output.is_sent && !replaces(part) {
                for image in derived(part, place, &headers, &plain, [channels, z], &provenance) {
                    out.push(image);
                }
            }
        }
    }

    /// Times of the frames after whatever preparation they have; empty where none is known.
    fn times_of(&self, series: &ImageSeries, n_frames: usize) -> Vec<f64> {
        let Some(stack) = series.stacks().ok().and_then(|stacks| stacks.into_iter().next()) else {
            return Vec::new();
        };
        let preparations = [
            Preparation::Inversion,
            Preparation::Saturation { anchor: None },
            Preparation::T2Preparation,
            Preparation::Echo,
        ];
        let times = preparations.into_iter().find_map(|preparation| {
            preparation_times(series, &stack, &self.scan, preparation, TimesFrom::Auto).ok()
        });
        // An image that was not read may have none.
        let is_known = |times: &Vec<f64>| times.iter().all(|time| !time.is_nan());
        let times_ms = times.map(|times| times.times_ms).filter(is_known).unwrap_or_default();
        if times_ms.len() == n_frames { times_ms } else { Vec::new() }
    }

    /// The results of a model that may not be there, with its manifest.
    fn try_run<'a>(
        &self,
        model: &'a Result<Arc<Model>, InferenceError>,
        source: &Source,
        times_ms: Vec<f64>,
    ) -> Result<(&'a Manifest, Outcome<'a>), Misfit> {
        let model = model.as_ref().map_err(Misfit::from)?;
        Ok((model.manifest(), self.run(model, source, times_ms)?))
    }

    fn run<'a>(
        &self,
        model: &'a Model,
        source: &Source,
        times_ms: Vec<f64>,
    ) -> Result<Outcome<'a>, Misfit> {
        let manifest = model.manifest();
        let takes_frames = manifest.inputs.iter().any(|input| input.role == InputRole::Frames);
        if takes_frames && source.n_frames == 1 {
            let what = "the model takes a series of images, this is one: put `apply_model` before `split_series`";
            return Err(Misfit::Other(what.to_owned()));
        }
        let conditions = ScanConditions {
            n_frames: Some(source.n_frames).filter(|_| takes_frames),
            spacing_mm: source.spacing_mm,
            ..self.conditions.clone()
        };
        model.check_conditions(&conditions)?;
        let wants_noise = manifest.inputs.iter().any(|input| input.role == InputRole::NoiseSd);
        let estimated = || noise_sd(&source.planes);
        let around = Surroundings {
            times_ms,
            field_strength_t: self.conditions.field_strength_t,
            noise_sd: self.config.noise_sd.or_else(|| wants_noise.then(estimated)),
            companions: self.companions.beside(&source.header),
        };
        let prepared: Prepared = prepare(manifest, source, &around)?;
        let mut joined = Joined::new(manifest);
        let mut total = Provenance::default();
        let [rows, columns] = &prepared.cuts;
        for y in &rows.starts {
            for x in &columns.starts {
                let request = Request {
                    inputs: prepared.tile(*y, *x)?,
                    session: self.session,
                    time: self.config.time_ms.map(|ms| Duration::from_secs_f64(ms / 1e3)),
                };
                let answer = model.run(request)?;
                joined.add(&prepared, [*y, *x], &answer.outputs)?;
                total = total.followed_by(answer.provenance);
            }
        }
        total.guards.clone_from(&prepared.guards);
        total.guards.push("outputs passed".to_owned());
        Ok(Outcome { finished: joined.finish(&prepared), provenance: total })
    }

    /// Marks images that go on without the network, and tells why.
    fn fall_back(
        &self,
        metas: &mut [&mut Meta],
        model: Option<&Model>,
        misfit: &Misfit,
        out: &mut Sink<Self>,
    ) {
        let reason = misfit.to_string();
        let manifest = model.map(Model::manifest);
        let instead = manifest.and_then(|manifest| manifest.fallback.clone());
        let instead = instead.unwrap_or_else(|| "the image as it was".to_owned());
        let provenance = Provenance {
            model: self.config.model.clone(),
            version: manifest.map(|manifest| manifest.version.clone()).unwrap_or_default(),
            sha256: manifest.map(|manifest| manifest.sha256.clone()).unwrap_or_default(),
            guards: match misfit {
                Misfit::Inference(InferenceError::Guard { breach, .. }) => vec![breach.to_string()],
                _ => Vec::new(),
            },
            fallback: Some(format!("{reason}; {instead}")),
            ..Provenance::default()
        };
        for meta in metas {
            unprocessed::mark(meta, Self::NAME, &reason);
            provenance.write(meta);
        }
        let remedy = match misfit {
            Misfit::Inference(error) => error.remedy().to_owned(),
            Misfit::Other(_) => "change the chain or the model's manifest".to_owned(),
        };
        out.warn(format!("{reason}; used instead: {instead}"), remedy);
    }
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inference(error) => error.fmt(f),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl From<InferenceError> for Misfit {
    fn from(error: InferenceError) -> Self {
        Self::Inference(error)
    }
}

impl From<&InferenceError> for Misfit {
    fn from(error: &InferenceError) -> Self {
        Self::Inference(error.clone())
    }
}

/// Pixel spacing `[x, y]` in mm, [`None`] where the header has no field of view.
fn spacing_of(header: &ImageHeader, n: [usize; 2]) -> Option<[f64; 2]> {
    let [x, y, _] = header.field_of_view.map(f64::from);
    let spacing = [x / n[0] as f64, y / n[1] as f64];
    spacing.iter().all(|mm| mm.is_finite() && *mm > 0.0).then_some(spacing)
}

/// Blocks of signal that a median needs.
const MIN_BLOCKS: usize = 200;

/// Standard deviation of white noise in each of the real and the imaginary part of a magnitude
/// image, from the median of the absolute differences of diagonal neighbours (Donoho and
/// Johnstone 1994, with the finest diagonal wavelet). Where there is signal it is that of the
/// magnitude; air has less (Gudbjartsson and Patz 1995), so blocks below three times the noise
/// do not count where there are others enough.
fn noise_sd(planes: &Planes) -> f64 {
    let (n_y, n_x) = (planes.n_y, planes.n_x);
    // Mean and diagonal difference of each block of four pixels.
    let mut blocks: Vec<(f32, f32)> = Vec::new();
    for plane in planes.planes() {
        for y in (0..n_y.saturating_sub(1)).step_by(2) {
            for x in (0..n_x.saturating_sub(1)).step_by(2) {
                let at = |dy: usize, dx: usize| plane[(y + dy) * n_x + x + dx];
                let mean = (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0;
                let difference = (at(0, 0) - at(0, 1) - at(1, 0) + at(1, 1)) / 2.0;
                if mean != 0.0 {
                    blocks.push((mean, difference.abs()));
                }
            }
        }
    }
    let of_all = median(blocks.iter().map(|(_, difference)| *difference).collect()) / 0.6745;
    let threshold = (3.0 / 0.655 * of_all) as f32;
    let signal: Vec<f32> = blocks
        .iter()
        .filter(|(mean, _)| *mean > threshold)
        .map(|(_, difference)| *difference)
        .collect();
    if signal.len() < MIN_BLOCKS { of_all } else { median(signal) / 0.6745 }
}

fn median(mut values: Vec<f32>) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    let (_, median, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    f64::from(*median)
}

/// What keeps a chain from starting.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No model is named.
    #[error("no model is named")]
    NoName,
    /// No time.
    #[error("time_ms = {0} is no time")]
    Time(f64),
    /// The model cannot be had as the chain requires.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::NoName => "set `model`; `boreside models list` names all of them",
            Self::Time(_) => "give a number of milliseconds above 0",
            Self::Inference(error) => error.remedy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number from −0.5 to 0.5 that follows from its place alone.
    fn uniform(place: u64) -> f64 {
        let mut x = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 31;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 29;
        (x >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    }

    #[test]
    fn the_noise_of_a_magnitude_image_is_that_of_its_signal_and_not_of_the_air_around() {
        // Sums of twelve are normal to a per cent.
        let normal = |place: u64| (0..12).map(|n| uniform(12 * place + n)).sum::<f64>();
        let (n, sd) = (128, 3.0);
        let values = (0..n * n).map(|place| {
            let (y, x) = (place / n, place % n);
            let signal = if (40..90).contains(&y) && (40..90).contains(&x) { 100.0 } else { 0.0 };
            let [re, im] = [0, 1].map(|part| sd * normal(2 * place as u64 + part));
            (signal + re).hypot(im) as f32
        });
        let planes = Planes { values: values.collect(), n: 1, n_y: n, n_x: n };
        let found = noise_sd(&planes);
        // 625 blocks give the median of the absolute values to about 5 %.
        assert!((found / sd - 1.0).abs() < 0.12, "{found}");
    }
}
