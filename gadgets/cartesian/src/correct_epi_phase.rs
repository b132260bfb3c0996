//! Phases between the readouts of an echo-planar train.

use std::collections::BTreeMap;

use ismrmrd::AcquisitionFlags;
use ndarray::{Array3, Axis};
use num_complex::Complex64;
use numerics::epi::{
    B0Correction, NavigatorFilter, NavigatorOptions, OddEvenCorrection, PhaseCorrection,
};
use pipeline::{Acquisition, Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::epi_header::{EpiHeader, EpiHeaderError};

/// Corrects the phases of echo-planar readouts by the navigators of their shot: ghosts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the phase from echo to echo is taken to vary along the readout.
    #[serde(alias = "B0CorrectionMode")]
    pub b0_correction: B0Mode,
    /// How the phase between readouts of opposite directions is taken to vary along the readout.
    #[serde(alias = "OEPhaseCorrectionMode")]
    pub odd_even_correction: OddEvenMode,
    /// Shots of a slice over which the parameters of the correction are smoothed; below 2: none.
    #[serde(alias = "navigatorParameterFilterLength")]
    #[schemars(range(max = 10000))]
    pub navigator_filter_length: i32,
    /// Repetitions at the start that are left alone by the smoothing.
    #[serde(alias = "navigatorParameterFilterExcludeVols")]
    pub navigator_filter_excluded_repetitions: u32,
    /// Navigator, from 0, whose signal is the weight of a shot when parameters are smoothed.
    #[serde(alias = "referenceNavigatorNumber")]
    pub reference_navigator: u32,
    /// Without effect; in Gadgetron's chain files it fills the log.
    #[serde(alias = "verboseMode")]
    pub verbose: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            b0_correction: B0Mode::Mean,
            odd_even_correction: OddEvenMode::Polynomial,
            navigator_filter_length: 0,
            navigator_filter_excluded_repetitions: 0,
            reference_navigator: 1,
            verbose: false,
        }
    }
}

/// Phase from echo to echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum B0Mode {
    /// Not corrected.
    None,
    /// The same everywhere.
    Mean,
    /// A straight line.
    Linear,
}

/// Phase between directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OddEvenMode {
    /// Not corrected.
    None,
    /// The same everywhere.
    Mean,
    /// A straight line.
    Linear,
    /// A line and a polynomial of fourth order.
    Polynomial,
}

/// No shot has more navigators.
const MAX_NAVIGATORS: usize = 256;

/// Takes the phases out of the readouts of encoding space 0 that the navigators of their shot
/// show, and keeps the navigators. Readouts that come before their navigators wait for them.
pub struct CorrectEpiPhase {
    config: Config,
    /// Navigators of a shot; [`None`] where the header does not say, then imaging readouts end
    /// them.
    n_expected: Option<usize>,
    /// Partitions, each of which is a shot.
    n_partitions: usize,
    navigators: Vec<Acquisition>,
    /// That of the navigators, once they are complete.
    correction: Option<PhaseCorrection>,
    /// Imaging readouts that wait for navigators.
    waiting: Vec<Acquisition>,
    /// Shot of the last readout that was corrected, and its number in it.
    shot: Option<Shot>,
    echo: usize,
    filters: BTreeMap<(u16, u16), NavigatorFilter>,
    told_missing: bool,
}

/// What tells shots apart: slice, repetition, set, cardiac phase. Navigators may carry averages
/// and lines of their own, and a train may have several contrasts.
type Shot = [u16; 4];

fn shot_of(readout: &Acquisition) -> Shot {
    let idx = &readout.header.idx;
    [idx.slice, idx.repetition, idx.set, idx.phase]
}

