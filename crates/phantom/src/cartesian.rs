//! A two-dimensional Cartesian scan of the Shepp-Logan phantom.

mod header;
mod options;
mod order;

use std::time::Duration;

use ismrmrd::{Acquisition, AcquisitionHeader, EncodingCounters, Header};
use ndarray::{Array2, Array3, Array4, ArrayView3, Axis, s};
use num_complex::Complex32;
use rayon::prelude::*;

use crate::clock::START_TICKS;
use crate::coils::{CoilSensitivities, LoopArray};
use crate::k_space::CartesianSampler;
use crate::noise::NoiseSource;
use crate::object::Object;
use crate::shepp_logan::shepp_logan;

pub use options::{Calibration, CartesianOptions, NoiseScan, OptionsError};
use order::{ReadoutKind, ReadoutOrder};

/// Ticks of an acquisition time stamp.
const TICK_US: u64 = 2500;

/// Bytes of readouts that [`CartesianScan::acquisitions`] makes at a time.
const BATCH_BYTES: usize = 8 << 20;

/// A scan whose readouts are made one by one when they are asked for.
///
/// K-space of one repetition is kept, so repetitions cost no memory; they differ by their noise.
///
/// # Scale
/// The unitary inverse transform of all samples and lines has the intensities of the phantom (1
/// for the skull) times the coil's sensitivity. The noise has the options' standard deviation
/// in k-space and so in every such image, before and after the removal of the oversampling.
///
/// # Order
/// Noise readouts, then for each repetition and slice the lines from the lowest to the highest.
/// Separate calibration lines come in the first repetition, right before their slice.
#[derive(Clone, Debug)]
pub struct CartesianScan {
    options: CartesianOptions,
    header: Header,
    order: ReadoutOrder,
    coils: Vec<CoilSensitivities>,
    /// `[slice, line, channel, sample]`.
    k_space: Array4<Complex32>,
    /// `[slice, y, x]`.
    truth: Array3<Complex32>,
    noise: NoiseSource,
}

impl CartesianScan {
    /// Plans the scan and computes its k-space.
    ///
    /// # Errors
    /// [`OptionsError`] for options that contradict each other or lie outside their range.
    pub fn new(options: CartesianOptions) -> Result<Self, OptionsError> {
        let noise = options.check()?;
        let grid = options.grid();
        let radius_mm = 0.5 * grid.field_of_view_mm[0].min(grid.field_of_view_mm[1]);
        let uniform = CoilSensitivities::uniform(grid.field_of_view_mm);
        let array = LoopArray::new(options.n_channels, radius_mm, grid.field_of_view_mm);
        let [nx, ny] = grid.matrix_size;
        let (n_slices, n_channels) = (options.n_slices, options.n_channels);
        let mut coils = Vec::with_capacity(n_slices);
        let mut truth = Array3::zeros((n_slices, ny, nx));
        let mut k_space = Array4::zeros((n_slices, ny, n_channels, grid.n_samples()));
        for (slice, mut k_space) in k_space.outer_iter_mut().enumerate() {
            let object = Object::Ellipses(shepp_logan(radius_mm, slice, n_slices));
            let sampler = CartesianSampler::new(grid, &uniform);
            let of_uniform = sampler.images(sampler.k_space(&object).view());
            truth.index_axis_mut(Axis(0), slice).assign(&of_uniform.index_axis(Axis(0), 0));
            let sensitivities = if n_channels == 1 {
                uniform.clone()
            } else {
                array.sensitivities(options.slice_position_mm(slice))
            };
            k_space.assign(&CartesianSampler::new(grid, &sensitivities).k_space(&object));
            coils.push(sensitivities);
        }
        let header = header::header(&options);
        let order = ReadoutOrder::new(&options);
        Ok(Self { options, header, order, coils, k_space, truth, noise })
    }

    /// The options that the scan was made from.
    pub fn options(&self) -> &CartesianOptions {
        &self.options
    }

    /// The XML header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Readouts, those of the noise scan and of the calibration included.
    pub fn n_acquisitions(&self) -> usize {
        self.order.n_readouts()
    }

    /// When readout `index` begins, counted from the start of the measurement.
    pub fn start_time(&self, index: usize) -> Duration {
        Duration::from_micros(self.start_us(index))
    }

