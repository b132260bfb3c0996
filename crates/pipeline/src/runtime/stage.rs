//! Stages: which gadgets share a thread, and the channels between them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::chain::Planned;
use crate::runtime::node::{GadgetNode, Node, deliver, finish};
use crate::runtime::parallel::ParallelNode;
use crate::runtime::{Canceller, Control, Fault, Run, Statistics, capacity};
use crate::{Chain, Kinds, Message, Scan};

/// Messages that may wait for a worker, and results of a worker that may wait for their turn.
const CHANNEL_WORKER: usize = 1;

/// Gadgets that share a thread, and the workers that its results go to.
struct Stage {
    /// Name of the first gadget, for the thread.
    name: String,
    /// What arrives at it.
    kinds: Kinds,
    nodes: Vec<Node>,
    /// One set of gadgets for each worker; empty where no `parallel_process` follows.
    workers: Vec<Vec<Node>>,
}

/// Makes the gadgets and starts the threads.
pub(crate) fn start(
    chain: &Chain,
    scan: &Scan,
    output: Sender<Message>,
    control: Control,
) -> Result<(Sender<Message>, Run), Vec<Fault>> {
    let mut builder = Builder { scan, statistics: Statistics::default(), faults: Vec::new() };
    let stages = builder.stages(chain);
    if !builder.faults.is_empty() {
        return Err(builder.faults);
    }
    let (input, receiver) = mpsc::channel(capacity(chain.input));
    let mut threads = Threads { session: scan.session, handles: Vec::new(), control };
    threads.start_all(stages, Inlet::One(receiver), output).map_err(|error| {
        let remedy = "the machine is out of threads: run fewer sessions at once";
        vec![Fault::error("runtime", format!("no thread could be started: {error}"), remedy)]
    })?;
    let run = Run {
        statistics: builder.statistics,
        canceller: Canceller(Arc::clone(&threads.control.is_cancelled)),
        threads: threads.handles,
    };
    Ok((input, run))
}

struct Builder<'s> {
    scan: &'s Scan,
    statistics: Statistics,
    faults: Vec<Fault>,
}

impl Builder<'_> {
    /// A new stage begins at each heavy gadget and after each `parallel_process`.
    fn stages(&mut self, chain: &Chain) -> Vec<Stage> {
        let new_stage = |kinds| Stage {
            name: "input".to_owned(),
            kinds,
            nodes: Vec::new(),
            workers: Vec::new(),
        };
        let mut stages = Vec::new();
        let mut stage = new_stage(chain.input);
        for step in chain.steps.iter() {
            if let Planned::ParallelProcess { workers, steps } = step {
                let n_workers = match *workers {
                    0 => thread::available_parallelism().map_or(1, usize::from),
                    n => n,
                };
                stage.workers = (0..n_workers).map(|_| self.nodes(steps)).collect();
                stages.push(std::mem::replace(&mut stage, new_stage(Kinds::ALL)));
                continue;
            }
            if let Planned::Gadget(gadget) = step {
                if gadget.heavy && !stage.nodes.is_empty() {
                    stages.push(std::mem::replace(&mut stage, new_stage(gadget.arriving)));
                }
                if stage.nodes.is_empty() {
                    stage.name.clone_from(&gadget.name);
                }
            }
            stage.nodes.extend(self.node(step));
        }
        stages.push(stage);
        stages
    }

    fn nodes(&mut self, steps: &[Planned]) -> Vec<Node> {
        steps.iter().filter_map(|step| self.node(step)).collect()
    }

    fn node(&mut self, step: &Planned) -> Option<Node> {
        match step {
            Planned::Gadget(planned) => match planned.configured.build(self.scan) {
                Ok(gadget) => {
                    let counters = Arc::default();
                    self.statistics.gadgets.push((planned.name.clone(), Arc::clone(&counters)));
                    Some(Node::Gadget(GadgetNode::new(planned, gadget, counters)))
                }
                Err(mut fault) => {
                    fault.gadget.clone_from(&planned.name);
                    self.faults.push(fault);
                    None
                }
            },
            Planned::Parallel { branch, merge, streams } => {
                let streams =
                    streams.iter().map(|(key, steps)| (key.clone(), self.nodes(steps))).collect();
                Some(Node::Parallel(ParallelNode::new(*branch, *merge, streams)))
            }
            // Inside streams the workers' steps run one after the other: the same result.
            Planned::ParallelProcess { steps, .. } => {
                let streams = vec![("all".to_owned(), self.nodes(steps))];
                let branch = crate::runtime::Branch::FanOut(Kinds::ALL);
                let merge = crate::runtime::Merge::Unordered;
                Some(Node::Parallel(ParallelNode::new(branch, merge, streams)))
            }
        }
    }
}

struct Threads {
    session: u64,
    handles: Vec<JoinHandle<()>>,
    control: Control,
}

