//! A simulated scan: a sequence, played on a subject.

mod error;
mod flags;
mod header;
mod plan;
mod production;
mod setup;
mod subject;
mod truth;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ismrmrd::{Acquisition, AcquisitionFlags, AcquisitionHeader, Header, Waveform};
use ndarray::{Array2, Array3, Axis};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use crate::clock;
use crate::coils::{Background, CoilSensitivities, LoopArray};
use crate::k_space::{CartesianSampler, PointSampler};
use crate::motion::physiology_waveforms;
use crate::noise::NoiseSource;
use crate::object::Object;
use crate::sequence::Sequence;
use crate::trajectory::normalised_trajectory;

pub use error::SetupError;
pub use plan::{
    Content, Frame, Moment, Names, PixelObjects, Plan, Readout, SamplePositions, Sampling,
};
use production::{Production, Samplers};
pub(crate) use setup::MAX_READOUTS;
pub use setup::{ImageGeometry, Noise, NoiseScan, Orientation, Setup};
pub use subject::{Body, Subject};
pub use truth::{TruthImage, TruthValues};

/// Bytes of k-space and coil maps that may be kept at a time.
const MAX_K_SPACE_BYTES: usize = 4 << 30;

/// Bytes of readouts that are made at a time.
const BATCH_BYTES: usize = 8 << 20;

/// What a scanner sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A readout.
    Acquisition(Acquisition),
    /// A stretch of ECG or breathing.
    Waveform(Waveform),
}

/// A scan whose readouts are made when they are asked for.
///
/// K-space that readouts share is kept only as long as one of them is still to come, so long
/// measurements need no more memory than short ones.
///
/// # Scale
/// The unitary inverse transform of all samples and lines has the intensities of the object
/// (1 is the equilibrium magnetisation of blood, or a picture's own intensity) times the coil's
/// sensitivity. The noise has its standard deviation in k-space and so in every such image,
/// before and after the removal of the oversampling.
pub struct SimulatedScan {
    setup: Setup,
    plan: Plan,
    header: Header,
    bodies: Vec<Body>,
    /// One per slice.
    coils: Vec<CoilSensitivities>,
    /// The samplers that were asked for last, and their slice.
    samplers: Mutex<Option<(usize, Arc<Samplers>)>>,
    /// Samplers of a single uniform channel, for the truth.
    uniform: OnceLock<CartesianSampler>,
    noise: NoiseSource,
    noise_sd: f64,
}

impl SimulatedScan {
    /// Plans a scan. K-space is computed when readouts are asked for.
    ///
    /// # Errors
    /// [`SetupError`] for choices that contradict each other or lie outside their range.
    pub fn new(sequence: &dyn Sequence, setup: Setup) -> Result<Self, SetupError> {
        setup.check()?;
        let bodies = setup.subject.bodies(&setup)?;
        let mut plan = sequence.plan(&setup, &bodies)?;
        flags::mark_edges(&mut plan.readouts);
        let noise_sd = setup.noise_sd(&plan, &bodies);
        let noise = setup.noise_source(noise_sd)?;
        let header = header::header(&setup, &plan);
        let (samplers, uniform) = (Mutex::new(None), OnceLock::new());
        let coils = Vec::new();
        let mut scan =
            Self { setup, plan, header, bodies, coils, samplers, uniform, noise, noise_sd };
        let bytes = Production::new(&scan).peak_bytes();
        if bytes > MAX_K_SPACE_BYTES {
            return Err(SetupError::TooLarge { bytes, limit: MAX_K_SPACE_BYTES });
        }
        scan.setup.check_plan(&scan.plan, &scan.bodies)?;
        // Last, because it takes longest.
        scan.coils = coils_around(&scan.setup, &scan.bodies);
        Ok(scan)
    }

    /// The choices that the scan was made from.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Every readout and image of the sequence.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The XML header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The slices of the subject in the reference pose.
    pub fn bodies(&self) -> &[Body] {
        &self.bodies
    }

    /// Standard deviation of the noise in the real and in the imaginary part.
    pub fn noise_sd(&self) -> f64 {
        self.noise_sd
    }

