//! The diffusion series of a slice, with the weighting of each image.

use std::collections::BTreeMap;

use ismrmrd::xml::{Diffusion, DiffusionDimension};
use ismrmrd::{Image, ImageHeader, ImageType, Meta};
use ndarray::{Array3, ArrayD, Axis, IxDyn, s};
use num_complex::Complex32;
use numerics::diffusion::{BMatrix, EncodingError, TensorPlan};
use pipeline::appearance::{field_strength_t, is_1_5_t};
use pipeline::{Gadget, ImageSeries, Remedy, Scan, SeriesShapeError, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::weighting;

/// Gathers the diffusion-weighted images of each slice, and says how each is weighted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// b-values in s/mm² by the counter of the header's diffusion block, for scans without that
    /// block.
    pub b_values_s_per_mm2: Vec<f64>,
    /// Directions that belong to them, left, back, head of the patient.
    pub directions: Vec<[f64; 3]>,
    /// Instead of both: b-matrices xx, xy, xz, yy, yz, zz in the axes of the image, s/mm².
    pub b_matrices_s_per_mm2: Vec<[f64; 6]>,
    /// Whether the b-values of stimulated echoes and their decay follow the real interval of R
    /// waves.
    pub correct_stimulated_echo: bool,
    /// T1 by which stimulated echoes decay meanwhile, ms. Where it is not given, that of the heart
    /// at the field strength: 1000 at 1.5 T, 1200 above.
    pub t1_ms: Option<f64>,
    /// Interval of R waves that the b-values are meant for, ms; [`None`]: `AssumedRRInterval_ms` of
    /// the header.
    pub assumed_rr_interval_ms: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            b_values_s_per_mm2: Vec::new(),
            directions: Vec::new(),
            b_matrices_s_per_mm2: Vec::new(),
            correct_stimulated_echo: true,
            t1_ms: None,
            assumed_rr_interval_ms: None,
        }
    }
}

pipeline::message_set! {
    /// A series, or single images of one.
    pub enum SeriesOrImage { ImageSeries, Image }
}

/// The weightings of a scan by the value of a counter.
enum Table {
    /// Of the patient's axes.
    Gradients(Vec<(f64, [f64; 3])>),
    /// Of the image's.
    Matrices(Vec<BMatrix>),
}

/// Stimulated echoes.
struct StimulatedEcho {
    assumed_rr_interval_ms: f64,
    gradient_duration_ms: f64,
    t1_ms: f64,
}

/// Gathers the diffusion-weighted images of each slice.
pub struct AssembleDiffusion {
    table: Option<Table>,
    dimension: Option<DiffusionDimension>,
    stimulated: Option<StimulatedEcho>,
    /// Images that came one by one, by slice.
    held: BTreeMap<u16, Vec<Image>>,
}

