//! Inati's iterative method.

use ndarray::{Array3, Array4, ArrayView3, ArrayView4, ArrayViewMut3, Axis, Zip};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

/// How [`inati_iterative`] looks at the surroundings of a pixel. Sizes are made odd by adding 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InatiIterativeOptions {
    /// Window along x in pixels.
    pub kernel_readout: usize,
    /// Window along y in pixels.
    pub kernel_phase: usize,
    /// Window along z in pixels, cut down to the images' size: 1 for one plane.
    pub kernel_partition: usize,
    /// Most iterations.
    pub iterations: usize,
    /// Stop when the combined image changes by less than this, relative to its norm.
    pub threshold: f32,
}

impl Default for InatiIterativeOptions {
    /// 7 × 5 × 5 pixels, 10 iterations, 1e-4.
    fn default() -> Self {
        Self {
            kernel_readout: 7,
            kernel_phase: 5,
            kernel_partition: 5,
            iterations: 10,
            threshold: 1e-4,
        }
    }
}

/// Coil maps by Inati's iterative method: an image and maps that explain the coil images, with
/// maps that are smooth over the window.
///
/// * `images`: `[channel, z, y, x]`, coil images with noise that is independent between the
///   channels.
///
/// Returns maps of the same shape with Σ|s|² = 1 (0 where the images are 0 all over the window),
/// with a phase as smooth as the images allow; the phase that is common to all channels is
/// relative to the channels' mean over the whole image.
///
/// # Method
/// Starting from the channels combined with their mean: multiply the coil images with the
/// conjugate of the combined image, smooth them over the window (periodic at the edges),
/// normalise to maps; combine anew; move the phase that the maps share into the image.
///
/// # Source
/// Inati et al., ISMRM 2014.
pub fn inati_iterative(
    images: ArrayView4<'_, Complex32>,
    options: &InatiIterativeOptions,
) -> Array4<Complex32> {
    let shape = images.raw_dim();
    let window = [options.kernel_partition, options.kernel_phase, options.kernel_readout];
    let mut maps = Array4::<Complex32>::zeros(shape);
    if images.is_empty() {
        return maps;
    }
    let mut combined = combine(images, &mean_direction(images));
    for _ in 0..options.iterations.max(1) {
        maps.axis_iter_mut(Axis(0)).zip(images.axis_iter(Axis(0))).par_bridge().for_each(
            |(mut map, image)| {
                Zip::from(&mut map)
                    .and(&image)
                    .and(&combined)
                    .for_each(|map, &image, combined| *map = image * combined.conj());
                smooth(map, window);
            },
        );
        normalise(&mut maps);
        let previous = combined;
        combined = combine_with_maps(images, maps.view());
        // The phase that the maps share belongs to the image.
        let mut weighted = maps.clone();
        for mut channel in weighted.axis_iter_mut(Axis(0)) {
            Zip::from(&mut channel).and(&combined).for_each(|map, &combined| *map *= combined);
        }
        let shared = combine(maps.view(), &mean_direction(weighted.view()));
        Zip::from(&mut combined).and(&shared).for_each(|combined, &shared| {
            *combined *= unit_phase(shared);
        });
        for mut channel in maps.axis_iter_mut(Axis(0)) {
            Zip::from(&mut channel).and(&shared).for_each(|map, &shared| {
                *map *= unit_phase(shared).conj();
            });
        }
        if relative_change(combined.view(), previous.view()) < f64::from(options.threshold) {
            break;
        }
    }
    maps
}

/// Unit vector along the channels' sum over all pixels; 0 if that is 0.
fn mean_direction(images: ArrayView4<'_, Complex32>) -> Vec<Complex32> {
    let sums: Vec<Complex64> = images
        .axis_iter(Axis(0))
        .map(|image| image.iter().map(|v| Complex64::new(f64::from(v.re), f64::from(v.im))).sum())
        .collect();
    let norm = sums.iter().map(Complex64::norm_sqr).sum::<f64>().sqrt();
    let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
    sums.iter().map(|v| Complex32::new((v.re * scale) as f32, (v.im * scale) as f32)).collect()
}

/// Σ conj(weight)·image over the channels.
fn combine(images: ArrayView4<'_, Complex32>, weights: &[Complex32]) -> Array3<Complex32> {
    let mut sum = Array3::zeros(images.index_axis(Axis(0), 0).raw_dim());
    for (image, weight) in images.axis_iter(Axis(0)).zip(weights) {
        sum.zip_mut_with(&image, |sum, image| *sum += weight.conj() * image);
    }
    sum
}

/// Σ conj(map)·image over the channels.
fn combine_with_maps(
    images: ArrayView4<'_, Complex32>,
    maps: ArrayView4<'_, Complex32>,
) -> Array3<Complex32> {
    let mut sum = Array3::zeros(images.index_axis(Axis(0), 0).raw_dim());
    for (image, map) in images.axis_iter(Axis(0)).zip(maps.axis_iter(Axis(0))) {
        Zip::from(&mut sum).and(&image).and(&map).for_each(|sum, image, map| {
            *sum += map.conj() * image;
        });
    }
    sum
}

/// Divides by the root of the sum of squares over the channels.
fn normalise(maps: &mut Array4<Complex32>) {
    let mut squares = Array3::<f32>::zeros(maps.index_axis(Axis(0), 0).raw_dim());
    for map in maps.axis_iter(Axis(0)) {
        squares.zip_mut_with(&map, |sum, map| *sum += map.norm_sqr());
    }
    squares.mapv_inplace(|sum| if sum > f32::MIN_POSITIVE { 1.0 / sum.sqrt() } else { 0.0 });
    for mut map in maps.axis_iter_mut(Axis(0)) {
        map.zip_mut_with(&squares, |map, &scale| *map *= scale);
    }
}

fn unit_phase(value: Complex32) -> Complex32 {
    let norm = value.norm();
    if norm > 0.0 { value / norm } else { Complex32::ONE }
}

/// ‖a − b‖ / ‖a‖.
fn relative_change(a: ArrayView3<'_, Complex32>, b: ArrayView3<'_, Complex32>) -> f64 {
    let (mut change, mut size) = (0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        change += f64::from((a - b).norm_sqr());
        size += f64::from(a.norm_sqr());
    }
    if size > 0.0 { (change / size).sqrt() } else { 0.0 }
}

/// Mean over the window, periodic at the edges, in place.
fn smooth(mut image: ArrayViewMut3<'_, Complex32>, window: [usize; 3]) {
    for (axis, size) in window.into_iter().enumerate() {
        let n = image.len_of(Axis(axis));
        let half = (size / 2).min(n.saturating_sub(1) / 2);
        if half == 0 {
            continue;
        }
        let scale = 1.0 / (2 * half + 1) as f32;
        let mut extended = vec![Complex32::ZERO; n + 2 * half];
        for mut lane in image.lanes_mut(Axis(axis)) {
            for (i, sample) in extended.iter_mut().enumerate() {
                *sample = lane[(i + n - half) % n];
            }
            for (i, sample) in lane.iter_mut().enumerate() {
                *sample = extended[i..=i + 2 * half].iter().sum::<Complex32>() * scale;
            }
        }
    }
}
