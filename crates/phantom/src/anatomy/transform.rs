//! A body seen another way round.

use std::f64::consts::PI;

use crate::anatomy::{Anatomy, LeftVentricle, Region};
use crate::ellipse::Ellipse;

impl Anatomy {
    /// The whole picture turned about the origin from x towards y.
    #[must_use]
    pub fn rotated(&self, angle_rad: f64) -> Self {
        let (sin, cos) = angle_rad.sin_cos();
        self.transformed(
            |ellipse| ellipse.turned_and_scaled(angle_rad, 1.0),
            |ventricle| LeftVentricle {
                center_mm: {
                    let [x, y] = ventricle.center_mm;
                    [x * cos - y * sin, x * sin + y * cos]
                },
                insertion_angle_rad: ventricle.insertion_angle_rad + angle_rad,
                ..ventricle
            },
        )
    }

    /// The picture with left and right exchanged: situs inversus.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let mirror = |[x, y]: [f64; 2]| [-x, y];
        self.transformed(
            |ellipse| Ellipse {
                center_mm: mirror(ellipse.center_mm),
                angle_rad: -ellipse.angle_rad,
                ..ellipse
            },
            |ventricle| LeftVentricle {
                center_mm: mirror(ventricle.center_mm),
                insertion_angle_rad: PI - ventricle.insertion_angle_rad,
                ..ventricle
            },
        )
    }

    fn transformed(
        &self,
        of_ellipse: impl Fn(Ellipse) -> Ellipse,
        of_ventricle: impl Fn(LeftVentricle) -> LeftVentricle,
    ) -> Self {
        let region = |region: &Region| Region { ellipse: of_ellipse(region.ellipse), ..*region };
        Self {
            regions: self.regions.iter().map(region).collect(),
            left_ventricle: self.left_ventricle.map(of_ventricle),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::anatomy::{ShortAxisOptions, short_axis};

    #[test]
    fn every_point_keeps_its_region() {
        let anatomy = short_axis(&ShortAxisOptions::default()).expect("fits");
        let (turned, mirrored) = (anatomy.rotated(0.7), anatomy.mirrored());
        let (sin, cos) = 0.7_f64.sin_cos();
        for n in 0..4000 {
            let [x, y] = [0.754_877, 0.569_840].map(|step| (f64::from(n) * step).fract());
            let (x, y) = (340.0 * x - 170.0, 240.0 * y - 120.0);
            let region = anatomy.region_at(x, y);
            assert_eq!(turned.region_at(x * cos - y * sin, x * sin + y * cos), region);
            assert_eq!(mirrored.region_at(-x, y), region);
        }
    }
}
