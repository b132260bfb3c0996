//! `Watch`: what happens, as it happens. A watcher reads at a pace of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::{Context, refusal};
use crate::live::{Event, Live, Missed, StoredImage};
use crate::proto::live_service_server::LiveService;
use crate::proto::watch_response::Event as Told;
use crate::proto::{self, WatchRequest, WatchResponse, reset::Reason};

/// Messages that may wait for a watcher, beside what its connection holds.
const WAITING_MESSAGES: usize = 2;
/// Events that are looked up in one go.
const BATCH: usize = 64;
/// A watcher that sees nothing for longer may take the connection for dead.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Of all images that there are, so many of the newest come with their pixels.
const INLINE_AT_FIRST: usize = 64;

/// Room for those who watch.
#[derive(Debug)]
pub(crate) struct Watchers {
    places: Arc<Semaphore>,
    limit: usize,
}

impl Watchers {
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(limit)), limit }
    }

    /// A place, or a refusal.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let what = format!("{} are watching already", self.limit);
            let remedy = "close a viewer, or raise --max-watchers";
            refusal(Code::ResourceExhausted, &what, remedy)
        })
    }

    /// Who watches now.
    pub fn n(&self) -> usize {
        self.limit - self.places.available_permits()
    }
}

pub(super) struct Watch(pub Arc<Context>);

#[tonic::async_trait]
impl LiveService for Watch {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let place = self.0.watchers.place()?;
        let (sender, receiver) = mpsc::channel(WAITING_MESSAGES);
        let watcher = Watcher {
            live: Arc::clone(&self.0.live),
            request: request.into_inner(),
            sender,
            stall: self.0.stall,
        };
        tokio::spawn(async move {
            let _place = place;
            watcher.run().await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// How far a watcher has been told.
struct Step {
    sequence: u64,
    /// Whether there is no more for now.
    is_end: bool,
    /// Whether it had to forget what it knew.
    was_reset: bool,
}

/// One who watches.
struct Watcher {
    live: Arc<Live>,
    request: WatchRequest,
    sender: Sender<Result<WatchResponse, Status>>,
    stall: Duration,
}

impl Watcher {
    /// Sends until the watcher is gone.
    async fn run(self) {
        // Before anything is looked up, so that nothing happens unseen in between.
        let mut changes = self.live.changes();
        let hello = proto::Hello {
            epoch: self.live.epoch.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        if !self.tell(0, None, Told::Hello(hello)).await {
            return;
        }
        let WatchRequest { epoch, after_sequence, .. } = &self.request;
        let (mut at, mut reason) = if epoch.is_empty() {
            (None, Reason::New)
        } else if *epoch == self.live.epoch {
            // 0: the line broke before everything had been told.
            let at = Some(*after_sequence).filter(|at| *at > 0);
            (at, if at.is_some() { Reason::Lagged } else { Reason::New })
        } else {
            (None, Reason::Restarted)
        };
        let mut is_caught_up = false;
        loop {
            let Some(step) = self.catch_up(at, reason).await else { return };
            let sequence = step.sequence;
            (at, reason) = (Some(sequence), Reason::Lagged);
            is_caught_up &= !step.was_reset;
            if !step.is_end {
                continue;
            }
            if !is_caught_up {
                is_caught_up = true;
                if !self.tell(sequence, None, Told::CaughtUp(proto::CaughtUp {})).await {
                    return;
                }
            }
            let changed = tokio::select! {
                changed = tokio::time::timeout(ALIVE_EVERY, changes.changed()) => changed,
                () = self.sender.closed() => return,
            };
            match changed {
                Ok(Ok(())) => {}
                // The server ends.
                Ok(Err(_)) => return,
                Err(_) => {
                    if !self.tell(sequence, None, Told::Alive(proto::Alive {})).await {
                        return;
                    }
                }
            }
        }
    }

    /// Tells what happened after a sequence, some of it at least; [`None`] when the watcher is
    /// gone.
    async fn catch_up(&self, at: Option<u64>, reason: Reason) -> Option<Step> {
        let session = self.request.session;
        match self.live.since(at, session, BATCH) {
            Missed::Everything { sequence, sessions, images } => {
                let reset = proto::Reset { reason: reason.into() };
                self.tell(0, None, Told::Reset(reset)).await.then_some(())?;
                for session in sessions {
                    self.tell(0, None, Told::Session(session)).await.then_some(())?;
                }
                let n_bare = images.len().saturating_sub(INLINE_AT_FIRST);
                for (n, id) in images.into_iter().enumerate() {
                    // Looked up when its turn comes: a slow watcher keeps none of them in memory.
                    // That one has gone meanwhile is among the events that follow.
                    let Some(image) = self.live.image(id) else { continue };
                    let told = self.image(&image, n >= n_bare);
                    self.tell(0, None, told).await.then_some(())?;
                }
                Some(Step { sequence, is_end: true, was_reset: true })
            }
            Missed::Events { events, sequence } => {
                let is_end = events.len() < BATCH;
                for (sequence, unix_ms, event) in events {
                    let told = match event {
                        Event::Session(session) => Told::Session(*session),
                        Event::Image(image) => self.image(&image, true),
                        Event::Removed(ids) => Told::ImagesRemoved(proto::ImagesRemoved { ids }),
                    };
                    self.tell(sequence, Some(unix_ms), told).await.then_some(())?;
                }
                Some(Step { sequence, is_end, was_reset: false })
            }
        }
    }

    /// An image, with its pixels where they are wanted and not too large.
    fn image(&self, image: &StoredImage, inline: bool) -> Told {
        let WatchRequest { inline_pixels_up_to_bytes, inline_pictures_up_to_index, .. } =
            self.request;
        let is_small = image.facts.n_bytes <= u64::from(inline_pixels_up_to_bytes);
        let is_among_first = inline_pictures_up_to_index == 0
            || image.facts.kind() != proto::ImageKind::Picture
            || image.facts.index <= inline_pictures_up_to_index;
        let pixels = (inline && is_small && is_among_first).then(|| image.values());
        Told::Image(proto::NewImage { image: Some(image.facts.clone()), pixels })
    }

    /// Whether the watcher took it.
    async fn tell(&self, sequence: u64, unix_ms: Option<f64>, event: Told) -> bool {
        let unix_ms = unix_ms.unwrap_or_else(|| self.live.clock.now_unix_ms());
        let message = WatchResponse { sequence, unix_ms, event: Some(event) };
        send(&self.sender, Ok(message), self.stall).await
    }
}

/// Sends to one who reads; whether it was taken. One who takes nothing for too long is sent away.
pub(super) async fn send<T>(
    sender: &Sender<Result<T, Status>>,
    message: Result<T, Status>,
    stall: Duration,
) -> bool {
    match tokio::time::timeout(stall, sender.send(message)).await {
        Ok(sent) => sent.is_ok(),
        Err(_) => {
            tracing::info!("a watcher that took nothing for {stall:?} is sent away");
            let why = refusal(
                Code::DeadlineExceeded,
                "nothing of what was sent was read for too long",
                "connect again, with the last epoch and sequence",
            );
            // Where there is no room even for that, the end of the stream says it.
            let _ = sender.try_send(Err(why));
            false
        }
    }
}
