//! A spoiled gradient echo in its steady state, sampled in any way.

use ismrmrd::xml::{SequenceParameters, Trajectory};
use ismrmrd::{AcquisitionFlags, EncodingCounters};

use super::Sequence;
use super::builder::{Line, PlanBuilder, carried_positions, square_only};
use super::epi_train::{EpiTrain, regular_trains_only};
use super::timeline::Timeline;
use crate::physics::{Block, SpoiledTrain, Spoiling};
use crate::scan::{
    Body, Content, Names, Plan, Readout, SamplePositions, Sampling, Setup, SetupError,
};
use crate::trajectory::{
    Epi, EpiOptions, LineOptions, Radial, RadialOptions, Spiral, SpiralOptions, SpokeAngles,
};

/// A FLASH sequence. Repetitions show the same but for motion and noise.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientEcho {
    /// Repetitions, 1 to 65536.
    pub n_repetitions: usize,
    /// From one excitation to the next, ms.
    pub repetition_time_ms: f64,
    /// From excitation to echo (to the first sample of a spiral), ms.
    pub echo_time_ms: f64,
    /// Excitation angle, degrees.
    pub flip_angle_deg: f64,
    /// How k-space is sampled.
    pub encoding: Encoding,
}

/// How k-space is sampled.
#[derive(Clone, Debug, PartialEq)]
pub enum Encoding {
    /// A line per excitation.
    Cartesian,
    /// All lines of an image after one excitation. Matrix and field of view are those of the
    /// setup. Calibration lines of their own are a plain gradient echo in encoding space 1, as
    /// Gadgetron's `EPIReconX` takes them.
    Epi(EpiOptions),
    /// Spokes.
    Radial {
        /// How many per image.
        n_spokes: usize,
        /// Their directions.
        angles: SpokeAngles,
    },
    /// Arms of a spiral; an image has them all. Matrix and field of view are those of the setup.
    Spiral(SpiralOptions),
}

/// Where a spoke or an arm has the centre of k-space.
struct PointReadout {
    center_sample: usize,
    before_echo_ms: f64,
}

/// Pulses until the steady state.
const N_SETTLING_PULSES: usize = 4000;

impl Default for GradientEcho {
    fn default() -> Self {
        Self {
            n_repetitions: 1,
            repetition_time_ms: 6.0,
            echo_time_ms: 3.0,
            flip_angle_deg: 12.0,
            encoding: Encoding::Cartesian,
        }
    }
}

impl Sequence for GradientEcho {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        if !(1..=65536).contains(&self.n_repetitions) {
            return Err(SetupError::OutOfRange {
                what: "the number of repetitions",
                value: self.n_repetitions,
                minimum: 1,
                maximum: 65536,
            });
        }
        let mut builder = PlanBuilder::new(setup, bodies)?;
        match self.encoding {
            Encoding::Cartesian => {}
            Encoding::Epi(_) => regular_trains_only(setup)?,
            Encoding::Radial { .. } | Encoding::Spiral(_) => no_lines(setup)?,
        }
        match &self.encoding {
            Encoding::Cartesian => self.cartesian(&mut builder)?,
            Encoding::Epi(options) => self.epi(&mut builder, options)?,
            Encoding::Radial { n_spokes, angles } => {
                self.radial(&mut builder, *n_spokes, *angles)?;
            }
            Encoding::Spiral(options) => self.spiral(&mut builder, options)?,
        }
        let mut plan = builder.finish();
        let sequence = match self.encoding {
            Encoding::Cartesian => "cartesian_flash",
            Encoding::Epi(_) => "epi",
            Encoding::Radial { .. } => "radial_flash",
            Encoding::Spiral(_) => "spiral_flash",
        };
        let is_epi = matches!(self.encoding, Encoding::Epi(_));
        plan.names = Names {
            protocol: setup.subject.name().into(),
            sequence: sequence.into(),
            sequence_type: if is_epi { "EPI" } else { "Flash" }.into(),
        };
        plan.parameters = SequenceParameters {
            tr: vec![self.repetition_time_ms as f32],
            te: vec![self.echo_time_ms as f32],
            flip_angle_deg: vec![self.flip_angle_deg as f32],
            sequence_type: Some(plan.names.sequence_type.clone()),
            ..SequenceParameters::default()
        };
        Ok(plan)
    }
}

