//! Where the voxels of an image lie in the patient.

use crate::ImageHeader;

impl ImageHeader {
    /// Distance of neighbours along x, y, z, mm. A size of 0 counts as 1.
    pub fn voxel_size_mm(&self) -> [f32; 3] {
        let (n, extent) = (self.matrix_size, self.field_of_view);
        std::array::from_fn(|axis| extent[axis] / f32::from(n[axis].max(1)))
    }

    /// The first three rows of the matrix that leads from a voxel's number (x, y, z, 1) to the place
    /// of its centre in the patient: mm, left, posterior and superior counted up.
    ///
    /// The header's position is the centre of the voxel in the transform's centre, which is number
    /// n/2 along each axis.
    pub fn patient_from_voxel(&self) -> [[f64; 4]; 3] {
        let (directions, voxel_mm) =
            ([self.read_dir, self.phase_dir, self.slice_dir], self.voxel_size_mm());
        let (n, position) = (self.matrix_size, self.position);
        std::array::from_fn(|row| {
            let steps: [f64; 3] = std::array::from_fn(|axis| {
                f64::from(directions[axis][row]) * f64::from(voxel_mm[axis])
            });
            let to_center: f64 =
                steps.iter().zip(n).map(|(step, n)| step * f64::from(n.max(1) / 2)).sum();
            [steps[0], steps[1], steps[2], f64::from(position[row]) - to_center]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_that_of_the_voxel_in_the_transforms_centre() {
        let header = ImageHeader {
            matrix_size: [4, 3, 1],
            position: [10.0, 20.0, 30.0],
            read_dir: [0.0, 1.0, 0.0],
            phase_dir: [0.0, 0.0, -1.0],
            slice_dir: [-1.0, 0.0, 0.0],
            field_of_view: [8.0, 9.0, 5.0],
            ..ImageHeader::default()
        };
        assert_eq!({ header.voxel_size_mm() }, [2.0, 3.0, 5.0]);
        let matrix = header.patient_from_voxel();
        // Voxel 0 is two steps of 2 mm before the centre along y, one of 3 mm above it along z.
        assert_eq!(matrix.map(|row| row[3]), [10.0, 16.0, 33.0]);
        let center = matrix.map(|row| 2.0 * row[0] + row[1] + row[3]);
        assert_eq!(center, [10.0, 20.0, 30.0]);
    }
}
