//! What a network gave, as images, overlays and a measurement.

use inference::manifest::{Manifest, Output, OutputKind};
use inference::{Provenance, Tensor};
use ismrmrd::{ImageHeader, ImageType, Meta, Pixels};
use ndarray::Array4;
use pipeline::Image;
use pipeline::appearance::{forget_appearance, of_labels};
use serde_json::{Map, Value, json};

use crate::contour::outlines;
use crate::geometry::Planes;
use crate::prepare::{Misfit, Prepared, Result4, planes_of};

/// Keys of comments, as scanners and Gadgetron name them.
const COMMENTS: [&str; 2] = ["ImageComments", "GADGETRON_ImageComment"];
/// Series of outputs that do not say theirs: this, and the output's place, after the source's.
const DERIVED_SERIES: u16 = 20;
/// Outlines around less are specks.
const MIN_AREA_PX: f64 = 4.0;
/// Colours of the outlines of classes, in order.
const COLOURS: [[f32; 3]; 6] = [
    [0.0, 1.0, 0.0],
    [1.0, 0.0, 0.0],
    [1.0, 1.0, 0.0],
    [0.0, 1.0, 1.0],
    [1.0, 0.0, 1.0],
    [1.0, 0.5, 0.0],
];

/// Outputs on the network's grid, joined from tiles.
pub(crate) struct Joined<'a> {
    outputs: Vec<(&'a Output, Sum)>,
}

enum Sum {
    /// Weighted sums, and the weights of a plane.
    Pixels(Option<(Result4, Vec<f32>)>),
    /// Sums, and of how many tiles.
    Numbers(Vec<f32>, usize),
}

impl<'a> Joined<'a> {
    pub fn new(manifest: &'a Manifest) -> Self {
        let sum = |output: &Output| match output.kind.is_image() {
            true => Sum::Pixels(None),
            false => Sum::Numbers(Vec::new(), 0),
        };
        Self { outputs: manifest.outputs.iter().map(|output| (output, sum(output))).collect() }
    }

