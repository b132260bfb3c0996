//! Makes objects of images, writes them to folders and keeps those for an archive until it has them.
//!
//! Nobody waits for it: images are handed over to a thread of its own, which makes the objects and
//! puts them on disk; one more thread for each archive sends them, again and again while it is away,
//! also after the next start of the program.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ismrmrd::Image;

use crate::destination::Destination;
use crate::lane::{Bell, send_all};
use crate::spool::{SpoolFolder, write_whole};
use crate::{Forms, Study, objects};

/// Images that may wait to be made objects of.
const WAITING_IMAGES: usize = 4096;
/// Memory that they may take.
const WAITING_BYTES: u64 = 1 << 30;
/// How often folders are looked into that another program may have put something in.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Archives that are sent to at once.
const MAX_ARCHIVES: usize = 32;

/// What a site can set of an outbox.
#[derive(Clone, Debug)]
pub struct OutboxSettings {
    /// Folder of what waits; [`None`]: nothing can be sent, only files can be written.
    pub folder: Option<PathBuf>,
    /// Bytes that may wait there.
    pub max_bytes: u64,
    /// Time to the second attempt; it doubles from one to the next.
    pub first_wait: Duration,
    /// Longest time between two attempts.
    pub longest_wait: Duration,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        Self {
            folder: None,
            max_bytes: 10 << 30,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(300),
        }
    }
}

/// An image that is to be written or sent.
pub struct Job {
    /// The image.
    pub image: Image,
    /// Its measurement.
    pub study: Arc<Study>,
    /// What it becomes.
    pub forms: Forms,
    /// Folder that the objects are written to.
    pub folder: Option<PathBuf>,
    /// Archives that they are sent to.
    pub to: Vec<Destination>,
    /// Where it is told what became of it.
    pub tally: Arc<Tally>,
}

/// What became of some images.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
    changed: Condvar,
}

