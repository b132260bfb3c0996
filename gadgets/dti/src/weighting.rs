//! What meta attributes say of an image's weighting, between the gadgets of this crate, and what a
//! series can lack.

use ismrmrd::Meta;
use ndarray::{Array3, s};
use numerics::diffusion::{BMatrix, EncodingError};
use pipeline::{ImageSeries, Remedy};

/// Meta attribute: b-matrix xx, xy, xz, yy, yz, zz in the axes of the image, s/mm².
pub const B_MATRIX_KEY: &str = "BoresideBMatrix";
/// Meta attribute: why an image is to be left out of the fit.
pub const REJECTED_KEY: &str = "BoresideRejected";

/// Writes a weighting.
pub fn write(meta: &mut Meta, encoding: &BMatrix) {
    let elements = encoding.0.map(|element| format!("{:.9}", 1e3 * element));
    meta.set(B_MATRIX_KEY, elements.join(" "));
}

/// Reads a weighting that [`write`] wrote.
pub fn read(meta: &Meta) -> Option<BMatrix> {
    let text = meta.get(B_MATRIX_KEY)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let elements: [f64; 6] = numbers.try_into().ok()?;
    Some(BMatrix(elements.map(|element| 1e-3 * element)))
}

/// Weightings of all images along `n` of a series of one slice.
///
/// # Errors
/// [`SeriesError::NoWeighting`]: an image has none.
pub(crate) fn of_series(series: &ImageSeries) -> Result<Vec<BMatrix>, SeriesError> {
    let encodings = (0..series.headers.len()).map(|image| series.meta.get(image).and_then(read));
    encodings.collect::<Option<_>>().ok_or(SeriesError::NoWeighting)
}

/// Magnitudes of one plane of a series of one slice and channel: `[image, y, x]`.
pub(crate) fn magnitudes(series: &ImageSeries, z: usize) -> Array3<f32> {
    let shape = series.data.shape();
    Array3::from_shape_fn((shape[2], shape[5], shape[6]), |(n, y, x)| {
        series.data[[0, 0, n, 0, z, y, x]].norm()
    })
}

/// Edges of a pixel y and x, mm; 1 where the header does not say.
pub(crate) fn pixel_mm(series: &ImageSeries) -> [f64; 2] {
    let header = series.headers.first().copied().unwrap_or_default();
    let (field_of_view, shape) = (header.field_of_view, series.data.shape());
    let edge = |extent: f32, n: usize| {
        let edge = f64::from(extent) / n.max(1) as f64;
        if edge.is_finite() && edge > 0.0 { edge } else { 1.0 }
    };
    [edge(field_of_view[1], shape[5]), edge(field_of_view[0], shape[6])]
}

/// Only some images of a series of one slice.
pub(crate) fn images_of(magnitudes: &Array3<f32>, kept: &[usize]) -> Array3<f32> {
    let (_, n_y, n_x) = magnitudes.dim();
    let mut images = Array3::zeros((kept.len(), n_y, n_x));
    for (target, &image) in kept.iter().enumerate() {
        images.slice_mut(s![target, .., ..]).assign(&magnitudes.slice(s![image, .., ..]));
    }
    images
}

/// Why a gadget cannot work on a series of weighted images.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SeriesError {
    /// A property without sense.
    #[error("`{name}` is {value}, it has to be {allowed}")]
    Property {
        /// Its name.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What it may be, in words.
        allowed: &'static str,
    },
    /// Images without weighting.
    #[error("the images do not say how they are weighted")]
    NoWeighting,
    /// Weightings that tell no tensor.
    #[error(transparent)]
    Encodings(#[from] EncodingError),
}

impl Remedy for SeriesError {
    fn remedy(&self) -> &str {
        match self {
            Self::Property { .. } => "correct the property, or leave it out",
            Self::NoWeighting => "put `assemble_diffusion` before",
            Self::Encodings(_) => {
                "acquire at least 6 directions and an image without weighting, or leave out fewer"
            }
        }
    }
}
