//! What a run's standard error has said so far, in constant memory.

use super::{
    log_line::{Level, LogLine},
    signs::{self, SIGNS, Sign},
};

/// How much of one line is kept, in bytes.
pub const MAX_LINE_BYTES: usize = 1024;

/// What was seen at least once.
#[derive(Debug, Clone, Copy)]
enum Fact {
    /// A connection to the source was made.
    Connected,
    /// The first login failed, whatever for.
    LoginFailed,
    /// The first question to the source failed, which logs in.
    ListingFailed,
    /// The user database gave no answer.
    LookupFailed,
    /// This process may not talk to Dovecot's statistics.
    StatisticsDenied,
    /// doveadm aborted.
    Panicked,
    /// doveadm obeyed a signal.
    Killed,
}

/// What was seen, line by line, whatever the number of lines.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    signs: [Option<String>; SIGNS],
    warned: Option<(Sign, String)>,
    facts: [bool; Fact::Killed as usize + 1],
    desync: Option<String>,
    last_error: Option<String>,
    panic: Option<String>,
    first_plain: Option<String>,
}

impl Evidence {
    /// Takes in one line.
    pub fn note(&mut self, line: LogLine<'_>) {
        match line.level {
            Some(Level::Debug) => {}
            Some(Level::Info) => self.learn(Fact::Connected, is_connected(line.text)),
            Some(Level::Warning) => self.note_warning(line.text),
            Some(Level::Panic) => {
                self.learn(Fact::Panicked, true);
                self.panic = Some(cut(line.text));
            }
            Some(Level::Error | Level::Fatal) => self.note_error(line.text),
            None => self.note_plain(line.text),
        }
    }

    fn note_warning(&mut self, text: &str) {
        self.learn(Fact::Killed, text.starts_with("Killed with signal"));
        if text.contains("changes caused a desync") {
            self.desync = Some(cut(text));
        }
        // A limit says more than whatever else was said.
        if let Some(sign) = signs::read_warning(text)
            && !matches!(self.warned, Some((Sign::Limited, _)) if sign != Sign::Limited)
        {
            self.warned = Some((sign, cut(text)));
        }
    }

    fn note_error(&mut self, text: &str) {
        // After a panic there is only the backtrace.
        if self.knows(Fact::Panicked) || text.starts_with("Raw backtrace:") {
            return;
        }
        let login = text.contains("Failed to initialize user:")
            || (text.contains("Login to ") && text.contains(" failed:"));
        self.learn(Fact::LoginFailed, login);
        // 2.4 logs in only when it lists; 2.3 lists over a connection that has logged in.
        let listing = text.starts_with("brain ") && text.contains("Mailbox listing for namespace");
        self.learn(Fact::ListingFailed, listing);
        self.learn(Fact::LookupFailed, text.contains("lookup failed"));
        let denied = text.contains("stats-writer") && text.contains("Permission denied");
        self.learn(Fact::StatisticsDenied, denied);
        self.note_sign(text);
        self.last_error = Some(cut(text));
    }

    fn note_plain(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        self.note_sign(text);
        if self.first_plain.is_none() {
            self.first_plain = Some(cut(text.trim()));
        }
    }

    fn learn(&mut self, fact: Fact, is_so: bool) {
        self.facts[fact as usize] |= is_so;
    }

    const fn knows(&self, fact: Fact) -> bool {
        self.facts[fact as usize]
    }

    fn note_sign(&mut self, text: &str) {
        if let Some(sign) = signs::read(text) {
            self.signs[sign as usize] = Some(cut(text));
        }
    }

    /// `imapc(HOST:PORT): Connected to` was seen: the source was really asked.
    pub const fn is_connected(&self) -> bool {
        self.knows(Fact::Connected)
    }

    /// The abort that 2.3.19 makes of a failure: it means what its errors before the panic say.
    pub(super) fn is_explained(&self) -> bool {
        self.knows(Fact::LoginFailed) || self.signs.iter().any(Option::is_some)
    }

    /// What a warning about the connection said: why a run failed whose errors don't tell.
    pub(super) fn warned(&self) -> Option<(Sign, &str)> {
        self.warned.as_ref().map(|(sign, said)| (*sign, said.as_str()))
    }

    /// doveadm says that it obeyed a signal.
    pub(super) const fn is_killed(&self) -> bool {
        self.knows(Fact::Killed)
    }

    /// The last line with this sign.
    pub(super) fn sign(&self, sign: Sign) -> Option<&str> {
        self.signs[sign as usize].as_deref()
    }

    /// A connection that failed before the sync began, as against one that broke in its middle.
    pub(super) fn is_unreachable(&self) -> bool {
        let broken = self.sign(Sign::Connection).is_some();
        self.sign(Sign::LoginLost).is_some()
            || (broken
                && (self.knows(Fact::LoginFailed)
                    || self.knows(Fact::ListingFailed)
                    || !self.knows(Fact::Connected)))
    }

    /// The user database can't be asked because this process has no right to: every user would fail here.
    pub(super) const fn is_denied_lookup(&self) -> bool {
        self.knows(Fact::LookupFailed) && self.knows(Fact::StatisticsDenied)
    }

    /// The warning about changes.
    pub(super) fn desync(&self) -> Option<&str> {
        self.desync.as_deref()
    }

    /// The last error before a panic, the panic itself, or the first line of a usage text.
    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref().or(self.panic.as_deref()).or(self.first_plain.as_deref())
    }
}

fn is_connected(text: &str) -> bool {
    text.starts_with("imapc(") && text.contains("): Connected to ")
}

/// The text cut to what is kept of a line.
pub(super) fn cut(text: &str) -> String {
    let text = super::log_line::without_login(text);
    if text.len() <= MAX_LINE_BYTES {
        return text.into_owned();
    }
    let mut end = MAX_LINE_BYTES - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}
