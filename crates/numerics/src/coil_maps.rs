//! Coil sensitivities estimated from coil images: `[channel, z, y, x]`.
//!
//! All of them give maps with Σ|s|² = 1 over the channels, 0 where the images are 0 all over
//! the window. They differ in the phase, see each function.

mod combination;
mod inati;
mod inati_iterative;
mod local_eigenvector;
#[cfg(test)]
mod reference;
mod walsh;

pub use combination::combine;
pub use inati::{InatiOptions, inati};
pub use inati_iterative::{InatiIterativeOptions, inati_iterative};
pub use walsh::{WalshOptions, walsh};

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Array4, s};
    use num_complex::Complex32;

    use super::local_eigenvector::{Phase, Window, local_eigenvector};
    use super::reference::by_definition;
    use super::*;

    fn noise(shape: (usize, usize, usize, usize)) -> Array4<Complex32> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        Array4::from_shape_simple_fn(shape, || Complex32::new(next(), next()))
    }

    /// Smooth maps with Σ|s|² = 1, an object with a smooth phase, and their product.
    fn scene(
        n_channels: usize,
        n_y: usize,
        n_x: usize,
    ) -> (Array4<Complex32>, Array3<Complex32>, Array4<Complex32>) {
        let mut maps = Array4::from_shape_fn((n_channels, 1, n_y, n_x), |(channel, _, y, x)| {
            let angle = 6.0 * channel as f32 / n_channels as f32;
            let (y, x) = (y as f32 / n_y as f32 - 0.5, x as f32 / n_x as f32 - 0.5);
            let distance = (x - 0.5 * angle.cos()).powi(2) + (y - 0.5 * angle.sin()).powi(2);
            Complex32::from_polar((-distance).exp(), angle + 0.3 * x)
        });
        for y in 0..n_y {
            for x in 0..n_x {
                let mut pixel = maps.slice_mut(s![.., 0, y, x]);
                let norm = pixel.iter().map(|v| v.norm_sqr()).sum::<f32>().sqrt();
                pixel.mapv_inplace(|v| v / norm);
            }
        }
        let object = Array3::from_shape_fn((1, n_y, n_x), |(_, y, x)| {
            Complex32::from_polar(1.0 + 0.3 * (y as f32 * 0.8).sin(), 0.03 * (x + y) as f32)
        });
        let images = &maps * &object;
        (maps, object, images)
    }

    fn largest_difference(a: &Array4<Complex32>, b: &Array4<Complex32>) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f32::max)
    }

    #[test]
    fn any_shape_and_window_follow_the_definition() {
        for (shape, window) in [
            ((3, 1, 37, 70), [1, 7, 7]),
            ((5, 1, 9, 16), [5, 5, 5]),
            ((4, 5, 12, 17), [3, 7, 5]),
            ((1, 1, 8, 8), [1, 3, 3]),
            ((2, 3, 1, 130), [7, 7, 7]),
            ((18, 1, 10, 35), [1, 4, 3]),
        ] {
            for phase in [Phase::WindowSum, Phase::ChannelSum] {
                // A common part keeps the dominant eigenvector apart from the others.
                let images = noise(shape) + Complex32::new(1.0, 0.5);
                let truth = by_definition(images.view(), window, 3, phase);
                let window = Window { size: window, spacing: [1; 3] };
                let fast = local_eigenvector(images.view(), window, 3, phase);
                // Sums of up to 175 products in single precision.
                let difference = largest_difference(&fast, &truth);
                assert!(difference < 2e-5, "{shape:?} {window:?} {phase:?}: {difference}");
            }
        }
    }

    #[test]
    fn maps_of_a_noiseless_scene_are_the_true_ones_but_for_the_phase() {
        let (truth, object, images) = scene(8, 48, 40);
        let direct = inati(images.view(), &InatiOptions::default());
        let adaptive = walsh(images.view(), &WalshOptions::default());
        let iterative = inati_iterative(images.view(), &InatiIterativeOptions::default());
        for (name, maps) in [("inati", &direct), ("walsh", &adaptive), ("iterative", &iterative)] {
            // Away from the edges, where the periodic window mixes far sides.
            for ((_, y, x), object) in object.indexed_iter() {
                if !(4..44).contains(&y) || !(4..36).contains(&x) {
                    continue;
                }
                let (map, truth) = (maps.slice(s![.., 0, y, x]), truth.slice(s![.., 0, y, x]));
                let norm: f32 = map.iter().map(|v| v.norm_sqr()).sum();
                assert!((norm - 1.0).abs() < 1e-5, "{name}: norm {norm} at {y}, {x}");
                let overlap: Complex32 = map.iter().zip(truth).map(|(a, b)| a.conj() * b).sum();
                // The maps change within the window.
                assert!(overlap.norm() > 0.9999, "{name}: overlap {overlap} at {y}, {x}");
                if name == "inati" {
                    // The combined image is real but for the change of phase in the window.
                    let combined = overlap * object;
                    assert!(combined.arg().abs() < 0.02, "{combined} at {y}, {x}");
                }
            }
        }
    }

    #[test]
    fn a_grid_finer_than_the_window_costs_the_combined_image_nothing() {
        let (_, object, images) = scene(8, 63, 70);
        // A jump of the phase, as between water and fat.
        let flip = |(.., y, x): (usize, usize, usize, usize)| if x + y < 60 { 1.0 } else { -1.0 };
        let noise = noise(images.dim()) * Complex32::from(0.02);
        let images = Array4::from_shape_fn(images.dim(), |at| images[at] * flip(at) + noise[at]);
        let all = inati(images.view(), &InatiOptions::default());
        let combined = |maps: &Array4<Complex32>, y: usize, x: usize| {
            let pixel = maps.slice(s![.., 0, y, x]).mapv(|map| map.conj());
            (&pixel * &images.slice(s![.., 0, y, x])).sum()
        };
        // Of the object's signal; the noise of the combined image is 0.016 of it. Magnitudes: on
        // the jump the window's sum is next to 0 and has any phase.
        for (spacing, allowed) in [([1, 2, 2], 5e-4), ([1, 3, 1], 5e-4), ([1, 4, 2], 1e-3)] {
            let options = InatiOptions { spacing, ..InatiOptions::default() };
            let maps = inati(images.view(), &options);
            // The scene does not go on beyond its edges as the window does.
            let inside = object
                .indexed_iter()
                .filter(|((_, y, x), _)| (4..59).contains(y) && (4..66).contains(x));
            let differences = inside.map(|((_, y, x), object)| {
                let difference = combined(&maps, y, x).norm() - combined(&all, y, x).norm();
                (difference / object.norm()).powi(2)
            });
            let rms = (differences.sum::<f32>() / object.len() as f32).sqrt();
            assert!(rms < allowed, "{spacing:?}: {rms}");
        }
    }

    #[test]
    fn pixels_of_the_grid_are_those_of_the_definition_in_three_dimensions_too() {
        for (shape, window, spacing) in [
            ((3, 5, 9, 17), [3, 5, 7], [2, 4, 3]),
            ((4, 2, 12, 20), [5, 7, 7], [1, 2, 2]),
            // Wider than the images.
            ((2, 1, 3, 5), [1, 3, 5], [4, 4, 8]),
        ] {
            let images = noise(shape) + Complex32::new(1.0, 0.5);
            for phase in [Phase::WindowSum, Phase::ChannelSum] {
                let truth = by_definition(images.view(), window, 3, phase);
                let window = Window { size: window, spacing };
                let maps = local_eigenvector(images.view(), window, 3, phase);
                for ((_, z, y, x), map) in maps.indexed_iter() {
                    assert!(map.is_finite(), "{shape:?} at {z}, {y}, {x}");
                }
                let on_grid = s![.., ..;spacing[0], ..;spacing[1], ..;spacing[2]];
                let (found, truth) = (maps.slice(on_grid), truth.slice(on_grid));
                let difference = largest_difference(&found.to_owned(), &truth.to_owned());
                assert!(difference < 2e-5, "{shape:?} {spacing:?} {phase:?}: {difference}");
            }
        }
    }

    #[test]
    fn scale_does_not_matter_and_nothing_gives_nothing() {
        let (.., images) = scene(4, 12, 20);
        let options = InatiOptions::default();
        let maps = inati(images.view(), &options);
        for exponent in [-60, 60] {
            let scaled = images.mapv(|v| v * 2.0_f32.powi(exponent));
            assert_eq!(inati(scaled.view(), &options), maps, "2^{exponent}");
        }
        let mut half = images;
        half.slice_mut(s![.., .., .., ..10]).fill(Complex32::ZERO);
        for maps in [
            inati(half.view(), &options),
            walsh(half.view(), &WalshOptions::default()),
            inati_iterative(half.view(), &InatiIterativeOptions::default()),
        ] {
            assert!(maps.slice(s![.., .., .., 3..7]).iter().all(|v| *v == Complex32::ZERO));
            assert!(maps.slice(s![.., .., .., 10..]).iter().all(|v| v.norm_sqr() > 0.0));
        }
        let zeros = Array4::<Complex32>::zeros((4, 1, 12, 20));
        assert_eq!(inati(zeros.view(), &options), zeros);
        assert_eq!(inati(zeros.slice(s![..0, .., .., ..]), &options).len(), 0);
    }

    #[test]
    fn maps_are_bitwise_the_same_on_one_thread_and_on_three() {
        let images = noise((5, 2, 70, 40));
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
            pool.expect("a pool").install(|| {
                (
                    inati(images.view(), &InatiOptions::default()),
                    walsh(images.view(), &WalshOptions::default()),
                    inati_iterative(images.view(), &InatiIterativeOptions::default()),
                )
            })
        };
        assert_eq!(on(1), on(3));
    }
}
