//! Pixels along the readout from echo-planar readouts.

use ismrmrd::AcquisitionFlags;
use ismrmrd::xml::Encoding;
use ndarray::{Array2, s};
use num_complex::Complex32;
use numerics::epi::{
    PixelGrid, Regridding, RegriddingError, RegriddingOptions, Trapezoid, TrapezoidError,
};
use numerics::fft::Centered;
use pipeline::{Acquisition, Gadget, Remedy, Scan, ScanError, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::epi_header::{EpiHeader, EpiHeaderError};

/// Turns echo-planar readouts, sampled while the gradient ramps, into images along the readout.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the pixels lie.
    pub pixel_grid: Grid,
    /// Without effect; in Gadgetron's chain files it fills the log.
    #[serde(alias = "verboseMode")]
    pub verbose: bool,
}

/// Places of the pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grid {
    /// Pixel N/2 is at the centre of the field of view and neighbours are its N-th part apart, as
    /// the image's header says.
    #[default]
    Exact,
    /// Gadgetron's: it lets the last pixel be half a pixel too far to the right, so that the
    /// object appears narrower by 1/(2N) and is fixed at the left edge. To compare with it.
    Gadgetron,
}

/// Regrids the readouts of encoding space 0 and flips those that were read backwards. Readouts of
/// other encoding spaces (calibration by a gradient echo) lose their oversampling. Both leave as
/// images along the readout.
pub struct RegridEpi {
    grid: PixelGrid,
    header: EpiHeader,
    encodings: Vec<Encoding>,
    regridding: Option<Regridding>,
    /// Transforms of readouts of other encoding spaces.
    transforms: Vec<Centered>,
    scratch: Vec<Complex32>,
}

/// Transforms of different length that are kept.
const MAX_TRANSFORMS: usize = 4;

/// Readouts that are no part of the train.
const NOT_ENCODED: AcquisitionFlags = AcquisitionFlags::IS_NOISE_MEASUREMENT
    .union(AcquisitionFlags::IS_DUMMYSCAN_DATA)
    .union(AcquisitionFlags::IS_NAVIGATION_DATA);

impl Gadget for RegridEpi {
    const NAME: &str = "regrid_epi";
    const ALIASES: &'static [&'static str] = &["EPIReconXGadget"];
    type Config = Config;
    type Input = Acquisition; // [channel, sample]
    type Output = Acquisition; // [channel, x]
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let (header, _) = EpiHeader::of(scan)?;
        let grid = match config.pixel_grid {
            Grid::Exact => PixelGrid::Centred,
            Grid::Gadgetron => PixelGrid::Stretched,
        };
        let mut gadget = Self {
            grid,
            header,
            encodings: scan.header().map_err(EpiHeaderError::from)?.encoding.clone(),
            regridding: None,
            transforms: Vec::new(),
            scratch: Vec::new(),
        };
        if let (Some(n_samples), Some(dwell_time_us)) = (header.n_samples, header.dwell_time_us) {
            gadget.regridding = Some(gadget.plan(n_samples, dwell_time_us)?);
        }
        Ok(gadget)
    }

    fn process(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        let flags = readout.header.flags;
        // Siemens flags its phase-correction lines as navigators too.
        if flags.intersects(NOT_ENCODED) && !flags.contains(AcquisitionFlags::IS_PHASECORR_DATA) {
            out.push(readout);
            return Ok(());
        }
        let pixels = match readout.header.encoding_space_ref {
            0 => self.regrid(&readout)?,
            space => self.image(&readout, usize::from(space))?,
        };
        let n_pixels = u16::try_from(pixels.ncols()).unwrap_or(u16::MAX);
        let header = &mut readout.header;
        header.number_of_samples = n_pixels;
        header.center_sample = n_pixels / 2;
        (header.discard_pre, header.discard_post) = (0, 0);
        header.trajectory_dimensions = 0;
        readout.trajectory = Array2::zeros((0, 0));
        readout.data = pixels;
        out.push(readout);
        Ok(())
    }
}

