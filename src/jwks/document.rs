//! Reading a JSON document of an issuer's.

use serde::de::{Deserialize, Error};

/// Reads an object, and nothing but an object: a derived `Deserialize` takes an array for a struct, member by member.
pub(super) fn object<'j, T: Deserialize<'j>>(text: &'j [u8]) -> serde_json::Result<T> {
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text),
        _ => Err(Error::custom("it is not an object")),
    }
}
