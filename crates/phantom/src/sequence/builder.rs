//! Turns shots into readouts, moments and frames.

use ismrmrd::xml::TrajectoryDescription;
use ismrmrd::{AcquisitionFlags, EncodingCounters};
use num_complex::Complex64;

use crate::motion::Pose;
use crate::scan::{
    Body, Content, Frame, MAX_READOUTS, Moment, Plan, Readout, Sampling, Setup, SetupError,
};
use crate::trajectory::{AcquiredLine, LinePattern, LineRole, ReadoutWindow};

/// Between two readouts of the noise scan beyond their own length, ms.
const NOISE_GAP_MS: f64 = 1.0;

/// From one line to the next of calibration in readouts of its own, beyond their length, ms.
const CALIBRATION_GAP_MS: f64 = 1.5;

/// Flip angle of calibration in readouts of its own.
const CALIBRATION_FLIP_DEG: f64 = 8.0;

/// Longest time from an R wave to what it triggers.
pub(super) const MAX_TRIGGER_DELAY_MS: f64 = 5000.0;

/// Two R waves are never as close as this.
pub(super) const SAME_R_WAVE_MS: f64 = 1.0;

/// Less than this is missing by rounding only.
const ROUNDING_MS: f64 = 1e-9;

/// Moments among which one that comes again is looked for.
const MOMENTS_LOOKED_BACK: usize = 128;

/// A plan in the making.
pub(super) struct PlanBuilder<'a> {
    pub setup: &'a Setup,
    pub bodies: &'a [Body],
    pub plan: Plan,
    lines: LinePattern,
    window: ReadoutWindow,
    now_ms: f64,
}

/// One line of a Cartesian image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// Phase-encoding line.
    pub line: usize,
    /// What it is for.
    pub role: LineRole,
    /// Time of its echo.
    pub echo_ms: f64,
    /// What lies in the scanner.
    pub content: Content,
}

impl<'a> PlanBuilder<'a> {
    /// A plan that begins with the noise scan, where there is one.
    pub fn new(setup: &'a Setup, bodies: &'a [Body]) -> Result<Self, SetupError> {
        let lines = setup.line_pattern()?;
        let window = setup.window()?;
        let plan = Plan { echo_train_length: 1, ..Plan::default() };
        let mut builder = Self { setup, bodies, plan, lines, window, now_ms: 0.0 };
        if let Some(noise_scan) = setup.noise_scan {
            let step_ms = setup.readout_ms(noise_scan.sample_time_us) + NOISE_GAP_MS;
            for _ in 0..noise_scan.n_readouts {
                builder.plan.readouts.push(Readout {
                    start_ms: builder.now_ms,
                    since_trigger_ms: 0.0,
                    content: Content::Noise,
                    sampling: Sampling::Line { line: 0, first_sample: 0 },
                    counters: EncodingCounters::default(),
                    flags: AcquisitionFlags::IS_NOISE_MEASUREMENT,
                    separate_calibration: false,
                    phase_rad: 0.0,
                    user_int: [0; 8],
                });
                builder.now_ms += step_ms;
            }
        }
        Ok(builder)
    }

    /// Makes sure that so many more readouts are not too many.
    ///
    /// # Errors
    /// [`SetupError::TooManyReadouts`]
    pub fn reserve(&mut self, n_readouts: usize) -> Result<(), SetupError> {
        let total = self.plan.readouts.len().saturating_add(n_readouts);
        if total > MAX_READOUTS {
            return Err(SetupError::TooManyReadouts(total, MAX_READOUTS));
        }
        self.plan.readouts.reserve(n_readouts);
        Ok(())
    }

