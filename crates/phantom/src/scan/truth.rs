//! What a scan ought to give, quantity by quantity.

use ndarray::{Array2, Array3, Axis};
use num_complex::Complex32;

use super::SimulatedScan;
use super::plan::Frame;
use super::subject::Body;
use crate::anatomy::Anatomy;
use crate::diffusion::{DiffusionHeart, DiffusionOptions};
use crate::maps::{TissueMaps, displacement_field_between_px};
use crate::motion::Pose;
use crate::raster::PixelGrid;

/// One image of the truth.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthImage {
    /// What it is: `t1_map_ms`, `myocardium_mask`, `displacement_field_px`, …
    pub name: &'static str,
    /// Slice.
    pub slice: usize,
    /// The image of the plan that it belongs to; `None` for what is so in all images of the
    /// slice.
    pub frame: Option<usize>,
    /// Its values.
    pub values: TruthValues,
}

/// Values of an image of the truth.
#[derive(Clone, Debug, PartialEq)]
pub enum TruthValues {
    /// `[component, y, x]`.
    Real(Array3<f32>),
    /// `[channel, y, x]`.
    Complex(Array3<Complex32>),
    /// `[y, x]`: codes, or 0 and 1.
    Labels(Array2<u16>),
}

impl SimulatedScan {
    /// The truth about all slices and images, one image at a time.
    ///
    /// Of each image of the plan, on the grid of the reconstruction:
    /// * `image`: [`SimulatedScan::image`],
    /// * `object`: [`SimulatedScan::object_image`],
    /// * `displacement_field_px`, where something moves: `[2, y, x]` as (dy, dx), where in this
    ///   image to look for what the reference image shows.
    ///
    /// Of each slice, in the pose of the plan's reference image:
    /// * `coil_map`,
    /// * for anatomies `t1_map_ms`, `t2_map_ms`, `t2_star_map_ms`, `proton_density`,
    ///   `ecv_map_percent` (0 is invalid), `labels`, `myocardium_mask`, `left_blood_mask`,
    ///   `right_blood_mask`, `lesion_mask`,
    /// * for diffusion `diffusion_tensor_um2_per_ms` (xx, xy, xz, yy, yz, zz),
    ///   `mean_diffusivity_map_um2_per_ms`, `fractional_anisotropy_map`, `helix_angle_map_deg`,
    ///   `transverse_angle_map_deg`, `e2_angle_map_deg`.
    pub fn truth(&self) -> impl Iterator<Item = TruthImage> + '_ {
        let of_slices = (0..self.setup.n_slices).flat_map(|slice| self.truth_of_slice(slice));
        let of_frames = (0..self.plan.frames.len()).flat_map(|frame| self.truth_of_frame(frame));
        of_slices.chain(of_frames)
    }

    fn pixel_grid(&self) -> PixelGrid {
        PixelGrid {
            matrix_size: self.setup.matrix_size,
            field_of_view_mm: self.setup.field_of_view_mm,
        }
    }

    fn truth_of_slice(&self, slice: usize) -> Vec<TruthImage> {
        let mut images = vec![("coil_map", TruthValues::Complex(self.coil_maps(slice)))];
        if let Body::Anatomy(anatomy) = &self.bodies[slice] {
            let posed = anatomy.posed(&self.reference_pose(slice));
            images.extend(tissue_truth(&posed, self.pixel_grid()));
            if let Some(options) = &self.plan.diffusion {
                images.extend(diffusion_truth(&posed, options, self.pixel_grid()));
            }
        }
        images
            .into_iter()
            .map(|(name, values)| TruthImage { name, slice, frame: None, values })
            .collect()
    }

    fn truth_of_frame(&self, frame: usize) -> Vec<TruthImage> {
        let planned = &self.plan.frames[frame];
        let slice = usize::from(planned.counters.slice);
        let complex = |image: Array2<Complex32>| TruthValues::Complex(image.insert_axis(Axis(0)));
        let mut images = vec![
            ("image", complex(self.image(frame))),
            ("object", complex(self.object_image(frame))),
        ];
        if let Body::Anatomy(anatomy) = &self.bodies[slice] {
            let (fixed, moving) = (self.reference_pose(slice), self.pose_of(planned));
            if self.moves(slice) {
                let field =
                    displacement_field_between_px(anatomy, &fixed, &moving, self.pixel_grid());
                images.push(("displacement_field_px", TruthValues::Real(field)));
            }
        }
        images
            .into_iter()
            .map(|(name, values)| TruthImage { name, slice, frame: Some(frame), values })
            .collect()
    }

    /// Pose of the slice's image with the counters of the reference image.
    fn reference_pose(&self, slice: usize) -> Pose {
        let Some(reference) = self.plan.frames.get(self.plan.reference_frame) else {
            return Pose::default();
        };
        let same = |frame: &&Frame| {
            let counters =
                ismrmrd::EncodingCounters { slice: reference.counters.slice, ..frame.counters };
            usize::from(frame.counters.slice) == slice && counters == reference.counters
        };
        self.plan.frames.iter().find(same).map_or_else(Pose::default, |frame| self.pose_of(frame))
    }

    fn pose_of(&self, frame: &Frame) -> Pose {
        self.plan.pose_of(frame, &self.setup.motion)
    }

    /// Whether the images of a slice differ in their poses.
    fn moves(&self, slice: usize) -> bool {
        let of_slice = |frame: &&Frame| usize::from(frame.counters.slice) == slice;
        let mut poses = self.plan.frames.iter().filter(of_slice).map(|f| self.pose_of(f));
        let first = poses.next();
        poses.any(|pose| first.is_some_and(|first| !pose.is_close_to(&first)))
    }
}