impl Gadget for AssembleDiffusion {
    const NAME: &str = "assemble_diffusion";
    type Config = Config;
    type Input = SeriesOrImage;
    type Output = SeriesOrImage;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let parameters =
            scan.header.as_ref().and_then(|header| header.sequence_parameters.as_ref());
        let block = parameters.map_or(&[][..], |parameters| &parameters.diffusion);
        let dimension = parameters.and_then(|parameters| parameters.diffusion_dimension);
        let scheme = parameters.and_then(|parameters| parameters.diffusion_scheme.as_deref());
        let is_stimulated = scheme.is_some_and(|scheme| scheme.to_uppercase().contains("STEAM"));
        let user = |name| scan.header.as_ref().and_then(|header| header.user_double(name));
        let assumed = config.assumed_rr_interval_ms.or_else(|| user("AssumedRRInterval_ms"));
        for (property, value) in
            [("t1_ms", config.t1_ms), ("assumed_rr_interval_ms", config.assumed_rr_interval_ms)]
        {
            if value.is_some_and(|value| !(value > 0.0 && value < 1e5)) {
                return Err(Error::Property(property));
            }
        }
        let t1_ms = || if field_strength_t(scan).is_none_or(is_1_5_t) { 1000.0 } else { 1200.0 };
        let stimulated =
            (is_stimulated && config.correct_stimulated_echo).then(|| StimulatedEcho {
                assumed_rr_interval_ms: assumed.filter(|rr| *rr > 0.0).unwrap_or(1000.0),
                gradient_duration_ms: user("DiffusionGradientDuration_ms").unwrap_or(0.0),
                t1_ms: config.t1_ms.unwrap_or_else(t1_ms),
            });
        let table = config.table(block)?;
        Ok(Self { table, dimension, stimulated, held: BTreeMap::new() })
    }

    fn process(&mut self, input: SeriesOrImage, out: &mut Sink<Self>) -> Result<(), Error> {
        match input {
            SeriesOrImage::Image(image) if is_diffusion_image(&image) => {
                self.held.entry(image.header.slice).or_default().push(image);
                Ok(())
            }
            SeriesOrImage::ImageSeries(series) if series.role.is_image() => {
                series.stacks()?;
                let shape = series.data.shape().to_vec();
                let mut slices = Vec::new();
                for slice in 0..shape[0] {
                    let (mut images, n_blank) = without_blank(slice_of(&series, slice));
                    if n_blank > 0 {
                        out.inform(format!("{n_blank} images hold nothing and are left out"));
                    }
                    self.weight(&mut images, out)?;
                    slices.push(images);
                }
                slices.into_iter().for_each(|images| out.push(images));
                Ok(())
            }
            other => {
                out.push(other);
                Ok(())
            }
        }
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        for (_, mut images) in std::mem::take(&mut self.held) {
            images.sort_by_key(|image| (image.header.average, image.header.repetition));
            let mut series = series_of(&images)?;
            self.weight(&mut series, out)?;
            out.push(series);
        }
        Ok(())
    }
}

fn is_diffusion_image(image: &Image) -> bool {
    let role = image.meta.get("DataRole").unwrap_or("Image");
    !["Quantitative", "Segmentation"].contains(&role) && image.image_type() != Some(ImageType::Rgb)
}

/// All images of a slice along `n`.
fn slice_of(series: &ImageSeries, slice: usize) -> ImageSeries {
    let shape = series.data.shape();
    let (n_s, n_n) = (shape[1], shape[2]);
    let part = series.data.slice(s![slice..=slice, .., .., .., .., .., ..]).to_owned().into_dyn();
    let data =
        part.into_shape_clone(IxDyn(&[1, 1, n_s * n_n, shape[3], shape[4], shape[5], shape[6]]));
    let places = (0..n_s * n_n).map(|image| [slice, image / n_n, image % n_n]);
    let headers: Vec<ImageHeader> =
        places.map(|place| series.headers.get(place).copied().unwrap_or_default()).collect();
    let from = slice * n_s * n_n;
    let meta = (from..from + n_s * n_n)
        .map(|image| series.meta.get(image).cloned().unwrap_or_default())
        .collect();
    ImageSeries {
        role: series.role,
        s: None,
        n: None,
        data: data.unwrap_or_else(|_| ArrayD::zeros(IxDyn(&[1, 1, 0, 1, 1, 0, 0]))),
        headers: Array3::from_shape_vec((1, 1, headers.len()), headers).unwrap_or_default(),
        meta,
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    }
}

/// The images of a slice that hold something, and how many do not.
fn without_blank(mut series: ImageSeries) -> (ImageSeries, usize) {
    let n = series.headers.len();
    let holds = |image: &usize| {
        let pixels = series.data.slice(s![0, 0, *image, .., .., .., ..]);
        pixels.iter().any(|value| value.norm_sqr() > 0.0)
    };
    let kept: Vec<usize> = (0..n).filter(holds).collect();
    if kept.len() < n {
        series.data = series.data.select(Axis(2), &kept);
        series.headers = series.headers.select(Axis(2), &kept);
        series.meta = kept.iter().filter_map(|image| series.meta.get(*image).cloned()).collect();
    }
    (series, n - kept.len())
}

