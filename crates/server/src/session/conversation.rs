//! What is said in a session: the client's messages, and what becomes of each.

use std::sync::Arc;
use std::time::Duration;

use ismrmrd::{Header, Survey, wire};
use pipeline::{Message, Remedy, Run, Scan, ScannerContract};
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;

use crate::journal::{JournalWriter, Piece};
use crate::listener::Shared;
use crate::proto::JournalState;
use crate::query;
use crate::session::intake::Intake;
use crate::session::opening::{Opening, Request};
use crate::session::outgoing::{self, Reply, Summary};
use crate::session::{Sent, Watched};

/// Warnings of the survey that a client must know of: its images are not what they seem. The
/// others are for the log.
const DATA_FAULTS: [&str; 5] =
    ["all_zero", "not_finite", "beyond_limit", "missing_lines", "uneven_images"];

/// Where a connection stands.
enum Phase {
    /// Config, header and parameters are awaited.
    Opening(Opening),
    /// The chain takes data.
    Streaming(mpsc::Sender<Message>),
    /// Nothing more is taken; what arrives is read, journalled and dropped.
    Deaf,
}

/// One session's side of the talk: reads, journals, opens and feeds the chain, and tells the
/// client what goes wrong.
pub(super) struct Conversation {
    id: u64,
    shared: Arc<Shared>,
    intake: Intake,
    journal: Option<JournalWriter>,
    survey: Survey,
    header: Option<Header>,
    phase: Phase,
    /// The chain at work, its input closed or not.
    run: Option<Run>,
    /// Where texts, answers and results for the client go; [`None`] when nothing more is to be sent.
    pub(super) inputs: Option<outgoing::Inputs>,
    n_readouts: u64,
    n_bytes: u64,
    has_closed: bool,
    watched: Watched,
}

impl Conversation {
    pub(super) fn new(
        id: u64,
        journal: Option<Result<JournalWriter, String>>,
        shared: Arc<Shared>,
        intake: Intake,
        inputs: outgoing::Inputs,
        watched: Watched,
    ) -> Self {
        watched.record.journal(match &journal {
            Some(Ok(_)) => JournalState::Kept,
            Some(Err(_)) => JournalState::Stopped,
            None => JournalState::None,
        });
        let journal = match journal {
            Some(Ok(journal)) => Some(journal),
            Some(Err(reason)) => {
                let what = format!("no journal of this scan: {reason}");
                tracing::error!("{what}");
                let text = format!("session {id}, journal: {what}\n  the scan cannot be replayed");
                // The queue of a new session has room.
                let _ = inputs.replies.try_send(Reply::Text { level: "WARNING", text });
                None
            }
            None => None,
        };
        Self {
            id,
            shared,
            intake,
            journal,
            survey: Survey::default(),
            header: None,
            phase: Phase::Opening(Opening::default()),
            run: None,
            inputs: Some(inputs),
            n_readouts: 0,
            n_bytes: 0,
            has_closed: false,
            watched,
        }
    }

    /// Reads until CLOSE, the end of the connection, or an error; says which it was.
    pub(super) async fn read_all(
        &mut self,
        first: Arc<Piece>,
        socket: &mut OwnedReadHalf,
        sent: &mut Sent,
    ) -> String {
        let idle = self.shared.settings.timeouts.idle;
        let mut piece = first;
        loop {
            self.take(piece).await;
            if self.has_closed {
                return "CLOSE".to_owned();
            }
            piece = tokio::select! {
                read = tokio::time::timeout(idle, self.intake.read(socket)) => match read {
                    Ok(Ok(Some(piece))) => piece,
                    Ok(Ok(None)) => return self.lost("the connection ended without CLOSE").await,
                    Ok(Err(error)) => return self.lost(&format!("the connection broke: {error}")).await,
                    Err(_) => {
                        let what = format!("nothing arrived for {} s", idle.as_secs_f32());
                        return self.lost(&what).await;
                    }
                },
                () = sent.done() => {
                    let failure = sent.summary.as_ref().and_then(|summary| summary.failure.clone());
                    return failure.unwrap_or_else(|| "the chain ended".to_owned());
                }
            };
        }
    }

