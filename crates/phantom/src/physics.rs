//! What pulses make of a tissue's magnetisation.
//!
//! Signals are complex with the phase of an on-resonant echo as zero: the receiver follows the
//! pulses. A tissue whose resonance is above the scanner's turns by exp(+2πi·f·t).

mod block;
mod check;
mod closed_form;
mod ideal;
mod imperfections;
mod magnetization;
mod spins;
#[cfg(test)]
mod tests;

pub use block::{BalancedTrain, Block, SignalModel, SpoiledTrain, Spoiling, Startup};
pub use check::{BlockFault, OutOfRange, TimelineError, check};
pub use imperfections::{Imperfections, SliceSample, imperfect_echoes};
pub use magnetization::{Magnetization, echoes};
