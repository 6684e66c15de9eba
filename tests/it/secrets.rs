//! A canary in every secret, and everything that is printed searched for it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it stands"
)]

use std::fmt::Debug;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use tower::Layer;
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    Algorithm, ApiKeyLayer, ApiKeyRecord, CachedKeys, Claims, FixedKeys, Issuer, JwtLayer, KeyDigest, KeySet,
    MemoryKeyStore, Principal, Profile, ScopeLayer, Secret, TrustedIssuers,
};

use crate::support::{API, Broken, ISSUER, READ, Slow, call, idp, request};
use crate::telemetry::logged;

/// A word of every alphabet that a secret is written in, 32 bytes long.
const CANARY: &str = "CanaryCanaryCanaryCanaryCanary00";

#[derive(Debug, Deserialize)]
struct Desk {
    #[allow(dead_code, reason = "only its type matters")]
    desk: u32,
}

fn keys() -> MemoryKeyStore {
    MemoryKeyStore::from_iter([
        record("good").scopes([READ]).build(),
        record("revoked").revoked().build(),
        record("expired").expires_at(std::time::UNIX_EPOCH).build(),
        record("early")
            .not_before(std::time::UNIX_EPOCH + Duration::from_secs(100_000_000_000))
            .build(),
    ])
}

fn key(name: &str) -> String {
    format!("{CANARY}-{name}")
}

fn record(name: &str) -> tower_resource_server::ApiKeyRecordBuilder {
    ApiKeyRecord::builder("key_1", "robot", KeyDigest::of(key(name)))
}

fn shared() -> Secret {
    Secret::new(CANARY)
}

fn hmac_issuer() -> Issuer {
    Issuer::builder("https://shared.test")
        .audience(API)
        .keys(FixedKeys::secret(shared()))
        .accept_any_scope()
        .build()
        .unwrap()
}

/// Tokens with the canary in them, and the reason why each is refused.
fn bad_tokens(idp: &TestIssuer) -> Vec<(&'static str, String)> {
    let token = || {
        let canary = idp
            .token()
            .claim("note", CANARY)
            .claim("email", format!("{CANARY}@x.test"));
        canary.claim("nested", [[CANARY]])
    };
    let signed = token().sign();
    let (input, _) = signed.rsplit_once('.').unwrap();
    let stranger = TestIssuer::new("https://stranger.test", API);
    vec![
        ("token_malformed", format!("{CANARY}.{CANARY}.{CANARY}=")),
        ("token_malformed", format!("{CANARY}..{CANARY}")),
        ("header_malformed", format!("{CANARY}.{CANARY}.{CANARY}")),
        ("header_malformed", token().header("alg", [CANARY]).sign()),
        (
            "header_malformed",
            token().header("kid", CANARY.repeat(17)).sign(),
        ),
        ("header_malformed", token().header("cty", "JWT").sign()),
        ("critical_extension", token().header("crit", [CANARY]).sign()),
        ("type_not_accepted", token().header("typ", CANARY).sign()),
        ("kind_not_accepted", token().claim("events", CANARY).sign()),
        ("algorithm_unknown", token().header("alg", CANARY).sign()),
        ("algorithm_unknown", token().header("alg", "none").sign()),
        ("algorithm_not_accepted", token().sign_with_secret(&shared())),
        ("payload_malformed", token().claim("sub", [CANARY]).sign()),
        ("payload_malformed", token().claim("exp", CANARY).sign()),
        (
            "payload_malformed",
            token().claim("aud", serde_json::json!({ CANARY: CANARY })).sign(),
        ),
        ("claim_missing", token().without("exp").sign()),
        ("claim_missing", token().without("aud").sign()),
        ("claim_missing", token().without("iss").sign()),
        ("issuer_unknown", token().claim("iss", CANARY).sign()),
        ("issuer_unknown", stranger.token().claim("note", CANARY).sign()),
        ("signing_key_unknown", token().header("kid", CANARY).sign()),
        (
            "signing_key_ambiguous",
            token()
                .header("kid", "es256-1")
                .algorithm(Algorithm::EdDsa)
                .sign(),
        ),
        (
            "signature_invalid",
            format!("{input}.{CANARY}{CANARY}AAAAAAAAAAAAAAAAAAAAAA"),
        ),
        (
            "signature_invalid",
            token()
                .claim("iss", "https://shared.test")
                .sign_with_secret(&Secret::new("CanaryCanaryCanaryCanaryCanary01")),
        ),
        ("audience_mismatch", token().audience(CANARY).sign()),
        ("token_expired", token().expires_in(Duration::ZERO).sign()),
        (
            "token_not_yet_valid",
            token().claim("nbf", 100_000_000_000_u64).sign(),
        ),
        (
            "token_from_future",
            token().claim("iat", 100_000_000_000_u64).sign(),
        ),
        ("claims_undecodable", token().claim("desk", CANARY).sign()),
        ("claims_undecodable", token().sign()),
        ("token_too_long", format!("{}.a.b", CANARY.repeat(600))),
    ]
}

