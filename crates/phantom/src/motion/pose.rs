//! One moment of the motion.

/// How far the heart is from its reference pose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Shift \[x, y\] of what breathing moves, mm.
    pub shift_mm: [f64; 2],
    /// Turn of the heart about the centre of the left ventricle, from x towards y.
    pub rotation_rad: f64,
    /// Radius of the left ventricle's blood pool over that of the reference. The wall keeps
    /// its area.
    pub endocardial_scale: f64,
}

impl Default for Pose {
    /// The reference.
    fn default() -> Self {
        Self { shift_mm: [0.0; 2], rotation_rad: 0.0, endocardial_scale: 1.0 }
    }
}

impl Pose {
    /// Whether it is the same pose but for rounding.
    pub fn is_close_to(&self, other: &Self) -> bool {
        const ROUNDING: f64 = 1e-9;
        let pairs = [
            (self.shift_mm[0], other.shift_mm[0]),
            (self.shift_mm[1], other.shift_mm[1]),
            (self.rotation_rad, other.rotation_rad),
            (self.endocardial_scale, other.endocardial_scale),
        ];
        pairs.iter().all(|(a, b)| (a - b).abs() < ROUNDING)
    }

    /// Whether all numbers are finite, and the blood pool has a size.
    pub fn is_possible(&self) -> bool {
        self.shift_mm.iter().all(|shift| shift.is_finite())
            && self.rotation_rad.is_finite()
            && self.endocardial_scale > 0.0
            && self.endocardial_scale.is_finite()
    }

    /// The pose at a share of the way from the reference, 0, to this one, 1.
    #[must_use]
    pub fn fraction(&self, share: f64) -> Self {
        Self {
            shift_mm: self.shift_mm.map(|shift| share * shift),
            rotation_rad: share * self.rotation_rad,
            endocardial_scale: 1.0 + share * (self.endocardial_scale - 1.0),
        }
    }
}
