//! What pulses make of a tissue's magnetisation.

mod block;

pub use block::{BalancedTrain, Block, SignalModel, SpoiledTrain, Spoiling, Startup};
