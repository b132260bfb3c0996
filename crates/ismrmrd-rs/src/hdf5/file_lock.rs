//! The lock that HDF5 puts on a file which it has open.
//!
//! HDF5 opens files such that processes that are started meanwhile inherit them, and leaves it to
//! the system to lift the lock once all of them have closed the file. A file that was written and
//! closed while a network's process was being started would stay locked for as long as that runs.

use std::ops::Deref;

use ::hdf5::File;

/// A file of HDF5's, whose lock ends with it.
pub(super) struct LockedFile {
    /// First: it is closed before its lock is lifted.
    file: File,
    _lock: Option<Lock>,
}

impl From<File> for LockedFile {
    fn from(file: File) -> Self {
        let _lock = Lock::of(&file);
        Self { file, _lock }
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

/// A second descriptor of the same open file, through which the lock can be lifted for all.
struct Lock(#[cfg_attr(not(unix), expect(dead_code))] std::fs::File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Where it cannot be lifted the system does it, later.
        #[cfg(unix)]
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// [`None`] for files that have no descriptor.
    #[cfg(unix)]
    fn of(file: &File) -> Option<Self> {
        use std::os::fd::BorrowedFd;

        use hdf5_sys::h5f::H5Fget_vfd_handle;
        use hdf5_sys::h5p::H5P_DEFAULT;
        use rustix::io::{FdFlags, fcntl_setfd};

        let _one_at_a_time = hdf5_sys::LOCK.lock();
        let mut handle = std::ptr::null_mut();
        // SAFETY: `file` is open, the place for the answer is valid, and the library is asked by
        // one thread at a time.
        let status = unsafe { H5Fget_vfd_handle(file.id(), H5P_DEFAULT, &mut handle) };
        // The only driver that is used here is the standard one, whose handle is a descriptor.
        let handle = handle.cast::<std::ffi::c_int>();
        if status < 0 || handle.is_null() {
            return None;
        }
        // SAFETY: the library keeps the descriptor, and it stays open, while `file` is open, which
        // outlives this borrow.
        let descriptor = unsafe { BorrowedFd::borrow_raw(*handle) };
        // Without it processes that are started keep the file open, which does no harm but for
        // the room of a file that is deleted.
        let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
        Some(Self(descriptor.try_clone_to_owned().ok()?.into()))
    }

    #[cfg(not(unix))]
    fn of(_file: &File) -> Option<Self> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::{Command, Stdio};

    use super::LockedFile;
    use crate::hdf5::tests::temporary;
    use crate::hdf5::{FileReader, FileWriter};

    #[test]
    fn a_process_that_is_started_meanwhile_keeps_no_file_locked() {
        let (_folder, path) = temporary();
        let writer = FileWriter::create(&path).unwrap();
        // It ends when its input is closed.
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        // Where the system tells what a process has open.
        let links = std::fs::read_dir(format!("/proc/{}/fd", child.id()));
        let open: Vec<_> = links.into_iter().flatten().flatten().collect();
        let open: Vec<_> = open.iter().filter_map(|link| link.path().read_link().ok()).collect();
        writer.finish().unwrap();
        let locked = std::fs::File::open(&path).unwrap().try_lock();
        let read = FileReader::open(&path).map(|_| ());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(locked.is_ok(), "{locked:?}");
        assert!(read.is_ok(), "{read:?}");
        assert!(!open.contains(&path), "{open:?}");
    }

    #[test]
    fn a_lock_that_an_inherited_descriptor_shares_is_lifted() {
        let (_folder, path) = temporary();
        let file = LockedFile::from(::hdf5::File::create(&path).unwrap());
        // What a process between its start and its program has: the same open file once more.
        let inherited = file._lock.as_ref().unwrap().0.try_clone().unwrap();
        let locked = || std::fs::File::open(&path).unwrap().try_lock();
        assert!(locked().is_err());
        drop(file);
        assert!(locked().is_ok());
        drop(inherited);
    }
}
