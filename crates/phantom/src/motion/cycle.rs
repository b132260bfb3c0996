//! How the left ventricle contracts within a beat.

use rand_distr::{Distribution, StandardNormal};

use super::rhythm::{Beat, Rhythm};
use crate::noise::random_numbers;

/// Told apart from other uses of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"cycle...");

/// Part of a short beat that systole takes at most.
const MAX_SYSTOLIC_PART: f64 = 0.55;

/// From the R wave to the opening of the aortic valve, ms.
const CONTRACTION_MS: f64 = 45.0;

/// From the end of systole to the opening of the mitral valve, ms.
const RELAXATION_MS: f64 = 50.0;

/// Of the early filling, ms.
const FILLING_MS: f64 = 200.0;

/// Of the contraction of the atria, up to the R wave, ms.
const ATRIAL_MS: f64 = 110.0;

/// The radius of the left ventricle's blood pool over a beat.
///
/// 1 is its radius in mid-diastole, when it rests and most mapping sequences look. From the R
/// wave on: it holds while the pressure rises, ejects, holds, fills, rests, and the atria stretch
/// it a little up to the next R wave. The pieces are joined with a continuous slope. Systole
/// keeps its length in slow and fast hearts alike (duration proportional to RR^0.15, which
/// resembles the regressions of Weissler et al. 1968 between 50 and 110 beats per minute);
/// rest shrinks first, then relaxation, filling and atrial contraction together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CardiacCycle {
    /// Smallest radius, 0.3 to 1.
    pub end_systolic_scale: f64,
    /// From the R wave to the smallest radius at 60 beats per minute, 100 to 600 ms.
    pub systole_ms: f64,
    /// By how much the atria stretch the radius beyond 1, 0 to 0.2.
    pub atrial_stretch: f64,
    /// Turn of the ventricle at the end of systole, from x towards y, −0.5 to 0.5.
    pub twist_rad: f64,
    /// Standard deviation from beat to beat of the radius to which the ventricle fills, 0 to
    /// 0.1.
    pub beat_variability: f64,
    /// Of the beats' differences.
    pub seed: u64,
}

impl Default for CardiacCycle {
    /// A healthy ventricle, all beats alike.
    fn default() -> Self {
        Self {
            end_systolic_scale: 0.65,
            systole_ms: 330.0,
            atrial_stretch: 0.02,
            twist_rad: 0.05,
            beat_variability: 0.0,
            seed: 0,
        }
    }
}

/// A cycle that no heart has.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the {what} is {value}: choose {minimum} to {maximum}")]
pub struct CardiacCycleError {
    /// What was chosen.
    pub what: &'static str,
    /// Its value.
    pub value: f64,
    /// Smallest.
    pub minimum: f64,
    /// Largest.
    pub maximum: f64,
}

impl CardiacCycle {
    /// Whether a ventricle can move like this. Radii of single beats stay above 0 then.
    ///
    /// # Errors
    /// [`CardiacCycleError`] names the first choice outside its range.
    pub fn check(&self) -> Result<(), CardiacCycleError> {
        for (what, value, minimum, maximum) in [
            ("end-systolic radius over that of diastole", self.end_systolic_scale, 0.3, 1.0),
            ("duration of systole in ms", self.systole_ms, 100.0, 600.0),
            ("stretch by the atria", self.atrial_stretch, 0.0, 0.2),
            ("twist in rad", self.twist_rad, -0.5, 0.5),
            ("variability of beats", self.beat_variability, 0.0, 0.1),
        ] {
            if !(minimum..=maximum).contains(&value) {
                return Err(CardiacCycleError { what, value, minimum, maximum });
            }
        }
        Ok(())
    }

    /// A ventricle that never moves.
    pub fn still() -> Self {
        Self { end_systolic_scale: 1.0, atrial_stretch: 0.0, twist_rad: 0.0, ..Self::default() }
    }

    /// From the R wave to the end of systole, ms.
    pub fn end_systole_ms(&self, rr_interval_ms: f64) -> f64 {
        let systole_ms = self.systole_ms * (rr_interval_ms / 1000.0).powf(0.15);
        systole_ms.min(MAX_SYSTOLIC_PART * rr_interval_ms)
    }

