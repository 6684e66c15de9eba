//! D. Keys and key sets (RFC 7517), and how they are fetched.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    Algorithm, CachedKeys, Fetch, FetchError, FixedKeys, HttpFetch, Issuer, JwtLayer, KeySet, KeySetError,
    Keys, RemoteKeys, Secret,
};

use super::claims::b64;
use super::tls;
use crate::explain;
use crate::server::{PATIENT, Reply, Server};
use crate::support::{API, ISSUER, bearer, call, idp, whoami};

const KINDS: [Algorithm; 4] = [
    Algorithm::Rs256,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];

/// The issuer's public key for this algorithm, as it publishes it, with these members; null takes one away.
fn jwk(idp: &TestIssuer, algorithm: Algorithm, members: Value) -> Value {
    // A test issuer makes a key when it first signs with it.
    drop(idp.token().algorithm(algorithm).sign());
    let document: Value = serde_json::from_str(&idp.jwks()).unwrap();
    let mut keys = document["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["alg"] == algorithm.as_str()).unwrap();
    let mut key = key.as_object().unwrap().clone();
    let Value::Object(members) = members else {
        panic!("{members}")
    };
    key.extend(members);
    key.retain(|_, value| !value.is_null());
    Value::Object(key)
}

fn document(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Why a token is refused by an issuer with these keys.
async fn reason(idp: &TestIssuer, keys: impl Into<Keys>, token: &str) -> &'static str {
    let all = KINDS.into_iter().chain([Algorithm::Ps256, Algorithm::Es512]);
    let issuer = Issuer::builder(ISSUER).audience(API).clock(idp.clock().clone());
    let issuer = issuer.keys(keys).algorithms(all).build().unwrap();
    let app = whoami().layer(JwtLayer::new(issuer.clone()));
    let reason = call(&app, bearer(token)).await.reason();
    // For keys that are out of reach it would wait once more.
    if reason != "keys_unavailable" {
        explain::agrees(&issuer.into(), token, reason).await;
    }
    reason
}

async fn with_set(idp: &TestIssuer, keys: &[Value], token: &str) -> &'static str {
    reason(idp, FixedKeys::jwks(&document(keys)).unwrap(), token).await
}

/// Whether the issuer's P-256 key is used if it is published with these members. Another key stands beside it, so that the
/// set itself is good.
async fn expect_used(rows: impl IntoIterator<Item = (Value, bool)>) {
    let idp = idp();
    let other = jwk(&idp, Algorithm::EdDsa, json!({}));
    let token = idp.token().sign();
    for (members, used) in rows {
        let key = jwk(&idp, Algorithm::Es256, members.clone());
        let set = KeySet::from_jwks(&document(&[key.clone(), other.clone()])).unwrap();
        assert_eq!(set.skipped().len(), usize::from(!used), "{members}");
        let expected = if used { "ok" } else { "signing_key_unknown" };
        assert_eq!(
            with_set(&idp, &[key, other.clone()], &token).await,
            expected,
            "{members}"
        );
    }
}

#[tokio::test]
async fn d01_a_malformed_key_is_skipped_and_the_rest_works() {
    let idp = idp();
    let (rsa, ec, ed25519) = (Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa);
    let bad = [
        jwk(&idp, rsa, json!({"n": null})),
        jwk(&idp, rsa, json!({"n": "!"})),
        jwk(&idp, rsa, json!({"n": b64([0xff; 128])})),
        jwk(&idp, rsa, json!({"e": b64([2])})),
        jwk(&idp, ec, json!({"kty": "AKP"})),
        jwk(&idp, ec, json!({"kty": 1})),
        jwk(&idp, ec, json!({"crv": "secp256k1"})),
        jwk(&idp, ec, json!({"y": null})),
        jwk(&idp, ec, json!({"x": "AA"})),
        jwk(&idp, ec, json!({"y": b64([7; 32])})),
        jwk(&idp, ed25519, json!({"crv": "Ed448"})),
        jwk(&idp, ed25519, json!({"x": b64([7; 31])})),
        json!("key"),
        json!(null),
    ];
    let good = jwk(&idp, Algorithm::Es384, json!({}));
    for key in bad {
        let keys = [key.clone(), good.clone()];
        let set = KeySet::from_jwks(&document(&keys)).unwrap();
        assert_eq!((set.len(), set.skipped().len()), (1, 1), "{key}");
        assert_eq!(set.skipped()[0].index, 0, "{key}");
        let token = idp.token().algorithm(Algorithm::Es384).sign();
        assert_eq!(with_set(&idp, &keys, &token).await, "ok", "{key}");
        assert!(FixedKeys::jwks(&document(&[key])).is_err());
    }
}

