//! Everything that goes to the client: results, texts, answers, and CLOSE exactly once.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ismrmrd::wire;
use pipeline::{Fault, Message, ScannerContract, Severity};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, mpsc};

use crate::ImageTap;
use crate::session::{WAITING_REPLIES, WAITING_RESULTS, Watched};

/// Results are gathered up to so many bytes before they are written.
const GATHER_BYTES: usize = 256 << 10;

/// A text or an answer.
pub(crate) enum Reply {
    /// A text with its level.
    Text { level: &'static str, text: String },
    /// The answer to a QUERY.
    Response { correlation_id: u64, text: String },
    /// A question for the noise of an earlier measurement that is not understood.
    NoStoredNoise,
    /// From here on a chain's results are sent, as this makes them.
    Results(Box<ScannerContract>),
}

/// The sending ends of what the writer sends; when all are dropped it sends CLOSE and ends.
pub(crate) struct Inputs {
    pub replies: mpsc::Sender<Reply>,
    pub faults: mpsc::UnboundedSender<Fault>,
    /// Handed over to the chain when it starts.
    pub results: Option<mpsc::Sender<Message>>,
}

impl Inputs {
    /// Says how the chain's results are sent.
    pub async fn expect_results(&mut self, contract: ScannerContract) {
        // The writer has ended: nothing is sent any more.
        let _ = self.replies.send(Reply::Results(Box::new(contract))).await;
    }
}

/// What was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub n_images: u64,
    pub n_bytes: u64,
    pub n_faults: u64,
    /// Why it ended before CLOSE could be sent.
    pub failure: Option<String>,
}

/// The writing half of a connection.
pub(crate) struct Outgoing {
    session: u64,
    socket: OwnedWriteHalf,
    write_timeout: Duration,
    replies: mpsc::Receiver<Reply>,
    faults: mpsc::UnboundedReceiver<Fault>,
    results: mpsc::Receiver<Message>,
    /// What the results of the chain become, once one was started: its end is the session's.
    contract: Option<Box<ScannerContract>>,
    buffer: BytesMut,
    summary: Summary,
    n_errors: u64,
    n_unsent: u64,
    stop: Arc<Notify>,
    watched: Watched,
    tap: Option<Arc<dyn ImageTap>>,
}

impl Outgoing {
    pub fn new(
        session: u64,
        socket: OwnedWriteHalf,
        write_timeout: Duration,
        watched: Watched,
    ) -> (Self, Inputs) {
        let (reply_sender, replies) = mpsc::channel(WAITING_REPLIES);
        let (fault_sender, faults) = mpsc::unbounded_channel();
        let (result_sender, results) = mpsc::channel(WAITING_RESULTS);
        let outgoing = Self {
            session,
            socket,
            write_timeout,
            replies,
            faults,
            results,
            contract: None,
            buffer: BytesMut::new(),
            summary: Summary::default(),
            n_errors: 0,
            n_unsent: 0,
            stop: Arc::default(),
            watched,
            tap: None,
        };
        let inputs =
            Inputs { replies: reply_sender, faults: fault_sender, results: Some(result_sender) };
        (outgoing, inputs)
    }

    /// With somebody else who gets every image.
    pub fn with_tap(mut self, tap: Option<Arc<dyn ImageTap>>) -> Self {
        self.tap = tap;
        self
    }

    /// Notified, it waits for no more results: it sends what it has, then CLOSE.
    pub fn stop(&self) -> Arc<Notify> {
        Arc::clone(&self.stop)
    }

    /// Sends until there is nothing more to come, then CLOSE.
    pub async fn run(mut self) -> Summary {
        if let Err(failure) = self.send_all().await {
            tracing::warn!("{failure}");
            self.summary.failure = Some(failure);
        }
        if let Some(tap) = &self.tap {
            tap.end(self.session);
        }
        self.summary
    }