fn series_of(images: &[Image]) -> Result<ImageSeries, Error> {
    let pixels: Vec<_> = images.iter().map(|image| image.pixels.to_magnitude()).collect();
    let first = pixels.first().map_or((1, 1, 0, 0), |pixels| pixels.dim());
    if let Some(other) = pixels.iter().map(|pixels| pixels.dim()).find(|dim| *dim != first) {
        return Err(Error::Sizes(first, other));
    }
    let (channels, z, y, x) = first;
    let mut data = ArrayD::<Complex32>::zeros(IxDyn(&[1, 1, images.len(), channels, z, y, x]));
    for (n, pixels) in pixels.iter().enumerate() {
        let pixels = pixels.mapv(Complex32::from);
        data.slice_mut(s![0, 0, n, .., .., .., ..]).assign(&pixels);
    }
    let headers: Vec<ImageHeader> = images.iter().map(|image| image.header).collect();
    Ok(ImageSeries {
        role: pipeline::ImageRole::Image,
        s: None,
        n: None,
        data,
        headers: Array3::from_shape_vec((1, 1, headers.len()), headers).unwrap_or_default(),
        meta: images.iter().map(|image| image.meta.clone()).collect(),
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    })
}

impl Config {
    fn table(&self, block: &[Diffusion]) -> Result<Option<Table>, Error> {
        let (n_b, n_directions) = (self.b_values_s_per_mm2.len(), self.directions.len());
        if n_b != n_directions {
            return Err(Error::Lengths(n_b, n_directions));
        }
        if !self.b_matrices_s_per_mm2.is_empty() {
            let matrices =
                self.b_matrices_s_per_mm2.iter().map(|b| BMatrix(b.map(|value| 1e-3 * value)));
            return Ok(Some(Table::Matrices(matrices.collect())));
        }
        if n_b > 0 {
            let pairs =
                self.b_values_s_per_mm2.iter().copied().zip(self.directions.iter().copied());
            return Ok(Some(Table::Gradients(pairs.collect())));
        }
        if block.is_empty() {
            return Ok(None);
        }
        let entry = |entry: &Diffusion| {
            let direction = &entry.gradient_direction;
            let direction = [direction.rl, direction.ap, direction.fh].map(f64::from);
            (f64::from(entry.bvalue), direction)
        };
        Ok(Some(Table::Gradients(block.iter().map(entry).collect())))
    }
}

impl AssembleDiffusion {
    /// Writes the weighting of each image, and takes away what the rhythm did to stimulated echoes.
    fn weight(&self, series: &mut ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let n_channels = series.data.shape()[3];
        if n_channels != 1 {
            return Err(Error::Channels(n_channels));
        }
        let headers: Vec<ImageHeader> = series.headers.iter().copied().collect();
        series.meta.resize(headers.len(), Meta::new());
        let mut encodings = Vec::with_capacity(headers.len());
        for (image, header) in headers.iter().enumerate() {
            encodings.push(self.encoding(image, header, &series.meta[image])?);
        }
        if let Some(stimulated) = &self.stimulated {
            let intervals: Vec<f64> =
                headers.iter().map(|header| f64::from({ header.user_int }[7]) / 1e3).collect();
            if intervals.iter().all(|rr| (200.0..10_000.0).contains(rr)) {
                let mean = intervals.iter().sum::<f64>() / intervals.len().max(1) as f64;
                let third = stimulated.gradient_duration_ms / 3.0;
                for (image, rr) in intervals.iter().enumerate() {
                    let ratio = (rr - third) / (stimulated.assumed_rr_interval_ms - third);
                    encodings[image].0.iter_mut().for_each(|element| *element *= ratio);
                    let gain = ((rr - mean) / stimulated.t1_ms).exp() as f32;
                    let mut pixels = series.data.slice_mut(s![0, 0, image, .., .., .., ..]);
                    pixels.mapv_inplace(|value| gain * value);
                }
                out.inform(format!(
                    "b-values and signals follow the real intervals of R waves, {:.0} to {:.0} ms, \
                     with a T1 of {:.0} ms",
                    intervals.iter().copied().fold(f64::INFINITY, f64::min),
                    intervals.iter().copied().fold(0.0, f64::max),
                    stimulated.t1_ms
                ));
            } else {
                out.warn(
                    "stimulated echoes without their intervals of R waves: b-values are those of \
                     the protocol",
                    "let the converter write the interval in µs into user_int[7] of the readouts",
                );
            }
        }
        TensorPlan::new(&encodings)?;
        agree(series, &encodings)?;
        for (meta, encoding) in series.meta.iter_mut().zip(&encodings) {
            weighting::write(meta, encoding);
        }
        Ok(())
    }

