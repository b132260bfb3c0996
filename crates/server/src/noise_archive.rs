//! Noise of the channels that outlives the server: in memory for the scans, and on disk for the
//! next start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline::noise::{KeepError, NoiseCovariance, NoiseLimits, NoiseMemory, NoiseStore};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::private_database;

/// By measurement id: ms since 1970 when it was measured, and a file as Gadgetron writes it.
const TABLE: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("noise_covariance");
/// Changes that may wait for the disk; more of them are lost for the next start.
const WAITING_CHANGES: usize = 64;
/// At the end, for the disk to take what waits.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// Noise by measurement id, in a file. Scans find it in memory; a thread of its own writes what
/// changes, so no scan waits for the disk.
#[derive(Debug)]
pub struct NoiseArchive {
    memory: NoiseMemory,
    /// [`None`] only while it is dropped.
    changes: Option<SyncSender<Change>>,
    writer: Option<JoinHandle<()>>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used: {reason}")]
pub struct ArchiveError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

#[derive(Debug)]
enum Change {
    Keep { id: String, since: SystemTime, noise: Arc<NoiseCovariance> },
    Forget(String),
    Flush(SyncSender<()>),
}

impl NoiseArchive {
    /// Opens the file, or makes it, and reads what is in it and not too old.
    ///
    /// # Errors
    /// [`ArchiveError`]: another program has it, it is damaged, or the disk refuses it.
    pub fn open(path: &Path, limits: NoiseLimits) -> Result<Self, ArchiveError> {
        let fail = |reason: String| ArchiveError { path: path.to_owned(), reason };
        let database = private_database::open(path)?;
        let memory = NoiseMemory::new(limits);
        let forgotten = load(&database, &memory).map_err(|error| fail(error.to_string()))?;
        let (changes, receiver) = mpsc::sync_channel(WAITING_CHANGES);
        let writer = thread::Builder::new()
            .name("noise archive".to_owned())
            .spawn(move || write_changes(&database, &receiver))
            .map_err(|error| fail(error.to_string()))?;
        let archive = Self { memory, changes: Some(changes), writer: Some(writer) };
        forgotten.into_iter().for_each(|id| archive.change(Change::Forget(id)));
        Ok(archive)
    }

    /// Waits until the disk has what was kept so far, not for long. Says whether it has.
    pub fn flush(&self) -> bool {
        let (done, is_done) = mpsc::sync_channel(1);
        self.change(Change::Flush(done));
        is_done.recv_timeout(FLUSH_WITHIN).is_ok()
    }

    fn change(&self, change: Change) {
        let Some(changes) = &self.changes else { return };
        match changes.try_send(change) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!("the disk is too slow: noise is kept until the next start only");
            }
        }
    }
}

impl NoiseStore for NoiseArchive {
    fn find(&self, measurement_id: &str) -> Option<Arc<NoiseCovariance>> {
        self.memory.find(measurement_id)
    }

    fn keep(
        &self,
        measurement_id: Option<&str>,
        noise: Arc<NoiseCovariance>,
    ) -> Result<(), KeepError> {
        let id = measurement_id.unwrap_or_default();
        let since = SystemTime::now();
        let forgotten = self.memory.keep_since(id, Arc::clone(&noise), since)?;
        self.change(Change::Keep { id: id.to_owned(), since, noise });
        forgotten.into_iter().for_each(|id| self.change(Change::Forget(id)));
        Ok(())
    }

    fn list(&self) -> Vec<(String, Duration)> {
        self.memory.list()
    }
}

impl Drop for NoiseArchive {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(writer) = self.writer.take() {
            // A panic in it has been printed by the panic hook already.
            let _ = writer.join();
        }
    }
}

