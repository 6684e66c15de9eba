use super::claims::Claims;
use super::header::{Header, is_media_type};
use crate::error::AuthError;

/// Which tokens count as access tokens.
///
/// The default accepts what issuers send: a header `typ` that is absent, `JWT` or `at+jwt`. [`Profile::rfc9068`] accepts
/// only what RFC 9068 calls an access token; use it with every issuer that follows that RFC.
///
/// In both, tokens of another kind are refused: by their `typ`, and by claims that only they carry (`events`, `at_hash`,
/// `c_hash`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    rfc9068: bool,
}

impl Profile {
    /// RFC 9068 sections 2.2 and 4: `typ` is `at+jwt`, and `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are
    /// there.
    #[must_use]
    pub fn rfc9068() -> Self {
        Self { rfc9068: true }
    }

    pub(super) fn check_header(self, header: &Header<'_>) -> Result<(), AuthError> {
        let accepted = match header.typ() {
            None => !self.rfc9068,
            Some(typ) => is_media_type(typ, "at+jwt") || !self.rfc9068 && is_media_type(typ, "jwt"),
        };
        if accepted {
            Ok(())
        } else {
            Err(AuthError::TypeNotAccepted)
        }
    }

    pub(super) fn check_claims(self, claims: &Claims<'_>) -> Result<(), AuthError> {
        if claims.of_another_kind {
            return Err(AuthError::TypeNotAccepted);
        }
        let required = [
            ("sub", claims.sub.is_some()),
            ("client_id", claims.client_id.is_some()),
            ("iat", claims.iat.is_some()),
            ("jti", claims.jti.is_some()),
        ];
        match required.iter().find(|(_, present)| self.rfc9068 && !present) {
            Some((name, _)) => Err(AuthError::ClaimMissing(name)),
            None => Ok(()),
        }
    }
}
