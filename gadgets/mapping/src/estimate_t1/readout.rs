//! The readout of images after an inversion, which T1 is held back by.

use ismrmrd::xml::SequenceParameters;
use ndarray::s;
use pipeline::{ImageSeries, Scan};

/// Repetition times of balanced trains, ms. Others in a header are those of a heartbeat.
const REPETITION_TIMES_MS: std::ops::RangeInclusive<f64> = 1.5..=8.0;

/// The balanced train that each image was read with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Readout {
    /// Of its pulses.
    pub flip_angle_deg: f64,
    /// From pulse to pulse.
    pub repetition_time_ms: f64,
    /// Recorded pulses before that of the centre of k-space.
    pub n_before_center: usize,
    /// Recorded pulses.
    pub n_pulses: usize,
}

impl Readout {
    /// What header and lines of a series say; [`None`] where they do not say all of it.
    pub(crate) fn of(series: &ImageSeries, scan: &Scan) -> Option<Self> {
        let parameters = scan.header.as_ref()?.sequence_parameters.as_ref()?;
        let flip_angle_deg = f64::from(*parameters.flip_angle_deg.first()?);
        let repetition_time_ms = repetition_time_ms(parameters)?;
        let lines = series.acquisition_headers.as_ref()?;
        if lines.is_empty() {
            return None;
        }
        let first = lines.slice(s![0, 0, 0, .., ..]);
        let read: Vec<_> = first.iter().filter(|line| line.version != 0).collect();
        let center = scan.encoding(0).ok().and_then(|encoding| {
            encoding.encoding_limits.kspace_encoding_step_1.as_ref().map(|limit| limit.center)
        })?;
        let center = read.iter().min_by_key(|line| {
            let idx = line.idx;
            idx.kspace_encode_step_1.abs_diff(center)
        })?;
        let counter = center.scan_counter;
        let n_before_center = read.iter().filter(|line| { line.scan_counter } < counter).count();
        // Counters that are all alike say nothing of the order.
        let after = read.iter().filter(|line| { line.scan_counter } > counter).count();
        let is_told = n_before_center + after + 1 == read.len();
        is_told.then_some(Self {
            flip_angle_deg,
            repetition_time_ms,
            n_before_center,
            n_pulses: read.len(),
        })
    }
}

/// From pulse to pulse: the echo spacing where there is one, since scanners write what lies between
/// two images as the repetition time.
fn repetition_time_ms(parameters: &SequenceParameters) -> Option<f64> {
    let first = |times: &[f32]| times.first().map(|time| f64::from(*time));
    [first(&parameters.echo_spacing), first(&parameters.tr)]
        .into_iter()
        .flatten()
        .find(|time| REPETITION_TIMES_MS.contains(time))
}
