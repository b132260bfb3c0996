//! Gadgets that make T1 and T2 of cardiac fingerprints: spiral readouts to images of a few numbers
//! for each voxel, and those to maps.

mod arms;
mod classifier;
mod classify_fingerprint;
mod courses;
mod error;
mod map_fingerprint;
mod network;
mod noise;
mod numbers;
mod played;
mod reconstruct_fingerprint;
mod sequence;
#[cfg(test)]
mod testing;
mod timing;

pub use classifier::{Classifier, ClassifierError, Examples, Pulses, Validation};
pub use classify_fingerprint::{ClassifyFingerprint, Config as ClassifyFingerprintConfig};
pub use error::Error;
pub use map_fingerprint::{Config as MapFingerprintConfig, MapFingerprint, Method};
pub use reconstruct_fingerprint::{
    Config as ReconstructFingerprintConfig, ReconstructFingerprint, Reconstruction,
};
pub use sequence::SequenceSource;
