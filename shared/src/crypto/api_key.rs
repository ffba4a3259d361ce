//! API keys: shown once, stored as SHA-256, compared in constant time.

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// SHA-256 of an API key, which is all that is kept of it. A key made here has 122 random bits, so no
/// salt and no slow hash is needed.
pub type ApiKeyHash = [u8; 32];

/// The hash under which a key is stored and looked up.
pub fn hash_api_key(api_key: &str) -> ApiKeyHash {
    Sha256::digest(api_key.as_bytes()).into()
}

/// A new random key, in the form that the original's keys have (UUID version 4).
pub fn generate_api_key() -> SecretString {
    SecretString::from(uuid::Uuid::new_v4().to_string())
}

/// Compares secrets so that the time tells nothing about where, or in what length, they differ.
pub fn equal_in_constant_time(given: &str, expected: &str) -> bool {
    hash_api_key(given).ct_eq(&hash_api_key(expected)).into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn keys_are_random_and_hashed() {
        let (one, two) = (generate_api_key(), generate_api_key());
        assert_eq!(one.expose_secret().len(), 36);
        assert_ne!(one.expose_secret(), two.expose_secret());
        let hash = hash_api_key("abc");
        assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn comparison() {
        assert!(equal_in_constant_time("secret", "secret"));
        for other in ["", "Secret", "secret ", "secre"] {
            assert!(!equal_in_constant_time(other, "secret"));
        }
    }
}
