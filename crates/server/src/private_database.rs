//! A database of one file that only the server's user reads.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::Database;
use redb::backends::FileBackend;

use crate::noise_archive::ArchiveError;

/// Memory for pages of the file: it is read once.
const CACHE_BYTES: usize = 1 << 20;

/// Opens the file, or makes it and its folder. Patients and measurements are nobody else's business.
///
/// # Errors
/// [`ArchiveError`]: another program has it, it is damaged, or the disk refuses it.
pub(crate) fn open(path: &Path) -> Result<Database, ArchiveError> {
    let fail = |reason: String| ArchiveError { path: path.to_owned(), reason };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| fail(error.to_string()))?;
    }
    let mut file = OpenOptions::new();
    file.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = file.open(path).map_err(|error| fail(error.to_string()))?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    FileBackend::new(file)
        .and_then(|backend| builder.create_with_backend(backend))
        .map_err(|error| fail(error.to_string()))
}
