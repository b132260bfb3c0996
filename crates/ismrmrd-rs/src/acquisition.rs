//! One readout: its header, trajectory and samples.

use ndarray::Array2;
use num_complex::Complex32;

use crate::AcquisitionHeader;

/// One ADC event.
///
/// The header's sample, channel and dimension counts are set from the arrays when it is
/// written; [`Acquisition::new`] keeps them equal from the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Acquisition {
    /// Flags, counters, geometry and times.
    pub header: AcquisitionHeader,
    /// Where each sample lies in k-space: `[sample, dimension]`, `[0, 0]` where there is none.
    pub trajectory: Array2<f32>,
    /// Samples: `[channel, sample]`.
    pub data: Array2<Complex32>,
}

impl Acquisition {
    /// A readout without trajectory whose header counts are those of `data`: `[channel, sample]`.
    /// Counts beyond 65535 do not fit the header and are refused when it is written.
    pub fn new(mut header: AcquisitionHeader, data: Array2<Complex32>) -> Self {
        let (n_channels, n_samples) = data.dim();
        header.trajectory_dimensions = 0;
        header.number_of_samples = u16::try_from(n_samples).unwrap_or(u16::MAX);
        header.active_channels = u16::try_from(n_channels).unwrap_or(u16::MAX);
        header.available_channels = header.available_channels.max(header.active_channels);
        Self { header, trajectory: Array2::zeros((0, 0)), data }
    }

    /// Number of channels in the data.
    pub fn n_channels(&self) -> usize {
        self.data.nrows()
    }

    /// Number of samples per channel in the data.
    pub fn n_samples(&self) -> usize {
        self.data.ncols()
    }
}
