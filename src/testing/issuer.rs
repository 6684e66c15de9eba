use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::{Value, json};

use super::clock::TestClock;
use super::signing_key::SigningKey;
use super::token::TokenBuilder;
use crate::credential::Asking;
use crate::error::AuthError;
use crate::jwks::{Algorithm, KeyProvider, KeySet, KeySetMark, Keys, Lookup};
use crate::jwt::{Issuer, IssuerBuilder, WithAudience};

/// An issuer for tests: new keys each time, no socket, and a clock to turn. Clones are the same issuer.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::{JwtLayer, testing::TestIssuer};
///
/// let idp = TestIssuer::new("https://idp.test", "https://api.test");
/// let layer = JwtLayer::new(idp.issuer());
/// let token = idp.token().subject("alice").expires_in(Duration::from_secs(60)).sign();
/// idp.clock().advance(Duration::from_secs(120));   // the token is expired now, for every layer made from this issuer
/// ```
#[derive(Debug, Clone)]
pub struct TestIssuer {
    pub(super) name: String,
    pub(super) audience: String,
    clock: TestClock,
    keys: Arc<RwLock<PublishedKeys>>,
}

/// The keys of now, private and public.
#[derive(Debug, Default)]
struct PublishedKeys {
    signing: Vec<Arc<SigningKey>>,
    made: usize,
    /// What the public keys parse to, until they change.
    set: Option<KeySet>,
}

impl TestIssuer {
    /// An issuer of this name, whose tokens are for this audience. It signs with ES256, unless a token asks for another
    /// algorithm; the key for that is made when it is first asked for.
    pub fn new(name: impl Into<String>, audience: impl Into<String>) -> Self {
        let issuer = Self {
            name: name.into(),
            audience: audience.into(),
            clock: TestClock::new(),
            keys: Arc::default(),
        };
        issuer.key_for(Algorithm::Es256);
        issuer
    }

    /// The issuer as a layer wants it, with the keys of now and of later, and this clock.
    pub fn issuer(&self) -> Issuer {
        self.issuer_builder()
            .build()
            .expect("the settings of a test issuer")
    }

    /// The same, with settings of your own.
    pub fn issuer_builder(&self) -> IssuerBuilder<WithAudience> {
        Issuer::builder(self.name.clone())
            .audience(self.audience.clone())
            .algorithms([
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
                Algorithm::Es256,
                Algorithm::Es384,
                Algorithm::Es512,
                Algorithm::EdDsa,
            ])
            .keys(Keys::live(Arc::new(self.clone())))
            .clock(self.clock.clone())
    }

    /// The issuer's identifier.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The clock that this issuer's tokens and layers live by.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// Starts a token that is valid for five minutes and passes every profile; change what the test is about.
    pub fn token(&self) -> TokenBuilder {
        TokenBuilder::new(self)
    }

    /// Replaces every key by a new one. Tokens that were signed before are refused from now on.
    pub fn rotate(&self) {
        let algorithms: Vec<Algorithm> =
            self.read(|keys| keys.signing.iter().map(|key| key.algorithm).collect());
        self.write(|keys| {
            keys.signing.clear();
            keys.set = None;
        });
        for algorithm in algorithms {
            self.key_for(algorithm);
        }
    }

    /// The public keys of now, as a JWKS document.
    pub fn jwks(&self) -> String {
        let keys: Vec<Value> = self.read(|keys| keys.signing.iter().map(|key| key.jwk()).collect());
        json!({ "keys": keys }).to_string()
    }

    /// Serves the metadata (RFC 8414, OpenID Connect Discovery) and the JWKS, for tests and demonstrations that want a
    /// socket. The issuer's name must then be the address that this is served at, and a
    /// layer that tells the time by itself sees tokens age by its own clock while this issuer's stands still: give them an
    /// hour ([`TokenBuilder::expires_in`]).
    pub fn router(&self) -> Router {
        let path = self
            .name
            .splitn(4, '/')
            .nth(3)
            .map(|path| format!("/{}", path.trim_end_matches('/')));
        let path = path.filter(|path| path != "/").unwrap_or_default();
        let metadata =
            json!({ "issuer": self.name, "jwks_uri": format!("{}/jwks", self.name.trim_end_matches('/')) });
        let serve_metadata =
            get(move || async move { ([(CONTENT_TYPE, "application/json")], metadata.to_string()) });
        let issuer = self.clone();
        Router::new()
            .route(
                &format!("{path}/.well-known/openid-configuration"),
                serve_metadata.clone(),
            )
            .route(
                &format!("/.well-known/oauth-authorization-server{path}"),
                serve_metadata,
            )
            .route(
                &format!("{path}/jwks"),
                get(move || async move { ([(CONTENT_TYPE, "application/jwk-set+json")], issuer.jwks()) }),
            )
    }

    /// The key for an algorithm, made if there is none.
    pub(super) fn key_for(&self, algorithm: Algorithm) -> Arc<SigningKey> {
        let known = self.read(|keys| {
            keys.signing
                .iter()
                .find(|key| key.algorithm == algorithm)
                .cloned()
        });
        known.unwrap_or_else(|| {
            self.write(|keys| {
                keys.made += 1;
                let kid = format!("{}-{}", algorithm.as_str().to_lowercase(), keys.made);
                let key = Arc::new(SigningKey::generate(algorithm, kid));
                keys.signing.push(Arc::clone(&key));
                keys.set = None;
                key
            })
        })
    }

    fn key_set(&self) -> KeySet {
        if let Some(set) = self.read(|keys| keys.set.clone()) {
            return set;
        }
        let set = KeySet::from_jwks(&self.jwks()).expect("the keys of a test issuer");
        self.write(|keys| keys.set = Some(set.clone()));
        set
    }

    fn read<T>(&self, look: impl FnOnce(&PublishedKeys) -> T) -> T {
        look(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut PublishedKeys) -> T) -> T {
        change(&mut self.keys.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Always the keys of now: what is not among them does not exist.
impl KeyProvider for TestIssuer {
    fn current(&self, _: &dyn Asking) -> Lookup {
        Lookup::Ready(self.key_set())
    }

    fn is_current(&self, keys: &KeySetMark) -> bool {
        self.key_set().is(keys)
    }

    fn beyond(&self, _: Option<&str>, _: Algorithm, _: &dyn Asking) -> Lookup {
        Lookup::Refused(AuthError::SigningKeyUnknown)
    }
}

impl fmt::Display for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
