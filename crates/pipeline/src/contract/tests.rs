use super::*;
use ismrmrd::Pixels;
use ndarray::{Array3, Array4, ArrayD, IxDyn};
use num_complex::Complex32;

use crate::ImageRole;
use crate::chain::ChainFile;

/// A contract with a chain whose outputs are `output`.
fn contract(output: Kinds, pixels: Option<DataType>) -> ScannerContract {
    let file = ChainFile::parse("c", "input = [\"image\"]\n[[gadget]]\nuse = \"keep\"\n");
    let registry = crate::Registry::new().with::<Keep>();
    let chain = Chain::check(&file.expect("it parses"), &registry).expect("it is good");
    ScannerContract::new(&Chain { output, pixels, ..chain }, None)
}

/// A gadget, for there must be one.
struct Keep;

/// No properties.
#[derive(Clone, serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

impl crate::Gadget for Keep {
    const NAME: &str = "keep";
    const KEEPS_KIND: bool = true;
    type Config = Nothing;
    type Input = Message;
    type Output = Message;
    type Error = std::convert::Infallible;

    fn new(_config: Nothing, _scan: &crate::Scan) -> Result<Self, Self::Error> {
        Ok(Self)
    }

    fn process(
        &mut self,
        message: Message,
        out: &mut crate::Sink<Self>,
    ) -> Result<(), Self::Error> {
        out.push(message);
        Ok(())
    }
}

/// A good image.
fn image(image_index: u16) -> Image {
    let header = ImageHeader {
        field_of_view: [300.0, 300.0, 8.0],
        read_dir: [1.0, 0.0, 0.0],
        phase_dir: [0.0, 1.0, 0.0],
        slice_dir: [0.0, 0.0, 1.0],
        image_type: ImageType::Magnitude as u16,
        image_index,
        ..ImageHeader::default()
    };
    Image::new(header, Meta::new(), Array4::from_elem((1, 1, 2, 3), 100.0_f32))
}

/// What a contract makes of images, and what it reports.
fn deliver(contract: &mut ScannerContract, images: Vec<Image>) -> (Vec<Image>, Vec<String>) {
    let mut reports = Vec::new();
    let mut delivered = Vec::new();
    for image in images {
        let messages = contract.deliver(image.into(), &mut |fault| reports.push(fault.to_string()));
        for message in messages.expect("images are wanted") {
            let wire::Message::Image(image) = message else { panic!("images stay images") };
            delivered.push(image);
        }
    }
    (delivered, reports)
}

#[test]
fn a_good_image_leaves_with_its_header_and_pixels_untouched() {
    let before = image(1);
    let (images, reports) = deliver(&mut contract(Kinds::IMAGE, None), vec![before.clone()]);
    assert!(reports.is_empty(), "{reports:?}");
    assert_eq!((images[0].header, &images[0].pixels), (before.header, &before.pixels));
    for key in ["ImageRowDir", "ImageColumnDir", "ImageSliceNormDir"] {
        assert_eq!(images[0].meta.values(key).len(), 3);
    }
}

#[test]
fn numbers_of_a_series_are_made_unique_and_it_is_told_once() {
    let numbers = [1, 2, 2, 0, 7];
    let (images, reports) = deliver(&mut contract(Kinds::IMAGE, None), numbers.map(image).into());
    let numbers: Vec<_> = images.iter().map(|image| image.header.image_index).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 7]);
    assert_eq!(reports.len(), 1);
    assert!(reports[0].starts_with("scanner contract: images of a series have the same number"));
}

#[test]
fn images_of_another_kind_or_size_get_a_series_of_their_own() {
    let mut phase = image(1);
    phase.header.image_type = ImageType::Phase as u16;
    let mut map = image(1);
    map.meta.set("GADGETRON_DataRole", "T1");
    let large = Image::new(image(1).header, Meta::new(), Array4::<f32>::zeros((1, 1, 4, 4)));
    let integers = Image::new(image(1).header, Meta::new(), Array4::<u16>::zeros((1, 1, 2, 3)));
    let mut native = large.clone();
    native.header.image_series_index = 200;
    let inputs = vec![
        image(1),
        phase.clone(),
        map,
        large,
        integers,
        image(2),
        phase,
        native.clone(),
        native,
    ];
    let mut contract = contract(Kinds::IMAGE, None);
    let (images, reports) = deliver(&mut contract, inputs);
    let series: Vec<_> = images.iter().map(|image| image.header.image_series_index).collect();
    assert_eq!(series, [0, 100, 200, 300, 400, 0, 100, 500, 500]);
    assert!(reports.iter().any(|report| report.contains("share a series number")), "{reports:?}");
}

