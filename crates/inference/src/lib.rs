//! Networks by manifest: ONNX models, checked, guarded, in processes of their own.
//!
//! A model is data: an `.onnx` file and a [`Manifest`] beside it. [`Models`] holds those of a
//! site. A gadget opens one by name, and gets an answer with its [`Provenance`], or an
//! [`InferenceError`] that says why its classical method has to run.

mod check;
mod engine;
mod error;
pub mod features;
mod golden;
pub mod guard;
mod lane;
pub mod manifest;
mod models;
pub mod onnx;
mod provenance;
mod queue;
pub mod runtime;
mod shared_memory;
mod tensor;
mod turns;
pub mod worker;

pub use check::{Difference, check, sha256_hex};
pub use engine::{Engine, EngineError, EngineOptions, Placement, run_options};
pub use error::InferenceError;
pub use golden::{GoldenError, GoldenSet};
pub use lane::{Answer, Request};
pub use manifest::Manifest;
pub use models::{BuiltIn, Health, Listing, Model, ModelSettings, Models};
pub use provenance::Provenance;
pub use runtime::{Provider, ProviderChoice};
pub use tensor::{ElementType, Elements, ShapeError, Tensor};
