//! Whether the parts of a body are nested as exact k-space needs it.

use std::f64::consts::TAU;
use std::sync::LazyLock;

use crate::anatomy::{Anatomy, Label};
use crate::ellipse::Ellipse;

/// Directions in which two shapes are compared before the closest ones are refined.
const N_DIRECTIONS: usize = 96;

/// Halvings, nearly, of the interval around the closest direction.
const N_REFINEMENTS: usize = 30;

/// What rounding may do to shapes that touch, mm.
const ROUNDING_MM: f64 = 1e-6;

/// How the parts of a body fail to be nested.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NestingError {
    /// The shape is no ellipse.
    #[error("region {region} ({label:?}) needs finite places and axes above 0")]
    Shape {
        /// Its index.
        region: usize,
        /// What it is.
        label: Label,
    },
    /// Parents come first.
    #[error("region {region} ({label:?}) comes before its parent {parent}")]
    Order {
        /// Its index.
        region: usize,
        /// What it is.
        label: Label,
        /// The index of its parent.
        parent: usize,
    },
    /// A part leaves what surrounds it.
    #[error(
        "region {region} ({label:?}) is {clearance_mm:.2} mm inside {parent_label:?}, {margin_mm:.2} mm are needed"
    )]
    Outside {
        /// Its index.
        region: usize,
        /// What it is.
        label: Label,
        /// What it should lie in.
        parent_label: Label,
        /// Smallest distance to the edge, negative outside.
        clearance_mm: f64,
        /// Asked for.
        margin_mm: f64,
    },
    /// Two parts of the same parent come too close.
    #[error(
        "regions {first} ({first_label:?}) and {second} ({second_label:?}) are {clearance_mm:.2} mm apart, {margin_mm:.2} mm are needed"
    )]
    Siblings {
        /// Index of the first.
        first: usize,
        /// What it is.
        first_label: Label,
        /// Index of the second.
        second: usize,
        /// What it is.
        second_label: Label,
        /// Their distance, negative where they overlap.
        clearance_mm: f64,
        /// Asked for.
        margin_mm: f64,
    },
}

impl Anatomy {
    /// Checks that parents come first, that every region lies inside its parent and that no
    /// two regions of one parent overlap.
    ///
    /// * `margin_mm`: distance that edges must keep from each other. With 0 they may touch.
    ///
    /// # Errors
    /// [`NestingError`] names the first region that fails.
    pub fn check_nesting(&self, margin_mm: f64) -> Result<(), NestingError> {
        let needed_mm = margin_mm - ROUNDING_MM;
        for (index, region) in self.regions.iter().enumerate() {
            let label = region.label;
            if !region.ellipse.is_valid() {
                return Err(NestingError::Shape { region: index, label });
            }
            if let Some(parent) = region.parent {
                if parent >= index {
                    return Err(NestingError::Order { region: index, label, parent });
                }
                let surrounding = &self.regions[parent];
                let clearance_mm = region.ellipse.clearance_inside(&surrounding.ellipse);
                if clearance_mm < needed_mm {
                    let parent_label = surrounding.label;
                    return Err(NestingError::Outside {
                        region: index,
                        label,
                        parent_label,
                        clearance_mm,
                        margin_mm,
                    });
                }
            }
            for (sibling, other) in self.regions[..index].iter().enumerate() {
                if other.parent != region.parent {
                    continue;
                }
                let clearance_mm = other.ellipse.clearance_from(&region.ellipse);
                if clearance_mm < needed_mm {
                    return Err(NestingError::Siblings {
                        first: sibling,
                        first_label: other.label,
                        second: index,
                        second_label: label,
                        clearance_mm,
                        margin_mm,
                    });
                }
            }
        }
        Ok(())
    }
}

impl Ellipse {
    /// Whether it has an area and a place.
    fn is_valid(&self) -> bool {
        let finite = |value: &f64| value.is_finite();
        self.semi_axes_mm.iter().all(|&axis| axis > 0.0 && axis.is_finite())
            && self.center_mm.iter().all(finite)
            && self.angle_rad.is_finite()
    }

    /// How far it reaches from its centre along the unit vector `direction`.
    pub(crate) fn half_width_mm(&self, [x, y]: [f64; 2]) -> f64 {
        let (sin, cos) = self.angle_rad.sin_cos();
        let [a, b] = self.semi_axes_mm;
        (a * (x * cos + y * sin)).hypot(b * (y * cos - x * sin))
    }

    /// Smallest distance of its edge from that of `outer` around it, mm. Where it leaves
    /// `outer`, minus how far.
    ///
    /// # Method
    /// A convex shape lies in another by a margin if in every direction its support function
    /// is smaller by the margin.
    pub fn clearance_inside(&self, outer: &Self) -> f64 {
        let offset = difference(outer.center_mm, self.center_mm);
        let (inner, outer) = (Support::new(self), Support::new(outer));
        minimum_over_directions(|direction| {
            outer.half_width_mm(direction) + dot(offset, direction) - inner.half_width_mm(direction)
        })
    }

    /// Distance from another ellipse, mm. Where they overlap, minus the shortest shift that
    /// parts them.
    pub fn clearance_from(&self, other: &Self) -> f64 {
        let offset = difference(other.center_mm, self.center_mm);
        let longest = |ellipse: &Self| ellipse.semi_axes_mm[0].max(ellipse.semi_axes_mm[1]);
        let at_least = offset[0].hypot(offset[1]) - longest(self) - longest(other);
        // Far apart: the distance of the circles around them says enough.
        if at_least > 0.5 * longest(self).max(longest(other)) {
            return at_least;
        }
        let (one, other) = (Support::new(self), Support::new(other));
        -minimum_over_directions(|direction| {
            one.half_width_mm(direction) + other.half_width_mm(direction) - dot(offset, direction)
        })
    }
}

