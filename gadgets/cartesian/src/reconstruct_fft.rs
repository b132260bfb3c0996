//! Images of fully sampled Cartesian k-space.

mod combine;

use ismrmrd::{ImageHeader, KSpaceBuffer, Meta, SamplingDescription};
use ndarray::{Array3, ArrayD, Axis};
use num_complex::Complex32;
use numerics::fft::Plan;
use pipeline::{Gadget, ImageRole, ImageSeries, KSpace, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::image_headers::{central_line, image_header};
use crate::suitability::{Suitability, Takes};
use combine::combine;

/// Inverse Fourier transform and root sum of squares over the channels.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether to cut what the encoded field of view has more than the reconstructed one (phase
    /// oversampling), so that the pixels fill the field of view that the image's header names.
    /// Gadgetron does not.
    pub crop_oversampling: bool,
    /// Whether to turn images by 180° in plane, about the pixel at the centre of the transform;
    /// their headers stay. Siemens scanners take images of raw data that way where they are marked
    /// `Keep_image_geometry`.
    pub rotate_180: bool,
    /// Whether headers get the physiological clocks and the user fields of the central readout,
    /// which gating needs. Gadgetron's do not.
    pub keep_physiology: bool,
}

/// Reconstructs Cartesian k-space: inverse transform along readout, encoding step 1 and encoding
/// step 2, then the root of the sum of squares over the channels.
pub struct ReconstructFft {
    config: Config,
    plan: Option<Plan>,
    /// Images so far, for their numbers.
    n_images: u64,
    suitability: Suitability,
}

/// Axes of the buffer: `[slice, s, n, channel, z, y, x]`.
#[derive(Clone, Copy)]
struct Shape {
    outer: [usize; 3],
    n_channels: usize,
    image: [usize; 3],
}

impl Gadget for ReconstructFft {
    const NAME: &str = "reconstruct_fft";
    const ALIASES: &'static [&'static str] = &["SimpleReconGadget"];
    const HEAVY: bool = true;
    type Config = Config;
    type Input = KSpace;
    type Output = ImageSeries; // [slice, s, n, channel = 1, z, y, x], the imaginary part 0
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let suitability = Suitability::of(scan, Takes::default());
        Ok(Self { config, plan: None, n_images: 0, suitability })
    }

    fn process(&mut self, k_space: KSpace, out: &mut Sink<Self>) -> Result<(), Error> {
        self.suitability.tell(out);
        let KSpace { s, n, data: mut buffer, waveforms, .. } = k_space;
        if buffer.data.is_empty() {
            // Calibration lines only.
            return Ok(());
        }
        let shape = Shape::of(&buffer)?;
        self.transform(&mut buffer.data);
        let window = if self.config.crop_oversampling {
            shape.field_of_view(&buffer.sampling)
        } else {
            shape.image.map(|len| (0, len))
        };
        let data = combine(&buffer.data, shape, window, self.config.rotate_180);
        let headers = self.headers(&buffer, shape, window);
        out.push(ImageSeries {
            role: ImageRole::Image,
            s,
            n,
            data,
            meta: vec![Meta::default(); headers.len()],
            headers,
            waveforms,
            acquisition_headers: Some(buffer.headers),
            sampling: Some(buffer.sampling),
        });
        Ok(())
    }
}

impl ReconstructFft {
    fn transform(&mut self, data: &mut ArrayD<Complex32>) {
        let plan = match &mut self.plan {
            Some(plan) if plan.shape() == data.shape() => plan,
            plan => plan.insert(Plan::new(data.shape(), &[Axis(4), Axis(5), Axis(6)])),
        };
        plan.inverse(data.view_mut());
    }

    /// Headers of the images: `[slice, s, n]`.
    fn headers(
        &mut self,
        buffer: &KSpaceBuffer,
        shape: Shape,
        window: [(usize, usize); 3],
    ) -> Array3<ImageHeader> {
        let [z, y, x] = window.map(|(_, len)| u16::try_from(len).unwrap_or(u16::MAX));
        Array3::from_shape_fn(shape.outer, |place| {
            self.n_images += 1;
            let line = central_line(buffer, place.into());
            let mut header = ImageHeader {
                channels: 1,
                // It has 16 bits; Gadgetron's wraps in the same way.
                image_index: self.n_images as u16,
                ..image_header(&line, &buffer.sampling, [x, y, z])
            };
            if self.config.keep_physiology {
                header.physiology_time_stamp = line.physiology_time_stamp;
                header.user_int = line.user_int;
                header.user_float = line.user_float;
            }
            header
        })
    }
}

impl Shape {
    fn of(buffer: &KSpaceBuffer) -> Result<Self, Error> {
        let shape = buffer.data.shape();
        let &[slice, s, n, n_channels, z, y, x] = shape else {
            return Err(Error::Shape(shape.to_vec()));
        };
        if buffer.headers.shape() != [slice, s, n, z, y] {
            return Err(Error::Shape(shape.to_vec()));
        }
        Ok(Self { outer: [slice, s, n], n_channels, image: [z, y, x] })
    }

