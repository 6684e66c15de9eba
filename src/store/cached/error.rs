use std::error::Error;
use std::sync::Arc;

/// Why a [`CachedKeyStore`](super::CachedKeyStore) has no answer. The layer answers 503: the key may be good.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CachedKeyStoreError {
    /// The store behind the cache failed, now or less than a second ago. Several requests may be told of one failure.
    #[error("the key store failed")]
    Store(#[source] Arc<dyn Error + Send + Sync>),
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
}
