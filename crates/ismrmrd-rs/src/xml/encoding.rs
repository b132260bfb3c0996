//! `encoding`: the grid that k-space is sampled on and the one that the image is wanted on.

use super::element::{element, enumeration};
use super::parameters::UserParameter;

element! {
    /// One encoding space; readouts name theirs by `encoding_space_ref`.
    pub struct Encoding {
        /// Grid that is sampled, with its oversampling.
        encoded_space: EncodingSpace = "encodedSpace",
        /// Grid of the image.
        recon_space: EncodingSpace = "reconSpace",
        /// Ranges of the counters. An absent element reads as none known.
        encoding_limits: EncodingLimits = "encodingLimits" or default,
        /// Path through k-space.
        trajectory: Trajectory = "trajectory",
        /// Parameters of the path.
        trajectory_description: Option<TrajectoryDescription> = "trajectoryDescription",
        /// Undersampling.
        parallel_imaging: Option<ParallelImaging> = "parallelImaging",
        /// Lines read after one excitation.
        echo_train_length: Option<i64> = "echoTrainLength",
    }
}

element! {
    /// A grid: its points and its extent.
    #[derive(Copy)]
    pub struct EncodingSpace {
        /// Points.
        matrix_size: MatrixSize = "matrixSize",
        /// Extent, mm.
        field_of_view_mm: FieldOfView = "fieldOfView_mm",
    }
}

element! {
    /// Points along readout, phase and partition direction.
    #[derive(Copy, Eq)]
    pub struct MatrixSize {
        /// Along the readout.
        x: u16 = "x" or 1,
        /// Along phase encoding.
        y: u16 = "y" or 1,
        /// Along partition encoding, or slices of a slab.
        z: u16 = "z" or 1,
    }
}

element! {
    /// Extent along readout, phase and partition direction, mm.
    #[derive(Copy)]
    pub struct FieldOfView {
        /// Along the readout, mm.
        x: f32 = "x",
        /// Along phase encoding, mm.
        y: f32 = "y",
        /// Along partition encoding, or slice thickness, mm.
        z: f32 = "z",
    }
}

element! {
    /// Range of a counter.
    #[derive(Copy, Eq)]
    pub struct Limit {
        /// Smallest value.
        minimum: u16 = "minimum" or 0,
        /// Largest value.
        maximum: u16 = "maximum" or 0,
        /// Value at the centre of k-space.
        center: u16 = "center" or 0,
    }
}

impl Limit {
    /// A range from 0.
    pub const fn up_to(maximum: u16, center: u16) -> Self {
        Self { minimum: 0, maximum, center }
    }

    /// Values in the range.
    pub fn count(&self) -> usize {
        usize::from(self.maximum).saturating_sub(usize::from(self.minimum)) + 1
    }
}

element! {
    /// Ranges of the counters of [`crate::EncodingCounters`].
    #[derive(Copy, Eq)]
    pub struct EncodingLimits {
        /// Samples along the readout.
        kspace_encoding_step_0: Option<Limit> = "kspace_encoding_step_0",
        /// Phase-encoding lines.
        kspace_encoding_step_1: Option<Limit> = "kspace_encoding_step_1",
        /// Partitions.
        kspace_encoding_step_2: Option<Limit> = "kspace_encoding_step_2",
        /// Averages.
        average: Option<Limit> = "average",
        /// Slices.
        slice: Option<Limit> = "slice",
        /// Contrasts.
        contrast: Option<Limit> = "contrast",
        /// Cardiac phases.
        phase: Option<Limit> = "phase",
        /// Repetitions.
        repetition: Option<Limit> = "repetition",
        /// Sets.
        set: Option<Limit> = "set",
        /// Segments.
        segment: Option<Limit> = "segment",
        /// User counter 0.
        user_0: Option<Limit> = "user_0",
        /// User counter 1.
        user_1: Option<Limit> = "user_1",
        /// User counter 2.
        user_2: Option<Limit> = "user_2",
        /// User counter 3.
        user_3: Option<Limit> = "user_3",
        /// User counter 4.
        user_4: Option<Limit> = "user_4",
        /// User counter 5.
        user_5: Option<Limit> = "user_5",
        /// User counter 6.
        user_6: Option<Limit> = "user_6",
        /// User counter 7.
        user_7: Option<Limit> = "user_7",
    }
}

