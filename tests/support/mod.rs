//! The real binary as a server, and clients that speak raw MRD to it.

// Each test program uses its own part of this.
#![allow(dead_code)]

pub mod archive;
pub mod control;
pub mod hearts;
pub mod networks;
pub mod onnx;
pub mod recording;

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ismrmrd::wire::{Message, ReadError, Reader, Writer};
use phantom::{GradientEcho, Setup, SimulatedScan, Subject};
use tempfile::TempDir;

/// What would take longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
pub fn boreside() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boreside"));
    // Settings of the person who runs the tests must not matter.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BORESIDE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Says that a test was skipped, past the harness, which would hide it.
pub fn skipped(why: &str) {
    // Where there is nobody to tell, it does not matter.
    let _ = writeln!(std::io::stderr(), "skipped: {}", why.trim());
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    boreside().args(arguments).output().expect("the program starts")
}

/// Runs the program, which must succeed, and gives its standard output.
pub fn run_well(arguments: &[&str]) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} failed: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A file of the data from elsewhere, or [`None`] with a word where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let path = Path::new(folder).join(path);
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("{} is not here", path.display()));
    None
}

/// A server of one test.
pub struct TestServer {
    child: Child,
    pub address: String,
    /// The control plane's HOST:PORT, where the test asked for one.
    pub http: String,
    pub data: TempDir,
    log: Arc<Mutex<String>>,
}

