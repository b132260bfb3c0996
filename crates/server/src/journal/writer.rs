//! Writing one session's journal beside the session, on a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::journal::format::preamble;
use crate::journal::{JournalStore, Piece, SessionInfo};

/// Pieces that may wait for the disk.
const WAITING_PIECES: usize = 16;
/// A disk that does not take a block for so long must not hold up the scan.
const STALL_LIMIT: Duration = Duration::from_secs(2);
/// Nor one that is too slow again and again.
const PATIENCE: Duration = Duration::from_secs(10);
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
    /// Why the thread has ended: gives [`None`] after all was written.
    ended: oneshot::Receiver<Option<String>>,
    /// How much longer this session waits for the disk in all.
    patience: Duration,
}

/// Opens the file so that what is written goes to the disk past the page cache: it does not
/// displace what the machine works with, and costs no copy. File systems that cannot do so
/// (tmpfs) get the ordinary way.
fn open(path: &Path, preamble: &[u8]) -> io::Result<File> {
    let write = |mut file: File| file.write_all(preamble).map(|()| file);
    let direct = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path);
    direct.and_then(write).or_else(|_| OpenOptions::new().write(true).open(path).and_then(write))
}

/// Writes whole blocks. A full disk costs the oldest session, as long as there is one.
fn write(file: &mut File, pieces: &[Arc<Piece>], store: &JournalStore) -> Result<(), String> {
    let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece.block())).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err("the disk takes no more".to_owned()),
            Ok(n) => IoSlice::advance_slices(&mut left, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull && store.delete_oldest() => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

impl JournalWriter {
    pub(crate) fn start(
        path: &Path,
        info: &SessionInfo,
        store: Arc<JournalStore>,
    ) -> io::Result<Self> {
        let preamble = preamble(info);
        let mut first = Piece::with_capacity(preamble.len());
        let mut file = open(path, first.raw(&preamble))?;
        let (pieces, mut receiver) = mpsc::channel::<Arc<Piece>>(WAITING_PIECES);
        let (end, ended) = oneshot::channel();
        // Held until the thread ends: who tidies the folder leaves a locked file alone.
        file.try_lock().map_err(|error| io::Error::other(error.to_string()))?;
        let work = move || {
            let mut since_prune = 0;
            let mut pieces = Vec::with_capacity(WAITING_PIECES);
            // All that wait are written at once: a disk is far faster with large writes.
            while receiver.blocking_recv_many(&mut pieces, WAITING_PIECES) > 0 {
                let written = write(&mut file, &pieces, &store);
                since_prune += pieces.iter().map(|piece| piece.block().len() as u64).sum::<u64>();
                pieces.clear();
                let written = written.and_then(|()| {
                    if since_prune < PRUNE_EVERY_BYTES {
                        return Ok(());
                    }
                    since_prune = 0;
                    store.prune()
                });
                if let Err(reason) = written {
                    // The session has gone: nobody asks any more.
                    let _ = end.send(Some(reason));
                    return;
                }
            }
            drop(file);
            let _ = end.send(None);
        };
        thread::Builder::new().name(format!("s{} journal", info.session)).spawn(work)?;
        Ok(Self { pieces: Some(pieces), ended, patience: PATIENCE })
    }

    /// Adds a piece as it arrived. Waits for the disk for two seconds at most.
    ///
    /// # Errors
    /// Once, when the journal stops; after that it does nothing.
    pub async fn append(&mut self, piece: Arc<Piece>) -> Result<(), JournalStopped> {
        let Some(pieces) = &self.pieces else { return Ok(()) };
        let started = Instant::now();
        let sent = tokio::time::timeout(STALL_LIMIT.min(self.patience), pieces.send(piece)).await;
        self.patience = self.patience.saturating_sub(started.elapsed());
        let reason = match sent {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(_)) => (&mut self.ended).await.unwrap_or_default(),
            Err(_) => None,
        };
        self.pieces = None;
        Err(JournalStopped { reason: reason.unwrap_or_else(|| "the disk is too slow".to_owned()) })
    }

    /// Notes why the session ended, `arrival_us` after it began, and waits until all is written.
    ///
    /// # Errors
    /// When the journal stops here.
    pub async fn finish(mut self, reason: &str, arrival_us: u64) -> Result<(), JournalStopped> {
        self.append(Arc::new(Piece::end(reason, arrival_us))).await?;
        self.pieces = None;
        match tokio::time::timeout(STALL_LIMIT, &mut self.ended).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(reason))) => Err(JournalStopped { reason }),
            Ok(Err(_)) => Err(JournalStopped { reason: "its thread has panicked".to_owned() }),
            Err(_) => Err(JournalStopped { reason: "the disk is too slow".to_owned() }),
        }
    }
}
