//! One handle per file and process.
//!
//! HDF5 1.10 lets the parts of a process that open the same dataset through handles of their own
//! share its description, which refers to the first handle. Once that is closed, the others read
//! samples from whatever file comes to lie in its memory. So whoever opens a file that is open
//! already gets the same handle, which is closed when the last of them is done.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ::hdf5::File;

use super::error::{FileError, Place};
use super::file_lock::LockedFile;

struct OpenFile {
    identity: Identity,
    file: Weak<LockedFile>,
}

static OPEN_FILES: Mutex<Vec<OpenFile>> = Mutex::new(Vec::new());

/// What makes a file the same, as HDF5 sees it: device and inode, elsewhere the full path.
#[derive(PartialEq, Eq)]
enum Identity {
    #[cfg_attr(not(unix), expect(dead_code))]
    Inode(u64, u64),
    #[cfg_attr(unix, expect(dead_code))]
    Path(PathBuf),
}

impl Identity {
    #[cfg(unix)]
    fn of(path: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path)?;
        Ok(Self::Inode(metadata.dev(), metadata.ino()))
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> std::io::Result<Self> {
        std::fs::canonicalize(path).map(Self::Path)
    }
}

/// The handle of a file for reading. It may be that of a writer.
pub(super) fn open_to_read(path: &Path) -> Result<Arc<LockedFile>, FileError> {
    open(path, |already_open| match already_open {
        Some(file) => Ok(file),
        None => File::open(path).map(arc).map_err(|error| cannot_open(path, error)),
    })
}

/// The handle of a file that `open_to_write` opens or creates.
///
/// # Errors
/// Where the process has the file open already: two writers would overwrite each other's rows.
pub(super) fn open_to_write(
    path: &Path,
    open_to_write: impl FnOnce(&Path) -> ::hdf5::Result<File>,
) -> Result<Arc<LockedFile>, FileError> {
    open(path, |already_open| match already_open {
        Some(_) => {
            let what = "is open in this program already; close it before writing to it";
            Err(place(path).layout(what.to_owned()))
        }
        None => open_to_write(path).map(arc).map_err(|error| cannot_open(path, error)),
    })
}

fn open(
    path: &Path,
    open: impl FnOnce(Option<Arc<LockedFile>>) -> Result<Arc<LockedFile>, FileError>,
) -> Result<Arc<LockedFile>, FileError> {
    let mut open_files = OPEN_FILES.lock().unwrap_or_else(PoisonError::into_inner);
    open_files.retain(|known| known.file.strong_count() > 0);
    // A file that is to be created has no identity yet.
    let already_open = Identity::of(path).ok().and_then(|identity| {
        open_files.iter().find(|known| known.identity == identity)?.file.upgrade()
    });
    let is_known = already_open.is_some();
    let file = open(already_open)?;
    if !is_known {
        let io_error = |source| FileError::Io { file: path.to_owned(), source };
        let identity = Identity::of(path).map_err(io_error)?;
        open_files.push(OpenFile { identity, file: Arc::downgrade(&file) });
    }
    Ok(file)
}

fn arc(file: File) -> Arc<LockedFile> {
    Arc::new(file.into())
}

/// HDF5 has no code of its own for a lock.
fn cannot_open(path: &Path, error: ::hdf5::Error) -> FileError {
    match error.to_string().contains("unable to lock file") {
        true => FileError::Busy { file: path.to_owned() },
        false => place(path).library("open", error),
    }
}

fn place(path: &Path) -> Place {
    Place { file: path.to_owned(), object: "/".to_owned() }
}
