//! `/metrics`: figures of the server in Prometheus' text format.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use pipeline::CALL_BOUNDS_S;

use super::{Context, ControlLimits};
use crate::live::Totals;
use crate::live::incoming::{Observations, TIME_BOUNDS_S};

const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/metrics`.
pub(super) fn router(context: &Arc<Context>, limits: ControlLimits) -> Router {
    let context = Arc::clone(context);
    let metrics = move || {
        let context = Arc::clone(&context);
        async move {
            // The journal's folder is looked at, which may be a slow disk.
            let text = tokio::task::spawn_blocking(move || text(&context, limits)).await;
            // A panic in it has been printed by the panic hook already.
            text.map(|text| ([(header::CONTENT_TYPE, MEDIA_TYPE)], text))
                .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
        }
    };
    Router::new().route("/metrics", get(metrics))
}

/// The text of all metrics.
fn text(context: &Context, limits: ControlLimits) -> String {
    let (totals, running) = context.live.totals();
    let mut text = Exposition::default();
    text.gauge(
        "boreside_build_info",
        "Version of the server.",
        [(format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1)],
    );
    let uptime_s = Duration::from_micros(context.live.clock.now_us()).as_secs_f64();
    text.gauge("boreside_uptime_seconds", "Time since the start.", [(String::new(), uptime_s)]);
    text.gauge("boreside_sessions_running", "Sessions that run.", [(String::new(), running.len())]);
    text.gauge(
        "boreside_sessions_max",
        "Sessions that may run at once.",
        [(String::new(), context.shared.settings.max_sessions)],
    );
    counters(&mut text, &totals);
    gadgets(&mut text, &totals);
    context.live.with_observations(|observations| times(&mut text, observations));
    let mut queues = Vec::new();
    for (queue, name) in [("chain", "chain"), ("results", "results")] {
        let fills = running.iter().flat_map(|record| record.queues());
        let fill = |fill: crate::proto::QueueFill| {
            f64::from(fill.waiting) / f64::from(fill.capacity.max(1))
        };
        let fullest =
            fills.filter(|fill| fill.queue == queue).map(fill).fold(0.0, |a: f64, b| a.max(b));
        queues.push((format!("queue=\"{name}\""), fullest));
    }
    let help = "Fill of the fullest queue of this kind among all sessions, 0 to 1.";
    text.gauge("boreside_queue_fill_ratio", help, queues);
    store(&mut text, context);
    let help = "Who watches, and follows the log.";
    text.gauge("boreside_watchers", help, [(String::new(), context.watchers.n())]);
    text.gauge(
        "boreside_watchers_max",
        "Limit of boreside_watchers.",
        [(String::new(), limits.max_watchers)],
    );
    text.0
}

fn counters(text: &mut Exposition, totals: &Totals) {
    for (name, help, value) in [
        ("boreside_sessions_total", "Sessions since the start.", totals.n_sessions),
        ("boreside_sessions_failed_total", "Sessions that ended with errors.", totals.n_failed),
        ("boreside_readouts_total", "Readouts that arrived.", totals.n_readouts),
        ("boreside_received_bytes_total", "Bytes from scanners.", totals.n_bytes_in),
        ("boreside_images_total", "Images and maps that left chains.", totals.n_images),
        ("boreside_sent_bytes_total", "Bytes to scanners.", totals.n_bytes_out),
    ] {
        text.counter(name, help, [(String::new(), value)]);
    }
    let notices = [("warning", totals.n_warnings), ("error", totals.n_errors)];
    text.counter(
        "boreside_notices_total",
        "Warnings and errors of sessions.",
        notices.map(|(level, n)| (format!("level=\"{level}\""), n)),
    );
}

fn gadgets(text: &mut Exposition, totals: &Totals) {
    let label = |name: &str| format!("gadget=\"{}\"", escaped(name));
    text.counter(
        "boreside_gadget_messages_total",
        "Messages that gadgets took.",
        totals.gadgets.iter().map(|(name, gadget)| (label(name), gadget.messages_in)),
    );
    text.counter(
        "boreside_gadget_faults_total",
        "Warnings and errors of gadgets.",
        totals.gadgets.iter().map(|(name, gadget)| (label(name), gadget.faults)),
    );
    text.histogram(
        "boreside_gadget_call_seconds",
        "Time of a gadget's calls, the gadgets after it not counted.",
        &CALL_BOUNDS_S,
        totals
            .gadgets
            .iter()
            .map(|(name, gadget)| (label(name), gadget.busy_s, gadget.calls.as_slice())),
    );
}

fn times(text: &mut Exposition, observations: &Observations) {
    let latency = &observations.latency;
    text.histogram(
        "boreside_image_latency_seconds",
        "Time from the last readout that had arrived to an image that is ready.",
        &TIME_BOUNDS_S,
        [(String::new(), latency.sum_s, latency.counts.as_slice())],
    );
    text.histogram(
        "boreside_inference_seconds",
        "Time in networks, by model and provider.",
        &TIME_BOUNDS_S,
        observations.inference.iter().map(|((model, provider), times)| {
            let label = format!("model=\"{}\",provider=\"{}\"", escaped(model), escaped(provider));
            (label, times.sum_s, times.counts.as_slice())
        }),
    );
}

fn store(text: &mut Exposition, context: &Context) {
    let (n_images, n_bytes, limits) = context.live.image_memory();
    let none = String::new;
    text.gauge("boreside_kept_images", "Images that can be watched.", [(none(), n_images)]);
    text.gauge("boreside_kept_image_bytes", "Their memory.", [(none(), n_bytes)]);
    text.gauge("boreside_kept_image_bytes_max", "Its limit.", [(none(), limits.max_bytes)]);
    text.counter(
        "boreside_unwatched_images_total",
        "Images that could not be shown because too many came at once.",
        [(none(), context.live.n_dropped())],
    );
    let Some(journal) = &context.shared.journal else { return };
    let entries = journal.list().unwrap_or_default();
    let n_bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    text.gauge("boreside_journal_sessions", "Sessions in the journal.", [(none(), entries.len())]);
    text.gauge("boreside_journal_bytes", "The journal's size.", [(none(), n_bytes)]);
    let max_bytes = context.shared.settings.journal.as_ref().map_or(0, |journal| journal.max_bytes);
    text.gauge("boreside_journal_bytes_max", "Its limit.", [(none(), max_bytes)]);
}

/// A text in the making.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn values<V: Display>(&mut self, name: &str, values: impl IntoIterator<Item = (String, V)>) {
        for (labels, value) in values {
            match labels.is_empty() {
                true => self.line(format_args!("{name} {value}")),
                false => self.line(format_args!("{name}{{{labels}}} {value}")),
            }
        }
    }

    fn gauge<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        self.head(name, help, "gauge");
        self.values(name, values);
    }

    fn counter<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        self.head(name, help, "counter");
        self.values(name, values);
    }

    /// * `rows`: labels, sum, and the counts by class, the last one above all bounds.
    fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        bounds: &[f64],
        rows: impl IntoIterator<Item = (String, f64, &'a [u64])>,
    ) {
        self.head(name, help, "histogram");
        for (labels, sum, counts) in rows {
            let comma = if labels.is_empty() { "" } else { "," };
            let mut n = 0;
            for (class, count) in counts.iter().enumerate() {
                n += count;
                let bound = bounds.get(class).map_or("+Inf".to_owned(), f64::to_string);
                self.line(format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {n}"));
            }
            self.values(&format!("{name}_sum"), [(labels.clone(), sum)]);
            self.values(&format!("{name}_count"), [(labels, n)]);
        }
    }
}

/// A label's value: clients can name gadgets and models as they like.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars().take(100) {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_and_labels_are_escaped() {
        let mut text = Exposition::default();
        let label = format!("gadget=\"{}\"", escaped("a\"b\n\\"));
        text.histogram("x", "Help.", &[0.1, 1.0], [(label, 2.5, [1, 2, 3].as_slice())]);
        let expected = r#"# HELP x Help.
# TYPE x histogram
x_bucket{gadget="a\"b\n\\",le="0.1"} 1
x_bucket{gadget="a\"b\n\\",le="1"} 3
x_bucket{gadget="a\"b\n\\",le="+Inf"} 6
x_sum{gadget="a\"b\n\\"} 2.5
x_count{gadget="a\"b\n\\"} 6
"#;
        assert_eq!(text.0, expected);
    }

    #[test]
    fn time_in_networks_is_counted_by_model_and_provider() {
        let ran = |time_ms: f64| crate::proto::Image {
            models: vec![crate::proto::Provenance {
                model: "moconet 1.0.0".to_owned(),
                provider: "cpu".to_owned(),
                time_ms,
                ..Default::default()
            }],
            latency: Some(crate::proto::Latency {
                since_last_readout_ms: 250.0,
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut observations = Observations::default();
        observations.add(&ran(20.0));
        observations.add(&ran(45_000.0));
        let mut text = Exposition::default();
        times(&mut text, &observations);
        let labels = r#"model="moconet 1.0.0",provider="cpu""#;
        for line in [
            format!("boreside_inference_seconds_bucket{{{labels},le=\"0.01\"}} 0"),
            format!("boreside_inference_seconds_bucket{{{labels},le=\"0.03\"}} 1"),
            format!("boreside_inference_seconds_bucket{{{labels},le=\"30\"}} 1"),
            format!("boreside_inference_seconds_bucket{{{labels},le=\"+Inf\"}} 2"),
            format!("boreside_inference_seconds_sum{{{labels}}} 45.02"),
            format!("boreside_inference_seconds_count{{{labels}}} 2"),
            "boreside_image_latency_seconds_bucket{le=\"0.2\"} 0".to_owned(),
            "boreside_image_latency_seconds_bucket{le=\"0.5\"} 2".to_owned(),
        ] {
            assert!(text.0.lines().any(|found| found == line), "{line} is not in\n{}", text.0);
        }
    }
}
