//! Images of every channel.

use ismrmrd::{Image, ImageHeader, Meta};
use ndarray::{Array4, Axis};
use num_complex::Complex32;
use numerics::fft::Plan;
use pipeline::{Gadget, KSpace, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::image_headers::{central_line, image_header};
use crate::lines::{BackwardLines, BufferShape, BufferShapeError, into_standard_layout};
use crate::suitability::{Suitability, Takes};

/// Inverse Fourier transform of each channel.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Gives the images of all channels, each buffer's one by one: `n` fastest, then `s`, then the
/// slice.
pub struct TransformKSpace {
    plan: Option<Plan>,
    /// Images so far, for their numbers.
    n_images: u64,
    backward: BackwardLines,
    suitability: Suitability,
}

impl Gadget for TransformKSpace {
    const NAME: &str = "transform_k_space";
    const ALIASES: &'static [&'static str] = &["FFTGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace; // [slice, s, n, channel, encoding_step_2, encoding_step_1, readout]
    type Output = Image; // [channel, z, y, x]
    type Error = Error;

    fn new(_config: Config, scan: &Scan) -> Result<Self, Error> {
        let takes = Takes { echo_planar: true, ..Takes::default() };
        let suitability = Suitability::of(scan, takes);
        Ok(Self { plan: None, n_images: 0, backward: BackwardLines::default(), suitability })
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        let mut buffer = k_space.data;
        if buffer.data.is_empty() {
            // Calibration lines only.
            return Ok(());
        }
        self.suitability.tell(out);
        let shape = BufferShape::of(&buffer)?;
        if let Some((what, remedy)) = self.backward.complaint(&buffer) {
            out.warn(what, remedy);
        }
        buffer.data = into_standard_layout(buffer.data);
        let plan = match &mut self.plan {
            Some(plan) if plan.shape() == buffer.data.shape() => plan,
            plan => plan.insert(Plan::new(buffer.data.shape(), &[Axis(4), Axis(5), Axis(6)])),
        };
        plan.inverse(buffer.data.view_mut());
        let [z, y, x] = shape.k_space;
        let matrix_size = [x, y, z].map(|len| u16::try_from(len).unwrap_or(u16::MAX));
        for [slice, s, n] in shape.images() {
            self.n_images += 1;
            let line = central_line(&buffer, [slice, s, n]);
            let header = ImageHeader {
                channels: u16::try_from(shape.n_channels).unwrap_or(u16::MAX),
                // It has 16 bits; Gadgetron's wraps in the same way.
                image_index: self.n_images as u16,
                ..image_header(&line, &buffer.sampling, matrix_size)
            };
            let place = ndarray::s![slice, s, n, .., .., .., ..];
            let pixels: Array4<Complex32> = buffer.data.slice(place).to_owned();
            out.push(Image::new(header, Meta::new(), pixels));
        }
        Ok(())
    }
}

/// K-space that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] BufferShapeError);

impl Remedy for Error {
    fn remedy(&self) -> &str {
        BufferShapeError::REMEDY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{AcquisitionFlags, AcquisitionHeader, KSpaceBuffer, Pixels, SamplingDescription};
    use ndarray::{Array5, ArrayD, IxDyn};
    use pipeline::{Message, run_gadget};

    fn k_space(shape: &[usize]) -> KSpace {
        let data = KSpaceBuffer {
            // The centre of k-space only: an even image of the channel's number.
            data: ArrayD::from_shape_fn(IxDyn(shape), |place| {
                let is_center = place[4] == 0 && place[5] == 2 && place[6] == 3;
                let value = (10 * place[0] + place[3] + 1) as f32;
                Complex32::from(if is_center { value * 24.0_f32.sqrt() } else { 0.0 })
            }),
            trajectory: None,
            density: None,
            headers: Array5::from_shape_fn((2, 1, 2, 1, 4), |(slice, _, n, _, _)| {
                let mut header = AcquisitionHeader::default();
                header.idx.slice = slice as u16;
                header.idx.repetition = n as u16;
                header
            }),
            sampling: SamplingDescription::default(),
        };
        KSpace { encoding_space: 0, s: None, n: None, data, reference: None, waveforms: vec![] }
    }

    #[test]
    fn every_channel_has_its_image() {
        let inputs = [k_space(&[2, 1, 2, 3, 1, 4, 6])];
        let (outputs, _) = run_gadget::<TransformKSpace>(Config {}, &Scan::default(), inputs)
            .expect("the axes are right");
        assert_eq!(outputs.len(), 4);
        for (number, output) in outputs.into_iter().enumerate() {
            let Message::Image(image) = output else { panic!("an image comes out") };
            let header = image.header;
            assert_eq!(usize::from(header.image_index), number + 1);
            assert_eq!(
                [header.slice, header.repetition].map(usize::from),
                [number / 2, number % 2]
            );
            assert_eq!(({ header.channels }, { header.matrix_size }), (3, [6, 4, 1]));
            let Pixels::C32(pixels) = image.pixels else { panic!("complex pixels") };
            for ((channel, ..), value) in pixels.indexed_iter() {
                let expected = (10 * (number / 2) + channel + 1) as f32;
                assert!((value - Complex32::from(expected)).norm() < 1e-5);
            }
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let mut flat = k_space(&[2, 1, 2, 3, 1, 4, 6]);
        flat.data.data = ArrayD::ones(IxDyn(&[2, 2]));
        let error = run_gadget::<TransformKSpace>(Config {}, &Scan::default(), [flat]);
        assert!(error.is_err());
    }

    #[test]
    fn lines_that_run_backwards_are_told_once() {
        let mut backward = k_space(&[2, 1, 2, 3, 1, 4, 6]);
        backward.data.headers[[1, 0, 0, 0, 3]].flags = AcquisitionFlags::IS_REVERSE;
        let inputs = [backward.clone(), backward];
        let (outputs, warnings) =
            run_gadget::<TransformKSpace>(Config {}, &Scan::default(), inputs).expect("it runs");
        assert_eq!((outputs.len(), warnings.len()), (8, 1));
        assert!(warnings[0].contains("backwards"), "{warnings:?}");
    }
}
