//! Counts what is logged, by level, under the original's name.

use metrics::Counter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

/// Counts events that the program makes, whether or not the log's levels let them through.
#[derive(Debug)]
pub struct EventCounter {
    error: Counter,
    warn: Counter,
    info: Counter,
    debug: Counter,
}

impl Default for EventCounter {
    /// To be made after the metrics are installed.
    fn default() -> Self {
        let counter = |level: &'static str| metrics::counter!("logback.events", "level" => level);
        Self {
            error: counter("error"),
            warn: counter("warn"),
            info: counter("info"),
            debug: counter("debug"),
        }
    }
}

impl<S: Subscriber> Layer<S> for EventCounter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        match *event.metadata().level() {
            Level::ERROR => self.error.increment(1),
            Level::WARN => self.warn.increment(1),
            Level::INFO => self.info.increment(1),
            Level::DEBUG | Level::TRACE => self.debug.increment(1),
        }
    }
}
