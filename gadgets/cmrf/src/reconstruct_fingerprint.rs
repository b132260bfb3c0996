//! Images of the few numbers that the course of every voxel is made of.

use std::collections::BTreeMap;

use ismrmrd::xml::{Encoding, Trajectory};
use ismrmrd::{Acquisition, DataType, ImageHeader, Meta};
use ndarray::{Array2, Array3, Array4, ArrayView2, Axis, IxDyn, s};
use num_complex::Complex32;
use numerics::coil_compression::{Compression, Keep};
use numerics::coil_maps::{InatiOptions, inati};
use numerics::fingerprint::{Imperfections, PulseTable, Shot, Subspace, SubspaceOptions};
use pipeline::{Bucket, Gadget, ImageRole, ImageSeries, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arms::Arms;
use crate::error::{Error, positive};
use crate::noise::{sample_noise_sd, unexplained};
use crate::played::{Played, Reduction, windows};
use crate::sequence::{Overrides, SequenceSource};
use crate::timing::{Placed, place};

/// How images are made of the readouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reconstruction {
    /// All readouts together give the images of the modes of the course's basis.
    Subspace,
    /// The same, and every neighbourhood has few different courses: less noise and aliasing, in
    /// about twice the time.
    #[default]
    LocallyLowRank,
    /// Readouts of a window give an image each: simple and quick, with aliasing.
    SlidingWindow,
}

/// Reconstructs the readouts of a cardiac fingerprint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How images are made of the readouts.
    pub reconstruction: Reconstruction,
    /// Where the pulse table is from.
    pub sequence: SequenceSource,
    /// Preparations of the beats, for a header that does not tell them: -1 an inversion, 0 nothing,
    /// else the echo time of a T2 preparation in ms.
    pub preparations_ms: Vec<f64>,
    /// Angles of all pulses in turn, for a header that does not tell them.
    pub flip_angles_deg: Vec<f64>,
    /// From pulse to pulse, against the header's.
    pub repetition_time_ms: Option<f64>,
    /// From pulse to the centre of k-space, against the header's.
    pub echo_time_ms: Option<f64>,
    /// From an inversion to the first pulse, against the header's `InversionTime_ms`; 20 ms where
    /// neither tells it.
    pub inversion_time_ms: Option<f64>,
    /// Mz after an inversion is minus this times Mz before it; against the header's
    /// `InversionFactor`; 1 where neither tells it.
    pub inversion_factor: Option<f64>,
    /// Angles over the nominal ones.
    pub b1: f64,
    /// Angles across the slice over that in its middle; their signals are averaged. Empty: a perfect
    /// profile.
    pub slice_profile: Vec<f64>,
    /// What a tick of the time stamps lasts.
    pub tick_ms: f64,
    /// Modes of the basis.
    #[schemars(range(min = 2, max = 24))]
    pub n_modes: usize,
    /// Echoes of a window.
    pub window_echoes: usize,
    /// From window to window.
    pub window_step: usize,
    /// Channels after compression.
    #[schemars(range(min = 1))]
    pub max_channels: usize,
    /// Weight of the images' own size against the samples', over the mean of the latter.
    pub regularisation: f64,
    /// The same of their distance from few courses in every neighbourhood, for
    /// `locally_low_rank`.
    pub low_rank_regularisation: f64,
    /// How often these are looked for.
    #[schemars(range(min = 1, max = 20))]
    pub low_rank_rounds: usize,
    /// Steps of the conjugate gradients at most.
    pub max_iterations: usize,
    /// They end where the residual falls below this part of what it was.
    pub threshold: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reconstruction: Reconstruction::default(),
            sequence: SequenceSource::Auto,
            preparations_ms: Vec::new(),
            flip_angles_deg: Vec::new(),
            repetition_time_ms: None,
            echo_time_ms: None,
            inversion_time_ms: None,
            inversion_factor: None,
            b1: 1.0,
            slice_profile: Vec::new(),
            tick_ms: 2.5,
            n_modes: 8,
            window_echoes: 20,
            window_step: 10,
            max_channels: 10,
            regularisation: 0.05,
            low_rank_regularisation: 0.2,
            low_rank_rounds: 3,
            max_iterations: 20,
            threshold: 1e-3,
        }
    }
}

