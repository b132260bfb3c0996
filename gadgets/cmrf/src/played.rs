//! What `reconstruct_fingerprint` tells `map_fingerprint` of the scan, in the images' meta attributes.

use ismrmrd::Meta;
use ndarray::Array2;
use numerics::fingerprint::{
    Basis, Beat, Course, Imperfections, Preparation, PulseTable, Transverse,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;

const KEY: &str = "BoresideFingerprint";

/// The numbers that were made of the echoes of a voxel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reduction {
    /// Amounts of the modes of the course's basis.
    Modes(usize),
    /// Averages over windows of so many echoes of a beat, one beginning every so many.
    Windows {
        /// Echoes of a window.
        n_echoes: usize,
        /// From window to window.
        step: usize,
    },
}

/// A fingerprint as it was played and reduced.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Played {
    /// Of each beat: -1 an inversion, 0 nothing, else the echo time of a T2 preparation, ms.
    pub preparations_ms: Vec<f64>,
    pub flip_angles_deg: Vec<Vec<f64>>,
    pub first_pulses_ms: Vec<f64>,
    pub repetition_time_ms: f64,
    pub echo_time_ms: f64,
    pub inversion_time_ms: f64,
    pub inversion_factor: f64,
    pub b1: f64,
    pub slice_profile: Vec<f64>,
    pub reduction: Reduction,
    /// Covariance of the numbers' noise but for a factor, row by row.
    pub noise_covariance: Vec<f64>,
    /// Part of the samples' energy above noise that the images leave.
    pub unexplained: f64,
    /// What is left of the noise in the directions that signals do not take, over what there was.
    pub noise_left: f64,
    /// Whether beats are missing at the end.
    pub is_truncated: bool,
    pub problems: Vec<String>,
}

impl Played {
    pub fn new(
        table: &PulseTable,
        imperfections: &Imperfections,
        first_pulses_ms: Vec<f64>,
        reduction: Reduction,
    ) -> Self {
        let value = |beat: &Beat| match beat.preparation {
            Preparation::None => 0.0,
            Preparation::Inversion { .. } => -1.0,
            Preparation::T2 { echo_time_ms } => echo_time_ms,
        };
        let inversion_time_ms = table.beats.iter().find_map(|beat| match beat.preparation {
            Preparation::Inversion { inversion_time_ms } => Some(inversion_time_ms),
            _ => None,
        });
        Self {
            preparations_ms: table.beats.iter().map(value).collect(),
            flip_angles_deg: table.beats.iter().map(|b| b.flip_angles_deg.clone()).collect(),
            first_pulses_ms,
            repetition_time_ms: table.repetition_time_ms,
            echo_time_ms: table.echo_time_ms,
            inversion_time_ms: inversion_time_ms.unwrap_or(0.0),
            inversion_factor: imperfections.inversion_factor,
            b1: imperfections.b1,
            slice_profile: imperfections.slice_profile.clone(),
            reduction,
            noise_covariance: Vec::new(),
            unexplained: 0.0,
            noise_left: 1.0,
            is_truncated: false,
            problems: Vec::new(),
        }
    }

    /// The course that its dictionary is made of.
    pub fn course(&self) -> Result<Course, Error> {
        let inversion_time_ms = self.inversion_time_ms;
        let beats =
            self.preparations_ms.iter().zip(&self.flip_angles_deg).map(|(value, angles)| {
                let preparation = match *value {
                    value if value < 0.0 => Preparation::Inversion { inversion_time_ms },
                    value if value > 0.0 => Preparation::T2 { echo_time_ms: value },
                    _ => Preparation::None,
                };
                Beat { preparation, flip_angles_deg: angles.clone() }
            });
        let table = PulseTable {
            beats: beats.collect(),
            repetition_time_ms: self.repetition_time_ms,
            echo_time_ms: self.echo_time_ms,
            transverse: Transverse::default(),
        };
        let imperfections = Imperfections {
            inversion_factor: self.inversion_factor,
            b1: self.b1,
            slice_profile: self.slice_profile.clone(),
        };
        Ok(Course::new(table, &self.first_pulses_ms, imperfections)?)
    }

    /// What makes the numbers out of the echoes: `[number, echo]`.
    pub fn reduction(&self, course: &Course) -> Array2<f32> {
        match self.reduction {
            Reduction::Modes(n) => Basis::of_course(course, n).modes,
            Reduction::Windows { n_echoes, step } => windows(&course.table, n_echoes, step),
        }
    }

    pub fn write(&self, meta: &mut Meta) {
        // A structure of numbers and texts has a text.
        meta.set(KEY, serde_json::to_string(self).unwrap_or_default());
    }

    /// [`None`] where the images are no fingerprint.
    pub fn read(meta: &Meta) -> Option<Result<Self, Error>> {
        let text = meta.get(KEY)?;
        Some(serde_json::from_str(text).map_err(|error| Error::Description(error.to_string())))
    }

    pub fn forget(meta: &mut Meta) {
        meta.remove(KEY);
    }
}

/// Averages over windows of the echoes of each beat: `[window, echo]`.
pub(crate) fn windows(table: &PulseTable, n_echoes: usize, step: usize) -> Array2<f32> {
    let mut places = Vec::new();
    let mut first = 0;
    for beat in &table.beats {
        let n = beat.flip_angles_deg.len();
        let width = n_echoes.clamp(1, n);
        places.extend((0..=n - width).step_by(step.max(1)).map(|from| (first + from, width)));
        first += n;
    }
    let mut rows = Array2::zeros((places.len(), first));
    for (mut row, (from, width)) in rows.outer_iter_mut().zip(places) {
        row.slice_mut(ndarray::s![from..from + width]).fill(1.0 / width as f32);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_gives_the_same_course() {
        let table = PulseTable::fifteen_beats(5.1, 1.52);
        let times: Vec<f64> = (0..15).map(|beat| 1010.0 * f64::from(beat)).collect();
        let imperfections = Imperfections { inversion_factor: 0.95, ..Imperfections::default() };
        let played = Played::new(&table, &imperfections, times.clone(), Reduction::Modes(8));
        let mut meta = Meta::new();
        played.write(&mut meta);
        let back = Played::read(&meta).expect("a fingerprint").expect("whole");
        assert_eq!(back, played);
        assert_eq!(back.course(), Ok(Course::new(table, &times, imperfections).expect("good")));
        assert_eq!(back.reduction(&back.course().expect("good")).dim(), (8, 705));
        meta.set(KEY, "{}");
        assert!(matches!(Played::read(&meta), Some(Err(Error::Description(_)))));
        assert!(Played::read(&Meta::new()).is_none());
    }

    #[test]
    fn three_windows_of_twenty_fit_into_a_beat_of_47() {
        let windows = windows(&PulseTable::fifteen_beats(5.1, 1.52), 20, 10);
        assert_eq!(windows.dim(), (45, 705));
        assert!(windows.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-6));
        assert_eq!((windows[[1, 9]], windows[[1, 10]], windows[[3, 46]]), (0.0, 0.05, 0.0));
    }
}
