//! Images and maps.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ismrmrd::wire;
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status};

use super::{Context, refusal};
use crate::live::{StoredImage, protocol};
use crate::proto::image_service_server::ImageService;
use crate::proto::{
    ExportImagesRequest, ExportImagesResponse, FileFormat, GetImageRequest, GetImageResponse,
    ListImagesRequest, ListImagesResponse,
};

/// Images of one file.
const MAX_EXPORTED: usize = 4096;
/// Bytes of one piece of a file.
const PIECE_BYTES: usize = 256 << 10;

pub(super) struct Images(pub Arc<Context>);

/// What [`Images::export_images`] can write.
pub(super) const EXPORT_FORMATS: [FileFormat; 1] = [FileFormat::MrdStream];

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
        if !EXPORT_FORMATS.contains(&request.format()) {
            let what = format!("this server does not write {}", request.format().as_str_name());
            let remedy = "ServerInfo.export_formats names what it writes";
            return Err(refusal(Code::InvalidArgument, &what, remedy));
        }
        if request.ids.is_empty() || request.ids.len() > MAX_EXPORTED {
            let what = format!("{} images in one file", request.ids.len());
            let remedy = format!("name 1 to {MAX_EXPORTED}");
            return Err(refusal(Code::InvalidArgument, &what, &remedy));
        }
        // They are held: images that come meanwhile cannot make them go.
        let images =
            request.ids.iter().map(|id| self.image(*id)).collect::<Result<VecDeque<_>, _>>()?;
        let session = images[0].facts.session;
        if images.iter().any(|image| image.facts.session != session) {
            let what = "these images are of different sessions";
            let remedy = "write a file for each session";
            return Err(refusal(Code::InvalidArgument, what, remedy));
        }
        let record = self.0.live.session(session);
        let hides_patients = self.0.live.hides_patients;
        let header =
            record.map(|record| record.header_text()).and_then(|text| match hides_patients {
                true => protocol::without_patient(&text),
                false => Some(text).filter(|text| !text.is_empty()),
            });
        let name = match request.ids.as_slice() {
            [id] => format!("boreside-session-{session}-image-{id}.mrd"),
            _ => format!("boreside-session-{session}.mrd"),
        };
        let stream = tokio_stream::iter(MrdFile::new(name, header, images));
        Ok(Response::new(Box::pin(stream)))
    }
}

/// Makes one piece after the other of an MRD stream, as they are asked for.
struct MrdFile {
    name: Option<String>,
    header: Option<String>,
    images: VecDeque<Arc<StoredImage>>,
    buffer: BytesMut,
    is_closed: bool,
}

impl MrdFile {
    fn new(name: String, header: Option<String>, images: VecDeque<Arc<StoredImage>>) -> Self {
        Self { name: Some(name), header, images, buffer: BytesMut::new(), is_closed: false }
    }

    fn fill(&mut self) -> Result<(), wire::EncodeError> {
        while self.buffer.len() < PIECE_BYTES && !self.is_closed {
            if let Some(header) = self.header.take() {
                wire::encode(&wire::Message::Header(header), &mut self.buffer)?;
            } else if let Some(image) = self.images.pop_front() {
                wire::encode_image(&image.image, &mut self.buffer)?;
            } else {
                wire::encode(&wire::Message::Close, &mut self.buffer)?;
                self.is_closed = true;
            }
        }
        Ok(())
    }
}

impl Iterator for MrdFile {
    type Item = Result<ExportImagesResponse, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.fill() {
            self.is_closed = true;
            self.images.clear();
            self.buffer.clear();
            return Some(Err(Status::internal(error.to_string())));
        }
        if self.buffer.is_empty() {
            return None;
        }
        let n_bytes = self.buffer.len().min(PIECE_BYTES);
        let data: Bytes = self.buffer.split_to(n_bytes).freeze();
        let first = self.name.take();
        Some(Ok(ExportImagesResponse {
            media_type: first
                .as_ref()
                .map(|_| "application/octet-stream".to_owned())
                .unwrap_or_default(),
            file_name: first.unwrap_or_default(),
            data,
        }))
    }
}
