//! `dmf.worker.suspend`: when a source host, or this worker, is given a rest.

use std::time::Duration;

use dmf_shared::config::Reader;

use super::DAY;

/// When and for how long.
#[derive(Debug, Clone, Copy)]
pub struct SuspendSettings {
    /// So many users whose master login is refused, without a success between, suspend their host.
    pub authentication_users: u32,
    /// For how long.
    pub authentication: Duration,
    /// So many users who get no connection, without a success between, suspend their host.
    pub unreachable_users: u32,
    /// For how long.
    pub unreachable: Duration,
    /// How long a host rests whose own limit was hit.
    pub limited: Duration,
    /// How long a host rests whose command can't work.
    pub configuration: Duration,
    /// How long this worker leases nothing after trouble with its own storage.
    pub backend: Duration,
}

impl SuspendSettings {
    /// Reads them.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let mut time = |name: &str, default: Duration| {
            reader.duration(&format!("dmf.worker.suspend.{name}"), default, Duration::from_secs(1)..=DAY * 30)
        };
        let (authentication, unreachable) =
            (time("authentication", Duration::from_hours(1)), time("unreachable", Duration::from_mins(5)));
        let (limited, configuration) =
            (time("limited", Duration::from_mins(1)), time("configuration", Duration::from_hours(1)));
        let backend = time("backend", Duration::from_mins(1));
        Self {
            authentication_users: reader.number("dmf.worker.suspend.authentication-users", 3, 1..=1000),
            authentication,
            unreachable_users: reader.number("dmf.worker.suspend.unreachable-users", 5, 1..=1000),
            unreachable,
            limited,
            configuration,
            backend,
        }
    }
}
