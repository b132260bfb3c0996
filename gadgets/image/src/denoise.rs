//! Denoising.

use ismrmrd::{Image, Pixels};
use ndarray::{ArrayViewMut2, Axis};
use num_complex::Complex32;
use numerics::denoise::{non_local_bayes, non_local_means};
use pipeline::{Gadget, ImageRole, ImageSeries, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Denoises images by what looks alike in them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Standard deviation of the noise in the real and in the imaginary part: 1 for images in
    /// SNR units.
    pub image_std: f32,
    /// Pixels to each side of a pixel that are searched for the like.
    #[schemars(range(min = 2, max = 50))]
    pub search_radius: usize,
    /// How.
    pub denoiser: Denoiser,
}

impl Default for Config {
    fn default() -> Self {
        Self { image_std: 1.0, search_radius: 25, denoiser: Denoiser::NonLocalBayes }
    }
}

/// Methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Denoiser {
    /// Groups of patches as samples of a normal distribution.
    NonLocalBayes,
    /// Means weighted by likeness.
    NonLocalMeans,
}

pipeline::message_set! {
    /// An image, or a series.
    pub enum Images { Image, ImageSeries }
}

/// Denoises each image for itself. Maps and images of integers pass.
pub struct Denoise(Config);

impl Gadget for Denoise {
    const NAME: &str = "denoise";
    const ALIASES: &'static [&'static str] = &["DenoiseGadget"];
    const HEAVY: bool = true;
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = Images;
    type Output = Images;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        let Config { image_std, search_radius, .. } = config;
        if !(image_std.is_finite() && image_std >= 0.0 && (2..=50).contains(&search_radius)) {
            return Err(Error { image_std, search_radius });
        }
        Ok(Self(config))
    }

    fn process(&mut self, mut images: Images, out: &mut Sink<Self>) -> Result<(), Error> {
        match &mut images {
            Images::Image(image) => {
                if ImageRole::of(&image.meta).unwrap_or_default().is_image() {
                    self.denoise_image(image);
                }
            }
            Images::ImageSeries(series) => {
                if series.role.is_image() {
                    self.denoise_series(series);
                }
            }
        }
        out.push(images);
        Ok(())
    }
}

impl Denoise {
    fn denoise_image(&self, image: &mut Image) {
        let has_rule = match &mut image.pixels {
            Pixels::C32(pixels) => {
                for mut volume in pixels.outer_iter_mut() {
                    volume.outer_iter_mut().for_each(|plane| self.denoise_plane(plane));
                }
                true
            }
            Pixels::F32(pixels) => {
                for mut volume in pixels.outer_iter_mut() {
                    volume.outer_iter_mut().for_each(|plane| self.denoise_real_plane(plane));
                }
                true
            }
            _ => false,
        };
        if has_rule {
            image.meta.append("ImageProcessingHistory", "DENOISE");
        }
    }

    fn denoise_series(&self, series: &mut ImageSeries) {
        let shape = series.data.shape();
        let Some(&[y, x]) = shape.last_chunk() else { return };
        let n_planes = series.data.len() / (y * x).max(1);
        if let Ok(mut planes) = series.data.view_mut().into_shape_with_order((n_planes, y, x)) {
            planes.axis_iter_mut(Axis(0)).for_each(|plane| self.denoise_plane(plane));
        }
        for meta in &mut series.meta {
            meta.append("ImageProcessingHistory", "DENOISE");
        }
    }

    /// Real pixels have the noise of one part only.
    fn denoise_real_plane(&self, mut plane: ArrayViewMut2<'_, f32>) {
        let complex = plane.mapv(|value| Complex32::new(value, 0.0));
        let variance = self.0.image_std * self.0.image_std;
        plane.assign(&self.run(complex.view(), variance).mapv(|value| value.re));
    }

    fn denoise_plane(&self, mut plane: ArrayViewMut2<'_, Complex32>) {
        let denoised = self.run(plane.view(), 2.0 * self.0.image_std * self.0.image_std);
        plane.assign(&denoised);
    }