    /// Readouts, those of the noise scan and of the calibration included.
    pub fn n_acquisitions(&self) -> usize {
        self.plan.readouts.len()
    }

    /// When readout `index` begins, counted from the start of the measurement.
    ///
    /// # Panics
    /// If there are no more than `index` readouts.
    pub fn start_time(&self, index: usize) -> Duration {
        Duration::from_micros((self.plan.readouts[index].start_ms * 1e3).round() as u64)
    }

    /// All readouts in order. They are made some MB ahead, on all threads of the current rayon
    /// pool.
    pub fn acquisitions(&self) -> impl Iterator<Item = Acquisition> + '_ {
        let readout_bytes =
            self.setup.n_channels * self.setup.grid().n_samples() * size_of::<Complex32>();
        let batch = (BATCH_BYTES / readout_bytes).max(2 * rayon::current_num_threads());
        let mut production = Production::new(self);
        (0..self.n_acquisitions()).step_by(batch).flat_map(move |first| {
            let last = self.n_acquisitions().min(first + batch);
            production
                .batch(first, last)
                .into_par_iter()
                .enumerate()
                .map(|(n, samples)| self.acquisition(first + n, samples))
                .collect::<Vec<_>>()
        })
    }

    /// Readouts and waveforms in the order of time, each with its time since the start. A
    /// waveform comes when its last sample is there.
    pub fn events(&self) -> impl Iterator<Item = (Duration, Event)> + '_ {
        let Setup { motion, measurement_uid, seed, .. } = &self.setup;
        let until_ms = if self.setup.with_waveforms { self.plan.duration_ms } else { 0.0 };
        let waveforms = physiology_waveforms(motion, until_ms, *measurement_uid, *seed);
        let waveforms = waveforms.map(|(start_ms, waveform)| {
            let samples = waveform.data.ncols() as f64;
            let end_ms = start_ms + samples * f64::from(waveform.header.sample_time_us) * 1e-3;
            (Duration::from_secs_f64(end_ms * 1e-3), Event::Waveform(waveform))
        });
        let acquisitions = self
            .acquisitions()
            .enumerate()
            .map(|(index, acquisition)| (self.start_time(index), Event::Acquisition(acquisition)));
        Merged { first: waveforms.peekable(), second: acquisitions.peekable() }
    }

    fn acquisition(&self, index: usize, mut data: Array2<Complex32>) -> Acquisition {
        let readout = self.plan.readouts[index];
        let setup = &self.setup;
        let is_noise = readout.content == Content::Noise;
        let noise_scale = if is_noise { setup.noise_scan_scale(&self.plan) } else { 1.0 };
        self.noise.add(index as u64, noise_scale, data.view_mut());
        let mut header = AcquisitionHeader {
            flags: readout.flags,
            measurement_uid: setup.measurement_uid,
            scan_counter: index as u32 + 1,
            acquisition_time_stamp: clock::ticks(readout.start_ms),
            sample_time_us: setup.sample_time_us_of(&self.plan, readout.content) as f32,
            center_sample: (data.ncols() / 2) as u16,
            idx: readout.counters,
            user_int: readout.user_int,
            ..AcquisitionHeader::default()
        };
        let geometry = setup.image_geometry(readout.counters.slice.into());
        header.position = geometry.center_mm;
        header.read_dir = geometry.read_direction;
        header.phase_dir = geometry.phase_direction;
        header.slice_dir = geometry.slice_direction;
        header.available_channels = setup.n_channels as u16;
        header.set_first_channels(setup.n_channels as u16);
        if is_noise {
            return Acquisition::new(header, data);
        }
        header.physiology_time_stamp[0] = clock::duration_ticks(readout.since_trigger_ms);
        // Where Siemens scanners put the line at the centre of k-space.
        header.idx.user[5] = (setup.matrix_size[1] / 2) as u16;
        if readout.separate_calibration && self.plan.trajectory == ismrmrd::xml::Trajectory::Epi {
            header.encoding_space_ref = header::CALIBRATION_SPACE;
        }
        let mut trajectory = None;
        let (line, reversed) = match readout.sampling {
            Sampling::Line { line, first_sample } => {
                header.center_sample = (setup.grid().n_samples() / 2 - first_sample) as u16;
                (line, false)
            }
            Sampling::Points { positions, line, reversed, center_sample, with_trajectory } => {
                header.center_sample = center_sample as u16;
                trajectory = with_trajectory.then(|| self.trajectory(positions));
                (line, reversed)
            }
        };
        header.idx.kspace_encode_step_1 = line as u16;
        if reversed {
            header.set_flags(AcquisitionFlags::IS_REVERSE);
        }
        let mut acquisition = Acquisition::new(header, data);
        if let Some(trajectory) = trajectory {
            acquisition.header.trajectory_dimensions = 2;
            acquisition.trajectory = trajectory;
        }
        acquisition
    }

    /// Sample positions as readouts carry them: `[sample, dimension]`.
    fn trajectory(&self, positions: usize) -> Array2<f32> {
        let Setup { field_of_view_mm, matrix_size, .. } = self.setup;
        let positions = self.plan.sample_positions.get(positions);
        normalised_trajectory(&positions, field_of_view_mm, matrix_size)
    }

    /// The samplers of a slice. Only those that were asked for last are kept: coil maps are large.
    fn samplers(&self, slice: usize) -> Arc<Samplers> {
        let mut last = self.samplers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, samplers)) = &*last
            && *known == slice
        {
            return Arc::clone(samplers);
        }
        let samplers = Arc::new(Samplers {
            cartesian: CartesianSampler::new(self.setup.grid(), &self.coils[slice]),
            points: PointSampler::new(self.setup.grid(), &self.coils[slice]),
        });
        *last = Some((slice, Arc::clone(&samplers)));
        samplers
    }

    /// What lies in which slice.
    fn object(&self, content: Content) -> (usize, Object) {
        match content {
            Content::Noise => unreachable!("noise shows no object"),
            Content::Body { moment, signals } => {
                let moment = &self.plan.moments[moment];
                let signals: &[Complex64] = &self.plan.signals[signals];
                let components = self.bodies[moment.slice].components(&moment.pose, signals);
                (moment.slice, Object::Ellipses(components))
            }
            Content::Pixels { slice, object, .. } => {
                let objects = self.plan.pixel_objects.as_ref();
                (slice, objects.expect("readouts that refer to objects").0(object))
            }
        }
    }

    /// Where the images of a slice lie in the patient.
    pub fn image_geometry(&self, slice: usize) -> ImageGeometry {
        self.setup.image_geometry(slice)
    }

    /// Coil maps of a slice, exact at the centres of the pixels: `[channel, y, x]`.
    ///
    /// # Panics
    /// If there is no such slice.
    pub fn coil_maps(&self, slice: usize) -> Array3<Complex32> {
        self.coils[slice].maps(self.setup.matrix_size)
    }

    /// What each coil shows of an image without noise in a scan of all lines: `[channel, y, x]`.
    ///
    /// This is the product of object and coil map at the resolution of the scan, so it differs
    /// from the product of the object's image and [`SimulatedScan::coil_maps`] by how the
    /// sensitivity changes over the ringing of edges.
    ///
    /// # Panics
    /// If there is no such frame.
    pub fn coil_images(&self, frame: usize) -> Array3<Complex32> {
        let (slice, object) = self.object(self.plan.frames[frame].content);
        let samplers = self.samplers(slice);
        samplers.cartesian.images(samplers.cartesian.k_space(&object).view())
    }

    /// What a single uniform channel would show of an image without noise in a scan of all
    /// lines: `[y, x]`.
    ///
    /// This is the object at the resolution of the scan, with the ringing that belongs to it.
    ///
    /// # Panics
    /// If there is no such frame.
    pub fn object_image(&self, frame: usize) -> Array2<Complex32> {
        let (_, object) = self.object(self.plan.frames[frame].content);
        let sampler = self.uniform.get_or_init(|| {
            let uniform = CoilSensitivities::uniform(self.setup.field_of_view_mm);
            CartesianSampler::new(self.setup.grid(), &uniform)
        });
        sampler.images(sampler.k_space(&object).view()).index_axis_move(Axis(0), 0)
    }

    /// What the channels show together, weighted with the conjugates of their true maps over
    /// the sum of their squares: `[y, x]`. The best that a reconstruction can do.
    ///
    /// # Panics
    /// If there is no such frame.
    pub fn image(&self, frame: usize) -> Array2<Complex32> {
        let slice = usize::from(self.plan.frames[frame].counters.slice);
        let (images, maps) = (self.coil_images(frame), self.coil_maps(slice));
        let mut sum = Array2::<Complex32>::zeros(images.index_axis(Axis(0), 0).dim());
        let mut weight = Array2::<f32>::zeros(sum.dim());
        for (image, map) in images.outer_iter().zip(maps.outer_iter()) {
            ndarray::Zip::from(&mut sum).and(&mut weight).and(image).and(map).for_each(
                |sum, weight, image, map| {
                    *sum += map.conj() * image;
                    *weight += map.norm_sqr();
                },
            );
        }
        sum.zip_mut_with(&weight, |sum, &weight| *sum /= weight.max(f32::MIN_POSITIVE));
        sum
    }
}

