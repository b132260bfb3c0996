//! The readouts of an echo-planar train.

use ismrmrd::{AcquisitionFlags, EncodingCounters};

use super::builder::PlanBuilder;
use crate::scan::{Content, Readout, SamplePositions, Sampling, Setup, SetupError};
use crate::trajectory::{AcquiredLine, Epi, EpiReadout, LineOptions, LineRole, Undersampling};

/// A train for the lines of one image, with its sample positions in the plan.
pub(super) struct EpiTrain {
    readouts: Vec<TrainReadout>,
    /// From the start of the first gradient lobe to the middle of that of the centre of k-space.
    center_ms: f64,
    sampled_ms: f64,
    delay_ms: f64,
    center_sample: usize,
}

/// One readout of a train.
struct TrainReadout {
    readout: EpiReadout,
    /// Its sample positions in the plan.
    positions: usize,
    flags: AcquisitionFlags,
}

impl EpiTrain {
    /// Plans the train and puts what a reconstruction must know into the plan. Positions that
    /// the plan has are used again.
    pub fn new(
        builder: &mut PlanBuilder<'_>,
        epi: &Epi,
        acquired: &[AcquiredLine],
    ) -> Result<Self, SetupError> {
        let options = *epi.options();
        let lines: Vec<usize> = acquired.iter().map(|acquired| acquired.line).collect();
        let shot = epi.shot(&lines)?;
        let plan = &mut builder.plan;
        plan.trajectory = ismrmrd::xml::Trajectory::Epi;
        plan.trajectory_description = Some(epi.description(lines.len()));
        plan.echo_train_length = lines.len();
        plan.sample_time_us = Some(options.dwell_time_us);
        let center_line = options.encoded_matrix_size[1] / 2;
        let at_center = shot
            .iter()
            .filter(|readout| !readout.is_navigator)
            .min_by_key(|readout| readout.line.abs_diff(center_line));
        let lobe_us = f64::from(
            options.ramp_up_time_us + options.flat_top_time_us + options.ramp_down_time_us,
        );
        let center_us = at_center.map_or(0.0, |r| r.start_time_us) + 0.5 * lobe_us;
        // kx of the samples of a forward and of a reverse readout passes zero at the same one.
        let distance = |sample: &usize| shot[0].k_per_mm[*sample][0].abs();
        let center_sample =
            (0..options.n_samples).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0);
        if !matches!(plan.sample_positions, SamplePositions::Sets(_)) {
            plan.sample_positions = SamplePositions::default();
        }
        let SamplePositions::Sets(sets) = &mut plan.sample_positions else {
            unreachable!("sets were put there");
        };
        let navigators =
            std::iter::repeat_n(AcquisitionFlags::IS_PHASECORR_DATA, options.n_navigators);
        let flags = navigators.chain(acquired.iter().map(|acquired| flags_of(acquired.role)));
        let readouts = shot
            .into_iter()
            .zip(flags)
            .map(|(readout, flags)| {
                let known = sets.iter().position(|set| *set == readout.k_per_mm);
                let positions = known.unwrap_or_else(|| {
                    sets.push(readout.k_per_mm.clone());
                    sets.len() - 1
                });
                TrainReadout { readout, positions, flags }
            })
            .collect();
        Ok(Self {
            readouts,
            center_ms: center_us * 1e-3,
            sampled_ms: options.n_samples as f64 * options.dwell_time_us * 1e-3,
            delay_ms: epi.acq_delay_time_us() * 1e-3,
            center_sample,
        })
    }

    /// From its start to the centre of k-space.
    pub fn center_ms(&self) -> f64 {
        self.center_ms
    }

    /// From the centre of k-space to its end.
    pub fn after_center_ms(&self) -> f64 {
        let last_ms = self.readouts.last().map_or(0.0, |last| last.readout.start_time_us * 1e-3);
        last_ms + self.delay_ms + self.sampled_ms - self.center_ms
    }

    /// Plays it with the centre of k-space at a moment and gives its end.
    pub fn play(
        &self,
        builder: &mut PlanBuilder<'_>,
        center_ms: f64,
        counters: EncodingCounters,
        content: Content,
        user_int: [i32; 8],
    ) -> f64 {
        let first_ms = center_ms - self.center_ms;
        let mut end_ms = first_ms;
        for TrainReadout { readout, positions, flags } in &self.readouts {
            let start_ms = first_ms + readout.start_time_us * 1e-3 + self.delay_ms;
            end_ms = start_ms + self.sampled_ms;
            builder.readout(Readout {
                start_ms,
                since_trigger_ms: builder.setup.motion.rhythm.since_trigger_ms(start_ms),
                content,
                sampling: Sampling::Points {
                    positions: *positions,
                    line: readout.line,
                    reversed: readout.is_reverse,
                    center_sample: self.center_sample,
                    with_trajectory: false,
                },
                // Gadgetron takes the direction from the segment as well as from the flag.
                counters: EncodingCounters { segment: readout.is_reverse.into(), ..counters },
                flags: *flags,
                separate_calibration: false,
                phase_rad: readout.phase_rad,
                user_int,
            });
        }
        end_ms
    }
}

/// What a line of a train is for.
fn flags_of(role: LineRole) -> AcquisitionFlags {
    match role {
        LineRole::Image => AcquisitionFlags::NONE,
        LineRole::Calibration => AcquisitionFlags::IS_PARALLEL_CALIBRATION,
        LineRole::CalibrationAndImage => AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING,
    }
}

/// Refuses lines that differ from image to image: the gradients of a train are the same in all images.
pub(super) fn regular_trains_only(setup: &Setup) -> Result<(), SetupError> {
    match setup.lines.undersampling {
        Undersampling::Regular { .. } => Ok(()),
        Undersampling::Interleaved { .. } => {
            Err(SetupError::OnlyForLines { what: "undersampling that differs from image to image" })
        }
        Undersampling::VariableDensity { .. } => {
            Err(SetupError::OnlyForLines { what: "undersampling at random" })
        }
    }
}

/// Refuses lines that a train would have to jump over or to add: partial Fourier is all it knows.
pub(super) fn whole_trains_only(setup: &Setup) -> Result<(), SetupError> {
    let LineOptions { order, partial_fourier, .. } = setup.lines;
    let plain = LineOptions { order, partial_fourier, ..LineOptions::default() };
    if setup.lines != plain {
        return Err(SetupError::OnlyForLines { what: "undersampling or calibration" });
    }
    Ok(())
}