impl RegridEpi {
    fn plan(&self, n_samples: usize, dwell_time_us: f64) -> Result<Regridding, Error> {
        let header = &self.header;
        let encoding = &self.encodings[0];
        let (encoded, recon) = (&encoding.encoded_space, &encoding.recon_space);
        // Without a flat top in the header, there are no ramps either.
        let flat_top_time_us = header
            .flat_top_time_us
            .filter(|time| *time != 0.0)
            .unwrap_or(n_samples as f64 * dwell_time_us);
        let trapezoid = Trapezoid {
            ramp_up_time_us: header.ramp_up_time_us.unwrap_or(0.0),
            flat_top_time_us,
            ramp_down_time_us: header.ramp_down_time_us.unwrap_or(0.0),
            dwell_time_us,
            n_samples,
        };
        let n_encoded = usize::from(encoded.matrix_size.x);
        let positions = trapezoid.positions(n_encoded)?;
        let (encoded_mm, recon_mm) = (encoded.field_of_view_mm.x, recon.field_of_view_mm.x);
        if !(encoded_mm > 0.0 && recon_mm > 0.0 && encoded_mm.is_finite()) {
            return Err(Error::FieldOfView { encoded_mm, recon_mm });
        }
        let options = RegriddingOptions {
            n_encoded,
            n_pixels: usize::from(recon.matrix_size.x),
            field_of_view_ratio: f64::from(recon_mm / encoded_mm),
            grid: self.grid,
        };
        Ok(Regridding::new(&positions, &options)?)
    }

    fn regrid(&mut self, readout: &Acquisition) -> Result<Array2<Complex32>, Error> {
        let header = &readout.header;
        if self.regridding.is_none() {
            let dwell_time_us = self.header.dwell_time_us.unwrap_or(header.sample_time_us.into());
            let n_samples = self.header.n_samples.unwrap_or(readout.n_samples());
            self.regridding = Some(self.plan(n_samples, dwell_time_us)?);
        }
        let Some(regridding) = &self.regridding else {
            unreachable!("it was made above");
        };
        if readout.n_samples() != regridding.n_samples() {
            return Err(Error::Samples {
                scan_counter: header.scan_counter,
                found: readout.n_samples(),
                expected: regridding.n_samples(),
            });
        }
        let (position, direction) = ({ header.position }, { header.read_dir });
        let off_center_mm: f64 =
            position.iter().zip(direction).map(|(p, d)| f64::from(*p) * f64::from(d)).sum();
        let encoded_mm = f64::from(self.encodings[0].encoded_space.field_of_view_mm.x);
        let off_center = off_center_mm / encoded_mm;
        let off_center = if off_center.is_finite() { off_center } else { 0.0 };
        let is_reverse = header.flags.contains(AcquisitionFlags::IS_REVERSE);
        Ok(regridding.run(readout.data.view(), is_reverse, off_center))
    }

    /// The middle of the image of an evenly sampled readout.
    fn image(&mut self, readout: &Acquisition, space: usize) -> Result<Array2<Complex32>, Error> {
        let n_encodings = self.encodings.len();
        let encoding = self
            .encodings
            .get(space)
            .ok_or(EpiHeaderError::from(ScanError::NoEncoding { index: space, n_encodings }))?;
        let ratio =
            encoding.recon_space.field_of_view_mm.x / encoding.encoded_space.field_of_view_mm.x;
        let n_in = readout.n_samples();
        let is_cut = ratio > 0.0 && ratio < 1.0;
        let n_out = if is_cut { (n_in as f32 * ratio).round().max(1.0) as usize } else { n_in };
        let mut data = readout.data.as_standard_layout().into_owned();
        if readout.header.flags.contains(AcquisitionFlags::IS_REVERSE) {
            data.invert_axis(ndarray::Axis(1));
            data = data.as_standard_layout().into_owned();
        }
        if n_in == 0 {
            return Ok(data);
        }
        let known = self.transforms.iter().position(|transform| transform.len() == n_in);
        let index = known.unwrap_or_else(|| {
            if self.transforms.len() == MAX_TRANSFORMS {
                self.transforms.remove(0);
            }
            self.transforms.push(Centered::new(n_in));
            self.transforms.len() - 1
        });
        let transform = &self.transforms[index];
        self.scratch.resize(self.scratch.len().max(transform.scratch_len()), Complex32::ZERO);
        if let Some(rows) = data.as_slice_mut() {
            transform.inverse_rows(rows, &mut self.scratch);
        }
        let first = n_in / 2 - n_out / 2;
        Ok(data.slice(s![.., first..first + n_out]).to_owned())
    }
}

