//! A network in a process of its own: what crashes there, takes nothing else down, and what takes
//! too long can be ended.
//!
//! The two processes speak through a socket that is the child's standard input: a length, a JSON
//! text of that length, then the bytes of the arrays that it lists.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::engine::{Engine, EngineError, EngineOptions, Placement};
use crate::{ElementType, Provider, Tensor};

/// The JSON text of a message: more is a mistake.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Arrays of one message: more is a mistake.
const MAX_ARRAY_BYTES: u64 = 4 << 30;
/// For a child to end by itself once its socket is closed.
const END_WITHIN: Duration = Duration::from_millis(200);

/// The program that runs a network, and its arguments before which nothing is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerProgram {
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
enum Order {
    Load { n_bytes: u64, options: EngineOptions, memory_mib: usize },
    Run { arrays: Vec<ArrayHead> },
    Placement,
}

#[derive(Debug, Deserialize, Serialize)]
enum Reply {
    Loaded { provider: Provider, runtime: String },
    Done { arrays: Vec<ArrayHead>, time_us: u64 },
    Placed(Placement),
    Failed(EngineError),
}

#[derive(Debug, Deserialize, Serialize)]
struct ArrayHead {
    name: String,
    element_type: ElementType,
    shape: Vec<usize>,
}

impl ArrayHead {
    fn of((name, tensor): &(String, Tensor)) -> Self {
        let (element_type, shape) = (tensor.element_type(), tensor.shape().to_vec());
        Self { name: name.clone(), element_type, shape }
    }

    fn n_bytes(&self) -> Option<u64> {
        let n = crate::tensor::n_elements(&self.shape)?;
        u64::try_from(n.checked_mul(self.element_type.size_bytes())?).ok()
    }
}

/// Why a worker did not answer.
#[derive(Debug)]
pub(crate) enum WorkerError {
    /// The engine's own error; the worker goes on.
    Engine(EngineError),
    /// Its time was over; it was ended.
    Late,
    /// It ended by itself: how.
    Ended(String),
}

impl From<EngineError> for WorkerError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// A network in a process of its own. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    socket: UnixStream,
    pub provider: Provider,
    pub runtime: String,
}

impl Worker {
    /// Starts a process and gives it a model.
    pub fn start(
        program: &WorkerProgram,
        model: &[u8],
        options: &EngineOptions,
        memory_mib: usize,
        deadline: Instant,
    ) -> Result<Self, WorkerError> {
        let (socket, theirs) = UnixStream::pair().map_err(|error| not_started(&error))?;
        let child = Command::new(&program.path)
            .args(&program.arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| not_started(&error))?;
        // The provider is known once it has loaded the model.
        let mut worker = Self { child, socket, provider: Provider::Cpu, runtime: String::new() };
        let order =
            Order::Load { n_bytes: model.len() as u64, options: options.clone(), memory_mib };
        match worker.ask(&order, &[model], deadline)?.0 {
            Reply::Loaded { provider, runtime } => {
                (worker.provider, worker.runtime) = (provider, runtime);
                Ok(worker)
            }
            Reply::Failed(error) => Err(error.into()),
            other => Err(WorkerError::Ended(format!("it answered {other:?}"))),
        }
    }

    /// Number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Runs the network. Gives its outputs and the time that it took.
    pub fn run(
        &mut self,
        inputs: &[(String, Tensor)],
        deadline: Instant,
    ) -> Result<(Vec<(String, Tensor)>, Duration), WorkerError> {
        let order = Order::Run { arrays: inputs.iter().map(ArrayHead::of).collect() };
        let bytes: Vec<&[u8]> = inputs.iter().map(|(_, tensor)| tensor.bytes()).collect();
        match self.ask(&order, &bytes, deadline)? {
            (Reply::Done { time_us, .. }, arrays) => Ok((arrays, Duration::from_micros(time_us))),
            (Reply::Failed(error), _) => Err(error.into()),
            (other, _) => Err(WorkerError::Ended(format!("it answered {other:?}"))),
        }
    }

    /// On what the operators of the calls until now ran.
    pub fn placement(&mut self, deadline: Instant) -> Result<Placement, WorkerError> {
        match self.ask(&Order::Placement, &[], deadline)?.0 {
            Reply::Placed(placement) => Ok(placement),
            Reply::Failed(error) => Err(error.into()),
            other => Err(WorkerError::Ended(format!("it answered {other:?}"))),
        }
    }

