//! The control plane: what happens in the server, for browsers, consoles and scripts, on a port of
//! its own beside that for scanners.
//!
//! One port serves the viewer's pages, gRPC (HTTP/2) and gRPC-web (HTTP/1.1), health, reflection
//! and metrics. It has threads of its own with less priority than scans have, and every one of its
//! queues is bounded: whatever is asked of it, scans do not wait.

mod access;
mod chains;
mod export;
mod images;
mod info;
mod log;
pub mod log_tail;
mod metrics;
mod models;
mod pages;
mod probes;
mod replays;
mod sessions;
mod tls;
mod transport;
mod watch;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch as signal;
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;

use crate::Server;
use crate::listener::Shared;
use crate::live::Live;
use crate::proto;

pub use access::Token;
use log_tail::LogTail;
pub use replays::{RecordingSource, ReplayRequest, Replayer};

/// How often the progress of sessions is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Largest request: a chain's text.
const MAX_REQUEST_BYTES: usize = 2 << 20;
/// Threads of the control plane.
const N_THREADS: usize = 2;
/// How much less than scans its threads ask for.
const NICENESS: i32 = 5;
/// For answers that are under way when the server ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Where and for whom it is.
#[derive(Clone, Debug)]
pub struct ControlSettings {
    /// Where it listens. Beyond this machine it needs a token and TLS.
    pub address: SocketAddr,
    /// What clients must know; [`None`]: everybody on this machine may.
    pub token: Option<Token>,
    /// Certificate and key, PEM.
    pub tls: Option<TlsFiles>,
    /// How many may ask at once.
    pub limits: ControlLimits,
}

/// Certificate chain and private key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// How many may ask at once; more are refused with a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlLimits {
    /// Connections.
    pub max_connections: usize,
    /// Requests of one connection.
    pub max_streams: u32,
    /// Who watches, or follows the log.
    pub max_watchers: usize,
    /// Longest time that a watcher takes nothing of what is sent to it.
    pub stall: Duration,
}

impl Default for ControlLimits {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_streams: 64,
            max_watchers: 64,
            stall: Duration::from_secs(30),
        }
    }
}

/// What the program has for it beside the server.
#[derive(Clone)]
pub struct Sources {
    /// The networks and how they are; loads none.
    pub models: Arc<dyn Fn() -> Vec<proto::Model> + Send + Sync>,
    /// Plays recordings.
    pub replayer: Arc<dyn Replayer>,
    /// The last lines of the log.
    pub log: Arc<LogTail>,
}

/// The control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {reason}\n  free the port, choose another with --http, or leave it out with --http none"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        reason: io::Error,
    },
    /// Others could reach it.
    #[error(
        "--http {address} can be reached from other machines and has no {missing}\n  give --http-token-file, --http-tls-cert and --http-tls-key, or listen on 127.0.0.1 behind a proxy that has both"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// What it lacks.
        missing: &'static str,
    },
    /// Certificate or key cannot be used.
    #[error(
        "TLS of the control plane: {path}: {reason}\n  give a certificate and its key as PEM files that the server may read"
    )]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No threads.
    #[error("the control plane's threads cannot be started: {0}")]
    Threads(io::Error),
}

/// A control plane that listens but does not answer yet.
pub struct ControlPlane {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    settings: ControlSettings,
    context: Arc<Context>,
}

/// What all services share.
pub(crate) struct Context {
    pub shared: Arc<Shared>,
    pub live: Arc<Live>,
    pub sources: Sources,
    pub scanner_address: SocketAddr,
    pub watchers: watch::Watchers,
    pub replays_at_once: Arc<tokio::sync::Semaphore>,
    pub exports: Arc<tokio::sync::Semaphore>,
    pub stall: Duration,
}

