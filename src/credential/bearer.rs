//! Bearer tokens: `Authorization: Bearer …`, or a header that a proxy moved the token to.

use http::{HeaderName, header::AUTHORIZATION};

use super::authorization::{self, Authorization};
use super::{Credential, Flaw, Presented, RequestHead, single_value, token68};
use crate::challenge::Scheme;
use crate::error::AuthError;

/// Reads a bearer token from one header. Never from the query, a form or a cookie: OAuth 2.1 section 5.1 has a resource
/// server ignore the first, and the others need switches of their own.
#[derive(Debug, Clone)]
pub(crate) struct BearerReader {
    header: HeaderName,
}

impl Default for BearerReader {
    fn default() -> Self {
        Self::of(AUTHORIZATION)
    }
}

impl BearerReader {
    pub(crate) fn of(header: HeaderName) -> Self {
        Self { header }
    }

    pub(crate) fn header(&self) -> &HeaderName {
        &self.header
    }

    pub(crate) fn find<'r>(&self, request: &RequestHead<'r>) -> Presented<'r> {
        if self.header == AUTHORIZATION {
            return authorization::read(request, &[Scheme::Bearer]);
        }
        match single_value(request.headers, &self.header) {
            Ok(Some(value)) => match moved_token(value) {
                Ok(token) => Presented::One(Credential::new(token, self.header.clone(), Scheme::Bearer)),
                Err(error) => Presented::Malformed(Flaw {
                    error,
                    scheme: Some(Scheme::Bearer),
                }),
            },
            Ok(None) => Presented::None,
            Err(twice) => twice,
        }
    }
}

/// A proxy writes the bare token or the whole `Bearer …`; a token has no space, so the two cannot be confused.
fn moved_token(value: &[u8]) -> Result<&[u8], AuthError> {
    if !value.contains(&b' ') && !value.eq_ignore_ascii_case(b"Bearer") {
        return token68(value).map_err(AuthError::from);
    }
    match Authorization::split(value) {
        Authorization::Of(Scheme::Bearer, token) => token.map_err(AuthError::from),
        Authorization::Malformed(_, flaw) => Err(flaw.into()),
        _ => Err(AuthError::HeaderUnreadable),
    }
}