#[tokio::test]
async fn d02_unknown_members_are_ignored_and_keys_is_an_array() {
    let idp = idp();
    let key = jwk(&idp, Algorithm::Es256, json!({"x-new": {"a": [1]}, "iat": 7}));
    let text = json!({"x": [{}], "keys": [key]}).to_string();
    let keys = FixedKeys::jwks(&text).unwrap();
    assert_eq!(reason(&idp, keys, &idp.token().sign()).await, "ok");
    for odd in [
        json!({"keys": key}),
        json!({"keys": null}),
        json!({"keys": "[]"}),
        json!({"Keys": [key]}),
        json!([key]),
        key.clone(),
    ] {
        let error = KeySet::from_jwks(&odd.to_string()).unwrap_err();
        assert!(matches!(error, KeySetError::NotAKeySet(_)), "{odd}: {error}");
    }
    let twice = format!(r#"{{"keys":[{key}],"keys":[{key}]}}"#);
    assert!(KeySet::from_jwks(&twice).is_err());
}

#[tokio::test]
async fn d03_a_key_for_another_use_verifies_nothing() {
    expect_used([
        (json!({"use": "sig"}), true),
        (json!({"use": null}), true),
        (json!({"use": "enc"}), false),
        (json!({"use": "SIG"}), false),
        (json!({"use": "x"}), false),
        (json!({"use": ""}), false),
        (json!({"use": ["sig"]}), false),
    ])
    .await;
}

#[tokio::test]
async fn d04_key_operations_include_verify_and_agree_with_use() {
    let operations = |words: &[&str]| json!({"use": null, "key_ops": words});
    expect_used([
        (operations(&["verify"]), true),
        (operations(&["sign", "verify"]), true),
        (json!({"use": "sig", "key_ops": ["verify"]}), true),
        (operations(&[]), false),
        (operations(&["sign"]), false),
        (operations(&["encrypt", "wrapKey"]), false),
        (operations(&["Verify"]), false),
        (operations(&["verify", "verify"]), false),
        (operations(&["verify", "sign", "sign"]), false),
        (json!({"use": "sig", "key_ops": ["verify", "encrypt"]}), false),
        (json!({"use": "enc", "key_ops": ["verify"]}), false),
        (json!({"use": null, "key_ops": "verify"}), false),
    ])
    .await;
}

#[tokio::test]
async fn d05_the_algorithm_of_a_key_is_that_of_its_tokens() {
    let idp = idp();
    let rsa = |alg: Value| jwk(&idp, Algorithm::Rs256, json!({ "alg": alg }));
    let token = idp.token().algorithm(Algorithm::Rs256).sign();
    for (alg, expected) in [
        (json!("RS256"), "ok"),
        (json!(null), "ok"),
        (json!("PS256"), "signing_key_ambiguous"),
        (json!("RS512"), "signing_key_ambiguous"),
    ] {
        let keys = [rsa(alg.clone()), jwk(&idp, Algorithm::Es256, json!({}))];
        assert_eq!(with_set(&idp, &keys, &token).await, expected, "{alg}");
    }
    expect_used([
        (json!({"alg": "ES256"}), true),
        (json!({"alg": "ES384"}), false),
        (json!({"alg": "RS256"}), false),
        (json!({"alg": "HS256"}), false),
        (json!({"alg": "none"}), false),
        (json!({"alg": "es256"}), false),
        (json!({"alg": 1}), false),
    ])
    .await;
}

#[tokio::test]
async fn d06_keys_of_several_types_may_share_a_kid() {
    let idp = idp();
    let named = |algorithm| jwk(&idp, algorithm, json!({"kid": "k"}));
    let keys = KINDS.map(named);
    for algorithm in KINDS {
        let token = idp.token().algorithm(algorithm).header("kid", "k").sign();
        assert_eq!(with_set(&idp, &keys, &token).await, "ok", "{algorithm}");
    }
    // Two keys that the token could mean: neither is tried.
    let second = jwk(
        &TestIssuer::new(ISSUER, API),
        Algorithm::Es256,
        json!({"kid": "k"}),
    );
    let token = idp.token().header("kid", "k").sign();
    let both = [named(Algorithm::Es256), second];
    assert_eq!(with_set(&idp, &both, &token).await, "signing_key_ambiguous");
}

#[tokio::test]
async fn d07_a_token_without_a_kid_is_judged_if_one_key_fits() {
    let idp = idp();
    let token = idp.token().without_header("kid").sign();
    let key = jwk(&idp, Algorithm::Es256, json!({}));
    let others = [Algorithm::Rs256, Algorithm::Es384].map(|one| jwk(&idp, one, json!({})));
    let second = jwk(
        &TestIssuer::new(ISSUER, API),
        Algorithm::Es256,
        json!({"kid": "2"}),
    );
    let [rsa, p384] = others;
    for (keys, expected) in [
        (vec![key.clone()], "ok"),
        (vec![rsa.clone(), key.clone(), p384.clone()], "ok"),
        (vec![rsa, p384], "signing_key_unknown"),
        (vec![key, second], "signing_key_ambiguous"),
    ] {
        assert_eq!(with_set(&idp, &keys, &token).await, expected, "{keys:?}");
    }
}

#[tokio::test]
async fn d08_private_and_symmetric_keys_of_a_set_verify_nothing() {
    expect_used([
        (json!({}), true),
        (json!({"d": b64([1; 32])}), false),
        (json!({"kty": "oct", "k": b64([7; 32])}), false),
    ])
    .await;
    let idp = idp();
    let other = jwk(&idp, Algorithm::Es256, json!({}));
    let token = idp.token().algorithm(Algorithm::Rs256).sign();
    let rsa = |members| [jwk(&idp, Algorithm::Rs256, members), other.clone()];
    assert_eq!(with_set(&idp, &rsa(json!({})), &token).await, "ok");
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        let mut members = json!({});
        members[member] = b64([1; 256]).into();
        assert_eq!(
            with_set(&idp, &rsa(members), &token).await,
            "signing_key_unknown",
            "{member}"
        );
    }
    let secret = json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": b64([7; 32])});
    let forged = idp.token().header("kid", "s");
    let forged = forged.sign_with_secret(&Secret::new([7; 32]));
    let keys = [secret, other];
    assert_eq!(with_set(&idp, &keys, &forged).await, "algorithm_not_accepted");
    let beside = Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::jwks(&document(&keys)).unwrap());
    assert!(beside.algorithms([Algorithm::Hs256]).build().is_err());
}

