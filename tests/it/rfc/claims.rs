//! The form of a token (RFC 7515, 7518, 7797), its claims (RFC 7519) and the profile of access tokens (RFC 9068).

use std::collections::BTreeSet;
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
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_resource_server::testing::{TestClock, TestIssuer, TokenBuilder};
use tower_resource_server::{
    Algorithm, CachedKeys, FixedKeys, Issuer, IssuerBuilder, JwtLayer, MemoryRevocations, Principal, Profile,
    RemoteKeys, Revocation, Secret, WithAudience,
};

use crate::explain;
use crate::server::PATIENT;
use crate::support::{API, Answer, Broken, ISSUER, READ, WRITE, bearer, call, idp, whoami};

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const SECRET: [u8; 64] = [7; 64];
pub(super) const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

/// An issuer whose secret the tests know, so that every sequence of bytes can be signed.
pub(super) fn shared() -> IssuerBuilder<WithAudience> {
    Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::secret(Secret::new(SECRET)))
        .clock(TestClock::starting_at(UNIX_EPOCH + Duration::from_secs(NOW)))
        .leeway(Duration::ZERO)
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs two parts that are encoded already.
fn sign_parts(header: &str, payload: &str) -> String {
    let input = format!("{header}.{payload}");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), input.as_bytes());
    format!("{input}.{}", b64(tag))
}

pub(super) fn sign_bytes(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    sign_parts(&b64(header), &b64(payload))
}

