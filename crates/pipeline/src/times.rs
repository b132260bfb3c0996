//! When the images of a series were taken after their preparation or excitation.
//!
//! Scanners and converters write these times in different places and units. Here they are looked
//! for in all of them; what is missing, or says different things in two places, is an error that
//! names the places.

mod expected;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frames::Stack;
use crate::{ImageSeries, Remedy, Scan};
use expected::{has_slices, is_plan_of};

pub use expected::expected_images;

/// Milliseconds of a tick of a time stamp on Siemens scanners.
pub const TICK_MS: f64 = 2.5;
/// Ticks of a day.
const DAY_TICKS: i64 = 34_560_000;
/// Meta attribute: number of the inversion before the image.
pub const INVERSION_KEY: &str = "BoresideInversion";
/// Times in two places that differ by no more say the same: ticks, and where in k-space it counts.
const AGREE_MS: f64 = 10.0;
/// The same, for long times.
const AGREE_SHARE: f64 = 0.01;
/// No preparation time is longer.
const LONGEST_MS: f64 = 60_000.0;

/// What the times of a series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// From the inversion to the image.
    Inversion,
    /// From the saturation to the image; the image of this index, if there is one, was taken
    /// without.
    Saturation {
        /// Index of the image without saturation.
        anchor: Option<usize>,
    },
    /// Duration of a T2 preparation.
    T2Preparation,
    /// From the excitation to the echo.
    Echo,
    /// From one excitation to the next.
    Repetition,
}

/// Where times are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimesFrom {
    /// Wherever they are; places that disagree are an error.
    #[default]
    Auto,
    /// The images' meta attributes: `InversionTime`, `EchoTime`, `GADGETRON_TI`, `GADGETRON_TE`,
    /// `GADGETRON_TS`, in ms.
    Meta,
    /// Time stamps of the readouts, with the first inversion time of a group in `user_int[4]` (ms)
    /// and the group in `user_int[5]`, as in Siemens' MOLLI.
    TimeStamps,
    /// `user_int[7]` of the images' headers, µs.
    UserInt,
    /// `sequenceParameters` of the scan's header, or its `T2PrepDuration_…` parameters.
    Header,
}

impl TimesFrom {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "anywhere",
            Self::Meta => "the images' meta attributes",
            Self::TimeStamps => "the time stamps with user_int[4] and user_int[5]",
            Self::UserInt => "user_int[7] of the images",
            Self::Header => "the scan's header",
        }
    }
}

/// The times of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct PreparationTimes {
    /// One for each image; infinite for one without preparation, no number for one that was not
    /// read and that nothing tells the time of.
    pub times_ms: Vec<f64>,
    /// Number of the inversion before each image, from 0; all 0 where it is not known.
    pub inversions: Vec<i32>,
    /// Where they were found.
    pub source: TimesFrom,
    /// What people should know of them, e.g. that they were taken for seconds.
    pub note: Option<String>,
}

/// Times that are missing or cannot be right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TimesError {
    /// No place has any.
    #[error("there are no {what} for {n_images} images: {looked}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Images.
        n_images: usize,
        /// Where was looked and what was found there.
        looked: String,
    },
    /// Two places disagree.
    #[error(
        "image {image} of {n_images} has {what} {first_ms} ms by {first} and {second_ms} ms by {second}"
    )]
    Contradiction {
        /// What they are.
        what: &'static str,
        /// The first image for which they do, from 1.
        image: usize,
        /// Images.
        n_images: usize,
        /// One place.
        first: &'static str,
        /// Its time, with a digit behind the point.
        first_ms: String,
        /// The other place.
        second: &'static str,
        /// Its time.
        second_ms: String,
    },
    /// A time that none can be.
    #[error("image {image} of {n_images} has {what} {time_ms} ms by {place}")]
    Implausible {
        /// What it is.
        what: &'static str,
        /// Which image, from 1.
        image: usize,
        /// Images.
        n_images: usize,
        /// The time.
        time_ms: String,
        /// Where it was found.
        place: &'static str,
    },
    /// The image that a group's times count from is not there.
    #[error(
        "image {image} of {n_images} is missing, perhaps the first after an inversion, which the times of the next ones count from"
    )]
    FirstOfGroup {
        /// Which image, from 1.
        image: usize,
        /// Images.
        n_images: usize,
    },
}

