//! Runs a chain in this process.

use anyhow::{Result, anyhow};
use ismrmrd::wire;
use pipeline::{Chain, Fault, Message, Scan, ScannerContract, Severity, Statistics};
use tokio::sync::mpsc;

/// Results that may wait to be taken.
const WAITING_RESULTS: usize = 8;

/// How a run went.
pub struct Finished {
    /// Errors that the gadgets reported.
    pub n_errors: usize,
    /// What each gadget did.
    pub statistics: Statistics,
}

/// Feeds `messages` to the chain and hands its outputs to `on_result` as they come, as scanners
/// understand them. Faults go to the log.
///
/// # Errors
/// A gadget that cannot work on the scan, a source that fails, or `on_result`'s error.
pub fn run(
    chain: &Chain,
    scan: &Scan,
    messages: impl Iterator<Item = Result<wire::Message>> + Send,
    mut on_result: impl FnMut(wire::Message) -> Result<()>,
) -> Result<Finished> {
    let mut contract = ScannerContract::new(chain, scan.header.as_ref());
    run_messages(chain, scan, messages, |result, report| match contract.deliver(result, report) {
        Some(messages) => messages.into_iter().try_for_each(&mut on_result),
        None => Ok(()),
    })
}

/// Likewise, with the outputs as the gadgets gave them, and where to report faults of them.
///
/// # Errors
/// Those of [`run`].
pub fn run_messages(
    chain: &Chain,
    scan: &Scan,
    messages: impl Iterator<Item = Result<wire::Message>> + Send,
    mut on_result: impl FnMut(Message, &mut dyn FnMut(Fault)) -> Result<()>,
) -> Result<Finished> {
    let (output, mut results) = mpsc::channel(WAITING_RESULTS);
    let (faults, mut reported) = mpsc::unbounded_channel();
    let (input, run) = chain.start(scan, output, faults).map_err(|faults| {
        let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
        anyhow!("chain {}: {}", chain.name, texts.join("\n"))
    })?;
    let canceller = run.canceller.clone();
    let statistics = run.statistics.clone();
    let mut n_errors = 0;
    let mut report = |fault: Fault| match fault.severity {
        Severity::Info => tracing::info!("{fault}"),
        Severity::Warning => tracing::warn!("{fault}"),
        Severity::Error => {
            n_errors += 1;
            tracing::error!("{fault}");
        }
    };
    let mut taken = Ok(());
    let fed = std::thread::scope(|scope| {
        let feeder = scope.spawn(move || feed(messages, &input));
        while let Some(result) = results.blocking_recv() {
            while let Ok(fault) = reported.try_recv() {
                report(fault);
            }
            taken = on_result(result, &mut report);
            if taken.is_err() {
                canceller.cancel();
                break;
            }
        }
        drop(results);
        feeder.join().unwrap_or_else(|_| Err(anyhow!("the source of the data panicked")))
    });
    run.join();
    while let Ok(fault) = reported.try_recv() {
        report(fault);
    }
    taken?;
    fed?;
    Ok(Finished { n_errors, statistics })
}

fn feed(
    messages: impl Iterator<Item = Result<wire::Message>>,
    input: &mpsc::Sender<Message>,
) -> Result<()> {
    for message in messages {
        match Message::from_wire(message?) {
            Ok(messages) => {
                for message in messages {
                    if input.blocking_send(message).is_err() {
                        // The chain has broken off and said why.
                        return Ok(());
                    }
                }
            }
            Err(wire::Message::Close) => return Ok(()),
            Err(wire::Message::Text(text)) => tracing::info!("recorded text: {text}"),
            Err(other) => tracing::warn!("message {} is no data: left out", other.id()),
        }
    }
    Ok(())
}
