//! The requests whose instructions are counted, each with a service that was warmed up for it.
//!
//! What can be the same in every run is the same: claims, keys and secrets, since the work of a check depends on their bits.
//! The RS256 token was signed once and its private key thrown away, because valgrind takes half a minute to make an RSA key.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::unwrap_used,
    reason = "a bench stops where it cannot go on, and all of this is for one caller"
)]

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, Service};
use tower_resource_server::testing::{PrincipalBuilder, TestIssuer, TokenBuilder};
use tower_resource_server::{
    Algorithm, ApiKeyFormat, ApiKeyLayer, ApiKeyRecord, FixedKeys, Issuer, JwtLayer, MemoryKeyStore, Scope,
    ScopeLayer, Secret,
};

const API: &str = "https://api.test";
const LOGIN: &str = "https://login.test";
const SECRET: &str = "a shared secret of more than thirty-two bytes";
const SEED: [u8; 32] = [7; 32];
const READ: Scope = Scope::from_static("orders:read");
/// After so many requests, every lazy value is there.
const WARMING: usize = 32;
/// So many are counted together, because a table that grows, which hashes with random keys decide, falls upon one of them.
pub const COUNTED: usize = 256;
/// 2026-01-01 and 2096-01-01: the same claims in each run.
const ISSUED: u64 = 1_767_225_600;
const EXPIRES: u64 = 3_976_214_400;

/// Requests to a service that was warmed up with others like them.
pub struct Case {
    service: Box<dyn FnMut(Request<()>) -> StatusCode>,
    requests: Box<dyn Fn(usize) -> Request<()>>,
    expected: StatusCode,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").finish_non_exhaustive()
    }
}

impl Case {
    fn new<S, B>(
        mut service: S,
        requests: impl Fn(usize) -> Request<()> + 'static,
        expected: StatusCode,
    ) -> Self
    where
        S: Service<Request<()>, Response = Response<B>, Error = Infallible> + 'static,
    {
        let mut case = Self {
            service: Box::new(move |request| {
                let answer = service.call(request).now_or_never();
                answer.unwrap().unwrap().status()
            }),
            requests: Box::new(requests),
            expected,
        };
        case.call(COUNTED..COUNTED + WARMING);
        case
    }

    /// Requests are made, go through the service, and the answers are dropped. All of it is counted, so that the allocator
    /// gives and takes as it does in a service.
    pub fn call(&mut self, numbers: Range<usize>) {
        for number in numbers {
            let request = (self.requests)(number);
            assert_eq!((self.service)(request), self.expected);
        }
    }
}

/// What stands behind every layer.
fn bare() -> impl Service<Request<()>, Response = Response<()>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    tower::service_fn(|_: Request<()>| std::future::ready(Ok(Response::new(()))))
}

/// Requests with these values in turn, which were made ready before.
fn requests(name: HeaderName, values: Vec<String>) -> impl Fn(usize) -> Request<()> {
    let values: Vec<HeaderValue> = values.into_iter().map(|value| value.parse().unwrap()).collect();
    move |number| {
        let mut request = Request::new(());
        let value = values[number % values.len()].clone();
        request.headers_mut().insert(name.clone(), value);
        request
    }
}

fn bearer(token: &str) -> impl Fn(usize) -> Request<()> + use<> {
    requests(AUTHORIZATION, vec![format!("Bearer {token}")])
}

/// Requests with tokens that nobody saw before.
fn fresh(token: &dyn Fn(usize) -> String) -> impl Fn(usize) -> Request<()> + use<> {
    let bearer = |number| format!("Bearer {}", token(number));
    requests(AUTHORIZATION, (0..COUNTED + WARMING).map(bearer).collect())
}

/// A token of about 300 bytes, less its signature.
fn claims(token: TokenBuilder, number: usize) -> TokenBuilder {
    token
        .scopes([READ])
        .token_id(format!("{number:08}"))
        .claim("iat", ISSUED)
        .claim("exp", EXPIRES)
}

fn idp() -> TestIssuer {
    TestIssuer::new(LOGIN, API)
}

fn layer(algorithm: Algorithm, keys: FixedKeys) -> JwtLayer {
    let issuer = Issuer::builder(LOGIN).audience(API).algorithms([algorithm]);
    JwtLayer::new(issuer.keys(keys).build().unwrap())
}

