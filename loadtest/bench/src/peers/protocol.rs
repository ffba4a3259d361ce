//! What the runner and the programs of the contestants say to each other.
//!
//! A program is started with a role, `produce` or `work`, and reads its [`Settings`], one line of JSON. It then
//! writes `{"ready":true,"version":"…"}`. A worker runs jobs until its input ends. A producer obeys lines: `one ID` enqueues one
//! job at once, `fill FIRST COUNT SECONDS` enqueues as many of COUNT jobs as it can in that time, in the quickest
//! way that its library has, and is answered `{"filled":N}`; `size` is answered with `{"bytes":N}`, what its
//! database holds on the disk; `rebuilt` with `{"built":true}` once a queue that was lost is there again. A job is its number, its key and how long it takes.
//!
//! For each job that has run, a worker writes a [`Record`] into a pipe that all of them share.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What a program is told at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The Redis server, empty.
    pub(crate) redis: String,
    /// The PostgreSQL server; the producer makes the database anew.
    pub(crate) postgres: String,
    /// The MariaDB server; the producer makes the database anew.
    pub(crate) mariadb: Database,
    /// The pipe of the records.
    pub(crate) records: PathBuf,
    /// Most jobs at a time.
    pub(crate) concurrency: u32,
    /// How long a job takes.
    pub(crate) sleep_ms: u64,
    /// The key of each job; none where jobs have no keys.
    pub(crate) keys: Vec<u32>,
    /// Most jobs of one key at a time.
    pub(crate) key_limit: u32,
}

/// Where MariaDB is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Database {
    pub(crate) jdbc: String,
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Enqueues jobs.
    Produce,
    /// Runs them.
    Work,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Work => "work",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Produce, Self::Work].into_iter().find(|role| role.as_str() == text)
    }
}

/// A line to a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Enqueue this job at once.
    One(u64),
    /// Enqueue jobs for so many seconds at most.
    Fill {
        /// The first.
        first: u64,
        /// How many.
        count: u64,
        /// How long.
        secs: u64,
    },
    /// Tell how large the database is.
    Size,
    /// Tell when a queue that was lost is there again.
    Rebuilt,
}

impl Order {
    /// As a line, its end included.
    pub(crate) fn line(self) -> String {
        match self {
            Self::One(id) => format!("one {id}\n"),
            Self::Fill { first, count, secs } => format!("fill {first} {count} {secs}\n"),
            Self::Size => "size\n".to_owned(),
            Self::Rebuilt => "rebuilt\n".to_owned(),
        }
    }

    /// Reads a line.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |word: &str| word.parse().with_context(|| line.to_owned());
        match words[..] {
            ["one", id] => Ok(Self::One(number(id)?)),
            ["fill", first, count, secs] => {
                Ok(Self::Fill { first: number(first)?, count: number(count)?, secs: number(secs)? })
            }
            ["size"] => Ok(Self::Size),
            ["rebuilt"] => Ok(Self::Rebuilt),
            _ => anyhow::bail!("not an order: {line}"),
        }
    }
}

/// A job that has run. Times are nanoseconds of `CLOCK_MONOTONIC`, which all processes of a machine share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Record {
    /// Length in the pipe: three numbers of eight bytes, the lowest byte first.
    pub(crate) const BYTES: usize = 24;

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (place, number) in [self.id, self.start, self.end].into_iter().enumerate() {
            bytes[place * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |place: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[place * 8..][..8]);
            u64::from_le_bytes(number)
        };
        Self { id: number(0), start: number(1), end: number(2) }
    }
}

/// The end of the pipe that a worker of this program writes to. A write of a record is never torn.
#[derive(Debug)]
pub(crate) struct Recorder(File);

impl Recorder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::options().write(true).open(path)?))
    }

    pub(crate) fn write(&self, record: Record) -> io::Result<()> {
        (&self.0).write_all(&record.to_bytes())
    }
}

/// Nanoseconds of the clock that records show.
pub(crate) fn now() -> u64 {
    // The call fails only for clocks that a system does not have.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_text() {
        for order in [Order::One(7), Order::Fill { first: 1, count: 2, secs: 3 }, Order::Size, Order::Rebuilt]
        {
            assert_eq!(Order::parse(&order.line()).unwrap(), order);
        }
        for bad in ["", "one", "one x", "fill 1 2", "size 1"] {
            assert!(Order::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn records_survive_the_pipe() {
        let record = Record { id: 1, start: u64::MAX, end: 1 << 40 };
        assert_eq!(Record::from_bytes(&record.to_bytes()), record);
    }
}
