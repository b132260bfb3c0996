//! The measures of one random chest.

use std::f64::consts::{PI, TAU};

use crate::anatomy::layout::{Layout, RightVentricle};
use crate::anatomy::random::{Random, RandomOptions};
use crate::anatomy::{LeftVentricle, Lesion};
use crate::ellipse::Ellipse;
use crate::tissue::LesionKind;

/// What fitting an organ into the free space shrinks it by at a time.
const SHRINKAGE: f64 = 0.93;

/// Least distance of an organ from the muscle's edge and from other organs, mm.
const GAP_MM: f64 = 3.0;

/// An organ that must be smaller than this part of what was drawn is left out.
const SMALLEST_SHARE: f64 = 0.45;

/// Most lesions in one slice.
const MAX_LESIONS: usize = 3;

/// A chest whose parts are apart in the reference pose, except for lesions that may overlap
/// and a heart that may be too large for it.
pub(super) fn draw(random: &mut Random, options: &RandomOptions) -> Layout {
    let body_mm = [random.between(-15.0, 5.0), random.between(-6.0, 6.0)];
    let fat = Ellipse {
        semi_axes_mm: [random.between(145.0, 170.0), random.between(104.0, 122.0)],
        center_mm: body_mm,
        angle_rad: 0.0,
    };
    let fat_mm = random.between(5.0, 20.0);
    let muscle = Ellipse { semi_axes_mm: fat.semi_axes_mm.map(|axis| axis - fat_mm), ..fat };

    let endo_mm = random.between(16.0, 30.0);
    let wall_mm = if random.happens(options.thick_wall_probability) {
        random.between(16.0, 24.0)
    } else {
        random.between(6.0, 14.0)
    };
    let direction_rad = PI + random.between(-0.5, 0.5);
    let left_ventricle = LeftVentricle {
        center_mm: [
            body_mm[0] + random.between(0.0, 25.0),
            body_mm[1] + random.between(-14.0, 6.0),
        ],
        endocardial_radius_mm: endo_mm,
        epicardial_radius_mm: endo_mm + wall_mm,
        insertion_angle_rad: direction_rad - TAU + random.between(0.8, 1.3),
    };
    let right_ventricle = RightVentricle {
        width_mm: random.between(16.0, 42.0),
        height_ratio: random.between(1.02, 1.15),
        wall_thickness_mm: random.between(2.0, 4.5),
        direction_rad,
    };
    let heart = right_ventricle.ellipse(&left_ventricle);
    let thickness_mm = right_ventricle.wall_thickness_mm;
    let heart =
        Ellipse { semi_axes_mm: heart.semi_axes_mm.map(|axis| axis + thickness_mm), ..heart };

    let mut space = FreeSpace { muscle, taken: vec![heart] };
    // The aorta stays where it is when the heart moves towards it.
    let room_mm = options.breathing_room_mm;
    let radius_mm = random.between(8.0, 13.0);
    let angle_rad = random.between(0.9, 1.6);
    let shape = turned_disc([radius_mm; 2], 0.0);
    let aorta = space.fit(beside(&heart, shape, angle_rad, room_mm + GAP_MM), room_mm);
    let mut lungs = Vec::new();
    for angle_rad in [random.between(-0.25, 0.15), PI + random.between(-0.05, 0.45)] {
        let half_mm = [random.between(30.0, 45.0), random.between(38.0, 58.0)];
        let shape = turned_disc(half_mm, random.between(-0.25, 0.25));
        lungs
            .extend(space.fit(beside(&heart, shape, angle_rad, random.between(8.0, 20.0)), GAP_MM));
    }
    let half_mm = [random.between(28.0, 46.0), random.between(13.0, 24.0)];
    let shape = turned_disc(half_mm, random.between(-0.3, 0.2));
    let liver = beside(&heart, shape, PI - random.between(0.6, 1.0), random.between(5.0, 12.0));
    let liver = if random.happens(0.85) { space.fit(liver, GAP_MM) } else { None };

    Layout {
        fat,
        muscle,
        lungs,
        liver,
        aorta,
        left_ventricle,
        right_ventricle: Some(right_ventricle),
        papillaries: papillaries(random, &left_ventricle),
        lesions: lesions(random, options),
        vials: Vec::new(),
    }
}

/// What organs may still fill.
struct FreeSpace {
    muscle: Ellipse,
    taken: Vec<Ellipse>,
}

