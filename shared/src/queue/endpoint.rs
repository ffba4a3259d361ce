//! Where Redis is: at an address, or wherever its Sentinels say that the master is.

use std::time::Duration;

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo, RedisError,
    RedisResult, TlsCertificates, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

/// How long a Sentinel may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Where Sentinels listen.
const SENTINEL_PORT: u16 = 26379;

/// The certificates of connections with TLS, in PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Whom to trust instead of the authorities of this machine.
    pub ca: Option<Vec<u8>>,
    /// What this process shows: certificate and key.
    pub own: Option<(Vec<u8>, SecretSlice<u8>)>,
}

impl Tls {
    fn certificates(&self) -> TlsCertificates {
        let client_tls = self.own.as_ref().map(|(certificate, key)| redis::ClientTlsConfig {
            client_cert: certificate.clone(),
            client_key: key.expose_secret().to_vec(),
        });
        TlsCertificates { client_tls, root_cert: self.ca.clone() }
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match info.addr() {
            ConnectionAddr::TcpTls { .. } => Client::build_with_tls(info, self.certificates()),
            _ => Client::open(info),
        }
    }
}

/// Where Redis is.
#[derive(Debug, Clone)]
pub(super) enum Endpoint {
    /// There.
    Server(Client),
    /// Wherever these say.
    Sentinels(Sentinels),
}

/// The Sentinels that watch over a master.
#[derive(Debug, Clone)]
pub(super) struct Sentinels {
    master: String,
    clients: Vec<Client>,
    /// How to log in at the master, and whether with TLS.
    login: ConnectionInfo,
    tls: Tls,
}

/// The words of a `redis-sentinel://` URL.
struct SentinelUrl<'u> {
    scheme: &'static str,
    /// `user:password@`, or nothing.
    login: &'u str,
    hosts: Vec<&'u str>,
    database: &'u str,
    master: &'u str,
}

impl<'u> SentinelUrl<'u> {
    /// Reads `redis-sentinel://[user:password@]host[:port][,host[:port]…][/database]#master`, as Lettuce writes it
    /// (<https://redis.github.io/lettuce/user-guide/connecting-redis/#uri-syntax>); `None` when it is another scheme.
    fn read(url: &'u str) -> Option<Result<Self, RedisError>> {
        let schemes = [("redis-sentinel://", "redis"), ("rediss-sentinel://", "rediss")];
        let (rest, scheme) =
            schemes.iter().find_map(|(prefix, scheme)| Some((url.strip_prefix(prefix)?, *scheme)))?;
        let (rest, master) = rest.split_once('#').unwrap_or((rest, ""));
        let (login, rest) = rest.rfind('@').map_or(("", rest), |at| rest.split_at(at + 1));
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts: Vec<_> = hosts.split(',').map(str::trim).collect();
        if master.is_empty() || hosts.iter().any(|host| host.is_empty()) {
            return Some(Err((redis::ErrorKind::InvalidClientConfig, "no Sentinels or no master").into()));
        }
        Some(Ok(Self { scheme, login, hosts, database, master }))
    }

    /// The URL of a host, by which the library reads all of it.
    fn of(&self, host: &str, login: &str, database: &str) -> RedisResult<ConnectionInfo> {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let port = if has_port { String::new() } else { format!(":{SENTINEL_PORT}") };
        format!("{}://{login}{host}{port}/{database}", self.scheme).into_connection_info()
    }
}

impl Endpoint {
    /// Reads a URL; the library's error names no password.
    pub(super) fn read(
        url: &SecretString,
        sentinel_password: Option<&SecretString>,
        tls: &Tls,
    ) -> RedisResult<Self> {
        let url = url.expose_secret();
        let Some(sentinels) = SentinelUrl::read(url) else {
            return Ok(Self::Server(tls.client(with_settings(url.into_connection_info()?))?));
        };
        let sentinels = sentinels?;
        let mut clients = Vec::new();
        for host in &sentinels.hosts {
            let info = sentinels.of(host, "", "")?.set_tcp_settings(tcp_settings());
            let mut login = RedisConnectionInfo::default();
            if let Some(password) = sentinel_password {
                login = login.set_password(password.expose_secret());
            }
            clients.push(tls.client(info.set_redis_settings(login))?);
        }
        let first = sentinels.hosts.first().copied().unwrap_or_default();
        Ok(Self::Sentinels(Sentinels {
            master: sentinels.master.to_owned(),
            clients,
            login: with_settings(sentinels.of(first, sentinels.login, sentinels.database)?),
            tls: tls.clone(),
        }))
    }
}

