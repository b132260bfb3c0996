//! The motion of a whole scan.

use super::{Breathing, CardiacCycle, Pose, Rhythm};

/// What moves the heart during a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Motion {
    /// When it beats.
    pub rhythm: Rhythm,
    /// How breathing carries it.
    pub breathing: Breathing,
    /// How a beat shapes it.
    pub cycle: CardiacCycle,
}

impl Default for Motion {
    /// Sixty beats a minute, and nothing moves.
    fn default() -> Self {
        Self::still(Rhythm::default())
    }
}

impl Motion {
    /// The rhythm alone: nothing moves.
    pub fn still(rhythm: Rhythm) -> Self {
        Self { rhythm, breathing: Breathing::still(), cycle: CardiacCycle::still() }
    }

    /// How the heart lies at a moment.
    ///
    /// * `t_ms`: from the start of the scan.
    pub fn pose_at(&self, t_ms: f64) -> Pose {
        let beat = self.rhythm.beat_at(t_ms);
        let since_r_wave_ms = t_ms - beat.r_wave_ms;
        let contraction = self.cycle.contraction(since_r_wave_ms, beat.rr_interval_ms);
        Pose {
            shift_mm: self.breathing.shift_mm(t_ms),
            rotation_rad: self.cycle.twist_rad * contraction,
            endocardial_scale: self.cycle.endocardial_scale_in(&beat, since_r_wave_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::{BreathingOptions, BreathingPattern, FreeBreathing, RhythmOptions};

    #[test]
    fn a_still_motion_keeps_the_reference() {
        let rhythm = Rhythm::new(&RhythmOptions::default()).expect("options");
        let motion = Motion::still(rhythm);
        for t_ms in [0.0, 333.0, 12_345.6] {
            assert_eq!(motion.pose_at(t_ms), Pose::default());
        }
    }

    #[test]
    fn the_pose_joins_beat_and_breath() {
        let rhythm = Rhythm::new(&RhythmOptions::default()).expect("options");
        let cycle = CardiacCycle::default();
        let breathing = Breathing::new(&BreathingOptions {
            pattern: BreathingPattern::Free(FreeBreathing::default()),
            direction: [3.0, 4.0],
            seed: 0,
        })
        .expect("options");
        let end_systole_ms = cycle.end_systole_ms(1000.0);
        let motion = Motion { rhythm, breathing, cycle };
        let pose = motion.pose_at(2000.0 + end_systole_ms);
        assert!((pose.endocardial_scale - 0.65).abs() < 1e-12);
        assert!((pose.rotation_rad - cycle.twist_rad).abs() < 1e-12);
        // Half a breath is over at 2000 ms: full inspiration, 10 mm along (0.6, 0.8).
        let inspired = motion.pose_at(2000.0).shift_mm;
        assert!((inspired[0] - 6.0).abs() < 1e-9 && (inspired[1] - 8.0).abs() < 1e-9);
    }
}
