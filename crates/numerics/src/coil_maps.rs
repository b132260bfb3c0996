//! Coil sensitivities estimated from coil images: `[channel, z, y, x]`.
//!
//! All of them give maps with Σ|s|² = 1 over the channels, 0 where the images are 0 all over
//! the window. They differ in the phase, see each function.

mod inati;
mod inati_iterative;
mod local_eigenvector;
mod walsh;

pub use inati::{InatiOptions, inati};
pub use inati_iterative::{InatiIterativeOptions, inati_iterative};
pub use walsh::{WalshOptions, walsh};
