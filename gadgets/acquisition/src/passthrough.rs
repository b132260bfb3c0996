//! Readouts as they are.

use std::convert::Infallible;

use pipeline::{Acquisition, Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Passes readouts on unchanged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Passes readouts on unchanged: a place holder in chains that are being built.
pub struct Passthrough;

impl Gadget for Passthrough {
    const NAME: &str = "passthrough";
    const ALIASES: &'static [&'static str] = &["AcquisitionPassthroughGadget"];
    type Config = Config;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Infallible;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self)
    }

    fn process(&mut self, readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Infallible> {
        out.push(readout);
        Ok(())
    }
}
