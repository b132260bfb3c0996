//! The kinds of training sets and their own options.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use phantom::{
    CmrfDataset, CmrfOptions, Dataset, DtiDataset, DtiOptions, ImageContent, ImageOptions,
    MixingTime, MolliScheme, MolliSeries, Protocol, SashaSeries, SegmentationContrast,
    SegmentationDataset, SeriesDataset, SeriesOptions, ShotOptions, T2Series, T2StarSeries,
    Weighting,
};

use super::pictures::{PictureOptions, SeriesMotionOptions, range};
use super::set::SetOptions;

#[derive(Subcommand)]
pub enum Kind {
    /// Images of any contrast with labels and masks
    Segmentation(Box<SegmentationArgs>),
    /// Moving MOLLI series with fields, maps and masks
    Molli(Box<MolliArgs>),
    /// Moving SASHA series with fields, maps and masks
    Sasha(Box<SashaArgs>),
    /// Moving T2-prepared series with fields, maps and masks
    T2(Box<T2Args>),
    /// Moving multi-echo series with fields, maps and masks
    T2Star(Box<T2StarArgs>),
    /// Signals of fingerprinting with T1, T2 and the rhythm
    Cmrf(Box<CmrfArgs>),
    /// Diffusion-weighted images with and without noise, and their tensor
    Dti(Box<DtiArgs>),
}

