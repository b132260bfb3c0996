//! What flows through a chain: one enum, and the sets of its kinds that gadgets take and give.

use std::convert::Infallible;
use std::fmt;

use ismrmrd::{Acquisition, Bucket, Image, Waveform};

use crate::{Answer, DicomFile, ImageSeries, KSpace, ParametricMap};

/// One item on its way through a chain.
#[derive(Clone, Debug)]
pub enum Message {
    /// A readout.
    Acquisition(Acquisition),
    /// A stretch of ECG, pulse, respiration.
    Waveform(Waveform),
    /// Readouts that belong together.
    Bucket(Bucket),
    /// Sorted k-space of one encoding space.
    KSpace(KSpace),
    /// Complex images that belong together.
    ImageSeries(ImageSeries),
    /// Values with a unit.
    ParametricMap(ParametricMap),
    /// One image as the client gets it.
    Image(Image),
    /// An answer to a question for an earlier measurement.
    Answer(Answer),
    /// A DICOM file for the client.
    DicomFile(DicomFile),
}

impl Message {
    /// The kind of this message.
    pub fn kind(&self) -> Kinds {
        match self {
            Self::Acquisition(_) => Kinds::ACQUISITION,
            Self::Waveform(_) => Kinds::WAVEFORM,
            Self::Bucket(_) => Kinds::BUCKET,
            Self::KSpace(_) => Kinds::K_SPACE,
            Self::ImageSeries(_) => Kinds::IMAGE_SERIES,
            Self::ParametricMap(_) => Kinds::PARAMETRIC_MAP,
            Self::Image(_) => Kinds::IMAGE,
            Self::Answer(_) => Kinds::ANSWER,
            Self::DicomFile(_) => Kinds::DICOM_FILE,
        }
    }

    /// Where in the scan it belongs, for errors.
    pub(crate) fn place(&self) -> Option<Place> {
        match self {
            Self::Acquisition(readout) => {
                let idx = readout.header.idx;
                Some(Place { slice: idx.slice, repetition: idx.repetition })
            }
            Self::Bucket(bucket) => {
                let readout = bucket.data.first().or(bucket.reference.first())?;
                let idx = readout.header.idx;
                Some(Place { slice: idx.slice, repetition: idx.repetition })
            }
            Self::KSpace(k_space) => {
                let header = k_space.data.headers.iter().find(|line| line.version != 0)?;
                let idx = header.idx;
                Some(Place { slice: idx.slice, repetition: idx.repetition })
            }
            Self::ImageSeries(series) => {
                let header = series.headers.first()?;
                Some(Place { slice: header.slice, repetition: header.repetition })
            }
            Self::ParametricMap(map) => {
                Some(Place { slice: map.header.slice, repetition: map.header.repetition })
            }
            Self::Image(image) => {
                Some(Place { slice: image.header.slice, repetition: image.header.repetition })
            }
            Self::Waveform(_) | Self::Answer(_) | Self::DicomFile(_) => None,
        }
    }
}

/// Slice and repetition that a fault happened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Slice counter.
    pub slice: u16,
    /// Repetition counter.
    pub repetition: u16,
}

/// A set of kinds of message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Readouts.
    pub const ACQUISITION: Self = Self(1);
    /// Waveforms.
    pub const WAVEFORM: Self = Self(1 << 1);
    /// Buckets of readouts.
    pub const BUCKET: Self = Self(1 << 2);
    /// Sorted k-space.
    pub const K_SPACE: Self = Self(1 << 3);
    /// Image series.
    pub const IMAGE_SERIES: Self = Self(1 << 4);
    /// Parametric maps.
    pub const PARAMETRIC_MAP: Self = Self(1 << 5);
    /// Images.
    pub const IMAGE: Self = Self(1 << 6);
    /// Answers to questions for earlier measurements.
    pub const ANSWER: Self = Self(1 << 7);
    /// DICOM files.
    pub const DICOM_FILE: Self = Self(1 << 8);
    /// All kinds.
    pub const ALL: Self = Self(0x1ff);

    const NAMES: [(Self, &str, &str); 9] = [
        (Self::ACQUISITION, "Acquisition", "acquisition"),
        (Self::WAVEFORM, "Waveform", "waveform"),
        (Self::BUCKET, "Bucket", "bucket"),
        (Self::K_SPACE, "KSpace", "k_space"),
        (Self::IMAGE_SERIES, "ImageSeries", "image_series"),
        (Self::PARAMETRIC_MAP, "ParametricMap", "parametric_map"),
        (Self::IMAGE, "Image", "image"),
        (Self::ANSWER, "Answer", "answer"),
        (Self::DICOM_FILE, "DicomFile", "dicom_file"),
    ];

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the kinds of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The kinds that both sets have.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the sets share a kind.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is no kind in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kind of this name as chain files write it, e.g. `acquisition`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(.., known)| *known == name).map(|(kind, ..)| *kind)
    }

    /// Names of all kinds as chain files write them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(.., name)| *name)
    }
}

