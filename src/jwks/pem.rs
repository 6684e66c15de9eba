//! Public keys in PEM and DER: `SubjectPublicKeyInfo` (RFC 5280) and, for RSA, PKCS #1 (RFC 8017).

use der::asn1::ObjectIdentifier;
use der::{Decode, Document};
use pkcs1::RsaPublicKeyRef;
use spki::SubjectPublicKeyInfoRef;

use super::key_set::KeySetError;
use super::material::{Curve, KeyMaterial};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

pub(super) fn from_pem(text: &str) -> Result<KeyMaterial, KeySetError> {
    let (label, document) =
        Document::from_pem(text.trim()).map_err(|_| no("the PEM block cannot be read"))?;
    match label {
        "PUBLIC KEY" => from_der(document.as_bytes()),
        "RSA PUBLIC KEY" => from_pkcs1(document.as_bytes()),
        _ if label.contains("PRIVATE") => Err(no("this is a private key; give the public one")),
        _ => Err(no("the PEM block is not labelled PUBLIC KEY or RSA PUBLIC KEY")),
    }
}

pub(super) fn from_der(bytes: &[u8]) -> Result<KeyMaterial, KeySetError> {
    let info =
        SubjectPublicKeyInfoRef::from_der(bytes).map_err(|_| no("it is not a SubjectPublicKeyInfo"))?;
    let key = info
        .subject_public_key
        .as_bytes()
        .ok_or_else(|| no("its key is not whole bytes"))?;
    match info.algorithm.oid {
        RSA => from_pkcs1(key),
        ED25519 => Ok(KeyMaterial::Ed25519(key.to_vec())),
        EC => {
            let parameters = info
                .algorithm
                .parameters_oid()
                .map_err(|_| no("its curve is not named"))?;
            from_point(curve_of(parameters)?, key)
        }
        _ => Err(no("its type is not RSA, EC or Ed25519")),
    }
}

fn from_pkcs1(bytes: &[u8]) -> Result<KeyMaterial, KeySetError> {
    let key = RsaPublicKeyRef::from_der(bytes).map_err(|_| no("its RSA key cannot be read"))?;
    Ok(KeyMaterial::Rsa {
        n: key.modulus.as_bytes().to_vec(),
        e: key.public_exponent.as_bytes().to_vec(),
    })
}

fn curve_of(name: ObjectIdentifier) -> Result<Curve, KeySetError> {
    match name {
        P256 => Ok(Curve::P256),
        P384 => Ok(Curve::P384),
        P521 => Ok(Curve::P521),
        _ => Err(no("its curve is not P-256, P-384 or P-521")),
    }
}

/// An uncompressed point: a four, then both coordinates.
fn from_point(curve: Curve, point: &[u8]) -> Result<KeyMaterial, KeySetError> {
    let length = curve.field_bytes();
    match point.split_first() {
        Some((4, coordinates)) if coordinates.len() == 2 * length => {
            let (x, y) = coordinates.split_at(length);
            Ok(KeyMaterial::Ec {
                curve,
                x: x.to_vec(),
                y: y.to_vec(),
            })
        }
        _ => Err(no("its point is not uncompressed and of the curve's length")),
    }
}

fn no(why: &'static str) -> KeySetError {
    KeySetError::NotAPublicKey(why.to_owned())
}
