//! The log on standard error, for people or as JSON.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use server::control::log_tail::{LogTail, LogTailLayer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::cli::{LogFormat, LogOptions};

/// Starts the log; gives its last lines. A filter that is wrong is said so and replaced by the
/// default.
pub fn start(options: &LogOptions) -> Arc<LogTail> {
    let wanted = options.log.as_deref().unwrap_or("info");
    let (filter, wrong) = match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = match options.log_format {
        LogFormat::Human => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let tail = Arc::new(LogTail::default());
    let last = LogTailLayer(Arc::clone(&tail));
    tracing_subscriber::registry().with(filter).with(lines).with(last).init();
    if let Some(error) = wrong {
        tracing::warn!("--log {wanted}: {error}; logging at info");
    }
    tail
}
