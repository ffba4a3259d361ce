//! From the data source of the configuration to connection options.

use std::{fmt, time::Duration};

use secrecy::ExposeSecret as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use crate::config::{DataSource, TlsMode};

/// How the store connects.
#[derive(Clone)]
pub struct Options {
    pub(super) connect: MySqlConnectOptions,
    pub(super) database: String,
    pub(super) create: bool,
    pub(super) max_connections: u32,
    pub(super) min_connections: u32,
    pub(super) acquire_timeout: Duration,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
}

impl fmt::Debug for Options {
    /// Without the connection's options, which hold the password and would print it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("database", &self.database)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// Durations of zero mean no limit.
fn limit(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

impl From<&DataSource> for Options {
    fn from(source: &DataSource) -> Self {
        let url = &source.url;
        let mut connect = MySqlConnectOptions::new().host(&url.host).port(url.port).ssl_mode(match url.tls {
            TlsMode::Disabled => MySqlSslMode::Disabled,
            TlsMode::Preferred => MySqlSslMode::Preferred,
            TlsMode::Required => MySqlSslMode::Required,
            TlsMode::VerifyCa => MySqlSslMode::VerifyCa,
            TlsMode::VerifyIdentity => MySqlSslMode::VerifyIdentity,
        });
        if let Some(user) = &url.user {
            connect = connect.username(user);
        }
        if let Some(password) = &url.password {
            connect = connect.password(password.expose_secret());
        }
        if let Some(certificate) = &url.server_certificate {
            connect = connect.ssl_ca(certificate);
        }
        if let Some(socket) = &url.socket {
            connect = connect.socket(socket);
        }
        Self {
            connect,
            database: url.database.clone(),
            create: url.create_database_if_not_exist,
            max_connections: source.pool.maximum_pool_size,
            min_connections: source.pool.minimum_idle.min(2),
            acquire_timeout: source.pool.connection_timeout,
            idle_timeout: limit(source.pool.idle_timeout),
            max_lifetime: limit(source.pool.max_lifetime),
        }
    }
}
