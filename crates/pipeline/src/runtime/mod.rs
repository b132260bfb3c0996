//! Carries a scan through a chain: stages on threads of their own, bounded channels between
//! them, gadgets inside a stage called one from the other.

mod fault;
mod kept;
mod node;
mod parallel;
mod stage;
mod statistics;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

pub use fault::{Fault, Severity};
pub(crate) use node::{ErasedGadget, TypedGadget};
pub(crate) use parallel::{Branch, Merge};
pub use statistics::{CALL_BOUNDS_S, GadgetStatistics, Statistics};

use crate::{Chain, Kinds, Message, Scan};

/// Readouts and waveforms that may wait in front of a stage.
const CHANNEL_READOUTS: usize = 64;
/// Buckets, buffers and image series, which are large, that may wait in front of a stage.
const CHANNEL_LARGE: usize = 2;

/// What the gadgets of a stage share.
#[derive(Debug)]
pub(crate) struct Control {
    faults: mpsc::UnboundedSender<Fault>,
    /// Of the whole run.
    is_cancelled: Arc<AtomicBool>,
    /// Of this stage.
    is_broken_off: AtomicBool,
}

impl Control {
    pub fn report(&self, fault: Fault) {
        // Nobody listens any more: the session is over.
        let _ = self.faults.send(fault);
    }

    /// The same run, another stage.
    pub fn for_stage(&self) -> Self {
        Self {
            faults: self.faults.clone(),
            is_cancelled: Arc::clone(&self.is_cancelled),
            is_broken_off: AtomicBool::new(false),
        }
    }

    /// The stage takes no more input; what its gadgets hold is still given.
    pub fn break_off(&self) {
        self.is_broken_off.store(true, Ordering::Relaxed);
    }

    pub fn is_broken_off(&self) -> bool {
        self.is_broken_off.load(Ordering::Relaxed)
    }

    /// Nothing is wanted any more.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

/// A chain at work on one scan.
#[derive(Debug)]
pub struct Run {
    /// Figures of the gadgets, also while they work.
    pub statistics: Statistics,
    /// Stops the run from anywhere.
    pub canceller: Canceller,
    threads: Vec<JoinHandle<()>>,
}

/// Stops a run: gadgets finish the message that they have in hand, and nothing more.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<AtomicBool>);

impl Canceller {
    /// Stops the run.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Run {
    /// Waits until all threads have ended: the input must be dropped before, and results be taken
    /// out of the output channel meanwhile, or that be dropped too.
    pub fn join(self) {
        for thread in self.threads {
            // A panic outside a gadget has been printed by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl Chain {
    /// Makes the chain's gadgets for a scan and starts its stages. Gives the channel that takes
    /// the scan's messages, whose sender waits where it is full; dropping it ends the scan.
    ///
    /// * `output`: gets the results in order; it is closed when the chain is done.
    /// * `faults`: gets warnings and errors at once.
    ///
    /// # Errors
    /// All gadgets that cannot work on this scan, with their reasons.
    pub fn start(
        &self,
        scan: &Scan,
        output: mpsc::Sender<Message>,
        faults: mpsc::UnboundedSender<Fault>,
    ) -> Result<(mpsc::Sender<Message>, Run), Vec<Fault>> {
        let control =
            Control { faults, is_cancelled: Arc::default(), is_broken_off: AtomicBool::new(false) };
        stage::start(self, scan, output, control)
    }
}

/// How many messages may wait in front of a stage that is fed with these kinds.
fn capacity(kinds: Kinds) -> usize {
    let large = kinds.without(Kinds::ACQUISITION.union(Kinds::WAVEFORM));
    if large.is_empty() { CHANNEL_READOUTS } else { CHANNEL_LARGE }
}
