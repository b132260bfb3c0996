//! Positions in k-space for readouts that carry none.

use std::collections::BTreeMap;

use ismrmrd::AcquisitionFlags;
use ismrmrd::xml::{Encoding, Trajectory};
use ndarray::Array2;
use num_complex::Complex64;
use pipeline::{Acquisition, Gadget, Remedy, Scan, ScanError, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spiral_design::SpiralDesign;

/// A half turn over the golden ratio, rad.
const GOLDEN_ANGLE_RAD: f64 = std::f64::consts::PI * 0.618_033_988_749_894_9;

/// Readouts that belong to no image.
const WITHOUT: AcquisitionFlags = AcquisitionFlags::IS_NOISE_MEASUREMENT
    .union(AcquisitionFlags::IS_DUMMYSCAN_DATA)
    .union(AcquisitionFlags::IS_NAVIGATION_DATA)
    .union(AcquisitionFlags::IS_HPFEEDBACK_DATA)
    .union(AcquisitionFlags::IS_RTFEEDBACK_DATA)
    .union(AcquisitionFlags::IS_PHASECORR_DATA);

/// Computes the positions of readouts that carry none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which way the arms of a spiral follow each other by `encoding_step_1`, seen with kx to the
    /// right and ky up.
    pub arm_order: ArmOrder,
    /// Whether trajectories that readouts carry are replaced too, as Gadgetron does.
    pub replace: bool,
}

/// Which way arms follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArmOrder {
    /// As Gadgetron has them.
    #[default]
    Clockwise,
    /// The other way.
    Counterclockwise,
}

/// Gives readouts that carry no trajectory the one that the header describes: spirals by
/// Hargreaves' design (`HargreavesVDS2000`), spokes by their counters.
pub struct AddTrajectory {
    config: Config,
    encodings: Vec<Encoding>,
    fault: Option<ScanError>,
    arms: BTreeMap<(usize, usize), Vec<Complex64>>,
    told: bool,
}

impl Gadget for AddTrajectory {
    const NAME: &str = "add_trajectory";
    const ALIASES: &'static [&'static str] = &["SpiralToGenericGadget"];
    type Config = Config;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let (encodings, fault) = match scan.header() {
            Ok(header) => (header.encoding.clone(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Ok(Self { config, encodings, fault, arms: BTreeMap::new(), told: false })
    }

    fn process(&mut self, mut readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Error> {
        let has_positions = readout.trajectory.ncols() > 0;
        if readout.header.has_any(WITHOUT) || has_positions && !self.config.replace {
            out.push(readout);
            return Ok(());
        }
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        let index = usize::from(readout.header.encoding_space_ref);
        let n_encodings = self.encodings.len();
        let encoding =
            self.encodings.get(index).ok_or(ScanError::NoEncoding { index, n_encodings })?;
        let n_samples = readout.n_samples();
        let step = f64::from(readout.header.idx.kspace_encode_step_1);
        let trajectory = match encoding.trajectory {
            // A calibration scan on a grid of its own.
            Trajectory::Cartesian | Trajectory::Epi => {
                out.push(readout);
                return Ok(());
            }
            Trajectory::Radial | Trajectory::GoldenAngle => {
                let limit = encoding.encoding_limits.kspace_encoding_step_1;
                let n_spokes = limit.map_or(1, |limit| limit.count()).max(1) as f64;
                let is_golden = encoding.trajectory == Trajectory::GoldenAngle;
                let spacing_rad =
                    if is_golden { GOLDEN_ANGLE_RAD } else { std::f64::consts::PI / n_spokes };
                if !std::mem::replace(&mut self.told, true) {
                    out.warn(
                        format!(
                            "the readouts carry no trajectory: spokes taken at \
                             {:.3}° times encoding step 1",
                            spacing_rad.to_degrees()
                        ),
                        "let the client write the trajectory into the readouts if that is wrong",
                    );
                }
                let direction = Complex64::cis(step * spacing_rad);
                let center = usize::from(readout.header.center_sample);
                // Many clients leave the field at 0.
                let center = if center == 0 { n_samples / 2 } else { center } as f64;
                let place = |sample: usize| (sample as f64 - center) / n_samples as f64;
                positions(n_samples, |sample| direction * place(sample))
            }
            Trajectory::Spiral | Trajectory::Other => {
                let sample_time_us = readout.header.sample_time_us;
                let design = design(encoding, sample_time_us)?;
                if self.arms.len() > 16 {
                    self.arms.clear();
                }
                let arm = match self.arms.entry((index, n_samples)) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        entry.insert(design.arm(n_samples).ok_or(Error::Design(design))?)
                    }
                };
                if !std::mem::replace(&mut self.told, true) {
                    out.inform(
                        "the readouts carry no trajectory: spiral made by the header's limits",
                    );
                }
                let angle_rad = std::f64::consts::TAU * step / design.n_arms as f64;
                let turn = match self.config.arm_order {
                    ArmOrder::Clockwise => Complex64::cis(-angle_rad),
                    ArmOrder::Counterclockwise => Complex64::cis(angle_rad),
                };
                positions(n_samples, |sample| 0.5 * turn * arm[sample])
            }
        };
        readout.trajectory = trajectory;
        readout.header.trajectory_dimensions = 2;
        out.push(readout);
        Ok(())
    }
}

