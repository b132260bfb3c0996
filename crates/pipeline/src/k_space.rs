//! Sorted k-space.

use ismrmrd::{KSpaceBuffer, Waveform};

use crate::Counter;

/// Sorted k-space of one encoding space, imaging and calibration lines apart.
///
/// Axes of the data: `[slice, s, n, channel, encoding_step_2, encoding_step_1, readout]`. `s` and
/// `n` are whatever counters the chain chose.
#[derive(Clone, Debug)]
pub struct KSpace {
    /// Index of the encoding in the scan's header.
    pub encoding_space: usize,
    /// Counter along axis `s`, [`None`] where it has length 1.
    pub s: Option<Counter>,
    /// Counter along axis `n`, [`None`] where it has length 1.
    pub n: Option<Counter>,
    /// Imaging lines.
    pub data: KSpaceBuffer,
    /// Calibration lines.
    pub reference: Option<KSpaceBuffer>,
    /// Waveforms that arrived with the lines.
    pub waveforms: Vec<Waveform>,
}
