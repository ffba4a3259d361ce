//! The certificate that the server shows, out of a PKCS12 keystore or PEM files; read again without a
//! restart.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::config::Reader;

/// The settings that count for this process, and the base that they override.
const OVERRIDE: &str = "micronaut.server.ssl";
const BASE: &str = "micronaut.ssl";
/// What a key store is made of.
const KEY_STORE: [&str; 4] = ["path", "type", "password", "key-path"];
/// Largest keystore or PEM file.
const MAX_BYTES: u64 = 1024 * 1024;

/// Why there is no certificate. None repeats anything of a key or a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("{}: can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An older format of Java.
    #[error("{}: is a {format} keystore; convert it with `keytool -importkeystore -deststoretype pkcs12`", path.display())]
    OldFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },
    /// Wrong password, or damaged.
    #[error("{}: can't be opened with the given password, or is no PKCS12 keystore", path.display())]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// No private key of that alias, or none at all.
    #[error("{}: holds no private key with a certificate{}", path.display(), of_alias(alias.as_deref()))]
    NoKey {
        /// The file.
        path: PathBuf,
        /// The alias that was asked for.
        alias: Option<String>,
    },
    /// Not PEM, or no certificate in it.
    #[error("{}: holds no certificate in PEM", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key is of no use, or not the certificate's.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: rustls::Error,
    },
}

fn of_alias(alias: Option<&str>) -> String {
    alias.map(|alias| format!(" under the alias {alias}")).unwrap_or_default()
}

/// Where the certificate and its key lie.
#[derive(Debug, Clone)]
struct KeyStoreFiles {
    /// A PKCS12 keystore, or certificates in PEM, the server's own first.
    path: PathBuf,
    /// The key in PEM; none if it lies beside the certificates.
    key_path: Option<PathBuf>,
    /// Opens the keystore.
    password: Option<SecretString>,
    /// Which of its keys; none is the first.
    alias: Option<String>,
}

/// The certificate that is shown to new connections.
#[derive(Debug)]
pub struct Certificates {
    files: KeyStoreFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    fn load(files: KeyStoreFiles) -> Result<Self, Error> {
        let current = RwLock::new(Arc::new(files.load()?));
        Ok(Self { files, current })
    }

