//! Means of the images that have one weighting, and the tensor of them with its noise: what a
//! denoiser of tensors is told, and signals of what it answers.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::encoding::{BMatrix, EncodingError, TensorPlan};

/// Weightings whose b-matrices differ by less than this part of the b-value are one: repeats whose
/// RR intervals differ, and contents that were turned by a few degrees.
const ALIKE: f64 = 0.3;
/// b-values below are no weighting, s/mm².
const NO_WEIGHTING: f64 = 60.0;
/// Elements of a tensor are kept within, µm²/ms.
const ELEMENTS: [f32; 2] = [-1.0, 5.0];
const LARGEST_ELEMENT_SD: f32 = 1.5;
const LARGEST_LOG_SD: f32 = 1.0;
const LARGEST_SIGNAL: f32 = 4.0;
/// A signal below this share of a pixel's largest one counts as much.
const LEAST_SHARE: f32 = 1e-3;

/// Means of the images that have one weighting.
#[derive(Clone, Debug)]
pub struct Averages {
    /// What a fit to the means needs.
    pub plan: TensorPlan,
    /// Images of each mean.
    pub n_images: Vec<usize>,
    /// The means, without what noise adds to magnitudes: `[mean, pixel]`.
    pub signals: Array2<f32>,
}

/// A tensor and its noise, as [`Averages::tensor`] finds them.
#[derive(Clone, Debug)]
pub struct NoisyTensor {
    /// xx, xy, xz, yy, yz, zz in µm²/ms, and the signal without weighting over the scale:
    /// `[value, pixel]`.
    pub values: Array2<f32>,
    /// Standard deviations: of an element (root mean square of the six), and of the logarithm of
    /// the signal: `[2, pixel]`.
    pub noise_sd: Array2<f32>,
    /// What signals were divided by: the 95th percentile of the mean without weighting.
    pub scale: f32,
}

impl Averages {
    /// Takes the mean of all images of one weighting.
    ///
    /// Repeats whose b-matrices differ a little are brought to their mean b-matrix by the tensor
    /// of a linear fit first: where b-values follow the RR intervals, say.
    ///
    /// * `images`: `[image, pixel]`, magnitudes.
    /// * `noise_sd`: of an image in the real and in the imaginary part: `[pixel]`; 0 leaves
    ///   magnitudes as they are.
    ///
    /// # Errors
    /// [`EncodingError`]: the means' weightings do not tell a tensor.
    ///
    /// # Panics
    /// If there is not one image for each weighting, or not one noise for each pixel.
    ///
    /// # Source
    /// A magnitude's mean is S + σ²/2S + O(σ⁴/S³) (Gudbjartsson and Patz 1995): √(mean² − σ²) has
    /// no second order.
    pub fn new(
        plan: &TensorPlan,
        images: ArrayView2<'_, f32>,
        noise_sd: &[f32],
    ) -> Result<Self, EncodingError> {
        let n_pixels = images.ncols();
        assert_eq!(images.nrows(), plan.n_images(), "an image for each weighting");
        assert_eq!(noise_sd.len(), n_pixels, "a noise for each pixel");
        let groups = groups(plan.encodings());
        let encodings: Vec<BMatrix> = groups
            .iter()
            .map(|group| {
                let sum = |element: usize| -> f64 {
                    group.iter().map(|image| plan.encodings[*image].0[element]).sum()
                };
                BMatrix(std::array::from_fn(|element| sum(element) / group.len() as f64))
            })
            .collect();
        let means = TensorPlan::new(&encodings)?;
        // Of all images at once: it moves a repeat a little only, so its own noise does little.
        let fit = plan.fit_linear(images);
        let mut signals = Array2::<f32>::zeros((groups.len(), n_pixels));
        let rows: Vec<_> = signals.axis_iter_mut(Axis(0)).collect();
        rows.into_par_iter().zip(&groups).zip(&means.rows).for_each(|((mut mean, group), row)| {
            for &image in group {
                let change: [f32; 6] =
                    std::array::from_fn(|i| (row[i] - plan.rows[image][i]) as f32);
                let is_same = change.iter().all(|value| value.abs() < 1e-6);
                for (pixel, (sum, value)) in mean.iter_mut().zip(images.row(image)).enumerate() {
                    let log: f32 = if is_same {
                        0.0
                    } else {
                        let elements = fit.tensor.column(pixel);
                        let element = |i: usize| elements[i].clamp(ELEMENTS[0], ELEMENTS[1]);
                        (0..6).map(|i| change[i] * element(i)).sum()
                    };
                    *sum += value * log.clamp(-0.5, 0.5).exp();
                }
            }
            for (sum, sd) in mean.iter_mut().zip(noise_sd) {
                let mean = *sum / group.len() as f32;
                *sum = (mean * mean - sd * sd).max(0.09 * sd * sd).sqrt();
            }
        });
        let n_images = groups.iter().map(Vec::len).collect();
        Ok(Self { plan: means, n_images, signals })
    }

