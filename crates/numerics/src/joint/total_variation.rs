//! Few edges, in the same places in all frames.

use ndarray::Array4;
use num_complex::Complex32;
use rayon::prelude::*;

/// Steps of the inner problem, which starts from nothing each time.
const N_STEPS: usize = 12;

/// The proximal map of λ Σ ‖differences of a pixel to its next along z, y and x, of all frames‖₂.
///
/// * `images`: `[frame, z, y, x]`. Differences across the edge of the image do not count.
///
/// # Source
/// Beck and Teboulle 2009 (fast gradient projection on the dual); Blomgren and Chan 1998 for
/// several frames at once.
pub fn shrink_variation(images: &mut Array4<Complex32>, threshold: f32) {
    let (n_frames, n_z, n_y, n_x) = images.dim();
    let shape = [n_z, n_y, n_x];
    let n = n_z * n_y * n_x;
    let axes: Vec<(usize, usize)> =
        [(n_y * n_x, n_z), (n_x, n_y), (1, n_x)].into_iter().filter(|(_, len)| *len > 1).collect();
    if threshold <= 0.0 || axes.is_empty() || n_frames == 0 {
        return;
    }
    let noisy: Vec<Complex32> = images.iter().copied().collect();
    let step = 1.0 / (4.0 * axes.len() as f32 * threshold);
    // `[frame][axis][pixel]`, as one frame after another.
    let n_dual = axes.len() * n;
    let mut dual = vec![Complex32::ZERO; n_frames * n_dual];
    let mut ahead = dual.clone();
    let mut before = dual.clone();
    let mut momentum = 1.0_f32;
    for _ in 0..N_STEPS {
        std::mem::swap(&mut dual, &mut before);
        dual.par_chunks_exact_mut(n_dual)
            .zip(ahead.par_chunks_exact(n_dual))
            .zip(noisy.par_chunks_exact(n))
            .for_each(|((dual, ahead), noisy)| {
                let image = primal(noisy, ahead, &axes, shape, threshold);
                for ((dual, ahead), &(stride, len)) in
                    dual.chunks_exact_mut(n).zip(ahead.chunks_exact(n)).zip(&axes)
                {
                    for pixel in 0..n {
                        let has_next = pixel / stride % len + 1 < len;
                        dual[pixel] = if has_next {
                            ahead[pixel] + (image[pixel] - image[pixel + stride]) * step
                        } else {
                            Complex32::ZERO
                        };
                    }
                }
            });
        let factors: Vec<f32> = (0..n)
            .into_par_iter()
            .map(|pixel| {
                let sum: f32 =
                    dual.iter().skip(pixel).step_by(n).map(|value| value.norm_sqr()).sum();
                sum.sqrt().max(1.0).recip()
            })
            .collect();
        let following = (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) / 2.0;
        let carry = (momentum - 1.0) / following;
        momentum = following;
        dual.par_chunks_exact_mut(n)
            .zip(ahead.par_chunks_exact_mut(n))
            .zip(before.par_chunks_exact(n))
            .for_each(|((dual, ahead), before)| {
                for (((dual, ahead), before), factor) in
                    dual.iter_mut().zip(ahead).zip(before).zip(&factors)
                {
                    *dual *= *factor;
                    *ahead = *dual + (*dual - before) * carry;
                }
            });
    }
    let result: Vec<Complex32> = dual
        .par_chunks_exact(n_dual)
        .zip(noisy.par_chunks_exact(n))
        .flat_map_iter(|(dual, noisy)| primal(noisy, dual, &axes, shape, threshold))
        .collect();
    images.iter_mut().zip(result).for_each(|(image, value)| *image = value);
}

/// noisy − λ Lᴴ dual, where L gives a pixel less its next.
fn primal(
    noisy: &[Complex32],
    dual: &[Complex32],
    axes: &[(usize, usize)],
    shape: [usize; 3],
    threshold: f32,
) -> Vec<Complex32> {
    let n: usize = shape.iter().product();
    let mut image = noisy.to_vec();
    for (dual, &(stride, len)) in dual.chunks_exact(n).zip(axes) {
        for pixel in 0..n {
            if pixel / stride % len + 1 < len {
                let value = dual[pixel] * threshold;
                image[pixel] -= value;
                image[pixel + stride] += value;
            }
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_loses_what_is_known_of_it() {
        // Of a step of height h between two halves of n pixels each half moves by λ/n.
        let (n, height, lambda) = (3, 3.0_f32, 1.5);
        let mut images = Array4::from_shape_fn((1, 1, 1, 2 * n), |(_, _, _, x)| {
            Complex32::new(if x < n { 0.0 } else { height }, 0.0)
        });
        shrink_variation(&mut images, lambda);
        let expected = lambda / n as f32;
        // The inner problem is not solved to the end.
        assert!((images[[0, 0, 0, 0]].re - expected).abs() < 0.05 * expected, "{images}");
        assert!((images[[0, 0, 0, 2 * n - 1]].re - height + expected).abs() < 0.05 * expected);
        let mean = images.iter().map(|value| value.re).sum::<f32>() / (2 * n) as f32;
        assert!((mean - height / 2.0).abs() < 1e-4, "{mean}");
    }

    #[test]
    fn noise_goes_and_edges_stay() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let truth = Array4::from_shape_fn((3, 1, 16, 16), |(frame, _, y, _)| {
            Complex32::new(if y < 8 { 1.0 + frame as f32 } else { -2.0 }, 0.5)
        });
        let mut images = truth.mapv(|value| value + Complex32::new(noise(), noise()));
        let error = |images: &Array4<Complex32>| {
            images.iter().zip(&truth).map(|(a, b)| (a - b).norm_sqr()).sum::<f32>()
        };
        let before = error(&images);
        shrink_variation(&mut images, 0.5);
        assert!(error(&images) < 0.3 * before, "{} {before}", error(&images));
    }
}
