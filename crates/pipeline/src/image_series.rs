//! Images that belong together.

use ismrmrd::{AcquisitionHeader, ImageArray, ImageHeader, Meta, SamplingDescription, Waveform};
use ndarray::{Array3, Array5, ArrayD};
use num_complex::Complex32;

use crate::{Counter, ImageRole};

/// A stack of complex images with named axes, e.g. the inversion times of one MOLLI slice.
#[derive(Clone, Debug)]
pub struct ImageSeries {
    /// What the pixels are.
    pub role: ImageRole,
    /// Counter along axis `s`, [`None`] where it has length 1 or is not known.
    pub s: Option<Counter>,
    /// Counter along axis `n`, [`None`] where it has length 1 or is not known.
    pub n: Option<Counter>,
    /// Pixels: `[slice, s, n, channel, z, y, x]`.
    pub data: ArrayD<Complex32>,
    /// Headers: `[slice, s, n]`.
    pub headers: Array3<ImageHeader>,
    /// Meta attributes in the order of the headers.
    pub meta: Vec<Meta>,
    /// Waveforms that arrived with the data.
    pub waveforms: Vec<Waveform>,
    /// Headers of the lines behind the images: `[slice, s, n, z, y]`, all zero where no line was
    /// read.
    pub acquisition_headers: Option<Array5<AcquisitionHeader>>,
    /// How the k-space behind the images was sampled, for partial Fourier, filters and the field
    /// of view; [`None`] where that is not known.
    pub sampling: Option<SamplingDescription>,
}

impl From<ImageArray> for ImageSeries {
    fn from(array: ImageArray) -> Self {
        let role = array.meta.first().and_then(ImageRole::of).unwrap_or_default();
        Self {
            role,
            s: None,
            n: None,
            data: array.data,
            headers: array.headers,
            meta: array.meta,
            waveforms: array.waveforms.unwrap_or_default(),
            acquisition_headers: array.acquisition_headers,
            sampling: None,
        }
    }
}

impl From<ImageSeries> for ImageArray {
    fn from(series: ImageSeries) -> Self {
        Self {
            data: series.data,
            headers: series.headers,
            meta: series.meta,
            waveforms: Some(series.waveforms).filter(|waveforms| !waveforms.is_empty()),
            acquisition_headers: series.acquisition_headers,
        }
    }
}
