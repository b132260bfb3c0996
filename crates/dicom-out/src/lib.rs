//! Images and maps as DICOM objects.
//!
//! [`objects`] makes of an image of a chain, with the header of its measurement ([`Study`]), the
//! objects that an archive or a viewer understands: MR Image Storage with a mapping to real values,
//! and on demand a Parametric Map of floats and a picture in colours. What each attribute is made of
//! stands in `docs/dicom.md`.

mod color;
mod dataset;
mod delivery;
mod destination;
mod dimse;
mod lane;
mod modules;
mod mr_image;
mod outbox;
mod parametric_map;
mod pixels;
mod place;
mod quantity;
mod spool;
mod stow;
mod study;
pub mod text;
mod uid;

use dicom_dictionary_std::{tags, uids};
use dicom_object::FileMetaTableBuilder;
use ismrmrd::Image;
use pipeline::{ImageFacts, ImageKind, Remedy};

use dataset::Dataset;
pub use delivery::{Delivery, DeliveryError, echo, sop_class};
pub use destination::{Destination, DestinationError};
use modules::Form;
pub use outbox::{Counts, Job, Outbox, OutboxError, OutboxSettings, Tally};
pub use pixels::StoredPlane;
pub use place::PlanePlace;
pub use quantity::{Code, PRIVATE_SCHEME, Quantity};
pub use study::Study;

/// This program's own UID in files: a UUID below 2.25.
const IMPLEMENTATION_UID: &str = "2.25.118337246172914067243174929152813640901";
/// Objects that one image may become.
const MAX_OBJECTS: usize = 4096;

/// What an image becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// Maps and their companions also as Parametric Map Storage, 32-bit floats.
    pub parametric_map: bool,
    /// Maps also as pictures in the recommended colours, with a colour bar.
    pub color: bool,
}

/// One object as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DicomFile {
    /// A name for it, the same for the same object.
    pub name: String,
    /// SOP Instance UID.
    pub instance_uid: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Why an image becomes no object.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not say where it lies.
    #[error("an image for DICOM does not have {0}")]
    NoPlace(&'static str),
    /// It has no pixels, or too many.
    #[error("an image of {0:?} (channel, z, y, x) has no form in DICOM")]
    Size([usize; 4]),
    /// The object cannot be written.
    #[error("a DICOM object cannot be written: {0}")]
    Write(String),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::NoPlace(_) => {
                "let the sequence or the converter write position, directions and field of view of the readouts"
            }
            Self::Size(_) => "send images of 1 to 65535 rows and columns",
            Self::Write(_) => "report this with the recording",
        }
    }
}

/// The objects of one image: an MR Image for each plane (channel, z), and further forms.
///
/// Pixels of complex images are their magnitude. The same image of the same [`Study`] gives objects
/// with the same UIDs.
///
/// # Errors
/// It has no pixels or lies nowhere.
pub fn objects(image: &Image, study: &Study, forms: Forms) -> Result<Vec<DicomFile>, Error> {
    let shape = image.pixels.shape();
    let [channels, n_z, rows, columns] = shape;
    let fits = |n: usize| (1..=usize::from(u16::MAX)).contains(&n);
    if !fits(rows) || !fits(columns) || !(1..=MAX_OBJECTS).contains(&(channels * n_z)) {
        return Err(Error::Size(shape));
    }
    // What the pixels are is what counts.
    let mut image = image.clone();
    image.update_header();
    let (image, facts) = (&image, ImageFacts::of(&image));
    if facts.kind == ImageKind::Color && channels == 3 {
        return color_planes(image, &facts, study);
    }
    let mut files = Vec::new();
    for channel in 0..channels {
        let mut planes = Vec::with_capacity(n_z);
        for z in 0..n_z {
            let plane = channel * n_z + z;
            let number = instance_number(image, plane, channels * n_z);
            let place = PlanePlace::of(&image.header, z)?;
            let values = pixels::values(image, &facts, channel, z);
            let stored = pixels::stored(image, &facts, channel, z);
            let window = pixels::window(&facts, &values);
            let key: Vec<u8> = stored.pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
            let mut data = mr_image::plane(study, image, &facts, stored, &place, window);
            data.is(tags::INSTANCE_NUMBER, number);
            files.push(finished(data, study, image, &facts, Form::Mr, plane, &key)?);
            if forms.color
                && let Some((mut data, key)) = color::plane(study, image, &facts, &values)
            {
                data.is(tags::INSTANCE_NUMBER, number);
                files.push(finished(data, study, image, &facts, Form::Color, plane, &key)?);
            }
            planes.push((place, values));
        }
        if forms.parametric_map
            && let Some(data) = parametric_map::planes(study, image, &facts, &planes)
        {
            let values = planes.iter().flat_map(|(_, values)| values.iter());
            let key: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
            files.push(finished(data, study, image, &facts, Form::ParametricMap, channel, &key)?);
        }
    }
    Ok(files)
}