/// What became of some images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Images that were handed over.
    pub n_images: usize,
    /// Images that were looked at.
    pub n_done: usize,
    /// Objects that are in the folder or wait for an archive.
    pub n_objects: usize,
    /// What went wrong, each once.
    pub faults: Vec<String>,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, fault: String) {
        let mut counts = self.counts();
        if !counts.faults.contains(&fault) && counts.faults.len() < 20 {
            tracing::warn!("DICOM: {fault}");
            counts.faults.push(fault);
        }
    }

    fn is_done(&self) {
        self.counts().n_done += 1;
        self.changed.notify_all();
    }

    /// What became of them, once all were looked at or the time is over.
    pub fn wait(&self, patience: Duration) -> Counts {
        let started = Instant::now();
        let mut counts = self.counts();
        while counts.n_done < counts.n_images {
            let Some(left) = patience.checked_sub(started.elapsed()) else { break };
            counts =
                self.changed.wait_timeout(counts, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        counts.clone()
    }
}

/// Why there is no outbox.
#[derive(Debug, thiserror::Error)]
#[error("outbox for DICOM {path}: {source}")]
pub struct OutboxError {
    path: PathBuf,
    source: std::io::Error,
}

/// The outbox of a program. When it is closed or dropped, what was handed over is put on disk, and sent
/// where the archive answers.
pub struct Outbox {
    settings: OutboxSettings,
    running: Mutex<Option<Running>>,
}

/// An outbox that has been started.
struct Running {
    jobs: SyncSender<Job>,
    writer: JoinHandle<()>,
    shared: Arc<Shared>,
}

struct Shared {
    settings: OutboxSettings,
    /// Bytes of images that wait in memory.
    n_bytes_in_memory: AtomicU64,
    /// Bytes in the folder.
    n_bytes_on_disk: AtomicU64,
    lanes: Mutex<BTreeMap<PathBuf, JoinHandle<()>>>,
    bell: Arc<Bell>,
    /// Held while this program is the one that sends from the folder.
    lock: Mutex<Option<File>>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Outbox {
    /// One that touches no disk until it is started.
    pub fn new(settings: OutboxSettings) -> Self {
        Self { settings, running: Mutex::default() }
    }

    /// Starts it, if it is not at work yet, and goes on sending what waits since an earlier run.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn start(&self) -> Result<(), OutboxError> {
        let mut running = self.running();
        if running.is_none() {
            *running = Some(Running::start(&self.settings)?);
        }
        Ok(())
    }

    /// Whether objects can be sent, and not only written to folders.
    pub fn can_send(&self) -> bool {
        self.settings.folder.is_some()
    }

    /// Hands an image over, without waiting. One that cannot be taken is left out, which its tally
    /// tells.
    pub fn post(&self, job: Job) {
        let tally = Arc::clone(&job.tally);
        tally.counts().n_images += 1;
        let fault = match &*self.running() {
            Some(running) => running.post(job).err(),
            None => Some("the outbox is closed"),
        };
        if let Some(fault) = fault {
            tally.fault(format!("{fault}: some images are left out"));
            tally.is_done();
        }
    }

    /// Puts on disk what was handed over, sends what an archive takes at once, and ends.
    pub fn close(&self) {
        let Some(Running { jobs, writer, shared }) = self.running().take() else { return };
        drop(jobs);
        // A panic in a thread has been printed by the panic hook already.
        let _ = writer.join();
        shared.bell.ring(true);
        let lanes = std::mem::take(&mut *shared.lanes());
        for lane in lanes.into_values() {
            let _ = lane.join();
        }
        let Some(folder) = &self.settings.folder else { return };
        let waiting = SpoolFolder::all(folder);
        let n_waiting: usize = waiting.iter().map(|(spool, _)| spool.waiting().len()).sum();
        if n_waiting > 0 {
            tracing::warn!(
                "{n_waiting} DICOM objects wait in {} for the next `boreside serve`",
                folder.display()
            );
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.close();
    }
}

impl Running {
    fn start(settings: &OutboxSettings) -> Result<Self, OutboxError> {
        let mut n_bytes = 0;
        if let Some(folder) = &settings.folder {
            let fail = |source| OutboxError { path: folder.clone(), source };
            fs::create_dir_all(folder).map_err(fail)?;
            keep_private(folder).map_err(fail)?;
            n_bytes = SpoolFolder::all(folder).iter().map(|(spool, _)| spool.n_bytes()).sum();
        }
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            n_bytes_in_memory: AtomicU64::new(0),
            n_bytes_on_disk: AtomicU64::new(n_bytes),
            lanes: Mutex::default(),
            bell: Arc::default(),
            lock: Mutex::default(),
        });
        let (jobs, receiver) = mpsc::sync_channel(WAITING_IMAGES);
        let own = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("DICOM outbox".to_owned())
            .spawn(move || write_jobs(&receiver, &own));
        let writer = writer.map_err(|source| OutboxError { path: PathBuf::new(), source })?;
        shared.start_lanes();
        Ok(Self { jobs, writer, shared })
    }

    fn post(&self, job: Job) -> Result<(), &'static str> {
        const TOO_SLOW: &str = "the disk is too slow for the images that come";
        let n_bytes = n_bytes(&job.image);
        let in_memory = &self.shared.n_bytes_in_memory;
        let waiting = in_memory.fetch_add(n_bytes, Ordering::Relaxed);
        let fits = waiting + n_bytes <= WAITING_BYTES;
        if fits && self.jobs.try_send(job).is_ok() {
            return Ok(());
        }
        in_memory.fetch_sub(n_bytes, Ordering::Relaxed);
        Err(TOO_SLOW)
    }
}

