//! Cardiac phases out of real-time images: retrospective gating.

mod beats;

use std::collections::BTreeMap;

use ismrmrd::{Image, ImageHeader, ImageType, Pixels};
use ndarray::Array4;
use num_complex::Complex32;
use numerics::spline::natural_cubic_weights;
use pipeline::{Gadget, ImageRole, Remedy, Scan, Sink};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use beats::{Beat, Beats};

/// Interpolates real-time images to phases of the heart's cycle.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which of the three physiological clocks counts from the R wave: 0 ECG, 1 pulse,
    /// 2 respiration.
    #[schemars(range(min = 0, max = 2))]
    pub physiology_time_index: usize,
    /// Which beats are interpolated.
    pub mode: Mode,
    /// Phases of a cycle.
    #[schemars(range(min = 1, max = 1000))]
    pub phases: u16,
    /// Whether the scan began with an R wave, so that the first beat is a complete one.
    pub first_beat_on_trigger: bool,
    /// How images are interpolated in time.
    pub interp_method: Method,
    /// Length of a tick of the clocks in the headers, ms.
    #[serde(alias = "time_stamp_resolution_")]
    pub time_stamp_resolution_ms: f64,
    /// Beats whose interval differs more from the median, over the median, are left out.
    pub max_rr_deviation: f64,
    /// Whether the images themselves are sent, too.
    pub send_source: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            physiology_time_index: 0,
            mode: Mode::Separate,
            phases: 30,
            first_beat_on_trigger: false,
            interp_method: Method::Spline,
            time_stamp_resolution_ms: 2.5,
            max_rr_deviation: 0.25,
            send_source: true,
        }
    }
}

/// Which beats are interpolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every complete beat, each as a series of its own.
    #[serde(alias = "0")]
    Separate,
    /// The first complete beat.
    #[serde(alias = "1")]
    Complete,
}

/// How images are interpolated in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A cubic spline through the images at their times.
    #[serde(alias = "Spline")]
    Spline,
    /// A cubic B-spline through the images as if they were evenly spaced.
    #[serde(alias = "BSpline")]
    BSpline,
}

/// Holds the real-time images of a scan and gives, at its end, phases of the cycle.
pub struct InterpolatePhases {
    config: Config,
    groups: BTreeMap<Group, Vec<Image>>,
    told_pixels: bool,
}

/// Images of one slice of one series, apart from those that show something else.
type Group = (u16, u16, u16, u16, u16);

/// Weights below this change nothing in single precision.
const LEAST_WEIGHT: f64 = 1e-7;
/// Distance of the series of two beats.
const SERIES_STEP: u16 = 10;

impl Gadget for InterpolatePhases {
    const NAME: &str = "interpolate_phases";
    const ALIASES: &'static [&'static str] = &["PhysioInterpolationGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        if config.physiology_time_index > 2 {
            return Err(Error::Clock(config.physiology_time_index));
        }
        let tick_ms = config.time_stamp_resolution_ms;
        let has_ticks = tick_ms > 0.0 && tick_ms.is_finite();
        if !has_ticks || !(1..=1000).contains(&config.phases) {
            return Err(Error::Range { phases: config.phases, tick_ms });
        }
        Ok(Self { config, groups: BTreeMap::new(), told_pixels: false })
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Error> {
        let is_image = ImageRole::of(&image.meta).unwrap_or_default().is_image();
        let has_rule = matches!(image.pixels, Pixels::C32(_) | Pixels::F32(_));
        // The phase of an image jumps: it cannot be interpolated.
        let is_phase =
            image.image_type() == Some(ImageType::Phase) && !matches!(image.pixels, Pixels::C32(_));
        if !is_image || !has_rule || is_phase {
            if is_image && !std::mem::replace(&mut self.told_pixels, true) {
                out.warn(
                    "images of integers and of phases pass without being interpolated",
                    "put `interpolate_phases` before `extract` or `complex_to_float`",
                );
            }
            out.push(image);
            return Ok(());
        }
        let header = image.header;
        let group =
            (header.image_series_index, header.slice, header.set, header.contrast, header.average);
        let group = self.groups.entry(group).or_default();
        if group.first().is_some_and(|first| first.pixels.shape() != image.pixels.shape()) {
            return Err(Error::Size { slice: header.slice });
        }
        if self.config.send_source {
            out.push(image.clone());
        }
        group.push(image);
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        let mut failed = Ok(());
        for images in std::mem::take(&mut self.groups).into_values() {
            // The other slices are interpolated whatever this one lacks.
            if let Err(error) = self.interpolate(images, out) {
                failed = failed.and(Err(error));
            }
        }
        failed
    }
}

