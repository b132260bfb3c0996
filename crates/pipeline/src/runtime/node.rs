//! One gadget at work inside a stage: its calls are timed, its errors and panics become faults.

use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::chain::PlannedGadget;
use crate::message::Place;
use crate::runtime::kept::Kept;
use crate::runtime::parallel::ParallelNode;
use crate::runtime::statistics::Counters;
use crate::runtime::{Control, Fault, Severity};
use crate::{Accept, Gadget, Kinds, Message, Remedy, Sink, unprocessed};

/// Different errors of one gadget that are reported one by one; the others are only counted.
const MAX_REPORTED: usize = 20;

/// Takes what a gadget has to say: how bad it is, what, and what to do.
type Report<'a> = dyn FnMut(Severity, String, String) + 'a;

/// A gadget whose types are hidden.
pub(crate) trait ErasedGadget: Send {
    fn process(
        &mut self,
        message: Message,
        forward: &mut dyn FnMut(Message),
        report: &mut Report,
    ) -> Result<(), (String, String)>;

    fn finish(
        &mut self,
        forward: &mut dyn FnMut(Message),
        report: &mut Report,
    ) -> Result<(), (String, String)>;
}

pub(crate) struct TypedGadget<G>(pub G);

impl<G: Gadget> ErasedGadget for TypedGadget<G> {
    fn process(
        &mut self,
        message: Message,
        forward: &mut dyn FnMut(Message),
        report: &mut Report,
    ) -> Result<(), (String, String)> {
        match G::Input::accept(message) {
            Ok(input) => self
                .0
                .process(input, &mut Sink::new(forward, report))
                .map_err(|error| (error.to_string(), error.remedy().to_owned())),
            Err(other) => {
                forward(other);
                Ok(())
            }
        }
    }

    fn finish(
        &mut self,
        forward: &mut dyn FnMut(Message),
        report: &mut Report,
    ) -> Result<(), (String, String)> {
        self.0
            .finish(&mut Sink::new(forward, report))
            .map_err(|error| (error.to_string(), error.remedy().to_owned()))
    }
}

/// One step inside a stage.
pub(crate) enum Node {
    Gadget(GadgetNode),
    Parallel(ParallelNode),
}

/// Hands a message to the first node, its results to the second, and so on, and what comes out
/// at the end to `out`. No queue lies between.
pub(crate) fn deliver(
    nodes: &mut [Node],
    message: Message,
    control: &Control,
    out: &mut dyn FnMut(Message),
) {
    match nodes.split_first_mut() {
        None => out(message),
        Some((Node::Gadget(node), rest)) => {
            if message.kind().intersects(node.input) {
                node.process(message, control, &mut |result| deliver(rest, result, control, out));
            } else {
                deliver(rest, message, control, out);
            }
        }
        Some((Node::Parallel(node), rest)) => {
            node.process(message, control, &mut |result| deliver(rest, result, control, out));
        }
    }
}

/// Lets all nodes give what they hold back, the first one first.
pub(crate) fn finish(nodes: &mut [Node], control: &Control, out: &mut dyn FnMut(Message)) {
    for first in 0..nodes.len() {
        let Some((node, rest)) = nodes[first..].split_first_mut() else { return };
        let forward = &mut |result| deliver(rest, result, control, out);
        match node {
            Node::Gadget(node) => node.finish(control, forward),
            Node::Parallel(node) => node.finish(control, forward),
        }
    }
}

pub(crate) struct GadgetNode {
    name: String,
    input: Kinds,
    /// Kinds that go on without the gadget when it fails on them.
    passing: Kinds,
    keeps_kind: bool,
    gadget: Box<dyn ErasedGadget>,
    counters: Arc<Counters>,
    state: State,
    /// Images that it was given and has not answered with anything yet.
    kept: Kept,
    reported: HashSet<String>,
    /// How many were not reported, and how bad the worst of them is.
    n_unreported: u64,
    worst_unreported: Severity,
}

/// What became of a gadget.
enum State {
    Sound,
    /// It panicked on an image: images go on without it, for this reason.
    Bypassed(String),
    /// It panicked on something that the rest of the chain cannot do without.
    Dead,
}

/// How a call ended, and how many messages the gadget gave in it.
enum Ended {
    Well(u64),
    /// With this error.
    Failed(String, u64),
    /// With a panic for this reason.
    Panicked(String),
}

