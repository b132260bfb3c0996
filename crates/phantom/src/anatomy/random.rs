//! Hearts and chests at random, to train on.

mod bias_field;
mod chest;
mod tissues;

pub use bias_field::BiasField;

use std::f64::consts::PI;

use rand_distr::{Distribution, StandardUniform};
use rand_pcg::Pcg64Mcg;

use crate::anatomy::layout::Layout;
use crate::anatomy::{Anatomy, Contrast, ShortAxisOptions};
use crate::motion::Pose;
use crate::noise::random_numbers;
use crate::tissue::{FieldStrength, LesionKind};

/// Sets these random numbers apart from others of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"anatomy.");

/// Chests that are drawn before the usual one is taken, which never happened so far: about
/// four of five fit with the default options.
const MAX_ATTEMPTS: u64 = 200;

/// Turn in the poses for which there must be room.
const ROOM_ROTATION_RAD: f64 = 0.06;

/// Smallest and largest scale of the blood pool for which there must be room.
const ROOM_SCALES: [f64; 2] = [0.65, 1.1];

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomOptions {
    /// One of these, each as likely.
    pub field_strengths: Vec<FieldStrength>,
    /// Of a slice after contrast agent, 0 to 1.
    pub contrast_probability: f64,
    /// Of at least one focal lesion, 0 to 1.
    pub lesion_probability: f64,
    /// Of a disease of the whole myocardium, 0 to 1.
    pub diffuse_probability: f64,
    /// Largest relative change of T1, T2 and density of each tissue, 0 to 0.5.
    pub tissue_variation: f64,
    /// Largest turn of the whole picture to either side. A turn that brings the body out of
    /// the field of view is drawn again, with the body.
    pub max_rotation_rad: f64,
    /// Of left and right exchanged, 0 to 1. With more than 0, situs inversus is trained on.
    pub mirror_probability: f64,
    /// Of a wall of 16 to 24 mm instead of 6 to 14 mm, 0 to 1.
    pub thick_wall_probability: f64,
    /// Largest logarithm of the bias field.
    pub bias_amplitude: f64,
    /// How far breathing must be able to shift the heart in any direction, at 0.65 to 1.1 of
    /// the blood pool's radius and 3° of turn, up to 20 mm.
    pub breathing_room_mm: f64,
    /// What must hold the whole body \[x, y\], mm.
    pub field_of_view_mm: [f64; 2],
}

impl Default for RandomOptions {
    fn default() -> Self {
        Self {
            field_strengths: FieldStrength::ALL.to_vec(),
            contrast_probability: 0.25,
            lesion_probability: 0.5,
            diffuse_probability: 0.15,
            tissue_variation: 0.15,
            max_rotation_rad: 0.3,
            mirror_probability: 0.0,
            thick_wall_probability: 0.0,
            bias_amplitude: 0.4,
            breathing_room_mm: 15.0,
            field_of_view_mm: [360.0, 270.0],
        }
    }
}

/// Why nothing can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum RandomOptionsError {
    /// A list without entries.
    #[error("field_strengths is empty: give at least one")]
    NoFieldStrength,
    /// A number out of its range.
    #[error("{name} is {value}: it must lie between {least} and {most}")]
    Range {
        /// The option.
        name: &'static str,
        /// Asked for.
        value: f64,
        /// Allowed.
        least: f64,
        /// Allowed.
        most: f64,
    },
}

/// A slice drawn at random.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomAnatomy {
    /// The slice.
    pub anatomy: Anatomy,
    /// Of the scanner.
    pub field_strength: FieldStrength,
    /// Whether tissues are those after contrast, and how much of it.
    pub contrast: Contrast,
    /// Of the blood.
    pub haematocrit_percent: f64,
    /// What is wrong with the whole myocardium.
    pub diffuse: Option<LesionKind>,
    /// What multiplies the picture.
    pub bias_field: BiasField,
}

/// Slice `index` of the series `seed`. It does not depend on any other.
///
/// Drawn are: size and place of the body, thickness of fat, place of heart, lungs, liver and
/// aorta; radius of the left ventricle 16 to 30 mm, wall 6 to 14 mm; width, height and
/// direction of the right ventricle; 0 to 3 papillary muscles; up to 3 lesions of any kind;
/// the times of every tissue; contrast; turn of the picture; bias field. The parts are nested,
/// and stay so in all poses for which room is asked.
///
/// # Errors
/// [`RandomOptionsError`] for options outside their ranges.
pub fn random_anatomy(
    seed: u64,
    index: u64,
    options: &RandomOptions,
) -> Result<RandomAnatomy, RandomOptionsError> {
    options.check()?;
    let mut random = Random(random_numbers(seed ^ STREAM, index));
    let tissues = tissues::draw(&mut random, options);
    let bias_field = BiasField::draw(&mut random, options);
    let mirrored = random.happens(options.mirror_probability);
    let of = |layout: &Layout| layout.anatomy(|kind| tissues.tissue(kind), tissues.diffuse);
    let seen = |anatomy: &Anatomy, rotation_rad: f64| {
        let turned = anatomy.rotated(rotation_rad);
        if mirrored { turned.mirrored() } else { turned }
    };
    let anatomy = (0..MAX_ATTEMPTS)
        .find_map(|_| {
            let layout = chest::draw(&mut random, options);
            let rotation_rad = random.between(-options.max_rotation_rad, options.max_rotation_rad);
            let anatomy = seen(&of(&layout).ok()?, rotation_rad);
            let fits = anatomy.check_nesting(0.0).is_ok() && options.leaves_room(&anatomy);
            fits.then_some(anatomy)
        })
        .unwrap_or_else(|| {
            let usual = of(&ShortAxisOptions::default().layout());
            seen(&usual.expect("a layout without lesions"), 0.0)
        });
    Ok(RandomAnatomy {
        anatomy,
        field_strength: tissues.field_strength(),
        contrast: tissues.contrast,
        haematocrit_percent: tissues.haematocrit_percent(),
        diffuse: tissues.diffuse,
        bias_field,
    })
}

