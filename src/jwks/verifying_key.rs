//! Algorithms and parsed keys: the one file that names the signature crate.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};

use super::material::{Curve, KeyFlaw, KeyMaterial};
use super::roca;

/// A signature algorithm of JSON Web Algorithms (RFC 7518, RFC 8037, RFC 9864). There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256; the secret is shared with the issuer, so whoever verifies can also forge.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// ECDSA with P-521 and SHA-512.
    Es512,
    /// `EdDSA` with Ed25519; tokens and keys may also call it `Ed25519` (RFC 9864). Ed448 is not done.
    EdDsa,
}

/// The name is not one of the algorithms that this crate knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a signature algorithm that is known here")]
#[non_exhaustive]
pub struct UnknownAlgorithm(pub String);

impl Algorithm {
    const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The registered name, as in a token's `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Names are compared with case, as RFC 7515 section 4.1.1 asks: there is one spelling of each.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether the key that verifies could also sign.
    pub fn is_symmetric(self) -> bool {
        self.hmac().is_some()
    }

    /// Every algorithm that a key of this kind can serve.
    pub(super) fn all_for(material: &KeyMaterial) -> impl Iterator<Item = Self> + '_ {
        Self::ALL.into_iter().filter(|algorithm| algorithm.fits(material))
    }

    pub(super) fn fits(self, material: &KeyMaterial) -> bool {
        match material {
            KeyMaterial::Rsa { .. } => self.rsa().is_some(),
            KeyMaterial::Ec { curve, .. } => self.ecdsa().is_some_and(|(mine, _)| mine == *curve),
            KeyMaterial::Ed25519(_) => self == Self::EdDsa,
            KeyMaterial::Secret(_) => self.is_symmetric(),
        }
    }

    pub(super) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::Hs256 => Some(hmac::HMAC_SHA256),
            Self::Hs384 => Some(hmac::HMAC_SHA384),
            Self::Hs512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    /// The shortest secret that RFC 7518 section 3.2 allows, in bytes: as long as the hash.
    pub(crate) fn shortest_secret(self) -> usize {
        self.hmac()
            .map_or(0, |algorithm| algorithm.digest_algorithm().output_len())
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        }
    }

    fn ecdsa(self) -> Option<(Curve, &'static dyn VerificationAlgorithm)> {
        match self {
            Self::Es256 => Some((Curve::P256, &signature::ECDSA_P256_SHA256_FIXED)),
            Self::Es384 => Some((Curve::P384, &signature::ECDSA_P384_SHA384_FIXED)),
            Self::Es512 => Some((Curve::P521, &signature::ECDSA_P521_SHA512_FIXED)),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name).ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

/// A key, parsed once, for one algorithm. It cannot be used with another.
pub(crate) struct VerifyingKey {
    algorithm: Algorithm,
    parsed: Parsed,
}

enum Parsed {
    Public(ParsedPublicKey),
    /// Boxed, since it is many times larger than a public key and a set holds mostly those.
    Secret(Box<hmac::Key>),
}

impl VerifyingKey {
    /// Parses a key for an algorithm. What the signature crate does not check when it parses is checked here: the size of
    /// a modulus, the exponent, the exact lengths of coordinates and keys.
    pub(super) fn parse(algorithm: Algorithm, material: &KeyMaterial) -> Result<Self, KeyFlaw> {
        let parsed = match material {
            KeyMaterial::Rsa { n, e } => parse_rsa(algorithm, n, e)?,
            KeyMaterial::Ec { curve, x, y } => parse_ec(algorithm, *curve, x, y)?,
            KeyMaterial::Ed25519(x) => parse_ed25519(algorithm, x)?,
            KeyMaterial::Secret(secret) => {
                let hash = algorithm.hmac().ok_or(KeyFlaw::Algorithm)?;
                if secret.expose().len() < algorithm.shortest_secret() {
                    return Err(KeyFlaw::ShortSecret);
                }
                Parsed::Secret(Box::new(hmac::Key::new(hash, secret.expose())))
            }
        };
        Ok(Self { algorithm, parsed })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's over `message`. The signature crate refuses one of another length (RFC 7518 sections
    /// 3.4 and 3.5, RFC 8017 section 8), and compares HMAC tags in constant time.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.parsed {
            Parsed::Public(key) => key.verify_sig(message, signature).is_ok(),
            Parsed::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }

    /// What the key is known by among others for the same algorithm; a secret is not.
    pub(super) fn public(&self) -> &[u8] {
        match &self.parsed {
            Parsed::Public(key) => key.as_ref(),
            Parsed::Secret(_) => &[],
        }
    }
}

fn parse_rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Parsed, KeyFlaw> {
    let parameters = algorithm.rsa().ok_or(KeyFlaw::Algorithm)?;
    let (Some(first), Some(last)) = (n.first(), e.last()) else {
        return Err(KeyFlaw::Malformed);
    };
    if *first == 0 {
        return Err(KeyFlaw::Malformed);
    }
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    if !(2048..=8192).contains(&bits) {
        return Err(KeyFlaw::ModulusSize);
    }
    if roca::is_weak(n) {
        return Err(KeyFlaw::WeakModulus);
    }
    if e.len() > 4 || e.first() == Some(&0) || last % 2 == 0 || e == [1] {
        return Err(KeyFlaw::Exponent);
    }
    let components = RsaPublicKeyComponents { n, e };
    components
        .to_parsed_public_key(parameters)
        .map(Parsed::Public)
        .map_err(|_| KeyFlaw::Malformed)
}

fn parse_ec(algorithm: Algorithm, curve: Curve, x: &[u8], y: &[u8]) -> Result<Parsed, KeyFlaw> {
    let (wanted, verification) = algorithm.ecdsa().ok_or(KeyFlaw::Algorithm)?;
    if wanted != curve {
        return Err(KeyFlaw::Algorithm);
    }
    let length = curve.field_bytes();
    if x.len() != length || y.len() != length {
        return Err(KeyFlaw::Length);
    }
    let point = [&[4], x, y].concat();
    ParsedPublicKey::new(verification, point)
        .map(Parsed::Public)
        .map_err(|_| KeyFlaw::NotOnCurve)
}

fn parse_ed25519(algorithm: Algorithm, x: &[u8]) -> Result<Parsed, KeyFlaw> {
    if algorithm != Algorithm::EdDsa {
        return Err(KeyFlaw::Algorithm);
    }
    if x.len() != 32 {
        return Err(KeyFlaw::Length);
    }
    if is_of_small_order(x) {
        return Err(KeyFlaw::SmallOrder);
    }
    ParsedPublicKey::new(&signature::ED25519, x)
        .map(Parsed::Public)
        .map_err(|_| KeyFlaw::NotOnCurve)
}

/// Whether an Ed25519 key is one of the points that have eight multiples or fewer, in whatever spelling: the signatures of
/// such a "key" can be made by everybody. The sign bit does not matter.
fn is_of_small_order(x: &[u8]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let (Some(first), Some((last, middle))) = (x.first(), x.get(1..).and_then(<[u8]>::split_last)) else {
        return false;
    };
    let last = last & 0x7f;
    // y is 0 or 1; or, with p = 2^255 - 19, it is p - 1, p or p + 1.
    let is_near_zero = *first <= 1 && last == 0 && middle.iter().all(|byte| *byte == 0);
    let is_near_p = (0xec..=0xee).contains(first) && last == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    let is_listed = |point: &[u8; 32]| {
        let (listed_last, listed) = (point.last(), point.get(..31));
        listed_last == Some(&last) && listed == x.get(..31)
    };
    is_near_zero || is_near_p || ORDER_8.iter().any(is_listed)
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
