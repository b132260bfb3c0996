//! The diffusion tensor: fits to diffusion-weighted images, its eigenvalues and eigenvectors, and
//! the angles of fibres and sheetlets in the wall of the heart.
//!
//! Tensors are six elements in the order xx, xy, xz, yy, yz, zz in the axes of the image: x to the
//! right, y down, z away from the viewer. Diffusivities are in µm²/ms, b-values in s/mm²; a
//! b-value of 1000 s/mm² is 1 ms/µm².

mod angles;
mod averages;
mod eigen;
mod encoding;
mod fit;
mod linear;
mod logarithm;
mod motion;
mod rejection;
mod scalars;
mod slope;
#[cfg(test)]
mod tests;
mod uncertainty;
mod wall;

pub use angles::{FibreAngles, WallAxes, fibre_angles, fractional_angle};
pub use averages::{Averages, NoisyTensor};
pub use eigen::{Eigen, eigen};
pub use encoding::{BMatrix, EncodingError, TensorPlan};
pub use fit::{FitMethod, Parameters, PixelFit, each_pixel};
pub use linear::LinearFit;
pub use motion::{DiffusionMotion, MotionOptions, register_diffusion};
pub use rejection::outliers;
pub use scalars::{fractional_anisotropy, mean_diffusivity, mode};
pub use slope::{SlopeOptions, helix_slope_percent};
pub use uncertainty::{Uncertainty, uncertainty};
pub use wall::{Wall, WallError, find_wall};