impl RandomOptions {
    fn check(&self) -> Result<(), RandomOptionsError> {
        if self.field_strengths.is_empty() {
            return Err(RandomOptionsError::NoFieldStrength);
        }
        let ranges = [
            ("contrast_probability", self.contrast_probability, 0.0, 1.0),
            ("lesion_probability", self.lesion_probability, 0.0, 1.0),
            ("diffuse_probability", self.diffuse_probability, 0.0, 1.0),
            ("tissue_variation", self.tissue_variation, 0.0, 0.5),
            ("max_rotation_rad", self.max_rotation_rad, 0.0, PI),
            ("mirror_probability", self.mirror_probability, 0.0, 1.0),
            ("thick_wall_probability", self.thick_wall_probability, 0.0, 1.0),
            ("bias_amplitude", self.bias_amplitude, 0.0, 2.0),
            ("breathing_room_mm", self.breathing_room_mm, 0.0, 20.0),
            ("field_of_view_mm[0]", self.field_of_view_mm[0], 340.0, 2000.0),
            ("field_of_view_mm[1]", self.field_of_view_mm[1], 250.0, 2000.0),
        ];
        for (name, value, least, most) in ranges {
            if !(value >= least && value <= most) {
                return Err(RandomOptionsError::Range { name, value, least, most });
            }
        }
        Ok(())
    }

    /// Whether the body is in the field of view, and the heart can move.
    fn leaves_room(&self, anatomy: &Anatomy) -> bool {
        let body = anatomy.regions[0].ellipse;
        let inside = [0, 1].into_iter().all(|axis| {
            let mut direction = [0.0; 2];
            direction[axis] = 1.0;
            body.center_mm[axis].abs() + body.half_width_mm(direction)
                <= 0.5 * self.field_of_view_mm[axis]
        });
        inside
            && (0..8).all(|n| {
                let (sin, cos) = (PI * f64::from(n) / 4.0).sin_cos();
                let sign = if n % 4 < 2 { 1.0 } else { -1.0 };
                let room_mm = self.breathing_room_mm;
                anatomy.allows(&Pose {
                    shift_mm: [room_mm * cos, room_mm * sin],
                    rotation_rad: sign * ROOM_ROTATION_RAD,
                    endocardial_scale: ROOM_SCALES[n as usize % 2],
                })
            })
    }
}

/// Random numbers of one slice.
pub(crate) struct Random(Pcg64Mcg);

