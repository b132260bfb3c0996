//! What `proto/` says, as Rust types.

// Made from files whose comments are for all languages.
#![allow(missing_docs, clippy::all, rustdoc::all)]

tonic::include_proto!("boreside.v1");

/// The descriptors, for reflection.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
