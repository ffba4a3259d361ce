//! AES keys out of PKCS12 and JCEKS keystores, as `keytool -genseckey` makes them.

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use zeroize::Zeroizing;

use super::{jceks, key_file::Key};

/// Why a keystore gives no key. None repeats anything of its content but the aliases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The older format that holds no secret keys.
    #[error("it is a JKS keystore, which holds no secret keys")]
    Jks,
    /// Wrong secret, damaged, or of a kind that is not supported.
    #[error("it can't be opened with the given secret, or is no PKCS12 or JCEKS keystore")]
    Closed,
    /// The alias is missing.
    #[error("it holds no key of the alias {alias}; there is: {}", present.join(", "))]
    NoSuchAlias {
        /// The alias that was asked for.
        alias: String,
        /// Those of the secret keys that it holds.
        present: Vec<String>,
    },
    /// The entry is not a key of 256 bits.
    #[error("the key of the alias {0} is no AES key of 256 bits")]
    WrongKey(String),
}

/// The secret key under `alias`, whose case does not matter: keytool lower-cases it.
pub(super) fn secret_key(bytes: &[u8], alias: &str, secret: &str) -> Result<Key, Reason> {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] => return Err(Reason::Jks),
        [0xce, 0xce, 0xce, 0xce, ..] => return jceks::secret_key(bytes, alias, secret),
        _ => {}
    }
    let store =
        KeyStore::from_pkcs12(bytes, secret, Pkcs12ImportPolicy::Relaxed).map_err(|_| Reason::Closed)?;
    let mut present = Vec::new();
    for (name, entry) in store.entries() {
        let KeyStoreEntry::Secret(secret) = entry else { continue };
        if name.to_lowercase() == alias.to_lowercase() {
            let key = <[u8; 32]>::try_from(secret.key()).map_err(|_| Reason::WrongKey(alias.to_owned()))?;
            return Ok(Zeroizing::new(key));
        }
        present.push(name.clone());
    }
    Err(Reason::NoSuchAlias { alias: alias.to_owned(), present })
}
