//! Images that outlive the server: in memory for those who watch, and on disk for the next start.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};

use bytes::BytesMut;
use ismrmrd::wire::{self, Decoder, Limits};
use prost::Message;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::live::{ImageStore, StoredImage};
use crate::noise_archive::ArchiveError;
use crate::{private_database, proto};

/// By number: the length of what is said of an image, that, and the image as on the wire.
const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("images");
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
}

impl ImageArchive {
    /// Opens the file, or makes it, and puts what is in it into the store.
    ///
    /// # Errors
    /// [`ArchiveError`]: another program has it, it is damaged, or the disk refuses it.
    pub fn open(path: &Path, images: &mut ImageStore) -> Result<Self, ArchiveError> {
        let fail = |reason: String| ArchiveError { path: path.to_owned(), reason };
        let database = private_database::open(path)?;
        let forgotten = load(&database, images).map_err(|error| fail(error.to_string()))?;
        let (changes, receiver) = mpsc::sync_channel(WAITING_CHANGES);
        let writer = thread::Builder::new()
            .name("image archive".to_owned())
            .spawn(move || write_changes(&database, &receiver))
            .map_err(|error| fail(error.to_string()))?;
        let archive = Self { changes: Some(changes), writer: Some(writer) };
        archive.change(Change::Forget(forgotten));
        Ok(archive)
    }

    /// Keeps a new image, and forgets those that made room for it. Never waits.
    pub fn keep(&self, image: &Arc<StoredImage>, removed: Vec<u64>) {
        self.change(Change::Keep(Arc::clone(image)));
        if !removed.is_empty() {
            self.change(Change::Forget(removed));
        }
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
fn load(database: &Database, images: &mut ImageStore) -> Result<Vec<u64>, redb::Error> {
    // A new file has no table until somebody writes to it.
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    let table = database.begin_read()?.open_table(TABLE)?;
    let mut forgotten = Vec::new();
    for entry in table.iter()? {
        let (id, bytes) = entry?;
        match from_bytes(bytes.value()) {
            Ok(image) => forgotten.extend(images.keep(Arc::new(image))),
            Err(reason) => {
                tracing::warn!("image {} is left out: {reason}", id.value());
                forgotten.push(id.value());
            }
        }
    }
    Ok(forgotten)
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
        for change in changes {
            match change {
                Change::Keep(image) => match to_bytes(image) {
                    Ok(bytes) => _ = table.insert(image.facts.id, bytes.as_slice())?,
                    Err(error) => tracing::warn!("image {}: {error}", image.facts.id),
                },
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
    let mut bytes = Vec::with_capacity(8 + facts.len() + pixels.len());
    bytes.extend_from_slice(&(facts.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&facts);
    bytes.extend_from_slice(&pixels);
    Ok(bytes)
}

fn from_bytes(bytes: &[u8]) -> Result<StoredImage, String> {
    let is_short = || "the entry is too short".to_owned();
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(is_short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| is_short())?;
    let (facts, image) = rest.split_at_checked(length).ok_or_else(is_short)?;
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
        let archive = ImageArchive::open(&path, &mut store).expect("new");
        for id in 1..=3 {
            archive.keep(&image(id), Vec::new());
        }
        archive.keep(&image(4), vec![1, 2]);
        drop(archive);
        let mut store = ImageStore::new(StoreLimits::default());
        let archive = ImageArchive::open(&path, &mut store).expect("it is there");
        let found: Vec<_> = store.iter().map(|image| image.facts.clone()).collect();
        assert_eq!(found, [image(3).facts.clone(), image(4).facts.clone()]);
        assert_eq!(store.get(4).expect("kept").image, image(4).image);
        assert_eq!(store.next_id(), 5);
        drop(archive);
        // A smaller memory forgets the oldest for good.
        let limits = StoreLimits { max_images: 1, ..StoreLimits::default() };
        drop(ImageArchive::open(&path, &mut ImageStore::new(limits)).expect("it is there"));
        let mut store = ImageStore::new(StoreLimits::default());
        ImageArchive::open(&path, &mut store).expect("it is there");
        assert_eq!(store.iter().map(|image| image.facts.id).collect::<Vec<_>>(), [4]);
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