impl InterpolatePhases {
    fn interpolate(&self, mut images: Vec<Image>, out: &mut Sink<Self>) -> Result<(), Error> {
        let config = &self.config;
        let tick_ms = config.time_stamp_resolution_ms;
        let clock = |image: &Image| image.header.acquisition_time_stamp;
        // Slices of several repetitions may arrive in any order.
        if images.iter().any(|image| clock(image) != 0) {
            images.sort_by_key(clock);
        }
        let index = config.physiology_time_index;
        let since_trigger_ms: Vec<_> = images
            .iter()
            .map(|image| f64::from({ image.header.physiology_time_stamp }[index]) * tick_ms)
            .collect();
        let clock_ms: Vec<_> =
            images.iter().map(|image| f64::from(clock(image)) * tick_ms).collect();
        let beats = Beats::find(&since_trigger_ms, &clock_ms, config.first_beat_on_trigger);
        let slice = images.first().map_or(0, |image| image.header.slice);
        let Some(median_ms) = beats.median_rr_interval_ms() else {
            let (n_images, n_triggers) = (images.len(), beats.n_triggers);
            return Err(Error::NoBeat { slice, n_images, n_triggers });
        };
        let (mut regular, irregular) = beats.regular(config.max_rr_deviation);
        if !irregular.is_empty() {
            let intervals: Vec<_> =
                irregular.iter().map(|beat| format!("{:.0}", beat.rr_interval_ms)).collect();
            out.warn(
                format!(
                    "slice {slice}: {} of {} beats are left out: their intervals of {} ms are \
                     far from the median, {median_ms:.0} ms",
                    irregular.len(),
                    beats.complete.len(),
                    intervals.join(", "),
                ),
                "raise `max_rr_deviation` to have them",
            );
        }
        if config.mode == Mode::Complete {
            regular.truncate(1);
        }
        for beat in regular {
            let phases: Vec<_> = (0..config.phases).collect();
            let results: Vec<_> = phases
                .into_par_iter()
                .map(|phase| self.phase(&images, &beats, beat, phase))
                .collect();
            results.into_iter().for_each(|image| out.push(image));
        }
        Ok(())
    }

