//! Asking the network for T1.

use std::ops::RangeInclusive;

use inference::{EngineError, InferenceError, Model, Request, ShapeError, Tensor};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use pipeline::Remedy;

use super::readout::Readout;

// What it was trained with: gadgets/mapping/training/signals.py.
const N_IMAGES: RangeInclusive<usize> = 4..=5;
const FIRST_TIME_MS: RangeInclusive<f64> = 80.0..=400.0;
const INTERVAL_MS: RangeInclusive<f64> = 450.0..=3200.0;
const FLIP_ANGLE_DEG: RangeInclusive<f64> = 20.0..=70.0;
const REPETITION_TIME_MS: RangeInclusive<f64> = 2.2..=4.0;
const N_PULSES: RangeInclusive<usize> = 30..=130;
const MOST_BEFORE_CENTER: f64 = 0.6;
/// Noise over the root of the images' mean square.
const NOISE: [f32; 2] = [0.008, 0.3];
/// Pixels of one request.
const BATCH: usize = 16_384;

/// Images that the network was trained for.
#[derive(Clone, Debug, PartialEq)]
pub struct FewImages {
    times_ms: Vec<f64>,
    readout: Option<Readout>,
}

/// Why the network does not know such images.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UntrainedError {
    /// Another number.
    #[error("the network makes T1 of 4 or 5 images, {0} can be used")]
    Images(usize),
    /// More than one.
    #[error("the network makes T1 of images after one inversion, these come after {0}")]
    Inversions(usize),
    /// A first image at another time.
    #[error(
        "the network was trained with first images 80 to 400 ms after the inversion, this one is {0:.0} ms after it"
    )]
    FirstTime(f64),
    /// Other heartbeats.
    #[error("the network was trained with images 450 to 3200 ms apart, two are {0:.0} ms apart")]
    Interval(f64),
    /// Another readout.
    #[error("the network was trained with {trained}, these images have {found}")]
    Readout {
        /// What it knows.
        trained: &'static str,
        /// What there is.
        found: String,
    },
}

impl Remedy for UntrainedError {
    fn remedy(&self) -> &str {
        match self {
            Self::Images(_) => {
                "acquire 4 or 5 images after one inversion, or use the chain `molli_t1`"
            }
            Self::Inversions(_) => "use the chain `molli_t1` for several inversions",
            Self::FirstTime(_) | Self::Interval(_) => {
                "look at the inversion times; if they are right, acquire more images and use the chain `molli_t1`"
            }
            Self::Readout { .. } => {
                "acquire more images and use the chain `molli_t1`, or train the network for this readout"
            }
        }
    }
}

impl FewImages {
    /// Images that the network knows.
    ///
    /// * `times_ms`: after the inversion, ascending.
    /// * `inversions`: number of the inversion before each.
    /// * `readout`: where it is known; without it T1 is less certain.
    ///
    /// # Errors
    /// [`UntrainedError`]: it does not.
    pub fn new(
        times_ms: &[f64],
        inversions: &[i32],
        readout: Option<&Readout>,
    ) -> Result<Self, UntrainedError> {
        let mut different = inversions.to_vec();
        different.sort_unstable();
        different.dedup();
        if different.len() > 1 {
            return Err(UntrainedError::Inversions(different.len()));
        }
        if !N_IMAGES.contains(&times_ms.len()) {
            return Err(UntrainedError::Images(times_ms.len()));
        }
        let first_ms = times_ms.first().copied().unwrap_or(f64::NAN);
        if !FIRST_TIME_MS.contains(&first_ms) {
            return Err(UntrainedError::FirstTime(first_ms));
        }
        let mut intervals = times_ms.windows(2).map(|pair| pair[1] - pair[0]);
        if let Some(interval_ms) = intervals.find(|interval| !INTERVAL_MS.contains(interval)) {
            return Err(UntrainedError::Interval(interval_ms));
        }
        if let Some(readout) = readout {
            check_readout(readout)?;
        }
        Ok(Self { times_ms: times_ms.to_vec(), readout: readout.copied() })
    }

    /// Conditions but for the noise.
    fn readout(&self) -> [f32; 5] {
        self.readout.map_or([0.0; 5], |readout| {
            [
                1.0,
                readout.flip_angle_deg as f32,
                readout.repetition_time_ms as f32,
                readout.n_before_center as f32,
                readout.n_pulses as f32,
            ]
        })
    }
}

fn check_readout(readout: &Readout) -> Result<(), UntrainedError> {
    let Readout { flip_angle_deg, repetition_time_ms, n_before_center, n_pulses } = *readout;
    let faults = [
        (
            FLIP_ANGLE_DEG.contains(&flip_angle_deg),
            "flip angles from 20° to 70°",
            format!("{flip_angle_deg:.0}°"),
        ),
        (
            REPETITION_TIME_MS.contains(&repetition_time_ms),
            "repetition times from 2.2 to 4 ms",
            format!("{repetition_time_ms:.2} ms"),
        ),
        (N_PULSES.contains(&n_pulses), "30 to 130 pulses", format!("{n_pulses}")),
        (
            n_before_center as f64 <= MOST_BEFORE_CENTER * n_pulses as f64,
            "the centre of k-space in the first 60 % of the pulses",
            format!("it after {n_before_center} of {n_pulses}"),
        ),
    ];
    let fault = faults.into_iter().find(|(is_known, ..)| !is_known);
    fault.map_or(Ok(()), |(_, trained, found)| Err(UntrainedError::Readout { trained, found }))
}

