use super::claims::Claims;
use super::header::{Header, is_media_type};
use super::json::TextOrOther;
use crate::error::AuthError;

/// Which tokens count as access tokens.
///
/// The default accepts what issuers send: a header `typ` that is absent, `JWT` or `at+jwt`. [`Profile::rfc9068`] accepts
/// only what RFC 9068 calls an access token; use it with every issuer that follows that RFC.
///
/// In both, tokens of another kind are refused (RFC 8725 section 3.12): by their `typ`, and by claims that only they carry:
/// `events` (logout, security events), `at_hash` and `c_hash` (ID tokens), `token_use` other than `access` (Cognito), `typ`
/// of `ID`, `Refresh`, `Offline` or `Logout` (Keycloak). So are tokens that are bound to a key (`cnf` with `jkt` or
/// `x5t#S256`), since nothing here checks the proof yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    rfc9068: bool,
    missing_type: bool,
    id_tokens: bool,
}

impl Profile {
    /// RFC 9068 sections 2.2 and 4: `typ` is `at+jwt`, and `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are
    /// there.
    #[must_use]
    pub fn rfc9068() -> Self {
        Self {
            rfc9068: true,
            ..Self::default()
        }
    }

    /// The same profile for an issuer that follows RFC 9068 in all but the header's `typ`, which it leaves out. Default:
    /// refused, because `typ` is what tells an access token from an ID token at first sight.
    #[must_use]
    pub fn accept_missing_type(mut self) -> Self {
        self.missing_type = true;
        self
    }

    /// The same profile, which lets tokens pass that carry an ID token's signs: for issuers that give services nothing else.
    /// The tokens of Google's service accounts, of Kubernetes and of GitHub Actions carry none and need no such thing. Default: refused, because an ID token tells a client who logged in, and whoever received one
    /// could use it here as that user. Set the audience to something that is this API's alone.
    #[must_use]
    pub fn dangerous_accept_id_tokens(mut self) -> Self {
        self.id_tokens = true;
        self
    }

    /// The types that a header may name.
    pub(super) fn types_in_words(self) -> &'static str {
        match (self.rfc9068, self.missing_type) {
            (true, false) => "at+jwt",
            (true, true) => "at+jwt, or absent",
            (false, _) => "at+jwt, JWT, or absent",
        }
    }

    /// The signs that no claim may give.
    pub(super) fn kind_in_words(self) -> &'static str {
        if self.id_tokens {
            "no events, no at_hash or c_hash but strings, no token_use but access or id, no typ of Refresh, Offline or Logout"
        } else {
            "no events, at_hash or c_hash, no token_use but access, no typ of ID, Refresh, Offline or Logout"
        }
    }

    /// The claims that must be there, beside those that the other rules ask for.
    pub(super) fn required_claims(self) -> &'static [&'static str] {
        if self.rfc9068 {
            &["sub", "client_id", "iat", "jti"]
        } else {
            &[]
        }
    }

    pub(super) fn check_header(self, header: &Header<'_>) -> Result<(), AuthError> {
        let accepted = match header.typ() {
            None => !self.rfc9068 || self.missing_type,
            Some(typ) => is_media_type(typ, "at+jwt") || !self.rfc9068 && is_media_type(typ, "jwt"),
        };
        if accepted {
            Ok(())
        } else {
            Err(AuthError::TypeNotAccepted)
        }
    }

    pub(super) fn check_claims(self, claims: &Claims<'_>) -> Result<(), AuthError> {
        if let Some(claim) = self.sign_of_another_kind(claims) {
            return Err(AuthError::KindNotAccepted(claim));
        }
        if claims
            .confirmation
            .as_ref()
            .is_some_and(|confirmation| confirmation.needs_proof)
        {
            return Err(AuthError::ProofMissing);
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

    /// The claim that gives a token of another kind away.
    fn sign_of_another_kind(self, claims: &Claims<'_>) -> Option<&'static str> {
        let signs = &claims.kind;
        let token_use = signs.token_use.as_ref().map(TextOrOther::as_str);
        let typ = signs.typ.as_ref().and_then(TextOrOther::as_str);
        if signs.has_events {
            return Some("events");
        }
        if signs.has_hashes && !self.id_tokens || signs.has_odd_hash {
            return Some("at_hash");
        }
        match token_use {
            None | Some(Some("access")) => {}
            Some(Some("id")) if self.id_tokens => {}
            Some(_) => return Some("token_use"),
        }
        match typ {
            Some("Refresh" | "Offline" | "Logout") => Some("typ"),
            Some("ID") if !self.id_tokens => Some("typ"),
            _ => None,
        }
    }
}
