//! What a fingerprinting sequence plays, and when.

/// What prepares the magnetisation of a beat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Preparation {
    /// Nothing.
    None,
    /// An inversion of no duration.
    Inversion {
        /// From the inversion to the first pulse.
        inversion_time_ms: f64,
    },
    /// A T2 preparation that ends at the first pulse.
    T2 {
        /// From tip-down to tip-up.
        echo_time_ms: f64,
    },
}

impl Preparation {
    /// From its beginning to the first pulse.
    pub fn duration_ms(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Inversion { inversion_time_ms } => inversion_time_ms,
            Self::T2 { echo_time_ms } => echo_time_ms,
        }
    }
}

/// A preparation and the echoes after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// What comes before the echoes.
    pub preparation: Preparation,
    /// Nominal angle of each pulse.
    pub flip_angles_deg: Vec<f64>,
}

/// What becomes of transverse magnetisation between the echoes of two beats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transverse {
    /// Nothing of it comes back: what flow, motion and the preparations' own spoilers leave.
    #[default]
    Spoiled,
    /// It decays with T2 and takes part in the pulses of the preparation, as in a still sample. A
    /// T2 preparation ends with one turn of dephasing, an inversion with none (as mrpro has it).
    Kept,
}

/// Gradient-spoiled echoes in beats: what the scanner plays, whenever the beats come.
#[derive(Clone, Debug, PartialEq)]
pub struct PulseTable {
    /// In order.
    pub beats: Vec<Beat>,
    /// From pulse to pulse.
    pub repetition_time_ms: f64,
    /// From pulse to echo.
    pub echo_time_ms: f64,
    /// What becomes of transverse magnetisation between beats.
    pub transverse: Transverse,
}

/// How the scanner's pulses differ from the nominal ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Imperfections {
    /// Mz after an inversion is minus this times Mz before it.
    pub inversion_factor: f64,
    /// Angles over the nominal ones.
    pub b1: f64,
    /// Angles over that in the middle of the slice, at places evenly spread across it; their signals
    /// are averaged. One place with 1: a perfect profile.
    pub slice_profile: Vec<f64>,
}

impl Default for Imperfections {
    fn default() -> Self {
        Self { inversion_factor: 1.0, b1: 1.0, slice_profile: vec![1.0] }
    }
}

impl PulseTable {
    /// The fifteen beats of the open cardiac fingerprinting sequence: three times an inversion,
    /// nothing and three T2 preparations, 47 echoes each, whose angle grows from 4° over 16 of them.
    ///
    /// # Source
    /// Hamilton et al. 2017 and 2020; angles and times of PTB's sequence.
    pub fn fifteen_beats(repetition_time_ms: f64, echo_time_ms: f64) -> Self {
        const LARGEST_DEG: [f64; 5] = [12.5, 18.75, 25.0, 25.0, 25.0];
        let preparations = [
            Preparation::Inversion { inversion_time_ms: 20.0 },
            Preparation::None,
            Preparation::T2 { echo_time_ms: 30.0 },
            Preparation::T2 { echo_time_ms: 50.0 },
            Preparation::T2 { echo_time_ms: 100.0 },
        ];
        let beat = |n: usize| Beat {
            preparation: preparations[n % 5],
            flip_angles_deg: (0..47)
                .map(|echo| 4.0 + (f64::from(echo) / 15.0).min(1.0) * (LARGEST_DEG[n % 5] - 4.0))
                .collect(),
        };
        Self {
            beats: (0..15).map(beat).collect(),
            repetition_time_ms,
            echo_time_ms,
            transverse: Transverse::default(),
        }
    }

    /// Echoes of all beats.
    pub fn n_echoes(&self) -> usize {
        self.beats.iter().map(|beat| beat.flip_angles_deg.len()).sum()
    }

    /// Duration of a beat's echoes.
    pub fn train_ms(&self, beat: usize) -> f64 {
        self.beats[beat].flip_angles_deg.len() as f64 * self.repetition_time_ms
    }
}

