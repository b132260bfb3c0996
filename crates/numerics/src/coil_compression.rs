//! Coil compression: fewer virtual channels that keep most of the signal.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array, Array2, ArrayView, ArrayView2, Axis, Dimension, RemoveAxis};
use num_complex::{Complex32, Complex64};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::binary_exponent::{NotFinite, normalising_power};

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
        let data = data.as_standard_layout();
        let after: usize = data.shape()[channel_axis.index() + 1..].iter().product();
        let (Some(samples), Some(results)) = (data.as_slice(), modes.as_slice_mut()) else {
            return modes;
        };
        if samples.is_empty() || results.is_empty() {
            return modes;
        }
        let member = self.n_channels() * after;
        let tasks: Vec<_> = samples
            .chunks_exact(member)
            .zip(results.chunks_exact_mut(self.n_modes() * after))
            .flat_map(|(samples, results)| {
                let mut rows: Vec<_> = results.chunks_exact_mut(after).collect();
                (0..after)
                    .step_by(CHUNK)
                    .map(move |first| {
                        let n = CHUNK.min(after - first);
                        let parts = rows.iter_mut().map(|row| {
                            let (part, rest) = std::mem::take(row).split_at_mut(n);
                            *row = rest;
                            part
                        });
                        (samples, first, parts.collect::<Vec<_>>())
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        tasks.into_par_iter().for_each(|(samples, first, results)| {
            let n = CHUNK.min(after - first);
            let mut planes = vec![0.0; self.n_channels() * 2 * CHUNK];
            for (row, planes) in samples.chunks_exact(after).zip(planes.chunks_exact_mut(2 * CHUNK))
            {
                split(&row[first..first + n], 1.0, planes);
            }
            Arch::new().dispatch(Mix { matrix: self.matrix.view(), planes: &planes, results });
        });
        modes
    }

    /// Puts the modes in place of the first channels.
    ///
    /// * `channels`: one row of samples for each channel. The rows of the modes are written, the
    ///   others left.
    /// * `workspace`: any vector; the same one for several calls saves memory.
    ///
    /// # Panics
    /// If there is another number of channels, or they have different lengths.
    pub fn apply_in_place(&self, channels: &mut [&mut [Complex32]], workspace: &mut Vec<f32>) {
        assert_eq!(channels.len(), self.n_channels(), "channels of the data");
        let len = channels.first().map_or(0, |channel| channel.len());
        workspace.resize(self.n_channels() * 2 * CHUNK, 0.0);
        for first in (0..len).step_by(CHUNK) {
            let n = CHUNK.min(len - first);
            for (row, planes) in channels.iter().zip(workspace.chunks_exact_mut(2 * CHUNK)) {
                split(&row[first..first + n], 1.0, planes);
            }
            let modes = channels.iter_mut().take(self.n_modes());
            let results = modes.map(|row| &mut row[first..first + n]).collect();
            let matrix = self.matrix.view();
            Arch::new().dispatch(Mix { matrix, planes: workspace, results });
        }
    }
}

/// Samples that are worked on together.
const CHUNK: usize = 256;

/// Copies real and imaginary parts, scaled, to the two halves of `planes`, zeros behind.
fn split(samples: &[Complex32], scale: f32, planes: &mut [f32]) {
    let (re, im) = planes.split_at_mut(CHUNK);
    for ((re, im), value) in re.iter_mut().zip(&mut *im).zip(samples) {
        (*re, *im) = (value.re * scale, value.im * scale);
    }
    re[samples.len()..].fill(0.0);
    im[samples.len()..].fill(0.0);
}

/// Modes of a chunk.
struct Mix<'a> {
    matrix: ArrayView2<'a, Complex32>,
    /// `[channel, re or im, sample]`.
    planes: &'a [f32],
    /// For each mode its samples, at most a chunk.
    results: Vec<&'a mut [Complex32]>,
}

impl WithSimd for Mix<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let registers = CHUNK / S::F32_LANES;
        let mut sums = [0.0; 2 * CHUNK];
        for (row, result) in self.matrix.rows().into_iter().zip(self.results) {
            let (re, im) = sums.split_at_mut(CHUNK);
            let (re, im) = (S::as_mut_simd_f32s(re).0, S::as_mut_simd_f32s(im).0);
            // Four registers at a time: no sum waits for another.
            for first in (0..registers).step_by(4) {
                let last = registers.min(first + 4);
                let mut sum = [[simd.splat_f32s(0.0); 2]; 4];
                for (factor, planes) in row.iter().zip(self.planes.chunks_exact(2 * CHUNK)) {
                    let planes = S::as_simd_f32s(planes).0;
                    let (a, b) = (simd.splat_f32s(factor.re), simd.splat_f32s(factor.im));
                    let re = &planes[first..last];
                    let im = &planes[registers + first..registers + last];
                    for ((sum, &re), &im) in sum.iter_mut().zip(re).zip(im) {
                        sum[0] = simd.mul_add_f32s(a, re, sum[0]);
                        sum[1] = simd.mul_add_f32s(a, im, sum[1]);
                        sum[0] = simd.negate_mul_add_f32s(b, im, sum[0]);
                        sum[1] = simd.mul_add_f32s(b, re, sum[1]);
                    }
                }
                let parts = re[first..last].iter_mut().zip(&mut im[first..last]);
                for ((re, im), sum) in parts.zip(sum) {
                    (*re, *im) = (sum[0], sum[1]);
                }
            }
            let (re, im) = sums.split_at(CHUNK);
            for ((result, &re), &im) in result.iter_mut().zip(re).zip(im) {
                *result = Complex32::new(re, im);
            }
        }
    }
}

