//! How many images there should be, and what a header that plans several slices knows of them.

use ismrmrd::xml::{EncodingLimits, Limit};

use super::{AGREE_MS, Preparation, PreparationTimes};
use crate::frames::Stack;
use crate::{Counter, ImageSeries, Scan};

/// How many images a stack should have, where the scan's header says that there are more than
/// arrived: by its list of times, or by the encoding limit of the counter that they differ in.
pub fn expected_images(
    series: &ImageSeries,
    stack: &Stack,
    scan: &Scan,
    preparation: Preparation,
) -> Option<usize> {
    let header = scan.header.as_ref()?;
    let listed = header.sequence_parameters.as_ref().map_or(0, |parameters| match preparation {
        Preparation::Inversion | Preparation::Saturation { .. } => parameters.ti.len(),
        Preparation::Echo => parameters.te.len(),
        Preparation::Repetition => parameters.tr.len(),
        // Those are preparations, not echoes.
        Preparation::T2Preparation => 0,
    });
    let counter = if stack.along_s { series.s } else { series.n };
    let limits = header.encoding.first().map(|encoding| &encoding.encoding_limits);
    let limit = limits.zip(counter).and_then(|(limits, counter)| limit(limits, counter));
    let counted =
        limit.map_or(0, |limit| usize::from(limit.maximum.saturating_sub(limit.minimum)) + 1);
    Some(listed.max(counted)).filter(|expected| *expected > stack.n_frames)
}

/// Whether the scan has more than one slice.
pub(super) fn has_slices(series: &ImageSeries, scan: &Scan) -> bool {
    let encoding = scan.header.as_ref().and_then(|header| header.encoding.first());
    let limit = encoding.and_then(|encoding| encoding.encoding_limits.slice);
    series.headers.dim().0 > 1 || limit.is_some_and(|limit| limit.maximum > limit.minimum)
}

/// Whether times of the header are a plan that the stamps depart from only as far as heartbeats
/// vary: the first image after each inversion has the same time in both, and the others follow in
/// the same order.
pub(super) fn is_plan_of(header: &PreparationTimes, stamps: &PreparationTimes) -> bool {
    let images = || stamps.times_ms.iter().zip(&header.times_ms).zip(&stamps.inversions);
    if images().any(|((stamp, planned), _)| !stamp.is_finite() || !planned.is_finite()) {
        return false;
    }
    let mut groups = stamps.inversions.clone();
    groups.sort_unstable();
    groups.dedup();
    groups.into_iter().all(|group| {
        let mut of_group: Vec<(f64, f64)> = images()
            .filter(|(_, inversion)| **inversion == group)
            .map(|((stamp, planned), _)| (*stamp, *planned))
            .collect();
        of_group.sort_by(|a, b| a.0.total_cmp(&b.0));
        let agrees = of_group.first().is_some_and(|(a, b)| (a - b).abs() <= AGREE_MS);
        agrees && of_group.windows(2).all(|pair| pair[0].1 < pair[1].1)
    })
}

/// Range of a counter in the header.
fn limit(limits: &EncodingLimits, counter: Counter) -> Option<Limit> {
    match counter {
        Counter::Average => limits.average,
        Counter::Contrast => limits.contrast,
        Counter::Phase => limits.phase,
        Counter::Repetition => limits.repetition,
        Counter::Set => limits.set,
        _ => None,
    }
}