/// What the network says: `[y, x]` each, 0 where it was not asked.
#[derive(Clone, Debug, PartialEq)]
pub struct T1Estimates {
    /// T1 as a full MOLLI without correction factor has it.
    pub t1_ms: Array2<f32>,
    /// Its standard deviation.
    pub sd_ms: Array2<f32>,
}

/// Asks the network for T1. Gives it with the network's name and version.
///
/// * `images`: `[image, y, x]`, with signs, in the order of the times.
/// * `noise_sd`: of the noise in a pixel, in the images' unit.
/// * `mask`: `[y, x]`: pixels to ask about.
///
/// # Errors
/// [`InferenceError`]: it cannot be asked, or answers what is no number.
pub fn estimate(
    model: &Model,
    few: &FewImages,
    images: ArrayView3<'_, f32>,
    noise_sd: f32,
    mask: ArrayView2<'_, bool>,
    session: u64,
) -> Result<(T1Estimates, String), InferenceError> {
    let (n_images, height, width) = images.dim();
    let wrong = |what: &dyn std::fmt::Display| InferenceError::Engine {
        model: model.manifest().name.clone(),
        error: EngineError::Call(what.to_string()),
    };
    if n_images != few.times_ms.len() || mask.dim() != (height, width) {
        return Err(wrong(&"images, times and mask do not belong together"));
    }
    let mut t1_ms = Array2::zeros((height, width));
    let mut sd_ms = Array2::zeros((height, width));
    let asked: Vec<[usize; 2]> = mask
        .indexed_iter()
        .filter(|(_, is_asked)| **is_asked)
        .map(|((y, x), _)| [y, x])
        .filter(|[y, x]| {
            let mut samples = images.index_axis(Axis(1), *y).column(*x).to_vec().into_iter();
            samples.all(f32::is_finite)
        })
        .collect();
    for pixels in asked.chunks(BATCH) {
        let n = pixels.len();
        let [signals, times_s, conditions] = inputs(few, images, noise_sd, pixels);
        let inputs = [
            ("signals", *N_IMAGES.end(), signals),
            ("times_s", *N_IMAGES.end(), times_s),
            ("conditions", 6, conditions),
        ];
        let inputs = inputs
            .into_iter()
            .map(|(name, size, values)| {
                Ok((name.to_owned(), Tensor::from_f32(&[n, size], values)?))
            })
            .collect::<Result<Vec<_>, ShapeError>>()
            .map_err(|error| wrong(&error))?;
        let answer = model.run(Request { inputs, session, time: None })?;
        let table = answer
            .output("estimates")
            .filter(|tensor| tensor.shape() == [n, 2])
            .map(Tensor::to_f32)
            .filter(|values| values.iter().all(|value| value.is_finite()))
            .ok_or_else(|| wrong(&"its output is no table of two numbers"))?;
        for (place, row) in pixels.iter().zip(table.chunks_exact(2)) {
            t1_ms[*place] = row[0].exp();
            sd_ms[*place] = row[0].exp() * row[1].exp();
        }
    }
    let manifest = model.manifest();
    let version = format!("{} {}", manifest.name, manifest.version);
    Ok((T1Estimates { t1_ms, sd_ms }, version))
}

/// Signals over the root of their mean square, times and conditions of some pixels, row by row.
fn inputs(
    few: &FewImages,
    images: ArrayView3<'_, f32>,
    noise_sd: f32,
    pixels: &[[usize; 2]],
) -> [Vec<f32>; 3] {
    let n_missing = N_IMAGES.end() - few.times_ms.len();
    let padding = || std::iter::repeat_n(0.0, n_missing);
    let mut times_s: Vec<f32> = few.times_ms.iter().map(|time| (time * 1e-3) as f32).collect();
    times_s.extend(padding());
    let readout = few.readout();
    let mut signals = Vec::with_capacity(pixels.len() * N_IMAGES.end());
    let mut conditions = Vec::with_capacity(pixels.len() * 6);
    for &[y, x] in pixels {
        let samples = images.index_axis(Axis(1), y);
        let samples = samples.column(x);
        let power: f32 = samples.iter().map(|sample| sample * sample).sum();
        let scale = (power / samples.len() as f32).sqrt().max(f32::MIN_POSITIVE);
        signals.extend(samples.iter().map(|sample| sample / scale));
        signals.extend(padding());
        conditions.extend(readout);
        conditions.push((noise_sd / scale).clamp(NOISE[0], NOISE[1]).ln());
    }
    [signals, times_s.repeat(pixels.len()), conditions]
}
