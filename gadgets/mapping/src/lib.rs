//! Maps of T1, T2, T2* and extracellular volume, each with its uncertainty and a verdict.

mod assess;
mod error;
mod estimate_t1;
mod map_ecv;
mod map_t1;
mod map_t1_saturation;
mod map_t1_t2;
mod map_t2;
mod map_t2_star;
mod report_myocardium;
mod results;
mod source;
#[cfg(test)]
mod testing;

pub use error::Error;
pub use estimate_t1::{
    Config as EstimateT1Config, EstimateT1, FewImages, Readout, T1Estimates, UntrainedError,
    estimate as estimate_t1_of_few_images,
};
pub use map_ecv::{Config as MapEcvConfig, Error as EcvError, MapEcv};
pub use map_t1::{Config as MapT1Config, MapT1, Recovery};
pub use map_t1_saturation::{Config as MapT1SaturationConfig, MapT1Saturation};
pub use map_t1_t2::{Config as MapT1T2Config, MapT1T2};
pub use map_t2::{Config as MapT2Config, MapT2};
pub use map_t2_star::{Config as MapT2StarConfig, MapT2Star};
pub use report_myocardium::{
    Config as ReportMyocardiumConfig, Error as ReportMyocardiumError, ReportMyocardium,
};
