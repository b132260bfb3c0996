//! Numbers of images in their series.

use std::collections::HashMap;
use std::convert::Infallible;

use pipeline::{Gadget, Image, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Numbers the images of each series from 1 in the order in which they come.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Numbers the images of each series from 1 in the order in which they come.
pub struct NumberImages {
    /// Images of each series so far.
    counts: HashMap<u16, u16>,
}

impl Gadget for NumberImages {
    const NAME: &str = "number_images";
    const ALIASES: &'static [&'static str] = &["ImageIndexGadget"];
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Infallible;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self { counts: HashMap::new() })
    }

    fn process(&mut self, mut image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let count = self.counts.entry(image.header.image_series_index).or_default();
        // The header has no room for more: the last number is kept.
        *count = count.saturating_add(1);
        image.header.image_index = *count;
        out.push(image);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::Array4;
    use pipeline::{Message, run_gadget};

    #[test]
    fn each_series_counts_from_1() {
        let inputs = [0, 3, 0, 0, 3].map(|image_series_index| {
            let header =
                ImageHeader { image_series_index, image_index: 77, ..ImageHeader::default() };
            Image::new(header, Meta::new(), Array4::<f32>::zeros((1, 1, 1, 1)))
        });
        let Ok((outputs, _)) = run_gadget::<NumberImages>(Config {}, &Scan::default(), inputs);
        let numbers: Vec<_> = outputs
            .iter()
            .map(|message| match message {
                Message::Image(image) => image.header.image_index,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect();
        assert_eq!(numbers, [1, 1, 2, 3, 2]);
    }
}
