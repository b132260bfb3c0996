//! Ways in which an image can break the contract.

/// Whether the contract could put it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Violation {
    /// The centre is no number.
    Position,
    /// The directions are nearly unit vectors at right angles.
    DirectionsInexact,
    /// The directions are missing or cannot be meant.
    DirectionsWrong,
    /// The directions in the meta attributes are not those of the header.
    DirectionTexts,
    /// An extent is not positive.
    FieldOfView,
    /// No kind of image is named.
    ImageType,
    /// The number in the series is 0 or was used before.
    ImageIndex,
    /// Images of two kinds or sizes share a series.
    SharedSeries,
    /// A window is no whole number, or beyond the pixels.
    Window,
}

impl Violation {
    /// What is wrong, and what became of it.
    pub fn what(self) -> &'static str {
        match self {
            Self::Position => "the centre of an image is no number: sent as 0, 0, 0",
            Self::DirectionsInexact => {
                "read, phase and slice direction of an image are not exactly unit vectors at \
                 right angles: they are sent as the nearest that are"
            }
            Self::DirectionsWrong => {
                "read, phase and slice direction of an image are no unit vectors at right angles: \
                 a scanner cannot place it"
            }
            Self::DirectionTexts => {
                "ImageRowDir, ImageColumnDir or ImageSliceNormDir of an image differ from its \
                 header: they are sent as the header has them"
            }
            Self::FieldOfView => "the field of view of an image is not positive",
            Self::ImageType => "an image does not say what it is: sent as what its pixels are",
            Self::ImageIndex => {
                "images of a series have the same number, or number 0: they are numbered anew"
            }
            Self::SharedSeries => {
                "images of different kinds, sizes or pixel types share a series number: each has \
                 a series of its own now"
            }
            Self::Window => {
                "a window is no whole number, or lies beyond the pixels that are stored: it is \
                 sent as the nearest that fits"
            }
        }
    }

    /// What to do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Position | Self::DirectionsInexact | Self::DirectionsWrong => {
                "let the converter or the sequence write position and directions of every readout"
            }
            Self::DirectionTexts => {
                "let the gadget or client that turns images change header and texts together"
            }
            Self::FieldOfView => "write the reconSpace's field of view into the header",
            Self::ImageType => "set `image_type` in the header of every image",
            Self::ImageIndex => "set `image_index` from 1, once for each image of a series",
            Self::SharedSeries => {
                "give each kind of image an `image_series_index` of its own in its gadget"
            }
            Self::Window => {
                "set WindowCenter and WindowWidth to whole numbers within the bits that are stored"
            }
        }
    }
}