/// What is no token at all in the place of one, and the reason why each is refused.
fn bad_keys() -> Vec<(&'static str, String)> {
    vec![
        ("api_key_unknown", key("unknown")),
        ("api_key_revoked", key("revoked")),
        ("api_key_expired", key("expired")),
        ("api_key_not_yet_valid", key("early")),
        ("api_key_malformed", CANARY.repeat(17)),
        ("header_unreadable", format!("{CANARY} {CANARY}")),
        ("header_unreadable", format!("{CANARY}\"{CANARY}")),
    ]
}

/// What a stranger sends: header values with the canary in them, and the reason why they are refused.
fn bad_requests(idp: &TestIssuer) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let bearer = bad_tokens(idp)
        .into_iter()
        .chain(bad_keys())
        .map(|(reason, value)| (reason, vec![("authorization", format!("Bearer {value}"))]));
    let others = [
        ("api_key_unknown", vec![("x-api-key", key("unknown"))]),
        (
            "api_key_revoked",
            vec![("authorization", format!("ApiKey {}", key("revoked")))],
        ),
        (
            "header_unreadable",
            vec![("x-api-key", format!("{CANARY} {CANARY}"))],
        ),
        (
            "header_unreadable",
            vec![("authorization", format!("{CANARY}/{CANARY}"))],
        ),
        (
            "credential_missing",
            vec![("authorization", format!("{CANARY} {CANARY}"))],
        ),
        (
            "credential_missing",
            vec![("cookie", CANARY.to_owned()), ("referer", CANARY.to_owned())],
        ),
        (
            "credential_repeated",
            vec![("x-api-key", key("good")), ("x-api-key", key("good"))],
        ),
        (
            "credential_repeated",
            vec![
                ("x-api-key", key("good")),
                ("authorization", format!("Bearer {CANARY}")),
            ],
        ),
    ];
    bearer.chain(others).collect()
}

fn layer(idp: &TestIssuer) -> (JwtLayer, ApiKeyLayer) {
    let issuers = TrustedIssuers::new([
        idp.issuer_builder()
            .accept_any_scope()
            .claims::<Desk>()
            .build()
            .unwrap(),
        hmac_issuer(),
    ]);
    (JwtLayer::new(issuers.unwrap()), ApiKeyLayer::new(keys()))
}

/// Sends the request and gives everything that can be printed of what came back, the log included.
fn everything_said(app: &Router, headers: &[(&str, String)]) -> (&'static str, String) {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let (answer, log) = logged(call(app, request(&headers)));
    let rejection = answer.rejection.as_ref();
    let displayed = rejection.map(ToString::to_string);
    let printed = format!("{rejection:?} {rejection:#?} {displayed:?}");
    let said = format!("{:?}\n{}\n{printed}\n{log}", answer.headers, answer.body);
    (answer.reason(), said)
}

fn assert_silent(said: &str, about: &str) {
    let lower = said.to_lowercase();
    assert!(!lower.contains("canary"), "{about}: {said}");
}

