//! The messages of the protocol and their ids.

use std::fmt;

use crate::{Acquisition, Bucket, Image, ImageArray, Meta, NdArray, ReconBit, Waveform};

/// One message of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// 1: name of the configuration to use.
    ConfigFile(String),
    /// 2: the configuration itself.
    ConfigText(String),
    /// 3: the XML header as the sender wrote it. See [`crate::Header::from_xml`].
    Header(String),
    /// 4: no more messages will come.
    Close,
    /// 5: a line for the log; from FIRE clients also additional configuration in JSON.
    Text(String),
    /// 6: a question about the server.
    Query {
        /// Comes back with the answer.
        correlation_id: u64,
        /// The question.
        text: String,
    },
    /// 7: the answer to a query.
    Response {
        /// Of the query.
        correlation_id: u64,
        /// The answer.
        text: String,
    },
    /// 8: an error, between Gadgetron and its child processes.
    Error(String),
    /// 1008: a readout.
    Acquisition(Acquisition),
    /// 1018: a DICOM file.
    Dicom {
        /// Its bytes.
        data: Vec<u8>,
        /// Its name, may be empty.
        file_name: String,
        /// Its attributes.
        meta: Meta,
    },
    /// 1019: the answer about a stored noise measurement.
    DependencyQuery(Meta),
    /// 1022: an image.
    Image(Image),
    /// 1023: sorted k-space, one element per encoding space.
    ReconData(Vec<ReconBit>),
    /// 1024: images that belong together.
    ImageArray(ImageArray),
    /// 1026: a stretch of physiological signal.
    Waveform(Waveform),
    /// 1030: an array.
    NdArray(NdArray),
    /// 1050: readouts that belong together.
    Bucket(Bucket),
}

/// Number that says what a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u16);

macro_rules! message_ids {
    ($($(#[$doc:meta])* $constant:ident = $id:literal $name:literal,)*) => {
        impl MessageId {
            $($(#[$doc])* pub const $constant: Self = Self($id);)*

            /// Name of the message, [`None`] for an unknown id.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($id => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

message_ids! {
    /// Name of a configuration.
    CONFIG_FILE = 1 "config file",
    /// Text of a configuration.
    CONFIG_TEXT = 2 "config text",
    /// XML header.
    HEADER = 3 "header",
    /// End of the messages.
    CLOSE = 4 "close",
    /// Log line.
    TEXT = 5 "text",
    /// Question about the server.
    QUERY = 6 "query",
    /// Answer to a query.
    RESPONSE = 7 "response",
    /// Error.
    ERROR = 8 "error",
    /// Readout.
    ACQUISITION = 1008 "acquisition",
    /// DICOM file.
    DICOM = 1018 "dicom",
    /// Answer about a stored noise measurement.
    DEPENDENCY_QUERY = 1019 "dependency query",
    /// Image.
    IMAGE = 1022 "image",
    /// Sorted k-space.
    RECON_DATA = 1023 "recon data",
    /// Images that belong together.
    IMAGE_ARRAY = 1024 "image array",
    /// Physiological signal.
    WAVEFORM = 1026 "waveform",
    /// Array.
    ND_ARRAY = 1030 "nd-array",
    /// Readouts that belong together.
    BUCKET = 1050 "bucket",
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Message {
    /// The id that stands in front of the message.
    pub const fn id(&self) -> MessageId {
        match self {
            Self::ConfigFile(_) => MessageId::CONFIG_FILE,
            Self::ConfigText(_) => MessageId::CONFIG_TEXT,
            Self::Header(_) => MessageId::HEADER,
            Self::Close => MessageId::CLOSE,
            Self::Text(_) => MessageId::TEXT,
            Self::Query { .. } => MessageId::QUERY,
            Self::Response { .. } => MessageId::RESPONSE,
            Self::Error(_) => MessageId::ERROR,
            Self::Acquisition(_) => MessageId::ACQUISITION,
            Self::Dicom { .. } => MessageId::DICOM,
            Self::DependencyQuery(_) => MessageId::DEPENDENCY_QUERY,
            Self::Image(_) => MessageId::IMAGE,
            Self::ReconData(_) => MessageId::RECON_DATA,
            Self::ImageArray(_) => MessageId::IMAGE_ARRAY,
            Self::Waveform(_) => MessageId::WAVEFORM,
            Self::NdArray(_) => MessageId::ND_ARRAY,
            Self::Bucket(_) => MessageId::BUCKET,
        }
    }
}

macro_rules! message_from {
    ($($variant:ident($type:ty),)*) => {
        $(impl From<$type> for Message {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

message_from! {
    Acquisition(Acquisition),
    Image(Image),
    ImageArray(ImageArray),
    Waveform(Waveform),
    NdArray(NdArray),
    Bucket(Bucket),
}