/// `[sample, dimension]`, the edge of k-space at 0.5.
fn positions(n_samples: usize, place: impl Fn(usize) -> Complex64) -> Array2<f32> {
    Array2::from_shape_fn((n_samples, 2), |(sample, axis)| {
        let k = place(sample);
        (if axis == 0 { k.re } else { k.im }) as f32
    })
}

/// The numbers of the header's description.
fn design(encoding: &Encoding, sample_time_us: f32) -> Result<SpiralDesign, Error> {
    let description = encoding.trajectory_description.as_ref().ok_or(Error::NoDescription)?;
    if description.identifier != "HargreavesVDS2000" {
        return Err(Error::Unknown(description.identifier.clone()));
    }
    let long = |name: &'static str| {
        let found = description.user_parameter_long.iter().find(|p| p.name == name);
        found.map(|parameter| parameter.value)
    };
    let double = |name: &'static str| {
        let found = description.user_parameter_double.iter().find(|p| p.name == name);
        found.map(|parameter| parameter.value).ok_or(Error::Missing(name))
    };
    if long("fov_coefficients").is_some_and(|n| n != 1) {
        return Err(Error::VariableDensity);
    }
    let n_arms = long("interleaves").ok_or(Error::Missing("interleaves"))?;
    let sample_time_s = match long("SamplingTime_ns") {
        Some(nanoseconds) => nanoseconds as f64 * 1e-9,
        None => f64::from(sample_time_us) * 1e-6,
    };
    Ok(SpiralDesign {
        n_arms: usize::try_from(n_arms).unwrap_or(0),
        field_of_view_cm: double("FOVCoeff_1_cm")?,
        k_max_per_cm: double("krmax_per_cm")?,
        max_gradient_g_per_cm: double("MaxGradient_G_per_cm")?,
        max_slew_g_per_cm_per_s: double("MaxSlewRate_G_per_cm_per_s")?,
        sample_time_s,
    })
}

