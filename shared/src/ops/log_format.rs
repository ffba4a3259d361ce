//! How a log line looks: the original's text, or JSON.
//!
//! Text: `HH:mm:ss.SSS [thread] LEVEL logger - [JobID: source/id] message key=value …`. What stands in a
//! line is escaped, so that no user name or mail server can forge a second one.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

use super::log_level::logger_name;

/// Shape of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// The original's text.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Longest line, in bytes; longer ones are cut.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// What the spans around a line say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LineContext {
    pub(super) job: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) trace_id: Option<String>,
}

impl LineContext {
    /// Fills what is still empty from an outer span.
    pub(super) fn inherit(&mut self, outer: &Self) {
        for (own, outer) in [
            (&mut self.job, &outer.job),
            (&mut self.request_id, &outer.request_id),
            (&mut self.trace_id, &outer.trace_id),
        ] {
            if own.is_none() {
                own.clone_from(outer);
            }
        }
    }

    fn set(&mut self, name: &str, value: impl FnOnce() -> String) {
        match name {
            "job" => self.job = Some(value()),
            "request_id" => self.request_id = Some(value()),
            "trace_id" => self.trace_id = Some(value()),
            _ => {}
        }
    }
}

impl Visit for LineContext {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), || value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.set(field.name(), || format!("{value:?}"));
    }
}

/// One event, taken apart.
pub(super) struct Line {
    level: Level,
    logger: String,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Line {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut line = Self {
            level: *metadata.level(),
            logger: logger_name(metadata.target()),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), &value) {
            ("message", Value::String(text)) => self.message.clone_from(text),
            // Records of the `log` crate bring their own target; the rest of `log.*` is about its source.
            ("log.target", Value::String(target)) => self.logger = logger_name(target),
            (name, _) if name.starts_with("log.") => {}
            (name, _) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            let _ = write!(text, ": {error}");
            source = error.source();
        }
        self.add(field, text.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}

/// Formats lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineFormat {
    pub(super) format: LogFormat,
    pub(super) colour: bool,
}

impl LineFormat {
    /// The line with its line break.
    pub(super) fn write(
        self,
        line: &Line,
        context: &LineContext,
        time: OffsetDateTime,
        thread: &str,
    ) -> String {
        let mut text = match self.format {
            LogFormat::Text => self.text(line, context, time, thread),
            LogFormat::Json => json(line, context, time, thread),
        };
        text.push('\n');
        text
    }

    fn text(self, line: &Line, context: &LineContext, time: OffsetDateTime, thread: &str) -> String {
        let mut out = String::with_capacity(256);
        let (hour, minute, second, milli) = time.to_hms_milli();
        self.paint(&mut out, CYAN, &format!("{hour:02}:{minute:02}:{second:02}.{milli:03}"));
        out.push(' ');
        self.paint(&mut out, GREY, &format!("[{}]", escape(thread)));
        out.push(' ');
        self.paint(&mut out, level_colour(line.level), &format!("{:<5}", line.level));
        out.push(' ');
        self.paint(&mut out, MAGENTA, &line.logger);
        out.push_str(" - ");
        if let Some(job) = &context.job {
            self.paint(&mut out, YELLOW, &format!("[JobID: {}]", escape(job)));
            out.push(' ');
        }
        out.push_str(&escape(&line.message));
        for (name, value) in &line.fields {
            let _ = write!(out, " {name}={}", field_text(value));
        }
        for (name, id) in [("request_id", &context.request_id), ("trace_id", &context.trace_id)] {
            if let Some(id) = id {
                let _ = write!(out, " {name}={}", escape(id));
            }
        }
        cut(&mut out);
        out
    }

    fn paint(self, out: &mut String, colour: &str, text: &str) {
        if self.colour {
            let _ = write!(out, "\u{1b}[{colour}m{text}\u{1b}[0m");
        } else {
            out.push_str(text);
        }
    }
}

