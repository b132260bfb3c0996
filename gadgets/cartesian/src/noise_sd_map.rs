//! Noise from the fluctuation of a series.

use ndarray::{ArrayD, Axis, s};
use num_complex::Complex32;
use pipeline::{Gadget, ImageRole, ImageSeries, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sampled_images::{SeriesError, shape};

/// Makes maps of the standard deviation over the images of a series.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// First image along `n` that counts: earlier ones may not be in the steady state.
    #[serde(alias = "start_N_for_std_map")]
    pub start_n: usize,
    /// Whether to divide by one less than the number of images, so that few images do not make
    /// the noise too small. Gadgetron divides by their number.
    pub unbiased: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { start_n: 5, unbiased: false }
    }
}

/// Passes every series on; after one in units of SNR, gives the standard deviation of its
/// magnitude along `n`. It is 1 where there is nothing but noise and signal well above it.
pub struct NoiseSdMap {
    config: Config,
    told: bool,
}

impl Gadget for NoiseSdMap {
    const NAME: &str = "noise_sd_map";
    const ALIASES: &'static [&'static str] = &["GenericReconNoiseStdMapComputingGadget"];
    type Config = Config;
    type Input = ImageSeries; // [slice, s, n, channel, z, y, x]
    type Output = ImageSeries; // the same, and [slice, s, 1, channel, z, y, x]
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        Ok(Self { config, told: false })
    }

    fn process(&mut self, series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let n_images = shape(&series)?[2];
        if series.role != ImageRole::SnrMap {
            out.push(series);
            return Ok(());
        }
        if n_images < self.config.start_n.saturating_add(2) {
            if !std::mem::replace(&mut self.told, true) {
                let needed = self.config.start_n.saturating_add(2);
                out.warn(
                    format!("a noise map needs {needed} images or more, a series has {n_images}"),
                    "acquire more repetitions, or lower `start_n`",
                );
            }
            out.push(series);
            return Ok(());
        }
        let map = self.map(&series);
        out.push(series);
        out.push(map);
        Ok(())
    }
}

impl NoiseSdMap {
    fn map(&self, series: &ImageSeries) -> ImageSeries {
        let images = series.data.slice_axis(Axis(2), (self.config.start_n..).into());
        let n = images.len_of(Axis(2)) as f32;
        let divisor = if self.config.unbiased { n - 1.0 } else { n };
        // Mean, then the squared distances: the magnitudes are large against their fluctuation.
        let mut dim = images.shape().to_vec();
        dim[2] = 1;
        let mut mean = ArrayD::<f32>::zeros(dim.clone());
        let mut power = ArrayD::<f32>::zeros(dim);
        for image in images.axis_chunks_iter(Axis(2), 1) {
            mean.zip_mut_with(&image, |mean, value| *mean += value.norm());
        }
        mean.mapv_inplace(|sum| sum / n);
        for image in images.axis_chunks_iter(Axis(2), 1) {
            ndarray::Zip::from(&mut power)
                .and(&mean)
                .and(&image)
                .for_each(|power, mean, value| *power += (value.norm() - mean).powi(2));
        }
        let data = power.mapv(|sum| Complex32::from((sum / divisor).sqrt()));

        let mut headers = series.headers.slice(s![.., .., ..1]).to_owned();
        for header in &mut headers {
            header.image_series_index = header.image_series_index.saturating_mul(10);
        }
        let n_all = series.headers.len_of(Axis(2));
        let mut meta: Vec<_> = series.meta.iter().step_by(n_all).cloned().collect();
        for meta in &mut meta {
            ImageRole::NoiseSd.write(meta);
            meta.set_all("GADGETRON_ImageComment", ["GT", "SNR", "STD_MAP"]);
            meta.set_all("ImageComments", ["SNR", "STD_MAP"]);
            meta.set("GADGETRON_SeqDescription", "_STD_MAP");
            meta.set("SequenceDescriptionAdditional", "STD_MAP");
            meta.set("Use_dedicated_scaling_factor", 1);
        }
        ImageSeries {
            role: ImageRole::NoiseSd,
            s: series.s,
            n: None,
            data,
            headers,
            meta,
            waveforms: Vec::new(),
            acquisition_headers: None,
            sampling: series.sampling,
        }
    }
}

/// A series that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] SeriesError);

impl Remedy for Error {
    fn remedy(&self) -> &str {
        SeriesError::REMEDY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled_images::testing::{self, noise};
    use ndarray::IxDyn;
    use pipeline::run_gadget;

    fn snr_series(n: usize) -> ImageSeries {
        let shape = [2, 1, n, 1, 1, 12, 10];
        let mut series = testing::series(shape);
        series.role = ImageRole::SnrMap;
        let pixels = noise(shape.iter().product());
        series.data = ArrayD::from_shape_vec(IxDyn(&shape), pixels).expect("as many pixels");
        series.data.mapv_inplace(|value| value + Complex32::new(30.0, 40.0));
        // Images before the steady state.
        series.data.slice_axis_mut(Axis(2), (0..5).into()).mapv_inplace(|value| value * 3.0);
        for (place, header) in series.headers.indexed_iter_mut() {
            header.image_series_index = 300;
            (header.slice, header.repetition) = (place.0 as u16, place.2 as u16);
        }
        series
    }

    #[test]
    fn unit_noise_gives_a_map_of_1_for_each_slice() {
        let config = Config { unbiased: true, ..Config::default() };
        let outputs = testing::run::<NoiseSdMap>(config, &Scan::default(), snr_series(205));
        let [source, map] = &outputs[..] else { panic!("{} series", outputs.len()) };
        assert_eq!(source.role, ImageRole::SnrMap);
        assert_eq!(map.role, ImageRole::NoiseSd);
        assert_eq!(map.data.shape(), [2, 1, 1, 1, 1, 12, 10]);
        // 200 images: a pixel within 5 %, the mean of 240 within 0.4 %.
        let mean = map.data.iter().map(|value| value.re).sum::<f32>() / 240.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert_eq!(map.meta.len(), 2);
        assert_eq!({ map.headers[[1, 0, 0]].image_series_index }, 3000);
        assert_eq!({ map.headers[[1, 0, 0]].slice }, 1);
        assert_eq!(map.meta[1].get("GADGETRON_DataRole"), Some("STD_MAP"));
        assert_eq!(map.meta[1].get("DataRole"), Some("Quantitative"));
    }

    #[test]
    fn gadgetron_divides_by_the_number_of_images() {
        let of = |unbiased| {
            let config = Config { unbiased, ..Config::default() };
            testing::run::<NoiseSdMap>(config, &Scan::default(), snr_series(9)).remove(1).data
        };
        for (biased, unbiased) in of(false).iter().zip(&of(true)) {
            assert!((biased.re / unbiased.re - (3.0_f32 / 4.0).sqrt()).abs() < 1e-5);
        }
    }

    #[test]
    fn other_series_pass_and_too_few_images_are_told_once() {
        let image = testing::series([1, 1, 9, 1, 1, 4, 4]);
        let outputs = testing::run::<NoiseSdMap>(Config::default(), &Scan::default(), image);
        assert_eq!(outputs.len(), 1);
        let inputs = [snr_series(6), snr_series(6)];
        let (outputs, reports) =
            run_gadget::<NoiseSdMap>(Config::default(), &Scan::default(), inputs).expect("it runs");
        assert_eq!((outputs.len(), reports.len()), (2, 1));
        assert_eq!(reports[0], "a noise map needs 7 images or more, a series has 6");
    }
}
