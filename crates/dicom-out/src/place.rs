//! Where a plane lies, as DICOM says it.

use ismrmrd::ImageHeader;

use crate::Error;

type Vector = [f64; 3];

/// Where one plane of an image lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanePlace {
    /// Unit vectors of the rows (x) and of the columns (y); left, posterior, superior.
    pub row: Vector,
    /// See `row`.
    pub column: Vector,
    /// Centre of the first pixel, mm.
    pub position_mm: Vector,
    /// Distance of rows (along y) and of columns (along x), mm: DICOM's order.
    pub spacing_mm: [f64; 2],
    /// Thickness, mm; 0 where it is not known.
    pub thickness_mm: f64,
    /// Position along the normal, mm.
    pub location_mm: f64,
}

impl PlanePlace {
    /// Place of plane `z`. MRD gives the centre of the image; DICOM wants that of the first pixel.
    ///
    /// # Errors
    /// [`Error::NoPlace`]: directions, position or field of view are missing or no numbers.
    pub fn of(header: &ImageHeader, z: usize) -> Result<Self, Error> {
        let [row, column] = [header.read_dir, header.phase_dir].map(|axis| axis.map(f64::from));
        let (n_row, n_column) = (norm(row), norm(column));
        let is_unit = |length: f64| (0.95..1.05).contains(&length);
        if !is_unit(n_row) || !is_unit(n_column) || dot(row, column).abs() > 0.05 {
            return Err(Error::NoPlace("directions of rows and columns at right angles"));
        }
        let row = row.map(|value| value / n_row);
        // Single precision leaves a little that is not at a right angle.
        let along = dot(row, column);
        let column: Vector = std::array::from_fn(|axis| column[axis] - along * row[axis]);
        let n_column = norm(column);
        let column = column.map(|value| value / n_column);
        let voxel_mm = header.voxel_size_mm().map(f64::from);
        let is_length = |length: f64| length.is_finite() && length > 0.0;
        if !is_length(voxel_mm[0]) || !is_length(voxel_mm[1]) {
            return Err(Error::NoPlace("a field of view"));
        }
        let slice = norm(header.slice_dir.map(f64::from));
        if header.matrix_size[2] > 1 && !(is_unit(slice) && is_length(voxel_mm[2])) {
            return Err(Error::NoPlace("direction and distance of its planes"));
        }
        let matrix = header.patient_from_voxel();
        let position_mm: Vector =
            std::array::from_fn(|axis| matrix[axis][3] + matrix[axis][2] * z as f64);
        if !position_mm.iter().all(|value| value.is_finite()) {
            return Err(Error::NoPlace("a position"));
        }
        let normal = cross(row, column);
        Ok(Self {
            row,
            column,
            position_mm,
            spacing_mm: [voxel_mm[1], voxel_mm[0]],
            thickness_mm: if is_length(voxel_mm[2]) { voxel_mm[2] } else { 0.0 },
            location_mm: dot(position_mm, normal),
        })
    }

    /// The six numbers of Image Orientation (Patient).
    pub fn orientation(&self) -> [f64; 6] {
        let ([a, b, c], [d, e, f]) = (self.row, self.column);
        [a, b, c, d, e, f]
    }
}

fn dot(a: Vector, b: Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oblique twice, of an odd and an even size, three planes.
    fn oblique() -> ImageHeader {
        let (a, b) = (0.5_f32, 0.75_f32.sqrt());
        ImageHeader {
            matrix_size: [6, 5, 3],
            field_of_view: [12.0, 15.0, 24.0],
            position: [11.0, -7.0, 42.0],
            read_dir: [b, a, 0.0],
            phase_dir: [-a * b, b * b, a],
            slice_dir: [a * a, -a * b, b],
            ..ImageHeader::default()
        }
    }

    #[test]
    fn the_middle_voxel_lies_at_the_images_position() {
        let header = oblique();
        let place = PlanePlace::of(&header, 1).expect("it lies somewhere");
        assert_eq!(place.spacing_mm, [3.0, 2.0]);
        assert_eq!(place.thickness_mm, 8.0);
        for axis in 0..3 {
            // Column 3 of 6, row 2 of 5, plane 1 of 3.
            let there = place.position_mm[axis]
                + 3.0 * place.spacing_mm[1] * place.row[axis]
                + 2.0 * place.spacing_mm[0] * place.column[axis];
            let position = f64::from({ header.position }[axis]);
            assert!((there - position).abs() < 1e-5, "{there} instead of {position}");
        }
        let next = PlanePlace::of(&header, 2).expect("it lies somewhere");
        let normal = cross(place.row, place.column);
        assert!((next.location_mm - place.location_mm - 8.0).abs() < 1e-5);
        let steps = next.position_mm.iter().zip(place.position_mm);
        for ((after, before), normal) in steps.zip(normal) {
            assert!((after - before - 8.0 * normal).abs() < 1e-5);
        }
        let orientation = place.orientation();
        assert!((orientation[..3].iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn an_image_that_lies_nowhere_is_told() {
        let good = oblique();
        let nan = [f32::NAN; 3];
        for bad in [
            ImageHeader { read_dir: [0.0; 3], ..good },
            ImageHeader { phase_dir: good.read_dir, ..good },
            ImageHeader { phase_dir: nan, ..good },
            ImageHeader { position: nan, ..good },
            ImageHeader { field_of_view: [0.0; 3], ..good },
        ] {
            assert!(matches!(PlanePlace::of(&bad, 0), Err(Error::NoPlace(_))));
        }
    }
}