/// A layer for RS256, and a token for it.
fn rs256() -> (JwtLayer, String) {
    let signed: Value = serde_json::from_str(include_str!("known_token.json")).unwrap();
    let keys = FixedKeys::jwks(&signed["jwks"].to_string()).unwrap();
    let token = signed["token"].as_str().unwrap();
    (layer(Algorithm::Rs256, keys), token.to_owned())
}

/// What `known_token.json` holds, made anew.
pub fn new_known_token() -> Value {
    let idp = idp();
    let token = claims(idp.token(), 0).algorithm(Algorithm::Rs256).sign();
    let mut jwks: Value = serde_json::from_str(&idp.jwks()).unwrap();
    jwks["keys"]
        .as_array_mut()
        .unwrap()
        .retain(|key| key["alg"] == "RS256");
    json!({ "jwks": jwks, "token": token })
}

/// A layer for one key, and the key. Keys are random; each is as long as any other.
fn api_key() -> (ApiKeyLayer, String) {
    let minted = ApiKeyFormat::new("sk", "live").unwrap().mint().unwrap();
    let record = ApiKeyRecord::builder("key_1", "robot", *minted.digest())
        .scopes([READ])
        .build();
    let layer = ApiKeyLayer::new(MemoryKeyStore::from_iter([record]));
    (layer, minted.expose().to_owned())
}

/// What the figures of credentials contain: a request without any layer.
pub fn floor() -> Case {
    let (_, token) = rs256();
    Case::new(bare(), bearer(&token), StatusCode::OK)
}

/// An RS256 token that was verified before.
pub fn known_rs256() -> Case {
    let (layer, token) = rs256();
    Case::new(layer.layer(bare()), bearer(&token), StatusCode::OK)
}

/// EdDSA tokens, each presented once.
pub fn fresh_eddsa() -> Case {
    let key = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    let x = URL_SAFE_NO_PAD.encode(key.public_key());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "ed", "use": "sig", "x": x });
    let keys = FixedKeys::jwks(&json!({ "keys": [jwk] }).to_string()).unwrap();
    let idp = idp();
    let token = |number| {
        let token = claims(idp.token(), number).algorithm(Algorithm::EdDsa);
        let foreign = token.header("kid", "ed").sign();
        let (input, _) = foreign.rsplit_once('.').unwrap();
        let signature = key.sign(input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    Case::new(
        layer(Algorithm::EdDsa, keys).layer(bare()),
        fresh(&token),
        StatusCode::OK,
    )
}

/// HS256 tokens, each presented once.
pub fn fresh_hs256() -> Case {
    let secret = Secret::new(SECRET);
    let layer = layer(Algorithm::Hs256, FixedKeys::secret(secret.clone()));
    let idp = idp();
    let token = |number| claims(idp.token(), number).sign_with_secret(&secret);
    Case::new(layer.layer(bare()), fresh(&token), StatusCode::OK)
}

/// A key that the store in memory has.
pub fn known_api_key() -> Case {
    let (layer, key) = api_key();
    Case::new(
        layer.layer(bare()),
        requests(HeaderName::from_static("x-api-key"), vec![key]),
        StatusCode::OK,
    )
}

/// Requests of somebody who was let in before.
fn admitted() -> impl Fn(usize) -> Request<()> {
    let alice = PrincipalBuilder::token(LOGIN, "alice").scopes([READ]).build();
    move |_| {
        let mut request = Request::new(());
        request.extensions_mut().insert(alice.clone());
        request
    }
}

/// What the figure of the scope layer contains: the principal.
pub fn scope_floor() -> Case {
    Case::new(bare(), admitted(), StatusCode::OK)
}

/// A scope layer by itself, behind whatever let the caller in.
pub fn scope() -> Case {
    Case::new(ScopeLayer::all([READ]).layer(bare()), admitted(), StatusCode::OK)
}

/// A known token where API keys are accepted too.
pub fn known_in_or() -> Case {
    let (layer, token) = rs256();
    Case::new(
        layer.or(api_key().0).layer(bare()),
        bearer(&token),
        StatusCode::OK,
    )
}

/// Three parts of base64url that are no JSON, as long as a token.
pub fn junk() -> Case {
    let (layer, token) = rs256();
    let part = "x".repeat(token.len() / 3);
    let junk = format!("{part}.{part}.{part}");
    Case::new(layer.layer(bare()), bearer(&junk), StatusCode::UNAUTHORIZED)
}
