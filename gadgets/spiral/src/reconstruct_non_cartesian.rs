//! Images of spirals, spokes and any other samples of a plane of k-space.

mod error;

use std::sync::Arc;

use ismrmrd::xml::Encoding;
use ismrmrd::{AcquisitionHeader, DataType, ImageHeader, ImageType, KSpaceBuffer, Meta};
use ndarray::{Array2, Array3, ArrayD, ArrayView3, Axis, IxDyn, Zip, s};
use num_complex::Complex32;
use numerics::coil_maps::{InatiOptions, inati};
use numerics::nufft::{self, Nufft, Options, SenseOptions, Toeplitz, cg_sense};
use pipeline::{Gadget, ImageRole, ImageSeries, KSpace, Scan, ScanError, Sink, TrajectoryUnit};
use schemars::JsonSchema;
use serde::Deserialize;

pub use error::Error;

use crate::frame::{Frame, Frames};

/// Iterations of the density compensation.
const DENSITY_ITERATIONS: usize = 15;

/// Share of the radius of k-space that coil maps are made of.
const CALIBRATION_RADIUS: f32 = 0.25;

/// Least area around the centre that coil maps are made of, cycles per field of view.
const MIN_CALIBRATION_RADIUS: f32 = 12.0;

/// Samples beyond which no more frames are taken for coil maps.
const MAX_CALIBRATION_SAMPLES: usize = 1 << 22;

/// Part of the sampled disc that the samples must cover for a frame to be complete.
const COMPLETE: f64 = 0.8;

/// Room that rounding and the last sample of an arm get beyond the edge of k-space.
const EDGE: f32 = 1.005;

/// Gridding or iterative SENSE.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether the image that all channels agree on is searched by conjugate gradients (CG-SENSE).
    /// Otherwise the samples are put onto a grid, and what is missing folds.
    pub iterate: bool,
    /// Most iterations.
    #[schemars(range(min = 1))]
    pub iteration_max: usize,
    /// Part of the first residual at which iterations end.
    #[schemars(range(min = 0.0))]
    pub iteration_tol: f32,
    /// Weight of the image's own energy in the iterations: against noise where little is sampled.
    #[schemars(range(min = 0.0))]
    pub regularisation: f32,
    /// Unit of the trajectory.
    pub trajectory_unit: TrajectoryUnit,
    /// Width of the gridding kernel; rounded up, and 4 to 6.
    pub kernel_width: f32,
    /// Size of the grid over that of the image, 1.25 to 2.5.
    #[schemars(range(min = 1.25, max = 2.5))]
    pub gridding_oversampling_factor: f64,
    /// Window of the coil maps, pixels.
    #[schemars(range(min = 1, max = 63))]
    pub coil_map_kernel_size: usize,
    /// Number of the series.
    pub image_series: u16,
    /// Without effect: replicas with added noise are made by `pseudo_replica` for Cartesian scans.
    pub replicas: usize,
    /// Without effect; it belongs to `replicas`.
    pub snr_frame: usize,
    /// Without effect; in Gadgetron it fills the log.
    pub perform_timing: bool,
    /// Without effect; in Gadgetron it fills the log.
    pub verbose: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            iterate: false,
            iteration_max: 5,
            iteration_tol: 1e-5,
            regularisation: 0.0,
            trajectory_unit: TrajectoryUnit::Auto,
            kernel_width: 5.5,
            gridding_oversampling_factor: 1.5,
            coil_map_kernel_size: 7,
            image_series: 1,
            replicas: 0,
            snr_frame: 20,
            perform_timing: false,
            verbose: false,
        }
    }
}

/// Reconstructs samples anywhere in a plane of k-space: by gridding with density compensation, or
/// by iterative SENSE with coil maps of the centre of k-space of all frames.
pub struct ReconstructNonCartesian {
    config: Config,
    options: Options,
    encodings: Vec<Encoding>,
    fault: Option<ScanError>,
    /// Unit of each encoding space, once it is known.
    units: Vec<Option<TrajectoryUnit>>,
    /// The last trajectory and what was planned for it.
    plan: Option<Arc<FramePlan>>,
    n_images: u64,
    told: Told,
}

