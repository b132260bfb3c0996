//! What was seen, as numbers.

use serde::Serialize;

use super::tally::Range;
use super::warnings::{self, Warning};
use super::{COUNTER_NAMES, EncodingSeen, Survey, TICK_S};
use crate::xml::{Encoding, EncodingLimits, EncodingSpace, Limit, Trajectory};
use crate::{AcquisitionFlags, Header, ImageType};

/// What a scan consists of. [`Display`](std::fmt::Display) fits on one screen; it names no patient.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the protocol.
    pub protocol_name: Option<String>,
    /// Name of the sequence.
    pub sequence_name: Option<String>,
    /// Vendor and model of the scanner.
    pub system: Option<String>,
    /// Main field, T.
    pub field_strength_t: Option<f32>,
    /// Readouts of all kinds.
    pub n_readouts: u64,
    /// From the first time stamp to the last, in ticks of 2.5 ms, s. [`None`] where they are equal.
    pub duration_s: Option<f64>,
    /// The encoding spaces of the header and of the readouts.
    pub encodings: Vec<EncodingReport>,
    /// Flags that were set, with their counts, in order of their bits.
    pub flags: Vec<(String, u64)>,
    /// The noise scan.
    pub noise: Option<NoiseReport>,
    /// Waveforms by their id.
    pub waveforms: Vec<WaveformReport>,
    /// Images by their series.
    pub images: Vec<ImageReport>,
    /// What may trip a reconstruction.
    pub warnings: Vec<Warning>,
}

/// One encoding space.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncodingReport {
    /// Its number in the header.
    pub encoding: u16,
    /// Path through k-space.
    pub trajectory: Option<String>,
    /// Encoded points along x, y, z.
    pub encoded_matrix_size: Option<[u16; 3]>,
    /// Encoded extent along x, y, z, mm.
    pub encoded_field_of_view_mm: Option<[f32; 3]>,
    /// Points of the image along x, y, z.
    pub recon_matrix_size: Option<[u16; 3]>,
    /// Extent of the image along x, y, z, mm.
    pub recon_field_of_view_mm: Option<[f32; 3]>,
    /// Encoded extent over that of the image along the readout.
    pub oversampling: Option<f32>,
    /// Readouts with lines of the image.
    pub n_imaging: u64,
    /// Readouts for calibration, those that are also for the image included.
    pub n_calibration: u64,
    /// Smallest and largest number of samples.
    pub samples: Option<(u16, u16)>,
    /// Smallest and largest index of the sample at the centre of k-space, of forward readouts.
    pub center_sample: Option<(u16, u16)>,
    /// Samples over those of a readout that were symmetric about its centre. 1 is a full echo.
    /// Only where lines lie on a grid, as the next.
    pub echo_fraction: Option<f32>,
    /// Lines over those that would be symmetric about the centre. 1 is full Fourier.
    pub partial_fourier: Option<f32>,
    /// Smallest and largest number of channels.
    pub channels: Option<(u16, u16)>,
    /// Smallest and largest time between samples, µs.
    pub sample_time_us: Option<(f32, f32)>,
    /// Largest number of trajectory dimensions.
    pub trajectory_dimensions: u16,
    /// Counters that vary or that the header limits.
    pub counters: Vec<CounterReport>,
    /// Undersampling along phase and partition encoding by the header.
    pub acceleration: Option<[u16; 2]>,
    /// Where calibration lines are, by the header.
    pub calibration_mode: Option<String>,
    /// Lines that the header promises and that did not come, where lines lie on a grid.
    pub missing_lines: Vec<MissingLines>,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CounterReport {
    /// Name in the readouts' header.
    pub name: &'static str,
    /// Smallest and largest value of imaging readouts.
    pub seen: Option<(u16, u16)>,
    /// Smallest, largest and central value by the header.
    pub limit: Option<(u16, u16, u16)>,
}

/// Lines that did not come in one slice and partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissingLines {
    /// Slice.
    pub slice: u16,
    /// Partition.
    pub encoding_step_2: u16,
    /// Number of lines.
    pub count: usize,
    /// The lines in ranges.
    pub lines: String,
}

/// The noise scan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoiseReport {
    /// Its readouts.
    pub n_readouts: u64,
    /// Smallest and largest number of samples.
    pub samples: Option<(u16, u16)>,
    /// Smallest and largest number of channels.
    pub channels: Option<(u16, u16)>,
    /// Smallest and largest time between samples, µs.
    pub sample_time_us: Option<(f32, f32)>,
}

/// One kind of waveform.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WaveformReport {
    /// Its id.
    pub waveform_id: u16,
    /// What it is, if the standard says so.
    pub kind: &'static str,
    /// Messages.
    pub n_messages: u64,
    /// Smallest and largest number of channels.
    pub channels: Option<(u16, u16)>,
    /// Time that its samples cover, s.
    pub duration_s: f64,
}

