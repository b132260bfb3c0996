//! The diffusion tensor of a slice on a grid of pixels.

use ndarray::{Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis, s};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::encoding::DiffusionEncoding;
use super::error::{DiffusionError, check_range};
use super::options::DiffusionOptions;
use super::wall::Wall;
use crate::anatomy::{Anatomy, Label, LeftVentricle, Region};
use crate::object::PixelObject;

/// Tensors and angles at the centres of the pixels of a slice.
///
/// Pixel \[row, column\] has its centre at x = (column − nx/2)·pixel, y = (row − ny/2)·pixel
/// with halves rounded down. Axes and definitions of the angles: those of [`super::Fibre`].
/// Maps are 0 outside the left ventricle's wall, which [`DiffusionHeart::myocardium_mask`]
/// shows; it consists of the regions labelled myocardium or lesion, without papillary muscles.
#[derive(Clone, Debug)]
pub struct DiffusionHeart {
    left_ventricle: LeftVentricle,
    field_of_view_mm: [f64; 2],
    /// Region of each pixel, `AIR` where there is none: `[y, x]`.
    regions: Array2<u16>,
    n_regions: usize,
    /// `[element, y, x]`, µm²/ms.
    tensor: Array3<f32>,
    /// Helix, transverse and sheetlet angle, mean diffusivity, fractional anisotropy:
    /// `[map, y, x]`.
    maps: Array3<f32>,
    /// `[y, x]`.
    changed: Array2<bool>,
    myocardium: Array2<bool>,
}

/// In place of the index of a region.
const AIR: u16 = u16::MAX;

/// What is kept of one pixel.
struct Pixel {
    region: u16,
    is_myocardium: bool,
    is_changed: bool,
    tensor: [f32; 6],
    maps: [f32; N_MAPS],
}

const N_MAPS: usize = 5;

impl DiffusionHeart {
    /// Evaluates the tensor of each pixel.
    ///
    /// * `anatomy`: in the pose of the moment; fibres move with the wall.
    /// * `matrix_size`: pixels \[x, y\], 1 to 4096 each.
    /// * `field_of_view_mm`: extent \[x, y\] of all pixels.
    ///
    /// # Errors
    /// [`DiffusionError`] for options or a grid outside their range, and an anatomy without a
    /// left ventricle.
    pub fn new(
        anatomy: &Anatomy,
        options: &DiffusionOptions,
        matrix_size: [usize; 2],
        field_of_view_mm: [f64; 2],
    ) -> Result<Self, DiffusionError> {
        options.check()?;
        let left_ventricle = anatomy.left_ventricle.ok_or(DiffusionError::NoLeftVentricle)?;
        for (n_pixels, extent_mm) in std::iter::zip(matrix_size, field_of_view_mm) {
            check_range("number of pixels", n_pixels as f64, 1.0, 4096.0)?;
            check_range("field of view in mm", extent_mm, 1.0, 10_000.0)?;
        }
        let [nx, ny] = matrix_size;
        let wall = Wall::new(left_ventricle, options);
        let interiors: Vec<Interior> = anatomy.regions.iter().map(Interior::new).collect();
        let center = |index: usize, n: usize, extent_mm: f64| {
            (index as f64 - (n / 2) as f64) * extent_mm / n as f64
        };
        let rows: Vec<Vec<Pixel>> = (0..ny)
            .into_par_iter()
            .map(|row| {
                let y = center(row, ny, field_of_view_mm[1]);
                (0..nx)
                    .map(|column| {
                        let x = center(column, nx, field_of_view_mm[0]);
                        let region = interiors.iter().rposition(|region| region.contains(x, y));
                        pixel(region, anatomy, options, &wall, x, y)
                    })
                    .collect()
            })
            .collect();

        let mut heart = Self {
            left_ventricle,
            field_of_view_mm,
            regions: Array2::from_elem((ny, nx), AIR),
            n_regions: anatomy.regions.len(),
            tensor: Array3::zeros((6, ny, nx)),
            maps: Array3::zeros((N_MAPS, ny, nx)),
            changed: Array2::from_elem((ny, nx), false),
            myocardium: Array2::from_elem((ny, nx), false),
        };
        for (y, row) in rows.into_iter().enumerate() {
            for (x, pixel) in row.into_iter().enumerate() {
                heart.regions[[y, x]] = pixel.region;
                heart.myocardium[[y, x]] = pixel.is_myocardium;
                heart.changed[[y, x]] = pixel.is_changed;
                for (element, value) in pixel.tensor.into_iter().enumerate() {
                    heart.tensor[[element, y, x]] = value;
                }
                for (map, value) in pixel.maps.into_iter().enumerate() {
                    heart.maps[[map, y, x]] = value;
                }
            }
        }
        Ok(heart)
    }

