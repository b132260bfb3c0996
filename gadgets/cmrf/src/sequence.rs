//! What was played: the pulse table by the scan's header, by properties, or a known one.

use numerics::fingerprint::{Beat, Imperfections, Preparation, PulseTable, Transverse};
use pipeline::Scan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Where the pulse table is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SequenceSource {
    /// The header where it has one; else the fifteen beats of 47 echoes, which most cardiac
    /// fingerprints are.
    #[default]
    Auto,
    /// The header: all flip angles in turn, user parameters `Preparation_0`, `Preparation_1`, … (-1 an
    /// inversion, 0 nothing, else the echo time of a T2 preparation in ms), `EchoesPerBeat`,
    /// `InversionTime_ms`, `InversionFactor`.
    Header,
    /// Three times an inversion, nothing, and T2 preparations of 30, 50 and 100 ms; 47 echoes a beat,
    /// from 4° to 12.5°, 18.75° and three times 25°.
    FifteenBeats,
}

/// What properties say of the sequence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides<'a> {
    pub source: SequenceSource,
    pub preparations_ms: &'a [f64],
    pub flip_angles_deg: &'a [f64],
    pub repetition_time_ms: Option<f64>,
    pub echo_time_ms: Option<f64>,
    pub inversion_time_ms: Option<f64>,
    pub inversion_factor: Option<f64>,
    pub b1: f64,
    pub slice_profile: &'a [f64],
}

const MAX_BEATS: usize = 1000;
const MAX_ECHOES: usize = 100_000;
/// Of the fifteen beats, where neither header nor properties tell them.
const REPETITION_TIME_MS: f64 = 10.0;
const ECHO_TIME_MS: f64 = 1.52;
const INVERSION_TIME_MS: f64 = 20.0;

