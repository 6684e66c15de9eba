use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::issuer::TestIssuer;
use super::signing_key;
use crate::clock::Clock;
use crate::jwks::Algorithm;
use crate::scope::Scope;
use crate::secret::Secret;

/// Makes a token of a [`TestIssuer`]: a good one, unless you make it bad.
#[derive(Debug, Clone)]
#[must_use]
pub struct TokenBuilder {
    issuer: TestIssuer,
    algorithm: Algorithm,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl TokenBuilder {
    pub(super) fn new(issuer: &TestIssuer) -> Self {
        let now = issuer.clock().now();
        let token = Self {
            issuer: issuer.clone(),
            algorithm: Algorithm::Es256,
            header: Map::from_iter([("typ".to_owned(), "at+jwt".into())]),
            claims: Map::new(),
        };
        token
            .claim("iss", &issuer.name)
            .audience(issuer.audience.clone())
            .subject("test-subject")
            .client("test-client")
            .token_id("test-token")
            .issued_at(now)
            .expires_in(Duration::from_secs(300))
    }

    /// `sub`.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.claim("sub", subject.into())
    }

    /// `client_id`.
    pub fn client(self, client: impl Into<String>) -> Self {
        self.claim("client_id", client.into())
    }

    /// `scope`, as a string.
    pub fn scopes(self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        let words: Vec<String> = scopes.into_iter().map(|scope| scope.to_string()).collect();
        self.claim("scope", words.join(" "))
    }

    /// `aud`, as a string.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.claim("aud", audience.into())
    }

    /// `jti`.
    pub fn token_id(self, id: impl Into<String>) -> Self {
        self.claim("jti", id.into())
    }

    /// `iat`.
    pub fn issued_at(self, at: SystemTime) -> Self {
        self.claim("iat", seconds(at))
    }

    /// `exp`, from the clock's now.
    pub fn expires_in(self, time: Duration) -> Self {
        let at = self.issuer.clock().now() + time;
        self.claim("exp", seconds(at))
    }

    /// Any claim, of any type.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.claims
            .insert(name.into(), serde_json::to_value(value).expect("a claim is JSON"));
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Any member of the header. `alg` and `kid` are set when signing, unless they are set here.
    pub fn header(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.header.insert(
            name.into(),
            serde_json::to_value(value).expect("a header is JSON"),
        );
        self
    }

    /// Leaves a member of the header out: `typ`, or with a value of `null` in [`header`](Self::header) `kid`.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.insert(name.to_owned(), Value::Null);
        self
    }

    /// The algorithm to sign with.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The token, signed with the issuer's key.
    pub fn sign(self) -> String {
        let key = self.issuer.key_for(self.algorithm);
        let input = self.signing_input(Some(&key.kid));
        let signature = key.sign(input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The token, signed with a shared secret: HS256, unless another HMAC algorithm was named.
    pub fn sign_with_secret(mut self, secret: &Secret) -> String {
        if !self.algorithm.is_symmetric() {
            self.algorithm = Algorithm::Hs256;
        }
        let input = self.signing_input(None);
        let tag = signing_key::tag(self.algorithm, secret, input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn signing_input(&self, kid: Option<&str>) -> String {
        let mut header = self.header.clone();
        header
            .entry("alg")
            .or_insert_with(|| self.algorithm.as_str().into());
        if let Some(kid) = kid {
            header.entry("kid").or_insert_with(|| kid.into());
        }
        header.retain(|_, value| !value.is_null());
        let encode = |object: &Map<String, Value>| {
            URL_SAFE_NO_PAD.encode(serde_json::to_vec(object).expect("an object is JSON"))
        };
        format!("{}.{}", encode(&header), encode(&self.claims))
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