fn tissue_truth(anatomy: &Anatomy, grid: PixelGrid) -> Vec<(&'static str, TruthValues)> {
    let maps = TissueMaps::new(anatomy, grid);
    let mask = |mask: Array2<bool>| TruthValues::Labels(mask.mapv(u16::from));
    let mut images = vec![
        ("myocardium_mask", mask(maps.myocardium())),
        ("left_blood_mask", mask(maps.left_blood())),
        ("right_blood_mask", mask(maps.right_blood())),
        ("lesion_mask", mask(maps.lesions())),
    ];
    let TissueMaps {
        t1_map_ms,
        t2_map_ms,
        t2_star_map_ms,
        proton_density,
        ecv_map_percent,
        labels,
    } = maps;
    images.push(("labels", TruthValues::Labels(labels)));
    let real = [
        ("t1_map_ms", t1_map_ms),
        ("t2_map_ms", t2_map_ms),
        ("t2_star_map_ms", t2_star_map_ms),
        ("proton_density", proton_density),
        ("ecv_map_percent", ecv_map_percent),
    ];
    images.extend(
        real.into_iter().map(|(name, map)| (name, TruthValues::Real(map.insert_axis(Axis(0))))),
    );
    images
}

fn diffusion_truth(
    anatomy: &Anatomy,
    options: &DiffusionOptions,
    grid: PixelGrid,
) -> Vec<(&'static str, TruthValues)> {
    let heart = DiffusionHeart::new(anatomy, options, grid.matrix_size, grid.field_of_view_mm)
        .expect("checked when the scan was planned, on a finer grid");
    let map =
        |map: ndarray::ArrayView2<'_, f32>| TruthValues::Real(map.to_owned().insert_axis(Axis(0)));
    vec![
        ("diffusion_tensor_um2_per_ms", TruthValues::Real(heart.tensor_um2_per_ms().to_owned())),
        ("mean_diffusivity_map_um2_per_ms", map(heart.mean_diffusivity_map_um2_per_ms())),
        ("fractional_anisotropy_map", map(heart.fractional_anisotropy_map())),
        ("helix_angle_map_deg", map(heart.helix_angle_map_deg())),
        ("transverse_angle_map_deg", map(heart.transverse_angle_map_deg())),
        ("e2_angle_map_deg", map(heart.e2_angle_map_deg())),
    ]
}
