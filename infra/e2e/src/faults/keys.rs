use std::time::Duration;

use anyhow::{Context as _, Result};
use dmf_lab::Lab;
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, Value};

/// What every key begins with.
const PREFIX: &str = "{dmf}:";
/// Longest time for one command.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Keys that stay when nothing waits and nothing runs; orders to a worker that died expire.
const LASTING: [&str; 7] = ["gen", "hosts", "seq", "pass", "lead:", "replicas", "orders:"];

/// Redis of a fleet, read and written by the way of nobody else.
#[derive(Debug, Clone)]
pub struct Keys {
    client: Client,
}

impl Keys {
    /// Connects with each call, so that restarts do no harm.
    pub fn open(lab: &Lab) -> Result<Self> {
        Ok(Self { client: Client::open(lab.redis().url())? })
    }

    /// Any command; `key` is without the common prefix.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        let (name, args) = words.split_first().context("a command has a name")?;
        let mut command = redis::cmd(name);
        for arg in args {
            command.arg(arg);
        }
        let mut connection = self.connection().await?;
        let answer: Value = tokio::time::timeout(TIMEOUT, command.query_async(&mut connection)).await??;
        Ok(redis::from_redis_value(answer)?)
    }

    /// The full name of a key.
    pub fn name(key: &str) -> String {
        format!("{PREFIX}{key}")
    }

    /// Forgets everything.
    pub async fn flush_all(&self) -> Result<()> {
        self.command(&["FLUSHALL"]).await
    }

    /// How often the holder of this member has beaten under its present epoch; `None` while nobody holds it.
    pub async fn beat(&self, member: &str) -> Result<Option<u64>> {
        let held: Option<String> = self.command(&["HGET", &Self::name("held"), member]).await?;
        let Some(held) = held else { return Ok(None) };
        let beat = held.rsplit_once(':').context("a slot without a beat")?.1;
        Ok(Some(beat.parse()?))
    }

    /// Whether the queues are there and nobody rebuilds them.
    pub async fn is_built(&self) -> Result<bool> {
        let generation: Option<String> = self.command(&["GET", &Self::name("gen")]).await?;
        Ok(generation.is_some_and(|generation| !generation.starts_with("building:")))
    }

    /// Everything that says that something waits or runs, by key.
    pub async fn leftovers(&self) -> Result<Vec<String>> {
        let keys: Vec<String> = self.command(&["KEYS", &format!("{PREFIX}*")]).await?;
        Ok(keys
            .into_iter()
            .filter_map(|key| key.strip_prefix(PREFIX).map(str::to_owned))
            .filter(|key| !LASTING.iter().any(|lasting| key.starts_with(lasting)))
            .collect())
    }

    /// The ids of the source hosts that the queue knows.
    pub async fn hosts(&self) -> Result<Vec<u32>> {
        self.command(&["HKEYS", &Self::name("hosts")]).await
    }

    async fn connection(&self) -> Result<MultiplexedConnection> {
        Ok(tokio::time::timeout(TIMEOUT, self.client.get_multiplexed_async_connection()).await??)
    }
}
