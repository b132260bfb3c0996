//! Writing one session's journal beside the session, on a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::journal::format::preamble;
use crate::journal::store::ActiveSession;
use crate::journal::{JournalStore, Piece, SessionInfo};

/// Pieces that may wait for the disk.
const WAITING_PIECES: usize = 16;
/// A disk that does not take a block for so long must not hold up the scan.
const STALL_LIMIT: Duration = Duration::from_secs(2);
/// After so many bytes old sessions are looked for again.
const PRUNE_EVERY_BYTES: u64 = 256 << 20;

/// The journal of this session has stopped; the scan goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal has stopped: {reason}; the scan goes on and cannot be replayed from here")]
pub struct JournalStopped {
    /// What the disk said.
    pub reason: String,
}

/// Takes what arrives on one connection.
#[derive(Debug)]
pub struct JournalWriter {
    pieces: Option<mpsc::Sender<Arc<Piece>>>,
    failure: Arc<Mutex<Option<String>>>,
}

/// Opens the file so that what is written goes to the disk past the page cache: it does not
/// displace what the machine works with, and costs no copy. File systems that cannot do so
/// (tmpfs) get the ordinary way.
fn open(path: &Path, preamble: &[u8]) -> io::Result<File> {
    let write = |mut file: File| file.write_all(preamble).map(|()| file);
    let direct = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path);
    direct.and_then(write).or_else(|_| OpenOptions::new().write(true).open(path).and_then(write))
}

impl JournalWriter {
    pub(crate) fn start(
        path: &Path,
        info: &SessionInfo,
        store: Arc<JournalStore>,
        active: ActiveSession,
    ) -> io::Result<Self> {
        let preamble = preamble(info);
        let mut first = Piece::with_capacity(preamble.len());
        let mut file = open(path, first.raw(&preamble))?;
        let (pieces, mut receiver) = mpsc::channel::<Arc<Piece>>(WAITING_PIECES);
        let failure = Arc::new(Mutex::new(None));
        let own_failure = Arc::clone(&failure);
        let work = move || {
            let _active = active;
            let mut since_prune = 0;
            while let Some(piece) = receiver.blocking_recv() {
                let written = file.write_all(piece.block()).map_err(|error| error.to_string());
                since_prune += piece.block().len() as u64;
                let written = written.and_then(|()| {
                    if since_prune < PRUNE_EVERY_BYTES {
                        return Ok(());
                    }
                    since_prune = 0;
                    store.prune()
                });
                if let Err(reason) = written {
                    *own_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                    return;
                }
            }
        };
        thread::Builder::new().name(format!("s{} journal", info.session)).spawn(work)?;
        Ok(Self { pieces: Some(pieces), failure })
    }

    /// Adds a piece as it arrived. Waits for the disk for two seconds at most.
    ///
    /// # Errors
    /// Once, when the journal stops; after that it does nothing.
    pub async fn append(&mut self, piece: Arc<Piece>) -> Result<(), JournalStopped> {
        let Some(pieces) = &self.pieces else { return Ok(()) };
        let reason = match tokio::time::timeout(STALL_LIMIT, pieces.send(piece)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(_)) => self
                .failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .unwrap_or_else(|| "its thread has ended".to_owned()),
            Err(_) => format!("the disk took nothing for {} s", STALL_LIMIT.as_secs()),
        };
        self.pieces = None;
        Err(JournalStopped { reason })
    }

    /// Notes why the session ended, `arrival_us` after it began.
    ///
    /// # Errors
    /// When the journal stops here.
    pub async fn finish(mut self, reason: &str, arrival_us: u64) -> Result<(), JournalStopped> {
        self.append(Arc::new(Piece::end(reason, arrival_us))).await
    }
}