#[test]
fn no_refusal_repeats_a_secret() {
    let idp = idp();
    let (jwt, key) = layer(&idp);
    let app = Router::new()
        .route("/", get(|_: Claims<Desk>| async {}))
        .layer(jwt.or(key));
    let cases = bad_requests(&idp);
    idp.clock().advance(Duration::from_secs(60));
    assert!(cases.len() >= 40);
    let mut reasons = std::collections::BTreeSet::new();
    for (expected, headers) in cases {
        let (reason, said) = everything_said(&app, &headers);
        assert_eq!(reason, expected, "{headers:?}");
        assert_silent(&said, expected);
        reasons.insert(reason);
    }
    assert!(reasons.len() >= 25, "{reasons:?}");
}

#[test]
fn no_refusal_after_the_authentication_repeats_a_secret() {
    let idp = idp();
    let (jwt, key_layer) = layer(&idp);
    let claims = Router::new().route("/", get(|_: Claims<Desk>| async {}));
    let undeclared = Router::new().route("/", get(|_: Claims<String>| async {}));
    let scoped = claims.clone().layer(ScopeLayer::all([crate::support::WRITE]));
    let either = jwt.or(key_layer);
    let bare = ScopeLayer::all([READ]);
    let token = idp.token().claim("desk", 1).claim("note", CANARY).sign();
    let bearer = ("authorization", format!("Bearer {token}"));
    let api_key = ("x-api-key", key("good"));
    let down = idp
        .issuer_builder()
        .keys(CachedKeys::new(Broken))
        .build()
        .unwrap();
    for (reason, app, header) in [
        ("claims_absent", claims.clone().layer(either.clone()), &api_key),
        ("claims_undeclared", undeclared.layer(either.clone()), &bearer),
        ("scope_missing", scoped.clone().layer(either.clone()), &api_key),
        ("scope_missing", scoped.layer(either), &bearer),
        ("not_authenticated", claims.clone().layer(bare), &api_key),
        ("not_authenticated", claims.clone(), &bearer),
        (
            "keys_unavailable",
            claims.clone().layer(JwtLayer::new(down)),
            &bearer,
        ),
        (
            "store_unavailable",
            claims.layer(ApiKeyLayer::new(Broken)),
            &api_key,
        ),
    ] {
        let (found, said) = everything_said(&app, std::slice::from_ref(header));
        assert_eq!(found, reason);
        assert_silent(&said, reason);
    }
}

#[test]
fn a_request_that_passes_says_nothing_of_its_secret() {
    let idp = idp();
    let (jwt, key_layer) = layer(&idp);
    let handler = |caller: Principal, headers: HeaderMap| async move {
        format!("{caller:?} {caller:#?} {:?} {headers:?}", caller.identity())
    };
    let either = jwt.or(key_layer);
    let slow = ApiKeyLayer::new(Slow(keys()));
    let token = idp.token().claim("desk", 1).claim("note", CANARY).sign();
    let shared_token = idp
        .token()
        .claim("iss", "https://shared.test")
        .claim("note", CANARY)
        .sign_with_secret(&shared());
    for (layered, header) in [
        (
            routes(handler).layer(either.clone()),
            ("authorization", format!("Bearer {token}")),
        ),
        (
            routes(handler).layer(either.clone()),
            ("authorization", format!("Bearer {shared_token}")),
        ),
        (routes(handler).layer(either), ("x-api-key", key("good"))),
        (routes(handler).layer(slow), ("x-api-key", key("good"))),
    ] {
        let (reason, said) = everything_said(&layered, &[header]);
        assert_eq!(reason, "ok");
        assert!(said.contains("Sensitive"), "{said}");
        assert_silent(&said, "a good request");
        let signature = token.rsplit('.').next().unwrap();
        assert!(!said.contains(signature));
    }
}

fn routes<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    Router::new().route("/", get(handler))
}

fn printed(thing: &impl Debug) -> String {
    format!("{thing:?} {thing:#?}")
}

