//! Fingerprints: the course of a voxel's signal over a sequence whose pulses change, and the T1
//! and T2 that it tells (Ma et al. 2013; of the heart Hamilton et al. 2017).
//!
//! [`PulseTable`] says what is played, [`Course`] when, [`signals`] what tissues answer.
//! [`Basis`] keeps the few shapes that all answers are made of, [`Dictionary`] their amounts for a
//! grid of T1 and T2, and [`Dictionary::match_pixels`] finds the place between its entries that a
//! pixel fits best. [`Subspace`] makes the images of the basis from the arms that were read.

mod basis;
mod dictionary;
mod grid;
mod interpolation;
mod matching;
mod pulse_table;
mod signals;
mod subspace;
#[cfg(test)]
mod tests;

pub use basis::Basis;
pub use dictionary::Dictionary;
pub use grid::{Grid, GridError};
pub use matching::{MatchOptions, Matches};
pub use pulse_table::{
    Beat, Course, CourseError, Imperfections, Preparation, PulseTable, Transverse,
};
pub use signals::signals;
pub use subspace::{Shot, Subspace, SubspaceImages, SubspaceOptions};
