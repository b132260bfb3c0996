//! Memory of one buffer.

use bytemuck::Zeroable;
use ismrmrd::{AcquisitionHeader, KSpaceBuffer, SamplingDescription, SamplingLimit};
use ndarray::{Array5, ArrayD, IxDyn};
use num_complex::Complex32;
use pipeline::Acquisition;

use super::Error;
use super::layout::{Layout, LineAxis};

/// What the buffers of a bucket may still take.
pub(super) struct Budget {
    limit_gib: f64,
    left_bytes: u64,
}

impl Budget {
    pub(super) fn gib(limit_gib: f64) -> Self {
        // A cast saturates, so nonsense allows nothing.
        Self { limit_gib, left_bytes: (limit_gib * f64::from(1 << 30)) as u64 }
    }

    fn take(&mut self, bytes: Option<u64>, shape: [usize; 7]) -> Result<(), Error> {
        match bytes.and_then(|bytes| self.left_bytes.checked_sub(bytes)) {
            Some(left) => {
                self.left_bytes = left;
                Ok(())
            }
            None => Err(self.too_large(shape)),
        }
    }

    fn too_large(&self, shape: [usize; 7]) -> Error {
        Error::TooLarge { shape, limit_gib: self.limit_gib }
    }
}

/// Memory for the samples of the next buffer, cleared while there is time. Very large pieces come
/// from the system without having been cleared, and gain nothing.
#[derive(Default)]
pub(super) struct Spare {
    /// Samples of the last buffer of data.
    n_values: usize,
    /// Zeros, as many or none.
    zeros: Vec<Complex32>,
}

impl Spare {
    /// Clears memory for as many samples as the last buffer had.
    pub(super) fn prepare(&mut self) {
        if self.zeros.len() != self.n_values {
            // Without memory the next buffer says so.
            self.zeros = zeros(Some(self.n_values as u64)).unwrap_or_default();
        }
    }

    fn take(&mut self, n_values: Option<u64>) -> Option<Vec<Complex32>> {
        self.n_values = usize::try_from(n_values?).ok()?;
        let ready = std::mem::take(&mut self.zeros);
        if ready.len() == self.n_values { Some(ready) } else { zeros(n_values) }
    }
}

/// A buffer that is being filled.
pub(super) struct Buffer {
    /// `[slice, s, n, channel, encoding_step_2, encoding_step_1, readout]`.
    shape: [usize; 7],
    data: Vec<Complex32>,
    /// `[slice, s, n, encoding_step_2, encoding_step_1]`.
    headers: Vec<AcquisitionHeader>,
    /// `[slice, s, n, encoding_step_2, encoding_step_1, readout, dimension]`, empty where there
    /// is none.
    trajectory: Vec<f32>,
    n_dimensions: usize,
    sampling: SamplingDescription,
}

/// Whether a readout found its place.
pub(super) enum Placed<'l> {
    Stored,
    /// It lies within the limits but outside the buffer along this axis.
    Skipped(&'l LineAxis),
}

impl Buffer {
    /// Zeros for the readouts that have the layout and the size of this one.
    pub(super) fn new(
        layout: &Layout,
        readout: &Acquisition,
        budget: &mut Budget,
        spare: Option<&mut Spare>,
    ) -> Result<Self, Error> {
        let n_samples = readout.n_samples();
        let n_kept = n_kept(readout)?;
        let keeps_discarded =
            layout.keeps_discarded || layout.centres_echo && is_filled_up(readout, n_kept);
        let n_readout = if keeps_discarded { n_samples } else { n_kept };
        let [slice, s, n] = layout.outer;
        let [e1, e2] = [layout.lines[0].len, layout.lines[1].len];
        let shape = [slice, s, n, readout.n_channels(), e2, e1, n_readout];
        let n_lines = product(&[slice, s, n, e2, e1]);
        let n_values = product(&shape);
        let n_dimensions = readout.trajectory.ncols();
        let n_positions = product(&[slice, s, n, e2, e1, n_readout, n_dimensions]);
        let bytes = |count: Option<u64>, size: usize| count?.checked_mul(size as u64);
        budget.take(bytes(n_values, size_of::<Complex32>()), shape)?;
        budget.take(bytes(n_lines, size_of::<AcquisitionHeader>()), shape)?;
        budget.take(bytes(n_positions, size_of::<f32>()), shape)?;
        let mut sampling = layout.sampling;
        if layout.centres_echo {
            let last = n_samples - usize::from(readout.header.discard_post) - 1;
            sampling.limits[0] = SamplingLimit {
                min: readout.header.discard_pre,
                center: clamp_u16(n_samples / 2),
                max: clamp_u16(last),
            };
        }
        let data = match spare {
            Some(spare) => spare.take(n_values),
            None => zeros(n_values),
        };
        Ok(Self {
            shape,
            data: data.ok_or_else(|| budget.too_large(shape))?,
            headers: zeros(n_lines).ok_or_else(|| budget.too_large(shape))?,
            trajectory: zeros(n_positions).ok_or_else(|| budget.too_large(shape))?,
            n_dimensions,
            sampling,
        })
    }

