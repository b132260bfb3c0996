//! Networks.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Context;
use crate::proto::model_service_server::ModelService;
use crate::proto::{ListModelsRequest, ListModelsResponse};

pub(super) struct Models(pub Arc<Context>);

#[tonic::async_trait]
impl ModelService for Models {
    async fn list_models(
        &self,
        _: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        let list = Arc::clone(&self.0.sources.models);
        // It reads files.
        let models = tokio::task::spawn_blocking(move || list())
            .await
            .map_err(|error| Status::internal(format!("the models cannot be listed: {error}")))?;
        Ok(Response::new(ListModelsResponse { models }))
    }
}
