//! How the queue connects.

use std::time::Duration;

use redis::IntoConnectionInfo as _;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Reader;

const DEFAULT_URL: &str = "redis://127.0.0.1:6379";

/// What heartbeats ask of the replicas of Redis: a master that was split off from the others must not keep a
/// lease alive that those know nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    /// One replica must have heard a heartbeat, once Redis was seen to have any.
    Auto,
    /// There are none, or they don't matter.
    None,
    /// One replica must have heard every heartbeat.
    Required,
}

/// How the queue connects.
#[derive(Debug, Clone)]
pub struct Options {
    /// `redis://[user:password@]host:port/db`.
    pub url: SecretString,
    /// What every key begins with; its braces keep all keys in one cluster slot.
    pub prefix: String,
    /// How long a call may take, waiting for a new connection included.
    pub deadline: Duration,
    /// Whether heartbeats count without a replica.
    pub replicas: Replicas,
}

impl Options {
    /// Reads `redis.url`, `redis.prefix`, `redis.timeout` and `redis.replicas`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let url = reader.secret("redis.url");
        reader.otherwise("redis.url", DEFAULT_URL);
        let url = url.unwrap_or_else(|| DEFAULT_URL.into());
        if url.expose_secret().into_connection_info().is_err() {
            reader.reject("redis.url", "must be redis://[user:password@]host:port[/database]");
        }
        let prefix = reader.string_or("redis.prefix", "{dmf}:");
        let tag = prefix.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
        if tag.is_none_or(str::is_empty) {
            reader.reject(
                "redis.prefix",
                "must hold a hash tag such as {dmf}, so that all keys share one slot",
            );
        }
        let allowed = Duration::from_millis(100)..=Duration::from_mins(1);
        let choices = [("auto", Replicas::Auto), ("none", Replicas::None), ("required", Replicas::Required)];
        Self {
            url,
            prefix,
            deadline: reader.duration("redis.timeout", Duration::from_secs(10), allowed),
            replicas: reader.choice("redis.replicas", &choices, Replicas::Auto),
        }
    }
}
