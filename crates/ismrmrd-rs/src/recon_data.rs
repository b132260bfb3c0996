//! What Gadgetron's chains exchange between readouts and images: buckets of readouts, sorted
//! k-space and image arrays. They travel as messages 1050, 1023 and 1024.

use bytemuck::{Pod, Zeroable};
use ndarray::{Array3, Array5, ArrayD};
use num_complex::Complex32;

use crate::{Acquisition, AcquisitionHeader, Image, ImageHeader, Meta, Waveform};

/// Readouts that belong together, in the order of their arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Readouts of the image, those for calibration and imaging among them.
    pub data: Vec<Acquisition>,
    /// Readouts for calibration, those for calibration and imaging among them.
    pub reference: Vec<Acquisition>,
    /// Waveforms that arrived with them.
    pub waveforms: Vec<Waveform>,
}

/// Range of sampled positions along one axis, in units of the encoded matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct SamplingLimit {
    /// First sampled position.
    pub min: u16,
    /// Centre of k-space.
    pub center: u16,
    /// Last sampled position.
    pub max: u16,
}

/// How k-space was sampled. 56 bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct SamplingDescription {
    /// Encoded field of view along x, y, z, mm.
    pub encoded_field_of_view_mm: [f32; 3],
    /// Field of view of the image along x, y, z, mm.
    pub recon_field_of_view_mm: [f32; 3],
    /// Encoded matrix along x, y, z.
    pub encoded_matrix_size: [u16; 3],
    /// Matrix of the image along x, y, z.
    pub recon_matrix_size: [u16; 3],
    /// Sampled range along readout, encoding step 1 and encoding step 2.
    pub limits: [SamplingLimit; 3],
    #[doc(hidden)]
    pub _padding: u16,
}

const _: () = {
    assert!(size_of::<SamplingDescription>() == 56);
    assert!(std::mem::offset_of!(SamplingDescription, limits) == 36);
};

/// Sorted k-space of one encoding space. Empty places are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct KSpaceBuffer {
    /// Samples: `[slice, s, n, channel, encoding_step_2, encoding_step_1, readout]`.
    pub data: ArrayD<Complex32>,
    /// Positions: `[slice, s, n, encoding_step_2, encoding_step_1, readout, dimension]`.
    pub trajectory: Option<ArrayD<f32>>,
    /// Density compensation: `[slice, s, n, encoding_step_2, encoding_step_1, readout]`.
    pub density: Option<ArrayD<f32>>,
    /// Header of each line: `[slice, s, n, encoding_step_2, encoding_step_1]`, all zero where no
    /// line was read.
    pub headers: Array5<AcquisitionHeader>,
    /// How it was sampled.
    pub sampling: SamplingDescription,
}

/// Imaging and calibration data of one encoding space.
#[derive(Clone, Debug, PartialEq)]
pub struct ReconBit {
    /// Imaging data.
    pub data: KSpaceBuffer,
    /// Calibration data.
    pub reference: Option<KSpaceBuffer>,
}

/// Images that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageArray {
    /// Pixels: `[slice, s, n, channel, z, y, x]`.
    pub data: ArrayD<Complex32>,
    /// Headers: `[slice, s, n]`.
    pub headers: Array3<ImageHeader>,
    /// Meta attributes in the order of the headers.
    pub meta: Vec<Meta>,
    /// Waveforms that arrived with the data.
    pub waveforms: Option<Vec<Waveform>>,
    /// Headers of the lines behind the images: `[slice, s, n, z, y]`.
    pub acquisition_headers: Option<Array5<AcquisitionHeader>>,
}

impl ImageArray {
    /// The images one by one, in the order of the headers; none where pixels and headers do not fit
    /// together.
    pub fn to_images(&self) -> Vec<Image> {
        let &[slices, s, n, channels, z, y, x] = self.data.shape() else { return Vec::new() };
        if self.headers.dim() != (slices, s, n) {
            return Vec::new();
        }
        let shape = (slices * s * n, channels, z, y, x);
        let Ok(pixels) = self.data.view().into_shape_with_order(shape) else { return Vec::new() };
        let images = self.headers.iter().zip(pixels.outer_iter()).enumerate();
        images
            .map(|(index, (header, pixels))| {
                let meta = self.meta.get(index).cloned().unwrap_or_default();
                Image::new(*header, meta, pixels.to_owned())
            })
            .collect()
    }
}