impl Gadget for CorrectEpiPhase {
    const NAME: &str = "correct_epi_phase";
    const ALIASES: &'static [&'static str] = &["EPICorrGadget"];
    type Config = Config;
    type Input = Acquisition; // [channel, x]
    type Output = Acquisition; // [channel, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let (header, encoding) = EpiHeader::of(scan)?;
        let reference = config.reference_navigator as usize;
        if let Some(n_navigators) = header.n_navigators
            && config.navigator_filter_length > 1
            && reference >= n_navigators
        {
            return Err(Error::NoReference { reference, n_navigators });
        }
        let partitions = encoding.encoding_limits.kspace_encoding_step_2;
        Ok(Self {
            config,
            n_expected: header.n_navigators,
            n_partitions: partitions.map_or(1, |limit| limit.count()),
            navigators: Vec::new(),
            correction: None,
            waiting: Vec::new(),
            shot: None,
            echo: 0,
            filters: BTreeMap::new(),
            told_missing: false,
        })
    }

    fn process(&mut self, readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        let header = &readout.header;
        if header.encoding_space_ref > 0
            || header.flags.intersects(
                AcquisitionFlags::IS_NOISE_MEASUREMENT.union(AcquisitionFlags::IS_DUMMYSCAN_DATA),
            )
        {
            out.push(readout);
            return Ok(());
        }
        if header.flags.contains(AcquisitionFlags::IS_PHASECORR_DATA) {
            return self.navigator(readout, out);
        }
        if self.correction.is_none() && self.n_expected.is_none() && !self.navigators.is_empty() {
            self.estimate()?;
        }
        if self.correction.is_some() {
            return self.correct(readout, out);
        }
        let other_shot =
            self.waiting.first().is_some_and(|first| shot_of(first) != shot_of(&readout));
        if other_shot {
            // Its navigators did not come.
            self.release_waiting(out)?;
        }
        if self.n_expected == Some(0) {
            self.pass(readout, out);
        } else {
            self.waiting.push(readout);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        self.release_waiting(out)
    }
}

impl CorrectEpiPhase {
    fn navigator(&mut self, readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        if self.n_expected == Some(0) {
            // The header is wrong.
            self.n_expected = None;
        }
        let is_complete = self.correction.is_some() || self.navigators.len() == MAX_NAVIGATORS;
        let other_shot =
            self.navigators.first().is_some_and(|first| shot_of(first) != shot_of(&readout));
        if !is_complete && other_shot {
            self.release_waiting(out)?;
        }
        if is_complete || other_shot {
            self.navigators.clear();
            self.correction = None;
            self.shot = None;
        }
        if let Some(first) = self.navigators.first()
            && first.data.dim() != readout.data.dim()
        {
            let expected = first.data.dim();
            self.navigators.clear();
            return Err(Error::Navigator {
                scan_counter: readout.header.scan_counter,
                found: readout.data.dim(),
                expected,
            });
        }
        self.navigators.push(readout);
        if self.n_expected == Some(self.navigators.len()) {
            self.estimate()?;
            for readout in std::mem::take(&mut self.waiting) {
                self.correct(readout, out)?;
            }
        }
        Ok(())
    }

    /// The correction of the navigators that there are.
    fn estimate(&mut self) -> Result<(), Error> {
        let Some(first) = self.navigators.first() else {
            return Ok(());
        };
        let (n_channels, n_pixels) = first.data.dim();
        let is_reverse = first.header.flags.contains(AcquisitionFlags::IS_REVERSE);
        let key = (first.header.idx.slice, first.header.idx.set);
        let mut images = Array3::zeros((self.navigators.len(), n_channels, n_pixels));
        for (mut image, navigator) in images.outer_iter_mut().zip(&self.navigators) {
            image.assign(&navigator.data);
        }
        let options = NavigatorOptions {
            b0: match self.config.b0_correction {
                B0Mode::None => B0Correction::None,
                B0Mode::Mean => B0Correction::Mean,
                B0Mode::Linear => B0Correction::Linear,
            },
            odd_even: match self.config.odd_even_correction {
                OddEvenMode::None => OddEvenCorrection::None,
                OddEvenMode::Mean => OddEvenCorrection::Mean,
                OddEvenMode::Linear => OddEvenCorrection::Linear,
                OddEvenMode::Polynomial => OddEvenCorrection::Polynomial,
            },
        };
        let length = usize::try_from(self.config.navigator_filter_length).unwrap_or(0);
        let excluded = self.config.navigator_filter_excluded_repetitions as usize;
        let n_excluded = excluded.saturating_mul(self.n_partitions);
        let filter =
            self.filters.entry(key).or_insert_with(|| NavigatorFilter::new(length, n_excluded));
        let reference = (self.config.reference_navigator as usize).min(self.navigators.len() - 1);
        let reference = images.index_axis(Axis(0), reference);
        let sum: Complex64 =
            reference.iter().map(|v| Complex64::new(v.re.into(), v.im.into())).sum();
        filter.begin_shot(sum.norm() / reference.len().max(1) as f64);
        let smooth = |parameter, value| filter.smooth(parameter, value);
        // Fewer than two say nothing: the readouts of the shot are passed on as they are.
        self.correction =
            PhaseCorrection::estimate(images.view(), is_reverse, options, smooth).ok();
        Ok(())
    }