    /// Adds the outputs of the tile whose first pixel is at (y, x).
    pub fn add(
        &mut self,
        prepared: &Prepared,
        [y, x]: [usize; 2],
        answer: &[(String, Tensor)],
    ) -> Result<(), Misfit> {
        for (output, sum) in &mut self.outputs {
            let Some((_, tensor)) = answer.iter().find(|(name, _)| *name == output.name) else {
                return Err(Misfit::Other(format!("there is no output {}", output.name)));
            };
            match sum {
                Sum::Numbers(values, n) => {
                    let tile = tensor.to_f32();
                    values.resize(tile.len(), 0.0);
                    values.iter_mut().zip(tile).for_each(|(sum, value)| *sum += value);
                    *n += 1;
                }
                Sum::Pixels(pixels) => {
                    let tile = planes_of(output, tensor)?;
                    let [cut_y, cut_x] = &prepared.cuts;
                    if cut_y.starts.len() * cut_x.starts.len() == 1 {
                        let weights = vec![1.0; tile.planes.n_y * tile.planes.n_x];
                        *pixels = Some((tile, weights));
                        continue;
                    }
                    if [tile.planes.n_y, tile.planes.n_x] != [cut_y.len, cut_x.len] {
                        let what = format!("output {} is coarser than its tile", output.name);
                        return Err(Misfit::Other(what));
                    }
                    let [n_y, n_x] = prepared.grid.network;
                    let (whole, weights) = pixels.get_or_insert_with(|| {
                        let values = vec![0.0; tile.planes.n * n_y * n_x];
                        let planes = Planes { values, n: tile.planes.n, n_y, n_x };
                        (Result4 { planes, n_channels: tile.n_channels }, vec![0.0; n_y * n_x])
                    });
                    for row in 0..cut_y.len {
                        for column in 0..cut_x.len {
                            let weight = cut_y.weight(row) * cut_x.weight(column);
                            let place = (y + row) * n_x + x + column;
                            weights[place] += weight;
                            for plane in 0..whole.planes.n {
                                let from = (plane * cut_y.len + row) * cut_x.len + column;
                                whole.planes.values[plane * n_y * n_x + place] +=
                                    weight * tile.planes.values[from];
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The outputs on the image's grid, as the image came.
    pub fn finish(self, prepared: &Prepared) -> Vec<Finished<'a>> {
        self.outputs
            .into_iter()
            .filter_map(|(output, sum)| match sum {
                Sum::Numbers(mut values, n) => {
                    values.iter_mut().for_each(|value| {
                        *value = *value / n.max(1) as f32 * output.scale + output.offset;
                    });
                    Some(Finished { output, values, planes: None, n_channels: 0 })
                }
                Sum::Pixels(pixels) => {
                    let (mut result, weights) = pixels?;
                    let plane_len = weights.len().max(1);
                    for plane in result.planes.values.chunks_exact_mut(plane_len) {
                        plane.iter_mut().zip(&weights).for_each(|(value, weight)| *value /= weight);
                    }
                    let is_label = output.kind == OutputKind::Label;
                    let mut planes = prepared
                        .turn
                        .undo(&prepared.grid.image_from_network(&result.planes, is_label));
                    if output.in_units_of_input && !prepared.linear.is_empty() {
                        let n = prepared.linear.len();
                        let group_len = (planes.values.len() / n).max(1);
                        let groups = planes.values.chunks_exact_mut(group_len);
                        groups.zip(&prepared.linear).for_each(|(group, linear)| linear.undo(group));
                    }
                    if (output.scale, output.offset) != (1.0, 0.0) {
                        planes.values.iter_mut().for_each(|value| {
                            *value = *value * output.scale + output.offset;
                        });
                    }
                    let n_channels = result.n_channels;
                    Some(Finished { output, values: Vec::new(), planes: Some(planes), n_channels })
                }
            })
            .collect()
    }
}

/// An output on the image's grid.
pub(crate) struct Finished<'a> {
    pub output: &'a Output,
    /// Numbers of a score.
    pub values: Vec<f32>,
    /// `n_groups` times `n_channels` planes.
    pub planes: Option<Planes>,
    pub n_channels: usize,
}

impl Finished<'_> {
    /// Number of the class of each pixel of each image; [`None`] for other outputs.
    pub fn labels(&self) -> Option<Planes> {
        let planes = self.planes.as_ref()?;
        match self.output.kind {
            OutputKind::Label => Some(planes.clone()),
            OutputKind::Probability if self.n_channels > 1 => {
                let len = planes.n_y * planes.n_x;
                let mut values = Vec::with_capacity(planes.values.len() / self.n_channels);
                for group in planes.values.chunks_exact(self.n_channels * len) {
                    values.extend((0..len).map(|place| {
                        let of = |class: usize| group[class * len + place];
                        let best = (1..self.n_channels)
                            .fold(0, |best, class| if of(class) > of(best) { class } else { best });
                        best as f32
                    }));
                }
                Some(Planes { values, n: planes.n / self.n_channels, ..*planes })
            }
            OutputKind::Probability => {
                let values =
                    planes.values.iter().map(|value| f32::from(u8::from(*value > 0.5))).collect();
                Some(Planes { values, ..*planes })
            }
            _ => None,
        }
    }
}

/// What was measured, and the outlines for the source image.
pub(crate) fn measure(
    manifest: &Manifest,
    finished: &[Finished],
    spacing_mm: Option<[f64; 2]>,
    meta: &mut Meta,
) {
    let mut measured = Map::new();
    let [spacing_x, spacing_y] = spacing_mm.unwrap_or([1.0, 1.0]);
    let unit = if spacing_mm.is_some() { "area_mm2" } else { "area_px" };
    for part in finished {
        if let Some(labels) = part.labels() {
            let mut areas = Map::new();
            for (class, name) in part.output.classes.iter().enumerate().skip(1) {
                let n = labels.values.iter().filter(|value| **value == class as f32).count();
                areas.insert(name.clone(), json!(n as f64 * spacing_x * spacing_y));
                // Overlays belong to one image.
                if labels.n == 1 {
                    let mask: Vec<bool> =
                        labels.values.iter().map(|value| *value == class as f32).collect();
                    draw(meta, name, class, &outlines(&mask, labels.n_y, labels.n_x, MIN_AREA_PX));
                }
            }
            measured.insert(unit.to_owned(), Value::Object(areas));
        }
        match part.output.kind {
            OutputKind::Score => {
                let values: Vec<f64> = part.values.iter().map(|value| f64::from(*value)).collect();
                let name = name_of(part.output);
                if let Some(threshold) = part.output.threshold {
                    let is_found = values.iter().any(|value| *value > threshold);
                    measured.insert(format!("{name}_is_above_threshold"), json!(is_found));
                    let word = if is_found { "above" } else { "below" };
                    let value = values.iter().copied().fold(f64::MIN, f64::max);
                    for key in COMMENTS {
                        meta.append(key, format!("{name} {value:.2}, {word} {threshold}"));
                    }
                }
                let value = if values.len() == 1 { json!(values[0]) } else { json!(values) };
                measured.insert(name.to_owned(), value);
            }
            OutputKind::Uncertainty => {
                if let Some(planes) = &part.planes {
                    let n = planes.values.len().max(1) as f64;
                    let mean = planes.values.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
                    let mean = json!({ "value": mean, "unit": part.output.unit });
                    measured.insert("mean_uncertainty".to_owned(), mean);
                }
            }
            _ => {}
        }
    }
    if !measured.is_empty() {
        let value =
            json!({ "model": manifest.name, "version": manifest.version, "measured": measured });
        meta.append("BoresideMeasurement", value.to_string());
    }
}

fn name_of(output: &Output) -> &str {
    if output.quantity.is_empty() { &output.name } else { &output.quantity }
}

/// Outlines as FIRE's overlays: colour, thickness, style, whether it is shown, then x and y of
/// each point.
fn draw(meta: &mut Meta, name: &str, class: usize, outlines: &[Vec<(f32, f32)>]) {
    let colour = COLOURS[(class - 1) % COLOURS.len()];
    for (index, points) in outlines.iter().enumerate() {
        let key = if index == 0 { format!("ROI_{name}") } else { format!("ROI_{name}_{index}") };
        let style = [1.0, 0.0, 1.0];
        let numbers = colour.iter().chain(&style).copied();
        let points = points.iter().flat_map(|(x, y)| [*x, *y]);
        meta.set_all(&key, numbers.chain(points).map(|number| format!("{number:.2}")));
    }
}

/// Images of an output, one for each group, that stand beside the source.
///
/// * `channels`: planes of one image along the channel and the z axis.
pub(crate) fn derived(
    part: &Finished,
    place: usize,
    headers: &[ImageHeader],
    source: &Meta,
    [channels, z]: [usize; 2],
    provenance: &Provenance,
) -> Vec<Image> {
    let output = part.output;
    let labels = part.labels();
    let (planes, n_channels) = match (&labels, &part.planes) {
        (Some(labels), _) => (labels, 1),
        (None, Some(planes)) => (planes, part.n_channels),
        (None, None) => return Vec::new(),
    };
    let image_len = channels * z * n_channels * planes.n_y * planes.n_x;
    let images = planes.values.chunks_exact(image_len.max(1));
    images
        .zip(headers)
        .filter_map(|(values, header)| {
            let shape = (channels * n_channels, z, planes.n_y, planes.n_x);
            let values = Array4::from_shape_vec(shape, values.to_vec()).ok()?;
            let pixels = match labels.is_some() {
                true => Pixels::U16(values.mapv(|value| value.round().clamp(0.0, 65535.0) as u16)),
                false => Pixels::F32(values),
            };
            let mut header = *header;
            header.image_type = ImageType::Magnitude as u16;
            let offset = match output.series_offset {
                0 => DERIVED_SERIES + place as u16,
                offset => offset,
            };
            header.image_series_index = header.image_series_index.wrapping_add(offset);
            let mut meta = source.clone();
            describe(&mut meta, output, labels.is_some());
            provenance.write(&mut meta);
            Some(Image::new(header, meta, pixels))
        })
        .collect()
}

/// Says in the meta attributes what the pixels of an output are.
pub(crate) fn describe(meta: &mut Meta, output: &Output, is_label: bool) {
    let name = name_of(output);
    if is_label {
        of_labels(meta, name, &output.classes);
    } else {
        forget_appearance(meta);
    }
    if !is_label && output.kind != OutputKind::Image {
        meta.set("DataRole", "Quantitative");
        meta.set("GADGETRON_DataRole", name);
        meta.set("RescaleSlope", "1");
        meta.set("RescaleIntercept", "0");
        for key in COMMENTS {
            meta.append(key, format!("{name} {}", output.unit).trim_end());
        }
    }
    if let Some([center, width]) = output.window {
        meta.set("WindowCenter", center.round() as i64);
        meta.set("WindowWidth", width.round().max(1.0) as i64);
    }
    if output.is_synthetic {
        for key in COMMENTS {
            meta.append(key, "synthetic: computed, not measured");
        }
    }
    let mut description = output.description.clone().unwrap_or_else(|| name.to_owned());
    if output.is_synthetic {
        meta.set("BoresideSynthetic", "1");
        description = format!("synthetic {description}");
    }
    for key in ["SequenceDescriptionAdditional", "GADGETRON_SeqDescription"] {
        meta.set(key, description.as_str());
    }
    if let Some(map) = &output.colour_map {
        for key in ["LUTFileName", "GADGETRON_ColorMap"] {
            meta.set(key, map.as_str());
        }
    }
    if let Some([scheme, code, meaning]) = &output.dicom_concept {
        meta.set_all("BoresideDicomConcept", [scheme.as_str(), code, meaning]);
    }
}