    async fn send_all(&mut self) -> Result<(), String> {
        let (mut has_replies, mut has_faults, mut has_results) = (true, true, true);
        // A chain that has ended ends the session, whatever its client still sends.
        while has_results || (has_replies && self.contract.is_none()) {
            tokio::select! {
                biased;
                fault = self.faults.recv(), if has_faults => match fault {
                    Some(fault) => self.put_fault(&fault),
                    None => has_faults = false,
                },
                reply = self.replies.recv(), if has_replies => match reply {
                    Some(reply) => self.put_reply(reply),
                    None => has_replies = false,
                },
                result = self.results.recv(), if has_results => match result {
                    Some(result) => self.put_result(result),
                    None => has_results = false,
                },
                () = self.stop.notified() => (has_results, has_replies) = (false, false),
            }
            if !has_results {
                self.put_what_is_left();
            }
            let is_more = self.buffer.len() < GATHER_BYTES
                && (!self.results.is_empty()
                    || !self.replies.is_empty()
                    || !self.faults.is_empty());
            if !is_more {
                self.write().await?;
            }
        }
        if self.summary.n_faults > 1 {
            let (errors, faults) = (self.n_errors, self.summary.n_faults);
            let level = if errors > 0 { "ERROR" } else { "WARNING" };
            self.put_text(
                level,
                &format!(
                    "session {} ends with {errors} errors and {} warnings; {} images were sent",
                    self.session,
                    faults - errors,
                    self.summary.n_images
                ),
            );
        }
        if self.n_unsent > 0 {
            tracing::info!(
                "{} messages reached the end of the chain and are not among its outputs",
                self.n_unsent
            );
        }
        self.put(&wire::Message::Close);
        self.write().await?;
        match tokio::time::timeout(self.write_timeout, self.socket.shutdown()).await {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(error)) => Err(format!("the connection broke after CLOSE: {error}")),
        }
    }

    /// Faults and replies that were sent before the last result's channel closed.
    fn put_what_is_left(&mut self) {
        while let Ok(fault) = self.faults.try_recv() {
            self.put_fault(&fault);
        }
        while let Ok(reply) = self.replies.try_recv() {
            self.put_reply(reply);
        }
    }

    async fn write(&mut self) -> Result<(), String> {
        // Piece by piece: the time limit is for the client to take something, not everything.
        while !self.buffer.is_empty() {
            match tokio::time::timeout(self.write_timeout, self.socket.write_buf(&mut self.buffer))
                .await
            {
                Ok(Ok(n)) => {
                    self.summary.n_bytes += n as u64;
                    self.watched.record.count_bytes_out(n as u64);
                }
                Ok(Err(error)) => return Err(format!("the client is gone: {error}")),
                Err(_) => {
                    let limit = self.write_timeout.as_secs_f32();
                    return Err(format!("the client took nothing for {limit} s"));
                }
            }
        }
        Ok(())
    }

    fn put_fault(&mut self, fault: &Fault) {
        self.watched.record.fault(fault);
        self.summary.n_faults += u64::from(fault.severity != Severity::Info);
        let level = match fault.severity {
            Severity::Info => {
                tracing::info!(gadget = fault.gadget, "{fault}");
                "INFO"
            }
            Severity::Warning => {
                tracing::warn!(gadget = fault.gadget, "{fault}");
                "WARNING"
            }
            Severity::Error => {
                self.n_errors += 1;
                tracing::error!(gadget = fault.gadget, "{fault}");
                "ERROR"
            }
        };
        self.put_text(level, &format!("session {}, {fault}", self.session));
    }

    fn put_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Text { level, text } => {
                self.watched.record.text(level, &text);
                self.summary.n_faults += 1;
                self.n_errors += u64::from(level == "ERROR");
                self.put_text(level, &text);
            }
            Reply::Response { correlation_id, text } => {
                self.put(&wire::Message::Response { correlation_id, text });
            }
            Reply::NoStoredNoise => {
                let status = ismrmrd::Meta::from_iter([("status", "failed")]);
                self.put(&wire::Message::DependencyQuery(status));
            }
            Reply::Results(contract) => self.contract = Some(contract),
        }
    }

    /// The level is padded to eight characters: scanners colour by it.
    fn put_text(&mut self, level: &str, text: &str) {
        self.put(&wire::Message::Text(format!("{level:<8} {text}")));
    }

    fn put_result(&mut self, result: Message) {
        let mut violations = Vec::new();
        let contract = self.contract.as_mut();
        let delivered =
            contract.and_then(|contract| contract.deliver(result, &mut |v| violations.push(v)));
        for violation in violations {
            self.put_fault(&violation);
        }
        let Some(messages) = delivered else {
            self.n_unsent += 1;
            return;
        };
        for message in messages {
            self.summary.n_images += u64::from(matches!(message, wire::Message::Image(_)));
            if !self.put(&message) {
                // What the scanner did not get is not shown or kept elsewhere.
                continue;
            }
            if let Some(tap) = &self.tap {
                let header_text = || self.watched.record.header_text();
                match &message {
                    wire::Message::Image(image) => tap.take(self.session, &header_text, image),
                    wire::Message::ImageArray(array) => {
                        let images = array.to_images();
                        images.iter().for_each(|image| tap.take(self.session, &header_text, image));
                    }
                    _ => {}
                }
            }
            // It goes on by its handle, to who looks at it elsewhere.
            self.watched.live.publish(&self.watched.record, message);
        }
    }

    /// Whether it could be written; what could not be is told to the client.
    fn put(&mut self, message: &wire::Message) -> bool {
        let length = self.buffer.len();
        let written = wire::encode(message, &mut self.buffer);
        if let Err(error) = &written {
            self.buffer.truncate(length);
            self.summary.n_faults += 1;
            self.n_errors += 1;
            tracing::error!("{error}");
            let text = format!(
                "ERROR    session {}, wire: {error}\n  this result is not sent",
                self.session
            );
            self.watched.record.text("ERROR", &text);
            // A plain text has a wire form.
            let _ = wire::encode(&wire::Message::Text(text), &mut self.buffer);
        }
        written.is_ok()
    }
}