impl GradientEcho {
    /// Signals of each slice in the steady state: indices in the plan.
    fn steady_states(&self, builder: &mut PlanBuilder<'_>) -> Result<Vec<usize>, SetupError> {
        let mut timeline = Timeline::default();
        timeline.play(Block::SpoiledTrain(SpoiledTrain {
            flip_angles_deg: vec![self.flip_angle_deg; N_SETTLING_PULSES],
            repetition_time_ms: self.repetition_time_ms,
            echo_times_ms: vec![self.echo_time_ms],
            spoiling: Spoiling::Ideal,
            n_dummies: N_SETTLING_PULSES - 1,
        }));
        let mut signals = Vec::with_capacity(builder.bodies.len());
        for body in builder.bodies {
            let echoes = timeline.steady_echoes(builder.setup, body)?;
            signals.push(builder.echo(&echoes, 0));
        }
        Ok(signals)
    }

    fn must_fit(&self, what: &'static str, end_ms: f64) -> Result<(), SetupError> {
        let missing_ms = end_ms - self.repetition_time_ms;
        if missing_ms > 0.0 {
            return Err(SetupError::DoesNotFit { what, missing_ms });
        }
        Ok(())
    }

    fn counters(slice: usize, repetition: usize) -> EncodingCounters {
        EncodingCounters {
            slice: slice as u16,
            repetition: repetition as u16,
            ..EncodingCounters::default()
        }
    }

    fn cartesian(&self, builder: &mut PlanBuilder<'_>) -> Result<(), SetupError> {
        let setup = builder.setup;
        builder.must_fit(self.echo_time_ms, self.repetition_time_ms)?;
        let signals = self.steady_states(builder)?;
        builder.reserve(self.n_repetitions * setup.n_slices * builder.lines(0).len())?;
        for repetition in 0..self.n_repetitions {
            for (slice, &signals) in signals.iter().enumerate() {
                if repetition == 0 {
                    builder.separate_calibration_of(slice, signals, self.repetition_time_ms);
                }
                let lines = builder.lines(repetition);
                let start_ms = builder.now_ms();
                let center = builder.center_position(repetition) as f64;
                let center_ms = start_ms + center * self.repetition_time_ms + self.echo_time_ms;
                let moment = builder.moment(slice, center_ms);
                let content = Content::Body { moment, signals };
                let counters = Self::counters(slice, repetition);
                for (n, line) in lines.iter().enumerate() {
                    let echo_ms = start_ms + n as f64 * self.repetition_time_ms + self.echo_time_ms;
                    let line = Line { line: line.line, role: line.role, echo_ms, content };
                    builder.line(line, counters, [0; 8]);
                }
                builder.frame(counters, content, center_ms, Vec::new());
                builder.advance_to(start_ms + lines.len() as f64 * self.repetition_time_ms);
            }
        }
        Ok(())
    }

    fn radial(
        &self,
        builder: &mut PlanBuilder<'_>,
        n_spokes: usize,
        angles: SpokeAngles,
    ) -> Result<(), SetupError> {
        let setup = builder.setup;
        square_only(setup)?;
        let radial = Radial::new(RadialOptions {
            matrix_size: setup.matrix_size[0],
            field_of_view_mm: setup.field_of_view_mm[0],
            readout_oversampling: setup.readout_oversampling,
            n_left_out: setup.n_samples_left_out,
            angles,
        })?;
        if !(1..=65536).contains(&n_spokes) {
            let what = "the number of spokes";
            return Err(SetupError::OutOfRange {
                what,
                value: n_spokes,
                minimum: 1,
                maximum: 65536,
            });
        }
        builder.must_fit(self.echo_time_ms, self.repetition_time_ms)?;
        builder.reserve(self.n_repetitions * setup.n_slices * n_spokes)?;
        // Golden angles go on from image to image, others begin anew.
        let n_positions = match angles {
            SpokeAngles::Golden => self.n_repetitions * n_spokes,
            SpokeAngles::Uniform(_) => n_spokes,
        };
        builder.plan.trajectory_description = Some(carried_positions());
        builder.plan.trajectory = match angles {
            SpokeAngles::Golden => Trajectory::GoldenAngle,
            SpokeAngles::Uniform(_) => Trajectory::Radial,
        };
        builder.plan.sample_positions = SamplePositions::Spokes(radial.clone());
        let center_sample = radial.center_sample();
        let before_echo_ms = center_sample as f64 * setup.sample_time_us * 1e-3;
        let start = PointReadout { center_sample, before_echo_ms };
        self.point_images(builder, n_spokes, start, |n| n % n_positions)
    }

