//! Sessions, live and recent.

use std::sync::Arc;

use tonic::{Code, Request, Response, Status};

use super::{Context, refusal};
use crate::proto::session_service_server::SessionService;
use crate::proto::{
    GetSessionRequest, GetSessionResponse, ListSessionsRequest, ListSessionsResponse,
};

pub(super) struct Sessions(pub Arc<Context>);

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let ListSessionsRequest { live_only, limit } = request.into_inner();
        let live = &self.0.live;
        let limit = if limit == 0 { usize::MAX } else { limit as usize };
        let sessions = live
            .sessions()
            .into_iter()
            .filter(|record| !(live_only && record.has_ended()))
            .take(limit)
            .map(|record| record.describe(live.hides_patients))
            .collect();
        Ok(Response::new(ListSessionsResponse { sessions }))
    }

    async fn get_session(
        &self,
        request: Request<GetSessionRequest>,
    ) -> Result<Response<GetSessionResponse>, Status> {
        let id = request.into_inner().id;
        let live = &self.0.live;
        let Some(record) = live.session(id) else {
            let what = format!("session {id} is not known");
            let remedy = "ListSessions names those that are; older ones are in the journal";
            return Err(refusal(Code::NotFound, &what, remedy));
        };
        let session = Some(record.describe(live.hides_patients));
        Ok(Response::new(GetSessionResponse { session }))
    }
}
