//! `dmf-scheduler gen-certs`: a self-signed certificate in the files that the original's script makes.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::Args;
use dmf_shared::domain::clock::Clock;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use secrecy::{ExposeSecret as _, SecretString};

/// Alias of the key and of the certificate.
const ALIAS: &str = "scheduler";
/// Private key and certificate of the server.
const KEYSTORE: &str = "keystore.p12";
/// The certificate for Java clients, and for all others.
const FOR_CLIENTS: [&str; 2] = ["scheduler.p12", "scheduler.pem"];
/// The password, where none was given.
const PASSWORD: &str = "keystore.password";
/// The bit of a directory that hands its group down to what is made in it.
const SETGID: u32 = 0o2000;
/// Java and browsers refuse less than they used to; this is long enough not to be in the way.
const MAX_DAYS: u32 = 36_500;

/// Makes a self-signed certificate: keystore.p12 (the key, for the scheduler), scheduler.p12 and
/// scheduler.pem (the certificate, for clients).
///
/// Both keystores have one password: that of --password-file, else a new one that is written to
/// keystore.password. Give it to the scheduler by
/// `MICRONAUT_SSL_KEY_STORE_PASSWORD_FILE` or as micronaut.ssl.key-store.password.
#[derive(Debug, Args)]
pub struct GenCerts {
    /// The directory; made if it is missing.
    #[arg(short, long, value_name = "DIR")]
    directory: PathBuf,
    /// A file with the password of the keystores.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A name or address of the schedulers, besides this machine's and localhost; may be repeated.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// For how many days the certificate is valid.
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DAYS)))]
    days: u32,
    /// Overwrite files that are there.
    #[arg(long)]
    force: bool,
}

/// Why nothing was made, or not all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It would be overwritten.
    #[error("{}: is there already; --force overwrites it", .0.display())]
    Exists(PathBuf),
    /// Too short for Java.
    #[error("{}: the password must have at least 6 characters", .0.display())]
    ShortPassword(PathBuf),
    /// A name that no certificate can hold.
    #[error("the certificate can't be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A keystore.
    #[error("the keystore can't be made: {0}")]
    Keystore(#[from] p12_keystore::error::Error),
}

impl GenCerts {
    /// Makes the files; their paths.
    pub fn run(&self) -> Result<Vec<PathBuf>, Error> {
        let names = [KEYSTORE, FOR_CLIENTS[0], FOR_CLIENTS[1]];
        let with_password = self.password_file.is_none().then_some(PASSWORD);
        for name in names.into_iter().chain(with_password) {
            let path = self.directory.join(name);
            if path.exists() && !self.force {
                return Err(Error::Exists(path));
            }
        }
        let password = self.password()?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = self.parameters()?.self_signed(&key)?;
        let own = Certificate::from_der(certificate.der())?;
        let chain = PrivateKeyChain::new("1", PrivateKey::from_der(key.serialized_der())?, [own.clone()]);
        let with_key = keystore(KeyStoreEntry::PrivateKeyChain(chain), &password)?;
        let without = keystore(KeyStoreEntry::Certificate(own), &password)?;

        fs::create_dir_all(&self.directory)
            .map_err(|source| Error::File { path: self.directory.clone(), source })?;
        let secret = self.mode_of_secrets()?;
        let mut made = vec![
            self.write(KEYSTORE, &with_key, secret)?,
            self.write(FOR_CLIENTS[0], &without, 0o644)?,
            self.write(FOR_CLIENTS[1], certificate.pem().as_bytes(), 0o644)?,
        ];
        if let Some(name) = with_password {
            made.push(self.write(name, password.expose_secret().as_bytes(), secret)?);
        }
        Ok(made)
    }

    /// For the owner alone; where the directory hands its group down, as that of the package does, also for this
    /// group: whoever makes the files need not be whom the scheduler runs as.
    fn mode_of_secrets(&self) -> Result<u32, Error> {
        let directory = fs::metadata(&self.directory)
            .map_err(|source| Error::File { path: self.directory.clone(), source })?;
        Ok(if directory.mode() & SETGID == 0 { 0o600 } else { 0o640 })
    }

    fn password(&self) -> Result<SecretString, Error> {
        let Some(path) = &self.password_file else {
            let mut random = [0; 24];
            let device = Path::new("/dev/urandom");
            File::open(device)
                .and_then(|mut file| file.read_exact(&mut random))
                .map_err(|source| Error::File { path: device.to_owned(), source })?;
            return Ok(BASE64_URL_SAFE_NO_PAD.encode(random).into());
        };
        let text = fs::read_to_string(path).map_err(|source| Error::File { path: path.clone(), source })?;
        let text = text.trim_end_matches(['\r', '\n']);
        // keytool opens nothing with less.
        if text.chars().count() < 6 {
            return Err(Error::ShortPassword(path.clone()));
        }
        Ok(text.into())
    }

    fn parameters(&self) -> Result<CertificateParams, Error> {
        let machine =
            nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let common = self.host.first().unwrap_or(&machine).clone();
        let fixed = [machine, "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let mut names: Vec<String> = Vec::new();
        for name in self.host.iter().cloned().chain(fixed) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        let mut parameters = CertificateParams::new(names)?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, common);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // A clock of a client that is an hour slow must not refuse it.
        let now = Clock::system().now();
        parameters.not_before = now - time::Duration::hours(1);
        parameters.not_after = now + time::Duration::days(self.days.into());
        Ok(parameters)
    }

    fn write(&self, name: &str, content: &[u8], mode: u32) -> Result<PathBuf, Error> {
        let path = self.directory.join(name);
        // Beside it first: an old file keeps its own mode, and a half written one is of no use.
        let fresh = self.directory.join(format!("{name}.new"));
        let _ = fs::remove_file(&fresh);
        File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)
            .and_then(|mut file| {
                // Whatever the umask of the administrator is.
                file.set_permissions(Permissions::from_mode(mode))?;
                file.write_all(content)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(|source| Error::File { path: path.clone(), source })?;
        Ok(path)
    }
}

fn keystore(entry: KeyStoreEntry, password: &SecretString) -> Result<Vec<u8>, Error> {
    let mut store = KeyStore::new();
    store.add_entry(ALIAS, entry);
    Ok(store.writer(password.expose_secret()).write()?)
}
