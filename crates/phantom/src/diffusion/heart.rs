//! The diffusion tensor of a slice on a grid of pixels.

use ndarray::{Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis, s};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::encoding::DiffusionEncoding;
use super::error::{DiffusionError, check_range};
use super::options::DiffusionOptions;
use super::wall::{Place, Wall};
use crate::anatomy::{Anatomy, Label, LeftVentricle};
use crate::maps::region_indices;
use crate::object::PixelObject;
use crate::raster::PixelGrid;

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
    /// Region of each pixel, beyond the last one where there is none: `[y, x]`.
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

/// What is kept of one pixel of the wall.
struct Pixel {
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
        let grid = PixelGrid { matrix_size, field_of_view_mm };
        let regions = region_indices(&anatomy.regions, grid);
        let mut heart = Self {
            left_ventricle,
            field_of_view_mm,
            n_regions: anatomy.regions.len(),
            tensor: isotropic_tensor(anatomy, options, regions.view()),
            regions,
            maps: Array3::zeros((N_MAPS, ny, nx)),
            changed: Array2::from_elem((ny, nx), false),
            myocardium: Array2::from_elem((ny, nx), false),
        };
        let wall = Wall::new(left_ventricle, options);
        // The wall is a small part of the picture: its pixels are made apart and put in place.
        let (x_mm, y_mm) = (grid.x_mm(), grid.y_mm());
        let rows: Vec<Vec<(usize, Pixel)>> = y_mm
            .par_iter()
            .enumerate()
            .map(|(y, &y_mm)| {
                let regions = heart.regions.row(y).into_iter().zip(&x_mm).enumerate();
                regions
                    .filter_map(|(x, (&region, &x_mm))| {
                        let label = anatomy.regions.get(usize::from(region))?.label;
                        matches!(label, Label::Myocardium | Label::Lesion(_))
                            .then(|| (x, Pixel::new(&wall.place(x_mm, y_mm, label))))
                    })
                    .collect()
            })
            .collect();
        for (y, row) in rows.into_iter().enumerate() {
            for (x, pixel) in row {
                heart.myocardium[[y, x]] = true;
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

impl Pixel {
    fn new(place: &Place) -> Self {
        let fibre = &place.fibre;
        let maps = [
            fibre.helix_angle_rad.to_degrees(),
            fibre.transverse_angle_rad.to_degrees(),
            fibre.e2_angle_rad.to_degrees(),
            fibre.eigenvalues.mean(),
            fibre.eigenvalues.fractional_anisotropy(),
        ];
        Self {
            is_changed: place.is_changed,
            tensor: fibre.tensor_um2_per_ms(&place.frame).map(|value| value as f32),
            maps: maps.map(|value| value as f32),
        }
    }
}

/// The tensor as if there were no fibres: `[element, y, x]`, µm²/ms.
fn isotropic_tensor(
    anatomy: &Anatomy,
    options: &DiffusionOptions,
    regions: ArrayView2<'_, u16>,
) -> Array3<f32> {
    let diffusivities: Vec<f32> = anatomy
        .regions
        .iter()
        .map(|region| options.diffusivity_um2_per_ms(region.label) as f32)
        .collect();
    let (ny, nx) = regions.dim();
    let mut tensor = Array3::zeros((6, ny, nx));
    // xx, yy and zz.
    for element in [0, 3, 5] {
        tensor.index_axis_mut(Axis(0), element).zip_mut_with(&regions, |value, &region| {
            *value = diffusivities.get(usize::from(region)).copied().unwrap_or(0.0);
        });
    }
    tensor
}

#[cfg(test)]
mod tests;
