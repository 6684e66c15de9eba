//! The signatures of published vectors: RFC 7515, 7520, 7797 and 8037, and Project Wycheproof.
//!
//! What they sign is seldom a set of claims, so a layer refuses them for their payload before it looks for a key. Here
//! they go the way of every token, except that no claims are read. What the public API can show of them is in
//! `tests/it/vectors.rs`, and `tests/it/vectors/README.md` says where they come from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use wycheproof_ng_ecdsa::TestName as Ecdsa;
use wycheproof_ng_eddsa::TestName as Eddsa;
use wycheproof_ng_kdf_jose::json_web::TestName as Jose;

use super::*;
use crate::credential::Unlimited;
use crate::jwks::{FixedKeys, Lookup};
use crate::jwt::Issuer;
use crate::secret::Secret;

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
const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

fn parsed(file: &str) -> Value {
    serde_json::from_str(file).unwrap()
}

/// Read when the test runs: the published package has no `tests/`.
fn rfcs() -> Value {
    parsed(&fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/vectors/rfc.json")).unwrap())
}

/// An issuer with this key set. Every algorithm of public keys is in its list, so that nothing but the key itself says
/// which one counts.
fn issuer_of_set(jwks: &Value) -> Option<Issuer> {
    let keys = FixedKeys::jwks(&jwks.to_string()).ok()?;
    issuer_of(keys, ASYMMETRIC)
}

/// An issuer with one key: a secret, of whose JWK the algorithm is put into the list, or a public key.
fn issuer_of_key(jwk: &Value) -> Option<Issuer> {
    if text(jwk, "kty") != "oct" {
        return issuer_of_set(&json!({ "keys": [jwk] }));
    }
    let secret = URL_SAFE_NO_PAD.decode(text(jwk, "k")).unwrap();
    let algorithm = jwk["alg"].as_str().unwrap_or("HS256").parse().unwrap();
    issuer_of(FixedKeys::secret(Secret::new(secret)), [algorithm])
}

fn issuer_of(keys: FixedKeys, algorithms: impl IntoIterator<Item = Algorithm>) -> Option<Issuer> {
    let issuer = Issuer::builder("https://idp.test").audience("https://api.test");
    issuer.keys(keys).algorithms(algorithms).build().ok()
}

fn without_private_members(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut()
        .unwrap()
        .retain(|name, _| !PRIVATE.contains(&name.as_str()));
    jwk
}

/// What a layer does with a token, without reading its claims.
fn judge(issuer: &Issuer, jws: &str) -> Result<(), AuthError> {
    let mut room = Room::new();
    let parts = Parts::decode(jws.as_bytes(), &mut room)?;
    let (header, algorithm) = parts.read_header()?;
    let token = UnverifiedToken {
        parts,
        header,
        algorithm,
        claims: &Claims::default(),
    };
    issuer.check_header(&token)?;
    let Lookup::Ready(keys) = issuer.keys.current(&Unlimited) else {
        panic!("fixed keys are at hand")
    };
    token.verify(&issuer.rules.algorithms, &keys).map(drop)
}

/// `ok` for a good signature, `no_key` if the key was refused when the service started, else the reason code.
fn verdict(issuer: Option<&Issuer>, jws: &str) -> &'static str {
    issuer.map_or("no_key", |issuer| match judge(issuer, jws) {
        Ok(()) => "ok",
        Err(error) => error.reason(),
    })
}

/// The token with one bit of a part turned.
fn with_bit_turned(jws: &str, part: usize, bit: usize) -> String {
    let mut parts: Vec<String> = jws.split('.').map(str::to_owned).collect();
    let mut bytes = URL_SAFE_NO_PAD.decode(&parts[part]).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    parts[part] = URL_SAFE_NO_PAD.encode(bytes);
    parts.join(".")
}

fn bits(jws: &str, part: usize) -> usize {
    let part = jws.split('.').nth(part).unwrap();
    URL_SAFE_NO_PAD.decode(part).unwrap().len() * 8
}

const PAYLOAD: usize = 1;
const SIGNATURE: usize = 2;

#[test]
fn every_signature_of_the_rfcs_verifies_and_none_with_a_bit_turned() {
    let rfcs = rfcs();
    for vector in list(&rfcs, "signed") {
        let (source, jws) = (text(vector, "source"), text(vector, "jws"));
        let issuer = issuer_of_key(&without_private_members(&vector["key"]));
        assert_eq!(verdict(issuer.as_ref(), jws), "ok", "{source}");
        for part in [PAYLOAD, SIGNATURE] {
            // One bit of each byte, not always the same.
            for bit in (0..bits(jws, part)).step_by(9) {
                let bad = with_bit_turned(jws, part, bit);
                assert_eq!(
                    verdict(issuer.as_ref(), &bad),
                    "signature_invalid",
                    "{source}: bit {bit} of part {part}"
                );
            }
        }
    }
}