    /// The client is gone or silent: what it sent is still reconstructed.
    async fn lost(&mut self, what: &str) -> String {
        let n = self.n_readouts;
        let missing = match &self.phase {
            Phase::Opening(opening) => format!("{what}, before {}", opening.awaits()),
            _ if self.intake.is_between_messages() => format!("{what}, after {n} readouts"),
            _ => format!("{what}, in the middle of a message, after {n} readouts"),
        };
        let remedy = format!(
            "check the client and the network; what arrived is kept: boreside replay {}",
            self.id
        );
        let remedy = if self.journal.is_some() {
            remedy
        } else {
            "check the client and the network".to_owned()
        };
        self.fail("wire", missing, remedy).await;
        what.to_owned()
    }

    /// Journals a piece that has arrived and handles all whole messages in it.
    async fn take(&mut self, piece: Arc<Piece>) {
        self.n_bytes += piece.payload().len() as u64;
        self.watched.record.count_bytes_in(piece.payload().len() as u64);
        if let Some(journal) = &mut self.journal
            && let Err(stopped) = journal.append(piece).await
        {
            self.journal = None;
            self.watched.record.journal(JournalState::Stopped);
            tracing::warn!("{stopped}");
            self.say("WARNING", &format!("journal: {stopped}")).await;
        }
        while !self.has_closed && !matches!(self.phase, Phase::Deaf) {
            match self.intake.message() {
                Ok(Some(message)) => self.handle(message).await,
                Ok(None) => return,
                Err(error) => {
                    let remedy = "the rest of the stream cannot be understood; what came before is reconstructed";
                    self.fail("wire", error.to_string(), remedy).await;
                }
            }
        }
        self.intake.forget();
    }

    async fn handle(&mut self, message: wire::Message) {
        match message {
            wire::Message::Query { text, correlation_id } => {
                let reply = Reply::Response { correlation_id, text: query::answer(&text) };
                self.reply(reply).await;
            }
            wire::Message::Close => self.close().await,
            message => match &mut self.phase {
                Phase::Opening(opening) => match opening.take(message) {
                    Ok(Request::More) => {}
                    Ok(Request::Log(text)) => tracing::info!("client: {text}"),
                    Ok(Request::Start(first)) => {
                        self.start().await;
                        if let Some(first) = first {
                            self.feed(first).await;
                        }
                    }
                    Ok(Request::Check) => self.check_early().await,
                    Err(wrong) => self.fail("wire", wrong.to_string(), wrong.remedy()).await,
                },
                Phase::Streaming(_) => self.feed(message).await,
                Phase::Deaf => {}
            },
        }
    }

    /// The client's CLOSE: without a header the chain runs once with none.
    async fn close(&mut self) {
        match &self.phase {
            Phase::Opening(opening) if opening.has_config() => self.start().await,
            Phase::Streaming(_) => self.warn_of_data().await,
            _ => {}
        }
        self.has_closed = true;
        self.stop_listening();
    }

    /// Tells the client what is wrong with a whole scan, whose images may look right.
    async fn warn_of_data(&mut self) {
        let report = tokio::task::block_in_place(|| self.survey.report(self.header.as_ref()));
        for warning in report.warnings {
            if DATA_FAULTS.contains(&warning.kind) {
                self.say("WARNING", &format!("data: {}", warning.message)).await;
            }
        }
    }

    /// Tells the client at once of a chain that cannot be run, not only when data arrive.
    async fn check_early(&mut self) {
        if let Phase::Opening(opening) = &self.phase
            && !opening.is_noise_query()
            && let Err(error) = opening.check_early(&self.shared.chains, self.intake.is_python())
        {
            self.fail_with(&error.to_string()).await;
        }
    }

