//! Removal of readout oversampling.

use ismrmrd::xml::Encoding;
use ndarray::{Array2, Axis};
use num_complex::Complex32;
use numerics::fft::{CropReadout, CropReadoutError};
use pipeline::{Acquisition, Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Plans kept for readouts of different length: noise, calibration and imaging.
const MAX_PLANS: usize = 8;

/// Cuts the field of view along the readout to the one that the header asks for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Cuts the field of view of every readout: inverse transform, the middle of it, forward
/// transform.
pub struct RemoveOversampling {
    /// Encoded over reconstructed field of view, [`None`] where nothing is cut.
    ratio: Option<f32>,
    /// What is wrong with the header, until it has been told.
    complaint: Option<Complaint>,
    plans: Vec<CropReadout>,
    scratch: Vec<Complex32>,
}

impl Gadget for RemoveOversampling {
    const NAME: &str = "remove_oversampling";
    const ALIASES: &'static [&'static str] = &["RemoveROOversamplingGadget"];
    type Config = Config;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Error;

    fn new(_config: Config, scan: &Scan) -> Result<Self, Error> {
        let (ratio, complaint) = match scan.encoding(0) {
            Ok(encoding) => ratio(encoding),
            Err(error) => (
                None,
                Some(Complaint {
                    what: format!("{error}; nothing is cut"),
                    remedy: error.remedy().to_owned(),
                }),
            ),
        };
        Ok(Self { ratio, complaint, plans: Vec::new(), scratch: Vec::new() })
    }

    fn process(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        if let Some(Complaint { what, remedy }) = self.complaint.take() {
            out.warn(what, remedy);
        }
        let Some(ratio) = self.ratio else {
            out.push(readout);
            return Ok(());
        };
        let (n_channels, n_in) = readout.data.dim();
        let n_out = (n_in as f32 / ratio) as usize;
        if n_out == 0 || n_out >= n_in {
            out.push(readout);
            return Ok(());
        }
        let plan = plan(&mut self.plans, &mut self.scratch, n_in, n_out)?;
        let mut data = Array2::zeros((n_channels, n_out));
        plan.process(readout.data.view(), data.view_mut(), &mut self.scratch);
        readout.data = data;
        if readout.trajectory.nrows() == n_in {
            readout.trajectory = readout.trajectory.select(Axis(0), &kept_positions(n_in, n_out));
        }
        let header = &mut readout.header;
        let cut = |count: u16| (f32::from(count) / ratio) as u16;
        header.number_of_samples = u16::try_from(n_out).unwrap_or(u16::MAX);
        header.center_sample = cut(header.center_sample);
        header.discard_pre = cut(header.discard_pre);
        header.discard_post = cut(header.discard_post);
        out.push(readout);
        Ok(())
    }
}

/// What is wrong with the header, and what to do.
struct Complaint {
    what: String,
    remedy: String,
}

/// Encoded over reconstructed field of view along the readout where there is something to cut.
fn ratio(encoding: &Encoding) -> (Option<f32>, Option<Complaint>) {
    let encoded_mm = encoding.encoded_space.field_of_view_mm.x;
    let recon_mm = encoding.recon_space.field_of_view_mm.x;
    let ratio = encoded_mm / recon_mm;
    if encoded_mm > 0.0 && recon_mm > 0.0 && ratio.is_finite() && ratio >= 1.0 {
        return ((ratio > 1.0).then_some(ratio), None);
    }
    let complaint = Complaint {
        what: format!(
            "the header's field of view along the readout is {encoded_mm} mm encoded and \
             {recon_mm} mm reconstructed; nothing is cut"
        ),
        remedy: "correct `fieldOfView_mm` in the header".to_owned(),
    };
    (None, Some(complaint))
}

/// The plan for readouts of this length, made at the first of them.
fn plan<'p>(
    plans: &'p mut Vec<CropReadout>,
    scratch: &mut Vec<Complex32>,
    n_in: usize,
    n_out: usize,
) -> Result<&'p CropReadout, CropReadoutError> {
    let known = plans.iter().position(|plan| (plan.n_in(), plan.n_out()) == (n_in, n_out));
    let index = match known {
        Some(index) => index,
        None => {
            let plan = CropReadout::new(n_in, n_out)?;
            scratch.resize(scratch.len().max(plan.scratch_len()), Complex32::ZERO);
            if plans.len() == MAX_PLANS {
                plans.remove(0);
            }
            plans.push(plan);
            plans.len() - 1
        }
    };
    Ok(&plans[index])
}

/// Old samples at the k-space positions of the new ones.
fn kept_positions(n_in: usize, n_out: usize) -> Vec<usize> {
    let step = n_in as f64 / n_out as f64;
    (0..n_out)
        .map(|sample| {
            let position = (sample as f64 - (n_out / 2) as f64) * step + (n_in / 2) as f64;
            (position.round().max(0.0) as usize).min(n_in - 1)
        })
        .collect()
}