    fn encoding(&self, image: usize, header: &ImageHeader, meta: &Meta) -> Result<BMatrix, Error> {
        let own = own_weighting(meta);
        let Some(table) = &self.table else {
            let (b, direction) = own.ok_or(Error::NoTable)?;
            return Ok(BMatrix::along(b, in_image(header, direction)));
        };
        let n = match table {
            Table::Gradients(entries) => entries.len(),
            Table::Matrices(matrices) => matrices.len(),
        };
        let counter = self.counter(header);
        if counter >= n {
            return Err(Error::NotInTable { image: image + 1, counter, n });
        }
        match table {
            Table::Matrices(matrices) => Ok(matrices[counter]),
            Table::Gradients(entries) => {
                let (b, direction) = entries[counter];
                if let Some((own_b, _)) = own
                    && (own_b - b).abs() > 0.05 * b.max(own_b) + 1.0
                {
                    return Err(Error::Contradiction { image: image + 1, b, own_b });
                }
                Ok(BMatrix::along(b, in_image(header, direction)))
            }
        }
    }

    fn counter(&self, header: &ImageHeader) -> usize {
        let user = { header.user_int };
        let user = |k: usize| u16::try_from(user[k]).unwrap_or(u16::MAX);
        let counter = match self.dimension {
            Some(DiffusionDimension::Average) => header.average,
            Some(DiffusionDimension::Contrast) => header.contrast,
            Some(DiffusionDimension::Phase) => header.phase,
            Some(DiffusionDimension::Set) => header.set,
            Some(DiffusionDimension::User0) => user(0),
            Some(DiffusionDimension::User1) => user(1),
            Some(DiffusionDimension::User2) => user(2),
            Some(DiffusionDimension::User3) => user(3),
            Some(DiffusionDimension::User4) => user(4),
            Some(DiffusionDimension::User5) => user(5),
            Some(DiffusionDimension::User6) => user(6),
            _ => header.repetition,
        };
        usize::from(counter)
    }
}

/// b-value and direction in the patient's axes, in DICOM's words, of an image that was sent
/// directly.
fn own_weighting(meta: &Meta) -> Option<(f64, [f64; 3])> {
    let b: f64 = meta.get_f64("DiffusionBValue")?;
    let text = meta.values("DiffusionGradientOrientation").join(" ");
    let split = text.split(|c: char| c.is_whitespace() || c == '\\' || c == ',');
    let numbers: Vec<f64> = split.filter_map(|word| word.parse().ok()).collect();
    // Without weighting there may be no direction.
    let direction = numbers.try_into().unwrap_or([f64::NAN; 3]);
    Some((b, direction))
}

/// A direction of the patient in the axes of the image: x to the right, y down, z away from the
/// viewer whichever way the header counts slices.
fn in_image(header: &ImageHeader, direction: [f64; 3]) -> [f64; 3] {
    let (read, phase) = ({ header.read_dir }.map(f64::from), { header.phase_dir }.map(f64::from));
    let length = |v: &[f64; 3]| v.iter().map(|value| value * value).sum::<f64>();
    if length(&read) < 0.5 || length(&phase) < 0.5 {
        // An image without a place: its axes are the patient's.
        return direction;
    }
    let normal = [
        read[1] * phase[2] - read[2] * phase[1],
        read[2] * phase[0] - read[0] * phase[2],
        read[0] * phase[1] - read[1] * phase[0],
    ];
    [read, phase, normal].map(|axis| axis.iter().zip(direction).map(|(a, b)| a * b).sum())
}

