//! What a public key is made of, wherever it came from. Every form is brought into this one, so that every key passes the
//! same checks when it becomes a verifying key.

use crate::secret::Secret;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// The length of a coordinate in bytes.
    pub(crate) fn field_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

pub(crate) enum KeyMaterial {
    /// Modulus and exponent, big-endian.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// Coordinates, big-endian, each of the curve's length.
    Ec { curve: Curve, x: Vec<u8>, y: Vec<u8> },
    /// The 32 bytes of RFC 8032.
    Ed25519(Vec<u8>),
    /// A shared secret.
    Secret(Secret),
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyFlaw {
    #[error("its type or curve is not known here")]
    UnknownType,
    #[error("it is not well-formed")]
    Malformed,
    #[error("it is a symmetric key")]
    Symmetric,
    #[error("its private part was published")]
    Private,
    #[error("it is not for verifying signatures")]
    NotForVerification,
    #[error("its algorithm is not known here, or does not fit its type")]
    Algorithm,
    #[error("its modulus is not 2048 to 8192 bits long")]
    ModulusSize,
    #[error("its modulus is of a generator that is known to be weak")]
    WeakModulus,
    #[error("its exponent is even, too small or too large")]
    Exponent,
    #[error("a coordinate or key is not of its curve's length")]
    Length,
    #[error("it is not a point of its curve")]
    NotOnCurve,
    #[error("it is a point of small order, whose signatures anybody can make")]
    SmallOrder,
    #[error("the secret is shorter than the hash")]
    ShortSecret,
}
