use super::key_set::{KeySet, KeySetError};
use super::material::KeyMaterial;
use super::pem;
use crate::secret::Secret;

/// Keys that are known when the service starts and do not change while it runs.
///
/// Keys given as PEM, DER or secret have no name, so they answer to every `kid`; the keys of a JWKS answer to their own.
///
/// ```
/// use tower_resource_server::{FixedKeys, Secret};
///
/// let shared = FixedKeys::secret(Secret::new([7; 32]));   // from the environment or a secrets manager, never from code
/// ```
#[derive(Debug, Clone)]
pub struct FixedKeys(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Public(KeySet),
    Shared(Secret),
}

impl FixedKeys {
    /// The public keys of a JWKS text (RFC 7517).
    pub fn jwks(text: &str) -> Result<Self, KeySetError> {
        KeySet::from_jwks(text).map(Self::from)
    }

    /// One public key in PEM: `PUBLIC KEY`, or `RSA PUBLIC KEY`. Certificates are not read.
    pub fn pem(text: &str) -> Result<Self, KeySetError> {
        Self::public(&pem::from_pem(text)?)
    }

    /// One public key as the DER of a `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
    pub fn der(bytes: &[u8]) -> Result<Self, KeySetError> {
        Self::public(&pem::from_der(bytes)?)
    }

    /// A secret shared with the issuer, for HS256, HS384 and HS512. It must be at least as long as the hash (RFC 7518
    /// section 3.2), which is checked when the issuer is built, and it must be random: no password.
    pub fn secret(secret: Secret) -> Self {
        Self(Kind::Shared(secret))
    }

    fn public(material: &KeyMaterial) -> Result<Self, KeySetError> {
        KeySet::nameless(material)
            .map(Self::from)
            .map_err(|flaw| KeySetError::NotAPublicKey(flaw.to_string()))
    }

    pub(super) fn is_shared_secret(&self) -> bool {
        matches!(self.0, Kind::Shared(_))
    }

    /// The length of the secret in bytes, if this is one.
    pub(super) fn secret_length(&self) -> Option<usize> {
        match &self.0 {
            Kind::Shared(secret) => Some(secret.expose().len()),
            Kind::Public(_) => None,
        }
    }

    /// The set; `None` for a secret that is too short for every algorithm.
    pub(super) fn into_key_set(self) -> Option<KeySet> {
        match self.0 {
            Kind::Public(set) => Some(set),
            Kind::Shared(secret) => KeySet::nameless(&KeyMaterial::Secret(secret)).ok(),
        }
    }
}

impl From<KeySet> for FixedKeys {
    fn from(set: KeySet) -> Self {
        Self(Kind::Public(set))
    }
}