#[derive(Args)]
pub struct SegmentationArgs {
    /// Contrasts: one of these for each image
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,...")]
    contrasts: Vec<ContrastKind>,
    #[command(flatten)]
    pictures: PictureOptions,
    #[command(flatten)]
    set: SetOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum ContrastKind {
    Balanced,
    InversionRecovery,
    SaturationRecovery,
    T2Prepared,
    GradientEcho,
    T1Map,
    T2Map,
}

#[derive(Args)]
pub struct MolliArgs {
    /// Images and pauses, like 5(3)3, 3(3)3(3)5 or 4(1)3(1)2; ShMOLLI is 5(1)1(1)1
    #[arg(long, default_value = "5(3)3")]
    scheme: MolliScheme,
    /// Magnetisation after an inversion is minus this times that before: F or LEAST,MOST
    #[arg(long, default_value = "0.9,1", value_name = "F|L,M", value_parser = range)]
    inversion_factor: [f64; 2],
    /// Inversion time of the first image in ms: MS or LEAST,MOST
    #[arg(long, default_value = "100,120", value_name = "MS|L,M", value_parser = range)]
    first_inversion_time_ms: [f64; 2],
    /// Flip angle in degrees: D or LEAST,MOST
    #[arg(long, default_value = "35", value_name = "D|L,M", value_parser = range)]
    flip_angle_deg: [f64; 2],
    #[command(flatten)]
    series: SeriesArgs,
}

#[derive(Args)]
pub struct SashaArgs {
    /// Times after saturation in ms, of the images after the first [default: 120 to 600 by 60]
    #[arg(long, value_delimiter = ',', value_name = "MS,...")]
    saturation_times_ms: Vec<f64>,
    /// Magnetisation that a saturation leaves: PART or LEAST,MOST
    #[arg(long, default_value = "0,0.02", value_name = "PART|L,M", value_parser = range)]
    residual: [f64; 2],
    #[command(flatten)]
    series: SeriesArgs,
}

#[derive(Args)]
pub struct T2Args {
    /// Echo times of the preparations in ms; 0 is none
    #[arg(long, value_delimiter = ',', default_value = "0,25,55", value_name = "MS,...")]
    preparation_times_ms: Vec<f64>,
    /// Beats from one image to the next
    #[arg(long, default_value_t = 3, value_name = "N")]
    recovery_beats: usize,
    /// Magnetisation that a preparation's pulses leave: PART or LEAST,MOST
    #[arg(long, default_value = "0.95,1", value_name = "PART|L,M", value_parser = range)]
    efficiency: [f64; 2],
    #[command(flatten)]
    series: SeriesArgs,
}

#[derive(Args)]
pub struct T2StarArgs {
    /// Echo times in ms [default: 2.6 to 16.6 by 2]
    #[arg(long, value_delimiter = ',', value_name = "MS,...")]
    echo_times_ms: Vec<f64>,
    #[command(flatten)]
    series: SeriesArgs,
}

/// What all series have in common.
#[derive(Args)]
struct SeriesArgs {
    #[command(flatten)]
    motion: SeriesMotionOptions,
    #[command(flatten)]
    pictures: PictureOptions,
    #[command(flatten)]
    set: SetOptions,
}

#[derive(Args)]
pub struct CmrfArgs {
    /// T1 in ms: LEAST,MOST
    #[arg(long, default_value = "100,3000", value_name = "L,M", value_parser = range)]
    t1_ms: [f64; 2],
    /// T2 in ms, below T1/1.2: LEAST,MOST
    #[arg(long, default_value = "5,500", value_name = "L,M", value_parser = range)]
    t2_ms: [f64; 2],
    /// Mean interval of R waves in ms: MS or LEAST,MOST
    #[arg(long, default_value = "500,1500", value_name = "MS|L,M", value_parser = range)]
    rr_interval_ms: [f64; 2],
    /// Largest standard deviation of the intervals over their mean
    #[arg(long, default_value_t = 0.15, value_name = "PART")]
    rr_variability: f64,
    /// Share of rhythms with an early beat
    #[arg(long, default_value_t = 0.15, value_name = "SHARE")]
    ectopic_share: f64,
    /// Share of rhythms with an R wave that the scanner misses
    #[arg(long, default_value_t = 0.15, value_name = "SHARE")]
    missed_share: f64,
    /// Magnetisation after an inversion is minus this times that before: F or LEAST,MOST
    #[arg(long, default_value = "0.9,1", value_name = "F|L,M", value_parser = range)]
    inversion_factor: [f64; 2],
    /// Angles over the nominal ones: F or LEAST,MOST
    #[arg(long, default_value = "0.8,1.1", value_name = "F|L,M", value_parser = range)]
    b1: [f64; 2],
    /// Sixteens of cases in a row that share rhythm and inversion factor; 0: each has its own
    #[arg(long, default_value_t = 0, value_name = "N")]
    sixteens_per_rhythm: usize,
    /// Leave of the signals what so many modes of their rhythm hold, as images of a scan do; 0:
    /// they are whole. Needs `--sixteens-per-rhythm` and `--b1 1`
    #[arg(long, default_value_t = 0, value_name = "N")]
    rhythm_modes: usize,
    #[command(flatten)]
    set: SetOptions,
}

#[derive(Args)]
pub struct DtiArgs {
    /// How diffusion is weighted
    #[arg(long, value_enum, default_value_t)]
    weighting: WeightingKind,
    /// Directions, 6 to 256
    #[arg(long, default_value_t = 6, value_name = "N")]
    directions: usize,
    /// Weighting of the directions in s/mm²
    #[arg(long, default_value_t = 500.0, value_name = "S_PER_MM2")]
    b_value: f64,
    /// Images without weighting in each average
    #[arg(long, default_value_t = 1, value_name = "N")]
    references: usize,
    /// Averages
    #[arg(long, default_value_t = 1, value_name = "N")]
    averages: usize,
    /// Share of images that lose signal
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    dropout_share: f64,
    #[command(flatten)]
    pictures: PictureOptions,
    #[command(flatten)]
    set: SetOptions,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum WeightingKind {
    /// Motion-compensated spin echo
    #[default]
    SpinEcho,
    /// Stimulated echo over one beat
    Steam,
}

impl Kind {
    /// Seed of the set.
    pub fn seed(&self) -> u64 {
        self.set().seed
    }

    fn set(&self) -> &SetOptions {
        match self {
            Self::Segmentation(args) => &args.set,
            Self::Molli(args) => &args.series.set,
            Self::Sasha(args) => &args.series.set,
            Self::T2(args) => &args.series.set,
            Self::T2Star(args) => &args.series.set,
            Self::Cmrf(args) => &args.set,
            Self::Dti(args) => &args.set,
        }
    }

