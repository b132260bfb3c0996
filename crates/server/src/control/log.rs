//! The log.

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Context;
use super::watch::send;
use crate::proto::log_service_server::LogService;
use crate::proto::{LogLevel, TailLogRequest, TailLogResponse};

/// Lines that may wait for a reader.
const WAITING_LINES: usize = 16;

pub(super) struct Log(pub Arc<Context>);

#[tonic::async_trait]
impl LogService for Log {
    type TailLogStream = ReceiverStream<Result<TailLogResponse, Status>>;

    async fn tail_log(
        &self,
        request: Request<TailLogRequest>,
    ) -> Result<Response<Self::TailLogStream>, Status> {
        let place = self.0.watchers.place()?;
        let request = request.into_inner();
        let min_level = match request.min_level() {
            LogLevel::Unspecified => LogLevel::Info,
            level => level,
        };
        let (tail, stall) = (Arc::clone(&self.0.sources.log), self.0.stall);
        let (sender, receiver) = tokio::sync::mpsc::channel(WAITING_LINES);
        tokio::spawn(async move {
            let _place = place;
            let is_wanted = |line: &TailLogResponse| {
                line.level >= min_level as i32
                    && (request.session == 0 || line.session == request.session)
            };
            let mut changes = tail.changes();
            let (lines, _, mut last) = tail.after(0);
            let wanted: Vec<_> = lines.into_iter().filter(|line| is_wanted(line)).collect();
            let n_skipped = wanted.len().saturating_sub(request.n_lines as usize);
            for line in wanted.into_iter().skip(n_skipped) {
                if !send(&sender, Ok((*line).clone()), stall).await {
                    return;
                }
            }
            while request.follow {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
                let (lines, mut n_dropped, newest) = tail.after(last);
                last = newest;
                for line in lines.into_iter().filter(|line| is_wanted(line)) {
                    let n_dropped = std::mem::take(&mut n_dropped);
                    let line = TailLogResponse { n_dropped, ..(*line).clone() };
                    if !send(&sender, Ok(line), stall).await {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
