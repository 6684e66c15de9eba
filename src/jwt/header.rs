//! The JOSE header (RFC 7515 section 4): four members are read, the rest is ignored or refused.

use serde::de::{IgnoredAny, MapAccess};

use super::json::{Members, Text, Unread, next_object};

/// Longer than any name of a key that is in use.
const LONGEST_KID: usize = 512;

/// `jwk`, `jku`, `x5u`, `x5c` and the certificate's digests are not here: a key that the token brings along proves nothing.
/// They are only held to their types.
#[derive(Debug, Default)]
pub(super) struct Header<'t> {
    pub(super) alg: Option<Text<'t>>,
    pub(super) kid: Option<Text<'t>>,
    pub(super) typ: Option<Text<'t>>,
    pub(super) cty: Option<Text<'t>>,
    /// `crit`, or `b64`, which a JWT must not use (RFC 7797 section 7).
    pub(super) has_extension: bool,
}

impl<'t> Members<'t> for Header<'t> {
    fn take<A: MapAccess<'t>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "alg" => self.alg = Some(map.next_value()?),
            "kid" => self.kid = Some(map.next_value()?),
            "typ" => self.typ = Some(map.next_value()?),
            "cty" => self.cty = Some(map.next_value()?),
            "crit" | "b64" => {
                map.next_value::<IgnoredAny>()?;
                self.has_extension = true;
            }
            "jku" | "x5u" | "x5t" | "x5t#S256" => drop(map.next_value::<Text<'_>>()?),
            "x5c" => drop(map.next_value::<Vec<Text<'_>>>()?),
            "jwk" => {
                next_object::<Unread, _>(map)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Header<'_> {
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_ref().map(|kid| &*kid.0)
    }

    pub(super) fn typ(&self) -> Option<&str> {
        self.typ.as_ref().map(|typ| &*typ.0)
    }

    pub(super) fn kid_is_too_long(&self) -> bool {
        self.kid().is_some_and(|kid| kid.len() > LONGEST_KID)
    }

    /// A token inside the token (RFC 7519 section 5.2); only one layer is ever verified, so it is refused.
    pub(super) fn is_nested(&self) -> bool {
        self.cty.as_ref().is_some_and(|cty| is_media_type(&cty.0, "jwt"))
    }
}

/// RFC 7515 section 4.1.9: without regard to case, and `x` means `application/x`. `wanted` is in lower case.
pub(super) fn is_media_type(value: &str, wanted: &str) -> bool {
    let prefix = "application/";
    let bare = match value.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => value.get(prefix.len()..).unwrap_or_default(),
        _ => value,
    };
    bare.eq_ignore_ascii_case(wanted)
}
