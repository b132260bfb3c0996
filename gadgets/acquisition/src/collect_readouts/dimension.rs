//! What buckets are released and sorted by.

use pipeline::Counter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! dimensions {
    ($($(#[$attribute:meta])* $variant:ident = $name:literal,)*) => {
        /// A counter of the readouts, or their number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
        pub enum Dimension {
            $($(#[$attribute])* #[serde(rename = $name)] $variant,)*
            /// Number of readouts.
            #[serde(rename = "n_acquisitions")]
            NAcquisitions,
        }

        impl Dimension {
            /// The counter, [`None`] for the number of readouts.
            pub fn counter(self) -> Option<Counter> {
                match self {
                    $(Self::$variant => Some(Counter::$variant),)*
                    Self::NAcquisitions => None,
                }
            }

            /// Name of a counter.
            pub(super) fn name(counter: Counter) -> &'static str {
                match counter {
                    $(Counter::$variant => $name,)*
                }
            }
        }
    };
}

dimensions! {
    /// Phase-encoding line.
    #[serde(alias = "kspace_encode_step_1")]
    EncodingStep1 = "encoding_step_1",
    /// Partition.
    #[serde(alias = "kspace_encode_step_2")]
    EncodingStep2 = "encoding_step_2",
    /// Average.
    Average = "average",
    /// Slice.
    Slice = "slice",
    /// Contrast, e.g. the echo.
    Contrast = "contrast",
    /// Cardiac phase.
    Phase = "phase",
    /// Repetition.
    Repetition = "repetition",
    /// Set, e.g. the inversion time.
    Set = "set",
    /// Segment.
    Segment = "segment",
    /// User counter 0.
    User0 = "user_0",
    /// User counter 1.
    User1 = "user_1",
    /// User counter 2.
    User2 = "user_2",
    /// User counter 3.
    User3 = "user_3",
    /// User counter 4.
    User4 = "user_4",
    /// User counter 5.
    User5 = "user_5",
    /// User counter 6.
    User6 = "user_6",
    /// User counter 7.
    User7 = "user_7",
}