    /// The tensor of a linear fit to the means, with the noise that it has.
    ///
    /// * `noise_sd`: as of [`Averages::new`].
    ///
    /// # Panics
    /// If there is not one noise for each pixel.
    pub fn tensor(&self, noise_sd: &[f32]) -> NoisyTensor {
        let n_pixels = self.signals.ncols();
        assert_eq!(noise_sd.len(), n_pixels, "a noise for each pixel");
        let scale = self.scale();
        let factors = self.plan.pseudo_inverse.iter().map(|column| column.map(|v| v as f32));
        let factors: Vec<[f32; 7]> = factors.collect();
        let rows: Vec<[f32; 7]> = self.plan.rows.iter().map(|row| row.map(|v| v as f32)).collect();
        let shares: Vec<f32> = self.n_images.iter().map(|n| 1.0 / (*n as f32).sqrt()).collect();
        let pixels: Vec<[f32; 9]> = (0..n_pixels)
            .into_par_iter()
            .map(|pixel| {
                let signals = self.signals.column(pixel);
                let least = LEAST_SHARE * signals.iter().copied().fold(0.0, f32::max);
                let mut fitted = [0.0_f32; 7];
                for (signal, factors) in signals.iter().zip(&factors) {
                    let log = signal.max(least).max(f32::MIN_POSITIVE).ln();
                    fitted.iter_mut().zip(factors).for_each(|(sum, f)| *sum += f * log);
                }
                for element in &mut fitted[..6] {
                    *element = element.clamp(ELEMENTS[0], ELEMENTS[1]);
                }
                let (mut of_elements, mut of_log) = (0.0_f32, 0.0_f32);
                for ((row, factors), share) in rows.iter().zip(&factors).zip(&shares) {
                    let log: f32 = row.iter().zip(&fitted).map(|(a, b)| a * b).sum();
                    let sd = noise_sd[pixel] * share;
                    let relative = if sd > 0.0 { (sd / log.exp().max(sd)).powi(2) } else { 0.0 };
                    of_elements += relative * factors[..6].iter().map(|f| f * f).sum::<f32>() / 6.0;
                    of_log += relative * factors[6] * factors[6];
                }
                let mut all = [0.0; 9];
                all[..6].copy_from_slice(&fitted[..6]);
                all[6] = (fitted[6].exp() / scale).min(LARGEST_SIGNAL);
                all[7] = of_elements.sqrt().min(LARGEST_ELEMENT_SD);
                all[8] = of_log.sqrt().min(LARGEST_LOG_SD);
                all.map(|value| if value.is_finite() { value } else { 0.0 })
            })
            .collect();
        NoisyTensor {
            values: Array2::from_shape_fn((7, n_pixels), |(value, pixel)| pixels[pixel][value]),
            noise_sd: Array2::from_shape_fn((2, n_pixels), |(n, pixel)| pixels[pixel][7 + n]),
            scale,
        }
    }

    fn scale(&self) -> f32 {
        let b = |group: &usize| self.plan.encodings[*group].b_value_s_per_mm2();
        let least = (0..self.n_images.len()).min_by(|a, b_| b(a).total_cmp(&b(b_)));
        let mut values = least.map_or_else(Vec::new, |least| self.signals.row(least).to_vec());
        values.sort_by(f32::total_cmp);
        let place = (0.95 * values.len().saturating_sub(1) as f64).round() as usize;
        values.get(place).copied().filter(|value| *value > 0.0).unwrap_or(1.0)
    }
}

impl TensorPlan {
    /// The images that tensors make.
    ///
    /// * `values`: as of [`NoisyTensor`]: `[value, pixel]`.
    ///
    /// Returns `[image, pixel]`.
    ///
    /// # Panics
    /// If there are not 7 values.
    pub fn images_of(&self, values: ArrayView2<'_, f32>, scale: f32) -> Array2<f32> {
        assert_eq!(values.nrows(), 7, "six elements and a signal");
        let mut images = Array2::<f32>::zeros((self.n_images(), values.ncols()));
        let rows: Vec<_> = images.axis_iter_mut(Axis(0)).collect();
        rows.into_par_iter().zip(&self.rows).for_each(|(mut image, row)| {
            let row: [f32; 6] = std::array::from_fn(|i| row[i] as f32);
            for (pixel, target) in image.iter_mut().enumerate() {
                let log: f32 = row.iter().enumerate().map(|(i, r)| r * values[[i, pixel]]).sum();
                *target = values[[6, pixel]].max(0.0) * scale * log.min(20.0).exp();
            }
        });
        images
    }
}

