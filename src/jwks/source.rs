use std::fmt;
use std::sync::Arc;

use super::key_set::KeySet;
use crate::authenticator::BoxFuture;

/// Gives the key set of one issuer, however it gets it: a file, a Kubernetes secret, a database.
///
/// Wrap it in `CachedKeys`, which decides when to ask and what to do when it fails: a source itself keeps nothing and
/// retries nothing. An error leaves the keys that are in use as they are. A source that gives keys which are not the
/// issuer's lets everybody in who holds those keys.
///
/// ```
/// use tower_resource_server::{KeySet, KeySetError, KeySource};
///
/// #[derive(Debug)]
/// struct Mounted(&'static str);
///
/// impl KeySource for Mounted {
///     type Error = Box<dyn std::error::Error + Send + Sync>;
///
///     async fn load(&self) -> Result<KeySet, Self::Error> {
///         Ok(KeySet::from_jwks(&std::fs::read_to_string(self.0)?)?)
///     }
/// }
/// ```
pub trait KeySource: Send + Sync + 'static {
    /// Why there are no keys. Goes to the log.
    type Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send;

    /// The keys as they are now.
    fn load(&self) -> impl Future<Output = Result<KeySet, Self::Error>> + Send;
}

pub(super) type Loaded = Result<KeySet, Box<dyn std::error::Error + Send + Sync>>;

/// A source of any type, behind one pointer.
pub(super) trait ErasedSource: Send + Sync {
    fn load(self: Arc<Self>) -> BoxFuture<Loaded>;
}

impl<S: KeySource> ErasedSource for S {
    fn load(self: Arc<Self>) -> BoxFuture<Loaded> {
        Box::pin(async move { KeySource::load(&*self).await.map_err(Into::into) })
    }
}

impl fmt::Debug for dyn ErasedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySource")
    }
}
