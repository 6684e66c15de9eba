use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::Decode;
use pkcs1::RsaPublicKeyRef;
use serde_json::{Value, json};

use crate::jwks::Algorithm;
use crate::secret::Secret;

/// A private key, made for one algorithm.
pub(super) struct SigningKey {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key. An RSA key has 2048 bits and takes a moment to make.
    pub(super) fn generate(algorithm: Algorithm, kid: String) -> Self {
        let pair = match algorithm {
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
            Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            Algorithm::Es512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            Algorithm::EdDsa => Pair::Ed25519(Ed25519KeyPair::generate().expect("an Ed25519 key")),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                unreachable!("a test issuer publishes its keys; shared secrets are given to sign_with_secret")
            }
        };
        Self { kid, algorithm, pair }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)
                    .expect("an RSA signature");
                signature
            }
            Pair::Ec(pair, _) => pair
                .sign(&random, message)
                .expect("an ECDSA signature")
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The public part, as in a JWKS.
    pub(super) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair, _) => {
                let key = RsaPublicKeyRef::from_der(pair.public_key().as_ref())
                    .expect("the key that was just made");
                json!({"kty": "RSA", "n": encode(key.modulus.as_bytes()), "e": encode(key.public_exponent.as_bytes())})
            }
            Pair::Ec(pair, curve) => {
                let coordinates = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
        };
        if let Some(members) = jwk.as_object_mut() {
            let (kid, alg) = (self.kid.as_str(), self.algorithm.as_str());
            members.extend(
                [("kid", kid), ("alg", alg), ("use", "sig")]
                    .map(|(name, value)| (name.to_owned(), value.into())),
            );
        }
        jwk
    }
}

/// The HMAC tag of a message.
pub(super) fn tag(algorithm: Algorithm, secret: &Secret, message: &[u8]) -> Vec<u8> {
    let hash = match algorithm {
        Algorithm::Hs384 => hmac::HMAC_SHA384,
        Algorithm::Hs512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(hash, secret.expose()), message)
        .as_ref()
        .to_vec()
}

fn rsa(encoding: &'static dyn RsaEncoding) -> Pair {
    Pair::Rsa(
        RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key"),
        encoding,
    )
}

fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &'static str) -> Pair {
    Pair::Ec(EcdsaKeyPair::generate(algorithm).expect("an EC key"), curve)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