    fn run(
        &self,
        plane: ndarray::ArrayView2<'_, Complex32>,
        variance: f32,
    ) -> ndarray::Array2<Complex32> {
        let search_width = 2 * self.0.search_radius + 1;
        match self.0.denoiser {
            Denoiser::NonLocalBayes => non_local_bayes(plane, variance, search_width),
            Denoiser::NonLocalMeans => non_local_means(plane, variance, search_width),
        }
    }
}

/// Properties without sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("noise of {image_std} cannot be taken out by a search of {search_radius} pixels")]
pub struct Error {
    image_std: f32,
    search_radius: usize,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "set `image_std` to 0 or more and `search_radius` to 2 to 50"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::{Array3, Array4, ArrayD, IxDyn};
    use pipeline::{Message, run_gadget};

    /// A chequerboard of ±1, the noise, on an edge.
    fn value(y: usize, x: usize) -> f32 {
        let noise = if (3 * y * y + 5 * x + x * y) % 7 < 3 { 1.0 } else { -1.0 };
        noise + if x < 12 { 10.0 } else { 40.0 }
    }

    fn config() -> Config {
        Config { search_radius: 5, ..Config::default() }
    }

    fn run(images: impl Into<Images>) -> Message {
        let (mut outputs, _) =
            run_gadget::<Denoise>(config(), &Scan::default(), [images.into()]).expect("it runs");
        outputs.remove(0)
    }

    #[test]
    fn images_and_series_lose_their_noise_and_keep_header_and_meta() {
        let header = ImageHeader { slice: 3, ..ImageHeader::default() };
        let meta = Meta::from_iter([("key", "value")]);
        let pixels = Array4::from_shape_fn((1, 1, 24, 24), |(.., y, x)| value(y, x));
        let image = Image::new(header, meta.clone(), pixels);
        let Message::Image(denoised) = run(image.clone()) else { panic!("an image") };
        let Pixels::F32(pixels) = &denoised.pixels else { panic!("floats stay floats") };
        let error = |left: f32, right: f32| (left - 10.0).abs().max((right - 40.0).abs());
        // Away from the edge: the mean of the noise there is not exactly 0.
        assert!(error(pixels[[0, 0, 12, 5]], pixels[[0, 0, 12, 18]]) < 0.6);
        assert_eq!({ denoised.header.slice }, 3);
        assert_eq!(denoised.meta.get("key"), Some("value"));
        assert_eq!(denoised.meta.get("ImageProcessingHistory"), Some("DENOISE"));

        let data = ArrayD::from_shape_fn(IxDyn(&[1, 1, 1, 1, 1, 24, 24]), |place| {
            Complex32::new(value(place[5], place[6]), value(place[6], place[5]))
        });
        let series = ImageSeries {
            role: ImageRole::Image,
            s: None,
            n: None,
            data,
            headers: Array3::from_elem((1, 1, 1), header),
            meta: vec![meta],
            waveforms: Vec::new(),
            acquisition_headers: None,
            sampling: None,
        };
        let Message::ImageSeries(denoised) = run(series.clone()) else { panic!("a series") };
        let pixel = denoised.data[[0, 0, 0, 0, 0, 18, 5]];
        assert!(error(pixel.re, pixel.im) < 0.9, "{pixel}");
        assert_eq!(denoised.meta[0].get("key"), Some("value"));

        let map = ImageSeries { role: ImageRole::GFactor, ..series };
        let Message::ImageSeries(passed) = run(map.clone()) else { panic!("a series") };
        assert_eq!(passed.data, map.data, "maps pass");
    }

    #[test]
    fn integers_pass() {
        let pixels = Array4::from_elem((1, 1, 8, 8), 7_u16);
        let image = Image::new(ImageHeader::default(), Meta::new(), pixels);
        let Message::Image(passed) = run(image.clone()) else { panic!("an image") };
        assert_eq!(passed, image);
    }

    #[test]
    fn properties_without_sense_are_refused() {
        for config in [
            Config { image_std: f32::NAN, ..config() },
            Config { search_radius: 0, ..config() },
            Config { search_radius: 5000, ..config() },
        ] {
            assert!(Denoise::new(config, &Scan::default()).is_err());
        }
    }
}