    /// Radius over that of mid-diastole.
    ///
    /// * `phase`: part of the RR interval since the R wave, 0 to 1.
    pub fn endocardial_scale(&self, phase: f64, rr_interval_ms: f64) -> f64 {
        let moment = self.moment(phase * rr_interval_ms, rr_interval_ms);
        self.scale(moment, [1.0, 1.0])
    }

    /// Radius in one beat of a rhythm: each fills to a radius of its own, and contracts from
    /// the one of the beat before to the same part of it.
    ///
    /// * `since_r_wave_ms`: 0 to the beat's interval.
    pub fn endocardial_scale_in(&self, beat: &Beat, since_r_wave_ms: f64) -> f64 {
        let filled = [self.filled_scale(beat.index - 1), self.filled_scale(beat.index)];
        self.scale(self.moment(since_r_wave_ms, beat.rr_interval_ms), filled)
    }

    /// Radius at a time from the start of the scan.
    pub fn endocardial_scale_at(&self, rhythm: &Rhythm, t_ms: f64) -> f64 {
        let beat = rhythm.beat_at(t_ms);
        self.endocardial_scale_in(&beat, t_ms - beat.r_wave_ms)
    }

    /// How far the contraction has come: 0 in diastole, 1 at the end of systole.
    pub fn contraction(&self, since_r_wave_ms: f64, rr_interval_ms: f64) -> f64 {
        self.moment(since_r_wave_ms, rr_interval_ms).contraction
    }

    /// Radius in mid-diastole of a beat over that of the mean beat.
    fn filled_scale(&self, beat: i64) -> f64 {
        if self.beat_variability == 0.0 {
            return 1.0;
        }
        let mut random = random_numbers(self.seed ^ STREAM, beat as u64);
        let deviate: f64 = StandardNormal.sample(&mut random);
        1.0 + self.beat_variability * deviate.clamp(-3.0, 3.0)
    }

    fn moment(&self, since_r_wave_ms: f64, rr_interval_ms: f64) -> Moment {
        let end_systole_ms = self.end_systole_ms(rr_interval_ms);
        let start_ms = CONTRACTION_MS.min(0.25 * end_systole_ms);
        let needed_ms = RELAXATION_MS + FILLING_MS + ATRIAL_MS;
        let squeeze = ((rr_interval_ms - end_systole_ms) / needed_ms).min(1.0);
        let filling_ms = end_systole_ms + squeeze * RELAXATION_MS;
        let atrial_ms = rr_interval_ms - squeeze * ATRIAL_MS;
        let filling = smooth_step((since_r_wave_ms - filling_ms) / (squeeze * FILLING_MS));
        let ejection = smooth_step((since_r_wave_ms - start_ms) / (end_systole_ms - start_ms));
        let atrial = smooth_step((since_r_wave_ms - atrial_ms) / (squeeze * ATRIAL_MS));
        Moment { contraction: ejection - filling, filling, stretch: 1.0 - ejection + atrial }
    }

    fn scale(&self, moment: Moment, [before, after]: [f64; 2]) -> f64 {
        let filled = before + (after - before) * moment.filling;
        let contracted = 1.0 - (1.0 - self.end_systolic_scale) * moment.contraction;
        filled * (contracted + self.atrial_stretch * moment.stretch)
    }
}

/// Where in a beat a moment is; each from 0 to 1.
#[derive(Clone, Copy)]
struct Moment {
    contraction: f64,
    filling: f64,
    /// What the atria's contraction does: all of it at both ends of the beat.
    stretch: f64,
}

