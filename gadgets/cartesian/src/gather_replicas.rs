//! The noise of an image from noisy copies of its k-space.

use std::collections::BTreeMap;

use ismrmrd::{Image, ImageHeader, ImageType, Meta, Pixels};
use ndarray::{Array4, Zip};
use num_complex::Complex32;
use pipeline::{Gadget, ImageRole, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Makes one map of the noise from an image and its noisy copies.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Noisy copies of each image: as many as `pseudo_replica` makes.
    #[schemars(range(min = 2))]
    pub repetitions: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { repetitions: 10 }
    }
}

/// Takes an image without added noise and then `repetitions` with, and gives their standard
/// deviation, pixel by pixel.
pub struct GatherReplicas {
    n_replicas: usize,
    sets: BTreeMap<[u16; 7], Replicas>,
    told_format: bool,
}

/// The copies of one image so far.
struct Replicas {
    header: ImageHeader,
    meta: Meta,
    n: usize,
    mean: Array4<Complex32>,
    /// Sum of |d|², d being the distance to the mean.
    power: Array4<f32>,
    /// Sum of d².
    square: Array4<Complex32>,
}

impl Gadget for GatherReplicas {
    const NAME: &str = "gather_replicas";
    const ALIASES: &'static [&'static str] = &["PseudoreplicaGather"];
    type Config = Config;
    type Input = Image; // [channel, z, y, x]
    type Output = Image; // standard deviation, 32-bit floats
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        if config.repetitions < 2 {
            return Err(Error::TooFew(config.repetitions));
        }
        Ok(Self { n_replicas: config.repetitions, sets: BTreeMap::new(), told_format: false })
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Error> {
        let pixels = match image.pixels {
            Pixels::C32(pixels) => pixels,
            Pixels::F32(pixels) => pixels.mapv(Complex32::from),
            _ => {
                if !std::mem::replace(&mut self.told_format, true) {
                    out.warn(
                        "images of integers are rounded and no replicas; they pass",
                        "put `gather_replicas` before the conversion to integers",
                    );
                }
                out.push(image);
                return Ok(());
            }
        };
        let key = key(&image.header);
        let Some(replicas) = self.sets.get_mut(&key) else {
            // The one without added noise.
            self.sets.insert(key, Replicas::new(image.header, image.meta, pixels.dim()));
            return Ok(());
        };
        if replicas.mean.dim() != pixels.dim() {
            let (expected, found) = (replicas.mean.shape().to_vec(), pixels.shape().to_vec());
            return Err(Error::Shape { expected, found });
        }
        replicas.add(&pixels);
        if replicas.n == self.n_replicas
            && let Some(replicas) = self.sets.remove(&key)
        {
            out.push(replicas.into_map());
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        let n_sets = self.sets.len();
        if let Some(replicas) = std::mem::take(&mut self.sets).into_values().next() {
            out.warn(
                format!(
                    "{n_sets} noise maps are missing: {} of {} noisy copies came",
                    replicas.n, self.n_replicas
                ),
                "give `gather_replicas` the `repetitions` of `pseudo_replica`",
            );
        }
        Ok(())
    }
}

/// What the copies of an image have in common.
fn key(header: &ImageHeader) -> [u16; 7] {
    [
        header.image_series_index,
        header.average,
        header.slice,
        header.contrast,
        header.phase,
        header.repetition,
        header.set,
    ]
}

impl Replicas {
    fn new(header: ImageHeader, meta: Meta, dim: (usize, usize, usize, usize)) -> Self {
        Self {
            header,
            meta,
            n: 0,
            mean: Array4::zeros(dim),
            power: Array4::zeros(dim),
            square: Array4::zeros(dim),
        }
    }

    /// Updates mean and sums (Welford 1962).
    fn add(&mut self, pixels: &Array4<Complex32>) {
        self.n += 1;
        let weight = 1.0 / self.n as f32;
        Zip::from(&mut self.mean).and(&mut self.power).and(&mut self.square).and(pixels).for_each(
            |mean, power, square, value| {
                let before = value - *mean;
                *mean += before * weight;
                let after = value - *mean;
                *power += (before * after.conj()).re;
                *square += before * after;
            },
        );
    }

