//! Secrets that do not leak by accident.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes that must not be seen: an HMAC secret, a freshly minted API key.
///
/// It prints as `[redacted]`, is compared in constant time, and is overwritten with zeros when it is dropped. It has
/// no `Display` and is never serialised: whoever needs the bytes says so by calling [`expose`](Self::expose).
///
/// Not done: the memory is not locked against being swapped to disk.
///
/// ```
/// use tower_resource_server::Secret;
///
/// let secret = Secret::new("correct horse battery staple, and then some");
/// assert_eq!(format!("{secret:?}"), "[redacted]");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over. A copy that the caller keeps elsewhere is not erased.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, if they are UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}
