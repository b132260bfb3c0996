//! Flags of readouts and images, with their names.

use bytemuck::{Pod, Zeroable};
use std::fmt;
use std::ops::{BitOr, BitOrAssign};

macro_rules! flag_set {
    ($(#[$doc:meta])* $set:ident { $($(#[$flag_doc:meta])* $flag:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
        #[cfg_attr(feature = "hdf5", derive(::hdf5::H5Type))]
        #[repr(transparent)]
        pub struct $set(pub u64);

        impl $set {
            $($(#[$flag_doc])* pub const $flag: Self = Self(1 << ($number - 1));)*

            /// No flag.
            pub const NONE: Self = Self(0);

            const NAMES: &[(&str, Self)] = &[$((stringify!($flag), Self::$flag),)*];

            /// Whether all flags of `other` are set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any flag of `other` is set.
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// This set and `other`, for constants.
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// This set without the flags of `other`.
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// The flag of this name, as in the standard.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, flag)| *flag)
            }

            /// Names of the set flags in order of their bits; bits without a name as `BIT_n`.
            pub fn names(self) -> impl Iterator<Item = String> {
                (0..64).map(|bit| Self(1 << bit)).filter(move |flag| self.contains(*flag)).map(
                    |flag| {
                        Self::NAMES.iter().find(|(_, known)| *known == flag).map_or_else(
                            || format!("BIT_{}", flag.0.trailing_zeros() + 1),
                            |(name, _)| (*name).to_owned(),
                        )
                    },
                )
            }
        }

        impl BitOr for $set {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }

        impl BitOrAssign for $set {
            fn bitor_assign(&mut self, other: Self) {
                *self = self.union(other);
            }
        }

        impl fmt::Debug for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($set), "("))?;
                for (n, name) in self.names().enumerate() {
                    f.write_str(if n == 0 { "" } else { " | " })?;
                    f.write_str(&name)?;
                }
                f.write_str(")")
            }
        }
    };
}

flag_set! {
    /// Flags of a readout. Flag N of the standard is bit N-1.
    AcquisitionFlags {
        /// First readout of this phase-encoding line.
        FIRST_IN_ENCODE_STEP1 = 1,
        /// Last readout of this phase-encoding line.
        LAST_IN_ENCODE_STEP1 = 2,
        /// First readout of this partition.
        FIRST_IN_ENCODE_STEP2 = 3,
        /// Last readout of this partition.
        LAST_IN_ENCODE_STEP2 = 4,
        /// First readout of this average.
        FIRST_IN_AVERAGE = 5,
        /// Last readout of this average.
        LAST_IN_AVERAGE = 6,
        /// First readout of this slice.
        FIRST_IN_SLICE = 7,
        /// Last readout of this slice.
        LAST_IN_SLICE = 8,
        /// First readout of this contrast.
        FIRST_IN_CONTRAST = 9,
        /// Last readout of this contrast.
        LAST_IN_CONTRAST = 10,
        /// First readout of this cardiac phase.
        FIRST_IN_PHASE = 11,
        /// Last readout of this cardiac phase.
        LAST_IN_PHASE = 12,
        /// First readout of this repetition.
        FIRST_IN_REPETITION = 13,
        /// Last readout of this repetition.
        LAST_IN_REPETITION = 14,
        /// First readout of this set.
        FIRST_IN_SET = 15,
        /// Last readout of this set.
        LAST_IN_SET = 16,
        /// First readout of this segment.
        FIRST_IN_SEGMENT = 17,
        /// Last readout of this segment.
        LAST_IN_SEGMENT = 18,
        /// Noise, no signal.
        IS_NOISE_MEASUREMENT = 19,
        /// Calibration for parallel imaging only.
        IS_PARALLEL_CALIBRATION = 20,
        /// Calibration for parallel imaging and part of the image.
        IS_PARALLEL_CALIBRATION_AND_IMAGING = 21,
        /// Read out backwards.
        IS_REVERSE = 22,
        /// Navigator.
        IS_NAVIGATION_DATA = 23,
        /// Phase correction.
        IS_PHASECORR_DATA = 24,
        /// Last readout of the measurement.
        LAST_IN_MEASUREMENT = 25,
        /// High-priority feedback.
        IS_HPFEEDBACK_DATA = 26,
        /// Dummy scan on the way to the steady state.
        IS_DUMMYSCAN_DATA = 27,
        /// Real-time feedback.
        IS_RTFEEDBACK_DATA = 28,
        /// Surface-coil correction.
        IS_SURFACECOILCORRECTIONSCAN_DATA = 29,
        /// Reference for phase stabilisation.
        IS_PHASE_STABILIZATION_REFERENCE = 30,
        /// Phase stabilisation.
        IS_PHASE_STABILIZATION = 31,
        /// Samples are compressed with ZFP.
        COMPRESSION1 = 53,
        /// Samples are compressed as NHLBI integers.
        COMPRESSION2 = 54,
        /// Reserved for compression.
        COMPRESSION3 = 55,
        /// Reserved for compression.
        COMPRESSION4 = 56,
        /// Free for the sequence's own use.
        USER1 = 57,
        /// Free for the sequence's own use.
        USER2 = 58,
        /// Free for the sequence's own use.
        USER3 = 59,
        /// Free for the sequence's own use.
        USER4 = 60,
        /// Free for the sequence's own use.
        USER5 = 61,
        /// Free for the sequence's own use.
        USER6 = 62,
        /// Free for the sequence's own use.
        USER7 = 63,
        /// Free for the sequence's own use.
        USER8 = 64,
    }
}

