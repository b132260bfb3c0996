//! Echo-planar shots: navigators at the centre, then lines in alternating directions, sampled
//! while the gradients ramp.

use ismrmrd::xml::{TrajectoryDescription, UserParameter};

use super::error::{TrajectoryError, count, quantity};

/// Choices about an echo-planar readout train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpiOptions {
    /// Encoded matrix \[x, y\]; x without the oversampling in time, 1 to 4096.
    pub encoded_matrix_size: [usize; 2],
    /// Encoded field of view \[x, y\], mm.
    pub encoded_field_of_view_mm: [f64; 2],
    /// Samples of a readout, 2 to 65535.
    pub n_samples: usize,
    /// Time between two samples, µs.
    pub dwell_time_us: f64,
    /// Rise of the readout gradient, µs.
    pub ramp_up_time_us: u32,
    /// Time at full gradient, µs.
    pub flat_top_time_us: u32,
    /// Fall of the readout gradient, µs.
    pub ramp_down_time_us: u32,
    /// From the middle of one readout to that of the next, µs.
    pub echo_spacing_us: f64,
    /// Readouts at ky = 0 before the lines, 0 to 16.
    pub n_navigators: usize,
    /// How much later than the sampling the gradients are, µs: a ghost. It moves readouts of
    /// opposite directions in opposite directions.
    pub gradient_delay_us: f64,
    /// Phase of reverse readouts over that of the others: a ghost too.
    pub phase_difference_rad: f64,
}

impl Default for EpiOptions {
    /// 128 × 96 over 360 × 270 mm, half of each ramp sampled, three navigators, no ghost.
    fn default() -> Self {
        Self {
            encoded_matrix_size: [128, 96],
            encoded_field_of_view_mm: [360.0, 270.0],
            n_samples: 256,
            dwell_time_us: 2.0,
            ramp_up_time_us: 120,
            flat_top_time_us: 392,
            ramp_down_time_us: 120,
            echo_spacing_us: 640.0,
            n_navigators: 3,
            gradient_delay_us: 0.0,
            phase_difference_rad: 0.0,
        }
    }
}

/// One readout of a shot.
#[derive(Clone, Debug, PartialEq)]
pub struct EpiReadout {
    /// Its line of the encoded matrix; that at the centre for a navigator.
    pub line: usize,
    /// Whether it is a navigator.
    pub is_navigator: bool,
    /// Whether kx runs backwards.
    pub is_reverse: bool,
    /// When its gradient lobe begins, from the start of the first one, µs.
    pub start_time_us: f64,
    /// \[kx, ky\] where the samples really are, in the order of time, cycles per mm.
    pub k_per_mm: Vec<[f64; 2]>,
    /// Phase to add to its samples.
    pub phase_rad: f64,
}

/// An echo-planar readout train.
#[derive(Clone, Debug)]
pub struct Epi {
    options: EpiOptions,
}

impl Epi {
    /// Checks the options.
    ///
    /// # Errors
    /// [`TrajectoryError`] for options outside their range, for samples that do not fit into a
    /// gradient lobe, and for lobes that do not fit into the echo spacing.
    pub fn new(options: EpiOptions) -> Result<Self, TrajectoryError> {
        let [n_x, n_y] = options.encoded_matrix_size;
        count("the encoded matrix size along x", n_x, 1, 4096)?;
        count("the encoded matrix size along y", n_y, 1, 4096)?;
        let [x_mm, y_mm] = options.encoded_field_of_view_mm;
        quantity("the encoded field of view along x, mm,", x_mm, 1e-3, 1e6)?;
        quantity("the encoded field of view along y, mm,", y_mm, 1e-3, 1e6)?;
        count("the number of samples", options.n_samples, 2, usize::from(u16::MAX))?;
        quantity("the dwell time, µs,", options.dwell_time_us, 0.01, 1e4)?;
        quantity("the echo spacing, µs,", options.echo_spacing_us, 1.0, 1e6)?;
        count("the number of navigators", options.n_navigators, 0, 16)?;
        quantity("the gradient delay, µs,", options.gradient_delay_us, -1e3, 1e3)?;
        quantity("the phase difference, rad,", options.phase_difference_rad, -1e3, 1e3)?;
        let epi = Self { options };
        let (lobe_us, readout_us) = (epi.lobe_us(), epi.readout_us());
        if readout_us > lobe_us {
            return Err(TrajectoryError::ReadoutTooLong { readout_us, lobe_us });
        }
        let echo_spacing_us = options.echo_spacing_us;
        if lobe_us > echo_spacing_us {
            return Err(TrajectoryError::EchoSpacingTooShort { lobe_us, echo_spacing_us });
        }
        Ok(epi)
    }

