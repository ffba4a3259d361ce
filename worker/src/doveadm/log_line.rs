//! One line that Dovecot's programs write to standard error.
//!
//! `[Mon DD HH:MM:SS ]dsync(USER): Error: TEXT`, `doveadm(USER)<PID><SESSION>: Info: TEXT`, `Fatal: TEXT`;
//! usage texts come without any of it.

use std::{borrow::Cow, iter};

/// How bad a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only with `-D`.
    Debug,
    /// What happened.
    Info,
    /// Something that was survived.
    Warning,
    /// Something failed.
    Error,
    /// The program gave up.
    Fatal,
    /// The program aborted.
    Panic,
}

const LEVELS: [(&str, Level); 6] = [
    ("Debug: ", Level::Debug),
    ("Info: ", Level::Info),
    ("Warning: ", Level::Warning),
    ("Error: ", Level::Error),
    ("Fatal: ", Level::Fatal),
    ("Panic: ", Level::Panic),
];

/// A line taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine<'l> {
    /// `None` for a line without prefix and level, such as usage texts.
    pub level: Option<Level>,
    /// What follows the level.
    pub text: &'l str,
}

impl<'l> LogLine<'l> {
    /// Takes a line apart; it has no line end any more.
    pub fn parse(line: &'l str) -> Self {
        let mut starts = iter::once(0).chain(colons(line).map(|at| at + 2));
        let found = starts.find_map(|start| {
            let rest = &line[start..];
            LEVELS.iter().find_map(|(name, level)| Some((*level, rest.strip_prefix(name)?)))
        });
        match found {
            Some((level, text)) => Self { level: Some(level), text },
            None => Self { level: None, text: line },
        }
    }

    /// True for a line that tells why something failed.
    pub fn is_error(&self) -> bool {
        self.level.is_some_and(|level| level >= Level::Error)
    }
}

/// Where `: ` stands. Lines come by the million, and this is several times as fast as a search for the two.
pub(super) fn colons(text: &str) -> impl Iterator<Item = usize> + Clone {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b':', bytes).filter(|at| bytes.get(at + 1) == Some(&b' '))
}

/// The line without what a client sent to log in: Dovecot quotes a command that the source refused or left
/// unanswered, `LOGIN` with its password included.
pub fn without_login(line: &str) -> Cow<'_, str> {
    const QUOTE: &str = "Command '";
    let Some(start) = line.find(QUOTE).map(|at| at + QUOTE.len()) else { return line.into() };
    let command = &line[start..];
    let mut words = command.splitn(3, ' ');
    let (Some(tag), Some(verb), Some(rest)) = (words.next(), words.next(), words.next()) else {
        return line.into();
    };
    if !["LOGIN", "AUTHENTICATE"].iter().any(|login| verb.eq_ignore_ascii_case(login)) {
        return line.into();
    }
    let kept = start + tag.len() + 1 + verb.len();
    // The quote may stand in the password too: the last one ends the command.
    let end = rest.rfind('\'').map_or("", |at| &rest[at..]);
    format!("{} <hidden>{end}", &line[..kept]).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_the_level_behind_every_prefix() {
        for (line, level, text) in [
            ("dsync(alice): Info: x", Some(Level::Info), "x"),
            (
                "Nov 23 16:34:35 dsync(alice): Debug: brain M: x: Error: y",
                Some(Level::Debug),
                "brain M: x: Error: y",
            ),
            (
                "doveadm(alice)<10330><acbE+/FX>: Warning: imapc(h:1): x",
                Some(Level::Warning),
                "imapc(h:1): x",
            ),
            ("doveadm(10.0.0.1,a): Error: x", Some(Level::Error), "x"),
            ("doveconf: Fatal: x", Some(Level::Fatal), "x"),
            ("Fatal: x", Some(Level::Fatal), "x"),
            ("dsync(a): Panic: file x", Some(Level::Panic), "file x"),
            ("backup: invalid option -- 'Z'", None, "backup: invalid option -- 'Z'"),
            ("", None, ""),
        ] {
            assert_eq!(LogLine::parse(line), LogLine { level, text }, "{line}");
        }
    }

    #[test]
    fn a_quoted_login_is_hidden() {
        let hidden = without_login("imapc(h:143): Command '1 LOGIN \"a\" \"it's\"' failed with BAD: 1 x");
        assert_eq!(hidden, "imapc(h:143): Command '1 LOGIN <hidden>' failed with BAD: 1 x");
        let hidden = without_login("Command '2 authenticate PLAIN AGEAcA==' timed out - reconnecting");
        assert_eq!(hidden, "Command '2 authenticate <hidden>' timed out - reconnecting");
        let other = "Command '7 STATUS \"Trash\" (UIDNEXT)' timed out";
        assert_eq!(without_login(other), other);
    }

    proptest! {
        #[test]
        fn never_panics(line in any::<String>()) {
            let _ = LogLine::parse(&line);
            let _ = without_login(&line);
        }
    }
}
