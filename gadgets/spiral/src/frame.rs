//! The samples of one image and where they lie.

use ismrmrd::{AcquisitionHeader, KSpaceBuffer};
use ndarray::{Array2, Array5, ArrayView3, ArrayView4, ArrayViewD, Axis, Ix3, Ix4};
use num_complex::Complex32;
use pipeline::Remedy;

/// K-space that holds no frames of two-dimensional samples.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// Readouts carry no positions.
    #[error("the readouts carry no trajectory")]
    NoTrajectory,
    /// Arrays that do not belong together.
    #[error(
        "k-space of shape {data:?} with a trajectory of shape {trajectory:?}, expected (slice, s, \
         n, channel, encoding_step_2, encoding_step_1, readout) and 2 or 3 dimensions for each \
         sample"
    )]
    Shape {
        /// Of the samples.
        data: Vec<usize>,
        /// Of the positions.
        trajectory: Vec<usize>,
    },
    /// A volume.
    #[error("the samples do not lie in a plane: {0}")]
    Volume(&'static str),
    /// Positions that are none.
    #[error("readout {scan_counter}: position {sample} of the trajectory is not a finite number")]
    NotFinite {
        /// Number of the readout.
        scan_counter: u32,
        /// Index of the sample.
        sample: usize,
    },
    /// All positions are the same.
    #[error("all positions of the trajectory are 0")]
    Empty,
}

impl Remedy for FrameError {
    fn remedy(&self) -> &str {
        match self {
            Self::NoTrajectory => {
                "put `add_trajectory` before `collect_readouts`, or let the client write the \
                 trajectory into the readouts"
            }
            Self::Shape { .. } => "put `sort_k_space` before it",
            Self::Volume(_) => "reconstruct three-dimensional trajectories elsewhere",
            Self::NotFinite { .. } | Self::Empty => {
                "correct what the client writes as the trajectory of the readouts"
            }
        }
    }
}

/// The buffer's arrays, checked against each other.
pub(crate) struct Frames<'a> {
    /// `[slice, s, n, channel, encoding_step_2, encoding_step_1, readout]`.
    data: ArrayViewD<'a, Complex32>,
    /// `[slice, s, n, encoding_step_2, encoding_step_1, readout, dimension]`.
    trajectory: ArrayViewD<'a, f32>,
    headers: &'a Array5<AcquisitionHeader>,
}

/// What one image is made of.
pub(crate) struct Frame {
    /// `[kx, ky]`, cycles per field of view.
    pub points: Vec<[f32; 2]>,
    /// `[channel, sample]`.
    pub samples: Array2<Complex32>,
    /// Of the lines, in order of their counters.
    pub headers: Vec<AcquisitionHeader>,
    /// Samples beyond the edge of k-space.
    pub n_beyond: usize,
    /// Samples that are no numbers.
    pub n_not_finite: usize,
}

impl<'a> Frames<'a> {
    pub fn of(buffer: &'a KSpaceBuffer) -> Result<Self, FrameError> {
        let positions = buffer.trajectory.as_ref().ok_or(FrameError::NoTrajectory)?;
        let shape = || FrameError::Shape {
            data: buffer.data.shape().to_vec(),
            trajectory: positions.shape().to_vec(),
        };
        let &[slices, n_s, n_n, _, e2, e1, readout] = buffer.data.shape() else {
            return Err(shape());
        };
        let &[.., n_dimensions] = positions.shape() else { return Err(shape()) };
        if positions.shape() != [slices, n_s, n_n, e2, e1, readout, n_dimensions]
            || buffer.headers.dim() != (slices, n_s, n_n, e2, e1)
            || !(2..=3).contains(&n_dimensions)
        {
            return Err(shape());
        }
        if e2 > 1 {
            return Err(FrameError::Volume("there is more than one encoding step 2"));
        }
        let (data, trajectory) = (buffer.data.view(), positions.view());
        if n_dimensions == 3 && trajectory.index_axis(Axis(6), 2).iter().any(|z| *z != 0.0) {
            return Err(FrameError::Volume("the third dimension of the trajectory is not 0"));
        }
        Ok(Self { data, trajectory, headers: &buffer.headers })
    }

