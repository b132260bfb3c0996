//! The log on standard error, for people or as JSON.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::cli::{LogFormat, LogOptions};

/// Starts the log. A filter that is wrong is said so and replaced by the default.
pub fn start(options: &LogOptions) {
    let wanted = options.log.as_deref().unwrap_or("info");
    let (filter, wrong) = match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let log = fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    match options.log_format {
        LogFormat::Human => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!("--log {wanted}: {error}; logging at info");
    }
}
