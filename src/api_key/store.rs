use std::fmt;
use std::sync::Arc;

use super::{ApiKeyRecord, KeyDigest, KeyNewsListener};
use crate::authenticator::BoxFuture;

/// Knows API keys by their digest. Implement it with a plain `async fn`; the layer needs nothing else.
///
/// A miss (`Ok(None)`) is a refusal with 401. An error is a 503: the key may be good. A store that answers with a record
/// that it should not have (of a deleted key, say) lets that key in until it says otherwise; one that answers with
/// another key's record lets nobody in, because the layer compares the digest again.
///
/// ```
/// use std::{collections::HashMap, convert::Infallible};
/// use tower_resource_server::{ApiKeyRecord, KeyDigest, KeyStore};
///
/// struct MyStore(HashMap<KeyDigest, ApiKeyRecord>);
///
/// impl KeyStore for MyStore {
///     type Error = Infallible;
///
///     async fn find(&self, key: &KeyDigest) -> Result<Option<ApiKeyRecord>, Infallible> {
///         Ok(self.0.get(key).cloned())
///     }
/// }
/// ```
pub trait KeyStore: Send + Sync + 'static {
    /// Why the store could not answer. Never put a secret in it: it goes to the log.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The record of the key with this digest, whether the key is valid now or not: the layer judges.
    fn find(&self, key: &KeyDigest)
    -> impl Future<Output = Result<Option<ApiKeyRecord>, Self::Error>> + Send;

    /// The same, for stores that can answer at once. `None` says: ask [`find`](Self::find).
    fn find_now(&self, key: &KeyDigest) -> Option<Result<Option<ApiKeyRecord>, Self::Error>> {
        let _ = key;
        None
    }

    /// Whether this key was found here before, though what is known of it is too old to be used without asking: then to ask is no
    /// guess, and a `FailedAttemptLayer` lets it be asked about however many other attempts have failed.
    ///
    /// Default: `false`, because a store that remembers nothing cannot tell.
    fn knows(&self, key: &KeyDigest) -> bool {
        let _ = key;
        false
    }

    /// Tells of every change of a record, for as long as it is polled: first [`Listening`](super::KeyNews::Listening), once
    /// nothing can be missed any more, then each change. An error says that changes may have been missed since; whoever
    /// follows asks again, after a pause. A cache in front of the store calls this, so that it need not wait for its entries
    /// to age.
    ///
    /// Default: returns at once with `Ok`, which says that this store has no news to tell.
    fn follow(&self, listener: &KeyNewsListener) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = listener;
        std::future::ready(Ok(()))
    }

    /// Whether an error is about the key that was asked for and says nothing of others: its row cannot be read, say. A cache
    /// in front of the store takes that for an answer: it does not take the store to be down, and lets go of what it
    /// remembered of that key, which may have been revoked.
    ///
    /// Default: `false`, because most errors are about the whole store.
    fn is_about_one_key(error: &Self::Error) -> bool {
        let _ = error;
        false
    }
}

impl<S: KeyStore> KeyStore for Arc<S> {
    type Error = S::Error;

    fn find(
        &self,
        key: &KeyDigest,
    ) -> impl Future<Output = Result<Option<ApiKeyRecord>, Self::Error>> + Send {
        (**self).find(key)
    }

    fn find_now(&self, key: &KeyDigest) -> Option<Result<Option<ApiKeyRecord>, Self::Error>> {
        (**self).find_now(key)
    }

    fn knows(&self, key: &KeyDigest) -> bool {
        (**self).knows(key)
    }

    fn follow(&self, listener: &KeyNewsListener) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).follow(listener)
    }

    fn is_about_one_key(error: &Self::Error) -> bool {
        S::is_about_one_key(error)
    }
}

pub(super) type Found = Result<Option<ApiKeyRecord>, Box<dyn std::error::Error + Send + Sync>>;

/// A store of any type, behind one pointer.
pub(super) trait ErasedStore: Send + Sync {
    fn find_now(&self, key: &KeyDigest) -> Option<Found>;

    fn knows(&self, key: &KeyDigest) -> bool;
    fn find(self: Arc<Self>, key: KeyDigest) -> BoxFuture<Found>;
}

impl<S: KeyStore> ErasedStore for S {
    fn find_now(&self, key: &KeyDigest) -> Option<Found> {
        KeyStore::find_now(self, key).map(|found| found.map_err(Into::into))
    }

    fn knows(&self, key: &KeyDigest) -> bool {
        KeyStore::knows(self, key)
    }

    fn find(self: Arc<Self>, key: KeyDigest) -> BoxFuture<Found> {
        Box::pin(async move { KeyStore::find(&*self, &key).await.map_err(Into::into) })
    }
}

impl fmt::Debug for dyn ErasedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyStore")
    }
}