impl Sentinels {
    /// A client for the master at this address.
    pub(super) fn client(&self, (host, port): &Address) -> RedisResult<Client> {
        let (host, port) = (host.clone(), *port);
        let addr = match self.login.addr() {
            ConnectionAddr::TcpTls { .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        self.tls.client(self.login.clone().set_addr(addr))
    }

    /// Where the master is, by the first Sentinel that answers, or why none does. `line` is the connection that
    /// answered last time, and is kept for the next time.
    pub(super) async fn ask(&self, line: &mut Option<MultiplexedConnection>) -> Result<Address, String> {
        let mut faults = Vec::new();
        if let Some(connection) = line {
            match self.ask_one(connection).await {
                Ok(address) => return Ok(address),
                Err(fault) => faults.push(fault),
            }
            *line = None;
        }
        for client in &self.clients {
            let opened = tokio::time::timeout(ANSWER_LIMIT, client.get_multiplexed_async_connection()).await;
            let mut connection = match opened {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => {
                    faults.push(error.to_string());
                    continue;
                }
                Err(_) => {
                    faults.push("no answer in time".to_owned());
                    continue;
                }
            };
            match self.ask_one(&mut connection).await {
                Ok(address) => {
                    *line = Some(connection);
                    return Ok(address);
                }
                Err(fault) => faults.push(fault),
            }
        }
        Err(faults.join("; "))
    }

    async fn ask_one(&self, connection: &mut MultiplexedConnection) -> Result<Address, String> {
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let answer =
            tokio::time::timeout(ANSWER_LIMIT, question.query_async::<Option<(String, u16)>>(connection));
        match answer.await {
            Ok(Ok(Some(address))) => Ok(address),
            Ok(Ok(None)) => Err(format!("a Sentinel knows no master {}", self.master)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

/// Host and port.
pub(super) type Address = (String, u16);

/// RESP3, so that one connection serves commands and wake-ups.
fn with_settings(info: ConnectionInfo) -> ConnectionInfo {
    let resp3 = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
    info.set_redis_settings(resp3).set_tcp_settings(tcp_settings())
}

/// A peer that vanished without a word is found out within seconds, also by a connection that only listens.
fn tcp_settings() -> TcpSettings {
    let keepalive = redis::io::tcp::socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(5))
        .with_retries(2);
    TcpSettings::default()
        .set_nodelay(true)
        .set_user_timeout(Duration::from_secs(10))
        .set_keepalive(keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> RedisResult<Endpoint> {
        Endpoint::read(&url.into(), None, &Tls::default())
    }

    #[test]
    fn sentinels_are_read_as_lettuce_writes_them() {
        let Endpoint::Sentinels(sentinels) =
            read("redis-sentinel://dmf:p%40ss@one,two:26380,[::1]/3#mymaster").unwrap()
        else {
            panic!("no Sentinels");
        };
        assert_eq!(sentinels.master, "mymaster");
        let places: Vec<_> =
            sentinels.clients.iter().map(|client| client.get_connection_info().addr().to_string()).collect();
        assert_eq!(places, ["one:26379", "two:26380", "::1:26379"]);
        let login = sentinels.login.redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (Some("dmf"), Some("p@ss"), 3));
        let client = sentinels.client(&("10.0.0.1".to_owned(), 6379)).unwrap();
        assert_eq!(client.get_connection_info().addr().to_string(), "10.0.0.1:6379");
        assert_eq!(client.get_connection_info().redis_settings().password(), Some("p@ss"));
        for client in &sentinels.clients {
            assert_eq!(client.get_connection_info().redis_settings().password(), None);
        }
    }

    #[test]
    fn tls_is_for_sentinels_and_master_alike() {
        let Endpoint::Sentinels(sentinels) = read("rediss-sentinel://one#m").unwrap() else {
            panic!("no Sentinels");
        };
        let is_tls = |client: &Client| {
            matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { insecure: false, .. })
        };
        assert!(sentinels.clients.iter().all(is_tls));
        assert!(is_tls(&sentinels.client(&("ten".to_owned(), 1)).unwrap()));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for wrong in [
            "redis-sentinel://one",
            "redis-sentinel://#m",
            "redis-sentinel://one,,two#m",
            "redis-sentinel://one:port#m",
            "redis-sentinel://one/db#m",
            "http://one",
            "",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
