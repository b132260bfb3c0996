//! Why there is no image.

use numerics::grappa::CalibrationError;
use pipeline::Remedy;

use crate::lines::BufferShapeError;

/// K-space that cannot be reconstructed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A property is out of its range.
    #[error("`{property}` is {value}, expected {min} to {max}")]
    Size {
        /// Its name.
        property: &'static str,
        /// Its value.
        value: usize,
        /// The smallest that is allowed.
        min: usize,
        /// The largest.
        max: usize,
    },
    /// Axes are missing.
    #[error(transparent)]
    Shape(#[from] BufferShapeError),
    /// Nothing to calibrate with.
    #[error(
        "slice {slice}: acceleration {} without calibration lines", of(*.acceleration)
    )]
    NoCalibration {
        /// Along encoding step 1 and 2.
        acceleration: [usize; 2],
        /// The slice counter.
        slice: u16,
    },
    /// The calibration does not determine the kernel.
    #[error("slice {slice}: {cause}")]
    Calibration {
        /// The slice counter.
        slice: u16,
        /// What it lacks.
        cause: CalibrationError,
    },
    /// Data and calibration are not of the same receivers.
    #[error("the data have {data} channels, their calibration has {reference}")]
    Channels {
        /// Channels of the data.
        data: usize,
        /// Channels of the calibration.
        reference: usize,
    },
    /// The lines lie otherwise than the header says.
    #[error("{}", describe(*.header, *.steps, *.is_regular))]
    Lattice {
        /// Acceleration along encoding step 1 and 2 in the header.
        header: [usize; 2],
        /// Distance of most neighbours.
        steps: [usize; 2],
        /// Whether all have that distance.
        is_regular: bool,
    },
}

/// "2", or "2 × 2" where partitions are left out too.
fn of([e1, e2]: [usize; 2]) -> String {
    if e2 == 1 { e1.to_string() } else { format!("{e1} × {e2}") }
}

fn describe(header: [usize; 2], steps: [usize; 2], is_regular: bool) -> String {
    let header = of(header);
    if is_regular {
        let steps = of(steps);
        format!("the header says acceleration {header}, but the lines are {steps} apart")
    } else {
        format!("the header says acceleration {header}, but the lines are not evenly spaced")
    }
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Size { .. } => "correct the property in the chain file",
            Self::Shape(_) => BufferShapeError::REMEDY,
            Self::NoCalibration { .. } => {
                "acquire calibration lines (integrated or separate reference lines), mark them as \
                 parallel calibration, and put `prepare_reference` before `grappa`"
            }
            Self::Calibration { cause: CalibrationError::TooSmall { .. }, .. } => {
                "acquire more calibration lines, or choose a smaller kernel"
            }
            Self::Calibration { .. } => {
                "look at the calibration lines: they hold no signal, or samples that are no numbers"
            }
            Self::Channels { .. } => {
                "put `compress_coils` after `prepare_reference`, and measure both with the same coils"
            }
            Self::Lattice { is_regular: true, .. } => {
                "correct `accelerationFactor` in the header, or the line numbers of the readouts"
            }
            Self::Lattice { .. } => {
                "use a chain for irregular sampling, or correct the line numbers of the readouts"
            }
        }
    }
}
