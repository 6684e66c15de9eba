use std::fmt;
use std::sync::Arc;

use super::KeyDigest;

/// What a store tells a cache in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyNews {
    /// From now on every change is told. What was read before may have changed unheard.
    Listening,
    /// The record of this digest was added, changed or removed, here or elsewhere.
    Changed(KeyDigest),
}

/// Who wants to hear of changed keys; see [`KeyStore::follow`](super::KeyStore::follow).
#[derive(Clone)]
pub struct KeyNewsListener(Arc<dyn Fn(KeyNews) + Send + Sync>);

impl KeyNewsListener {
    /// Calls this for each piece of news. It must not block.
    pub fn new(hear: impl Fn(KeyNews) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    /// Passes on a piece of news.
    pub fn tell(&self, news: KeyNews) {
        (self.0)(news);
    }
}

impl fmt::Debug for KeyNewsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyNewsListener")
    }
}