impl GadgetNode {
    pub fn new(
        planned: &PlannedGadget,
        gadget: Box<dyn ErasedGadget>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            name: planned.name.clone(),
            input: planned.input,
            passing: planned.passing,
            keeps_kind: planned.keeps_kind,
            gadget,
            counters,
            state: State::Sound,
            kept: Kept::default(),
            reported: HashSet::new(),
            n_unreported: 0,
            worst_unreported: Severity::Info,
        }
    }

    fn process(&mut self, message: Message, control: &Control, forward: &mut dyn FnMut(Message)) {
        let passes = message.kind().intersects(self.passing);
        match &self.state {
            State::Sound => {}
            State::Bypassed(reason) if passes => {
                return forward(unprocessed::marked(message, &self.name, reason));
            }
            State::Bypassed(_) if self.keeps_kind => return forward(message),
            State::Bypassed(_) | State::Dead => {
                self.state = State::Dead;
                return control.break_off();
            }
        }
        if passes {
            self.kept.keep(&message);
        }
        let place = message.place();
        let ended = self.call(1, place, passes, control, forward, |gadget, forward, report| {
            gadget.process(message, forward, report)
        });
        match ended {
            Ended::Well(0) => {}
            Ended::Well(_) => self.kept.release(),
            Ended::Failed(reason, 0) if passes => {
                if let Some(message) = self.kept.take_last() {
                    forward(unprocessed::marked(message, &self.name, &reason));
                }
            }
            // What it gave before it failed stands for the message.
            Ended::Failed(..) => self.kept.release(),
            Ended::Panicked(reason) if passes => {
                self.pass_on_all(&reason, forward);
                self.state = State::Bypassed(reason);
            }
            Ended::Panicked(_) => {
                self.state = State::Dead;
                control.break_off();
            }
        }
    }

    fn finish(&mut self, control: &Control, forward: &mut dyn FnMut(Message)) {
        if matches!(self.state, State::Sound) {
            let holds = !self.kept.is_empty();
            let ended = self.call(0, None, holds, control, forward, |gadget, forward, report| {
                gadget.finish(forward, report)
            });
            match ended {
                Ended::Well(_) => {}
                Ended::Failed(reason, _) => self.pass_on_all(&reason, forward),
                Ended::Panicked(reason) => {
                    self.pass_on_all(&reason, forward);
                    self.state = State::Dead;
                }
            }
        }
        if self.n_unreported > 0 {
            let what = format!("{} more faults like those reported", self.n_unreported);
            control.report(self.fault(
                self.worst_unreported,
                None,
                what,
                "see the first ones".to_owned(),
            ));
        }
    }

    /// Sends on, past the gadget, what it was given and has not answered.
    fn pass_on_all(&mut self, reason: &str, forward: &mut dyn FnMut(Message)) {
        for message in self.kept.take_all() {
            forward(unprocessed::marked(message, &self.name, reason));
        }
    }

    /// Calls the gadget. `passes`: whether what it was given goes on without it if it fails.
    fn call(
        &mut self,
        messages_in: u64,
        place: Option<Place>,
        passes: bool,
        control: &Control,
        forward: &mut dyn FnMut(Message),
        call: impl FnOnce(
            &mut dyn ErasedGadget,
            &mut dyn FnMut(Message),
            &mut Report,
        ) -> Result<(), (String, String)>,
    ) -> Ended {
        let mut messages_out = 0;
        let mut after = Duration::ZERO;
        let mut reports = Vec::new();
        let start = Instant::now();
        let result = {
            let mut forward = |message| {
                messages_out += 1;
                let start = Instant::now();
                forward(message);
                after += start.elapsed();
            };
            let mut report = |severity, what, remedy| reports.push((severity, what, remedy));
            let gadget = self.gadget.as_mut();
            catch_unwind(AssertUnwindSafe(|| call(gadget, &mut forward, &mut report)))
        };
        self.counters.add(messages_in, messages_out, start.elapsed().saturating_sub(after));
        for (severity, what, remedy) in reports {
            self.report(severity, place, what, remedy, control);
        }
        let goes_on =
            if passes { "; the images go on without it, marked as unprocessed" } else { "" };
        match result {
            Ok(Ok(())) => Ended::Well(messages_out),
            Ok(Err((what, remedy))) => {
                let text = format!("{what}{goes_on}");
                self.report(Severity::Error, place, text, remedy, control);
                Ended::Failed(what, messages_out)
            }
            Err(panic) => {
                let what = format!("panicked: {}", panic_text(panic.as_ref()));
                let remedy = if passes {
                    "this is a bug of the gadget: report it with the recorded data"
                } else {
                    "this is a bug of the gadget: the scan ends here; report it with the recorded data"
                };
                let text = format!("{what}{goes_on}");
                self.report(Severity::Error, place, text, remedy.to_owned(), control);
                Ended::Panicked(what)
            }
        }
    }

    fn report(
        &mut self,
        severity: Severity,
        place: Option<Place>,
        what: String,
        remedy: String,
        control: &Control,
    ) {
        if severity != Severity::Info {
            self.counters.add_fault();
        }
        if self.reported.len() >= MAX_REPORTED || !self.reported.insert(what.clone()) {
            if severity != Severity::Info {
                self.n_unreported += 1;
            }
            self.worst_unreported = self.worst_unreported.max(severity);
            return;
        }
        control.report(self.fault(severity, place, what, remedy));
    }

    fn fault(
        &self,
        severity: Severity,
        place: Option<Place>,
        what: String,
        remedy: String,
    ) -> Fault {
        Fault { severity, gadget: self.name.clone(), place, what, remedy }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".to_owned())
}
