//! What a scan's header says about its echo-planar train.

use ismrmrd::xml::{Encoding, Trajectory, TrajectoryDescription};
use pipeline::{Remedy, Scan, ScanError};

/// The description that converters write for Siemens' and other plain trains.
const CONVENTIONAL_EPI: &str = "ConventionalEPI";

/// Numbers of a `ConventionalEPI` description. What the header lacks is [`None`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct EpiHeader {
    pub ramp_up_time_us: Option<f64>,
    pub flat_top_time_us: Option<f64>,
    pub ramp_down_time_us: Option<f64>,
    pub dwell_time_us: Option<f64>,
    pub n_samples: Option<usize>,
    pub n_navigators: Option<usize>,
}

impl EpiHeader {
    /// That of encoding space 0.
    pub fn of(scan: &Scan) -> Result<(Self, &Encoding), EpiHeaderError> {
        let encoding = scan.encoding(0)?;
        let Some(description) = &encoding.trajectory_description else {
            return Err(EpiHeaderError::NoDescription(encoding.trajectory));
        };
        if description.identifier != CONVENTIONAL_EPI {
            return Err(EpiHeaderError::OtherDescription(description.identifier.clone()));
        }
        Ok((Self::read(description), encoding))
    }

    fn read(description: &TrajectoryDescription) -> Self {
        let mut header = Self::default();
        let whole = description.user_parameter_long.iter().map(|p| (&p.name, p.value as f64));
        let real = description.user_parameter_double.iter().map(|p| (&p.name, p.value));
        for (name, value) in whole.chain(real) {
            let count = || (value >= 0.0).then_some(value as usize);
            match name.as_str() {
                "rampUpTime" => header.ramp_up_time_us = Some(value),
                "flatTopTime" => header.flat_top_time_us = Some(value),
                "rampDownTime" => header.ramp_down_time_us = Some(value),
                "dwellTime" => header.dwell_time_us = Some(value),
                "numSamples" => header.n_samples = count().filter(|count| *count > 0),
                "numberOfNavigators" => header.n_navigators = count(),
                _ => {}
            }
        }
        header
    }
}

/// The header describes no echo-planar train.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpiHeaderError {
    /// No header, or no encoding in it.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// No description of the trajectory.
    #[error(
        "the scan is {}, and its header has no `trajectoryDescription` of an echo-planar train",
        .0.as_str()
    )]
    NoDescription(Trajectory),
    /// A description of something else.
    #[error("the header describes a trajectory `{0}`, and only `ConventionalEPI` is known")]
    OtherDescription(String),
}

impl Remedy for EpiHeaderError {
    fn remedy(&self) -> &str {
        match self {
            Self::Scan(error) => error.remedy(),
            Self::NoDescription(Trajectory::Epi) | Self::OtherDescription(_) => {
                "convert the scan with the parameter map for echo-planar imaging, which writes \
                 the times of the readout gradient into the header"
            }
            Self::NoDescription(Trajectory::Cartesian) => "use `default.xml`",
            Self::NoDescription(_) => "there is no chain for such scans yet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::Header;
    use ismrmrd::xml::UserParameter;

    #[test]
    fn numbers_are_found_and_what_is_missing_is_none() {
        let whole = |name: &str, value| UserParameter { name: name.to_owned(), value };
        let description = TrajectoryDescription {
            identifier: CONVENTIONAL_EPI.into(),
            user_parameter_long: vec![
                whole("rampUpTime", 160),
                whole("numSamples", 0),
                whole("numberOfNavigators", 3),
            ],
            user_parameter_double: vec![UserParameter { name: "dwellTime".into(), value: 3.1 }],
            ..TrajectoryDescription::default()
        };
        let encoding =
            Encoding { trajectory_description: Some(description), ..Encoding::default() };
        let scan = Scan::with_header(Header { encoding: vec![encoding], ..Header::default() });
        let (header, _) = EpiHeader::of(&scan).expect("it is described");
        let expected = EpiHeader {
            ramp_up_time_us: Some(160.0),
            dwell_time_us: Some(3.1),
            n_navigators: Some(3),
            ..EpiHeader::default()
        };
        assert_eq!(header, expected);
    }

    #[test]
    fn a_cartesian_scan_is_told_what_to_do() {
        let scan =
            Scan::with_header(Header { encoding: vec![Encoding::default()], ..Header::default() });
        let error = EpiHeader::of(&scan).expect_err("there is no train");
        assert_eq!(error, EpiHeaderError::NoDescription(Trajectory::Cartesian));
        assert!(error.remedy().contains("default.xml"));
        assert!(matches!(EpiHeader::of(&Scan::default()), Err(EpiHeaderError::Scan(_))));
    }
}