/// A readout that cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] CropReadoutError);

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "correct `fieldOfView_mm` in the header"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::xml::{EncodingSpace, FieldOfView, MatrixSize};
    use ismrmrd::{AcquisitionHeader, Header};
    use pipeline::{Message, run_gadget};

    fn scan(encoded_mm: f32, recon_mm: f32) -> Scan {
        let space = |x, mm| EncodingSpace {
            matrix_size: MatrixSize { x, y: 8, z: 1 },
            field_of_view_mm: FieldOfView { x: mm, y: 100.0, z: 5.0 },
        };
        let encoding = Encoding {
            encoded_space: space(16, encoded_mm),
            recon_space: space(8, recon_mm),
            ..Encoding::default()
        };
        Scan::with_header(Header { encoding: vec![encoding], ..Header::default() })
    }

    fn run(scan: &Scan, readout: Acquisition) -> (Acquisition, Vec<String>) {
        let (mut outputs, warnings) =
            run_gadget::<RemoveOversampling>(Config {}, scan, [readout]).expect("it runs");
        let Some(Message::Acquisition(readout)) = outputs.pop() else {
            panic!("a readout comes out");
        };
        (readout, warnings)
    }

    fn readout(n_channels: usize, n_samples: usize) -> Acquisition {
        let header = AcquisitionHeader {
            center_sample: 9,
            discard_pre: 3,
            discard_post: 5,
            ..AcquisitionHeader::default()
        };
        let data = Array2::from_shape_fn((n_channels, n_samples), |(channel, sample)| {
            Complex32::new((sample as f32 * 0.7).sin(), channel as f32)
        });
        Acquisition::new(header, data)
    }

    #[test]
    fn a_point_in_the_middle_keeps_its_place_and_one_outside_is_gone() {
        // A point at pixel p of 16 (centre 8) is exp(-2πi (p-8)(k-8)/16)/√16 in k-space.
        let line = |pixel: i32, n: usize| {
            Array2::from_shape_fn((1, n), |(_, sample)| {
                let (x, k) = (pixel - n as i32 / 2, sample as i32 - n as i32 / 2);
                let angle_rad = -2.0 * std::f32::consts::PI * (x * k) as f32 / n as f32;
                Complex32::from_polar(1.0 / (n as f32).sqrt(), angle_rad)
            })
        };
        let header = AcquisitionHeader { center_sample: 8, ..AcquisitionHeader::default() };
        for (pixel, kept) in [(8, true), (5, true), (11, true), (1, false), (14, false)] {
            let readout = Acquisition::new(header, line(pixel, 16));
            let (cut, warnings) = run(&scan(400.0, 200.0), readout);
            assert!(warnings.is_empty());
            assert_eq!((cut.n_samples(), { cut.header.number_of_samples }), (8, 8));
            let expected = if kept { line(pixel - 4, 8) } else { Array2::zeros((1, 8)) };
            let error =
                (&cut.data - &expected).iter().map(|value| value.norm()).fold(0.0, f32::max);
            assert!(error < 1e-6, "pixel {pixel}: {error}");
        }
    }

    #[test]
    fn header_counts_are_divided_and_truncated() {
        let (cut, _) = run(&scan(400.0, 200.0), readout(2, 16));
        let header = cut.header;
        assert_eq!({ header.number_of_samples }, 8);
        assert_eq!({ header.center_sample }, 4);
        assert_eq!(({ header.discard_pre }, { header.discard_post }), (1, 2));
        assert_eq!(cut.data.dim(), (2, 8));
    }

    #[test]
    fn equal_fields_of_view_pass_untouched() {
        let before = readout(2, 16);
        let (after, warnings) = run(&scan(200.0, 200.0), before.clone());
        assert_eq!(after, before);
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_nonsensical_field_of_view_is_told_once_and_nothing_is_cut() {
        for (encoded_mm, recon_mm) in [(200.0, 0.0), (0.0, 0.0), (100.0, 200.0), (f32::NAN, 1.0)] {
            let before = readout(1, 16);
            let (after, warnings) = run(&scan(encoded_mm, recon_mm), before.clone());
            assert_eq!(after, before);
            assert_eq!(warnings.len(), 1, "{encoded_mm} {recon_mm}");
        }
    }

    #[test]
    fn a_trajectory_keeps_the_positions_of_the_samples_that_stay() {
        let mut before = readout(1, 16);
        before.trajectory = Array2::from_shape_fn((16, 1), |(sample, _)| sample as f32 - 8.0);
        let (after, _) = run(&scan(400.0, 200.0), before);
        let positions: Vec<f32> = after.trajectory.iter().copied().collect();
        assert_eq!(positions, [-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0]);
    }

    #[test]
    fn odd_and_tiny_readouts_do_not_panic() {
        for n_samples in [0, 1, 2, 3, 5, 7, 31] {
            let (cut, _) = run(&scan(300.0, 200.0), readout(2, n_samples));
            assert_eq!(
                cut.n_samples(),
                match n_samples {
                    0 | 1 => n_samples,
                    n => (n as f32 / 1.5) as usize,
                }
            );
        }
    }

    #[test]
    fn without_a_header_nothing_is_cut() {
        let before = readout(1, 16);
        let (after, warnings) = run(&Scan::default(), before.clone());
        assert_eq!(after, before);
        assert_eq!(warnings, ["the scan has no MRD header; nothing is cut"]);
    }
}
