//! A simulated MR scanner: analytic phantoms and sequences to MRD data with known truth.
//!
//! Objects are ellipses, whose k-space is known in closed form; coils are sums of plane waves,
//! which only shift it. So multi-coil k-space is exact, and no grid of pixels stands between
//! the truth and the data. No file I/O.

mod bessel;
mod cartesian;
mod coils;
mod ellipse;
mod noise;
mod object_spectrum;
mod shepp_logan;

pub use cartesian::{Calibration, CartesianOptions, CartesianScan, NoiseScan, OptionsError};
pub use coils::{CoilSensitivities, LoopArray};
pub use ellipse::Ellipse;
pub use noise::NoiseSource;
pub use object_spectrum::{CartesianGrid, ObjectSpectrum};
pub use shepp_logan::shepp_logan;
