//! A folder of objects that wait for their archive, one folder in it for each archive.
//!
//! ```text
//! outbox/
//!   lock                        held by the program that sends
//!   PACS_host_104-12345678/
//!     destination.toml          the archive
//!     00001732693000123456-000001.dcm
//!     refused/                  what the archive does not want, each with a .txt that says why
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::destination::Destination;

/// Refused objects of one archive that are kept.
const MAX_REFUSED: usize = 1000;
/// A file that has been in the writing for longer is nobody's any more.
const HALF_WRITTEN_FOR: Duration = Duration::from_secs(3600);
const DESTINATION_FILE: &str = "destination.toml";

/// The folder of one archive.
#[derive(Clone, Debug)]
pub(crate) struct SpoolFolder(PathBuf);

static NEXT: AtomicU64 = AtomicU64::new(0);

impl SpoolFolder {
    /// That of an archive; it is made where it is missing.
    pub fn of(outbox: &Path, to: &Destination) -> io::Result<Self> {
        let folder = outbox.join(to.folder());
        fs::create_dir_all(folder.join("refused"))?;
        let file = folder.join(DESTINATION_FILE);
        if !file.exists() {
            let text = toml::to_string(to).map_err(io::Error::other)?;
            write_whole(&file, text.as_bytes())?;
        }
        Ok(Self(folder))
    }

    /// All that are there, with their archives. Folders without a readable one are told and left out.
    pub fn all(outbox: &Path) -> Vec<(Self, Destination)> {
        let entries = fs::read_dir(outbox).into_iter().flatten().flatten();
        let folder = |entry: fs::DirEntry| {
            let path = entry.path();
            let text = fs::read_to_string(path.join(DESTINATION_FILE)).ok()?;
            match toml::from_str(&text) {
                Ok(destination) => Some((Self(path), destination)),
                Err(error) => {
                    tracing::warn!("{} names no archive: {error}", path.display());
                    None
                }
            }
        };
        entries.filter_map(folder).collect()
    }

    /// Puts an object in.
    pub fn put(&self, bytes: &[u8]) -> io::Result<()> {
        write_whole(&self.0.join(next_name()), bytes)
    }

    /// Objects that wait, the oldest first.
    pub fn waiting(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "dcm"))
            .collect();
        files.sort();
        files
    }

    /// Puts one that could not be taken now behind the others.
    pub fn put_behind(&self, file: &Path) -> io::Result<()> {
        fs::rename(file, self.0.join(next_name()))
    }

    /// Puts away what the archive refused, with the reason. The oldest of too many are deleted; gives
    /// their bytes.
    pub fn refuse(&self, file: &Path, reason: &str) -> io::Result<u64> {
        let refused = self.0.join("refused");
        fs::create_dir_all(&refused)?;
        let name = file.file_name().unwrap_or_default();
        let to = refused.join(name);
        fs::write(to.with_extension("txt"), format!("{reason}\n"))?;
        fs::rename(file, &to)?;
        let mut kept: Vec<PathBuf> = fs::read_dir(&refused)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "dcm"))
            .collect();
        kept.sort();
        let n_too_many = kept.len().saturating_sub(MAX_REFUSED);
        let mut n_bytes = 0;
        for old in &kept[..n_too_many] {
            n_bytes += fs::metadata(old)?.len();
            fs::remove_file(old)?;
            // The reason may have been deleted by somebody.
            let _ = fs::remove_file(old.with_extension("txt"));
        }
        Ok(n_bytes)
    }

    /// Deletes what a program that was killed has left half written.
    pub fn clean(&self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let path = entry.path();
            let age = entry.metadata().and_then(|m| m.modified()).map(|at| at.elapsed());
            let is_old = matches!(age, Ok(Ok(age)) if age > HALF_WRITTEN_FOR);
            if is_old && path.extension().is_some_and(|ending| ending == "part") {
                // The next start tries it again.
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Bytes of the objects in it.
    pub fn n_bytes(&self) -> u64 {
        let in_folder = |folder: &Path| -> u64 {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "dcm"))
                .filter_map(|entry| entry.metadata().ok())
                .filter(|m| m.is_file())
                .map(|m| m.len())
                .sum()
        };
        in_folder(&self.0) + in_folder(&self.0.join("refused"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A name behind all that there are.
fn next_name() -> String {
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{now_us:020}-{}-{n:06}.dcm", std::process::id())
}

/// Writes a file such that it is there as a whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(part, path)
}