    /// The set, and where it goes.
    pub fn dataset(&self) -> Result<(Box<dyn Dataset>, &SetOptions)> {
        let dataset: Box<dyn Dataset> = match self {
            Self::Segmentation(args) => args.dataset()?,
            Self::Molli(args) => args.series.dataset(Protocol::Molli(MolliSeries {
                scheme: args.scheme.clone(),
                inversion_factor: args.inversion_factor,
                first_inversion_time_ms: args.first_inversion_time_ms,
                flip_angle_deg: args.flip_angle_deg,
                ..MolliSeries::default()
            }))?,
            Self::Sasha(args) => {
                let mut sasha = SashaSeries { residual: args.residual, ..SashaSeries::default() };
                if !args.saturation_times_ms.is_empty() {
                    sasha.saturation_times_ms.clone_from(&args.saturation_times_ms);
                }
                args.series.dataset(Protocol::Sasha(sasha))?
            }
            Self::T2(args) => args.series.dataset(Protocol::T2(T2Series {
                preparation_times_ms: args.preparation_times_ms.clone(),
                n_recovery_beats: args.recovery_beats,
                efficiency: args.efficiency,
                ..T2Series::default()
            }))?,
            Self::T2Star(args) => {
                let mut t2_star = T2StarSeries::default();
                if !args.echo_times_ms.is_empty() {
                    t2_star.echo_times_ms.clone_from(&args.echo_times_ms);
                }
                args.series.dataset(Protocol::T2Star(t2_star))?
            }
            Self::Cmrf(args) => args.dataset()?,
            Self::Dti(args) => args.dataset()?,
        };
        Ok((dataset, self.set()))
    }
}

impl SeriesArgs {
    fn dataset(&self, protocol: Protocol) -> Result<Box<dyn Dataset>> {
        let options = SeriesOptions {
            images: self.pictures.images(ImageOptions::default(), self.set.seed),
            motion: self.motion.motion(),
            rhythm: self.motion.rhythm(),
        };
        Ok(Box::new(SeriesDataset::new(protocol, options)?))
    }
}

impl SegmentationArgs {
    fn dataset(&self) -> Result<Box<dyn Dataset>> {
        let default = ImageOptions { content: ImageContent::Magnitude, ..ImageOptions::default() };
        let images = self.pictures.images(default, self.set.seed);
        let mut contrasts: Vec<SegmentationContrast> = self
            .contrasts
            .iter()
            .map(|kind| match kind {
                ContrastKind::Balanced => SegmentationContrast::Balanced,
                ContrastKind::InversionRecovery => SegmentationContrast::InversionRecovery,
                ContrastKind::SaturationRecovery => SegmentationContrast::SaturationRecovery,
                ContrastKind::T2Prepared => SegmentationContrast::T2Prepared,
                ContrastKind::GradientEcho => SegmentationContrast::GradientEcho,
                ContrastKind::T1Map => SegmentationContrast::T1Map,
                ContrastKind::T2Map => SegmentationContrast::T2Map,
            })
            .collect();
        if contrasts.is_empty() {
            contrasts.extend(SegmentationContrast::ALL);
        }
        Ok(Box::new(SegmentationDataset::new(images, contrasts)?))
    }
}

impl CmrfArgs {
    fn dataset(&self) -> Result<Box<dyn Dataset>> {
        Ok(Box::new(CmrfDataset::new(CmrfOptions {
            seed: self.set.seed,
            t1_ms: self.t1_ms,
            t2_ms: self.t2_ms,
            rr_interval_ms: self.rr_interval_ms,
            max_variability: self.rr_variability,
            ectopic_share: self.ectopic_share,
            missed_share: self.missed_share,
            inversion_factor: self.inversion_factor,
            b1: self.b1,
            sixteens_per_rhythm: self.sixteens_per_rhythm,
            rhythm_modes: self.rhythm_modes,
            sequence: CmrfOptions::default().sequence,
        })?))
    }
}

impl DtiArgs {
    fn dataset(&self) -> Result<Box<dyn Dataset>> {
        let default = DtiOptions::default();
        let weighting = match self.weighting {
            WeightingKind::SpinEcho => Weighting::SpinEcho,
            WeightingKind::Steam => Weighting::StimulatedEcho(MixingTime::default()),
        };
        let shots = ShotOptions { dropout_probability: self.dropout_share, ..default.shots };
        Ok(Box::new(DtiDataset::new(DtiOptions {
            images: self.pictures.images(default.images.clone(), self.set.seed),
            weighting,
            n_directions: self.directions,
            b_value_s_per_mm2: self.b_value,
            n_references: self.references,
            n_averages: self.averages,
            shots,
            ..default
        })?))
    }
}