impl Random {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        let share: f64 = StandardUniform.sample(&mut self.0);
        low + share * (high - low)
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.between(0.0, 1.0) < probability
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let n = choices.len();
        choices[(self.between(0.0, n as f64) as usize).min(n - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::Label;

    #[test]
    fn every_anatomy_is_nested_can_breathe_and_has_possible_tissues() {
        let options = RandomOptions::default();
        for index in 0..100 {
            let drawn = random_anatomy(3, index, &options).expect("options");
            assert_eq!(drawn.anatomy.check_nesting(0.0), Ok(()), "{index}");
            assert!(options.leaves_room(&drawn.anatomy), "{index}");
            for region in &drawn.anatomy.regions {
                let tissue = region.tissue;
                assert!(tissue.t2_ms > 0.0 && tissue.t2_ms < tissue.t1_ms, "{index}: {region:?}");
                assert!(tissue.t2_star_ms > 0.0 && tissue.t2_star_ms <= tissue.t2_ms);
                assert!(tissue.ecv_percent.is_none_or(|ecv| ecv > 0.0 && ecv < 100.0));
            }
            let left = drawn.anatomy.left_ventricle.expect("cut");
            let wall_mm = left.epicardial_radius_mm - left.endocardial_radius_mm;
            assert!((16.0..=30.0).contains(&left.endocardial_radius_mm));
            assert!((6.0 - 1e-9..=14.0 + 1e-9).contains(&wall_mm));
        }
    }

    #[test]
    fn seed_and_index_alone_decide() {
        let draw =
            |seed, index| random_anatomy(seed, index, &RandomOptions::default()).expect("options");
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn what_is_drawn_is_as_wide_as_it_says() {
        let options = RandomOptions::default();
        let n_drawn = 200;
        let drawn: Vec<RandomAnatomy> = (0..n_drawn)
            .map(|index| random_anatomy(5, index, &options).expect("options"))
            .collect();
        let share = |holds: &dyn Fn(&RandomAnatomy) -> bool| {
            drawn.iter().filter(|one| holds(one)).count() as f64 / n_drawn as f64
        };
        let has = |one: &RandomAnatomy, wanted: &dyn Fn(Label) -> bool| {
            one.anatomy.regions.iter().any(|region| wanted(region.label))
        };
        // Standard errors of 200 draws: 0.035 at most.
        let lesions = share(&|one| has(one, &|label| matches!(label, Label::Lesion(_))));
        assert!((lesions - 0.5).abs() < 0.12, "{lesions}");
        let contrast = share(&|one| one.contrast != Contrast::Native);
        assert!((contrast - 0.25).abs() < 0.12, "{contrast}");
        let liver = share(&|one| has(one, &|label| label == Label::Liver));
        assert!(liver > 0.6, "{liver}");
        let lungs = share(&|one| has(one, &|label| label == Label::Lung));
        assert!(lungs > 0.95, "{lungs}");
        // The right ventricle is on the left of the left one, unless turned by more than 90°.
        let right = share(&|one| {
            let left = one.anatomy.left_ventricle.expect("cut");
            let right = one.anatomy.regions.iter().find(|r| r.label == Label::RightBlood);
            right.expect("there").ellipse.center_mm[0] < left.center_mm[0]
        });
        assert_eq!(right, 1.0);
        let radii =
            |one: &RandomAnatomy| one.anatomy.left_ventricle.expect("cut").endocardial_radius_mm;
        let small = share(&|one| radii(one) < 19.0);
        let large = share(&|one| radii(one) > 27.0);
        assert!(small > 0.1 && large > 0.08, "{small} {large}");
    }

    #[test]
    fn what_is_out_of_distribution_comes_only_when_asked_for() {
        let options = RandomOptions {
            mirror_probability: 1.0,
            thick_wall_probability: 1.0,
            ..RandomOptions::default()
        };
        for index in 0..20 {
            let drawn = random_anatomy(3, index, &options).expect("options").anatomy;
            let left = drawn.left_ventricle.expect("cut");
            let right = drawn.regions.iter().find(|region| region.label == Label::RightBlood);
            let usual = (left.endocardial_radius_mm - 22.0).abs() < 1e-9;
            assert!(usual || left.epicardial_radius_mm - left.endocardial_radius_mm > 15.9);
            assert!(right.expect("there").ellipse.center_mm[0] > left.center_mm[0]);
        }
    }

    #[test]
    fn the_bias_field_is_smooth_and_bounded() {
        let grid =
            crate::raster::PixelGrid { matrix_size: [90, 68], field_of_view_mm: [360.0, 270.0] };
        for index in 0..50 {
            let drawn = random_anatomy(4, index, &RandomOptions::default()).expect("options");
            let factors = drawn.bias_field.on_grid(grid);
            assert!(factors.iter().all(|f| f.ln().abs() < 0.4 + 1e-6));
            for row in factors.rows() {
                for pair in row.windows(2) {
                    // Two half waves of amplitude 0.4 over 90 pixels.
                    assert!((pair[1] / pair[0]).ln().abs() < 0.4 * 6.3 / 90.0);
                }
            }
        }
    }

    #[test]
    fn narrow_demands_are_met_without_the_usual_heart() {
        let demands = [
            RandomOptions { breathing_room_mm: 20.0, ..RandomOptions::default() },
            RandomOptions { field_of_view_mm: [340.0, 250.0], ..RandomOptions::default() },
            RandomOptions { max_rotation_rad: PI, ..RandomOptions::default() },
        ];
        for options in demands {
            for index in 0..20 {
                let drawn = random_anatomy(8, index, &options).expect("options").anatomy;
                let left = drawn.left_ventricle.expect("cut");
                assert!((left.endocardial_radius_mm - 22.0).abs() > 1e-9, "{options:?}");
                assert!(options.leaves_room(&drawn));
            }
        }
    }

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        let refused = |options: RandomOptions| {
            random_anatomy(0, 0, &options).expect_err("refused").to_string()
        };
        let usual = RandomOptions::default;
        let none = RandomOptions { field_strengths: Vec::new(), ..usual() };
        assert!(refused(none).contains("field_strengths"));
        let much = RandomOptions { tissue_variation: 0.9, ..usual() };
        assert!(refused(much).contains("tissue_variation is 0.9"));
        let nan = RandomOptions { breathing_room_mm: f64::NAN, ..usual() };
        assert!(refused(nan).contains("breathing_room_mm"));
    }
}
