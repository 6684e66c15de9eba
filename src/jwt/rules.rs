//! The rules that claims must pass: pure functions. A claim that a rule needs and that is absent never passes.

use std::time::Duration;

use super::claims::Claims;
use super::names::Names;
use crate::error::AuthError;

/// How a token must show that it is meant for this resource server.
#[derive(Debug, Clone)]
pub(super) enum Audience {
    /// One of these is in `aud`.
    Named(Vec<Box<str>>),
    /// The issuer writes no `aud`: one of these is the `client_id`, and `token_use` is `access` (Amazon Cognito).
    Clients(Vec<Box<str>>),
}

/// The token is meant for this resource server (RFC 7519 section 4.1.3), compared code point by code point.
pub(super) fn audience(claims: &Claims<'_>, mine: &Audience) -> Result<(), AuthError> {
    let names_us = match mine {
        Audience::Named(names) => {
            let meant = claims.aud.as_ref().ok_or(AuthError::ClaimMissing("aud"))?;
            meant.iter().any(|name| names.iter().any(|one| **one == *name))
        }
        Audience::Clients(clients) => {
            let client = claims
                .client_id
                .as_ref()
                .ok_or(AuthError::ClaimMissing("client_id"))?;
            let kind = claims
                .kind
                .token_use
                .as_ref()
                .ok_or(AuthError::ClaimMissing("token_use"))?;
            claims.aud.is_none()
                && kind.as_str() == Some("access")
                && clients.iter().any(|one| **one == *client.0)
        }
    };
    if names_us {
        Ok(())
    } else {
        Err(AuthError::AudienceMismatch)
    }
}

/// The token is somebody's whose tokens are accepted; `None`: everybody's are.
pub(super) fn subject(claims: &Claims<'_>, accepted: Option<&Names>) -> Result<(), AuthError> {
    let Some(accepted) = accepted else {
        return Ok(());
    };
    let subject = claims.sub.as_ref().ok_or(AuthError::ClaimMissing("sub"))?;
    if accepted.contain(&subject.0) {
        Ok(())
    } else {
        Err(AuthError::SubjectNotAccepted)
    }
}

/// The dates of a token, each as time since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    expiry: Duration,
    start: Option<Duration>,
    issued: Option<Duration>,
}

impl Times {
    /// `exp` is required.
    pub(super) fn of(claims: &Claims<'_>) -> Result<Self, AuthError> {
        let expiry = claims.exp.ok_or(AuthError::ClaimMissing("exp"))?.0;
        Ok(Self {
            expiry,
            start: claims.nbf.map(|start| start.0),
            issued: claims.iat.map(|issued| issued.0),
        })
    }

    /// `exp`, `nbf` and `iat` against now (RFC 7519 sections 4.1.4 to 4.1.6). A token is dead in the very moment that
    /// `exp` names.
    pub(super) fn check(self, now: Duration, leeway: Duration) -> Result<(), AuthError> {
        if now >= self.expiry + leeway {
            return Err(AuthError::TokenExpired);
        }
        if self.start.is_some_and(|start| now + leeway < start) {
            return Err(AuthError::TokenNotYetValid);
        }
        if self.issued.is_some_and(|issued| now + leeway < issued) {
            return Err(AuthError::TokenFromFuture);
        }
        Ok(())
    }
}
