//! One connection: from its first byte to our CLOSE.

mod conversation;
mod intake;
mod opening;
mod outgoing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{Instrument, field};

use crate::Timeouts;
use crate::journal::JournalWriter;
use crate::listener::{Shared, Shutdown};
use crate::live::{Live, SessionRecord};
use conversation::Conversation;
use intake::Intake;
use outgoing::{Outgoing, Summary};

/// A session whose journal has not begun by then runs without one.
const JOURNAL_BEGINS_WITHIN: Duration = Duration::from_secs(2);
/// Results that may wait for the socket.
const WAITING_RESULTS: usize = 8;
/// Texts and answers that may wait for the socket.
const WAITING_REPLIES: usize = 64;

/// Serves one connection to its end.
pub(crate) async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    // Images are sent whole; waiting for more would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    let (mut socket, write_half) = stream.into_split();
    let mut intake = Intake::new(shared.settings.limits.clone());
    // A port probe connects and closes, or says nothing: it is no session, and nothing that a
    // shutdown waits for.
    let mut shutdown = shared.shutdown.subscribe();
    let first = tokio::select! {
        biased;
        first = intake.read(&mut socket) => first.unwrap_or_default(),
        () = tokio::time::sleep(shared.settings.timeouts.idle) => None,
        () = reached(&mut shutdown, Shutdown::Begun) => None,
    };
    let Some(first) = first else {
        tracing::debug!("{peer} sent nothing");
        return;
    };
    let replay = shared.replays.take(peer);
    let (id, journal) = match &replay {
        // What is replayed is kept already.
        Some(_) => (shared.next_session(), None),
        None => begin_journal(&shared, peer).await,
    };
    let watched = Watched::begin(&shared.live, id, peer);
    if let Some(replay) = replay {
        watched.record.is_replay_of(replay.what.clone());
        replay.has_begun(id);
    }
    let span = tracing::info_span!(
        "session",
        id,
        end = field::Empty,
        n_readouts = field::Empty,
        n_images = field::Empty,
        n_faults = field::Empty,
    );
    async {
        tracing::info!("{peer} connected");
        let Timeouts { total, drain, write, .. } = shared.settings.timeouts;
        let (outgoing, inputs) = Outgoing::new(id, write_half, write, watched.clone());
        let outgoing = outgoing.with_tap(shared.settings.image_tap.clone());
        let stop = outgoing.stop();
        let writer = tokio::spawn(outgoing.run().in_current_span());
        let mut session =
            Conversation::new(id, journal, Arc::clone(&shared), intake, inputs, watched.clone());
        let started = Instant::now();
        let mut sent = Sent { writer, summary: None };
        let (reason, left) = tokio::select! {
            reason = session.read_all(first, &mut socket, &mut sent) => {
                (reason, total.saturating_sub(started.elapsed()).max(drain))
            }
            () = tokio::time::sleep(total) => {
                let what = format!("the session has lasted {} s, its limit", total.as_secs_f32());
                session.cut_off(what, "raise --total-timeout-s if scans last longer").await;
                ("timed out".to_owned(), drain)
            }
            () = reached(&mut shutdown, Shutdown::Over) => {
                let what = "the server shuts down and does not wait any longer";
                session.cut_off(what, "start the server again and repeat the scan").await;
                ("cut off by a shutdown".to_owned(), drain)
            }
        };
        session.stop_listening();
        session.inputs = None;
        let is_in_time = tokio::select! {
            () = session.finish(&mut socket, &mut sent, drain) => true,
            () = tokio::time::sleep(left) => false,
            () = reached(&mut shutdown, Shutdown::Over) => false,
        };
        if !is_in_time && sent.summary.is_none() {
            tracing::error!(
                "the chain does not end in time: what it still gives is not waited for"
            );
            session.cancel();
            stop.notify_one();
            if tokio::time::timeout(drain, sent.done()).await.is_err() {
                sent.writer.abort();
            }
        }
        session.end(sent.summary.unwrap_or_default(), &reason, started.elapsed()).await;
        watched.end(&reason);
    }
    .instrument(span)
    .await;
}

/// What is told of a session to those who watch.
#[derive(Clone)]
pub(crate) struct Watched {
    live: Arc<Live>,
    record: Arc<SessionRecord>,
    ending: Arc<Ending>,
}

/// Tells that a session has ended, whatever becomes of its task.
struct Ending {
    live: Arc<Live>,
    record: Arc<SessionRecord>,
    is_told: AtomicBool,
}

impl Ending {
    fn tell(&self, reason: &str) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            self.live.end(&self.record, reason);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.tell("the session's task has panicked");
    }
}

impl Watched {
    fn begin(live: &Arc<Live>, id: u64, peer: SocketAddr) -> Self {
        let (live, record) = (Arc::clone(live), live.begin(id, peer));
        let ending = Ending {
            live: Arc::clone(&live),
            record: Arc::clone(&record),
            is_told: AtomicBool::new(false),
        };
        Self { live, record, ending: Arc::new(ending) }
    }

    fn end(&self, reason: &str) {
        self.ending.tell(reason);
    }
}

/// Waits until the server's shutdown has come so far.
async fn reached(shutdown: &mut watch::Receiver<Shutdown>, step: Shutdown) {
    // The sender lives as long as the server.
    let _ = shutdown.wait_for(|now| *now >= step).await;
}

/// A number for a session and its journal, or why there is none.
async fn begin_journal(
    shared: &Arc<Shared>,
    peer: SocketAddr,
) -> (u64, Option<Result<JournalWriter, String>>) {
    let Some(store) = shared.journal.clone() else { return (shared.next_session(), None) };
    // A disk that hangs must not hang the thread that serves the sockets.
    let begun = tokio::task::spawn_blocking(move || store.begin(&peer.to_string()));
    let reason = match tokio::time::timeout(JOURNAL_BEGINS_WITHIN, begun).await {
        Ok(Ok(Ok((id, journal)))) => return (id, Some(Ok(journal))),
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(_)) => "its thread has panicked".to_owned(),
        Err(_) => "the disk does not answer".to_owned(),
    };
    (shared.next_session(), Some(Err(reason)))
}

/// The writing half at work.
struct Sent {
    writer: JoinHandle<Summary>,
    /// What it sent, once it has ended.
    summary: Option<Summary>,
}

impl Sent {
    /// Waits until everything, CLOSE too, has been sent.
    async fn done(&mut self) {
        if self.summary.is_none() {
            self.summary = Some((&mut self.writer).await.unwrap_or_default());
        }
    }
}

/// Reads and drops what the peer still sends until it closes, for `limit` at most: closing with
/// unread data would reset the connection and take our last words with it.
pub(crate) async fn drain(socket: &mut (impl AsyncRead + Unpin), limit: Duration) {
    let read = async {
        let mut scrap = vec![0; 1 << 16];
        while matches!(socket.read(&mut scrap).await, Ok(n) if n > 0) {}
    };
    // Whether it closed or not, the connection ends now.
    let _ = tokio::time::timeout(limit, read).await;
}