/// Whether the images without weighting are the brightest.
fn agree(series: &ImageSeries, encodings: &[BMatrix]) -> Result<(), Error> {
    let b: Vec<f64> = encodings.iter().map(BMatrix::b_value_s_per_mm2).collect();
    let largest = b.iter().copied().fold(0.0, f64::max);
    let means: Vec<f64> = (0..encodings.len())
        .map(|image| {
            let pixels = series.data.slice(s![0, 0, image, .., .., .., ..]);
            pixels.iter().map(|value| f64::from(value.norm_sqr())).sum::<f64>().sqrt()
        })
        .collect();
    let brightest_weighted = means
        .iter()
        .zip(&b)
        .filter(|(_, b)| **b > 0.5 * largest)
        .map(|(m, _)| *m)
        .fold(0.0, f64::max);
    for (image, (mean, b)) in means.iter().zip(&b).enumerate() {
        if *b < 0.1 * largest && *mean < 0.95 * brightest_weighted {
            return Err(Error::Dark { image: image + 1, b: *b });
        }
    }
    Ok(())
}

/// Why images cannot be weighted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A property.
    #[error("`{0}` is not a time above 0")]
    Property(&'static str),
    /// Lists of two lengths.
    #[error("{0} b-values for {1} directions")]
    Lengths(usize, usize),
    /// Nothing says how images are weighted.
    #[error("nothing tells b-values and directions of the images")]
    NoTable,
    /// A counter beyond the table.
    #[error("image {image} has the counter {counter}, the table of weightings has {n} entries")]
    NotInTable {
        /// From 1.
        image: usize,
        /// From 0.
        counter: usize,
        /// Entries.
        n: usize,
    },
    /// Two places disagree.
    #[error("image {image} has b = {own_b} s/mm² by its own attributes and {b} by the table")]
    Contradiction {
        /// From 1.
        image: usize,
        /// By the table.
        b: f64,
        /// By the image.
        own_b: f64,
    },
    /// Weighting makes images darker.
    #[error(
        "image {image} has b = {b:.0} s/mm² and is darker than images with the full weighting: the \
         table of weightings is not in the order of the images"
    )]
    Dark {
        /// From 1.
        image: usize,
        /// s/mm².
        b: f64,
    },
    /// Too few images or directions.
    #[error(transparent)]
    Encodings(#[from] EncodingError),
    /// Channels that were not combined.
    #[error("images of {0} channels, 1 is needed")]
    Channels(usize),
    /// Images of two sizes.
    #[error("images of sizes {0:?} and {1:?} (channel, z, y, x) in one slice")]
    Sizes((usize, usize, usize, usize), (usize, usize, usize, usize)),
    /// Parts that do not belong together.
    #[error(transparent)]
    Shape(#[from] SeriesShapeError),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Property(_) => "write milliseconds, e.g. 1000",
            Self::Lengths(..) => "give `directions` one entry for each of `b_values_s_per_mm2`",
            Self::NoTable => {
                "let the converter write the header's diffusion block, or set `b_values_s_per_mm2` \
                 and `directions` in the chain"
            }
            Self::NotInTable { .. } | Self::Contradiction { .. } | Self::Dark { .. } => {
                "correct the table of weightings, or the counter that it is read by"
            }
            Self::Encodings(_) => {
                "acquire at least 6 different directions and an image without weighting"
            }
            Self::Channels(_) => "combine the channels before",
            Self::Sizes(..) | Self::Shape(_) => "correct the gadget or the client that made them",
        }
    }
}

#[cfg(test)]
mod tests;
