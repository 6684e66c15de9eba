use std::sync::Arc;

use http::HeaderName;
use tower_layer::Layer;

use super::authenticate::{Authenticate, Gate, Manners};
use super::optional::OptionalLayer;
#[cfg(feature = "jwt")]
use super::{any_of::AnyOfLayer, jwt::JwtLayer};
#[cfg(feature = "stored-keys")]
use crate::api_key::UsageRecorder;
use crate::api_key::{ApiKeyAuthenticator, ApiKeyFormat, KeyStore};
use crate::authenticator::Authenticator;
use crate::challenge::Realm;
use crate::clock::Clock;
use crate::credential::ApiKeyReader;
use crate::revocation::{ErasedRevocations, Revocations, guarded};

/// Accepts API keys from `X-API-Key`, `Authorization: Bearer` or `Authorization: ApiKey`, looks them up by their SHA-256
/// digest, and puts a `Principal` into the request. Never from the query string.
///
/// Unknown, revoked, expired and altered keys get the same answer, and are told apart in the log. A key in two places is
/// 400; a store that does not answer is 503. Responses carry `Cache-Control: private` unless the handler set another or
/// the key stood in `Authorization`, because caches know that and not `X-API-Key` (RFC 9111 section 3.5).
///
/// ```
/// use tower_resource_server::{ApiKeyLayer, MemoryKeyStore};
///
/// let layer = ApiKeyLayer::new(MemoryKeyStore::new());
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeyLayer {
    authenticator: ApiKeyAuthenticator,
    revocations: Option<Arc<dyn ErasedRevocations>>,
    strip: bool,
}

impl ApiKeyLayer {
    /// Accepts the keys that this store knows. Give an `Arc` to keep the store at hand.
    #[must_use]
    pub fn new(store: impl KeyStore) -> Self {
        Self {
            authenticator: ApiKeyAuthenticator::new(store),
            revocations: None,
            strip: false,
        }
    }

    /// The header that carries a bare key; `Authorization` is still read. Default: `X-API-Key`, because that is what most
    /// clients know.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.authenticator.reader = ApiKeyReader::of(name);
        self
    }

    /// The protection space that challenges name. Default: `api`, because a challenge should have a parameter and the name
    /// says nothing to an attacker.
    #[must_use]
    pub fn realm(mut self, realm: Realm) -> Self {
        self.authenticator.realm = realm;
        self
    }

    /// Who tells the time, for `not_before` and `expires_at`. Default: `SystemClock`, because tests are the exception.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.authenticator.judge.clock = Arc::new(clock);
        self
    }

    /// How the keys of this service look. A key of the same kind that says it is for another environment (`sk_test_…` at a
    /// server of `sk_live_…`) is refused without asking the store. Other keys, which may have been imported, are looked
    /// up. Call it again for a second kind. Default: any key is looked up, because the words are yours.
    #[must_use]
    pub fn format(mut self, format: ApiKeyFormat) -> Self {
        self.authenticator.forms.add(format);
        self
    }

    /// Says that the store holds only keys minted in this format: whatever has another form, or a wrong checksum, is
    /// refused without asking the store, so that a flood of invented keys costs it nothing. Call it again for a second kind.
    /// Default: any key is looked up, because keys made elsewhere can be imported.
    #[must_use]
    pub fn minted_only(mut self, format: ApiKeyFormat) -> Self {
        self.authenticator.forms.only_minted(format);
        self
    }

    /// Writes down how often each key is used and refused, and when it was last used. Default: nothing is written, because a
    /// store need not be able to.
    #[cfg(feature = "stored-keys")]
    #[must_use]
    pub fn usage(mut self, usage: UsageRecorder) -> Self {
        self.authenticator.judge.usage = Some(usage);
        self
    }

    /// Refuses keys that were withdrawn by their ids, beside what their records say. Asked for every key on every request.
    /// Default: none, because the store knows which keys are revoked.
    #[must_use]
    pub fn revocations(mut self, revocations: impl Revocations) -> Self {
        self.revocations = Some(Arc::new(revocations));
        self
    }

    /// Removes the key from the request before the handler sees it. Default: it stays and is marked as sensitive, because a
    /// handler may have to hand it on.
    #[must_use]
    pub fn strip_credential(mut self) -> Self {
        self.strip = true;
        self
    }

    /// Accepts a JWT as well: one of the two. See `JwtLayer::or`.
    #[cfg(feature = "jwt")]
    #[must_use]
    pub fn or(self, other: JwtLayer) -> AnyOfLayer {
        AnyOfLayer::new([self.into_parts(), other.into_parts()])
    }

    /// Lets callers without a key through as anonymous; a bad key is still refused. The last call: nothing can be added to
    /// an optional layer. Default: a key is demanded, because a forgotten check must not open a route.
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

impl<S> Layer<S> for ApiKeyLayer {
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
