//! GRAPPA: missing lines of k-space from their neighbours in all channels.
//!
//! [`Kernel::calibrate`] fits the weights to a fully sampled region; [`Kernel::fill`] fills the
//! lines of a scan in hybrid space (readout already transformed); [`unmixing`] gives the weights
//! of the aliased coil images that make the combined image in one go, and [`g_factor`] from
//! these the noise amplification.
//!
//! K-space is `[channel, encoding_step_2, encoding_step_1, readout]`, acceleration factors are
//! `[along encoding_step_1, along encoding_step_2]`.

mod calibrate;
mod fill;
mod hybrid;
mod image_domain;
mod kernel;
mod normal_equations;

pub use calibrate::{CalibrationError, CalibrationOptions};
pub use fill::lattice_offset;
pub use hybrid::HybridKernel;
pub use image_domain::{g_factor, unmixing};
pub use kernel::Kernel;
