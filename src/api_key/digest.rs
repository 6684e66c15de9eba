use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 digest of an API key: all that a store ever sees of it.
///
/// A fast hash is the right one here: a key is 32 random bytes, so there is nothing to guess, and a slow hash would only
/// slow down every request. Keys made elsewhere from fewer than 128 bits do not have this protection.
///
/// `Debug` does not show it: a short key made elsewhere could be found from its digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a key, as it is written in the header.
    pub fn of(key: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(key.as_ref()).into())
    }

    /// A digest read back from a store.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest, for a store to look up.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Equality that takes the same time wherever the two differ.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest([redacted])")
    }
}
