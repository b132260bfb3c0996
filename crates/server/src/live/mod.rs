//! What happens in sessions, for those who watch: counters, images and a log of events.
//!
//! A session never waits here: it counts, and hands its images over by their handle. Whoever
//! watches reads the log of events at a pace of their own; who falls behind what is kept starts
//! anew from what there is. So neither a slow watcher nor many of them cost a scan anything.

pub(crate) mod clock;
mod events;
mod facts;
mod image_store;
pub(crate) mod incoming;
pub(crate) mod protocol;
pub(crate) mod session_record;
mod totals;
pub(crate) mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ismrmrd::wire;
use tokio::sync::watch;

use crate::proto;
use clock::Clock;
use events::EventLog;
pub(crate) use events::Happening;
pub(crate) use facts::is_personal;
pub(crate) use image_store::ImageStore;
pub use image_store::StoreLimits;
pub(crate) use image_store::StoredImage;
use incoming::Incoming;
pub(crate) use session_record::SessionRecord;
pub(crate) use totals::Totals;

/// Sessions that have ended and are remembered.
const MAX_ENDED_SESSIONS: usize = 200;

/// What a site can set of it.
#[derive(Clone, Debug)]
pub struct LiveSettings {
    /// Images that are kept; [`None`]: nobody watches, none are.
    pub images: Option<StoreLimits>,
    /// Whether names and numbers of patients are left out.
    pub hides_patients: bool,
    /// Database that images outlive the server in.
    pub archive: Option<std::path::PathBuf>,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self { images: None, hides_patients: true, archive: None }
    }
}

/// Everything that can be watched.
#[derive(Debug)]
pub(crate) struct Live {
    pub clock: Clock,
    /// Another one for every start of the server.
    pub epoch: String,
    pub hides_patients: bool,
    pub keeps_on_disk: bool,
    state: Mutex<State>,
    /// The newest sequence.
    changed: watch::Sender<u64>,
    /// The thread that images go to; [`None`] where nobody watches.
    incoming: Option<Incoming>,
}

#[derive(Debug)]
struct State {
    events: EventLog,
    sessions: BTreeMap<u64, Known>,
    images: ImageStore,
    ended: Totals,
}

#[derive(Debug)]
struct Known {
    record: Arc<SessionRecord>,
    /// Its progress when it was last told.
    told: Option<[u64; 7]>,
}

/// What a watcher gets in one go.
pub(crate) enum Missed {
    /// Too old a state: everything anew.
    Everything {
        /// Everything up to this one is in it.
        sequence: u64,
        /// As they are at this sequence.
        sessions: Vec<proto::Session>,
        /// Their numbers, the oldest first.
        images: Vec<u64>,
    },
    /// What happened since.
    Events {
        /// Sequence, time in ms since 1970, and what.
        events: Vec<(u64, f64, Event)>,
        /// Everything up to this one has been looked at.
        sequence: u64,
    },
}

/// Something that happened, as it is now. A session is described here and not when it is told: by
/// then it may have ended, with images that are told after it.
pub(crate) enum Event {
    Session(Box<proto::Session>),
    Image(Arc<StoredImage>),
    Removed(Vec<u64>),
}

