//! The last thing that happens to an image before it leaves: what scanners demand of it.
//!
//! A scanner that gets an image which breaks its rules drops it, turns it round, shows it black
//! or aborts the measurement, and says nothing; these faults are only seen at the scanner. So
//! every image is checked here, whatever the chain made of it. What can be put right is, pixels
//! are never changed, and each kind of violation is told once in a session.

mod geometry;
mod violation;
mod vocabulary;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use ismrmrd::{DataType, Header, Image, ImageHeader, ImageType, Meta, wire};

use crate::{Chain, Fault, ImageSeries, Kinds, Message, Severity, unprocessed};
use violation::Violation;

/// Bits that a scanner stores where the header's `BitsStored` does not say.
const DEFAULT_BITS_STORED: i64 = 12;
/// Distance of a series that had to be moved from the one that it shared.
const SERIES_STEP: u16 = 100;

/// Turns what leaves a chain into messages for the client, and checks every image among them.
///
/// * Position, directions and field of view are numbers that place the image; the directions
///   stand in the meta attributes with 18 decimals, too.
/// * A series holds images of one kind, size and pixel type, numbered from 1, each number once.
/// * Windows are whole numbers within the bits that are stored.
/// * The image says what it is, in FIRE's and in Gadgetron's words.
///
/// Images that left out a gadget ([`crate::unprocessed`]) are brought into the form that the
/// chain promises.
#[derive(Debug)]
pub struct ScannerContract {
    output: Kinds,
    pixels: Option<DataType>,
    max_stored: i64,
    told: BTreeSet<Violation>,
    told_handedness: bool,
    series: HashMap<u16, Series>,
    /// New number of the images of this content that came with another series' number.
    moved: HashMap<(u16, Content), u16>,
}

/// What the images of a series have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Content {
    /// Hash of the role: a client's text may be of any length.
    role: u64,
    image_type: u16,
    is_unprocessed: bool,
    matrix_size: [u16; 3],
    channels: u16,
    pixels: DataType,
}

#[derive(Debug)]
struct Series {
    content: Content,
    used: HashSet<u16>,
    highest: u16,
}

impl ScannerContract {
    /// The contract for what `chain` makes of a scan.
    pub fn new(chain: &Chain, header: Option<&Header>) -> Self {
        let bits = header
            .and_then(|header| header.user_parameters.as_ref())
            .and_then(|parameters| parameters.long("BitsStored"))
            .unwrap_or(DEFAULT_BITS_STORED);
        Self {
            output: chain.output,
            pixels: chain.pixels,
            max_stored: (1 << bits.clamp(1, 16)) - 1,
            told: BTreeSet::new(),
            told_handedness: false,
            series: HashMap::new(),
            moved: HashMap::new(),
        }
    }

    /// What the client gets of this message: [`None`] where it is not among the chain's outputs.
    /// `report` takes each kind of violation, once.
    pub fn deliver(
        &mut self,
        message: Message,
        report: &mut dyn FnMut(Fault),
    ) -> Option<Vec<wire::Message>> {
        let mut found = BTreeSet::new();
        let messages = if message.is_output_of(self.output) {
            match message {
                Message::ImageSeries(mut series) => {
                    self.check_series(&mut series, &mut found);
                    vec![wire::Message::ImageArray(series.into())]
                }
                Message::Image(image) => vec![self.checked(image, &mut found)],
                Message::ParametricMap(map) => {
                    let pixels = self.pixels.unwrap_or(DataType::F32);
                    let images = map.into_images_as(pixels, self.max_stored).into_iter();
                    images.map(|image| self.checked(image, &mut found)).collect()
                }
                other => other.into_wire().collect(),
            }
        } else {
            let Message::ImageSeries(series) = &message else { return None };
            let images = Some(series).filter(|_| self.output.intersects(Kinds::IMAGE));
            let images = images.and_then(unprocessed::images_of)?.into_iter();
            images.map(|image| self.checked(image, &mut found)).collect()
        };
        for violation in found {
            if self.told.insert(violation) {
                report(Fault {
                    severity: Severity::Warning,
                    gadget: "scanner contract".to_owned(),
                    place: None,
                    what: violation.what().to_owned(),
                    remedy: violation.remedy().to_owned(),
                });
            }
        }
        Some(messages)
    }