impl Remedy for TimesError {
    fn remedy(&self) -> &str {
        match self {
            Self::Missing { .. } => {
                "let the converter write the times: sequenceParameters, user parameters, or user_int of the readouts"
            }
            Self::Contradiction { .. } => {
                "correct one of the two, or choose with the gadget's property `times_from`"
            }
            Self::Implausible { .. } => "correct the time in the data or their header",
            Self::FirstOfGroup { .. } => {
                "repeat the scan, or let the converter write all inversion times into sequenceParameters/TI"
            }
        }
    }
}

impl Preparation {
    /// What its times are called.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Inversion => "inversion times",
            Self::Saturation { .. } => "saturation times",
            Self::T2Preparation => "T2 preparation times",
            Self::Echo => "echo times",
            Self::Repetition => "repetition times",
        }
    }

    fn meta_keys(self) -> &'static [&'static str] {
        match self {
            Self::Inversion => &["InversionTime", "GADGETRON_TI"],
            Self::Saturation { .. } => &["GADGETRON_TS", "InversionTime", "GADGETRON_TI"],
            Self::T2Preparation | Self::Echo => &["EchoTime", "GADGETRON_TE"],
            Self::Repetition => &["RepetitionTime"],
        }
    }

    /// Keys that these times are written to in an image's meta attributes.
    fn written_keys(self) -> &'static [&'static str] {
        match self {
            Self::Saturation { .. } => &["GADGETRON_TS", "InversionTime"],
            _ => self.meta_keys(),
        }
    }

    /// Numbers of a header that are all below this are seconds.
    fn seconds_below(self) -> f64 {
        match self {
            Self::Inversion | Self::Saturation { .. } | Self::Repetition => 20.0,
            Self::T2Preparation | Self::Echo => 0.5,
        }
    }
}

