use std::time::SystemTime;

/// How a [`CachedKeyStore`](super::CachedKeyStore) is, for health pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStoreStatus {
    /// The store behind the cache.
    pub store: StoreState,
    /// The news of changed keys.
    pub news: NewsState,
}

impl KeyStoreStatus {
    /// Whether keys that are not in memory can be looked up, as far as is known.
    pub fn is_usable(&self) -> bool {
        !matches!(self.store, StoreState::Failing { .. })
    }
}

/// Whether a store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreState {
    /// It was not asked yet.
    Unasked,
    /// It answered when it was asked last.
    Answering {
        /// Since when it does.
        since: SystemTime,
    },
    /// It failed, or did not answer in time, when it was asked last.
    Failing {
        /// Since when it does.
        since: SystemTime,
    },
}

/// Whether changes made elsewhere are heard of at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NewsState {
    /// The cache was not used yet, or has not heard from its store so far.
    Unasked,
    /// The store has no news to tell. Changes made elsewhere are seen when an entry is no longer fresh.
    None,
    /// They are.
    Heard {
        /// Since when they are.
        since: SystemTime,
    },
    /// They are not; the cache goes on trying. Until then, changes made elsewhere are seen when an entry is no longer fresh.
    Unheard {
        /// Since when they are not.
        since: SystemTime,
    },
}
