//! Both dialects of the wire protocol on one port, told apart by what arrives.

mod support;

use std::io::Write;
use std::net::TcpStream;

use bytes::BytesMut;
use ismrmrd::hdf5::FileReader;
use ismrmrd::wire::{self, Dialect, Message};
use ismrmrd::{AcquisitionFlags, Image, ImageType, Pixels, Waveform, WaveformHeader};
use ndarray::{Array2, Array4};
use support::{Client, TestServer, images, small_scan, texts};

/// Sends a whole session as the Python client does, NULs counted in the lengths.
fn python_session(server: &TestServer, messages: &[Message]) -> Vec<Message> {
    let mut bytes = BytesMut::new();
    for message in messages {
        wire::encode_with(message, Dialect::Python, &mut bytes).expect("it has a wire form");
    }
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    stream.write_all(&bytes).expect("taken");
    Client::from_stream(stream).read_to_close()
}

fn scan_messages(before: Vec<Message>) -> Vec<Message> {
    let scan = small_scan(1);
    let mut messages = before;
    messages.insert(1, Message::Header(scan.header().to_xml()));
    messages.extend(scan.acquisitions().map(Message::Acquisition));
    messages.push(Message::Close);
    messages
}

#[test]
fn openrecon_takes_its_chain_and_properties_from_the_json() {
    let server = TestServer::start(&[]);
    let json = r#"{"version": "1.1.0", "parameters": {"config": "default.xml", "customconfig": "",
        "extract_phase": "True", "BucketToBufferGadget.N_dimension": "contrast", "unknown": "12"}}"#;
    let messages = scan_messages(vec![
        Message::ConfigFile("openrecon".to_owned()),
        Message::Text(json.to_owned()),
    ]);
    let answer = python_session(&server, &messages);
    assert!(texts(&answer).is_empty(), "{answer:?}");
    let images = images(answer);
    let types: Vec<_> = images.iter().map(Image::image_type).collect();
    assert_eq!(types, [Some(ImageType::Magnitude), Some(ImageType::Phase)]);
    server.wait_for_log("parameters that no gadget of the chain has: unknown");
    server.stop();
}

#[test]
fn a_parameter_of_the_wrong_type_is_named() {
    let server = TestServer::start(&[]);
    let json = r#"{"parameters": {"config": "default.xml", "extract_phase": "perhaps"}}"#;
    let messages = scan_messages(vec![
        Message::ConfigFile("openrecon".to_owned()),
        Message::Text(json.to_owned()),
    ]);
    let answer = python_session(&server, &messages);
    let texts = texts(&answer);
    assert!(texts[0].contains("`extract_phase`") && texts[0].contains("perhaps"), "{texts:?}");
    server.stop();
}

#[test]
fn openrecon_without_parameters_says_what_is_missing() {
    let server = TestServer::start(&[]);
    let messages = scan_messages(vec![Message::ConfigFile("openrecon".to_owned())]);
    let answer = python_session(&server, &messages);
    assert!(texts(&answer)[0].contains("`openrecon`"), "{answer:?}");
    server.stop();
}

#[test]
fn both_dialects_give_the_same_image() {
    let server = TestServer::start(&[]);
    let messages = scan_messages(vec![Message::ConfigFile("default.xml".to_owned())]);
    let python = images(python_session(&server, &messages));
    let gadgetron = images(support::reconstruct(&server, "default.xml", &small_scan(1)));
    assert_eq!(python, gadgetron);
    server.stop();
}

