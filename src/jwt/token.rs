//! From text to an unverified token to a verified one.

use base64_simd::{Out, URL_SAFE_NO_PAD};
use smallvec::SmallVec;

use super::claims::Claims;
use super::header::Header;
use super::json::{Text, read_object, read_object_into};
use crate::error::AuthError;
use crate::jwks::{Algorithm, KeySet, PublishedKey, Selection};

/// Where a token is decoded. Most are no longer than this, and need nothing of the heap.
type Room = SmallVec<[u8; 1_024]>;

/// The three parts of a compact JWS, decoded: what an [`UnverifiedToken`] borrows from.
struct Parts<'t> {
    signing_input: &'t [u8],
    decoded: &'t [u8],
    header_end: usize,
    payload_end: usize,
}

impl<'t> Parts<'t> {
    /// Exactly three non-empty parts of canonical base64url without padding (RFC 7515 section 2; RFC 4648 section 3.5).
    fn decode(token: &'t [u8], decoded: &'t mut Room) -> Result<Self, AuthError> {
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(AuthError::TokenMalformed);
        };
        let (signing_input, signature) = token.split_at(second);
        let (header, payload) = signing_input.split_at(first);
        let (payload, signature) = (after_dot(payload), after_dot(signature));
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(AuthError::TokenMalformed);
        }
        // Longer than what is decoded, by more than the decoder wants.
        decoded.resize(token.len(), 0);
        let mut end = 0;
        let mut append = |part: &[u8]| -> Result<usize, AuthError> {
            let room = decoded.get_mut(end..).unwrap_or_default();
            let read = URL_SAFE_NO_PAD.decode(part, Out::from_slice(room));
            end += read.map_err(|_| AuthError::TokenMalformed)?.len();
            Ok(end)
        };
        let header_end = append(header)?;
        let payload_end = append(payload)?;
        let signature_end = append(signature)?;
        decoded.truncate(signature_end);
        Ok(Self {
            signing_input,
            decoded,
            header_end,
            payload_end,
        })
    }

    fn header(&self) -> &'t [u8] {
        self.decoded.get(..self.header_end).unwrap_or_default()
    }

    /// The header, if a token with it can be judged at all, and the algorithm that it names.
    fn read_header(&self) -> Result<(Header<'t>, Algorithm), AuthError> {
        let header: Header<'t> = read_object(self.header()).map_err(AuthError::HeaderMalformed)?;
        if header.has_extension {
            return Err(AuthError::CriticalExtension);
        }
        if header.kid_is_too_long() || header.is_nested() {
            return Err(AuthError::HeaderMalformed(
                "its kid is too long, or it holds another token",
            ));
        }
        let Some(Text(alg)) = &header.alg else {
            return Err(AuthError::HeaderMalformed("it has no alg"));
        };
        let algorithm = Algorithm::from_name(alg).ok_or(AuthError::AlgorithmUnknown)?;
        Ok((header, algorithm))
    }

    fn payload(&self) -> &'t [u8] {
        self.decoded
            .get(self.header_end..self.payload_end)
            .unwrap_or_default()
    }

    fn signature(&self) -> &'t [u8] {
        self.decoded.get(self.payload_end..).unwrap_or_default()
    }
}

/// What follows the dot that a part was split at.
fn after_dot(part: &[u8]) -> &[u8] {
    part.get(1..).unwrap_or_default()
}

/// A token that nobody has vouched for. Its claims are read already and cannot be asked for, `iss` excepted, which only
/// ever selects one of the configured issuers.
pub(super) struct UnverifiedToken<'t> {
    parts: Parts<'t>,
    header: Header<'t>,
    algorithm: Algorithm,
    claims: &'t Claims<'t>,
}

/// Reads a token and hands it to who judges it. Decoded text and claims stay where they are read, since both are large.
pub(super) fn read_token<T>(
    token: &[u8],
    judge: impl FnOnce(&UnverifiedToken<'_>) -> Result<T, AuthError>,
) -> Result<T, AuthError> {
    let mut room = Room::new();
    let parts = Parts::decode(token, &mut room)?;
    let (header, algorithm) = parts.read_header()?;
    let mut claims = Claims::default();
    read_object_into(parts.payload(), &mut claims).map_err(AuthError::PayloadMalformed)?;
    judge(&UnverifiedToken {
        parts,
        header,
        algorithm,
        claims: &claims,
    })
}

impl<'t> UnverifiedToken<'t> {
    /// Whose token it says it is.
    pub(super) fn issuer(&self) -> Result<&str, AuthError> {
        self.claims
            .iss
            .as_ref()
            .map(|iss| &*iss.0)
            .ok_or(AuthError::ClaimMissing("iss"))
    }

    pub(super) fn header(&self) -> &Header<'t> {
        &self.header
    }

    /// What the key is called that this token says it was signed with.
    pub(super) fn key_name(&self) -> (Option<&str>, Algorithm) {
        (self.header.kid(), self.algorithm)
    }

    pub(super) fn check_algorithm(&self, accepted: &[Algorithm]) -> Result<(), AuthError> {
        if accepted.contains(&self.algorithm) {
            Ok(())
        } else {
            Err(AuthError::AlgorithmNotAccepted)
        }
    }

    /// Checks the signature with the one key of the issuer that fits: the only way to a [`VerifiedToken`]. The algorithm
    /// must be in the issuer's list before any key is looked at (RFC 8725 section 3.1).
    pub(super) fn verify<'v>(
        &'v self,
        accepted: &[Algorithm],
        keys: &'v KeySet,
    ) -> Result<VerifiedToken<'v>, AuthError> {
        self.check_algorithm(accepted)?;
        let key = match keys.select(self.header.kid(), self.algorithm) {
            Selection::One(key) => key,
            Selection::Unknown => return Err(AuthError::SigningKeyUnknown),
            Selection::Unfit => return Err(AuthError::SigningKeyAmbiguous),
        };
        if !key.verifies(self.parts.signing_input, self.parts.signature()) {
            return Err(AuthError::SignatureInvalid);
        }
        Ok(VerifiedToken {
            payload: self.parts.payload(),
            claims: self.claims,
            key,
        })
    }
}

/// A token whose signature is its issuer's. Whether it is valid here and now is for the rules to say.
pub(super) struct VerifiedToken<'t> {
    payload: &'t [u8],
    claims: &'t Claims<'t>,
    key: &'t PublishedKey,
}

impl<'t> VerifiedToken<'t> {
    pub(super) fn claims(&self) -> &Claims<'t> {
        self.claims
    }

    /// The key that signed it.
    pub(super) fn key(&self) -> &PublishedKey {
        self.key
    }

    /// The whole payload, for a claims type of the user's.
    pub(super) fn payload(&self) -> &[u8] {
        self.payload
    }
}

#[cfg(test)]
mod vectors;