    /// Pixels \[x, y\].
    pub fn matrix_size(&self) -> [usize; 2] {
        let (ny, nx) = self.regions.dim();
        [nx, ny]
    }

    /// Extent \[x, y\] of all pixels, mm.
    pub fn field_of_view_mm(&self) -> [f64; 2] {
        self.field_of_view_mm
    }

    /// Where the left ventricle is.
    pub fn left_ventricle(&self) -> &LeftVentricle {
        &self.left_ventricle
    }

    /// The tensor with its elements in the order xx, xy, xz, yy, yz, zz: `[element, y, x]`,
    /// µm²/ms; isotropic outside the wall and 0 in air.
    pub fn tensor_um2_per_ms(&self) -> ArrayView3<'_, f32> {
        self.tensor.view()
    }

    /// `[y, x]`, −90 to 90: above 0 is a right-handed helix.
    pub fn helix_angle_map_deg(&self) -> ArrayView2<'_, f32> {
        self.maps.index_axis(Axis(0), 0)
    }

    /// `[y, x]`, −90 to 90: above 0 points inwards.
    pub fn transverse_angle_map_deg(&self) -> ArrayView2<'_, f32> {
        self.maps.index_axis(Axis(0), 1)
    }

    /// Angle of the sheetlets from the wall's plane: `[y, x]`, −90 to 90.
    pub fn e2_angle_map_deg(&self) -> ArrayView2<'_, f32> {
        self.maps.index_axis(Axis(0), 2)
    }

    /// `[y, x]`, µm²/ms.
    pub fn mean_diffusivity_map_um2_per_ms(&self) -> ArrayView2<'_, f32> {
        self.maps.index_axis(Axis(0), 3)
    }

    /// `[y, x]`, 0 to 1.
    pub fn fractional_anisotropy_map(&self) -> ArrayView2<'_, f32> {
        self.maps.index_axis(Axis(0), 4)
    }

    /// Pixels of the left ventricle's wall: `[y, x]`.
    pub fn myocardium_mask(&self) -> ArrayView2<'_, bool> {
        self.myocardium.view()
    }

    /// Pixels of the wall in a lesion or a patch that changes diffusion: `[y, x]`.
    pub fn lesion_mask(&self) -> ArrayView2<'_, bool> {
        self.changed.view()
    }

    /// A picture in which each pixel has the signal of its region: `[y, x]`, 0 in air.
    ///
    /// * `signals`: one per region of the anatomy that the heart was made from.
    ///
    /// # Panics
    /// If there is not one signal per region.
    pub fn base_image(&self, signals: &[Complex64]) -> Array2<Complex32> {
        assert_eq!(signals.len(), self.n_regions, "one signal per region");
        let signals: Vec<Complex32> = signals
            .iter()
            .map(|signal| Complex32::new(signal.re as f32, signal.im as f32))
            .collect();
        self.regions.mapv(|region| signals.get(usize::from(region)).copied().unwrap_or_default())
    }

    /// The object with diffusion weighting: base · exp(−b·gᵀDg).
    ///
    /// * `base`: `[y, x]`, the signal without; see [`DiffusionHeart::base_image`].
    ///
    /// # Panics
    /// If `base` has another shape than the grid.
    ///
    /// # Source
    /// Stejskal and Tanner 1965; Basser, Mattiello and LeBihan 1994.
    pub fn signal(
        &self,
        encoding: &DiffusionEncoding,
        base: ArrayView2<'_, Complex32>,
    ) -> PixelObject {
        assert_eq!(base.dim(), self.regions.dim(), "base and grid have one shape");
        let weights = encoding.element_weights();
        let [nx, _] = self.matrix_size();
        let mut values = Array2::zeros(base.dim());
        let rows = values.as_slice_mut().expect("a new array is contiguous");
        rows.par_chunks_mut(nx).enumerate().for_each(|(y, row)| {
            let tensor: [ArrayView1<'_, f32>; 6] =
                std::array::from_fn(|element| self.tensor.slice(s![element, y, ..]));
            for (x, (value, &base)) in row.iter_mut().zip(base.row(y)).enumerate() {
                // Most of a picture is air.
                if base != Complex32::ZERO {
                    let exponent: f32 =
                        std::iter::zip(&tensor, weights).map(|(row, weight)| weight * row[x]).sum();
                    *value = base * exponent.exp();
                }
            }
        });
        PixelObject { values, field_of_view_mm: self.field_of_view_mm }
    }
}

