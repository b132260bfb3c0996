//! The server itself.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{Context, export};
use crate::listener::Shutdown;
use crate::proto::server_service_server::ServerService;
use crate::proto::{self, GetServerInfoRequest, GetServerInfoResponse};

pub(super) struct ServerInfo(pub Arc<Context>);

#[tonic::async_trait]
impl ServerService for ServerInfo {
    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        let Context { live, shared, sources, scanner_address, .. } = &*self.0;
        let (n_images, n_bytes, limits) = live.image_memory();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let server = proto::ServerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: live.epoch.clone(),
            started_unix_ms: live.clock.started_unix_ms(),
            now_unix_ms: live.clock.now_unix_ms(),
            scanner_address: scanner_address.to_string(),
            n_sessions: count(live.totals().1.len()),
            max_sessions: count(shared.settings.max_sessions),
            hides_patients: live.hides_patients,
            export_formats: export::FORMATS.map(i32::from).to_vec(),
            has_journal: shared.journal.is_some(),
            has_recordings: sources.replayer.has_folder(),
            n_images: n_images as u64,
            n_image_bytes: n_bytes as u64,
            max_image_bytes: limits.max_bytes as u64,
            keeps_images_on_disk: live.keeps_on_disk,
            is_shutting_down: *shared.shutdown.borrow() != Shutdown::No,
        };
        Ok(Response::new(GetServerInfoResponse { server: Some(server) }))
    }
}