#[test]
fn an_image_without_a_type_gets_that_of_its_pixels() {
    let mut nameless = image(1);
    nameless.header.image_type = 0;
    let complex = Array4::<Complex32>::zeros((1, 1, 2, 3));
    let complex = Image::new(nameless.header, Meta::new(), complex);
    let (images, reports) = deliver(&mut contract(Kinds::IMAGE, None), vec![nameless, complex]);
    assert_eq!(images[0].image_type(), Some(ImageType::Magnitude));
    assert_eq!(images[1].image_type(), Some(ImageType::Complex));
    assert!(reports[0].contains("does not say what it is"), "{reports:?}");
}

fn series(is_marked: bool) -> ImageSeries {
    let mut meta = vec![Meta::new(); 2];
    if is_marked {
        meta.iter_mut().for_each(|meta| unprocessed::mark(meta, "map_t1", "no inversion times"));
    }
    let mut number = 0;
    let headers = Array3::from_shape_simple_fn((1, 1, 2), || {
        number += 1;
        image(number).header
    });
    ImageSeries {
        role: ImageRole::Image,
        s: None,
        n: None,
        data: ArrayD::from_elem(IxDyn(&[1, 1, 2, 1, 1, 2, 3]), Complex32::new(0.0, 3e-5)),
        headers,
        meta,
        waveforms: Vec::new(),
        acquisition_headers: None,
        sampling: None,
    }
}

#[test]
fn a_marked_series_at_the_end_of_a_chain_of_images_becomes_the_images_that_it_promises() {
    let mut contract = contract(Kinds::IMAGE, Some(DataType::U16));
    assert!(contract.deliver(series(false).into(), &mut |_| {}).is_none(), "it was not promised");
    let messages = contract.deliver(series(true).into(), &mut |fault| panic!("{fault}"));
    let messages = messages.expect("marked images are sent");
    assert_eq!(messages.len(), 2);
    for message in messages {
        let wire::Message::Image(image) = message else { panic!("an image") };
        let Pixels::U16(pixels) = &image.pixels else { panic!("integers were promised") };
        assert!(pixels.iter().all(|pixel| *pixel == 4095), "scaled so that it can be seen");
        assert!(unprocessed::is_marked(&image.meta));
    }
}

#[test]
fn unprocessed_images_stand_in_a_series_of_their_own_only_beside_processed_ones() {
    let mut failed = image(2);
    unprocessed::mark(&mut failed.meta, "moco", "too much motion");
    let mut first = contract(Kinds::IMAGE, None);
    let (images, reports) = deliver(&mut first, vec![image(1), failed.clone(), image(3)]);
    let series = |images: &[Image]| -> Vec<_> {
        images.iter().map(|image| image.header.image_series_index).collect()
    };
    assert_eq!(series(&images), [0, 100, 0]);
    assert!(reports.is_empty(), "the gadget has told why: {reports:?}");
    let (images, _) = deliver(&mut contract(Kinds::IMAGE, None), vec![failed]);
    assert_eq!(series(&images), [0]);
}

#[test]
fn a_series_that_is_sent_whole_is_checked_image_by_image() {
    let mut sent = series(false);
    sent.headers[[0, 0, 1]].position = [f32::NAN; 3];
    sent.meta.clear();
    let mut reports = Vec::new();
    let mut contract = contract(Kinds::IMAGE_SERIES, None);
    let messages = contract.deliver(sent.into(), &mut |fault| reports.push(fault.what));
    let Some([wire::Message::ImageArray(array)]) = messages.as_deref() else { panic!("an array") };
    assert_eq!({ array.headers[[0, 0, 1]].position }, [0.0; 3]);
    assert!(array.meta.iter().all(|meta| meta.get("DataRole") == Some("Image")));
    assert_eq!(reports.len(), 1, "{reports:?}");
}

#[test]
fn the_bits_that_are_stored_come_from_the_header() {
    let parameters = ismrmrd::xml::UserParameters {
        user_parameter_long: vec![ismrmrd::xml::UserParameter {
            name: "BitsStored".to_owned(),
            value: 16,
        }],
        ..Default::default()
    };
    let header = Header { user_parameters: Some(parameters), ..Header::default() };
    let mut contract = contract(Kinds::IMAGE, None);
    contract.max_stored = ScannerContract::new(
        &Chain::check(
            &ChainFile::parse("c", "[[gadget]]\nuse = \"keep\"\n").expect("good"),
            &crate::Registry::new().with::<Keep>(),
        )
        .expect("good"),
        Some(&header),
    )
    .max_stored;
    assert_eq!(contract.max_stored, 65535);
    let mut wide = Image::new(image(1).header, Meta::new(), Array4::<u16>::zeros((1, 1, 2, 3)));
    wide.meta.set("WindowWidth", 40000);
    let (images, reports) = deliver(&mut contract, vec![wide]);
    assert_eq!(images[0].meta.get("WindowWidth"), Some("40000"));
    assert!(reports.is_empty());
}
