//! Which Dovecot this is, and how it wants its settings written.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// How settings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Dialect {
    /// Up to 2.3: `mail=imapc:`, `plugin/mail_log_events`.
    #[serde(rename = "2.3")]
    V23,
    /// From 2.4 on: `mail_driver=imapc`, `mail_log_events`, a version line in each configuration.
    #[serde(rename = "2.4")]
    V24,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V23 => "2.3",
            Self::V24 => "2.4",
        })
    }
}

/// A version of Dovecot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The 2 of 2.3.19.1.
    pub major: u32,
    /// The 3 of 2.3.19.1.
    pub minor: u32,
    /// The numbers as Dovecot prints them, such as `2.3.19.1` or `2.4.1`; packaging suffixes are cut.
    pub text: String,
}

/// The output names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no version of Dovecot in {0:?}")]
pub struct UnknownVersion(String);

impl Version {
    /// The dialect of this version. Pro 3.0 still writes as 2.3 does, 3.1 as 2.4.
    pub const fn dialect(&self) -> Dialect {
        match (self.major, self.minor) {
            (0 | 1, _) | (2, 0..=3) | (3, 0) => Dialect::V23,
            _ => Dialect::V24,
        }
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    /// Reads what `doveadm --version` or `dovecot --version` prints (`2.3.19.1 (9b53102964)`), or the first
    /// line of `doveconf -n` (`# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf`). doveadm before 2.4 does not
    /// know `--version` and prints an error instead.
    fn from_str(output: &str) -> Result<Self, Self::Err> {
        let line = output.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let words = line.split(|c: char| c.is_whitespace() || c == ':').take(4);
        words.into_iter().find_map(read).ok_or_else(|| UnknownVersion(line.chars().take(80).collect()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn read(word: &str) -> Option<Version> {
    let word = word.strip_prefix('v').unwrap_or(word);
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let text = word[..end].trim_end_matches('.');
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    let (major, minor) = (numbers.next()??, numbers.next()??);
    numbers.all(|number: Option<u32>| number.is_some()).then(|| Version {
        major,
        minor,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_versions_print() {
        for (output, text, dialect) in [
            ("2.3.19.1 (9b53102964)\n", "2.3.19.1", Dialect::V23),
            ("2.3.21.1 (d492236fa0)", "2.3.21.1", Dialect::V23),
            ("2.2.36 (1f10bfa63)", "2.2.36", Dialect::V23),
            ("2.4.1-4 (7d8c0e5759)", "2.4.1", Dialect::V24),
            ("dovecot v2.4.2", "2.4.2", Dialect::V24),
            ("# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf", "2.4.1", Dialect::V24),
            ("# 2.3.21: /etc/dovecot/dovecot.conf", "2.3.21", Dialect::V23),
            ("\n3.0.4", "3.0.4", Dialect::V23),
            ("3.1.0 (abc)", "3.1.0", Dialect::V24),
        ] {
            let version: Version = output.parse().unwrap();
            assert_eq!((version.text.as_str(), version.dialect()), (text, dialect), "{output}");
        }
    }

    #[test]
    fn an_error_is_no_version() {
        for output in ["", "doveadm: invalid option -- '-'", "2", "x.y", "Fatal: 2"] {
            assert!(output.parse::<Version>().is_err(), "{output}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(output in any::<String>()) {
            let _ = output.parse::<Version>();
        }
    }
}
