//! What a Boreside gadget is, the messages that flow between gadgets, chain files and the
//! runtime that carries a scan through a chain.
//!
//! The crate knows no socket and no reconstruction: the messages' types come from [`ismrmrd`],
//! the gadgets from the crates above.

mod answer;
pub mod appearance;
pub mod chain;
mod contract;
mod counter;
mod dicom_file;
mod frames;
mod gadget;
pub mod image_facts;
pub mod image_notes;
mod image_role;
mod image_series;
mod k_space;
mod limits;
pub mod map_store;
mod message;
pub mod noise;
pub mod palette;
mod parametric_map;
pub mod properties;
mod registry;
mod runtime;
mod scan;
mod services;
pub mod times;
mod trajectory_unit;
pub mod unprocessed;
mod wire_form;

pub use answer::Answer;
pub use chain::{Chain, ChainError, ChainLibrary};
pub use contract::ScannerContract;
pub use counter::{Counter, choice_schema};
pub use dicom_file::DicomFile;
pub use frames::{SeriesShapeError, Stack};
pub use gadget::{Gadget, Remedy, Sink, run_gadget};
pub use image_facts::{ImageFacts, ImageKind, ModelFacts};
pub use image_role::ImageRole;
pub use image_series::ImageSeries;
pub use ismrmrd::{Acquisition, Bucket, Image, Waveform};
pub use k_space::KSpace;
pub use message::{Accept, Give, Kinds, Message, Place};
pub use parametric_map::{
    ParametricMap, Presentation, REMARK_KEY, Unit, Verdict, View, WINDOW_KEY, window_of,
};
pub use registry::{GadgetEntry, Registry, nearest};
pub use runtime::{CALL_BOUNDS_S, Canceller, Fault, GadgetStatistics, Run, Severity, Statistics};
pub use scan::{Scan, ScanError};
pub use services::Services;
pub use trajectory_unit::TrajectoryUnit;
