//! The `Authorization` field: `scheme 1*SP token68` (RFC 9110 section 11.4, RFC 6750 section 2.1).

use http::{HeaderMap, header::AUTHORIZATION};

use super::{Credential, Flaw, Presented, single_value, token68};
use crate::challenge::Scheme;
use crate::error::AuthError;

/// Reads the field for any of `schemes`. A scheme that nobody here knows is no credential; a value without a readable
/// scheme is malformed.
pub(super) fn read<'r>(headers: &'r HeaderMap, schemes: &[Scheme]) -> Presented<'r> {
    let value = match single_value(headers, &AUTHORIZATION) {
        Ok(Some(value)) => value,
        Ok(None) => return Presented::None,
        Err(twice) => return twice,
    };
    match split(value, schemes) {
        Ok(Some((scheme, value))) => Presented::One(Credential::new(value, AUTHORIZATION, scheme)),
        Ok(None) => Presented::None,
        Err(flaw) => Presented::Malformed(flaw),
    }
}

/// Splits `scheme 1*SP token68`; `None` for a scheme that is not among `schemes`. Schemes are compared without case, and
/// end at a space whether they are known or not: `Basic,abc` is no credential of another kind, it is garbage.
pub(super) fn split<'r>(value: &'r [u8], schemes: &[Scheme]) -> Result<Option<(Scheme, &'r str)>, Flaw> {
    let end = value
        .iter()
        .position(|byte| !is_tchar(*byte))
        .unwrap_or(value.len());
    let (word, rest) = value.split_at(end);
    let scheme = schemes
        .iter()
        .find(|scheme| word.eq_ignore_ascii_case(scheme.as_str().as_bytes()))
        .copied();
    let flaw = |error| Flaw { error, scheme };
    if value.is_empty() {
        return Err(flaw(AuthError::CredentialEmpty));
    }
    if word.is_empty() || !matches!(rest, [] | [b' ', ..]) {
        return Err(flaw(AuthError::HeaderUnreadable));
    }
    let Some(scheme) = scheme else {
        return Ok(None);
    };
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let value = token68(rest.split_at(spaces).1).map_err(flaw)?;
    Ok(Some((scheme, value)))
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
