//! Why a bucket cannot be sorted.

use pipeline::{Remedy, ScanError};

/// A bucket that cannot be sorted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The header says too little.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Both axes follow one counter.
    #[error("axes `n` and `s` follow the same counter")]
    SameAxis,
    /// The limits do not hold the centre of the encoded matrix.
    #[error(
        "the header's limits of {axis} are {minimum} to {maximum} with the centre at {center}: \
         the centre lies outside"
    )]
    CentreOutsideLimits {
        /// Which encoding step.
        axis: &'static str,
        /// First line.
        minimum: u16,
        /// Last line.
        maximum: u16,
        /// Centre.
        center: u16,
    },
    /// A line that the header does not announce.
    #[error(
        "readout {scan_counter}: line {line} of {axis} lies outside the header's limits \
         {minimum} to {maximum}"
    )]
    OutsideLimits {
        /// Number of the readout.
        scan_counter: u32,
        /// Which encoding step.
        axis: &'static str,
        /// Its counter.
        line: u16,
        /// First line.
        minimum: u16,
        /// Last line.
        maximum: u16,
    },
    /// A line beyond the matrix, where the header has no limits.
    #[error(
        "readout {scan_counter}: line {line} of {axis} lies outside the encoded matrix of \
         {n_lines} lines"
    )]
    OutsideMatrix {
        /// Number of the readout.
        scan_counter: u32,
        /// Which encoding step.
        axis: &'static str,
        /// Its counter.
        line: u16,
        /// Lines of the matrix.
        n_lines: usize,
    },
    /// The samples do not fit along the readout.
    #[error(
        "readout {scan_counter}: {n_kept} samples with the echo at {center_sample} do not fit \
         {n_readout} places with the echo in the middle"
    )]
    DoesNotFit {
        /// Number of the readout.
        scan_counter: u32,
        /// Samples without the discarded ones.
        n_kept: usize,
        /// Index of the echo.
        center_sample: u16,
        /// Places along the readout.
        n_readout: usize,
    },
    /// Everything is to be discarded.
    #[error("readout {scan_counter}: {discarded} of {n_samples} samples are to be discarded")]
    NothingKept {
        /// Number of the readout.
        scan_counter: u32,
        /// Samples to discard.
        discarded: usize,
        /// Samples.
        n_samples: usize,
    },
    /// Channels come and go.
    #[error(
        "readout {scan_counter} has {found} channels, those before it in the same image have \
         {expected}"
    )]
    Channels {
        /// Number of the readout.
        scan_counter: u32,
        /// Its channels.
        found: usize,
        /// Channels of the first readout.
        expected: usize,
    },
    /// The trajectory's shape changes.
    #[error(
        "readout {scan_counter} has a trajectory of {n_samples} × {n_dimensions}, expected \
         {expected_samples} × {expected_dimensions}"
    )]
    Trajectory {
        /// Number of the readout.
        scan_counter: u32,
        /// Samples of the trajectory.
        n_samples: usize,
        /// Numbers per sample.
        n_dimensions: usize,
        /// Samples of the readout.
        expected_samples: usize,
        /// Numbers per sample of the first readout.
        expected_dimensions: usize,
    },
    /// More memory than allowed.
    #[error(
        "k-space of {shape:?} (slice, s, n, channel, encoding_step_2, encoding_step_1, readout) \
         brings the bucket to more than {limit_gib} GiB"
    )]
    TooLarge {
        /// Shape of the buffer that is too much.
        shape: [usize; 7],
        /// What is allowed, GiB.
        limit_gib: f64,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Scan(error) => error.remedy(),
            Self::SameAxis => "give `n_dimension` and `s_dimension` different counters",
            Self::CentreOutsideLimits { .. } => {
                "correct `encodingLimits` in the header; the centre is the line at k = 0"
            }
            Self::OutsideLimits { .. } => {
                "correct `encodingLimits` in the header, or the counter in the sequence"
            }
            Self::OutsideMatrix { .. } => {
                "write `encodingLimits` into the header, or correct its matrix size"
            }
            Self::DoesNotFit { .. } => {
                "asymmetric echoes and scans that are not Cartesian need a chain made for them; for others correct `center_sample`"
            }
            Self::NothingKept { .. } => "correct `discard_pre` and `discard_post` in the readouts",
            Self::Channels { .. } => "send all readouts of an image with the same channels",
            Self::Trajectory { .. } => "send all readouts of an image with a trajectory, or none",
            Self::TooLarge { .. } => {
                "check the counters and the matrix size, or raise `max_buffer_gib`"
            }
        }
    }
}