/// Good claims with these members, as text, before them.
pub(super) fn claims(members: &str) -> String {
    let exp = NOW + 300;
    format!(r#"{{{members}"iss":"{ISSUER}","aud":"{API}","exp":{exp},"sub":"alice"}}"#)
}

pub(super) fn with_header(members: &str) -> String {
    sign_bytes(format!(r#"{{{members}"alg":"HS256"}}"#), claims(""))
}

pub(super) fn with_claims(members: &str) -> String {
    sign_bytes(HEADER, claims(members))
}

/// Good claims, one of which has this value, as text.
pub(super) fn with_claim(name: &str, value: &str) -> String {
    let good = [
        ("iss", ISSUER.to_owned()),
        ("aud", API.to_owned()),
        ("sub", "alice".to_owned()),
    ];
    let good = good.map(|(name, value)| (name, format!("{value:?}")));
    let good = good.into_iter().chain([("exp", (NOW + 300).to_string())]);
    let kept = good
        .filter(|(kept, _)| *kept != name)
        .chain([(name, value.to_owned())]);
    let members: Vec<String> = kept.map(|(name, value)| format!("{name:?}:{value}")).collect();
    sign_bytes(HEADER, format!("{{{}}}", members.join(",")))
}

async fn answer(issuer: &Issuer, token: &str) -> Answer {
    let answer = call(&whoami().layer(JwtLayer::new(issuer.clone())), bearer(token)).await;
    explain::agrees(&issuer.clone().into(), token, answer.reason()).await;
    answer
}

/// Judges each token and tells every one whose reason is not the expected one.
pub(super) async fn expect<N: AsRef<str>>(
    issuer: &Issuer,
    cases: impl IntoIterator<Item = (N, String, &str)>,
) {
    let mut wrong = Vec::new();
    for (name, token, expected) in cases {
        let reason = answer(issuer, &token).await.reason();
        if reason != expected {
            wrong.push(format!("{:?}: {reason} and not {expected}", name.as_ref()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The same, for an issuer that shares its secret.
pub(super) async fn expect_shared<N: AsRef<str>>(cases: impl IntoIterator<Item = (N, String, &str)>) {
    expect(&shared().build().unwrap(), cases).await;
}

pub(super) async fn principal(issuer: Issuer, token: &str) -> Principal {
    let handler = get(|caller: Principal| async move { Extension(caller) });
    let app = Router::new().route("/", handler).layer(JwtLayer::new(issuer));
    let mut response = app.oneshot(bearer(token)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.extensions_mut().remove::<Principal>().unwrap()
}

/// A key of which the private part is here, to sign with as a test likes; and its JWK.
fn ec_key(kid: &str) -> (Vec<u8>, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let jwk =
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..])});
    (pair.to_pkcs8v1().unwrap().as_ref().to_vec(), jwk)
}

fn ec_signature(form: &'static EcdsaSigningAlgorithm, private: &[u8], message: &str) -> Vec<u8> {
    let pair = EcdsaKeyPair::from_pkcs8(form, private).unwrap();
    pair.sign(&SystemRandom::new(), message.as_bytes())
        .unwrap()
        .as_ref()
        .to_vec()
}

/// The same bytes, with bits set behind their end that no byte is made of.
fn with_trailing_bits(part: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = part.split_at(part.len() - 1);
    let index = ALPHABET.find(last).unwrap();
    format!("{start}{}", &ALPHABET[index + 1..index + 2])
}

// C. The form of a token.

#[tokio::test]
async fn c01_a_token_is_three_parts_of_base64url() {
    let good = with_claims("");
    let (input, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = input.split_once('.').unwrap();
    expect_shared([
        ("whole", good.clone(), "ok"),
        ("two parts", input.to_owned(), "token_malformed"),
        ("no signature", format!("{input}."), "token_malformed"),
        ("no header", format!(".{payload}.{signature}"), "token_malformed"),
        ("no payload", format!("{header}..{signature}"), "token_malformed"),
        ("four parts", format!("{good}.{signature}"), "token_malformed"),
        ("padding", format!("{good}="), "token_malformed"),
        ("plus", format!("+{good}"), "token_malformed"),
        ("slash", format!("{good}/"), "token_malformed"),
    ])
    .await;
    for odd in [" x", "\tx"] {
        let answer = answer(&shared().build().unwrap(), &format!("{good}{odd}")).await;
        assert_eq!(answer.reason(), "header_unreadable", "{odd:?}");
    }
}

#[tokio::test]
async fn c02_the_json_forms_of_a_signature_are_refused() {
    let good = with_claims("");
    let parts: Vec<&str> = good.split('.').collect();
    let flat = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string();
    expect_shared([
        ("compact", good.clone(), "ok"),
        ("flattened", flat, "header_unreadable"),
        ("quoted", format!("{good:?}"), "header_unreadable"),
    ])
    .await;
}

#[tokio::test]
async fn c03_a_token_has_one_spelling() {
    // Spaces bring both parts to a length that leaves bits over.
    let pad = |text: &str| b64(format!("{text}{}", " ".repeat((4 - text.len() % 3) % 3)));
    let (header, payload) = (pad(HEADER), pad(&claims("")));
    let good = sign_parts(&header, &payload);
    let odd = [
        ("header", sign_parts(&with_trailing_bits(&header), &payload)),
        ("payload", sign_parts(&header, &with_trailing_bits(&payload))),
        ("signature", with_trailing_bits(&good)),
    ];
    let odd = odd.map(|(name, token)| (name, token, "token_malformed"));
    expect_shared(odd.into_iter().chain([("good", good, "ok")])).await;
}

#[tokio::test]
async fn c04_the_header_is_a_json_object_in_utf8() {
    let sign = |header: &[u8]| sign_bytes(header, claims(""));
    expect_shared([
        (
            "UTF-8",
            sign("{\"alg\":\"HS256\",\"x\":\"\u{e9}\"}".as_bytes()),
            "ok",
        ),
        (
            "Latin-1",
            sign(b"{\"alg\":\"HS256\",\"x\":\"\xe9\"}"),
            "header_malformed",
        ),
        ("array", sign(b"[\"HS256\"]"), "header_malformed"),
        ("string", sign(b"\"HS256\""), "header_malformed"),
        ("null", sign(b"null"), "header_malformed"),
    ])
    .await;
}

#[tokio::test]
async fn c05_a_header_member_is_written_once() {
    expect_shared([
        ("once", with_header(r#""x":1,"y":1,"#), "ok"),
        ("twice", with_header(r#""x":1,"x":1,"#), "header_malformed"),
        ("alg", with_header(r#""alg":"none","#), "header_malformed"),
        (
            "escaped",
            with_header(r#""\u0061lg":"none","#),
            "header_malformed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn c06_nothing_follows_the_json_of_a_part() {
    let white = sign_bytes(format!("{HEADER} \n"), claims("") + "\t");
    let header = ["x", "{}", "\0"].map(|tail| (tail, sign_bytes(format!("{HEADER}{tail}"), claims(""))));
    let payload = ["x", "{}", "\0"].map(|tail| (tail, sign_bytes(HEADER, claims("") + tail)));
    let header = header.map(|(tail, token)| (tail, token, "header_malformed"));
    let payload = payload.map(|(tail, token)| (tail, token, "payload_malformed"));
    expect_shared(
        header
            .into_iter()
            .chain(payload)
            .chain([("white space", white, "ok")]),
    )
    .await;
}

#[tokio::test]
async fn c07_the_algorithm_is_checked_before_any_key_work() {
    let idp = idp();
    // Whoever asks for a key here hears that there is none to be had.
    let keyless = idp.issuer_builder().keys(CachedKeys::new(Broken));
    let keyless = keyless.algorithms([Algorithm::Es256]).build().unwrap();
    let named = |alg: Value| idp.token().header("alg", alg).sign();
    expect(&idp.issuer(), [("good", idp.token().sign(), "ok")]).await;
    expect(
        &keyless,
        [
            ("acceptable", idp.token().sign(), "keys_unavailable"),
            ("unlisted", named("RS256".into()), "algorithm_not_accepted"),
            ("symmetric", named("HS256".into()), "algorithm_not_accepted"),
            ("unheard of", named("XS256".into()), "algorithm_unknown"),
            ("other case", named("es256".into()), "algorithm_unknown"),
            ("number", named(256.into()), "header_malformed"),
            ("absent", named(Value::Null), "header_malformed"),
        ],
    )
    .await;
}

#[tokio::test]
async fn c08_a_token_without_a_signature_is_refused() {
    let mut cases = vec![("HS256", with_claims(""), "ok")];
    for name in ["none", "None", "NONE", "nOnE"] {
        let (header, payload) = (b64(format!(r#"{{"alg":"{name}"}}"#)), b64(claims("")));
        cases.push((name, sign_parts(&header, &payload), "algorithm_unknown"));
        cases.push((name, format!("{header}.{payload}."), "token_malformed"));
    }
    expect_shared(cases).await;
}

#[tokio::test]
async fn c09_an_extension_that_is_not_understood_is_refused() {
    let crit = [
        r#""crit":["x"],"x":1,"#,
        r#""crit":["exp"],"exp":1,"#,
        r#""crit":["alg"],"#,
        r#""crit":["absent"],"#,
        r#""crit":["x","x"],"x":1,"#,
        r#""crit":[],"#,
    ];
    let crit = crit.map(|member| (member, with_header(member), "critical_extension"));
    let optional = ("not critical", with_header(r#""x":1,"exp":1,"#), "ok");
    expect_shared(crit.into_iter().chain([optional])).await;
}

#[tokio::test]
async fn c10_an_unencoded_payload_is_refused() {
    expect_shared([
        ("absent", with_header(""), "ok"),
        (
            "critical",
            with_header(r#""crit":["b64"],"b64":false,"#),
            "critical_extension",
        ),
        (
            "not critical",
            with_header(r#""b64":false,"#),
            "critical_extension",
        ),
    ])
    .await;
}

#[tokio::test]
async fn c11_a_kid_is_compared_to_the_letter_and_bounded() {
    let idp = idp();
    let kid = |kid: &str| idp.token().header("kid", kid).sign();
    let others = [
        "ES256-1",
        "es256-1 ",
        "./es256-1",
        "../../dev/null",
        "' OR '1'='1",
        "*",
        "",
    ];
    let others = others.map(|other| (other, kid(other), "signing_key_unknown"));
    let known = ("known", kid("es256-1"), "ok");
    let long = ("long", kid(&"k".repeat(10_000)), "header_malformed");
    expect(&idp.issuer(), others.into_iter().chain([known, long])).await;
}

#[tokio::test]
async fn c12_a_key_that_the_token_brings_along_is_not_used() {
    let (private, jwk) = ec_key("mine");
    let idp = idp();
    let payload = b64(json!({"iss": ISSUER, "aud": API, "exp": NOW * 2, "sub": "mallory"}).to_string());
    let forge = |header: Value| {
        let input = format!("{}.{payload}", b64(header.to_string()));
        let signature = ec_signature(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &input);
        format!("{input}.{}", b64(signature))
    };
    let url = "https://evil.test/keys";
    let ignored = idp
        .token()
        .header("jwk", &jwk)
        .header("jku", url)
        .header("x5u", url)
        .sign();
    let known = |member: &str, value: Value| forge(json!({"alg": "ES256", "kid": "es256-1", member: value}));
    expect(
        &idp.issuer(),
        [
            ("ignored", ignored, "ok"),
            ("jwk", known("jwk", jwk.clone()), "signature_invalid"),
            ("jku", known("jku", url.into()), "signature_invalid"),
            ("x5u", known("x5u", url.into()), "signature_invalid"),
            ("x5c", known("x5c", json!(["AA=="])), "signature_invalid"),
            (
                "its own kid",
                forge(json!({"alg": "ES256", "kid": "mine", "jwk": jwk})),
                "signing_key_unknown",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn c13_the_type_is_a_media_type() {
    let idp = idp();
    let rows = [
        ("at+jwt", "ok"),
        ("AT+JWT", "ok"),
        ("application/at+jwt", "ok"),
        ("Application/At+Jwt", "ok"),
        ("text/at+jwt", "type_not_accepted"),
        ("application/application/at+jwt", "type_not_accepted"),
        ("at+jwt ", "type_not_accepted"),
    ];
    let cases = rows.map(|(typ, expected)| (typ, idp.token().header("typ", typ).sign(), expected));
    expect(&idp.issuer().with_profile(Profile::rfc9068()), cases).await;
}

#[tokio::test]
async fn c14_an_ecdsa_signature_is_two_numbers_of_fixed_length() {
    let (private, jwk) = ec_key("k");
    let keys = FixedKeys::jwks(&json!({ "keys": [jwk] }).to_string()).unwrap();
    let issuer = shared().keys(keys).build().unwrap();
    let input = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"k"}"#), b64(claims("")));
    let fixed = ec_signature(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &input);
    let der = ec_signature(&ECDSA_P256_SHA256_ASN1_SIGNING, &private, &input);
    let rows = [
        ("fixed", fixed.clone(), "ok"),
        ("DER", der, "signature_invalid"),
        ("short", fixed[..63].to_vec(), "signature_invalid"),
        ("long", [&fixed[..], &[0]].concat(), "signature_invalid"),
        ("zeros", vec![0; 64], "signature_invalid"),
        ("r is 0", [&[0; 32], &fixed[32..]].concat(), "signature_invalid"),
        (
            "s is out of range",
            [&fixed[..32], &[0xff; 32]].concat(),
            "signature_invalid",
        ),
    ];
    let cases = rows.map(|(name, bytes, expected)| (name, format!("{input}.{}", b64(bytes)), expected));
    expect(&issuer, cases).await;
    let idp = idp();
    for (algorithm, length) in [(Algorithm::Es384, 96), (Algorithm::Es512, 132)] {
        let token = idp.token().algorithm(algorithm).sign();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let whole = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert_eq!(whole.len(), length);
        let cut = format!("{input}.{}", b64(&whole[..length - 2]));
        expect(
            &idp.issuer(),
            [("whole", token.clone(), "ok"), ("cut", cut, "signature_invalid")],
        )
        .await;
    }
}

#[tokio::test]
async fn c15_an_rsa_key_has_2048_bits() {
    for (bytes, usable) in [(128, false), (255, false), (256, true), (384, true)] {
        let jwk = json!({"kty": "RSA", "kid": "k", "e": "AQAB", "n": b64(vec![0xff; bytes])});
        let keys = FixedKeys::jwks(&json!({ "keys": [jwk] }).to_string());
        assert_eq!(keys.is_ok(), usable, "{bytes}: {keys:?}");
    }
}

#[tokio::test]
async fn c16_a_secret_is_as_long_as_the_hash() {
    let idp = idp();
    let lengths = [
        (Algorithm::Hs256, 32),
        (Algorithm::Hs384, 48),
        (Algorithm::Hs512, 64),
    ];
    for (algorithm, length) in lengths {
        let secret = |length: usize| Secret::new(&SECRET[..length]);
        let build = |length| {
            let keys = FixedKeys::secret(secret(length));
            idp.issuer_builder().keys(keys).algorithms([algorithm]).build()
        };
        assert!(build(length - 1).is_err(), "{algorithm}");
        let token = idp.token().algorithm(algorithm).sign_with_secret(&secret(length));
        expect(&build(length).unwrap(), [(algorithm.as_str(), token, "ok")]).await;
    }
    let password = FixedKeys::secret(Secret::new("hunter2"));
    assert!(shared().keys(password).build().is_err());
}

#[tokio::test]
async fn c18_a_key_has_one_algorithm() {
    let idp = idp();
    let signed = |by: Algorithm, named: &str| idp.token().algorithm(by).header("alg", named).sign();
    expect(
        &idp.issuer(),
        [
            ("its own", signed(Algorithm::Rs256, "RS256"), "ok"),
            (
                "other padding",
                signed(Algorithm::Rs256, "PS256"),
                "signing_key_ambiguous",
            ),
            (
                "other hash",
                signed(Algorithm::Rs256, "RS512"),
                "signing_key_ambiguous",
            ),
            (
                "other type",
                signed(Algorithm::Rs256, "ES256"),
                "signing_key_ambiguous",
            ),
            (
                "other curve",
                signed(Algorithm::Es256, "ES384"),
                "signing_key_ambiguous",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn c19_a_public_key_is_never_an_hmac_secret() {
    let idp = idp();
    let good = idp.token().algorithm(Algorithm::Rs256).sign();
    let document: Value = serde_json::from_str(&idp.jwks()).unwrap();
    let jwk = document["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kty"] == "RSA")
        .unwrap();
    let forged = |text: &[u8], kid: &str| {
        idp.token()
            .header("kid", kid)
            .sign_with_secret(&Secret::new(text))
    };
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let kid = jwk["kid"].as_str().unwrap();
    // This list allows the mistake; the key does not.
    let careless = idp
        .issuer_builder()
        .algorithms([Algorithm::Rs256, Algorithm::Hs256])
        .build()
        .unwrap();
    for text in [&modulus[..], jwk.to_string().as_bytes()] {
        expect(
            &idp.issuer(),
            [("strict", forged(text, kid), "algorithm_not_accepted")],
        )
        .await;
        expect(
            &careless,
            [("careless", forged(text, kid), "signing_key_ambiguous")],
        )
        .await;
    }
    expect(&careless, [("good", good, "ok")]).await;
}

#[tokio::test]
async fn c20_ed25519_is_accepted_by_both_its_names() {
    let idp = idp();
    let named = |name: &str| idp.token().algorithm(Algorithm::EdDsa).header("alg", name).sign();
    expect(
        &idp.issuer(),
        [
            ("EdDSA", named("EdDSA"), "ok"),
            ("Ed25519", named("Ed25519"), "ok"),
            ("ed25519", named("ed25519"), "algorithm_unknown"),
            ("Ed448", named("Ed448"), "algorithm_unknown"),
        ],
    )
    .await;
}

#[tokio::test]
async fn c21_the_length_of_a_token_is_bounded() {
    let filled = |length: usize| with_claims(&format!(r#""x":"{}","#, "x".repeat(length)));
    expect_shared([
        ("fits", filled(10_000), "ok"),
        ("exceeds", filled(20_000), "token_too_long"),
        ("short dots", ".".repeat(10_000), "token_malformed"),
        ("is not even split", ".".repeat(20_000), "token_too_long"),
    ])
    .await;
}

// E. The claims.

#[tokio::test]
async fn e01_the_payload_is_one_json_object_in_utf8() {
    let sign = |payload: &[u8]| sign_bytes(HEADER, payload);
    expect_shared([
        ("UTF-8", with_claims("\"x\":\"\u{e9}\","), "ok"),
        ("Latin-1", sign(b"{\"x\":\"\xe9\"}"), "payload_malformed"),
        ("array", sign(b"[]"), "payload_malformed"),
        ("null", sign(b"null"), "payload_malformed"),
        ("twice", with_claims(r#""x":1,"x":1,"#), "payload_malformed"),
        (
            "iss",
            with_claims(r#""iss":"https://evil.test","#),
            "payload_malformed",
        ),
        ("escaped", with_claims(r#""\u0065xp":1,"#), "payload_malformed"),
    ])
    .await;
}

#[tokio::test]
async fn e02_unknown_claims_are_ignored() {
    expect_shared([
        (
            "unknown",
            with_claims(r#""x":{"y":[1,null,true,"z"]},"":0,"EXP":0,"#),
            "ok",
        ),
        ("known", with_claims(r#""nbf":"soon","#), "payload_malformed"),
    ])
    .await;
}

#[tokio::test]
async fn e03_the_issuer_is_compared_to_the_letter() {
    let rows = [
        (ISSUER, "ok"),
        ("https://idp.test/", "issuer_unknown"),
        ("https://IDP.test", "issuer_unknown"),
        ("https://idp.test:443", "issuer_unknown"),
        ("http://idp.test", "issuer_unknown"),
        ("", "issuer_unknown"),
    ];
    let cases = rows.map(|(name, expected)| (name, with_claim("iss", &format!("{name:?}")), expected));
    expect_shared(cases).await;
}

#[tokio::test]
async fn e04_the_audience_is_a_string_or_one_of_an_array() {
    let rows = [
        (r#""https://api.test""#, "ok"),
        (r#"["https://other.test","https://api.test"]"#, "ok"),
        (r#""https://other.test""#, "audience_mismatch"),
        (r#"["https://other.test"]"#, "audience_mismatch"),
        (r#""https://api.test/""#, "audience_mismatch"),
        ("[]", "audience_mismatch"),
        ("1", "payload_malformed"),
        (r#"["https://api.test",1]"#, "payload_malformed"),
    ];
    expect_shared(rows.map(|(value, expected)| (value, with_claim("aud", value), expected))).await;
}

/// Tokens of which this date is so many seconds away, for an issuer with this leeway.
async fn expect_dates(name: &str, rows: &[(u64, i64, &'static str)]) {
    for (leeway, offset, expected) in rows {
        let issuer = shared().leeway(Duration::from_secs(*leeway)).build().unwrap();
        let date = NOW.checked_add_signed(*offset).unwrap().to_string();
        let case = format!("{leeway}, {offset}");
        expect(&issuer, [(case, with_claim(name, &date), *expected)]).await;
    }
}

#[tokio::test]
async fn e05_an_expired_token_is_refused() {
    let rows = [
        (0, 1, "ok"),
        (0, 0, "token_expired"),
        (0, -1, "token_expired"),
        (60, -59, "ok"),
        (60, -60, "token_expired"),
    ];
    expect_dates("exp", &rows).await;
    assert!(shared().leeway(Duration::from_secs(3600)).build().is_err());
}

#[tokio::test]
async fn e06_a_token_is_refused_before_its_time() {
    let rows = [
        (0, 0, "ok"),
        (0, 1, "token_not_yet_valid"),
        (60, 60, "ok"),
        (60, 61, "token_not_yet_valid"),
    ];
    expect_dates("nbf", &rows).await;
}

#[tokio::test]
async fn e07_a_token_that_was_issued_in_the_future_is_refused() {
    let rows = [
        (0, -100_000, "ok"),
        (0, 0, "ok"),
        (0, 1, "token_from_future"),
        (60, 60, "ok"),
    ];
    expect_dates("iat", &rows).await;
    expect_shared([("text", with_claim("iat", r#""1800000000""#), "payload_malformed")]).await;
}

#[tokio::test]
async fn e08_a_date_is_a_number_in_range() {
    let rows = [
        ("1800000000.5", "ok"),
        ("1.8000001e9", "ok"),
        ("1799999999.9", "token_expired"),
        ("-1", "payload_malformed"),
        ("1e300", "payload_malformed"),
        ("18446744073709551616", "payload_malformed"),
        ("9223372036854775807", "payload_malformed"),
        ("NaN", "payload_malformed"),
        (r#""1900000000""#, "payload_malformed"),
    ];
    expect_shared(rows.map(|(value, expected)| (value, with_claim("exp", value), expected))).await;
}

#[tokio::test]
async fn e09_a_token_can_be_withdrawn_by_its_id() {
    let idp = idp();
    let revocations = MemoryRevocations::with_clock(idp.clock().clone());
    let app = whoami().layer(JwtLayer::new(idp.issuer()).revocations(revocations.clone()));
    let reason = async |token: TokenBuilder| call(&app, bearer(&token.sign())).await.reason();
    revocations.revoke(&Revocation::token(
        ISSUER,
        "gone",
        UNIX_EPOCH + Duration::from_secs(NOW * 2),
    ));
    assert_eq!(reason(idp.token().token_id("here")).await, "ok");
    assert_eq!(reason(idp.token().token_id("gone")).await, "token_revoked");
    assert_eq!(reason(idp.token().claim("jti", 1)).await, "payload_malformed");
}

#[tokio::test]
async fn e10_a_registered_claim_of_the_wrong_type_is_refused() {
    let rows = [
        ("iss", "1"),
        ("sub", "{}"),
        ("aud", "true"),
        ("exp", "[]"),
        ("nbf", "true"),
        ("iat", "{}"),
        ("jti", "1"),
        ("client_id", "[]"),
        ("scope", "1"),
    ];
    let refused = rows.map(|(name, value)| (name, with_claim(name, value), "payload_malformed"));
    let good = ("jti as text", with_claim("jti", r#""1""#), "ok");
    expect_shared(refused.into_iter().chain([good])).await;
}

#[tokio::test]
async fn e11_a_token_in_a_token_is_refused() {
    let refused = ["JWT", "jwt", "application/jwt"].map(|cty| {
        let token = with_header(&format!(r#""cty":"{cty}","#));
        (cty, token, "header_malformed")
    });
    let nested = sign_bytes(HEADER, with_claims(""));
    let more = [
        ("unmarked", nested, "payload_malformed"),
        ("single", with_claims(""), "ok"),
    ];
    expect_shared(refused.into_iter().chain(more)).await;
}

#[tokio::test]
async fn e12_a_good_signature_by_another_algorithm_is_refused() {
    let idp = idp();
    let issuer = idp
        .issuer_builder()
        .algorithms([Algorithm::Es256])
        .build()
        .unwrap();
    let signed = |algorithm| idp.token().algorithm(algorithm).sign();
    expect(
        &issuer,
        [
            ("ES256", signed(Algorithm::Es256), "ok"),
            ("ES384", signed(Algorithm::Es384), "algorithm_not_accepted"),
            ("EdDSA", signed(Algorithm::EdDsa), "algorithm_not_accepted"),
        ],
    )
    .await;
}

// G. The profile of access tokens.

/// Tokens of a test issuer that follows the profile, each of which is a good one with a change.
async fn expect_profile<N: AsRef<str>>(
    idp: &TestIssuer,
    cases: impl IntoIterator<Item = (N, TokenBuilder, &str)>,
) {
    let signed = cases
        .into_iter()
        .map(|(name, token, expected)| (name, token.sign(), expected));
    expect(&idp.issuer().with_profile(Profile::rfc9068()), signed).await;
}

#[tokio::test]
async fn g01_the_type_is_that_of_an_access_token() {
    let idp = idp();
    let typed = |typ: &str| idp.token().header("typ", typ);
    let absent = idp.token().without_header("typ");
    expect_profile(
        &idp,
        [
            ("at+jwt", typed("at+jwt"), "ok"),
            ("application/at+jwt", typed("application/at+jwt"), "ok"),
            ("JWT", typed("JWT"), "type_not_accepted"),
            ("logout+jwt", typed("logout+jwt"), "type_not_accepted"),
            ("absent", absent.clone(), "type_not_accepted"),
        ],
    )
    .await;
    let lenient = idp
        .issuer()
        .with_profile(Profile::rfc9068().accept_missing_type());
    let jwt = ("JWT", typed("JWT").sign(), "type_not_accepted");
    expect(&lenient, [("absent", absent.clone().sign(), "ok"), jwt]).await;
    let legacy = [
        ("JWT", typed("JWT").sign(), "ok"),
        ("absent", absent.sign(), "ok"),
    ];
    expect(&idp.issuer(), legacy).await;
}

#[tokio::test]
async fn g02_the_issuer_is_the_authorization_server() {
    let idp = idp();
    let named = |name: &str| idp.token().claim("iss", name);
    expect_profile(
        &idp,
        [
            ("its own", named(ISSUER), "ok"),
            ("a slash more", named("https://idp.test/"), "issuer_unknown"),
            ("another", named("https://evil.test"), "issuer_unknown"),
        ],
    )
    .await;
}

#[tokio::test]
async fn g03_the_audience_is_this_resource() {
    let idp = idp();
    expect_profile(
        &idp,
        [
            ("this", idp.token(), "ok"),
            ("among others", idp.token().claim("aud", ["x", API]), "ok"),
            (
                "another",
                idp.token().audience("https://other.test"),
                "audience_mismatch",
            ),
            (
                "the client",
                idp.token().audience("test-client"),
                "audience_mismatch",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn g04_the_signature_is_by_a_key_that_the_issuer_publishes() {
    let (idp, impostor) = (idp(), TestIssuer::new(ISSUER, API));
    let unsigned = idp.token().header("alg", "none");
    expect_profile(
        &idp,
        [
            ("published", idp.token(), "ok"),
            ("of somebody else", impostor.token(), "signature_invalid"),
            ("none", unsigned, "algorithm_unknown"),
        ],
    )
    .await;
    let old = idp.token().sign();
    idp.rotate();
    let rotated = [
        ("withdrawn", old, "signing_key_unknown"),
        ("new", idp.token().sign(), "ok"),
    ];
    expect(&idp.issuer(), rotated).await;
}

#[tokio::test]
async fn g05_a_token_expires_with_a_small_leeway() {
    let idp = idp();
    let token = idp.token().expires_in(Duration::from_secs(60));
    for (seconds, expected) in [(59, "ok"), (30, "ok"), (1, "token_expired")] {
        // By default the leeway is thirty seconds: the token's last one is the 89th.
        idp.clock().advance(Duration::from_secs(seconds));
        expect_profile(&idp, [(expected, token.clone(), expected)]).await;
    }
}

#[tokio::test]
async fn g07_every_failure_is_an_invalid_token() {
    let idp = idp();
    let issuer = idp.issuer().with_profile(Profile::rfc9068());
    let bad = [
        "x".to_owned(),
        idp.token().header("typ", "JWT").sign(),
        idp.token().claim("iss", "https://evil.test").sign(),
        idp.token().audience("x").sign(),
        idp.token().without("jti").sign(),
        TestIssuer::new(ISSUER, API).token().sign(),
        idp.token().claim("exp", 1).sign(),
    ];
    let mut reasons = BTreeSet::new();
    for token in bad {
        let answer = answer(&issuer, &token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
        assert!(answer.challenges()[0].starts_with("Bearer "), "{answer:?}");
        assert!(
            answer.challenges()[0].contains("error=\"invalid_token\""),
            "{answer:?}"
        );
        assert!(reasons.insert(answer.reason()), "{answer:?}");
    }
    let good = answer(&issuer, &idp.token().sign()).await;
    assert_eq!((good.status, good.challenges().len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn g08_the_required_claims_are_there() {
    let idp = idp();
    let required = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
    let cases = required.map(|name| (name, idp.token().without(name), "claim_missing"));
    expect_profile(&idp, cases.into_iter().chain([("whole", idp.token(), "ok")])).await;
}

#[tokio::test]
async fn g09_rs256_is_accepted_by_default() {
    let idp = idp();
    let (good, other) = (Algorithm::Rs256, Algorithm::Rs512);
    let (good, other) = (
        idp.token().algorithm(good).sign(),
        idp.token().algorithm(other).sign(),
    );
    let by_default = Issuer::builder(ISSUER).audience(API).clock(idp.clock().clone());
    let by_default = by_default
        .keys(FixedKeys::jwks(&idp.jwks()).unwrap())
        .build()
        .unwrap();
    expect(
        &by_default,
        [("RS256", good, "ok"), ("RS512", other, "algorithm_not_accepted")],
    )
    .await;
}

#[tokio::test]
async fn g10_scopes_are_words_between_spaces() {
    let idp = idp();
    let caller = principal(idp.issuer(), &idp.token().claim("scope", "orders:read x").sign()).await;
    assert!(caller.has(&READ) && !caller.has(&WRITE));
    let list = idp.token().claim("scope", ["orders:read"]);
    expect_profile(&idp, [("array", list, "payload_malformed")]).await;
}

#[derive(Debug, Deserialize)]
struct Memberships {
    roles: Vec<String>,
    groups: Vec<String>,
    entitlements: Vec<String>,
}

#[tokio::test]
async fn g11_roles_groups_and_entitlements_can_be_read() {
    let idp = idp();
    let issuer = idp.issuer_builder().claims::<Memberships>().build().unwrap();
    let token = idp.token().claim("roles", ["admin"]).claim("groups", ["staff"]);
    let whole = token.clone().claim("entitlements", ["export"]).sign();
    let caller = principal(issuer.clone(), &whole).await;
    let claims = caller.claims::<Memberships>().unwrap();
    let read = (&claims.roles[..], &claims.groups[..], &claims.entitlements[..]);
    assert_eq!(format!("{read:?}"), r#"(["admin"], ["staff"], ["export"])"#);
    let odd = token.claim("entitlements", 1).sign();
    expect(&issuer, [("number", odd, "claims_undecodable")]).await;
}

#[tokio::test]
async fn g12_how_the_user_authenticated_can_be_read() {
    let idp = idp();
    let token = idp
        .token()
        .claim("acr", "mfa")
        .claim("amr", ["pwd", "otp"])
        .claim("auth_time", NOW);
    let caller = principal(idp.issuer(), &token.sign()).await;
    let known = caller.authentication().unwrap();
    assert_eq!(known.context.as_deref(), Some("mfa"));
    assert_eq!(known.methods, ["pwd", "otp"]);
    assert_eq!(known.time, Some(UNIX_EPOCH + Duration::from_secs(NOW)));
    let silent = principal(idp.issuer(), &idp.token().sign()).await;
    assert!(silent.authentication().is_none());
}

#[tokio::test]
async fn g13_keys_are_found_through_the_issuers_metadata() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let idp = TestIssuer::new(format!("{address}/honest"), API);
    // Its metadata are those of the honest one.
    let impostor = TestIssuer::new(format!("{address}/impostor"), API);
    let metadata = json!({"issuer": idp.name(), "jwks_uri": format!("{address}/honest/jwks")}).to_string();
    let lie = get(move || async move { ([("content-type", "application/json")], metadata) });
    let router = idp.router();
    let router = router.route("/impostor/.well-known/openid-configuration", lie.clone());
    let router = router.route("/.well-known/oauth-authorization-server/impostor", lie);
    tokio::spawn(async move { axum::serve(listener, router).await });
    for (idp, expected) in [(&idp, "ok"), (&impostor, "keys_unavailable")] {
        let keys = CachedKeys::from(RemoteKeys::discover(idp.name())).longest_wait(PATIENT);
        let issuer = idp.issuer_builder().keys(keys).build().unwrap();
        expect(&issuer, [(idp.name(), idp.token().sign(), expected)]).await;
    }
}

#[tokio::test]
async fn g14_a_client_is_not_taken_for_a_user() {
    let idp = idp();
    let issuer = idp.issuer().with_profile(Profile::rfc9068());
    let rows = [("alice", "app", true), ("app", "app", false)];
    for (subject, client, user) in rows {
        let token = idp.token().subject(subject).client(client).sign();
        let caller = principal(issuer.clone(), &token).await;
        assert_eq!(caller.is_user(), user, "{subject} by {client}");
    }
}
