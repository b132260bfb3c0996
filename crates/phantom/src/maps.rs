//! The truth about an anatomy on the pixels of an image.

mod displacement;
mod regions;

pub use displacement::{displacement_field_between_px, displacement_field_px};
pub(crate) use regions::{AIR, region_indices};

use ndarray::Array2;

use crate::anatomy::{Anatomy, Label};
use crate::raster::PixelGrid;

/// The tissue at the centre of every pixel: all `[y, x]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TissueMaps {
    /// T1, 0 in air.
    pub t1_map_ms: Array2<f32>,
    /// T2, 0 in air.
    pub t2_map_ms: Array2<f32>,
    /// T2*, 0 in air.
    pub t2_star_map_ms: Array2<f32>,
    /// Density of spins; 0 in air.
    pub proton_density: Array2<f32>,
    /// Extracellular volume, 0 where it has no meaning.
    pub ecv_map_percent: Array2<f32>,
    /// [`Label::code`], 0 in air.
    pub labels: Array2<u16>,
}

impl TissueMaps {
    /// The maps of an anatomy: of its reference, or of [`Anatomy::posed`].
    pub fn new(anatomy: &Anatomy, grid: PixelGrid) -> Self {
        let regions = region_map(anatomy, grid);
        let of = |value: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..anatomy.regions.len()).map(|n| value(n) as f32).collect();
            regions.mapv(|region| region.map_or(0.0, |n| values[n]))
        };
        let tissue = |n: usize| &anatomy.regions[n].tissue;
        Self {
            t1_map_ms: of(&|n| tissue(n).t1_ms),
            t2_map_ms: of(&|n| tissue(n).t2_ms),
            t2_star_map_ms: of(&|n| tissue(n).t2_star_ms),
            proton_density: of(&|n| tissue(n).proton_density),
            ecv_map_percent: of(&|n| tissue(n).ecv_percent.unwrap_or(0.0)),
            labels: regions.mapv(|region| region.map_or(0, |n| anatomy.regions[n].label.code())),
        }
    }

    /// The wall of the left ventricle with its lesions, without papillary muscles.
    pub fn myocardium(&self) -> Array2<bool> {
        self.labels.mapv(|code| code == Label::Myocardium.code() || is_lesion(code))
    }

    /// Blood of the left ventricle.
    pub fn left_blood(&self) -> Array2<bool> {
        self.labels.mapv(|code| code == Label::LeftBlood.code())
    }

    /// Blood of the right ventricle.
    pub fn right_blood(&self) -> Array2<bool> {
        self.labels.mapv(|code| code == Label::RightBlood.code())
    }

    /// Focal lesions.
    pub fn lesions(&self) -> Array2<bool> {
        self.labels.mapv(is_lesion)
    }
}

fn is_lesion(code: u16) -> bool {
    (Label::FIRST_LESION_CODE..Label::FIRST_VIAL_CODE).contains(&code)
}

/// [`Anatomy::region_at`] the centres of the pixels: `[y, x]`.
pub fn region_map(anatomy: &Anatomy, grid: PixelGrid) -> Array2<Option<usize>> {
    region_indices(&anatomy.regions, grid)
        .mapv(|index| (index != AIR).then_some(usize::from(index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::{Lesion, ShortAxisOptions, short_axis};
    use crate::tissue::LesionKind;

    const GRID: PixelGrid = PixelGrid { matrix_size: [192, 144], field_of_view_mm: [360.0, 270.0] };

    fn ill_heart() -> Anatomy {
        let lesion = Lesion {
            kind: LesionKind::Infarct,
            angle_rad: 0.5,
            extent_rad: 1.2,
            transmural: [0.0, 0.8],
        };
        let options =
            ShortAxisOptions { lesions: vec![lesion], vials: true, ..ShortAxisOptions::default() };
        short_axis(&options).expect("fits")
    }

    #[test]
    fn the_region_of_every_pixel_is_the_one_at_its_centre() {
        let anatomy = ill_heart();
        let map = region_map(&anatomy, GRID);
        for ((row, column), region) in map.indexed_iter() {
            assert_eq!(*region, anatomy.region_at(GRID.x_mm()[column], GRID.y_mm()[row]));
        }
    }

    #[test]
    fn masks_have_the_areas_of_what_they_show() {
        let anatomy = ill_heart();
        let maps = TissueMaps::new(&anatomy, GRID);
        let pixel_mm2 = GRID.pixel_mm().iter().product::<f64>();
        let area =
            |mask: Array2<bool>| mask.iter().filter(|&&in_it| in_it).count() as f64 * pixel_mm2;
        let pi = std::f64::consts::PI;
        let lesions: f64 = anatomy
            .regions
            .iter()
            .filter(|region| matches!(region.label, Label::Lesion(_)))
            .map(|region| pi * region.ellipse.semi_axes_mm.iter().product::<f64>())
            .sum();
        // Pixel centres in 300 mm of edge, each half a pixel at most, with random signs.
        let tolerance_mm2 = 40.0;
        let wall = pi * (32.0_f64.powi(2) - 22.0_f64.powi(2));
        assert!((area(maps.myocardium()) - wall).abs() < tolerance_mm2);
        assert!((area(maps.lesions()) - lesions).abs() < tolerance_mm2);
        let blood = pi * (22.0_f64.powi(2) - 2.0 * 16.0);
        assert!((area(maps.left_blood()) - blood).abs() < tolerance_mm2);
        let right = pi * (50.0 * 42.0 - 32.0_f64.powi(2));
        assert!((area(maps.right_blood()) - right).abs() < tolerance_mm2);
    }

    #[test]
    fn air_is_0_in_all_maps() {
        let maps = TissueMaps::new(&ill_heart(), GRID);
        assert_eq!(maps.labels[[2, 96]], 0);
        assert_eq!((maps.t1_map_ms[[2, 96]], maps.proton_density[[2, 96]]), (0.0, 0.0));
        // The origin is at pixel N/2: blood of the left ventricle.
        assert_eq!((maps.t1_map_ms[[72, 96]], maps.ecv_map_percent[[72, 96]]), (1600.0, 58.0));
    }
}