/// The times of a stack's images.
///
/// # Errors
/// [`TimesError`].
pub fn preparation_times(
    series: &ImageSeries,
    stack: &Stack,
    scan: &Scan,
    preparation: Preparation,
    from: TimesFrom,
) -> Result<PreparationTimes, TimesError> {
    let search = Search { series, stack, scan, preparation };
    let what = preparation.noun();
    let n_images = stack.n_frames;
    let mut looked = Vec::new();
    let mut found: Vec<PreparationTimes> = Vec::new();
    let mut fault = None;
    let mut look = |place: TimesFrom, result: Result<PreparationTimes, NotThere>| match result {
        Ok(times) => found.push(times),
        Err(NotThere::Why(why)) => looked.push(format!("{}: {why}", place.name())),
        Err(NotThere::Fault(error)) => {
            looked.push(format!("{}: {error}", place.name()));
            fault.get_or_insert(error);
        }
    };
    let wanted = |place: TimesFrom| from == TimesFrom::Auto || from == place;
    if wanted(TimesFrom::Meta) {
        look(TimesFrom::Meta, search.meta());
    }
    // Exact times go before those in ticks.
    if wanted(TimesFrom::Header) {
        look(TimesFrom::Header, search.header());
    }
    if wanted(TimesFrom::UserInt) && matches!(preparation, Preparation::Saturation { .. }) {
        look(TimesFrom::UserInt, search.user_int());
    }
    if wanted(TimesFrom::TimeStamps) && preparation == Preparation::Inversion {
        look(TimesFrom::TimeStamps, search.time_stamps());
    }
    let Some(mut best) = found.first().cloned() else {
        return Err(fault.unwrap_or(TimesError::Missing {
            what,
            n_images,
            looked: looked.join("; "),
        }));
    };
    // The header of a scan of several slices has one list of times, whatever the heart did.
    let place_of = |found: &[PreparationTimes], place| {
        found.iter().position(|times: &PreparationTimes| times.source == place)
    };
    let places = (place_of(&found, TimesFrom::Header), place_of(&found, TimesFrom::TimeStamps));
    if let (Some(header), Some(stamps)) = places
        && has_slices(series, scan)
        && is_plan_of(&found[header], &found[stamps])
        && (0..n_images).any(|n| !agree(found[header].times_ms[n], found[stamps].times_ms[n]))
    {
        found[stamps].note = Some(format!(
            "the header's {what} are those of one slice: each has its own by its time stamps"
        ));
        found.remove(header);
        best = found[0].clone();
    }
    for other in &found[1..] {
        for image in 0..n_images {
            let (first, second) = (best.times_ms[image], other.times_ms[image]);
            // A missing image has no stamp, one without preparation no time.
            if !first.is_finite() || !second.is_finite() || series.is_blank(stack, image) {
                continue;
            }
            if !agree(first, second) {
                return Err(TimesError::Contradiction {
                    what,
                    image: image + 1,
                    n_images,
                    first: best.source.name(),
                    first_ms: format!("{first:.1}"),
                    second: other.source.name(),
                    second_ms: format!("{second:.1}"),
                });
            }
        }
        if best.inversions.iter().all(|inversion| *inversion == 0) {
            best.inversions.clone_from(&other.inversions);
        }
    }
    for (image, &time_ms) in best.times_ms.iter().enumerate() {
        let is_free =
            matches!(preparation, Preparation::Saturation { anchor } if anchor == Some(image));
        let lowest = match preparation {
            Preparation::T2Preparation | Preparation::Saturation { .. } => 0.0,
            _ => f64::MIN_POSITIVE,
        };
        let is_unread = match best.source {
            TimesFrom::TimeStamps => time_ms.is_nan(),
            TimesFrom::Meta => time_ms.is_nan() && series.is_blank(stack, image),
            _ => false,
        };
        let is_plausible = (lowest..=LONGEST_MS).contains(&time_ms);
        if !(is_free || is_unread || is_plausible) {
            return Err(TimesError::Implausible {
                what,
                image: image + 1,
                n_images,
                time_ms: format!("{time_ms:.1}"),
                place: best.source.name(),
            });
        }
    }
    Ok(best)
}

/// Whether two places say the same time.
fn agree(first_ms: f64, second_ms: f64) -> bool {
    (first_ms - second_ms).abs() <= AGREE_MS.max(AGREE_SHARE * first_ms.abs())
}

/// Writes times into the meta attributes of a stack's images, in the words of both vocabularies.
pub fn write_times(
    series: &mut ImageSeries,
    stack: &Stack,
    preparation: Preparation,
    times: &PreparationTimes,
) {
    for frame in 0..stack.n_frames {
        let Some(meta) = series.frame_meta_mut(stack, frame) else { continue };
        for key in preparation.written_keys() {
            if times.times_ms[frame].is_finite() {
                meta.set(key, times.times_ms[frame]);
            }
        }
        if preparation == Preparation::Inversion {
            meta.set(INVERSION_KEY, times.inversions[frame]);
        }
    }
}

/// Why a place has no times.
enum NotThere {
    Why(String),
    Fault(TimesError),
}

impl From<&str> for NotThere {
    fn from(why: &str) -> Self {
        Self::Why(why.to_owned())
    }
}

struct Search<'a> {
    series: &'a ImageSeries,
    stack: &'a Stack,
    scan: &'a Scan,
    preparation: Preparation,
}

