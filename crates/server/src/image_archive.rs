//! Images that outlive the server: in memory for those who watch, and on disk for the next start.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};

use bytes::BytesMut;
use ismrmrd::wire::{self, Decoder, Limits};
use prost::Message;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use crate::live::{ImageStore, StoredImage, is_personal};
use crate::noise_archive::ArchiveError;
use crate::{private_database, proto};

/// By number: the length of what is said of an image, that, and the image as on the wire.
const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("images");
/// By number: the length of what is said of a session, that, and the header that its client sent.
const SESSIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("sessions");
/// Sessions that are kept.
const MAX_SESSIONS: u64 = 200;
/// Changes that may wait for the disk; more of them are lost for the next start.
const WAITING_CHANGES: usize = 256;

/// Images in a file. A thread of its own writes what changes.
#[derive(Debug)]
pub(crate) struct ImageArchive {
    /// [`None`] only while it is dropped.
    changes: Option<SyncSender<Change>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Change {
    Keep(Arc<StoredImage>),
    Forget(Vec<u64>),
    Session(Box<EndedSession>),
}

/// A session that has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EndedSession {
    pub session: proto::Session,
    /// The MRD header as the client sent it.
    pub header_text: String,
}

impl ImageArchive {
    /// Opens the file, or makes it, and puts the images that are in it into the store. Gives the
    /// sessions as well.
    ///
    /// # Errors
    /// [`ArchiveError`]: another program has it, it is damaged, or the disk refuses it.
    pub fn open(
        path: &Path,
        images: &mut ImageStore,
        hides_patients: bool,
    ) -> Result<(Self, Vec<EndedSession>), ArchiveError> {
        let fail = |reason: String| ArchiveError { path: path.to_owned(), reason };
        let database = private_database::open(path)?;
        let forgotten =
            load(&database, images, hides_patients).map_err(|error| fail(error.to_string()))?;
        let sessions = load_sessions(&database).map_err(|error| fail(error.to_string()))?;
        let (changes, receiver) = mpsc::sync_channel(WAITING_CHANGES);
        let writer = thread::Builder::new()
            .name("image archive".to_owned())
            .spawn(move || write_changes(&database, &receiver))
            .map_err(|error| fail(error.to_string()))?;
        let archive = Self { changes: Some(changes), writer: Some(writer) };
        archive.change(Change::Forget(forgotten));
        Ok((archive, sessions))
    }

    /// Keeps a new image, and forgets those that made room for it. Never waits.
    pub fn keep(&self, image: &Arc<StoredImage>, removed: Vec<u64>) {
        self.change(Change::Keep(Arc::clone(image)));
        if !removed.is_empty() {
            self.change(Change::Forget(removed));
        }
    }

    /// Keeps a session that has ended. Never waits.
    pub fn keep_session(&self, session: EndedSession) {
        self.change(Change::Session(Box::new(session)));
    }

    fn change(&self, change: Change) {
        let Some(changes) = &self.changes else { return };
        match changes.try_send(change) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!("the disk is too slow: an image is kept until the server ends only");
            }
        }
    }
}

impl Drop for ImageArchive {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(writer) = self.writer.take() {
            // A panic in it has been printed by the panic hook already.
            let _ = writer.join();
        }
    }
}

/// Reads the file into memory. Returns the numbers of those that find no room or are not
/// understood.
fn load(
    database: &Database,
    images: &mut ImageStore,
    hides_patients: bool,
) -> Result<Vec<u64>, redb::Error> {
    // A new file has no table until somebody writes to it.
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    let table = database.begin_read()?.open_table(TABLE)?;
    let mut forgotten = Vec::new();
    for entry in table.iter()? {
        let (id, bytes) = entry?;
        match from_bytes(bytes.value()) {
            Ok(mut image) => {
                if hides_patients {
                    // It may have been kept when they were told.
                    image.facts.meta.retain(|entry| !is_personal(&entry.key));
                }
                forgotten.extend(images.keep(Arc::new(image)));
            }
            Err(reason) => {
                tracing::warn!("image {} is left out: {reason}", id.value());
                forgotten.push(id.value());
            }
        }
    }
    Ok(forgotten)
}

/// Sessions in the file, the oldest first; those that are not understood are left out.
fn load_sessions(database: &Database) -> Result<Vec<EndedSession>, redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(SESSIONS)?;
    transaction.commit()?;
    let table = database.begin_read()?.open_table(SESSIONS)?;
    let mut sessions = Vec::new();
    for entry in table.iter()? {
        let (id, bytes) = entry?;
        let read = split(bytes.value()).and_then(|(session, header_text)| {
            let session = proto::Session::decode(session).map_err(|error| error.to_string())?;
            let header_text = String::from_utf8_lossy(header_text).into_owned();
            Ok(EndedSession { session, header_text })
        });
        match read {
            Ok(session) => sessions.push(session),
            Err(reason) => tracing::warn!("session {} is left out: {reason}", id.value()),
        }
    }
    Ok(sessions)
}

fn write_changes(database: &Database, changes: &Receiver<Change>) {
    while let Ok(change) = changes.recv() {
        // What arrived together goes to the disk together.
        let together: Vec<_> = std::iter::once(change).chain(changes.try_iter()).collect();
        if let Err(error) = write(database, &together) {
            tracing::error!("images are not kept beyond this run: {error}");
        }
    }
}

fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        let mut sessions = transaction.open_table(SESSIONS)?;
        for change in changes {
            match change {
                Change::Keep(image) => match to_bytes(image) {
                    Ok(bytes) => _ = table.insert(image.facts.id, bytes.as_slice())?,
                    Err(error) => tracing::warn!("image {}: {error}", image.facts.id),
                },
                Change::Session(ended) => {
                    let EndedSession { session, header_text } = &**ended;
                    let bytes = joined(&session.encode_to_vec(), header_text.as_bytes());
                    sessions.insert(session.id, bytes.as_slice())?;
                    while sessions.len()? > MAX_SESSIONS {
                        drop(sessions.pop_first()?);
                    }
                }
                Change::Forget(ids) => {
                    for id in ids {
                        drop(table.remove(id)?);
                    }
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn to_bytes(image: &StoredImage) -> Result<Vec<u8>, wire::EncodeError> {
    let facts = image.facts.encode_to_vec();
    let mut pixels = BytesMut::new();
    wire::encode_image(&image.image, &mut pixels)?;
    Ok(joined(&facts, &pixels))
}

/// The length of the first, it, and the second.
fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + first.len() + second.len());
    bytes.extend_from_slice(&(first.len() as u64).to_le_bytes());
    bytes.extend_from_slice(first);
    bytes.extend_from_slice(second);
    bytes
}

/// What [`joined`] was made of.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let is_short = || "the entry is too short".to_owned();
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(is_short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| is_short())?;
    rest.split_at_checked(length).ok_or_else(is_short)
}

fn from_bytes(bytes: &[u8]) -> Result<StoredImage, String> {
    let (facts, image) = split(bytes)?;
    let facts = proto::Image::decode(facts).map_err(|error| error.to_string())?;
    let decoded =
        Decoder::new(Limits::default()).decode_slice(image).map_err(|error| error.to_string())?;
    match decoded {
        Some((wire::Message::Image(image), _)) => Ok(StoredImage::new(facts, image)),
        _ => Err("it is no image".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::StoreLimits;
    use ismrmrd::{Image, ImageHeader, Meta};
    use ndarray::Array4;

    fn image(id: u64) -> Arc<StoredImage> {
        let pixels = Array4::from_elem((1, 1, 2, 3), id as f32 + 0.25);
        let image = Image::new(ImageHeader::default(), Meta::from_iter([("Key", "value")]), pixels);
        let facts = proto::Image { id, session: 9, unit: "ms".to_owned(), ..Default::default() };
        Arc::new(StoredImage::new(facts, image))
    }

    #[test]
    fn images_are_there_after_the_next_start_and_numbers_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deeper/images.redb");
        let mut store = ImageStore::new(StoreLimits::default());
        let (archive, sessions) = ImageArchive::open(&path, &mut store, true).expect("new");
        assert!(sessions.is_empty());
        let ended = |id| EndedSession {
            session: proto::Session { id, ..Default::default() },
            header_text: "<x/>".to_owned(),
        };
        (1..=MAX_SESSIONS + 2).for_each(|id| archive.keep_session(ended(id)));
        for id in 1..=3 {
            archive.keep(&image(id), Vec::new());
        }
        archive.keep(&image(4), vec![1, 2]);
        drop(archive);
        let mut store = ImageStore::new(StoreLimits::default());
        let (archive, sessions) = ImageArchive::open(&path, &mut store, true).expect("it is there");
        assert_eq!(sessions, (3..=MAX_SESSIONS + 2).map(ended).collect::<Vec<_>>());
        let found: Vec<_> = store.iter().map(|image| image.facts.clone()).collect();
        assert_eq!(found, [image(3).facts.clone(), image(4).facts.clone()]);
        let (kept, sent) = (&store.get(4).expect("kept").image, image(4));
        assert_eq!((&kept.pixels, &kept.meta), (&sent.image.pixels, &sent.image.meta));
        assert_eq!(store.next_id(), 5);
        drop(archive);
        // A smaller memory forgets the oldest for good.
        let limits = StoreLimits { max_images: 1, ..StoreLimits::default() };
        drop(ImageArchive::open(&path, &mut ImageStore::new(limits), true).expect("it is there"));
        let mut store = ImageStore::new(StoreLimits::default());
        ImageArchive::open(&path, &mut store, true).expect("it is there");
        assert_eq!(store.iter().map(|image| image.facts.id).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn names_that_were_kept_are_not_told_where_they_are_hidden() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("images.redb");
        let entry = |key: &str| proto::MetaEntry { key: key.to_owned(), values: vec![] };
        let mut kept = image(1).facts.clone();
        kept.meta = vec![entry("PatientName"), entry("ImageComments")];
        let kept = Arc::new(StoredImage::new(kept, image(1).image.clone()));
        let new = &mut ImageStore::new(StoreLimits::default());
        let (archive, _) = ImageArchive::open(&path, new, false).expect("new");
        archive.keep(&kept, Vec::new());
        drop(archive);
        let told = |hides_patients| {
            let mut store = ImageStore::new(StoreLimits::default());
            drop(ImageArchive::open(&path, &mut store, hides_patients).expect("it is there"));
            store.get(1).expect("kept").facts.meta.clone()
        };
        assert_eq!(told(true), [entry("ImageComments")]);
        assert_eq!(told(false), kept.facts.meta);
    }

    #[test]
    fn a_damaged_entry_is_left_out() {
        assert!(from_bytes(&[1, 2, 3]).is_err());
        assert!(from_bytes(&u64::MAX.to_le_bytes()).is_err());
        let mut bytes = to_bytes(&image(1)).expect("it has a wire form");
        bytes.truncate(bytes.len() - 5);
        assert!(from_bytes(&bytes).is_err());
    }
}
