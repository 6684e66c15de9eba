use std::sync::Arc;

use http::HeaderName;
use tower_layer::Layer;

use super::authenticate::{Authenticate, Gate, Manners};
use super::optional::OptionalLayer;
#[cfg(feature = "api-key")]
use super::{any_of::AnyOfLayer, api_key::ApiKeyLayer};
use crate::authenticator::Authenticator;
use crate::challenge::Realm;
use crate::credential::BearerReader;
use crate::jwt::{JwtAuthenticator, TrustedIssuers};
use crate::revocation::{ErasedRevocations, Revocations, guarded};

/// Accepts JWT access tokens from `Authorization: Bearer`, judges them, and puts a `Principal` into the request.
///
/// Whoever presents nothing gets 401; two credentials or an unreadable header 400; a token that is not valid here 401; and
/// 503 while the issuer's keys cannot be had. Scopes are for `ScopeLayer` to ask.
///
/// ```
/// use tower_resource_server::{Issuer, JwtLayer};
///
/// let issuer = Issuer::builder("https://login.example.com/").audience("https://api.example.com").build()?;
/// let layer = JwtLayer::new(issuer);
/// # Ok::<(), tower_resource_server::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct JwtLayer {
    authenticator: JwtAuthenticator,
    revocations: Option<Arc<dyn ErasedRevocations>>,
    strip: bool,
}

impl JwtLayer {
    /// Accepts the tokens of one `Issuer`, or of several `TrustedIssuers`.
    #[must_use]
    pub fn new(issuers: impl Into<TrustedIssuers>) -> Self {
        Self {
            authenticator: JwtAuthenticator::new(issuers.into()),
            revocations: None,
            strip: false,
        }
    }

    /// Reads the token from this header instead, bare or after `Bearer`: for proxies that move it. `Authorization` is then
    /// not looked at. Default: `Authorization`, because that is where RFC 6750 has it.
    ///
    /// Whoever can reach the service past the proxy can set the header too; that is no weakness, since a token is judged
    /// wherever it came from.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.authenticator.reader = BearerReader::of(name);
        self
    }

    /// The protection space that challenges name. Default: `api`, because RFC 6750 section 3 asks for a parameter and the
    /// name says nothing to an attacker.
    #[must_use]
    pub fn realm(mut self, realm: Realm) -> Self {
        self.authenticator.realm = realm;
        self
    }

    /// The longest token that is looked at, in bytes; a longer one is refused with 401. Default: 16 KiB, because tokens
    /// with many groups have a few, and servers allow hardly more in all headers together.
    #[must_use]
    pub fn longest_token(mut self, bytes: usize) -> Self {
        self.authenticator.most_token_bytes = bytes;
        self
    }

    /// Refuses tokens that were withdrawn. Asked for every token on every request. Default: none, because a token of a few
    /// minutes is often withdrawn soon enough by its own expiry.
    #[must_use]
    pub fn revocations(mut self, revocations: impl Revocations) -> Self {
        self.revocations = Some(Arc::new(revocations));
        self
    }

    /// Removes the token from the request before the handler sees it. Default: it stays and is marked as sensitive, because
    /// some handlers exchange it for another.
    #[must_use]
    pub fn strip_credential(mut self) -> Self {
        self.strip = true;
        self
    }

    /// Accepts an API key as well: one of the two. Nothing presented is 401 with every challenge, both presented is 400.
    /// A bearer value with exactly two dots is judged as a token, any other as a key.
    #[cfg(feature = "api-key")]
    #[must_use]
    pub fn or(self, other: ApiKeyLayer) -> AnyOfLayer {
        AnyOfLayer::new([self.into_parts(), other.into_parts()])
    }

    /// Lets callers without a token through as anonymous; a bad token is still refused. The last call: nothing can be
    /// added to an optional layer. Default: a token is demanded, because a forgotten check must not open a route.
    ///
    /// ```compile_fail
    /// # use tower_resource_server::{ApiKeyLayer, Issuer, JwtLayer, MemoryKeyStore};
    /// # let issuer = Issuer::builder("https://a.test").audience("b").build().unwrap();
    /// let layer = JwtLayer::new(issuer).optional().or(ApiKeyLayer::new(MemoryKeyStore::new()));
    /// ```
    #[must_use]
    pub fn optional(self) -> OptionalLayer {
        let (authenticator, strip) = self.into_parts();
        OptionalLayer::new(authenticator, strip)
    }

    /// Who judges, and whether the credential is taken out of the request.
    pub(super) fn into_parts(self) -> (Arc<dyn Authenticator>, bool) {
        (guarded(self.authenticator, self.revocations), self.strip)
    }
}

impl<S> Layer<S> for JwtLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        let (authenticator, strip) = self.clone().into_parts();
        let manners = Manners {
            optional: false,
            strip,
        };
        Authenticate::new(inner, Arc::new(Gate::new(authenticator, manners)))
    }
}
