//! The middle of k-space along the readout.

use ndarray::s;
use pipeline::{Acquisition, Gadget, Remedy, Scan, ScanError, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Keeps the samples around the centre of k-space that the encoded matrix has room for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Cuts readouts in k-space to the encoded matrix size along x: a lower resolution over the same
/// field of view.
pub struct CutReadout {
    n_kept: usize,
}

impl Gadget for CutReadout {
    const NAME: &str = "cut_readout";
    const ALIASES: &'static [&'static str] = &["CutXGadget"];
    type Config = Config;
    type Input = Acquisition; // [channel, readout]
    type Output = Acquisition; // [channel, readout]
    type Error = Error;

    fn new(_config: Config, scan: &Scan) -> Result<Self, Error> {
        let n_kept = usize::from(scan.encoding(0)?.encoded_space.matrix_size.x);
        Ok(Self { n_kept })
    }

    fn process(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        let n_samples = readout.n_samples();
        if n_samples > self.n_kept && self.n_kept > 0 {
            let center = usize::from(readout.header.center_sample);
            let first = center.saturating_sub(self.n_kept / 2).min(n_samples - self.n_kept);
            let kept = first..first + self.n_kept;
            readout.data = readout.data.slice(s![.., kept.clone()]).to_owned();
            if readout.trajectory.nrows() == n_samples {
                readout.trajectory = readout.trajectory.slice(s![kept, ..]).to_owned();
            }
            let header = &mut readout.header;
            let within = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
            let n_after = n_samples - self.n_kept - first;
            header.number_of_samples = within(self.n_kept);
            header.center_sample = within(center.saturating_sub(first));
            header.discard_pre = header.discard_pre.saturating_sub(within(first));
            header.discard_post = header.discard_post.saturating_sub(within(n_after));
        }
        out.push(readout);
        Ok(())
    }
}

/// The header has no encoded matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] ScanError);

impl Remedy for Error {
    fn remedy(&self) -> &str {
        self.0.remedy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::xml::{Encoding, EncodingSpace, MatrixSize};
    use ismrmrd::{AcquisitionHeader, Header};
    use ndarray::Array2;
    use num_complex::Complex32;
    use pipeline::{Message, run_gadget};

    fn cut(n_samples: usize, center_sample: u16) -> Acquisition {
        let encoded_space = EncodingSpace {
            matrix_size: MatrixSize { x: 8, y: 1, z: 1 },
            ..EncodingSpace::default()
        };
        let encoding = Encoding { encoded_space, ..Encoding::default() };
        let scan = Scan::with_header(Header { encoding: vec![encoding], ..Header::default() });
        let header =
            AcquisitionHeader { center_sample, discard_pre: 3, ..AcquisitionHeader::default() };
        let data = Array2::from_shape_fn((1, n_samples), |(_, n)| Complex32::from(n as f32));
        let (mut outputs, _) =
            run_gadget::<CutReadout>(Config {}, &scan, [Acquisition::new(header, data)])
                .expect("there is a matrix");
        let Some(Message::Acquisition(readout)) = outputs.pop() else {
            panic!("a readout comes out");
        };
        readout
    }

    #[test]
    fn the_centre_of_k_space_stays_in_the_middle() {
        // Samples, centre, first that is kept, centre of what is kept, discarded before.
        for (n, center, first, new_center, discarded) in
            [(16, 8, 4.0, 4, 0), (12, 10, 4.0, 6, 0), (12, 1, 0.0, 1, 3), (8, 4, 0.0, 4, 3)]
        {
            let readout = cut(n, center);
            assert_eq!((readout.n_samples(), readout.data[[0, 0]].re), (8, first));
            assert_eq!({ readout.header.center_sample }, new_center);
            assert_eq!({ readout.header.discard_pre }, discarded);
        }
        assert_eq!(cut(6, 3).n_samples(), 6);
    }
}
