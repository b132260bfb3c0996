//! Laws of the wire codec: what is encoded is decoded, however it is cut; nothing panics.

use bytemuck::{Pod, Zeroable};
use bytes::BytesMut;
use ismrmrd::wire::{Decoder, Dialect, Limits, Message, Reader, Writer, encode, encode_with};
use ismrmrd::{
    Acquisition, AcquisitionFlags, AcquisitionHeader, Bucket, Image, ImageArray, ImageHeader,
    KSpaceBuffer, Meta, NdArray, Pixels, ReconBit, SamplingDescription, Waveform, WaveformHeader,
};
use ndarray::{Array, Array2, Array4, ArrayD, Dimension, IntoDimension, IxDyn};
use proptest::collection::vec;
use proptest::prelude::*;

/// A value of any bits, NaNs among them: laws below compare encoded bytes.
fn any_bits<T: Pod + std::fmt::Debug>() -> impl Strategy<Value = T> {
    vec(any::<u8>(), size_of::<T>()).prop_map(|bytes| bytemuck::pod_read_unaligned(&bytes))
}

fn array<T: Pod + std::fmt::Debug, D: IntoDimension>(
    shape: D,
) -> impl Strategy<Value = Array<T, D::Dim>>
where
    D::Dim: Clone + std::fmt::Debug,
{
    let shape = shape.into_dimension();
    vec(any_bits::<T>(), shape.size())
        .prop_map(move |values| Array::from_shape_vec(shape.clone(), values).unwrap())
}

fn acquisition_header() -> impl Strategy<Value = AcquisitionHeader> {
    any_bits::<AcquisitionHeader>().prop_map(|mut header| {
        let compression = AcquisitionFlags::COMPRESSION1.union(AcquisitionFlags::COMPRESSION2);
        header.flags = header.flags.without(compression);
        header
    })
}

fn acquisition() -> impl Strategy<Value = Acquisition> {
    (0_usize..5, 0_usize..9, 0_usize..4).prop_flat_map(|(channels, samples, dimensions)| {
        let trajectory = if dimensions == 0 { (0, 0) } else { (samples, dimensions) };
        (acquisition_header(), array(trajectory), array((channels, samples)))
            .prop_map(|(header, trajectory, data)| Acquisition { header, trajectory, data })
    })
}

fn waveform() -> impl Strategy<Value = Waveform> {
    (0_usize..4, 0_usize..9).prop_flat_map(|shape| {
        (any_bits::<WaveformHeader>(), array(shape))
            .prop_map(|(header, data)| Waveform { header, data })
    })
}

fn meta() -> impl Strategy<Value = Meta> {
    vec(("[a-zA-Z_<&>]{1,8}", vec("\\PC{0,12}", 1..3)), 0..4).prop_map(|entries| {
        entries
            .into_iter()
            .flat_map(|(key, values)| values.into_iter().map(move |value| (key.clone(), value)))
            .collect()
    })
}

fn pixels() -> impl Strategy<Value = Pixels> {
    (0_usize..3, 0_usize..3, 0_usize..4, 0_usize..5).prop_flat_map(|shape| {
        prop_oneof![
            array(shape).prop_map(Pixels::U16),
            array(shape).prop_map(Pixels::I16),
            array(shape).prop_map(Pixels::U32),
            array(shape).prop_map(Pixels::I32),
            array(shape).prop_map(Pixels::F32),
            array(shape).prop_map(Pixels::F64),
            array(shape).prop_map(Pixels::C32),
            array(shape).prop_map(Pixels::C64),
        ]
    })
}

fn image() -> impl Strategy<Value = Image> {
    (any_bits::<ImageHeader>(), meta(), pixels()).prop_map(|(header, meta, pixels)| Image {
        header,
        meta,
        pixels,
    })
}

fn nd_array() -> impl Strategy<Value = NdArray> {
    vec(0_usize..4, 1..5).prop_flat_map(|shape| {
        let shape = IxDyn(&shape);
        prop_oneof![
            array(shape.clone()).prop_map(NdArray::U16),
            array(shape.clone()).prop_map(NdArray::I32),
            array(shape.clone()).prop_map(NdArray::F64),
            array(shape).prop_map(NdArray::C32),
        ]
    })
}

fn buffer() -> impl Strategy<Value = KSpaceBuffer> {
    (vec(1_usize..3, 7), any::<[bool; 2]>()).prop_flat_map(|(n, [has_trajectory, has_density])| {
        let lines = [n[0], n[1], n[2], n[4], n[5]];
        let density = IxDyn(&[n[0], n[1], n[2], n[4], n[5], n[6]]);
        let trajectory = IxDyn(&[n[0], n[1], n[2], n[4], n[5], n[6], 2]);
        (
            array(IxDyn(&n)),
            array(trajectory).prop_map(move |a| has_trajectory.then_some(a)),
            array(density).prop_map(move |a| has_density.then_some(a)),
            array(lines),
            any_bits::<SamplingDescription>(),
        )
            .prop_map(|(data, trajectory, density, headers, sampling)| KSpaceBuffer {
                data,
                trajectory,
                density,
                headers,
                sampling,
            })
    })
}

