//! Reading one JWK: the one file that names jsonwebtoken, whose types know the members of RFC 7517 and RFC 7518.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, KeyOperations, PublicKeyUse,
    RSAKeyParameters,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::document;
use super::material::{Curve, KeyFlaw, KeyMaterial};
use super::verifying_key::Algorithm;

/// A verification key as a JWKS describes it.
pub(super) struct ParsedJwk {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Option<Algorithm>,
    /// Whose tokens it signs, where the document says so.
    pub(super) issuer: Option<Box<str>>,
    pub(super) material: KeyMaterial,
}

/// What the types of jsonwebtoken leave out: private members, and the names of algorithms that it does not know.
#[derive(Deserialize)]
struct Extra<'j> {
    #[serde(borrow)]
    kty: Cow<'j, str>,
    #[serde(default, borrow)]
    alg: Option<Cow<'j, str>>,
    #[serde(default, borrow)]
    crv: Option<Cow<'j, str>>,
    /// Entra ID's: whose tokens the key signs, in a document that many tenants share.
    issuer: Option<Value>,
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
}

impl Extra<'_> {
    /// Whether a member stands there that leads to the private key (RFC 7518 sections 6.2.2 and 6.3.2): a prime of an RSA
    /// key is as good as its exponent.
    fn is_private(&self) -> bool {
        let members = [&self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth];
        members.into_iter().any(Option::is_some)
    }

    /// What is no string is nobody's name: it fits no token where the member counts, and hurts nobody where it does not.
    fn issuer(&self) -> Option<Box<str>> {
        self.issuer
            .as_ref()
            .map(|issuer| issuer.as_str().unwrap_or_default().into())
    }

    /// Why members that jsonwebtoken could not make a key of are none: it does not tell.
    fn flaw(&self) -> KeyFlaw {
        match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) | (_, None | Some("P-256" | "P-384" | "P-521" | "Ed25519")) => KeyFlaw::Malformed,
            _ => KeyFlaw::UnknownType,
        }
    }
}

impl ParsedJwk {
    /// Reads one key of a set. A key that is not for verifying signatures, that is symmetric, or whose private part was
    /// published is a flaw: whoever can read the set could sign with it.
    pub(super) fn parse(json: &str) -> Result<Self, KeyFlaw> {
        let extra: Extra<'_> = document::object(json.as_bytes()).map_err(|_| KeyFlaw::Malformed)?;
        match &*extra.kty {
            "RSA" | "EC" | "OKP" => {}
            "oct" => return Err(KeyFlaw::Symmetric),
            _ => return Err(KeyFlaw::UnknownType),
        }
        if extra.is_private() {
            return Err(KeyFlaw::Private);
        }
        let jwk: Jwk = serde_json::from_str(json).map_err(|_| KeyFlaw::Malformed)?;
        if !is_for_verification(&jwk) {
            return Err(KeyFlaw::NotForVerification);
        }
        let material = material_of(&jwk.algorithm).unwrap_or_else(|| Err(extra.flaw()))?;
        // Whether it fits the key is seen when a verifying key is made of both.
        let algorithm = match extra.alg.as_deref() {
            Some(name) => Some(Algorithm::from_name(name).ok_or(KeyFlaw::Algorithm)?),
            None => None,
        };
        Ok(Self {
            kid: jwk.common.key_id,
            algorithm,
            issuer: extra.issuer(),
            material,
        })
    }
}

/// RFC 7517 sections 4.2 and 4.3: what says another purpose is not ours, and `key_ops` names each operation once and does
/// not contradict `use`.
fn is_for_verification(jwk: &Jwk) -> bool {
    let used_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let operations = jwk.common.key_operations.as_deref();
    let verifies = operations.is_none_or(|operations| {
        let unique = operations.iter().collect::<HashSet<_>>().len() == operations.len();
        let of_signatures = operations
            .iter()
            .all(|one| matches!(one, KeyOperations::Sign | KeyOperations::Verify));
        let agree = jwk.common.public_key_use.is_none() || of_signatures;
        unique && agree && operations.contains(&KeyOperations::Verify)
    });
    used_for_signatures && verifies
}

/// `None` where jsonwebtoken saw no key: also a key of a known type falls through to "other" if a member is missing or of
/// another form.
fn material_of(parameters: &AlgorithmParameters) -> Option<Result<KeyMaterial, KeyFlaw>> {
    match parameters {
        AlgorithmParameters::RSA(rsa) => Some(rsa_key(rsa)),
        AlgorithmParameters::EllipticCurve(ec) => Some(elliptic_curve(ec)),
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            Some(decode(&pair.x).map(KeyMaterial::Ed25519))
        }
        AlgorithmParameters::OctetKeyPair(_) => Some(Err(KeyFlaw::UnknownType)),
        _ => None,
    }
}

fn rsa_key(rsa: &RSAKeyParameters) -> Result<KeyMaterial, KeyFlaw> {
    Ok(KeyMaterial::Rsa {
        n: decode(&rsa.n)?,
        e: decode(&rsa.e)?,
    })
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
