//! Series of images of one moving slice: what the sets for T1, T2 and T2* have in common.

use ndarray::ArrayViewMut3;
use num_complex::{Complex32, Complex64};

use super::Dataset;
use super::draw::Draw;
use super::error::{DatasetError, check, check_range};
use super::images::{ImageContent, ImageOptions};
use super::molli::MolliSeries;
use super::motion::{MotionOptions, SeriesMotion};
use super::picture::{Known, Painter, Scene, shade, smooth_phase};
use super::sasha::SashaSeries;
use super::t2::T2Series;
use super::t2_star::T2StarSeries;
use super::truth::{self, Map};
use super::values::{ArrayDescription, Element, Values, number, numbers};
use crate::anatomy::{Anatomy, Label, RandomAnatomy, random_anatomy};
use crate::maps::{TissueMaps, displacement_field_px};
use crate::motion::{Motion, Rhythm, RhythmOptions};
use crate::raster::PixelGrid;
use crate::scan::{Body, Content, Plan, Setup, Subject};
use crate::sequence::Sequence;
use crate::trajectory::LineOrder;

/// Lines of an image as far as its timing goes: parallel imaging acquires about so many of 160.
const N_TIMED_LINES: usize = 80;

/// All maps: contrast depends on all.
const MAPS: [Map; 3] = [Map::T1, Map::T2, Map::T2Star];

/// The images and their motion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesOptions {
    /// Pictures and bodies.
    pub images: ImageOptions,
    /// From image to image.
    pub motion: MotionOptions,
    /// The heart's rhythm.
    pub rhythm: RandomRhythm,
}

/// What rhythms are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomRhythm {
    /// Smallest and largest mean interval of R waves, ms, 400 to 2000.
    pub rr_interval_ms: [f64; 2],
    /// Largest standard deviation of the intervals over their mean, 0 to 0.2; evenly drawn from
    /// 0 on.
    pub max_variability: f64,
}

impl Default for RandomRhythm {
    fn default() -> Self {
        Self { rr_interval_ms: [600.0, 1200.0], max_variability: 0.1 }
    }
}

/// The sequence of a set of series.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// T1 by inversion.
    Molli(MolliSeries),
    /// T1 by saturation.
    Sasha(SashaSeries),
    /// T2 by preparation.
    T2(T2Series),
    /// T2* by several echoes.
    T2Star(T2StarSeries),
}

/// What is particular to a protocol.
pub(super) trait SeriesKind {
    /// As the command line says it.
    fn kind(&self) -> &'static str;

    /// Name and meaning of the times that images differ in, ms.
    fn times(&self) -> [&'static str; 2];

    /// Name and meaning of the numbers that [`SeriesKind::draw`] gives.
    fn numbers(&self) -> &'static [[&'static str; 2]];

    /// Images of a series.
    fn n_frames(&self) -> usize;

    /// The sequence of a case and what was drawn for it.
    fn draw(&self, draw: &mut Draw) -> (Box<dyn Sequence>, Vec<f64>);

    /// Finds the first fault of the options.
    fn check(&self) -> Result<(), DatasetError>;
}

impl Protocol {
    fn kind(&self) -> &dyn SeriesKind {
        match self {
            Self::Molli(kind) => kind,
            Self::Sasha(kind) => kind,
            Self::T2(kind) => kind,
            Self::T2Star(kind) => kind,
        }
    }
}

/// A set of series.
///
/// Its arrays, each with the case as the slowest axis:
///
/// * `images` \[frame, y, x\];
/// * the frames' times, e.g. `inversion_time_ms` \[frame\], `acquisition_time_ms` and
///   `rr_interval_ms` \[frame\];
/// * `displacement_field_px` \[frame, 2, y, x\] as (dy, dx): where in a frame to look for what
///   the reference frame shows in a pixel;
/// * `reference_frame`, `is_still`, and the poses `shift_mm` \[frame, 2\], `rotation_rad`
///   \[frame\], `endocardial_scale` \[frame\];
/// * `noise_sd` and what was drawn for the sequence, e.g. `inversion_factor`;
/// * `t1_map_ms`, `t2_map_ms`, `t2_star_map_ms`, `labels` and masks \[y, x\] of the reference
///   frame; `field_strength_t`, `is_after_contrast`.
pub struct SeriesDataset {
    protocol: Protocol,
    options: SeriesOptions,
    painter: Painter,
}

/// Everything about a case but its pictures.
struct Case {
    body: RandomAnatomy,
    plan: Plan,
    times_ms: Vec<f64>,
    acquired_ms: Vec<f64>,
    rr_interval_ms: Vec<f64>,
    numbers: Vec<f64>,
    motion: SeriesMotion,
    noise_sd: f64,
}

