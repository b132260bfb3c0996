//! Why no image comes of readouts along a trajectory.

use numerics::nufft;
use pipeline::{Remedy, ScanError};

use crate::frame::FrameError;

/// K-space that no image can be made of.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The header says too little.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The trajectory is missing or none.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No plan.
    #[error("no image can be planned: {0}")]
    Nufft(#[from] nufft::Error),
    /// Every sample was left out.
    #[error("no sample of an image lies within the k-space of the reconstructed matrix")]
    NothingLeft,
    /// A property outside its range.
    #[error("`gridding_oversampling_factor` is {0}, expected 1.25 to 2.5")]
    Oversampling(f64),
    /// A property outside its range.
    #[error("`coil_map_kernel_size` is {0}, expected 1 to 63")]
    CoilMapKernel(usize),
    /// A property outside its range.
    #[error("`regularisation` or `iteration_tol` is negative or no number")]
    Negative,
    /// A property outside its range.
    #[error("`iteration_max` is 0, which leaves the image empty; expected 1 or more")]
    Iterations,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Scan(error) => error.remedy(),
            Self::Frame(error) => error.remedy(),
            Self::Nufft(_) => "correct the reconstructed matrix in the scan's header",
            Self::NothingLeft => {
                "set `trajectory_unit` of `reconstruct_non_cartesian`, or correct the matrix in \
                 the header"
            }
            Self::Oversampling(_) | Self::CoilMapKernel(_) | Self::Negative | Self::Iterations => {
                "correct the property in the chain file"
            }
        }
    }
}