impl Live {
    pub fn new(settings: &LiveSettings) -> Arc<Self> {
        let clock = Clock::start();
        let limits = settings.images.unwrap_or(StoreLimits { max_bytes: 0, max_images: 0 });
        let mut images = ImageStore::new(limits);
        let archive = settings.archive.as_deref().filter(|_| settings.images.is_some());
        let opened = archive
            .and_then(|path| incoming::open_archive(path, &mut images, settings.hides_patients));
        let keeps_on_disk = opened.is_some();
        let (archive, ended) = opened.unzip();
        let known = |ended| {
            let record = Arc::new(SessionRecord::of_earlier_start(ended, clock));
            (record.id, Known { record, told: None })
        };
        let sessions = ended.into_iter().flatten().map(known).collect();
        // Nothing secret: it only has to be another one. The address is that of this start's memory.
        let seed = Box::new(0_u8);
        let epoch = format!(
            "{:x}-{:x}-{:x}",
            (clock.started_unix_ms() * 1e3) as u64,
            std::process::id(),
            (&raw const *seed).addr() & 0xffff
        );
        let state =
            State { events: EventLog::default(), sessions, images, ended: Totals::default() };
        Arc::new_cyclic(|live| Self {
            clock,
            epoch,
            hides_patients: settings.hides_patients,
            keeps_on_disk,
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            incoming: settings.images.and_then(|_| Incoming::start(live.clone(), archive)),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of the newest session, of earlier starts too; 0 where there is none.
    pub fn last_session(&self) -> u64 {
        let state = self.state();
        let of_images = state.images.iter().map(|image| image.facts.session).max();
        let of_sessions = state.sessions.keys().next_back().copied();
        of_images.max(of_sessions).unwrap_or(0)
    }

    /// A session begins.
    pub fn begin(&self, id: u64, peer: SocketAddr) -> Arc<SessionRecord> {
        let record = Arc::new(SessionRecord::new(id, peer, self.clock));
        let mut state = self.state();
        state.sessions.insert(id, Known { record: Arc::clone(&record), told: None });
        self.tell_session(&mut state, id);
        record
    }

    /// A session has ended. That is told after all of its images.
    pub fn end(&self, record: &Arc<SessionRecord>, reason: &str) {
        let ended_us = self.clock.now_us();
        let is_queued = self.incoming.as_ref().is_some_and(|incoming| {
            incoming.hand_over_end(Arc::clone(record), reason.to_owned(), ended_us)
        });
        if !is_queued {
            self.has_ended(record, reason, ended_us);
        }
    }

    /// Its figures are final.
    fn has_ended(&self, record: &SessionRecord, reason: &str, ended_us: u64) {
        let mut state = self.state();
        record.ends(reason, ended_us);
        state.ended.add(record);
        self.tell_session(&mut state, record.id);
        let ended: Vec<_> = state
            .sessions
            .iter()
            .filter(|(_, known)| known.record.has_ended())
            .map(|(id, _)| *id)
            .collect();
        for id in ended.iter().take(ended.len().saturating_sub(MAX_ENDED_SESSIONS)) {
            state.sessions.remove(id);
        }
    }

    /// A session has gone on in a way that is told at once.
    pub fn tell(&self, record: &SessionRecord) {
        self.tell_session(&mut self.state(), record.id);
    }

    /// Tells of all sessions that have gone on since they were last told of.
    pub fn tell_progress(&self) {
        let mut state = self.state();
        let changed: Vec<_> = state
            .sessions
            .iter()
            // How they end is told when they do.
            .filter(|(_, known)| !known.record.has_ended())
            .filter(|(_, known)| known.told.is_none_or(|told| told != known.record.progress()))
            .map(|(id, _)| *id)
            .collect();
        for id in changed {
            self.tell_session(&mut state, id);
        }
    }

    fn tell_session(&self, state: &mut State, id: u64) {
        let Some(known) = state.sessions.get_mut(&id) else { return };
        known.told = Some(known.record.progress());
        let sequence = state.events.push(self.clock.now_unix_ms(), Happening::Session(id));
        self.changed.send_replace(sequence);
    }

    /// Hands over what a chain gave. Never waits: where nobody watches, or more comes than can be
    /// looked at, it is dropped.
    pub fn publish(&self, record: &Arc<SessionRecord>, message: wire::Message) {
        if let Some(incoming) = &self.incoming {
            incoming.hand_over(record, message);
        }
    }

    /// Keeps an image and tells of it.
    fn keep(&self, mut facts: proto::Image, image: ismrmrd::Image) -> (Arc<StoredImage>, Vec<u64>) {
        let mut state = self.state();
        facts.id = state.images.next_id();
        let id = facts.id;
        let image = Arc::new(StoredImage::new(facts, image));
        let removed = state.images.keep(Arc::clone(&image));
        let now = self.clock.now_unix_ms();
        let mut sequence = state.events.push(now, Happening::Image(id));
        if !removed.is_empty() {
            sequence = state.events.push(now, Happening::Removed(removed.clone()));
        }
        self.changed.send_replace(sequence);
        (image, removed)
    }

    /// Ready when something has happened since it was last looked at.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What has happened after `sequence`, at most `limit` events of it; everything where that is
    /// not known any more. `session`: only of this one, 0 for all.
    pub fn since(&self, sequence: Option<u64>, session: u64, limit: usize) -> Missed {
        let state = self.state();
        let is_wanted = |of: u64| session == 0 || of == session;
        let happened = sequence.and_then(|sequence| state.events.after(sequence));
        let Some(happened) = happened else {
            return Missed::Everything {
                sequence: state.events.last(),
                sessions: state
                    .sessions
                    .values()
                    .filter(|known| is_wanted(known.record.id))
                    .map(|known| known.record.describe(self.hides_patients))
                    .collect(),
                images: state
                    .images
                    .iter()
                    .filter(|image| is_wanted(image.facts.session))
                    .map(|image| image.facts.id)
                    .collect(),
            };
        };
        let event = |happening: &Happening| match happening {
            Happening::Session(id) if is_wanted(*id) => {
                let session = state.sessions.get(id)?.record.describe(self.hides_patients);
                Some(Event::Session(Box::new(session)))
            }
            // One that has made room already: that it is gone follows.
            Happening::Image(id) => Some(state.images.get(*id)?)
                .filter(|image| is_wanted(image.facts.session))
                .map(|image| Event::Image(Arc::clone(image))),
            Happening::Removed(ids) => Some(Event::Removed(ids.clone())),
            Happening::Session(_) => None,
        };
        let events: Vec<_> = happened
            .filter_map(|logged| Some((logged.sequence, logged.unix_ms, event(&logged.what)?)))
            .take(limit)
            .collect();
        let sequence = match events.last() {
            Some((sequence, ..)) if events.len() == limit => *sequence,
            _ => state.events.last(),
        };
        Missed::Events { events, sequence }
    }

    /// The newest sequence.
    #[cfg(test)]
    fn last_sequence(&self) -> u64 {
        self.state().events.last()
    }

    /// Sessions that run and recent ones, the newest first.
    pub fn sessions(&self) -> Vec<Arc<SessionRecord>> {
        self.state().sessions.values().rev().map(|known| Arc::clone(&known.record)).collect()
    }

    pub fn session(&self, id: u64) -> Option<Arc<SessionRecord>> {
        self.state().sessions.get(&id).map(|known| Arc::clone(&known.record))
    }

    /// The oldest first.
    pub fn images(&self) -> Vec<Arc<StoredImage>> {
        self.state().images.iter().cloned().collect()
    }

    pub fn image(&self, id: u64) -> Option<Arc<StoredImage>> {
        self.state().images.get(id).cloned()
    }

    /// Number of images, their bytes, and the limits.
    pub fn image_memory(&self) -> (usize, usize, StoreLimits) {
        let state = self.state();
        (state.images.len(), state.images.n_bytes(), state.images.limits())
    }

    /// Figures of all sessions, those that have ended counted in, and how many run.
    pub fn totals(&self) -> (Totals, Vec<Arc<SessionRecord>>) {
        let state = self.state();
        let mut totals = state.ended.clone();
        let running: Vec<_> = state
            .sessions
            .values()
            .filter(|known| !known.record.has_ended())
            .map(|known| Arc::clone(&known.record))
            .collect();
        drop(state);
        running.iter().for_each(|record| totals.add(record));
        (totals, running)
    }

    /// Images that were dropped because more came than could be looked at.
    pub fn n_dropped(&self) -> u64 {
        self.incoming.as_ref().map_or(0, Incoming::n_dropped)
    }

    /// Takes no more images, and waits until the disk has those that there are.
    pub fn close(&self) {
        if let Some(incoming) = &self.incoming {
            incoming.close();
        }
    }

    /// Inference, by model and provider, and latencies of images.
    pub fn with_observations<T>(
        &self,
        look: impl FnOnce(&incoming::Observations) -> T,
    ) -> Option<T> {
        self.incoming.as_ref().map(|incoming| incoming.with_observations(look))
    }
}

#[cfg(test)]
mod tests;
