//! Answers to questions for earlier measurements.

use ismrmrd::Meta;

/// What a client asked of an earlier measurement, by name; it goes out as message 1019.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer(pub Meta);
