use super::super::MintError;
use crate::error::ConfigError;

/// Why the registry did not do what it was asked for. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError<E> {
    /// No record has this id.
    #[error("no API key has this id")]
    Unknown,
    /// The key was revoked or has expired, and stays so.
    #[error("the API key was revoked or has expired")]
    NotLive,
    /// The key has a successor already, and lives no longer than its grace.
    #[error("the API key was rotated to {to}")]
    AlreadyRotated {
        /// The successor's id.
        to: String,
    },
    /// A third key of the chain would live.
    #[error("the predecessor {predecessor} is still in its grace: revoke it, or rotate without grace")]
    TwoLive {
        /// The id of the key that still lives.
        predecessor: String,
    },
    /// What was asked for cannot be a key.
    #[error("the key cannot be made")]
    Refused(#[from] ConfigError),
    /// The id or the digest is there already.
    #[error("a key with this digest or this id is there already")]
    Taken,
    /// Others changed the same key, again and again.
    #[error("the API key is being changed by too many at once")]
    Contended,
    /// There was no randomness to make a key of.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The store failed. Whether the change was carried out is not known: ask with `get`.
    #[error("the key store failed")]
    Store(#[source] E),
}
