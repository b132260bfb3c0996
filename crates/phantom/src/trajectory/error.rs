//! What is wrong with the options of a trajectory.

/// Options that make no trajectory.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrajectoryError {
    /// A number of something outside its range.
    #[error("{what} is {value}: choose {minimum} to {maximum}")]
    Count {
        /// What there is that many of.
        what: &'static str,
        /// How many.
        value: usize,
        /// Fewest.
        minimum: usize,
        /// Most.
        maximum: usize,
    },
    /// A quantity outside its range, or not a number.
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
    /// Partial Fourier leaves out lines that calibrate.
    #[error(
        "{n_calibration} calibration lines reach below line {first}, where partial Fourier \
         begins: choose fewer, a larger fraction, or separate calibration"
    )]
    CalibrationLeftOut {
        /// Calibration lines.
        n_calibration: usize,
        /// First line that is acquired.
        first: usize,
    },
    /// The fully sampled centre alone is more than the acceleration allows.
    #[error(
        "{n_center} lines of the centre are more than the {n_lines} that the acceleration \
         leaves: choose fewer lines or a smaller acceleration"
    )]
    CenterTooLarge {
        /// Lines of the centre.
        n_center: usize,
        /// Lines of a frame.
        n_lines: usize,
    },
    /// The samples of an EPI readout take longer than its gradient lobe.
    #[error(
        "{readout_us} µs of samples do not fit into a gradient lobe of {lobe_us} µs: \
         shorten the dwell time or lengthen the flat top"
    )]
    ReadoutTooLong {
        /// Samples times dwell time.
        readout_us: f64,
        /// Ramps and flat top.
        lobe_us: f64,
    },
    /// The gradient lobes of an EPI train overlap.
    #[error(
        "a gradient lobe of {lobe_us} µs does not fit into an echo spacing of \
         {echo_spacing_us} µs: lengthen the spacing"
    )]
    EchoSpacingTooShort {
        /// Ramps and flat top.
        lobe_us: f64,
        /// From one readout to the next.
        echo_spacing_us: f64,
    },
    /// A line that the matrix does not have.
    #[error("line {line} of {n_lines}: choose lines below")]
    NoSuchLine {
        /// The line.
        line: usize,
        /// Lines of the matrix.
        n_lines: usize,
    },
    /// A spiral that would take too long to play out.
    #[error(
        "a spiral arm takes longer than {maximum_ms} ms: choose more arms, stronger gradients \
         or a smaller matrix"
    )]
    SpiralTooLong {
        /// Longest.
        maximum_ms: f64,
    },
}

/// Refuses a number of something outside its range.
pub(super) fn count(
    what: &'static str,
    value: usize,
    minimum: usize,
    maximum: usize,
) -> Result<(), TrajectoryError> {
    if (minimum..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(TrajectoryError::Count { what, value, minimum, maximum })
    }
}

/// Refuses a quantity outside its range, and what is no number.
pub(super) fn quantity(
    what: &'static str,
    value: f64,
    minimum: f64,
    maximum: f64,
) -> Result<(), TrajectoryError> {
    if (minimum..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(TrajectoryError::Quantity { what, value, minimum, maximum })
    }
}