const CYAN: &str = "36";
const GREY: &str = "90";
const MAGENTA: &str = "35";
const YELLOW: &str = "33";

fn level_colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "1;31",
        Level::WARN => "31",
        Level::INFO => "34",
        _ => "39",
    }
}

fn json(line: &Line, context: &LineContext, time: OffsetDateTime, thread: &str) -> String {
    let mut object = Map::new();
    object.insert("timestamp".into(), time.format(&Rfc3339).unwrap_or_default().into());
    object.insert("level".into(), line.level.as_str().into());
    object.insert("logger".into(), line.logger.as_str().into());
    object.insert("thread".into(), thread.into());
    let ids = [("job", &context.job), ("request_id", &context.request_id), ("trace_id", &context.trace_id)];
    for (name, id) in ids {
        if let Some(id) = id {
            object.insert(name.into(), id.as_str().into());
        }
    }
    let mut message = line.message.clone();
    cut(&mut message);
    object.insert("message".into(), message.into());
    let mut room = MAX_LINE_BYTES;
    let mut fields = Map::new();
    for (name, value) in &line.fields {
        let size = value.as_str().map_or(32, str::len);
        if size <= room {
            room -= size;
            fields.insert((*name).into(), value.clone());
        }
    }
    if !fields.is_empty() {
        object.insert("fields".into(), fields.into());
    }
    Value::Object(object).to_string()
}

/// A field's value; in quotes where its end could not be told otherwise.
fn field_text(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
            format!("\"{}\"", escape(text).replace('"', "\\\""))
        }
        Value::String(text) => escape(text),
        other => other.to_string(),
    }
}

/// Control characters, those that start a line or a terminal sequence above all, in escaped form.
fn escape(text: &str) -> String {
    if !text.contains(is_unsafe) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn cut(text: &mut String) {
    if text.len() > MAX_LINE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_LINE_BYTES));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const TIME: OffsetDateTime = datetime!(2026-01-02 03:04:05.006 UTC);

    fn line() -> Line {
        Line {
            level: Level::INFO,
            logger: "dmf.worker.runtime".into(),
            message: "started".into(),
            fields: vec![("host", "imap 1".into()), ("attempt", 2.into()), ("uid", "a\nb".into())],
        }
    }

    fn context() -> LineContext {
        LineContext { job: Some("Acme/7".into()), request_id: Some("r1".into()), trace_id: None }
    }

    #[test]
    fn text_is_the_originals() {
        let format = LineFormat { format: LogFormat::Text, colour: false };
        assert_eq!(
            format.write(&line(), &context(), TIME, "main"),
            "03:04:05.006 [main] INFO  dmf.worker.runtime - [JobID: Acme/7] started host=\"imap 1\" \
             attempt=2 uid=a\\nb request_id=r1\n"
        );
        let colours = LineFormat { format: LogFormat::Text, colour: true };
        let text = colours.write(&line(), &LineContext::default(), TIME, "main");
        assert!(text.starts_with("\u{1b}[36m03:04:05.006\u{1b}[0m ") && !text.contains("JobID"), "{text}");
    }

    #[test]
    fn json_is_one_object() {
        let format = LineFormat { format: LogFormat::Json, colour: true };
        let text = format.write(&line(), &context(), TIME, "main");
        let object: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["timestamp"], "2026-01-02T03:04:05.006Z");
        assert_eq!(object["job"], "Acme/7");
        assert_eq!(object["fields"]["uid"], "a\nb");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn nothing_forges_a_line_or_floods() {
        assert_eq!(escape("a\r\n\u{1b}[2J\u{202e}ü"), "a\\r\\n\\u{1b}[2J\\u{202e}ü");
        let mut long = "ü".repeat(MAX_LINE_BYTES);
        cut(&mut long);
        assert!(long.len() <= MAX_LINE_BYTES + '…'.len_utf8());
    }
}