flag_set! {
    /// Flags of an image. Flag N of the standard is bit N-1.
    ImageFlags {
        /// Navigator image.
        IS_NAVIGATION_DATA = 1,
        /// First image of this average.
        FIRST_IN_AVERAGE = 5,
        /// Last image of this average.
        LAST_IN_AVERAGE = 6,
        /// First image of this slice.
        FIRST_IN_SLICE = 7,
        /// Last image of this slice.
        LAST_IN_SLICE = 8,
        /// First image of this contrast.
        FIRST_IN_CONTRAST = 9,
        /// Last image of this contrast.
        LAST_IN_CONTRAST = 10,
        /// First image of this cardiac phase.
        FIRST_IN_PHASE = 11,
        /// Last image of this cardiac phase.
        LAST_IN_PHASE = 12,
        /// First image of this repetition.
        FIRST_IN_REPETITION = 13,
        /// Last image of this repetition.
        LAST_IN_REPETITION = 14,
        /// First image of this set.
        FIRST_IN_SET = 15,
        /// Last image of this set.
        LAST_IN_SET = 16,
        /// Free for the sequence's own use.
        USER1 = 57,
        /// Free for the sequence's own use.
        USER2 = 58,
        /// Free for the sequence's own use.
        USER3 = 59,
        /// Free for the sequence's own use.
        USER4 = 60,
        /// Free for the sequence's own use.
        USER5 = 61,
        /// Free for the sequence's own use.
        USER6 = 62,
        /// Free for the sequence's own use.
        USER7 = 63,
        /// Free for the sequence's own use.
        USER8 = 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_n_is_bit_n_minus_one() {
        assert_eq!(AcquisitionFlags::IS_NOISE_MEASUREMENT.0, 1 << 18);
        assert_eq!(AcquisitionFlags::USER8.0, 1 << 63);
    }

    #[test]
    fn names_list_known_and_unknown_bits_in_order() {
        let flags = AcquisitionFlags::LAST_IN_SLICE | AcquisitionFlags(1 << 39);
        assert_eq!(flags.names().collect::<Vec<_>>(), ["LAST_IN_SLICE", "BIT_40"]);
        assert_eq!(format!("{flags:?}"), "AcquisitionFlags(LAST_IN_SLICE | BIT_40)");
    }
}
