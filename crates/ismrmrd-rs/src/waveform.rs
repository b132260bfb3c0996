//! A stretch of ECG, pulse, respiration or other physiological signal.

use ndarray::Array2;

use crate::WaveformHeader;

/// A stretch of physiological signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Waveform {
    /// Kind, clock and counts.
    pub header: WaveformHeader,
    /// Samples: `[channel, sample]`.
    pub data: Array2<u32>,
}