impl Threads {
    fn start_all(
        &mut self,
        stages: Vec<Stage>,
        mut inlet: Inlet,
        output: Sender<Message>,
    ) -> std::io::Result<()> {
        // The kinds that arrive at the next stage decide how long its queue is.
        let mut next_kinds: Vec<_> = stages.iter().skip(1).map(|stage| Some(stage.kinds)).collect();
        next_kinds.push(None);
        for (stage, next_kinds) in stages.into_iter().zip(next_kinds) {
            let Stage { name, mut nodes, workers, .. } = stage;
            let control = self.control.for_stage();
            let (mut outlet, next) = if workers.is_empty() {
                match next_kinds {
                    Some(kinds) => {
                        let (sender, receiver) = mpsc::channel(capacity(kinds));
                        (Outlet::One(sender), Inlet::One(receiver))
                    }
                    None => {
                        // The last stage: nothing reads after it.
                        let mut outlet = Outlet::One(output);
                        return self.spawn(&name, move || {
                            run_stage(&mut nodes, inlet, &mut outlet, &control);
                        });
                    }
                }
            } else {
                self.start_workers(&name, workers)?
            };
            let own_inlet = std::mem::replace(&mut inlet, next);
            self.spawn(&name, move || run_stage(&mut nodes, own_inlet, &mut outlet, &control))?;
        }
        Ok(())
    }

    fn start_workers(
        &mut self,
        name: &str,
        workers: Vec<Vec<Node>>,
    ) -> std::io::Result<(Outlet, Inlet)> {
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for (number, mut nodes) in workers.into_iter().enumerate() {
            let (sender, mut messages) = mpsc::channel(CHANNEL_WORKER);
            let (results, receiver) = mpsc::channel(CHANNEL_WORKER);
            senders.push(sender);
            receivers.push(Some(receiver));
            let control = self.control.for_stage();
            self.spawn(&format!("{name}+{number}"), move || {
                while let Some(message) = messages.blocking_recv() {
                    let mut result = Vec::new();
                    deliver(&mut nodes, message, &control, &mut |message| result.push(message));
                    let is_over = control.is_cancelled() || control.is_broken_off();
                    if results.blocking_send(result).is_err() || is_over {
                        return;
                    }
                }
                let mut result = Vec::new();
                finish(&mut nodes, &control, &mut |message| result.push(message));
                // Closed only when the session is over.
                let _ = results.blocking_send(result);
            })?;
        }
        let inlet = Inlet::InTurn { receivers, next: 0, waiting: VecDeque::new() };
        Ok((Outlet::InTurn { senders, next: 0 }, inlet))
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let name = format!("s{} {name}", self.session);
        self.handles.push(thread::Builder::new().name(name).spawn(work)?);
        Ok(())
    }
}

/// A stage ends when its input does. One with a broken gadget ends at once: those after it still
/// finish what it gave, those before it find nobody who takes their results.
fn run_stage(nodes: &mut [Node], mut inlet: Inlet, outlet: &mut Outlet, control: &Control) {
    let mut is_closed = false;
    while !is_closed && !control.is_cancelled() && !control.is_broken_off() {
        let Some(message) = inlet.receive() else { break };
        deliver(nodes, message, control, &mut |result| is_closed |= !outlet.send(result));
    }
    // Whoever still sends must not wait for this stage.
    drop(inlet);
    if control.is_cancelled() || is_closed {
        return;
    }
    finish(nodes, control, &mut |result| {
        outlet.send(result);
    });
}

/// Where a stage's messages come from.
enum Inlet {
    One(Receiver<Message>),
    /// From workers, in the order in which the messages were shared out.
    InTurn {
        receivers: Vec<Option<Receiver<Vec<Message>>>>,
        next: usize,
        waiting: VecDeque<Message>,
    },
}

impl Inlet {
    fn receive(&mut self) -> Option<Message> {
        match self {
            Self::One(receiver) => receiver.blocking_recv(),
            Self::InTurn { receivers, next, waiting } => loop {
                if let Some(message) = waiting.pop_front() {
                    return Some(message);
                }
                if receivers.iter().all(Option::is_none) {
                    return None;
                }
                let slot = &mut receivers[*next];
                match slot.as_mut().map(Receiver::blocking_recv) {
                    Some(Some(results)) => waiting.extend(results),
                    Some(None) | None => *slot = None,
                }
                *next = (*next + 1) % receivers.len();
            },
        }
    }
}

/// Where a stage's results go.
enum Outlet {
    One(Sender<Message>),
    /// To workers, one after the other.
    InTurn {
        senders: Vec<Sender<Message>>,
        next: usize,
    },
}

impl Outlet {
    /// Waits for a place; `false` where nobody takes results any more.
    fn send(&mut self, message: Message) -> bool {
        match self {
            Self::One(sender) => sender.blocking_send(message).is_ok(),
            Self::InTurn { senders, next } => {
                let sender = &senders[*next];
                *next = (*next + 1) % senders.len();
                sender.blocking_send(message).is_ok()
            }
        }
    }
}
