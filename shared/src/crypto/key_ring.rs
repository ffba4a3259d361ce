//! Keys by alias; sealing with the active one, opening with whichever sealed.
//!
//! AES-256-GCM, a fresh random nonce of 96 bits for each write. The Source and the user are bound in as
//! associated data, so that a sealed password moved to another user's row does not open.

use std::{collections::BTreeMap, fmt, io, path::PathBuf};

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Generate as _, Payload},
};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::key_file::KeyFile;
pub use super::keystore::Reason;
use crate::domain::{ids::SourceId, sealed::Sealed};

/// Length of a nonce in bytes.
const NONCE_BYTES: usize = 12;
/// Tells these from whatever else may once be sealed with the same keys.
const PURPOSE: &[u8] = b"dmf:user-password:1";

/// What sealing can be wrong in. None says anything about a key or a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of a key can't be read.
    #[error("{}: can't be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds no key.
    #[error("{}: must hold 32 bytes, or these in base64 or hexadecimal", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// A keystore without its secret.
    #[error("{}: a keystore needs its secret", path.display())]
    SecretMissing {
        /// The file.
        path: PathBuf,
    },
    /// A keystore gives no key.
    #[error("{}: not usable", path.display())]
    Keystore {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        reason: Reason,
    },
    /// Two keys of one alias.
    #[error("the alias {0} is given twice")]
    DuplicateAlias(String),
    /// Nothing to seal with.
    #[error("no key is configured to seal passwords with (dmf.crypto.storage-key)")]
    NoActiveKey,
    /// Nothing to open with.
    #[error("no key of the alias {0} is configured here")]
    UnknownAlias(String),
    /// Wrong key, wrong user, or damaged.
    #[error("a sealed password does not open")]
    DoesNotOpen,
    /// The system gives no random numbers, or the text is far too long.
    #[error("a password can't be sealed")]
    DoesNotSeal,
}

/// One configured key.
#[derive(Debug, Clone)]
pub struct KeySpec {
    /// Name of the key, stored beside what it seals.
    pub alias: String,
    /// Where it lies.
    pub file: KeyFile,
    /// Opens the keystore.
    pub secret: Option<SecretString>,
}

/// The keys of this process.
#[derive(Clone, Default)]
pub struct KeyRing {
    ciphers: BTreeMap<String, Aes256Gcm>,
    active: Option<String>,
}

impl KeyRing {
    /// Reads all keys; the first one is the active one. Every fault is reported.
    pub fn load(specs: &[KeySpec]) -> Result<Self, Vec<Error>> {
        let mut ring =
            Self { ciphers: BTreeMap::new(), active: specs.first().map(|spec| spec.alias.clone()) };
        let mut errors = Vec::new();
        for spec in specs {
            errors.extend(ring.add(spec).err());
        }
        if errors.is_empty() { Ok(ring) } else { Err(errors) }
    }

    fn add(&mut self, spec: &KeySpec) -> Result<(), Error> {
        if self.ciphers.contains_key(&spec.alias) {
            return Err(Error::DuplicateAlias(spec.alias.clone()));
        }
        let key = spec.file.read(&spec.alias, spec.secret.as_ref())?;
        self.ciphers.insert(spec.alias.clone(), Aes256Gcm::new((&*key).into()));
        Ok(())
    }

    /// Alias of the key that seals, if there is one.
    pub fn active(&self) -> Option<&str> {
        self.active.as_deref()
    }

    /// Aliases of all keys.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.ciphers.keys().map(String::as_str)
    }

    /// Seals the password of a user with the active key.
    pub fn seal(&self, password: &SecretString, source: SourceId, source_uid: &str) -> Result<Sealed, Error> {
        let alias = self.active.as_ref().ok_or(Error::NoActiveKey)?;
        let cipher = self.ciphers.get(alias).ok_or(Error::NoActiveKey)?;
        let nonce = <[u8; NONCE_BYTES]>::try_generate().map_err(|_| Error::DoesNotSeal)?;
        let aad = associated_data(source, source_uid);
        let payload = Payload { msg: password.expose_secret().as_bytes(), aad: &aad };
        let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| Error::DoesNotSeal)?;
        Ok(Sealed { alias: alias.clone(), bytes: [&nonce[..], &sealed].concat() })
    }

    /// Opens what was sealed for that user.
    pub fn open(&self, sealed: &Sealed, source: SourceId, source_uid: &str) -> Result<SecretString, Error> {
        let cipher =
            self.ciphers.get(&sealed.alias).ok_or_else(|| Error::UnknownAlias(sealed.alias.clone()))?;
        let (nonce, text) = sealed.bytes.split_first_chunk::<NONCE_BYTES>().ok_or(Error::DoesNotOpen)?;
        let aad = associated_data(source, source_uid);
        let opened = cipher
            .decrypt(&Nonce::from(*nonce), Payload { msg: text, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| Error::DoesNotOpen)?;
        std::str::from_utf8(&opened).map(SecretString::from).map_err(|_| Error::DoesNotOpen)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("aliases", &self.ciphers.keys())
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// Only the last part has no fixed length, so no two users share their data.
fn associated_data(source: SourceId, source_uid: &str) -> Vec<u8> {
    [PURPOSE, &source.0.to_be_bytes(), source_uid.as_bytes()].concat()
}

#[cfg(test)]
#[path = "key_ring_tests.rs"]
mod tests;
