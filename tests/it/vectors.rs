//! Published vectors, as far as a user of the crate can see them: see `vectors/README.md` for where they are from.

use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderName;
use serde_json::{Value, json};
use tower_resource_server::testing::TestClock;
use tower_resource_server::{
    Algorithm, FixedKeys, Issuer, JwtLayer, KeySet, KeySetError, Secret, SkippedKey,
};
use wycheproof_ng_kdf_jose::json_web::TestName;

use crate::support::{API, bearer, call, request, whoami};

/// A header that a proxy moved the token to.
const MOVED: &str = "x-token";

fn rfcs() -> Value {
    serde_json::from_str(include_str!("vectors/rfc.json")).unwrap()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

fn without_private_members(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        jwk.as_object_mut().unwrap().remove(name);
    }
    jwk
}

/// A layer that trusts `joe`, the issuer of the RFCs, one second before its tokens expire.
fn layer(key: &Value) -> JwtLayer {
    let keys = if key["kty"] == "oct" {
        FixedKeys::secret(Secret::new(URL_SAFE_NO_PAD.decode(text(key, "k")).unwrap()))
    } else {
        FixedKeys::jwks(&json!({"keys": [without_private_members(key)]}).to_string()).unwrap()
    };
    let algorithms = match text(key, "kty") {
        "oct" => vec![Algorithm::Hs256],
        "RSA" => vec![Algorithm::Rs256, Algorithm::Ps384],
        "EC" => vec![Algorithm::Es256, Algorithm::Es512],
        _ => vec![Algorithm::EdDsa],
    };
    let joe = Issuer::builder("joe")
        .audience(API)
        .keys(keys)
        .algorithms(algorithms)
        .clock(TestClock::starting_at(
            UNIX_EPOCH + Duration::from_secs(1_300_819_379),
        ));
    JwtLayer::new(joe.build().unwrap())
}

fn app(key: &Value) -> Router {
    whoami().layer(layer(key))
}

async fn reason(app: &Router, token: &str) -> &'static str {
    call(app, bearer(token)).await.reason()
}

/// The token with one bit of a part turned.
fn with_bit_turned(jws: &str, part: usize, byte: usize) -> String {
    let mut parts: Vec<String> = jws.split('.').map(str::to_owned).collect();
    let mut bytes = URL_SAFE_NO_PAD.decode(&parts[part]).unwrap();
    bytes[byte] ^= 1;
    parts[part] = URL_SAFE_NO_PAD.encode(bytes);
    parts.join(".")
}

fn sign_key_of_appendix_a1(rfcs: &Value) -> &Value {
    &list(rfcs, "signed")[0]["key"]
}

#[tokio::test]
async fn the_claims_of_the_rfcs_are_judged_once_their_signature_is_good() {
    let rfcs = rfcs();
    for vector in &list(&rfcs, "signed")[..3] {
        let (app, jws, source) = (app(&vector["key"]), text(vector, "jws"), text(vector, "source"));
        // They have no audience: a reason that only a good signature leads to.
        assert_eq!(reason(&app, jws).await, "claim_missing", "{source}");
        let last = URL_SAFE_NO_PAD
            .decode(jws.rsplit('.').next().unwrap())
            .unwrap()
            .len()
            - 1;
        for byte in [0, last / 2, last] {
            let bad = with_bit_turned(jws, 2, byte);
            assert_eq!(reason(&app, &bad).await, "signature_invalid", "{source}");
        }
        // `"iss":"joe",` CR LF ` "exp":1300819380`: the last digit of the date.
        let later = with_bit_turned(jws, 1, 31);
        assert_eq!(reason(&app, &later).await, "signature_invalid", "{source}");
    }
}

#[tokio::test]
async fn a_signed_text_that_is_no_claims_set_is_refused_for_its_payload() {
    let rfcs = rfcs();
    for vector in &list(&rfcs, "signed")[3..] {
        let app = app(&vector["key"]);
        let refused = reason(&app, text(vector, "jws")).await;
        assert_eq!(refused, "payload_malformed", "{}", text(vector, "source"));
    }
}

#[tokio::test]
async fn what_is_no_signed_token_is_refused_by_its_form() {
    let rfcs = rfcs();
    let app = app(sign_key_of_appendix_a1(&rfcs));
    let forms = list(&rfcs, "refused");
    assert_eq!(forms.len(), 7);
    for vector in forms {
        let refused = reason(&app, text(vector, "jws")).await;
        assert_eq!(refused, "token_malformed", "{}", text(vector, "source"));
    }
}

/// Unsecured tokens, unknown extensions and unencoded payloads are refused also if a part that is missing is put in.
#[tokio::test]
async fn what_is_no_signed_token_is_refused_by_its_header_too() {
    let rfcs = rfcs();
    let app = app(sign_key_of_appendix_a1(&rfcs));
    let header_of = |source: &str| {
        let mut all = list(&rfcs, "refused").iter();
        let vector = all.find(|vector| vector["source"] == source).unwrap();
        text(vector, "jws").split('.').next().unwrap().to_owned()
    };
    let good = text(&list(&rfcs, "signed")[0], "jws");
    let rest = good.split_once('.').unwrap().1;
    for (source, refused) in [
        ("RFC 7515 appendix A.5", "algorithm_unknown"),
        ("RFC 7515 appendix E", "critical_extension"),
        ("RFC 7519 section 6.1", "algorithm_unknown"),
        ("RFC 7519 appendix A.1", "algorithm_unknown"),
        ("RFC 7519 appendix A.2", "header_malformed"),
        ("RFC 7797 section 4.2", "critical_extension"),
    ] {
        let token = format!("{}.{rest}", header_of(source));
        assert_eq!(reason(&app, &token).await, refused, "{source}");
    }
    assert_eq!(reason(&app, good).await, "claim_missing");
}

