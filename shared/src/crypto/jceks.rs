//! Secret keys out of a JCEKS keystore, Java's own format before PKCS12.
//!
//! The file: magic, version and number of entries; the entries; a SHA-1 digest over all of it with the
//! password. A secret key is a serialized Java object sealed by a password-based cipher of Java's own.

use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _, block_padding::Pkcs7};
use des::TdesEde3;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{key_file::Key, keystore::Reason};

const DIGEST_BYTES: usize = 20;
/// Mixed into the digest after the password.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// A sealed key as Java writes it, up to the length of its parameters.
const SEALED: &[u8] = b"\xac\xed\x00\x05sr\x003com.sun.crypto.provider.SealedObjectForKeyProtector\
    \xcdW\xcaY\xe70\xbbS\x02\x00\x00xr\x00\x19javax.crypto.SealedObject>6=\xa6\xc3\xb7Tp\x02\x00\x04\
    [\x00\x0dencodedParamst\x00\x02[B[\x00\x10encryptedContentq\x00~\x00\x02\
    L\x00\x09paramsAlgt\x00\x12Ljava/lang/String;L\x00\x07sealAlgq\x00~\x00\x03xp";
/// A byte array as Java writes it, up to its length: the first in a stream, and another.
const BYTES: &[u8] = b"ur\x00\x02[B\xac\xf3\x17\xf8\x06\x08T\xe0\x02\x00\x00xp";
const MORE_BYTES: &[u8] = b"uq\x00~\x00\x05";
const CIPHER: &[u8] = b"PBEWithMD5AndTripleDES";
/// Java itself refuses more.
const MAX_ITERATIONS: u64 = 5_000_000;

/// The secret key under `alias`, in any case. The key's own password is that of the store, which is what
/// keytool proposes.
pub(super) fn secret_key(bytes: &[u8], alias: &str, secret: &str) -> Result<Key, Reason> {
    let content = authentic(bytes, secret).ok_or(Reason::Closed)?;
    let sealed = sealed_keys(content).ok_or(Reason::Closed)?;
    let Some((_, sealed)) = sealed.iter().find(|(name, _)| name.to_lowercase() == alias.to_lowercase())
    else {
        // Java writes them in the order of a hash.
        let mut present: Vec<String> = sealed.into_iter().map(|(name, _)| name).collect();
        present.sort();
        return Err(Reason::NoSuchAlias { alias: alias.to_owned(), present });
    };
    let object = sealed.open(secret).ok_or(Reason::Closed)?;
    key_of(&object).ok_or_else(|| Reason::WrongKey(alias.to_owned()))
}

/// The file without its digest, if that is right.
fn authentic<'b>(bytes: &'b [u8], secret: &str) -> Option<&'b [u8]> {
    let (content, digest) = bytes.split_last_chunk::<DIGEST_BYTES>()?;
    let mut hash = Sha1::new();
    for unit in secret.encode_utf16() {
        hash.update(unit.to_be_bytes());
    }
    hash.update(WHITENER);
    hash.update(content);
    bool::from(hash.finalize().as_slice().ct_eq(digest)).then_some(content)
}

/// An encrypted key.
struct Sealed<'b> {
    salt: [u8; 8],
    iterations: u64,
    content: &'b [u8],
}

/// Reads the file's fields one after the other; none where it is too short.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(bytes)?;
        Some(())
    }

    fn int(&mut self) -> Option<usize> {
        let (int, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        usize::try_from(u32::from_be_bytes(*int)).ok()
    }

    fn block(&mut self) -> Option<&'b [u8]> {
        let length = self.int()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<&'b [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        self.take(u16::from_be_bytes(*length).into())
    }

    /// A certificate's kind and its bytes, both of no interest here.
    fn skip_certificate(&mut self) -> Option<()> {
        self.text()?;
        self.block().map(|_| ())
    }
}

/// All secret keys by alias; the other entries are passed over.
fn sealed_keys(content: &[u8]) -> Option<Vec<(String, Sealed<'_>)>> {
    let mut fields = Fields(content);
    fields.expect(b"\xce\xce\xce\xce\x00\x00\x00\x02")?;
    let mut keys = Vec::new();
    for _ in 0..fields.int()? {
        let tag = fields.int()?;
        let alias = String::from_utf8_lossy(fields.text()?).into_owned();
        let _created = fields.take(8)?;
        match tag {
            1 => {
                fields.block()?;
                for _ in 0..fields.int()? {
                    fields.skip_certificate()?;
                }
            }
            2 => fields.skip_certificate()?,
            3 => keys.push((alias, sealed(&mut fields)?)),
            _ => return None,
        }
    }
    Some(keys)
}

fn sealed<'b>(fields: &mut Fields<'b>) -> Option<Sealed<'b>> {
    fields.expect(SEALED)?;
    fields.expect(BYTES)?;
    let parameters = fields.block()?;
    fields.expect(MORE_BYTES)?;
    let content = fields.block()?;
    // Two names of the cipher, the second one written anew or as a reference to the first.
    fields.expect(b"t")?;
    if fields.text()? != CIPHER {
        return None;
    }
    match fields.take(1)? {
        b"t" => drop(fields.text()?),
        _ => drop(fields.take(4)?),
    }
    // DER: a sequence of the salt and the number of iterations.
    let mut parameters = Fields(parameters.get(2..)?);
    parameters.expect(b"\x04\x08")?;
    let salt = parameters.take(8)?.try_into().ok()?;
    parameters.expect(b"\x02")?;
    let length = usize::from(*parameters.take(1)?.first()?);
    let iterations = parameters.take(length).filter(|bytes| bytes.len() <= 8)?;
    let iterations = iterations.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    (1..=MAX_ITERATIONS).contains(&iterations).then_some(Sealed { salt, iterations, content })
}

impl Sealed<'_> {
    fn open(&self, secret: &str) -> Option<Zeroizing<Vec<u8>>> {
        let derived = self.derive(secret);
        let (key, iv) = derived.split_at(24);
        let cipher = cbc::Decryptor::<TdesEde3>::new_from_slices(key, iv).ok()?;
        cipher.decrypt_padded_vec::<Pkcs7>(self.content).map(Zeroizing::new).ok()
    }

    /// Java's own way to a key of 24 bytes and an initialisation vector of 8: each half of the salt is
    /// hashed with the password again and again.
    fn derive(&self, secret: &str) -> Zeroizing<[u8; 32]> {
        let mut salt = self.salt;
        if salt[..4] == salt[4..] {
            // It was to reverse the first half, and does this.
            let [a, b, _, d, ..] = salt;
            salt[..4].copy_from_slice(&[d, a, b, d]);
        }
        let mut derived = Zeroizing::new([0; 32]);
        for (half, out) in salt.chunks_exact(4).zip(derived.chunks_exact_mut(16)) {
            let mut hashed = Zeroizing::new(half.to_vec());
            for _ in 0..self.iterations {
                hashed = Zeroizing::new(
                    Md5::new().chain_update(&*hashed).chain_update(secret).finalize().to_vec(),
                );
            }
            out.copy_from_slice(&hashed);
        }
        derived
    }
}

/// The key inside of a serialized `SecretKeySpec` of 256 bits: its only byte array.
fn key_of(object: &[u8]) -> Option<Key> {
    let start = object.windows(BYTES.len()).position(|window| window == BYTES)?;
    let key = Fields(&object[start + BYTES.len()..]).block()?;
    <[u8; 32]>::try_from(key).map(Zeroizing::new).ok()
}