/// An image that is in colours already, a picture for each plane.
fn color_planes(image: &Image, facts: &ImageFacts, study: &Study) -> Result<Vec<DicomFile>, Error> {
    let values = image.pixels.to_magnitude();
    let n_z = values.dim().1;
    let plane = |z: usize| {
        let channels = values.index_axis(ndarray::Axis(1), z);
        // Channels become the fastest axis.
        let pixels = channels.permuted_axes([1, 2, 0]);
        let mut bytes: Vec<u8> = pixels.iter().map(|value| value.clamp(0.0, 255.0) as u8).collect();
        let key = bytes.clone();
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        let mut data = color::as_it_is(study, image, facts, bytes);
        data.is(tags::INSTANCE_NUMBER, instance_number(image, z, n_z));
        finished(data, study, image, facts, Form::Color, z, &key)
    };
    (0..n_z).map(plane).collect()
}

fn instance_number(image: &Image, plane: usize, n_planes: usize) -> i64 {
    let index = i64::from(image.header.image_index.max(1)) - 1;
    index * n_planes as i64 + plane as i64 + 1
}

/// The object with its UIDs as a file. `key`: what tells it from others of the same number.
fn finished(
    mut data: Dataset,
    study: &Study,
    image: &Image,
    facts: &ImageFacts,
    form: Form,
    plane: usize,
    key: &[u8],
) -> Result<DicomFile, Error> {
    let header = &image.header;
    let series = study.series_uid(header.image_series_index, form.name());
    let counters = [
        header.image_index,
        header.slice,
        header.phase,
        header.repetition,
        header.set,
        header.contrast,
        header.average,
    ];
    let counters: Vec<u8> = counters.iter().flat_map(|counter| counter.to_le_bytes()).collect();
    let number = (plane as u64).to_le_bytes();
    let instance_uid = uid::derived(&[b"instance", series.as_bytes(), &counters, &number, key]);
    let class = modules::sop_class(form);
    let quantity = Quantity::of(facts);
    modules::sop_common(&mut data, study, class, &instance_uid, quantity.as_ref());
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .implementation_class_uid(IMPLEMENTATION_UID)
        .implementation_version_name("BORESIDE");
    let object = data.0.with_meta(meta).map_err(|error| Error::Write(error.to_string()))?;
    let mut bytes = Vec::new();
    object.write_all(&mut bytes).map_err(|error| Error::Write(error.to_string()))?;
    let label = match &quantity {
        Some(quantity) => quantity.label.to_ascii_lowercase(),
        None => facts.title.clone(),
    };
    let label: String = label
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .take(40)
        .collect();
    let form = match form {
        Form::Mr => "",
        Form::ParametricMap => "_float",
        Form::Color => "_color",
    };
    let (series, index) = (header.image_series_index, header.image_index);
    let tail = &instance_uid[instance_uid.len().saturating_sub(20)..];
    let name = format!("series{series:04}_{label}_{index:04}_{plane:03}{form}_{tail}.dcm");
    Ok(DicomFile { name, instance_uid, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_object::InMemDicomObject;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::Array4;
    use num_complex::Complex32;

    fn image(pixels: impl Into<ismrmrd::Pixels>) -> Image {
        let header = ImageHeader {
            field_of_view: [8.0, 6.0, 15.0],
            read_dir: [1.0, 0.0, 0.0],
            phase_dir: [0.0, 1.0, 0.0],
            slice_dir: [0.0, 0.0, 1.0],
            image_index: 2,
            ..ImageHeader::default()
        };
        Image::new(header, Meta::new(), pixels)
    }

    fn read(file: &DicomFile) -> InMemDicomObject {
        dicom_object::from_reader(file.bytes.as_slice()).expect("it can be read").into_inner()
    }

    fn text(object: &InMemDicomObject, tag: dicom_core::Tag) -> String {
        object.element(tag).expect("there").to_str().expect("a text").trim().to_owned()
    }

    #[test]
    fn a_resend_has_the_same_uids_and_other_pixels_have_others() {
        let (study, forms) = (Study::new(None, "a"), Forms::default());
        let uid = |value: u16| {
            let image = image(Array4::from_elem((1, 1, 3, 4), value));
            objects(&image, &study, forms).expect("good")[0].instance_uid.clone()
        };
        assert_eq!(uid(7), uid(7));
        assert_ne!(uid(7), uid(8));
    }

    #[test]
    fn each_plane_of_a_volume_lies_where_it_was() {
        let volume = image(Array4::from_shape_fn((1, 3, 3, 4), |(_, z, ..)| z as u16));
        let files = objects(&volume, &Study::new(None, ""), Forms::default()).expect("good");
        let heights: Vec<_> =
            files.iter().map(|file| text(&read(file), tags::SLICE_LOCATION)).collect();
        assert_eq!(heights, ["-5", "0", "5"]);
        let numbers: Vec<_> =
            files.iter().map(|file| text(&read(file), tags::INSTANCE_NUMBER)).collect();
        assert_eq!(numbers, ["4", "5", "6"], "behind those of the first image");
    }

    #[test]
    fn complex_pixels_go_as_magnitude_and_say_so() {
        let complex = image(Array4::from_elem((1, 1, 3, 4), Complex32::new(3.0, -4.0)));
        let files = objects(&complex, &Study::new(None, ""), Forms::default()).expect("good");
        let object = read(&files[0]);
        assert_eq!(text(&object, tags::IMAGE_COMMENTS), "magnitude of complex pixels");
        let slope: f64 = text(&object, tags::RESCALE_SLOPE).parse().expect("a number");
        let bytes = object.element(tags::PIXEL_DATA).expect("there").to_bytes().expect("bytes");
        let pixel = f64::from(i16::from_le_bytes([bytes[0], bytes[1]]));
        assert!((pixel * slope - 5.0).abs() <= slope / 2.0);
    }

    #[test]
    fn what_was_left_out_and_hostile_texts_are_told_cleanly() {
        let mut bad = image(Array4::from_elem((1, 1, 3, 4), 1_u16));
        bad.meta.set("SeriesDescription", "a\\b\u{0}".repeat(100));
        pipeline::unprocessed::mark(&mut bad.meta, "moco", "no\\memory\u{7}");
        let files = objects(&bad, &Study::new(None, ""), Forms::default()).expect("good");
        let object = read(&files[0]);
        let description = text(&object, tags::SERIES_DESCRIPTION);
        assert!(description.starts_with("unprocessed: moco"), "{description}");
        assert!(description.chars().count() <= 64 && !description.contains('\\'));
        assert!(text(&object, tags::IMAGE_COMMENTS).contains("unprocessed: moco: no"));
    }

    #[test]
    fn images_without_pixels_or_of_too_many_are_refused() {
        let study = Study::new(None, "");
        for shape in [(1, 1, 0, 4), (0, 1, 3, 4), (4097, 1, 1, 1)] {
            let error = objects(&image(Array4::<u16>::zeros(shape)), &study, Forms::default());
            assert!(matches!(error, Err(Error::Size(_))));
        }
    }
}