#[test]
fn no_signature_of_the_rfcs_verifies_with_the_key_of_another() {
    let rfcs = rfcs();
    let signed = list(&rfcs, "signed");
    let pairs = signed
        .iter()
        .flat_map(|one| signed.iter().map(move |other| (one, other)));
    let mut strangers = 0;
    for (vector, other) in pairs {
        let same = vector["key"]["x"] == other["key"]["x"]
            && vector["key"]["n"] == other["key"]["n"]
            && vector["key"]["k"] == other["key"]["k"];
        let issuer = issuer_of_key(&without_private_members(&other["key"]));
        let is = verdict(issuer.as_ref(), text(vector, "jws"));
        let (token, key) = (text(vector, "source"), text(other, "source"));
        assert_eq!(is == "ok", same, "{token} with the key of {key}: {is}");
        strangers += usize::from(!same);
    }
    assert!(strangers > 80, "{strangers} pairs");
}

/// What was said of the cases of a file: how often each verdict, and where it is another than the file's.
#[derive(Default)]
struct Judged {
    verdicts: BTreeMap<&'static str, u32>,
    differences: Vec<(u64, &'static str)>,
}

impl Judged {
    /// Judges every case. What is good is also judged with a bit turned, of its payload and of its signature.
    fn of(file: &str, issuer_of: impl Fn(&Value) -> Option<Issuer>) -> Self {
        let mut judged = Self::default();
        for group in list(&parsed(file), "testGroups") {
            let issuer = issuer_of(group.get("public").unwrap_or(&group["private"]));
            for case in list(group, "tests") {
                judged.add(case, verdict(issuer.as_ref(), text(case, "jws")));
                if verdict(issuer.as_ref(), text(case, "jws")) == "ok" {
                    refuses_neighbours(issuer.as_ref(), text(case, "jws"));
                }
            }
        }
        judged
    }

