//! Where an issuer writes what its tokens permit.

use std::ops::Range;

use super::claims::Claims;
use super::json::{OneOrMany, Text};
use super::path::strings_at;
use crate::error::AuthError;
use crate::scope::ScopeSet;
use crate::shared_text::SharedText;

/// A place in a token where scopes stand. An issuer's builder takes a list of them; the first that is present counts.
///
/// ```
/// use tower_resource_server::{Issuer, ScopeSource};
///
/// let keycloak = Issuer::builder("https://keycloak.example/realms/shop")
///     .audience("orders")
///     .scopes_from([ScopeSource::path(["realm_access", "roles"])])
///     .build()?;
/// # Ok::<(), tower_resource_server::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeSource(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Scope,
    Path(Vec<String>),
}

impl ScopeSource {
    /// `scope`: words between spaces (RFC 8693 section 4.2, RFC 9068 section 2.2.3).
    #[must_use]
    pub fn scope() -> Self {
        Self(Place::Scope)
    }

    /// `scp`: an array of words, or words between spaces (Okta, Entra ID).
    #[must_use]
    pub fn scp() -> Self {
        Self::path(["scp"])
    }

    /// `permissions`: an array of words (Auth0).
    #[must_use]
    pub fn permissions() -> Self {
        Self::path(["permissions"])
    }

    /// Member by member from the top of the claims: `["realm_access", "roles"]`. A string is words between spaces; each
    /// string of an array is one word. Names are compared to the letter.
    #[must_use]
    pub fn path<const N: usize>(members: [&str; N]) -> Self {
        const { assert!(N > 0, "a path has at least one member") };
        Self(Place::Path(members.map(str::to_owned).into()))
    }

    /// The place, with dots between the members.
    pub(super) fn in_words(&self) -> String {
        match &self.0 {
            Place::Scope => "scope".to_owned(),
            Place::Path(path) => path.join("."),
        }
    }

    /// Writes the scopes of the first source that is present, without those that `keep` refuses.
    pub(super) fn write(
        sources: &[Self],
        claims: &Claims<'_>,
        payload: &[u8],
        keep: impl Fn(&str) -> bool,
        into: &mut SharedText,
    ) -> Result<Range<usize>, AuthError> {
        for source in sources {
            let found = match &source.0 {
                Place::Scope => match &claims.scope {
                    Some(OneOrMany::Many(_)) => {
                        return Err(AuthError::PayloadMalformed("its scope is not a string"));
                    }
                    Some(OneOrMany::One(Text(text))) => {
                        Some(ScopeSet::write(std::iter::once(&**text), &keep, into))
                    }
                    None => None,
                },
                Place::Path(path) => strings_at(payload, path)
                    .map_err(|_| AuthError::PayloadMalformed("its scopes are not strings"))?
                    .map(|words| write_set(&words, &keep, into)),
            };
            if let Some(set) = found {
                return Ok(set);
            }
        }
        Ok(0..0)
    }
}

/// A word of an array that holds a space is one malformed word, and not two good ones.
fn write_set(words: &OneOrMany<'_>, keep: impl Fn(&str) -> bool, into: &mut SharedText) -> Range<usize> {
    match words {
        OneOrMany::One(Text(text)) => ScopeSet::write(std::iter::once(&**text), keep, into),
        OneOrMany::Many(_) => ScopeSet::write(words.iter().filter(|word| !word.contains(' ')), keep, into),
    }
}
