//! The folder of journals: numbering sessions, deleting old ones, finding one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::JournalSettings;
use crate::journal::{JournalError, JournalReader, JournalWriter, SessionInfo};

const PREFIX: &str = "session-";
const ENDING: &str = ".journal";

/// The folder of journals.
#[derive(Debug)]
pub struct JournalStore {
    settings: JournalSettings,
    next_session: AtomicU64,
}

/// One journal of the folder.
#[derive(Debug)]
pub struct JournalEntry {
    /// Number of the session.
    pub session: u64,
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

impl JournalStore {
    /// Opens the folder, makes it where it is missing, and goes on with the numbers of the
    /// sessions that are in it.
    ///
    /// # Errors
    /// The folder cannot be made or listed.
    pub fn open(settings: JournalSettings) -> io::Result<Self> {
        // What patients' scans contain is for the server's own user.
        DirBuilder::new().recursive(true).mode(0o700).create(&settings.directory)?;
        let store = Self { settings, next_session: AtomicU64::new(1) };
        let last = store.list()?.last().map_or(0, |entry| entry.session);
        store.next_session.store(last + 1, Ordering::Relaxed);
        Ok(store)
    }

    /// Numbers of new sessions are larger than this one too.
    pub fn go_on_after(&self, session: u64) {
        self.next_session.fetch_max(session.saturating_add(1), Ordering::Relaxed);
    }

    /// A number for a new session, larger than all in the folder.
    pub fn next_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    /// Begins the journal of a new session and gives its number.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin(self: &Arc<Self>, peer: &str) -> io::Result<(u64, JournalWriter)> {
        // What cannot be deleted now is tried again later; the writer reports it then.
        let _ = self.prune();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut file = OpenOptions::new();
        file.write(true).create_new(true).mode(0o600);
        let session = loop {
            let session = self.next_session();
            match file.open(self.path(session)) {
                Ok(_) => break session,
                // Another server works in the same folder.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let info = SessionInfo {
            session,
            started_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            peer: peer.to_owned(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let path = self.path(session);
        let writer = JournalWriter::start(&path, &info, Arc::clone(self)).inspect_err(|_| {
            // Nothing is in it; one that stays is only an empty file.
            let _ = fs::remove_file(&path);
        })?;
        Ok((session, writer))
    }

    /// All journals, the oldest session first.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list(&self) -> io::Result<Vec<JournalEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.settings.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(session) = name.to_str().and_then(session_of) else { continue };
            // A file that vanished meanwhile is none.
            let Ok(metadata) = entry.metadata() else { continue };
            entries.push(JournalEntry {
                session,
                path: entry.path(),
                bytes: metadata.len(),
                modified: metadata.modified().unwrap_or(UNIX_EPOCH),
            });
        }
        entries.sort_by_key(|entry| entry.session);
        Ok(entries)
    }

    /// Opens the journal of a session.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn read(&self, session: u64) -> Result<JournalReader, JournalError> {
        JournalReader::open(&self.path(session))
    }

    /// Path of a session's journal.
    pub fn path(&self, session: u64) -> PathBuf {
        path_in(&self.settings.directory, session)
    }

    /// Deletes ended sessions, the oldest first, until what is left is young and small enough.
    ///
    /// # Errors
    /// The running sessions alone are too large, or the folder cannot be listed.
    pub(crate) fn prune(&self) -> Result<(), String> {
        let entries = self.list().map_err(|error| error.to_string())?;
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in &entries {
            let age = SystemTime::now().duration_since(entry.modified).unwrap_or_default();
            let is_over = total > self.settings.max_bytes || age > self.settings.max_age;
            if is_over && delete_if_ended(&entry.path) {
                total -= entry.bytes;
            }
        }
        if total > self.settings.max_bytes {
            let limit = self.settings.max_bytes >> 20;
            return Err(format!("the running sessions fill its limit of {limit} MiB"));
        }
        Ok(())
    }

    /// Deletes the oldest ended session, for room on a full disk; whether there was one.
    pub(crate) fn delete_oldest(&self) -> bool {
        self.list().is_ok_and(|entries| entries.iter().any(|entry| delete_if_ended(&entry.path)))
    }
}

/// Deletes a journal that no writer, of this server or of another one, holds a lock on.
fn delete_if_ended(path: &Path) -> bool {
    let is_ended = File::open(path).is_ok_and(|file| file.try_lock().is_ok());
    is_ended && fs::remove_file(path).is_ok()
}