/// What was told, once.
#[derive(Default)]
struct Told {
    beyond: bool,
    not_finite: bool,
    incomplete: bool,
    missing: bool,
    replicas: bool,
}

/// What depends on the trajectory of a frame.
struct FramePlan {
    image: [usize; 2],
    points: Vec<[f32; 2]>,
    nufft: Nufft,
    weights: Vec<f32>,
    normal: Option<Toeplitz>,
    /// From the intensity of the object to units of the noise's standard deviation.
    snr_scale: f32,
    /// Part of the sampled disc that the samples cover.
    coverage: f64,
}

impl Gadget for ReconstructNonCartesian {
    const NAME: &str = "reconstruct_non_cartesian";
    const ALIASES: &'static [&'static str] = &["GriddingReconGadget", "CPUGriddingReconGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace;
    type Output = ImageSeries; // [slice, s, n, channel = 1, z = 1, y, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let oversampling = config.gridding_oversampling_factor;
        if !(1.25..=2.5).contains(&oversampling) {
            return Err(Error::Oversampling(oversampling));
        }
        if !(1..=63).contains(&config.coil_map_kernel_size) {
            return Err(Error::CoilMapKernel(config.coil_map_kernel_size));
        }
        if !(config.regularisation >= 0.0 && config.iteration_tol >= 0.0) {
            return Err(Error::Negative);
        }
        if config.iterate && config.iteration_max == 0 {
            return Err(Error::Iterations);
        }
        // A cast of what is no number gives 0.
        let width = (config.kernel_width.ceil() as usize).clamp(4, 6);
        let (encodings, fault) = match scan.header() {
            Ok(header) => (header.encoding.clone(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Ok(Self {
            options: Options { width, oversampling },
            units: vec![None; encodings.len()],
            config,
            encodings,
            fault,
            plan: None,
            n_images: 0,
            told: Told::default(),
        })
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        let KSpace { encoding_space, s, n, data: buffer, waveforms, .. } = k_space;
        if buffer.data.is_empty() {
            // Calibration only.
            return Ok(());
        }
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        let n_encodings = self.encodings.len();
        let encoding = self.encodings.get(encoding_space);
        let encoding =
            encoding.ok_or(ScanError::NoEncoding { index: encoding_space, n_encodings })?.clone();
        if self.config.replicas > 0 && !std::mem::replace(&mut self.told.replicas, true) {
            out.warn(
                "`replicas` is without effect: images are in units of the noise as they are",
                "take `replicas` out of the chain",
            );
        }
        let frames = Frames::of(&buffer)?;
        let unit = self.unit(encoding_space, &encoding, &frames, out)?;
        let factors = unit.factors(&encoding);
        let matrix = encoding.recon_space.matrix_size;
        let image = [usize::from(matrix.y), usize::from(matrix.x)];
        // Before memory is asked for them.
        if image.iter().any(|n| !(1..=nufft::MAX_PIXELS).contains(n)) {
            return Err(nufft::Error::ImageSize(image[1], image[0]).into());
        }
        let edge = [matrix.x, matrix.y].map(|n| 0.5 * f32::from(n) * EDGE);
        let outer @ [n_slices, n_s, n_n] = frames.outer();
        let shape = [n_slices, n_s, n_n, 1, 1, image[0], image[1]];
        let mut data = ArrayD::zeros(IxDyn(&shape));
        let mut headers = Array3::default(outer);
        for slice in 0..n_slices {
            let mut of_slice = Vec::with_capacity(n_s * n_n);
            for place in (0..n_s * n_n).map(|at| [slice, at / n_n, at % n_n]) {
                of_slice.push((place, frames.frame(place, factors, edge)));
            }
            self.tell_losses(of_slice.iter().filter_map(|(_, frame)| frame.as_ref()), out);
            let maps = self.coil_maps(image, &of_slice)?;
            for ([slice, s, n], frame) in of_slice {
                let Some(frame) = frame else {
                    if !std::mem::replace(&mut self.told.missing, true) {
                        out.warn(
                            format!(
                                "no readout of an image (slice {slice}, s {s}, n {n}): it is 0"
                            ),
                            "repeat the scan, or correct the counters of the readouts",
                        );
                    }
                    continue;
                };
                headers[[slice, s, n]] = self.header(&frame.headers, &buffer, image);
                let pixels = self.reconstruct(image, frame, maps.view(), out)?;
                data.slice_mut(s![slice, s, n, 0, 0, .., ..]).assign(&pixels);
            }
        }
        out.push(ImageSeries {
            role: ImageRole::Image,
            s,
            n,
            data,
            meta: headers.iter().map(|_| Meta::default()).collect(),
            headers,
            waveforms,
            acquisition_headers: Some(buffer.headers),
            // Partial Fourier and filters are made for lines.
            sampling: None,
        });
        Ok(())
    }
}

impl ReconstructNonCartesian {
    fn unit(
        &mut self,
        encoding_space: usize,
        encoding: &Encoding,
        frames: &Frames<'_>,
        out: &mut Sink<Self>,
    ) -> Result<TrajectoryUnit, Error> {
        let largest = frames.largest()?;
        if let Some(Some(unit)) = self.units.get(encoding_space) {
            return Ok(*unit);
        }
        let (detected, believed) = TrajectoryUnit::detect(largest, encoding);
        let unit = match self.config.trajectory_unit {
            TrajectoryUnit::Auto => detected,
            unit => unit,
        };
        let reach = largest[0].max(largest[1]);
        if self.config.trajectory_unit == TrajectoryUnit::Auto {
            let what = format!(
                "the trajectory reaches {reach}: taken as {} of a matrix of {}",
                unit.name(),
                encoding.recon_space.matrix_size.x
            );
            if believed {
                out.inform(what);
            } else {
                out.warn(
                    format!("{what}, though the edge of k-space is elsewhere in every unit"),
                    "set `trajectory_unit` of `reconstruct_non_cartesian`",
                );
            }
        }
        if let Some(known) = self.units.get_mut(encoding_space) {
            *known = Some(unit);
        }
        Ok(unit)
    }

    fn tell_losses<'a>(&mut self, frames: impl Iterator<Item = &'a Frame>, out: &mut Sink<Self>) {
        let (mut beyond, mut not_finite, mut kept) = (0, 0, 0);
        for frame in frames {
            beyond += frame.n_beyond;
            not_finite += frame.n_not_finite;
            kept += frame.points.len();
        }
        let all = beyond + not_finite + kept;
        // An arm that ends a little late is no news.
        if beyond * 100 > all && !std::mem::replace(&mut self.told.beyond, true) {
            out.warn(
                format!(
                    "{beyond} of {all} samples lie beyond the edge of k-space of the \
                     reconstructed matrix and are left out"
                ),
                "correct the matrix in the header, or set `trajectory_unit` of \
                 `reconstruct_non_cartesian`",
            );
        }
        if not_finite > 0 && !std::mem::replace(&mut self.told.not_finite, true) {
            out.warn(
                format!("{not_finite} of {all} samples are not finite numbers and are left out"),
                "correct what the client sends",
            );
        }
    }

    /// Maps of a slice, `[channel, y, x]`, of the centre of k-space of all its frames.
    fn coil_maps(
        &self,
        image: [usize; 2],
        frames: &[([usize; 3], Option<Frame>)],
    ) -> Result<Array3<Complex32>, Error> {
        let frames: Vec<_> = frames.iter().filter_map(|(_, frame)| frame.as_ref()).collect();
        let n_channels = frames.first().map_or(0, |frame| frame.samples.nrows());
        let [n_y, n_x] = image;
        if n_channels < 2 {
            return Ok(Array3::from_elem((n_channels, n_y, n_x), Complex32::ONE));
        }
        let radius = [n_x, n_y].map(|n| {
            (CALIBRATION_RADIUS * 0.5 * n as f32).max(MIN_CALIBRATION_RADIUS).min(0.5 * n as f32)
        });
        let (mut points, mut window, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        'frames: for (number, frame) in frames.iter().enumerate() {
            for (sample, k) in frame.points.iter().enumerate() {
                let r = (k[0] / radius[0]).hypot(k[1] / radius[1]);
                if r < 1.0 {
                    points.push(*k);
                    // Hann.
                    window.push((0.5 * std::f32::consts::PI * r).cos().powi(2));
                    kept.push((number, sample));
                }
            }
            if points.len() > MAX_CALIBRATION_SAMPLES {
                break 'frames;
            }
        }
        let nufft = Nufft::new(image, &points, Options::fast())?;
        let mut weights = nufft.density_compensation(DENSITY_ITERATIONS);
        weights.iter_mut().zip(&window).for_each(|(weight, window)| *weight *= window);
        let samples = Array2::from_shape_fn((n_channels, kept.len()), |(channel, at)| {
            let (number, sample) = kept[at];
            frames[number].samples[[channel, sample]]
        });
        let mut images = Array3::zeros((n_channels, n_y, n_x));
        nufft.weighted_adjoint(samples.view(), Some(&weights), images.view_mut());
        let size = self.config.coil_map_kernel_size;
        let options = InatiOptions {
            kernel_readout: size,
            kernel_phase: size,
            kernel_partition: 1,
            spacing: [1, 2, 2],
            ..InatiOptions::default()
        };
        let maps = inati(images.view().insert_axis(Axis(1)), &options);
        Ok(maps.index_axis_move(Axis(1), 0))
    }

    fn reconstruct(
        &mut self,
        image: [usize; 2],
        frame: Frame,
        maps: ArrayView3<'_, Complex32>,
        out: &mut Sink<Self>,
    ) -> Result<Array2<Complex32>, Error> {
        let Frame { points, samples, .. } = frame;
        if points.is_empty() {
            return Err(Error::NothingLeft);
        }
        let plan = match &self.plan {
            Some(plan) if plan.image == image && plan.points == points => plan.clone(),
            _ => {
                let plan = FramePlan::new(image, points, self.options, self.config.iterate)?;
                self.plan.insert(Arc::new(plan)).clone()
            }
        };
        if !self.config.iterate
            && plan.coverage < COMPLETE
            && !std::mem::replace(&mut self.told.incomplete, true)
        {
            out.warn(
                format!(
                    "the samples cover {:.0} % of k-space, and gridding takes them as complete: \
                     the images fold",
                    100.0 * plan.coverage
                ),
                "use the chain `non_cartesian_sense`, or set `iterate` of \
                 `reconstruct_non_cartesian`",
            );
        }
        let mut pixels = if let Some(normal) = &plan.normal {
            let options = SenseOptions {
                regularisation: self.config.regularisation,
                max_iterations: self.config.iteration_max,
                threshold: self.config.iteration_tol,
            };
            cg_sense(&plan.nufft, normal, samples.view(), &plan.weights, maps, &options).0
        } else {
            let mut channels = Array3::zeros(maps.dim());
            plan.nufft.weighted_adjoint(samples.view(), Some(&plan.weights), channels.view_mut());
            combine_channels(channels.view(), maps)
        };
        pixels.mapv_inplace(|pixel| pixel * plan.snr_scale);
        Ok(pixels)
    }

    /// The header of the image of these lines.
    fn header(
        &mut self,
        lines: &[AcquisitionHeader],
        buffer: &KSpaceBuffer,
        [n_y, n_x]: [usize; 2],
    ) -> ImageHeader {
        self.n_images += 1;
        let Some(line) = lines.get(lines.len() / 2) else { return ImageHeader::default() };
        let size = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        ImageHeader {
            data_type: DataType::C32 as u16,
            image_type: ImageType::Magnitude as u16,
            matrix_size: [size(n_x), size(n_y), 1],
            field_of_view: buffer.sampling.recon_field_of_view_mm,
            channels: 1,
            physiology_time_stamp: line.physiology_time_stamp,
            user_int: line.user_int,
            user_float: line.user_float,
            image_series_index: self.config.image_series,
            // It has 16 bits; Gadgetron's wraps in the same way.
            image_index: self.n_images as u16,
            ..ImageHeader::of_line(line)
        }
    }
}

impl FramePlan {
    fn new(
        image: [usize; 2],
        points: Vec<[f32; 2]>,
        options: Options,
        iterates: bool,
    ) -> Result<Self, nufft::Error> {
        let nufft = Nufft::new(image, &points, options)?;
        let weights = nufft.density_compensation(DENSITY_ITERATIONS);
        let normal = match iterates {
            true => Some(Toeplitz::new(image, &points, &weights, options)?),
            false => None,
        };
        let n_pixels = (image[0] * image[1]) as f64;
        let squares: f64 = weights.iter().map(|weight| f64::from(*weight).powi(2)).sum();
        // Noise of standard deviation 1 in the samples is √(Σw²/N) in the image.
        let snr_scale = if squares > 0.0 { (n_pixels / squares).sqrt() as f32 } else { 0.0 };
        let area: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let reach = points.iter().fold([0.0_f64; 2], |reach, k| {
            [reach[0].max(f64::from(k[0].abs())), reach[1].max(f64::from(k[1].abs()))]
        });
        let disc = std::f64::consts::PI * reach[0] * reach[1];
        let coverage = if disc > 0.0 { area / disc } else { 0.0 };
        Ok(Self { image, points, nufft, weights, normal, snr_scale, coverage })
    }
}

/// Σ conj(s)·image over the channels.
fn combine_channels(
    channels: ArrayView3<'_, Complex32>,
    maps: ArrayView3<'_, Complex32>,
) -> Array2<Complex32> {
    let (n_channels, n_y, n_x) = channels.dim();
    let mut sum = Array2::zeros((n_y, n_x));
    for channel in 0..n_channels {
        Zip::from(&mut sum)
            .and(channels.index_axis(Axis(0), channel))
            .and(maps.index_axis(Axis(0), channel))
            .for_each(|sum: &mut Complex32, value, map| *sum += map.conj() * value);
    }
    sum
}
#[cfg(test)]
mod tests {
    use crate::frame::FrameError;
    use ismrmrd::SamplingDescription;
    use ismrmrd::xml::{EncodingSpace, FieldOfView, Header, MatrixSize};
    use ndarray::Array5;
    use pipeline::{Message, run_gadget};

    use super::*;

    const N: usize = 24;

    fn scan() -> Scan {
        let space = EncodingSpace {
            matrix_size: MatrixSize { x: N as u16, y: N as u16, z: 1 },
            field_of_view_mm: FieldOfView { x: 240.0, y: 240.0, z: 5.0 },
        };
        let encoding = Encoding { encoded_space: space, recon_space: space, ..Encoding::default() };
        Scan::with_header(Header { encoding: vec![encoding], ..Header::default() })
    }

    /// Spokes of a point at `(y, x)`, in two channels of equal sensitivity.
    fn point(n_spokes: usize, (y, x): (usize, usize)) -> KSpaceBuffer {
        let n_samples = 2 * N;
        let positions = [1, 1, 1, 1, n_spokes, n_samples, 2];
        let trajectory = ArrayD::from_shape_fn(IxDyn(&positions), |place| {
            let angle_rad = std::f32::consts::PI * place[4] as f32 / n_spokes as f32;
            let k = (place[5] as f32 - N as f32) / n_samples as f32;
            k * if place[6] == 0 { angle_rad.cos() } else { angle_rad.sin() }
        });
        let data = ArrayD::from_shape_fn(IxDyn(&[1, 1, 1, 2, 1, n_spokes, n_samples]), |place| {
            let k = [0, 1].map(|axis| trajectory[[0, 0, 0, 0, place[5], place[6], axis]]);
            let turns = k[0] * (x as f32 - 12.0) + k[1] * (y as f32 - 12.0);
            Complex32::from_polar(1.0, -std::f32::consts::TAU * turns)
        });
        let header = AcquisitionHeader {
            number_of_samples: n_samples as u16,
            ..AcquisitionHeader::default()
        };
        KSpaceBuffer {
            data,
            trajectory: Some(trajectory),
            density: None,
            headers: Array5::from_elem((1, 1, 1, 1, n_spokes), header),
            sampling: SamplingDescription {
                recon_field_of_view_mm: [240.0, 240.0, 5.0],
                ..SamplingDescription::default()
            },
        }
    }

    fn run(config: Config, data: KSpaceBuffer) -> Result<(ImageSeries, usize), Error> {
        let k_space = KSpace {
            encoding_space: 0,
            s: None,
            n: None,
            data,
            reference: None,
            waveforms: vec![],
        };
        let (mut outputs, reports) =
            run_gadget::<ReconstructNonCartesian>(config, &scan(), [k_space])?;
        // The unit of the trajectory is always told.
        assert!(reports.iter().any(|report| report.contains("cycles per pixel")), "{reports:?}");
        match outputs.remove(0) {
            Message::ImageSeries(series) => Ok((series, reports.len() - 1)),
            other => panic!("{:?} came out", other.kind()),
        }
    }

    #[test]
    fn a_point_is_brightest_at_its_pixel_by_both_methods() {
        for iterate in [false, true] {
            let config = Config { iterate, ..Config::default() };
            let (series, warnings) = run(config, point(60, (5, 17))).expect("an image");
            assert_eq!(series.data.shape(), [1, 1, 1, 1, 1, N, N]);
            assert_eq!(warnings, 0);
            let brightest = series
                .data
                .indexed_iter()
                .max_by(|a, b| a.1.norm().total_cmp(&b.1.norm()))
                .map(|(place, _)| (place[5], place[6]));
            assert_eq!(brightest, Some((5, 17)), "iterate: {iterate}");
            let header = series.headers[[0, 0, 0]];
            assert_eq!({ header.matrix_size }, [N as u16, N as u16, 1]);
            assert_eq!({ header.field_of_view }, [240.0, 240.0, 5.0]);
        }
    }

    #[test]
    fn few_spokes_are_told_unless_sense_is_asked_for() {
        let warnings = |iterate| {
            let config = Config { iterate, ..Config::default() };
            run(config, point(8, (12, 12))).expect("an image").1
        };
        assert_eq!((warnings(false), warnings(true)), (1, 0));
    }

    #[test]
    fn buffers_that_are_no_plane_of_samples_are_refused() {
        let error = |change: fn(&mut KSpaceBuffer)| {
            let mut buffer = point(8, (12, 12));
            change(&mut buffer);
            run(Config::default(), buffer).expect_err("no image")
        };
        assert_eq!(error(|b| b.trajectory = None), Error::Frame(FrameError::NoTrajectory));
        let shape = error(|b| b.trajectory = Some(ArrayD::zeros(IxDyn(&[1, 1, 1, 1, 8, 48, 1]))));
        assert!(matches!(shape, Error::Frame(FrameError::Shape { .. })), "{shape:?}");
        let volume =
            error(|b| b.trajectory = Some(ArrayD::from_elem(IxDyn(&[1, 1, 1, 1, 8, 48, 3]), 0.5)));
        assert!(matches!(volume, Error::Frame(FrameError::Volume(_))), "{volume:?}");
        let infinite = error(|b| b.trajectory.iter_mut().for_each(|t| t.fill(f32::INFINITY)));
        assert!(matches!(infinite, Error::Frame(FrameError::NotFinite { .. })), "{infinite:?}");
    }
}