/// A train that cannot be regridded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The header describes none.
    #[error(transparent)]
    Header(#[from] EpiHeaderError),
    /// Its gradient makes no sense.
    #[error("the header describes {0}")]
    Gradient(#[from] TrapezoidError),
    /// Its sizes make no sense.
    #[error(transparent)]
    Regridding(#[from] RegriddingError),
    /// A field of view that is none.
    #[error(
        "the header's field of view along the readout is {encoded_mm} mm encoded and {recon_mm} \
         mm reconstructed"
    )]
    FieldOfView {
        /// Of the encoded space.
        encoded_mm: f32,
        /// Of the reconstructed space.
        recon_mm: f32,
    },
    /// A readout of another length than the header says.
    #[error(
        "readout {scan_counter} has {found} samples, and the echo-planar train that the header \
         describes {expected}"
    )]
    Samples {
        /// Which one.
        scan_counter: u32,
        /// Its samples.
        found: usize,
        /// Those of `numSamples`.
        expected: usize,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Header(error) => error.remedy(),
            Self::Gradient(_) | Self::Regridding(_) => {
                "correct rampUpTime, flatTopTime, rampDownTime, dwellTime (µs) and numSamples of \
                 the header's `trajectoryDescription`, and its matrix sizes"
            }
            Self::FieldOfView { .. } => "correct `fieldOfView_mm` in the header",
            Self::Samples { .. } => {
                "correct `numSamples` of the header's `trajectoryDescription`, and put no gadget \
                 that cuts readouts before `regrid_epi`"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::xml::{
        EncodingSpace, FieldOfView, MatrixSize, Trajectory, TrajectoryDescription, UserParameter,
    };
    use ismrmrd::{AcquisitionHeader, Header};
    use pipeline::{Message, run_gadget};

    fn space(x: u16, mm: f32) -> EncodingSpace {
        EncodingSpace {
            matrix_size: MatrixSize { x, y: 8, z: 1 },
            field_of_view_mm: FieldOfView { x: mm, y: 100.0, z: 5.0 },
        }
    }

    /// A train on a flat top with two samples for a pixel, and calibration lines.
    fn scan(numbers: &[(&str, i64)]) -> Scan {
        let whole =
            |(name, value): &(&str, i64)| UserParameter { name: (*name).to_owned(), value: *value };
        let train = Encoding {
            encoded_space: space(16, 160.0),
            recon_space: space(16, 160.0),
            trajectory: Trajectory::Epi,
            trajectory_description: Some(TrajectoryDescription {
                identifier: "ConventionalEPI".into(),
                user_parameter_long: numbers.iter().map(whole).collect(),
                user_parameter_double: vec![UserParameter { name: "dwellTime".into(), value: 2.0 }],
                ..TrajectoryDescription::default()
            }),
            ..Encoding::default()
        };
        let calibration = Encoding {
            encoded_space: space(32, 320.0),
            recon_space: space(16, 160.0),
            ..Encoding::default()
        };
        Scan::with_header(Header { encoding: vec![train, calibration], ..Header::default() })
    }

    const FLAT: [(&str, i64); 2] = [("flatTopTime", 64), ("numSamples", 32)];

    fn run(scan: &Scan, readout: Acquisition) -> Result<Acquisition, Error> {
        let (mut outputs, warnings) = run_gadget::<RegridEpi>(Config::default(), scan, [readout])?;
        assert!(warnings.is_empty());
        let Some(Message::Acquisition(readout)) = outputs.pop() else {
            panic!("a readout comes out");
        };
        Ok(readout)
    }

    /// Samples of a bump at `pixel` of 16 at k of each sample.
    fn line(k: impl Fn(usize) -> f32, n: usize, pixel: f32) -> Array2<Complex32> {
        Array2::from_shape_fn((2, n), |(channel, sample)| {
            let k = k(sample);
            let phase_rad = -2.0 * std::f32::consts::PI * k * (pixel - 8.0) / 16.0;
            Complex32::from_polar((1 + channel) as f32 * (-k * k / 12.0).exp(), phase_rad)
        })
    }

    fn brightest(readout: &Acquisition) -> usize {
        let row = readout.data.row(1);
        (0..row.len()).max_by(|a, b| row[*a].norm().total_cmp(&row[*b].norm())).expect("pixels")
    }

    #[test]
    fn both_directions_give_the_same_pixels() {
        let k = |sample: usize| (sample as f32 + 1.0 - 16.0) / 2.0;
        let forward = Acquisition::new(AcquisitionHeader::default(), line(k, 32, 11.0));
        let reverse = AcquisitionHeader {
            flags: AcquisitionFlags::IS_REVERSE,
            ..AcquisitionHeader::default()
        };
        let reverse = Acquisition::new(reverse, line(|sample| -k(sample), 32, 11.0));
        let forward = run(&scan(&FLAT), forward).expect("it runs");
        let reverse = run(&scan(&FLAT), reverse).expect("it runs");
        assert_eq!(brightest(&forward), 11);
        let error = (&forward.data - &reverse.data).iter().map(|v| v.norm()).fold(0.0, f32::max);
        // What lies beyond the edges of k-space: exp(−64/12) of the centre.
        assert!(error < 0.01 * forward.data[[1, 11]].norm(), "{error}");
        assert_eq!({ forward.header.number_of_samples }, 16);
        assert_eq!({ forward.header.center_sample }, 8);
    }

    #[test]
    fn numbers_that_the_header_lacks_come_from_the_readout() {
        let k = |sample: usize| (sample as f32 + 1.0 - 16.0) / 2.0;
        let readout = Acquisition::new(AcquisitionHeader::default(), line(k, 32, 5.0));
        assert_eq!(brightest(&run(&scan(&[]), readout).expect("it runs")), 5);
    }

    #[test]
    fn calibration_of_another_space_loses_its_oversampling() {
        let header = AcquisitionHeader { encoding_space_ref: 1, ..AcquisitionHeader::default() };
        let k = |sample: usize| (sample as f32 - 16.0) / 2.0;
        let readout = run(&scan(&FLAT), Acquisition::new(header, line(k, 32, 3.0)));
        let readout = readout.expect("it runs");
        assert_eq!((readout.n_samples(), brightest(&readout)), (16, 3));
        let header = AcquisitionHeader { encoding_space_ref: 2, ..header };
        let error = run(&scan(&FLAT), Acquisition::new(header, line(k, 32, 3.0)));
        assert!(matches!(error, Err(Error::Header(EpiHeaderError::Scan(_)))));
    }

    #[test]
    fn what_is_no_train_is_refused_with_a_reason() {
        let k = |sample: usize| sample as f32;
        let short = Acquisition::new(AcquisitionHeader::default(), line(k, 31, 3.0));
        let error = run(&scan(&FLAT), short).expect_err("a sample is missing");
        assert_eq!(error, Error::Samples { scan_counter: 0, found: 31, expected: 32 });
        let long = [("flatTopTime", 40), ("numSamples", 32)];
        assert!(matches!(
            RegridEpi::new(Config::default(), &scan(&long)).err(),
            Some(Error::Gradient(_))
        ));
    }

    #[test]
    fn noise_passes_untouched() {
        let header = AcquisitionHeader {
            flags: AcquisitionFlags::IS_NOISE_MEASUREMENT,
            ..AcquisitionHeader::default()
        };
        let noise = Acquisition::new(header, line(|_| 0.0, 256, 0.0));
        assert_eq!(run(&scan(&FLAT), noise.clone()).expect("it passes"), noise);
    }
}
