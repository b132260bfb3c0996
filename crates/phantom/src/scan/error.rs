//! Choices that make no scan.

use crate::anatomy::{ShortAxisError, SystemPhantomError};
use crate::diffusion::DiffusionError;
use crate::motion::{CardiacCycleError, Pose};
use crate::physics::{OutOfRange, TimelineError};
use crate::trajectory::TrajectoryError;

/// Choices that make no scan.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// A number of something outside its range.
    #[error("{what} is {value}: choose {minimum} to {maximum}")]
    OutOfRange {
        /// What there is that many of.
        what: &'static str,
        /// How many.
        value: usize,
        /// Fewest.
        minimum: usize,
        /// Most.
        maximum: usize,
    },
    /// A quantity outside its range.
    #[error("{what} is {value}: choose {minimum} to {maximum}")]
    Quantity {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Smallest.
        minimum: f64,
        /// Largest.
        maximum: f64,
    },
    /// A length, time or strength that is not a positive number.
    #[error("{what} is {value}: choose a number above 0")]
    NotPositive {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A noise level that is negative or not finite.
    #[error("the standard deviation of the noise is {0}: choose 0 or more")]
    NoiseLevel(f64),
    /// Undersampling that nothing could undo.
    #[error(
        "acceleration {0} without calibration lines cannot be reconstructed: \
         acquire calibration lines (24 is usual) or choose acceleration 1"
    )]
    NoCalibration(usize),
    /// Something of the sequence takes longer than there is time.
    #[error(
        "{what} comes {missing_ms:.2} ms too late: lengthen the repetition time, the delay or the \
         interval of R waves, or acquire fewer lines (acceleration, partial Fourier), begin at the \
         centre, or shorten the readouts"
    )]
    DoesNotFit {
        /// What it is.
        what: &'static str,
        /// How much time is missing.
        missing_ms: f64,
    },
    /// A noise scan would hold zeros, which no whitening can use.
    #[error(
        "a noise scan needs noise: choose a standard deviation above 0, or take the noise scan out"
    )]
    NoiseScanWithoutNoise,
    /// The noise covariance has the wrong shape.
    #[error("the noise covariance is {rows} × {columns}: make it {n_channels} × {n_channels}")]
    CovarianceShape {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// Channels of the scan.
        n_channels: usize,
    },
    /// The noise covariance is not positive definite.
    #[error("the noise covariance is not positive definite from channel {channel} on: correct it")]
    Covariance {
        /// Index of the channel.
        channel: usize,
    },
    /// K-space that readouts share would fill the memory.
    #[error(
        "k-space of what is acquired at a time needs {bytes} bytes, the limit is {limit}: \
         choose fewer slices or channels or a smaller matrix"
    )]
    TooLarge {
        /// Bytes that it needs.
        bytes: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// The readouts could not be counted in their headers.
    #[error("{0} readouts are more than {1}: choose fewer images, slices or lines")]
    TooManyReadouts(usize, usize),
    /// The heart would lie over other organs.
    #[error(
        "{:.0} ms after the start, the heart of slice {slice} leaves its place: it is shifted by \
         {:.1} and {:.1} mm: choose less breathing, drift or time",
        at_ms, pose.shift_mm[0], pose.shift_mm[1]
    )]
    TooMuchMotion {
        /// Which slice.
        slice: usize,
        /// When, from the start of the measurement.
        at_ms: f64,
        /// Where it would be.
        pose: Pose,
    },
    /// Directions that span no image.
    #[error(
        "the directions of readout, phase encoding and slice are {0:?}: choose unit vectors at \
         right angles"
    )]
    NotOrthonormal([[f64; 3]; 3]),
    /// The beat of the heart.
    #[error(transparent)]
    Cycle(#[from] CardiacCycleError),
    /// The pulses' imperfections.
    #[error(transparent)]
    Imperfections(#[from] OutOfRange),
    /// Something that the trajectory does not know.
    #[error("{what} is for straight lines: leave it out, or choose another trajectory")]
    OnlyForLines {
        /// What was asked for.
        what: &'static str,
    },
    /// An image whose sides differ, on a trajectory that covers a disc.
    #[error(
        "spirals and spokes make square images: choose one matrix size and one field of view for \
         both sides"
    )]
    NotSquare,
    /// The sequence needs a heart and the subject has none.
    #[error("{sequence} needs a heart, the phantom {phantom} has none: choose short-axis")]
    NoHeart {
        /// The sequence.
        sequence: &'static str,
        /// The subject.
        phantom: &'static str,
    },
    /// The subject.
    #[error(transparent)]
    ShortAxis(#[from] ShortAxisError),
    /// Lines or a trajectory.
    #[error(transparent)]
    Trajectory(#[from] TrajectoryError),
    /// The blocks of the sequence.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// The system phantom.
    #[error(transparent)]
    SystemPhantom(#[from] SystemPhantomError),
    /// Diffusion of the heart.
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
}
