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

/// How long a caller waits for a connection. The pool bounds waiting for one that is free and making one in a
/// single limit, so that `connectTimeout` of the URL counts for both.
fn acquire_timeout(source: &DataSource) -> Duration {
    let pool = source.pool.connection_timeout;
    source.url.connect_timeout.map_or(pool, |connect| connect.min(pool))
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
            acquire_timeout: acquire_timeout(source),
            idle_timeout: limit(source.pool.idle_timeout),
            max_lifetime: limit(source.pool.max_lifetime),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        config::{Environment, Reader, Sources},
        store::Store,
    };

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_after_the_time_of_the_url() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "jdbc:mariadb://{}/m?connectTimeout=300&createDatabaseIfNotExist=true",
            silent.local_addr().unwrap()
        );
        let text = format!("d:\n  url: {url}\n  username: u\n");
        let no_variables: [(&str, &str); 0] = [];
        let sources = Sources::default().load_text(&text, Environment::from_variables(no_variables)).unwrap();
        let mut reader = Reader::new(&sources);
        let source = DataSource::read(&mut reader, "d").unwrap();
        let options = Options::from(&source);
        let store = Store::connect_lazily(&options);
        // The pool alone would wait for 30 s.
        let limit = Duration::from_secs(15);
        assert!(tokio::time::timeout(limit, store.version()).await.unwrap().is_err());
        assert!(tokio::time::timeout(limit, Store::create_database(&options)).await.unwrap().is_err());
    }
}