#[tokio::test]
async fn a_json_serialization_is_no_token() {
    let rfcs = rfcs();
    let key = sign_key_of_appendix_a1(&rfcs);
    let (app, moved) = (
        app(key),
        whoami().layer(layer(key).header(HeaderName::from_static(MOVED))),
    );
    let compact = text(&list(&rfcs, "signed")[0], "jws");
    assert_eq!(reason(&app, compact).await, "claim_missing");
    assert_eq!(
        call(&moved, request(&[(MOVED, compact)])).await.reason(),
        "claim_missing"
    );
    let forms = list(&rfcs, "json_serializations");
    assert_eq!(forms.len(), 19);
    for vector in forms {
        let (jws, source) = (vector["jws"].to_string(), text(vector, "source"));
        assert_eq!(reason(&app, &jws).await, "header_unreadable", "{source}");
        let answer = call(&moved, request(&[(MOVED, &jws)])).await;
        assert_eq!(answer.reason(), "header_unreadable", "{source}");
        // Neither is it one when it is written as a token's part.
        let encoded = URL_SAFE_NO_PAD.encode(&jws);
        assert_eq!(reason(&app, &encoded).await, "token_malformed", "{source}");
    }
}

/// Of a key set: how many keys can be used, and why the others cannot.
fn read(jwks: &Value) -> (usize, Vec<String>) {
    let reasons = |skipped: &[SkippedKey]| skipped.iter().map(|key| key.reason.clone()).collect();
    match KeySet::from_jwks(&jwks.to_string()) {
        Ok(set) => (set.len(), reasons(set.skipped())),
        Err(KeySetError::NoUsableKey(skipped)) => (0, reasons(&skipped)),
        Err(error) => panic!("{error} in {jwks}"),
    }
}

const PRIVATE: &str = "its private part was published";
const NOT_FOR_SIGNATURES: &str = "it is not for verifying signatures";
const SYMMETRIC: &str = "it is a symmetric key";
const UNKNOWN: &str = "its type or curve is not known here";
const OTHER_ALGORITHM: &str = "its algorithm is not known here, or does not fit its type";

#[test]
fn the_public_keys_of_the_rfcs_are_read_and_the_others_are_left_out() {
    let rfcs = rfcs();
    let sets = [
        ("RFC 7517 appendix A.1", 1, vec![NOT_FOR_SIGNATURES]),
        ("RFC 7517 appendix A.2", 0, vec![PRIVATE; 2]),
        ("RFC 7517 appendix A.3", 0, vec![SYMMETRIC; 2]),
        ("RFC 7517 section 3", 1, vec![]),
        ("RFC 7517 appendix B", 1, vec![]),
        ("RFC 8037 appendices A.6 and A.7", 0, vec![UNKNOWN; 4]),
    ];
    assert_eq!(list(&rfcs, "key_sets").len(), sets.len());
    for (vector, (source, usable, skipped)) in list(&rfcs, "key_sets").iter().zip(sets) {
        assert_eq!(text(vector, "source"), source);
        let skipped: Vec<String> = skipped.into_iter().map(str::to_owned).collect();
        assert_eq!(read(&vector["jwks"]), (usable, skipped), "{source}");
    }
}

#[test]
fn the_private_keys_of_the_rfcs_are_read_once_they_are_public_only() {
    let mut keys = 0;
    for vector in list(&rfcs(), "signed") {
        let key = &vector["key"];
        if key["kty"] == "oct" {
            continue;
        }
        let set = |key: Value| read(&json!({ "keys": [key] }));
        assert_eq!(set(key.clone()), (0, vec![PRIVATE.to_owned()]), "{vector}");
        assert_eq!(set(without_private_members(key)), (1, vec![]), "{vector}");
        keys += 1;
    }
    assert_eq!(keys, 7);
}

/// The cases of the file that are of key sets, by their ids: how many keys are used, and why the others are not.
#[test]
fn the_key_sets_of_wycheproof_are_left_out_for_what_is_wrong_with_them() {
    let expected: [(&[u64], usize, &[&str]); 12] = [
        (&[1], 1, &[SYMMETRIC]),
        (&[2, 3, 4], 0, &[SYMMETRIC, SYMMETRIC]),
        (&[5], 1, &[]),
        (&[6, 21], 0, &[NOT_FOR_SIGNATURES]),
        (
            &[7],
            0,
            &["its modulus is of a generator that is known to be weak"],
        ),
        (&[8], 0, &["its modulus is not 2048 to 8192 bits long"]),
        (&[9], 0, &["its exponent is even, too small or too large"]),
        (&[10, 11, 12, 13, 14, 15, 16, 17, 18, 25, 26], 0, &[SYMMETRIC]),
        (&[19, 20], 0, &[OTHER_ALGORITHM]),
        (&[22], 0, &["it is not a point of its curve"]),
        (&[23], 0, &[OTHER_ALGORITHM]),
        (&[24], 0, &["it is not well-formed"]),
    ];
    let file: Value = serde_json::from_str(TestName::JsonWebKey.json_data()).unwrap();
    let mut cases = 0;
    for group in list(&file, "testGroups") {
        let is = read(group.get("public").unwrap_or(&group["private"]));
        for case in list(group, "tests") {
            let id = case["tcId"].as_u64().unwrap();
            let (_, usable, skipped) = expected.iter().find(|(ids, ..)| ids.contains(&id)).unwrap();
            let skipped = skipped.iter().map(|reason| (*reason).to_owned()).collect();
            assert_eq!(is, (*usable, skipped), "{case}");
            cases += 1;
        }
    }
    assert_eq!(cases, 26);
}