impl Search<'_> {
    fn times(&self, mut times_ms: Vec<f64>, source: TimesFrom) -> PreparationTimes {
        if let Preparation::Saturation { anchor: Some(anchor) } = self.preparation
            && let Some(time_ms) = times_ms.get_mut(anchor)
        {
            *time_ms = f64::INFINITY;
        }
        let inversions = vec![0; times_ms.len()];
        PreparationTimes { times_ms, inversions, source, note: None }
    }

    fn meta(&self) -> Result<PreparationTimes, NotThere> {
        let metas =
            || (0..self.stack.n_frames).map(|frame| self.series.frame_meta(self.stack, frame));
        let anchor = match self.preparation {
            Preparation::Saturation { anchor } => anchor,
            _ => None,
        };
        for key in self.preparation.meta_keys() {
            let times: Option<Vec<f64>> = metas()
                .enumerate()
                .map(|(frame, meta)| {
                    let time = meta.and_then(|meta| meta.get_f64(key));
                    // Which time an image without preparation has need not be said.
                    time.or((anchor == Some(frame)).then_some(f64::INFINITY))
                        .or_else(|| self.series.is_blank(self.stack, frame).then_some(f64::NAN))
                })
                .collect();
            let n_different = |times: &[f64]| {
                let mut sorted: Vec<f64> =
                    times.iter().copied().filter(|time| !time.is_nan()).collect();
                sorted.sort_by(f64::total_cmp);
                sorted.dedup();
                sorted.len()
            };
            // One and the same protocol value in every image is no time of its own.
            if let Some(times) = times.filter(|times| n_different(times) > 1) {
                let mut found = self.times(times, TimesFrom::Meta);
                let inversions: Option<Vec<i32>> = metas()
                    .map(|meta| meta.and_then(|meta| meta.get_i64(INVERSION_KEY)))
                    .map(|number| number.and_then(|number| i32::try_from(number).ok()))
                    .collect();
                if let Some(inversions) = inversions {
                    found.inversions = inversions;
                }
                return Ok(found);
            }
        }
        Err("none in every image".into())
    }

    fn header(&self) -> Result<PreparationTimes, NotThere> {
        let Some(header) = &self.scan.header else { return Err("there is none".into()) };
        let n = self.stack.n_frames;
        if self.preparation == Preparation::T2Preparation
            && let Some(parameters) = &header.user_parameters
        {
            let durations: Option<Vec<f64>> =
                (0..n).map(|i| parameters.double(&format!("T2PrepDuration_{i}"))).collect();
            if let Some(durations) = durations {
                return Ok(self.times(durations, TimesFrom::Header));
            }
            if let Some(missing) = (0..n)
                .find(|i| parameters.double(&format!("T2PrepDuration_{i}")).is_none())
                .filter(|missing| *missing > 0)
            {
                return Err(NotThere::Why(format!("no T2PrepDuration_{missing} for {n} images")));
            }
        }
        let Some(parameters) = &header.sequence_parameters else {
            return Err("no sequenceParameters".into());
        };
        let (list, name) = match self.preparation {
            Preparation::Inversion | Preparation::Saturation { .. } => (&parameters.ti, "TI"),
            Preparation::T2Preparation | Preparation::Echo => (&parameters.te, "TE"),
            Preparation::Repetition => (&parameters.tr, "TR"),
        };
        if list.len() != n {
            return Err(NotThere::Why(format!("{} {name} for {n} images", list.len())));
        }
        let largest = list.iter().copied().fold(0.0, f32::max);
        let is_seconds = largest > 0.0 && f64::from(largest) < self.preparation.seconds_below();
        let factor = if is_seconds { 1000.0 } else { 1.0 };
        let times = list.iter().map(|time| factor * f64::from(*time)).collect();
        let mut found = self.times(times, TimesFrom::Header);
        if is_seconds {
            found.note = Some(format!(
                "the header's {name}, none of which is above {largest}, are taken for seconds"
            ));
        }
        Ok(found)
    }

    fn user_int(&self) -> Result<PreparationTimes, NotThere> {
        let frames = 0..self.stack.n_frames;
        let times: Vec<f64> = frames
            .map(|frame| {
                let header = self.series.frame_header(self.stack, frame);
                f64::from({ header.user_int }[7]) / 1000.0
            })
            .collect();
        if times.iter().filter(|time| **time > 0.0).count() < times.len().min(2) {
            return Err("it is 0".into());
        }
        Ok(self.times(times, TimesFrom::UserInt))
    }

    /// Stamp, first time of the group, group of each image; [`None`] for one that was not read.
    fn stamps(&self) -> Vec<Option<(i64, i32, i32)>> {
        let center = self.scan.encoding(0).ok().and_then(|encoding| {
            encoding.encoding_limits.kspace_encoding_step_1.as_ref().map(|limit| limit.center)
        });
        let lines = self.series.acquisition_headers.as_ref().map_or(0, |lines| lines.dim().4);
        let center = center.map_or(lines / 2, usize::from);
        (0..self.stack.n_frames)
            .map(|frame| {
                if self.series.acquisition_headers.is_some() {
                    let line = self.series.center_line(self.stack, frame, center)?;
                    let user_int = line.user_int;
                    return Some((line.acquisition_time_stamp.into(), user_int[4], user_int[5]));
                }
                let header = self.series.frame_header(self.stack, frame);
                let user_int = header.user_int;
                let is_read = { header.acquisition_time_stamp } != 0 || user_int[4] != 0;
                is_read.then(|| (header.acquisition_time_stamp.into(), user_int[4], user_int[5]))
            })
            .collect()
    }

    fn time_stamps(&self) -> Result<PreparationTimes, NotThere> {
        let stamps = self.stamps();
        let n_images = stamps.len();
        let read = || stamps.iter().flatten();
        if read().next().is_none() {
            return Err("no readouts".into());
        }
        if read().any(|(_, first_ms, _)| *first_ms <= 0) {
            return Err("user_int[4] is not above 0 in every image".into());
        }
        let first_stamp = read().map(|(stamp, ..)| *stamp).next().unwrap_or(0);
        // Across midnight.
        let unwrapped = |stamp: i64| {
            if first_stamp - stamp > DAY_TICKS / 2 { stamp + DAY_TICKS } else { stamp }
        };
        for (image, _) in stamps.iter().enumerate().filter(|(_, stamp)| stamp.is_none()) {
            let group =
                |image: usize| stamps.get(image).copied().flatten().map(|(.., group)| group);
            let before = image.checked_sub(1).and_then(group);
            let after = (image + 1..n_images).find_map(group);
            if after.is_some() && before != after {
                let image = image + 1;
                return Err(NotThere::Fault(TimesError::FirstOfGroup { image, n_images }));
            }
        }
        // The first time after an inversion is one.
        for (image, stamp) in stamps.iter().enumerate() {
            let Some((_, first_ms, group)) = *stamp else { continue };
            let of_group = read().find(|(.., other)| *other == group);
            if let Some((_, other_ms, _)) = of_group.filter(|(_, other, _)| *other != first_ms) {
                return Err(NotThere::Fault(TimesError::Contradiction {
                    what: self.preparation.noun(),
                    image: image + 1,
                    n_images,
                    first: "its user_int[4]",
                    first_ms: format!("{:.1}", f64::from(first_ms)),
                    second: "that of an earlier image after the same inversion (user_int[5])",
                    second_ms: format!("{:.1}", f64::from(*other_ms)),
                }));
            }
        }
        let mut times = Vec::with_capacity(n_images);
        let mut groups: Vec<i32> = read().map(|(.., group)| *group).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut inversions = Vec::with_capacity(n_images);
        for stamp in &stamps {
            let Some((stamp, first_ms, group)) = *stamp else {
                times.push(f64::NAN);
                inversions.push(0);
                continue;
            };
            let of_group = read().filter(|(.., other)| *other == group);
            let earliest = of_group.clone().map(|(stamp, ..)| unwrapped(*stamp)).min().unwrap_or(0);
            let has_twin = of_group.filter(|(other, ..)| *other == stamp).count() > 1;
            if has_twin {
                return Err("images after one inversion have the same time stamp".into());
            }
            times.push(f64::from(first_ms) + TICK_MS * (unwrapped(stamp) - earliest) as f64);
            let number = groups.iter().position(|other| *other == group).unwrap_or(0);
            inversions.push(i32::try_from(number).unwrap_or(0));
        }
        Ok(PreparationTimes { inversions, ..self.times(times, TimesFrom::TimeStamps) })
    }
}

#[cfg(test)]
mod tests;