/// Memory that images of one slice may take.
const MAX_GIB: f64 = 4.0;

/// Reconstructs the readouts of a cardiac fingerprint.
pub struct ReconstructFingerprint {
    config: Config,
    table: PulseTable,
    imperfections: Imperfections,
    table_from: &'static str,
    encoding: Encoding,
    /// Pixels along y and x.
    image: [usize; 2],
    field_of_view_mm: [f32; 3],
}

impl Gadget for ReconstructFingerprint {
    const NAME: &str = "reconstruct_fingerprint";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = Bucket;
    type Output = ImageSeries; // [1, 1, mode or window, 1, 1, y, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        positive("tick_ms", config.tick_ms)?;
        positive("regularisation", config.regularisation)?;
        positive("low_rank_regularisation", config.low_rank_regularisation)?;
        positive("threshold", config.threshold)?;
        let in_range = |property, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(Error::Property { property, value: value.to_string() })
            }
        };
        in_range("n_modes", config.n_modes, 2, 24)?;
        in_range("low_rank_rounds", config.low_rank_rounds, 1, 20)?;
        in_range("max_channels", config.max_channels, 1, 1024)?;
        in_range("max_iterations", config.max_iterations, 1, 1000)?;
        in_range("window_echoes", config.window_echoes, 1, 10_000)?;
        in_range("window_step", config.window_step, 1, 10_000)?;
        let overrides = Overrides {
            source: config.sequence,
            preparations_ms: &config.preparations_ms,
            flip_angles_deg: &config.flip_angles_deg,
            repetition_time_ms: config.repetition_time_ms,
            echo_time_ms: config.echo_time_ms,
            inversion_time_ms: config.inversion_time_ms,
            inversion_factor: config.inversion_factor,
            b1: config.b1,
            slice_profile: &config.slice_profile,
        };
        let encoding = scan.encoding(0)?.clone();
        let space = encoding.recon_space;
        let image = [space.matrix_size.y, space.matrix_size.x].map(usize::from);
        let is_square = !image.contains(&0) && image[0] == image[1];
        // A converter may have written `cartesian` for spirals: a square image is believed to be one
        // until readouts without positions arrive.
        if !is_square && is_cartesian(&encoding) {
            return Err(Error::Cartesian);
        }
        let (table, imperfections, table_from) = overrides.table(scan)?;
        if !is_square {
            return Err(Error::Shape(format!(
                "an image of {} x {} pixels: spirals need a square one",
                image[1], image[0]
            )));
        }
        let gadget = Self {
            table,
            imperfections,
            table_from,
            encoding,
            image,
            field_of_view_mm: [
                space.field_of_view_mm.x,
                space.field_of_view_mm.y,
                space.field_of_view_mm.z,
            ],
            config,
        };
        let needed_gib = gadget.needed_gib();
        if needed_gib > MAX_GIB {
            let (matrix, n_modes) = (image[0], gadget.config.n_modes);
            return Err(Error::TooLarge { matrix, n_modes, needed_gib });
        }
        Ok(gadget)
    }

    fn process(&mut self, bucket: Bucket, out: &mut Sink<Self>) -> Result<(), Error> {
        let mut slices: BTreeMap<u16, Vec<&Acquisition>> = BTreeMap::new();
        for readout in &bucket.data {
            slices.entry(readout.header.idx.slice).or_default().push(readout);
        }
        for readouts in slices.into_values() {
            out.push(self.slice(&readouts)?);
        }
        Ok(())
    }
}

/// Whether the header says that k-space was read line by line.
pub(crate) fn is_cartesian(encoding: &Encoding) -> bool {
    matches!(encoding.trajectory, Trajectory::Cartesian | Trajectory::Epi)
}

/// What was made of the readouts of a slice.
struct Images {
    /// `[number, y, x]`.
    images: Array3<Complex32>,
    noise_covariance: Array2<f64>,
    unexplained: f64,
    noise_left: f64,
}

