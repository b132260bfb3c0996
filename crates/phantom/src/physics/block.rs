//! The pieces that a sequence is made of.

/// A piece of a sequence. Between two blocks transverse magnetisation is spoiled.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Nothing but relaxation.
    Wait {
        /// For how long, 0 or more.
        duration_ms: f64,
    },
    /// An adiabatic inversion of no duration: Mz becomes −`factor`·Mz.
    Inversion {
        /// 1 is perfect, 0.96 usual.
        factor: f64,
    },
    /// A saturation of no duration: Mz becomes `residual`·Mz.
    Saturation {
        /// 0 is perfect.
        residual: f64,
    },
    /// A T2 preparation that takes `echo_time_ms`: Mz becomes
    /// `efficiency`·exp(−TE/T2)·Mz + `offset`·(1 − exp(−TE/T1)). With an echo time of 0 there
    /// are no pulses and nothing changes.
    T2Preparation {
        /// From tip-down to tip-up.
        echo_time_ms: f64,
        /// 1 is perfect.
        efficiency: f64,
        /// Recovery during the preparation: 0 is ideal.
        offset: f64,
    },
    /// A balanced steady-state readout.
    BalancedTrain(BalancedTrain),
    /// A gradient-echo readout whose transverse magnetisation is spoiled in each repetition.
    SpoiledTrain(SpoiledTrain),
    /// One 90°-180° spin echo.
    SpinEcho {
        /// From excitation to echo.
        echo_time_ms: f64,
    },
    /// One 90°-90°-90° stimulated echo: half of the magnetisation.
    StimulatedEcho {
        /// Twice from the first pulse to the second.
        echo_time_ms: f64,
        /// From the second pulse to the third.
        mixing_time_ms: f64,
    },
}

/// A train of balanced repetitions with alternating phase of the pulses. The phase of the
/// receiver follows, so on resonance all echoes have the same sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BalancedTrain {
    /// Of the train.
    pub flip_angle_deg: f64,
    /// From pulse to pulse.
    pub repetition_time_ms: f64,
    /// From pulse to echo.
    pub echo_time_ms: f64,
    /// Echoes that are recorded.
    pub n_echoes: usize,
    /// Pulses before the first recorded one.
    pub startup: Startup,
}

/// How a balanced train begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Startup {
    /// Half the angle half a repetition time before the first pulse (Deimling and Heid 1994).
    HalfAngle,
    /// This many pulses of linearly growing angle that are not recorded. Pulse k of n, counted
    /// from 1, has (k − ½)/n of the angle: so each meets magnetisation that is tilted by half
    /// of the step to come, and the last leaves it at half the angle of the train.
    Ramp(usize),
}

/// A train of gradient-echo repetitions.
#[derive(Clone, Debug, PartialEq)]
pub struct SpoiledTrain {
    /// Angle of each pulse.
    pub flip_angles_deg: Vec<f64>,
    /// From pulse to pulse.
    pub repetition_time_ms: f64,
    /// Recorded after every pulse, ascending, below the repetition time.
    pub echo_times_ms: Vec<f64>,
    /// What becomes of transverse magnetisation at the end of each repetition.
    pub spoiling: Spoiling,
    /// Pulses at the start that are not recorded.
    pub n_dummies: usize,
}

/// What ends a repetition of a gradient echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoiling {
    /// Nothing transverse is left (FLASH with perfect RF spoiling); echoes decay with T2*.
    Ideal,
    /// A gradient that dephases each voxel by whole turns, with pulses of one phase (FISP);
    /// echoes decay with T2.
    Gradient,
}

/// How signals are computed, from the textbook to the pulses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignalModel {
    /// The models that maps are fitted with: every preparation meets equilibrium, and readouts
    /// change nothing. A map fitted to such signals must be exact.
    Ideal,
    /// Formulas, on resonance: exact but for balanced trains, which are right to 0.013 of the
    /// equilibrium where T2 is above 15 TR. There is none for a gradient-spoiled train, which is
    /// computed as a phase graph. Off resonance echoes have the right phase, not the loss of a
    /// balanced train.
    #[default]
    ClosedForm,
    /// Rotations and relaxation of isochromats.
    Bloch,
    /// Extended phase graphs.
    Epg,
}

impl Block {
    /// How long it takes.
    pub fn duration_ms(&self) -> f64 {
        match self {
            Self::Wait { duration_ms } => *duration_ms,
            Self::Inversion { .. } | Self::Saturation { .. } => 0.0,
            Self::T2Preparation { echo_time_ms, .. } | Self::SpinEcho { echo_time_ms } => {
                *echo_time_ms
            }
            Self::BalancedTrain(train) => {
                let startup = match train.startup {
                    Startup::HalfAngle => 0.5,
                    Startup::Ramp(n) => n as f64,
                };
                (startup + train.n_echoes as f64) * train.repetition_time_ms
            }
            Self::SpoiledTrain(train) => {
                train.flip_angles_deg.len() as f64 * train.repetition_time_ms
            }
            Self::StimulatedEcho { echo_time_ms, mixing_time_ms } => echo_time_ms + mixing_time_ms,
        }
    }

    /// Echoes that it records.
    pub fn n_echoes(&self) -> usize {
        match self {
            Self::BalancedTrain(train) => train.n_echoes,
            Self::SpoiledTrain(train) => {
                train.flip_angles_deg.len().saturating_sub(train.n_dummies)
                    * train.echo_times_ms.len()
            }
            Self::SpinEcho { .. } | Self::StimulatedEcho { .. } => 1,
            _ => 0,
        }
    }
}
