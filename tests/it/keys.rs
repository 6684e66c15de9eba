//! Keys that are given: what is read, what is left out, which one a token means, and what a builder refuses.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_resource_server::testing::TestIssuer;
use tower_resource_server::{
    Algorithm, CachedKeys, ConfigError, FixedKeys, Issuer, JwtLayer, KeySet, KeySetError, RemoteKeys, Scope,
    Secret, TrustedIssuers,
};

use crate::explain;
use crate::support::{API, ISSUER, bearer, call, whoami};

// Public keys for tests, that nobody has the private part of any more.
const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCkVvGUetGxhyf3IUJ9rSg6uRCV
Zrjc/JOivWDvOgyzxV0r5sbKTrbLcUqKTyfRvf+G919c98PfIMEE9dqOwYnjQ+ag
UnbDASHRJHJmunj9rE1QIbjaLC/g1anYOM0615LIDeII/y3vzasoqwPlnACBC97+
zop+FT+v5txxeCpHNwIDAQAB
-----END PUBLIC KEY-----";
const SECP256K1: &str = "-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEi9oSf3jROpPXDY8MRG1MJDuBQ7BbxlgN
qM4fovYpyI4B9iwp+SJDmChGPjhR4Rukb6AIeOXICIv5YX1WdU+OqQ==
-----END PUBLIC KEY-----";
const X25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VuAyEAyhUGv0bXEmlrWaRZJRPwzH0vZJN+8RT/XkQgy4RADxg=
-----END PUBLIC KEY-----";
const ED448: &str = "-----BEGIN PUBLIC KEY-----
MEMwBQYDK2VxAzoAUhIyQhhc2QYJ7oWoClyTwlP9jLCLHqpqlzrmAXXmCszv51Gd
s/QyQjrqhWRngJi9jb6usPqUe6YA
-----END PUBLIC KEY-----";
const COMPRESSED_POINT: &str = "-----BEGIN PUBLIC KEY-----
MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgAD6lQWvjk0tmv9MeJ5qY5VCkHxyrcX
EoJvaI8+qewOLCc=
-----END PUBLIC KEY-----";
const EXPLICIT_CURVE: &str = "-----BEGIN PUBLIC KEY-----
MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAA
AAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA////
///////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd
NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5
RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA
//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABOpUFr45NLZr/THieamOVQpB
8cq3FxKCb2iPPqnsDiwn4YFMwV4GxSP8UTDLeyB430Mhn6FWTI2I44hC6g2QzkE=
-----END PUBLIC KEY-----";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBbjCCAROgAwIBAgIUGg7rQgIuIv8zMAdv/Nyxy+UssZMwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBdDAeFw0yNjExMjIwNDIzMjdaFw0zNjExMTkwNDIzMjdaMAwx
CjAIBgNVBAMMAXQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAScyjO0FnIUqfEs
3IYTriZbXnFc3VP53Zg4ob7KlVAz5mvZhLZ0ZHigtcB4WQYqkI/+m1plkz+tWE74
mEbL/L/oo1MwUTAdBgNVHQ4EFgQUqjx05yC+Xqd8UbF6HUFCHJCoH30wHwYDVR0j
BBgwFoAUqjx05yC+Xqd8UbF6HUFCHJCoH30wDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNJADBGAiEA+1MMdtypHSGwo82mp/ENITYz+O/GAyXddOv73GzhnLcC
IQC07/X1bbVYRqvCM3OpTkzA1sZQGl8sCFF2e2vvlAs2FA==
-----END CERTIFICATE-----";

/// A key pair made for this run.
struct Pair {
    algorithm: Algorithm,
    spki: Vec<u8>,
    kind: Kind,
}

enum Kind {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

fn spki<'k, K: AsDer<PublicKeyX509Der<'k>>>(key: &K) -> Vec<u8> {
    key.as_der().unwrap().as_ref().to_vec()
}

impl Pair {
    fn rsa(size: KeySize) -> Self {
        let pair = RsaKeyPair::generate(size).unwrap();
        Self {
            algorithm: Algorithm::Rs256,
            spki: spki(pair.public_key()),
            kind: Kind::Rsa(pair),
        }
    }

    fn ec(algorithm: Algorithm, form: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(form).unwrap();
        Self {
            algorithm,
            spki: spki(pair.public_key()),
            kind: Kind::Ec(pair),
        }
    }

    fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self {
            algorithm: Algorithm::EdDsa,
            spki: spki(pair.public_key()),
            kind: Kind::Ed25519(pair),
        }
    }

