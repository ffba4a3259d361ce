//! What the process tells of itself: its log on standard output, with levels that may change while it runs, and
//! its metrics.

use std::{
    fmt,
    io::{IsTerminal as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use time::OffsetDateTime;
use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, Registry,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt as _,
};

use super::{
    log_format::{Line, LineContext, LineFormat, LogFormat},
    log_level::{InvalidLevel, LogFilter, LogLevel, LogLevels, LoggerLevel, ROOT},
    metrics::{EventCounter, Metrics},
};
use crate::config::{Environment, Reader};

/// A further layer (metrics, traces) to install beside the log.
pub type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What logging can be wrong in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Logging or metrics were set up before.
    #[error("logging and metrics are set up already")]
    AlreadyInstalled,
    /// The logger above all must have a level.
    #[error("the level of {ROOT} can't be unset")]
    RootUnset,
    /// Not a level.
    #[error(transparent)]
    Level(#[from] InvalidLevel),
}

/// How to log.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// Text or JSON.
    pub format: LogFormat,
    /// Whether to colour text.
    pub colour: bool,
    /// Level of each logger.
    pub levels: LogLevels,
}

impl TelemetrySettings {
    /// Text at INFO, coloured where standard output is a terminal.
    pub fn new(environment: &Environment) -> Self {
        let colour = std::io::stdout().is_terminal() && !environment.forbids_colour();
        Self { format: LogFormat::Text, colour, levels: LogLevels::new(LogLevel::Info) }
    }

    /// Reads `logger.levels.<name>` and `logger.format` (`text` or `json`). The names of loggers are
    /// the operator's: `logger.levels.**` belongs to the verbatim keys.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let mut settings = Self::new(reader.properties().environment());
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        settings.format = reader.choice("logger.format", &formats, LogFormat::Text);
        let expected = "ALL, TRACE, DEBUG, INFO, WARN, ERROR or OFF";
        for name in reader.text_map("logger.levels").keys() {
            let level = reader.parsed(&format!("logger.levels.{name}"), expected, |text| text.parse().ok());
            settings.levels.set(name, level.or(Some(LogLevel::Info)));
        }
        settings
    }
}

type Reload = reload::Handle<LogFilter, Registry>;

/// The running log and the metrics. Clones are the same.
#[derive(Clone)]
pub struct Telemetry {
    levels: Arc<Mutex<LogLevels>>,
    reload: Reload,
    metrics: Metrics,
}

impl Telemetry {
    /// Sets up logging to standard output and metrics for the whole process, with further layers beside the log.
    pub fn install(settings: TelemetrySettings, further: Vec<BoxedLayer>) -> Result<Self, Error> {
        let (layer, mut telemetry) = Self::layer(settings, std::io::stdout);
        telemetry.metrics = Metrics::install().map_err(|_| Error::AlreadyInstalled)?;
        let mut layers = further;
        layers.push(layer);
        layers.push(Box::new(EventCounter::default()));
        tracing_subscriber::registry().with(layers).try_init().map_err(|_| Error::AlreadyInstalled)?;
        Ok(telemetry)
    }

    /// The log as a layer that writes to `writer`, and the handle to its levels.
    pub fn layer<W>(settings: TelemetrySettings, writer: W) -> (BoxedLayer, Self)
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let format = LineFormat {
            format: settings.format,
            colour: settings.colour && settings.format == LogFormat::Text,
        };
        let (filter, reload) = reload::Layer::new(settings.levels.filter());
        let layer = LogLayer { writer, format }.with_filter(filter);
        let levels = Arc::new(Mutex::new(settings.levels));
        (Box::new(layer), Self { levels, reload, metrics: Metrics::default() })
    }

    /// The metrics that this process records.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Sets a logger's level for as long as the process runs, or unsets it. Any name is taken.
    pub fn set_level(&self, name: &str, level: Option<LogLevel>) -> Result<(), Error> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        if !levels.set(name, level) {
            return Err(Error::RootUnset);
        }
        // Fails only when the layer is gone, and then there is nothing to filter.
        let _ = self.reload.reload(levels.filter());
        Ok(())
    }

    /// The level of any logger.
    pub fn level(&self, name: &str) -> LoggerLevel {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).get(name)
    }

    /// A copy of all levels.
    pub fn levels(&self) -> LogLevels {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("levels", &self.levels()).finish_non_exhaustive()
    }
}