    /// Makes the chain and starts it.
    async fn start(&mut self) {
        let Phase::Opening(opening) = std::mem::replace(&mut self.phase, Phase::Deaf) else {
            return;
        };
        let (chain, unused) = match opening.chain(&self.shared.chains) {
            Ok(resolved) => resolved,
            // That client understands no text: it goes on without.
            Err(error) if opening.is_noise_query() => {
                tracing::warn!("the question for stored noise is not understood: {error}");
                return self.reply(Reply::NoStoredNoise).await;
            }
            Err(error) => return self.fail_with(&error).await,
        };
        let mut scan = Scan {
            session: self.id,
            save_dir: self.shared.settings.save_dir.clone(),
            noise: Some(self.shared.noise.store()),
            services: self.shared.settings.services.clone(),
            ..Scan::default()
        };
        let mut header_error = None;
        if let Some((text, header)) = opening.header() {
            scan.header_text = text;
            match header {
                Ok(header) => scan.header = Some(header),
                Err(error) => header_error = Some(error.to_string()),
            }
        }
        self.header.clone_from(&scan.header);
        self.watched.record.starts(&chain, &scan.header_text, scan.header.as_ref());
        let contract = ScannerContract::new(&chain, scan.header.as_ref());
        let Some(inputs) = &mut self.inputs else { return };
        let Some(results) = inputs.results.take() else { return };
        // As long as this is held, the writer waits for results and so for the error, too.
        let held = results.clone();
        inputs.expect_results(contract).await;
        let faults = inputs.faults.clone();
        tracing::info!(chain = chain.name, "chain: {}", chain.gadget_names().join(" > "));
        // Plans and models may take a while: not on a thread that serves sockets.
        let started =
            tokio::task::spawn_blocking(move || chain.start(&scan, results, faults)).await;
        match started {
            Ok(Ok((input, run))) => {
                if let Some(error) = header_error {
                    self.say("WARNING", &format!("header: {error}")).await;
                }
                if !unused.is_empty() {
                    let names = unused.join(", ");
                    let text = format!("parameters that no gadget of the chain has: {names}");
                    tracing::info!("{text}");
                    // A scanner sends its own ones as well; one that is nearly right is a mistake.
                    if text.contains("did you mean") {
                        self.say("WARNING", &text).await;
                    }
                }
                let queues = [("chain", input.downgrade()), ("results", held.downgrade())];
                self.watched.record.runs(run.statistics.clone(), queues);
                self.watched.live.tell(&self.watched.record);
                self.phase = Phase::Streaming(input);
                self.run = Some(run);
            }
            Ok(Err(faults)) => {
                let because = header_error.map_or_else(String::new, |error| format!(" ({error})"));
                let texts = faults
                    .iter()
                    .map(|fault| fault.to_string().replacen('\n', &format!("{because}\n"), 1));
                self.fail_with(&texts.collect::<Vec<_>>().join("\n")).await;
            }
            Err(panic) => {
                let what = format!("a gadget panicked when it was made: {panic}");
                self.fail("session", what, "this is a bug: report it with the recorded data").await;
            }
        }
        drop(held);
    }

    /// Hands data to the chain.
    async fn feed(&mut self, message: wire::Message) {
        let Phase::Streaming(input) = &self.phase else { return };
        self.survey.observe(&message);
        if matches!(message, wire::Message::Acquisition(_)) {
            self.n_readouts += 1;
            self.watched.record.count_readout();
        }
        let messages = match Message::from_wire(message) {
            Ok(messages) => messages,
            Err(wire::Message::Text(text)) => return tracing::info!("client: {text}"),
            Err(other) => {
                let what = format!("message {} does not belong into the data", other.id());
                let remedy = "send readouts, waveforms or images after the header, then CLOSE";
                return self.fail("wire", what, remedy).await;
            }
        };
        for message in messages {
            if input.send(message).await.is_err() {
                // The chain has said why.
                return self.stop_listening();
            }
        }
    }

    /// Takes no more data: closes the chain's input, or the results' channel where there is none.
    pub(super) fn stop_listening(&mut self) {
        if matches!(self.phase, Phase::Streaming(_)) {
            self.watched.record.finishes();
            self.watched.live.tell(&self.watched.record);
        }
        self.phase = Phase::Deaf;
        if let Some(inputs) = &mut self.inputs {
            inputs.results = None;
        }
    }