/// One series of images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageReport {
    /// Its number.
    pub series: u16,
    /// Images.
    pub n_images: u64,
    /// `[channels, z, y, x]` of the first.
    pub shape: [usize; 4],
    /// Type of the pixels of the first.
    pub data_type: String,
    /// Kind of the first.
    pub image_type: String,
}

impl Report {
    pub(super) fn new(survey: &Survey, header: Option<&Header>) -> Self {
        let measurement = header.and_then(|header| header.measurement_information.as_ref());
        let system = header.and_then(|header| header.acquisition_system_information.as_ref());
        let mut report = Self {
            protocol_name: measurement.and_then(|m| m.protocol_name.clone()),
            sequence_name: measurement.and_then(|m| m.sequence_name.clone()),
            system: system.and_then(|system| {
                let names = [&system.system_vendor, &system.system_model];
                let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
                (!names.is_empty()).then(|| names.join(" "))
            }),
            field_strength_t: system.and_then(|system| system.system_field_strength_t),
            n_readouts: survey.n_readouts,
            duration_s: duration_s(&survey.time_stamps),
            encodings: encodings(survey, header),
            flags: flags(survey),
            noise: survey.noise.as_ref().map(|noise| NoiseReport {
                n_readouts: survey.n_noise,
                samples: noise.samples.get(),
                channels: noise.channels.get(),
                sample_time_us: noise.sample_time_us.get(),
            }),
            waveforms: waveforms(survey),
            images: images(survey),
            warnings: Vec::new(),
        };
        report.warnings = warnings::find(survey, header, &report);
        report
    }
}

fn duration_s(time_stamps: &Range<u32>) -> Option<f64> {
    let (first, last) = time_stamps.get()?;
    (first < last).then(|| f64::from(last - first) * TICK_S)
}

fn flags(survey: &Survey) -> Vec<(String, u64)> {
    let counts = survey.flags.0.iter().enumerate().filter(|(_, count)| **count > 0);
    counts
        .flat_map(|(bit, count)| AcquisitionFlags(1 << bit).names().map(|name| (name, *count)))
        .collect()
}

fn encodings(survey: &Survey, header: Option<&Header>) -> Vec<EncodingReport> {
    let known = header.map_or(&[][..], |header| &header.encoding);
    let n_known = u16::try_from(known.len()).unwrap_or(u16::MAX);
    let beyond = survey.encodings.keys().copied().filter(|encoding| *encoding >= n_known);
    (0..n_known)
        .chain(beyond)
        .map(|number| {
            let seen = survey.encodings.get(&number).cloned().unwrap_or_default();
            EncodingReport::new(number, &seen, known.get(usize::from(number)))
        })
        .collect()
}

impl EncodingReport {
    fn new(number: u16, seen: &EncodingSeen, encoding: Option<&Encoding>) -> Self {
        let limits = encoding.map(|encoding| encoding.encoding_limits).unwrap_or_default();
        let encoded = encoding.map(|encoding| encoding.encoded_space);
        let recon = encoding.map(|encoding| encoding.recon_space);
        let parallel = encoding.and_then(|encoding| encoding.parallel_imaging.as_ref());
        let acceleration = parallel.map(|parallel| {
            let factor = parallel.acceleration_factor;
            [factor.kspace_encoding_step_1, factor.kspace_encoding_step_2]
        });
        let is_on_a_grid = encoding.is_some_and(|encoding| {
            matches!(encoding.trajectory, Trajectory::Cartesian | Trajectory::Epi)
        });
        let calibration = parallel.and_then(|parallel| parallel.calibration_mode);
        Self {
            encoding: number,
            trajectory: encoding.map(|encoding| encoding.trajectory.to_string()),
            encoded_matrix_size: encoded.map(matrix),
            encoded_field_of_view_mm: encoded.map(field_of_view),
            recon_matrix_size: recon.map(matrix),
            recon_field_of_view_mm: recon.map(field_of_view),
            oversampling: encoded.zip(recon).and_then(|(encoded, recon)| {
                let ratio = encoded.field_of_view_mm.x / recon.field_of_view_mm.x;
                ratio.is_finite().then_some(ratio)
            }),
            n_imaging: seen.n_imaging,
            n_calibration: seen.n_calibration,
            samples: seen.lengths.samples.get(),
            center_sample: seen.center_sample.get(),
            echo_fraction: is_on_a_grid.then(|| echo_fraction(seen)).flatten(),
            partial_fourier: is_on_a_grid
                .then(|| partial_fourier(seen, &limits, acceleration.map_or(1, |[step, _]| step)))
                .flatten(),
            channels: seen.lengths.channels.get(),
            sample_time_us: seen.lengths.sample_time_us.get(),
            trajectory_dimensions: seen.trajectory_dimensions.largest(),
            counters: counters(seen, &limits),
            acceleration,
            calibration_mode: calibration.map(|mode| mode.to_string()),
            missing_lines: match is_on_a_grid {
                true => missing_lines(seen, &limits, acceleration.unwrap_or([1, 1])),
                false => Vec::new(),
            },
        }
    }
}

