//! Maps of patients that outlive the server: in memory for the scans, and on disk for the next
//! start.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pipeline::map_store::{KeptMap, MapLimits, MapMemory, MapStore};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::noise_archive::ArchiveError;
use crate::private_database;

/// By name: a map as [`KeptMap::to_bytes`] has it.
const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("maps");
/// Changes that may wait for the disk; more of them are lost for the next start.
const WAITING_CHANGES: usize = 64;
/// How often it is looked for maps that have become too old, also where nobody writes.
const PURGE_EVERY: Duration = Duration::from_secs(3600);

/// Maps in a file. Scans find them in memory; a thread of its own writes what changes.
#[derive(Debug)]
pub struct MapArchive {
    memory: Arc<MapMemory>,
    /// [`None`] only while it is dropped.
    changes: Option<SyncSender<Change>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Change {
    Keep(String, Arc<KeptMap>),
    Forget(String),
}

impl MapArchive {
    /// Opens the file, or makes it, and reads what is in it and not too old.
    ///
    /// # Errors
    /// [`ArchiveError`]: another program has it, it is damaged, or the disk refuses it.
    pub fn open(path: &Path, limits: MapLimits) -> Result<Self, ArchiveError> {
        let fail = |reason: String| ArchiveError { path: path.to_owned(), reason };
        let database = private_database::open(path)?;
        let memory = Arc::new(MapMemory::new(limits));
        let forgotten = load(&database, &memory).map_err(|error| fail(error.to_string()))?;
        let (changes, receiver) = mpsc::sync_channel(WAITING_CHANGES);
        let writer = thread::Builder::new()
            .name("map archive".to_owned())
            .spawn({
                let memory = Arc::clone(&memory);
                move || write_changes(&database, &receiver, &memory)
            })
            .map_err(|error| fail(error.to_string()))?;
        let archive = Self { memory, changes: Some(changes), writer: Some(writer) };
        forgotten.into_iter().for_each(|name| archive.change(Change::Forget(name)));
        Ok(archive)
    }

    fn change(&self, change: Change) {
        let Some(changes) = &self.changes else { return };
        match changes.try_send(change) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!("the disk is too slow: a map is kept until the next start only");
            }
        }
    }
}

impl MapStore for MapArchive {
    fn find(&self, key: &str) -> Vec<Arc<KeptMap>> {
        self.memory.find(key)
    }

    fn keep(&self, key: &str, map: KeptMap) {
        let (name, map) = (MapMemory::name(key, &map), Arc::new(map));
        let forgotten = self.memory.keep_named(name.clone(), Arc::clone(&map));
        self.change(Change::Keep(name, map));
        forgotten.into_iter().for_each(|name| self.change(Change::Forget(name)));
    }
}

impl Drop for MapArchive {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(writer) = self.writer.take() {
            // A panic in it has been printed by the panic hook already.
            let _ = writer.join();
        }
    }
}

/// Reads the file into memory. Returns the names that are too old, too many or not understood.
fn load(database: &Database, memory: &MapMemory) -> Result<Vec<String>, redb::Error> {
    // A new file has no table until somebody writes to it.
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    let table = database.begin_read()?.open_table(TABLE)?;
    let mut forgotten = Vec::new();
    for entry in table.iter()? {
        let (name, bytes) = entry?;
        let name = name.value().to_owned();
        match KeptMap::read(bytes.value()) {
            Ok(map) => forgotten.extend(memory.keep_named(name, Arc::new(map))),
            Err(error) => {
                tracing::warn!("{error}: it is left out");
                forgotten.push(name);
            }
        }
    }
    Ok(forgotten)
}

fn write_changes(database: &Database, changes: &Receiver<Change>, memory: &MapMemory) {
    loop {
        let together: Vec<_> = match changes.recv_timeout(PURGE_EVERY) {
            // What arrived together goes to the disk together.
            Ok(change) => std::iter::once(change).chain(changes.try_iter()).collect(),
            Err(RecvTimeoutError::Timeout) => {
                memory.purge().into_iter().map(Change::Forget).collect()
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if together.is_empty() {
            continue;
        }
        if let Err(error) = write(database, &together) {
            tracing::error!("maps are not kept beyond this run: {error}");
        }
    }
}

fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for change in changes {
            match change {
                Change::Keep(name, map) => {
                    table.insert(name.as_str(), map.to_bytes().as_slice())?;
                }
                Change::Forget(name) => drop(table.remove(name.as_str())?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;
    use std::time::SystemTime;

    #[test]
    fn what_was_kept_is_there_after_the_next_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deeper/maps.redb");
        let map = KeptMap {
            is_after_contrast: false,
            since: SystemTime::now(),
            place: Default::default(),
            values: Array3::from_elem((1, 2, 2), 1000.0),
            sd: Array3::from_elem((1, 2, 2), 20.0),
            check: None,
        };
        let archive = MapArchive::open(&path, MapLimits::default()).expect("new");
        archive.keep("patient", map.clone());
        drop(archive);
        let archive = MapArchive::open(&path, MapLimits::default()).expect("it is there");
        let [found] = &archive.find("patient")[..] else { panic!("one map") };
        assert_eq!((&found.values, &found.sd), (&map.values, &map.sd));
        assert!(archive.find("other").is_empty());
    }
}