    /// Copies a readout to its place.
    pub(super) fn place<'l>(
        &mut self,
        layout: &'l Layout,
        readout: &Acquisition,
    ) -> Result<Placed<'l>, Error> {
        let header = &readout.header;
        let [_, n_s, n_n, n_channels, n_e2, n_e1, n_readout] = self.shape;
        if readout.n_channels() != n_channels {
            return Err(Error::Channels {
                scan_counter: header.scan_counter,
                found: readout.n_channels(),
                expected: n_channels,
            });
        }
        let n_kept = n_kept(readout)?;
        let first_kept = usize::from(header.discard_pre);
        let start = self.start(layout, readout, n_kept)?;
        let e1 = match line(&layout.lines[0], header.idx.kspace_encode_step_1, header)? {
            Some(e1) => e1,
            None => return Ok(Placed::Skipped(&layout.lines[0])),
        };
        let e2 = match line(&layout.lines[1], header.idx.kspace_encode_step_2, header)? {
            Some(e2) => e2,
            None => return Ok(Placed::Skipped(&layout.lines[1])),
        };
        let [slice, s, n] = layout.outer_place(&header.idx);
        let image = (slice * n_s + s) * n_n + n;
        for (channel, samples) in readout.data.rows().into_iter().enumerate() {
            let line = ((image * n_channels + channel) * n_e2 + e2) * n_e1 + e1;
            let place = line * n_readout + start;
            let target = &mut self.data[place..place + n_kept];
            match samples.as_slice() {
                Some(samples) => {
                    target.copy_from_slice(&samples[first_kept..first_kept + n_kept]);
                }
                None => {
                    let samples = samples.iter().skip(first_kept);
                    target.iter_mut().zip(samples).for_each(|(to, from)| *to = *from);
                }
            }
        }
        let line = (image * n_e2 + e2) * n_e1 + e1;
        self.headers[line] = *header;
        if self.n_dimensions > 0 {
            let (n_samples, n_dimensions) = readout.trajectory.dim();
            if (n_samples, n_dimensions) != (readout.n_samples(), self.n_dimensions) {
                return Err(Error::Trajectory {
                    scan_counter: header.scan_counter,
                    n_samples,
                    n_dimensions,
                    expected_samples: readout.n_samples(),
                    expected_dimensions: self.n_dimensions,
                });
            }
            let place = (line * n_readout + start) * n_dimensions;
            let target = &mut self.trajectory[place..place + n_kept * n_dimensions];
            let positions = readout.trajectory.iter().skip(first_kept * n_dimensions);
            target.iter_mut().zip(positions).for_each(|(to, from)| *to = *from);
        }
        Ok(Placed::Stored)
    }

    /// Where along the readout the samples that are kept begin.
    fn start(&self, layout: &Layout, readout: &Acquisition, n_kept: usize) -> Result<usize, Error> {
        let header = &readout.header;
        let n_samples = readout.n_samples();
        let n_readout = self.shape[6];
        let center_sample = usize::from(header.center_sample);
        let start = if !layout.centres_echo {
            Some(0)
        } else if n_samples == n_readout
            && (center_sample == n_samples / 2 || center_sample >= n_samples)
        {
            // The echo is in the middle, with zeros for what was not sampled.
            Some(usize::from(header.discard_pre))
        } else {
            usize::from(self.sampling.limits[0].center).checked_sub(center_sample)
        };
        start.filter(|start| start + n_kept <= n_readout).ok_or(Error::DoesNotFit {
            scan_counter: header.scan_counter,
            n_kept,
            center_sample: header.center_sample,
            n_readout,
        })
    }

    /// The buffer as it goes to the next gadget.
    pub(super) fn into_k_space(self) -> KSpaceBuffer {
        let [slice, s, n, _, e2, e1, readout] = self.shape;
        let positions = [slice, s, n, e2, e1, readout, self.n_dimensions];
        let trajectory = (self.n_dimensions > 0).then(|| array(&positions, self.trajectory));
        KSpaceBuffer {
            data: array(&self.shape, self.data),
            trajectory,
            density: None,
            headers: headers([slice, s, n, e2, e1], self.headers),
            sampling: self.sampling,
        }
    }
}

