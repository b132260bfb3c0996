//! Echo-planar readouts: from samples on gradient ramps to even pixels, and the phase by which
//! readouts of opposite directions differ.

mod filter;
mod phase;
mod regridding;
mod trapezoid;

pub use filter::NavigatorFilter;
pub use phase::{
    B0Correction, NavigatorError, NavigatorOptions, OddEvenCorrection, Parameter, PhaseCorrection,
};
pub use regridding::{PixelGrid, Regridding, RegriddingError, RegriddingOptions};
pub use trapezoid::{Trapezoid, TrapezoidError};
