//! A sealed secret as it is stored.

use std::fmt;

/// A secret under AES-256-GCM. Only `crypto` makes and opens one.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key opens it.
    pub alias: String,
    /// Nonce, then ciphertext with tag.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("alias", &self.alias).finish_non_exhaustive()
    }
}