fn image_array() -> impl Strategy<Value = ImageArray> {
    vec(1_usize..3, 7).prop_flat_map(|n| {
        (
            array(IxDyn(&n)),
            array([n[0], n[1], n[2]]),
            vec(meta(), n[0] * n[1] * n[2]),
            proptest::option::of(vec(waveform(), 0..3)),
            proptest::option::of(array([n[0], n[1], n[2], n[4], n[5]])),
        )
            .prop_map(|(data, headers, meta, waveforms, acquisition_headers)| ImageArray {
                data,
                headers,
                meta,
                waveforms,
                acquisition_headers,
            })
    })
}

fn bucket() -> impl Strategy<Value = Bucket> {
    let readouts = || {
        let small = acquisition().prop_map(|mut readout| {
            readout.header.encoding_space_ref %= 3;
            readout
        });
        vec(small, 0..4)
    };
    (readouts(), readouts(), vec(waveform(), 0..3))
        .prop_map(|(data, reference, waveforms)| Bucket { data, reference, waveforms })
}

/// A text that no NUL ends and that is not empty: those are changed on purpose.
fn text() -> impl Strategy<Value = String> {
    "\\PC{1,40}"
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        "[a-z/._]{0,40}".prop_map(Message::ConfigFile),
        text().prop_map(Message::ConfigText),
        text().prop_map(Message::Header),
        Just(Message::Close),
        text().prop_map(Message::Text),
        (any::<u64>(), text())
            .prop_map(|(correlation_id, text)| Message::Query { correlation_id, text }),
        (any::<u64>(), text())
            .prop_map(|(correlation_id, text)| Message::Response { correlation_id, text }),
        text().prop_map(Message::Error),
        acquisition().prop_map(Message::Acquisition),
        (vec(any::<u8>(), 0..50), "[a-z.]{0,9}", meta())
            .prop_map(|(data, file_name, meta)| Message::Dicom { data, file_name, meta }),
        meta().prop_map(Message::DependencyQuery),
        image().prop_map(Message::Image),
        vec((buffer(), proptest::option::of(buffer())), 0..3).prop_map(|bits| {
            let bits = bits.into_iter().map(|(data, reference)| ReconBit { data, reference });
            Message::ReconData(bits.collect())
        }),
        image_array().prop_map(Message::ImageArray),
        waveform().prop_map(Message::Waveform),
        nd_array().prop_map(Message::NdArray),
        bucket().prop_map(Message::Bucket),
    ]
}

fn encoded(messages: &[Message]) -> BytesMut {
    let mut stream = BytesMut::new();
    for message in messages {
        encode(message, &mut stream).unwrap();
    }
    stream
}

/// Limits small enough that a test notices when they are not kept.
fn tight() -> Limits {
    Limits {
        max_text_bytes: 1 << 14,
        max_acquisition_bytes: 1 << 14,
        max_waveform_bytes: 1 << 14,
        max_image_bytes: 1 << 14,
        max_array_bytes: 1 << 16,
        max_blob_bytes: 1 << 14,
    }
}

