//! A network in a process of its own: what crashes there, takes nothing else down, and what takes
//! too long can be ended.
//!
//! The two processes speak through a socket that is the child's standard input: a length and a
//! JSON text of that length. The arrays that it lists lie one behind the other in memory that both
//! share, which the child gets as its standard output.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::engine::{Engine, EngineError, EngineOptions, Placement};
use crate::shared_memory::SharedMemory;
use crate::{ElementType, Provider, Tensor};

/// The JSON text of a message: more is a mistake.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// A model: more is a mistake.
const MAX_MODEL_BYTES: u64 = 4 << 30;
/// Arrays of one message together: more is a mistake.
const MAX_ARRAY_BYTES: usize = 4 << 30;
/// Where each array begins: as wide as the widest vector.
const ALIGNMENT_BYTES: usize = 64;
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
    Load { n_bytes: u64, options: EngineOptions, memory_mib: usize, profiles: Option<PathBuf> },
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

    fn n_bytes(&self) -> Option<usize> {
        crate::tensor::n_elements(&self.shape)?.checked_mul(self.element_type.size_bytes())
    }

    fn is_of(&self, tensor: &Tensor) -> bool {
        self.element_type == tensor.element_type() && self.shape == tensor.shape()
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
    memory: SharedMemory,
    /// Where its runtime writes its profile, until that is read. This side removes it: a process
    /// that is killed cannot.
    profiles: Option<TempDir>,
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
        let memory = SharedMemory::new().map_err(|error| not_started(&error))?;
        let shared = memory.share().map_err(|error| not_started(&error))?;
        let child = Command::new(&program.path)
            .args(&program.arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(shared))
            .spawn()
            .map_err(|error| not_started(&error))?;
        // The provider is known once it has loaded the model.
        let (provider, runtime) = (Provider::Cpu, String::new());
        let profiles = tempfile::Builder::new().prefix("boreside-model-").tempdir();
        let profiles = profiles
            .inspect_err(|error| tracing::warn!("on what a network runs stays unknown: {error}"))
            .ok();
        let profiles_path = profiles.as_ref().map(|folder| folder.path().to_owned());
        let mut worker = Self { child, socket, memory, profiles, provider, runtime };
        let order = Order::Load {
            n_bytes: model.len() as u64,
            options: options.clone(),
            memory_mib,
            profiles: profiles_path,
        };
        match worker.ask(&order, model, deadline)? {
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
        put_arrays(&mut self.memory, inputs).map_err(|error| {
            let what = format!("the memory for its inputs cannot be had: {error}");
            WorkerError::Engine(EngineError::Call(what))
        })?;
        match self.ask(&order, &[], deadline)? {
            Reply::Done { arrays, time_us } => {
                let outputs = take_arrays(&mut self.memory, &arrays).map_err(|error| {
                    self.end();
                    WorkerError::Ended(format!("its outputs cannot be read: {error}"))
                })?;
                Ok((outputs, Duration::from_micros(time_us)))
            }
            Reply::Failed(error) => Err(error.into()),
            other => Err(WorkerError::Ended(format!("it answered {other:?}"))),
        }
    }

    /// On what the operators of the calls until now ran.
    pub fn placement(&mut self, deadline: Instant) -> Result<Placement, WorkerError> {
        let reply = self.ask(&Order::Placement, &[], deadline);
        self.profiles = None;
        match reply? {
            Reply::Placed(placement) => Ok(placement),
            Reply::Failed(error) => Err(error.into()),
            other => Err(WorkerError::Ended(format!("it answered {other:?}"))),
        }
    }

    fn ask(
        &mut self,
        order: &Order,
        bytes: &[u8],
        deadline: Instant,
    ) -> Result<Reply, WorkerError> {
        let asked = {
            let mut line = Line { socket: &self.socket, deadline };
            send(&mut line, order, bytes).and_then(|()| {
                Ok(receive::<Reply>(&mut line)?.ok_or(io::ErrorKind::UnexpectedEof)?)
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

fn send(line: &mut impl Write, message: &impl Serialize, bytes: &[u8]) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let mut head = Vec::with_capacity(4 + text.len());
    head.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    head.extend_from_slice(&text);
    line.write_all(&head)?;
    line.write_all(bytes)
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
    // A text that is cut is no end of the line.
    serde_json::from_slice(&text).map(Some).map_err(invalid)
}

fn receive_bytes(line: &mut impl Read, n_bytes: u64) -> io::Result<Vec<u8>> {
    if n_bytes > MAX_MODEL_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a model is too large"));
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

/// Puts arrays one behind the other into the memory.
fn put_arrays(memory: &mut SharedMemory, arrays: &[(String, Tensor)]) -> io::Result<()> {
    let heads: Vec<ArrayHead> = arrays.iter().map(ArrayHead::of).collect();
    let (offsets, n_bytes) = places(&heads)?;
    memory.reserve(n_bytes)?;
    for ((_, tensor), offset) in arrays.iter().zip(offsets) {
        memory.write(offset, tensor.bytes())?;
    }
    Ok(())
}

/// Arrays out of the memory.
fn take_arrays(
    memory: &mut SharedMemory,
    heads: &[ArrayHead],
) -> io::Result<Vec<(String, Tensor)>> {
    let mut arrays = Vec::new();
    take_arrays_into(memory, heads, &mut arrays)?;
    Ok(arrays)
}

/// Arrays out of the memory into those of the call before, where these are as large.
fn take_arrays_into(
    memory: &mut SharedMemory,
    heads: &[ArrayHead],
    arrays: &mut Vec<(String, Tensor)>,
) -> io::Result<()> {
    let (offsets, n_bytes) = places(heads)?;
    memory.reserve(n_bytes)?;
    arrays.truncate(heads.len());
    for (index, (head, offset)) in heads.iter().zip(offsets).enumerate() {
        if !arrays.get(index).is_some_and(|(name, old)| *name == head.name && head.is_of(old)) {
            let tensor = Tensor::zeros(head.element_type, &head.shape).map_err(invalid)?;
            arrays.truncate(index);
            arrays.push((head.name.clone(), tensor));
        }
        if let Some((_, tensor)) = arrays.get_mut(index) {
            memory.read(offset, tensor.bytes_mut())?;
        }
    }
    Ok(())
}

/// Where arrays lie in the memory, and its length.
fn places(heads: &[ArrayHead]) -> io::Result<(Vec<usize>, usize)> {
    let mut end = 0_usize;
    let mut offsets = Vec::with_capacity(heads.len());
    for head in heads {
        offsets.push(end);
        end = head
            .n_bytes()
            .and_then(|n_bytes| end.checked_add(n_bytes)?.checked_next_multiple_of(ALIGNMENT_BYTES))
            .filter(|end| *end <= MAX_ARRAY_BYTES)
            .ok_or_else(|| invalid("the arrays are too large"))?;
    }
    Ok((offsets, end))
}

fn invalid(what: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// The child's side: serves the process at the other end of standard input until that closes.
///
/// # Errors
/// A standard input that is no socket, or a message that is not understood.
pub fn serve_stdin() -> io::Result<()> {
    unless_parent_is_gone(serve_parent())
}

/// A parent may end in the middle of anything: nobody is left to be told.
fn unless_parent_is_gone(served: io::Result<()>) -> io::Result<()> {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match served {
        Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) => {
            Ok(())
        }
        served => served,
    }
}

fn serve_parent() -> io::Result<()> {
    // A parent that was killed cannot close its end while a call lasts.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut memory = SharedMemory::of(io::stdout().as_fd().try_clone_to_owned()?);
    // What a runtime prints must not land in the memory.
    rustix::stdio::dup2_stdout(io::stderr())?;
    let mut inputs = Vec::new();
    // Shared memory does not count for the limit of the process.
    let mut max_output_bytes = MAX_ARRAY_BYTES;
    let mut engine: Option<Engine> = None;
    let mut run_options = None;
    while let Some(order) = receive::<Order>(&mut socket)? {
        match order {
            Order::Load { n_bytes, options, memory_mib, profiles } => {
                let model = receive_bytes(&mut socket, n_bytes)?;
                max_output_bytes = memory_mib.saturating_mul(1 << 20).min(MAX_ARRAY_BYTES);
                let is_on_cpu = !options.has_cuda
                    || matches!(
                        options.provider,
                        crate::ProviderChoice::Cpu | crate::ProviderChoice::Embedded
                    );
                if is_on_cpu {
                    limit_memory(memory_mib, model.len());
                }
                let loaded = Engine::load(&model, &options, profiles.as_deref());
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
                take_arrays_into(&mut memory, &arrays, &mut inputs)?;
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
                        let arrays: Vec<_> = outputs.iter().map(ArrayHead::of).collect();
                        let (_, n_bytes) = places(&arrays)?;
                        if n_bytes > max_output_bytes {
                            let what = format!("{n_bytes} bytes of output are beyond its memory");
                            send(&mut socket, &Reply::Failed(EngineError::Call(what)), &[])?;
                            continue;
                        }
                        put_arrays(&mut memory, &outputs)?;
                        send(&mut socket, &Reply::Done { arrays, time_us }, &[])?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(shape: Vec<usize>) -> ArrayHead {
        ArrayHead { name: "x".to_owned(), element_type: ElementType::F32, shape }
    }

    #[test]
    fn messages_cross_the_socket() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        send(&mut ours, &Order::Run { arrays: vec![head(vec![1, 2])] }, &[]).expect("sent");
        drop(ours);
        let Ok(Some(Order::Run { arrays })) = receive(&mut theirs) else { panic!("an order") };
        assert_eq!(arrays[0].shape, [1, 2]);
        assert!(receive::<Order>(&mut theirs).expect("an end").is_none());
    }

    #[test]
    fn a_parent_that_ends_in_the_middle_of_something_is_no_error() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.write_all(&[1, 2, 3]).expect("sent");
        drop(ours);
        let model = receive_bytes(&mut theirs, 4).map(drop);
        assert!(model.is_err(), "a model that is cut is none");
        assert!(unless_parent_is_gone(model).is_ok());
        let answer = send(&mut theirs, &Reply::Placed(Placement::new()), &[]);
        assert!(answer.is_err(), "nobody listens");
        assert!(unless_parent_is_gone(answer).is_ok());
        assert!(unless_parent_is_gone(Err(invalid("not understood"))).is_err());
    }

    #[test]
    fn arrays_cross_the_shared_memory() {
        let array = |name: &str, shape: &[usize], values: &[f32]| {
            (name.to_owned(), Tensor::from_f32(shape, values.to_vec()).expect("as many elements"))
        };
        let arrays = [array("x", &[1, 3], &[1.0, 2.0, 3.0]), array("y", &[2], &[4.0, 5.0])];
        let heads: Vec<_> = arrays.iter().map(ArrayHead::of).collect();
        let mut ours = SharedMemory::new().expect("memory");
        let mut theirs = SharedMemory::of(ours.share().expect("a copy"));
        put_arrays(&mut ours, &arrays).expect("put");
        assert_eq!(take_arrays(&mut theirs, &heads).expect("taken"), arrays);
        // One that is as large is used again, another is not.
        let mut others = vec![array("x", &[1, 3], &[0.0; 3]), array("y", &[3], &[0.0; 3])];
        let first = others[0].1.bytes().as_ptr();
        take_arrays_into(&mut theirs, &heads, &mut others).expect("taken");
        assert_eq!(others, arrays);
        assert_eq!(others[0].1.bytes().as_ptr(), first);
    }

    #[test]
    fn sizes_are_checked_before_memory_is_asked_for() {
        let mut memory = SharedMemory::new().expect("memory");
        assert!(take_arrays(&mut memory, &[head(vec![1 << 40])]).is_err());
        assert!(take_arrays(&mut memory, &[head(vec![usize::MAX, 2])]).is_err());
        assert!(receive::<Order>(&mut &[0xff, 0xff, 0xff, 0xff][..]).is_err());
    }
}
