//! One model at work: a thread that loads it, checks it, and answers requests in a fair order.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ort::session::RunOptions;

use crate::engine::{Engine, EngineOptions, Placement};
use crate::golden::GoldenSet;
use crate::manifest::Manifest;
use crate::queue::{Queue, Waiting, can_batch, parted, stacked};
use crate::turns::Turns;
use crate::worker::{Worker, WorkerError, WorkerProgram};
use crate::{InferenceError, Provenance, Provider, Tensor};

/// Times in a row that a model may take its process down before it is not started again.
const MAX_CRASHES: usize = 3;
/// For a call that was ended to come back, in this process.
const GRACE: Duration = Duration::from_millis(50);

/// What is asked of a model.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Inputs by name.
    pub inputs: Vec<(String, Tensor)>,
    /// Whose request it is: sessions take turns.
    pub session: u64,
    /// Time for the answer, waiting included [default: the manifest's].
    pub time: Option<Duration>,
}

/// What a model answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Outputs by name.
    pub outputs: Vec<(String, Tensor)>,
    /// What ran, on what, and how long.
    pub provenance: Provenance,
}

impl Answer {
    /// An output by name.
    pub fn output(&self, name: &str) -> Option<&Tensor> {
        self.outputs.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }
}

/// What a lane needs to load its model, again if need be.
pub(crate) struct Plan {
    pub manifest: Arc<Manifest>,
    pub options: EngineOptions,
    /// [`None`]: in this process.
    pub worker: Option<WorkerProgram>,
    pub golden: Option<GoldenSet>,
    /// Reads the model's file, checked.
    pub read: Box<dyn Fn() -> Result<std::borrow::Cow<'static, [u8]>, InferenceError> + Send>,
    pub turns: Arc<Turns>,
    /// How it is, is not logged.
    pub is_quiet: bool,
}

/// How a lane is.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Loading,
    Ready(Ready),
    Refused(InferenceError),
}

/// What is known of a model that was loaded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ready {
    pub provider: Provider,
    pub runtime: String,
    pub placement: Placement,
    /// Largest difference from the golden outputs.
    pub golden_difference: Option<f64>,
    pub load_time: Duration,
    /// Process that it runs in, [`None`] for this one.
    pub process: Option<u32>,
}

struct Shared {
    state: State,
    queue: Queue,
    is_answering: bool,
    is_closed: bool,
    /// Ends the call that runs in this process.
    running: Option<Arc<RunOptions>>,
}

/// One model at work.
pub(crate) struct Lane {
    manifest: Arc<Manifest>,
    shared: Arc<(Mutex<Shared>, Condvar)>,
}