    fn checked(&mut self, mut image: Image, found: &mut BTreeSet<Violation>) -> wire::Message {
        if unprocessed::is_marked(&image.meta) {
            // Where the chain promises nothing, complex images become magnitudes.
            let promise = self.pixels.unwrap_or(DataType::F32);
            unprocessed::keep_promise(&mut image, promise, self.max_stored as f32);
        }
        image.update_header();
        let pixels = image.pixels.data_type();
        self.check(&mut image.header, &mut image.meta, pixels, found);
        wire::Message::Image(image)
    }

    fn check_series(&mut self, series: &mut ImageSeries, found: &mut BTreeSet<Violation>) {
        series.meta.resize(series.headers.len(), Meta::new());
        for (header, meta) in series.headers.iter_mut().zip(&mut series.meta) {
            self.check(header, meta, DataType::C32, found);
        }
    }

    fn check(
        &mut self,
        header: &mut ImageHeader,
        meta: &mut Meta,
        pixels: DataType,
        found: &mut BTreeSet<Violation>,
    ) {
        let mut find = |violation| {
            found.insert(violation);
        };
        geometry::check_header(header, &mut find);
        geometry::check_texts(header, meta, &mut find);
        vocabulary::check(meta, pixels, self.max_stored, &mut find);
        if header.image_type == 0 {
            // Complex pixels can be nothing else; of others it is a guess.
            header.image_type = if matches!(pixels, DataType::C32 | DataType::C64) {
                ImageType::Complex as u16
            } else {
                find(Violation::ImageType);
                ImageType::Magnitude as u16
            };
        }
        if !self.told_handedness && geometry::is_left_handed(header) {
            self.told_handedness = true;
            tracing::info!(
                "rows, columns and slices are left-handed: slices follow against the right-hand rule"
            );
        }
        let content = Content {
            role: {
                let mut hasher = DefaultHasher::new();
                meta.get("GADGETRON_DataRole").hash(&mut hasher);
                hasher.finish()
            },
            image_type: header.image_type,
            is_unprocessed: unprocessed::is_marked(meta),
            matrix_size: header.matrix_size,
            channels: header.channels,
            pixels,
        };
        let number = self.series_of(header.image_series_index, content);
        if number != header.image_series_index {
            header.image_series_index = number;
            // Why these have a series of their own has been told.
            if !content.is_unprocessed {
                find(Violation::SharedSeries);
            }
        }
        let Some(series) = self.series.get_mut(&number) else { return };
        if header.image_index == 0 || !series.used.insert(header.image_index) {
            find(Violation::ImageIndex);
            header.image_index = series.highest.saturating_add(1);
            series.used.insert(header.image_index);
        }
        series.highest = series.highest.max(header.image_index);
    }

    /// The series for an image that came with this number.
    fn series_of(&mut self, number: u16, content: Content) -> u16 {
        let new = || Series { content, used: HashSet::new(), highest: 0 };
        match self.series.entry(number) {
            Entry::Vacant(vacant) => {
                vacant.insert(new());
                return number;
            }
            Entry::Occupied(series) if series.get().content == content => return number,
            Entry::Occupied(_) => {}
        }
        if let Some(moved) = self.moved.get(&(number, content)) {
            return *moved;
        }
        let candidates = (1..=u16::MAX / SERIES_STEP).map(|n| number.wrapping_add(n * SERIES_STEP));
        let mut free = candidates.filter(|candidate| !self.series.contains_key(candidate));
        // Hundreds of kinds in one series: these cannot be told apart any more.
        let Some(free) = free.next() else { return number };
        self.series.insert(free, new());
        self.moved.insert((number, content), free);
        free
    }
}

#[cfg(test)]
mod tests;
