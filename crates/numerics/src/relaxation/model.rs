//! The signal models, and what is derived from their parameters.

/// How the signal of a pixel depends on the preparation time t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    /// MOLLI: A − B e^(−t/T1*), with T1 = T1* (B/A − 1) / δ (Look and Locker 1970, Messroghli et
    /// al. 2004).
    LookLocker {
        /// δ, with which an inversion leaves Mz+ = −δ Mz− (Kellman et al. 2014): 1 for a perfect
        /// one, 0.96 for the usual adiabatic pulse.
        inversion_factor: f64,
    },
    /// A − B e^(−t/T1): inversion or saturation recovery with three parameters.
    Recovery,
    /// A (1 − κ e^(−t/T1)): recovery with two parameters, from a saturation (κ = 1) or from an
    /// inversion (κ = 2).
    RecoveryOfKnownDepth {
        /// κ.
        depth: f64,
    },
    /// A e^(−t/T2).
    Decay,
    /// A e^(−t/T2) + C.
    DecayWithOffset,
}

/// Values of T that are looked for. A pixel whose best one lies at the end of the range has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchRange {
    /// Shortest, above 0.
    pub shortest_ms: f64,
    /// Longest.
    pub longest_ms: f64,
}

impl Model {
    /// Free parameters, T included.
    pub fn n_parameters(self) -> usize {
        match self {
            Self::LookLocker { .. } | Self::Recovery | Self::DecayWithOffset => 3,
            Self::RecoveryOfKnownDepth { .. } | Self::Decay => 2,
        }
    }

    /// Whether the constant and the exponential are free of each other.
    pub(super) fn has_free_constant(self) -> bool {
        self.n_parameters() == 3
    }

    /// Sign of the exponential's factor.
    pub(super) fn sign(self) -> f64 {
        match self {
            Self::Decay | Self::DecayWithOffset => 1.0,
            Self::LookLocker { .. } | Self::Recovery | Self::RecoveryOfKnownDepth { .. } => -1.0,
        }
    }

    /// The exponential as it comes with the one factor of a model of two parameters, as
    /// (constant, exponential): the sign is that of [`Model::sign`].
    pub(super) fn tied(self) -> (f64, f64) {
        match self {
            Self::RecoveryOfKnownDepth { depth } => (1.0, -depth),
            _ => (0.0, 1.0),
        }
    }

    /// The range where the caller has no better one: 20 to 8000 ms for recovery, 1 to 2000 ms
    /// for decay.
    pub fn usual_range(self) -> SearchRange {
        match self {
            Self::Decay | Self::DecayWithOffset => {
                SearchRange { shortest_ms: 1.0, longest_ms: 2000.0 }
            }
            _ => SearchRange { shortest_ms: 20.0, longest_ms: 8000.0 },
        }
    }

    /// The value that is wanted, from the parameters, with its gradient by constant, exponential
    /// and T.
    pub(super) fn value(self, constant: f64, exponential: f64, time_ms: f64) -> (f64, [f64; 3]) {
        match self {
            Self::LookLocker { inversion_factor } => {
                let ratio = -exponential / constant - 1.0;
                let value = time_ms * ratio / inversion_factor;
                let by_constant = time_ms * exponential / (constant * constant);
                let by_exponential = -time_ms / constant;
                let gradient = [by_constant, by_exponential, ratio];
                (value, gradient.map(|slope| slope / inversion_factor))
            }
            _ => (time_ms, [0.0, 0.0, 1.0]),
        }
    }
}
