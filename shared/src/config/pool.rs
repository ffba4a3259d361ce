//! Settings of the database connection pool, by Hikari's names and with its defaults.

use std::time::Duration;

use super::reader::Reader;

/// Hikari's names that are accepted without effect, since the pool here has no such thing.
const WITHOUT_EFFECT: [&str; 12] = [
    "auto-commit",
    "connection-test-query",
    "connection-init-sql",
    "data-source-properties",
    "dialect",
    "driver-class-name",
    "initialization-fail-timeout",
    "jndi-name",
    "pool-name",
    "read-only",
    "register-mbeans",
    "schema-generate",
];

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// How many connections to keep and for how long. Durations of zero mean: no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// Most connections, idle ones included.
    pub maximum_pool_size: u32,
    /// Idle connections that are kept ready.
    pub minimum_idle: u32,
    /// Longest wait for a connection.
    pub connection_timeout: Duration,
    /// How long a connection above `minimum_idle` may be idle.
    pub idle_timeout: Duration,
    /// Longest life of a connection.
    pub max_lifetime: Duration,
    /// Longest wait for a connection to prove that it is alive.
    pub validation_timeout: Duration,
    /// How often an idle connection is asked whether it is alive.
    pub keepalive_time: Duration,
    /// After what time a connection that is not given back is logged.
    pub leak_detection_threshold: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            maximum_pool_size: 10,
            minimum_idle: 10,
            connection_timeout: 30 * SECOND,
            idle_timeout: 600 * SECOND,
            max_lifetime: 1_800 * SECOND,
            validation_timeout: 5 * SECOND,
            keepalive_time: Duration::ZERO,
            leak_detection_threshold: Duration::ZERO,
        }
    }
}

impl PoolSettings {
    /// Reads the pool of the data source under `prefix` (`datasources.default`).
    pub fn read(reader: &mut Reader<'_>, prefix: &str) -> Self {
        let default = Self::default();
        let key = |name: &str| format!("{prefix}.{name}");
        let any = Duration::ZERO..=DAY;
        let wait = Duration::from_millis(250)..=3_600 * SECOND;
        let maximum_pool_size =
            reader.number(&key("maximum-pool-size"), default.maximum_pool_size, 1..=10_000);
        for name in WITHOUT_EFFECT {
            reader.accept(&key(name));
        }
        Self {
            maximum_pool_size,
            minimum_idle: reader.number(&key("minimum-idle"), maximum_pool_size, 0..=maximum_pool_size),
            connection_timeout: reader.millis(
                &key("connection-timeout"),
                default.connection_timeout,
                wait.clone(),
            ),
            idle_timeout: reader.millis(&key("idle-timeout"), default.idle_timeout, any.clone()),
            max_lifetime: reader.millis(&key("max-lifetime"), default.max_lifetime, any.clone()),
            validation_timeout: reader.millis(&key("validation-timeout"), default.validation_timeout, wait),
            keepalive_time: reader.millis(&key("keepalive-time"), default.keepalive_time, any.clone()),
            leak_detection_threshold: reader.millis(
                &key("leak-detection-threshold"),
                default.leak_detection_threshold,
                any,
            ),
        }
    }
}
