//! Why no map can be made.

use numerics::relaxation::{PlanError, PreparedPlanError};
use pipeline::times::TimesError;
use pipeline::{Remedy, SeriesShapeError};

/// Why no map can be made of a series, or not with these properties.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Times that are missing or wrong.
    #[error(transparent)]
    Times(#[from] TimesError),
    /// Too few images that differ.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// Times that do not tell both T1 and T2.
    #[error("{0}")]
    PreparedPlan(#[from] PreparedPlanError),
    /// Parts that do not belong together.
    #[error("{0}")]
    Shape(#[from] SeriesShapeError),
    /// Nothing in any image.
    #[error("none of the {0} images holds anything that is a number and not 0")]
    Empty(usize),
    /// Images of single channels.
    #[error("images of {0} channels, a map is made of combined ones")]
    Channels(usize),
    /// A property that makes no sense.
    #[error("`{property}` is {value}")]
    Property {
        /// Its name.
        property: &'static str,
        /// Its value.
        value: String,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Times(error) => error.remedy(),
            Self::Plan(_) => "repeat the scan: it needs more images at different times",
            Self::PreparedPlan(PreparedPlanError::Times { .. }) => {
                "correct the times in the data or their header, or set `delay_ms`"
            }
            Self::PreparedPlan(_) => {
                "acquire images after saturations with and without T2 preparation; for T1 or T2 alone there are `map_t1_saturation` and `map_t2`"
            }
            Self::Shape(_) => "correct the gadget or the client that made the series",
            Self::Empty(_) => "repeat the scan",
            Self::Channels(_) => "put `combine_channels` before it",
            Self::Property { .. } => "give it a value above 0",
        }
    }
}

/// A property that must be a number above 0.
pub(crate) fn positive(property: &'static str, value: f64) -> Result<f64, Error> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(Error::Property { property, value: value.to_string() })
    }
}
