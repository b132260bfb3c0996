//! Single images of any contrast with their labels.

use num_complex::{Complex32, Complex64};

use super::Dataset;
use super::draw::Draw;
use super::error::{DatasetError, check};
use super::images::{ImageContent, ImageOptions};
use super::picture::{Known, Painter, Scene, shade, smooth_phase};
use super::series::myocardium;
use super::truth::{self, Map};
use super::values::{ArrayDescription, Element, Values, number};
use crate::anatomy::{RandomAnatomy, random_anatomy};
use crate::maps::TissueMaps;
use crate::motion::Pose;
use crate::physics::{BalancedTrain, Block, SignalModel, SpoiledTrain, Spoiling, Startup, echoes};
use crate::raster::PixelGrid;
use crate::tissue::Tissue;

/// Pulses after which a balanced train of any tissue is steady.
const N_STEADY: usize = 400;

/// From pulse to pulse of trains, ms.
const REPETITION_TIME_MS: f64 = 3.0;

/// What an image shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentationContrast {
    /// A balanced steady state, as of a cine.
    Balanced,
    /// A balanced image at a random time after inversion.
    InversionRecovery,
    /// A balanced image at a random time after saturation.
    SaturationRecovery,
    /// A balanced image after a T2 preparation.
    T2Prepared,
    /// A spoiled gradient echo.
    GradientEcho,
    /// A map of T1 in s.
    T1Map,
    /// A map of T2 in units of 0.1 s.
    T2Map,
}

impl SegmentationContrast {
    /// All of them, each as likely.
    pub const ALL: [Self; 7] = [
        Self::Balanced,
        Self::InversionRecovery,
        Self::SaturationRecovery,
        Self::T2Prepared,
        Self::GradientEcho,
        Self::T1Map,
        Self::T2Map,
    ];

    /// Number that stands for it: its place in [`SegmentationContrast::ALL`].
    fn code(self) -> u16 {
        Self::ALL.iter().position(|other| *other == self).unwrap_or(0) as u16
    }

    /// What a tissue's signal is, for one draw of angles and times.
    fn signals(self, draw: &mut Draw) -> impl Fn(&Tissue) -> Complex64 {
        let flip_angle_deg = draw.between([35.0, 70.0]);
        let spoiled_deg = draw.between([8.0, 25.0]);
        let (inversion_ms, factor) = (draw.log_between([60.0, 2500.0]), draw.between([0.9, 1.0]));
        let saturation_ms = draw.log_between([60.0, 1500.0]);
        let preparation_ms = draw.between([20.0, 90.0]);
        let echo_time_ms = draw.between([1.5, 12.0]);
        let train = move |n_echoes| {
            Block::BalancedTrain(BalancedTrain {
                flip_angle_deg,
                repetition_time_ms: REPETITION_TIME_MS,
                echo_time_ms: 0.5 * REPETITION_TIME_MS,
                n_echoes,
                startup: Startup::Ramp(5),
            })
        };
        let wait = |duration_ms| Block::Wait { duration_ms };
        let blocks = match self {
            Self::Balanced => vec![train(N_STEADY)],
            Self::InversionRecovery => {
                vec![Block::Inversion { factor }, wait(inversion_ms), train(1)]
            }
            Self::SaturationRecovery => {
                vec![Block::Saturation { residual: 0.0 }, wait(saturation_ms), train(1)]
            }
            Self::T2Prepared => {
                let preparation = Block::T2Preparation {
                    echo_time_ms: preparation_ms,
                    efficiency: 1.0,
                    offset: 0.0,
                };
                vec![preparation, train(1)]
            }
            Self::GradientEcho => vec![Block::SpoiledTrain(SpoiledTrain {
                flip_angles_deg: vec![spoiled_deg; N_STEADY],
                repetition_time_ms: echo_time_ms + 2.0,
                echo_times_ms: vec![echo_time_ms],
                spoiling: Spoiling::Ideal,
                n_dummies: N_STEADY - 1,
            })],
            Self::T1Map | Self::T2Map => Vec::new(),
        };
        move |tissue| match self {
            Self::T1Map => (1e-3 * tissue.t1_ms).into(),
            Self::T2Map => (1e-2 * tissue.t2_ms).into(),
            _ => echoes(SignalModel::ClosedForm, &blocks, tissue).pop().unwrap_or_default(),
        }
    }
}