impl ReconstructFingerprint {
    fn needed_gib(&self) -> f64 {
        let n_pixels = (self.image[0] * self.image[1]) as f64;
        // The kernels of all pairs on the doubled grid, as numbers and as complex ones, and the
        // preconditioner; of windows there is one at a time, and the images of all.
        let of_modes = |n: f64| n * (n + 1.0) / 2.0 * 4.0 * 16.0 + n * n * 4.0;
        let of_pixel = match self.reduction() {
            Reduction::Modes(n) => of_modes(n as f64),
            Reduction::Windows { n_echoes, step } => {
                of_modes(1.0) + 8.0 * windows(&self.table, n_echoes, step).nrows() as f64
            }
        };
        n_pixels * of_pixel / (1_u64 << 30) as f64
    }

    fn reduction(&self) -> Reduction {
        match self.config.reconstruction {
            Reconstruction::Subspace | Reconstruction::LocallyLowRank => {
                Reduction::Modes(self.config.n_modes)
            }
            Reconstruction::SlidingWindow => Reduction::Windows {
                n_echoes: self.config.window_echoes,
                step: self.config.window_step,
            },
        }
    }

    fn slice(&self, readouts: &[&Acquisition]) -> Result<ImageSeries, Error> {
        let n_channels = readouts.first().map_or(0, |readout| readout.n_channels());
        if n_channels == 0 || readouts.iter().any(|r| r.n_channels() != n_channels) {
            return Err(Error::Shape("readouts with different numbers of channels".to_owned()));
        }
        let placed = place(readouts, &self.table, self.config.tick_ms)?;
        let first_pulses_ms = placed.first_pulses_ms.clone();
        let mut played =
            Played::new(&self.table, &self.imperfections, first_pulses_ms, self.reduction());
        let arms = Arms::of(readouts, &self.encoding)?;
        let found = self.reconstruct(readouts, &placed, &arms, &played)?;
        played.noise_covariance = found.noise_covariance.iter().copied().collect();
        played.unexplained = found.unexplained;
        played.noise_left = found.noise_left;
        played.is_truncated = placed.is_truncated;
        played.problems = placed.problems;
        Ok(self.series(found.images, &played, readouts))
    }

    fn reconstruct(
        &self,
        readouts: &[&Acquisition],
        placed: &Placed,
        arms: &Arms,
        played: &Played,
    ) -> Result<Images, Error> {
        let course = played.course()?;
        let bad = |error: numerics::nufft::Error| Error::Shape(error.to_string());
        let shots: Vec<Shot> = arms
            .of_readout
            .iter()
            .zip(&placed.echoes)
            .map(|(arm, echo)| Shot { arm: *arm, echo: *echo })
            .collect();
        let is_low_rank = self.config.reconstruction == Reconstruction::LocallyLowRank;
        let (regularisation, n_low_rank) = if is_low_rank {
            (self.config.low_rank_regularisation, self.config.low_rank_rounds)
        } else {
            (self.config.regularisation, 0)
        };
        let modes = match played.reduction {
            Reduction::Modes(_) => played.reduction(&course),
            // Coil maps come from the first mode.
            Reduction::Windows { .. } => {
                let one = Played { reduction: Reduction::Modes(1), ..played.clone() };
                one.reduction(&course)
            }
        };
        let subspace =
            Subspace::new(self.image, &arms.places, shots.clone(), modes, regularisation as f32)
                .map_err(bad)?;
        let samples: Vec<ArrayView2<'_, Complex32>> = readouts
            .iter()
            .zip(&arms.kept)
            .map(|(r, kept)| r.data.slice(s![.., kept.clone()]))
            .collect();
        let calibration = subspace.calibration(&samples);
        let keep = Keep::Count(self.config.max_channels);
        let compression = Compression::from_reference(calibration.view(), Axis(0), keep)
            .map_err(|error| Error::Shape(error.to_string()))?;
        let calibration = compression.apply(calibration.view(), Axis(0));
        let coil_maps = inati(calibration.view(), &InatiOptions::default());
        let samples: Vec<Array2<Complex32>> =
            samples.iter().map(|samples| compression.apply(*samples, Axis(0))).collect();
        let samples: Vec<_> = samples.iter().map(|samples| samples.view()).collect();
        let options = SubspaceOptions {
            max_iterations: self.config.max_iterations,
            threshold: self.config.threshold as f32,
            n_low_rank,
        };
        match played.reduction {
            Reduction::Modes(_) => {
                let found = subspace.solve(&samples, coil_maps.view(), &options);
                let noise = found.noise * f64::from(sample_noise_sd(&samples)).powi(2);
                Ok(Images {
                    images: found.images,
                    noise_covariance: subspace.noise_covariance(),
                    unexplained: unexplained(found.energy, found.residual, noise),
                    noise_left: found.noise_left,
                })
            }
            Reduction::Windows { n_echoes, step } => {
                let rows = windows(&self.table, n_echoes, step);
                self.windows(&rows, &shots, &samples, arms, &coil_maps, &options)
            }
        }
    }

