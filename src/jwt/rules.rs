//! The rules that claims must pass: pure functions. A claim that a rule needs and that is absent never passes.

use std::time::Duration;

use super::claims::Claims;
use crate::error::AuthError;

/// `aud` names this resource server (RFC 7519 section 4.1.3), compared code point by code point.
pub(super) fn audience(claims: &Claims<'_>, mine: &[Box<str>]) -> Result<(), AuthError> {
    let named = claims.aud.as_ref().ok_or(AuthError::ClaimMissing("aud"))?;
    let names_us = named.iter().any(|name| mine.iter().any(|one| **one == *name));
    if names_us {
        Ok(())
    } else {
        Err(AuthError::AudienceMismatch)
    }
}

/// `exp`, `nbf` and `iat` against now, both as time since 1970 (RFC 7519 sections 4.1.4 to 4.1.6). A token is dead in the
/// very moment that `exp` names.
pub(super) fn times(claims: &Claims<'_>, now: Duration, leeway: Duration) -> Result<(), AuthError> {
    let expiry = claims.exp.ok_or(AuthError::ClaimMissing("exp"))?;
    if now >= expiry.0 + leeway {
        return Err(AuthError::TokenExpired);
    }
    if claims.nbf.is_some_and(|start| now + leeway < start.0) {
        return Err(AuthError::TokenNotYetValid);
    }
    if claims.iat.is_some_and(|issued| now + leeway < issued.0) {
        return Err(AuthError::TokenFromFuture);
    }
    Ok(())
}
