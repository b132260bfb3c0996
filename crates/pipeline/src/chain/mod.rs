//! Chain files: reading, checking, finding them by name, their schema.

mod absent;
mod check;
mod error;
mod file;
mod gadgetron_xml;
mod library;
mod native_toml;
mod schema;

pub use check::Chain;
pub(crate) use check::{Planned, PlannedGadget};
pub use error::{ChainError, ChainFault};
pub use file::{ChainFile, GadgetStep, ParallelProcessStep, ParallelStep, Step};
pub use library::{ChainEntry, ChainLibrary, LibraryError};
pub use schema::chain_schema;