/// Images of one weighting, in the order of the first of each.
fn groups(encodings: &[BMatrix]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (image, encoding) in encodings.iter().enumerate() {
        let b = encoding.b_value_s_per_mm2();
        let is_alike = |other: &BMatrix| {
            let other_b = other.b_value_s_per_mm2();
            if b < NO_WEIGHTING || other_b < NO_WEIGHTING {
                return b < NO_WEIGHTING && other_b < NO_WEIGHTING;
            }
            let difference = encoding.0.iter().zip(&other.0).map(|(a, b)| (a - b).powi(2));
            let weights = [1.0, 2.0, 2.0, 1.0, 2.0, 1.0];
            let squares: f64 = difference.zip(weights).map(|(d, w)| d * w).sum();
            1e3 * squares.sqrt() < ALIKE * b.max(other_b)
        };
        match groups.iter_mut().find(|group| is_alike(&encodings[group[0]])) {
            Some(group) => group.push(image),
            None => groups.push(vec![image]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENSOR: [f32; 6] = [1.6, 0.2, -0.1, 1.2, 0.15, 1.0];

    /// A b0 and 12 directions, four times, with b-values that vary by a tenth.
    fn encodings() -> Vec<BMatrix> {
        let directions = (0..12).map(|k| {
            let z = (k as f64 + 0.5) / 12.0;
            let (sin, cos) = (2.4 * k as f64).sin_cos();
            let r = (1.0 - z * z).sqrt();
            [r * cos, r * sin, z]
        });
        let directions: Vec<[f64; 3]> = directions.collect();
        (0..4)
            .flat_map(|repeat| {
                let b = 450.0 + 30.0 * f64::from(repeat);
                let weighted = directions.iter().map(move |d| BMatrix::along(b, *d));
                std::iter::once(BMatrix::along(0.0, [0.0; 3])).chain(weighted).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn repeats_are_averaged_and_their_tensor_is_that_of_all() {
        let plan = TensorPlan::new(&encodings()).expect("a tensor");
        let values = Array2::from_shape_fn((7, 5), |(value, pixel)| {
            if value < 6 { TENSOR[value] } else { 0.5 + 0.1 * pixel as f32 }
        });
        let images = plan.images_of(values.view(), 300.0);
        let averages = Averages::new(&plan, images.view(), &[0.0; 5]).expect("a tensor");
        assert_eq!(averages.n_images, [4; 13]);
        let tensor = averages.tensor(&[0.0; 5]);
        for pixel in 0..5 {
            for (found, true_value) in tensor.values.column(pixel).iter().zip(TENSOR) {
                assert!((found - true_value).abs() < 2e-4, "{found} {true_value}");
            }
        }
        assert_eq!(tensor.noise_sd.iter().copied().fold(0.0, f32::max), 0.0);
        let again = plan.images_of(tensor.values.view(), tensor.scale);
        for (a, b) in again.iter().zip(&images) {
            assert!((a - b).abs() < 2e-4 * b, "{a} {b}");
        }
    }

    #[test]
    fn the_noise_that_is_told_is_that_of_the_fit() {
        let plan = TensorPlan::new(&encodings()).expect("a tensor");
        let n = 4000;
        let values = Array2::from_shape_fn((7, n), |(v, _)| TENSOR.get(v).copied().unwrap_or(1.0));
        let mut state = 1_u64;
        let mut uniform = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as f64 + 0.5) / f64::from(1_u32 << 31)
        };
        let sd = 0.05 * 100.0;
        let noisy = plan.images_of(values.view(), 100.0).mapv(|value| {
            let (radius, turn) =
                ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
            let real = value + sd * (radius * turn.cos()) as f32;
            real.hypot(sd * (radius * turn.sin()) as f32)
        });
        let noise = vec![sd; n];
        let averages = Averages::new(&plan, noisy.view(), &noise).expect("a tensor");
        let tensor = averages.tensor(&noise);
        let mut variance = 0.0;
        for (element, (row, expected)) in
            tensor.values.rows().into_iter().zip(TENSOR).take(6).enumerate()
        {
            let mean = row.mean().expect("pixels");
            // Of magnitudes alone it would be 0.01 too low.
            assert!((mean - expected).abs() < 0.006, "{element}: {mean}");
            variance += row.mapv(|value| (value - mean).powi(2)).mean().expect("pixels") / 6.0;
        }
        let told = tensor.noise_sd.row(0).mean().expect("pixels");
        assert!((variance.sqrt() / told - 1.0).abs() < 0.04, "{} {told}", variance.sqrt());
    }
}
