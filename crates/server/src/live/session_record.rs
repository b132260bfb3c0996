//! What is known of one session, while it runs and after. Sessions write counters without a lock
//! that anyone else could hold for long; whoever looks reads them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ismrmrd::Header;
use pipeline::{Chain, Fault, GadgetStatistics, Message, Severity, Statistics};
use tokio::sync::mpsc;

use crate::image_archive::EndedSession;
use crate::live::clock::Clock;
use crate::live::protocol;
use crate::proto::{self, JournalState, SessionState, notice::Level};

/// Notices of a session that are kept.
const MAX_NOTICES: usize = 100;

/// One session.
#[derive(Debug)]
pub(crate) struct SessionRecord {
    pub id: u64,
    pub peer: SocketAddr,
    clock: Clock,
    started_us: u64,
    n_readouts: AtomicU64,
    n_bytes_in: AtomicU64,
    n_bytes_out: AtomicU64,
    n_images: AtomicU64,
    last_readout_us: AtomicU64,
    last_image_us: AtomicU64,
    n_warnings: AtomicU64,
    n_errors: AtomicU64,
    details: Mutex<Details>,
}

/// What changes seldom.
#[derive(Debug, Default)]
struct Details {
    state: SessionState,
    ended_us: u64,
    end_reason: String,
    chain: String,
    chain_description: String,
    header_text: String,
    protocol: Option<proto::Protocol>,
    patient: Option<proto::Patient>,
    n_readouts_expected: u64,
    statistics: Statistics,
    /// Time that each gadget had worked when the last image was ready.
    busy_before: Vec<Duration>,
    queues: Vec<(&'static str, mpsc::WeakSender<Message>)>,
    notices: Vec<proto::Notice>,
    journal: JournalState,
    replay: String,
    /// How it ended, where that was before this start of the server.
    ended_before: Option<Box<proto::Session>>,
}

/// How long it took until an image was ready.
pub(crate) struct Moment {
    pub ready_us: u64,
    pub latency: proto::Latency,
}

impl SessionRecord {
    pub fn new(id: u64, peer: SocketAddr, clock: Clock) -> Self {
        let count = AtomicU64::default;
        let details = Details { state: SessionState::Opening, ..Details::default() };
        Self {
            id,
            peer,
            clock,
            started_us: clock.now_us(),
            n_readouts: count(),
            n_bytes_in: count(),
            n_bytes_out: count(),
            n_images: count(),
            last_readout_us: count(),
            last_image_us: count(),
            n_warnings: count(),
            n_errors: count(),
            details: Mutex::new(details),
        }
    }

    /// A session of an earlier start.
    pub fn of_earlier_start(ended: EndedSession, clock: Clock) -> Self {
        let EndedSession { session, header_text } = ended;
        // Nobody connects from there any more.
        let peer = session.peer.parse().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        let record = Self::new(session.id, peer, clock);
        let details = Details {
            ended_us: record.started_us,
            header_text,
            ended_before: Some(Box::new(session)),
            ..Details::default()
        };
        *record.details() = details;
        record
    }

    fn details(&self) -> MutexGuard<'_, Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A readout has arrived.
    pub fn count_readout(&self) {
        self.n_readouts.fetch_add(1, Ordering::Relaxed);
        self.last_readout_us.store(self.clock.now_us(), Ordering::Relaxed);
    }

    pub fn count_bytes_in(&self, n_bytes: u64) {
        self.n_bytes_in.fetch_add(n_bytes, Ordering::Relaxed);
    }

    pub fn count_bytes_out(&self, n_bytes: u64) {
        self.n_bytes_out.fetch_add(n_bytes, Ordering::Relaxed);
    }

    /// The journal keeps what arrives, keeps nothing, or has stopped.
    pub fn journal(&self, state: JournalState) {
        self.details().journal = state;
    }

    /// This session is a replay, of that.
    pub fn is_replay_of(&self, what: String) {
        self.details().replay = what;
    }

    /// The chain is about to start.
    pub fn starts(&self, chain: &Chain, header_text: &str, header: Option<&Header>) {
        let mut details = self.details();
        details.chain.clone_from(&chain.name);
        details.chain_description = chain.description.clone().unwrap_or_default();
        header_text.clone_into(&mut details.header_text);
        if let Some(header) = header {
            details.protocol = Some(protocol::protocol(header));
            details.patient = protocol::patient(header);
            details.n_readouts_expected = protocol::n_readouts_expected(header);
        }
    }

