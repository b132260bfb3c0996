//! A simulated MR scanner: analytic phantoms and sequences to MRD data with known truth.
//!
//! Objects are ellipses, whose k-space is known in closed form; coils are sums of plane waves,
//! which only shift it. So multi-coil k-space is exact, and no grid of pixels stands between
//! the truth and the data. No file I/O.

mod anatomy;
mod bessel;
mod clock;
mod coils;
mod dataset;
mod diffusion;
mod ellipse;
mod k_space;
mod maps;
mod motion;
mod noise;
mod object;
mod physics;
mod raster;
mod scan;
mod sequence;
mod shepp_logan;
mod spheres;
mod tissue;
mod trajectory;

pub use anatomy::{
    Anatomy, Attachment, BiasField, Contrast, Deformation, Label, LeftVentricle, Lesion,
    LesionError, NestingError, RandomAnatomy, RandomOptions, RandomOptionsError, Region,
    ShortAxisError, ShortAxisOptions, SphereArray, SystemPhantomError, random_anatomy, short_axis,
    sphere_times_ms, system_phantom,
};
pub use clock::{START_TICKS, TICK_MS, duration_ticks, ticks};
pub use coils::{Background, CoilSensitivities, LoopArray};
pub use dataset::{
    ArrayDescription, CmrfDataset, CmrfOptions, Dataset, DatasetError, DtiDataset, DtiOptions,
    Element, ImageContent, ImageOptions, MolliSeries, MotionOptions, Protocol, RandomRhythm, Route,
    SashaSeries, SegmentationContrast, SegmentationDataset, SeriesDataset, SeriesOptions, T2Series,
    T2StarSeries, Values,
};
pub use diffusion::{
    DiffusionEncoding, DiffusionError, DiffusionHeart, DiffusionOptions, DiffusionTable,
    Eigenvalues, Fibre, FibreChange, FibrePatch, IsotropicDiffusivities, MixingTime, Shot,
    ShotOptions, WallFrame, gradient_directions, random_diffusion_options,
};
pub use ellipse::Ellipse;
pub use k_space::{CartesianGrid, CartesianSampler, PointSampler, Shapes};
pub use maps::{TissueMaps, displacement_field_between_px, displacement_field_px, region_map};
pub use motion::{
    Beat, BreathHold, Breathing, BreathingError, BreathingOptions, BreathingPattern, CardiacCycle,
    CardiacCycleError, FreeBreathing, Motion, Pose, Rhythm, RhythmError, RhythmOptions,
    physiology_waveforms, waveform_information,
};
pub use noise::{NoiseSource, neighbour_covariance};
pub use object::{Component, Object, PixelObject};
pub use physics::{
    BalancedTrain, Block, BlockFault, Imperfections, Magnetization, OutOfRange, SignalModel,
    SliceSample, SpoiledTrain, Spoiling, Startup, TimelineError, check, echoes, imperfect_echoes,
};
pub use raster::{Coverage, PixelGrid, band_limited, rasterise, rasterise_shapes};
pub use scan::{
    Body, Content, Event, Frame, ImageGeometry, Moment, Names, Noise, NoiseScan, Orientation,
    PixelObjects, Plan, Readout, SamplePositions, Sampling, Setup, SetupError, SimulatedScan,
    Subject, TruthImage, TruthValues,
};
pub use sequence::{
    Cine, Diffusion, Encoding, Fingerprinting, Gating, GradientEcho, LateEnhancement, Molli,
    MolliScheme, MultiEcho, Preparation, Sasha, SchemeError, Sequence, SingleShot, T2Prepared,
    Weighting,
};
pub use shepp_logan::shepp_logan;
pub use spheres::Sphere;
pub use tissue::{
    ContrastAgent, ContrastError, FieldStrength, H1_HZ_PER_T, LesionKind, Tissue, TissueKind,
    TissueTable,
};
pub use trajectory::{
    AcquiredLine, CalibrationLines, Epi, EpiOptions, EpiReadout, LineOptions, LineOrder,
    LinePattern, LineRole, Radial, RadialOptions, ReadoutWindow, Spiral, SpiralOptions,
    SpokeAngles, TrajectoryError, Undersampling, normalised_trajectory,
};