    fn spiral(
        &self,
        builder: &mut PlanBuilder<'_>,
        options: &SpiralOptions,
    ) -> Result<(), SetupError> {
        square_only(builder.setup)?;
        let spiral = Spiral::new(SpiralOptions {
            matrix_size: builder.setup.matrix_size[0],
            field_of_view_mm: builder.setup.field_of_view_mm[0],
            ..*options
        })?;
        let readout_ms = spiral.n_samples() as f64 * options.dwell_time_us * 1e-3;
        self.must_fit("an arm of the spiral", self.echo_time_ms + readout_ms)?;
        builder.reserve(self.n_repetitions * builder.setup.n_slices * options.n_arms)?;
        builder.plan.trajectory = Trajectory::Spiral;
        builder.plan.sample_time_us = Some(options.dwell_time_us);
        let arms = (0..options.n_arms).map(|n| spiral.arm(n)).collect();
        builder.plan.sample_positions = SamplePositions::Sets(arms);
        builder.plan.trajectory_description = Some(carried_positions());
        let start = PointReadout { center_sample: 0, before_echo_ms: 0.0 };
        self.point_images(builder, options.n_arms, start, |n| n % options.n_arms)
    }

    /// Images of `n_per_image` excitations each, of which number n of a slice reads the set of
    /// positions that `positions` gives.
    fn point_images(
        &self,
        builder: &mut PlanBuilder<'_>,
        n_per_image: usize,
        PointReadout { center_sample, before_echo_ms }: PointReadout,
        positions: impl Fn(usize) -> usize,
    ) -> Result<(), SetupError> {
        let signals = self.steady_states(builder)?;
        for repetition in 0..self.n_repetitions {
            for (slice, &signals) in signals.iter().enumerate() {
                let first_ms = builder.now_ms();
                let center_ms = first_ms + 0.5 * n_per_image as f64 * self.repetition_time_ms;
                let moment = builder.moment(slice, center_ms);
                let content = Content::Body { moment, signals };
                let counters = Self::counters(slice, repetition);
                for n in 0..n_per_image {
                    let pulse_ms = first_ms + n as f64 * self.repetition_time_ms;
                    let start_ms = pulse_ms + self.echo_time_ms - before_echo_ms;
                    builder.readout(Readout {
                        start_ms,
                        since_trigger_ms: builder.setup.motion.rhythm.since_trigger_ms(start_ms),
                        content,
                        sampling: Sampling::Points {
                            positions: positions(repetition * n_per_image + n),
                            line: n,
                            reversed: false,
                            center_sample,
                            with_trajectory: true,
                        },
                        counters,
                        flags: AcquisitionFlags::NONE,
                        separate_calibration: false,
                        phase_rad: 0.0,
                        user_int: [0; 8],
                    });
                }
                builder.frame(counters, content, center_ms, Vec::new());
                builder.advance_to(first_ms + n_per_image as f64 * self.repetition_time_ms);
            }
        }
        Ok(())
    }

    fn epi(&self, builder: &mut PlanBuilder<'_>, options: &EpiOptions) -> Result<(), SetupError> {
        let epi = Epi::new(EpiOptions {
            encoded_matrix_size: builder.setup.matrix_size,
            encoded_field_of_view_mm: builder.setup.field_of_view_mm,
            ..*options
        })?;
        let signals = self.steady_states(builder)?;
        for repetition in 0..self.n_repetitions {
            for (slice, &signals) in signals.iter().enumerate() {
                if repetition == 0 {
                    builder.separate_calibration(slice);
                }
                let lines = builder.lines(repetition);
                builder.reserve(lines.len() + options.n_navigators)?;
                let train = EpiTrain::new(builder, &epi, &lines)?;
                if train.center_ms() > self.echo_time_ms {
                    let missing_ms = train.center_ms() - self.echo_time_ms;
                    let what = "the centre of the echo-planar train";
                    return Err(SetupError::DoesNotFit { what, missing_ms });
                }
                let first_ms = builder.now_ms();
                let center_ms = first_ms + self.echo_time_ms;
                let moment = builder.moment(slice, center_ms);
                let content = Content::Body { moment, signals };
                let counters = Self::counters(slice, repetition);
                let end_ms = train.play(builder, center_ms, counters, content, [0; 8]);
                self.must_fit("the echo-planar train", end_ms - first_ms)?;
                builder.frame(counters, content, center_ms, Vec::new());
                builder.advance_to(first_ms + self.repetition_time_ms);
            }
        }
        Ok(())
    }
}

/// Refuses choices about lines, of which spokes and arms have none.
fn no_lines(setup: &Setup) -> Result<(), SetupError> {
    let plain = LineOptions { order: setup.lines.order, ..LineOptions::default() };
    if setup.lines != plain {
        return Err(SetupError::OnlyForLines {
            what: "undersampling, calibration or partial Fourier",
        });
    }
    Ok(())
}
