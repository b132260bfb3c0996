//! K-space of which one side was sampled farther than the other (partial Fourier, asymmetric
//! echo): projections, homodyne detection, and a taper for what stays zero-filled.

mod acquired;
mod homodyne;
mod pocs;
#[cfg(test)]
mod testing;

pub use acquired::{Acquired, AcquiredError};
pub use homodyne::Homodyne;
pub use pocs::{Pocs, PocsOptions, PocsOutcome};

use ndarray::{Array3, ArrayView3, Axis};
use num_complex::Complex32;

use crate::fft::ThroughKSpace;

/// Phase of the object as far as the symmetric middle of k-space shows it: a Hanning window over
/// the lines that have a partner, as numbers of magnitude 1 (0 where the image is 0).
fn low_resolution_phase(
    image: ArrayView3<'_, Complex32>,
    filters: &[(Axis, ThroughKSpace)],
) -> Array3<Complex32> {
    let mut phase = image.as_standard_layout().into_owned();
    for (axis, filter) in filters {
        filter.apply_in_place(phase.view_mut(), *axis);
    }
    phase.mapv_inplace(|value| {
        let magnitude = value.norm_sqr().sqrt();
        // Not 1/0: that would make a phase of what is nothing.
        if magnitude > f32::MIN_POSITIVE { value / magnitude } else { Complex32::ZERO }
    });
    phase
}

/// The filters of [`low_resolution_phase`] for axes z, y, x.
fn phase_filters(acquired: [Acquired; 3]) -> Vec<(Axis, ThroughKSpace)> {
    let filter = |(axis, acquired): (usize, Acquired)| {
        let weights: Vec<f32> = acquired.symmetric_window().into_iter().map(|w| w as f32).collect();
        (acquired.len() > 1)
            .then(|| ThroughKSpace::filter(&weights).ok())
            .flatten()
            .map(|filter| (Axis(axis), filter))
    };
    acquired.into_iter().enumerate().filter_map(filter).collect()
}
