//! Numerical methods of MR reconstruction, as pure functions on arrays.
//!
//! No I/O, no messages, no clock. Arrays are named slowest axis first. What depends on a
//! shape is a plan that is built once and shared; results are the same bit for bit however
//! many threads compute them.

pub mod aha_segments;
mod binary_exponent;
pub mod bloch;
pub mod cholesky;
pub mod coil_compression;
pub mod coil_maps;
pub mod denoise;
pub mod diffusion;
pub mod discriminant;
pub mod epg;
pub mod epi;
pub mod fft;
pub mod fingerprint;
pub mod grappa;
pub mod joint;
mod line_transform;
pub mod nufft;
pub mod partial_fourier;
pub mod percentile;
mod plane;
pub mod registration;
pub mod relaxation;
pub mod sense;
pub mod spirit;
pub mod spline;
pub mod triangular;
pub mod wavelet;
pub mod whitening;
pub mod windows;