/// Path of a session's journal in a folder of journals.
pub fn path_in(directory: &Path, session: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{session:06}{ENDING}"))
}

fn session_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(ENDING)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Piece;
    use std::io::Read;
    use std::time::Duration;

    fn store(directory: &Path, max_bytes: u64) -> Arc<JournalStore> {
        let settings = JournalSettings {
            directory: directory.to_owned(),
            max_bytes,
            max_age: Duration::from_secs(3600),
        };
        Arc::new(JournalStore::open(settings).expect("the folder is there"))
    }

    async fn write(store: &Arc<JournalStore>, pieces: &[&[u8]]) -> u64 {
        let (session, mut writer) = store.begin("peer").expect("the file can be made");
        for bytes in pieces {
            let mut piece = Piece::with_capacity(16 + bytes.len());
            piece.space()[..bytes.len()].copy_from_slice(bytes);
            piece.seal(bytes.len(), 3);
            writer.append(Arc::new(piece)).await.expect("the disk takes it");
        }
        writer.finish("CLOSE", 4).await.expect("the disk takes it");
        session
    }

    #[tokio::test]
    async fn what_was_written_is_read_back_with_its_pieces_and_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path(), 1 << 20);
        let session = write(&store, &[b"abc", b"", b"defg"]).await;
        let mut reader = store.read(session).expect("it is a journal");
        assert_eq!(reader.info().peer, "peer");
        let mut pieces = Vec::new();
        while let Some(block) = reader.next_block().expect("it is whole") {
            pieces.push(block.bytes);
        }
        assert_eq!(pieces, [b"abc".to_vec(), vec![], b"defg".to_vec()]);
        assert_eq!(reader.end(), Some("CLOSE"));
        let mut bytes = Vec::new();
        store.read(session).expect("a journal").read_to_end(&mut bytes).expect("readable");
        assert_eq!(bytes, b"abcdefg");
    }

    #[tokio::test]
    async fn a_torn_file_gives_what_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path(), 1 << 20);
        let session = write(&store, &[b"0123456789", b"abcdefghij"]).await;
        let whole = fs::read(store.path(session)).expect("readable");
        // The description, two pieces and the end have a block each: cut into the second piece.
        assert_eq!(whole.len(), 4 * 4096);
        fs::write(store.path(session), &whole[..2 * 4096 + 16 + 6]).expect("writable");
        let mut bytes = Vec::new();
        let mut reader = store.read(session).expect("a journal");
        reader.read_to_end(&mut bytes).expect("readable");
        assert_eq!(bytes, b"0123456789abcdef");
        assert_eq!(reader.end(), None);
    }

    #[tokio::test]
    async fn the_oldest_sessions_make_room_and_numbers_go_on_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let piece = [7; 4000];
        let first = store(folder.path(), 30_000);
        for _ in 0..3 {
            write(&first, &[&piece]).await;
        }
        first.prune().expect("there is room");
        let left: Vec<_> = first.list().expect("listed").iter().map(|e| e.session).collect();
        assert_eq!(left, [2, 3], "a file has three blocks of 4096 bytes: two are below 30000");
        assert_eq!(store(folder.path(), 30_000).next_session(), 4);
        // Sessions without a journal had numbers too.
        let later = store(folder.path(), 30_000);
        later.go_on_after(9);
        later.go_on_after(2);
        assert_eq!(later.next_session(), 10);
    }

    #[tokio::test]
    async fn a_session_that_still_writes_is_not_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path(), 1);
        let (session, writer) = store.begin("peer").expect("the file can be made");
        assert!(store.prune().is_err() && !store.delete_oldest());
        assert!(store.path(session).exists());
        // A second server in the same folder takes another number.
        let other = JournalStore::open(store.settings.clone()).map(Arc::new).expect("opened");
        other.next_session.store(session, Ordering::Relaxed);
        let (next, _) = other.begin("peer").expect("the file can be made");
        assert_eq!(next, session + 1);
        writer.finish("CLOSE", 0).await.expect("the disk takes it");
        assert!(store.delete_oldest() && !store.path(session).exists());
    }

    #[test]
    fn other_files_are_refused_with_a_sentence() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        fs::write(&path, b"something quite different, and long").expect("writable");
        let error = JournalReader::open(&path).expect_err("it is no journal");
        assert!(error.to_string().contains("its first bytes are others"));
    }
}
