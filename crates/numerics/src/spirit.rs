//! SPIRiT: images whose k-space agrees with itself.
//!
//! A sample of one channel is a linear combination of its neighbours in all channels. The
//! weights of that combination, the [`Kernel`], are fitted to fully sampled calibration lines;
//! then the samples that were not acquired are those that make all of k-space obey it, whatever
//! the pattern of lines (Lustig and Pauly 2010).
//!
//! * [`Kernel::calibrate`] fits the weights,
//! * [`Kernel::fill`] solves for the missing lines, the acquired ones stay as they are,
//! * [`NonLinear`] asks for sparse wavelet coefficients over space and time as well.
//!
//! # Method
//! Lines are sampled completely along the readout. So after the transform along it each readout
//! position is a small problem of its own, in which the kernel is a product of the channels'
//! values with a matrix per pixel.

mod calibration;
mod column;
mod linear;
mod non_linear;

pub use calibration::{CalibrationError, CalibrationOptions, Kernel};
pub use linear::{FillReport, SolverOptions};
pub use non_linear::{CoilMode, NonLinear, NonLinearOptions, NonLinearReport, SparsityUnit};

#[cfg(test)]
mod tests;