    /// The options.
    pub fn options(&self) -> &EpiOptions {
        &self.options
    }

    /// From the start of a gradient lobe to that of its first sample, µs: the samples lie in the
    /// middle of the lobe.
    pub fn acq_delay_time_us(&self) -> f64 {
        0.5 * (self.lobe_us() - self.readout_us())
    }

    /// From the start of a readout's lobe to each of its samples, µs: the end of each dwell
    /// time.
    pub fn sample_times_us(&self) -> Vec<f64> {
        (1..=self.options.n_samples)
            .map(|n| n as f64 * self.options.dwell_time_us + self.acq_delay_time_us())
            .collect()
    }

    /// kx at the samples of a forward readout without gradient delay, cycles per mm. That of a
    /// reverse one is its negative.
    ///
    /// # Method
    /// The area under a trapezoid up to the end of each dwell time, zero halfway through the
    /// lobe, scaled so that the area under the samples covers the encoded matrix: the kx that
    /// Gadgetron's `EPIReconX` regrids from for a `ConventionalEPI` description.
    pub fn kx_per_mm(&self) -> Vec<f64> {
        self.delayed_kx_per_mm(0.0)
    }

    fn delayed_kx_per_mm(&self, delay_us: f64) -> Vec<f64> {
        let delay = self.acq_delay_time_us();
        let sampled = self.area(self.lobe_us() - delay) - self.area(delay);
        let [n_x, _] = self.options.encoded_matrix_size;
        let scale = n_x as f64 / sampled / self.options.encoded_field_of_view_mm[0];
        let middle = 0.5 * self.area(self.lobe_us());
        let times = self.sample_times_us();
        times.iter().map(|time| scale * (self.area(time - delay_us) - middle)).collect()
    }

    /// A shot: navigators, then `lines` in their order. The first readout runs forwards, each
    /// further one the other way.
    ///
    /// # Errors
    /// [`TrajectoryError::NoSuchLine`] for a line that the encoded matrix does not have.
    pub fn shot(&self, lines: &[usize]) -> Result<Vec<EpiReadout>, TrajectoryError> {
        let options = &self.options;
        let [_, n_lines] = options.encoded_matrix_size;
        if let Some(&line) = lines.iter().find(|&&line| line >= n_lines) {
            return Err(TrajectoryError::NoSuchLine { line, n_lines });
        }
        let center = n_lines / 2;
        let forward = self.delayed_kx_per_mm(options.gradient_delay_us);
        let navigators = std::iter::repeat_n((center, true), options.n_navigators);
        let readouts = navigators.chain(lines.iter().map(|&line| (line, false)));
        Ok(readouts
            .enumerate()
            .map(|(n, (line, is_navigator))| {
                let is_reverse = n % 2 == 1;
                let direction = if is_reverse { -1.0 } else { 1.0 };
                let from_center = line as f64 - center as f64;
                let ky = from_center / options.encoded_field_of_view_mm[1];
                EpiReadout {
                    line,
                    is_navigator,
                    is_reverse,
                    start_time_us: n as f64 * options.echo_spacing_us,
                    k_per_mm: forward.iter().map(|kx| [direction * kx, ky]).collect(),
                    phase_rad: if is_reverse { options.phase_difference_rad } else { 0.0 },
                }
            })
            .collect())
    }