    /// Images along `[slice, s, n]`.
    pub fn outer(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.data.shape()[axis])
    }

    /// `[channel, encoding_step_1, readout]`.
    fn samples_of(&self, place: [usize; 3]) -> Option<ArrayView3<'_, Complex32>> {
        let image = of_image(self.data.view(), place);
        image.index_axis_move(Axis(1), 0).into_dimensionality::<Ix3>().ok()
    }

    /// `[encoding_step_2, encoding_step_1, readout, dimension]`.
    fn positions_of(&self, place: [usize; 3]) -> Option<ArrayView4<'_, f32>> {
        of_image(self.trajectory.view(), place).into_dimensionality::<Ix4>().ok()
    }

    /// The lines that were read.
    fn lines(&self, [slice, s, n]: [usize; 3]) -> Vec<(usize, AcquisitionHeader)> {
        let n_lines = self.headers.dim().4;
        (0..n_lines)
            .map(|line| (line, self.headers[[slice, s, n, 0, line]]))
            .filter(|(_, header)| header.version != 0)
            .collect()
    }

    /// The largest distances from the centre along x and y.
    pub fn largest(&self) -> Result<[f32; 2], FrameError> {
        let mut largest = [0.0_f32; 2];
        let [slices, n_s, n_n] = self.outer();
        for place in (0..slices * n_s * n_n).map(|at| [at / (n_s * n_n), at / n_n % n_s, at % n_n])
        {
            let Some(positions) = self.positions_of(place) else { continue };
            for (line, header) in self.lines(place) {
                for sample in 0..positions.dim().2 {
                    let position = [0, 1].map(|axis| positions[[0, line, sample, axis]]);
                    if !position.iter().all(|k| k.is_finite()) {
                        return Err(FrameError::NotFinite {
                            scan_counter: header.scan_counter,
                            sample,
                        });
                    }
                    for (largest, k) in largest.iter_mut().zip(position) {
                        *largest = largest.max(k.abs());
                    }
                }
            }
        }
        if largest == [0.0; 2] { Err(FrameError::Empty) } else { Ok(largest) }
    }

    /// The samples of an image; [`None`] where no line was read.
    ///
    /// * `factors`: from the trajectory's unit to cycles per field of view.
    /// * `edge`: the largest distance along x and y that the image has room for.
    pub fn frame(&self, place: [usize; 3], factors: [f64; 2], edge: [f32; 2]) -> Option<Frame> {
        let (data, positions) = (self.samples_of(place)?, self.positions_of(place)?);
        let (n_channels, _, n_readout) = data.dim();
        let mut kept = Vec::new();
        let mut frame = Frame {
            points: Vec::new(),
            samples: Array2::zeros((0, 0)),
            headers: Vec::new(),
            n_beyond: 0,
            n_not_finite: 0,
        };
        for (line, header) in self.lines(place) {
            frame.headers.push(header);
            // Discarded samples are not in the buffer, shorter readouts do not fill it.
            let discarded = header.discard_pre.saturating_add(header.discard_post);
            let n_samples = usize::from(header.number_of_samples.saturating_sub(discarded));
            let n_samples = n_samples.min(n_readout);
            for sample in 0..n_samples {
                let k = [0, 1].map(|axis| {
                    let position = positions[[0, line, sample, axis]];
                    (f64::from(position) * factors[axis]) as f32
                });
                if k[0].abs() > edge[0] || k[1].abs() > edge[1] {
                    frame.n_beyond += 1;
                    continue;
                }
                if !(0..n_channels).all(|channel| data[[channel, line, sample]].is_finite()) {
                    frame.n_not_finite += 1;
                    continue;
                }
                frame.points.push(k);
                kept.push((line, sample));
            }
        }
        if frame.headers.is_empty() {
            return None;
        }
        frame.samples = Array2::from_shape_fn((n_channels, kept.len()), |(channel, at)| {
            let (line, sample) = kept[at];
            data[[channel, line, sample]]
        });
        Some(frame)
    }
}

/// One image of an array whose first axes are `[slice, s, n]`.
fn of_image<T>(array: ArrayViewD<'_, T>, [slice, s, n]: [usize; 3]) -> ArrayViewD<'_, T> {
    let array = array.index_axis_move(Axis(0), slice);
    array.index_axis_move(Axis(0), s).index_axis_move(Axis(0), n)
}
