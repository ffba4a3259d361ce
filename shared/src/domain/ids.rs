//! Identifiers. Each is a type of its own, so that none can stand for another.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(/// Row id of a Source.
    SourceId(u32));
id!(/// Row id of a source host.
    HostId(u32));
id!(/// Row id of a target.
    TargetId(u32));
id!(/// Row id of a backend (a worker's registration).
    BackendId(u32));
id!(/// Row id of a user within its Source.
    UserId(u64));
id!(/// Row id of a migration within its Source; ids repeat over Sources.
    JournalId(u64));
id!(/// Fencing token of a migration: only ever grows.
    Epoch(u64));

/// A migration over all Sources: what the queue carries, written `<source id>:<journal id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// The Source whose journal holds the row.
    pub source: SourceId,
    /// The row.
    pub journal: JournalId,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.journal)
    }
}

/// A text that is no `<source id>:<journal id>`.
#[derive(Debug, thiserror::Error)]
#[error("not a job id of the form <source id>:<journal id>")]
pub struct InvalidJobId;

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (source, journal) = text.split_once(':').ok_or(InvalidJobId)?;
        Ok(Self {
            source: source.parse().map_err(|_| InvalidJobId)?,
            journal: journal.parse().map_err(|_| InvalidJobId)?,
        })
    }
}

/// Name of a Source: `[a-zA-Z0-9_]{1,48}`. The only text that may become part of a table name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct SourceName(String);

/// A text that can't name a Source.
#[derive(Debug, thiserror::Error)]
#[error("must match [a-zA-Z0-9_]{{1,48}}")]
pub struct InvalidSourceName;

impl SourceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceName {
    type Err = InvalidSourceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if (1..=48).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSourceName)
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_survive_text() {
        let job = JobId { source: SourceId(7), journal: JournalId(u64::MAX) };
        assert_eq!(job.to_string().parse::<JobId>().unwrap(), job);
        for bad in ["", "1", "1:", ":1", "a:1", "1:2:3", "-1:2"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn source_names_are_safe_in_table_names() {
        for good in ["a", "CustomerX", "x_1", &"a".repeat(48)] {
            assert!(good.parse::<SourceName>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a`b", "ä", "a;b", "a-b", &"a".repeat(49)] {
            assert!(bad.parse::<SourceName>().is_err(), "{bad}");
        }
    }
}
