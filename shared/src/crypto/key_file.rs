//! Where a key lies: a plain file or an entry of a Java keystore.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{key_ring::Error, keystore};

/// Largest key file or keystore.
const MAX_BYTES: u64 = 1024 * 1024;

/// An AES-256 key.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// The file of a key, as `dmf.crypto.storage-key.file` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFile {
    /// A file with the key: its 32 bytes, or these in base64 or hexadecimal.
    Plain(PathBuf),
    /// A PKCS12 keystore that holds the key under its alias.
    Keystore(PathBuf),
}

impl KeyFile {
    /// Reads `/path`, `file:/path` or `keystore:/path`; none if the path is empty.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let without_scheme = |path: &str| PathBuf::from(path.strip_prefix("file:").unwrap_or(path));
        let file = match text.strip_prefix("keystore:") {
            Some(path) => Self::Keystore(without_scheme(path)),
            None => Self::Plain(without_scheme(text)),
        };
        (!file.path().as_os_str().is_empty()).then_some(file)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Plain(path) | Self::Keystore(path) => path,
        }
    }

    /// The key. A keystore needs the entry's alias and its secret; a plain file neither.
    pub(super) fn read(&self, alias: &str, secret: Option<&SecretString>) -> Result<Key, Error> {
        let path = self.path();
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let bytes = read_bounded(path).map_err(unreadable)?;
        match self {
            Self::Plain(_) => decode(&bytes).ok_or_else(|| Error::NotAKey { path: path.to_owned() }),
            Self::Keystore(_) => {
                let secret = secret.ok_or_else(|| Error::SecretMissing { path: path.to_owned() })?;
                keystore::secret_key(&bytes, alias, secret.expose_secret())
                    .map_err(|reason| Error::Keystore { path: path.to_owned(), reason })
            }
        }
    }
}

fn read_bounded(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room from the start: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A key of 32 bytes, raw or as text.
fn decode(bytes: &[u8]) -> Option<Key> {
    if let Ok(key) = <[u8; 32]>::try_from(bytes) {
        return Some(Zeroizing::new(key));
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if text.len() == 64 {
        return decode_hex(text);
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(text).ok()?);
    Some(Zeroizing::new(<[u8; 32]>::try_from(decoded.as_slice()).ok()?))
}

fn decode_hex(text: &str) -> Option<Key> {
    let mut key = Zeroizing::new([0; 32]);
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_files() {
        assert_eq!(KeyFile::parse("/a/key"), Some(KeyFile::Plain("/a/key".into())));
        assert_eq!(KeyFile::parse("file:/a/key"), Some(KeyFile::Plain("/a/key".into())));
        assert_eq!(KeyFile::parse("keystore:/a/k.p12"), Some(KeyFile::Keystore("/a/k.p12".into())));
        assert_eq!(KeyFile::parse("keystore:file:/k"), Some(KeyFile::Keystore("/k".into())));
        assert_eq!(KeyFile::parse(" "), None);
        assert_eq!(KeyFile::parse("keystore:"), None);
    }

    #[test]
    fn keys_are_raw_base64_or_hex() {
        let key: Vec<u8> = (0..32).collect();
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        for written in [
            key.clone(),
            format!("{}\n", BASE64_STANDARD.encode(&key)).into_bytes(),
            format!(" {hex}\r\n").into(),
        ] {
            assert_eq!(decode(&written).unwrap().as_slice(), key);
        }
        for bad in
            [&b""[..], &key[..31], &[key.as_slice(), b"\n"].concat(), "é".repeat(32).as_bytes(), &[b'g'; 64]]
        {
            assert!(decode(bad).is_none(), "{bad:?}");
        }
    }
}
