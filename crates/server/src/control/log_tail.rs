//! The last lines of the log, for those who follow it.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::proto::{LogLevel, TailLogResponse};

/// Lines that are kept.
const MAX_LINES: usize = 2000;
/// Characters of a line that are kept.
const MAX_CHARS: usize = 4000;

/// The last lines of the log. As a layer of the program's subscriber it takes them.
#[derive(Debug)]
pub struct LogTail {
    lines: Mutex<Lines>,
    /// Number of the newest line.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Arc<TailLogResponse>>,
    /// Number of the newest line, from 1.
    last: u64,
}

impl Default for LogTail {
    fn default() -> Self {
        Self { lines: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl LogTail {
    fn add(&self, line: TailLogResponse) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.last += 1;
        lines.lines.push_back(Arc::new(line));
        if lines.lines.len() > MAX_LINES {
            lines.lines.pop_front();
        }
        self.changed.send_replace(lines.last);
    }

    /// Ready when there are new lines.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Lines after this number, how many of them are not kept any more, and the newest number.
    pub(crate) fn after(&self, number: u64) -> (Vec<Arc<TailLogResponse>>, u64, u64) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let first = lines.last + 1 - lines.lines.len() as u64;
        let n_dropped = first.saturating_sub(number + 1);
        let skip = usize::try_from((number + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        (lines.lines.iter().skip(skip).cloned().collect(), n_dropped, lines.last)
    }
}

/// The number of the session that a span belongs to.
struct SessionOfSpan(u64);

/// What an event says.
#[derive(Default)]
struct Said {
    text: String,
    gadget: String,
    session: Option<u64>,
}

impl Visit for Said {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "id" {
            self.session = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "gadget" => value.clone_into(&mut self.gadget),
            "message" => value.clone_into(&mut self.text),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            // Writing to a String does not fail.
            "message" => _ = write!(self.text, "{value:?}"),
            "gadget" => _ = write!(self.gadget, "{value:?}"),
            _ => {}
        }
    }
}

/// The layer, for the program's subscriber.
#[derive(Debug)]
pub struct LogTailLayer(pub Arc<LogTail>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogTailLayer {
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        if attributes.metadata().name() != "session" {
            return;
        }
        let mut said = Said::default();
        attributes.record(&mut said);
        if let (Some(session), Some(span)) = (said.session, context.span(id)) {
            span.extensions_mut().insert(SessionOfSpan(session));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let session = context.event_scope(event).and_then(|mut scope| {
            scope.find_map(|span| span.extensions().get::<SessionOfSpan>().map(|session| session.0))
        });
        if said.text.len() > MAX_CHARS {
            said.text = said.text.chars().take(MAX_CHARS).collect();
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.0.add(TailLogResponse {
            unix_ms: since_1970.as_secs_f64() * 1e3,
            level: level(*event.metadata().level()).into(),
            session: session.unwrap_or(0),
            gadget: said.gadget,
            text: said.text,
            n_dropped: 0,
        });
    }
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warning,
        Level::INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn lines_are_kept_with_their_session_and_level() {
        let tail = Arc::new(LogTail::default());
        let subscriber = tracing_subscriber::registry().with(LogTailLayer(Arc::clone(&tail)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("outside");
            let span = tracing::info_span!("session", id = 7_u64);
            let _entered = span.enter();
            tracing::warn!(gadget = "map_t1", "{} px", 4);
        });
        let (lines, n_dropped, last) = tail.after(0);
        assert_eq!((n_dropped, last), (0, 2));
        assert_eq!((lines[0].text.as_str(), lines[0].session), ("outside", 0));
        assert_eq!(lines[1].level(), LogLevel::Warning);
        assert_eq!(
            (lines[1].text.as_str(), lines[1].session, lines[1].gadget.as_str()),
            ("4 px", 7, "map_t1")
        );
    }

    #[test]
    fn who_is_too_slow_is_told_how_many_lines_are_gone() {
        let tail = LogTail::default();
        for _ in 0..MAX_LINES + 5 {
            tail.add(TailLogResponse::default());
        }
        let (lines, n_dropped, last) = tail.after(2);
        assert_eq!((lines.len(), n_dropped, last), (MAX_LINES, 3, MAX_LINES as u64 + 5));
        assert_eq!(tail.after(last).0.len(), 0);
    }
}
