//! One encoding space for all readouts.

use std::convert::Infallible;

use pipeline::{Acquisition, Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Puts all readouts into encoding space 0.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Puts all readouts into encoding space 0, so that calibration lines that were acquired in a
/// space of their own go with the data.
pub struct MergeEncodingSpaces;

impl Gadget for MergeEncodingSpaces {
    const NAME: &str = "merge_encoding_spaces";
    const ALIASES: &'static [&'static str] = &["OneEncodingGadget"];
    type Config = Config;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Infallible;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self)
    }

    fn process(
        &mut self,
        mut readout: Acquisition,
        out: &mut Sink<Self>,
    ) -> Result<(), Infallible> {
        readout.header.encoding_space_ref = 0;
        out.push(readout);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::AcquisitionHeader;
    use pipeline::{Message, run_gadget};

    #[test]
    fn every_readout_is_in_space_0() {
        let readouts = [0, 1, 7].map(|space| {
            let header =
                AcquisitionHeader { encoding_space_ref: space, ..AcquisitionHeader::default() };
            Acquisition::new(header, Default::default())
        });
        let (outputs, _) = run_gadget::<MergeEncodingSpaces>(Config {}, &Scan::default(), readouts)
            .unwrap_or_else(|never| match never {});
        assert_eq!(outputs.len(), 3);
        for output in outputs {
            let Message::Acquisition(readout) = output else { panic!("a readout comes out") };
            assert_eq!({ readout.header.encoding_space_ref }, 0);
        }
    }
}