impl SeriesDataset {
    /// Plans a set.
    ///
    /// # Errors
    /// [`DatasetError`] for options of which no case can be made.
    pub fn new(protocol: Protocol, options: SeriesOptions) -> Result<Self, DatasetError> {
        protocol.kind().check()?;
        options.images.check()?;
        options.motion.check()?;
        let rhythm = options.rhythm;
        check_range("the mean interval of R waves in ms", rhythm.rr_interval_ms, 400.0, 2000.0)?;
        check("the variability of R waves", rhythm.max_variability, 0.0, 0.2)?;
        let painter = Painter::new(&options.images);
        let set = Self { protocol, options, painter };
        // Times that do not fit show in the first case.
        set.case(0)?;
        Ok(set)
    }

    fn grid(&self) -> PixelGrid {
        self.options.images.grid
    }

    fn case(&self, index: u64) -> Result<Case, DatasetError> {
        let images = &self.options.images;
        let seed = images.seed;
        let body = random_anatomy(seed, index, &images.bodies())?;
        let mut draw = Draw::new(seed, b"sequence", index);
        let rhythm = Rhythm::new(&RhythmOptions {
            rr_interval_ms: draw.between(self.options.rhythm.rr_interval_ms),
            variability: draw.between([0.0, self.options.rhythm.max_variability]),
            seed: seed ^ index.rotate_left(32),
            ..RhythmOptions::default()
        })?;
        let (sequence, numbers) = self.protocol.kind().draw(&mut draw);
        let mut setup = Setup::new(Subject::Anatomies(Vec::new()));
        setup.matrix_size = [16, N_TIMED_LINES];
        setup.n_channels = 1;
        setup.lines.order = LineOrder::Centric;
        setup.motion = Motion::still(rhythm);
        let plan = sequence.plan(&setup, &[Body::Anatomy(body.anatomy.clone())])?;
        let acquired_ms: Vec<f64> = plan.frames.iter().map(|frame| frame.time_ms).collect();
        let rhythm = &setup.motion.rhythm;
        let motion = self.options.motion.draw(
            &mut Draw::new(seed, b"motion..", index),
            &body.anatomy,
            images.grid,
            &acquired_ms,
            plan.reference_frame,
        );
        let signal = myocardium(&body.anatomy)
            .map_or(1.0, |n| signals(&plan, plan.reference_frame)[n].norm());
        let noise_sd =
            signal / Draw::new(seed, b"snr.....", index).log_between(images.signal_to_noise);
        Ok(Case {
            times_ms: plan.frames.iter().map(|frame| frame.values[0].1).collect(),
            rr_interval_ms: acquired_ms
                .iter()
                .map(|at| rhythm.beat_at(*at).rr_interval_ms)
                .collect(),
            acquired_ms,
            body,
            plan,
            numbers,
            motion,
            noise_sd,
        })
    }

    /// The images of a case, `[frame, y, x]` without gaps.
    fn images(&self, index: u64, case: &Case) -> Values {
        let options = &self.options.images;
        let grid = self.grid();
        let mut shading = case.body.bias_field.on_grid(grid).mapv(Complex32::from);
        // To a real part from which it is taken away again, and to a magnitude, phase is nothing.
        if options.content == ImageContent::Complex {
            let mut draw = Draw::new(options.seed, b"phase...", index);
            shading *= &smooth_phase(&mut draw, grid, options.max_phase_rad);
        }
        let mut known = Known::default();
        let mut values = options
            .content
            .empty(case.plan.frames.len() * grid.matrix_size.iter().product::<usize>());
        for frame in 0..case.plan.frames.len() {
            let posed = case.body.anatomy.posed(&case.motion.poses[frame]);
            let components = posed.components(signals(&case.plan, frame));
            let scene =
                Scene { components: &components, elastic: case.motion.elastic[frame].as_ref() };
            let mut channels = self.painter.channels(&scene, &mut known);
            shade(&mut channels, shading.view());
            let number = (index << 16) | frame as u64;
            let mut draw = Draw::new(options.seed, b"noise...", number);
            options.content.add_noise(&mut draw, case.noise_sd, &mut channels);
            options.content.push(&self.painter.combine(channels), &mut values);
        }
        values
    }

