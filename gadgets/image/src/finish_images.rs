//! The end of Gadgetron's chains.

use std::convert::Infallible;

use pipeline::{Gadget, Image, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Passes images on unchanged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Passes images on unchanged. Gadgetron's chains end with it; here a chain just ends.
pub struct FinishImages;

impl Gadget for FinishImages {
    const NAME: &str = "finish_images";
    const ALIASES: &'static [&'static str] = &["ImageFinishGadget"];
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Infallible;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self)
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        out.push(image);
        Ok(())
    }
}