fn matrix(space: EncodingSpace) -> [u16; 3] {
    [space.matrix_size.x, space.matrix_size.y, space.matrix_size.z]
}

fn field_of_view(space: EncodingSpace) -> [f32; 3] {
    let extent = space.field_of_view_mm;
    [extent.x, extent.y, extent.z]
}

/// Part of a symmetric readout that lies in `samples` with this centre.
fn echo_fraction(seen: &EncodingSeen) -> Option<f32> {
    let (_, samples) = seen.lengths.samples.get()?;
    let (_, center) = seen.center_sample.get()?;
    symmetric_fraction(0, samples.checked_sub(1)?, center)
}

/// Lines that undersampling leaves out at the ends are no partial Fourier.
fn partial_fourier(seen: &EncodingSeen, limits: &EncodingLimits, acceleration: u16) -> Option<f32> {
    let (first, last) = seen.counters[0].get()?;
    let limit = limits.kspace_encoding_step_1?;
    let skipped = acceleration.saturating_sub(1);
    let first = first.min(first.saturating_sub(skipped).max(limit.minimum));
    let last = last.max(last.saturating_add(skipped).min(limit.maximum));
    symmetric_fraction(first, last, limit.center)
}

/// Places from `first` to `last` over those of the smallest range that holds them and is symmetric
/// about `center`, which counts to its upper half.
fn symmetric_fraction(first: u16, last: u16, center: u16) -> Option<f32> {
    let below = i32::from(center) - i32::from(first);
    let above = i32::from(last) + 1 - i32::from(center);
    let half = below.max(above);
    (below >= 0 && above > 0).then(|| (below + above) as f32 / (2 * half) as f32)
}

/// The header's limits in the order of [`COUNTER_NAMES`].
pub(super) fn limits_in_order(limits: &EncodingLimits) -> [Option<Limit>; 17] {
    [
        limits.kspace_encoding_step_1,
        limits.kspace_encoding_step_2,
        limits.average,
        limits.slice,
        limits.contrast,
        limits.phase,
        limits.repetition,
        limits.set,
        limits.segment,
        limits.user_0,
        limits.user_1,
        limits.user_2,
        limits.user_3,
        limits.user_4,
        limits.user_5,
        limits.user_6,
        limits.user_7,
    ]
}

fn counters(seen: &EncodingSeen, limits: &EncodingLimits) -> Vec<CounterReport> {
    let limits = limits_in_order(limits);
    COUNTER_NAMES
        .into_iter()
        .zip(seen.counters)
        .zip(limits)
        .filter(|((_, seen), limit)| seen.varies() || limit.is_some_and(|l| l.maximum > 0))
        .map(|((name, seen), limit)| CounterReport {
            name,
            seen: seen.get(),
            limit: limit.map(|limit| (limit.minimum, limit.maximum, limit.center)),
        })
        .collect()
}

/// Lines within the limits that never came, of those that undersampling leaves.
fn missing_lines(
    seen: &EncodingSeen,
    limits: &EncodingLimits,
    acceleration: [u16; 2],
) -> Vec<MissingLines> {
    let Some(limit) = limits.kspace_encoding_step_1 else { return Vec::new() };
    let step = acceleration[0].max(1);
    let mut missing: Vec<MissingLines> = seen
        .lines
        .iter()
        .filter_map(|((slice, encoding_step_2), lines)| {
            let offset = lines.first()? % step;
            let expected = (limit.minimum..=limit.maximum).filter(|line| line % step == offset);
            let absent: Vec<u16> = expected.filter(|line| !lines.contains(*line)).collect();
            (!absent.is_empty()).then(|| MissingLines {
                slice: *slice,
                encoding_step_2: *encoding_step_2,
                count: absent.len(),
                lines: super::lines::ranges(&absent),
            })
        })
        .collect();
    missing.sort_by_key(|missing| (missing.slice, missing.encoding_step_2));
    missing
}

fn waveforms(survey: &Survey) -> Vec<WaveformReport> {
    let report = |(id, seen): (&u16, &super::WaveformSeen)| WaveformReport {
        waveform_id: *id,
        kind: match id {
            0 => "ECG",
            1 => "pulse",
            2 => "respiration",
            3 => "external 1",
            4 => "external 2",
            _ => "other",
        },
        n_messages: seen.n_messages,
        channels: seen.channels.get(),
        duration_s: seen.n_samples as f64 * f64::from(seen.sample_time_us.largest()) * 1e-6,
    };
    survey.waveforms.iter().map(report).collect()
}

fn images(survey: &Survey) -> Vec<ImageReport> {
    let report = |(series, seen): (&u16, &super::ImagesSeen)| ImageReport {
        series: *series,
        n_images: seen.n_images,
        shape: seen.shape,
        data_type: format!("{:?}", seen.data_type).to_lowercase(),
        image_type: match ImageType::from_code(seen.image_type) {
            Some(kind) => format!("{kind:?}").to_lowercase(),
            None => "unknown".to_owned(),
        },
    };
    survey.images.iter().map(report).collect()
}