#[test]
fn queries_are_answered_in_every_state_with_their_correlation_id() {
    let server = TestServer::start(&[]);
    let scan = small_scan(1);
    let mut client = Client::connect(&server);
    let query =
        |correlation_id, text: &str| Message::Query { correlation_id, text: text.to_owned() };
    client.send(query(7, "gadgetron::info"));
    let Some(Message::Response { correlation_id: 7, text }) = client.read() else {
        panic!("the first answer is to query 7");
    };
    assert!(text.contains("System Memory size : "), "{text}");
    client.send(Message::ConfigFile("default.xml".to_owned()));
    client.send(Message::Header(scan.header().to_xml()));
    client.send(query(8, "ismrmrd::version"));
    for readout in scan.acquisitions() {
        client.send(readout);
    }
    client.send(query(9, "what"));
    client.send(Message::Close);
    let answer = client.read_to_close();
    let responses: Vec<_> = answer
        .iter()
        .filter_map(|message| match message {
            Message::Response { correlation_id, text } => Some((*correlation_id, text.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(responses, [(8, "0.0.0-alpha"), (9, "Unknown query")]);
    assert_eq!(images(answer).len(), 1);
    server.stop();
}

#[test]
fn waveforms_may_come_before_all_readouts_and_text_at_any_time() {
    let server = TestServer::start(&[]);
    let scan = small_scan(1);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    client.send(Message::Text("hello".to_owned()));
    let header = WaveformHeader { number_of_samples: 3, channels: 2, ..WaveformHeader::default() };
    client.send(Waveform { header, data: Array2::from_elem((2, 3), 5) });
    for readout in scan.acquisitions() {
        client.send(readout);
        client.send(Message::Text("on the way".to_owned()));
    }
    client.send(Message::Close);
    let answer = client.read_to_close();
    assert!(texts(&answer).is_empty());
    assert_eq!(images(answer).len(), 1);
    server.stop();
}

#[test]
fn images_are_taken_too() {
    let server = TestServer::start(&[]);
    let mut client = Client::open(&server, "invertcontrast", &small_scan(1).header().to_xml());
    let pixels = Array4::from_shape_fn((1, 1, 4, 4), |(_, _, y, x)| (y * 4 + x) as i16);
    let mut image = Image::new(Default::default(), Default::default(), pixels.clone());
    image.header.image_type = ImageType::Magnitude as u16;
    client.send(image);
    client.send(Message::Close);
    let images = images(client.read_to_close());
    assert_eq!(images.len(), 1);
    let Pixels::I16(inverted) = &images[0].pixels else { panic!("16-bit integers") };
    // The brightest of 0 to 15 becomes 0, the darkest the largest number of 12 bits.
    for (inverted, pixel) in inverted.iter().zip(&pixels) {
        let expected = 4095.0 - f64::from(*pixel) / 15.0 * 4095.0;
        assert!((f64::from(*inverted) - expected).abs() <= 1.0, "{pixel} became {inverted}");
    }
    server.stop();
}

#[test]
fn null_swallows_and_savedataonly_keeps_everything() {
    let server = TestServer::start(&[]);
    let null = support::reconstruct(&server, "null", &small_scan(1));
    assert!(null.is_empty());
    let saved = support::reconstruct(&server, "savedataonly", &small_scan(1));
    assert!(images(saved.clone()).is_empty());
    let told = texts(&saved);
    assert!(told.len() == 1 && told[0].starts_with("INFO     session 2"), "{told:?}");
    let folder = server.data.path().join("saved");
    let files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder was made")
        .map(|file| file.expect("readable").path())
        .collect();
    assert_eq!(files.len(), 1);
    let file = FileReader::open(&files[0]).expect("an ISMRMRD file");
    assert_eq!(file.header_text().expect("readable"), Some(small_scan(1).header().to_xml()));
    assert_eq!(file.n_acquisitions().expect("readable"), 32);
    server.stop();
}

#[test]
fn compressed_readouts_are_read() {
    let server = TestServer::start(&[]);
    let scan = small_scan(1);
    let mut client = Client::open(&server, "default.xml", &scan.header().to_xml());
    let mut bytes = BytesMut::new();
    for readout in scan.acquisitions() {
        assert!(!readout.header.has_any(AcquisitionFlags::COMPRESSION2));
        wire::encode_nhlbi(&readout, 20, &mut bytes).expect("it has a wire form");
    }
    client.send_raw(&bytes);
    client.send(Message::Close);
    let compressed = images(client.read_to_close());
    let plain = images(support::reconstruct(&server, "default.xml", &scan));
    let [compressed, plain] = [compressed, plain].map(|images| images[0].pixels.to_magnitude());
    let error = support::relative_error(&compressed, &plain);
    // 20 bits of the largest sample of a readout, whose mean is far smaller.
    assert!(error > 0.0 && error < 1e-3, "{error}");
    server.stop();
}

#[test]
fn gadgetrons_question_for_stored_noise_is_answered_without_text() {
    let server = TestServer::start(&[]);
    let config = "<gadgetronStreamConfiguration><writer><slot>1019</slot><dll>x</dll><classname>DependencyQueryWriter</classname></writer><gadget><name>N</name><dll>x</dll><classname>NoiseSummaryGadget</classname><property><name>noise_file</name><value>GadgetronNoiseCovarianceMatrix_7</value></property></gadget></gadgetronStreamConfiguration>";
    let mut client = Client::connect(&server);
    client.send(Message::ConfigText(config.to_owned()));
    client.send(Message::Close);
    let answer = client.read_to_close();
    let [Message::DependencyQuery(meta)] = &answer[..] else { panic!("one answer: {answer:?}") };
    assert_eq!(meta.get("status"), Some("failed"));
    server.stop();
}
