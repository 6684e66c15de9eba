//! What no layer can be faster than: the signature of a token, checked by aws-lc-rs with the key parsed once.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tower_resource_server::{Algorithm, Secret};

/// Checks the signature of a token, and nothing else.
pub(crate) enum Limit {
    Public(Box<ParsedPublicKey>),
    Shared(Box<hmac::Key>),
}

/// What was signed, and the signature.
pub(crate) type Signed = (String, Vec<u8>);

impl Limit {
    pub(crate) fn shared(secret: &Secret) -> Self {
        Self::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.expose())))
    }

    pub(crate) fn public(algorithm: Algorithm, jwks: &str) -> Self {
        let jwks: Value = serde_json::from_str(jwks).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        let jwk = keys.iter().find(|key| key["alg"] == algorithm.as_str()).unwrap();
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let rsa = |verification| {
            let components = RsaPublicKeyComponents {
                n: part("n"),
                e: part("e"),
            };
            components.to_parsed_public_key(verification).unwrap()
        };
        let point = || [vec![4], part("x"), part("y")].concat();
        let key = match algorithm {
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Es256 => ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point()).unwrap(),
            Algorithm::Es384 => ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point()).unwrap(),
            Algorithm::EdDsa => ParsedPublicKey::new(&signature::ED25519, part("x")).unwrap(),
            other => panic!("{other:?}"),
        };
        Self::Public(Box::new(key))
    }

    pub(crate) fn check(&self, (input, signature): &Signed) {
        match self {
            Self::Public(key) => key.verify_sig(input.as_bytes(), signature).unwrap(),
            Self::Shared(key) => hmac::verify(key, input.as_bytes(), signature).unwrap(),
        }
    }
}

pub(crate) fn signed(token: &str) -> Signed {
    let (input, signature) = token.rsplit_once('.').unwrap();
    (input.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
}
