//! What becomes of memory that a scan has freed.
//!
//! An image frees its buffers, tens of megabytes, just before the next one asks for the same.
//! glibc gives such pieces back to the system each time, which clears every page again: a fifth
//! of the time of a whole reconstruction. So they are kept while scans run, and given back when
//! none does.

/// Blocks up to this size stay in the process when they are freed; larger ones are rare. glibc
/// takes no more.
#[cfg(target_env = "gnu")]
const KEPT_BLOCK_BYTES: libc::c_int = 32 << 20;
/// Free memory at the end of a heap that is kept.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 1 << 30;

/// Size of a heap of a thread other than the first.
#[cfg(target_env = "gnu")]
const HEAP_BYTES: libc::c_int = 64 << 20;

/// Makes the process keep freed memory until [`give_back_freed_memory`]. Without effect where
/// the allocator is not glibc's.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` takes two numbers, changes nothing that is allocated, and takes glibc's
    // own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BLOCK_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
        // Else the heaps of threads other than the first go as soon as they are empty.
        libc::mallopt(libc::M_TOP_PAD, HEAP_BYTES);
    }
}

/// Gives memory that is not in use back to the system. Takes milliseconds for a gigabyte.
pub fn give_back_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` may be called at any time; it touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    /// Of this process, in the memory of the machine.
    fn resident_bytes() -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages.expect("pages") * 4096
    }

    #[test]
    fn freed_memory_is_kept_and_then_given_back() {
        keep_freed_memory();
        // A piece that stays, behind the others: the contents must survive.
        let pieces: Vec<Vec<u8>> = (0..20).map(|n| vec![n + 1; 16 << 20]).collect();
        let stays = vec![7_u8; 1 << 20];
        let used = resident_bytes();
        drop(pieces);
        let kept = resident_bytes();
        give_back_freed_memory();
        let after = resident_bytes();
        // Other tests run beside this one and use a few megabytes.
        assert!(used - kept.min(used) < 64 << 20, "{used} bytes, {kept} after freeing");
        assert!(used - after.min(used) > 200 << 20, "{used} bytes, {after} after giving back");
        assert!(stays.iter().all(|byte| *byte == 7));
    }
}
