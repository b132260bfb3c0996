//! Accepts connections, as many at once as the site allows, and shuts down in an orderly way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use ismrmrd::wire;
use pipeline::ChainLibrary;
use pipeline::noise::{NoiseMemory, NoiseStore};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Semaphore, watch};

use crate::journal::JournalStore;
use crate::live::Live;
use crate::replays::Replays;
use crate::session;
use crate::{NoiseArchive, NoiseSettings, Settings};

/// For sessions that are cut off at shutdown to send a sentence and CLOSE.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A server that listens but does not accept yet.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What the sessions share.
pub(crate) struct Shared {
    pub settings: Settings,
    pub chains: ChainLibrary,
    pub journal: Option<Arc<JournalStore>>,
    /// Noise of earlier scans.
    pub noise: Noise,
    /// What can be watched.
    pub live: Arc<Live>,
    /// Sessions that are replays.
    pub replays: Replays,
    /// Whether the server goes on.
    pub shutdown: watch::Sender<Shutdown>,
    next_session: AtomicU64,
}

/// Noise of earlier scans, beyond this run or not.
pub(crate) enum Noise {
    Archive(Arc<NoiseArchive>),
    Memory(Arc<NoiseMemory>),
}

impl Noise {
    /// A file that cannot be used is reported, and left out: it never keeps a scanner waiting.
    fn open(settings: &NoiseSettings) -> Self {
        let limits = settings.limits;
        match settings.file.as_deref().map(|file| NoiseArchive::open(file, limits)) {
            Some(Ok(archive)) => return Self::Archive(Arc::new(archive)),
            Some(Err(error)) => {
                tracing::error!("noise scans are kept until the server ends only: {error}");
            }
            None => {}
        }
        Self::Memory(Arc::new(NoiseMemory::new(limits)))
    }

    /// The store for a scan.
    pub fn store(&self) -> Arc<dyn NoiseStore> {
        match self {
            Self::Archive(archive) => Arc::clone(archive) as _,
            Self::Memory(memory) => Arc::clone(memory) as _,
        }
    }
}

/// Whether the server goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shutdown {
    /// It does.
    No,
    /// Running scans may finish.
    Begun,
    /// They must end now.
    Over,
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {reason}\n  free the port or choose another with --listen"
    )]
    Listen {
        /// The address.
        address: String,
        /// The system's reason.
        reason: io::Error,
    },
}

impl Shared {
    /// A number for a new session.
    pub fn next_session(&self) -> u64 {
        match &self.journal {
            Some(journal) => journal.next_session(),
            None => self.next_session.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Server {
    /// Listens on `address`. A journal that cannot be opened is reported, and left out: it never
    /// keeps a scanner waiting.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub async fn bind(
        address: impl ToSocketAddrs + std::fmt::Display,
        settings: Settings,
        chains: ChainLibrary,
    ) -> Result<Self, ServeError> {
        let name = address.to_string();
        let listen = |reason| ServeError::Listen { address: name.clone(), reason };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let journal = settings.journal.clone().and_then(|journal| {
            let directory = journal.directory.clone();
            match JournalStore::open(journal) {
                Ok(store) => Some(Arc::new(store)),
                Err(error) => {
                    tracing::error!(
                        "no journal: {} cannot be used: {error}; scans run without one",
                        directory.display()
                    );
                    None
                }
            }
        });
        let noise = Noise::open(&settings.noise);
        let live = Live::new(&settings.live);
        // Replays have a number and no journal, and their images may be kept.
        let last_session = live.last_session();
        if let Some(journal) = &journal {
            journal.go_on_after(last_session);
        }
        let next_session = AtomicU64::new(last_session + 1);
        let shared = Shared {
            settings,
            chains,
            journal,
            noise,
            live,
            replays: Replays::default(),
            shutdown: watch::Sender::new(Shutdown::No),
            next_session,
        };
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What its sessions share, for the control plane.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Serves until `shutdown` is ready, then lets running scans finish, within their time.
    /// Returns how many were cut off.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> usize {
        let Self { listener, shared } = self;
        let max_sessions = shared.settings.max_sessions.min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(max_sessions));
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors and the like: others may end soon.
                    tracing::error!("a connection could not be accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!("{peer} refused: {max_sessions} sessions are running");
                tokio::spawn(refuse(stream, max_sessions));
                continue;
            };
            let (shared, all) = (Arc::clone(&shared), Arc::clone(&places));
            tokio::spawn(async move {
                session::serve(stream, peer, shared).await;
                drop(place);
                if all.available_permits() == max_sessions {
                    // Nobody scans: what was kept for the next image is not needed soon.
                    tokio::task::spawn_blocking(crate::give_back_freed_memory);
                }
            });
        }
        drop(listener);
        shared.shutdown.send_replace(Shutdown::Begun);
        let n_running = max_sessions - places.available_permits();
        if n_running > 0 {
            tracing::info!("shutting down: waiting for {n_running} sessions");
        }
        let all = u32::try_from(max_sessions).unwrap_or(u32::MAX);
        let deadline = shared.settings.timeouts.shutdown;
        let is_done = tokio::time::timeout(deadline, places.acquire_many(all)).await.is_ok();
        let n_cut_off = if is_done { 0 } else { max_sessions - places.available_permits() };
        if !is_done {
            shared.shutdown.send_replace(Shutdown::Over);
            // They still tell their clients.
            let _ = tokio::time::timeout(LAST_WORDS, places.acquire_many(all)).await;
        }
        let live = Arc::clone(&shared.live);
        // What it could not write it has said.
        let _ = tokio::task::spawn_blocking(move || live.close()).await;
        if let Noise::Archive(archive) = &shared.noise {
            let archive = Arc::clone(archive);
            // Where the disk does not take it, the archive has said so.
            let _ = tokio::task::spawn_blocking(move || archive.flush()).await;
        }
        n_cut_off
    }
}

/// Tells a client that there is no place for it, and closes.
async fn refuse(mut stream: TcpStream, max_sessions: usize) {
    let text = format!(
        "ERROR    the server has {max_sessions} sessions already\n  wait for one to end, or raise --max-sessions"
    );
    let mut bytes = BytesMut::new();
    if wire::encode(&wire::Message::Text(text), &mut bytes).is_ok()
        && wire::encode(&wire::Message::Close, &mut bytes).is_ok()
    {
        // The client may be gone already: nothing is lost then.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        session::drain(&mut stream, Duration::from_secs(1)).await;
    }
}