fn patient(keys: RemoteKeys) -> CachedKeys {
    CachedKeys::from(keys).longest_wait(PATIENT)
}

#[tokio::test]
async fn d09_keys_come_by_https_from_a_host_that_is_vouched_for_and_no_redirect_is_followed() {
    let idp = idp();
    let token = idp.token().sign();
    for (url, accepted) in [
        ("https://login.test/jwks", true),
        ("http://127.0.0.1:1/jwks", true),
        ("http://login.test/jwks", false),
        ("http://10.0.0.1/jwks", false),
        ("ftp://login.test/jwks", false),
    ] {
        let issuer = Issuer::builder(ISSUER).audience(API);
        let issuer = issuer.keys(RemoteKeys::jwks_uri(url)).build();
        assert_eq!(issuer.is_ok(), accepted, "{url}");
    }

    let server = Server::start();
    server.serve("/jwks", Reply::json(idp.jwks()));
    let moved = Reply::status(302).header("location", server.url("/jwks"));
    server.serve("/moved", moved);
    let from = |path| patient(RemoteKeys::jwks_uri(server.url(path)));
    assert_eq!(reason(&idp, from("/moved"), &token).await, "keys_unavailable");
    assert_eq!(server.hits("/jwks"), 0);
    assert_eq!(reason(&idp, from("/jwks"), &token).await, "ok");

    let url = tls::serve(&idp.jwks());
    let unknown = patient(RemoteKeys::jwks_uri(&url));
    assert_eq!(reason(&idp, unknown, &token).await, "keys_unavailable");
    let authority = reqwest::Certificate::from_pem(tls::AUTHORITY.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .build();
    let fetch = HttpFetch::with_client(client.unwrap());
    let trusted = patient(RemoteKeys::jwks_uri(&url).fetch(fetch.clone()));
    assert_eq!(reason(&idp, trusted, &token).await, "ok");
    // The certificate is for another name.
    let other = url.replace("localhost", "127.0.0.1");
    let other = patient(RemoteKeys::jwks_uri(other).fetch(fetch));
    assert_eq!(reason(&idp, other, &token).await, "keys_unavailable");
}

/// An HTTP client without a network: it answers with this text, or never.
struct Canned(Option<String>);

impl Fetch for Canned {
    async fn fetch(&self, _: Request<()>) -> Result<Response<Bytes>, FetchError> {
        match &self.0 {
            Some(text) => Ok(Response::new(text.clone().into())),
            None => pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d10_size_number_and_time_are_bounded() {
    let idp = idp();
    let token = idp.token().sign();
    let canned = |text| RemoteKeys::jwks_uri("https://login.test/jwks").fetch(Canned(text));
    let filled = |length: usize| {
        let text = idp.jwks();
        format!("{text}{}", " ".repeat(length - text.len()))
    };
    let key = jwk(&idp, Algorithm::Es256, json!({}));
    let repeated = |count| document(&vec![key.clone(); count]);
    for (name, text, expected) in [
        ("512 KiB", Some(filled(512 * 1024)), "ok"),
        ("a byte more", Some(filled(512 * 1024 + 1)), "keys_unavailable"),
        ("1,000 keys", Some(repeated(1_000)), "ok"),
        ("1,001 keys", Some(repeated(1_001)), "keys_unavailable"),
        ("no answer", None, "keys_unavailable"),
    ] {
        let start = tokio::time::Instant::now();
        assert_eq!(reason(&idp, canned(text), &token).await, expected, "{name}");
        // The time of the paused runtime: a request waits for one second at most.
        assert!(start.elapsed() <= Duration::from_millis(1001), "{name}");
    }
}