    /// What the header says about the train to Gadgetron's `EPIReconX` and `EPICorr`.
    ///
    /// * `n_lines`: lines of a shot.
    pub fn description(&self, n_lines: usize) -> TrajectoryDescription {
        let options = &self.options;
        let whole = |name: &str, value: i64| UserParameter { name: name.to_owned(), value };
        let user_parameter_long = vec![
            whole("etl", n_lines as i64),
            whole("numberOfNavigators", options.n_navigators as i64),
            whole("rampUpTime", options.ramp_up_time_us.into()),
            whole("rampDownTime", options.ramp_down_time_us.into()),
            whole("flatTopTime", options.flat_top_time_us.into()),
            whole("echoSpacing", options.echo_spacing_us.round() as i64),
            whole("acqDelayTime", self.acq_delay_time_us().round() as i64),
            whole("numSamples", options.n_samples as i64),
        ];
        let dwell_time =
            UserParameter { name: "dwellTime".to_owned(), value: options.dwell_time_us };
        TrajectoryDescription {
            identifier: "ConventionalEPI".to_owned(),
            user_parameter_long,
            user_parameter_double: vec![dwell_time],
            ..TrajectoryDescription::default()
        }
    }

    fn lobe_us(&self) -> f64 {
        let options = &self.options;
        [options.ramp_up_time_us, options.flat_top_time_us, options.ramp_down_time_us]
            .map(f64::from)
            .iter()
            .sum()
    }

    fn readout_us(&self) -> f64 {
        self.options.n_samples as f64 * self.options.dwell_time_us
    }

