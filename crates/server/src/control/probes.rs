//! Whether the server runs and takes scans, for those who start and restart it.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};

use super::Context;
use crate::listener::Shutdown;

impl Context {
    /// Why no new scan is taken; [`None`] where one is.
    pub fn why_not_ready(&self) -> Option<String> {
        if *self.shared.shutdown.borrow() != Shutdown::No {
            return Some("the server is shutting down".to_owned());
        }
        let (running, limit) = (self.live.totals().1.len(), self.shared.settings.max_sessions);
        (running >= limit).then(|| format!("{running} sessions are running, the limit"))
    }
}

/// `/healthz` and `/readyz`.
pub(super) fn router(context: &Arc<Context>) -> Router {
    let context = Arc::clone(context);
    let ready = move || {
        let response = match context.why_not_ready() {
            None => "ok\n".into_response(),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
        };
        std::future::ready(response)
    };
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// The standard health service: the whole server under the empty name.
pub(super) fn grpc_health(context: &Arc<Context>) -> HealthServer<impl Health> {
    let (reporter, service) = tonic_health::server::health_reporter();
    let mut shutdown = context.shared.shutdown.subscribe();
    tokio::spawn(async move {
        reporter.set_service_status("", ServingStatus::Serving).await;
        reporter.set_service_status("boreside", ServingStatus::Serving).await;
        // The sender lives as long as the server.
        let _ = shutdown.wait_for(|now| *now != Shutdown::No).await;
        reporter.set_service_status("", ServingStatus::NotServing).await;
        reporter.set_service_status("boreside", ServingStatus::NotServing).await;
    });
    service
}