    /// Makes sure that a Cartesian readout lies between its pulse and the next.
    ///
    /// * `echo_time_ms`: from the pulse to the centre of k-space.
    ///
    /// # Errors
    /// [`SetupError::DoesNotFit`]
    pub fn must_fit(&self, echo_time_ms: f64, repetition_time_ms: f64) -> Result<(), SetupError> {
        let sample_ms = self.setup.sample_time_us * 1e-3;
        let ReadoutWindow { n_samples, center_sample, .. } = self.window;
        let before_ms = center_sample as f64 * sample_ms;
        let after_ms = (n_samples - center_sample) as f64 * sample_ms;
        for (what, missing_ms) in [
            ("the centre of a readout", before_ms - echo_time_ms),
            ("the end of a readout", echo_time_ms + after_ms - repetition_time_ms),
        ] {
            // A NaN is no time either.
            if missing_ms.is_nan() || missing_ms > ROUNDING_MS {
                return Err(SetupError::DoesNotFit { what, missing_ms });
            }
        }
        Ok(())
    }

    /// When the last readout ends.
    pub fn now_ms(&self) -> f64 {
        self.now_ms
    }

    /// Lets time pass.
    pub fn advance_to(&mut self, at_ms: f64) {
        self.now_ms = self.now_ms.max(at_ms);
    }

    /// The first R wave from a moment on that the scanner sees.
    pub fn trigger_from(&self, at_ms: f64) -> f64 {
        self.setup.motion.rhythm.next_trigger_ms(at_ms)
    }

    /// The R wave after another.
    pub fn trigger_after(&self, trigger_ms: f64) -> f64 {
        self.setup.motion.rhythm.next_trigger_ms(trigger_ms + SAME_R_WAVE_MS)
    }

    /// The body of a slice as it is at a moment: an index in the plan.
    pub fn moment(&mut self, slice: usize, at_ms: f64) -> usize {
        let pose = self.setup.motion.pose_at(at_ms);
        self.moment_in(slice, pose)
    }

    /// The body of a slice in a pose: an index in the plan. Poses that come again are shared.
    pub fn moment_in(&mut self, slice: usize, pose: Pose) -> usize {
        let moments = &mut self.plan.moments;
        // Poses that come again do so soon, or every beat.
        let first = moments.len().saturating_sub(MOMENTS_LOOKED_BACK);
        let same = |other: &Moment| other.slice == slice && other.pose.is_close_to(&pose);
        match moments[first..].iter().rposition(same) {
            Some(place) => first + place,
            None => {
                moments.push(Moment { slice, pose });
                moments.len() - 1
            }
        }
    }

    /// Signals of the regions: an index in the plan.
    pub fn signals(&mut self, signals: Vec<Complex64>) -> usize {
        let rows = &mut self.plan.signals;
        if rows.last() != Some(&signals) {
            rows.push(signals);
        }
        rows.len() - 1
    }

    /// One echo of all regions, of `[region][echo]`: an index in the plan.
    pub fn echo(&mut self, echoes: &[Vec<Complex64>], echo: usize) -> usize {
        self.signals(echoes.iter().map(|of_region| of_region[echo]).collect())
    }

    /// Lines of an image in the order of time. Images differ where lines are chosen at random.
    pub fn lines(&self, number: usize) -> Vec<AcquiredLine> {
        self.lines.frame(number as u64)
    }

    /// Place of the centre of k-space among the lines of an image.
    pub fn center_position(&self, number: usize) -> usize {
        self.lines.center_position(number as u64)
    }

    /// Calibration lines of a slice in readouts of their own, from now on: a gradient echo of
    /// low angle.
    pub fn separate_calibration(&mut self, slice: usize) {
        if self.lines.separate_calibration().is_empty() {
            return;
        }
        let signals = self.bodies[slice].signals(|tissue| {
            Complex64::from(tissue.proton_density * CALIBRATION_FLIP_DEG.to_radians().sin())
        });
        let signals = self.signals(signals);
        let step_ms = self.setup.readout_ms(self.setup.sample_time_us) + CALIBRATION_GAP_MS;
        self.separate_calibration_of(slice, signals, step_ms);
    }