    /// Area under the lobe of height 1 up to a time from its start, µs.
    fn area(&self, time_us: f64) -> f64 {
        let options = &self.options;
        let [up, flat, down] =
            [options.ramp_up_time_us, options.flat_top_time_us, options.ramp_down_time_us]
                .map(f64::from);
        let time = time_us.clamp(0.0, up + flat + down);
        if time < up {
            0.5 * time * time / up
        } else if time <= up + flat {
            0.5 * up + (time - up)
        } else {
            let left = up + flat + down - time;
            0.5 * up + flat + 0.5 * down - 0.5 * left * left / down
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epi(change: impl FnOnce(&mut EpiOptions)) -> Epi {
        let mut options = EpiOptions::default();
        change(&mut options);
        Epi::new(options).expect("a train")
    }

    #[test]
    fn without_ramps_samples_are_even() {
        let epi = epi(|o| {
            (o.ramp_up_time_us, o.flat_top_time_us, o.ramp_down_time_us) = (0, 512, 0);
        });
        for (n, kx) in epi.kx_per_mm().iter().enumerate() {
            // Half a step per sample; the centre is at the end of the dwell time before the
            // middle.
            let expected = (n as f64 + 1.0 - 128.0) * 0.5 / 360.0;
            assert!((kx - expected).abs() < 1e-12, "{n}: {kx} and {expected}");
        }
    }

    #[test]
    fn ramp_samples_are_the_integral_of_the_gradient() {
        let epi = epi(|o| o.n_samples = 300);
        let kx = epi.kx_per_mm();
        // Midpoint sums of the trapezoid in steps of 0.01 µs.
        let gradient = |t: f64| (t / 120.0).min(1.0).min((632.0 - t) / 120.0);
        let sum = |from: f64, to: f64| {
            let n = ((to - from) / 0.01).round() as usize;
            (0..n).map(|i| gradient(from + (i as f64 + 0.5) * 0.01) * 0.01).sum::<f64>()
        };
        let (first, last) = (16.0, 616.0);
        assert_eq!(epi.acq_delay_time_us(), first);
        let scale = 128.0 / 360.0 / sum(first, last);
        for n in [0, 3, 50, 51, 149, 260, 299] {
            let time = first + (n as f64 + 1.0) * 2.0;
            let expected = scale * (sum(0.0, time) - 0.5 * sum(0.0, 632.0));
            assert!((kx[n] - expected).abs() < 1e-7, "{n}: {} and {expected}", kx[n]);
        }
        // The last sample is at the edge of the encoded matrix.
        assert!((kx[299] - 64.0 / 360.0).abs() < 1e-12);
        assert!(kx.is_sorted() && kx[149].abs() < 1e-12);
    }

    #[test]
    fn a_shot_alternates_and_begins_with_navigators() {
        let epi = epi(|o| o.phase_difference_rad = 0.4);
        let shot = epi.shot(&[10, 12, 14, 50]).expect("lines");
        let lines: Vec<usize> = shot.iter().map(|readout| readout.line).collect();
        assert_eq!(lines, [48, 48, 48, 10, 12, 14, 50]);
        for (n, readout) in shot.iter().enumerate() {
            assert_eq!((readout.is_navigator, readout.is_reverse), (n < 3, n % 2 == 1));
            assert_eq!(readout.phase_rad, if n % 2 == 1 { 0.4 } else { 0.0 });
            assert_eq!(readout.start_time_us, 640.0 * n as f64);
            let sign = if n % 2 == 1 { -1.0 } else { 1.0 };
            for (k, kx) in readout.k_per_mm.iter().zip(epi.kx_per_mm()) {
                assert_eq!(k[0], sign * kx);
                assert!((k[1] - (readout.line as f64 - 48.0) / 270.0).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn a_gradient_delay_moves_the_two_directions_apart() {
        let delayed = epi(|o| o.gradient_delay_us = 1.5).shot(&[0]).expect("lines");
        let exact = epi(|_| {}).shot(&[0]).expect("lines");
        // On the flat top, k moves by gradient times delay.
        let per_us = (exact[0].k_per_mm[129][0] - exact[0].k_per_mm[128][0]) / 2.0;
        for (readout, sign) in [(0, -1.0), (1, 1.0), (2, -1.0), (3, 1.0)] {
            let moved = delayed[readout].k_per_mm[128][0] - exact[readout].k_per_mm[128][0];
            assert!((moved - sign * 1.5 * per_us).abs() < 1e-12, "{readout}: {moved}");
        }
    }

    #[test]
    fn the_header_names_what_gadgetron_reads() {
        let description = epi(|_| {}).description(96);
        assert_eq!(description.identifier, "ConventionalEPI");
        let longs: Vec<(&str, i64)> =
            description.user_parameter_long.iter().map(|p| (p.name.as_str(), p.value)).collect();
        assert!(longs.contains(&("rampUpTime", 120)) && longs.contains(&("numSamples", 256)));
        assert!(longs.contains(&("acqDelayTime", 60)) && longs.contains(&("etl", 96)));
        assert_eq!(description.user_parameter_double[0].name, "dwellTime");
    }

    #[test]
    fn impossible_values_are_refused() {
        let error = |change: fn(&mut EpiOptions)| {
            let mut options = EpiOptions::default();
            change(&mut options);
            Epi::new(options).expect_err("a fault").to_string()
        };
        assert_eq!(
            error(|o| o.n_samples = 400),
            "800 µs of samples do not fit into a gradient lobe of 632 µs: \
             shorten the dwell time or lengthen the flat top"
        );
        assert_eq!(
            error(|o| o.echo_spacing_us = 600.0),
            "a gradient lobe of 632 µs does not fit into an echo spacing of 600 µs: \
             lengthen the spacing"
        );
        assert_eq!(
            error(|o| o.dwell_time_us = f64::NAN),
            "the dwell time, µs, is NaN: choose 0.01 to 10000"
        );
        let epi = epi(|_| {});
        assert_eq!(
            epi.shot(&[96]).expect_err("a fault").to_string(),
            "line 96 of 96: choose lines below"
        );
    }
}
