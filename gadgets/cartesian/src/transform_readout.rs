//! Readouts from image to k-space.

use std::convert::Infallible;

use num_complex::Complex32;
use numerics::fft::Centered;
use pipeline::{Acquisition, Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Transforms readouts that are images along x to k-space.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Centred, unitary forward transform of each readout: back to k-space after `regrid_epi` and
/// `correct_epi_phase`.
pub struct TransformReadout {
    transform: Centered,
    scratch: Vec<Complex32>,
}

impl Gadget for TransformReadout {
    const NAME: &str = "transform_readout";
    const ALIASES: &'static [&'static str] = &["FFTXGadget"];
    type Config = Config;
    type Input = Acquisition; // [channel, x]
    type Output = Acquisition; // [channel, readout]
    type Error = Infallible;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self { transform: Centered::new(0), scratch: Vec::new() })
    }

    fn process(
        &mut self,
        mut readout: Acquisition,
        out: &mut Sink<Self>,
    ) -> Result<(), Infallible> {
        let n_samples = readout.n_samples();
        if self.transform.len() != n_samples {
            self.transform = Centered::new(n_samples);
            self.scratch.resize(self.transform.scratch_len(), Complex32::ZERO);
        }
        if !readout.data.is_standard_layout() {
            readout.data = readout.data.as_standard_layout().into_owned();
        }
        if n_samples > 0
            && let Some(rows) = readout.data.as_slice_mut()
        {
            self.transform.forward_rows(rows, &mut self.scratch);
        }
        out.push(readout);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::AcquisitionHeader;
    use ndarray::Array2;
    use pipeline::{Message, run_gadget};

    #[test]
    fn a_pixel_becomes_a_wave() {
        for n in [16, 9, 1, 0] {
            let mut data = Array2::zeros((2, n));
            if n > 2 {
                data[[1, 2]] = Complex32::new(3.0, 0.0);
            }
            let readout = Acquisition::new(AcquisitionHeader::default(), data);
            let (mut outputs, _) =
                run_gadget::<TransformReadout>(Config {}, &Scan::default(), [readout])
                    .unwrap_or_else(|never| match never {});
            let Some(Message::Acquisition(readout)) = outputs.pop() else {
                panic!("a readout comes out");
            };
            for (k, value) in readout.data.row(1).iter().enumerate().filter(|_| n > 2) {
                let turns = (k as f32 - (n / 2) as f32) * (2.0 - (n / 2) as f32) / n as f32;
                let expected = Complex32::from_polar(
                    3.0 / (n as f32).sqrt(),
                    -2.0 * std::f32::consts::PI * turns,
                );
                assert!((value - expected).norm() < 1e-5, "{n} {k}: {value} {expected}");
            }
        }
    }
}
