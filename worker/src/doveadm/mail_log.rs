//! Reading doveadm's standard error as it comes: mails saved and expunged by mailbox, and why something failed.
//!
//! The `mail_log` plugin writes a line for each mail after its commit, so that the counts are exact even when the
//! process is killed. With the fields `uid box`:
//! `copy from X: box=X, uid=1`, `expunge: box=X, uid=7`, from 2.4 on with `Mailbox NAME: ` before it. X is not
//! escaped and may itself hold `: box=` or `, uid=1`; its control characters are `?`, and over 64 bytes it is cut
//! to 61 and `...`. dsync logs each store as a copy.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
};

use super::{
    evidence::{self, Evidence},
    log_line::{Level, LogLine, colons},
};

/// How many error lines are kept.
pub const KEPT_ERRORS: usize = 20;
/// How much of one line is looked at, in bytes; the rest is skipped.
const MAX_LINE: usize = 16 * 1024;
/// How many bytes of mailbox names are kept; mails of further mailboxes count under [`OTHER`].
const MAX_NAME_BYTES: usize = 8 * 1024 * 1024;
/// A name cut by the plugin ends so.
const CUT: &str = "...";
/// Under this name stand mails whose mailbox is not told.
pub const OTHER: &str = "(other)";

/// Mails by mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailCounts {
    /// Saved on the target.
    pub saved: BTreeMap<String, u64>,
    /// Expunged on the target.
    pub expunged: BTreeMap<String, u64>,
    name_bytes: usize,
}

impl MailCounts {
    /// All saved mails.
    pub fn total_saved(&self) -> u64 {
        self.saved.values().sum()
    }

    /// All expunged mails.
    pub fn total_expunged(&self) -> u64 {
        self.expunged.values().sum()
    }

    /// Adds those of another attempt.
    pub fn add(&mut self, other: &Self) {
        for (mine, others) in [(&mut self.saved, &other.saved), (&mut self.expunged, &other.expunged)] {
            for (name, count) in others {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
    }

    /// Gives cut names their full length back where exactly one of the `known` mailboxes begins so.
    pub fn restore_names<'n>(&mut self, known: &(impl Iterator<Item = &'n str> + Clone)) {
        for counts in [&mut self.saved, &mut self.expunged] {
            for (name, count) in std::mem::take(counts) {
                let mut full = known.clone().filter(|full| is_shown_as(full, &name));
                let restored = match (full.next(), full.next()) {
                    (Some(full), None) => full.to_owned(),
                    _ => name,
                };
                *counts.entry(restored).or_default() += count;
            }
        }
    }

    fn count(&mut self, event: Event<'_>) {
        let Event { expunged, mailbox } = event;
        let name = mailbox.unwrap_or(OTHER);
        let counts = if expunged { &mut self.expunged } else { &mut self.saved };
        if let Some(count) = counts.get_mut(name) {
            *count += 1;
            return;
        }
        let fits = self.name_bytes + name.len() <= MAX_NAME_BYTES;
        self.name_bytes += if fits { name.len() } else { 0 };
        *counts.entry(if fits { name } else { OTHER }.to_owned()).or_default() += 1;
    }
}

/// What is left of a run's standard error.
#[derive(Debug, Clone, Default)]
pub struct StderrReading {
    counts: MailCounts,
    /// Where the last mail was stored or removed.
    mailbox: Option<String>,
    evidence: Evidence,
    errors: VecDeque<String>,
}

impl StderrReading {
    /// Mails saved and expunged so far.
    pub const fn counts(&self) -> &MailCounts {
        &self.counts
    }

    /// The mailbox of the last mail so far.
    pub fn mailbox(&self) -> Option<&str> {
        self.mailbox.as_deref()
    }

    /// What decides the class of the run.
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The last [`KEPT_ERRORS`] error lines, oldest first, each at most 1 KiB, without passwords.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().map(String::as_str)
    }

    fn take_bytes(&mut self, line: &[u8]) {
        // Only what is not right takes the slower way.
        let line = str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
        self.take_line(line.trim_end_matches('\r'));
    }

    fn take_line(&mut self, line: &str) {
        let parsed = LogLine::parse(line);
        if parsed.level == Some(Level::Info)
            && let Some(event) = Event::read(parsed.text)
        {
            self.counts.count(event);
            match (event.mailbox, &mut self.mailbox) {
                // The name takes the place of the last one: no new room for each mail.
                (Some(name), Some(last)) => name.clone_into(last),
                (name, last) => *last = name.map(str::to_owned),
            }
            return;
        }
        self.evidence.note(parsed);
        let backtrace = parsed.text.starts_with("Raw backtrace:");
        if (parsed.is_error() || (parsed.level.is_none() && !line.trim().is_empty())) && !backtrace {
            if self.errors.len() == KEPT_ERRORS {
                self.errors.pop_front();
            }
            self.errors.push_back(evidence::cut(line));
        }
    }
}

/// Reads the stream in whatever pieces it comes; takes any bytes in bounded memory.
#[derive(Debug, Clone, Default)]
pub struct StderrReader {
    reading: StderrReading,
    line: Vec<u8>,
}