/// Writes one line for each event.
struct LogLayer<W> {
    writer: W,
    format: LineFormat,
}

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut line_context = LineContext::default();
        attributes.record(&mut line_context);
        span.extensions_mut().insert(line_context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(line_context) = span.extensions_mut().get_mut::<LineContext>() {
            values.record(line_context);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line_context = LineContext::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<LineContext>() {
                line_context.inherit(outer);
            }
        }
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let text = self.format.write(&Line::of(event), &line_context, wall_clock(), name);
        // Whoever reads the log may have gone away; the work goes on.
        let _ = self.writer.make_writer().write_all(text.as_bytes());
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a log line tells the wall-clock time; nothing is decided by it"
)]
fn wall_clock() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[cfg(test)]
mod tests {
    use tracing::{Level, debug, info, info_span, warn};

    use super::*;
    use crate::config::Sources;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        /// Lines so far, without time and thread.
        fn take(&self) -> Vec<String> {
            let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
            text.lines().map(|line| line.split_once("] ").unwrap().1.to_owned()).collect()
        }
    }

    fn log(root: LogLevel) -> (Captured, Telemetry, tracing::subscriber::DefaultGuard) {
        let captured = Captured::default();
        let writer = captured.clone();
        let settings =
            TelemetrySettings { format: LogFormat::Text, colour: false, levels: LogLevels::new(root) };
        let (layer, telemetry) = Telemetry::layer(settings, move || writer.clone());
        let guard = tracing_subscriber::registry().with(vec![layer]).set_default();
        (captured, telemetry, guard)
    }

    #[test]
    fn lines_carry_the_job_of_any_span_around_them() {
        let (captured, _telemetry, _guard) = log(LogLevel::Info);
        let job = info_span!("migration", job = "Acme/7", request_id = tracing::field::Empty);
        job.in_scope(|| {
            let _inner = info_span!("step", other = 1).entered();
            info!(uid = %"u@x", "started");
            job.record("request_id", "r9");
            warn!("again");
        });
        info!("outside");
        let logger = "dmf.shared.ops.telemetry.tests";
        assert_eq!(
            captured.take(),
            [
                format!("INFO  {logger} - [JobID: Acme/7] started uid=u@x"),
                format!("WARN  {logger} - [JobID: Acme/7] again request_id=r9"),
                format!("INFO  {logger} - outside"),
            ]
        );
    }

    #[test]
    fn levels_change_while_running_and_spans_keep_their_job() {
        let (captured, telemetry, _guard) = log(LogLevel::Warn);
        let work = || {
            info_span!("migration", job = "Acme/1").in_scope(|| {
                debug!("a detail");
                warn!("a warning");
            });
            tracing::event!(target: "sqlx::query", Level::DEBUG, "a statement");
            captured.take().len()
        };
        assert_eq!(work(), 1);
        telemetry.set_level("dmf", Some(LogLevel::Debug)).unwrap();
        assert_eq!(work(), 2);
        telemetry.set_level("sqlx", Some(LogLevel::All)).unwrap();
        assert_eq!(work(), 3);
        telemetry.set_level("dmf.shared", Some(LogLevel::Off)).unwrap();
        assert_eq!(work(), 1);
        for name in ["dmf", "sqlx", "dmf_shared"] {
            telemetry.set_level(name, None).unwrap();
        }
        info_span!("migration", job = "Acme/1").in_scope(|| warn!("still with its job"));
        assert!(captured.take()[0].contains("[JobID: Acme/1]"));
        assert!(matches!(telemetry.set_level("root", None), Err(Error::RootUnset)));
        assert_eq!(telemetry.level("dmf.worker").effective, LogLevel::Warn);
    }

    #[test]
    fn settings_come_from_the_configuration() {
        let yaml =
            "logger:\n  format: JSON\n  levels:\n    dmf: DEBUG\n    dmf_worker.x: off\n    ROOT: warn\n";
        let sources = Sources::default().verbatim(&["logger.levels.**"]);
        let properties = sources.load_text(yaml, Environment::default()).unwrap();
        let mut reader = Reader::new(&properties);
        let settings = TelemetrySettings::read(&mut reader);
        assert!(reader.finish().unwrap().is_empty());
        assert_eq!(settings.format, LogFormat::Json);
        assert_eq!(settings.levels.get("dmf.scheduler").effective, LogLevel::Debug);
        assert_eq!(settings.levels.get("dmf.worker.x").configured, Some(LogLevel::Off));
        assert_eq!(settings.levels.get("ROOT").effective, LogLevel::Warn);

        let properties = sources.load_text("logger.levels.dmf: LOUD", Environment::default()).unwrap();
        let mut reader = Reader::new(&properties);
        TelemetrySettings::read(&mut reader);
        assert!(reader.finish().is_err());
    }
}
