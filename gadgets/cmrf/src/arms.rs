//! Where in k-space the readouts of a fingerprint lie.

use std::collections::HashMap;

use ismrmrd::Acquisition;
use ismrmrd::xml::Encoding;
use ndarray::s;
use pipeline::TrajectoryUnit;

use crate::error::Error;
use crate::reconstruct_fingerprint::is_cartesian;

/// The distinct arms of the readouts.
pub(crate) struct Arms {
    /// Places of each arm, cycles per field of view.
    pub places: Vec<Vec<[f32; 2]>>,
    pub of_readout: Vec<usize>,
    /// Samples of each readout that are used.
    pub kept: Vec<std::ops::Range<usize>>,
}

impl Arms {
    /// # Errors
    /// Readouts without finite samples and positions, or positions in no known unit.
    pub fn of(readouts: &[&Acquisition], encoding: &Encoding) -> Result<Self, Error> {
        let mut known: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut arms = Self { places: Vec::new(), of_readout: Vec::new(), kept: Vec::new() };
        for (number, readout) in readouts.iter().enumerate() {
            let (n_samples, n_axes) = readout.trajectory.dim();
            if n_axes == 0 && is_cartesian(encoding) {
                return Err(Error::Cartesian);
            }
            if n_samples != readout.n_samples() || n_axes < 2 {
                return Err(Error::Shape(format!(
                    "readout {} of {} has {} samples and {n_samples} positions of {n_axes} axes",
                    number + 1,
                    readouts.len(),
                    readout.n_samples()
                )));
            }
            let from = usize::from(readout.header.discard_pre).min(n_samples);
            let to = n_samples.saturating_sub(readout.header.discard_post.into()).max(from);
            let places = readout.trajectory.slice(s![from..to, ..2]);
            if places.iter().any(|place| !place.is_finite()) {
                return Err(Error::Shape(format!(
                    "readout {} of {} has positions that are no numbers",
                    number + 1,
                    readouts.len()
                )));
            }
            if readout.data.slice(s![.., from..to]).iter().any(|value| !value.is_finite()) {
                return Err(Error::Shape(format!(
                    "readout {} of {} has samples that are no numbers",
                    number + 1,
                    readouts.len()
                )));
            }
            let key: Vec<u32> = places.iter().map(|place| place.to_bits()).collect();
            let next = arms.places.len();
            let arm = *known.entry(key).or_insert(next);
            if arm == next {
                arms.places.push(places.outer_iter().map(|place| [place[0], place[1]]).collect());
            }
            arms.of_readout.push(arm);
            arms.kept.push(from..to);
        }
        let largest = arms
            .places
            .iter()
            .flatten()
            .fold([0.0_f32; 2], |[x, y], place| [x.max(place[0].abs()), y.max(place[1].abs())]);
        let (unit, is_believed) = TrajectoryUnit::detect(largest, encoding);
        if !is_believed {
            return Err(Error::Shape(format!(
                "positions in k-space reach {largest:?}, which is the edge of k-space in no unit: \
                 0.5 is expected (cycles per pixel), or {} (cycles per field of view)",
                encoding.recon_space.matrix_size.x / 2
            )));
        }
        let factors = unit.factors(encoding).map(|factor| factor as f32);
        for place in arms.places.iter_mut().flatten() {
            *place = [place[0] * factors[0], place[1] * factors[1]];
        }
        Ok(arms)
    }
}