impl StderrReader {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let line = &bytes[..end];
            if self.line.is_empty() {
                // It lies in this piece as a whole, as most do: nothing is copied.
                self.reading.take_bytes(&line[..line.len().min(MAX_LINE)]);
            } else {
                self.keep(line);
                self.end_line();
            }
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// What was read up to the last complete line: the progress of the run.
    pub const fn so_far(&self) -> &StderrReading {
        &self.reading
    }

    /// The end of the stream; a last line without an end counts.
    pub fn finish(mut self) -> StderrReading {
        self.end_line();
        self.reading
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        self.reading.take_bytes(&self.line);
        self.line.clear();
    }
}

/// One mail stored or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event<'l> {
    expunged: bool,
    mailbox: Option<&'l str>,
}

impl<'l> Event<'l> {
    /// Reads the text of an `Info` line.
    fn read(text: &'l str) -> Option<Self> {
        let fields = cut_uid(text)?;
        if let Some(event) = Self::read_event(fields) {
            return Some(event);
        }
        // 2.4 tells the whole name first. It may hold anything, so that what follows must fit it.
        let named = fields.strip_prefix("Mailbox ")?;
        let splits = colons(named).map(|at| (&named[..at], &named[at + 2..]));
        let mut events = splits.filter_map(|(name, rest)| Some((name, Self::read_event(rest)?)));
        let fitting =
            events.clone().find(|(name, event)| event.mailbox.is_some_and(|shown| is_shown_as(name, shown)));
        let (name, event) = fitting.or_else(|| events.next())?;
        Some(Self { mailbox: Some(name), ..event })
    }

    /// Reads `copy from X: box=Y`, `save: box=Y`, `expunge: box=Y`, and the same without the box.
    fn read_event(fields: &'l str) -> Option<Self> {
        if let Some(rest) = fields.strip_prefix("copy from ") {
            return Some(Self { expunged: false, mailbox: Some(destination(rest)) });
        }
        let (word, rest) = fields.split_once(':')?;
        let expunged = match word {
            "save" => false,
            "expunge" | "autoexpunge" => true,
            _ => return None,
        };
        match rest.strip_prefix(" box=") {
            Some(mailbox) => Some(Self { expunged, mailbox: Some(mailbox) }),
            None if rest.is_empty() => Some(Self { expunged, mailbox: None }),
            None => None,
        }
    }
}

/// Everything before the uid: `, uid=N` ends the box field, `: uid=N` stands where there is none.
fn cut_uid(text: &str) -> Option<&str> {
    const MORE: [&str; 6] = ["msgid=", "size=", "vsize=", "flags=", "from=", "subject="];
    // Nearly every line ends with its uid, which is found without a search.
    let start = text.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
    if let Some(fields) = text[..start].strip_suffix("uid=")
        && is_uid(&text[start..])
    {
        return strip_separator(fields);
    }
    let (fields, uid) = text.rsplit_once("uid=")?;
    if is_uid(uid) {
        return strip_separator(fields);
    }
    // More fields than asked for follow the uid: the first uid that one of them follows ends the box.
    text.match_indices("uid=").find_map(|(at, _)| {
        let (uid, more) = text[at + 4..].split_once(", ")?;
        let follows = is_uid(uid) && MORE.iter().any(|field| more.starts_with(field));
        if follows { strip_separator(&text[..at]) } else { None }
    })
}

fn is_uid(text: &str) -> bool {
    text == "error"
        || (!text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn strip_separator(fields: &str) -> Option<&str> {
    fields.strip_suffix(", ").or_else(|| fields.strip_suffix(": ").map(|_| &fields[..fields.len() - 1]))
}

/// The destination in `X: box=X`, where X may hold `: box=` itself: the middle is where both sides are equal.
fn destination(copy: &str) -> &str {
    const BOX: &str = ": box=";
    if let Some(length) = copy.len().checked_sub(BOX.len()).map(|rest| rest / 2)
        && copy.is_char_boundary(length)
        && copy[length..].starts_with(BOX)
        && copy[..length] == copy[length + BOX.len()..]
    {
        return &copy[..length];
    }
    match copy.split_once(BOX) {
        Some((_, destination)) => destination,
        // No box field: dsync copies between mailboxes of one name.
        None => copy.strip_suffix(':').unwrap_or(copy),
    }
}

/// True when the plugin shows the mailbox `full` as `shown`.
fn is_shown_as(full: &str, shown: &str) -> bool {
    let same = |full: &str, shown: &str| {
        full.chars().count() == shown.chars().count()
            && full
                .chars()
                .zip(shown.chars())
                .all(|(full, shown)| full == shown || (shown == '?' && full.is_control()))
    };
    if full == shown || same(full, shown) {
        return true;
    }
    let Some(start) = shown.strip_suffix(CUT) else { return false };
    full.len() > start.len()
        && full.char_indices().nth(start.chars().count()).is_some_and(|(at, _)| same(&full[..at], start))
}

#[cfg(test)]
#[path = "mail_log_tests.rs"]
mod tests;
