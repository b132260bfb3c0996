//! Flags of the first and the last readouts of the loops.

use std::collections::HashMap;
use std::hash::Hash;

use ismrmrd::{AcquisitionFlags, EncodingCounters};

use super::plan::{Content, Readout};

/// Sets the flags of first and last readouts on those that make images.
///
/// * encode step 1: of each image.
/// * slice: of each slice in each repetition, set and average, with all its contrasts and
///   cardiac phases.
/// * contrast, phase, set and average, where there are several: of each of their values in a
///   slice and repetition.
/// * repetition: of each repetition with all its slices.
/// * the last readout of all is the last in the measurement.
pub(super) fn mark_edges(readouts: &mut [Readout]) {
    type F = AcquisitionFlags;
    mark(readouts, F::FIRST_IN_ENCODE_STEP1, F::LAST_IN_ENCODE_STEP1, |c| {
        (c.slice, c.repetition, c.set, c.average, c.contrast, c.phase)
    });
    mark(readouts, F::FIRST_IN_SLICE, F::LAST_IN_SLICE, |c| {
        (c.slice, c.repetition, c.set, c.average)
    });
    mark(readouts, F::FIRST_IN_REPETITION, F::LAST_IN_REPETITION, |c| c.repetition);
    let several = |of: fn(&EncodingCounters) -> u16| {
        readouts.iter().filter(|readout| makes_image(readout)).any(|r| of(&r.counters) > 0)
    };
    let [contrasts, phases, sets, averages] =
        [several(|c| c.contrast), several(|c| c.phase), several(|c| c.set), several(|c| c.average)];
    if contrasts {
        mark(readouts, F::FIRST_IN_CONTRAST, F::LAST_IN_CONTRAST, |c| {
            (c.slice, c.repetition, c.contrast)
        });
    }
    if phases {
        mark(readouts, F::FIRST_IN_PHASE, F::LAST_IN_PHASE, |c| (c.slice, c.repetition, c.phase));
    }
    if sets {
        mark(readouts, F::FIRST_IN_SET, F::LAST_IN_SET, |c| (c.slice, c.repetition, c.set));
    }
    if averages {
        mark(readouts, F::FIRST_IN_AVERAGE, F::LAST_IN_AVERAGE, |c| {
            (c.slice, c.repetition, c.average)
        });
    }
    if let Some(last) = readouts.iter_mut().rev().find(|readout| makes_image(readout)) {
        last.flags |= F::LAST_IN_MEASUREMENT;
    }
}

/// Whether a readout is part of an image: no noise, no navigator, no calibration alone before
/// the image.
fn makes_image(readout: &Readout) -> bool {
    let other = AcquisitionFlags::IS_NAVIGATION_DATA
        | AcquisitionFlags::IS_PHASECORR_DATA
        | AcquisitionFlags::IS_DUMMYSCAN_DATA;
    readout.content != Content::Noise
        && !readout.flags.intersects(other)
        && !readout.separate_calibration
}

fn mark<K: Eq + Hash>(
    readouts: &mut [Readout],
    first: AcquisitionFlags,
    last: AcquisitionFlags,
    key: impl Fn(&EncodingCounters) -> K,
) {
    let mut edges: HashMap<K, [usize; 2]> = HashMap::new();
    for (index, readout) in readouts.iter().enumerate() {
        if makes_image(readout) {
            edges.entry(key(&readout.counters)).or_insert([index; 2])[1] = index;
        }
    }
    for [first_index, last_index] in edges.into_values() {
        readouts[first_index].flags |= first;
        readouts[last_index].flags |= last;
    }
}
