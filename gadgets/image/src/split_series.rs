//! Single images from series.

use ismrmrd::Image;
use ndarray::{Array4, Axis};
use pipeline::{Gadget, ImageSeries, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Gives the images of a series one by one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Gives the images of a series one by one: `n` fastest, then `s`, then the slice.
pub struct SplitSeries;

impl Gadget for SplitSeries {
    const NAME: &str = "split_series";
    const ALIASES: &'static [&'static str] = &["ImageArraySplitGadget"];
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, channel, z, y, x]
    type Output = Image; // [channel, z, y, x]
    type Error = Error;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Error> {
        Ok(Self)
    }

    fn process(&mut self, series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let ImageSeries { data, headers, meta, .. } = series;
        let shape = data.shape().to_vec();
        let &[n_slices, n_s, n_n, channels, z, y, x] = &shape[..] else {
            return Err(Error { shape, headers: headers.shape().to_vec() });
        };
        if headers.dim() != (n_slices, n_s, n_n) {
            return Err(Error { shape, headers: headers.shape().to_vec() });
        }
        let mut meta = meta.into_iter();
        let n_images = headers.len();
        let images = data
            .into_shape_clone((n_images, channels, z, y, x))
            .map_err(|_| Error { shape, headers: headers.shape().to_vec() })?;
        if let (1, Some(header)) = (n_images, headers.first()) {
            let pixels = images.index_axis_move(Axis(0), 0);
            out.push(Image::new(*header, meta.next().unwrap_or_default(), pixels));
            return Ok(());
        }
        for (header, pixels) in headers.into_iter().zip(images.outer_iter()) {
            let pixels: Array4<_> = pixels.to_owned();
            out.push(Image::new(header, meta.next().unwrap_or_default(), pixels));
        }
        Ok(())
    }
}

/// A series whose parts do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "images of shape {shape:?} with headers of shape {headers:?}, expected (slice, s, n, channel, \
     z, y, x) with a header for each image"
)]
pub struct Error {
    shape: Vec<usize>,
    headers: Vec<usize>,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "correct the gadget or the client that made the series"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta, Pixels};
    use ndarray::{Array3, ArrayD, IxDyn};
    use num_complex::Complex32;
    use pipeline::{ImageRole, Message, run_gadget};

    fn series(outer: [usize; 3]) -> ImageSeries {
        let [slices, s, n] = outer;
        ImageSeries {
            role: ImageRole::Image,
            s: None,
            n: None,
            data: ArrayD::from_shape_fn(IxDyn(&[slices, s, n, 1, 1, 2, 3]), |place| {
                Complex32::from((100 * place[0] + 10 * place[1] + place[2]) as f32)
            }),
            headers: Array3::from_shape_fn(outer, |(slice, s, n)| ImageHeader {
                slice: slice as u16,
                set: s as u16,
                contrast: n as u16,
                ..ImageHeader::default()
            }),
            meta: (0..slices * s * n).map(|n| Meta::from_iter([("number", n)])).collect(),
            waveforms: Vec::new(),
            acquisition_headers: None,
            sampling: None,
        }
    }

    fn split(series: ImageSeries) -> Result<Vec<Image>, Error> {
        let (outputs, _) = run_gadget::<SplitSeries>(Config {}, &Scan::default(), [series])?;
        let images = outputs
            .into_iter()
            .map(|message| match message {
                Message::Image(image) => image,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect();
        Ok(images)
    }

    #[test]
    fn n_is_fastest_then_s_then_the_slice_and_header_and_meta_stay_with_the_pixels() {
        for outer in [[2, 3, 2], [1, 1, 1]] {
            let images = split(series(outer)).expect("it splits");
            let mut expected = Vec::new();
            for slice in 0..outer[0] {
                for s in 0..outer[1] {
                    for n in 0..outer[2] {
                        expected.push((slice, s, n));
                    }
                }
            }
            assert_eq!(images.len(), expected.len());
            for (number, (image, (slice, s, n))) in images.iter().zip(expected).enumerate() {
                let header = image.header;
                let counters = [{ header.slice }, { header.set }, { header.contrast }];
                assert_eq!(counters.map(usize::from), [slice, s, n]);
                assert_eq!({ header.matrix_size }, [3, 2, 1]);
                assert_eq!(image.meta.get_i64("number"), Some(number as i64));
                let Pixels::C32(pixels) = &image.pixels else { panic!("complex pixels") };
                assert_eq!(pixels[[0, 0, 1, 2]].re, (100 * slice + 10 * s + n) as f32);
            }
        }
    }

    #[test]
    fn a_series_whose_headers_are_not_those_of_its_images_is_refused() {
        let mut wrong = series([1, 1, 2]);
        wrong.headers = Array3::default((1, 1, 3));
        assert!(split(wrong).is_err());
        let mut wrong = series([1, 1, 2]);
        wrong.data = ArrayD::zeros(IxDyn(&[2, 2]));
        assert!(split(wrong).is_err());
        let mut short = series([1, 1, 2]);
        short.meta.clear();
        assert_eq!(split(short).expect("no meta is no fault").len(), 2);
    }
}
