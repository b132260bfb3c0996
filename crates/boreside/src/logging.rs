//! The log on standard error, for people or as JSON.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use anyhow::Result;
use server::control::log_tail::{LogTail, LogTailLayer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::cli::{LogFormat, LogOptions};

/// The log, as long as it is kept.
pub struct Log {
    /// Its last lines.
    pub tail: Arc<LogTail>,
    #[cfg(feature = "otlp")]
    _traces: Option<crate::telemetry::Telemetry>,
}

/// Starts the log. A filter that is wrong is said so and replaced by the default.
///
/// # Errors
/// An address of a collector that is none, or a build that cannot send to one.
pub fn start(options: &LogOptions) -> Result<Log> {
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
    let log = tracing_subscriber::registry().with(filter).with(lines).with(last);
    #[cfg(feature = "otlp")]
    let traces = options.otlp.as_deref().map(crate::telemetry::Telemetry::start).transpose()?;
    #[cfg(feature = "otlp")]
    let log = log.with(traces.as_ref().map(crate::telemetry::Telemetry::layer));
    #[cfg(not(feature = "otlp"))]
    if options.otlp.is_some() {
        anyhow::bail!(
            "--otlp: this build sends no traces; build it with `cargo build --release -p boreside --features otlp`"
        );
    }
    log.init();
    if let Some(error) = wrong {
        tracing::warn!("--log {wanted}: {error}; logging at info");
    }
    Ok(Log {
        tail,
        #[cfg(feature = "otlp")]
        _traces: traces,
    })
}
