//! Database URLs: `jdbc:mysql://…`, `jdbc:mariadb://…` as the original takes them, and `mysql://…`.
//!
//! Parameter names follow the Java connector of `MariaDB`; those of `MySQL`'s with the same meaning count
//! too.

use std::{fmt, path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::{duration, pool::PoolSettings, reader::Reader};

/// Schemes, with what is shown again for each.
const SCHEMES: [&str; 4] = ["jdbc:mysql://", "jdbc:mariadb://", "mysql://", "mariadb://"];
/// The port where the URL names none.
const DEFAULT_PORT: u16 = 3306;
/// Longest name of a database.
const MAX_DATABASE_CHARS: usize = 64;

/// What a URL can be wrong in. None repeats a part that may hold credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another database, or no URL at all.
    #[error("must begin with jdbc:mysql://, jdbc:mariadb:// or mysql://")]
    Scheme,
    /// No host, or more than one.
    #[error("must name one host, as in jdbc:mariadb://db.example:3306/migration")]
    Host,
    /// A port that is no number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// No database, or a name that needs quoting.
    #[error("must name a database of up to 64 letters, digits, `_`, `-` and `$` behind the host")]
    Database,
    /// `%` without two hexadecimal digits behind it, or bytes that are no UTF-8.
    #[error("holds a `%` escape that is none")]
    Escape,
    /// A parameter whose value is not among those allowed.
    #[error("parameter {name}: allowed is {expected}")]
    Parameter {
        /// The parameter as it is written.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
    },
}

/// How far a connection to the database is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Never encrypted.
    Disabled,
    /// Encrypted if the server can; nothing is verified.
    #[default]
    Preferred,
    /// Encrypted; nothing is verified.
    Required,
    /// Encrypted; the certificate must come from a known authority.
    VerifyCa,
    /// Encrypted; the certificate must come from a known authority and name the host.
    VerifyIdentity,
}

/// A parsed database URL.
#[derive(Debug, Clone)]
pub struct DatabaseUrl {
    scheme: &'static str,
    /// Name or address, without the brackets of an IPv6 address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name of the database: letters, digits, `_`, `-`, `$`.
    pub database: String,
    /// User, where the URL names one.
    pub user: Option<String>,
    /// Password, where the URL holds one.
    pub password: Option<SecretString>,
    /// Whether to create the database when it is missing.
    pub create_database_if_not_exist: bool,
    /// Protection of the connection.
    pub tls: TlsMode,
    /// File with the certificates (PEM) that are trusted instead of the system's.
    pub server_certificate: Option<PathBuf>,
    /// Unix socket to use instead of host and port.
    pub socket: Option<PathBuf>,
    /// Longest wait for a new connection; none is the pool's.
    pub connect_timeout: Option<Duration>,
    /// Parameters that have no effect.
    pub warnings: Vec<String>,
}

impl DatabaseUrl {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let url = url.trim();
        let (scheme, rest) = SCHEMES
            .iter()
            .find_map(|scheme| Some((*scheme, url.strip_prefix(scheme)?)))
            .ok_or(UrlError::Scheme)?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = address.split_once('/').unwrap_or((address, ""));
        let (credentials, host_port) = match authority.rsplit_once('@') {
            Some((credentials, host_port)) => (Some(credentials), host_port),
            None => (None, authority),
        };
        let (host, port) = host_and_port(host_port)?;
        let mut parsed = Self {
            scheme,
            host,
            port,
            database: database_name(database)?,
            user: None,
            password: None,
            create_database_if_not_exist: false,
            tls: TlsMode::default(),
            server_certificate: None,
            socket: None,
            connect_timeout: None,
            warnings: Vec::new(),
        };
        if let Some(credentials) = credentials {
            parsed.set_credentials(credentials)?;
        }
        parsed.set_parameters(query)?;
        Ok(parsed)
    }

    fn set_credentials(&mut self, credentials: &str) -> Result<(), UrlError> {
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        self.user = Some(percent_decode(user)?);
        self.password = password.map(percent_decode).transpose()?.map(SecretString::from);
        Ok(())
    }

    fn set_parameters(&mut self, query: &str) -> Result<(), UrlError> {
        let mut tls = TlsParameters::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode(value)?;
            match name.to_ascii_lowercase().as_str() {
                "user" => self.user = Some(value),
                "password" => self.password = Some(SecretString::from(value)),
                "createdatabaseifnotexist" => {
                    self.create_database_if_not_exist = boolean("createDatabaseIfNotExist", &value)?;
                }
                "usessl" => tls.use_ssl = Some(boolean("useSsl", &value)?),
                "sslmode" => tls.mode = Some(ssl_mode(&value)?),
                "trustservercertificate" => tls.trust = boolean("trustServerCertificate", &value)?,
                "serversslcert" => self.server_certificate = Some(file(&value)),
                "localsocket" => self.socket = Some(file(&value)),
                "connecttimeout" => self.connect_timeout = timeout("connectTimeout", &value)?,
                "sockettimeout" => {
                    if timeout("socketTimeout", &value)?.is_some() {
                        let warning =
                            "the URL's parameter socketTimeout has no effect: each call has a limit";
                        self.warnings.push(warning.to_owned());
                    }
                }
                _ => self.warnings.push(format!("the URL's parameter {name} has no effect")),
            }
        }
        self.tls = tls.mode(self.server_certificate.is_some());
        Ok(())
    }

    /// The URL without credentials and without parameters that have no effect, for health and logs.
    pub fn display(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}{open}{}{close}:{}/{}", self.scheme, self.host, self.port, self.database)?;
        if self.create_database_if_not_exist {
            f.write_str("?createDatabaseIfNotExist=true")?;
        }
        Ok(())
    }
}

