use std::error::Error;
use std::sync::Arc;

use crate::api_key::KeyStore;

/// Why a [`CachedKeyStore`](super::CachedKeyStore) has no answer. The layer answers 503: the key may be good.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CachedKeyStoreError {
    /// The store behind the cache failed, now or less than a second ago. Several requests may be told of one failure.
    #[error("the key store failed")]
    Store(#[source] Arc<dyn Error + Send + Sync>),
    /// The store says that what it has of this key cannot be read; see
    /// [`is_about_one_key`](KeyStore::is_about_one_key).
    #[error("the record of the API key cannot be read")]
    Unreadable(#[source] Arc<dyn Error + Send + Sync>),
    /// The store did not answer within [`deadline`](super::CachedKeyStore::deadline).
    #[error("the key store did not answer in time")]
    Deadline,
    /// As many unknown keys as are allowed are being looked up already, or were looked up in this second and are
    /// nobody's; see [`most_loads`](super::CachedKeyStore::most_loads) and
    /// [`most_unknown`](super::CachedKeyStore::most_unknown).
    #[error("too many unknown keys are being looked up")]
    Busy,
    /// The store panicked.
    #[error("the key store panicked")]
    Panicked,
    /// There is no tokio runtime here, or the one that looked the key up has gone.
    #[error("there is no tokio runtime to look the key up on")]
    Runtime,
}

impl CachedKeyStoreError {
    pub(super) fn of(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Store(Arc::new(error))
    }

    /// The same for a look-up, which may have failed for the sake of its key alone.
    pub(super) fn of_find<S: KeyStore>(error: S::Error) -> Self {
        if S::is_about_one_key(&error) {
            Self::Unreadable(Arc::new(error))
        } else {
            Self::of(error)
        }
    }
}
