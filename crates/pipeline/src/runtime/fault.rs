//! What went wrong in a chain, for the client, the log and the viewer.

use std::fmt;

use crate::message::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is wrong; it is good to know.
    Info,
    /// The result is there; something about it should be known.
    Warning,
    /// A result is missing.
    Error,
}

/// Something that went wrong: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the gadget in its chain.
    pub gadget: String,
    /// Where in the scan.
    pub place: Option<Place>,
    /// What happened.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Fault {
    pub(crate) fn error(
        gadget: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            gadget: gadget.into(),
            place: None,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Fault {
    /// `map_t1, slice 2: what` and, on a second line, what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.gadget)?;
        if let Some(place) = self.place {
            write!(f, ", slice {}", place.slice)?;
            if place.repetition > 0 {
                write!(f, ", repetition {}", place.repetition)?;
            }
        }
        write!(f, ": {}", self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "\n  {}", self.remedy)?;
        }
        Ok(())
    }
}