impl fmt::Display for Kinds {
    /// `Acquisition or Waveform`; `nothing` for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            Self::NAMES.iter().filter(|(kind, ..)| self.intersects(*kind)).map(|n| n.1).collect();
        if names.is_empty() { f.write_str("nothing") } else { f.write_str(&names.join(" or ")) }
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kinds({self})")
    }
}

/// What a gadget takes: one type of message, or an enum of some of them ([`message_set!`](crate::message_set)).
pub trait Accept: Sized {
    /// The kinds that [`Accept::accept`] succeeds for.
    const KINDS: Kinds;

    /// The message as this type.
    ///
    /// # Errors
    /// Gives the message back if it is of another kind.
    // The message itself is the error, so that it passes by without a copy.
    #[allow(clippy::result_large_err)]
    fn accept(message: Message) -> Result<Self, Message>;
}

/// What a gadget gives: one type of message, or an enum of some of them ([`message_set!`](crate::message_set)).
pub trait Give: Into<Message> {
    /// The kinds that may come out.
    const KINDS: Kinds;
}

macro_rules! message_kinds {
    ($($type:ident => $kind:ident,)*) => {
        $(
            impl Accept for $type {
                const KINDS: Kinds = Kinds::$kind;

                fn accept(message: Message) -> Result<Self, Message> {
                    match message {
                        Message::$type(inner) => Ok(inner),
                        other => Err(other),
                    }
                }
            }

            impl Give for $type {
                const KINDS: Kinds = Kinds::$kind;
            }

            impl From<$type> for Message {
                fn from(inner: $type) -> Self {
                    Self::$type(inner)
                }
            }
        )*
    };
}

message_kinds! {
    Acquisition => ACQUISITION,
    Waveform => WAVEFORM,
    Bucket => BUCKET,
    KSpace => K_SPACE,
    ImageSeries => IMAGE_SERIES,
    ParametricMap => PARAMETRIC_MAP,
    Image => IMAGE,
    Answer => ANSWER,
    DicomFile => DICOM_FILE,
}

impl Accept for Message {
    const KINDS: Kinds = Kinds::ALL;

    fn accept(message: Message) -> Result<Self, Message> {
        Ok(message)
    }
}

impl Give for Message {
    const KINDS: Kinds = Kinds::ALL;
}

/// The output of a gadget that gives nothing.
impl Give for Infallible {
    const KINDS: Kinds = Kinds::NONE;
}

impl From<Infallible> for Message {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// An enum of some kinds of message, for a gadget that takes or gives more than one:
/// `message_set! { /// What it takes. pub enum Readings { Acquisition, Waveform } }`.
#[macro_export]
macro_rules! message_set {
    ($(#[$doc:meta])* $visibility:vis enum $name:ident { $($kind:ident),* $(,)? }) => {
        $(#[$doc])*
        $visibility enum $name {
            $(
                #[allow(missing_docs)]
                $kind($crate::$kind),
            )*
        }

        impl $crate::Accept for $name {
            const KINDS: $crate::Kinds =
                $crate::Kinds::NONE$(.union(<$crate::$kind as $crate::Accept>::KINDS))*;

            fn accept(message: $crate::Message) -> Result<Self, $crate::Message> {
                match message {
                    $($crate::Message::$kind(inner) => Ok(Self::$kind(inner)),)*
                    other => Err(other),
                }
            }
        }

        impl $crate::Give for $name {
            const KINDS: $crate::Kinds = <Self as $crate::Accept>::KINDS;
        }

        impl From<$name> for $crate::Message {
            fn from(set: $name) -> Self {
                match set {
                    $($name::$kind(inner) => Self::$kind(inner),)*
                }
            }
        }

        $(impl From<$crate::$kind> for $name {
            fn from(inner: $crate::$kind) -> Self {
                Self::$kind(inner)
            }
        })*
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    message_set! {
        /// Readouts and waveforms.
        enum Readings { Acquisition, Waveform }
    }

    #[test]
    fn a_set_takes_its_kinds_and_gives_the_others_back() {
        assert_eq!(<Readings as Accept>::KINDS.to_string(), "Acquisition or Waveform");
        assert!(Readings::accept(Message::Bucket(Bucket::default())).is_err());
        let readout = Acquisition::new(Default::default(), Default::default());
        let Ok(Readings::Acquisition(back)) = Readings::accept(readout.clone().into()) else {
            panic!("a readout is in the set");
        };
        assert_eq!(back, readout);
    }

    #[test]
    fn kinds_print_and_parse_by_name() {
        assert_eq!(Kinds::from_name("image_series"), Some(Kinds::IMAGE_SERIES));
        assert_eq!(Kinds::NONE.to_string(), "nothing");
        assert_eq!(Kinds::names().count(), Kinds::ALL.0.count_ones() as usize);
    }
}