    fn correct(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        let shot = shot_of(&readout);
        if self.shot != Some(shot) {
            self.shot = Some(shot);
            self.echo = 0;
        }
        let Some(correction) = &self.correction else {
            self.pass(readout, out);
            return Ok(());
        };
        let expected = correction.b0_rad().len();
        if readout.n_samples() != expected {
            let (found, scan_counter) = (readout.n_samples(), readout.header.scan_counter);
            return Err(Error::Readout { scan_counter, found, expected });
        }
        let is_reverse = readout.header.flags.contains(AcquisitionFlags::IS_REVERSE);
        correction.apply(readout.data.view_mut(), self.echo, is_reverse);
        self.echo += 1;
        readout.header.flags = readout.header.flags.without(AcquisitionFlags::IS_REVERSE);
        out.push(readout);
        Ok(())
    }

    /// Readouts whose navigators are not complete and will not be.
    fn release_waiting(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.estimate()?;
        if self.correction.is_some() {
            self.tell_missing(out, "those that there are were used");
        }
        for readout in std::mem::take(&mut self.waiting) {
            self.correct(readout, out)?;
        }
        self.navigators.clear();
        self.correction = None;
        Ok(())
    }

    /// Lets a readout go without correction.
    fn pass(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) {
        self.tell_missing(out, "readouts pass without phase correction, expect ghosts");
        readout.header.flags = readout.header.flags.without(AcquisitionFlags::IS_REVERSE);
        out.push(readout);
    }

    fn tell_missing(&mut self, out: &mut Sink<Self>, consequence: &str) {
        if std::mem::replace(&mut self.told_missing, true) {
            return;
        }
        let found = self.navigators.len();
        let expected = match self.n_expected {
            Some(expected) => format!("the header announces {expected}"),
            None => "at least 2 are needed".to_owned(),
        };
        out.warn(
            format!("a shot has {found} phase-correction navigators and {expected}; {consequence}"),
            "acquire navigators with every shot, flag them as phase-correction data, and correct \
             `numberOfNavigators` in the header",
        );
    }
}

/// Navigators and readouts that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The header describes no train.
    #[error(transparent)]
    Header(#[from] EpiHeaderError),
    /// No such navigator.
    #[error("navigator {reference}, from 0, is to be the reference of {n_navigators}")]
    NoReference {
        /// The property.
        reference: usize,
        /// Those of the header.
        n_navigators: usize,
    },
    /// Navigators of different sizes.
    #[error(
        "navigator {scan_counter} has (channels, pixels) {found:?}, and the one before it \
         {expected:?}"
    )]
    Navigator {
        /// Which one.
        scan_counter: u32,
        /// Its size.
        found: (usize, usize),
        /// That of the others.
        expected: (usize, usize),
    },
    /// A readout of another length than its navigators.
    #[error("readout {scan_counter} has {found} pixels, and its navigators {expected}")]
    Readout {
        /// Which one.
        scan_counter: u32,
        /// Its pixels.
        found: usize,
        /// Those of the navigators.
        expected: usize,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Header(error) => error.remedy(),
            Self::NoReference { .. } => "set `reference_navigator` to a lower number",
            Self::Navigator { .. } | Self::Readout { .. } => {
                "put `regrid_epi` before `correct_epi_phase`"
            }
        }
    }
}

#[cfg(test)]
mod tests;
