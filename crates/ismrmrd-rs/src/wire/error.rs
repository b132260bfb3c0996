//! What can go wrong on a stream.

use std::{fmt, io};

use super::message::MessageId;
use super::nhlbi::NhlbiError;
use crate::MetaError;

/// A fault in what was received: where in the stream, in which message, after which.
///
/// The stream cannot be read on: without knowing the message's length there is no next one.
#[derive(Debug)]
pub struct DecodeError {
    /// Bytes of the stream before the message.
    pub offset: u64,
    /// Id of the message.
    pub id: u16,
    /// Id of the message before it.
    pub previous: Option<u16>,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MRD stream, byte {}, message {}", self.offset, MessageId(self.id))?;
        match self.previous {
            Some(id) => write!(f, " after {}", MessageId(id))?,
            None => write!(f, " at the beginning")?,
        }
        write!(f, ": {}", self.fault)
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The id is not in the protocol, so that the length of the message is unknown.
    #[error("unknown message id, {hint}")]
    UnknownId {
        /// What the sender may be.
        hint: &'static str,
    },
    /// A length beyond [`super::Limits`].
    #[error("{what} of {bytes} bytes, the limit is {limit}; raise `{field}` if this is meant")]
    TooLarge {
        /// What has the length.
        what: &'static str,
        /// The length.
        bytes: u64,
        /// Its limit.
        limit: usize,
        /// Field of [`super::Limits`].
        field: &'static str,
    },
    /// The code of a pixel type is not in the standard, so that the length is unknown.
    #[error("unknown data type {0}, expected 1 to 8")]
    UnknownDataType(u16),
    /// Lengths within the message contradict each other.
    #[error("{what}: {claimed} expected, {found} found; the sender's message is inconsistent")]
    Inconsistent {
        /// What contradicts.
        what: &'static str,
        /// What one place says.
        claimed: u64,
        /// What another place says.
        found: u64,
    },
    /// An array has more axes than its kind allows.
    #[error("{what} has {found} axes, at most {most} are possible")]
    TooManyAxes {
        /// Which array.
        what: &'static str,
        /// Its axes.
        found: u64,
        /// The most.
        most: u64,
    },
    /// Samples compressed with ZFP.
    #[error(
        "readout is compressed with ZFP, which is not supported; use NHLBI compression or none"
    )]
    Zfp,
    /// Samples that cannot be decompressed.
    #[error("compressed readout: {0}")]
    Nhlbi(#[from] NhlbiError),
    /// Meta attributes that are not a document of meta attributes.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// Why a message cannot be written. Nothing of it has been.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// A size does not fit its field in the header.
    #[error("{count} {what} do not fit the header, at most {most} do; split the data")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many fit.
        most: usize,
    },
    /// The trajectory has another number of samples than the data.
    #[error("trajectory of {trajectory} samples with data of {data} samples; they must be equal")]
    TrajectoryLength {
        /// Samples of the trajectory.
        trajectory: usize,
        /// Samples of the data.
        data: usize,
    },
    /// An array has the wrong number of axes.
    #[error("{what} has {found} axes, {expected} are required")]
    Axes {
        /// Which array.
        what: &'static str,
        /// Its axes.
        found: usize,
        /// Required axes.
        expected: usize,
    },
    /// The name of a configuration does not fit its 1024 bytes or holds a NUL.
    #[error("configuration name of {0} bytes: at most 1023 bytes without NUL are possible")]
    ConfigName(usize),
    /// Samples that cannot be compressed.
    #[error("compression: {0}")]
    Nhlbi(#[from] NhlbiError),
}

/// Why reading from a stream stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system's error.
    #[error("MRD stream, after byte {offset}: {source}")]
    Io {
        /// Bytes read before.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A fault in what was received.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The stream ended within a message.
    #[error(
        "MRD stream, byte {offset}: ended within message {}, {found} bytes of it arrived, \
         {missing} more were due at least; the sender was cut off",
        id.map_or_else(|| "?".to_owned(), |id| MessageId(id).to_string())
    )]
    Truncated {
        /// Bytes of the stream before the message.
        offset: u64,
        /// Its id, if that arrived.
        id: Option<u16>,
        /// Bytes of the message that arrived.
        found: usize,
        /// Bytes that are missing at least.
        missing: usize,
    },
}

/// Why a message was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The message cannot be written; the stream is as it was.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The operating system's error; part of the message may have been written.
    #[error("MRD stream: cannot write: {0}")]
    Io(#[from] io::Error),
}