    /// One phase of a beat.
    fn phase(&self, images: &[Image], beats: &Beats, beat: Beat, phase: u16) -> Image {
        let config = &self.config;
        let since_trigger_ms = f64::from(phase) / f64::from(config.phases) * beat.rr_interval_ms;
        let time_ms = beat.trigger_ms + since_trigger_ms;
        let weights = match config.interp_method {
            Method::Spline => natural_cubic_weights(&beats.times_ms, time_ms),
            Method::BSpline => {
                let knots: Vec<_> = (0..images.len()).map(|number| number as f64).collect();
                natural_cubic_weights(&knots, place_among(&beats.times_ms, time_ms))
            }
        };
        let nearest = (0..images.len())
            .min_by(|&a, &b| {
                let distance = |i: usize| (beats.times_ms[i] - time_ms).abs();
                distance(a).total_cmp(&distance(b))
            })
            .unwrap_or(0);
        let source = &images[nearest];
        let tick_ms = config.time_stamp_resolution_ms;
        let mut header: ImageHeader = source.header;
        header.phase = phase;
        let slices_before = header.slice.wrapping_mul(config.phases);
        header.image_index = slices_before.wrapping_add(phase).wrapping_add(1);
        let series = header.image_series_index;
        let number = u16::try_from(beat.number).unwrap_or(u16::MAX);
        header.image_series_index =
            (series - series % SERIES_STEP).wrapping_add(number.wrapping_mul(SERIES_STEP));
        let mut stamps = header.physiology_time_stamp;
        stamps[config.physiology_time_index] = (since_trigger_ms / tick_ms).round() as u32;
        header.physiology_time_stamp = stamps;
        let shift = ((time_ms - beats.times_ms[nearest]) / tick_ms).round() as i64;
        let clock = i64::from(source.header.acquisition_time_stamp) + shift;
        header.acquisition_time_stamp = u32::try_from(clock).unwrap_or(0);
        let mut meta = source.meta.clone();
        ImageRole::Retro.write(&mut meta);
        for key in ["ImageComments", "GADGETRON_ImageComment"] {
            meta.append(key, format!("RR {:.0} ms", beat.rr_interval_ms));
        }
        for key in ["SequenceDescriptionAdditional", "GADGETRON_SeqDescription"] {
            meta.set(key, "RETRO");
        }
        meta.append("ImageProcessingHistory", "RETRO");
        meta.set("TriggerTime", since_trigger_ms);
        let pixels: Pixels = match &source.pixels {
            Pixels::C32(_) => weighted(
                images,
                &weights,
                |pixels| match pixels {
                    Pixels::C32(pixels) => Some(pixels),
                    _ => None,
                },
                |sum: &mut Complex32, weight, value| *sum += value * weight,
            )
            .into(),
            _ => weighted(
                images,
                &weights,
                |pixels| match pixels {
                    Pixels::F32(pixels) => Some(pixels),
                    _ => None,
                },
                |sum: &mut f32, weight, value| *sum += value * weight,
            )
            .into(),
        };
        Image::new(header, meta, pixels)
    }
}

/// Sum of the images times their weights.
fn weighted<T: Copy + Default>(
    images: &[Image],
    weights: &[f64],
    pixels: impl Fn(&Pixels) -> Option<&Array4<T>>,
    add: impl Fn(&mut T, f32, T),
) -> Array4<T> {
    let [channels, z, y, x] = images.first().map_or([0; 4], |image| image.pixels.shape());
    let mut sum = Array4::default((channels, z, y, x));
    for (image, weight) in images.iter().zip(weights) {
        if let Some(pixels) = pixels(&image.pixels).filter(|_| weight.abs() > LEAST_WEIGHT) {
            sum.zip_mut_with(pixels, |sum, value| add(sum, *weight as f32, *value));
        }
    }
    sum
}

/// Where a time lies among others, in their number: between the third and the fourth is 2 to 3.
fn place_among(times_ms: &[f64], time_ms: f64) -> f64 {
    let after = times_ms.partition_point(|time| *time <= time_ms);
    if after == 0 || after == times_ms.len() {
        return after.saturating_sub(usize::from(after > 0)) as f64;
    }
    let (before, next) = (times_ms[after - 1], times_ms[after]);
    (after - 1) as f64 + (time_ms - before) / (next - before)
}

/// Why there are no phases.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A clock that headers do not have.
    #[error("there is no physiological clock {0}, headers have 0, 1 and 2")]
    Clock(usize),
    /// Numbers without sense.
    #[error("{phases} phases with ticks of {tick_ms} ms cannot be interpolated")]
    Range {
        /// Phases wanted.
        phases: u16,
        /// Length of a tick, ms.
        tick_ms: f64,
    },
    /// Images of a slice of different sizes.
    #[error("slice {slice}: an image differs in size from those before it")]
    Size {
        /// The slice.
        slice: u16,
    },
    /// No beat is whole.
    #[error(
        "slice {slice}: no complete heart beat in {n_images} images, {n_triggers} R waves were \
         seen between them and 2 are needed"
    )]
    NoBeat {
        /// The slice.
        slice: u16,
        /// Its images.
        n_images: usize,
        /// R waves that were seen.
        n_triggers: usize,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Clock(_) => "set `physiology_time_index` to 0, 1 or 2",
            Self::Range { .. } => "correct `phases` and `time_stamp_resolution_ms`",
            Self::Size { .. } => "send images of one size in a series",
            Self::NoBeat { .. } => {
                "check the ECG and `physiology_time_index`, measure for at least three beats, or \
                 set `first_beat_on_trigger`; the real-time images are there"
            }
        }
    }
}

#[cfg(test)]
mod tests;
