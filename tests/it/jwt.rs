//! Which tokens are accepted and which are not, and what is known of their callers.

use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair,
};
use axum::routing::get;
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_resource_server::testing::{TestClock, TestIssuer};
use tower_resource_server::{
    Algorithm, FixedKeys, Issuer, IssuerBuilder, JwtLayer, Method, Principal, Profile, Scope, Secret,
    TrustedIssuers, WithAudience,
};

use crate::explain;
use crate::support::{API, ISSUER, READ, WRITE, bearer, call, idp, whoami};

/// The time of day in tests with tokens made by hand.
const NOW: u64 = 1_800_000_000;
const SECRET: [u8; 64] = [7; 64];

const ASYMMETRIC: [Algorithm; 10] = [
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
];

// How tokens are made and judged.

/// An issuer whose secret the tests know, so that every sequence of bytes can be signed.
fn shared() -> IssuerBuilder<WithAudience> {
    Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::secret(Secret::new(SECRET)))
        .clock(TestClock::starting_at(UNIX_EPOCH + Duration::from_secs(NOW)))
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs two parts that are encoded already.
fn sign_parts(header: &str, payload: &str) -> String {
    let input = format!("{header}.{payload}");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), input.as_bytes());
    format!("{input}.{}", b64(tag))
}

fn sign_bytes(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    sign_parts(&b64(header), &b64(payload))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

/// A good header with these members added.
fn with_header(members: &str) -> String {
    sign_bytes(format!(r#"{{"alg":"HS256",{members}}}"#), claims(""))
}

/// Good claims, as text, with these members added.
fn claims(members: &str) -> String {
    let exp = NOW + 300;
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"iss":"{ISSUER}","aud":"{API}","exp":{exp},"sub":"alice"{comma}{members}}}"#)
}

fn with_claims(members: &str) -> String {
    sign_bytes(HEADER, claims(members))
}

/// Good claims with one of them written otherwise, or left out.
fn with_claim(name: &str, value: Option<&str>) -> String {
    let claims = [
        ("iss", format!("{ISSUER:?}")),
        ("aud", format!("{API:?}")),
        ("exp", (NOW + 300).to_string()),
        ("sub", r#""alice""#.to_owned()),
    ];
    let kept = claims.into_iter().filter(|(kept, _)| *kept != name);
    let changed = value.map(|value| (name, value.to_owned()));
    let members: Vec<String> = kept
        .chain(changed)
        .map(|(name, value)| format!("{name:?}:{value}"))
        .collect();
    sign_bytes(HEADER, format!("{{{}}}", members.join(",")))
}

/// The reason of the refusal, or `ok`. Whatever is wrong with a token that can be read is 401 with `invalid_token`.
async fn judge(issuer: impl Into<TrustedIssuers>, token: &str) -> &'static str {
    let issuers = issuer.into();
    let answer = call(&whoami().layer(JwtLayer::new(issuers.clone())), bearer(token)).await;
    explain::agrees(&issuers, token, answer.reason()).await;
    let challenges = answer.challenges().join(", ");
    if answer.reason() == "ok" {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    } else {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
        assert!(challenges.contains("error=\"invalid_token\""), "{answer:?}");
    }
    answer.reason()
}

/// Judges each token and tells every one whose reason is not the expected one.
async fn expect<N: std::fmt::Debug>(issuer: &Issuer, cases: impl IntoIterator<Item = (N, String, &str)>) {
    let mut wrong = Vec::new();
    for (name, token, expected) in cases {
        let reason = judge(issuer.clone(), &token).await;
        if reason != expected {
            wrong.push(format!("{name:?}: {reason} and not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn principal(issuer: impl Into<TrustedIssuers>, token: &str) -> Principal {
    let handler = get(|caller: Principal| async move { Extension(caller) });
    let app = Router::new().route("/", handler).layer(JwtLayer::new(issuer));
    let mut response = app.oneshot(bearer(token)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.extensions_mut().remove::<Principal>().unwrap()
}

// Algorithms and signatures.

#[tokio::test]
async fn every_public_key_algorithm_signs_and_verifies() {
    let idp = idp();
    let cases = ASYMMETRIC.map(|algorithm| (algorithm, idp.token().algorithm(algorithm).sign(), "ok"));
    expect(&idp.issuer(), cases).await;
}

#[tokio::test]
async fn every_hmac_algorithm_signs_and_verifies() {
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let idp = idp();
        let secret = Secret::new(SECRET);
        let issuer = idp
            .issuer_builder()
            .keys(FixedKeys::secret(secret.clone()))
            .algorithms([algorithm])
            .build()
            .unwrap();
        let token = idp.token().algorithm(algorithm).sign_with_secret(&secret);
        assert_eq!(judge(issuer, &token).await, "ok", "{algorithm}");
    }
}

#[tokio::test]
async fn the_fully_specified_name_of_eddsa_is_accepted_too() {
    let idp = idp();
    let token = idp.token().algorithm(Algorithm::EdDsa).header("alg", "Ed25519");
    assert_eq!(judge(idp.issuer(), &token.sign()).await, "ok");
}

#[tokio::test]
async fn an_algorithm_that_is_not_in_the_issuers_list_is_refused() {
    let idp = idp();
    for allowed in [Algorithm::Es256, Algorithm::Rs256] {
        let issuer = idp.issuer_builder().algorithms([allowed]).build().unwrap();
        let cases = ASYMMETRIC.map(|algorithm| {
            let expected = if algorithm == allowed {
                "ok"
            } else {
                "algorithm_not_accepted"
            };
            (algorithm, idp.token().algorithm(algorithm).sign(), expected)
        });
        expect(&issuer, cases).await;
    }
}

#[tokio::test]
async fn by_default_only_the_usual_algorithms_are_accepted() {
    let idp = idp();
    let tokens = ASYMMETRIC.map(|algorithm| (algorithm, idp.token().algorithm(algorithm).sign()));
    let issuer = Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::jwks(&idp.jwks()).unwrap())
        .clock(idp.clock().clone())
        .build()
        .unwrap();
    for (algorithm, token) in tokens {
        let by_default = [
            Algorithm::Rs256,
            Algorithm::Ps256,
            Algorithm::Es256,
            Algorithm::Es384,
            Algorithm::EdDsa,
        ];
        let expected = if by_default.contains(&algorithm) {
            "ok"
        } else {
            "algorithm_not_accepted"
        };
        assert_eq!(judge(issuer.clone(), &token).await, expected, "{algorithm}");
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused_however_it_spells_none() {
    let issuer = shared().build().unwrap();
    for name in ["none", "None", "NONE", "nOnE"] {
        let header = b64(format!(r#"{{"alg":"{name}","typ":"at+jwt"}}"#));
        let unsigned = format!("{header}.{}.", b64(claims("")));
        let signed = sign_parts(&header, &b64(claims("")));
        expect(
            &issuer,
            [
                (name, unsigned, "token_malformed"),
                (name, signed, "algorithm_unknown"),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn names_of_algorithms_have_one_spelling() {
    let names = [
        "hs256", "HS256 ", " HS256", "HS1", "RS1", "ES256K", "Ed448", "EDDSA", "A128KW", "dir", "",
    ];
    let cases = names.map(|name| {
        let header = format!(r#"{{"alg":"{name}"}}"#);
        (name, sign_bytes(header, claims("")), "algorithm_unknown")
    });
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn a_header_without_a_readable_alg_is_refused() {
    let headers = [
        r#"{"typ":"at+jwt"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":256}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":{"name":"HS256"}}"#,
        r#"{"Alg":"HS256"}"#,
    ];
    let cases = headers.map(|header| (header, sign_bytes(header, claims("")), "header_malformed"));
    expect(&shared().build().unwrap(), cases).await;
}

/// An attacker has the public key and hopes that it is taken for an HMAC secret.
#[tokio::test]
async fn a_public_key_is_never_an_hmac_secret() {
    let idp = idp();
    idp.token().algorithm(Algorithm::Rs256).sign();
    let document: Value = serde_json::from_str(&idp.jwks()).unwrap();
    let jwk = document["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kty"] == "RSA")
        .unwrap();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let texts: [Vec<u8>; 3] = [
        modulus,
        jwk["n"].as_str().unwrap().into(),
        jwk.to_string().into_bytes(),
    ];
    // The second issuer's list allows the mistake; the key does not.
    let strict = idp.issuer();
    let careless = idp
        .issuer_builder()
        .algorithms([Algorithm::Rs256, Algorithm::Hs256])
        .build()
        .unwrap();
    for text in texts {
        let forged = |token: tower_resource_server::testing::TokenBuilder| {
            token.sign_with_secret(&Secret::new(text.clone()))
        };
        let with_kid = forged(idp.token().header("kid", jwk["kid"].as_str().unwrap()));
        let without_kid = forged(idp.token());
        expect(
            &strict,
            [
                (1, with_kid.clone(), "algorithm_not_accepted"),
                (2, without_kid.clone(), "algorithm_not_accepted"),
            ],
        )
        .await;
        expect(
            &careless,
            [
                (3, with_kid, "signing_key_ambiguous"),
                (4, without_kid, "signing_key_unknown"),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn a_token_that_names_another_algorithm_than_its_key_was_made_for_is_refused() {
    let idp = idp();
    for algorithm in ASYMMETRIC {
        idp.token().algorithm(algorithm).sign();
    }
    let mut cases = Vec::new();
    for signed in ASYMMETRIC {
        for named in ASYMMETRIC.into_iter().filter(|named| *named != signed) {
            let token = idp.token().algorithm(signed).header("alg", named.as_str()).sign();
            cases.push((format!("{signed} as {named}"), token, "signing_key_ambiguous"));
        }
    }
    expect(&idp.issuer(), cases).await;
}

#[tokio::test]
async fn a_changed_character_anywhere_in_a_token_makes_it_invalid() {
    let idp = idp();
    let app = whoami().layer(JwtLayer::new(idp.issuer()));
    let token = idp.token().sign();
    assert_eq!(call(&app, bearer(&token)).await.reason(), "ok");
    for (index, character) in token.char_indices().filter(|(_, character)| *character != '.') {
        let other = if character == 'A' { 'B' } else { 'A' };
        let mut changed = token.clone();
        changed.replace_range(index..=index, &other.to_string());
        let answer = call(&app, bearer(&changed)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{index}: {changed}");
    }
}

#[tokio::test]
async fn a_signature_of_another_token_is_refused() {
    let idp = idp();
    let (mine, other) = (
        idp.token().subject("alice").sign(),
        idp.token().subject("admin").sign(),
    );
    let (input, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = mine.rsplit_once('.').unwrap();
    let reason = judge(idp.issuer(), &format!("{input}.{signature}")).await;
    assert_eq!(reason, "signature_invalid");
}

#[tokio::test]
async fn a_signature_of_another_length_is_refused_for_every_algorithm() {
    let idp = idp();
    let mut cases = Vec::new();
    for algorithm in ASYMMETRIC {
        let token = idp.token().algorithm(algorithm).sign();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let whole = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let cut = whole.len() - 1;
        let odd = [
            whole[..cut].to_vec(),
            whole[..1].to_vec(),
            [&whole[..], &[0]].concat(),
            [&[0], &whole[..]].concat(),
            [&whole[..], &whole[..]].concat(),
        ];
        for signature in odd {
            let name = format!("{algorithm} with {} bytes", signature.len());
            cases.push((name, format!("{input}.{}", b64(signature)), "signature_invalid"));
        }
    }
    expect(&idp.issuer(), cases).await;
}

#[tokio::test]
async fn a_signature_of_zeros_is_refused_for_every_algorithm() {
    let idp = idp();
    let cases = ASYMMETRIC.map(|algorithm| {
        let token = idp.token().algorithm(algorithm).sign();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let zeros = vec![0; URL_SAFE_NO_PAD.decode(signature).unwrap().len()];
        (algorithm, format!("{input}.{}", b64(zeros)), "signature_invalid")
    });
    expect(&idp.issuer(), cases).await;
}

#[tokio::test]
async fn a_truncated_hmac_tag_is_refused() {
    let token = with_claims("");
    let (input, tag) = token.rsplit_once('.').unwrap();
    let tag = URL_SAFE_NO_PAD.decode(tag).unwrap();
    let cases = [1, 16, 31].map(|length| {
        let token = format!("{input}.{}", b64(&tag[..length]));
        (length, token, "signature_invalid")
    });
    expect(&shared().build().unwrap(), cases).await;
}

fn ec_signature(form: &'static EcdsaSigningAlgorithm, private: &[u8], message: &str) -> String {
    let pair = EcdsaKeyPair::from_pkcs8(form, private).unwrap();
    b64(pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap())
}

/// A key of which the private part is here, to sign with as a test likes; and its JWK.
fn ec_key(kid: &str) -> (Vec<u8>, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let jwk =
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..])});
    (pair.to_pkcs8v1().unwrap().as_ref().to_vec(), jwk)
}

#[tokio::test]
async fn an_ecdsa_signature_in_der_is_refused() {
    let (private, jwk) = ec_key("k");
    let issuer = shared()
        .keys(FixedKeys::jwks(&json!({ "keys": [jwk] }).to_string()).unwrap())
        .build()
        .unwrap();
    let input = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"k"}"#), b64(claims("")));
    let fixed = ec_signature(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &input);
    let der = ec_signature(&ECDSA_P256_SHA256_ASN1_SIGNING, &private, &input);
    expect(
        &issuer,
        [
            ("fixed", format!("{input}.{fixed}"), "ok"),
            ("DER", format!("{input}.{der}"), "signature_invalid"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_used() {
    let (private, jwk) = ec_key("mine");
    let idp = idp();
    let kid = "es256-1";
    let payload = b64(json!({"iss": ISSUER, "aud": API, "exp": NOW * 2, "sub": "mallory"}).to_string());
    let forge = |header: Value| {
        let input = format!("{}.{payload}", b64(header.to_string()));
        let signature = ec_signature(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &input);
        format!("{input}.{signature}")
    };
    let url = "https://evil.test/keys";
    expect(
        &idp.issuer(),
        [
            (
                "jwk",
                forge(json!({"alg": "ES256", "kid": "mine", "jwk": jwk})),
                "signing_key_unknown",
            ),
            (
                "jwk without kid",
                forge(json!({"alg": "ES256", "jwk": jwk})),
                "signature_invalid",
            ),
            (
                "jwk under a known kid",
                forge(json!({"alg": "ES256", "kid": kid, "jwk": jwk})),
                "signature_invalid",
            ),
            (
                "jku and x5u",
                forge(json!({"alg": "ES256", "kid": kid, "jku": url, "x5u": url, "x5c": ["AA=="]})),
                "signature_invalid",
            ),
        ],
    )
    .await;
}

// Issuers.

#[tokio::test]
async fn the_issuer_is_compared_to_the_letter() {
    let others = [
        "https://idp.test/",
        "https://IDP.test",
        "https://idp.test:443",
        "https://idp.test\u{0}",
        " https://idp.test",
        "https://idp.tes",
        "",
    ];
    let cases = others.map(|name| {
        let value = json!(name).to_string();
        (name, with_claim("iss", Some(&value)), "issuer_unknown")
    });
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn an_issuer_written_with_escapes_is_the_same_issuer() {
    let token = with_claim("iss", Some(r#""\u0068ttps:\/\/idp.test""#));
    assert_eq!(judge(shared().build().unwrap(), &token).await, "ok");
}

fn two_issuers() -> (TestIssuer, TestIssuer, TrustedIssuers) {
    let (a, b) = (
        TestIssuer::new("https://a.test", API),
        TestIssuer::new("https://b.test", API),
    );
    let built = |idp: &TestIssuer| idp.issuer_builder().accept_any_scope().build().unwrap();
    let trusted = TrustedIssuers::new([built(&a), built(&b)]).unwrap();
    (a, b, trusted)
}

#[tokio::test]
async fn the_same_kid_at_two_issuers_names_two_keys() {
    let (a, b, trusted) = two_issuers();
    let kid = |idp: &TestIssuer| {
        let document: Value = serde_json::from_str(&idp.jwks()).unwrap();
        document["keys"][0]["kid"].clone()
    };
    assert_eq!(kid(&a), kid(&b));
    assert_eq!(judge(trusted.clone(), &a.token().sign()).await, "ok");
    assert_eq!(judge(trusted, &b.token().sign()).await, "ok");
}

#[tokio::test]
async fn a_key_of_one_issuer_never_signs_for_another() {
    let (a, b, trusted) = two_issuers();
    let forged = a.token().claim("iss", "https://b.test").sign();
    assert_eq!(judge(trusted.clone(), &forged).await, "signature_invalid");
    let forged = b.token().claim("iss", "https://a.test").sign();
    assert_eq!(judge(trusted, &forged).await, "signature_invalid");
}

#[tokio::test]
async fn each_issuer_has_its_own_audience_and_algorithms() {
    let (a, b) = (
        TestIssuer::new("https://a.test", API),
        TestIssuer::new("https://b.test", "other"),
    );
    let built = |idp: &TestIssuer, algorithm| {
        let builder = idp.issuer_builder().accept_any_scope().algorithms([algorithm]);
        builder.build().unwrap()
    };
    let trusted = TrustedIssuers::new([built(&a, Algorithm::Es256), built(&b, Algorithm::EdDsa)]).unwrap();
    let eddsa = |idp: &TestIssuer| idp.token().algorithm(Algorithm::EdDsa);
    assert_eq!(
        judge(trusted.clone(), &eddsa(&a).sign()).await,
        "algorithm_not_accepted"
    );
    assert_eq!(judge(trusted.clone(), &eddsa(&b).sign()).await, "ok");
    assert_eq!(
        judge(trusted, &eddsa(&b).audience(API).sign()).await,
        "audience_mismatch"
    );
}

#[tokio::test]
async fn a_partner_grants_only_the_scopes_that_were_named_for_it() {
    let (staff, partner) = (
        TestIssuer::new("https://a.test", API),
        TestIssuer::new("https://b.test", API),
    );
    let trusted = TrustedIssuers::new([
        staff.issuer_builder().accept_any_scope().build().unwrap(),
        partner.issuer_builder().accepted_scopes([READ]).build().unwrap(),
    ])
    .unwrap();
    let scopes = |idp: &TestIssuer| idp.token().scopes([READ, WRITE]).sign();
    let of_staff = principal(trusted.clone(), &scopes(&staff)).await;
    let of_partner = principal(trusted, &scopes(&partner)).await;
    assert_eq!(of_staff.scopes().as_str(), "orders:read orders:write");
    assert_eq!(of_partner.scopes().as_str(), "orders:read");
}

#[tokio::test]
async fn the_first_problem_is_the_one_that_is_told() {
    // A stranger learns nothing of an issuer by tokens that its keys did not sign.
    let token = with_claim("exp", Some("1"));
    let (input, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", b64([0; 32]));
    assert_eq!(
        judge(shared().build().unwrap(), &forged).await,
        "signature_invalid"
    );
}

// Registered claims.

#[tokio::test]
async fn a_required_claim_that_is_absent_never_passes() {
    let cases = ["iss", "aud", "exp"].map(|name| (name, with_claim(name, None), "claim_missing"));
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn a_registered_claim_of_the_wrong_type_is_refused() {
    let not_strings = ["null", "1", "true", "{}", "[]", r#"["x"]"#];
    let not_dates = ["null", "true", "{}", "[]", "[1]", r#""1900000000""#, r#""""#];
    let not_audiences = [
        "null",
        "1",
        "true",
        "{}",
        "[1]",
        r#"["https://api.test",null]"#,
        "[[]]",
    ];
    let not_actors = ["null", "1", r#""bob""#, "[]", r#"{"sub":1}"#, r#"{"sub":null}"#];
    let strings = ["iss", "sub", "jti", "client_id", "azp", "scope"];
    let mut rows: Vec<(&str, &[&str])> = strings.map(|name| (name, &not_strings[..])).to_vec();
    rows.extend(["exp", "nbf", "iat"].map(|name| (name, &not_dates[..])));
    rows.extend([("aud", &not_audiences[..]), ("act", &not_actors[..])]);
    let mut cases = Vec::new();
    for (name, values) in rows {
        for value in values {
            let token = with_claim(name, Some(value));
            cases.push((format!("{name}: {value}"), token, "payload_malformed"));
        }
    }
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn the_audience_may_be_a_string_or_one_of_an_array() {
    let (one, other) = (format!("{API:?}"), r#""https://other.test""#);
    let cases = [
        (one.clone(), "ok"),
        (format!("[{one}]"), "ok"),
        (format!("[{other},{one}]"), "ok"),
        (format!("[{one},{one}]"), "ok"),
        (other.to_owned(), "audience_mismatch"),
        ("[]".to_owned(), "audience_mismatch"),
        (r#""""#.to_owned(), "audience_mismatch"),
        (format!("[{other}]"), "audience_mismatch"),
        (r#""https://api.test/""#.to_owned(), "audience_mismatch"),
        (r#""https://API.test""#.to_owned(), "audience_mismatch"),
        (
            r#""https://api.test https://other.test""#.to_owned(),
            "audience_mismatch",
        ),
    ];
    let cases = cases.map(|(value, expected)| (value.clone(), with_claim("aud", Some(&value)), expected));
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn an_issuer_may_have_several_audiences() {
    let issuer = shared().audience("second").build().unwrap();
    expect(
        &issuer,
        [
            (1, with_claim("aud", Some(r#""second""#)), "ok"),
            (2, with_claims(""), "ok"),
            (3, with_claim("aud", Some(r#""third""#)), "audience_mismatch"),
        ],
    )
    .await;
}

#[tokio::test]
async fn another_resource_of_the_same_server_asks_for_its_own_audience() {
    let issuer = shared().build().unwrap().with_audience("second");
    expect(
        &issuer,
        [
            (1, with_claim("aud", Some(r#""second""#)), "ok"),
            (2, with_claims(""), "audience_mismatch"),
        ],
    )
    .await;
}

fn at(offset: i64) -> String {
    NOW.checked_add_signed(offset).unwrap().to_string()
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let seconds = Duration::from_secs;
    let rows = [
        (0, -1, "token_expired"),
        (0, 0, "token_expired"),
        (0, 1, "ok"),
        (30, -31, "token_expired"),
        (30, -30, "token_expired"),
        (30, -29, "ok"),
        (300, -300, "token_expired"),
        (300, -299, "ok"),
    ];
    for (leeway, offset, expected) in rows {
        let issuer = shared().leeway(seconds(leeway)).build().unwrap();
        let token = with_claim("exp", Some(&at(offset)));
        expect(&issuer, [((leeway, offset), token, expected)]).await;
    }
}

#[tokio::test]
async fn the_leeway_is_thirty_seconds_by_default() {
    expect(
        &shared().build().unwrap(),
        [
            ("exp", with_claim("exp", Some(&at(-29))), "ok"),
            ("exp", with_claim("exp", Some(&at(-30))), "token_expired"),
            ("nbf", with_claim("nbf", Some(&at(30))), "ok"),
            ("nbf", with_claim("nbf", Some(&at(31))), "token_not_yet_valid"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_token_of_the_future_is_refused() {
    let rows = [
        ("nbf", 0, 0, "ok"),
        ("nbf", 0, 1, "token_not_yet_valid"),
        ("nbf", 300, 300, "ok"),
        ("nbf", 300, 301, "token_not_yet_valid"),
        ("nbf", 0, -100_000, "ok"),
        ("iat", 0, 0, "ok"),
        ("iat", 0, 1, "token_from_future"),
        ("iat", 300, 300, "ok"),
        ("iat", 300, 301, "token_from_future"),
        ("iat", 0, -100_000, "ok"),
    ];
    for (name, leeway, offset, expected) in rows {
        let issuer = shared().leeway(Duration::from_secs(leeway)).build().unwrap();
        let token = with_claim(name, Some(&at(offset)));
        expect(&issuer, [((name, leeway, offset), token, expected)]).await;
    }
}

#[tokio::test]
async fn a_token_expires_while_the_service_runs() {
    let idp = idp();
    let issuer = idp.issuer_builder().leeway(Duration::ZERO).build().unwrap();
    let token = idp.token().expires_in(Duration::from_secs(60)).sign();
    idp.clock().advance(Duration::from_secs(58));
    assert_eq!(judge(issuer.clone(), &token).await, "ok");
    idp.clock().advance(Duration::from_secs(2));
    assert_eq!(judge(issuer, &token).await, "token_expired");
}

#[tokio::test]
async fn dates_may_have_fractions_and_exponents() {
    let issuer = shared().leeway(Duration::ZERO).build().unwrap();
    let rows = [
        ("exp", "1800000000.5", "ok"),
        ("exp", "1800000000.0", "token_expired"),
        ("exp", "1799999999.999", "token_expired"),
        ("exp", "1.8000001e9", "ok"),
        ("exp", "18000001E2", "ok"),
        ("exp", "253402300799", "ok"),
        ("nbf", "1800000000.5", "token_not_yet_valid"),
        ("nbf", "0", "ok"),
        ("nbf", "-0", "ok"),
        ("iat", "1799999999.9", "ok"),
        ("exp", "0", "token_expired"),
    ];
    expect(
        &issuer,
        rows.map(|(name, value, expected)| {
            (
                format!("{name}: {value}"),
                with_claim(name, Some(value)),
                expected,
            )
        }),
    )
    .await;
}

#[tokio::test]
async fn dates_out_of_range_are_refused_without_harm() {
    let values = [
        "-1",
        "-1800000000",
        "-0.5",
        "-1e300",
        "253402300800",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e19",
        "1e20",
        "1e300",
        "1e400",
        "-1e400",
        "99999999999999999999999999999999999999999999",
        "NaN",
        "Infinity",
        "0x7fffffff",
        "01900000000",
        "+1900000000",
        "1900000000.",
    ];
    let mut cases = Vec::new();
    for name in ["exp", "nbf", "iat"] {
        for value in values {
            let token = with_claim(name, Some(value));
            cases.push((format!("{name}: {value}"), token, "payload_malformed"));
        }
    }
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn a_clock_far_away_is_no_panic() {
    let far = UNIX_EPOCH + Duration::from_secs(1 << 60);
    let issuer = shared().clock(TestClock::starting_at(far)).build().unwrap();
    assert_eq!(judge(issuer, &with_claims("")).await, "token_expired");
    let before = UNIX_EPOCH - Duration::from_secs(1 << 40);
    let issuer = shared().clock(TestClock::starting_at(before)).build().unwrap();
    let token = with_claim("nbf", Some("1000"));
    assert_eq!(judge(issuer, &token).await, "token_not_yet_valid");
}

// Headers.

#[tokio::test]
async fn extensions_are_refused() {
    let members = [
        r#""crit":["exp"],"exp":1"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":["unknown"],"unknown":1"#,
        r#""crit":[]"#,
        r#""crit":null"#,
        r#""crit":"exp""#,
        r#""\u0063rit":["exp"]"#,
        r#""b64":false"#,
        r#""b64":true"#,
    ];
    let cases = members.map(|member| (member, with_header(member), "critical_extension"));
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn a_header_member_of_the_wrong_type_is_refused() {
    let mut cases = Vec::new();
    for name in ["kid", "typ", "cty", "jku", "x5u", "x5t", "x5t#S256"] {
        for value in ["null", "1", "true", "[]", "{}", r#"["JWT"]"#] {
            let member = format!("{name:?}:{value}");
            cases.push((member.clone(), with_header(&member), "header_malformed"));
        }
    }
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn a_key_in_the_header_is_not_used_and_still_has_its_type() {
    let rows = [
        (r#""jwk":{"kty":"oct","k":"AA"}"#, "ok"),
        (r#""jwk":null"#, "header_malformed"),
        (r#""jwk":"x""#, "header_malformed"),
        (r#""jwk":[{}]"#, "header_malformed"),
        (r#""jwk":{"kty":"oct","kty":"oct"}"#, "header_malformed"),
        (r#""x5c":["AA=="]"#, "ok"),
        (r#""x5c":null"#, "header_malformed"),
        (r#""x5c":"AA==""#, "header_malformed"),
        (r#""x5c":[1]"#, "header_malformed"),
        (
            r#""jku":"https://evil.test","x5u":"https://evil.test","x5t":"AA","x5t#S256":"AA""#,
            "ok",
        ),
    ];
    let cases = rows.map(|(members, expected)| (members, with_header(members), expected));
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn unknown_members_of_header_and_claims_are_ignored() {
    let member = r#""x":{"y":[1,-2,3.5,null,true,"z",{}]},"x5t":"abc","":0"#;
    expect(
        &shared().build().unwrap(),
        [
            ("header", with_header(member), "ok"),
            ("claims", with_claims(member), "ok"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_token_in_a_token_is_refused() {
    let cases = ["JWT", "jwt", "application/jwt", "Application/JWT"].map(|cty| {
        let token = with_header(&format!(r#""cty":"{cty}""#));
        (cty, token, "header_malformed")
    });
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn a_kid_has_a_bounded_length() {
    let kid = |length| with_header(&format!(r#""kid":"{}""#, "k".repeat(length)));
    expect(
        &shared().build().unwrap(),
        [
            (0, kid(0), "ok"),
            (512, kid(512), "ok"),
            (513, kid(513), "header_malformed"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_kid_is_compared_to_the_letter() {
    let idp = idp();
    let odd = [
        "ES256-1",
        "es256-1 ",
        " es256-1",
        "es256-1\u{0}",
        "",
        "../es256-1",
        "' OR 1=1 --",
        "https://evil.test/",
    ];
    let cases = odd.map(|kid| (kid, idp.token().header("kid", kid).sign(), "signing_key_unknown"));
    expect(&idp.issuer(), cases).await;
}

const ACCESS_TOKEN_TYPES: [&str; 5] = [
    "at+jwt",
    "AT+JWT",
    "At+Jwt",
    "application/at+jwt",
    "APPLICATION/AT+JWT",
];
const PLAIN_TYPES: [&str; 4] = ["JWT", "jwt", "application/jwt", "Application/JWT"];
const OTHER_TYPES: [&str; 18] = [
    "dpop+jwt",
    "logout+jwt",
    "secevent+jwt",
    "token-introspection+jwt",
    "application/dpop+jwt",
    "statuslist+jwt",
    "jwt+at",
    "JOSE",
    "",
    "application/",
    "/",
    "JWT ",
    " at+jwt",
    "at+jwt;v=1",
    "text/jwt",
    "application/application/jwt",
    "/at+jwt",
    "at\u{2b}jw\u{1d57}",
];

fn typed(typ: &str) -> String {
    let required = r#""client_id":"c","iat":1800000000,"jti":"1""#;
    let header = json!({"alg": "HS256", "typ": typ}).to_string();
    sign_bytes(header, claims(required))
}

#[tokio::test]
async fn the_default_profile_accepts_the_types_that_issuers_send() {
    let accepted = ACCESS_TOKEN_TYPES.into_iter().chain(PLAIN_TYPES);
    let accepted = accepted.map(|typ| (typ, typed(typ), "ok"));
    let refused = OTHER_TYPES.map(|typ| (typ, typed(typ), "type_not_accepted"));
    let absent = ("absent", sign_bytes(r#"{"alg":"HS256"}"#, claims("")), "ok");
    expect(
        &shared().build().unwrap(),
        accepted.chain(refused).chain([absent]),
    )
    .await;
}

#[tokio::test]
async fn the_profile_of_rfc_9068_accepts_access_tokens_only() {
    let accepted = ACCESS_TOKEN_TYPES.map(|typ| (typ, typed(typ), "ok"));
    let refused = PLAIN_TYPES.into_iter().chain(OTHER_TYPES);
    let refused = refused.map(|typ| (typ, typed(typ), "type_not_accepted"));
    let absent = sign_bytes(r#"{"alg":"HS256"}"#, claims(""));
    let issuer = shared().profile(Profile::rfc9068()).build().unwrap();
    let absent = ("absent", absent, "type_not_accepted");
    expect(&issuer, accepted.into_iter().chain(refused).chain([absent])).await;
}

#[tokio::test]
async fn the_profile_of_rfc_9068_asks_for_its_required_claims() {
    let idp = idp();
    let issuer = idp.issuer().with_profile(Profile::rfc9068());
    let required = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
    let cases = required.map(|name| (name, idp.token().without(name).sign(), "claim_missing"));
    let whole = ("whole", idp.token().sign(), "ok");
    expect(&issuer, cases.into_iter().chain([whole])).await;
    let azp = idp
        .token()
        .without("client_id")
        .claim("azp", "test-client")
        .sign();
    assert_eq!(judge(issuer, &azp).await, "claim_missing");
}

#[tokio::test]
async fn the_default_profile_does_not_ask_for_them() {
    let idp = idp();
    let names = ["sub", "client_id", "iat", "jti"];
    let cases = names.map(|name| (name, idp.token().without(name).sign(), "ok"));
    expect(&idp.issuer(), cases).await;
}

#[tokio::test]
async fn tokens_of_another_kind_are_refused_by_their_claims() {
    let idp = idp();
    let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for issuer in [idp.issuer(), idp.issuer().with_profile(Profile::rfc9068())] {
        let claims = [
            ("at_hash", json!("x")),
            ("c_hash", json!("x")),
            ("events", events.clone()),
            ("events", Value::Null),
            ("at_hash", json!({"deep": [1, 2]})),
        ];
        let cases =
            claims.map(|(name, value)| (name, idp.token().claim(name, value).sign(), "kind_not_accepted"));
        expect(&issuer, cases).await;
    }
}

// The form of a token.

#[tokio::test]
async fn a_member_that_is_written_twice_is_refused() {
    let rows = [
        r#""kid":"k","kid":"k""#,
        r#""alg":"HS256""#,
        r#""al\u0067":"none""#,
        r#""typ":"JWT","typ":"at+jwt""#,
        r#""x":1,"x":1"#,
        r#""x":1,"\u0078":2"#,
        r#""x":{"y":1,"y":2}"#,
        r#""x":[{"y":1,"y":2}]"#,
        r#""x":[[{"y":{"z":1,"\u007a":2}}]]"#,
        r#""jwk":{"kty":"EC","kty":"RSA"}"#,
        r#""":1,"":2"#,
    ];
    let headers = rows.map(|row| (format!("header {row}"), with_header(row), "header_malformed"));
    let rows = [
        r#""iss":"https://idp.test""#,
        r#""iss":"https://evil.test""#,
        r#""\u0069ss":"https://evil.test""#,
        r#""aud":"x""#,
        r#""exp":1900000000"#,
        r#""e\u0078p":1900000000"#,
        r#""scope":"a","scope":"b""#,
        r#""at_hash":"x","at_hash":"y""#,
        r#""x":1,"x":1"#,
        r#""x":1,"\u0078":2"#,
        r#""x":{"y":1,"y":2}"#,
        r#""x":[{"y":1,"y":2}]"#,
        r#""act":{"sub":"a","sub":"b"}"#,
        r#""act":{"sub":"a","x":1,"x":2}"#,
        r#""act":{"sub":"a","act":{"sub":"b","sub":"c"}}"#,
    ];
    let payloads = rows.map(|row| (format!("claims {row}"), with_claims(row), "payload_malformed"));
    expect(&shared().build().unwrap(), headers.into_iter().chain(payloads)).await;
}

#[tokio::test]
async fn header_and_claims_are_json_objects_and_nothing_else() {
    let texts: [&[u8]; 20] = [
        b" ",
        b"{",
        b"}",
        b"[]",
        b"null",
        b"1",
        b"\"{}\"",
        b"{}{}",
        b"{}x",
        b"{}\0",
        b"{},",
        b"{'alg':'HS256'}",
        b"{\"alg\":\"HS256\",}",
        b"{\"alg\":\"HS256\"}//",
        b"/**/{\"alg\":\"HS256\"}",
        b"{alg:\"HS256\"}",
        b"{\"x\":\"\n\"}",
        b"{\"x\":\"\\ud800\"}",
        b"{\"x\":\"\\x41\"}",
        b"[\"HS256\"]",
    ];
    let headers = texts.map(|text| (text, sign_bytes(text, claims("")), "header_malformed"));
    let payloads = texts.map(|text| (text, sign_bytes(HEADER, text), "payload_malformed"));
    expect(&shared().build().unwrap(), headers.into_iter().chain(payloads)).await;
}

#[tokio::test]
async fn bytes_behind_good_json_are_refused() {
    let tails = ["x", "{}", "\0", ",", "]", "\u{feff}", "\u{a0}"];
    let cases = tails.map(|tail| {
        let payload = claims("") + tail;
        (tail, sign_bytes(HEADER, payload), "payload_malformed")
    });
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn white_space_around_the_members_is_json() {
    let payload = format!(" \r\n\t{} \n", claims("").replace(',', " ,\n"));
    assert_eq!(
        judge(shared().build().unwrap(), &sign_bytes(HEADER, payload)).await,
        "ok"
    );
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused() {
    let odd: [&[u8]; 6] = [
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"\x80",
        b"\xf5\x80\x80\x80",
    ];
    let with = |text: &str, bytes: &[u8]| {
        let (start, end) = text.split_once('@').unwrap();
        [start.as_bytes(), bytes, end.as_bytes()].concat()
    };
    let mut cases = Vec::new();
    for bytes in odd {
        let header = with(r#"{"alg":"HS256","x":"@"}"#, bytes);
        cases.push((bytes, sign_bytes(header, claims("")), "header_malformed"));
        let payload = with(&claims(r#""x":"@""#), bytes);
        cases.push((bytes, sign_bytes(HEADER, payload), "payload_malformed"));
    }
    let bom = "\u{feff}".as_bytes();
    let header = [bom, HEADER.as_bytes()].concat();
    cases.push((bom, sign_bytes(header, claims("")), "header_malformed"));
    let payload = [bom, claims("").as_bytes()].concat();
    cases.push((bom, sign_bytes(HEADER, payload), "payload_malformed"));
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn utf16_and_utf32_are_refused() {
    let utf16: Vec<u8> = claims("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf32: Vec<u8> = claims("")
        .chars()
        .flat_map(|c| (c as u32).to_be_bytes())
        .collect();
    expect(
        &shared().build().unwrap(),
        [
            (16, sign_bytes(HEADER, utf16), "payload_malformed"),
            (32, sign_bytes(HEADER, utf32), "payload_malformed"),
        ],
    )
    .await;
}

#[tokio::test]
async fn depth_is_bounded() {
    let arrays = |depth| format!(r#""x":{}{}"#, "[".repeat(depth), "]".repeat(depth));
    let objects = |depth| format!(r#""x":{}1{}"#, r#"{"x":"#.repeat(depth), "}".repeat(depth));
    let actors = |depth| format!(r#""act":{}{{}}{}"#, r#"{"act":"#.repeat(depth), "}".repeat(depth));
    let issuer = shared().build().unwrap();
    for depth in [1, 10, 15] {
        expect(
            &issuer,
            [
                (depth, with_claims(&arrays(depth)), "ok"),
                (depth, with_claims(&objects(depth)), "ok"),
                (depth, with_header(&arrays(depth)), "ok"),
            ],
        )
        .await;
    }
    for depth in [16, 17, 127, 128, 1000] {
        expect(
            &issuer,
            [
                (depth, with_claims(&arrays(depth)), "payload_malformed"),
                (depth, with_claims(&objects(depth)), "payload_malformed"),
                (depth, with_claims(&actors(depth)), "payload_malformed"),
                (depth, with_header(&objects(depth)), "header_malformed"),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn depth_is_bounded_also_for_very_long_tokens() {
    let app = whoami().layer(JwtLayer::new(shared().build().unwrap()).longest_token(1 << 20));
    for member in [r#""x":"#, r#""events":"#, r#""aud":"#] {
        let token = with_claims(&format!("{member}{}", "[".repeat(100_000)));
        assert_eq!(call(&app, bearer(&token)).await.reason(), "payload_malformed");
        let token = with_header(&format!("{member}{}", "[".repeat(100_000)));
        assert_eq!(call(&app, bearer(&token)).await.reason(), "header_malformed");
    }
}

#[tokio::test]
async fn the_number_of_members_is_bounded() {
    let members = |count: usize| -> String {
        let members: Vec<String> = (0..count).map(|index| format!(r#""m{index}":0"#)).collect();
        members.join(",")
    };
    let nested = |count| format!(r#""x":{{{}}}"#, members(count));
    expect(
        &shared().build().unwrap(),
        [
            ("claims, 256", with_claims(&members(252)), "ok"),
            ("claims, 257", with_claims(&members(253)), "payload_malformed"),
            ("claims, 300", with_claims(&members(300)), "payload_malformed"),
            ("header, 256", with_header(&members(255)), "ok"),
            ("header, 257", with_header(&members(256)), "header_malformed"),
            ("nested, 256", with_claims(&nested(256)), "ok"),
            ("nested, 257", with_claims(&nested(257)), "payload_malformed"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_token_is_three_parts() {
    let token = with_claims("");
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("{token}")
    };
    let cases = [
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        "..".to_owned(),
        "...".to_owned(),
        ".".to_owned(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{token}.{payload}.{signature}"),
        format!("{token}{token}"),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
    ];
    let cases = cases.map(|token| (token.clone(), token, "token_malformed"));
    expect(&shared().build().unwrap(), cases).await;
}

#[tokio::test]
async fn an_encrypted_token_is_refused() {
    let header = b64(r#"{"alg":"dir","enc":"A256GCM","typ":"at+jwt"}"#);
    let (iv, text, tag) = (b64([1; 12]), b64([2; 40]), b64([3; 16]));
    let cases = [
        format!("{header}..{iv}.{text}.{tag}"),
        format!("{header}.AAAA.{iv}.{text}.{tag}"),
    ];
    let cases = cases.map(|token| (token.clone(), token, "token_malformed"));
    expect(&shared().build().unwrap(), cases).await;
}

/// The same bytes, with bits set behind their end that no byte is made of.
fn with_trailing_bits(part: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = part.split_at(part.len() - 1);
    let index = ALPHABET.find(last).unwrap();
    format!("{start}{}", &ALPHABET[index + 1..index + 2])
}

#[tokio::test]
async fn a_token_has_one_spelling() {
    // Spaces bring both parts to a length that leaves bits over.
    let pad = |text: &str| format!("{text}{}", " ".repeat((4 - text.len() % 3) % 3));
    let (header, payload) = (b64(pad(HEADER)), b64(pad(&claims(""))));
    assert!(header.len() % 4 == 2 && payload.len() % 4 == 2);
    let good = sign_parts(&header, &payload);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let odd_signature = format!("{input}.{}", with_trailing_bits(signature));
    expect(
        &shared().build().unwrap(),
        [
            ("good", good.clone(), "ok"),
            (
                "header",
                sign_parts(&with_trailing_bits(&header), &payload),
                "token_malformed",
            ),
            (
                "payload",
                sign_parts(&header, &with_trailing_bits(&payload)),
                "token_malformed",
            ),
            ("signature", odd_signature, "token_malformed"),
            ("one more character", format!("{good}A"), "signature_invalid"),
            ("padding", format!("{good}="), "token_malformed"),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_alphabet_of_plain_base64_is_refused() {
    // These bytes need `+` and `/` there, and `-` and `_` here.
    let payload = claims(r#""x":"~~~???>>>""#);
    let plain = STANDARD.encode(&payload).trim_end_matches('=').to_owned();
    assert!(plain.contains(['+', '/']));
    let token = sign_parts(&b64(HEADER), &plain);
    expect(
        &shared().build().unwrap(),
        [
            ("plain", token, "token_malformed"),
            ("url", sign_bytes(HEADER, payload), "ok"),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_length_of_a_token_is_bounded() {
    let token = with_claims("");
    let app = |length| whoami().layer(JwtLayer::new(shared().build().unwrap()).longest_token(length));
    assert_eq!(call(&app(token.len()), bearer(&token)).await.reason(), "ok");
    let answer = call(&app(token.len() - 1), bearer(&token)).await;
    assert_eq!(answer.reason(), "token_too_long");
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn by_default_a_token_has_at_most_16_kib() {
    let filled = |length: usize| with_claims(&format!(r#""x":"{}""#, "x".repeat(length)));
    let (fits, exceeds) = (filled(12_000), filled(12_300));
    assert!(fits.len() < 16 * 1024 && exceeds.len() > 16 * 1024);
    expect(
        &shared().build().unwrap(),
        [("fits", fits, "ok"), ("exceeds", exceeds, "token_too_long")],
    )
    .await;
}

#[tokio::test]
async fn json_serialisations_of_a_signature_are_refused() {
    let token = with_claims("");
    let parts: Vec<&str> = token.split('.').collect();
    let flat = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string();
    let answer = call(
        &whoami().layer(JwtLayer::new(shared().build().unwrap())),
        bearer(&flat),
    )
    .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
}

// The principal.

#[tokio::test]
async fn a_principal_tells_what_the_token_says() {
    let idp = idp();
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    idp.clock().set_date(now);
    let token = idp
        .token()
        .subject("alice")
        .client("app")
        .token_id("t-1")
        .scopes([READ, WRITE]);
    let caller = principal(idp.issuer(), &token.sign()).await;
    assert_eq!(caller.method(), Method::Jwt);
    assert_eq!(caller.issuer(), Some(ISSUER));
    assert_eq!(caller.subject(), Some("alice"));
    assert_eq!(caller.client(), Some("app"));
    assert_eq!(caller.token_id(), Some("t-1"));
    assert_eq!(caller.key_id(), None);
    assert_eq!(caller.scopes().as_str(), "orders:read orders:write");
    assert_eq!(caller.issued_at(), Some(now));
    assert_eq!(caller.expires_at(), Some(now + Duration::from_secs(300)));
    assert_eq!(caller.actor(), None);
    let identity = caller.identity();
    assert_eq!(
        (identity.method(), identity.issuer(), identity.subject()),
        (Method::Jwt, Some(ISSUER), Some("alice"))
    );
}

#[tokio::test]
async fn what_a_token_does_not_say_is_not_known() {
    let token = with_claim("sub", None);
    let caller = principal(shared().build().unwrap(), &token).await;
    assert_eq!(caller.subject(), None);
    assert_eq!(caller.client(), None);
    assert_eq!(caller.token_id(), None);
    assert_eq!(caller.issued_at(), None);
    assert!(caller.scopes().is_empty());
}

#[tokio::test]
async fn the_same_subject_of_two_issuers_is_two_identities() {
    let (a, b, trusted) = two_issuers();
    let of_a = principal(trusted.clone(), &a.token().subject("alice").sign()).await;
    let of_b = principal(trusted, &b.token().subject("alice").sign()).await;
    assert_ne!(of_a.identity(), of_b.identity());
}

#[tokio::test]
async fn the_client_is_client_id_and_else_azp() {
    let rows = [
        (r#""client_id":"a","azp":"b""#, Some("a")),
        (r#""azp":"b","client_id":"a""#, Some("a")),
        (r#""azp":"b""#, Some("b")),
        (r#""client_id":"a""#, Some("a")),
        (r#""x":1"#, None),
    ];
    for (members, expected) in rows {
        let caller = principal(shared().build().unwrap(), &with_claims(members)).await;
        assert_eq!(caller.client(), expected, "{members}");
    }
}

#[tokio::test]
async fn only_the_outermost_actor_counts() {
    let act = r#""act":{"sub":"app","iss":"https://b.test","client_id":"c","act":{"sub":"admin"}}"#;
    let caller = principal(shared().build().unwrap(), &with_claims(act)).await;
    let actor = caller.actor().unwrap();
    assert_eq!(actor.subject.as_deref(), Some("app"));
    assert_eq!(actor.issuer.as_deref(), Some("https://b.test"));
    assert_eq!(actor.client.as_deref(), Some("c"));
    assert!(!format!("{actor:?}").contains("admin"));
}

#[tokio::test]
async fn an_actor_that_names_nobody_but_an_earlier_one_is_nobody() {
    let act = r#""act":{"act":{"sub":"admin"}}"#;
    let caller = principal(shared().build().unwrap(), &with_claims(act)).await;
    assert_eq!(caller.actor().unwrap().subject, None);
}

#[tokio::test]
async fn who_may_act_is_no_business_of_a_resource_server() {
    let token = with_claims(r#""may_act":{"sub":"app"}"#);
    assert_eq!(principal(shared().build().unwrap(), &token).await.actor(), None);
}

#[tokio::test]
async fn scopes_are_words_between_single_spaces() {
    let rows = [
        ("", ""),
        (" ", ""),
        ("a b", "a b"),
        ("a  b", "a b"),
        (" a b ", "a b"),
        ("a\tb", ""),
        ("a\nb", ""),
        ("a\u{a0}b", ""),
        ("a \"b\" c", "a c"),
        ("a b\\ c", "a c"),
        ("a,b", "a,b"),
        ("a \u{e9} b", "a b"),
        ("a b\u{7f} c", "a c"),
        ("A a", "A a"),
    ];
    for (text, expected) in rows {
        let token = with_claims(&format!(r#""scope":{}"#, json!(text)));
        let caller = principal(shared().build().unwrap(), &token).await;
        assert_eq!(caller.scopes().as_str(), expected, "{text:?}");
    }
}

#[tokio::test]
async fn a_scope_is_held_to_the_letter() {
    let token = with_claims(r#""scope":"orders:read orders""#);
    let caller = principal(shared().build().unwrap(), &token).await;
    assert!(caller.has(&READ));
    for other in ["orders:rea", "orders:read:all", "Orders:read", "read", "rders"] {
        assert!(!caller.has(&Scope::new(other).unwrap()), "{other}");
    }
}

#[tokio::test]
async fn scopes_are_read_from_the_scope_claim_only() {
    let token = with_claims(r#""scp":"orders:read","permissions":["orders:read"],"roles":["orders:read"]"#);
    let caller = principal(shared().build().unwrap(), &token).await;
    assert!(caller.scopes().is_empty());
}