fn pixel(
    region: Option<usize>,
    anatomy: &Anatomy,
    options: &DiffusionOptions,
    wall: &Wall,
    x_mm: f64,
    y_mm: f64,
) -> Pixel {
    let mut pixel = Pixel {
        region: region.map_or(AIR, |region| region as u16),
        is_myocardium: false,
        is_changed: false,
        tensor: [0.0; 6],
        maps: [0.0; N_MAPS],
    };
    let Some(region) = region else { return pixel };
    let isotropic = &options.isotropic;
    let diffusivity = match anatomy.regions[region].label {
        label @ (Label::Myocardium | Label::Lesion(_)) => {
            let place = wall.place(x_mm, y_mm, label);
            let fibre = place.fibre;
            pixel.is_myocardium = true;
            pixel.is_changed = place.is_changed;
            pixel.tensor = fibre.tensor_um2_per_ms(&place.frame).map(|value| value as f32);
            pixel.maps = [
                fibre.helix_angle_rad.to_degrees(),
                fibre.transverse_angle_rad.to_degrees(),
                fibre.e2_angle_rad.to_degrees(),
                fibre.eigenvalues.mean(),
                fibre.eigenvalues.fractional_anisotropy(),
            ]
            .map(|value| value as f32);
            return pixel;
        }
        Label::RightWall | Label::Papillary => options.eigenvalues.mean(),
        Label::Aorta | Label::RightBlood | Label::LeftBlood => isotropic.blood,
        Label::Muscle => isotropic.muscle,
        Label::Liver => isotropic.liver,
        Label::Lung => isotropic.lung,
        Label::Fat => isotropic.fat,
        Label::Vial(_) => isotropic.vial,
    } as f32;
    pixel.tensor = [diffusivity, 0.0, 0.0, diffusivity, 0.0, diffusivity];
    pixel
}

/// An ellipse whose sine and cosine are known, because a picture asks it a million times.
struct Interior {
    center_mm: [f64; 2],
    /// Unit vectors along the axes over the axes' lengths.
    axes: [[f64; 2]; 2],
}

impl Interior {
    fn new(region: &Region) -> Self {
        let ellipse = &region.ellipse;
        let (sin, cos) = ellipse.angle_rad.sin_cos();
        let [a, b] = ellipse.semi_axes_mm;
        Self { center_mm: ellipse.center_mm, axes: [[cos / a, sin / a], [-sin / b, cos / b]] }
    }

    fn contains(&self, x_mm: f64, y_mm: f64) -> bool {
        let (x, y) = (x_mm - self.center_mm[0], y_mm - self.center_mm[1]);
        let [u, v] = self.axes.map(|axis| axis[0] * x + axis[1] * y);
        u * u + v * v <= 1.0
    }
}

#[cfg(test)]
mod tests;
