//! The thread that images of all sessions go to, so that none of them does the work of looking at
//! its images itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use ismrmrd::wire;

use crate::image_archive::{EndedSession, ImageArchive};
use crate::live::image_store::ImageStore;
use crate::live::session_record::{Moment, SessionRecord};
use crate::live::{Live, facts};
use crate::proto;

/// Results that may wait to be looked at. Looking at one takes microseconds.
const WAITING_RESULTS: usize = 1024;
/// Models and providers that are counted apart.
const MAX_MODELS: usize = 100;
/// Upper bounds of the histograms of times, s.
pub(crate) const TIME_BOUNDS_S: [f64; 12] =
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// What comes from a session.
enum Departed {
    /// What its chain gave.
    Result { record: Arc<SessionRecord>, moment: Moment, message: wire::Message },
    /// That it has ended, and why.
    End { record: Arc<SessionRecord>, reason: String, ended_us: u64 },
}

/// The sending end.
#[derive(Debug)]
pub(super) struct Incoming {
    /// [`None`] once it is closed.
    sender: Mutex<Option<SyncSender<Departed>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    n_dropped: AtomicU64,
    observations: Arc<Mutex<Observations>>,
}

/// Times that images tell.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    /// From the last readout to the image.
    pub latency: Histogram,
    /// Time in networks, by model and provider.
    pub inference: BTreeMap<(String, String), Histogram>,
}

/// Counts of times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    pub sum_s: f64,
    /// By [`TIME_BOUNDS_S`], and those above.
    pub counts: [u64; TIME_BOUNDS_S.len() + 1],
}

impl Histogram {
    pub fn observe(&mut self, time_s: f64) {
        self.sum_s += time_s;
        let bucket = TIME_BOUNDS_S.iter().position(|bound| time_s <= *bound);
        self.counts[bucket.unwrap_or(TIME_BOUNDS_S.len())] += 1;
    }
}

impl Observations {
    /// Counts what an image tells.
    pub fn add(&mut self, image: &proto::Image) {
        if let Some(latency) = &image.latency {
            self.latency.observe(latency.since_last_readout_ms / 1e3);
        }
        for model in &image.models {
            let key = (model.model.clone(), model.provider.clone());
            if self.inference.contains_key(&key) || self.inference.len() < MAX_MODELS {
                self.inference.entry(key).or_default().observe(model.time_ms / 1e3);
            }
        }
    }
}

impl Incoming {
    /// Starts the thread. Without one there are no images to watch, and scans run all the same.
    pub fn start(live: Weak<Live>, archive: Option<ImageArchive>) -> Option<Self> {
        let (sender, receiver) = mpsc::sync_channel(WAITING_RESULTS);
        let observations: Arc<Mutex<Observations>> = Arc::default();
        let own = Arc::clone(&observations);
        let work = move || look_at(&receiver, &live, archive.as_ref(), &own);
        match thread::Builder::new().name("live images".to_owned()).spawn(work) {
            Ok(thread) => Some(Self {
                sender: Mutex::new(Some(sender)),
                thread: Mutex::new(Some(thread)),
                n_dropped: AtomicU64::new(0),
                observations,
            }),
            Err(error) => {
                tracing::error!("images cannot be watched: no thread for them: {error}");
                None
            }
        }
    }

    /// Hands over what a chain gave, without waiting.
    pub fn hand_over(&self, record: &Arc<SessionRecord>, message: wire::Message) {
        if !matches!(message, wire::Message::Image(_) | wire::Message::ImageArray(_)) {
            return;
        }
        let moment = record.image_is_ready();
        let result = Departed::Result { record: Arc::clone(record), moment, message };
        if !self.send(result) && self.n_dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("more images come than can be shown: some are left out of the viewer");
        }
    }

    /// That a session has ended, behind its images; whether it could be handed over.
    pub fn hand_over_end(&self, record: Arc<SessionRecord>, reason: String, ended_us: u64) -> bool {
        self.send(Departed::End { record, reason, ended_us })
    }

    fn send(&self, departed: Departed) -> bool {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.is_some_and(|sender| sender.try_send(departed).is_ok())
    }

    /// Looks at what waits, lets the disk take it, and ends.
    pub fn close(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in it has been printed by the panic hook already.
            let _ = thread.join();
        }
    }

    pub fn n_dropped(&self) -> u64 {
        self.n_dropped.load(Ordering::Relaxed)
    }

    pub fn with_observations<T>(&self, look: impl FnOnce(&Observations) -> T) -> T {
        look(&self.observations.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn look_at(
    receiver: &Receiver<Departed>,
    live: &Weak<Live>,
    archive: Option<&ImageArchive>,
    observations: &Mutex<Observations>,
) {
    while let Ok(departed) = receiver.recv() {
        let Some(live) = live.upgrade() else { return };
        let (record, moment, message) = match departed {
            Departed::Result { record, moment, message } => (record, moment, message),
            Departed::End { record, reason, ended_us } => {
                live.has_ended(&record, &reason, ended_us);
                if let Some(archive) = archive {
                    let session = record.describe(live.hides_patients);
                    archive
                        .keep_session(EndedSession { session, header_text: record.header_text() });
                }
                continue;
            }
        };
        let images = match message {
            wire::Message::Image(image) => vec![image],
            wire::Message::ImageArray(array) => array.to_images(),
            _ => Vec::new(),
        };
        for image in images {
            let mut facts = facts::of(&image, live.hides_patients);
            facts.session = record.id;
            facts.ready_unix_ms = live.clock.unix_ms(moment.ready_us);
            facts.latency = Some(moment.latency.clone());
            observations.lock().unwrap_or_else(PoisonError::into_inner).add(&facts);
            let (image, removed) = live.keep(facts, image);
            if let Some(archive) = archive {
                archive.keep(&image, removed);
            }
        }
    }
}

/// Opens the database and reads what is in it. One that cannot be used is reported and left out.
pub(super) fn open_archive(
    path: &Path,
    images: &mut ImageStore,
    hides_patients: bool,
) -> Option<(ImageArchive, Vec<EndedSession>)> {
    match ImageArchive::open(path, images, hides_patients) {
        Ok(opened) => Some(opened),
        Err(error) => {
            tracing::error!("images are kept until the server ends only: {error}");
            None
        }
    }
}