impl TestServer {
    /// Starts one with a journal in a folder of its own.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_by(boreside(), arguments)
    }

    /// Starts one by a command of your own.
    pub fn start_by(command: Command, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), command, arguments)
    }

    /// Starts one with the folder of another that has ended.
    pub fn start_in(data: TempDir, mut command: Command, arguments: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .args(arguments)
            // A test that watches asks for it; the usual port is for people.
            .args(if arguments.contains(&"--http") { &[][..] } else { &["--http", "none"] })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (own_log, stderr) = (Arc::clone(&log), child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = own_log.lock().expect("no panic");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut first).expect("readable");
        let address = first.trim().strip_prefix("listening on ").map(str::to_owned);
        let address = address.unwrap_or_else(|| {
            panic!("the server does not listen: {first} {}", log.lock().expect("no panic"))
        });
        let mut http = String::new();
        if arguments.contains(&"--http") && !arguments.contains(&"none") {
            stdout.read_line(&mut http).expect("readable");
        }
        let http = http.trim().rsplit_once("://").map_or(String::new(), |(_, at)| at.to_owned());
        Self { child, address, http, data, log }
    }

    /// Its folder, for the next one.
    pub fn take_data(&mut self) -> TempDir {
        std::mem::replace(&mut self.data, tempfile::tempdir().expect("a folder"))
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic").clone()
    }

    /// Waits until the log says this.
    pub fn wait_for_log(&self, text: &str) {
        let started = Instant::now();
        while !self.log().contains(text) {
            assert!(started.elapsed() < PATIENCE, "no {text:?} in the log:\n{}", self.log());
            std::thread::yield_now();
        }
    }

    /// Folder of its journal.
    pub fn journal(&self, session: u64) -> PathBuf {
        self.data.path().join(format!("journal/session-{session:06}.journal"))
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([name, &pid]).status().expect("kill is there");
        assert!(status.success());
    }

    /// Tells it to stop, without waiting.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Kills it without a chance to do anything, and waits.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Waits until it has ended; whether it did so with success.
    pub fn wait(&mut self) -> bool {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its own child") {
                return status.success();
            }
            assert!(started.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells it to stop; it must end by itself, which it only does when no session is left.
    pub fn stop(mut self) {
        self.terminate();
        assert!(self.wait(), "it ends with success:\n{}", self.log());
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // It has ended already where the test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to a server.
pub struct Client {
    stream: TcpStream,
    writer: Writer<TcpStream>,
    reader: Reader<TcpStream>,
}

impl Client {
    pub fn connect(server: &TestServer) -> Self {
        let stream = TcpStream::connect(&server.address).expect("the server listens");
        Self::from_stream(stream)
    }

    /// A client on a connection that may have been used otherwise.
    pub fn from_stream(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("supported");
        stream.set_write_timeout(Some(PATIENCE)).expect("supported");
        let clone = || stream.try_clone().expect("supported");
        Self { writer: Writer::new(clone()), reader: Reader::new(clone()), stream }
    }

    /// Connects and sends the chain's name and the header.
    pub fn open(server: &TestServer, chain: &str, header: &str) -> Self {
        let mut client = Self::connect(server);
        client.send(Message::ConfigFile(chain.to_owned()));
        client.send(Message::Header(header.to_owned()));
        client
    }

    /// Connects and sends the chain's text and the header.
    pub fn open_with(server: &TestServer, chain: &str, header: &str) -> Self {
        let mut client = Self::connect(server);
        client.send(Message::ConfigText(chain.to_owned()));
        client.send(Message::Header(header.to_owned()));
        client
    }

    pub fn send(&mut self, message: impl Into<Message>) {
        self.writer.write(&message.into()).expect("the server takes it");
        self.writer.flush().expect("the server takes it");
    }

    /// Sends what the server may not want any more.
    pub fn try_send(&mut self, message: impl Into<Message>) -> bool {
        self.writer.write(&message.into()).is_ok() && self.writer.flush().is_ok()
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// No more will be sent.
    pub fn half_close(&self) {
        // The server may have closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next message.
    pub fn read(&mut self) -> Option<Message> {
        self.reader.read().expect("the server speaks MRD")
    }

    /// Everything up to CLOSE, which must come exactly once, with nothing behind it.
    pub fn read_to_close(mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.reader.read().expect("the server speaks MRD") {
                Some(Message::Close) => break,
                Some(message) => messages.push(message),
                None => panic!("the connection ended without CLOSE after {messages:?}"),
            }
        }
        // The reader may hold bytes that came with CLOSE. A reset after it is an end as well.
        let rest = self.reader.read();
        assert!(matches!(rest, Ok(None) | Err(ReadError::Io { .. })), "after CLOSE: {rest:?}");
        messages
    }
}

/// The texts among messages.
pub fn texts(messages: &[Message]) -> Vec<&str> {
    fn text(message: &Message) -> Option<&str> {
        match message {
            Message::Text(text) => Some(text),
            _ => None,
        }
    }
    messages.iter().filter_map(text).collect()
}

/// The images among messages.
pub fn images(messages: Vec<Message>) -> Vec<ismrmrd::Image> {
    let image = |message| match message {
        Message::Image(image) => Some(image),
        _ => None,
    };
    messages.into_iter().filter_map(image).collect()
}

/// A small simulated scan.
pub fn small_scan(n_repetitions: usize) -> SimulatedScan {
    let setup = Setup { matrix_size: [32, 32], n_channels: 4, ..Setup::new(Subject::SheppLogan) };
    SimulatedScan::new(&GradientEcho { n_repetitions, ..GradientEcho::default() }, setup)
        .expect("the setup is good")
}

/// The first readout of a scan.
pub fn first_readout(scan: &SimulatedScan) -> ismrmrd::Acquisition {
    scan.acquisitions().next().expect("a scan has readouts")
}

/// Sends a whole scan through a chain and gives what came back.
pub fn reconstruct(server: &TestServer, chain: &str, scan: &SimulatedScan) -> Vec<Message> {
    let mut client = Client::open(server, chain, &scan.header().to_xml());
    for readout in scan.acquisitions() {
        client.send(readout);
    }
    client.send(Message::Close);
    client.read_to_close()
}

/// ‖a − b‖ / ‖b‖.
pub fn relative_error<'a>(
    a: impl IntoIterator<Item = &'a f32>,
    b: impl IntoIterator<Item = &'a f32>,
) -> f64 {
    let (mut difference, mut norm) = (0.0, 0.0);
    let mut b = b.into_iter();
    for a in a {
        let b = b.next().expect("equal length");
        difference += f64::from(a - b).powi(2);
        norm += f64::from(*b).powi(2);
    }
    assert!(b.next().is_none(), "equal length");
    (difference / norm).sqrt()
}