    /// Stops the chain in the middle of its work.
    pub(super) fn cancel(&self) {
        if let Some(run) = &self.run {
            run.canceller.cancel();
        }
    }

    /// Ends a session that has no more time.
    pub(super) async fn cut_off(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.cancel();
        self.fail("session", what, remedy).await;
    }

    async fn fail(&mut self, place: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let text = format!("{place}: {}\n  {}", what.into(), remedy.into());
        self.fail_with(&text).await;
    }

    /// Tells the client of an error and takes no more of its data.
    async fn fail_with(&mut self, text: &str) {
        tracing::error!("{text}");
        self.say("ERROR", text).await;
        self.stop_listening();
        self.inputs = None;
    }

    async fn say(&mut self, level: &'static str, text: &str) {
        let text = format!("session {}, {text}", self.id);
        self.reply(Reply::Text { level, text }).await;
    }

    async fn reply(&mut self, reply: Reply) {
        if let Some(inputs) = &self.inputs {
            // The writer has ended: the client is gone.
            let _ = inputs.replies.send(reply).await;
        }
    }

    /// Lets the chain finish, waits for our CLOSE to be sent and for the client to go. What still
    /// arrives meanwhile is journalled, and must be read: closing with unread data would reset
    /// the connection and take our last words with it.
    pub(super) async fn finish(
        &mut self,
        socket: &mut OwnedReadHalf,
        sent: &mut Sent,
        drain: Duration,
    ) {
        let mut is_open = true;
        loop {
            let is_sent = sent.summary.is_some();
            if is_sent && (!is_open || sent.summary.as_ref().is_some_and(|s| s.failure.is_some())) {
                return;
            }
            tokio::select! {
                () = sent.done(), if !is_sent => {}
                read = self.intake.read(socket), if is_open => match read {
                    Ok(Some(piece)) => self.take(piece).await,
                    _ => is_open = false,
                },
                () = tokio::time::sleep(drain), if is_sent => return,
            }
        }
    }

    /// Writes up what happened.
    pub(super) async fn end(mut self, summary: Summary, reason: &str, elapsed: Duration) {
        if let Some(journal) = self.journal.take()
            && let Err(stopped) = journal.finish(reason, self.intake.elapsed_us()).await
        {
            tracing::warn!("{stopped}");
        }
        let (survey, header) = (self.survey, self.header.take());
        let report = move || survey.report(header.as_ref()).to_string();
        // A panic in it would have been printed; the session has nothing else to do about it.
        let report = tokio::task::spawn_blocking(report).await.unwrap_or_default();
        report.lines().for_each(|line| tracing::info!("{line}"));
        if let Some(run) = self.run.take() {
            for gadget in run.statistics.snapshot() {
                tracing::info!(
                    gadget = gadget.gadget,
                    "{} in, {} out, {} faults, {:.1} ms busy, longest {:.1} ms",
                    gadget.messages_in,
                    gadget.messages_out,
                    gadget.faults,
                    gadget.busy.as_secs_f64() * 1e3,
                    gadget.longest.as_secs_f64() * 1e3,
                );
            }
            // Ends what nobody waits for; after a whole scan the threads have ended already.
            run.canceller.cancel();
        }
        tracing::info!(
            "{reason}: {} readouts, {:.1} MB in, {} images, {:.1} MB out, {} faults, {:.3} s",
            self.n_readouts,
            self.n_bytes as f64 / 1e6,
            summary.n_images,
            summary.n_bytes as f64 / 1e6,
            summary.n_faults,
            elapsed.as_secs_f64(),
        );
        // For those who collect traces; behind the last line, which tells it in words.
        let span = tracing::Span::current();
        span.record("end", reason);
        span.record("n_readouts", self.n_readouts);
        span.record("n_images", summary.n_images);
        span.record("n_faults", summary.n_faults);
    }
}
