//! Whether a scan is one that a reconstruction is made for.

use ismrmrd::xml::Trajectory;
use pipeline::{Gadget, Scan, Sink};

/// What a reconstruction takes besides fully sampled Cartesian scans.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Takes {
    /// Readouts of echo trains, which a gadget before it has put onto a grid.
    pub echo_planar: bool,
    /// Lines that were left out.
    pub undersampled: bool,
}

/// What does not suit, until it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suitability {
    faults: Vec<(String, &'static str)>,
}

impl Suitability {
    /// Holds the header of a scan against what is taken.
    pub fn of(scan: &Scan, takes: Takes) -> Self {
        let Ok(encoding) = scan.encoding(0) else { return Self::default() };
        let mut faults = Vec::new();
        let trajectory = encoding.trajectory;
        let remedy = match trajectory {
            Trajectory::Cartesian => None,
            Trajectory::Epi => {
                (!takes.echo_planar).then_some("do not trust these images: use `epi.xml`")
            }
            _ => Some("do not trust these images: use `non_cartesian`, or `Generic_Spiral.xml`"),
        };
        if let Some(remedy) = remedy {
            let what = "and this chain takes it as Cartesian";
            faults.push((format!("the scan is {}, {what}", trajectory.as_str()), remedy));
        }
        let factor = encoding.parallel_imaging.as_ref().map(|about| about.acceleration_factor);
        let [step_1, step_2] = factor.map_or([1, 1], |factor| {
            [factor.kspace_encoding_step_1, factor.kspace_encoding_step_2]
        });
        if !takes.undersampled && step_1.max(step_2) > 1 {
            let factor = usize::from(step_1.max(1)) * usize::from(step_2.max(1));
            faults.push((
                format!("the scan is undersampled by {factor}, and this chain takes it as complete: the images fold"),
                "use `cartesian_grappa`, or `Generic_Cartesian_Grappa.xml`",
            ));
        }
        Self { faults }
    }

    /// Tells each fault, once.
    pub fn tell<G: Gadget>(&mut self, out: &mut Sink<'_, G>) {
        for (what, remedy) in self.faults.drain(..) {
            out.warn(what, remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use ismrmrd::xml::{AccelerationFactor, Encoding, Header, ParallelImaging};

    use super::*;

    fn faults(trajectory: Trajectory, factor: u16, takes: Takes) -> usize {
        let factor =
            AccelerationFactor { kspace_encoding_step_1: factor, kspace_encoding_step_2: 1 };
        let parallel =
            ParallelImaging { acceleration_factor: factor, ..ParallelImaging::default() };
        let encoding =
            Encoding { trajectory, parallel_imaging: Some(parallel), ..Encoding::default() };
        let header = Header { encoding: vec![encoding], ..Header::default() };
        Suitability::of(&Scan::with_header(header), takes).faults.len()
    }

    #[test]
    fn what_a_chain_is_not_made_for_is_found() {
        let plain = Takes::default();
        assert_eq!(faults(Trajectory::Cartesian, 1, plain), 0);
        assert_eq!(faults(Trajectory::Cartesian, 2, plain), 1);
        assert_eq!(faults(Trajectory::Spiral, 2, plain), 2);
        assert_eq!(faults(Trajectory::Epi, 1, plain), 1);
        let grappa = Takes { echo_planar: true, undersampled: true };
        assert_eq!(faults(Trajectory::Epi, 4, grappa), 0);
        assert_eq!(faults(Trajectory::Radial, 1, grappa), 1);
    }
}