fn lock(mutex: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    /// Starts to load a model in the background.
    pub fn start(plan: Plan) -> Self {
        let shared = Arc::new((
            Mutex::new(Shared {
                state: State::Loading,
                queue: Queue::default(),
                is_answering: false,
                is_closed: false,
                running: None,
            }),
            Condvar::new(),
        ));
        let manifest = Arc::clone(&plan.manifest);
        let own = Arc::clone(&shared);
        let spawned = thread::Builder::new()
            .name(format!("model {}", manifest.name))
            .spawn(move || Executor { plan, shared: own, n_crashes: 0 }.run());
        if let Err(error) = spawned {
            let how = format!("its thread cannot be started: {error}");
            let error = InferenceError::Crashed { model: manifest.name.clone(), how };
            lock(&shared.0).state = State::Refused(error);
        }
        Self { manifest, shared }
    }

    /// How it is now.
    pub fn state(&self) -> State {
        lock(&self.shared.0).state.clone()
    }

    /// Ends it, whoever still holds it: its process goes.
    pub fn close(&self) {
        lock(&self.shared.0).is_closed = true;
        self.shared.1.notify_all();
    }

    /// Whether nobody waits for it.
    pub fn is_idle(&self) -> bool {
        let shared = lock(&self.shared.0);
        !shared.is_answering && shared.queue.is_empty()
    }

    /// Waits until it is loaded.
    pub fn wait_until_ready(&self) -> Result<Ready, InferenceError> {
        let (mutex, changed) = &*self.shared;
        // The executor keeps to this time itself; here it only must not be waited for without end.
        let limit = Duration::from_secs_f64(self.manifest.budget.load_time_ms / 1e3) + GRACE;
        let until = Instant::now() + 2 * limit;
        let mut shared = lock(mutex);
        loop {
            if shared.is_closed {
                let how = "it was put away, as another model needed its memory".to_owned();
                return Err(InferenceError::Crashed { model: self.manifest.name.clone(), how });
            }
            match &shared.state {
                State::Ready(ready) => return Ok(ready.clone()),
                State::Refused(error) => return Err(error.clone()),
                State::Loading => {}
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                let time_ms = limit.as_millis() as u64;
                return Err(InferenceError::Late { model: self.manifest.name.clone(), time_ms });
            };
            shared = changed.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks for an answer and waits for it. Time in which the model is still loaded does not
    /// count.
    pub fn run(&self, request: Request) -> Result<Answer, InferenceError> {
        self.wait_until_ready()?;
        let budget = Duration::from_secs_f64(self.manifest.budget.time_ms / 1e3);
        let time = request.time.unwrap_or(budget);
        let since = Instant::now();
        let deadline = since + time;
        let (reply, answer) = sync_channel(1);
        {
            let mut shared = lock(&self.shared.0);
            if let State::Refused(error) = &shared.state {
                return Err(error.clone());
            }
            let waiting = Waiting { request, since, deadline, reply };
            if let Err(n_waiting) = shared.queue.push(waiting) {
                return Err(InferenceError::Busy { model: self.manifest.name.clone(), n_waiting });
            }
        }
        self.shared.1.notify_all();
        self.wait_for(&answer, deadline, time)
    }

    fn wait_for(
        &self,
        answer: &Receiver<Result<Answer, InferenceError>>,
        deadline: Instant,
        time: Duration,
    ) -> Result<Answer, InferenceError> {
        let late = || {
            let (model, time_ms) = (self.manifest.name.clone(), time.as_millis() as u64);
            InferenceError::Late { model, time_ms }
        };
        let gone = || {
            let how = "its thread has ended".to_owned();
            InferenceError::Crashed { model: self.manifest.name.clone(), how }
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match answer.recv_timeout(left + GRACE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
            Err(RecvTimeoutError::Timeout) => {
                // A process of its own has been ended by now; a call in this one is asked to end.
                if let Some(running) = &lock(&self.shared.0).running {
                    // A runtime that cannot do that goes on, and this request does not wait.
                    let _ = running.terminate();
                }
                Err(late())
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.close();
    }
}

/// A model where it runs.
enum Backend {
    Process(Worker),
    Here(Engine, Option<Arc<RunOptions>>),
}

impl Backend {
    fn provider(&self) -> Provider {
        match self {
            Self::Process(worker) => worker.provider,
            Self::Here(engine, _) => engine.provider(),
        }
    }

    fn runtime(&self) -> &str {
        match self {
            Self::Process(worker) => &worker.runtime,
            Self::Here(engine, _) => engine.runtime(),
        }
    }
}

struct Executor {
    plan: Plan,
    shared: Arc<(Mutex<Shared>, Condvar)>,
    /// Since the last answer.
    n_crashes: usize,
}

impl Executor {
    fn run(mut self) {
        let mut backend = None;
        loop {
            if backend.is_none() {
                if self.is_closed() {
                    return;
                }
                self.set_state(State::Loading);
                match self.load() {
                    Ok((loaded, ready)) => {
                        backend = Some(loaded);
                        self.set_state(State::Ready(ready));
                    }
                    Err(error) => {
                        // Whoever asks is told; what stands in for it, or that nothing does, is
                        // for them to say.
                        tracing::debug!("{error}");
                        self.set_state(State::Refused(error.clone()));
                        return self.refuse_all(&error);
                    }
                }
            }
            let Some(batch) = self.next() else { return };
            let Some(ready) = &mut backend else { continue };
            if !self.answer(batch, ready) {
                backend = None;
                self.n_crashes += 1;
                if self.n_crashes >= MAX_CRASHES {
                    let how = format!("{MAX_CRASHES} times in a row; it is not started again");
                    let model = self.plan.manifest.name.clone();
                    let error = InferenceError::Crashed { model, how };
                    tracing::warn!("{error}");
                    self.set_state(State::Refused(error.clone()));
                    return self.refuse_all(&error);
                }
            }
        }
    }

    fn is_closed(&self) -> bool {
        lock(&self.shared.0).is_closed
    }

    fn set_state(&self, state: State) {
        lock(&self.shared.0).state = state;
        self.shared.1.notify_all();
    }

    fn refuse_all(&self, error: &InferenceError) {
        for waiting in lock(&self.shared.0).queue.take_all() {
            // Whoever asked may have gone.
            let _ = waiting.reply.send(Err(error.clone()));
        }
    }

    fn load(&self) -> Result<(Backend, Ready), InferenceError> {
        let Plan { manifest, options, worker, golden, read, turns, is_quiet } = &self.plan;
        let model = || manifest.name.clone();
        let start = Instant::now();
        let time_ms = manifest.budget.load_time_ms;
        let deadline = start + Duration::from_secs_f64(time_ms / 1e3);
        let late = || InferenceError::Late { model: model(), time_ms: time_ms as u64 };
        let bytes = read()?;
        let mut backend = match worker {
            Some(program) => {
                let memory_mib = manifest.budget.memory_mib;
                let started = Worker::start(program, &bytes, options, memory_mib, deadline);
                Backend::Process(started.map_err(|error| self.error_of(error, time_ms))?)
            }
            None => {
                let fail = |error| InferenceError::Engine { model: model(), error };
                let engine = Engine::load(&bytes, options, None).map_err(fail)?;
                let options = match engine.provider() {
                    Provider::Embedded => None,
                    _ => Some(crate::run_options().map_err(fail)?),
                };
                Backend::Here(engine, options)
            }
        };
        drop(bytes);
        let mut golden_difference = None;
        if let (Some(set), Some(about)) = (golden, &manifest.golden) {
            let provider = backend.provider();
            let _turn = turns.wait(deadline).ok_or_else(late)?;
            let (outputs, _) = self.call(&mut backend, &set.inputs, deadline, time_ms)?;
            golden_difference =
                Some(
                    set.compare(&outputs, about.tolerance).map_err(|error| {
                        InferenceError::Golden { model: model(), provider, error }
                    })?,
                );
        }
        let (placement, process) = match &mut backend {
            Backend::Process(worker) => {
                let id = worker.id();
                let placement = worker.placement(deadline);
                (placement.map_err(|error| self.error_of(error, time_ms))?, Some(id))
            }
            Backend::Here(..) => (Placement::new(), None),
        };
        let ready = Ready {
            provider: backend.provider(),
            runtime: backend.runtime().to_owned(),
            placement,
            golden_difference,
            load_time: start.elapsed(),
            process,
        };
        if !is_quiet {
            let Manifest { name, version, .. } = &**manifest;
            tracing::info!("model {name} {version} is ready: {}", ready.summary());
        }
        Ok((backend, ready))
    }

    fn call(
        &self,
        backend: &mut Backend,
        inputs: &[(String, Tensor)],
        deadline: Instant,
        time_ms: f64,
    ) -> Result<(Vec<(String, Tensor)>, Duration), InferenceError> {
        match backend {
            Backend::Process(worker) => {
                worker.run(inputs, deadline).map_err(|error| self.error_of(error, time_ms))
            }
            Backend::Here(engine, options) => {
                lock(&self.shared.0).running.clone_from(options);
                let start = Instant::now();
                let done = engine.run(inputs, options.as_deref());
                let time = start.elapsed();
                lock(&self.shared.0).running = None;
                if let Some(options) = options {
                    // It may have been asked to end a moment too late.
                    let _ = options.unterminate();
                }
                let model = || self.plan.manifest.name.clone();
                let outputs =
                    done.map_err(|error| InferenceError::Engine { model: model(), error })?;
                if Instant::now() > deadline {
                    let time_ms = time_ms as u64;
                    return Err(InferenceError::Late { model: model(), time_ms });
                }
                Ok((outputs, time))
            }
        }
    }

    fn error_of(&self, error: WorkerError, time_ms: f64) -> InferenceError {
        let model = self.plan.manifest.name.clone();
        match error {
            WorkerError::Engine(error) => InferenceError::Engine { model, error },
            WorkerError::Late => InferenceError::Late { model, time_ms: time_ms as u64 },
            WorkerError::Ended(how) => InferenceError::Crashed { model, how },
        }
    }

    /// The next request, with others that can be worked on in one call; [`None`] at the end.
    fn next(&self) -> Option<Vec<Waiting>> {
        let (mutex, changed) = &*self.shared;
        let mut shared = lock(mutex);
        shared.is_answering = false;
        loop {
            let max_batch = match can_batch(&self.plan.manifest) {
                true => self.plan.manifest.budget.max_batch,
                false => 1,
            };
            if let Some(batch) = shared.queue.next(max_batch) {
                shared.is_answering = true;
                return Some(batch);
            }
            if shared.is_closed {
                return None;
            }
            shared = changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Answers requests with one call. Gives whether the model can be called again.
    fn answer(&mut self, batch: Vec<Waiting>, backend: &mut Backend) -> bool {
        let started = Instant::now();
        let batch: Vec<Waiting> = batch
            .into_iter()
            .filter(|waiting| {
                let is_late = waiting.deadline <= started;
                if is_late {
                    let _ = waiting.reply.send(Err(self.late(waiting)));
                }
                !is_late
            })
            .collect();
        let Some(deadline) = batch.iter().map(|waiting| waiting.deadline).min() else {
            return true;
        };
        let turns = Arc::clone(&self.plan.turns);
        let Some(turn) = turns.wait(deadline) else {
            for waiting in &batch {
                let _ = waiting.reply.send(Err(self.late(waiting)));
            }
            return true;
        };
        let begun = Instant::now();
        let time_ms = batch
            .first()
            .map_or(0.0, |waiting| (waiting.deadline - waiting.since).as_secs_f64() * 1e3);
        let called = match stacked(&batch) {
            Some(inputs) => self.call(backend, &inputs, deadline, time_ms),
            None => {
                let inputs = batch.first().map(|waiting| waiting.request.inputs.as_slice());
                self.call(backend, inputs.unwrap_or_default(), deadline, time_ms)
            }
        };
        drop(turn);
        match called {
            Ok((outputs, time)) => {
                self.n_crashes = 0;
                let parts = parted(&batch, outputs);
                for (waiting, outputs) in batch.iter().zip(parts) {
                    let waited = begun - waiting.since;
                    let provenance = self.provenance(backend, time, waited);
                    let _ = waiting.reply.send(Ok(Answer { outputs, provenance }));
                }
                true
            }
            // Which of them it is about is not known.
            Err(InferenceError::Engine { .. }) if batch.len() > 1 => {
                batch.into_iter().all(|waiting| self.answer(vec![waiting], backend))
            }
            Err(error) => {
                let lives = matches!(error, InferenceError::Engine { .. })
                    || matches!(
                        (&error, &*backend),
                        (InferenceError::Late { .. }, Backend::Here(..))
                    );
                if matches!(error, InferenceError::Crashed { .. }) {
                    tracing::warn!("{error}");
                }
                for waiting in &batch {
                    let _ = waiting.reply.send(Err(error.clone()));
                }
                lives
            }
        }
    }

    fn late(&self, waiting: &Waiting) -> InferenceError {
        let time_ms = (waiting.deadline - waiting.since).as_millis() as u64;
        InferenceError::Late { model: self.plan.manifest.name.clone(), time_ms }
    }

    fn provenance(&self, backend: &Backend, time: Duration, waited: Duration) -> Provenance {
        let Manifest { name, version, sha256, .. } = &*self.plan.manifest;
        Provenance {
            model: name.clone(),
            version: version.clone(),
            sha256: sha256.clone(),
            provider: Some(backend.provider()),
            runtime: backend.runtime().to_owned(),
            time_ms: time.as_secs_f64() * 1e3,
            waited_ms: waited.as_secs_f64() * 1e3,
            guards: Vec::new(),
            fallback: None,
        }
    }
}

impl Ready {
    /// Provider, runtime, operators, golden check and time in words.
    pub fn summary(&self) -> String {
        let mut text = format!("{} ({})", self.provider, self.runtime);
        if !self.placement.is_empty() {
            let parts: Vec<_> =
                self.placement.iter().map(|(name, n)| format!("{n} on {name}")).collect();
            text += &format!(", operators {}", parts.join(" and "));
        }
        match self.golden_difference {
            Some(difference) => text += &format!(", golden check within {difference:.1e}"),
            None => text += ", no golden check",
        }
        text += &format!(", loaded in {:.0} ms", self.load_time.as_secs_f64() * 1e3);
        if let Some(process) = self.process {
            text += &format!(", process {process}");
        }
        text
    }
}
