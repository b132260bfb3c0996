//! Sessions as traces, for an OpenTelemetry collector: each session is a span with what it is and
//! how it ended as attributes, and its log lines as events.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter as Exporter};
use tokio::runtime::Runtime;
use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;

/// What spans are called by.
const SERVICE: &str = "boreside";
/// A collector that does not answer holds the end of the program up for no longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The collector's address is none.
    #[error("--otlp {0}: {1}; give the collector's gRPC address, e.g. http://localhost:4317")]
    Address(String, #[source] ExporterBuildError),
    /// No threads for sending.
    #[error("no threads for sending traces: {0}")]
    Threads(#[from] std::io::Error),
}

/// Sends traces; when it is dropped, those that still wait.
pub struct Telemetry {
    provider: SdkTracerProvider,
    /// What the connection lives on.
    _runtime: Option<Runtime>,
}

impl Telemetry {
    /// Sends to a collector by OTLP over gRPC. That it is away is no error: traces are lost then.
    ///
    /// # Errors
    /// [`TelemetryError`].
    pub fn start(address: &str) -> Result<Self, TelemetryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()?;
        let exporter = {
            let _on = runtime.enter();
            SpanExporter::builder()
                .with_tonic()
                .with_endpoint(address)
                .with_timeout(PATIENCE)
                .build()
                .map_err(|error| TelemetryError::Address(address.to_owned(), error))?
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        Ok(Self { provider, _runtime: Some(runtime) })
    }

    /// Hands each span to `exporter` as soon as it ends.
    #[cfg(test)]
    fn with(exporter: impl Exporter + 'static) -> Self {
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_simple_exporter(exporter)
            .build();
        Self { provider, _runtime: None }
    }

    /// Makes spans of this program's.
    pub fn layer<S>(&self) -> impl tracing_subscriber::Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            .with_threads(false)
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // Nobody is left to be told that the collector is away.
        let _ = self.provider.shutdown_with_timeout(PATIENCE);
    }
}

fn resource() -> Resource {
    Resource::builder_empty()
        .with_service_name(SERVICE)
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::Value;
    use opentelemetry_sdk::trace::InMemorySpanExporter;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn a_session_is_a_span_with_its_end_and_its_log() {
        let exporter = InMemorySpanExporter::default();
        let telemetry = Telemetry::with(exporter.clone());
        let subscriber = tracing_subscriber::registry().with(telemetry.layer());
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("session", id = 7_u64, n_images = tracing::field::Empty);
            let _in = span.enter();
            tracing::warn!(source = "map_t1", "two inversion times are alike");
            span.record("n_images", 3_u64);
        });
        let spans = exporter.get_finished_spans().expect("spans are kept");
        let [span] = spans.as_slice() else { panic!("one span, not {}", spans.len()) };
        assert_eq!(span.name, "session");
        let attribute = |name: &str| {
            let found = span.attributes.iter().find(|found| found.key.as_str() == name);
            found.map(|found| found.value.clone())
        };
        assert_eq!(attribute("id"), Some(Value::I64(7)));
        assert_eq!(attribute("n_images"), Some(Value::I64(3)));
        let [event] = &*span.events.events else { panic!("one log line") };
        assert_eq!(event.name, "two inversion times are alike");
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_what_to_type() {
        let Err(error) = Telemetry::start("not an address") else { panic!("it is none") };
        assert!(error.to_string().contains("http://localhost:4317"), "{error}");
    }

    #[test]
    fn a_collector_that_is_away_is_no_error() {
        // Nobody listens at port 9 of this machine.
        let telemetry = Telemetry::start("http://127.0.0.1:9").expect("it is an address");
        let subscriber = tracing_subscriber::registry().with(telemetry.layer());
        tracing::subscriber::with_default(subscriber, || tracing::info_span!("session").in_scope(|| ()));
        drop(telemetry);
    }
}
