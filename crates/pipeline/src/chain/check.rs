//! The check of a whole chain when it is loaded, before any data.

use std::fmt;
use std::sync::Arc;

use ismrmrd::DataType;

use crate::Kinds;
use crate::chain::file::{ChainFile, GadgetStep, Step};
use crate::chain::{ChainError, ChainFault, absent};
use crate::properties::Property;
use crate::registry::{Configured, GadgetEntry, Registry, nearest};
use crate::runtime::{Branch, Merge};

/// A chain whose gadgets exist, whose properties fit, and whose order makes sense: ready to run
/// any number of scans.
#[derive(Clone)]
pub struct Chain {
    /// File name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Kinds that it is fed with.
    pub input: Kinds,
    /// Kinds that go to the client.
    pub output: Kinds,
    /// Pixel type that its images have at the end, where the chain converts them.
    pub pixels: Option<DataType>,
    pub(crate) steps: Arc<[Planned]>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("name", &self.name).field("steps", &self.steps.len()).finish()
    }
}

/// One checked step.
#[derive(Clone)]
pub(crate) enum Planned {
    Gadget(PlannedGadget),
    Parallel { branch: Branch, merge: Merge, streams: Vec<(String, Vec<Planned>)> },
    ParallelProcess { workers: usize, steps: Vec<Planned> },
}

#[derive(Clone)]
pub(crate) struct PlannedGadget {
    /// Its name in this chain.
    pub name: String,
    pub input: Kinds,
    /// Kinds that go on without it when it fails on them.
    pub passing: Kinds,
    pub keeps_kind: bool,
    pub heavy: bool,
    /// What can arrive at it, also what passes it by.
    pub arriving: Kinds,
    pub configured: Arc<dyn Configured>,
}

impl Chain {
    /// Looks up every gadget, reads every property and checks that each gadget can get what it
    /// takes.
    ///
    /// # Errors
    /// All faults at once, each with its line.
    pub fn check(file: &ChainFile, registry: &Registry) -> Result<Self, ChainError> {
        let mut check =
            Check { registry, faults: Vec::new(), n_gadgets: 0, n_in_line: 0, n_workers: 0 };
        let input = file.input.unwrap_or_else(|| check.default_input(&file.steps));
        let mut flow = Flow { kinds: input, pixels: None, last: None };
        let steps = check.steps(&file.steps, &mut flow);
        let output = file.output.unwrap_or(Kinds::IMAGE);
        check.size();
        check.output(&flow, output);
        if check.faults.is_empty() {
            Ok(Self {
                name: file.name.clone(),
                description: file.description.clone(),
                input,
                output,
                pixels: flow.pixels,
                steps: steps.into(),
            })
        } else {
            Err(ChainError { chain: file.name.clone(), faults: check.faults })
        }
    }

    /// Names of the gadgets in order, nested ones too.
    pub fn gadget_names(&self) -> Vec<&str> {
        fn collect<'a>(steps: &'a [Planned], names: &mut Vec<&'a str>) {
            for step in steps {
                match step {
                    Planned::Gadget(gadget) => names.push(&gadget.name),
                    Planned::Parallel { streams, .. } => {
                        streams.iter().for_each(|(_, steps)| collect(steps, names));
                    }
                    Planned::ParallelProcess { steps, .. } => collect(steps, names),
                }
            }
        }
        let mut names = Vec::new();
        collect(&self.steps, &mut names);
        names
    }
}

/// Gadgets of one chain, those of every worker counted.
const MAX_GADGETS: usize = 2048;
/// Gadgets as they stand in the file: each that shares a stage takes some of its stack.
const MAX_IN_LINE: usize = 256;
/// Threads of one chain: heavy gadgets and workers.
const MAX_WORKERS: usize = 512;

struct Check<'r> {
    registry: &'r Registry,
    faults: Vec<ChainFault>,
    n_gadgets: usize,
    n_in_line: usize,
    n_workers: usize,
}

/// What can arrive at a place of the chain, and from whom.
#[derive(Clone)]
struct Flow {
    kinds: Kinds,
    /// Pixel type of the images, where a gadget has settled it.
    pixels: Option<DataType>,
    last: Option<(String, usize, Kinds)>,
}