    fn ask(
        &mut self,
        order: &Order,
        bytes: &[&[u8]],
        deadline: Instant,
    ) -> Result<(Reply, Vec<(String, Tensor)>), WorkerError> {
        let asked = {
            let mut line = Line { socket: &self.socket, deadline };
            send(&mut line, order, bytes).and_then(|()| {
                let reply: Reply = receive(&mut line)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let arrays = match &reply {
                    Reply::Done { arrays, .. } => receive_arrays(&mut line, arrays)?,
                    _ => Vec::new(),
                };
                Ok((reply, arrays))
            })
        };
        asked.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                self.end();
                WorkerError::Late
            }
            _ => WorkerError::Ended(self.how_it_ended(&error)),
        })
    }

    /// Ends the process at once.
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn how_it_ended(&mut self, error: &io::Error) -> String {
        // The socket closes a moment before the process is gone.
        let until = Instant::now() + END_WITHIN;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    return match (status.signal(), status.code()) {
                        (Some(signal), _) => format!("signal {signal}{}", signal_name(signal)),
                        (None, Some(code)) => format!("exit code {code}"),
                        (None, None) => status.to_string(),
                    };
                }
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
                _ => {
                    self.end();
                    return format!("it does not speak any more: {error}");
                }
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

fn not_started(error: &io::Error) -> WorkerError {
    WorkerError::Ended(format!("it cannot be started: {error}"))
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic error)",
        9 => " (killed, perhaps for want of memory)",
        11 => " (segmentation fault)",
        _ => "",
    }
}

/// The parent's end of the socket: nothing on it lasts beyond the deadline.
struct Line<'a> {
    socket: &'a UnixStream,
    deadline: Instant,
}

impl Line<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Line<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn send(line: &mut impl Write, message: &impl Serialize, bytes: &[&[u8]]) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let mut head = Vec::with_capacity(4 + text.len());
    head.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    head.extend_from_slice(&text);
    line.write_all(&head)?;
    bytes.iter().try_for_each(|bytes| line.write_all(bytes))
}