/// What waits is of patients: nobody else's business.
fn keep_private(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn n_bytes(image: &Image) -> u64 {
    let n = image.pixels.shape().into_iter().product::<usize>();
    (n * image.pixels.data_type().size_bytes()) as u64
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, BTreeMap<PathBuf, JoinHandle<()>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this program sends from the folder: at most one does. When the other one ends, it is
    /// this one's turn.
    fn sends(&self, folder: &Path) -> bool {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_some() {
            return true;
        }
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        let locked = File::create(folder.join("lock")).and_then(|file| {
            rustix::fs::flock(&file, operation)?;
            Ok(file)
        });
        match locked {
            Ok(file) => {
                SpoolFolder::all(folder).iter().for_each(|(spool, _)| spool.clean());
                *lock = Some(file);
                true
            }
            Err(error) => {
                tracing::debug!("another program sends what is in {}: {error}", folder.display());
                false
            }
        }
    }

    /// Starts a thread for each archive that has a folder and none yet.
    fn start_lanes(self: &Arc<Self>) {
        let Some(folder) = &self.settings.folder else { return };
        if !self.sends(folder) {
            return;
        }
        for (spool, destination) in SpoolFolder::all(folder) {
            let mut lanes = self.lanes();
            if lanes.contains_key(spool.path()) || lanes.len() >= MAX_ARCHIVES {
                continue;
            }
            let path = spool.path().to_owned();
            let (settings, bell) = (self.settings.clone(), Arc::clone(&self.bell));
            let shared = Arc::downgrade(self);
            let work = move || {
                let freed = |n_bytes| {
                    if let Some(shared) = shared.upgrade() {
                        let on_disk = &shared.n_bytes_on_disk;
                        // It may have been put there by another program.
                        let less = |n: u64| Some(n.saturating_sub(n_bytes));
                        let _ = on_disk.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
                    }
                };
                send_all(&spool, &destination, &settings, &bell, &freed);
            };
            match thread::Builder::new().name("DICOM sender".to_owned()).spawn(work) {
                Ok(thread) => drop(lanes.insert(path, thread)),
                Err(error) => tracing::error!("DICOM cannot be sent: no thread for it: {error}"),
            }
        }
    }

    fn write(self: &Arc<Self>, job: &Job) {
        let files = match objects(&job.image, &job.study, job.forms) {
            Ok(files) => files,
            Err(error) => {
                let remedy = pipeline::Remedy::remedy(&error);
                job.tally.fault(format!("{error}: {remedy}"));
                return;
            }
        };
        for file in files {
            let mut is_kept = false;
            if let Some(folder) = &job.folder {
                let written = fs::create_dir_all(folder)
                    .and_then(|()| write_whole(&folder.join(&file.name), &file.bytes));
                match written {
                    Ok(()) => is_kept = true,
                    Err(error) => job.tally.fault(format!("{}: {error}", folder.display())),
                }
            }
            for to in &job.to {
                match self.enqueue(to, &file.bytes) {
                    Ok(()) => is_kept = true,
                    Err(fault) => job.tally.fault(fault),
                }
            }
            job.tally.counts().n_objects += usize::from(is_kept);
        }
    }

    fn enqueue(self: &Arc<Self>, to: &Destination, bytes: &[u8]) -> Result<(), String> {
        let Some(folder) = &self.settings.folder else {
            return Err("this program has no outbox to send from".to_owned());
        };
        let n_bytes = bytes.len() as u64;
        let on_disk = self.n_bytes_on_disk.load(Ordering::Relaxed);
        if on_disk + n_bytes > self.settings.max_bytes {
            return Err(format!(
                "the outbox {} is full ({} MiB): objects for {} are left out; bring the archive back, or allow more",
                folder.display(),
                on_disk >> 20,
                to.label()
            ));
        }
        let put = SpoolFolder::of(folder, to).and_then(|spool| spool.put(bytes));
        put.map_err(|error| format!("the outbox {}: {error}", folder.display()))?;
        self.n_bytes_on_disk.fetch_add(n_bytes, Ordering::Relaxed);
        Ok(())
    }
}

fn write_jobs(jobs: &Receiver<Job>, shared: &Arc<Shared>) {
    loop {
        match jobs.recv_timeout(LOOK_EVERY) {
            Ok(job) => {
                shared.write(&job);
                shared.n_bytes_in_memory.fetch_sub(n_bytes(&job.image), Ordering::Relaxed);
                if !job.to.is_empty() {
                    shared.start_lanes();
                    shared.bell.ring(false);
                }
                job.tally.is_done();
            }
            Err(RecvTimeoutError::Timeout) => {
                shared.start_lanes();
                shared.bell.ring(false);
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
