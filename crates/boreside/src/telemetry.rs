//! Sessions as traces, for an OpenTelemetry collector: each session is a span with what it is and
//! how it ended as attributes, and its log lines as events.

use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;
use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;

/// What spans are called by.
const SERVICE: &str = "boreside";
/// A collector that does not answer holds the end of the program up for no longer.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// An address that is none, or no thread for sending.
    pub fn start(address: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()
            .context("no thread for sending traces")?;
        let exporter = {
            let _on = runtime.enter();
            SpanExporter::builder()
                .with_tonic()
                .with_endpoint(address)
                .with_timeout(PATIENCE)
                .build()
                .with_context(|| {
                    format!("--otlp {address}: give the collector's gRPC address, e.g. http://localhost:4317")
                })?
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        Ok(Self { provider, _runtime: Some(runtime) })
    }

    /// Hands each span to `exporter` as soon as it ends.
    #[cfg(test)]
    fn with(exporter: impl opentelemetry_sdk::trace::SpanExporter + 'static) -> Self {
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
            .with_location(false)
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
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::SpanData;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    /// Keeps spans instead of sending them.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl opentelemetry_sdk::trace::SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().expect("nobody panics").extend(batch);
            Ok(())
        }
    }

    #[test]
    fn a_session_is_a_span_with_its_end_and_its_log() {
        let kept = Kept::default();
        let telemetry = Telemetry::with(kept.clone());
        let subscriber = tracing_subscriber::registry().with(telemetry.layer());
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("session", id = 7_u64, n_images = tracing::field::Empty);
            let _in = span.enter();
            tracing::warn!(source = "map_t1", "two inversion times are alike");
            span.record("n_images", 3_u64);
        });
        let spans = kept.0.lock().expect("nobody panics");
        let [span] = spans.as_slice() else { panic!("one span, not {}", spans.len()) };
        assert_eq!(span.name, "session");
        let attribute = |name: &str| {
            let found = span.attributes.iter().find(|found| found.key.as_str() == name);
            found.map(|found| found.value.to_string())
        };
        assert_eq!(attribute("id").as_deref(), Some("7"));
        assert_eq!(attribute("n_images").as_deref(), Some("3"));
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
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("session").in_scope(|| ())
        });
        drop(telemetry);
    }
}
