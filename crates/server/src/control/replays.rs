//! Replays: recorded scans through a chain again, each as a session like a scanner's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tonic::{Code, Request, Response, Status};

use super::{Context, refusal};
use crate::journal;
use crate::proto::replay_service_server::ReplayService;
use crate::proto::{
    self, ListRecordingsRequest, ListRecordingsResponse, Pace, StartReplayRequest,
    StartReplayResponse, recording, start_replay_request,
};

/// Replays that may run at once.
const MAX_REPLAYS: usize = 4;
/// For a replay to become a session.
const BEGINS_WITHIN: Duration = Duration::from_secs(20);

/// What can be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingSource {
    /// The journal of a session, by its file.
    Journal(PathBuf),
    /// A file of the folder for recordings, as the client wrote its name.
    File(String),
}

/// A replay that is wanted.
#[derive(Debug)]
pub struct ReplayRequest {
    /// What is replayed.
    pub source: RecordingSource,
    /// Name of the chain; [`None`]: the one that was recorded.
    pub chain: Option<String>,
    /// Whether it is played as it was recorded, or as fast as it is taken.
    pub keeps_pace: bool,
    /// Where the server's scanners connect.
    pub to: SocketAddr,
}

/// Plays recordings; the program has one.
pub trait Replayer: Send + Sync {
    /// Whether there is a folder for recordings.
    fn has_folder(&self) -> bool;

    /// Files of the folder for recordings.
    ///
    /// # Errors
    /// Why it cannot be listed.
    fn list(&self) -> Result<Vec<proto::Recording>, String>;

    /// Plays a recording to its end. `connected` is called with the address that it comes from,
    /// before anything is sent.
    ///
    /// # Errors
    /// What is wrong with the recording or the way to the server, and what to do.
    fn play(
        &self,
        request: ReplayRequest,
        connected: &mut dyn FnMut(SocketAddr),
    ) -> Result<(), String>;
}

/// Room for the replays that may run at once.
pub(super) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_REPLAYS))
}

pub(super) struct ReplayServer(pub Arc<Context>);

impl ReplayServer {
    /// What the request names.
    fn source(&self, request: &StartReplayRequest) -> Result<(RecordingSource, String), Status> {
        match &request.source {
            Some(start_replay_request::Source::Session(id)) => {
                let settings = self.0.shared.settings.journal.as_ref();
                let path = settings.map(|settings| journal::path_in(&settings.directory, *id));
                let Some(path) = path.filter(|path| path.is_file()) else {
                    let what = format!("there is no journal of session {id}");
                    let remedy = "ListRecordings names those that there are";
                    return Err(refusal(Code::NotFound, &what, remedy));
                };
                Ok((RecordingSource::Journal(path), format!("session {id}")))
            }
            Some(start_replay_request::Source::File(name)) => {
                Ok((RecordingSource::File(name.clone()), format!("file {name}")))
            }
            None => {
                let remedy = "give the number of a session or the name of a file";
                Err(refusal(Code::InvalidArgument, "nothing to replay is named", remedy))
            }
        }
    }
}

#[tonic::async_trait]
impl ReplayService for ReplayServer {
    async fn list_recordings(
        &self,
        _: Request<ListRecordingsRequest>,
    ) -> Result<Response<ListRecordingsResponse>, Status> {
        let context = Arc::clone(&self.0);
        let listed = tokio::task::spawn_blocking(move || {
            let mut recordings = journalled(&context).map_err(|error| error.to_string())?;
            recordings.extend(context.sources.replayer.list()?);
            Ok::<_, String>(recordings)
        });
        match listed.await {
            Ok(Ok(recordings)) => Ok(Response::new(ListRecordingsResponse { recordings })),
            Ok(Err(reason)) => {
                let what = format!("the recordings cannot be listed: {reason}");
                Err(refusal(Code::Internal, &what, "check the server's disk"))
            }
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }

    async fn start_replay(
        &self,
        request: Request<StartReplayRequest>,
    ) -> Result<Response<StartReplayResponse>, Status> {
        let request = request.into_inner();
        let (source, what) = self.source(&request)?;
        // A name that is none is said at once, not when the replay has begun.
        let chain = Some(request.chain.clone()).filter(|chain| !chain.is_empty());
        if let Some(chain) = &chain
            && let Err(error) = self.0.shared.chains.load(chain)
        {
            return Err(Status::invalid_argument(error.to_string()));
        }
        let Ok(place) = Arc::clone(&self.0.replays_at_once).try_acquire_owned() else {
            let what = format!("{MAX_REPLAYS} replays are running");
            return Err(refusal(Code::ResourceExhausted, &what, "wait for one to end"));
        };
        let keeps_pace = request.pace() == Pace::Realtime;
        let wanted = ReplayRequest { source, chain, keeps_pace, to: local(self.0.scanner_address) };
        let (announce, announced) = oneshot::channel();
        let context = Arc::clone(&self.0);
        let play = move || {
            let mut announce = Some(announce);
            let mut connected = |from| {
                let begun = context.shared.replays.expect(from, what.clone());
                if let Some(announce) = announce.take() {
                    // The client may have gone; the replay goes on.
                    let _ = announce.send(Ok(begun));
                }
            };
            let played = context.sources.replayer.play(wanted, &mut connected);
            drop(place);
            if let Err(reason) = played {
                tracing::warn!("replay of {what:?}: {reason}");
                if let Some(announce) = announce.take() {
                    let _ = announce.send(Err(reason));
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("replay".to_owned()).spawn(play) {
            return Err(refusal(Code::Internal, "no thread for a replay", &error.to_string()));
        }
        let begun = match announced.await {
            Ok(Ok(begun)) => begun,
            Ok(Err(reason)) => return Err(Status::invalid_argument(reason)),
            Err(_) => return Err(Status::internal("the replay ended before it began")),
        };
        match tokio::time::timeout(BEGINS_WITHIN, begun).await {
            Ok(Ok(session)) => Ok(Response::new(StartReplayResponse { session })),
            Ok(Err(_)) | Err(_) => {
                let what = "the replay did not become a session";
                let remedy = "the server may have too many sessions, or be shutting down";
                Err(refusal(Code::Unavailable, what, remedy))
            }
        }
    }
}

/// Journals that can be replayed.
fn journalled(context: &Context) -> std::io::Result<Vec<proto::Recording>> {
    let Some(store) = &context.shared.journal else { return Ok(Vec::new()) };
    let recording = |entry: journal::JournalEntry| proto::Recording {
        n_bytes: entry.bytes,
        modified_unix_ms: entry
            .modified
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64()
            * 1e3,
        source: Some(recording::Source::Session(entry.session)),
    };
    Ok(store.list()?.into_iter().map(recording).collect())
}

/// Where this machine reaches the address that scanners reach.
fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