/// Σ x·xᴴ over the samples x of all channels: `[channel, channel]`, Hermitian; NaN if a sample
/// is not finite.
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
    let reference = reference.as_standard_layout();
    let after: usize = reference.shape()[channel_axis.index() + 1..].iter().product();
    let mut covariance = Array2::zeros((n, n));
    let Some(samples) = reference.as_slice().filter(|samples| !samples.is_empty()) else {
        return covariance;
    };
    let scale = match normalising_power(samples) {
        Ok(Some(scale)) => scale,
        Ok(None) => return covariance,
        Err(NotFinite) => {
            covariance.fill(Complex64::new(f64::NAN, f64::NAN));
            return covariance;
        }
    };
    let chunks: Vec<_> = samples
        .chunks_exact(n * after)
        .flat_map(|member| (0..after).step_by(CHUNK).map(move |first| (member, first)))
        .collect();
    // A fixed number of chunks, added up in order.
    let sums: Vec<_> = chunks
        .par_chunks(16)
        .map(|chunks| {
            let mut sums = Array2::zeros((n, n));
            let mut planes = vec![0.0; n * 2 * CHUNK];
            for &(member, first) in chunks {
                let len = CHUNK.min(after - first);
                for (row, planes) in
                    member.chunks_exact(after).zip(planes.chunks_exact_mut(2 * CHUNK))
                {
                    split(&row[first..first + len], scale, planes);
                }
                Arch::new().dispatch(Products { planes: &planes, sums: &mut sums });
            }
            sums
        })
        .collect();
    for sums in sums {
        covariance += &sums;
    }
    covariance /= Complex64::from(f64::from(scale).powi(2));
    for i in 0..n {
        for j in 0..i {
            covariance[[j, i]] = covariance[[i, j]].conj();
        }
    }
    covariance
}

