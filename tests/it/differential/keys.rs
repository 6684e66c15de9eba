//! The keys of two issuers: one publishes a key set, the other shares a secret. Made once for all tests.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub(super) const PUBLIC_ISSUER: &str = "https://published.test";
pub(super) const SHARED_ISSUER: &str = "https://shared.test";
pub(super) const SECRET: [u8; 64] = *b"a secret of sixty-four bytes, which is as long as a SHA-512 hash";

/// Each name that a token's `alg` may have, and the `kid` of its key. RS and PS share one key, as do the two names of
/// Ed25519: those keys carry no `alg`.
pub(super) const ALGORITHMS: [(&str, &str); 14] = [
    ("HS256", "shared"),
    ("HS384", "shared"),
    ("HS512", "shared"),
    ("RS256", "rsa"),
    ("RS384", "rsa"),
    ("RS512", "rsa"),
    ("PS256", "rsa"),
    ("PS384", "rsa"),
    ("PS512", "rsa"),
    ("ES256", "p256"),
    ("ES384", "p384"),
    ("ES512", "p521"),
    ("EdDSA", "ed25519"),
    ("Ed25519", "ed25519"),
];

pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(Keys::generate);

pub(super) struct Keys {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    /// Published beside the first, so that a token without `kid` could mean either.
    other_p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    p521: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn is_shared(algorithm: &str) -> bool {
    algorithm.starts_with("HS")
}

pub(super) fn kid_of(algorithm: &str) -> &'static str {
    let found = ALGORITHMS.iter().find(|(name, _)| *name == algorithm);
    found.unwrap().1
}

pub(super) fn issuer_of(algorithm: &str) -> &'static str {
    if is_shared(algorithm) {
        SHARED_ISSUER
    } else {
        PUBLIC_ISSUER
    }
}

/// The HMAC tag of a message under any bytes, also those of a public key.
pub(super) fn tag(algorithm: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = match algorithm {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA512,
    };
    hmac::sign(&hmac::Key::new(hash, secret), message)
        .as_ref()
        .to_vec()
}

impl Keys {
    fn generate() -> Self {
        let ec = |algorithm| EcdsaKeyPair::generate(algorithm).unwrap();
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            p256: ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            other_p256: ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            p521: ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        match algorithm {
            "RS256" => self.rsa(&signature::RSA_PKCS1_SHA256, message),
            "RS384" => self.rsa(&signature::RSA_PKCS1_SHA384, message),
            "RS512" => self.rsa(&signature::RSA_PKCS1_SHA512, message),
            "PS256" => self.rsa(&signature::RSA_PSS_SHA256, message),
            "PS384" => self.rsa(&signature::RSA_PSS_SHA384, message),
            "PS512" => self.rsa(&signature::RSA_PSS_SHA512, message),
            "ES256" => ecdsa(&self.p256, message),
            "ES384" => ecdsa(&self.p384, message),
            "ES512" => ecdsa(&self.p521, message),
            "EdDSA" | "Ed25519" => self.ed25519.sign(message).as_ref().to_vec(),
            _ => tag(algorithm, &SECRET, message),
        }
    }

    fn rsa(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        let random = SystemRandom::new();
        self.rsa.sign(encoding, &random, message, &mut signature).unwrap();
        signature
    }

    /// The private key for an algorithm in PKCS #8; `None` where the key is the secret.
    pub(super) fn pkcs8(&self, algorithm: &str) -> Option<Vec<u8>> {
        let document = match kid_of(algorithm) {
            "rsa" => return Some(self.rsa.as_der().unwrap().as_ref().to_vec()),
            "p256" => self.p256.to_pkcs8v1(),
            "p384" => self.p384.to_pkcs8v1(),
            "p521" => self.p521.to_pkcs8v1(),
            "ed25519" => self.ed25519.to_pkcs8v1(),
            _ => return None,
        };
        Some(document.unwrap().as_ref().to_vec())
    }

    /// The public keys, as the first issuer publishes them.
    pub(super) fn jwks(&self) -> Value {
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        let ed25519 = b64(self.ed25519.public_key());
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": b64(rsa.n), "e": b64(rsa.e)},
            ec_jwk("p256", "P-256", "ES256", &self.p256),
            ec_jwk("other-p256", "P-256", "ES256", &self.other_p256),
            ec_jwk("p384", "P-384", "ES384", &self.p384),
            ec_jwk("p521", "P-521", "ES512", &self.p521),
            {"kty": "OKP", "kid": "ed25519", "crv": "Ed25519", "key_ops": ["verify"], "x": ed25519},
        ]})
    }

    /// What of a public key could be taken for a secret (RFC 8725 section 2.1).
    pub(super) fn mistaken_for_secret(&self) -> Vec<Vec<u8>> {
        let spki: Vec<u8> = AsDer::as_der(self.rsa.public_key()).unwrap().as_ref().to_vec();
        let body = STANDARD.encode(&spki);
        let lines: Vec<&str> = body
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        );
        let jwks = self.jwks();
        let jwk = &jwks["keys"][0];
        vec![
            spki,
            pem.trim_end().as_bytes().to_vec(),
            pem.into_bytes(),
            self.rsa.public_key().as_ref().to_vec(),
            jwk["n"].as_str().unwrap().as_bytes().to_vec(),
            jwk.to_string().into_bytes(),
            jwks.to_string().into_bytes(),
            self.p256.public_key().as_ref().to_vec(),
            self.ed25519.public_key().as_ref().to_vec(),
            Vec::new(),
            vec![0; 64],
        ]
    }
}

fn ecdsa(pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    let signature = pair.sign(&SystemRandom::new(), message).unwrap();
    signature.as_ref().to_vec()
}

fn ec_jwk(kid: &str, curve: &str, algorithm: &str, pair: &EcdsaKeyPair) -> Value {
    let (x, y) = coordinates(pair.public_key().as_ref());
    json!({"kty": "EC", "kid": kid, "crv": curve, "alg": algorithm, "use": "sig", "x": b64(x), "y": b64(y)})
}

/// The two halves of an uncompressed point, behind its first byte.
fn coordinates(point: &[u8]) -> (&[u8], &[u8]) {
    point[1..].split_at(point.len() / 2)
}