    /// Reads the files again; where they are not in order, the certificate stays as it is. Connections
    /// that exist are not touched. Blocks for the time of reading.
    pub fn reload(&self) -> Result<(), Error> {
        let fresh = Arc::new(self.files.load()?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// TLS 1.2 and 1.3 with this certificate, for HTTP/2 and HTTP/1.1.
    pub(super) fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        let builder = ServerConfig::builder_with_provider(Arc::new(provider()));
        #[allow(clippy::expect_used, reason = "the provider has cipher suites for both versions of TLS")]
        let builder = builder.with_safe_default_protocol_versions().expect("suites for TLS 1.2 and 1.3");
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

impl KeyStoreFiles {
    fn load(&self) -> Result<CertifiedKey, Error> {
        let bytes = read_file(&self.path)?;
        let (chain, key) = match bytes.as_slice() {
            [0xfe, 0xed, 0xfe, 0xed, ..] => return Err(self.old_format("JKS")),
            [0xce, 0xce, 0xce, 0xce, ..] => return Err(self.old_format("JCEKS")),
            [0x30, ..] => self.of_keystore(&bytes)?,
            _ => self.of_pem(&bytes)?,
        };
        CertifiedKey::from_der(chain, key, &provider())
            .map_err(|reason| Error::Unusable { path: self.path.clone(), reason })
    }

    fn old_format(&self, format: &'static str) -> Error {
        Error::OldFormat { path: self.path.clone(), format }
    }

    fn of_keystore(
        &self,
        bytes: &[u8],
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let password = self.password.as_ref().map_or("", |password| password.expose_secret());
        let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Relaxed)
            .map_err(|_| Error::Closed { path: self.path.clone() })?;
        let wanted = self.alias.as_ref().map(|alias| alias.to_lowercase());
        let chain = store.entries().find_map(|(name, entry)| match entry {
            KeyStoreEntry::PrivateKeyChain(chain) if !chain.certs().is_empty() => {
                wanted.as_ref().is_none_or(|wanted| name.to_lowercase() == *wanted).then_some(chain)
            }
            _ => None,
        });
        let chain =
            chain.ok_or_else(|| Error::NoKey { path: self.path.clone(), alias: self.alias.clone() })?;
        let certificates = chain.certs().iter().map(|cert| CertificateDer::from(cert.as_der().to_vec()));
        let key = PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec());
        Ok((certificates.collect(), key.into()))
    }

    fn of_pem(&self, bytes: &[u8]) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| Error::NoCertificate { path: self.path.clone() })?;
        if certificates.is_empty() {
            return Err(Error::NoCertificate { path: self.path.clone() });
        }
        let no_key = |path: &Path| Error::NoKey { path: path.to_owned(), alias: None };
        let key = match &self.key_path {
            Some(path) => PrivateKeyDer::from_pem_slice(&read_file(path)?).map_err(|_| no_key(path))?,
            None => PrivateKeyDer::from_pem_slice(bytes).map_err(|_| no_key(&self.path))?,
        };
        Ok((certificates, key))
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// The key of a setting: under the override where it is set there, else under the base.
pub(super) fn either(reader: &Reader<'_>, name: &str) -> String {
    let [over, base] = [OVERRIDE, BASE].map(|prefix| format!("{prefix}.{name}"));
    if reader.is_set(&over) { over } else { base }
}

pub(super) fn is_enabled(reader: &mut Reader<'_>) -> bool {
    let key = either(reader, "enabled");
    reader.bool(&key, false)
}

/// Reads which certificate there is and loads it, so that a wrong one is told with all other faults. Without
/// TLS its settings are read all the same, and not used.
pub(super) fn read(reader: &mut Reader<'_>, is_used: bool) -> Option<Certificates> {
    for name in ["client-authentication", "build-self-signed"] {
        let key = either(reader, name);
        let is_off = |text: &str| matches!(text.trim().to_ascii_lowercase().as_str(), "" | "false" | "none");
        if reader.string(&key).is_some_and(|text| !is_off(&text)) {
            reader.reject(&key, "is not supported; make a certificate with `dmf-scheduler gen-certs`");
        }
    }
    let store = key_store(reader);
    let alias_key = either(reader, "key.alias");
    let alias = reader.string(&alias_key).filter(|alias| !alias.is_empty());
    let key = |name: &str| format!("{store}.{name}");
    let path = reader.path(&key("path"));
    let key_path = reader.path(&key("key-path"));
    let password = reader.secret(&key("password"));
    let is_pem = reader.choice(&key("type"), &[("PKCS12", false), ("PEM", true)], key_path.is_some());
    if !is_used {
        return None;
    }
    let Some(path) = path else {
        if !reader.is_set(&key("path")) {
            reader.missing(&key("path"));
        }
        return None;
    };
    if password.is_none() && !is_pem {
        reader.missing(&key("password"));
        return None;
    }
    match Certificates::load(KeyStoreFiles { path, key_path, password, alias }) {
        Ok(certificates) => Some(certificates),
        Err(error) => {
            reader.reject(&store, &error.to_string());
            None
        }
    }
}

/// Where the key store is described: as in the original, one under the override replaces that of the base
/// whole.
fn key_store(reader: &mut Reader<'_>) -> String {
    let [over, base] = [OVERRIDE, BASE].map(|prefix| format!("{prefix}.key-store"));
    let is_set = |reader: &Reader<'_>, prefix: &str| {
        KEY_STORE.iter().any(|name| reader.is_set(&format!("{prefix}.{name}")))
    };
    if !is_set(reader, &over) {
        return base;
    }
    if is_set(reader, &base) {
        reader.accept(&base);
        reader.warn(&over, &format!("replaces {base} as a whole, nothing of which is used"));
    }
    over
}
