//! Training sets in the image domain: pictures of random hearts with everything that is known
//! about them.
//!
//! A set is a list of arrays whose slowest axis is the case. Case `index` of a seed is the same
//! whatever the number of cases and of threads; the arrays of a group of cases are made at a
//! time, so that a set of any size can be written piece by piece.
//!
//! # Method
//! Pictures take a short cut: ellipses on a grid twice as fine as the image, of whose k-space
//! the image's part is kept, so that they have a scan's resolution and ringing. The exact way
//! through k-space, with coils where they are asked for, is [`ImageOptions::route`].

mod cmrf;
mod draw;
mod dti;
mod elastic;
mod error;
mod images;
mod molli;
mod motion;
mod picture;
mod sasha;
mod segmentation;
mod series;
mod t2;
mod t2_star;
#[cfg(test)]
mod tests;
mod truth;
mod values;

pub use cmrf::{CmrfDataset, CmrfOptions};
pub use dti::{DtiDataset, DtiOptions};
pub use error::DatasetError;
pub use images::{ImageContent, ImageOptions, Route};
pub use molli::MolliSeries;
pub use motion::MotionOptions;
pub use sasha::SashaSeries;
pub use segmentation::{SegmentationContrast, SegmentationDataset};
pub use series::{Protocol, RandomRhythm, SeriesDataset, SeriesOptions};
pub use t2::T2Series;
pub use t2_star::T2StarSeries;
pub use values::{ArrayDescription, Element, Values};

/// A training set.
pub trait Dataset: Send + Sync {
    /// Its kind, as the command line says it.
    fn kind(&self) -> &'static str;

    /// The arrays of the set.
    fn arrays(&self) -> Vec<ArrayDescription>;

    /// Cases that are made together.
    fn group_len(&self) -> usize {
        1
    }

    /// The arrays of group `index`: cases `index`·[`Dataset::group_len`] and on, in the order of
    /// [`Dataset::arrays`], the case as the slowest axis of each.
    ///
    /// # Errors
    /// [`DatasetError`] for options of which no case can be made. Those that no case could be
    /// made of are refused when the set is planned.
    fn group(&self, index: u64) -> Result<Vec<Values>, DatasetError>;
}
