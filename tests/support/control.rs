//! A client of the control plane as a browser is one: gRPC-web over HTTP/1.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use prost::Message;
use server::proto::{self, WatchRequest, WatchResponse, watch_response};

use super::TestServer;

/// What would take longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bit of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;

/// How a call ended: gRPC's code, 0 for well, and the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub code: u32,
    pub message: String,
}

pub const INVALID_ARGUMENT: u32 = 3;
pub const NOT_FOUND: u32 = 5;
pub const PERMISSION_DENIED: u32 = 7;
pub const RESOURCE_EXHAUSTED: u32 = 8;
pub const OUT_OF_RANGE: u32 = 11;
pub const UNIMPLEMENTED: u32 = 12;
pub const UNAUTHENTICATED: u32 = 16;

/// A stream that can be read and written, with or without TLS.
pub trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// A call whose answers are read one by one.
pub struct Call {
    reader: BufReader<Box<dyn Connection>>,
    /// Bytes of the body that have not been taken, and whether there is more.
    body: Vec<u8>,
    is_chunked: bool,
    is_over: bool,
    status: Option<Status>,
}

/// Connects to the control plane of a server.
pub fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(&server.http).expect("the control plane listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("supported");
    stream
}

/// Head and body of an answer to a plain GET; `headers` end in CR LF each.
pub fn get(server: &TestServer, path: &str, headers: &str) -> (String, String) {
    let mut stream = connect(server);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n",
        server.http
    )
    .expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

impl Call {
    /// Sends a request to a method, e.g. `SessionService/ListSessions`.
    pub fn start(server: &TestServer, method: &str, request: &impl Message) -> Self {
        let path = format!("/boreside.v1.{method}");
        Self::start_on(Box::new(connect(server)), &path, "", &request.encode_to_vec())
    }

    /// The same on a connection of your own, with further headers that end in CR LF each.
    pub fn start_on(
        mut stream: Box<dyn Connection>,
        path: &str,
        headers: &str,
        request: &[u8],
    ) -> Self {
        let length = u32::try_from(request.len()).expect("it fits");
        let host =
            if headers.to_ascii_lowercase().contains("host:") { "" } else { "host: localhost\r\n" };
        write!(
            stream,
            "POST {path} HTTP/1.1\r\n{host}content-type: application/grpc-web+proto\r\n\
             content-length: {}\r\n{headers}\r\n",
            request.len() + 5
        )
        .expect("it takes a request");
        let mut frame = vec![0];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(request);
        // One that is refused by its head may not be read to its end.
        let _ = stream.write_all(&frame);
        let mut call = Self {
            reader: BufReader::new(stream),
            body: Vec::new(),
            is_chunked: false,
            is_over: false,
            status: None,
        };
        call.read_head();
        call
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }

