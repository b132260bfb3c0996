//! Readouts and waveforms in the order in which a scanner sends them.

use std::iter::Peekable;

use super::error::FileError;
use super::rows::{Acquisitions, Waveforms};
use crate::wire::Message;

/// Readouts and waveforms merged by their time stamps, a readout before a waveform of the same
/// time. Each kind keeps the order of the file, as with Gadgetron's client.
pub struct Messages {
    acquisitions: Peekable<Acquisitions>,
    waveforms: Peekable<Waveforms>,
}

impl Messages {
    pub(super) fn new(acquisitions: Acquisitions, waveforms: Waveforms) -> Self {
        Self { acquisitions: acquisitions.peekable(), waveforms: waveforms.peekable() }
    }
}

impl Iterator for Messages {
    type Item = Result<Message, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let waveform_first = match (self.acquisitions.peek(), self.waveforms.peek()) {
            (Some(Ok(readout)), Some(Ok(waveform))) => {
                waveform.header.time_stamp < readout.header.acquisition_time_stamp
            }
            (Some(_), Some(Err(_))) | (None, _) => true,
            (Some(_), None) | (Some(Err(_)), Some(_)) => false,
        };
        if waveform_first {
            Some(self.waveforms.next()?.map(Message::Waveform))
        } else {
            Some(self.acquisitions.next()?.map(Message::Acquisition))
        }
    }
}
