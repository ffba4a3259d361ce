//! What stores and programs do in a stretch of time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dmf_e2e::{Fleet, faults::Keys};
use sqlx::{Connection as _, MySqlConnection};

use crate::process;

/// Everything that is counted since the servers were started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counters {
    at: Instant,
    mariadb: Duration,
    redis: Duration,
    schedulers: Duration,
    simulator: Duration,
    questions: u64,
    commits: u64,
    flushes: u64,
    scripts: u64,
    commands: u64,
    published: u64,
}

/// The same of a stretch of time: seconds of processor time, and numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Load {
    /// How long it was.
    pub(super) secs: f64,
    pub(super) mariadb: f64,
    pub(super) redis: f64,
    /// All of them together.
    pub(super) schedulers: f64,
    /// All simulated workers, and what measures.
    pub(super) simulator: f64,
    /// Statements that clients sent to MariaDB.
    pub(super) questions: f64,
    /// Transactions that were ended by a COMMIT.
    pub(super) commits: f64,
    /// Writes of its tables and logs that waited for the disk.
    pub(super) flushes: f64,
    /// Scripts that clients had Redis run.
    pub(super) scripts: f64,
    /// Commands of Redis, those within scripts included.
    pub(super) commands: f64,
    /// Wake-ups and orders; each goes to everybody who listens.
    pub(super) published: f64,
}

impl Load {
    /// So much of something in each second.
    pub(super) fn rate(&self, of: f64) -> f64 {
        of / self.secs
    }
}

impl Counters {
    /// As of now.
    pub(super) async fn read(fleet: &Fleet) -> Result<Self> {
        let names = ["Questions", "Com_commit", "Innodb_data_fsyncs"];
        let mut database = MySqlConnection::connect(&fleet.database_url()).await?;
        let status: Vec<(String, String)> =
            sqlx::query_as("SHOW GLOBAL STATUS").fetch_all(&mut database).await?;
        let counted = names.map(|name| {
            let value = status.iter().find(|(known, _)| known == name).map(|(_, value)| value.parse());
            value.context(name)?.context(name)
        });
        let [questions, commits, flushes] = counted;
        let keys = Keys::open(fleet.lab())?;
        let stats: String = keys.command(&["INFO", "stats"]).await?;
        let by_command: String = keys.command(&["INFO", "commandstats"]).await?;
        let busy = |pid: Option<i32>, name: &str| -> Result<Duration> {
            let pid = pid.with_context(|| format!("{name} does not run"))?;
            Ok(process::busy(u32::try_from(pid)?))
        };
        let (mariadb, redis) = (fleet.lab().mariadb().process_group(), fleet.lab().redis().process_group());
        let schedulers = fleet.schedulers().iter().map(|daemon| busy(daemon.pid(), daemon.name()));
        Ok(Self {
            mariadb: busy(mariadb, "MariaDB")?,
            redis: busy(redis, "Redis")?,
            schedulers: schedulers.sum::<Result<Duration>>()?,
            simulator: process::busy(std::process::id()),
            questions: questions?,
            commits: commits?,
            flushes: flushes?,
            scripts: calls(&by_command, "evalsha") + calls(&by_command, "eval"),
            commands: value(&stats, "total_commands_processed:").context("commands of Redis")?,
            published: calls(&by_command, "publish"),
            at: Instant::now(),
        })
    }

    /// What came about since then.
    #[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
    pub(super) fn since(&self, before: &Self) -> Load {
        let time = |of: fn(&Self) -> Duration| of(self).saturating_sub(of(before)).as_secs_f64();
        let count = |of: fn(&Self) -> u64| of(self).saturating_sub(of(before)) as f64;
        Load {
            secs: self.at.duration_since(before.at).as_secs_f64(),
            mariadb: time(|now| now.mariadb),
            redis: time(|now| now.redis),
            schedulers: time(|now| now.schedulers),
            simulator: time(|now| now.simulator),
            questions: count(|now| now.questions),
            commits: count(|now| now.commits),
            flushes: count(|now| now.flushes),
            scripts: count(|now| now.scripts),
            commands: count(|now| now.commands),
            published: count(|now| now.published),
        }
    }
}

/// Counts for so long.
pub(super) async fn watch(fleet: &Fleet, time: Duration) -> Result<Load> {
    let before = Counters::read(fleet).await?;
    tokio::time::sleep(time).await;
    Ok(Counters::read(fleet).await?.since(&before))
}

/// The number behind this text.
fn value(info: &str, name: &str) -> Option<u64> {
    let text = info.lines().find_map(|line| line.strip_prefix(name))?;
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    digits.parse().ok()
}

/// How often a command was called; one that never was is not told.
fn calls(by_command: &str, name: &str) -> u64 {
    value(by_command, &format!("cmdstat_{name}:calls=")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_what_redis_says() {
        let info =
            "# Commandstats\r\ncmdstat_evalsha:calls=120,usec=99\r\ncmdstat_publish:calls=7,usec=1\r\n";
        assert_eq!((calls(info, "evalsha"), calls(info, "publish"), calls(info, "eval")), (120, 7, 0));
        assert_eq!(value("total_commands_processed:42\r\n", "total_commands_processed:"), Some(42));
    }
}