#[test]
fn no_layer_issuer_or_builder_prints_a_secret() {
    let idp = idp();
    let (jwt, key_layer) = layer(&idp);
    let service =
        |request: Request| async move { Ok::<_, std::convert::Infallible>(http::Response::new(request)) };
    let either = jwt.clone().or(key_layer.clone());
    let builder = Issuer::builder("https://shared.test")
        .audience(API)
        .keys(FixedKeys::secret(shared()));
    let things = [
        printed(&shared()),
        printed(&FixedKeys::secret(shared())),
        printed(&builder),
        printed(&hmac_issuer()),
        printed(&hmac_issuer().with_profile(Profile::rfc9068())),
        printed(&TrustedIssuers::from(hmac_issuer())),
        printed(&jwt),
        printed(&jwt.clone().header(HeaderName::from_static("x-moved"))),
        printed(&jwt.optional()),
        printed(&key_layer),
        printed(&key_layer.clone().optional()),
        printed(&either),
        printed(
            &either
                .layer(tower::util::MapResponse::new(
                    tower::service_fn(service),
                    |answer: http::Response<Request>| answer,
                ))
                .clone(),
        ),
        printed(&keys()),
        printed(&record("good").build()),
        printed(&KeyDigest::of(key("good"))),
    ];
    for thing in things {
        assert_silent(&thing, "a thing");
        let digest = KeyDigest::of(key("good"));
        assert!(!thing.contains(&format!("{:?}", digest.as_bytes())), "{thing}");
    }
}

/// The error, its causes, and both ways to print them.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(|error| format!("{error} {error:?} {error:#?}\n"))
        .collect::<Vec<_>>()
        .concat()
}

#[test]
fn no_error_of_the_configuration_repeats_a_secret() {
    let too_short = Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::secret(Secret::new("CanaryCanary")))
        .build();
    let too_short_for_one = Issuer::builder(ISSUER)
        .audience(API)
        .algorithms([Algorithm::Hs256, Algorithm::Hs512, Algorithm::Rs256])
        .keys(FixedKeys::secret(shared()))
        .build();
    let with_password = Issuer::builder(format!("https://user:{CANARY}@idp.test"))
        .audience(API)
        .build();
    for error in [too_short, too_short_for_one, with_password] {
        assert_silent(&told(&error.unwrap_err()), "ConfigError");
    }
}

#[test]
fn no_error_of_a_key_set_repeats_a_key() {
    let symmetric = format!(r#"{{"keys":[{{"kty":"oct","k":"{CANARY}","alg":"HS256"}}]}}"#);
    let private = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{CANARY}","d":"{CANARY}"}}]}}"#);
    let broken = format!(r#"{{"keys":[{{"kty":"RSA","n":"{CANARY}","e":"AQAB"}}]}}"#);
    let no_array = format!(r#"{{"keys":"{CANARY}"}}"#);
    let no_object = format!("\"{CANARY}\"");
    let bare = CANARY.to_owned();
    for text in [symmetric, private, broken, no_array, no_object, bare] {
        assert_silent(&told(&KeySet::from_jwks(&text).unwrap_err()), &text);
        assert_silent(&told(&FixedKeys::jwks(&text).unwrap_err()), &text);
    }
    let private_pem = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n");
    let public_pem = format!("-----BEGIN PUBLIC KEY-----\n{CANARY}\n-----END PUBLIC KEY-----\n");
    for text in [private_pem, public_pem, CANARY.to_owned()] {
        assert_silent(&told(&FixedKeys::pem(&text).unwrap_err()), &text);
    }
    assert_silent(&told(&FixedKeys::der(CANARY.as_bytes()).unwrap_err()), "DER");
}

#[test]
fn a_secret_of_the_type_that_claims_decode_to_is_not_said() {
    /// Says what it found when it does not like it, as a user's type may.
    #[derive(Debug)]
    struct Talkative;

    impl<'de> Deserialize<'de> for Talkative {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let value = serde_json::Value::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format!("{} is no desk", value["note"])))
        }
    }

    let idp = idp();
    let issuer = idp.issuer_builder().claims::<Talkative>().build().unwrap();
    let app = Router::new()
        .route("/", get(|| async {}))
        .layer(JwtLayer::new(issuer));
    let token = idp.token().claim("note", CANARY).sign();
    let (reason, said) = everything_said(&app, &[("authorization", format!("Bearer {token}"))]);
    assert_eq!(reason, "claims_undecodable");
    assert_silent(&said, "a talkative type");
}