/// Decodes as far as it goes.
fn drain(decoder: &mut Decoder, buffer: &mut BytesMut) -> (Vec<Message>, bool) {
    let mut messages = Vec::new();
    loop {
        match decoder.decode(buffer) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, true),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return (messages, false);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_survive_any_cutting_of_the_stream(
        messages in vec(message(), 1..6),
        cuts in vec(1_usize..400, 1..40),
    ) {
        let stream = encoded(&messages);
        let mut decoder = Decoder::new(tight());
        let mut buffer = BytesMut::new();
        let mut decoded = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            let (chunk, later) = rest.split_at((*cut).min(rest.len()));
            rest = later;
            buffer.extend_from_slice(chunk);
            let (messages, in_order) = drain(&mut decoder, &mut buffer);
            prop_assert!(in_order);
            decoded.extend(messages);
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(decoded.len(), messages.len());
        for (decoded, message) in decoded.iter().zip(&messages) {
            prop_assert_eq!(decoded.id(), message.id());
        }
        prop_assert_eq!(encoded(&decoded), stream);
    }

    #[test]
    fn the_pythons_dialect_gives_the_same_messages(messages in vec(message(), 1..4)) {
        let mut stream = BytesMut::new();
        for message in &messages {
            encode_with(message, Dialect::Python, &mut stream).unwrap();
        }
        let (decoded, _) = drain(&mut Decoder::default(), &mut stream);
        prop_assert_eq!(encoded(&decoded), encoded(&messages));
    }

    #[test]
    fn readers_and_writers_agree_with_the_codec(messages in vec(message(), 1..6)) {
        let mut writer = Writer::new(Vec::new());
        for message in &messages {
            match message {
                Message::Acquisition(readout) => writer.write_acquisition(readout).unwrap(),
                Message::Image(image) => writer.write_image(image).unwrap(),
                Message::Waveform(waveform) => writer.write_waveform(waveform).unwrap(),
                message => writer.write(message).unwrap(),
            }
        }
        let written = writer.into_inner().unwrap();
        prop_assert_eq!(&written[..], &encoded(&messages)[..]);
        let read: Vec<Message> = Reader::new(&written[..]).map(Result::unwrap).collect();
        prop_assert_eq!(encoded(&read), encoded(&messages));
    }

    #[test]
    fn a_message_is_incomplete_at_every_byte_before_its_last(message in message()) {
        let stream = encoded(&[message]);
        let mut same = Decoder::new(tight());
        for n_bytes in 0..stream.len() {
            prop_assert!(Decoder::new(tight()).decode_slice(&stream[..n_bytes]).unwrap().is_none());
            prop_assert!(same.decode_slice(&stream[..n_bytes]).unwrap().is_none());
            prop_assert!((1..=stream.len() - n_bytes).contains(&same.missing()));
            let end = Reader::new(&stream[..n_bytes]).last();
            prop_assert_eq!(end.is_some_and(|end| end.is_err()), n_bytes > 0);
        }
        prop_assert!(same.decode_slice(&stream).unwrap().is_some());
    }

    #[test]
    fn bytes_of_any_kind_give_messages_or_an_error(
        id in prop::sample::select(vec![
            1_u16, 2, 3, 4, 5, 6, 7, 8, 1008, 1018, 1019, 1022, 1023, 1024, 1026, 1030, 1050, 9,
        ]),
        bytes in vec(prop_oneof![3 => Just(0_u8), 1 => Just(1_u8), 1 => any::<u8>()], 0..700),
    ) {
        let mut buffer = BytesMut::from(&id.to_le_bytes()[..]);
        buffer.extend_from_slice(&bytes);
        drain(&mut Decoder::new(tight()), &mut buffer);
    }

    #[test]
    fn damaged_streams_give_messages_or_an_error(
        messages in vec(message(), 1..5),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut stream = encoded(&messages);
        for (place, byte) in damage {
            let place = place.index(stream.len());
            stream[place] = byte;
        }
        drain(&mut Decoder::new(tight()), &mut stream);
    }
}

#[test]
fn a_readout_is_the_header_the_trajectory_and_the_samples() {
    let mut header = AcquisitionHeader { scan_counter: 7, ..Default::default() };
    header.idx.kspace_encode_step_1 = 0x1234;
    let mut readout = Acquisition::new(
        header,
        Array2::from_shape_fn((2, 3), |(c, s)| num_complex::Complex32::new(c as f32, s as f32)),
    );
    readout.trajectory = Array2::from_shape_fn((3, 2), |(s, d)| (10 * s + d) as f32);
    let stream = encoded(&[readout.clone().into()]);
    assert_eq!(stream.len(), 2 + 340 + 3 * 2 * 4 + 2 * 3 * 8);
    assert_eq!(&stream[..2], &1008_u16.to_le_bytes());
    let word = |offset: usize| u16::from_le_bytes([stream[2 + offset], stream[3 + offset]]);
    assert_eq!((word(34), word(38), word(176)), (3, 2, 2), "samples, channels, dimensions");
    assert_eq!(word(242), 0x1234);
    let number = |offset| f32::from_le_bytes(*stream[offset..].first_chunk().unwrap());
    assert_eq!([342, 346, 350].map(number), [0.0, 1.0, 10.0], "dimensions fastest");
    assert_eq!([366, 370, 374, 378].map(number), [0.0, 0.0, 0.0, 1.0], "real, imaginary");
    assert_eq!([390, 394].map(number), [1.0, 0.0], "second channel");

    let (decoded, _) = drain(&mut Decoder::default(), &mut stream.clone());
    let Message::Acquisition(decoded) = &decoded[0] else { panic!("a readout") };
    assert_eq!(decoded.data, readout.data);
    assert_eq!(decoded.trajectory, readout.trajectory);
}

#[test]
fn an_image_has_the_length_of_its_attributes_twice_or_none() {
    let pixels = Array4::from_shape_fn((1, 1, 2, 3), |(_, _, y, x)| (10 * y + x) as u16);
    let mut image = Image::new(ImageHeader::default(), Meta::new(), pixels);
    let stream = encoded(&[image.clone().into()]);
    assert_eq!(stream.len(), 2 + 198 + 8 + 12);
    assert_eq!(&stream[2 + 16..2 + 22], &[3, 0, 2, 0, 1, 0], "matrix x, y, z");

    image.meta.set("k", "v");
    let attributes = image.meta.to_xml().len();
    let stream = encoded(&[image.into()]);
    assert_eq!(stream.len(), 2 + 198 + 8 + attributes + 12);
    assert_eq!(&stream[196..200], &(attributes as u32).to_le_bytes());
    assert_eq!(&stream[200..208], &(attributes as u64).to_le_bytes());
}

