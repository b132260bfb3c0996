//! The MRD counters that readouts are sorted by.

use ismrmrd::AcquisitionFlags;
use ismrmrd::EncodingCounters;
use schemars::JsonSchema;
use serde::Deserialize;

/// A counter in the header of every readout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// Phase-encoding line.
    #[serde(alias = "kspace_encode_step_1")]
    #[serde(rename = "encoding_step_1")]
    EncodingStep1,
    /// Partition.
    #[serde(alias = "kspace_encode_step_2")]
    #[serde(rename = "encoding_step_2")]
    EncodingStep2,
    /// Average.
    Average,
    /// Slice.
    Slice,
    /// Contrast, e.g. the echo.
    Contrast,
    /// Cardiac phase.
    Phase,
    /// Repetition.
    Repetition,
    /// Set, e.g. the inversion time.
    Set,
    /// Segment.
    Segment,
    /// User counter 0.
    #[serde(rename = "user_0")]
    User0,
    /// User counter 1.
    #[serde(rename = "user_1")]
    User1,
    /// User counter 2.
    #[serde(rename = "user_2")]
    User2,
    /// User counter 3.
    #[serde(rename = "user_3")]
    User3,
    /// User counter 4.
    #[serde(rename = "user_4")]
    User4,
    /// User counter 5.
    #[serde(rename = "user_5")]
    User5,
    /// User counter 6.
    #[serde(rename = "user_6")]
    User6,
    /// User counter 7.
    #[serde(rename = "user_7")]
    User7,
}

impl Counter {
    /// This counter of a readout.
    pub fn of(self, counters: &EncodingCounters) -> u16 {
        match self {
            Self::EncodingStep1 => counters.kspace_encode_step_1,
            Self::EncodingStep2 => counters.kspace_encode_step_2,
            Self::Average => counters.average,
            Self::Slice => counters.slice,
            Self::Contrast => counters.contrast,
            Self::Phase => counters.phase,
            Self::Repetition => counters.repetition,
            Self::Set => counters.set,
            Self::Segment => counters.segment,
            Self::User0 => counters.user[0],
            Self::User1 => counters.user[1],
            Self::User2 => counters.user[2],
            Self::User3 => counters.user[3],
            Self::User4 => counters.user[4],
            Self::User5 => counters.user[5],
            Self::User6 => counters.user[6],
            Self::User7 => counters.user[7],
        }
    }

    /// The flag that marks the last readout of one value of this counter; the user counters
    /// have none.
    pub fn last_flag(self) -> Option<AcquisitionFlags> {
        Some(match self {
            Self::EncodingStep1 => AcquisitionFlags::LAST_IN_ENCODE_STEP1,
            Self::EncodingStep2 => AcquisitionFlags::LAST_IN_ENCODE_STEP2,
            Self::Average => AcquisitionFlags::LAST_IN_AVERAGE,
            Self::Slice => AcquisitionFlags::LAST_IN_SLICE,
            Self::Contrast => AcquisitionFlags::LAST_IN_CONTRAST,
            Self::Phase => AcquisitionFlags::LAST_IN_PHASE,
            Self::Repetition => AcquisitionFlags::LAST_IN_REPETITION,
            Self::Set => AcquisitionFlags::LAST_IN_SET,
            Self::Segment => AcquisitionFlags::LAST_IN_SEGMENT,
            _ => return None,
        })
    }
}
