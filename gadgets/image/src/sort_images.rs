//! Images in order of a counter.

use std::convert::Infallible;

use ismrmrd::ImageHeader;
use pipeline::{Gadget, Image, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Holds all images until the scan ends and gives them in order of a counter.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The counter; without one images pass at once.
    pub sorting_dimension: Option<Dimension>,
}

impl Default for Config {
    fn default() -> Self {
        Self { sorting_dimension: Some(Dimension::Slice) }
    }
}

/// A counter in the header of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Average.
    Average,
    /// Slice.
    Slice,
    /// Contrast.
    Contrast,
    /// Cardiac phase.
    Phase,
    /// Repetition.
    Repetition,
    /// Set.
    Set,
}

impl Dimension {
    fn of(self, header: &ImageHeader) -> u16 {
        match self {
            Self::Average => header.average,
            Self::Slice => header.slice,
            Self::Contrast => header.contrast,
            Self::Phase => header.phase,
            Self::Repetition => header.repetition,
            Self::Set => header.set,
        }
    }
}

/// Gives images in order of a counter, those of one value in the order in which they came.
pub struct SortImages {
    dimension: Option<Dimension>,
    held: Vec<Image>,
}

impl Gadget for SortImages {
    const NAME: &str = "sort_images";
    const ALIASES: &'static [&'static str] = &["ImageSortGadget"];
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Infallible;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self { dimension: config.sorting_dimension, held: Vec::new() })
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        match self.dimension {
            Some(_) => self.held.push(image),
            None => out.push(image),
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let mut images = std::mem::take(&mut self.held);
        if let Some(dimension) = self.dimension {
            images.sort_by_key(|image| dimension.of(&image.header));
        }
        images.into_iter().for_each(|image| out.push(image));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::Meta;
    use ndarray::Array4;
    use pipeline::{Message, run_gadget};

    fn run(sorting_dimension: Option<Dimension>) -> Vec<(u16, u16)> {
        let inputs = [(0, 2), (0, 0), (1, 2), (1, 0)].map(|(repetition, slice)| {
            let header = ImageHeader { repetition, slice, ..ImageHeader::default() };
            Image::new(header, Meta::new(), Array4::<f32>::zeros((1, 1, 1, 1)))
        });
        let config = Config { sorting_dimension };
        let Ok((outputs, _)) = run_gadget::<SortImages>(config, &Scan::default(), inputs);
        let counters = outputs.iter().map(|message| match message {
            Message::Image(image) => (image.header.repetition, image.header.slice),
            other => panic!("{:?} came out", other.kind()),
        });
        counters.collect()
    }

    #[test]
    fn images_come_in_order_of_the_counter_and_equal_ones_stay_in_order() {
        assert_eq!(run(Some(Dimension::Slice)), [(0, 0), (1, 0), (0, 2), (1, 2)]);
        assert_eq!(run(Some(Dimension::Repetition)), [(0, 2), (0, 0), (1, 2), (1, 0)]);
        assert_eq!(run(None), [(0, 2), (0, 0), (1, 2), (1, 0)]);
    }
}