/// A pulse table as it was played: with the times between the beats.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// What is played.
    pub table: PulseTable,
    /// From the end of the last beat's echoes to the beginning of a beat's preparation; of the
    /// first beat 0: there is equilibrium.
    pub waits_ms: Vec<f64>,
    /// How the pulses really are.
    pub imperfections: Imperfections,
}

/// Times or numbers that no scanner plays.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CourseError {
    /// No beat, or one without echoes.
    #[error("a pulse table without echoes in beat {0}")]
    NoEchoes(usize),
    /// As many times as beats are needed.
    #[error("{found} starts of beats for a table of {expected}")]
    Count {
        /// How many there are.
        found: usize,
        /// Beats of the table.
        expected: usize,
    },
    /// A beat would begin before the one before it is over.
    #[error(
        "beat {beat} begins {since_ms:.1} ms after the one before it, whose echoes and its own \
         preparation take {taken_ms:.1} ms"
    )]
    Overlap {
        /// Counted from 1.
        beat: usize,
        /// From first pulse to first pulse.
        since_ms: f64,
        /// What has to fit.
        taken_ms: f64,
    },
    /// A number that is none, or out of its range.
    #[error("{what} is {value}")]
    Value {
        /// Which.
        what: &'static str,
        /// What it is.
        value: f64,
    },
}

/// Time stamps are of whole ticks: so much may be missing of a wait that is 0.
const TICK_MS: f64 = 5.0;

impl Course {
    /// The course of a table whose beats' first pulses were at these times.
    ///
    /// * `first_pulses_ms`: one for each beat; only their differences count.
    ///
    /// # Errors
    /// [`CourseError`].
    pub fn new(
        table: PulseTable,
        first_pulses_ms: &[f64],
        imperfections: Imperfections,
    ) -> Result<Self, CourseError> {
        let check = |what, value: f64, least: f64, most: f64| {
            // Not a number fails as well.
            if value >= least && value <= most {
                Ok(())
            } else {
                Err(CourseError::Value { what, value })
            }
        };
        check("the repetition time in ms", table.repetition_time_ms, 0.1, 10_000.0)?;
        check("the echo time in ms", table.echo_time_ms, 0.0, table.repetition_time_ms)?;
        check("the inversion factor", imperfections.inversion_factor, -1.0, 1.0)?;
        check("B1", imperfections.b1, 0.01, 10.0)?;
        if table.beats.is_empty() {
            return Err(CourseError::NoEchoes(1));
        }
        for (n, beat) in table.beats.iter().enumerate() {
            if beat.flip_angles_deg.is_empty() {
                return Err(CourseError::NoEchoes(n + 1));
            }
            for angle_deg in &beat.flip_angles_deg {
                check("a flip angle in degrees", *angle_deg, -360.0, 360.0)?;
            }
            check("a preparation's time in ms", beat.preparation.duration_ms(), 0.0, 10_000.0)?;
        }
        for share in &imperfections.slice_profile {
            check("an angle of the slice profile", *share, -10.0, 10.0)?;
        }
        if imperfections.slice_profile.is_empty() {
            return Err(CourseError::Value { what: "the length of the slice profile", value: 0.0 });
        }
        if first_pulses_ms.len() != table.beats.len() {
            let (found, expected) = (first_pulses_ms.len(), table.beats.len());
            return Err(CourseError::Count { found, expected });
        }
        let mut waits_ms = vec![0.0];
        for (n, pair) in first_pulses_ms.windows(2).enumerate() {
            let since_ms = pair[1] - pair[0];
            check("the time between two beats in ms", since_ms, f64::MIN, 1e6)?;
            let taken_ms = table.train_ms(n) + table.beats[n + 1].preparation.duration_ms();
            if since_ms < taken_ms - TICK_MS {
                return Err(CourseError::Overlap { beat: n + 2, since_ms, taken_ms });
            }
            waits_ms.push((since_ms - taken_ms).max(0.0));
        }
        Ok(Self { table, waits_ms, imperfections })
    }
}
