//! Images and maps.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::export::{Content, Export, FORMATS};
use super::watch::send;
use super::{Context, refusal};
use crate::live::{StoredImage, protocol};
use crate::proto::image_service_server::ImageService;
use crate::proto::{
    ExportImagesRequest, ExportImagesResponse, GetImageRequest, GetImageResponse,
    ListImagesRequest, ListImagesResponse,
};

/// Files that may be made at once.
pub(super) const MAX_EXPORTS: usize = 8;
/// Images of one file.
const MAX_EXPORTED: usize = 4096;
/// Pieces of a file that may wait to be taken.
const WAITING_PIECES: usize = 2;

pub(super) struct Images(pub Arc<Context>);

impl Images {
    fn image(&self, id: u64) -> Result<Arc<StoredImage>, Status> {
        self.0.live.image(id).ok_or_else(|| {
            let what = format!("image {id} is not kept");
            let remedy = "it was never there or has made room for newer ones: ListImages names those that are; raise --images-mib to keep more";
            refusal(Code::NotFound, &what, remedy)
        })
    }
}

#[tonic::async_trait]
impl ImageService for Images {
    async fn list_images(
        &self,
        request: Request<ListImagesRequest>,
    ) -> Result<Response<ListImagesResponse>, Status> {
        let ListImagesRequest { session, series, limit } = request.into_inner();
        let mut images = self.0.live.images();
        images.retain(|image| {
            (session == 0 || image.facts.session == session)
                && series.is_none_or(|series| image.facts.series == series)
        });
        let n_left_out = match limit {
            0 => 0,
            limit => images.len().saturating_sub(limit as usize),
        };
        let images = images.into_iter().skip(n_left_out).map(|image| image.facts.clone()).collect();
        Ok(Response::new(ListImagesResponse { images }))
    }

    async fn get_image(
        &self,
        request: Request<GetImageRequest>,
    ) -> Result<Response<GetImageResponse>, Status> {
        let image = self.image(request.into_inner().id)?;
        let (facts, pixels) = (image.facts.clone(), image.values());
        Ok(Response::new(GetImageResponse { image: Some(facts), pixels: Some(pixels) }))
    }

    type ExportImagesStream =
        Pin<Box<dyn Stream<Item = Result<ExportImagesResponse, Status>> + Send>>;

    async fn export_images(
        &self,
        request: Request<ExportImagesRequest>,
    ) -> Result<Response<Self::ExportImagesStream>, Status> {
        let request = request.into_inner();
        if !FORMATS.contains(&request.format()) {
            let what = format!("this server does not write {}", request.format().as_str_name());
            let remedy = "ServerInfo.export_formats names what it writes";
            return Err(refusal(Code::InvalidArgument, &what, remedy));
        }
        if request.ids.is_empty() || request.ids.len() > MAX_EXPORTED {
            let what = format!("{} images in one file", request.ids.len());
            let remedy = format!("name 1 to {MAX_EXPORTED}");
            return Err(refusal(Code::InvalidArgument, &what, &remedy));
        }
        let place = self.0.exports.clone().try_acquire_owned().map_err(|_| {
            let what = format!("{MAX_EXPORTS} files are being made already");
            refusal(Code::ResourceExhausted, &what, "ask again when one of them is done")
        })?;
        // They are held: images that come meanwhile cannot make them go.
        let images = request.ids.iter().map(|id| self.image(*id)).collect::<Result<Vec<_>, _>>()?;
        let session = images[0].facts.session;
        if images.iter().any(|image| image.facts.session != session) {
            let what = "these images are of different sessions";
            let remedy = "write a file for each session";
            return Err(refusal(Code::InvalidArgument, what, remedy));
        }
        let record = self.0.live.session(session);
        let hides_patients = self.0.live.hides_patients;
        let started_ms =
            record.as_ref().map_or(0.0, |r| r.describe(hides_patients).started_unix_ms);
        let header_text =
            record.map(|record| record.header_text()).and_then(|text| match hides_patients {
                true => protocol::without_patient(&text),
                false => Some(text).filter(|text| !text.is_empty()),
            });
        let run = match hides_patients {
            // Without patient and study, only this keeps the patients of a day apart.
            true => format!("session {session} since {started_ms:.0}"),
            false => format!("session {session}"),
        };
        let content = Content { session, run, header_text, images, hides_patients };
        let Export { name, media_type, pieces } = Export::new(request.format(), content);
        let (sender, receiver) = tokio::sync::mpsc::channel(WAITING_PIECES);
        // Making them takes time, and a disk.
        let (runtime, stall) = (tokio::runtime::Handle::current(), self.0.stall);
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let mut named = Some((name, media_type));
            for piece in pieces {
                let (file_name, media_type) = named.take().unwrap_or_default();
                let media_type = media_type.to_owned();
                let piece = piece.map(|data| ExportImagesResponse { media_type, file_name, data });
                // Whoever wanted it is gone, or takes nothing and holds images in memory.
                if !runtime.block_on(send(&sender, piece, stall)) {
                    return;
                }
            }
        });
        let stream = ReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(stream)))
    }
}