    fn read_head(&mut self) {
        let first = self.line();
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        let mut status = Status::default();
        let mut has_status = false;
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "transfer-encoding" => self.is_chunked = value.contains("chunked"),
                "content-length" => self.is_over = value.trim() == "0",
                "grpc-status" => {
                    has_status = true;
                    status.code = value.trim().parse().expect("a number");
                }
                "grpc-message" => status.message = percent_decoded(value.trim()),
                _ => {}
            }
        }
        if has_status {
            self.status = Some(status);
        }
    }

    /// Takes one more piece of the body; false at its end.
    fn read_more(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        if !self.is_chunked {
            let mut piece = vec![0; 1 << 16];
            let n = self.reader.read(&mut piece).expect("readable");
            self.body.extend_from_slice(&piece[..n]);
            return n > 0;
        }
        let size = self.line();
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            // The server has ended in the middle.
            self.is_over = true;
            return false;
        };
        let start = self.body.len();
        self.body.resize(start + size, 0);
        self.reader.read_exact(&mut self.body[start..]).expect("a whole piece");
        self.line();
        self.is_over = size == 0;
        size > 0
    }

    /// The next message; [`None`] at the end, see [`Call::status`].
    pub fn next<M: Message + Default>(&mut self) -> Option<M> {
        loop {
            if let Some((head, rest)) = self.body.split_first_chunk::<5>() {
                let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                if rest.len() >= length {
                    let (is_trailers, payload) = (head[0] & TRAILERS != 0, rest[..length].to_vec());
                    self.body.drain(..5 + length);
                    if is_trailers {
                        self.status = Some(of_trailers(&String::from_utf8_lossy(&payload)));
                        return None;
                    }
                    return Some(M::decode(payload.as_slice()).expect("a message of this type"));
                }
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// How it ended; [`None`] where the connection broke.
    pub fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }
}

fn of_trailers(text: &str) -> Status {
    let mut status = Status::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        match name.trim() {
            "grpc-status" => status.code = value.trim().parse().expect("a number"),
            "grpc-message" => status.message = percent_decoded(value.trim()),
            _ => {}
        }
    }
    status
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [a, b, tail @ ..]) => {
                let digits = String::from_utf8_lossy(&[*a, *b]).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
                rest = tail;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// The one answer to a request.
pub fn call<M: Message + Default>(
    server: &TestServer,
    method: &str,
    request: &impl Message,
) -> Result<M, Status> {
    let mut call = Call::start(server, method, request);
    let answer = call.next();
    match (answer, call.status().cloned()) {
        (Some(answer), None) => {
            while call.next::<M>().is_some() {}
            match call.status() {
                Some(status) if status.code != 0 => Err(status.clone()),
                _ => Ok(answer),
            }
        }
        (None, Some(status)) => Err(status),
        (_, status) => panic!("{method}: {status:?}"),
    }
}

/// One who watches.
pub struct Watcher {
    call: Call,
    pub epoch: String,
    /// Of the last event.
    pub sequence: u64,
}

impl Watcher {
    /// A new one, or one that was there before.
    pub fn start(server: &TestServer, before: Option<&Self>) -> Self {
        Self::start_with(server, before, 1 << 20)
    }

    pub fn start_with(server: &TestServer, before: Option<&Self>, inline: u32) -> Self {
        let request = WatchRequest {
            epoch: before.map_or(String::new(), |before| before.epoch.clone()),
            after_sequence: before.map_or(0, |before| before.sequence),
            inline_pixels_up_to_bytes: inline,
            ..WatchRequest::default()
        };
        Self::ask(server, request)
    }

    pub fn ask(server: &TestServer, request: WatchRequest) -> Self {
        let mut call = Call::start(server, "LiveService/Watch", &request);
        let hello = call.next::<WatchResponse>().unwrap_or_else(|| panic!("{:?}", call.status()));
        let Some(watch_response::Event::Hello(hello)) = hello.event else { panic!("{hello:?}") };
        let sequence = request.after_sequence;
        Self { call, epoch: hello.epoch, sequence }
    }

    /// The next event.
    pub fn next(&mut self) -> Option<watch_response::Event> {
        let told: WatchResponse = self.call.next()?;
        self.sequence = self.sequence.max(told.sequence);
        told.event
    }

    /// All images up to this point, until `is_done` says so of an event.
    pub fn images_until(
        &mut self,
        mut is_done: impl FnMut(&watch_response::Event) -> bool,
    ) -> Vec<proto::NewImage> {
        let mut images = Vec::new();
        loop {
            let event = self.next().unwrap_or_else(|| panic!("{:?}", self.call.status()));
            let done = is_done(&event);
            if let watch_response::Event::Image(image) = event {
                images.push(image);
            }
            if done {
                return images;
            }
        }
    }

    pub fn status(&self) -> Option<&Status> {
        self.call.status()
    }
}

/// Whether all that there was has been told.
pub fn is_caught_up(event: &watch_response::Event) -> bool {
    matches!(event, watch_response::Event::CaughtUp(_))
}

/// Whether this session has ended.
pub fn has_ended(id: u64) -> impl FnMut(&watch_response::Event) -> bool {
    move |event| match event {
        watch_response::Event::Session(session) => session.id == id && session.ended_unix_ms > 0.0,
        _ => false,
    }
}

/// Floats of pixels.
pub fn floats(pixels: &proto::Pixels) -> Vec<f32> {
    let values = pixels.data.chunks_exact(4);
    values.map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four"))).collect()
}
