//! Memory that a model's process shares with the server: what goes into a network and comes out
//! of it crosses without passing through the kernel piece by piece.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use memmap2::{MmapOptions, MmapRaw};

/// Memory of two processes. They take turns: who has sent an order or a reply through the socket
/// leaves the memory alone until the answer to it.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    file: File,
    /// [`None`] while it is empty.
    map: Option<MmapRaw>,
}

impl SharedMemory {
    /// New memory, empty. It cannot be made smaller by either process, so that no access to it
    /// can fail.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: anonymous_file()?, map: None })
    }

    /// The memory of the process that has made it.
    pub fn of(file: OwnedFd) -> Self {
        Self { file: file.into(), map: None }
    }

    /// For the other process.
    ///
    /// # Errors
    /// The system's.
    pub fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }

    /// Makes room for so many bytes.
    ///
    /// # Errors
    /// The system's: there may be no memory.
    pub fn reserve(&mut self, n_bytes: usize) -> io::Result<()> {
        if self.len() >= n_bytes {
            return Ok(());
        }
        let mut len = self.file.metadata()?.len();
        if len < n_bytes as u64 {
            len = n_bytes.next_multiple_of(PAGE_BYTES) as u64;
            self.file.set_len(len)?;
        }
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.map = None;
        self.map = Some(MmapOptions::new().len(len).map_raw(&self.file)?);
        Ok(())
    }

    fn len(&self) -> usize {
        self.map.as_ref().map_or(0, MmapRaw::len)
    }

    fn start_of(&self, offset: usize, n_bytes: usize) -> io::Result<*mut u8> {
        let fits = offset.checked_add(n_bytes).is_some_and(|end| end <= self.len());
        match &self.map {
            Some(map) if fits => Ok(map.as_mut_ptr().wrapping_add(offset)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "beyond the shared memory")),
        }
    }

    /// Copies bytes into the memory.
    ///
    /// # Errors
    /// Where there is no room for them: see [`SharedMemory::reserve`].
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let start = self.start_of(offset, bytes.len())?;
        // SAFETY: `start_of` has checked that the bytes lie within the map, which `self` keeps.
        // No reference to it is ever made, here or in the other process, and the file cannot
        // shrink under it.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Copies bytes out of the memory.
    ///
    /// # Errors
    /// Where it does not reach that far.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let start = self.start_of(offset, bytes.len())?;
        // SAFETY: as in `write`. Should the other process break the rule of turns, the bytes are
        // any bytes: they are plain numbers, checked by the guards as every result is.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(start, bytes.len()) };
        Ok(())
    }
}

/// A multiple of every page.
const PAGE_BYTES: usize = 1 << 16;

#[cfg(target_os = "linux")]
fn anonymous_file() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create("boreside-arrays", flags)?;
    fcntl_add_seals(&file, SealFlags::SHRINK)?;
    Ok(file.into())
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file() -> io::Result<File> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("boreside-arrays-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_writes_the_other_reads_even_after_it_has_grown() {
        let mut ours = SharedMemory::new().expect("memory");
        let mut theirs = SharedMemory::of(ours.share().expect("a copy"));
        ours.reserve(3).expect("room");
        ours.write(0, &[1, 2, 3]).expect("written");
        theirs.reserve(3).expect("room");
        let mut bytes = [0; 3];
        theirs.read(0, &mut bytes).expect("read");
        assert_eq!(bytes, [1, 2, 3]);

        theirs.reserve(5 * PAGE_BYTES).expect("room");
        theirs.write(4 * PAGE_BYTES, &[7]).expect("written");
        ours.reserve(5 * PAGE_BYTES).expect("room");
        let mut byte = [0];
        ours.read(4 * PAGE_BYTES, &mut byte).expect("read");
        assert_eq!(byte, [7]);
    }

    #[test]
    fn nothing_beyond_its_end_is_touched() {
        let mut memory = SharedMemory::new().expect("memory");
        assert!(memory.read(0, &mut [0]).is_err());
        memory.reserve(1).expect("room");
        assert!(memory.write(memory.len(), &[0]).is_err());
        assert!(memory.read(usize::MAX, &mut [0, 0]).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_side_can_make_it_smaller() {
        let mut memory = SharedMemory::new().expect("memory");
        memory.reserve(2 * PAGE_BYTES).expect("room");
        let other = File::from(memory.share().expect("a copy"));
        assert!(other.set_len(0).is_err());
    }
}