    fn start_us(&self, index: usize) -> u64 {
        index as u64 * (1000.0 * self.options.repetition_time_ms).round() as u64
    }

    /// Readout `index`, the same whenever and however often it is asked for.
    ///
    /// # Panics
    /// If there are no more than `index` readouts.
    pub fn acquisition(&self, index: usize) -> Acquisition {
        assert!(index < self.n_acquisitions(), "readout {index} of {}", self.n_acquisitions());
        let readout = self.order.readout(index);
        let options = &self.options;
        let is_noise = readout.kind == ReadoutKind::Noise;
        let mut data = if is_noise {
            Array2::zeros((options.n_channels, options.grid().n_samples()))
        } else {
            self.k_space.slice(s![readout.slice, readout.line, .., ..]).to_owned()
        };
        let noise_scale = if is_noise { options.noise_scan_scale() } else { 1.0 };
        self.noise.add(index as u64, noise_scale, data.view_mut());

        let mut header = AcquisitionHeader {
            flags: readout.flags,
            measurement_uid: options.measurement_uid,
            scan_counter: index as u32 + 1,
            acquisition_time_stamp: START_TICKS + (self.start_us(index) / TICK_US) as u32,
            center_sample: (data.ncols() / 2) as u16,
            sample_time_us: options.sample_time_us_of(readout.kind) as f32,
            position: [0.0, 0.0, options.slice_position_mm(readout.slice) as f32],
            read_dir: [1.0, 0.0, 0.0],
            phase_dir: [0.0, 1.0, 0.0],
            slice_dir: [0.0, 0.0, 1.0],
            ..AcquisitionHeader::default()
        };
        if !is_noise {
            header.idx = EncodingCounters {
                kspace_encode_step_1: readout.line as u16,
                slice: readout.slice as u16,
                repetition: readout.repetition as u16,
                ..EncodingCounters::default()
            };
            // Where Siemens scanners put the line at the centre of k-space.
            header.idx.user[5] = (options.matrix_size[1] / 2) as u16;
        }
        header.available_channels = options.n_channels as u16;
        header.set_first_channels(options.n_channels as u16);
        Acquisition::new(header, data)
    }

    /// All readouts in order. They are made some MB ahead, on all threads of the current rayon
    /// pool.
    pub fn acquisitions(&self) -> impl Iterator<Item = Acquisition> + '_ {
        let readout_bytes = self.options.readout_bytes();
        let batch = (BATCH_BYTES / readout_bytes).max(2 * rayon::current_num_threads());
        (0..self.n_acquisitions()).step_by(batch).flat_map(move |first| {
            let last = self.n_acquisitions().min(first + batch);
            (first..last)
                .into_par_iter()
                .map(|index| self.acquisition(index))
                .collect::<Vec<Acquisition>>()
        })
    }

    /// What a scan of all lines without noise and with a uniform coil shows: `[slice, y, x]`.
    ///
    /// The phantom at the resolution of the scan, with the ringing that belongs to it: the
    /// unitary inverse transform of the exact spectrum, cut to the field of view.
    pub fn truth(&self) -> ArrayView3<'_, Complex32> {
        self.truth.view()
    }

    /// Coil maps of a slice, exact at the centres of the pixels: `[channel, y, x]`.
    ///
    /// # Panics
    /// If there is no such slice.
    pub fn coil_maps(&self, slice: usize) -> Array3<Complex32> {
        self.coils[slice].maps(self.options.matrix_size)
    }

    /// What each coil shows of a slice without noise in a scan of all lines: `[channel, y, x]`.
    ///
    /// This is the product of object and coil map at the resolution of the scan, so it differs
    /// from the product of [`CartesianScan::truth`] and [`CartesianScan::coil_maps`] by how
    /// the sensitivity changes over the ringing of edges.
    ///
    /// # Panics
    /// If there is no such slice.
    pub fn coil_images(&self, slice: usize) -> Array3<Complex32> {
        let sampler = CartesianSampler::new(self.options.grid(), &self.coils[slice]);
        sampler.images(self.k_space.index_axis(Axis(0), slice))
    }
}

#[cfg(test)]
mod tests;