    fn add(&mut self, case: &Value, is: &'static str) {
        *self.verdicts.entry(is).or_default() += 1;
        let valid = match text(case, "result") {
            "valid" => true,
            "invalid" => false,
            other => panic!("no case was {other} when this was written"),
        };
        if (is == "ok") != valid {
            self.differences.push((case["tcId"].as_u64().unwrap(), is));
        }
    }
}

fn refuses_neighbours(issuer: Option<&Issuer>, jws: &str) {
    for part in [PAYLOAD, SIGNATURE] {
        let bad = with_bit_turned(jws, part, bits(jws, part) / 2);
        assert_eq!(verdict(issuer, &bad), "signature_invalid", "{jws}, part {part}");
    }
}

#[test]
fn wycheproof_signatures_get_the_verdict_of_the_file() {
    let judged = Judged::of(Jose::JsonWebSignature.json_data(), issuer_of_key);
    let differences = [
        // Empty payloads: a claims set is never empty.
        (259, "token_malformed"),
        (264, "token_malformed"),
        (268, "token_malformed"),
        (272, "token_malformed"),
        (320, "token_malformed"),
        (325, "token_malformed"),
        // Keys of RFC 7520 to which the file adds an `alg` that is another than the token's (PS256 for PS384), or is none
        // (ES521). Without it they are judged above, and are good.
        (346, "signing_key_ambiguous"),
        (347, "no_key"),
        (350, "signing_key_ambiguous"),
        (351, "no_key"),
        // By their names these have padding; by their bytes they are the valid case 357. See below.
        (367, "ok"),
        (370, "ok"),
        // A `?` within base64url, over which a lenient decoder would skip.
        (372, "token_malformed"),
        (373, "token_malformed"),
    ];
    assert_eq!(judged.differences, differences);
    let verdicts = [
        ("algorithm_not_accepted", 1),
        ("no_key", 6),
        ("ok", 36),
        ("signature_invalid", 294),
        ("signing_key_ambiguous", 7),
        ("signing_key_unknown", 2),
        ("token_malformed", 55),
    ];
    assert_eq!(judged.verdicts, BTreeMap::from(verdicts));
}

#[test]
fn two_cases_of_wycheproof_are_called_invalid_and_are_the_same_token_as_a_valid_one() {
    let file = parsed(Jose::JsonWebSignature.json_data());
    let mut groups = list(&file, "testGroups").iter();
    let group = groups.find(|group| group["comment"] == "base64").unwrap();
    let case = |id: u64| {
        list(group, "tests")
            .iter()
            .find(|case| case["tcId"] == id)
            .unwrap()
    };
    assert_eq!(case(357)["result"], "valid");
    let jws = text(case(357), "jws");
    for id in [367, 370] {
        assert_eq!(
            (text(case(id), "jws"), text(case(id), "result")),
            (jws, "invalid")
        );
    }
    // With the padding that their names speak of they are refused.
    let issuer = issuer_of_key(&group["private"]);
    for part in 0..3 {
        let mut parts: Vec<String> = jws.split('.').map(str::to_owned).collect();
        parts[part].push('=');
        assert_eq!(verdict(issuer.as_ref(), &parts.join(".")), "token_malformed");
    }
}

#[test]
fn wycheproof_key_sets_get_the_verdict_of_the_file() {
    let judged = Judged::of(Jose::JsonWebKey.json_data(), issuer_of_set);
    // Symmetric keys never come from a set. As secrets they are judged below.
    let differences = [(2, "no_key"), (13, "no_key"), (14, "no_key"), (15, "no_key")];
    assert_eq!(judged.differences, differences);
    let verdicts = [("algorithm_not_accepted", 1), ("no_key", 24), ("ok", 1)];
    assert_eq!(judged.verdicts, BTreeMap::from(verdicts));
}

#[test]
fn wycheproof_secrets_get_the_verdict_of_the_file() {
    let file = parsed(Jose::JsonWebKey.json_data());
    let mut judged = Judged::default();
    for group in list(&file, "testGroups") {
        let [key] = list(&group["private"], "keys") else {
            continue;
        };
        // Two keys are of AES. A secret is given as bytes here, so there is no `alg` that could say so.
        if key["kty"] != "oct" || !text(key, "alg").starts_with("HS") {
            continue;
        }
        let issuer = issuer_of_key(key);
        for case in list(group, "tests") {
            judged.add(case, verdict(issuer.as_ref(), text(case, "jws")));
        }
    }
    assert_eq!(judged.differences, []);
    assert_eq!(judged.verdicts, BTreeMap::from([("no_key", 6), ("ok", 3)]));
}

/// The bytes of a text in hexadecimal.
fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap();
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).unwrap())
        .collect()
}

/// The key of a group: a JWK, or a point as `04`, x and y in hexadecimal.
fn jwk_of(group: &Value, curve: &str) -> Value {
    if let Some(jwk) = group.get("publicKeyJwk") {
        return jwk.clone();
    }
    let point = hex(text(&group["publicKey"], "uncompressed"));
    let (x, y) = point[1..].split_at(point.len() / 2);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    json!({"kty": "EC", "crv": curve, "x": x, "y": y})
}

/// Signatures over bytes that are no token, so the keys are asked themselves.
fn judge_signatures(file: &str, curve: &str, algorithm: Algorithm) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for group in list(&parsed(file), "testGroups") {
        let jwks = json!({"keys": [jwk_of(group, curve)]});
        let set = KeySet::from_jwks(&jwks.to_string()).unwrap();
        let Selection::One(key) = set.select(None, algorithm) else {
            panic!("{curve} is for {algorithm}")
        };
        for case in list(group, "tests") {
            let verifies = key.verifies(&hex(text(case, "msg")), &hex(text(case, "sig")));
            assert_eq!(verifies, case["result"] == "valid", "{algorithm}: {case}");
            good += usize::from(verifies);
            bad += usize::from(!verifies);
        }
    }
    (good, bad)
}

#[test]
fn wycheproof_signatures_of_elliptic_curves_get_the_verdict_of_the_file() {
    let p256 = Ecdsa::EcdsaSecp256r1Sha256P1363.json_data();
    assert_eq!(judge_signatures(p256, "P-256", Algorithm::Es256), (173, 89));
    let p384 = Ecdsa::EcdsaSecp384r1Sha384P1363.json_data();
    assert_eq!(judge_signatures(p384, "P-384", Algorithm::Es384), (193, 87));
    let p521 = Ecdsa::EcdsaSecp521r1Sha512P1363.json_data();
    assert_eq!(judge_signatures(p521, "P-521", Algorithm::Es512), (231, 87));
    let ed25519 = Eddsa::Ed25519.json_data();
    assert_eq!(judge_signatures(ed25519, "Ed25519", Algorithm::EdDsa), (88, 63));
}
