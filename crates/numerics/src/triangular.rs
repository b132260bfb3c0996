//! Lower triangular matrices that mix the channels of readouts.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use num_complex::{Complex32, Complex64};

/// Samples that are mixed at a time: their sums stay in registers.
const BLOCK: usize = 16;

/// Lower triangular complex matrix, ready to be applied to `[channel, sample]` data.
#[derive(Clone, Debug, PartialEq)]
pub struct LowerTriangular {
    n_channels: usize,
    /// Row by row, row i with its i + 1 elements.
    elements: Vec<Complex32>,
}

impl LowerTriangular {
    /// The lower triangle of `matrix`, `[channel, channel]`.
    ///
    /// # Panics
    /// If `matrix` is not square.
    pub fn new(matrix: ArrayView2<'_, Complex64>) -> Self {
        let n_channels = matrix.nrows();
        assert_eq!(matrix.ncols(), n_channels, "a triangular matrix that is not square");
        let elements = matrix
            .rows()
            .into_iter()
            .enumerate()
            .flat_map(|(row, elements)| elements.to_vec().into_iter().take(row + 1))
            .map(|value| Complex32::new(value.re as f32, value.im as f32))
            .collect();
        Self { n_channels, elements }
    }

    /// Channels that it mixes.
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// The whole matrix, `[channel, channel]`, with zeros above the diagonal.
    pub fn to_array(&self) -> Array2<Complex32> {
        Array2::from_shape_fn((self.n_channels, self.n_channels), |(row, column)| {
            if column <= row {
                self.elements[row * (row + 1) / 2 + column]
            } else {
                Complex32::ZERO
            }
        })
    }

    /// Multiplies `data`, `[channel, sample]`, by the matrix from the left, in place.
    ///
    /// Rounds in the same way on every processor. Data that are not contiguous in standard
    /// order are copied there and back.
    ///
    /// # Panics
    /// If `data` has another number of channels.
    pub fn apply(&self, mut data: ArrayViewMut2<'_, Complex32>) {
        assert_eq!(data.nrows(), self.n_channels, "channels of the data and of the matrix");
        if let Some(samples) = data.as_slice_mut() {
            self.apply_to_slice(samples);
        } else {
            let mut copy = data.as_standard_layout().into_owned();
            if let Some(samples) = copy.as_slice_mut() {
                self.apply_to_slice(samples);
            }
            data.assign(&copy);
        }
    }

    fn apply_to_slice(&self, samples: &mut [Complex32]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            unsafe { self.apply_avx2(samples) };
            return;
        }
        self.apply_blocks(samples);
    }

    /// [`LowerTriangular::apply_blocks`] compiled for wider registers.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn apply_avx2(&self, samples: &mut [Complex32]) {
        self.apply_blocks(samples);
    }

    #[inline(always)]
    fn apply_blocks(&self, samples: &mut [Complex32]) {
        if self.n_channels == 0 {
            return;
        }
        let n_samples = samples.len() / self.n_channels;
        let whole = n_samples - n_samples % BLOCK;
        for first in (0..whole).step_by(BLOCK) {
            // From the last row up, so that each row still finds its sources.
            for row in (0..self.n_channels).rev() {
                let sums = self.mix::<BLOCK>(row, samples, n_samples, first);
                let target = row * n_samples + first;
                samples[target..target + BLOCK].copy_from_slice(&sums);
            }
        }
        for sample in whole..n_samples {
            for row in (0..self.n_channels).rev() {
                let [sum] = self.mix::<1>(row, samples, n_samples, sample);
                samples[row * n_samples + sample] = sum;
            }
        }
    }

    /// Elements `first`… of row `row` of the product.
    #[inline(always)]
    fn mix<const N: usize>(
        &self,
        row: usize,
        samples: &[Complex32],
        n_samples: usize,
        first: usize,
    ) -> [Complex32; N] {
        // Sums with the real and with the imaginary part of the matrix apart: no shuffling of
        // real and imaginary samples in the loop.
        let mut with_re = [Complex32::ZERO; N];
        let mut with_im = [Complex32::ZERO; N];
        let start = row * (row + 1) / 2;
        for (channel, factor) in self.elements[start..=start + row].iter().enumerate() {
            let from = channel * n_samples + first;
            let source = &samples[from..from + N];
            for n in 0..N {
                with_re[n] += source[n] * factor.re;
                with_im[n] += source[n] * factor.im;
            }
        }
        std::array::from_fn(|n| {
            Complex32::new(with_re[n].re - with_im[n].im, with_re[n].im + with_im[n].re)
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;

    fn matrix(n: usize) -> Array2<Complex64> {
        Array2::from_shape_fn((n, n), |(i, j)| {
            Complex64::new(1.0 + (i * 3 + j) as f64 * 0.1, (i as f64 - j as f64) * 0.2)
        })
    }

    fn data(n_channels: usize, n_samples: usize) -> Array2<Complex32> {
        Array2::from_shape_fn((n_channels, n_samples), |(c, x)| {
            let n = (c * n_samples + x) as f32;
            Complex32::new((n * 0.37).sin(), (n * 0.91).cos())
        })
    }

    #[test]
    fn product_is_that_of_the_lower_triangle_for_any_number_of_samples() {
        for (n_channels, n_samples) in [(1, 1), (3, 16), (4, 37), (16, 256), (5, 15), (2, 0)] {
            let lower = LowerTriangular::new(matrix(n_channels).view());
            let mut product = data(n_channels, n_samples);
            let truth = lower.to_array().dot(&product);
            lower.apply(product.view_mut());
            for (a, b) in product.iter().zip(&truth) {
                // Sums of at most 16 products of size 5: 80 times the rounding of one.
                assert!((a - b).norm() < 1e-5, "{n_channels}, {n_samples}: {a} and {b}");
            }
        }
    }

    #[test]
    fn only_the_lower_triangle_counts() {
        let lower = LowerTriangular::new(matrix(3).view()).to_array();
        assert_eq!(lower[[0, 1]], Complex32::ZERO);
        assert_eq!(lower[[2, 0]], Complex32::new(1.6, 0.4));
    }

    #[test]
    fn a_view_with_gaps_gives_the_same() {
        let lower = LowerTriangular::new(matrix(3).view());
        let mut gaps = data(3, 40);
        let mut whole = gaps.slice(s![.., ..;2]).to_owned();
        lower.apply(gaps.slice_mut(s![.., ..;2]));
        lower.apply(whole.view_mut());
        assert_eq!(gaps.slice(s![.., ..;2]), whole);
        assert_eq!(gaps[[1, 1]], data(3, 40)[[1, 1]]);
    }

    #[test]
    fn narrow_and_wide_registers_give_the_same_bits() {
        let lower = LowerTriangular::new(matrix(7).view());
        let (mut wide, mut narrow) = (data(7, 100), data(7, 100));
        lower.apply(wide.view_mut());
        lower.apply_blocks(narrow.as_slice_mut().expect("standard order"));
        assert_eq!(wide, narrow);
    }
}