/// The next message; [`None`] where the other side has closed.
fn receive<T: serde::de::DeserializeOwned>(line: &mut impl Read) -> io::Result<Option<T>> {
    let mut len = [0; 4];
    match line.read_exact(&mut len) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_TEXT_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    let mut text = vec![0; len];
    line.read_exact(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

fn receive_bytes(line: &mut impl Read, n_bytes: u64) -> io::Result<Vec<u8>> {
    if n_bytes > MAX_ARRAY_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an array is too large"));
    }
    let mut bytes = Vec::new();
    let len = usize::try_from(n_bytes).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(len).map_err(io::Error::other)?;
    line.take(n_bytes).read_to_end(&mut bytes)?;
    if bytes.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

fn receive_arrays(line: &mut impl Read, heads: &[ArrayHead]) -> io::Result<Vec<(String, Tensor)>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut arrays = Vec::with_capacity(heads.len().min(64));
    for head in heads {
        if head.n_bytes().is_none_or(|n_bytes| n_bytes > MAX_ARRAY_BYTES) {
            return Err(invalid("an array is too large".to_owned()));
        }
        let tensor = Tensor::zeros(head.element_type, &head.shape);
        let mut tensor = tensor.map_err(|error| invalid(error.to_string()))?;
        line.read_exact(tensor.bytes_mut())?;
        arrays.push((head.name.clone(), tensor));
    }
    Ok(arrays)
}

/// The child's side: serves the process at the other end of standard input until that closes.
///
/// # Errors
/// A standard input that is no socket, or a message that is not understood.
pub fn serve_stdin() -> io::Result<()> {
    // A parent that was killed cannot close its end while a call lasts.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut engine: Option<Engine> = None;
    let profiles = ProfileFolder::new();
    let mut run_options = None;
    while let Some(order) = receive::<Order>(&mut socket)? {
        match order {
            Order::Load { n_bytes, options, memory_mib } => {
                let model = receive_bytes(&mut socket, n_bytes)?;
                let is_on_cpu =
                    !options.has_cuda || matches!(options.provider, crate::ProviderChoice::Cpu);
                if is_on_cpu {
                    limit_memory(memory_mib, model.len());
                }
                let loaded = Engine::load(&model, &options, profiles.path());
                let reply = match loaded {
                    Ok(loaded) => {
                        let (provider, runtime) = (loaded.provider(), loaded.runtime().to_owned());
                        engine = Some(loaded);
                        Reply::Loaded { provider, runtime }
                    }
                    Err(error) => Reply::Failed(error),
                };
                send(&mut socket, &reply, &[])?;
            }
            Order::Run { arrays } => {
                let inputs = receive_arrays(&mut socket, &arrays)?;
                let start = Instant::now();
                let done = (|| {
                    let engine = engine.as_mut().ok_or(EngineError::NoRuntime)?;
                    if run_options.is_none() && engine.provider() != Provider::Embedded {
                        run_options = Some(crate::run_options()?);
                    }
                    engine.run(&inputs, run_options.as_deref())
                })();
                let time_us = start.elapsed().as_micros() as u64;
                match done {
                    Ok(outputs) => {
                        let arrays = outputs.iter().map(ArrayHead::of).collect();
                        let bytes: Vec<&[u8]> =
                            outputs.iter().map(|(_, tensor)| tensor.bytes()).collect();
                        send(&mut socket, &Reply::Done { arrays, time_us }, &bytes)?;
                    }
                    Err(error) => send(&mut socket, &Reply::Failed(error), &[])?,
                }
            }
            Order::Placement => {
                let placed = engine.as_mut().map_or(Ok(Placement::new()), Engine::placement);
                let reply = placed.map_or_else(Reply::Failed, Reply::Placed);
                send(&mut socket, &reply, &[])?;
            }
        }
    }
    Ok(())
}

/// Bounds what the process may write to beyond what it has now. A GPU's driver maps more than it
/// uses, so there this is left out.
fn limit_memory(memory_mib: usize, n_model_bytes: usize) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    /// What a runtime needs before it has a model: its own data, and stacks of threads.
    const RUNTIME_BYTES: u64 = 256 << 20;
    let current = std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| {
        text.split_whitespace().nth(5)?.parse::<u64>().ok().map(|pages| pages * 4096)
    });
    let own = (memory_mib as u64) << 20;
    // The model lies in memory twice while it is read.
    let limit = current.unwrap_or(0) + RUNTIME_BYTES + own + 2 * n_model_bytes as u64;
    let limits = Rlimit { current: Some(limit), maximum: Some(limit) };
    if let Err(error) = setrlimit(Resource::Data, limits) {
        tracing::warn!("the memory of a model cannot be limited: {error}");
    }
}

/// A folder for the runtime's profile that goes with the process.
struct ProfileFolder(Option<PathBuf>);

impl ProfileFolder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("boreside-model-{}", std::process::id()));
        Self(std::fs::create_dir(&path).is_ok().then_some(path))
    }

    fn path(&self) -> Option<&std::path::Path> {
        self.0.as_deref()
    }
}

impl Drop for ProfileFolder {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Nothing depends on it.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_arrays_cross_the_socket() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        let array =
            ("x".to_owned(), Tensor::from_f32(&[1, 2], vec![1.0, 2.0]).expect("two elements"));
        let order = Order::Run { arrays: vec![ArrayHead::of(&array)] };
        send(&mut ours, &order, &[array.1.bytes()]).expect("sent");
        drop(ours);
        let Ok(Some(Order::Run { arrays })) = receive(&mut theirs) else { panic!("an order") };
        assert_eq!(receive_arrays(&mut theirs, &arrays).expect("received"), [array]);
        assert!(receive::<Order>(&mut theirs).expect("an end").is_none());
    }

    #[test]
    fn sizes_are_checked_before_memory_is_asked_for() {
        let head = ArrayHead {
            name: "x".to_owned(),
            element_type: ElementType::F32,
            shape: vec![1 << 40],
        };
        assert!(receive_arrays(&mut io::empty(), &[head]).is_err());
        assert!(receive::<Order>(&mut &[0xff, 0xff, 0xff, 0xff][..]).is_err());
    }
}