impl Check<'_> {
    /// Readouts and waveforms, or images for a chain that begins with them.
    fn default_input(&self, steps: &[Step]) -> Kinds {
        let first = steps.iter().find_map(|step| match step {
            Step::Gadget(step) => {
                let first = self.registry.chain(&step.gadget).and_then(|gadgets| gadgets.first());
                self.registry.get(first.copied().unwrap_or(&step.gadget))
            }
            _ => None,
        });
        match first {
            Some(entry) if !entry.input.intersects(Kinds::ACQUISITION) => entry.input,
            _ => Kinds::ACQUISITION.union(Kinds::WAVEFORM),
        }
    }

    /// A chain from a client must not exhaust the server.
    fn size(&mut self) {
        let limits = [
            (self.n_gadgets, MAX_GADGETS, "gadgets"),
            (self.n_in_line, MAX_IN_LINE, "gadgets one behind the other"),
            (self.n_workers, MAX_WORKERS, "workers and heavy gadgets"),
        ];
        for (n, limit, what) in limits {
            if n > limit {
                let text = format!("the chain has {n} {what}, {limit} are the limit");
                self.faults.push(ChainFault::new(None, text, "make it shorter"));
            }
        }
    }

    /// What the chain makes must not vanish at its end. Readouts and waveforms may.
    fn output(&mut self, flow: &Flow, output: Kinds) {
        let made = flow.kinds.without(Kinds::ACQUISITION.union(Kinds::WAVEFORM));
        // A map goes as images.
        let images = Kinds::IMAGE.union(Kinds::PARAMETRIC_MAP);
        let sent = if output.intersects(Kinds::IMAGE) { output.union(images) } else { output };
        if made.is_empty() || made.intersects(sent) || !self.faults.is_empty() {
            return;
        }
        let line = flow.last.as_ref().map(|(_, line, _)| *line);
        self.faults.push(ChainFault::new(
            line,
            format!("the chain gives {made} at its end and sends only {output} to the client"),
            "add the gadgets that make images of it (`split_series`, …), or name it in `output`",
        ));
    }

    fn steps(&mut self, steps: &[Step], flow: &mut Flow) -> Vec<Planned> {
        let mut planned = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Step::Gadget(gadget) if let Some(parts) = self.parts_of(gadget) => {
                    let parts = parts.iter().filter_map(|part| self.gadget(part, flow));
                    planned.extend(parts.map(Planned::Gadget));
                }
                step => planned.extend(self.step(step, flow)),
            }
        }
        planned
    }

    /// The steps that a name for several gadgets stands for.
    fn parts_of(&self, step: &GadgetStep) -> Option<Vec<GadgetStep>> {
        let gadgets = self.registry.chain(&step.gadget)?;
        let has = |gadget: &str, property: &Property| {
            self.registry.canonical_property(gadget, property).is_some()
        };
        let parts = gadgets.iter().enumerate().map(|(place, gadget)| {
            let properties = step.properties.iter().filter(|property| {
                // What none of them has, the first one complains of.
                let nobody = place == 0 && !gadgets.iter().any(|gadget| has(gadget, property));
                has(gadget, property) || nobody
            });
            GadgetStep {
                line: step.line,
                gadget: (*gadget).to_owned(),
                name: None,
                properties: properties.cloned().collect(),
            }
        });
        Some(parts.collect())
    }

    fn step(&mut self, step: &Step, flow: &mut Flow) -> Option<Planned> {
        match step {
            Step::Gadget(gadget) => self.gadget(gadget, flow).map(Planned::Gadget),
            Step::Parallel(parallel) => {
                let branch = Branch::from_name(&parallel.branch);
                let merge = Merge::from_name(&parallel.merge);
                if branch.is_none() {
                    self.unknown_part(parallel.line, "branch", &parallel.branch, Branch::NAMES);
                }
                if merge.is_none() {
                    self.unknown_part(parallel.line, "merge", &parallel.merge, Merge::NAMES);
                }
                if parallel.streams.is_empty() {
                    self.faults.push(ChainFault::new(
                        parallel.line,
                        "`parallel` without streams",
                        "give it at least one stream with a key",
                    ));
                }
                let mut after = Flow { kinds: Kinds::NONE, pixels: None, last: flow.last.clone() };
                let mut streams = Vec::new();
                let mut pixels = Vec::new();
                for (key, steps) in &parallel.streams {
                    let mut inner = flow.clone();
                    streams.push((key.clone(), self.steps(steps, &mut inner)));
                    after.kinds = after.kinds.union(inner.kinds);
                    pixels.push(inner.pixels);
                }
                // Streams that differ promise nothing.
                after.pixels = pixels.first().copied().flatten();
                if pixels.iter().any(|of_stream| *of_stream != after.pixels) {
                    after.pixels = None;
                }
                *flow = after;
                Some(Planned::Parallel { branch: branch?, merge: merge?, streams })
            }
            Step::ParallelProcess(process) => {
                if process.workers > 256 {
                    self.faults.push(ChainFault::new(
                        process.line,
                        format!("{} workers are too many", process.workers),
                        "take at most 256, or 0 for as many as the machine has processors",
                    ));
                }
                let n_before = self.n_gadgets;
                let steps = self.steps(&process.steps, flow);
                // Each worker has gadgets of its own.
                let n_each = self.n_gadgets - n_before;
                self.n_gadgets = n_before + n_each * process.workers.max(1);
                self.n_workers += process.workers.max(1);
                Some(Planned::ParallelProcess { workers: process.workers, steps })
            }
        }
    }

    fn gadget(&mut self, step: &GadgetStep, flow: &mut Flow) -> Option<PlannedGadget> {
        let Some(entry) = self.registry.get(&step.gadget) else {
            if let Some((what, remedy)) = absent::reason(&step.gadget) {
                let what = format!("`{}`: {what}", step.gadget);
                self.faults.push(ChainFault::new(step.line, what, remedy));
            } else if !step.gadget.is_empty() {
                let remedy = match self.registry.nearest(&step.gadget) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`boreside chains list --gadgets` names all of them".to_owned(),
                };
                self.faults.push(ChainFault::new(
                    step.line,
                    format!("there is no gadget `{}`", step.gadget),
                    remedy,
                ));
            }
            // Whatever it is, it may give anything: no further faults because of it.
            flow.kinds = Kinds::ALL;
            return None;
        };
        self.n_gadgets += 1;
        self.n_in_line += 1;
        self.n_workers += usize::from(entry.heavy);
        let arriving = flow.kinds;
        if !entry.input.intersects(flow.kinds) {
            let (source, gives) = match &flow.last {
                Some((name, line, kinds)) => (format!("`{name}` (line {line})"), *kinds),
                None => ("the chain's input".to_owned(), flow.kinds),
            };
            self.faults.push(ChainFault::new(
                step.line,
                format!("`{}` takes {}, {source} gives {gives}", entry.name, entry.input),
                "put a gadget that makes the one from the other between them, or change the order",
            ));
        }
        if entry.output.intersects(Kinds::IMAGE) && !entry.keeps_kind {
            let keeps_pixels = entry.input.intersects(Kinds::IMAGE);
            flow.pixels = entry.pixels.or(flow.pixels.filter(|_| keeps_pixels));
        }
        if !entry.keeps_kind {
            flow.kinds = flow.kinds.without(entry.input).union(entry.output);
            flow.last = Some((entry.name.to_owned(), step.line, entry.output));
        }
        let read = entry.read(&step.properties);
        let wrong = read.as_ref().err().and_then(|error| error.index);
        for (index, what) in entry.out_of_range(&step.properties) {
            if Some(index) != wrong {
                self.wrong_property(step, entry, step.properties.get(index), &what);
            }
        }
        match read {
            Ok(configured) => Some(PlannedGadget {
                name: step.name.clone().unwrap_or_else(|| entry.name.to_owned()),
                input: entry.input,
                passing: passing_on_fault(entry),
                keeps_kind: entry.keeps_kind,
                heavy: entry.heavy,
                arriving,
                configured,
            }),
            Err(error) => {
                let property = error.index.and_then(|index| step.properties.get(index));
                self.wrong_property(step, entry, property, &error.what);
                None
            }
        }
    }

    /// One that came as a parameter stands in no line of the file.
    fn wrong_property(
        &mut self,
        step: &GadgetStep,
        entry: &GadgetEntry,
        property: Option<&Property>,
        what: &str,
    ) {
        let lists = format!("`boreside chains schema {}` lists its properties", entry.name);
        let is_parameter = property.is_some_and(|property| property.line == 0);
        let kind = if is_parameter { "parameter" } else { "property" };
        let text = match property {
            Some(property) if !what.contains("unknown field") => {
                format!("`{}`: {kind} `{}`: {what}", entry.name, property.name)
            }
            _ => format!("`{}`: {}", entry.name, what.replace("field", "property")),
        };
        self.faults.push(match property {
            Some(property) if is_parameter => {
                let remedy = format!(
                    "give `{}` another value where it was set (`-p`, or the scanner's interface); {lists}",
                    property.name
                );
                ChainFault::new(None, text, remedy)
            }
            Some(property) => ChainFault::new(property.line, text, lists),
            None => ChainFault::new(step.line, text, lists),
        });
    }

    fn unknown_part(&mut self, line: usize, part: &str, name: &str, known: &[(&str, &str)]) {
        let names = known.iter().flat_map(|(ours, theirs)| [*ours, *theirs]);
        let remedy = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("take one of {}", names.collect::<Vec<_>>().join(", ")),
        };
        self.faults.push(ChainFault::new(line, format!("there is no {part} `{name}`"), remedy));
    }
}

/// Kinds of message that pass a gadget by when it fails on them: images, where it makes images
/// or maps of them. Anything else would not be understood by the gadgets behind it.
fn passing_on_fault(entry: &GadgetEntry) -> Kinds {
    let shown = Kinds::IMAGE.union(Kinds::IMAGE_SERIES).union(Kinds::PARAMETRIC_MAP);
    if entry.keeps_kind || entry.output.intersects(shown) {
        entry.input.intersection(shown)
    } else {
        Kinds::NONE
    }
}