/// Σ xᵢ·conj(xⱼ) over a chunk for j ≤ i: single precision within a chunk, double between chunks.
struct Products<'a> {
    /// `[channel, re or im, sample]`.
    planes: &'a [f32],
    sums: &'a mut Array2<Complex64>,
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, a) in self.planes.chunks_exact(2 * CHUNK).enumerate() {
            let (a_re, a_im) = a.split_at(CHUNK);
            let a = S::as_simd_f32s(a_re).0.iter().zip(S::as_simd_f32s(a_im).0);
            for (j, b) in self.planes.chunks_exact(2 * CHUNK).enumerate().take(i + 1) {
                let (b_re, b_im) = b.split_at(CHUNK);
                let b = S::as_simd_f32s(b_re).0.iter().zip(S::as_simd_f32s(b_im).0);
                let mut sums = [simd.splat_f32s(0.0); 4];
                for ((&a_re, &a_im), (&b_re, &b_im)) in a.clone().zip(b) {
                    sums[0] = simd.mul_add_f32s(a_re, b_re, sums[0]);
                    sums[1] = simd.mul_add_f32s(a_im, b_im, sums[1]);
                    sums[2] = simd.mul_add_f32s(a_im, b_re, sums[2]);
                    sums[3] = simd.mul_add_f32s(a_re, b_im, sums[3]);
                }
                let re = simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1]));
                let im = simd.reduce_sum_f32s(simd.sub_f32s(sums[2], sums[3]));
                self.sums[[i, j]] += Complex64::new(f64::from(re), f64::from(im));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;

    /// Channels that mix `n_sources` sources of falling strength, `[slice, channel, sample]`.
    fn reference(n_channels: usize, n_sources: usize, n_samples: usize) -> Array3<Complex32> {
        Array3::from_shape_fn((2, n_channels, n_samples), |(slice, channel, sample)| {
            (0..n_sources)
                .map(|source| {
                    let phase = (channel * (source + 1)) as f32 * 0.9;
                    let n = ((slice * n_samples + sample) * (2 * source + 3)) as f32;
                    let strength = 0.5_f32.powi(source as i32);
                    Complex32::from_polar(strength, phase)
                        * Complex32::new((n * 0.7).sin(), (n * 1.1 + 1.0).cos())
                })
                .sum()
        })
    }

    fn compression(reference: &Array3<Complex32>, keep: Keep) -> Compression {
        Compression::from_reference(reference.view(), Axis(1), keep).expect("a covariance")
    }

    #[test]
    fn as_many_modes_as_sources_hold_everything() {
        let reference = reference(7, 3, 700);
        let all = compression(&reference, Keep::All);
        assert_eq!((all.n_modes(), all.n_channels()), (7, 7));
        // Rank 3 in single precision.
        assert!(all.eigenvalues()[3] < 1e-6 * all.eigenvalues()[0], "{:?}", all.eigenvalues());
        assert!(all.eigenvalues().windows(2).all(|pair| pair[0] >= pair[1]));
        let kept = compression(&reference, Keep::Threshold(1e-4));
        assert_eq!(kept.n_modes(), 3);
        assert_eq!(kept, compression(&reference, Keep::Count(3)));
        let modes = kept.apply(reference.view(), Axis(1));
        assert_eq!(modes.dim(), (2, 3, 700));
        // Back to channels: nothing is lost.
        for slice in 0..2 {
            let channels: Array2<Complex32> =
                kept.matrix().t().mapv(|v| v.conj()).dot(&modes.slice(s![slice, .., ..]));
            for (a, b) in channels.iter().zip(reference.slice(s![slice, .., ..])) {
                assert!((a - b).norm() < 1e-5, "{a} and {b}");
            }
        }
        // The modes are uncorrelated and have the eigenvalues as energy.
        let covariance = covariance(modes.view(), Axis(1));
        for ((i, j), value) in covariance.indexed_iter() {
            let truth = if i == j { kept.eigenvalues()[i] } else { 0.0 };
            assert!((value - truth).norm() < 1e-5 * kept.eigenvalues()[0], "{i} {j} {value}");
        }
    }

    #[test]
    fn in_place_gives_the_same_modes() {
        let reference = reference(7, 3, 700);
        let kept = compression(&reference, Keep::Count(4));
        let expected = kept.apply(reference.view(), Axis(1));
        let mut data = reference.clone();
        let mut workspace = Vec::new();
        for mut slice in data.outer_iter_mut() {
            let mut rows: Vec<_> =
                slice.rows_mut().into_iter().map(|row| row.into_slice().expect("a row")).collect();
            kept.apply_in_place(&mut rows, &mut workspace);
        }
        assert_eq!(data.slice(s![.., ..4, ..]), expected);
        assert_eq!(data.slice(s![.., 4.., ..]), reference.slice(s![.., 4.., ..]));
    }

    #[test]
    fn rows_are_orthonormal_and_noise_stays_white() {
        let all = compression(&reference(6, 6, 300), Keep::All);
        let product = all.matrix().dot(&all.matrix().t().mapv(|v| v.conj()));
        for ((i, j), value) in product.indexed_iter() {
            let truth = if i == j { 1.0 } else { 0.0 };
            assert!((value - truth).norm() < 1e-6, "{i} {j}: {value}");
        }
        for row in all.matrix().rows() {
            let peak =
                row.iter().fold(Complex32::ZERO, |p, v| if v.norm() > p.norm() { *v } else { p });
            assert!(peak.re > 0.0 && peak.im.abs() < 1e-6, "{peak}");
        }
    }

    #[test]
    fn any_axis_and_layout_and_number_of_threads_give_the_same() {
        let reference = reference(5, 4, 5000);
        let first = compression(&reference, Keep::Count(2));
        let swapped = reference.view().permuted_axes([1, 2, 0]);
        let second = Compression::from_reference(swapped, Axis(0), Keep::Count(2)).expect("fine");
        for (a, b) in first.matrix().iter().zip(second.matrix()) {
            assert!((a - b).norm() < 1e-5, "{a} {b}");
        }
        let modes = first.apply(reference.view(), Axis(1));
        for (a, b) in
            modes.iter().zip(first.apply(swapped, Axis(0)).permuted_axes([2, 0, 1]).iter())
        {
            assert!((a - b).norm() < 1e-5);
        }
        let direct: Array2<Complex32> = first.matrix().dot(&reference.slice(s![1, .., ..]));
        for (a, b) in modes.slice(s![1, .., ..]).iter().zip(&direct) {
            assert!((a - b).norm() < 1e-5, "{a} {b}");
        }
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
            pool.expect("a pool").install(|| {
                let compression = compression(&reference, Keep::All);
                (compression.apply(reference.view(), Axis(1)), compression)
            })
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn odd_references_are_refused_or_kept() {
        let mut reference = reference(4, 2, 100);
        let zeros = Array3::<Complex32>::zeros((1, 4, 10));
        assert_eq!(compression(&zeros, Keep::Threshold(0.1)).n_modes(), 4);
        assert_eq!(compression(&reference, Keep::Count(0)).n_modes(), 1);
        assert_eq!(compression(&reference, Keep::Count(9)).n_modes(), 4);
        reference[[1, 2, 3]] = Complex32::new(f32::NAN, 0.0);
        let error = Compression::from_reference(reference.view(), Axis(1), Keep::All);
        assert_eq!(error, Err(CompressionError::NotFinite));
        let error =
            Compression::from_reference(reference.slice(s![.., ..0, ..]), Axis(1), Keep::All);
        assert_eq!(error, Err(CompressionError::NoChannel));
    }
}