enumeration! {
    /// Path through k-space.
    pub enum Trajectory {
        /// Straight parallel lines.
        Cartesian = "cartesian",
        /// Echo-planar.
        Epi = "epi",
        /// Spokes at equal angles.
        Radial = "radial",
        /// Spokes at golden-angle steps.
        GoldenAngle = "goldenangle",
        /// Spiral.
        Spiral = "spiral",
        /// Anything else.
        Other = "other",
    }
}

element! {
    /// Parameters of the path through k-space.
    pub struct TrajectoryDescription {
        /// Name of the kind of path.
        identifier: String = "identifier",
        /// Whole numbers by name.
        user_parameter_long: Vec<UserParameter<i64>> = "userParameterLong",
        /// Numbers by name.
        user_parameter_double: Vec<UserParameter<f64>> = "userParameterDouble",
        /// Texts by name.
        user_parameter_string: Vec<UserParameter<String>> = "userParameterString",
        /// Remark.
        comment: Option<String> = "comment",
    }
}

element! {
    /// Undersampling and how it is calibrated.
    pub struct ParallelImaging {
        /// Undersampling along both directions.
        acceleration_factor: AccelerationFactor = "accelerationFactor",
        /// Where the calibration lines are.
        calibration_mode: Option<CalibrationMode> = "calibrationMode",
        /// Counter that interleaved calibration uses.
        interleaving_dimension: Option<InterleavingDimension> = "interleavingDimension",
        /// Simultaneous slices.
        multiband: Option<Multiband> = "multiband",
    }
}

element! {
    /// Undersampling: 2 means every second line.
    #[derive(Copy, Eq)]
    pub struct AccelerationFactor {
        /// Along phase encoding.
        kspace_encoding_step_1: u16 = "kspace_encoding_step_1" or 1,
        /// Along partition encoding.
        kspace_encoding_step_2: u16 = "kspace_encoding_step_2" or 1,
    }
}

enumeration! {
    /// Where the calibration lines of parallel imaging are. An unknown text reads as `Other`.
    pub enum CalibrationMode {
        /// Within the undersampled lines.
        Embedded = "embedded",
        /// From shifted undersampling patterns over time.
        Interleaved = "interleaved",
        /// Within the scan, of their own.
        Separate = "separate",
        /// In another scan.
        External = "external",
        /// Anything else.
        Other = "other",
    }
    else Other
}

enumeration! {
    /// Counter along which the undersampling pattern shifts. An unknown text reads as `Other`.
    pub enum InterleavingDimension {
        /// Cardiac phase.
        Phase = "phase",
        /// Repetition.
        Repetition = "repetition",
        /// Contrast.
        Contrast = "contrast",
        /// Average.
        Average = "average",
        /// Anything else.
        Other = "other",
    }
    else Other
}

element! {
    /// Simultaneously excited slices.
    pub struct Multiband {
        /// Distances of the slices, one list per group.
        spacing: Vec<MultibandSpacing> = "spacing",
        /// Shift between neighbouring slices in k-space.
        delta_kz: f32 = "deltaKz",
        /// Slices excited at once.
        multiband_factor: u32 = "multiband_factor",
        /// Kind of calibration.
        calibration: MultibandCalibration = "calibration" or default,
        /// Index of the encoding that holds the calibration.
        calibration_encoding: u64 = "calibration_encoding" or 0,
    }
}

element! {
    /// Distances of one group of simultaneous slices.
    pub struct MultibandSpacing {
        /// Distances, mm.
        dz: Vec<f32> = "dZ",
    }
}

enumeration! {
    /// Kind of calibration of simultaneous slices. An unknown text reads as `Other`.
    pub enum MultibandCalibration {
        /// In-plane and across slices apart.
        Separable2d = "separable2D",
        /// All at once.
        Full3d = "full3D",
        /// Anything else.
        Other = "other",
    }
    else Other
}