/// Half the width of an ellipse in any direction, without angles.
struct Support {
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Support {
    fn new(ellipse: &Ellipse) -> Self {
        let (sin, cos) = ellipse.angle_rad.sin_cos();
        let [a, b] = ellipse.semi_axes_mm.map(|axis| axis * axis);
        Self {
            xx: a * cos * cos + b * sin * sin,
            xy: (a - b) * sin * cos,
            yy: a * sin * sin + b * cos * cos,
        }
    }

    fn half_width_mm(&self, [x, y]: [f64; 2]) -> f64 {
        (self.xx * x * x + 2.0 * self.xy * x * y + self.yy * y * y).sqrt()
    }
}

fn dot(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

fn difference(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] - b[0], a[1] - b[1]]
}

/// Least value of a smooth function of a unit vector.
fn minimum_over_directions(value: impl Fn([f64; 2]) -> f64) -> f64 {
    static DIRECTIONS: LazyLock<[[f64; 2]; N_DIRECTIONS]> =
        LazyLock::new(|| std::array::from_fn(|n| direction(n as f64 * STEP_RAD)));
    const STEP_RAD: f64 = TAU / N_DIRECTIONS as f64;

    let sampled = DIRECTIONS.map(&value);
    let mut minimum = f64::INFINITY;
    for (n, &here) in sampled.iter().enumerate() {
        let before = sampled[(n + N_DIRECTIONS - 1) % N_DIRECTIONS];
        let after = sampled[(n + 1) % N_DIRECTIONS];
        // Equal neighbours, as of circles around one centre, need no refinement.
        if here < before && here <= after || here <= before && here < after {
            let start = (n as f64 - 1.0) * STEP_RAD;
            let at = |angle_rad: f64| value(direction(angle_rad));
            minimum = minimum.min(golden_section(at, start, 2.0 * STEP_RAD));
        }
        minimum = minimum.min(here);
    }
    minimum
}

fn direction(angle_rad: f64) -> [f64; 2] {
    let (sin, cos) = angle_rad.sin_cos();
    [cos, sin]
}

/// Least value in an interval with one minimum.
fn golden_section(value: impl Fn(f64) -> f64, start: f64, width: f64) -> f64 {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let (mut low, mut high) = (start, start + width);
    let (mut a, mut b) = (high - RATIO * width, low + RATIO * width);
    let (mut at_a, mut at_b) = (value(a), value(b));
    for _ in 0..N_REFINEMENTS {
        if at_a < at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - RATIO * (high - low);
            at_a = value(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + RATIO * (high - low);
            at_b = value(b);
        }
    }
    at_a.min(at_b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ellipse(center_mm: [f64; 2], semi_axes_mm: [f64; 2], angle_rad: f64) -> Ellipse {
        Ellipse { semi_axes_mm, center_mm, angle_rad }
    }

    #[test]
    fn circles_are_as_far_apart_as_their_centres_and_radii_say() {
        let circle = |x: f64, y: f64, r: f64| ellipse([x, y], [r, r], 0.3);
        let outer = circle(1.0, 2.0, 30.0);
        // Centres 5 mm apart.
        assert!((circle(4.0, 6.0, 10.0).clearance_inside(&outer) - 15.0).abs() < 1e-9);
        assert!((circle(4.0, 6.0, 26.0).clearance_inside(&outer) + 1.0).abs() < 1e-9);
        assert!((circle(31.0, 42.0, 19.0).clearance_from(&outer) - 1.0).abs() < 1e-9);
        assert!((circle(31.0, 42.0, 22.0).clearance_from(&outer) + 2.0).abs() < 1e-9);
    }

    #[test]
    fn clearance_is_the_distance_of_points_on_the_edges() {
        let edge = |shape: Ellipse| {
            let unit = ellipse(shape.center_mm, [1.0, 1.0], 0.0);
            (0..2000).map(move |n| {
                let (s, c) = (TAU * f64::from(n) / 2000.0).sin_cos();
                let (sin, cos) = shape.angle_rad.sin_cos();
                let [a, b] = shape.semi_axes_mm;
                let [x, y] = unit.center_mm;
                [x + a * c * cos - b * s * sin, y + a * c * sin + b * s * cos]
            })
        };
        let outer = ellipse([3.0, -2.0], [40.0, 25.0], 0.7);
        for inner in [
            ellipse([5.0, 1.0], [12.0, 7.0], -0.4),
            ellipse([-9.0, -15.0], [9.0, 3.0], 1.2),
            ellipse([60.0, 10.0], [20.0, 9.0], 2.0),
        ] {
            let nearest = edge(inner)
                .flat_map(|p| edge(outer).map(move |q| (p[0] - q[0]).hypot(p[1] - q[1])))
                .fold(f64::INFINITY, f64::min);
            let inside = outer.contains(inner.center_mm[0], inner.center_mm[1]);
            let clearance =
                if inside { inner.clearance_inside(&outer) } else { inner.clearance_from(&outer) };
            // 0.1 mm between points of the edges.
            assert!((clearance - nearest).abs() < 0.02, "{clearance} and {nearest}");
        }
    }
}
