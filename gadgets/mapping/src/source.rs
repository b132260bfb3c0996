//! The images of a series that a map is made of.

use ismrmrd::{ImageHeader, Meta};
use ndarray::{Array3, Array4, Axis};
use num_complex::Complex32;
use numerics::relaxation::{Polarity, restore_polarity};
use pipeline::image_notes::{FAULT_KEY, MOTION_PX_KEY, NOISE_SD_KEY};
use pipeline::times::{
    INVERSION_KEY, Preparation, PreparationTimes, TimesFrom, expected_images, preparation_times,
    write_times,
};
use pipeline::{ImageRole, ImageSeries, Scan, Stack, unprocessed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

/// How the sign of a recovering signal is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signs {
    /// By phase where the images are complex, by the fit where they are magnitudes, not at all
    /// where they are real and have signs.
    #[default]
    Auto,
    /// By the phase of the image with the longest time.
    Phase,
    /// By the fit to magnitudes.
    Magnitude,
}

/// What a map is made of: one slice.
#[derive(Clone)]
pub(crate) struct Source {
    /// `[image, z, y, x]` in the order of the times.
    pub images: Array4<Complex32>,
    pub times_ms: Vec<f64>,
    pub inversions: Vec<i32>,
    /// Which image of the stack each was, before they were put into the order of the times.
    pub frames: Vec<usize>,
    /// Header and meta attributes for the map: those of the image with the most signal.
    pub header: ImageHeader,
    pub meta: Meta,
    /// Largest displacement that was corrected, px.
    pub motion_px: Option<f64>,
    /// What the samples behind the images allow, where their reconstruction says it: standard
    /// deviation in real and imaginary part, in the images' unit.
    pub noise_sd: Option<f32>,
    /// What is wrong with the images, e.g. `1 of 8 images holds nothing`.
    pub problem: Option<String>,
    /// Where the times come from, for people.
    pub times_from: TimesFrom,
}

/// Whether a map is to be made of the series: an image that has not left out a gadget, and is not
/// followed by its motion-corrected self.
pub(crate) fn is_mapped(series: &ImageSeries, skip_field: &str) -> bool {
    let is_image =
        series.role.is_image() && !matches!(series.role, ImageRole::Uncorrected | ImageRole::Psir);
    let is_skipped = series
        .meta
        .iter()
        .any(|meta| unprocessed::is_marked(meta) || !meta.values(skip_field).is_empty());
    is_image && !is_skipped
}

/// What all stacks of a series are made of, and what is to be told about their times. The series'
/// images are put into the order of their times, which their meta attributes say afterwards.
///
/// `brightest`: which image has the most signal: the last one of a recovery, the first of a decay.
pub(crate) fn sources(
    series: &mut ImageSeries,
    scan: &Scan,
    preparation: Preparation,
    from: TimesFrom,
    reference: Reference,
) -> Result<(Vec<Source>, Vec<String>), Error> {
    let stacks = series.stacks()?;
    let n_channels = series.data.shape()[3];
    if n_channels != 1 {
        return Err(Error::Channels(n_channels));
    }
    let mut notes = Vec::new();
    let mut found = Vec::new();
    for stack in &stacks {
        let times = preparation_times(series, stack, scan, preparation, from)?;
        notes.extend(times.note.clone());
        write_times(series, stack, preparation, &times);
        found.push(times);
    }
    let mut sources = Vec::with_capacity(stacks.len());
    for (stack, times) in stacks.iter().zip(&found) {
        let expected = expected_images(series, stack, scan, preparation);
        let source = source(series, stack, times, reference, expected);
        if source.times_ms.is_empty() {
            return Err(Error::Empty(stack.n_frames));
        }
        sources.push(source);
    }
    // Heartbeats differ from slice to slice.
    for (stack, times) in stacks.iter().zip(&found) {
        let mut order: Vec<usize> = (0..stack.n_frames).collect();
        order.sort_by(|&a, &b| times.times_ms[a].total_cmp(&times.times_ms[b]));
        let is_sorted = order.iter().enumerate().all(|(place, &image)| place == image);
        if !is_sorted {
            series.reorder_stack(stack, &order);
        }
    }
    notes.dedup();
    Ok((sources, notes))
}

/// Which image of a series has the most signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The one with the longest time.
    Longest,
    /// The one with the shortest time.
    Shortest,
}