    /// Where to look for what the reference frame shows: `[frame, 2, y, x]` without gaps.
    fn fields(&self, case: &Case) -> Values {
        let grid = self.grid();
        let (n_rows, n_columns) = grid.shape();
        let n_field = 2 * n_rows * n_columns;
        let mut fields = vec![0.0; case.motion.poses.len() * n_field];
        if case.motion.is_still {
            return Values::F32(fields);
        }
        let motions = case.motion.poses.iter().zip(&case.motion.elastic);
        for (target, (pose, elastic)) in fields.chunks_exact_mut(n_field).zip(motions) {
            if *pose != Default::default() {
                let field = displacement_field_px(&case.body.anatomy, pose, grid);
                target.copy_from_slice(field.as_slice().expect("a new array is contiguous"));
            }
            if let Some(elastic) = elastic {
                let field = ArrayViewMut3::from_shape((2, n_rows, n_columns), target);
                elastic.follow(field.expect("as many pixels as the grid has"));
            }
        }
        Values::F32(fields)
    }
}

impl Dataset for SeriesDataset {
    fn kind(&self) -> &'static str {
        self.protocol.kind().kind()
    }

    fn arrays(&self) -> Vec<ArrayDescription> {
        let grid = self.grid();
        let (n_rows, n_columns) = grid.shape();
        let kind = self.protocol.kind();
        let frames = ("frame", kind.n_frames());
        let (y, x) = (("y", n_rows), ("x", n_columns));
        let array = ArrayDescription::array::<1>;
        let f32 = Element::F32;
        let content = self.options.images.content;
        let [times, meaning] = kind.times();
        let mut arrays = vec![
            ArrayDescription::array(
                "images",
                content.element(),
                [frames, y, x],
                "equilibrium magnetisation of blood",
                content.meaning(),
            ),
            array(times, f32, [frames], "ms", meaning),
            array("acquisition_time_ms", f32, [frames], "ms", "since the start of the scan"),
            array("rr_interval_ms", f32, [frames], "ms", "of the beat in which the image is taken"),
            ArrayDescription::array(
                "displacement_field_px",
                f32,
                [frames, ("component", 2), y, x],
                "px",
                "(dy, dx): where in a frame to look for what the reference frame shows in a \
                 pixel; 0 in chest and air, unless the frame is deformed as well",
            ),
            ArrayDescription::scalar(
                "reference_frame",
                Element::U16,
                "",
                "index of the frame that maps, masks and fields belong to",
            ),
            ArrayDescription::scalar("is_still", Element::Bool, "", "no frame has moved"),
            ArrayDescription::array(
                "shift_mm",
                f32,
                [frames, ("axis", 2)],
                "mm",
                "(x, y): shift of the heart from the reference frame",
            ),
            array("rotation_rad", f32, [frames], "rad", "turn of the heart from x towards y"),
            array(
                "endocardial_scale",
                f32,
                [frames],
                "",
                "radius of the left blood pool over that in the reference frame",
            ),
            ArrayDescription::scalar(
                "noise_sd",
                f32,
                "equilibrium magnetisation of blood",
                "standard deviation of the noise in each of real and imaginary part",
            ),
        ];
        arrays.extend(
            kind.numbers()
                .iter()
                .map(|[name, meaning]| ArrayDescription::scalar(name, f32, "", *meaning)),
        );
        arrays.extend(truth::descriptions(&MAPS, grid));
        arrays
    }

    fn group(&self, index: u64) -> Result<Vec<Values>, DatasetError> {
        let case = self.case(index)?;
        let poses = &case.motion.poses;
        let tissues = TissueMaps::new(&case.body.anatomy, self.grid());
        let mut values = vec![
            self.images(index, &case),
            numbers(case.times_ms.iter().copied()),
            numbers(case.acquired_ms.iter().copied()),
            numbers(case.rr_interval_ms.iter().copied()),
            self.fields(&case),
            Values::U16(vec![case.plan.reference_frame as u16]),
            Values::Bool(vec![case.motion.is_still]),
            numbers(poses.iter().flat_map(|pose| pose.shift_mm)),
            numbers(poses.iter().map(|pose| pose.rotation_rad)),
            numbers(poses.iter().map(|pose| pose.endocardial_scale)),
            number(case.noise_sd),
        ];
        values.extend(case.numbers.iter().map(|value| number(*value)));
        values.extend(truth::values(&MAPS, &case.body, &tissues));
        Ok(values)
    }
}

/// Signals of the regions in a frame.
fn signals(plan: &Plan, frame: usize) -> &[Complex64] {
    match plan.frames[frame].content {
        Content::Body { signals, .. } => &plan.signals[signals],
        content => unreachable!("a series of images of a body has {content:?}"),
    }
}

/// The region that stands for healthy wall.
pub(super) fn myocardium(anatomy: &Anatomy) -> Option<usize> {
    anatomy.regions.iter().position(|region| region.label == Label::Myocardium)
}