    fn all() -> [Self; 5] {
        [
            Self::rsa(KeySize::Rsa2048),
            Self::ec(Algorithm::Es256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::ec(Algorithm::Es384, &ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::ec(Algorithm::Es512, &ECDSA_P521_SHA512_FIXED_SIGNING),
            Self::ed25519(),
        ]
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.kind {
            Kind::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Kind::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Kind::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A good token with these members in its header.
    fn token(&self, kid: Option<&str>) -> String {
        let mut header = json!({"alg": self.algorithm.as_str()});
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let claims = json!({"iss": ISSUER, "aud": API, "exp": 4_000_000_000_u64, "sub": "alice"});
        let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        format!("{input}.{}", b64(self.sign(input.as_bytes())))
    }

    fn jwk(&self, members: Value) -> Value {
        let mut jwk = match &self.kind {
            Kind::Rsa(pair) => {
                // A PKCS #1 key is two integers; both are long enough here to be found by their place.
                let der = pair.public_key().as_ref();
                let (modulus, exponent) = (pair.public_modulus_len(), &der[der.len() - 3..]);
                let end = der.len() - 5;
                json!({"kty": "RSA", "n": b64(&der[end - modulus..end]), "e": b64(exponent)})
            }
            Kind::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = match self.algorithm {
                    Algorithm::Es384 => "P-384",
                    Algorithm::Es512 => "P-521",
                    _ => "P-256",
                };
                json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)})
            }
            Kind::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref())})
            }
        };
        merge(&mut jwk, members);
        jwk
    }
}

fn merge(object: &mut Value, members: Value) {
    let Value::Object(members) = members else {
        panic!("{members}")
    };
    object.as_object_mut().unwrap().extend(members);
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn document(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

async fn judge(keys: FixedKeys, token: &str) -> &'static str {
    let all = [
        Algorithm::Rs256,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::EdDsa,
        Algorithm::Ps256,
    ];
    let issuer = Issuer::builder(ISSUER)
        .audience(API)
        .keys(keys)
        .algorithms(all)
        .build();
    let issuer = issuer.unwrap();
    let app = whoami().layer(JwtLayer::new(issuer.clone()));
    let reason = call(&app, bearer(token)).await.reason();
    explain::agrees(&issuer.into(), token, reason).await;
    reason
}

/// The set of these keys, and the reason for which a token of `pair` is refused by it.
async fn judge_with(keys: &[Value], token: &str) -> &'static str {
    judge(FixedKeys::jwks(&document(keys)).unwrap(), token).await
}

static EC: LazyLock<Pair> = LazyLock::new(|| Pair::ec(Algorithm::Es256, &ECDSA_P256_SHA256_FIXED_SIGNING));
static OTHER_EC: LazyLock<Pair> =
    LazyLock::new(|| Pair::ec(Algorithm::Es256, &ECDSA_P256_SHA256_FIXED_SIGNING));
static RSA: LazyLock<Pair> = LazyLock::new(|| Pair::rsa(KeySize::Rsa2048));

// One key, in PEM, DER or as a secret.

#[tokio::test]
async fn a_public_key_in_pem_verifies() {
    for pair in Pair::all() {
        let keys = FixedKeys::pem(&pem("PUBLIC KEY", &pair.spki)).unwrap();
        assert_eq!(judge(keys, &pair.token(None)).await, "ok", "{}", pair.algorithm);
    }
}

#[tokio::test]
async fn a_public_key_in_der_verifies() {
    for pair in Pair::all() {
        let keys = FixedKeys::der(&pair.spki).unwrap();
        assert_eq!(judge(keys, &pair.token(None)).await, "ok", "{}", pair.algorithm);
    }
}

#[tokio::test]
async fn an_rsa_key_in_pkcs1_verifies() {
    let Kind::Rsa(pair) = &RSA.kind else { panic!() };
    let keys = FixedKeys::pem(&pem("RSA PUBLIC KEY", pair.public_key().as_ref())).unwrap();
    assert_eq!(judge(keys, &RSA.token(None)).await, "ok");
}

#[tokio::test]
async fn white_space_around_a_pem_block_does_no_harm() {
    let text = format!("\n  \r\n{}\n\n", pem("PUBLIC KEY", &EC.spki));
    assert_eq!(judge(FixedKeys::pem(&text).unwrap(), &EC.token(None)).await, "ok");
    let crlf = pem("PUBLIC KEY", &EC.spki).replace('\n', "\r\n");
    assert_eq!(judge(FixedKeys::pem(&crlf).unwrap(), &EC.token(None)).await, "ok");
}

#[tokio::test]
async fn a_key_without_a_name_answers_to_every_kid() {
    for kid in [None, Some("a"), Some("")] {
        let keys = FixedKeys::der(&EC.spki).unwrap();
        assert_eq!(judge(keys, &EC.token(kid)).await, "ok", "{kid:?}");
    }
}

#[tokio::test]
async fn a_key_does_not_verify_what_another_has_signed() {
    let keys = FixedKeys::der(&EC.spki).unwrap();
    assert_eq!(judge(keys, &OTHER_EC.token(None)).await, "signature_invalid");
}

#[test]
fn larger_rsa_keys_are_read() {
    for size in [KeySize::Rsa3072, KeySize::Rsa4096] {
        assert!(FixedKeys::der(&Pair::rsa(size).spki).is_ok(), "{size:?}");
    }
}

