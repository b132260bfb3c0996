//! Where a trapezoidal readout gradient samples k-space.

/// A readout gradient of trapezoidal shape and the samples in the middle of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trapezoid {
    /// Rise of the gradient, µs, 0 or more.
    pub ramp_up_time_us: f64,
    /// Time at full gradient, µs, 0 or more.
    pub flat_top_time_us: f64,
    /// Fall of the gradient, µs, 0 or more.
    pub ramp_down_time_us: f64,
    /// Time between two samples, µs.
    pub dwell_time_us: f64,
    /// Samples of a readout.
    pub n_samples: usize,
}

/// A readout that no gradient encodes.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum TrapezoidError {
    /// A time is negative or not a number, or the dwell time is 0.
    #[error(
        "a readout gradient that rises for {0} µs, stays for {1} µs and falls for {2} µs, with \
         {3} µs between samples"
    )]
    Times(f64, f64, f64, f64),
    /// Nothing is sampled.
    #[error("a readout of {0} samples; at least 2 are needed")]
    TooFewSamples(usize),
    /// Samples are taken where there is no gradient.
    #[error("samples for {sampled_us} µs do not fit a gradient of {gradient_us} µs")]
    TooLong {
        /// Time of all samples, µs.
        sampled_us: f64,
        /// Time of the gradient, µs.
        gradient_us: f64,
    },
}

impl Trapezoid {
    /// k of each sample of a forward readout, in cycles over the encoded field of view. Those of
    /// a reverse readout are the negatives.
    ///
    /// * `n_encoded`: pixels of the encoded matrix. The samples cover so many cycles.
    ///
    /// # Method
    /// The area under the gradient at the end of each dwell time. k is 0 when half of the whole
    /// area is done; the samples lie in the middle of the gradient, whatever the header says of
    /// their delay. So Gadgetron takes a `ConventionalEPI` description.
    ///
    /// # Errors
    /// [`TrapezoidError`].
    pub fn positions(&self, n_encoded: usize) -> Result<Vec<f64>, TrapezoidError> {
        let Self { ramp_up_time_us: up, flat_top_time_us: flat, ramp_down_time_us: down, .. } =
            *self;
        let dwell_us = self.dwell_time_us;
        let times = [up, flat, down, dwell_us];
        if times.iter().any(|time| !time.is_finite() || *time < 0.0) || dwell_us == 0.0 {
            return Err(TrapezoidError::Times(up, flat, down, dwell_us));
        }
        if self.n_samples < 2 {
            return Err(TrapezoidError::TooFewSamples(self.n_samples));
        }
        let gradient_us = up + flat + down;
        let sampled_us = dwell_us * self.n_samples as f64;
        // Times in headers are whole µs.
        if sampled_us > gradient_us + 1.0 {
            return Err(TrapezoidError::TooLong { sampled_us, gradient_us });
        }
        let delay_us = 0.5 * (gradient_us - sampled_us);
        let sampled_area = self.area(delay_us + sampled_us) - self.area(delay_us);
        let scale = n_encoded as f64 / sampled_area;
        let middle = 0.5 * self.area(gradient_us);
        Ok((1..=self.n_samples)
            .map(|n| scale * (self.area(delay_us + n as f64 * dwell_us) - middle))
            .collect())
    }

    /// Area under a gradient of height 1 up to a time from its start, µs.
    fn area(&self, time_us: f64) -> f64 {
        let Self { ramp_up_time_us: up, flat_top_time_us: flat, ramp_down_time_us: down, .. } =
            *self;
        let time = time_us.clamp(0.0, up + flat + down);
        let rising = time.min(up);
        let level = (time - up).clamp(0.0, flat);
        let falling = (time - up - flat).max(0.0);
        let ramp =
            |time: f64, whole: f64| if whole > 0.0 { time * time / (2.0 * whole) } else { 0.0 };
        ramp(rising, up) + level + falling - ramp(falling, down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAMPS: Trapezoid = Trapezoid {
        ramp_up_time_us: 160.0,
        flat_top_time_us: 240.0,
        ramp_down_time_us: 160.0,
        dwell_time_us: 3.1,
        n_samples: 160,
    };

    #[test]
    fn samples_are_the_integral_of_the_gradient() {
        let positions = RAMPS.positions(80).expect("a readout");
        let gradient = |t: f64| (t / 160.0).min(1.0).min((560.0 - t) / 160.0);
        let sum = |from: f64, to: f64| {
            let n = ((to - from) / 0.01).round() as usize;
            (0..n).map(|i| gradient(from + (i as f64 + 0.5) * 0.01) * 0.01).sum::<f64>()
        };
        let delay = 0.5 * (560.0 - 160.0 * 3.1);
        let scale = 80.0 / sum(delay, 560.0 - delay);
        for n in [0, 10, 79, 80, 110, 159] {
            let end = delay + (n as f64 + 1.0) * 3.1;
            let expected = scale * (sum(0.0, end) - 0.5 * sum(0.0, 560.0));
            // Midpoint sums in steps of 0.01 µs.
            assert!((positions[n] - expected).abs() < 1e-5, "{n}: {} {expected}", positions[n]);
        }
        assert!(positions[79].abs() < 1e-12 && (positions[159] - 40.0).abs() < 1e-9);
    }

    #[test]
    fn without_ramps_positions_are_even() {
        let flat = Trapezoid {
            ramp_up_time_us: 0.0,
            flat_top_time_us: 320.0,
            ramp_down_time_us: 0.0,
            dwell_time_us: 2.0,
            n_samples: 160,
        };
        for (n, k) in flat.positions(80).expect("a readout").iter().enumerate() {
            assert!((k - (n as f64 + 1.0 - 80.0) / 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn impossible_gradients_are_refused() {
        let refused = |change: fn(&mut Trapezoid)| {
            let mut trapezoid = RAMPS;
            change(&mut trapezoid);
            trapezoid.positions(80).expect_err("it is impossible")
        };
        assert!(matches!(refused(|t| t.dwell_time_us = 0.0), TrapezoidError::Times(..)));
        assert!(matches!(refused(|t| t.ramp_up_time_us = f64::NAN), TrapezoidError::Times(..)));
        assert!(matches!(refused(|t| t.n_samples = 1), TrapezoidError::TooFewSamples(1)));
        assert!(matches!(refused(|t| t.n_samples = 181), TrapezoidError::TooLong { .. }));
    }
}
