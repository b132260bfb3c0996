//! The end of everything.

use std::convert::Infallible;

use pipeline::{Gadget, Message, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Takes whatever comes and gives nothing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Takes whatever comes and gives nothing: to try a connection, or to time one.
pub struct Discard;

impl Gadget for Discard {
    const NAME: &str = "discard";
    const ALIASES: &'static [&'static str] = &["null"];
    type Config = Config;
    type Input = Message;
    type Output = Infallible;
    type Error = Infallible;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self)
    }

    fn process(&mut self, _message: Message, _out: &mut Sink<Self>) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{Acquisition, Waveform, WaveformHeader};

    #[test]
    fn nothing_comes_out() {
        let readout = Acquisition::new(Default::default(), Default::default());
        let waveform = Waveform { header: WaveformHeader::default(), data: Default::default() };
        let inputs = [readout.into(), waveform.into()];
        let (outputs, warnings) =
            pipeline::run_gadget::<Discard>(Config {}, &Scan::default(), inputs)
                .unwrap_or_else(|never| match never {});
        assert!(outputs.is_empty() && warnings.is_empty());
    }
}
