//! Filling up of asymmetric echoes.

use ismrmrd::AcquisitionFlags;
use ismrmrd::xml::Trajectory;
use ndarray::{Array2, s};
use pipeline::{Acquisition, Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;
use std::convert::Infallible;

/// Fills up asymmetric echoes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Fills readouts whose echo is not in their middle with zeros, up to the encoded matrix, so
/// that the echo is in the middle. What was filled in is marked as discarded.
pub struct AdjustAsymmetricEcho {
    /// Samples of a whole readout for each encoding space, 0 where nothing is filled up.
    n_whole: Vec<usize>,
}

impl Gadget for AdjustAsymmetricEcho {
    const NAME: &str = "adjust_asymmetric_echo";
    const ALIASES: &'static [&'static str] = &["AsymmetricEchoAdjustROGadget"];
    type Config = Config;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Infallible;

    fn new(_config: Config, scan: &Scan) -> Result<Self, Infallible> {
        let encodings = scan.header.as_ref().map_or(&[][..], |header| &header.encoding);
        let n_whole = encodings
            .iter()
            .map(|encoding| match encoding.trajectory {
                // Their first sample is the centre of k-space.
                Trajectory::Spiral | Trajectory::Other => 0,
                _ => usize::from(encoding.encoded_space.matrix_size.x),
            })
            .collect();
        Ok(Self { n_whole })
    }

    fn process(
        &mut self,
        mut readout: Acquisition,
        out: &mut Sink<Self>,
    ) -> Result<(), Infallible> {
        let encoding = usize::from(readout.header.encoding_space_ref);
        let n_whole = self.n_whole.get(encoding).copied().unwrap_or(0);
        let n_samples = readout.n_samples();
        let center_sample = usize::from(readout.header.center_sample);
        let is_noise = readout.header.has_any(AcquisitionFlags::IS_NOISE_MEASUREMENT);
        let is_asymmetric = center_sample < n_samples && 2 * center_sample != n_samples;
        if is_noise || !is_asymmetric || n_samples >= n_whole {
            out.push(readout);
            return Ok(());
        }
        let n_missing = n_whole - n_samples;
        // The echo goes to the middle. Where it is further off than the missing samples explain,
        // they all go to its side, as in Gadgetron.
        let n_before = (n_whole / 2).saturating_sub(center_sample).min(n_missing);
        let n_after = n_missing - n_before;
        let filled = s![.., n_before..n_before + n_samples];
        let mut data = Array2::zeros((readout.n_channels(), n_whole));
        data.slice_mut(filled).assign(&readout.data);
        readout.data = data;
        if readout.trajectory.nrows() == n_samples && readout.trajectory.ncols() > 0 {
            let mut trajectory = Array2::zeros((n_whole, readout.trajectory.ncols()));
            let filled = s![n_before..n_before + n_samples, ..];
            trajectory.slice_mut(filled).assign(&readout.trajectory);
            readout.trajectory = trajectory;
        }
        let header = &mut readout.header;
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        header.number_of_samples = count(n_whole);
        header.discard_pre = header.discard_pre.saturating_add(count(n_before));
        header.discard_post = header.discard_post.saturating_add(count(n_after));
        header.center_sample = count(center_sample + n_before);
        out.push(readout);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::xml::{Encoding, EncodingSpace, MatrixSize};
    use ismrmrd::{AcquisitionHeader, Header};
    use num_complex::Complex32;
    use pipeline::{Message, run_gadget};

    fn scan(trajectory: Trajectory, n_encoded: u16) -> Scan {
        let encoded_space = EncodingSpace {
            matrix_size: MatrixSize { x: n_encoded, y: 8, z: 1 },
            ..EncodingSpace::default()
        };
        let encoding = Encoding { encoded_space, trajectory, ..Encoding::default() };
        Scan::with_header(Header { encoding: vec![encoding], ..Header::default() })
    }

    fn readout(n_samples: usize, center_sample: u16) -> Acquisition {
        let header = AcquisitionHeader { center_sample, ..AcquisitionHeader::default() };
        let data = Array2::from_shape_fn((2, n_samples), |(channel, sample)| {
            Complex32::new(1.0 + sample as f32, channel as f32)
        });
        Acquisition::new(header, data)
    }

    fn run(scan: &Scan, readout: Acquisition) -> Acquisition {
        let (mut outputs, warnings) =
            run_gadget::<AdjustAsymmetricEcho>(Config {}, scan, [readout])
                .unwrap_or_else(|never| match never {});
        assert!(warnings.is_empty(), "{warnings:?}");
        match outputs.pop() {
            Some(Message::Acquisition(readout)) => readout,
            other => panic!("{other:?} came out"),
        }
    }

    /// Samples, echo, discarded before and after.
    fn counts(readout: &Acquisition) -> (u16, u16, u16, u16) {
        let header = readout.header;
        (header.number_of_samples, header.center_sample, header.discard_pre, header.discard_post)
    }

    #[test]
    fn an_early_echo_is_filled_in_front_and_a_late_one_behind() {
        let scan = scan(Trajectory::Cartesian, 16);
        let early = run(&scan, readout(12, 4));
        assert_eq!(counts(&early), (16, 8, 4, 0));
        assert_eq!(early.data.slice(s![.., 4..]), readout(12, 4).data);
        assert!(early.data.slice(s![.., ..4]).iter().all(|value| *value == Complex32::ZERO));
        let late = run(&scan, readout(12, 8));
        assert_eq!(counts(&late), (16, 8, 0, 4));
        assert_eq!(late.data.slice(s![.., ..12]), readout(12, 8).data);
        // Two missing at the front, one at the end: the echo still goes to the middle.
        assert_eq!(counts(&run(&scan, readout(13, 6))), (16, 8, 2, 1));
    }

    #[test]
    fn samples_that_are_discarded_already_stay_so() {
        let mut early = readout(12, 4);
        (early.header.discard_pre, early.header.discard_post) = (1, 2);
        assert_eq!(counts(&run(&scan(Trajectory::Cartesian, 16), early)), (16, 8, 5, 2));
    }

    #[test]
    fn an_echo_that_is_further_off_than_the_missing_samples_says_where_it_is() {
        let filled = run(&scan(Trajectory::Cartesian, 16), readout(14, 3));
        assert_eq!(counts(&filled), (16, 5, 2, 0));
    }

    #[test]
    fn whole_symmetric_and_odd_readouts_and_noise_pass_untouched() {
        let cartesian = scan(Trajectory::Cartesian, 16);
        let mut noise = readout(12, 4);
        noise.header.flags = AcquisitionFlags::IS_NOISE_MEASUREMENT;
        let mut stranger = readout(12, 4);
        stranger.header.encoding_space_ref = 3;
        for before in [
            noise,
            stranger,
            readout(16, 5),
            readout(20, 4),
            readout(12, 6),
            readout(12, 12),
            readout(12, 700),
            readout(0, 0),
        ] {
            assert_eq!(run(&cartesian, before.clone()), before);
        }
        let spiral = readout(12, 0);
        assert_eq!(run(&scan(Trajectory::Spiral, 16), spiral.clone()), spiral);
        assert_eq!(run(&Scan::default(), spiral.clone()), spiral);
    }

    #[test]
    fn a_trajectory_grows_with_its_samples() {
        let mut before = readout(12, 4);
        before.trajectory = Array2::from_shape_fn((12, 1), |(sample, _)| sample as f32 + 1.0);
        let after = run(&scan(Trajectory::Radial, 16), before);
        assert_eq!(after.trajectory.dim(), (16, 1));
        assert_eq!((after.trajectory[[3, 0]], after.trajectory[[4, 0]]), (0.0, 1.0));
    }
}