/// A trajectory that cannot be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(private_interfaces, reason = "the design is only shown")]
pub enum Error {
    /// The header says too little.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Neither readouts nor header know.
    #[error("the readouts carry no trajectory, and the header has no `trajectoryDescription`")]
    NoDescription,
    /// Another kind of description.
    #[error(
        "the readouts carry no trajectory, and the header describes it as \"{0}\": only \
         HargreavesVDS2000 is known"
    )]
    Unknown(String),
    /// A number is missing.
    #[error("the header's `trajectoryDescription` has no `{0}`")]
    Missing(&'static str),
    /// More than one coefficient of the field of view.
    #[error("the header describes a spiral of variable density, by more than `FOVCoeff_1_cm`")]
    VariableDensity,
    /// Numbers that give no arm.
    #[error("the header's `trajectoryDescription` gives no spiral arm: {0:?}")]
    Design(SpiralDesign),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Scan(error) => error.remedy(),
            _ => {
                "let the client write the trajectory into the readouts, or correct the header's \
                 `trajectoryDescription`"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ismrmrd::AcquisitionHeader;
    use ismrmrd::xml::{Header, Limit, TrajectoryDescription, UserParameter};
    use num_complex::Complex32;
    use pipeline::{Message, run_gadget};

    use super::*;

    fn readout(step: u16, n_samples: usize) -> Acquisition {
        let mut header = AcquisitionHeader::default();
        header.idx.kspace_encode_step_1 = step;
        header.center_sample = (n_samples / 2) as u16;
        Acquisition::new(header, Array2::from_elem((1, n_samples), Complex32::ONE))
    }

    fn scan(encoding: Encoding) -> Scan {
        Scan::with_header(Header { encoding: vec![encoding], ..Header::default() })
    }

    fn run(
        encoding: Encoding,
        readouts: Vec<Acquisition>,
    ) -> Result<(Vec<Acquisition>, usize), Error> {
        let (outputs, warnings) =
            run_gadget::<AddTrajectory>(Config::default(), &scan(encoding), readouts)?;
        let readouts = outputs.into_iter().map(|message| match message {
            Message::Acquisition(readout) => readout,
            other => panic!("{:?} came out", other.kind()),
        });
        Ok((readouts.collect(), warnings.len()))
    }

    fn hargreaves() -> TrajectoryDescription {
        let long = |name: &str, value| UserParameter { name: name.into(), value };
        let double = |name: &str, value| UserParameter { name: name.into(), value };
        TrajectoryDescription {
            identifier: "HargreavesVDS2000".into(),
            user_parameter_long: vec![
                long("interleaves", 8),
                long("fov_coefficients", 1),
                long("SamplingTime_ns", 4000),
            ],
            user_parameter_double: vec![
                double("MaxGradient_G_per_cm", 2.4),
                double("MaxSlewRate_G_per_cm_per_s", 14_414.0),
                double("FOVCoeff_1_cm", 30.0),
                double("krmax_per_cm", 3.2),
            ],
            ..TrajectoryDescription::default()
        }
    }

    #[test]
    fn spirals_turn_with_encoding_step_1_and_reach_the_edge() {
        let encoding = Encoding {
            trajectory: Trajectory::Spiral,
            trajectory_description: Some(hargreaves()),
            ..Encoding::default()
        };
        let (readouts, _) = run(encoding, vec![readout(0, 4000), readout(2, 4000)]).expect("arms");
        let [first, second] = &readouts[..] else { panic!("two readouts") };
        assert_eq!(first.trajectory[[0, 0]], 0.0);
        let last = first.trajectory.row(3999);
        assert!((last[0].hypot(last[1]) - 0.5).abs() < 1e-3);
        for (k, turned) in first.trajectory.rows().into_iter().zip(second.trajectory.rows()) {
            // A quarter turn clockwise.
            assert!((turned[0] - k[1]).abs() < 1e-6 && (turned[1] + k[0]).abs() < 1e-6);
        }
        assert_eq!({ second.header.trajectory_dimensions }, 2);
    }

    #[test]
    fn spokes_lie_at_the_angles_of_their_counters_and_that_is_told() {
        let mut encoding = Encoding { trajectory: Trajectory::Radial, ..Encoding::default() };
        encoding.encoding_limits.kspace_encoding_step_1 = Some(Limit::up_to(3, 0));
        let (readouts, warnings) = run(encoding, vec![readout(2, 8)]).expect("spokes");
        assert_eq!(warnings, 1);
        // The third of four: along ky.
        let first = readouts[0].trajectory.row(0);
        assert!(first[0].abs() < 1e-6 && (first[1] + 0.5).abs() < 1e-6, "{first}");
        assert_eq!(readouts[0].trajectory[[4, 1]], 0.0);
    }

    #[test]
    fn what_is_carried_stays_and_what_is_not_described_is_refused() {
        let encoding = Encoding { trajectory: Trajectory::Spiral, ..Encoding::default() };
        let mut carried = readout(0, 4);
        carried.trajectory = Array2::from_elem((4, 2), 0.25);
        let (readouts, _) = run(encoding.clone(), vec![carried.clone()]).expect("it passes");
        assert_eq!(readouts[0], carried);
        let error = |encoding| run(encoding, vec![readout(0, 4)]).expect_err("no trajectory");
        assert_eq!(error(encoding.clone()), Error::NoDescription);
        let mut described = Encoding { trajectory_description: Some(hargreaves()), ..encoding };
        let description = described.trajectory_description.as_mut().expect("it is there");
        description.user_parameter_double.pop();
        assert_eq!(error(described.clone()), Error::Missing("krmax_per_cm"));
        let description = described.trajectory_description.as_mut().expect("it is there");
        description.identifier = "Rosette".into();
        assert_eq!(error(described), Error::Unknown("Rosette".into()));
    }
}
