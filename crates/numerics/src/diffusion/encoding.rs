//! How images are weighted, and the plan of a fit to them.

use nalgebra::{SMatrix, SVector};

/// A b-matrix: the weighting of one image, xx, xy, xz, yy, yz, zz, ms/µm².
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BMatrix(pub [f64; 6]);

impl BMatrix {
    /// b·g·gᵀ. Where b is 0 the direction does not matter, not even if it is no number.
    ///
    /// * `direction`: of any length but 0.
    pub fn along(b_value_s_per_mm2: f64, direction: [f64; 3]) -> Self {
        if b_value_s_per_mm2 == 0.0 {
            return Self([0.0; 6]);
        }
        let squared: f64 = direction.iter().map(|value| value * value).sum();
        let b = 1e-3 * b_value_s_per_mm2 / squared;
        let [x, y, z] = direction;
        Self([b * x * x, b * x * y, b * x * z, b * y * y, b * y * z, b * z * z])
    }

    /// Trace, s/mm².
    pub fn b_value_s_per_mm2(&self) -> f64 {
        1e3 * (self.0[0] + self.0[3] + self.0[5])
    }

    /// The weighting as it is after a rotation of the image's contents by `angle_rad` from x
    /// towards y.
    pub fn rotated(&self, angle_rad: f64) -> Self {
        let (sin, cos) = angle_rad.sin_cos();
        let [xx, xy, xz, yy, yz, zz] = self.0;
        Self([
            cos * cos * xx - 2.0 * sin * cos * xy + sin * sin * yy,
            sin * cos * (xx - yy) + (cos * cos - sin * sin) * xy,
            cos * xz - sin * yz,
            sin * sin * xx + 2.0 * sin * cos * xy + cos * cos * yy,
            sin * xz + cos * yz,
            zz,
        ])
    }

    /// What the parameters of a fit are multiplied by: their sum is the logarithm of the signal.
    pub(super) fn row(&self) -> [f64; 7] {
        let [xx, xy, xz, yy, yz, zz] = self.0;
        [-xx, -2.0 * xy, -2.0 * xz, -yy, -2.0 * yz, -zz, 1.0]
    }
}

/// The weightings of a series do not tell a tensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncodingError {
    /// Fewer images than unknowns.
    #[error("a tensor has 7 unknowns, there are {0} images")]
    TooFew(usize),
    /// A weighting that is no number.
    #[error("image {0} has a b-value or direction that is no number or 0 in length")]
    NotFinite(usize),
    /// Too few directions, or only one b-value.
    #[error(
        "the directions and b-values of {n_images} images tell {rank} of the tensor's 7 unknowns"
    )]
    Rank {
        /// Images.
        n_images: usize,
        /// What they tell.
        rank: usize,
    },
}

/// A singular value below this share of the largest one tells nothing.
const LEAST_SINGULAR: f64 = 1e-5;

/// What fits to all pixels share.
#[derive(Clone, Debug)]
pub struct TensorPlan {
    pub(super) encodings: Vec<BMatrix>,
    pub(super) rows: Vec<[f64; 7]>,
    /// (XᵀX)⁻¹Xᵀ, a column for each image.
    pub(super) pseudo_inverse: Vec<[f64; 7]>,
}

impl TensorPlan {
    /// A plan for images of these weightings.
    ///
    /// # Errors
    /// [`EncodingError`]: fewer than 7 images, or fewer than 6 directions that are no combination of
    /// each other, or no second b-value.
    pub fn new(encodings: &[BMatrix]) -> Result<Self, EncodingError> {
        if let Some(image) =
            encodings.iter().position(|encoding| encoding.0.iter().any(|value| !value.is_finite()))
        {
            return Err(EncodingError::NotFinite(image + 1));
        }
        if encodings.len() < 7 {
            return Err(EncodingError::TooFew(encodings.len()));
        }
        let rows: Vec<[f64; 7]> = encodings.iter().map(BMatrix::row).collect();
        // Columns of one size each, so that rank does not depend on units.
        let scales: [f64; 7] = std::array::from_fn(|column| {
            let squares: f64 = rows.iter().map(|row| row[column] * row[column]).sum();
            if squares > 0.0 { squares.sqrt() } else { 1.0 }
        });
        let mut normal = SMatrix::<f64, 7, 7>::zeros();
        for row in &rows {
            let row = SVector::<f64, 7>::from_fn(|i, _| row[i] / scales[i]);
            normal += row * row.transpose();
        }
        let decomposed = normal.symmetric_eigen();
        let largest = decomposed.eigenvalues.max();
        let least = LEAST_SINGULAR * LEAST_SINGULAR * largest;
        let rank = decomposed.eigenvalues.iter().filter(|value| **value > least).count();
        if rank < 7 {
            return Err(EncodingError::Rank { n_images: encodings.len(), rank });
        }
        // By orthogonal columns: the normal equations would lose half of the digits.
        let pseudo_inverse = pseudo_inverse(&rows, &scales);
        Ok(Self { encodings: encodings.to_vec(), rows, pseudo_inverse })
    }

    /// Number of images.
    pub fn n_images(&self) -> usize {
        self.rows.len()
    }

    /// Weightings of the images.
    pub fn encodings(&self) -> &[BMatrix] {
        &self.encodings
    }
}

/// R⁻¹Qᵀ of X = QR, with columns that are orthogonalised twice.
fn pseudo_inverse(rows: &[[f64; 7]], scales: &[f64; 7]) -> Vec<[f64; 7]> {
    let n = rows.len();
    let mut columns: Vec<Vec<f64>> =
        (0..7).map(|j| rows.iter().map(|row| row[j] / scales[j]).collect()).collect();
    let mut r = [[0.0; 7]; 7];
    for j in 0..7 {
        for _ in 0..2 {
            for i in 0..j {
                let (before, rest) = columns.split_at_mut(j);
                let along: f64 = before[i].iter().zip(&rest[0]).map(|(a, b)| a * b).sum();
                rest[0].iter_mut().zip(&before[i]).for_each(|(a, b)| *a -= along * b);
                r[i][j] += along;
            }
        }
        let length = columns[j].iter().map(|value| value * value).sum::<f64>().sqrt();
        r[j][j] = length;
        columns[j].iter_mut().for_each(|value| *value /= length);
    }
    (0..n)
        .map(|image| {
            let mut solution = [0.0; 7];
            for i in (0..7).rev() {
                let known: f64 = (i + 1..7).map(|j| r[i][j] * solution[j]).sum();
                solution[i] = (columns[i][image] - known) / r[i][i];
            }
            std::array::from_fn(|i| solution[i] / scales[i])
        })
        .collect()
}
