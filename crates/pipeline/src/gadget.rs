//! What a gadget is.

use std::marker::PhantomData;

use ismrmrd::DataType;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Accept, Give, Message, Scan, Severity};

/// One step of a chain.
///
/// A gadget sees its input, its typed configuration and the scan; never a socket, a journal or
/// another gadget. Messages of other kinds than [`Gadget::Input`] pass it by, in order.
pub trait Gadget: Sized + Send + 'static {
    /// Its name in chain files.
    const NAME: &str;

    /// Other names it answers to: Gadgetron's class names.
    const ALIASES: &'static [&'static str] = &[];

    /// Whether one call takes so long (a transform of a whole buffer, a fit) that the gadgets
    /// before it should go on meanwhile: it starts a stage on a thread of its own.
    const HEAVY: bool = false;

    /// Whether each result is of the kind of the message that it was made of: for gadgets that
    /// take and give several kinds. The check of a chain then knows that no other kind appears.
    const KEEPS_KIND: bool = false;

    /// Pixel type of the images that it makes. What a chain promises its client this way is kept
    /// for images that had to leave the gadget out, too.
    const PIXELS: Option<DataType> = None;

    /// Its properties. The doc comments become the schema and the README's table.
    type Config: DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static;

    /// What it takes.
    type Input: Accept;

    /// What it gives.
    type Output: Give;

    /// What can go wrong.
    type Error: Remedy;

    /// A gadget for one scan.
    ///
    /// # Errors
    /// What its header lacks for this gadget.
    fn new(config: Self::Config, scan: &Scan) -> Result<Self, Self::Error>;

    /// Works on one message.
    ///
    /// # Errors
    /// The chain goes on with the next message, and the client is told. Where the gadget makes
    /// images or maps out of images, the message goes on without it, marked as unprocessed
    /// ([`crate::unprocessed`]); elsewhere it is lost.
    fn process(&mut self, input: Self::Input, out: &mut Sink<Self>) -> Result<(), Self::Error>;

    /// Gives what is held back at the end of the scan.
    ///
    /// # Errors
    /// As for [`Gadget::process`].
    fn finish(&mut self, _out: &mut Sink<Self>) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// An error that knows what the person at the scanner can do about it.
pub trait Remedy: std::error::Error + Send + Sync + 'static {
    /// What to do, in the imperative, lower case, no full stop.
    fn remedy(&self) -> &str;
}

/// For gadgets that cannot fail.
impl Remedy for std::convert::Infallible {
    fn remedy(&self) -> &str {
        match *self {}
    }
}

/// Where a gadget puts its results.
pub struct Sink<'a, G: Gadget> {
    forward: &'a mut dyn FnMut(Message),
    report: &'a mut dyn FnMut(Severity, String, String),
    gadget: PhantomData<fn() -> Box<G>>,
}

impl<'a, G: Gadget> Sink<'a, G> {
    /// A sink that hands results to `forward`, and what is to be known (what, what to do) to
    /// `report`. The runtime makes them, and tests.
    pub fn new(
        forward: &'a mut dyn FnMut(Message),
        report: &'a mut dyn FnMut(Severity, String, String),
    ) -> Self {
        Self { forward, report, gadget: PhantomData }
    }

    /// Sends a result to the next gadget.
    pub fn push(&mut self, output: impl Into<G::Output>) {
        (self.forward)(output.into().into());
    }

    /// Tells the client, log and viewer of something that did not stop the gadget: what
    /// happened, and what to do.
    pub fn warn(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        (self.report)(Severity::Warning, what.into(), remedy.into());
    }

    /// Tells of something that is good to know and needs nothing to be done.
    pub fn inform(&mut self, what: impl Into<String>) {
        (self.report)(Severity::Info, what.into(), String::new());
    }
}

/// Runs one gadget on its own over `inputs` and gives everything that it pushed, with what it
/// reported: for unit tests and for programs that need one step only.
///
/// # Errors
/// The first error of the gadget.
pub fn run_gadget<G: Gadget>(
    config: G::Config,
    scan: &Scan,
    inputs: impl IntoIterator<Item = G::Input>,
) -> Result<(Vec<Message>, Vec<String>), G::Error> {
    let mut gadget = G::new(config, scan)?;
    let mut outputs = Vec::new();
    let mut reports = Vec::new();
    let mut forward = |message| outputs.push(message);
    let mut report = |_severity, what, _remedy| reports.push(what);
    let mut sink = Sink::new(&mut forward, &mut report);
    for input in inputs {
        gadget.process(input, &mut sink)?;
    }
    gadget.finish(&mut sink)?;
    Ok((outputs, reports))
}
