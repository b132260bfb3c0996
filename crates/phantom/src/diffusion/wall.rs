//! Which fibre lies where in the wall of the left ventricle.

use std::f64::consts::{PI, TAU};

use rand_distr::{Distribution, StandardUniform};

use super::fibre::{Fibre, WallFrame, wrapped};
use super::options::{DiffusionOptions, FibreChange};
use crate::anatomy::{Label, LeftVentricle};
use crate::noise::random_numbers;

/// Told apart from other uses of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"fibres..");

/// Waves that a smooth field is the sum of.
const N_WAVES: usize = 16;

/// Most turns of a wave over the circumference.
const MAX_TURNS: f64 = 9.0;

/// The wall of one ventricle.
pub(super) struct Wall<'a> {
    left_ventricle: LeftVentricle,
    options: &'a DiffusionOptions,
    helix_field: SmoothField,
    e2_field: SmoothField,
}

/// What lies at one place of the wall.
pub(super) struct Place {
    pub fibre: Fibre,
    pub frame: WallFrame,
    /// Whether a lesion or a patch changes diffusion there.
    pub is_changed: bool,
}

impl<'a> Wall<'a> {
    pub fn new(left_ventricle: LeftVentricle, options: &'a DiffusionOptions) -> Self {
        let field = |index| SmoothField::new(options.seed, index);
        Self { left_ventricle, options, helix_field: field(0), e2_field: field(1) }
    }

    /// The fibre at a point of the wall.
    ///
    /// Angle and depth belong to the material, so a fibre keeps its angles when the wall turns
    /// and thickens.
    pub fn place(&self, x_mm: f64, y_mm: f64, label: Label) -> Place {
        let ventricle = &self.left_ventricle;
        let (x, y) = (x_mm - ventricle.center_mm[0], y_mm - ventricle.center_mm[1]);
        let inner_mm = ventricle.endocardial_radius_mm;
        let thickness_mm = ventricle.epicardial_radius_mm - inner_mm;
        let depth = ((x.hypot(y) - inner_mm) / thickness_mm).clamp(0.0, 1.0);
        let angle_rad = y.atan2(x) - ventricle.insertion_angle_rad;

        let options = self.options;
        let mut changes: Vec<FibreChange> = Vec::new();
        if let Label::Lesion(kind) = label {
            changes.push(FibreChange::of(kind));
        }
        let inside = |patch: &&super::FibrePatch| patch.contains(angle_rad, depth);
        changes.extend(options.patches.iter().filter(inside).map(|patch| patch.change));
        changes.retain(|change| *change != FibreChange::NONE);
        // Where several overlap, the last one holds.
        let change = changes.last().copied().unwrap_or(FibreChange::NONE);

        let spread_deg = options.angle_variability_deg.hypot(change.disturbance_deg);
        let helix_deg = options.helix_angle_deg * (1.0 - 2.0 * depth)
            + options.helix_angle_offset_deg
            + spread_deg * self.helix_field.at(angle_rad, depth);
        let e2_deg = options.e2_angle_deg + spread_deg * self.e2_field.at(angle_rad, depth);
        let helix_angle_rad = wrapped(helix_deg.to_radians());
        // A helix angle that passes a right angle comes back at the other one. The vector
        // across the fibre, which points to the base by definition, then turns round, and so
        // does the sense of the sheetlets that stay where they are.
        let half_turns = ((helix_deg.to_radians() - helix_angle_rad) / PI).round();
        let sense = if half_turns.rem_euclid(2.0) == 1.0 { -1.0 } else { 1.0 };
        let fibre = Fibre {
            helix_angle_rad,
            transverse_angle_rad: options.transverse_angle_deg.to_radians(),
            e2_angle_rad: wrapped(sense * e2_deg.to_radians()),
            eigenvalues: options.eigenvalues.scaled(change.mean_factor, change.anisotropy_factor),
        };
        // The wall's ring may reach a pixel's centre that is the ventricle's own.
        let frame =
            if x == 0.0 && y == 0.0 { WallFrame::at(1.0, 0.0) } else { WallFrame::at(x, y) };
        Place { fibre, frame, is_changed: !changes.is_empty() }
    }
}

/// A random function of the place in the wall with mean 0 and variance 1 over all seeds. It
/// knows no pixels, so all grids see the same one.
struct SmoothField {
    /// Turns along the circumference, half turns through the wall, phase.
    waves: [[f64; 3]; N_WAVES],
}

impl SmoothField {
    fn new(seed: u64, index: u64) -> Self {
        let mut random = random_numbers(seed ^ STREAM, index);
        let waves = std::array::from_fn(|_| {
            let [turns, depth, phase]: [f64; 3] =
                std::array::from_fn(|_| StandardUniform.sample(&mut random));
            [1.0 + (MAX_TURNS * turns).floor(), 3.0 * depth, TAU * phase]
        });
        Self { waves }
    }

    fn at(&self, angle_rad: f64, depth: f64) -> f64 {
        let sum: f64 = self
            .waves
            .iter()
            .map(|[turns, halves, phase]| (turns * angle_rad + PI * halves * depth + phase).sin())
            .sum();
        sum * (2.0 / N_WAVES as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::FibrePatch;

    #[test]
    fn fibres_are_continuous_where_angles_pass_a_right_angle() {
        let change = FibreChange { disturbance_deg: 40.0, ..FibreChange::NONE };
        let patch = FibrePatch { change, ..FibrePatch::infarct(0.0, PI, 1.0) };
        let options = DiffusionOptions {
            helix_angle_deg: 80.0,
            transverse_angle_deg: 8.0,
            patches: vec![patch],
            ..DiffusionOptions::default()
        };
        let left_ventricle = LeftVentricle {
            center_mm: [0.0, 0.0],
            endocardial_radius_mm: 20.0,
            epicardial_radius_mm: 30.0,
            insertion_angle_rad: 0.0,
        };
        let wall = Wall::new(left_ventricle, &options);
        let mut n_passed = 0;
        let mut before: Option<([f64; 6], f64)> = None;
        for step in 0..=100_000 {
            let angle = TAU * f64::from(step) / 1e5;
            let place = wall.place(20.5 * angle.cos(), 20.5 * angle.sin(), Label::Myocardium);
            let tensor = place.fibre.tensor_um2_per_ms(&place.frame);
            let helix = place.fibre.helix_angle_rad;
            if let Some((tensor_before, helix_before)) = before {
                n_passed += usize::from((helix - helix_before).abs() > 3.0);
                for (one, other) in tensor_before.iter().zip(tensor) {
                    assert!((one - other).abs() < 2e-3, "{step}");
                }
            }
            before = Some((tensor, helix));
        }
        assert!(n_passed > 2, "{n_passed}");
    }

    #[test]
    fn a_smooth_field_has_variance_1_and_closes_around_the_wall() {
        let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0);
        for seed in 0..200 {
            let field = SmoothField::new(seed, 0);
            assert!((field.at(-PI, 0.4) - field.at(PI, 0.4)).abs() < 1e-9);
            for place in 0..50 {
                let value = field.at(f64::from(place) * 0.13, f64::from(place % 7) / 6.0);
                sum += value;
                squares += value * value;
                n += 1.0;
            }
        }
        // 200 seeds of some ten independent places each: standard errors 0.02 and 0.03.
        assert!(f64::abs(sum / n) < 0.08, "{}", sum / n);
        assert!(f64::abs(squares / n - 1.0) < 0.1, "{}", squares / n);
    }
}