#[test]
fn what_is_no_public_key_is_refused_with_the_reason() {
    let private = {
        let Kind::Ec(pair) = &EC.kind else { panic!() };
        pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref())
    };
    let good = pem("PUBLIC KEY", &EC.spki);
    let two = good.clone() + &good;
    let cut = good.replace("-----END PUBLIC KEY-----", "");
    let mut off_curve = EC.spki.clone();
    *off_curve.last_mut().unwrap() ^= 1;
    let garbage = pem("PUBLIC KEY", b"garbage");
    let mut longer = EC.spki.clone();
    longer.push(0);
    let rows = [
        (private.as_str(), "private key"),
        (&pem("RSA PRIVATE KEY", &EC.spki), "private key"),
        (&pem("EC PRIVATE KEY", &EC.spki), "private key"),
        (&pem("ENCRYPTED PRIVATE KEY", &EC.spki), "private key"),
        (CERTIFICATE, "not labelled PUBLIC KEY"),
        (&pem("CERTIFICATE REQUEST", &EC.spki), "not labelled PUBLIC KEY"),
        (SECP256K1, "curve"),
        (EXPLICIT_CURVE, "curve is not named"),
        (COMPRESSED_POINT, "uncompressed"),
        (X25519, "not RSA, EC or Ed25519"),
        (ED448, "not RSA, EC or Ed25519"),
        (RSA_1024, "2048"),
        (&pem("PUBLIC KEY", &off_curve), "not a point of its curve"),
        (&garbage, "PEM"),
        (&pem("PUBLIC KEY", &longer), "PEM"),
        (&pem("RSA PUBLIC KEY", &EC.spki), "RSA key cannot be read"),
        (&two, "PEM"),
        (&cut, "PEM"),
        ("", "PEM"),
        ("garbage", "PEM"),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in rows {
        match FixedKeys::pem(text) {
            Ok(_) => wrong.push(format!("accepted: {text}")),
            Err(error) if !error.to_string().contains(expected) => {
                wrong.push(format!("{error}; not {expected:?}, for {text}"));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn der_that_is_no_public_key_is_refused() {
    let mut longer = EC.spki.clone();
    longer.push(0);
    let cut = &EC.spki[..EC.spki.len() - 1];
    for bytes in [
        &longer[..],
        cut,
        b"",
        b"\x30\x00",
        b"\x30\x84\xff\xff\xff\xff",
        b"garbage",
    ] {
        let error = FixedKeys::der(bytes).unwrap_err();
        assert!(matches!(error, KeySetError::NotAPublicKey(_)), "{error}");
    }
}

#[test]
fn an_error_about_a_private_key_does_not_repeat_it() {
    let text = pem("PRIVATE KEY", b"a canary that must not be seen");
    let error = FixedKeys::pem(&text).unwrap_err();
    let body = text.lines().nth(1).unwrap();
    assert!(!format!("{error} {error:?}").contains(body));
}

// Sets of keys.

/// What is left out of a set that holds this key and a good one.
fn flaw_of(key: &str) -> Result<String, String> {
    let good = EC.jwk(json!({"kid": "good"}));
    let set = KeySet::from_jwks(&format!(r#"{{"keys":[{key},{good}]}}"#))
        .map_err(|error| format!("{key} spoils the set: {error}"))?;
    match set.skipped() {
        [skipped] if skipped.index == 0 && set.len() == 1 => Ok(skipped.reason.clone()),
        _ => Err(format!("{key} is used: {set:?}")),
    }
}

fn assert_flaws(rows: impl IntoIterator<Item = (String, &'static str)>) {
    let wrong: Vec<String> = rows
        .into_iter()
        .filter_map(|(key, expected)| match flaw_of(&key) {
            Ok(reason) if reason.contains(expected) => None,
            Ok(reason) => Some(format!("{reason}; not {expected:?}, for {key}")),
            Err(message) => Some(message),
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const UNKNOWN: &str = "not known here";
const MALFORMED: &str = "not well-formed";
const PURPOSE: &str = "not for verifying";

#[test]
fn keys_of_unknown_types_and_curves_are_left_out() {
    let x = b64([7; 32]);
    let rows = [
        json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": x}),
        json!({"kty": "ec", "crv": "P-256", "x": x, "y": x}),
        json!({"kty": "", "x": x}),
        json!({"kty": "EC", "crv": "secp256k1", "x": x, "y": x}),
        json!({"kty": "EC", "crv": "Ed25519", "x": x, "y": x}),
        json!({"kty": "OKP", "crv": "Ed448", "x": x}),
        json!({"kty": "OKP", "crv": "X25519", "x": x}),
        json!({"kty": "OKP", "crv": "P-256", "x": x, "y": x}),
    ];
    assert_flaws(rows.map(|key| (key.to_string(), UNKNOWN)));
}

#[test]
fn keys_for_another_algorithm_are_left_out() {
    let mut rows = Vec::new();
    for alg in ["RS256", "ES384", "EdDSA", "HS256", "none", "es256", "", "ECDH-ES"] {
        rows.push(EC.jwk(json!({"alg": alg})));
    }
    for alg in [
        "ES256",
        "HS256",
        "RSA-OAEP",
        "RSA-OAEP-256",
        "RSA1_5",
        "RS1",
        "none",
    ] {
        rows.push(RSA.jwk(json!({"alg": alg})));
    }
    assert_flaws(rows.into_iter().map(|key| (key.to_string(), "algorithm")));
}

#[test]
fn keys_for_another_purpose_are_left_out() {
    let rows = [
        json!({"use": "enc"}),
        json!({"use": "tls"}),
        json!({"use": "SIG"}),
        json!({"use": ""}),
        json!({"key_ops": ["encrypt"]}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": ["Verify"]}),
        json!({"key_ops": []}),
        json!({"key_ops": ["verify", "verify"]}),
        json!({"key_ops": ["verify", "x", "x"]}),
        json!({"use": "enc", "key_ops": ["verify"]}),
        json!({"use": "sig", "key_ops": ["encrypt"]}),
        json!({"use": "sig", "key_ops": ["verify", "encrypt"]}),
    ];
    assert_flaws(rows.map(|members| (EC.jwk(members).to_string(), PURPOSE)));
}

#[test]
fn keys_for_verifying_are_used() {
    let rows = [
        json!({}),
        json!({"use": "sig"}),
        json!({"key_ops": ["verify"]}),
        json!({"key_ops": ["verify", "sign"]}),
        json!({"key_ops": ["other", "verify"]}),
        json!({"use": "sig", "key_ops": ["verify"]}),
        json!({"alg": "ES256"}),
        json!({"unknown": {"deep": [1, null]}, "x5t": "a", "x5c": ["AA=="], "exp": 1}),
    ];
    for members in rows {
        let set = KeySet::from_jwks(&document(&[EC.jwk(members.clone())])).unwrap();
        assert_eq!((set.len(), set.skipped().len()), (1, 0), "{members}");
    }
}

#[test]
fn symmetric_keys_are_left_out() {
    let rows = [
        json!({"kty": "oct", "k": b64([7; 64])}),
        json!({"kty": "oct", "k": b64([7; 64]), "alg": "HS256", "use": "sig", "kid": "good"}),
        json!({"kty": "oct"}),
    ];
    assert_flaws(rows.map(|key| (key.to_string(), "symmetric")));
}

#[test]
fn keys_whose_private_part_was_published_are_left_out() {
    let mut rows = vec![EC.jwk(json!({"d": b64([7; 32])})), EC.jwk(json!({"d": 1}))];
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        let mut private = json!({});
        private[name] = b64([7; 128]).into();
        rows.push(RSA.jwk(private));
    }
    assert_flaws(rows.into_iter().map(|key| (key.to_string(), "private")));
}

#[test]
fn malformed_keys_are_left_out() {
    let without = |key: &Pair, name: &str| {
        let mut key = key.jwk(json!({}));
        key.as_object_mut().unwrap().remove(name);
        key
    };
    let x = EC.jwk(json!({}))["x"].as_str().unwrap().to_owned();
    let mut rows = vec![
        without(&EC, "kty"),
        without(&EC, "crv"),
        without(&EC, "x"),
        without(&EC, "y"),
        without(&RSA, "n"),
        without(&RSA, "e"),
        EC.jwk(json!({"x": x.clone() + "="})),
        EC.jwk(json!({"x": "!!"})),
        EC.jwk(json!({"x": " ".to_owned() + &x})),
        RSA.jwk(json!({"n": ""})),
        RSA.jwk(json!({"e": ""})),
        json!(null),
        json!(1),
        json!("EC"),
        json!([]),
        json!(["EC", "ES256"]),
        json!({}),
    ];
    for name in ["kty", "crv", "x", "y", "kid", "use", "alg", "key_ops"] {
        for value in [json!(1), json!({}), json!([1]), json!(true)] {
            let mut members = json!({});
            members[name] = value;
            rows.push(EC.jwk(members));
        }
    }
    for name in ["n", "e"] {
        let mut members = json!({});
        members[name] = json!(65537);
        rows.push(RSA.jwk(members));
    }
    assert_flaws(rows.into_iter().map(|key| (key.to_string(), MALFORMED)));
}

#[test]
fn keys_with_a_member_written_twice_are_left_out() {
    let good = EC.jwk(json!({"kid": "k"})).to_string();
    let rows = [
        r#""kty":"EC""#,
        r#""k\u0074y":"EC""#,
        r#""x":"AA""#,
        r#""kid":"other""#,
        r#""crv":"P-256""#,
        r#""use":"enc","use":"sig""#,
        r#""alg":"ES384","alg":"ES256""#,
        r#""key_ops":["sign"],"key_ops":["verify"]"#,
    ];
    assert_flaws(rows.map(|member| (good.replacen('{', &format!("{{{member},"), 1), MALFORMED)));
}

#[test]
fn rsa_keys_out_of_range_are_left_out() {
    let modulus = |bytes: usize| b64([&[0xc1], &vec![0x55; bytes - 1][..]].concat());
    let n = RSA.jwk(json!({}))["n"].as_str().unwrap().to_owned();
    let padded = b64([&[0], &URL_SAFE_NO_PAD.decode(n).unwrap()[..]].concat());
    let rows = [
        (json!({"n": modulus(128)}), "modulus"),
        (json!({"n": modulus(255)}), "modulus"),
        (json!({"n": modulus(1025)}), "modulus"),
        (json!({"n": modulus(2048)}), "modulus"),
        (json!({"n": b64([0x7f; 256])}), "modulus"),
        (json!({"n": padded}), MALFORMED),
        (json!({"n": b64([0; 256])}), MALFORMED),
        (json!({"e": b64([1])}), "exponent"),
        (json!({"e": b64([0])}), "exponent"),
        (json!({"e": b64([2])}), "exponent"),
        (json!({"e": b64([1, 0, 0])}), "exponent"),
        (json!({"e": b64([0, 1, 0, 1])}), "exponent"),
        (json!({"e": b64([1, 0, 0, 0, 1])}), "exponent"),
    ];
    assert_flaws(rows.map(|(members, reason)| (RSA.jwk(members).to_string(), reason)));
}

#[test]
fn points_that_are_not_on_their_curve_are_left_out() {
    let ed25519 = Pair::ed25519();
    let other = OTHER_EC.jwk(json!({}));
    let coordinates = |length| json!({"x": b64(vec![7; length]), "y": b64(vec![7; length])});
    let p384 = Pair::ec(Algorithm::Es384, &ECDSA_P384_SHA384_FIXED_SIGNING);
    let (curve, length) = ("not a point", "length");
    let rows = [
        (EC.jwk(json!({"y": other["y"]})), curve),
        (EC.jwk(coordinates(32)), curve),
        (EC.jwk(json!({"x": b64([0; 32]), "y": b64([0; 32])})), curve),
        (EC.jwk(json!({"x": b64([255; 32])})), curve),
        (EC.jwk(coordinates(31)), length),
        (EC.jwk(coordinates(33)), length),
        (EC.jwk(coordinates(0)), length),
        (EC.jwk(json!({"y": ""})), length),
        (p384.jwk(json!({"crv": "P-256"})), length),
        (p384.jwk(json!({"crv": "P-521"})), length),
        (ed25519.jwk(json!({"x": b64([7; 31])})), length),
        (ed25519.jwk(json!({"x": b64([7; 33])})), length),
        (ed25519.jwk(json!({"x": ""})), length),
    ];
    assert_flaws(rows.map(|(key, reason)| (key.to_string(), reason)));
}

#[tokio::test]
async fn bad_keys_never_spoil_the_good_ones_between_them() {
    let bad = [
        json!({"kty": "AKP"}),
        json!(null),
        EC.jwk(json!({"use": "enc", "kid": "a"})),
        json!({"kty": "oct", "k": b64([7; 64]), "kid": "a"}),
    ];
    let [first, second, third, fourth] = bad;
    let keys = [
        first,
        EC.jwk(json!({"kid": "a"})),
        second,
        third,
        RSA.jwk(json!({"kid": "b"})),
        fourth,
    ];
    let set = KeySet::from_jwks(&document(&keys)).unwrap();
    let skipped: Vec<usize> = set.skipped().iter().map(|skipped| skipped.index).collect();
    assert_eq!((set.len(), skipped), (2, vec![0, 2, 3, 5]));
    assert_eq!(judge(set.clone().into(), &EC.token(Some("a"))).await, "ok");
    assert_eq!(judge(set.into(), &RSA.token(Some("b"))).await, "ok");
}

#[test]
fn a_document_that_is_no_key_set_is_refused() {
    let good = EC.jwk(json!({})).to_string();
    let texts = [
        String::new(),
        "not JSON".to_owned(),
        "<html>".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        good.clone(),
        format!("[{good}]"),
        format!("[[{good}]]"),
        format!(r#"{{"keys":{good}}}"#),
        r#"{"keys":null}"#.to_owned(),
        r#"{"keys":"x"}"#.to_owned(),
        format!(r#"{{"Keys":[{good}]}}"#),
        format!(r#"{{"keys":[{good}],"keys":[{good}]}}"#),
        format!(r#"{{"keys":[{good}]"#),
        format!(r#"{{"keys":[{good}]}}x"#),
        format!(r#"{{"keys":[{good}]}}{{}}"#),
        format!("\u{feff}{{\"keys\":[{good}]}}"),
    ];
    for text in texts {
        match KeySet::from_jwks(&text) {
            Err(KeySetError::NotAKeySet(_)) => {}
            other => panic!("{other:?} for {text}"),
        }
    }
}

#[test]
fn a_document_without_a_usable_key_is_refused_and_says_why() {
    let Err(KeySetError::NoUsableKey(skipped)) = KeySet::from_jwks(r#"{"keys":[]}"#) else {
        panic!()
    };
    assert!(skipped.is_empty());
    let keys = [json!({"kty": "AKP"}), EC.jwk(json!({"use": "enc"}))];
    let error = KeySet::from_jwks(&document(&keys)).unwrap_err();
    assert!(error.to_string().contains("not for verifying"), "{error}");
}

#[test]
fn the_number_of_keys_is_bounded() {
    let keys = |count| document(&vec![EC.jwk(json!({})); count]);
    assert!(KeySet::from_jwks(&keys(1_000)).is_ok());
    let error = KeySet::from_jwks(&keys(1_001)).unwrap_err();
    assert!(matches!(error, KeySetError::TooManyKeys(1_001)), "{error}");
}

#[test]
fn unknown_members_of_a_document_are_ignored() {
    let key = EC.jwk(json!({}));
    let text = format!(r#" {{"x":[1],"keys":[{key}],"issuer":"https://evil.test"}} "#);
    assert_eq!(KeySet::from_jwks(&text).unwrap().len(), 1);
}

// Which key a token means.

#[tokio::test]
async fn a_kid_that_the_set_does_not_hold_is_unknown() {
    let keys = [EC.jwk(json!({"kid": "a"}))];
    for kid in ["b", "A", "", "a "] {
        let reason = judge_with(&keys, &EC.token(Some(kid))).await;
        assert_eq!(reason, "signing_key_unknown", "{kid:?}");
    }
}

#[tokio::test]
async fn a_key_without_a_kid_answers_to_no_kid() {
    let keys = [EC.jwk(json!({}))];
    assert_eq!(
        judge_with(&keys, &EC.token(Some("a"))).await,
        "signing_key_unknown"
    );
    assert_eq!(judge_with(&keys, &EC.token(None)).await, "ok");
}

#[tokio::test]
async fn a_token_without_a_kid_is_judged_when_exactly_one_key_fits() {
    let one = [EC.jwk(json!({"kid": "a"})), RSA.jwk(json!({"kid": "b"}))];
    assert_eq!(judge_with(&one, &EC.token(None)).await, "ok");
    assert_eq!(judge_with(&one, &RSA.token(None)).await, "ok");
}

#[tokio::test]
async fn a_token_without_a_kid_is_refused_when_two_keys_fit() {
    let two = [EC.jwk(json!({"kid": "a"})), OTHER_EC.jwk(json!({"kid": "b"}))];
    for pair in [&EC, &OTHER_EC] {
        assert_eq!(judge_with(&two, &pair.token(None)).await, "signing_key_ambiguous");
    }
}

#[tokio::test]
async fn a_token_without_a_kid_is_refused_when_no_key_fits() {
    let none = [RSA.jwk(json!({"kid": "b"}))];
    assert_eq!(judge_with(&none, &EC.token(None)).await, "signing_key_unknown");
}

#[tokio::test]
async fn a_key_for_one_algorithm_does_not_serve_another() {
    let keys = [
        RSA.jwk(json!({"kid": "a", "alg": "PS256"})),
        EC.jwk(json!({"kid": "b"})),
    ];
    assert_eq!(
        judge_with(&keys, &RSA.token(Some("a"))).await,
        "signing_key_ambiguous"
    );
    assert_eq!(judge_with(&keys, &RSA.token(None)).await, "signing_key_unknown");
}

#[tokio::test]
async fn keys_may_share_a_kid_if_their_types_differ() {
    let keys = [EC.jwk(json!({"kid": "a"})), RSA.jwk(json!({"kid": "a"}))];
    assert_eq!(judge_with(&keys, &EC.token(Some("a"))).await, "ok");
    assert_eq!(judge_with(&keys, &RSA.token(Some("a"))).await, "ok");
}

#[tokio::test]
async fn two_keys_of_a_type_under_one_kid_are_ambiguous() {
    let keys = [EC.jwk(json!({"kid": "a"})), OTHER_EC.jwk(json!({"kid": "a"}))];
    for pair in [&EC, &OTHER_EC] {
        assert_eq!(
            judge_with(&keys, &pair.token(Some("a"))).await,
            "signing_key_ambiguous"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_published_twice_is_one_key() {
    let rows = [
        [json!({"kid": "a"}), json!({"kid": "a"})],
        [json!({"kid": "a"}), json!({"kid": "a", "alg": "ES256"})],
        [
            json!({"kid": "a", "use": "sig"}),
            json!({"kid": "a", "key_ops": ["verify"]}),
        ],
        [json!({}), json!({})],
        [json!({"kid": "a"}), json!({"kid": "b"})],
    ];
    for [first, second] in rows {
        let keys = [EC.jwk(first.clone()), EC.jwk(second)];
        let set = KeySet::from_jwks(&document(&keys)).unwrap();
        assert_eq!((set.len(), set.skipped().len()), (1, 0), "{keys:?}");
        assert_eq!(judge(set.clone().into(), &EC.token(None)).await, "ok", "{keys:?}");
        if let Some(kid) = first["kid"].as_str() {
            assert_eq!(judge(set.into(), &EC.token(Some(kid))).await, "ok", "{keys:?}");
        }
    }
}

#[tokio::test]
async fn an_es512_key_and_the_new_name_of_eddsa_are_known_in_a_set() {
    let p521 = Pair::ec(Algorithm::Es512, &ECDSA_P521_SHA512_FIXED_SIGNING);
    let keys = [p521.jwk(json!({"kid": "a", "alg": "ES512"}))];
    assert_eq!(judge_with(&keys, &p521.token(Some("a"))).await, "ok");
    let ed25519 = Pair::ed25519();
    let keys = [ed25519.jwk(json!({"kid": "a", "alg": "Ed25519"}))];
    assert_eq!(judge_with(&keys, &ed25519.token(Some("a"))).await, "ok");
}

// What a builder refuses.

fn problems<T>(result: Result<T, ConfigError>) -> Vec<(&'static str, String)> {
    let error = result.err().expect("it was built");
    let problems = error.problems().iter();
    problems
        .map(|problem| (problem.setter, problem.message.clone()))
        .collect()
}

/// Exactly one problem, of this setter, that shows this.
#[track_caller]
fn assert_problem<T>(result: Result<T, ConfigError>, setter: &str, shown: &str) {
    let problems = problems(result);
    match &problems[..] {
        [(named, message)] if *named == setter && message.contains(shown) => {}
        _ => panic!("{problems:?}, not {setter} with {shown:?}"),
    }
}

fn public() -> FixedKeys {
    FixedKeys::der(&EC.spki).unwrap()
}

#[test]
fn an_issuer_that_is_not_https_is_refused() {
    let names = [
        "http://as.test",
        "ftp://as.test/",
        "as.test",
        "http://127.0.0.1.as.test/",
        "http://10.0.0.1",
        "http://169.254.169.254/latest",
        "http://0.0.0.0",
        "http://[::2]/",
        "file:///etc/passwd",
        "https://as.test/?tenant=1",
        "https://as.test/#x",
        "https://as.test?",
    ];
    for name in names {
        assert_problem(Issuer::builder(name).audience(API).build(), "issuer", name);
    }
}

#[test]
fn an_address_of_keys_that_is_not_https_is_refused() {
    for url in [
        "http://as.test/jwks",
        "jwks.json",
        "ftp://127.0.0.1/jwks",
        "https://as.test/#x",
    ] {
        let builder = Issuer::builder("any")
            .audience(API)
            .keys(RemoteKeys::jwks_uri(url));
        assert_problem(builder.build(), "jwks_uri", url);
    }
}

#[test]
fn loopback_may_be_plain_http() {
    for name in [
        "http://127.0.0.1:9000/",
        "http://localhost:9000",
        "http://[::1]/tenant",
        "http://127.8.9.1",
    ] {
        assert!(Issuer::builder(name).audience(API).build().is_ok(), "{name}");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let url = "https://user:canary@as.test/";
    for keys in [RemoteKeys::jwks_uri(url), RemoteKeys::discover(url)] {
        let error = Issuer::builder("any")
            .audience(API)
            .keys(keys)
            .build()
            .unwrap_err();
        assert!(error.to_string().contains("password"), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[test]
fn an_empty_list_of_algorithms_is_refused() {
    for keys in [public(), FixedKeys::secret(Secret::new([7; 64]))] {
        let builder = Issuer::builder(ISSUER).audience(API).keys(keys);
        assert_problem(builder.algorithms([]).build(), "algorithms", "empty");
    }
}

#[test]
fn hmac_beside_public_keys_is_refused() {
    let builder = |keys: tower_resource_server::Keys| Issuer::builder(ISSUER).audience(API).keys(keys);
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let list = [Algorithm::Es256, algorithm];
        for keys in [
            public().into(),
            RemoteKeys::discover(ISSUER).into(),
            RemoteKeys::jwks_uri("https://as.test/jwks").into(),
            CachedKeys::from(RemoteKeys::discover(ISSUER)).into(),
        ] {
            let result = builder(keys).algorithms(list).build();
            assert_problem(result, "algorithms", algorithm.as_str());
        }
    }
}

#[test]
fn public_key_algorithms_beside_a_secret_are_refused() {
    let keys = FixedKeys::secret(Secret::new([7; 64]));
    let builder = Issuer::builder(ISSUER).audience(API).keys(keys);
    let result = builder.algorithms([Algorithm::Hs256, Algorithm::Rs256]).build();
    assert_problem(result, "algorithms", "RS256");
}

#[test]
fn a_secret_that_is_shorter_than_the_hash_is_refused() {
    let rows = [
        (Algorithm::Hs256, 31, false),
        (Algorithm::Hs256, 32, true),
        (Algorithm::Hs384, 47, false),
        (Algorithm::Hs384, 48, true),
        (Algorithm::Hs512, 63, false),
        (Algorithm::Hs512, 64, true),
        (Algorithm::Hs256, 0, false),
    ];
    for (algorithm, length, good) in rows {
        let keys = FixedKeys::secret(Secret::new(vec![7; length]));
        let builder = Issuer::builder(ISSUER).audience(API).keys(keys);
        let result = builder.algorithms([algorithm]).build();
        if good {
            assert!(result.is_ok(), "{algorithm} {length}");
        } else {
            assert_problem(result, "keys", &format!("{length} bytes; {algorithm}"));
        }
    }
}

#[test]
fn no_message_shows_a_secret() {
    let keys = FixedKeys::secret(Secret::new(*b"canary"));
    let error = Issuer::builder(ISSUER)
        .audience(API)
        .keys(keys.clone())
        .build()
        .unwrap_err();
    let said = format!("{error} {error:?} {keys:?}");
    let bytes = format!("{:?}", b"canary");
    assert!(!said.contains("canary") && !said.contains(&bytes), "{said}");
}

#[test]
fn leeway_has_an_upper_bound() {
    let built = |leeway| {
        Issuer::builder(ISSUER)
            .audience(API)
            .keys(public())
            .leeway(leeway)
            .build()
    };
    assert!(built(Duration::ZERO).is_ok());
    assert!(built(Duration::from_secs(300)).is_ok());
    assert_problem(built(Duration::from_millis(300_001)), "leeway", "300.001s");
    assert_problem(built(Duration::MAX), "leeway", "300s");
}

#[test]
fn empty_names_are_refused() {
    let unnamed = Issuer::builder("").audience(API).keys(public()).build();
    assert_problem(unnamed, "issuer", "empty");
    for second in ["", API] {
        let builder = Issuer::builder(ISSUER).audience("").audience(second);
        assert_problem(builder.keys(public()).build(), "audience", "empty");
    }
}

#[test]
fn an_empty_list_of_scopes_is_refused() {
    let builder = Issuer::builder(ISSUER).audience(API).keys(public());
    assert_problem(builder.accepted_scopes([]).build(), "accepted_scopes", "empty");
}

#[test]
fn keys_that_serve_no_accepted_algorithm_are_refused() {
    let builder = Issuer::builder(ISSUER).audience(API).keys(public());
    let result = builder.algorithms([Algorithm::Rs256, Algorithm::Es384]).build();
    assert_problem(result, "keys", "no key serves");
}

#[test]
fn times_of_a_cache_that_would_flood_the_issuer_are_refused() {
    let built = |keys: CachedKeys| Issuer::builder(ISSUER).audience(API).keys(keys).build();
    let keys = || CachedKeys::from(RemoteKeys::discover(ISSUER));
    assert_problem(built(keys().time_to_live(Duration::ZERO)), "time_to_live", "0 s");
    assert_problem(built(keys().cool_down(Duration::ZERO)), "cool_down", "0 s");
}

#[test]
fn an_issuer_that_is_named_twice_is_refused() {
    let issuer = |name: &str| {
        let builder = Issuer::builder(name).audience(API).keys(public());
        builder.accept_any_scope().build().unwrap()
    };
    let twice = [issuer(ISSUER), issuer("https://b.test"), issuer(ISSUER)];
    assert_problem(TrustedIssuers::new(twice), "issuers", ISSUER);
    let with_a_slash = [issuer(ISSUER), issuer("https://idp.test/")];
    assert!(TrustedIssuers::new(with_a_slash).is_ok());
}

#[test]
fn one_of_several_issuers_must_name_its_scopes() {
    let builder = |name: &str| Issuer::builder(name).audience(API).keys(public());
    let unnamed = || builder("https://a.test").build().unwrap();
    let limited = builder("https://b.test").accepted_scopes([Scope::from_static("x")]);
    let result = TrustedIssuers::new([unnamed(), limited.build().unwrap()]);
    assert_problem(result, "accepted_scopes", "https://a.test");
    assert!(TrustedIssuers::new([unnamed()]).is_ok());
}

#[test]
fn trusting_nobody_is_refused() {
    assert_problem(TrustedIssuers::new([]), "issuers", "none");
}

#[test]
fn every_problem_is_listed_at_once() {
    let result = Issuer::builder("http://as.test")
        .audience("")
        .leeway(Duration::from_secs(600))
        .algorithms([Algorithm::Es256, Algorithm::Hs256, Algorithm::Hs512])
        .accepted_scopes([])
        .keys(
            CachedKeys::from(RemoteKeys::jwks_uri("http://as.test/jwks"))
                .time_to_live(Duration::ZERO)
                .cool_down(Duration::ZERO),
        )
        .build();
    let error = result.err().unwrap();
    let setters: Vec<&str> = error.problems().iter().map(|problem| problem.setter).collect();
    assert_eq!(
        setters,
        [
            "audience",
            "leeway",
            "accepted_scopes",
            "jwks_uri",
            "time_to_live",
            "cool_down",
            "algorithms",
            "algorithms"
        ]
    );
    let text = error.to_string();
    for shown in ["8 problems", "600s", "http://as.test/jwks", "HS256", "HS512"] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
}

#[test]
fn several_bad_issuers_are_listed_at_once() {
    let unnamed = |name: &str| {
        let builder = Issuer::builder(name).audience(API).keys(public());
        builder.build().unwrap()
    };
    let result = TrustedIssuers::new([unnamed("a"), unnamed("b"), unnamed("a")]);
    assert_eq!(problems(result).len(), 4);
}

#[test]
fn a_test_issuer_publishes_what_a_key_set_reads() {
    let idp = TestIssuer::new(ISSUER, API);
    idp.token().algorithm(Algorithm::Rs256).sign();
    idp.token().algorithm(Algorithm::EdDsa).sign();
    let set = KeySet::from_jwks(&idp.jwks()).unwrap();
    assert_eq!((set.len(), set.skipped().len(), set.is_empty()), (3, 0, false));
}