fn source(
    series: &ImageSeries,
    stack: &Stack,
    times: &PreparationTimes,
    reference: Reference,
    n_expected: Option<usize>,
) -> Source {
    let n = stack.n_frames;
    let blank: Vec<usize> = (0..n).filter(|&frame| series.is_blank(stack, frame)).collect();
    let broken: Vec<usize> = (0..n).filter(|&frame| !series.is_finite(stack, frame)).collect();
    let is_good = |frame: &usize| !blank.contains(frame) && !broken.contains(frame);
    let timeless: Vec<usize> =
        (0..n).filter(is_good).filter(|&frame| times.times_ms[frame].is_nan()).collect();
    let mut kept: Vec<usize> =
        (0..n).filter(is_good).filter(|frame| !timeless.contains(frame)).collect();
    kept.sort_by(|&a, &b| times.times_ms[a].total_cmp(&times.times_ms[b]));
    let names = |frames: &[usize]| {
        let names: Vec<String> = frames.iter().map(|frame| (frame + 1).to_string()).collect();
        (names.len() == 1, format!("{} of {n}", names.join(", ")))
    };
    let mut problems = Vec::new();
    if let Some(expected) = n_expected {
        problems.push(format!("{n} of {expected} images arrived"));
    }
    for (frames, [one, many]) in [
        (&blank, ["holds nothing", "hold nothing"]),
        (&broken, ["holds values that are no numbers", "hold values that are no numbers"]),
        (&timeless, ["has no time", "have no times"]),
    ] {
        match names(frames) {
            _ if frames.is_empty() => {}
            (true, name) => problems.push(format!("image {name} {one} and is left out")),
            (false, names) => problems.push(format!("images {names} {many} and are left out")),
        }
    }
    let shown = match reference {
        Reference::Longest => kept.last(),
        Reference::Shortest => kept.first(),
    };
    let shown = shown.copied().unwrap_or(0);
    let mut meta = series.frame_meta(stack, shown).cloned().unwrap_or_default();
    let motion_px = (0..n)
        .filter_map(|frame| series.frame_meta(stack, frame)?.get_f64(MOTION_PX_KEY))
        .reduce(f64::max);
    let noise_sd = (kept.iter())
        .filter_map(|&frame| series.frame_meta(stack, frame)?.get_f64(NOISE_SD_KEY))
        .filter(|sd| sd.is_finite() && *sd > 0.0)
        .reduce(f64::max);
    let metas = (0..n).filter_map(|frame| series.frame_meta(stack, frame));
    for fault in metas.flat_map(|meta| meta.values(FAULT_KEY)) {
        if !problems.contains(fault) {
            problems.push(fault.clone());
        }
    }
    // These are the image's own.
    let own = ["InversionTime", "GADGETRON_TI", "GADGETRON_TS", "EchoTime", "GADGETRON_TE"];
    for key in own.into_iter().chain([INVERSION_KEY, NOISE_SD_KEY]) {
        meta.remove(key);
    }
    let pixels = series.channel_of_stack(stack, 0);
    Source {
        images: pixels.select(Axis(0), &kept),
        times_ms: kept.iter().map(|&frame| times.times_ms[frame]).collect(),
        inversions: kept.iter().map(|&frame| times.inversions[frame]).collect(),
        frames: kept,
        header: series.frame_header(stack, shown),
        meta,
        motion_px,
        noise_sd: noise_sd.map(|sd| sd as f32),
        problem: (!problems.is_empty()).then(|| problems.join("; ")),
        times_from: times.source,
    }
}

impl Source {
    /// A plane with the signs of its signals, as far as `signs` finds them: `[image, y, x]`.
    pub fn recovering(&self, z: usize, signs: Signs) -> (Array3<f32>, Polarity) {
        let plane = self.images.index_axis(Axis(1), z);
        let is_real = plane.iter().all(|value| value.im == 0.0);
        let has_signs = is_real && plane.iter().any(|value| value.re < 0.0);
        match signs {
            Signs::Magnitude => (plane.mapv(Complex32::norm), Polarity::Magnitude),
            Signs::Auto if has_signs => (plane.mapv(|value| value.re), Polarity::Signed),
            Signs::Auto if is_real => (plane.mapv(|value| value.re), Polarity::Magnitude),
            Signs::Auto | Signs::Phase => {
                let longest = self.times_ms.len().saturating_sub(1);
                if plane.len_of(Axis(0)) == 0 {
                    return (Array3::zeros(plane.raw_dim()), Polarity::Signed);
                }
                (restore_polarity(plane, longest), Polarity::Signed)
            }
        }
    }

    /// A plane of a decay: the real parts after the first image's phase is taken from all, so that
    /// the noise of dark images has no sign; magnitudes where the images are real.
    pub fn decaying(&self, z: usize) -> Array3<f32> {
        let plane = self.images.index_axis(Axis(1), z);
        if plane.len_of(Axis(0)) == 0 {
            return Array3::zeros(plane.raw_dim());
        }
        restore_polarity(plane, 0)
    }

    /// The magnitudes of a plane: `[image, y, x]`.
    pub fn magnitudes(&self, z: usize) -> Array3<f32> {
        self.images.index_axis(Axis(1), z).mapv(Complex32::norm)
    }

    /// Planes, rows, columns.
    pub fn shape(&self) -> (usize, usize, usize) {
        let (_, z, y, x) = self.images.dim();
        (z, y, x)
    }
}
