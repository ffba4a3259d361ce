//! The straightforward reading of standard error: what the fast one must say, too.

use super::super::*;

const LEVELS: [(&str, Level); 6] = [
    ("Debug: ", Level::Debug),
    ("Info: ", Level::Info),
    ("Warning: ", Level::Warning),
    ("Error: ", Level::Error),
    ("Fatal: ", Level::Fatal),
    ("Panic: ", Level::Panic),
];

/// Reads all of a stream at once.
pub(super) fn read(bytes: &[u8]) -> StderrReading {
    let mut reading = StderrReading::default();
    // Behind the last line end stands one more line, which may be empty.
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE)]);
        take_line(&mut reading, line.trim_end_matches('\r'));
    }
    reading
}

fn take_line(reading: &mut StderrReading, line: &str) {
    let parsed = parse(line);
    if parsed.level == Some(Level::Info)
        && let Some(event) = read_line(parsed.text)
    {
        reading.counts.count(event);
        reading.mailbox = event.mailbox.map(str::to_owned);
        return;
    }
    reading.evidence.note(parsed);
    let backtrace = parsed.text.starts_with("Raw backtrace:");
    if (parsed.is_error() || (parsed.level.is_none() && !line.trim().is_empty())) && !backtrace {
        reading.errors.push_back(evidence::cut(line));
        if reading.errors.len() > KEPT_ERRORS {
            reading.errors.pop_front();
        }
    }
}

/// One search of the whole line for each level.
pub(super) fn parse(line: &str) -> LogLine<'_> {
    for (name, level) in LEVELS {
        if let Some(text) = line.strip_prefix(name) {
            return LogLine { level: Some(level), text };
        }
    }
    let found = LEVELS.iter().filter_map(|(name, level)| {
        let at = line.match_indices(name).map(|(at, _)| at).find(|at| line[..*at].ends_with(": "))?;
        Some((at, at + name.len(), *level))
    });
    match found.min_by_key(|(at, ..)| *at) {
        Some((_, text, level)) => LogLine { level: Some(level), text: &line[text..] },
        None => LogLine { level: None, text: line },
    }
}

fn read_line(text: &str) -> Option<Event<'_>> {
    let fields = cut_uid(text)?;
    if let Some(event) = Event::read_event(fields) {
        return Some(event);
    }
    let named = fields.strip_prefix("Mailbox ")?;
    let splits = named.match_indices(": ").map(|(at, _)| (&named[..at], &named[at + 2..]));
    let events: Vec<_> = splits.filter_map(|(name, rest)| Some((name, Event::read_event(rest)?))).collect();
    let fitting =
        events.iter().find(|(name, event)| event.mailbox.is_some_and(|shown| is_shown_as(name, shown)));
    let (name, event) = fitting.or(events.first())?;
    Some(Event { mailbox: Some(name), ..*event })
}

/// Searches for the uid from the end, and then from the start.
fn cut_uid(text: &str) -> Option<&str> {
    const MORE: [&str; 6] = ["msgid=", "size=", "vsize=", "flags=", "from=", "subject="];
    let (fields, uid) = text.rsplit_once("uid=")?;
    if is_uid(uid) {
        return strip_separator(fields);
    }
    text.match_indices("uid=").find_map(|(at, _)| {
        let (uid, more) = text[at + 4..].split_once(", ")?;
        let follows = is_uid(uid) && MORE.iter().any(|field| more.starts_with(field));
        if follows { strip_separator(&text[..at]) } else { None }
    })
}
