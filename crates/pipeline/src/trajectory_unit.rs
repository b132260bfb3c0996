//! What the numbers of a trajectory mean.

use ismrmrd::xml::{Encoding, EncodingSpace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far the largest position may lie from the edge of k-space, as a factor, to be believed.
const BELIEVED: std::ops::Range<f64> = 0.6..1.35;

/// Unit of the positions in k-space that readouts carry. The standard does not fix it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrajectoryUnit {
    /// The one of the others whose edge of k-space is nearest to the largest position.
    #[default]
    Auto,
    /// Cycles per encoded pixel: the edge is at 0.5.
    CyclesPerPixel,
    /// Radians per encoded pixel: the edge is at π.
    RadPerPixel,
    /// Cycles per reconstructed field of view: the edge is at half of the matrix.
    CyclesPerFieldOfView,
    /// Cycles per encoded field of view.
    CyclesPerEncodedFieldOfView,
    /// Cycles per metre.
    CyclesPerM,
    /// Radians per metre.
    RadPerM,
}

impl TrajectoryUnit {
    const ALL: [Self; 6] = [
        Self::CyclesPerPixel,
        Self::CyclesPerFieldOfView,
        Self::CyclesPerEncodedFieldOfView,
        Self::RadPerPixel,
        Self::CyclesPerM,
        Self::RadPerM,
    ];

    /// Its name in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "chosen by their range",
            Self::CyclesPerPixel => "cycles per pixel",
            Self::RadPerPixel => "radians per pixel",
            Self::CyclesPerFieldOfView => "cycles per field of view",
            Self::CyclesPerEncodedFieldOfView => "cycles per encoded field of view",
            Self::CyclesPerM => "cycles per metre",
            Self::RadPerM => "radians per metre",
        }
    }

    /// What positions along x and y are multiplied by to become cycles per reconstructed field of
    /// view. [`Self::Auto`] has no factor of its own and counts as cycles per pixel.
    pub fn factors(self, encoding: &Encoding) -> [f64; 2] {
        let (encoded, recon) =
            (Extent::of(&encoding.encoded_space), Extent::of(&encoding.recon_space));
        [0, 1].map(|axis| {
            let field_of_view_mm = recon.mm[axis];
            let per_pixel = field_of_view_mm * encoded.pixels[axis] / encoded.mm[axis];
            match self {
                Self::Auto | Self::CyclesPerPixel => per_pixel,
                Self::RadPerPixel => per_pixel / std::f64::consts::TAU,
                Self::CyclesPerFieldOfView => 1.0,
                Self::CyclesPerEncodedFieldOfView => field_of_view_mm / encoded.mm[axis],
                Self::CyclesPerM => field_of_view_mm * 1e-3,
                Self::RadPerM => field_of_view_mm * 1e-3 / std::f64::consts::TAU,
            }
        })
    }

    /// The unit of positions whose largest distances from the centre along x and y are these, and
    /// whether they reach about as far as the matrix wants.
    pub fn detect(largest: [f32; 2], encoding: &Encoding) -> (Self, bool) {
        let encoded = Extent::of(&encoding.encoded_space);
        let recon = Extent::of(&encoding.recon_space);
        let reach = |unit: Self| {
            let factors = unit.factors(encoding);
            [0, 1]
                .map(|axis| {
                    let pixel_mm = encoded.mm[axis] / encoded.pixels[axis];
                    let edge = 0.5 * recon.mm[axis] / pixel_mm;
                    f64::from(largest[axis]) * factors[axis] / edge
                })
                .into_iter()
                .fold(0.0, f64::max)
        };
        let mut best = (Self::CyclesPerPixel, f64::INFINITY, 0.0);
        for unit in Self::ALL {
            let reach = reach(unit);
            let distance = reach.ln().abs();
            // The first of equals: units that mean the same here.
            if distance < best.1 - 1e-6 {
                best = (unit, distance, reach);
            }
        }
        (best.0, BELIEVED.contains(&best.2))
    }
}

/// Pixels and extent along x and y.
struct Extent {
    pixels: [f64; 2],
    mm: [f64; 2],
}

impl Extent {
    /// Where the header names no extent, a pixel is 1 mm.
    fn of(space: &EncodingSpace) -> Self {
        let (matrix, field_of_view) = (space.matrix_size, space.field_of_view_mm);
        let pixels = [matrix.x, matrix.y].map(|n| f64::from(n.max(1)));
        let mm = [field_of_view.x, field_of_view.y].map(f64::from);
        let known = |axis: usize| mm[axis].is_finite() && mm[axis] > 0.0;
        Self { pixels, mm: [0, 1].map(|axis| if known(axis) { mm[axis] } else { pixels[axis] }) }
    }
}

#[cfg(test)]
mod tests {
    use ismrmrd::xml::{FieldOfView, MatrixSize};

    use super::*;

    fn encoding(oversampling: u16) -> Encoding {
        let space = |factor: u16| EncodingSpace {
            matrix_size: MatrixSize { x: 220 * factor, y: 220, z: 1 },
            field_of_view_mm: FieldOfView { x: 300.0 * f32::from(factor), y: 300.0, z: 5.0 },
        };
        Encoding {
            encoded_space: space(oversampling),
            recon_space: space(1),
            ..Encoding::default()
        }
    }

    #[test]
    fn the_range_tells_the_unit() {
        let pixel_m = 0.3 / 220.0;
        for (largest, oversampling, unit) in [
            (0.5, 1, TrajectoryUnit::CyclesPerPixel),
            (0.45, 2, TrajectoryUnit::CyclesPerPixel),
            (110.0, 1, TrajectoryUnit::CyclesPerFieldOfView),
            (100.0, 2, TrajectoryUnit::CyclesPerFieldOfView),
            (3.1, 1, TrajectoryUnit::RadPerPixel),
            (0.5 / pixel_m, 1, TrajectoryUnit::CyclesPerM),
            (std::f64::consts::PI / pixel_m, 1, TrajectoryUnit::RadPerM),
        ] {
            let encoding = encoding(oversampling);
            let largest = [largest as f32; 2];
            assert_eq!(TrajectoryUnit::detect(largest, &encoding), (unit, true), "{largest:?}");
            let reach = f64::from(largest[1]) * unit.factors(&encoding)[1];
            assert!((95.0..115.0).contains(&reach), "{unit:?}: {reach}");
        }
        assert!(!TrajectoryUnit::detect([0.02; 2], &encoding(1)).1);
        assert!(!TrajectoryUnit::detect([1e30; 2], &encoding(1)).1);
    }
}