    /// First pixel and number of pixels of the reconstructed field of view along `[z, y, x]`.
    fn field_of_view(self, sampling: &SamplingDescription) -> [(usize, usize); 3] {
        let mut window = self.image.map(|len| (0, len));
        for (axis, (first, len)) in window.iter_mut().rev().enumerate() {
            let encoded_mm = sampling.encoded_field_of_view_mm[axis];
            let recon_mm = sampling.recon_field_of_view_mm[axis];
            let kept = (*len as f32 * recon_mm / encoded_mm).round();
            if kept >= 1.0 && kept < *len as f32 {
                let kept = kept as usize;
                *first = *len / 2 - kept / 2;
                *len = kept;
            }
        }
        window
    }
}

/// K-space that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Axes are missing, or samples and headers do not belong together.
    #[error(
        "k-space of shape {0:?}, expected (slice, s, n, channel, encoding_step_2, \
         encoding_step_1, readout) with a header for each line"
    )]
    Shape(Vec<usize>),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "put `sort_k_space` before `reconstruct_fft`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{AcquisitionHeader, DataType, SamplingLimit};
    use ndarray::{Array5, IxDyn, s};
    use pipeline::{Counter, Message, run_gadget};

    fn buffer(shape: [usize; 7], field_of_view_mm: [f32; 3]) -> KSpaceBuffer {
        let [slices, s, n, _, e2, e1, _] = shape;
        let limit =
            |len: usize| SamplingLimit { min: 0, center: (len / 2) as u16, max: (len - 1) as u16 };
        KSpaceBuffer {
            data: ArrayD::zeros(IxDyn(&shape)),
            trajectory: None,
            density: None,
            headers: Array5::from_shape_fn([slices, s, n, e2, e1], |(slice, _, n, e2, e1)| {
                let mut header = AcquisitionHeader {
                    acquisition_time_stamp: (100 * e2 + e1) as u32,
                    position: [1.0, 2.0, slice as f32],
                    ..AcquisitionHeader::default()
                };
                header.idx.slice = slice as u16;
                header.idx.set = n as u16;
                header
            }),
            sampling: SamplingDescription {
                encoded_field_of_view_mm: field_of_view_mm,
                recon_field_of_view_mm: [60.0, 40.0, 20.0],
                limits: [limit(shape[6]), limit(e1), limit(e2)],
                ..SamplingDescription::default()
            },
        }
    }

    fn k_space(data: KSpaceBuffer) -> KSpace {
        let (s, n) = (None, Some(Counter::Set));
        KSpace { encoding_space: 0, s, n, data, reference: None, waveforms: Vec::new() }
    }

    fn run(config: Config, inputs: Vec<KSpace>) -> Vec<ImageSeries> {
        let (outputs, warnings) =
            run_gadget::<ReconstructFft>(config, &Scan::default(), inputs).expect("it runs");
        assert!(warnings.is_empty());
        outputs
            .into_iter()
            .map(|message| match message {
                Message::ImageSeries(series) => series,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect()
    }

    /// K-space of a point of `amplitude` at pixel `(z, y, x)`.
    fn point(shape: [usize; 3], pixel: [usize; 3], amplitude: f32) -> Array3<Complex32> {
        let n: usize = shape.iter().product();
        Array3::from_shape_fn(shape, |(z, y, x)| {
            let angle_rad: f64 = [z, y, x]
                .iter()
                .zip(shape)
                .zip(pixel)
                .map(|((k, n), pixel)| {
                    let (k, pixel) = (*k as f64 - (n / 2) as f64, pixel as f64 - (n / 2) as f64);
                    -std::f64::consts::TAU * k * pixel / n as f64
                })
                .sum();
            Complex32::from_polar(amplitude / (n as f32).sqrt(), angle_rad as f32)
        })
    }

    #[test]
    fn a_point_comes_out_at_its_pixel_with_the_root_sum_of_squares_of_the_channels() {
        for shape in [[1, 6, 8], [4, 6, 8], [1, 5, 7]] {
            let [z, y, x] = shape;
            let mut buffer = buffer([1, 1, 2, 2, z, y, x], [60.0, 40.0, 20.0]);
            for channel in 0..2 {
                let amplitude = [3.0, 4.0][channel];
                let samples = point(shape, [z - 1, 1, 2], amplitude);
                buffer.data.slice_mut(s![0, 0, 1, channel, .., .., ..]).assign(&samples);
            }
            let series = run(Config::default(), vec![k_space(buffer)]).remove(0);
            assert_eq!(series.data.shape(), [1, 1, 2, 1, z, y, x]);
            for (place, value) in series.data.indexed_iter() {
                let is_point = [place[2], place[4], place[5], place[6]] == [1, z - 1, 1, 2];
                let expected = if is_point { 5.0 } else { 0.0 };
                assert!((value.re - expected).abs() < 1e-5, "{place:?}: {value}");
                assert_eq!(value.im, 0.0);
            }
        }
    }

    #[test]
    fn headers_come_from_the_central_line_and_images_are_numbered_over_the_scan() {
        let buffers = [[2, 1, 2, 1, 3, 4, 4], [1, 1, 1, 1, 3, 4, 4]]
            .map(|shape| k_space(buffer(shape, [60.0, 40.0, 20.0])));
        let series = run(Config::default(), buffers.to_vec());
        let header = series[0].headers[[1, 0, 1]];
        assert_eq!({ header.acquisition_time_stamp }, 102, "e2 = 1, e1 = 2");
        assert_eq!({ header.position }, [1.0, 2.0, 1.0]);
        assert_eq!(({ header.slice }, { header.set }), (1, 1));
        assert_eq!({ header.matrix_size }, [4, 4, 3]);
        assert_eq!({ header.field_of_view }, [60.0, 40.0, 20.0]);
        assert_eq!({ header.data_type }, DataType::C32 as u16);
        assert_eq!(({ header.image_type }, { header.image_series_index }), (0, 0));
        let numbers: Vec<u16> =
            series.iter().flat_map(|series| series.headers.iter().map(|h| h.image_index)).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert_eq!(series[0].n, Some(Counter::Set));
        assert_eq!(series[0].meta.len(), 4);
    }

    #[test]
    fn a_missing_central_line_is_replaced_by_the_nearest() {
        let mut buffer = buffer([1, 1, 1, 1, 1, 6, 4], [60.0, 40.0, 20.0]);
        for e1 in [2, 3, 4] {
            buffer.headers[[0, 0, 0, 0, e1]] = bytemuck_zeroed();
        }
        let series = run(Config::default(), vec![k_space(buffer)]);
        assert_eq!({ series[0].headers[[0, 0, 0]].acquisition_time_stamp }, 1);
    }

    fn bytemuck_zeroed() -> AcquisitionHeader {
        AcquisitionHeader {
            version: 0,
            available_channels: 0,
            active_channels: 0,
            ..AcquisitionHeader::default()
        }
    }

    #[test]
    fn oversampling_of_the_phase_direction_is_cut_on_demand() {
        let cut = Config { crop_oversampling: true, ..Config::default() };
        let mut buffer = buffer([1, 1, 1, 1, 1, 8, 6], [60.0, 80.0, 20.0]);
        let samples = point([1, 8, 6], [0, 3, 1], 1.0);
        buffer.data.slice_mut(s![0, 0, 0, 0, .., .., ..]).assign(&samples);
        let series = run(cut, vec![k_space(buffer.clone())]).remove(0);
        assert_eq!(series.data.shape()[4..], [1, 4, 6]);
        assert_eq!({ series.headers[[0, 0, 0]].matrix_size }, [6, 4, 1]);
        assert!((series.data[[0, 0, 0, 0, 0, 1, 1]].re - 1.0).abs() < 1e-5);
        let whole = run(Config::default(), vec![k_space(buffer)]).remove(0);
        assert_eq!(whole.data.shape()[4..], [1, 8, 6]);
    }

    #[test]
    fn images_turn_about_the_centre_of_the_transform() {
        for (shape, pixel, expected) in [
            ([1, 8, 6], [0, 3, 1], [5, 5]),
            ([1, 5, 7], [0, 0, 6], [4, 0]),
            ([1, 8, 6], [0, 0, 0], [0, 0]),
        ] {
            let [z, y, x] = shape;
            let mut buffer = buffer([1, 1, 1, 1, z, y, x], [60.0, 40.0, 20.0]);
            let samples = point(shape, pixel, 1.0);
            buffer.data.slice_mut(s![0, 0, 0, 0, .., .., ..]).assign(&samples);
            let config = Config { rotate_180: true, ..Config::default() };
            let series = run(config, vec![k_space(buffer)]).remove(0);
            let value = series.data[[0, 0, 0, 0, 0, expected[0], expected[1]]];
            assert!((value.re - 1.0).abs() < 1e-5, "{shape:?} {pixel:?}");
        }
    }

    #[test]
    fn calibration_alone_gives_no_image_and_other_shapes_are_refused() {
        let mut empty = buffer([1, 1, 1, 1, 1, 2, 2], [60.0, 40.0, 20.0]);
        empty.data = ArrayD::zeros(IxDyn(&[0; 7]));
        assert!(run(Config::default(), vec![k_space(empty)]).is_empty());
        let mut flat = buffer([1, 1, 1, 1, 1, 2, 2], [60.0, 40.0, 20.0]);
        flat.data = ArrayD::zeros(IxDyn(&[2, 2]));
        let error =
            run_gadget::<ReconstructFft>(Config::default(), &Scan::default(), [k_space(flat)])
                .expect_err("axes are missing");
        assert_eq!(error, Error::Shape(vec![2, 2]));
    }
}
