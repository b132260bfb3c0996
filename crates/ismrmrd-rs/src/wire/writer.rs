//! Messages to anything that can be written, one thread, blocking.

use std::io::{BufWriter, Write};

use super::cursor::PutWriter;
use super::encoder::{Checked, Dialect};
use super::error::WriteError;
use super::message::Message;
use crate::{Acquisition, Image, Waveform};

/// Bytes that are gathered before they are written. Larger pieces, such as pixels, pass by.
const BUFFER_BYTES: usize = 256 * 1024;

/// Writes messages. They may stay in the buffer until [`flush`](Self::flush).
pub struct Writer<W: Write> {
    sink: PutWriter<BufWriter<W>>,
    dialect: Dialect,
}

impl<W: Write> Writer<W> {
    /// A writer in the dialect that all known readers take. It has a buffer of its own.
    pub fn new(sink: W) -> Self {
        Self::with_dialect(sink, Dialect::default())
    }

    /// A writer in a dialect.
    pub fn with_dialect(sink: W, dialect: Dialect) -> Self {
        Self { sink: PutWriter(BufWriter::with_capacity(BUFFER_BYTES, sink)), dialect }
    }

    /// Writes a message.
    ///
    /// # Errors
    /// Sizes that do not fit, and errors of the system.
    pub fn write(&mut self, message: &Message) -> Result<(), WriteError> {
        Ok(Checked::new(message)?.put(self.dialect, &mut self.sink)?)
    }

    /// Writes a readout.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_acquisition(&mut self, acquisition: &Acquisition) -> Result<(), WriteError> {
        Ok(Checked::acquisition(acquisition)?.put(self.dialect, &mut self.sink)?)
    }

    /// Writes a waveform.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_waveform(&mut self, waveform: &Waveform) -> Result<(), WriteError> {
        Ok(Checked::waveform(waveform)?.put(self.dialect, &mut self.sink)?)
    }

    /// Writes an image. Its pixels are not copied where they are many.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_image(&mut self, image: &Image) -> Result<(), WriteError> {
        Ok(Checked::image(image)?.put(self.dialect, &mut self.sink)?)
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// Those of the system.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        Ok(self.sink.0.flush()?)
    }

    /// Flushes and gives back what is written to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn into_inner(self) -> Result<W, WriteError> {
        self.sink.0.into_inner().map_err(|error| WriteError::Io(error.into_error()))
    }
}