/// A set of images of any contrast and any moment of the beat.
///
/// Its arrays, each with the case as the slowest axis: `images` \[y, x\]; `contrast`, the place
/// in [`SegmentationContrast::ALL`]; `noise_sd`; `labels`, masks and maps \[y, x\];
/// `field_strength_t`, `is_after_contrast`.
pub struct SegmentationDataset {
    options: ImageOptions,
    contrasts: Vec<SegmentationContrast>,
    painter: Painter,
}

const MAPS: [Map; 2] = [Map::T1, Map::T2];

impl SegmentationDataset {
    /// Plans a set.
    ///
    /// * `contrasts`: one of these for each image; those that are named twice are twice as
    ///   likely.
    ///
    /// # Errors
    /// [`DatasetError`] for options of which no case can be made.
    pub fn new(
        options: ImageOptions,
        contrasts: Vec<SegmentationContrast>,
    ) -> Result<Self, DatasetError> {
        options.check()?;
        check("the number of contrasts", contrasts.len() as f64, 1.0, 100.0)?;
        let painter = Painter::new(&options);
        Ok(Self { options, contrasts, painter })
    }

    fn grid(&self) -> PixelGrid {
        self.options.grid
    }

    /// The body at a random moment of beat and breath.
    fn body(&self, index: u64) -> Result<RandomAnatomy, DatasetError> {
        let mut body = random_anatomy(self.options.seed, index, &self.options.bodies())?;
        let mut draw = Draw::new(self.options.seed, b"moment..", index);
        let pose = Pose {
            shift_mm: [draw.between([-5.0, 5.0]), draw.between([-8.0, 8.0])],
            rotation_rad: draw.between([-0.05, 0.05]),
            endocardial_scale: draw.between([0.65, 1.1]),
        };
        body.anatomy = body.anatomy.posed(&body.anatomy.nearest_allowed(&pose));
        Ok(body)
    }
}

impl Dataset for SegmentationDataset {
    fn kind(&self) -> &'static str {
        "segmentation"
    }

    fn arrays(&self) -> Vec<ArrayDescription> {
        let content = self.options.content;
        let mut arrays = vec![
            truth::image("images", content.element(), self.grid(), "", content.meaning()),
            ArrayDescription::scalar(
                "contrast",
                Element::U16,
                "",
                "0 balanced, 1 after inversion, 2 after saturation, 3 T2-prepared, 4 gradient \
                 echo, 5 map of T1 in s, 6 map of T2 in 0.1 s",
            ),
            ArrayDescription::scalar(
                "noise_sd",
                Element::F32,
                "",
                "standard deviation of the noise in each of real and imaginary part",
            ),
        ];
        arrays.extend(truth::descriptions(&MAPS, self.grid()));
        arrays
    }

    fn group(&self, index: u64) -> Result<Vec<Values>, DatasetError> {
        let options = &self.options;
        let grid = self.grid();
        let body = self.body(index)?;
        let mut draw = Draw::new(options.seed, b"contrast", index);
        let contrast = draw.one_of(&self.contrasts);
        let of_tissue = contrast.signals(&mut draw);
        let regions = &body.anatomy.regions;
        let signals: Vec<Complex64> =
            regions.iter().map(|region| of_tissue(&region.tissue)).collect();
        let components = body.anatomy.components(&signals);
        let scene = Scene { components: &components, elastic: None };
        let mut channels = self.painter.channels(&scene, &mut Known::default());
        let mut shading = body.bias_field.on_grid(grid).mapv(Complex32::from);
        if options.content == ImageContent::Complex {
            let mut draw = Draw::new(options.seed, b"phase...", index);
            shading *= &smooth_phase(&mut draw, grid, options.max_phase_rad);
        }
        shade(&mut channels, shading.view());
        // Of the wall or of blood: one of them may have no signal.
        let strongest = signals.iter().map(|signal| signal.norm()).fold(0.0, f64::max);
        let signal = myocardium(&body.anatomy).map_or(0.0, |n| signals[n].norm());
        let ratio =
            Draw::new(options.seed, b"snr.....", index).log_between(options.signal_to_noise);
        let noise_sd = signal.max(0.2 * strongest) / ratio;
        let mut draw = Draw::new(options.seed, b"noise...", index << 16);
        options.content.add_noise(&mut draw, noise_sd, &mut channels);
        let mut images = options.content.empty(grid.matrix_size.iter().product());
        options.content.push(&self.painter.combine(channels), &mut images);
        let mut values = vec![images, Values::U16(vec![contrast.code()]), number(noise_sd)];
        let tissues = TissueMaps::new(&body.anatomy, grid);
        values.extend(truth::values(&MAPS, &body, &tissues));
        Ok(values)
    }
}
