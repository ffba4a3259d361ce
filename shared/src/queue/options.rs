//! How the queue connects.

use std::time::Duration;

use redis::RedisResult;
use secrecy::SecretString;

use super::endpoint::{Endpoint, Tls};
use crate::config::Reader;

const DEFAULT_URL: &str = "redis://127.0.0.1:6379";
const DEFAULT_PREFIX: &str = "{dmf}:";
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

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
    /// `redis://[user:password@]host:port/db`, `rediss://` for TLS, or
    /// `redis-sentinel://[user:password@]host:port,host:port/db#master`.
    pub url: SecretString,
    /// What the Sentinels themselves ask for.
    pub sentinel_password: Option<SecretString>,
    /// Certificates.
    pub tls: Tls,
    /// What every key begins with; its braces keep all keys in one cluster slot.
    pub prefix: String,
    /// How long a call may take, waiting for a new connection included.
    pub deadline: Duration,
    /// Whether heartbeats count without a replica.
    pub replicas: Replicas,
}

impl Options {
    /// Those of this server, and else what counts where nothing is set.
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            sentinel_password: None,
            tls: Tls::default(),
            prefix: DEFAULT_PREFIX.to_owned(),
            deadline: DEFAULT_DEADLINE,
            replicas: Replicas::Auto,
        }
    }

    pub(super) fn endpoint(&self) -> RedisResult<Endpoint> {
        Endpoint::read(&self.url, self.sentinel_password.as_ref(), &self.tls)
    }

    /// Reads `redis.url`, `redis.sentinel.password`, `redis.tls.*`, `redis.prefix`, `redis.timeout` and
    /// `redis.replicas`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let url = reader.secret("redis.url");
        reader.otherwise("redis.url", DEFAULT_URL);
        let url = url.unwrap_or_else(|| DEFAULT_URL.into());
        let prefix = reader.string_or("redis.prefix", DEFAULT_PREFIX);
        let tag = prefix.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
        if tag.is_none_or(str::is_empty) {
            reader.reject(
                "redis.prefix",
                "must hold a hash tag such as {dmf}, so that all keys share one slot",
            );
        }
        let allowed = Duration::from_millis(100)..=Duration::from_mins(1);
        let choices = [("auto", Replicas::Auto), ("none", Replicas::None), ("required", Replicas::Required)];
        let options = Self {
            url,
            sentinel_password: reader.secret("redis.sentinel.password"),
            tls: tls(reader),
            prefix,
            deadline: reader.duration("redis.timeout", DEFAULT_DEADLINE, allowed),
            replicas: reader.choice("redis.replicas", &choices, Replicas::Auto),
        };
        if Endpoint::read(&options.url, None, &Tls::default()).is_err() {
            let shapes = "must be redis://[user:password@]host:port[/database], rediss:// for TLS, or \
                          redis-sentinel://[user:password@]host:port,host:port[/database]#master";
            reader.reject("redis.url", shapes);
        } else if options.endpoint().is_err() {
            reader.reject("redis.tls", "holds no certificates and keys in PEM");
        }
        options
    }
}

/// Reads the files of `redis.tls`.
fn tls(reader: &mut Reader<'_>) -> Tls {
    let mut file = |key: &str| {
        let path = reader.path(key)?;
        match std::fs::read(&path) {
            Ok(content) => Some(content),
            Err(error) => {
                reader.reject(key, &format!("{} can't be read: {error}", path.display()));
                None
            }
        }
    };
    let ca = file("redis.tls.ca");
    let own = (file("redis.tls.certificate"), file("redis.tls.key"));
    if own.0.is_some() != own.1.is_some() {
        reader.reject("redis.tls", "needs certificate and key, or neither");
    }
    Tls { ca, own: own.0.zip(own.1.map(Into::into)) }
}
