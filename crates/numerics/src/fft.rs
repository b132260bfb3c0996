//! Centred, unitary Fourier transforms.
//!
//! The origin of every axis of length N is at index N/2 (rounded down), in k-space and in the
//! image, and each transformed axis is scaled by 1/√N in both directions:
//!
//! X\[k\] = 1/√N · Σₙ x\[n\] · exp(∓2πi (k − c)(n − c) / N), c = ⌊N/2⌋,
//!
//! with the minus sign for the forward transform (image to k-space). So noise keeps its
//! standard deviation, and forward and inverse undo each other.
//!
//! # Method
//! The shifts to and from the centred order cost no pass over memory of their own. For even N
//! the shift of the input is a change of sign of every other output and a shift of the output
//! by N/2, both folded into the copy that scales it; the signs are exact. Odd lengths are
//! rotated.

mod axes;
mod centered;
mod crop_readout;
#[cfg(test)]
mod reference;
mod through_k_space;

pub use axes::{Plan, forward_2d, forward_axes, inverse_2d, inverse_axes};
pub use centered::{Centered, Direction};
pub use crop_readout::{CropReadout, CropReadoutError};
pub use through_k_space::{ThroughKSpace, ThroughKSpaceError};
