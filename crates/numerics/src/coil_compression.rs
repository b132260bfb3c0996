//! Coil compression: fewer virtual channels that keep most of the signal.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array, Array2, ArrayView, ArrayView2, Axis, Dimension, RemoveAxis};
use num_complex::{Complex32, Complex64};

/// How many modes to keep. At least one is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep {
    /// As many as there are channels: a rotation.
    All,
    /// Those whose eigenvalue is at least this fraction of the largest one.
    Threshold(f32),
    /// This many, or all where there are fewer channels.
    Count(usize),
}

/// The reference has no covariance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// No channel.
    #[error("the reference for coil compression has no channel")]
    NoChannel,
    /// A sample is NaN or infinite.
    #[error("the reference for coil compression has samples that are not finite")]
    NotFinite,
}

/// Karhunen-Loève transform of the channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Compression {
    /// `[mode, channel]`, orthonormal rows.
    matrix: Array2<Complex32>,
    /// Of all channels, descending.
    eigenvalues: Vec<f64>,
}

impl Compression {
    /// From the samples of all channels.
    ///
    /// * `reference`: any shape, k-space or image, whitened.
    /// * `channel_axis`: its channel axis.
    ///
    /// # Errors
    /// [`CompressionError`] if there is no channel or a sample is not finite.
    ///
    /// # Panics
    /// If `reference` has no axis `channel_axis`.
    pub fn from_reference<D: Dimension + RemoveAxis>(
        reference: ArrayView<'_, Complex32, D>,
        channel_axis: Axis,
        keep: Keep,
    ) -> Result<Self, CompressionError> {
        Self::from_covariance(covariance(reference, channel_axis).view(), keep)
    }

    /// From Σ x·xᴴ, `[channel, channel]`, of the channels' samples x: [`covariance`], or a sum
    /// of several.
    ///
    /// The rows are the conjugated eigenvectors by descending eigenvalue, each turned so that
    /// its largest element (the first of equals) is real and positive.
    ///
    /// # Errors
    /// [`CompressionError`] if there is no channel or an element is not finite.
    ///
    /// # Panics
    /// If `covariance` is not square.
    ///
    /// # Source
    /// Buehrer et al. 2007. The mean is not removed: k-space has next to none.
    pub fn from_covariance(
        covariance: ArrayView2<'_, Complex64>,
        keep: Keep,
    ) -> Result<Self, CompressionError> {
        let n = covariance.nrows();
        assert_eq!(covariance.ncols(), n, "a covariance that is not square");
        if n == 0 {
            return Err(CompressionError::NoChannel);
        }
        let largest = covariance.iter().map(|v| v.re.abs().max(v.im.abs())).fold(0.0, f64::max);
        if !covariance.iter().all(|value| value.is_finite()) {
            return Err(CompressionError::NotFinite);
        }
        // Far from over- and underflow of squares.
        let scale = if largest > 0.0 { 1.0 / largest } else { 1.0 };
        let hermitian = DMatrix::from_fn(n, n, |i, j| {
            (covariance[[i, j]] + covariance[[j, i]].conj()) * (0.5 * scale)
        });
        let eigen = SymmetricEigen::new(hermitian);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let eigenvalues: Vec<f64> =
            order.iter().map(|&mode| eigen.eigenvalues[mode].max(0.0) / scale).collect();
        let n_modes = match keep {
            Keep::All => n,
            Keep::Count(count) => count.clamp(1, n),
            Keep::Threshold(fraction) => {
                let limit = eigenvalues[0] * f64::from(fraction);
                eigenvalues.iter().take_while(|&&value| value >= limit).count().max(1)
            }
        };
        let mut matrix = Array2::zeros((n_modes, n));
        for (mut row, &mode) in matrix.rows_mut().into_iter().zip(&order) {
            let vector = eigen.eigenvectors.column(mode);
            let mut peak = vector[0];
            for &value in &vector {
                // Equal to rounding counts as equal, so that rounding moves no phase.
                if value.norm() > peak.norm() * (1.0 + 1e-9) {
                    peak = value;
                }
            }
            let turn = peak / peak.norm();
            for (element, &value) in row.iter_mut().zip(&vector) {
                let value = (value / turn).conj();
                *element = Complex32::new(value.re as f32, value.im as f32);
            }
        }
        Ok(Self { matrix, eigenvalues })
    }

    /// Channels that go in.
    pub fn n_channels(&self) -> usize {
        self.matrix.ncols()
    }

    /// Modes that come out.
    pub fn n_modes(&self) -> usize {
        self.matrix.nrows()
    }

    /// `[mode, channel]`, orthonormal rows.
    pub fn matrix(&self) -> ArrayView2<'_, Complex32> {
        self.matrix.view()
    }

    /// Eigenvalues of all channels, descending, those of dropped modes too.
    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    /// The modes of `data`: the same shape with modes along `channel_axis`, in standard order.
    ///
    /// # Panics
    /// If `data` has another number of channels or no axis `channel_axis`.
    pub fn apply<D: Dimension + RemoveAxis>(
        &self,
        data: ArrayView<'_, Complex32, D>,
        channel_axis: Axis,
    ) -> Array<Complex32, D> {
        assert_eq!(data.len_of(channel_axis), self.n_channels(), "channels of the data");
        let mut shape = data.raw_dim();
        shape[channel_axis.index()] = self.n_modes();
        let mut modes = Array::<Complex32, D>::zeros(shape);
        for (mut mode, row) in modes.axis_iter_mut(channel_axis).zip(self.matrix.rows()) {
            for (channel, &factor) in data.axis_iter(channel_axis).zip(row) {
                mode.zip_mut_with(&channel, |sum, &sample| *sum += factor * sample);
            }
        }
        modes
    }
}

/// Σ x·xᴴ over the samples x of all channels: `[channel, channel]`, Hermitian.
///
/// * `reference`: any shape.
/// * `channel_axis`: its channel axis.
///
/// # Panics
/// If `reference` has no axis `channel_axis`.
pub fn covariance<D: Dimension + RemoveAxis>(
    reference: ArrayView<'_, Complex32, D>,
    channel_axis: Axis,
) -> Array2<Complex64> {
    let n = reference.len_of(channel_axis);
    let wide = |v: &Complex32| Complex64::new(f64::from(v.re), f64::from(v.im));
    let mut covariance = Array2::zeros((n, n));
    for (i, a) in reference.axis_iter(channel_axis).enumerate() {
        for (j, b) in reference.axis_iter(channel_axis).enumerate().take(i + 1) {
            let sum: Complex64 = a.iter().zip(&b).map(|(a, b)| wide(a) * wide(b).conj()).sum();
            covariance[[i, j]] = sum;
            covariance[[j, i]] = sum.conj();
        }
    }
    covariance
}