/// Reads the file into memory. Returns the ids that are too old, too many or not understood.
fn load(database: &Database, memory: &NoiseMemory) -> Result<Vec<String>, redb::Error> {
    // A new file has no table until somebody writes to it.
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    let table = database.begin_read()?.open_table(TABLE)?;
    let mut forgotten = Vec::new();
    for entry in table.iter()? {
        let (id, value) = entry?;
        let (id, (since_ms, bytes)) = (id.value().to_owned(), value.value());
        let since = UNIX_EPOCH.checked_add(Duration::from_millis(since_ms)).unwrap_or(UNIX_EPOCH);
        match NoiseCovariance::read(bytes) {
            Ok(noise) => match memory.keep_since(&id, Arc::new(noise), since) {
                Ok(gone) => forgotten.extend(gone),
                Err(_) => forgotten.push(id),
            },
            Err(error) => {
                tracing::warn!("kept noise is left out: {error}");
                forgotten.push(id);
            }
        }
    }
    Ok(forgotten)
}

fn write_changes(database: &Database, changes: &Receiver<Change>) {
    let mut waiting = Vec::new();
    while let Ok(change) = changes.recv() {
        // What arrived together goes to the disk together.
        let together = std::iter::once(change).chain(changes.try_iter());
        let done: Vec<_> = together
            .filter_map(|change| match change {
                Change::Flush(done) => Some(done),
                change => {
                    waiting.push(change);
                    None
                }
            })
            .collect();
        match write(database, &waiting) {
            Ok(()) if waiting.is_empty() => {}
            Ok(()) => tracing::info!("{} changes of the kept noise are on disk", waiting.len()),
            Err(error) => tracing::error!("noise is not kept beyond this run: {error}"),
        }
        waiting.clear();
        for done in done {
            // Nobody waits any more.
            let _ = done.send(());
        }
    }
}

fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for change in changes {
            match change {
                Change::Keep { id, since, noise } => {
                    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
                    let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                    table.insert(id.as_str(), (since_ms, noise.to_bytes().as_slice()))?;
                }
                Change::Forget(id) => drop(table.remove(id.as_str())?),
                Change::Flush(_) => {}
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use num_complex::Complex64;

    fn noise(n_channels: usize, variance: f64) -> Arc<NoiseCovariance> {
        Arc::new(NoiseCovariance {
            covariance: Array2::from_diag_elem(n_channels, Complex64::from(variance)),
            labels: Vec::new(),
            n_samples: 1000,
            sample_time_us: 5.0,
            bandwidth_ratio: 0.793,
        })
    }

    #[test]
    fn what_was_kept_is_there_after_the_next_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deeper/noise.redb");
        let archive = NoiseArchive::open(&path, NoiseLimits::default()).expect("new");
        archive.keep(Some("a"), noise(2, 1.0)).expect("there is room");
        archive.keep(Some("a"), noise(2, 4.0)).expect("there is room");
        archive.keep(Some("b"), noise(32, 9.0)).expect("there is room");
        assert_eq!(archive.find("a"), Some(noise(2, 4.0)));
        drop(archive);
        let archive = NoiseArchive::open(&path, NoiseLimits::default()).expect("it is there");
        assert_eq!(archive.find("a"), Some(noise(2, 4.0)));
        assert_eq!(archive.find("b"), Some(noise(32, 9.0)));
        assert!(archive.list().iter().all(|(_, age)| age.as_secs() < 600));
        assert!(archive.flush());
    }

    #[test]
    fn what_made_room_is_gone_from_the_file_as_well() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("noise.redb");
        let limits = NoiseLimits { max_bytes: 40_000, ..NoiseLimits::default() };
        let archive = NoiseArchive::open(&path, limits).expect("new");
        archive.keep(Some("first"), noise(32, 1.0)).expect("there is room");
        archive.keep(Some("second"), noise(32, 1.0)).expect("there is room");
        archive.keep(Some("third"), noise(32, 1.0)).expect("there is room");
        drop(archive);
        let archive = NoiseArchive::open(&path, NoiseLimits::default()).expect("it is there");
        assert!(archive.find("first").is_none());
        assert!(archive.find("third").is_some());
    }

    #[test]
    fn a_file_that_another_has_or_that_is_something_else_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("noise.redb");
        let first = NoiseArchive::open(&path, NoiseLimits::default()).expect("new");
        NoiseArchive::open(&path, NoiseLimits::default()).expect_err("it is taken");
        drop(first);
        std::fs::write(&path, "something else").expect("written");
        let error = NoiseArchive::open(&path, NoiseLimits::default()).expect_err("no archive");
        assert!(error.to_string().contains("noise.redb"), "{error}");
    }
}