#[test]
fn arrays_of_both_libraries_are_told_apart_by_their_version() {
    let array: ArrayD<u16> = Array::from_iter(0..6).into_shape_with_order(IxDyn(&[2, 3])).unwrap();
    let mut stream = encoded(&[NdArray::U16(array.clone()).into()]);
    assert_eq!(&stream[2..8], &[1, 0, 1, 0, 2, 0], "type, version, axes");
    assert_eq!(stream[8], 3, "fastest axis first, as the C++ library");
    let mut python = stream.clone();
    python[4] = 0;
    (python[8], python[16]) = (2, 3);
    for stream in [&mut stream, &mut python] {
        let decoded = Decoder::default().decode(stream).unwrap();
        assert_eq!(decoded, Some(Message::NdArray(NdArray::U16(array.clone()))));
    }
}

#[test]
fn an_empty_text_is_written_as_a_blank() {
    let mut stream = encoded(&[Message::Text(String::new())]);
    assert_eq!(Decoder::default().decode(&mut stream).unwrap(), Some(Message::Text(" ".into())));
}

#[test]
fn compressed_readouts_come_back_without_the_flag() {
    let data = Array2::from_shape_fn((4, 64), |(c, s)| {
        num_complex::Complex32::from_polar(1e-5 * (c + 1) as f32, s as f32)
    });
    let readout = Acquisition::new(AcquisitionHeader::default(), data);
    for bits in [8, 12, 16, 24] {
        let mut stream = BytesMut::new();
        ismrmrd::wire::encode_nhlbi(&readout, bits, &mut stream).unwrap();
        assert_eq!(stream.len(), 2 + 340 + 4 + 13 + (2 * 4 * 64 * usize::from(bits)).div_ceil(8));
        let (decoded, _) = drain(&mut Decoder::default(), &mut stream);
        let Message::Acquisition(decoded) = &decoded[0] else { panic!("a readout") };
        assert!(!decoded.header.has_any(AcquisitionFlags::COMPRESSION2));
        // Half a step of the integers, and single precision.
        let tolerance = 4e-5 * (0.51 / (2_f32.powi(i32::from(bits) - 1) - 1.0) + 2e-7);
        for (sample, original) in decoded.data.iter().zip(&readout.data) {
            let error = sample - original;
            assert!(error.re.abs() <= tolerance && error.im.abs() <= tolerance, "{bits} bits");
        }
    }
}

#[test]
fn zfp_is_refused_with_a_way_out() {
    let readout = Acquisition::new(AcquisitionHeader::default(), Array2::zeros((1, 4)));
    let mut stream = encoded(&[readout.into()]);
    // Flag 53 is bit 52 of the flags at byte 2 of the header.
    stream[2 + 2 + 6] |= 1 << 4;
    let error = Decoder::default().decode(&mut stream).unwrap_err().to_string();
    assert!(error.contains("ZFP") && error.contains("use NHLBI"), "{error}");
}

#[test]
fn sizes_beyond_the_header_are_refused_and_nothing_is_written() {
    let mut out = BytesMut::new();
    let data = Array2::zeros((1, 65_536));
    let readout =
        Acquisition { header: Zeroable::zeroed(), trajectory: Array2::zeros((0, 0)), data };
    let error = encode(&readout.into(), &mut out).unwrap_err().to_string();
    assert_eq!(error, "65536 samples do not fit the header, at most 65535 do; split the data");
    let readout = Acquisition {
        header: AcquisitionHeader::default(),
        trajectory: Array2::zeros((3, 2)),
        data: Array2::zeros((1, 4)),
    };
    let error = encode(&readout.into(), &mut out).unwrap_err().to_string();
    assert!(error.starts_with("trajectory of 3 samples with data of 4"), "{error}");
    assert!(encode(&Message::ConfigFile("x".repeat(1024)), &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn transposed_arrays_are_written_in_their_logical_order() {
    let data =
        Array2::from_shape_fn((3, 2), |(s, c)| num_complex::Complex32::new(s as f32, c as f32));
    let transposed = Acquisition::new(AcquisitionHeader::default(), data.reversed_axes());
    let (decoded, _) = drain(&mut Decoder::default(), &mut encoded(&[transposed.clone().into()]));
    let Message::Acquisition(decoded) = &decoded[0] else { panic!("a readout") };
    assert_eq!(decoded.data, transposed.data);
}
