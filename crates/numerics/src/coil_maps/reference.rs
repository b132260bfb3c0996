//! The definition of the local eigenvectors, pixel by pixel and slowly, for the tests.

use ndarray::{Array1, Array2, Array4, ArrayView4};
use num_complex::Complex32;

use super::local_eigenvector::{Phase, half_window};

/// Unit eigenvector of Σ a·aᴴ over the window around each pixel, `[channel, z, y, x]`.
///
/// * `window`: size along z, y and x in pixels.
/// * `power`: power iterations.
pub(super) fn by_definition(
    images: ArrayView4<'_, Complex32>,
    window: [usize; 3],
    power: usize,
    phase: Phase,
) -> Array4<Complex32> {
    let (n_channels, n_z, n_y, n_x) = images.dim();
    let mut maps = Array4::zeros(images.dim());
    let half = half_window(window, [n_z, n_y, n_x]);
    let around = |centre: usize, half: usize, n: usize| {
        (0..=2 * half).map(move |d| (centre + n + d - half) % n)
    };
    for ((z, y), x) in (0..n_z)
        .flat_map(|z| (0..n_y).map(move |y| (z, y)))
        .flat_map(|zy| (0..n_x).map(move |x| (zy, x)))
    {
        let mut covariance = Array2::<Complex32>::zeros((n_channels, n_channels));
        let mut sum = Array1::<Complex32>::zeros(n_channels);
        for z in around(z, half[0], n_z) {
            for y in around(y, half[1], n_y) {
                for x in around(x, half[2], n_x) {
                    for i in 0..n_channels {
                        sum[i] += images[[i, z, y, x]];
                        for j in 0..n_channels {
                            covariance[[i, j]] +=
                                images[[i, z, y, x]] * images[[j, z, y, x]].conj();
                        }
                    }
                }
            }
        }
        let mut vector = match phase {
            Phase::WindowSum => sum.clone(),
            Phase::ChannelSum => covariance.sum_axis(ndarray::Axis(1)),
        };
        for _ in 0..power {
            normalise(&mut vector);
            vector = covariance.dot(&vector);
        }
        normalise(&mut vector);
        let turn = match phase {
            Phase::WindowSum => {
                vector.iter().zip(&sum).map(|(v, d)| v.conj() * d).sum::<Complex32>()
            }
            Phase::ChannelSum => vector.sum().conj(),
        };
        if turn.norm() > 0.0 {
            let turn = turn / turn.norm();
            vector.mapv_inplace(|v| v * turn);
        }
        maps.slice_mut(ndarray::s![.., z, y, x]).assign(&vector);
    }
    maps
}

fn normalise(vector: &mut Array1<Complex32>) {
    let norm = vector.iter().map(|v| v.norm_sqr()).sum::<f32>().sqrt();
    if norm > 0.0 {
        vector.mapv_inplace(|v| v / norm);
    }
}
