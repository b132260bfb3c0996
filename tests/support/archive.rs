//! Archives for tests: one that takes C-STORE, one that takes STOW-RS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use dicom_ul::association::server::{ServerAssociation, ServerAssociationOptions};
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};

/// What would take longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an archive was given.
pub struct Given {
    receiver: Receiver<InMemDicomObject>,
}

impl Given {
    /// The next object.
    pub fn next(&self) -> InMemDicomObject {
        self.receiver.recv_timeout(PATIENCE).expect("an object comes")
    }

    /// Whether nothing has come that was not asked for.
    pub fn is_empty(&self) -> bool {
        self.receiver.try_recv().is_err()
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Listens on a port that was free a moment ago: a connection of another test may have it for now.
fn listen(port: u16) -> TcpListener {
    let started = Instant::now();
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => return listener,
            Err(error) => assert!(started.elapsed() < PATIENCE, "port {port}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An archive that takes C-STORE and answers with `status` of the object's number, from 0.
pub fn c_store(port: u16, status: impl Fn(usize) -> u16 + Send + 'static) -> Given {
    let listener = listen(port);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut n = 0;
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            // A port probe is no association.
            let _ = serve(stream, &mut n, &status, &sender);
        }
    });
    Given { receiver }
}

fn serve(
    stream: TcpStream,
    n: &mut usize,
    status: &impl Fn(usize) -> u16,
    sender: &Sender<InMemDicomObject>,
) -> Result<(), dicom_ul::association::Error> {
    let options = ServerAssociationOptions::new()
        .accept_called_ae_title()
        .ae_title("ARCHIVE")
        .with_abstract_syntax(uids::MR_IMAGE_STORAGE)
        .with_abstract_syntax(uids::SECONDARY_CAPTURE_IMAGE_STORAGE)
        .with_abstract_syntax(uids::PARAMETRIC_MAP_STORAGE)
        .with_abstract_syntax(uids::VERIFICATION)
        .with_transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let mut association = options.establish(stream)?;
    let (mut command, mut data) = (Vec::new(), Vec::new());
    loop {
        let values = match association.receive()? {
            Pdu::PData { data } => data,
            Pdu::ReleaseRQ => return association.send(&Pdu::ReleaseRP),
            _ => return Ok(()),
        };
        for value in values {
            let is_command = value.value_type == PDataValueType::Command;
            if is_command { &mut command } else { &mut data }.extend(value.data);
            if !value.is_last {
                continue;
            }
            let request = InMemDicomObject::read_dataset_with_ts(
                command.as_slice(),
                &IMPLICIT_VR_LITTLE_ENDIAN.erased(),
            )
            .expect("a command");
            let number =
                |tag| request.element(tag).expect("there").to_int::<u16>().expect("a number");
            let is_echo = number(tags::COMMAND_FIELD) == 0x0030;
            if is_command && !is_echo {
                continue;
            }
            let answer = if is_echo {
                0
            } else {
                let object = InMemDicomObject::read_dataset_with_ts(
                    data.as_slice(),
                    &EXPLICIT_VR_LITTLE_ENDIAN.erased(),
                )
                .expect("a data set");
                let status = status(*n);
                *n += 1;
                if status == 0 {
                    sender.send(object).expect("the test is there");
                }
                status
            };
            let class = request.element(tags::AFFECTED_SOP_CLASS_UID).expect("there");
            let class = class.to_str().expect("text").into_owned();
            respond(&mut association, value.presentation_context_id, &class, &number, answer)?;
            command.clear();
            data.clear();
        }
    }
}

fn respond(
    association: &mut ServerAssociation<TcpStream>,
    context: u8,
    class: &str,
    number: &dyn Fn(dicom_core::Tag) -> u16,
    status: u16,
) -> Result<(), dicom_ul::association::Error> {
    let answer = InMemDicomObject::command_from_element_iter([
        DataElement::new(tags::AFFECTED_SOP_CLASS_UID, VR::UI, PrimitiveValue::from(class)),
        DataElement::new(
            tags::COMMAND_FIELD,
            VR::US,
            PrimitiveValue::from(number(tags::COMMAND_FIELD) | 0x8000),
        ),
        DataElement::new(
            tags::MESSAGE_ID_BEING_RESPONDED_TO,
            VR::US,
            PrimitiveValue::from(number(tags::MESSAGE_ID)),
        ),
        DataElement::new(tags::COMMAND_DATA_SET_TYPE, VR::US, PrimitiveValue::from(0x0101_u16)),
        DataElement::new(tags::STATUS, VR::US, PrimitiveValue::from(status)),
    ]);
    let mut data = Vec::new();
    answer
        .write_dataset_with_ts(&mut data, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
        .expect("it has a form");
    let value = PDataValue {
        presentation_context_id: context,
        value_type: PDataValueType::Command,
        is_last: true,
        data,
    };
    association.send(&Pdu::PData { data: vec![value] })
}

/// An archive that takes STOW-RS and answers with `status` of the request's number, from 0; gives
/// objects, and the `Authorization` of each request.
pub fn stow(
    port: u16,
    status: impl Fn(usize) -> u16 + Send + 'static,
) -> (Given, Receiver<String>) {
    let listener = listen(port);
    let (sender, receiver) = mpsc::channel();
    let (token_sender, tokens) = mpsc::channel();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let (mut n_bytes, mut token, mut boundary) = (0, String::new(), String::new());
            let mut request = String::new();
            reader.read_line(&mut request).expect("a request");
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a head");
                let line = line.trim();
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').expect("a header");
                let value = value.trim().to_owned();
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => n_bytes = value.parse().expect("a number"),
                    "authorization" => token = value,
                    "content-type" => {
                        boundary = value.split("boundary=").nth(1).expect("a boundary").to_owned();
                    }
                    _ => {}
                }
            }
            assert!(request.starts_with("POST /dicom-web/studies "), "{request}");
            let mut body = vec![0; n_bytes];
            reader.read_exact(&mut body).expect("a body");
            let head = format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n");
            let tail = format!("\r\n--{boundary}--\r\n");
            let file = body
                .strip_prefix(head.as_bytes())
                .and_then(|rest| rest.strip_suffix(tail.as_bytes()))
                .expect("one part");
            let status = status(n);
            if status == 200 {
                let object = dicom_object::from_reader(file).expect("a DICOM file");
                sender.send(object.into_inner()).expect("the test is there");
                token_sender.send(token).expect("the test is there");
            }
            // As Orthanc says that nothing failed.
            let said = r#"{"00081198":{"vr":"SQ"}}"#;
            write!(
                reader.get_mut(),
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{said}",
                said.len()
            )
            .expect("it takes an answer");
        }
    });
    (Given { receiver }, tokens)
}
