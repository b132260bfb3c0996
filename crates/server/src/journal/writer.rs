//! Writing one session's journal beside the session, on a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::journal::format::{ALIGNMENT, KIND_DATA, KIND_END, block_header, preamble};
use crate::journal::store::ActiveSession;
use crate::journal::{JournalStore, SessionInfo};

/// Blocks that may wait for the disk.
const WAITING_BLOCKS: usize = 16;
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
    blocks: Option<mpsc::Sender<Block>>,
    spare: mpsc::Receiver<Block>,
    failure: Arc<Mutex<Option<String>>>,
    started: Instant,
}

/// A piece of the file whose beginning and length are multiples of [`ALIGNMENT`], in memory too.
#[derive(Debug, Default)]
struct Block {
    memory: Vec<u8>,
    first: usize,
}

impl Block {
    /// Puts `parts` one behind the other, and zeros up to the next multiple.
    fn fill(&mut self, parts: [&[u8]; 2]) {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        self.memory.clear();
        self.memory.reserve(length.next_multiple_of(ALIGNMENT) + ALIGNMENT);
        // Only memory that does not move any more has a place.
        self.first = self.memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        self.memory.resize(self.first, 0);
        parts.iter().for_each(|part| self.memory.extend_from_slice(part));
        self.memory.resize(self.first + length.next_multiple_of(ALIGNMENT), 0);
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.first..]
    }
}

/// Opens the file so that what is written goes to the disk past the page cache: it does not
/// displace what the machine works with, and costs no copy. File systems that cannot do so
/// (tmpfs) get the ordinary way.
fn open(path: &Path, preamble: &Block) -> io::Result<File> {
    let write = |mut file: File| file.write_all(preamble.bytes()).map(|()| file);
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
        let mut first = Block::default();
        first.fill([&preamble(info), &[]]);
        let mut file = open(path, &first)?;
        let (blocks, mut receiver) = mpsc::channel::<Block>(WAITING_BLOCKS);
        let (give_back, spare) = mpsc::channel(WAITING_BLOCKS);
        let failure = Arc::new(Mutex::new(None));
        let own_failure = Arc::clone(&failure);
        let work = move || {
            let _active = active;
            let mut since_prune = 0;
            while let Some(block) = receiver.blocking_recv() {
                let written = file.write_all(block.bytes()).map_err(|error| error.to_string());
                since_prune += block.bytes().len() as u64;
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
                // The session has ended: the buffer is not needed any more.
                let _ = give_back.try_send(block);
            }
        };
        thread::Builder::new().name(format!("s{} journal", info.session)).spawn(work)?;
        Ok(Self { blocks: Some(blocks), spare, failure, started: Instant::now() })
    }

    /// Adds bytes as they arrived. Waits for the disk for two seconds at most.
    ///
    /// # Errors
    /// Once, when the journal stops; after that it does nothing.
    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), JournalStopped> {
        self.write(KIND_DATA, bytes).await
    }

    /// Notes why the session ended.
    ///
    /// # Errors
    /// When the journal stops here.
    pub async fn finish(mut self, reason: &str) -> Result<(), JournalStopped> {
        self.write(KIND_END, reason.as_bytes()).await
    }

    async fn write(&mut self, kind: u32, bytes: &[u8]) -> Result<(), JournalStopped> {
        let Some(blocks) = &self.blocks else { return Ok(()) };
        let arrival_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut block = self.spare.try_recv().unwrap_or_default();
        block.fill([&block_header(kind, bytes.len(), arrival_us), bytes]);
        let reason = match tokio::time::timeout(STALL_LIMIT, blocks.send(block)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(_)) => self
                .failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .unwrap_or_else(|| "its thread has ended".to_owned()),
            Err(_) => format!("the disk took nothing for {} s", STALL_LIMIT.as_secs()),
        };
        self.blocks = None;
        Err(JournalStopped { reason })
    }
}
