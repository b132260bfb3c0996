//! Hearts to train on.

use rand_distr::{Distribution, Uniform};

use super::eigenvalues::Eigenvalues;
use super::options::{DiffusionOptions, FibreChange, FibrePatch};
use crate::noise::random_numbers;

/// Told apart from other uses of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"diffuse.");

/// Options of heart `index` of a series: helix angles from ±40 to ±80° at the walls, sheetlets
/// from 0 to 70° of either sign, mean diffusivities of 0.8 to 1.9 µm²/ms, anisotropies of 0.2 to
/// 0.6, smooth disorder up to 8°, and infarcts in half of the hearts.
///
/// The range is wider than that of patients, so that a network learns to measure rather than to
/// expect.
pub fn random_diffusion_options(seed: u64, index: u64) -> DiffusionOptions {
    let mut random = random_numbers(seed ^ STREAM, index);
    let mut uniform = |low: f64, high: f64| {
        Uniform::new_inclusive(low, high).expect("an interval").sample(&mut random)
    };
    let helix_angle_deg = uniform(40.0, 80.0);
    let helix_angle_offset_deg = uniform(-8.0, 8.0);
    let transverse_angle_deg = uniform(-10.0, 10.0);
    let e2_angle_deg = uniform(-70.0, 70.0);
    let angle_variability_deg = uniform(0.0, 8.0);
    // A pancake of anisotropy 0.6 still has eigenvalues above 0.
    let eigenvalues =
        Eigenvalues::from_invariants(uniform(0.8, 1.9), uniform(0.2, 0.6), uniform(-0.5, 1.0))
            .expect("the ranges leave all eigenvalues above 0 and below 4");
    let mut isotropic = super::IsotropicDiffusivities::default();
    for diffusivity in [
        &mut isotropic.blood,
        &mut isotropic.muscle,
        &mut isotropic.liver,
        &mut isotropic.lung,
        &mut isotropic.fat,
    ] {
        *diffusivity *= uniform(0.8, 1.2);
    }
    let mut patches = Vec::new();
    for probability in [0.5, 0.25] {
        let mut patch = FibrePatch::infarct(
            uniform(-std::f64::consts::PI, std::f64::consts::PI),
            uniform(0.15, 0.9),
            uniform(0.3, 1.0),
        );
        patch.change = FibreChange {
            mean_factor: uniform(1.1, 1.5),
            anisotropy_factor: uniform(0.4, 0.8),
            disturbance_deg: uniform(5.0, 35.0),
        };
        if uniform(0.0, 1.0) < probability && (patches.is_empty() == (probability == 0.5)) {
            patches.push(patch);
        }
    }
    DiffusionOptions {
        helix_angle_deg,
        helix_angle_offset_deg,
        transverse_angle_deg,
        e2_angle_deg,
        angle_variability_deg,
        eigenvalues,
        patches,
        isotropic,
        seed: seed ^ index.rotate_left(32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::{RandomOptions, random_anatomy};
    use crate::diffusion::DiffusionHeart;
    use crate::maps::TissueMaps;
    use crate::raster::PixelGrid;

    #[test]
    fn random_hearts_are_possible_and_fill_the_ranges() {
        let hearts: Vec<DiffusionOptions> =
            (0..2000).map(|index| random_diffusion_options(1, index)).collect();
        let mut with_infarct = 0;
        for heart in &hearts {
            assert_eq!(heart.check(), Ok(()));
            with_infarct += usize::from(!heart.patches.is_empty());
        }
        // Standard error 22.
        assert!((900..1100).contains(&with_infarct), "{with_infarct}");
        let spans = |value: fn(&DiffusionOptions) -> f64, low: f64, high: f64| {
            let values: Vec<f64> = hearts.iter().map(value).collect();
            let margin = 0.01 * (high - low);
            let smallest = values.iter().copied().fold(f64::MAX, f64::min);
            let largest = values.iter().copied().fold(f64::MIN, f64::max);
            assert!((low..low + margin).contains(&smallest), "{smallest}");
            assert!((high - margin..=high + 1e-9).contains(&largest), "{largest}");
        };
        spans(|heart| heart.helix_angle_deg, 40.0, 80.0);
        spans(|heart| heart.e2_angle_deg, -70.0, 70.0);
        spans(|heart| heart.eigenvalues.mean(), 0.8, 1.9);
        spans(|heart| heart.eigenvalues.fractional_anisotropy(), 0.2, 0.6);
    }

    #[test]
    fn random_hearts_in_random_chests_have_positive_tensors_in_their_walls_only() {
        let grid = PixelGrid { matrix_size: [96, 80], field_of_view_mm: [360.0, 300.0] };
        for index in 0..40 {
            let anatomy =
                random_anatomy(3, index, &RandomOptions::default()).expect("options").anatomy;
            let options = random_diffusion_options(3, index);
            let PixelGrid { matrix_size, field_of_view_mm } = grid;
            let heart = DiffusionHeart::new(&anatomy, &options, matrix_size, field_of_view_mm)
                .expect("a heart");
            let mask = TissueMaps::new(&anatomy, grid).myocardium();
            assert_eq!(heart.myocardium_mask(), mask);
            assert!(mask.iter().filter(|inside| **inside).count() > 20, "{index}");
            for ((y, x), &inside) in mask.indexed_iter() {
                let [xx, xy, xz, yy, yz, zz] =
                    std::array::from_fn(|element| heart.tensor_um2_per_ms()[[element, y, x]]);
                if inside {
                    // Leading minors.
                    let minor = xx * yy - xy * xy;
                    let determinant =
                        zz * minor - yz * (xx * yz - xy * xz) + xz * (xy * yz - yy * xz);
                    assert!(xx > 0.0 && minor > 0.0 && determinant > 0.0, "{index} {y} {x}");
                } else {
                    assert_eq!([xy, xz, yz], [0.0; 3]);
                    assert!(xx >= 0.0 && xx == yy && xx == zz);
                }
            }
        }
    }

    #[test]
    fn seed_and_index_alone_decide() {
        assert_eq!(random_diffusion_options(1, 2), random_diffusion_options(1, 2));
        assert_ne!(random_diffusion_options(1, 2), random_diffusion_options(1, 3));
        assert_ne!(random_diffusion_options(1, 2), random_diffusion_options(2, 2));
    }
}
