//! What a token can be revoked by: its id and its version, from the claims that the configuration names.

use std::borrow::Cow;

use super::claims::Claims;
use super::json::{Text, WholeNumber};
use super::path::value_at;
use crate::error::AuthError;

/// `jti`, or the string that another claim holds. Without it there is none, and revocations refuse the token.
pub(super) fn token_id<'c>(
    claims: &'c Claims<'_>,
    payload: &'c [u8],
    named: Option<&'static str>,
) -> Result<Option<Cow<'c, str>>, AuthError> {
    let Some(claim) = named else {
        return Ok(claims.jti.as_ref().map(|jti| Cow::Borrowed(&*jti.0)));
    };
    let found: Result<Option<Text<'_>>, _> = value_at(payload, &[claim]);
    let id = found.map_err(|_| AuthError::PayloadMalformed("its id is not a string"))?;
    Ok(id.map(|id| id.0))
}

/// `token_version`, or what another claim holds. What is no whole number is no version, and below every minimum.
pub(super) fn version(
    claims: &Claims<'_>,
    payload: &[u8],
    named: Option<&'static str>,
) -> Result<Option<u64>, AuthError> {
    let Some(claim) = named else {
        return Ok(claims.token_version.and_then(|version| version.0));
    };
    let found: Result<Option<WholeNumber>, _> = value_at(payload, &[claim]);
    let version = found.map_err(|_| AuthError::PayloadMalformed("its version cannot be read"))?;
    Ok(version.and_then(|version| version.0))
}