impl Overrides<'_> {
    /// The pulse table, how its pulses really are, and where it is from.
    pub fn table(&self, scan: &Scan) -> Result<(PulseTable, Imperfections, &'static str), Error> {
        let header = scan.header.as_ref();
        let sequence = header.and_then(|header| header.sequence_parameters.as_ref());
        let user = header.and_then(|header| header.user_parameters.as_ref());
        let user = |name: &str| user.and_then(|user| user.double(name));
        let first = |times: Option<&Vec<f32>>| times.and_then(|t| t.first()).map(|t| f64::from(*t));
        let repetition_time_ms = self.repetition_time_ms.or(first(sequence.map(|s| &s.tr)));
        let echo_time_ms = self.echo_time_ms.or(first(sequence.map(|s| &s.te)));
        let inversion_time_ms = self.inversion_time_ms.or(user("InversionTime_ms"));
        let inversion_time_ms = inversion_time_ms.unwrap_or(INVERSION_TIME_MS);
        let preparation = |value: f64| match value {
            value if value < 0.0 => Preparation::Inversion { inversion_time_ms },
            value if value > 0.0 => Preparation::T2 { echo_time_ms: value },
            _ => Preparation::None,
        };
        let own: Vec<f64> =
            (0..MAX_BEATS).map_while(|beat| user(&format!("Preparation_{beat}"))).collect();
        let preparations =
            if self.preparations_ms.is_empty() { &own } else { self.preparations_ms };
        if let Some(value) =
            preparations.iter().chain(self.flip_angles_deg).find(|v| !v.is_finite())
        {
            return Err(Error::Sequence(format!("{value} is no preparation or flip angle")));
        }
        let is_known = self.source == SequenceSource::FifteenBeats
            || self.source == SequenceSource::Auto && preparations.is_empty();
        let angles: Vec<f64> = if self.flip_angles_deg.is_empty() {
            let angles = sequence.map(|s| &s.flip_angle_deg[..]).unwrap_or_default();
            angles.iter().map(|angle| f64::from(*angle)).collect()
        } else {
            self.flip_angles_deg.to_vec()
        };
        let (mut table, from) = if is_known {
            let repetition_time_ms = repetition_time_ms.unwrap_or(REPETITION_TIME_MS);
            let echo_time_ms = echo_time_ms.unwrap_or(ECHO_TIME_MS);
            let table = PulseTable::fifteen_beats(repetition_time_ms, echo_time_ms);
            // A header often tells one angle only, the nominal one.
            let tells_all = !self.flip_angles_deg.is_empty()
                || self.source == SequenceSource::Auto && angles.len() == table.n_echoes();
            let known = table.beats.iter().flat_map(|beat| &beat.flip_angles_deg);
            let are_close = |(told, known): (&f64, &f64)| (told - known).abs() <= 0.01 * known;
            let is_it = angles.len() == table.n_echoes() && angles.iter().zip(known).all(are_close);
            if tells_all && !is_it {
                let what = "the flip angles are not those of the fifteen beats, and nothing tells the preparations";
                return Err(Error::Sequence(what.to_owned()));
            }
            (table, "fifteen beats")
        } else {
            if preparations.is_empty() {
                return Err(Error::Sequence("the header has no `Preparation_0`".to_owned()));
            }
            let n_beats = preparations.len();
            let is_whole = !angles.is_empty() && angles.len().is_multiple_of(n_beats);
            if !is_whole || angles.len() > MAX_ECHOES {
                return Err(Error::Sequence(format!(
                    "{} flip angles for {n_beats} beats",
                    angles.len()
                )));
            }
            let of_beat = angles.len() / n_beats;
            if let Some(told) = user("EchoesPerBeat")
                && told != of_beat as f64
                && self.flip_angles_deg.is_empty()
            {
                return Err(Error::Sequence(format!(
                    "{} flip angles for {n_beats} beats of {told} echoes",
                    angles.len()
                )));
            }
            let missing = |what: &str| Error::Sequence(format!("the header has no {what}"));
            let beats = angles.chunks(of_beat).zip(preparations).map(|(angles, value)| Beat {
                preparation: preparation(*value),
                flip_angles_deg: angles.to_vec(),
            });
            let table = PulseTable {
                beats: beats.collect(),
                repetition_time_ms: repetition_time_ms.ok_or_else(|| missing("TR"))?,
                echo_time_ms: echo_time_ms.ok_or_else(|| missing("TE"))?,
                transverse: Transverse::default(),
            };
            (table, if self.preparations_ms.is_empty() { "header" } else { "properties" })
        };
        for beat in &mut table.beats {
            if let Preparation::Inversion { inversion_time_ms: of_beat } = &mut beat.preparation {
                *of_beat = inversion_time_ms;
            }
        }
        let profile = if self.slice_profile.is_empty() { &[1.0] } else { self.slice_profile };
        let imperfections = Imperfections {
            inversion_factor: self.inversion_factor.or(user("InversionFactor")).unwrap_or(1.0),
            b1: self.b1,
            slice_profile: profile.to_vec(),
        };
        Ok((table, imperfections, from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scan;

    fn overrides() -> Overrides<'static> {
        Overrides { b1: 1.0, ..Overrides::default() }
    }

    #[test]
    fn a_header_without_preparations_is_taken_for_the_fifteen_beats() {
        let (table, imperfections, from) = overrides().table(&Scan::default()).expect("a table");
        assert_eq!(table, PulseTable::fifteen_beats(10.0, 1.52));
        assert_eq!((imperfections, from), (Imperfections::default(), "fifteen beats"));
    }

    #[test]
    fn the_header_tells_the_table() {
        let scan = scan(&[-1.0, 0.0, 40.0], &[5.0, 10.0, 5.0, 10.0, 5.0, 10.0]);
        let (table, imperfections, from) = overrides().table(&scan).expect("a table");
        assert_eq!(from, "header");
        assert_eq!(table.beats[0].preparation, Preparation::Inversion { inversion_time_ms: 21.0 });
        assert_eq!(table.beats[2].preparation, Preparation::T2 { echo_time_ms: 40.0 });
        assert_eq!(table.beats[1].flip_angles_deg, [5.0, 10.0]);
        assert_eq!(imperfections.inversion_factor, 0.96_f64);
    }

    #[test]
    fn other_angles_without_preparations_are_not_taken_for_the_fifteen_beats() {
        let table = PulseTable::fifteen_beats(10.0, 1.52);
        let mut angles: Vec<f64> =
            table.beats.iter().flat_map(|beat| beat.flip_angles_deg.clone()).collect();
        let of = |angles: &[f64]| {
            let overrides = Overrides { flip_angles_deg: angles, ..overrides() };
            overrides.table(&Scan::default()).map(|(table, ..)| table)
        };
        assert_eq!(of(&angles).expect("these are"), table);
        angles[20] *= 1.1;
        assert!(
            matches!(of(&angles), Err(Error::Sequence(what)) if what.contains("fifteen beats"))
        );
        assert!(matches!(of(&angles[..100]), Err(Error::Sequence(_))));
    }

    #[test]
    fn angles_that_do_not_fit_the_beats_are_refused() {
        let scan = scan(&[-1.0, 0.0, 40.0], &[5.0, 10.0, 5.0, 10.0]);
        let Err(Error::Sequence(what)) = overrides().table(&scan) else { panic!("4 for 3 beats") };
        assert_eq!(what, "4 flip angles for 3 beats");
        let header = Overrides { source: SequenceSource::Header, ..overrides() };
        assert!(matches!(header.table(&Scan::default()), Err(Error::Sequence(_))));
    }
}
