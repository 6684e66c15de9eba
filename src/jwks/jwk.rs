//! Reading one JWK: the one file that names jsonwebtoken, whose types know the members of RFC 7517 and RFC 7518.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, KeyOperations, PublicKeyUse,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::material::{Curve, KeyFlaw, KeyMaterial};
use super::verifying_key::Algorithm;

/// A verification key as a JWKS describes it.
pub(super) struct ParsedJwk {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) material: KeyMaterial,
}

/// What the types of jsonwebtoken leave out: private members, and the names of algorithms that it does not know.
#[derive(Deserialize)]
struct Extra<'j> {
    #[serde(borrow)]
    kty: Cow<'j, str>,
    #[serde(default, borrow)]
    alg: Option<Cow<'j, str>>,
    d: Option<IgnoredAny>,
}

impl ParsedJwk {
    /// Reads one key of a set. A key that is not for verifying signatures, that is symmetric, or whose private part was
    /// published is a flaw: whoever can read the set could sign with it.
    pub(super) fn parse(json: &str) -> Result<Self, KeyFlaw> {
        let extra: Extra<'_> = serde_json::from_str(json).map_err(|_| KeyFlaw::Malformed)?;
        match &*extra.kty {
            "RSA" | "EC" | "OKP" => {}
            "oct" => return Err(KeyFlaw::Symmetric),
            _ => return Err(KeyFlaw::UnknownType),
        }
        if extra.d.is_some() {
            return Err(KeyFlaw::Private);
        }
        let jwk: Jwk = serde_json::from_str(json).map_err(|_| KeyFlaw::Malformed)?;
        if !is_for_verification(&jwk) {
            return Err(KeyFlaw::NotForVerification);
        }
        let material = material_of(&jwk.algorithm)?;
        let algorithm = match extra.alg.as_deref().map(Algorithm::from_name) {
            Some(Some(algorithm)) if algorithm.fits(&material) => Some(algorithm),
            None => None,
            _ => return Err(KeyFlaw::Algorithm),
        };
        Ok(Self {
            kid: jwk.common.key_id,
            algorithm,
            material,
        })
    }
}

/// RFC 7517 sections 4.2 and 4.3: what says another purpose is not ours, and `key_ops` names each operation once.
fn is_for_verification(jwk: &Jwk) -> bool {
    let used_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let operations = jwk.common.key_operations.as_deref();
    let verifies = operations.is_none_or(|operations| {
        let unique = operations
            .iter()
            .enumerate()
            .all(|(index, one)| operations.iter().skip(index + 1).all(|other| one != other));
        unique && operations.contains(&KeyOperations::Verify)
    });
    used_for_signatures && verifies
}

fn material_of(parameters: &AlgorithmParameters) -> Result<KeyMaterial, KeyFlaw> {
    match parameters {
        AlgorithmParameters::RSA(rsa) => Ok(KeyMaterial::Rsa {
            n: decode(&rsa.n)?,
            e: decode(&rsa.e)?,
        }),
        AlgorithmParameters::EllipticCurve(ec) => elliptic_curve(ec),
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            Ok(KeyMaterial::Ed25519(decode(&pair.x)?))
        }
        AlgorithmParameters::OctetKey(_) => Err(KeyFlaw::Symmetric),
        // A known type whose members are missing or of another form falls through to "other".
        _ => Err(KeyFlaw::UnknownType),
    }
}

fn elliptic_curve(ec: &EllipticCurveKeyParameters) -> Result<KeyMaterial, KeyFlaw> {
    let curve = match ec.curve {
        EllipticCurve::P256 => Curve::P256,
        EllipticCurve::P384 => Curve::P384,
        EllipticCurve::P521 => Curve::P521,
        _ => return Err(KeyFlaw::UnknownType),
    };
    Ok(KeyMaterial::Ec {
        curve,
        x: decode(&ec.x)?,
        y: decode(&ec.y)?,
    })
}

fn decode(text: &str) -> Result<Vec<u8>, KeyFlaw> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyFlaw::Malformed)
}