/// Loops around the body of each slice, with the object's own phase.
fn coils_around(setup: &Setup, bodies: &[Body]) -> Vec<CoilSensitivities> {
    let field_of_view_mm = setup.field_of_view_mm;
    let background = Background {
        max_phase_rad: setup.object_phase_rad,
        max_bias: setup.object_bias,
        seed: setup.seed,
    };
    let is_plain = setup.object_phase_rad == 0.0 && setup.object_bias == 0.0;
    bodies
        .par_iter()
        .enumerate()
        .map(|(slice, body)| {
            if setup.n_channels == 1 && is_plain {
                return CoilSensitivities::uniform(field_of_view_mm);
            }
            let (semi_axes_mm, center_mm) = surrounded(body, field_of_view_mm);
            let array =
                LoopArray::around(setup.n_channels, semi_axes_mm, center_mm, field_of_view_mm);
            match setup.n_channels {
                1 => array.uniform_with(&background),
                _ if is_plain => array.sensitivities(setup.slice_offset_mm(slice)),
                _ => array.sensitivities_with(setup.slice_offset_mm(slice), &background),
            }
        })
        .collect()
}

/// Half axes and centre of what the coils surround: the body, or where it is larger than the
/// field of view, as much of it as fits.
fn surrounded(body: &Body, field_of_view_mm: [f64; 2]) -> ([f64; 2], [f64; 2]) {
    let half_mm = field_of_view_mm.map(|length| 0.5 * length);
    let Some(outline) = body.outline() else { return (half_mm, [0.0; 2]) };
    let semi_axes_mm = [0, 1].map(|axis| {
        let direction = if axis == 0 { [1.0, 0.0] } else { [0.0, 1.0] };
        outline.half_width_mm(direction).min(half_mm[axis])
    });
    let center_mm = [0, 1].map(|axis| {
        let room_mm = half_mm[axis] - semi_axes_mm[axis];
        outline.center_mm[axis].clamp(-room_mm, room_mm)
    });
    (semi_axes_mm, center_mm)
}

/// Two streams in the order of time; what is equally early comes from the first.
struct Merged<A: Iterator, B: Iterator> {
    first: std::iter::Peekable<A>,
    second: std::iter::Peekable<B>,
}

impl<A, B, T> Iterator for Merged<A, B>
where
    A: Iterator<Item = (Duration, T)>,
    B: Iterator<Item = (Duration, T)>,
{
    type Item = (Duration, T);

    fn next(&mut self) -> Option<Self::Item> {
        match (self.first.peek(), self.second.peek()) {
            (Some((a, _)), Some((b, _))) if a <= b => self.first.next(),
            (Some(_), None) => self.first.next(),
            _ => self.second.next(),
        }
    }
}

#[cfg(test)]
mod tests;