impl FreeSpace {
    /// The organ, smaller on the side away from the heart if it must be; `gap_mm` from the
    /// heart and some from all others.
    fn fit(&mut self, organ: Ellipse, gap_mm: f64) -> Option<Ellipse> {
        let heart_mm = self.taken[0].center_mm;
        let mut organ = organ;
        let smallest_mm = SMALLEST_SHARE * organ.semi_axes_mm[0];
        while organ.semi_axes_mm[0] >= smallest_mm {
            let apart = self.taken.iter().enumerate().all(|(n, other)| {
                organ.clearance_from(other) >= if n == 0 { gap_mm } else { GAP_MM }
            });
            if apart && organ.clearance_inside(&self.muscle) >= GAP_MM {
                self.taken.push(organ);
                return Some(organ);
            }
            let away = [0, 1].map(|axis| organ.center_mm[axis] - heart_mm[axis]);
            let distance_mm = away[0].hypot(away[1]);
            let away = away.map(|x| x / distance_mm);
            let closer_mm = (1.0 - SHRINKAGE) * organ.half_width_mm(away);
            organ = Ellipse {
                semi_axes_mm: organ.semi_axes_mm.map(|axis| SHRINKAGE * axis),
                center_mm: [0, 1].map(|axis| organ.center_mm[axis] - closer_mm * away[axis]),
                ..organ
            };
        }
        None
    }
}

fn turned_disc(semi_axes_mm: [f64; 2], angle_rad: f64) -> Ellipse {
    Ellipse { semi_axes_mm, center_mm: [0.0; 2], angle_rad }
}

/// The organ in a direction from the centre of the heart, some `gap_mm` from it.
fn beside(heart: &Ellipse, organ: Ellipse, angle_rad: f64, gap_mm: f64) -> Ellipse {
    let (sin, cos) = angle_rad.sin_cos();
    let direction = [cos, sin];
    let distance_mm = heart.half_width_mm(direction) + gap_mm + organ.half_width_mm(direction);
    let center_mm = [0, 1].map(|axis| heart.center_mm[axis] + distance_mm * direction[axis]);
    Ellipse { center_mm, ..organ }
}

/// Up to three discs in the blood pool, each in its own third.
fn papillaries(random: &mut Random, left: &LeftVentricle) -> Vec<Ellipse> {
    let n_papillaries = random.one_of(&[0, 1, 2, 2, 2, 3]);
    let endo_mm = left.endocardial_radius_mm;
    let first_rad = random.between(0.0, TAU);
    (0..n_papillaries)
        .map(|n| {
            let radius_mm = endo_mm * random.between(0.1, 0.2);
            let distance_mm = random.between(0.45 * endo_mm, 0.95 * endo_mm - radius_mm);
            let angle_rad = first_rad + TAU / 3.0 * (f64::from(n) + random.between(-0.1, 0.1));
            let (sin, cos) = angle_rad.sin_cos();
            Ellipse {
                semi_axes_mm: [radius_mm, radius_mm * random.between(0.75, 1.0)],
                center_mm: [
                    left.center_mm[0] + distance_mm * cos,
                    left.center_mm[1] + distance_mm * sin,
                ],
                angle_rad,
            }
        })
        .collect()
}

/// Lesions side by side around the wall.
fn lesions(random: &mut Random, options: &RandomOptions) -> Vec<Lesion> {
    if !random.happens(options.lesion_probability) {
        return Vec::new();
    }
    let n_lesions = random.one_of(&[1, 1, 1, 2, MAX_LESIONS]);
    let sector_rad = TAU / n_lesions as f64;
    let first_rad = random.between(0.0, TAU);
    (0..n_lesions)
        .map(|n| {
            let extent_rad = random.between(0.15, (0.9 * sector_rad).min(2.2));
            let free_rad = 0.95 * sector_rad - extent_rad;
            let inside_the_wall = random.between(0.1, 0.5);
            let inner = random.one_of(&[0.0, 0.0, inside_the_wall]);
            Lesion {
                kind: random.one_of(&LesionKind::ALL),
                angle_rad: first_rad
                    + n as f64 * sector_rad
                    + random.between(-0.5 * free_rad, 0.5 * free_rad),
                extent_rad,
                transmural: [inner, random.between(inner + 0.3, 1.0)],
            }
        })
        .collect()
}