/// The parameters that decide on encryption together.
#[derive(Default)]
struct TlsParameters {
    use_ssl: Option<bool>,
    mode: Option<TlsMode>,
    trust: bool,
}

impl TlsParameters {
    /// `sslMode` says it alone; `useSsl` verifies unless the certificate is to be trusted, as in the
    /// original's connector.
    fn mode(&self, has_certificate: bool) -> TlsMode {
        match (self.mode, self.use_ssl) {
            (Some(mode), _) => mode,
            (None, Some(false)) => TlsMode::Disabled,
            (None, Some(true)) if self.trust => TlsMode::Required,
            (None, Some(true)) => TlsMode::VerifyIdentity,
            (None, None) if has_certificate => TlsMode::VerifyIdentity,
            (None, None) => TlsMode::default(),
        }
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), UrlError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, behind) = rest.split_once(']').ok_or(UrlError::Host)?;
        (host, behind.strip_prefix(':'))
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() || text.contains([',', '(', ' ']) {
        return Err(UrlError::Host);
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?,
    };
    Ok((host.to_owned(), port))
}

fn database_name(text: &str) -> Result<String, UrlError> {
    let name = percent_decode(text)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
    let length_fits = (1..=MAX_DATABASE_CHARS).contains(&name.len());
    if length_fits && name.chars().all(is_plain) { Ok(name) } else { Err(UrlError::Database) }
}

fn boolean(name: &'static str, value: &str) -> Result<bool, UrlError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(UrlError::Parameter { name, expected: "true or false" }),
    }
}

fn ssl_mode(value: &str) -> Result<TlsMode, UrlError> {
    match value.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Ok(TlsMode::Disabled),
        "preferred" => Ok(TlsMode::Preferred),
        "trust" | "required" => Ok(TlsMode::Required),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "verify-full" | "verify-identity" => Ok(TlsMode::VerifyIdentity),
        _ => Err(UrlError::Parameter {
            name: "sslMode",
            expected: "disable, preferred, trust, verify-ca or verify-full",
        }),
    }
}

/// Milliseconds, 0 being no limit.
fn timeout(name: &'static str, value: &str) -> Result<Option<Duration>, UrlError> {
    duration::parse_millis(value)
        .map(|limit| Some(limit).filter(|limit| !limit.is_zero()))
        .ok_or(UrlError::Parameter { name, expected: "a number of milliseconds" })
}

fn file(value: &str) -> PathBuf {
    PathBuf::from(value.strip_prefix("file:").unwrap_or(value))
}

fn percent_decode(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let high = digit().ok_or(UrlError::Escape)?;
            let low = digit().ok_or(UrlError::Escape)?;
            bytes.push(u8::try_from(high * 16 + low).map_err(|_| UrlError::Escape)?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Escape)
}

/// The database that `datasources.<name>` describes.
#[derive(Debug, Clone)]
pub struct DataSource {
    /// Where it is; user and password are those of the keys beside the URL, or else of the URL.
    pub url: DatabaseUrl,
    /// Its connection pool.
    pub pool: PoolSettings,
}

impl DataSource {
    /// Reads `<prefix>.url`, `.username`, `.password` and the pool (`prefix`: `datasources.default`).
    /// None if the URL is missing or wrong, which the reader then reports.
    pub fn read(reader: &mut Reader<'_>, prefix: &str) -> Option<Self> {
        let key = |name: &str| format!("{prefix}.{name}");
        let pool = PoolSettings::read(reader, prefix);
        let user = reader.string(&key("username"));
        let password = reader.secret(&key("password"));
        let url_key = key("url");
        let mut url = match reader.string(&url_key).map(|text| DatabaseUrl::parse(&text)) {
            Some(Ok(url)) => url,
            Some(Err(error)) => {
                reader.reject(&url_key, &error.to_string());
                return None;
            }
            None => {
                reader.missing(&url_key);
                return None;
            }
        };
        reader.show(&url_key, url.display());
        for warning in &url.warnings {
            reader.warn(&url_key, warning);
        }
        url.user = user.or(url.user);
        url.password = password.or(url.password);
        if url.user.is_none() {
            reader.missing(&key("username"));
        }
        Some(Self { url, pool })
    }
}

#[cfg(test)]
#[path = "jdbc_tests.rs"]
mod tests;
