//! One gadget at work inside a stage: its calls are timed, its errors and panics become faults.

use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::message::Place;
use crate::runtime::parallel::ParallelNode;
use crate::runtime::statistics::Counters;
use crate::runtime::{Control, Fault, Severity};
use crate::{Accept, Gadget, Kinds, Message, Remedy, Sink};

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
    gadget: Box<dyn ErasedGadget>,
    counters: Arc<Counters>,
    /// After a panic its state may be anything: it gets no more messages.
    is_broken: bool,
    reported: HashSet<String>,
    /// How many were not reported, and how bad the worst of them is.
    n_unreported: u64,
    worst_unreported: Severity,
}

impl GadgetNode {
    pub fn new(
        name: String,
        input: Kinds,
        gadget: Box<dyn ErasedGadget>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            name,
            input,
            gadget,
            counters,
            is_broken: false,
            reported: HashSet::new(),
            n_unreported: 0,
            worst_unreported: Severity::Info,
        }
    }

    fn process(&mut self, message: Message, control: &Control, forward: &mut dyn FnMut(Message)) {
        let place = message.place();
        self.call(1, place, control, forward, |gadget, forward, report| {
            gadget.process(message, forward, report)
        });
    }

    fn finish(&mut self, control: &Control, forward: &mut dyn FnMut(Message)) {
        self.call(0, None, control, forward, |gadget, forward, report| {
            gadget.finish(forward, report)
        });
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

    fn call(
        &mut self,
        messages_in: u64,
        place: Option<Place>,
        control: &Control,
        forward: &mut dyn FnMut(Message),
        call: impl FnOnce(
            &mut dyn ErasedGadget,
            &mut dyn FnMut(Message),
            &mut Report,
        ) -> Result<(), (String, String)>,
    ) {
        if self.is_broken {
            return;
        }
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
        match result {
            Ok(Ok(())) => {}
            Ok(Err((what, remedy))) => {
                self.report(Severity::Error, place, what, remedy, control);
            }
            Err(panic) => {
                self.is_broken = true;
                let what = format!("panicked: {}", panic_text(panic.as_ref()));
                let remedy = "this is a bug of the gadget: the scan ends here; report it with the recorded data";
                self.report(Severity::Error, place, what, remedy.to_owned(), control);
                control.break_off();
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
