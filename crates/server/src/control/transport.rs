//! Accepts connections of the control plane: HTTP/1.1 and HTTP/2, with or without TLS, so many at
//! once and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::{ControlLimits, LAST_ANSWERS};

/// For a client to shake hands, and to send the head of a request.
const OPENING: Duration = Duration::from_secs(10);
/// A connection over HTTP/2 that says nothing is asked whether it lives.
const PING: Duration = Duration::from_secs(20);
/// Headers of a request.
const MAX_HEADER_BYTES: u32 = 16 << 10;

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 62\r\n\r\nthere are too many connections\n  close some, then try it again";

/// Answers until it is told to stop.
pub(super) async fn serve(
    listener: TcpListener,
    app: Router,
    tls: Option<TlsAcceptor>,
    limits: ControlLimits,
    mut stopped: watch::Receiver<bool>,
) {
    let max_connections = limits.max_connections.min(Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(max_connections));
    let http = Arc::new(protocol(limits));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told_to_stop(&mut stopped) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors and the like: others may end soon.
                tracing::warn!("a connection to the control plane could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::debug!("{peer} refused: {max_connections} connections to the control plane");
            refuse(stream);
            continue;
        };
        // Events are small and must not wait for more.
        let _ = stream.set_nodelay(true);
        let (app, tls, http) = (app.clone(), tls.clone(), Arc::clone(&http));
        let stopped = stopped.clone();
        tokio::spawn(async move {
            match tls {
                None => answer(stream, &http, app, stopped).await,
                Some(tls) => match tokio::time::timeout(OPENING, tls.accept(stream)).await {
                    Ok(Ok(stream)) => answer(stream, &http, app, stopped).await,
                    Ok(Err(error)) => tracing::debug!("{peer}: no TLS: {error}"),
                    Err(_) => tracing::debug!("{peer}: no TLS in time"),
                },
            }
            drop(place);
        });
    }
    drop(listener);
    let all = u32::try_from(max_connections).unwrap_or(u32::MAX);
    // Those that do not end in time are cut off with the threads.
    let _ = tokio::time::timeout(LAST_ANSWERS, places.acquire_many(all)).await;
}

fn protocol(limits: ControlLimits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(OPENING).max_buf_size(64 << 10);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    http
}

/// Serves one connection to its end.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http: &auto::Builder<TokioExecutor>,
    app: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let has_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&has_asked);
    let app = app.layer(axum::middleware::map_request(move |request: Request| {
        asked.store(true, Ordering::Relaxed);
        std::future::ready(request)
    }));
    let service = TowerToHyperService::new(app);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // Until it is known whether a client speaks HTTP/1.1 or HTTP/2, nothing else has a limit.
    let is_silent = async {
        tokio::time::sleep(OPENING).await;
        if has_asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = is_silent => return,
        () = told_to_stop(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection to the control plane: {error}");
    }
}

/// Waits until the server ends.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // A handle that was dropped means the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Tells a client that there is no place for it. A client that speaks HTTP/2 or TLS sees a
/// connection that ends.
fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        // The client may be gone already: nothing is lost then.
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(FULL)).await;
    });
}
