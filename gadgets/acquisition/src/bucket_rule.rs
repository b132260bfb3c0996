//! Which readouts go into a bucket, and where in it.

use ismrmrd::AcquisitionFlags;
use pipeline::{Acquisition, Bucket};

/// Readouts of a correction of the surface coils' profile, by its own scan.
const SURFACE_COIL_CORRECTION: AcquisitionFlags =
    AcquisitionFlags::IS_SURFACECOILCORRECTIONSCAN_DATA;

/// Readouts that are no part of an image.
const NOT_IMAGED: AcquisitionFlags = AcquisitionFlags::IS_NOISE_MEASUREMENT
    .union(AcquisitionFlags::IS_DUMMYSCAN_DATA)
    .union(AcquisitionFlags::IS_NAVIGATION_DATA)
    .union(AcquisitionFlags::IS_HPFEEDBACK_DATA)
    .union(AcquisitionFlags::IS_RTFEEDBACK_DATA)
    .union(SURFACE_COIL_CORRECTION);

const CALIBRATION: AcquisitionFlags = AcquisitionFlags::IS_PARALLEL_CALIBRATION
    .union(AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING);

const NOT_DATA: AcquisitionFlags =
    AcquisitionFlags::IS_PARALLEL_CALIBRATION.union(AcquisitionFlags::IS_PHASECORR_DATA);

/// Where a readout belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Noise, navigators, dummies and the like.
    Nowhere,
    Calibration,
    Data,
    Both,
}

impl Place {
    /// By the readout's flags: calibration (20) or calibration and imaging (21) is calibration,
    /// what has neither 20 nor phase correction (24) is data.
    pub fn of(flags: AcquisitionFlags) -> Self {
        if flags.intersects(NOT_IMAGED) {
            return Self::Nowhere;
        }
        match (flags.intersects(CALIBRATION), !flags.intersects(NOT_DATA)) {
            (true, true) => Self::Both,
            (true, false) => Self::Calibration,
            (false, true) => Self::Data,
            (false, false) => Self::Nowhere,
        }
    }

    /// Whether it is part of the data.
    pub fn is_data(self) -> bool {
        matches!(self, Self::Data | Self::Both)
    }

    /// Puts a readout there.
    pub fn put(self, readout: Acquisition, bucket: &mut Bucket) {
        match self {
            Self::Nowhere => {}
            Self::Calibration => bucket.reference.push(readout),
            Self::Data => bucket.data.push(readout),
            Self::Both => {
                bucket.reference.push(readout.clone());
                bucket.data.push(readout);
            }
        }
    }
}

/// Tells once that readouts of a surface-coil correction are left out.
#[derive(Debug, Default)]
pub(crate) struct SurfaceCoilNote {
    told: bool,
}

impl SurfaceCoilNote {
    /// What is to be told of this readout.
    pub fn of(&mut self, flags: AcquisitionFlags) -> Option<&'static str> {
        let is_first =
            flags.intersects(SURFACE_COIL_CORRECTION) && !std::mem::replace(&mut self.told, true);
        is_first.then_some(
            "the readouts of a surface-coil correction are left out: images are not corrected for \
             the coils' profile",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_where_a_readout_belongs() {
        use AcquisitionFlags as F;
        for (flags, place) in [
            (F::NONE, Place::Data),
            (F::LAST_IN_SLICE, Place::Data),
            (F::IS_PARALLEL_CALIBRATION, Place::Calibration),
            (F::IS_PARALLEL_CALIBRATION_AND_IMAGING, Place::Both),
            (F::IS_PARALLEL_CALIBRATION | F::IS_PHASECORR_DATA, Place::Calibration),
            (F::IS_PHASECORR_DATA, Place::Nowhere),
            (F::IS_NOISE_MEASUREMENT, Place::Nowhere),
            (F::IS_NAVIGATION_DATA | F::IS_PARALLEL_CALIBRATION, Place::Nowhere),
            (F::IS_SURFACECOILCORRECTIONSCAN_DATA, Place::Nowhere),
            (F::IS_DUMMYSCAN_DATA, Place::Nowhere),
        ] {
            assert_eq!(Place::of(flags), place, "{flags:?}");
        }
    }

    #[test]
    fn a_surface_coil_correction_is_told_once() {
        let mut note = SurfaceCoilNote::default();
        assert!(note.of(AcquisitionFlags::NONE).is_none());
        assert!(note.of(SURFACE_COIL_CORRECTION).is_some());
        assert!(note.of(SURFACE_COIL_CORRECTION).is_none());
    }
}