    /// Calibration lines of a slice in readouts of their own, `step_ms` apart from now on, that
    /// show the given signals.
    pub fn separate_calibration_of(&mut self, slice: usize, signals: usize, step_ms: f64) {
        let lines = self.lines.separate_calibration();
        if lines.is_empty() {
            return;
        }
        let moment = self.moment(slice, self.now_ms);
        let content = Content::Body { moment, signals };
        for line in lines {
            let start_ms = self.now_ms;
            self.now_ms += step_ms;
            self.plan.readouts.push(Readout {
                start_ms,
                since_trigger_ms: self.setup.motion.rhythm.since_trigger_ms(start_ms),
                content,
                sampling: Sampling::Line { line, first_sample: 0 },
                counters: EncodingCounters { slice: slice as u16, ..Default::default() },
                flags: AcquisitionFlags::IS_PARALLEL_CALIBRATION,
                separate_calibration: true,
                phase_rad: 0.0,
                user_int: [0; 8],
            });
        }
    }

    /// A line of the Cartesian grid.
    pub fn line(&mut self, line: Line, counters: EncodingCounters, user_int: [i32; 8]) {
        let setup = self.setup;
        let ReadoutWindow { first_sample, center_sample, .. } = self.window;
        let start_ms = line.echo_ms - center_sample as f64 * setup.sample_time_us * 1e-3;
        let flags = match line.role {
            LineRole::Image => AcquisitionFlags::NONE,
            LineRole::Calibration => AcquisitionFlags::IS_PARALLEL_CALIBRATION,
            LineRole::CalibrationAndImage => AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING,
        };
        self.readout(Readout {
            start_ms,
            since_trigger_ms: setup.motion.rhythm.since_trigger_ms(start_ms),
            content: line.content,
            sampling: Sampling::Line { line: line.line, first_sample },
            counters,
            flags,
            separate_calibration: false,
            phase_rad: 0.0,
            user_int,
        });
    }

    /// Any readout.
    pub fn readout(&mut self, readout: Readout) {
        let end_ms = readout.start_ms + self.setup.readout_ms(self.setup.sample_time_us);
        self.advance_to(end_ms);
        self.plan.readouts.push(readout);
    }

    /// An image that the readouts give.
    pub fn frame(
        &mut self,
        counters: EncodingCounters,
        content: Content,
        time_ms: f64,
        values: Vec<(&'static str, f64)>,
    ) {
        let since_trigger_ms = self.setup.motion.rhythm.since_trigger_ms(time_ms);
        self.plan.frames.push(Frame { counters, content, time_ms, since_trigger_ms, values });
    }

    /// The plan, with readouts in the order of time.
    pub fn finish(mut self) -> Plan {
        self.plan.readouts.sort_by(|a, b| a.start_ms.total_cmp(&b.start_ms));
        self.plan.duration_ms = self.now_ms;
        self.plan
    }
}

/// Whether a quantity lies between `minimum` and `maximum`.
///
/// # Errors
/// [`SetupError::Quantity`]
pub(super) fn in_range(
    what: &'static str,
    value: f64,
    minimum: f64,
    maximum: f64,
) -> Result<(), SetupError> {
    if (minimum..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(SetupError::Quantity { what, value, minimum, maximum })
    }
}

/// Refuses an image whose sides differ: arms and spokes cover a disc.
///
/// # Errors
/// [`SetupError::NotSquare`]
pub(super) fn square_only(setup: &Setup) -> Result<(), SetupError> {
    let ([x, y], [x_mm, y_mm]) = (setup.matrix_size, setup.field_of_view_mm);
    if x == y && x_mm == y_mm { Ok(()) } else { Err(SetupError::NotSquare) }
}

/// What the header says about positions that travel with the readouts.
pub(super) fn carried_positions() -> TrajectoryDescription {
    TrajectoryDescription {
        identifier: "CarriedByReadouts".into(),
        comment: Some("k times field of view over matrix size, -0.5 to 0.5".into()),
        ..TrajectoryDescription::default()
    }
}