    /// Standard deviation of the part in phase with the mean. That is the noise of a magnitude
    /// with signal, of a real image, and of either part of a complex one, at any SNR.
    fn into_map(self) -> Image {
        let divisor = (self.n - 1) as f32;
        let mut sd = self.power;
        Zip::from(&mut sd).and(&self.square).and(&self.mean).for_each(|sd, square, mean| {
            let direction = mean / mean.norm().max(f32::MIN_POSITIVE);
            let along = (square * (direction * direction).conj()).re;
            *sd = ((*sd + along).max(0.0) / (2.0 * divisor)).sqrt();
        });
        let mut meta = self.meta;
        ImageRole::NoiseSd.write(&mut meta);
        meta.append("GADGETRON_ImageComment", "STD_MAP");
        meta.append("ImageComments", "STD_MAP");
        meta.set("SequenceDescriptionAdditional", "STD_MAP");
        let header = ImageHeader { image_type: ImageType::Magnitude as u16, ..self.header };
        Image::new(header, meta, sd)
    }
}

/// Copies that do not belong together, or too few.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// One copy has no standard deviation.
    #[error("{0} noisy copies have no standard deviation")]
    TooFew(usize),
    /// Images of one place with other sizes.
    #[error("a noisy copy of shape {found:?}, expected {expected:?} (channel, z, y, x)")]
    Shape {
        /// That of the copies before.
        expected: Vec<usize>,
        /// That of this one.
        found: Vec<usize>,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::TooFew(_) => "set `repetitions` to 100 or more",
            Self::Shape { .. } => {
                "give different kinds of image series numbers of their own before they are gathered"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled_images::testing::noise;
    use pipeline::{Message, run_gadget};

    fn copies(n: usize, slice: u16, sd: f32, is_complex: bool) -> Vec<Image> {
        let pixels = noise(600 * (n + 1));
        (0..=n)
            .map(|copy| {
                let header = ImageHeader { slice, ..ImageHeader::default() };
                let values = &pixels[600 * copy..][..600];
                let image = Array4::from_shape_fn((1, 1, 20, 30), |(.., y, x)| {
                    let noise = values[30 * y + x] * if copy == 0 { 0.0 } else { sd };
                    Complex32::from_polar(2.0 + y as f32, 0.1 * x as f32) + noise
                });
                if is_complex {
                    Image::new(header, Meta::new(), image)
                } else {
                    let real = image.mapv(|value| Complex32::from(value.re + 40.0));
                    Image::new(header, Meta::new(), real)
                }
            })
            .collect()
    }

    fn gather(repetitions: usize, images: Vec<Image>) -> (Vec<Image>, Vec<String>) {
        let (outputs, reports) =
            run_gadget::<GatherReplicas>(Config { repetitions }, &Scan::default(), images)
                .unwrap_or_else(|error| panic!("{error}"));
        let images = outputs.into_iter().map(|message| match message {
            Message::Image(image) => image,
            other => panic!("{:?} came out", other.kind()),
        });
        (images.collect(), reports)
    }

    fn mean(image: &Image) -> f32 {
        let Pixels::F32(pixels) = &image.pixels else { panic!("floats") };
        pixels.mean().expect("it has pixels")
    }

    #[test]
    fn the_noise_of_complex_and_of_real_images_is_found() {
        for is_complex in [true, false] {
            let (maps, reports) = gather(100, copies(100, 0, 1.5, is_complex));
            assert!(reports.is_empty());
            assert_eq!(maps.len(), 1);
            // 600 pixels of 100 copies: 0.3 %; the root of a variance is 0.25 % low.
            assert!((mean(&maps[0]) / 1.5 - 1.0).abs() < 0.02, "{}", mean(&maps[0]));
            assert_eq!(maps[0].meta.get("GADGETRON_DataRole"), Some("STD_MAP"));
        }
    }

    #[test]
    fn slices_are_told_apart_though_their_copies_alternate() {
        let (first, second) = (copies(20, 0, 1.0, true), copies(20, 1, 3.0, true));
        let images = first.into_iter().zip(second).flat_map(|(a, b)| [a, b]).collect();
        let (maps, _) = gather(20, images);
        let slices: Vec<u16> = maps.iter().map(|map| map.header.slice).collect();
        assert_eq!(slices, [0, 1]);
        assert!((mean(&maps[1]) / mean(&maps[0]) - 3.0).abs() < 0.1);
    }

    #[test]
    fn missing_copies_are_told_and_other_shapes_refused() {
        let (maps, reports) = gather(30, copies(20, 0, 1.0, true));
        assert!(maps.is_empty());
        assert_eq!(reports, ["1 noise maps are missing: 20 of 30 noisy copies came"]);
        let mut images = copies(3, 0, 1.0, true);
        let small = Array4::<Complex32>::zeros((1, 1, 2, 2));
        images[2] = Image::new(images[2].header, Meta::new(), small);
        let error =
            run_gadget::<GatherReplicas>(Config { repetitions: 3 }, &Scan::default(), images)
                .expect_err("another shape");
        assert!(matches!(error, Error::Shape { .. }));
        assert!(GatherReplicas::new(Config { repetitions: 1 }, &Scan::default()).is_err());
    }
}