    /// An image of each window, by a subspace of one mode that is the same for all of its echoes.
    fn windows(
        &self,
        rows: &Array2<f32>,
        shots: &[Shot],
        samples: &[ArrayView2<'_, Complex32>],
        arms: &Arms,
        coil_maps: &Array4<Complex32>,
        options: &SubspaceOptions,
    ) -> Result<Images, Error> {
        let [n_y, n_x] = self.image;
        let mut images = Array3::zeros((rows.nrows(), n_y, n_x));
        for (row, mut image) in rows.outer_iter().zip(images.outer_iter_mut()) {
            let inside: Vec<usize> =
                (0..shots.len()).filter(|&shot| row[shots[shot].echo] > 0.0).collect();
            if inside.is_empty() {
                continue;
            }
            let used: Vec<Vec<[f32; 2]>> =
                inside.iter().map(|&shot| arms.places[shots[shot].arm].clone()).collect();
            let own: Vec<Shot> = (0..inside.len()).map(|echo| Shot { arm: echo, echo }).collect();
            let constant = Array2::ones((1, inside.len()));
            let plan =
                Subspace::new(self.image, &used, own, constant, self.config.regularisation as f32)
                    .map_err(|error| Error::Shape(error.to_string()))?;
            let samples: Vec<_> = inside.iter().map(|&shot| samples[shot]).collect();
            let found = plan.solve(&samples, coil_maps.view(), options);
            image.assign(&found.images.index_axis(Axis(0), 0));
        }
        let noise_covariance = rows.dot(&rows.t()).mapv(f64::from);
        Ok(Images { images, noise_covariance, unexplained: 0.0, noise_left: 1.0 })
    }

    fn series(
        &self,
        images: Array3<Complex32>,
        played: &Played,
        readouts: &[&Acquisition],
    ) -> ImageSeries {
        let n = images.len_of(Axis(0));
        let [n_y, n_x] = self.image;
        let header = readouts.first().map_or_else(ImageHeader::default, |r| self.header(r));
        let mut meta = Meta::new();
        meta.append("ImageProcessingHistory", "FINGERPRINT");
        meta.set("BoresideTimesFrom", format!("time stamps; pulse table by {}", self.table_from));
        played.write(&mut meta);
        let data = images.into_shape_with_order(IxDyn(&[1, 1, n, 1, 1, n_y, n_x]));
        ImageSeries {
            role: ImageRole::Image,
            s: None,
            n: None,
            data: data.unwrap_or_default(),
            headers: Array3::from_shape_fn((1, 1, n), |(.., image)| ImageHeader {
                image_index: image as u16 + 1,
                ..header
            }),
            meta: vec![meta; n],
            waveforms: Vec::new(),
            acquisition_headers: None,
            sampling: None,
        }
    }

    fn header(&self, readout: &Acquisition) -> ImageHeader {
        ImageHeader {
            data_type: DataType::C32 as u16,
            matrix_size: [self.image[1] as u16, self.image[0] as u16, 1],
            field_of_view: self.field_of_view_mm,
            channels: 1,
            ..ImageHeader::of_line(&readout.header)
        }
    }
}