/// A buffer without a line, for calibration that came without data.
pub(super) fn empty(sampling: SamplingDescription) -> KSpaceBuffer {
    KSpaceBuffer {
        data: array(&[0; 7], Vec::new()),
        trajectory: None,
        density: None,
        headers: headers([0; 5], Vec::new()),
        sampling,
    }
}

/// Place of a line, [`None`] where it is announced but outside the buffer.
fn line(axis: &LineAxis, line: u16, header: &AcquisitionHeader) -> Result<Option<usize>, Error> {
    let place = usize::try_from(i32::from(line) + axis.offset).ok();
    if let Some(place) = place.filter(|place| *place < axis.len) {
        return Ok(Some(place));
    }
    match axis.limit {
        Some(limit) if (limit.minimum..=limit.maximum).contains(&line) => Ok(None),
        Some(limit) => Err(Error::OutsideLimits {
            scan_counter: header.scan_counter,
            axis: axis.name,
            line,
            minimum: limit.minimum,
            maximum: limit.maximum,
        }),
        None => Err(Error::OutsideMatrix {
            scan_counter: header.scan_counter,
            axis: axis.name,
            line,
            n_lines: axis.len,
        }),
    }
}

/// Whether the echo is in the middle of all samples and not in that of those that are kept: an
/// asymmetric echo with zeros for what was not sampled.
fn is_filled_up(readout: &Acquisition, n_kept: usize) -> bool {
    let header = &readout.header;
    let center_sample = usize::from(header.center_sample);
    center_sample == readout.n_samples() / 2
        && center_sample.checked_sub(usize::from(header.discard_pre)) != Some(n_kept / 2)
}

/// Samples without the discarded ones.
fn n_kept(readout: &Acquisition) -> Result<usize, Error> {
    let header = &readout.header;
    let discarded = usize::from(header.discard_pre) + usize::from(header.discard_post);
    let n_samples = readout.n_samples();
    match n_samples.checked_sub(discarded) {
        Some(n_kept) if n_kept > 0 => Ok(n_kept),
        _ => Err(Error::NothingKept { scan_counter: header.scan_counter, discarded, n_samples }),
    }
}

fn product(lengths: &[usize]) -> Option<u64> {
    lengths.iter().try_fold(1_u64, |product, length| product.checked_mul(*length as u64))
}

/// Zeros whose pages the system hands out when they are first written, [`None`] where there is
/// no memory.
fn zeros<T: Zeroable>(count: Option<u64>) -> Option<Vec<T>> {
    let count = usize::try_from(count?).ok()?;
    bytemuck::allocation::try_zeroed_vec(count).ok()
}

fn clamp_u16(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn array<T: Clone>(shape: &[usize; 7], values: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(shape), values)
        .unwrap_or_else(|error| unreachable!("the vector was made for this shape: {error}"))
}

fn headers(shape: [usize; 5], values: Vec<AcquisitionHeader>) -> Array5<AcquisitionHeader> {
    Array5::from_shape_vec(shape, values)
        .unwrap_or_else(|error| unreachable!("the vector was made for this shape: {error}"))
}
