//! Messages between gadgets as messages of the wire protocol, and back.

use ismrmrd::{ReconBit, wire};

use crate::{DicomFile, KSpace, Message};

impl Message {
    /// Data from the wire as messages for a chain: one, or one for each encoding space of sorted
    /// k-space.
    ///
    /// # Errors
    /// Gives the message back if it is no data.
    // The message itself is the error, so that the caller can go on with it without a copy.
    #[allow(clippy::result_large_err)]
    pub fn from_wire(message: wire::Message) -> Result<impl Iterator<Item = Self>, wire::Message> {
        let mut several = Vec::new();
        let one = match message {
            wire::Message::Acquisition(readout) => Some(readout.into()),
            wire::Message::Waveform(waveform) => Some(waveform.into()),
            wire::Message::Image(image) => Some(image.into()),
            wire::Message::Bucket(bucket) => Some(bucket.into()),
            wire::Message::ImageArray(array) => Some(Self::ImageSeries(array.into())),
            wire::Message::ReconData(bits) => {
                let spaces = bits.into_iter().enumerate();
                several.extend(spaces.map(|(encoding_space, bit)| {
                    let ReconBit { data, reference } = bit;
                    let waveforms = Vec::new();
                    let (s, n) = (None, None);
                    Self::KSpace(KSpace { encoding_space, s, n, data, reference, waveforms })
                }));
                None
            }
            other => return Err(other),
        };
        Ok(one.into_iter().chain(several))
    }

    /// This message as messages of the wire: one, or for a map its values and their standard
    /// deviations as images.
    pub fn into_wire(self) -> impl Iterator<Item = wire::Message> {
        let mut several = Vec::new();
        let one = match self {
            Self::Acquisition(readout) => Some(wire::Message::Acquisition(readout)),
            Self::Waveform(waveform) => Some(wire::Message::Waveform(waveform)),
            Self::Bucket(bucket) => Some(wire::Message::Bucket(bucket)),
            Self::KSpace(KSpace { data, reference, .. }) => {
                Some(wire::Message::ReconData(vec![ReconBit { data, reference }]))
            }
            Self::ImageSeries(series) => Some(wire::Message::ImageArray(series.into())),
            Self::Image(image) => Some(wire::Message::Image(image)),
            Self::Answer(answer) => Some(wire::Message::DependencyQuery(answer.0)),
            Self::DicomFile(DicomFile { data, file_name, meta }) => {
                Some(wire::Message::Dicom { data, file_name, meta })
            }
            Self::ParametricMap(map) => {
                several.extend(map.into_images().into_iter().map(wire::Message::Image));
                None
            }
        };
        one.into_iter().chain(several)
    }

    /// Whether a chain whose outputs are `kinds` sends this: a map goes as images.
    pub fn is_output_of(&self, kinds: crate::Kinds) -> bool {
        let images = crate::Kinds::IMAGE;
        let is_map = matches!(self, Self::ParametricMap(_));
        self.kind().intersects(kinds) || (is_map && kinds.intersects(images))
    }
}