/// Rises from 0 at 0 to 1 at 1 and is flat at both ends.
pub(super) fn smooth_step(x: f64) -> f64 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::RhythmOptions;

    #[test]
    fn the_radius_is_1_in_mid_diastole_and_smallest_at_the_end_of_systole() {
        let cycle = CardiacCycle::default();
        for rr_interval_ms in [700.0, 1000.0, 1500.0] {
            let rest_ms = (cycle.end_systole_ms(rr_interval_ms) + 250.0).max(0.7 * rr_interval_ms);
            assert!(
                (cycle.endocardial_scale(rest_ms / rr_interval_ms, rr_interval_ms) - 1.0).abs()
                    < 1e-12
            );
            let scale =
                |ms: usize| cycle.endocardial_scale(ms as f64 / rr_interval_ms, rr_interval_ms);
            let smallest = (0..rr_interval_ms as usize)
                .min_by(|&a, &b| scale(a).total_cmp(&scale(b)))
                .expect("times");
            assert!((scale(smallest) - 0.65).abs() < 1e-4);
            assert!((smallest as f64 - cycle.end_systole_ms(rr_interval_ms)).abs() < 2.0);
        }
    }

    #[test]
    fn systole_hardly_shortens_while_diastole_does() {
        let cycle = CardiacCycle::default();
        for rr_interval_ms in [600.0, 800.0, 1200.0] {
            let systole_ms = cycle.end_systole_ms(rr_interval_ms);
            assert!((300.0..=350.0).contains(&systole_ms), "{systole_ms}");
        }
        assert!(cycle.end_systole_ms(350.0) < 0.56 * 350.0);
    }

    #[test]
    fn radius_and_slope_are_continuous_over_all_beats() {
        let cycle = CardiacCycle { beat_variability: 0.05, seed: 3, ..CardiacCycle::default() };
        let options = RhythmOptions {
            rr_interval_ms: 600.0,
            variability: 0.3,
            ectopic_probability: 0.2,
            ..RhythmOptions::default()
        };
        let rhythm = Rhythm::new(&options).expect("options");
        let step_ms = 0.05;
        let scale = |n: usize| cycle.endocardial_scale_at(&rhythm, n as f64 * step_ms);
        let mut slope = (scale(1) - scale(0)) / step_ms;
        for n in 1..400_000 {
            let next = (scale(n + 1) - scale(n)) / step_ms;
            // The steepest piece, 0.4 in a squeezed filling of 60 ms, has curvature
            // 6 · 0.4 / 60² per ms²; a jump of 0.001 in the radius would be 0.02 here.
            assert!((next - slope).abs() < 1e-3 * step_ms * 2.0, "{n}: {slope} {next}");
            assert!((0.5..1.3).contains(&scale(n)));
            slope = next;
        }
    }

    #[test]
    fn impossible_cycles_are_refused() {
        let base = CardiacCycle::default();
        assert_eq!(base.check(), Ok(()));
        assert_eq!(CardiacCycle::still().check(), Ok(()));
        for wrong in [
            CardiacCycle { end_systolic_scale: 0.0, ..base },
            CardiacCycle { systole_ms: f64::NAN, ..base },
            CardiacCycle { atrial_stretch: -0.1, ..base },
            CardiacCycle { twist_rad: f64::INFINITY, ..base },
            CardiacCycle { beat_variability: 0.5, ..base },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn beats_fill_to_different_radii_of_the_given_deviation() {
        let cycle = CardiacCycle { beat_variability: 0.03, seed: 8, ..CardiacCycle::default() };
        let rhythm = Rhythm::default();
        let radii: Vec<f64> = (0..2000)
            .map(|beat| cycle.endocardial_scale_at(&rhythm, f64::from(beat) * 1000.0 + 800.0))
            .collect();
        let mean = radii.iter().sum::<f64>() / 2000.0;
        let sd = (radii.iter().map(|radius| (radius - mean).powi(2)).sum::<f64>() / 2000.0).sqrt();
        // Standard errors 0.0007 and 0.0005.
        assert!((mean - 1.0).abs() < 0.003 && (sd - 0.03).abs() < 0.002, "{mean} {sd}");
    }

    #[test]
    fn a_still_ventricle_has_radius_1_always() {
        let cycle = CardiacCycle::still();
        for phase in [0.0, 0.2, 0.5, 0.99] {
            assert!((cycle.endocardial_scale(phase, 800.0) - 1.0).abs() < 1e-12);
        }
    }
}
