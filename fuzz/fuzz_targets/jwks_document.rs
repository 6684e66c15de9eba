//! A JSON Web Key Set. Every key in it is either taken, and then it is one that may be, or left out with its reason; and
//! no token passes that none of the keys signed.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tower::Layer;
use tower_resource_server::{Algorithm, FixedKeys, JwtLayer, KeySet, KeySetError, SkippedKey};
use tower_resource_server_fuzz::{API, ISSUER, ask, b64, bare, good_claims, header, lenient, stopped};

const MOST: usize = 1_000;
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];
const RSA: [&str; 6] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let read = KeySet::from_jwks(text);
    assert_eq!(read.is_ok(), FixedKeys::jwks(text).is_ok());
    let keys = keys_of(text);
    match (read, keys) {
        (Ok(set), Some(keys)) => {
            check_set(&set, &keys);
            check_tokens(set, &keys);
        }
        (Err(KeySetError::NoUsableKey(skipped)), Some(keys)) => {
            assert_eq!(check_skipped(&skipped, &keys).len(), 0);
        }
        (Err(KeySetError::TooManyKeys(count)), Some(keys)) => {
            assert_eq!(count, keys.len());
            assert!(count > MOST);
        }
        (Err(KeySetError::NotAKeySet(_)), None) => {}
        (read, keys) => panic!("{read:?} for {:?} keys", keys.map(|keys| keys.len())),
    }
});

#[derive(Deserialize)]
struct Document<'j> {
    #[serde(borrow)]
    keys: Vec<&'j RawValue>,
}

/// The array `keys` of a document that is an object with one such member; null for a key that is itself unreadable.
fn keys_of(text: &str) -> Option<Vec<Value>> {
    let document: Document<'_> = serde_json::from_str(text).ok()?;
    let is_object = text.trim_ascii_start().starts_with('{');
    let read = |key: &&RawValue| serde_json::from_str(key.get()).unwrap_or_default();
    is_object.then(|| document.keys.iter().map(read).collect())
}

/// The keys that were taken.
fn check_skipped<'j>(skipped: &[SkippedKey], keys: &'j [Value]) -> Vec<&'j Value> {
    assert!(skipped.windows(2).all(|pair| pair[0].index < pair[1].index));
    assert!(
        skipped
            .iter()
            .all(|key| key.index < keys.len() && !key.reason.is_empty())
    );
    let left_out: HashSet<usize> = skipped.iter().map(|key| key.index).collect();
    let taken = keys
        .iter()
        .enumerate()
        .filter(|(index, _)| !left_out.contains(index));
    taken.map(|(_, key)| key).collect()
}

fn check_set(set: &KeySet, keys: &[Value]) {
    assert!(keys.len() <= MOST);
    let taken = check_skipped(set.skipped(), keys);
    let (mut known, mut distinct) = (HashSet::new(), 0);
    for key in taken {
        check_key(key);
        let before = known.len();
        known.extend(algorithms(key).into_iter().map(|name| (name, material(key))));
        distinct += usize::from(known.len() > before);
    }
    assert!(distinct > 0);
    assert_eq!(set.len(), distinct, "a key is lost or counted twice");
}

/// RFC 7517 section 4, RFC 7518 section 6: what a key that is used must be.
fn check_key(key: &Value) {
    assert!(
        PRIVATE
            .iter()
            .all(|name| key.get(name).is_none_or(Value::is_null)),
        "a private key is used"
    );
    assert!(
        key.get("use")
            .is_none_or(|purpose| purpose.is_null() || purpose == "sig")
    );
    if let Some(operations) = key.get("key_ops").and_then(Value::as_array) {
        assert!(operations.contains(&json!("verify")));
    }
    let bytes = |name: &str| {
        let text = key[name].as_str().expect("a member of the key");
        let bytes = lenient(text);
        assert_eq!(b64(&bytes), text, "this is not how the bytes are written");
        bytes
    };
    match (key["kty"].as_str(), key["crv"].as_str()) {
        (Some("RSA"), _) => {
            let (modulus, exponent) = (bytes("n"), bytes("e"));
            assert!((256..=1024).contains(&modulus.len()) && modulus[0] != 0);
            assert!(exponent.last().is_some_and(|last| last % 2 == 1) && exponent != [1]);
        }
        (Some("EC"), Some(curve)) => {
            let length = match curve {
                "P-256" => 32,
                "P-384" => 48,
                "P-521" => 66,
                _ => panic!("the curve {curve:?}"),
            };
            assert_eq!((bytes("x").len(), bytes("y").len()), (length, length));
        }
        (Some("OKP"), Some("Ed25519")) => assert_eq!(bytes("x").len(), 32),
        other => panic!("a key of type {other:?} is used"),
    }
}

/// What the key may verify: what it says itself, or all that its type can.
fn algorithms(key: &Value) -> Vec<&str> {
    let all: &[&str] = match (key["kty"].as_str(), key["crv"].as_str()) {
        (Some("RSA"), _) => &RSA,
        (_, Some("P-256")) => &["ES256"],
        (_, Some("P-384")) => &["ES384"],
        (_, Some("P-521")) => &["ES512"],
        _ => &["EdDSA"],
    };
    match key["alg"].as_str() {
        None => all.to_vec(),
        Some(own) => {
            let own = if own == "Ed25519" { "EdDSA" } else { own };
            assert!(all.contains(&own), "{own} with this key");
            vec![own]
        }
    }
}

fn material(key: &Value) -> [Option<&str>; 4] {
    let names = if key["kty"] == "RSA" {
        ["kty", "n", "e", ""]
    } else {
        ["kty", "crv", "x", "y"]
    };
    // `y` of a key on Ed25519 is no member of it.
    names.map(|name| {
        key[name]
            .as_str()
            .filter(|_| !(name == "y" && key["kty"] == "OKP"))
    })
}

/// A token that names one of the keys, with a signature of zeros, of the length that would be right.
fn check_tokens(set: KeySet, keys: &[Value]) {
    let taken = check_skipped(set.skipped(), keys);
    let Some(key) = taken.first() else { return };
    let name = algorithms(key)[0];
    let algorithm: Algorithm = name.parse().unwrap();
    let issuer = tower_resource_server::Issuer::builder(ISSUER)
        .audience(API)
        .keys(FixedKeys::from(set))
        .algorithms([algorithm])
        .clock(stopped())
        .build()
        .unwrap();
    let length = match key["kty"].as_str() {
        Some("RSA") => lenient(key["n"].as_str().unwrap()).len(),
        _ => lenient(key["x"].as_str().unwrap()).len() * 2,
    };
    let head = json!({ "alg": name, "kid": key["kid"].as_str().unwrap_or("none") });
    let token = format!(
        "Bearer {}.{}.{}",
        b64(head.to_string()),
        b64(good_claims("")),
        b64(vec![0; length])
    );
    let mut service = JwtLayer::new(issuer).layer(bare());
    let answer = ask(&mut service, header("authorization", token.as_bytes()).unwrap());
    answer.check("api", &["Bearer"]);
    assert!(!answer.is_accepted(), "a signature of zeros is accepted");
}