    /// The chain runs.
    pub fn runs(
        &self,
        statistics: Statistics,
        queues: [(&'static str, mpsc::WeakSender<Message>); 2],
    ) {
        let mut details = self.details();
        details.statistics = statistics;
        details.queues = queues.into();
        details.state = SessionState::Receiving;
    }

    /// All data are there.
    pub fn finishes(&self) {
        let mut details = self.details();
        if details.state != SessionState::Opening {
            details.state = SessionState::Finishing;
        }
    }

    /// It is over.
    pub fn ends(&self, reason: &str, ended_us: u64) {
        let mut details = self.details();
        let is_well = reason == "CLOSE" && self.n_errors.load(Ordering::Relaxed) == 0;
        details.state = if is_well { SessionState::Ended } else { SessionState::Failed };
        reason.clone_into(&mut details.end_reason);
        details.ended_us = ended_us;
        // Their channels are closed.
        details.queues.clear();
    }

    /// Whether it has ended, and not well.
    pub fn has_failed(&self) -> bool {
        let details = self.details();
        match &details.ended_before {
            Some(session) => session.state() == SessionState::Failed,
            None => details.ended_us != 0 && details.state == SessionState::Failed,
        }
    }

    pub fn has_ended(&self) -> bool {
        self.details().ended_us != 0
    }

    /// A gadget has something to say.
    pub fn fault(&self, fault: &Fault) {
        let level = match fault.severity {
            Severity::Info => Level::Info,
            Severity::Warning => Level::Warning,
            Severity::Error => Level::Error,
        };
        self.notice(proto::Notice {
            level: level.into(),
            unix_ms: self.clock.now_unix_ms(),
            source: fault.gadget.clone(),
            slice: fault.place.map(|place| place.slice.into()),
            repetition: fault.place.map(|place| place.repetition.into()),
            what: fault.what.clone(),
            remedy: fault.remedy.clone(),
        });
    }

    /// The session itself has something to say: `SOURCE: what`, and on further lines what to do.
    pub fn text(&self, level: &str, text: &str) {
        let level = if level == "ERROR" { Level::Error } else { Level::Warning };
        let (first, remedy) = text.split_once('\n').unwrap_or((text, ""));
        // What is said to the client begins with the number of its session.
        let own = format!("session {}, ", self.id);
        let first = first.strip_prefix(&own).unwrap_or(first);
        let (source, what) = match first.split_once(": ") {
            Some((source, what)) if !source.contains(' ') => (source, what),
            _ => ("session", first),
        };
        self.notice(proto::Notice {
            level: level.into(),
            unix_ms: self.clock.now_unix_ms(),
            source: source.to_owned(),
            what: what.to_owned(),
            remedy: remedy.lines().map(str::trim).collect::<Vec<_>>().join("\n"),
            ..proto::Notice::default()
        });
    }

    fn notice(&self, notice: proto::Notice) {
        match notice.level() {
            Level::Warning => _ = self.n_warnings.fetch_add(1, Ordering::Relaxed),
            Level::Error => _ = self.n_errors.fetch_add(1, Ordering::Relaxed),
            Level::Info | Level::Unspecified => {}
        }
        let mut details = self.details();
        if details.notices.len() < MAX_NOTICES {
            details.notices.push(notice);
        }
    }

    /// An image has left the chain.
    pub fn image_is_ready(&self) -> Moment {
        let ready_us = self.clock.now_us();
        self.n_images.fetch_add(1, Ordering::Relaxed);
        self.last_image_us.store(ready_us, Ordering::Relaxed);
        let last_readout_us = match self.last_readout_us.load(Ordering::Relaxed) {
            0 => self.started_us,
            us => us,
        };
        let ms = |since: u64| ready_us.saturating_sub(since) as f64 / 1e3;
        let mut details = self.details();
        let now = details.statistics.snapshot();
        let busy: Vec<_> = now.iter().map(|gadget| gadget.busy).collect();
        let before = std::mem::replace(&mut details.busy_before, busy);
        let stage = |(n, gadget): (usize, GadgetStatistics)| proto::StageTime {
            busy_ms: ms_of(gadget.busy.saturating_sub(before.get(n).copied().unwrap_or_default())),
            gadget: gadget.gadget,
        };
        let latency = proto::Latency {
            since_last_readout_ms: ms(last_readout_us),
            since_start_ms: ms(self.started_us),
            stages: now.into_iter().enumerate().map(stage).collect(),
        };
        Moment { ready_us, latency }
    }

    /// The MRD header as the client sent it.
    pub fn header_text(&self) -> String {
        self.details().header_text.clone()
    }

    /// Figures of its gadgets.
    pub fn statistics(&self) -> Statistics {
        self.details().statistics.clone()
    }

    /// Readouts and bytes in, images and bytes out.
    pub fn totals(&self) -> [u64; 4] {
        [&self.n_readouts, &self.n_bytes_in, &self.n_images, &self.n_bytes_out]
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Warnings and errors.
    pub fn n_notices(&self) -> [u64; 2] {
        [&self.n_warnings, &self.n_errors].map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Its queues now.
    pub fn queues(&self) -> Vec<proto::QueueFill> {
        let fill = |(name, sender): &(&'static str, mpsc::WeakSender<Message>)| {
            let sender = sender.upgrade()?;
            let (capacity, free) = (sender.max_capacity(), sender.capacity());
            Some(proto::QueueFill {
                queue: (*name).to_owned(),
                waiting: u32::try_from(capacity - free).unwrap_or(u32::MAX),
                capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            })
        };
        self.details().queues.iter().filter_map(fill).collect()
    }

    /// What tells whether it has gone on.
    pub fn progress(&self) -> [u64; 7] {
        let [readouts, bytes_in, images, bytes_out] = self.totals();
        let [warnings, errors] = self.n_notices();
        let details = self.details();
        let busy_ms: u128 =
            details.statistics.snapshot().iter().map(|gadget| gadget.busy.as_millis()).sum();
        let state = details.state as u64 + details.ended_us;
        [readouts + bytes_in, images, bytes_out, warnings, errors, busy_ms as u64, state]
    }

    /// How it is now, for clients.
    pub fn describe(&self, hides_patients: bool) -> proto::Session {
        let queues = self.queues();
        let [n_readouts, n_bytes_in, n_images, n_bytes_out] = self.totals();
        let [n_warnings, n_errors] = self.n_notices();
        let at = |us: &AtomicU64| self.clock.unix_ms(us.load(Ordering::Relaxed));
        let details = self.details();
        let figures = |gadget: GadgetStatistics| proto::GadgetFigures {
            gadget: gadget.gadget,
            messages_in: gadget.messages_in,
            messages_out: gadget.messages_out,
            faults: gadget.faults,
            busy_ms: ms_of(gadget.busy),
            longest_ms: ms_of(gadget.longest),
        };
        if let Some(session) = &details.ended_before {
            let mut session = (**session).clone();
            if hides_patients {
                session.patient = None;
                session.protocol.iter_mut().for_each(hide_patient);
            }
            return session;
        }
        let mut protocol = details.protocol.clone();
        if hides_patients {
            protocol.iter_mut().for_each(hide_patient);
        }
        proto::Session {
            id: self.id,
            state: details.state.into(),
            peer: self.peer.to_string(),
            started_unix_ms: self.clock.unix_ms(self.started_us),
            ended_unix_ms: self.clock.unix_ms(details.ended_us),
            end_reason: details.end_reason.clone(),
            chain: details.chain.clone(),
            chain_description: details.chain_description.clone(),
            gadgets: details.statistics.snapshot().into_iter().map(figures).collect(),
            protocol,
            patient: details.patient.clone().filter(|_| !hides_patients),
            n_readouts,
            n_readouts_expected: details.n_readouts_expected,
            n_bytes_in,
            n_bytes_out,
            n_images,
            last_readout_unix_ms: at(&self.last_readout_us),
            last_image_unix_ms: at(&self.last_image_us),
            notices: details.notices.clone(),
            n_warnings,
            n_errors,
            journal: details.journal.into(),
            replay: details.replay.clone(),
            queues,
        }
    }
}

fn hide_patient(protocol: &mut proto::Protocol) {
    // Some scanners make it of the patient's number.
    protocol.measurement_id.clear();
}

fn ms_of(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SessionRecord {
        SessionRecord::new(7, SocketAddr::from(([127, 0, 0, 1], 4000)), Clock::start())
    }

    #[test]
    fn a_session_with_an_error_has_failed_and_says_where_and_what_to_do() {
        let record = record();
        record.text("ERROR", "session 7, wire: message 9 is none\n  send another");
        record.text("WARNING", "session 7, parameters that no gadget has: x");
        record.ends("CLOSE", 5);
        let session = record.describe(true);
        assert_eq!(session.state(), SessionState::Failed);
        assert_eq!((session.n_errors, session.n_warnings), (1, 1));
        let [first, second] = &session.notices[..] else { panic!("two") };
        assert_eq!(
            (first.source.as_str(), first.what.as_str(), first.remedy.as_str()),
            ("wire", "message 9 is none", "send another")
        );
        assert_eq!(second.source, "session");
    }

    #[test]
    fn notices_are_counted_all_and_kept_up_to_a_limit() {
        let record = record();
        for _ in 0..MAX_NOTICES + 5 {
            record.text("WARNING", "x");
        }
        let session = record.describe(true);
        assert_eq!(session.notices.len(), MAX_NOTICES);
        assert_eq!(session.n_warnings, MAX_NOTICES as u64 + 5);
    }

    #[test]
    fn progress_tells_that_something_has_changed() {
        let record = record();
        let before = record.progress();
        assert_eq!(before, record.progress());
        record.count_readout();
        assert_ne!(before, record.progress());
        let moment = record.image_is_ready();
        assert!(moment.latency.since_last_readout_ms <= moment.latency.since_start_ms);
        assert_eq!(record.totals(), [1, 0, 1, 0]);
    }
}