/// A control plane at work.
#[derive(Debug)]
pub struct RunningControlPlane {
    stop: signal::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlPlane {
    /// Listens. Nothing is answered before [`ControlPlane::start`].
    ///
    /// # Errors
    /// [`ControlError`]: the address, or what is needed beyond this machine.
    pub fn bind(
        settings: ControlSettings,
        server: &Server,
        sources: Sources,
    ) -> Result<Self, ControlError> {
        let address = settings.address;
        if !address.ip().to_canonical().is_loopback() {
            let missing = match (&settings.token, &settings.tls) {
                (None, None) => Some("token and no TLS"),
                (None, Some(_)) => Some("token"),
                (Some(_), None) => Some("TLS"),
                (Some(_), Some(_)) => None,
            };
            if let Some(missing) = missing {
                return Err(ControlError::Exposed { address, missing });
            }
        }
        let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        let listen = |reason| ControlError::Listen { address, reason };
        let listener = TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        let shared = Arc::clone(server.shared());
        let context = Context {
            live: Arc::clone(&shared.live),
            scanner_address: server.local_addr().map_err(listen)?,
            watchers: watch::Watchers::new(settings.limits.max_watchers),
            replays_at_once: replays::places(),
            exports: Arc::new(tokio::sync::Semaphore::new(images::MAX_EXPORTS)),
            stall: settings.limits.stall,
            shared,
            sources,
        };
        Ok(Self { listener, address: bound, tls, settings, context: Arc::new(context) })
    }

    /// Where the viewer is.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Answers, on threads of its own, until the handle is stopped or dropped.
    ///
    /// # Errors
    /// [`ControlError::Threads`].
    pub fn start(self) -> Result<RunningControlPlane, ControlError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .worker_threads(N_THREADS)
            .max_blocking_threads(8)
            .thread_name("control")
            .on_thread_start(|| {
                // A system that refuses it only shares the processor evenly.
                let _ = rustix::process::setpriority_process(None, NICENESS);
            })
            .build()
            .map_err(ControlError::Threads)?;
        let (stop, stopped) = signal::channel(false);
        let work = move || {
            runtime.block_on(self.run(stopped));
            runtime.shutdown_timeout(LAST_ANSWERS);
        };
        let thread = std::thread::Builder::new()
            .name("control plane".to_owned())
            .spawn(work)
            .map_err(ControlError::Threads)?;
        Ok(RunningControlPlane { stop, thread: Some(thread) })
    }

    async fn run(self, stopped: signal::Receiver<bool>) {
        let Self { listener, settings, context, tls, .. } = self;
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!("no control plane: {error}"),
        };
        let live = Arc::clone(&context.live);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PROGRESS_EVERY);
            loop {
                ticks.tick().await;
                live.tell_progress();
            }
        });
        let app = app(&context, settings.token, settings.limits);
        transport::serve(listener, app, tls, settings.limits, stopped).await;
    }
}

impl RunningControlPlane {
    /// Ends it: watchers are told by the end of their streams.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl Drop for RunningControlPlane {
    fn drop(&mut self) {
        self.end();
    }
}

/// Everything that the port answers.
fn app(context: &Arc<Context>, token: Option<Token>, limits: ControlLimits) -> Router {
    let guard = Arc::new(access::Guard::new(token));
    let grpc = services(context)
        .prepare()
        .into_axum_router()
        .reset_fallback()
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&guard), access::check_rpc))
        .layer(tonic_web::GrpcWebLayer::new());
    let metrics = metrics::router(context, limits)
        .layer(axum::middleware::from_fn_with_state(guard, access::check_page));
    probes::router(context).merge(metrics).merge(grpc).fallback(pages::page)
}

/// All gRPC services.
fn services(context: &Arc<Context>) -> Routes {
    macro_rules! with {
        ($routes:expr, $($module:ident::$server:ident($service:expr)),* $(,)?) => {
            $routes$(.add_service(
                proto::$module::$server::new($service)
                    .max_decoding_message_size(MAX_REQUEST_BYTES)
            ))*
        };
    }
    let of = || Arc::clone(context);
    let routes = Routes::default().add_service(probes::grpc_health(context));
    let routes = with!(
        routes,
        server_service_server::ServerServiceServer(info::ServerInfo(of())),
        session_service_server::SessionServiceServer(sessions::Sessions(of())),
        image_service_server::ImageServiceServer(images::Images(of())),
        live_service_server::LiveServiceServer(watch::Watch(of())),
        chain_service_server::ChainServiceServer(chains::Chains(of())),
        model_service_server::ModelServiceServer(models::Models(of())),
        replay_service_server::ReplayServiceServer(replays::ReplayServer(of())),
        log_service_server::LogServiceServer(log::Log(of())),
    );
    // The descriptors were made by this build: without them only reflection is missing.
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => routes.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!("no reflection: {error}");
            routes
        }
    }
}

/// A refusal: what is wrong, and what to do.
pub(crate) fn refusal(code: tonic::Code, what: &str, remedy: &str) -> tonic::Status {
    tonic::Status::new(code, format!("{what}\n  {remedy}"))
}
